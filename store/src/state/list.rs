//! SCIM lists: pages of users and groups, filtered, sorted, or both.
//!
//! A filter runs in the database, as SQL. What an index serves is looked up; anything else reads the
//! directory in order of creation, a bounded number of rows at a time, so that no list makes the others
//! wait, and a bounded number in all. Sorting reads what matches and sorts it here, so that the order is
//! the same on every database.

pub(crate) mod kind;
pub(crate) mod pace;
pub(crate) mod page;

use std::sync::Arc;

use directory::Group;
use directory::matching::matches;
use directory::sorting;
use ingest::ports::{ListQuery, Listed, Member, MemberPlace, Place, Reference, Start, UserView};
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, params, params_from_iter};
use schemas::scim::{AttrPath, Attributes, ScimError, ScimType};
use schemas::{DirectoryId, ScimId};

use super::rows::{GROUP_COLUMNS, USER_COLUMNS, all, asked, every, first, group, user};
use super::{State, present_row};
use crate::backend::Filtered;
use crate::error::DbError;
use crate::filter::{Parameter, Sqlite, compile};
use crate::sqlite::{as_sql, from_sql};
use kind::{Condition, Groups, Kind, Users, user_view};
use pace::Pace;
use page::{Found, Page};

/// How many rows one job reads while no index serves a filter: some ten milliseconds.
pub(crate) const SCAN_ROWS: u32 = 2_000;

/// How long a filter may be as SQL to be one of a few terms.
pub(crate) const SHORT_MAX: usize = 2_048;

/// How many rows a list reads in all when no index serves it. A larger directory has to be asked by an
/// attribute that is indexed: the others would keep a core busy for seconds.
pub(crate) const SCAN_MAX: u64 = 200_000;

