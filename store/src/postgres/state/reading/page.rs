//! Pages of rows: in either direction, over all directories or over some.

use api::ports::{Cursor, Order, Page, PageRequest, Reach};
use schemas::{DirectoryId, OrganizationId};

use super::super::super::query::Moment;
use super::super::super::rows::Columns as _;
use crate::config::Known;
use crate::error::DbError;
use crate::filter::Parameter;
use crate::state::reading::page::{finished, is_forwards, within};

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
) -> Result<Vec<(String, Vec<Option<Parameter>>)>, DbError> {
    let rising = is_rising(request);
    let directories = confined.map_or_else(
        || vec![None],
        |keys| keys.into_iter().map(Some).collect::<Vec<Option<i64>>>(),
    );
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
        if let Some(Cursor::After(id) | Cursor::Before(id)) = request.cursor {
            let condition = format!("{column} {} {{}}", if rising { ">" } else { "<" });
            conditions.and(&condition, [bound.of(moment, id, rising, directory).await?]);
        }
        let (sql, direction) = (conditions.to_sql(), if rising { "ASC" } else { "DESC" });
        let limit = request.limit as usize + 1;
        let sql = format!("{sql} ORDER BY {column} {direction} LIMIT {limit}");
        queries.push((sql, conditions.parameters));
    }
    Ok(queries)
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
