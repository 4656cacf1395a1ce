//! The keys that TPMs are challenged with.

use std::time::Duration;

use attestation::SymmetricKey;
use attestation::sas::{self, SasToken};
use attestation::tpm::{
    CHALLENGE_SLOT, Challenge, EndorsementKey, Name, SealError, StorageRootKey,
};
use attestation::tpm::{URI_BYTES_MAX, seal};
use model::{IdScope, RegistrationId, Timestamp};

use crate::pki::NOW;
use crate::tpm_public::{P256_ENDORSEMENT_KEY, P256_STORAGE_ROOT_KEY, RSA_ENDORSEMENT_KEY, hex};

/// What the challenges of these tests are bound to.
#[derive(Clone)]
struct Bound {
    id_scope: IdScope,
    registration_id: RegistrationId,
    endorsement_key: Name,
    storage_root_key: Name,
    after: &'static str,
}

impl Bound {
    fn new() -> Self {
        Self {
            id_scope: IdScope::parse("0ne00ABCDEF").unwrap(),
            registration_id: RegistrationId::parse("Device-1").unwrap(),
            endorsement_key: EndorsementKey::from_base64(RSA_ENDORSEMENT_KEY).unwrap().name(),
            storage_root_key: storage_root_key().name(),
            after: "",
        }
    }

    fn challenge(&self) -> Challenge<'_> {
        Challenge {
            id_scope: &self.id_scope,
            registration_id: &self.registration_id,
            endorsement_key: &self.endorsement_key,
            storage_root_key: &self.storage_root_key,
            after: self.after,
        }
    }

    fn key(&self) -> SymmetricKey {
        self.challenge().key(&secret(), NOW)
    }
}

fn storage_root_key() -> StorageRootKey {
    StorageRootKey::from_bytes(&hex(P256_STORAGE_ROOT_KEY)).unwrap()
}

fn secret() -> SymmetricKey {
    SymmetricKey::from_bytes((0..64).collect()).unwrap()
}

fn token(key: &SymmetricKey) -> SasToken {
    let expires = NOW.plus(Duration::from_secs(3600));
    let resource = "0ne00ABCDEF/registrations/Device-1";
    SasToken::parse(&sas::create(resource, key, expires, Some("registration"))).unwrap()
}

#[test]
fn d_25_a_key_is_bound_to_all_that_it_is_derived_from() {
    let bound = Bound::new();
    let other = |change: &dyn Fn(&mut Bound)| {
        let mut other = bound.clone();
        change(&mut other);
        assert!(!other.key().same_as(&bound.key()));
        assert!(other.challenge().answered(&secret(), &token(&bound.key()), NOW).is_none());
    };
    other(&|b| b.id_scope = IdScope::parse("0ne00ABCDE0").unwrap());
    other(&|b| b.registration_id = RegistrationId::parse("Device-2").unwrap());
    other(&|b| b.endorsement_key = b.storage_root_key);
    other(&|b| b.storage_root_key = b.endorsement_key);
    // D-25: the commit that succeeds leaves another etag behind, which consumes the key.
    other(&|b| b.after = "etag");
    let moved = Bound {
        id_scope: IdScope::parse("0ne00ABCDEFD").unwrap(),
        registration_id: RegistrationId::parse("evice-1").unwrap(),
        ..bound.clone()
    };
    assert!(!moved.key().same_as(&bound.key()), "fields do not run into each other");

    let same = Bound {
        id_scope: IdScope::parse("0NE00abcdef").unwrap(),
        registration_id: RegistrationId::parse("DEVICE-1").unwrap(),
        ..bound.clone()
    };
    assert!(same.key().same_as(&bound.key()), "ids compare without case");
    assert!(!bound.challenge().key(&bound.key(), NOW).same_as(&bound.key()));
}

