//! What is on the server, as far as a plan needs it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::files::{Entry, Wanted};
use super::hubs::Hubs;
use super::plan::{Kind, Live, Plan};
use crate::commands::enrollment::INDIVIDUAL;
use crate::commands::enrollment_group::GROUP;
use crate::commands::entry::EntryKind;
use crate::failure::{Failure, Kind as FailureKind, Result};
use crate::locate::{self, Admin, values};
use crate::output::at;
use crate::service::{Call, Service, segment};

/// Entries that are read at once.
const READS_AT_ONCE: usize = 8;

/// A provisioning service, ready to be asked.
pub(super) struct Place {
    pub(super) admin: Admin,
    /// Its plain name.
    pub(super) name: String,
    pub(super) service: Service,
}

/// What is pruned, and what is not.
pub(super) struct Pruning {
    /// Patterns of ids that are never pruned: a name, or one that ends in `*`.
    pub(super) keep: Vec<String>,
    /// More than so many are not pruned at once.
    pub(super) max: usize,
}

impl Pruning {
    fn keeps(&self, id: &str) -> bool {
        let id = id.to_ascii_lowercase();
        self.keep.iter().map(|pattern| pattern.to_ascii_lowercase()).any(|pattern| {
            match pattern.strip_suffix('*') {
                Some(prefix) => id.starts_with(prefix),
                None => id == pattern,
            }
        })
    }
}

impl Place {
    pub(super) async fn find(admin: Admin, name: &str) -> Result<Self> {
        let resource = admin.resource(locate::Kind::Dps, Some(name)).await?;
        let service = admin.open(locate::Kind::Dps, &resource).await?;
        Ok(Self { admin, name: resource.name, service })
    }

    /// Reads the server, and plans what is to be done.
    pub(super) async fn plan(&self, wanted: &Wanted, pruning: Option<&Pruning>) -> Result<Plan> {
        let mut plan = Plan::default();
        let mut hubs = None;
        if wanted.names_hubs() {
            let found = self.hubs().await?;
            plan.want(Kind::Link, &wanted.links, &found.links(&wanted.links));
            hubs = Some(found);
        }
        if let Some(certificates) = &wanted.certificates {
            let live = self.certificates().await?;
            plan.want(Kind::Certificate, certificates, &live);
            self.prune(&mut plan, Kind::Certificate, certificates, live, pruning);
        }
        if let Some(groups) = &wanted.groups {
            let mut live = self.groups().await?;
            for entry in groups.iter().filter(|entry| gives_keys(entry)) {
                if let Some(live) = live.get_mut(&entry.id.to_ascii_lowercase()) {
                    with_keys(&self.service, &GROUP, live).await?;
                }
            }
            plan.want(Kind::Group, groups, &live);
            self.prune(&mut plan, Kind::Group, groups, live, pruning);
        }
        if let Some(enrollments) = &wanted.enrollments {
            plan.want(Kind::Enrollment, enrollments, &self.enrollments(enrollments).await?);
            if let Some(pruning) = pruning {
                self.prune_enrollments(&mut plan, enrollments, pruning).await?;
            }
        }
        if let Some(hubs) = hubs {
            plan.faults.extend(hubs.faults(wanted, &plan));
        }
        if let Some(pruning) = pruning {
            let count = plan.steps.iter().filter(|step| step.deletes()).count();
            if count > pruning.max {
                return Err(too_many(pruning.max));
            }
        }
        plan.sort();
        Ok(plan)
    }

    fn prune(
        &self,
        plan: &mut Plan,
        kind: Kind,
        wanted: &[Entry],
        live: BTreeMap<String, Live>,
        pruning: Option<&Pruning>,
    ) {
        if let Some(pruning) = pruning {
            plan.prune(kind, wanted, live.into_values(), |id| pruning.keeps(id));
        }
    }

    /// Page by page, and no further than the bound: there may be a million of them.
    async fn prune_enrollments(
        &self,
        plan: &mut Plan,
        wanted: &[Entry],
        pruning: &Pruning,
    ) -> Result {
        INDIVIDUAL
            .pages(&self.service, None, |page| {
                let live = page.iter().filter_map(|value| live(value, INDIVIDUAL.id));
                plan.prune(Kind::Enrollment, wanted, live, |id| pruning.keeps(id));
                let count = plan.steps.iter().filter(|step| step.deletes()).count();
                match count > pruning.max {
                    true => Err(too_many(pruning.max)),
                    false => Ok(()),
                }
            })
            .await
    }

