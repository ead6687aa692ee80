//! The ports of the roles on SQLite, everything of one machine in a few files, and on PostgreSQL.
//!
//! A store has two halves, each behind a trait of its own (`backend`). `config` is what people have set up and what
//! deliveries have come to: `store.db`, which nothing can make again. `state` is what the log folds to:
//! `state-<generation>.db`, which a rebuild makes anew beside the old one and swaps in. `postgres` has the same on a
//! server. Each role's port is implemented in a file of `ports/`, on both halves, wherever they are.
//!
//! It is *not* the place of rules. SQL is plain statements, one file per subject, but for [`filter`], which
//! compiles what clients ask for, for SQLite and for PostgreSQL.
//!
//! Start with [`Store`].

mod actions;
mod backend;
mod columns;
mod config;
mod error;
pub mod filter;
mod generations;
pub mod master_key;
mod ports;
mod postgres;
mod sqlite;
mod state;
mod written;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use directory::Directory;
use directory::rules::GeneralRules;
use schemas::{Brake, DirectoryId, Edge};

use backend::{ConfigBackend, StateBackend};
use config::Config;
pub use config::attempts::Retention;
use error::DbError;
pub use error::OpenError;
pub use generations::{Generation, Snapshot};
use generations::{InFile, Making, OnServer, Swap, Taken};
use log::Partition;
pub use postgres::{Invalid, PostgresSettings};
use state::State;
pub use state::scratch::Scratch;

/// A store.
#[derive(Debug)]
pub struct Store {
    pub(crate) config: Box<dyn ConfigBackend>,
    pub(crate) state: Box<dyn StateBackend>,
    /// Among how many partitions of the log new directories are spread.
    pub(crate) partitions: AtomicU16,
    place: Place,
}

/// Where the state is.
#[derive(Debug)]
enum Place {
    Folder(std::path::PathBuf),
    Server(postgres::Postgres),
}

/// A store that does not answer.
#[derive(Debug, thiserror::Error)]
#[error("the store does not answer")]
pub struct Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>);

impl From<DbError> for Unavailable {
    fn from(error: DbError) -> Self {
        Self(Box::new(error))
    }
}

impl Store {
    /// Opens the store in this folder, and makes it if there is none.
    ///
    /// # Errors
    ///
    /// If a file cannot be opened, is something else, or was written by a later version.
    pub fn open(
        folder: &Path,
        master_key: [u8; 32],
        edge: Arc<dyn Edge>,
    ) -> Result<Self, OpenError> {
        let config = Config::open(&folder.join("store.db"), master_key, edge)?;
        let state = Box::new(State::open(&state_path(folder, config.generation()))?);
        remove_other_generations(folder, config.generation());
        Ok(Self {
            config: Box::new(config),
            state,
            partitions: AtomicU16::new(1),
            place: Place::Folder(folder.to_owned()),
        })
    }

    /// Opens a store on a server, which other replicas may have open too. All of them have one master key.
    ///
    /// # Errors
    ///
    /// If there is no master key or it is another than before, if the server does not let us in, or if its tables were
    /// made by a later version that this one cannot live with.
    pub async fn connect(
        server: PostgresSettings,
        master_key: Option<[u8; 32]>,
        edge: Arc<dyn Edge>,
    ) -> Result<Self, OpenError> {
        let Some(master_key) = master_key else {
            return Err(OpenError::NoMasterKey { server: server.to_string() });
        };
        let postgres = postgres::Postgres::open(server).await?;
        let config = postgres::config::Config::open(postgres.clone(), master_key, edge).await?;
        let state = postgres::state::State::open(postgres.clone()).await?;
        Ok(Self {
            config: Box::new(config),
            state: Box::new(state),
            partitions: AtomicU16::new(1),
            place: Place::Server(postgres),
        })
    }

    /// Takes over the rules that hold where a directory has none of its own.
    ///
    /// # Errors
    ///
    /// If they cannot be written.
    pub async fn set_general_rules(&self, rules: GeneralRules) -> Result<(), Unavailable> {
        Ok(self.config.set_general_rules(rules).await?)
    }

    /// Takes over the brake of directories that have none of their own; none if nobody says.
    pub fn set_general_brake(&self, brake: Option<Brake>) {
        self.config.set_general_brake(brake);
    }

    /// Says among how many partitions of the log new directories are spread; one if nobody says. Directories that are
    /// there stay where they are.
    pub fn set_partitions(&self, count: u16) {
        self.partitions.store(count, Ordering::Relaxed);
    }

    /// The last partition of the log that something here rests on: a directory lies in it, or it was read.
    pub fn last_partition(&self) -> Option<Partition> {
        let known = self.config.known();
        known.last_partition().max(self.state.progress().last_partition())
    }

    /// Says how long attempts at deliveries are remembered; the usual while if nobody says.
    pub fn remember_attempts(&self, retention: Retention) {
        self.config.set_retention(retention);
    }

    /// Whether both files answer.
    ///
    /// # Errors
    ///
    /// If one does not.
    pub async fn ready(&self) -> Result<(), Unavailable> {
        self.config.ready().await?;
        Ok(self.state.ready().await?)
    }

