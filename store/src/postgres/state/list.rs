//! SCIM lists: pages of users and groups, filtered, sorted, or both.
//!
//! What an index serves and what is counted is decided as on SQLite ([`kind`](crate::state::list::kind)), and so is
//! how far a list reads: a directory that no index leads through is read in order of creation, a bounded number of
//! rows at a time and in all. Everything is read as of one moment.

mod rows;

use std::time::Duration;

use directory::Group;
use directory::sorting;
use ingest::ports::{ListQuery, Listed, Member, MemberPlace, Place, Reference, Start, UserView};
use schemas::scim::AttrPath;
use schemas::{DirectoryId, ScimId};
use tokio::time::Instant;
use tokio_postgres::error::SqlState;

use super::super::query::Moment;
use super::super::rows::{Columns, as_sql};
use super::rows::{GROUP_COLUMNS, USER_COLUMNS, group, user};
use super::{State, present_row};
use crate::backend::Filtered;
use crate::error::DbError;
use crate::filter::{Parameter, Postgres, compile};
use crate::state::list::kind::{Condition, Groups, Users};
use crate::state::list::pace::LIST_MAX;
use crate::state::list::page::{Found, Page};
use crate::state::list::{SCAN_MAX, SCAN_ROWS, SHORT_MAX, check, too_long, too_many};
use rows::{Read, served, views_of_users};

impl State {
    pub(super) async fn user(
        &self,
        directory: DirectoryId,
        id: ScimId,
    ) -> Result<Option<UserView>, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let sql = format!(
            "SELECT {USER_COLUMNS} FROM users WHERE scim_id = $1
             AND directory = (SELECT key FROM directories WHERE id = $2 AND NOT gone)"
        );
        let ids = (id.to_bytes(), directory.to_bytes());
        let row = moment.first(&sql, &[&&ids.0[..], &&ids.1[..]]).await?;
        let found = row.map(|row| user(&row)).transpose()?;
        let views = views_of_users(&moment, found.into_iter().collect()).await?;
        Ok(views.into_iter().next())
    }

    pub(super) async fn group(
        &self,
        directory: DirectoryId,
        id: ScimId,
    ) -> Result<Option<Group>, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let sql = format!(
            "SELECT {GROUP_COLUMNS} FROM groups WHERE scim_id = $1
             AND directory = (SELECT key FROM directories WHERE id = $2 AND NOT gone)"
        );
        let ids = (id.to_bytes(), directory.to_bytes());
        let row = moment.first(&sql, &[&&ids.0[..], &&ids.1[..]]).await?;
        row.map(|row| Ok(group(&row)?.1)).transpose()
    }

    pub(super) async fn members(
        &self,
        directory: DirectoryId,
        group: ScimId,
        after: Option<MemberPlace>,
        limit: u32,
    ) -> Result<Vec<Member>, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let sql = "SELECT memberships.user_key, users.scim_id, users.display FROM memberships
            JOIN users ON users.key = memberships.user_key
            WHERE memberships.group_key = (SELECT key FROM groups WHERE scim_id = $1
                AND directory = (SELECT key FROM directories WHERE id = $2 AND NOT gone))
              AND memberships.user_key > $3
            ORDER BY memberships.user_key LIMIT $4";
        // Keys begin with 1.
        let after = after.map_or(0, |place| place.0);
        let ids = (group.to_bytes(), directory.to_bytes());
        let limit = i64::from(limit);
        let rows = moment.all(sql, &[&&ids.0[..], &&ids.1[..], &after, &limit]).await?;
        let member = |row: &tokio_postgres::Row| {
            let user = Reference { id: ScimId::from_bytes(row.id(1)?), display: row.value(2)? };
            Ok(Member { place: MemberPlace(row.value(0)?), user })
        };
        rows.iter().map(member).collect()
    }

    pub(super) async fn list_users(
        &self,
        directory: DirectoryId,
        query: ListQuery,
    ) -> Result<Filtered<UserView>, DbError> {
        self.list(directory, query, Users).await
    }

    pub(super) async fn list_groups(
        &self,
        directory: DirectoryId,
        query: ListQuery,
    ) -> Result<Filtered<Group>, DbError> {
        self.list(directory, query, Groups).await
    }

    async fn list<K: Read>(
        &self,
        directory: DirectoryId,
        query: ListQuery,
        kind: K,
    ) -> Result<Filtered<K::View>, DbError> {
        if let Err(error) = check::<K>(&query) {
            return Ok(Err(error));
        }
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        if query.filter.is_none() && query.sort.is_none() {
            return unfiltered(&moment, directory, &query.start, query.count, kind).await.map(Ok);
        }
        let Some(row) = present_row(&moment, directory).await? else {
            return Ok(Ok(Page::empty()));
        };
        let mut scan = Scan::new(row.key, &query, kind);
        if !scan.is_look_up() {
            moment.within(STATEMENT_MAX).await?;
        }
        let begun = Instant::now();
        while !scan.ended {
            if scan.read > SCAN_MAX {
                return Ok(Err(too_many(&query)));
            }
            match scan.step(&moment).await {
                Ok(()) if begun.elapsed() <= LIST_MAX => {}
                Err(error) if !is_cancelled(&error) => return Err(error),
                Ok(()) | Err(_) => return Ok(Err(too_long(&query))),
            }
        }
        scan.finish(&moment).await.map(Ok)
    }
}

