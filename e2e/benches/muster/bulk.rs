//! A million enrollments, by the service API's bulk call and by the command line's load.

use crate::load::burst;
use crate::process::Process;
use crate::registrations::GROUP_KEY;
use crate::server::{DPS_NAME, Scene, Server, binary};
use e2e::{DPS, Pki, Tls, Wire, escape, in_seconds, sas_token};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Enrollments of one bulk call, as many as the API takes.
const PER_CALL: u64 = 10;
/// Connections that call at once.
const CONNECTIONS: usize = 16;
/// How long the server may take to answer a call.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the operator's token is good for, in seconds.
const TOKEN_LIFE: i64 = 3_600;

/// Measures and prints.
pub(crate) fn run(dir: &Path, quick: bool) {
    let count = if quick { 5_000 } else { 1_000_000 };
    println!("### Bulk load\n");
    println!("{count} individual enrollments with symmetric keys, into an empty server.\n");
    println!(
        "| How | seconds | enrollments a second | server CPU, µs each | server memory at the most, MiB |"
    );
    println!("|---|---|---|---|---|");
    by_calls(&dir.join("calls"), count);
    by_command(&dir.join("command"), count);
    println!();
}

fn server(dir: &Path) -> Server {
    Pki::in_dir(dir.join("pki")).root("root");
    let fixture = dir.join("fixture.toml");
    let scene = Scene { root: "pki/root.pem", group_key: GROUP_KEY };
    fs::write(&fixture, scene.fixture()).unwrap();
    Server::start(&dir.join("data"), Some(&fixture))
}

fn enrollment(number: u64) -> Value {
    json!({
        "registrationId": format!("bulk-{number:08}"),
        "attestation": {
            "type": "symmetricKey",
            "symmetricKey": { "primaryKey": GROUP_KEY, "secondaryKey": GROUP_KEY },
        },
    })
}

/// The service API, ten at a time, over connections that stay open.
fn by_calls(dir: &Path, count: u64) {
    let server = server(dir);
    let authorization = operator(dir);
    let tls = Tls::trusting(&server.ca);
    let connect = || {
        let tcp = TcpStream::connect(("127.0.0.1", server.https_port)).unwrap();
        let wire = tls.try_over(DPS, tcp).unwrap();
        wire.patience(PATIENCE);
        wire
    };
    let idle: Mutex<Vec<Wire>> = Mutex::new((0..CONNECTIONS).map(|_| connect()).collect());
    let calls: Vec<u64> = (0..count / PER_CALL).collect();
    let call = |call: &u64| {
        let first = call * PER_CALL;
        let enrollments: Vec<Value> = (first..first + PER_CALL).map(enrollment).collect();
        let body = json!({ "mode": "create", "enrollments": enrollments }).to_string();
        let mut wire = idle.lock().unwrap().pop().expect("a connection for each client");
        wire.send(
            format!(
                "POST /enrollments?api-version=2021-10-01 HTTP/1.1\r\nHost: {DPS}\r\n\
                 Authorization: {authorization}\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .as_bytes(),
        );
        let answer = wire.reply().expect("an answer").expect(200);
        assert_eq!(answer["isSuccessful"], true, "{answer}");
        idle.lock().unwrap().push(wire);
    };
    let burst = burst(&calls, CONNECTIONS, &server.process, call);
    print("service API, 10 a call", count, burst.took, burst.server_cpu, &server.process);
    server.process.stop();
}

/// A token of the provisioning service's owner.
fn operator(dir: &Path) -> String {
    let output = Command::new(binary())
        .args(["iot", "dps", "connection-string", "show", "--dps-name", DPS_NAME])
        .args(["--output", "json"])
        .env("MUSTER_DATA_DIR", dir.join("data"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = shown["connectionString"].as_str().unwrap();
    let part = |name: &str| text.split(';').find_map(|p| p.strip_prefix(name)).unwrap();
    let (policy, key) = (part("SharedAccessKeyName="), part("SharedAccessKey="));
    sas_token(&escape(DPS), key, in_seconds(TOKEN_LIFE), Some(policy))
}

/// `muster iot dps enrollment load`, from a file of JSON lines.
fn by_command(dir: &Path, count: u64) {
    let load = ["iot", "dps", "enrollment", "load"];
    if !Command::new(binary()).args(load).arg("--help").output().unwrap().status.success() {
        println!("\nThis binary has no `muster iot dps enrollment load`.");
        return;
    }
    let server = server(dir);
    let file = dir.join("enrollments.jsonl");
    let mut lines = BufWriter::new(File::create(&file).unwrap());
    for number in 0..count {
        writeln!(lines, "{}", enrollment(number)).unwrap();
    }
    lines.flush().unwrap();
    drop(lines);
    let cpu = server.process.cpu();
    let begun = Instant::now();
    let output = Command::new(binary())
        .args(load)
        .args(["--dps-name", DPS_NAME, "--file"])
        .arg(&file)
        .env("MUSTER_DATA_DIR", dir.join("data"))
        .output()
        .unwrap();
    let took = begun.elapsed();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let what = "`muster iot dps enrollment load`";
    print(what, count, took, server.process.cpu() - cpu, &server.process);
    server.process.stop();
    fs::remove_file(file).unwrap();
}

fn print(how: &str, count: u64, took: Duration, cpu: Duration, server: &Process) {
    let seconds = took.as_secs_f64();
    println!(
        "| {how} | {seconds:.1} | {:.0} | {:.0} | {} |",
        count as f64 / seconds,
        cpu.as_secs_f64() * 1e6 / count as f64,
        server.resident_bytes_max() >> 20
    );
}
