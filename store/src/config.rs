//! What people have set up: organizations, directories, tokens, keys, endpoints; and how far
//! deliveries have come. `store.db`.
//!
//! Configuration is written with `synchronous=FULL`, since nothing can make it again; delivery
//! progress with `NORMAL`, since the worst that its loss does is to repeat deliveries. What every
//! request asks (which token opens which directory) is answered from memory.

pub(crate) mod access;
mod admin_events;
pub(crate) mod answers;
pub(crate) mod app_rules;
pub(crate) mod attempts;
mod backend;
pub(crate) mod brakes;
pub(crate) mod console;
mod cursors;
pub(crate) mod deliveries;
pub(crate) mod directories;
pub(crate) mod endpoints;
pub(crate) mod health;
pub(crate) mod host_names;
pub(crate) mod keys;
pub(crate) mod known;
mod leases;
pub(crate) mod oauth;
pub(crate) mod operational;
pub(crate) mod organizations;
pub(crate) mod outward;
pub(crate) mod placement;
pub(crate) mod portal_links;
pub(crate) mod replays;
pub(crate) mod requests;
pub(crate) mod sealed;
pub(crate) mod signing_key;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use api::ports::Digest;
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};
use schemas::{Brake, DirectoryId, Edge, Timestamp, TokenId};
use tokio::sync::watch;

use crate::error::{DbError, OpenError};
use crate::sqlite::{Options, Pool, as_sql, connect, from_sql, migrate};
use access::{AccessToken, AccessTokens};
use attempts::Retention;
pub(crate) use known::{Entry, Known, KnownDirectory, KnownToken};
pub(crate) use sealed::Sealer;

/// Only ever added to.
const MIGRATIONS: &[&str] = &[
    include_str!("config/schema.sql"),
    include_str!("config/requests.sql"),
    include_str!("config/scim_settings.sql"),
    include_str!("config/oauth.sql"),
    include_str!("config/security_events.sql"),
    include_str!("config/delivery.sql"),
    include_str!("config/answers.sql"),
    include_str!("config/debug_requests.sql"),
    include_str!("config/signing_keys.sql"),
    include_str!("config/outward.sql"),
    include_str!("config/app_rules.sql"),
    include_str!("config/host_names.sql"),
    include_str!("config/portal_links.sql"),
    include_str!("config/brake.sql"),
    include_str!("config/console.sql"),
    include_str!("config/many.sql"),
    include_str!("config/standing.sql"),
    include_str!("config/attempts_of_events.sql"),
    include_str!("config/attempts.sql"),
    include_str!("config/key_check.sql"),
    include_str!("config/token_ends.sql"),
    include_str!("config/admin_events.sql"),
];

const CACHE_KIB: u32 = 1_024;

/// How often a token's last use is written at most. Who rotates tokens needs minutes, not requests.
pub(crate) const TOKEN_USE_EVERY: std::time::Duration = std::time::Duration::from_secs(60);

/// Configuration and delivery progress.
pub(crate) struct Config {
    /// Survives power loss with every commit.
    durable: Pool,
    /// May lose the last commits.
    progress: Pool,
    readers: Pool,
    memory: Arc<Memory>,
    endpoints_version: watch::Sender<u64>,
    refreshes_version: watch::Sender<u64>,
    brakes_version: watch::Sender<u64>,
    general_brake: Mutex<Option<Brake>>,
    /// Whether any event is held.
    any_held: AtomicBool,
    operational_end: watch::Sender<u64>,
    retention: Mutex<Retention>,
    leases: leases::Leases,
    generation: AtomicU64,
    signing_keys: RwLock<Option<Arc<signing_key::Ring>>>,
    sealer: Arc<Sealer>,
    edge: Arc<dyn Edge>,
}

/// What every request asks, as of the last change. Jobs of both writing pools change it, each after its
/// commit and whether or not the caller still waits: what is durably void must open nothing.
#[derive(Debug)]
struct Memory {
    known: RwLock<Arc<Known>>,
    access_tokens: RwLock<AccessTokens>,
}

/// What a change may have touched of what is known.
#[derive(Clone, Copy, Debug)]
enum Touched {
    Anything,
    Directory(DirectoryId),
    Nothing,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Config(…)")
    }
}

/// Whether the store is sealed with this key. The first key is, if it opens what was sealed before there was a check.
fn is_the_key(connection: &Connection, sealer: &Sealer) -> Result<bool, rusqlite::Error> {
    let sql = "SELECT key_check FROM meta";
    let check: Option<Vec<u8>> = connection.query_row(sql, [], |row| row.get(0))?;
    if let Some(check) = check {
        return Ok(sealer.has_made(&check));
    }
    let sql = "SELECT id, secret FROM endpoints LIMIT 1";
    let sealed = connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?)));
    if let Some((owner, sealed)) = sealed.optional()?
        && sealer.open(owner, &sealed).is_err()
    {
        return Ok(false);
    }
    connection.execute("UPDATE meta SET key_check = ?1", [sealer.check()])?;
    Ok(true)
}

