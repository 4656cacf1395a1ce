//! What went wrong, in one line, and what to do next, in another.

use std::fmt;
use std::process::ExitCode;

use serde_json::Value;

use crate::transport::Reply;

/// The code of the provisioning service for an entry that is there.
const ALREADY_EXISTS: &str = "409201";
/// The code of the provisioning service for a certificate that another entry holds.
const CREDENTIAL_IN_USE: &str = "409202";

/// The codes for an address that is not let in, of both kinds of services.
const ADDRESS_REFUSED: [&str; 2] = ["403100", "IpAddressRejected"];
/// The code for a change that would shut out who asks for it.
const CALLER_SHUT_OUT: &str = "409203";

/// How the process ends; as `az` does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Anything else: exit code 1.
    Failed,
    /// The command can not be meant like this: exit code 2.
    Usage,
    /// The thing does not exist: exit code 3.
    NotFound,
    /// What was asked about is not as it is to be: exit code 2, as `terraform plan` does it.
    Differs,
    /// Somebody else changed it first: exit code 1.
    Overtaken,
    /// Another entry holds the certificate: exit code 1.
    CredentialInUse,
    /// The reader of standard output has gone: nobody to tell, exit code 0.
    Unread,
}

/// A command's failure, as it is told to a person.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    what: String,
    tracking_id: Option<String>,
    hint: Option<String>,
}

/// The result of everything that a command does.
pub(crate) type Result<T = (), E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// A failure of no special kind.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { kind: Kind::Failed, what: what.into(), tracking_id: None, hint: None }
    }

    /// The options contradict each other, or one is missing.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self { kind: Kind::Usage, ..Self::new(what) }
    }

    /// The thing does not exist.
    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Self { kind: Kind::NotFound, ..Self::new(what) }
    }

    /// What was asked about is not as it is to be.
    pub(crate) fn differs(what: impl Into<String>) -> Self {
        Self { kind: Kind::Differs, ..Self::new(what) }
    }

    /// A file could not be read or written.
    pub(crate) fn file(verb: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new(format!("can not {verb} {}: {error}", path.display()))
    }

    /// What went wrong, without the next step.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// The next step, where one is known.
    pub(crate) fn next(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Adds the next step, unless there is one already.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// Sets the next step, whatever it was.
    #[must_use]
    pub(crate) fn hint_instead(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Adds the next step where the thing was not found; it wins over the general one.
    #[must_use]
    pub(crate) fn hint_not_found(mut self, hint: impl Into<String>) -> Self {
        if self.kind == Kind::NotFound {
            self.hint = Some(hint.into());
        }
        self
    }

    /// How the process is to end.
    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    /// The process's exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.kind {
            Kind::Failed | Kind::Overtaken | Kind::CredentialInUse => 1,
            Kind::Usage | Kind::Differs => 2,
            Kind::NotFound => 3,
            Kind::Unread => 0,
        })
    }

    /// Reads a refusal from an answer; `doing` says what was asked, `place` of whom.
    pub(crate) fn refused(doing: &str, place: &str, reply: &Reply) -> Self {
        let told = Told::read(reply);
        let code = told.code.unwrap_or_else(|| reply.status.to_string());
        let kind = match reply.status {
            404 => Kind::NotFound,
            412 => Kind::Overtaken,
            409 if code == ALREADY_EXISTS => Kind::Overtaken,
            409 if code == CREDENTIAL_IN_USE => Kind::CredentialInUse,
            _ => Kind::Failed,
        };
        let what = format!("can not {doing} at {place}: {} ({code})", told.message);
        let hint = hint_of(reply.status, &code, told.tracking_id.as_deref());
        Self { kind, what, tracking_id: told.tracking_id, hint }
    }
}

impl From<std::io::Error> for Failure {
    /// An error of writing to standard output; any other has [`Failure::file`].
    fn from(error: std::io::Error) -> Self {
        let kind = match error.kind() == std::io::ErrorKind::BrokenPipe {
            true => Kind::Unread,
            false => Kind::Failed,
        };
        Self { kind, ..Self::new(format!("can not write the output: {error}")) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", crate::output::printable(&self.what))?;
        if let Some(id) = &self.tracking_id {
            write!(f, " [tracking id {}]", crate::output::printable(id))?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {}", crate::output::printable(hint))?;
        }
        Ok(())
    }
}

/// What an error's body says, in whichever of the two dialects it is written.
#[derive(Default)]
struct Told {
    message: String,
    code: Option<String>,
    tracking_id: Option<String>,
}

impl Told {
    fn read(reply: &Reply) -> Self {
        let body = serde_json::from_slice::<Value>(&reply.body).unwrap_or(Value::Null);
        let mut told = Self::default();
        if let Some(text) = body.get("message").and_then(Value::as_str) {
            text.clone_into(&mut told.message);
            told.code = body.get("errorCode").map(Value::to_string);
            told.tracking_id = text_at(&body, "trackingId");
        } else if let Some(text) = text_at(&body, "Message") {
            told.read_hub(&text, text_at(&body, "ExceptionMessage").as_deref());
        }
        if told.message.is_empty() {
            told.message = word_of(reply.status).to_owned();
        }
        if told.tracking_id.is_none() {
            told.tracking_id = reply.header("x-ms-request-id").map(str::to_owned);
        }
        told
    }

