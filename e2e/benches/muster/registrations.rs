//! Registrations to *assigned*, beside bare handshakes of the same devices.

use crate::bare::{Bare, Check};
use crate::fleet::{self, Device};
use crate::load::{Burst, burst};
use crate::process::Process;
use crate::register::{Took, handshake, over_https, over_mqtt, over_mqtt_at_once};
use crate::server::{Scene, Server};
use crate::stats::{Spread, ms, quantile};
use e2e::{Authority, Pki};
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Clients at once, which is enough for full load and for commits to share an fsync.
const AT_ONCE: usize = 64;
/// The group's key: any 64 bytes.
pub(crate) const GROUP_KEY: &str =
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";

/// What is measured in each round, in this order.
const KINDS: [Kind; 11] = [
    Kind::Bare { credential: Credential::Certificate, check: Check::Possession },
    Kind::Register { credential: Credential::Certificate, over: Over::Mqtt },
    Kind::Register { credential: Credential::Certificate, over: Over::MqttAtOnce },
    Kind::Again,
    Kind::Bare { credential: Credential::Certificate, check: Check::Chain },
    Kind::Register { credential: Credential::Certificate, over: Over::Https },
    Kind::Bare { credential: Credential::Key, check: Check::Possession },
    Kind::Register { credential: Credential::Key, over: Over::Mqtt },
    Kind::Register { credential: Credential::Key, over: Over::MqttAtOnce },
    Kind::Register { credential: Credential::Key, over: Over::Https },
    Kind::OneByOne,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Credential {
    Certificate,
    Key,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Mqtt,
    /// MQTT without the waits that the protocol does not ask for.
    MqttAtOnce,
    Https,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Handshakes with the yardstick.
    Bare { credential: Credential, check: Check },
    /// Devices that were never seen before.
    Register { credential: Credential, over: Over },
    /// The devices of this round's first registrations once more, over MQTT by certificate.
    Again,
    /// New devices over MQTT by certificate, one after the other.
    OneByOne,
}

impl Kind {
    /// What must be measured with it.
    fn needs(self) -> Vec<Self> {
        let first = Self::Register { credential: Credential::Certificate, over: Over::Mqtt };
        let devices = (self == Self::Again).then_some(first);
        self.yardstick().into_iter().chain(devices).collect()
    }

    /// The yardstick that it is held against.
    fn yardstick(self) -> Option<Self> {
        let credential = match self {
            Self::Bare { .. } | Self::OneByOne => return None,
            Self::Register { credential, .. } => credential,
            Self::Again => Credential::Certificate,
        };
        Some(Self::Bare { credential, check: Check::Possession })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Bare { credential: Credential::Key, .. } => "handshake, no client certificate",
            Self::Bare { check: Check::Possession, .. } => "handshake, client certificate",
            Self::Bare { check: Check::Chain, .. } => "handshake, its chain verified as well",
            Self::Register { credential: Credential::Certificate, over: Over::Mqtt } => {
                "X.509, MQTT"
            }
            Self::Register { credential: Credential::Certificate, over: Over::MqttAtOnce } => {
                "X.509, MQTT at once"
            }
            Self::Register { credential: Credential::Certificate, over: Over::Https } => {
                "X.509, HTTPS"
            }
            Self::Register { credential: Credential::Key, over: Over::Mqtt } => {
                "symmetric key, MQTT"
            }
            Self::Register { credential: Credential::Key, over: Over::MqttAtOnce } => {
                "symmetric key, MQTT at once"
            }
            Self::Register { credential: Credential::Key, over: Over::Https } => {
                "symmetric key, HTTPS"
            }
            Self::Again => "X.509, MQTT, registered before",
            Self::OneByOne => "X.509, MQTT, one at a time",
        }
    }
}

/// One measurement.
struct Measured {
    kind: Kind,
    rate: f64,
    server_us: f64,
    client_us: f64,
    others: f64,
    resident_bytes: u64,
    took: Vec<Took>,
}

