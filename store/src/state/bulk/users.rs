//! The users of a generation in the making.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{SyncSender, sync_channel};

use directory::resource::text;
use projector::fold::{Folded, FoldedDirectory};
use rusqlite::{Connection, params};
use schemas::scim::Attributes;
use schemas::{Change, ScimId, StoredAttributes, Timestamp, UserId};

use super::{change, in_order_of_creation};
use crate::error::{DbError, unreadable};
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

/// The row of a user.
struct Row<'a> {
    id: ScimId,
    user: &'a Folded,
    user_id: UserId,
    name_key: String,
    created_at: Timestamp,
    attributes: StoredAttributes,
    columns: Attributes,
    shown: ShownColumns,
    email: Option<String>,
    others: BTreeSet<String>,
}

/// Writes the users of a directory. Many are read on a thread of their own.
pub(super) fn write(
    connection: &Connection,
    directory: i64,
    folded: &FoldedDirectory,
) -> Result<Written, DbError> {
    let users = in_order_of_creation(&folded.users);
    if users.len() <= CHUNK {
        return write_all(connection, directory, [rows(&users)]);
    }
    std::thread::scope(|scope| {
        let (out, read) = sync_channel(CHUNKS_WAITING_MAX);
        let reading = std::thread::Builder::new().name("state-users".to_owned());
        reading.spawn_scoped(scope, move || read_all(&users, &out)).map_err(unreadable("users"))?;
        write_all(connection, directory, read)
    })
}

type Chunk<'a> = Result<Vec<Row<'a>>, DbError>;

/// Ends at the first user that cannot be read, or when nobody listens any more.
fn read_all<'a>(users: &[(&'a ScimId, &'a Folded)], out: &SyncSender<Chunk<'a>>) {
    for chunk in users.chunks(CHUNK) {
        let rows = rows(chunk);
        let ends = rows.is_err();
        if out.send(rows).is_err() || ends {
            return;
        }
    }
}

fn rows<'a>(users: &[(&'a ScimId, &'a Folded)]) -> Chunk<'a> {
    users.iter().filter_map(|(id, user)| row(**id, user).transpose()).collect()
}

/// None of what is no user.
fn row(id: ScimId, user: &Folded) -> Result<Option<Row<'_>>, DbError> {
    let Change::User { user_id, name_key, created_at, attributes, shown, .. } = change(user)?
    else {
        return Ok(None);
    };
    let (columns, shown) = (columns_of(&attributes)?.into_owned(), shown_columns(&shown)?);
    let email = email_key(&columns);
    let others = other_emails(&columns, email.as_deref());
    let row =
        Row { id, user, user_id, name_key, created_at, attributes, columns, shown, email, others };
    Ok(Some(row))
}

fn write_all<'a>(
    connection: &Connection,
    directory: i64,
    read: impl IntoIterator<Item = Chunk<'a>>,
) -> Result<Written, DbError> {
    let (mut keys, mut counted) = (BTreeMap::new(), Vec::new());
    for chunk in read {
        for row in chunk? {
            let key = insert(connection, directory, &row)?;
            insert_other_emails(connection, directory, key, &row.others)?;
            counted.push(Counted::of(is_active(&row.columns), row.shown.hidden));
            keys.insert(row.id, key);
        }
    }
    Ok((keys, counted))
}

fn insert(connection: &Connection, directory: i64, row: &Row<'_>) -> Result<i64, DbError> {
    Ok(connection.prepare_cached(INSERT_USER)?.insert(params![
        directory,
        row.id.to_bytes(),
        row.user_id.to_bytes(),
        row.name_key,
        text(&row.columns, "externalId"),
        row.email,
        text(&row.columns, "displayName"),
        is_active(&row.columns),
        row.created_at.millis(),
        row.user.updated_at.millis(),
        as_sql(row.user.version.0),
        row.attributes.json(),
        row.shown.hidden,
        row.shown.mapped_email,
        row.shown.json,
    ])?)
}
