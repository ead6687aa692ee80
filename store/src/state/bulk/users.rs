//! The users of a generation in the making.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use directory::resource::text;
use projector::fold::{Folded, FoldedDirectory};
use rusqlite::{Connection, params};
use schemas::scim::Attributes;
use schemas::{Change, ScimId, StoredChange};

use super::{change, in_order_of_creation};
use crate::error::DbError;
use crate::sqlite::as_sql;
use crate::state::apply::{
    Counted, INSERT_USER, ShownColumns, columns_of, email_key, insert_other_emails, is_active,
    other_emails, shown_columns,
};

/// How many users travel from the thread that reads them to the one that writes them at once.
const CHUNK: usize = 256;

/// How many chunks may wait: enough that neither starves.
const CHUNKS_WAITING_MAX: usize = 4;

/// The keys of users, and among whom each is counted.
pub(super) type Written = (BTreeMap<ScimId, i64>, Vec<Counted>);

/// A user and its row.
struct Row<'a> {
    id: ScimId,
    user: &'a Folded,
    change: StoredChange,
    columns: Attributes,
    shown: ShownColumns,
    email: Option<String>,
    others: BTreeSet<String>,
}

/// Writes the users of a directory. They are read on a thread of their own.
pub(super) fn write(
    connection: &Connection,
    directory: i64,
    folded: &FoldedDirectory,
) -> Result<Written, DbError> {
    std::thread::scope(|scope| {
        let (out, read) = sync_channel(CHUNKS_WAITING_MAX);
        let users = in_order_of_creation(&folded.users);
        scope.spawn(move || read_all(&users, &out));
        write_all(connection, directory, read)
    })
}

type Chunk<'a> = Result<Vec<Row<'a>>, DbError>;

/// Ends at the first user that cannot be read, or when nobody listens any more.
fn read_all<'a>(users: &[(&'a ScimId, &'a Folded)], out: &SyncSender<Chunk<'a>>) {
    for chunk in users.chunks(CHUNK) {
        let rows: Chunk<'a> =
            chunk.iter().filter_map(|(id, user)| row(**id, user).transpose()).collect();
        let ends = rows.is_err();
        if out.send(rows).is_err() || ends {
            return;
        }
    }
}

/// None of what is no user.
fn row(id: ScimId, user: &Folded) -> Result<Option<Row<'_>>, DbError> {
    let change = change(user)?;
    let Change::User { attributes, shown, .. } = &change else { return Ok(None) };
    let (columns, shown) = (columns_of(attributes)?, shown_columns(shown)?);
    let email = email_key(&columns);
    let others = other_emails(&columns, email.as_deref());
    Ok(Some(Row { id, user, change, columns, shown, email, others }))
}

fn write_all(
    connection: &Connection,
    directory: i64,
    read: Receiver<Chunk<'_>>,
) -> Result<Written, DbError> {
    let (mut keys, mut counted) = (BTreeMap::new(), Vec::new());
    for chunk in read {
        for row in chunk? {
            counted.push(Counted::of(is_active(&row.columns), row.shown.hidden));
            if let Some(key) = insert(connection, directory, &row)? {
                insert_other_emails(connection, directory, key, &row.others)?;
                keys.insert(row.id, key);
            }
        }
    }
    Ok((keys, counted))
}

fn insert(connection: &Connection, directory: i64, row: &Row<'_>) -> Result<Option<i64>, DbError> {
    let Change::User { user_id, name_key, created_at, attributes, .. } = &row.change else {
        return Ok(None);
    };
    let key = connection.prepare_cached(INSERT_USER)?.insert(params![
        directory,
        row.id.to_bytes(),
        user_id.to_bytes(),
        name_key,
        text(&row.columns, "externalId"),
        row.email,
        text(&row.columns, "displayName"),
        is_active(&row.columns),
        created_at.millis(),
        row.user.updated_at.millis(),
        as_sql(row.user.version.0),
        attributes.get(),
        row.shown.hidden,
        row.shown.mapped_email,
        row.shown.json,
    ])?;
    Ok(Some(key))
}
