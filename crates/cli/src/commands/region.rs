//! `muster iot dps region`: where devices may be, by their addresses (L-05).

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::common::{AdminArgs, Yes, until_not_overtaken};
use super::policy::{DpsName, OfService};
use crate::Session;
use crate::failure::{Failure, Result};
use crate::locate::{Admin, Kind};
use crate::output::{Column, at, cell, column};
use crate::service::{Call, segment};

const COLUMNS: &[Column] = &[column!("Region", "name"), column!("Addresses", "networks")];

/// The regions of a provisioning service.
#[derive(Debug, Args)]
pub(crate) struct Region {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Add a region, or say anew which addresses are in it.
    Create {
        #[command(flatten)]
        name: Name,
        /// The addresses of the devices in it: ranges such as 10.1.0.0/16. Of two regions that
        /// have an address, the one with the narrower range counts.
        #[arg(long, required = true, num_args = 1.., value_name = "ADDRESSES")]
        network: Vec<String>,
        #[command(flatten)]
        place: Place,
    },
    /// List the regions.
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Remove a region; the latencies that hubs have from there stay.
    Delete {
        #[command(flatten)]
        name: Name,
        #[command(flatten)]
        yes: Yes,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Args)]
struct Name {
    /// Name of the region.
    #[arg(long = "region", visible_alias = "region-name", value_name = "REGION")]
    name: String,
}

#[derive(Debug, Args)]
struct Place {
    #[command(flatten)]
    dps: DpsName,
    #[command(flatten)]
    admin: AdminArgs,
}

impl Region {
    pub(crate) async fn run(self, session: &mut Session) -> Result {
        match self.verb {
            Verb::Create { name: Name { name }, network, place } => {
                let added = until_not_overtaken(async || {
                    let mut found = place.find(session).await?;
                    found.regions.retain(|region| !is(region, &name));
                    found.regions.push(json!({"name": name, "networks": network}));
                    found.put(format!("add the region '{name}'")).await
                });
                let regions = added.await?;
                session.output.list(COLUMNS, &regions)
            }
            Verb::List { place } => {
                session.output.list(COLUMNS, &place.find(session).await?.regions)
            }
            Verb::Delete { name: Name { name }, yes: _, place } => {
                let removed = until_not_overtaken(async || {
                    let mut found = place.find(session).await?;
                    let before = found.regions.len();
                    found.regions.retain(|region| !is(region, &name));
                    if found.regions.len() == before {
                        return Err(Failure::not_found(format!("there is no region '{name}'"))
                            .hint("`muster iot dps region list` shows them"));
                    }
                    found.put(format!("remove the region '{name}'")).await
                });
                removed.await.map(drop)
            }
        }
    }
}

/// Whether this is the region of a name.
pub(super) fn is(region: &Value, name: &str) -> bool {
    cell(at(region, &["name"])).eq_ignore_ascii_case(name)
}

/// A provisioning service and its regions.
struct Found {
    admin: Admin,
    name: String,
    etag: Option<String>,
    regions: Vec<Value>,
}

impl Place {
    async fn find(&self, session: &Session) -> Result<Found> {
        let admin = self.admin.find(session)?;
        let found = admin.resource(Kind::Dps, self.dps.name()).await?;
        let etag = at(&found.value, &["etag"]).as_str().map(str::to_owned);
        Ok(Found { admin, name: found.name, etag, regions: regions(&found.value) })
    }
}

fn regions(dps: &Value) -> Vec<Value> {
    at(dps, &["properties", "regions"]).as_array().cloned().unwrap_or_default()
}

impl Found {
    async fn put(self, doing: String) -> Result<Vec<Value>> {
        let body = json!({"properties": {"regions": self.regions}});
        let path = format!("{}/{}", Kind::Dps.path(), segment(&self.name));
        let call = Call::put(path, body, doing).if_match(self.etag.as_deref());
        Ok(regions(&self.admin.service.call(call).await?))
    }
}
