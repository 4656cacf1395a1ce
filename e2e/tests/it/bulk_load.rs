//! Loads of many enrollments by the command line: none lost, none doubled, whoever is killed.

use e2e::{Server, world};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Entries of a load that is interrupted.
const ENTRIES: usize = 30_000;
/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn entry(at: usize) -> Value {
    json!({"registrationId": format!("load-{at:05}"), "attestation": {"type": "symmetricKey",
        "symmetricKey": {"primaryKey": KEY, "secondaryKey": KEY}}})
}

fn write(path: &Path, lines: impl Iterator<Item = String>) {
    let mut text = String::new();
    lines.for_each(|line| writeln!(text, "{line}").unwrap());
    fs::write(path, text).unwrap();
}

fn load(server: &Server, file: &Path, more: &[&str]) -> Command {
    let mut words = vec!["iot", "dps", "enrollment", "load", "--dps-name", "dps", "--file"];
    words.push(file.to_str().unwrap());
    words.extend(more);
    server.muster_command(&words)
}

/// A load that runs, its errors in a file of their own.
fn spawned(server: &Server, file: &Path, more: &[&str], errors: &Path) -> Child {
    let mut command = load(server, file, more);
    command.stdout(Stdio::null()).stderr(File::create(errors).unwrap());
    command.spawn().unwrap()
}

/// A load that ends: its exit code and what it says.
fn ended(server: &Server, file: &Path, more: &[&str]) -> (Option<i32>, Value, String) {
    let output = load(server, file, more).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    println!(
        "load {more:?}: {} {}{errors}",
        output.status,
        String::from_utf8_lossy(&output.stdout)
    );
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or(Value::Null), errors)
}

fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < PATIENCE, "{what} not in {PATIENCE:?}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Every id that the service lists, and none of them twice.
fn ids(server: &Server) -> BTreeSet<String> {
    let listed = server.muster("iot dps enrollment list --dps-name dps");
    let listed = listed.as_array().unwrap();
    let ids: BTreeSet<String> =
        listed.iter().map(|entry| entry["registrationId"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), listed.len());
    ids
}

#[test]
fn a_load_that_is_killed_goes_on_and_loses_nothing() {
    world(|world| {
        let mut server = Server::start(world);
        let file = world.dir().join("fleet.jsonl");
        write(&file, (0..ENTRIES).map(|at| entry(at).to_string()));
        let state = world.dir().join("fleet.jsonl.load-state.json");
        let errors = world.dir().join("load.err");

        // The command is killed once something is acknowledged.
        let mut child = spawned(&server, &file, &[], &errors);
        wait_until("a first chunk", || state.exists() || child.try_wait().unwrap().is_some());
        child.kill().unwrap();
        child.wait().unwrap();
        let acknowledged: Value = serde_json::from_slice(&fs::read(&state).unwrap()).unwrap();
        let acknowledged = acknowledged["records"].as_u64().unwrap();
        assert!(acknowledged > 0 && acknowledged < ENTRIES as u64, "{acknowledged}");

        // Resumed, it lives through a server that is killed and comes back.
        let more = ["--resume", "--patience", "90"];
        let mut child = spawned(&server, &file, &more, &errors);
        let further = || {
            let text = fs::read(&state).unwrap_or_default();
            let state: Value = serde_json::from_slice(&text).unwrap_or_default();
            state["records"].as_u64().unwrap_or(0) > acknowledged
        };
        wait_until("another chunk", || further() || child.try_wait().unwrap().is_some());
        server.kill();
        let ended_early = child.try_wait().unwrap().is_some();
        assert!(!ended_early, "the load was over before the server was killed");
        server.start_again();
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "the resumed load does not end");
            thread::sleep(Duration::from_millis(20));
        };
        let told = fs::read_to_string(&errors).unwrap();
        assert!(status.success(), "{told}");
        assert!(told.contains("going on behind"), "{told}");
        assert!(told.contains("waiting for the server"), "{told}");
        assert!(!state.exists());

        let all: BTreeSet<String> = (0..ENTRIES).map(|at| format!("load-{at:05}")).collect();
        assert_eq!(ids(&server), all);
        // And once more, all is as it was.
        let (code, counted, _) = ended(&server, &file, &[]);
        assert_eq!((code, &counted["unchanged"]), (Some(0), &json!(ENTRIES)));
        assert_eq!(counted["created"], 0);
    });
}

