//! Event subscriptions and dead letters, as operators write and read them.

use std::sync::Arc;

use events::schedule::{Outcome, RetryPolicy};
use events::subscription::Validation;
use events::{EndpointUrl, Filter, Happened, Queued, Subscription};
use model::{IfMatch, SubscriptionName, limits};
use provisioning::view::Versioned;
use store::{ChangeScope, Commit, Condition, Deliveries, DeliveryCount, Write};

use super::{Lane, revision};
use crate::instances::demanded;
use crate::{ApiError, Call, Fault, Service, environment};

/// What an operator asks of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionDraft {
    /// Its name.
    pub name: SubscriptionName,
    /// Where events are sent to; none keeps the present address.
    pub endpoint: Option<EndpointUrl>,
    /// Whether the receiver is asked for its consent.
    pub validation: Validation,
    /// Which events.
    pub filter: Filter,
    /// How often, how long.
    pub retry: RetryPolicy,
}

impl Service {
    /// All subscriptions by name, with how much is queued for each.
    pub fn subscriptions(&self) -> Vec<(Arc<Versioned<Subscription>>, DeliveryCount)> {
        let lanes = self.announcements.lanes();
        lanes.iter().map(|lane| (Arc::clone(&lane.row), lane.kept.count())).collect()
    }

    /// One subscription, with how much is queued for it.
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub fn subscription(
        &self,
        name: &SubscriptionName,
    ) -> Result<(Arc<Versioned<Subscription>>, DeliveryCount), ApiError> {
        let lane = self.lane(name)?;
        Ok((Arc::clone(&lane.row), lane.kept.count()))
    }

    fn lane(&self, name: &SubscriptionName) -> Result<Lane, ApiError> {
        self.announcements.lane(name).ok_or(ApiError::NotFound)
    }

    /// Makes or replaces a subscription; it hears of what is committed from then on.
    ///
    /// # Errors
    /// [`ApiError`]; `Invalid` as well where the receiver does not consent.
    pub async fn put_subscription(
        &self,
        call: &Call,
        draft: &SubscriptionDraft,
        if_match: &IfMatch,
    ) -> Result<Subscription, ApiError> {
        let name = &draft.name;
        let _turn = self.announcements.changing.lock().await;
        let there = self.announcements.lane(name);
        let old = there.as_ref().map(Lane::subscription);
        demanded(if_match, old.map(|old| &old.etag))?;
        if old.is_none() && self.announcements.lanes().len() >= limits::SUBSCRIPTIONS_MAX {
            let max = u64::try_from(limits::SUBSCRIPTIONS_MAX).unwrap_or(u64::MAX);
            return Err(ApiError::QuotaReached { what: "event subscriptions", max });
        }
        let kept = || old.map(|old| old.endpoint.clone());
        let endpoint = draft.endpoint.clone().or_else(kept).ok_or_else(|| {
            ApiError::Invalid(
                "destination.properties.endpointUrl is missing: name an https address".to_owned(),
            )
        })?;
        let asked = old.is_some_and(|old| {
            old.validation == Validation::CloudEvents && old.endpoint == endpoint
        });
        if draft.validation == Validation::CloudEvents && !asked {
            let consent = self.announcements.announcer.consent(&endpoint).await;
            consent.map_err(|because| {
                ApiError::Invalid(format!("{} does not consent: {because}", endpoint.base()))
            })?;
        }
        let fresh = Subscription {
            name: name.clone(),
            endpoint,
            validation: draft.validation,
            filter: draft.filter.clone(),
            retry: draft.retry,
            created: old.map_or_else(|| self.now(), |old| old.created),
            etag: environment::etag(self.entropy.as_ref()),
        };
        let write = Write::Subscription(Box::new(fresh.clone()));
        let audited = ("eventSubscription.put", name.as_str());
        self.change_subscriptions(call, name, there.as_ref(), write, audited).await?;
        Ok(fresh)
    }

