//! Brakes, what directories that have one have come to, and what is held of them.
//!
//! Every process judges, and one row counts the judgements: whoever writes one names the count that it was made of,
//! and is refused if another has written since.

use std::collections::{BTreeMap, BTreeSet};

use api::ports::{Conflict, Hold, Reach};
use async_trait::async_trait;
use deadpool_postgres::Transaction;
use dispatcher::ports::{Braked, Brakes, FeedPosition, Judgement, Kept, Line};
use schemas::{Brake, DirectoryId, ScimId, Timestamp};
use tokio_postgres::IsolationLevel;

use super::query::{Parameters, all, execute, first, id, int};
use super::{About, Change, Config, directories, operational};
use crate::backend::BrakeBackend;
use crate::columns::Columns as _;
use crate::config::brakes::{shown, watch};
use crate::config::deliveries::line_name;
use crate::config::operational::{Note, braked};
use crate::error::{DbError, unreadable};
use crate::ports::conflicted;

#[async_trait]
impl BrakeBackend for Config {
    fn general_brake(&self) -> Option<Brake> {
        *self.general_brake.lock().expect("nothing panics while it is held")
    }

    fn set_general_brake(&self, brake: Option<Brake>) {
        *self.general_brake.lock().expect("nothing panics while it is held") = brake;
        self.memory.brakes_changed();
    }

    async fn wait_brakes_changed(&self, version: u64) -> Result<(), DbError> {
        let mut changes = self.memory.brakes.subscribe();
        let changed = changes.wait_for(|current| *current != version).await;
        changed.map(drop).map_err(|_| DbError::Closed)
    }

    async fn brakes(&self) -> Result<Brakes, DbError> {
        // Before looking, so that a change in between is looked at again.
        let version = *self.memory.brakes.borrow();
        let client = self.db.client().await?;
        let sql = "SELECT directory FROM watches WHERE release_from IS NOT NULL";
        let asked = all(&client, sql, &[]).await?;
        let known = self.known();
        let mut list: BTreeMap<DirectoryId, Braked> = BTreeMap::new();
        for known in known.all() {
            let directory = known.directory.id;
            if let Some(rule) = self.brake_of(known.brake) {
                list.insert(directory, Braked { directory, rule: Some(rule), release: false });
            }
        }
        for row in asked {
            let directory = DirectoryId::from_bytes(row.id(0)?);
            let braked = Braked { directory, rule: None, release: false };
            list.entry(directory).or_insert(braked).release = true;
        }
        Ok(Brakes { version, list: list.into_values().collect() })
    }

