//! The server's own certificates: which files, and for which hosts.

use std::path::PathBuf;

use model::HostName;
use serde::{Deserialize, Serialize};

use super::{Flags, fields};

/// TLS as the operator wants it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tls {
    /// The server's own certificates; the development CA's stand in for all other names.
    pub(crate) certificates: Vec<CertificateFiles>,
}

/// One certificate's files, both PEM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct CertificateFiles {
    /// The leaf, then each one's issuer.
    pub(crate) chain: PathBuf,
    /// The leaf's private key, not encrypted.
    pub(crate) key: PathBuf,
    /// The hosts that it is shown for; none: all that the leaf names.
    pub(crate) hosts: Vec<HostName>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct FileTls {
    certificates: Vec<toml::Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct FileCertificate {
    chain: Option<PathBuf>,
    key: Option<PathBuf>,
    hosts: Vec<String>,
}

/// The certificates of the flags if there are any, else the file's.
pub(super) fn read(file: FileTls, flags: &Flags, faults: &mut Vec<String>) -> Tls {
    let (chains, keys) = (&flags.tls_chain, &flags.tls_key);
    let certificates = if chains.is_empty() && keys.is_empty() {
        let each = (0_usize..).zip(file.certificates);
        each.filter_map(|(at, value)| of_file(value, at, faults)).collect()
    } else if chains.len() == keys.len() {
        let pairs = chains.iter().cloned().zip(keys.iter().cloned());
        pairs.map(|(chain, key)| CertificateFiles { chain, key, hosts: Vec::new() }).collect()
    } else {
        faults.push(format!(
            "tls.certificates: --tls-chain names {} and --tls-key {} files; each chain needs its \
             key, in the same order",
            chains.len(),
            keys.len()
        ));
        Vec::new()
    };
    Tls { certificates }
}

fn of_file(value: toml::Value, at: usize, faults: &mut Vec<String>) -> Option<CertificateFiles> {
    let at = format!("tls.certificates[{at}]");
    let before = faults.len();
    let read: FileCertificate = fields(value, &at, faults);
    let mut hosts = Vec::new();
    for host in &read.hosts {
        match HostName::parse(host) {
            Ok(host) => hosts.push(host),
            Err(error) => faults.push(format!("{at}.hosts: {host:?} {error}")),
        }
    }
    // A key that could not be read was told; it is not missing as well.
    if faults.len() == before {
        for (key, value) in [("chain", &read.chain), ("key", &read.key)] {
            if value.is_none() {
                faults.push(format!("{at}.{key}: is missing; name a PEM file"));
            }
        }
    }
    Some(CertificateFiles { chain: read.chain?, key: read.key?, hosts })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Faults};

    fn check(text: &str, flags: &Flags) -> Result<Tls, Faults> {
        let path = std::path::Path::new("muster.toml");
        Config::check(text, path, flags, |_, _, _, _| Vec::new()).map(|config| config.tls)
    }

    fn files(chain: &str, key: &str, hosts: &[&str]) -> CertificateFiles {
        let hosts = hosts.iter().map(|host| HostName::parse(host).unwrap()).collect();
        CertificateFiles { chain: chain.into(), key: key.into(), hosts }
    }

    #[test]
    fn flags_replace_the_certificates_of_the_file() {
        let text = "[[tls.certificates]]\nchain = \"a\"\nkey = \"b\"\nhosts = [\"X.example\"]\n";
        let tls = check(text, &Flags::default()).unwrap();
        assert_eq!(tls.certificates, [files("a", "b", &["x.example"])]);
        let flags = Flags {
            tls_chain: vec!["c".into(), "d".into()],
            tls_key: vec!["ck".into(), "dk".into()],
            ..Flags::default()
        };
        let tls = check(text, &flags).unwrap();
        assert_eq!(tls.certificates, [files("c", "ck", &[]), files("d", "dk", &[])]);
    }

    #[test]
    fn each_certificate_tells_its_own_faults() {
        let text = "[tls]\nticket = 1\n[[tls.certificates]]\nchain = \"a\"\n[[tls.certificates]]\n\
                    key = 3\nname = \"x\"\nhosts = [\"a b\"]\n";
        let Faults(faults) = check(text, &Flags::default()).unwrap_err();
        for part in [
            "tls.ticket",
            "tls.certificates[0].key: is missing",
            "tls.certificates[1].key",
            "tls.certificates[1].name",
            "tls.certificates[1].hosts: \"a b\"",
        ] {
            assert!(faults.iter().any(|fault| fault.contains(part)), "{part} in {faults:#?}");
        }
        assert_eq!(faults.len(), 5, "{faults:#?}");
        let flags = Flags { tls_chain: vec!["c".into()], ..Flags::default() };
        assert!(check("", &flags).unwrap_err().to_string().contains("--tls-key"));
    }
}
