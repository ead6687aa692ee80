//! Apps that answer as no app should: too much, too slowly, without end, in nobody's HTTP. Each attempt ends
//! at the limit or at the deadline, holds next to no memory, and lets go of the connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tests::server::eventually;
use tests::{Api, Receiver, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the answer of a gigabyte may add to the memory of the server. Eight of them come at once.
const MEMORY_MAX_KIB: u64 = 16 * 1024;

/// What an app does after it has read a request: says something, and then…
#[derive(Clone, Copy)]
enum Then {
    /// hangs up,
    Close,
    /// says nothing more,
    Hang,
    /// or says the same again and again, as fast as it can or with a pause.
    Repeat(&'static [u8], Duration),
}

const FAST: Duration = Duration::ZERO;
const SLOW: Duration = Duration::from_millis(50);
const FILLING: &[u8] = &[b'x'; 64 * 1024];
const OK: &[u8] = b"HTTP/1.1 200 OK\r\n";
const GIGABYTE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n";
const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
const BOMB: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1073741824\r\n\r\n";
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The name of a manner, what it says first, what then, and what the attempt comes to.
type Manner = (&'static str, &'static [u8], Then, &'static str);

const MANNERS: &[Manner] = &[
    ("a gigabyte", GIGABYTE, Then::Repeat(FILLING, FAST), "delivered"),
    ("chunks without end", CHUNKED, Then::Repeat(b"1000\r\n", FAST), "delivered"),
    ("a body without end", b"HTTP/1.1 200 OK\r\n\r\n", Then::Repeat(FILLING, FAST), "delivered"),
    ("a bomb", BOMB, Then::Repeat(b"\x1f\x8b\x08\0\0\0\0\0\0\xff", FAST), "delivered"),
    ("an error of a gigabyte", b"HTTP/1.1 500 No\r\n\r\n", Then::Repeat(FILLING, FAST), "status"),
    ("silence", b"", Then::Hang, "timeout"),
    ("a head that never ends", OK, Then::Repeat(b"x", SLOW), "timeout"),
    ("a head without end", OK, Then::Repeat(b"x: y\r\n", FAST), "protocol"),
    ("a header without end", b"HTTP/1.1 200 OK\r\nx: ", Then::Repeat(FILLING, FAST), "protocol"),
    ("a dripping body", GIGABYTE, Then::Repeat(b"x", SLOW), "timeout"),
    ("dripping chunks", CHUNKED, Then::Repeat(b"1\r\nx\r\n", SLOW), "timeout"),
    ("a body that stops", GIGABYTE, Then::Hang, "timeout"),
    ("interim answers without end", b"", Then::Repeat(CONTINUE, FAST), "timeout"),
    ("nonsense", b"nonsense\r\n\r\n", Then::Hang, "protocol"),
    ("nothing", b"", Then::Close, "protocol"),
    ("half a head", OK, Then::Close, "protocol"),
    ("half a body", GIGABYTE, Then::Close, "protocol"),
    ("no number", b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", Then::Hang, "protocol"),
    (
        "two lengths",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        Then::Hang,
        "protocol",
    ),
    ("a bad chunk", CHUNKED, Then::Repeat(b"zz\r\n", FAST), "protocol"),
    ("a short status", b"HTTP/1.1 20 OK\r\n\r\n", Then::Hang, "protocol"),
    ("another protocol", b"SSH-2.0-OpenSSH_9.6\r\n", Then::Hang, "protocol"),
];

/// An app with one manner.
struct App {
    url: String,
    /// Connections that are open.
    open: Arc<AtomicUsize>,
}

impl App {
    async fn start(begin: &'static [u8], then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
        let open = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&open);
        spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let counted = Arc::clone(&counted);
                counted.fetch_add(1, Ordering::SeqCst);
                spawn(async move {
                    // An error is what we wait for: the other side has let go.
                    let _ = misbehave(socket, begin, then).await;
                    counted.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { url, open }
    }
}

#[expect(clippy::disallowed_methods, reason = "the app lives as long as its test")]
fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

async fn misbehave(mut socket: TcpStream, begin: &[u8], then: Then) -> std::io::Result<()> {
    let mut request = Vec::new();
    // The body is one JSON object, and nothing comes after it.
    while !request.ends_with(b"}") {
        socket.read_buf(&mut request).await?;
    }
    socket.write_all(begin).await?;
    match then {
        Then::Close => Ok(()),
        Then::Hang => socket.read_u8().await.map(drop),
        Then::Repeat(text, pause) => loop {
            socket.write_all(text).await?;
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        },
    }
}

async fn endpoint(api: &Api, url: &str) -> String {
    let body = json!({
        "endpoint_url": url, "events": ["dsync.user.created"], "timeout_seconds": 1,
    });
    let endpoint = api.create("/webhook_endpoints", &body).await;
    endpoint["id"].as_str().expect("an id").to_owned()
}

/// What the first attempts of an endpoint came to.
async fn came_to(api: &Api, id: &str) -> String {
    let path = format!("/webhook_endpoints/{id}");
    eventually("an attempt", || async {
        let health = api.get(&path).await["health"].clone();
        match (&health["last_error"], &health["success_rate"]) {
            (Value::Null, Value::Null) => None,
            (Value::Null, _) => Some("delivered".to_owned()),
            (error, _) => Some(error["failure"].as_str().expect("a name").to_owned()),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_answer_ends_at_the_limit_or_at_the_deadline() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &[("DSYNC_RETRY_SCHEDULE", "1h")]);
    let api = server.api();
    let mut apps = Vec::new();
    for (name, begin, then, expected) in MANNERS {
        let app = App::start(begin, *then).await;
        apps.push((name, endpoint(&api, &app.url).await, app, expected));
    }
    let healthy = Receiver::start().await;
    api.endpoint(healthy.url()).await;
    let begin = tokio::time::Instant::now();
    api.directory("generic scim v2.0", "Acme").await.user("ada@acme.example").await;
    healthy.wait_for(2).await;
    for (name, id, app, expected) in &apps {
        assert_eq!(came_to(&api, id).await, **expected, "{name}");
        eventually(&format!("{name}: the end of the connection"), || async {
            (app.open.load(Ordering::SeqCst) == 0).then_some(())
        })
        .await;
    }
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn gigabytes_of_answers_take_no_memory() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let directory = api.directory("generic scim v2.0", "Acme").await;
    let warm = Receiver::start().await;
    api.endpoint(warm.url()).await;
    for one in 0..50 {
        directory.user(&format!("warm-{one}@acme.example")).await;
    }
    warm.wait_for(50).await;

    let mut apps = Vec::new();
    for begin in [GIGABYTE, GIGABYTE, GIGABYTE, GIGABYTE, BOMB, BOMB, CHUNKED, CHUNKED] {
        let text = if begin == CHUNKED { BIG_CHUNK } else { FILLING };
        let app = App::start(begin, Then::Repeat(text, FAST)).await;
        apps.push((endpoint(&api, &app.url).await, app));
    }
    // From here on the peak is that of the answers.
    std::fs::write(format!("/proc/{}/clear_refs", server.pid()), "5").unwrap();
    let before = memory_kib(&server);
    directory.user("ada@acme.example").await;
    for (id, app) in &apps {
        assert_eq!(came_to(&api, id).await, "delivered");
        eventually("the end of the connection", || async {
            (app.open.load(Ordering::SeqCst) == 0).then_some(())
        })
        .await;
    }
    let grown = memory_kib(&server).saturating_sub(before);
    assert!(grown < MEMORY_MAX_KIB, "{grown} KiB more than {before} KiB");
}

/// One chunk that claims a gigabyte, and begins again with what looks like its content.
const BIG_CHUNK: &[u8] = b"40000000\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

/// The largest that the server's resident memory has been.
fn memory_kib(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
