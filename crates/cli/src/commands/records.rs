//! Registration records by the administration: what orders and orphans have in common.

use clap::Args;
use serde_json::Value;

use super::common::AdminArgs;
use super::policy::{DpsName, OfService};
use crate::Session;
use crate::failure::Result;
use crate::locate::{Admin, Kind, Resource, values};
use crate::output::{at, cell};
use crate::service::{Call, segment};

/// A provisioning service, by the server's administration.
#[derive(Debug, Args)]
pub(crate) struct DpsOfServer {
    #[command(flatten)]
    dps: DpsName,
    #[command(flatten)]
    admin: AdminArgs,
}

/// The records of one provisioning service.
pub(crate) struct Records {
    /// The server's administration.
    pub(crate) admin: Admin,
    /// The provisioning service.
    pub(crate) dps: Resource,
}

/// A deleted group that left records behind.
pub(crate) struct Orphaned {
    /// The group's id.
    pub(crate) group: String,
    /// How many records.
    pub(crate) registrations: u64,
}

impl DpsOfServer {
    pub(crate) async fn find(&self, session: &Session) -> Result<Records> {
        Records::find(self.admin.find(session)?, self.dps.name()).await
    }
}

impl Records {
    pub(crate) async fn find(admin: Admin, dps: Option<&str>) -> Result<Self> {
        let dps = admin.resource(Kind::Dps, dps).await?;
        Ok(Self { admin, dps })
    }

    /// The path of something in the provisioning service.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("{}/{}/{rest}", Kind::Dps.path(), segment(&self.dps.name))
    }

    /// An enrollment group: how many records it owns, and the order to its devices.
    pub(crate) async fn group(&self, id: &str) -> Result<Value> {
        let path = self.path(&format!("enrollment-groups/{}", segment(id)));
        let doing = format!("count the registrations of enrollment group '{id}'");
        self.admin.service.call(Call::get(path, doing)).await
    }

    /// The deleted groups that left records behind; of one id where one is given.
    pub(crate) async fn orphaned(&self, only: Option<&str>) -> Result<Vec<Orphaned>> {
        let mut found = Vec::new();
        let mut after = String::new();
        loop {
            let path = self.path(&format!("orphans?after={}", segment(&after)));
            let page = self.admin.service.call(Call::get(path, "list the orphans")).await?;
            let next = at(&page, &["next"]).as_str().map(str::to_owned);
            found.extend(values(page).iter().map(|group| Orphaned {
                group: cell(at(group, &["name"])),
                registrations: at(group, &["properties", "registrations"]).as_u64().unwrap_or(0),
            }));
            match next {
                // A page that leads nowhere would lead there for ever.
                Some(next) if next > after => after = next,
                Some(_) | None => break,
            }
        }
        let is_meant = |of: &Orphaned| only.is_none_or(|only| of.group.eq_ignore_ascii_case(only));
        Ok(found.into_iter().filter(is_meant).collect())
    }

    /// Deletes all that a deleted group left behind, part by part, and says how far it came where
    /// there is more than one; gives how many it deleted.
    pub(crate) async fn purge(&self, of: &Orphaned) -> Result<u64> {
        let Orphaned { group, registrations } = of;
        let mut deleted = 0_u64;
        loop {
            let path = self.path(&format!("orphans/{}/purge", segment(group)));
            let doing = format!(
                "delete the records of '{group}' after {deleted} of {registrations}, which repeating \
                 the command goes on with"
            );
            let purged = self.admin.service.call(Call::post(path, doing)).await?;
            let part = at(&purged, &["deleted"]).as_u64().unwrap_or(0);
            deleted = deleted.saturating_add(part);
            if at(&purged, &["more"]) != &Value::Bool(true) || part == 0 {
                return Ok(deleted);
            }
            eprintln!("{deleted} of {registrations} records of '{group}' are deleted");
        }
    }
}
