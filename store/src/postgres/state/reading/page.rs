//! Pages of rows: in either direction, over all directories or over some.

use api::ports::{Cursor, Order, Page, PageRequest, Reach};
use schemas::{DirectoryId, OrganizationId};

use super::super::super::query::Moment;
use super::super::super::rows::Columns as _;
use crate::config::Known;
use crate::error::DbError;
use crate::filter::Parameter;
use crate::state::reading::page::{finished, in_front_of, is_forwards, within};

/// A statement in the making: conditions and their parameters.
#[derive(Clone, Default)]
pub(in crate::postgres::state) struct Conditions {
    sql: Vec<String>,
    parameters: Vec<Option<Parameter>>,
}

impl Conditions {
    /// Each `{}` in the condition stands for the next parameter.
    pub(in crate::postgres::state) fn and(
        &mut self,
        condition: &str,
        parameters: impl IntoIterator<Item = Parameter>,
    ) {
        let mut condition = condition.to_owned();
        for parameter in parameters {
            self.parameters.push(Some(parameter));
            condition = condition.replacen("{}", &format!("${}", self.parameters.len()), 1);
        }
        self.sql.push(condition);
    }

    pub(in crate::postgres::state) fn is_empty(&self) -> bool {
        self.sql.is_empty()
    }

    /// What `{}` stood for, in order.
    pub(in crate::postgres::state) fn parameters(&self) -> &[Option<Parameter>] {
        &self.parameters
    }

    pub(in crate::postgres::state) fn to_sql(&self) -> String {
        if self.sql.is_empty() { "true".to_owned() } else { self.sql.join(" AND ") }
    }
}

/// The directories that a query is confined to, by key; `None` if it is to none.
pub(in crate::postgres::state) async fn confined(
    moment: &Moment<'_>,
    known: &Known,
    reach: Reach,
    organization: Option<OrganizationId>,
    directory: Option<DirectoryId>,
) -> Result<Option<Vec<i64>>, DbError> {
    let Some(ids) = within(known, reach, organization, directory) else { return Ok(None) };
    let ids: Vec<Vec<u8>> = ids.iter().map(|id| id.to_bytes().to_vec()).collect();
    let sql = "SELECT key FROM directories WHERE id = ANY($1)";
    let rows = moment.all(sql, &[&ids]).await?;
    rows.iter().map(|row| row.value(0)).collect::<Result<_, _>>().map(Some)
}

/// Keys of ours as an array in SQL.
pub(in crate::postgres::state) fn array(keys: &[i64]) -> String {
    let keys: Vec<String> = keys.iter().map(i64::to_string).collect();
    format!("'{{{}}}'::bigint[]", keys.join(","))
}

/// What a list runs by.
#[derive(Clone, Copy)]
pub(super) struct Columns {
    /// The key of the directory.
    pub(super) directory: &'static str,
    /// The order of the list.
    pub(super) order: &'static str,
    /// The same order, as it is called within one directory.
    pub(super) order_within: &'static str,
}

/// What comes behind a cursor is greater than this or smaller.
pub(super) trait Bound<I> {
    fn of(
        &self,
        moment: &Moment<'_>,
        id: I,
        rising: bool,
        directory: Option<i64>,
    ) -> impl Future<Output = Result<Parameter, DbError>> + Send;

    /// The part of a directory, or of everything, that the list runs through: conditions with their parameters.
    fn within(
        &self,
        _: &Moment<'_>,
        _: Option<i64>,
    ) -> impl Future<Output = Result<Vec<(String, Parameter)>, DbError>> + Send {
        std::future::ready(Ok(Vec::new()))
    }
}

/// What to ask of one directory for a page, or of all.
pub(super) struct Query {
    /// What is behind the cursor.
    pub(super) rest: String,
    /// What is in front of it, or where it points; the parameters are the same. `None` without a cursor.
    in_front: Option<String>,
    pub(super) parameters: Vec<Option<Parameter>>,
}

/// The queries of a page in either direction: one more than asked for tells whether more follow.
///
/// Of several directories each is asked for a page, and these are merged: an index leads through one directory in
/// order, and none through some of them.
pub(super) async fn queries<I: Copy + Sync>(
    moment: &Moment<'_>,
    request: &PageRequest<I>,
    columns: Columns,
    confined: Option<Vec<i64>>,
    conditions: &Conditions,
    bound: &impl Bound<I>,
) -> Result<Vec<Query>, DbError> {
    let rising = is_rising(request);
    let (direction, opposite) = if rising { ("ASC", "DESC") } else { ("DESC", "ASC") };
    let directories = confined.map_or_else(
        || vec![None],
        |keys| keys.into_iter().map(Some).collect::<Vec<Option<i64>>>(),
    );
    let limit = request.limit as usize + 1;
    let mut queries = Vec::with_capacity(directories.len());
    for directory in directories {
        let mut conditions = conditions.clone();
        let column = if directory.is_some() { columns.order_within } else { columns.order };
        for (condition, of) in bound.within(moment, directory).await? {
            conditions.and(&condition, [of]);
        }
        if let Some(key) = directory {
            conditions.and(&format!("{} = {{}}", columns.directory), [Parameter::Integer(key)]);
        }
        let mut in_front = None;
        if let Some(Cursor::After(id) | Cursor::Before(id)) = request.cursor {
            let bound = bound.of(moment, id, rising, directory).await?;
            let (behind, front) = if rising { (">", "<=") } else { ("<", ">=") };
            let mut opposed = conditions.clone();
            opposed.and(&format!("{column} {front} {{}}"), [bound.clone()]);
            in_front = Some(format!("{} ORDER BY {column} {opposite} LIMIT 1", opposed.to_sql()));
            conditions.and(&format!("{column} {behind} {{}}"), [bound]);
        }
        let rest = format!("{} ORDER BY {column} {direction} LIMIT {limit}", conditions.to_sql());
        queries.push(Query { rest, in_front, parameters: conditions.parameters });
    }
    Ok(queries)
}

/// The page, with whether there is anything in front of its cursor, or where it points.
pub(super) async fn with_front<I: Sync, R: Send>(
    moment: &Moment<'_>,
    request: &PageRequest<I>,
    table: &str,
    queries: &[Query],
    page: Page<R>,
) -> Result<Page<R>, DbError> {
    // The cursors of an empty page lead nowhere.
    if page.items.is_empty() || request.cursor.is_none() {
        return Ok(page);
    }
    for query in queries {
        let Some(in_front) = &query.in_front else { continue };
        let sql = format!("SELECT 1 FROM {table} WHERE {in_front}");
        if !moment.once(&sql, &query.parameters).await?.is_empty() {
            return Ok(in_front_of(page, request, true));
        }
    }
    Ok(in_front_of(page, request, false))
}

/// Whether a page is read by rising ids.
pub(in crate::postgres::state) fn is_rising<I>(request: &PageRequest<I>) -> bool {
    (request.order == Order::Ascending) == is_forwards(request)
}

/// The page of what the queries have found.
pub(super) fn merged<I, K: Ord, R>(mut found: Vec<(K, R)>, request: &PageRequest<I>) -> Page<R> {
    let rising = is_rising(request);
    found.sort_by(|(one, _), (other, _)| if rising { one.cmp(other) } else { other.cmp(one) });
    found.truncate(request.limit as usize + 1);
    finished(found.into_iter().map(|(_, item)| item).collect(), request)
}
