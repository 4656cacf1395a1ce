//! `muster event`: who hears of what happens, and what did not reach them.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::common::{Yes, confirm};
use crate::Session;
use crate::failure::{Failure, Result};
use crate::locate::{Admin, values};
use crate::output::{Column, at, column};
use crate::service::{Call, segment};

const SUBSCRIPTIONS: &[Column] = &[
    column!("Subscription", "name"),
    column!("Endpoint", "properties"."destination"."properties"."endpointBaseUrl"),
    column!("Waiting", "properties"."waiting"),
    column!("Dead letters", "properties"."deadLetters"),
];

const DEAD_LETTERS: &[Column] = &[
    column!("Id", "id"),
    column!("Type", "event"."type"),
    column!("Subject", "event"."subject"),
    column!("Time", "event"."time"),
    column!("Tries", "deliveryAttempts"),
    column!("Reason", "deadLetterReason"),
    column!("Last outcome", "lastDeliveryOutcome"),
];

/// Lifecycle events: who hears of them, what did not arrive.
#[derive(Debug, Args)]
pub struct Event {
    #[command(subcommand)]
    noun: Noun,
}

#[derive(Debug, Subcommand)]
enum Noun {
    /// Receivers of events.
    Subscription {
        #[command(subcommand)]
        verb: SubscriptionVerb,
    },
    /// Events that were given up.
    DeadLetter {
        #[command(subcommand)]
        verb: DeadLetterVerb,
    },
}

#[derive(Debug, Subcommand)]
enum SubscriptionVerb {
    /// Send events to a webhook from now on.
    Create(Box<Create>),
    /// List the subscriptions.
    List {
        #[command(flatten)]
        login: Login,
    },
    /// Show a subscription.
    Show {
        #[command(flatten)]
        of: Named,
    },
    /// Remove a subscription with all that waits for it.
    Delete {
        #[command(flatten)]
        of: Named,
        #[command(flatten)]
        yes: Yes,
    },
    /// Send it a test event, once and now.
    Test {
        #[command(flatten)]
        of: Named,
    },
}

#[derive(Debug, Subcommand)]
enum DeadLetterVerb {
    /// List the events that were given up, oldest first.
    List {
        #[command(flatten)]
        of: Of,
    },
    /// Show one with all that it was to tell.
    Show {
        #[command(flatten)]
        of: Of,
        /// Its id.
        #[arg(long, value_name = "ID")]
        id: u64,
    },
    /// Try them from the beginning: one, or all.
    Retry {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        which: Which,
    },
    /// Remove them for good: one, or all.
    Purge {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        yes: Yes,
    },
}

#[derive(Debug, Args)]
struct Login {
    /// Connection string of the server's administration; else admin.json is read.
    #[arg(long, short = 'l', value_name = "CONNECTION_STRING")]
    login: Option<String>,
}

#[derive(Debug, Args)]
struct Named {
    /// The subscription's name.
    #[arg(long, short = 'n', value_name = "NAME")]
    name: String,
    #[command(flatten)]
    login: Login,
}

#[derive(Debug, Args)]
struct Of {
    /// The subscription's name.
    #[arg(long, visible_alias = "sn", value_name = "NAME")]
    subscription_name: String,
    #[command(flatten)]
    login: Login,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The one of this id.
    #[arg(long, value_name = "ID")]
    id: Option<u64>,
    /// All of them.
    #[arg(long)]
    all: bool,
}

/// Whether a receiver is asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Validation {
    /// It is not.
    None,
    /// By the OPTIONS of CloudEvents.
    #[value(name = "cloudEvents", alias = "cloudevents")]
    CloudEvents,
}

#[derive(Debug, Args)]
struct Create {
    /// The subscription's name: 3 to 64 letters, digits and dashes.
    #[arg(long, short = 'n', value_name = "NAME")]
    name: String,
    /// Where events are sent to.
    #[arg(long, value_name = "HTTPS_URL")]
    endpoint: String,
    /// Whether the receiver is asked by OPTIONS whether it wants events.
    #[arg(long, value_enum, default_value_t = Validation::None, ignore_case = true)]
    validation: Validation,
    /// Types of events, such as `Microsoft.Devices.DeviceCreated`; all where none is given.
    #[arg(long, num_args = 1.., value_name = "TYPE")]
    included_event_types: Vec<String>,
    /// Hubs and provisioning services; all where none is given.
    #[arg(long, num_args = 1.., value_name = "NAME")]
    services: Vec<String>,
    /// What the subject must begin with, such as `devices/`.
    #[arg(long, value_name = "TEXT")]
    subject_begins_with: Option<String>,
    /// What the subject must end with.
    #[arg(long, value_name = "TEXT")]
    subject_ends_with: Option<String>,
    /// Tries until an event is given up, 1 to 30.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=30))]
    max_delivery_attempts: Option<u32>,
    /// Minutes until an event is given up, 1 to 1440.
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u32).range(1..=1440))]
    event_ttl: Option<u32>,
    #[command(flatten)]
    login: Login,
}

impl Event {
    pub(crate) async fn run(self, session: &mut Session) -> Result {
        match self.noun {
            Noun::Subscription { verb } => verb.run(session).await,
            Noun::DeadLetter { verb } => verb.run(session).await,
        }
    }
}

