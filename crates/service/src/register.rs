//! A device registers, polls, or asks for its status.

mod elsewhere;
mod identity;
mod issue;
mod record;

use std::sync::Arc;
use std::time::Duration;

use attestation::network::{Api, Refused};
use hub::twin::check_initial;
use model::{RegistrationId, ServiceName, Sha256, Timestamp, limits};
use provisioning::admit::{Admission, TokenExpiry, admission, token_resource};
use provisioning::allocation::custom::{Consulted, Question};
use provisioning::decide::{
    Conclusion, Decision, PollVerdict, Rejection, TwinPlan, Verdict, decide, decide_further,
    look_up, poll,
};
use provisioning::enrollment::{Certified, IndividualAttestation, Mechanism};
use provisioning::issuance::withdrawn;
use provisioning::registration::{Failure, FailureKind, Pending, Registration, RegistrationStatus};
use provisioning::view::{Evidence, RegistrationRequest, RegistrationView};
use provisioning::{remote, reprovision};
use store::Write;
use tokio::time::{Instant, sleep};

use crate::attempts::Attempt;
use crate::error::{Retry, sorted};
use crate::observe::{Decided, Observed, VerdictKind};
use crate::{ApiError, Call, Fault, Service, environment};
pub(crate) use elsewhere::Performed;
use elsewhere::{Elsewhere, assigns, ended, is_elsewhere, unassigned};
use identity::{Identity, wanted};
use record::{commit_for, record, tpm};

/// How long a refusal stands before the same refusal is written again: a device that retries for
/// ever costs a read, not a commit (S-35, M-29).
const REFUSAL_REWRITTEN_AFTER: Duration = Duration::from_secs(10);

/// A register call was accepted; the poll tells what came of it.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// What to poll.
    pub operation_id: String,
    /// Whether a disabled entry refuses the device; only the poll tells it so.
    pub is_refused: bool,
}

/// Why a register call was not accepted.
#[derive(Debug)]
pub enum RegisterError {
    /// There is no such provisioning service.
    UnknownService,
    /// It may not come from this address; nothing was written.
    Network(Refused),
    /// The rules refuse it; nothing was written.
    Rejected(Rejection, Option<Mechanism>),
    /// A TPM has to prove itself first; nothing was written.
    Challenge {
        /// The key to sign with, wrapped for the TPM.
        authentication_key: Vec<u8>,
    },
    /// We failed.
    Fault(Fault),
}

/// A device's call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim<'a> {
    pub(crate) call: &'a Call,
    pub(crate) dps: &'a ServiceName,
    pub(crate) request: &'a RegistrationRequest,
    pub(crate) evidence: &'a Evidence,
}

/// Which turn of a registration it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Turn<'a> {
    /// The device's call.
    First,
    /// An operation of an earlier call goes on, perhaps with a webhook's answer, or with the reason
    /// why hubs elsewhere can not be written to.
    Further {
        operation_id: &'a str,
        consulted: Option<&'a Consulted>,
        failure: Option<&'a Failure>,
    },
    /// A job on a hub elsewhere has come to its end.
    Performed(Performed<'a>),
}

/// What an attempt came to.
#[derive(Debug)]
pub(crate) enum Attempted {
    /// The record says what.
    Concluded { operation_id: String, is_refused: bool },
    /// The record says `assigning`: a webhook has to be asked, or a hub elsewhere written to.
    Begun { operation_id: String },
    /// Nothing is written: the webhook has to be asked this, about what is in the view.
    Asks(Box<Question>, Box<RegistrationView>),
    /// The record is another operation's by now.
    Overtaken,
}

/// What a poll tells.
#[derive(Clone, Debug)]
pub enum Polled {
    /// The record as it is.
    Record(Box<Registration>),
    /// The record, but whatever it says the device is refused by now (D-13).
    Disabled(Box<Registration>),
}

