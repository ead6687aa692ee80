//! One node of a cluster: its plan, its files, its process.

use std::fmt::Write as _;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use super::{PASSWORD, USER};

/// Any sixteen bytes in base64 will do: clusters of tests never meet.
const CLUSTER_ID: &str = "ZHN5bmMtdGVzdC1jbHVzdA";

/// For every JVM. Kafka's own choice is a collector with many threads.
const EVERYWHERE: &[&str] = &[
    "-XX:+UseSerialGC",
    "-XX:MaxDirectMemorySize=128m",
    "-Xshare:auto",
    "-Djava.awt.headless=true",
];

/// What a node is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// It is small, starts sooner, and runs slower than a server of weeks would.
    Tested,
    /// It is compiled as a server of weeks is, and has the memory that Kafka itself would choose.
    Measured,
}

impl Kind {
    const fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Tested => &["-Xms64m", "-Xmx384m", "-XX:TieredStopAtLevel=1"],
            Self::Measured => &["-Xms1g", "-Xmx1g"],
        }
    }
}

const LOGGING: &str = "\
status = error
appender.console.type = Console
appender.console.name = Console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d] %p %m (%c)%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = Console
";

/// The ports of a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// For everybody.
    pub(super) plain: u16,
    /// With TLS and a password.
    pub(super) secured: u16,
    /// For the other nodes.
    control: u16,
}

impl Plan {
    /// Free ports for so many nodes. Kafka has to know them before it listens, so all are held until the last is chosen.
    pub(super) fn of(nodes: usize) -> Vec<Self> {
        let held: Vec<TcpListener> = (0..nodes * 3)
            .map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"))
            .collect();
        let port = |at: usize| held[at].local_addr().expect("it is bound").port();
        let plan = |node: usize| {
            let [plain, secured, control] = [0, 1, 2].map(|which| port(node * 3 + which));
            Self { plain, secured, control }
        };
        (0..nodes).map(plan).collect()
    }
}

/// One broker and controller.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) plan: Plan,
    kind: Kind,
    libs: PathBuf,
    folder: PathBuf,
    process: Option<Child>,
}

impl Node {
    /// Writes the settings of a node.
    pub(super) fn prepare(
        libs: &Path,
        kind: Kind,
        cluster: &Path,
        plans: &[Plan],
        number: usize,
        identity: &Path,
    ) -> Self {
        let folder = cluster.join(format!("node-{number}"));
        std::fs::create_dir(&folder).expect("the folder is ours");
        std::fs::write(folder.join("log4j2.properties"), LOGGING).expect("there is room");
        let settings = settings(&folder, plans, number, identity);
        std::fs::write(folder.join("server.properties"), settings).expect("there is room");
        Self { plan: plans[number], kind, libs: libs.to_owned(), folder, process: None }
    }

    /// Lets every node write what it needs before its first start, all at once.
    pub(super) fn format_all(nodes: &[Self]) {
        let scram = format!("SCRAM-SHA-256=[name={USER},password={PASSWORD}]");
        let formatting: Vec<Child> = nodes
            .iter()
            .map(|node| {
                node.java("kafka.tools.StorageTool")
                    .args(["format", "--cluster-id", CLUSTER_ID, "--add-scram", &scram])
                    .args(["--config", "server.properties"])
                    .spawn()
                    .expect("java can be run")
            })
            .collect();
        for (node, mut process) in nodes.iter().zip(formatting) {
            let status = process.wait().expect("the process is ours");
            assert!(status.success(), "Kafka does not format its folder:\n{}", node.said());
        }
    }

