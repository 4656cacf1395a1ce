//! V-06 to V-17, V-25, V-28, V-30, A-45 to A-48.

use ::attestation::tpm::{EndorsementKey, PublicError};

use super::*;

/// The keys of an individual, in base64.
fn pair(entry: &Individual) -> (String, String) {
    let IndividualAttestation::SymmetricKey(pair) = &entry.attestation else {
        panic!("no symmetric keys")
    };
    (pair.primary.to_base64(), pair.secondary.to_base64())
}

/// The fresh key of that number, in base64.
fn fresh(number: u8) -> String {
    SymmetricKey::from_bytes(vec![number; 64]).unwrap().to_base64()
}

fn key_text(seed: u8, bytes: usize) -> String {
    SymmetricKey::from_bytes(vec![seed; bytes]).unwrap().to_base64()
}

fn client_slots(entry: &Individual) -> Slots<Certificate> {
    let IndividualAttestation::ClientCertificates(slots) = &entry.attestation else {
        panic!("no client certificates")
    };
    slots.clone()
}

fn signing_slots(entry: &Group) -> Slots<Certificate> {
    let GroupAttestation::SigningCertificates(slots) = &entry.attestation else {
        panic!("no signing certificates")
    };
    slots.clone()
}

/// The endorsement key of Microsoft's samples and of the SDKs' own tests.
const EK: &str = "\
    AToAAQALAAMAsgAgg3GXZ0SEs/gakMyNRqXXJP1S124GUgtk8qHaGzMUaaoABgCAAEMAEAgAAAAAAAEAxsj2gUScTk1U\
    juioeTlfGYZrrimExB+bScH75adUMRIi2UOMxG1kw4y+9RW/IVoMl4e620VxZad0ARX2gUqVjYO7KPVt3dyKhZS3dkcv\
    fBisBhP1XH9B33VqHG9SHnbnQXdBUaCgKAfxome8UmBKfe+naTsE5fkvjb/do3/dD6l4sGBwFCnKRdln4XpM03zLpoHF\
    ao8zOwt8l/uP3qUIxmCYv9A7m69Ms+5/pCkTu/rK4mRDsfhZ0QLfbzVI6zQFOKF/rwsfBtFeWlWtcuJMKlXdD8TXWElT\
    zgh7JS4qhFzreL0c1mI0GCj+Aws0usZh7dLIVPnlgZcBhgy1SSDQMQ==";

fn tpm(endorsement_key: Option<&str>, storage_root_key: Option<&str>) -> AttestationDraft {
    AttestationDraft {
        tpm: Some(TpmDraft {
            endorsement_key: endorsement_key.map(str::to_owned),
            storage_root_key: storage_root_key.map(str::to_owned),
        }),
        ..attestation(Mechanism::Tpm)
    }
}

#[test]
fn v_06_the_member_of_the_mechanism_is_demanded_and_no_other() {
    assert_eq!(
        refused(attestation(Mechanism::X509)),
        DraftError::AttestationMissing(Mechanism::X509)
    );
    assert_eq!(
        refused(attestation(Mechanism::Tpm)),
        DraftError::AttestationMissing(Mechanism::Tpm)
    );
    let mixed =
        AttestationDraft { symmetric_key: Some(KeysDraft::default()), ..clients(None, None) };
    assert_eq!(
        refused(mixed.clone()),
        DraftError::AttestationOfOther {
            mechanism: Mechanism::X509,
            other: Mechanism::SymmetricKey
        }
    );
    let mixed = AttestationDraft { mechanism: Mechanism::SymmetricKey, ..mixed };
    assert_eq!(
        group_refused(mixed),
        DraftError::AttestationOfOther {
            mechanism: Mechanism::SymmetricKey,
            other: Mechanism::X509
        }
    );
}

#[test]
fn v_06_exactly_one_x509_member_is_demanded() {
    assert_eq!(refused(x509(X509Draft::default())), DraftError::X509Members { given: 0 });
    let empty = || Some(Slots { primary: None, secondary: None });
    let two = X509Draft {
        client_certificates: empty(),
        signing_certificates: empty(),
        ca_references: None,
        certifies: None,
    };
    assert_eq!(refused(x509(two)), DraftError::X509Members { given: 2 });
}

#[test]
fn v_07_a_tpm_can_not_attest_a_group() {
    assert_eq!(group_refused(tpm(Some(EK), None)), DraftError::TpmGroup);
}

#[test]
fn v_08_signing_certificates_of_an_individual_are_refused() {
    let (_, pem) = certificate("ca");
    assert_eq!(
        refused(signing(Some(uploaded(&pem)), None)),
        DraftError::SigningCertificatesOfIndividual
    );
}

