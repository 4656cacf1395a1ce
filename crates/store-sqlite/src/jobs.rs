//! Jobs on hubs that live elsewhere.

use async_trait::async_trait;
use model::{RegistrationId, Revision, ServiceName};
use provisioning::remote::{Job, job_key};
use provisioning::view::Versioned;
use rusqlite::Connection;
use store::{Jobs, Page, StoreError};

use crate::apply::Applying;
use crate::error::Fault;
use crate::{Sqlite, sql};

#[async_trait]
impl Jobs for Sqlite {
    async fn job(
        &self,
        dps: &ServiceName,
        id: &RegistrationId,
    ) -> Result<Option<Versioned<Job>>, StoreError> {
        let key = job_key(dps, id);
        self.read_few("a job", move |snapshot| {
            sql::one(snapshot.connection, "SELECT revision, doc FROM job WHERE key = ?1", [key])
        })
        .await
    }

    async fn jobs(
        &self,
        dps: Option<&ServiceName>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Job>, StoreError> {
        // `0` follows the slash, and what follows it comes after every name.
        let (first, end) = match dps {
            Some(dps) => (format!("{dps}/"), format!("{dps}0")),
            None => (String::new(), "\u{10FFFF}".to_owned()),
        };
        let after = after.map_or(first, str::to_owned);
        self.read("jobs", move |snapshot| {
            sql::page(
                snapshot.connection,
                "SELECT revision, doc, key FROM job WHERE key > ?1 AND key < ?2
                 ORDER BY key LIMIT ?3",
                (after, end, sql::one_more_than(limit)),
                limit,
            )
        })
        .await
    }
}

pub(crate) fn job_revision(
    connection: &Connection,
    dps: &ServiceName,
    id: &RegistrationId,
) -> Result<Option<Revision>, Fault> {
    sql::revision(connection, "SELECT revision FROM job WHERE key = ?1", [job_key(dps, id)])
}

pub(crate) fn write_job(applying: &mut Applying<'_>, value: &Job) -> Result<(), Fault> {
    let revision = applying.next_revision();
    sql::run(
        applying.connection,
        "INSERT INTO job (key, revision, doc) VALUES (?1, ?2, ?3)
         ON CONFLICT (key) DO UPDATE SET revision = excluded.revision, doc = excluded.doc",
        (value.key(), revision, sql::document(value)?),
    )?;
    Ok(())
}

pub(crate) fn delete_job(
    applying: &Applying<'_>,
    dps: &ServiceName,
    id: &RegistrationId,
) -> Result<(), Fault> {
    sql::run(applying.connection, "DELETE FROM job WHERE key = ?1", [job_key(dps, id)])?;
    Ok(())
}
