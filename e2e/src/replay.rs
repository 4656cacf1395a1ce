//! What service clients that can not run here send, replayed from vectors made of their sources.
//!
//! A vector file names, for each call, the source that builds it, the request as that source
//! builds it, and in `needs` what the same client demands of the answer: the statuses that it
//! takes, the headers that it reads, the members without which it fails. `keeps` names what of an
//! answer a later request carries, as `${name}`.

use crate::matrix::{Client, Notes, Purpose};
use crate::sas::{escape, in_seconds, sas_signature};
use crate::{HUB1, Reply, Server, Tls, Wire, World, sdk};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs;

/// How long a token is good for, in seconds; all these clients' tokens live so long.
const TOKEN_LIFE: i64 = 3600;

/// What requests carry that is not in the vectors: certificates, and what answers gave.
type Values = BTreeMap<String, Value>;

/// Makes all calls of `vectors/service/<name>.json`, in order, each host on one connection.
///
/// # Panics
///
/// When an answer is not as the client needs it.
pub fn replay(world: &World, server: &Server, name: &str, mut values: Values) {
    let file = sdk::sources().join("vectors/service").join(name).with_extension("json");
    let vectors: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let mut clients: BTreeMap<&str, Sender> = BTreeMap::new();
    for (of, client) in vectors["clients"].as_object().unwrap() {
        clients.insert(of, Sender::new(world, server, of, client));
    }
    for call in vectors["calls"].as_array().unwrap() {
        clients.get_mut(call["of"].as_str().unwrap()).unwrap().call(call, &mut values);
    }
}

/// One client of one host.
struct Sender {
    host: &'static str,
    wire: Wire,
    client: Value,
    token: String,
    notes: Notes,
}

impl Sender {
    fn new(world: &World, server: &Server, of: &str, client: &Value) -> Self {
        let (host, api) = match of {
            "hub" => (HUB1, server.hub("hub1")),
            _ => (crate::DPS, server.dps()),
        };
        let text = |member: &str| client[member].as_str().unwrap().to_owned();
        let noted = Client {
            name: text("name"),
            version: text("version"),
            transport: "HTTPS",
            credential: "shared access policy",
        };
        let (_, policy, key) = api.owner();
        Self {
            host,
            wire: Tls::trusting(&server.ca()).connect(host, 443),
            client: client.clone(),
            token: token(&text("token"), host, policy, key),
            notes: Notes::new(world, Purpose::Replay, noted),
        }
    }

    fn call(&mut self, call: &Value, values: &mut Values) {
        let name = call["call"].as_str().unwrap();
        let request = self.request(call, values);
        self.wire.try_send(request.as_bytes()).unwrap();
        let reply = self.wire.try_reply().unwrap();
        let asked = format!("{name} ({}):\n{request}\n", call["source"]);
        println!("{asked}-> {} {:?} {}", reply.status, reply.headers, reply.body);
        if let Err(why) = check(&call["needs"], &reply) {
            panic!("{asked}-> {} {:?} {}\n{why}", reply.status, reply.headers, reply.body);
        }
        for (kept, from) in members(&call["keeps"]) {
            let from = from.as_str().unwrap();
            let value = match from.strip_prefix("header:") {
                Some(header) => reply.header(header).unwrap().into(),
                None => reply.body.pointer(from).unwrap().clone(),
            };
            values.insert(kept.clone(), value);
        }
        self.notes.saw(name, "replayed from source, not run");
    }

