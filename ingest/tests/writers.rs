//! Writers on a log that goes wrong and on streams that others write to as well, before the real
//! projector and the real store.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use api::fixtures;
use api::ports::{Directories, DirectoryChange, Organizations, Progress, Reach, ScimServiceChange};
use directory::patch::{MemberOp, parse_operations};
use directory::resource::UnknownMember;
use directory::{Answer, Command, Rejection};
use ingest::ports::{ListQuery, Refreshes, Replica, UserView};
use ingest::{WriteError, Writers, refresh};
use log::memory::{Fault, Memory};
use log::{EventLog, Partition};
use projector::ProjectionStore;
use schemas::scim::{Attributes, Value};
use schemas::{Actor, DirectoryId, Edge, ScimId, Timestamp};
use store::Store;
use tempfile::TempDir;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const P: Partition = Partition(0);

/// A clock that stands still and ids that count.
#[derive(Debug, Default)]
struct Still {
    ids: AtomicU64,
    /// The next id is none.
    broken: AtomicBool,
}

impl Edge for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_000)
    }

    fn id(&self) -> u128 {
        assert!(!self.broken.swap(false, Ordering::Relaxed), "there is no id");
        u128::from(self.ids.fetch_add(1, Ordering::Relaxed)) + 1_000
    }

    fn secret(&self) -> [u8; 32] {
        [9; 32]
    }

    fn dice(&self) -> f64 {
        0.5
    }
}

/// A directory, its log, and a projector at work.
struct World {
    _folder: TempDir,
    log: Arc<Memory>,
    store: Arc<Store>,
    edge: Arc<Still>,
    id: DirectoryId,
    stop: CancellationToken,
    projector: JoinHandle<Result<(), projector::run::Error>>,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (log, edge) = (Arc::new(Memory::new(1)), Arc::new(Still::default()));
        let store = Arc::new(Store::open(folder.path(), [7; 32], edge.clone()).unwrap());
        let id = directory(&store).await;
        let stop = CancellationToken::new();
        let follows: Arc<dyn EventLog> = log.clone();
        let into: Arc<dyn ProjectionStore> = store.clone();
        let projector = TaskTracker::new().spawn(projector::run(follows, into, P, stop.clone()));
        Self { _folder: folder, log, store, edge, id, stop, projector }
    }

    /// The writers of one more replica of ingest.
    fn writers(&self) -> Arc<Writers> {
        let (log, replica) = (self.log.clone(), self.store.clone());
        let (tracker, stop) = (TaskTracker::new(), self.stop.clone());
        Arc::new(Writers::new(log, replica, self.edge.clone(), tracker, stop))
    }

    async fn users(&self) -> Vec<UserView> {
        self.store.list_users(self.id, ListQuery::first(10_000)).await.unwrap().items
    }

    /// Names of users, sorted.
    async fn names(&self) -> Vec<String> {
        let users = self.users().await;
        let mut names: Vec<String> = users.into_iter().map(|view| view.user.name_key).collect();
        names.sort_unstable();
        names
    }

    async fn end(self) {
        self.stop.cancel();
        self.projector.await.unwrap().unwrap();
    }
}

async fn directory(store: &Store) -> DirectoryId {
    let organization = fixtures::organization(1);
    let new = fixtures::directory(organization.id, 1);
    let id = new.id;
    Organizations::create(store, organization).await.unwrap();
    Directories::create(store, Reach::Everything, new).await.unwrap();
    id
}

fn create(name: &str) -> Command {
    Command::CreateUser { attributes: Attributes::from([("userName", name)]).into() }
}

fn patch(id: ScimId, name: &str, value: &str) -> Command {
    let body = format!(
        r#"{{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations":[{{"op":"replace","path":"{name}","value":"{value}"}}]}}"#
    );
    let body: Attributes = serde_json::from_str(&body).unwrap();
    Command::PatchUser { id, operations: parse_operations(&body).unwrap() }
}

async fn submit(
    writers: &Writers,
    directory: DirectoryId,
    command: Command,
) -> Result<Answer, WriteError> {
    writers.submit(directory, P, command, Actor::default()).await
}

