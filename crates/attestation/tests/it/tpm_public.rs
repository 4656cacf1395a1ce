//! Public areas of TPM keys, as SDKs send them and as nobody should.

use attestation::tpm::{EndorsementKey, PublicError, StorageRootKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

/// The endorsement key of Microsoft's samples and of the SDKs' own tests.
pub(crate) const RSA_ENDORSEMENT_KEY: &str = "\
    AToAAQALAAMAsgAgg3GXZ0SEs/gakMyNRqXXJP1S124GUgtk8qHaGzMUaaoABgCAAEMAEAgAAAAAAAEAxsj2gUScTk1U\
    juioeTlfGYZrrimExB+bScH75adUMRIi2UOMxG1kw4y+9RW/IVoMl4e620VxZad0ARX2gUqVjYO7KPVt3dyKhZS3dkcv\
    fBisBhP1XH9B33VqHG9SHnbnQXdBUaCgKAfxome8UmBKfe+naTsE5fkvjb/do3/dD6l4sGBwFCnKRdln4XpM03zLpoHF\
    ao8zOwt8l/uP3qUIxmCYv9A7m69Ms+5/pCkTu/rK4mRDsfhZ0QLfbzVI6zQFOKF/rwsfBtFeWlWtcuJMKlXdD8TXWElT\
    zgh7JS4qhFzreL0c1mI0GCj+Aws0usZh7dLIVPnlgZcBhgy1SSDQMQ==";

/// Both of one swtpm 0.7.1, by template L-2 and by the SDKs' template on P-256.
pub(crate) const P256_ENDORSEMENT_KEY: &str = "\
    007a0023000b000300b20020837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa000600\
    80004300100003001000206fb6b1d20c5cd06f9d58f647c0ba8b14306ba9f93f28f217cb250459d0db5c140020cb1a\
    861c9d1d35047242e4b35795cafe95fe2abef46fc39da48fa56664cd6b18";
pub(crate) const P256_STORAGE_ROOT_KEY: &str = "\
    005a0023000b0003047200000006008000430010000300100020833bf932bccdf892a0a9890b192781a17dbba2e3a0\
    56d5b7e7b2ddf2335f60d70020be25684d205bc2b1576076b7151d8005700439\
    9134e980030fe08f954d8efde6";

/// The published 2048-bit modulus of the broken generator: `crocs-muni/roca`, `mod03.txt`.
pub(crate) const ROCA_MODULUS: &str = "\
    9dcd7420e420c270a68060eb8b5aa7457a9f6648f86fafed2775cc1f79ae962f1e63f1b9e51c55f9ea6fdc7332e9b0\
    058c9ff2eb1fc89855029cf6aafe21e689feb38ac9ffb12f1ce371bb5d0e9aae64161abce74b4244bf68f1edb4411f\
    756a097c8929c14740245ea355f8332d1aa36bb50c7dcb4505da8de02e4e53d38f8df06097da7524df0df93db48eac\
    8cc4af2d3a16257eb2b2adca6ba464e5974fa92550d31b1babf161e7692d00b86e3dd886ecab4abfbe1a8f8cc263ff\
    4af55cdb45f4249a5193925f5e983d762f0b6800943eb0267b08f42ed311ce1f5c86eacbc8ce4d3cb7a2fee1ef5641\
    423a1cf4114e5ecf50034a60a412523af9e6f4aa11";

// Where the fields of an RSA endorsement key lie, its size included.
const NAME_ALGORITHM: usize = 4;
const ATTRIBUTES: usize = 6;
const POLICY: usize = 10;
const SYMMETRIC: usize = 44;
const SCHEME: usize = 50;
const KEY_BITS: usize = 52;
const EXPONENT: usize = 54;
const MODULUS: usize = 60;

pub(crate) fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn rsa() -> Vec<u8> {
    STANDARD.decode(RSA_ENDORSEMENT_KEY).unwrap()
}

/// An RSA key with other bytes at a place.
fn with(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut key = rsa();
    key[at..at + bytes.len()].copy_from_slice(bytes);
    key
}

/// The same structure without some bytes, its size corrected.
fn resized(mut key: Vec<u8>) -> Vec<u8> {
    let size = u16::try_from(key.len() - 2).unwrap();
    key[..2].copy_from_slice(&size.to_be_bytes());
    key
}

fn refused(bytes: &[u8]) -> PublicError {
    EndorsementKey::from_bytes(bytes).unwrap_err()
}

#[test]
fn the_keys_of_sdks_are_read_and_named() {
    let key = EndorsementKey::from_base64(RSA_ENDORSEMENT_KEY).unwrap();
    assert!(key == EndorsementKey::from_bytes(&rsa()).unwrap());
    // Part 1, "Names": the digest leaves the size of TPM2B_PUBLIC out.
    let digest = attestation::sha256(&rsa()[2..]);
    assert_eq!(key.name().as_bytes()[..2], [0x00, 0x0B]);
    assert_eq!(key.name().as_bytes()[2..], digest.0);
    assert_eq!(key.name().digest(), digest);
    assert!(format!("{key:?}").contains(&digest.to_string()));

    let ecc = EndorsementKey::from_bytes(&hex(P256_ENDORSEMENT_KEY)).unwrap();
    assert!(ecc != key && ecc.name() != key.name());
    assert!(StorageRootKey::from_bytes(&hex(P256_STORAGE_ROOT_KEY)).is_ok());
}

#[test]
fn a_text_is_padded_standard_base64_of_one_structure() {
    for bad in ["", "AAA=", "AAI="] {
        assert_eq!(EndorsementKey::from_base64(bad).unwrap_err(), PublicError::Truncated, "{bad}");
    }
    let unpadded = RSA_ENDORSEMENT_KEY.trim_end_matches('=');
    for bad in [unpadded, "x", &format!("{RSA_ENDORSEMENT_KEY}\n")] {
        assert_eq!(EndorsementKey::from_base64(bad).unwrap_err(), PublicError::NotBase64);
    }
    let long = "A".repeat(1372);
    assert_eq!(EndorsementKey::from_base64(&long).unwrap_err(), PublicError::TooLong);
    assert_eq!(refused(&[0; 1025]), PublicError::TooLong);
    // A TPMT_PUBLIC, as `tpm2_readpublic -f tpmt` writes it: its type is read as a size.
    assert_eq!(refused(&rsa()[2..]), PublicError::Trailing);
}

#[test]
fn every_truncation_and_extension_is_refused() {
    for whole in [rsa(), hex(P256_ENDORSEMENT_KEY), hex(P256_STORAGE_ROOT_KEY)] {
        assert!(StorageRootKey::from_bytes(&whole).is_ok());
        for length in 0..whole.len() {
            assert_eq!(refused(&whole[..length]), PublicError::Truncated, "{length}");
            if length >= 2 {
                let resized = resized(whole[..length].to_vec());
                assert_eq!(refused(&resized), PublicError::Truncated, "{length}, resized");
            }
        }
        let extended = [whole.as_slice(), &[0]].concat();
        assert_eq!(refused(&extended), PublicError::Trailing);
        assert_eq!(refused(&resized(extended)), PublicError::Trailing);
    }
}

#[test]
fn another_kind_of_key_is_refused_by_its_field() {
    let cases: [(usize, &[u8], PublicError); 14] = [
        (2, &[0, 8], PublicError::Type(8)),
        (NAME_ALGORITHM, &[0, 4], PublicError::NameAlgorithm(4)),
        (NAME_ALGORITHM, &[0, 12], PublicError::NameAlgorithm(12)),
        // Not fixed to its TPM; one that signs.
        (ATTRIBUTES, &[0, 3, 0, 0xB0], PublicError::Attributes(0x0003_00B0)),
        (ATTRIBUTES, &[0, 7, 0, 0xB2], PublicError::Attributes(0x0007_00B2)),
        (SYMMETRIC, &[0, 0x10], PublicError::Symmetric),
        (SYMMETRIC + 2, &[1, 0], PublicError::Symmetric),
        (SYMMETRIC + 4, &[0, 0x44], PublicError::Symmetric),
        (SCHEME, &[0, 0x17], PublicError::Scheme),
        (KEY_BITS, &[0x0C, 0], PublicError::RsaBits(3072)),
        (EXPONENT, &[0, 0, 0, 3], PublicError::Exponent(3)),
        // Too few bits; even; divisible by three.
        (MODULUS, &[0x46], PublicError::Modulus),
        (MODULUS + 255, &[0x30], PublicError::Modulus),
        (MODULUS + 255, &[0x05], PublicError::Modulus),
    ];
    for (at, bytes, expected) in cases {
        assert_eq!(refused(&with(at, bytes)), expected, "{bytes:02x?} at {at}");
    }
    assert!(
        EndorsementKey::from_bytes(&with(EXPONENT, &[0, 1, 0, 1])).is_ok(),
        "65537 spelled out"
    );

    let policy = resized([&rsa()[..POLICY], &[0, 1, 9], &rsa()[SYMMETRIC..]].concat());
    assert_eq!(refused(&policy), PublicError::Policy);
    let short = [&rsa()[..MODULUS - 2], &[0, 255], &rsa()[MODULUS + 1..]].concat();
    assert_eq!(refused(&resized(short)), PublicError::Modulus);
}

/// An attestation key signs; Keylime's documentation shows this one.
#[test]
fn an_attestation_key_is_no_endorsement_key() {
    let head = STANDARD.decode("ARgAAQALAAUAcgAAABAAFAALCAAAAAAAAQDj").unwrap();
    let key = [head.as_slice(), &[0xAA; 282 - 27]].concat();
    assert_eq!(refused(&key), PublicError::Attributes(0x0005_0072));
}

#[test]
fn a_roca_weak_key_is_refused() {
    assert_eq!(refused(&with(MODULUS, &hex(ROCA_MODULUS))), PublicError::Roca);
    let srk = StorageRootKey::from_bytes(&with(MODULUS, &hex(ROCA_MODULUS)));
    assert_eq!(srk.unwrap_err(), PublicError::Roca);
    // The detector's own counter-example, `mod07.txt`: the last byte is another one.
    let near = ROCA_MODULUS.strip_suffix("11").unwrap().to_owned() + "21";
    assert_eq!(refused(&with(MODULUS, &hex(&near))), PublicError::Modulus, "it has a tiny factor");
}

#[test]
fn a_point_must_lie_on_p256() {
    let key = hex(P256_ENDORSEMENT_KEY);
    let (curve, kdf, x) = (52, 54, 58);
    let with = |at: usize, bytes: &[u8]| {
        let mut key = key.clone();
        key[at..at + bytes.len()].copy_from_slice(bytes);
        key
    };
    assert_eq!(refused(&with(curve, &[0, 4])), PublicError::Curve(4));
    assert_eq!(refused(&with(kdf, &[0, 0x20])), PublicError::Scheme);
    assert_eq!(refused(&with(x, &[0; 32])), PublicError::Point);
    assert_eq!(refused(&with(x + 31, &[0x15])), PublicError::Point);
    let long = resized([&key[..x - 2], &[0, 33, 0], &key[x..]].concat());
    assert_eq!(refused(&long), PublicError::Point);
    let none = resized([&key[..x - 2], &[0, 0, 0, 0]].concat());
    assert_eq!(refused(&none), PublicError::Point);
}

#[test]
fn what_is_wrong_is_said() {
    for (error, words) in [
        (PublicError::Truncated, "cut short"),
        (PublicError::Roca, "CVE-2017-15361"),
        (PublicError::RsaBits(3072), "3072 bits, not 2048"),
        (PublicError::Type(8), "0x0008"),
        (PublicError::Attributes(0x0005_0072), "0x00050072"),
    ] {
        assert!(error.to_string().contains(words), "{error}");
    }
}

proptest! {
    /// Whatever is read has the Name of exactly its bytes.
    #[test]
    fn altered_keys_are_refused_or_read_as_they_are(
        at in 0_usize..316,
        to in any::<u8>(),
    ) {
        let key = with(at, &[to]);
        if let Ok(read) = EndorsementKey::from_bytes(&key) {
            let name = read.name();
            prop_assert_eq!(&name.as_bytes()[2..], &attestation::sha256(&key[2..]).0);
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = EndorsementKey::from_bytes(&bytes);
        let _ = EndorsementKey::from_base64(&String::from_utf8_lossy(&bytes));
    }
}
