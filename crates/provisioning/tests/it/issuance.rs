//! Certificates issued while registering (A-12, D-03).

use attestation::x509::Certificate;
use attestation::x509::issuing::{KeyType, PrivateKey, SigningRequest};
use model::limits::{EARLIER_ISSUERS_MAX, SAS_CLOCK_SKEW};
use model::{Etag, PolicyName, ServiceName, Timestamp};
use provisioning::decide::{
    Conclusion, Decision, HubCredential, Rejection, Verdict, decide, decide_further,
};
use provisioning::enrollment::AllocationPolicy;
use provisioning::explain::Step;
use provisioning::instance::RemoteHub;
use provisioning::issuance::{
    CsrFault, ImportError, Issue, IssuingCa, Made, PolicyChange, Refused, create, delete, imported,
    issued, make_issuing, make_root, renew, revoke, update, withdrawn,
};
use provisioning::possession::Rewrite;
use provisioning::registration::FailureKind;
use provisioning::view::RegistrationRequest;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    KeyUsagePurpose,
};

use crate::world::{NOW, World, host, id, key, keys, token, word};

const DAY: i64 = 86_400;

fn days(days: i64) -> Timestamp {
    Timestamp::from_unix_seconds(NOW.unix_seconds() + days * DAY)
}

fn made(at: u8, now: Timestamp) -> Made {
    Made { serial: [at; 16], id: format!("ca-{at}"), now }
}

fn rewrite(now: Timestamp) -> Rewrite {
    Rewrite { etag: Etag::new("e"), now }
}

fn fleet() -> PolicyName {
    PolicyName::parse("fleet").unwrap()
}

fn own(at: u8, now: Timestamp) -> IssuingCa {
    let root = make_root(&ServiceName::parse("dps").unwrap(), &made(at, now)).unwrap();
    make_issuing(&root, &fleet(), KeyType::P256, &made(at, now)).unwrap()
}

/// `dev` has keys and an enrollment with the policy `fleet`, of seven days.
fn world() -> World {
    let mut world = World::new();
    world.keyed("dev", keys(1));
    world.settings("dev").credential_policy_name = Some("Fleet".to_owned());
    let change = PolicyChange { validity_days: Some(7), ..PolicyChange::default() };
    let policies = &mut world.dps.issuance.policies;
    create(policies, &fleet(), &change, own(1, NOW), rewrite(NOW)).unwrap();
    world
}

fn csr_of(name: &str, change: impl Fn(&mut CertificateParams)) -> SigningRequest {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    change(&mut params);
    let made = params.serialize_request(&KeyPair::generate().unwrap()).unwrap();
    SigningRequest::from_der(made.der()).unwrap()
}

fn csr(name: &str) -> SigningRequest {
    csr_of(name, |_| ())
}

fn request(csr: &SigningRequest) -> RegistrationRequest {
    RegistrationRequest {
        registration_id: id("dev"),
        api_version: "2025-07-01-preview".to_owned(),
        payload: None,
        csr: Some(csr.clone()),
        from: None,
    }
}

fn decision(world: &World, csr: &SigningRequest, now: Timestamp) -> Decision {
    let evidence = token("dev", &key(1));
    decide(&request(csr), &evidence, &world.view("dev", &evidence), now)
}

fn fault(world: &World, csr: &SigningRequest) -> CsrFault {
    match decision(world, csr, NOW).verdict {
        Verdict::Reject(Rejection::Csr(fault)) => fault,
        other => panic!("not refused: {other:?}"),
    }
}

fn failed(world: &World, csr: &SigningRequest, now: Timestamp) -> String {
    match decision(world, csr, now).verdict {
        Verdict::Conclude(Conclusion::Failed { failure, .. }) => {
            assert_eq!(failure.kind, FailureKind::Issuance);
            failure.message
        }
        other => panic!("not failed: {other:?}"),
    }
}

fn issue(world: &World, csr: &SigningRequest, now: Timestamp) -> Issue {
    match decision(world, csr, now).verdict {
        Verdict::Assign(place) | Verdict::Keep(place) => match place.credential {
            HubCredential::Issued(issue) => *issue,
            other => panic!("no certificate: {other:?}"),
        },
        other => panic!("not placed: {other:?}"),
    }
}

