//! The server's own certificates: shown by name, checked at the start, replaced while it runs.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use crate::process::{Scratch, error_of};
use crate::tls_client::{Authority, Connection, Kind, first};

const HOST: &str = "dps.localhost";

/// Longer than a poll of the files, and than a busy machine needs for two.
const PATIENCE: u32 = 600;

/// Looks again until there is something to see.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "another process is waited for")]
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..PATIENCE {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("never: {what}");
}

/// A folder as Kubernetes mounts a secret: the files are links into `..data`, which is a link to
/// a folder that is replaced as a whole.
fn publish(scratch: &Scratch, folder: &str, version: &str, (chain, key): &(String, String)) {
    let folder = scratch.path(folder);
    let inside = folder.join(version);
    fs::create_dir_all(&inside).unwrap();
    for (name, text) in [("tls.crt", chain), ("tls.key", key)] {
        fs::write(inside.join(name), text).unwrap();
        fs::set_permissions(inside.join(name), fs::Permissions::from_mode(0o600)).unwrap();
        let _ = symlink(Path::new("..data").join(name), folder.join(name));
    }
    symlink(version, folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
}

fn configure(scratch: &Scratch, folders: &[&str]) {
    let each = |folder: &&str| {
        format!("[[tls.certificates]]\nchain = \"{folder}/tls.crt\"\nkey = \"{folder}/tls.key\"\n")
    };
    scratch.write("muster.toml", &folders.iter().map(each).collect::<String>());
}

fn https_port(scratch: &Scratch) -> u16 {
    let text = fs::read_to_string(scratch.path("data/admin.json")).unwrap();
    let admin: serde_json::Value = serde_json::from_str(&text).unwrap();
    admin["url"].as_str().unwrap().rsplit_once(':').unwrap().1.parse().unwrap()
}

/// The number behind a word of the log.
fn port_after(scratch: &Scratch, word: &str) -> u16 {
    let log = scratch.log();
    let rest = log.split_once(word).unwrap().1;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

/// The value of a metric.
fn metric(scratch: &Scratch, series: &str) -> Option<String> {
    let port = port_after(scratch, "monitoring on http://127.0.0.1:");
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.map(str::to_owned)
}

#[test]
fn a_host_is_shown_its_own_certificate_by_the_key_that_the_client_knows() {
    let scratch = Scratch::new();
    let authority = Authority::new("ours");
    let names = [HOST, "muster.localhost"];
    let ecdsa = authority.server(&names, Kind::Ecdsa, 90);
    let rsa = authority.server(&[HOST], Kind::Rsa, 90);
    publish(&scratch, "ecdsa", "1", &ecdsa);
    publish(&scratch, "rsa", "1", &rsa);
    configure(&scratch, &["ecdsa", "rsa"]);
    // `wait-ready`, which this waits for, trusts what the server wrote down for it.
    let server = scratch.serve("");
    let mqtt_port = port_after(&scratch, "MQTT on ");
    for port in [https_port(&scratch), mqtt_port] {
        for (kind, own) in [(Kind::Ecdsa, &ecdsa), (Kind::Rsa, &rsa)] {
            let shown = Connection::open(port, HOST, &authority.root, kind).unwrap().leaf();
            assert_eq!(shown, first(&own.0));
            // Other names have the development CA's.
            let development = fs::read_to_string(scratch.path("data/pki/ca.pem")).unwrap();
            Connection::open(port, "hub1.localhost", &development, kind).unwrap();
        }
        // The own one for this name has no RSA, and nobody who believes it believes another.
        let none = Connection::open(port, "muster.localhost", &authority.root, Kind::Rsa);
        assert!(none.is_err());
    }
    assert!(
        scratch.log().contains("Certificate     dps.localhost, muster.localhost (ECDSA), until")
    );
    server.stop();
}

#[test]
fn a_replacement_is_shown_to_new_connections_and_live_ones_stay() {
    let scratch = Scratch::new();
    let (before, after) = (Authority::new("before"), Authority::new("after"));
    let names = [HOST, "muster.localhost"];
    publish(&scratch, "own", "1", &before.server(&names, Kind::Ecdsa, 90));
    configure(&scratch, &["own"]);
    let server = scratch.serve(" --monitoring 127.0.0.1:0");
    let port = https_port(&scratch);
    let mut live = Connection::open(port, HOST, &before.root, Kind::Ecdsa).unwrap();
    assert!(live.get(HOST).starts_with("http/1.1 4"));
    publish(&scratch, "own", "2", &after.server(&names, Kind::Ecdsa, 90));
    server.signal("HUP");
    until("the new certificate", || Connection::open(port, HOST, &after.root, Kind::Ecdsa).ok());
    assert!(Connection::open(port, HOST, &before.root, Kind::Ecdsa).is_err());
    assert!(live.get(HOST).starts_with("http/1.1 4"), "a live connection is left alone");
    let replaced = metric(&scratch, "muster_tls_certificate_replacements_total");
    assert_eq!(replaced.as_deref(), Some("1"));
    // The command line on this machine goes along with the change of issuer.
    until("trust", || scratch.run("iot dps list").status.success().then_some(()));
    server.stop();
}

#[test]
fn a_faulty_replacement_keeps_the_old_certificate_until_it_is_mended() {
    let scratch = Scratch::new();
    let authority = Authority::new("ours");
    let good = authority.server(&[HOST], Kind::Ecdsa, 90);
    publish(&scratch, "own", "1", &good);
    configure(&scratch, &["own"]);
    let server = scratch.serve(" --monitoring 127.0.0.1:0");
    let port = https_port(&scratch);
    let shown = || Connection::open(port, HOST, &authority.root, Kind::Ecdsa).unwrap().leaf();
    let faulty = || metric(&scratch, "muster_tls_certificates_faulty").unwrap();
    assert_eq!(faulty(), "0");
    let next = authority.server(&[HOST], Kind::Ecdsa, 90);
    publish(&scratch, "own", "2", &(next.0.clone(), good.1.clone()));
    server.signal("HUP");
    until("the fault is counted", || (faulty() == "1").then_some(()));
    let log = scratch.log();
    assert!(log.contains("was NOT replaced") && log.contains("is not the key of the"), "{log}");
    assert_eq!(shown(), first(&good.0));
    // No signal: the files are looked at again by themselves.
    publish(&scratch, "own", "3", &next);
    until("the mended certificate", || (shown() == first(&next.0)).then_some(()));
    until("no fault is left", || (faulty() == "0").then_some(()));
    fs::remove_file(scratch.path("own/..data")).unwrap();
    until("the missing files are counted", || (faulty() == "1").then_some(()));
    assert_eq!(shown(), first(&next.0), "what is gone from the disk is shown on");
    server.stop();
}

#[test]
fn all_faults_of_all_certificates_are_told_before_the_start() {
    let scratch = Scratch::new();
    let authority = Authority::new("ours");
    let (one, other) = (
        authority.server(&[HOST], Kind::Ecdsa, 90),
        authority.server(&["hub1.localhost"], Kind::Ecdsa, 90),
    );
    publish(&scratch, "mixed", "1", &(one.0.clone(), other.1));
    let leaf = one.0.split_inclusive("-----END CERTIFICATE-----").next().unwrap().to_owned();
    publish(&scratch, "swapped", "1", &(one.1, leaf));
    configure(&scratch, &["mixed", "swapped", "missing"]);
    for command in ["config check", "serve --https-port 0 --mqtt-port 0"] {
        let output = scratch.run(command);
        let error = error_of(&output);
        assert_eq!(output.status.code(), Some(2), "{error}");
        for part in [
            "tls.certificates[0].key: is not the key of the chain's first certificate",
            "tls.certificates[1].chain: holds \"PRIVATE KEY\"",
            "tls.certificates[1].key: holds \"CERTIFICATE\"",
            "tls.certificates[2].chain: missing/tls.crt: No such file",
            "tls.certificates[2].key: missing/tls.key: No such file",
        ] {
            assert!(error.contains(part), "{part} in {error}");
        }
        assert!(!scratch.path("data").exists(), "nothing was started");
    }
    // Commands that show no certificate do not ask for them.
    let shown = scratch.run("config show");
    assert!(shown.status.success(), "{}", error_of(&shown));
}

#[test]
fn an_open_key_and_a_near_end_are_warned_of() {
    let scratch = Scratch::new();
    let authority = Authority::new("ours");
    publish(&scratch, "own", "1", &authority.server(&[HOST], Kind::Ecdsa, 6));
    let key = scratch.path("own/tls.key");
    fs::set_permissions(key, fs::Permissions::from_mode(0o644)).unwrap();
    configure(&scratch, &["own"]);
    let checked = scratch.run("config check");
    assert!(checked.status.success(), "{}", error_of(&checked));
    assert!(error_of(&checked).contains("everybody on this machine can read own/tls.key"));
    let server = scratch.serve(" --monitoring 127.0.0.1:0");
    let log = scratch.log();
    assert!(log.contains("everybody on this machine can read"), "{log}");
    assert!(log.contains("the certificate of dps.localhost ends at"), "{log}");
    let series = r#"muster_tls_certificate_expiry_timestamp_seconds{certificate="own",host="dps.localhost",key="ecdsa"}"#;
    assert!(metric(&scratch, series).is_some());
    server.stop();
    // Named by flags, as well.
    fs::remove_file(scratch.path("muster.toml")).unwrap();
    let flags = " --tls-chain own/tls.crt --tls-key own/tls.key";
    let server = scratch.serve(flags);
    let port = https_port(&scratch);
    Connection::open(port, HOST, &authority.root, Kind::Ecdsa).unwrap();
    server.stop();
}
