//! Event subscriptions and the events on their way to them.

use ::events::{Delivery, Queued, Subscription};
use model::{Revision, SubscriptionName};
use provisioning::view::Versioned;
use rusqlite::{Connection, Rows};
use store::{Deliveries, DeliveryCount};

use crate::apply::Applying;
use crate::error::Fault;
use crate::sql;

pub(crate) fn subscriptions(
    connection: &Connection,
) -> Result<Vec<Versioned<Subscription>>, Fault> {
    sql::many(connection, "SELECT revision, doc FROM event_subscription ORDER BY name", [])
}

pub(crate) fn subscription_revision(
    connection: &Connection,
    name: &SubscriptionName,
) -> Result<Option<Revision>, Fault> {
    let sql = "SELECT revision FROM event_subscription WHERE name = ?1";
    sql::revision(connection, sql, [name.as_str()])
}

pub(crate) fn write_subscription(
    applying: &mut Applying<'_>,
    value: &Subscription,
) -> Result<(), Fault> {
    let revision = applying.next_revision();
    sql::run(
        applying.connection,
        "INSERT INTO event_subscription (name, revision, doc) VALUES (?1, ?2, ?3)
         ON CONFLICT (name) DO UPDATE SET revision = excluded.revision, doc = excluded.doc",
        (value.name.as_str(), revision, sql::document(value)?),
    )?;
    Ok(())
}

pub(crate) fn delete_subscription(
    applying: &Applying<'_>,
    name: &SubscriptionName,
) -> Result<(), Fault> {
    let sql = "DELETE FROM event_subscription WHERE name = ?1";
    sql::run(applying.connection, sql, [name.as_str()])?;
    Ok(())
}

/// What is queued behind a number.
pub(crate) fn deliveries(
    connection: &Connection,
    subscription: &SubscriptionName,
    which: Deliveries,
    after: u64,
    limit: usize,
) -> Result<Vec<Queued>, Fault> {
    let Ok(after) = i64::try_from(after) else {
        return Ok(Vec::new());
    };
    let mut statement = connection.prepare_cached(
        "SELECT number, doc FROM event_delivery
         WHERE subscription = ?1 AND dead = ?2 AND number > ?3 ORDER BY number LIMIT ?4",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let dead = matches!(which, Deliveries::Dead);
    queued(statement.query((subscription.as_str(), dead, after, limit))?)
}

/// Of each subject the first that waits.
pub(crate) fn first_deliveries(
    connection: &Connection,
    subscription: &SubscriptionName,
    limit: usize,
) -> Result<Vec<Queued>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT number, doc FROM event_delivery
         WHERE subscription = ?1 AND is_first = 1 ORDER BY due, number LIMIT ?2",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    queued(statement.query((subscription.as_str(), limit))?)
}

fn queued(mut rows: Rows<'_>) -> Result<Vec<Queued>, Fault> {
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Queued { number: sql::unsigned(row, 0)?, delivery: sql::parsed(row, 1)? });
    }
    Ok(found)
}

pub(crate) fn delivery_count(
    connection: &Connection,
    subscription: &SubscriptionName,
) -> Result<DeliveryCount, Fault> {
    let count = |dead: bool| {
        let mut statement = connection.prepare_cached(
            "SELECT count(*) FROM event_delivery WHERE subscription = ?1 AND dead = ?2",
        )?;
        let count: i64 = statement.query_row((subscription.as_str(), dead), |row| row.get(0))?;
        Ok::<_, Fault>(u64::try_from(count)?)
    };
    Ok(DeliveryCount { waiting: count(false)?, dead: count(true)? })
}

pub(crate) fn write_delivery(applying: &mut Applying<'_>, value: &Delivery) -> Result<(), Fault> {
    let number = applying.next_revision();
    sql::run(
        applying.connection,
        "INSERT INTO event_delivery (number, subscription, dead, doc)
         SELECT ?1, name, ?3, ?4 FROM event_subscription WHERE name = ?2",
        (number, value.subscription.as_str(), value.dead.is_some(), sql::document(value)?),
    )?;
    Ok(())
}

pub(crate) fn rewrite_delivery(
    applying: &Applying<'_>,
    number: u64,
    value: &Delivery,
) -> Result<(), Fault> {
    sql::run(
        applying.connection,
        "UPDATE event_delivery SET dead = ?2, doc = ?3 WHERE number = ?1",
        (i64::try_from(number)?, value.dead.is_some(), sql::document(value)?),
    )?;
    Ok(())
}

pub(crate) fn delete_delivery(applying: &Applying<'_>, number: u64) -> Result<(), Fault> {
    let sql = "DELETE FROM event_delivery WHERE number = ?1";
    sql::run(applying.connection, sql, [i64::try_from(number)?])?;
    Ok(())
}
