//! Provisioning services with their groups and CA certificates: what all registrations share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use hub::instance::Hub;
use model::{CertificateName, EnrollmentGroupId, Revision, ServiceName};
use provisioning::enrollment::Group;
use provisioning::instance::{CaCertificate, Dps};
use provisioning::view::{InstanceView, Versioned};
use rusqlite::Connection;
use store::{Counted, Instances, StoreError};

use crate::apply::Applying;
use crate::error::Fault;
use crate::{Sqlite, hubs, sql};

/// Views of instances as they were read last, by name.
///
/// Bounded by the number of instances: one view each, and a deleted instance's is dropped when it
/// is asked for.
#[derive(Debug, Default)]
pub(crate) struct InstanceCache(Mutex<HashMap<ServiceName, Arc<InstanceView>>>);

impl InstanceCache {
    /// The instance as the snapshot of `connection` has it.
    pub(crate) fn load(
        &self,
        connection: &Connection,
        dps: &ServiceName,
    ) -> Result<Option<Arc<InstanceView>>, Fault> {
        let Some(generation) = generation(connection, dps)? else {
            self.lock().remove(dps);
            return Ok(None);
        };
        if let Some(cached) = self.lock().get(dps).filter(|view| view.generation == generation) {
            return Ok(Some(Arc::clone(cached)));
        }
        let Some(view) = read_view(connection, dps, generation)? else {
            return Ok(None);
        };
        Ok(Some(self.keep(dps, Arc::new(view))))
    }

