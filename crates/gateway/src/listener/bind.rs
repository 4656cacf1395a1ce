//! Binding a port.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// Connections that the kernel holds until they are accepted; `net.core.somaxconn` may cut it.
pub const BACKLOG: i32 = 4096;

/// Binds a TCP port, also one whose last connections are still in TIME_WAIT.
///
/// Needs a tokio runtime. `::` takes IPv4 as well where the system says so, unless `beside_ipv4`
/// says that somebody else does.
///
/// # Errors
/// The operating system's: the address is in use, not ours, or below 1024 without the right.
pub fn bind(address: SocketAddr, beside_ipv4: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() && beside_ipv4 {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[tokio::test]
    async fn both_families_can_have_a_port_of_their_own() {
        let four = bind((Ipv4Addr::UNSPECIFIED, 0).into(), true).unwrap();
        let port = four.local_addr().unwrap().port();
        match bind((Ipv6Addr::UNSPECIFIED, port).into(), true) {
            Ok(six) => assert_eq!(six.local_addr().unwrap().port(), port),
            // A machine without IPv6.
            Err(error) => assert_ne!(error.kind(), io::ErrorKind::AddrInUse, "{error}"),
        }
    }
}
