//! `HostName=…;SharedAccessKeyName=…;SharedAccessKey=…`: a service, and a key to it.

use attestation::SymmetricKey;

use crate::failure::{Failure, Result};

/// A service's connection string, read.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionString {
    /// What follows `HostName=`, a port with it: the resource that tokens are made for (K-14).
    pub(crate) resource: String,
    /// The host alone.
    pub(crate) host: String,
    /// The port, 443 unless said.
    pub(crate) port: u16,
    /// The policy whose key this is.
    pub(crate) policy: String,
    /// The key.
    pub(crate) key: SymmetricKey,
}

impl ConnectionString {
    /// Reads the text; its keys' case does not matter (K-13).
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut resource = None;
        let mut policy = None;
        let mut key = None;
        for part in text.trim().split(';').filter(|part| !part.trim().is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| malformed("a part has no ="))?;
            match name.trim().to_ascii_lowercase().as_str() {
                "hostname" => resource = Some(value.trim()),
                "sharedaccesskeyname" => policy = Some(value.trim()),
                "sharedaccesskey" => key = Some(value.trim()),
                _ => {}
            }
        }
        let resource = resource.ok_or_else(|| malformed("HostName is missing"))?;
        let (host, port) = split_port(resource)?;
        let key = key.ok_or_else(|| malformed("SharedAccessKey is missing"))?;
        let key = SymmetricKey::from_base64(key)
            .map_err(|error| malformed(&format!("SharedAccessKey {error}")))?;
        let policy = policy.ok_or_else(|| malformed("SharedAccessKeyName is missing"))?.to_owned();
        Ok(Self { resource: resource.to_owned(), host, port, policy, key })
    }

    /// Host and port alone: `HostName=…` is enough for who has a bearer token.
    pub(crate) fn place(text: &str) -> Result<(String, u16)> {
        let named = text.trim().split(';').find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim().eq_ignore_ascii_case("HostName").then_some(value.trim())
        });
        split_port(named.ok_or_else(|| malformed("HostName is missing"))?)
    }

    /// The connection string of a service, for an operator to keep.
    pub(crate) fn write(host: &str, port: u16, policy: &str, key: &str) -> String {
        let port = if port == 443 { String::new() } else { format!(":{port}") };
        format!("HostName={host}{port};SharedAccessKeyName={policy};SharedAccessKey={key}")
    }
}

/// A host that may have a port; 443 without.
pub(crate) fn split_port(text: &str) -> Result<(String, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => {
            (host, port.parse().map_err(|_| malformed(&format!("'{port}' is not a port")))?)
        }
        Some(_) | None => (text, 443),
    };
    match host.is_empty() {
        false => Ok((host.to_owned(), port)),
        true => Err(malformed("the host name is empty")),
    }
}

fn malformed(because: &str) -> Failure {
    Failure::usage(format!("the connection string is not usable: {because}")).hint(
        "it reads HostName=<host>;SharedAccessKeyName=<policy>;SharedAccessKey=<base64>, in quotes; \
         `muster iot dps connection-string show` prints one",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[test]
    fn k_13_keys_in_any_case_and_order() {
        let text = format!("sharedaccesskey={KEY};HOSTNAME=dps.localhost;SharedAccessKeyName=p=q;");
        let read = ConnectionString::parse(&text).unwrap();
        assert_eq!((read.host.as_str(), read.port), ("dps.localhost", 443));
        assert_eq!(read.policy, "p=q");
        assert_eq!(read.key.to_base64(), KEY);
    }

    #[test]
    fn k_14_a_port_is_part_of_the_resource() {
        let text = ConnectionString::write("localhost", 8443, "p", KEY);
        let read = ConnectionString::parse(&text).unwrap();
        assert_eq!(read.resource, "localhost:8443");
        assert_eq!((read.host.as_str(), read.port), ("localhost", 8443));
    }

    #[test]
    fn what_is_missing_is_named() {
        for (text, what) in [
            ("", "HostName is missing"),
            ("HostName=h", "SharedAccessKey is missing"),
            ("HostName=h;SharedAccessKey=AAECAwQFBgcICQoLDA0ODw==", "SharedAccessKeyName"),
            ("HostName=h:x;SharedAccessKeyName=p", "'x' is not a port"),
            ("HostName=h;SharedAccessKeyName=p;SharedAccessKey=%%", "is not base64"),
            ("dps.localhost", "a part has no ="),
        ] {
            let told = ConnectionString::parse(text).unwrap_err().to_string();
            assert!(told.contains(what), "{text}: {told}");
        }
    }
}
