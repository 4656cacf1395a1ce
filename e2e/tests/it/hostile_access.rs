//! Operators whose tokens are wrong, at the provisioning service's API.

use crate::hostile::{Hostile, ask, assert_refusal};
use e2e::{DPS, escape, in_seconds, sas_signature, sas_token, world};

const RECORD: &str = "/registrations/witness?api-version=2021-10-01";
const NO_TOKEN: u32 = 401_000;
const BAD_TOKEN: u32 = 401_002;

/// A token of the service's owner over a resource as it stands.
fn owners(scene: &Hostile, resource: &str, expires: u64) -> String {
    let (_, policy, key) = scene.dps.owner();
    sas_token(resource, key, expires, Some(policy))
}

/// Every token is refused with this code, and tells nothing.
#[track_caller]
fn assert_all_refused(scene: &Hostile, tokens: &[String], code: u32) {
    for token in tokens {
        let reply = ask(&scene.tls, "GET", RECORD, &[("Authorization", token)], b"").unwrap();
        println!("{token}: {}", reply.body);
        assert_refusal(reply.status, &reply.body, code);
        assert!(!reply.body.to_string().contains("witness"), "{}", reply.body);
    }
    let target = "/enrollmentGroups/fleet?api-version=2021-10-01";
    for token in tokens {
        let reply = ask(&scene.tls, "DELETE", target, &[("Authorization", token)], b"").unwrap();
        assert_refusal(reply.status, &reply.body, code);
    }
    scene.assert_unharmed();
}

#[track_caller]
fn assert_accepted(scene: &Hostile, token: &str) {
    let reply = ask(&scene.tls, "GET", RECORD, &[("Authorization", token)], b"").unwrap();
    assert_eq!(reply.status, 200, "{token}: {}", reply.body);
}

#[test]
fn no_token_is_refused() {
    world(|world| {
        let scene = Hostile::new(world);
        let reply = ask(&scene.tls, "GET", RECORD, &[], b"").unwrap();
        assert_refusal(reply.status, &reply.body, NO_TOKEN);
        assert_all_refused(&scene, &[String::new(), "Basic YTpi".into()], NO_TOKEN);
    });
}

#[test]
fn k_05_an_expired_token_is_refused() {
    world(|world| {
        let scene = Hostile::new(world);
        let tokens = [-310, -86_400].map(|at| owners(&scene, DPS, in_seconds(at)));
        assert_all_refused(&scene, &tokens, BAD_TOKEN);
        assert_accepted(&scene, &owners(&scene, DPS, in_seconds(-240)));
    });
}

#[test]
fn k_07_a_wrong_key_and_an_unknown_policy_are_refused_alike() {
    world(|world| {
        let scene = Hostile::new(world);
        let (_, policy, key) = scene.dps.owner();
        let good = in_seconds(600);
        let hub = scene.server.hub("hub1");
        let (_, hub_policy, hub_key) = hub.owner();
        let tokens = [
            sas_token(DPS, &scene.group_key, good, Some(policy)),
            sas_token(DPS, key, good, Some("nobody")),
            sas_token(DPS, key, good, Some("registration")),
            sas_token(DPS, key, good, None),
            sas_token(DPS, hub_key, good, Some(hub_policy)),
            sas_token(DPS, hub_key, good, Some(policy)),
            // The signature covers the expiry.
            sas_token(DPS, key, good, Some(policy)).replace("&se=", "&se=0"),
        ];
        assert_all_refused(&scene, &tokens, BAD_TOKEN);
    });
}

#[test]
fn k_02_k_04_a_token_of_another_host_or_of_a_name_alike_is_refused() {
    world(|world| {
        let scene = Hostile::new(world);
        let tokens = [
            "hub1.localhost",
            "muster.localhost",
            "dps2.localhost",
            "dps.localhost.evil",
            "dps.localhos",
            "ps.localhost",
            "localhost",
            "dps.localhost%00",
            "dps.localhost%2FenrollmentsX",
            "dps.localhost/enrollmentsX",
            "dps.localhost/enrollment",
            "dps.localhost/registrations/witnes",
            "dps.localhost/registrations/witness/x",
            "dps.localhost/registrations/witnes%73%2f%2e%2e",
            "evil/dps.localhost",
            "evil@dps.localhost",
            "dps.localhost%252Fregistrations",
            "/registrations/witness",
            "%2F",
            "http://",
        ]
        .map(|resource| owners(&scene, resource, in_seconds(600)));
        // One with a control character in it is no token.
        let (unreadable, tokens): (Vec<_>, Vec<_>) =
            tokens.into_iter().partition(|token| token.contains("%00"));
        assert_all_refused(&scene, &tokens, BAD_TOKEN);
        assert_all_refused(&scene, &unreadable, NO_TOKEN);
    });
}

