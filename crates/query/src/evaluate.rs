//! A query, asked of one row.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use crate::syntax::{Comparison, Expression, Operand, Path, Query, Select, What};

/// Members whose content is the operator's or the device's: below them, case is kept. All other
/// names are the service's, and of either case.
///
/// Source: `iot-hub` §13.2, "paths case-insensitive for names of twin system fields".
const USER_SECTIONS: [&str; 5] =
    ["tags", "desired", "reported", "optionalDeviceInformation", "payload"];

impl Query {
    /// Whether the row is meant.
    pub fn keeps(&self, row: &Value) -> bool {
        self.filter.as_ref().is_none_or(|filter| holds(filter, row) == Some(true))
    }

    /// What is told of the row: its columns, without those that it does not have. None where the
    /// whole row is told, or figures over many.
    pub fn project(&self, row: &Value) -> Option<Map<String, Value>> {
        let Select::Items(items) = &self.select else { return None };
        let mut told = Map::new();
        for item in items {
            let What::Path(path) = &item.what else { return None };
            if let Some((name, value)) = find(row, path) {
                let name = item.alias.as_deref().unwrap_or(name);
                told.insert(name.to_owned(), value.clone());
            }
        }
        Some(told)
    }
}

/// The value at a path, with the name that the row has for it.
pub(crate) fn find<'v>(row: &'v Value, path: &Path) -> Option<(&'v str, &'v Value)> {
    let mut found = ("", row);
    let mut is_user = false;
    for name in &path.0 {
        let members = found.1.as_object()?;
        found = match members.get_key_value(name) {
            Some((key, value)) => (key, value),
            None if is_user => return None,
            None => {
                let (key, value) =
                    members.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
                (key, value)
            }
        };
        is_user = is_user || USER_SECTIONS.contains(&found.0);
    }
    Some(found)
}

/// Whether a condition holds; none where it compares what can not be compared.
fn holds(expression: &Expression, row: &Value) -> Option<bool> {
    match expression {
        Expression::And(all) => {
            let mut whole = Some(true);
            for one in all {
                match holds(one, row) {
                    Some(true) => {}
                    Some(false) => return Some(false),
                    None => whole = None,
                }
            }
            whole
        }
        Expression::Or(any) => {
            let mut whole = Some(false);
            for one in any {
                match holds(one, row) {
                    Some(true) => return Some(true),
                    Some(false) => {}
                    None => whole = None,
                }
            }
            whole
        }
        Expression::Not(one) => holds(one, row).map(|held| !held),
        Expression::Compare(left, comparison, right) => {
            compare(value(left, row)?, *comparison, value(right, row)?)
        }
        Expression::In(path, listed) => {
            let (_, value) = find(row, path)?;
            let equal = |one: &Value| compare(value, Comparison::Equal, one) == Some(true);
            Some(listed.iter().any(equal))
        }
        Expression::IsDefined(path) => Some(find(row, path).is_some()),
    }
}

fn value<'v>(operand: &'v Operand, row: &'v Value) -> Option<&'v Value> {
    match operand {
        Operand::Literal(value) => Some(value),
        Operand::Path(path) => find(row, path).map(|(_, value)| value),
    }
}

/// Compares two primitives of one type; any others do not compare.
fn compare(left: &Value, comparison: Comparison, right: &Value) -> Option<bool> {
    let order = match (left, right) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => left.cmp(&right),
            _ => left.as_f64()?.partial_cmp(&right.as_f64()?)?,
        },
        (_, _) => return None,
    };
    Some(match comparison {
        Comparison::Equal => order.is_eq(),
        Comparison::NotEqual => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::AtMost => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::AtLeast => order.is_ge(),
    })
}
