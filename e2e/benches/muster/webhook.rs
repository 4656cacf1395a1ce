//! Registrations whose hub a webhook chooses, beside those that need none, and beside devices of
//! another webhook that is slow (L-07, W-09).
//!
//! The webhooks are a task of this process: what they cost counts as the clients'. Muster makes a
//! connection for each question.

use crate::bare::{Bare, Check};
use crate::fleet::{self, Device};
use crate::load::{Burst, burst};
use crate::register::{HTTPS_API, PATIENCE, handshake};
use crate::registrations::GROUP_KEY;
use crate::server::{DPS_NAME, ID_SCOPE, Server};
use crate::stats::{Spread, ms, quantile};
use e2e::{DPS, Pki, Wire};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream as Socket};
use tokio_rustls::TlsAcceptor;

/// Clients at once.
const AT_ONCE: usize = 64;
/// How long the slow webhook takes.
const SLOW: Duration = Duration::from_secs(2);
/// A device waits so long between polls, as no SDK does: they wait two seconds.
const POLLS_APART: Duration = Duration::from_millis(5);
const SLOW_KEY: &str =
    "Pz49PDs6OTg3NjU0MzIxMC8uLSwrKikoJyYlJCMiISAfHh0cGxoZGBcWFRQTEhEQDw4NDAsKCQgHBgUEAwIBAA==";
const QUICK_KEY: &str =
    "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0NTY3ODkrLw==";

const KINDS: [Kind; 4] = [Kind::Handshake, Kind::Hashed, Kind::Webhook, Kind::BesideSlow];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The yardstick: nothing but TLS, no client certificate.
    Handshake,
    /// Nobody is asked.
    Hashed,
    /// A webhook is asked that answers at once.
    Webhook,
    /// The same, while the slow one has as many questions as it is asked at once and more wait.
    BesideSlow,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake, no client certificate",
            Self::Hashed => "symmetric key, HTTPS, hashed",
            Self::Webhook => "symmetric key, HTTPS, webhook",
            Self::BesideSlow => "the same beside a slow webhook",
        }
    }
}

struct Measured {
    kind: Kind,
    rate: f64,
    server_us: f64,
    client_us: f64,
    others: f64,
    took: Vec<Duration>,
}

impl Measured {
    fn of(kind: Kind, burst: Burst<Duration>) -> Self {
        let (server_us, client_us) = (burst.server_us(), burst.client_us());
        let (rate, others) = (burst.rate(), burst.others);
        Self { kind, rate, server_us, client_us, others, took: burst.done }
    }
}

struct World {
    server: Server,
    bare: Bare,
    slow: usize,
}

/// Measures and prints.
pub(crate) fn run(dir: &Path, quick: bool) {
    let (rounds, devices, slow) = if quick { (2, 100, 40) } else { (5, 2_000, 320) };
    let pki = Pki::in_dir(dir.join("pki"));
    let root = pki.root("root");
    let (chain, key) = root.server_chain("localhost");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let port = start_webhooks(TlsAcceptor::from(Arc::new(config)));
    fs::write(dir.join("fixture.toml"), fixture(port)).unwrap();
    let config = dir.join("muster.toml");
    let trust = format!(
        "[webhooks]\nprivate_addresses = true\nca_file = \"{}\"\n",
        root.file.canonicalize().unwrap().display()
    );
    fs::write(&config, trust).unwrap();
    let server =
        Server::start_by(&dir.join("data"), Some(&dir.join("fixture.toml")), Some(&config));
    let bare = Bare::start(dir, &root, Check::Possession);
    let world = World { server, bare, slow };
    world.round("warm-up", devices.min(200));
    let measured: Vec<Measured> =
        (1..=rounds).flat_map(|round| world.round(&format!("r{round}"), devices)).collect();
    println!("### Webhooks\n");
    println!(
        "{rounds} rounds of {devices} devices of each kind, {AT_ONCE} at once; median (least–greatest). \
         {slow} devices wait for the slow webhook, which takes {} s.\n",
        SLOW.as_secs()
    );
    print(&measured);
    world.server.process.stop();
}