#[test]
fn v_08_an_individual_may_refer_to_ca_certificates() {
    let mut instance = instance();
    instance.ca_certificates.push(ca("root", certificate("root").0, true));
    let entry = put(&individual_draft(references(Some("ROOT"), None)), None, &instance).unwrap();
    let IndividualAttestation::CaReferences(names) = entry.attestation else { panic!() };
    assert_eq!(names.primary.unwrap().as_str(), "root");
}

#[test]
fn v_09_client_certificates_of_a_group_are_refused() {
    let (_, pem) = certificate("leaf");
    assert_eq!(
        group_refused(clients(Some(uploaded(&pem)), None)),
        DraftError::ClientCertificatesOfGroup
    );
}

#[test]
fn v_10_one_slot_is_enough_and_none_is_too_few() {
    let (leaf, pem) = certificate("dev-1");
    let entry =
        put(&individual_draft(clients(None, Some(uploaded(&pem)))), None, &instance()).unwrap();
    let slots = client_slots(&entry);
    assert!(slots.primary.is_none());
    assert_eq!(slots.secondary.unwrap().thumbprint(), leaf.thumbprint());
    assert_eq!(
        refused(clients(None, None)),
        DraftError::NoCertificate(X509Member::ClientCertificates)
    );
    assert_eq!(
        group_refused(signing(None, None)),
        DraftError::NoCertificate(X509Member::SigningCertificates)
    );
    for empty in [None, Some("")] {
        assert_eq!(
            group_refused(references(empty, None)),
            DraftError::NoCertificate(X509Member::CaReferences)
        );
    }
}

#[test]
fn v_11_one_certificate_may_fill_both_slots() {
    let (leaf, pem) = certificate("dev-1");
    let draft = individual_draft(clients(Some(uploaded(&pem)), Some(uploaded(&pem))));
    let entry = put(&draft, None, &instance()).unwrap();
    assert_eq!(claims_of(&entry), [leaf.content_hash(), leaf.content_hash()]);
}

#[test]
fn v_12_m_15_a_certificate_belongs_to_one_entry() {
    let (root, pem) = certificate("root");
    let mut instance = instance();
    let holder = put_group(&group_draft(signing(Some(uploaded(&pem)), None)), None, &instance);
    instance.groups.push(row(holder.unwrap()));
    instance.ca_certificates.push(ca("root", root, true));
    let by = DraftError::CertificateInUse { by: EntryId::Group(group_id("group-1")) };

    let other = |attestation| GroupDraft {
        id: group_id("group-2"),
        named: None,
        ..group_draft(attestation)
    };
    let same = other(signing(None, Some(uploaded(&pem))));
    assert_eq!(put_group(&same, None, &instance).unwrap_err(), by);
    let by_name = other(references(Some("root"), None));
    assert_eq!(put_group(&by_name, None, &instance).unwrap_err(), by);
    let leaf = individual_draft(clients(Some(uploaded(&pem)), None));
    assert_eq!(put(&leaf, None, &instance).unwrap_err(), by);

    // The entry itself may go on holding it, also by reference.
    let own = group_draft(signing(Some(uploaded(&pem)), None));
    assert!(put_group(&own, None, &instance).is_ok());
    let own = group_draft(references(Some("root"), None));
    assert!(put_group(&own, None, &instance).is_ok());
}

#[test]
fn v_12_what_an_entry_holds_is_known_for_the_look_up() {
    let (root, pem) = certificate("root");
    let group = put_group(&group_draft(signing(Some(uploaded(&pem)), None)), None, &instance());
    assert_eq!(signing_certificates_of(&group.unwrap()), [root.content_hash()]);
    let keyed = put(&individual_draft(symmetric()), None, &instance()).unwrap();
    assert!(claims_of(&keyed).is_empty());
}

#[test]
fn v_13_what_is_no_certificate_is_refused() {
    let error = refused(clients(Some(uploaded("-----BEGIN NOTHING-----")), None));
    let DraftError::Certificate { member, slot, because } = error else { panic!("{error}") };
    assert_eq!((member, slot), (X509Member::ClientCertificates, Slot::Primary));
    assert!(!because.is_empty());
}

#[test]
fn v_13_pem_and_der_in_base64_are_accepted() {
    let (leaf, pem) = certificate("dev-1");
    let der: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    for text in [pem.clone(), format!("{pem}\n \n"), der] {
        let draft = individual_draft(clients(Some(uploaded(&text)), None));
        let entry = put(&draft, None, &instance()).unwrap();
        assert_eq!(claims_of(&entry), [leaf.content_hash()]);
    }
}

#[test]
fn v_04_a_registration_id_longer_than_a_common_name_is_accepted() {
    let (_, pem) = certificate("dev-1");
    let long = "a".repeat(128);
    let draft = IndividualDraft {
        registration_id: id(&long),
        named: Some(long),
        ..individual_draft(clients(Some(uploaded(&pem)), None))
    };
    assert!(put(&draft, None, &instance()).is_ok());
}

