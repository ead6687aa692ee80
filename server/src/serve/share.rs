//! Which partitions fall to this process.

use std::collections::BTreeSet;

use log::Partition;
use tokio::sync::watch;

/// A share of the partitions, for as long as it is held.
#[derive(Debug)]
pub(super) enum Share {
    /// The same ones for ever: all, in the only process there is, or none, where others follow them.
    Fixed(BTreeSet<Partition>),
    /// Those that a group gives.
    #[cfg(feature = "kafka")]
    Group(log::kafka::Group),
}

impl Share {
    /// The partitions, now and whenever that changes.
    pub(super) fn assigned(&self) -> watch::Receiver<BTreeSet<Partition>> {
        match self {
            Self::Fixed(partitions) => watch::channel(partitions.clone()).1,
            #[cfg(feature = "kafka")]
            Self::Group(group) => group.assigned(),
        }
    }

    /// Lets others have them. Blocks; for shutdown.
    pub(super) fn give_back(self) {
        match self {
            Self::Fixed(_) => {}
            #[cfg(feature = "kafka")]
            Self::Group(mut group) => group.leave(),
        }
    }
}
