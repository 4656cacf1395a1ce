use std::sync::Mutex;

use model::{Etag, HostName, RegistrationId, Timestamp};
use provisioning::allocation::custom::Question;
use provisioning::enrollment::{
    CustomAllocation, Entry, Group, GroupAttestation, KeyPair, Settings, Stamp,
};
use provisioning::view::Evidence;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

const CHOICE: &str = r#"{"iotHubHostName": "hub1.localhost"}"#;

struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(1_790_000_000)
    }
}

/// A webhook that gives its answers in turn, the last one for ever; an empty one is never given.
struct Webhook {
    port: u16,
    roots: RootCertStore,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Webhook {
    async fn new(answers: &[String]) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (acceptor, answers) = (TlsAcceptor::from(Arc::new(config)), answers.to_vec());
        let noted = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut turn = 0;
            while let Ok((tcp, _)) = listener.accept().await {
                let Ok(mut tls) = acceptor.accept(tcp).await else { continue };
                let request = read(&mut tls).await;
                noted.lock().unwrap().push(request);
                let answer = &answers[turn.min(answers.len() - 1)];
                turn += 1;
                if answer.is_empty() {
                    std::future::pending::<()>().await;
                }
                let _ = tls.write_all(answer.as_bytes()).await;
                let _ = tls.shutdown().await;
            }
        });
        Self { port, roots, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn client(&self) -> Client {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        let trust = Trust {
            tls: Arc::new(tls),
            private_addresses: true,
            signing_keys: SigningKeys::default(),
        };
        Client::new(trust, Arc::new(Noon))
    }

    async fn ask(&self, client: &Client) -> Result<Answer, NoAnswer> {
        ask(client, &format!("https://localhost:{}/choose?code=s", self.port)).await
    }
}

/// A request with all of its announced body.
async fn read(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut text = String::new();
    let mut bytes = [0_u8; 4096];
    loop {
        let length = stream.read(&mut bytes).await.unwrap_or(0);
        text.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let announced = head.lines().find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok()
            });
            announced.unwrap_or(0) == body.len()
        });
        if whole || length == 0 {
            return text;
        }
    }
}

fn answer(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
}

async fn ask(client: &Client, url: &str) -> Result<Answer, NoAnswer> {
    let key = |seed| SymmetricKey::from_bytes(vec![seed; 32]).unwrap();
    let webhook =
        CustomAllocation { webhook_url: url.to_owned(), api_version: "2021-10-01".to_owned() };
    let created = Noon.now();
    let group = Group {
        id: model::EnrollmentGroupId::parse("g").unwrap(),
        attestation: GroupAttestation::SymmetricKey(KeyPair { primary: key(1), secondary: key(2) }),
        settings: Settings { custom_allocation: Some(webhook.clone()), ..Settings::default() },
        reprovision: None,
        stamp: Stamp { etag: Etag::new("e"), created, updated: created },
    };
    let entry = Entry::Group(&group);
    let question = Question {
        entry: entry.reference(),
        version: group.stamp.etag.clone(),
        webhook,
        current: None,
        linked_hubs: vec![HostName::parse("hub1.localhost").unwrap()],
        payload: None,
    };
    let registration_id = &RegistrationId::parse("dev-1").unwrap();
    let (operation_id, evidence) = ("5.op", &Evidence::None);
    let inquiry = Inquiry { question: &question, operation_id, registration_id, entry, evidence };
    client.ask(&inquiry).await
}

