//! Devices whose names contradict each other: user name, client id, host.

use crate::hostile::{Hostile, MQTT, connack};
use e2e::mqtt::Connect;
use e2e::{DPS, HUB1, HUB2, in_seconds, sas_token, world};

const UNACCEPTABLE_VERSION: u8 = 1;
const CLIENT_ID: u8 = 2;
const UNAVAILABLE: u8 = 3;
const USERNAME: u8 = 4;
const NOT_AUTHORIZED: u8 = 5;
const ID: &str = "meter-1";

#[track_caller]
fn assert_refused(scene: &Hostile, host: &str, connect: Connect<'_>, code: u8) {
    let mut wire = scene.tls.connect(host, MQTT);
    assert_eq!(connack(&mut wire, connect), Some(code), "{connect:?} at {host}");
    wire.assert_closed_within(std::time::Duration::from_secs(2));
}

#[test]
fn an_unknown_id_scope_is_answered_by_3() {
    world(|world| {
        let scene = Hostile::new(world);
        for scope in ["0ne00000000", "x"] {
            let username = format!("{scope}/registrations/{ID}/api-version=2019-03-31");
            let resource = format!("{scope}%2Fregistrations%2F{ID}");
            let token = sas_token(&resource, &scene.key(ID), in_seconds(600), None);
            let connect = Connect {
                client_id: ID,
                username: Some(&username),
                password: Some(&token),
                will: None,
            };
            assert_refused(&scene, DPS, connect, UNAVAILABLE);
        }
        scene.assert_no_record(ID);
        scene.assert_unharmed();
    });
}

#[test]
fn no_credential_is_answered_by_5() {
    world(|world| {
        let scene = Hostile::new(world);
        let username = scene.username(ID);
        for password in [None, Some("")] {
            let connect =
                Connect { client_id: ID, username: Some(&username), password, will: None };
            assert_refused(&scene, DPS, connect, NOT_AUTHORIZED);
        }
        scene.assert_unharmed();
    });
}

#[test]
fn another_client_id_than_the_user_names_is_answered_by_2() {
    world(|world| {
        let scene = Hostile::new(world);
        let (username, token) = (scene.username(ID), scene.token(ID));
        for client_id in ["meter-2", "", "meter-1 ", "meter-11", "meter-"] {
            let connect = Connect {
                client_id,
                username: Some(&username),
                password: Some(&token),
                will: None,
            };
            assert_refused(&scene, DPS, connect, CLIENT_ID);
        }
        scene.assert_unharmed();
    });
}

#[test]
fn a_user_name_of_another_form_is_answered_by_4() {
    world(|world| {
        let scene = Hostile::new(world);
        let (scope, token) = (&scene.scope, scene.token(ID));
        for username in [
            String::new(),
            "/".to_owned(),
            ID.to_owned(),
            scope.clone(),
            format!("{scope}/registrations/{ID}"),
            format!("{scope}/registrations/{ID}/"),
            format!("{scope}/registrations/{ID}/api-version=new"),
            format!("{scope}/registrations//api-version=2019-03-31"),
            format!("{scope}/registrations/a%2fb/api-version=2019-03-31"),
            format!("{scope}/registrations/a%00/api-version=2019-03-31"),
            format!("{scope}/registrations/{}/api-version=2019-03-31", "a".repeat(129)),
            format!("{}/registrations/{ID}/api-version=2019-03-31", "a b"),
        ] {
            let connect = Connect {
                client_id: ID,
                username: Some(&username),
                password: Some(&token),
                will: None,
            };
            assert_refused(&scene, DPS, connect, USERNAME);
        }
        let none = Connect { client_id: ID, username: None, password: None, will: None };
        assert_refused(&scene, DPS, none, USERNAME);
        scene.assert_no_record(ID);
        scene.assert_unharmed();
    });
}

#[test]
fn another_protocol_level_is_answered_by_1() {
    world(|world| {
        let scene = Hostile::new(world);
        let (username, token) = (scene.username(ID), scene.token(ID));
        let connect = Connect {
            client_id: ID,
            username: Some(&username),
            password: Some(&token),
            will: None,
        };
        for level in [0, 3, 5, 0xff] {
            let mut bytes = connect.bytes();
            // Behind the header, two bytes of length, and the protocol's name.
            bytes[9] = level;
            let mut wire = scene.tls.connect(DPS, MQTT);
            wire.send(&bytes);
            let code = wire.packet().expect("a CONNACK").connack();
            assert_eq!(code, UNACCEPTABLE_VERSION, "{level}");
        }
        scene.assert_unharmed();
    });
}

/// D-22: whoever was led to one host by its name speaks to no other.
#[test]
fn d_22_the_claim_of_another_host_than_the_one_connected_to_is_refused() {
    world(|world| {
        let scene = Hostile::new(world);
        let (username, token) = (scene.username(ID), scene.token(ID));
        let dps = Connect {
            client_id: ID,
            username: Some(&username),
            password: Some(&token),
            will: None,
        };
        for host in [HUB1, HUB2] {
            assert_refused(&scene, host, dps, UNAVAILABLE);
        }
        let witness = scene.key("witness");
        let token = |hub: &str| {
            sas_token(&format!("{hub}%2Fdevices%2Fwitness"), &witness, in_seconds(600), None)
        };
        for (host, claimed) in [
            (DPS, HUB1),
            (HUB2, HUB1),
            (HUB1, HUB2),
            (HUB1, DPS),
            (HUB1, "muster.localhost"),
            (HUB1, "hub3.localhost"),
            (HUB1, "hub1.localhost.evil"),
        ] {
            let username = format!("{claimed}/witness/?api-version=2021-04-12");
            let token = token(claimed);
            let connect = Connect {
                client_id: "witness",
                username: Some(&username),
                password: Some(&token),
                will: None,
            };
            assert_refused(&scene, host, connect, NOT_AUTHORIZED);
        }
        scene.assert_unharmed();
    });
}
