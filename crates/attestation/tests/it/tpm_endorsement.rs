//! Endorsement certificates, as TPM makers issue them and as nobody should believe them.

use attestation::tpm::{EndorsementCertificateError as Error, EndorsementKey};
use attestation::x509::Certificate;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256,
    PublicKeyData, SignatureAlgorithm,
};

use crate::pki::{self, Plan};
use crate::tpm_public::{P256_ENDORSEMENT_KEY, RSA_ENDORSEMENT_KEY, hex};

/// Issued by `swtpm_localca` 0.7.1 for a TPM that `swtpm_setup` made.
const SWTPM_CERTIFICATE: &str = "\
    MIID9DCCAlygAwIBAgIBAjANBgkqhkiG9w0BAQsFADAYMRYwFAYDVQQDEw1zd3RwbS1sb2NhbGNhMCAXDTI2MTEyMTExMDgz\
    MVoYDzk5OTkxMjMxMjM1OTU5WjASMRAwDgYDVQQDEwd1bmtub3duMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA\
    zAZDf5R4U9yb6xmHvvEgIWv7cWVkma866xcrJonI6kfxn1XygSRluDAag1/1l5qibssDan1/3JnhjvtywbXG+XBUzaQeufWN\
    gaDUYg7Com/oDVgbjD28Q1X4mj3JFqulURbaHmiVXIl2XavIZ9aPYtL6Lyp2p6UWqWj15ffHdVIbfgy076Al5yZF3PfCbhwY\
    J9QY4iMl46ensTzYU4x8CwnkWv1NZQfk3iya83gCfszfjlaegbsEz+eBhhk3Lvjo0yDdIhpDLdg7YxOwfM/ltbkV7g956peM\
    Pm4ejopo00CP4P6MxJA24twEasDsguJutzLMzcC5mlSLn2olSqjV8QIDAQABo4HMMIHJMBAGA1UdJQQJMAcGBWeBBQgBMFIG\
    A1UdEQEB/wRIMEakRDBCMRYwFAYFZ4EFAgEMC2lkOjAwMDAxMDE0MRAwDgYFZ4EFAgIMBXN3dHBtMRYwFAYFZ4EFAgMMC2lk\
    OjIwMTkxMDIzMAwGA1UdEwEB/wQCMAAwIgYDVR0JBBswGTAXBgVngQUCEDEOMAwMAzIuMAIBAAICAKQwHwYDVR0jBBgwFoAU\
    YKubV3mcNtxnk1sWgV2JVPIe+j8wDgYDVR0PAQH/BAQDAgUgMA0GCSqGSIb3DQEBCwUAA4IBgQCUNO/Xf+i4A+7Kygv+s7rT\
    qQnSbUFsv4Mjzbr0/IvGoohMz5G38jsbGbXOUrDCvW4r6HGuLquyKZfIl557xR/e4YC7xkC9FFZf8kNPpGS6IhngjE7jv2Vr\
    6eJbJ4lQSzDASO2FxmT9lzQcCMbtlmm0Rqmbl4+cQTh3GiCgxahv5/tTKivpL9sAprp1K+0FQduPi4zUP5gp28U4xLkFKb8F\
    UtBJQ/7K02fjKPKYeQRKYI6/THFcTZqDs9GOzffzS8iE4cJZnXSnAhPMcF5n0+ViFrvZZATQ3fAmGHLTNxqu678XvqWPyszm\
    4+kICOEdYJW6eZqejFlqsOAo2EKNTQM+DzSh9Flyma9eT0qWT30QH4AWZ+fuHHZcFVw7vbNpiCf9AIEs0Pl7zO/K6S63rHLG\
    hr/xZ5FyQa3BcrwH8DVHNteeHkOkZLaJnLhr0GpvjopIIGrt2dXHkhvTQFVy05nCDEX99oi/QAciUZeTp41Pg3tr8z1VwaoP\
    yrkvRtWK/cg=";

