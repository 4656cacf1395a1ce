//! HTTP itself: whatever a request's form, the answer has the form of the API that it is for.

use serde_json::Value;

use crate::tests::World;

const DPS: &str = "dps.localhost";
const HUB: &str = "hub1.localhost";
const ADMIN: &str = "muster.localhost";
const ALIAS: &str = "localhost";
const QUERY: &str = r#"{"query":"SELECT * FROM devices"}"#;

/// An answer: its status, its head, its body.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{}", self.body))
    }

    /// A header's value.
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// A refusal in the form of a provisioning service, or of the administration.
    #[track_caller]
    fn assert_dps(&self, code: u32) {
        assert_eq!(u32::from(self.status), code / 1000, "{}", self.body);
        assert_eq!(self.json()["errorCode"], code, "{}", self.body);
        assert_eq!(self.header("x-ms-error-code"), Some(code.to_string().as_str()));
    }

    /// A refusal in the form of a hub.
    #[track_caller]
    fn assert_hub(&self, status: u16, name: &str) {
        assert_eq!(self.status, status, "{}", self.body);
        let message = self.json()["Message"].as_str().unwrap().to_owned();
        assert!(message.starts_with(&format!("ErrorCode:{name};")), "{message}");
        assert_eq!(self.header("iothub-errorcode"), Some(name));
    }
}

