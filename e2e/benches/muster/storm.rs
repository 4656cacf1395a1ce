//! A retry storm: ten thousand devices that were disabled try again without end, beside a
//! thousand healthy ones (S-35, S-C9).
//!
//! Both ends share the machine, and a storm's clients cost as much as its server. So that the
//! server's fairness is measured and not the scheduler's, the storm is a process of its own that
//! gets what processor time nobody else wants (`nice -n 19`), on one thread; the healthy devices'
//! times count from when each attempt was due, not from when it could begin.

mod client;

use self::client::{Device, Done, From, Took, attempt, fleet, healthy};
use crate::load::burst;
use crate::process::{Process, own_cpu};
use crate::server::{DPS_NAME, ID_SCOPE, Server, binary};
use crate::stats::{ms, quantile};
use model::ServiceName;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{env, fs, thread};
use store::Registrations;

pub(crate) use self::client::ARGUMENT;

/// Keys of the two groups: any 64 bytes.
const HEALTHY_KEY: &str = crate::registrations::GROUP_KEY;
const REVOKED_KEY: &str =
    "Pz49PDs6OTg3NjU0MzIxMC8uLSwrKikoJyYlJCMiISAfHh0cGxoZGBcWFRQTEhEQDw4NDAsKCQgHBgUEAwIBAA==";
/// Devices that register at once before the storm.
const AT_ONCE: usize = 32;

/// How much is measured.
struct Size {
    revoked: usize,
    healthy: usize,
    per_second: u32,
    rounds: usize,
    lasts: Duration,
    /// From the storm's beginning until it is measured.
    warm_up: Duration,
}

/// Which server, and where its devices come from.
struct Setting {
    name: &'static str,
    throttled: bool,
    own_addresses: bool,
    /// Whether the storm is at a server of its own: what sharing a machine with it costs.
    elsewhere: bool,
}

const BOUNDED: Setting =
    Setting { name: "bounded", throttled: true, own_addresses: true, elsewhere: false };
const SETTINGS: [Setting; 4] = [
    BOUNDED,
    Setting { name: "bounded, the storm at another server", elsewhere: true, ..BOUNDED },
    Setting { name: "bounded, all from one address", own_addresses: false, ..BOUNDED },
    Setting { name: "not bounded", throttled: false, ..BOUNDED },
];

/// Runs as the storm until killed.
pub(crate) fn run_storm(arguments: &[String]) {
    client::run(arguments);
}

/// Measures and prints; `quick` does little of it, `only` keeps to one setting.
pub(crate) fn run(dir: &Path, quick: bool, only: Option<&str>) {
    let seconds = Duration::from_secs;
    let size = if quick {
        let (lasts, warm_up) = (seconds(3), seconds(3));
        Size { revoked: 200, healthy: 50, per_second: 20, rounds: 1, lasts, warm_up }
    } else {
        let (lasts, warm_up) = (seconds(20), seconds(20));
        Size { revoked: 10_000, healthy: 1_000, per_second: 50, rounds: 3, lasts, warm_up }
    };
    println!("### Retry storm\n");
    println!(
        "{} disabled devices at full rate; {} healthy ones, {} registrations a second; {} rounds \
         of {} s without and with the storm.\n",
        size.revoked,
        size.healthy,
        size.per_second,
        size.rounds,
        size.lasts.as_secs()
    );
    println!(
        "| Server | Storm | healthy p50, ms | p99, ms | not assigned | refusals a second | dropped or unanswered a second | commits a second | server CPU | healthy clients' CPU | server memory, MiB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for (number, setting) in SETTINGS.iter().enumerate() {
        if only.is_none_or(|only| only == setting.name) {
            let dir = dir.join(number.to_string());
            fs::create_dir_all(&dir).unwrap();
            World::new(&dir, setting, &size).measure();
        }
    }
    println!();
}

