//! Registrations that wait for a webhook's answer (L-07, W-01 to W-10), or for a hub that lives
//! elsewhere.
//!
//! The call is answered at once and the record says `assigning`. What is left to do goes on beside
//! it; if it is cut off, by a crash say, the device's next poll takes it up again.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use async_trait::async_trait;
use model::{RegistrationId, ServiceName, limits};
use provisioning::allocation::custom::{Answer, Consulted, NoAnswer, Question};
use provisioning::enrollment::Entry;
use provisioning::registration::Pending;
use provisioning::view::{Evidence, RegistrationRequest, RegistrationView};
use tokio::sync::Semaphore;

use crate::jobs::Driven;
use crate::register::{Attempted, Claim, Turn};
use crate::{Call, Service};

/// Asks the webhooks of operators.
#[async_trait]
pub trait Webhooks: Send + Sync {
    /// Asks one question, and waits for the answer no longer than W-09 allows.
    async fn ask(&self, inquiry: &Inquiry<'_>) -> Result<Answer, NoAnswer>;
}

/// A question with all that its form needs.
#[derive(Clone, Copy, Debug)]
pub struct Inquiry<'a> {
    /// What is asked.
    pub question: &'a Question,
    /// The operation that waits for the answer; the same however often it is asked.
    pub operation_id: &'a str,
    /// The device's claim.
    pub registration_id: &'a RegistrationId,
    /// The entry that let the device in.
    pub entry: Entry<'a>,
    /// What the device showed (W-02).
    pub evidence: &'a Evidence,
}

/// Asks nobody.
pub(crate) struct Silent;

#[async_trait]
impl Webhooks for Silent {
    async fn ask(&self, _inquiry: &Inquiry<'_>) -> Result<Answer, NoAnswer> {
        Err(NoAnswer { status: None, because: "this server asks no webhooks".to_owned() })
    }
}

/// What is under way in this process.
#[derive(Debug, Default)]
pub(crate) struct Consultations {
    operations: Mutex<HashSet<String>>,
    lanes: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// An operation that is under way until this is dropped.
struct UnderWay {
    all: Arc<Consultations>,
    operation_id: String,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.all.operations().remove(&self.operation_id);
    }
}

impl Consultations {
    fn operations(&self) -> MutexGuard<'_, HashSet<String>> {
        match self.operations.lock() {
            Ok(operations) => operations,
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    /// Whether the operation is under way.
    pub(crate) fn has(&self, operation_id: &str) -> bool {
        self.operations().contains(operation_id)
    }

    /// Begins an operation; none if it is under way, or too many are: a poll tries again.
    fn begin(self: &Arc<Self>, operation_id: String) -> Option<UnderWay> {
        let mut operations = self.operations();
        let has_room = operations.len() < limits::CONSULTATIONS_WAITING_MAX;
        let begun = has_room && operations.insert(operation_id.clone());
        begun.then(|| UnderWay { all: Arc::clone(self), operation_id })
    }

    /// The same as [`lane`](Self::lane), while there is room to wait for it: what a hanging webhook
    /// or hub leaves waiting is no more than a part of what may wait. None: a poll tries again.
    pub(crate) fn lane_with_room(&self, address: &str) -> Option<Arc<Semaphore>> {
        let lane = self.lane(address);
        // Whoever waits has it, and this one.
        (Arc::strong_count(&lane) <= limits::CONSULTATIONS_WAITING_PER_LANE_MAX).then_some(lane)
    }

    /// The places of one webhook or hub elsewhere, so that a slow one holds up nobody but its own devices.
    pub(crate) fn lane(&self, address: &str) -> Arc<Semaphore> {
        let mut lanes = match self.lanes.lock() {
            Ok(lanes) => lanes,
            Err(poisoned) => poisoned.into_inner(),
        };
        if let Some(lane) = lanes.get(address).and_then(Weak::upgrade) {
            return lane;
        }
        lanes.retain(|_, lane| lane.strong_count() > 0);
        let lane = Arc::new(Semaphore::new(limits::CONSULTATIONS_PER_WEBHOOK_MAX));
        lanes.insert(address.to_owned(), Arc::downgrade(&lane));
        lane
    }
}

impl Service {
    /// Goes on with an operation that waits for a webhook, unless that is under way.
    pub(crate) fn go_on(self: &Arc<Self>, claim: Claim<'_>, operation_id: String) {
        let Some(under_way) = self.consultations.begin(operation_id) else { return };
        let service = Arc::clone(self);
        let Claim { call, dps, request, evidence } = claim;
        let (call, dps) = (call.clone(), dps.clone());
        let (request, evidence) = (request.clone(), evidence.clone());
        tokio::spawn(async move {
            let claim = Claim { call: &call, dps: &dps, request: &request, evidence: &evidence };
            service.finish(claim, &under_way).await;
        });
    }