/// Submits all of them at once; the answers in the same order.
async fn all_at_once(
    writers: &[Arc<Writers>],
    directory: DirectoryId,
    commands: Vec<Command>,
) -> Vec<Result<Answer, WriteError>> {
    let mut set = JoinSet::new();
    for (index, command) in commands.into_iter().enumerate() {
        let writers = writers[index % writers.len()].clone();
        set.spawn(async move { (index, submit(&writers, directory, command).await) });
    }
    let mut answers = set.join_all().await;
    answers.sort_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

fn is_taken(answer: &Result<Answer, WriteError>) -> bool {
    matches!(answer, Err(WriteError::Rejected(Rejection::UserNameTaken(_))))
}

#[tokio::test]
async fn a_writer_that_panics_takes_one_request_with_it_and_is_replaced() {
    let world = World::new().await;
    let writers = world.writers();
    world.edge.broken.store(true, Ordering::Relaxed);
    let lost = submit(&writers, world.id, create("ada")).await;
    assert!(matches!(lost, Err(WriteError::Unknown)), "{lost:?}");
    submit(&writers, world.id, create("bob")).await.unwrap();
    assert_eq!(world.names().await, ["bob"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_want_a_name_at_two_replicas_exactly_one_gets_it() {
    let world = World::new().await;
    let replicas = [world.writers(), world.writers()];
    let names: Vec<String> = (0..300).map(|number| format!("user{}", number % 60)).collect();
    let commands = names.iter().map(|name| create(name)).collect();
    let answers = all_at_once(&replicas, world.id, commands).await;

    let mut got: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, answer) in names.iter().zip(&answers) {
        match answer {
            Ok(_) => *got.entry(name).or_default() += 1,
            // A replica that loses again and again tells its clients to come back.
            Err(WriteError::Contended) => {}
            other => assert!(is_taken(other), "{name}: {other:?}"),
        }
    }
    assert!(got.values().all(|times| *times == 1), "{got:?}");
    let named: Vec<&str> = got.into_keys().collect();
    assert_eq!(world.names().await, named, "who was told so is there, and nobody else");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_of_unknown_outcome_is_decided_again_as_soon_as_another_has_taken_its_place() {
    let world = World::new().await;
    let (ours, rival) = (world.writers(), world.writers());
    submit(&ours, world.id, create("first")).await.unwrap();
    world.log.inject(Fault::Lost);
    let open = submit(&ours, world.id, create("ours"));
    let taken = async {
        while !world.log.is_sound() {
            tokio::task::yield_now().await;
        }
        submit(&rival, world.id, create("rival")).await
    };
    let both = async { tokio::join!(open, taken) };
    // For a record that may still come it is waited for longer than that.
    let (ours, rival) = tokio::time::timeout(Duration::from_secs(2), both).await.unwrap();
    assert!(ours.is_ok() && rival.is_ok(), "{ours:?} {rival:?}");
    assert_eq!(world.names().await, ["first", "ours", "rival"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_acknowledgement_is_found_out_and_nothing_happens_twice() {
    let world = World::new().await;
    let writers = [world.writers()];
    for round in 0..5 {
        world.log.inject(Fault::AcknowledgementLost);
        let commands = (0..40).map(|number| create(&format!("user{round}-{number}"))).collect();
        let answers = all_at_once(&writers, world.id, commands).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }
    assert_eq!(world.names().await.len(), 200);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_writes_twice_changes_nothing_twice() {
    let world = World::new().await;
    let writers = [world.writers()];
    for round in 0..5 {
        world.log.inject(Fault::Duplicated);
        let commands = (0..40).map(|number| create(&format!("user{round}-{number}"))).collect();
        let answers = all_at_once(&writers, world.id, commands).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }
    assert_eq!(world.names().await.len(), 200);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_log_refuses_is_refused_and_what_was_decided_on_it_is_decided_again() {
    let world = World::new().await;
    let writers = [world.writers()];
    let mut expected = Vec::new();
    for round in 0..10 {
        world.log.inject(Fault::Unavailable);
        let names: Vec<String> = (0..150).map(|number| format!("u{round}-{number:03}")).collect();
        let commands = names.iter().map(|name| create(name)).collect();
        for (name, answer) in names.iter().zip(all_at_once(&writers, world.id, commands).await) {
            match answer {
                Ok(_) => expected.push(name.clone()),
                Err(WriteError::Unavailable(_)) => {}
                Err(other) => panic!("{name}: {other:?}"),
            }
        }
    }
    expected.sort_unstable();
    assert_eq!(world.names().await, expected, "who was told so is there, and nobody else");
    assert!(expected.len() < 1_500, "the log did refuse");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_that_nothing_was_to_be_done_because_of_what_the_log_refused() {
    let world = World::new().await;
    let writers = [world.writers()];
    let Answer::User(user) = submit(&writers[0], world.id, create("ada")).await.unwrap() else {
        panic!("a user was created");
    };
    // More than there can be appends.
    (0..150).for_each(|_| world.log.inject(Fault::Unavailable));
    let commands = (0..150).map(|_| patch(user.id, "title", "Countess")).collect();
    for answer in all_at_once(&writers, world.id, commands).await {
        assert!(matches!(answer, Err(WriteError::Unavailable(_))), "{answer:?}");
    }
    let after = world.store.user(world.id, user.id).await.unwrap().unwrap().user;
    assert!(after.attributes.get("title").is_none());
    world.end().await;
}

/// On one thread all of them wait before the writer looks, so that it could take them in one batch.
#[tokio::test]
async fn a_batch_is_full_of_a_few_large_changes_and_the_others_come_behind_it() {
    let world = World::new().await;
    let writers = [world.writers()];
    world.log.inject(Fault::Unavailable);
    let large = "x".repeat(300 * 1024);
    let commands = (0..150).map(|number| {
        let name = format!("u{number:03}");
        let attributes = Attributes::from([("userName", name.as_str()), ("note", &large)]);
        Command::CreateUser { attributes: attributes.into() }
    });
    let answers = all_at_once(&writers, world.id, commands.collect()).await;
    let refused = answers.iter().filter(|answer| matches!(answer, Err(WriteError::Unavailable(_))));
    // 300 KiB each, of 16 MiB in a batch; only the first was refused by the log.
    let refused = refused.count();
    assert!((1..=55).contains(&refused), "{refused}");
    let done = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!((done, world.names().await.len()), (150 - refused, 150 - refused));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_one_user_all_take_effect_however_they_are_batched() {
    let world = World::new().await;
    let writers = [world.writers(), world.writers()];
    let Answer::User(user) = submit(&writers[0], world.id, create("ada")).await.unwrap() else {
        panic!("a user was created");
    };
    let names = ["title", "nickName", "displayName", "locale", "timezone", "userType"];
    for round in 0..10 {
        let value = format!("value {round}");
        let commands = names.iter().map(|name| patch(user.id, name, &value)).collect();
        for answer in all_at_once(&writers, world.id, commands).await {
            answer.unwrap();
        }
        let after = world.store.user(world.id, user.id).await.unwrap().unwrap().user;
        for name in names {
            let found = after.attributes.get(name).and_then(Value::as_str);
            assert_eq!(found, Some(value.as_str()), "{name}");
        }
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_their_memberships_meet_whoever_is_first_at_whichever_replica() {
    let world = World::new().await;
    let replicas = [world.writers(), world.writers()];
    let (everything, now) = (Reach::Everything, Timestamp::from_millis(2));
    let pending = Some(UnknownMember::Pending);
    let change = ScimServiceChange { unknown_member: pending, ..ScimServiceChange::default() };
    world.store.change_scim_settings(everything, world.id, change, now).await.unwrap();
    let team = Attributes::from([("displayName", "Team")]);
    let team = Command::CreateGroup { attributes: team, members: Vec::new() };
    let Answer::Group(group) = submit(&replicas[0], world.id, team).await.unwrap() else {
        panic!("a group was created");
    };
    let commands = (0..80).flat_map(|number| {
        let name = format!("user{number}");
        let add = MemberOp::Add(vec![name.to_uppercase()]);
        let join = Command::PatchGroup { id: group.id, operations: Vec::new(), members: vec![add] };
        if number % 3 == 0 { [join, create(&name)] } else { [create(&name), join] }
    });
    let mut open: Vec<Command> = commands.collect();
    while !open.is_empty() {
        let answers = all_at_once(&replicas, world.id, open.clone()).await;
        // A replica that loses again and again tells its clients to come back.
        let mut answers = answers.into_iter();
        open.retain(|_| match answers.next().unwrap() {
            Ok(_) => false,
            Err(WriteError::Contended) => true,
            Err(other) => panic!("{other:?}"),
        });
    }
    let members = world.store.members(world.id, group.id, None, 1_000).await.unwrap();
    assert_eq!(members.len(), 80);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_decided_ahead_sees_what_the_one_before_it_did() {
    let world = World::new().await;
    let writers = world.writers();
    for round in 0..50 {
        let (first, second) = (format!("first{round}"), format!("second{round}"));
        let Answer::User(user) = submit(&writers, world.id, create(&first)).await.unwrap() else {
            panic!("a user was created");
        };
        // Queued in this order: the rename frees the name that the create asks for.
        let rename = submit(&writers, world.id, patch(user.id, "userName", &second));
        let again = async {
            tokio::task::yield_now().await;
            submit(&writers, world.id, create(&first)).await
        };
        let (renamed, again) = tokio::join!(rename, again);
        renamed.unwrap();
        again.unwrap();
    }
    assert_eq!(world.names().await.len(), 100);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_shutdown_what_waits_is_still_answered() {
    let world = World::new().await;
    let stop = CancellationToken::new();
    let tracker = TaskTracker::new();
    let writers = Arc::new(Writers::new(
        world.log.clone(),
        world.store.clone(),
        world.edge.clone(),
        tracker.clone(),
        stop.clone(),
    ));
    let commands = (0..400).map(|number| create(&format!("user{number}"))).collect();
    let waiting = tracker.spawn({
        let (writers, id) = ([writers.clone()], world.id);
        async move { all_at_once(&writers, id, commands).await }
    });
    world.log.wait_past(P, log::Offset(0)).await.unwrap();
    stop.cancel();
    tracker.close();
    let ended = tokio::time::timeout(Duration::from_secs(20), tracker.wait()).await;
    ended.expect("the writers end");
    let answers = waiting.await.unwrap();
    let done = answers.iter().filter(|answer| answer.is_ok()).count();
    let turned_away =
        answers.iter().filter(|a| matches!(a, Err(WriteError::Unavailable(_)))).count();
    assert_eq!(done + turned_away, 400, "{answers:?}");
    assert_eq!(world.names().await.len(), done);
    world.end().await;
}

#[tokio::test]
async fn a_job_that_follows_changed_rules_waits_for_what_was_decided_under_those_before() {
    let mut world = World::new().await;
    world.stop.cancel();
    (&mut world.projector).await.unwrap().unwrap();
    world.stop = CancellationToken::new();
    let writers = world.writers();
    // Decided, appended, and nobody has projected it yet.
    let tasks = TaskTracker::new();
    let (creating, id) = (Arc::clone(&writers), world.id);
    let created = tasks.spawn(async move { submit(&creating, id, create("ada")).await });
    while world.log.tail(P).await.unwrap().0 == 0 {
        tokio::task::yield_now().await;
    }
    let map = serde_json::from_str(r#"{"predefined":["username"]}"#).unwrap();
    let change = DirectoryChange { attribute_map: Some(map), ..DirectoryChange::default() };
    let at = Timestamp::from_millis(2);
    Directories::update(&*world.store, Reach::Everything, id, change, at).await.unwrap();
    let (store, jobs) = (Arc::clone(&world.store), Arc::clone(&writers));
    let mut job = tasks.spawn(async move {
        while let Some(open) = Refreshes::open(&*store).await.unwrap().pop() {
            refresh::step(&*store, &jobs, open).await.unwrap();
        }
    });
    let early = tokio::time::timeout(Duration::from_millis(300), &mut job).await;
    assert!(early.is_err(), "it knows that somebody is on the way");

    let follows: Arc<dyn EventLog> = world.log.clone();
    let into: Arc<dyn ProjectionStore> = world.store.clone();
    world.projector = tasks.spawn(projector::run(follows, into, P, world.stop.clone()));
    created.await.unwrap().unwrap();
    job.await.unwrap();
    let user = world.users().await.pop().unwrap().user;
    let mapped = user.shown.mapped.expect("the job has come to it");
    assert_eq!(mapped.custom_attributes.get("username"), Some(&Value::from("ada")));
    let page = Refreshes::users(&*world.store, id, None, 10).await.unwrap();
    assert_eq!((page.len(), page[0].events), (1, 1));
    let shown = Directories::get(&*world.store, Reach::Everything, id).await.unwrap();
    assert_eq!(shown.refresh, Progress { running: false, done: 1, total: 1 });
    world.end().await;
}