struct World<'a> {
    server: Server,
    data: PathBuf,
    /// The storm's own server and its data directory.
    elsewhere: Option<(Server, PathBuf)>,
    setting: &'a Setting,
    size: &'a Size,
    healthy: Vec<Device>,
}

impl<'a> World<'a> {
    fn new(dir: &Path, setting: &'a Setting, size: &'a Size) -> Self {
        fs::write(dir.join("fixture.toml"), fixture()).unwrap();
        let config = dir.join("muster.toml");
        let unbounded = "[storms]\nconnections_per_second = 0\nrecords_per_second = 0\n";
        fs::write(&config, if setting.throttled { "" } else { unbounded }).unwrap();
        let data = dir.join("data");
        let start =
            |data: &Path| Server::start_by(data, Some(&dir.join("fixture.toml")), Some(&config));
        let server = start(&data);
        let elsewhere = setting.elsewhere.then(|| {
            let data = dir.join("elsewhere");
            (start(&data), data)
        });
        let from = |net| match setting.own_addresses {
            true => From::Own { net },
            false => From::One,
        };
        let healthy = fleet("healthy", size.healthy, &server.ca, HEALTHY_KEY, from(20));
        let world = Self { server, data, elsewhere, setting, size, healthy };
        let (stormed, _) = world.stormed();
        let revoked = fleet("revoked", size.revoked, &stormed.ca, REVOKED_KEY, from(10));
        register(&world.healthy, &world.server);
        register(&revoked, stormed);
        world
    }

    /// The server that the storm is at, and its data directory.
    fn stormed(&self) -> (&Server, &Path) {
        match &self.elsewhere {
            Some((server, data)) => (server, data),
            None => (&self.server, &self.data),
        }
    }

    fn disable(&self) {
        let update = "iot dps enrollment-group update --enrollment-id revoked \
                      --provisioning-status disabled --output none";
        let mut command = Command::new(binary());
        command.args(update.split_whitespace()).arg("--data-dir").arg(self.stormed().1);
        assert!(command.status().unwrap().success(), "{update}");
    }

    fn measure(self) {
        self.look(None, self.size.lasts);
        self.disable();
        let (mut calm, mut outbreak, mut stormy) =
            (Seen::default(), Seen::default(), Seen::default());
        for round in 0..self.size.rounds {
            calm.add(self.look(None, self.size.lasts));
            let storm = Storm::start(&self);
            if round == 0 {
                outbreak.add(self.look(Some(&storm), self.size.warm_up));
            } else {
                thread::sleep(self.size.warm_up);
            }
            stormy.add(self.look(Some(&storm), self.size.lasts));
        }
        let name = self.setting.name;
        calm.print(name, "none");
        outbreak.print(name, "its beginning");
        stormy.print(name, "under way");
        let records = self.records_at_the_end();
        println!("| {name} | records at the end: {records} | | | | | | | | | |");
    }

    /// Serves the healthy ones for a while and looks.
    fn look(&self, storm: Option<&Storm>, lasts: Duration) -> Seen {
        let server = &self.server;
        let commits = || server.metrics()["muster_store_applied_commits_total"];
        let (commits_before, storm_before) = (commits(), storm.map(Storm::done));
        let (server_before, own_before) = (server.process.cpu(), own_cpu());
        let begun = Instant::now();
        let took = healthy(&self.healthy, self.size.per_second, lasts, server.mqtt_port);
        Seen {
            took,
            lasted: begun.elapsed(),
            storm: storm
                .map(Storm::done)
                .unwrap_or_default()
                .since(storm_before.unwrap_or_default()),
            commits: commits() - commits_before,
            server_cpu: server.process.cpu() - server_before,
            own_cpu: own_cpu() - own_before,
            resident_bytes: server.process.resident_bytes(),
        }
    }

