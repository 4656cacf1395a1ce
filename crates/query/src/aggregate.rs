//! Figures over many rows.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

use crate::QueryError;
use crate::evaluate::find;
use crate::syntax::{Function, Path, Query, Select, What};

/// Groups of one answer. Source: ours; bounds memory.
pub const GROUPS_MAX: usize = 10_000;

/// Figures in the making: rows go in one by one, the answer comes out at the end.
#[derive(Debug)]
pub struct Aggregation<'q> {
    query: &'q Query,
    /// By the JSON text of the values that are grouped by, so in their order.
    groups: BTreeMap<String, Group>,
}

#[derive(Debug, Default)]
struct Group {
    /// The columns that are grouped by, by position.
    keys: BTreeMap<usize, (String, Value)>,
    /// The figures, by position.
    figures: BTreeMap<usize, Figure>,
}

#[derive(Debug, Default)]
struct Figure {
    rows: u64,
    numbers: u64,
    whole: i128,
    fractions: f64,
    has_fractions: bool,
    least: Option<Number>,
    greatest: Option<Number>,
}

impl<'q> Aggregation<'q> {
    /// Of no rows yet. A query without groups has an answer even then.
    pub fn new(query: &'q Query) -> Self {
        let mut groups = BTreeMap::new();
        if query.group_by.is_empty() {
            groups.insert(String::new(), Group::default());
        }
        Self { query, groups }
    }

    /// Takes a row in, if the query means it.
    ///
    /// # Errors
    /// [`QueryError::TooManyGroups`].
    pub fn add(&mut self, row: &Value) -> Result<(), QueryError> {
        let Select::Items(items) = &self.query.select else { return Ok(()) };
        if !self.query.keeps(row) {
            return Ok(());
        }
        let key: Vec<_> = self.query.group_by.iter().map(|path| find(row, path)).collect();
        let key = match key.is_empty() {
            true => String::new(),
            false => format!("{:?}", key.iter().map(|at| at.map(|(_, v)| v)).collect::<Vec<_>>()),
        };
        if !self.groups.contains_key(&key) && self.groups.len() >= GROUPS_MAX {
            return Err(QueryError::TooManyGroups { groups_max: GROUPS_MAX });
        }
        let group = self.groups.entry(key).or_default();
        for (position, item) in items.iter().enumerate() {
            match &item.what {
                What::Path(path) => {
                    if let Some((name, value)) = find(row, path) {
                        let name = item.alias.as_deref().unwrap_or(name).to_owned();
                        group.keys.entry(position).or_insert_with(|| (name, value.clone()));
                    }
                }
                What::Aggregate(_, path) => {
                    group.figures.entry(position).or_default().add(row, path.as_ref());
                }
            }
        }
        Ok(())
    }

    /// Takes in a number of rows that were counted elsewhere, for [`Query::counts_all`].
    pub fn add_counted(&mut self, rows: u64) {
        for group in self.groups.values_mut() {
            group.figures.entry(0).or_default().rows += rows;
        }
    }

    /// The answer: one row a group. A figure that has no name is called by its position, `$1` the
    /// first of them; one that has no numbers is left out.
    pub fn finish(self) -> Vec<Map<String, Value>> {
        let Select::Items(items) = &self.query.select else { return Vec::new() };
        let mut answer = Vec::with_capacity(self.groups.len());
        for mut group in self.groups.into_values() {
            let mut row: Map<String, Value> =
                std::mem::take(&mut group.keys).into_values().collect();
            let mut unnamed = 0;
            for (position, item) in items.iter().enumerate() {
                let What::Aggregate(function, _) = &item.what else { continue };
                let name = item.alias.clone().unwrap_or_else(|| {
                    unnamed += 1;
                    format!("${unnamed}")
                });
                let figure = group.figures.remove(&position).unwrap_or_default();
                if let Some(value) = figure.value(*function) {
                    row.insert(name, value);
                }
            }
            answer.push(row);
        }
        answer
    }
}

impl Figure {
    fn add(&mut self, row: &Value, path: Option<&Path>) {
        let Some(path) = path else {
            self.rows += 1;
            return;
        };
        let Some((_, value)) = find(row, path) else { return };
        self.rows += 1;
        let Value::Number(number) = value else { return };
        self.numbers += 1;
        match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => self.whole += i128::from(whole),
            (None, fraction) => {
                self.has_fractions = true;
                self.fractions += fraction.unwrap_or_default();
            }
        }
        let value = |number: &Number| number.as_f64().unwrap_or_default();
        if self.least.as_ref().is_none_or(|least| value(number) < value(least)) {
            self.least = Some(number.clone());
        }
        if self.greatest.as_ref().is_none_or(|greatest| value(number) > value(greatest)) {
            self.greatest = Some(number.clone());
        }
    }

    /// The sum of all numbers, rounded to what a float holds.
    #[expect(clippy::cast_precision_loss, reason = "a mean and a mixed sum are floats")]
    fn sum(&self) -> f64 {
        self.fractions + self.whole as f64
    }

    fn value(self, function: Function) -> Option<Value> {
        let some = self.numbers > 0;
        match function {
            Function::Count => Some(Value::from(self.rows)),
            Function::Sum => match (self.has_fractions, i64::try_from(self.whole)) {
                (false, Ok(whole)) => some.then(|| Value::from(whole)),
                (_, _) => Some(Value::from(self.sum())),
            },
            #[expect(clippy::cast_precision_loss, reason = "a count of rows is small")]
            Function::Avg => some.then(|| Value::from(self.sum() / self.numbers as f64)),
            Function::Min => self.least.map(Value::Number),
            Function::Max => self.greatest.map(Value::Number),
        }
    }
}
