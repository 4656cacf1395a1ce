use super::*;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_700_000_000);
const LATER: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

fn draft() -> DeviceDraft {
    DeviceDraft {
        device_id: DeviceId::parse("d1").unwrap(),
        named: None,
        status: None,
        status_reason: None,
        authentication: None,
        iot_edge: None,
        device_scope: None,
        parent_scopes: Vec::new(),
    }
}

fn with(authentication: AuthenticationDraft) -> DeviceDraft {
    DeviceDraft { authentication: Some(authentication), ..draft() }
}

fn keys(primary: Option<&str>, secondary: Option<&str>) -> AuthenticationDraft {
    let secret = |text: &str| Secret::new(text.to_owned());
    AuthenticationDraft {
        primary_key: primary.map(secret),
        secondary_key: secondary.map(secret),
        ..AuthenticationDraft::default()
    }
}

fn thumbprints(primary: Option<&str>, secondary: Option<&str>) -> AuthenticationDraft {
    AuthenticationDraft {
        primary_thumbprint: primary.map(str::to_owned),
        secondary_thumbprint: secondary.map(str::to_owned),
        ..AuthenticationDraft::default()
    }
}

fn of_kind(kind: AuthenticationKind, rest: AuthenticationDraft) -> AuthenticationDraft {
    AuthenticationDraft { kind: Some(kind), ..rest }
}

fn key_text(seed: u8) -> String {
    SymmetricKey::from_bytes(vec![seed; 32]).unwrap().to_base64()
}

/// Puts a draft; fresh keys are numbered from 101.
fn put(draft: &DeviceDraft, existing: Option<&Device>) -> Result<Device, DraftError> {
    let mut count = 100;
    let mut keys = || {
        count += 1;
        SymmetricKey::from_bytes(vec![count; 32]).unwrap()
    };
    device(draft, existing, &mut keys, LATER)
}

fn existing(authentication: Authentication) -> Device {
    Device::new(DeviceId::parse("d1").unwrap(), authentication, NOW)
}

fn sas(primary: u8, secondary: u8) -> Authentication {
    let key = |seed| SymmetricKey::from_bytes(vec![seed; 32]).unwrap();
    Authentication::Sas { primary: key(primary), secondary: key(secondary) }
}

/// The keys of an identity, in base64.
fn pair(device: &Device) -> (String, String) {
    let Authentication::Sas { primary, secondary } = &device.authentication else {
        panic!("{:?}", device.authentication)
    };
    (primary.to_base64(), secondary.to_base64())
}

#[test]
fn a_new_identity_has_the_defaults_of_the_registry() {
    for authentication in [
        None,
        Some(AuthenticationDraft::default()),
        Some(keys(Some(""), Some(""))),
        Some(of_kind(AuthenticationKind::Sas, keys(None, None))),
    ] {
        let device = put(&DeviceDraft { authentication, ..draft() }, None).unwrap();
        assert_eq!(pair(&device), (key_text(101), key_text(102)));
        assert_eq!(device.status, DeviceStatus::Enabled);
        assert_eq!(device.status_updated, Timestamp::ZERO);
        assert_eq!(device.generation_id, LATER.dotnet_ticks());
        assert!(!device.iot_edge && device.device_scope.is_none());
    }
}

#[test]
fn another_id_in_the_document_is_refused() {
    let named = |named: &str| DeviceDraft { named: Some(named.to_owned()), ..draft() };
    assert!(put(&named("d1"), None).is_ok());
    // Device ids are compared with case.
    for other in ["D1", "d2", ""] {
        let error = put(&named(other), None).unwrap_err();
        let addressed = "d1".to_owned();
        assert_eq!(error, DraftError::OtherId { addressed, named: other.to_owned() });
    }
}

#[test]
fn both_keys_or_neither() {
    let (first, second) = (key_text(1), key_text(2));
    let device = put(&with(keys(Some(&first), Some(&second))), None).unwrap();
    assert_eq!(pair(&device), (first.clone(), second));
    let given = Some(first.as_str());
    for one in [keys(given, None), keys(None, given), keys(given, Some(""))] {
        assert_eq!(put(&with(one), None).unwrap_err(), DraftError::OneKey);
    }
    for (bad, slot) in
        [(keys(Some("?"), given), Slot::Primary), (keys(given, Some("AAAA")), Slot::Secondary)]
    {
        assert_eq!(put(&with(bad), None).unwrap_err(), DraftError::SymmetricKey(slot));
    }
}

#[test]
fn an_update_that_is_silent_changes_no_credential() {
    let old = existing(sas(1, 2));
    for authentication in [None, Some(keys(None, None)), Some(keys(Some(""), Some("")))] {
        let device = put(&DeviceDraft { authentication, ..draft() }, Some(&old)).unwrap();
        assert_eq!(pair(&device), (key_text(1), key_text(2)));
        assert_eq!(device.version, old.version + 1);
        assert_eq!(device.generation_id, old.generation_id);
    }
    let pinned = existing(Authentication::SelfSigned {
        primary: Thumbprint::parse(&"ab".repeat(32)),
        secondary: None,
    });
    let device = put(&draft(), Some(&pinned)).unwrap();
    assert!(matches!(device.authentication, Authentication::SelfSigned { .. }));
    // Asked to become one with keys, it gets fresh ones.
    let device = put(&with(of_kind(AuthenticationKind::Sas, keys(None, None))), Some(&pinned));
    assert_eq!(pair(&device.unwrap()), (key_text(101), key_text(102)));
}

