//! Pages of rows: in either direction, over all directories or over some.

use api::ports::{Cursor, Order, Page, PageRequest, Reach};
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension};
use schemas::{DirectoryId, OrganizationId};

use crate::config::Known;
use crate::error::DbError;

/// A statement in the making: conditions and their parameters.
#[derive(Clone, Default)]
pub(crate) struct Conditions {
    sql: Vec<String>,
    parameters: Vec<Sql>,
}

impl Conditions {
    /// `{}` in the condition stands for the parameter.
    pub(crate) fn and(&mut self, condition: &str, parameter: impl Into<Sql>) {
        self.parameters.push(parameter.into());
        self.sql.push(condition.replace("{}", &format!("?{}", self.parameters.len())));
    }

    /// The same with several: each `{}` stands for the next.
    pub(crate) fn and_all(&mut self, condition: &str, parameters: impl IntoIterator<Item = Sql>) {
        let mut condition = condition.to_owned();
        for parameter in parameters {
            self.parameters.push(parameter);
            condition = condition.replacen("{}", &format!("?{}", self.parameters.len()), 1);
        }
        self.sql.push(condition);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sql.is_empty()
    }

    /// What `{}` stood for, in order.
    pub(crate) fn parameters(&self) -> &[Sql] {
        &self.parameters
    }

    pub(crate) fn to_sql(&self) -> String {
        if self.sql.is_empty() { "1".to_owned() } else { self.sql.join(" AND ") }
    }
}

/// The directories that a query is confined to, by key; `None` if it is to none.
pub(crate) fn confined(
    connection: &Connection,
    known: &Known,
    reach: Reach,
    organization: Option<OrganizationId>,
    directory: Option<DirectoryId>,
) -> Result<Option<Vec<i64>>, DbError> {
    let Some(ids) = within(known, reach, organization, directory) else { return Ok(None) };
    // There may be thousands: an index tells the key without a look at the row.
    let mut select = connection.prepare_cached("SELECT key FROM directories WHERE id = ?1")?;
    let mut keys = Vec::with_capacity(ids.len());
    for id in ids {
        keys.extend(select.query_row([id.to_bytes()], |row| row.get::<_, i64>(0)).optional()?);
    }
    Ok(Some(keys))
}

/// The directories that a query is confined to; `None` if it is to none.
pub(crate) fn within(
    known: &Known,
    reach: Reach,
    organization: Option<OrganizationId>,
    directory: Option<DirectoryId>,
) -> Option<Vec<DirectoryId>> {
    let within = |id: DirectoryId| {
        known.origin(id).is_some_and(|origin| {
            reach.covers(origin.organization_id)
                && organization.is_none_or(|wanted| wanted == origin.organization_id)
        })
    };
    Some(match (directory, organization, reach) {
        (None, None, Reach::Everything) => return None,
        (Some(id), None, Reach::Everything) => vec![id],
        (Some(id), ..) => Some(id).filter(|id| within(*id)).into_iter().collect(),
        (None, Some(of), _) | (None, None, Reach::Organization(of)) => {
            known.directories_of(of).filter(|id| within(*id)).collect()
        }
    })
}

/// What a list runs by.
pub(crate) struct Columns {
    /// The key of the directory.
    pub(crate) directory: &'static str,
    /// The order of the list.
    pub(crate) order: &'static str,
}

/// A page in either direction: one more than asked for tells whether more follow.
///
/// Of several directories each is asked for a page, and these are merged: an index leads through one
/// directory in order, and none through some of them.
pub(crate) fn page<I: Copy, K: Ord, R>(
    request: &PageRequest<I>,
    columns: &Columns,
    confined: Option<Vec<i64>>,
    conditions: &Conditions,
    bound: impl Fn(I) -> Sql,
    read: impl Fn(&str, &[Sql]) -> Result<Vec<(K, R)>, DbError>,
) -> Result<Page<R>, DbError> {
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
    let (mut found, mut in_front) = (Vec::new(), Vec::new());
    for directory in directories {
        let mut conditions = conditions.clone();
        if let Some(key) = directory {
            conditions.and(&format!("{} = {{}}", columns.directory), key);
        }
        let beside =
            |side, limit| beside(&conditions, columns.order, cursor.clone(), side, rising, limit);
        let (sql, behind) = beside(Side::Behind, limit);
        found.extend(read(&sql, behind.parameters())?);
        if cursor.is_some() {
            in_front.push(beside(Side::InFront, 1));
        }
    }
    found.sort_by(|(one, _), (other, _)| if rising { one.cmp(other) } else { other.cmp(one) });
    let page = finished(found.into_iter().map(|(_, item)| item).collect(), request);
    // The cursors of an empty page lead nowhere.
    if page.items.is_empty() || in_front.is_empty() {
        return Ok(page);
    }
    let mut anything = false;
    for (sql, conditions) in in_front {
        anything = anything || !read(&sql, conditions.parameters())?.is_empty();
    }
    Ok(in_front_of(page, request, anything))
}