    /// Stops the server and counts what is in its store.
    fn records_at_the_end(self) -> u64 {
        self.server.process.stop();
        let options = store_sqlite::Options::default();
        let store = store_sqlite::Sqlite::open(&self.data.join("control.db"), options).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let dps = ServiceName::parse(DPS_NAME).unwrap();
        runtime.block_on(store.registration_count(&dps)).unwrap()
    }
}

/// Registers devices for the first time.
fn register(devices: &[Device], server: &Server) {
    burst(devices, AT_ONCE, &server.process, |device| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let status = runtime.unwrap().block_on(attempt(device, server.mqtt_port)).unwrap();
        assert_eq!(status, "assigned");
    });
}

/// What was seen in a stretch of time.
#[derive(Default)]
struct Seen {
    took: Took,
    lasted: Duration,
    storm: Done,
    commits: f64,
    server_cpu: Duration,
    own_cpu: Duration,
    resident_bytes: u64,
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.took.assigned.extend(other.took.assigned);
        self.took.failed += other.took.failed;
        self.lasted += other.lasted;
        self.storm.refused += other.storm.refused;
        self.storm.broken += other.storm.broken;
        self.commits += other.commits;
        self.server_cpu += other.server_cpu;
        self.own_cpu += other.own_cpu;
        self.resident_bytes = self.resident_bytes.max(other.resident_bytes);
    }

    fn print(&mut self, name: &str, storm: &str) {
        let seconds = self.lasted.as_secs_f64();
        let values = &mut self.took.assigned;
        let (p50, p99) = (quantile(values, 0.5), quantile(values, 0.99));
        println!(
            "| {name} | {storm} | {} | {} | {} of {} | {:.0} | {:.0} | {:.0} | {:.0} % | {:.0} % | {} |",
            ms(p50),
            ms(p99),
            self.took.failed,
            self.took.failed + self.took.assigned.len(),
            self.storm.refused as f64 / seconds,
            self.storm.broken as f64 / seconds,
            self.commits / seconds,
            self.server_cpu.as_secs_f64() / seconds * 100.0,
            self.own_cpu.as_secs_f64() / seconds * 100.0,
            self.resident_bytes / (1024 * 1024),
        );
    }
}

/// The process that is the storm; it ends when dropped.
struct Storm {
    _process: Process,
    done: Arc<Mutex<Done>>,
}

impl Storm {
    fn start(world: &World<'_>) -> Self {
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).arg(env::current_exe().unwrap()).arg(ARGUMENT);
        command.args(["revoked", &world.size.revoked.to_string()]);
        let (server, data) = world.stormed();
        command.arg(&server.ca).arg(REVOKED_KEY);
        command.arg(if world.setting.own_addresses { "10" } else { "one" });
        command.arg(server.mqtt_port.to_string());
        let mut process = Process::start(command, &data.with_extension("storm.log"));
        let done = Arc::new(Mutex::new(Done::default()));
        let (lines, told) = (process.lines(), Arc::clone(&done));
        thread::spawn(move || {
            for line in lines {
                *told.lock().unwrap() = Done::of_line(&line);
            }
        });
        Self { _process: process, done }
    }

    fn done(&self) -> Done {
        *self.done.lock().unwrap()
    }
}

/// One hub, a group of healthy devices and one that is going to be revoked.
fn fixture() -> String {
    let mut text = format!(
        "[[hubs]]\nname = \"hub1\"\n\n[[dps]]\nname = \"{DPS_NAME}\"\nid_scope = \"{ID_SCOPE}\"\n"
    );
    for (name, key) in [("healthy", HEALTHY_KEY), ("revoked", REVOKED_KEY)] {
        // Writing to a String does not fail.
        let _ = write!(
            text,
            "\n[[dps.enrollment_groups]]\nenrollmentGroupId = \"{name}\"\n\
             attestation = {{ type = \"symmetricKey\", symmetricKey = {{ primaryKey = \"{key}\", \
             secondaryKey = \"{key}\" }} }}\n"
        );
    }
    text
}