    /// Removes a subscription with all that waits for it and its dead letters.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn delete_subscription(
        &self,
        call: &Call,
        name: &SubscriptionName,
        if_match: &IfMatch,
    ) -> Result<(), ApiError> {
        let _turn = self.announcements.changing.lock().await;
        let there = self.lane(name)?;
        demanded(if_match, Some(&there.subscription().etag))?;
        let write = Write::DeleteSubscription(name.clone());
        let audited = ("eventSubscription.delete", name.as_str());
        self.change_subscriptions(call, name, Some(&there), write, audited).await?;
        // Whoever sends to it wakes up and finds it gone.
        there.kept.more.notify_one();
        Ok(())
    }

    async fn change_subscriptions(
        &self,
        call: &Call,
        name: &SubscriptionName,
        there: Option<&Lane>,
        write: Write,
        (action, subject): (&str, &str),
    ) -> Result<(), ApiError> {
        let commit = Commit {
            conditions: vec![Condition::Subscription { name: name.clone(), at: revision(there) }],
            writes: vec![write],
            changes: Vec::<ChangeScope>::new(),
            audit: vec![self.audit(call, action, subject)],
        };
        match self.apply(commit).await? {
            true => self.reload_subscriptions().await.map_err(ApiError::Fault),
            false => Err(ApiError::Fault(Fault::Contended)),
        }
    }

    /// Sends a test event to a subscription, once and now; gives what came of it.
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub async fn test_subscription(&self, name: &SubscriptionName) -> Result<Outcome, ApiError> {
        let lane = self.lane(name)?;
        let event = self.event(&Happened::Test { subscription: name }, self.now());
        Ok(self.announcements.announcer.send(&lane.subscription().endpoint, &event).await)
    }

    /// Dead letters of a subscription behind a number, oldest first, at most a page.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn dead_letters(
        &self,
        name: &SubscriptionName,
        after: u64,
    ) -> Result<Vec<Queued>, ApiError> {
        self.lane(name)?;
        let limit = limits::DEAD_LETTERS_PAGE;
        Ok(self.store.deliveries(name, Deliveries::Dead, after, limit).await?)
    }

    /// One dead letter.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn dead_letter(
        &self,
        name: &SubscriptionName,
        number: u64,
    ) -> Result<Queued, ApiError> {
        let before = number.saturating_sub(1);
        let found = self.store.deliveries(name, Deliveries::Dead, before, 1).await?;
        found.into_iter().find(|found| found.number == number).ok_or(ApiError::NotFound)
    }

    /// Tries dead letters from the beginning: one, or all; gives how many.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn retry_dead_letters(
        &self,
        call: &Call,
        name: &SubscriptionName,
        number: Option<u64>,
    ) -> Result<u64, ApiError> {
        let now = self.now();
        let retried =
            |Queued { number, delivery }| Write::Redelivery(number, Box::new(delivery.again(now)));
        self.change_dead(call, name, number, "deadLetter.retry", retried, 1).await
    }

    /// Removes dead letters for good: one, or all; gives how many.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn purge_dead_letters(
        &self,
        call: &Call,
        name: &SubscriptionName,
        number: Option<u64>,
    ) -> Result<u64, ApiError> {
        let purged = |Queued { number, .. }| Write::DeleteDelivery(number);
        self.change_dead(call, name, number, "deadLetter.purge", purged, 0).await
    }

    /// Changes dead letters page by page; each that leaves adds so many to what waits.
    async fn change_dead(
        &self,
        call: &Call,
        name: &SubscriptionName,
        number: Option<u64>,
        action: &str,
        change: impl Fn(Queued) -> Write,
        waiting: i64,
    ) -> Result<u64, ApiError> {
        let lane = self.lane(name)?;
        // One at a time: what another one has changed already is not counted again.
        let _turn = self.announcements.changing.lock().await;
        let (mut after, mut changed) = (0, 0_u64);
        loop {
            let found = match number {
                Some(number) => vec![self.dead_letter(name, number).await?],
                None => self.dead_letters(name, after).await?,
            };
            let Some(last) = found.last().map(|last| last.number) else { return Ok(changed) };
            let count = i64::try_from(found.len()).unwrap_or(i64::MAX);
            let subject = match number {
                Some(number) => format!("{name}/{number}"),
                None => name.to_string(),
            };
            let commit = Commit {
                writes: found.into_iter().map(&change).collect(),
                audit: vec![self.audit(call, action, &subject)],
                ..Commit::default()
            };
            if !self.apply(commit).await? {
                return Err(ApiError::Fault(Fault::Contended));
            }
            lane.kept.moved(count.saturating_mul(waiting), -count);
            lane.kept.more.notify_one();
            changed = changed.saturating_add(count.unsigned_abs());
            after = last;
            if number.is_some() {
                return Ok(changed);
            }
        }
    }
}
