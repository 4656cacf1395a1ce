//! What individual enrollments and enrollment groups have in common.

use clap::builder::ArgAction;
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::common::{DpsArgs, flag, json_object};
use super::{credential, document};
use crate::Session;
use crate::failure::{Failure, Result};
use crate::output::{Column, at};
use crate::service::{Call, Service, segment};

/// The two kinds of entry, as the service's paths and members name them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryKind {
    /// The collection's path.
    pub(crate) path: &'static str,
    /// The member that holds the id.
    pub(crate) id: &'static str,
    /// In messages.
    pub(crate) noun: &'static str,
    /// In the grammar of commands.
    pub(crate) word: &'static str,
    /// Of its list.
    pub(crate) columns: &'static [Column],
}

impl EntryKind {
    pub(crate) fn at(&self, id: &str) -> String {
        format!("{}/{}", self.path, segment(id))
    }

    pub(crate) fn named(&self, id: &str) -> String {
        format!("{} '{id}'", self.noun)
    }

    fn missing(&self, failure: Failure) -> Failure {
        failure.hint_not_found(format!("`muster iot dps {} list` shows what there is", self.word))
    }

    const fn first(&self) -> [&'static str; 4] {
        [self.id, "deviceId", "provisioningStatus", "attestation.type"]
    }

    /// Creates an entry: no `If-Match`, so that an existing one stays as it is.
    pub(crate) async fn create(
        &self,
        session: &mut Session,
        service: &Service,
        id: &str,
        body: Map<String, Value>,
    ) -> Result {
        let doing = format!("create {}", self.named(id));
        let made = service.call(Call::put(self.at(id), body.into(), doing)).await?;
        session.output.thing(&made, &self.first())
    }

    /// Reads an entry.
    pub(crate) async fn read(&self, service: &Service, id: &str) -> Result<Value> {
        let doing = format!("read {}", self.named(id));
        service.call(Call::get(self.at(id), doing)).await.map_err(|failure| self.missing(failure))
    }

    /// Reads an entry's mechanism with its secrets.
    pub(crate) async fn mechanism(&self, service: &Service, id: &str) -> Result<Value> {
        let path = format!("{}/attestationmechanism", self.at(id));
        let doing = format!("read the keys of {}", self.named(id));
        service.call(Call::post(path, doing)).await.map_err(|failure| self.missing(failure))
    }

    /// Shows an entry, with its keys if asked and if it has any.
    pub(crate) async fn show(
        &self,
        session: &mut Session,
        service: &Service,
        id: &str,
        keys: Option<bool>,
    ) -> Result {
        let mut entry = self.read(service, id).await?;
        if keys == Some(true) {
            if at(&entry, &["attestation", "type"]) == "symmetricKey" {
                let mechanism = self.mechanism(service, id).await?;
                if let Some(members) = entry.as_object_mut() {
                    members.insert("attestation".into(), mechanism);
                }
            } else {
                eprintln!("warning: {} has no symmetric keys to show", self.named(id));
            }
        }
        session.output.thing(&entry, &self.first())
    }

    /// Lists the entries, page by page.
    pub(crate) async fn list(
        &self,
        session: &mut Session,
        service: &Service,
        top: Option<i64>,
    ) -> Result {
        let mut list = session.output.open_list(self.columns);
        self.pages(service, top, |page| list.page(page)).await?;
        list.close()
    }

    /// Hands on the entries, page by page.
    pub(crate) async fn pages(
        &self,
        service: &Service,
        top: Option<i64>,
        each: impl FnMut(&[Value]) -> Result,
    ) -> Result {
        let call = || {
            Call::post(format!("{}/query", self.path), format!("list the {}s", self.noun))
                .body(json!({"query": "SELECT *"}))
        };
        service.pages(call, top, None, each).await
    }

    /// Reads an entry, edits it and writes it back, as `az` does (Z-02).
    pub(crate) async fn update(
        &self,
        session: &mut Session,
        service: &Service,
        id: &str,
        etag: Option<&str>,
        edit: impl FnOnce(&mut Map<String, Value>) -> Result,
    ) -> Result {
        let doing = format!("update {}", self.named(id));
        let mut entry = document::members(self.read(service, id).await?, &doing)?;
        if entry.get("attestation").map(|one| at(one, &["type"])) == Some(&json!("symmetricKey")) {
            entry.insert("attestation".into(), self.mechanism(service, id).await?);
        }
        for served in ["registrationState", "createdDateTimeUtc", "lastUpdatedDateTimeUtc"] {
            entry.remove(served);
        }
        edit(&mut entry)?;
        let call = Call::put(self.at(id), entry.into(), doing).if_match(etag);
        let written = service.call(call).await.map_err(|failure| self.missing(failure))?;
        session.output.thing(&written, &self.first())
    }

