//! Opening what a crash, or a bad disk, left behind.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use model::HostName;
use store::telemetry::TelemetryLog;
use telemetry_log::{Fault, Options};
use tempfile::TempDir;

use crate::support::{
    append, bodies, corrupt, event, fault, hub, one_partition, open, read_on, segments,
};

/// A log of three events, and where the last one begins in its segment.
async fn three_events(root: &Path) -> (Vec<u8>, usize) {
    let log = open(root, one_partition());
    append(&log, event("d", b"first")).await;
    append(&log, event("d", b"second")).await;
    let path = &segments(root, 0)[0];
    let before = fs::read(path).unwrap().len();
    let mut last = event("d", b"the last one");
    last.properties = vec![("k".into(), None), ("l".into(), Some("ü".into()))];
    append(&log, last).await;
    (fs::read(path).unwrap(), before)
}

/// Opens the log with this segment, and expects the first two events to have survived alone.
async fn check_cut(root: &Path, segment: &[u8], whole: usize, what: &str) {
    let path = &segments(root, 0)[0];
    fs::write(path, segment).unwrap();
    let log = open(root, one_partition());
    assert_eq!(bodies(&log, 0).await, [&b"first"[..], b"second"], "{what}");
    assert_eq!(fs::read(path).unwrap().len(), whole, "{what}");
    assert_eq!(append(&log, event("d", b"new")).await.sequence, 2, "{what}");
    drop(log);
    let log = open(root, one_partition());
    assert_eq!(bodies(&log, 0).await, [&b"first"[..], b"second", b"new"], "{what}");
}

#[tokio::test]
async fn a_tail_torn_at_any_length_is_cut_and_nothing_else() {
    let directory = TempDir::new().unwrap();
    let (segment, whole) = three_events(directory.path()).await;
    for length in whole..segment.len() {
        let torn = &segment[..length];
        check_cut(directory.path(), torn, whole, &format!("length {length}")).await;
        // A file system may have made the file longer before the bytes arrived.
        let mut zeros = torn.to_vec();
        zeros.resize(segment.len() + 5000, 0);
        if zeros[..segment.len()] != segment {
            let what = format!("length {length}, then zeros");
            check_cut(directory.path(), &zeros, whole, &what).await;
        }
    }
}

#[tokio::test]
async fn a_tail_with_any_flipped_byte_is_cut() {
    let directory = TempDir::new().unwrap();
    let (segment, whole) = three_events(directory.path()).await;
    for at in whole..segment.len() {
        let mut flipped = segment.clone();
        flipped[at] ^= 1 << (at % 8);
        check_cut(directory.path(), &flipped, whole, &format!("byte {at}")).await;
    }
}

#[tokio::test]
async fn damage_in_an_older_segment_is_an_error_and_what_lies_around_it_is_read() {
    let directory = TempDir::new().unwrap();
    let root = directory.path();
    let options = Options { segment_bytes: 250, ..one_partition() };
    let log = open(root, options.clone());
    for number in 0..12_u8 {
        append(&log, event("d", &[number; 20])).await;
    }
    drop(log);
    let files = segments(root, 0);
    let good = fs::read(&files[1]).unwrap();
    assert_eq!(files[1].file_name().unwrap(), "00000000000000000003.log");
    let record = good.len() / 3;
    for at in record..2 * record {
        let mut flipped = good.clone();
        flipped[at] ^= 0x10;
        fs::write(&files[1], flipped).unwrap();
        let log = open(root, options.clone());
        let before = log.read(&hub(), 0, 0, 100).await.unwrap();
        assert_eq!(before.len(), 4, "byte {at}");
        let error = fault(log.read(&hub(), 0, 4, 100).await);
        let corrupt = corrupt(&error);
        assert_eq!((corrupt.sequence, corrupt.offset), (4, record as u64), "byte {at}");
        assert_eq!(corrupt.segment, files[1]);
        assert_eq!(read_on(&log, 0, 6).await.len(), 6, "byte {at}");
    }
    fs::write(&files[1], good).unwrap();
    assert_eq!(read_on(&open(root, options), 0, 0).await.len(), 12);
}

