//! Roles in processes of their own, on a real Kafka and a real PostgreSQL.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use tempfile::TempDir;
use tests::load::{Replicas, create_users, read_back, user_name};
use tests::postgres::Missing;
use tests::server::{command, eventually};
use tests::{Directory, Kafka, Postgres, Receiver, Server};
use tokio_postgres::Client;

use super::everything_at_once;
use crate::kafka::brokers;

/// The same for every process: 32 bytes.
const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The attempts of a dispatcher that went well.
const ATTEMPTED: &str = r#"dispatcher_attempts_total{outcome="delivered"}"#;

/// A log and a store that processes share.
pub(super) struct Cluster {
    pub(super) postgres: Postgres,
    pub(super) topic: String,
    log: String,
    partitions: u16,
    copies: usize,
    folder: TempDir,
}

/// A process with a folder of its own.
pub(super) struct Process {
    pub(super) server: Server,
    _folder: TempDir,
}

impl Cluster {
    /// None where there is no Kafka or no PostgreSQL, which is said aloud.
    pub(super) async fn new() -> Option<Self> {
        Self::of(1).await
    }

    /// The same with so many partitions.
    pub(super) async fn of(partitions: u16) -> Option<Self> {
        let cluster = Self::on(brokers(Kafka::shared())?, Postgres::shared().await)?;
        Some(Self { partitions, ..cluster })
    }

    /// The same on these brokers and this server.
    pub(super) fn on(kafka: &Kafka, postgres: Result<Postgres, Missing>) -> Option<Self> {
        let postgres = postgres.map_err(|missing| tests::not_checked(&missing)).ok()?;
        let topic = kafka.fresh_name();
        let log = crate::kafka::log_in(kafka, &topic);
        let (copies, folder) = (kafka.count().min(3), tempfile::tempdir().unwrap());
        Some(Self { postgres, topic, log, partitions: 1, copies, folder })
    }

    pub(super) fn settings(&self) -> [(&str, String); 5] {
        let store = self.postgres.url();
        [
            ("DSYNC_LOG", self.log.clone()),
            ("DSYNC_KAFKA_PARTITIONS", self.partitions.to_string()),
            ("DSYNC_KAFKA_COPIES", self.copies.to_string()),
            ("DSYNC_STORE", store),
            ("DSYNC_MASTER_KEY", MASTER_KEY.into()),
        ]
    }

    pub(super) fn start(&self, roles: &str) -> Process {
        let folder = tempfile::tempdir().unwrap();
        let settings = self.settings();
        let settings: Vec<(&str, &str)> =
            settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let server = Server::start_roles(folder.path(), roles, &settings);
        Process { server, _folder: folder }
    }

    /// The same store, and another topic for its log.
    pub(super) fn moves_to(&mut self, kafka: &Kafka, topic: String) {
        self.log = crate::kafka::log_in(kafka, &topic);
        self.topic = topic;
    }

