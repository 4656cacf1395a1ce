//! Registration records, as operators see and remove them.

use model::{IfMatch, RegistrationId, ServiceName, limits};
use provisioning::registration::Registration;
use store::{Commit, Condition, Write};

use crate::attempts::Attempt;
use crate::instances::demanded;
use crate::{ApiError, Call, Fault, Service};

impl Service {
    /// One record.
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub async fn registration(
        &self,
        dps: &ServiceName,
        id: &RegistrationId,
    ) -> Result<Registration, ApiError> {
        let row = self.store.registration(dps, id).await?.ok_or(ApiError::NotFound)?;
        Ok(row.value)
    }

    /// Deletes a record; the hub identity and the enrollment stay.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn delete_registration(
        &self,
        call: &Call,
        dps: &ServiceName,
        id: &RegistrationId,
        if_match: &IfMatch,
    ) -> Result<(), ApiError> {
        for _ in 0..=limits::COMMIT_RETRIES_MAX {
            let row = self.store.registration(dps, id).await?.ok_or(ApiError::NotFound)?;
            demanded(if_match, Some(&row.value.etag))?;
            let commit = Commit {
                conditions: vec![Condition::Registration {
                    dps: dps.clone(),
                    id: id.clone(),
                    at: Some(row.revision),
                }],
                writes: vec![Write::DeleteRegistration(dps.clone(), id.clone())],
                changes: Vec::new(),
                audit: vec![self.audit(call, "registration.delete", &format!("{dps}/{id}"))],
            };
            if self.apply(commit).await? {
                return Ok(());
            }
        }
        Err(ApiError::Fault(Fault::Contended))
    }

    /// Why attempts came out as they did: late ones by registration or tracking id, else what is
    /// kept with the records of this id; newest first.
    ///
    /// # Errors
    /// [`ApiError::Fault`].
    pub async fn explain(&self, id: &str) -> Result<Vec<Attempt>, ApiError> {
        let mut found = self.attempts().of(id);
        if !found.is_empty() {
            return Ok(found);
        }
        let Ok(id) = RegistrationId::parse(id) else { return Ok(found) };
        for dps in &self.directory().dps {
            if let Some(row) = self.store.registration(&dps.name, &id).await? {
                found.push(Attempt {
                    tracking_id: String::new(),
                    dps: dps.name.clone(),
                    protocol: String::new(),
                    explanation: row.value.explanation,
                });
            }
        }
        Ok(found)
    }
}
