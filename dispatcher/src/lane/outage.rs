//! Days without an endpoint, many events or few, in each order, and the minutes after: simulated.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::tests::{endpoint, event};
use super::*;
use crate::Failure;
use crate::circuit::{IN_FLIGHT_MAX, PROBE_WAIT_MAX};
use crate::ports::{Blocked, FeedEvent, Flush, Outcome};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An endpoint that is back gets what waits within the wait between probes; the attempts themselves take a moment.
const SOON: Duration = PROBE_WAIT_MAX.saturating_add(Duration::from_secs(60));

/// How long a request takes, in peace or not.
const REQUEST: Duration = Duration::from_millis(10);

/// What waits, and for how long.
#[derive(Clone, Copy)]
struct Case {
    events: u64,
    users: u64,
    order: Order,
    outage: Duration,
}

/// The store, the endpoint and the clock.
struct Simulation {
    case: Case,
    lane: Lane,
    began: Timestamp,
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
    /// When the first one was delivered.
    first_at: Option<Timestamp>,
    exhausted: u64,
    notices: Vec<(Timestamp, Notice)>,
    disabled_at: Option<Timestamp>,
}

impl Simulation {
    fn of(case: Case) -> Self {
        let mut simulation = Self::new(case);
        simulation.run();
        simulation
    }

