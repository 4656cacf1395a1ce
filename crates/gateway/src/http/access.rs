//! Who calls an API of operators, and from where.

use attestation::access::{self, Policy};
use attestation::bearer::{self, Access, Role};
use dialect::rest::error::{self, ApiFault, WireError};
use hyper::header;
use service::Call;

use super::Asked;
use crate::{Gateway, faults};

/// What guards a call.
pub(super) struct Guard<'a, R> {
    /// What is called.
    pub(super) at: bearer::Service<'a>,
    /// Whose tokens are taken.
    pub(super) policies: &'a [Policy<R>],
    /// What a role must be enough for.
    pub(super) needed: Access,
}

/// Who calls.
pub(super) struct Caller {
    /// The call, by its name.
    pub(super) call: Call,
    /// The role of a bearer; none for the key of a shared access policy.
    pub(super) role: Option<Role>,
}

/// Why the call is not theirs to make.
pub(super) enum Refusal {
    /// Nothing that can be read as a credential.
    Nobody,
    /// The policy's token does not hold.
    Policy(access::Denied),
    /// The bearer's token does not.
    Bearer(bearer::Denied),
}

impl Refusal {
    /// As a provisioning service and the administration say it.
    pub(super) fn dps(self, gateway: &Gateway) -> WireError {
        match self {
            Self::Nobody => asking(gateway, faults::dps(&ApiFault::Unauthorized)),
            Self::Policy(denied) => error::dps(denied),
            Self::Bearer(denied) => error::dps(&denied),
        }
    }

    /// As a hub says it.
    pub(super) fn hub(self, gateway: &Gateway) -> WireError {
        match self {
            Self::Nobody => asking(gateway, faults::hub(&ApiFault::Unauthorized)),
            Self::Policy(denied) => error::hub(denied),
            Self::Bearer(denied) => error::hub(&denied),
        }
    }
}

fn asking(gateway: &Gateway, error: WireError) -> WireError {
    match gateway.issuers.trusted().is_empty() {
        true => error,
        false => error.asking_for_a_token(),
    }
}

/// Judges a call's token by what is in force now; where it comes from is judged already.
pub(super) fn authorize<R>(
    gateway: &Gateway,
    asked: &Asked,
    guard: &Guard<'_, R>,
    granted: impl Fn(&[R]) -> bool,
) -> Result<Caller, Refusal> {
    let now = gateway.service.now();
    if let Some(token) = bearer_token(asked) {
        let issuers = gateway.issuers.trusted();
        let judged = bearer::authorize(&issuers, token, guard.at, guard.needed, now);
        let bearer = judged.map_err(|denied| {
            tracing::debug!(?denied, "a bearer token was refused");
            if let bearer::Denied::UnknownKey { issuer } = &denied {
                gateway.issuers.unknown_key(issuer);
            }
            Refusal::Bearer(denied)
        })?;
        return Ok(Caller { call: asked.signed_by(&bearer.name), role: Some(bearer.role) });
    }
    let token = asked.token().ok_or(Refusal::Nobody)?;
    let policy = access::authorize(guard.policies, &token, &asked.resource(), granted, now)
        .map_err(Refusal::Policy)?;
    Ok(Caller { call: asked.signed_by(policy.name.as_str()), role: None })
}

/// RFC 6750 section 2.1; a scheme is of any case (RFC 9110 section 11.1).
fn bearer_token(asked: &Asked) -> Option<&str> {
    let (scheme, token) = asked.header(header::AUTHORIZATION.as_str())?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then_some(token)
}
