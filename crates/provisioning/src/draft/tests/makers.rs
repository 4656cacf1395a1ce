//! Groups whose CAs are those of TPM makers (`docs/decisions/0007`).

use super::*;

fn certifying(attestation: AttestationDraft, certified: Certified) -> AttestationDraft {
    let x509 = attestation.x509.map(|x509| X509Draft { certifies: Some(certified), ..x509 });
    AttestationDraft { x509, ..attestation }
}

fn of_makers(attestation: AttestationDraft) -> GroupDraft {
    group_draft(certifying(attestation, Certified::EndorsementKey))
}

#[test]
fn a_group_is_of_makers_where_it_says_so() {
    let (root, pem) = certificate("maker");
    let mut instance = instance();
    let own = of_makers(signing(Some(uploaded(&pem)), None));
    let made = put_group(&own, None, &instance).unwrap();
    assert!(matches!(&made.attestation, GroupAttestation::MakerCertificates(_)));
    assert_eq!(signing_certificates_of(&made), [root.content_hash()], "V-12");
    instance.ca_certificates.push(ca("maker", root, true));
    let named = of_makers(references(Some("maker"), None));
    let made = put_group(&named, Some(&made), &instance).unwrap();
    assert!(matches!(&made.attestation, GroupAttestation::MakerReferences(_)));
    assert!(put_group(&own, Some(&made), &instance).is_ok(), "V-28");
}

/// A client that reads a group, changes what it knows of and writes it back leaves out our member.
#[test]
fn a_client_that_does_not_know_of_makers_leaves_a_group_what_it_is() {
    let (maker, pem) = certificate("maker");
    let own = of_makers(signing(Some(uploaded(&pem)), None));
    let made = put_group(&own, None, &instance()).unwrap();
    let back = group_draft(signing(Some(kept(&maker)), None));
    let kept = put_group(&back, Some(&made), &instance()).unwrap();
    assert!(matches!(&kept.attestation, GroupAttestation::MakerCertificates(_)));
    let plain = put_group(&back_with(&pem), None, &instance()).unwrap();
    assert!(matches!(&plain.attestation, GroupAttestation::SigningCertificates(_)));
}

fn back_with(pem: &str) -> GroupDraft {
    group_draft(signing(Some(uploaded(pem)), None))
}

#[test]
fn v_28_what_a_groups_cas_certify_can_not_change() {
    let (_, pem) = certificate("maker");
    let own = of_makers(signing(Some(uploaded(&pem)), None));
    let device = group_draft(certifying(signing(Some(uploaded(&pem)), None), Certified::DeviceKey));
    for (first, then) in [(&own, &device), (&device, &own), (&back_with(&pem), &own)] {
        let made = put_group(first, None, &instance()).unwrap();
        let refused = put_group(then, Some(&made), &instance()).unwrap_err();
        assert_eq!(refused, DraftError::CertifiesChanged);
    }
    let made = put_group(&own, None, &instance()).unwrap();
    assert!(put_group(&group_draft(symmetric()), Some(&made), &instance()).is_err());
}

#[test]
fn an_individual_is_of_no_maker() {
    let (_, pem) = certificate("maker");
    let draft = certifying(clients(Some(uploaded(&pem)), None), Certified::EndorsementKey);
    assert_eq!(refused(draft), DraftError::MakersOfIndividual);
    let draft = certifying(clients(Some(uploaded(&pem)), None), Certified::DeviceKey);
    assert!(put(&individual_draft(draft), None, &instance()).is_ok());
}
