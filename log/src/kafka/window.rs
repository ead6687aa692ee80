//! What was fetched of a partition and waits to be read, and what is known of its tail.
//!
//! ```text
//!   log      0 ─────────────────────────────────────────────▶ tail
//!   window              begin ▓▓▓▓▓▓▓▓▓▓▓▓▓ end ·····▶ being fetched
//!                       ^ what was read is let go
//! ```

use std::collections::VecDeque;

use crate::contract::{Entry, Offset, Partition, ReadError, ReadLimit};

/// How much of a partition may wait to be read. Then nothing more is fetched until some of it was.
const BYTES_MAX: usize = 16 << 20;

/// When so little is left, fetching goes on.
const BYTES_LOW: usize = 8 << 20;

#[derive(Debug)]
pub(super) struct Window {
    partition: Partition,
    /// None until somebody has asked for a place.
    place: Option<Place>,
    /// The tail as far as it is known. Nothing of what lies before it is unwritten.
    tail: Option<Offset>,
    /// Where to begin fetching anew.
    wanted: Option<Offset>,
    /// Records are gone that a reader stands at: nothing is read any more.
    lost: Option<(Offset, Offset, Offset)>,
}

#[derive(Debug)]
struct Place {
    begin: Offset,
    end: Offset,
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Fetching rests, because enough waits to be read.
    rests: bool,
    /// Between the end and this offset nothing came once already.
    hole: Option<Offset>,
}

/// What a reader finds.
#[derive(Debug)]
pub(super) enum Found {
    Entries(Vec<Entry>),
    /// Nothing is written there yet, as far as is known.
    Tail,
    /// It is on its way.
    Coming,
    /// Nobody fetches there: somebody must look at what there is and ask for it.
    Elsewhere,
}

/// What became of a fetched record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is there to be read.
    Yes,
    /// And enough is, so that fetching is to rest.
    Full,
    /// It belongs to a place where fetching no longer is.
    No,
    /// Something is missing before it: fetch once more from the end.
    Hole,
}

impl Window {
    pub(super) const fn new(partition: Partition) -> Self {
        Self { partition, place: None, tail: None, wanted: None, lost: None }
    }

    /// What is there from an offset on: all that the limit allows, as far as it lies before `goal`, or nothing yet. Lets
    /// go of what lies before the offset.
    pub(super) fn read(
        &mut self,
        from: Offset,
        limit: ReadLimit,
        goal: Option<Offset>,
    ) -> Result<Found, ReadError> {
        if let Some(lost) = self.lost_error() {
            return Err(lost);
        }
        let tail = self.tail;
        let Some(place) = self.place.as_mut().filter(|place| place.holds(from)) else {
            return Ok(if self.wanted == Some(from) { Found::Coming } else { Found::Elsewhere });
        };
        place.let_go_before(from);
        let (entries, is_cut) = place.entries(limit);
        let is_all = is_cut || place.rests || goal.is_none_or(|goal| goal <= place.end);
        Ok(match (entries.is_empty(), tail) {
            (false, _) if is_all => Found::Entries(entries),
            (false, _) => Found::Coming,
            (true, Some(tail)) if tail <= place.end => Found::Tail,
            (true, Some(_)) => Found::Coming,
            (true, None) => Found::Elsewhere,
        })
    }

    /// Whether something is written at or beyond an offset.
    pub(super) fn is_past(&self, offset: Offset) -> Result<bool, ReadError> {
        match self.lost_error() {
            Some(lost) => Err(lost),
            None => Ok(self.tail.is_some_and(|tail| tail > self.nothing_before(offset))),
        }
    }

    /// Where the next record may be, seen from an offset: there, unless it was found out that it is not.
    fn nothing_before(&self, offset: Offset) -> Offset {
        let place = self.place.as_ref().filter(|place| place.holds(offset));
        let place =
            place.filter(|place| place.entries.back().is_none_or(|last| last.offset < offset));
        place.map_or(offset, |place| place.end)
    }

    /// What is known to be written and did not arrive yet, where fetching goes on.
    pub(super) fn awaited(&self) -> Option<(Offset, Offset)> {
        let place = self.place.as_ref().filter(|place| !place.rests && self.wanted.is_none())?;
        Some((place.end, self.tail?)).filter(|(end, tail)| end < tail)
    }

    /// There is nothing to read from here to there. What was fetched meanwhile knows better.
    pub(super) fn pass_over(&mut self, from: Offset, to: Offset) {
        if let Some(place) = self.place.as_mut().filter(|place| place.end == from) {
            place.end = to;
            self.reaches(to);
        }
    }

