//! The keys that tokens of this installation are signed with.

use std::sync::Arc;

use api::ports::{Conflict, Rotation, VerificationKey};
use deadpool_postgres::GenericClient;
use dispatcher::security_event::SigningKey;

use super::query::{Parameters, all, execute, first, id};
use super::{About, Config};
use crate::config::signing_key::{Ring, Row, new_seed, row};
use crate::error::{DbError, unreadable};
use crate::ports::conflicted;

impl Config {
    pub(super) async fn signing_key(&self) -> Result<Arc<SigningKey>, DbError> {
        let ring = self.signing_keys().await?;
        let key = ring.signing(self.now()).cloned();
        key.ok_or_else(|| unreadable("signing keys")("there is none"))
    }

    pub(super) async fn verification_keys(&self) -> Result<Vec<VerificationKey>, DbError> {
        Ok(self.signing_keys().await?.public(self.now()))
    }

    pub(super) async fn rotate_signing_key(
        &self,
        rotation: Rotation,
    ) -> Result<VerificationKey, DbError> {
        // There has to be one whose place it takes.
        self.signing_keys().await?;
        let (key, sealed) = new_seed(&self.sealer, &*self.edge);
        let Rotation { at, signs_from, shown_until } = rotation;
        let mut client = self.db.client().await?;
        let change = self.begin(&mut client, About::Directories).await?;
        let waits = "SELECT 1 FROM signing_keys WHERE signs_from > $1";
        if at < signs_from && first(&change.tx, waits, &[&at.millis()]).await?.is_some() {
            return Err(conflicted(Conflict::SigningKeyWaits));
        }
        let sql = "UPDATE signing_keys SET shown_until = least(coalesce(shown_until, $1), $1)";
        execute(&change.tx, sql, &[&shown_until.millis()]).await?;
        let sql = "DELETE FROM signing_keys WHERE shown_until <= $1";
        execute(&change.tx, sql, &[&at.millis()]).await?;
        let sql = "INSERT INTO signing_keys (id, seed, created_at, signs_from)
            VALUES ($1, $2, $3, $4)";
        let parameters: Parameters<'_> = &[&id(key), &sealed, &at.millis(), &signs_from.millis()];
        execute(&change.tx, sql, parameters).await?;
        let made = Ring::open(rows(&change.tx).await?, &self.sealer)?.latest();
        self.commit(change).await?;
        made.ok_or_else(|| unreadable("signing keys")("there is none"))
    }

    /// They stay in memory for as long as the configuration is what it was: whoever signs has to hear of another key
    /// as surely as of a token that is void.
    async fn signing_keys(&self) -> Result<Arc<Ring>, DbError> {
        self.fresh().await?;
        // By what it is and not by its count, which says nothing any more where a server has lost its last changes.
        let known = Arc::downgrade(&self.known());
        {
            let held = self.signing_keys.read().expect("nothing panics while it is held");
            if let Some((of, ring)) = &*held
                && of.ptr_eq(&known)
            {
                return Ok(Arc::clone(ring));
            }
        }
        // What is read is of that or of what comes after it, with which it is read once more.
        let mut found = rows(&self.db.client().await?).await?;
        if found.is_empty() {
            found = self.make_first_key().await?;
        }
        let ring = Arc::new(Ring::open(found, &self.sealer)?);
        let mut held = self.signing_keys.write().expect("nothing panics while it is held");
        if known.ptr_eq(&Arc::downgrade(&self.known())) {
            *held = Some((known, Arc::clone(&ring)));
        }
        Ok(ring)
    }

    /// Another replica may be faster: the key that was first is the key.
    async fn make_first_key(&self) -> Result<Vec<Row>, DbError> {
        let (key, sealed) = new_seed(&self.sealer, &*self.edge);
        let mut client = self.db.client().await?;
        let change = self.begin(&mut client, About::Directories).await?;
        let found = rows(&change.tx).await?;
        if !found.is_empty() {
            return Ok(found);
        }
        let sql = "INSERT INTO signing_keys (id, seed, created_at) VALUES ($1, $2, $3)";
        execute(&change.tx, sql, &[&id(key), &sealed, &self.now().millis()]).await?;
        let made = rows(&change.tx).await?;
        self.commit(change).await?;
        Ok(made)
    }
}

async fn rows(client: &impl GenericClient) -> Result<Vec<Row>, DbError> {
    let sql = "SELECT id, seed, created_at, signs_from, shown_until FROM signing_keys
        ORDER BY created_at, id";
    all(client, sql, &[]).await?.iter().map(row).collect()
}
