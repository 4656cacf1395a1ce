//! What is to be done so that the server is as the files say: pure, over what both have.

use std::collections::{BTreeMap, BTreeSet};

use attestation::SymmetricKey;
use serde_json::{Map, Value};

use super::files::Entry;
use super::normal::{self, Normal};

/// A kind of thing, in the order in which they are made; they go in the opposite one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Link,
    Certificate,
    Group,
    Enrollment,
}

impl Kind {
    /// In messages.
    pub(super) const fn noun(self) -> &'static str {
        match self {
            Self::Link => "linked hub",
            Self::Certificate => "certificate",
            Self::Group => "enrollment group",
            Self::Enrollment => "enrollment",
        }
    }
}

/// Something that the server has.
#[derive(Clone, Debug, Default)]
pub(super) struct Live {
    pub(super) id: String,
    /// None for what has none.
    pub(super) etag: Option<String>,
    /// As the service answers it, with keys where the files give some.
    pub(super) members: Map<String, Value>,
}

impl Live {
    fn is_disabled(&self) -> bool {
        self.members.get("provisioningStatus").and_then(Value::as_str) == Some("disabled")
    }
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    pub(super) kind: Kind,
    pub(super) id: String,
    pub(super) act: Act,
}

/// What to do with it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Act {
    /// Make it; it must not be there.
    Create { body: Map<String, Value> },
    /// Write it; it must still be as it was.
    Change { body: Map<String, Value>, etag: Option<String>, changes: Vec<Change>, opens: Opens },
    /// Remove it; it must still be as it was.
    Delete { etag: Option<String> },
}

/// Whether a change lets devices in that were shut out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opens {
    Yes,
    No,
}

/// A member that changes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    /// From what to what; none is absent.
    Shown { path: String, from: Option<Value>, to: Option<Value> },
    /// A key; its value is not shown.
    Secret { path: String },
}

/// All that is to be done.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) unchanged: usize,
    /// What can not be done.
    pub(super) faults: Vec<String>,
    /// What is left as it is, though one may wonder.
    pub(super) notes: Vec<String>,
}

