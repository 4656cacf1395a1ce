//! What webhooks are asked with: trust and signature, from the files of the configuration.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use attestation::SymmetricKey;
use gateway::webhooks::Trust;
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
    let key = match &webhooks.signing_key_file {
        Some(file) => {
            key(file).map(Some).map_err(|fault| format!("webhooks.signing_key_file: {fault}"))
        }
        None => Ok(None),
    };
    match (roots, key) {
        (Ok(roots), Ok(signing_key)) => Ok(Trust {
            tls: Arc::new(client(roots).map_err(|error| vec![format!("webhooks: {error}")])?),
            private_addresses: webhooks.private_addresses,
            signing_key,
        }),
        (roots, key) => Err(roots.err().into_iter().chain(key.err()).collect()),
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

fn key(file: &Path) -> Result<SymmetricKey, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let secret = text.trim();
    let secret = secret.strip_prefix(SECRET_PREFIX).unwrap_or(secret);
    SymmetricKey::from_base64(secret).map_err(|error| {
        format!("{}: {error}; write {SECRET_PREFIX} and 24 to 64 bytes in base64", file.display())
    })
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
        fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        let trust = trust(&webhooks).map_err(|faults| panic!("{faults:?}")).unwrap();
        assert!(trust.private_addresses && trust.signing_key.is_some());
        fs::remove_dir_all(&dir).unwrap();
    }
}
