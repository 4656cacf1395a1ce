//! Devices with tokens that are wrong, and with odd ones that are right.

use crate::hostile::{Hostile, assert_refusal};
use e2e::{Tls, escape, in_seconds, sas_signature, sas_token, world};

/// The device that the bad tokens are shown for.
const ID: &str = "meter-1";
const UNAUTHORIZED: u32 = 401_000;

/// Shows bad tokens for [`ID`], each of which must be refused.
#[track_caller]
fn assert_all_refused(scene: &Hostile, tokens: &[String]) {
    for token in tokens {
        println!("{token}");
        scene.assert_refused(&scene.tls, ID, Some(token), UNAUTHORIZED);
    }
    scene.assert_unharmed();
}

#[test]
fn another_devices_token_is_refused() {
    world(|world| {
        let scene = Hostile::new(world);
        let of_another = scene.token("meter-2");
        let for_me = sas_token(&scene.resource(ID), &scene.key("meter-2"), in_seconds(600), None);
        assert_all_refused(&scene, &[of_another, for_me]);
    });
}

#[test]
fn k_05_an_expired_token_is_refused_and_one_of_a_slow_clock_is_not() {
    world(|world| {
        let scene = Hostile::new(world);
        let signed = |at| sas_token(&scene.resource(ID), &scene.key(ID), in_seconds(at), None);
        assert_all_refused(&scene, &[signed(-310), signed(-86_400)]);
        scene.assert_accepted(&scene.tls, ID, Some(&signed(-240)));
    });
}

#[test]
fn a_token_of_the_far_future_is_accepted() {
    world(|world| {
        let scene = Hostile::new(world);
        for expires in [253_402_300_799, u64::MAX] {
            let token = sas_token(&scene.resource(ID), &scene.key(ID), expires, None);
            scene.assert_accepted(&scene.tls, ID, Some(&token));
        }
        scene.assert_unharmed();
    });
}

#[test]
fn every_sdks_encoding_of_a_token_is_accepted() {
    world(|world| {
        let scene = Hostile::new(world);
        let (scope, key, expires) = (&scene.scope, scene.key(ID), in_seconds(600));
        for resource in [
            format!("{scope}%2Fregistrations%2F{ID}"),
            format!("{scope}%2fregistrations%2f{ID}"),
            format!("{scope}/registrations/{ID}"),
            format!("{}/REGISTRATIONS/{}", scope.to_uppercase(), ID.to_uppercase()),
            format!("%{:02x}{}/registrations/{ID}", scope.as_bytes()[0], &scope[1..]),
        ] {
            let raw = sas_signature(&resource, &key, expires);
            let upper = escape(&raw);
            let lower = ["%2F", "%2B", "%3D"]
                .iter()
                .fold(upper.clone(), |sig, hex| sig.replace(hex, &hex.to_lowercase()));
            for sig in [&raw, &upper, &lower] {
                for fields in [
                    format!("sr={resource}&sig={sig}&se={expires}"),
                    format!("sr={resource}&sig={sig}&se={expires}&skn="),
                    format!("se={expires}&skn=registration&sig={sig}&sr={resource}"),
                ] {
                    let token = format!("SharedAccessSignature {fields}");
                    scene.assert_accepted(&scene.tls, ID, Some(&token));
                }
            }
        }
        scene.assert_unharmed();
    });
}

#[test]
fn k_02_a_resource_that_only_begins_like_the_devices_is_refused() {
    world(|world| {
        let scene = Hostile::new(world);
        let scope = &scene.scope;
        let signed = |sr: &str| sas_token(sr, &scene.key(ID), in_seconds(600), None);
        let tokens = [
            format!("{scope}/registrations/{ID}2"),
            format!("{scope}/registrations/meter-"),
            format!("{scope}/registrations/"),
            format!("{scope}/registrations"),
            scope.clone(),
            format!("{scope}/registrations/{ID}/"),
            format!("{scope}/registrations/{ID}/../{ID}"),
            format!("{scope}/registrations/{ID}%00"),
            format!("{scope}%252Fregistrations%252F{ID}"),
            format!("/{scope}/registrations/{ID}"),
            format!("https://{scope}/registrations/{ID}"),
            format!("0ne{scope}/registrations/{ID}"),
            format!("dps.localhost/{scope}/registrations/{ID}"),
        ]
        .map(|resource| signed(&resource));
        assert_all_refused(&scene, &tokens);
    });
}

#[test]
fn s_45_the_groups_own_key_is_no_devices_key() {
    world(|world| {
        let scene = Hostile::new(world);
        let direct = sas_token(&scene.resource(ID), &scene.group_key, in_seconds(600), None);
        assert_all_refused(&scene, &[direct]);
    });
}

#[test]
fn what_only_looks_like_a_token_is_refused() {
    world(|world| {
        let scene = Hostile::new(world);
        let good = scene.token(ID);
        let sig = sas_signature(&scene.resource(ID), &scene.key(ID), 1);
        let tokens = [
            format!("{good}&sr={}", scene.resource("meter-2")),
            format!("{good}&se={}", in_seconds(600)),
            format!("{good}&sig={}", escape(&sig)),
            format!("{good}&"),
            good.replace("SharedAccessSignature ", ""),
            good.replace("SharedAccessSignature", "Bearer"),
            good.replace("&se=", "&se=-"),
            good.replace("&se=", "&se=0"),
            format!("{good}&pad={}", "x".repeat(5000)),
            "SharedAccessSignature".to_owned(),
            "\u{fffd}\u{1f4a5}".to_owned(),
        ];
        // One that can't be read is none: by MQTT something was shown, by HTTPS nothing.
        assert_all_refused(&scene, &tokens);
    });
}

#[test]
fn no_credential_at_all_is_refused() {
    world(|world| {
        let scene = Hostile::new(world);
        let reply = scene.register_by_https(&Tls::trusting(&scene.ca), ID, None);
        assert_refusal(reply.status, &reply.body, UNAUTHORIZED);
        scene.assert_no_record(ID);
        scene.assert_unharmed();
    });
}