/// Why a poll or a look-up tells nothing.
#[derive(Debug)]
pub enum PollError {
    /// There is no such provisioning service.
    UnknownService,
    /// The caller could not show that it is the device.
    Stranger(Option<Mechanism>),
    /// There is no such operation.
    UnknownOperation,
    /// There is no record of this id.
    UnknownRegistration,
    /// We failed.
    Fault(Fault),
}

impl Service {
    /// A device registers.
    ///
    /// # Errors
    /// [`RegisterError`]; nothing was written then.
    pub async fn register(
        self: &Arc<Self>,
        call: &Call,
        dps: &ServiceName,
        request: &RegistrationRequest,
        evidence: &Evidence,
    ) -> Result<Accepted, RegisterError> {
        let claim = Claim { call, dps, request, evidence };
        match self.attempt(claim, Turn::First).await? {
            Attempted::Concluded { operation_id, is_refused } => {
                Ok(Accepted { operation_id, is_refused })
            }
            Attempted::Begun { operation_id } => {
                self.go_on(claim, operation_id.clone());
                Ok(Accepted { operation_id, is_refused: false })
            }
            // Only a further turn ends so.
            Attempted::Asks(..) | Attempted::Overtaken => {
                Err(RegisterError::Fault(Fault::Contended))
            }
        }
    }

    /// Loads, decides, commits, and tells what came of it.
    pub(crate) async fn attempt(
        &self,
        claim: Claim<'_>,
        turn: Turn<'_>,
    ) -> Result<Attempted, RegisterError> {
        let mut decided = None;
        let attempted = self.attempted(claim, turn, &mut decided).await;
        self.tell(claim, turn, &attempted, decided);
        attempted
    }

