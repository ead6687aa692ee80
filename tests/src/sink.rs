//! Apps that are not well: they take connections and never answer, or never come to an end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A socket that takes webhooks and gives nothing good back. It lives as long as its test.
#[derive(Clone, Debug)]
pub struct Sink {
    url: String,
    connections: Arc<AtomicUsize>,
}

/// What it does.
#[derive(Clone, Copy, Debug)]
enum Manner {
    Silent,
    Dripping,
}

impl Sink {
    /// One that never answers.
    pub async fn silent() -> Self {
        Self::start(Manner::Silent).await
    }

    /// One that sends headers at once, and then a byte a second for ever.
    pub async fn dripping() -> Self {
        Self::start(Manner::Dripping).await
    }

    async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/sink", listener.local_addr().expect("it is bound"));
        let sink = Self { url, connections: Arc::default() };
        let connections = Arc::clone(&sink.connections);
        #[expect(clippy::disallowed_methods, reason = "the app lives as long as its test")]
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(stream, manner));
            }
        });
        sink
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How many connections there were.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

async fn serve(mut stream: TcpStream, manner: Manner) {
    let mut read = [0; 4_096];
    let _ = stream.read(&mut read).await;
    match manner {
        Manner::Silent => while stream.read(&mut read).await.is_ok_and(|count| count > 0) {},
        Manner::Dripping => drip(stream).await,
    }
}

async fn drip(mut stream: TcpStream) {
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut sent = stream.write_all(head).await;
    while sent.is_ok() {
        sent = stream.write_all(b"1\r\n.\r\n").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
