//! `serve --ephemeral`, `--fixture` and `wait-ready`.

use std::fs;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

use crate::process::{Scratch, error_of};

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn fixture(scratch: &Scratch) -> String {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap().pem();
    scratch.write("pinned.pem", &certificate);
    scratch.write("pinned.key.pem", &key.serialize_pem());
    scratch.write(
        "fleet.toml",
        &format!(
            r#"
[ca]
certificate = "pinned.pem"
key = "pinned.key.pem"
[[hubs]]
name = "east"
[[hubs.devices]]
deviceId = "gauge"
[[dps]]
name = "fleet"
id_scope = "0ne00C0FFEE"
[[dps.policies]]
name = "provisioningserviceowner"
primary_key = "{KEY}"
[[dps.enrollment_groups]]
enrollmentGroupId = "g"
attestation = {{ type = "symmetricKey", symmetricKey = {{ primaryKey = "{KEY}", secondaryKey = "{KEY}" }} }}
[[dps.enrollments]]
registrationId = "sensor"
attestation = {{ type = "symmetricKey" }}
"#
        ),
    );
    certificate
}

/// What the fixture says is what the APIs show, and what the CLI is believed by.
fn is_there(scratch: &Scratch) {
    let shown = scratch.json("iot dps show --dps-name fleet");
    assert_eq!(shown["properties"]["idScope"], "0ne00C0FFEE");
    let string = scratch.json("iot dps connection-string show --dps-name fleet");
    assert!(string["connectionString"].as_str().unwrap().ends_with(KEY), "{string}");
    let entries = scratch.json("iot dps enrollment list --dps-name fleet");
    assert_eq!(entries[0]["registrationId"], "sensor");
    let devices = scratch.json("iot hub device-identity list --hub-name east");
    assert_eq!(devices[0]["deviceId"], "gauge");
}

/// A device of the fixture's group registers by the device API.
fn registers(scratch: &Scratch) {
    let key = scratch.run(&format!(
        "iot dps enrollment-group compute-device-key --key {KEY} --registration-id leaf"
    ));
    let key = String::from_utf8(key.stdout).unwrap().trim().trim_matches('"').to_owned();
    let registered = scratch.run(&format!(
        "iot device registration create --dps-name fleet --registration-id leaf --symmetric-key {key}"
    ));
    assert!(registered.status.success(), "{}", error_of(&registered));
    let devices = scratch.json("iot hub device-identity list --hub-name east").to_string();
    assert!(devices.contains("\"leaf\""), "{devices}");
}

