//! The indexes that lead to the events of a user and of a group.
//!
//! By them events stand in no order of time: an entry that is written with its row changes a page anywhere, and all of these
//! pages have to stay in memory. So entries are gathered, sorted, and written at once, to a table that SQLite keeps as it
//! keeps an index: `WITHOUT ROWID`, it is a tree of what is indexed and of the row's key, in this order
//! (<https://sqlite.org/fileformat2.html>, 2.4 and 2.5). In the end the schema is told that it is the index. To make the index
//! from the feed would take reading all rows once more.

use rusqlite::{Connection, Error, params};
use schemas::ScimId;

use super::feed::Placed;
use crate::sqlite::as_sql;
use crate::state::insert::{Bind, Insert, Row};

/// How many entries are gathered at most: 48 MB, and at worst twice as much with what has been asked for in advance. More are
/// written in several runs, each of which reads and changes what the ones before it have written.
const ENTRIES_MAX: usize = 2_000_000;

/// Both of them.
#[derive(Debug)]
pub(super) struct BySubject {
    user: Index,
    group: Index,
    /// [`ENTRIES_MAX`], or fewer in tests.
    pub(super) entries_max: usize,
}

impl BySubject {
    /// Puts tables in place of the indexes of an empty feed.
    pub(super) fn begin(connection: &Connection) -> Result<Self, Error> {
        let user = Index::begin(connection, "feed_user")?;
        let group = Index::begin(connection, "feed_group")?;
        Ok(Self { user, group, entries_max: ENTRIES_MAX })
    }

    /// Takes note of further events.
    pub(super) fn note(
        &mut self,
        connection: &Connection,
        placed: &[Placed<'_>],
    ) -> Result<(), Error> {
        for (position, entry) in placed {
            self.user.note(entry.user, *position);
            self.group.note(entry.group, *position);
        }
        if self.user.entries.len() + self.group.entries.len() >= self.entries_max {
            self.write(connection)?;
        }
        Ok(())
    }

    /// Writes what is gathered.
    fn write(&mut self, connection: &Connection) -> Result<(), Error> {
        self.user.write(connection)?;
        self.group.write(connection)
    }

    /// Makes the tables the indexes that they stand for. Within a transaction.
    pub(super) fn finish(mut self, connection: &Connection) -> Result<(), Error> {
        self.write(connection)?;
        self.user.finish(connection)?;
        self.group.finish(connection)
    }
}

/// An index, and its entries that are not written yet.
#[derive(Debug)]
struct Index {
    name: &'static str,
    /// What the schema said of it, and where: of two that serve a statement as well SQLite takes the one that stands last.
    sql: String,
    place: i64,
    entries: Vec<Entry>,
}

impl Index {
    fn begin(connection: &Connection, name: &'static str) -> Result<Self, Error> {
        let sql = "SELECT sql, rowid FROM sqlite_schema WHERE type = 'index' AND name = ?1";
        let (sql, place) =
            connection.query_row(sql, [name], |row| Ok((row.get(0)?, row.get(1)?)))?;
        connection.execute_batch(&format!(
            "DROP INDEX {name};
             CREATE TABLE {name}_entries (subject BLOB NOT NULL, position INTEGER NOT NULL,
                 PRIMARY KEY (subject, position)) WITHOUT ROWID"
        ))?;
        Ok(Self { name, sql, place, entries: Vec::new() })
    }

    fn note(&mut self, subject: Option<ScimId>, position: u64) {
        self.entries.extend(subject.map(|id| Entry { subject: id.to_bytes(), position }));
    }

    fn write(&mut self, connection: &Connection) -> Result<(), Error> {
        self.entries.sort_unstable();
        let table = format!("{}_entries (subject, position)", self.name);
        Insert::into(&table, 2).rows(connection, &self.entries)?;
        self.entries.clear();
        Ok(())
    }

    fn finish(self, connection: &Connection) -> Result<(), Error> {
        let Self { name, sql, place, .. } = self;
        connection.pragma_update(None, "writable_schema", true)?;
        let changed = connection.execute(
            "UPDATE sqlite_schema SET type = 'index', name = ?1, tbl_name = 'feed', sql = ?2, rowid = ?3
             WHERE type = 'table' AND name = ?1 || '_entries'",
            params![name, sql, place],
        )?;
        // Reads the schema anew.
        connection.pragma_update(None, "writable_schema", "RESET")?;
        if changed == 1 { Ok(()) } else { Err(Error::StatementChangedRows(changed)) }
    }
}

/// What an index has of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    subject: [u8; 16],
    position: u64,
}

impl Row for Entry {
    fn bind(&self, bind: &mut Bind<'_>) -> Result<(), Error> {
        bind(params![self.subject, as_sql(self.position)])
    }
}
