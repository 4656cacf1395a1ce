//! `muster iot dps linked-hub`: the hubs that a provisioning service assigns devices to.

use clap::{Args, Subcommand};
use model::{RegionName, limits};
use serde_json::{Map, Value};

use super::common::{DpsOfAdmin, Yes, flag, until_not_overtaken};
use super::region;
use crate::Session;
use crate::connection_string::ConnectionString;
use crate::failure::{Failure, Result};
use crate::locate::{Admin, values};
use crate::output::{Column, at, column};
use crate::service::{Call, segment};

const COLUMNS: &[Column] = &[
    column!("Hub", "name"),
    column!("Weight", "allocationWeight"),
    column!("Takes part in allocation", "applyAllocationPolicy"),
    column!("Latencies", "latencies"),
    column!("Elsewhere", "connectionString"),
];

const JOB_COLUMNS: &[Column] = &[
    column!("Registration", "registrationId"),
    column!("State", "state"),
    column!("Hub", "hub"),
    column!("From", "fromHub"),
    column!("Begun", "begun"),
    column!("Trouble", "trouble"),
];

/// The hubs linked to a provisioning service.
#[derive(Debug, Args)]
pub(crate) struct LinkedHub {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Link a hub, or give a linked one another key; what is not said of it stays.
    Create(Create),
    /// List what is still to be done on hubs that live elsewhere.
    Jobs {
        #[command(flatten)]
        dps: DpsOfAdmin,
    },
    /// List the linked hubs.
    List {
        #[command(flatten)]
        dps: DpsOfAdmin,
    },
    /// Show a linked hub.
    Show {
        #[command(flatten)]
        hub: Linked,
        #[command(flatten)]
        dps: DpsOfAdmin,
    },
    /// Change a linked hub's part in the allocation.
    Update {
        #[command(flatten)]
        hub: Linked,
        #[command(flatten)]
        weight: Weight,
        #[command(flatten)]
        dps: DpsOfAdmin,
    },
    /// Unlink a hub; its devices stay on it.
    Delete {
        #[command(flatten)]
        hub: Linked,
        #[command(flatten)]
        yes: Yes,
        #[command(flatten)]
        dps: DpsOfAdmin,
    },
}

#[derive(Debug, Args)]
struct Linked {
    /// Name or host of the linked hub.
    #[arg(long, visible_alias = "hub-name", value_name = "HUB")]
    linked_hub: String,
}

#[derive(Debug, Args)]
struct Weight {
    /// Share of the devices, 1 to 1000.
    #[arg(long, value_name = "WEIGHT", value_parser = clap::value_parser!(u16).range(1..=1000))]
    allocation_weight: Option<u16>,
    /// Whether the hub takes part in the allocation.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_parser = flag())]
    apply_allocation_policy: Option<bool>,
    /// Milliseconds from a region to the hub, for GeoLatency: north=12; `north=` forgets it.
    #[arg(long, num_args = 1.., value_name = "REGION=MILLISECONDS", value_parser = latency)]
    latency: Vec<(String, Option<u32>)>,
}

/// `REGION=MILLISECONDS`, or `REGION=` for none.
fn latency(text: &str) -> std::result::Result<(String, Option<u32>), String> {
    let (region, milliseconds) = text.split_once('=').ok_or("there is no '=' in it")?;
    let region = RegionName::parse(region).map_err(|error| error.to_string())?;
    let milliseconds = match milliseconds {
        "" => None,
        text => match text.parse() {
            Ok(milliseconds) if milliseconds <= limits::LATENCY_MILLISECONDS_MAX => {
                Some(milliseconds)
            }
            Ok(_) | Err(_) => {
                let max = limits::LATENCY_MILLISECONDS_MAX;
                return Err(format!("'{text}' is no number of milliseconds up to {max}"));
            }
        },
    };
    Ok((region.to_string(), milliseconds))
}

