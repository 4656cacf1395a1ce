//! X.509 certificates: parsing, uploads, signatures, and chains up to a verified CA.
//!
//! The profile is that of device certificates, not of the Web: a leaf may be X.509 v1, CA:TRUE or
//! of any extended key usage; names of hosts mean nothing. Issuers are judged by RFC 5280 §6.1,
//! except where the types say otherwise. Source: `dps-device-api` §6.2, `dependencies` §2.

mod certificate;
mod chain;
mod chain_error;
mod der;
mod error;
mod extensions;
pub mod issuing;
mod name;
mod parse;
mod signature;
mod upload;

pub use certificate::Certificate;
pub use chain::{Chain, Dates, StoredCa, build_chain, same_authority};
pub use chain_error::ChainError;
pub use error::{CertificateError, CommonNameError, Part, SignatureError, ValidityError};
