//! The store as of one moment, as it is held against the log.

use std::collections::BTreeMap;

use log::Partition;
use schemas::{DirectoryId, EventId, Hash, ScimId, Seq, Shown, StoredChange, Timestamp, TokenId};

use super::VerifyError;
use crate::ports::{BoxError, Position, StoredHead};

/// A row of the feed as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Where it stands in the feed.
    pub position: u64,
    /// The directory.
    pub directory_id: DirectoryId,
    /// Its place in the stream and its hash.
    pub head: schemas::Head,
    /// The hash of the record before it.
    pub prev: Hash,
    /// Its id.
    pub id: EventId,
    /// The name of its type.
    pub event: String,
    /// When it was decided.
    pub created_at: Timestamp,
    /// What customer apps are told.
    pub data: String,
    /// Who caused it, as JSON.
    pub actor: String,
    /// The user that it is listed with.
    pub user: Option<ScimId>,
    /// The group that it is listed with.
    pub group: Option<ScimId>,
    /// Whether lists that are narrowed to its directory, its type or its time come upon it.
    pub is_listed: bool,
}

/// What a row has beside its attributes, by the name of the column: what it is found, listed and counted by.
pub type Columns = Vec<(&'static str, Option<String>)>;

/// A user or group as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredResource {
    /// Which.
    pub id: ScimId,
    /// The place of the record that last changed it; for a group, or its members.
    pub version: Seq,
    /// Its attributes as text, which is the one of the record.
    pub attributes: String,
    /// What apps are shown of a user.
    pub shown: Shown,
    /// The rest of the row.
    pub columns: Columns,
}

/// A directory as it is stored, beside its head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredDirectory {
    /// Whether the identity provider has connected.
    pub activated: bool,
    /// Whether it is gone.
    pub gone: bool,
    /// Its tokens, and whether they are revoked.
    pub tokens: BTreeMap<TokenId, bool>,
    /// What does not go with its users, groups and memberships, if anything does not.
    pub discord: Option<&'static str>,
}

/// A pending member as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPendingMember {
    /// Of which group.
    pub group: ScimId,
    /// What names the user.
    pub value: String,
    /// The same in the form in which user names are compared.
    pub name_key: String,
}

/// The store as of one moment.
pub trait Snapshot {
    /// The partitions of which something was read, or that a directory is said to be in.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    fn partitions(&mut self) -> Result<Vec<Partition>, BoxError>;

    /// Where the projection stands.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    fn position(&mut self, partition: Partition) -> Result<Position, BoxError>;

    /// The heads of all streams.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    fn heads(&mut self, partition: Partition) -> Result<Vec<StoredHead>, BoxError>;

    /// The feed after this position, in order.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    fn feed(&mut self, after: u64, limit: usize) -> Result<Vec<StoredEvent>, BoxError>;

    /// How many events the feed has, whatever directories they are of.
    ///
    /// # Errors
    ///
    /// If they cannot be counted.
    fn count_events(&mut self) -> Result<u64, BoxError>;

    /// What is wrong with that by which the store finds what it has, if anything is.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    fn disorder(&mut self) -> Result<Option<String>, BoxError>;

    /// What the row of a user or group has beside its attributes if this change, of this time, was the last that it
    /// saw.
    ///
    /// # Errors
    ///
    /// If the change is none that can be written.
    fn columns(&self, change: &StoredChange, at: Timestamp) -> Result<Columns, BoxError>;

    /// A directory.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    fn directory(&mut self, id: DirectoryId) -> Result<Option<StoredDirectory>, BoxError>;

    /// The place of the record that last changed a user of a directory.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    fn version_of_user(
        &mut self,
        directory: DirectoryId,
        id: ScimId,
    ) -> Result<Option<Seq>, BoxError>;

    /// A user of a directory.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    fn user(
        &mut self,
        directory: DirectoryId,
        id: ScimId,
    ) -> Result<Option<StoredResource>, BoxError>;

    /// How many users a directory has.
    ///
    /// # Errors
    ///
    /// If they cannot be counted.
    fn count_users(&mut self, directory: DirectoryId) -> Result<u64, BoxError>;

    /// A user of a directory of whom no event of the feed is the last word, if there is one.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    fn stray_user(&mut self, directory: DirectoryId) -> Result<Option<ScimId>, BoxError>;

    /// A group of a directory.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    fn group(
        &mut self,
        directory: DirectoryId,
        id: ScimId,
    ) -> Result<Option<StoredResource>, BoxError>;

    /// Calls for every group of a directory with the place that it was last changed at, and the time.
    ///
    /// # Errors
    ///
    /// If they cannot be read, and whatever the call says.
    fn groups(
        &mut self,
        directory: DirectoryId,
        each: &mut dyn FnMut(ScimId, Seq, Timestamp) -> Result<(), VerifyError>,
    ) -> Result<(), VerifyError>;

    /// Calls for every membership of a directory with group and user.
    ///
    /// # Errors
    ///
    /// If they cannot be read, and whatever the call says.
    fn memberships(
        &mut self,
        directory: DirectoryId,
        each: &mut dyn FnMut(ScimId, ScimId) -> Result<(), VerifyError>,
    ) -> Result<(), VerifyError>;

    /// Calls for every pending member of a directory's groups.
    ///
    /// # Errors
    ///
    /// If they cannot be read, and whatever the call says.
    fn pending_members(
        &mut self,
        directory: DirectoryId,
        each: &mut dyn FnMut(StoredPendingMember) -> Result<(), VerifyError>,
    ) -> Result<(), VerifyError>;
}
