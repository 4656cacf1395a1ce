//! What was acknowledged stays: through crashes, full disks and shutdowns.

use crate::fleet::{Acknowledged, Fleet, assert_says_full};
use e2e::mqtt::Connect;
use e2e::{DPS, HUB1, Server, Tls, Wire, World, in_seconds, sas_token, world};
use serde_json::json;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often the server is killed.
const KILLS: u32 = 100;
/// Beyond this, a slow machine's fewer kills must do: a test has two minutes.
const KILLING_MAX: Duration = Duration::from_secs(85);
/// Fewer prove too little.
const KILLS_MIN: u32 = 40;
/// Devices that register at the same time.
const LANES: u32 = 4;
/// After how long a server that has come up is killed, in milliseconds.
const KILLED_AFTER_MS: std::ops::Range<u64> = 0..300;

/// Moments without a pattern, told so that a failure says which.
struct Moments(u64);

impl Moments {
    fn new() -> Self {
        let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        Self(u64::try_from(seed % u128::from(u64::MAX)).unwrap() | 1)
    }

    /// Xorshift, after Marsaglia.
    fn next(&mut self, range: std::ops::Range<u64>) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        range.start + self.0 % (range.end - range.start)
    }
}

#[test]
fn a_hundred_kills_lose_no_acknowledged_registration() {
    world(|world| {
        let mut server = Server::start(world);
        let fleet = Fleet::new(&server);
        let (mut moments, begun) = (Moments::new(), Instant::now());
        let (mut all, mut kills) = (Acknowledged::new(), 0);
        while kills < KILLS && begun.elapsed() < KILLING_MAX {
            let after = Duration::from_millis(moments.next(KILLED_AFTER_MS));
            let fresh = register_until_killed(&fleet, &mut server, kills, after);
            server.start_again();
            // What earlier rounds were told is looked at again in the end.
            fleet.assert_kept(&fresh);
            all.extend(fresh);
            kills += 1;
        }
        println!("{kills} kills, {} acknowledged, {:?}", all.len(), begun.elapsed());
        assert!(kills >= KILLS_MIN, "only {kills} kills in {KILLING_MAX:?}");
        assert!(all.len() > 100, "only {} were acknowledged", all.len());
        fleet.assert_kept(&all);
        fleet.assert_identities(&server, &all);
        assert!(server.stop().success(), "it ends well when asked to");
    });
}

/// Devices register until the server dies; what they were told.
fn register_until_killed(
    fleet: &Fleet,
    server: &mut Server,
    round: u32,
    after: Duration,
) -> Acknowledged {
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES)
            .map(|lane| scope.spawn(move || register_without_end(fleet, round, lane)))
            .collect();
        thread::sleep(after);
        server.kill();
        lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect()
    })
}

fn register_without_end(fleet: &Fleet, round: u32, lane: u32) -> Acknowledged {
    let mut acknowledged = Acknowledged::new();
    let Ok(mut wire) = fleet.connect() else { return acknowledged };
    for count in 0.. {
        let id = format!("d-{round}-{lane}-{count}");
        match fleet.register(&mut wire, &id) {
            Ok(Ok(hub)) => acknowledged.insert(id, hub),
            Ok(Err(reply)) => panic!("{id}: {} {}", reply.status, reply.body),
            Err(_) => break,
        };
    }
    acknowledged
}

/// The data directory's file system, in megabytes.
const DISK_MB: u32 = 12;
/// A message of telemetry, as large as they may be but for a few.
const MESSAGE_BYTES: usize = 200 * 1024;
/// What lies about there, and can be removed.
const FILLER_BYTES: usize = 3 * 1024 * 1024;

/// Mounts a small file system for the server's data. Whoever can make a world can do this.
fn small_disk(world: &World) {
    let data = world.dir().join("data");
    fs::create_dir(&data).unwrap();
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", &format!("size={DISK_MB}m,mode=0700"), "tmpfs"]).arg(&data);
    assert!(mount.status().unwrap().success(), "no tmpfs");
    fs::write(data.join("filler"), vec![0; FILLER_BYTES]).unwrap();
}

/// Registers until the server says that it is full.
fn fill(fleet: &Fleet, name: &str) -> Acknowledged {
    let mut wire = fleet.connect().unwrap();
    let mut acknowledged = Acknowledged::new();
    let begun = Instant::now();
    for count in 0..20_000 {
        let id = format!("{name}-{count}");
        let asked = Instant::now();
        match fleet.register(&mut wire, &id).unwrap() {
            Ok(hub) => acknowledged.insert(id, hub),
            Err(reply) => {
                assert_says_full(&reply);
                let took = asked.elapsed();
                assert!(took < Duration::from_secs(5), "refused only after {took:?}");
                println!("full after {count} in {:?}: {}", begun.elapsed(), reply.body);
                return acknowledged;
            }
        };
    }
    panic!("the disk of {DISK_MB} MB took {} registrations", acknowledged.len());
}

