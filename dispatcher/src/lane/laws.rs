//! The laws of a lane, tried on made-up feeds, endpoints that fail at random, answers in any order
//! and crashes at any point.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use schemas::EventType;

use super::parking::LOADED_MAX;
use super::tests::{endpoint, event};
use super::*;
use crate::Failure;
use crate::ports::{FeedEvent, Flush, Outcome};
use crate::schedule::Next;

/// What the world does next; the numbers choose among what is possible.
#[derive(Clone, Debug)]
enum Step {
    /// One of the requests in flight ends; the second number says how.
    Complete(usize, u8),
    /// One of the reads or the flush is answered.
    Answer(usize),
    /// Time passes.
    Wait(u32),
    /// Events are accepted.
    Grow(u8),
    /// The process dies and starts from what was flushed.
    Crash,
    /// What is held is released.
    Release,
    /// One of the requests in flight takes long.
    Linger(usize),
    /// So many requests of each pool are this lane's share from now on.
    Share(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (any::<usize>(), any::<u8>()).prop_map(|(which, how)| Step::Complete(which, how)),
        10 => any::<usize>().prop_map(Step::Answer),
        4 => (1_u32..20_000).prop_map(Step::Wait),
        1 => (0_u32..40_000_000).prop_map(Step::Wait),
        2 => (1_u8..20).prop_map(Step::Grow),
        1 => Just(Step::Crash),
        1 => Just(Step::Release),
        1 => any::<usize>().prop_map(Step::Linger),
        1 => (1_usize..6).prop_map(Step::Share),
    ];
    prop::collection::vec(step, 1..400)
}

fn feed() -> impl Strategy<Value = Vec<FeedEvent>> {
    let one = (0_u8..4, 0_u128..3, 0_u128..2, any::<bool>());
    prop::collection::vec(one, 1..120).prop_map(|choices| {
        let mut position = 0;
        let each = choices.into_iter().map(|(kind, user, group, skips)| {
            position += if skips { 2 } else { 1 };
            let user = (kind != 1 && kind != 3).then_some(user);
            let group = (kind == 1 || kind == 2).then_some(group);
            let mut event = event(position, user, group);
            // Some events are of a type that no endpoint gets.
            if position % 7 == 0 && kind == 3 {
                event.topic = Topic::Directory(EventType::TokenCreated);
            }
            event
        });
        each.collect()
    })
}

/// Gives some events a hold, as a brake does: from one of them on what it is about is held, and what
/// touches that; later a second one, which takes in what the first had.
fn hold(feed: &mut [FeedEvent], removals: &[bool], second: usize) {
    let mut held = BTreeSet::new();
    let mut hold = None;
    for (number, event) in feed.iter_mut().enumerate() {
        let subjects: Vec<_> = event.user.into_iter().chain(event.group).collect();
        let is_removal =
            removals.get(number).is_some_and(|removal| *removal && !subjects.is_empty());
        if is_removal && (hold.is_none() || number == second) {
            hold = Some(event.position);
        }
        let is_behind = subjects.iter().any(|subject| held.contains(subject));
        if hold.is_some() && (is_removal || is_behind) {
            event.held = hold;
            held.extend(subjects);
        }
    }
}

fn held_feed() -> impl Strategy<Value = Vec<FeedEvent>> {
    let removals = prop::collection::vec(prop::bool::weighted(0.2), 1..120);
    (feed(), removals, 0_usize..120).prop_map(|(mut feed, removals, second)| {
        hold(&mut feed, &removals, second);
        feed
    })
}

fn stands_in(event: &FeedEvent, line: Line, order: Order) -> bool {
    match line {
        Line::Held(_) => event.held.is_some(),
        Line::HeldStream(_) => true,
        Line::User(_) | Line::Group(_) | Line::Directory(_) | Line::Stream(_) | Line::Event(_) => {
            lines_of(event, order).iter().any(|own| own == line)
        }
    }
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![3 => Just(Order::Resource), 1 => Just(Order::Directory), 1 => Just(Order::None)]
}

fn lane(order: Order, replay: Option<&Replay>, state: LaneState) -> Lane {
    let endpoint = endpoint(order);
    match replay {
        None => Lane::new(&endpoint, state, Schedule::default()),
        Some(replay) => Lane::replaying(replay, &endpoint, state, Schedule::default()),
    }
}

