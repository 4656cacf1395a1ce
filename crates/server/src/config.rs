//! What an operator sets: one TOML file, the environment, flags; later ones win.
//!
//! Precedence: default < file < environment (`MUSTER_…`) < flag. Every field is checked, all
//! faults are told at once, and an unknown key is a fault.

pub(crate) mod access;
pub(crate) mod diagnostics;
pub(crate) mod linked_hubs;
pub(crate) mod monitoring;
pub(crate) mod storms;
pub(crate) mod tls;
pub(crate) mod webhooks;

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use model::ServiceName;
use serde::{Deserialize, Serialize};

use linked_hubs::LinkedHubs;

/// The file that is read when none is named and it is there.
pub(crate) const FILE_DEFAULT: &str = "muster.toml";

/// Flags of `serve` and `config`; each can be set in the environment as well.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Flags {
    /// The configuration file [default: muster.toml, if there is one].
    #[arg(long, env = "MUSTER_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where everything is kept: an option of every command, laid over the file here.
    #[arg(skip)]
    pub(crate) data_dir: Option<PathBuf>,
    /// An address to listen on; may be given several times [default: 127.0.0.1 and ::1].
    #[arg(long = "listen", env = "MUSTER_LISTEN", value_name = "ADDRESS", value_delimiter = ',')]
    pub(crate) listen: Vec<String>,
    /// The port for HTTPS and WebSockets [default: 443, or 8443 where that is not allowed or taken].
    #[arg(long, env = "MUSTER_HTTPS_PORT", value_name = "PORT")]
    pub(crate) https_port: Option<u16>,
    /// The port for MQTT [default: 8883, or 18883 where that is not allowed or taken].
    #[arg(long, env = "MUSTER_MQTT_PORT", value_name = "PORT")]
    pub(crate) mqtt_port: Option<u16>,
    /// PEM chains of the server's own certificates, one for each --tls-key.
    #[arg(long, env = "MUSTER_TLS_CHAIN", value_name = "FILE", value_delimiter = ',')]
    pub(crate) tls_chain: Vec<PathBuf>,
    /// PEM keys of these certificates, in the same order.
    #[arg(long, env = "MUSTER_TLS_KEY", value_name = "FILE", value_delimiter = ',')]
    pub(crate) tls_key: Vec<PathBuf>,
    /// A TOML file of issuers whose bearer tokens operators may show [default: none].
    #[arg(long, env = "MUSTER_ISSUERS_FILE", value_name = "FILE")]
    pub(crate) issuers_file: Option<PathBuf>,
    /// Where monitoring systems ask, or `off` [default: 127.0.0.1:9464, if it is free].
    #[arg(long, env = "MUSTER_MONITORING", value_name = "ADDRESS:PORT")]
    pub(crate) monitoring: Option<String>,
    /// Where traces are sent, over OTLP/HTTP, such as `http://127.0.0.1:4318` [default: nowhere].
    #[arg(long, env = "MUSTER_OTLP_ENDPOINT", value_name = "URL")]
    pub(crate) otlp_endpoint: Option<String>,
    /// How much is logged, such as `info` or `info,gateway=debug` [default: info].
    #[arg(long, env = "MUSTER_LOG", value_name = "FILTER")]
    pub(crate) log: Option<String>,
    /// How log lines look [default: text].
    #[arg(long, env = "MUSTER_LOG_FORMAT", value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The whole configuration, checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Config {
    /// Where everything is kept.
    pub(crate) data_dir: PathBuf,
    /// Where to listen.
    pub(crate) listen: Listen,
    /// The server's own certificates.
    pub(crate) tls: tls::Tls,
    /// Who may call beside shared access policies, and from where.
    pub(crate) access: access::Access,
    /// Whom custom allocation asks, and how.
    pub(crate) webhooks: webhooks::Webhooks,
    /// Which resource logs are kept, and where.
    pub(crate) diagnostics: diagnostics::Diagnostics,
    /// How much work refused devices may make.
    pub(crate) storms: storms::Storms,
    /// Whom linked hubs that live elsewhere are believed by.
    pub(crate) linked_hubs: LinkedHubs,
    /// Where health and metrics are asked for.
    pub(crate) monitoring: Monitoring,
    /// What is logged, and how.
    pub(crate) log: Log,
    /// What a first start makes.
    pub(crate) first_start: FirstStart,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Listen {
    /// The addresses.
    pub(crate) addresses: Vec<IpAddr>,
    /// HTTPS and WebSockets; none: 443, else 8443.
    pub(crate) https_port: Option<u16>,
    /// MQTT; none: 8883, else 18883.
    pub(crate) mqtt_port: Option<u16>,
}