#[test]
fn refused_lines_are_reported_and_the_others_loaded() {
    world(|world| {
        let server = Server::start(world);
        let dps = server.dps();
        let mut there = entry(1);
        there["registrationId"] = "there".into();
        there["provisioningStatus"] = "disabled".into();
        dps.put("/enrollments/there", &there).expect(200);
        let file = world.dir().join("fleet.csv");
        write(
            &file,
            [
                "\u{feff}registrationId,deviceId,primaryKey,secondaryKey,tags,iotHubs,allocationPolicy",
                &format!("good,\"dev-1\",{KEY},{KEY},\"{{\"\"site\"\":\"\"a, b\"\"}}\",hub1.localhost,static\r"),
                "bad id!,,,,,,",
                &format!("there,other,{KEY},{KEY},,,"),
                &format!("no-hub,,{KEY},,,nowhere.localhost,hashed"),
                "short-key,,a2V5,,,,",
                "",
                "generated,,,,,,",
                "GOOD,,,,,,",
                "cells,,",
            ]
            .iter()
            .map(|line| (*line).to_owned()),
        );
        let (code, counted, errors) = ended(&server, &file, &[]);
        assert_eq!(code, Some(1));
        assert!(errors.contains("6 of 8 entries were refused"), "{errors}");
        assert_eq!((&counted["created"], &counted["refused"]), (&json!(2), &json!(6)));
        let report = fs::read_to_string(world.dir().join("fleet.csv.refused.jsonl")).unwrap();
        let report: Vec<Value> =
            report.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let told: Vec<_> = report
            .iter()
            .map(|line| {
                let code = line["errorCode"].as_u64().unwrap();
                (line["line"].as_u64().unwrap(), line["registrationId"].as_str().unwrap(), code)
            })
            .collect();
        assert_eq!(
            told,
            [
                (3, "bad id!", 400_004),
                (4, "there", 409_201),
                (5, "no-hub", 400_004),
                (6, "short-key", 400_004),
                (9, "GOOD", 400_000),
                (10, "cells", 400_000),
            ]
        );
        assert!(!format!("{report:?}").contains("a2V5"), "no key gets into a report");
        let good = dps.get("/enrollments/good").expect(200);
        assert_eq!(good["initialTwin"]["tags"]["site"], "a, b");
        assert_eq!(good["iotHubs"], json!(["hub1.localhost"]));
        let keys =
            dps.post("/enrollments/generated/attestationmechanism", &Value::Null).expect(200);
        assert_eq!(keys["symmetricKey"]["primaryKey"].as_str().unwrap().len(), 88);

        // To replace says nothing of the status: who is shut out stays so.
        let (_, counted, _) = ended(&server, &file, &["--on-existing", "replace"]);
        assert_eq!((&counted["unchanged"], &counted["replaced"]), (&json!(2), &json!(1)));
        let there = dps.get("/enrollments/there").expect(200);
        assert_eq!(there["provisioningStatus"], "disabled");
    });
}

#[test]
fn a_load_needs_the_right_and_knows_its_bounds() {
    world(|world| {
        let server = Server::start(world);
        let dps = server.dps();
        let path = "/muster/v1/enrollments/load";
        // Of an empty body nothing becomes; each bound is told.
        assert_eq!(dps.call("POST", path, &[], None).expect(200), json!({"lines": []}));
        dps.call("GET", path, &[], None).expect(405);
        dps.call("POST", &format!("{path}?existing=perhaps"), &[], None).expect(400);
        dps.call("POST", "/muster/v1/enrollments", &[], None).expect(404);
        dps.call("POST", path, &[("Content-Type", "text/csv")], None).expect(415);
        let told = dps.post(path, &entry(1)).expect(200);
        assert_eq!(
            told["lines"],
            json!([{"line": 1, "registrationId": "load-00001", "result": "created"}])
        );
        let wide = dps.post(path, &json!({"registrationId": "x".repeat(2 << 20)}));
        wide.expect(400);
        // A key of another service opens nothing.
        let (host, policy, _) = dps.owner();
        let other = format!("HostName={host};SharedAccessKeyName={policy};SharedAccessKey={KEY}");
        let file = world.dir().join("f.jsonl");
        write(&file, [entry(2).to_string()].into_iter());
        let mut command = server.muster_command(&[
            "iot",
            "dps",
            "enrollment",
            "load",
            "--login",
            &other,
            "--file",
            file.to_str().unwrap(),
        ]);
        let output = command.env("MUSTER_CA_FILE", server.ca()).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && errors.contains("401"), "{errors}");
        dps.get("/enrollments/load-00002").expect(404);
    });
}
