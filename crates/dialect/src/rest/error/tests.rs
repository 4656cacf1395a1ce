//! Everything that can be refused × both services.

use ::hub::draft::{DraftError as DeviceError, Slot as DeviceSlot};
use ::hub::permit;
use attestation::network::Refused;
use attestation::tpm::PublicError;
use attestation::x509::issuing::KeyType;
use attestation::{access, bearer as tokens};
use model::IdError;
use provisioning::decide::Rejection;
use provisioning::draft::{DraftError, Slot, X509Member};
use provisioning::enrollment::Mechanism;
use provisioning::explain::Disbelief;
use provisioning::issuance::CsrFault;
use serde_json::json;

use super::*;
use crate::samples::{NOW, TRACKING, group_entry, text, value};

/// `status code name [retry] message`, and that they agree.
fn line(error: &WireError) -> String {
    assert_eq!(u32::from(error.status), error.code / 1000, "{error:?}");
    assert!(!error.message.is_empty() && !error.message.ends_with(".."), "{error:?}");
    assert!(error.retry_after.is_none() || error.status == 429 || error.status == 503);
    let retry = error.retry_after.map(|s| format!(" (in {s} s)")).unwrap_or_default();
    format!("{} {}{retry}", error.code, error.message)
}

fn disbeliefs() -> Vec<Disbelief> {
    let because = || "the CA key of site 7 is unknown".to_owned();
    vec![
        Disbelief::NoEvidence,
        Disbelief::OtherMechanism { wanted: Mechanism::X509 },
        Disbelief::OtherMechanism { wanted: Mechanism::SymmetricKey },
        Disbelief::OtherMechanism { wanted: Mechanism::Tpm },
        Disbelief::OtherCertificate,
        Disbelief::Chain { because: because() },
        Disbelief::CommonName { because: because() },
        Disbelief::Signature,
        Disbelief::TokenExpired { expires: NOW },
        Disbelief::TokenResource,
        Disbelief::NotInChain,
        Disbelief::EndorsementKey,
        Disbelief::EndorsementCertificate { because: because() },
        Disbelief::Unanswered,
        Disbelief::CaMissing { because: because() },
    ]
}

#[test]
fn a_stranger_learns_the_class_of_its_evidence_alone() {
    for because in disbeliefs() {
        let unknown_ca = matches!(because, Disbelief::NotInChain | Disbelief::CaMissing { .. });
        let rejection = Rejection::Stranger { because };
        let told = |shown| line(&dps(DpsFault::Rejected(&rejection, shown)));
        let x509 = match unknown_ca {
            true => "401002 CA certificate not found.",
            false => "401002 Invalid certificate.",
        };
        assert_eq!(told(Some(Mechanism::X509)), x509, "{rejection:?}");
        for shown in [Some(Mechanism::SymmetricKey), None] {
            assert_eq!(told(shown), "401000 Unauthorized", "{rejection:?}");
        }
        // M-25, S-10; what else a TPM can be told is that it is to answer.
        let Rejection::Stranger { because } = &rejection else { unreachable!() };
        let unanswered = matches!(because, Disbelief::Unanswered);
        let tpm = match unanswered {
            true => "401000 Unauthorized",
            false => "404201 Enrollment not found.",
        };
        assert_eq!(told(Some(Mechanism::Tpm)), tpm, "{rejection:?}");
    }
    let polled = |shown| line(&dps(DpsFault::Stranger(shown)));
    assert_eq!(polled(Some(Mechanism::X509)), "401002 Invalid certificate.");
    assert_eq!(polled(Some(Mechanism::SymmetricKey)), "401000 Unauthorized");
    assert_eq!(polled(None), "401000 Unauthorized");
}

#[test]
fn the_registration_quota_is_a_refusal_of_its_own() {
    let rejection = Rejection::QuotaReached { registrations_max: 7 };
    assert_eq!(
        line(&dps(DpsFault::Rejected(&rejection, None))),
        "403001 The provisioning service holds its maximum of 7 registrations."
    );
}