impl World {
    fn round(&self, name: &str, count: usize) -> Vec<Measured> {
        let one = |kind: Kind| {
            let fleet_of = |name: &str, count, key| {
                fleet::by_key(
                    &format!("{name}-{kind:?}").to_lowercase(),
                    count,
                    &self.server.ca,
                    key,
                )
            };
            let port = self.server.https_port;
            let process = &self.server.process;
            let register = |device: &Device| Registering::begin(device, port).assigned();
            match kind {
                Kind::Handshake => {
                    let fleet = fleet::by_key(name, count, &self.bare.ca, GROUP_KEY);
                    let shake = |device: &Device| handshake(device, self.bare.port);
                    Measured::of(kind, burst(&fleet, AT_ONCE, &self.bare.process, shake))
                }
                Kind::Hashed => {
                    let fleet = fleet_of(name, count, GROUP_KEY);
                    Measured::of(kind, burst(&fleet, AT_ONCE, process, register))
                }
                Kind::Webhook => {
                    let fleet = fleet_of(name, count, QUICK_KEY);
                    Measured::of(kind, burst(&fleet, AT_ONCE, process, register))
                }
                Kind::BesideSlow => {
                    let slow = fleet_of(&format!("{name}-slow"), self.slow, SLOW_KEY);
                    let begin = |device: &Device| Registering::begin(device, port);
                    let mut slow = burst(&slow, AT_ONCE, process, begin).done;
                    let fleet = fleet_of(name, count, QUICK_KEY);
                    let measured = burst(&fleet, AT_ONCE, process, register);
                    slow.retain_mut(|one| one.is_assigning());
                    assert!(!slow.is_empty(), "too few were slow");
                    while !slow.is_empty() {
                        thread::sleep(SLOW / 10);
                        slow.retain_mut(|one| one.is_assigning());
                    }
                    Measured::of(kind, measured)
                }
            }
        };
        KINDS.into_iter().map(one).collect()
    }
}

/// A registration whose call was taken.
struct Registering {
    id: String,
    token: String,
    wire: Wire,
    begun: Instant,
    operation: String,
}

impl Registering {
    fn begin(device: &Device, port: u16) -> Self {
        let begun = Instant::now();
        let tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let wire = device.tls.try_over(DPS, tcp).unwrap_or_else(|e| panic!("{}: {e}", device.id));
        wire.patience(PATIENCE);
        let (id, token) = (device.id.clone(), device.token.clone().expect("a token"));
        let mut own = Self { id, token, wire, begun, operation: String::new() };
        let body = json!({ "registrationId": device.id }).to_string();
        let accepted = own.ask("PUT", "/register", &body);
        let operation = accepted["operationId"].as_str().unwrap_or_else(|| panic!("{accepted}"));
        own.operation = operation.to_owned();
        own
    }

    fn ask(&mut self, method: &str, target: &str, body: &str) -> Value {
        let Self { id, token, wire, .. } = self;
        wire.send(
            format!(
                "{method} /{ID_SCOPE}/registrations/{id}{target}?{HTTPS_API} HTTP/1.1\r\n\
                 Host: {DPS}\r\nAuthorization: {token}\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .as_bytes(),
        );
        let reply = wire.reply().expect("an answer");
        assert!(matches!(reply.status, 200 | 202), "{id}: {} {}", reply.status, reply.body);
        reply.body
    }

    /// What a poll tells: `assigning`, or `assigned`.
    fn is_assigning(&mut self) -> bool {
        let polled = self.ask("GET", &format!("/operations/{}", self.operation), "");
        match polled["status"].as_str() {
            Some("assigned") => false,
            Some("assigning") => true,
            _ => panic!("{}: {polled}", self.id),
        }
    }

    /// Polls until the device is assigned; how long it took from the connection's beginning.
    fn assigned(mut self) -> Duration {
        while self.is_assigning() {
            thread::sleep(POLLS_APART);
        }
        self.begun.elapsed()
    }
}

/// Two webhooks at one port: `/quick` and `/slow`.
fn start_webhooks(acceptor: TlsAcceptor) -> u16 {
    let socket = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = socket.local_addr().unwrap().port();
    socket.set_nonblocking(true).unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let socket = TcpListener::from_std(socket).unwrap();
            loop {
                let Ok((tcp, _)) = socket.accept().await else { continue };
                tokio::spawn(answer(acceptor.clone(), tcp));
            }
        });
    });
    port
}

