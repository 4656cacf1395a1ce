//! The OpenAPI documents of what is served over HTTPS, one for each kind of host.
//!
//! They are written by hand: what a client may rely on is a promise, and no by-product of types.
//! The tests beside them hold promise and code together.

use super::error::ApiFault;
use super::segments;

/// A document. Source of the form: OpenAPI 3.1.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// A provisioning service: the APIs of devices and of operators.
    Dps,
    /// A hub.
    Hub,
    /// Muster's administration.
    Admin,
}

impl Document {
    /// Its JSON.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Dps => include_str!("../../openapi/dps.json"),
            Self::Hub => include_str!("../../openapi/hub.json"),
            Self::Admin => include_str!("../../openapi/admin.json"),
        }
    }
}

/// Whether a call is for the document of its host; none for a call of any other path.
///
/// # Errors
/// Inside: [`ApiFault::MethodNotAllowed`].
pub fn route(method: &str, path: &str) -> Option<Result<(), ApiFault>> {
    let asked = matches!(segments(path).as_slice(), [only] if only == "openapi.json");
    asked.then_some(match method {
        "GET" | "HEAD" => Ok(()),
        _ => Err(ApiFault::MethodNotAllowed),
    })
}

#[cfg(test)]
mod tests;
