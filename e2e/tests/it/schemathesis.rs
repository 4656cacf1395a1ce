//! What is answered is what the OpenAPI documents say, whatever is asked: Schemathesis asks.

use crate::hostile::Hostile;
use e2e::{DPS, HUB1, Pki, Rest, World, escape, in_seconds, sas_token, schemathesis_world};
use std::env;
use std::time::{Duration, Instant};

/// The administration's host.
const ADMIN: &str = "muster.localhost";

/// How many cases of an operation are made up, beside those of its bounds; a longer run sets more.
const EXAMPLES: &str = "MUSTER_SCHEMATHESIS_EXAMPLES";
const EXAMPLES_DEFAULT: u32 = 10;
/// What they are made of; the same seed asks the same.
const SEED: &str = "MUSTER_SCHEMATHESIS_SEED";
const SEED_DEFAULT: u32 = 1;

/// How much a server may grow by: it is full of enrollments when it is done.
const GROWTH_MAX: u64 = 128 * 1024 * 1024;

#[test]
fn the_provisioning_service_answers_as_it_says() {
    schemathesis_world(deadline(), |world| {
        let scene = Hostile::new(world);
        let dps = scene.dps.clone();
        let keys = [("ID_SCOPE", scene.scope.as_str()), ("GROUP_KEY", scene.group_key.as_str())];
        check(world, &scene, DPS, &dps, &keys);
    });
}

#[test]
fn a_hub_answers_as_it_says() {
    schemathesis_world(deadline(), |world| {
        let scene = Hostile::new(world);
        let hub = scene.server.hub("hub1");
        check(world, &scene, HUB1, &hub, &[]);
    });
}

#[test]
fn the_administration_answers_as_it_says() {
    schemathesis_world(deadline(), |world| {
        let scene = Hostile::new(world);
        let admin = scene.server.admin();
        let connection = admin["connectionString"].as_str().unwrap();
        let admin = Rest::new(connection, &scene.server.ca(), "2021-10-01");
        check(world, &scene, ADMIN, &admin, &[]);
    });
}

/// Asks all that the host's document says, as its owner and as no one, and believes nothing.
fn check(world: &World, scene: &Hostile, host: &str, owner: &Rest, more: &[(&str, &str)]) {
    let (signs_for, policy, key) = owner.owner();
    let token = sas_token(&escape(signs_for), key, in_seconds(24 * 3600), Some(policy));
    let pki = Pki::new(world);
    let root = pki.root("Schemathesis");
    let certificates =
        [&root.pem, &root.device("registrationId-1").pem, &pki.self_signed("registrationId-2").pem];
    let mut command = world.schemathesis(&scene.ca);
    command.env("OPERATOR_TOKEN", token).envs(more.iter().copied());
    let policies = "provisioningserviceowner iothubowner";
    command.env("KEPT", format!("dps hub1 hub1.localhost fleet witness {policies}"));
    command.env("CERTIFICATES", certificates.map(String::as_str).join(";"));
    command.args(["run", &format!("https://{host}/openapi.json")]);
    command.args(["--max-examples", &number(EXAMPLES, EXAMPLES_DEFAULT).to_string()]);
    command.args(["--seed", &number(SEED, SEED_DEFAULT).to_string()]);
    let begun = Instant::now();
    let output = command.output().unwrap();
    println!("{}", String::from_utf8_lossy(&output.stdout));
    println!("{}", String::from_utf8_lossy(&output.stderr));
    println!("{host}: {} in {:?}", output.status, begun.elapsed());
    assert!(output.status.success(), "{host} does not answer as its document says");
    scene.assert_unharmed_but_for(GROWTH_MAX);
}

/// A run that is asked to be longer is given the time.
fn deadline() -> Duration {
    let longer = number(EXAMPLES, EXAMPLES_DEFAULT).saturating_sub(EXAMPLES_DEFAULT);
    Duration::from_secs(300) + longer * Duration::from_secs(30)
}

fn number(name: &str, default: u32) -> u32 {
    env::var(name).map_or(default, |text| text.parse().unwrap())
}
