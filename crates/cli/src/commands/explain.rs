//! `muster explain`: why a device was let in or refused.

use clap::Args;
use serde_json::Value;

use super::story;
use crate::Session;
use crate::failure::{Failure, Result};
use crate::locate::{Admin, values};
use crate::service::{Call, segment};

/// Tell why a device was let in or refused.
#[derive(Debug, Args)]
pub struct Explain {
    /// Registration id of the device, or tracking id of an error that it was told.
    #[arg(value_name = "REGISTRATION_ID|TRACKING_ID")]
    id: String,
    /// How many attempts, the latest first.
    #[arg(long, default_value_t = 1)]
    top: usize,
    /// All attempts that are known.
    #[arg(long, conflicts_with = "top")]
    all: bool,
    /// Connection string of the server's administration; else admin.json is read.
    #[arg(long, short = 'l', value_name = "CONNECTION_STRING")]
    login: Option<String>,
}

impl Explain {
    pub(crate) async fn run(self, session: &mut Session) -> Result {
        let admin = Admin::find(session, self.login.as_deref())?;
        let path = format!("/muster/v1/explanations/{}", segment(&self.id));
        let call = Call::get(path, format!("explain '{}'", self.id));
        let hint = "attempts are kept for a while only, and under the id that the device claimed; \
                    does it talk to this server?";
        let answer =
            admin.service.call(call).await.map_err(|failure| failure.hint_not_found(hint))?;
        let mut attempts = values(answer);
        if attempts.is_empty() {
            return Err(
                Failure::not_found(format!("no attempt of '{}' is known", self.id)).hint(hint)
            );
        }
        let known = attempts.len();
        if !self.all {
            attempts.truncate(self.top);
        }
        if !session.output.tells() {
            return session.output.value(&Value::from(attempts));
        }
        for (at, attempt) in attempts.iter().enumerate() {
            if at > 0 {
                session.output.line("")?;
            }
            for line in story::tell(attempt) {
                session.output.line(&line)?;
            }
        }
        if known > attempts.len() {
            eprintln!("{}", earlier(known - attempts.len()));
        }
        Ok(())
    }
}

fn earlier(count: usize) -> String {
    match count {
        1 => "note: an earlier attempt is known; --all tells it".to_owned(),
        count => format!("note: {count} earlier attempts are known; --all tells them"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        assert_eq!(earlier(1), "note: an earlier attempt is known; --all tells it");
        assert_eq!(earlier(2), "note: 2 earlier attempts are known; --all tells them");
    }
}
