//! What is made and read beside the state in use, wherever it is.

use std::path::Path;

use log::Partition;
use projector::fold::Fold;
use projector::ports::BoxError;
use projector::rebuild::FeedEntry;
use projector::verify::{
    Columns, StoredDirectory, StoredEvent, StoredPendingMember, StoredResource, VerifyError,
};
use projector::{Position, StoreError, StoredHead};
use schemas::{DirectoryId, ScimId, Seq, StoredChange, Timestamp};

use crate::error::OpenError;
pub(crate) use crate::postgres::state::generation::{Generation as OnServer, Swap};
use crate::postgres::state::snapshot::Snapshot as OfServer;
pub(crate) use crate::state::bulk::Generation as InFile;
use crate::state::snapshot::Snapshot as OfFile;

/// A state in the making, beside the one in use. Its methods block.
#[derive(Debug)]
pub struct Generation(pub(crate) Making);

#[derive(Debug)]
pub(crate) enum Making {
    File(Box<InFile>),
    Server(Box<OnServer>),
}

impl projector::rebuild::Generation for Generation {
    fn feed(&mut self, partition: Partition, entries: &[FeedEntry]) -> Result<(), StoreError> {
        match &mut self.0 {
            Making::File(made) => made.feed(partition, entries),
            Making::Server(made) => made.feed(partition, entries),
        }
    }

    fn state(
        &mut self,
        partition: Partition,
        position: Position,
        fold: &Fold,
    ) -> Result<(), StoreError> {
        match &mut self.0 {
            Making::File(made) => made.state(partition, position, fold),
            Making::Server(made) => made.state(partition, position, fold),
        }
    }

    fn finish(&mut self) -> Result<(), StoreError> {
        match &mut self.0 {
            Making::File(made) => made.finish(),
            Making::Server(made) => made.finish(),
        }
    }
}

/// One moment of the state, for `dsync verify`. Its methods block.
#[derive(Debug)]
pub struct Snapshot(pub(crate) Taken);

#[derive(Debug)]
pub(crate) enum Taken {
    File(OfFile),
    Server(OfServer),
}

impl Snapshot {
    /// The state in this folder as it is now, with a server running or not.
    ///
    /// # Errors
    ///
    /// If there is none, or it cannot be read.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        Ok(Self(Taken::File(OfFile::open(folder)?)))
    }

    fn taken(&mut self) -> &mut dyn projector::verify::Snapshot {
        match &mut self.0 {
            Taken::File(taken) => taken,
            Taken::Server(taken) => taken,
        }
    }
}

impl projector::verify::Snapshot for Snapshot {
    fn partitions(&mut self) -> Result<Vec<Partition>, BoxError> {
        self.taken().partitions()
    }

    fn position(&mut self, partition: Partition) -> Result<Position, BoxError> {
        self.taken().position(partition)
    }

    fn heads(&mut self, partition: Partition) -> Result<Vec<StoredHead>, BoxError> {
        self.taken().heads(partition)
    }

    fn feed(&mut self, after: u64, limit: usize) -> Result<Vec<StoredEvent>, BoxError> {
        self.taken().feed(after, limit)
    }

    fn count_events(&mut self) -> Result<u64, BoxError> {
        self.taken().count_events()
    }

    fn disorder(&mut self) -> Result<Option<String>, BoxError> {
        self.taken().disorder()
    }

    fn columns(&self, change: &StoredChange, at: Timestamp) -> Result<Columns, BoxError> {
        match &self.0 {
            Taken::File(taken) => taken.columns(change, at),
            Taken::Server(taken) => taken.columns(change, at),
        }
    }

    fn directory(&mut self, id: DirectoryId) -> Result<Option<StoredDirectory>, BoxError> {
        self.taken().directory(id)
    }

    fn version_of_user(
        &mut self,
        directory: DirectoryId,
        id: ScimId,
    ) -> Result<Option<Seq>, BoxError> {
        self.taken().version_of_user(directory, id)
    }

    fn user(
        &mut self,
        directory: DirectoryId,
        id: ScimId,
    ) -> Result<Option<StoredResource>, BoxError> {
        self.taken().user(directory, id)
    }

    fn count_users(&mut self, directory: DirectoryId) -> Result<u64, BoxError> {
        self.taken().count_users(directory)
    }

    fn stray_user(&mut self, directory: DirectoryId) -> Result<Option<ScimId>, BoxError> {
        self.taken().stray_user(directory)
    }

    fn group(
        &mut self,
        directory: DirectoryId,
        id: ScimId,
    ) -> Result<Option<StoredResource>, BoxError> {
        self.taken().group(directory, id)
    }

    fn groups(
        &mut self,
        directory: DirectoryId,
        each: &mut dyn FnMut(ScimId, Seq, Timestamp) -> Result<(), VerifyError>,
    ) -> Result<(), VerifyError> {
        self.taken().groups(directory, each)
    }

    fn memberships(
        &mut self,
        directory: DirectoryId,
        each: &mut dyn FnMut(ScimId, ScimId) -> Result<(), VerifyError>,
    ) -> Result<(), VerifyError> {
        self.taken().memberships(directory, each)
    }

    fn pending_members(
        &mut self,
        directory: DirectoryId,
        each: &mut dyn FnMut(StoredPendingMember) -> Result<(), VerifyError>,
    ) -> Result<(), VerifyError> {
        self.taken().pending_members(directory, each)
    }
}