#[tokio::test]
async fn l_07_a_choice_is_heard() {
    let webhook = Webhook::new(&[answer(200, "", CHOICE)]).await;
    let chosen = webhook.ask(&webhook.client()).await.unwrap();
    assert_eq!(chosen.hub, "hub1.localhost");
    let asked = webhook.asked();
    let [asked] = asked.as_slice() else { panic!("asked {} times", asked.len()) };
    assert!(asked.starts_with("POST /choose?code=s HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains(r#""deviceRuntimeContext":{"registrationId":"dev-1"}"#), "{asked}");
    assert!(!asked.to_ascii_lowercase().contains("webhook-signature"), "{asked}");
}

#[tokio::test]
async fn requests_are_signed_as_standard_webhooks_says() {
    let webhook = Webhook::new(&[answer(200, "", CHOICE)]).await;
    let mut client = webhook.client();
    // The specification's own example key.
    let key = SymmetricKey::from_base64("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    client.trust.signing_keys.of_others.push(key.clone());
    webhook.ask(&client).await.unwrap();
    let asked = webhook.asked().remove(0);
    let (head, body) = asked.split_once("\r\n\r\n").unwrap();
    let signed = format!("5.op.1790000000.{body}");
    let expected = STANDARD.encode(key.sign(signed.as_bytes()));
    for line in [
        "webhook-id: 5.op",
        "webhook-timestamp: 1790000000",
        &format!("webhook-signature: v1,{expected}"),
    ] {
        assert!(head.lines().any(|found| found == line), "{line}\n{head}");
    }
}

#[tokio::test]
async fn two_receivers_have_two_secrets_and_each_may_have_a_next_one() {
    let key = |byte: u8| SymmetricKey::from_base64(&STANDARD.encode([byte; 32])).unwrap();
    let signed = async |keys: SigningKeys| {
        let webhook = Webhook::new(&[answer(200, "", CHOICE)]).await;
        let mut client = webhook.client();
        client.trust.signing_keys = keys;
        webhook.ask(&client).await.unwrap();
        let asked = webhook.asked().remove(0);
        let (head, body) = asked.split_once("\r\n\r\n").unwrap();
        let found = head.lines().find_map(|line| line.strip_prefix("webhook-signature: "));
        (found.unwrap_or_default().to_owned(), format!("5.op.1790000000.{body}"))
    };
    let mac = |byte, text: &str| format!("v1,{}", STANDARD.encode(key(byte).sign(text.as_bytes())));
    let own = |byte| ("LocalHost".to_owned(), key(byte));
    let other = ("other.test".to_owned(), key(9));
    let of_hosts = vec![own(1), other.clone(), own(2)];
    let (found, text) = signed(SigningKeys { of_hosts, of_others: vec![key(3)] }).await;
    assert_eq!(found, format!("{} {}", mac(1, &text), mac(2, &text)));
    let (found, text) =
        signed(SigningKeys { of_hosts: vec![other], of_others: vec![key(3)] }).await;
    assert_eq!(found, mac(3, &text));
}

#[tokio::test]
async fn w_09_what_may_pass_is_tried_again() {
    let answers = [answer(503, "", ""), answer(429, "", ""), answer(200, "", CHOICE)];
    let webhook = Webhook::new(&answers).await;
    assert!(webhook.ask(&webhook.client()).await.is_ok());
    assert_eq!(webhook.asked().len(), 3);
    let webhook = Webhook::new(&[answer(500, "", CHOICE)]).await;
    assert_eq!(webhook.ask(&webhook.client()).await.unwrap_err().status, Some(500));
    assert_eq!(webhook.asked().len(), 3);
    let webhook = Webhook::new(&[answer(404, "", CHOICE)]).await;
    assert_eq!(webhook.ask(&webhook.client()).await.unwrap_err().status, Some(404));
    assert_eq!(webhook.asked().len(), 1);
}

#[tokio::test]
async fn w_06_a_redirection_is_not_followed() {
    let elsewhere = Webhook::new(&[answer(200, "", CHOICE)]).await;
    let location = format!("Location: https://localhost:{}/\r\n", elsewhere.port);
    let webhook = Webhook::new(&[answer(307, &location, "")]).await;
    assert_eq!(webhook.ask(&webhook.client()).await.unwrap_err().status, Some(307));
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn w_06_garbage_and_floods_are_no_answers() {
    let large = format!("{{\"payload\": \"{}\"}}", "x".repeat(limits::WEBHOOK_ANSWER_BYTES_MAX));
    for text in ["220 mail ready\r\n".to_owned(), answer(200, "", &large), answer(200, "", "{")] {
        let webhook = Webhook::new(&[text]).await;
        assert!(webhook.ask(&webhook.client()).await.is_err());
    }
}

#[tokio::test]
async fn w_09_one_that_hangs_is_given_up() {
    let webhook = Webhook::new(&[String::new()]).await;
    let client = Client { patience: Duration::from_millis(300), ..webhook.client() };
    let refused = webhook.ask(&client).await.unwrap_err();
    assert!(refused.because.contains("no answer in"), "{refused:?}");
}

#[tokio::test]
async fn no_private_address_is_asked_unless_allowed() {
    let webhook = Webhook::new(&[answer(200, "", CHOICE)]).await;
    let mut client = webhook.client();
    client.trust.private_addresses = false;
    for host in ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1"] {
        let url = format!("https://{host}:{}/", webhook.port);
        let refused = ask(&client, &url).await.unwrap_err();
        assert!(refused.because.contains("no public address"), "{host}: {refused:?}");
    }
    assert!(webhook.asked().is_empty());
}

#[tokio::test]
async fn one_whose_certificate_is_not_trusted_is_not_asked() {
    let webhook = Webhook::new(&[answer(200, "", CHOICE)]).await;
    let stranger = Webhook::new(&[answer(200, "", CHOICE)]).await;
    let refused = webhook.ask(&stranger.client()).await.unwrap_err();
    assert!(refused.because.contains("no TLS with it"), "{refused:?}");
    assert!(webhook.asked().is_empty());
}

fn told() -> ::events::Event {
    let subscription = model::SubscriptionName::parse("ops").unwrap();
    let happened = ::events::Happened::Test { subscription: &subscription };
    ::events::Event {
        id: "e-1".to_owned(),
        event_type: happened.event_type(),
        source: happened.source(),
        subject: happened.subject(),
        time: Noon.now(),
        data: dialect::rest::event::data(&happened),
    }
}

fn endpoint(webhook: &Webhook) -> ::events::EndpointUrl {
    let url = format!("https://localhost:{}/events?code=s", webhook.port);
    ::events::EndpointUrl::parse(&url).unwrap()
}

#[tokio::test]
async fn an_event_is_sent_signed_in_structured_mode() {
    use ::events::schedule::Outcome;
    let webhook = Webhook::new(&[answer(204, "", "")]).await;
    let mut client = webhook.client();
    let key = SymmetricKey::from_base64("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    client.trust.signing_keys.of_others.push(key.clone());
    let sent = service::Announcer::send(&client, &endpoint(&webhook), &told()).await;
    assert_eq!(sent, Outcome::Taken);
    let asked = webhook.asked().remove(0);
    let (head, body) = asked.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /events?code=s HTTP/1.1\r\n"), "{head}");
    let expected = STANDARD.encode(key.sign(format!("e-1.1790000000.{body}").as_bytes()));
    for line in [
        "content-type: application/cloudevents+json; charset=utf-8",
        "webhook-request-origin: muster.localhost",
        "webhook-id: e-1",
        &format!("webhook-signature: v1,{expected}"),
    ] {
        assert!(head.lines().any(|found| found == line), "{line}\n{head}");
    }
    assert!(body.contains(r#""type":"Muster.Events.Test""#), "{body}");
}

#[tokio::test]
async fn an_event_is_tried_once_and_what_came_of_it_is_told() {
    use ::events::schedule::Outcome;
    let later = answer(503, "Retry-After: 120\r\n", "");
    let elsewhere = answer(307, "Location: https://localhost/\r\n", "");
    for (text, told_pause) in [(later, Some(120)), (elsewhere, None)] {
        let webhook = Webhook::new(&[text]).await;
        let sent = service::Announcer::send(&webhook.client(), &endpoint(&webhook), &told()).await;
        let Outcome::Failed { asked_pause, .. } = sent else { panic!("{sent:?}") };
        assert_eq!(asked_pause, told_pause.map(Duration::from_secs));
        assert_eq!(webhook.asked().len(), 1);
    }
    let webhook = Webhook::new(&[answer(204, "", "")]).await;
    let mut client = webhook.client();
    client.trust.private_addresses = false;
    let sent = service::Announcer::send(&client, &endpoint(&webhook), &told()).await;
    let Outcome::Failed { because, .. } = sent else { panic!("{sent:?}") };
    assert!(because.contains("no public address"), "{because}");
    assert!(webhook.asked().is_empty());
}

#[tokio::test]
async fn consent_is_asked_for_by_options() {
    let allows = answer(200, "WebHook-Allowed-Origin: *\r\n", "");
    let webhook = Webhook::new(&[allows, answer(200, "", "")]).await;
    let (client, endpoint) = (webhook.client(), endpoint(&webhook));
    assert_eq!(service::Announcer::consent(&client, &endpoint).await, Ok(()));
    let asked = webhook.asked().remove(0);
    assert!(asked.starts_with("OPTIONS /events?code=s HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("webhook-request-origin: muster.localhost\r\n"), "{asked}");
    assert!(service::Announcer::consent(&client, &endpoint).await.is_err());
}
