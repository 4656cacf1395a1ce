//! TPMs without an enrollment of their own, in groups of their makers (`docs/decisions/0007`).

use attestation::SymmetricKey;
use attestation::sas::SasToken;
use attestation::tpm::{EndorsementKey, StorageRootKey};
use attestation::x509::Certificate;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::{CertificateName, Timestamp};
use provisioning::decide::{HubCredential, PollVerdict, Rejection, Verdict};
use provisioning::enrollment::{GroupAttestation, IndividualAttestation, Mechanism, Slots};
use provisioning::explain::Disbelief;
use provisioning::view::{Evidence, TpmEvidence};

use crate::tpm::{OTHER_KEY, polled_as, signed_for};
use crate::world::{Ca, NOW, World, key, keys, root, token, word};

/// The TPM's endorsement key, on NIST P-256.
fn endorsement_key() -> EndorsementKey {
    EndorsementKey::from_base64(OTHER_KEY).unwrap()
}

/// What SDKs name the TPM.
fn name() -> String {
    endorsement_key().registration_id()
}

/// The key as certificates hold it.
fn spki() -> Vec<u8> {
    let area = STANDARD.decode(OTHER_KEY).unwrap();
    let end = area.len();
    let head = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\
        \x03\x01\x07\x03\x42\x00\x04";
    [head.as_slice(), &area[end - 66..end - 34], &area[end - 32..]].concat()
}

/// A maker's CAs, and a group that names its root.
struct Makers {
    world: World,
    root: Ca,
    issuing: Ca,
}

fn slots(ca: &Ca) -> Slots<Certificate> {
    Slots { primary: Some(ca.certificate.clone()), secondary: None }
}

impl Makers {
    fn new() -> Self {
        let root = root("maker");
        let issuing = root.intermediate("maker's TPMs");
        let mut world = World::new();
        world.group("g", GroupAttestation::MakerCertificates(slots(&root)));
        Self { world, root, issuing }
    }

    /// The endorsement certificate and the CA above it.
    fn chain(&self) -> Vec<Certificate> {
        vec![self.issuing.endorses(&spki(), |_| ()), self.issuing.certificate.clone()]
    }

    fn verdict(&self, chain: Vec<Certificate>) -> String {
        self.world.verdict(&name(), &shown(chain, None))
    }

    fn challenged(&self, name: &str) -> SymmetricKey {
        match self.world.decision(name, &shown(self.chain(), None)).verdict {
            Verdict::Challenge(key) => key,
            other => panic!("{}", word(&other)),
        }
    }

    fn answer(&self) -> Evidence {
        shown(self.chain(), Some(signed(&self.challenged(&name()))))
    }

    /// Registers, and gives what the TPM polls with.
    fn registered(&mut self) -> Evidence {
        let key = self.challenged(&name());
        let evidence = self.answer();
        assert_eq!(word(&self.world.register(&name(), &evidence)), "assigned by g");
        Evidence::Sas(signed(&key))
    }

    fn polled(&self, evidence: &Evidence) -> PollVerdict {
        polled_as(&self.world, &name(), evidence)
    }
}

fn shown(certificates: Vec<Certificate>, token: Option<SasToken>) -> Evidence {
    Evidence::Tpm(Box::new(TpmEvidence {
        endorsement_key: endorsement_key(),
        storage_root_key: StorageRootKey::from_base64(OTHER_KEY).unwrap(),
        certificates,
        token,
    }))
}

fn signed(key: &SymmetricKey) -> SasToken {
    signed_for(&name(), key, Timestamp::from_unix_seconds(NOW.unix_seconds() + 3600))
}

#[test]
fn a_tpm_whose_maker_is_trusted_is_challenged_and_assigned() {
    let mut makers = Makers::new();
    assert_eq!(makers.verdict(makers.chain()), "challenge");
    let evidence = makers.answer();
    let Verdict::Assign(place) = makers.world.register(&name(), &evidence) else { panic!() };
    assert!(matches!(place.credential, HubCredential::Wrapped));
    assert_eq!(place.to.device_id.as_str(), name());
    let record = makers.world.record.as_ref().unwrap();
    assert_eq!((record.mechanism, record.explanation.chain.len()), (Mechanism::Tpm, 3), "D-08");
    // The answer is used up, and the TPM may register again.
    assert_eq!(makers.world.verdict(&name(), &evidence), "challenge");
    assert_eq!(makers.world.verdict(&name(), &makers.answer()), "assigned by g");
}

#[test]
fn a_tpm_that_shows_no_certificate_or_another_makers_is_refused_unchallenged() {
    let makers = Makers::new();
    assert_eq!(makers.verdict(Vec::new()), "401");
    let [leaf, ca] = &makers.chain()[..] else { panic!() };
    assert_eq!(makers.verdict(vec![leaf.clone()]), "401", "the intermediate is missing");
    assert_eq!(makers.verdict(vec![ca.clone(), leaf.clone()]), "401", "the leaf comes first");
    let other = root("maker");
    assert_eq!(makers.verdict(vec![other.endorses(&spki(), |_| ())]), "401", "of the same name");
    let untrusted = vec![other.endorses(&spki(), |_| ()), other.certificate];
    assert_eq!(makers.verdict(untrusted), "401");
}

