//! One HTTPS request and its answer, apart from how they travel.

use std::path::PathBuf;

use async_trait::async_trait;

use crate::failure::Result;

/// Carries requests; the real one is [`crate::https::Https`], tests record.
#[async_trait]
pub(crate) trait Transport: Send + Sync {
    /// Sends one request and awaits the whole answer.
    async fn send(&self, target: &Target, request: &Request) -> Result<Reply>;
}

/// Whom to talk to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The service's host name: `Host`, SNI and the name on its certificate.
    pub(crate) host: String,
    /// Where to connect, when it is not the host: all services of one Muster share a listener.
    pub(crate) address: Option<String>,
    /// TCP port.
    pub(crate) port: u16,
    /// Whether `Host` carries the port.
    pub(crate) host_header: HostHeader,
    /// Which certification authorities are believed.
    pub(crate) trust: Trust,
    /// The device's certificate, where it proves itself by one.
    pub(crate) identity: Option<Identity>,
}

/// How the `Host` header is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostHeader {
    /// The name alone.
    Bare,
    /// Name and port, unless it is 443.
    WithPort,
}

/// Certification authorities that are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Those of one file, and no other.
    Only(PathBuf),
    /// Those of the system, and of a file beside.
    System {
        /// The server's own authority, where it is on this machine.
        also: Option<PathBuf>,
    },
}

/// A certificate and its key, both in PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The chain, leaf first.
    pub(crate) chain: PathBuf,
    /// The leaf's private key.
    pub(crate) key: PathBuf,
}

/// The methods that the commands use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// Reads.
    Get,
    /// Queries, and reads of secrets.
    Post,
    /// Creates and replaces.
    Put,
    /// Deletes.
    Delete,
}

impl Method {
    /// The word on the wire.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// A request, ready to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// What to do.
    pub(crate) method: Method,
    /// Path and query, percent-encoded.
    pub(crate) target: String,
    /// Names in lower case, and values.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// JSON text.
    pub(crate) body: Option<Vec<u8>>,
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// HTTP status.
    pub(crate) status: u16,
    /// Names in lower case, and values.
    pub(crate) headers: Vec<(String, String)>,
    /// The body, empty where there is none.
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// A header's value, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether the status says that it was done.
    pub(crate) const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }
}