#[test]
fn a_12_a_bad_signing_request_is_400_with_its_reason() {
    let csr = |fault| line(&dps(DpsFault::Rejected(&Rejection::Csr(fault), None)));
    let because = "is for \"x\", not for dev-1".to_owned();
    for (fault, expected) in [
        (
            CsrFault::NoPolicy,
            "csr: the enrollment has no credential policy to issue certificates by.",
        ),
        (CsrFault::CommonName { because }, "csr: is for \"x\", not for dev-1."),
        (CsrFault::WantsCa, "csr: asks for a CA certificate."),
        (
            CsrFault::Key { found: None, allowed: vec![KeyType::P384, KeyType::P256] },
            "csr: the key is of another kind or size, or weak; the policy takes P-384, P-256.",
        ),
        (
            CsrFault::Signature { because: "no".to_owned() },
            "csr: is not signed with the key that it is for: no.",
        ),
    ] {
        assert_eq!(csr(fault), format!("400004 {expected}"));
    }
}

#[test]
fn failures_in_records_have_the_codes_that_c_branches_on() {
    let codes = [
        (FailureKind::CustomAllocation, 400_207),
        (FailureKind::NoHub, 400_208),
        (FailureKind::HubRefused, 400_209),
        (FailureKind::QuotaReached, 403_001),
        (FailureKind::Issuance, 400_210),
    ];
    for (kind, code) in codes {
        assert_eq!(failure_code(kind), code);
    }
}

#[test]
fn k_07_k_08_a_token_that_does_not_hold_is_401_and_a_missing_right_403() {
    for denied in [
        access::Denied::UnknownPolicy,
        access::Denied::Signature,
        access::Denied::Expired,
        access::Denied::Resource,
    ] {
        assert_eq!(line(&dps(denied)), "401002 Unauthorized");
        assert_eq!(line(&hub(denied)), "401002 Unauthorized");
    }
    assert_eq!(
        line(&dps(access::Denied::Right)),
        "403001 The shared access policy does not have the right to do this."
    );
    // A hub answers 401 to this as well.
    assert_eq!(line(&hub(access::Denied::Right)), "401002 Unauthorized");
}

#[test]
fn a_device_that_may_not_connect_is_not_told_why() {
    for denied in [
        permit::Denied::UnknownDevice,
        permit::Denied::DeviceDisabled,
        permit::Denied::NoEvidence,
        permit::Denied::OtherMechanism,
        permit::Denied::Signature,
        permit::Denied::TokenExpired,
        permit::Denied::TokenResource,
        permit::Denied::OtherCertificate,
        permit::Denied::IssuerRevoked,
        permit::Denied::CertificateValidity,
        permit::Denied::OtherGeneration,
    ] {
        assert_eq!(line(&hub(&denied)), "401003 Unauthorized");
        assert_eq!(hub(&denied).hub_code_name, "IotHubUnauthorized");
    }
    let denied = permit::Denied::Policy(access::Denied::Right);
    assert_eq!(line(&hub(&denied)), "401002 Unauthorized");
    let denied = permit::Denied::Network(Refused::Public { from: "203.0.113.1".parse().unwrap() });
    let told = "403100 Public network access is disabled, and 203.0.113.1 is in no private network \
                of this server.";
    assert_eq!(line(&hub(&denied)), told);
    assert_eq!(hub(&denied).hub_code_name, "IpAddressRejected");
}

#[test]
fn k_20_a_bearer_is_told_what_is_wrong_with_a_token_that_was_signed() {
    use tokens::Denied;
    let unbelieved = [
        Denied::TooLong,
        Denied::Malformed,
        Denied::Algorithm,
        Denied::UnknownIssuer,
        Denied::UnknownKey { issuer: "x".to_owned() },
        Denied::Signature,
    ];
    for denied in &unbelieved {
        for error in [dps(denied), hub(denied)] {
            assert_eq!(line(&error), "401002 Unauthorized");
            assert_eq!(error.challenge.as_deref(), Some("Bearer error=\"invalid_token\""));
        }
    }
    let expired = dps(&Denied::Expired);
    assert_eq!(line(&expired), "401002 The token has expired.");
    let told = "Bearer error=\"invalid_token\", error_description=\"The token has expired\"";
    assert!(expired.headers(TRACKING).contains(&("WWW-Authenticate", told.to_owned())));
    for (error, code) in [(dps(&Denied::Right), 403_001), (hub(&Denied::Right), 403_000)] {
        assert_eq!(line(&error), format!("{code} The token gives no role that may do this."));
        assert!(error.challenge.is_some_and(|told| told.contains("insufficient_scope")));
    }
    let nothing = dps(&ApiFault::Unauthorized);
    assert_eq!(nothing.challenge, None);
    assert_eq!(nothing.asking_for_a_token().challenge.as_deref(), Some("Bearer"));
}