/// The answers on one connection; bodies have a length.
fn answers(text: &str) -> Vec<Answer> {
    let (mut rest, mut found) = (text, Vec::new());
    while !rest.is_empty() {
        let (head, behind) = rest.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer { status, head: head.to_owned(), body: String::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        let (body, behind) = behind.split_at(length);
        answer.body = body.to_owned();
        found.push(answer);
        rest = behind;
    }
    found
}

async fn asked(world: &World, host: &str, head: &str, body: &str) -> Answer {
    let request = format!("{head}\r\nHost: {host}\r\nConnection: close\r\n\r\n{body}");
    answers(&world.exchange(host, request.as_bytes()).await).remove(0)
}

#[tokio::test]
async fn every_host_describes_itself_to_everybody() {
    let world = World::new().await;
    for (host, path) in [
        (DPS, "/enrollments/query"),
        (ALIAS, "/{idScope}/registrations/{registrationId}/register"),
        (HUB, "/devices/{deviceId}"),
        (ADMIN, "/muster/v1/dps"),
    ] {
        let answer = asked(&world, host, "GET /openapi.json HTTP/1.1", "").await;
        assert_eq!(answer.status, 200, "{host}");
        assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
        assert!(answer.json()["paths"].get(path).is_some(), "{host} {path}");
    }
}

/// RFC 9110 section 15.5.6 and section 9.3.7.
#[tokio::test]
async fn a_05_a_method_that_is_none_is_refused_with_those_that_are() {
    let world = World::new().await;
    for method in ["OPTIONS", "TRACE", "PATCH", "BREW", "HEAD"] {
        let ask = async |host, path| {
            // The answer to a HEAD has the length of a body and no body.
            let request = format!(
                "{method} {path}?api-version=2021-10-01 HTTP/1.1\r\nHost: {host}\r\n\
                 Connection: close\r\n\r\n"
            );
            world.exchange(host, request.as_bytes()).await
        };
        let check = |text: String, allow: &str| {
            assert!(text.starts_with("HTTP/1.1 405 "), "{method}: {text}");
            let allow = format!("\r\nallow: {allow}\r\n");
            assert!(text.contains(&allow), "{method}: {text}");
            assert_eq!(text.ends_with("\r\n\r\n"), method == "HEAD", "{method}: {text}");
        };
        check(ask(DPS, "/enrollments/a").await, "GET, PUT, DELETE");
        check(ask(DPS, "/enrollments").await, "POST");
        check(ask(DPS, "/0ne00000000/registrations/a/register").await, "PUT");
        check(ask(HUB, "/devices/a").await, "GET, PUT, DELETE");
        check(ask(HUB, "/devices/a/messages/events").await, "POST");
        if method != "HEAD" {
            check(ask(HUB, "/openapi.json").await, "GET, HEAD");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_has_the_form_of_its_api() {
    let world = World::new().await;
    let nothing = "GET /nothing/at/all HTTP/1.1";
    asked(&world, DPS, nothing, "").await.assert_dps(404_000);
    asked(&world, ALIAS, nothing, "").await.assert_dps(404_000);
    asked(&world, ADMIN, nothing, "").await.assert_dps(401_000);
    asked(&world, HUB, nothing, "").await.assert_hub(404, "GenericNotFound");
    asked(&world, HUB, "GET / HTTP/1.1", "").await.assert_hub(404, "GenericNotFound");
    let large = |path| format!("PUT {path} HTTP/1.1\r\nContent-Length: 1048577");
    let signed = |host, head: &str| format!("{head}\r\nAuthorization: {}", world.owner(host));
    let ask = async |host, head: &str, body| asked(&world, host, &signed(host, head), body).await;
    ask(DPS, &large("/enrollments/a"), "").await.assert_dps(400_000);
    ask(HUB, &large("/devices/a"), "").await.assert_hub(413, "MessageTooLarge");
    let send = "POST /devices/a/messages/events HTTP/1.1\r\nContent-Length: 1048577";
    asked(&world, HUB, send, "").await.assert_hub(413, "MessageTooLarge");
    // With one hub alone the alias is that hub as well.
    asked(&world, ALIAS, send, "").await.assert_hub(413, "MessageTooLarge");
    let broken = "PUT /devices/a HTTP/1.1\r\nTransfer-Encoding: chunked";
    ask(HUB, broken, "zz\r\n").await.assert_hub(400, "IotHubFormatError");
}

/// `iot-hub` §7.2: a message has 256 KiB; the alias stands for the hub in this as well.
#[tokio::test]
async fn a_hubs_bodies_have_their_own_bound_by_every_name() {
    let world = World::new().await;
    let body = "x".repeat(200 * 1024);
    let send = format!(
        "POST /devices/a/messages/events?api-version=2021-04-12 HTTP/1.1\r\nContent-Length: {}",
        body.len()
    );
    for host in [HUB, ALIAS] {
        asked(&world, host, &send, &body).await.assert_hub(401, "IotHubUnauthorized");
    }
}

#[tokio::test]
async fn requests_in_a_row_are_answered_in_order() {
    let world = World::new().await;
    let one = |method: &str, path: &str, fields: &str, body: &str| {
        format!("{method} {path} HTTP/1.1\r\nHost: {DPS}\r\n{fields}\r\n{body}")
    };
    let chunked = "Transfer-Encoding: chunked\r\n";
    let all = [
        one("GET", "/openapi.json", "", ""),
        one("POST", "/enrollments", chunked, "2\r\n{}\r\n0\r\n\r\n"),
        one("HEAD", "/openapi.json", "", ""),
        one("PUT", "/nothing", "Content-Length: 2\r\n", "{}"),
        one("GET", "/enrollments", "Connection: close\r\n", ""),
    ];
    let text = world.exchange(DPS, all.concat().as_bytes()).await;
    // The length of what a HEAD would have been is none of a body that is here.
    let parts: Vec<_> = text.split("HTTP/1.1 ").skip(1).collect();
    let statuses: Vec<_> = parts.iter().map(|part| &part[..3]).collect();
    assert_eq!(statuses, ["200", "401", "200", "404", "405"]);
    assert!(parts[2].ends_with("\r\n\r\n"), "{}", parts[2]);
    assert!(parts[3].contains("404000"), "{}", parts[3]);
}

/// RFC 9112 section 3.2.2: the host of an absolute target counts, whatever the Host field says.
#[tokio::test]
async fn an_absolute_target_names_the_host() {
    let world = World::new().await;
    let ask = async |target: &str, field: &str| {
        let request =
            format!("GET {target} HTTP/1.1\r\nHost: {field}\r\nConnection: close\r\n\r\n");
        answers(&world.exchange(DPS, request.as_bytes()).await).remove(0)
    };
    assert_eq!(ask("https://dps.localhost/openapi.json", DPS).await.status, 200);
    assert_eq!(ask("https://DPS.localhost:8443/openapi.json", HUB).await.status, 200);
    // It is no way around the name that TLS was set up for (D-22).
    ask("https://hub1.localhost/openapi.json", DPS).await.assert_dps(404_000);
    ask("https://muster.localhost/muster/v1/dps", ADMIN).await.assert_dps(404_000);
    ask("*", DPS).await.assert_dps(404_000);
}

/// RFC 9112 section 3.2.
#[tokio::test]
async fn two_hosts_are_none() {
    let world = World::new().await;
    for target in ["/openapi.json", "https://dps.localhost/openapi.json"] {
        for second in [DPS, HUB, ""] {
            let head = format!("GET {target} HTTP/1.1\r\nHost: {second}");
            asked(&world, DPS, &head, "").await.assert_dps(400_000);
        }
    }
}

/// RFC 9110 section 10.1.1.
#[tokio::test(start_paused = true)]
async fn who_expects_to_go_on_is_told_to() {
    let world = World::new().await;
    let expects = |length: usize| {
        format!("PUT /enrollments/a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: {length}")
    };
    let signed = |length| format!("{}\r\nAuthorization: {}", expects(length), world.owner(DPS));
    let told = asked(&world, DPS, &signed(2), "{}").await;
    assert_eq!((told.status, told.body.as_str()), (100, ""));
    // Neither what is announced as too large is asked for, nor what a stranger has.
    asked(&world, DPS, &signed(100_000), "").await.assert_dps(400_000);
    asked(&world, DPS, &expects(2), "").await.assert_dps(401_000);
}

/// A-03: decoded once, and never taken for the path's own slashes and dots.
#[tokio::test]
async fn escapes_in_an_id_make_no_other_path() {
    let world = World::new().await;
    let get = async |host, path: &str| {
        let head = format!("GET {path}?api-version=2021-10-01 HTTP/1.1");
        asked(&world, host, &head, "").await
    };
    for path in ["/enrollments/a%2Fb", "/enrollments/a%2F..%2Fb", "/enrollments/%2e%2e"] {
        get(DPS, path).await.assert_dps(400_004);
    }
    for path in ["/enrollments/%00", "/enrollments/a%ff", "/enrollments/a%", "/enrollments/a%2"] {
        get(DPS, path).await.assert_dps(400_004);
    }
    for path in ["/enrollments/a/../b", "//enrollments/a", "/enrollments//a", "/enrollments/a//"] {
        assert_eq!(get(DPS, path).await.status, 404, "{path}");
    }
    get(HUB, "/devices/a%2Fb").await.assert_hub(400, "ArgumentInvalid");
    // A hub's alphabet has the dot and the percent sign.
    get(HUB, "/devices/%2e%2e").await.assert_hub(401, "IotHubUnauthorizedAccess");
    get(HUB, "/devices/a%252Fb").await.assert_hub(401, "IotHubUnauthorizedAccess");
    get(ADMIN, "/muster/v1/%64ps").await.assert_dps(401_000);
    // A-02.
    get(DPS, "/enrollments/a/").await.assert_dps(401_000);
}

/// Found by Schemathesis: it was as good as none.
#[tokio::test]
async fn q_02_a_page_that_is_no_text_is_refused() {
    let world = World::new().await;
    for name in ["x-ms-max-item-count", "x-ms-continuation"] {
        let asked = world.operate(DPS, "POST /enrollments/query", &[(name, "\u{84}")], "").await;
        assert_eq!(asked.expect(400)["errorCode"], 400_000, "{name}");
        world.operate(HUB, "POST /devices/query", &[(name, "\u{84}")], QUERY).await.expect(400);
        world.operate(HUB, "POST /devices/query", &[(name, "")], QUERY).await.expect(200);
    }
}

#[tokio::test]
async fn no_header_stands_for_another_method() {
    let world = World::new().await;
    for field in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"] {
        let head =
            format!("POST /enrollments/a?api-version=2021-10-01 HTTP/1.1\r\n{field}: DELETE");
        asked(&world, DPS, &head, "").await.assert_dps(405_000);
        let head = format!("GET /openapi.json?_method=DELETE HTTP/1.1\r\n{field}: DELETE");
        assert_eq!(asked(&world, DPS, &head, "").await.status, 200);
    }
}