    /// Sees to it that a record at this offset is noticed when it comes. Says whether that takes the follower.
    pub(super) fn watch(&mut self, offset: Offset) -> bool {
        let watched = self.wanted.is_some()
            || self.place.as_ref().is_some_and(|place| place.begin <= offset && !place.rests);
        if !watched {
            self.wanted = Some(offset);
        }
        !watched
    }

    /// Asks for fetching to begin here.
    pub(super) fn want(&mut self, from: Offset) {
        self.wanted = Some(from);
    }

    /// Moves to where fetching was asked to begin, if it was.
    pub(super) fn move_to_wanted(&mut self) -> Option<Offset> {
        let from = self.wanted.take()?;
        match self.place.as_mut().filter(|place| place.end == from) {
            // What waits to be read goes on where fetching begins.
            Some(place) => place.rests = false,
            None => self.place = Some(Place::at(from)),
        }
        Some(from)
    }

    /// Takes a fetched record in.
    pub(super) fn take(&mut self, entry: Entry) -> Taken {
        let Some(place) = self.place.as_mut().filter(|_| self.wanted.is_none()) else {
            return Taken::No;
        };
        if entry.offset < place.end {
            return Taken::No;
        }
        // Kafka leaves out offsets where there was a transaction of somebody's. Anything else that seems to be missing
        // is there when it is asked for again.
        if entry.offset > place.end && place.hole != Some(entry.offset) {
            place.hole = Some(entry.offset);
            self.wanted = Some(place.end);
            return Taken::Hole;
        }
        place.end = entry.offset.next();
        place.bytes += entry.value.len();
        place.entries.push_back(entry);
        let end = place.end;
        let is_full = place.bytes >= BYTES_MAX && !place.rests;
        place.rests |= is_full;
        self.reaches(end);
        if is_full { Taken::Full } else { Taken::Yes }
    }

    /// Asks for fetching to go on where it rested, if it has rested long enough. It begins anew there: a partition that
    /// librdkafka only resumes is not looked at before the second is over.
    pub(super) fn go_on(&mut self) {
        if self.wanted.is_none() && self.is_low() {
            self.wanted = self.end();
        }
    }

    /// Whether fetching rests with little left to read.
    pub(super) fn is_low(&self) -> bool {
        self.place.as_ref().is_some_and(|place| place.rests && place.bytes <= BYTES_LOW)
    }

    /// Where reading stands while fetching rests.
    pub(super) fn rests_at(&self) -> Option<Offset> {
        let place = self.place.as_ref().filter(|place| place.rests && self.wanted.is_none());
        place.map(|place| place.begin)
    }

    /// Lets go of everything that waits to be read. Whoever reads it after all finds that it is elsewhere.
    pub(super) fn leave(&mut self) {
        (self.place, self.wanted) = (None, None);
    }

    /// Something is known to be written up to here.
    pub(super) fn reaches(&mut self, tail: Offset) {
        self.tail = self.tail.max(Some(tail));
    }

    /// The tail as far as it is known.
    pub(super) const fn tail(&self) -> Option<Offset> {
        self.tail
    }

    /// The place that fetching has come to.
    pub(super) fn end(&self) -> Option<Offset> {
        self.place.as_ref().map(|place| place.end)
    }

    /// Takes in what the broker holds, where `known` was the tail before it was asked.
    ///
    /// # Errors
    ///
    /// If records are gone: those before `begin`, of which `from` is one, or those between `tail` and `known`.
    pub(super) fn look(
        &mut self,
        from: Offset,
        (begin, tail): (Offset, Offset),
        known: Option<Offset>,
    ) -> Result<(), ReadError> {
        if is_whole(from, (begin, tail), known) {
            self.lost = None;
        } else {
            self.lose(from, begin, tail);
        }
        self.reaches(tail);
        self.lost_error().map_or(Ok(()), Err)
    }

    /// Notes that a reader stands where nothing is any more.
    pub(super) fn lose(&mut self, at: Offset, begin: Offset, tail: Offset) {
        self.lost = Some((at, begin, tail));
    }

    /// Whether nothing is read any more, because records are gone.
    pub(super) const fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    fn lost_error(&self) -> Option<ReadError> {
        let (offset, begin, tail) = self.lost?;
        Some(ReadError::Lost { partition: self.partition, offset, begin, tail })
    }
}