/// Where health and metrics are asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Monitoring {
    /// Plain HTTP; `off` for nowhere.
    pub(crate) address: monitoring::Address,
    /// Where traces are sent; none: where the standard `OTEL_…` variables say, if they do.
    pub(crate) otlp_endpoint: Option<String>,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Log {
    /// Levels, as `tracing-subscriber`'s `EnvFilter` reads them.
    pub(crate) filter: String,
    /// How lines look.
    pub(crate) format: LogFormat,
}

/// What a first start makes in an empty data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct FirstStart {
    /// The provisioning service's name; its host is `{name}.localhost`.
    pub(crate) dps: String,
    /// The hubs' names; their hosts are `{name}.localhost`, all linked.
    pub(crate) hubs: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    data_dir: Option<PathBuf>,
    listen: FileListen,
    tls: tls::FileTls,
    access: access::Access,
    webhooks: webhooks::Webhooks,
    diagnostics: diagnostics::Diagnostics,
    storms: storms::Storms,
    linked_hubs: LinkedHubs,
    monitoring: FileMonitoring,
    log: FileLog,
    first_start: FileFirstStart,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct FileListen {
    addresses: Option<Vec<String>>,
    https_port: Option<u16>,
    mqtt_port: Option<u16>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct FileMonitoring {
    address: Option<String>,
    otlp_endpoint: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct FileLog {
    filter: Option<String>,
    format: Option<LogFormat>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct FileFirstStart {
    dps: Option<String>,
    hubs: Option<Vec<String>>,
}

/// Everything that is wrong with a configuration.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Faults(pub(crate) Vec<String>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0.len() == 1 { "fault" } else { "faults" };
        write!(f, "the configuration has {} {plural}:", self.0.len())?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  - {fault}"))
    }
}

impl std::error::Error for Faults {}

impl Config {
    /// Reads the file, if there is one, and lays the flags over it; `files` tells the faults of
    /// the files that it names.
    ///
    /// # Errors
    /// [`Faults`] with all of them.
    pub(crate) fn load(
        flags: &Flags,
        files: impl FnOnce(&tls::Tls, &webhooks::Webhooks, &access::Access, &LinkedHubs) -> Vec<String>,
    ) -> Result<Self, Faults> {
        let (file, named) = match &flags.config {
            Some(file) => (file.clone(), true),
            None => (PathBuf::from(FILE_DEFAULT), false),
        };
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => String::new(),
            Err(error) => {
                return Err(Faults(vec![format!("{}: {error}", file.display())]));
            }
        };
        Self::check(&text, &file, flags, files)
    }

    fn check(
        text: &str,
        path: &Path,
        flags: &Flags,
        files: impl FnOnce(&tls::Tls, &webhooks::Webhooks, &access::Access, &LinkedHubs) -> Vec<String>,
    ) -> Result<Self, Faults> {
        let mut faults = Vec::new();
        let file = parse(text, path, &mut faults);
        let default = |addresses: &[&str]| addresses.iter().map(|a| (*a).to_owned()).collect();
        let addresses: Vec<String> = match (flags.listen.is_empty(), file.listen.addresses) {
            (false, _) => flags.listen.clone(),
            (true, Some(addresses)) => addresses,
            (true, None) => default(&["127.0.0.1", "::1"]),
        };
        if addresses.is_empty() {
            faults.push("listen.addresses: is empty; name at least one address".to_owned());
        }
        let addresses = addresses
            .iter()
            .filter_map(|text| match text.parse() {
                Ok(address) => Some(address),
                Err(_) => {
                    faults.push(format!(
                        "listen.addresses: {text:?} is not an IP address such as 127.0.0.1 or ::1"
                    ));
                    None
                }
            })
            .collect();
        let tls = tls::read(file.tls, flags, &mut faults);
        let mut access = file.access;
        access.issuers_file = flags.issuers_file.clone().or(access.issuers_file);
        faults.extend(files(&tls, &file.webhooks, &access, &file.linked_hubs));
        faults.extend(crate::diagnostics::categories(&file.diagnostics).err().unwrap_or_default());
        let asked = flags.monitoring.clone().or(file.monitoring.address);
        let monitoring = monitoring::Address::read(asked.as_deref()).unwrap_or_else(|fault| {
            faults.push(fault);
            monitoring::Address::Off
        });
        let otlp_endpoint = flags.otlp_endpoint.clone().or(file.monitoring.otlp_endpoint);
        faults.extend(otlp_endpoint.as_deref().and_then(monitoring::otlp_fault));
        let filter = flags.log.clone().or(file.log.filter).unwrap_or_else(|| "info".to_owned());
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&filter) {
            faults.push(format!("log.filter: {error}; write it like \"info,gateway=debug\""));
        }
        let dps = file.first_start.dps.unwrap_or_else(|| "dps".to_owned());
        let hubs =
            file.first_start.hubs.unwrap_or_else(|| vec!["hub1".to_owned(), "hub2".to_owned()]);
        names(&dps, &hubs, &mut faults);
        let config = Self {
            data_dir: flags
                .data_dir
                .clone()
                .or(file.data_dir)
                .unwrap_or_else(|| PathBuf::from(cli::DATA_DIR_DEFAULT)),
            listen: Listen {
                addresses,
                https_port: flags.https_port.or(file.listen.https_port),
                mqtt_port: flags.mqtt_port.or(file.listen.mqtt_port),
            },
            tls,
            access,
            webhooks: file.webhooks,
            diagnostics: file.diagnostics,
            storms: file.storms,
            linked_hubs: file.linked_hubs,
            monitoring: Monitoring { address: monitoring, otlp_endpoint },
            log: Log { filter, format: flags.log_format.or(file.log.format).unwrap_or_default() },
            first_start: FirstStart { dps, hubs },
        };
        match (config.listen.https_port, config.listen.mqtt_port) {
            (Some(https), Some(mqtt)) if https == mqtt && https != 0 => faults.push(format!(
                "listen.mqtt_port: {mqtt} is listen.https_port as well; MQTT needs its own"
            )),
            (_, _) => {}
        }
        if faults.is_empty() { Ok(config) } else { Err(Faults(faults)) }
    }
}

