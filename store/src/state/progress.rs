//! How far the projection has come: published by whoever writes, right behind the commit, and on a server also by who
//! hears of the commits of others. It never goes back.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Mutex;

use log::{Offset, Partition};
use schemas::{Hash, Head};
use tokio::sync::watch;

/// How many hashes are remembered. Whoever asks whether a record was accepted asks right after it was
/// applied; for older ones there is the feed.
const RECENT_MAX: usize = 4_096;

/// Why the projection cannot be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Full,
    Other(String),
}

pub(crate) type Faults = BTreeMap<Partition, Fault>;

/// Why partitions are not followed any further.
pub(crate) type Stops = BTreeMap<Partition, String>;

/// Where the projection stands. Locks are held for a look-up or a push, never over an await.
#[derive(Debug)]
pub(crate) struct Progress {
    /// For each partition, the first record that is not judged yet.
    passed: Mutex<BTreeMap<u16, watch::Sender<Offset>>>,
    /// The position of the last event of the feed.
    feed_end: watch::Sender<u64>,
    /// For each partition whose last batch could not be written and is not there for all that, why not.
    faults: watch::Sender<Faults>,
    /// For each partition that is not followed any further, why not.
    stops: watch::Sender<Stops>,
    recent: Mutex<Recent>,
}

/// The hashes of the records that were accepted last: what was just written need not be read.
#[derive(Debug, Default)]
struct Recent {
    known: HashSet<Hash>,
    order: VecDeque<Hash>,
}

impl Recent {
    fn note(&mut self, hashes: impl Iterator<Item = Hash>) {
        for hash in hashes {
            self.known.insert(hash);
            self.order.push_back(hash);
        }
        while self.order.len() > RECENT_MAX {
            let oldest = self.order.pop_front();
            oldest.map(|hash| self.known.remove(&hash));
        }
    }
}

impl Progress {
    pub(crate) fn new(passed: BTreeMap<u16, Offset>, feed_end: u64) -> Self {
        let passed =
            passed.into_iter().map(|(partition, next)| (partition, watch::Sender::new(next)));
        Self {
            passed: Mutex::new(passed.collect()),
            feed_end: watch::Sender::new(feed_end),
            faults: watch::Sender::default(),
            stops: watch::Sender::default(),
            recent: Mutex::default(),
        }
    }

    /// The last partition of which something was read.
    pub(crate) fn last_partition(&self) -> Option<Partition> {
        let passed = self.passed.lock().expect("nothing panics while it is held");
        let read = passed.iter().filter(|(_, next)| *next.borrow() > Offset(0));
        read.map(|(number, _)| Partition(*number)).next_back()
    }

    /// Where waiting for a partition is done.
    pub(crate) fn passed(&self, partition: Partition) -> watch::Receiver<Offset> {
        let mut passed = self.passed.lock().expect("nothing panics while it is held");
        passed.entry(partition.0).or_insert_with(|| watch::Sender::new(Offset(0))).subscribe()
    }

    pub(crate) fn feed_end(&self) -> watch::Receiver<u64> {
        self.feed_end.subscribe()
    }

    /// Why partitions cannot be written, of those that cannot.
    pub(crate) fn faults(&self) -> watch::Receiver<Faults> {
        self.faults.subscribe()
    }

    /// Why partitions are not followed any further, of those that are not.
    pub(crate) fn stops(&self) -> watch::Receiver<Stops> {
        self.stops.subscribe()
    }

    /// Takes note that a partition is not followed any further, or that it is again: then all that was there is written,
    /// and what could not be before stands in nobody's way.
    pub(crate) fn stop(&self, partition: Partition, why: Option<String>) {
        if why.is_none() {
            self.mended(partition);
        }
        self.stops.send_if_modified(|stops| match why {
            Some(why) => stops.insert(partition, why.clone()) != Some(why),
            None => stops.remove(&partition).is_some(),
        });
    }

    /// Takes note of all partitions that are not followed any further.
    pub(crate) fn stopped(&self, all: Stops) {
        self.stops.send_if_modified(|stops| {
            let differs = *stops != all;
            *stops = all;
            differs
        });
    }

    /// Whether these records are known to be accepted; if not, they may be all the same.
    pub(crate) fn are_known(&self, records: &[Head]) -> bool {
        let recent = self.recent.lock().expect("nothing panics while it is held");
        records.iter().all(|record| recent.known.contains(&record.hash))
    }

    /// Takes note of a commit: first what was accepted, then that the partition was passed, so that
    /// whoever waited finds it.
    pub(crate) fn moved(
        &self,
        partition: Partition,
        next: Offset,
        accepted: impl DoubleEndedIterator<Item = Hash>,
        feed_end: u64,
    ) {
        self.stop(partition, None);
        let latest = accepted.rev().take(RECENT_MAX);
        self.recent.lock().expect("nothing panics while it is held").note(latest);
        self.heard(partition, next, feed_end);
    }

    /// Takes note of what somebody else has written.
    pub(crate) fn heard(&self, partition: Partition, next: Offset, feed_end: u64) {
        let goes_on = {
            let mut passed = self.passed.lock().expect("nothing panics while it is held");
            let passed = passed.entry(partition.0).or_default();
            rise(passed, next)
        };
        if goes_on {
            // Whoever could not write it: somebody can.
            self.stop(partition, None);
        }
        rise(&self.feed_end, feed_end);
    }

    /// Takes note that a partition cannot be written up to here, unless it is: a commit whose answer was lost is heard of from
    /// others, also before its writer knows that it has no answer.
    pub(crate) fn failed(&self, partition: Partition, next: Offset, fault: Fault) {
        self.faults.send_if_modified(|faults| {
            let is_written = *self.passed(partition).borrow() >= next;
            if !is_written {
                faults.insert(partition, fault);
            }
            !is_written
        });
    }

    fn mended(&self, partition: Partition) {
        self.faults.send_if_modified(|faults| faults.remove(&partition).is_some());
    }
}

/// Wakes who waits, if there is something new. Whether there is.
fn rise<T: PartialOrd>(told: &watch::Sender<T>, to: T) -> bool {
    told.send_if_modified(|at| {
        let rises = to > *at;
        if rises {
            *at = to;
        }
        rises
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: Partition = Partition(3);

    fn progress() -> Progress {
        Progress::new(BTreeMap::new(), 0)
    }

    fn fault() -> Fault {
        Fault::Other("the connection was reset".to_owned())
    }

    fn is_faulty(progress: &Progress) -> bool {
        progress.faults().borrow().contains_key(&P)
    }

    #[test]
    fn a_batch_that_is_there_though_its_writer_has_no_answer_is_no_fault() {
        let progress = progress();
        progress.heard(P, Offset(7), 9);
        progress.failed(P, Offset(7), fault());
        assert!(!is_faulty(&progress));
        progress.failed(P, Offset(8), fault());
        assert!(is_faulty(&progress));
    }

    #[test]
    fn a_fault_is_over_when_somebody_has_written_or_the_partition_is_followed_again() {
        let progress = progress();
        progress.failed(P, Offset(7), fault());
        progress.heard(P, Offset(7), 9);
        assert!(!is_faulty(&progress));
        progress.failed(P, Offset(8), fault());
        progress.stop(P, Some("DSYNC-003".to_owned()));
        assert!(is_faulty(&progress));
        progress.stop(P, None);
        assert!(!is_faulty(&progress) && progress.stops().borrow().is_empty());
    }
}