#[test]
fn a_certificate_that_does_not_vouch_for_the_key_is_refused() {
    let makers = Makers::new();
    let ca = &makers.issuing;
    let because = |leaf: Certificate| {
        let chain = vec![leaf, ca.certificate.clone()];
        match makers.world.decision(&name(), &shown(chain, None)).verdict {
            Verdict::Reject(Rejection::Stranger { because }) => because.to_string(),
            other => panic!("{}", word(&other)),
        }
    };
    assert!(because(ca.leaf("tpm")).contains("another key"));
    let no_purpose = ca.endorses(&spki(), |plan| plan.extended_key_usages.clear());
    assert!(because(no_purpose).contains("2.23.133.8.1"));
    let is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    assert!(because(ca.endorses(&spki(), |plan| plan.is_ca = is_ca)).contains("CA's"));
    let expired = |plan: &mut rcgen::CertificateParams| {
        plan.not_after = rcgen::date_time_ymd(2026, 2, 1);
    };
    assert!(because(ca.endorses(&spki(), expired)).contains("expired"));
    let critical = |plan: &mut rcgen::CertificateParams| {
        let mut unknown = rcgen::CustomExtension::from_oid_content(&[1, 2, 3], vec![5, 0]);
        unknown.set_criticality(true);
        plan.custom_extensions.push(unknown);
    };
    assert!(because(ca.endorses(&spki(), critical)).contains("1.2.3"));
}

/// Whoever has a TPM of the maker could else take the name of another device.
#[test]
fn a_tpm_in_a_group_has_the_registration_id_of_its_key_alone() {
    let makers = Makers::new();
    let evidence = shown(makers.chain(), None);
    let decision = makers.world.decision("safe-1", &evidence);
    let Verdict::Reject(Rejection::Stranger { because }) = decision.verdict else { panic!() };
    let Disbelief::EndorsementCertificate { because } = because else { panic!("{because:?}") };
    assert!(because.contains(&name()), "the operator reads which it would be: {because}");
    // In either case, as all ids are.
    assert_eq!(makers.world.verdict(&name().to_uppercase(), &evidence), "challenge");
}

/// A TPM answers for its key whatever public area is shown, and would have a name by each.
#[test]
fn a_tpm_in_a_group_has_no_second_name() {
    let makers = Makers::new();
    let mut area = STANDARD.decode(OTHER_KEY).unwrap();
    // A bit of its policy.
    area[20] ^= 1;
    let endorsement_key = EndorsementKey::from_bytes(&area).unwrap();
    let second = endorsement_key.registration_id();
    let Evidence::Tpm(shown) = shown(makers.chain(), None) else { panic!() };
    let evidence = Evidence::Tpm(Box::new(TpmEvidence { endorsement_key, ..*shown }));
    assert_ne!(second, name());
    assert_eq!(makers.world.verdict(&second, &evidence), "401");
}

#[test]
fn s_13_an_individual_enrollment_goes_before_the_group() {
    let mut makers = Makers::new();
    let evidence = makers.answer();
    makers.world.keyed(&name(), keys(3));
    assert_eq!(makers.world.verdict(&name(), &evidence), "401");
    makers.world.remove(&name());
    let endorsement_key = OTHER_KEY.to_owned();
    let own = IndividualAttestation::Tpm { endorsement_key, storage_root_key: None };
    makers.world.individual(&name(), own);
    let assigned = format!("assigned by {}", name());
    assert_eq!(makers.world.verdict(&name(), &evidence), assigned);
}

#[test]
fn d_02_d_03_a_disabled_individual_enrollment_blocks_once_the_tpm_has_answered() {
    let mut makers = Makers::new();
    let evidence = makers.answer();
    makers.world.keyed(&name(), keys(3));
    makers.world.disable(&name());
    assert_eq!(makers.verdict(makers.chain()), "challenge");
    let disabled = format!("disabled by {}", name());
    assert_eq!(makers.world.verdict(&name(), &evidence), disabled);
    assert_eq!(makers.verdict(Vec::new()), "401");
}

#[test]
fn d_03_who_has_not_answered_learns_nothing_of_a_disabled_group() {
    let mut makers = Makers::new();
    makers.world.disable("g");
    assert_eq!(makers.verdict(makers.chain()), "challenge");
    assert_eq!(makers.verdict(Vec::new()), "401");
    let answered = makers.world.decision(&name(), &makers.answer());
    assert_eq!(word(&answered.verdict), "disabled by g");
    assert!(answered.answered.is_some(), "its record is polled with this key");
    let stale = shown(makers.chain(), Some(signed(&key(9))));
    assert_eq!(makers.world.verdict(&name(), &stale), "challenge");
}

