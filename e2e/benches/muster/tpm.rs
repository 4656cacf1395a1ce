//! Registrations of TPMs over HTTPS, beside bare handshakes of the same devices.
//!
//! Each is of a TPM never seen before, in software with keys on NIST P-256: a call that is
//! challenged, the unwrapping, a call with the token, a poll, all on one connection.

use crate::bare::{Bare, Check};
use crate::fleet;
use crate::load::{Burst, burst};
use crate::process::Process;
use crate::register::{HTTPS_API, PATIENCE, handshake};
use crate::registrations::GROUP_KEY;
use crate::server::{DPS_NAME, ID_SCOPE, Scene, Server, binary};
use crate::stats::{Spread, ms, quantile};
use e2e::{DPS, Pki, Reply, SoftTpm, Tls, escape, in_seconds, sas_token};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::json;
use std::fmt::Write as _;
use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Clients at once.
const AT_ONCE: usize = 64;
/// How long a token is good for, in seconds.
const TOKEN_LIFE: i64 = 3_600;

/// What lets the TPMs in.
const KINDS: [Kind; 3] = [Kind::Handshake, Kind::Individual, Kind::Group];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The yardstick: nothing but TLS, no client certificate.
    Handshake,
    /// An individual enrollment each.
    Individual,
    /// One group of their maker: each shows its endorsement certificate.
    Group,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake, no client certificate",
            Self::Individual => "TPM, individual enrollment",
            Self::Group => "TPM, group of its maker",
        }
    }
}

struct Measured {
    kind: Kind,
    rate: f64,
    server_us: f64,
    client_us: f64,
    others: f64,
    took: Vec<Took>,
}

impl Measured {
    fn of<T>(kind: Kind, burst: &Burst<T>, took: Vec<Took>) -> Self {
        let (server_us, client_us) = (burst.server_us(), burst.client_us());
        Self { kind, rate: burst.rate(), server_us, client_us, others: burst.others, took }
    }
}

/// A TPM with what it sends.
struct Device {
    tpm: SoftTpm,
    id: String,
    body: String,
}

/// How long the steps took, as the device saw it.
#[derive(Clone, Copy)]
struct Took {
    challenge: Duration,
    register: Duration,
    poll: Duration,
    whole: Duration,
}

struct World<'a> {
    dir: &'a Path,
    server: Server,
    tls: Tls,
    bare: Bare,
    maker: Issuer<'static, KeyPair>,
}

