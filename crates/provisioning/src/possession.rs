//! Proof that an operator holds the key of a CA certificate (`dps-service-api` §3.7).
//!
//! The service names a code that nobody could know before; the operator has the CA sign a
//! certificate whose common name it is. How old that certificate says to be means nothing: the
//! code tells that it is new.

use std::fmt;

use attestation::x509::{Certificate, CommonNameError, SignatureError};
use model::{Etag, Timestamp, VerificationCode};

use crate::instance::CaCertificate;

/// Why a certificate proves nothing. What is shown of it is cut short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unproven {
    /// No code was asked for since the last proof or upload.
    NoCode,
    /// The CA's key did not sign it (C-02).
    Signature(SignatureError),
    /// Its subject has no usable common name (C-02).
    NoCommonName(CommonNameError),
    /// Its common name is not the code, or is an older one (C-02, C-04).
    OtherCode {
        /// The name.
        found: String,
    },
}

/// Characters of a foreign common name that are repeated.
const SHOWN_CHARS_MAX: usize = 64;

impl fmt::Display for Unproven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCode => f.write_str("no verification code is waiting for it: generate one"),
            Self::Signature(because) => {
                write!(f, "is not signed by the key of the CA certificate: {because}")
            }
            Self::NoCommonName(because) => write!(
                f,
                "{because}: make the latest verification code the common name of its subject"
            ),
            Self::OtherCode { found } => write!(
                f,
                "has the common name {found:?}, which is not the latest verification code"
            ),
        }
    }
}

impl std::error::Error for Unproven {}

/// When and as what a CA certificate is written.
#[derive(Clone, Debug)]
pub struct Rewrite {
    /// Its new etag (C-04).
    pub etag: Etag,
    /// The time.
    pub now: Timestamp,
}

/// What an operator says of a CA certificate that is uploaded, where anything is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vouched {
    /// Nothing: what was proven of this body stays, a new body has to be proven (C-06).
    Unsaid,
    /// It is verified without a proof (C-03).
    Yes,
    /// It is not verified, whatever was proven.
    No,
}

/// What becomes of a CA certificate when a body is uploaded in its place.
pub fn replaced(
    present: &CaCertificate,
    certificate: &Certificate,
    vouched: Vouched,
    rewrite: Rewrite,
) -> CaCertificate {
    let same = present.certificate.thumbprint() == certificate.thumbprint();
    CaCertificate {
        certificate: certificate.clone(),
        verified: match vouched {
            Vouched::Unsaid => same && present.verified,
            Vouched::Yes => true,
            Vouched::No => false,
        },
        code: present.code.clone().filter(|_| same),
        ..written(present, rewrite)
    }
}

/// What becomes of a CA certificate when a code is asked for: an older code proves nothing any
/// more (C-04), what was proven stays.
pub fn challenged(
    present: &CaCertificate,
    code: VerificationCode,
    rewrite: Rewrite,
) -> CaCertificate {
    CaCertificate { code: Some(code), ..written(present, rewrite) }
}

/// What becomes of a CA certificate by a proof: it is verified, and the code is used up (C-01).
///
/// # Errors
/// [`Unproven`]; nothing of the CA certificate changes.
pub fn proven(
    present: &CaCertificate,
    proof: &Certificate,
    rewrite: Rewrite,
) -> Result<CaCertificate, Unproven> {
    let code = present.code.as_ref().ok_or(Unproven::NoCode)?;
    proof.verify_signed_by(&present.certificate).map_err(Unproven::Signature)?;
    let name = proof.common_name().map_err(Unproven::NoCommonName)?;
    if name != code.as_str() {
        let found = name.chars().take(SHOWN_CHARS_MAX).collect();
        return Err(Unproven::OtherCode { found });
    }
    Ok(CaCertificate { verified: true, code: None, ..written(present, rewrite) })
}

fn written(present: &CaCertificate, rewrite: Rewrite) -> CaCertificate {
    CaCertificate { etag: rewrite.etag, updated: rewrite.now, ..present.clone() }
}
