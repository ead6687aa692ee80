//! The key that tokens of this installation are signed with.

use std::sync::Arc;

use dispatcher::security_event::SigningKey;
use rusqlite::{Connection, params};

use super::Config;
use crate::error::{DbError, unreadable};
use crate::state::rows::first;

/// A key's row: its id, and its seed still sealed.
type Row = ([u8; 16], Vec<u8>);

impl Config {
    /// The key; the first who asks makes it. It stays in memory, since anyone may ask for its public half.
    pub(crate) async fn signing_key(&self) -> Result<Arc<SigningKey>, DbError> {
        let key = self.signing_key.get_or_try_init(|| self.stored_signing_key());
        key.await.map(Arc::clone)
    }

    async fn stored_signing_key(&self) -> Result<Arc<SigningKey>, DbError> {
        let (id, sealed) = match self.read(get).await? {
            Some(found) => found,
            None => self.make_signing_key().await?,
        };
        let seed = hex::decode(self.sealer.open(id, &sealed)?).ok();
        let seed: Option<[u8; 32]> = seed.and_then(|bytes| bytes.try_into().ok());
        let seed = seed.ok_or_else(|| unreadable("signing key")("it is not 32 bytes in hex"))?;
        Ok(Arc::new(SigningKey::from_seed(&seed)))
    }

    /// Another process may be faster: the key that was first is the key.
    async fn make_signing_key(&self) -> Result<Row, DbError> {
        let id = self.edge.id().to_be_bytes();
        let sealed = self.sealer.seal(id, &hex::encode(self.edge.secret()));
        let now = self.now();
        self.change(move |connection| {
            if let Some(found) = get(connection)? {
                return Ok(found);
            }
            connection.execute(
                "INSERT INTO signing_keys (id, seed, created_at) VALUES (?1, ?2, ?3)",
                params![id, sealed, now.millis()],
            )?;
            Ok((id, sealed))
        })
        .await
    }
}

fn get(connection: &Connection) -> Result<Option<Row>, DbError> {
    let sql = "SELECT id, seed FROM signing_keys ORDER BY created_at LIMIT 1";
    first(connection, sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
}
