//! Why bytes are not a certificate, and why a certificate does not hold.

use std::fmt;

use model::Timestamp;
use model::limits::CERTIFICATE_BYTES_MAX;

/// Why bytes or a text are not a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateError {
    /// There are more bytes than a certificate or an upload may have.
    TooLong,
    /// There is nothing.
    Empty,
    /// The text is neither PEM nor base64, or a PEM block is broken.
    Encoding,
    /// There are PEM blocks, but none is a certificate.
    NoCertificate,
    /// It is, or holds, a private key. A caller must neither store nor log it.
    PrivateKey,
    /// The bytes are not a certificate: this part of it is not what RFC 5280 §4.1 says.
    Malformed(Part),
}

/// The parts of a certificate that can be malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The outer sequence, or bytes behind it.
    Frame,
    /// The version is not 1, 2 or 3.
    Version,
    /// The serial number.
    Serial,
    /// The signature's algorithm; both places must say the same.
    SignatureAlgorithm,
    /// The signature.
    Signature,
    /// The issuer's name.
    Issuer,
    /// The two dates.
    Validity,
    /// The subject's name.
    Subject,
    /// The public key.
    PublicKey,
    /// The list of extensions: one is twice there, there are too many, or the version is not 3.
    Extensions,
    /// The basic constraints.
    BasicConstraints,
    /// The key usage.
    KeyUsage,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Frame => "frame",
            Self::Version => "version",
            Self::Serial => "serial number",
            Self::SignatureAlgorithm => "signature algorithm",
            Self::Signature => "signature",
            Self::Issuer => "issuer",
            Self::Validity => "validity",
            Self::Subject => "subject",
            Self::PublicKey => "public key",
            Self::Extensions => "list of extensions",
            Self::BasicConstraints => "basic constraints",
            Self::KeyUsage => "key usage",
        })
    }
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => {
                write!(f, "is longer than a certificate's {CERTIFICATE_BYTES_MAX} bytes")
            }
            Self::Empty => f.write_str("is empty"),
            Self::Encoding => f.write_str("is neither PEM nor base64 nor DER"),
            Self::NoCertificate => f.write_str("is PEM without a certificate"),
            Self::PrivateKey => f.write_str("holds a private key; send the certificate alone"),
            Self::Malformed(part) => write!(f, "is not a certificate: its {part} is malformed"),
        }
    }
}

impl std::error::Error for CertificateError {}

/// Why a certificate's subject has no usable common name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommonNameError {
    /// The subject has none.
    Missing,
    /// The subject has several.
    Several,
    /// It holds a NUL or another control character.
    ControlCharacter,
    /// It is of a string type that is not read as text, or not UTF-8.
    NotText,
}

impl fmt::Display for CommonNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the subject has no common name",
            Self::Several => "the subject has several common names",
            Self::ControlCharacter => "the common name holds a control character",
            Self::NotText => "the common name is not text",
        })
    }
}

impl std::error::Error for CommonNameError {}

/// Why a certificate is not valid at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValidityError {
    /// Its time has not come.
    NotYetValid {
        /// The first instant at which it is valid.
        not_before: Timestamp,
    },
    /// Its time has passed.
    Expired {
        /// The last second in which it is valid.
        not_after: Timestamp,
    },
}

impl fmt::Display for ValidityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotYetValid { not_before } => write!(f, "is not valid before {not_before}"),
            Self::Expired { not_after } => write!(f, "has expired at {not_after}"),
        }
    }
}

impl std::error::Error for ValidityError {}

/// Why a certificate's signature is not an issuer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignatureError {
    /// The algorithm is not one that is trusted: SHA-1 and MD5 among others.
    UnsupportedAlgorithm {
        /// Its object identifier, in dotted decimal digits.
        oid: String,
    },
    /// The issuer's key is not of the kind that makes such signatures.
    OtherKeyKind,
    /// The signature was not made with the issuer's key, or not over these bytes.
    Invalid,
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnsupportedAlgorithm { oid } => {
                write!(f, "the signature algorithm {oid} is not supported")
            }
            Self::OtherKeyKind => f.write_str("the issuer's key makes other signatures"),
            Self::Invalid => f.write_str("the signature is not the issuer's"),
        }
    }
}

impl std::error::Error for SignatureError {}
