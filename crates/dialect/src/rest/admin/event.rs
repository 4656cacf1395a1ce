//! Event subscriptions and dead letters, under `event-subscriptions`.
//!
//! A subscription has the members of Event Grid's; the address of its receiver is shown without
//! its query, which may be a secret.

use events::schedule::{Outcome, RetryPolicy};
use events::subscription::Validation;
use events::{DeadReason, EndpointUrl, EventType, Filter, Queued, Subscription};
use model::{ServiceName, SubscriptionName, Timestamp, limits};
use serde::{Deserialize, Serialize};

use crate::json::{Object, read};
use crate::rest::error::{ApiFault, Missing};
use crate::rest::event::cloud_event;
use crate::rest::service::word;

const VALIDATIONS: &[&str] = &["none", "cloudEvents"];

/// Event subscriptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventRoute {
    /// `GET`
    List,
    /// `GET {subscription}`
    Get(SubscriptionName),
    /// `PUT {subscription}`
    Put(SubscriptionName),
    /// `DELETE {subscription}`
    Delete(SubscriptionName),
    /// `POST {subscription}/test`
    Test(SubscriptionName),
    /// `GET {subscription}/dead-letters`
    DeadLetters(SubscriptionName),
    /// `DELETE {subscription}/dead-letters`
    PurgeAll(SubscriptionName),
    /// `POST {subscription}/dead-letters/retry`
    RetryAll(SubscriptionName),
    /// `GET {subscription}/dead-letters/{number}`
    DeadLetter(SubscriptionName, u64),
    /// `DELETE {subscription}/dead-letters/{number}`
    Purge(SubscriptionName, u64),
    /// `POST {subscription}/dead-letters/{number}/retry`
    Retry(SubscriptionName, u64),
}

/// Reads a method and what follows `event-subscriptions`.
pub(super) fn route(method: &str, rest: &[&str]) -> Result<EventRoute, ApiFault> {
    let name = |text: &str| {
        SubscriptionName::parse(text)
            .map_err(|because| ApiFault::Id { of: "subscription", because })
    };
    let number = |text: &str| text.parse().map_err(|_| ApiFault::NotFound(Missing::DeadLetter));
    Ok(match (method, rest) {
        ("GET", []) => EventRoute::List,
        ("GET", [text]) => EventRoute::Get(name(text)?),
        ("PUT", [text]) => EventRoute::Put(name(text)?),
        ("DELETE", [text]) => EventRoute::Delete(name(text)?),
        ("POST", [text, "test"]) => EventRoute::Test(name(text)?),
        ("GET", [text, "dead-letters"]) => EventRoute::DeadLetters(name(text)?),
        ("DELETE", [text, "dead-letters"]) => EventRoute::PurgeAll(name(text)?),
        ("POST", [text, "dead-letters", "retry"]) => EventRoute::RetryAll(name(text)?),
        (_, [_, "dead-letters", "retry"]) => return Err(ApiFault::MethodNotAllowed),
        ("GET", [text, "dead-letters", id]) => EventRoute::DeadLetter(name(text)?, number(id)?),
        ("DELETE", [text, "dead-letters", id]) => EventRoute::Purge(name(text)?, number(id)?),
        ("POST", [text, "dead-letters", id, "retry"]) => {
            EventRoute::Retry(name(text)?, number(id)?)
        }
        (
            _,
            []
            | [_]
            | [_, "test" | "dead-letters"]
            | [_, "dead-letters", _]
            | [_, "dead-letters", _, "retry"],
        ) => return Err(ApiFault::MethodNotAllowed),
        (_, _) => return Err(ApiFault::NotFound(Missing::Path)),
    })
}

/// What is read or written of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionBody {
    /// Where events are sent to; none keeps the present address.
    pub endpoint: Option<EndpointUrl>,
    /// Whether the receiver is asked for its consent.
    pub validation: Validation,
    /// Which events.
    pub filter: Filter,
    /// How often, how long.
    pub retry: RetryPolicy,
}

