//! What a collector is sent.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use crate::process::{Scratch, error_of};

/// A collector that takes every batch and keeps it.
struct Collector {
    port: u16,
    batches: mpsc::Receiver<(String, Vec<u8>)>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, batches) = mpsc::channel();
        // It ends with the test's process; nothing waits for it.
        thread::spawn(move || {
            for stream in listener.incoming() {
                if sender.send(take(stream.unwrap())).is_err() {
                    return;
                }
            }
        });
        Self { port, batches }
    }
}

/// The head and body of one request, answered.
fn take(stream: TcpStream) -> (String, Vec<u8>) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
    }
    let head = head.to_ascii_lowercase();
    let length = head.split_once("content-length: ").unwrap().1;
    let mut body = vec![0; length.split_once("\r\n").unwrap().0.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    reader.get_mut().write_all(answer).unwrap();
    (head, body)
}

/// A value of a field: of a number, or of bytes.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a protobuf message. Source: Protocol Buffers, "Encoding".
fn fields(mut message: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let tag = number(&mut message);
        let field = match tag & 7 {
            0 => Field::Number(number(&mut message)),
            kind @ (1 | 2 | 5) => {
                let length = match kind {
                    1 => 8,
                    5 => 4,
                    _ => usize::try_from(number(&mut message)).unwrap(),
                };
                let (bytes, rest) = message.split_at(length);
                message = rest;
                Field::Bytes(bytes)
            }
            kind => panic!("a field of kind {kind}"),
        };
        found.push((tag >> 3, field));
    }
    found
}

fn number(message: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (byte, rest) = message.split_first().unwrap();
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return value;
        }
    }
    unreachable!()
}

/// All submessages and byte strings of a field.
fn each(message: &[u8], wanted: u64) -> Vec<&[u8]> {
    let bytes = |(tag, field)| match field {
        Field::Bytes(bytes) if tag == wanted => Some(bytes),
        Field::Bytes(_) | Field::Number(_) => None,
    };
    fields(message).into_iter().filter_map(bytes).collect()
}

fn text(message: &[u8], wanted: u64) -> String {
    let found = each(message, wanted);
    found.first().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()).unwrap_or_default()
}

/// A span as it was sent. Source: opentelemetry-proto, `trace/v1/trace.proto`.
#[derive(Debug)]
struct Span {
    id: Vec<u8>,
    parent: Vec<u8>,
    name: String,
    kind: u64,
    attributes: HashMap<String, String>,
}

fn spans(batch: &[u8]) -> Vec<Span> {
    let of_resource = each(batch, 1).into_iter().flat_map(|resource| each(resource, 2));
    let all = of_resource.flat_map(|scope| each(scope, 2));
    all.map(|span| Span {
        id: each(span, 2)[0].to_vec(),
        parent: each(span, 4).first().map(|id| id.to_vec()).unwrap_or_default(),
        name: text(span, 5),
        kind: fields(span)
            .into_iter()
            .find_map(|(tag, field)| match field {
                Field::Number(kind) if tag == 6 => Some(kind),
                Field::Number(_) | Field::Bytes(_) => None,
            })
            .unwrap(),
        attributes: each(span, 9).into_iter().map(attribute).collect(),
    })
    .collect()
}

fn attribute(pair: &[u8]) -> (String, String) {
    let value = each(pair, 2)[0];
    let shown = fields(value).into_iter().map(|(_, field)| match field {
        Field::Number(number) => number.to_string(),
        Field::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    });
    (text(pair, 1), shown.collect())
}

#[test]
fn a_call_is_one_span_with_its_verdict_and_commit_and_no_secret() {
    let scratch = Scratch::new();
    let collector = Collector::start();
    let server = scratch.serve(&format!(" --otlp-endpoint http://127.0.0.1:{}", collector.port));
    let enrolled = scratch.json(
        "iot dps enrollment create --dps-name dps --enrollment-id sensor-7 \
         --attestation-type symmetricKey",
    );
    let key = enrolled["attestation"]["symmetricKey"]["primaryKey"].as_str().unwrap();
    let register = |key: &str| {
        scratch.run(&format!(
            "iot device registration create --dps-name dps --registration-id sensor-7 \
             --symmetric-key {key}"
        ))
    };
    assert!(register(key).status.success());
    let refused = register("b3RoZXIta2V5LW9mLWEtdGVzdC0wMTIzNDU2Nzg5MDE=");
    assert!(!refused.status.success());
    // What is left is sent before the end.
    server.stop();
    let batches: Vec<_> = collector.batches.try_iter().collect();
    assert!(batches[0].0.starts_with("post /v1/traces http/1.1\r\n"), "{}", batches[0].0);
    assert!(batches[0].0.contains("application/x-protobuf"), "{}", batches[0].0);
    for (_, batch) in &batches {
        let seen = String::from_utf8_lossy(batch);
        assert!(seen.contains("service.name") && seen.contains("muster"), "{seen}");
        for secret in [&key[..16], "b3RoZXIta2V5", "sig=", "SharedAccess"] {
            assert!(!seen.contains(secret), "{secret} in {seen}");
        }
    }
    let all: Vec<Span> = batches.iter().flat_map(|(_, batch)| spans(batch)).collect();
    let with = |name: &str, outcome: &str| {
        let found = all.iter().find(|span| {
            span.name == name && span.attributes.get("outcome").is_some_and(|is| is == outcome)
        });
        found.unwrap_or_else(|| panic!("no {name} that was {outcome} in {all:#?}"))
    };
    let assigned = with("register", "answered");
    assert!(assigned.parent.iter().all(|byte| *byte == 0), "{assigned:#?} in {all:#?}");
    assert_eq!(assigned.kind, 2, "SPAN_KIND_SERVER");
    for (key, value) in [
        ("registration.id", "sensor-7"),
        ("dps.name", "dps"),
        ("http.request.method", "PUT"),
        ("http.response.status_code", "202"),
        ("network.protocol.name", "http"),
    ] {
        assert_eq!(assigned.attributes.get(key).map(String::as_str), Some(value), "{assigned:#?}");
    }
    let below = |name: &str| {
        let found = all.iter().find(|span| span.name == name && span.parent == assigned.id);
        found.unwrap_or_else(|| panic!("no {name} below {assigned:#?} in {all:#?}"))
    };
    assert_eq!(below("verdict").attributes["verdict"], "Assign");
    assert_eq!(below("commit").attributes["outcome"], "Committed");
    let rejected = with("register", "refused");
    assert_eq!(rejected.attributes["http.response.status_code"], "401");
    assert!(error_of(&refused).contains(&rejected.attributes["tracking.id"]), "{rejected:#?}");
    assert!(rejected.attributes.contains_key("error.type"), "{rejected:#?}");
}

#[test]
fn a_collector_that_is_not_there_is_told_of_and_holds_nothing_up() {
    let scratch = Scratch::new();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = scratch.serve(&format!(" --otlp-endpoint http://{closed}"));
    scratch.json("iot dps list");
    server.stop();
    assert!(scratch.log().contains("traces can not be sent"), "{}", scratch.log());
}