async fn answer(acceptor: TlsAcceptor, tcp: Socket) -> Option<()> {
    let mut stream = BufReader::new(acceptor.accept(tcp).await.ok()?);
    let (mut head, mut length) = (String::new(), 0);
    stream.read_line(&mut head).await.ok()?;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        match line.trim().to_ascii_lowercase().split_once(':') {
            Some(("content-length", value)) => length = value.trim().parse().ok()?,
            Some(_) => {}
            None => break,
        }
    }
    stream.read_exact(&mut vec![0; length]).await.ok()?;
    if head.contains("/slow") {
        tokio::time::sleep(SLOW).await;
    }
    let body = json!({"iotHubHostName": "hub1.localhost"}).to_string();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}

/// One hub, and a group that needs no webhook, one with a quick and one with a slow one.
fn fixture(port: u16) -> String {
    let mut text = format!(
        "[[hubs]]\nname = \"hub1\"\n\n[[dps]]\nname = \"{DPS_NAME}\"\nid_scope = \"{ID_SCOPE}\"\n"
    );
    let custom = |path: &str| {
        format!(
            "allocationPolicy = \"custom\"\ncustomAllocationDefinition = {{ webhookUrl = \
             \"https://localhost:{port}/{path}\", apiVersion = \"2021-10-01\" }}\n"
        )
    };
    for (name, key, more) in [
        ("hashed", GROUP_KEY, String::new()),
        ("quick", QUICK_KEY, custom("quick")),
        ("slow", SLOW_KEY, custom("slow")),
    ] {
        // Writing to a String does not fail.
        let _ = write!(
            text,
            "\n[[dps.enrollment_groups]]\nenrollmentGroupId = \"{name}\"\n{more}\
             attestation = {{ type = \"symmetricKey\", symmetricKey = {{ primaryKey = \"{key}\", \
             secondaryKey = \"{key}\" }} }}\n"
        );
    }
    text
}

fn print(measured: &[Measured]) {
    println!(
        "| What | a second | ratio | server CPU, µs | client CPU, µs | CPU ratio | to *assigned* p50, ms | p99, ms | others' CPU |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for kind in KINDS {
        let of = |kind: Kind| measured.iter().filter(move |found| found.kind == kind);
        let spread =
            |value: fn(&Measured) -> f64, digits| Spread::of(of(kind).map(value)).show(digits);
        let against = |value: fn(&Measured) -> f64| match kind {
            Kind::Handshake => "–".to_owned(),
            Kind::Hashed | Kind::Webhook | Kind::BesideSlow => {
                let both = of(kind).zip(of(Kind::Handshake));
                Spread::of(both.map(|(own, yard)| value(own) / value(yard))).show(2)
            }
        };
        let mut took: Vec<Duration> = of(kind).flat_map(|one| one.took.iter().copied()).collect();
        let (p50, p99) = (quantile(&mut took, 0.5), quantile(&mut took, 0.99));
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            kind.name(),
            spread(|found| found.rate, 0),
            against(|found| found.rate),
            spread(|found| found.server_us, 0),
            spread(|found| found.client_us, 0),
            against(|found| 1.0 / (found.server_us + found.client_us)),
            ms(p50),
            ms(p99),
            spread(|found| found.others * 100.0, 0) + " %",
        );
    }
    println!();
}
