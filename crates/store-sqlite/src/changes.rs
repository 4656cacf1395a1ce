//! What live sessions must hear of, and who did what.

use rusqlite::Connection;
use store::{AuditLine, Change, ChangeScope};

use crate::apply::Applying;
use crate::error::Fault;
use crate::sql;

pub(crate) fn after(connection: &Connection, seq: u64, limit: usize) -> Result<Vec<Change>, Fault> {
    let Ok(seq) = i64::try_from(seq) else {
        return Ok(Vec::new());
    };
    let mut statement = connection
        .prepare_cached("SELECT seq, scope FROM change WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
    let mut rows = statement.query((seq, i64::try_from(limit).unwrap_or(i64::MAX)))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Change { seq: sql::unsigned(row, 0)?, scope: sql::parsed(row, 1)? });
    }
    Ok(found)
}

/// Writes change rows; gives the number of the last, 0 where there is none.
pub(crate) fn write_changes(
    applying: &mut Applying<'_>,
    scopes: &[ChangeScope],
) -> Result<u64, Fault> {
    let mut last = 0;
    for scope in scopes {
        applying.counters.change_seq += 1;
        last = applying.counters.change_seq;
        sql::run(
            applying.connection,
            "INSERT INTO change (seq, scope) VALUES (?1, ?2)",
            (last, sql::document(scope)?),
        )?;
    }
    Ok(u64::try_from(last)?)
}

pub(crate) fn write_audit(applying: &mut Applying<'_>, lines: &[AuditLine]) -> Result<(), Fault> {
    for line in lines {
        applying.counters.audit_seq += 1;
        sql::run(
            applying.connection,
            "INSERT INTO audit (seq, line) VALUES (?1, ?2)",
            (applying.counters.audit_seq, sql::document(line)?),
        )?;
    }
    Ok(())
}