    fn request(&self, call: &Value, values: &Values) -> String {
        let method = call["method"].as_str().unwrap();
        let target = call["target"].as_str().unwrap();
        let body = match call.get("body") {
            Some(body) => filled(body, values).to_string(),
            None => String::new(),
        };
        let mut headers: Vec<(&String, &Value)> = members(&self.client["headers"]).collect();
        if !body.is_empty() {
            headers.extend(members(&self.client["body_headers"]));
        }
        if method != "DELETE" {
            headers.extend(members(&self.client["not_delete_headers"]));
        }
        headers.extend(members(&call["headers"]));
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (header, value) in headers {
            let value = filled(value, values);
            head.push_str(&format!("{header}: {}\r\n", value.as_str().unwrap()));
        }
        head.push_str(&format!("Authorization: {}\r\n", self.token));
        if !body.is_empty() {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        format!("{head}\r\n{body}")
    }
}

/// A token by a client's template; C escapes its signature with lower-case digits.
fn token(template: &str, host: &str, policy: &str, key: &str) -> String {
    let expires = in_seconds(TOKEN_LIFE);
    let signature = escape(&sas_signature(host, key, expires));
    let lower = ["%2B", "%2F", "%3D"]
        .into_iter()
        .fold(signature.clone(), |text, code| text.replace(code, &code.to_lowercase()));
    template
        .replace("${host}", host)
        .replace("${sig}", &signature)
        .replace("${sig_lower}", &lower)
        .replace("${se}", &expires.to_string())
        .replace("${skn}", policy)
}

/// A template with its `${names}` filled in; one that is a name alone becomes that very value.
fn filled(template: &Value, values: &Values) -> Value {
    if let Some(text) = template.as_str() {
        let alone = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        if let Some(value) = alone.and_then(|name| values.get(name)) {
            return value.clone();
        }
        let texts = values.iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
        let text = texts.fold(text.to_owned(), |text, (name, value)| {
            text.replace(&format!("${{{name}}}"), value)
        });
        assert!(!text.contains("${"), "nothing was kept for {text}");
        text.into()
    } else if let Some(items) = template.as_array() {
        items.iter().map(|item| filled(item, values)).collect()
    } else if template.is_object() {
        let filled = |(name, value): (&String, &Value)| (name.clone(), filled(value, values));
        members(template).map(filled).collect::<Map<_, _>>().into()
    } else {
        template.clone()
    }
}

/// The members of an object, none of what is none.
fn members(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flatten()
}

/// Whether an answer is one that the client can use.
fn check(needs: &Value, reply: &Reply) -> Result<(), String> {
    let bound = |at: usize| needs["status"][at].as_u64().unwrap();
    if !(bound(0)..=bound(1)).contains(&u64::from(reply.status)) {
        return Err(format!("the status must be {}", needs["status"]));
    }
    for (name, need) in members(&needs["headers"]) {
        let value = reply.header(name).map(Value::from);
        suits(need, value.as_ref()).map_err(|why| format!("header {name} {why}"))?;
    }
    for (pointer, need) in members(&needs["body"]) {
        suits(need, reply.body.pointer(pointer)).map_err(|why| format!("{pointer} {why}"))?;
    }
    Ok(())
}

/// Whether a value is of the kind that is needed.
fn suits(need: &Value, value: Option<&Value>) -> Result<(), String> {
    let text = value.and_then(Value::as_str);
    let good = if let Some(kind) = need.as_str() {
        match kind {
            "none" => value.is_none_or(Value::is_null),
            "text" => text.is_some_and(|text| !text.is_empty()),
            "string" => text.is_some(),
            "quoted" => text
                .is_some_and(|text| text.len() > 2 && text.starts_with('"') && text.ends_with('"')),
            "time" => text.is_some_and(is_time),
            "number" => value.is_some_and(Value::is_u64),
            "boolean" => value.is_some_and(Value::is_boolean),
            "object" => value.is_some_and(Value::is_object),
            "list" => value.is_some_and(Value::is_array),
            other => panic!("there is no kind {other}"),
        }
    } else if let Some(exact) = need.get("is") {
        value == Some(exact)
    } else if let Some(start) = need.get("starts") {
        text.is_some_and(|text| text.starts_with(start.as_str().unwrap()))
    } else {
        let word = need["any_case"].as_str().unwrap();
        text.is_some_and(|text| text.eq_ignore_ascii_case(word))
    };
    good.then_some(()).ok_or_else(|| format!("must be {need}, not {value:?}"))
}

/// `2024-01-02T03:04:05Z`, with or without a fraction: what Java's and C#'s parsers both take.
fn is_time(text: &str) -> bool {
    let Some((seconds, rest)) = text.split_at_checked(19) else { return false };
    let shape = |byte: u8| if byte.is_ascii_digit() { b'0' } else { byte };
    let fraction = rest.strip_suffix('Z').map(|rest| rest.strip_prefix('.').unwrap_or(rest));
    seconds.bytes().map(shape).eq("0000-00-00T00:00:00".bytes())
        && fraction.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}