/// Gives `dev` the certificate, as the service would.
fn give(world: &mut World, csr: &SigningRequest) {
    let Issue::Fresh(order) = issue(world, csr, NOW) else { panic!("given before") };
    let ca = world.dps.issuance.policy("fleet").unwrap().issuer.clone().unwrap();
    world.register("dev", &token("dev", &key(1)));
    let given = issued(&order, &ca, [9; 16]).unwrap();
    world.record.as_mut().unwrap().issued = Some(given);
}

#[test]
fn a_12_a_believed_device_gets_a_certificate_of_its_policys_days() {
    let (world, csr) = (world(), csr("DEV"));
    let Issue::Fresh(order) = issue(&world, &csr, NOW) else { panic!("given before") };
    assert_eq!(order.subject, id("dev"));
    assert_eq!(order.not_before, NOW.minus(SAS_CLOCK_SKEW));
    assert_eq!(order.not_after, days(7));
    let ca = world.dps.issuance.policy("fleet").unwrap().issuer.clone().unwrap();
    let issued = issued(&order, &ca, [7; 16]).unwrap();
    let [leaf, issuing, root] = issued.chain.as_slice() else { panic!("{issued:?}") };
    assert_eq!(leaf.verify_signed_by(issuing), Ok(()));
    assert_eq!(issuing.verify_signed_by(root), Ok(()));
    assert_eq!(root.verify_signed_by(root), Ok(()));
    assert_eq!(leaf.spki_der(), csr.spki_der());
    assert_eq!(leaf.common_name(), Ok("dev"));
    assert!(!leaf.is_ca());
    let told = decision(&world, &csr, NOW).explanation.steps;
    assert!(told.contains(&Step::Certified { policy: "fleet".to_owned(), again: false }));
}

#[test]
fn a_12_without_a_request_all_is_as_before() {
    let world = world();
    let evidence = token("dev", &key(1));
    let Verdict::Assign(place) = world.decision("dev", &evidence).verdict else { panic!() };
    assert!(matches!(place.credential, HubCredential::Sas { .. }));
}

#[test]
fn d_03_a_stranger_learns_nothing_of_its_request() {
    let world = world();
    let evidence = token("dev", &key(9));
    let wrong = csr("other");
    let found = decide(&request(&wrong), &evidence, &world.view("dev", &evidence), NOW);
    assert_eq!(word(&found.verdict), "401");
}

#[test]
fn a_12_a_disabled_entry_gives_no_certificate() {
    let mut world = world();
    world.disable("dev");
    assert_eq!(word(&decision(&world, &csr("dev"), NOW).verdict), "disabled by dev");
}

#[test]
fn a_12_an_entry_without_a_policy_refuses_the_call() {
    let mut world = world();
    for none in [None, Some(String::new())] {
        world.settings("dev").credential_policy_name = none;
        assert_eq!(fault(&world, &csr("dev")), CsrFault::NoPolicy);
    }
    world.settings("dev").credential_policy_name = Some("other".to_owned());
    assert!(failed(&world, &csr("dev"), NOW).ends_with("credential policy does not exist"));
}

#[test]
fn a_12_a_request_for_another_subject_or_none_is_refused() {
    let world = world();
    let common_name = |csr| match fault(&world, &csr) {
        CsrFault::CommonName { because } => because,
        other => panic!("{other:?}"),
    };
    assert_eq!(common_name(csr("other")), "is for \"other\", not for dev");
    let bare = csr_of("dev", |params| params.distinguished_name = DistinguishedName::new());
    assert_eq!(common_name(bare), "the subject has no common name");
}

