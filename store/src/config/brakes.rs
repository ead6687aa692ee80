//! Brakes, what directories that have one have come to, and what is held of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use api::ports::{Conflict, Hold, HoldState, Reach};
use async_trait::async_trait;
use dispatcher::brake::Watch;
use dispatcher::ports::{Braked, Brakes, FeedPosition, HeldEvent, Judgement, Kept, Line};
use rusqlite::{Connection, params};
use schemas::{Brake, BrakeChoice, DirectoryId, ScimId, Timestamp};

use super::deliveries::line_name;
use super::{Config, directories, operational};
use crate::backend::BrakeBackend;
use crate::columns::Columns;
use crate::error::{DbError, unreadable};
use crate::ports::conflicted;
use crate::sqlite::{as_sql, from_sql};
use crate::state::rows::{all, first};

impl Config {
    pub(super) fn brakes_changed(&self) {
        self.brakes_version.send_modify(|version| *version += 1);
    }
}

#[async_trait]
impl BrakeBackend for Config {
    /// The brake of directories that have none of their own.
    fn general_brake(&self) -> Option<Brake> {
        *self.general_brake.lock().expect("nothing panics while it is held")
    }

    fn set_general_brake(&self, brake: Option<Brake>) {
        *self.general_brake.lock().expect("nothing panics while it is held") = brake;
        self.brakes_changed();
    }

    async fn wait_brakes_changed(&self, version: u64) -> Result<(), DbError> {
        let mut changes = self.brakes_version.subscribe();
        let changed = changes.wait_for(|current| *current != version).await;
        changed.map(drop).map_err(|_| DbError::Closed)
    }

    async fn brakes(&self) -> Result<Brakes, DbError> {
        // Before looking, so that a change in between is looked at again.
        let version = *self.brakes_version.borrow();
        let asked = self
            .read(|connection| {
                let sql = "SELECT directory FROM watches WHERE release_from IS NOT NULL";
                all(connection, sql, [], |row| Ok(DirectoryId::from_bytes(row.get(0)?)))
            })
            .await?;
        let known = self.known();
        let mut list: BTreeMap<DirectoryId, Braked> = BTreeMap::new();
        for known in known.all() {
            let directory = known.directory.id;
            if let Some(rule) = self.brake_of(known.brake) {
                list.insert(directory, Braked { directory, rule: Some(rule), release: false });
            }
        }
        for directory in asked {
            let braked = Braked { directory, rule: None, release: false };
            list.entry(directory).or_insert(braked).release = true;
        }
        Ok(Brakes { version, list: list.into_values().collect() })
    }

    async fn kept_watches(&self) -> Result<Kept, DbError> {
        self.read(|connection| {
            let judged = connection.query_row("SELECT judged FROM meta", [], |row| row.get(0))?;
            let sql = "SELECT directory, watch FROM watches";
            let watches = all(connection, sql, [], |row| {
                Ok((DirectoryId::from_bytes(row.get(0)?), watch(row, 1)?))
            })?;
            let judged = FeedPosition(from_sql(judged));
            Ok(Kept { revision: 0, is_shared: false, judged, watches })
        })
        .await
    }

    /// What is held of directories, and what was and is not with every endpoint.
    async fn holds(&self, ids: Vec<DirectoryId>) -> Result<BTreeMap<DirectoryId, Hold>, DbError> {
        self.read(move |connection| {
            let sql = "SELECT watch, release_from FROM watches WHERE directory = ?1";
            let mut holds = BTreeMap::new();
            for id in ids {
                let found = first(connection, sql, [id.to_bytes()], |row| {
                    Ok((watch(row, 0)?, row.get::<_, Option<i64>>(1)?.is_some()))
                })?;
                let held = found.and_then(|(watch, asked)| Some((watch.hold()?, watch, asked)));
                holds.extend(held.map(|(hold, watch, asked)| (id, shown(hold, &watch, asked))));
            }
            Ok(holds)
        })
        .await
    }

