//! Devices with certificates and chains that don't hold, and with odd ones that do.

use crate::hostile::{HTTPS, Hostile, MQTT, REGISTER, assert_refusal, connack};
use crate::hostile_pki::{Made, ca, named};
use crate::scene::{group, individual};
use e2e::mqtt::Connect;
use e2e::{DPS, Tls, World, world};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd};
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};

const ID: &str = "sensor-1";
/// What a certificate that isn't believed is answered with.
const INVALID: u32 = 401_002;

/// A server that vouches for a root, and a group below one of its intermediates.
struct Chains {
    scene: Hostile,
    root: Made,
    intermediate: Made,
}

impl Chains {
    fn new(world: &World) -> Self {
        Self::with(world, ca("root"), ca("sensors"))
    }

    fn with(world: &World, root: CertificateParams, intermediate: CertificateParams) -> Self {
        let scene = Hostile::new(world);
        let root = Made::alone(root);
        let file = world.dir().join("root.pem");
        fs::write(&file, root.certificate.pem()).unwrap();
        scene.server.trust("root", &file);
        let intermediate = Made::below(&root, intermediate);
        let chains = Self { scene, root, intermediate };
        chains.put_group("sensors", &chains.intermediate);
        chains
    }

    fn put_group(&self, id: &str, signer: &Made) {
        let group = group(id, &x509("signingCertificates", signer.certificate.pem()), "enabled");
        self.scene.dps.put(&format!("/enrollmentGroups/{id}"), &group).expect(200);
    }

