//! The ports: the real ones when they may be had, else the fallback ones.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::Result;
use tokio::net::TcpListener;

use crate::config::Listen;

/// A port that SDKs have built in, that for a user who can not have it, and how to name another.
struct Port {
    real: u16,
    fallback: u16,
    flag: &'static str,
}

const HTTPS: Port = Port { real: 443, fallback: 8443, flag: "--https-port" };
const MQTT: Port = Port { real: 8883, fallback: 18883, flag: "--mqtt-port" };

/// A real port that is not had, so that its fallback is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Missed {
    pub(crate) port: u16,
    pub(crate) because: Because,
}

/// Why a port is not had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Because {
    /// Another program listens on it.
    Taken,
    /// The user has no right to it.
    Forbidden,
}

impl Because {
    fn of(error: &io::Error) -> Option<Self> {
        let known = [
            (io::ErrorKind::AddrInUse, Self::Taken),
            (io::ErrorKind::PermissionDenied, Self::Forbidden),
        ];
        known.into_iter().find(|(kind, _)| *kind == error.kind()).map(|(_, because)| because)
    }
}

/// Listening sockets.
pub(crate) struct Bound {
    pub(crate) https: Vec<TcpListener>,
    pub(crate) mqtt: Vec<TcpListener>,
    pub(crate) https_port: u16,
    pub(crate) mqtt_port: u16,
    pub(crate) missed: Vec<Missed>,
}

/// An address that can not be listened on.
struct Refused {
    address: SocketAddr,
    error: io::Error,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, error } = self;
        match Because::of(error) {
            Some(Because::Taken) => write!(f, "{address}: another program listens there"),
            Some(Because::Forbidden) => write!(f, "{address}: this user may not"),
            None if error.kind() == io::ErrorKind::AddrNotAvailable => {
                write!(f, "{address}: this machine has no such address")
            }
            None => write!(f, "{address}: {error}"),
        }
    }
}

/// Binds all addresses.
pub(crate) fn bind(listen: &Listen) -> Result<Bound> {
    let (https, https_port, no_https) = one(&listen.addresses, listen.https_port, &HTTPS)?;
    let (mqtt, mqtt_port, no_mqtt) = one(&listen.addresses, listen.mqtt_port, &MQTT)?;
    let missed = no_https.into_iter().chain(no_mqtt).collect();
    Ok(Bound { https, mqtt, https_port, mqtt_port, missed })
}

fn one(
    addresses: &[IpAddr],
    asked: Option<u16>,
    &Port { real, fallback, flag }: &Port,
) -> Result<(Vec<TcpListener>, u16, Option<Missed>)> {
    if let Some(port) = asked {
        let (listeners, port) = all(addresses, port).map_err(|refused| {
            anyhow::anyhow!(
                "can not listen on {refused}; --listen and {flag} (or muster.toml) name others"
            )
        })?;
        return Ok((listeners, port, None));
    }
    let refused = match all(addresses, real) {
        Ok((listeners, port)) => return Ok((listeners, port, None)),
        Err(refused) => refused,
    };
    let Some(because) = Because::of(&refused.error) else {
        anyhow::bail!("can not listen on {refused}; --listen (or muster.toml) names others");
    };
    let (listeners, port) = all(addresses, fallback).map_err(|second| {
        anyhow::anyhow!("can listen neither on {refused} nor on {second}; name a port with {flag}")
    })?;
    Ok((listeners, port, Some(Missed { port: real, because })))
}

/// The same port on every address; an address family that the machine lacks is left out as long
/// as another one is there.
fn all(addresses: &[IpAddr], port: u16) -> Result<(Vec<TcpListener>, u16), Refused> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut port = port;
    let mut missing = None;
    let beside_ipv4 = addresses.contains(&IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    for address in addresses {
        let address = SocketAddr::new(*address, port);
        let bound = gateway::listener::bind(address, beside_ipv4);
        match bound.and_then(|listener| Ok((listener.local_addr()?.port(), listener))) {
            Ok((bound, listener)) => {
                // Port 0 asks the system; the other addresses then take the same.
                port = bound;
                listeners.push(listener);
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported
                ) || error.raw_os_error() == Some(97) =>
            {
                missing = Some(Refused { address, error });
            }
            Err(error) => return Err(Refused { address, error }),
        }
    }
    match (listeners.is_empty(), missing) {
        (true, Some(refused)) => Err(refused),
        // The configuration has an address at least.
        (_, _) => Ok((listeners, port)),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener as Taken;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn port(real: u16, fallback: u16) -> Port {
        Port { real, fallback, flag: "--https-port" }
    }

    #[tokio::test]
    async fn a_taken_port_is_told_from_a_forbidden_one() {
        let taken = Taken::bind((HERE, 0)).unwrap();
        let real = taken.local_addr().unwrap().port();
        let (_, _, missed) = one(&[HERE], None, &port(real, 0)).unwrap();
        assert_eq!(missed, Some(Missed { port: real, because: Because::Taken }));
        let forbidden = io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(Because::of(&forbidden), Some(Because::Forbidden));
        let told = one(&[HERE], None, &port(real, real)).unwrap_err().to_string();
        let there = format!("127.0.0.1:{real}: another program listens there");
        assert!(
            told.starts_with(&format!("can listen neither on {there} nor on {there}")),
            "{told}"
        );
        assert!(told.ends_with("name a port with --https-port"), "{told}");
    }

    #[tokio::test]
    async fn an_address_that_is_not_had_is_named() {
        // TEST-NET-1 of RFC 5737 is on no machine.
        let nowhere = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        let told = one(&[nowhere], Some(0), &HTTPS).unwrap_err().to_string();
        assert!(told.contains("192.0.2.1:0: this machine has no such address; --listen"), "{told}");
    }
}