impl Plan {
    /// Whether the server is as the files say.
    pub(super) const fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.faults.is_empty()
    }

    /// Steps that a person must have seen: what goes, and what lets in again.
    pub(super) fn grave(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| match &step.act {
            Act::Create { .. } => false,
            Act::Change { opens, .. } => *opens == Opens::Yes,
            Act::Delete { .. } => true,
        })
    }

    /// What is made or changed.
    pub(super) fn written(&self) -> BTreeSet<(Kind, &str)> {
        let written = self.steps.iter().filter(|step| !step.deletes());
        written.map(|step| (step.kind, step.id.as_str())).collect()
    }

    /// Plans what is wanted of one kind. `live` is by lower-case id.
    pub(super) fn want(&mut self, kind: Kind, wanted: &[Entry], live: &BTreeMap<String, Live>) {
        for entry in wanted {
            match live.get(&entry.id.to_ascii_lowercase()) {
                None => self.step(kind, &entry.id, Act::Create { body: body(kind, entry, None) }),
                Some(live) => self.change(kind, entry, live),
            }
        }
    }

    fn change(&mut self, kind: Kind, entry: &Entry, live: &Live) {
        let (mut to, mut from) = (normal_of(kind, &entry.members), normal_of(kind, &live.members));
        let (at, id) = (&entry.at, &entry.id);
        match kind {
            Kind::Group | Kind::Enrollment => {
                let path = ["attestation".to_owned(), "type".to_owned()];
                if from.get(path.as_slice()) != to.get(path.as_slice()) {
                    self.faults.push(format!(
                        "{at}: {} '{id}' attests by {} on the server, which can not change: delete \
                         it there first",
                        kind.noun(),
                        from.get(path.as_slice()).and_then(Value::as_str).unwrap_or("nothing"),
                    ));
                    return;
                }
                let status = vec!["provisioningStatus".to_owned()];
                if !to.contains_key(&status) {
                    from.remove(&status);
                    if live.is_disabled() {
                        let noun = kind.noun();
                        self.notes.push(format!("{noun} '{id}' is disabled, and stays so"));
                    }
                }
            }
            // What was verified since stays verified: `verified: false` is about the upload alone.
            Kind::Certificate => {
                let verified = vec!["verified".to_owned()];
                if to.get(&verified) == Some(&Value::Bool(false)) {
                    to.remove(&verified);
                    from.remove(&verified);
                }
            }
            // Latencies that the file does not say stay.
            Kind::Link => {
                if !entry.members.contains_key("latencies") {
                    from.retain(|path, _| path.first().is_none_or(|name| name != "latencies"));
                }
            }
        }
        let mut changes = differences(&from, &to);
        changes.extend(keys(&entry.members, &live.members));
        if changes.is_empty() {
            self.unchanged += 1;
            return;
        }
        let enabled = entry.members.get("provisioningStatus").and_then(Value::as_str);
        let opens = match live.is_disabled() && enabled == Some("enabled") {
            true => Opens::Yes,
            false => Opens::No,
        };
        let (body, etag) = (body(kind, entry, Some(live)), live.etag.clone());
        self.step(kind, id, Act::Change { body, etag, changes, opens });
    }

    /// Plans that what is there and not wanted goes. A disabled entry stays: it may be what keeps
    /// a device out, which would come back through a group.
    pub(super) fn prune(
        &mut self,
        kind: Kind,
        wanted: &[Entry],
        live: impl IntoIterator<Item = Live>,
        keep: impl Fn(&str) -> bool,
    ) {
        let wanted: BTreeSet<String> =
            wanted.iter().map(|entry| entry.id.to_ascii_lowercase()).collect();
        for live in live {
            if wanted.contains(&live.id.to_ascii_lowercase()) || keep(&live.id) {
                continue;
            }
            if live.is_disabled() {
                let (noun, id) = (kind.noun(), &live.id);
                self.notes.push(format!(
                    "{noun} '{id}' is in no file, but it is disabled and may keep devices out: \
                     it is not pruned"
                ));
                continue;
            }
            self.step(kind, &live.id, Act::Delete { etag: live.etag });
        }
    }

    /// Puts the steps in the order in which they are done.
    pub(super) fn sort(&mut self) {
        self.steps.sort_by_key(|step| match step.act {
            Act::Create { .. } | Act::Change { .. } => (false, step.kind),
            Act::Delete { .. } => (true, step.kind),
        });
        let deletes = self.steps.partition_point(|step| !matches!(step.act, Act::Delete { .. }));
        self.steps.get_mut(deletes..).unwrap_or_default().reverse();
    }

    fn step(&mut self, kind: Kind, id: &str, act: Act) {
        self.steps.push(Step { kind, id: id.to_owned(), act });
    }
}

/// What is sent to write an entry. Of a status that the file does not say, the present one stays.
fn body(kind: Kind, entry: &Entry, live: Option<&Live>) -> Map<String, Value> {
    let mut body = entry.members.clone();
    if let (Kind::Group | Kind::Enrollment, Some(live)) = (kind, live)
        && let Some(status) = live.members.get("provisioningStatus")
    {
        body.entry("provisioningStatus").or_insert_with(|| status.clone());
    }
    body
}

fn normal_of(kind: Kind, members: &Map<String, Value>) -> Normal {
    match kind {
        Kind::Group | Kind::Enrollment => normal::entry(members),
        Kind::Certificate => {
            let text = members.get("certificate").and_then(Value::as_str).unwrap_or_default();
            let verified = members.get("verified").and_then(Value::as_bool).unwrap_or(true);
            normal::certificate(text, verified)
        }
        Kind::Link => normal::link(members),
    }
}

