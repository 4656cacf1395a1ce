use std::sync::atomic::Ordering;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::tests::{World, breakable, service};

#[tokio::test]
async fn ready_turns_503_when_the_store_is_broken_and_back() {
    let (store, broken) = breakable();
    let (service, metrics) = service(store).await;
    let readings = Readings {
        service: Arc::new(service),
        listeners: Arc::default(),
        certificates: Arc::default(),
    };
    let monitoring = Monitoring::new(&metrics, readings, 0);
    assert_eq!(monitoring.answer("GET", "/readyz").await, Answer::ready());
    broken.store(true, Ordering::SeqCst);
    let answer = monitoring.answer("GET", "/readyz").await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("store"), "{}", answer.body);
    // The process is alive all the same: restarting it would mend no disk.
    assert_eq!(monitoring.answer("GET", "/healthz").await, Answer::alive());
    broken.store(false, Ordering::SeqCst);
    assert_eq!(monitoring.answer("GET", "/readyz").await, Answer::ready());
}

#[tokio::test]
async fn ready_needs_every_listener_to_accept() {
    let world = World::new().await;
    let monitoring = world.monitoring(2);
    let first = world.counters.listen();
    let answer = monitoring.answer("GET", "/readyz").await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "listeners: 1 of 2 accept\n"));
    let second = world.counters.listen();
    assert_eq!(monitoring.answer("GET", "/readyz").await, Answer::ready());
    drop((first, second));
    assert_eq!(monitoring.answer("GET", "/readyz").await.status, 503);
}

/// One request over loopback.
async fn asked(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

#[tokio::test]
async fn it_answers_plain_http_and_stops_when_told() {
    let world = World::new().await;
    let socket = crate::listener::bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
    let address = socket.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(Arc::new(world.monitoring(0)).serve(socket, shutdown.clone()));
    let health = asked(address, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(health.starts_with("HTTP/1.1 200 "), "{health}");
    let metrics = asked(address, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(metrics.contains("content-type: application/openmetrics-text; version=1.0.0"));
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    let head = asked(address, "HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(head.ends_with("\r\n\r\n"), "{head}");
    let post = asked(address, "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    assert!(post.await.starts_with("HTTP/1.1 405 "));
    shutdown.cancel();
    serving.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
