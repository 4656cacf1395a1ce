//! The members of an enrollment, for readers that want to hear of a misspelled one.
//!
//! Source: `dps-service-api` §1.8.

use serde_json::Value;

/// The members of an object.
pub(super) struct Shape(&'static [(&'static str, Of)]);

/// What a member holds.
enum Of {
    /// A value, or free JSON of the operator's.
    Free,
    /// An object with members of its own.
    Object(&'static Shape),
}

use Of::{Free, Object};

const SLOTS: Shape =
    Shape(&[("primary", Object(&CERTIFICATE)), ("secondary", Object(&CERTIFICATE))]);
const CERTIFICATE: Shape = Shape(&[("certificate", Free), ("info", Free)]);
const X509: Shape = Shape(&[
    ("clientCertificates", Object(&SLOTS)),
    ("signingCertificates", Object(&SLOTS)),
    ("caReferences", Object(&Shape(&[("primary", Free), ("secondary", Free)]))),
    ("certifies", Free),
]);
const ATTESTATION: Shape = Shape(&[
    ("type", Free),
    ("tpm", Object(&Shape(&[("endorsementKey", Free), ("storageRootKey", Free)]))),
    ("x509", Object(&X509)),
    ("symmetricKey", Object(&Shape(&[("primaryKey", Free), ("secondaryKey", Free)]))),
]);
/// An individual enrollment, with what the service adds to its answers.
pub(super) const INDIVIDUAL: Shape = Shape(&[
    ("registrationId", Free),
    ("deviceId", Free),
    ("registrationState", Free),
    ("optionalDeviceInformation", Free),
    ("attestation", Object(&ATTESTATION)),
    ("capabilities", Object(&Shape(&[("iotEdge", Free)]))),
    ("iotHubHostName", Free),
    ("initialTwin", Free),
    ("etag", Free),
    ("provisioningStatus", Free),
    (
        "reprovisionPolicy",
        Object(&Shape(&[("updateHubAssignment", Free), ("migrateDeviceData", Free)])),
    ),
    ("createdDateTimeUtc", Free),
    ("lastUpdatedDateTimeUtc", Free),
    ("allocationPolicy", Free),
    ("iotHubs", Free),
    ("customAllocationDefinition", Object(&Shape(&[("webhookUrl", Free), ("apiVersion", Free)]))),
    ("credentialPolicyName", Free),
]);

/// The path of the first member that the shape does not have; its name is cut short.
pub(super) fn unknown_member(value: &Value, shape: &Shape) -> Option<String> {
    value.as_object()?.iter().find_map(|(name, value)| {
        match shape.0.iter().find(|(known, _)| known == name) {
            None => Some(name.chars().take(64).collect()),
            Some((_, Free)) => None,
            Some((_, Object(shape))) => {
                unknown_member(value, shape).map(|path| format!("{name}.{path}"))
            }
        }
    })
}
