//! A Kafka for a test: real brokers, and nothing of them is left behind.

mod node;
mod records;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tempfile::TempDir;

use crate::server::eventually;
use node::{Kind, Node, Plan};
pub use records::Record;

/// Names brokers to use, `host:port,host:port`, where the tests shall not start one.
const SETTING: &str = "DSYNC_TEST_KAFKA";

/// Names the folder of Kafka's jars.
const LIBS: &str = "DSYNC_TEST_KAFKA_LIBS";

/// Who may come in through the listener that asks.
pub const USER: &str = "dsync";

/// Their password.
pub const PASSWORD: &str = "black-box";

/// How long brokers may take to come up: a JVM each, on a machine that has other things to do.
const START: Duration = Duration::from_secs(180);

/// How long one question to a broker may take.
const QUESTION: Duration = Duration::from_secs(5);

/// Brokers to test with.
#[derive(Debug)]
pub struct Kafka {
    bootstrap: String,
    /// None where they are somebody else's.
    cluster: Option<Cluster>,
}

/// There is no Kafka to test with.
#[derive(Clone, Copy, Debug)]
pub struct Missing;

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "no Kafka here; run ./test, which fetches it where Java and Maven are, or name the folder of its jars in {LIBS}"
        )
    }
}

impl Kafka {
    /// One broker that all tests of this program share: the one that `DSYNC_TEST_KAFKA` names, or one of our own,
    /// which ends with the program.
    ///
    /// # Errors
    ///
    /// If there is neither.
    pub fn shared() -> Result<&'static Self, Missing> {
        static SHARED: OnceLock<Result<Kafka, Missing>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| match std::env::var(SETTING) {
            Ok(bootstrap) if !bootstrap.is_empty() => Ok(Self { bootstrap, cluster: None }),
            Ok(_) | Err(_) => Self::start(1),
        });
        shared.as_ref().map_err(|missing| *missing)
    }

    /// So many brokers of the test's own, numbered from 0, to be killed and stopped at will.
    ///
    /// # Errors
    ///
    /// If the machine has no Kafka.
    pub fn start(nodes: usize) -> Result<Self, Missing> {
        Self::start_as(Kind::Tested, nodes)
    }

    /// One broker to be measured: it takes longer to start, and then runs as fast as a server of weeks does.
    ///
    /// # Errors
    ///
    /// If the machine has no Kafka.
    pub fn measured() -> Result<Self, Missing> {
        Self::start_as(Kind::Measured, 1)
    }

    fn start_as(kind: Kind, nodes: usize) -> Result<Self, Missing> {
        let libs = libs().ok_or(Missing)?;
        let cluster = Cluster::start(&libs, kind, nodes);
        let kafka = Self { bootstrap: cluster.bootstrap(), cluster: Some(cluster) };
        kafka.answers(nodes);
        Ok(kafka)
    }

    /// Where to reach them: `host:port,host:port`.
    #[must_use]
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Where to reach those of ours with TLS and a password, and the certificate authority to trust. None where they
    /// are somebody else's.
    #[must_use]
    pub fn secured(&self) -> Option<(String, &Path)> {
        let cluster = self.cluster.as_ref()?;
        let node = &cluster.nodes()[0];
        Some((format!("localhost:{}", node.plan.secured), &cluster.authority))
    }

    /// A name that no other topic has.
    #[must_use]
    pub fn fresh_name(&self) -> String {
        let mut chance = [0_u8; 8];
        let mut source = std::fs::File::open("/dev/urandom").expect("the system has chance");
        std::io::Read::read_exact(&mut source, &mut chance).expect("the system has chance");
        format!("dsync.test.{}", hex::encode(chance))
    }

    /// Creates a topic with these settings, and waits until a client is told of it.
    pub async fn create_topic(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        assert!(self.try_create_topic(name, partitions, settings).await, "the topic is made");
        eventually("that the topic is known", || async { self.knows(name).then_some(()) }).await;
    }

    /// The same; false if it is not made, because one of this name is still being deleted.
    pub async fn try_create_topic(
        &self,
        name: &str,
        partitions: i32,
        settings: &[(&str, &str)],
    ) -> bool {
        let copies = self.cluster.as_ref().map_or(1, |cluster| cluster.nodes().len().min(3));
        let copies = i32::try_from(copies).expect("at most three");
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(copies));
        for (key, value) in settings {
            topic = topic.set(key, value);
        }
        let made = self.admin().create_topics([&topic], &AdminOptions::new()).await;
        made.expect("the broker answers")[0].is_ok()
    }

    /// Adds partitions to a topic, so that it has this many.
    pub async fn add_partitions(&self, name: &str, count: usize) {
        let wanted = NewPartitions::new(name, count);
        let made = self.admin().create_partitions([&wanted], &AdminOptions::new()).await;
        made.expect("the broker answers")[0].as_ref().expect("the partitions are made");
    }

    /// Whether every partition of a topic has a leader.
    fn knows(&self, topic: &str) -> bool {
        let client: BaseConsumer = self.client().create().expect("the settings are sound");
        let Ok(metadata) = client.fetch_metadata(Some(topic), QUESTION) else { return false };
        let partitions = metadata.topics()[0].partitions();
        !partitions.is_empty() && partitions.iter().all(|partition| partition.error().is_none())
    }

    /// Deletes a topic.
    pub async fn delete_topic(&self, name: &str) {
        let gone = self.admin().delete_topics(&[name], &AdminOptions::new()).await;
        gone.expect("the broker answers")[0].as_ref().expect("the topic is deleted");
    }

    /// Deletes the records of a partition that lie before an offset, as an expired retention does.
    pub async fn delete_records(&self, topic: &str, partition: i32, before: i64) {
        let mut offsets = rdkafka::TopicPartitionList::new();
        let offset = rdkafka::Offset::Offset(before);
        offsets.add_partition_offset(topic, partition, offset).expect("a valid offset");
        let gone = self.admin().delete_records(&offsets, &AdminOptions::new()).await;
        gone.expect("the broker answers");
    }

    /// The offset behind the last record of a partition.
    #[must_use]
    pub fn end(&self, topic: &str, partition: i32) -> i64 {
        let client: BaseConsumer = self.client().create().expect("the settings are sound");
        client.fetch_watermarks(topic, partition, QUESTION).expect("a broker answers").1
    }

    /// For whatever else a test wants to arrange.
    #[must_use]
    pub fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().expect("the settings are sound")
    }

    /// The settings of a client.
    #[must_use]
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config
    }

    /// Which node leads a partition.
    #[must_use]
    pub fn leader(&self, topic: &str, partition: i32) -> usize {
        let client: BaseConsumer = self.client().create().expect("the settings are sound");
        let metadata = client.fetch_metadata(Some(topic), QUESTION).expect("a broker answers");
        let partitions = metadata.topics()[0].partitions();
        let found = partitions.iter().find(|found| found.id() == partition);
        usize::try_from(found.expect("there is one").leader()).expect("it has a leader")
    }

    /// On how many nodes each record of a topic is to be.
    #[must_use]
    pub fn copies(&self, topic: &str) -> usize {
        let client: BaseConsumer = self.client().create().expect("the settings are sound");
        let metadata = client.fetch_metadata(Some(topic), QUESTION).expect("a broker answers");
        let copies = metadata.topics()[0].partitions().iter().map(|one| one.replicas().len());
        copies.min().expect("it has partitions")
    }

    /// What a setting of a topic is.
    pub async fn setting(&self, topic: &str, name: &str) -> String {
        let resource = ResourceSpecifier::Topic(topic);
        let described = self.admin().describe_configs([&resource], &AdminOptions::new()).await;
        let described = described.expect("the broker answers").remove(0).expect("it is described");
        let found = described.entries.into_iter().find(|entry| entry.name == name);
        found.and_then(|entry| entry.value).expect("it has a value")
    }

    /// How many nodes are known to be there.
    #[must_use]
    pub fn count(&self) -> usize {
        let client: BaseConsumer = self.client().create().expect("the settings are sound");
        client.fetch_metadata(None, QUESTION).map_or(0, |metadata| metadata.brokers().len())
    }

    /// Ends a node at once, as a power cut would.
    pub fn kill(&self, node: usize) {
        self.own().nodes()[node].kill();
    }

    /// Asks a node to end, and waits until it has.
    pub fn terminate(&self, node: usize) {
        self.own().nodes()[node].terminate();
    }

    /// Holds a node up, connections and all.
    pub fn pause(&self, node: usize) {
        self.own().nodes()[node].signal("-STOP");
    }

    /// Whether a node runs.
    #[must_use]
    pub fn lives(&self, node: usize) -> bool {
        self.own().nodes()[node].lives()
    }

    /// The process of a node.
    #[must_use]
    pub fn pid(&self, node: usize) -> u32 {
        self.own().nodes()[node].pid()
    }

    /// Where a node keeps its topics, each partition in a folder `topic-number`.
    #[must_use]
    pub fn data(&self, node: usize) -> PathBuf {
        self.own().nodes()[node].data()
    }

    /// Lets a node that was held up go on.
    pub fn resume(&self, node: usize) {
        self.own().nodes()[node].signal("-CONT");
    }

    /// Starts a node again, on what it has stored. It takes a while until it answers.
    pub fn start_again(&self, node: usize) {
        self.own().nodes()[node].start();
    }

    fn own(&self) -> &Cluster {
        self.cluster.as_ref().expect("only brokers of our own are killed")
    }

    /// Waits until every node is known to be there.
    fn answers(&self, nodes: usize) {
        let begun = tokio::time::Instant::now();
        while begun.elapsed() < START {
            if self.count() == nodes {
                return;
            }
            self.own().nodes().iter_mut().for_each(Node::must_live);
        }
        panic!("Kafka does not answer; it says:\n{}", self.own().nodes()[0].said());
    }
}