#[derive(Debug, Args)]
struct Create {
    /// Name or host of the hub.
    #[arg(long, visible_aliases = ["hn", "linked-hub"], value_name = "HUB")]
    hub_name: Option<String>,
    /// Connection string of the hub, in place of its name; the hub may be another server's, or
    /// Azure's.
    #[arg(long, conflicts_with = "hub_name", required_unless_present = "hub_name")]
    connection_string: Option<String>,
    #[arg(long, visible_alias = "hrg", hide = true)]
    hub_resource_group: Option<String>,
    #[arg(long, short = 'l', hide = true)]
    location: Option<String>,
    #[command(flatten)]
    weight: Weight,
    #[command(flatten)]
    dps: DpsOfAdmin,
}

impl LinkedHub {
    pub(crate) async fn run(self, session: &mut Session) -> Result {
        match self.verb {
            Verb::Create(args) => args.run(session).await,
            Verb::Jobs { dps } => {
                let (admin, dps) = dps.find(session).await?;
                let path = format!("/muster/v1/dps/{}/jobs", segment(&dps));
                let doing = format!("list the jobs of '{dps}'");
                let list = values(admin.service.call(Call::get(path, doing)).await?);
                session.output.list(JOB_COLUMNS, &list)
            }
            Verb::List { dps } => {
                let (admin, dps) = dps.find(session).await?;
                let list = linked(&admin, &dps).await?;
                session.output.list(COLUMNS, &list)
            }
            Verb::Show { hub, dps } => {
                let (admin, dps) = dps.find(session).await?;
                let found = find(linked(&admin, &dps).await?, &hub.linked_hub, &dps)?;
                session.output.thing(&found, &["name"])
            }
            Verb::Update { hub, weight, dps } => {
                let (admin, dps) = dps.find(session).await?;
                let changed = until_not_overtaken(async || {
                    let found = find(linked(&admin, &dps).await?, &hub.linked_hub, &dps)?;
                    let body = weight.body(at(&found, &["latencies"]));
                    let etag = at(&found, &["etag"]).as_str();
                    put(&admin, to_link(&dps, &hub.linked_hub, body).if_match(etag)).await
                });
                weight.note(&changed.await?);
                let written = find(linked(&admin, &dps).await?, &hub.linked_hub, &dps)?;
                session.output.thing(&written, &["name"])
            }
            Verb::Delete { hub, yes: _, dps } => {
                let (admin, dps) = dps.find(session).await?;
                let doing = format!("unlink hub '{}' from '{dps}'", hub.linked_hub);
                let call = Call::delete(path(&dps, &hub.linked_hub), doing);
                admin.service.call(call).await.map_err(missing).map(drop)
            }
        }
    }
}

impl Create {
    async fn run(self, session: &mut Session) -> Result {
        let hub = match (&self.hub_name, &self.connection_string) {
            (Some(name), _) => name.clone(),
            (None, Some(text)) => ConnectionString::parse(text)?.host,
            (None, None) => return Err(Failure::usage("which hub?").hint("give --hub-name")),
        };
        let (admin, dps) = self.dps.find(session).await?;
        let present = match self.weight.latency.is_empty() {
            true => None,
            false => find(linked(&admin, &dps).await?, &hub, &dps).ok(),
        };
        let latencies = present.as_ref().map_or(&Value::Null, |link| at(link, &["latencies"]));
        let mut body = self.weight.body(latencies);
        if let Some(text) = self.connection_string {
            body.insert("connectionString".into(), text.into());
        }
        self.weight.note(&put(&admin, to_link(&dps, &hub, body)).await?);
        // As with az: all that are linked now.
        session.output.list(COLUMNS, &linked(&admin, &dps).await?)
    }
}

impl Weight {
    /// What is said of a link, with the latencies that it has had: the service knows them as one.
    fn body(&self, latencies: &Value) -> Map<String, Value> {
        let mut latencies = latencies.as_object().cloned().unwrap_or_default();
        for (region, milliseconds) in &self.latency {
            latencies.retain(|known, _| !known.eq_ignore_ascii_case(region));
            latencies
                .extend(milliseconds.map(|milliseconds| (region.clone(), milliseconds.into())));
        }
        let mut body = Map::new();
        if !self.latency.is_empty() {
            body.insert("latencies".into(), latencies.into());
        }
        if let Some(weight) = self.allocation_weight {
            body.insert("allocationWeight".into(), weight.into());
        }
        if let Some(applies) = self.apply_allocation_policy {
            body.insert("applyAllocationPolicy".into(), applies.into());
        }
        body
    }

