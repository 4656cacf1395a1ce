//! A small world of certificates, keys and entries to decide in.

use std::sync::Arc;

use attestation::SymmetricKey;
use attestation::network::NetworkAccess;
use attestation::sas::{self, SasToken};
use attestation::x509::Certificate;
use model::{
    CertificateName, EnrollmentGroupId, Etag, HostName, IdScope, RegistrationId, Revision,
    ServiceName, Timestamp,
};
use provisioning::decide::{Conclusion, Decision, Rejection, Verdict, decide};
use provisioning::draft::claims_of;
use provisioning::enrollment::{
    AllocationPolicy, Entry, EntryId, EntryRef, Group, GroupAttestation, Individual,
    IndividualAttestation, KeyPair, ProvisioningStatus, Settings, Slots, Stamp,
};
use provisioning::instance::{CaCertificate, Dps, LinkedHub};
use provisioning::quota::Quota;
use provisioning::registration::{Registration, RegistrationStatus, TpmRegistration};
use provisioning::reprovision::assigned_at;
use provisioning::view::{
    Evidence, InstanceView, RegistrationRequest, RegistrationView, Versioned,
};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, Issuer,
    KeyPair as RcgenKey, SubjectPublicKeyInfo,
};

pub const NOW: Timestamp = Timestamp::from_unix_seconds(1_790_000_000);
pub const SCOPE: &str = "0ne00ABCDEF";

/// An alternative name with a TPM's maker, model and version, in one set.
const TPM_NAME: &[u8] = b"\x30\x35\xa4\x33\x30\x31\x31\x2f\
    \x30\x0d\x06\x05\x67\x81\x05\x02\x01\x0c\x04id:1\
    \x30\x0d\x06\x05\x67\x81\x05\x02\x02\x0c\x04soft\
    \x30\x0f\x06\x05\x67\x81\x05\x02\x03\x0c\x06id:2.0";

pub struct Ca {
    pub certificate: Certificate,
    params: CertificateParams,
    key: RcgenKey,
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2036, 1, 1);
    params
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn parsed(certificate: &rcgen::Certificate) -> Certificate {
    Certificate::from_der(certificate.der()).unwrap()
}

pub fn root(name: &str) -> Ca {
    let (params, key) = (ca_params(name), RcgenKey::generate().unwrap());
    let certificate = parsed(&params.self_signed(&key).unwrap());
    Ca { certificate, params, key }
}

pub fn self_signed(name: &str) -> Certificate {
    parsed(&params(name).self_signed(&RcgenKey::generate().unwrap()).unwrap())
}

impl Ca {
    fn issuer(&self) -> Issuer<'_, &RcgenKey> {
        Issuer::from_params(&self.params, &self.key)
    }

    pub fn intermediate(&self, name: &str) -> Self {
        let (params, key) = (ca_params(name), RcgenKey::generate().unwrap());
        let certificate = parsed(&params.signed_by(&key, &self.issuer()).unwrap());
        Self { certificate, params, key }
    }

    pub fn leaf(&self, name: &str) -> Certificate {
        let key = RcgenKey::generate().unwrap();
        parsed(&params(name).signed_by(&key, &self.issuer()).unwrap())
    }

    /// An endorsement certificate for the public key of this `SubjectPublicKeyInfo`; `change`
    /// makes it another one.
    pub fn endorses(
        &self,
        spki: &[u8],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Certificate {
        let mut params = params("");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyAgreement];
        let purpose = vec![2, 23, 133, 8, 1];
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::Other(purpose)];
        let mut name = CustomExtension::from_oid_content(&[2, 5, 29, 17], TPM_NAME.to_vec());
        name.set_criticality(true);
        params.custom_extensions = vec![name];
        change(&mut params);
        let key = SubjectPublicKeyInfo::from_der(spki).unwrap();
        parsed(&params.signed_by(&key, &self.issuer()).unwrap())
    }

    pub fn expired_leaf(&self, name: &str) -> Certificate {
        let mut params = params(name);
        params.not_after = rcgen::date_time_ymd(2026, 2, 1);
        parsed(&params.signed_by(&RcgenKey::generate().unwrap(), &self.issuer()).unwrap())
    }

    pub fn future_leaf(&self, name: &str) -> Certificate {
        let mut params = params(name);
        params.not_before = rcgen::date_time_ymd(2035, 2, 1);
        parsed(&params.signed_by(&RcgenKey::generate().unwrap(), &self.issuer()).unwrap())
    }

    pub fn nameless_leaf(&self) -> Certificate {
        let mut params = params("x");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "nobody");
        parsed(&params.signed_by(&RcgenKey::generate().unwrap(), &self.issuer()).unwrap())
    }
}