    /// Deletes an entry.
    pub(crate) async fn delete(&self, service: &Service, id: &str, etag: Option<&str>) -> Result {
        let call = Call::delete(self.at(id), format!("delete {}", self.named(id))).if_match(etag);
        service.call(call).await.map_err(|failure| self.missing(failure)).map(drop)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Status {
    Enabled,
    Disabled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Reprovision {
    /// Keep the device on its hub.
    Never,
    /// Move it, its twin with it.
    #[value(name = "reprovisionandmigratedata")]
    MigrateData,
    /// Move it, its twin as the entry says.
    #[value(name = "reprovisionandresetdata")]
    ResetData,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "camelCase")]
enum Allocation {
    /// Evenly, by weight.
    Hashed,
    /// The nearest hub.
    GeoLatency,
    /// The one hub given.
    Static,
    /// As a webhook says.
    Custom,
}

impl Allocation {
    const fn wire(self) -> &'static str {
        match self {
            Self::Hashed => "hashed",
            Self::GeoLatency => "geoLatency",
            Self::Static => "static",
            Self::Custom => "custom",
        }
    }
}

/// The settings of an entry, beside its attestation.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// Whether the entry lets devices in.
    #[arg(long, visible_alias = "ps", value_enum, ignore_case = true)]
    provisioning_status: Option<Status>,
    /// What happens to a device that registers again.
    #[arg(long, visible_alias = "rp", value_enum, ignore_case = true)]
    reprovision_policy: Option<Reprovision>,
    /// How a device's hub is chosen.
    #[arg(long, visible_alias = "ap", value_enum, ignore_case = true)]
    allocation_policy: Option<Allocation>,
    /// Host names of the hubs to choose from.
    #[arg(long, visible_alias = "ih", num_args = 1.., action = ArgAction::Append, value_name = "HOST")]
    iot_hubs: Vec<String>,
    #[arg(long, alias = "hn", hide = true, conflicts_with_all = ["allocation_policy", "iot_hubs"])]
    iot_hub_host_name: Option<String>,
    /// URL that custom allocation asks.
    #[arg(long, visible_alias = "wh", value_name = "URL")]
    webhook_url: Option<String>,
    /// API version of the custom allocation's request.
    #[arg(long, visible_alias = "av", value_name = "VERSION")]
    api_version: Option<String>,
    /// Tags of a new device's twin, JSON or a file of it.
    #[arg(long, visible_alias = "tags", value_name = "JSON")]
    initial_twin_tags: Option<String>,
    /// Desired properties of a new device's twin, JSON or a file of it.
    #[arg(long, visible_alias = "props", value_name = "JSON")]
    initial_twin_properties: Option<String>,
    /// Whether its devices are edge devices.
    #[arg(long, visible_alias = "ee", num_args = 0..=1, default_missing_value = "true", value_parser = flag())]
    edge_enabled: Option<bool>,
    /// The credential policy that its devices get certificates by; "" for none.
    #[arg(long, visible_aliases = ["credential-policy-name", "cpn"], value_name = "POLICY")]
    credential_policy: Option<String>,
}

impl Settings {
    /// A new entry's members, those not given at `az`'s defaults (Z-01).
    pub(crate) fn new_entry(&self) -> Result<Map<String, Value>> {
        let mut entry = Map::new();
        entry.insert("capabilities".into(), json!({"iotEdge": false}));
        entry.insert("initialTwin".into(), json!({"tags": {}, "properties": {"desired": {}}}));
        entry.insert(
            "reprovisionPolicy".into(),
            json!({"updateHubAssignment": true, "migrateDeviceData": true}),
        );
        self.edit(&mut entry)?;
        Ok(entry)
    }

    /// Whether the entry is to let nobody in any more.
    pub(crate) fn disables(&self) -> bool {
        self.provisioning_status == Some(Status::Disabled)
    }

    /// Tells of a credential policy that is not there (yet): it issues nothing. Only where the
    /// administration can be asked, which a service's connection string does not open.
    pub(crate) async fn note_policy(&self, session: &Session, dps: &DpsArgs) {
        let Some(wanted) = self.credential_policy.as_deref().filter(|name| !name.is_empty()) else {
            return;
        };
        if dps.login().is_none()
            && let Ok(names) = credential::names(session, dps.name()).await
            && !names.iter().any(|name| name.eq_ignore_ascii_case(wanted))
        {
            eprintln!(
                "note: there is no credential policy '{wanted}' yet, and a device that asks for a \
                 certificate fails; `muster iot dps credential policy create` makes it"
            );
        }
    }