fn differences(from: &Normal, to: &Normal) -> Vec<Change> {
    let paths: BTreeSet<_> = from.keys().chain(to.keys()).collect();
    let differing = paths.into_iter().filter(|path| from.get(*path) != to.get(*path));
    differing
        .map(|path| Change::Shown {
            path: path.join("."),
            from: from.get(path).cloned(),
            to: to.get(path).cloned(),
        })
        .collect()
}

/// Keys that a file gives and that are others on the server. A key that it does not give stays.
fn keys(wanted: &Map<String, Value>, live: &Map<String, Value>) -> Vec<Change> {
    let key = |members: &Map<String, Value>, name: &str| {
        let keys = members.get("attestation")?.get("symmetricKey")?;
        SymmetricKey::from_base64(keys.get(name)?.as_str()?).ok()
    };
    let changed = ["primaryKey", "secondaryKey"].into_iter().filter(|name| {
        key(wanted, name)
            .is_some_and(|wanted| !key(live, name).is_some_and(|live| live.same_as(&wanted)))
    });
    changed
        .map(|name| Change::Secret { path: format!("attestation.symmetricKey.{name}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODw==";
    const OTHER: &str = "ERERERERERERERERERERERE=";

    fn members(value: Value) -> Map<String, Value> {
        let Value::Object(members) = value else { panic!("no object") };
        members
    }

    fn entry(id: &str, more: Value) -> Entry {
        let mut all =
            members(json!({"registrationId": id, "attestation": {"type": "symmetricKey"}}));
        all.extend(members(more));
        Entry { at: format!("f.yaml:{id}"), id: id.to_owned(), members: all }
    }

    fn live(id: &str, more: Value) -> Live {
        let Entry { id, members, .. } = entry(id, more);
        Live { etag: Some(format!("\"{id}\"")), id, members }
    }

    fn plan(wanted: &[Entry], live: &[Live]) -> Plan {
        let live = live.iter().map(|live| (live.id.to_ascii_lowercase(), live.clone())).collect();
        let mut plan = Plan::default();
        plan.want(Kind::Enrollment, wanted, &live);
        plan
    }

    #[test]
    fn what_is_as_it_is_to_be_is_left_alone() {
        let there = [live("A", json!({"provisioningStatus": "enabled", "deviceId": ""}))];
        let plan = plan(&[entry("a", json!({}))], &there);
        assert!(plan.is_empty() && plan.unchanged == 1 && plan.notes.is_empty());
    }

    #[test]
    fn a_change_names_each_member_and_rests_on_the_etag() {
        let twin = |site: &str| json!({"initialTwin": {"tags": {"site": site}}});
        let mut there = live("a", twin("x"));
        there.members.insert("deviceId".to_owned(), "d".into());
        let plan = plan(&[entry("a", twin("y"))], &[there]);
        let [Step { act: Act::Change { etag, changes, opens, .. }, .. }] = plan.steps.as_slice()
        else {
            panic!("{plan:?}")
        };
        assert_eq!((etag.as_deref(), *opens), (Some("\"a\""), Opens::No));
        let shown = |path: &str, from: Value, to: Option<Value>| Change::Shown {
            path: path.to_owned(),
            from: Some(from),
            to,
        };
        let expected = [
            shown("deviceId", json!("d"), None),
            shown("initialTwin.tags.site", json!("x"), Some(json!("y"))),
        ];
        assert_eq!(*changes, expected);
    }

    #[test]
    fn s_13_silence_about_the_status_enables_nobody() {
        let there = [live("a", json!({"provisioningStatus": "disabled"}))];
        let silent = plan(&[entry("a", json!({}))], &there);
        assert!(silent.is_empty() && silent.notes[0].contains("is disabled, and stays so"));
        // Also where something else changes.
        let changed = plan(&[entry("a", json!({"deviceId": "d"}))], &there);
        let [Step { act: Act::Change { body, opens, .. }, .. }] = changed.steps.as_slice() else {
            panic!("{changed:?}")
        };
        assert_eq!((&body["provisioningStatus"], *opens), (&json!("disabled"), Opens::No));
        assert_eq!(changed.grave().count(), 0);
        // Only what is said does it, and a person must have seen it.
        let said = plan(&[entry("a", json!({"provisioningStatus": "enabled"}))], &there);
        assert_eq!(said.grave().count(), 1);
        let there = [live("a", json!({"provisioningStatus": "enabled"}))];
        let shut = plan(&[entry("a", json!({"provisioningStatus": "disabled"}))], &there);
        assert_eq!((shut.steps.len(), shut.grave().count()), (1, 0));
    }

    #[test]
    fn keys_are_compared_and_never_shown() {
        let keyed = |key: &str| json!({"attestation": {"type": "symmetricKey", "symmetricKey": {"primaryKey": key}}});
        let there = [live("a", keyed(KEY))];
        assert!(plan(&[entry("a", keyed(KEY))], &there).is_empty());
        assert!(plan(&[entry("a", json!({}))], &there).is_empty(), "keys that are not given stay");
        let changed = plan(&[entry("a", keyed(OTHER))], &there);
        let [Step { act: Act::Change { changes, .. }, .. }] = changed.steps.as_slice() else {
            panic!("{changed:?}")
        };
        let path = "attestation.symmetricKey.primaryKey".to_owned();
        assert_eq!(*changes, [Change::Secret { path }]);
    }

    #[test]
    fn v_28_another_mechanism_is_a_fault() {
        let there = [live("a", json!({"attestation": {"type": "tpm"}}))];
        let plan = plan(&[entry("a", json!({}))], &there);
        assert!(plan.steps.is_empty() && plan.faults[0].contains("attests by tpm"), "{plan:?}");
    }

    #[test]
    fn d_05_pruning_leaves_what_is_disabled_or_to_be_kept() {
        let mut plan = Plan::default();
        let there = ["a", "b", "lab-1"].map(|id| live(id, json!({})));
        let shut = live("shut", json!({"provisioningStatus": "disabled"}));
        let there = there.into_iter().chain([shut]);
        let keep = |id: &str| id.starts_with("lab-");
        plan.prune(Kind::Enrollment, &[entry("A", json!({}))], there, keep);
        let [step] = plan.steps.as_slice() else { panic!("{plan:?}") };
        assert_eq!((step.id.as_str(), step.deletes()), ("b", true));
        assert!(plan.notes[0].contains("'shut'") && plan.notes[0].contains("is not pruned"));
        assert_eq!(plan.grave().count(), 1);
    }

    #[test]
    fn what_others_need_is_made_first_and_goes_last() {
        let mut plan = Plan::default();
        for kind in [Kind::Enrollment, Kind::Certificate, Kind::Group] {
            plan.prune(kind, &[], [live("old", json!({}))], |_| false);
            plan.want(kind, &[entry("new", json!({}))], &BTreeMap::new());
        }
        plan.sort();
        let order: Vec<_> = plan.steps.iter().map(|step| (step.deletes(), step.kind)).collect();
        assert_eq!(
            order,
            [
                (false, Kind::Certificate),
                (false, Kind::Group),
                (false, Kind::Enrollment),
                (true, Kind::Enrollment),
                (true, Kind::Group),
                (true, Kind::Certificate),
            ]
        );
    }

    #[test]
    fn a_certificate_that_was_verified_stays_so() {
        let of = |verified: bool| members(json!({"certificate": "x", "verified": verified}));
        let there = Live { id: "root".to_owned(), etag: None, members: of(true) };
        let wanted = Entry { at: String::new(), id: "root".to_owned(), members: of(false) };
        let live = BTreeMap::from([("root".to_owned(), there)]);
        let mut plan = Plan::default();
        plan.want(Kind::Certificate, &[wanted], &live);
        assert!(plan.is_empty(), "{plan:?}");
    }
}
