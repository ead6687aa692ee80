//! What the log says of users, groups and memberships, held against the store while it is walked.
//!
//! A user is compared at the record that the store names as its last. Of users that the store does not
//! have, of groups, memberships and pending members it is remembered what the log has said so far. What a row is found,
//! listed and counted by is compared too: whoever changes that changes what people are shown.

mod ends;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::error::Error;

use schemas::{Change, DirectoryId, ScimId, Seq, Shown, StoredChange, Timestamp, TokenId};

use super::{Scratch, Snapshot, StoredResource, VerifyError, difference};
use crate::fold::{Outline, Outlined, Unread, UnreadableError};
use crate::rebuild::FeedEntry;

/// Which kind of entry a key is of.
#[derive(Clone, Copy)]
enum Kind {
    /// A user that is not in the store, and has to go before the log ends.
    Owed,
    /// A group: the place that last changed it, when that was, and whether the store has its row.
    Group,
    /// A member by group.
    Member,
    /// The same by user.
    GroupOf,
    /// A pending member by group and value: the form in which names are compared.
    Pending,
}

const KINDS: [Kind; 5] = [Kind::Owed, Kind::Group, Kind::Member, Kind::GroupOf, Kind::Pending];

/// What a change is part of.
#[derive(Clone, Copy)]
struct At {
    directory: DirectoryId,
    seq: Seq,
    time: Timestamp,
}

impl At {
    fn differs(self, what: &str) -> VerifyError {
        difference(self.directory, Some(self.seq), what)
    }
}

pub(super) struct Standing<'a> {
    scratch: &'a mut dyn Scratch,
    /// How many users of each directory the store has as the log has them.
    users: BTreeMap<DirectoryId, u64>,
    lives: BTreeMap<DirectoryId, Life>,
}

/// What the log says of a directory itself.
#[derive(Default)]
struct Life {
    activated: bool,
    gone: bool,
    tokens: BTreeMap<TokenId, bool>,
}

impl<'a> Standing<'a> {
    pub(super) fn new(scratch: &'a mut dyn Scratch) -> Self {
        Self { scratch, users: BTreeMap::new(), lives: BTreeMap::new() }
    }

    /// Takes in what an accepted record changes.
    pub(super) fn take(
        &mut self,
        snapshot: &mut dyn Snapshot,
        entry: &FeedEntry,
        change: &Outlined,
    ) -> Result<(), VerifyError> {
        let (directory, time) = (entry.directory_id, entry.created_at);
        let at = At { directory, seq: entry.head.seq, time };
        match &change.outline {
            Outline::User { id } => self.user(snapshot, at, *id, &change.unread),
            Outline::UserGone { id } => self.user_gone(snapshot, at, *id),
            Outline::Group { id } => self.group(snapshot, at, *id, &change.unread),
            Outline::GroupGone { id } => self.group_gone(at, *id),
            Outline::MemberAdded { group, user } => self.member(at, *group, *user, true),
            Outline::MemberRemoved { group, user } => self.member(at, *group, *user, false),
            Outline::PendingMemberAdded { group, value, name_key } => {
                self.put(&pending(at.directory, *group, value), name_key.as_bytes())
            }
            Outline::PendingMemberRemoved { group, value } => {
                self.remove(&pending(at.directory, *group, value))
            }
            Outline::DirectoryGone => {
                self.users.remove(&at.directory);
                self.life(directory).gone = true;
                KINDS.into_iter().try_for_each(|kind| self.remove(&key(kind, at.directory, &[])))
            }
            Outline::DirectoryActivated => {
                self.life(directory).activated = true;
                Ok(())
            }
            Outline::TokenMade { id } => {
                self.life(directory).tokens.insert(*id, false);
                Ok(())
            }
            Outline::TokenRevoked { id } => {
                self.life(directory).tokens.insert(*id, true);
                Ok(())
            }
        }
    }

    fn life(&mut self, directory: DirectoryId) -> &mut Life {
        self.lives.entry(directory).or_default()
    }

