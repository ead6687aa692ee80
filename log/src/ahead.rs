//! What is on its way into a partition: it has its places, and is not durable yet.
//!
//! A reader that would write down what records say can have all of that done while they are flushed, and then wait for
//! [`Durable`] before anybody sees it.

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{oneshot, watch};

use crate::contract::{Entry, Offset, ReadError, ReadLimit};

/// Entries that may not be durable yet, and what tells when they are.
#[derive(Debug)]
#[must_use]
pub struct Ahead {
    /// In order. They are not to be shown to anybody before they are durable.
    pub entries: Vec<Entry>,
    /// Tells it of all of them.
    pub durable: Durable,
}

impl Ahead {
    /// Entries that are.
    pub fn durable(entries: Vec<Entry>) -> Self {
        Self { entries, durable: Durable::already() }
    }
}

/// Tells whether entries have become durable.
#[derive(Debug)]
#[must_use]
pub struct Durable(Option<oneshot::Receiver<()>>);

impl Durable {
    /// They are.
    pub const fn already() -> Self {
        Self(None)
    }

    /// They are once this is sent, and are not should it be dropped.
    pub const fn once(told: oneshot::Receiver<()>) -> Self {
        Self(Some(told))
    }

    /// Whether nobody has said so yet.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.0.as_ref().is_some_and(oneshot::Receiver::is_empty)
    }

    /// Waits until it is known. If not, it is not known what stands in their places, or will: whoever has read them goes
    /// back to before them.
    pub async fn wait(self) -> bool {
        match self.0 {
            Some(told) => told.await.is_ok(),
            None => true,
        }
    }

    /// The same for a thread of its own. Panics on one that runs tasks, as they would all wait.
    #[must_use]
    pub fn wait_blocking(self) -> bool {
        self.0.is_none_or(|told| told.blocking_recv().is_ok())
    }
}

/// What is on its way, for who reads it.
#[derive(Debug)]
pub struct Coming {
    way: Arc<Mutex<Way>>,
    end: watch::Receiver<Offset>,
}

/// The same, for who writes it.
#[derive(Debug)]
pub(crate) struct Announcer {
    way: Arc<Mutex<Way>>,
    end: watch::Sender<Offset>,
}

#[derive(Debug, Default)]
struct Way {
    entries: Vec<Entry>,
    told: Vec<oneshot::Sender<()>>,
}

/// Of a partition that ends here, with nothing on its way.
pub(crate) fn ending_at(tail: Offset) -> (Announcer, Coming) {
    let way = Arc::new(Mutex::new(Way::default()));
    let (sender, end) = watch::channel(tail);
    (Announcer { way: Arc::clone(&way), end: sender }, Coming { way, end })
}

impl Announcer {
    /// Shows what is to be written next. What was announced before has been settled or withdrawn.
    pub(crate) fn announce(&self, entries: Vec<Entry>) {
        let Some(last) = entries.last() else { return };
        let end = last.offset.next();
        lock(&self.way).entries = entries;
        self.end.send_replace(end);
    }

    /// All of it is durable, and found where readers look first.
    pub(crate) fn settle(&self) {
        let way = std::mem::take(&mut *lock(&self.way));
        for told in way.told {
            // Who asked may have gone away.
            let _ = told.send(());
        }
    }

    /// It is not, and the partition ends here.
    pub(crate) fn withdraw(&self, tail: Offset) {
        drop(std::mem::take(&mut *lock(&self.way)));
        self.end.send_replace(tail);
    }
}

impl Drop for Announcer {
    /// Whoever waits learns that nothing will come of it.
    fn drop(&mut self) {
        drop(std::mem::take(&mut *lock(&self.way)));
    }
}

