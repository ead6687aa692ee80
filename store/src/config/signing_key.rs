//! The keys that tokens of this installation are signed with: one at a time, and for a while those before
//! and behind it are shown too.

use std::sync::Arc;

use api::ports::{Conflict, Rotation, VerificationKey};
use dispatcher::security_event::{PublicKey, SigningKey};
use rusqlite::{Connection, params};
use schemas::{Edge, Timestamp};

use super::{Config, Sealer};
use crate::columns::Columns;
use crate::error::{DbError, unreadable};
use crate::ports::conflicted;
use crate::state::rows::{all, first};

/// A key's row, with its seed still sealed.
pub(crate) struct Row {
    id: [u8; 16],
    sealed: Vec<u8>,
    times: Times,
}

#[derive(Clone, Copy, Debug)]
struct Times {
    created_at: Timestamp,
    signs_from: Timestamp,
    shown_until: Option<Timestamp>,
}

/// All keys there are, in the order in which they were made.
#[derive(Debug)]
pub(crate) struct Ring(Vec<Held>);

#[derive(Debug)]
struct Held {
    key: Arc<SigningKey>,
    times: Times,
}

impl Ring {
    pub(crate) fn open(rows: Vec<Row>, sealer: &Sealer) -> Result<Self, DbError> {
        let held = rows.into_iter().map(|row| {
            let seed = hex::decode(sealer.open(row.id, &row.sealed)?).ok();
            let seed: Option<[u8; 32]> = seed.and_then(|bytes| bytes.try_into().ok());
            let seed =
                seed.ok_or_else(|| unreadable("signing key")("it is not 32 bytes in hex"))?;
            Ok(Held { key: Arc::new(SigningKey::from_seed(&seed)), times: row.times })
        });
        Ok(Self(held.collect::<Result<_, DbError>>()?))
    }

    /// The public halves of those that are shown.
    pub(crate) fn public(&self, now: Timestamp) -> Vec<VerificationKey> {
        self.shown(now).map(Held::public).collect()
    }

    /// The public half of the one that was made last.
    pub(crate) fn latest(&self) -> Option<VerificationKey> {
        self.0.last().map(Held::public)
    }

    fn shown(&self, now: Timestamp) -> impl Iterator<Item = &Held> {
        self.0.iter().filter(move |held| held.times.shown_until.is_none_or(|until| now < until))
    }

    /// The latest that has begun; before any has, the first.
    pub(crate) fn signing(&self, now: Timestamp) -> Option<&Arc<SigningKey>> {
        let begun = self.shown(now).filter(|held| held.times.signs_from <= now);
        let signing = begun.max_by_key(|held| held.times.signs_from);
        signing.or_else(|| self.shown(now).next()).map(|held| &held.key)
    }

    pub(crate) fn newest(&self) -> Option<Timestamp> {
        self.0.last().map(|held| held.times.created_at)
    }
}

impl Held {
    fn public(&self) -> VerificationKey {
        let PublicKey { kid, x } = self.key.public().clone();
        let Times { created_at, signs_from, shown_until } = self.times;
        VerificationKey { kid, x, created_at, signs_from, shown_until }
    }
}

impl Config {
    /// The key that signs now; the first who asks for any makes the first.
    pub(crate) async fn signing_key(&self) -> Result<Arc<SigningKey>, DbError> {
        let ring = self.signing_keys().await?;
        let key = ring.signing(self.now()).cloned();
        key.ok_or_else(|| unreadable("signing keys")("there is none"))
    }

    /// What tokens that are still on their way may be signed with, and what will sign next.
    pub(crate) async fn verification_keys(&self) -> Result<Vec<VerificationKey>, DbError> {
        let ring = self.signing_keys().await?;
        Ok(ring.public(self.now()))
    }

