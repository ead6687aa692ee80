//! A store whose state is in PostgreSQL, in a schema of its own.
//!
//! Where there is no PostgreSQL, its suites run on SQLite once more and say so.

use std::sync::Arc;

use schemas::Edge;
use store::Store;
use tests::Postgres;
use tests::postgres::Missing;
use tokio_postgres::{Client, Config};

use crate::folder::{Folder, MASTER_KEY};

pub(crate) struct Server {
    folder: Folder,
    postgres: Option<Postgres>,
}

impl Server {
    pub(crate) async fn new() -> Self {
        Self::on(Postgres::shared().await).await
    }

    pub(crate) async fn on(postgres: Result<Postgres, Missing>) -> Self {
        if let Err(missing) = &postgres {
            tests::not_checked(missing);
        }
        Self { folder: Folder::new().await, postgres: postgres.ok() }
    }

    pub(crate) async fn open(&self, edge: Arc<dyn Edge>) -> Store {
        let Some(postgres) = &self.postgres else { return self.folder.open(edge).await };
        let server = postgres.config().clone().into();
        Store::connect(server, Some(MASTER_KEY), edge).await.unwrap()
    }

    /// Changes the state behind the store's back. Returns how many rows.
    pub(crate) async fn damage(&self, sql: &str) -> u64 {
        match self.client().await {
            Some(client) => client.execute(sql, &[]).await.unwrap(),
            None => self.folder.damage(sql).await,
        }
    }

    /// Whether a rebuild has left something behind that the next one does not remove.
    pub(crate) async fn holds_another_generation(&self) -> bool {
        match self.client().await {
            Some(client) => {
                let sql =
                    "SELECT count(*) FROM pg_namespace WHERE nspname = current_schema() || '_old'";
                client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) > 0
            }
            None => self.folder.holds_another_generation().await,
        }
    }

    /// Everything that is kept, bytes as they are.
    pub(crate) async fn contents(&self) -> Vec<u8> {
        let Some(client) = self.client().await else { return self.folder.contents().await };
        client.batch_execute("SET bytea_output = 'escape'").await.unwrap();
        let sql = "SELECT quote_ident(table_name) FROM information_schema.tables
            WHERE table_schema = current_schema()";
        let mut contents = String::new();
        for table in client.query(sql, &[]).await.unwrap() {
            let sql = format!("SELECT t::text FROM {} AS t", table.get::<_, &str>(0));
            for row in client.query(&sql, &[]).await.unwrap() {
                contents.push_str(row.get(0));
            }
        }
        contents.into_bytes()
    }

    /// How the server is reached, if there is one.
    pub(crate) fn config(&self) -> Option<Config> {
        Some(self.postgres.as_ref()?.config().clone())
    }

    /// What the server has written to its log, if it is ours alone.
    pub(crate) fn log(&self) -> Option<String> {
        self.postgres.as_ref()?.log()
    }

    /// A connection beside the store, if there is a server.
    pub(crate) async fn client(&self) -> Option<Client> {
        Some(self.postgres.as_ref()?.connect().await)
    }
}
