//! A linked hub that is another server's (L-11, L-13, R-21, R-26).

use e2e::{
    Credential, DPS, FAR, HUB1, HubDevice, Provisioning, Rest, Sdk, Server, World, escape,
    in_seconds, sas_token, world,
};
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const DEVICE_KEY: &str = "EBESExQVFhcYGRobHB0eHwABAgMEBQYHCAkKCwwNDg8=";
/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server whose provisioning service is linked to a hub of another.
struct Pair {
    near: Server,
    far: Server,
    registry: Rest,
    both: PathBuf,
}

impl Pair {
    /// The far hub is reached at this port.
    fn start(world: &World, port: u16) -> Self {
        let fixture = format!(
            "[[hubs]]\nname = \"far\"\n[[hubs.policies]]\nname = \"iothubowner\"\n\
             primary_key = \"{KEY}\"\n"
        );
        let far = Server::start_elsewhere(world, &fixture);
        let config = format!("[linked_hubs]\nca_file = \"{}\"\n", far.ca().display());
        let near = Server::start_with(world, &config);
        let pair = Self { registry: registry(&far), both: believed(world, &near, &far), near, far };
        pair.link(port, KEY);
        pair
    }

    fn link(&self, port: u16, key: &str) {
        let host = if port == 443 { FAR.to_owned() } else { format!("{FAR}:{port}") };
        let listed = self.near.muster(&format!(
            "iot dps linked-hub create --dps-name dps --connection-string \
             HostName={host};SharedAccessKeyName=iothubowner;SharedAccessKey={key}"
        ));
        assert!(!listed.to_string().contains(key), "{listed}");
        assert!(listed.to_string().contains("SharedAccessKey=****"), "{listed}");
    }

    /// The enrollment of a device that goes to this hub.
    fn enroll(&self, id: &str, hub: &str, status: &str) {
        let body = json!({
            "registrationId": id,
            "attestation": {"type": "symmetricKey", "symmetricKey":
                {"primaryKey": DEVICE_KEY, "secondaryKey": KEY}},
            "allocationPolicy": "static", "iotHubs": [hub], "provisioningStatus": status,
            "initialTwin": {"tags": {"site": "a"}, "properties": {"desired": {"rate": 5}}},
        });
        let path = format!("/enrollments/{id}");
        match self.near.dps().get(&path).status {
            404 => self.near.dps().put(&path, &body).expect(200),
            _ => self.near.dps().put_if_match(&path, "*", &body).expect(200),
        };
    }

    fn register(&self, world: &World, sdk: Sdk, id: &str) -> e2e::Outcome {
        Provisioning::new(world, &self.near).register(sdk, id, Credential::Key(DEVICE_KEY))
    }

    fn jobs(&self) -> Vec<Value> {
        let jobs = self.near.muster("iot dps linked-hub jobs --dps-name dps");
        jobs.as_array().cloned().unwrap_or_default()
    }

    fn settled(&self) {
        until("the jobs are done", || self.jobs().is_empty());
    }

    /// The one identity, whole.
    fn assert_whole(&self, id: &str) {
        let twin = self.registry.get(&format!("/twins/{id}")).expect(200);
        assert_eq!(twin["tags"], json!({"site": "a"}), "{twin}");
        assert_eq!(twin["properties"]["desired"]["rate"], 5, "{twin}");
    }

