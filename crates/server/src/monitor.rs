//! The monitoring port: wiring.

use std::io;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use tokio::net::TcpListener;

use crate::config::monitoring::Address;

/// The bound port; none where it is off, or where the default one is taken.
///
/// # Errors
/// The operating system's, for an address that was asked for.
pub(crate) fn bind(address: Address) -> Result<Option<(TcpListener, SocketAddr)>> {
    let Some(wanted) = address.socket() else { return Ok(None) };
    match bound(wanted) {
        Ok(bound) => Ok(Some(bound)),
        Err(error) if address == Address::Default => {
            tracing::warn!(
                %error,
                "monitoring is off: {wanted} can not be had; set monitoring.address to another one"
            );
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| {
            format!("can not listen on {wanted}, which monitoring.address asks for")
        }),
    }
}

fn bound(wanted: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = gateway::listener::bind(wanted, false)?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_address_is_an_error_when_it_was_asked_for() {
        let (_held, taken) = bound("127.0.0.1:0".parse().unwrap()).unwrap();
        let error = bind(Address::Asked(taken)).unwrap_err();
        assert!(format!("{error:#}").contains(&taken.to_string()), "{error:#}");
        assert!(format!("{error:#}").contains("monitoring.address"), "{error:#}");
    }

    #[tokio::test]
    async fn a_taken_default_is_gone_without() {
        // Whoever has the port, this test or another program: it is taken.
        let _held = bound(Address::Default.socket().unwrap());
        assert!(bind(Address::Default).unwrap().is_none());
    }

    #[tokio::test]
    async fn off_is_off() {
        assert!(bind(Address::Off).unwrap().is_none());
    }
}