    pub(super) fn start(&mut self) {
        let process = self.java("kafka.Kafka").arg("server.properties").spawn();
        let process = process.expect("java can be run");
        std::fs::write(self.folder.join("pid"), process.id().to_string()).expect("there is room");
        self.process = Some(process);
    }

    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
            let _ = std::fs::remove_file(self.folder.join("pid"));
        }
    }

    pub(super) fn terminate(&mut self) {
        self.signal("-TERM");
        if let Some(mut process) = self.process.take() {
            process.wait().expect("the process is ours");
            let _ = std::fs::remove_file(self.folder.join("pid"));
        }
    }

    pub(super) fn signal(&self, signal: &str) {
        let process = self.process.as_ref().expect("the node runs");
        let pid = process.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().expect("kill exists");
        assert!(sent.success(), "{signal} could not be sent");
    }

    /// Fails with what the node said when it is no more.
    pub(super) fn must_live(&mut self) {
        let ended = self.process.as_mut().and_then(|process| process.try_wait().ok().flatten());
        assert!(ended.is_none(), "Kafka does not start; it says:\n{}", self.said());
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.as_ref().expect("the node runs").id()
    }

    /// Where it keeps its topics.
    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Whether it was started and has not been killed.
    pub(super) fn lives(&self) -> bool {
        self.process.is_some()
    }

    /// What the node said so far.
    pub(super) fn said(&self) -> String {
        std::fs::read_to_string(self.folder.join("out.log")).unwrap_or_default()
    }

    fn java(&self, main: &str) -> Command {
        let log = self.folder.join("out.log");
        let log = File::options().create(true).append(true).open(log).expect("there is room");
        let mut java = Command::new("java");
        java.current_dir(&self.folder).args(EVERYWHERE).args(self.kind.flags());
        java.arg("-Dlog4j2.configurationFile=log4j2.properties");
        java.arg("-cp").arg(self.libs.join("*")).arg(main);
        java.stdout(log.try_clone().expect("a file can be shared")).stderr(log);
        java
    }
}

/// The settings of one node. What differs from Kafka's own choice keeps it small, or keeps tests from waiting.
fn settings(folder: &Path, plans: &[Plan], number: usize, identity: &Path) -> String {
    let Plan { plain, secured, control } = plans[number];
    let voters: Vec<String> = (0..)
        .zip(plans)
        .map(|(number, plan): (usize, _)| format!("{number}@127.0.0.1:{}", plan.control))
        .collect();
    let (copies, in_sync) = if plans.len() >= 3 { (3, 2) } else { (1, 1) };
    let (data, identity) = (folder.join("data"), identity.display());
    let mut settings = String::new();
    for (key, value) in [
        ("process.roles", "broker,controller".to_owned()),
        ("node.id", number.to_string()),
        ("controller.quorum.voters", voters.join(",")),
        ("controller.listener.names", "CONTROL".to_owned()),
        ("inter.broker.listener.name", "PLAIN".to_owned()),
        (
            "listener.security.protocol.map",
            "CONTROL:PLAINTEXT,PLAIN:PLAINTEXT,SECURED:SASL_SSL".to_owned(),
        ),
        (
            "listeners",
            format!(
                "PLAIN://127.0.0.1:{plain},SECURED://127.0.0.1:{secured},CONTROL://127.0.0.1:{control}"
            ),
        ),
        (
            "advertised.listeners",
            format!("PLAIN://127.0.0.1:{plain},SECURED://localhost:{secured}"),
        ),
        ("listener.name.secured.ssl.keystore.type", "PEM".to_owned()),
        ("listener.name.secured.ssl.keystore.location", identity.to_string()),
        ("listener.name.secured.sasl.enabled.mechanisms", "SCRAM-SHA-256".to_owned()),
        (
            "listener.name.secured.scram-sha-256.sasl.jaas.config",
            "org.apache.kafka.common.security.scram.ScramLoginModule required;".to_owned(),
        ),
        ("log.dirs", data.display().to_string()),
        ("auto.create.topics.enable", "false".to_owned()),
        ("default.replication.factor", copies.to_string()),
        ("min.insync.replicas", in_sync.to_string()),
        ("offsets.topic.replication.factor", copies.to_string()),
        ("offsets.topic.num.partitions", "1".to_owned()),
        ("transaction.state.log.replication.factor", copies.to_string()),
        ("transaction.state.log.min.isr", in_sync.to_string()),
        ("transaction.state.log.num.partitions", "1".to_owned()),
        ("share.coordinator.state.topic.replication.factor", copies.to_string()),
        ("share.coordinator.state.topic.min.isr", in_sync.to_string()),
        ("group.initial.rebalance.delay.ms", "0".to_owned()),
        ("num.network.threads", "2".to_owned()),
        ("num.io.threads", "4".to_owned()),
        // Comes out of the heap, and is 128 MiB otherwise.
        ("log.cleaner.dedupe.buffer.size", "4194304".to_owned()),
    ] {
        writeln!(settings, "{key}={value}").expect("a string takes everything");
    }
    settings
}