    /// A device's one call, without waiting for what comes of it.
    fn begin(&self, world: &World, id: &str) -> u16 {
        let resource = format!("{}/registrations/{id}", self.near.id_scope());
        let token =
            sas_token(&escape(&resource), DEVICE_KEY, in_seconds(600), Some("registration"));
        let tls = e2e::Tls::trusting(&self.near.ca());
        let mut wire = tls.connect(DPS, 443);
        let body = format!("{{\"registrationId\":\"{id}\"}}");
        wire.send(
            format!(
                "PUT /{resource}/register?api-version=2021-06-01 HTTP/1.1\r\nHost: {DPS}\r\n\
                 Authorization: {token}\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            )
            .as_bytes(),
        );
        let _ = world;
        wire.reply().unwrap().status
    }
}

fn registry(far: &Server) -> Rest {
    let text = format!("HostName={FAR};SharedAccessKeyName=iothubowner;SharedAccessKey={KEY}");
    Rest::new(&text, &far.ca(), "2021-04-12")
}

/// Both servers' CAs in one file.
fn believed(world: &World, near: &Server, far: &Server) -> PathBuf {
    let file = world.dir().join("both.pem");
    let of = |server: &Server| fs::read_to_string(server.ca()).unwrap();
    fs::write(&file, format!("{}{}", of(near), of(far))).unwrap();
    file
}

#[track_caller]
fn until(what: &str, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "not in {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn l_11_a_device_is_provisioned_to_a_hub_of_another_server_and_connects_there() {
    world(|world| {
        let pair = Pair::start(world, 443);
        pair.enroll("meter-1", FAR, "enabled");
        let credential = Credential::Key(DEVICE_KEY);
        pair.register(world, Sdk::PythonMqtt, "meter-1").assert_assigned(FAR, "meter-1");
        pair.assert_whole("meter-1");
        pair.settled();
        let mut device =
            HubDevice::start(world, &pair.far, Sdk::PythonMqtt, FAR, "meter-1", credential);
        device.ready();
        assert_eq!(device.twin()["desired"]["rate"], 5);
        device.send(&json!({"from": "elsewhere"}));
        device.report(&json!({"level": 7}));
        drop(device);
        assert!(pair.both.exists());

        // home, and back again with what an operator wrote there.
        pair.enroll("meter-1", HUB1, "enabled");
        pair.register(world, Sdk::NodeMqtt, "meter-1").assert_assigned(HUB1, "meter-1");
        pair.settled();
        assert_eq!(pair.registry.get("/devices/meter-1").status, 404);
        let home = pair.near.hub("hub1");
        let twin = home.get("/twins/meter-1").expect(200);
        assert_eq!(twin["tags"], json!({"site": "a"}));
        assert_eq!(twin["properties"]["reported"]["level"], 7);
        home.call("PATCH", "/twins/meter-1", &[], Some(&json!({"tags": {"site": "b"}})))
            .expect(200);
        pair.enroll("meter-1", FAR, "enabled");
        pair.register(world, Sdk::NodeHttp, "meter-1").assert_assigned(FAR, "meter-1");
        pair.settled();
        assert_eq!(home.get("/devices/meter-1").status, 404);
        let twin = pair.registry.get("/twins/meter-1").expect(200);
        assert_eq!(twin["tags"], json!({"site": "b"}));
        assert_eq!(twin["properties"]["reported"]["level"], 7);

        // S-56: a disable is of the provisioning service; the identity is the other hub's matter.
        pair.enroll("meter-1", FAR, "disabled");
        pair.register(world, Sdk::PythonMqtt, "meter-1").assert_disabled();
        assert_eq!(pair.registry.get("/devices/meter-1").status, 200);

        // L-13: a key that is not theirs (any more), and a link that is renewed.
        pair.enroll("meter-1", FAR, "enabled");
        pair.link(443, DEVICE_KEY);
        let refused = pair.register(world, Sdk::PythonMqtt, "meter-1");
        assert_eq!(refused.answer["outcome"], "error", "{refused:?}");
        let record = pair.near.dps().get("/registrations/meter-1").expect(200);
        assert_eq!(record["errorCode"], 400_209, "{record}");
        let story = pair.near.muster("explain meter-1").to_string();
        assert!(story.contains("refuses the key of its connection string"), "{story}");
        assert!(!story.contains(DEVICE_KEY) && !story.contains(KEY), "{story}");
        pair.link(443, KEY);
        pair.register(world, Sdk::PythonMqtt, "meter-1").assert_assigned(FAR, "meter-1");
        let log = fs::read_to_string(world.dir().join("server.log")).unwrap();
        assert!(!log.contains(KEY) && !log.contains(DEVICE_KEY), "a key is in the log");
    });
}

/// When a connection through the relay is held.
#[derive(Clone, Copy, Debug)]
enum Held {
    /// Before anything is passed on.
    Before,
    /// When the call is carried out, before its answer is passed on.
    After,
}

/// Passes connections on to the far server; each is one call. One of them can be held.
struct Relay {
    port: u16,
    plan: Sender<(usize, Held)>,
    reached: Receiver<()>,
    released: Sender<()>,
}

impl Relay {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.2:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (plan, plans) = channel::<(usize, Held)>();
        let (reach, reached) = channel();
        let (released, release) = channel::<()>();
        thread::spawn(move || {
            let mut planned = None;
            for client in listener.incoming() {
                planned = plans.try_iter().last().or(planned);
                let held = match &mut planned {
                    Some((0, held)) => Some(*held),
                    Some((left, _)) => {
                        *left -= 1;
                        None
                    }
                    None => None,
                };
                let client = client.unwrap();
                match held {
                    None => {
                        thread::spawn(move || passed(client, false));
                    }
                    Some(held) => {
                        planned = None;
                        if matches!(held, Held::After) {
                            passed(client.try_clone().unwrap(), true);
                        }
                        reach.send(()).unwrap();
                        // Whoever was to be killed is dead by then; the answer is never told.
                        let _ = release.recv();
                        let _ = client.shutdown(Shutdown::Both);
                    }
                }
            }
        });
        Self { port, plan, reached, released }
    }

