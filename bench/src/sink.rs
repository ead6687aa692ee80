//! An app that takes webhooks and costs next to nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Instant, UNIX_EPOCH};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::Failure;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// A running app.
#[derive(Clone)]
pub(crate) struct Sink {
    pub(crate) authority: String,
    taken: Arc<Taken>,
}

#[derive(Default)]
struct Taken {
    count: AtomicUsize,
    bytes: AtomicUsize,
    /// From the time in the event to the arrival, where that is asked for.
    waits: Mutex<Option<Vec<f64>>>,
}

impl Sink {
    pub(crate) async fn start() -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let sink = Self { authority: listener.local_addr()?.to_string(), taken: Arc::default() };
        let taken = Arc::clone(&sink.taken);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&taken)));
            }
        });
        Ok(sink)
    }

    pub(crate) fn count(&self) -> usize {
        self.taken.count.load(Ordering::Relaxed)
    }

    /// How large bodies are, on average.
    pub(crate) fn body_bytes(&self) -> usize {
        self.taken.bytes.load(Ordering::Relaxed) / self.count().max(1)
    }

    /// From here on, notes how long events take to arrive.
    pub(crate) fn time(&self) -> Result<(), Failure> {
        *self.taken.waits.lock().map_err(|_| "poisoned")? = Some(Vec::new());
        Ok(())
    }

    /// The waits that were noted, sorted, in milliseconds.
    pub(crate) fn waits(&self) -> Result<Vec<f64>, Failure> {
        let mut waits = self.taken.waits.lock().map_err(|_| "poisoned")?.take().unwrap_or_default();
        waits.sort_by(f64::total_cmp);
        Ok(waits)
    }

    /// Waits until so many have come, and says when that was.
    pub(crate) async fn wait_for(&self, count: usize) -> Instant {
        while self.count() < count {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        Instant::now()
    }
}

async fn serve(mut stream: TcpStream, taken: Arc<Taken>) -> Result<(), Failure> {
    stream.set_nodelay(true)?;
    let mut received: Vec<u8> = Vec::with_capacity(16 << 10);
    loop {
        let head = loop {
            if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut received).await? == 0 {
                return Ok(());
            }
        };
        let length = length(&received[..head])?;
        while received.len() < head + length {
            if stream.read_buf(&mut received).await? == 0 {
                return Ok(());
            }
        }
        note(&taken, &received[head..head + length])?;
        received.drain(..head + length);
        stream.write_all(ANSWER).await?;
    }
}

fn length(head: &[u8]) -> Result<usize, Failure> {
    let text = std::str::from_utf8(head)?;
    let line = text.lines().find(|line| {
        line.get(..15).is_some_and(|name| name.eq_ignore_ascii_case("content-length:"))
    });
    Ok(line.ok_or("no length")?[15..].trim().parse()?)
}

fn note(taken: &Taken, body: &[u8]) -> Result<(), Failure> {
    taken.bytes.fetch_add(body.len(), Ordering::Relaxed);
    if let Some(waits) = &mut *taken.waits.lock().map_err(|_| "poisoned")? {
        let event: serde_json::Value = serde_json::from_slice(body)?;
        let created: schemas::Timestamp = event["created_at"].as_str().ok_or("no time")?.parse()?;
        waits.push(UNIX_EPOCH.elapsed()?.as_secs_f64() * 1_000.0 - created.millis() as f64);
    }
    taken.count.fetch_add(1, Ordering::Relaxed);
    Ok(())
}
