//! The server is killed at random moments under load. Whatever it acknowledged is there afterwards,
//! the chain verifies, and every event reaches the endpoint.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tests::scim::user_body;
use tests::server::{command, eventually};
use tests::{Directory, Receiver, Server};

const KILLS: u32 = 50;
const WORKERS: usize = 6;

/// What one worker knows for certain, and the one write whose fate a kill may have left open.
#[derive(Default)]
struct Ledger {
    /// Title of each user, as last acknowledged.
    titles: BTreeMap<String, String>,
    /// Users whose membership was acknowledged.
    members: BTreeSet<String>,
    /// The title that was being set, if any.
    open: Option<(String, String)>,
    created: u32,
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_at_random_moments_lose_nothing() {
    let seed = std::hash::RandomState::new().build_hasher().finish();
    eprintln!("seed {seed}");
    let mut dice = Dice(seed | 1);
    let data = tempfile::tempdir().unwrap();
    let receiver = Receiver::start().await;
    let mut server = Server::start(data.path());
    server.api().endpoint(receiver.url()).await;
    let directory = server.api().directory("azure scim v2.0", "Acme").await;
    let group = directory.group("Everyone").await;
    let mut ledgers: Vec<Ledger> = (0..WORKERS).map(|_| Ledger::default()).collect();

    for kill in 0..KILLS {
        let alive = Arc::new(AtomicBool::new(true));
        let workers = ledgers.drain(..).enumerate().map(|(number, ledger)| {
            let directory = directory.at(server.base());
            work(directory, group.clone(), number, ledger, Arc::clone(&alive))
        });
        #[expect(clippy::disallowed_methods, reason = "the test awaits every task")]
        let workers: Vec<_> = workers.map(tokio::spawn).collect();
        tokio::time::sleep(Duration::from_millis(30 + dice.roll() % 300)).await;
        server.kill();
        alive.store(false, Ordering::Relaxed);
        for worker in workers {
            ledgers.push(worker.await.unwrap());
        }
        server = Server::start(data.path());
        if kill % 10 == 9 {
            verify_chain(&server);
        }
    }
    verify_chain(&server);
    let directory = directory.at(server.base());
    everything_acknowledged_is_there(&directory, &group, &ledgers).await;
    everything_was_sent(&server, &receiver).await;
}

/// Creates users, adds them to the group and changes their titles, until the server is gone.
async fn work(
    directory: Directory,
    group: String,
    number: usize,
    mut ledger: Ledger,
    alive: Arc<AtomicBool>,
) -> Ledger {
    ledger.settle(&directory).await;
    while alive.load(Ordering::Relaxed) && round(&directory, &group, number, &mut ledger).await {}
    ledger
}

/// One round; `false` when the server did not answer.
async fn round(directory: &Directory, group: &str, number: usize, ledger: &mut Ledger) -> bool {
    ledger.created += 1;
    let name = format!("crash.{number}.{}@acme.example", ledger.created);
    let created = directory.try_send("POST", "/Users", Some(user_body(&name))).await;
    let Ok(created) = created else { return false };
    let user = created.expect(201).id();
    ledger.titles.insert(user.clone(), "Retail Manager".into());

    let add = json!([{ "op": "add", "path": "members", "value": [{ "value": user }] }]);
    let body = tests::scim::patch_body(&add);
    let Ok(added) = directory.try_send("PATCH", &format!("/Groups/{group}"), Some(body)).await
    else {
        return false;
    };
    added.expect(204);
    ledger.members.insert(user.clone());

    let title = format!("Title {number}.{}", ledger.created);
    let set = json!([{ "op": "replace", "path": "title", "value": title }]);
    ledger.open = Some((user.clone(), title.clone()));
    let body = tests::scim::patch_body(&set);
    let Ok(set) = directory.try_send("PATCH", &format!("/Users/{user}"), Some(body)).await else {
        return false;
    };
    set.expect(200);
    ledger.open = None;
    ledger.titles.insert(user, title);
    true
}

impl Ledger {
    /// A write that was not answered happened or did not; from here on it is known which.
    async fn settle(&mut self, directory: &Directory) {
        let Some((user, title)) = self.open.take() else { return };
        let Ok(read) = directory.try_send("GET", &format!("/Users/{user}"), None).await else {
            self.open = Some((user, title));
            return;
        };
        let found = read.expect(200).body["title"].as_str().unwrap_or_default().to_owned();
        assert!(found == title || found == self.titles[&user], "{user} has the title {found:?}");
        self.titles.insert(user, found);
    }
}

fn verify_chain(server: &Server) {
    let folder = server.data();
    let output = command(folder).arg("verify").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "verify says: {said}{log}");
}

async fn everything_acknowledged_is_there(directory: &Directory, group: &str, ledgers: &[Ledger]) {
    let mut titles = 0;
    for ledger in ledgers {
        for (user, title) in &ledger.titles {
            let read = directory.send("GET", &format!("/Users/{user}"), None).await.expect(200);
            let found = read.body["title"].as_str().unwrap_or_default();
            let open = ledger.open.as_ref().filter(|(open, _)| open == user);
            assert!(
                found == title || open.is_some_and(|(_, open)| found == open),
                "{user}: {found:?} instead of {title:?}"
            );
            titles += 1;
        }
    }
    let read = directory.send("GET", &format!("/Groups/{group}"), None).await.expect(200);
    let members: BTreeSet<&str> = read.body["members"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
        .filter_map(|member| member["value"].as_str())
        .collect();
    for user in ledgers.iter().flat_map(|ledger| &ledger.members) {
        assert!(members.contains(user.as_str()), "{user} is no member");
    }
    assert!(titles > 50, "the load was too small to show anything: {titles} users");
    eprintln!("{titles} users, {} members", members.len());
}

async fn everything_was_sent(server: &Server, receiver: &Receiver) {
    let types = "dsync.activated,dsync.user.created,dsync.user.updated,dsync.group.created,\
        dsync.group.user_added";
    let events = server.api().events(types).await;
    let ids: BTreeSet<String> =
        events.iter().filter_map(|event| event["id"].as_str().map(str::to_owned)).collect();
    assert_eq!(ids.len(), events.len(), "an event is listed twice");
    eventually("the arrival of every event", || async {
        let arrived: BTreeSet<String> =
            receiver.arrived().iter().map(|sent| sent.id().to_owned()).collect();
        ids.is_subset(&arrived).then_some(())
    })
    .await;
    eprintln!("{} events, {} webhooks", ids.len(), receiver.arrived().len());
}

/// A small generator: the seed is printed, so that a failing run can be played again.
struct Dice(u64);

impl Dice {
    const fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
