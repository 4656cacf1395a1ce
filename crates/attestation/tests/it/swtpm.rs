//! A software TPM: what the service wraps, a TPM unwraps. Peers: swtpm, tpm2-tools.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use attestation::SymmetricKey;
use attestation::sas::SasToken;
use attestation::tpm::{Challenge, EndorsementKey, StorageRootKey, seal};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::{IdScope, RegistrationId};

use crate::pki::NOW;

/// Persistent handles that the SDKs use. Source: `dps-device-api` §6.4.
const ENDORSEMENT_KEY: &str = "0x81010001";
const STORAGE_ROOT_KEY: &str = "0x81000001";
/// Far above what a busy machine needs to start a process.
const STARTS_WITHIN: Duration = Duration::from_secs(60);
const ENTROPY: [u8; 32] = [7; 32];

/// A TPM with an endorsement key and a storage root key; it ends when dropped.
struct Tpm {
    process: Child,
    directory: PathBuf,
}

impl Tpm {
    /// Starts one; none where the Debian packages `swtpm` and `tpm2-tools` are not installed.
    fn start(test: &str, endorsement: &str, storage: &str) -> Option<Self> {
        let tools = ["swtpm", "tpm2_createek"];
        let missing = |tool: &&str| Command::new(tool).arg("--version").output().is_err();
        if let Some(missing) = tools.iter().find(|tool| missing(tool)) {
            assert!(std::env::var_os("CI").is_none(), "{test} cannot run here: no {missing}");
            println!("skipped: no {missing}: {test}");
            return None;
        }
        let tpm = Self::running();
        tpm.run("tpm2_createek", &["-c", ENDORSEMENT_KEY, "-G", endorsement, "-u", "ek"]);
        let attributes = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted\
                          |decrypt";
        let scheme = format!("{storage}:aes128cfb");
        let primary = ["-C", "o", "-g", "sha256", "-G", &scheme, "-a", attributes, "-c", "srk.ctx"];
        tpm.run("tpm2_createprimary", &primary);
        tpm.run("tpm2_evictcontrol", &["-C", "o", "-c", "srk.ctx", STORAGE_ROOT_KEY]);
        tpm.run("tpm2_flushcontext", &["-t"]);
        tpm.run("tpm2_readpublic", &["-c", STORAGE_ROOT_KEY, "-f", "tss", "-o", "srk"]);
        Some(tpm)
    }

    #[expect(clippy::disallowed_methods, reason = "another process's socket has to be polled for")]
    fn running() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory =
            std::env::temp_dir().join(format!("muster-swtpm-{}-{number}", std::process::id()));
        fs::create_dir_all(directory.join("state")).unwrap();
        let process = Command::new("swtpm")
            .args(["socket", "--tpm2", "--tpmstate", "dir=state"])
            .args(["--server", "type=unixio,path=tpm"])
            .args(["--ctrl", "type=unixio,path=tpm.ctrl"])
            .args(["--flags", "not-need-init,startup-clear"])
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let tpm = Self { process, directory };
        let began = Instant::now();
        while !tpm.tool("tpm2_getrandom", &["1", "-o", "random"]).0 {
            assert!(began.elapsed() < STARTS_WITHIN, "swtpm does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        tpm
    }

    /// Runs a tool in the TPM's directory: whether it succeeded, and what it says.
    fn tool(&self, tool: &str, arguments: &[&str]) -> (bool, String) {
        let done = Command::new(tool)
            .args(arguments)
            .current_dir(&self.directory)
            .env("TPM2TOOLS_TCTI", format!("swtpm:path={}", self.path("tpm").display()))
            .output()
            .unwrap();
        (done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned())
    }

    #[track_caller]
    fn run(&self, tool: &str, arguments: &[&str]) {
        let (succeeded, said) = self.tool(tool, arguments);
        assert!(succeeded, "{tool} {arguments:?}: {said}");
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(&self.directory).join(name)
    }

    fn endorsement_key(&self) -> EndorsementKey {
        EndorsementKey::from_bytes(&fs::read(self.path("ek")).unwrap()).unwrap()
    }

    fn storage_root_key(&self) -> StorageRootKey {
        StorageRootKey::from_bytes(&fs::read(self.path("srk")).unwrap()).unwrap()
    }

    /// Takes a wrapped key in, as the SDKs do.
    ///
    /// # Errors
    /// The step that the TPM refuses.
    fn take_in(&self, blob: &[u8]) -> Result<(), &'static str> {
        let [credential, secret, duplicate, seed, public, _uri] = &structures(blob)[..] else {
            panic!("a blob has six parts")
        };
        // The tool's own header: magic and version, big-endian.
        let head = [0xBA, 0xDC, 0xC0, 0xDE, 0, 0, 0, 1];
        fs::write(self.path("cred"), [&head, *credential, *secret].concat()).unwrap();
        for (name, part) in [("dup", duplicate), ("seed", seed), ("pub", public)] {
            fs::write(self.path(name), part).unwrap();
        }
        self.run("tpm2_startauthsession", &["--policy-session", "-S", "session"]);
        self.run("tpm2_policysecret", &["-S", "session", "-c", "e"]);
        let activated = self.tool(
            "tpm2_activatecredential",
            &["-c", STORAGE_ROOT_KEY, "-C", ENDORSEMENT_KEY, "-i", "cred"]
                .into_iter()
                .chain(["-o", "inner", "-P", "session:session"])
                .collect::<Vec<_>>(),
        );
        self.run("tpm2_flushcontext", &["session"]);
        if !activated.0 {
            return Err("activate");
        }
        let import =
            ["-C", STORAGE_ROOT_KEY, "-k", "inner", "-i", "dup", "-s", "seed", "-u", "pub"];
        if !self.tool("tpm2_import", &[&import[..], &["-r", "priv"]].concat()).0 {
            return Err("import");
        }
        let load = ["-C", STORAGE_ROOT_KEY, "-u", "pub", "-r", "priv", "-c", "key.ctx"];
        self.run("tpm2_load", &load);
        self.run("tpm2_flushcontext", &["-t"]);
        Ok(())
    }