fn draft_errors() -> Vec<DraftError> {
    let text = || "x".to_owned();
    let member = X509Member::ClientCertificates;
    vec![
        DraftError::OtherId { addressed: text(), named: text() },
        DraftError::DeviceId { given: text(), because: IdError::Empty },
        DraftError::AttestationMissing(Mechanism::X509),
        DraftError::AttestationOfOther { mechanism: Mechanism::X509, other: Mechanism::Tpm },
        DraftError::X509Members { given: 2 },
        DraftError::TpmGroup,
        DraftError::MakersOfIndividual,
        DraftError::CertifiesChanged,
        DraftError::SigningCertificatesOfIndividual,
        DraftError::ClientCertificatesOfGroup,
        DraftError::NoCertificate(member),
        DraftError::Certificate { member, slot: Slot::Primary, because: text() },
        DraftError::UnknownCertificate { member, slot: Slot::Secondary },
        DraftError::UnknownCa { slot: Slot::Primary, name: text() },
        DraftError::SymmetricKey { slot: Slot::Primary },
        DraftError::EndorsementKey { because: PublicError::Roca },
        DraftError::StorageRootKey,
        DraftError::MechanismChanged { from: Mechanism::X509, to: Mechanism::Tpm },
        DraftError::CustomAllocationMissing { member: "customAllocationDefinition" },
        DraftError::WebhookUrl,
        DraftError::WebhookApiVersion,
        DraftError::HubsWithoutPolicy,
        DraftError::StaticWithSeveralHubs { given: 2 },
        DraftError::HubNotLinked { hub: text() },
    ]
}

#[test]
fn an_enrollment_that_breaks_a_rule_is_400004_and_names_what_to_mend() {
    for error in draft_errors() {
        let wire = dps(&error);
        assert_eq!(wire.code, 400_004, "{error:?}");
        assert_eq!(line(&wire), format!("400004 {error}."));
    }
}

#[test]
fn v_12_v_30_a_credential_of_another_entry_is_409() {
    let by = group_entry();
    let expected = "409202 The certificate is in use by enrollment group group-1: \
                    a certificate belongs to one enrollment only.";
    assert_eq!(line(&dps(&DraftError::CertificateInUse { by: by.clone() })), expected);
    let found = ApiFault::CertificateInUse { by: by.to_string() };
    assert_eq!(line(&dps(&found)), expected);
    assert_eq!(
        line(&dps(&DraftError::EndorsementKeyInUse { by })),
        "409202 The endorsement key is in use by enrollment group group-1."
    );
}

#[test]
fn a_device_identity_that_breaks_a_rule_is_400() {
    let cases = [
        (DeviceError::OtherId { addressed: "a".into(), named: "b".into() }, 400_004),
        (DeviceError::StatusReason, 400_004),
        (DeviceError::OneKey, 400_004),
        (DeviceError::SymmetricKey(DeviceSlot::Primary), 400_004),
        (DeviceError::NoThumbprint, 400_004),
        (DeviceError::Thumbprint(DeviceSlot::Secondary), 400_004),
        (DeviceError::ThumbprintLengths, 400_004),
        (DeviceError::DeviceScope, 400_028),
    ];
    for (error, code) in cases {
        assert_eq!(line(&hub(&error)), format!("{code} {error}"));
    }
}

