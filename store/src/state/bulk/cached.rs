//! How large the page cache is while a generation is written.

use std::collections::BTreeSet;

use projector::fold::FoldedDirectory;
use rusqlite::Connection;

/// The page cache with one directory and no users: what a transaction of the feed changes, so that pages are filled in memory
/// that the processor's cache still has some of. With ten times as much, and transactions four times as long, a rebuild of a
/// million events takes some 9 % longer.
const CACHE_KIB: usize = 32_768;

/// How much more a directory takes: three pages, where its next events go by their place in the stream and by their type.
const CACHE_BYTES_OF_A_DIRECTORY: usize = 24 * 1_024;

/// How much more a user takes: its entries in the indexes by name, and by id where there are more directories. They are
/// written all over, and have to stay in memory.
const CACHE_BYTES_OF_A_USER: usize = 256;

/// The same of a membership.
const CACHE_BYTES_OF_A_MEMBERSHIP: usize = 32;

/// The page cache at most: that of a million users and more.
const CACHE_KIB_MAX: usize = 327_680;

/// What the page cache has to hold pages for. It only grows: by their ids, users of each partition and directory go between those
/// of others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cached {
    /// Those that have events.
    pub(super) directories: usize,
    users: usize,
    memberships: usize,
}

impl Cached {
    /// Users of a directory are about to be written.
    pub(super) fn add(&mut self, folded: &FoldedDirectory) {
        self.users += folded.users.len();
        self.memberships += folded.members.values().map(BTreeSet::len).sum::<usize>();
    }

    pub(super) fn kib(self) -> u32 {
        let bytes = self.directories.saturating_sub(1) * CACHE_BYTES_OF_A_DIRECTORY
            + self.users * CACHE_BYTES_OF_A_USER
            + self.memberships * CACHE_BYTES_OF_A_MEMBERSHIP;
        let kib = (CACHE_KIB + bytes / 1_024).min(CACHE_KIB_MAX);
        u32::try_from(kib).unwrap_or(u32::MAX)
    }

    pub(super) fn set(self, connection: &Connection) -> Result<(), rusqlite::Error> {
        connection.pragma_update(None, "cache_size", -i64::from(self.kib()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_cache_grows_with_what_has_to_stay_in_it_up_to_its_limit() {
        let kib =
            |directories, users, memberships| Cached { directories, users, memberships }.kib();
        assert_eq!(kib(0, 0, 0), 32_768);
        assert_eq!(kib(1, 0, 0), 32_768);
        assert_eq!(kib(1_001, 0, 0), 32_768 + 24_000);
        assert_eq!(kib(1, 1_000_000, 0), 32_768 + 250_000);
        assert_eq!(kib(1, 0, 1_000_000), 32_768 + 31_250);
        assert_eq!(kib(1, 10_000_000, 0), 327_680);
    }
}
