//! The chains that clients present, parsed.
//!
//! A fleet's devices all send the same few intermediates: these are kept, parsed, by their bytes,
//! and with them what was found out about their signatures. What is kept is no trust: a chain is
//! judged anew whenever it is shown.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use attestation::x509::Certificate;
use rustls_pki_types::CertificateDer;

/// Certificates that are kept; the oldest goes. Source: ours; a fleet has a handful, and at 16 KiB
/// each even strangers' fill 4 MiB at most.
const KEPT_MAX: usize = 256;

/// What a client's certificates are, as far as they can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Presented {
    /// It sent none.
    Nothing,
    /// The leaf can not be read.
    Unreadable,
    /// Leaf first; what can not be read past it is left out, as any extra is.
    Chain(Vec<Certificate>),
}

/// The intermediates that clients have sent.
#[derive(Debug, Default)]
pub struct Intermediates(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    by_der: HashMap<Vec<u8>, Certificate>,
    oldest_first: VecDeque<Vec<u8>>,
}

impl Intermediates {
    /// Reads a chain, leaf first.
    pub(crate) fn read(&self, chain: &[CertificateDer<'_>]) -> Presented {
        let Some((leaf, others)) = chain.split_first() else { return Presented::Nothing };
        let Ok(leaf) = Certificate::from_der(leaf) else { return Presented::Unreadable };
        let others = others.iter().filter_map(|der| self.certificate(der));
        Presented::Chain(std::iter::once(leaf).chain(others).collect())
    }

    fn certificate(&self, der: &[u8]) -> Option<Certificate> {
        if let Some(known) = self.kept().by_der.get(der) {
            return Some(known.clone());
        }
        // Not under the lock, which all connections share.
        let certificate = Certificate::from_der(der).ok()?;
        let mut kept = self.kept();
        if kept.by_der.insert(der.to_vec(), certificate.clone()).is_none() {
            kept.oldest_first.push_back(der.to_vec());
        }
        if kept.oldest_first.len() > KEPT_MAX
            && let Some(oldest) = kept.oldest_first.pop_front()
        {
            kept.by_der.remove(&oldest);
        }
        Some(certificate)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn certificate() -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        CertificateParams::default().self_signed(&key).unwrap().der().clone()
    }

    fn kept(intermediates: &Intermediates) -> (usize, usize) {
        let kept = intermediates.kept();
        (kept.by_der.len(), kept.oldest_first.len())
    }

    #[test]
    fn a_chain_is_the_leaf_and_whatever_else_can_be_read() {
        let (leaf, above, broken) = (certificate(), certificate(), CertificateDer::from(vec![0]));
        let intermediates = Intermediates::default();
        let read = |chain: &[CertificateDer<'_>]| intermediates.read(chain);
        assert_eq!(read(&[]), Presented::Nothing);
        assert_eq!(read(&[broken.clone(), above.clone()]), Presented::Unreadable);
        let whole = [&leaf, &above].map(|der| Certificate::from_der(der).unwrap());
        for _ in 0..2 {
            let presented = read(&[leaf.clone(), broken.clone(), above.clone()]);
            assert_eq!(presented, Presented::Chain(whole.to_vec()));
        }
        assert_eq!(kept(&intermediates), (1, 1), "neither the leaf nor what can not be read");
    }

    #[test]
    fn strangers_fill_no_more_than_the_room_that_there_is() {
        let intermediates = Intermediates::default();
        let leaf = certificate();
        let last = (0..KEPT_MAX + 3).map(|_| certificate()).inspect(|above| {
            intermediates.read(&[leaf.clone(), above.clone()]);
        });
        let last = last.last().unwrap();
        assert_eq!(kept(&intermediates), (KEPT_MAX, KEPT_MAX));
        assert!(intermediates.kept().by_der.contains_key(last.as_ref()));
    }
}