    async fn kept_watches(&self) -> Result<Kept, DbError> {
        let mut client = self.db.client().await?;
        // Both as of one judgement.
        let begin = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead);
        let tx = begin.read_only(true).start().await?;
        let row = first(&tx, "SELECT revision, position FROM judged", &[]).await?;
        let row = row.ok_or_else(|| unreadable("judgement")("there is none"))?;
        let (revision, judged) = (row.count(0)?, FeedPosition(row.count(1)?));
        let rows = all(&tx, "SELECT directory, watch FROM watches", &[]).await?;
        let watches =
            rows.iter().map(|row| Ok((DirectoryId::from_bytes(row.id(0)?), watch(row, 1)?)));
        let watches = watches.collect::<Result<Vec<_>, DbError>>()?;
        Ok(Kept { revision, is_shared: true, judged, watches })
    }

    async fn holds(&self, ids: Vec<DirectoryId>) -> Result<BTreeMap<DirectoryId, Hold>, DbError> {
        let client = self.db.client().await?;
        let ids: Vec<Vec<u8>> = ids.iter().map(|one| id(one.to_bytes())).collect();
        let sql = "SELECT directory, watch, release_from FROM watches WHERE directory = ANY($1)";
        let mut holds = BTreeMap::new();
        for row in all(&client, sql, &[&ids]).await? {
            let (watch, asked) = (watch(&row, 1)?, row.integer_if(2)?.is_some());
            if let Some(hold) = watch.hold() {
                let directory = DirectoryId::from_bytes(row.id(0)?);
                holds.insert(directory, shown(hold, &watch, asked));
            }
        }
        Ok(holds)
    }

    async fn release_hold(
        &self,
        reach: Reach,
        directory: DirectoryId,
        at: Timestamp,
    ) -> Result<(), DbError> {
        self.known().reached(reach, directory)?;
        let mut client = self.db.client().await?;
        let change = self.begin(&mut client, About::Directory(directory)).await?;
        directories::check_lives(&change.tx, directory).await?;
        let key = id(directory.to_bytes());
        let sql = "SELECT watch FROM watches WHERE directory = $1 FOR UPDATE";
        let row = first(&change.tx, sql, &[&key]).await?;
        let found = row.map(|row| watch(&row, 0)).transpose()?;
        if found.as_ref().is_none_or(|watch| watch.hold().is_none()) {
            return Err(conflicted(Conflict::NotHeld));
        }
        // Once it is on its way, there is nothing more to ask for.
        if found.is_some_and(|watch| watch.held().is_some()) {
            let sql = "UPDATE watches SET release_from = $2 WHERE directory = $1";
            execute(&change.tx, sql, &[&key, &at.millis()]).await?;
        }
        self.commit(change).await
    }

    async fn held_subjects(
        &self,
        directory: DirectoryId,
        subjects: BTreeSet<ScimId>,
    ) -> Result<BTreeSet<ScimId>, DbError> {
        let client = self.db.client().await?;
        let subjects: Vec<Vec<u8>> = subjects.iter().map(|one| id(one.to_bytes())).collect();
        let sql = "SELECT subject FROM held_subjects WHERE directory = $1 AND subject = ANY($2)";
        let rows = all(&client, sql, &[&id(directory.to_bytes()), &subjects]).await?;
        rows.iter().map(|row| Ok(ScimId::from_bytes(row.id(0)?))).collect()
    }

    async fn judge(&self, judgement: Judgement) -> Result<Option<u64>, DbError> {
        let mut client = self.db.client().await?;
        // What others have to hear of counts as a change, which is locked first.
        let is_news = !(judgement.notices.is_empty()
            && judgement.answered.is_empty()
            && judgement.closed.is_empty());
        let change = if is_news {
            self.begin(&mut client, About::Directories).await?
        } else {
            Change { tx: client.transaction().await?, about: About::Nothing }
        };
        let sql = "UPDATE judged SET revision = revision + 1, position = $2 WHERE revision = $1";
        let parameters: Parameters<'_> = &[&int(judgement.revision), &int(judgement.judged.0)];
        if execute(&change.tx, sql, parameters).await? == 0 {
            return Ok(None);
        }
        write_watches(&change.tx, &judgement).await?;
        write_held(&change.tx, &judgement).await?;
        forget(&change.tx, &judgement).await?;
        let told = self.tell(&change.tx, &judgement).await?;
        if is_news {
            self.commit(change).await?;
        } else {
            change.tx.commit().await?;
        }
        if let Some(told) = told {
            self.memory.told(told);
        }
        Ok(Some(judgement.revision + 1))
    }

    /// It is asked every time: what is held is written by any process.
    async fn holds_between(
        &self,
        first: FeedPosition,
        last: FeedPosition,
    ) -> Result<BTreeMap<FeedPosition, FeedPosition>, DbError> {
        let client = self.db.client().await?;
        let sql = "SELECT position, hold FROM held_events WHERE position BETWEEN $1 AND $2";
        let rows = all(&client, sql, &[&int(first.0), &int(last.0)]).await?;
        rows.iter()
            .map(|row| Ok((FeedPosition(row.count(0)?), FeedPosition(row.count(1)?))))
            .collect()
    }

    async fn held_positions(
        &self,
        directory: DirectoryId,
        after: FeedPosition,
        up_to: FeedPosition,
        limit: usize,
    ) -> Result<Vec<u64>, DbError> {
        let client = self.db.client().await?;
        let sql = "SELECT position FROM held_events
            WHERE directory = $1 AND position > $2 AND position <= $3 ORDER BY position LIMIT $4";
        let parameters: Parameters<'_> =
            &[&id(directory.to_bytes()), &int(after.0), &int(up_to.0), &int(limit as u64)];
        all(&client, sql, parameters).await?.iter().map(|row| row.count(0)).collect()
    }

    async fn is_drained(&self, directory: DirectoryId) -> Result<bool, DbError> {
        let client = self.db.client().await?;
        let lines = [Line::Held(directory), Line::HeldStream(directory)].map(line_name);
        let sql = "SELECT NOT EXISTS (SELECT FROM blocked_lines WHERE line = ANY($2))
            AND NOT EXISTS (SELECT FROM endpoints WHERE enabled AND kind = 'directory'
                AND cursor < (SELECT max(position) FROM held_events WHERE directory = $1))";
        let parameters: Parameters<'_> = &[&id(directory.to_bytes()), &lines.to_vec()];
        let row = first(&client, sql, parameters).await?;
        row.map_or(Ok(true), |row| row.flag(0))
    }
}