    async fn attempted(
        &self,
        claim: Claim<'_>,
        turn: Turn<'_>,
        decided: &mut Option<Decided>,
    ) -> Result<Attempted, RegisterError> {
        let Claim { call, dps, request, evidence } = claim;
        let begun = Instant::now();
        for attempt in 0..=limits::REGISTRATION_TRIES_MAX {
            let view = self.view(dps, &request.registration_id, evidence).await?;
            let view = view.ok_or(RegisterError::UnknownService)?;
            if let Some(from) = call.from {
                let network = &view.instance.dps.network;
                network
                    .admit(from, Api::Device, &self.private_networks)
                    .map_err(RegisterError::Network)?;
            }
            if lacks_challenge_secret(&view, evidence) {
                self.make_challenge_secret(call, dps).await?;
                continue;
            }
            let identity = match &view.registration {
                // Nearly always right, and the commit rests on it: a conflict has it read.
                None if attempt == 0 => Identity::TakenAsAbsent,
                None | Some(_) => Identity::Read,
            };
            let now = self.now();
            let span = tracing::debug_span!("verdict", verdict = tracing::field::Empty);
            let decision = span.in_scope(|| match turn {
                Turn::First => Some(decide(request, evidence, &view, now)),
                Turn::Further { operation_id, consulted, failure } => {
                    let since = waiting(&view, operation_id)?.updated;
                    let decision = decide_further(request, evidence, &view, consulted, since, now);
                    Some(match (failure, &decision.verdict) {
                        (Some(failure), Verdict::Assign(place) | Verdict::Keep(place))
                            if is_elsewhere(&view, place) =>
                        {
                            remote::failed(decision, failure)
                        }
                        _ => decision,
                    })
                }
                Turn::Performed(performed) => {
                    let job = &performed.job.value;
                    let since = waiting(&view, &job.operation_id)?.updated;
                    let consulted = job.consulted.as_ref();
                    let decision = decide_further(request, evidence, &view, consulted, since, now);
                    Some(ended(decision, performed))
                }
            });
            let Some(decision) = decision else { return Ok(Attempted::Overtaken) };
            let Decision { verdict, explanation, answered } = with_fit_twin(decision, &view);
            let explanation = Arc::new(explanation);
            *decided = Some(Decided::of(&verdict));
            span.record("verdict", tracing::field::debug(VerdictKind::of(&verdict)));
            drop(span);
            self.attempts.keep(Attempt {
                tracking_id: call.tracking_id.clone(),
                dps: dps.clone(),
                protocol: call.protocol.to_owned(),
                explanation: Arc::clone(&explanation),
            });
            let is_refused = matches!(verdict, Verdict::Conclude(Conclusion::Disabled { .. }));
            let operation_id = match (turn, &verdict) {
                (Turn::Further { .. }, Verdict::Consult(question)) => {
                    return Ok(Attempted::Asks(Box::new(question.clone()), Box::new(view)));
                }
                (Turn::Performed(_), Verdict::Consult(_)) => return Ok(Attempted::Overtaken),
                (Turn::First, Verdict::Reject(rejection)) => {
                    let rejection = rejection.clone();
                    return Err(RegisterError::Rejected(rejection, explanation.mechanism));
                }
                (Turn::First, Verdict::Challenge(key)) => {
                    let uri = token_resource(&view.instance, &request.registration_id);
                    let wrapped = self.wrapped(evidence, key, &uri)?;
                    return Err(match wrapped {
                        Some(authentication_key) => RegisterError::Challenge { authentication_key },
                        None => RegisterError::Fault(Fault::Contended),
                    });
                }
                (Turn::Further { operation_id, .. }, _) => operation_id.to_owned(),
                (Turn::Performed(performed), _) => performed.job.value.operation_id.clone(),
                (Turn::First, _) => match self.standing(&verdict, &view, claim, now) {
                    Some(operation_id) => {
                        return Ok(Attempted::Concluded { operation_id, is_refused });
                    }
                    None => self.operation_id(&view),
                },
            };
            // What was begun is ended, however many others are refused.
            let is_new = matches!(turn, Turn::First) && !matches!(evidence, Evidence::Tpm(_));
            if is_refused && is_new && !self.records_refusal(dps) {
                let present = view.registration.map(|found| found.value.operation_id);
                let operation_id = present.unwrap_or(operation_id);
                return Ok(Attempted::Concluded { operation_id, is_refused });
            }
            let mut is_begun = matches!(verdict, Verdict::Consult(_));
            let mut record = record(&verdict, &view, claim, explanation, &operation_id, now);
            record.tpm = tpm(evidence, answered);
            record.etag = environment::etag(self.entropy.as_ref());
            let mut has_issued = false;
            let mut commit = commit_for(call, &view, &verdict, &record, evidence, now);
            if let (Turn::Performed(Performed { job, .. }), false) = (turn, assigns(&verdict)) {
                unassigned(&mut commit, job);
            }
            if let Verdict::Assign(place) | Verdict::Keep(place) = verdict {
                let (commit, record) = (&mut commit, &mut record);
                let elsewhere = match turn {
                    Turn::Performed(Performed { job, .. }) => {
                        self.end_elsewhere(commit, claim, job, &view, place, record).await?
                    }
                    Turn::First | Turn::Further { .. } if is_elsewhere(&view, &place) => {
                        self.begin_elsewhere(commit, claim, turn, &view, place, record).await?
                    }
                    Turn::First | Turn::Further { .. } => {
                        let authentication =
                            self.authentication(&view, &place, evidence, record)?;
                        let wanted = wanted(&view, record, &place, authentication);
                        let line = self.issue_line(call, &view, &place, record);
                        has_issued = line.is_some();
                        commit.audit.extend(line);
                        let was = self.place(commit, place, wanted, identity, None, now).await?;
                        reprovision::identity_was(was, record, &request.api_version);
                        Elsewhere::Assigned
                    }
                };
                match elsewhere {
                    Elsewhere::Assigned => {}
                    Elsewhere::Waits => is_begun = true,
                    Elsewhere::Stands(operation_id) => {
                        return Ok(Attempted::Begun { operation_id });
                    }
                    Elsewhere::Overtaken => return Ok(Attempted::Overtaken),
                }
            }
            let owner = view.instance.dps.name.clone();
            commit.writes.push(Write::Registration(owner, Arc::new(record)));
            let changes = commit.changes.clone();
            match self.commit(commit).await.map_err(sorted) {
                Ok(_) => {
                    if has_issued {
                        self.observer.observe(&Observed::CertificateIssued { dps });
                    }
                    self.barrier(&changes).await?;
                    return Ok(match is_begun {
                        true => Attempted::Begun { operation_id },
                        false => Attempted::Concluded { operation_id, is_refused },
                    });
                }
                Err(Retry::Again) if begun.elapsed() >= limits::REGISTRATION_PATIENCE => break,
                Err(Retry::Again) => sleep(self.pause(attempt)).await,
                Err(Retry::Never(fault)) => return Err(RegisterError::Fault(fault)),
            }
        }
        Err(RegisterError::Fault(Fault::Contended))
    }

