//! Where monitoring systems ask.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

use serde::{Serialize, Serializer};

/// The word that switches monitoring off.
const OFF: &str = "off";
/// Where it is when nobody says: loopback, by a port that no other program is known for.
const DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);

/// Where monitoring systems ask: an address and port of plain HTTP, or nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// The default: another program may have it, and then there is none.
    Default,
    /// The one that was asked for.
    Asked(SocketAddr),
    /// Nowhere.
    Off,
}

impl Address {
    /// Reads what was set, if anything was.
    ///
    /// # Errors
    /// What is wrong and how to write it.
    pub(crate) fn read(text: Option<&str>) -> Result<Self, String> {
        match text {
            None => Ok(Self::Default),
            Some(OFF) => Ok(Self::Off),
            Some(text) => text.parse().map(Self::Asked).map_err(|_| {
                format!(
                    "monitoring.address: {text:?} is neither \"off\" nor an IP address and a port \
                     such as 127.0.0.1:9464 or [::1]:9464"
                )
            }),
        }
    }

    /// The address, unless it is off.
    pub(crate) const fn socket(self) -> Option<SocketAddr> {
        match self {
            Self::Default => Some(DEFAULT),
            Self::Asked(address) => Some(address),
            Self::Off => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.socket() {
            Some(address) => write!(f, "{address}"),
            None => f.write_str(OFF),
        }
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What is wrong with an endpoint for traces.
pub(crate) fn otlp_fault(endpoint: &str) -> Option<String> {
    if !cfg!(feature = "otel") {
        return Some(
            "monitoring.otlp_endpoint: this muster was built without traces; build it with \
             `cargo build --release --features otel`, or leave the key away"
                .to_owned(),
        );
    }
    let host = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"));
    match host {
        Some(host) if !host.is_empty() && !host.starts_with('/') => None,
        Some(_) | None => Some(format!(
            "monitoring.otlp_endpoint: {endpoint:?} is not the URL of a collector such as \
             http://127.0.0.1:4318"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_loopback_and_may_be_switched_off() {
        assert!(Address::Default.socket().unwrap().ip().is_loopback());
        assert_eq!(Address::read(None), Ok(Address::Default));
        assert_eq!(Address::read(Some("off")), Ok(Address::Off));
        assert_eq!(Address::Default.to_string(), "127.0.0.1:9464");
    }

    #[test]
    fn an_address_needs_its_port() {
        let asked = Address::read(Some("[::1]:0")).unwrap();
        assert_eq!(asked, Address::Asked("[::1]:0".parse().unwrap()));
        for text in ["", "9464", "127.0.0.1", "localhost:9464", "OFF", "127.0.0.1:99999"] {
            let because = Address::read(Some(text)).unwrap_err();
            assert!(because.starts_with("monitoring.address: "), "{because}");
        }
    }

    #[test]
    fn traces_need_their_feature_and_a_url() {
        let good = otlp_fault("http://127.0.0.1:4318");
        if cfg!(feature = "otel") {
            assert_eq!(good, None);
            for bad in ["127.0.0.1:4318", "grpc://x", "http://", "https:///v1"] {
                assert!(otlp_fault(bad).unwrap().contains("is not the URL"), "{bad}");
            }
        } else {
            assert!(good.unwrap().contains("--features otel"));
        }
    }
}