#[test]
fn an_update_that_is_silent_enables_nothing() {
    let disabled = Device { status: DeviceStatus::Disabled, ..existing(sas(1, 2)) };
    assert_eq!(put(&draft(), Some(&disabled)).unwrap().status, DeviceStatus::Disabled);
    let enable = DeviceDraft { status: Some(DeviceStatus::Enabled), ..draft() };
    assert_eq!(put(&enable, Some(&disabled)).unwrap().status, DeviceStatus::Enabled);
}

#[test]
fn the_time_of_a_status_is_that_of_its_change() {
    let old = existing(sas(1, 2));
    let disable = DeviceDraft {
        status: Some(DeviceStatus::Disabled),
        status_reason: Some("lost".to_owned()),
        ..draft()
    };
    let disabled = put(&disable, Some(&old)).unwrap();
    assert_eq!(disabled.status_updated, LATER);
    assert_eq!(disabled.status_reason.as_deref(), Some("lost"));
    let again = put(&DeviceDraft { status_reason: None, ..disable }, Some(&old)).unwrap();
    assert_eq!(again.status_reason, None);
    let same = DeviceDraft { status: Some(DeviceStatus::Enabled), ..draft() };
    assert_eq!(put(&same, Some(&old)).unwrap().status_updated, Timestamp::ZERO);
}

#[test]
fn a_status_reason_has_a_bound() {
    let reason = |count: usize| DeviceDraft { status_reason: Some("ä".repeat(count)), ..draft() };
    assert!(put(&reason(128), None).is_ok());
    assert_eq!(put(&reason(129), None).unwrap_err(), DraftError::StatusReason);
}

#[test]
fn thumbprints_are_of_one_length() {
    let (sha1, sha256) = ("ab".repeat(20), "CD".repeat(32));
    let (sha1, sha256) = (Some(sha1.as_str()), Some(sha256.as_str()));
    // The type is guessed from a thumbprint.
    for good in [
        thumbprints(sha1, None),
        thumbprints(None, sha256),
        thumbprints(sha256, sha256),
        of_kind(AuthenticationKind::SelfSigned, thumbprints(sha1, sha1)),
    ] {
        let device = put(&with(good), None).unwrap();
        assert!(matches!(device.authentication, Authentication::SelfSigned { .. }));
    }
    let refused = |draft| put(&with(draft), None).unwrap_err();
    assert_eq!(refused(thumbprints(sha1, sha256)), DraftError::ThumbprintLengths);
    assert_eq!(refused(thumbprints(sha256, sha1)), DraftError::ThumbprintLengths);
    assert_eq!(refused(thumbprints(Some("ab"), sha1)), DraftError::Thumbprint(Slot::Primary));
    assert_eq!(refused(thumbprints(sha1, Some("ab"))), DraftError::Thumbprint(Slot::Secondary));
    let empty = of_kind(AuthenticationKind::SelfSigned, thumbprints(Some(""), None));
    assert_eq!(refused(empty), DraftError::NoThumbprint);
}

#[test]
fn kinds_without_credentials_take_none() {
    let ca = of_kind(AuthenticationKind::CertificateAuthority, keys(None, None));
    let device = put(&with(ca), Some(&existing(sas(1, 2)))).unwrap();
    assert!(matches!(device.authentication, Authentication::CertificateAuthority));
    let none = of_kind(AuthenticationKind::None, keys(None, None));
    let device = put(&with(none), None).unwrap();
    assert!(matches!(device.authentication, Authentication::None));
}

#[test]
fn edge_devices_have_the_scope_of_their_own_id() {
    let edge = DeviceDraft {
        iot_edge: Some(true),
        device_scope: Some("ms-azure-iot-edge://other-1".to_owned()),
        ..draft()
    };
    let made = put(&edge, None).unwrap();
    let own = format!("ms-azure-iot-edge://d1-{}", made.generation_id);
    assert_eq!(made.device_scope.as_deref(), Some(own.as_str()));
    // Silence leaves it one.
    let kept = put(&draft(), Some(&made)).unwrap();
    assert!(kept.iot_edge);
    assert_eq!(kept.device_scope, made.device_scope);
}

#[test]
fn leaf_devices_have_the_scope_that_they_are_given() {
    let scope = |scope: &str| DeviceDraft { device_scope: Some(scope.to_owned()), ..draft() };
    let parent = "ms-azure-iot-edge://parent-1";
    let child = put(&scope(parent), None).unwrap();
    assert_eq!(child.device_scope.as_deref(), Some(parent));
    assert_eq!(put(&scope(""), Some(&child)).unwrap().device_scope, None);
    assert_eq!(put(&draft(), Some(&child)).unwrap().device_scope, None);
    assert_eq!(put(&scope("parent-1"), None).unwrap_err(), DraftError::DeviceScope);
}

#[test]
fn no_refusal_tells_a_key() {
    let draft = with(keys(Some("c2VjcmV0"), Some("c2VjcmV0")));
    assert!(!format!("{draft:?}").contains("c2VjcmV0"));
    assert!(!put(&draft, None).unwrap_err().to_string().contains("c2VjcmV0"));
}