    /// The HMAC of a message by the key that was taken in.
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        fs::write(self.path("message"), message).unwrap();
        self.run("tpm2_hmac", &["-c", "key.ctx", "-g", "sha256", "-o", "tag", "message"]);
        self.run("tpm2_flushcontext", &["-t"]);
        fs::read(self.path("tag")).unwrap()
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The structures of a blob, each with its size of 16 bits.
fn structures(mut blob: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let [high, low, ..] = *blob {
        let (one, rest) = blob.split_at(2 + usize::from(u16::from_be_bytes([high, low])));
        found.push(one);
        blob = rest;
    }
    assert!(blob.is_empty());
    found
}

fn key(bytes: usize) -> SymmetricKey {
    SymmetricKey::from_bytes((1..).take(bytes).collect()).unwrap()
}

/// `TPM2_ActivateCredential`, `TPM2_Import`, `TPM2_Load` and `TPM2_HMAC` for each kind of key.
fn a_tpm_signs_with_what_was_wrapped_for_it(endorsement: &str, storage: &str) {
    let test = format!("endorsement key {endorsement}, storage root key {storage}");
    let Some(tpm) = Tpm::start(&test, endorsement, storage) else { return };
    let (ek, srk) = (tpm.endorsement_key(), tpm.storage_root_key());
    for length in [16, 32, 64] {
        let key = key(length);
        let blob = seal(&ek, &srk, &key, "hub.example", &ENTROPY).unwrap();
        assert_eq!(tpm.take_in(&blob), Ok(()), "{length}");
        let message = b"0ne00000001%2Fregistrations%2Fd\n1893456000";
        assert_eq!(tpm.sign(message), key.sign(message), "{length}");
    }
}

#[test]
fn rsa_endorsement_key_and_rsa_storage_root_key() {
    a_tpm_signs_with_what_was_wrapped_for_it("rsa", "rsa2048");
}

#[test]
fn ecc_endorsement_key_and_ecc_storage_root_key() {
    a_tpm_signs_with_what_was_wrapped_for_it("ecc", "ecc256");
}

#[test]
fn ecc_endorsement_key_and_rsa_storage_root_key() {
    a_tpm_signs_with_what_was_wrapped_for_it("ecc", "rsa2048");
}

#[test]
fn what_is_wrapped_for_other_keys_or_altered_is_not_taken_in() {
    let Some(tpm) = Tpm::start("wrapped for others", "rsa", "ecc256") else { return };
    let Some(other) = Tpm::start("wrapped for others", "rsa", "ecc256") else { return };
    let key = key(32);
    let (ek, srk) = (tpm.endorsement_key(), tpm.storage_root_key());
    let (other_ek, other_srk) = (other.endorsement_key(), other.storage_root_key());
    assert!(ek != other_ek && srk != other_srk);
    let wrapped = |ek, srk| seal(ek, srk, &key, "", &ENTROPY).unwrap();

    assert_eq!(tpm.take_in(&wrapped(&other_ek, &srk)), Err("activate"));
    assert_eq!(tpm.take_in(&wrapped(&ek, &other_srk)), Err("activate"));
    let good = wrapped(&ek, &srk);
    let sizes: Vec<usize> = structures(&good).iter().map(|part| part.len()).collect();
    // The last byte of each part but the last, which is empty.
    let mut end = 0;
    for (size, refused) in sizes.iter().zip(["activate", "activate", "import", "import", "import"])
    {
        end += size;
        let mut altered = good.clone();
        altered[end - 1] ^= 1;
        assert_eq!(tpm.take_in(&altered), Err(refused), "byte {end}");
    }
    assert_eq!(tpm.take_in(&good), Ok(()));
}

#[test]
fn d_25_a_token_that_a_tpm_signs_answers_the_challenge() {
    let Some(tpm) = Tpm::start("challenge", "rsa", "rsa2048") else { return };
    let (ek, srk) = (tpm.endorsement_key(), tpm.storage_root_key());
    let challenge = Challenge {
        id_scope: &IdScope::parse("0ne00ABCDEF").unwrap(),
        registration_id: &RegistrationId::parse("device").unwrap(),
        endorsement_key: &ek.name(),
        storage_root_key: &srk.name(),
        after: "",
    };
    let secret = key(64);
    let blob = seal(&ek, &srk, &challenge.key(&secret, NOW), "uri", &ENTROPY).unwrap();
    tpm.take_in(&blob).unwrap();

    let signed = "0ne00ABCDEF%2Fregistrations%2Fdevice\n1893456000";
    let (resource, expires) = signed.split_once('\n').unwrap();
    let base64 = STANDARD.encode(tpm.sign(signed.as_bytes()));
    let escaped = base64.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let text =
        format!("SharedAccessSignature sr={resource}&sig={escaped}&se={expires}&skn=registration");
    let token = SasToken::parse(&text).unwrap();
    assert!(challenge.answered(&secret, &token, NOW).is_some());
    assert!(challenge.answered(&key(63), &token, NOW).is_none());
}