    /// How long to wait before the next try: any time up to a bound that grows, so that many who
    /// were overtaken by one write do not come again at once.
    fn pause(&self, attempt: usize) -> Duration {
        let exponent = u32::try_from(attempt).unwrap_or(u32::MAX);
        let max = 1_u64.checked_shl(exponent).unwrap_or(u64::MAX);
        let max = max.min(limits::REGISTRATION_PAUSE_MS_MAX);
        let mut chance = [0; 8];
        self.entropy.fill(&mut chance);
        Duration::from_millis(u64::from_le_bytes(chance) % (max + 1))
    }

    /// A device polls an operation.
    ///
    /// # Errors
    /// [`PollError`].
    pub async fn poll(
        self: &Arc<Self>,
        dps: &ServiceName,
        registration_id: &RegistrationId,
        operation_id: &str,
        evidence: &Evidence,
    ) -> Result<Polled, PollError> {
        let view = self.view(dps, registration_id, evidence).await?;
        let view = view.ok_or(PollError::UnknownService)?;
        let Some(found) = &view.registration else {
            return self.unrecorded(dps, registration_id, operation_id, evidence, &view);
        };
        let (record, now) = (&found.value, self.now());
        let verdict = poll(registration_id, operation_id, evidence, &view, record, now);
        if verdict != PollVerdict::Stranger && !record.has_operation(operation_id) {
            return Err(PollError::UnknownOperation);
        }
        self.told(dps, registration_id, evidence, view, verdict)
    }

    /// A poll of an operation that has no record: a refusal that was not written down is told by
    /// judging again, to whoever shows the evidence for it.
    fn unrecorded(
        &self,
        dps: &ServiceName,
        registration_id: &RegistrationId,
        operation_id: &str,
        evidence: &Evidence,
        view: &RegistrationView,
    ) -> Result<Polled, PollError> {
        let request = RegistrationRequest {
            registration_id: registration_id.clone(),
            api_version: String::new(),
            payload: None,
            csr: None,
            from: None,
        };
        let call = Call {
            actor: format!("device {registration_id}"),
            tracking_id: String::new(),
            protocol: "poll",
            from: None,
        };
        let claim = Claim { call: &call, dps, request: &request, evidence };
        let now = self.now();
        let Decision { verdict, explanation, .. } = decide(&request, evidence, view, now);
        match verdict {
            Verdict::Conclude(Conclusion::Disabled { .. }) => {}
            Verdict::Reject(Rejection::Stranger { .. }) => return Err(stranger(evidence)),
            Verdict::Assign(_)
            | Verdict::Keep(_)
            | Verdict::Consult(_)
            | Verdict::Conclude(Conclusion::Failed { .. })
            | Verdict::Challenge(_)
            | Verdict::Reject(Rejection::QuotaReached { .. } | Rejection::Csr(_)) => {
                return Err(PollError::UnknownOperation);
            }
        }
        let mut record = record(&verdict, view, claim, Arc::new(explanation), operation_id, now);
        record.etag = environment::etag(self.entropy.as_ref());
        Ok(Polled::Disabled(Box::new(record)))
    }