impl Coming {
    /// What is on its way at an offset and behind it, up to a limit. Nothing if what is there begins later: all before it
    /// is durable, and has become so since the reader looked.
    pub(crate) fn read(&self, from: Offset, limit: ReadLimit) -> Ahead {
        let mut way = lock(&self.way);
        let Ok(begin) = way.entries.binary_search_by_key(&from, |entry| entry.offset) else {
            return Ahead::durable(Vec::new());
        };
        let entries = limit.of(way.entries[begin..].iter());
        let (tells, told) = oneshot::channel();
        way.told.push(tells);
        Ahead { entries, durable: Durable::once(told) }
    }

    /// Waits until something is written, or on its way, at an offset or beyond it. Fails when that can no longer happen.
    pub(crate) async fn wait_past(&self, offset: Offset) -> Result<(), ReadError> {
        let passed = self.end.clone().wait_for(|end| *end > offset).await.map(drop);
        passed.map_err(|_| ReadError::Unavailable("the log is closed".into()))
    }
}

fn lock(way: &Mutex<Way>) -> MutexGuard<'_, Way> {
    way.lock().expect("nothing panics while it is held")
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    fn limit(records: usize) -> ReadLimit {
        ReadLimit { records: NonZeroUsize::new(records).unwrap(), bytes: NonZeroUsize::MAX }
    }

    fn entries(offsets: std::ops::Range<u64>) -> Vec<Entry> {
        offsets.map(|offset| Entry::new(Offset(offset), "value".into())).collect()
    }

    fn offsets(coming: &Coming, from: u64) -> Vec<u64> {
        let ahead = coming.read(Offset(from), limit(10));
        ahead.entries.iter().map(|entry| entry.offset.0).collect()
    }

    #[tokio::test]
    async fn everybody_who_has_read_ahead_is_told_when_it_is_durable() {
        let (announcer, coming) = ending_at(Offset(5));
        assert!(coming.read(Offset(5), limit(1)).durable.wait().await, "nothing is not waited for");
        announcer.announce(entries(5..8));
        let (first, rest) = (coming.read(Offset(5), limit(2)), coming.read(Offset(7), limit(2)));
        assert_eq!((first.entries, rest.entries), (entries(5..7), entries(7..8)));
        announcer.settle();
        assert!(first.durable.wait().await && rest.durable.wait().await);
        assert_eq!(offsets(&coming, 5), [0; 0], "it is found where readers look first");
    }

    #[tokio::test]
    async fn what_is_withdrawn_or_given_up_is_not_durable_and_others_take_its_place() {
        let (announcer, coming) = ending_at(Offset(5));
        announcer.announce(entries(5..8));
        let withdrawn = coming.read(Offset(5), limit(9)).durable;
        announcer.withdraw(Offset(5));
        assert!(!withdrawn.wait().await);
        assert_eq!(offsets(&coming, 5), [0; 0]);
        announcer.announce(entries(5..6));
        let given_up = coming.read(Offset(5), limit(9)).durable;
        drop(announcer);
        assert!(!given_up.wait().await);
        let waited = coming.wait_past(Offset(9)).await;
        assert!(waited.is_err(), "nobody waits for what cannot come");
    }

    #[test]
    fn what_has_become_durable_since_a_reader_looked_is_not_passed_over() {
        let (announcer, coming) = ending_at(Offset(5));
        announcer.announce(entries(5..8));
        announcer.settle();
        announcer.announce(entries(8..10));
        assert_eq!(offsets(&coming, 5), [0; 0], "it has to read 5 to 7 before");
        assert_eq!(offsets(&coming, 8), [8, 9]);
        assert_eq!(offsets(&coming, 10), [0; 0]);
    }

    #[tokio::test]
    async fn a_reader_waits_for_what_is_on_its_way_and_not_for_what_was_withdrawn() {
        let (announcer, coming) = ending_at(Offset(5));
        let waits = coming.wait_past(Offset(5));
        tokio::pin!(waits);
        assert!(futures_util::poll!(&mut waits).is_pending());
        announcer.announce(entries(5..6));
        waits.await.unwrap();
        announcer.withdraw(Offset(5));
        let waits = coming.wait_past(Offset(5));
        tokio::pin!(waits);
        assert!(futures_util::poll!(&mut waits).is_pending());
    }
}
