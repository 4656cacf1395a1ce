//! `muster iot dps allocation`: which hub a device would be given, without side effects.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::common::DpsOfAdmin;
use super::story;
use crate::Session;
use crate::failure::{Failure, Result};
use crate::service::{Call, segment};

/// Allocations of hubs.
#[derive(Debug, Args)]
pub(crate) struct Allocation {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Tell which hub a device would be given if it registered now, and why. Nothing is written.
    Test(Test),
}

#[derive(Debug, Args)]
struct Test {
    /// Registration id of the device, which need not exist.
    #[arg(long, visible_alias = "rid", value_name = "ID")]
    registration_id: String,
    /// The group that would let it in, if it has no enrollment of its own.
    #[arg(long, visible_alias = "gid", value_name = "ID")]
    group_id: Option<String>,
    /// IP address that it would call from, for GeoLatency.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// JSON that it would send along, for a webhook.
    #[arg(long, value_name = "JSON")]
    payload: Option<String>,
    /// Ask the webhook where one decides; it sees the call as that of a device.
    #[arg(long)]
    ask_webhook: bool,
    #[command(flatten)]
    dps: DpsOfAdmin,
}

impl Allocation {
    pub(crate) async fn run(self, session: &mut Session) -> Result {
        match self.verb {
            Verb::Test(args) => args.run(session).await,
        }
    }
}

impl Test {
    async fn run(self, session: &mut Session) -> Result {
        let payload = self.payload.as_deref().map(serde_json::from_str::<Value>).transpose();
        let payload =
            payload.map_err(|error| Failure::usage(format!("--payload is no JSON: {error}")))?;
        let mut body = Map::new();
        body.insert("registrationId".into(), self.registration_id.as_str().into());
        body.insert("askWebhook".into(), self.ask_webhook.into());
        body.extend(self.group_id.map(|id| ("enrollmentGroupId".to_owned(), id.into())));
        body.extend(self.address.map(|address| ("address".to_owned(), address.into())));
        body.extend(payload.map(|payload| ("payload".to_owned(), payload)));
        let (admin, dps) = self.dps.find(session).await?;
        let path = format!("/muster/v1/dps/{}/allocation-test", segment(&dps));
        let doing = format!("test the allocation of '{}'", self.registration_id);
        let answer = admin.service.call(Call::post(path, doing).body(body.into())).await;
        let told = answer.map_err(|failure| {
            failure.hint_not_found(
                "the device has no enrollment of its own; --group-id names the group that would \
                 let it in",
            )
        })?;
        if !session.output.tells() {
            return session.output.value(&told);
        }
        session.output.line("Nothing was written. Had the device registered now:")?;
        for line in story::tell(&told) {
            session.output.line(&line)?;
        }
        Ok(())
    }
}