    /// A device asks what its record says.
    ///
    /// # Errors
    /// [`PollError`]; `UnknownRegistration` is told to those alone who would be let in.
    pub async fn current(
        self: &Arc<Self>,
        dps: &ServiceName,
        registration_id: &RegistrationId,
        evidence: &Evidence,
    ) -> Result<Polled, PollError> {
        let view = self.view(dps, registration_id, evidence).await?;
        let view = view.ok_or(PollError::UnknownService)?;
        let Some(found) = &view.registration else {
            let now = TokenExpiry::JudgedAt(self.now());
            return Err(match admission(registration_id, evidence, &view, now, self.now()) {
                Admission::Admitted(_) | Admission::Blocked(_) => PollError::UnknownRegistration,
                Admission::Stranger(_) => stranger(evidence),
            });
        };
        let verdict = look_up(registration_id, evidence, &view, &found.value, self.now());
        self.told(dps, registration_id, evidence, view, verdict)
    }

    /// What a record says to whom.
    fn told(
        self: &Arc<Self>,
        dps: &ServiceName,
        registration_id: &RegistrationId,
        evidence: &Evidence,
        view: RegistrationView,
        verdict: PollVerdict,
    ) -> Result<Polled, PollError> {
        let found = view.registration.ok_or(PollError::UnknownRegistration)?;
        let mut record = Box::new(found.value);
        match verdict {
            PollVerdict::Stored => {
                if let Some(pending) = &record.pending
                    && let Some(evidence) = pending.evidence(evidence, record.mechanism)
                {
                    self.take_up(dps, registration_id, pending, &evidence, &record.operation_id);
                }
                if let Some(failure) = withdrawn(&record, &view.instance.dps) {
                    record.status = RegistrationStatus::Failed;
                    record.failure = Some(failure);
                }
                Ok(Polled::Record(record))
            }
            PollVerdict::Disabled => Ok(Polled::Disabled(record)),
            PollVerdict::Stranger => Err(stranger(evidence)),
        }
    }

    /// The operation that a repeated call comes to without a write: a refusal of a moment ago by
    /// the same entry, or the same question while the webhook is being asked.
    fn standing(
        &self,
        verdict: &Verdict,
        view: &RegistrationView,
        claim: Claim<'_>,
        now: Timestamp,
    ) -> Option<String> {
        let record = &view.registration.as_ref()?.value;
        // A TPM polls with the challenge that it answered, so its record has to be written.
        if matches!(claim.evidence, Evidence::Tpm(_)) {
            return None;
        }
        let stands = match verdict {
            Verdict::Conclude(Conclusion::Disabled { entry }) => {
                record.status == RegistrationStatus::Disabled
                    && record.decided_by == *entry
                    && now.since(record.updated) < REFUSAL_REWRITTEN_AFTER
            }
            Verdict::Consult(question) => {
                record.pending.as_ref() == Some(&Pending::of(claim.request, claim.evidence))
                    && record.decided_by == question.entry
                    && self.consultations.has(&record.operation_id)
            }
            Verdict::Assign(_)
            | Verdict::Keep(_)
            | Verdict::Conclude(Conclusion::Failed { .. })
            | Verdict::Challenge(_)
            | Verdict::Reject(_) => false,
        };
        stands.then(|| record.operation_id.clone())
    }

    pub(crate) async fn view(
        &self,
        dps: &ServiceName,
        registration_id: &RegistrationId,
        evidence: &Evidence,
    ) -> Result<Option<RegistrationView>, Fault> {
        let read = async |claim: Option<Sha256>| {
            self.store.registration_view(dps, registration_id, claim.as_ref()).await
        };
        let claim = evidence.claim();
        let view = read(claim).await?;
        // A TPM polls with a token alone; its record tells which it is.
        let record = view.as_ref().and_then(|view| view.registration.as_ref());
        match record.and_then(|record| record.value.tpm.as_ref()) {
            Some(tpm) if claim.is_none() => Ok(read(Some(tpm.endorsement_key)).await?),
            Some(_) | None => Ok(view),
        }
    }

