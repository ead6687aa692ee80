//! An HTTP/1.1 client that costs next to nothing, so that the figures are the server's.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::Failure;

/// One kept-alive connection.
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The status line and the header lines.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// Where requests go, and what authorises them.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// `host:port`.
    pub(crate) authority: String,
    /// What every path begins with.
    pub(crate) prefix: String,
    pub(crate) token: String,
    /// A browser sends this instead of the token, and forms instead of JSON.
    pub(crate) cookie: Option<String>,
}

impl Target {
    /// The same server, as a browser with this cookie reaches it; an empty one for none.
    pub(crate) fn browser(&self, cookie: &str) -> Self {
        Self { cookie: Some(cookie.to_owned()), ..self.clone() }
    }

    fn headers(&self) -> String {
        match self.cookie.as_deref() {
            None => format!(
                "authorization: Bearer {}\r\ncontent-type: application/scim+json",
                self.token
            ),
            Some(cookie) => format!(
                "cookie: {cookie}\r\nsec-fetch-site: same-origin\r\n\
                 content-type: application/x-www-form-urlencoded"
            ),
        }
    }
}

impl Connection {
    pub(crate) async fn open(target: &Target) -> Result<Self, Failure> {
        let stream = TcpStream::connect(&target.authority).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::with_capacity(8 << 10) })
    }

    pub(crate) async fn send(
        &mut self,
        target: &Target,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Result<Answer, Failure> {
        let mut request = format!(
            "{method} {}{path} HTTP/1.1\r\nhost: {}\r\n{}\r\ncontent-length: {}\r\n\r\n",
            target.prefix,
            target.authority,
            target.headers(),
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.stream.write_all(&request).await?;
        self.answer().await
    }

    async fn answer(&mut self) -> Result<Answer, Failure> {
        self.received.clear();
        let head = loop {
            if let Some(end) = find(&self.received, b"\r\n\r\n") {
                break end + 4;
            }
            self.more().await?;
        };
        let text = std::str::from_utf8(&self.received[..head])?.to_owned();
        let status = text.get(9..12).ok_or("no status")?.parse()?;
        let lower = text.to_ascii_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(Ok(0), str::parse)?;
        while self.received.len() < head + length {
            self.more().await?;
        }
        Ok(Answer { status, head: text, body: self.received[head..head + length].to_vec() })
    }

    async fn more(&mut self) -> Result<(), Failure> {
        if self.stream.read_buf(&mut self.received).await? == 0 {
            return Err("the server has closed the connection".into());
        }
        Ok(())
    }
}

/// What a streamed answer amounts to.
pub(crate) struct Streamed {
    pub(crate) bytes: u64,
    pub(crate) lines: u64,
}

/// Reads an answer of any length, chunk by chunk, and keeps nothing of it.
pub(crate) async fn stream(target: &Target, path: &str, accept: &str) -> Result<Streamed, Failure> {
    let mut stream = TcpStream::connect(&target.authority).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\naccept: {accept}\r\n\r\n",
        target.authority, target.token
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = BufReader::new(stream);
    let mut line = String::new();
    answer.read_line(&mut line).await?;
    if line.get(9..12) != Some("200") {
        return Err(format!("GET {path} as {accept}: {line}").into());
    }
    while line != "\r\n" {
        line.clear();
        answer.read_line(&mut line).await?;
    }
    let mut streamed = Streamed { bytes: 0, lines: 0 };
    let mut chunk = Vec::new();
    loop {
        line.clear();
        answer.read_line(&mut line).await?;
        let length = usize::from_str_radix(line.trim_end(), 16)?;
        if length == 0 {
            return Ok(streamed);
        }
        // The line end behind it belongs to the framing.
        chunk.resize(length + 2, 0);
        answer.read_exact(&mut chunk).await?;
        streamed.bytes += length as u64;
        streamed.lines += chunk[..length].iter().filter(|byte| **byte == b'\n').count() as u64;
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
