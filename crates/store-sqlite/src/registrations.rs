//! Registration records, their owners, and all that a registration is decided by.

use std::sync::Arc;

use async_trait::async_trait;
use model::{EnrollmentGroupId, RegistrationId, Revision, ServiceName, Sha256};
use provisioning::enrollment::{EntryId, EntryRef};
use provisioning::registration::Registration;
use provisioning::view::{RegistrationView, Versioned};
use rusqlite::Connection;
use store::{Counted, Orphaned, Page, RefusedBound, Registrations, StoreError, Views};

use crate::apply::Applying;
use crate::error::Fault;
use crate::readers::Snapshot;
use crate::records::Written;
use crate::{Sqlite, enrollments, instances, sql};

#[async_trait]
impl Registrations for Sqlite {
    async fn registration_view(
        &self,
        dps: &ServiceName,
        id: &RegistrationId,
        leaf: Option<&Sha256>,
    ) -> Result<Option<RegistrationView>, StoreError> {
        let (dps, id, leaf) = (dps.clone(), id.clone(), leaf.copied());
        self.read_few("what a registration is decided by", move |snapshot| {
            view(snapshot, &dps, &id, leaf.as_ref())
        })
        .await
    }

    async fn registration_count(&self, dps: &ServiceName) -> Result<u64, StoreError> {
        let dps = dps.clone();
        self.read("the number of registration records", move |snapshot| {
            instances::count(snapshot.connection, &dps, Counted::Registrations)
        })
        .await
    }

    async fn registration(
        &self,
        dps: &ServiceName,
        id: &RegistrationId,
    ) -> Result<Option<Versioned<Registration>>, StoreError> {
        let (dps, id) = (dps.clone(), id.clone());
        self.read_few("a registration record", move |snapshot| registration(snapshot, &dps, &id))
            .await
    }