/// Of `azure-iot-sdk-node`, `provisioning/e2e/_service_create_delete.js`.
const SDK_KEY: &str = "\
    AToAAQALAAMAsgAgg3GXZ0SEs/gakMyNRqXXJP1S124GUgtk8qHaGzMUaaoABgCAAEMAEAgAAAAAAAEAtKEADl/sNRgmYAjP\
    6gXmbccRaJoTnVixisUaek0OwAzFGN70xt9ZOYp6fhIwfcft3fdVKOrKpXYcTe72CGNkGJGlQz5ti9n2pQ0uJhcX8aefh4On\
    m7lVlUCQAVp1K0r6zI8vkEXWsBIvwvxk0eMJbFaq146kbTkJHIGczb89RkFH2TX+CgXeZOG9oXQzUNwktmTUacspamune5Wy\
    wc/ce8HsDFYchyUHogFhrZ/LPnzyTDXO8sSC5z5dvsUBtUME3iRYDyKgZOfBtmRMqQewD+4iH+ZEJjtsyJiWR8hFhyKROnOu\
    qXfNFwjd5IcNU4wtlKO0cLyXmTOfQK6Da1pr5Q==";

const EK_CERTIFICATE: &[u64] = &[2, 23, 133, 8, 1];
const ALTERNATIVE_NAME: &[u64] = &[2, 5, 29, 17];
/// Maker, model and version in one set, as of `swtpm_localca`.
const TPM_NAME: &str = "\
    3046a444304231163014060567810502010c0b69643a30303030313031343110300e060567810502020c0573777470\
    6d31163014060567810502030c0b69643a3230313931303233";

fn rsa() -> EndorsementKey {
    EndorsementKey::from_base64(RSA_ENDORSEMENT_KEY).unwrap()
}

fn p256() -> EndorsementKey {
    EndorsementKey::from_bytes(&hex(P256_ENDORSEMENT_KEY)).unwrap()
}

/// The public part of a TPM's key.
struct TpmKey(Vec<u8>, &'static SignatureAlgorithm);

impl TpmKey {
    fn rsa() -> Self {
        let area = STANDARD.decode(RSA_ENDORSEMENT_KEY).unwrap();
        let modulus = &area[area.len() - 256..];
        let head = [0x30, 0x82, 0x01, 0x0A, 0x02, 0x82, 0x01, 0x01, 0x00].as_slice();
        Self([head, modulus, &[0x02, 0x03, 0x01, 0x00, 0x01]].concat(), &PKCS_RSA_SHA256)
    }

    fn p256() -> Self {
        let area = hex(P256_ENDORSEMENT_KEY);
        let end = area.len();
        let (x, y) = (&area[end - 66..end - 34], &area[end - 32..]);
        Self([&[4], x, y].concat(), &PKCS_ECDSA_P256_SHA256)
    }
}

impl PublicKeyData for TpmKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }
    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.1
    }
}

fn plan(usage: KeyUsagePurpose) -> Plan {
    let mut plan = pki::leaf("tpm").key_usages(&[usage]).basic(IsCa::ExplicitNoCa);
    plan.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(EK_CERTIFICATE.to_vec())];
    plan.extension(ALTERNATIVE_NAME, true, &hex(TPM_NAME))
}

fn rsa_plan() -> Plan {
    plan(KeyUsagePurpose::KeyEncipherment)
}

fn issued(plan: Plan, key: &TpmKey) -> Certificate {
    plan.issued_for(key, &pki::ca("maker").self_signed())
}

fn judged(plan: Plan) -> Result<(), Error> {
    rsa().is_certified_by(&issued(plan, &TpmKey::rsa()))
}

#[test]
fn a_certificate_for_the_very_key_vouches_for_it() {
    assert_eq!(judged(rsa_plan()), Ok(()));
    let elliptic = issued(plan(KeyUsagePurpose::KeyAgreement), &TpmKey::p256());
    assert_eq!(p256().is_certified_by(&elliptic), Ok(()));
    assert_eq!(rsa().is_certified_by(&elliptic), Err(Error::OtherKey));
    assert_eq!(elliptic.unknown_critical_extension(), None, "its critical name is understood");
    let of_another_tpm = Certificate::from_upload(SWTPM_CERTIFICATE.as_bytes()).unwrap();
    assert_eq!(rsa().is_certified_by(&of_another_tpm), Err(Error::OtherKey));
}

