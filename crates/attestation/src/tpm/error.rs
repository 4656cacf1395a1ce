//! Why a public area is not taken, or a key not wrapped.

use std::fmt;

/// Why bytes or a text are not the public area of a key that can be challenged.
///
/// A refusal of what could be made to work with more code says what is wanted; nothing here is
/// secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicError {
    /// The text is not base64 of the standard alphabet with padding.
    NotBase64,
    /// The text or the bytes are longer than any public area.
    TooLong,
    /// The bytes end before a structure that they announce.
    Truncated,
    /// Bytes follow the public area.
    Trailing,
    /// `type` is neither `TPM_ALG_RSA` nor `TPM_ALG_ECC`.
    Type(u16),
    /// `nameAlg` is not `TPM_ALG_SHA256`.
    NameAlgorithm(u16),
    /// `objectAttributes` are not those of a restricted decryption key that never leaves its TPM.
    Attributes(u32),
    /// `authPolicy` is neither empty nor a SHA-256 digest.
    Policy,
    /// `symmetric` is not AES-128 in CFB mode.
    Symmetric,
    /// `scheme` or `kdf` is not `TPM_ALG_NULL`.
    Scheme,
    /// The RSA key does not have 2048 bits.
    RsaBits(u16),
    /// The RSA exponent is not 65537.
    Exponent(u32),
    /// The RSA modulus is not an odd number of the key's bits, or has a tiny factor.
    Modulus,
    /// The RSA modulus has the mark of CVE-2017-15361 (ROCA): the private key can be computed.
    Roca,
    /// The elliptic curve is not NIST P-256.
    Curve(u16),
    /// The point does not lie on the curve.
    Point,
}

impl fmt::Display for PublicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBase64 => f.write_str("is not base64"),
            Self::TooLong => f.write_str("is longer than any TPM2B_PUBLIC"),
            Self::Truncated => f.write_str("is cut short, or lacks the size of a TPM2B_PUBLIC"),
            Self::Trailing => f.write_str("has bytes after its TPM2B_PUBLIC"),
            Self::Type(found) => write!(f, "is of type {found:#06x}, neither RSA nor ECC"),
            Self::NameAlgorithm(found) => {
                write!(f, "has the name algorithm {found:#06x}, not SHA-256")
            }
            Self::Attributes(found) => write!(
                f,
                "has the attributes {found:#010x}, not those of a restricted decryption key \
                 that is fixed to its TPM"
            ),
            Self::Policy => f.write_str("has a policy that is no SHA-256 digest"),
            Self::Symmetric => f.write_str("protects its children by other than AES-128 in CFB"),
            Self::Scheme => f.write_str("has a scheme of its own, where there must be none"),
            Self::RsaBits(found) => write!(f, "is an RSA key of {found} bits, not 2048"),
            Self::Exponent(found) => write!(f, "has the RSA exponent {found}, not 65537"),
            Self::Modulus => f.write_str("has an RSA modulus that is none"),
            Self::Roca => f.write_str(
                "is weak: its RSA modulus comes from a broken generator (CVE-2017-15361, ROCA)",
            ),
            Self::Curve(found) => write!(f, "is on the curve {found:#06x}, not on NIST P-256"),
            Self::Point => f.write_str("is not a point of its curve"),
        }
    }
}

impl std::error::Error for PublicError {}

/// Why a key was not wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealError {
    /// The text beside the key is longer than [`super::URI_BYTES_MAX`].
    UriTooLong,
    /// The cryptographic library refused, which keys that were parsed give it no cause for.
    Crypto,
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UriTooLong => "the text beside the key is too long",
            Self::Crypto => "the key could not be encrypted",
        })
    }
}

impl std::error::Error for SealError {}

impl From<aws_lc_rs::error::Unspecified> for SealError {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self::Crypto
    }
}
