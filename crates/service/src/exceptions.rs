//! Exceptions for expired certificates, as operators make and end them (M-16).

use model::{ServiceName, Timestamp, limits};
use provisioning::enrollment::{Entry, EntryId, EntryRef};
use provisioning::instance::ExpiryException;

use crate::{ApiError, Call, Service};

impl Service {
    /// The exceptions in force.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] for the service.
    pub async fn expiry_exceptions(
        &self,
        dps: &ServiceName,
    ) -> Result<Vec<ExpiryException>, ApiError> {
        let mut exceptions = self.dps(dps).await?.value.expiry_exceptions;
        let now = self.now();
        exceptions.retain(|one| one.holds_at(now));
        Ok(exceptions)
    }

    /// Lets the devices of an entry in with expired certificates until an instant; an exception
    /// that is there is replaced.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] for the service or the entry; `Invalid` for an instant that has
    /// passed or is too far off, and without a reason.
    pub async fn put_expiry_exception(
        &self,
        call: &Call,
        dps: &ServiceName,
        entry: &EntryId,
        until: Timestamp,
        reason: &str,
    ) -> Result<ExpiryException, ApiError> {
        let now = self.now();
        if until <= now {
            return Err(ApiError::Invalid(format!("until: {until} has passed")));
        }
        if until > now.plus(limits::EXPIRY_EXCEPTION_MAX) {
            let days = limits::EXPIRY_EXCEPTION_MAX.as_secs() / (24 * 3600);
            return Err(ApiError::Invalid(format!("until: is more than {days} days off")));
        }
        let max = limits::EXPIRY_EXCEPTION_REASON_CHARS_MAX;
        if reason.trim().is_empty() || reason.chars().count() > max {
            return Err(ApiError::Invalid(format!("reason: is not of 1 to {max} characters")));
        }
        let entry = self.entry_named(dps, entry).await?;
        let made = ExpiryException { entry, until, reason: reason.to_owned() };
        let subject = format!("{dps}: {} until {until}: {reason}", made.entry.id);
        self.change_dps(call, dps, ("dps.expiryException.put", &subject), |dps| {
            dps.expiry_exceptions.retain(|one| one.holds_at(now) && one.entry.id != made.entry.id);
            if dps.expiry_exceptions.len() >= limits::EXPIRY_EXCEPTIONS_MAX {
                let max = u64::try_from(limits::EXPIRY_EXCEPTIONS_MAX).unwrap_or(u64::MAX);
                return Err(ApiError::QuotaReached { what: "expiry exceptions", max });
            }
            dps.expiry_exceptions.push(made.clone());
            Ok(())
        })
        .await?;
        Ok(made)
    }

    /// Ends an exception.
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub async fn delete_expiry_exception(
        &self,
        call: &Call,
        dps: &ServiceName,
        entry: &EntryId,
    ) -> Result<(), ApiError> {
        let now = self.now();
        let subject = format!("{dps}: {entry}");
        self.change_dps(call, dps, ("dps.expiryException.delete", &subject), |dps| {
            dps.expiry_exceptions.retain(|one| one.holds_at(now));
            let before = dps.expiry_exceptions.len();
            dps.expiry_exceptions.retain(|one| one.entry.id != *entry);
            match dps.expiry_exceptions.len() < before {
                true => Ok(()),
                false => Err(ApiError::NotFound),
            }
        })
        .await
        .map(drop)
    }

    /// An entry as it is now.
    async fn entry_named(&self, dps: &ServiceName, id: &EntryId) -> Result<EntryRef, ApiError> {
        let reference = match id {
            EntryId::Individual(id) => {
                let row = self.store.individual(dps, id).await?;
                row.map(|row| Entry::Individual(&row.value).reference())
            }
            EntryId::Group(id) => {
                let view = self.store.instance(dps).await?.ok_or(ApiError::NotFound)?;
                let found = view.groups.iter().find(|row| row.value.id == *id);
                found.map(|row| Entry::Group(&row.value).reference())
            }
        };
        reference.ok_or(ApiError::NotFound)
    }
}