    /// Holds the connection that comes after this many others.
    fn hold(&self, after: usize, held: Held) {
        self.plan.send((after, held)).unwrap();
    }

    fn wait(&self) {
        self.reached.recv_timeout(PATIENCE).expect("the call is made");
    }

    fn release(&self) {
        self.released.send(()).unwrap();
    }
}

/// Passes a connection on; with `swallows`, until the far side has answered and closed, and what
/// it says after the handshake is not told.
fn passed(mut client: TcpStream, swallows: bool) {
    let Ok(mut far) = TcpStream::connect("127.0.0.2:443") else { return };
    let (mut from, mut to) = (client.try_clone().unwrap(), far.try_clone().unwrap());
    let (spoke, flights) = channel();
    let up = thread::spawn(move || {
        let mut bytes = [0_u8; 16 * 1024];
        while let Ok(length @ 1..) = from.read(&mut bytes) {
            let _ = spoke.send(());
            if to.write_all(&bytes[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
    let mut bytes = [0_u8; 16 * 1024];
    let mut client_flights = 0;
    while let Ok(length @ 1..) = far.read(&mut bytes) {
        client_flights += flights.try_iter().count();
        // The first flight is the hello; what answers the second is the answer to the call.
        let is_answer = client_flights > 1;
        if !(swallows && is_answer) && client.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    if !swallows {
        let _ = client.shutdown(Shutdown::Both);
        let _ = up.join();
    }
}

/// The calls of a first provisioning: the identity is read, made, and read with its twin.
const CALLS: usize = 4;

#[test]
fn a_far_side_that_is_killed_at_any_call_leaves_a_whole_device() {
    world(|world| {
        let relay = Relay::start();
        let mut pair = Pair::start(world, relay.port);
        for (number, held) in cases() {
            let id = format!("meter-{number}-{held:?}").to_ascii_lowercase();
            pair.enroll(&id, FAR, "enabled");
            relay.hold(number, held);
            assert_eq!(pair.begin(world, &id), 202);
            relay.wait();
            pair.far.kill();
            relay.release();
            pair.far.start_again();
            pair.registry = registry(&pair.far);
            until("the device is assigned", || {
                let record = pair.near.dps().get(&format!("/registrations/{id}")).expect(200);
                assert_ne!(record["status"], "failed", "{number} {held:?}: {record}");
                record["status"] == "assigned"
            });
            pair.assert_whole(&id);
            pair.settled();
        }
    });
}

#[test]
fn our_side_killed_at_any_call_finishes_after_its_restart_without_the_device() {
    world(|world| {
        let relay = Relay::start();
        let mut pair = Pair::start(world, relay.port);
        for (number, held) in cases() {
            let id = format!("meter-{number}-{held:?}").to_ascii_lowercase();
            pair.enroll(&id, FAR, "enabled");
            relay.hold(number, held);
            assert_eq!(pair.begin(world, &id), 202);
            relay.wait();
            pair.near.kill();
            relay.release();
            pair.near.start_again();
            until("the device is assigned", || {
                let record = pair.near.dps().get(&format!("/registrations/{id}")).expect(200);
                assert_ne!(record["status"], "failed", "{number} {held:?}: {record}");
                record["status"] == "assigned"
            });
            pair.assert_whole(&id);
            pair.settled();
        }
    });
}

#[test]
fn a_disable_while_the_far_side_is_written_to_is_followed_by_its_undoing() {
    world(|world| {
        let relay = Relay::start();
        let mut pair = Pair::start(world, relay.port);
        for is_killed in [false, true] {
            for (number, held) in cases() {
                let id = format!("meter-{number}-{held:?}-{is_killed}").to_ascii_lowercase();
                pair.enroll(&id, FAR, "enabled");
                relay.hold(number, held);
                assert_eq!(pair.begin(world, &id), 202);
                relay.wait();
                pair.enroll(&id, FAR, "disabled");
                if is_killed {
                    pair.near.kill();
                }
                relay.release();
                if is_killed {
                    pair.near.start_again();
                }
                until("the job is done", || pair.jobs().is_empty());
                let left = pair.registry.get(&format!("/devices/{id}")).status;
                assert_eq!(left, 404, "{number} {held:?} {is_killed}");
                let record = pair.near.dps().get(&format!("/registrations/{id}")).expect(200);
                assert_eq!(record["status"], "disabled", "{record}");
            }
        }
    });
}

fn cases() -> impl Iterator<Item = (usize, Held)> {
    (0..CALLS).flat_map(|number| [(number, Held::Before), (number, Held::After)])
}
