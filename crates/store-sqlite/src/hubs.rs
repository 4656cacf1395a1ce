//! Hubs.

use hub::instance::Hub;
use model::{HostName, Revision, ServiceName};
use provisioning::view::Versioned;
use rusqlite::Connection;

use crate::apply::Applying;
use crate::error::Fault;
use crate::sql;

pub(crate) fn all(connection: &Connection) -> Result<Vec<Versioned<Hub>>, Fault> {
    sql::many(connection, "SELECT revision, doc FROM hub ORDER BY name", [])
}

pub(crate) fn hub_revision(
    connection: &Connection,
    name: &ServiceName,
) -> Result<Option<Revision>, Fault> {
    sql::revision(connection, "SELECT revision FROM hub WHERE name = ?1", [name.as_str()])
}

/// The hub that answers to a host.
pub(crate) fn hub_of_host(
    connection: &Connection,
    host: &HostName,
) -> Result<Option<(ServiceName, Revision)>, Fault> {
    let sql = "SELECT revision, doc FROM hub WHERE host = ?1";
    let found: Option<Versioned<Hub>> = sql::one(connection, sql, [host.as_str()])?;
    Ok(found.map(|hub| (hub.value.name, hub.revision)))
}

pub(crate) fn write_hub(applying: &mut Applying<'_>, value: &Hub) -> Result<(), Fault> {
    let revision = applying.next_revision();
    sql::run(
        applying.connection,
        "INSERT INTO hub (name, host, revision, doc) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (name) DO UPDATE SET
             host = excluded.host, revision = excluded.revision, doc = excluded.doc",
        (value.name.as_str(), value.host.as_str(), revision, sql::document(value)?),
    )?;
    Ok(())
}

pub(crate) fn delete_hub(applying: &Applying<'_>, name: &ServiceName) -> Result<(), Fault> {
    sql::run(applying.connection, "DELETE FROM hub WHERE name = ?1", [name.as_str()])?;
    Ok(())
}
