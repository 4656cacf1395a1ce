//! Event subscriptions and dead letters, for administrators.

use dialect::rest::admin::{self, CountJson, EventRoute};
use dialect::rest::error::{ApiFault, Missing, WireError};
use model::IfMatch;
use service::{ApiError, Call, SubscriptionDraft};

use super::super::{Asked, Reply};
use super::{list, one};
use crate::{Gateway, faults};

pub(super) async fn answer(
    gateway: &Gateway,
    call: &Call,
    route: EventRoute,
    asked: &Asked,
) -> Result<Reply, WireError> {
    let own = &gateway.service;
    let failed = |error: ApiError| faults::dps_api(&error, Missing::Subscription);
    let lost = |error: ApiError| faults::dps_api(&error, Missing::DeadLetter);
    let wrong = |fault: ApiFault| faults::dps(&fault);
    let count = |count| one(&CountJson { count });
    match route {
        EventRoute::List => {
            let all = own.subscriptions();
            let json = all
                .iter()
                .map(|(row, kept)| admin::subscription_json(&row.value, kept.waiting, kept.dead));
            Ok(list(json.collect::<Vec<_>>()))
        }
        EventRoute::Get(name) => {
            let (row, kept) = own.subscription(&name).map_err(failed)?;
            Ok(one(&admin::subscription_json(&row.value, kept.waiting, kept.dead)))
        }
        EventRoute::Put(name) => {
            let if_match = IfMatch::parse(asked.if_match().map_err(wrong)?);
            let body = admin::subscription_body(&asked.body).map_err(wrong)?;
            let admin::SubscriptionBody { endpoint, validation, filter, retry } = body;
            let draft =
                SubscriptionDraft { name: name.clone(), endpoint, validation, filter, retry };
            let put = own.put_subscription(call, &draft, &if_match).await.map_err(failed)?;
            let (_, kept) = own.subscription(&name).map_err(failed)?;
            Ok(one(&admin::subscription_json(&put, kept.waiting, kept.dead)))
        }
        EventRoute::Delete(name) => {
            let if_match = IfMatch::parse(asked.if_match().map_err(wrong)?);
            let deleted = own.delete_subscription(call, &name, &if_match).await;
            deleted.map_err(failed).map(|()| Reply::empty(204))
        }
        EventRoute::Test(name) => {
            let outcome = own.test_subscription(&name).await.map_err(failed)?;
            Ok(one(&admin::test_json(outcome)))
        }
        EventRoute::DeadLetters(name) => {
            let after = admin::dead_letter_after(&asked.query).map_err(wrong)?;
            let found = own.dead_letters(&name, after).await.map_err(failed)?;
            Ok(one(&admin::dead_letters_json(&found)))
        }
        EventRoute::DeadLetter(name, number) => {
            let found = own.dead_letter(&name, number).await.map_err(lost)?;
            Ok(one(&admin::dead_letter_json(&found)))
        }
        EventRoute::RetryAll(name) => {
            own.retry_dead_letters(call, &name, None).await.map_err(failed).map(count)
        }
        EventRoute::Retry(name, number) => {
            own.retry_dead_letters(call, &name, Some(number)).await.map_err(lost).map(count)
        }
        EventRoute::PurgeAll(name) => {
            own.purge_dead_letters(call, &name, None).await.map_err(failed).map(count)
        }
        EventRoute::Purge(name, number) => {
            own.purge_dead_letters(call, &name, Some(number)).await.map_err(lost).map(count)
        }
    }
}
