//! The Azure command line with its IoT extension, by connection string: without a sign-in.

use crate::matrix::{Client, Notes, Purpose};
use crate::{DPS, Server, World, sdk};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::{env, fs};

/// Names the `az` to run; unset, one is looked for on the path.
const PROGRAM: &str = "MUSTER_AZ";
/// In its settings: which module has which command. It takes seconds to make, so worlds copy it.
const INDEX: &str = "commandIndex.json";
/// Where `az` finds its extensions.
const EXTENSIONS: &str = "AZURE_EXTENSION_DIR";

/// `az` with one server: its provisioning service and its first hub.
#[derive(Debug)]
pub struct Az<'a> {
    world: &'a World,
    ca: PathBuf,
    dps: String,
    hub: String,
    id_scope: String,
}

impl<'a> Az<'a> {
    pub fn new(world: &'a World, server: &Server) -> Self {
        let settings = settings(world);
        fs::create_dir_all(&settings).unwrap();
        // Without one, `az` makes its own.
        let _ = fs::copy(sdk::folder().join("azure").join(INDEX), settings.join(INDEX));
        Self {
            world,
            ca: server.ca(),
            dps: server.dps().connection_string().to_owned(),
            hub: server.hub("hub1").connection_string().to_owned(),
            id_scope: server.id_scope(),
        }
    }

    /// Whether there is one with the extension; if so, both versions.
    pub(crate) fn versions() -> Option<&'static str> {
        static FOUND: OnceLock<Option<String>> = OnceLock::new();
        FOUND.get_or_init(find).as_deref()
    }

    /// A command on the provisioning service: `az.dps("iot dps enrollment list")`.
    ///
    /// Words are parted at spaces; the output is returned, `Null` for none.
    ///
    /// # Errors
    ///
    /// What `az` wrote when it ended with a failure.
    pub fn dps(&self, words: &str) -> Result<Value, String> {
        self.service(words, &["--login", &self.dps])
    }

    /// A command on the first hub.
    ///
    /// # Errors
    ///
    /// As [`Az::dps`].
    pub fn hub(&self, words: &str) -> Result<Value, String> {
        self.service(words, &["--login", &self.hub])
    }

    /// A command that needs no service.
    ///
    /// # Errors
    ///
    /// As [`Az::dps`].
    pub fn offline(&self, words: &str) -> Result<Value, String> {
        self.service(words, &[])
    }

    /// `iot device registration create` with these options: `--rid meter-1 --key …`.
    ///
    /// # Errors
    ///
    /// As [`Az::dps`].
    pub fn register(&self, words: &str) -> Result<Value, String> {
        self.registration(words, &[])
    }

    /// [`Az::register`] of an individual enrollment, with the key that `az` fetches for it.
    ///
    /// # Errors
    ///
    /// As [`Az::dps`].
    pub fn register_by_login(&self, words: &str) -> Result<Value, String> {
        self.registration(words, &["--login", &self.dps])
    }

    fn service(&self, words: &str, login: &[&str]) -> Result<Value, String> {
        let words: Vec<&str> = words.split(' ').collect();
        let result = self.run(&words, login);
        let call: Vec<&str> =
            words.iter().copied().take_while(|word| !word.starts_with('-')).collect();
        let seen = if result.is_ok() { "done" } else { "refused" };
        self.notes(Purpose::Service, "HTTPS", "shared access policy").saw(&call.join(" "), seen);
        result
    }

    fn registration(&self, words: &str, login: &[&str]) -> Result<Value, String> {
        let create = "iot device registration create --host";
        let mut all: Vec<&str> = create.split(' ').collect();
        all.extend([DPS, "--id-scope", &self.id_scope]);
        all.extend(words.split(' '));
        let result = self.run(&all, login);
        let credential = if words.contains("--cp") { "X.509" } else { "symmetric key" };
        let seen = match &result {
            Ok(_) => "assigned",
            Err(error) if error.contains("disabled") => "disabled",
            Err(error) if error.contains("Unauthorized") => "unauthorized",
            Err(_) => "failed",
        };
        self.notes(Purpose::Register, "MQTT", credential).saw("", seen);
        result
    }

    fn run(&self, words: &[&str], login: &[&str]) -> Result<Value, String> {
        let mut command = az(&self.ca, &settings(self.world));
        command.args(words).args(login).args(["--only-show-errors", "--output", "json"]);
        let output = command.output().unwrap();
        let (out, err) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        println!("az {}: {}\n{out}{err}", words.join(" "), output.status);
        if !output.status.success() {
            return Err(err.into_owned());
        }
        Ok(if out.trim().is_empty() { Value::Null } else { serde_json::from_str(&out).unwrap() })
    }

    fn notes(&self, purpose: Purpose, transport: &'static str, credential: &'static str) -> Notes {
        let version = Self::versions().expect("an az, as az_world found one").to_owned();
        let name = "az with azure-iot".to_owned();
        Notes::new(self.world, purpose, Client { name, version, transport, credential })
    }
}

fn find() -> Option<String> {
    let (nobody, settings) = (Path::new("/dev/null"), sdk::folder().join("azure"));
    let output = az(nobody, &settings).args(["version", "--output", "json"]).output().ok()?;
    let versions: Value = serde_json::from_slice(&output.stdout).ok()?;
    let extension = versions["extensions"]["azure-iot"].as_str()?;
    let version = format!("{} with {extension}", versions["azure-cli"].as_str()?);
    if !settings.join(INDEX).exists() {
        az(nobody, &settings).args(["iot", "dps", "enrollment", "--help"]).output().ok()?;
    }
    Some(version)
}

fn settings(world: &World) -> PathBuf {
    world.dir().join("azure")
}

/// `az` with settings of its own, that installs, reports and asks for nothing.
fn az(ca: &Path, settings: &Path) -> Command {
    let program = env::var_os(PROGRAM).unwrap_or_else(|| "az".into());
    let mut command = sdk::client(Path::new(&program), ca);
    command.env("AZURE_CONFIG_DIR", settings).env(EXTENSIONS, extensions());
    command.env("AZURE_CORE_COLLECT_TELEMETRY", "no");
    command.env("AZURE_EXTENSION_USE_DYNAMIC_INSTALL", "no");
    command.stdin(Stdio::null());
    command
}

/// The folder that `az` itself would take, before its settings were put elsewhere.
fn extensions() -> PathBuf {
    let settings = || {
        let home = || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".azure");
        env::var_os("AZURE_CONFIG_DIR").map_or_else(home, PathBuf::from).join("cliextensions")
    };
    env::var_os(EXTENSIONS).map_or_else(settings, PathBuf::from)
}
