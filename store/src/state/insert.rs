//! Rows of users, of the feed, and of whatever else comes in numbers, several of them with one statement: what a statement begins
//! and ends with is paid for once, and a row that stands behind the one before it in an index is not looked for from the root.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::LazyLock;

use directory::resource::text;
use rusqlite::{Connection, Error, ToSql, params};
use schemas::scim::Attributes;
use schemas::{EventId, EventType, Hash, Head, ScimId, Shown, StoredAttributes, Timestamp, UserId};

use super::apply::{
    Counted, ShownColumns, columns_of, email_key, insert_other_emails, is_active, other_emails,
    shown_columns,
};
use super::blocks;
use crate::error::DbError;
use crate::sqlite::as_sql;

/// How many rows the statements take, the most first: most of a batch goes in with a few of them.
const ROWS_AT_ONCE: [usize; 3] = [ROWS_MAX, 4, 1];

/// How many rows go in with one statement at most: beyond that there is little to share any more.
pub(crate) const ROWS_MAX: usize = 16;

static USERS: LazyLock<Insert> = LazyLock::new(|| {
    Insert::into(
        "users (directory, scim_id, user_id, name_key, external_id, email, display, active,
            created_at, updated_at, version, attributes, hidden, mapped_email,
            mapped_idp_id, shown)",
        16,
    )
});

static FEED: LazyLock<Insert> = LazyLock::new(|| {
    Insert::into(
        "feed (position, event_id, directory, event, seq, hash, prev, created_at, user_id,
            group_id, actor, data)",
        12,
    )
});

/// The statements that add rows to one table.
pub(super) struct Insert([String; ROWS_AT_ONCE.len()]);

impl Insert {
    pub(super) fn into(table: &str, columns: usize) -> Self {
        let row = format!("({})", vec!["?"; columns].join(", "));
        let values = |rows| vec![&*row; rows].join(", ");
        // When one fails, the transaction it is in is undone by whoever began it. With `OR ABORT` SQLite would keep what
        // each page was before the statement.
        let insert = |rows| format!("INSERT OR FAIL INTO {table} VALUES {}", values(rows));
        Self(ROWS_AT_ONCE.map(insert))
    }

    /// Adds rows in their order.
    pub(super) fn rows(&self, connection: &Connection, mut rows: &[impl Row]) -> Result<(), Error> {
        for (at_once, sql) in ROWS_AT_ONCE.into_iter().zip(&self.0) {
            let (whole, rest) = rows.split_at(rows.len() - rows.len() % at_once);
            rows = rest;
            if whole.is_empty() {
                continue;
            }
            let mut insert = connection.prepare_cached(sql)?;
            for rows in whole.chunks(at_once) {
                let mut number = 0;
                for row in rows {
                    row.bind(&mut |values| {
                        values.iter().try_for_each(|value| {
                            number += 1;
                            insert.raw_bind_parameter(number, value)
                        })
                    })?;
                }
                insert.raw_execute()?;
            }
        }
        Ok(())
    }
}

pub(super) type Bind<'a> = dyn FnMut(&[&dyn ToSql]) -> Result<(), Error> + 'a;

/// What can be added.
pub(super) trait Row {
    /// Hands over its values, in the order of the columns.
    fn bind(&self, bind: &mut Bind<'_>) -> Result<(), Error>;
}

/// A user to write.
pub(crate) struct UserRow<'a> {
    pub(crate) directory: i64,
    pub(crate) id: ScimId,
    pub(crate) user_id: UserId,
    pub(crate) name_key: Cow<'a, str>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) version: i64,
    pub(crate) attributes: Cow<'a, StoredAttributes>,
    pub(crate) found_by: FoundBy<'a>,
}

impl UserRow<'_> {
    /// Among whom the user is counted.
    pub(crate) const fn counted(&self) -> Counted {
        Counted::of(self.found_by.active, self.found_by.shown.hidden)
    }
}

/// What a user is found by beside its ids and its name.
pub(crate) struct FoundBy<'a> {
    columns: Cow<'a, Attributes>,
    pub(crate) active: bool,
    pub(crate) email: Option<String>,
    /// Its other addresses.
    pub(crate) others: BTreeSet<String>,
    pub(crate) shown: ShownColumns,
}

impl<'a> FoundBy<'a> {
    pub(crate) fn of(attributes: &'a StoredAttributes, shown: &Shown) -> Result<Self, DbError> {
        let (columns, shown) = (columns_of(attributes)?, shown_columns(shown)?);
        let (active, email) = (is_active(&columns), email_key(&columns));
        let others = other_emails(&columns, email.as_deref());
        Ok(Self { columns, active, email, others, shown })
    }

    /// The same of attributes that may go away.
    pub(crate) fn into_owned(self) -> FoundBy<'static> {
        FoundBy { columns: Cow::Owned(self.columns.into_owned()), ..self }
    }

    pub(crate) fn external_id(&self) -> Option<&str> {
        text(&self.columns, "externalId")
    }

    pub(crate) fn display(&self) -> Option<&str> {
        text(&self.columns, "displayName")
    }
}