#[test]
fn k_02_a_token_for_one_entry_reaches_no_other_by_any_spelling() {
    world(|world| {
        let scene = Hostile::new(world);
        let token = owners(&scene, "dps.localhost/enrollmentGroups/a", in_seconds(600));
        for path in [
            "/enrollmentGroups/fleet",
            "/enrollmentGroups/a/../fleet",
            "/enrollmentGroups/a%2f..%2ffleet",
            "/enrollmentGroups/a/%2e%2e/fleet",
            "/enrollmentGroups//a/../fleet",
            "/enrollmentGroups/a?x=/../fleet",
            "/enrollmentGroups/a/fleet",
            "/enrollmentGroups/a/",
            "//enrollmentGroups/fleet",
            "/enrollmentGroups/afleet",
        ] {
            let joint = if path.contains('?') { '&' } else { '?' };
            let target = format!("{path}{joint}api-version=2021-10-01");
            for method in ["GET", "DELETE"] {
                let headers = [("Authorization", token.as_str())];
                let reply = ask(&scene.tls, method, &target, &headers, b"").unwrap();
                assert!((400..500).contains(&reply.status), "{path}: {}", reply.body);
                assert!(!reply.body.to_string().contains("fleet"), "{path}: {}", reply.body);
            }
        }
        scene.assert_unharmed();
    });
}

#[test]
fn k_03_k_14_odd_encodings_that_are_right_are_accepted() {
    world(|world| {
        let scene = Hostile::new(world);
        for resource in [
            "dps.localhost",
            "DPS.LocalHost",
            "%64ps.localhost",
            "dps.localhost%2F",
            "dps.localhost%2fregistrations",
            "dps.localhost%2Fregistrations%2fwitness",
            "dps.localhost/registrations/witness",
            "dps.localhost:443",
            "dps.localhost%3a443%2fregistrations",
            "https%3A%2F%2Fdps.localhost",
            "https://dps.localhost/registrations",
        ] {
            assert_accepted(&scene, &owners(&scene, resource, in_seconds(600)));
        }
        let (_, policy, key) = scene.dps.owner();
        let expires = in_seconds(600);
        let sig = sas_signature(DPS, key, expires);
        let escaped = escape(&sig);
        for fields in [
            format!("sr={DPS}&sig={sig}&se={expires}&skn={policy}"),
            format!("skn={policy}&se={expires}&sig={escaped}&sr={DPS}"),
            format!("sr={DPS}&sig={escaped}&se={expires}&skn={}", policy.to_uppercase()),
            format!("sr={DPS}&sig={escaped}&se={expires}&skn={policy}&other=field"),
        ] {
            assert_accepted(&scene, &format!("SharedAccessSignature {fields}"));
            assert_accepted(&scene, &format!("sharedaccesssignature {fields}"));
        }
    });
}

#[test]
fn a_token_with_a_field_twice_is_refused() {
    world(|world| {
        let scene = Hostile::new(world);
        let good = owners(&scene, DPS, in_seconds(600));
        let (_, policy, _) = scene.dps.owner();
        let twice = [
            format!("{good}&sr={DPS}"),
            format!("{good}&sr=evil"),
            format!("{good}&se=1"),
            format!("{good}&sig=x"),
            format!("{good}&skn={policy}"),
        ];
        assert_all_refused(&scene, &twice, NO_TOKEN);
    });
}

#[test]
fn two_authorization_headers_are_no_way_around_one() {
    world(|world| {
        let scene = Hostile::new(world);
        let bad = owners(&scene, "dps.localhost.evil", in_seconds(600));
        let good = owners(&scene, DPS, in_seconds(600));
        let headers = [("Authorization", bad.as_str()), ("Authorization", good.as_str())];
        let reply = ask(&scene.tls, "GET", RECORD, &headers, b"").unwrap();
        assert!((400..500).contains(&reply.status), "{}", reply.body);
        scene.assert_unharmed();
    });
}

#[test]
fn a_huge_token_is_refused_and_a_huger_one_ends_the_request() {
    world(|world| {
        let scene = Hostile::new(world);
        let good = owners(&scene, DPS, in_seconds(600));
        let padded = |bytes: usize| format!("{good}&pad={}", "x".repeat(bytes));
        assert_all_refused(&scene, &[padded(5_000)], NO_TOKEN);
        // Past the bound on a request's head, nobody reads what it is for.
        for bytes in [20_000, 1_000_000] {
            let huge = padded(bytes);
            let reply = ask(&scene.tls, "GET", RECORD, &[("Authorization", &huge)], b"");
            if let Some(reply) = reply {
                assert_eq!(reply.status, 431, "{}", reply.body);
            }
        }
        scene.assert_unharmed();
    });
}
