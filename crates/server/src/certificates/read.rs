//! A certificate chain and its key, out of two PEM texts: everything that is wrong, at once.

use std::fmt;
use std::sync::Arc;

use attestation::x509::Certificate;
use gateway::tls::KeyKind;
use model::{HostName, Sha256, Timestamp};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

/// RSA keys with fewer bits are refused, as clients refuse them. Source: CA/B Forum Baseline
/// Requirements §6.1.5.
const RSA_BITS_MIN: usize = 2048;
/// The labels of a private key that is not encrypted. Source: RFC 5958, RFC 8017 A.1.2, RFC 5915.
const KEY_LABELS: [&str; 3] = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];
/// Stands before an `EC PRIVATE KEY` that `openssl ecparam -genkey` made; says nothing new.
const EC_PARAMETERS: &str = "EC PARAMETERS";

/// A certificate that the operator gave to the server, checked.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    /// The names that it is shown for: those that were listed, else all of the certificate's.
    pub(crate) names: Vec<Name>,
    /// The kind of its key.
    pub(crate) key: KeyKind,
    /// The end of the first of the chain to end; a root's own end is left out.
    pub(crate) ends: Timestamp,
    /// The leaf's SHA-256.
    pub(crate) thumbprint: Sha256,
    /// The last certificate of the chain, as PEM text.
    pub(crate) topmost: String,
    /// Chain and key, for handshakes.
    pub(crate) certified: Arc<CertifiedKey>,
    /// What is odd, and no fault.
    pub(crate) warnings: Vec<String>,
}

/// A name in a certificate: a host, or all hosts one label below a domain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Name {
    /// `dps.example.com`.
    Host(HostName),
    /// `*.example.com`, of which this is `example.com`.
    Below(HostName),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => write!(f, "{host}"),
            Self::Below(domain) => write!(f, "*.{domain}"),
        }
    }
}

impl Name {
    /// A `dNSName`; none for one that no client could ask for.
    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("*.") {
            Some(domain) => HostName::parse(domain).ok().map(Self::Below),
            None => HostName::parse(text).ok().map(Self::Host),
        }
    }

    /// Whether a client that asks for the host takes a certificate of this name. RFC 6125 §6.4.3.
    pub(crate) fn covers(&self, host: &HostName) -> bool {
        match self {
            Self::Host(own) => own == host,
            Self::Below(domain) => {
                host.as_str().split_once('.').is_some_and(|(_, rest)| rest == domain.as_str())
            }
        }
    }
}

