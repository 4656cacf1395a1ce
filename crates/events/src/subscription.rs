//! Who wants to hear of what, and how often that is tried.

use std::fmt;

use model::{Etag, HostName, ServiceName, SubscriptionName, Timestamp, limits};
use serde::{Deserialize, Serialize};

use crate::schedule::RetryPolicy;
use crate::{Event, EventType, Source};

/// A receiver of events. Its members are those of Event Grid's event subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscription {
    /// Its name.
    pub name: SubscriptionName,
    /// Where events are sent to.
    pub endpoint: EndpointUrl,
    /// Whether the receiver was asked for its consent.
    pub validation: Validation,
    /// Which events.
    pub filter: Filter,
    /// How often, how long.
    pub retry: RetryPolicy,
    /// When it was made.
    pub created: Timestamp,
    /// Changes at every write.
    pub etag: Etag,
}

/// Whether a receiver is asked before events are sent to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Validation {
    /// It is not.
    #[default]
    None,
    /// It was asked by the `OPTIONS` of the CloudEvents HTTP 1.1 Web Hooks, section 4.
    CloudEvents,
}

/// An absolute https address; what may be a secret in it, its query, is not shown.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct EndpointUrl(String);

/// The text is no absolute https address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointUrlError;

impl EndpointUrl {
    /// Parses an address with a host, without a user or a fragment.
    ///
    /// # Errors
    /// [`EndpointUrlError`] for any other text.
    pub fn parse(text: &str) -> Result<Self, EndpointUrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(EndpointUrlError)?;
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let is_one = scheme.eq_ignore_ascii_case("https")
            && text.len() <= limits::ENDPOINT_URL_BYTES_MAX
            && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
            && HostName::parse_authority(authority).is_ok();
        is_one.then(|| Self(text.to_owned())).ok_or(EndpointUrlError)
    }

    /// The whole address; it may have a secret in it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address without its query.
    pub fn base(&self) -> &str {
        self.0.split('?').next().unwrap_or_default()
    }
}

impl fmt::Debug for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EndpointUrl({:?})", self.base())
    }
}

impl<'de> Deserialize<'de> for EndpointUrl {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(|_| serde::de::Error::custom("no absolute https address"))
    }
}

/// Which events a subscription wants; an empty member is no condition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Filter {
    /// Of these kinds alone.
    pub event_types: Vec<EventType>,
    /// Of these hubs and provisioning services alone.
    pub services: Vec<ServiceName>,
    /// Whose subject begins with this, in any case.
    pub subject_begins_with: String,
    /// Whose subject ends with this, in any case.
    pub subject_ends_with: String,
}

impl Filter {
    /// Whether events of this kind are wanted at all.
    pub fn wants(&self, kind: EventType) -> bool {
        self.event_types.is_empty() || self.event_types.contains(&kind)
    }

    /// Whether this event is wanted.
    pub fn chooses(&self, event: &Event) -> bool {
        let of_service = match &event.source {
            Source::Hub(name) | Source::Dps(name) => {
                self.services.is_empty() || self.services.contains(name)
            }
            Source::Server => self.services.is_empty(),
        };
        let subject = event.subject.to_ascii_lowercase();
        self.wants(event.event_type)
            && of_service
            && subject.starts_with(&self.subject_begins_with.to_ascii_lowercase())
            && subject.ends_with(&self.subject_ends_with.to_ascii_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        Event {
            id: "e".to_owned(),
            event_type: EventType::DeviceCreated,
            source: Source::Hub(ServiceName::parse("hub1").unwrap()),
            subject: "devices/Sensor-7".to_owned(),
            time: Timestamp::from_unix_seconds(0),
            data: serde_json::Value::Null,
        }
    }

    #[test]
    fn every_member_of_a_filter_is_a_condition() {
        let begins = |text: &str| Filter { subject_begins_with: text.into(), ..Filter::default() };
        let ends = |text: &str| Filter { subject_ends_with: text.into(), ..Filter::default() };
        let kinds = |kinds: &[EventType]| Filter { event_types: kinds.into(), ..Filter::default() };
        let of = |name: &str| Filter {
            services: vec![ServiceName::parse(name).unwrap()],
            ..Filter::default()
        };
        for (filter, expected) in [
            (Filter::default(), true),
            (kinds(&[EventType::DeviceCreated, EventType::DeviceDeleted]), true),
            (kinds(&[EventType::DeviceDeleted]), false),
            (of("hub1"), true),
            (of("hub2"), false),
            (begins("DEVICES/sensor"), true),
            (begins("registrations/"), false),
            (ends("-7"), true),
            (ends("-8"), false),
        ] {
            assert_eq!(filter.chooses(&event()), expected, "{filter:?}");
        }
    }

    #[test]
    fn an_address_is_https_with_a_host_and_hides_its_query() {
        let url = EndpointUrl::parse("https://ops.example:8443/hook?code=s3cret").unwrap();
        assert_eq!(url.base(), "https://ops.example:8443/hook");
        assert!(!format!("{url:?}").contains("s3cret"));
        for bad in [
            "http://ops.example/",
            "https:///hook",
            "https://",
            "ops.example",
            "https://ops.example/#a",
            "https://user:word@ops.example/",
            "https://ops.example/a b",
        ] {
            assert_eq!(EndpointUrl::parse(bad), Err(EndpointUrlError), "{bad}");
        }
    }
}
