//! What every certificate of a chain must keep.

use attestation::x509::{ChainError, StoredCa, build_chain};
use model::limits::CHAIN_DEPTH_MAX;
use rcgen::{ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose};

use crate::pki::{Held, NOW, Plan, ca, chain, cn, fixture, holds, leaf, refused, verified};

/// root → middle → device, as planned; the root is verified.
fn three(root: Plan, middle: Plan, device: Plan) -> Result<[Held; 3], ChainError> {
    let root = root.self_signed();
    let middle = middle.signed_by(&root);
    let device = device.signed_by(&middle);
    let chain = chain(&[&device, &middle], &[verified(&root)])?;
    assert_eq!((chain.path.len(), chain.anchor), (3, 2));
    Ok([device, middle, root])
}

#[track_caller]
fn refuses(root: Plan, middle: Plan, device: Plan, because: impl FnOnce(ChainError) -> bool) {
    let error = three(root, middle, device).err().expect("the chain should be refused");
    let text = format!("{error:?}");
    assert!(because(error), "{text}");
}

#[test]
fn a_plain_chain_holds() {
    three(ca("root"), ca("middle"), leaf("device")).unwrap();
}

#[test]
fn every_certificate_must_be_valid_now() {
    type Changed = fn(Plan) -> Plan;
    let changes: [(Changed, Changed); 3] = [
        (Plan::expired, Plan::not_yet_valid),
        (Plan::expired, Plan::not_yet_valid),
        (Plan::expired, Plan::not_yet_valid),
    ];
    for (place, (expired, early)) in changes.into_iter().enumerate() {
        let name = ["root", "middle", "device"][place];
        let plans = |change: Changed| {
            let mut plans = [ca("root"), ca("middle"), leaf("device")];
            plans[place] = change(plans[place].clone());
            plans
        };
        let [root, middle, device] = plans(expired);
        refuses(
            root,
            middle,
            device,
            |error| matches!(error, ChainError::Expired { subject, .. } if subject == cn(name)),
        );
        let [root, middle, device] = plans(early);
        refuses(
            root,
            middle,
            device,
            |error| matches!(error, ChainError::NotYetValid { subject, .. } if subject == cn(name)),
        );
    }
}

#[test]
fn validity_ends_are_inclusive() {
    use model::Timestamp;
    let root = ca("root").self_signed();
    let device = leaf("device").years(2030, 2031).signed_by(&root);
    let first = device.certificate.not_before().unix_seconds();
    let last = device.certificate.not_after().unix_seconds();
    let at = |seconds| {
        let now = Timestamp::from_unix_seconds(seconds);
        build_chain(std::slice::from_ref(&device.certificate), &[verified(&root)], now).is_ok()
    };
    assert_eq!([at(first - 1), at(first), at(last), at(last + 1)], [false, true, true, false]);
}

#[test]
fn an_issuer_must_be_a_ca() {
    let not_ca = |name: &str| {
        let name = cn(name);
        move |error| matches!(error, ChainError::NotCa { subject } if subject == name)
    };
    for is_ca in [IsCa::NoCa, IsCa::ExplicitNoCa] {
        let usages = [KeyUsagePurpose::KeyCertSign];
        let middle = ca("middle").basic(is_ca).key_usages(&usages);
        refuses(ca("root"), middle, leaf("device"), not_ca("middle"));
        let root = ca("root").basic(is_ca).key_usages(&usages);
        refuses(root, ca("middle"), leaf("device"), not_ca("root"));
    }
}

#[test]
fn an_issuers_key_usage_must_include_key_cert_sign_where_it_is_given() {
    let signing = [KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign];
    refuses(
        ca("root"),
        ca("middle").key_usages(&signing),
        leaf("device"),
        |error| matches!(error, ChainError::KeyUsage { subject } if subject == cn("middle")),
    );
    refuses(
        ca("root").key_usages(&signing),
        ca("middle"),
        leaf("device"),
        |error| matches!(error, ChainError::KeyUsage { subject } if subject == cn("root")),
    );
    three(ca("root").key_usages(&[]), ca("middle").key_usages(&[]), leaf("device")).unwrap();
}

/// RFC 5280 §4.2.1.12: what is critical has to be kept.
#[test]
fn an_issuer_for_servers_alone_issues_no_devices() {
    const EXTENDED_KEY_USAGE: &[u64] = &[2, 5, 29, 37];
    let servers = b"\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01";
    let clients = b"\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x02";
    let endorsement = b"\x30\x07\x06\x05\x67\x81\x05\x08\x01";
    let any = b"\x30\x06\x06\x04\x55\x1d\x25\x00";
    let middle =
        |critical, value: &[u8]| ca("middle").extension(EXTENDED_KEY_USAGE, critical, value);
    for value in [servers.as_slice(), b"\x30\x00", b"\x05\x00"] {
        refuses(ca("root"), middle(true, value), leaf("device"), |error| {
            error == ChainError::Purpose { subject: cn("middle") }
        });
        three(ca("root"), middle(false, value), leaf("device")).unwrap();
    }
    for value in [clients.as_slice(), endorsement, any] {
        three(ca("root"), middle(true, value), leaf("device")).unwrap();
    }
}

