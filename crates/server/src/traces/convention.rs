//! From the spans of the log to OpenTelemetry's semantic conventions.

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;

/// The span of a call, as the gateway names it.
const CALL: &str = "call";
/// A refusal on a live connection has a span of its own, of no operation.
const REFUSAL: &str = "refusal";

/// The span as a collector knows it: a call is named for its operation, has the kind that says
/// who waits for whom, and names the protocol as the conventions do.
///
/// What the conventions have no word for keeps the log's: `tracking.id`, `registration.id`,
/// `dps.name`, `hub.name`, `device.id`, `operation`, `outcome`, `verdict`.
/// Source: OpenTelemetry semantic conventions 1.30, "HTTP spans" and "Messaging spans".
pub(super) fn conventional(mut span: SpanData) -> SpanData {
    if span.name != CALL {
        return span;
    }
    let operation = word(&span, "operation");
    let protocol = word(&span, "protocol");
    let is_message = operation.as_deref() == Some("telemetry");
    span.span_kind = if is_message { SpanKind::Consumer } else { SpanKind::Server };
    let network = if protocol.as_deref() == Some("https") { "http" } else { "mqtt" };
    span.attributes.push(KeyValue::new("network.protocol.name", network));
    if is_message {
        span.attributes.push(KeyValue::new("messaging.system", network));
        span.attributes.push(KeyValue::new("messaging.operation.name", "telemetry"));
        span.attributes.push(KeyValue::new("messaging.operation.type", "receive"));
    }
    let code = word(&span, "error.code");
    if word(&span, "outcome").as_deref() == Some("error") {
        span.status = Status::error("");
        let kind = code.unwrap_or_else(|| "_OTHER".to_owned());
        span.attributes.push(KeyValue::new("error.type", kind));
    } else if let Some(code) = code {
        // A refusal is no error of the server's, and has its code all the same.
        span.attributes.push(KeyValue::new("error.type", code));
    }
    span.name = operation.unwrap_or_else(|| REFUSAL.to_owned()).into();
    span
}

/// An attribute as text.
fn word(span: &SpanData, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == key)?;
    Some(found.value.as_str().into_owned())
}