#[test]
fn d_25_a_key_is_good_for_its_slot_and_the_ones_beside() {
    let (bound, secret) = (Bound::new(), secret());
    let challenge = bound.challenge();
    let slot = CHALLENGE_SLOT;
    let tick = Duration::from_nanos(100);
    // The tests' NOW is the beginning of a slot.
    let token = token(&challenge.key(&secret, NOW));
    let answered = |at: Timestamp| challenge.answered(&secret, &token, at).is_some();
    assert!(answered(NOW));
    assert!(answered(NOW.plus(slot * 2).minus(tick)), "the end of the next slot");
    assert!(!answered(NOW.plus(slot * 2)));
    assert!(answered(NOW.minus(slot)), "a node whose clock is behind");
    assert!(!answered(NOW.minus(slot + tick)));

    let key = challenge.answered(&secret, &token, NOW.plus(slot)).unwrap();
    assert!(key.same_as(&bound.key()), "it tells which key it was");
}

#[test]
fn a_token_of_another_key_is_no_answer() {
    let bound = Bound::new();
    assert!(bound.challenge().answered(&secret(), &token(&secret()), NOW).is_none());
    assert!(bound.challenge().answered(&bound.key(), &token(&bound.key()), NOW).is_none());
}

/// The sizes of `dps-device-api` §6.4, by which SDKs cut; SASL frames are made for 783 bytes.
#[test]
fn a_wrapped_key_has_the_layout_of_the_sdks() {
    let key = SymmetricKey::from_bytes(vec![9; 32]).unwrap();
    let rsa = EndorsementKey::from_base64(RSA_ENDORSEMENT_KEY).unwrap();
    let rsa_root = {
        use base64::Engine;
        let bytes = base64::engine::general_purpose::STANDARD.decode(RSA_ENDORSEMENT_KEY).unwrap();
        StorageRootKey::from_bytes(&bytes).unwrap()
    };
    let p256 = EndorsementKey::from_bytes(&hex(P256_ENDORSEMENT_KEY)).unwrap();
    let cases = [
        (seal(&rsa, &rsa_root, &key, "hub", &[1; 32]), [54, 258, 144, 258, 50, 5]),
        (seal(&p256, &storage_root_key(), &key, "hub", &[1; 32]), [54, 70, 144, 70, 50, 5]),
        (seal(&rsa, &rsa_root, &key, "", &[1; 32]), [54, 258, 144, 258, 50, 2]),
    ];
    for (blob, sizes) in cases {
        let blob = blob.unwrap();
        let mut rest = blob.as_slice();
        for size in sizes {
            let (part, after) = rest.split_at(size);
            assert_eq!(usize::from(u16::from_be_bytes([part[0], part[1]])), size - 2);
            rest = after;
        }
        assert!(rest.is_empty());
        // Keyed hash, SHA-256, sign and userWithAuth, no policy, HMAC with SHA-256.
        let at = sizes[..4].iter().sum::<usize>();
        assert_eq!(
            blob[at..at + 18],
            [0, 48, 0, 8, 0, 11, 0, 4, 0, 0x40, 0, 0, 0, 5, 0, 11, 0, 32]
        );
        assert!(!blob.windows(32).any(|window| window == [9; 32]), "the key is not in clear");
    }
}

#[test]
fn other_entropy_makes_another_wrapping_and_the_text_is_bounded() {
    let key = SymmetricKey::from_bytes(vec![9; 32]).unwrap();
    let ek = EndorsementKey::from_bytes(&hex(P256_ENDORSEMENT_KEY)).unwrap();
    let wrapped = |uri: &str, entropy| seal(&ek, &storage_root_key(), &key, uri, &[entropy; 32]);
    // Nothing random is drawn with elliptic curves.
    assert_eq!(wrapped("", 1).unwrap(), wrapped("", 1).unwrap());
    let (one, two) = (wrapped("", 1).unwrap(), wrapped("", 2).unwrap());
    for part in [0..54, 54..124, 124..268, 268..338, 338..388] {
        assert_ne!(one[part.clone()], two[part.clone()], "{part:?}");
    }
    assert!(wrapped(&"x".repeat(URI_BYTES_MAX), 1).is_ok());
    let long = wrapped(&"x".repeat(URI_BYTES_MAX + 1), 1);
    assert_eq!(long.unwrap_err(), SealError::UriTooLong);
}
