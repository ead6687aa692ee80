//! Where events stand in a feed that is made anew.
//!
//! ```text
//!  feed in use      a1 b1 a2 c1 b2                positions 1 to 5
//!  log    a         a1    a2       a3
//!         b            b1       b2    b3          a3 before b3: it was decided earlier
//!         c                  c1
//!  made anew        a1 b1 a2 c1 b2 a3 b3          positions 1 to 7
//! ```
//!
//! Positions are what cursors of endpoints and apps are, so an event keeps the one that it has. The log does not say
//! how its partitions ran beside each other: the feed in use does, and nothing else. Events that it lacks come behind
//! its end, by the times at which they were decided, and then by partition.

use std::collections::BTreeMap;

use log::Partition;
use schemas::Timestamp;

/// The place of an event in the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The one that it has in the feed in use.
    Kept(u64),
    /// The next one at the end.
    Next,
    /// Behind the end, when it is its turn among the events of all partitions.
    Later(Turn),
}

/// When it is the turn of an event, among those of all partitions that no feed has had yet. The least comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    /// When it was decided, or an event before it in its partition, if that is later: clocks of replicas differ, and the
    /// order within a partition is the log's.
    pub at: Timestamp,
    /// Of events of one time, those of the first partition come first.
    pub partition: Partition,
    /// Which of its partition it is.
    pub number: u64,
}

/// Says where the events of each partition stand. Partitions may be asked for in any order.
#[derive(Debug)]
pub struct Order {
    /// The order of the only partition is that of the feed.
    is_alone: bool,
    /// The last turn of each partition.
    last: BTreeMap<Partition, Turn>,
}

impl Order {
    /// Of a log with so many partitions.
    #[must_use]
    pub const fn of(partitions: u16) -> Self {
        Self { is_alone: partitions <= 1, last: BTreeMap::new() }
    }

    /// The place of the next event of a partition: the position that it has in the feed in use, if it has one, and when
    /// it was decided.
    pub fn place(&mut self, partition: Partition, kept: Option<u64>, at: Timestamp) -> Place {
        match kept {
            Some(position) => Place::Kept(position),
            None if self.is_alone => Place::Next,
            None => {
                let turn = match self.last.get(&partition) {
                    Some(last) => Turn { at: at.max(last.at), partition, number: last.number + 1 },
                    None => Turn { at, partition, number: 1 },
                };
                self.last.insert(partition, turn);
                Place::Later(turn)
            }
        }
    }
}

#[cfg(test)]
mod laws;
