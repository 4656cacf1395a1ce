//! An attempt's explanation, told in words.

use serde_json::Value;

use crate::output::{at, cell, printable};

/// The lines of one attempt's story: what was shown, what was considered, what came of it.
///
/// It is read as JSON, so that a newer server's unknown steps are shown rather than refused.
pub(crate) fn tell(attempt: &Value) -> Vec<String> {
    let explanation = at(attempt, &["explanation"]);
    let mut lines = vec![title(attempt, explanation)];
    lines.push(field("outcome", &outcome(at(explanation, &["outcome"]))));
    lines.push(field("evidence", evidence(at(explanation, &["mechanism"]))));
    for (depth, member) in items(at(explanation, &["chain"])).iter().enumerate() {
        let name = if depth == 0 { "chain" } else { "" };
        lines.push(field(name, &chain_member(depth, member)));
    }
    for (number, one) in items(at(explanation, &["steps"])).iter().enumerate() {
        let name = if number == 0 { "story" } else { "" };
        lines.push(field(name, &format!("{}. {}", number + 1, step(one))));
    }
    let tracking_id = cell(at(attempt, &["trackingId"]));
    if !tracking_id.is_empty() {
        lines.push(field("tracking id", &tracking_id));
    }
    lines
}

fn title(attempt: &Value, explanation: &Value) -> String {
    let told = |value: &Value, member: &str| cell(at(value, &[member]));
    let when = [told(attempt, "at"), told(explanation, "at")];
    let when = when.iter().find(|text| !text.is_empty()).map_or("", String::as_str);
    let mut title = format!("{} at {when}", told(explanation, "registrationId"));
    for (word, member) in [("on", "dps"), ("by", "protocol")] {
        let value = told(attempt, member);
        if !value.is_empty() {
            title.push_str(&format!(", {word} {value}"));
        }
    }
    title
}

fn field(name: &str, text: &str) -> String {
    let colon = if name.is_empty() { ' ' } else { ':' };
    format!("  {:<13}{}", format!("{name}{colon}"), printable(text))
}

fn evidence(mechanism: &Value) -> &'static str {
    match mechanism.as_str() {
        Some("x509") => "a certificate chain",
        Some("symmetricKey") => "a token signed with a symmetric key",
        Some("tpm") => "a TPM",
        Some(_) => "of a kind unknown to this version of muster",
        None => "none",
    }
}

fn chain_member(depth: usize, member: &Value) -> String {
    let role = if depth == 0 { "leaf" } else { "issuer" };
    let thumbprint = cell(at(member, &["thumbprint"]));
    let serial = cell(at(member, &["serial"]));
    let subject = cell(at(member, &["subject"]));
    let short = thumbprint.get(..16).unwrap_or(&thumbprint);
    format!("{role} {subject}, serial {serial}, sha-256 {short}…")
}