    async fn hubs(&self) -> Result<Hubs> {
        let here = self.admin.all(locate::Kind::Hub).await?;
        let path = format!("/muster/v1/dps/{}/linked-hubs", segment(&self.name));
        let doing = format!("list the hubs of '{}'", self.name);
        let linked = values(self.admin.service.call(Call::get(path, doing)).await?);
        Ok(Hubs { here, linked })
    }

    async fn certificates(&self) -> Result<BTreeMap<String, Live>> {
        let path = format!("/muster/v1/dps/{}/certificates", segment(&self.name));
        let doing = format!("list the certificates of '{}'", self.name);
        let list = values(self.admin.service.call(Call::get(path, doing)).await?);
        let live = list.iter().filter_map(|value| {
            let mut found = live(value, "name")?;
            let properties = at(value, &["properties"]);
            found.members = Map::from_iter([
                ("certificate".to_owned(), at(properties, &["certificate"]).clone()),
                ("verified".to_owned(), at(properties, &["isVerified"]).clone()),
            ]);
            Some((found.id.to_ascii_lowercase(), found))
        });
        Ok(live.collect())
    }

    async fn groups(&self) -> Result<BTreeMap<String, Live>> {
        let mut found = BTreeMap::new();
        GROUP
            .pages(&self.service, None, |page| {
                let live = page.iter().filter_map(|value| live(value, GROUP.id));
                found.extend(live.map(|live| (live.id.to_ascii_lowercase(), live)));
                Ok(())
            })
            .await?;
        Ok(found)
    }

    async fn enrollments(&self, wanted: &[Entry]) -> Result<BTreeMap<String, Live>> {
        let mut found = BTreeMap::new();
        for part in wanted.chunks(READS_AT_ONCE) {
            let reads: Vec<_> = part
                .iter()
                .map(|entry| {
                    let (service, id, keys) =
                        (self.service.clone(), entry.id.clone(), gives_keys(entry));
                    tokio::spawn(async move { enrollment(&service, &id, keys).await })
                })
                .collect();
            for read in reads {
                let read = read.await;
                let read = read.map_err(|error| Failure::new(format!("a read ended: {error}")))?;
                found.extend(read?.map(|live| (live.id.to_ascii_lowercase(), live)));
            }
        }
        Ok(found)
    }
}

async fn enrollment(service: &Service, id: &str, keys: bool) -> Result<Option<Live>> {
    let value = match INDIVIDUAL.read(service, id).await {
        Ok(value) => value,
        Err(failure) if failure.kind() == FailureKind::NotFound => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let Some(mut live) = live(&value, INDIVIDUAL.id) else { return Ok(None) };
    if keys {
        with_keys(service, &INDIVIDUAL, &mut live).await?;
    }
    Ok(Some(live))
}

/// Whether a file gives keys, which are then compared.
fn gives_keys(entry: &Entry) -> bool {
    entry.members.get("attestation").is_some_and(|given| given.get("symmetricKey").is_some())
}

/// Adds the keys, which the service tells apart.
async fn with_keys(service: &Service, kind: &EntryKind, live: &mut Live) -> Result {
    let is_keyed = |given: &Value| at(given, &["type"]) == "symmetricKey";
    if live.members.get("attestation").is_some_and(is_keyed) {
        let mechanism = kind.mechanism(service, &live.id).await?;
        live.members.insert("attestation".to_owned(), mechanism);
    }
    Ok(())
}

fn live(value: &Value, id: &str) -> Option<Live> {
    Some(Live {
        id: at(value, &[id]).as_str()?.to_owned(),
        etag: at(value, &["etag"]).as_str().map(str::to_owned),
        members: value.as_object()?.clone(),
    })
}

fn too_many(max: usize) -> Failure {
    Failure::new(format!("more than {max} would be deleted: nothing was done"))
        .hint("look with --dry-run whether the files are all there; else raise --prune-max")
}
