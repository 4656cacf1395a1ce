//! The client certificate check: does the client hold the private key, and nothing more.
//!
//! rustls's own `verify_tls12_signature` and `verify_tls13_signature` read the whole certificate
//! with webpki first, and so refuse X.509 v1 and unknown critical extensions with an opaque alert
//! before any rule could explain. Here only the public key is read.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerMisbehaved,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use webpki::RawPublicKeyEntity;
use x509_parser::certificate::X509CertificateParser;
use x509_parser::nom::Parser;

/// Takes any chain whose leaf's key the client can sign with.
#[derive(Debug)]
pub(super) struct PossessionVerifier {
    algorithms: WebPkiSupportedAlgorithms,
}

impl PossessionVerifier {
    pub(super) fn new(provider: &CryptoProvider) -> Self {
        Self { algorithms: provider.signature_verification_algorithms }
    }
}

impl ClientCertVerifier for PossessionVerifier {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// Empty: the list would tell strangers which CAs are enrolled.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    /// Asserts any chain. Trust is decided after the handshake, and a leaf that can not be read
    /// fails at the signature, which no client that shows a certificate may leave out.
    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = public_key(certificate)?;
        let entity = RawPublicKeyEntity::try_from(&key).map_err(|_| bad_encoding())?;
        let unadvertised = PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme;
        let (_, candidates) = self
            .algorithms
            .mapping
            .iter()
            .find(|(scheme, _)| *scheme == signed.scheme)
            .ok_or_else(|| Error::from(unadvertised))?;
        // In TLS 1.2 a scheme names a hash and a kind of key, not a curve: several algorithms may
        // fit. Each first compares its own algorithm identifier with the one in the key.
        for algorithm in *candidates {
            match entity.verify_signature(*algorithm, message, signed.signature()) {
                Ok(()) => return Ok(HandshakeSignatureValid::assertion()),
                Err(webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)) => {}
                Err(_) => return Err(CertificateError::BadSignature.into()),
            }
        }
        Err(CertificateError::BadSignature.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = public_key(certificate)?;
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The certificate's SubjectPublicKeyInfo, as DER.
///
/// Looser than the rules' own reading, so that they are the ones to refuse an odd certificate:
/// extensions are stepped over unread. Whatever the rules accept is strict DER, which has one
/// reading, so that both see the same key.
fn public_key<'a>(
    certificate: &'a CertificateDer<'_>,
) -> Result<SubjectPublicKeyInfoDer<'a>, Error> {
    let mut parser = X509CertificateParser::new().with_deep_parse_extensions(false);
    let (rest, parsed) = parser.parse(certificate.as_ref()).map_err(|_| bad_encoding())?;
    if !rest.is_empty() {
        return Err(bad_encoding());
    }
    Ok(SubjectPublicKeyInfoDer::from(parsed.tbs_certificate.subject_pki.raw))
}

fn bad_encoding() -> Error {
    CertificateError::BadEncoding.into()
}

#[cfg(test)]
mod tests {
    use attestation::x509::Certificate;
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    /// The rules must judge the key whose possession was proved, whatever a certificate's bytes.
    #[test]
    fn a_certificate_that_the_rules_accept_has_the_same_key_here() {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["device.example".into()]).unwrap();
        let whole = params.self_signed(&key).unwrap().der().to_vec();
        let spki = Certificate::from_der(&whole).unwrap().spki_der().to_vec();
        let spki_at = whole.windows(spki.len()).position(|part| part == spki).unwrap();
        let mut accepted = 0;
        for (at, bit) in (0..whole.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut altered = whole.clone();
            altered[at] ^= 1 << bit;
            let Ok(read) = Certificate::from_der(&altered) else { continue };
            let altered = CertificateDer::from(altered);
            match public_key(&altered) {
                Ok(proved) => {
                    accepted += 1;
                    assert_eq!(proved.as_ref(), read.spki_der(), "bit {bit} of byte {at}");
                }
                // A broken key can't prove anything; anything else broken is for the rules.
                Err(_) => assert!((spki_at..spki_at + spki.len()).contains(&at), "{bit} of {at}"),
            }
        }
        assert!(accepted > whole.len(), "most alterations leave a certificate: {accepted}");
    }

    #[test]
    fn bytes_behind_a_certificate_make_it_unreadable() {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::default().self_signed(&key).unwrap();
        assert!(public_key(certificate.der()).is_ok());
        let longer = CertificateDer::from([certificate.der().as_ref(), &[0]].concat());
        assert_eq!(public_key(&longer).unwrap_err(), bad_encoding());
    }
}
