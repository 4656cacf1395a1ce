//! A process that is killed loses nothing that it acknowledged.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use telemetry_log::Options;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::support::{append, event, open, read_on};

/// Where the child process finds its log.
const ROOT: &str = "TELEMETRY_LOG_TEST_ROOT";

fn options() -> Options {
    Options { segment_bytes: 20_000, ..Options::default() }
}

/// The child of the test below: appends for ever and tells what was acknowledged. By itself it has
/// nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_appends_until_it_is_killed() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let log = Arc::new(open(Path::new(&root), options()));
    let mut devices = JoinSet::new();
    for device in 0..16 {
        let log = Arc::clone(&log);
        devices.spawn(async move {
            for number in 0_u64.. {
                let body = format!("{}-{device}-{number}", std::process::id());
                let at = append(&log, event(&format!("d{device}"), body.as_bytes())).await;
                println!("acknowledged {} {} {body}", at.partition, at.sequence);
            }
        });
    }
    devices.join_all().await;
}

#[tokio::test]
async fn acknowledged_events_survive_kills() {
    let directory = TempDir::new().unwrap();
    let mut acknowledged: HashMap<(u32, u64), String> = HashMap::new();
    for round in 0..10_usize {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("kill::child_appends_until_it_is_killed")
            .env(ROOT, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut told = 0;
        for line in lines {
            let line = line.unwrap();
            // The test harness of the child talks too.
            let words: Vec<_> = line.split(' ').collect();
            let ["acknowledged", partition, sequence, body] = words[..] else {
                continue;
            };
            let at = (partition.parse().unwrap(), sequence.parse().unwrap());
            let before = acknowledged.insert(at, body.to_owned());
            assert_eq!(before, None, "{at:?} was given twice");
            told += 1;
            if told == 37 + 61 * round {
                child.kill().unwrap();
                break;
            }
        }
        child.wait().unwrap();
        let log = open(directory.path(), options());
        let mut kept = HashMap::new();
        for partition in 0..4 {
            for (sequence, (position, event)) in (0..).zip(read_on(&log, partition, 0).await) {
                assert_eq!(position.sequence, sequence);
                kept.insert((partition, sequence), String::from_utf8(event.body).unwrap());
            }
        }
        for (at, body) in &acknowledged {
            assert_eq!(kept.get(at), Some(body), "round {round}, {at:?}");
        }
        assert_eq!(told, 37 + 61 * round, "the child ended by itself");
        println!("round {round}: {} acknowledged, {} kept", acknowledged.len(), kept.len());
    }
}