    /// `{digit}.{16 hex of the instance}.{guid}`: safe in topics and paths as it is.
    pub(crate) fn operation_id(&self, view: &RegistrationView) -> String {
        let scope = attestation::sha256(view.instance.dps.id_scope.key().as_bytes()).to_string();
        let instance = scope.get(..16).unwrap_or_default().to_ascii_lowercase();
        format!("5.{instance}.{}", environment::guid(self.entropy.as_ref()))
    }

    /// What all challenges of an instance are derived from, made when the first is asked for.
    async fn make_challenge_secret(&self, call: &Call, dps: &ServiceName) -> Result<(), Fault> {
        let secret =
            environment::key::<{ limits::SYMMETRIC_KEY_GENERATED_BYTES }>(self.entropy.as_ref());
        let made = self
            .change_dps(call, dps, ("dps.challenge-secret", dps.as_str()), |dps| {
                // Of many that come at once one makes it, and the others have nothing to write.
                if dps.challenge_secret.is_some() {
                    return Err(ApiError::AlreadyExists);
                }
                dps.challenge_secret = Some(secret.clone());
                Ok(())
            })
            .await;
        match made {
            Err(ApiError::Fault(fault)) => Err(fault),
            // Whatever else is in the way shows when the registration is judged again.
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

impl From<Fault> for RegisterError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Fault> for PollError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

const fn stranger(evidence: &Evidence) -> PollError {
    PollError::Stranger(match evidence {
        Evidence::None => None,
        Evidence::X509(_) => Some(Mechanism::X509),
        Evidence::Sas(_) => Some(Mechanism::SymmetricKey),
        Evidence::Tpm(_) => Some(Mechanism::Tpm),
    })
}

/// T-02: what a hub would not store as a first twin, it refuses; a device that is on its hub
/// already gets none.
pub(crate) fn with_fit_twin(mut decision: Decision, view: &RegistrationView) -> Decision {
    let (Verdict::Assign(place) | Verdict::Keep(place)) = &decision.verdict else {
        return decision;
    };
    let record = view.registration.as_ref().map(|found| &found.value);
    let is_assigned = record.is_some_and(|record| record.assignment.is_some());
    if is_assigned && place.twin != TwinPlan::Reset {
        return decision;
    }
    let Err(error) = check_initial(&place.initial_tags, &place.initial_desired) else {
        return decision;
    };
    let hub = place.to.hub.clone();
    remote::noted(&mut decision, &hub, &format!("it refuses the initial twin: {error}"));
    let message = "The hub refused the initial twin".to_owned();
    remote::failed(decision, &Failure { kind: FailureKind::HubRefused, message })
}

/// Whether a TPM that may have an entry can not be challenged yet.
fn lacks_challenge_secret(view: &RegistrationView, evidence: &Evidence) -> bool {
    if view.instance.dps.challenge_secret.is_some() || !matches!(evidence, Evidence::Tpm(_)) {
        return false;
    }
    let mut enrolled = view.individual_by_id.iter().chain(&view.individuals_by_leaf);
    let mut groups = view.instance.groups.iter().map(|found| &found.value.attestation);
    enrolled.any(|found| matches!(found.value.attestation, IndividualAttestation::Tpm { .. }))
        || groups.any(|group| group.certifies() == Some(Certified::EndorsementKey))
}

/// The record of an operation that waits for a webhook, if it still does.
fn waiting<'v>(view: &'v RegistrationView, operation_id: &str) -> Option<&'v Registration> {
    let record = &view.registration.as_ref()?.value;
    (record.pending.is_some() && record.operation_id == operation_id).then_some(record)
}