    /// Tells of latencies that nothing goes by, since the service has no such region.
    fn note(&self, dps: &Value) {
        for region in self.strange(dps) {
            eprintln!(
                "note: there is no region '{region}' yet; `muster iot dps region create --region \
                 {region} --network …` says which addresses are in it"
            );
        }
    }

    fn strange(&self, dps: &Value) -> Vec<&str> {
        let regions = at(dps, &["properties", "regions"]).as_array();
        let known =
            |name: &str| regions.into_iter().flatten().any(|region| region::is(region, name));
        let told = self.latency.iter().filter(|(_, milliseconds)| milliseconds.is_some());
        told.map(|(region, _)| region.as_str()).filter(|region| !known(region)).collect()
    }
}

fn to_link(dps: &str, hub: &str, body: Map<String, Value>) -> Call {
    Call::put(path(dps, hub), body.into(), format!("link hub '{hub}' to '{dps}'"))
}

/// Writes a link; the service as it then is.
async fn put(admin: &Admin, call: Call) -> Result<Value> {
    admin.service.call(call).await.map_err(|failure| {
        failure.hint_not_found(
            "`muster iot hub list` shows the hubs of this server; for another's, give \
             --connection-string",
        )
    })
}

async fn linked(admin: &Admin, dps: &str) -> Result<Vec<Value>> {
    let path = format!("/muster/v1/dps/{}/linked-hubs", segment(dps));
    Ok(values(admin.service.call(Call::get(path, format!("list the hubs of '{dps}'"))).await?))
}

/// A hub of the list by its host, or by the host's first label.
fn find(list: Vec<Value>, hub: &str, dps: &str) -> Result<Value> {
    let is_meant = |value: &Value| {
        let host = at(value, &["name"]).as_str().unwrap_or_default();
        let label = host.split('.').next().unwrap_or(host);
        host.eq_ignore_ascii_case(hub) || label.eq_ignore_ascii_case(hub)
    };
    list.into_iter()
        .find(is_meant)
        .ok_or_else(|| missing(Failure::not_found(format!("hub '{hub}' is not linked to '{dps}'"))))
}

fn path(dps: &str, hub: &str) -> String {
    format!("/muster/v1/dps/{}/linked-hubs/{}", segment(dps), segment(hub))
}

fn missing(failure: Failure) -> Failure {
    failure.hint_not_found("`muster iot dps linked-hub list` shows the linked ones")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn weight(latency: &[(&str, Option<u32>)]) -> Weight {
        let latency =
            latency.iter().map(|(region, milliseconds)| ((*region).into(), *milliseconds));
        Weight {
            allocation_weight: None,
            apply_allocation_policy: None,
            latency: latency.collect(),
        }
    }

    #[test]
    fn l_05_a_region_in_another_case_is_the_same() {
        let present = json!({"north": 80, "south": 4});
        let body = weight(&[("North", Some(7)), ("SOUTH", None)]).body(&present);
        assert_eq!(Value::from(body), json!({"latencies": {"North": 7}}));
        let body = weight(&[("north", None)]).body(&json!({"North": 1}));
        assert_eq!(Value::from(body), json!({"latencies": {}}), "none is said too");
        assert_eq!(Value::from(weight(&[]).body(&present)), json!({}));
    }

    #[test]
    fn l_05_a_latency_of_no_region_is_told() {
        let dps = json!({"properties": {"regions": [{"name": "North", "networks": []}]}});
        let weight = weight(&[("north", Some(1)), ("nroth", Some(1)), ("south", None)]);
        assert_eq!(weight.strange(&dps), ["nroth"]);
        assert_eq!(weight.strange(&json!({})), ["north", "nroth"]);
    }
}