pub fn id(text: &str) -> RegistrationId {
    RegistrationId::parse(text).unwrap()
}

pub fn key(seed: u8) -> SymmetricKey {
    SymmetricKey::from_bytes(vec![seed; 32]).unwrap()
}

pub fn keys(seed: u8) -> KeyPair {
    KeyPair { primary: key(seed), secondary: key(seed.wrapping_add(100)) }
}

pub fn token(registration_id: &str, key: &SymmetricKey) -> Evidence {
    let expires = Timestamp::from_unix_seconds(NOW.unix_seconds() + 3600);
    token_until(registration_id, key, expires)
}

pub fn token_until(registration_id: &str, key: &SymmetricKey, expires: Timestamp) -> Evidence {
    let resource = format!("{SCOPE}/registrations/{registration_id}");
    let text = sas::create(&resource, key, expires, Some("registration"));
    Evidence::Sas(SasToken::parse(&text).unwrap())
}

pub fn host(name: &str) -> HostName {
    HostName::parse(name).unwrap()
}

/// Everything an instance holds, easy to change.
pub struct World {
    pub dps: Dps,
    pub individuals: Vec<Individual>,
    pub groups: Vec<Group>,
    pub cas: Vec<CaCertificate>,
    pub record: Option<Registration>,
    pub counted: u64,
    pub deleted: u64,
    clock: i64,
}

impl World {
    pub fn new() -> Self {
        let hub = |name: &str| LinkedHub {
            host: host(name),
            allocation_weight: 1,
            apply_allocation_policy: true,
            remote: None,
            latencies: Default::default(),
        };
        Self {
            dps: Dps {
                name: ServiceName::parse("dps").unwrap(),
                id_scope: IdScope::parse(SCOPE).unwrap(),
                host: host("dps.localhost"),
                allocation_policy: AllocationPolicy::Hashed,
                linked_hubs: vec![hub("hub1.localhost"), hub("hub2.localhost")],
                policies: Vec::new(),
                network: NetworkAccess::default(),
                quota: Quota::default(),
                challenge_secret: Some(key(250)),
                expiry_exceptions: Vec::new(),
                issuance: Default::default(),
                regions: Vec::new(),
                created: NOW,
            },
            individuals: Vec::new(),
            groups: Vec::new(),
            cas: Vec::new(),
            record: None,
            counted: 0,
            deleted: 0,
            clock: 0,
        }
    }

    fn stamp(&mut self) -> Stamp {
        self.clock += 1;
        let created = Timestamp::from_unix_seconds(1_780_000_000 + self.clock);
        Stamp { etag: Etag::new("e"), created, updated: created }
    }

    pub fn verified(&mut self, ca: &Ca) {
        self.ca(ca, true);
    }

    pub fn ca(&mut self, ca: &Ca, verified: bool) {
        let name = CertificateName::parse(&format!("ca{}", self.cas.len())).unwrap();
        self.cas.push(CaCertificate {
            name,
            certificate: ca.certificate.clone(),
            verified,
            code: None,
            etag: Etag::new("e"),
            created: NOW,
            updated: NOW,
        });
    }

    pub fn individual(&mut self, name: &str, attestation: IndividualAttestation) {
        let stamp = self.stamp();
        self.individuals.push(Individual {
            registration_id: id(name),
            device_id: None,
            attestation,
            settings: Settings::default(),
            optional_device_information: None,
            stamp,
        });
    }

    pub fn pinned(&mut self, name: &str, certificate: &Certificate) {
        let slots = Slots { primary: Some(certificate.clone()), secondary: None };
        self.individual(name, IndividualAttestation::ClientCertificates(slots));
    }

    pub fn keyed(&mut self, name: &str, keys: KeyPair) {
        self.individual(name, IndividualAttestation::SymmetricKey(keys));
    }

