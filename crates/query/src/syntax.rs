//! What a query says.

use serde_json::Value;

/// A query, as parsed.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// Rows at the most, over all pages (`TOP`).
    pub top: Option<u64>,
    /// What is told of a row.
    pub select: Select,
    /// Which collection it names.
    pub from: Option<From>,
    /// Which rows are meant; all where there is none.
    pub filter: Option<Expression>,
    /// By which values the rows are grouped.
    pub group_by: Vec<Path>,
}

/// `FROM collection [[AS] alias]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct From {
    /// As spelled, such as `devices.modules`.
    pub collection: String,
    /// The name by which paths may call a row.
    pub alias: Option<String>,
}

/// What is told of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Select {
    /// The whole row.
    All,
    /// These columns, at least one.
    Items(Vec<Item>),
}

/// One column.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// What it holds.
    pub what: What,
    /// Its name, where one is given.
    pub alias: Option<String>,
}

/// What a column holds.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A value of the row.
    Path(Path),
    /// A figure over many rows; only a count needs no value.
    Aggregate(Function, Option<Path>),
}

/// A figure over many rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// How many rows, or how many that have the value.
    Count,
    /// The sum of the numbers.
    Sum,
    /// Their mean.
    Avg,
    /// The least of them.
    Min,
    /// The greatest of them.
    Max,
}

/// Names from the outermost member inward; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(pub Vec<String>);

/// What must hold of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// All of these; at least two.
    And(Vec<Self>),
    /// One of these; at least two.
    Or(Vec<Self>),
    /// Not this.
    Not(Box<Self>),
    /// Two values compare so.
    Compare(Operand, Comparison, Operand),
    /// A value is one of these literals.
    In(Path, Vec<Value>),
    /// The row has this value.
    IsDefined(Path),
}

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// A value of the row.
    Path(Path),
    /// A text, number, boolean or null.
    Literal(Value),
}

/// How two values compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=` or `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
}

impl Query {
    /// The query for everything.
    pub const fn all() -> Self {
        Self { top: None, select: Select::All, from: None, filter: None, group_by: Vec::new() }
    }

    /// Whether its answer is figures over many rows, and not rows.
    pub fn aggregates(&self) -> bool {
        let Select::Items(items) = &self.select else { return false };
        !self.group_by.is_empty()
            || items.iter().any(|item| matches!(item.what, What::Aggregate(_, _)))
    }

    /// Whether it asks for a mere count of all rows.
    pub fn counts_all(&self) -> bool {
        let one = match &self.select {
            Select::Items(items) => items.len() == 1,
            Select::All => false,
        };
        one && self.filter.is_none() && self.group_by.is_empty() && self.selects_count()
    }

    fn selects_count(&self) -> bool {
        let Select::Items(items) = &self.select else { return false };
        items.iter().all(|item| item.what == What::Aggregate(Function::Count, None))
    }

    /// The only values that a member of the row can have, where the query says so: then the rows
    /// can be looked up instead of being searched. `member` is matched without case.
    ///
    /// The rows that are found so must still be asked [`Query::keeps`].
    pub fn pinned(&self, member: &str) -> Option<Vec<&str>> {
        pinned(self.filter.as_ref()?, member)
    }
}

fn pinned<'q>(filter: &'q Expression, member: &str) -> Option<Vec<&'q str>> {
    let is_member = |path: &Path| match path.0.as_slice() {
        [only] => only.eq_ignore_ascii_case(member),
        _ => false,
    };
    match filter {
        Expression::And(all) => all.iter().find_map(|one| pinned(one, member)),
        Expression::Compare(Operand::Path(path), Comparison::Equal, Operand::Literal(value))
        | Expression::Compare(Operand::Literal(value), Comparison::Equal, Operand::Path(path)) => {
            // What is no text is no id: nothing is looked up, nothing is found.
            is_member(path).then(|| value.as_str().into_iter().collect())
        }
        Expression::In(path, values) => {
            is_member(path).then(|| values.iter().filter_map(Value::as_str).collect())
        }
        Expression::Compare(_, _, _)
        | Expression::Or(_)
        | Expression::Not(_)
        | Expression::IsDefined(_) => None,
    }
}