/// How long one statement of a list may take that reads on, or has many terms.
const STATEMENT_MAX: Duration = Duration::from_secs(5);

fn is_cancelled(error: &DbError) -> bool {
    matches!(error, DbError::Postgres(error) if error.code() == Some(&SqlState::QUERY_CANCELED))
}

async fn unfiltered<K: Read>(
    moment: &Moment<'_>,
    directory: DirectoryId,
    start: &Start,
    count: u32,
    kind: K,
) -> Result<Listed<K::View>, DbError> {
    let counted = format!("SELECT key, {} FROM directories WHERE id = $1 AND NOT gone", K::TOTAL);
    let counted = moment.first(&counted, &[&&directory.to_bytes()[..]]).await?;
    let Some(counted) = counted else { return Ok(Page::empty()) };
    let (directory, total): (i64, _) = (counted.value(0)?, counted.number(1)?);
    let (skip, after) = match start {
        Start::Skip(skip) => (as_sql(*skip), Vec::new()),
        Start::After(place) => (0, place.order.to_vec()),
    };
    // One more tells whether others follow.
    let sql = format!(
        "SELECT {} FROM {} WHERE directory = $1 AND {order} > $2 ORDER BY {order} LIMIT $3 OFFSET $4",
        K::ROW,
        K::NAME,
        order = K::ORDER
    );
    let limit = if count == 0 { 0 } else { i64::from(count) + 1 };
    let rows = moment.all(&sql, &[&directory, &after, &limit, &skip]).await?;
    let mut rows = rows.iter().map(|row| K::of(row)).collect::<Result<Vec<_>, _>>()?;
    let more = rows.len() > count as usize;
    rows.truncate(count as usize);
    let last = rows.last().filter(|_| more).map(|row| kind.order(row));
    let items = K::views(moment, rows).await?;
    let next = last.map(|order| Place { key: None, order });
    Ok(Listed { total, items, next })
}

/// A filtered or sorted list in the making.
struct Scan<K: Read> {
    directory: i64,
    /// The filter, with its parameters behind those of the query.
    condition: String,
    parameters: Vec<Parameter>,
    /// What leaves a handful of candidates, if an index serves the filter.
    indexed: Option<(Condition, String)>,
    /// The column that says how many match, so that reading ends with the page.
    counted: Option<&'static str>,
    sort: Option<AttrPath>,
    base: String,
    kind: K,
    /// Where the last row that was read stands.
    after: Vec<u8>,
    read: u64,
    ended: bool,
    page: Page,
}

/// How many parameters a query of [`Scan`] has of its own: directory, and the bounds or the value of an index.
const OWN_PARAMETERS: usize = 3;