    /// Asks for the release of what is held of a directory.
    async fn release_hold(
        &self,
        reach: Reach,
        id: DirectoryId,
        at: Timestamp,
    ) -> Result<(), DbError> {
        self.check_reach(reach, id)?;
        self.change_beside(move |connection| {
            directories::check_lives(connection, id)?;
            let sql = "SELECT watch FROM watches WHERE directory = ?1";
            let found = first(connection, sql, [id.to_bytes()], |row| watch(row, 0))?;
            if found.as_ref().is_none_or(|watch| watch.hold().is_none()) {
                return Err(conflicted(Conflict::NotHeld));
            }
            // Once it is on its way, there is nothing more to ask for.
            let sql = "UPDATE watches SET release_from = ?2 WHERE directory = ?1";
            if found.is_some_and(|watch| watch.held().is_some()) {
                connection.execute(sql, params![id.to_bytes(), at.millis()])?;
            }
            Ok(())
        })
        .await?;
        self.brakes_changed();
        Ok(())
    }

    async fn held_subjects(
        &self,
        directory: DirectoryId,
        subjects: BTreeSet<ScimId>,
    ) -> Result<BTreeSet<ScimId>, DbError> {
        self.read(move |connection| {
            let sql = "SELECT 1 FROM held_subjects WHERE directory = ?1 AND subject = ?2";
            let mut select = connection.prepare_cached(sql)?;
            let mut held = BTreeSet::new();
            for subject in subjects {
                if select.exists(params![directory.to_bytes(), subject.to_bytes()])? {
                    held.insert(subject);
                }
            }
            Ok(held)
        })
        .await
    }

    /// All in one transaction. No other process has this store, so no judgement is ever too old.
    async fn judge(&self, judgement: Judgement) -> Result<Option<u64>, DbError> {
        let revision = judgement.revision + 1;
        let edge = std::sync::Arc::clone(&self.edge);
        let known = self.known();
        let (told, any) = self
            .progress
            .run(move |connection| {
                let transaction = connection.transaction()?;
                write(&transaction, &judgement)?;
                for (id, hold, notice) in &judgement.notices {
                    let directory = known.get(*id).map(|known| &known.directory);
                    operational::directory(&transaction, *id, directory, (hold, notice), &*edge)?;
                }
                let told = operational::end(&transaction)?;
                let any = any_held(&transaction)?;
                transaction.commit()?;
                Ok((told, any))
            })
            .await?;
        self.any_held.store(any, Ordering::Release);
        self.told(told);
        Ok(Some(revision))
    }

    /// The holds of events within a part of the feed, by their positions.
    async fn holds_between(
        &self,
        first: FeedPosition,
        last: FeedPosition,
    ) -> Result<BTreeMap<FeedPosition, FeedPosition>, DbError> {
        if !self.any_held.load(Ordering::Acquire) {
            return Ok(BTreeMap::new());
        }
        self.read(move |connection| {
            let sql = "SELECT position, hold FROM held_events WHERE position BETWEEN ?1 AND ?2";
            let bounds = params![as_sql(first.0), as_sql(last.0)];
            let rows = all(connection, sql, bounds, |row| {
                Ok((FeedPosition(from_sql(row.get(0)?)), FeedPosition(from_sql(row.get(1)?))))
            })?;
            Ok(rows.into_iter().collect())
        })
        .await
    }

    /// The positions of a directory's held events.
    async fn held_positions(
        &self,
        directory: DirectoryId,
        after: FeedPosition,
        up_to: FeedPosition,
        limit: usize,
    ) -> Result<Vec<u64>, DbError> {
        self.read(move |connection| {
            let sql = "SELECT position FROM held_events
                WHERE directory = ?1 AND position > ?2 AND position <= ?3
                ORDER BY position LIMIT ?4";
            let (after, up_to, limit) = (as_sql(after.0), as_sql(up_to.0), as_sql(limit as u64));
            all(connection, sql, params![directory.to_bytes(), after, up_to, limit], |row| {
                Ok(from_sql(row.get(0)?))
            })
        })
        .await
    }