#[test]
fn an_ephemeral_server_has_what_the_fixture_says_and_keeps_nothing() {
    let scratch = Scratch::new();
    let pinned = fixture(&scratch);
    let server = scratch.serve(" --ephemeral --fixture fleet.toml");
    is_there(&scratch);
    registers(&scratch);
    let mut names: Vec<_> = fs::read_dir(scratch.path("data"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["admin.json", "ca.pem"]);
    assert_eq!(fs::read_to_string(scratch.path("data/ca.pem")).unwrap(), pinned);
    server.stop();
    let server = scratch.serve(" --ephemeral");
    assert_ne!(fs::read_to_string(scratch.path("data/ca.pem")).unwrap(), pinned);
    assert_eq!(scratch.json("iot dps list").as_array().unwrap().len(), 1, "the first start's own");
    server.stop();
}

#[test]
fn the_banner_shows_no_key_to_what_is_not_a_terminal() {
    let scratch = Scratch::new();
    let server = scratch.serve("");
    let log = scratch.log();
    assert!(!log.contains("SharedAccessKey"), "{log}");
    let shown = log.lines().filter(|line| line.contains(" connection-string show "));
    let shown: Vec<_> = shown.filter_map(|line| line.trim().strip_prefix("muster ")).collect();
    assert_eq!(shown.len(), 2, "{log}");
    for command in shown {
        let string = scratch.json(command)["connectionString"].to_string();
        assert!(string.contains(";SharedAccessKey="), "{command}: {string}");
    }
    server.stop();
    let scratch = Scratch::new();
    let server = scratch.serve(" --ephemeral");
    assert!(scratch.log().contains(";SharedAccessKey="), "its keys end with it");
    server.stop();
}

#[test]
fn a_second_ephemeral_server_leaves_the_first_ones_directory_alone() {
    let scratch = Scratch::new();
    let server = scratch.serve(" --ephemeral");
    let admin = fs::read_to_string(scratch.path("data/admin.json")).unwrap();
    let mut second = scratch.command("serve --https-port 0 --mqtt-port 0");
    let second = second.env("MUSTER_EPHEMERAL", "1").output().unwrap();
    let told = error_of(&second);
    assert_eq!(second.status.code(), Some(1), "{told}");
    assert!(told.contains("another ephemeral server is running on "), "{told}");
    assert_eq!(fs::read_to_string(scratch.path("data/admin.json")).unwrap(), admin);
    server.stop();
    scratch.serve(" --ephemeral").stop();
}

#[test]
fn a_new_ca_for_data_that_was_found_is_told() {
    let scratch = Scratch::new();
    scratch.serve("").stop();
    assert!(!scratch.log().contains("is new: the data was found"), "{}", scratch.log());
    fs::remove_dir_all(scratch.path("data/pki")).unwrap();
    scratch.serve("").stop();
    assert!(
        scratch.log().contains("is new: the data was found without a CA."),
        "{}",
        scratch.log()
    );
}

#[test]
fn an_empty_data_directory_in_the_environment_is_none() {
    let scratch = Scratch::new();
    let mut named = scratch.command("wait-ready --timeout 0 --data-dir there");
    let named = named.env("MUSTER_DATA_DIR", "").output().unwrap();
    assert!(error_of(&named).contains("there/admin.json"), "{}", error_of(&named));
    let mut unnamed = scratch.command("wait-ready --timeout 0");
    let unnamed = unnamed.env("MUSTER_DATA_DIR", "").output().unwrap();
    assert!(error_of(&unnamed).contains("muster-data/admin.json"), "{}", error_of(&unnamed));
}

#[test]
fn a_directory_that_nobody_named_is_removed_at_the_end() {
    let scratch = Scratch::new();
    let mut command = scratch.command("serve --ephemeral --https-port 0 --mqtt-port 0");
    command.env_remove("MUSTER_DATA_DIR").stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = String::new();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    while !lines.contains("CA certificate") {
        assert_ne!(std::io::BufRead::read_line(&mut out, &mut lines).unwrap(), 0, "{lines}");
    }
    let ca = lines.rsplit("CA certificate").next().unwrap().trim();
    assert!(fs::exists(ca).unwrap(), "{ca}");
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").arg(id).status().unwrap().success());
    // Read to the end, so that the server does not write into a closed pipe.
    std::io::Read::read_to_string(&mut out, &mut String::new()).unwrap();
    assert!(child.wait().unwrap().success());
    let dir = std::path::Path::new(ca).parent().unwrap();
    assert!(!fs::exists(dir).unwrap(), "{}", dir.display());
}

#[test]
fn a_fixture_with_faults_starts_nothing() {
    let scratch = Scratch::new();
    scratch.write(
        "fleet.toml",
        "[[dps]]\nname = \"dps\"\n[[dps.enrollments]]\nregistrationId = \"x\"\n\
         iotHubHostName = \"nowhere.localhost\"\nattestation = { type = \"symmetricKey\" }\n",
    );
    for how in [" --ephemeral", ""] {
        let output =
            scratch.run(&format!("serve --https-port 0 --mqtt-port 0 --fixture fleet.toml{how}"));
        assert_eq!(output.status.code(), Some(2), "{}", error_of(&output));
        assert!(error_of(&output).contains("fleet.toml: dps[0].enrollments[0]: "), "{output:?}");
        assert!(!fs::exists(scratch.path("data")).unwrap(), "something was made");
    }
}

#[test]
fn a_fixture_is_for_a_first_start_alone() {
    let scratch = Scratch::new();
    fixture(&scratch);
    let server = scratch.serve(" --fixture fleet.toml");
    is_there(&scratch);
    server.stop();
    let again = scratch.run("serve --https-port 0 --mqtt-port 0 --fixture fleet.toml");
    assert_eq!(again.status.code(), Some(1));
    assert!(error_of(&again).contains("is not empty"), "{}", error_of(&again));
    let over = scratch.run("serve --https-port 0 --mqtt-port 0 --ephemeral");
    assert!(error_of(&over).contains("not ephemeral"), "{}", error_of(&over));
    let server = scratch.serve("");
    is_there(&scratch);
    server.stop();
}

/// What it has made of a fixture is not taken for the whole.
#[test]
fn a_first_start_that_is_cut_off_is_finished_by_the_next() {
    let scratch = Scratch::new();
    fixture(&scratch);
    scratch.write("half.toml", "[[hubs]]\nname = \"half\"\n");
    scratch.serve(" --fixture half.toml").stop();
    // As it is before a first start makes keys: the database has some of the fixture.
    fs::remove_dir_all(scratch.path("data/pki")).unwrap();
    scratch.write("data/.filling", "");
    let without = scratch.run("serve --https-port 0 --mqtt-port 0");
    assert_eq!(without.status.code(), Some(1));
    assert!(error_of(&without).contains("--fixture (MUSTER_FIXTURE) once more"), "{without:?}");
    let server = scratch.serve(" --fixture fleet.toml");
    is_there(&scratch);
    let hubs = scratch.json("iot hub list");
    assert!(!hubs.to_string().contains("half"), "{hubs}");
    server.stop();
    let server = scratch.serve("");
    is_there(&scratch);
    server.stop();
}

#[test]
fn wait_ready_tells_why_there_is_no_answer() {
    let scratch = Scratch::new();
    let nobody = scratch.run("wait-ready --timeout 0");
    assert_eq!(nobody.status.code(), Some(1));
    assert!(error_of(&nobody).contains("admin.json"), "{}", error_of(&nobody));
    scratch.serve(" --ephemeral").stop();
    let gone = scratch.run("wait-ready --timeout 0");
    assert_eq!(gone.status.code(), Some(1));
    assert!(error_of(&gone).contains("no answer within 0 s"), "{}", error_of(&gone));
}