#[test]
fn path_lengths_count_cas_that_are_not_self_issued() {
    three(ca("root").path_len(1), ca("middle").path_len(0), leaf("device")).unwrap();
    refuses(ca("root").path_len(0), ca("middle"), leaf("device"), |error| {
        error == ChainError::PathLength { subject: cn("root"), allowed: 0 }
    });

    // A self-issued certificate carries a new key of the same CA, and does not count.
    let root = ca("root").path_len(1).self_signed();
    let middle = ca("middle").path_len(0).signed_by(&root);
    let rolled = ca("middle").path_len(0).signed_by(&middle);
    let device = leaf("device").signed_by(&rolled);
    let presented = [&device, &rolled, &middle];
    holds(&presented, &[verified(&root)], &[&device, &rolled, &middle, &root], 3);

    // A leaf that is a CA itself does not count either.
    let device = ca("device").signed_by(&middle);
    holds(&[&device, &middle], &[verified(&root)], &[&device, &middle, &root], 2);

    // One CA more than allowed, at the second step.
    let lower = ca("lower").signed_by(&middle);
    let device = leaf("device").signed_by(&lower);
    refused(
        &[&device, &lower, &middle],
        &[verified(&root)],
        &ChainError::PathLength { subject: cn("middle"), allowed: 0 },
    );
}

#[test]
fn an_unknown_critical_extension_refuses_at_every_place() {
    let unknown = |name: &str| {
        let error = ChainError::UnknownCriticalExtension {
            subject: cn(name),
            oid: "1.3.6.1.4.1.99999.1".to_owned(),
        };
        move |found: ChainError| found == error
    };
    let (root, middle, device) = (ca("root"), ca("middle"), leaf("device"));
    let marked = |plan: &Plan| plan.clone().unknown_extension(true);
    refuses(marked(&root), middle.clone(), device.clone(), unknown("root"));
    refuses(root.clone(), marked(&middle), device.clone(), unknown("middle"));
    refuses(root.clone(), middle.clone(), marked(&device), unknown("device"));
    three(
        root.unknown_extension(false),
        middle.unknown_extension(false),
        device.unknown_extension(false),
    )
    .unwrap();
}

#[test]
fn policies_are_ignored_unless_they_are_critical() {
    let any_policy = [0x30, 0x08, 0x30, 0x06, 0x06, 0x04, 0x55, 0x1d, 0x20, 0x00];
    let policy = |critical| ca("middle").extension(&[2, 5, 29, 32], critical, &any_policy);
    three(ca("root"), policy(false), leaf("device")).unwrap();
    refuses(
        ca("root"),
        policy(true),
        leaf("device"),
        |error| matches!(error, ChainError::UnknownCriticalExtension { oid, .. } if oid == "2.5.29.32"),
    );
}

#[test]
fn name_constraints_on_an_issuer_refuse_critical_or_not() {
    // permittedSubtrees of one dNSName, "a".
    let constraints = [0x30, 0x07, 0xa0, 0x05, 0x30, 0x03, 0x82, 0x01, 0x61];
    let middle = |critical| ca("middle").extension(&[2, 5, 29, 30], critical, &constraints);
    let device = |critical| leaf("device").extension(&[2, 5, 29, 30], critical, &constraints);
    for critical in [true, false] {
        refuses(ca("root"), middle(critical), leaf("device"), |error| {
            error == ChainError::NameConstraints { subject: cn("middle") }
        });
    }
    // On a leaf they constrain nothing; RFC 5280 has no place for them there.
    three(ca("root"), ca("middle"), device(false)).unwrap();
    refuses(ca("root"), ca("middle"), device(true), |error| {
        matches!(error, ChainError::UnknownCriticalExtension { .. })
    });
}

#[test]
fn a_leaf_may_be_almost_anything() {
    let mut server_only = leaf("device");
    server_only.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    for device in [
        ca("device"),
        server_only,
        leaf("device").key_usages(&[KeyUsagePurpose::KeyAgreement]),
        leaf("device").basic(IsCa::ExplicitNoCa),
        leaf("device").without_authority_key_id(),
    ] {
        three(ca("root"), ca("middle"), device).unwrap();
    }
}

#[test]
fn an_issuer_must_have_a_name() {
    let mut nameless = ca("");
    nameless.params.distinguished_name = rcgen::DistinguishedName::new();
    let nameless = nameless.self_signed();
    let device = leaf("device").signed_by(&nameless);
    let missing = ChainError::IssuerMissing { subject: cn("device"), issuer: "(no name)".into() };
    refused(&[&device], &[verified(&nameless)], &missing);
}