#[test]
fn a_12_a_request_for_a_ca_is_refused() {
    let ca = csr_of("dev", |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert_eq!(fault(&world(), &ca), CsrFault::WantsCa);
}

#[test]
fn a_12_a_key_that_the_policy_does_not_take_is_refused() {
    let mut world = world();
    let policies = &mut world.dps.issuance.policies;
    let change = PolicyChange { key_types: Some(vec![KeyType::P384]), ..PolicyChange::default() };
    update(policies, &fleet(), &change, rewrite(NOW)).unwrap();
    let expected = CsrFault::Key { found: Some(KeyType::P256), allowed: vec![KeyType::P384] };
    assert_eq!(fault(&world, &csr("dev")), expected);
}

#[test]
fn a_12_a_request_that_its_key_did_not_sign_is_refused() {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "dev");
    let made = params.serialize_request(&KeyPair::generate().unwrap()).unwrap();
    let mut der = made.der().to_vec();
    let last = der.len() - 1;
    der[last] ^= 1;
    let forged = SigningRequest::from_der(&der).unwrap();
    assert!(matches!(fault(&world(), &forged), CsrFault::Signature { .. }));
}

/// What an accepted call can not be refused for any more is told by its record.
#[test]
fn a_12_a_call_that_goes_on_fails_instead_of_being_refused() {
    let mut world = world();
    world.settings("dev").credential_policy_name = None;
    let evidence = token("dev", &key(1));
    let view = world.view("dev", &evidence);
    let further = decide_further(&request(&csr("dev")), &evidence, &view, None, NOW, NOW);
    assert_eq!(word(&further.verdict), "failed");
}

#[test]
fn a_12_no_certificate_outlives_its_issuer_or_comes_from_one_that_is_over() {
    let mut world = world();
    let policy = &mut world.dps.issuance.policies[0];
    let ends = policy.issuer.as_ref().unwrap().not_after();
    let last = Timestamp::from_unix_seconds(ends.unix_seconds() - DAY);
    // The token lasts an hour from `NOW` on; the decision is judged as of a call that goes on.
    let evidence = token("dev", &key(1));
    let view = world.view("dev", &evidence);
    let at = |now| decide_further(&request(&csr("dev")), &evidence, &view, None, NOW, now);
    let Verdict::Assign(place) = at(last).verdict else { panic!("not assigned") };
    let HubCredential::Issued(issue) = place.credential else { panic!("no certificate") };
    let Issue::Fresh(order) = *issue else { panic!("given before") };
    assert_eq!(order.not_after, ends);
    let over = Timestamp::from_unix_seconds(ends.unix_seconds() + 1);
    assert_eq!(word(&at(over).verdict), "failed");
}

