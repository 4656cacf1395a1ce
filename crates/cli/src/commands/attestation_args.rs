//! How an entry's devices prove themselves, from options to the `attestation` member.

use std::path::{Path, PathBuf};

use attestation::x509::Certificate;
use clap::Args;
use serde_json::{Map, Value, json};

use super::common::{certificate, flag};
use super::entry::object_at;
use crate::failure::{Failure, Result};

/// Certificates and keys, of either kind of entry.
#[derive(Debug, Args)]
pub(crate) struct Credentials {
    /// File of the primary certificate, PEM or DER.
    #[arg(long, visible_alias = "cp", value_name = "FILE")]
    pub(crate) certificate_path: Option<PathBuf>,
    /// File of the secondary certificate.
    #[arg(long, visible_alias = "scp", value_name = "FILE")]
    pub(crate) secondary_certificate_path: Option<PathBuf>,
    /// Primary symmetric key, base64; generated when not given.
    #[arg(long, visible_alias = "pk", value_name = "KEY")]
    pub(crate) primary_key: Option<String>,
    /// Secondary symmetric key, base64; generated when not given.
    #[arg(long, visible_alias = "sk", value_name = "KEY")]
    pub(crate) secondary_key: Option<String>,
}

/// Which certificates an update takes away.
#[derive(Debug, Args)]
pub(crate) struct Removals {
    /// Remove the primary certificate.
    #[arg(long, visible_alias = "rc", num_args = 0..=1, default_missing_value = "true", value_parser = flag())]
    remove_certificate: Option<bool>,
    /// Remove the secondary certificate.
    #[arg(long, visible_alias = "rsc", num_args = 0..=1, default_missing_value = "true", value_parser = flag())]
    remove_secondary_certificate: Option<bool>,
}

/// What becomes of the two slots of an X.509 member.
#[derive(Debug, Default)]
pub(crate) struct SlotEdits {
    /// The member that new values belong to, such as `signingCertificates`.
    pub(crate) member: &'static str,
    /// The new primary, if any.
    pub(crate) primary: Option<Value>,
    /// The new secondary, if any.
    pub(crate) secondary: Option<Value>,
}

impl Credentials {
    /// Whether a certificate file is given.
    pub(crate) const fn has_certificates(&self) -> bool {
        self.certificate_path.is_some() || self.secondary_certificate_path.is_some()
    }

    /// Whether a key is given.
    pub(crate) const fn has_keys(&self) -> bool {
        self.primary_key.is_some() || self.secondary_key.is_some()
    }

    /// The certificate files, read, as edits of the slots of `member`.
    pub(crate) fn certificates(&self, member: &'static str) -> Result<SlotEdits> {
        let slot = |path: &Option<PathBuf>| {
            let text = path.as_deref().map(certificate).transpose()?;
            Ok::<_, Failure>(text.map(|text| json!({"certificate": text})))
        };
        Ok(SlotEdits {
            member,
            primary: slot(&self.certificate_path)?,
            secondary: slot(&self.secondary_certificate_path)?,
        })
    }

    /// Tells of signing certificates that are no CA's: the service takes them, as Azure does.
    pub(crate) fn note_leaves(&self) {
        for path in [&self.certificate_path, &self.secondary_certificate_path] {
            if let Some(path) = path
                && is_leaf(path)
            {
                eprintln!(
                    "note: {} is no CA's certificate (its basicConstraints do not say CA:TRUE), so \
                     no device attests by it; a single device's goes into `muster iot dps \
                     enrollment create --attestation-type x509`",
                    path.display()
                );
            }
        }
    }

    /// A symmetric key mechanism; the service generates the keys that are not given (V-16).
    pub(crate) fn symmetric_key(&self) -> Value {
        let mut keys = Map::new();
        self.put_keys(&mut keys);
        json!({"type": "symmetricKey", "symmetricKey": keys})
    }