#[test]
fn every_algorithm_is_checked() {
    let signers = [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ECDSA_P521_SHA256,
        &rcgen::PKCS_ECDSA_P521_SHA384,
        &rcgen::PKCS_ECDSA_P521_SHA512,
        &rcgen::PKCS_ED25519,
    ];
    for algorithm in signers {
        let root = ca("root").algorithm(algorithm).self_signed();
        let impostor = ca("root").algorithm(algorithm).self_signed();
        let device = leaf("device").without_authority_key_id().signed_by(&root);
        holds(&[&device], &[verified(&root)], &[&device, &root], 1);
        let forged = ChainError::BadSignature { subject: cn("device"), issuer: cn("root") };
        refused(&[&device], &[verified(&impostor)], &forged);
        let other = match std::ptr::eq(algorithm, &rcgen::PKCS_ED25519) {
            true => ca("root").self_signed(),
            false => ca("root").algorithm(&rcgen::PKCS_ED25519).self_signed(),
        };
        refused(&[&device], &[verified(&other)], &forged);
    }
}

/// Leaf, issuer, and whether the leaf holds under it; made with OpenSSL (`fixtures/make.sh`).
#[test]
fn certificates_of_openssl_hold_as_documented() {
    let stored = |text: &str, verified| StoredCa { certificate: fixture(text), verified };
    let root = include_str!("../fixtures/root.pem");
    let root_rsa = include_str!("../fixtures/root-rsa.pem");
    let root_v1 = include_str!("../fixtures/root-v1.pem");
    for (leaf, root) in [
        (include_str!("../fixtures/leaf-v1.pem"), root),
        (include_str!("../fixtures/leaf-two-names.pem"), root),
        (include_str!("../fixtures/leaf-rsa.pem"), root_rsa),
        (include_str!("../fixtures/leaf-pss.pem"), root_rsa),
        // Its operator vouches for a verified CA that can not say CA:TRUE.
        (include_str!("../fixtures/leaf-under-v1.pem"), root_v1),
    ] {
        let chain = build_chain(&[fixture(leaf)], &[stored(root, true)], NOW).unwrap();
        assert_eq!(chain.anchor, 1, "{leaf}");
    }
    let error =
        |leaf: &str, stored: &[StoredCa]| build_chain(&[fixture(leaf)], stored, NOW).unwrap_err();
    assert_eq!(
        error(include_str!("../fixtures/leaf-sha1.pem"), &[stored(root, true)]),
        ChainError::UnsupportedSignature {
            subject: cn("leaf-sha1"),
            oid: "1.2.840.10045.4.1".to_owned()
        }
    );
    let root_rsa1024 = include_str!("../fixtures/root-rsa1024.pem");
    assert_eq!(
        error(include_str!("../fixtures/leaf-rsa1024.pem"), &[stored(root_rsa1024, true)]),
        ChainError::BadSignature { subject: cn("leaf-rsa1024"), issuer: cn("root-rsa1024") }
    );
    let under_v1 = include_str!("../fixtures/leaf-under-v1.pem");
    let not_ca = ChainError::NotCa { subject: cn("root-v1") };
    assert_eq!(error(under_v1, &[stored(root_v1, false)]), not_ca);
    let presented = [fixture(under_v1), fixture(root_v1)];
    assert_eq!(build_chain(&presented, &[], NOW).unwrap_err(), not_ca);
}

#[test]
fn a_chain_has_at_most_eight_certificates() {
    let mut cas = vec![ca("ca 0").self_signed()];
    for level in 1..CHAIN_DEPTH_MAX {
        cas.push(ca(&format!("ca {level}")).signed_by(&cas[level - 1]));
    }
    let device_under = |level: usize| leaf("device").signed_by(&cas[level]);
    let presented = |device, level: usize| {
        let mut all: Vec<&Held> = cas[1..=level].iter().rev().collect();
        all.insert(0, device);
        all
    };
    let device = device_under(CHAIN_DEPTH_MAX - 2);
    let longest = chain(&presented(&device, CHAIN_DEPTH_MAX - 2), &[verified(&cas[0])]).unwrap();
    assert_eq!((longest.path.len(), longest.anchor), (CHAIN_DEPTH_MAX, CHAIN_DEPTH_MAX - 1));

    let device = device_under(CHAIN_DEPTH_MAX - 1);
    let all = presented(&device, CHAIN_DEPTH_MAX - 1);
    refused(&all, &[verified(&cas[0])], &ChainError::TooDeep);
    // Above the anchor the path is cut, not refused.
    let cut = chain(&all, &[verified(&cas[1])]).unwrap();
    assert_eq!((cut.path.len(), cut.anchor), (CHAIN_DEPTH_MAX, CHAIN_DEPTH_MAX - 1));
}