    fn new(case: Case) -> Self {
        let now = Timestamp::from_millis(1_000_000);
        let lane = Lane::new(&endpoint(case.order), LaneState::default(), Schedule::default());
        Self {
            case,
            lane,
            now,
            began: now,
            back_at: now.after(case.outage),
            first_at: None,
            exhausted: 0,
            notices: Vec::new(),
            disabled_at: None,
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
        let all = self.case.events;
        while self.delivered + self.exhausted < all || !answers.is_empty() || !self.lane.is_idle() {
            if let Some(answer) = answers.pop_front() {
                answers.extend(self.step(answer));
                continue;
            }
            let ends = self.in_flight.front().map(|(at, _)| *at);
            let Some(next) = ends.into_iter().chain(self.lane.wake_at()).min() else {
                assert!(self.disabled_at.is_some(), "it goes on");
                return;
            };
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
            let line = match self.case.order {
                Order::Resource | Order::None => position.0 % self.case.users,
                Order::Directory => 0,
            };
            let before = self.taken.insert(line, position.0).unwrap_or(0);
            assert!(before < position.0, "{position:?} after {before}");
            self.delivered += 1;
            self.first_at.get_or_insert(self.now);
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
        let is_down = self.lane.is_open() && self.lane.in_flight.is_empty();
        if is_down && !self.lane.is_reading {
            // Nor is it when a probe is under way.
            assert!(self.lane.window.len() <= PROBE_PAGE, "{}", self.lane.window.len());
        }
        let mut answers = VecDeque::new();
        for action in actions {
            match action {
                Action::Send(send) => self.begin(send),
                Action::ReadFeed { after, limit, .. } => {
                    let end = self.case.events.min(after.0 + limit as u64);
                    if after.0 < end {
                        let events = (after.0 + 1..=end).map(|position| self.event(position));
                        answers.push_back(Input::Fed(events.collect()));
                    }
                }
                Action::ReadLine(read) => {
                    answers.push_back(Input::LineRead(read, self.page(read)));
                }
                Action::Flush(flush) => {
                    self.write(flush);
                    answers.push_back(Input::Flushed);
                }
                Action::Disable(_) => self.disabled_at = Some(self.now),
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
        self.exhausted += flush.attempts.iter().filter(|attempt| attempt.exhausted).count() as u64;
        self.notices.extend(flush.notices);
        self.rows.retain(|line, _| !flush.unblocked.contains(line));
        self.rows.extend(flush.blocked.into_iter().map(|row| (row.line, row)));
        self.rows_max = self.rows_max.max(self.rows.len());
    }

    fn event(&self, position: u64) -> FeedEvent {
        event(position, Some((position % self.case.users).into()), None)
    }

    /// A page of the line of one user, or of all of them.
    fn page(&self, read: LineRead) -> Vec<FeedEvent> {
        let users = self.case.users;
        let (first, step) = match read.line() {
            Line::User(user) => {
                let user = u128::from_be_bytes(user.to_bytes());
                let user = u64::try_from(user).expect("it is a small number");
                let first = read.after().0 + 1;
                (first + (user + users - first % users) % users, users)
            }
            Line::Group(_)
            | Line::Directory(_)
            | Line::Stream(_)
            | Line::Event(_)
            | Line::Held(_)
            | Line::HeldStream(_) => (read.after().0 + 1, 1),
        };
        let positions = (first..=read.up_to().0).step_by(usize::try_from(step).expect("small"));
        positions.take(LineRead::LIMIT).map(|position| self.event(position)).collect()
    }

    /// How long the endpoint was back when it got the first event.
    fn silence(&self) -> Duration {
        self.first_at.expect("it is back").since(self.back_at)
    }
}

/// The orders, and how many users: many, fewer than open a circuit, and one.
fn small() -> impl Iterator<Item = Case> {
    let of = |(order, users)| Case { events: users, users, order, outage: DAY };
    let orders = [Order::Resource, Order::Directory, Order::None];
    orders.into_iter().flat_map(|order| [1, 4, 5, 20].map(|users| (order, users))).map(of)
}

#[test]
fn after_three_days_without_an_answer_a_million_events_arrive_in_order_and_not_all_at_once() {
    let events = 1_000_000;
    let (users, order, outage) = (1_000, Order::Resource, 3 * DAY);
    let simulation = Simulation::of(Case { events, users, order, outage });
    assert_eq!((simulation.delivered, simulation.cursor.0), (events, events));
    assert!(simulation.rows.is_empty());
    // A probe every ten minutes, each on an event of its own.
    let probes = 3 * 24 * 6;
    assert!(simulation.attempts < 2 * probes, "{} attempts in vain", simulation.attempts);
    assert!(simulation.rows_max < 2 * probes, "{} rows", simulation.rows_max);
    let steps: BTreeSet<usize> = simulation.ramp.iter().copied().collect();
    assert!(steps.len() > 5, "{:?}", simulation.ramp);
    assert!(simulation.ramp.iter().take(5).all(|count| *count <= 8), "{:?}", simulation.ramp);
}

#[test]
fn an_outage_of_a_day_loses_nothing_however_little_waits() {
    for case in small() {
        let simulation = Simulation::of(case);
        let Case { users, order, .. } = case;
        assert_eq!((simulation.delivered, simulation.exhausted), (users, 0), "{order:?} {users}");
        assert!(simulation.rows.is_empty(), "{order:?} {users}");
    }
}

#[test]
fn an_endpoint_that_is_back_gets_soon_what_waited_for_it() {
    for case in small() {
        for outage in [HOUR, 11 * HOUR, 23 * HOUR] {
            let simulation = Simulation::of(Case { outage, ..case });
            let (silence, all) = (simulation.silence(), simulation.now.since(simulation.back_at));
            let Case { users, order, .. } = case;
            assert!(silence <= SOON, "{order:?} {users}: silent for {silence:?} after {outage:?}");
            assert!(all <= SOON, "{order:?} {users}: all after {all:?} after {outage:?}");
        }
    }
}

#[test]
fn no_event_is_given_up_before_its_schedule_has_passed() {
    // Each wait is at least half as long as it says: 35 hours.
    let least = 35 * HOUR;
    for case in small() {
        let outage = least.saturating_sub(PROBE_WAIT_MAX);
        let simulation = Simulation::of(Case { outage, ..case });
        assert_eq!(simulation.exhausted, 0, "{:?} {}", case.order, case.users);
    }
}

#[test]
fn an_endpoint_that_stays_down_is_told_of_within_the_hour_and_disabled_after_five_days() {
    for (order, users) in [(Order::Directory, 1), (Order::Resource, 3), (Order::Resource, 1_000)] {
        let case = Case { events: 1_000, users, order, outage: 30 * DAY };
        let simulation = Simulation::of(case);
        let [(told_at, Notice::Failing { since, disables_at, .. })] = simulation.notices[..] else {
            panic!("{:?}", simulation.notices);
        };
        assert!(told_at.since(simulation.began) < HOUR, "{order:?} {users}: {told_at:?}");
        assert_eq!(disables_at, since.after(FAILING_MAX));
        let disabled_at = simulation.disabled_at.expect("it is off");
        assert!(disabled_at >= disables_at, "{order:?} {users}: off before it was said");
        assert!(disabled_at.since(disables_at) <= SOON, "{order:?} {users}: {disabled_at:?}");
    }
}