impl Config {
    pub(crate) fn open(
        path: &Path,
        master_key: [u8; 32],
        edge: Arc<dyn Edge>,
    ) -> Result<Self, OpenError> {
        let options =
            |writable, synchronous| Options { writable, synchronous, cache_kib: CACHE_KIB };
        let open = |options| connect(path, options).map_err(OpenError::at(path));
        let mut durable = open(options(true, "FULL"))?;
        migrate(&mut durable, path, MIGRATIONS)?;
        let unreadable = |error: DbError| OpenError::Unreadable {
            path: path.to_owned(),
            source: Box::new(error),
        };
        let sealer = Arc::new(Sealer::new(master_key, Arc::clone(&edge)));
        if !is_the_key(&durable, &sealer).map_err(OpenError::at(path))? {
            return Err(OpenError::OtherMasterKey { path: path.to_owned() });
        }
        let memory = Memory {
            known: RwLock::new(Arc::new(known::load(&durable).map_err(&unreadable)?)),
            access_tokens: RwLock::new(oauth::load(&durable).map_err(&unreadable)?),
        };
        let generation: i64 = durable
            .query_row("SELECT generation FROM meta", [], |row| row.get(0))
            .map_err(OpenError::at(path))?;
        let any_held = brakes::any_held(&durable).map_err(&unreadable)?;
        let told = operational::end(&durable).map_err(&unreadable)?;
        Ok(Self {
            operational_end: watch::Sender::new(told),
            retention: Mutex::default(),
            leases: leases::Leases::default(),
            progress: Pool::start("store-progress", vec![open(options(true, "NORMAL"))?])?,
            readers: Pool::start("store-reader", vec![open(options(false, "NORMAL"))?])?,
            durable: Pool::start("store-writer", vec![durable])?,
            memory: Arc::new(memory),
            endpoints_version: watch::Sender::new(1),
            refreshes_version: watch::Sender::new(1),
            brakes_version: watch::Sender::new(1),
            general_brake: Mutex::default(),
            any_held: AtomicBool::new(any_held),
            generation: AtomicU64::new(from_sql(generation)),
            signing_keys: RwLock::default(),
            sealer,
            edge,
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.edge.now()
    }

    /// The directories, tokens and organizations as of the last change.
    pub(crate) fn known(&self) -> Arc<Known> {
        self.memory.known()
    }

    /// How long attempts are remembered.
    pub(crate) fn retention(&self) -> Retention {
        *self.retention.lock().expect("nothing panics while it is held")
    }

    pub(crate) fn set_retention(&self, retention: Retention) {
        *self.retention.lock().expect("nothing panics while it is held") = retention;
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    pub(crate) async fn set_generation(&self, generation: u64) -> Result<(), DbError> {
        self.durable
            .run(move |connection| {
                connection.execute("UPDATE meta SET generation = ?1", [as_sql(generation)])?;
                Ok(())
            })
            .await?;
        self.generation.store(generation, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) async fn ready(&self) -> Result<(), DbError> {
        self.read(|connection| Ok(connection.query_row("SELECT 1", [], |_| Ok(()))?)).await
    }

    pub(crate) fn close(&self) {
        self.readers.close();
        self.progress.close();
        self.durable.close();
    }

    async fn read<T, F>(&self, job: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, DbError> + Send + 'static,
    {
        self.readers.run(move |connection| job(connection)).await
    }

    /// Changes configuration in one durable transaction, and what is known with it.
    async fn change<T, F>(&self, job: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, DbError> + Send + 'static,
    {
        self.changing(Touched::Anything, job).await
    }

    /// The same where nothing is changed of what is known but one directory and its tokens.
    async fn change_directory<T, F>(&self, id: DirectoryId, job: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, DbError> + Send + 'static,
    {
        self.changing(Touched::Directory(id), job).await
    }

    /// The same where nothing is changed of what is known: no directory, token, host name or general rule.
    async fn change_beside<T, F>(&self, job: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, DbError> + Send + 'static,
    {
        self.changing(Touched::Nothing, job).await
    }

    async fn changing<T, F>(&self, touched: Touched, job: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, DbError> + Send + 'static,
    {
        let memory = Arc::clone(&self.memory);
        self.durable
            .run(move |connection| {
                // Jobs read before they write, and another connection writes progress: a transaction
                // that only then asks for the lock would fail where this one waits.
                let transaction =
                    connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                let changed = job(&transaction)?;
                // What is known is changed by this thread alone, after each commit.
                let known = match touched {
                    Touched::Anything => Some(known::load(&transaction)?),
                    Touched::Directory(id) => {
                        Some(known::reload(&memory.known(), &transaction, id)?)
                    }
                    Touched::Nothing => None,
                };
                transaction.commit()?;
                if let Some(known) = known {
                    memory.learn(known);
                }
                Ok(changed)
            })
            .await
    }

    fn endpoints_changed(&self) {
        self.endpoints_version.send_modify(|version| *version += 1);
    }

    /// Notes that a token was used, now and then, without making the request wait.
    pub(crate) async fn token_used(&self, id: TokenId, at: Timestamp) -> Result<(), DbError> {
        let before = at.millis() - i64::try_from(TOKEN_USE_EVERY.as_millis()).unwrap_or(i64::MAX);
        self.progress
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "UPDATE tokens SET last_used_at = ?2
                         WHERE id = ?1 AND coalesce(last_used_at, 0) < ?3",
                    )?
                    .execute(rusqlite::params![id.to_bytes(), at.millis(), before])?;
                Ok(())
            })
            .await
    }
}

impl Memory {
    fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().expect("nothing panics while it is held"))
    }

    /// Both are written under the lock of the access tokens, so that none stays in memory whose secret
    /// has gone.
    fn learn(&self, known: Known) {
        let mut access_tokens =
            self.access_tokens.write().expect("nothing panics while it is held");
        access_tokens.retain(|token| known.has_secret(token.secret));
        *self.known.write().expect("nothing panics while it is held") = Arc::new(known);
    }

    fn issued(&self, digest: Digest, token: AccessToken, removed: &[Digest]) {
        let mut access_tokens =
            self.access_tokens.write().expect("nothing panics while it is held");
        access_tokens.remove(removed);
        let known = self.known.read().expect("nothing panics while it is held");
        if known.has_secret(token.secret) {
            access_tokens.insert(digest, token);
        }
    }
}

#[cfg(test)]
mod plans;
#[cfg(test)]
pub(crate) mod tests;
