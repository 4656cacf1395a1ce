//! A client's connection after its handshake.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// The bytes inside TLS; closed when dropped.
///
/// `shutdown` says good-bye: TLS's `close_notify` and TCP's FIN, in one segment where the system
/// can hold the first back for the second.
#[derive(Debug)]
pub struct Stream {
    tls: TlsStream<TcpStream>,
    ending: bool,
}

impl Stream {
    pub(super) const fn new(tls: TlsStream<TcpStream>) -> Self {
        Self { tls, ending: false }
    }

    fn tls(self: Pin<&mut Self>) -> Pin<&mut TlsStream<TcpStream>> {
        Pin::new(&mut self.get_mut().tls)
    }

    /// What is written from now on leaves with the FIN. Two segments would do as well, so that it
    /// is no error where this is not to be had.
    #[cfg(target_os = "linux")]
    fn hold_back(&self) {
        let _ = socket2::SockRef::from(self.tls.get_ref().0).set_tcp_cork(true);
    }

    #[cfg(not(target_os = "linux"))]
    const fn hold_back(&self) {}
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.tls().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.tls().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.tls().poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.tls.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tls().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.ending {
            self.ending = true;
            self.hold_back();
        }
        self.tls().poll_shutdown(cx)
    }
}