/// Reads the file; where a table has a fault, the others are read all the same.
fn parse(text: &str, path: &Path, faults: &mut Vec<String>) -> File {
    let table: toml::Table = match toml::from_str(text) {
        Ok(table) => table,
        Err(error) => {
            faults.push(format!("{}: {}", path.display(), error.to_string().trim_end()));
            return File::default();
        }
    };
    let mut file = File::default();
    for (key, value) in table {
        let at = format!("{}: {key}", path.display());
        match key.as_str() {
            "data_dir" => file.data_dir = field(value, &at, faults),
            "listen" => file.listen = fields(value, &at, faults),
            "tls" => file.tls = fields(value, &at, faults),
            "access" => file.access = fields(value, &at, faults),
            "webhooks" => file.webhooks = fields(value, &at, faults),
            "diagnostics" => file.diagnostics = fields(value, &at, faults),
            "storms" => file.storms = fields(value, &at, faults),
            "linked_hubs" => file.linked_hubs = fields(value, &at, faults),
            "monitoring" => file.monitoring = fields(value, &at, faults),
            "log" => file.log = fields(value, &at, faults),
            "first_start" => file.first_start = fields(value, &at, faults),
            _ => faults.push(format!(
                "{at}: there is no such key; there are data_dir, listen, tls, access, \
                 webhooks, linked_hubs, diagnostics, storms, monitoring, log, first_start"
            )),
        }
    }
    file
}

/// Reads one value, or tells a fault.
pub(crate) fn field<T: serde::de::DeserializeOwned>(
    value: toml::Value,
    at: &str,
    faults: &mut Vec<String>,
) -> Option<T> {
    match value.try_into() {
        Ok(read) => Some(read),
        Err(error) => {
            faults.push(format!("{at}: {}", error.message()));
            None
        }
    }
}

