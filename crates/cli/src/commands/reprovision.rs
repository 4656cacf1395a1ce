//! `… reprovision`: orders to provision devices anew, each at its next registration.

use clap::{Args, ValueEnum};
use serde_json::json;

use super::records::DpsOfServer;
use crate::Session;
use crate::failure::Result;
use crate::service::{Call, segment};

const FIRST: [&str; 3] =
    ["name", "properties.reprovision.deviceData", "properties.reprovision.ordered"];

/// What is ordered.
#[derive(Debug, Args)]
pub(crate) struct OrderArgs {
    /// What becomes of a device's twin when it is allocated anew, once, at its next registration.
    #[arg(
        long,
        visible_alias = "dd",
        value_enum,
        ignore_case = true,
        required_unless_present = "withdraw"
    )]
    device_data: Option<DeviceData>,
    /// Give the order anew, also where the same one stands.
    #[arg(long, conflicts_with = "withdraw")]
    again: bool,
    /// Take the order back; what was followed already stays.
    #[arg(long, conflicts_with = "device_data")]
    withdraw: bool,
    #[command(flatten)]
    dps: DpsOfServer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DeviceData {
    /// It is taken along to the hub that the allocation gives.
    #[value(alias = "reprovisionandmigratedata")]
    Migrate,
    /// The entry's initial twin replaces it.
    #[value(alias = "reprovisionandresetdata")]
    Reset,
}

/// Who is meant.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whom<'a> {
    /// The device of a record.
    Registration(&'a str),
    /// The devices that a group has by now.
    Group(&'a str),
}

impl OrderArgs {
    pub(crate) async fn run(self, session: &mut Session, whom: Whom<'_>) -> Result {
        let records = self.dps.find(session).await?;
        let (path, named, hint) = match whom {
            Whom::Registration(id) => (
                format!("registrations/{}/reprovision", segment(id)),
                format!("registration '{id}'"),
                "a device gets its record when it registers".to_owned(),
            ),
            Whom::Group(id) => (
                format!("enrollment-groups/{}/reprovision", segment(id)),
                format!("enrollment group '{id}'"),
                "`muster iot dps enrollment-group list` shows what there is".to_owned(),
            ),
        };
        let (path, service) = (records.path(&path), &records.admin.service);
        if self.withdraw || self.again {
            let doing = format!("take the order to {named} back");
            let call = Call::delete(path.clone(), doing);
            service.call(call).await.map_err(|failure| failure.hint_not_found(hint.clone()))?;
        }
        let Some(device_data) = self.device_data else { return Ok(()) };
        let word = match device_data {
            DeviceData::Migrate => "migrate",
            DeviceData::Reset => "reset",
        };
        let body = json!({"properties": {"deviceData": word}});
        let call = Call::put(path, body, format!("order {named} to be reprovisioned"));
        let order = service.call(call).await.map_err(|failure| failure.hint_not_found(hint))?;
        session.output.thing(&order, &FIRST)
    }
}
