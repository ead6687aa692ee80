//! The users of a generation in the making.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::mpsc::{SyncSender, sync_channel};

use projector::fold::{Folded, FoldedDirectory};
use rusqlite::Connection;
use schemas::{Change, ScimId};

use super::{change, in_order_of_creation};
use crate::error::{DbError, unreadable};
use crate::sqlite::as_sql;
use crate::state::apply::Counted;
use crate::state::insert::{self, FoundBy, UserRow};

/// How many users travel from the thread that reads them to the one that writes them at once.
const CHUNK: usize = 256;

/// How many chunks may wait: enough that neither starves.
const CHUNKS_WAITING_MAX: usize = 4;

/// The keys of users, and among whom each is counted.
pub(super) type Written = (BTreeMap<ScimId, i64>, Vec<Counted>);

/// Writes the users of a directory. Many are read on a thread of their own.
pub(super) fn write(
    connection: &Connection,
    directory: i64,
    folded: &FoldedDirectory,
) -> Result<Written, DbError> {
    let users = in_order_of_creation(&folded.users);
    if users.len() <= CHUNK {
        return write_all(connection, [rows(directory, &users)]);
    }
    std::thread::scope(|scope| {
        let (out, read) = sync_channel(CHUNKS_WAITING_MAX);
        let reading = std::thread::Builder::new().name("state-users".to_owned());
        reading
            .spawn_scoped(scope, move || read_all(directory, &users, &out))
            .map_err(unreadable("users"))?;
        write_all(connection, read)
    })
}

type Chunk = Result<Vec<UserRow<'static>>, DbError>;

/// Ends at the first user that cannot be read, or when nobody listens any more.
fn read_all(directory: i64, users: &[(&ScimId, &Folded)], out: &SyncSender<Chunk>) {
    for chunk in users.chunks(CHUNK) {
        let rows = rows(directory, chunk);
        let ends = rows.is_err();
        if out.send(rows).is_err() || ends {
            return;
        }
    }
}

fn rows(directory: i64, users: &[(&ScimId, &Folded)]) -> Chunk {
    users.iter().filter_map(|(id, user)| row(directory, **id, user).transpose()).collect()
}

/// None of what is no user.
fn row(directory: i64, id: ScimId, user: &Folded) -> Result<Option<UserRow<'static>>, DbError> {
    let Change::User { user_id, name_key, created_at, attributes, shown, .. } = change(user)?
    else {
        return Ok(None);
    };
    Ok(Some(UserRow {
        directory,
        id,
        user_id,
        name_key: name_key.into(),
        created_at,
        updated_at: user.updated_at,
        version: as_sql(user.version.0),
        found_by: FoundBy::of(&attributes, &shown)?.into_owned(),
        attributes: Cow::Owned(attributes),
    }))
}

fn write_all(
    connection: &Connection,
    read: impl IntoIterator<Item = Chunk>,
) -> Result<Written, DbError> {
    let (mut keys, mut counted) = (BTreeMap::new(), Vec::new());
    for chunk in read {
        let rows = chunk?;
        if rows.is_empty() {
            continue;
        }
        let first = insert::users(connection, &rows)?;
        counted.extend(rows.iter().map(UserRow::counted));
        keys.extend(rows.iter().map(|row| row.id).zip(first..));
    }
    Ok((keys, counted))
}
