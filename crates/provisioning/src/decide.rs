//! The one decision: who may register, and where a device goes.
//!
//! The order is fixed (settled D-03):
//!
//! | stage | question | no |
//! |---|---|---|
//! | find | which entries have a say (D-01, D-05, M-18)? | `Reject` |
//! | appraise | does the evidence hold against one of them? | `Reject`, nothing is written |
//! | enabled | does the deciding entry let devices in? | `Conclude(Disabled)` |
//! | quota | is there room for a new record (D-16)? | `Reject`, or `Conclude(Failed)` |
//! | certify | which certificate does it get? | `Reject`, or `Conclude(Failed)` |
//! | reprovision | does an assigned device stay? | `Keep` |
//! | consult | what says the webhook (W-01 to W-10)? | `Consult`, then `Conclude(Failed)` |
//! | allocate | which hub (L-01 to L-12)? | `Conclude(Failed)` |

use attestation::SymmetricKey;
use model::{EnrollmentGroupId, HostName, RegistrationId, Sha256, Timestamp, limits};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::admit::{Admission, Appraisal, TokenExpiry, admission, admit, with_challenge};
use crate::allocation::custom::{Answer, Consulted, Question};
use crate::allocation::nearest::Nearness;
use crate::allocation::{Allocated, allocate, candidates, no_hub, policy};
use crate::enrollment::{
    AllocationPolicy, Entry, EntryRef, GroupAttestation, IndividualAttestation, Mechanism, Settings,
};
use crate::explain::{Disbelief, Explanation, Outcome, Step};
use crate::issuance::{CsrFault, Issue, NotIssued, order};
use crate::registration::{
    Assigned, Failure, FailureKind, Registration, RegistrationStatus, Substatus,
};
use crate::reprovision;
use crate::view::{Evidence, RegistrationRequest, RegistrationView};

/// A verdict with its reasons.
#[derive(Clone, Debug)]
pub struct Decision {
    /// What to do.
    pub verdict: Verdict,
    /// Why.
    pub explanation: Explanation,
    /// The challenge's key that a TPM signed with, for its record; none without a TPM that did.
    pub answered: Option<SymmetricKey>,
}

/// What to do with a registration (settled D-04).
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Send the device to a hub: for the first time, or to another one, or anew.
    Assign(Placement),
    /// Leave the device where it is, as its reprovision policy says; refresh its credential.
    Keep(Placement),
    /// Accept the call, ask the operator's webhook, and decide again with its answer.
    Consult(Question),
    /// Accept the call, write the record; the poll reads it.
    Conclude(Conclusion),
    /// Give the TPM this key to sign with; write no record (D-25).
    Challenge(SymmetricKey),
    /// Refuse the call; write no record.
    Reject(Rejection),
}

/// Where a device goes, with all that its identity there needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Placement {
    /// The entry that let the device in.
    pub entry: EntryRef,
    /// The hub and the id there.
    pub to: Assigned,
    /// How the device came there.
    pub substatus: Substatus,
    /// What the device will show to the hub.
    pub credential: HubCredential,
    /// What becomes of the twin.
    pub twin: TwinPlan,
    /// The first twin's tags, for an identity that must be made.
    pub initial_tags: Map<String, Value>,
    /// The first twin's desired properties, likewise.
    pub initial_desired: Map<String, Value>,
    /// Whether the identity is an IoT Edge device; none leaves an existing one as it is.
    pub iot_edge: Option<bool>,
    /// What a webhook hands to the device (W-04).
    pub payload: Option<Value>,
    /// The identity that is left behind, on another hub or of another id.
    pub from: Option<Assigned>,
}

/// What the device will show to its hub.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum HubCredential {
    /// Tokens signed with one of these keys.
    Sas {
        /// The device's own key.
        primary: SymmetricKey,
        /// The other one.
        secondary: SymmetricKey,
    },
    /// This very leaf certificate.
    SelfSigned {
        /// SHA-256 of the leaf.
        thumbprint: Sha256,
    },
    /// Tokens signed with a key that the service makes and wraps for the device's TPM.
    Wrapped,
    /// A certificate that is issued to it.
    Issued(Box<Issue>),
}

