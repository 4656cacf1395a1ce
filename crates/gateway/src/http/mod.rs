//! The HTTP driver: reads a request, finds the service that its host stands for, writes the reply.

mod access;
mod admin;
mod api;
mod bulk;
mod device;
mod hub;
mod load;
mod operator;
mod search;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use attestation::sas::SasToken;
use dialect::api_version::ApiVersion;
use dialect::rest::JSON;
use dialect::rest::error::{ApiFault, Missing, WireError};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use model::{HostName, limits};
use service::observe::Protocol;
use service::{Call, Endpoint};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::diagnostics::{self, Begun};
use crate::metrics::{Noted, Operation, Outcome};
use crate::mqtt_driver::{self, Transport};
use crate::peer::Peer;
use crate::websocket::{Handshake, WebSocket, asks_for_websocket};
use crate::{Gateway, faults};

use api::Api;

pub use admin::AdminRight;

/// How long a client may take over its request head.
const HEAD_TIMEOUT: Duration = limits::SIGN_IN_TIMEOUT;
/// How long a client may take over its request body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How much of a body that is too large is still read, for the client to see the answer.
const DISCARD_BYTES_MAX: usize = 4 * limits::SERVICE_BODY_BYTES_MAX;
/// How long a client may take over what is not wanted.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves the requests of one connection, and the WebSocket that it may become, to its end.
pub async fn serve<S>(
    gateway: Arc<Gateway>,
    stream: S,
    peer: Arc<Peer>,
    shutdown: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let upgrade = Mutex::new(None);
    serve_requests(&gateway, stream, &peer, &shutdown, &upgrade).await;
    let upgrade = match upgrade.into_inner() {
        Ok(upgrade) => upgrade,
        Err(poisoned) => poisoned.into_inner(),
    };
    if let Some(upgrade) = upgrade {
        serve_websocket(gateway, upgrade, peer, shutdown).await;
    }
}

async fn serve_requests<S>(
    gateway: &Arc<Gateway>,
    stream: S,
    peer: &Arc<Peer>,
    shutdown: &CancellationToken,
    upgrade: &Mutex<Option<OnUpgrade>>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let respond = |request: Request<Incoming>| async move {
        Ok::<_, Infallible>(answer(gateway, peer, request, upgrade).await)
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(limits::HTTP_HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service_fn(respond))
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer.address = %peer.address, %error, "HTTP connection ended");
    }
}

async fn serve_websocket(
    gateway: Arc<Gateway>,
    upgrade: OnUpgrade,
    peer: Arc<Peer>,
    shutdown: CancellationToken,
) {
    match upgrade.await {
        Ok(upgraded) => {
            let stream = WebSocket::over(TokioIo::new(upgraded)).await;
            mqtt_driver::serve(gateway, stream, peer, Transport::WebSocket, shutdown).await;
        }
        Err(error) => {
            tracing::debug!(peer.address = %peer.address, %error, "no WebSocket came of it");
        }
    }
}

/// A request; its body is there once its head was judged.
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) host: HostName,
    pub(crate) peer: Arc<Peer>,
    pub(crate) call: Call,
    pub(crate) noted: Arc<Noted>,
}

/// What is answered, before it is bytes.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(status: u16, body: Vec<u8>) -> Self {
        Self { status, headers: Vec::new(), body }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn with(mut self, headers: Vec<(&'static str, String)>) -> Self {
        self.headers.extend(headers);
        self
    }
}

impl Asked {
    /// Notes what class of call it is, once the route is read.
    pub(crate) fn note(&self, operation: Operation) {
        self.noted.note(operation);
    }

    /// The call by whose token was good, a policy or a bearer; what is logged of it from now on
    /// names them.
    pub(crate) fn signed_by(&self, name: &str) -> Call {
        self.noted.sign(name);
        diagnostics::policy(name);
        self.peer.standing.let_in();
        self.noted.signed(&self.call)
    }

    /// A header's value, if it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// A header's value; one that is not text is there all the same, and not none.
    pub(crate) fn text_header(&self, name: &'static str) -> Result<Option<&str>, ApiFault> {
        let value = self.headers.get(name).map(HeaderValue::to_str);
        value.transpose().map_err(|_| ApiFault::Header { name })
    }

    /// The `If-Match` header.
    pub(crate) fn if_match(&self) -> Result<Option<&str>, ApiFault> {
        self.text_header("If-Match")
    }

    /// The protocol version that the caller speaks.
    pub(crate) fn api_version(&self) -> Result<ApiVersion, ApiFault> {
        ApiVersion::of_query(Some(&self.query))
    }

    /// The token of the `Authorization` header.
    pub(crate) fn token(&self) -> Option<SasToken> {
        SasToken::parse(self.header(header::AUTHORIZATION.as_str())?).ok()
    }

    /// The host and path that a token must cover.
    pub(crate) fn resource(&self) -> String {
        format!("{}{}", self.host, self.path)
    }

