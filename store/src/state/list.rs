//! SCIM lists: pages of users and groups, with a filter or without.
//!
//! An equality on an indexed attribute, alone or with others in an `and`, leaves a handful of
//! candidates; anything else reads the directory's rows in order of creation, a bounded number at a
//! time. What remains of the filter is matched in memory, by the same function as everywhere.

mod kind;

use directory::matching::matches;
use ingest::ports::{GroupView, ListQuery, Listed, Members, UserView};
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, params, params_from_iter};
use schemas::scim::{Attributes, CompareOp, Filter, Literal, ScimError};
use schemas::{DirectoryId, ScimId};

use super::rows::{GROUP_COLUMNS, USER_COLUMNS, all, first, group, user};
use super::{State, directory_row};
use crate::error::DbError;
use crate::sqlite::{as_sql, from_sql};
use kind::{Asked, Condition, Groups, Kind, Users, group_view, user_view};

/// How many rows are read at once while a filter is matched in memory.
const SCAN_ROWS: u32 = 500;

/// A list, or why the filter cannot be evaluated.
pub(crate) type Filtered<T> = Result<Listed<T>, ScimError>;

impl State {
    pub(crate) async fn user(
        &self,
        directory: DirectoryId,
        id: ScimId,
    ) -> Result<Option<UserView>, DbError> {
        self.read(move |connection| {
            let Some(row) = directory_row(connection, directory)? else { return Ok(None) };
            let sql =
                format!("SELECT {USER_COLUMNS} FROM users WHERE scim_id = ?1 AND directory = ?2");
            let found = first(connection, &sql, params![id.to_bytes(), row.key], user)?;
            found.map(|found| user_view(connection, found)).transpose()
        })
        .await
    }

    pub(crate) async fn group(
        &self,
        directory: DirectoryId,
        id: ScimId,
        members: Members,
    ) -> Result<Option<GroupView>, DbError> {
        self.read(move |connection| {
            let Some(row) = directory_row(connection, directory)? else { return Ok(None) };
            let sql =
                format!("SELECT {GROUP_COLUMNS} FROM groups WHERE scim_id = ?1 AND directory = ?2");
            let found = first(connection, &sql, params![id.to_bytes(), row.key], group)?;
            found.map(|found| group_view(connection, found, members)).transpose()
        })
        .await
    }

    pub(crate) async fn list_users(
        &self,
        directory: DirectoryId,
        query: ListQuery,
    ) -> Result<Filtered<UserView>, DbError> {
        self.list(directory, query, Users).await
    }

    pub(crate) async fn list_groups(
        &self,
        directory: DirectoryId,
        query: ListQuery,
        members: Members,
    ) -> Result<Filtered<GroupView>, DbError> {
        self.list(directory, query, Groups { members }).await
    }

    async fn list<K: Kind>(
        &self,
        directory: DirectoryId,
        query: ListQuery,
        kind: K,
    ) -> Result<Filtered<K::View>, DbError> {
        let ListQuery { filter, skip, count } = query;
        let Some(filter) = filter else {
            let read =
                self.read(move |connection| unfiltered(connection, directory, skip, count, kind));
            return read.await.map(Ok);
        };
        if let Err(error) = matches(&filter, &Attributes::new(), K::SCHEMA) {
            return Ok(Err(error));
        }
        let mut scan = Scan {
            directory,
            asked: Asked::by(&filter),
            condition: candidates(&filter, kind),
            filter,
            skip,
            count,
            kind,
            after: Vec::new(),
            listed: Listed { total: 0, items: Vec::new() },
        };
        // Each chunk is a job of its own, so that what is waited for does not queue behind a scan.
        loop {
            let ended;
            (scan, ended) = self
                .read(move |connection| {
                    let ended = scan.step(connection)?;
                    Ok((scan, ended))
                })
                .await?;
            if ended {
                return Ok(Ok(scan.listed));
            }
        }
    }
}