impl<K: Read> Scan<K> {
    fn new(directory: i64, query: &ListQuery, kind: K) -> Self {
        let (condition, parameters) = match &query.filter {
            Some(filter) => compile::<Postgres>(filter, &K::TABLE, &query.base, OWN_PARAMETERS + 1),
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
        let indexed = query.filter.as_ref().and_then(|filter| kind.indexed(&query.base, filter));
        Self {
            directory,
            condition,
            parameters,
            indexed: indexed.map(|condition| {
                let sql = served(condition.sql);
                (condition, sql)
            }),
            sort: query.sort.as_ref().map(|sort| sort.by.clone()),
            base: query.base.clone(),
            kind,
            after,
            read: 0,
            ended: false,
            counted,
            page: Page::new(query),
        }
    }

    /// Whether it looks at a handful of rows, by a few terms.
    const fn is_look_up(&self) -> bool {
        self.indexed.is_some() && self.condition.len() <= SHORT_MAX
    }

    /// Takes in what matches of the next rows.
    async fn step(&mut self, moment: &Moment<'_>) -> Result<(), DbError> {
        let (among, second, third) = match &self.indexed {
            Some((condition, sql)) => {
                let value = rows::parameter(&condition.value);
                if condition.is_range && self.is_wide(moment, sql, &value).await? {
                    self.read = SCAN_MAX + 1;
                    return Ok(());
                }
                self.ended = true;
                (format!("{sql} AND $3 IS NULL"), value, None)
            }
            None => {
                let last = self.bound(moment).await?;
                let (name, order) = (K::NAME, K::ORDER);
                let among = format!(
                    "{name}.directory = $1 AND {name}.{order} > $2 AND {name}.{order} <= $3"
                );
                let after = std::mem::replace(&mut self.after, last.clone());
                (among, Some(Parameter::Bytes(after)), Some(Parameter::Bytes(last)))
            }
        };
        let own = [Some(Parameter::Integer(self.directory)), second, third].into_iter();
        let parameters: Vec<_> = own.chain(self.parameters.iter().cloned().map(Some)).collect();
        if self.sort.is_some() {
            self.take_sorted(moment, &among, &parameters).await?;
        } else {
            self.take(moment, &among, &parameters).await?;
        }
        self.ended |= self.counted.is_some() && self.page.is_full();
        Ok(())
    }

    /// Whether more rows fulfil a condition than a list may read. The index alone tells.
    async fn is_wide(
        &self,
        moment: &Moment<'_>,
        among: &str,
        value: &Option<Parameter>,
    ) -> Result<bool, DbError> {
        let sql = format!("SELECT 1 FROM {} WHERE {among} LIMIT 1 OFFSET {SCAN_MAX}", K::NAME);
        let parameters = [Some(Parameter::Integer(self.directory)), value.clone()];
        Ok(!moment.once(&sql, &parameters).await?.is_empty())
    }

    /// Where the next chunk of rows ends.
    async fn bound(&mut self, moment: &Moment<'_>) -> Result<Vec<u8>, DbError> {
        let sql = format!(
            "SELECT {order} FROM {} WHERE directory = $1 AND {order} > $2 ORDER BY {order} LIMIT 1 OFFSET $3",
            K::NAME,
            order = K::ORDER
        );
        let rows = i64::from(SCAN_ROWS) - 1;
        let found = moment.first(&sql, &[&self.directory, &self.after, &rows]).await?;
        self.read += u64::from(SCAN_ROWS);
        self.ended = found.is_none();
        // No id is longer, so none is greater.
        let last = vec![0xff; size_of::<u128>() + 1];
        found.map_or(Ok(last), |row| row.value(0))
    }

    async fn take(
        &mut self,
        moment: &Moment<'_>,
        among: &str,
        parameters: &[Option<Parameter>],
    ) -> Result<(), DbError> {
        let sql = selection::<K>(among, &self.condition);
        for row in moment.once(&sql, parameters).await? {
            let place = Place { key: None, order: row.id(1)? };
            self.page.take(Found { key: row.value(0)?, place });
        }
        Ok(())
    }

    /// Reads what it sorts by out of the resource itself, so that every database sorts alike.
    async fn take_sorted(
        &mut self,
        moment: &Moment<'_>,
        among: &str,
        parameters: &[Option<Parameter>],
    ) -> Result<(), DbError> {
        let Some(by) = &self.sort else { return Ok(()) };
        let (name, condition, columns) = (K::NAME, &self.condition, K::ROW);
        let sql = format!("SELECT {columns} FROM {name} WHERE {among} AND {condition}");
        for row in moment.once(&sql, parameters).await? {
            let row = K::of(&row)?;
            let key = sorting::sort_key(&self.kind.subject(&self.base, &row), by, K::TABLE.schema);
            let place = Place { key, order: self.kind.order(&row) };
            self.page.take(Found { key: self.kind.key(&row), place });
        }
        Ok(())
    }

    /// Reads the resources of the page.
    async fn finish(self, moment: &Moment<'_>) -> Result<Listed<K::View>, DbError> {
        let (mut total, found, next) = self.page.finish();
        if let Some(column) = self.counted {
            let counted = format!("SELECT {column} FROM directories WHERE key = $1");
            let counted = moment.first(&counted, &[&self.directory]).await?;
            total = counted.map_or(Ok(0), |row| row.number(0))?;
        }
        let keys: Vec<i64> = found.iter().map(|found| found.key).collect();
        let sql = format!(
            "SELECT {} FROM {name} JOIN unnest($1::bigint[]) WITH ORDINALITY AS page (key, place)
             ON page.key = {name}.key ORDER BY page.place",
            K::ROW,
            name = K::NAME
        );
        let rows = moment.all(&sql, &[&keys]).await?;
        let rows = rows.iter().map(|row| K::of(row)).collect::<Result<_, _>>()?;
        Ok(Listed { total, items: K::views(moment, rows).await?, next })
    }
}

/// The places of the rows that match, in their order.
fn selection<K: Read>(among: &str, condition: &str) -> String {
    let (name, order) = (K::NAME, K::ORDER);
    format!(
        "SELECT {name}.key, {name}.{order} FROM {name} WHERE {among} AND {condition} \
         ORDER BY {name}.{order}"
    )
}
