//! Which hub a device would be given, without side effects.

use model::{EnrollmentGroupId, ServiceName};
use provisioning::allocation::custom::Consulted;
use provisioning::decide::{Decision, Verdict, foretell};
use provisioning::explain::Explanation;
use provisioning::view::{Evidence, RegistrationRequest};

use crate::consult::Inquiry;
use crate::register::with_fit_twin;
use crate::{ApiError, Service};

/// What an operator wants to know.
#[derive(Clone, Debug)]
pub struct Foretelling {
    /// What the device would ask for.
    pub request: RegistrationRequest,
    /// The group that would let it in, if it has no enrollment of its own.
    pub group: Option<EnrollmentGroupId>,
    /// Whether a webhook that has a say is asked.
    pub ask_webhook: bool,
}

impl Service {
    /// What would come of a registration now, were the device believed. Nothing is written; the
    /// operator's webhook is asked if the caller wants it, with a `webhook-id` of `allocation-test.…`.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] where no entry would decide.
    pub async fn foretell(
        &self,
        dps: &ServiceName,
        asked: &Foretelling,
    ) -> Result<Explanation, ApiError> {
        let Foretelling { request, group, ask_webhook } = asked;
        let evidence = Evidence::None;
        let view = self.view(dps, &request.registration_id, &evidence).await;
        let view = view.map_err(ApiError::Fault)?.ok_or(ApiError::NotFound)?;
        let told = |consulted: Option<&Consulted>| {
            foretell(request, group.as_ref(), &view, consulted, self.now())
                .map(|decision| with_fit_twin(decision, &view))
                .ok_or(ApiError::NotFound)
        };
        let Decision { verdict, explanation, .. } = told(None)?;
        let (Verdict::Consult(question), true) = (verdict, ask_webhook) else {
            return Ok(explanation);
        };
        // A receiver that takes each id once is to take each test.
        let operation_id = format!("allocation-test.{}", self.operation_id(&view));
        let inquiry = Inquiry {
            question: &question,
            operation_id: &operation_id,
            registration_id: &request.registration_id,
            entry: view.entry(&question.entry).ok_or(ApiError::NotFound)?,
            evidence: &evidence,
        };
        let answer = self.webhooks.ask(&inquiry).await;
        told(Some(&Consulted { question, answer })).map(|decision| decision.explanation)
    }
}