/// Reads chain and key, for these hosts or, where none is listed, for all that the leaf names.
///
/// # Errors
/// Everything that is wrong, each as `chain: …`, `key: …` or `hosts: …`.
pub(crate) fn read(
    chain: &str,
    key: &str,
    hosts: &[HostName],
    now: Timestamp,
) -> Result<Own, Vec<String>> {
    let mut faults = Vec::new();
    let certificates = certificates(chain, &mut faults);
    let private = private_key(key, &mut faults);
    let mut warnings = Vec::new();
    let leaf = certificates.first().and_then(|leaf| read_leaf(leaf, &mut faults, &mut warnings));
    standing(&certificates, now, &mut faults);
    let names = leaf.as_ref().map(|leaf| names(leaf, hosts, &mut faults)).unwrap_or_default();
    let (Some(leaf), Some(private), Some(first)) = (leaf, private, certificates.first()) else {
        return Err(faults);
    };
    let Ok(signing) = any_supported_type(&private) else {
        // A weak key was told already, and nothing can be signed with it either.
        if faults.is_empty() {
            faults.push("key: is of no kind that the server can sign with".to_owned());
        }
        return Err(faults);
    };
    let der = certificates.iter().map(|one| CertificateDer::from(one.der().to_vec())).collect();
    let certified = CertifiedKey::new(der, signing);
    if certified.keys_match().is_err() {
        faults.push("key: is not the key of the chain's first certificate".to_owned());
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let ends = certificates
        .iter()
        .enumerate()
        .filter(|(at, one)| *at == 0 || !one.is_self_issued())
        .map(|(_, one)| one.not_after())
        .min()
        .unwrap_or_else(|| first.not_after());
    Ok(Own {
        names,
        key: leaf.key,
        ends,
        thumbprint: first.thumbprint(),
        topmost: certificates.last().unwrap_or(first).to_pem(),
        certified: Arc::new(certified),
        warnings,
    })
}

/// The labels of a PEM text's sections, in their order.
fn labels(pem: &str) -> impl Iterator<Item = &str> {
    pem.lines().filter_map(|line| line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----"))
}

fn certificates(pem: &str, faults: &mut Vec<String>) -> Vec<Certificate> {
    let mut wrong = Vec::new();
    for label in labels(pem).filter(|label| *label != "CERTIFICATE") {
        wrong.push(format!("chain: holds {label:?}, and may hold sections \"CERTIFICATE\" alone"));
    }
    if labels(pem).next().is_none() {
        wrong.push("chain: holds no PEM section \"CERTIFICATE\"".to_owned());
    }
    if !wrong.is_empty() {
        faults.append(&mut wrong);
        return Vec::new();
    }
    let mut certificates = Vec::new();
    for (place, der) in (1_usize..).zip(CertificateDer::pem_slice_iter(pem.as_bytes())) {
        let read = match der {
            Ok(der) => Certificate::from_der(&der).map_err(|error| error.to_string()),
            Err(_) => Err("is broken PEM".to_owned()),
        };
        match read {
            Ok(certificate) => certificates.push(certificate),
            Err(error) => {
                faults.push(format!("chain: certificate {place} {error}"));
                return Vec::new();
            }
        }
    }
    if certificates.is_empty() {
        faults.push("chain: its PEM section has no end".to_owned());
    }
    certificates
}

fn private_key(pem: &str, faults: &mut Vec<String>) -> Option<PrivateKeyDer<'static>> {
    let found: Vec<&str> = labels(pem).filter(|label| *label != EC_PARAMETERS).collect();
    let fault = match found.as_slice() {
        [] => "key: holds no PEM section \"PRIVATE KEY\"".to_owned(),
        ["ENCRYPTED PRIVATE KEY"] => {
            "key: is encrypted, and nobody could type its passphrase; write it without one"
                .to_owned()
        }
        [label] if KEY_LABELS.contains(label) => {
            match PrivateKeyDer::from_pem_slice(pem.as_bytes()) {
                Ok(key) => return Some(key),
                Err(_) => "key: is broken PEM".to_owned(),
            }
        }
        [label] => format!("key: holds {label:?}, and should hold \"PRIVATE KEY\""),
        [_, _, ..] => format!("key: holds {} PEM sections, and should hold one", found.len()),
    };
    faults.push(fault);
    None
}

/// What the leaf says about itself.
struct Leaf {
    names: Vec<Name>,
    key: KeyKind,
}

fn read_leaf(
    leaf: &Certificate,
    faults: &mut Vec<String>,
    warnings: &mut Vec<String>,
) -> Option<Leaf> {
    let Ok((_, parsed)) = X509Certificate::from_der(leaf.der()) else {
        faults.push("chain: certificate 1 is malformed".to_owned());
        return None;
    };
    if leaf.is_ca() {
        warnings.push("chain: certificate 1 is a CA; many clients refuse that".to_owned());
    }
    let mut names = Vec::new();
    if let Ok(Some(list)) = parsed.subject_alternative_name() {
        for name in &list.value.general_names {
            if let GeneralName::DNSName(text) = name {
                names.extend(Name::parse(text));
            }
        }
    }
    if let Ok(Some(usage)) = parsed.extended_key_usage()
        && !(usage.value.server_auth || usage.value.any)
    {
        faults.push(
            "chain: certificate 1 is not for servers: its extended key usage lacks serverAuth"
                .to_owned(),
        );
    }
    let key = match parsed.public_key().parsed() {
        Ok(PublicKey::RSA(key)) if key.key_size() < RSA_BITS_MIN => {
            let bits = key.key_size();
            faults.push(format!("key: RSA of {bits} bits is weak; {RSA_BITS_MIN} is the least"));
            KeyKind::Rsa
        }
        Ok(PublicKey::RSA(_)) => KeyKind::Rsa,
        Ok(PublicKey::EC(_)) => KeyKind::Ecdsa,
        Ok(_) | Err(_) => {
            faults.push(
                "key: is of no kind that devices know; use P-256, or RSA of 2048 bits and more"
                    .to_owned(),
            );
            return None;
        }
    };
    Some(Leaf { names, key })
}

/// Order, signatures and dates of the chain.
fn standing(chain: &[Certificate], now: Timestamp, faults: &mut Vec<String>) {
    for (place, one) in (1_usize..).zip(chain) {
        if place > 1 && one.is_self_issued() {
            continue;
        }
        if let Err(error) = one.is_valid_at(now) {
            faults.push(format!("chain: certificate {place} {error}"));
        }
    }
    for (place, (one, issuer)) in (1_usize..).zip(chain.iter().zip(chain.iter().skip(1))) {
        if let Err(error) = one.verify_signed_by(issuer) {
            faults.push(format!(
                "chain: certificate {place} is not signed by the next one ({error}); write the \
                 leaf first, then each one's issuer"
            ));
        }
    }
}

/// The names to show the certificate for.
fn names(leaf: &Leaf, hosts: &[HostName], faults: &mut Vec<String>) -> Vec<Name> {
    if leaf.names.is_empty() {
        faults.push(
            "chain: certificate 1 names no host; clients want a DNS name among its subject \
             alternative names"
                .to_owned(),
        );
        return Vec::new();
    }
    for host in hosts.iter().filter(|host| !leaf.names.iter().any(|name| name.covers(host))) {
        let names: Vec<String> = leaf.names.iter().map(Name::to_string).collect();
        faults.push(format!(
            "hosts: {host} is none of the certificate's names, which are {}",
            names.join(", ")
        ));
    }
    match hosts {
        [] => leaf.names.clone(),
        listed => listed.iter().cloned().map(Name::Host).collect(),
    }
}

#[cfg(test)]
mod tests;