/// What becomes of a twin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TwinPlan {
    /// An identity that is there keeps its twin; one that is made gets the initial twin.
    KeepOrInitial,
    /// The twin of the identity that is left behind is taken along.
    Migrate,
    /// The initial twin replaces whatever is there.
    Reset,
}

/// A record without an assignment.
#[derive(Clone, Debug)]
pub enum Conclusion {
    /// A disabled entry decided.
    Disabled {
        /// Which.
        entry: EntryRef,
    },
    /// Let in, but something else went wrong.
    Failed {
        /// The entry that let the device in.
        entry: EntryRef,
        /// What went wrong.
        failure: Failure,
    },
}

/// A refusal of the call itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The evidence holds against nothing: 401.
    Stranger {
        /// Why, for the explanation; the device is told its class only.
        because: Disbelief,
    },
    /// There is no room for a new record: 403.
    QuotaReached {
        /// The bound.
        registrations_max: u64,
    },
    /// The certificate that it asks for can not be had so: 400.
    Csr(CsrFault),
}

/// Decides one registration. A pure function of its arguments.
pub fn decide(
    request: &RegistrationRequest,
    evidence: &Evidence,
    view: &RegistrationView,
    now: Timestamp,
) -> Decision {
    judged(request, evidence, view, None, TokenExpiry::Judged, now)
}

/// Decides a registration that is under way since `since`, now that a webhook was asked.
pub fn decide_further(
    request: &RegistrationRequest,
    evidence: &Evidence,
    view: &RegistrationView,
    consulted: Option<&Consulted>,
    since: Timestamp,
    now: Timestamp,
) -> Decision {
    judged(request, evidence, view, consulted, TokenExpiry::JudgedAt(since), now)
}

/// What would come of a registration now, were the device believed: which hub, and why. The
/// device's own individual enrollment decides where there is one (D-02), else the group that is
/// named; none where there is neither.
pub fn foretell(
    request: &RegistrationRequest,
    group: Option<&EnrollmentGroupId>,
    view: &RegistrationView,
    consulted: Option<&Consulted>,
    now: Timestamp,
) -> Option<Decision> {
    let individual = view.individual_by_id.as_ref().map(|found| Entry::Individual(&found.value));
    let groups = || view.instance.groups.iter().map(|found| &found.value);
    let group = || groups().find(|found| Some(&found.id) == group).map(Entry::Group);
    let entry = individual.or_else(group)?;
    let rule = match entry {
        Entry::Individual(_) => "D-02",
        Entry::Group(group) if matches!(group.attestation, GroupAttestation::SymmetricKey(_)) => {
            "M-18"
        }
        Entry::Group(_) => "D-05",
    };
    let mut steps = vec![Step::Decides { entry: entry.reference(), rule: rule.to_owned() }];
    let verdict = match entry.settings().is_enabled() {
        false => Verdict::Conclude(Conclusion::Disabled { entry: entry.reference() }),
        // No device is there to show anything; nobody is told what this placement says of it.
        true => place(request, HubCredential::Wrapped, view, consulted, entry, &mut steps, now),
    };
    let explanation = Explanation {
        registration_id: request.registration_id.clone(),
        at: now,
        mechanism: None,
        chain: Vec::new(),
        steps,
        outcome: outcome(&verdict),
    };
    Some(Decision { verdict, explanation, answered: None })
}

