//! An app that is down while events gather, over real sockets and on a real store. What the three days of
//! such an outage do to one lane is simulated in `dispatcher`, where time is an argument.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use rusqlite::Connection;
use serde_json::{Value, json};
use tests::server::{eventually, json_of};
use tests::{Directory, Server};

use super::world::keys;

/// As many as one request takes, so that a few requests make many events.
const MEMBERS: usize = 1_000;

/// Events of one group stand in one line: so many may be on their way at a time.
const GROUPS: usize = 50;

/// Everybody comes into every group, or goes: so many events in all.
const ROUNDS: usize = 4;

const EVENTS: usize = ROUNDS * GROUPS * MEMBERS;

/// A probe each second for longer than the events take to come in.
const PROBE_MS: u64 = 1_000;

/// By so much memory may differ that a process holds at two moments at which it does the same.
const MEMORY_ROOM_KIB: u64 = 48 * 1_024;

/// An app that counts and keeps no event. While it is down, every request is turned away.
#[derive(Clone, Default)]
struct App {
    is_up: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    turned_away: i64,
    begun: usize,
    answered: usize,
    /// The last event of each user and group.
    last: BTreeMap<String, u64>,
    wrong: Vec<String>,
}

impl App {
    async fn start(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/webhooks", listener.local_addr().unwrap());
        let app = Router::new().fallback(receive).with_state(self.clone());
        #[expect(clippy::disallowed_methods, reason = "the app lives as long as its test")]
        tokio::spawn(async move { axum::serve(listener, app).await });
        url
    }

    fn turned_away(&self) -> i64 {
        self.seen.lock().unwrap().turned_away
    }

    fn answered(&self) -> usize {
        self.seen.lock().unwrap().answered
    }
}

async fn receive(
    State(app): State<App>,
    headers: axum::http::HeaderMap,
    body: Bytes,
) -> StatusCode {
    if !app.is_up.load(Ordering::SeqCst) {
        app.seen.lock().unwrap().turned_away += 1;
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    app.seen.lock().unwrap().begin();
    // Long enough that requests meet.
    tokio::time::sleep(Duration::from_millis(2)).await;
    let sequence = headers["dsync-sequence"].to_str().unwrap().parse().unwrap();
    app.seen.lock().unwrap().end(sequence, &json_of(&body));
    StatusCode::OK
}

impl Seen {
    fn begin(&mut self) {
        self.begun += 1;
        let in_flight = self.begun - self.answered;
        // Each answer that it gives makes room for one more, so 1, 2, 4, 8…
        if in_flight > self.answered + 1 {
            self.wrong.push(format!("{in_flight} at once after {} answers", self.answered));
        }
    }

    fn end(&mut self, sequence: u64, event: &Value) {
        self.answered += 1;
        for key in keys(event) {
            let before = self.last.insert(key.clone(), sequence).unwrap_or(0);
            if before >= sequence {
                self.wrong.push(format!("{key}: {sequence} after {before}"));
            }
        }
    }
}

/// What an outage could fill up: everything that is kept but the events themselves.
#[derive(Debug)]
struct Held {
    /// Lines that wait and attempts that were made.
    rows: i64,
    memory_kib: u64,
}

impl Held {
    fn of(server: &Server) -> Self {
        let store = Connection::open(server.data().join("data/store.db")).unwrap();
        store.busy_timeout(Duration::from_secs(30)).unwrap();
        let rows = |table: &str| {
            let count = format!("SELECT count(*) FROM {table}");
            store.query_row(&count, [], |row| row.get::<_, i64>(0)).unwrap()
        };
        Self {
            rows: rows("blocked_lines") + rows("attempts"),
            memory_kib: memory_kib(server.pid()),
        }
    }
}

fn memory_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

struct Company {
    directory: Directory,
    members: Value,
    groups: Vec<String>,
}

impl Company {
    async fn new(server: &Server) -> Self {
        let directory = server.api().directory("okta scim v2.0", "Acme").await;
        let names = (0..MEMBERS).map(|number| format!("m-{number}@acme.example"));
        let mut members = Vec::new();
        for name in names {
            members.push(json!({ "value": directory.user(&name).await }));
        }
        let mut groups = Vec::new();
        for number in 0..GROUPS {
            groups.push(directory.group(&format!("Group {number}")).await);
        }
        Self { directory, members: Value::Array(members), groups }
    }

    async fn round(&self, number: usize) {
        let change = if number.is_multiple_of(2) {
            json!([{ "op": "add", "path": "members", "value": self.members }])
        } else {
            json!([{ "op": "remove", "path": "members" }])
        };
        for group in &self.groups {
            let answer = self.directory.patch(&format!("/Groups/{group}"), change.clone()).await;
            answer.expect(204);
        }
    }
}

fn start(data: &Path) -> Server {
    let schedule = vec![format!("{PROBE_MS}ms"); 100].join(",");
    Server::start_with(data, &[("DSYNC_RETRY_SCHEDULE", &schedule)])
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: ./test --faults"]
async fn behind_an_app_that_is_down_nothing_grows_but_the_feed_and_then_all_arrives_in_order() {
    let data = tempfile::tempdir().unwrap();
    let server = start(data.path());
    let company = Company::new(&server).await;
    let app = App::default();
    let events = json!({ "events": ["dsync.group.user_added", "dsync.group.user_removed"] });
    server.api().endpoint_with(&app.start().await, events).await;

    let mut held = Vec::new();
    for number in 0..ROUNDS {
        company.round(number).await;
        held.push((app.turned_away(), Held::of(&server)));
    }
    eventually("some more probes", || async { (app.turned_away() > 20).then_some(()) }).await;
    // By a quarter everything is as warm as it gets.
    let ((probes, early), (more_probes, late)) = (&held[ROUNDS / 4], &held[ROUNDS - 1]);
    let room = 4 * (more_probes - probes + 1);
    assert!(
        late.rows <= early.rows + room,
        "{early:?} by {probes}, then {late:?} by {more_probes}"
    );
    assert!(late.memory_kib <= early.memory_kib + MEMORY_ROOM_KIB, "{early:?}, then {late:?}");

    app.is_up.store(true, Ordering::SeqCst);
    // The last of them stand in few lines, one behind the other, so how long it takes all of them says little.
    let mut answered = app.answered();
    while answered < EVENTS {
        eventually("another arrival", || async { (app.answered() > answered).then_some(()) }).await;
        answered = app.answered();
    }
    let seen = app.seen.lock().unwrap();
    assert_eq!(seen.wrong, Vec::<String>::new());
    assert_eq!(seen.answered, EVENTS, "each once");
    drop(seen);
}
