//! A small blocking HTTPS client for the service APIs, signing with shared access signatures.

use crate::sas::{escape, in_seconds, sas_token};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a token is good for, in seconds.
const TOKEN_LIFE: i64 = 600;
/// How long the server may be silent.
const SILENCE: Duration = Duration::from_secs(30);

/// A service API of one host, by connection string. Each call is a connection of its own.
#[derive(Debug, Clone)]
pub struct Rest {
    host: String,
    policy: String,
    key: String,
    api_version: &'static str,
    connection_string: String,
    tls: Arc<ClientConfig>,
}

/// What the server answered.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, `Null` when there is none.
    pub body: Value,
    asked: String,
}

impl Rest {
    /// # Panics
    ///
    /// When the connection string lacks a part, or `ca` isn't a PEM file.
    pub fn new(connection_string: &str, ca: &Path, api_version: &'static str) -> Self {
        let part = |name: &str| {
            connection_string
                .split(';')
                .find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
                .unwrap_or_else(|| panic!("no {name} in the connection string"))
                .to_owned()
        };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca).unwrap() {
            roots.add(certificate.unwrap()).unwrap();
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            host: part("HostName"),
            policy: part("SharedAccessKeyName"),
            key: part("SharedAccessKey"),
            api_version,
            connection_string: connection_string.to_owned(),
            tls: Arc::new(tls),
        }
    }

    /// The string that this was made from, for SDK clients.
    pub fn connection_string(&self) -> &str {
        &self.connection_string
    }

    /// The host, the policy's name and its key.
    pub fn owner(&self) -> (&str, &str, &str) {
        (&self.host, &self.policy, &self.key)
    }

    pub fn get(&self, path: &str) -> Reply {
        self.call("GET", path, &[], None)
    }

    pub fn put(&self, path: &str, body: &Value) -> Reply {
        self.call("PUT", path, &[], Some(body))
    }

    pub fn put_if_match(&self, path: &str, etag: &str, body: &Value) -> Reply {
        self.call("PUT", path, &[("If-Match", etag)], Some(body))
    }

    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.call("POST", path, &[], Some(body))
    }

    pub fn delete(&self, path: &str) -> Reply {
        self.call("DELETE", path, &[], None)
    }

    pub fn delete_if_match(&self, path: &str, etag: &str) -> Reply {
        self.call("DELETE", path, &[("If-Match", etag)], None)
    }

    /// One request, signed; `path` without the api-version.
    ///
    /// # Panics
    ///
    /// When no whole answer arrives.
    pub fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Reply {
        let body = body.map(Value::to_string).unwrap_or_default();
        let joint = if path.contains('?') { '&' } else { '?' };
        let target = format!("{path}{joint}api-version={}", self.api_version);
        let mut request = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nAuthorization: {}\r\n\
             Accept: application/json\r\nConnection: close\r\nContent-Length: {}\r\n",
            self.host,
            self.token(),
            body.len()
        );
        if !body.is_empty() {
            request.push_str("Content-Type: application/json; charset=utf-8\r\n");
        }
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        request.push_str(&body);
        let mut reply = read(&mut self.send(&request)).unwrap();
        reply.asked = format!("{method} https://{}{target}", self.host);
        println!("{}: {} {}", reply.asked, reply.status, reply.body);
        reply
    }

    fn send(&self, request: &str) -> impl BufRead + use<> {
        let name = ServerName::try_from(self.host.clone()).unwrap();
        let tls = ClientConnection::new(Arc::clone(&self.tls), name).unwrap();
        let tcp = TcpStream::connect((self.host.as_str(), 443)).unwrap();
        tcp.set_read_timeout(Some(SILENCE)).unwrap();
        let mut stream = StreamOwned::new(tls, tcp);
        stream.write_all(request.as_bytes()).unwrap();
        stream.flush().unwrap();
        BufReader::new(stream)
    }

    fn token(&self) -> String {
        sas_token(&escape(&self.host), &self.key, in_seconds(TOKEN_LIFE), Some(&self.policy))
    }
}

impl Reply {
    /// The body of an answer that must have this status.
    ///
    /// # Panics
    ///
    /// When it has another.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.body);
        self.body
    }

    /// A header's value; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Reads one answer.
pub(crate) fn read(from: &mut impl BufRead) -> io::Result<Reply> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let status = line(from)?;
    let status = status.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| bad("not HTTP"))?;
    let mut reply = Reply { status, headers: Vec::new(), body: Value::Null, asked: String::new() };
    loop {
        let field = line(from)?;
        let Some((name, value)) = field.split_once(':') else { break };
        reply.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let body = match (reply.header("content-length"), reply.header("transfer-encoding")) {
        (Some(length), _) => exactly(from, length.parse().map_err(|_| bad("no length"))?)?,
        (None, Some("chunked")) => chunks(from)?,
        (None, _) => Vec::new(),
    };
    if !body.is_empty() {
        reply.body = serde_json::from_slice(&body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned()));
    }
    Ok(reply)
}

fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    match from.read_line(&mut line)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(line.trim_end().to_owned()),
    }
}

fn exactly(from: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn chunks(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let length = usize::from_str_radix(&line(from)?, 16)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        bytes.extend(exactly(from, length)?);
        line(from)?;
        if length == 0 {
            return Ok(bytes);
        }
    }
}