fn judged(
    request: &RegistrationRequest,
    evidence: &Evidence,
    view: &RegistrationView,
    consulted: Option<&Consulted>,
    expiry: TokenExpiry,
    now: Timestamp,
) -> Decision {
    let Appraisal { admission, chain, mut steps, answered } =
        admit(&request.registration_id, evidence, view, expiry, now);
    let verdict = match admission {
        Admission::Stranger(because) => stranger(request, evidence, view, because, now),
        Admission::Blocked(entry) => {
            Verdict::Conclude(Conclusion::Disabled { entry: entry.reference() })
        }
        Admission::Admitted(entry) => match credential(evidence, entry, &request.registration_id) {
            Some(credential) => {
                let verdict = place(request, credential, view, consulted, entry, &mut steps, now);
                match expiry {
                    TokenExpiry::Judged => verdict,
                    TokenExpiry::JudgedAt(_) => accepted(verdict, entry),
                }
            }
            None => Verdict::Reject(Rejection::Stranger { because: Disbelief::NoEvidence }),
        },
    };
    let explanation = Explanation {
        registration_id: request.registration_id.clone(),
        at: now,
        mechanism: mechanism(evidence),
        chain,
        steps,
        outcome: outcome(&verdict),
    };
    Decision { verdict, explanation, answered }
}

/// What becomes of a call that was accepted before: what can not be refused now, fails.
fn accepted(verdict: Verdict, entry: Entry<'_>) -> Verdict {
    let Verdict::Reject(Rejection::Csr(fault)) = verdict else { return verdict };
    let failure = Failure { kind: FailureKind::Issuance, message: fault.to_string() };
    Verdict::Conclude(Conclusion::Failed { entry: entry.reference(), failure })
}

/// A refusal, or the challenge of a TPM that has an entry.
fn stranger(
    request: &RegistrationRequest,
    evidence: &Evidence,
    view: &RegistrationView,
    because: Disbelief,
    now: Timestamp,
) -> Verdict {
    match (&because, evidence, &view.instance.dps.challenge_secret) {
        (Disbelief::Unanswered, Evidence::Tpm(shown), Some(secret)) => {
            Verdict::Challenge(with_challenge(&request.registration_id, shown, view, |challenge| {
                challenge.key(secret, now)
            }))
        }
        _ => Verdict::Reject(Rejection::Stranger { because }),
    }
}

