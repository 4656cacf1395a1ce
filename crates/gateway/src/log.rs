//! What is written to the log of a call, and under which names.
//!
//! Every call has a span with the same fields; those that it gets to know later are recorded into
//! it. No key, token, payload or twin is logged: what a message quotes of a body is left out.

use dialect::rest::error::WireError;
use model::{DeviceId, HostName, RegistrationId, ServiceName};
use service::Call;
use tracing::{Span, field};

use crate::{Gateway, diagnostics};

/// The span of a call; `tracking.id` is the one in the answer.
pub(crate) fn call(call: &Call) -> Span {
    tracing::info_span!(
        "call",
        tracking.id = call.tracking_id,
        protocol = call.protocol,
        dps.name = field::Empty,
        registration.id = field::Empty,
        hub.name = field::Empty,
        device.id = field::Empty,
        http.request.method = field::Empty,
        http.response.status_code = field::Empty,
        operation = field::Empty,
        outcome = field::Empty,
        error.code = field::Empty,
    )
}

/// The span of an operation on a device's live connection, for traces alone.
///
/// It is of the debug level: there may be thousands in a second, and each one's tracking id is
/// made only where somebody looks. A refusal has a span of its own, with the id that is told.
pub(crate) fn operation(
    gateway: &Gateway,
    protocol: &'static str,
    host: Option<&HostName>,
    id: Option<&DeviceId>,
) -> Span {
    tracing::debug_span!(
        "call",
        tracking.id = gateway.service.tracking_id(),
        protocol = protocol,
        hub.name = host.map(field::display),
        device.id = id.map(field::display),
        operation = field::Empty,
        outcome = field::Empty,
    )
}

/// What the present call was, and what came of it; as in the metrics.
pub(crate) fn counted(operation: &'static str, outcome: &'static str) {
    let span = Span::current();
    span.record("operation", operation);
    span.record("outcome", outcome);
}

/// The present call is at a provisioning service.
pub(crate) fn provisioning_service(dps: &ServiceName) {
    diagnostics::provisioning_service(dps);
    Span::current().record("dps.name", field::display(dps));
}

/// The present call is about a registration.
pub(crate) fn registration(dps: &ServiceName, id: &RegistrationId) {
    provisioning_service(dps);
    diagnostics::registration(id);
    Span::current().record("registration.id", field::display(id));
}

/// The present call is at a hub.
pub(crate) fn hub(host: &HostName) {
    diagnostics::hub(host);
    Span::current().record("hub.name", field::display(host));
}

/// The present call is about a device on a hub.
pub(crate) fn device(host: &HostName, id: &DeviceId) {
    hub(host);
    diagnostics::device(id);
    Span::current().record("device.id", field::display(id));
}

/// The present call was HTTP; a method that nobody knows is told as `_OTHER`, as OpenTelemetry
/// wants it, since a caller may write anything there.
pub(crate) fn exchanged(method: &hyper::Method, status: hyper::StatusCode) {
    let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
    let method = known.into_iter().find(|known| *known == method.as_str());
    let span = Span::current();
    span.record("http.request.method", method.unwrap_or("_OTHER"));
    span.record("http.response.status_code", status.as_u16());
}

/// Logs a refusal once, with the id that the caller is told.
pub(crate) fn refusal(call: &Call, error: &WireError) {
    let (name, message) = (error.hub_code_name, unquoted(&error.message));
    let reason = error.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    tracing::info!(
        tracking.id = call.tracking_id,
        error.code = error.code,
        actor = call.actor,
        protocol = call.protocol,
        "refused {}: {name}: {message}{reason}",
        call.tracking_id,
    );
    Span::current().record("error.code", error.code);
    diagnostics::refused(&call.tracking_id, error, &message);
}

/// The message without what it quotes.
///
/// A word that a rule did not expect is quoted, and it may be a key in the wrong place. The caller
/// is told it, the log is not.
fn unquoted(message: &str) -> String {
    let quotes = ['"', '`', '\''];
    match (message.find(quotes), message.rfind(quotes)) {
        (Some(first), Some(last)) if first < last => {
            let (before, after) = (message.get(..=first), message.get(last..));
            format!("{}…{}", before.unwrap_or_default(), after.unwrap_or_default())
        }
        (Some(first), _) => format!("{}…", message.get(..first).unwrap_or_default()),
        (None, _) => message.to_owned(),
    }
}

#[cfg(test)]
mod tests;
