//! WebSockets: the handshake through hyper, and the byte stream over frames.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use gateway::websocket::{Handshake, MESSAGE_BYTES_MAX, WebSocket};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;
/// Set in the first byte of a message's last frame.
const FINAL: u8 = 0x80;
const BINARY_FRAME: u8 = FINAL | BINARY;
const PONG_FRAME: u8 = FINAL | PONG;

/// A client's frame: masked. Source: RFC 6455 §5.2.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = head(first, payload.len(), 0x80);
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The first byte and the length of a frame.
fn head(first: u8, length: usize, masked: u8) -> Vec<u8> {
    match length {
        0..=125 => vec![first, masked | u8::try_from(length).unwrap()],
        126..=0xffff => {
            let [high, low] = u16::try_from(length).unwrap().to_be_bytes();
            vec![first, masked | 126, high, low]
        }
        _ => {
            let mut head = vec![first, masked | 127];
            head.extend((length as u64).to_be_bytes());
            head
        }
    }
}

/// Waits for what must come. The clock is paused, so that it is over as soon as nothing moves.
async fn soon<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(1), future).await.expect("nothing moves any more")
}

/// Reads one frame of the server's, which has no mask.
async fn server_frame(client: &mut DuplexStream) -> (u8, Vec<u8>) {
    soon(async {
        let first = client.read_u8().await.unwrap();
        let length = match client.read_u8().await.unwrap() {
            126 => usize::from(client.read_u16().await.unwrap()),
            127 => usize::try_from(client.read_u64().await.unwrap()).unwrap(),
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        client.read_exact(&mut payload).await.unwrap();
        (first, payload)
    })
    .await
}

async fn check_closed_with(client: &mut DuplexStream, code: u16) {
    let (first, payload) = server_frame(client).await;
    assert_eq!(first, FINAL | CLOSE);
    assert_eq!(payload.get(..2), Some(code.to_be_bytes().as_slice()));
}

/// The server has sent all, and ended the stream.
async fn check_ended(client: &mut DuplexStream) {
    assert_eq!(soon(client.read(&mut [0])).await.unwrap(), 0);
}

/// A client's end of bytes, and the server's WebSocket over the other.
async fn pair() -> (DuplexStream, WebSocket<DuplexStream>) {
    let (client, server) = duplex(4 * MESSAGE_BYTES_MAX);
    (client, WebSocket::over(server).await)
}

/// What the server reads when the client sends these bytes and then leaves.
async fn read_after(sent: &[u8]) -> (io::Result<Vec<u8>>, DuplexStream) {
    let (mut client, mut server) = pair().await;
    client.write_all(sent).await.unwrap();
    client.shutdown().await.unwrap();
    let mut read = Vec::new();
    let outcome = server.read_to_end(&mut read).await;
    (outcome.map(|_| read), client)
}

async fn check_reads(frames: &[Vec<u8>], bytes: &[u8]) {
    assert_eq!(read_after(&frames.concat()).await.0.unwrap(), bytes);
}

async fn check_refuses(sent: &[u8], code: u16) {
    let (outcome, mut client) = read_after(sent).await;
    assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::InvalidData);
    check_closed_with(&mut client, code).await;
}

/// A CONNECT of MQTT and a SUBSCRIBE: any bytes would do.
const CONNECT: &[u8] = b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01a";
const SUBSCRIBE: &[u8] = b"\x82\x06\0\x01\0\x01b\0";

#[tokio::test(start_paused = true)]
async fn a_packet_a_frame_reads_as_the_packets() {
    let frames = [frame(FINAL | BINARY, CONNECT), frame(FINAL | BINARY, SUBSCRIBE)];
    check_reads(&frames, &[CONNECT, SUBSCRIBE].concat()).await;
}

#[tokio::test(start_paused = true)]
async fn packets_that_share_a_frame_read_as_the_packets() {
    let both = [CONNECT, SUBSCRIBE].concat();
    check_reads(&[frame(FINAL | BINARY, &both)], &both).await;
}

#[tokio::test(start_paused = true)]
async fn a_packet_split_over_frames_reads_whole() {
    for at in 0..=CONNECT.len() {
        let (head, tail) = CONNECT.split_at(at);
        check_reads(&[frame(FINAL | BINARY, head), frame(FINAL | BINARY, tail)], CONNECT).await;
        check_reads(&[frame(BINARY, head), frame(FINAL | CONTINUATION, tail)], CONNECT).await;
    }
}