/// Measures and prints.
pub(crate) fn run(dir: &Path, quick: bool) {
    let (rounds, devices) = if quick { (2, 100) } else { (5, 2_000) };
    let pki = Pki::in_dir(dir.join("pki"));
    let root = pki.root("root");
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "maker");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    fs::write(dir.join("maker.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    let mut fixture = Scene { root: "pki/root.pem", group_key: GROUP_KEY }.fixture();
    // Writing to a String does not fail.
    let _ = write!(
        fixture,
        "\n[[dps.certificates]]\nname = \"maker\"\ncertificate = \"maker.pem\"\n\n\
         [[dps.enrollment_groups]]\nenrollmentGroupId = \"by-maker\"\n\
         attestation = {{ type = \"x509\", x509 = {{ caReferences = {{ primary = \"maker\" }}, \
         certifies = \"endorsementKey\" }} }}\n"
    );
    fs::write(dir.join("fixture.toml"), fixture).unwrap();
    let server = Server::start(&dir.join("data"), Some(&dir.join("fixture.toml")));
    let tls = Tls::trusting(&server.ca);
    let bare = Bare::start(dir, &root, Check::Possession);
    let world = World { dir, server, tls, bare, maker: Issuer::new(params, key) };
    world.round("warm-up", devices.min(200));
    let measured: Vec<Measured> =
        (1..=rounds).flat_map(|round| world.round(&format!("r{round}"), devices)).collect();
    println!("### TPMs\n");
    println!(
        "{rounds} rounds of {devices} devices of each kind, {AT_ONCE} at once; median (least–greatest).\n"
    );
    print_rates(&measured);
    print_latencies(&measured);
    world.server.process.stop();
}

impl World<'_> {
    fn round(&self, name: &str, count: usize) -> Vec<Measured> {
        let one = |kind: Kind| {
            if kind == Kind::Handshake {
                let fleet = fleet::by_key(name, count, &self.bare.ca, GROUP_KEY);
                let shake = |device: &fleet::Device| handshake(device, self.bare.port);
                let burst = burst(&fleet, AT_ONCE, &self.bare.process, shake);
                return Measured::of(kind, &burst, Vec::new());
            }
            let devices: Vec<Device> = (0..count).map(|_| self.device(kind)).collect();
            if kind == Kind::Individual {
                self.enroll(&devices);
            }
            let process: &Process = &self.server.process;
            let burst = burst(&devices, AT_ONCE, process, |device| self.register(device));
            Measured::of(kind, &burst, burst.done.clone())
        };
        KINDS.into_iter().map(one).collect()
    }

    fn device(&self, kind: Kind) -> Device {
        let tpm = SoftTpm::generate();
        let [endorsement_key, storage_root_key] = tpm.keys();
        let id = tpm.registration_id();
        let mut shown = json!({
            "endorsementKey": endorsement_key,
            "storageRootKey": storage_root_key,
        });
        if kind == Kind::Group {
            shown["endorsementCertificates"] = json!([tpm.certificate(&self.maker)]);
        }
        let body = json!({"registrationId": id, "tpm": shown}).to_string();
        Device { tpm, id, body }
    }

    fn enroll(&self, devices: &[Device]) {
        let line = |device: &Device| {
            let [endorsement_key, _] = device.tpm.keys();
            let attestation = json!({"type": "tpm", "tpm": {"endorsementKey": endorsement_key}});
            json!({"registrationId": device.id, "attestation": attestation}).to_string() + "\n"
        };
        let file = self.dir.join("enrollments.jsonl");
        fs::write(&file, devices.iter().map(line).collect::<String>()).unwrap();
        let output = Command::new(binary())
            .args(["iot", "dps", "enrollment", "load", "--dps-name", DPS_NAME, "--file"])
            .arg(&file)
            .env("MUSTER_DATA_DIR", self.dir.join("data"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn register(&self, device: &Device) -> Took {
        let begun = Instant::now();
        let tcp = TcpStream::connect(("127.0.0.1", self.server.https_port)).unwrap();
        let mut wire = self.tls.try_over(DPS, tcp).unwrap();
        wire.patience(PATIENCE);
        let path = format!("/{ID_SCOPE}/registrations/{}", device.id);
        let mut ask = |method: &str, target: &str, more: &str, body: &str| -> Reply {
            wire.send(
                format!(
                    "{method} {path}{target}?{HTTPS_API} HTTP/1.1\r\nHost: {DPS}\r\n{more}\
                     Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                )
                .as_bytes(),
            );
            wire.reply().expect("an answer")
        };
        let asked = Instant::now();
        let challenged = ask("PUT", "/register", "", &device.body).expect(401);
        let challenge = asked.elapsed();
        let wrapped = challenged["authenticationKey"].as_str();
        let key = device.tpm.take_in(wrapped.unwrap_or_else(|| panic!("{challenged}")));
        let resource = escape(&format!("{ID_SCOPE}/registrations/{}", device.id));
        let token = sas_token(&resource, &key, in_seconds(TOKEN_LIFE), Some("registration"));
        let authorization = format!("Authorization: {token}\r\n");
        let asked = Instant::now();
        let accepted = ask("PUT", "/register", &authorization, &device.body).expect(202);
        let register = asked.elapsed();
        let operation = accepted["operationId"].as_str().unwrap();
        let closing = format!("{authorization}Connection: close\r\n");
        let asked = Instant::now();
        let polled = ask("GET", &format!("/operations/{operation}"), &closing, "").expect(200);
        let poll = asked.elapsed();
        assert_eq!(polled["status"], "assigned", "{polled}");
        assert!(polled["registrationState"]["tpm"]["authenticationKey"].is_string(), "{polled}");
        assert!(wire.reply().is_none(), "good-bye");
        Took { challenge, register, poll, whole: begun.elapsed() }
    }
}

fn print_rates(measured: &[Measured]) {
    println!(
        "| What | a second | ratio | server CPU, µs | client CPU, µs | CPU ratio | others' CPU |"
    );
    println!("|---|---|---|---|---|---|---|");
    for kind in KINDS {
        let of = |kind: Kind| measured.iter().filter(move |found| found.kind == kind);
        let spread =
            |value: fn(&Measured) -> f64, digits| Spread::of(of(kind).map(value)).show(digits);
        let against = |value: fn(&Measured) -> f64| match kind {
            Kind::Handshake => "–".to_owned(),
            Kind::Individual | Kind::Group => {
                let both = of(kind).zip(of(Kind::Handshake));
                Spread::of(both.map(|(own, yard)| value(own) / value(yard))).show(2)
            }
        };
        println!(
            "| {} | {} | {} | {} | {} | {} | {} |",
            kind.name(),
            spread(|found| found.rate, 0),
            against(|found| found.rate),
            spread(|found| found.server_us, 0),
            spread(|found| found.client_us, 0),
            against(|found| 1.0 / (found.server_us + found.client_us)),
            spread(|found| found.others * 100.0, 0) + " %",
        );
    }
    println!();
}

fn print_latencies(measured: &[Measured]) {
    println!(
        "| Milliseconds, as the device sees them | challenge p50 | p99 | register p50 | p99 | poll p50 | p99 | whole p50 | p99 |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for kind in [Kind::Individual, Kind::Group] {
        let took: Vec<Took> = measured
            .iter()
            .filter(|found| found.kind == kind)
            .flat_map(|found| found.took.iter().copied())
            .collect();
        let parts: [fn(&Took) -> Duration; 4] =
            [|took| took.challenge, |took| took.register, |took| took.poll, |took| took.whole];
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