    fn user(
        &mut self,
        snapshot: &mut dyn Snapshot,
        at: At,
        id: ScimId,
        unread: &Unread,
    ) -> Result<(), VerifyError> {
        let version = snapshot.version_of_user(at.directory, id).map_err(VerifyError::Store)?;
        let Some(version) = version else {
            return self.put(&key(Kind::Owed, at.directory, &[id]), &at.seq.0.to_be_bytes());
        };
        match version.cmp(&at.seq) {
            // The store has a later record of this user.
            Ordering::Greater => Ok(()),
            Ordering::Equal => {
                let stored = snapshot.user(at.directory, id).map_err(VerifyError::Store)?;
                if let Some(what) = otherwise(snapshot, at, unread, stored.as_ref())? {
                    return Err(at.differs(&format!("user {id} has {what} in the store")));
                }
                *self.users.entry(at.directory).or_default() += 1;
                Ok(())
            }
            Ordering::Less => {
                Err(at.differs(&format!("user {id} has version {version} in the store")))
            }
        }
    }

    fn user_gone(
        &mut self,
        snapshot: &mut dyn Snapshot,
        at: At,
        id: ScimId,
    ) -> Result<(), VerifyError> {
        let version = snapshot.version_of_user(at.directory, id).map_err(VerifyError::Store)?;
        if version.is_some_and(|version| version < at.seq) {
            return Err(at.differs(&format!("user {id} is in the store and not in the log")));
        }
        self.remove(&key(Kind::Owed, at.directory, &[id]))?;
        while let Some(group) = self.first_id(&key(Kind::GroupOf, at.directory, &[id]))? {
            self.member(at, group, id, false)?;
        }
        Ok(())
    }

    fn group(
        &mut self,
        snapshot: &mut dyn Snapshot,
        at: At,
        id: ScimId,
        unread: &Unread,
    ) -> Result<(), VerifyError> {
        let stored = snapshot.group(at.directory, id).map_err(VerifyError::Store)?;
        let otherwise = otherwise(snapshot, at, unread, stored.as_ref())?;
        self.put_group(at, id, otherwise.as_deref())
    }

    fn group_gone(&mut self, at: At, id: ScimId) -> Result<(), VerifyError> {
        self.remove(&key(Kind::Group, at.directory, &[id]))?;
        self.remove(&key(Kind::Pending, at.directory, &[id]))?;
        while let Some(user) = self.first_id(&key(Kind::Member, at.directory, &[id]))? {
            self.member(at, id, user, false)?;
        }
        Ok(())
    }

    /// A membership that begins or ends. It changes the group, if that is there.
    fn member(
        &mut self,
        at: At,
        group: ScimId,
        user: ScimId,
        joins: bool,
    ) -> Result<(), VerifyError> {
        let by_group = key(Kind::Member, at.directory, &[group, user]);
        for key in [by_group, key(Kind::GroupOf, at.directory, &[user, group])] {
            if joins { self.put(&key, &[])? } else { self.remove(&key)? }
        }
        match self.group_of(at.directory, group)? {
            Some(known) => self.put_group(at, group, known.otherwise.as_deref()),
            None => Ok(()),
        }
    }

    fn put_group(
        &mut self,
        at: At,
        id: ScimId,
        otherwise: Option<&str>,
    ) -> Result<(), VerifyError> {
        let mut value = at.seq.0.to_be_bytes().to_vec();
        value.extend(at.time.millis().to_be_bytes());
        value.extend(otherwise.unwrap_or_default().as_bytes());
        self.put(&key(Kind::Group, at.directory, &[id]), &value)
    }

