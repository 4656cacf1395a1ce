//! Telemetry: what a device sends, as it is kept.

use model::{DeviceId, Timestamp};

/// One device-to-cloud message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The device that sent it.
    pub device_id: DeviceId,
    /// The sender's generation.
    pub generation_id: i64,
    /// How the sender had signed in: `sas` or `x509`.
    pub auth_type: AuthType,
    /// When the hub took it.
    pub enqueued: Timestamp,
    /// System properties such as `$.mid`, decoded, in the order sent.
    pub system_properties: Vec<(String, String)>,
    /// The application's properties, decoded, in the order sent; none for a key without `=`.
    pub properties: Vec<(String, Option<String>)>,
    /// The payload.
    pub body: Vec<u8>,
}

/// How a sender had signed in, as event readers are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthType {
    /// With a token.
    Sas,
    /// With a certificate.
    X509,
}

/// Where an event lies: stable for as long as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The partition, 0 up to the hub's count.
    pub partition: u32,
    /// Grows by one with each event of the partition, from 0.
    pub sequence: u64,
}

/// The partition of a device: one device's events keep their order.
pub fn partition(device_id: &DeviceId, partitions: u32) -> u32 {
    let hash = attestation::sha256(device_id.as_str().as_bytes());
    let [a, b, c, d, ..] = hash.0;
    u32::from_be_bytes([a, b, c, d]) % partitions.max(1)
}
