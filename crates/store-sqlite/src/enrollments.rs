//! Individual enrollments, and the index of the certificates that they hold.

use async_trait::async_trait;
use model::{EnrollmentGroupId, RegistrationId, Revision, ServiceName, Sha256};
use provisioning::draft::claims_of;
use provisioning::enrollment::{Group, Individual};
use provisioning::view::Versioned;
use rusqlite::Connection;
use store::{Counted, Enrollments, IndividualView, StoreError, Views};

use crate::apply::Applying;
use crate::error::Fault;
use crate::{Sqlite, instances, sql};

#[async_trait]
impl Enrollments for Sqlite {
    async fn individual(
        &self,
        dps: &ServiceName,
        id: &RegistrationId,
    ) -> Result<Option<Versioned<Individual>>, StoreError> {
        let (dps, id) = (dps.clone(), id.clone());
        self.read_few("an individual enrollment", move |snapshot| {
            individual(snapshot.connection, &dps, &id)
        })
        .await
    }

    async fn individuals_by_leaf(
        &self,
        dps: &ServiceName,
        leaf: &Sha256,
    ) -> Result<Vec<Versioned<Individual>>, StoreError> {
        let (dps, leaf) = (dps.clone(), *leaf);
        self.read("individual enrollments by certificate", move |snapshot| {
            by_leaf(snapshot.connection, &dps, &leaf)
        })
        .await
    }

    async fn individuals_of(
        &self,
        dps: &ServiceName,
        ids: &[RegistrationId],
    ) -> Result<Vec<Option<Versioned<Individual>>>, StoreError> {
        let (dps, ids) = (dps.clone(), ids.to_vec());
        self.read("individual enrollments by id", move |snapshot| {
            ids.iter().map(|id| individual(snapshot.connection, &dps, id)).collect()
        })
        .await
    }

    async fn individuals_by_leaves(
        &self,
        dps: &ServiceName,
        leaves: &[Sha256],
    ) -> Result<Vec<Vec<Versioned<Individual>>>, StoreError> {
        let (dps, leaves) = (dps.clone(), leaves.to_vec());
        self.read("individual enrollments by certificates", move |snapshot| {
            leaves.iter().map(|leaf| by_leaf(snapshot.connection, &dps, leaf)).collect()
        })
        .await
    }