    /// Makes a key that takes the place of the others. Those that are not shown any more are destroyed.
    pub(crate) async fn rotate_signing_key(
        &self,
        rotation: Rotation,
    ) -> Result<VerificationKey, DbError> {
        // There has to be one whose place it takes.
        self.signing_keys().await?;
        let (id, sealed) = self.new_seed();
        let Rotation { at, signs_from, shown_until } = rotation;
        let rows = self
            .change_beside(move |connection| {
                let waits = "SELECT 1 FROM signing_keys WHERE signs_from > ?1";
                if at < signs_from && first(connection, waits, [at.millis()], |_| Ok(()))?.is_some() {
                    return Err(conflicted(Conflict::SigningKeyWaits));
                }
                connection.execute(
                    "UPDATE signing_keys SET shown_until = min(coalesce(shown_until, ?1), ?1)",
                    [shown_until.millis()],
                )?;
                connection
                    .execute("DELETE FROM signing_keys WHERE shown_until <= ?1", [at.millis()])?;
                connection.execute(
                    "INSERT INTO signing_keys (id, seed, created_at, signs_from) VALUES (?1, ?2, ?3, ?4)",
                    params![id, sealed, at.millis(), signs_from.millis()],
                )?;
                rows(connection)
            })
            .await?;
        let ring = self.learn_ring(rows)?;
        ring.latest().ok_or_else(|| unreadable("signing keys")("there is none"))
    }

    /// They stay in memory, since anyone may ask for their public halves.
    async fn signing_keys(&self) -> Result<Arc<Ring>, DbError> {
        let known = self.signing_keys.read().expect("nothing panics while it is held").clone();
        if let Some(ring) = known {
            return Ok(ring);
        }
        let mut found = self.read(rows).await?;
        if found.is_empty() {
            found = self.make_first_key().await?;
        }
        self.learn_ring(found)
    }

    /// Keeps what was read, unless somebody has learnt of a newer key meanwhile.
    fn learn_ring(&self, rows: Vec<Row>) -> Result<Arc<Ring>, DbError> {
        let read = Arc::new(Ring::open(rows, &self.sealer)?);
        let mut known = self.signing_keys.write().expect("nothing panics while it is held");
        let is_newer = known.as_ref().is_none_or(|known| known.newest() <= read.newest());
        if is_newer {
            *known = Some(Arc::clone(&read));
        }
        Ok(read)
    }

    /// Another process may be faster: the key that was first is the key.
    async fn make_first_key(&self) -> Result<Vec<Row>, DbError> {
        let (id, sealed) = self.new_seed();
        let now = self.now();
        self.change_beside(move |connection| {
            let found = rows(connection)?;
            if !found.is_empty() {
                return Ok(found);
            }
            connection.execute(
                "INSERT INTO signing_keys (id, seed, created_at) VALUES (?1, ?2, ?3)",
                params![id, sealed, now.millis()],
            )?;
            rows(connection)
        })
        .await
    }

    fn new_seed(&self) -> ([u8; 16], Vec<u8>) {
        new_seed(&self.sealer, &*self.edge)
    }
}

/// The id of a new key, and its seed sealed.
pub(crate) fn new_seed(sealer: &Sealer, edge: &dyn Edge) -> ([u8; 16], Vec<u8>) {
    let id = edge.id().to_be_bytes();
    (id, sealer.seal(id, &hex::encode(edge.secret())))
}

/// A key of its id, its seed and its times.
pub(crate) fn row(row: &impl Columns) -> Result<Row, DbError> {
    let times =
        Times { created_at: row.time(2)?, signs_from: row.time(3)?, shown_until: row.time_if(4)? };
    Ok(Row { id: row.id(0)?, sealed: row.bytes(1)?, times })
}

fn rows(connection: &Connection) -> Result<Vec<Row>, DbError> {
    let sql = "SELECT id, seed, created_at, signs_from, shown_until FROM signing_keys
        ORDER BY created_at, id";
    all(connection, sql, [], |found| row(found))
}
