//! Devices of a storm and those beside it: many at once on one thread, each from an address of its
//! own, and the process that is the storm.

use crate::server::ID_SCOPE;
use e2e::mqtt::{Connect, Packet, Sent, packet, publish, subscribe};
use e2e::{DPS, Tls, derived_key, escape, in_seconds, sas_token};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use std::cell::Cell;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The first argument of the process that is the storm.
pub(crate) const ARGUMENT: &str = "storm-clients";
/// How long a device waits for the end of its attempt, as SDKs do.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a token is good for, in seconds.
const TOKEN_LIFE: i64 = 3_600;
/// How often the storm says what it has done.
const SAID_EVERY: Duration = Duration::from_millis(500);

/// One device of a symmetric-key group.
#[derive(Clone)]
pub(super) struct Device {
    id: String,
    token: String,
    address: Ipv4Addr,
    tls: Tls,
}

/// Where devices come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// Each from its own address in 127.`net`.0.0/16.
    Own { net: u8 },
    /// All from one.
    One,
}

impl From {
    fn address(self, number: usize) -> Ipv4Addr {
        let [high, low] = u16::try_from(number + 1).unwrap().to_be_bytes();
        match self {
            Self::Own { net } => Ipv4Addr::new(127, net, high, low),
            Self::One => Ipv4Addr::LOCALHOST,
        }
    }
}

/// So many devices of the group with this key.
pub(super) fn fleet(name: &str, count: usize, ca: &Path, key: &str, from: From) -> Vec<Device> {
    let tls = Tls::trusting(ca);
    let device = |number| {
        let id = format!("{name}-{number}");
        let resource = escape(&format!("{ID_SCOPE}/registrations/{id}"));
        let key = derived_key(key, &id);
        let token = sas_token(&resource, &key, in_seconds(TOKEN_LIFE), Some("registration"));
        Device { id, token, address: from.address(number), tls: tls.clone() }
    };
    (0..count).map(device).collect()
}

/// Registers and polls once over MQTT, as SDKs do but for their waits; gives the status.
///
/// # Errors
/// The connection's, and those of a server that is silent too long.
pub(super) async fn attempt(device: &Device, port: u16) -> io::Result<String> {
    timeout(PATIENCE, attempted(device, port)).await.map_err(|_| io::ErrorKind::TimedOut)?
}

async fn attempted(device: &Device, port: u16) -> io::Result<String> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((device.address, 0)))?;
    let tcp = socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from(DPS).unwrap();
    let mut wire = TlsConnector::from(device.tls.config()).connect(name, tcp).await?;
    let username = format!("{ID_SCOPE}/registrations/{}/api-version=2019-03-31", device.id);
    let sign_in = Connect {
        client_id: &device.id,
        username: Some(&username),
        password: Some(&device.token),
        will: None,
    };
    wire.write_all(&sign_in.bytes()).await?;
    read(&mut wire).await?;
    wire.write_all(&subscribe(1, "$dps/registrations/res/#", 1)).await?;
    read(&mut wire).await?;
    let body = json!({ "registrationId": device.id }).to_string();
    let register = "$dps/registrations/PUT/iotdps-register/?$rid=1";
    let accepted = ask(&mut wire, register, 2, body.as_bytes()).await?;
    let operation = accepted["operationId"].as_str().ok_or(io::ErrorKind::InvalidData)?;
    let poll = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=2";
    let polled = ask(&mut wire, &format!("{poll}&operationId={operation}"), 3, b"").await?;
    wire.write_all(&packet(0xe0, b"")).await?;
    let status = polled["status"].as_str().ok_or(io::ErrorKind::InvalidData)?;
    Ok(status.to_owned())
}

async fn ask(
    wire: &mut TlsStream<TcpStream>,
    topic: &str,
    packet_id: u16,
    body: &[u8],
) -> io::Result<Value> {
    wire.write_all(&publish(topic, body, Sent::AtLeastOnce(packet_id))).await?;
    read(wire).await?;
    let answer = read(wire).await?;
    let (topic, payload) = answer.message();
    let id_at = 2 + topic.len();
    wire.write_all(&packet(0x40, &answer.body[id_at..id_at + 2])).await?;
    Ok(serde_json::from_slice(payload)?)
}

async fn read(wire: &mut TlsStream<TcpStream>) -> io::Result<Packet> {
    let header = wire.read_u8().await?;
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        let byte = wire.read_u8().await?;
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    wire.read_exact(&mut body).await?;
    Ok(Packet { header, body })
}

/// What a storm has done until now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Done {
    /// Attempts that ended with a final refusal.
    pub(super) refused: u64,
    /// Attempts that the server dropped or did not answer.
    pub(super) broken: u64,
}

impl Done {
    pub(super) fn of_line(line: &str) -> Self {
        let mut numbers = line.split_whitespace().map(|number| number.parse().unwrap());
        Self { refused: numbers.next().unwrap(), broken: numbers.next().unwrap() }
    }

    pub(super) fn since(self, before: Self) -> Self {
        Self { refused: self.refused - before.refused, broken: self.broken - before.broken }
    }
}

/// Runs as the storm until killed: every device tries again as soon as it is refused.
pub(super) fn run(arguments: &[String]) {
    let [name, count, ca, key, net, port] = arguments else { panic!("not for people") };
    let from = match net.as_str() {
        "one" => From::One,
        net => From::Own { net: net.parse().unwrap() },
    };
    let port = port.parse().unwrap();
    let devices = fleet(name, count.parse().unwrap(), Path::new(ca), key, from);
    let done = Rc::new(Cell::new(Done::default()));
    let tasks = tokio::task::LocalSet::new();
    for device in devices {
        let done = Rc::clone(&done);
        tasks.spawn_local(async move {
            loop {
                let attempted = attempt(&device, port).await;
                let mut now = done.get();
                match attempted.as_deref() {
                    Ok("disabled") => now.refused += 1,
                    Ok(other) => panic!("{} is {other}", device.id),
                    Err(_) => now.broken += 1,
                }
                done.set(now);
            }
        });
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tasks.block_on(&runtime, async {
        loop {
            let Done { refused, broken } = done.get();
            println!("{refused} {broken}");
            sleep(SAID_EVERY).await;
        }
    });
}

/// Attempts of these devices in turn, so many a second whatever becomes of them; for each that was
/// assigned, how long it took from when it was due.
pub(super) fn healthy(devices: &[Device], per_second: u32, lasts: Duration, port: u16) -> Took {
    let tasks = tokio::task::LocalSet::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let every = Duration::from_secs(1) / per_second;
    tasks.block_on(&runtime, async {
        let begun = Instant::now();
        let mut started = Vec::new();
        for (number, device) in (0_u32..).zip(devices.iter().cycle()) {
            let due = begun + every * number;
            if due >= begun + lasts {
                break;
            }
            sleep(due.saturating_duration_since(Instant::now())).await;
            let device = device.clone();
            started.push(tokio::task::spawn_local(async move {
                let attempted = attempt(&device, port).await;
                matches!(attempted.as_deref(), Ok("assigned")).then(|| due.elapsed())
            }));
        }
        let mut took = Took::default();
        for attempt in started {
            match attempt.await.unwrap() {
                Some(time) => took.assigned.push(time),
                None => took.failed += 1,
            }
        }
        took
    })
}

/// What became of healthy devices.
#[derive(Debug, Default)]
pub(super) struct Took {
    /// From when each attempt was due to *assigned*.
    pub(super) assigned: Vec<Duration>,
    /// How many were not assigned.
    pub(super) failed: usize,
}
