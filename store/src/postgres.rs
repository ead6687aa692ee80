//! PostgreSQL: a pool of connections, and what every connection of ours has set.
//!
//! Both halves of the store share one pool and one series of [`migrations`]. Tables are named without a schema: they
//! live where the `search_path` of the connection string leads.

pub(crate) mod config;
mod copy;
mod listen;
mod lookup;
mod migrations;
mod query;
mod rows;
mod settings;
pub(crate) mod state;
#[cfg(test)]
mod tests;
mod tls;

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use deadpool_postgres::{
    Connect, Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{AsyncMessage, Client, Config, Error, NoTls, Socket, Transaction};

use crate::error::{DbError, OpenError};
use crate::filter;
pub use settings::{Invalid, PostgresSettings};

/// How long a statement may take. Lists are bounded by what they read; a statement that takes longer has met a
/// server that is stuck, and whoever waits for it has to be told.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a statement waits for a lock: less, so that what waits behind a rebuild or a migration says so.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a transaction may stand still between two statements: whoever froze there holds locks that others need,
/// such as the end of the feed and the rows of leases, which run out after 10 s. Nobody thinks so long.
const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a request waits for a connection. Behind it there is `503` and a client that comes again.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);

/// A database on a server.
#[derive(Clone)]
pub(crate) struct Postgres {
    pool: Pool,
    settings: Arc<PostgresSettings>,
    /// Where the tables are.
    schema: String,
    /// How often all connections were given up.
    cuts: watch::Sender<u64>,
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Postgres {
    /// Connects, and brings the schema to what this version knows.
    pub(crate) async fn open(settings: PostgresSettings) -> Result<Self, OpenError> {
        let failed = |source: DbError| OpenError::server(&settings, source);
        let cuts = watch::Sender::new(0);
        let pool = pool(&settings, &cuts).map_err(failed)?;
        let mut client = pool.get().await.map_err(DbError::from).map_err(failed)?;
        let row = client.query_one("SELECT current_schema()", &[]).await;
        let schema: Option<String> = row.map_err(DbError::from).map_err(failed)?.get(0);
        let schema = schema.ok_or_else(|| OpenError::NoSchema { server: settings.to_string() })?;
        migrations::run(&mut client, &settings, &schema).await?;
        drop(client);
        Ok(Self { pool, settings: Arc::new(settings), schema, cuts })
    }

    /// A connection of the pool.
    pub(crate) async fn client(&self) -> Result<Object, DbError> {
        Ok(self.pool.get().await?)
    }

    /// The schema that holds the tables. Names that others on the same server could use as well are made with it.
    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }

    /// How the server is reached.
    pub(crate) fn settings(&self) -> &PostgresSettings {
        &self.settings
    }

    /// Whether the server answers.
    pub(crate) async fn ready(&self) -> Result<(), DbError> {
        self.client().await?.simple_query("SELECT 1").await?;
        Ok(())
    }

    /// Gives up all connections that there are, with whatever waits for an answer on them: the server has not said
    /// anything for long, and what swallows packets swallows those of all.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Ends when all connections are given up.
    pub(crate) fn until_cut(&self) -> impl Future<Output = ()> + Send + use<> {
        until_cut(self.cuts.subscribe())
    }

    /// Tells every process that listens, when the transaction is committed.
    pub(crate) async fn notify(
        &self,
        transaction: &Transaction<'_>,
        what: &str,
    ) -> Result<(), DbError> {
        let payload = format!("{what} {}", self.schema);
        transaction.execute("SELECT pg_notify($1, $2)", &[&CHANNEL, &payload]).await?;
        Ok(())
    }

    /// A connection beside the pool, and what the server says on it. It does nothing unless that is polled.
    pub(crate) async fn connect(&self) -> Result<(Client, Messages), DbError> {
        match self.settings.tls() {
            Some(roots) => {
                let tls = tls::Connector::new(roots).map_err(DbError::Tls)?;
                connect(&self.settings, tls).await
            }
            None => connect(&self.settings, NoTls).await,
        }
    }

    /// Hands out no more connections. Those that are out are closed when they come back.
    pub(crate) fn close(&self) {
        self.pool.close();
    }
}