/// Nodes with their files, each broker and controller in one.
#[derive(Debug)]
struct Cluster {
    nodes: Mutex<Vec<Node>>,
    authority: PathBuf,
    janitor: Child,
    _folder: TempDir,
}

impl Cluster {
    fn start(libs: &Path, kind: Kind, nodes: usize) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let janitor = janitor(folder.path());
        let authority = folder.path().join("authority.pem");
        let identity = identity(&authority);
        let plans = Plan::of(nodes);
        let nodes: Vec<Node> = (0..nodes)
            .map(|number| Node::prepare(libs, kind, folder.path(), &plans, number, &identity))
            .collect();
        let mut cluster = Self { nodes: Mutex::new(nodes), authority, janitor, _folder: folder };
        let nodes = cluster.nodes.get_mut().expect("nothing panics while it is held");
        Node::format_all(nodes);
        nodes.iter_mut().for_each(Node::start);
        cluster
    }

    fn nodes(&self) -> MutexGuard<'_, Vec<Node>> {
        self.nodes.lock().expect("nothing panics while it is held")
    }

    fn bootstrap(&self) -> String {
        let nodes = self.nodes();
        let hosts: Vec<String> =
            nodes.iter().map(|node| format!("127.0.0.1:{}", node.plan.plain)).collect();
        hosts.join(",")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.nodes().iter_mut().for_each(Node::kill);
        drop(self.janitor.stdin.take());
        let _ = self.janitor.wait();
    }
}