    pub fn group(&mut self, name: &str, attestation: GroupAttestation) {
        let stamp = self.stamp();
        let id = EnrollmentGroupId::parse(name).unwrap();
        self.groups.push(Group {
            id,
            attestation,
            settings: Settings::default(),
            reprovision: None,
            stamp,
        });
    }

    pub fn signing(&mut self, name: &str, ca: &Ca) {
        let slots = Slots { primary: Some(ca.certificate.clone()), secondary: None };
        self.group(name, GroupAttestation::SigningCertificates(slots));
    }

    /// The settings of an entry, individual or group.
    pub fn settings(&mut self, name: &str) -> &mut Settings {
        let individual = self.individuals.iter().position(|e| e.registration_id == id(name));
        match individual {
            Some(at) => &mut self.individuals[at].settings,
            None => {
                let at = self.groups.iter().position(|g| g.id.as_str() == name).unwrap();
                &mut self.groups[at].settings
            }
        }
    }

    /// Names an entry as it is now.
    pub fn reference(&self, name: &str) -> EntryRef {
        let individual = self.individuals.iter().find(|e| e.registration_id == id(name));
        let group = self.groups.iter().find(|group| group.id.as_str() == name);
        let entry = individual.map(Entry::Individual).or_else(|| group.map(Entry::Group));
        entry.unwrap().reference()
    }

    pub fn disable(&mut self, name: &str) {
        self.settings(name).provisioning_status = ProvisioningStatus::Disabled;
    }

    pub fn enable(&mut self, name: &str) {
        self.settings(name).provisioning_status = ProvisioningStatus::Enabled;
    }

    pub fn remove(&mut self, name: &str) {
        self.individuals.retain(|entry| entry.registration_id != id(name));
        self.groups.retain(|group| group.id.as_str() != name);
    }

    /// Deletes the record.
    pub fn forget(&mut self) {
        self.record = None;
        self.deleted += 1;
    }

    pub fn view(&self, registration_id: &str, evidence: &Evidence) -> RegistrationView {
        fn at<T>(value: T) -> Versioned<T> {
            Versioned { value, revision: Revision(1) }
        }
        let wanted = id(registration_id);
        let record = self.record.clone().filter(|record| record.registration_id == wanted);
        let of_record = || Some(record.as_ref()?.tpm.as_ref()?.endorsement_key);
        let claim = evidence.claim().or_else(of_record);
        let holds =
            |entry: &&Individual| claim.is_some_and(|claim| claims_of(entry).contains(&claim));
        RegistrationView {
            instance: Arc::new(InstanceView {
                dps: self.dps.clone(),
                groups: self.groups.iter().cloned().map(at).collect(),
                ca_certificates: self.cas.iter().cloned().map(at).collect(),
                generation: Revision(1),
            }),
            individual_by_id: self
                .individuals
                .iter()
                .find(|entry| entry.registration_id == wanted)
                .cloned()
                .map(at),
            individuals_by_leaf: self.individuals.iter().filter(holds).cloned().map(at).collect(),
            registration: record.map(at),
            registrations_counted: self.counted,
            registrations_deleted: self.deleted,
        }
    }

    pub fn decision(&self, registration_id: &str, evidence: &Evidence) -> Decision {
        self.decision_of(registration_id, "2021-06-01", evidence)
    }

    pub fn decision_of(&self, name: &str, api_version: &str, evidence: &Evidence) -> Decision {
        let request = RegistrationRequest {
            registration_id: id(name),
            api_version: api_version.to_owned(),
            payload: None,
            csr: None,
            from: None,
        };
        decide(&request, evidence, &self.view(name, evidence), NOW)
    }

    /// The verdict in a word: `assigned by E`, `disabled by E`, `failed`, `401`, `403`.
    pub fn verdict(&self, registration_id: &str, evidence: &Evidence) -> String {
        word(&self.decision(registration_id, evidence).verdict)
    }

