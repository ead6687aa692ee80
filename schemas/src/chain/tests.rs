use proptest::prelude::*;

use super::*;

/// A record that follows `prev`, told apart by `tag`.
fn link(prev: Head, base: Head, tag: u8, index: u32, len: u32) -> Link {
    let hash = Hash::of(&[&prev.hash.0[..], &[tag, index as u8]].concat());
    Link {
        seq: prev.seq.next(),
        prev: prev.hash,
        hash,
        base: base.seq,
        commit: Place { index, len },
        anew: false,
    }
}

fn single(prev: Head, tag: u8) -> Link {
    link(prev, prev, tag, 0, 1)
}

#[test]
fn a_hash_is_64_digits_and_nothing_else() {
    let hash = Hash::of(b"value");
    let text = hash.to_string();
    assert_eq!(text.parse(), Ok(hash));
    assert_eq!(text.to_uppercase().parse(), Ok(hash));
    for wrong in [
        format!("0x{text}"),
        format!("0x{}", &text[2..]),
        text[1..].to_owned(),
        format!("{text}0"),
        "g".repeat(64),
    ] {
        assert_eq!(wrong.parse::<Hash>(), Err(InvalidHash), "{wrong}");
    }
}

#[test]
fn a_record_that_follows_the_head_is_accepted() {
    let mut stream = Stream::at(Head::default());
    let first = single(Head::default(), 1);
    assert_eq!(stream.admit(first, "a"), Admitted::Complete(vec![(first, "a")]));
    assert_eq!(stream.head(), first.as_head());
}

#[test]
fn the_second_of_two_racing_records_is_stale_and_so_is_what_builds_on_it() {
    let mut stream = Stream::at(Head::default());
    let (winner, loser) = (single(Head::default(), 1), single(Head::default(), 2));
    let after_loser = Link { base: Seq(0), ..single(loser.as_head(), 3) };
    stream.admit(winner, ());
    assert_eq!(stream.admit(loser, ()), Admitted::Stale);
    assert_eq!(stream.admit(after_loser, ()), Admitted::Stale);
    assert_eq!(stream.head(), winner.as_head());
}

#[test]
fn a_repeated_append_is_stale() {
    let mut stream = Stream::at(Head::default());
    let first = single(Head::default(), 1);
    stream.admit(first, ());
    assert_eq!(stream.admit(first, ()), Admitted::Stale);
}

#[test]
fn a_commit_counts_only_when_it_is_complete() {
    let mut stream = Stream::at(Head::default());
    let one = link(Head::default(), Head::default(), 1, 0, 2);
    let two = link(one.as_head(), Head::default(), 1, 1, 2);
    assert_eq!(stream.admit(one, 1), Admitted::Pending);
    assert_eq!(stream.admit(one, 1), Admitted::Stale, "one of the pending ones");
    assert_eq!(stream.head(), Head::default());
    assert_eq!(stream.admit(two, 2), Admitted::Complete(vec![(one, 1), (two, 2)]));
}

#[test]
fn a_half_commit_is_dropped_when_another_begins_on_the_head() {
    let mut stream = Stream::at(Head::default());
    let half = link(Head::default(), Head::default(), 1, 0, 2);
    let rest = link(half.as_head(), Head::default(), 1, 1, 2);
    let other = single(Head::default(), 2);
    stream.admit(half, "half");
    assert_eq!(stream.admit(other, "other"), Admitted::Complete(vec![(other, "other")]));
    assert_eq!(stream.admit(rest, "rest"), Admitted::Stale, "the rest of an abandoned commit");
}

#[test]
fn a_record_decided_on_a_head_that_was_never_read_is_a_gap() {
    let mut stream = Stream::at(Head::default());
    let lost = single(Head::default(), 1);
    assert_eq!(stream.admit(single(lost.as_head(), 2), ()), Admitted::Gap);
}

#[test]
fn a_record_on_the_right_number_with_another_past_is_a_gap() {
    let mut stream = Stream::at(Head::default());
    stream.admit(single(Head::default(), 1), ());
    let changed = Head { seq: Seq(1), hash: Hash::of(b"what was there before") };
    assert_eq!(stream.admit(single(changed, 2), ()), Admitted::Gap);
}

/// What an operator appends when records before it are lost.
fn anew(seq: u64) -> Link {
    let hash = Hash::of(&[b"anew", &seq.to_be_bytes()[..]].concat());
    let commit = Place { index: 0, len: 1 };
    Link { seq: Seq(seq), prev: Hash::default(), hash, base: Seq(seq - 1), commit, anew: true }
}

