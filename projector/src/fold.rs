//! The log folded in memory: each user and group once, as it is in the end.
//!
//! A rebuild writes the result and `verify` compares it with the store. Resources stay the text
//! they are in the record: of a user with a hundred events, one is read.

use std::collections::{BTreeMap, BTreeSet};

use bytestring::ByteString;
use schemas::record::{DecodeError, change_in};
use schemas::{DirectoryId, Head, Record, ScimId, Seq, StoredChange, Timestamp, TokenId};
use serde::Deserialize;

/// A user or group as its last record left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folded {
    kept: Kept,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// The place of that record.
    pub version: Seq,
    /// For a group: when its members last changed, and the place of that record.
    pub members_changed: Option<(Timestamp, Seq)>,
    /// Resources keep the order of their creation; this is the place of the record that created it.
    pub created: Seq,
}

impl Folded {
    /// What its last record says of it.
    ///
    /// # Errors
    ///
    /// If that says nothing that this version knows.
    pub fn change(&self) -> Result<StoredChange, UnreadableError> {
        let (resource, data) = self.kept.parts();
        change(resource, data, self.version)
    }
}

/// What the last record of a user or group says of it. A copy: a record shares its memory with others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Kept {
    /// The resource, and right behind it the data.
    text: String,
    resource_len: usize,
}

impl Kept {
    /// Takes the place of what was kept, in the memory of that.
    fn replace(&mut self, unread: &Unread) {
        let Unread { resource, data } = unread;
        self.text.clear();
        self.text.reserve_exact(resource.len() + data.len());
        self.text.push_str(resource);
        self.text.push_str(data);
        self.resource_len = resource.len();
    }

    fn parts(&self) -> (&str, &str) {
        self.text.split_at(self.resource_len)
    }
}

/// A record says of a user or group what this version cannot read.
#[derive(Debug, thiserror::Error)]
#[error("DSYNC-005: the record with seq {} cannot be read", .seq.0)]
pub struct UnreadableError {
    seq: Seq,
    #[source]
    source: DecodeError,
}

/// The parts of a record that say what it does to the state, byte for byte as they are in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unread {
    resource: ByteString,
    data: ByteString,
}

impl Unread {
    /// What they say, as the record at this place.
    pub(crate) fn change(&self, seq: Seq) -> Result<StoredChange, UnreadableError> {
        change(&self.resource, &self.data, seq)
    }
}

fn change(resource: &str, data: &str, seq: Seq) -> Result<StoredChange, UnreadableError> {
    change_in(resource, data).map_err(|source| UnreadableError { seq, source })
}

/// One directory.
#[derive(Clone, Debug, Default)]
pub struct FoldedDirectory {
    /// The last accepted record.
    pub head: Head,
    /// Whether a gap has stopped the stream.
    pub stopped: bool,
    /// Whether the identity provider has connected.
    pub activated: bool,
    /// Whether it is gone.
    pub gone: bool,
    /// The tokens that the stream knows of, and whether they are revoked.
    pub tokens: BTreeMap<TokenId, bool>,
    /// Users.
    pub users: BTreeMap<ScimId, Folded>,
    /// Groups.
    pub groups: BTreeMap<ScimId, Folded>,
    /// Who is in a group.
    pub members: BTreeMap<ScimId, BTreeSet<ScimId>>,
    /// Who is pending in a group: the values that name them, with the form in which user names are
    /// compared.
    pub pending_members: BTreeMap<ScimId, BTreeMap<Box<str>, Box<str>>>,
    /// The same as `members` the other way round, so that a user who goes is found in its groups at once.
    groups_of: BTreeMap<ScimId, BTreeSet<ScimId>>,
}

/// All directories of a partition.
#[derive(Clone, Debug, Default)]
pub struct Fold {
    /// By id.
    pub directories: BTreeMap<DirectoryId, FoldedDirectory>,
}

/// A [`schemas::Change`], read just as far as the fold needs it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outline {
    User { id: ScimId },
    UserGone { id: ScimId },
    Group { id: ScimId },
    GroupGone { id: ScimId },
    MemberAdded { group: ScimId, user: ScimId },
    MemberRemoved { group: ScimId, user: ScimId },
    PendingMemberAdded { group: ScimId, value: Box<str>, name_key: Box<str> },
    PendingMemberRemoved { group: ScimId, value: Box<str> },
    DirectoryActivated,
    DirectoryGone,
    TokenMade { id: TokenId },
    TokenRevoked { id: TokenId },
}

/// A record on its way into the fold, read just as far as the fold needs it.
#[derive(Clone, Debug)]
pub struct Outlined {
    pub(crate) outline: Outline,
    pub(crate) unread: Unread,
    created_at: Timestamp,
}

impl Outlined {
    /// What the fold needs of the record that was read from this text.
    ///
    /// # Errors
    ///
    /// If its `resource` is no change that this version knows.
    pub fn of(record: &Record<'_>, text: &ByteString) -> Result<Self, DecodeError> {
        let resource = record.resource.get();
        let outline = match user_at_a_glance(resource) {
            Some(id) => Outline::User { id },
            None => serde_json::from_str(resource)?,
        };
        let unread =
            Unread { resource: text.slice_ref(resource), data: text.slice_ref(record.data.get()) };
        Ok(Self { outline, unread, created_at: record.created_at })
    }