    /// Registers and keeps the record, as the service would.
    pub fn register(&mut self, name: &str, evidence: &Evidence) -> Verdict {
        let Decision { verdict, explanation, answered } = self.decision(name, evidence);
        if let Verdict::Assign(place) | Verdict::Keep(place) = &verdict {
            let view = self.view(name, evidence);
            self.record = Some(Registration {
                registration_id: id(name),
                owner: place.entry.clone(),
                decided_by: place.entry.clone(),
                status: RegistrationStatus::Assigned,
                substatus: Some(place.substatus),
                assignment: Some(place.to.clone()),
                failure: None,
                payload: place.payload.clone(),
                pending: None,
                reprovision: None,
                assigned_at: Some(assigned_at(view.entry(&place.entry), NOW)),
                operation_id: "5.op".to_owned(),
                earlier_operation_ids: Vec::new(),
                mechanism: explanation.mechanism.unwrap(),
                tpm: answered.map(|challenge_key| TpmRegistration {
                    endorsement_key: tpm_of(evidence),
                    challenge_key,
                    authentication_key: None,
                }),
                issued: None,
                created: NOW,
                updated: NOW,
                etag: Etag::new("e"),
                explanation: Arc::new(explanation),
            });
        }
        verdict
    }
}

/// The digest of the shown endorsement key's Name.
fn tpm_of(evidence: &Evidence) -> model::Sha256 {
    let Evidence::Tpm(shown) = evidence else { panic!("no TPM answered") };
    shown.endorsement_key.name().digest()
}

pub fn word(verdict: &Verdict) -> String {
    fn entry(id: &EntryId) -> &str {
        match id {
            EntryId::Individual(id) => id.as_str(),
            EntryId::Group(id) => id.as_str(),
        }
    }
    match verdict {
        Verdict::Assign(place) | Verdict::Keep(place) => {
            format!("assigned by {}", entry(&place.entry.id))
        }
        Verdict::Consult(_) => "a webhook is asked".to_owned(),
        Verdict::Conclude(Conclusion::Disabled { entry: by }) => {
            format!("disabled by {}", entry(&by.id))
        }
        Verdict::Conclude(Conclusion::Failed { .. }) => "failed".to_owned(),
        Verdict::Challenge(_) => "challenge".to_owned(),
        Verdict::Reject(Rejection::Stranger { .. }) => "401".to_owned(),
        Verdict::Reject(Rejection::QuotaReached { .. }) => "403".to_owned(),
        Verdict::Reject(Rejection::Csr(_)) => "400".to_owned(),
    }
}

pub fn chain(certificates: &[&Certificate]) -> Evidence {
    Evidence::X509(certificates.iter().map(|c| (*c).clone()).collect())
}

/// The same certificate with its ECDSA signature rewritten into the other valid one, `n - s`: any
/// holder of a certificate can do that, and its thumbprint changes.
pub fn rewritten(certificate: &Certificate) -> Certificate {
    const N: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let der = certificate.der();
    // The signature ends the certificate: BIT STRING { SEQUENCE { INTEGER r, INTEGER s } }.
    let at = (0..der.len())
        .rev()
        .find(|at| {
            der[*at] == 0x03 && at + 2 + usize::from(der[at + 1]) == der.len() && der[at + 2] == 0
        })
        .unwrap();
    let r_len = usize::from(der[at + 6]);
    let s_at = at + 7 + r_len;
    let s = &der[s_at + 2..];
    let mut other = [0_u8; 32];
    let mut borrow = 0_i16;
    for place in 0..32 {
        let digit = s.len().checked_sub(place + 1).map_or(0, |index| i16::from(s[index]));
        let difference = i16::from(N[31 - place]) - digit - borrow;
        borrow = i16::from(difference < 0);
        other[31 - place] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    let mut other: Vec<u8> = other.into_iter().skip_while(|byte| *byte == 0).collect();
    if other[0] >= 0x80 {
        other.insert(0, 0);
    }
    let mut numbers = der[at + 5..s_at].to_vec();
    numbers.extend([0x02, u8::try_from(other.len()).unwrap()]);
    numbers.extend(other);
    let mut signature = vec![0x00, 0x30, u8::try_from(numbers.len()).unwrap()];
    signature.extend(numbers);
    let mut whole = der[4..at].to_vec();
    whole.extend([0x03, u8::try_from(signature.len()).unwrap()]);
    whole.extend(signature);
    let mut rewritten = vec![0x30, 0x82];
    rewritten.extend(u16::try_from(whole.len()).unwrap().to_be_bytes());
    rewritten.extend(whole);
    Certificate::from_der(&rewritten).unwrap()
}
