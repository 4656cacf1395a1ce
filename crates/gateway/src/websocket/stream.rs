//! The byte stream over WebSocket frames.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{Sink, Stream};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use model::limits::TELEMETRY_MESSAGE_BYTES_MAX;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// Bytes of one WebSocket message, whether in one frame or many.
///
/// Twice the largest device-to-cloud message: packets with their topics fit, and may share.
pub const MESSAGE_BYTES_MAX: usize = 2 * TELEMETRY_MESSAGE_BYTES_MAX;
/// Bytes taken per write, and so of one outgoing frame.
const WRITE_BYTES_MAX: usize = 16 * 1024;
/// Outgoing bytes held: one frame of ours, its header, and pongs. Past it, only the last pong waits.
const WRITE_BUFFER_BYTES_MAX: usize = WRITE_BYTES_MAX + 1024;
/// Bytes of the read buffer that each connection holds from the start; larger frames grow it.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// A WebSocket that hyper upgraded from HTTP/1.1.
pub type UpgradedWebSocket = WebSocket<TokioIo<Upgraded>>;

/// The server's end of a WebSocket, as a stream of the bytes in its binary messages.
///
/// Reading answers pings and close frames. A close frame reads as the end of the stream, as does
/// a connection that ends without one. A text message, an overlong one and a breach of RFC 6455
/// are each answered with a close frame (1003, 1009, 1002) and read as
/// [`InvalidData`](io::ErrorKind::InvalidData).
///
/// Each write of at most 16 KiB becomes one binary frame; `flush` puts it on the wire.
/// `shutdown` sends a close frame (1000) unless one was sent, then ends the stream below. Writing,
/// flushing and shutting down wait for a client that doesn't read: give them a deadline.
#[derive(Debug)]
pub struct WebSocket<S> {
    frames: WebSocketStream<S>,
    unread: Bytes,
    reading: Reading,
}

/// How far reading has come.
#[derive(Debug)]
enum Reading {
    Open,
    /// A close frame with our refusal is on its way; then reading fails with the error.
    Refusing(Refused),
    Ended,
}

/// A breach by the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    Text,
    TooLong,
    Breach,
}

impl Refused {
    /// The close frame's code. Source: RFC 6455 §7.4.1.
    fn code(self) -> CloseCode {
        match self {
            Self::Text => CloseCode::Unsupported,
            Self::TooLong => CloseCode::Size,
            Self::Breach => CloseCode::Protocol,
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Text => "MQTT needs binary messages",
            Self::TooLong => "WebSocket message too long",
            Self::Breach => "breach of the WebSocket protocol",
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// The server's end over a connection whose upgrade was answered with 101.
    pub async fn over(stream: S) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
            .max_frame_size(Some(MESSAGE_BYTES_MAX))
            .max_message_size(Some(MESSAGE_BYTES_MAX));
        let frames = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
        Self { frames, unread: Bytes::new(), reading: Reading::Open }
    }

    /// Waits for the next message and keeps its bytes.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.frames).poll_next(cx)) {
            None => self.reading = Reading::Ended,
            Some(Ok(Message::Binary(bytes))) => self.unread = bytes,
            Some(Ok(Message::Text(_))) => self.reading = Reading::Refusing(Refused::Text),
            // The library answers pings and closes; after a close it reports the end.
            Some(Ok(
                Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_),
            )) => {}
            Some(Err(error)) => self.reading = after(error)?,
        }
        Poll::Ready(Ok(()))
    }

    /// Sends the close frame of a refusal.
    fn poll_refuse(&mut self, cx: &mut Context<'_>, refused: Refused) -> Poll<io::Result<()>> {
        ready!(self.poll_close_frame(cx, refused.code(), refused.reason()));
        self.reading = Reading::Ended;
        Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, refused.reason())))
    }

    /// Sends a close frame, unless one was sent or received before: the library refuses another.
    ///
    /// Failures are dropped: a client that is gone needs no farewell.
    fn poll_close_frame(
        &mut self,
        cx: &mut Context<'_>,
        code: CloseCode,
        reason: &'static str,
    ) -> Poll<()> {
        let mut frames = Pin::new(&mut self.frames);
        let _ = ready!(frames.as_mut().poll_flush(cx));
        let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        let _ = frames.as_mut().start_send(Message::Close(Some(frame)));
        frames.poll_flush(cx).map(drop)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        // An empty message must not be taken for the end of the stream.
        while this.unread.is_empty() && buffer.remaining() > 0 {
            match this.reading {
                Reading::Open => ready!(this.poll_message(cx))?,
                Reading::Refusing(refused) => ready!(this.poll_refuse(cx, refused))?,
                Reading::Ended => return Poll::Ready(Ok(())),
            }
        }
        let some = this.unread.len().min(buffer.remaining());
        buffer.put_slice(&this.unread.split_to(some));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut frames = Pin::new(&mut self.frames);
        // A frame is taken when the one before is gone, so that a slow client slows the writer.
        ready!(frames.as_mut().poll_flush(cx)).map_err(broken)?;
        let some = bytes.get(..WRITE_BYTES_MAX).unwrap_or(bytes);
        if !some.is_empty() {
            let message = Message::Binary(Bytes::copy_from_slice(some));
            frames.start_send(message).map_err(broken)?;
        }
        Poll::Ready(Ok(some.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.frames).poll_flush(cx).map_err(broken)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_close_frame(cx, CloseCode::Normal, ""));
        Pin::new(self.frames.get_mut()).poll_shutdown(cx)
    }
}

/// What a failed read leads to: the end, a refusal, or the failure of the stream below.
fn after(error: Error) -> io::Result<Reading> {
    let no_more = ProtocolError::ResetWithoutClosingHandshake;
    if matches!(&error, Error::Protocol(breach) if *breach == no_more) {
        return Ok(Reading::Ended);
    }
    if matches!(error, Error::Capacity(_)) {
        return Ok(Reading::Refusing(Refused::TooLong));
    }
    // Only text messages have an encoding to break.
    if matches!(error, Error::Utf8(_)) {
        return Ok(Reading::Refusing(Refused::Text));
    }
    if let Error::Io(error) = error {
        return Err(error);
    }
    Ok(Reading::Refusing(Refused::Breach))
}

/// A failed write as the caller of a byte stream knows it.
fn broken(error: Error) -> io::Error {
    if let Error::Io(error) = error {
        return error;
    }
    io::Error::new(io::ErrorKind::BrokenPipe, error)
}
