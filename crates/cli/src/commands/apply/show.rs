//! A plan, as it is shown.

use serde_json::{Map, Value, json};

use super::plan::{Act, Change, Opens, Plan, Step};
use crate::output::printable;

/// Characters of a value in a line.
const VALUE_CHARS_MAX: usize = 60;

/// The lines of a plan.
pub(super) fn lines(dps: &str, plan: &Plan) -> Vec<String> {
    let mut lines = vec![format!("{dps}:")];
    for Step { kind, id, act } in &plan.steps {
        let named = format!("{} '{id}'", kind.noun());
        match act {
            Act::Create { .. } => lines.push(format!("  + {named}")),
            Act::Delete { .. } => lines.push(format!("  - {named}")),
            Act::Change { changes, opens, .. } => {
                lines.push(match opens {
                    Opens::Yes => format!("  ! {named} LETS DEVICES IN AGAIN that were disabled"),
                    Opens::No => format!("  ~ {named}"),
                });
                lines.extend(changes.iter().map(|change| match change {
                    Change::Shown { path, from, to } => {
                        format!("      {path}: {} -> {}", shown(from.as_ref()), shown(to.as_ref()))
                    }
                    Change::Secret { path } => format!("      {path}: changes (not shown)"),
                }));
            }
        }
    }
    lines.extend(plan.notes.iter().map(|note| format!("  note: {note}")));
    lines.extend(plan.faults.iter().map(|fault| format!("  fault: {fault}")));
    let Counts { create, change, delete } = counts(plan);
    lines.push(format!(
        "  {create} to create, {change} to change, {delete} to delete, {} as they are to be",
        plan.unchanged
    ));
    lines.iter().map(|line| printable(line)).collect()
}

/// The same for programs.
pub(super) fn json(dps: &str, plan: &Plan) -> Value {
    let step = |Step { kind, id, act }: &Step| {
        let (word, changes, opens) = match act {
            Act::Create { .. } => ("create", None, Opens::No),
            Act::Delete { .. } => ("delete", None, Opens::No),
            Act::Change { changes, opens, .. } => ("change", Some(changes), *opens),
        };
        let mut told = Map::from_iter([
            ("action".to_owned(), word.into()),
            ("kind".to_owned(), kind.noun().into()),
            ("id".to_owned(), id.as_str().into()),
        ]);
        if let Some(changes) = changes {
            let change = |change: &Change| match change {
                Change::Shown { path, from, to } => json!({"path": path, "from": from, "to": to}),
                Change::Secret { path } => json!({"path": path, "secret": true}),
            };
            told.insert("changes".to_owned(), changes.iter().map(change).collect());
            told.insert("enables".to_owned(), (opens == Opens::Yes).into());
        }
        Value::from(told)
    };
    let Counts { create, change, delete } = counts(plan);
    json!({
        "dps": dps,
        "steps": plan.steps.iter().map(step).collect::<Vec<_>>(),
        "notes": plan.notes,
        "faults": plan.faults,
        "create": create, "change": change, "delete": delete, "unchanged": plan.unchanged,
    })
}

/// How many steps of each sort there are.
pub(super) struct Counts {
    pub(super) create: usize,
    pub(super) change: usize,
    pub(super) delete: usize,
}

pub(super) fn counts(plan: &Plan) -> Counts {
    let mut counts = Counts { create: 0, change: 0, delete: 0 };
    for step in &plan.steps {
        match &step.act {
            Act::Create { .. } => counts.create += 1,
            Act::Change { .. } => counts.change += 1,
            Act::Delete { .. } => counts.delete += 1,
        }
    }
    counts
}

fn shown(value: Option<&Value>) -> String {
    let text = match value {
        None => return "(none)".to_owned(),
        Some(value) => value.to_string(),
    };
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text,
    }
}