/// The later stages, for a device that was let in.
fn place(
    request: &RegistrationRequest,
    credential: HubCredential,
    view: &RegistrationView,
    consulted: Option<&Consulted>,
    entry: Entry<'_>,
    steps: &mut Vec<Step>,
    now: Timestamp,
) -> Verdict {
    let record = view.registration.as_ref().map(|found| &found.value);
    let current = record.and_then(|record| record.assignment.clone());
    if let Some(full) = quota(view, record, entry) {
        return full;
    }
    let settings = entry.settings();
    let credential = match order(request, settings, &view.instance.dps, record, now) {
        Ok(None) => credential,
        Ok(Some(issue)) => {
            let (policy, again) = match &issue {
                Issue::Fresh(order) => (&order.policy, false),
                Issue::Again(issued) => (&issued.policy, true),
            };
            steps.push(Step::Certified { policy: policy.to_string(), again });
            HubCredential::Issued(Box::new(issue))
        }
        Err(NotIssued::Call(fault)) => return Verdict::Reject(Rejection::Csr(fault)),
        Err(NotIssued::Record(failure)) => {
            return Verdict::Conclude(Conclusion::Failed { entry: entry.reference(), failure });
        }
    };
    if let Some(current) = &current {
        steps.push(Step::AssignedBefore { hub: current.hub.clone() });
    }
    let failed =
        |failure| Verdict::Conclude(Conclusion::Failed { entry: entry.reference(), failure });
    let policy = match record.and_then(|record| reprovision::standing(record, Some(entry))) {
        Some(order) => {
            steps.push(Step::Ordered { order });
            order.policy()
        }
        None => reprovision::policy(settings, &request.api_version),
    };
    let stays = !policy.update_hub_assignment;
    let answer = match question(request, view, entry, current.as_ref().filter(|_| stays)) {
        None => None,
        // W-07: asked at every registration, whatever the reprovision policy.
        Some(question) => {
            let Some(consulted) = consulted.filter(|consulted| consulted.question == question)
            else {
                return Verdict::Consult(question);
            };
            match chosen(consulted, steps) {
                Ok(chosen) => Some(chosen),
                Err(failure) => return failed(failure),
            }
        }
    };
    let (answered_hub, answer) = answer.unzip();
    // A hub elsewhere could not refuse the certificate once its issuer is revoked.
    let is_issued = matches!(credential, HubCredential::Issued(_));
    let is_far = |hub: &HostName| is_issued && view.instance.dps.remote(hub).is_some();
    let initial = InitialTwin::of(settings, answer);
    let placed = |to: Assigned, substatus, twin, from| Placement {
        entry: entry.reference(),
        to,
        substatus,
        credential,
        twin,
        initial_tags: initial.tags(),
        initial_desired: initial.desired(),
        iot_edge: settings.iot_edge,
        payload: answer.and_then(|answer| answer.payload.clone()),
        from,
    };
    if let Some(current) = current.clone().filter(|_| stays) {
        if !is_linked(view, &current.hub) {
            // The device reads this: the hub's name is the operator's to see (D-10).
            return failed(no_hub("the hub that the device is on is not linked any more"));
        }
        if is_far(&current.hub) {
            return failed(no_certificate_elsewhere());
        }
        steps.push(Step::Stays);
        return Verdict::Keep(placed(
            current,
            reprovision::unmoved(&request.api_version),
            TwinPlan::KeepOrInitial,
            None,
        ));
    }
    let allocated = match answered_hub {
        Some(hub) => Ok(Allocated { hub, by: AllocationPolicy::Custom, nearness: None }),
        None => allocate(settings, &view.instance.dps, &request.registration_id, request.from),
    };
    let allocated = match allocated {
        Ok(allocated) => allocated,
        Err(failure) => return failed(failure),
    };
    if let Some(Nearness { region, milliseconds }) = allocated.nearness {
        steps.push(Step::Near { region, milliseconds });
    }
    steps.push(Step::Allocated { hub: allocated.hub.clone(), by: allocated.by });
    // an entry's new device id does not rename an assigned device.
    let device_id = match &current {
        Some(current) => current.device_id.clone(),
        None => entry.device_id(&request.registration_id),
    };
    let to = Assigned { hub: allocated.hub, device_id };
    let (substatus, twin) =
        reprovision::outcome(current.as_ref(), &to, policy, &request.api_version);
    let from = current.filter(|current| *current != to);
    if is_far(&to.hub) || from.as_ref().is_some_and(|from| is_far(&from.hub)) {
        return failed(no_certificate_elsewhere());
    }
    Verdict::Assign(placed(to, substatus, twin, from))
}

fn no_certificate_elsewhere() -> Failure {
    Failure {
        kind: FailureKind::Issuance,
        message: "No certificate is issued for a hub that lives elsewhere".to_owned(),
    }
}

/// What the entry's webhook is to be asked; none for an entry without one. A device that stays
/// where it is has no choice of hubs (L-14).
fn question(
    request: &RegistrationRequest,
    view: &RegistrationView,
    entry: Entry<'_>,
    stays_at: Option<&Assigned>,
) -> Option<Question> {
    let settings = entry.settings();
    let dps = &view.instance.dps;
    if policy(settings, dps) != AllocationPolicy::Custom {
        return None;
    }
    let record = view.registration.as_ref().map(|found| &found.value);
    let linked_hubs = match stays_at {
        Some(current) => vec![current.hub.clone()],
        None => candidates(settings, dps).into_iter().map(|hub| hub.host.clone()).collect(),
    };
    Some(Question {
        entry: entry.reference(),
        version: entry.etag().clone(),
        webhook: settings.custom_allocation.clone()?,
        current: record.and_then(|record| record.assignment.clone()),
        linked_hubs,
        payload: request.payload.clone(),
    })
}

