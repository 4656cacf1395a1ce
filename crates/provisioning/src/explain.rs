//! Why an attempt came out as it did: typed steps, kept with the record and shown to operators.

use model::{DeviceId, HostName, RegionName, RegistrationId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::enrollment::{AllocationPolicy, EntryRef, Mechanism};
use crate::registration::{ChainMember, FailureKind, Substatus};
use crate::reprovision::Order;

/// The story of one attempt, in the order in which it was judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The claim.
    pub registration_id: RegistrationId,
    /// The clock by which validity and expiry were judged.
    pub at: Timestamp,
    /// What kind of evidence was shown; none where nothing was.
    pub mechanism: Option<Mechanism>,
    /// Hashes of every member of the chain as judged, leaf first; empty without a chain (D-08).
    pub chain: Vec<ChainMember>,
    /// What was considered, in order.
    pub steps: Vec<Step>,
    /// What came of it.
    pub outcome: Outcome,
}

/// How an entry came to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FoundBy {
    /// Its registration id is the presented one (M-02).
    RegistrationId,
    /// It holds the presented leaf certificate (M-03).
    LeafCertificate,
    /// It holds the presented endorsement key.
    EndorsementKey,
    /// It names a certificate of the chain (M-08).
    SigningCertificate,
    /// One of its keys might have derived the device's key (M-18).
    DerivedKey,
}

/// Why evidence was not believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Disbelief {
    /// The device showed neither a certificate nor a token.
    NoEvidence,
    /// The entry asks for evidence of another kind.
    OtherMechanism {
        /// What the entry asks for.
        wanted: Mechanism,
    },
    /// The leaf is not one of the entry's certificates.
    OtherCertificate,
    /// The chain, or the leaf alone, does not hold; the text says where.
    Chain {
        /// What is wrong, in words.
        because: String,
    },
    /// The chain ends below every verified CA certificate of the instance (M-12).
    CaMissing {
        /// What is missing, in words.
        because: String,
    },
    /// The leaf's common name is missing, ambiguous, or not the registration id.
    CommonName {
        /// What is wrong, in words.
        because: String,
    },
    /// Neither key made the token's signature.
    Signature,
    /// The token has expired.
    TokenExpired {
        /// When it did.
        expires: Timestamp,
    },
    /// The token was made for another resource.
    TokenResource,
    /// No certificate of the chain belongs to the entry.
    NotInChain,
    /// No individual enrollment of this registration id holds the endorsement key (M-24, M-25),
    /// and no certificate for it is shown.
    EndorsementKey,
    /// The endorsement certificate does not vouch for the TPM under this registration id.
    EndorsementCertificate {
        /// What is wrong, in words.
        because: String,
    },
    /// The TPM has yet to sign with the key that it is challenged with (D-25).
    Unanswered,
}

/// One step of a judgment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// An entry was looked at.
    Considered {
        /// Which.
        entry: EntryRef,
        /// How it was found.
        by: FoundBy,
        /// Whether it lets devices in.
        enabled: bool,
    },
    /// The evidence holds against the entry.
    Believed {
        /// Which.
        entry: EntryRef,
    },
    /// The evidence does not hold against the entry.
    Disbelieved {
        /// Which.
        entry: EntryRef,
        /// Why.
        because: Disbelief,
    },
    /// The presented chain was judged as a whole.
    ChainRefused {
        /// What is wrong, in words.
        because: String,
    },
    /// The chain holds up to a verified CA certificate.
    ChainHolds {
        /// The subject of the nearest verified CA.
        anchor: String,
    },
    /// What has expired is let pass, as the operator has made an exception for the entry.
    ExpiryExcused {
        /// Which.
        entry: EntryRef,
        /// What has expired, in words.
        because: String,
        /// When the exception ends.
        until: Timestamp,
    },
    /// The entry decides, by the rule that is named.
    Decides {
        /// Which.
        entry: EntryRef,
        /// The rule, such as `D-02`.
        rule: String,
    },
    /// An earlier assignment was found.
    AssignedBefore {
        /// The hub's host name.
        hub: HostName,
    },
    /// An operator ordered to provision it anew, which goes before the reprovision policy.
    Ordered {
        /// What was ordered.
        order: Order,
    },
    /// The reprovision policy keeps the device where it is.
    Stays,
    /// The operator's webhook was asked for a hub.
    Consulted {
        /// Its address, without the query.
        webhook: String,
        /// What it answered, or why it did not, in words.
        answer: String,
    },
    /// The device's region decided, by the latency of the hub that is chosen next (L-05).
    Near {
        /// The region.
        region: RegionName,
        /// From there to the hub.
        milliseconds: u32,
    },
    /// A hub was chosen.
    Allocated {
        /// The hub's host name.
        hub: HostName,
        /// How.
        by: AllocationPolicy,
    },
    /// The device's request for a certificate holds; what is assigned gets one.
    Certified {
        /// The credential policy.
        policy: String,
        /// Whether it is the one that it was given for the same request before.
        again: bool,
    },
    /// The registry of a hub that lives elsewhere was written to.
    Provisioned {
        /// The hub's host name.
        hub: HostName,
        /// What was done there, or why it could not be, in words.
        result: String,
    },
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// Under way: a webhook is being asked.
    Consulting,
    /// Under way: a hub that lives elsewhere is being written to.
    Provisioning {
        /// The hub's host name.
        hub: HostName,
    },
    /// On a hub.
    Assigned {
        /// The hub's host name.
        hub: HostName,
        /// The device's id there.
        device_id: DeviceId,
        /// How it came there.
        substatus: Substatus,
    },
    /// Refused by a disabled entry.
    Disabled {
        /// Which.
        entry: EntryRef,
    },
    /// Let in, but not assigned.
    Failed {
        /// What went wrong.
        kind: FailureKind,
    },
    /// The TPM was challenged: it has to call again with a token.
    Challenged,
    /// Refused: no entry believed the evidence.
    Rejected {
        /// The rule in words.
        because: String,
    },
}

impl std::fmt::Display for Disbelief {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoEvidence => f.write_str("neither a certificate nor a token was shown"),
            Self::OtherMechanism { wanted } => write!(f, "the entry wants {wanted:?} evidence"),
            Self::OtherCertificate => {
                f.write_str("the leaf is not one of the entry's certificates")
            }
            Self::Chain { because } => write!(f, "the chain does not hold: {because}"),
            Self::CaMissing { because } => write!(f, "no verified CA is reached: {because}"),
            Self::CommonName { because } | Self::EndorsementCertificate { because } => {
                f.write_str(because)
            }
            Self::Signature => f.write_str("no key that could have signed the token is enrolled"),
            Self::TokenExpired { expires } => write!(f, "the token expired at {expires}"),
            Self::TokenResource => f.write_str("the token was made for another resource"),
            Self::NotInChain => f.write_str("no certificate of the chain is enrolled"),
            Self::EndorsementKey => {
                f.write_str("the endorsement key is not enrolled under this registration id")
            }
            Self::Unanswered => f.write_str("the TPM has yet to answer the challenge"),
        }
    }
}