/// All faults of a call: the answer of a provisioning service, that of a hub and its name.
#[test]
fn faults_of_a_call_have_their_codes_at_both_services() {
    let check = |fault: ApiFault, at_dps: &str, at_hub: &str| {
        let error = hub(&fault);
        assert_eq!(line(&dps(&fault)), at_dps);
        assert_eq!(format!("{} {}", error.hub_code_name, line(&error)), at_hub);
    };
    not_found(check);
    let same = |fault: ApiFault, dps_code: u32, hub_code: &str| {
        let message = fault.to_string();
        check(fault, &format!("{dps_code} {message}"), &format!("{hub_code} {message}"));
    };
    same(ApiFault::BodyTooLarge { bytes_max: 9 }, 400_000, "MessageTooLarge 413001");
    same(ApiFault::TooDeep { levels: 32 }, 400_000, "GenericBadRequest 400000");
    same(ApiFault::Malformed { because: "x".into() }, 400_000, "IotHubFormatError 400006");
    same(ApiFault::Header { name: "If-Match" }, 400_000, "GenericBadRequest 400000");
    same(ApiFault::OtherRegistration, 400_000, "GenericBadRequest 400000");
    same(ApiFault::BulkSize { given: 11 }, 400_000, "GenericBadRequest 400000");
    same(ApiFault::DefinedTwice, 400_000, "DeviceDefinedMultipleTimes 400011");
    same(ApiFault::MissingApiVersion, 400_001, "InvalidProtocolVersion 400001");
    let unknown = ApiFault::UnknownApiVersion { given: "x".into() };
    same(unknown, 400_001, "InvalidProtocolVersion 400001");
    same(ApiFault::MissingMember { member: "attestation" }, 400_004, "ArgumentNull 400005");
    let word = ApiFault::UnknownWord { member: "m", given: "x".into(), known: &["a", "b"] };
    same(word, 400_004, "ArgumentInvalid 400004");
    let id = ApiFault::Id { of: "device", because: IdError::Empty };
    same(id, 400_004, "ArgumentInvalid 400004");
    same(ApiFault::Invalid("No.".into()), 400_004, "ArgumentInvalid 400004");
    let quota = ApiFault::QuotaReached { what: "devices", max: 3 };
    same(quota, 403_001, "IotHubQuotaExceeded 403002");
    same(ApiFault::Address("x".into()), 403_100, "IpAddressRejected 403100");
    same(ApiFault::ShutsOut("x".into()), 409_203, "GenericConflict 409000");
    same(ApiFault::Internal, 500_001, "ServerError 500001");
    check(
        ApiFault::AlreadyExists,
        "409201 It exists already: send If-Match to replace it.",
        "DeviceAlreadyExists 409001 Conflict",
    );
    check(
        ApiFault::PreconditionFailed,
        "412001 Precondition failed.",
        "PreconditionFailed 412001 Precondition failed: the version did not match",
    );
    check(
        ApiFault::MethodNotAllowed,
        "405000 Method not allowed.",
        "GenericMethodNotAllowed 405000 Method not allowed",
    );
    check(
        ApiFault::UnsupportedMediaType,
        "415000 The body's Content-Type is not application/json.",
        "GenericUnsupportedMediaType 415000 Content-Type is not application/json",
    );
    check(
        ApiFault::Unauthorized,
        "401000 Unauthorized",
        "IotHubUnauthorizedAccess 401002 Unauthorized",
    );
    check(ApiFault::Forbidden, "403001 Forbidden", "IotHubUnauthorizedAccess 401002 Unauthorized");
    check(
        ApiFault::CertificateInUse { by: "x".into() },
        "409202 The certificate is in use by x: a certificate belongs to one enrollment only.",
        "GenericConflict 409000 The certificate is in use by x: a certificate belongs to one \
         enrollment only.",
    );
    check(
        ApiFault::Throttled { retry_after: 4 },
        "429001 Operations are being throttled for this tenant. (in 4 s)",
        "ThrottlingException 429001 Operations are being throttled for this hub (in 4 s)",
    );
    check(
        ApiFault::StoreFull,
        "503001 The disk that holds the store is full. (in 5 s)",
        "ServiceUnavailable 503001 The disk that holds the store is full. (in 5 s)",
    );
    check(
        ApiFault::Busy,
        "503005 The server is busy: try again. (in 5 s)",
        "ServerBusy 503005 The server is busy: try again. (in 5 s)",
    );
}

