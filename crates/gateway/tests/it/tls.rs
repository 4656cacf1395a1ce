//! The server's side of TLS: its certificates, ALPN, and that it remembers nothing.

use gateway::tls::CertifiedPair;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{CipherSuite, HandshakeKind, SignatureScheme, SupportedProtocolVersion};

use crate::certificates::Identity;
use crate::world::{ADMIN_HOST, BOTH, Client, KNOWN_HOST, Port, Server, Setup, TLS_1_2, TLS_1_3};

const RSA_ONLY: [SignatureScheme; 3] = [
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PKCS1_SHA256,
    SignatureScheme::RSA_PKCS1_SHA384,
];

fn https() -> Setup {
    Setup { port: Port::Https, ..Setup::default() }
}

#[tokio::test]
async fn no_session_is_resumed() {
    let identity = Identity::of_kind(&rcgen::PKCS_ECDSA_P256_SHA256);
    for (version, port) in [
        (TLS_1_2, Port::Mqtt),
        (TLS_1_3, Port::Mqtt),
        (TLS_1_2, Port::Https),
        (TLS_1_3, Port::Https),
    ] {
        for host in [KNOWN_HOST, ADMIN_HOST] {
            let (server, mut peers) = Server::greeting(Setup { port, ..Setup::default() });
            // One configuration, so that the client has what it may have been given.
            let client = Client::new(version, Some(&identity)).asking_for(host);
            for _ in 0..3 {
                let seen = client.greet(&server).await.unwrap();
                assert_eq!(seen.kind, HandshakeKind::Full);
                assert_eq!(seen.tickets, 0);
                peers.recv().await.unwrap();
            }
        }
    }
}

/// The server shows this certificate of the pair.
async fn check_shown(
    client: Client,
    name: Option<&str>,
    shown: fn(&Server) -> &CertifiedPair,
    is_rsa: bool,
) {
    let (server, mut peers) = Server::greeting(Setup::default());
    let seen = client.greet(&server).await.unwrap();
    let pair = shown(&server);
    let expected = if is_rsa { &pair.rsa } else { &pair.ecdsa }.as_ref().unwrap();
    assert_eq!(seen.server_chain, expected.cert);
    assert_eq!(peers.recv().await.unwrap().server_name.as_deref(), name);
}

#[tokio::test]
async fn a_known_host_shows_its_own_certificate() {
    for version in BOTH {
        let client = Client::new(version, None);
        check_shown(client, Some(KNOWN_HOST), |server| &server.certificates.known, false).await;
    }
}

#[tokio::test]
async fn an_unknown_host_shows_the_default_certificate() {
    for version in BOTH {
        let client = Client::new(version, None).asking_for("gateway.example");
        let name = Some("gateway.example");
        check_shown(client, name, |server| &server.certificates.default, false).await;
    }
}

#[tokio::test]
async fn a_client_that_names_no_host_is_shown_the_default_certificate() {
    for version in BOTH {
        // For an address, no server name is sent.
        let client = Client::new(version, None).asking_for("127.0.0.1");
        check_shown(client, None, |server| &server.certificates.default, false).await;
    }
}

#[tokio::test]
async fn a_client_that_knows_only_rsa_is_shown_the_rsa_certificate() {
    for version in BOTH {
        let client =
            Client::restricted(aws_lc_rs::default_provider(), RSA_ONLY.to_vec(), version, None);
        check_shown(client, Some(KNOWN_HOST), |server| &server.certificates.known, true).await;
    }
}

#[tokio::test]
async fn a_tls_1_2_client_without_an_ecdsa_suite_is_shown_the_rsa_certificate() {
    let only = CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256;
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.retain(|suite| suite.suite() == only);
    let client = with_every_scheme(provider, TLS_1_2);
    check_shown(client, Some(KNOWN_HOST), |server| &server.certificates.known, true).await;
}

fn with_every_scheme(
    provider: CryptoProvider,
    version: &'static SupportedProtocolVersion,
) -> Client {
    let schemes = provider.signature_verification_algorithms.supported_schemes();
    assert!(schemes.contains(&SignatureScheme::ECDSA_NISTP256_SHA256));
    Client::restricted(provider, schemes, version, None)
}

#[tokio::test]
async fn the_admin_host_asks_for_no_certificate() {
    let identity = Identity::of_kind(&rcgen::PKCS_ECDSA_P256_SHA256);
    for version in BOTH {
        for (host, asked) in [(ADMIN_HOST, 0), (KNOWN_HOST, 1)] {
            let (server, mut peers) = Server::greeting(https());
            let client = Client::new(version, Some(&identity)).asking_for(host);
            client.greet(&server).await.unwrap();
            assert_eq!(client.asked().len(), asked, "{host}");
            assert_eq!(peers.recv().await.unwrap().chain.len(), asked, "{host}");
        }
    }
}

/// What the port agrees on when a client offers these protocols; `Err` for no connection.
async fn check_alpn(port: Port, offered: &[&str], agreed: Result<Option<&str>, ()>) {
    for version in BOTH {
        let (server, _peers) = Server::greeting(Setup { port, ..Setup::default() });
        let seen = Client::new(version, None).offering(offered).greet(&server).await;
        let seen = seen.map(|seen| seen.alpn.map(|name| String::from_utf8(name).unwrap()));
        let seen = seen.map_err(|_| ());
        assert_eq!(seen, agreed.map(|name| name.map(str::to_owned)), "{offered:?}");
    }
}

#[tokio::test]
async fn https_agrees_on_http_1_1_with_those_who_ask() {
    check_alpn(Port::Https, &[], Ok(None)).await;
    check_alpn(Port::Https, &["http/1.1"], Ok(Some("http/1.1"))).await;
    check_alpn(Port::Https, &["h2", "http/1.1"], Ok(Some("http/1.1"))).await;
    check_alpn(Port::Https, &["h2"], Err(())).await;
}

#[tokio::test]
async fn mqtt_agrees_on_no_protocol() {
    check_alpn(Port::Mqtt, &[], Ok(None)).await;
    check_alpn(Port::Mqtt, &["mqtt", "h2"], Ok(None)).await;
}
