//! Sends lifecycle events to their subscriptions, as the webhooks of allocation are asked: signed,
//! to addresses that are allowed, over TLS that is trusted, following no redirection.

use ::events::schedule::Outcome;
use ::events::{EndpointUrl, Event, Happened};
use async_trait::async_trait;
use dialect::rest::event::{self, ALLOWED_HEADER, CLOUD_EVENT, ORIGIN, ORIGIN_HEADER, RATE_HEADER};
use hyper::body::Bytes;
use hyper::http::response::Parts;
use hyper::{HeaderMap, Method, Uri, header};
use model::limits;
use serde_json::Value;
use service::Announcer;
use tokio::time::timeout;

use super::{Client, Miss, addressed, whole};

/// Events a minute that consent is asked for; a receiver that wants fewer answers 429.
const RATE: &str = "120";

impl Client {
    async fn told(&self, url: &Uri, event: &Event) -> Result<Parts, Miss> {
        let body = Bytes::from(event::structured(event));
        let mut request = self.post(url, CLOUD_EVENT, &event.id, &body)?;
        request.headers_mut().insert(ORIGIN_HEADER, header::HeaderValue::from_static(ORIGIN));
        self.tried(url, request).await.map(|(head, _)| head)
    }

    async fn asked_for_consent(&self, url: &Uri) -> Result<Parts, Miss> {
        let request = addressed(Method::OPTIONS, url)?
            .header(ORIGIN_HEADER, ORIGIN)
            .header(RATE_HEADER, RATE);
        self.tried(url, whole(request, Bytes::new())?).await.map(|(head, _)| head)
    }
}

#[async_trait]
impl Announcer for Client {
    fn data(&self, happened: &Happened<'_>) -> Value {
        event::data(happened)
    }

    async fn send(&self, endpoint: &EndpointUrl, event: &Event) -> Outcome {
        let answer = match url(endpoint) {
            Ok(url) => timeout(limits::EVENT_TIMEOUT, self.told(&url, event)).await,
            Err(because) => return failed(because),
        };
        match answer {
            Ok(Ok(head)) => {
                let retry_after = text(&head.headers, header::RETRY_AFTER.as_str());
                event::outcome(head.status.as_u16(), retry_after)
            }
            // What keeps one from being reached may be mended before the event is given up.
            Ok(Err(Miss::Final(because) | Miss::Passing(because))) => failed(because),
            Err(_) => failed(format!("it gave no answer in {:?}", limits::EVENT_TIMEOUT)),
        }
    }

    async fn consent(&self, endpoint: &EndpointUrl) -> Result<(), String> {
        let url = url(endpoint)?;
        match timeout(limits::WEBHOOK_TIMEOUT, self.asked_for_consent(&url)).await {
            Ok(Ok(head)) => {
                event::consent(head.status.as_u16(), text(&head.headers, ALLOWED_HEADER))
            }
            Ok(Err(Miss::Final(because) | Miss::Passing(because))) => Err(because),
            Err(_) => Err(format!("it gave no answer in {:?}", limits::WEBHOOK_TIMEOUT)),
        }
    }
}

fn url(endpoint: &EndpointUrl) -> Result<Uri, String> {
    endpoint.as_str().parse().map_err(|error| format!("its address is none: {error}"))
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn failed(because: String) -> Outcome {
    Outcome::Failed { because, asked_pause: None }
}
