//! The ports: the real ones when they may be had, else the fallback ones.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, bail};
use tokio::net::TcpListener;

use crate::config::Listen;

/// The ports that SDKs have built in, and those for a user who may not have them.
const HTTPS: (u16, u16) = (443, 8443);
const MQTT: (u16, u16) = (8883, 18883);

/// Which ports were bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ports {
    /// Those that were asked for, or the real ones.
    Wanted,
    /// 8443 or 18883.
    Fallback,
}

/// Listening sockets.
pub(crate) struct Bound {
    pub(crate) https: Vec<TcpListener>,
    pub(crate) mqtt: Vec<TcpListener>,
    pub(crate) https_port: u16,
    pub(crate) mqtt_port: u16,
    pub(crate) ports: Ports,
}

/// Binds all addresses.
pub(crate) fn bind(listen: &Listen) -> Result<Bound> {
    let (https, https_port, https_ports) = one(&listen.addresses, listen.https_port, HTTPS)?;
    let (mqtt, mqtt_port, mqtt_ports) = one(&listen.addresses, listen.mqtt_port, MQTT)?;
    let ports = match (https_ports, mqtt_ports) {
        (Ports::Wanted, Ports::Wanted) => Ports::Wanted,
        (Ports::Fallback, _) | (_, Ports::Fallback) => Ports::Fallback,
    };
    Ok(Bound { https, mqtt, https_port, mqtt_port, ports })
}

fn one(
    addresses: &[IpAddr],
    asked: Option<u16>,
    (real, fallback): (u16, u16),
) -> Result<(Vec<TcpListener>, u16, Ports)> {
    if let Some(port) = asked {
        let (listeners, port) = all(addresses, port)
            .with_context(|| format!("can not listen on port {port}, which was asked for"))?;
        return Ok((listeners, port, Ports::Wanted));
    }
    match all(addresses, real) {
        Ok((listeners, port)) => Ok((listeners, port, Ports::Wanted)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::AddrInUse
            ) =>
        {
            let (listeners, port) = all(addresses, fallback)
                .with_context(|| format!("can listen neither on {real} nor on {fallback}"))?;
            Ok((listeners, port, Ports::Fallback))
        }
        Err(error) => bail!(error),
    }
}

/// The same port on every address; an address family that the machine lacks is left out as long
/// as another one is there.
fn all(addresses: &[IpAddr], port: u16) -> io::Result<(Vec<TcpListener>, u16)> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut port = port;
    let mut missing = None;
    let beside_ipv4 = addresses.contains(&IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    for address in addresses {
        match gateway::listener::bind(SocketAddr::new(*address, port), beside_ipv4) {
            Ok(listener) => {
                // Port 0 asks the system; the other addresses then take the same.
                port = listener.local_addr()?.port();
                listeners.push(listener);
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported
                ) || error.raw_os_error() == Some(97) =>
            {
                missing = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    match (listeners.is_empty(), missing) {
        (true, Some(error)) => Err(error),
        (true, None) => Err(io::Error::new(io::ErrorKind::InvalidInput, "no address to listen on")),
        (false, _) => Ok((listeners, port)),
    }
}