impl Config {
    /// Notes what the operator is told of a judgement.
    async fn tell(
        &self,
        tx: &Transaction<'_>,
        judgement: &Judgement,
    ) -> Result<Option<i64>, DbError> {
        let known = self.known();
        let note = |(id, hold, notice): &(DirectoryId, _, _)| {
            braked(*id, known.get(*id).map(|known| &known.directory), (hold, notice))
        };
        let notes: Vec<Note> = judgement.notices.iter().map(note).collect();
        if notes.is_empty() {
            return Ok(None);
        }
        operational::insert(tx, &notes, &*self.edge).await.map(Some)
    }
}

async fn write_watches(tx: &Transaction<'_>, judgement: &Judgement) -> Result<(), DbError> {
    for (directory, watch) in &judgement.watches {
        let json = serde_json::to_string(watch).map_err(unreadable("watch"))?;
        let sql = "INSERT INTO watches (directory, watch) VALUES ($1, $2)
            ON CONFLICT (directory) DO UPDATE SET watch = excluded.watch";
        execute(tx, sql, &[&id(directory.to_bytes()), &json]).await?;
    }
    Ok(())
}

async fn write_held(tx: &Transaction<'_>, judgement: &Judgement) -> Result<(), DbError> {
    let held = &judgement.held;
    if held.is_empty() {
        return Ok(());
    }
    let directories: Vec<Vec<u8>> = held.iter().map(|one| id(one.directory.to_bytes())).collect();
    let positions: Vec<i64> = held.iter().map(|one| int(one.position.0)).collect();
    let holds: Vec<i64> = held.iter().map(|one| int(one.hold.0)).collect();
    let sql = "INSERT INTO held_events (position, directory, hold)
        SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bigint[]) ON CONFLICT DO NOTHING";
    execute(tx, sql, &[&positions, &directories, &holds]).await?;
    let of = |one: &dispatcher::ports::HeldEvent| {
        let directory = id(one.directory.to_bytes());
        let subjects: Vec<ScimId> = one.subjects.clone();
        subjects.into_iter().map(move |subject| (directory.clone(), id(subject.to_bytes())))
    };
    let (directories, subjects): (Vec<Vec<u8>>, Vec<Vec<u8>>) = held.iter().flat_map(of).unzip();
    let sql = "INSERT INTO held_subjects (directory, subject)
        SELECT * FROM unnest($1::bytea[], $2::bytea[]) ON CONFLICT DO NOTHING";
    execute(tx, sql, &[&directories, &subjects]).await?;
    Ok(())
}

async fn forget(tx: &Transaction<'_>, judgement: &Judgement) -> Result<(), DbError> {
    let keys = |ids: &[DirectoryId]| -> Vec<Vec<u8>> {
        ids.iter().map(|one| id(one.to_bytes())).collect()
    };
    for (ids, sql) in [
        (&judgement.answered, "UPDATE watches SET release_from = NULL WHERE directory = ANY($1)"),
        (&judgement.closed, "DELETE FROM held_events WHERE directory = ANY($1)"),
        (&judgement.closed, "DELETE FROM held_subjects WHERE directory = ANY($1)"),
    ] {
        if !ids.is_empty() {
            execute(tx, sql, &[&keys(ids)]).await?;
        }
    }
    Ok(())
}
