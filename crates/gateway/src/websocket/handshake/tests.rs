use super::*;

/// The example of RFC 6455 §1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

fn request(path: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

fn upgrade(path: &str, subprotocol: &str) -> Request<()> {
    let headers = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Protocol", subprotocol),
        ("Sec-WebSocket-Version", "13"),
    ];
    request(path, &headers)
}

fn check_granted(request: &Request<()>, echoed: &str) {
    let response: Response<String> = Handshake::of(request).unwrap().response();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let expected = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ("sec-websocket-protocol", echoed),
    ];
    assert_eq!(response.headers().len(), expected.len(), "no extension is agreed on");
    for (name, value) in expected {
        assert_eq!(response.headers()[name], value);
    }
}

fn check_refused(request: &Request<()>, refusal: Refusal, status: u16) {
    assert_eq!(Handshake::of(request), Err(refusal));
    let response: Response<String> = refusal.response();
    assert_eq!(response.status().as_u16(), status);
    assert_eq!(response.headers()["content-type"], "application/json");
    let body: serde_json::Value = serde_json::from_str(response.body()).unwrap();
    assert_eq!(body["message"], refusal.to_string());
    let named = response.headers().get("sec-websocket-version").is_some();
    assert_eq!(named, status == 426);
}

#[test]
fn every_sdk_is_granted_its_path_and_spelling() {
    for path in [
        "/",
        "/mqtt",
        "/$iothub/websocket",
        "/$iothub/websocket?iothub-no-client-cert=true",
        "/?a=b",
    ] {
        for spelling in ["mqtt", "MQTT", "Mqtt"] {
            check_granted(&upgrade(path, spelling), spelling);
        }
    }
}

#[test]
fn the_spoken_subprotocol_is_found_among_others() {
    check_granted(&upgrade("/", "AMQPWSB10, MQTT"), "MQTT");
    check_granted(&upgrade("/", "mqttv3.1,mqtt ,MQTT"), "mqtt");
    let mut over_lines = upgrade("/", "soap");
    over_lines.headers_mut().append("sec-websocket-protocol", HeaderValue::from_static("mqtt"));
    check_granted(&over_lines, "mqtt");
}

#[test]
fn a_browser_s_connection_header_and_an_extension_offer_are_granted() {
    let mut browser = upgrade("/", "mqtt");
    let headers = browser.headers_mut();
    headers.insert("connection", HeaderValue::from_static("keep-alive, Upgrade"));
    headers.insert("upgrade", HeaderValue::from_static("WebSocket"));
    let offer = HeaderValue::from_static("permessage-deflate; client_max_window_bits");
    headers.insert("sec-websocket-extensions", offer);
    check_granted(&browser, "mqtt");
}

#[test]
fn unspoken_and_missing_subprotocols_are_refused() {
    for unspoken in ["AMQPWSB10", "mqttv3.1", "mq tt", ""] {
        check_refused(&upgrade("/$iothub/websocket", unspoken), Refusal::Subprotocol, 400);
    }
    check_refused(&without("sec-websocket-protocol"), Refusal::Subprotocol, 400);
}

#[test]
fn a_request_that_lacks_a_part_is_refused_by_that_part() {
    check_refused(&without("sec-websocket-version"), Refusal::Version, 426);
    check_refused(&with("sec-websocket-version", "8"), Refusal::Version, 426);
    check_refused(&without("sec-websocket-key"), Refusal::Key, 400);
    check_refused(&with("sec-websocket-key", ""), Refusal::Key, 400);
    check_refused(&without("upgrade"), Refusal::NotAnUpgrade, 426);
    check_refused(&with("upgrade", "h2c"), Refusal::NotAnUpgrade, 426);
    check_refused(&without("connection"), Refusal::NotAnUpgrade, 426);
    check_refused(&with("connection", "keep-alive"), Refusal::NotAnUpgrade, 426);
}

#[test]
fn only_a_get_of_http_1_1_is_an_upgrade() {
    let mut post = upgrade("/", "mqtt");
    *post.method_mut() = Method::POST;
    check_refused(&post, Refusal::NotAnUpgrade, 426);
    let mut old = upgrade("/", "mqtt");
    *old.version_mut() = Version::HTTP_10;
    check_refused(&old, Refusal::NotAnUpgrade, 426);
}

fn without(name: &str) -> Request<()> {
    let mut request = upgrade("/", "mqtt");
    request.headers_mut().remove(name);
    request
}

fn with(name: &'static str, value: &'static str) -> Request<()> {
    let mut request = upgrade("/", "mqtt");
    request.headers_mut().insert(name, HeaderValue::from_static(value));
    request
}
