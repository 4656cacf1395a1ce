//! Signing in with a bearer token instead of a policy's key.

use clap::ValueEnum;

use crate::Session;
use crate::failure::{Failure, Result};

/// What commands sign in with; az's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AuthType {
    /// With a key of a shared access policy.
    Key,
    /// With a bearer token.
    Login,
}

/// The token to sign in with; none for a key. A file goes before the environment.
///
/// # Errors
/// The file can not be read, or a token is demanded and there is none.
pub(crate) fn token(session: &Session) -> Result<Option<String>> {
    let wanted = session.global.auth_type;
    if wanted == Some(AuthType::Key) {
        return Ok(None);
    }
    let token = match &session.global.token_file {
        Some(file) => Some(
            std::fs::read_to_string(file).map_err(|error| Failure::file("read", file, &error))?,
        ),
        None => session.token.clone(),
    };
    let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
    if let Some(token) = &token
        && !token.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Err(Failure::usage("the token is none: it has spaces or other characters inside"));
    }
    match (token, wanted) {
        (None, Some(AuthType::Login)) => Err(Failure::usage("there is no token to sign in with")
            .hint("put one into MUSTER_TOKEN, or into a file that --token-file names")),
        (token, _) => Ok(token),
    }
}
