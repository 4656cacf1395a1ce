//! A device sends one message without staying connected, as HTTP does.

use store::telemetry::TelemetryError;

use crate::{ConnectError, Connecting, Message, Service};

/// Why a message was not taken.
#[derive(Debug)]
pub enum SendError {
    /// The device may not send.
    Refused(ConnectError),
    /// The message could not be kept.
    Telemetry(TelemetryError),
}

impl Service {
    /// Judges a device and takes one message of it: durable when this returns `Ok`.
    ///
    /// For that long there is a session, so that a change which denies the device waits for the
    /// message or stops it; a longer session of the same device goes on beside it.
    ///
    /// # Errors
    /// [`SendError`]; the message was not taken then.
    pub async fn send(&self, connecting: Connecting, message: Message) -> Result<(), SendError> {
        let (session, _) = self.judged(connecting).await.map_err(SendError::Refused)?;
        let Some((_operation, permit)) = session.begin().await else {
            return Err(SendError::Refused(ConnectError::Closed(session.closing().await)));
        };
        self.telemetry(&session, &permit, message).await.map_err(SendError::Telemetry)
    }
}