/// What a webhook chose, noted in the explanation either way.
fn chosen<'c>(
    consulted: &'c Consulted,
    steps: &mut Vec<Step>,
) -> Result<(HostName, &'c Answer), Failure> {
    let Consulted { question, answer } = consulted;
    let chosen = match answer {
        Ok(answer) => question.chosen(answer).map(|hub| (hub, answer)),
        Err(none) => Err(none.clone()),
    };
    steps.push(Step::Consulted {
        webhook: question.address().to_owned(),
        answer: match &chosen {
            Ok((hub, _)) => hub.to_string(),
            Err(none) => none.because.clone(),
        },
    });
    chosen.map_err(|none| none.failure())
}

/// The twin that a made identity begins with: the webhook's, else the entry's (W-03).
struct InitialTwin<'a>(Option<&'a Map<String, Value>>);

impl<'a> InitialTwin<'a> {
    fn of(settings: &'a Settings, answer: Option<&'a Answer>) -> Self {
        let answered = answer.and_then(|answer| answer.initial_twin.as_ref());
        Self(answered.or(settings.initial_twin.as_ref()))
    }

    fn tags(&self) -> Map<String, Value> {
        let tags = self.0.and_then(|twin| twin.get("tags")?.as_object());
        tags.cloned().unwrap_or_default()
    }

    fn desired(&self) -> Map<String, Value> {
        let desired = self.0.and_then(|twin| twin.get("properties")?.get("desired")?.as_object());
        desired.cloned().unwrap_or_default()
    }
}

/// D-16: a new record needs room; a renewal does not.
fn quota(
    view: &RegistrationView,
    record: Option<&Registration>,
    entry: Entry<'_>,
) -> Option<Verdict> {
    let registrations_max = view.instance.dps.quota.registrations;
    if view.registrations_counted < registrations_max {
        return None;
    }
    match record {
        Some(record) if record.counts() => None,
        Some(_) => Some(Verdict::Conclude(Conclusion::Failed {
            entry: entry.reference(),
            failure: Failure {
                kind: FailureKind::QuotaReached,
                message: format!(
                    "The provisioning service holds its maximum of {registrations_max} \
                     registrations"
                ),
            },
        })),
        None => Some(Verdict::Reject(Rejection::QuotaReached { registrations_max })),
    }
}

/// what the device showed here is what it will show to its hub.
fn credential(
    evidence: &Evidence,
    entry: Entry<'_>,
    registration_id: &RegistrationId,
) -> Option<HubCredential> {
    let keys = match (evidence, entry) {
        (Evidence::X509(presented), _) => {
            let thumbprint = presented.first()?.thumbprint();
            return Some(HubCredential::SelfSigned { thumbprint });
        }
        (Evidence::Sas(token), Entry::Group(group)) => match &group.attestation {
            GroupAttestation::SymmetricKey(keys) => {
                let shown = registration_id.as_str();
                let derived = |id: &str| (keys.primary.derive(id), keys.secondary.derive(id));
                let as_shown = derived(shown);
                // M-19: the device may have derived its key from the lower-case id.
                let is_lower_case = shown == registration_id.key();
                match is_lower_case
                    || token.is_signed_by(&as_shown.0)
                    || token.is_signed_by(&as_shown.1)
                {
                    true => as_shown,
                    false => derived(registration_id.key()),
                }
            }
            GroupAttestation::SigningCertificates(_)
            | GroupAttestation::CaReferences(_)
            | GroupAttestation::MakerCertificates(_)
            | GroupAttestation::MakerReferences(_) => return None,
        },
        (Evidence::Sas(_), Entry::Individual(individual)) => match &individual.attestation {
            IndividualAttestation::SymmetricKey(keys) => {
                (keys.primary.clone(), keys.secondary.clone())
            }
            IndividualAttestation::ClientCertificates(_)
            | IndividualAttestation::CaReferences(_)
            | IndividualAttestation::Tpm { .. } => return None,
        },
        (Evidence::Tpm(_), _) => return Some(HubCredential::Wrapped),
        (Evidence::None, _) => return None,
    };
    Some(HubCredential::Sas { primary: keys.0, secondary: keys.1 })
}

fn is_linked(view: &RegistrationView, hub: &HostName) -> bool {
    view.instance.dps.linked_hubs.iter().any(|linked| linked.host == *hub)
}

