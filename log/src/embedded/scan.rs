//! All of a partition in order, for tools that read the whole log.

use std::num::NonZeroUsize;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use rusqlite::Connection;

use super::sqlite::{self, OpenError};
use crate::contract::{Entry, Offset, Partition, ReadLimit, Source};

/// How much is fetched at once: some megabyte of usual records.
const PAGE: ReadLimit = ReadLimit {
    records: NonZeroUsize::new(512).expect("not zero"),
    bytes: NonZeroUsize::new(8 << 20).expect("not zero"),
};

/// How many bytes records share: one allocation for some hundred of them, and memory that is soon free again and still in the
/// processor's cache.
const SHARED_BYTES: usize = 256 * 1024;

/// An iterator over the records of a partition, from a connection of its own that only reads. It ends
/// at the tail as of the page it reads last; a live writer is not disturbed. Where a record is missing and nobody has
/// accepted that, it says so, and goes on behind the hole if it is asked to.
///
/// Records that follow each other share memory: who keeps one for long copies it.
#[derive(Debug)]
pub struct Scan {
    connection: Connection,
    partition: Partition,
    next: Offset,
    page: std::vec::IntoIter<Entry>,
    /// Where the next record goes.
    room: BytesMut,
    failed: bool,
}

impl Scan {
    pub(super) fn open(path: &Path, partition: Partition, from: Offset) -> Result<Self, OpenError> {
        let connection = sqlite::open_for_reading(path)?;
        let (page, room) = (Vec::new().into_iter(), BytesMut::new());
        Ok(Self { connection, partition, next: from, page, room, failed: false })
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
        let put = |value: &[u8]| put(&mut self.room, value);
        match sqlite::read_into(put, &self.connection, self.partition, self.next, PAGE) {
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

/// Puts a value behind the one before it, or where there is room.
fn put(room: &mut BytesMut, value: &[u8]) -> Bytes {
    if room.capacity() < value.len() {
        *room = BytesMut::with_capacity(value.len().max(SHARED_BYTES));
    }
    room.extend_from_slice(value);
    room.split().freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_share_memory_stay_what_they_are() {
        let lens = [0, 1, 100_000, SHARED_BYTES - 100_001, SHARED_BYTES + 1, 7, SHARED_BYTES];
        let values: Vec<Vec<u8>> = (1_u8..).zip(lens).map(|(byte, len)| vec![byte; len]).collect();
        let mut room = BytesMut::new();
        let put: Vec<Bytes> = values.iter().map(|value| put(&mut room, value)).collect();
        assert_eq!(put, values);
        // Right behind each other, as long as there is room.
        assert_eq!(put[2].as_ptr().wrapping_sub(1), put[1].as_ptr());
    }
}