fn unfiltered<K: Kind>(
    connection: &Connection,
    directory: DirectoryId,
    skip: u64,
    count: u32,
    kind: K,
) -> Result<Listed<K::View>, DbError> {
    let counted = format!("SELECT key, {} FROM directories WHERE id = ?1", K::TOTAL);
    let counted = first(connection, &counted, [directory.to_bytes()], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
    })?;
    let Some((directory, total)) = counted else {
        return Ok(Listed { total: 0, items: Vec::new() });
    };
    let sql = format!(
        "SELECT {} FROM {} WHERE directory = ?1 ORDER BY {} LIMIT ?2 OFFSET ?3",
        K::COLUMNS,
        K::TABLE,
        K::ORDER
    );
    let rows =
        all(connection, &sql, params![directory, count, as_sql(skip)], |row| kind.read(row))?;
    let items = rows.into_iter().map(|row| kind.view(connection, row)).collect::<Result<_, _>>()?;
    Ok(Listed { total: from_sql(total), items })
}

/// A filtered list in the making. Rows that come or go between two steps may count or not.
struct Scan<K: Kind> {
    directory: DirectoryId,
    filter: Filter,
    asked: Asked,
    condition: Option<Condition>,
    skip: u64,
    count: u32,
    kind: K,
    /// Where the last row that was read stands.
    after: Vec<u8>,
    listed: Listed<K::View>,
}

impl<K: Kind> Scan<K> {
    /// Matches the next rows; returns whether they were the last.
    fn step(&mut self, connection: &Connection) -> Result<bool, DbError> {
        let Some(directory) = directory_row(connection, self.directory)? else { return Ok(true) };
        let rows = self.rows(connection, directory.key)?;
        let ended = rows.len() < SCAN_ROWS as usize;
        if let Some(last) = rows.last() {
            self.after = self.kind.place(last);
        }
        for row in rows {
            let subject = self.kind.subject(connection, &row, &self.asked)?;
            // The filter itself was checked before the first step.
            if !matches(&self.filter, &subject, K::SCHEMA).is_ok_and(|matched| matched) {
                continue;
            }
            let on_page =
                self.listed.total >= self.skip && self.listed.items.len() < self.count as usize;
            self.listed.total += 1;
            if on_page {
                self.listed.items.push(self.kind.view(connection, row)?);
            }
        }
        Ok(ended)
    }

    fn rows(&self, connection: &Connection, directory: i64) -> Result<Vec<K::Row>, DbError> {
        let (columns, table, order) = (K::COLUMNS, K::TABLE, K::ORDER);
        let after = Sql::Blob(self.after.clone());
        let limit = Sql::from(i64::from(SCAN_ROWS));
        let (sql, parameters) = match &self.condition {
            None => (
                format!(
                    "SELECT {columns} FROM {table} WHERE directory = ?1 AND {order} > ?2
                     ORDER BY {order} LIMIT ?3"
                ),
                vec![directory.into(), after, limit],
            ),
            Some((condition, value)) => (
                format!(
                    "SELECT {columns} FROM {table} WHERE {condition} AND +{order} > ?3
                     ORDER BY +{order} LIMIT ?4"
                ),
                vec![directory.into(), value.clone(), after, limit],
            ),
        };
        all(connection, &sql, params_from_iter(parameters), |row| self.kind.read(row))
    }
}

/// The condition of the first equality that an index serves: the filter itself, or a part of an
/// `and`.
fn candidates<K: Kind>(filter: &Filter, kind: K) -> Option<Condition> {
    match filter {
        Filter::Compare { path, op: CompareOp::Eq, value: Literal::String(value) } => {
            kind.indexed(path, value)
        }
        Filter::And(parts) => parts.iter().find_map(|part| candidates(part, kind)),
        Filter::Compare { .. }
        | Filter::Or(_)
        | Filter::Not(_)
        | Filter::Present(_)
        | Filter::Has { .. } => None,
    }
}
