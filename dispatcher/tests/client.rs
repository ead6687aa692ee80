//! The client against real sockets: what it sends, and what it does not touch.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::time::Duration;

use bytes::Bytes;
use dispatcher::client::{ANSWER_MAX, Request, Sender as _, To};
use dispatcher::ports::Outcome;
use dispatcher::signature::{Letter, Signer};
use dispatcher::{Client, Egress, Failure, Policy, Secret};
use http::HeaderMap;
use schemas::{EventId, Format, Seq, Timestamp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;
use url::Url;

const OPEN: Policy = Policy { allow_private: true, allow_http: true, allow_networks: Vec::new() };
const HTTP_ONLY: Policy =
    Policy { allow_private: false, allow_http: true, allow_networks: Vec::new() };

/// What an app does with a connection after it has read the request.
#[derive(Clone, Copy)]
enum Manner {
    Answers(&'static str),
    Silent,
    Drips,
    Endless,
}

/// An app on a port of its own. It hands on each request as text.
async fn app(manner: Manner) -> (Url, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (requests, received) = mpsc::channel(16);
    TaskTracker::new().spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            serve(socket, manner, requests.clone()).await;
        }
    });
    (Url::parse(&url).unwrap(), received)
}

async fn serve(mut socket: TcpStream, manner: Manner, requests: mpsc::Sender<String>) {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.ends_with("{\"a\":1}") {
        let read = socket.read(&mut buffer).await.unwrap_or(0);
        if read == 0 {
            return;
        }
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    requests.send(text).await.unwrap();
    let endless = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n";
    match manner {
        Manner::Answers(answer) => socket.write_all(answer.as_bytes()).await.unwrap(),
        Manner::Silent => std::future::pending().await,
        Manner::Drips => {
            let _ = socket.write_all(endless).await;
            while socket.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        Manner::Endless => {
            let _ = socket.write_all(endless).await;
            while socket.write_all(&[b'x'; 4096]).await.is_ok() {}
        }
    }
}

fn request(url: Url) -> Request {
    let signer = Signer::new(&[Secret::new("whsec_AAAA".to_owned())]).unwrap();
    let body = Bytes::from_static(b"{\"a\":1}");
    let letter = Letter {
        id: EventId::from_bits(5),
        seq: Seq(8),
        attempt: 2,
        format: Format::Webhook,
        body: &body,
    };
    let headers = signer.headers(letter, now());
    Request { to: To::Url { url, caller: None }, headers, body, timeout: None }
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_772_446_530_123)
}

async fn outcome(policy: Policy, url: Url) -> Outcome {
    let egress = Egress { deadline: Duration::from_millis(400), ..policy.into() };
    let client = Client::new(egress).unwrap();
    client.send(request(url), now()).await.outcome
}

#[tokio::test]
async fn a_request_carries_both_signatures_and_the_exact_bytes() {
    let (url, mut received) = app(Manner::Answers("HTTP/1.1 204 No Content\r\n\r\n")).await;
    assert_eq!(outcome(OPEN, url).await, Outcome::Delivered { status: Some(204) });
    let text = received.recv().await.unwrap();
    assert!(text.starts_with("POST /hook HTTP/1.1\r\n"), "{text}");
    for header in [
        "workos-signature: t=1772446530123, v1=",
        "webhook-id: event_",
        "webhook-timestamp: 1772446530\r\n",
        "webhook-signature: v1,",
        "dsync-attempt: 2\r\n",
        "dsync-sequence: 8\r\n",
        "user-agent: dsync/",
        "content-type: application/json\r\n",
    ] {
        assert!(text.contains(header), "{header} in {text}");
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let (inner, mut reached) = app(Manner::Answers("HTTP/1.1 200 OK\r\n\r\n")).await;
    let answer = format!("HTTP/1.1 307 Moved\r\nlocation: {inner}\r\ncontent-length: 0\r\n\r\n");
    let (url, _received) = app(Manner::Answers(answer.leak())).await;
    assert_eq!(outcome(OPEN, url).await, Outcome::Failed(Failure::Status(307)));
    assert!(reached.try_recv().is_err());
}

#[tokio::test]
async fn retry_after_is_handed_on() {
    let answer = "HTTP/1.1 503 Busy\r\nretry-after: 17\r\ncontent-length: 0\r\n\r\n";
    let (url, _received) = app(Manner::Answers(answer)).await;
    let answer = Client::new(OPEN.into()).unwrap().send(request(url), now()).await;
    assert_eq!(answer.retry_after, Some(Duration::from_secs(17)));
    assert_eq!(answer.outcome, Outcome::Failed(Failure::Status(503)));
}

#[tokio::test]
async fn what_an_address_inside_our_network_answers_is_shown_to_nobody() {
    let answer = "HTTP/1.1 500 No\r\ncontent-length: 6\r\n\r\nsecret";
    let (url, _received) = app(Manner::Answers(answer)).await;
    let answer = Client::new(OPEN.into()).unwrap().send(request(url), now()).await;
    assert_eq!(answer.outcome, Outcome::Failed(Failure::Status(500)));
    assert_eq!(answer.excerpt, None);
}

#[tokio::test]
async fn no_way_leads_inward() {
    let (url, mut received) = app(Manner::Answers("HTTP/1.1 200 OK\r\n\r\n")).await;
    let port = url.port().unwrap();
    for host in ["127.0.0.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "localhost", "[::1]"] {
        let url = Url::parse(&format!("http://{host}:{port}/")).unwrap();
        assert_eq!(outcome(HTTP_ONLY, url).await, Outcome::Failed(Failure::Refused), "{host}");
    }
    let https = Policy { allow_http: false, ..OPEN };
    assert_eq!(outcome(https, url).await, Outcome::Failed(Failure::Refused));
    assert!(received.try_recv().is_err());
}

#[tokio::test]
async fn silence_and_dripping_end_at_the_deadline() {
    for manner in [Manner::Silent, Manner::Drips] {
        let (url, _received) = app(manner).await;
        let begin = tokio::time::Instant::now();
        assert_eq!(outcome(OPEN, url).await, Outcome::Failed(Failure::Timeout));
        assert!(begin.elapsed() < Duration::from_secs(3));
    }
}

#[tokio::test]
async fn an_answer_without_end_is_cut() {
    let (url, _received) = app(Manner::Endless).await;
    assert_eq!(outcome(OPEN, url).await, Outcome::Delivered { status: Some(200) });
    const { assert!(ANSWER_MAX <= 16 * 1024) };
}

#[tokio::test]
async fn each_phase_has_its_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let (plain, _received) = app(Manner::Answers("nonsense\r\n\r\n")).await;
    let tls = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let secure = tls.local_addr().unwrap();
    TaskTracker::new().spawn(async move {
        while let Ok((mut socket, _)) = tls.accept().await {
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            let _ = socket.read(&mut [0; 1024]).await;
        }
    });
    for (url, failure) in [
        (format!("http://{closed}/"), Failure::Connect),
        (format!("https://{secure}/"), Failure::Tls),
        (plain.to_string(), Failure::Protocol),
        ("http://no-such-name.invalid/".to_owned(), Failure::Dns),
    ] {
        let client = Client::new(OPEN.into()).unwrap();
        let request = Request { headers: HeaderMap::new(), ..request(Url::parse(&url).unwrap()) };
        let answer = client.send(request, now()).await;
        assert_eq!(answer.outcome, Outcome::Failed(failure), "{url}");
    }
}