/// A read that finds its way over damage answers with the right events or says what is wrong.
#[tokio::test]
async fn damage_on_the_way_to_a_record_never_leads_to_another() {
    let directory = TempDir::new().unwrap();
    let root = directory.path();
    let options = Options { segment_bytes: 250, ..one_partition() };
    let log = open(root, options.clone());
    for number in 0..6_u8 {
        append(&log, event("d", &[number; 20])).await;
    }
    drop(log);
    let file = segments(root, 0).remove(0);
    let good = fs::read(&file).unwrap();
    for at in 0..good.len() / 3 {
        let mut flipped = good.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&file, flipped).unwrap();
        let log = open(root, options.clone());
        let read = log.read(&hub(), 0, 2, 1).await;
        match at {
            // The length, or the sequence.
            0..4 | 8..16 => {
                let error = fault(read);
                assert_eq!(corrupt(&error).segment, file, "byte {at}");
            }
            _ => assert_eq!(read.unwrap()[0].1.body, [2; 20], "byte {at}"),
        }
    }
}

#[tokio::test]
async fn a_cut_or_missing_older_segment_is_an_error() {
    let directory = TempDir::new().unwrap();
    let root = directory.path();
    let options = Options { segment_bytes: 250, ..one_partition() };
    let log = open(root, options.clone());
    for number in 0..12_u8 {
        append(&log, event("d", &[number; 20])).await;
    }
    drop(log);
    let file = segments(root, 0).remove(1);
    let good = fs::read(&file).unwrap();
    let check = async |sequence: u64, expected: Fault| {
        let log = open(root, options.clone());
        let before = log.read(&hub(), 0, 0, 100).await.unwrap();
        assert_eq!(before.len() as u64, sequence);
        let error = fault(log.read(&hub(), 0, sequence, 100).await);
        assert_eq!((corrupt(&error).sequence, corrupt(&error).fault), (sequence, expected));
        assert_eq!(read_on(&log, 0, 6).await.len(), 6);
    };
    fs::write(&file, &good[..good.len() - 1]).unwrap();
    check(5, Fault::Cut).await;
    fs::write(&file, &good[..good.len() / 3 * 2]).unwrap();
    check(5, Fault::Missing).await;
    fs::remove_file(&file).unwrap();
    check(3, Fault::Missing).await;
}

#[tokio::test]
async fn more_than_one_write_can_tear_is_set_aside_not_destroyed() {
    let directory = TempDir::new().unwrap();
    let root = directory.path();
    let log = open(root, one_partition());
    append(&log, event("d", b"first")).await;
    let left = fs::read(&segments(root, 0)[0]).unwrap().len();
    for _ in 0..7 {
        append(&log, event("d", &vec![5; 1_000_000])).await;
    }
    drop(log);
    let path = segments(root, 0).remove(0);
    let mut segment = fs::read(&path).unwrap();
    segment[left + 500] ^= 1;
    fs::write(&path, &segment).unwrap();
    let log = open(root, one_partition());
    assert_eq!(bodies(&log, 0).await, [b"first"]);
    assert_eq!(fs::read(&path).unwrap().len(), left);
    let aside = path.with_extension(format!("{left}.cut"));
    assert_eq!(fs::read(aside).unwrap(), &segment[left..]);
    assert_eq!(append(&log, event("d", b"on")).await.sequence, 1);
    drop(log);
    assert_eq!(bodies(&open(root, one_partition()), 0).await, [&b"first"[..], b"on"]);
}

#[tokio::test]
async fn a_whole_record_in_the_wrong_place_is_never_cut() {
    let directory = TempDir::new().unwrap();
    let root = directory.path();
    let (segment, _) = three_events(root).await;
    let path = segments(root, 0).remove(0);
    let mut repeated = segment.clone();
    repeated.extend_from_slice(&segment);
    fs::write(&path, &repeated).unwrap();
    let log = open(root, one_partition());
    let error = fault(log.append(&hub(), event("d", b"x")).await);
    assert_eq!(corrupt(&error).fault, Fault::Sequence(0));
    fault(log.read(&hub(), 0, 0, 1).await);
    assert_eq!(fs::read(&path).unwrap(), repeated);
    let other = HostName::parse("hub2").unwrap();
    log.append(&other, event("d", b"x")).await.expect("another hub works");
}

