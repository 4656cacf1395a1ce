//! Why a presented chain does not hold.

use std::fmt;

use model::Timestamp;
use model::limits::{CHAIN_DEPTH_MAX, CHAIN_PRESENTED_MAX};

/// Why a presented chain does not hold. Subjects and issuers are texts for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainError {
    /// No certificate was presented.
    NothingPresented,
    /// More than [`CHAIN_PRESENTED_MAX`] were presented; none was looked at.
    TooManyCertificates {
        /// How many.
        presented: usize,
    },
    /// The certificate of this subject is not valid yet.
    NotYetValid {
        /// Whose certificate.
        subject: String,
        /// The first instant at which it is valid.
        not_before: Timestamp,
    },
    /// The certificate of this subject has expired.
    Expired {
        /// Whose certificate.
        subject: String,
        /// The last second in which it was valid.
        not_after: Timestamp,
    },
    /// The certificate of this subject demands to know an extension that is not known here.
    UnknownCriticalExtension {
        /// Whose certificate.
        subject: String,
        /// The extension's object identifier, in dotted decimal digits.
        oid: String,
    },
    /// The issuer restricts the names below it, and such restrictions are not enforced here.
    NameConstraints {
        /// The issuer.
        subject: String,
    },
    /// The issuer is not a CA: no basic constraints with CA:TRUE.
    NotCa {
        /// The issuer.
        subject: String,
    },
    /// The issuer's key usage does not allow it to sign certificates.
    KeyUsage {
        /// The issuer.
        subject: String,
    },
    /// The issuer's extended key usage, which is critical, is not for devices.
    Purpose {
        /// The issuer.
        subject: String,
    },
    /// There are more CAs below the issuer than it allows.
    PathLength {
        /// The issuer.
        subject: String,
        /// How many it allows.
        allowed: u32,
    },
    /// The signature on the certificate of this subject is of a kind that is not trusted.
    UnsupportedSignature {
        /// Whose certificate.
        subject: String,
        /// The algorithm's object identifier, in dotted decimal digits.
        oid: String,
    },
    /// An issuer of the right name is known, but its key did not make the signature.
    BadSignature {
        /// Whose certificate.
        subject: String,
        /// The issuer.
        issuer: String,
    },
    /// No certificate of the issuer was presented, and none is stored: "CA certificate not found".
    IssuerMissing {
        /// Whose certificate.
        subject: String,
        /// The issuer that it names.
        issuer: String,
    },
    /// Certificates of the issuer's name are known, but for other keys than the one asked for:
    /// most often a CA that was made anew under its old name.
    IssuerKeyDiffers {
        /// Whose certificate.
        subject: String,
        /// The issuer that it names.
        issuer: String,
    },
    /// The chain holds up to a self-issued certificate, but none in it is a verified CA of this
    /// instance.
    NoVerifiedCa {
        /// The subject at the top.
        topmost: String,
    },
    /// The only known issuers already stand below: they sign each other.
    Loop {
        /// Whose issuers.
        subject: String,
    },
    /// The chain is longer than [`CHAIN_DEPTH_MAX`] certificates without a verified CA.
    TooDeep,
    /// There are too many ways through the certificates to try them all.
    TooMuchWork,
}

impl fmt::Display for ChainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingPresented => f.write_str("no certificate was presented"),
            Self::TooManyCertificates { presented } => write!(
                f,
                "{presented} certificates were presented, more than {CHAIN_PRESENTED_MAX}"
            ),
            Self::NotYetValid { subject, not_before } => {
                write!(f, "the certificate of {subject} is not valid before {not_before}")
            }
            Self::Expired { subject, not_after } => {
                write!(f, "the certificate of {subject} has expired at {not_after}")
            }
            Self::UnknownCriticalExtension { subject, oid } => {
                write!(f, "the certificate of {subject} has the unknown critical extension {oid}")
            }
            Self::NameConstraints { subject } => {
                write!(f, "the issuer {subject} has name constraints, which are not supported")
            }
            Self::NotCa { subject } => write!(f, "the issuer {subject} is not a CA"),
            Self::KeyUsage { subject } => {
                write!(f, "the key usage of the issuer {subject} does not include keyCertSign")
            }
            Self::Purpose { subject } => {
                write!(f, "the extended key usage of the issuer {subject} is not for devices")
            }
            Self::PathLength { subject, allowed } => {
                write!(f, "the issuer {subject} allows no more than {allowed} CAs below it")
            }
            Self::UnsupportedSignature { subject, oid } => write!(
                f,
                "the certificate of {subject} is signed with the unsupported algorithm {oid}"
            ),
            Self::BadSignature { subject, issuer } => {
                write!(f, "the certificate of {subject} is not signed by the known {issuer}")
            }
            Self::IssuerMissing { subject, issuer } => {
                write!(f, "CA certificate not found: {issuer}, the issuer of {subject}")
            }
            Self::IssuerKeyDiffers { subject, issuer } => write!(
                f,
                "CA certificate not found: {subject} names another key of {issuer} than the known"
            ),
            Self::NoVerifiedCa { topmost } => {
                write!(f, "the chain ends at {topmost} without a verified CA certificate")
            }
            Self::Loop { subject } => {
                write!(f, "the issuers of {subject} only sign each other")
            }
            Self::TooDeep => {
                write!(f, "no verified CA within a chain of {CHAIN_DEPTH_MAX} certificates")
            }
            Self::TooMuchWork => f.write_str("the certificates can be chained in too many ways"),
        }
    }
}

impl std::error::Error for ChainError {}