    /// `ErrorCode:DeviceNotFound;d1`, and `Tracking ID:<32 hex>-G:12-TimeStamp:…`.
    fn read_hub(&mut self, message: &str, exception: Option<&str>) {
        let (name, rest) = message
            .strip_prefix("ErrorCode:")
            .and_then(|rest| rest.split_once(';'))
            .map_or((None, message), |(name, rest)| (Some(name), rest));
        rest.clone_into(&mut self.message);
        self.code = name.map(str::to_owned);
        self.tracking_id = exception
            .and_then(|text| text.strip_prefix("Tracking ID:"))
            .map(|text| text.split('-').next().unwrap_or(text).trim().to_owned())
            .filter(|id| !id.is_empty());
    }
}

fn text_at(body: &Value, member: &str) -> Option<String> {
    body.get(member).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

const fn word_of(status: u16) -> &'static str {
    match status {
        400 => "bad request",
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not found",
        405 => "method not allowed",
        409 => "conflict",
        412 => "precondition failed",
        429 => "too many requests",
        500..=599 => "the server failed",
        _ => "unexpected answer",
    }
}

fn hint_of(status: u16, code: &str, tracking_id: Option<&str>) -> Option<String> {
    let hint = match status {
        403 if ADDRESS_REFUSED.contains(&code) => {
            "call from an address that is let in; on the server's own machine `ip-filter-rule list` \
                shows the rules, and `remove` takes one away"
        }
        409 if code == CALLER_SHUT_OUT => {
            "give --yes to do it all the same; `muster iot …` goes on working on the server's own \
                machine"
        }
        401 => {
            "the key, its policy's name or the host of the connection string is not right; \
                `connection-string show` prints the current one"
        }
        403 => {
            "the policy lacks the right for this, or a quota is reached; `policy list` shows \
                the rights, `muster iot dps show-limits` the quotas"
        }
        409 => {
            "it exists already, or its certificate is used by another entry; change it with \
                `update`, or delete it first"
        }
        412 => "it was changed in the meantime; look at it with `show`, then repeat with its etag",
        429 => "the service is throttled; wait a little and repeat",
        500..=599 => {
            return Some(match tracking_id {
                Some(id) => format!("the server's log has the cause under tracking id {id}"),
                None => "the server's log has the cause".to_owned(),
            });
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
    }

    #[test]
    fn a_dps_error_shows_message_code_and_tracking_id() {
        let body = r#"{"errorCode":404201,"trackingId":"3e","message":"Not found.",
            "timestampUtc":"2024-01-02T03:04:05.1234567Z"}"#;
        let failure = Failure::refused("read enrollment 'x'", "dps.localhost", &reply(404, body));
        assert_eq!(failure.kind(), Kind::NotFound);
        assert_eq!(
            failure.hint_not_found("list them").to_string(),
            "error: can not read enrollment 'x' at dps.localhost: Not found. (404201) \
             [tracking id 3e]\nhint: list them"
        );
    }

    #[test]
    fn a_hub_error_shows_name_and_tracking_id() {
        let body = r#"{"Message":"ErrorCode:PreconditionFailed;ETag mismatch",
            "ExceptionMessage":"Tracking ID:0af3-G:12-TimeStamp:07/07/2021 20:45:26"}"#;
        let failure = Failure::refused("delete device 'd'", "hub.localhost", &reply(412, body));
        let text = failure.to_string();
        assert!(text.contains("ETag mismatch (PreconditionFailed) [tracking id 0af3]"), "{text}");
        assert!(text.contains("hint: it was changed in the meantime"), "{text}");
    }

    #[test]
    fn a_body_of_another_kind_still_says_something() {
        let text = Failure::refused("read x", "h", &reply(503, "<html>")).to_string();
        assert!(text.contains("the server failed (503)"), "{text}");
        assert!(text.contains("hint: the server's log"), "{text}");
    }

    #[test]
    fn a_refusal_can_not_write_to_the_terminal() {
        let text = Failure::refused("r", "h", &reply(400, r#"{"message":"\u001b[2Jgone"}"#));
        assert!(!text.to_string().contains('\u{1b}'));
    }
}
