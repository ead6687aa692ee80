//! Three days without an endpoint, a million events, and the minutes after: simulated.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::tests::{endpoint, event};
use super::*;
use crate::Failure;
use crate::circuit::IN_FLIGHT_MAX;
use crate::ports::{Blocked, Flush, Outcome};

const EVENTS: u64 = 1_000_000;
const USERS: u64 = 1_000;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a request takes, in peace or not.
const REQUEST: Duration = Duration::from_millis(10);

/// The store, the endpoint and the clock.
struct Simulation {
    lane: Lane,
    now: Timestamp,
    back_at: Timestamp,
    /// What ends when; requests all take the same time, so they end in order.
    in_flight: VecDeque<(Timestamp, Send)>,
    rows: BTreeMap<Line, Blocked>,
    cursor: FeedPosition,
    attempts: usize,
    rows_max: usize,
    /// How many requests were in flight at a time, each time that it was more than before, from when the
    /// endpoint was back.
    ramp: Vec<usize>,
    /// The last event of each user that was taken.
    taken: BTreeMap<u64, u64>,
    delivered: u64,
}

impl Simulation {
    fn new() -> Self {
        let now = Timestamp::from_millis(1_000_000);
        let lane = Lane::new(&endpoint(Order::Resource), LaneState::default(), Schedule::default());
        Self {
            lane,
            now,
            back_at: now.after(3 * DAY),
            in_flight: VecDeque::new(),
            rows: BTreeMap::new(),
            cursor: FeedPosition(0),
            attempts: 0,
            rows_max: 0,
            ramp: Vec::new(),
            taken: BTreeMap::new(),
            delivered: 0,
        }
    }

    fn run(&mut self) {
        let mut answers = self.step(Input::Tick);
        while self.delivered < EVENTS || !answers.is_empty() || !self.lane.is_idle() {
            if let Some(answer) = answers.pop_front() {
                answers.extend(self.step(answer));
                continue;
            }
            let ends = self.in_flight.front().map(|(at, _)| *at);
            let next = ends.into_iter().chain(self.lane.wake_at()).min().expect("it goes on");
            self.now = self.now.max(next);
            let ended = ends.filter(|at| *at <= self.now).and_then(|_| self.in_flight.pop_front());
            let input = ended.map_or(Input::Tick, |(_, send)| self.end(&send));
            answers.extend(self.step(input));
        }
    }

    fn is_back(&self) -> bool {
        self.now >= self.back_at
    }

    /// What came of a request.
    fn end(&mut self, send: &Send) -> Input {
        let position = send.event.position;
        let outcome = if self.is_back() {
            let before = self.taken.insert(position.0 % USERS, position.0).unwrap_or(0);
            assert!(before < position.0, "{position:?} after {before}");
            self.delivered += 1;
            Outcome::Delivered { status: Some(200) }
        } else {
            Outcome::Failed(Failure::Connect)
        };
        let (at, duration) = (self.now, REQUEST);
        let (retry_after, excerpt) = (None, None);
        Input::Completed(Completed { position, at, duration, outcome, retry_after, excerpt })
    }

    fn step(&mut self, input: Input) -> VecDeque<Input> {
        let mut actions = Vec::new();
        // Any dice: these depend on the time.
        let dice = f64::from(u32::try_from(self.now.millis() % 1_000).unwrap_or(0)) / 1_000.0;
        self.lane.step(input, self.now, dice, &mut actions);
        let mut answers = VecDeque::new();
        for action in actions {
            match action {
                Action::Send(send) => self.begin(send),
                Action::ReadFeed { after, limit, .. } => {
                    let end = EVENTS.min(after.0 + limit as u64);
                    if after.0 < end {
                        answers.push_back(Input::Fed((after.0 + 1..=end).map(of_user).collect()));
                    }
                }
                Action::ReadLine(read) => {
                    answers.push_back(Input::LineRead(read, page(read)));
                }
                Action::Flush(flush) => {
                    self.write(flush);
                    answers.push_back(Input::Flushed);
                }
                Action::Disable(reason) => panic!("disabled: {reason:?}"),
            }
        }
        answers
    }

    fn begin(&mut self, send: Send) {
        self.attempts += usize::from(!self.is_back());
        self.in_flight.push_back((self.now.after(REQUEST), send));
        let count = self.in_flight.len();
        assert!(count <= IN_FLIGHT_MAX);
        if self.is_back() && self.ramp.last().is_none_or(|last| *last < count) {
            self.ramp.push(count);
        }
    }

    fn write(&mut self, flush: Flush) {
        self.cursor = flush.cursor;
        self.rows.retain(|line, _| !flush.unblocked.contains(line));
        self.rows.extend(flush.blocked.into_iter().map(|row| (row.line, row)));
        self.rows_max = self.rows_max.max(self.rows.len());
        assert!(self.lane.window.room() <= WINDOW_MAX);
    }
}

fn of_user(position: u64) -> FeedEvent {
    event(position, Some((position % USERS).into()), None)
}

/// A page of the line of one user.
fn page(read: LineRead) -> Vec<FeedEvent> {
    let Line::User(user) = read.line() else { panic!("every event is of a user") };
    let user = u64::try_from(u128::from_be_bytes(user.to_bytes())).expect("it is a small number");
    let first = read.after().0 + 1;
    let first = first + (user + USERS - first % USERS) % USERS;
    let positions = (first..=read.up_to().0).step_by(usize::try_from(USERS).expect("it is small"));
    positions.take(LineRead::LIMIT).map(of_user).collect()
}

#[test]
fn after_three_days_without_an_answer_a_million_events_arrive_in_order_and_not_all_at_once() {
    let mut simulation = Simulation::new();
    simulation.run();
    assert_eq!((simulation.delivered, simulation.cursor.0), (EVENTS, EVENTS));
    assert!(simulation.rows.is_empty());
    // A probe every quarter of an hour, each on an event of its own.
    let probes = 3 * 24 * 4;
    assert!(simulation.attempts < 2 * probes, "{} attempts in vain", simulation.attempts);
    assert!(simulation.rows_max < 2 * probes, "{} rows", simulation.rows_max);
    let steps: BTreeSet<usize> = simulation.ramp.iter().copied().collect();
    assert!(steps.len() > 5, "{:?}", simulation.ramp);
    assert!(simulation.ramp.iter().take(5).all(|count| *count <= 8), "{:?}", simulation.ramp);
}
