//! `muster iot dps expiry-exception`: entries whose devices may show expired certificates for a
//! time.

use clap::{Args, Subcommand};
use model::Timestamp;
use serde_json::json;

use super::common::{DpsOfAdmin, Yes, confirm};
use crate::Session;
use crate::failure::{Failure, Result};
use crate::locate::values;
use crate::output::{Column, column};
use crate::service::{Call, segment};

const COLUMNS: &[Column] = &[
    column!("Enrollment", "enrollmentId"),
    column!("Enrollment group", "enrollmentGroupId"),
    column!("Until", "until"),
    column!("Reason", "reason"),
];

const FIRST: [&str; 4] = ["enrollmentId", "enrollmentGroupId", "until", "reason"];

/// Exceptions for expired certificates.
#[derive(Debug, Args)]
pub(crate) struct ExpiryException {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Let the devices of an entry in with certificates that have expired, for a time.
    Create(Create),
    /// List the exceptions in force.
    List {
        #[command(flatten)]
        dps: DpsOfAdmin,
    },
    /// End an exception.
    Delete {
        #[command(flatten)]
        entry: Entry,
        #[command(flatten)]
        yes: Yes,
        #[command(flatten)]
        dps: DpsOfAdmin,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Entry {
    /// Registration id of an individual enrollment.
    #[arg(long, visible_alias = "eid", value_name = "ID")]
    enrollment_id: Option<String>,
    /// Id of an enrollment group.
    #[arg(long, visible_alias = "gid", value_name = "ID")]
    group_id: Option<String>,
}

#[derive(Debug, Args)]
struct Create {
    #[command(flatten)]
    entry: Entry,
    #[command(flatten)]
    end: End,
    /// Why; it stands in the audit trail.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    dps: DpsOfAdmin,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct End {
    /// When the exception ends, as 2030-01-31T00:00:00Z; at most 90 days off.
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse)]
    until: Option<Timestamp>,
    /// In how many days it ends.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u8).range(1..=90))]
    days: Option<u8>,
}

impl ExpiryException {
    pub(crate) async fn run(self, session: &mut Session) -> Result {
        match self.verb {
            Verb::Create(args) => args.run(session).await,
            Verb::List { dps } => {
                let (admin, dps) = dps.find(session).await?;
                let doing = format!("list the expiry exceptions of '{dps}'");
                let list = values(admin.service.call(Call::get(collection(&dps), doing)).await?);
                session.output.list(COLUMNS, &list)
            }
            Verb::Delete { entry, yes, dps } => {
                let (admin, dps) = dps.find(session).await?;
                let (kind, id) = entry.named();
                confirm(&format!("End the expiry exception of '{id}' in '{dps}'?"), yes)?;
                let doing = format!("end the expiry exception of '{id}'");
                let call = Call::delete(one(&dps, kind, id), doing);
                admin.service.call(call).await.map_err(missing).map(drop)
            }
        }
    }
}

impl Create {
    async fn run(self, session: &mut Session) -> Result {
        let now = (session.clock)();
        let until = match (self.end.until, self.end.days) {
            (Some(until), _) => until,
            (None, days) => Timestamp::from_unix_seconds(
                now.unix_seconds() + i64::from(days.unwrap_or(1)) * 86_400,
            ),
        };
        let (admin, dps) = self.dps.find(session).await?;
        let (kind, id) = self.entry.named();
        let doing = format!("make an expiry exception for '{id}'");
        let body = json!({"until": until.to_string(), "reason": self.reason});
        let call = Call::put(one(&dps, kind, id), body, doing);
        let made = admin.service.call(call).await.map_err(|failure| {
            failure.hint_not_found("an exception is for an enrollment or group that is there")
        })?;
        session.output.thing(&made, &FIRST)
    }
}

impl Entry {
    fn named(&self) -> (&'static str, &str) {
        match (&self.enrollment_id, &self.group_id) {
            (Some(id), _) => ("enrollments", id),
            (None, id) => ("enrollmentGroups", id.as_deref().unwrap_or_default()),
        }
    }
}

fn collection(dps: &str) -> String {
    format!("/muster/v1/dps/{}/expiry-exceptions", segment(dps))
}

fn one(dps: &str, kind: &str, id: &str) -> String {
    format!("{}/{kind}/{}", collection(dps), segment(id))
}

fn missing(failure: Failure) -> Failure {
    failure.hint_not_found("`muster iot dps expiry-exception list` shows those in force")
}
