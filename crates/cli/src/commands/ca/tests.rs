use std::process::Command;

use serde_json::Value;

use super::*;
use crate::output::tests::Kept;

fn now() -> Timestamp {
    // What openssl compares with is the machine's clock; a day of margin on either side is enough.
    let modified = tempfile::tempdir().unwrap().path().metadata().unwrap().modified().unwrap();
    let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_unix_seconds(0).plus(since)
}

fn make(dir: &Path, words: &[&str]) -> Result<Value> {
    #[derive(clap::Parser)]
    struct Standalone {
        #[command(flatten)]
        ca: Ca,
    }
    let words: Vec<String> = words
        .iter()
        .map(|word| match word.strip_prefix("@") {
            Some(name) => dir.join(name).to_str().unwrap().to_owned(),
            None => (*word).to_owned(),
        })
        .collect();
    let words = std::iter::once("ca".to_owned()).chain(words);
    let ca = <Standalone as clap::Parser>::try_parse_from(words).unwrap().ca;
    let kept = Kept::default();
    let screen = crate::output::Screen::None;
    let sink = Box::new(kept.clone());
    let output = crate::output::Output::new(crate::Format::Json, None, screen, sink);
    let global = crate::GlobalArgs {
        output: crate::Format::Json,
        query: None,
        data_dir: Some(dir.into()),
        ca_file: None,
        auth_type: None,
        token_file: None,
    };
    let transport = std::sync::Arc::new(crate::https::Https { system_bundle: None });
    ca.run(&mut Session { global, token: None, transport, clock: now, output })?;
    Ok(serde_json::from_str(&kept.text()).unwrap())
}

/// Whether openssl, where there is one, holds the leaf good for a TLS client under the root.
fn verifies(dir: &Path, root: &str, leaf: &str) -> bool {
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let ran = Command::new("openssl")
        .args(["verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", &path(root)])
        .args(["-untrusted", &path(&format!("{leaf}.chain.pem")), &path(&format!("{leaf}.pem"))])
        .output();
    match ran {
        Ok(ran) if ran.status.success() => true,
        Ok(ran) => {
            eprintln!("{}", String::from_utf8_lossy(&ran.stderr));
            false
        }
        Err(_) => {
            eprintln!("skipped: no openssl here");
            true
        }
    }
}

fn certificates(dir: &Path, name: &str) -> usize {
    let text = std::fs::read_to_string(dir.join(name)).unwrap();
    text.matches("-----BEGIN CERTIFICATE-----").count()
}

#[test]
fn a_chain_of_every_kind_of_key_verifies() {
    for key in ["p256", "p384", "rsa2048", "ed25519"] {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        make(dir, &["root", "--name", "My Root", "--out", "@root", "--key-type", key]).unwrap();
        make(dir, &["intermediate", "--name", "A", "--issuer", "@root", "--out", "@a"]).unwrap();
        make(dir, &["intermediate", "--name", "B", "--issuer", "@a", "--out", "@b"]).unwrap();
        let leaf =
            ["leaf", "--name", "sensor-thl-002", "--issuer", "@b", "--out", "@s.1", "--key-type"];
        let made = make(dir, &[&leaf[..], &[key]].concat()).unwrap();
        assert_eq!(made["subject"], "CN=sensor-thl-002");
        assert_eq!(made["sha256Thumbprint"].as_str().unwrap().len(), 64);
        assert!(!dir.join("root.chain.pem").exists());
        assert_eq!(certificates(dir, "s.1.pem"), 1);
        assert_eq!(certificates(dir, "s.1.chain.pem"), 3, "leaf, B and A, but no root");
        assert!(verifies(dir, "root.pem", "s.1"), "{key}");
    }
}

#[test]
fn a_leaf_without_an_issuer_signs_itself() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), &["leaf", "--name", "d", "--out", "@d"]).unwrap();
    assert_eq!(certificates(dir.path(), "d.chain.pem"), 1);
}

#[test]
fn c_01_a_proof_names_the_code_and_is_signed_by_the_ca() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), &["root", "--name", "R", "--out", "@root"]).unwrap();
    let words = ["proof", "--code", "0A1B", "--issuer", "@root", "--out", "@proof"];
    let made = make(dir.path(), &words).unwrap();
    assert_eq!((made["subject"].as_str(), made.get("key")), (Some("CN=0A1B"), None));
    let read = |name: &str| {
        let pem = std::fs::read(dir.path().join(name)).unwrap();
        attestation::x509::Certificate::from_upload(&pem).unwrap()
    };
    let (root, proof) = (read("root.pem"), read("proof.pem"));
    assert_eq!(proof.common_name(), Ok("0A1B"));
    assert_eq!(proof.verify_signed_by(&root), Ok(()));
    assert!(!proof.is_ca());
    assert!(make(dir.path(), &words).unwrap_err().to_string().contains("exists already"));
}

#[test]
fn nothing_is_overwritten_unasked() {
    let dir = tempfile::tempdir().unwrap();
    let words = ["root", "--name", "R", "--out", "@root"];
    make(dir.path(), &words).unwrap();
    let before = std::fs::read(dir.path().join("root.key.pem")).unwrap();
    let told = make(dir.path(), &words).unwrap_err().to_string();
    assert!(told.contains("exists already\nhint: choose another --out"), "{told}");
    assert_eq!(std::fs::read(dir.path().join("root.key.pem")).unwrap(), before);
    make(dir.path(), &[&words[..], &["--force"]].concat()).unwrap();
    assert_ne!(std::fs::read(dir.path().join("root.key.pem")).unwrap(), before);
}

#[cfg(unix)]
#[test]
fn keys_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("root.key.pem");
    std::fs::write(&key, "old").unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    make(dir.path(), &["root", "--name", "R", "--out", "@root", "--force"]).unwrap();
    assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_leaf_signs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), &["leaf", "--name", "d", "--out", "@d"]).unwrap();
    let told = make(dir.path(), &["leaf", "--name", "e", "--issuer", "@d", "--out", "@e"]);
    let told = told.map(drop).unwrap_err().to_string();
    assert!(told.contains("may not sign certificates"), "{told}");
    let told = make(dir.path(), &["leaf", "--name", "e", "--issuer", "@none", "--out", "@e"]);
    let told = told.map(drop).unwrap_err().to_string();
    assert!(told.contains("hint: --issuer is the --out of"), "{told}");
}