/// Where processes tell each other of changes. The payload says in which schema.
pub(crate) const CHANNEL: &str = "dsync";

/// What a server says on a connection.
pub(crate) struct Messages(Box<Poller>);

type Message = Result<AsyncMessage, Error>;

type Poller = dyn FnMut(&mut Context<'_>) -> Poll<Option<Message>> + Send;

impl Messages {
    pub(crate) fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Option<Message>> {
        (self.0)(context)
    }
}

async fn until_cut(mut cuts: watch::Receiver<u64>) {
    if cuts.changed().await.is_err() {
        // Nobody is left who could say so; connections end with the pool.
        pending().await
    }
}

/// How the pool connects.
struct Connecting<T> {
    tls: T,
    cuts: watch::Sender<u64>,
}

type Connected = Result<(Client, JoinHandle<()>), Error>;

impl<T> Connect for Connecting<T>
where
    T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
    T::Stream: Send + Sync,
    T::TlsConnect: Send + Sync,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    fn connect(&self, config: &Config) -> Pin<Box<dyn Future<Output = Connected> + Send + '_>> {
        let (config, cut) = (config.clone(), until_cut(self.cuts.subscribe()));
        Box::pin(async move {
            let (client, connection) = config.connect(self.tls.clone()).await?;
            #[expect(clippy::disallowed_methods, reason = "it ends with the connection")]
            let task = tokio::spawn(async move {
                let ended = tokio::select! {
                    ended = connection => ended,
                    () = cut => return tracing::debug!("a connection to PostgreSQL is given up"),
                };
                if let Err(error) = ended {
                    tracing::warn!(%error, "a connection to PostgreSQL has ended");
                }
            });
            Ok((client, task))
        })
    }
}

async fn connect<T>(settings: &PostgresSettings, tls: T) -> Result<(Client, Messages), DbError>
where
    T: MakeTlsConnect<Socket> + Send,
    T::Stream: Send + 'static,
{
    let (client, mut connection) = settings.connection().connect(tls).await?;
    Ok((client, Messages(Box::new(move |context| connection.poll_message(context)))))
}

fn pool(settings: &PostgresSettings, cuts: &watch::Sender<u64>) -> Result<Pool, DbError> {
    match settings.tls() {
        Some(roots) => with_tls(settings, tls::Connector::new(roots).map_err(DbError::Tls)?, cuts),
        None => with_tls(settings, NoTls, cuts),
    }
}

fn with_tls<T>(
    settings: &PostgresSettings,
    tls: T,
    cuts: &watch::Sender<u64>,
) -> Result<Pool, DbError>
where
    T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
    T::Stream: Send + Sync,
    T::TlsConnect: Send + Sync,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    // A connection that a server has closed is found out when it is handed out, without asking the server.
    let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let connecting = Connecting { tls, cuts: cuts.clone() };
    let manager = Manager::from_connect(settings.connection(), connecting, manager);
    let set = session();
    let pool = Pool::builder(manager)
        .max_size(settings.connections_max)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(CONNECTION_TIMEOUT))
        .create_timeout(Some(CONNECTION_TIMEOUT))
        .post_create(Hook::async_fn(move |client, _| {
            let set = set.clone();
            Box::pin(async move { client.batch_execute(&set).await.map_err(HookError::Backend) })
        }))
        .build();
    pool.map_err(|error| DbError::Tls(Box::new(error)))
}

/// What every connection sets. No query of a role walks through a table, but a plan that was made while a table was
/// small would go on doing so for as long as the connection keeps it. Bitmaps give up the order of an index, and a page
/// is the beginning of an order: the planner prefers to sort a directory while it takes it for small.
fn session() -> String {
    format!(
        "SET statement_timeout = {}; SET lock_timeout = {}; \
         SET idle_in_transaction_session_timeout = {}; SET client_min_messages = warning; \
         SET enable_seqscan = off; SET enable_bitmapscan = off; {};",
        STATEMENT_TIMEOUT.as_millis(),
        LOCK_TIMEOUT.as_millis(),
        IDLE_IN_TRANSACTION_TIMEOUT.as_millis(),
        filter::Postgres::SETTINGS
    )
}
