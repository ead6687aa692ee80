//! All of a partition in order, for tools that read the whole log.

use std::num::NonZeroUsize;
use std::path::Path;

use rusqlite::Connection;

use super::sqlite::{self, OpenError};
use crate::contract::{Entry, Offset, Partition, ReadLimit, Source};

/// How much is fetched at once.
const PAGE: ReadLimit = ReadLimit {
    records: NonZeroUsize::new(2_048).expect("not zero"),
    bytes: NonZeroUsize::new(8 << 20).expect("not zero"),
};

/// An iterator over the records of a partition, from a connection of its own that only reads. It ends
/// at the tail as of the page it reads last; a live writer is not disturbed. Where a record is missing it says so, and
/// goes on behind the hole if it is asked to.
#[derive(Debug)]
pub struct Scan {
    connection: Connection,
    partition: Partition,
    next: Offset,
    page: std::vec::IntoIter<Entry>,
    failed: bool,
}

impl Scan {
    pub(super) fn open(path: &Path, partition: Partition, from: Offset) -> Result<Self, OpenError> {
        let connection = sqlite::open_for_reading(path)?;
        Ok(Self { connection, partition, next: from, page: Vec::new().into_iter(), failed: false })
    }

    /// How many records there are, as far as that can be told without reading them.
    ///
    /// # Errors
    ///
    /// If the log cannot be read.
    pub fn len_hint(&self) -> Result<u64, Source> {
        let tail = sqlite::tail(&self.connection, self.partition)?;
        Ok(tail.0.saturating_sub(self.next.0))
    }
}

impl Iterator for Scan {
    type Item = Result<Entry, Source>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(entry) = self.page.next() {
            return Some(Ok(entry));
        }
        if self.failed {
            return None;
        }
        match sqlite::read(&self.connection, self.partition, self.next, PAGE) {
            Ok(page) => {
                self.next = page.last().map_or(self.next, |last| last.offset.next());
                self.page = page.into_iter();
                self.page.next().map(Ok)
            }
            Err(error) => {
                match sqlite::first_from(&self.connection, self.partition, self.next) {
                    Ok(Some(first)) if first > self.next => self.next = first,
                    Ok(_) | Err(_) => self.failed = true,
                }
                Some(Err(error.into()))
            }
        }
    }
}