    /// Takes up an operation that was cut off, on the word of a device that was believed.
    pub(crate) fn take_up(
        self: &Arc<Self>,
        dps: &ServiceName,
        registration_id: &RegistrationId,
        pending: &Pending,
        evidence: &Evidence,
        operation_id: &str,
    ) {
        if self.consultations.has(operation_id) {
            return;
        }
        let call = Call {
            actor: format!("device {registration_id}"),
            tracking_id: self.tracking_id(),
            protocol: "taken up",
            from: pending.from,
        };
        let request = RegistrationRequest {
            registration_id: registration_id.clone(),
            api_version: pending.api_version.clone(),
            payload: pending.payload.clone(),
            csr: pending.csr.clone(),
            from: pending.from,
        };
        let claim = Claim { call: &call, dps, request: &request, evidence };
        self.go_on(claim, operation_id.to_owned());
    }

    /// Asks and decides until the operation is concluded. An entry that keeps changing meanwhile
    /// is left to the device's next poll.
    async fn finish(&self, claim: Claim<'_>, under_way: &UnderWay) {
        let operation_id = &under_way.operation_id;
        let (mut consulted, mut failure) = (None, None);
        for _ in 0..=limits::COMMIT_RETRIES_MAX {
            match self.drive(claim.dps, &claim.request.registration_id).await {
                Ok(Driven::Gone) => {}
                Ok(Driven::Crowded) => return,
                Ok(Driven::Stuck { failure: because, .. }) => failure = Some(because),
                Err(fault) => {
                    tracing::warn!(operation.id = %operation_id, ?fault, "a registration waits");
                    return;
                }
            }
            let (consulted_now, failure) = (consulted.as_ref(), failure.as_ref());
            let turn = Turn::Further { operation_id, consulted: consulted_now, failure };
            match self.attempt(claim, turn).await {
                Ok(Attempted::Asks(question, view)) => {
                    let lane = self.consultations.lane_with_room(question.address());
                    let Some(lane) = lane else { return };
                    let answer = self.ask(claim, operation_id, &question, &view, &lane).await;
                    consulted = Some(Consulted { question: *question, answer });
                }
                // There is a job by now.
                Ok(Attempted::Begun { .. }) => {}
                Ok(Attempted::Concluded { .. } | Attempted::Overtaken) => return,
                Err(error) => {
                    tracing::warn!(operation.id = %operation_id, ?error, "a registration waits");
                    return;
                }
            }
        }
    }

    async fn ask(
        &self,
        claim: Claim<'_>,
        operation_id: &str,
        question: &Question,
        view: &RegistrationView,
        lane: &Semaphore,
    ) -> Result<Answer, NoAnswer> {
        let none = |because: &str| NoAnswer { status: None, because: because.to_owned() };
        let entry = view.entry(&question.entry).ok_or_else(|| none("the enrollment is gone"))?;
        let _place = lane.acquire().await.map_err(|_| none("the server stops"))?;
        let inquiry = Inquiry {
            question,
            operation_id,
            registration_id: &claim.request.registration_id,
            entry,
            evidence: claim.evidence,
        };
        self.webhooks.ask(&inquiry).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hanging_webhook_leaves_room_for_another_ones_devices() {
        let all = Arc::new(Consultations::default());
        let max = limits::CONSULTATIONS_WAITING_PER_LANE_MAX;
        let lane = |address: &str| all.lane_with_room(address);
        let mut waiting: Vec<_> = (0..max).map(|_| lane("https://hangs").unwrap()).collect();
        assert!(lane("https://hangs").is_none());
        assert!(lane("https://answers").is_some());
        waiting.pop();
        waiting.push(lane("https://hangs").unwrap());
        assert!(lane("https://hangs").is_none());
    }
}