    async fn is_drained(&self, directory: DirectoryId) -> Result<bool, DbError> {
        self.read(move |connection| {
            let lines = [Line::Held(directory), Line::HeldStream(directory)].map(line_name);
            let sql = "SELECT NOT EXISTS (SELECT 1 FROM blocked_lines WHERE line IN (?2, ?3))
                AND NOT EXISTS (SELECT 1 FROM endpoints WHERE enabled AND kind = 'directory'
                    AND cursor < (SELECT max(position) FROM held_events WHERE directory = ?1))";
            let [held, stream] = lines;
            let drained =
                connection.query_row(sql, params![directory.to_bytes(), held, stream], |row| {
                    row.get(0)
                })?;
            Ok(drained)
        })
        .await
    }
}

/// Whether anything is held at all, which is what the feed asks for with every page.
pub(super) fn any_held(connection: &Connection) -> Result<bool, DbError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM held_events)";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

fn write(connection: &Connection, judgement: &Judgement) -> Result<(), DbError> {
    let sql = "UPDATE meta SET judged = ?1";
    connection.prepare_cached(sql)?.execute([as_sql(judgement.judged.0)])?;
    for (id, watch) in &judgement.watches {
        let json = serde_json::to_string(watch).map_err(unreadable("watch"))?;
        let sql = "INSERT INTO watches (directory, watch) VALUES (?1, ?2)
            ON CONFLICT (directory) DO UPDATE SET watch = excluded.watch";
        connection.prepare_cached(sql)?.execute(params![id.to_bytes(), json])?;
    }
    for HeldEvent { directory, position, hold, subjects } in &judgement.held {
        let sql = "INSERT OR IGNORE INTO held_events (position, directory, hold)
            VALUES (?1, ?2, ?3)";
        let directory = directory.to_bytes();
        connection.prepare_cached(sql)?.execute(params![
            as_sql(position.0),
            directory,
            as_sql(hold.0)
        ])?;
        let sql = "INSERT OR IGNORE INTO held_subjects (directory, subject) VALUES (?1, ?2)";
        for subject in subjects {
            connection.prepare_cached(sql)?.execute(params![directory, subject.to_bytes()])?;
        }
    }
    for id in &judgement.answered {
        let sql = "UPDATE watches SET release_from = NULL WHERE directory = ?1";
        connection.prepare_cached(sql)?.execute([id.to_bytes()])?;
    }
    for id in &judgement.closed {
        for sql in [
            "DELETE FROM held_events WHERE directory = ?1",
            "DELETE FROM held_subjects WHERE directory = ?1",
        ] {
            connection.prepare_cached(sql)?.execute([id.to_bytes()])?;
        }
    }
    Ok(())
}

pub(crate) fn watch(row: &impl Columns, column: usize) -> Result<Watch, DbError> {
    serde_json::from_str(&row.text(column)?).map_err(unreadable("watch"))
}

pub(crate) fn shown(hold: dispatcher::brake::Hold, watch: &Watch, asked: bool) -> Hold {
    let is_held = watch.held().is_some() && !asked;
    Hold {
        state: if is_held { HoldState::Held } else { HoldState::Releasing },
        since: hold.since,
        users_removed: hold.removed.users,
        users: hold.of.users,
        memberships_removed: hold.removed.memberships,
        memberships: hold.of.memberships,
        events: hold.events,
    }
}

/// What a directory says of its brake, from its column.
pub(crate) fn own(row: &impl Columns, column: usize) -> Result<BrakeChoice, DbError> {
    let Some(text) = row.text_if(column)? else { return Ok(BrakeChoice::General) };
    let brake: Option<Brake> = serde_json::from_str(&text).map_err(unreadable("brake"))?;
    Ok(brake.map_or(BrakeChoice::Off, BrakeChoice::Of))
}

/// The same the other way round.
pub(crate) fn column(own: BrakeChoice) -> Result<Option<String>, DbError> {
    let brake = match own {
        BrakeChoice::General => return Ok(None),
        BrakeChoice::Off => None,
        BrakeChoice::Of(brake) => Some(brake),
    };
    serde_json::to_string(&brake).map(Some).map_err(unreadable("brake"))
}