fn is_wanted(event: &FeedEvent) -> bool {
    match event.topic {
        Topic::Directory(kind) => kind.is_subscribable(),
        Topic::Operational(_) => false,
    }
}

/// The store, the endpoint and the clock around a lane.
struct World {
    order: Order,
    replay: Option<Replay>,
    feed: Vec<FeedEvent>,
    accepted: usize,
    now: Timestamp,
    lane: Lane,
    stored: LaneState,
    in_flight: Vec<Send>,
    /// Of each event that has failed, the number of its next attempt and when it is due.
    due: BTreeMap<FeedPosition, (u16, Timestamp)>,
    /// What is in flight before its time.
    early: BTreeSet<FeedPosition>,
    pending: Vec<Action>,
    /// Delivered or exhausted.
    settled: BTreeSet<FeedPosition>,
    /// The same, and written.
    written: BTreeSet<FeedPosition>,
    /// Whether it was written that a replay has ended.
    is_finished: bool,
    /// The last event that has a hold which is released.
    released: FeedPosition,
    /// How many requests of each pool are the lane's share.
    share: usize,
}

impl World {
    fn new(order: Order, feed: Vec<FeedEvent>, replay: Option<Replay>) -> Self {
        let mut world = Self {
            order,
            accepted: if replay.is_some() { feed.len() } else { feed.len() / 2 },
            lane: lane(order, replay.as_ref(), LaneState::default()),
            replay,
            feed,
            now: Timestamp::from_millis(1_000_000),
            stored: LaneState::default(),
            in_flight: Vec::new(),
            due: BTreeMap::new(),
            early: BTreeSet::new(),
            pending: Vec::new(),
            settled: BTreeSet::new(),
            written: BTreeSet::new(),
            is_finished: false,
            released: FeedPosition(0),
            share: crate::circuit::IN_FLIGHT_MAX,
        };
        world.input(Input::Tick);
        world
    }

    fn input(&mut self, input: Input) {
        let mut actions = Vec::new();
        self.lane.step(input, self.now, 0.5, &mut actions);
        for action in actions {
            match action {
                Action::Send(send) => self.begin(send),
                Action::Disable(_) => {}
                Action::ReadFeed { .. } | Action::ReadLine(_) | Action::Flush(_) => {
                    self.pending.push(action);
                }
            }
        }
        self.bounds_hold();
    }

    fn begin(&mut self, send: Send) {
        let lines = lines_of(&send.event, self.order);
        assert!(!self.written.contains(&send.event.position), "sent again, though it is done");
        let is_held = send.event.held.is_some_and(|hold| hold > self.released);
        assert!(self.replay.is_some() || !is_held, "{:?} is held", send.event.position);
        for other in &self.in_flight {
            assert_ne!(other.event.position, send.event.position, "sent twice at a time");
            let others = lines_of(&other.event, self.order);
            let shared = lines.iter().any(|line| others.iter().any(|other| other == line));
            assert!(!shared, "two of a line in flight");
        }
        let beside = self.in_flight.iter().filter(|other| other.pool == send.pool).count();
        assert!(beside < self.share, "more than its share of {:?}", send.pool);
        self.attempts_count_in_time(&send);
        self.in_flight.push(send);
    }

