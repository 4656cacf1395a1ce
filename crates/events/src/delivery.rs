//! An event on its way to a subscription.

use model::{SubscriptionName, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{EventType, Source};

/// An event as it happened, the same for all subscriptions and at every try.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// A GUID; receivers tell a repetition by it.
    pub id: String,
    /// The kind.
    pub event_type: EventType,
    /// Where it happened.
    pub source: Source,
    /// What it is about.
    pub subject: String,
    /// When it happened.
    pub time: Timestamp,
    /// What is told, in its form on the wire.
    pub data: Value,
}

/// An event on its way to one subscription; a row of its own, written with what it tells of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// To whom.
    pub subscription: SubscriptionName,
    /// What.
    pub event: Event,
    /// Since when it is tried.
    pub since: Timestamp,
    /// How often it was tried, since then.
    pub tries: u32,
    /// When it is tried next.
    pub due: Timestamp,
    /// The latest try.
    pub last: Option<Tried>,
    /// Why it is tried no more; none while it is.
    pub dead: Option<Dead>,
}

/// A try that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tried {
    /// When it ended.
    pub at: Timestamp,
    /// What came of it, for the operator.
    pub outcome: String,
}

/// Why and when a delivery was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dead {
    /// Why.
    pub reason: DeadReason,
    /// When.
    pub at: Timestamp,
}

/// Why a delivery was given up; the words are Event Grid's `deadLetterReason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeadReason {
    /// It was tried as often as the subscription allows.
    MaxDeliveryAttemptsExceeded,
    /// It is older than the subscription allows.
    TimeToLiveExceeded,
    /// The receiver has said that it never takes it.
    UndeliverableDueToClientError,
}

/// A delivery as the store has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Queued {
    /// Its number, in the order of commits, never given twice.
    pub number: u64,
    /// It.
    pub delivery: Delivery,
}

impl Delivery {
    /// An event that was not tried yet.
    pub const fn new(subscription: SubscriptionName, event: Event, now: Timestamp) -> Self {
        Self { subscription, event, since: now, tries: 0, due: now, last: None, dead: None }
    }

    /// The same, tried from the beginning.
    #[must_use]
    pub fn again(self, now: Timestamp) -> Self {
        Self { since: now, tries: 0, due: now, dead: None, ..self }
    }
}