/// A side of a cursor, in the direction of reading.
#[derive(Clone, Copy)]
enum Side {
    Behind,
    /// With what the cursor itself points at.
    InFront,
}

/// What is nearest to a cursor on one side of it; without a cursor, to the beginning.
fn beside(
    conditions: &Conditions,
    column: &str,
    cursor: Option<Sql>,
    side: Side,
    rising: bool,
    limit: usize,
) -> (String, Conditions) {
    let mut conditions = conditions.clone();
    let (operator, order) = match (side, rising) {
        (Side::Behind, true) => (">", "ASC"),
        (Side::Behind, false) => ("<", "DESC"),
        (Side::InFront, true) => ("<=", "DESC"),
        (Side::InFront, false) => (">=", "ASC"),
    };
    if let Some(cursor) = cursor {
        conditions.and(&format!("{column} {operator} {{}}"), cursor);
    }
    let sql = format!("{} ORDER BY {column} {order} LIMIT {limit}", conditions.to_sql());
    (sql, conditions)
}

/// Whether a page is read by rising ids.
pub(crate) fn is_rising<I>(request: &PageRequest<I>) -> bool {
    (request.order == Order::Ascending) == is_forwards(request)
}

/// Whether a page is read in the order of the list.
pub(crate) fn is_forwards<I>(request: &PageRequest<I>) -> bool {
    match request.cursor {
        None | Some(Cursor::After(_)) => true,
        Some(Cursor::Before(_)) => false,
    }
}

/// The page of what was read for it: up to one more than it holds, in the order of reading. What the cursor points
/// at is taken to be there; [`in_front_of`] says so where it is not.
pub(crate) fn finished<I, R>(mut items: Vec<R>, request: &PageRequest<I>) -> Page<R> {
    let more = items.len() > request.limit as usize;
    items.truncate(request.limit as usize);
    if is_forwards(request) {
        Page { items, has_before: request.cursor.is_some(), has_after: more }
    } else {
        items.reverse();
        Page { items, has_before: more, has_after: true }
    }
}

/// How many bytes of users or of groups are read for one answer, as they are kept: a hundred of 20 KB each, which are ten
/// times as large as people's are. In memory, in their answer and with what a map makes of them they take several times
/// as much.
const ENOUGH_BYTES: usize = 2 * 1024 * 1024;

/// How many bytes were read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent(usize);

impl Spent {
    /// Whether there was room for so many more. There is for the first, however large it is.
    pub(crate) const fn fits(&mut self, bytes: usize) -> bool {
        let fits = self.0 < ENOUGH_BYTES;
        self.0 = self.0.saturating_add(bytes);
        fits
    }
}

/// The same page up to the one with which it has enough bytes, in the order of reading: the list goes on behind that.
///
/// What was read for it may have ended with the first that did not fit ([`Spent`]), also of each of several directories:
/// that one is never shown, so nothing is missing in front of what is.
pub(crate) fn within_bytes<I, R>(
    mut page: Page<R>,
    request: &PageRequest<I>,
    bytes: impl Fn(&R) -> usize,
) -> Page<R> {
    let (all, mut spent) = (page.items.len(), Spent::default());
    let mut fits = |item: &&R| spent.fits(bytes(item));
    if is_forwards(request) {
        let count = page.items.iter().take_while(&mut fits).count();
        page.items.truncate(count);
        page.has_after |= count < all;
    } else {
        let count = page.items.iter().rev().take_while(&mut fits).count();
        page.items.drain(..all - count);
        page.has_before |= count < all;
    }
    page
}

/// The same page, with whether there is anything where its cursor points or on the far side of it.
pub(crate) fn in_front_of<I, R>(
    page: Page<R>,
    request: &PageRequest<I>,
    anything: bool,
) -> Page<R> {
    if is_forwards(request) {
        Page { has_before: anything, ..page }
    } else {
        Page { has_after: anything, ..page }
    }
}

/// The same page of what its rows stand for.
pub(crate) fn map_page<R, T>(
    page: Page<R>,
    each: impl FnMut(R) -> Option<Result<T, DbError>>,
) -> Result<Page<T>, DbError> {
    let Page { items, has_before, has_after } = page;
    let items = items.into_iter().filter_map(each).collect::<Result<_, _>>()?;
    Ok(Page { items, has_before, has_after })
}
