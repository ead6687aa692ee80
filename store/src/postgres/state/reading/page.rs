//! Pages of rows: in either direction, over all directories or over some.

use api::ports::{Cursor, Page, PageRequest, Reach};
use schemas::{DirectoryId, OrganizationId};

use super::super::super::query::Moment;
use super::super::super::rows::Columns as _;
use crate::config::Known;
use crate::error::DbError;
use crate::filter::Parameter;
use crate::state::reading::page::{finished, in_front_of, within};
pub(in crate::postgres::state) use crate::state::reading::page::is_rising;

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
pub(super) fn queries<I: Copy>(
    request: &PageRequest<I>,
    columns: Columns,
    confined: Option<Vec<i64>>,
    conditions: &Conditions,
    bound: impl Fn(I) -> Parameter,
) -> Vec<Query> {
    let rising = is_rising(request);
    let (direction, opposite) = if rising { ("ASC", "DESC") } else { ("DESC", "ASC") };
    let directories = confined.map_or_else(
        || vec![None],
        |keys| keys.into_iter().map(Some).collect::<Vec<Option<i64>>>(),
    );
    let (limit, column) = (request.limit as usize + 1, columns.order);
    let of = |directory| {
        let mut conditions = conditions.clone();
        if let Some(key) = directory {
            conditions.and(&format!("{} = {{}}", columns.directory), [Parameter::Integer(key)]);
        }
        let mut in_front = None;
        if let Some(Cursor::After(id) | Cursor::Before(id)) = request.cursor {
            let (behind, front) = if rising { (">", "<=") } else { ("<", ">=") };
            let mut opposed = conditions.clone();
            opposed.and(&format!("{column} {front} {{}}"), [bound(id)]);
            in_front = Some(format!("{} ORDER BY {column} {opposite} LIMIT 1", opposed.to_sql()));
            conditions.and(&format!("{column} {behind} {{}}"), [bound(id)]);
        }
        let rest = format!("{} ORDER BY {column} {direction} LIMIT {limit}", conditions.to_sql());
        Query { rest, in_front, parameters: conditions.parameters }
    };
    directories.into_iter().map(of).collect()
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

/// The page of what the queries have found.
pub(super) fn merged<I, K: Ord, R>(mut found: Vec<(K, R)>, request: &PageRequest<I>) -> Page<R> {
    let rising = is_rising(request);
    found.sort_by(|(one, _), (other, _)| if rising { one.cmp(other) } else { other.cmp(one) });
    found.truncate(request.limit as usize + 1);
    finished(found.into_iter().map(|(_, item)| item).collect(), request)
}