    fn group_of(
        &mut self,
        directory: DirectoryId,
        id: ScimId,
    ) -> Result<Option<KnownGroup>, VerifyError> {
        let found = self.get(&key(Kind::Group, directory, &[id]))?;
        Ok(found.as_deref().and_then(KnownGroup::read))
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), VerifyError> {
        self.scratch.put(key, value).map_err(VerifyError::Scratch)
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, VerifyError> {
        self.scratch.get(key).map_err(VerifyError::Scratch)
    }

    fn first_id(&mut self, prefix: &[u8]) -> Result<Option<ScimId>, VerifyError> {
        let first = self.scratch.first(prefix).map_err(VerifyError::Scratch)?;
        Ok(first.and_then(|(key, _)| id_in(&key)))
    }

    fn remove(&mut self, prefix: &[u8]) -> Result<(), VerifyError> {
        self.scratch.remove(prefix).map_err(VerifyError::Scratch)
    }
}

/// A key, or what many begin with.
fn key(kind: Kind, directory: DirectoryId, ids: &[ScimId]) -> Vec<u8> {
    let mut key = vec![kind as u8];
    key.extend(directory.to_bytes());
    ids.iter().for_each(|id| key.extend(id.to_bytes()));
    key
}

/// A byte that no text has ends the key, so that none begins like another.
fn pending(directory: DirectoryId, group: ScimId, value: &str) -> Vec<u8> {
    let mut key = key(Kind::Pending, directory, &[group]);
    key.extend(value.as_bytes());
    key.push(0xff);
    key
}

/// The id that such a key ends with.
fn id_in(key: &[u8]) -> Option<ScimId> {
    key.last_chunk().copied().map(ScimId::from_bytes)
}

/// The place that a value begins with.
fn seq_in(value: &[u8]) -> Option<Seq> {
    value.first_chunk().copied().map(u64::from_be_bytes).map(Seq)
}

/// What is remembered of a group.
struct KnownGroup {
    /// The place that last changed it or its members.
    seq: Seq,
    /// When that was.
    time: Timestamp,
    /// What its row has otherwise than the log.
    otherwise: Option<String>,
}

impl KnownGroup {
    fn read(value: &[u8]) -> Option<Self> {
        let (seq, rest) = value.split_first_chunk()?;
        let (time, otherwise) = rest.split_first_chunk()?;
        let otherwise = std::str::from_utf8(otherwise).ok()?;
        Some(Self {
            seq: Seq(u64::from_be_bytes(*seq)),
            time: Timestamp::from_millis(i64::from_be_bytes(*time)),
            otherwise: (!otherwise.is_empty()).then(|| otherwise.to_owned()),
        })
    }
}

/// What a row has otherwise than the change that was its last.
fn otherwise(
    snapshot: &dyn Snapshot,
    at: At,
    unread: &Unread,
    stored: Option<&StoredResource>,
) -> Result<Option<String>, VerifyError> {
    let change = unread.change(at.seq).map_err(|error| at.differs(&with_causes(&error)))?;
    let Some(stored) = stored.filter(|stored| has_attributes(&change, stored)) else {
        return Ok(Some("other attributes".to_owned()));
    };
    let wanted = snapshot.columns(&change, at.time).map_err(VerifyError::Store)?;
    let mut pairs = stored.columns.iter().zip(&wanted);
    let differs = pairs.find(|(stored, wanted)| stored != wanted);
    Ok(differs.map(|((column, _), _)| format!("another {column}")))
}

fn with_causes(error: &UnreadableError) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |said, cause| format!("{said}: {cause}"))
}

/// Names are compared as they are written: trees are equal whatever the case of their names, and people are shown them.
fn has_attributes(change: &StoredChange, stored: &StoredResource) -> bool {
    let differs =
        matches!(change, Change::User { shown, .. } if !is_written_as(shown, &stored.shown));
    let attributes = change.attributes().filter(|_| !differs);
    attributes.is_some_and(|attributes| attributes.json() == stored.attributes)
}

fn is_written_as(shown: &Shown, stored: &Shown) -> bool {
    let written = |shown: &Shown| serde_json::to_string(shown).ok();
    shown == stored && (shown.is_default() || written(shown) == written(stored))
}
