//! What all aggregates share: rows that hold a revision and a document.

use model::Revision;
use provisioning::view::Versioned;
use rusqlite::{Connection, OptionalExtension, Params, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::{Page, Views};

use crate::error::Fault;

/// A count or revision as a column gives it.
pub(crate) fn unsigned(row: &Row<'_>, column: usize) -> Result<u64, Fault> {
    Ok(u64::try_from(row.get::<_, i64>(column)?)?)
}

/// The text of a document.
pub(crate) fn document<T: Serialize>(value: &T) -> Result<String, Fault> {
    Ok(serde_json::to_string(value)?)
}

/// The value of a document.
pub(crate) fn parsed<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<T, Fault> {
    let text = row.get_ref(column)?.as_str().map_err(rusqlite::Error::from)?;
    Ok(serde_json::from_str(text)?)
}

/// A row of which the first columns are revision and document.
pub(crate) fn versioned<T: DeserializeOwned>(row: &Row<'_>) -> Result<Versioned<T>, Fault> {
    versioned_at(row, 0)
}

/// A revision at a column and the document behind it.
pub(crate) fn versioned_at<T: DeserializeOwned>(
    row: &Row<'_>,
    column: usize,
) -> Result<Versioned<T>, Fault> {
    Ok(Versioned { revision: Revision(unsigned(row, column)?), value: parsed(row, column + 1)? })
}

/// At most one row.
pub(crate) fn one<T: DeserializeOwned>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<Option<Versioned<T>>, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(versioned).transpose()
}

/// All rows.
pub(crate) fn many<T: DeserializeOwned>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<Vec<Versioned<T>>, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(versioned(row)?);
    }
    Ok(found)
}

/// A page, of a statement that gives revision, document and key, and one row more than `limit`.
pub(crate) fn page<T: DeserializeOwned>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    limit: usize,
) -> Result<Page<T>, Fault> {
    let Views { views: rows, next } = views(connection, sql, params, limit, versioned)?;
    Ok(Page { rows, next })
}

/// A page of what `view` makes of a row, of a statement whose third column is the key and that
/// gives one row more than `limit`.
pub(crate) fn views<V>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    limit: usize,
    view: impl Fn(&Row<'_>) -> Result<V, Fault>,
) -> Result<Views<V>, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query(params)?;
    let mut views = Vec::new();
    let mut last = None;
    while let Some(row) = found.next()? {
        if views.len() == limit {
            return Ok(Views { views, next: last });
        }
        views.push(view(row)?);
        last = Some(row.get(2)?);
    }
    Ok(Views { views, next: None })
}

/// How many rows a statement must give so that [`page`] can tell whether more follow.
pub(crate) fn one_more_than(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

/// The revision of a row; none where there is no such row.
pub(crate) fn revision(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<Option<Revision>, Fault> {
    let found: Option<i64> =
        connection.prepare_cached(sql)?.query_row(params, |row| row.get(0)).optional()?;
    found.map(|number| Ok(Revision(u64::try_from(number)?))).transpose()
}

/// Runs a statement; gives how many rows it touched.
pub(crate) fn run(connection: &Connection, sql: &str, params: impl Params) -> Result<usize, Fault> {
    Ok(connection.prepare_cached(sql)?.execute(params)?)
}