    /// The body, which must be JSON by its media type; an empty one is none.
    pub(crate) fn json_body(&self) -> Result<&[u8], ApiFault> {
        let kind = self.header(header::CONTENT_TYPE.as_str());
        let is_json = kind.is_none_or(|kind| kind.to_ascii_lowercase().contains("json"));
        match self.body.is_empty() || is_json {
            true => Ok(&self.body),
            false => Err(ApiFault::UnsupportedMediaType),
        }
    }
}

/// Answers a request, and counts it.
async fn answer(
    gateway: &Arc<Gateway>,
    peer: &Arc<Peer>,
    request: Request<Incoming>,
    upgrade: &Mutex<Option<OnUpgrade>>,
) -> Response<Full<Bytes>> {
    let call = Call {
        actor: "unknown".to_owned(),
        tracking_id: gateway.service.tracking_id(),
        protocol: "https",
        from: Some(peer.address.ip()),
    };
    let begun = || {
        let text = |part: Option<&str>| part.unwrap_or_default().to_owned();
        let (method, uri) = (request.method().as_str(), request.uri());
        Begun {
            tracking_id: Some(call.tracking_id.clone()),
            protocol: call.protocol,
            caller: peer.address.ip(),
            http: Some((text(Some(method)), text(Some(uri.path())), text(uri.query()))),
        }
    };
    let begun = gateway.metrics.diagnostics().map(|_| begun());
    let counted = counted(gateway, peer, request, upgrade, &call);
    diagnostics::noted(gateway, begun, counted).await
}

async fn counted(
    gateway: &Arc<Gateway>,
    peer: &Arc<Peer>,
    request: Request<Incoming>,
    upgrade: &Mutex<Option<OnUpgrade>>,
    call: &Call,
) -> Response<Full<Bytes>> {
    let started = Instant::now();
    let noted = Arc::new(Noted::default());
    let span = crate::log::call(call);
    let method = request.method().clone();
    let answering = answered(gateway, peer, request, upgrade, call, &noted);
    let response = answering.instrument(span.clone()).await;
    let (outcome, took) = (Outcome::of(response.status().as_u16()), started.elapsed());
    span.in_scope(|| {
        crate::log::exchanged(&method, response.status());
        gateway.metrics.request(noted.operation(), Protocol::Https, outcome, took);
        tracing::debug!(http.status = response.status().as_u16(), ?took, "answered");
    });
    response
}

async fn answered(
    gateway: &Arc<Gateway>,
    peer: &Arc<Peer>,
    mut request: Request<Incoming>,
    upgrade: &Mutex<Option<OnUpgrade>>,
    call: &Call,
    noted: &Arc<Noted>,
) -> Response<Full<Bytes>> {
    if asks_for_websocket(request.headers()) {
        noted.note(Operation::WebSocket);
        return match Handshake::of(&request) {
            Ok(handshake) => {
                let pending = hyper::upgrade::on(&mut request);
                match upgrade.lock() {
                    Ok(mut upgrade) => *upgrade = Some(pending),
                    Err(poisoned) => *poisoned.into_inner() = Some(pending),
                }
                handshake.response()
            }
            Err(refusal) => refusal.response(),
        };
    }
    response(respond(gateway, peer, request, call, noted).await, call)
}

