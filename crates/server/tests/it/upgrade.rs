//! What an earlier program left behind: its backups, and those of a later one.

use std::fs;
use std::path::{Path, PathBuf};

use crate::process::{Scratch, error_of};

/// The databases of every earlier schema, as SQL.
fn dumps() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../store-sqlite/tests/upgrade");
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let dumps: Vec<_> =
        files.filter(|file| file.extension().is_some_and(|kind| kind == "sql")).collect();
    assert!(!dumps.is_empty());
    dumps
}

/// A data directory as an earlier program left it: its database alone, which is not opened.
fn left_behind(scratch: &Scratch, dump: &Path) -> rusqlite::Connection {
    fs::create_dir(scratch.path("data")).unwrap();
    let database = rusqlite::Connection::open(scratch.path("data/control.db")).unwrap();
    database.execute_batch(&fs::read_to_string(dump).unwrap()).unwrap();
    database
}

#[test]
fn a_backup_of_every_earlier_schema_is_restored_and_served() {
    for dump in dumps() {
        let scratch = Scratch::new();
        drop(left_behind(&scratch, &dump));
        let saved = scratch.run("backup --to old.tar");
        assert!(saved.status.success(), "{}", error_of(&saved));
        fs::rename(scratch.path("data"), scratch.path("lost")).unwrap();
        let restored = scratch.run("restore --from old.tar");
        assert!(restored.status.success(), "{}", error_of(&restored));
        let server = scratch.serve("");
        let names = |words: &str, member: &str| -> Vec<String> {
            let list = scratch.json(words);
            let name = |one: &serde_json::Value| one[member].as_str().unwrap().to_owned();
            let mut names: Vec<String> = list.as_array().unwrap().iter().map(name).collect();
            names.sort();
            names
        };
        for (words, member, expected) in [
            ("iot dps list", "name", vec!["dps", "second"]),
            (
                "iot dps enrollment list --dps-name dps",
                "registrationId",
                vec!["blocked", "hooked", "keyed", "module", "sensor-own"],
            ),
            (
                "iot dps enrollment-group list --dps-name dps",
                "enrollmentGroupId",
                vec!["keys", "sensors", "signed"],
            ),
            (
                "iot hub device-identity list --hub-name hub3",
                "deviceId",
                vec!["edge", "off", "plain", "printed"],
            ),
        ] {
            assert_eq!(names(words, member), expected, "{words} of {}", dump.display());
        }
        // A device that the earlier program knew registers again, by its key and by its group's.
        for how in ["keyed", "in-group --group-id keys", "fresh --group-id keys"] {
            let register = "iot device registration create --dps-name dps --registration-id";
            let answer = scratch.run(&format!("{register} {how}"));
            assert!(answer.status.success(), "{how}: {}", error_of(&answer));
        }
        let blocked =
            scratch.run("iot device registration create --dps-name dps --registration-id blocked");
        assert!(!blocked.status.success());
        server.stop();
    }
}

#[test]
fn a_data_directory_of_a_newer_program_is_not_served() {
    let scratch = Scratch::new();
    let database = left_behind(&scratch, &dumps()[0]);
    database.execute_batch("UPDATE schema_version SET version = 9000").unwrap();
    drop(database);
    let output = scratch.run("serve --https-port 0 --mqtt-port 0");
    assert_eq!(output.status.code(), Some(1));
    let error = error_of(&output);
    assert!(error.contains("schema version 9000, written by a newer program"), "{error}");
}
