//! A disk without room.

use std::path::Path;
use std::process::Command;

use store::telemetry::{TelemetryError, TelemetryLog};
use tempfile::TempDir;

use crate::support::{append, bodies, event, hub, one_partition, open};

/// A file system of one mebibyte, until it is dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let directory = TempDir::new().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(directory.path())
            .output();
        mount.is_ok_and(|it| it.status.success()).then_some(Self(directory))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_keeps_what_it_has_and_goes_on() {
    let Some(disk) = SmallDisk::mount() else {
        println!("skipped: no tmpfs can be mounted here");
        return;
    };
    let root = disk.path().join("telemetry");
    let log = open(&root, one_partition());
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![0; 300_000]).unwrap();
    let mut kept = Vec::new();
    let refused = loop {
        let body = vec![kept.len().to_be_bytes()[7]; 30_000];
        match log.append(&hub(), event("d", &body)).await {
            Ok(position) => {
                assert_eq!(position.sequence, kept.len() as u64);
                kept.push(body);
            }
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, TelemetryError::Full), "{refused:?}");
    assert!((10..30).contains(&kept.len()), "{}", kept.len());
    assert_eq!(bodies(&log, 0).await, kept);
    // A new hub finds no room either.
    let other = model::HostName::parse("hub2").unwrap();
    std::fs::write(disk.path().join("more"), vec![0; 1_000_000]).unwrap_err();
    let full = log.append(&other, event("d", b"x")).await;
    assert!(matches!(full, Err(TelemetryError::Full)), "{full:?}");
    std::fs::remove_file(disk.path().join("more")).unwrap();
    std::fs::remove_file(ballast).unwrap();
    let next = append(&log, event("d", b"room again")).await;
    assert_eq!(next.sequence, kept.len() as u64);
    log.append(&other, event("d", b"x")).await.unwrap();
    kept.push(b"room again".to_vec());
    drop(log);
    let log = open(&root, one_partition());
    assert_eq!(bodies(&log, 0).await, kept);
}
