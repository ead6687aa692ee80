//! A connection that knows who is at its other end.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::address::{self, Policy};

/// Who is at the other end; every answer that comes over the connection tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    /// Whether it could be called without being allowed.
    pub(super) is_public: bool,
}

impl Peer {
    /// Nobody here knows. What is unknown is not public.
    pub(super) const UNKNOWN: Self = Self { is_public: false };

    /// Who has this address.
    pub(super) fn at(ip: IpAddr) -> Self {
        Self { is_public: address::permit(ip, &Policy::default()).is_ok() }
    }
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
        Connected::new().extra(self.peer)
    }
}

impl AsyncRead for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
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
