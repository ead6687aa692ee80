//! What is known of the configuration, and how old that is.

use std::collections::BTreeSet;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use schemas::DirectoryId;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_postgres::{Client, GenericClient, IsolationLevel};

use super::host_names;
use super::query::id;
use crate::columns::Columns as _;
use crate::config::Known;
use crate::config::known::{DIRECTORY_COLUMNS, TOKEN_COLUMNS, TokenRow, directory};
use crate::error::{DbError, unreadable};

/// How many changes are remembered with what they were about: of a replica that is further behind, more may have
/// changed than not.
const CHANGES_KEPT: i64 = 1_000;

/// How many directories are read again one by one. Each makes a copy of the maps.
const CHANGED_MAX: i64 = 20;

/// The counts of the table `configuration`, and what else has to be followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Versions {
    pub(super) all: i64,
    pub(super) endpoints: i64,
    pub(super) refreshes: i64,
    pub(super) told: i64,
    /// Whether a job waits for somebody to work on it.
    pub(super) has_jobs: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Memory {
    known: RwLock<(i64, Arc<Known>)>,
    /// When it was last asked whether that is all, if the answer was yes.
    confirmed: RwLock<Option<Instant>>,
    pub(super) endpoints: watch::Sender<u64>,
    pub(super) refreshes: watch::Sender<u64>,
    pub(super) told: watch::Sender<u64>,
    pub(super) moves: watch::Sender<u64>,
    /// Counts what may have changed a brake, or what is asked of one. It is of this process alone.
    pub(super) brakes: watch::Sender<u64>,
    /// Whoever follows is to look now.
    pub(super) called: Notify,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            known: RwLock::default(),
            confirmed: RwLock::default(),
            endpoints: watch::Sender::new(0),
            refreshes: watch::Sender::new(1),
            told: watch::Sender::new(0),
            moves: watch::Sender::new(0),
            brakes: watch::Sender::new(1),
            called: Notify::new(),
        }
    }
}

impl Memory {
    pub(super) fn known(&self) -> Arc<Known> {
        self.as_of().1
    }

    /// The count up to which changes are known.
    pub(super) fn version(&self) -> i64 {
        self.as_of().0
    }

    /// Both, of one moment.
    pub(super) fn as_of(&self) -> (i64, Arc<Known>) {
        self.known.read().expect("nothing panics while it is held").clone()
    }

    /// Whether what is known was all there was, not longer ago than this.
    pub(super) fn is_confirmed(&self, max: Duration) -> bool {
        let confirmed = *self.confirmed.read().expect("nothing panics while it is held");
        confirmed.is_some_and(|at| at.elapsed() < max)
    }

    /// Asks what has changed, and learns it.
    pub(super) async fn look(&self, client: &mut Client) -> Result<(), DbError> {
        let asked = Instant::now();
        let found = versions(client).await?;
        if found.all == self.version() {
            self.learn(found, None, Some(asked));
            return Ok(());
        }
        let (before, known) = self.as_of();
        // Both as of one moment: a count that is newer than what was read with it would hide the rest for ever.
        let begin = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead);
        let tx = begin.read_only(true).start().await?;
        let found = versions(&tx).await?;
        let known = match changed(&tx, before, found.all).await? {
            Some(directories) => reload_all(&known, &tx, directories).await?,
            None => load(&tx).await?,
        };
        tx.commit().await?;
        self.learn(found, Some((before, known)), Some(asked));
        Ok(())
    }

    /// Learns everything anew, whatever the counts say. Behind a new connection there may be a server that has lost the last
    /// changes of the one before it, and whose counts have come to the same numbers by others since.
    pub(super) async fn look_anew(&self, client: &mut Client) -> Result<(), DbError> {
        loop {
            let asked = Instant::now();
            let (before, _) = self.as_of();
            let begin = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead);
            let tx = begin.read_only(true).start().await?;
            let (found, known) = (versions(&tx).await?, load(&tx).await?);
            tx.commit().await?;
            if self.learn(found, Some((before, known)), Some(asked)) {
                self.count_anew(found);
                return Ok(());
            }
        }
    }

    /// Counts that others wait for go back as well, and whoever waits looks.
    fn count_anew(&self, found: Versions) {
        for (sender, to) in [
            (&self.endpoints, found.endpoints),
            (&self.told, found.told),
            (&self.refreshes, found.refreshes),
        ] {
            sender.send_if_modified(|now| {
                let is_less = to.unsigned_abs() < *now;
                *now = to.unsigned_abs();
                is_less
            });
        }
    }

    /// The operator was told up to here.
    pub(super) fn told(&self, last: i64) {
        rise(&self.told, last);
    }

    pub(super) fn brakes_changed(&self) {
        self.brakes.send_modify(|version| *version += 1);
    }

    /// Takes note of what was read, with the count that was known before it, unless somebody else has learned as much or more
    /// since. Whether it was taken note of.
    pub(super) fn learn(
        &self,
        found: Versions,
        known: Option<(i64, Known)>,
        asked: Option<Instant>,
    ) -> bool {
        let is_news = {
            let mut held = self.known.write().expect("nothing panics while it is held");
            let known = known.filter(|(before, _)| held.0 == *before || held.0 < found.all);
            let known = known.map(|(_, known)| known);
            let is_news = known.is_some();
            if let Some(known) = known {
                *held = (found.all, Arc::new(known));
            }
            is_news
        };
        if is_news {
            self.brakes_changed();
        }
        if let Some(asked) = asked {
            let mut confirmed = self.confirmed.write().expect("nothing panics while it is held");
            *confirmed = Some(confirmed.map_or(asked, |before| before.max(asked)));
        }
        rise(&self.endpoints, found.endpoints);
        rise(&self.told, found.told);
        if !rise(&self.refreshes, found.refreshes) && found.has_jobs {
            // Somebody who worked on one is gone. The count is only ever compared with itself.
            self.refreshes.send_modify(|_| {});
        }
        is_news
    }
}