    /// The law of patience: an attempt before its time has the number of the one to come.
    fn attempts_count_in_time(&mut self, send: &Send) {
        let position = send.event.position;
        let (next, due) = self.due.get(&position).copied().unwrap_or((1, self.now));
        assert!(send.attempt <= next, "{position:?}: an attempt counted before its time");
        // A crash may have taken some back, and one that met an open circuit does not count.
        let is_early = send.attempt == next && self.now < due;
        self.early.remove(&position);
        self.early.extend(is_early.then_some(position));
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Complete(which, how) => self.complete(*which, *how),
            Step::Answer(which) => drop(self.answer(*which)),
            Step::Wait(millis) => {
                self.now = self.now.after(Duration::from_millis((*millis).into()));
                self.input(Input::Tick);
            }
            Step::Grow(more) => {
                self.accepted = self.feed.len().min(self.accepted + usize::from(*more));
            }
            Step::Crash => self.crash(),
            Step::Release => self.release(),
            Step::Linger(which) => {
                let count = self.in_flight.len();
                let lingers = which.checked_rem(count).and_then(|which| self.in_flight.get(which));
                if let Some(position) = lingers.map(|send| send.event.position) {
                    self.input(Input::Slow(position));
                }
            }
            Step::Share(share) => {
                self.share = *share;
                self.lane.share(PerPool::of(|_| *share));
            }
        }
    }

    fn complete(&mut self, which: usize, how: u8) {
        if self.in_flight.is_empty() {
            return;
        }
        let send = self.in_flight.swap_remove(which % self.in_flight.len());
        let failure = match how {
            0..=120 => None,
            121..=170 => Some(Failure::Timeout),
            171..=210 => Some(Failure::Status(503)),
            211..=255 => Some(Failure::Status(422)),
        };
        let outcome = failure.map_or(Outcome::Delivered { status: Some(204) }, Outcome::Failed);
        let position = send.event.position;
        let is_early = self.early.remove(&position);
        match failure.map(|f| Schedule::default().next(f, send.attempt, None, self.now, 0.5)) {
            None => self.settle(&send),
            Some(_) if is_early => {}
            Some(Next::Exhausted) => {
                self.settled.insert(position);
            }
            Some(Next::Retry(due)) => {
                self.due.insert(position, (send.attempt + 1, due));
            }
            Some(Next::Gone) => {}
        }
        let duration = Duration::from_millis(1);
        let at = self.now;
        self.input(Input::Completed(Completed {
            position,
            at,
            duration,
            outcome,
            retry_after: None,
            excerpt: None,
        }));
    }

    /// The law of order.
    fn settle(&mut self, send: &Send) {
        if !self.settled.insert(send.event.position) {
            return;
        }
        let lines = lines_of(&send.event, self.order);
        for earlier in self.feed.iter().filter(|e| e.position < send.event.position) {
            let shares = lines_of(earlier, self.order)
                .iter()
                .any(|line| lines.iter().any(|other| other == line));
            if shares && is_wanted(earlier) {
                assert!(
                    self.settled.contains(&earlier.position),
                    "{:?} before {:?}",
                    send.event.position,
                    earlier.position
                );
            }
        }
    }

    fn answer(&mut self, which: usize) -> bool {
        if self.pending.is_empty() {
            return false;
        }
        let index = which % self.pending.len();
        match self.pending.remove(index) {
            Action::ReadFeed { after, up_to, limit } => {
                let accepted = &self.feed[..self.accepted];
                let end = up_to.unwrap_or(FeedPosition(u64::MAX));
                let events = accepted.iter().filter(|e| e.position > after && e.position <= end);
                let events: Vec<_> = events.take(limit.min(40)).cloned().collect();
                if up_to.is_some() && events.len() < limit.min(40) {
                    self.input(Input::FedLast(events));
                    return true;
                }
                if events.is_empty() {
                    self.pending.insert(index, Action::ReadFeed { after, up_to, limit });
                    return false;
                }
                self.input(Input::Fed(events));
            }
            Action::ReadLine(read) => {
                let page = self.page(read);
                self.input(Input::LineRead(read, page));
            }
            Action::Flush(flush) => {
                self.write(flush);
                self.input(Input::Flushed);
            }
            Action::Send(_) | Action::Disable(_) => {}
        }
        true
    }

    fn page(&self, read: LineRead) -> Vec<FeedEvent> {
        let accepted = &self.feed[..self.accepted];
        let range = accepted
            .iter()
            .filter(|event| event.position > read.after() && event.position <= read.up_to());
        let stands = |event: &&FeedEvent| stands_in(event, read.line(), self.order);
        range.filter(stands).take(LineRead::LIMIT).cloned().collect()
    }

    fn write(&mut self, flush: Flush) {
        assert!(flush.cursor >= self.stored.cursor, "the cursor went back");
        assert!(flush.blocked.iter().all(|row| row.from <= flush.cursor), "a row past the cursor");
        let mut rows: BTreeMap<Line, _> =
            self.stored.blocked.iter().map(|row| (row.line, *row)).collect();
        rows.retain(|line, _| !flush.unblocked.contains(line));
        rows.extend(flush.blocked.iter().map(|row| (row.line, *row)));
        let is_done = |attempt: &&Attempt| match attempt.outcome {
            Outcome::Delivered { .. } => true,
            Outcome::Failed(_) => attempt.exhausted,
        };
        self.written.extend(flush.attempts.iter().filter(is_done).map(|done| done.position));
        assert!(flush.done.len() <= 2 * WINDOW_MAX, "too much is done beyond the cursor");
        self.stored = LaneState {
            cursor: flush.cursor,
            done: flush.done,
            blocked: rows.into_values().collect(),
            failing_since: flush.failing_since,
            is_told: flush.is_told,
        };
        self.is_finished |= flush.is_finished;
        self.nothing_is_passed_over();
    }

    /// The law of the cursor: it passed only what is settled or waits in a row of each of its lines.
    fn nothing_is_passed_over(&self) {
        let passed = self.feed.iter().filter(|event| event.position <= self.stored.cursor);
        for event in passed.filter(|event| is_wanted(event)) {
            let has_row = |line| {
                let row = self.stored.blocked.iter().find(|row| row.line == line);
                row.is_some_and(|row| row.from <= event.position)
            };
            let waits = lines_of(event, self.order).iter().all(has_row)
                || event.held.is_some() && has_row(Line::Held(event.directory_id))
                || has_row(Line::HeldStream(event.directory_id));
            assert!(waits || self.settled.contains(&event.position), "lost {:?}", event.position);
        }
    }

    fn bounds_hold(&self) {
        assert!(self.in_flight.len() <= crate::circuit::IN_FLIGHT_MAX);
        assert!(self.lane.blocked_lines() <= BLOCKED_LINES_MAX + 2 * WINDOW_MAX);
        assert!(self.pending.len() <= LOADED_MAX + 3, "{:?}", self.pending);
    }

    fn crash(&mut self) {
        self.in_flight.clear();
        self.pending.clear();
        let state = self.stored.clone();
        self.lane = lane(self.order, self.replay.as_ref(), state);
        self.lane.share(PerPool::of(|_| self.share));
        self.tell_released();
    }

    /// The hold that is in force by what was accepted.
    fn release(&mut self) {
        let accepted = self.feed[..self.accepted].iter();
        self.released = accepted.filter_map(|event| event.held).max().unwrap_or_default();
        self.tell_released();
    }

    fn tell_released(&mut self) {
        let directory = self.feed.first().map(|event| (event.directory_id, self.released));
        self.input(Input::Released(directory.into_iter().collect()));
    }

    /// From here on everything goes well: all must be settled, and nothing may wait any more.
    fn heal(&mut self) {
        self.accepted = self.feed.len();
        self.release();
        for _ in 0..100_000 {
            if !self.in_flight.is_empty() {
                self.complete(0, 0);
                continue;
            }
            let answered = (0..self.pending.len()).any(|index| self.answer(index));
            if answered {
                continue;
            }
            let Some(due) = self.lane.wake_at() else { break };
            self.now = self.now.max(due);
            self.input(Input::Tick);
        }
        let up_to = self.replay.as_ref().map(|replay| replay.up_to);
        let end = up_to.or(self.feed.last().map(|event| event.position)).unwrap_or_default();
        for event in self.feed.iter().filter(|event| is_wanted(event)) {
            let is_settled = self.settled.contains(&event.position);
            assert_eq!(is_settled, event.position <= end, "{:?}", event.position);
        }
        assert_eq!(self.stored.cursor, end, "the cursor reached the end");
        assert_eq!(self.is_finished, self.replay.is_some());
        assert_eq!(self.stored.blocked, [], "no line waits");
        assert_eq!((self.lane.blocked_lines(), self.lane.held_directories()), (0, 0));
        assert!(self.lane.is_idle());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_event_arrives_in_the_order_of_its_lines(
        order in order(),
        feed in feed(),
        steps in steps(),
    ) {
        let mut world = World::new(order, feed, None);
        for step in &steps {
            world.take(step);
        }
        world.heal();
    }

    #[test]
    fn what_is_held_waits_for_its_release_and_arrives_then_in_the_order_of_its_lines(
        order in order(),
        feed in held_feed(),
        steps in steps(),
    ) {
        let mut world = World::new(order, feed, None);
        for step in &steps {
            world.take(step);
        }
        world.heal();
    }

    #[test]
    fn a_replay_sends_its_part_in_the_order_of_its_lines_and_ends(
        order in order(),
        feed in held_feed(),
        up_to in 1_u64..130,
        steps in steps(),
    ) {
        let replay = Replay {
            id: schemas::ReplayId::from_bits(8),
            endpoint: endpoint(order).id,
            up_to: FeedPosition(up_to),
            filter: crate::ports::Filter::default(),
            rate: std::num::NonZeroU32::new(50).unwrap(),
        };
        let mut world = World::new(order, feed, Some(replay));
        for step in &steps {
            world.take(step);
        }
        world.heal();
    }
}
