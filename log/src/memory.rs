//! A log in memory, for the tests of this crate and of others.
//!
//! It can be told to fail as real logs do: to refuse, to lose the acknowledgement of an append that
//! happened, to write an append twice. Readers see what is on its way before it is written or refused.

use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;
use tokio::sync::{Semaphore, watch};

use crate::ahead::{self, Announcer, Coming};
use crate::contract::{
    Append, AppendError, Entry, EventLog, Offset, Partition, ReadError, ReadLimit, check_sizes,
};

/// What an append that is still to come will do instead of succeeding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is written: [`AppendError::Unavailable`].
    Unavailable,
    /// Nothing is written: [`AppendError::Full`].
    Full,
    /// The records are written, the caller is told [`AppendError::Indeterminate`].
    AcknowledgementLost,
    /// Nothing is written, the caller is told [`AppendError::Indeterminate`].
    Lost,
    /// The records are written twice, the caller is told of success.
    Duplicated,
}

/// How often a writer lets others go first between showing what it writes and writing it.
const OTHERS_FIRST: usize = 3;

/// A log that lives as long as the process.
#[derive(Debug)]
pub struct Memory {
    partitions: Vec<watch::Sender<Vec<Entry>>>,
    on_their_way: Vec<(Announcer, Coming)>,
    /// One append is on its way at a time.
    turn: Semaphore,
    faults: Mutex<VecDeque<Fault>>,
}

impl Memory {
    /// An empty log.
    #[must_use]
    pub fn new(partitions: u16) -> Self {
        Self {
            partitions: (0..partitions).map(|_| watch::Sender::new(Vec::new())).collect(),
            on_their_way: (0..partitions).map(|_| ahead::ending_at(Offset(0))).collect(),
            turn: Semaphore::new(1),
            faults: Mutex::default(),
        }
    }

    /// Lets the next append for which none is set yet go wrong like this.
    pub fn inject(&self, fault: Fault) {
        self.faults.lock().expect("nothing panics while it is held").push_back(fault);
    }

    /// Whether everything that was to go wrong has.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.faults.lock().expect("nothing panics while it is held").is_empty()
    }

    fn of(&self, partition: Partition) -> &watch::Sender<Vec<Entry>> {
        &self.partitions[usize::from(partition.0)]
    }

    /// Shows what is to be written, and lets others look at it.
    async fn announce(&self, partition: Partition, records: &[Append]) -> OnItsWay<'_> {
        let announcer = &self.on_their_way[usize::from(partition.0)].0;
        let entries = self.of(partition);
        let tail = Offset(entries.borrow().len() as u64);
        announcer.announce(placed(tail, records));
        let on_its_way = OnItsWay { announcer, entries };
        for _ in 0..OTHERS_FIRST {
            tokio::task::yield_now().await;
        }
        on_its_way
    }

    fn write(&self, partition: Partition, records: &[Append]) -> Offset {
        let mut last = Offset(0);
        self.of(partition).send_modify(|entries| {
            entries.extend(placed(Offset(entries.len() as u64), records));
            last = Offset(entries.len() as u64 - 1);
        });
        last
    }
}

/// An append that readers see. Unless it is settled it is withdrawn, also when whoever appends goes away.
struct OnItsWay<'m> {
    announcer: &'m Announcer,
    entries: &'m watch::Sender<Vec<Entry>>,
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        self.announcer.withdraw(Offset(self.entries.borrow().len() as u64));
    }
}

fn placed(from: Offset, records: &[Append]) -> Vec<Entry> {
    let places = (from.0..).map(Offset);
    let entry = |(offset, record): (Offset, &Append)| Entry {
        offset,
        value: record.value.clone(),
        known: record.known.clone(),
    };
    places.zip(records).map(entry).collect()
}

#[async_trait]
impl EventLog for Memory {
    fn partitions(&self) -> u16 {
        u16::try_from(self.partitions.len()).expect("it was made from a u16")
    }

    async fn append(
        &self,
        partition: Partition,
        records: Vec<Append>,
    ) -> Result<Offset, AppendError> {
        check_sizes(&records)?;
        let _turn = self.turn.acquire().await.expect("nobody closes it");
        let fault = self.faults.lock().expect("nothing panics while it is held").pop_front();
        let on_its_way = self.announce(partition, &records).await;
        match fault {
            None => {
                let last = self.write(partition, &records);
                on_its_way.announcer.settle();
                Ok(last)
            }
            Some(Fault::Unavailable) => Err(AppendError::Unavailable("injected".into())),
            Some(Fault::Full) => Err(AppendError::Full("injected".into())),
            Some(Fault::Lost) => Err(AppendError::Indeterminate("injected".into())),
            Some(Fault::AcknowledgementLost) => {
                self.write(partition, &records);
                Err(AppendError::Indeterminate("injected".into()))
            }
            Some(Fault::Duplicated) => {
                self.write(partition, &records);
                Ok(self.write(partition, &records))
            }
        }
    }

    async fn read(
        &self,
        partition: Partition,
        from: Offset,
        limit: ReadLimit,
    ) -> Result<Vec<Entry>, ReadError> {
        let entries = self.of(partition).borrow();
        let begin = entries.len().min(usize::try_from(from.0).unwrap_or(usize::MAX));
        Ok(limit.of(entries[begin..].iter()))
    }

    async fn wait_past(&self, partition: Partition, offset: Offset) -> Result<(), ReadError> {
        let mut entries = self.of(partition).subscribe();
        let passed = entries.wait_for(|entries| entries.len() as u64 > offset.0).await;
        passed.map(drop).map_err(|closed| ReadError::Unavailable(closed.into()))
    }

    fn coming(&self, partition: Partition) -> Option<&Coming> {
        Some(&self.on_their_way[usize::from(partition.0)].1)
    }

    async fn tail(&self, partition: Partition) -> Result<Offset, ReadError> {
        Ok(Offset(self.of(partition).borrow().len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;

    #[tokio::test]
    async fn it_keeps_the_contract() {
        conformance::all(&Memory::new(3)).await;
    }

    #[tokio::test]
    async fn a_lost_acknowledgement_leaves_its_records() {
        let log = Memory::new(1);
        log.inject(Fault::AcknowledgementLost);
        let records = conformance::records("a", 2);
        let lost = log.append(Partition(0), records).await;
        assert!(matches!(lost, Err(AppendError::Indeterminate(_))));
        assert_eq!(log.tail(Partition(0)).await.expect("memory is readable"), Offset(2));
    }
}