    /// Puts what was given into an entry.
    pub(crate) fn edit(&self, entry: &mut Map<String, Value>) -> Result {
        if let Some(status) = self.provisioning_status {
            let status = match status {
                Status::Enabled => "enabled",
                Status::Disabled => "disabled",
            };
            entry.insert("provisioningStatus".into(), status.into());
        }
        if let Some(policy) = self.reprovision_policy {
            let (update, migrate) = match policy {
                Reprovision::Never => (false, false),
                Reprovision::MigrateData => (true, true),
                Reprovision::ResetData => (true, false),
            };
            let policy = json!({"updateHubAssignment": update, "migrateDeviceData": migrate});
            entry.insert("reprovisionPolicy".into(), policy);
        }
        if let Some(edge) = self.edge_enabled {
            entry.insert("capabilities".into(), json!({"iotEdge": edge}));
        }
        match self.credential_policy.as_deref() {
            None => {}
            Some("") => drop(entry.remove("credentialPolicyName")),
            Some(name) => {
                entry.insert("credentialPolicyName".into(), name.into());
            }
        }
        self.edit_twin(entry)?;
        self.edit_allocation(entry)
    }

    fn edit_twin(&self, entry: &mut Map<String, Value>) -> Result {
        let tags = self.initial_twin_tags.as_deref();
        if let Some(tags) = tags.map(|text| json_object("--initial-twin-tags", text)).transpose()? {
            object_at(entry, "initialTwin").insert("tags".into(), tags.into());
        }
        let desired = self.initial_twin_properties.as_deref();
        let desired = desired.map(|text| json_object("--initial-twin-properties", text));
        if let Some(desired) = desired.transpose()? {
            let twin = object_at(entry, "initialTwin");
            object_at(twin, "properties").insert("desired".into(), desired.into());
        }
        Ok(())
    }

    /// Z-04: what the service would refuse is refused here, with the option's name.
    fn edit_allocation(&self, entry: &mut Map<String, Value>) -> Result {
        let mut hubs: Vec<&str> =
            self.iot_hubs.iter().flat_map(|hubs| hubs.split([' ', ','])).collect();
        hubs.retain(|hub| !hub.is_empty());
        let mut policy = self.allocation_policy;
        if let Some(hub) = &self.iot_hub_host_name {
            policy = Some(Allocation::Static);
            hubs = vec![hub];
        }
        if policy.is_none() && hubs.is_empty() && self.webhook_url.is_none() {
            return match self.api_version {
                None => Ok(()),
                Some(_) => Err(Failure::usage("--api-version goes with --webhook-url")),
            };
        }
        if let Some(policy) = policy {
            entry.insert("allocationPolicy".into(), policy.wire().into());
        }
        if !hubs.is_empty() {
            entry.insert("iotHubs".into(), hubs.into());
            entry.remove("iotHubHostName");
        }
        if self.webhook_url.is_some() || self.api_version.is_some() {
            let custom = object_at(entry, "customAllocationDefinition");
            for (member, given) in
                [("webhookUrl", &self.webhook_url), ("apiVersion", &self.api_version)]
            {
                if let Some(given) = given {
                    custom.insert(member.into(), given.as_str().into());
                }
            }
        }
        check_allocation(entry)
    }
}

fn check_allocation(entry: &Map<String, Value>) -> Result {
    let policy = entry.get("allocationPolicy").and_then(Value::as_str);
    let hubs = entry.get("iotHubs").and_then(Value::as_array).map_or(0, Vec::len);
    let custom = entry.get("customAllocationDefinition").unwrap_or(&Value::Null);
    match policy {
        None if hubs > 0 => Err(Failure::usage("--iot-hubs needs --allocation-policy")
            .hint("add --allocation-policy hashed, or static with one hub")),
        Some("static") if hubs != 1 => {
            Err(Failure::usage(format!("static allocation wants one hub, {hubs} given"))
                .hint("add --iot-hubs with the host name of one linked hub"))
        }
        Some("custom")
            if at(custom, &["webhookUrl"]).is_null() || at(custom, &["apiVersion"]).is_null() =>
        {
            Err(Failure::usage("custom allocation wants a webhook")
                .hint("add --webhook-url https://… and --api-version 2021-10-01"))
        }
        Some(_) | None => Ok(()),
    }
}

/// The object under a member, made where there is none.
pub(crate) fn object_at<'m>(
    members: &'m mut Map<String, Value>,
    name: &str,
) -> &'m mut Map<String, Value> {
    let slot = members.entry(name).or_insert(Value::Null);
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    match slot {
        Value::Object(found) => found,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            unreachable!("it was just made an object")
        }
    }
}