#[test]
fn a_stream_that_begins_anew_goes_on_from_there_for_every_reader() {
    let first = single(Head::default(), 1);
    let lost = single(first.as_head(), 2);
    let after = single(lost.as_head(), 3);
    let mark = anew(4);
    let next = single(mark.as_head(), 5);
    for read in [vec![], vec![first], vec![first, lost]] {
        let mut stream = Stream::at(Head::default());
        for record in read.iter().chain([&after]) {
            stream.admit(*record, ());
        }
        assert_eq!(stream.admit(mark, ()), Admitted::Complete(vec![(mark, ())]));
        assert_eq!(stream.admit(next, ()), Admitted::Complete(vec![(next, ())]));
        assert_eq!(stream.admit(mark, ()), Admitted::Stale, "it came twice");
        assert_eq!(stream.head(), next.as_head());
    }
}

#[test]
fn beginning_anew_drops_a_half_commit_and_never_goes_back() {
    let mut stream = Stream::at(Head::default());
    let half = link(Head::default(), Head::default(), 1, 0, 2);
    let rest = link(half.as_head(), Head::default(), 1, 1, 2);
    stream.admit(half, ());
    assert_eq!(stream.verdict(&anew(3)), Verdict::Anew);
    stream.admit(anew(3), ());
    assert_eq!(stream.admit(rest, ()), Admitted::Stale, "the rest of an abandoned commit");
    assert_eq!(stream.admit(anew(2), ()), Admitted::Stale, "behind the head");
    let torn = Link { commit: Place { index: 0, len: 2 }, ..anew(9) };
    assert_eq!(stream.admit(torn, ()), Admitted::Stale, "a stream begins with one record");
}

/// What one writer appends: commits decided on the head it last saw, some batches of two commits.
#[derive(Clone, Debug)]
struct Move {
    lag: usize,
    lens: Vec<u32>,
    torn: usize,
    repeat: bool,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = (0..3usize, prop::collection::vec(1..4u32, 1..3), 0..6usize, any::<bool>())
        .prop_map(|(lag, lens, torn, repeat)| Move { lag, lens, torn, repeat });
    prop::collection::vec(one, 1..30)
}

/// Plays the moves against a shared log; `lag` lets a writer decide on a head that is out of date.
fn play(moves: &[Move]) -> Vec<Link> {
    let (mut log, mut heads) = (Vec::new(), vec![Head::default()]);
    let mut truth = Stream::at(Head::default());
    for (tag, made) in moves.iter().enumerate() {
        let base = heads[heads.len() - 1 - made.lag.min(heads.len() - 1)];
        let (mut tail, mut sent) = (base, Vec::new());
        for &len in &made.lens {
            for index in 0..len {
                let next = link(tail, base, tag as u8, index, len);
                tail = next.as_head();
                sent.push(next);
            }
        }
        // A torn append loses its end; a repeated one arrives twice.
        let whole = sent.len().saturating_sub(made.torn.saturating_sub(3));
        sent.truncate(whole);
        let times = if made.repeat { 2 } else { 1 };
        for record in std::iter::repeat_n(sent, times).flatten() {
            log.push(record);
            if let Admitted::Complete(_) = truth.admit(record, ()) {
                heads.push(truth.head());
            }
        }
    }
    log
}

proptest! {
    #[test]
    fn honest_writers_never_cause_a_gap_and_commits_are_never_torn(moves in moves()) {
        let mut stream = Stream::at(Head::default());
        for record in play(&moves) {
            match stream.admit(record, ()) {
                Admitted::Complete(commit) => {
                    prop_assert_eq!(commit.len(), commit[0].0.commit.len as usize);
                    prop_assert!(commit.iter().all(|(link, ())| link.commit.len == commit[0].0.commit.len));
                }
                Admitted::Gap => prop_assert!(false, "a false gap"),
                Admitted::Pending | Admitted::Stale => {}
            }
        }
    }

    #[test]
    fn a_reader_that_restarts_before_its_pending_records_ends_at_the_same_head(
        moves in moves(), stop in 0..100usize,
    ) {
        let log = play(&moves);
        let mut straight = Stream::at(Head::default());
        for (at, record) in log.iter().enumerate() {
            straight.admit(*record, at);
        }

        let stop = stop.min(log.len());
        let mut before = Stream::at(Head::default());
        for (at, record) in log[..stop].iter().enumerate() {
            before.admit(*record, at);
        }
        let position = before.first_pending().copied().unwrap_or(stop);
        let mut after = Stream::at(before.head());
        for (at, record) in log.iter().enumerate().skip(position) {
            prop_assert_ne!(after.admit(*record, at), Admitted::Gap);
        }
        prop_assert_eq!(after.head(), straight.head());
    }

    #[test]
    fn what_is_stale_once_is_stale_for_ever(moves in moves()) {
        let log = play(&moves);
        let mut stream = Stream::at(Head::default());
        let mut stale = Vec::new();
        for record in &log {
            // A repeat of a pending record is stale for what it repeats: that one has not lost yet.
            let repeated = stream.pending.iter().any(|(pending, ())| pending.hash == record.hash);
            if stream.admit(*record, ()) == Admitted::Stale && !repeated {
                stale.push(*record);
            }
        }
        for record in stale {
            prop_assert_eq!(stream.verdict(&record), Verdict::Stale);
        }
    }
}