#[tokio::test]
async fn a_form_from_the_future_is_kept_and_refused_on_read() {
    let directory = TempDir::new().unwrap();
    let root = directory.path();
    let (mut segment, whole) = three_events(root).await;
    // The last record again, with a form that nobody knows, under a checksum that holds.
    let payload = &mut segment[whole + 16..];
    payload[0] = 9;
    let mut sealed = payload.to_vec();
    let length = u32::try_from(sealed.len()).unwrap();
    sealed.extend_from_slice(&length.to_be_bytes());
    sealed.extend_from_slice(&2_u64.to_be_bytes());
    let crc = crc32c(&sealed);
    segment[whole + 4..whole + 8].copy_from_slice(&crc.to_be_bytes());
    fs::write(&segments(root, 0)[0], &segment).unwrap();
    let log = open(root, one_partition());
    assert_eq!(log.bounds(&hub(), 0).unwrap(), 0..3);
    assert_eq!(log.read(&hub(), 0, 0, 10).await.unwrap().len(), 2);
    let error = fault(log.read(&hub(), 0, 2, 10).await);
    assert!(matches!(corrupt(&error).fault, Fault::Payload(_)), "{error}");
    assert_eq!(append(&log, event("d", b"x")).await.sequence, 3);
}

/// Bit by bit, so that it shares nothing with the crate's.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1)))
    })
}

#[tokio::test]
async fn an_unfinished_beginning_is_begun_again() {
    let directory = TempDir::new().unwrap();
    let root = directory.path();
    let hub_directory = root.join(hub().as_str());
    fs::create_dir_all(&hub_directory).unwrap();
    fs::write(hub_directory.join("manifest.new"), "muster tele").unwrap();
    let log = open(root, one_partition());
    assert!(log.hubs().is_empty());
    append(&log, event("d", b"x")).await;
    drop(log);
    // Killed between making a segment's file and writing to it.
    fs::write(hub_directory.join("000/00000000000000000001.log"), "").unwrap();
    let log = open(root, one_partition());
    assert_eq!(append(&log, event("d", b"y")).await.sequence, 1);
    assert_eq!(bodies(&log, 0).await, [b"x", b"y"]);
}

#[tokio::test]
async fn a_hub_without_a_readable_manifest_is_refused_and_left_alone() {
    let directory = TempDir::new().unwrap();
    let root = directory.path();
    append(&open(root, one_partition()), event("d", b"x")).await;
    let manifest = root.join(hub().as_str()).join("manifest");
    for text in [
        Some(""),
        Some("muster telemetry 2\npartitions 1\n"),
        Some("muster telemetry 1\npartitions 0\n"),
        Some("muster telemetry 1\npartitions 33\n"),
        Some("muster telemetry 1\npartitions 1\nmore\n"),
        None,
    ] {
        match text {
            Some(text) => fs::write(&manifest, text).unwrap(),
            None => fs::remove_file(&manifest).unwrap(),
        }
        let log = open(root, one_partition());
        fault(log.append(&hub(), event("d", b"x")).await);
        fault(log.read(&hub(), 0, 0, 1).await);
    }
    assert!(segments(root, 0)[0].exists());
}

#[tokio::test]
async fn names_that_are_not_ours_are_ignored() {
    let directory = TempDir::new().unwrap();
    let root = directory.path();
    append(&open(root, one_partition()), event("d", b"x")).await;
    fs::create_dir(root.join("lost+found")).unwrap();
    fs::create_dir(root.join("UPPER")).unwrap();
    let partition = root.join(hub().as_str()).join("000");
    for name in ["5.log", "00000000000000000009.log.bak", "00000000000000000000.77.cut", "x.log"] {
        fs::write(partition.join(name), "junk").unwrap();
    }
    let log = open(root, one_partition());
    assert_eq!(log.hubs(), [hub()]);
    assert_eq!(bodies(&log, 0).await, [b"x"]);
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A log whose last record is torn: two events, and twenty bytes of a third.
async fn torn() -> TempDir {
    let directory = TempDir::new().unwrap();
    let (_, whole) = three_events(directory.path()).await;
    let path = segments(directory.path(), 0).remove(0);
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(whole as u64 + 20).unwrap();
    directory
}

#[tokio::test]
async fn what_is_cut_is_logged_once() {
    let directory = torn().await;
    let root = directory.path();
    let lines = Lines::default();
    let written = lines.clone();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || written.clone()).finish();
    tracing::subscriber::with_default(subscriber, || {
        drop(open(root, one_partition()));
        drop(open(root, one_partition()));
    });
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    for part in ["WARN", "hub1.example.org", "partition=0", "bytes=20", "next=2"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}
