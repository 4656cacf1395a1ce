//! `backup` and `restore`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::process::{Scratch, error_of};

/// A backup that was made while the server ran, and the server's own view at that time.
fn backed_up(scratch: &Scratch) -> (Vec<u8>, serde_json::Value) {
    let server = scratch.serve("");
    let enrollment = "iot dps enrollment create --dps-name dps --enrollment-id kept \
                      --attestation-type symmetricKey";
    scratch.json(enrollment);
    let shown = scratch.json("iot dps enrollment show --dps-name dps --enrollment-id kept");
    let output = scratch.run("backup --to saved.tar --with-telemetry");
    assert!(output.status.success(), "{}", error_of(&output));
    server.stop();
    let file = scratch.path("saved.tar");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    (fs::read(file).unwrap(), shown)
}

/// The names in the scratch directory, to see that nothing was left.
fn names(scratch: &Scratch) -> Vec<String> {
    let entries = fs::read_dir(scratch.path("")).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A changed backup is refused with the word, and nothing is made.
#[track_caller]
fn refused(scratch: &Scratch, bytes: &[u8], word: &str) {
    fs::write(scratch.path("bad.tar"), bytes).unwrap();
    let output = scratch.run("restore --from bad.tar --data-dir fresh");
    let error = error_of(&output);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains(word) && error.contains("nothing was changed"), "{error}");
    assert!(!scratch.path("fresh").exists(), "{error}");
}

#[test]
fn a_backup_of_a_running_server_comes_back_whole() {
    let scratch = Scratch::new();
    let (_, shown) = backed_up(&scratch);
    assert_eq!(names(&scratch), ["data", "saved.tar", "server.log"], "nothing else is left");
    let over = scratch.run("backup --to saved.tar");
    assert!(error_of(&over).contains("is there already"), "{}", error_of(&over));
    let full = scratch.run("restore --from saved.tar");
    assert!(error_of(&full).contains("is not empty"), "{}", error_of(&full));
    let ca = fs::read(scratch.path("data/pki/ca.pem")).unwrap();
    fs::rename(scratch.path("data"), scratch.path("lost")).unwrap();
    let done = scratch.json("restore --from saved.tar");
    assert!(done["files"].as_u64().unwrap() > 2 && done["bytes"].is_u64(), "{done}");
    assert_eq!(done["to"], scratch.path("data").display().to_string());
    for secret in ["control.db", "pki/ca.key.pem", "admin.json"] {
        let mode = fs::metadata(scratch.path("data").join(secret)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
    }
    assert_eq!(fs::read(scratch.path("data/pki/ca.pem")).unwrap(), ca);
    assert!(!scratch.path("data/.restoring").exists());
    let server = scratch.serve("");
    let again = scratch.json("iot dps enrollment show --dps-name dps --enrollment-id kept");
    assert_eq!(again, shown);
    server.stop();
}

#[test]
fn a_truncated_or_changed_backup_changes_nothing() {
    let scratch = Scratch::new();
    let (good, _) = backed_up(&scratch);
    let middle = good.len() / 2;
    let short = [0, 1, 511, 512, 700, middle, good.len() - 1025, good.len() - 512, good.len() - 1];
    for length in short {
        refused(&scratch, &good[..length], "truncated");
    }
    let mut long = good.clone();
    long.push(0);
    refused(&scratch, &long, "does not end");
    // Header, manifest, what is behind it, content, the end: every kind of place.
    let step = good.len() / 40;
    let places = [0, 107, 150, 513, 600].into_iter().chain((0..good.len()).step_by(step));
    for place in places.chain([good.len() - 1]) {
        let mut bad = good.clone();
        bad[place] ^= 1;
        refused(&scratch, &bad, "");
    }
    let changed = good.len() / 2;
    let mut bad = good;
    bad[changed] ^= 0x80;
    refused(&scratch, &bad, "SHA-256 is not the one that was saved");
}

#[test]
fn a_restore_tells_of_when_it_is() {
    let scratch = Scratch::new();
    let (bytes, _) = backed_up(&scratch);
    let text = String::from_utf8_lossy(&bytes);
    let made = text.split("\"made\": \"").nth(1).unwrap().split('"').next().unwrap();
    let output = scratch.run("restore --from saved.tar --data-dir fresh");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = format!(
        "as of {made}: whatever was disabled, deleted, rolled or revoked since then is allowed again"
    );
    assert!(output.status.success() && told.contains(&words), "{told}");
}

/// The beginning of a directory's next start, which must not be one.
#[track_caller]
fn is_not_begun(scratch: &Scratch, mend: &str) {
    let output = scratch.run("serve --https-port 0 --mqtt-port 0");
    let error = error_of(&output);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains(mend), "{error}");
}

#[test]
fn a_directory_that_lost_its_database_is_not_begun_anew() {
    let scratch = Scratch::new();
    let (_, shown) = backed_up(&scratch);
    let control = scratch.path("data/control.db");
    fs::rename(&control, scratch.path("kept.db")).unwrap();
    is_not_begun(&scratch, "put control.db back");
    fs::write(&control, "").unwrap();
    is_not_begun(&scratch, "put control.db back");
    // As a restore leaves it that is cut off before the last file.
    fs::rename(scratch.path("data"), scratch.path("lost")).unwrap();
    fs::create_dir_all(scratch.path("data/.restoring")).unwrap();
    fs::rename(scratch.path("kept.db"), scratch.path("data/.restoring/control.db")).unwrap();
    fs::rename(scratch.path("lost/pki"), scratch.path("data/pki")).unwrap();
    is_not_begun(&scratch, "run muster restore once more");
    let output = scratch.run("restore --from saved.tar");
    assert!(output.status.success(), "{}", error_of(&output));
    assert!(!scratch.path("data/.restoring").exists());
    let server = scratch.serve("");
    let again = scratch.json("iot dps enrollment show --dps-name dps --enrollment-id kept");
    assert_eq!(again, shown);
    server.stop();
}

#[test]
fn what_is_no_restores_is_not_restored_over() {
    let scratch = Scratch::new();
    backed_up(&scratch);
    fs::create_dir(scratch.path("data/.restoring")).unwrap();
    let output = scratch.run("restore --from saved.tar");
    assert!(error_of(&output).contains("is not empty"), "{}", error_of(&output));
    assert!(scratch.path("data/control.db").exists());
}

#[test]
fn there_must_be_something_to_back_up() {
    let scratch = Scratch::new();
    let output = scratch.run("backup --to saved.tar");
    assert_eq!(output.status.code(), Some(1));
    assert!(error_of(&output).contains("--data-dir"), "{}", error_of(&output));
    assert!(!scratch.path("saved.tar").exists());
}