impl Row for UserRow<'_> {
    fn bind(&self, bind: &mut Bind<'_>) -> Result<(), Error> {
        let found_by = &self.found_by;
        bind(params![
            self.directory,
            self.id.to_bytes(),
            self.user_id.to_bytes(),
            self.name_key,
            found_by.external_id(),
            found_by.email,
            found_by.display(),
            found_by.active,
            self.created_at.millis(),
            self.updated_at.millis(),
            self.version,
            self.attributes.json(),
            found_by.shown.hidden,
            found_by.shown.mapped_email,
            found_by.shown.mapped_idp_id,
            found_by.shown.json,
        ])
    }
}

/// Adds users in a transaction that is undone if this fails, and returns the key of the first; those of the others follow it.
pub(crate) fn users(connection: &Connection, rows: &[UserRow<'_>]) -> Result<i64, DbError> {
    USERS.rows(connection, rows)?;
    let first = connection.last_insert_rowid() + 1 - as_sql(rows.len() as u64);
    for (key, row) in (first..).zip(rows) {
        insert_other_emails(connection, row.directory, key, &row.found_by.others)?;
    }
    Ok(first)
}

/// An event to write.
pub(crate) struct FeedRow<'a> {
    pub(crate) position: u64,
    pub(crate) id: EventId,
    pub(crate) directory: i64,
    pub(crate) event: EventType,
    pub(crate) head: Head,
    pub(crate) prev: Hash,
    pub(crate) created_at: Timestamp,
    pub(crate) user: Option<ScimId>,
    pub(crate) group: Option<ScimId>,
    pub(crate) actor: &'a str,
    pub(crate) data: &'a str,
}

impl Row for FeedRow<'_> {
    fn bind(&self, bind: &mut Bind<'_>) -> Result<(), Error> {
        bind(params![
            as_sql(self.position),
            self.id.to_bytes(),
            self.directory,
            self.event.name(),
            as_sql(self.head.seq.0),
            self.head.hash.0,
            self.prev.0,
            self.created_at.millis(),
            self.user.map(ScimId::to_bytes),
            self.group.map(ScimId::to_bytes),
            self.actor,
            self.data,
        ])
    }
}

/// Adds events to the feed in a transaction that is undone if this fails.
pub(crate) fn feed(connection: &Connection, rows: &[FeedRow<'_>]) -> Result<(), DbError> {
    FEED.rows(connection, rows)?;
    blocks::note(connection, rows)
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    fn opened() -> (tempfile::TempDir, Connection) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        drop(State::open(&path).unwrap());
        let connection = Connection::open(path).unwrap();
        (folder, connection)
    }

    fn strings(connection: &Connection, sql: &str) -> Vec<String> {
        let mut select = connection.prepare(sql).unwrap();
        select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn users_are_written_in_their_order_and_other_addresses_under_their_keys() {
        let (_folder, connection) = opened();
        let mut before = 0_u8;
        for rows in [1_u8, 3, 4, 5, 16, 23] {
            let numbers: Vec<u8> = (before + 1..=before + rows).collect();
            let users = numbers.iter().map(|number| {
                let json = format!(
                    r#"{{"emails":[{{"value":"a{number}@x.test"}},{{"value":"b{number}@x.test"}}]}}"#
                );
                let attributes = serde_json::from_str::<StoredAttributes>(&json).unwrap();
                let bits = u128::from(*number);
                UserRow {
                    directory: 1,
                    id: ScimId::from_bits(bits),
                    user_id: UserId::from_bits(bits),
                    name_key: format!("b{number}@x.test").into(),
                    created_at: Timestamp::from_millis(0),
                    updated_at: Timestamp::from_millis(0),
                    version: 1,
                    found_by: FoundBy::of(&attributes, &Shown::default()).unwrap().into_owned(),
                    attributes: Cow::Owned(attributes),
                }
            });
            let first = super::users(&connection, &users.collect::<Vec<_>>()).unwrap();
            assert_eq!(first, i64::from(before) + 1);
            before += rows;
            let found = format!(
                "SELECT value FROM users LEFT JOIN emails ON user_key = key AND value = name_key
                 WHERE key >= {first} ORDER BY key"
            );
            let expected: Vec<_> =
                numbers.iter().map(|number| format!("b{number}@x.test")).collect();
            assert_eq!(strings(&connection, &found), expected);
        }
    }

    /// Else SQLite keeps what each page was before the statement, because functions may fail, and operators may be some.
    #[test]
    fn what_is_written_several_at_once_has_no_index_with_a_function() {
        let (_folder, connection) = opened();
        let sql =
            "SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name IN ('users', 'feed')";
        let indexes = strings(&connection, sql);
        assert!(indexes.iter().any(|sql| sql.contains("users_mapped_idp_id")), "{indexes:?}");
        for index in indexes {
            // One pair of brackets is that of the columns.
            assert!(index.matches('(').count() == 1 && !index.contains("->"), "{index}");
        }
    }
}