#[test]
fn d_05_the_group_nearest_to_the_tpm_decides() {
    let mut makers = Makers::new();
    let issuing = slots(&makers.issuing);
    makers.world.group("near", GroupAttestation::MakerCertificates(issuing));
    let evidence = makers.answer();
    assert_eq!(makers.world.verdict(&name(), &evidence), "assigned by near");
    makers.world.disable("near");
    assert_eq!(makers.world.verdict(&name(), &evidence), "disabled by near");
    makers.world.remove("near");
    assert_eq!(makers.world.verdict(&name(), &evidence), "assigned by g");
}

#[test]
fn d_02_a_disabled_individual_of_the_endorsement_key_blocks_the_makers_group() {
    let mut makers = Makers::new();
    let polls = makers.registered();
    let endorsement_key = OTHER_KEY.to_owned();
    let attestation = IndividualAttestation::Tpm { endorsement_key, storage_root_key: None };
    makers.world.individual("disallow", attestation);
    // Enabled it lets in nobody of another id, and takes the group from nobody.
    assert_eq!(makers.polled(&polls), PollVerdict::Stored);
    assert_eq!(makers.world.verdict(&name(), &makers.answer()), "assigned by g");
    makers.world.disable("disallow");
    assert_eq!(makers.polled(&polls), PollVerdict::Disabled);
    assert_eq!(makers.verdict(makers.chain()), "challenge", "it has to answer first (D-03)");
    assert_eq!(makers.world.verdict(&name(), &makers.answer()), "disabled by disallow");
    makers.world.remove("g");
    assert_eq!(makers.world.verdict(&name(), &makers.answer()), "disabled by disallow");
}

#[test]
fn d_13_a_poll_sees_what_became_of_the_group() {
    let mut makers = Makers::new();
    let polls = makers.registered();
    assert_eq!(makers.polled(&polls), PollVerdict::Stored);
    assert_eq!(makers.polled(&Evidence::Sas(signed(&key(9)))), PollVerdict::Stranger);
    makers.world.disable("g");
    assert_eq!(makers.polled(&polls), PollVerdict::Disabled);
    makers.world.enable("g");
    let (root, other) = (slots(&makers.root), slots(&root("another maker")));
    makers.world.groups[0].attestation = GroupAttestation::MakerCertificates(other);
    assert_eq!(makers.polled(&polls), PollVerdict::Stranger, "the maker is trusted no more");
    makers.world.groups[0].attestation = GroupAttestation::SigningCertificates(root);
    assert_eq!(makers.polled(&polls), PollVerdict::Stranger, "nor by a group of devices");
    makers.world.remove("g");
    assert_eq!(makers.polled(&polls), PollVerdict::Disabled);
}

#[test]
fn v_25_a_group_may_name_a_verified_ca_certificate() {
    let mut makers = Makers::new();
    let maker = CertificateName::parse("ca0").unwrap();
    makers.world.ca(&makers.root, true);
    makers.world.groups[0].attestation =
        GroupAttestation::MakerReferences(Slots { primary: Some(maker), secondary: None });
    assert_eq!(makers.world.verdict(&name(), &makers.answer()), "assigned by g");
    makers.world.cas[0].verified = false;
    assert_eq!(makers.verdict(makers.chain()), "401");
}

/// A stored CA certificate completes a chain, and is not thereby trusted.
#[test]
fn d_06_intermediates_may_be_stored() {
    let mut makers = Makers::new();
    let leaf = vec![makers.issuing.endorses(&spki(), |_| ())];
    assert_eq!(makers.verdict(leaf.clone()), "401");
    makers.world.ca(&makers.issuing, false);
    assert_eq!(makers.verdict(leaf.clone()), "challenge");
    makers.world.cas[0].verified = true;
    makers.world.remove("g");
    makers.world.group("other", GroupAttestation::MakerCertificates(slots(&root("another"))));
    assert_eq!(makers.verdict(leaf), "401", "no group names it");
}

/// Endorsement certificates are public: shown in TLS they are nobody's, and a TPM maker's CA lets
/// no device in by a certificate.
#[test]
fn groups_of_makers_and_of_devices_are_apart() {
    let mut makers = Makers::new();
    let leaf = makers.issuing.leaf("dev");
    makers.world.ca(&makers.root, true);
    let chain = Evidence::X509(vec![leaf, makers.issuing.certificate.clone()]);
    assert_eq!(makers.world.verdict("dev", &chain), "401");
    let evidence = makers.answer();
    makers.world.groups[0].attestation = GroupAttestation::SigningCertificates(slots(&makers.root));
    assert_eq!(makers.world.verdict("dev", &chain), "assigned by g");
    assert_eq!(makers.world.verdict(&name(), &evidence), "401");
    assert_eq!(makers.world.verdict(&name(), &token(&name(), &key(1))), "401");
}
