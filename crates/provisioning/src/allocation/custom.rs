//! Custom allocation: a webhook of the operator's says where a device goes (L-07, L-14, W-01 to
//! W-10).
//!
//! Nothing is asked here. A decision that needs an answer ends in the [`Question`]; whoever asks it
//! comes back with an [`Answer`], and the decision is made again, on fresh rows. An answer counts
//! only while the question is still the same.

use model::{Etag, HostName};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::enrollment::{CustomAllocation, EntryRef};
use crate::registration::{Assigned, Failure, FailureKind};

/// What the webhook is asked about one device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// The entry that let the device in.
    pub entry: EntryRef,
    /// The version of that entry.
    pub version: Etag,
    /// Whom to ask, and in which form.
    pub webhook: CustomAllocation,
    /// Where the device is now, if anywhere (W-01).
    pub current: Option<Assigned>,
    /// The hubs to choose from (L-02); the current one alone where the device stays (L-14).
    pub linked_hubs: Vec<HostName>,
    /// What the device sent along (W-05).
    pub payload: Option<Value>,
}

/// What the webhook says of one device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The hub that it chose, as it wrote it.
    pub hub: String,
    /// A first twin in place of the entry's (W-03).
    pub initial_twin: Option<Map<String, Value>>,
    /// What the device is handed (W-04).
    pub payload: Option<Value>,
}

/// A question that was asked, and what came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Consulted {
    /// What was asked.
    pub question: Question,
    /// What was answered.
    pub answer: Result<Answer, NoAnswer>,
}

/// Why a webhook gave no answer that counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoAnswer {
    /// The status that it answered with, where that is the reason.
    pub status: Option<u16>,
    /// The reason in words, for the operator.
    pub because: String,
}

impl Question {
    /// The webhook's address without its query, which may hold a key (W-10).
    pub fn address(&self) -> &str {
        let url = self.webhook.webhook_url.as_str();
        url.split_once(['?', '#']).map_or(url, |(address, _)| address)
    }

    /// The hub that an answer chooses, by the hub's own name.
    ///
    /// # Errors
    /// W-06: [`NoAnswer`] where it is none of those offered.
    pub(crate) fn chosen(&self, answer: &Answer) -> Result<HostName, NoAnswer> {
        let named = HostName::parse(&answer.hub).ok();
        named.filter(|hub| self.linked_hubs.contains(hub)).ok_or_else(|| NoAnswer {
            status: None,
            because: format!("it chose {:?}, which was not offered", answer.hub),
        })
    }
}

impl NoAnswer {
    /// The failure of W-06, as the device reads it; the reason in words is the operator's to see.
    pub(crate) fn failure(&self) -> Failure {
        let message = match self.status {
            Some(status) => format!("Custom allocation failed with status code: {status}"),
            None => "Custom allocation failed".to_owned(),
        };
        Failure { kind: FailureKind::CustomAllocation, message }
    }
}
