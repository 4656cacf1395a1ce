//! `HostName=…;SharedAccessKeyName=…;SharedAccessKey=…`: a hub that lives elsewhere, and a key to
//! it (K-13, K-14).

use attestation::SymmetricKey;
use model::{HostName, PolicyName};
use provisioning::instance::RemoteHub;

use crate::rest::error::ApiFault;

/// What is told in place of a key, and what stands for the key that is kept when it comes back.
///
/// Source: `dps-service-api` §4, `iotHubs[]`.
const MASK: &str = "****";
const HTTPS: u16 = 443;

/// A connection string, read.
#[derive(Clone, Debug)]
pub struct ConnectionString {
    /// The hub's host.
    pub host: HostName,
    /// Host, and port where it is not 443.
    pub authority: String,
    /// The policy whose key this is.
    pub policy: PolicyName,
    /// The key; none where it is masked.
    pub key: Option<SymmetricKey>,
}

/// Reads a hub's connection string; the case of its members does not matter.
///
/// # Errors
/// [`ApiFault::Invalid`], which never quotes the key.
pub fn connection_string(text: &str) -> Result<ConnectionString, ApiFault> {
    let wrong = |why: String| ApiFault::Invalid(format!("connectionString: {why}"));
    let (mut resource, mut policy, mut key) = (None, None, None);
    for part in text.trim().split(';').filter(|part| !part.trim().is_empty()) {
        let (name, value) =
            part.split_once('=').ok_or_else(|| wrong("a part has no =".to_owned()))?;
        match name.trim().to_ascii_lowercase().as_str() {
            "hostname" => resource = Some(value.trim()),
            "sharedaccesskeyname" => policy = Some(value.trim()),
            "sharedaccesskey" => key = Some(value.trim()),
            _ => {}
        }
    }
    let missing = |what: &str| wrong(format!("{what} is missing"));
    let resource = resource.ok_or_else(|| missing("HostName"))?;
    let (host, port) = match resource.rsplit_once(':') {
        Some((host, port)) => {
            let port = port.parse().ok().filter(|port| *port != 0);
            (host, port.ok_or_else(|| wrong("the port of its HostName is none".to_owned()))?)
        }
        None => (resource, HTTPS),
    };
    let host = HostName::parse(host).map_err(|because| wrong(format!("HostName {because}")))?;
    let policy = policy.ok_or_else(|| missing("SharedAccessKeyName"))?;
    let policy = PolicyName::parse(policy)
        .map_err(|because| wrong(format!("SharedAccessKeyName {because}")))?;
    let key = match key.ok_or_else(|| missing("SharedAccessKey"))? {
        MASK => None,
        key => Some(
            SymmetricKey::from_base64(key)
                .map_err(|because| wrong(format!("SharedAccessKey {because}")))?,
        ),
    };
    let authority = match port {
        HTTPS => host.to_string(),
        port => format!("{host}:{port}"),
    };
    Ok(ConnectionString { host, authority, policy, key })
}

/// The connection string of a hub elsewhere, without its key.
pub(super) fn masked(hub: &RemoteHub) -> String {
    let RemoteHub { authority, policy, key: _ } = hub;
    format!("HostName={authority};SharedAccessKeyName={policy};SharedAccessKey={MASK}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn remote(read: ConnectionString) -> RemoteHub {
        RemoteHub { authority: read.authority, policy: read.policy, key: read.key.unwrap() }
    }

    #[test]
    fn k_13_keys_in_any_case_and_order() {
        let text = format!("sharedaccesskey={KEY};HOSTNAME=Hub.example.com;SharedAccessKeyName=p;");
        let read = connection_string(&text).unwrap();
        assert_eq!(read.authority, "hub.example.com");
        assert_eq!(read.key.unwrap().to_base64(), KEY);
    }

    #[test]
    fn k_14_a_port_stays_with_the_host_unless_it_is_the_usual_one() {
        for (port, authority) in [(8443, "h.test:8443"), (443, "h.test")] {
            let text =
                format!("HostName=h.test:{port};SharedAccessKeyName=p;SharedAccessKey={KEY}");
            let read = connection_string(&text).unwrap();
            assert_eq!((read.host.as_str(), read.authority.as_str()), ("h.test", authority));
        }
    }

    #[test]
    fn a_key_is_told_as_a_mask_and_the_mask_is_read_as_none() {
        let text = format!("HostName=h.test:1;SharedAccessKeyName=p;SharedAccessKey={KEY}");
        let told = masked(&remote(connection_string(&text).unwrap()));
        assert_eq!(told, "HostName=h.test:1;SharedAccessKeyName=p;SharedAccessKey=****");
        assert!(connection_string(&told).unwrap().key.is_none());
    }

    #[test]
    fn what_is_wrong_is_named_and_the_key_is_not() {
        for (text, what) in [
            ("", "HostName is missing"),
            ("HostName=h.test", "SharedAccessKeyName is missing"),
            ("HostName=h.test;SharedAccessKeyName=p", "SharedAccessKey is missing"),
            ("HostName=h.test:0;SharedAccessKeyName=p;SharedAccessKey=****", "port"),
            ("HostName=h.test;SharedAccessKeyName=p;SharedAccessKey=s3cret%", "SharedAccessKey "),
            ("hub1.localhost", "a part has no ="),
        ] {
            let told = connection_string(text).unwrap_err().to_string();
            assert!(told.contains(what) && !told.contains("s3cret"), "{text}: {told}");
        }
    }
}
