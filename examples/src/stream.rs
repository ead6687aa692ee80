//! Which records of a stream count.

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The version of records that this program understands. Whoever meets another one must stop.
const VERSION: u32 = 1;

/// The hash that the first record of a stream names.
const BEFORE_THE_FIRST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What a reader needs of a record.
#[derive(Clone, Debug, Deserialize)]
pub struct Record {
    v: u32,
    /// Whose stream it is in.
    pub directory_id: String,
    /// What happened.
    pub event: String,
    /// To whom.
    pub data: Value,
    seq: u64,
    prev: String,
    base: u64,
    commit: Commit,
    /// An operator has said that the stream goes on with this record, whatever was lost before it.
    #[serde(default)]
    anew: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Commit {
    index: usize,
    len: usize,
}

/// The last record that counted.
#[derive(Clone, Debug)]
struct Head {
    seq: u64,
    hash: String,
}

/// The stream of one directory as it is read.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Before which record others are missing. None counts then, until the stream begins anew.
    missing: Option<u64>,
    head: Head,
    /// The records of a commit that is not complete yet, each with the head that it would be.
    pending: Vec<(Head, Record)>,
}

impl Default for Stream {
    fn default() -> Self {
        let head = Head { seq: 0, hash: BEFORE_THE_FIRST.to_owned() };
        Self { missing: None, head, pending: Vec::new() }
    }
}

impl Record {
    /// Reads the value of a Kafka record.
    ///
    /// # Errors
    ///
    /// If it is not one, or one of a later version.
    pub fn read(value: &[u8]) -> anyhow::Result<Self> {
        let record: Self = serde_json::from_slice(value)?;
        anyhow::ensure!(record.v == VERSION, "this is a record of version {}", record.v);
        Ok(record)
    }
}

impl Stream {
    /// Takes in the next record of the topic, and answers with what counts from now on: all records of a commit, or
    /// none. A record counts if its `prev` is the hash of the last one that counts; any other is stale, for ever.
    /// Where records are missing, nothing counts until an operator lets the stream begin anew; see [`Self::is_whole`].
    pub fn take(&mut self, value: &[u8], record: Record) -> Vec<Record> {
        if self.missing.is_some() && !record.anew {
            return Vec::new();
        }
        let head = Head { seq: record.seq, hash: hex::encode(Sha256::digest(value)) };
        let follows = |last: &Head| record.seq == last.seq + 1 && record.prev == last.hash;
        let tail = self.pending.last().map_or(&self.head, |(head, _)| head);
        if record.anew {
            if record.seq <= self.head.seq {
                return Vec::new();
            }
            self.missing = None;
            self.pending = vec![(head, record)];
        } else if follows(tail) && record.commit.index == self.pending.len() {
            self.pending.push((head, record));
        } else if self.pending.iter().any(|(pending, _)| pending.hash == head.hash) {
            return Vec::new();
        } else if follows(&self.head) && record.commit.index == 0 {
            self.pending = vec![(head, record)];
        } else {
            let is_next = record.base == self.head.seq && record.seq == record.base + 1;
            let is_gap = record.base > self.head.seq || is_next && record.prev != self.head.hash;
            self.missing = is_gap.then_some(record.seq);
            return Vec::new();
        }
        match self.pending.last() {
            Some((last, record)) if self.pending.len() == record.commit.len => {
                self.head = last.clone();
                self.pending.drain(..).map(|(_, record)| record).collect()
            }
            Some(_) | None => Vec::new(),
        }
    }

    /// Whether nothing is missing.
    ///
    /// # Errors
    ///
    /// If it is, with the place.
    pub fn is_whole(&self) -> anyhow::Result<()> {
        match self.missing {
            Some(seq) => anyhow::bail!("a record before seq {seq} is missing"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A record, and its hash.
    fn record(seq: u64, prev: &str, index: usize, len: usize, name: &str) -> (Vec<u8>, String) {
        let value = json!({
            "v": 1, "directory_id": "d", "event": name, "data": {}, "seq": seq, "prev": prev, "base": seq - 1,
            "commit": { "index": index, "len": len }
        });
        let value = value.to_string().into_bytes();
        let hash = hex::encode(Sha256::digest(&value));
        (value, hash)
    }

    fn take(stream: &mut Stream, (value, _): &(Vec<u8>, String)) -> Vec<String> {
        let counted = stream.take(value, Record::read(value).unwrap());
        counted.into_iter().map(|record| record.event).collect()
    }

    #[test]
    fn of_two_records_that_follow_the_same_one_the_first_counts() {
        let mut stream = Stream::default();
        let first = record(1, BEFORE_THE_FIRST, 0, 1, "first");
        let rival = record(1, BEFORE_THE_FIRST, 0, 1, "rival");
        assert_eq!(take(&mut stream, &first), ["first"]);
        // It has the number of the next one, and another past.
        let built_on_rival = record(2, &rival.1, 0, 1, "built on the rival");
        let late = Record { base: 0, ..Record::read(&built_on_rival.0).unwrap() };
        assert!(stream.take(&built_on_rival.0, late).is_empty());
        assert_eq!(take(&mut stream, &record(2, &first.1, 0, 1, "second")), ["second"]);
        assert_eq!(take(&mut stream, &first), [""; 0], "a copy");
    }

    #[test]
    fn a_commit_counts_when_all_of_it_is_there() {
        let mut stream = Stream::default();
        let torn = record(1, BEFORE_THE_FIRST, 0, 2, "torn");
        assert_eq!(take(&mut stream, &torn), [""; 0]);
        assert_eq!(take(&mut stream, &torn), [""; 0], "a copy");
        let first = record(1, BEFORE_THE_FIRST, 0, 2, "first");
        assert_eq!(take(&mut stream, &first), [""; 0], "the torn one is dropped");
        assert_eq!(take(&mut stream, &record(2, &first.1, 1, 2, "second")), ["first", "second"]);
    }

    #[test]
    fn a_record_that_begins_the_stream_anew_counts_whatever_was_read_before() {
        let mut stream = Stream::default();
        let first = record(1, BEFORE_THE_FIRST, 0, 1, "first");
        assert_eq!(take(&mut stream, &first), ["first"]);
        let lost = record(6, BEFORE_THE_FIRST, 0, 1, "built on what is lost");
        assert_eq!(take(&mut stream, &lost), [""; 0]);
        let value = json!({
            "v": 1, "directory_id": "d", "event": "anew", "data": {}, "seq": 7, "prev": BEFORE_THE_FIRST, "base": 6,
            "commit": { "index": 0, "len": 1 }, "anew": true
        });
        let value = value.to_string().into_bytes();
        let anew = (value.clone(), hex::encode(Sha256::digest(&value)));
        assert_eq!(take(&mut stream, &anew), ["anew"]);
        assert_eq!(take(&mut stream, &record(8, &anew.1, 0, 1, "next")), ["next"]);
        assert!(stream.is_whole().is_ok());
        assert_eq!(take(&mut stream, &anew), [""; 0], "a copy");
    }

    #[test]
    fn a_record_that_follows_what_was_never_there_is_an_error() {
        let mut stream = Stream::default();
        let third = record(3, BEFORE_THE_FIRST, 0, 1, "third");
        assert_eq!(take(&mut stream, &third), [""; 0]);
        assert_eq!(take(&mut stream, &record(1, BEFORE_THE_FIRST, 0, 1, "first")), [""; 0]);
        let error = stream.is_whole().unwrap_err();
        assert_eq!(error.to_string(), "a record before seq 3 is missing");
    }
}