/// Reads a table key by key, so that one bad key does not hide the next.
pub(crate) fn fields<T: serde::de::DeserializeOwned + Default>(
    value: toml::Value,
    at: &str,
    faults: &mut Vec<String>,
) -> T {
    let toml::Value::Table(table) = value else {
        faults.push(format!("{at}: is not a table"));
        return T::default();
    };
    let mut good = toml::Table::new();
    for (key, value) in table {
        let alone = toml::Table::from_iter([(key.clone(), value.clone())]);
        match toml::Value::Table(alone).try_into::<T>() {
            Ok(_) => {
                good.insert(key, value);
            }
            Err(error) => faults.push(format!("{at}.{key}: {}", error.message())),
        }
    }
    toml::Value::Table(good).try_into().unwrap_or_default()
}

fn names(dps: &str, hubs: &[String], faults: &mut Vec<String>) {
    for (key, name) in
        std::iter::once(("dps", dps)).chain(hubs.iter().map(|name| ("hubs", name.as_str())))
    {
        if let Err(error) = ServiceName::parse(name) {
            faults.push(format!("first_start.{key}: {name:?} {error}"));
        }
    }
    let mut all: Vec<&str> = hubs.iter().map(String::as_str).chain([dps]).collect();
    all.sort_unstable();
    if all.windows(2).any(|pair| pair.first() == pair.last()) {
        faults.push("first_start: two services have the same name".to_owned());
    }
    if hubs.is_empty() {
        faults.push("first_start.hubs: is empty; devices need a hub to go to".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, flags: &Flags) -> Result<Config, Faults> {
        Config::check(text, Path::new("muster.toml"), flags, |_, _, _, _| Vec::new())
    }

    #[test]
    fn nothing_set_is_a_laptop() {
        let config = check("", &Flags::default()).unwrap();
        assert_eq!(config.data_dir, PathBuf::from("muster-data"));
        assert_eq!(config.listen.addresses.len(), 2);
        assert!(config.listen.addresses.iter().all(IpAddr::is_loopback));
        assert_eq!(config.first_start.hubs, ["hub1", "hub2"]);
    }

    #[test]
    fn flags_win_over_the_file() {
        let text = "data_dir = \"a\"\n[listen]\nhttps_port = 1443\nmqtt_port = 1883\n";
        let flags = Flags {
            data_dir: Some("b".into()),
            https_port: Some(2443),
            listen: vec!["0.0.0.0".to_owned()],
            ..Flags::default()
        };
        let config = check(text, &flags).unwrap();
        assert_eq!(config.data_dir, PathBuf::from("b"));
        assert_eq!(config.listen.https_port, Some(2443));
        assert_eq!(config.listen.mqtt_port, Some(1883));
        assert_eq!(config.listen.addresses, ["0.0.0.0".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn monitoring_is_set_by_file_or_flag_and_shown_as_it_is_written() {
        let text = "[monitoring]\naddress = \"127.0.0.1:1\"\n";
        let config = check(text, &Flags::default()).unwrap();
        let first = monitoring::Address::Asked("127.0.0.1:1".parse().unwrap());
        assert_eq!(config.monitoring.address, first);
        let flags = Flags { monitoring: Some("off".to_owned()), ..Flags::default() };
        let config = check(text, &flags).unwrap();
        assert_eq!(config.monitoring.address, monitoring::Address::Off);
        assert_eq!(serde_json::to_value(&config).unwrap()["monitoring"]["address"], "off");
        let config = check("", &Flags::default()).unwrap();
        assert_eq!(config.monitoring.address, monitoring::Address::Default);
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let text = "color = 1\n[listen]\naddresses = [\"here\"]\nhttps_prot = 3\nmqtt_port = 70000\n\
                    [monitoring]\naddress = \"9464\"\nport = 1\n[diagnostics]\ncategories = [\"Routes\"]\n[log]\nformat = \"xml\"\n[first_start]\ndps = \"-x\"\nhubs = []\n";
        let Faults(faults) = check(text, &Flags::default()).unwrap_err();
        for part in [
            "color",
            "\"here\"",
            "https_prot",
            "mqtt_port",
            "monitoring.address",
            "monitoring.port",
            "diagnostics.categories",
            "log.format",
            "first_start.dps",
            "first_start.hubs",
        ] {
            assert!(faults.iter().any(|fault| fault.contains(part)), "{part} in {faults:#?}");
        }
        assert_eq!(faults.len(), 10, "{faults:#?}");
    }

    #[test]
    fn a_named_file_must_be_there() {
        let flags = Flags { config: Some("/nonexistent/muster.toml".into()), ..Flags::default() };
        assert!(Config::load(&flags, |_, _, _, _| Vec::new()).is_err());
    }
}
