//! The port for telemetry: its own writer, its own files (settled D-31).

pub mod memory;

use std::fmt;

use async_trait::async_trait;
use hub::telemetry::{Event, Position};
use model::HostName;

/// Where telemetry is kept.
#[async_trait]
pub trait TelemetryLog: Send + Sync {
    /// Appends an event: durable when this returns `Ok`.
    async fn append(&self, hub: &HostName, event: Event) -> Result<Position, TelemetryError>;

    /// Events of a partition from a sequence number on, at most `limit`.
    async fn read(
        &self,
        hub: &HostName,
        partition: u32,
        from: u64,
        limit: usize,
    ) -> Result<Vec<(Position, Event)>, TelemetryError>;
}

/// An event was not kept, or could not be read.
#[derive(Debug)]
pub enum TelemetryError {
    /// The disk is full; what was acknowledged stays.
    Full,
    /// More events wait than the bound allows.
    Busy,
    /// The log is broken.
    Unavailable(std::io::Error),
}

impl fmt::Display for TelemetryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the disk that holds telemetry is full"),
            Self::Busy => f.write_str("too many events are waiting"),
            Self::Unavailable(_) => f.write_str("the telemetry log is unavailable"),
        }
    }
}

impl std::error::Error for TelemetryError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unavailable(source) => Some(source),
            Self::Full | Self::Busy => None,
        }
    }
}