impl Measured {
    fn of<T>(kind: Kind, server: &Process, burst: &Burst<T>, took: Vec<Took>) -> Self {
        Self {
            kind,
            rate: burst.rate(),
            server_us: burst.server_us(),
            client_us: burst.client_us(),
            others: burst.others,
            resident_bytes: server.resident_bytes(),
            took,
        }
    }
}

/// Everything that takes part.
struct World {
    server: Server,
    possession: Bare,
    chain: Bare,
    intermediate: Authority,
    devices: usize,
    kinds: Vec<Kind>,
}

/// Measures and prints; `quick` does little of it, `only` keeps to one kind.
pub(crate) fn run(dir: &Path, quick: bool, only: Option<&str>) {
    let wanted = KINDS.into_iter().filter(|kind| only.is_none_or(|name| name == kind.name()));
    let yards: Vec<Kind> = wanted.clone().flat_map(Kind::needs).collect();
    let wanted: Vec<Kind> = wanted.collect();
    let is_wanted = |kind: &Kind| wanted.contains(kind) || yards.contains(kind);
    let kinds: Vec<Kind> = KINDS.into_iter().filter(is_wanted).collect();
    let (rounds, devices) = if quick { (2, 200) } else { (7, 3_000) };
    let pki = Pki::in_dir(dir.join("pki"));
    let root = pki.root("root");
    let intermediate = root.intermediate("intermediate");
    let scene = Scene { root: "pki/root.pem", group_key: GROUP_KEY };
    fs::write(dir.join("fixture.toml"), scene.fixture()).unwrap();
    let server = Server::start(&dir.join("data"), Some(&dir.join("fixture.toml")));
    let possession = Bare::start(dir, &root, Check::Possession);
    let chain = Bare::start(dir, &root, Check::Chain);
    let world = World { server, possession, chain, intermediate, devices, kinds };
    world.round("warm-up", devices.min(300));
    let before = world.server.metrics();
    let mut measured = Vec::new();
    for round in 1..=rounds {
        measured.extend(world.round(&format!("r{round}"), devices));
    }
    let after = world.server.metrics();
    println!("### Registrations\n");
    println!(
        "{rounds} rounds of {devices} devices of each kind, {AT_ONCE} at once; median (least–greatest).\n"
    );
    print_rates(&world.kinds, &measured);
    print_latencies(&mut measured);
    print_store(&before, &after);
    println!(
        "Most memory that the server held: {} MiB.\n",
        mib(world.server.process.resident_bytes_max())
    );
    world.server.process.stop();
}

impl World {
    fn round(&self, name: &str, devices: usize) -> Vec<Measured> {
        let trusting = |ca: &Path, what: &str, count: usize, credential| match credential {
            Credential::Certificate => {
                fleet::by_certificate(&format!("{name}-{what}"), count, ca, &self.intermediate)
            }
            Credential::Key => fleet::by_key(&format!("{name}-{what}"), count, ca, GROUP_KEY),
        };
        let mut measured = Vec::new();
        let mut first = Vec::new();
        for &kind in &self.kinds {
            let ca = &self.server.ca;
            measured.push(match kind {
                Kind::Bare { credential, check } => {
                    let bare = if check == Check::Chain { &self.chain } else { &self.possession };
                    let fleet = trusting(&bare.ca, "bare", devices, credential);
                    let shake = |device: &Device| handshake(device, bare.port);
                    let burst = burst(&fleet, AT_ONCE, &bare.process, shake);
                    Measured::of(kind, &bare.process, &burst, Vec::new())
                }
                Kind::Register { credential, over } => {
                    let what = format!("{credential:?}-{over:?}").to_lowercase();
                    let fleet = trusting(ca, &what, devices, credential);
                    let measured = self.register(kind, over, AT_ONCE, &fleet);
                    if first.is_empty() {
                        first = fleet;
                    }
                    measured
                }
                Kind::Again => self.register(kind, Over::Mqtt, AT_ONCE, &first),
                Kind::OneByOne => {
                    let few = (self.devices / 10).max(20);
                    let fleet = trusting(ca, "single", few, Credential::Certificate);
                    self.register(kind, Over::Mqtt, 1, &fleet)
                }
            });
        }
        measured
    }