    async fn individual_views(
        &self,
        dps: &ServiceName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Views<IndividualView>, StoreError> {
        let (dps, after) = (dps.clone(), after.unwrap_or_default().to_owned());
        self.read("a page of individual enrollments with their records", move |snapshot| {
            sql::views(
                snapshot.connection,
                "SELECT individual.revision, individual.doc, individual.key,
                        registration.revision, registration.doc
                 FROM individual LEFT JOIN registration USING (dps, key)
                 WHERE individual.dps = ?1 AND individual.key > ?2
                 ORDER BY individual.key LIMIT ?3",
                (dps.as_str(), after, sql::one_more_than(limit)),
                limit,
                |row| {
                    let registration = match row.get::<_, Option<i64>>(3)? {
                        Some(_) => Some(sql::versioned_at(row, 3)?),
                        None => None,
                    };
                    Ok(IndividualView { individual: sql::versioned(row)?, registration })
                },
            )
        })
        .await
    }

    async fn individual_count(&self, dps: &ServiceName) -> Result<u64, StoreError> {
        let dps = dps.clone();
        self.read("the number of individual enrollments", move |snapshot| {
            instances::count(snapshot.connection, &dps, Counted::Individuals)
        })
        .await
    }

    async fn group(
        &self,
        dps: &ServiceName,
        id: &EnrollmentGroupId,
    ) -> Result<Option<Versioned<Group>>, StoreError> {
        let (dps, id) = (dps.clone(), id.clone());
        self.read_few("an enrollment group", move |snapshot| {
            instances::group(snapshot.connection, &dps, &id)
        })
        .await
    }
}

pub(crate) fn individual(
    connection: &Connection,
    dps: &ServiceName,
    id: &RegistrationId,
) -> Result<Option<Versioned<Individual>>, Fault> {
    sql::one(
        connection,
        "SELECT revision, doc FROM individual WHERE dps = ?1 AND key = ?2",
        (dps.as_str(), id.key()),
    )
}

pub(crate) fn by_leaf(
    connection: &Connection,
    dps: &ServiceName,
    leaf: &Sha256,
) -> Result<Vec<Versioned<Individual>>, Fault> {
    sql::many(
        connection,
        "SELECT individual.revision, individual.doc
         FROM individual_leaf JOIN individual USING (dps, key)
         WHERE individual_leaf.dps = ?1 AND individual_leaf.content = ?2
         ORDER BY individual.created, individual.key",
        (dps.as_str(), leaf.0),
    )
}

pub(crate) fn individual_revision(
    connection: &Connection,
    dps: &ServiceName,
    id: &RegistrationId,
) -> Result<Option<Revision>, Fault> {
    sql::revision(
        connection,
        "SELECT revision FROM individual WHERE dps = ?1 AND key = ?2",
        (dps.as_str(), id.key()),
    )
}

const LEAF_REVISIONS: &str = "SELECT individual.revision
     FROM individual_leaf JOIN individual USING (dps, key)
     WHERE individual_leaf.dps = ?1 AND individual_leaf.content = ?2
     ORDER BY individual.created, individual.key";

pub(crate) fn leaf_revisions(
    connection: &Connection,
    dps: &ServiceName,
    leaf: &Sha256,
) -> Result<Vec<Revision>, Fault> {
    let mut statement = connection.prepare_cached(LEAF_REVISIONS)?;
    let mut rows = statement.query((dps.as_str(), leaf.0))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Revision(sql::unsigned(row, 0)?));
    }
    Ok(found)
}

pub(crate) fn write_individual(
    applying: &mut Applying<'_>,
    dps: &ServiceName,
    value: &Individual,
) -> Result<(), Fault> {
    let revision = applying.next_revision();
    let connection = applying.connection;
    let key = value.registration_id.key();
    sql::run(
        connection,
        "INSERT INTO individual (dps, key, created, revision, doc) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (dps, key) DO UPDATE SET
             created = excluded.created, revision = excluded.revision, doc = excluded.doc",
        (dps.as_str(), key, value.stamp.created.unix_ticks(), revision, sql::document(value)?),
    )?;
    sql::run(
        connection,
        "DELETE FROM individual_leaf WHERE dps = ?1 AND key = ?2",
        (dps.as_str(), key),
    )?;
    for claim in claims_of(value) {
        // Both slots may hold the same certificate.
        sql::run(
            connection,
            "INSERT INTO individual_leaf (dps, content, key) VALUES (?1, ?2, ?3)
             ON CONFLICT DO NOTHING",
            (dps.as_str(), claim.0, key),
        )?;
    }
    Ok(())
}

pub(crate) fn delete_individual(
    applying: &Applying<'_>,
    dps: &ServiceName,
    id: &RegistrationId,
) -> Result<(), Fault> {
    sql::run(
        applying.connection,
        "DELETE FROM individual WHERE dps = ?1 AND key = ?2",
        (dps.as_str(), id.key()),
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;
    use crate::Options;

    #[test]
    fn the_look_up_by_certificate_is_planned_once() {
        let name = format!("store-enrollments-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("control.db");
        drop(Sqlite::open(&path, Options::default()).unwrap());
        let connection = crate::connection::reader(&path).unwrap();
        let dps = ServiceName::parse("dps").unwrap();
        for leaf in 0..3 {
            assert_eq!(leaf_revisions(&connection, &dps, &Sha256([leaf; 32])).unwrap(), []);
        }
        let statement = connection.prepare_cached(LEAF_REVISIONS).unwrap();
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
        drop(statement);
        drop(connection);
        std::fs::remove_dir_all(directory).unwrap();
    }
}
