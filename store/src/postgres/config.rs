//! What people have set up, and what deliveries have come to, on a server that several replicas share.
//!
//! What every request asks is answered from memory, as everywhere. That memory follows the table `configuration`: a
//! change counts up there first, in its own transaction, so changes come one after the other; whoever reads a count
//! knows what was changed up to it. A replica learns of the changes of others
//!
//! - by `NOTIFY`, within milliseconds;
//! - by asking every second ([`watch::LOOK_EVERY`]), should a notification be lost;
//! - and whoever lets somebody in trusts no memory that was not confirmed in the last five seconds
//!   ([`STALE_MAX`]): then it asks, and lets nobody in if there is no answer.
//!
//! So what is void on one replica opens nothing on any other after five seconds at the most, whatever breaks.

mod admin_events;
mod answers;
mod app_rules;
mod attempts;
mod backend;
mod brakes;
mod console;
mod deliveries;
mod directories;
mod endpoints;
mod host_names;
mod keys;
mod leases;
mod memory;
mod oauth;
mod operational;
mod organizations;
mod portal_links;
mod query;
mod replays;
mod requests;
mod signing_key;
mod watch;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock, Weak};
use std::time::Duration;

use deadpool_postgres::{Object, Transaction};
use schemas::{Brake, DirectoryId, Edge, Timestamp};

use super::Postgres;
use crate::config::attempts::Retention;
use crate::config::{Known, Sealer, signing_key::Ring};
use crate::error::{DbError, OpenError};
use memory::Memory;
use query::{commit, execute, first, int};
use watch::Watcher;

/// How old what is known may be when somebody is let in. Longer than a restart of the server's network path takes, and
/// as long as a revoked token may work on where everything else has failed.
pub(crate) const STALE_MAX: Duration = Duration::from_secs(5);

/// See the module.
pub(crate) struct Config {
    db: Postgres,
    memory: Arc<Memory>,
    watcher: Watcher,
    /// The keys, with what was known when they were read.
    signing_keys: RwLock<Option<(Weak<Known>, Arc<Ring>)>>,
    retention: Mutex<Retention>,
    /// The brake of directories that have none of their own, which is a setting of each process.
    general_brake: Mutex<Option<Brake>>,
    generation: AtomicU64,
    sealer: Arc<Sealer>,
    edge: Arc<dyn Edge>,
    /// Whose jobs are whose.
    replica: [u8; 16],
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("db", &self.db).finish_non_exhaustive()
    }
}

/// What a change is about. Whatever somebody keeps in memory counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    /// Any of the directories and tokens.
    Directories,
    /// One directory and its tokens.
    Directory(DirectoryId),
    /// Endpoints and replays.
    Endpoints,
    /// Rules that users have to be shown by.
    Rules,
    /// What nobody keeps in memory: organizations and keys. It waits its turn like the others.
    Nothing,
}

/// A change under way. Dropping it undoes it.
struct Change<'a> {
    tx: Transaction<'a>,
    about: About,
}

impl Config {
    /// Checks the master key, learns what is there and begins to follow it.
    pub(crate) async fn open(
        db: Postgres,
        master_key: [u8; 32],
        edge: Arc<dyn Edge>,
    ) -> Result<Self, OpenError> {
        let failed = |error| OpenError::server(db.settings(), error);
        let sealer = Arc::new(Sealer::new(master_key, Arc::clone(&edge)));
        let mut client = db.client().await.map_err(failed)?;
        if !is_the_key(&client, &sealer).await.map_err(failed)? {
            return Err(OpenError::MasterKey { server: db.settings().to_string() });
        }
        let row = first(&client, "SELECT generation FROM configuration", &[]).await;
        let generation = row.map_err(failed)?.map_or(1, |row| row.get::<_, i64>(0));
        let memory = Arc::new(Memory::default());
        memory.look(&mut client).await.map_err(failed)?;
        drop(client);
        let watcher = Watcher::start(&db, Arc::clone(&memory))?;
        Ok(Self {
            memory,
            watcher,
            signing_keys: RwLock::default(),
            generation: AtomicU64::new(generation.unsigned_abs()),
            retention: Mutex::default(),
            general_brake: Mutex::default(),
            sealer,
            replica: edge.id().to_be_bytes(),
            edge,
            db,
        })
    }

