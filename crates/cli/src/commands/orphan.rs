//! `muster iot dps enrollment-group registration orphan`: records of groups that are gone.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::common::{Yes, confirm};
use super::records::{DpsOfServer, Orphaned, Records};
use crate::Session;
use crate::failure::Kind::NotFound;
use crate::failure::{Failure, Result};
use crate::locate::Kind;
use crate::output::{Column, at, column};
use crate::service::{Call, segment};

const RECORDS: &[Column] = &[
    column!("Group id", "enrollmentGroupId"),
    column!("Registration id", "registrationId"),
    column!("Status", "status"),
    column!("Hub", "assignedHub"),
    column!("Device id", "deviceId"),
    column!("Updated", "lastUpdatedDateTimeUtc"),
];

const GROUPS: &[Column] =
    &[column!("Group id", "enrollmentGroupId"), column!("Registrations", "registrations")];

/// Records that deleted groups left behind; they count toward the quota.
#[derive(Debug, Args)]
pub(crate) struct Orphan {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the records of groups that are gone.
    List {
        #[command(flatten)]
        of: Of,
        /// At most this many.
        #[arg(long, allow_negative_numbers = true)]
        top: Option<i64>,
        #[command(flatten)]
        dps: DpsOfServer,
    },
    /// Count them, by the group that they belonged to.
    Count {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        dps: DpsOfServer,
    },
    /// Delete them; the devices on their hubs stay.
    Purge {
        #[command(flatten)]
        of: Of,
        /// Say what would be deleted, and delete nothing.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        yes: Yes,
        #[command(flatten)]
        dps: DpsOfServer,
    },
}

#[derive(Debug, Args)]
struct Of {
    /// Only those of this group, which is gone.
    #[arg(long, visible_aliases = ["gid", "enrollment-group-id", "enrollment-id", "eid"], value_name = "ID")]
    group_id: Option<String>,
}

impl Orphan {
    pub(crate) async fn run(self, session: &mut Session) -> Result {
        match self.verb {
            Verb::List { of, top, dps } => {
                let records = dps.find(session).await?;
                let orphaned = records.orphaned(of.group_id.as_deref()).await?;
                list(session, &records, &orphaned, top).await
            }
            Verb::Count { of, dps } => {
                let records = dps.find(session).await?;
                let orphaned = records.orphaned(of.group_id.as_deref()).await?;
                let rows: Vec<_> =
                    orphaned.iter().map(|of| row(of, "registrations", of.registrations)).collect();
                session.output.list(GROUPS, &rows)
            }
            Verb::Purge { of, dry_run, yes, dps } => {
                let records = dps.find(session).await?;
                let orphaned = records.orphaned(of.group_id.as_deref()).await?;
                purge(session, &records, &orphaned, dry_run, yes).await
            }
        }
    }
}

fn row(of: &Orphaned, member: &str, count: u64) -> Value {
    json!({"enrollmentGroupId": of.group, member: count})
}

async fn list(
    session: &mut Session,
    records: &Records,
    orphaned: &[Orphaned],
    top: Option<i64>,
) -> Result {
    let service = records.admin.open(Kind::Dps, &records.dps).await?;
    let mut left = top.and_then(|top| u64::try_from(top).ok());
    let mut list = session.output.open_list(RECORDS);
    for of in orphaned {
        if left == Some(0) {
            break;
        }
        let path = format!("/registrations/{}/query", segment(&of.group));
        let call = || Call::post(path.clone(), format!("list the records of '{}'", of.group));
        let top = left.map(|left| i64::try_from(left).unwrap_or(i64::MAX));
        let each = |page: &[Value]| {
            let mut page = page.to_vec();
            for record in page.iter_mut().filter_map(Value::as_object_mut) {
                record.insert("enrollmentGroupId".to_owned(), of.group.as_str().into());
            }
            let rows = u64::try_from(page.len()).unwrap_or(u64::MAX);
            left = left.map(|left| left.saturating_sub(rows));
            list.page(&page)
        };
        service.pages(call, top, None, each).await?;
    }
    list.close()
}

async fn purge(
    session: &mut Session,
    records: &Records,
    orphaned: &[Orphaned],
    dry_run: bool,
    yes: Yes,
) -> Result {
    let all: u64 = orphaned.iter().map(|of| of.registrations).sum();
    let mut done = Vec::new();
    if !dry_run && all > 0 {
        let groups: Vec<_> =
            orphaned.iter().map(|of| format!("{} of '{}'", of.registrations, of.group)).collect();
        let named = groups.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        let more = match groups.len().saturating_sub(5) {
            0 => String::new(),
            more => format!(" and of {more} more groups"),
        };
        confirm(&format!("Delete {all} registration records: {named}{more}?"), yes)?;
    }
    for of in orphaned {
        let deleted = match dry_run {
            true => of.registrations,
            false => records.purge(of).await?,
        };
        done.push(row(of, if dry_run { "registrations" } else { "deleted" }, deleted));
    }
    const DONE: &[Column] =
        &[column!("Group id", "enrollmentGroupId"), column!("Deleted", "deleted")];
    session.output.list(if dry_run { GROUPS } else { DONE }, &done)
}

/// `enrollment-group delete --with-registrations`: the group first, so that nobody comes back, then
/// its records. What is cut off is an orphan, and the same command goes on with it.
pub(crate) async fn delete_with_group(
    records: &Records,
    group: &str,
    etag: Option<&str>,
    yes: Yes,
) -> Result {
    let there = match records.group(group).await {
        Ok(found) => at(&found, &["properties", "registrations"]).as_u64(),
        Err(failure) if failure.kind() == NotFound => None,
        Err(failure) => return Err(failure),
    };
    let orphaned = match there {
        Some(registrations) => Orphaned { group: group.to_owned(), registrations },
        None => records.orphaned(Some(group)).await?.into_iter().next().ok_or_else(|| {
            let hint = "`muster iot dps enrollment-group list` shows what there is";
            let what = format!("there is neither an enrollment group '{group}' nor a record of it");
            Failure::not_found(what).hint(hint)
        })?,
    };
    let count = orphaned.registrations;
    let what = match there {
        Some(_) => format!("enrollment group '{group}' and its {count} registration records"),
        None => format!("the {count} records that enrollment group '{group}' left behind"),
    };
    confirm(&format!("Delete {what}? The devices on their hubs stay."), yes)?;
    if there.is_some() {
        let service = records.admin.open(Kind::Dps, &records.dps).await?;
        super::enrollment_group::GROUP.delete(&service, group, etag).await?;
    }
    let deleted = records.purge(&orphaned).await?;
    eprintln!("note: {deleted} registration records are deleted");
    Ok(())
}