impl SubscriptionVerb {
    async fn run(self, session: &mut Session) -> Result {
        match self {
            Self::Create(create) => {
                let admin = create.login.find(session)?;
                let doing = format!("create event subscription '{}'", create.name);
                let call = Call::put(path(&create.name), create.body(), doing);
                let made = admin.service.call(call).await?;
                session.output.thing(&made, &["name"])
            }
            Self::List { login } => {
                let call = Call::get(ROOT.to_owned(), "list the event subscriptions");
                let found = values(login.find(session)?.service.call(call).await?);
                session.output.list(SUBSCRIPTIONS, &found)
            }
            Self::Show { of } => {
                let doing = format!("show event subscription '{}'", of.name);
                let call = Call::get(path(&of.name), doing);
                let found = of.login.find(session)?.service.call(call).await.map_err(missing)?;
                session.output.thing(&found, &["name"])
            }
            Self::Delete { of, yes } => {
                let name = &of.name;
                let admin = of.login.find(session)?;
                confirm(&format!("Delete '{name}' and all events that wait for it?"), yes)?;
                let call = Call::delete(path(name), format!("delete event subscription '{name}'"));
                admin.service.call(call).await.map_err(missing).map(drop)
            }
            Self::Test { of } => {
                let path = format!("{}/test", path(&of.name));
                let call = Call::post(path, format!("test event subscription '{}'", of.name));
                let came = of.login.find(session)?.service.call(call).await.map_err(missing)?;
                if at(&came, &["delivered"]).as_bool() == Some(true) {
                    return session.output.thing(&came, &["delivered"]);
                }
                let because = at(&came, &["outcome"]).as_str().unwrap_or("nobody knows why");
                Err(Failure::new(format!("the test event did not reach '{}': {because}", of.name)))
            }
        }
    }
}

impl DeadLetterVerb {
    async fn run(self, session: &mut Session) -> Result {
        match self {
            Self::List { of } => {
                let (admin, path) = of.find(session)?;
                let mut found = Vec::new();
                let mut after: Option<String> = None;
                loop {
                    let page = match &after {
                        Some(after) => format!("{path}?after={after}"),
                        None => path.clone(),
                    };
                    let call = Call::get(page, of.doing("list"));
                    let answer = admin.service.call(call).await.map_err(missing)?;
                    after = at(&answer, &["next"]).as_str().map(str::to_owned);
                    found.extend(values(answer));
                    if after.is_none() {
                        return session.output.list(DEAD_LETTERS, &found);
                    }
                }
            }
            Self::Show { of, id } => {
                let (admin, path) = of.find(session)?;
                let call = Call::get(format!("{path}/{id}"), of.doing("show"));
                let found = admin.service.call(call).await.map_err(lost)?;
                session.output.thing(&found, &["id"])
            }
            Self::Retry { of, which } => {
                let (admin, path) = of.find(session)?;
                let call = Call::post(format!("{}/retry", which.path(&path)), of.doing("retry"));
                let done = admin.service.call(call).await.map_err(lost)?;
                session.output.thing(&done, &["count"])
            }
            Self::Purge { of, which, yes } => {
                let (admin, path) = of.find(session)?;
                let name = &of.subscription_name;
                confirm(&format!("Remove dead letters of '{name}' for good?"), yes)?;
                let call = Call::delete(which.path(&path), of.doing("purge"));
                let done = admin.service.call(call).await.map_err(lost)?;
                session.output.thing(&done, &["count"])
            }
        }
    }
}

impl Login {
    fn find(&self, session: &mut Session) -> Result<Admin> {
        Admin::find(session, self.login.as_deref())
    }
}

impl Of {
    fn find(&self, session: &mut Session) -> Result<(Admin, String)> {
        let path = format!("{}/dead-letters", path(&self.subscription_name));
        Ok((self.login.find(session)?, path))
    }

    fn doing(&self, verb: &str) -> String {
        format!("{verb} dead letters of '{}'", self.subscription_name)
    }
}

impl Which {
    fn path(&self, path: &str) -> String {
        self.id.map_or_else(|| path.to_owned(), |id| format!("{path}/{id}"))
    }
}

impl Create {
    fn body(&self) -> Value {
        let validation = match self.validation {
            Validation::None => "none",
            Validation::CloudEvents => "cloudEvents",
        };
        let mut retry = Map::new();
        for (member, given) in [
            ("maxDeliveryAttempts", self.max_delivery_attempts),
            ("eventTimeToLiveInMinutes", self.event_ttl),
        ] {
            if let Some(number) = given {
                retry.insert(member.to_owned(), number.into());
            }
        }
        json!({"properties": {
            "destination": {
                "endpointType": "WebHook",
                "properties": { "endpointUrl": self.endpoint, "validation": validation },
            },
            "filter": {
                "includedEventTypes": self.included_event_types,
                "services": self.services,
                "subjectBeginsWith": self.subject_begins_with,
                "subjectEndsWith": self.subject_ends_with,
            },
            "retryPolicy": retry,
        }})
    }
}

const ROOT: &str = "/muster/v1/event-subscriptions";

fn path(name: &str) -> String {
    format!("{ROOT}/{}", segment(name))
}

fn missing(failure: Failure) -> Failure {
    failure.hint_not_found("`muster event subscription list` shows the subscriptions")
}

fn lost(failure: Failure) -> Failure {
    failure.hint_not_found("`muster event dead-letter list` shows what was given up")
}