    /// Runs a command on log and store: whether it succeeds, and what it says.
    pub(super) fn run(&self, arguments: &[&str]) -> (bool, String) {
        let mut run = command(self.folder.path());
        let output = run.args(arguments).envs(self.settings()).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    /// The chain is whole, and the state is what the log folds to.
    pub(super) fn verify(&self) {
        let (verified, said) = self.run(&["verify"]);
        assert!(verified, "verify says: {said}");
    }
}

/// Every event of the feed has arrived.
pub(super) async fn everything_arrives(api: &Server, receiver: &Receiver) {
    let types = "dsync.activated,dsync.user.created,dsync.user.updated";
    let events = api.api().events(types).await;
    let ids: BTreeSet<String> = events.iter().map(|event| json!(event["id"]).to_string()).collect();
    eventually("every webhook", || async {
        let arrived = receiver.arrived();
        let arrived = arrived.iter().map(|sent| json!(sent.id()).to_string());
        ids.is_subset(&arrived.collect::<BTreeSet<_>>()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_ingest_replicas_on_one_directory_lose_and_double_nothing() {
    let Some(cluster) = Cluster::new().await else { return };
    let (api, _projector) = (cluster.start("api"), cluster.start("projector"));
    let _dispatcher = cluster.start("dispatcher");
    let ingest = [(); 3].map(|()| cluster.start("ingest"));
    let receiver = Receiver::start().await;
    api.server.api().endpoint(receiver.url()).await;
    let directory = api.server.api().directory("azure scim v2.0", "Acme").await;
    let bases = ingest.each_ref().map(|process| process.server.base());
    let replicas = everything_at_once(&directory, &bases).await;
    assert_eq!(replicas.met().unanswered, 0, "every request was answered");
    everything_arrives(&api.server, &receiver).await;
    cluster.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_role_is_killed_under_load_nothing_acknowledged_is_lost() {
    let Some(cluster) = Cluster::new().await else { return };
    let api = cluster.start("api");
    let mut ingest = [cluster.start("ingest"), cluster.start("ingest")];
    let mut projectors = [cluster.start("projector"), cluster.start("projector")];
    let leases = cluster.postgres.connect().await;
    let mut dispatchers = Dispatchers::new();
    for _ in 0..2 {
        starts_one_more(&cluster, &leases, &mut dispatchers).await;
    }
    let receiver = Receiver::start().await;
    api.server.api().endpoint(receiver.url()).await;
    let directory: Directory = api.server.api().directory("azure scim v2.0", "Acme").await;
    let bases = ingest.each_ref().map(|process| process.server.base().to_owned());
    let replicas = Replicas::new(&directory, &bases.each_ref().map(String::as_str));

    let mut users = Vec::new();
    for (round, role) in ["ingest", "projector", "dispatcher"].into_iter().enumerate() {
        let prefix = format!("round{round}");
        let load = create_users(&replicas, &prefix, 150, 8);
        let kill = async {
            // Some are in, most are still to come.
            eventually("the load", || async {
                let found = replicas.find(0, &user_name(&prefix, 20)).await;
                found.is_some().then_some(())
            })
            .await;
            match role {
                "ingest" => {
                    replaced_after_a_kill(&cluster, role, &mut ingest[0]);
                    replicas.moved(0, ingest[0].server.base());
                }
                "projector" => replaced_after_a_kill(&cluster, role, &mut projectors[0]),
                _ => the_holder_is_killed(&cluster, &leases, &mut dispatchers).await,
            }
        };
        let (created, ()) = tokio::join!(load, kill);
        read_back(&replicas, 2, &prefix, &created).await;
        users.extend(created);
    }
    let list = replicas.pick(0).send("GET", "/Users?count=0", None).await.expect(200);
    assert_eq!(list.body["totalResults"], users.len(), "nobody is there twice");
    everything_arrives(&api.server, &receiver).await;
    cluster.verify();
}

fn replaced_after_a_kill(cluster: &Cluster, role: &str, process: &mut Process) {
    std::mem::replace(process, cluster.start(role)).server.kill();
}

/// Dispatchers by the names under which they hold leases.
type Dispatchers = BTreeMap<Vec<u8>, Process>;

/// Starts one, and waits until it has told its name: so the next that joins is another.
async fn starts_one_more(cluster: &Cluster, leases: &Client, dispatchers: &mut Dispatchers) {
    let process = cluster.start("dispatcher");
    let known: Vec<Vec<u8>> = dispatchers.keys().cloned().collect();
    let name = eventually("a dispatcher", || async {
        let sql = "SELECT id FROM dispatchers WHERE id <> ALL($1)";
        Some(leases.query_opt(sql, &[&known]).await.unwrap()?.get(0))
    });
    dispatchers.insert(name.await, process);
}

/// Kills the dispatcher that has the lane of the one endpoint, in the middle of its work, and waits until another has it.
async fn the_holder_is_killed(cluster: &Cluster, leases: &Client, dispatchers: &mut Dispatchers) {
    let lane = || async {
        let row = leases.query_one("SELECT holder, epoch FROM endpoints", &[]).await.unwrap();
        Some((row.get::<_, Option<Vec<u8>>>(0)?, row.get::<_, i64>(1)))
    };
    let (holder, epoch) = eventually("a holder of the lane", lane).await;
    let killed = dispatchers.remove(&holder).expect("it is one of the two");
    assert!(killed.server.api().metric(ATTEMPTED).await > 0.0, "it is at work");
    killed.server.kill();
    eventually("another holder of the lane", || async {
        lane().await.filter(|(now, later)| *now != holder && *later > epoch)
    })
    .await;
    let (standing_by, _) = dispatchers.first_key_value().expect("one of the two is left");
    let (now, _) = lane().await.expect("nobody else has ended");
    assert_eq!(now, *standing_by, "the one that stood by has taken it over");
    starts_one_more(cluster, leases, dispatchers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_of_every_role_leaves_no_request_without_an_answer() {
    let Some(cluster) = Cluster::new().await else { return };
    let mut apis = [cluster.start("api"), cluster.start("api")];
    let mut projectors = [cluster.start("projector"), cluster.start("projector")];
    let mut dispatchers = [cluster.start("dispatcher"), cluster.start("dispatcher")];
    let mut ingest = [cluster.start("ingest"), cluster.start("ingest")];
    let receiver = Receiver::start().await;
    let api = apis[0].server.api();
    api.endpoint(receiver.url()).await;
    let directory = api.directory("azure scim v2.0", "Acme").await;
    let bases = ingest.each_ref().map(|process| process.server.base().to_owned());
    let replicas = Replicas::new(&directory, &bases.each_ref().map(String::as_str));
    let moved = |number: usize, process: &Process| replicas.moved(number, process.server.base());
    let goes_on = |_: usize, _: &Process| {};
    let load = create_users(&replicas, "rolling", 400, 8);
    let restart = async {
        replaced(&cluster, "ingest", &mut ingest, &moved).await;
        replaced(&cluster, "projector", &mut projectors, &goes_on).await;
        replaced(&cluster, "api", &mut apis, &goes_on).await;
        replaced(&cluster, "dispatcher", &mut dispatchers, &goes_on).await;
    };
    let (users, ()) = tokio::join!(load, restart);
    read_back(&replicas, 2, "rolling", &users).await;
    assert_eq!(replicas.met().unanswered, 0, "every request was answered");
    everything_arrives(&apis[0].server, &receiver).await;
    cluster.verify();
}

/// Replaces both processes of a role, one after the other. The old one serves until those who send requests have heard of
/// the new one.
async fn replaced(
    cluster: &Cluster,
    role: &str,
    processes: &mut [Process; 2],
    moved: &impl Fn(usize, &Process),
) {
    for (number, process) in processes.iter_mut().enumerate() {
        let old = std::mem::replace(process, cluster.start(role));
        old.server.signal("TERM");
        // It says that it ends, and still answers.
        old.server.api().readiness(503, "not ready").await;
        moved(number, process);
        assert!(old.server.ends().await.success(), "{role} ends in order");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_process_alone_can_use_is_refused_to_a_part_of_the_roles() {
    let data = tempfile::tempdir().unwrap();
    let refused = command(data.path()).args(["serve", "--role", "ingest"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        said.contains("the embedded log and store can serve one process only: leave out --role"),
        "{said}"
    );
}
