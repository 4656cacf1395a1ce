//! The key that a TPM must sign with: derived, so that any node can finish what another began.

use std::time::Duration;

use model::{IdScope, RegistrationId, Timestamp};

use super::public::Name;
use crate::SymmetricKey;
use crate::sas::SasToken;

/// How long one derived key is handed out; a device has at least this long to answer.
///
/// Source: ours. Slow TPMs take seconds, and Java's SDK sleeps in steps of four.
pub const CHALLENGE_SLOT: Duration = Duration::from_secs(300);

/// Separates these derivations from any other of the same secret.
const PURPOSE: &str = "muster/tpm/challenge/1";

/// What a challenge's key is bound to, beside the time (settled D-25).
#[derive(Clone, Copy, Debug)]
pub struct Challenge<'c> {
    /// The instance that asks.
    pub id_scope: &'c IdScope,
    /// The claim, compared without case.
    pub registration_id: &'c RegistrationId,
    /// The enrolled endorsement key.
    pub endorsement_key: &'c Name,
    /// The storage root key that the device shows.
    pub storage_root_key: &'c Name,
    /// What the last commit under this registration id left there, such as its record's etag. A
    /// commit that changes it thereby consumes every key derived before.
    pub after: &'c str,
}

impl Challenge<'_> {
    /// The key that is handed out at an instant; `secret` is the same at every node.
    #[must_use]
    pub fn key(&self, secret: &SymmetricKey, now: Timestamp) -> SymmetricKey {
        let fields: [&[u8]; 6] = [
            PURPOSE.as_bytes(),
            self.id_scope.key().as_bytes(),
            self.registration_id.key().as_bytes(),
            self.endorsement_key.as_bytes(),
            self.storage_root_key.as_bytes(),
            self.after.as_bytes(),
        ];
        let mut message = slot(now).to_be_bytes().to_vec();
        for field in fields {
            message.extend((field.len() as u64).to_be_bytes());
            message.extend(field);
        }
        secret.derive_from(&message)
    }

    /// The key that signed a token, if it is one that was handed out lately: in this slot or the
    /// one before, or in the next one by a node whose clock is ahead.
    ///
    /// What the token is for and when it expires is judged apart, as for any other token.
    pub fn answered(
        &self,
        secret: &SymmetricKey,
        token: &SasToken,
        now: Timestamp,
    ) -> Option<SymmetricKey> {
        [now, now.minus(CHALLENGE_SLOT), now.plus(CHALLENGE_SLOT)]
            .into_iter()
            .map(|instant| self.key(secret, instant))
            .find(|key| token.is_signed_by(key))
    }
}

const fn slot(instant: Timestamp) -> i64 {
    instant.unix_seconds().div_euclid(CHALLENGE_SLOT.as_secs().cast_signed())
}