/// Whether what a broker holds reaches from where a reader stands to where the tail is known to have been.
pub(super) fn is_whole(from: Offset, held: (Offset, Offset), known: Option<Offset>) -> bool {
    let (begin, tail) = held;
    from >= begin && Some(tail) >= known
}

impl Place {
    const fn at(from: Offset) -> Self {
        Self {
            begin: from,
            end: from,
            entries: VecDeque::new(),
            bytes: 0,
            rests: false,
            hole: None,
        }
    }

    fn holds(&self, offset: Offset) -> bool {
        (self.begin..=self.end).contains(&offset)
    }

    fn let_go_before(&mut self, from: Offset) {
        while self.entries.front().is_some_and(|first| first.offset < from) {
            self.bytes -= self.entries.pop_front().map_or(0, |first| first.value.len());
        }
        self.begin = self.begin.max(from);
    }

    /// What the limit allows, and whether it was the limit that ended it.
    fn entries(&self, limit: ReadLimit) -> (Vec<Entry>, bool) {
        let (mut found, mut bytes) = (Vec::new(), 0);
        for entry in &self.entries {
            bytes += entry.value.len();
            if found.len() == limit.records.get() || bytes > limit.bytes.get() && !found.is_empty()
            {
                return (found, true);
            }
            found.push(entry.clone());
        }
        let is_full = found.len() == limit.records.get() || bytes >= limit.bytes.get();
        (found, is_full)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use bytes::Bytes;

    use super::*;

    const LIMIT: ReadLimit =
        ReadLimit { records: NonZeroUsize::new(10).expect("not zero"), bytes: NonZeroUsize::MAX };

    fn at(from: u64) -> Window {
        let mut window = Window::new(Partition(0));
        window.want(Offset(from));
        assert_eq!(window.move_to_wanted(), Some(Offset(from)));
        window
    }

    fn entry(offset: u64, bytes: usize) -> Entry {
        Entry::new(Offset(offset), Bytes::from(vec![b'x'; bytes]))
    }

    fn offsets(window: &mut Window, from: u64) -> Vec<u64> {
        match window.read(Offset(from), LIMIT, None) {
            Ok(Found::Entries(entries)) => entries.iter().map(|entry| entry.offset.0).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_fetched_is_read_in_order_and_read_again_from_where_it_was() {
        let mut window = at(5);
        for offset in 5..8 {
            assert_eq!(window.take(entry(offset, 1)), Taken::Yes);
        }
        assert_eq!(offsets(&mut window, 5), [5, 6, 7]);
        assert_eq!(offsets(&mut window, 6), [6, 7]);
        assert_eq!(offsets(&mut window, 6), [6, 7]);
        assert!(matches!(window.read(Offset(8), LIMIT, None), Ok(Found::Tail)));
        assert!(matches!(window.read(Offset(5), LIMIT, None), Ok(Found::Elsewhere)));
    }

    #[test]
    fn what_is_known_to_be_written_is_coming_and_never_the_tail() {
        let mut window = at(5);
        assert!(
            matches!(window.read(Offset(5), LIMIT, None), Ok(Found::Elsewhere)),
            "nothing is known"
        );
        window.reaches(Offset(6));
        assert!(matches!(window.read(Offset(5), LIMIT, None), Ok(Found::Coming)));
        assert!(window.is_past(Offset(5)).is_ok_and(|past| past));
        assert!(window.is_past(Offset(6)).is_ok_and(|past| !past));
    }

    #[test]
    fn what_is_known_to_be_written_is_read_together() {
        let mut window = at(0);
        window.reaches(Offset(3));
        window.take(entry(0, 1));
        window.take(entry(1, 1));
        let goal = window.tail();
        assert!(matches!(window.read(Offset(0), LIMIT, goal), Ok(Found::Coming)));
        let two = ReadLimit { records: NonZeroUsize::new(2).expect("not zero"), ..LIMIT };
        assert!(matches!(window.read(Offset(0), two, goal), Ok(Found::Entries(_))));
        window.take(entry(2, 1));
        assert!(matches!(window.read(Offset(0), LIMIT, goal), Ok(Found::Entries(_))));
    }

    #[test]
    fn a_record_of_a_place_that_was_left_is_not_taken() {
        let mut window = at(500);
        window.take(entry(500, 1));
        window.want(Offset(0));
        assert_eq!(window.take(entry(501, 1)), Taken::No, "fetching is to move");
        assert_eq!(window.move_to_wanted(), Some(Offset(0)));
        assert_eq!(window.take(entry(502, 1)), Taken::Hole, "it does not follow");
        assert_eq!(window.move_to_wanted(), Some(Offset(0)));
        assert_eq!(window.take(entry(0, 1)), Taken::Yes);
    }

    #[test]
    fn offsets_that_are_left_out_twice_are_not_there() {
        let mut window = at(0);
        window.take(entry(0, 1));
        assert_eq!(window.take(entry(3, 1)), Taken::Hole);
        assert_eq!(window.move_to_wanted(), Some(Offset(1)));
        assert_eq!(window.take(entry(3, 1)), Taken::Yes);
        assert_eq!(offsets(&mut window, 0), [0, 3]);
    }

    #[test]
    fn what_cannot_be_read_at_the_tail_is_passed_over_and_what_comes_behind_it_is_not() {
        let mut window = at(0);
        window.take(entry(0, 1));
        window.reaches(Offset(3));
        assert_eq!(window.awaited(), Some((Offset(1), Offset(3))));
        let goal = window.tail();
        assert!(matches!(window.read(Offset(0), LIMIT, goal), Ok(Found::Coming)));
        window.pass_over(Offset(0), Offset(3));
        assert_eq!(window.end(), Some(Offset(1)), "fetching has come further meanwhile");
        window.pass_over(Offset(1), Offset(3));
        assert_eq!(offsets(&mut window, 0), [0]);
        assert!(matches!(window.read(Offset(1), LIMIT, goal), Ok(Found::Tail)));
        assert!(window.is_past(Offset(1)).is_ok_and(|past| !past), "there is nothing to wake for");
        assert_eq!(window.awaited(), None);

        window.reaches(Offset(4));
        assert!(window.is_past(Offset(1)).is_ok_and(|past| past));
        assert!(matches!(window.read(Offset(1), LIMIT, None), Ok(Found::Coming)));
        assert_eq!(window.take(entry(3, 1)), Taken::Yes);
        assert_eq!(offsets(&mut window, 1), [3]);
    }

    #[test]
    fn fetching_rests_while_enough_waits_and_goes_on_when_it_was_read() {
        let mut window = at(0);
        let mut next = 0;
        while window.take(entry(next, 1 << 20)) == Taken::Yes {
            next += 1;
        }
        assert_eq!(next, 15, "sixteen MiB are enough");
        window.go_on();
        assert_eq!(window.move_to_wanted(), None, "enough waits to be read");
        assert_eq!(offsets(&mut window, 8), [8, 9, 10, 11, 12, 13, 14, 15]);
        assert!(window.is_low());
        window.go_on();
        assert_eq!(window.move_to_wanted(), Some(Offset(16)));
        assert_eq!(window.take(entry(16, 1)), Taken::Yes);
        assert_eq!(offsets(&mut window, 15), [15, 16]);
    }

    #[test]
    fn a_place_that_was_left_keeps_nothing_and_is_found_again() {
        let mut window = at(0);
        window.take(entry(0, 1));
        assert_eq!(window.rests_at(), None, "fetching goes on");
        window.take(entry(1, BYTES_MAX));
        assert_eq!(window.rests_at(), Some(Offset(0)));
        window.leave();
        assert_eq!(window.take(entry(2, 1)), Taken::No);
        assert!(matches!(window.read(Offset(1), LIMIT, None), Ok(Found::Elsewhere)));
        assert!(window.watch(Offset(2)), "it takes the follower to notice what comes");
        assert_eq!(window.move_to_wanted(), Some(Offset(2)));
        assert_eq!(window.take(entry(2, 1)), Taken::Yes);
    }

    #[test]
    fn records_that_are_gone_end_all_reading() {
        let mut window = at(5);
        let look = window.look(Offset(5), (Offset(7), Offset(9)), None);
        assert!(matches!(look, Err(ReadError::Lost { .. })));
        assert!(window.read(Offset(8), LIMIT, None).is_err() && window.is_past(Offset(0)).is_err());

        let mut window = at(5);
        let look = window.look(Offset(5), (Offset(0), Offset(9)), Some(Offset(10)));
        assert!(matches!(look, Err(ReadError::Lost { .. })), "it ended behind this");
        assert!(window.is_lost());
        let look = window.look(Offset(5), (Offset(0), Offset(10)), Some(Offset(10)));
        assert!(look.is_ok() && !window.is_lost(), "it is back");
    }
}
