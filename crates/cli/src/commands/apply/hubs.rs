//! The hubs that files name: those of this server, and those that are linked.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::files::{Entry, Wanted};
use super::plan::{Kind, Live, Plan};
use crate::locate::Resource;
use crate::output::at;

/// What is there when a plan is made.
pub(super) struct Hubs {
    /// Of this server.
    pub(super) here: Vec<Resource>,
    /// Links, as the administration answers them.
    pub(super) linked: Vec<Value>,
}

impl Hubs {
    /// The host of a hub that is named by its name, its host, or the host's first label.
    fn host(&self, named: &str) -> Option<&str> {
        let here = self.here.iter().find(|hub| {
            hub.name.eq_ignore_ascii_case(named) || hub.host.eq_ignore_ascii_case(named)
        });
        let is_meant = |host: &&str| {
            let label = host.split('.').next().unwrap_or(host);
            host.eq_ignore_ascii_case(named) || label.eq_ignore_ascii_case(named)
        };
        let linked = || self.linked.iter().map(host_of).find(is_meant);
        here.map(|hub| hub.host.as_str()).or_else(linked)
    }

    /// The links that files name and that are there, by their names in lower case.
    pub(super) fn links(&self, wanted: &[Entry]) -> BTreeMap<String, Live> {
        let mut found = BTreeMap::new();
        for entry in wanted {
            let Some(host) = self.host(&entry.id) else { continue };
            let is_meant = |link: &&Value| host_of(link).eq_ignore_ascii_case(host);
            if let Some(link) = self.linked.iter().find(is_meant) {
                let members = [
                    ("allocation_weight", at(link, &["allocationWeight"])),
                    ("apply_allocation_policy", at(link, &["applyAllocationPolicy"])),
                    ("latencies", at(link, &["latencies"])),
                ];
                let members = members.map(|(name, value)| (name.to_owned(), value.clone()));
                let members = Map::from_iter(members);
                let etag = at(link, &["etag"]).as_str().map(str::to_owned);
                let live = Live { id: entry.id.clone(), etag, members };
                found.insert(entry.id.to_ascii_lowercase(), live);
            }
        }
        found
    }

    /// Hubs that can not be meant by what is to be written.
    pub(super) fn faults(&self, wanted: &Wanted, plan: &Plan) -> Vec<String> {
        let mut faults = Vec::new();
        for Entry { at, id, .. } in &wanted.links {
            if self.host(id).is_none() {
                faults.push(format!(
                    "{at}: there is no hub '{id}' here: `muster iot hub create` makes one, and \
                     `muster iot dps linked-hub create --connection-string` links another server's"
                ));
            }
        }
        let linked = self.linked.iter().map(host_of);
        let hosts: Vec<&str> =
            linked.chain(wanted.links.iter().filter_map(|link| self.host(&link.id))).collect();
        let written = plan.written();
        let is_written = |(kind, entry): &(Kind, &Entry)| written.contains(&(*kind, &*entry.id));
        for (kind, entry) in wanted.entries().filter(is_written) {
            for (member, named) in named_hubs(entry) {
                let plain = named.strip_suffix('.').unwrap_or(named);
                if hosts.iter().any(|host| host.eq_ignore_ascii_case(plain)) {
                    continue;
                }
                let because = match self.host(named) {
                    Some(host) if hosts.contains(&host) => {
                        format!("'{named}' is no host: give {host}")
                    }
                    Some(_) | None => format!("'{named}' is not linked"),
                };
                let (at, noun, id) = (&entry.at, kind.noun(), &entry.id);
                faults.push(format!("{at}: {noun} '{id}': {member}: {because}"));
            }
        }
        faults
    }
}

impl Wanted {
    /// Whether anything of it rests on hubs.
    pub(super) fn names_hubs(&self) -> bool {
        !self.links.is_empty() || self.entries().any(|(_, entry)| !named_hubs(entry).is_empty())
    }

    fn entries(&self) -> impl Iterator<Item = (Kind, &Entry)> {
        let groups = self.groups.iter().flatten().map(|entry| (Kind::Group, entry));
        groups.chain(self.enrollments.iter().flatten().map(|entry| (Kind::Enrollment, entry)))
    }
}

/// The hubs that an entry names, each with the member where it does.
fn named_hubs(entry: &Entry) -> Vec<(&'static str, &str)> {
    let several = entry.members.get("iotHubs").and_then(Value::as_array).into_iter().flatten();
    let several = several.map(|value| ("iotHubs", value));
    let one = entry.members.get("iotHubHostName").map(|value| ("iotHubHostName", value));
    several
        .chain(one)
        .filter_map(|(member, value)| Some((member, value.as_str()?)))
        .filter(|(_, named)| !named.is_empty())
        .collect()
}

fn host_of(link: &Value) -> &str {
    at(link, &["name"]).as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::files::tests::wanted;
    use super::*;

    #[test]
    fn hubs_that_can_not_be_meant_are_told_with_their_lines() {
        let text = "
dps:
  - name: dps
    linked_hubs: [hub2, far, hub9]
    enrollment_groups:
      - enrollmentGroupId: good
        attestation: {type: symmetricKey}
        iotHubs: [HUB1.localhost, hub2.localhost, far.example.com.]
      - enrollmentGroupId: short
        attestation: {type: symmetricKey}
        iotHubs: [hub1]
    enrollments:
      - registrationId: away
        attestation: {type: symmetricKey}
        iotHubHostName: hub3.localhost
";
        let hub = |name: &str| Resource {
            name: name.to_owned(),
            host: format!("{name}.localhost"),
            value: Value::Null,
        };
        let hubs = Hubs {
            here: vec![hub("hub1"), hub("hub2"), hub("hub3")],
            linked: vec![json!({"name": "hub1.localhost"}), json!({"name": "far.example.com"})],
        };
        let wanted = &wanted(text).unwrap()["dps"];
        assert!(wanted.names_hubs());
        let none = BTreeMap::new();
        let mut plan = Plan::default();
        assert_eq!(hubs.faults(wanted, &plan).len(), 1, "what stays as it is is not judged");
        plan.want(Kind::Group, wanted.groups.as_deref().unwrap(), &none);
        plan.want(Kind::Enrollment, wanted.enrollments.as_deref().unwrap(), &none);
        let told = hubs.faults(wanted, &plan);
        for (told, expected) in told.iter().zip([
            "fleet.yaml:4: there is no hub 'hub9' here: `muster iot hub create`",
            "fleet.yaml:9: enrollment group 'short': iotHubs: 'hub1' is no host: give hub1.localhost",
            "fleet.yaml:13: enrollment 'away': iotHubHostName: 'hub3.localhost' is not linked",
        ]) {
            assert!(told.contains(expected), "{expected} is not in {told}");
        }
        assert_eq!(told.len(), 3, "{told:?}");
    }
}
