//! Paths of a hub's registry.

use model::DeviceId;

use crate::rest::error::{ApiFault, Missing};
use crate::rest::segments;

/// What an operator asks of a hub, by method and path (§2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `GET /devices`.
    ListDevices,
    /// `POST /devices/query`.
    QueryDevices,
    /// `POST /devices`.
    BulkDevices,
    /// `GET /statistics/devices`.
    DeviceStatistics,
    /// `GET /statistics/service`.
    ServiceStatistics,
    /// `GET /devices/{id}`.
    GetDevice(DeviceId),
    /// `PUT /devices/{id}`.
    PutDevice(DeviceId),
    /// `DELETE /devices/{id}`.
    DeleteDevice(DeviceId),
    /// `GET /twins/{id}`.
    GetTwin(DeviceId),
    /// `PATCH /twins/{id}`.
    PatchTwin(DeviceId),
    /// `PUT /twins/{id}`.
    PutTwin(DeviceId),
}

/// The method that is meant: Java's HTTP library has no PATCH, so that its twin client posts with
/// `X-HTTP-Method-Override`. No other method is taken from the header.
///
/// Source: azure-iot-service-sdk-java `transport/http/HttpRequest.java`.
pub fn method<'a>(sent: &'a str, override_header: Option<&str>) -> &'a str {
    match override_header {
        Some(meant) if sent == "POST" && meant.trim().eq_ignore_ascii_case("PATCH") => "PATCH",
        Some(_) | None => sent,
    }
}

/// Reads a method and a path; ids are decoded once.
///
/// # Errors
/// [`ApiFault::NotFound`] of [`Missing::Path`] for a path of another API,
/// [`ApiFault::MethodNotAllowed`], [`ApiFault::Id`].
pub fn route(method: &str, path: &str) -> Result<Route, ApiFault> {
    let segments = segments(path);
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    let Some((collection, rest)) = parts.split_first() else {
        return Err(ApiFault::NotFound(Missing::Path));
    };
    let id = |text: &str| {
        DeviceId::parse(text).map_err(|because| ApiFault::Id { of: "device", because })
    };
    match (collection.to_ascii_lowercase().as_str(), method, rest) {
        ("devices", "GET", []) => Ok(Route::ListDevices),
        ("devices", "POST", []) => Ok(Route::BulkDevices),
        ("devices", "POST", [word]) if word.eq_ignore_ascii_case("query") => {
            Ok(Route::QueryDevices)
        }
        ("devices", "GET", [text]) => id(text).map(Route::GetDevice),
        ("devices", "PUT", [text]) => id(text).map(Route::PutDevice),
        ("devices", "DELETE", [text]) => id(text).map(Route::DeleteDevice),
        ("twins", "GET", [text]) => id(text).map(Route::GetTwin),
        ("twins", "PATCH", [text]) => id(text).map(Route::PatchTwin),
        ("twins", "PUT", [text]) => id(text).map(Route::PutTwin),
        ("statistics", "GET", [word]) if word.eq_ignore_ascii_case("devices") => {
            Ok(Route::DeviceStatistics)
        }
        ("statistics", "GET", [word]) if word.eq_ignore_ascii_case("service") => {
            Ok(Route::ServiceStatistics)
        }
        ("devices", _, [] | [_]) | ("twins", _, [_]) => Err(ApiFault::MethodNotAllowed),
        ("statistics", _, [word])
            if word.eq_ignore_ascii_case("devices") || word.eq_ignore_ascii_case("service") =>
        {
            Err(ApiFault::MethodNotAllowed)
        }
        (_, _, _) => Err(ApiFault::NotFound(Missing::Path)),
    }
}
