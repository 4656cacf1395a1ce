//! The machine's clock and randomness.

use std::time::SystemTime;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use model::Timestamp;
use service::{Clock, Entropy};

/// The machine's clock.
#[derive(Debug)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn now(&self) -> Timestamp {
        match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => Timestamp::from_unix_seconds(0).plus(since),
            Err(before) => Timestamp::from_unix_seconds(0).minus(before.duration()),
        }
    }
}

/// The machine's cryptographically secure randomness.
#[derive(Debug, Default)]
pub(crate) struct SystemEntropy(SystemRandom);

impl Entropy for SystemEntropy {
    #[expect(clippy::expect_used, reason = "a machine without randomness can serve nobody")]
    fn fill(&self, bytes: &mut [u8]) {
        self.0.fill(bytes).expect("the machine gives randomness");
    }
}