    /// Edits an entry's symmetric keys.
    pub(crate) fn edit_keys(&self, attestation: &mut Map<String, Value>) -> Result {
        if !self.has_keys() {
            return Ok(());
        }
        expect_type(attestation, "symmetricKey", "--primary-key and --secondary-key")?;
        self.put_keys(object_at(attestation, "symmetricKey"));
        Ok(())
    }

    fn put_keys(&self, keys: &mut Map<String, Value>) {
        for (member, given) in
            [("primaryKey", &self.primary_key), ("secondaryKey", &self.secondary_key)]
        {
            if let Some(given) = given {
                keys.insert(member.into(), given.as_str().into());
            }
        }
    }
}

/// Whether a file holds a certificate that is not a CA's.
fn is_leaf(path: &Path) -> bool {
    let read = certificate(path).ok();
    read.and_then(|text| Certificate::from_upload(text.as_bytes()).ok())
        .is_some_and(|certificate| !certificate.is_ca())
}

impl SlotEdits {
    /// A new X.509 mechanism.
    pub(crate) fn mechanism(self) -> Value {
        let mut slots = Map::new();
        slots.extend(self.primary.map(|value| ("primary".to_owned(), value)));
        slots.extend(self.secondary.map(|value| ("secondary".to_owned(), value)));
        json!({"type": "x509", "x509": {self.member: slots}})
    }

    const fn is_empty(&self) -> bool {
        self.primary.is_none() && self.secondary.is_none()
    }

    /// Edits an entry's X.509 slots; a slot that is not named stays, by its `info`.
    ///
    /// New values of another member take its place: `signingCertificates` ⇄ `caReferences` (V-28).
    pub(crate) fn edit(self, attestation: &mut Map<String, Value>, removals: &Removals) -> Result {
        let removed = [
            ("primary", removals.remove_certificate == Some(true)),
            ("secondary", removals.remove_secondary_certificate == Some(true)),
        ];
        if self.is_empty() && removed.iter().all(|(_, removed)| !removed) {
            return Ok(());
        }
        expect_type(attestation, "x509", "certificates")?;
        let x509 = object_at(attestation, "x509");
        if !self.is_empty() {
            x509.retain(|name, _| name == self.member);
            object_at(x509, self.member);
        }
        x509.retain(|_, slots| slots.is_object());
        let Some(slots) = x509.values_mut().find_map(Value::as_object_mut) else {
            return Err(Failure::usage("the entry has no certificates to remove"));
        };
        for (slot, _) in removed.iter().filter(|(_, removed)| *removed) {
            slots.remove(*slot);
        }
        slots.extend(self.primary.map(|value| ("primary".to_owned(), value)));
        slots.extend(self.secondary.map(|value| ("secondary".to_owned(), value)));
        if slots.values().all(Value::is_null) {
            return Err(Failure::usage("an entry can not be without any certificate").hint(
                "give the new one with --certificate-path in the same command, or delete the entry",
            ));
        }
        Ok(())
    }
}

/// Refuses options that belong to another type of attestation (V-28).
pub(crate) fn expect_type(attestation: &Map<String, Value>, wanted: &str, options: &str) -> Result {
    let found = attestation.get("type").and_then(Value::as_str).unwrap_or("nothing");
    match found == wanted {
        true => Ok(()),
        false => Err(Failure::usage(format!("the entry attests by {found}, it has no {options}"))
            .hint("an entry's type can not change: delete it and create it anew")),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

    use super::*;

    #[test]
    fn a_leaf_is_told_from_a_ca() {
        let dir = tempfile::tempdir().unwrap();
        let written = |name: &str, is_ca: IsCa| {
            let mut params = CertificateParams::default();
            params.is_ca = is_ca;
            let pem = params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
            let file = dir.path().join(name);
            std::fs::write(&file, pem).unwrap();
            file
        };
        assert!(is_leaf(&written("leaf.pem", IsCa::NoCa)));
        assert!(!is_leaf(&written("ca.pem", IsCa::Ca(BasicConstraints::Unconstrained))));
    }
}