    async fn registrations_of_group(
        &self,
        dps: &ServiceName,
        group: &EnrollmentGroupId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Registration>, StoreError> {
        let (dps, group) = (dps.clone(), group.clone());
        let after = after.unwrap_or_default().to_owned();
        self.read("the records of a group", move |snapshot| {
            sql::page(
                snapshot.connection,
                "SELECT revision, doc, key FROM registration
                 WHERE dps = ?1 AND owner_kind = 1 AND owner_key = ?2 AND key > ?3
                 ORDER BY key LIMIT ?4",
                (dps.as_str(), group.key(), after, sql::one_more_than(limit)),
                limit,
            )
        })
        .await
    }

    async fn registration_count_of_group(
        &self,
        dps: &ServiceName,
        group: &EnrollmentGroupId,
    ) -> Result<u64, StoreError> {
        let (dps, group) = (dps.clone(), group.clone());
        self.read("the number of a group's records", move |snapshot| {
            count_of_group(snapshot.connection, &dps, group.key())
        })
        .await
    }

    async fn orphaned(
        &self,
        dps: &ServiceName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Views<Orphaned>, StoreError> {
        let dps = dps.clone();
        let after = after.unwrap_or_default().to_owned();
        self.read("what deleted groups left behind", move |snapshot| {
            orphaned(snapshot.connection, &dps, after, limit)
        })
        .await
    }
}

fn count_of_group(connection: &Connection, dps: &ServiceName, group: &str) -> Result<u64, Fault> {
    let sql = "SELECT count(*) FROM registration
               WHERE dps = ?1 AND owner_kind = 1 AND owner_key = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query((dps.as_str(), group))?;
    rows.next()?.map_or(Ok(0), |row| sql::unsigned(row, 0))
}

/// Goes from owner to owner by the index, one step for each: owners are few, records are not.
fn orphaned(
    connection: &Connection,
    dps: &ServiceName,
    after: String,
    limit: usize,
) -> Result<Views<Orphaned>, Fault> {
    let mut views = Vec::new();
    let (mut last, mut at) = (None, after);
    while let Some((key, record)) = next_owner(connection, dps, &at)? {
        at = key;
        let EntryId::Group(group) = record.owner.id else { continue };
        if instances::group_revision(connection, dps, &group)?.is_some() {
            continue;
        }
        if views.len() == limit {
            return Ok(Views { views, next: last });
        }
        let registrations = count_of_group(connection, dps, &at)?;
        views.push(Orphaned { group, registrations });
        last = Some(at.clone());
    }
    Ok(Views { views, next: None })
}

/// The next group's id that owns records, with the first of them.
fn next_owner(
    connection: &Connection,
    dps: &ServiceName,
    after: &str,
) -> Result<Option<(String, Registration)>, Fault> {
    let sql = "SELECT owner_key, doc FROM registration
               WHERE dps = ?1 AND owner_kind = 1 AND owner_key > ?2
               ORDER BY owner_key, key LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query((dps.as_str(), after))?;
    rows.next()?.map(|row| Ok((row.get(0)?, sql::parsed(row, 1)?))).transpose()
}

fn view(
    snapshot: &Snapshot<'_>,
    dps: &ServiceName,
    id: &RegistrationId,
    leaf: Option<&Sha256>,
) -> Result<Option<RegistrationView>, Fault> {
    let connection = snapshot.connection;
    let Some(instance) = snapshot.instances.load(connection, dps)? else {
        return Ok(None);
    };
    let individuals_by_leaf = match leaf {
        Some(leaf) => enrollments::by_leaf(connection, dps, leaf)?,
        None => Vec::new(),
    };
    let (registrations_counted, registrations_deleted) =
        instances::registration_tally(connection, dps)?;
    Ok(Some(RegistrationView {
        instance,
        individual_by_id: enrollments::individual(connection, dps, id)?,
        individuals_by_leaf,
        registration: registration(snapshot, dps, id)?,
        registrations_counted,
        registrations_deleted,
    }))
}

fn registration(
    snapshot: &Snapshot<'_>,
    dps: &ServiceName,
    id: &RegistrationId,
) -> Result<Option<Versioned<Registration>>, Fault> {
    let mut statement = snapshot
        .connection
        .prepare_cached("SELECT revision, doc FROM registration WHERE dps = ?1 AND key = ?2")?;
    let mut rows = statement.query((dps.as_str(), id.key()))?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let revision = Revision(sql::unsigned(row, 0)?);
    let value = match snapshot.late_records.of(revision) {
        Some(known) => Registration::clone(&known),
        None => sql::parsed(row, 1)?,
    };
    Ok(Some(Versioned { revision, value }))
}

pub(crate) fn registration_revision(
    connection: &Connection,
    dps: &ServiceName,
    id: &RegistrationId,
) -> Result<Option<Revision>, Fault> {
    sql::revision(
        connection,
        "SELECT revision FROM registration WHERE dps = ?1 AND key = ?2",
        (dps.as_str(), id.key()),
    )
}

/// The columns that name the owner's id: kind and key.
fn owner_columns(owner: &EntryRef) -> (i64, &str) {
    match &owner.id {
        EntryId::Individual(id) => (0, id.key()),
        EntryId::Group(id) => (1, id.key()),
    }
}

pub(crate) fn write_registration(
    applying: &mut Applying<'_>,
    dps: &ServiceName,
    value: &Arc<Registration>,
) -> Result<(), Fault> {
    let revision = applying.next_revision();
    let document = sql::document(value)?;
    let bytes = document.len();
    let (owner_kind, owner_key) = owner_columns(&value.owner);
    sql::run(
        applying.connection,
        "INSERT INTO registration
             (dps, key, owner_kind, owner_key, owner_created, counts, updated, revision, doc)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (dps, key) DO UPDATE SET
             owner_kind = excluded.owner_kind, owner_key = excluded.owner_key,
             owner_created = excluded.owner_created, counts = excluded.counts,
             updated = excluded.updated, revision = excluded.revision, doc = excluded.doc",
        (
            dps.as_str(),
            value.registration_id.key(),
            owner_kind,
            owner_key,
            value.owner.created.unix_ticks(),
            value.counts(),
            value.updated.unix_ticks(),
            revision,
            document,
        ),
    )?;
    let revision = Revision(u64::try_from(revision)?);
    applying.written.push(Written { revision, record: Arc::clone(value), bytes });
    Ok(())
}

pub(crate) fn delete_registration(
    applying: &Applying<'_>,
    dps: &ServiceName,
    id: &RegistrationId,
) -> Result<(), Fault> {
    sql::run(
        applying.connection,
        "DELETE FROM registration WHERE dps = ?1 AND key = ?2",
        (dps.as_str(), id.key()),
    )?;
    Ok(())
}

pub(crate) fn delete_owned_by(
    applying: &Applying<'_>,
    dps: &ServiceName,
    owner: &EntryRef,
) -> Result<(), Fault> {
    let (kind, key) = owner_columns(owner);
    sql::run(
        applying.connection,
        "DELETE FROM registration
         WHERE dps = ?1 AND owner_kind = ?2 AND owner_key = ?3 AND owner_created = ?4",
        (dps.as_str(), kind, key, owner.created.unix_ticks()),
    )?;
    Ok(())
}

pub(crate) fn bound_refused(applying: &Applying<'_>, bound: &RefusedBound) -> Result<(), Fault> {
    let (kind, key) = owner_columns(&bound.owner);
    sql::run(
        applying.connection,
        "DELETE FROM registration WHERE rowid IN (
             SELECT rowid FROM registration
             WHERE dps = ?1 AND owner_kind = ?2 AND owner_key = ?3 AND owner_created = ?4
                 AND counts = 0
             ORDER BY updated DESC, key DESC LIMIT -1 OFFSET ?5)",
        (
            bound.dps.as_str(),
            kind,
            key,
            bound.owner.created.unix_ticks(),
            i64::try_from(bound.keep).unwrap_or(i64::MAX),
        ),
    )?;
    Ok(())
}