#[test]
fn a_certificate_of_a_software_tpm_vouches_for_its_key() {
    let certificate = Certificate::from_upload(SWTPM_CERTIFICATE.as_bytes()).unwrap();
    // The modulus stands before the exponent of 5 bytes.
    let spki = certificate.spki_der();
    let mut area = STANDARD.decode(RSA_ENDORSEMENT_KEY).unwrap();
    let at = area.len() - 256;
    area[at..].copy_from_slice(&spki[spki.len() - 261..spki.len() - 5]);
    let key = EndorsementKey::from_bytes(&area).unwrap();
    assert!(key.is_of_template());
    assert_eq!(key.is_certified_by(&certificate), Ok(()));
    assert_eq!(certificate.unknown_critical_extension(), None);
}

#[test]
fn a_certificate_of_another_purpose_vouches_for_nothing() {
    let mut no_purpose = rsa_plan();
    no_purpose.params.extended_key_usages.clear();
    assert_eq!(judged(no_purpose), Err(Error::ExtendedKeyUsage));
    let mut client = rsa_plan();
    client.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    assert_eq!(judged(client), Err(Error::ExtendedKeyUsage));
    for usage in [KeyUsagePurpose::KeyAgreement, KeyUsagePurpose::DigitalSignature] {
        assert_eq!(judged(plan(usage)), Err(Error::KeyUsage));
    }
    assert_eq!(judged(rsa_plan().key_usages(&[])), Err(Error::KeyUsage));
    let elliptic = issued(rsa_plan(), &TpmKey::p256());
    assert_eq!(p256().is_certified_by(&elliptic), Err(Error::KeyUsage));
    let ca = rsa_plan().basic(IsCa::Ca(rcgen::BasicConstraints::Unconstrained));
    assert_eq!(judged(ca), Err(Error::NoLeaf));
}

#[test]
fn a_certificate_that_names_no_tpm_vouches_for_nothing() {
    let mut unnamed = rsa_plan();
    unnamed.params.custom_extensions.clear();
    assert_eq!(judged(unnamed.clone()), Err(Error::TpmName));
    let host = unnamed.clone().extension(ALTERNATIVE_NAME, false, &hex("3003820161"));
    assert_eq!(judged(host), Err(Error::TpmName));
    // Each of the three is needed: another attribute stands in its place.
    for attribute in ["0567810502010c", "0567810502020c", "0567810502030c"] {
        let other = attribute.replace("05678105020", "05678105021");
        let name = hex(&TPM_NAME.replace(attribute, &other));
        let lacking = unnamed.clone().extension(ALTERNATIVE_NAME, true, &name);
        assert_eq!(judged(lacking), Err(Error::TpmName), "{attribute}");
    }
    let broken = unnamed.extension(ALTERNATIVE_NAME, true, &hex("3046a444"));
    assert_eq!(judged(broken), Err(Error::TpmName));
}

#[test]
fn keys_of_the_templates_are_told_from_others() {
    assert!(rsa().is_of_template() && p256().is_of_template());
    let area = STANDARD.decode(RSA_ENDORSEMENT_KEY).unwrap();
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut area = area.clone();
        change(&mut area);
        EndorsementKey::from_bytes(&area).unwrap()
    };
    // All of them are keys that the same TPM would answer for.
    let attributes = changed(&|area| area[9] ^= 0x40);
    let policy = changed(&|area| area[20] ^= 1);
    let exponent = changed(&|area| area[54..58].copy_from_slice(&65537_u32.to_be_bytes()));
    let no_policy = changed(&|area| {
        area.drain(12..44);
        area[11] = 0;
        let size = u16::try_from(area.len() - 2).unwrap();
        area[..2].copy_from_slice(&size.to_be_bytes());
    });
    for key in [attributes, policy, exponent, no_policy] {
        assert!(!key.is_of_template());
        assert_ne!(key.registration_id(), rsa().registration_id());
    }
}

/// Vector: as `base32` of the coreutils and `openssl dgst -sha256` make it.
#[test]
fn the_registration_id_of_a_key_is_that_of_the_sdks() {
    let key = EndorsementKey::from_base64(SDK_KEY).unwrap();
    assert_eq!(key.registration_id(), "y5wivfciikcievvnsbpkhzcahwm4chuzx6v4hnqnlqfs3fjf6rxa");
}