    fn tls(&self, device: &Made, behind: &[CertificateDer<'static>]) -> Tls {
        device.tls(&self.scene.ca, behind)
    }

    /// A device with this certificate below the group's, and the good chain behind it, is refused.
    #[track_caller]
    fn assert_leaf_refused(&self, params: CertificateParams) {
        let device = Made::below(&self.intermediate, params);
        self.assert_refused(&device, &[self.intermediate.der()]);
    }

    #[track_caller]
    fn assert_refused(&self, device: &Made, behind: &[CertificateDer<'static>]) {
        self.scene.assert_refused(&self.tls(device, behind), ID, None, INVALID);
        self.scene.assert_unharmed();
    }

    #[track_caller]
    fn assert_accepted(&self, device: &Made, behind: &[CertificateDer<'static>]) {
        self.scene.assert_accepted(&self.tls(device, behind), ID, None);
        self.scene.assert_unharmed();
    }
}

fn x509(kind: &str, pem: String) -> Value {
    json!({"type": "x509", "x509": {kind: {"primary": {"certificate": pem}}}})
}

#[test]
fn a_chain_out_of_order_is_accepted() {
    world(|world| {
        let chains = Chains::new(world);
        let below = Made::below(&chains.intermediate, ca("line-1"));
        let device = Made::below(&below, named(&[ID]));
        let stranger = Made::alone(ca("stranger"));
        let behind = [chains.root.der(), stranger.der(), below.der(), chains.intermediate.der()];
        chains.assert_accepted(&device, &behind);
    });
}

#[test]
fn a_chain_of_a_hundred_certificates_is_refused() {
    world(|world| {
        let chains = Chains::new(world);
        let mut long = vec![Made::below(&chains.intermediate, ca("line-1"))];
        for level in 2..100 {
            long.push(Made::below(&long[long.len() - 1], ca(&format!("line-{level}"))));
        }
        let device = Made::below(&long[long.len() - 1], named(&[ID]));
        let behind: Vec<_> = long.iter().rev().map(Made::der).collect();
        chains.assert_refused(&device, &behind);
    });
}

#[test]
fn two_cas_that_certify_each_other_are_refused() {
    world(|world| {
        let chains = Chains::new(world);
        let (a, b) = (Made::alone(ca("a")), Made::alone(ca("b")));
        let device = Made::below(&a, named(&[ID]));
        chains.assert_refused(&device, &[a.again_below(&b), b.again_below(&a)]);
    });
}

/// Fifteen certificates of five CAs that all certify each other: very many paths, none to a root.
#[test]
fn a_thicket_of_cross_signed_cas_costs_little() {
    world(|world| {
        let chains = Chains::new(world);
        let cas: Vec<_> = (0..5).map(|n| Made::alone(ca(&format!("thicket-{n}")))).collect();
        let pairs = cas.iter().flat_map(|a| cas.iter().map(move |b| (a, b)));
        let behind: Vec<_> = pairs.map(|(a, b)| a.again_below(b)).take(15).collect();
        let device = Made::below(&cas[0], named(&[ID]));
        let begun = Instant::now();
        chains.assert_refused(&device, &behind);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    });
}

#[test]
fn a_nul_in_the_common_name_is_refused() {
    world(|world| {
        let chains = Chains::new(world);
        chains.assert_leaf_refused(named(&["sensor-1\0.example"]));
    });
}

#[test]
fn two_common_names_are_refused_for_either() {
    world(|world| {
        let chains = Chains::new(world);
        chains.assert_leaf_refused(named(&[ID, "sensor-2"]));
        chains.assert_leaf_refused(named(&["sensor-2", ID]));
        chains.assert_leaf_refused(named(&[ID, ID]));
    });
}

#[test]
fn no_common_name_is_refused() {
    world(|world| {
        let chains = Chains::new(world);
        chains.assert_leaf_refused(named(&[]));
    });
}

#[test]
fn another_common_name_than_the_registration_id_is_refused() {
    world(|world| {
        let chains = Chains::new(world);
        for name in ["sensor-2", "sensor-11", "sensor-", " sensor-1", "sensor-1 ", "CN=sensor-1"] {
            chains.assert_leaf_refused(named(&[name]));
        }
    });
}

#[test]
fn an_expired_certificate_is_refused() {
    world(|world| {
        let chains = Chains::new(world);
        let mut expired = named(&[ID]);
        expired.not_after = date_time_ymd(2025, 6, 1);
        chains.assert_leaf_refused(expired);
    });
}

#[test]
fn a_certificate_that_is_not_yet_valid_is_refused() {
    world(|world| {
        let chains = Chains::new(world);
        let mut early = named(&[ID]);
        early.not_before = date_time_ymd(2044, 1, 1);
        chains.assert_leaf_refused(early);
    });
}

#[test]
fn an_expired_intermediate_is_refused() {
    world(|world| {
        let chains = Chains::new(world);
        let mut expired = ca("line-1");
        expired.not_after = date_time_ymd(2025, 6, 1);
        let below = Made::below(&chains.intermediate, expired);
        let device = Made::below(&below, named(&[ID]));
        chains.assert_refused(&device, &[below.der(), chains.intermediate.der()]);
    });
}

#[test]
fn an_issuer_that_is_no_ca_is_refused() {
    world(|world| {
        let chains = Chains::new(world);
        for is_ca in [IsCa::ExplicitNoCa, IsCa::NoCa] {
            let mut device = named(&["sensor-9"]);
            device.is_ca = is_ca;
            let below = Made::below(&chains.intermediate, device);
            let device = Made::below(&below, named(&[ID]));
            chains.assert_refused(&device, &[below.der(), chains.intermediate.der()]);
        }
    });
}

#[test]
fn a_path_longer_than_a_ca_allows_is_refused() {
    world(|world| {
        let mut short = ca("sensors");
        short.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let chains = Chains::with(world, ca("root"), short);
        let below = Made::below(&chains.intermediate, ca("line-1"));
        let device = Made::below(&below, named(&[ID]));
        chains.assert_refused(&device, &[below.der(), chains.intermediate.der()]);
        chains.assert_accepted(
            &Made::below(&chains.intermediate, named(&[ID])),
            &[chains.intermediate.der()],
        );
    });
}

#[test]
fn a_ca_that_may_not_sign_certificates_is_refused() {
    world(|world| {
        let chains = Chains::new(world);
        let mut signer = ca("line-1");
        signer.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign];
        let below = Made::below(&chains.intermediate, signer);
        let device = Made::below(&below, named(&[ID]));
        chains.assert_refused(&device, &[below.der(), chains.intermediate.der()]);
    });
}

/// A leaf says nothing with extensions that an individual enrollment would need.
#[test]
fn a_v1_certificate_that_is_enrolled_itself_is_accepted() {
    world(|world| {
        let chains = Chains::new(world);
        let device = Made::alone(named(&[ID]));
        let v1 = device.as_v1();
        let pem = pem(&v1);
        let individual = individual(ID, &x509("clientCertificates", pem), "enabled");
        chains.scene.dps.put("/enrollments/sensor-1", &individual).expect(200);
        let tls = Tls::showing(&chains.scene.ca, vec![v1], &device.key);
        chains.scene.assert_accepted(&tls, ID, None);
        chains.scene.assert_unharmed();
    });
}

#[test]
fn a_stranger_who_signed_himself_is_refused_and_leaves_no_record() {
    world(|world| {
        let chains = Chains::new(world);
        chains.assert_refused(&Made::alone(named(&[ID])), &[]);
        // Nor does it help to show the good chain behind it, or the names of the good issuer.
        let good = [chains.intermediate.der(), chains.root.der()];
        chains.assert_refused(&Made::alone(named(&[ID])), &good);
        let namesake = Made::alone(ca("sensors"));
        let device = Made::below(&namesake, named(&[ID]));
        chains.assert_refused(&device, &[namesake.der(), chains.root.der()]);
        chains.assert_refused(&device, &good);
    });
}

#[test]
fn s_45_a_key_that_is_not_the_certificates_fails_the_handshake() {
    world(|world| {
        let chains = Chains::new(world);
        let device = Made::below(&chains.intermediate, named(&[ID]));
        let chain = vec![device.der(), chains.intermediate.der()];
        let thief = KeyPair::generate().unwrap();
        let ca = &chains.scene.ca;
        for tls in [
            Tls::showing(ca, chain.clone(), &thief),
            Tls::showing_by_tls12(ca, chain.clone(), &thief),
        ] {
            for port in [MQTT, HTTPS] {
                // In TLS 1.3 the client is done first, and hears of it at its first read.
                if let Ok(mut wire) = tls.try_connect(DPS, port) {
                    wire.assert_closed_within(Duration::from_secs(5));
                }
            }
        }
        chains.scene.assert_no_record(ID);
        chains.scene.assert_accepted(&Tls::showing_by_tls12(ca, chain, &device.key), ID, None);
        chains.scene.assert_unharmed();
    });
}

#[test]
fn a_certificate_that_is_no_certificate_fails_the_handshake() {
    world(|world| {
        let chains = Chains::new(world);
        let device = Made::below(&chains.intermediate, named(&[ID]));
        let cut = CertificateDer::from(device.der()[..100].to_vec());
        let long = CertificateDer::from([device.der().as_ref(), &[0; 70_000]].concat());
        for shown in [cut, long, CertificateDer::from(vec![0x30, 0x80])] {
            let tls = Tls::showing(&chains.scene.ca, vec![shown], &device.key);
            if let Ok(mut wire) = tls.try_connect(DPS, MQTT) {
                wire.assert_closed_within(Duration::from_secs(5));
            }
        }
        chains.scene.assert_unharmed();
    });
}

/// A certificate proves one thing, a token another: the token that is shown decides alone.
#[test]
fn a_bad_token_beside_a_good_certificate_is_refused() {
    world(|world| {
        let chains = Chains::new(world);
        let device = Made::below(&chains.intermediate, named(&[ID]));
        let tls = chains.tls(&device, &[chains.intermediate.der()]);
        let token = chains.scene.token("meter-2");
        let mut wire = tls.connect(DPS, MQTT);
        let username = chains.scene.username(ID);
        let connect = Connect {
            client_id: ID,
            username: Some(&username),
            password: Some(&token),
            will: None,
        };
        assert_eq!(connack(&mut wire, connect), Some(0));
        let (status, body) =
            chains.scene.call(&mut chains.scene.sign_in(&tls, ID, Some(&token)), REGISTER);
        assert_refusal(status, &body, 401_000);
        chains.scene.assert_unharmed();
    });
}

fn pem(der: &CertificateDer<'_>) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let body = STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
}