#[test]
fn v_14_of_several_certificates_the_first_is_taken() {
    let ((first, first_pem), (_, second_pem)) = (certificate("a"), certificate("b"));
    let both = format!("{first_pem}{second_pem}");
    let entry =
        put(&individual_draft(clients(Some(uploaded(&both)), None)), None, &instance()).unwrap();
    assert_eq!(claims_of(&entry), [first.content_hash()]);
}

#[test]
fn v_15_keys_are_base64_of_16_to_64_bytes() {
    for good in [16, 36, 64] {
        let text = key_text(7, good);
        let draft = individual_draft(keys(Some(&text), Some(&text)));
        let entry = put(&draft, None, &instance()).unwrap();
        assert_eq!(pair(&entry), (text.clone(), text));
    }
    // 15 and 65 bytes.
    for bad in ["AAAAAAAAAAAAAAAAAAAA", &"AAAA".repeat(22), "not base64", "="] {
        let both = |primary, secondary| refused(keys(primary, secondary));
        assert_eq!(both(Some(bad), None), DraftError::SymmetricKey { slot: Slot::Primary });
        assert_eq!(both(None, Some(bad)), DraftError::SymmetricKey { slot: Slot::Secondary });
    }
}

#[test]
fn v_16_missing_and_empty_keys_are_generated() {
    for draft in [symmetric(), keys(None, None), keys(Some(""), Some(""))] {
        let entry = put(&individual_draft(draft.clone()), None, &instance()).unwrap();
        assert_eq!(pair(&entry), (fresh(1), fresh(2)));
        let group = put_group(&group_draft(draft), None, &instance()).unwrap();
        let GroupAttestation::SymmetricKey(pair) = group.attestation else { panic!() };
        assert_eq!(pair.primary.to_base64(), fresh(1));
    }
}

#[test]
fn v_17_one_missing_key_is_generated_alone() {
    let given = key_text(9, 32);
    let entry = put(&individual_draft(keys(Some(&given), None)), None, &instance()).unwrap();
    assert_eq!(pair(&entry), (given.clone(), fresh(1)));
    let entry = put(&individual_draft(keys(Some(""), Some(&given))), None, &instance()).unwrap();
    assert_eq!(pair(&entry), (fresh(1), given));
}

#[test]
fn v_25_a_reference_names_a_ca_certificate_verified_or_not() {
    let mut instance = instance();
    instance.ca_certificates.push(ca("root", certificate("root").0, false));
    let draft = group_draft(references(Some("root"), None));
    assert!(put_group(&draft, None, &instance).is_ok());
    let draft = group_draft(references(Some("root"), Some("other")));
    assert_eq!(
        put_group(&draft, None, &instance).unwrap_err(),
        DraftError::UnknownCa { slot: Slot::Secondary, name: "other".to_owned() }
    );
}

#[test]
fn v_28_the_mechanism_can_not_be_changed() {
    let (_, pem) = certificate("dev-1");
    let existing = put(&individual_draft(symmetric()), None, &instance()).unwrap();
    let draft = individual_draft(clients(Some(uploaded(&pem)), None));
    assert_eq!(
        put(&draft, Some(&existing), &instance()).unwrap_err(),
        DraftError::MechanismChanged { from: Mechanism::SymmetricKey, to: Mechanism::X509 }
    );
    let existing = put_group(&group_draft(symmetric()), None, &instance()).unwrap();
    let draft = group_draft(signing(Some(uploaded(&pem)), None));
    assert!(put_group(&draft, Some(&existing), &instance()).is_err());
}

#[test]
fn v_28_signing_certificates_and_ca_references_may_be_exchanged() {
    let (root, pem) = certificate("root");
    let mut instance = instance();
    instance.ca_certificates.push(ca("root", root, true));
    let own = group_draft(signing(Some(uploaded(&pem)), None));
    let named = group_draft(references(Some("root"), None));
    let existing = put_group(&own, None, &instance).unwrap();
    let existing = put_group(&named, Some(&existing), &instance).unwrap();
    assert!(put_group(&own, Some(&existing), &instance).is_ok());
}

#[test]
fn v_30_an_endorsement_key_is_demanded_and_known_for_the_look_up() {
    let entry = put(&individual_draft(tpm(Some(EK), None)), None, &instance()).unwrap();
    let digest = EndorsementKey::from_base64(EK).unwrap().name().digest();
    assert_eq!(claims_of(&entry), [digest]);
    for (bad, because) in [
        (None, PublicError::Truncated),
        (Some(""), PublicError::Truncated),
        (Some("x"), PublicError::NotBase64),
        (Some("AToA"), PublicError::Truncated),
    ] {
        assert_eq!(refused(tpm(bad, None)), DraftError::EndorsementKey { because }, "{bad:?}");
    }
}