const fn mechanism(evidence: &Evidence) -> Option<Mechanism> {
    match evidence {
        Evidence::None => None,
        Evidence::X509(_) => Some(Mechanism::X509),
        Evidence::Sas(_) => Some(Mechanism::SymmetricKey),
        Evidence::Tpm(_) => Some(Mechanism::Tpm),
    }
}

fn outcome(verdict: &Verdict) -> Outcome {
    match verdict {
        Verdict::Assign(place) | Verdict::Keep(place) => Outcome::Assigned {
            hub: place.to.hub.clone(),
            device_id: place.to.device_id.clone(),
            substatus: place.substatus,
        },
        Verdict::Consult(_) => Outcome::Consulting,
        Verdict::Conclude(Conclusion::Disabled { entry }) => {
            Outcome::Disabled { entry: entry.clone() }
        }
        Verdict::Conclude(Conclusion::Failed { failure, .. }) => {
            Outcome::Failed { kind: failure.kind }
        }
        Verdict::Challenge(_) => Outcome::Challenged,
        Verdict::Reject(Rejection::Stranger { because }) => {
            Outcome::Rejected { because: because.to_string() }
        }
        Verdict::Reject(Rejection::QuotaReached { registrations_max }) => {
            Outcome::Rejected { because: format!("the quota of {registrations_max} is reached") }
        }
        Verdict::Reject(Rejection::Csr(fault)) => Outcome::Rejected { because: fault.to_string() },
    }
}

/// What a poll may tell of a stored record (settled D-13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollVerdict {
    /// The record as it is.
    Stored,
    /// The deciding entry is disabled or gone, or another one decides by now.
    Disabled,
    /// The caller could not show that it is the device.
    Stranger,
}

/// Judges a poll: no stored `assigned` is handed out after a disable has returned (D-13).
///
/// Where the deciding entry is gone, nothing is left to judge its evidence by: who knows the
/// operation's id, which was told to the device alone, is told `disabled`.
pub fn poll(
    registration_id: &RegistrationId,
    operation_id: &str,
    evidence: &Evidence,
    view: &RegistrationView,
    record: &Registration,
    now: Timestamp,
) -> PollVerdict {
    let begun = record.updated;
    let at = if now.since(begun) < limits::POLLED_WITH_OLD_TOKEN { begun } else { now };
    let told = told(registration_id, evidence, view, record, TokenExpiry::JudgedAt(at), now);
    let is_orphan = view.entry(&record.decided_by).is_none();
    match told == PollVerdict::Stranger && is_orphan && record.has_operation(operation_id) {
        true => PollVerdict::Disabled,
        false => told,
    }
}

/// Judges a look-up as a poll, of a caller that knows nothing but the registration id (D-03).
pub fn look_up(
    registration_id: &RegistrationId,
    evidence: &Evidence,
    view: &RegistrationView,
    record: &Registration,
    now: Timestamp,
) -> PollVerdict {
    told(registration_id, evidence, view, record, TokenExpiry::JudgedAt(now), now)
}

fn told(
    registration_id: &RegistrationId,
    evidence: &Evidence,
    view: &RegistrationView,
    record: &Registration,
    expiry: TokenExpiry,
    now: Timestamp,
) -> PollVerdict {
    match admission(registration_id, evidence, view, expiry, now) {
        Admission::Blocked(_) => PollVerdict::Disabled,
        Admission::Admitted(entry) if entry.reference() == record.decided_by => PollVerdict::Stored,
        Admission::Admitted(_) => match record.status {
            // Another entry lets the device in by now: it has to register again.
            RegistrationStatus::Assigned | RegistrationStatus::Assigning => PollVerdict::Disabled,
            RegistrationStatus::Unassigned
            | RegistrationStatus::Failed
            | RegistrationStatus::Disabled => PollVerdict::Stored,
        },
        Admission::Stranger(_) => PollVerdict::Stranger,
    }
}
