//! Pages of rows: in either direction, over all directories or over some.

use api::ports::{Cursor, Page, PageRequest, Reach};
use schemas::{DirectoryId, OrganizationId};

use super::super::super::query::Moment;
use super::super::super::rows::Columns as _;
use crate::config::Known;
use crate::error::DbError;
use crate::filter::Parameter;
pub(in crate::postgres::state) use crate::state::reading::page::is_rising;
use crate::state::reading::page::{finished, in_front_of, within};

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
    /// Whether what is listed is found by a look-up before it is put in order. Otherwise the list is walked along.
    pub(super) is_looked_up: bool,
    /// The order of the list.
    pub(super) order: &'static str,
}

/// What to ask of one directory for a page, or of all: a statement from its conditions on.
pub(super) struct Query {
    /// What is behind the cursor.
    pub(super) behind: Rest,
    /// What is in front of it, or where it points. `None` without a cursor.
    in_front: Option<Rest>,
}

/// What follows `WHERE`, with its parameters.
pub(super) struct Rest {
    pub(super) sql: String,
    pub(super) parameters: Vec<Option<Parameter>>,
}

/// Less than any id, and more than any.
const ENDS: [&[u8]; 2] = [&[], &[u8::MAX; 17]];

/// The queries of a page in either direction: one more than asked for tells whether more follow.
///
/// Of several directories each is asked for a page, and these are merged: an index leads through one directory in
/// order, and none through some of them.
pub(super) fn queries<I: Copy>(
    request: &PageRequest<I>,
    columns: Columns,
    confined: Option<Vec<i64>>,
    conditions: &Conditions,
    bound: impl Fn(I) -> [u8; 16],
) -> Vec<Query> {
    let rising = is_rising(request);
    let directories = confined.map_or_else(
        || vec![None],
        |keys| keys.into_iter().map(Some).collect::<Vec<Option<i64>>>(),
    );
    let cursor = match request.cursor {
        Some(Cursor::After(id) | Cursor::Before(id)) => Some(bound(id)),
        None => None,
    };
    let limit = request.limit as usize + 1;
    let [least, most] = ENDS;
    let of = |directory| {
        let rest = |from: (&str, &[u8]), to: (&str, &[u8]), rising, limit| {
            rest(conditions.clone(), columns, directory, [from, to], rising, limit)
        };
        let Some(cursor) = &cursor else {
            let all = rest((">=", least), ("<=", most), rising, limit);
            return Query { behind: all, in_front: None };
        };
        let (greater, less) = if rising { (">", "<=") } else { (">=", "<") };
        let above = |limit| rest((greater, cursor), ("<=", most), true, limit);
        let below = |limit| rest((">=", least), (less, cursor), false, limit);
        if rising {
            Query { behind: above(limit), in_front: Some(below(1)) }
        } else {
            Query { behind: below(limit), in_front: Some(above(1)) }
        }
    };
    directories.into_iter().map(of).collect()
}

/// What lies between two ends, each with how it is compared.
///
/// A list that is walked along within a directory is a range of directories and ids. Were it the directory and a range
/// of ids, the planner might as well walk along the ids of all directories, past a million of others.
fn rest(
    mut conditions: Conditions,
    columns: Columns,
    directory: Option<i64>,
    ends: [(&str, &[u8]); 2],
    rising: bool,
    limit: usize,
) -> Rest {
    let direction = if rising { "ASC" } else { "DESC" };
    let Columns { directory: of, order, is_looked_up } = columns;
    let id = |end: &[u8]| Parameter::Bytes(end.to_vec());
    let sorted = match directory {
        Some(key) if !is_looked_up => {
            for (compared, end) in ends {
                let between = format!("({of}, {order}) {compared} ({{}}, {{}})");
                conditions.and(&between, [Parameter::Integer(key), id(end)]);
            }
            format!("{of} {direction}, {order} {direction}")
        }
        Some(_) | None => {
            if let Some(key) = directory {
                conditions.and(&format!("{of} + 0 = {{}}"), [Parameter::Integer(key)]);
            }
            for (compared, end) in ends {
                conditions.and(&format!("{order} {compared} {{}}"), [id(end)]);
            }
            format!("{order} {direction}")
        }
    };
    let sql = format!("{} ORDER BY {sorted} LIMIT {limit}", conditions.to_sql());
    Rest { sql, parameters: conditions.parameters }
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
        let Some(Rest { sql, parameters }) = &query.in_front else { continue };
        let sql = format!("SELECT 1 FROM {table} WHERE {sql}");
        if !moment.once(&sql, parameters).await?.is_empty() {
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
