//! The stages before the one that writes: what is read travels from thread to thread in chunks.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use log::{Entry, Partition};
use schemas::Hash;

use super::streams::{Changes, Chunk, Judge};
use super::{Heads, RebuildError, Scan};

/// How many records travel from stage to stage at once.
const CHUNK_RECORDS: usize = 512;

/// How many bytes of records travel at once, beside the last of them: what [`CHUNK_RECORDS`] of usual size take.
const CHUNK_BYTES: usize = 2 * 1024 * 1024;

/// How many chunks may wait between two stages: at most some 32 megabytes, enough that none starves while a transaction
/// ends.
const CHUNKS_WAITING_MAX: usize = 16;

impl Changes {
    const fn chunks_waiting_max(self) -> usize {
        match self {
            Self::Fold => CHUNKS_WAITING_MAX,
            // A walk beside a running server waits for the store, and is to be small.
            Self::HandOn => 1,
        }
    }
}

/// Reads, hashes, decodes and judges on threads of their own and hands chunks on in order. Returns what
/// all of it folds to.
pub(crate) fn judged<'a, E: From<RebuildError>>(
    partition: Partition,
    scan: Scan<'_>,
    known: &'a Heads,
    changes: Changes,
    mut each: impl FnMut(Chunk) -> Result<(), E>,
) -> Result<Judge<'a>, E> {
    std::thread::scope(|scope| {
        let waiting_max = changes.chunks_waiting_max();
        let (read_out, read_in) = sync_channel(waiting_max);
        let (judge_out, judge_in) = sync_channel(waiting_max);
        scope.spawn(move || read(scan, &read_out));
        let judge = Judge::new(known, changes);
        let judging = scope.spawn(move || judge_all(judge, partition, &read_in, &judge_out));
        for chunk in judge_in {
            each(chunk.map_err(E::from)?)?;
        }
        Ok(judging.join().expect("nothing panics while judging"))
    })
}

pub(super) type Hashed = Vec<(Entry, Hash)>;

/// Ends when the scan does, or when nobody listens any more.
fn read(scan: Scan<'_>, out: &SyncSender<Result<Hashed, RebuildError>>) {
    let mut chunk = Vec::with_capacity(CHUNK_RECORDS);
    let mut bytes = 0;
    for entry in scan {
        match entry {
            Ok(entry) => {
                let hash = Hash::of(&entry.value);
                bytes += entry.value.len();
                chunk.push((entry, hash));
            }
            Err(error) => {
                let _ = out.send(Ok(std::mem::take(&mut chunk)));
                let _ = out.send(Err(RebuildError::Log(error)));
                return;
            }
        }
        if chunk.len() == CHUNK_RECORDS || bytes >= CHUNK_BYTES {
            bytes = 0;
            let full = std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK_RECORDS));
            if out.send(Ok(full)).is_err() {
                return;
            }
        }
    }
    let _ = out.send(Ok(chunk));
}

/// Ends at the first record that cannot be read, or when nobody listens any more.
fn judge_all<'a>(
    mut judge: Judge<'a>,
    partition: Partition,
    chunks: &Receiver<Result<Hashed, RebuildError>>,
    out: &SyncSender<Result<Chunk, RebuildError>>,
) -> Judge<'a> {
    for chunk in chunks {
        let (judged, poison) = match chunk {
            Ok(chunk) => judge.judge(partition, chunk),
            Err(error) => {
                let _ = out.send(Err(error));
                break;
            }
        };
        if out.send(Ok(judged)).is_err() {
            break;
        }
        if let Some(poison) = poison {
            let _ = out.send(Err(poison.into()));
            break;
        }
    }
    judge
}

#[cfg(test)]
mod tests {
    use log::Offset;

    use super::*;

    #[test]
    fn large_records_travel_a_few_at_a_time() {
        let scan: Scan<'_> = Box::new(
            (0..5).map(|number| Ok(Entry::new(Offset(number), vec![0; CHUNK_BYTES / 2].into()))),
        );
        let (out, chunks) = sync_channel(CHUNKS_WAITING_MAX);
        read(scan, &out);
        drop(out);
        let lengths: Vec<usize> = chunks.iter().map(|chunk| chunk.unwrap().len()).collect();
        assert_eq!(lengths, [2, 2, 1]);
    }
}
