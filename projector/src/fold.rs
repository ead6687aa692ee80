//! The log folded in memory: each user and group once, as it is in the end.
//!
//! A rebuild writes the result and `verify` compares it with the store. Resources stay the bytes
//! they are in the record: of a user with a hundred events, one is read.

use std::collections::{BTreeMap, BTreeSet};

use schemas::record::DecodeError;
use schemas::{DirectoryId, Head, Record, ScimId, Seq, Timestamp, TokenId};
use serde::Deserialize;

/// A user or group as its last record left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folded {
    /// The record's `resource`, a [`schemas::Change`], byte for byte.
    pub resource: Box<str>,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// The place of that record.
    pub version: Seq,
    /// For a group: when its members last changed, and the place of that record.
    pub members_changed: Option<(Timestamp, Seq)>,
    /// Resources keep the order of their creation; this is the place of the record that created it.
    pub created: Seq,
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
    /// The same the other way round, so that a user who goes is found in its groups at once.
    groups_of: BTreeMap<ScimId, BTreeSet<ScimId>>,
}

/// All directories of a partition.
#[derive(Clone, Debug, Default)]
pub struct Fold {
    /// By id.
    pub directories: BTreeMap<DirectoryId, FoldedDirectory>,
}

/// A [`schemas::Change`], read just as far as the fold needs it.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outline {
    User { id: ScimId },
    UserGone { id: ScimId },
    Group { id: ScimId },
    GroupGone { id: ScimId },
    MemberAdded { group: ScimId, user: ScimId },
    MemberRemoved { group: ScimId, user: ScimId },
    DirectoryActivated,
    DirectoryGone,
    TokenMade { id: TokenId },
    TokenRevoked { id: TokenId },
}

/// An accepted record on its way into the fold.
#[derive(Clone, Debug)]
pub struct Outlined {
    resource: Box<str>,
    created_at: Timestamp,
}

/// The user and the group that a change is about.
///
/// # Errors
///
/// If the text is no change that this version knows.
pub(crate) fn subjects(resource: &str) -> Result<(Option<ScimId>, Option<ScimId>), DecodeError> {
    Ok(match serde_json::from_str(resource)? {
        Outline::User { id } | Outline::UserGone { id } => (Some(id), None),
        Outline::Group { id } | Outline::GroupGone { id } => (None, Some(id)),
        Outline::MemberAdded { group, user } | Outline::MemberRemoved { group, user } => {
            (Some(user), Some(group))
        }
        Outline::DirectoryActivated
        | Outline::DirectoryGone
        | Outline::TokenMade { .. }
        | Outline::TokenRevoked { .. } => (None, None),
    })
}

impl Outlined {
    /// What the fold needs of a record.
    #[must_use]
    pub fn of(record: &Record<'_>) -> Self {
        Self { resource: record.resource.get().into(), created_at: record.created_at }
    }
}

impl Fold {
    /// Takes an accepted record in.
    ///
    /// # Errors
    ///
    /// If its `resource` cannot be read.
    pub fn apply(
        &mut self,
        directory_id: DirectoryId,
        head: Head,
        record: Outlined,
    ) -> Result<(), DecodeError> {
        let outline: Outline = serde_json::from_str(&record.resource)?;
        let directory = self.directories.entry(directory_id).or_default();
        directory.head = head;
        directory.apply(&outline, head.seq, record);
        Ok(())
    }

    /// Notes that a gap has stopped a stream.
    pub fn stop(&mut self, directory_id: DirectoryId) {
        self.directories.entry(directory_id).or_default().stopped = true;
    }
}

impl FoldedDirectory {
    fn apply(&mut self, outline: &Outline, seq: Seq, record: Outlined) {
        match *outline {
            Outline::User { id } => put(&mut self.users, id, seq, record),
            Outline::UserGone { id } => {
                self.users.remove(&id);
                for group in self.groups_of.remove(&id).unwrap_or_default() {
                    self.members.entry(group).or_default().remove(&id);
                }
            }
            Outline::Group { id } => put(&mut self.groups, id, seq, record),
            Outline::GroupGone { id } => {
                self.groups.remove(&id);
                for user in self.members.remove(&id).unwrap_or_default() {
                    self.groups_of.entry(user).or_default().remove(&id);
                }
            }
            Outline::MemberAdded { group, user } => {
                self.members.entry(group).or_default().insert(user);
                self.groups_of.entry(user).or_default().insert(group);
                self.members_changed(group, seq, record.created_at);
            }
            Outline::MemberRemoved { group, user } => {
                self.members.entry(group).or_default().remove(&user);
                self.groups_of.entry(user).or_default().remove(&group);
                self.members_changed(group, seq, record.created_at);
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
        self.groups_of.clear();
    }
}

fn put(resources: &mut BTreeMap<ScimId, Folded>, id: ScimId, seq: Seq, record: Outlined) {
    let created = resources.get(&id).map_or(seq, |before| before.created);
    let Outlined { resource, created_at } = record;
    let folded =
        Folded { resource, updated_at: created_at, version: seq, members_changed: None, created };
    resources.insert(id, folded);
}
