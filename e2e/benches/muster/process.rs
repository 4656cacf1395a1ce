//! Processes that are measured: what they have used, as the kernel counts it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Ticks of the kernel's accounting in a second: `USER_HZ`, which is 100 on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// A child process; killed when dropped.
pub(crate) struct Process(Child);

impl Process {
    /// Starts a command with its errors in a file, and its output to be read.
    pub(crate) fn start(mut command: Command, log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        Self(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// Processor time that it has used until now, in user and kernel mode.
    pub(crate) fn cpu(&self) -> Duration {
        cpu_of(&self.id().to_string())
    }

    /// Memory that it holds now, in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most memory that it has held, in bytes.
    pub(crate) fn resident_bytes_max(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kibibytes * 1024
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(mut self) {
        let id = self.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.0.wait().unwrap();
    }

    /// The lines that it says.
    pub(crate) fn lines(&mut self) -> impl Iterator<Item = String> + use<> {
        BufReader::new(self.0.stdout.take().unwrap()).lines().map(Result::unwrap)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The first line that a process says.
///
/// # Panics
///
/// When it ends without a word.
pub(crate) fn first_line(process: &mut Process) -> String {
    process.lines().next().expect("the process ended without a word: see its log")
}

/// Processor time that this process has used until now.
pub(crate) fn own_cpu() -> Duration {
    cpu_of("self")
}

fn cpu_of(id: &str) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    // The name, in parentheses, may hold spaces; user and kernel time are fields 14 and 15.
    let (_, behind) = stat.rsplit_once(')').unwrap();
    let ticks: f64 =
        behind.split_whitespace().skip(11).take(2).map(|n| n.parse::<f64>().unwrap()).sum();
    Duration::from_secs_f64(ticks / TICKS_PER_SECOND)
}

/// Processor time that the whole machine has used until now, and could have used.
pub(crate) fn machine_cpu() -> (Duration, Duration) {
    let stat = fs::read_to_string("/proc/stat").unwrap();
    let ticks: Vec<f64> = stat
        .lines()
        .next()
        .unwrap()
        .split_whitespace()
        .skip(1)
        .map(|n| n.parse().unwrap())
        .collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; guests are counted in user already.
    let all: f64 = ticks.iter().take(8).sum();
    let idle = ticks[3] + ticks[4];
    let seconds = |ticks: f64| Duration::from_secs_f64(ticks / TICKS_PER_SECOND);
    (seconds(all - idle), seconds(all))
}
