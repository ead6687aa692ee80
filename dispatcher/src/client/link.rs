//! A connection that knows who is at its other end.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::address::{self, Policy};

/// Who is at the other end; every answer that comes over the connection tells, and every error that ends it.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// Whether it could be called without being allowed.
    pub(super) is_public: bool,
    /// Whether TLS has ended the connection, by whichever side. TLS 1.3 tells only after the handshake that the other end does
    /// not like our certificate, and a request that comes just then is told of a connection that is closed, and not why.
    ended_by_tls: Arc<AtomicBool>,
}

impl Peer {
    /// Nobody here knows. What is unknown is not public.
    pub(super) fn unknown() -> Self {
        Self { is_public: false, ended_by_tls: Arc::default() }
    }

    /// Who has this address.
    pub(super) fn at(ip: IpAddr) -> Self {
        Self { is_public: address::permit(ip, &Policy::default()).is_ok(), ..Self::unknown() }
    }

    /// Whether TLS has ended the connection.
    pub(super) fn was_ended_by_tls(&self) -> bool {
        self.ended_by_tls.load(Ordering::Acquire)
    }

    fn notice(&self, error: &io::Error) {
        if is_tls(error) {
            self.ended_by_tls.store(true, Ordering::Release);
        }
    }
}

/// A TLS error travels inside I/O errors, whose `source` skips what they hold.
pub(super) fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.is::<rustls::Error>() || inside.is_some_and(|inner| is_tls(inner))
}

/// What a connection is made of, with or without TLS.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// See the module.
pub(super) struct Link {
    io: Box<dyn Io>,
    peer: Peer,
}

impl Link {
    pub(super) fn new(io: impl Io + 'static, peer: Peer) -> Self {
        Self { io: Box::new(io), peer }
    }
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        Connected::new().extra(self.peer.clone())
    }
}

impl AsyncRead for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        if let Poll::Ready(Err(error)) = &read {
            self.peer.notice(error);
        }
        read
    }
}

impl AsyncWrite for Link {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use rustls::{AlertDescription, Error};
    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// The other end of a connection that fails as soon as it is read.
    struct Fails(Option<io::Error>);

    impl AsyncRead for Fails {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Ready(self.0.take().map_or(Ok(()), Err))
        }
    }

    /// What a connection says of its other end once reading has failed so.
    async fn ended_by_tls(error: io::Error) -> bool {
        let peer = Peer::unknown();
        let mut link =
            Link::new(tokio::io::join(Fails(Some(error)), tokio::io::sink()), peer.clone());
        link.read_u8().await.unwrap_err();
        peer.was_ended_by_tls()
    }

    #[tokio::test]
    async fn whoever_holds_a_peer_learns_that_tls_has_ended_the_connection() {
        let alert = Error::AlertReceived(AlertDescription::CertificateRequired);
        assert!(ended_by_tls(io::Error::new(io::ErrorKind::InvalidData, alert)).await);
        assert!(!ended_by_tls(io::ErrorKind::ConnectionReset.into()).await);
    }
}