fn not_found(check: impl Fn(ApiFault, &str, &str)) {
    let check = |missing, at_dps: &str, at_hub: &str| {
        check(ApiFault::NotFound(missing), at_dps, at_hub);
    };
    check(
        Missing::Enrollment,
        "404201 Enrollment not found.",
        "GenericNotFound 404000 Enrollment not found",
    );
    check(
        Missing::Registration,
        "404202 Registration not found.",
        "GenericNotFound 404000 Registration not found",
    );
    check(
        Missing::Operation,
        "404203 Operation not found.",
        "GenericNotFound 404000 Operation not found",
    );
    check(
        Missing::CaCertificate,
        "404000 CA certificate not found.",
        "GenericNotFound 404000 CA certificate not found",
    );
    check(
        Missing::Device { id: "d1".into() },
        "404001 Device d1 not found.",
        "DeviceNotFound 404001 d1",
    );
    check(
        Missing::ProvisioningService,
        "404000 Provisioning service not found.",
        "IotHubNotFound 404000 IoT hub not found",
    );
    check(Missing::Hub, "404000 IoT hub not found.", "IotHubNotFound 404000 IoT hub not found");
    check(
        Missing::Policy,
        "404000 Shared access policy not found.",
        "GenericNotFound 404000 Shared access policy not found",
    );
    check(
        Missing::Subscription,
        "404000 Event subscription not found.",
        "GenericNotFound 404000 Event subscription not found",
    );
    check(
        Missing::DeadLetter,
        "404000 Dead letter not found.",
        "GenericNotFound 404000 Dead letter not found",
    );
    check(
        Missing::ExpiryException,
        "404000 Expiry exception not found.",
        "GenericNotFound 404000 Expiry exception not found",
    );
    check(
        Missing::Path,
        "404000 There is nothing at this address.",
        "GenericNotFound 404000 There is nothing at this address",
    );
}

#[test]
fn bodies_of_the_provisioning_service_are_json_in_ascii() {
    let error = dps(&ApiFault::Invalid("grün.".to_owned()));
    let body = error.json(TRACKING, NOW);
    assert!(body.is_ascii());
    assert_eq!(
        text(&body),
        format!(
            r#"{{"errorCode":400004,"trackingId":"{TRACKING}","message":"gr\u00fcn.","timestampUtc":"2030-01-01T00:00:00.0000000Z"}}"#
        )
    );
    assert_eq!(
        error.headers(TRACKING),
        [("x-ms-request-id", TRACKING.to_owned()), ("x-ms-error-code", "400004".to_owned())]
    );
    let busy = dps(&ApiFault::Busy).headers(TRACKING);
    assert!(busy.contains(&("Retry-After", "5".to_owned())));
}

/// The form of `iot-hub` §3.1: Node splits `Message` at the semicolon, C# compares the name with
/// the header.
#[test]
fn bodies_of_a_hub_have_its_own_form() {
    let error = hub(&ApiFault::NotFound(Missing::Device { id: "d1".to_owned() }));
    assert_eq!(
        value(&error.hub_json(TRACKING, NOW)),
        json!({
            "Message": "ErrorCode:DeviceNotFound;d1",
            "ExceptionMessage": "Tracking ID:3226c2f73d30425cb83b0c34335f8220-G:0-TimeStamp:\
                                 01/01/2030 00:00:00",
        })
    );
    assert_eq!(
        error.hub_headers(TRACKING),
        [
            ("x-ms-request-id", TRACKING.to_owned()),
            ("iothub-errorcode", "DeviceNotFound".to_owned()),
        ]
    );
}

#[test]
fn waits_are_what_java_takes() {
    for fault in [ApiFault::Busy, ApiFault::StoreFull] {
        assert!(dps(&fault).retry_after.is_some_and(|seconds| (2..=5).contains(&seconds)));
    }
}

#[test]
fn messages_that_quote_the_client_are_cut_short() {
    let hub = "ä".repeat(100_000);
    let error = dps(&DraftError::HubNotLinked { hub });
    assert_eq!(error.message.chars().count(), 513);
    assert!(error.message.ends_with('…'));
}