    /// Keeps a view unless a later one is there; gives the one that is of its generation.
    fn keep(&self, dps: &ServiceName, view: Arc<InstanceView>) -> Arc<InstanceView> {
        let mut cached = self.lock();
        match cached.get(dps) {
            Some(other) if other.generation == view.generation => Arc::clone(other),
            // Generations only grow: a reader of an older snapshot was slower.
            Some(other) if other.generation > view.generation => view,
            Some(_) | None => {
                cached.insert(dps.clone(), Arc::clone(&view));
                view
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ServiceName, Arc<InstanceView>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Instances for Sqlite {
    async fn all_dps(&self) -> Result<Vec<Versioned<Dps>>, StoreError> {
        self.read("the provisioning services", |snapshot| all(snapshot.connection)).await
    }

    async fn all_hubs(&self) -> Result<Vec<Versioned<Hub>>, StoreError> {
        self.read("the hubs", |snapshot| hubs::all(snapshot.connection)).await
    }

    async fn instance(&self, dps: &ServiceName) -> Result<Option<Arc<InstanceView>>, StoreError> {
        let dps = dps.clone();
        self.read_few("a provisioning service", move |snapshot| {
            snapshot.instances.load(snapshot.connection, &dps)
        })
        .await
    }
}

pub(crate) fn all(connection: &Connection) -> Result<Vec<Versioned<Dps>>, Fault> {
    sql::many(connection, "SELECT generation, doc FROM dps ORDER BY name", [])
}

fn read_view(
    connection: &Connection,
    dps: &ServiceName,
    generation: Revision,
) -> Result<Option<InstanceView>, Fault> {
    let found =
        sql::one(connection, "SELECT generation, doc FROM dps WHERE name = ?1", [dps.as_str()])?;
    let Some(Versioned { value, .. }) = found else {
        return Ok(None);
    };
    let groups = sql::many(
        connection,
        "SELECT revision, doc FROM enrollment_group WHERE dps = ?1 ORDER BY created, key",
        [dps.as_str()],
    )?;
    let ca_certificates = sql::many(
        connection,
        "SELECT revision, doc FROM ca_certificate WHERE dps = ?1 ORDER BY created, key",
        [dps.as_str()],
    )?;
    Ok(Some(InstanceView { dps: value, groups, ca_certificates, generation }))
}

pub(crate) fn group(
    connection: &Connection,
    dps: &ServiceName,
    id: &EnrollmentGroupId,
) -> Result<Option<Versioned<Group>>, Fault> {
    sql::one(
        connection,
        "SELECT revision, doc FROM enrollment_group WHERE dps = ?1 AND key = ?2",
        (dps.as_str(), id.key()),
    )
}

pub(crate) fn generation(
    connection: &Connection,
    dps: &ServiceName,
) -> Result<Option<Revision>, Fault> {
    sql::revision(connection, "SELECT generation FROM dps WHERE name = ?1", [dps.as_str()])
}

/// How many of these an instance has; none where there is no such instance.
pub(crate) fn count(connection: &Connection, dps: &ServiceName, of: Counted) -> Result<u64, Fault> {
    let sql = match of {
        Counted::Individuals => "SELECT individuals FROM tally WHERE dps = ?1",
        Counted::Registrations => "SELECT registrations_counted FROM tally WHERE dps = ?1",
    };
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([dps.as_str()])?;
    rows.next()?.map_or(Ok(0), |row| sql::unsigned(row, 0))
}

/// How many registrations an instance has that count, and how many of it were ever deleted.
pub(crate) fn registration_tally(
    connection: &Connection,
    dps: &ServiceName,
) -> Result<(u64, u64), Fault> {
    let sql = "SELECT registrations_counted, registrations_deleted FROM tally WHERE dps = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([dps.as_str()])?;
    rows.next()?.map_or(Ok((0, 0)), |row| Ok((sql::unsigned(row, 0)?, sql::unsigned(row, 1)?)))
}

pub(crate) fn group_revision(
    connection: &Connection,
    dps: &ServiceName,
    id: &EnrollmentGroupId,
) -> Result<Option<Revision>, Fault> {
    sql::revision(
        connection,
        "SELECT revision FROM enrollment_group WHERE dps = ?1 AND key = ?2",
        (dps.as_str(), id.key()),
    )
}

pub(crate) fn ca_certificate_revision(
    connection: &Connection,
    dps: &ServiceName,
    name: &CertificateName,
) -> Result<Option<Revision>, Fault> {
    sql::revision(
        connection,
        "SELECT revision FROM ca_certificate WHERE dps = ?1 AND key = ?2",
        (dps.as_str(), name.key()),
    )
}

pub(crate) fn write_dps(applying: &mut Applying<'_>, value: &Dps) -> Result<(), Fault> {
    let generation = applying.next_revision();
    sql::run(
        applying.connection,
        "INSERT INTO dps (name, generation, doc) VALUES (?1, ?2, ?3)
         ON CONFLICT (name) DO UPDATE SET generation = excluded.generation, doc = excluded.doc",
        (value.name.as_str(), generation, sql::document(value)?),
    )?;
    Ok(())
}

pub(crate) fn delete_dps(applying: &Applying<'_>, name: &ServiceName) -> Result<(), Fault> {
    sql::run(applying.connection, "DELETE FROM dps WHERE name = ?1", [name.as_str()])?;
    Ok(())
}

pub(crate) fn write_group(
    applying: &mut Applying<'_>,
    dps: &ServiceName,
    value: &Group,
) -> Result<(), Fault> {
    let revision = applying.next_revision();
    let created = value.stamp.created.unix_ticks();
    sql::run(
        applying.connection,
        "INSERT INTO enrollment_group (dps, key, created, revision, doc)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (dps, key) DO UPDATE SET
             created = excluded.created, revision = excluded.revision, doc = excluded.doc",
        (dps.as_str(), value.id.key(), created, revision, sql::document(value)?),
    )?;
    renew_generation(applying, dps)
}

pub(crate) fn delete_group(
    applying: &mut Applying<'_>,
    dps: &ServiceName,
    id: &EnrollmentGroupId,
) -> Result<(), Fault> {
    let deleted = sql::run(
        applying.connection,
        "DELETE FROM enrollment_group WHERE dps = ?1 AND key = ?2",
        (dps.as_str(), id.key()),
    )?;
    if deleted > 0 { renew_generation(applying, dps) } else { Ok(()) }
}

pub(crate) fn write_ca_certificate(
    applying: &mut Applying<'_>,
    dps: &ServiceName,
    value: &CaCertificate,
) -> Result<(), Fault> {
    let revision = applying.next_revision();
    let created = value.created.unix_ticks();
    sql::run(
        applying.connection,
        "INSERT INTO ca_certificate (dps, key, created, revision, doc)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (dps, key) DO UPDATE SET
             created = excluded.created, revision = excluded.revision, doc = excluded.doc",
        (dps.as_str(), value.name.key(), created, revision, sql::document(value)?),
    )?;
    renew_generation(applying, dps)
}

pub(crate) fn delete_ca_certificate(
    applying: &mut Applying<'_>,
    dps: &ServiceName,
    name: &CertificateName,
) -> Result<(), Fault> {
    let deleted = sql::run(
        applying.connection,
        "DELETE FROM ca_certificate WHERE dps = ?1 AND key = ?2",
        (dps.as_str(), name.key()),
    )?;
    if deleted > 0 { renew_generation(applying, dps) } else { Ok(()) }
}

fn renew_generation(applying: &mut Applying<'_>, dps: &ServiceName) -> Result<(), Fault> {
    let generation = applying.next_revision();
    sql::run(
        applying.connection,
        "UPDATE dps SET generation = ?2 WHERE name = ?1",
        (dps.as_str(), generation),
    )?;
    Ok(())
}