async fn respond(
    gateway: &Arc<Gateway>,
    peer: &Arc<Peer>,
    request: Request<Incoming>,
    call: &Call,
    noted: &Arc<Noted>,
) -> Reply {
    let (host, api) = match addressed(gateway, peer, &request) {
        Ok(addressed) => addressed,
        Err(error) => return refused(gateway, call, None, &error),
    };
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let asked = Asked {
        method: head.method.as_str().to_owned(),
        path: path.clone(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body: Bytes::new(),
        host,
        peer: Arc::clone(peer),
        call: call.clone(),
        noted: Arc::clone(noted),
    };
    api.note(gateway, &asked);
    let answer = match with_body(gateway, &api, asked, body).await {
        Ok(asked) => through(gateway, &api, asked).await,
        Err(error) => Err(error),
    };
    answer.unwrap_or_else(|error| {
        if error.refuses_caller() {
            peer.standing.refused();
        }
        let reply = refused(gateway, &noted.signed(call), Some(&api), &error);
        match error.refuses_method() {
            true => reply.with(vec![(header::ALLOW.as_str(), api.allowed(&path))]),
            false => reply,
        }
    })
}

/// The call with its body, which is not read for whom its head refuses.
async fn with_body(
    gateway: &Gateway,
    api: &Api,
    asked: Asked,
    body: Incoming,
) -> Result<Asked, WireError> {
    if body.is_end_stream() {
        return Ok(asked);
    }
    if let Err(error) = api.judge(gateway, &asked) {
        discard(body);
        return Err(error);
    }
    let body = read(body, api.body_bytes_max()).await.map_err(|fault| api.fault(&fault))?;
    Ok(Asked { body, ..asked })
}

/// Answers a call. One that may write goes on where its caller hangs up: what is committed is
/// followed by the end of the sessions that it denies.
async fn through(gateway: &Arc<Gateway>, api: &Api, asked: Asked) -> Result<Reply, WireError> {
    if asked.method == "GET" {
        return api.answer(gateway, asked).await;
    }
    let (gateway, own) = (Arc::clone(gateway), api.clone());
    let answering = async move { own.answer(&gateway, asked).await };
    let answering = diagnostics::carried(answering).in_current_span();
    match tokio::spawn(answering).await.map_err(JoinError::try_into_panic) {
        Ok(answer) => answer,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // The runtime is being shut down, and nobody hears of it.
        Err(Err(_)) => Ok(Reply::empty(StatusCode::SERVICE_UNAVAILABLE.as_u16())),
    }
}

/// The host that a request is for, and the API on it.
fn addressed(
    gateway: &Gateway,
    peer: &Peer,
    request: &Request<Incoming>,
) -> Result<(HostName, Api), WireError> {
    let host = host_of(request).ok_or_else(no_host)?;
    let endpoint = endpoint(gateway, peer, &host)?;
    Ok((host, Api::of(endpoint, request.uri().path())))
}

/// What the request is for; SNI and `Host` must agree (D-22).
fn endpoint(gateway: &Gateway, peer: &Peer, host: &HostName) -> Result<Endpoint, WireError> {
    let missing = || faults::dps(&ApiFault::NotFound(Missing::Path));
    let by_host = gateway.endpoint_of(Some(host.as_str())).ok_or_else(missing)?;
    match gateway.endpoint_of(peer.server_name.as_deref()) {
        Some(by_name) if by_name != by_host => Err(missing()),
        Some(_) | None => Ok(by_host),
    }
}

/// The host of an absolute target, or else of the one Host field: two are none, whichever they name
/// (RFC 9112 section 3.2).
fn host_of(request: &Request<Incoming>) -> Option<HostName> {
    let mut fields = request.headers().get_all(header::HOST).iter();
    let (field, second) = (fields.next(), fields.next());
    if second.is_some() {
        return None;
    }
    let text = match request.uri().host() {
        Some(host) => host,
        None => field?.to_str().ok()?,
    };
    HostName::parse_authority(text).ok()
}

fn no_host() -> WireError {
    faults::dps(&ApiFault::Header { name: "Host" })
}

async fn read(mut body: Incoming, bytes_max: usize) -> Result<Bytes, ApiFault> {
    // What is announced as too large is not waited for.
    if usize::try_from(body.size_hint().lower()).is_ok_and(|announced| announced > bytes_max) {
        discard(body);
        return Err(ApiFault::BodyTooLarge { bytes_max });
    }
    let read = Limited::new(&mut body, bytes_max).collect();
    match tokio::time::timeout(BODY_TIMEOUT, read).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            discard(body);
            Err(ApiFault::BodyTooLarge { bytes_max })
        }
        Ok(Err(error)) => Err(ApiFault::Malformed { because: error.to_string() }),
        Err(_) => Err(ApiFault::Malformed { because: "it did not come in time".to_owned() }),
    }
}

/// Reads on what is refused already, beside the answer: to close on bytes that are unread would
/// reset the connection, and the client might never see why (RFC 9112 section 9.6).
fn discard(body: Incoming) {
    let reading = async move {
        let mut rest = Limited::new(body, DISCARD_BYTES_MAX);
        while let Some(Ok(_)) = rest.frame().await {}
    };
    tokio::spawn(tokio::time::timeout(DISCARD_TIMEOUT, reading));
}

/// An error in the form that the API has.
fn refused(gateway: &Gateway, call: &Call, api: Option<&Api>, error: &WireError) -> Reply {
    crate::log_refusal(call, error);
    let (id, now) = (&call.tracking_id, gateway.service.now());
    match api {
        Some(Api::Hub(_)) => {
            Reply::json(error.status, error.hub_json(id, now)).with(error.hub_headers(id))
        }
        Some(Api::Operators(_) | Api::Loads(_) | Api::Devices(_) | Api::Admin) | None => {
            Reply::json(error.status, error.json(id, now)).with(error.headers(id))
        }
    }
}

fn response(reply: Reply, call: &Call) -> Response<Full<Bytes>> {
    let has_body = !reply.body.is_empty();
    let mut response = Response::new(Full::new(Bytes::from(reply.body)));
    if let Ok(status) = StatusCode::from_u16(reply.status) {
        *response.status_mut() = status;
    }
    let headers = response.headers_mut();
    if has_body {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    }
    let own = [("x-ms-request-id", call.tracking_id.clone())];
    for (name, value) in own.into_iter().chain(reply.headers) {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&value)) {
            headers.insert(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests;