    fn register(&self, kind: Kind, over: Over, at_once: usize, fleet: &[Device]) -> Measured {
        let server = &self.server;
        let work = |device: &Device| match over {
            Over::Mqtt => over_mqtt(device, server.mqtt_port),
            Over::MqttAtOnce => over_mqtt_at_once(device, server.mqtt_port),
            Over::Https => over_https(device, server.https_port),
        };
        let burst = burst(fleet, at_once, &server.process, work);
        Measured::of(kind, &server.process, &burst, burst.done.clone())
    }
}

fn print_rates(kinds: &[Kind], measured: &[Measured]) {
    println!(
        "| What | a second | ratio | server CPU, µs | client CPU, µs | CPU ratio | server memory, MiB | others' CPU |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for &kind in kinds {
        let own = || measured.iter().filter(move |found| found.kind == kind);
        let against = |value: fn(&Measured) -> f64| {
            let Some(yardstick) = kind.yardstick() else { return "–".to_owned() };
            let yards = measured.iter().filter(|found| found.kind == yardstick);
            // Round by round, so that what else the machine does weighs on both alike.
            Spread::of(own().zip(yards).map(|(own, yard)| value(own) / value(yard))).show(2)
        };
        let spread =
            |value: fn(&Measured) -> f64, digits| Spread::of(own().map(value)).show(digits);
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            kind.name(),
            spread(|found| found.rate, 0),
            against(|found| found.rate),
            spread(|found| found.server_us, 0),
            spread(|found| found.client_us, 0),
            // As a rate: how many registrations the processor time of one handshake would buy.
            against(|found| 1.0 / (found.server_us + found.client_us)),
            mib(own().map(|found| found.resident_bytes).max().unwrap_or_default()),
            spread(|found| found.others * 100.0, 0) + " %",
        );
    }
    println!();
}

fn print_latencies(measured: &mut [Measured]) {
    println!(
        "| Milliseconds, as the device sees them | register p50 | p99 | poll p50 | p99 | both p50 | p99 | whole p50 | p99 |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for kind in KINDS {
        let took: Vec<Took> = measured
            .iter()
            .filter(|found| found.kind == kind)
            .flat_map(|found| found.took.iter().copied())
            .collect();
        if took.is_empty() {
            continue;
        }
        let parts: [fn(&Took) -> Duration; 4] =
            [|took| took.register, |took| took.poll, Took::server_part, |took| took.whole];
        let mut row = format!("| {} ", kind.name());
        for part in parts {
            let mut values: Vec<Duration> = took.iter().map(part).collect();
            let (p50, p99) = (quantile(&mut values, 0.5), quantile(&mut values, 0.99));
            row.push_str(&format!("| {} | {} ", ms(p50), ms(p99)));
        }
        println!("{row}|");
    }
    println!();
}

/// What the server itself has counted during all rounds.
fn print_store(before: &HashMap<String, f64>, after: &HashMap<String, f64>) {
    let grown = |series: &str| {
        let value = |at: &HashMap<String, f64>| at.get(series).copied().unwrap_or_default();
        value(after) - value(before)
    };
    let commits = grown("muster_store_applied_commits_total");
    let transactions = grown("muster_store_transactions_total");
    let seconds = grown("muster_store_commit_duration_seconds_sum");
    let count = grown("muster_store_commit_duration_seconds_count");
    println!(
        "By the server's metrics: {commits:.0} commits in {transactions:.0} transactions \
         ({:.1} to an fsync), {:.2} ms a commit on average, waiting included.\n",
        commits / transactions,
        seconds / count * 1e3
    );
}

fn mib(bytes: u64) -> u64 {
    bytes / (1024 * 1024)
}