    /// Revokes the tokens whose time is over. They open nothing already; from then on their streams lag behind, which
    /// are those of the directories that it answers with.
    ///
    /// # Errors
    ///
    /// If the store cannot be written.
    pub async fn revoke_expired_tokens(&self) -> Result<Vec<DirectoryId>, Unavailable> {
        let known = self.config.known();
        let mut revoked = Vec::new();
        for directory in known.with_expired_tokens(self.config.now()) {
            self.config.revoke_expired(directory).await?;
            revoked.push(directory);
        }
        Ok(revoked)
    }

    /// The directories whose configuration may say what their streams do not yet.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub async fn unreconciled(&self) -> Result<Vec<DirectoryId>, Unavailable> {
        let known = self.config.known();
        let told = self.state.told().await?;
        let lags = known.directories().filter(|directory| !told.tells(directory));
        Ok(lags.map(|directory| directory.id).collect())
    }

    /// How many events apps have been told at least, where the state can be younger than that: in files, of which those
    /// of the state may be missing.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub async fn told_up_to(&self) -> Result<u64, Unavailable> {
        Ok(self.config.told_up_to().await?)
    }

    /// Lets apps be told whatever comes behind the end of the feed, though they were told more of one that is lost.
    ///
    /// # Errors
    ///
    /// If the store cannot be written.
    pub async fn tell_from_the_end(&self, feed_end: u64) -> Result<(), Unavailable> {
        Ok(self.config.tell_from(feed_end).await?)
    }

    /// Whether there is no event in the feed.
    pub fn is_without_events(&self) -> bool {
        *self.state.progress().feed_end().borrow() == 0
    }

    /// The directories whose streams lie in a partition, each with whether its identity provider has connected.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub async fn directories_in(
        &self,
        partition: Partition,
    ) -> Result<Vec<(Directory, bool)>, Unavailable> {
        let known = self.config.known();
        let mut found = Vec::new();
        for directory in known.directories() {
            if known.get(directory.id).is_some_and(|known| known.partition == partition) {
                let activated = self.state.is_activated(directory.id).await?;
                found.push((directory.clone(), activated));
            }
        }
        Ok(found)
    }

    /// An empty state beside the one in use, to be filled by a rebuild of a log with so many partitions. What of it has to
    /// wait does so in `scratch`, a folder with room.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub async fn new_generation(
        &self,
        partitions: u16,
        scratch: &Path,
    ) -> Result<Generation, OpenError> {
        Ok(Generation(match &self.place {
            Place::Folder(folder) => {
                let number = self.config.generation() + 1;
                let (made, in_use) = (state_path(folder, number), state_path(folder, number - 1));
                let made = InFile::create(&made, number, &in_use, (partitions, scratch))?;
                Making::File(Box::new(made))
            }
            Place::Server(postgres) => {
                let made = OnServer::create(postgres, (partitions, scratch)).await?;
                Making::Server(Box::new(made))
            }
        }))
    }

    /// Makes a filled generation the state in use: in PostgreSQL at once, in a folder from the next opening on.
    ///
    /// # Errors
    ///
    /// If that cannot be written, or a projector has applied what the generation does not know. The old state stays
    /// in use then.
    pub async fn swap_in(&self, generation: Generation) -> Result<(), Unavailable> {
        match generation.0 {
            Making::File(made) => Ok(self.config.set_generation(made.number()).await?),
            Making::Server(made) => {
                let why = match made.swap_in().await? {
                    Swap::Done => return Ok(()),
                    Swap::ProjectorMoved => {
                        "a projector has moved on meanwhile; stop the projectors, then rebuild again"
                    }
                    Swap::SchemaMoved => {
                        "a later version has changed the tables meanwhile; rebuild with that version"
                    }
                };
                Err(Unavailable(why.into()))
            }
        }
    }

    /// The state as of one moment.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub async fn snapshot(&self) -> Result<Snapshot, OpenError> {
        match &self.place {
            Place::Folder(folder) => Snapshot::open(folder),
            Place::Server(postgres) => {
                let taken = postgres::state::snapshot::Snapshot::take(postgres).await?;
                Ok(Snapshot(Taken::Server(taken)))
            }
        }
    }

    /// Finishes what was begun and closes the files. Blocks; for shutdown.
    pub fn close(&self) {
        self.state.close();
        self.config.close();
    }
}

fn state_path(folder: &Path, generation: u64) -> std::path::PathBuf {
    folder.join(format!("state-{generation}.db"))
}

/// What a rebuild left behind, whether it was swapped in or broke off.
fn remove_other_generations(folder: &Path, current: u64) {
    let Ok(files) = std::fs::read_dir(folder) else { return };
    for file in files.flatten() {
        let name = file.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix("state-")) else {
            continue;
        };
        let number = rest.split('.').next().and_then(|number| number.parse::<u64>().ok());
        if number.is_some_and(|number| number != current)
            && let Err(error) = std::fs::remove_file(file.path())
        {
            tracing::warn!(file = ?file.path(), %error, "an old state cannot be removed");
        }
    }
}
