//! Devices to register: each with an id, a key and a certificate of its own.

use crate::server::ID_SCOPE;
use e2e::{Authority, Tls, derived_key, escape, in_seconds, sas_token};
use std::path::Path;

/// How long a device's token is good for, in seconds.
const TOKEN_LIFE: i64 = 3_600;

/// One device.
pub(crate) struct Device {
    pub(crate) id: String,
    /// How it speaks TLS: with its chain, or without one.
    pub(crate) tls: Tls,
    /// Its token, where it has no certificate.
    pub(crate) token: Option<String>,
}

/// Devices with a certificate each below one intermediate; they trust `ca`.
pub(crate) fn by_certificate(
    name: &str,
    count: usize,
    ca: &Path,
    issuer: &Authority,
) -> Vec<Device> {
    let device = |number| {
        let id = format!("{name}-{number}");
        let (chain, key) = issuer.device_chain(&id);
        Device { tls: Tls::showing(ca, chain, &key), id, token: None }
    };
    (0..count).map(device).collect()
}

/// Devices of a symmetric-key group; they trust `ca`.
pub(crate) fn by_key(name: &str, count: usize, ca: &Path, group_key: &str) -> Vec<Device> {
    let tls = Tls::trusting(ca);
    let device = |number| {
        let id = format!("{name}-{number}");
        let resource = escape(&format!("{ID_SCOPE}/registrations/{id}"));
        let key = derived_key(group_key, &id);
        let token = sas_token(&resource, &key, in_seconds(TOKEN_LIFE), Some("registration"));
        Device { id, tls: tls.clone(), token: Some(token) }
    };
    (0..count).map(device).collect()
}