    fn now(&self) -> Timestamp {
        self.edge.now()
    }

    fn known(&self) -> Arc<Known> {
        self.memory.known()
    }

    async fn fresh(&self) -> Result<Arc<Known>, DbError> {
        if !self.memory.is_confirmed(STALE_MAX) {
            match tokio::time::timeout(STALE_MAX, self.look()).await {
                Ok(looked) => looked?,
                Err(_) => return Err(DbError::Silent),
            }
        }
        Ok(self.memory.known())
    }

    fn retention(&self) -> Retention {
        *self.retention.lock().expect("nothing panics while it is held")
    }

    /// Begins a change. Those of other replicas wait until it has ended.
    async fn begin<'a>(&self, client: &'a mut Object, about: About) -> Result<Change<'a>, DbError> {
        let tx = client.transaction().await?;
        let (all, endpoints, refreshes) = match about {
            About::Directories | About::Directory(_) => (1_i64, 0_i64, 0_i64),
            About::Endpoints => (1, 1, 0),
            About::Rules => (1, 0, 1),
            About::Nothing => (0, 0, 0),
        };
        let sql = "UPDATE configuration SET version = version + $3, endpoints = endpoints + $1,
            refreshes = refreshes + $2";
        execute(&tx, sql, &[&endpoints, &refreshes, &all]).await?;
        Ok(Change { tx, about })
    }

    /// Ends a change: others are told, and this process knows it before whoever asked for it gets an answer.
    async fn commit(&self, change: Change<'_>) -> Result<(), DbError> {
        let Change { tx, about } = change;
        if about == About::Nothing {
            return commit(tx).await;
        }
        let versions = memory::versions(&*tx).await?;
        if let About::Directory(id) = about {
            memory::tell(&*tx, versions.all, id).await?;
        }
        let (before, known) = self.known_after(&tx, about, versions.all).await?;
        self.db.notify(&tx, watch::CHANGED).await?;
        commit(tx).await?;
        self.memory.learn(versions, Some((before, known)), None);
        Ok(())
    }

    /// What will be known with this version, and the one that is known before it. Unless others have changed something that is not known here yet, only
    /// what this change was about is read.
    async fn known_after(
        &self,
        tx: &Transaction<'_>,
        about: About,
        version: i64,
    ) -> Result<(i64, Known), DbError> {
        let (before, known) = self.memory.as_of();
        let known = match about {
            About::Directory(id) if before + 1 == version => {
                memory::reload(&known, &**tx, id).await?
            }
            About::Directory(_)
            | About::Directories
            | About::Endpoints
            | About::Rules
            | About::Nothing => memory::load(&**tx).await?,
        };
        Ok((before, known))
    }

    /// Asks what has changed, at once.
    async fn look(&self) -> Result<(), DbError> {
        self.memory.look(&mut *self.db.client().await?).await
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    async fn set_generation(&self, generation: u64) -> Result<(), DbError> {
        let client = self.db.client().await?;
        execute(&client, "UPDATE configuration SET generation = $1", &[&int(generation)]).await?;
        self.generation.store(generation, Ordering::Relaxed);
        Ok(())
    }

    fn close(&self) {
        self.watcher.end();
        self.db.close();
    }
}

/// Whether secrets are sealed under this key; the first replica decides.
async fn is_the_key(client: &Object, sealer: &Sealer) -> Result<bool, DbError> {
    let sql = "UPDATE configuration SET key_check = $1 WHERE key_check IS NULL";
    execute(client, sql, &[&sealer.check()]).await?;
    let row = first(client, "SELECT key_check FROM configuration", &[]).await?;
    let sealed: Vec<u8> = row.map(|row| row.get(0)).unwrap_or_default();
    Ok(sealer.has_made(&sealed))
}