#[test]
fn a_full_disk_refuses_clearly_and_loses_nothing() {
    world(|world| {
        small_disk(world);
        let mut server = Server::start(world);
        let fleet = Fleet::new(&server);
        let mut kept = fill(&fleet, "first");
        assert!(kept.len() > 10, "only {} were acknowledged", kept.len());

        // A small write may still find room. Each is done or refused, never half, and reads go on.
        let mut wire = fleet.connect().unwrap();
        for id in ["other-1", "other-2"] {
            match fleet.register(&mut wire, id).unwrap() {
                Ok(hub) => drop(kept.insert(id.to_owned(), hub)),
                Err(reply) => {
                    assert_says_full(&reply);
                    assert_eq!(fleet.record(&mut wire, id).unwrap().status, 404);
                }
            }
        }
        let path = "/enrollmentGroups/fleet";
        let before = fleet.dps.get(path).expect(200);
        let put = fleet.dps.put_if_match(path, "*", &before);
        if put.status == 200 {
            assert_eq!(fleet.dps.get(path).expect(200)["etag"], put.body["etag"]);
        } else {
            assert_says_full(&put);
            assert_eq!(fleet.dps.get(path).expect(200), before);
        }
        fleet.assert_kept(&kept);

        // With room, all goes on by itself.
        fs::remove_file(server.data().join("filler")).unwrap();
        for id in ["other-1", "other-2"] {
            kept.insert(id.to_owned(), fleet.register(&mut wire, id).unwrap().unwrap());
        }
        fleet.dps.put_if_match(path, "*", &before).expect(200);
        fleet.assert_kept(&kept);

        // And full again, it can be killed and started, and asked to end.
        kept.extend(fill(&fleet, "second"));
        server.kill();
        server.start_again();
        fleet.assert_kept(&kept);
        assert!(server.stop().success(), "it ends well when asked to");
        server.start_again();
        fleet.assert_kept(&kept);
        fleet.assert_identities(&server, &kept);
    });
}

/// Sends telemetry until there is no room for it.
fn fill_with_telemetry(server: &Server, device: &str, key: &str) {
    let token = sas_token(&format!("{HUB1}/devices/{device}"), key, in_seconds(600), None);
    let mut wire = Tls::trusting(&server.ca()).connect(HUB1, 443);
    let head = format!(
        "POST /devices/{device}/messages/events?api-version=2021-04-12 HTTP/1.1\r\n\
         Host: {HUB1}\r\nAuthorization: {token}\r\nContent-Length: {MESSAGE_BYTES}\r\n\r\n"
    );
    let request = [head.as_bytes(), &[b'x'; MESSAGE_BYTES]].concat();
    for count in 0..DISK_MB * 1024 * 1024 / u32::try_from(MESSAGE_BYTES).unwrap() {
        wire.try_send(&request).unwrap();
        let reply = wire.try_reply().unwrap();
        if reply.status != 204 {
            println!("full after {count} messages: {} {}", reply.status, reply.body);
            assert_eq!(reply.status, 503);
            return;
        }
    }
    panic!("the disk of {DISK_MB} MB took all");
}

#[test]
fn a_disk_that_telemetry_filled_still_takes_a_disable_after_a_restart() {
    world(|world| {
        small_disk(world);
        let mut server = Server::start(world);
        let hub = server.hub("hub1");
        let made = hub.put("/devices/noisy", &json!({"deviceId": "noisy"})).expect(200);
        let key = made["authentication"]["symmetricKey"]["primaryKey"].as_str().unwrap();
        fill_with_telemetry(&server, "noisy", key);
        assert!(server.stop().success(), "it ends well when asked to");
        server.start_again();
        fill_with_telemetry(&server, "noisy", key);
        let mut disabled = made.clone();
        disabled["status"] = json!("disabled");
        hub.put_if_match("/devices/noisy", "*", &disabled).expect(200);
        assert_eq!(hub.get("/devices/noisy").expect(200)["status"], "disabled");
    });
}

#[test]
fn a_shutdown_answers_the_request_that_is_under_way() {
    world(|world| {
        let mut server = Server::start(world);
        let fleet = Fleet::new(&server);
        let mut idle = fleet.connect().unwrap();
        let mut kept = Acknowledged::new();
        kept.insert("one".to_owned(), fleet.register(&mut idle, "one").unwrap().unwrap());

        // An operator's call whose body has not come yet.
        let (_, policy, key) = fleet.dps.owner();
        let token = sas_token(DPS, key, in_seconds(600), Some(policy));
        let body = json!({"registrationId": "late", "attestation": {"type": "symmetricKey"}});
        let body = body.to_string();
        let mut wire = fleet.connect().unwrap();
        let head = format!(
            "PUT /enrollments/late?api-version=2021-10-01 HTTP/1.1\r\nHost: {DPS}\r\n\
             Authorization: {token}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        wire.send(head.as_bytes());
        wire.send(&body.as_bytes()[..10]);
        let mut device = connected(&server);
        let status = thread::scope(|scope| {
            let stopping = scope.spawn(|| server.stop());
            // The device's end is the sign that the shutdown has begun.
            device.assert_closed_within(Duration::from_secs(5));
            assert!(fleet.connect().is_err(), "nobody new is let in");
            wire.send(&body.as_bytes()[10..]);
            let reply = wire.reply().expect("an answer");
            assert_eq!(reply.status, 200, "{}", reply.body);
            wire.assert_closed_within(Duration::from_secs(5));
            stopping.join().unwrap()
        });
        assert_eq!(status.code(), Some(0));
        server.start_again();
        fleet.dps.get("/enrollments/late").expect(200);
        fleet.assert_kept(&kept);
    });
}

/// A device with a key of its own at the first hub.
fn connected(server: &Server) -> Wire {
    let hub = server.hub("hub1");
    let made = hub.put("/devices/guest", &json!({"deviceId": "guest"})).expect(200);
    let key = made["authentication"]["symmetricKey"]["primaryKey"].as_str().unwrap();
    let token = sas_token("hub1.localhost%2Fdevices%2Fguest", key, in_seconds(600), None);
    let username = format!("{HUB1}/guest/?api-version=2021-04-12");
    let mut wire = Tls::trusting(&server.ca()).connect(HUB1, 8883);
    let connect = Connect {
        client_id: "guest",
        username: Some(&username),
        password: Some(&token),
        will: None,
    };
    wire.send(&connect.bytes());
    assert_eq!(wire.packet().expect("a CONNACK").connack(), 0);
    wire
}
