//! The log has ended: what the store has beside what the log has said.

use schemas::DirectoryId;

use super::{At, Kind, KnownGroup, Standing, id_in, key, pending, seq_in};
use crate::verify::{Snapshot, StoredPendingMember, VerifyError, difference};

impl Standing<'_> {
    /// What the store has of a directory has to be what is left.
    pub(in crate::verify) fn ends(
        &mut self,
        snapshot: &mut dyn Snapshot,
        directory: DirectoryId,
    ) -> Result<(), VerifyError> {
        self.users_end(snapshot, directory)?;
        self.groups_end(snapshot, directory)?;
        self.memberships_end(snapshot, directory)?;
        self.pending_members_end(snapshot, directory)?;
        self.directory_ends(snapshot, directory)
    }

    /// What the row of the directory says of it, and what goes with its other rows.
    fn directory_ends(
        &mut self,
        snapshot: &mut dyn Snapshot,
        id: DirectoryId,
    ) -> Result<(), VerifyError> {
        let stored = snapshot.directory(id).map_err(VerifyError::Store)?.unwrap_or_default();
        let life = self.lives.remove(&id).unwrap_or_default();
        let what = if stored.activated != life.activated {
            "whether its identity provider has connected differs in the store"
        } else if stored.gone != life.gone {
            "whether it was deleted differs in the store"
        } else if stored.tokens != life.tokens {
            "the store has other tokens than the log"
        } else {
            match stored.discord {
                Some(what) => return Err(difference(id, None, &format!("{what} in the store"))),
                None => return Ok(()),
            }
        };
        Err(difference(id, None, what))
    }

    fn users_end(
        &mut self,
        snapshot: &mut dyn Snapshot,
        directory: DirectoryId,
    ) -> Result<(), VerifyError> {
        self.nothing_is_left("user", Kind::Owed, directory)?;
        let stored = snapshot.count_users(directory).map_err(VerifyError::Store)?;
        let expected = self.users.get(&directory).copied().unwrap_or_default();
        if stored == expected {
            return Ok(());
        }
        let stray = snapshot.stray_user(directory).map_err(VerifyError::Store)?;
        let what = match stray {
            Some(id) => format!("user {id} is in the store and not in the log"),
            None => format!("the store holds {stored} users, the log {expected}"),
        };
        Err(difference(directory, None, &what))
    }

    fn groups_end(
        &mut self,
        snapshot: &mut dyn Snapshot,
        directory: DirectoryId,
    ) -> Result<(), VerifyError> {
        snapshot.groups(directory, &mut |id, version, modified_at| {
            let Some(known) = self.group_of(directory, id)? else {
                let what = format!("group {id} is in the store and not in the log");
                return Err(difference(directory, None, &what));
            };
            let KnownGroup { seq, time, otherwise } = known;
            let at = At { directory, seq, time };
            if version != seq {
                return Err(at.differs(&format!("group {id} has version {version} in the store")));
            }
            let late = (modified_at != time).then(|| "another modified_at".to_owned());
            if let Some(what) = otherwise.or(late) {
                return Err(at.differs(&format!("group {id} has {what} in the store")));
            }
            self.remove(&key(Kind::Group, directory, &[id]))
        })?;
        self.nothing_is_left("group", Kind::Group, directory)
    }

    /// What the store did not account for is missing there.
    fn nothing_is_left(
        &mut self,
        what: &str,
        kind: Kind,
        directory: DirectoryId,
    ) -> Result<(), VerifyError> {
        let left = self.scratch.first(&key(kind, directory, &[])).map_err(VerifyError::Scratch)?;
        let left = left.and_then(|(key, value)| Some((id_in(&key)?, seq_in(&value)?)));
        left.map_or(Ok(()), |(id, seq)| {
            let what = format!("{what} {id} is in the log and not in the store");
            Err(difference(directory, Some(seq), &what))
        })
    }

    fn memberships_end(
        &mut self,
        snapshot: &mut dyn Snapshot,
        directory: DirectoryId,
    ) -> Result<(), VerifyError> {
        let mut stored = 0;
        snapshot.memberships(directory, &mut |group, user| {
            stored += 1;
            if self.get(&key(Kind::Member, directory, &[group, user]))?.is_some() {
                return Ok(());
            }
            let what = format!("user {user} is in group {group} in the store and not in the log");
            Err(difference(directory, None, &what))
        })?;
        self.has_as_many("memberships", Kind::Member, directory, stored)
    }

    fn pending_members_end(
        &mut self,
        snapshot: &mut dyn Snapshot,
        directory: DirectoryId,
    ) -> Result<(), VerifyError> {
        let mut stored = 0;
        snapshot.pending_members(directory, &mut |member| {
            stored += 1;
            let StoredPendingMember { group, value, name_key } = member;
            let found = self.get(&pending(directory, group, &value))?;
            if found.is_some_and(|found| found == name_key.as_bytes()) {
                return Ok(());
            }
            let what =
                format!("{value:?} is pending in group {group} in the store and not so in the log");
            Err(difference(directory, None, &what))
        })?;
        self.has_as_many("pending members", Kind::Pending, directory, stored)
    }

    fn has_as_many(
        &mut self,
        what: &str,
        kind: Kind,
        directory: DirectoryId,
        stored: u64,
    ) -> Result<(), VerifyError> {
        let expected = self.scratch.count(&key(kind, directory, &[]));
        let expected = expected.map_err(VerifyError::Scratch)?;
        if stored == expected {
            return Ok(());
        }
        let what = format!("the store holds {stored} {what}, the log {expected}");
        Err(difference(directory, None, &what))
    }
}
