use std::sync::Arc;
use std::time::Duration;

use model::limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{Transport, serve};
use crate::tests::{KEY, World};

/// Any 64 bytes that are nobody's key.
const OTHER_KEY: &str =
    "Pz49PDs6OTg3NjU0MzIxMC8uLSwrKikoJyYlJCMiISAfHh0cGxoZGBcWFRQTEhEQDw4NDAsKCQgHBgUEAwIBAA==";
const KEEP_ALIVE_SECONDS: u16 = 600;

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    let mut rest = body.len();
    loop {
        let digit = u8::try_from(rest % 128).unwrap();
        rest /= 128;
        bytes.push(if rest > 0 { digit | 128 } else { digit });
        if rest == 0 {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

/// Signs in as a device; the key is judged when it registers.
async fn signed_in(world: &World, id: &str, key: &str) -> DuplexStream {
    let (mut client, server) = duplex(64 * 1024);
    let gateway = Arc::clone(&world.gateway);
    let peer = world.peer("dps.localhost");
    tokio::spawn(serve(gateway, server, peer, Transport::Tls, CancellationToken::new()));
    let username = format!("{}/registrations/{id}/api-version=2019-03-31", world.scope());
    let flags = [4, 0xc2];
    let keep_alive = KEEP_ALIVE_SECONDS.to_be_bytes();
    let token = world.token(id, key);
    let parts =
        [text("MQTT"), [flags, keep_alive].concat(), text(id), text(&username), text(&token)];
    client.write_all(&packet(0x10, &parts.concat())).await.unwrap();
    let mut connack = [0; 4];
    client.read_exact(&mut connack).await.unwrap();
    assert_eq!(connack, [0x20, 2, 0, 0]);
    client
}

fn register(id: &str, padding: usize) -> Vec<u8> {
    let body = format!(r#"{{"registrationId":"{id}","payload":"{}"}}"#, "x".repeat(padding));
    let topic = text("$dps/registrations/PUT/iotdps-register/?$rid=1");
    packet(0x30, &[topic, body.into_bytes()].concat())
}

/// How long the server keeps the connection.
async fn kept_for(mut client: DuplexStream) -> Duration {
    let begun = Instant::now();
    let end = async { while client.read(&mut [0; 1024]).await.unwrap() > 0 {} };
    timeout(Duration::from_secs(3600), end).await.unwrap();
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn s_35_a_device_that_is_not_let_in_has_to_go() {
    let world = World::new().await;
    world.enroll("dev").await;
    let silent = signed_in(&world, "dev", OTHER_KEY).await;
    assert_eq!(kept_for(silent).await.as_secs(), limits::STRANGER_STAYS_MAX.as_secs());
    let mut stranger = signed_in(&world, "dev", OTHER_KEY).await;
    stranger.write_all(&register("dev", 1)).await.unwrap();
    assert_eq!(kept_for(stranger).await.as_secs(), limits::STRANGER_STAYS_MAX.as_secs());
    let mut device = signed_in(&world, "dev", KEY).await;
    device.write_all(&register("dev", 1)).await.unwrap();
    let kept = kept_for(device).await;
    assert!(kept > limits::STRANGER_STAYS_MAX, "{kept:?}");
}

#[tokio::test(start_paused = true)]
async fn s_35_a_provisioning_service_takes_no_packet_of_a_hubs_size() {
    let world = World::new().await;
    let mut large = signed_in(&world, "dev", OTHER_KEY).await;
    large.write_all(&register("dev", limits::DPS_PACKET_BYTES_MAX)[..1024]).await.unwrap();
    assert_eq!(kept_for(large).await.as_secs(), 0);
    let mut fair = signed_in(&world, "dev", OTHER_KEY).await;
    fair.write_all(&register("dev", limits::DPS_MESSAGE_BYTES_MAX)[..1024]).await.unwrap();
    assert_ne!(kept_for(fair).await.as_secs(), 0);
}
