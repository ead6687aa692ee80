//! What the processes of a cluster share, and what they use.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tests::{Kafka, Postgres};

use crate::Failure;
use crate::dsync::{Dsync, command, cpu_of};

/// 32 bytes, the same for every process.
const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A broker and a database, both as durable as they come.
pub(crate) struct World {
    pub(crate) kafka: Kafka,
    pub(crate) postgres: Postgres,
    pub(crate) topic: String,
    folder: TempDir,
}

impl World {
    pub(crate) async fn start() -> Result<Self, Failure> {
        let kafka = Kafka::measured().map_err(|missing| missing.to_string())?;
        let postgres = Postgres::measured().await.map_err(|missing| missing.to_string())?;
        let topic = kafka.fresh_name();
        Ok(Self { kafka, postgres, topic, folder: tempfile::tempdir()? })
    }

    /// The same broker and topic with another database, which is empty.
    pub(crate) async fn with_empty_database(self) -> Result<Self, Failure> {
        let postgres = Postgres::measured().await.map_err(|missing| missing.to_string())?;
        Ok(Self { postgres, ..self })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A command of the binary on this log and store.
    pub(crate) fn command(&self) -> Result<Command, Failure> {
        let mut command = command(self.folder())?;
        command
            .env("DSYNC_KAFKA_COPIES", "1")
            .env("DSYNC_LOG", format!("kafka://{}/{}", self.kafka.bootstrap(), self.topic))
            .env("DSYNC_STORE", self.postgres.url())
            .env("DSYNC_MASTER_KEY", MASTER_KEY);
        Ok(command)
    }

    /// A process with these roles; with every role, if none is named.
    pub(crate) fn dsync(&self, roles: Option<&str>) -> Result<Dsync, Failure> {
        let mut serve = self.command()?;
        serve.arg("serve");
        if let Some(roles) = roles {
            serve.args(["--role", roles]);
        }
        Dsync::started(serve)
    }

    /// The processor time that broker and database have used so far.
    pub(crate) fn cpu(&self) -> Result<BTreeMap<&'static str, Duration>, Failure> {
        let postgres = self.postgres.pid().ok_or("the database is somebody else's")?;
        Ok([("kafka", cpu_of(self.kafka.pid(0))?), ("postgres", family(postgres)?)].into())
    }
}

/// The processor time of a process and its children, those that have ended among them.
fn family(pid: u32) -> Result<Duration, Failure> {
    let mut total = cpu_of(pid)?;
    let ended: Vec<u64> =
        fields(pid)?[13..15].iter().map(|it| it.parse()).collect::<Result<_, _>>()?;
    total += Duration::from_millis(10 * ended.iter().sum::<u64>());
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Ok(child) = entry.file_name().to_string_lossy().parse() else { continue };
        // One that has just ended is counted with its parent.
        let is_child = fields(child).is_ok_and(|of| of.get(1) == Some(&pid.to_string()));
        if is_child && let Ok(used) = cpu_of(child) {
            total += used;
        }
    }
    Ok(total)
}

/// What stands in `/proc/<pid>/stat` behind the name: the state comes first, the parent second.
fn fields(pid: u32) -> Result<Vec<String>, Failure> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = stat.rsplit_once(')').ok_or("no such line")?;
    Ok(rest.split_whitespace().map(str::to_owned).collect())
}