/// The name and the content of an externally tagged enum.
fn variant(value: &Value) -> (&str, &Value) {
    match value {
        Value::String(name) => (name, &Value::Null),
        Value::Object(members) => members
            .iter()
            .next()
            .map_or(("", &Value::Null), |(name, content)| (name.as_str(), content)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => ("", &Value::Null),
    }
}

fn entry(reference: &Value) -> String {
    let (kind, id) = variant(at(reference, &["id"]));
    match kind {
        "individual" => format!("individual enrollment '{}'", cell(id)),
        "group" => format!("enrollment group '{}'", cell(id)),
        _ => format!("entry {reference}"),
    }
}

fn step(value: &Value) -> String {
    let (name, content) = variant(value);
    let told = |member: &str| cell(at(content, &[member]));
    let of = entry(at(content, &["entry"]));
    match name {
        "considered" => {
            let enabled = at(content, &["enabled"]) == &Value::Bool(true);
            let state = if enabled { "enabled" } else { "disabled" };
            format!("considered {of}, which is {state}: {}", found_by(at(content, &["by"])))
        }
        "believed" => format!("the evidence holds against {of}"),
        "disbelieved" => format!(
            "the evidence does not hold against {of}: {}",
            disbelief(at(content, &["because"]))
        ),
        "chainRefused" => format!("the chain does not hold: {}", told("because")),
        "chainHolds" => format!("the chain holds, up to the verified CA {}", told("anchor")),
        "expiryExcused" => format!(
            "{}, which an exception for {of} excuses until {}",
            told("because"),
            told("until")
        ),
        "decides" => format!("{of} decides: {}", rule(&told("rule"))),
        "assignedBefore" => format!("the device was assigned to {} before", told("hub")),
        "ordered" => {
            let order = at(content, &["order"]);
            let data = match at(order, &["deviceData"]).as_str() {
                Some("migrate") => "its twin taken along",
                Some("reset") => "its twin set to the entry's",
                Some(_) | None => "in a way unknown to this version of muster",
            };
            let when = cell(at(order, &["ordered"]));
            format!("an operator ordered at {when} to provision it anew, {data}")
        }
        "stays" => "the reprovision policy keeps it where it is".to_owned(),
        "consulted" => {
            format!("the webhook {} was asked: {}", told("webhook"), told("answer"))
        }
        "certified" => match at(content, &["again"]) == &Value::Bool(true) {
            true => format!("its request has a certificate of '{}' already", told("policy")),
            false => format!("its request for a certificate of '{}' holds", told("policy")),
        },
        "provisioned" => format!("{}: {}", told("hub"), told("result")),
        "near" => format!("the device is in {}, {} ms away", told("region"), told("milliseconds")),
        "allocated" => format!("{} was chosen, {}", told("hub"), allocation(&told("by"))),
        _ => value.to_string(),
    }
}

fn found_by(by: &Value) -> &'static str {
    match by.as_str() {
        Some("registrationId") => "its registration id is the one presented",
        Some("leafCertificate") => "it holds the very certificate that the device presented",
        Some("endorsementKey") => "it holds the very endorsement key that the device presented",
        Some("signingCertificate") => "it names a CA of the presented chain",
        Some("derivedKey") => "one of its keys may have derived the device's key",
        Some(_) | None => "found in a way unknown to this version of muster",
    }
}

fn disbelief(because: &Value) -> String {
    let (name, content) = variant(because);
    let told = |member: &str| cell(at(content, &[member]));
    match name {
        "noEvidence" => "neither a certificate nor a token was shown".to_owned(),
        "otherMechanism" => {
            format!("it asks for {}", evidence(at(content, &["wanted"])))
        }
        "otherCertificate" => "the leaf is not one of its certificates".to_owned(),
        "chain" => format!("the chain does not hold: {}", told("because")),
        "caMissing" => format!("no verified CA is reached: {}", told("because")),
        "commonName" => told("because"),
        "signature" => "none of its keys signed the token".to_owned(),
        "tokenExpired" => format!("the token expired at {}", told("expires")),
        "tokenResource" => "the token was made for another resource".to_owned(),
        "notInChain" => "no certificate of the chain belongs to it".to_owned(),
        "endorsementKey" => "it has another endorsement key".to_owned(),
        "endorsementCertificate" => told("because"),
        "unanswered" => "the TPM has yet to answer the challenge".to_owned(),
        _ => because.to_string(),
    }
}

/// The rules by name, in words.
fn rule(name: &str) -> String {
    let words = match name {
        "D-02" => "an individual enrollment goes before every group, and a disabled one blocks",
        "D-05" => "of the groups, the one whose CA is nearest to the device decides",
        "M-18" => "the group whose key derived the device's key decides",
        _ => return format!("rule {name}"),
    };
    format!("{words} (rule {name})")
}

fn allocation(by: &str) -> &'static str {
    match by {
        "hashed" => "evenly by weight",
        "geoLatency" => "as the nearest",
        "static" => "as the one hub of the entry",
        "custom" => "as the webhook said",
        _ => "in a way unknown to this version of muster",
    }
}

fn outcome(value: &Value) -> String {
    let (name, content) = variant(value);
    let told = |member: &str| cell(at(content, &[member]));
    match name {
        "assigned" => {
            let device_id = [told("deviceId"), told("device_id")].concat();
            let how = match told("substatus").as_str() {
                "initialAssignment" => "for the first time, or where it was already",
                "deviceDataMigrated" => "moved with its twin",
                "deviceDataReset" => "its twin set to the entry's",
                "reprovisionedToInitialAssignment" => "where it was already",
                _ => "reassigned",
            };
            format!("assigned to {} as device '{device_id}', {how}", told("hub"))
        }
        "disabled" => format!("refused: {} is disabled", entry(at(content, &["entry"]))),
        "failed" => format!("let in, but not assigned: {}", failure(&told("kind"))),
        "consulting" => "under way: the webhook is asked for a hub".to_owned(),
        "provisioning" => format!("under way: {} is written to", told("hub")),
        "challenged" => "challenged: the TPM is to call again, with a token".to_owned(),
        "rejected" => format!("refused: {}", told("because")),
        _ => value.to_string(),
    }
}

