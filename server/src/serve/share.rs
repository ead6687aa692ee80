//! Which partitions fall to this process.

use std::collections::BTreeSet;

use log::Partition;
use tokio::sync::watch;

/// The partitions of a log that has so many.
pub(super) fn all(count: u16) -> BTreeSet<Partition> {
    (0..count).map(Partition).collect()
}

/// A share of the partitions, for as long as it is held.
#[derive(Debug)]
pub(super) enum Share {
    /// None: others follow them.
    Nothing,
    /// All that there are, in the only process there is. Some may be added.
    All(watch::Sender<BTreeSet<Partition>>),
    /// Those that a group gives.
    #[cfg(feature = "kafka")]
    Group(log::kafka::Group),
}

impl Share {
    /// Every partition of a log that has so many.
    pub(super) fn all(count: u16) -> Self {
        Self::All(watch::channel(all(count)).0)
    }

    /// Where a log that has grown is made known, if this process follows all of it.
    pub(super) fn grows(&self) -> Option<watch::Sender<BTreeSet<Partition>>> {
        match self {
            Self::All(partitions) => Some(partitions.clone()),
            Self::Nothing => None,
            #[cfg(feature = "kafka")]
            Self::Group(_) => None,
        }
    }

    /// The partitions, now and whenever that changes.
    pub(super) fn assigned(&self) -> watch::Receiver<BTreeSet<Partition>> {
        match self {
            Self::Nothing => watch::channel(BTreeSet::new()).1,
            Self::All(partitions) => partitions.subscribe(),
            #[cfg(feature = "kafka")]
            Self::Group(group) => group.assigned(),
        }
    }

    /// Lets others have them. Blocks; for shutdown.
    pub(super) fn give_back(self) {
        match self {
            Self::Nothing | Self::All(_) => {}
            #[cfg(feature = "kafka")]
            Self::Group(mut group) => group.leave(),
        }
    }
}
