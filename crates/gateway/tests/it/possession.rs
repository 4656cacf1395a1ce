//! Client certificates: possession is checked, and nothing else.

use std::sync::Arc;

use ::aws_lc_rs::rand::SystemRandom;
use ::aws_lc_rs::signature::{ECDSA_P521_SHA384_ASN1_SIGNING, EcdsaKeyPair};
use gateway::peer::{Peer, TlsVersion};
use model::limits::CHAIN_PRESENTED_MAX;
use rustls::crypto::aws_lc_rs;
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme, SupportedProtocolVersion};
use rustls_pki_types::CertificateDer;

use crate::certificates::{self, Identity};
use crate::world::{BOTH, Client, Server, Setup, TLS_1_2, TLS_1_3};

/// The identity reaches the application as sent, in this version of TLS.
async fn check_reaches(version: &'static SupportedProtocolVersion, identity: Option<&Identity>) {
    let (server, mut peers) = Server::greeting(Setup::default());
    let client = Client::new(version, identity);
    client.greet(&server).await.unwrap();
    let Peer { address, server_name, chain, tls_version, .. } = peers.recv().await.unwrap();
    assert_eq!(chain, identity.map(|one| one.chain.clone()).unwrap_or_default());
    assert!(address.ip().is_loopback());
    assert_eq!(server_name.as_deref(), Some(crate::world::KNOWN_HOST));
    let expected = if version == TLS_1_3 { TlsVersion::V1_3 } else { TlsVersion::V1_2 };
    assert_eq!(tls_version, expected);
    assert_eq!(client.asked().len(), 1, "a certificate is asked for");
    assert!(client.asked()[0].authorities.is_empty(), "no CA is given away");
}

async fn check_reaches_in_both(identity: Option<&Identity>) {
    for version in BOTH {
        check_reaches(version, identity).await;
    }
}

/// The handshake fails at the server, and no handler is called.
async fn check_refused(version: &'static SupportedProtocolVersion, identity: Arc<CertifiedKey>) {
    let (server, mut peers) = Server::greeting(Setup::default());
    let provider = aws_lc_rs::default_provider();
    let schemes = provider.signature_verification_algorithms.supported_schemes();
    let client = Client::restricted(provider, schemes, version, Some(identity));
    client.greet(&server).await.unwrap_err();
    server.counted(|counts| counts.handshakes_failed == 1).await;
    assert_eq!(server.counts().handshakes_completed, 0);
    assert!(peers.try_recv().is_err());
}

#[tokio::test]
async fn a_client_without_a_certificate_connects() {
    check_reaches_in_both(None).await;
}

#[tokio::test]
async fn a_self_signed_certificate_of_every_kind_of_key_reaches_the_application() {
    for kind in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ECDSA_P521_SHA512,
        &rcgen::PKCS_RSA_SHA256,
        &rcgen::PKCS_ED25519,
    ] {
        check_reaches_in_both(Some(&Identity::of_kind(kind))).await;
    }
}

#[tokio::test]
async fn a_chain_reaches_the_application_whole_and_in_order() {
    let identity = Identity::with_chain(2);
    assert_eq!(identity.chain.len(), 4);
    check_reaches_in_both(Some(&identity)).await;
}

#[tokio::test]
async fn an_odd_certificate_reaches_the_application() {
    for odd in [
        certificates::version_1(),
        certificates::expired(),
        certificates::ca_as_leaf(),
        certificates::unknown_critical_extension(),
    ] {
        check_reaches_in_both(Some(&odd)).await;
    }
}

#[tokio::test]
async fn garbage_behind_the_leaf_reaches_the_application() {
    let mut identity = Identity::of_kind(&rcgen::PKCS_ECDSA_P256_SHA256);
    identity.chain.push(CertificateDer::from(b"no certificate".to_vec()));
    check_reaches_in_both(Some(&identity)).await;
}

#[tokio::test]
async fn a_chain_too_long_is_cut_to_one_past_the_limit() {
    let mut identity = Identity::of_kind(&rcgen::PKCS_ECDSA_P256_SHA256);
    identity.chain = vec![identity.chain[0].clone(); CHAIN_PRESENTED_MAX + 4];
    for version in BOTH {
        let (server, mut peers) = Server::greeting(Setup::default());
        Client::new(version, Some(&identity)).greet(&server).await.unwrap();
        assert_eq!(peers.recv().await.unwrap().chain.len(), CHAIN_PRESENTED_MAX + 1);
    }
}

#[tokio::test]
async fn somebody_else_s_certificate_is_refused() {
    for kind in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_RSA_SHA256,
        &rcgen::PKCS_ED25519,
    ] {
        for version in BOTH {
            check_refused(version, Identity::of_kind(kind).stolen().certified()).await;
        }
    }
    for version in BOTH {
        check_refused(version, certificates::version_1().stolen().certified()).await;
    }
}

#[tokio::test]
async fn a_key_of_another_kind_than_the_certificate_s_is_refused() {
    let kinds = [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_RSA_SHA256, &rcgen::PKCS_ED25519];
    for shown in kinds {
        for held in kinds.into_iter().filter(|held| *held != shown) {
            let Identity { chain, .. } = Identity::of_kind(shown);
            let Identity { key, .. } = Identity::of_kind(held);
            for version in BOTH {
                let mixed = Identity { chain: chain.clone(), key: clone_of(&key) };
                check_refused(version, mixed.certified()).await;
            }
        }
    }
}

#[tokio::test]
async fn a_leaf_without_a_readable_key_is_refused() {
    for garbage in [b"".as_slice(), b"no certificate", b"\x30\x03\x02\x01\x01"] {
        for version in BOTH {
            let mut identity = Identity::of_kind(&rcgen::PKCS_ECDSA_P256_SHA256);
            identity.chain = vec![CertificateDer::from(garbage.to_vec())];
            check_refused(version, identity.certified()).await;
        }
    }
}

/// TLS 1.2 lets a P-521 key sign a SHA-384 hash; TLS 1.3 binds the curve to the hash.
#[tokio::test]
async fn a_hash_of_another_size_than_the_curve_is_taken_in_tls_1_2_only() {
    let identity = Identity::of_kind(&rcgen::PKCS_ECDSA_P521_SHA512);
    let key = || {
        let pkcs8 = identity.key.serialize_der();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P521_SHA384_ASN1_SIGNING, &pkcs8).unwrap();
        Arc::new(CertifiedKey::new(identity.chain.clone(), Arc::new(P521WithSha384(pair.into()))))
    };
    let (server, mut peers) = Server::greeting(Setup::default());
    let provider = aws_lc_rs::default_provider();
    let schemes = provider.signature_verification_algorithms.supported_schemes();
    let client = Client::restricted(provider, schemes, TLS_1_2, Some(key()));
    client.greet(&server).await.unwrap();
    assert_eq!(peers.recv().await.unwrap().chain, identity.chain);
    check_refused(TLS_1_3, key()).await;
}

/// Signs as `ecdsa_secp384r1_sha384`, which in TLS 1.2 means "ECDSA with SHA-384".
#[derive(Debug, Clone)]
struct P521WithSha384(Arc<EcdsaKeyPair>);

impl SigningKey for P521WithSha384 {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        assert!(offered.contains(&SignatureScheme::ECDSA_NISTP384_SHA384));
        Some(Box::new(self.clone()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for P521WithSha384 {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.0.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP384_SHA384
    }
}

fn clone_of(key: &rcgen::KeyPair) -> rcgen::KeyPair {
    rcgen::KeyPair::try_from(key.serialize_der()).unwrap()
}
