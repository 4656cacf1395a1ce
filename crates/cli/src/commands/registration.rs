//! Registration records: what became of devices that registered.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::common::{DpsArgs, Yes};
use super::enrollment::EnrollmentId;
use super::enrollment_group::{GROUP, GroupId};
use super::orphan::Orphan;
use super::records::DpsOfServer;
use super::reprovision::{OrderArgs, Whom};
use crate::Session;
use crate::failure::{Failure, Kind, Result};
use crate::output::{Column, column};
use crate::service::{Call, Service, segment};

const COLUMNS: &[Column] = &[
    column!("Registration id", "registrationId"),
    column!("Status", "status"),
    column!("Hub", "assignedHub"),
    column!("Device id", "deviceId"),
    column!("Detail", |record| {
        use crate::output::{at, cell};
        let error = cell(at(record, &["errorMessage"]));
        if error.is_empty() { cell(at(record, &["substatus"])) } else { error }
    }),
    column!("Updated", "lastUpdatedDateTimeUtc"),
];

const FIRST: [&str; 4] = ["registrationId", "status", "assignedHub", "deviceId"];

/// `muster iot dps enrollment registration`.
#[derive(Debug, Args)]
pub(crate) struct OfEnrollment {
    #[command(subcommand)]
    verb: EnrollmentVerb,
}

#[derive(Debug, Subcommand)]
enum EnrollmentVerb {
    /// Show the record.
    Show {
        #[command(flatten)]
        id: EnrollmentId,
        #[command(flatten)]
        dps: DpsArgs,
    },
    /// Delete the record; the enrollment and the device on its hub stay.
    Delete {
        #[command(flatten)]
        id: EnrollmentId,
        #[command(flatten)]
        rest: Deletion,
        #[command(flatten)]
        dps: DpsArgs,
    },
    /// Have the device provisioned anew at its next registration, once.
    Reprovision {
        #[command(flatten)]
        id: EnrollmentId,
        #[command(flatten)]
        order: OrderArgs,
    },
}

/// `muster iot dps enrollment-group registration`.
#[derive(Debug, Args)]
pub(crate) struct OfGroup {
    #[command(subcommand)]
    verb: GroupVerb,
}

#[derive(Debug, Subcommand)]
enum GroupVerb {
    /// List the records of a group's devices.
    List {
        #[command(flatten)]
        id: GroupId,
        /// At most this many.
        #[arg(long, allow_negative_numbers = true)]
        top: Option<i64>,
        #[command(flatten)]
        dps: DpsArgs,
    },
    /// Show a record.
    Show {
        #[command(flatten)]
        id: RegistrationId,
        #[command(flatten)]
        dps: DpsArgs,
    },
    /// Delete a record; the group and the device on its hub stay.
    Delete {
        #[command(flatten)]
        id: RegistrationId,
        #[command(flatten)]
        rest: Deletion,
        #[command(flatten)]
        dps: DpsArgs,
    },
    /// Count the records of a group, and show the order to its devices.
    Count {
        #[command(flatten)]
        id: GroupId,
        #[command(flatten)]
        dps: DpsOfServer,
    },
    /// Have a device provisioned anew at its next registration, once.
    Reprovision {
        #[command(flatten)]
        id: RegistrationId,
        #[command(flatten)]
        order: OrderArgs,
    },
    /// Records that deleted groups left behind; they count toward the quota.
    Orphan(Orphan),
}

#[derive(Debug, Args)]
struct RegistrationId {
    /// Registration id of the device.
    #[arg(long, visible_alias = "rid", value_name = "ID")]
    registration_id: String,
}

#[derive(Debug, Args)]
struct Deletion {
    /// Only if the record still has this etag.
    #[arg(long, short = 'e')]
    etag: Option<String>,
    #[command(flatten)]
    yes: Yes,
}

impl OfEnrollment {
    pub(crate) async fn run(self, session: &mut Session) -> Result {
        match self.verb {
            EnrollmentVerb::Show { id, dps } => show(session, &dps, &id.enrollment_id).await,
            EnrollmentVerb::Delete { id, rest, dps } => {
                let service = dps.service(session).await?;
                delete(&service, &id.enrollment_id, rest.etag.as_deref()).await
            }
            EnrollmentVerb::Reprovision { id, order } => {
                order.run(session, Whom::Registration(&id.enrollment_id)).await
            }
        }
    }
}

impl OfGroup {
    pub(crate) async fn run(self, session: &mut Session) -> Result {
        match self.verb {
            GroupVerb::List { id, top, dps } => {
                let service = dps.service(session).await?;
                list(session, &service, &id.group_id, top).await
            }
            GroupVerb::Show { id, dps } => show(session, &dps, &id.registration_id).await,
            GroupVerb::Delete { id, rest, dps } => {
                let service = dps.service(session).await?;
                delete(&service, &id.registration_id, rest.etag.as_deref()).await
            }
            GroupVerb::Count { id, dps } => {
                let found =
                    dps.find(session).await?.group(&id.group_id).await.map_err(|failure| {
                        failure.hint_not_found(
                            "`… registration orphan count` counts those of groups \
                                            that are gone",
                        )
                    })?;
                session.output.thing(&found, &["name", "properties.registrations"])
            }
            GroupVerb::Reprovision { id, order } => {
                order.run(session, Whom::Registration(&id.registration_id)).await
            }
            GroupVerb::Orphan(orphan) => orphan.run(session).await,
        }
    }
}

async fn list(session: &mut Session, service: &Service, group: &str, top: Option<i64>) -> Result {
    let path = format!("/registrations/{}/query", segment(group));
    let doing = format!("list the registrations of enrollment group '{group}'");
    let mut list = session.output.open_list(COLUMNS);
    let mut found = false;
    let call = || Call::post(path.clone(), doing.clone());
    let page = |page: &[Value]| {
        found |= !page.is_empty();
        list.page(page)
    };
    service.pages(call, top, None, page).await?;
    list.close()?;
    // As with az that is no failure; but a misspelled id wants a word.
    if !found
        && let Err(failure) = GROUP.read(service, group).await
        && failure.kind() == Kind::NotFound
    {
        eprintln!(
            "note: there is no enrollment group '{group}'; `muster iot dps enrollment-group list` \
             shows what there is"
        );
    }
    Ok(())
}

async fn show(session: &mut Session, dps: &DpsArgs, id: &str) -> Result {
    let service = dps.service(session).await?;
    let call = Call::get(path(id), format!("read registration '{id}'"));
    let record = service.call(call).await.map_err(|failure| missing(failure, id))?;
    session.output.thing(&record, &FIRST)
}

async fn delete(service: &Service, id: &str, etag: Option<&str>) -> Result {
    let call = Call::delete(path(id), format!("delete registration '{id}'")).if_match(etag);
    service.call(call).await.map_err(|failure| missing(failure, id)).map(drop)
}

fn path(id: &str) -> String {
    format!("/registrations/{}", segment(id))
}

fn missing(failure: Failure, id: &str) -> Failure {
    failure.hint_not_found(format!(
        "a device gets its record when it registers; `muster explain {id}` tells of its attempts"
    ))
}