fn failure(kind: &str) -> String {
    match kind {
        "customAllocation" => "the custom allocation's webhook failed".to_owned(),
        "noHub" => "there is no hub to choose from, or the wanted one is not linked".to_owned(),
        "hubRefused" => "the hub refused the provisioning service".to_owned(),
        "quotaReached" => "the quota of registrations is reached".to_owned(),
        other => other.to_owned(),
    }
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_refusal_is_told_from_evidence_to_rule() {
        let entry = |id| json!({"id": {"individual": id}, "created": "2026-01-01T00:00:00Z"});
        let attempt = json!({
            "trackingId": "7d0c", "dps": "dps1", "protocol": "mqtt",
            "at": "2026-02-03T04:05:06.0000000Z",
            "explanation": {
                "registrationId": "sensor-thl-002",
                "at": "2026-02-03T04:05:06.0000000Z",
                "mechanism": "x509",
                "chain": [
                    {"thumbprint": "00112233445566778899AABB", "publicKey": "FF", "serial": "0A",
                     "subject": "CN=sensor-thl-002"},
                    {"thumbprint": "FF", "publicKey": "FF", "serial": "0B", "subject": "CN=ca"}
                ],
                "steps": [
                    {"chainHolds": {"anchor": "CN=root"}},
                    {"considered": {"entry": entry("disallow-002"), "by": "leafCertificate",
                        "enabled": false}},
                    {"disbelieved": {"entry": entry("other"),
                        "because": {"otherMechanism": {"wanted": "symmetricKey"}}}},
                    {"decides": {"entry": entry("disallow-002"), "rule": "D-02"}},
                    "stays",
                    {"newStep": {"x": 1}}
                ],
                "outcome": {"disabled": {"entry": entry("disallow-002")}}
            }
        });
        let told = tell(&attempt).join("\n");
        assert_eq!(
            told,
            "\
sensor-thl-002 at 2026-02-03T04:05:06.0000000Z, on dps1, by mqtt
  outcome:     refused: individual enrollment 'disallow-002' is disabled
  evidence:    a certificate chain
  chain:       leaf CN=sensor-thl-002, serial 0A, sha-256 0011223344556677…
               issuer CN=ca, serial 0B, sha-256 FF…
  story:       1. the chain holds, up to the verified CA CN=root
               2. considered individual enrollment 'disallow-002', which is disabled: it holds the very certificate that the device presented
               3. the evidence does not hold against individual enrollment 'other': it asks for a token signed with a symmetric key
               4. individual enrollment 'disallow-002' decides: an individual enrollment goes before every group, and a disabled one blocks (rule D-02)
               5. the reprovision policy keeps it where it is
               6. {\"newStep\":{\"x\":1}}
  tracking id: 7d0c"
        );
    }

    #[test]
    fn every_outcome_has_words() {
        let group = json!({"id": {"group": "g"}, "created": "2026-01-01T00:00:00Z"});
        for (value, words) in [
            (
                json!({"assigned": {"hub": "h", "device_id": "d", "substatus": "deviceDataReset"}}),
                "assigned to h as device 'd', its twin set to the entry's",
            ),
            (json!({"disabled": {"entry": group}}), "refused: enrollment group 'g' is disabled"),
            (
                json!({"failed": {"kind": "noHub"}}),
                "let in, but not assigned: there is no hub to choose from, or the wanted one is not \
                 linked",
            ),
            (json!({"rejected": {"because": "nobody knows it"}}), "refused: nobody knows it"),
            (json!({"provisioning": {"hub": "h"}}), "under way: h is written to"),
            (json!("consulting"), "under way: the webhook is asked for a hub"),
            (json!("challenged"), "challenged: the TPM is to call again, with a token"),
        ] {
            assert_eq!(outcome(&value), words);
        }
    }
}