#[tokio::test(start_paused = true)]
async fn frames_of_one_byte_and_of_none_read_whole() {
    let frames: Vec<Vec<u8>> = CONNECT
        .iter()
        .flat_map(|byte| [frame(FINAL | BINARY, &[*byte]), frame(FINAL | BINARY, &[])])
        .collect();
    check_reads(&frames, CONNECT).await;
}

#[tokio::test(start_paused = true)]
async fn frames_that_arrive_byte_by_byte_read_whole() {
    let (mut client, server) = duplex(1);
    let mut server = WebSocket::over(server).await;
    let sent = [frame(FINAL | BINARY, CONNECT), frame(FINAL | BINARY, SUBSCRIBE)].concat();
    let sending = tokio::spawn(async move {
        client.write_all(&sent).await.unwrap();
        client
    });
    let mut read = [0; CONNECT.len() + SUBSCRIBE.len()];
    server.read_exact(&mut read).await.unwrap();
    assert_eq!(read.as_slice(), [CONNECT, SUBSCRIBE].concat());
    sending.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_small_buffer_reads_a_large_frame_piece_by_piece() {
    let (mut client, mut server) = pair().await;
    client.write_all(&frame(FINAL | BINARY, CONNECT)).await.unwrap();
    let mut read: Vec<u8> = Vec::new();
    while read.len() < CONNECT.len() {
        let mut piece = [0; 4];
        let some = server.read(&mut piece).await.unwrap();
        assert!((1..=4).contains(&some));
        read.extend(&piece[..some]);
    }
    assert_eq!(read, CONNECT);
}

#[tokio::test(start_paused = true)]
async fn the_largest_message_reads_whole_and_a_larger_one_is_refused() {
    let largest = vec![7; MESSAGE_BYTES_MAX];
    check_reads(&[frame(FINAL | BINARY, &largest)], &largest).await;
    check_refuses(&frame(FINAL | BINARY, &vec![7; MESSAGE_BYTES_MAX + 1]), 1009).await;
    // The header alone is enough to refuse a frame.
    let mut announced = head(FINAL | BINARY, MESSAGE_BYTES_MAX + 1, 0x80);
    announced.extend([0; 4]);
    check_refuses(&announced, 1009).await;
    let half = vec![7; MESSAGE_BYTES_MAX / 2 + 1];
    let spread = [frame(BINARY, &half), frame(FINAL | CONTINUATION, &half)].concat();
    check_refuses(&spread, 1009).await;
}

#[tokio::test(start_paused = true)]
async fn what_came_before_a_breach_is_read_first() {
    let (mut client, mut server) = pair().await;
    let sent = [frame(FINAL | BINARY, CONNECT), frame(FINAL | TEXT, b"hello")].concat();
    client.write_all(&sent).await.unwrap();
    let mut read = [0; CONNECT.len()];
    server.read_exact(&mut read).await.unwrap();
    assert_eq!(read, CONNECT);
    let error = soon(server.read_u8()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    check_closed_with(&mut client, 1003).await;
    assert_eq!(server.read(&mut [0]).await.unwrap(), 0, "an error is told once");
}

#[tokio::test(start_paused = true)]
async fn text_is_refused() {
    check_refuses(&frame(FINAL | TEXT, b"hello"), 1003).await;
    check_refuses(&frame(FINAL | TEXT, b"\xff\xfe"), 1003).await;
}

#[tokio::test(start_paused = true)]
async fn a_breach_of_the_protocol_is_refused() {
    let unmasked = [vec![FINAL | BINARY, 1], vec![9]].concat();
    check_refuses(&unmasked, 1002).await;
    // A reserved opcode, reserved bits, a continuation of nothing, a ping in parts.
    for first in [FINAL | 0x3, FINAL | 0x40 | BINARY, FINAL | CONTINUATION, PING] {
        check_refuses(&frame(first, b"x"), 1002).await;
    }
    check_refuses(&frame(FINAL | PING, &[0; 126]), 1002).await;
}

#[tokio::test(start_paused = true)]
async fn a_ping_is_answered_while_the_server_reads() {
    let (mut client, mut server) = pair().await;
    client.write_all(&frame(FINAL | PING, b"are you there")).await.unwrap();
    let reading = tokio::spawn(async move { server.read_u8().await });
    assert_eq!(server_frame(&mut client).await, (FINAL | PONG, b"are you there".to_vec()));
    // An unasked pong is no data, and needs no answer.
    let sent = [frame(FINAL | PONG, b""), frame(FINAL | BINARY, b"!")].concat();
    client.write_all(&sent).await.unwrap();
    assert_eq!(reading.await.unwrap().unwrap(), b'!');
}

#[tokio::test(start_paused = true)]
async fn a_close_is_answered_and_reads_as_the_end() {
    let (mut client, mut server) = pair().await;
    let sent = [frame(FINAL | BINARY, CONNECT), frame(FINAL | CLOSE, &1000_u16.to_be_bytes())];
    client.write_all(&sent.concat()).await.unwrap();
    let mut read = Vec::new();
    server.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, CONNECT);
    check_closed_with(&mut client, 1000).await;
    let error = server.write_all(b"late").await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    server.shutdown().await.unwrap();
    check_ended(&mut client).await;
}

#[tokio::test(start_paused = true)]
async fn an_end_without_a_close_reads_as_the_end() {
    check_reads(&[], b"").await;
    check_reads(&[frame(FINAL | BINARY, CONNECT)], CONNECT).await;
    let mut cut = frame(FINAL | BINARY, CONNECT);
    cut.truncate(9);
    check_reads(&[cut], b"").await;
}

#[tokio::test(start_paused = true)]
async fn each_write_is_a_binary_frame() {
    let (mut client, mut server) = pair().await;
    server.write_all(CONNECT).await.unwrap();
    server.write_all(SUBSCRIBE).await.unwrap();
    server.flush().await.unwrap();
    assert_eq!(server_frame(&mut client).await, (FINAL | BINARY, CONNECT.to_vec()));
    assert_eq!(server_frame(&mut client).await, (FINAL | BINARY, SUBSCRIBE.to_vec()));
}

#[tokio::test(start_paused = true)]
async fn a_long_write_is_several_frames() {
    let long: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let (mut client, mut server) = pair().await;
    server.write_all(&long).await.unwrap();
    server.flush().await.unwrap();
    let mut read = Vec::new();
    while read.len() < long.len() {
        let (first, payload) = server_frame(&mut client).await;
        assert_eq!(first, FINAL | BINARY);
        assert!(payload.len() <= 16 * 1024);
        read.extend(payload);
    }
    assert_eq!(read, long);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_stops_the_writer() {
    let (mut client, server) = duplex(1024);
    let mut server = WebSocket::over(server).await;
    let mut taken = 0;
    let writing = async {
        loop {
            taken += server.write(&[7; 1000]).await.unwrap();
        }
    };
    assert!(timeout(Duration::from_secs(1), writing).await.is_err());
    assert!(taken <= 3000, "{taken} bytes are held for a client that doesn't read");
    // Its pings are not piled up either.
    let ping = frame(FINAL | PING, &[0; 125]);
    let flood = async {
        for _ in 0..1000 {
            client.write_all(&ping).await.unwrap();
        }
    };
    let reading = async { server.read_u8().await };
    tokio::select! {
        () = flood => {}
        outcome = reading => panic!("{outcome:?}"),
    }
    // A farewell waits behind all that.
    let (mut data, mut pongs) = (0, 0);
    let all = async {
        loop {
            match server_frame(&mut client).await {
                (BINARY_FRAME, payload) => data += payload.len(),
                (PONG_FRAME, _) => pongs += 1,
                (first, _) => break first,
            }
        }
    };
    let (last, ended) = tokio::join!(all, server.shutdown());
    ended.unwrap();
    assert_eq!((last, data), (FINAL | CLOSE, taken));
    assert!((1..200).contains(&pongs), "{pongs} pongs were held");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_says_close_once_and_ends_the_stream() {
    let (mut client, mut server) = pair().await;
    server.write_all(CONNECT).await.unwrap();
    server.shutdown().await.unwrap();
    server.shutdown().await.unwrap();
    assert_eq!(server_frame(&mut client).await, (FINAL | BINARY, CONNECT.to_vec()));
    check_closed_with(&mut client, 1000).await;
    check_ended(&mut client).await;
}

#[tokio::test(start_paused = true)]
async fn a_farewell_goes_out_whole_through_a_narrow_pipe() {
    for refused in [false, true] {
        let (mut client, server) = duplex(1);
        let mut server = WebSocket::over(server).await;
        let serving = tokio::spawn(async move {
            if refused {
                server.read_u8().await.unwrap_err();
            }
            server.shutdown().await.unwrap();
        });
        if refused {
            client.write_all(&frame(FINAL | TEXT, b"hello")).await.unwrap();
        }
        check_closed_with(&mut client, if refused { 1003 } else { 1000 }).await;
        check_ended(&mut client).await;
        serving.await.unwrap();
    }
}

/// Grants an upgrade and echoes one byte, all in one task.
async fn serve_echo(stream: DuplexStream) {
    let (granted, mut upgrades) = tokio::sync::mpsc::unbounded_channel();
    let service = service_fn(|mut request: Request<Incoming>| {
        let response: Response<Full<Bytes>> = match Handshake::of(&request) {
            Ok(handshake) => {
                granted.send(hyper::upgrade::on(&mut request)).unwrap();
                handshake.response()
            }
            Err(refusal) => refusal.response(),
        };
        std::future::ready(Ok::<_, io::Error>(response))
    });
    let http = hyper::server::conn::http1::Builder::new();
    http.serve_connection(TokioIo::new(stream), service).with_upgrades().await.unwrap();
    let Ok(upgrade) = upgrades.try_recv() else { return };
    let mut socket = WebSocket::over(TokioIo::new(upgrade.await.unwrap())).await;
    let byte = socket.read_u8().await.unwrap();
    socket.write_all(&[byte]).await.unwrap();
    socket.shutdown().await.unwrap();
}

/// Reads a response's head as Paho's Java client does: names in lower case, every line with a
/// colon and something behind it, the space before a value kept.
async fn paho_head(client: &mut DuplexStream) -> (String, Vec<(String, String)>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    let text = String::from_utf8(head).unwrap();
    let mut lines = text.lines().take_while(|line| !line.is_empty());
    let status = lines.next().unwrap().to_owned();
    let headers = lines
        .map(|line| {
            let mut parts = line.split(':');
            let name = parts.next().unwrap().to_lowercase();
            let value = parts.next().filter(|value| !value.is_empty()).unwrap();
            (name, value.to_owned())
        })
        .collect();
    (status, headers)
}

#[tokio::test(start_paused = true)]
async fn paho_s_java_client_understands_the_handshake() {
    let (mut client, server) = duplex(4096);
    let serving = tokio::spawn(serve_echo(server));
    let request = "GET /mqtt HTTP/1.1\r\nHost: dps.localhost\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Key: bXF0dDMtMTcwMDAwMDAwMA==\r\n\
        Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Version: 13\r\n\r\n";
    // The first frame may travel with the request.
    let sent = [request.as_bytes(), &frame(FINAL | BINARY, b"*")].concat();
    client.write_all(&sent).await.unwrap();
    let (status, headers) = paho_head(&mut client).await;
    assert_eq!(status, "HTTP/1.1 101 Switching Protocols");
    let value = |name: &str| {
        let mut found = headers.iter().filter(|(one, _)| one == name).map(|(_, value)| value);
        let only = found.next().cloned();
        assert!(found.next().is_none());
        only
    };
    assert_eq!(value("connection").as_deref(), Some(" Upgrade"));
    assert_eq!(value("upgrade").as_deref(), Some(" websocket"));
    assert_eq!(value("sec-websocket-protocol").as_deref(), Some(" mqtt"));
    let accept = value("sec-websocket-accept").unwrap();
    assert_eq!(accept.trim(), "SRGB/RSc0u9YcMNPir2jp3BdDyw=");
    assert_eq!(value("sec-websocket-extensions"), None);
    assert_eq!(server_frame(&mut client).await, (FINAL | BINARY, b"*".to_vec()));
    check_closed_with(&mut client, 1000).await;
    serving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_refused_upgrade_is_answered_in_json() {
    let (mut client, server) = duplex(4096);
    let serving = tokio::spawn(serve_echo(server));
    let request = "GET /$iothub/websocket HTTP/1.1\r\nHost: dps.localhost\r\n\
        Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: bXF0dDMtMTcwMDAwMDAwMA==\r\n\
        Sec-WebSocket-Protocol: AMQPWSB10\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    let (status, headers) = paho_head(&mut client).await;
    assert_eq!(status, "HTTP/1.1 400 Bad Request");
    let (_, length) = headers.iter().find(|(name, _)| name == "content-length").unwrap();
    let mut body = vec![0; length.trim().parse().unwrap()];
    client.read_exact(&mut body).await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["message"], "Sec-WebSocket-Protocol must offer mqtt");
    drop(client);
    serving.await.unwrap();
}