#[test]
fn a_12_the_same_request_gets_the_same_certificate_until_half_of_its_life() {
    let mut world = world();
    let (first, second) = (csr("dev"), csr("dev"));
    give(&mut world, &first);
    let given = world.record.as_ref().unwrap().issued.clone().unwrap();
    assert_eq!(issue(&world, &first, NOW), Issue::Again(given));
    assert!(matches!(issue(&world, &second, NOW), Issue::Fresh(_)), "another request renews");
    let evidence = token("dev", &key(1));
    let view = world.view("dev", &evidence);
    let at = |now| match decide_further(&request(&first), &evidence, &view, None, NOW, now).verdict
    {
        Verdict::Assign(place) => match place.credential {
            HubCredential::Issued(issue) => *issue,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert!(matches!(at(days(3)), Issue::Again(_)));
    assert!(matches!(at(days(4)), Issue::Fresh(_)));
}

#[test]
fn a_12_a_renewed_issuer_signs_anew_and_what_it_signed_before_is_good() {
    let mut world = world();
    let csr = csr("dev");
    give(&mut world, &csr);
    let policies = &mut world.dps.issuance.policies;
    renew(policies, &fleet(), own(2, NOW), rewrite(NOW)).unwrap();
    assert!(world.dps.issuance.is_live("ca-1") && world.dps.issuance.is_live("ca-2"));
    assert_eq!(withdrawn(world.record.as_ref().unwrap(), &world.dps), None);
    assert!(matches!(issue(&world, &csr, NOW), Issue::Fresh(_)));
}

#[test]
fn a_12_a_revoked_issuer_and_all_before_it_vouch_for_nothing() {
    let mut world = world();
    let csr = csr("dev");
    give(&mut world, &csr);
    let policies = &mut world.dps.issuance.policies;
    renew(policies, &fleet(), own(2, NOW), rewrite(NOW)).unwrap();
    revoke(policies, &fleet(), None, rewrite(NOW)).unwrap();
    assert!(!world.dps.issuance.is_live("ca-1") && !world.dps.issuance.is_live("ca-2"));
    let failure = withdrawn(world.record.as_ref().unwrap(), &world.dps).unwrap();
    assert_eq!(failure.kind, FailureKind::Issuance);
    assert!(failed(&world, &csr, NOW).ends_with("issuing CA was revoked"));
    // The same CA, brought along again, is another one.
    let policies = &mut world.dps.issuance.policies;
    renew(policies, &fleet(), own(3, NOW), rewrite(NOW)).unwrap();
    assert!(!world.dps.issuance.is_live("ca-1"));
    assert!(matches!(issue(&world, &csr, NOW), Issue::Fresh(_)));
    assert_eq!(world.dps.issuance.policies[0].revoked, Some(NOW));
}

#[test]
fn a_12_a_deleted_policy_takes_along_what_it_issued() {
    let mut world = world();
    let csr = csr("dev");
    give(&mut world, &csr);
    delete(&mut world.dps.issuance.policies, &fleet()).unwrap();
    assert!(withdrawn(world.record.as_ref().unwrap(), &world.dps).is_some());
    let again = delete(&mut world.dps.issuance.policies, &fleet());
    assert_eq!(again, Err(Refused::Missing));
}

#[test]
fn a_12_policies_keep_their_bounds() {
    let mut world = world();
    let policies = &mut world.dps.issuance.policies;
    let twice = create(policies, &fleet(), &PolicyChange::default(), own(2, NOW), rewrite(NOW));
    assert_eq!(twice, Err(Refused::Exists));
    for days in [0, 91] {
        let change = PolicyChange { validity_days: Some(days), ..PolicyChange::default() };
        let found = update(policies, &fleet(), &change, rewrite(NOW));
        assert_eq!(found, Err(Refused::ValidityDays));
    }
    let change = PolicyChange { key_types: Some(Vec::new()), ..PolicyChange::default() };
    assert_eq!(update(policies, &fleet(), &change, rewrite(NOW)), Err(Refused::NoKeyType));
    let renewed = (0..=EARLIER_ISSUERS_MAX)
        .map(|_| renew(policies, &fleet(), own(5, NOW), rewrite(NOW)))
        .collect::<Vec<_>>();
    assert_eq!(renewed.last(), Some(&Err(Refused::TooManyEarlier)));
    assert!(renewed.iter().rev().skip(1).all(Result::is_ok));
    // Those that are over make room.
    let later = days(2_000);
    assert_eq!(renew(policies, &fleet(), own(6, later), rewrite(later)), Ok(()));
}

struct Brought {
    certificates: Vec<Certificate>,
    key: PrivateKey,
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// A root and an issuing CA below it, as an operator brings them along.
fn brought(change: impl Fn(&mut CertificateParams, &mut CertificateParams)) -> Brought {
    let (mut root, mut issuing) = (params("root"), params("issuing"));
    change(&mut root, &mut issuing);
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let issuing = issuing.signed_by(&key, &root).unwrap();
    let read = |der: &[u8]| Certificate::from_der(der).unwrap();
    Brought {
        certificates: vec![read(issuing.der()), read(root.der())],
        key: PrivateKey::from_pem(&key.serialize_pem()).unwrap(),
    }
}

fn import(brought: &Brought) -> Result<IssuingCa, ImportError> {
    imported(&brought.certificates, &brought.key, "x", NOW)
}

#[test]
fn a_12_an_operators_ca_signs_when_its_chain_and_key_hold() {
    let good = brought(|_, _| ());
    let ca = import(&good).unwrap();
    assert!(ca.imported);
    assert_eq!(ca.above.len(), 1);
    let mut world = World::new();
    world.keyed("dev", keys(1));
    world.settings("dev").credential_policy_name = Some("fleet".to_owned());
    let policies = &mut world.dps.issuance.policies;
    create(policies, &fleet(), &PolicyChange::default(), ca.clone(), rewrite(NOW)).unwrap();
    let Issue::Fresh(order) = issue(&world, &csr("dev"), NOW) else { panic!() };
    let issued = issued(&order, &ca, [1; 16]).unwrap();
    assert_eq!(issued.chain[0].verify_signed_by(&issued.chain[1]), Ok(()));
    assert_eq!(issued.chain[0].issuer_raw(), issued.chain[1].subject_raw());
}

#[test]
fn a_12_an_operators_ca_that_can_not_sign_is_refused() {
    use ImportError as E;
    let constrained = |len| IsCa::Ca(BasicConstraints::Constrained(len));
    let refused = |change: &dyn Fn(&mut CertificateParams, &mut CertificateParams)| {
        import(&brought(change)).unwrap_err()
    };
    assert_eq!(refused(&|_, issuing| issuing.is_ca = IsCa::ExplicitNoCa), E::NotCa(1));
    let usage = |_: &mut CertificateParams, issuing: &mut CertificateParams| {
        issuing.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    };
    assert_eq!(refused(&usage), E::KeyUsage(1));
    assert_eq!(refused(&|root, _| root.is_ca = constrained(0)), E::PathLength(2));
    assert!(import(&brought(|_, issuing| issuing.is_ca = constrained(0))).is_ok());
    let over = refused(&|_, issuing| issuing.not_after = rcgen::date_time_ymd(2020, 1, 1));
    assert!(matches!(over, E::Validity(1, _)));
    let early = refused(&|root, _| root.not_before = rcgen::date_time_ymd(2999, 1, 1));
    assert!(matches!(early, E::Validity(2, _)));
    let good = brought(|_, _| ());
    let short = Brought { certificates: good.certificates[..1].to_vec(), key: good.key.clone() };
    assert_eq!(import(&short).unwrap_err(), E::NoRoot);
    let other = brought(|root, _| {
        root.distinguished_name.push(DnType::OrganizationName, "other");
    });
    let foreign = Brought {
        certificates: vec![good.certificates[0].clone(), other.certificates[1].clone()],
        key: good.key.clone(),
    };
    assert_eq!(import(&foreign).unwrap_err(), E::NotIssuedByNext(1));
    let namesake = brought(|_, _| ());
    let forged = Brought {
        certificates: vec![good.certificates[0].clone(), namesake.certificates[1].clone()],
        key: good.key.clone(),
    };
    assert!(matches!(import(&forged).unwrap_err(), E::Signature(1, _)));
    let endless = Brought {
        certificates: good.certificates.iter().cycle().take(8).cloned().collect(),
        key: good.key.clone(),
    };
    assert_eq!(import(&endless).unwrap_err(), E::TooMany);
    let keyless = Brought { certificates: good.certificates, key: namesake.key };
    assert_eq!(import(&keyless).unwrap_err(), E::OtherKey);
    let none = Brought { certificates: Vec::new(), key: keyless.key };
    assert_eq!(import(&none).unwrap_err(), E::Nothing);
}

/// A hub elsewhere could not be told that the issuer of what a device shows is revoked.
#[test]
fn a_12_no_certificate_is_issued_for_a_hub_elsewhere_nor_on_the_way_from_one() {
    let far = Some(RemoteHub {
        authority: "far.test".to_owned(),
        policy: PolicyName::parse("registryReadWrite").unwrap(),
        key: key(9),
    });
    let send_to = |world: &mut World, hub: &str| {
        let settings = world.settings("dev");
        settings.allocation_policy = Some(AllocationPolicy::Static);
        settings.iot_hubs = vec![host(hub)];
    };
    let (mut world, csr) = (world(), csr("dev"));
    world.dps.linked_hubs[1].remote.clone_from(&far);
    send_to(&mut world, "hub2.localhost");
    let told = failed(&world, &csr, NOW);
    assert_eq!(told, "No certificate is issued for a hub that lives elsewhere");
    world.register("dev", &token("dev", &key(1)));
    assert_eq!(failed(&world, &csr, NOW), told, "nor once it is there");
    send_to(&mut world, "hub1.localhost");
    assert_eq!(failed(&world, &csr, NOW), told, "nor while it leaves");
    world.register("dev", &token("dev", &key(1)));
    assert!(matches!(issue(&world, &csr, NOW), Issue::Fresh(_)), "but once it is here");
}