/// A program cannot drop what its tests share, and one that is killed drops nothing at all. So somebody waits for the
/// end of our pipe, which comes in any case, kills what is left and clears up.
fn janitor(folder: &Path) -> Child {
    let duty = r#"read -r _; for pid in "$1"/*/pid; do kill -9 "$(cat "$pid")"; done; rm -rf "$1""#;
    let mut janitor = Command::new("sh");
    janitor.args(["-c", duty, "sh"]).arg(folder).stdin(Stdio::piped());
    janitor.stdout(Stdio::null()).stderr(Stdio::null());
    // A group of its own: Ctrl-C at the tests must not end it before its work is done.
    std::os::unix::process::CommandExt::process_group(&mut janitor, 0);
    janitor.spawn().expect("there is a shell")
}

/// Makes a certificate authority, and the certificate and key of a broker in one PEM file.
fn identity(authority: &Path) -> PathBuf {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new([]).expect("no names");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    // A name of its own: OpenSSL takes a certificate whose issuer has the same name for its own issuer.
    params.distinguished_name.push(rcgen::DnType::CommonName, "authority of a test");
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let issuer = rcgen::CertifiedIssuer::self_signed(params, key).expect("a certificate");
    std::fs::write(authority, issuer.pem()).expect("the folder is ours");

    let key = rcgen::KeyPair::generate().expect("a key");
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let params = rcgen::CertificateParams::new(names).expect("valid names");
    let certificate = params.signed_by(&key, &issuer).expect("a certificate");
    let path = authority.with_file_name("broker.pem");
    let mut file = std::fs::File::create(&path).expect("the folder is ours");
    file.write_all((key.serialize_pem() + &certificate.pem()).as_bytes()).expect("there is room");
    path
}

/// The folder of the jars: what the environment says, else where `./test` puts them, in the folder that builds go to.
fn libs() -> Option<PathBuf> {
    let named = std::env::var_os(LIBS).map(PathBuf::from);
    let made = || {
        let program = std::env::current_exe().ok()?;
        let mut folders = program.ancestors().map(|folder| folder.join("tools/kafka-libs"));
        folders.find(|folder| folder.is_dir())
    };
    let holds_kafka = |folder: &PathBuf| {
        let mut files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        files.any(|file| file.file_name().to_string_lossy().starts_with("kafka_2.13-"))
    };
    let java = Command::new("java").arg("-version").stderr(Stdio::null()).status();
    let runs = java.is_ok_and(|status| status.success());
    named.or_else(made).filter(|folder| runs && holds_kafka(folder))
}
