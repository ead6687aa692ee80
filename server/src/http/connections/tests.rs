use std::sync::atomic::{AtomicUsize, Ordering};

use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;

use super::*;

/// Longer than anything here takes, on any machine.
const WITHIN: Duration = Duration::from_secs(30);

struct Server {
    address: SocketAddr,
    connections: TaskTracker,
    end: CancellationToken,
    /// Empty when nobody listens any more.
    listening: TaskTracker,
    /// How many requests to `/held` have come.
    came: Arc<AtomicUsize>,
    /// Lets one request to `/held` go.
    let_go: Arc<Notify>,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, end) = (TaskTracker::new(), CancellationToken::new());
        let (came, let_go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (count, go) = (Arc::clone(&came), Arc::clone(&let_go));
        let held = move || async move {
            count.fetch_add(1, Ordering::SeqCst);
            go.notified().await;
        };
        let who = async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string();
        let large = async || vec![b'x'; 16 << 20];
        let routes = Router::new().route("/held", get(held)).route("/who", get(who));
        let routes = routes.route("/large", get(large));
        let serving =
            Serving { listener, limits, connections: connections.clone(), end: end.clone() };
        let listening = TaskTracker::new();
        listening.spawn(serving.serve(routes));
        listening.close();
        Self { address, connections, end, listening, came, let_go }
    }

    /// A connection on which this was sent.
    async fn send(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    async fn until_came(&self, count: usize) {
        let came = async {
            while self.came.load(Ordering::SeqCst) < count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(WITHIN, came).await.expect("it never came");
    }
}

/// What comes until the server closes the connection.
async fn all_of(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let read = tokio::time::timeout(WITHIN, stream.read_to_string(&mut text));
    read.await.expect("the connection stays open").unwrap();
    text
}

const HELD: &str = "GET /held HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test]
async fn whoever_does_not_say_what_they_want_is_not_waited_for() {
    let head = Duration::from_millis(20);
    let server = Server::start(Limits { head, ..Limits::default() }).await;
    for begun in ["", "GET /who HT", "GET /who HTTP/1.1\r\nhost: x\r\nx-slow: "] {
        let mut stream = server.send(begun).await;
        let answer = all_of(&mut stream).await;
        assert!(!answer.contains("200 OK"), "{begun:?}: {answer}");
    }
}

#[tokio::test]
async fn a_connection_that_rests_for_too_long_is_closed() {
    let head = Duration::from_millis(20);
    let server = Server::start(Limits { head, ..Limits::default() }).await;
    let mut rests = server.send("GET /who HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(all_of(&mut rests).await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn a_head_that_is_too_large_is_not_kept_and_one_with_the_longest_filter_is_answered() {
    let server = Server::start(Limits::default()).await;
    let begun = "GET /who HTTP/1.1\r\nhost: x\r\nx-long: ";
    let endless = format!("{begun}{}", "a".repeat(HEAD_BYTES_MAX - begun.len()));
    let mut stream = server.send(&endless).await;
    assert!(all_of(&mut stream).await.starts_with("HTTP/1.1 431"));
    let filter = "%22".repeat(4 * 1024);
    let longest = format!(
        "GET /who?filter={filter}&cursor={} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        "c".repeat(16 * 1024)
    );
    let mut stream = server.send(&longest).await;
    assert!(all_of(&mut stream).await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn an_answer_may_take_longer_than_a_head() {
    let head = Duration::from_millis(20);
    let server = Server::start(Limits { head, ..Limits::default() }).await;
    let mut held = server.send(HELD).await;
    server.until_came(1).await;
    // While it waits, another connection runs out of its time.
    let mut silent = server.send("").await;
    assert_eq!(all_of(&mut silent).await, "");
    server.let_go.notify_one();
    assert!(all_of(&mut held).await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn who_takes_nothing_of_an_answer_holds_its_place_no_longer_than_they_may() {
    let unread = Duration::from_millis(200);
    let server = Server::start(Limits { connections: 1, unread, ..Limits::default() }).await;
    let reads_nothing = server.send("GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut next = server.send("GET /who HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(all_of(&mut next).await.starts_with("HTTP/1.1 200 OK"));
    drop(reads_nothing);
}

#[tokio::test]
async fn a_handler_knows_who_calls() {
    let server = Server::start(Limits::default()).await;
    let mut stream = server.send("GET /who HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    let me = stream.local_addr().unwrap().to_string();
    assert!(all_of(&mut stream).await.ends_with(&me));
}

#[tokio::test]
async fn beyond_so_many_connections_the_next_one_waits_for_one_to_end() {
    let server = Server::start(Limits { connections: 2, ..Limits::default() }).await;
    let (first, _second) = (server.send(HELD).await, server.send(HELD).await);
    server.until_came(2).await;
    let third = server.send(HELD).await;
    third.writable().await.unwrap();
    for _ in 0..1_000 {
        // The server runs meanwhile, and would have taken it.
        tokio::task::yield_now().await;
    }
    assert_eq!(server.came.load(Ordering::SeqCst), 2, "the third is not taken");
    drop(first);
    server.until_came(3).await;
    assert_eq!(server.connections.len(), 2);
}

#[tokio::test]
async fn at_the_end_those_who_wait_get_their_answer_and_those_who_rest_are_let_go() {
    let server = Server::start(Limits::default()).await;
    let mut rests = server.send("GET /who HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut begun = [0; 8];
    rests.read_exact(&mut begun).await.unwrap();
    let mut waits = server.send(HELD).await;
    server.until_came(1).await;
    server.end.cancel();
    all_of(&mut rests).await;
    server.listening.wait().await;
    assert!(TcpStream::connect(server.address).await.is_err(), "nobody listens any more");
    server.let_go.notify_one();
    let answer = all_of(&mut waits).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("connection: close"));
    server.connections.close();
    server.connections.wait().await;
}
