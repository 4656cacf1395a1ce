//! What webhooks are asked with: trust and signature, from the files of the configuration.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use attestation::SymmetricKey;
use gateway::webhooks::{SigningKeys, Trust};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::config::webhooks::Webhooks;

/// What the secret of the Standard Webhooks specification begins with.
const SECRET_PREFIX: &str = "whsec_";

/// Reads what the configuration names.
///
/// # Errors
/// Every fault, each with its key in the configuration.
pub(crate) fn trust(webhooks: &Webhooks) -> Result<Trust, Vec<String>> {
    let roots = match &webhooks.ca_file {
        Some(file) => roots(file).map_err(|fault| format!("webhooks.ca_file: {fault}")),
        None => Ok(of_the_machine()),
    };
    let keys = match &webhooks.signing_key_file {
        Some(file) => keys(file).map_err(|fault| format!("webhooks.signing_key_file: {fault}")),
        None => Ok(SigningKeys::default()),
    };
    match (roots, keys) {
        (Ok(roots), Ok(signing_keys)) => Ok(Trust {
            tls: Arc::new(client(roots).map_err(|error| vec![format!("webhooks: {error}")])?),
            private_addresses: webhooks.private_addresses,
            signing_keys,
        }),
        (roots, keys) => Err(roots.err().into_iter().chain(keys.err()).collect()),
    }
}

/// Every fault of the files that the configuration names.
pub(crate) fn faults(webhooks: &Webhooks) -> Vec<String> {
    match webhooks.ca_file.is_some() || webhooks.signing_key_file.is_some() {
        true => trust(webhooks).err().unwrap_or_default(),
        false => Vec::new(),
    }
}

/// TLS as a client that believes the certificates of a file, else those of the machine.
///
/// # Errors
/// A sentence that names the file.
pub(crate) fn client_tls(ca: Option<&Path>) -> Result<ClientConfig, String> {
    let roots = match ca {
        Some(file) => roots(file)?,
        None => of_the_machine(),
    };
    client(roots).map_err(|error| error.to_string())
}

pub(crate) fn client(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    Ok(ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// The machine's trust; without any, nobody is believed, and the failure says so.
pub(crate) fn of_the_machine() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "the machine's certificates");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    roots
}

pub(crate) fn roots(file: &Path) -> Result<RootCertStore, String> {
    let wrong = |error: String| format!("{}: {error}", file.display());
    let read = CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in read {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    match roots.is_empty() {
        true => Err(wrong("it has no certificate".to_owned())),
        false => Ok(roots),
    }
}

/// A secret a line, behind the host that it is for, or alone for all that have none.
fn keys(file: &Path) -> Result<SigningKeys, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut keys = SigningKeys::default();
    for (line, number) in text.lines().map(str::trim).zip(1..) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (host, secret) = match line.split_once(char::is_whitespace) {
            Some((host, secret)) => (Some(host), secret.trim_start()),
            None => (None, line),
        };
        let secret = secret.strip_prefix(SECRET_PREFIX).unwrap_or(secret);
        let key = SymmetricKey::from_base64(secret).map_err(|error| {
            format!(
                "{}, line {number}: {error}; write {SECRET_PREFIX} and 16 to 64 bytes in base64, \
                 behind the host that it is for or alone",
                file.display()
            )
        })?;
        match host {
            Some(host) => keys.of_hosts.push((host.to_ascii_lowercase(), key)),
            None => keys.of_others.push(key),
        }
    }
    match keys.of_hosts.is_empty() && keys.of_others.is_empty() {
        true => Err(format!("{}: it has no secret", file.display())),
        false => Ok(keys),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_the_files_is_told() {
        let dir = std::env::temp_dir().join(format!("muster-webhooks-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (ca, secret) = (dir.join("ca.pem"), dir.join("secret"));
        let webhooks = Webhooks {
            ca_file: Some(ca.clone()),
            signing_key_file: Some(secret.clone()),
            private_addresses: true,
        };
        assert_eq!(faults(&webhooks).len(), 2);
        fs::write(&ca, "no certificate").unwrap();
        fs::write(&secret, "whsec_no base64").unwrap();
        let told = faults(&webhooks);
        assert!(told[0].contains("ca.pem: it has no certificate"), "{told:?}");
        assert!(told[1].starts_with("webhooks.signing_key_file: "), "{told:?}");
        assert!(!told[1].contains("no base64"), "{told:?}");
        let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        fs::write(&ca, made.cert.pem()).unwrap();
        fs::write(&secret, "# of nobody\n\n").unwrap();
        assert!(faults(&webhooks)[0].contains("it has no secret"));
        const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        fs::write(&secret, format!("{KEY}\nA.test\t {KEY}\n{KEY}\nb.test no base64")).unwrap();
        let told = faults(&webhooks);
        assert!(told[0].contains("secret, line 4: ") && !told[0].contains("no base64"), "{told:?}");
        fs::write(&secret, format!("{KEY}\nA.test\t {KEY}\n{KEY}")).unwrap();
        let trust = trust(&webhooks).map_err(|faults| panic!("{faults:?}")).unwrap();
        assert!(trust.private_addresses);
        assert_eq!(trust.signing_keys.of_others.len(), 2);
        assert_eq!(trust.signing_keys.of_hosts[0].0, "a.test");
        fs::remove_dir_all(&dir).unwrap();
    }
}