impl State {
    pub(crate) async fn user(
        &self,
        directory: DirectoryId,
        id: ScimId,
    ) -> Result<Option<UserView>, DbError> {
        self.read(move |connection| {
            let Some(row) = present_row(connection, directory)? else { return Ok(None) };
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
    ) -> Result<Option<Group>, DbError> {
        self.read(move |connection| {
            let Some(row) = present_row(connection, directory)? else { return Ok(None) };
            let sql =
                format!("SELECT {GROUP_COLUMNS} FROM groups WHERE scim_id = ?1 AND directory = ?2");
            let found = first(connection, &sql, params![id.to_bytes(), row.key], group)?;
            Ok(found.map(|(_, group)| group))
        })
        .await
    }

    pub(crate) async fn members(
        &self,
        directory: DirectoryId,
        group: ScimId,
        after: Option<MemberPlace>,
        limit: u32,
    ) -> Result<Vec<Member>, DbError> {
        self.read(move |connection| {
            let Some(row) = present_row(connection, directory)? else { return Ok(Vec::new()) };
            let sql = "SELECT memberships.user_key, users.scim_id, users.display FROM memberships
                JOIN users ON users.key = memberships.user_key
                WHERE memberships.group_key =
                    (SELECT key FROM groups WHERE scim_id = ?1 AND directory = ?2)
                  AND memberships.user_key > ?3
                ORDER BY memberships.user_key LIMIT ?4";
            // Keys begin with 1.
            let after = after.map_or(0, |place| place.0);
            all(connection, sql, params![group.to_bytes(), row.key, after, limit], |row| {
                let user = Reference { id: ScimId::from_bytes(row.get(1)?), display: row.get(2)? };
                Ok(Member { place: MemberPlace(row.get(0)?), user })
            })
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
    ) -> Result<Filtered<Group>, DbError> {
        self.list(directory, query, Groups).await
    }

    async fn list<K: Kind>(
        &self,
        directory: DirectoryId,
        query: ListQuery,
        kind: K,
    ) -> Result<Filtered<K::View>, DbError> {
        if let Err(error) = check::<K>(&query) {
            return Ok(Err(error));
        }
        if query.filter.is_none() && query.sort.is_none() {
            let (start, count) = (query.start, query.count);
            let read =
                self.read(move |connection| unfiltered(connection, directory, &start, count, kind));
            return read.await.map(Ok);
        }
        let mut scan = Scan::new(directory, &query, kind);
        // Each chunk is a job of its own, so that what is waited for does not queue behind a scan.
        while !scan.ended {
            if scan.read > SCAN_MAX {
                return Ok(Err(too_many(&query)));
            }
            if scan.pace.is_over() {
                return Ok(Err(too_long(&query)));
            }
            // Who looks somebody up by a filter, as identity providers do before every write, waits for no list that reads on.
            let _turn = if scan.is_look_up() { None } else { self.scans.acquire().await.ok() };
            scan = self.read(move |connection| scan.step(connection)).await?;
        }
        self.read(move |connection| scan.finish(connection)).await.map(Ok)
    }
}

/// What the schema cannot allow is refused whatever the directory holds.
pub(crate) fn check<K: Kind>(query: &ListQuery) -> Result<(), ScimError> {
    if let Some(filter) = &query.filter {
        matches(filter, &Attributes::new(), K::TABLE.schema)?;
    }
    query.sort.as_ref().map_or(Ok(()), |sort| sorting::check(&sort.by, K::TABLE.schema))
}

pub(crate) fn too_many(query: &ListQuery) -> ScimError {
    let what = if query.filter.is_some() { "This filter" } else { "Sorting all resources" };
    let detail = format!(
        "{what} would have to look at more than {SCAN_MAX} resources. Filter by userName, externalId, emails, \
         id or a later meta.lastModified, or by displayName or members for groups; what is filtered by active \
         alone is read on by cursor, however much it is."
    );
    ScimError::new(ScimType::TooMany, detail)
}

pub(crate) fn too_long(query: &ListQuery) -> ScimError {
    let (what, fewer) = if query.filter.is_some() {
        ("This filter", " and fewer terms")
    } else {
        ("Sorting all resources", "")
    };
    let detail = format!(
        "{what} takes longer than a list may, on resources with so many values. Use a filter by an attribute that is looked up, such as \
         userName, externalId or id{fewer}."
    );
    ScimError::new(ScimType::TooMany, detail)
}

/// Behind all places: no id is longer, so none is greater.
const LAST_PLACE: [u8; size_of::<u128>() + 1] = [0xff; size_of::<u128>() + 1];

fn unfiltered<K: Kind>(
    connection: &Connection,
    directory: DirectoryId,
    start: &Start,
    count: u32,
    kind: K,
) -> Result<Listed<K::View>, DbError> {
    let counted = format!("SELECT key, {} FROM directories WHERE id = ?1 AND gone = 0", K::TOTAL);
    let counted = first(connection, &counted, [directory.to_bytes()], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
    })?;
    let Some((directory, total)) = counted else { return Ok(Page::empty()) };
    let (skip, after) = match start {
        Start::Skip(skip) => (as_sql(*skip), Vec::new()),
        Start::After(place) => (0, place.order.to_vec()),
    };
    // One more tells whether others follow. Only what is shown is read beyond the indexes.
    let sql = format!(
        "SELECT {} FROM ({} ORDER BY place LIMIT ?4 OFFSET ?5) AS run
         CROSS JOIN {name} ON {name}.key = run.key ORDER BY run.place",
        K::COLUMNS,
        K::RUN,
        name = K::NAME
    );
    let limit = if count == 0 { 0 } else { i64::from(count) + 1 };
    let mut rows =
        all(connection, &sql, params![directory, after, LAST_PLACE, limit, skip], |row| {
            kind.read(row)
        })?;
    let more = rows.len() > count as usize;
    rows.truncate(count as usize);
    let last = rows.last().filter(|_| more).map(|row| kind.order(row));
    let items = rows.into_iter().map(|row| kind.view(connection, row)).collect::<Result<_, _>>()?;
    let next = last.map(|order| Place { key: None, order });
    Ok(Listed { total: from_sql(total), items, next })
}

/// A filtered or sorted list in the making. Rows that come or go between two steps may count or not.
struct Scan<K: Kind> {
    directory: DirectoryId,
    /// The filter, with its parameters behind those of the query.
    condition: Arc<str>,
    parameters: Vec<Sql>,
    /// What leaves a handful of candidates, if an index serves the filter.
    indexed: Option<Condition>,
    /// The column that says how many match, so that reading ends with the page.
    counted: Option<&'static str>,
    sort: Option<AttrPath>,
    base: String,
    kind: K,
    /// Where the last row that was read stands.
    after: Vec<u8>,
    read: u64,
    pace: Pace,
    ended: bool,
    page: Page,
}

/// How many parameters a query of [`Scan`] has of its own: directory, and the bounds or the value of an
/// index.
const OWN_PARAMETERS: usize = 3;

impl<K: Kind> Scan<K> {
    fn new(directory: DirectoryId, query: &ListQuery, kind: K) -> Self {
        let (condition, parameters) = match &query.filter {
            Some(filter) => compile::<Sqlite>(filter, &K::TABLE, &query.base, OWN_PARAMETERS + 1),
            None => ("TRUE".to_owned(), Vec::new()),
        };
        let sorted = query.sort.is_some();
        let counted = query.filter.as_ref().and_then(|filter| kind.counted(filter));
        let counted = counted.filter(|_| !sorted);
        // What is counted need not be read from the first on.
        let after = match &query.start {
            Start::After(place) if counted.is_some() => place.order.to_vec(),
            Start::After(_) | Start::Skip(_) => Vec::new(),
        };
        Self {
            directory,
            condition: condition.into(),
            parameters: parameters.into_iter().map(sql).collect(),
            indexed: query.filter.as_ref().and_then(|filter| kind.indexed(&query.base, filter)),
            sort: query.sort.as_ref().map(|sort| sort.by.clone()),
            base: query.base.clone(),
            kind,
            after,
            read: 0,
            pace: Pace::new(),
            ended: false,
            counted,
            page: Page::new(query),
        }
    }

    /// Whether it looks at what an index leads to, by a few terms.
    fn is_look_up(&self) -> bool {
        self.indexed.is_some() && self.condition.len() <= SHORT_MAX
    }

    /// Takes in what matches of the next rows, or sees to it that fewer are next if that takes too long.
    fn step(mut self, connection: &Connection) -> Result<Self, DbError> {
        let stood = (self.after.clone(), self.read);
        if !self.take_next(connection)? {
            (self.after, self.read) = stood;
            (self.ended, self.indexed) = (false, None);
        }
        Ok(self)
    }

    /// Whether there was time for it.
    fn take_next(&mut self, connection: &Connection) -> Result<bool, DbError> {
        let Some(directory) = present_row(connection, self.directory)? else {
            self.ended = true;
            return Ok(true);
        };
        let (from, among, second, third) = match &self.indexed {
            Some(Condition { is_range: true, sql, value })
                if self.is_wide(connection, directory.key, sql, value)? =>
            {
                self.read = SCAN_MAX + 1;
                return Ok(true);
            }
            Some(Condition { sql, value, .. }) => {
                self.ended = true;
                let among = format!("{sql} AND ?3 IS NULL");
                (K::NAME.to_owned(), among, value.clone(), Sql::Null)
            }
            None => {
                let last = self.bound(connection, directory.key)?;
                let after = std::mem::replace(&mut self.after, last.clone());
                (of_run::<K>(), "TRUE".to_owned(), Sql::Blob(after), Sql::Blob(last))
            }
        };
        let own = [directory.key.into(), second, third].into_iter();
        let parameters: Vec<Sql> = own.chain(self.parameters.iter().cloned()).collect();
        let found = if self.sort.is_some() {
            self.sorted(connection, (&from, &among), parameters)?
        } else {
            self.in_order(connection, (&from, &among), parameters)?
        };
        let is_done = found.is_some();
        found.into_iter().flatten().for_each(|found| self.page.take(found));
        self.ended |= self.counted.is_some() && self.page.is_full();
        Ok(is_done)
    }

    /// Whether more rows fulfil a condition than a list may read. The index alone tells.
    fn is_wide(
        &self,
        connection: &Connection,
        directory: i64,
        among: &str,
        value: &Sql,
    ) -> Result<bool, DbError> {
        let name = K::NAME;
        let sql = format!("SELECT 1 FROM {name} WHERE {among} LIMIT 1 OFFSET ?3");
        let found =
            first(connection, &sql, params![directory, value, as_sql(SCAN_MAX)], |_| Ok(()));
        Ok(found?.is_some())
    }

    /// Where the next chunk of rows ends.
    fn bound(&mut self, connection: &Connection, directory: i64) -> Result<Vec<u8>, DbError> {
        let rows = self.pace.rows();
        let sql = format!("{} ORDER BY place LIMIT 1 OFFSET ?4", K::RUN);
        let parameters = params![directory, self.after, LAST_PLACE, rows - 1];
        let found = first(connection, &sql, parameters, |row| Ok(row.get::<_, Vec<u8>>(1)?))?;
        self.read += u64::from(rows);
        self.ended = found.is_none();
        Ok(found.unwrap_or_else(|| LAST_PLACE.to_vec()))
    }

    fn in_order(
        &mut self,
        connection: &Connection,
        among: (&str, &str),
        parameters: Vec<Sql>,
    ) -> Result<Option<Vec<Found>>, DbError> {
        let sql = selection::<K>(among, &self.condition);
        self.timed(connection, &sql, parameters, |row| {
            Ok(Found { key: row.get(0)?, place: Place { key: None, order: row.get(1)? } })
        })
    }

    /// Reads what it sorts by out of the resource itself, so that every database sorts alike.
    fn sorted(
        &mut self,
        connection: &Connection,
        (from, among): (&str, &str),
        parameters: Vec<Sql>,
    ) -> Result<Option<Vec<Found>>, DbError> {
        let Some(by) = self.sort.clone() else { return Ok(None) };
        let (condition, columns) = (&self.condition, K::COLUMNS);
        let sql = format!("SELECT {columns} FROM {from} WHERE {among} AND {condition}");
        let (kind, base) = (self.kind, self.base.clone());
        self.timed(connection, &sql, parameters, move |row| {
            let row = kind.read(row)?;
            let key = sorting::sort_key(&kind.subject(&base, &row), &by, K::TABLE.schema);
            Ok(Found { key: kind.key(&row), place: Place { key, order: kind.order(&row) } })
        })
    }

    /// What a query finds, if there is time for it. It is read by SQLite first, which no number of rows makes longer.
    fn timed(
        &mut self,
        connection: &Connection,
        sql: &str,
        parameters: Vec<Sql>,
        read: impl Fn(&rusqlite::Row<'_>) -> Result<Found, DbError>,
    ) -> Result<Option<Vec<Found>>, DbError> {
        let (by_index, pace) = (self.indexed.is_some(), &mut self.pace);
        asked(connection, sql, |select| {
            pace.run(connection, by_index, || every(select, params_from_iter(parameters), read))
        })
    }

    /// Reads the resources of the page.
    fn finish(self, connection: &Connection) -> Result<Listed<K::View>, DbError> {
        let (mut total, found, next) = self.page.finish();
        if let Some(column) = self.counted {
            let counted = format!("SELECT {column} FROM directories WHERE id = ?1");
            let counted =
                first(connection, &counted, [self.directory.to_bytes()], |row| Ok(row.get(0)?))?;
            total = counted.map_or(0, from_sql);
        }
        let sql = format!("SELECT {} FROM {} WHERE key = ?1", K::COLUMNS, K::NAME);
        let mut items = Vec::with_capacity(found.len());
        for found in found {
            // It may have gone meanwhile.
            if let Some(row) = first(connection, &sql, [found.key], |row| self.kind.read(row))? {
                items.push(self.kind.view(connection, row)?);
            }
        }
        Ok(Listed { total, items, next })
    }
}

/// The rows of the run, read one by one.
fn of_run<K: Kind>() -> String {
    format!(
        "({run}) AS run CROSS JOIN {name} ON {name}.key = run.key",
        run = K::RUN,
        name = K::NAME
    )
}

/// The places of the rows that match, in their order. They are sorted afterwards: SQLite would rather walk through all
/// users in order than look up a few rows by another index and sort them.
fn selection<K: Kind>((from, among): (&str, &str), condition: &str) -> String {
    let (name, order) = (K::NAME, K::ORDER);
    format!(
        "SELECT {name}.key, {name}.{order} FROM {from} WHERE {among} AND {condition} \
         ORDER BY +{name}.{order}"
    )
}

fn sql(parameter: Parameter) -> Sql {
    match parameter {
        Parameter::Text(text) => text.into(),
        Parameter::Integer(number) => number.into(),
        Parameter::Real(number) => number.into(),
        Parameter::Bytes(bytes) => bytes.into(),
    }
}

#[cfg(test)]
mod plans;
