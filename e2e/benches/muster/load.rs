//! Many clients at once, each with one thing to do after the other.

use crate::process::{Process, machine_cpu, own_cpu};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What a burst of work took.
pub(crate) struct Burst<T> {
    /// From the first beginning to the last end.
    pub(crate) took: Duration,
    /// Of the server's process.
    pub(crate) server_cpu: Duration,
    /// Of this process: the clients.
    pub(crate) client_cpu: Duration,
    /// The part of the machine's processor time that others have used, 0..=1.
    pub(crate) others: f64,
    /// What each piece of work gave.
    pub(crate) done: Vec<T>,
}

impl<T> Burst<T> {
    /// Pieces of work in a second.
    pub(crate) fn rate(&self) -> f64 {
        self.done.len() as f64 / self.took.as_secs_f64()
    }

    /// Microseconds of the server's processor time for one piece.
    pub(crate) fn server_us(&self) -> f64 {
        self.server_cpu.as_secs_f64() * 1e6 / self.done.len() as f64
    }

    /// Microseconds of the client's processor time for one piece.
    pub(crate) fn client_us(&self) -> f64 {
        self.client_cpu.as_secs_f64() * 1e6 / self.done.len() as f64
    }
}

/// Does `work` on every item, so many at once, while `server` answers.
pub(crate) fn burst<I: Sync, T: Send>(
    items: &[I],
    at_once: usize,
    server: &Process,
    work: impl Fn(&I) -> T + Sync,
) -> Burst<T> {
    let next = AtomicUsize::new(0);
    let (server_before, client_before) = (server.cpu(), own_cpu());
    let (busy_before, all_before) = machine_cpu();
    let begun = Instant::now();
    let done = thread::scope(|scope| {
        let client = || {
            let mut done = Vec::new();
            while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                done.push(work(item));
            }
            done
        };
        let clients: Vec<_> = (0..at_once).map(|_| scope.spawn(client)).collect();
        clients.into_iter().flat_map(|client| client.join().expect("a client panicked")).collect()
    });
    let took = begun.elapsed();
    let (busy, all) = machine_cpu();
    let (server_cpu, client_cpu) = (server.cpu() - server_before, own_cpu() - client_before);
    let foreign = (busy - busy_before).saturating_sub(server_cpu + client_cpu);
    let others = foreign.as_secs_f64() / (all - all_before).as_secs_f64().max(f64::EPSILON);
    Burst { took, server_cpu, client_cpu, others, done }
}