#[derive(Deserialize)]
struct Body {
    properties: Object<PropertiesRead>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PropertiesRead {
    destination: Option<Object<DestinationRead>>,
    filter: Option<Object<FilterRead>>,
    retry_policy: Option<Object<RetryRead>>,
}

#[derive(Deserialize)]
struct DestinationRead {
    properties: Option<Object<EndpointRead>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EndpointRead {
    endpoint_url: Option<String>,
    validation: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FilterRead {
    included_event_types: Option<Vec<String>>,
    services: Option<Vec<String>>,
    subject_begins_with: Option<String>,
    subject_ends_with: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RetryRead {
    max_delivery_attempts: Option<u32>,
    event_time_to_live_in_minutes: Option<u32>,
}

/// Reads the body of `PUT event-subscriptions/{subscription}`.
///
/// # Errors
/// [`ApiFault`].
pub fn subscription_body(body: &[u8]) -> Result<SubscriptionBody, ApiFault> {
    let Body { properties: Object(PropertiesRead { destination, filter, retry_policy }) } =
        read(body)?;
    let endpoint = destination.and_then(|Object(read)| read.properties);
    let EndpointRead { endpoint_url, validation } =
        endpoint.map(|Object(read)| read).unwrap_or_default();
    let endpoint = endpoint_url.map(|text| {
        EndpointUrl::parse(&text).map_err(|_| {
            let rule = "destination.properties.endpointUrl is not an absolute https address with a \
                        host, and without a user or a fragment: correct it";
            ApiFault::Invalid(rule.to_owned())
        })
    });
    let values = [Validation::None, Validation::CloudEvents];
    let member = "destination.properties.validation";
    let validation = validation.map(|given| word(member, &given, VALIDATIONS, &values));
    Ok(SubscriptionBody {
        endpoint: endpoint.transpose()?,
        validation: validation.transpose()?.unwrap_or_default(),
        filter: filter_of(filter.map(|Object(read)| read).unwrap_or_default())?,
        retry: retry_of(&retry_policy.map(|Object(read)| read).unwrap_or_default())?,
    })
}

fn filter_of(read: FilterRead) -> Result<Filter, ApiFault> {
    let kind = |given: String| {
        EventType::parse(&given).ok_or_else(|| ApiFault::UnknownWord {
            member: "filter.includedEventTypes",
            given: given.chars().take(64).collect(),
            known: &EventType::NAMES,
        })
    };
    let service = |text: String| {
        ServiceName::parse(&text).map_err(|because| ApiFault::Id { of: "service", because })
    };
    let subject = |text: Option<String>| match text.unwrap_or_default() {
        text if text.len() <= limits::SUBJECT_FILTER_CHARS_MAX => Ok(text),
        _ => Err(ApiFault::Invalid(format!(
            "filter.subjectBeginsWith, filter.subjectEndsWith: at most {} characters",
            limits::SUBJECT_FILTER_CHARS_MAX
        ))),
    };
    let kinds = read.included_event_types.unwrap_or_default();
    let mut event_types = kinds.into_iter().map(kind).collect::<Result<Vec<_>, _>>()?;
    let mut seen = Vec::new();
    event_types.retain(|kind| {
        let is_new = !seen.contains(kind);
        seen.push(*kind);
        is_new
    });
    let services = read.services.unwrap_or_default();
    let mut services = services.into_iter().map(service).collect::<Result<Vec<_>, _>>()?;
    services.sort();
    services.dedup();
    Ok(Filter {
        event_types,
        services,
        subject_begins_with: subject(read.subject_begins_with)?,
        subject_ends_with: subject(read.subject_ends_with)?,
    })
}

fn retry_of(read: &RetryRead) -> Result<RetryPolicy, ApiFault> {
    let within = |member: &str, given: Option<u32>, max: u32| match given.unwrap_or(max) {
        number if (1..=max).contains(&number) => Ok(number),
        _ => Err(ApiFault::Invalid(format!("retryPolicy.{member}: a number from 1 to {max}"))),
    };
    let (tries, life) = (limits::EVENT_TRIES_MAX, limits::EVENT_LIFE_MINUTES_MAX);
    Ok(RetryPolicy {
        tries_max: within("maxDeliveryAttempts", read.max_delivery_attempts, tries)?,
        life_minutes: within("eventTimeToLiveInMinutes", read.event_time_to_live_in_minutes, life)?,
    })
}

/// A subscription as a resource.
#[derive(Serialize)]
pub struct SubscriptionJson<'a> {
    name: &'a str,
    etag: &'a str,
    properties: PropertiesJson<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PropertiesJson<'a> {
    destination: DestinationJson<'a>,
    filter: FilterJson<'a>,
    retry_policy: RetryJson,
    event_delivery_schema: &'static str,
    created: Timestamp,
    waiting: u64,
    dead_letters: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DestinationJson<'a> {
    endpoint_type: &'static str,
    properties: EndpointJson<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EndpointJson<'a> {
    endpoint_base_url: &'a str,
    validation: Validation,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FilterJson<'a> {
    included_event_types: &'a [EventType],
    services: &'a [ServiceName],
    subject_begins_with: &'a str,
    subject_ends_with: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RetryJson {
    max_delivery_attempts: u32,
    event_time_to_live_in_minutes: u32,
}

/// A subscription, with how many events wait for it and how many were given up.
pub fn subscription_json(
    subscription: &Subscription,
    waiting: u64,
    dead_letters: u64,
) -> SubscriptionJson<'_> {
    let Filter { event_types, services, subject_begins_with, subject_ends_with } =
        &subscription.filter;
    SubscriptionJson {
        name: subscription.name.as_str(),
        etag: subscription.etag.as_str(),
        properties: PropertiesJson {
            destination: DestinationJson {
                endpoint_type: "WebHook",
                properties: EndpointJson {
                    endpoint_base_url: subscription.endpoint.base(),
                    validation: subscription.validation,
                },
            },
            filter: FilterJson {
                included_event_types: event_types,
                services,
                subject_begins_with,
                subject_ends_with,
            },
            retry_policy: RetryJson {
                max_delivery_attempts: subscription.retry.tries_max,
                event_time_to_live_in_minutes: subscription.retry.life_minutes,
            },
            event_delivery_schema: "CloudEventSchemaV1_0",
            created: subscription.created,
            waiting,
            dead_letters,
        },
    }
}

/// A dead letter, its members named as in Event Grid's.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterJson<T> {
    id: String,
    dead_letter_reason: Option<DeadReason>,
    delivery_attempts: u32,
    last_delivery_outcome: Option<String>,
    last_delivery_attempt_time: Option<Timestamp>,
    publish_time: Timestamp,
    event: T,
}

/// A dead letter.
pub fn dead_letter_json(queued: &Queued) -> DeadLetterJson<impl Serialize + '_> {
    let Queued { number, delivery } = queued;
    DeadLetterJson {
        id: number.to_string(),
        dead_letter_reason: delivery.dead.map(|dead| dead.reason),
        delivery_attempts: delivery.tries,
        last_delivery_outcome: delivery.last.as_ref().map(|last| last.outcome.clone()),
        last_delivery_attempt_time: delivery.last.as_ref().map(|last| last.at),
        publish_time: delivery.since,
        event: cloud_event(&delivery.event),
    }
}

/// A page of dead letters, and behind which id more follow.
#[derive(Serialize)]
pub struct DeadLettersJson<T> {
    value: Vec<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A page of dead letters; a whole page may have another behind it.
pub fn dead_letters_json(rows: &[Queued]) -> DeadLettersJson<DeadLetterJson<impl Serialize + '_>> {
    let is_whole = rows.len() >= limits::DEAD_LETTERS_PAGE;
    let last = rows.last().filter(|_| is_whole);
    DeadLettersJson {
        value: rows.iter().map(dead_letter_json).collect(),
        next: last.map(|last| last.number.to_string()),
    }
}

/// The `after` of a query: the id behind which to go on.
///
/// # Errors
/// [`ApiFault::Invalid`] for what is no id.
pub fn dead_letter_after(query: &str) -> Result<u64, ApiFault> {
    let given = query.split('&').find_map(|pair| pair.strip_prefix("after="));
    given.map_or(Ok(0), |text| {
        let wrong = || ApiFault::Invalid("after: the id of a dead letter is a number".to_owned());
        text.parse().map_err(|_| wrong())
    })
}

/// How many dead letters were changed.
#[derive(Serialize)]
pub struct CountJson {
    /// So many.
    pub count: u64,
}

/// What came of a test.
#[derive(Serialize)]
pub struct TestJson {
    delivered: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
}

/// What came of a test.
pub fn test_json(outcome: Outcome) -> TestJson {
    match outcome {
        Outcome::Taken => TestJson { delivered: true, outcome: None },
        Outcome::Refused(because) | Outcome::Failed { because, .. } => {
            TestJson { delivered: false, outcome: Some(because) }
        }
    }
}