    /// The user and the group that the change is about.
    #[must_use]
    pub const fn subjects(&self) -> (Option<ScimId>, Option<ScimId>) {
        match &self.outline {
            Outline::User { id } | Outline::UserGone { id } => (Some(*id), None),
            Outline::Group { id } | Outline::GroupGone { id } => (None, Some(*id)),
            Outline::MemberAdded { group, user } | Outline::MemberRemoved { group, user } => {
                (Some(*user), Some(*group))
            }
            Outline::PendingMemberAdded { group, .. }
            | Outline::PendingMemberRemoved { group, .. } => (None, Some(*group)),
            Outline::DirectoryActivated
            | Outline::DirectoryGone
            | Outline::TokenMade { .. }
            | Outline::TokenRevoked { .. } => (None, None),
        }
    }
}

/// Most records are users, and how we write a user begins with its id. Reading just that spares a
/// rebuild a second walk through what was found to be JSON already.
fn user_at_a_glance(resource: &str) -> Option<ScimId> {
    let rest = resource.strip_prefix(r#"{"user":{"id":""#)?;
    rest.get(..36)?.parse().ok()
}

impl Fold {
    /// Takes an accepted record in.
    pub fn apply(&mut self, directory_id: DirectoryId, head: Head, record: Outlined) {
        let directory = self.directories.entry(directory_id).or_default();
        directory.head = head;
        directory.apply(head.seq, record);
    }

    /// Notes how far a stream has come, and nothing else of the record.
    pub fn pass(&mut self, directory_id: DirectoryId, head: Head) {
        self.directories.entry(directory_id).or_default().head = head;
    }

    /// Notes that a gap has stopped a stream.
    pub fn stop(&mut self, directory_id: DirectoryId) {
        self.directories.entry(directory_id).or_default().stopped = true;
    }

    /// Notes that a stream goes on.
    pub fn go_on(&mut self, directory_id: DirectoryId) {
        if let Some(directory) = self.directories.get_mut(&directory_id) {
            directory.stopped = false;
        }
    }
}

impl FoldedDirectory {
    fn apply(&mut self, seq: Seq, record: Outlined) {
        let Outlined { outline, unread, created_at } = record;
        match outline {
            Outline::User { id } => put(&mut self.users, id, seq, &unread, created_at),
            Outline::UserGone { id } => {
                self.users.remove(&id);
                for group in self.groups_of.remove(&id).unwrap_or_default() {
                    self.members.entry(group).or_default().remove(&id);
                    self.members_changed(group, seq, record.created_at);
                }
            }
            Outline::Group { id } => put(&mut self.groups, id, seq, &unread, created_at),
            Outline::GroupGone { id } => {
                self.groups.remove(&id);
                self.pending_members.remove(&id);
                for user in self.members.remove(&id).unwrap_or_default() {
                    self.groups_of.entry(user).or_default().remove(&id);
                }
            }
            Outline::MemberAdded { group, user } => {
                self.members.entry(group).or_default().insert(user);
                self.groups_of.entry(user).or_default().insert(group);
                self.members_changed(group, seq, created_at);
            }
            Outline::MemberRemoved { group, user } => {
                self.members.entry(group).or_default().remove(&user);
                self.groups_of.entry(user).or_default().remove(&group);
                self.members_changed(group, seq, created_at);
            }
            Outline::PendingMemberAdded { group, value, name_key } => {
                self.pending_members.entry(group).or_default().insert(value, name_key);
            }
            Outline::PendingMemberRemoved { group, value } => {
                self.pending_members.entry(group).or_default().remove(&value);
            }
            Outline::DirectoryActivated => self.activated = true,
            Outline::DirectoryGone => self.go(),
            Outline::TokenMade { id } => {
                self.tokens.insert(id, false);
            }
            Outline::TokenRevoked { id } => {
                self.tokens.insert(id, true);
            }
        }
    }

    fn members_changed(&mut self, group: ScimId, seq: Seq, at: Timestamp) {
        if let Some(group) = self.groups.get_mut(&group) {
            group.members_changed = Some((at, seq));
        }
    }

    fn go(&mut self) {
        self.gone = true;
        self.users.clear();
        self.groups.clear();
        self.members.clear();
        self.pending_members.clear();
        self.groups_of.clear();
    }
}

fn put(
    resources: &mut BTreeMap<ScimId, Folded>,
    id: ScimId,
    seq: Seq,
    unread: &Unread,
    updated_at: Timestamp,
) {
    let folded = resources.entry(id).or_insert_with(|| Folded {
        kept: Kept::default(),
        updated_at,
        version: seq,
        members_changed: None,
        created: seq,
    });
    folded.kept.replace(unread);
    folded.updated_at = updated_at;
    folded.version = seq;
}