#[test]
fn a_45_info_alone_keeps_the_stored_certificate() {
    let ((first, first_pem), (second, second_pem)) = (certificate("a"), certificate("b"));
    let draft = individual_draft(clients(Some(uploaded(&first_pem)), Some(uploaded(&second_pem))));
    let existing = put(&draft, None, &instance()).unwrap();

    // Sent back as read, also with the slots exchanged and the digits in lower case.
    let lower =
        CertificateDraft::Kept { thumbprint: second.thumbprint().to_string().to_lowercase() };
    let swapped = individual_draft(clients(Some(lower), Some(kept(&first))));
    let entry = put(&swapped, Some(&existing), &instance()).unwrap();
    assert_eq!(claims_of(&entry), [second.content_hash(), first.content_hash()]);

    // A new one beside a kept one: the roll of C-10.
    let (third, third_pem) = certificate("c");
    let rolled = individual_draft(clients(Some(kept(&first)), Some(uploaded(&third_pem))));
    let entry = put(&rolled, Some(&existing), &instance()).unwrap();
    assert_eq!(claims_of(&entry), [first.content_hash(), third.content_hash()]);
}

#[test]
fn a_45_info_of_an_unknown_certificate_is_refused() {
    let ((_, pem), (other, _)) = (certificate("a"), certificate("b"));
    let existing =
        put(&individual_draft(clients(Some(uploaded(&pem)), None)), None, &instance()).unwrap();
    let unknown = DraftError::UnknownCertificate {
        member: X509Member::ClientCertificates,
        slot: Slot::Primary,
    };
    let draft = individual_draft(clients(Some(kept(&other)), None));
    assert_eq!(put(&draft, Some(&existing), &instance()).unwrap_err(), unknown);
    assert_eq!(put(&draft, None, &instance()).unwrap_err(), unknown);
    let nothing = CertificateDraft::Kept { thumbprint: String::new() };
    let draft = individual_draft(clients(Some(nothing), None));
    assert_eq!(put(&draft, Some(&existing), &instance()).unwrap_err(), unknown);
}

#[test]
fn a_46_a_slot_that_is_not_sent_is_emptied() {
    let ((_, first_pem), (second, second_pem)) = (certificate("a"), certificate("b"));
    let draft = group_draft(signing(Some(uploaded(&first_pem)), Some(uploaded(&second_pem))));
    let existing = put_group(&draft, None, &instance()).unwrap();
    let draft = group_draft(signing(None, Some(kept(&second))));
    let slots = signing_slots(&put_group(&draft, Some(&existing), &instance()).unwrap());
    assert!(slots.primary.is_none());
    assert_eq!(slots.secondary.unwrap().thumbprint(), second.thumbprint());
}

#[test]
fn a_47_an_update_without_keys_keeps_them() {
    let (first, second) = (key_text(1, 32), key_text(2, 32));
    let draft = individual_draft(keys(Some(&first), Some(&second)));
    let existing = put(&draft, None, &instance()).unwrap();
    for silent in [symmetric(), keys(None, None), keys(Some(""), Some(""))] {
        let entry = put(&individual_draft(silent), Some(&existing), &instance()).unwrap();
        assert_eq!(pair(&entry), (first.clone(), second.clone()));
    }
    let third = key_text(3, 32);
    let rolled = individual_draft(keys(None, Some(&third)));
    let entry = put(&rolled, Some(&existing), &instance()).unwrap();
    assert_eq!(pair(&entry), (first, third));
}

#[test]
fn a_47_a_group_keeps_its_keys_as_well() {
    let existing = put_group(&group_draft(symmetric()), None, &instance()).unwrap();
    let mut never = || panic!("no key is to be generated");
    let entry = group(&group_draft(symmetric()), Some(&existing), &instance(), &mut never, stamp());
    let GroupAttestation::SymmetricKey(pair) = entry.unwrap().attestation else { panic!() };
    assert_eq!(pair.secondary.to_base64(), fresh(2));
}

#[test]
fn a_48_a_storage_root_key_is_taken_as_given() {
    let stored = |given: Option<&str>| {
        let entry = put(&individual_draft(tpm(Some(EK), given)), None, &instance())?;
        let IndividualAttestation::Tpm { storage_root_key, .. } = entry.attestation else {
            panic!()
        };
        Ok(storage_root_key)
    };
    assert_eq!(stored(Some("ARoAAQ==")), Ok(Some("ARoAAQ==".to_owned())));
    assert_eq!(stored(Some("")), Ok(None));
    assert_eq!(stored(None), Ok(None));
    assert_eq!(stored(Some("?")), Err(DraftError::StorageRootKey));
}
