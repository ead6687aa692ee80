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

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime,
};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{AsyncMessage, Client, Error, NoTls, Socket, Transaction};

use crate::error::{DbError, OpenError};
use crate::filter;
pub use settings::{Invalid, PostgresSettings};

/// How long a statement may take. Lists are bounded by what they read; a statement that takes longer has met a
/// server that is stuck, and whoever waits for it has to be told.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a statement waits for a lock: less, so that what waits behind a rebuild or a migration says so.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a request waits for a connection. Behind it there is `503` and a client that comes again.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);

/// A database on a server.
#[derive(Clone)]
pub(crate) struct Postgres {
    pool: Pool,
    settings: Arc<PostgresSettings>,
    /// Where the tables are.
    schema: String,
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
        let pool = pool(&settings).map_err(failed)?;
        let mut client = pool.get().await.map_err(DbError::from).map_err(failed)?;
        let row = client.query_one("SELECT current_schema()", &[]).await;
        let schema: Option<String> = row.map_err(DbError::from).map_err(failed)?.get(0);
        let schema = schema.ok_or_else(|| OpenError::NoSchema { server: settings.to_string() })?;
        migrations::run(&mut client, &settings, &schema).await?;
        drop(client);
        Ok(Self { pool, settings: Arc::new(settings), schema })
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

async fn connect<T>(settings: &PostgresSettings, tls: T) -> Result<(Client, Messages), DbError>
where
    T: MakeTlsConnect<Socket> + Send,
    T::Stream: Send + 'static,
{
    let (client, mut connection) = settings.connection().connect(tls).await?;
    Ok((client, Messages(Box::new(move |context| connection.poll_message(context)))))
}

fn pool(settings: &PostgresSettings) -> Result<Pool, DbError> {
    match settings.tls() {
        Some(roots) => with_tls(settings, tls::Connector::new(roots).map_err(DbError::Tls)?),
        None => with_tls(settings, NoTls),
    }
}

fn with_tls<T>(settings: &PostgresSettings, tls: T) -> Result<Pool, DbError>
where
    T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
    T::Stream: Send + Sync,
    T::TlsConnect: Send + Sync,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    // A connection that a server has closed is found out when it is handed out, without asking the server.
    let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(settings.connection(), tls, manager);
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
        "SET statement_timeout = {}; SET lock_timeout = {}; SET client_min_messages = warning; \
         SET enable_seqscan = off; SET enable_bitmapscan = off; {};",
        STATEMENT_TIMEOUT.as_millis(),
        LOCK_TIMEOUT.as_millis(),
        filter::Postgres::SETTINGS
    )
}