fn rise(sender: &watch::Sender<u64>, to: i64) -> bool {
    sender.send_if_modified(|now| {
        let is_more = *now < to.unsigned_abs();
        *now = to.unsigned_abs().max(*now);
        is_more
    })
}

pub(super) async fn versions(client: &impl GenericClient) -> Result<Versions, DbError> {
    let sql = "SELECT version, endpoints, refreshes, (SELECT last FROM told),
        EXISTS (SELECT FROM refreshes
            WHERE NOT finished AND (held_until IS NULL OR held_until < now()))
        FROM configuration";
    let row = client.query_one(sql, &[]).await?;
    Ok(Versions {
        all: row.integer(0)?,
        endpoints: row.integer(1)?,
        refreshes: row.integer(2)?,
        told: row.integer(3)?,
        has_jobs: row.flag(4)?,
    })
}

/// Says what the change with this count is about.
pub(super) async fn tell(
    client: &impl GenericClient,
    version: i64,
    changed: DirectoryId,
) -> Result<(), DbError> {
    let sql = "INSERT INTO changed_directories (version, directory) VALUES ($1, $2)";
    client.execute(sql, &[&version, &id(changed.to_bytes())]).await?;
    let sql = "DELETE FROM changed_directories WHERE version <= $1";
    client.execute(sql, &[&(version - CHANGES_KEPT)]).await?;
    Ok(())
}

/// The directories that were changed after the one count and up to the other. `None` if anything else was, or so many
/// that all may as well be read. A replica of an earlier version says nothing of its changes.
async fn changed(
    client: &impl GenericClient,
    after: i64,
    up_to: i64,
) -> Result<Option<BTreeSet<DirectoryId>>, DbError> {
    let count = up_to - after;
    if after == 0 || !(1..=CHANGED_MAX).contains(&count) {
        return Ok(None);
    }
    let sql = "SELECT directory FROM changed_directories WHERE version > $1 AND version <= $2";
    let rows = client.query(sql, &[&after, &up_to]).await?;
    if i64::try_from(rows.len()).unwrap_or(i64::MAX) < count {
        return Ok(None);
    }
    let directories = rows.iter().map(|row| Ok(DirectoryId::from_bytes(row.id(0)?)));
    directories.collect::<Result<_, DbError>>().map(Some)
}

async fn reload_all(
    known: &Known,
    client: &impl GenericClient,
    directories: BTreeSet<DirectoryId>,
) -> Result<Known, DbError> {
    let mut known = known.clone();
    for directory in directories {
        known = reload(&known, client, directory).await?;
    }
    Ok(known)
}

pub(super) async fn load(client: &impl GenericClient) -> Result<Known, DbError> {
    let row = client.query_one("SELECT general_rules FROM configuration", &[]).await?;
    let general = serde_json::from_str(&row.text(0)?).map_err(unreadable("general rules"))?;
    let sql = format!("SELECT {DIRECTORY_COLUMNS} FROM configured_directories");
    let rows = client.query(&sql, &[]).await?;
    let directories = rows.iter().map(|row| directory(row, general));
    let directories = directories.collect::<Result<Vec<_>, _>>()?;
    let sql = format!("SELECT {TOKEN_COLUMNS} FROM configured_tokens ORDER BY id");
    let rows = client.query(&sql, &[]).await?;
    let tokens = rows.iter().map(TokenRow::read).collect::<Result<Vec<_>, _>>()?;
    Ok(Known::of(directories, tokens, host_names::load(client).await?))
}

/// What is known after a change of one directory.
pub(super) async fn reload(
    known: &Known,
    client: &impl GenericClient,
    changed: DirectoryId,
) -> Result<Known, DbError> {
    let row = client.query_one("SELECT general_rules FROM configuration", &[]).await?;
    let general = serde_json::from_str(&row.text(0)?).map_err(unreadable("general rules"))?;
    let key = id(changed.to_bytes());
    let sql = format!("SELECT {DIRECTORY_COLUMNS} FROM configured_directories WHERE id = $1");
    let found = client.query_opt(&sql, &[&key]).await?;
    let found = found.map(|row| directory(&row, general)).transpose()?;
    let sql =
        format!("SELECT {TOKEN_COLUMNS} FROM configured_tokens WHERE directory = $1 ORDER BY id");
    let rows = client.query(&sql, &[&key]).await?;
    let tokens = rows.iter().map(TokenRow::read).collect::<Result<Vec<_>, _>>()?;
    Ok(known.with(changed, found, tokens))
}
