//! What one registration is decided by, looked up among very many enrollments; and how long a
//! server takes to start on them.

use crate::fleet::Device;
use crate::register::{Took, over_mqtt};
use crate::seed::{CERTIFICATE_EVERY, Enrollments, Seeded, seeded};
use crate::server::{DPS_NAME, ID_SCOPE, Server};
use crate::stats::{Spread, ms, quantile};
use e2e::{Tls, escape, in_seconds, sas_token};
use model::ServiceName;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use store::{Registrations, Store};
use store_sqlite::{Options, Sqlite};

/// Look-ups of each kind.
const LOOKUPS: usize = 20_000;
/// Look-ups before those, for what a server that runs for a while has in memory.
const WARM_UP: usize = 2_000;
/// Starts of each size.
const STARTS: usize = 5;
/// Devices that register, one after the other.
const REGISTRATIONS: usize = 500;
/// How long a device's token is good for, in seconds.
const TOKEN_LIFE: i64 = 3_600;

/// Measures and prints; the ten millions only where `largest` asks for them.
pub(crate) fn run(dir: &Path, quick: bool, largest: bool) {
    let mut sizes = if quick { vec![1_000, 10_000] } else { vec![10_000, 1_000_000] };
    if largest {
        sizes.push(10_000_000);
    }
    let enrollments = Enrollments::new_in(dir);
    println!("### Look-ups and starts\n");
    println!(
        "One enrollment in {CERTIFICATE_EVERY} by certificate; {LOOKUPS} look-ups of each kind, \
         {STARTS} starts, {REGISTRATIONS} registrations one at a time. Milliseconds.\n"
    );
    println!(
        "| Enrollments | database, MiB | view by id p50 | p99 | view by certificate p50 | p99 | register p50 | p99 | start, ms | memory after start, MiB | seeded in, s |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for size in sizes {
        let Seeded { data, took } = seeded(dir, &enrollments, size);
        let bytes = fs::metadata(data.join("control.db")).unwrap().len();
        let [id_p50, id_p99, leaf_p50, leaf_p99] = views(&data, &enrollments, size);
        let mut starts = Vec::new();
        for _ in 1..STARTS {
            let server = Server::start(&data, None);
            starts.push(server.started_in);
            server.process.stop();
        }
        let server = Server::start(&data, None);
        starts.push(server.started_in);
        let resident = server.process.resident_bytes();
        let mut registers: Vec<Duration> =
            registrations(&server, size).iter().map(|took| took.register).collect();
        let (p50, p99) = (quantile(&mut registers, 0.5), quantile(&mut registers, 0.99));
        server.process.stop();
        let start = Spread::of(starts.iter().map(|start| start.as_secs_f64() * 1e3)).show(0);
        let seeded =
            took.map_or_else(|| "–".to_owned(), |took| format!("{:.0}", took.as_secs_f64()));
        println!(
            "| {size} | {} | {} | {} | {} | {} | {} | {} | {start} | {} | {seeded} |",
            bytes >> 20,
            ms(id_p50),
            ms(id_p99),
            ms(leaf_p50),
            ms(leaf_p99),
            ms(p50),
            ms(p99),
            resident >> 20
        );
    }
    println!();
}

/// p50 and p99 of the store's view by id, and by certificate under an id of no entry.
fn views(data: &Path, enrollments: &Enrollments, size: u64) -> [Duration; 4] {
    let store = Sqlite::open(&data.join("control.db"), Options::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let dps = ServiceName::parse(DPS_NAME).unwrap();
    let stranger = Enrollments::id(size);
    let mut random = Random::new();
    let mut by_id = Vec::new();
    let mut by_leaf = Vec::new();
    for round in 0..WARM_UP + LOOKUPS {
        let id = Enrollments::id(random.below(size));
        let leaf = random.below(size / CERTIFICATE_EVERY) * CERTIFICATE_EVERY;
        let leaf = enrollments.certificate(leaf).content_hash();
        let begun = Instant::now();
        let view = runtime.block_on(store.registration_view(&dps, &id, None)).unwrap().unwrap();
        let took_by_id = begun.elapsed();
        assert!(view.individual_by_id.is_some());
        let begun = Instant::now();
        let view = runtime.block_on(store.registration_view(&dps, &stranger, Some(&leaf)));
        let took_by_leaf = begun.elapsed();
        assert_eq!(view.unwrap().unwrap().individuals_by_leaf.len(), 1);
        if round >= WARM_UP {
            by_id.push(took_by_id);
            by_leaf.push(took_by_leaf);
        }
    }
    // So that a start finds the store as a stopped server leaves it.
    runtime.block_on(store.check()).unwrap();
    let both =
        [by_id, by_leaf].map(|mut took| (quantile(&mut took, 0.5), quantile(&mut took, 0.99)));
    [both[0].0, both[0].1, both[1].0, both[1].1]
}

/// Devices of random enrollments, one after the other.
fn registrations(server: &Server, size: u64) -> Vec<Took> {
    let tls = Tls::trusting(&server.ca);
    let mut random = Random::new();
    let mut register = || {
        let mut number = random.below(size);
        if Enrollments::is_by_certificate(number) {
            number += 1;
        }
        let id = Enrollments::id(number).to_string();
        let resource = escape(&format!("{ID_SCOPE}/registrations/{id}"));
        let key = Enrollments::key(number).to_base64();
        let token = sas_token(&resource, &key, in_seconds(TOKEN_LIFE), Some("registration"));
        over_mqtt(&Device { id, tls: tls.clone(), token: Some(token) }, server.mqtt_port)
    };
    (0..REGISTRATIONS).map(|_| register()).collect()
}

/// Numbers that differ from run to run, as a kept store remembers who has registered.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Self(now.as_nanos() as u64 | 1)
    }

    /// A number below a bound (xorshift64*).
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16) % bound
    }
}
