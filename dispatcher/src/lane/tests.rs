use bytes::Bytes;
use schemas::{DirectoryId, EndpointId, EndpointKind, EventId, EventType, Format, ScimId, Seq};

use super::*;
use crate::Failure;
use crate::ports::{DisableReason, Filter, Flush, Outcome};

pub(super) fn endpoint(order: Order) -> Endpoint {
    Endpoint {
        id: EndpointId::from_bits(1),
        kind: EndpointKind::Directory,
        url: "https://app.example/hook".to_owned(),
        secrets: vec![crate::Secret::new("whsec_AAAA".to_owned())],
        filter: Filter::default(),
        enabled: true,
        order,
        retry_schedule: None,
        format: Format::Webhook,
        timeout: None,
        identity: None,
        created_at: Timestamp::from_millis(0),
    }
}

pub(super) fn event(position: u64, user: Option<u128>, group: Option<u128>) -> FeedEvent {
    let kind = match (user, group) {
        (Some(_), Some(_)) => EventType::GroupUserAdded,
        (Some(_), None) => EventType::UserUpdated,
        (None, Some(_)) => EventType::GroupUpdated,
        (None, None) => EventType::Activated,
    };
    FeedEvent {
        position: FeedPosition(position),
        id: EventId::from_bits(u128::from(position)),
        topic: Topic::Directory(kind),
        organization_id: None,
        directory_id: DirectoryId::from_bits(9),
        seq: Seq(position),
        user: user.map(ScimId::from_bits),
        group: group.map(|group| ScimId::from_bits(group + 1_000_000_000)),
        request: None,
        held: None,
        body: Bytes::from_static(b"{}"),
    }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn lane(order: Order) -> Lane {
    Lane::new(&endpoint(order), LaneState::default(), Schedule::default())
}

/// Steps with the dice in the middle.
pub(super) fn step(lane: &mut Lane, input: Input, millis: i64) -> Vec<Action> {
    let mut actions = Vec::new();
    lane.step(input, at(millis), 0.5, &mut actions);
    actions
}

pub(super) fn completed(position: u64, millis: i64, failure: Option<Failure>) -> Input {
    Input::Completed(Completed {
        position: FeedPosition(position),
        at: at(millis),
        duration: Duration::from_millis(5),
        outcome: failure.map_or(Outcome::Delivered { status: Some(200) }, Outcome::Failed),
        retry_after: None,
        excerpt: None,
    })
}

pub(super) fn sent(actions: &[Action]) -> Vec<(u64, u16)> {
    let sends = actions.iter().filter_map(|action| match action {
        Action::Send(send) => Some((send.event.position.0, send.attempt)),
        Action::ReadFeed { .. } | Action::ReadLine(_) | Action::Flush(_) | Action::Disable(_) => {
            None
        }
    });
    sends.collect()
}

pub(super) fn flushed(actions: Vec<Action>) -> Option<Flush> {
    actions.into_iter().find_map(|action| match action {
        Action::Flush(flush) => Some(flush),
        Action::ReadFeed { .. } | Action::ReadLine(_) | Action::Send(_) | Action::Disable(_) => {
            None
        }
    })
}

pub(super) fn line_read(actions: &[Action]) -> Option<LineRead> {
    actions.iter().find_map(|action| match action {
        Action::ReadLine(read) => Some(*read),
        Action::ReadFeed { .. } | Action::Flush(_) | Action::Send(_) | Action::Disable(_) => None,
    })
}

#[test]
fn events_of_one_user_go_out_one_after_the_other() {
    let mut lane = lane(Order::Resource);
    step(&mut lane, Input::Tick, 0);
    let feed = vec![event(1, Some(1), None), event(2, Some(2), None), event(3, Some(1), None)];
    assert_eq!(sent(&step(&mut lane, Input::Fed(feed), 0)), [(1, 1), (2, 1)]);
    assert_eq!(sent(&step(&mut lane, completed(2, 0, None), 0)), []);
    assert_eq!(sent(&step(&mut lane, completed(1, 0, None), 0)), [(3, 1)]);
    assert_eq!(lane.cursor(), FeedPosition(2));
}

#[test]
fn an_event_that_the_format_cannot_carry_is_passed_over() {
    let tokens = Endpoint { format: Format::ScimSet, ..endpoint(Order::Resource) };
    let mut lane = Lane::new(&tokens, LaneState::default(), Schedule::default());
    step(&mut lane, Input::Tick, 0);
    let feed = vec![event(1, None, None), event(2, Some(2), None), event(3, None, None)];
    assert_eq!(sent(&step(&mut lane, Input::Fed(feed), 0)), [(2, 1)]);
    step(&mut lane, completed(2, 0, None), 0);
    assert_eq!(lane.cursor(), FeedPosition(3));
}

#[test]
fn a_membership_event_waits_for_its_user_and_its_group() {
    let mut lane = lane(Order::Resource);
    step(&mut lane, Input::Tick, 0);
    let feed = vec![
        event(1, Some(1), None),
        event(2, None, Some(1)),
        event(3, Some(1), Some(1)),
        event(4, None, Some(1)),
    ];
    assert_eq!(sent(&step(&mut lane, Input::Fed(feed), 0)), [(1, 1), (2, 1)]);
    assert_eq!(sent(&step(&mut lane, completed(1, 0, None), 0)), []);
    assert_eq!(sent(&step(&mut lane, completed(2, 0, None), 0)), [(3, 1)]);
    assert_eq!(sent(&step(&mut lane, completed(3, 0, None), 0)), [(4, 1)]);
}

#[test]
fn a_failing_event_parks_its_line_and_the_rest_flows_on() {
    let mut lane = lane(Order::Resource);
    step(&mut lane, Input::Tick, 0);
    let feed = vec![
        event(1, Some(1), None),
        event(2, Some(1), Some(1)),
        event(3, None, Some(1)),
        event(4, Some(2), None),
    ];
    assert_eq!(sent(&step(&mut lane, Input::Fed(feed.clone()), 0)), [(1, 1), (4, 1)]);
    step(&mut lane, completed(1, 0, Some(Failure::Status(500))), 0);
    assert_eq!(lane.blocked_lines(), 2, "the group waits from the membership on");
    step(&mut lane, completed(4, 0, None), 0);
    assert_eq!(lane.cursor(), FeedPosition(4));

    let flush = flushed(step(&mut lane, Input::Tick, 100)).unwrap();
    let rows: Vec<_> =
        flush.blocked.iter().map(|row| (row.from.0, row.failures, row.due)).collect();
    assert_eq!(rows, [(1, 1, Some(at(5_000))), (2, 0, None)]);
    assert_eq!((flush.cursor, flush.attempts.len()), (FeedPosition(4), 2));
    step(&mut lane, Input::Flushed, 100);

    assert_eq!(lane.wake_at(), Some(at(5_000)));
    let read = line_read(&step(&mut lane, Input::Tick, 5_000)).unwrap();
    let (after, up_to) = (read.after(), read.up_to());
    assert_eq!((read.line(), after.0, up_to.0), (Line::User(ScimId::from_bits(1)), 0, 2));
    let page = feed[..2].to_vec();
    assert_eq!(sent(&step(&mut lane, Input::LineRead(read, page), 5_000)), [(1, 2)]);
    assert_eq!(sent(&step(&mut lane, completed(1, 5_000, None), 5_000)), [(2, 1)]);
    let read = line_read(&step(&mut lane, completed(2, 5_000, None), 5_000)).unwrap();
    assert_eq!(sent(&step(&mut lane, Input::LineRead(read, feed[2..3].to_vec()), 5_000)), [(3, 1)]);
    step(&mut lane, completed(3, 5_000, None), 5_000);
    assert_eq!(lane.blocked_lines(), 0);
}

#[test]
fn a_line_that_is_freed_and_blocked_again_leaves_no_row_of_before() {
    let mut lane = lane(Order::Resource);
    step(&mut lane, Input::Tick, 0);
    let first = event(1, Some(1), None);
    step(&mut lane, Input::Fed(vec![first.clone()]), 0);
    step(&mut lane, completed(1, 0, Some(Failure::Status(500))), 0);
    let flush = flushed(step(&mut lane, Input::Tick, 100)).unwrap();
    assert_eq!(flush.blocked.len(), 1);
    step(&mut lane, Input::Flushed, 100);
    let read = line_read(&step(&mut lane, Input::Tick, 5_000)).unwrap();
    step(&mut lane, Input::LineRead(read, vec![first]), 5_000);
    step(&mut lane, completed(1, 5_000, None), 5_000);
    assert_eq!(lane.blocked_lines(), 0);

    // Event 3 is in flight and holds the cursor, so that 4 needs no row; the old one must go.
    step(&mut lane, Input::Fed(vec![event(3, Some(3), None), event(4, Some(1), None)]), 5_000);
    step(&mut lane, completed(4, 5_000, Some(Failure::Status(500))), 5_000);
    let flush = flushed(step(&mut lane, Input::Tick, 5_100)).unwrap();
    assert_eq!((flush.cursor, flush.blocked), (FeedPosition(2), vec![]));
    assert_eq!(flush.unblocked, [Line::User(ScimId::from_bits(1))]);
}

#[test]
fn an_endpoint_that_fails_as_a_whole_stops_the_cursor() {
    let mut lane = lane(Order::Resource);
    step(&mut lane, Input::Tick, 0);
    let feed: Vec<_> = (1..=200).map(|n| event(n, Some(n.into()), None)).collect();
    let first = sent(&step(&mut lane, Input::Fed(feed), 0));
    assert_eq!(first.len(), crate::circuit::IN_FLIGHT_MAX);
    for (position, _) in first {
        let actions = step(&mut lane, completed(position, 0, Some(Failure::Timeout)), 0);
        if position >= 5 {
            assert_eq!(sent(&actions), [], "the circuit is open");
        }
    }
    assert!(lane.is_open());
    assert_eq!((lane.blocked_lines(), lane.cursor().0), (4, 4));
    for position in 65..=68 {
        step(&mut lane, completed(position, 0, Some(Failure::Timeout)), 0);
    }
    step(&mut lane, Input::Tick, 100);
    step(&mut lane, Input::Flushed, 100);
    let due = lane.wake_at().unwrap();
    assert_eq!(due, at(5_000));
    let probe = sent(&step(&mut lane, Input::Tick, 5_000));
    assert_eq!(probe.len(), 1, "one probe");
    let ramp = step(&mut lane, completed(probe[0].0, 5_000, None), 5_000);
    assert_eq!(sent(&ramp).len(), 2, "then two");
}

#[test]
fn an_answer_of_410_disables_and_loses_nothing() {
    let mut lane = lane(Order::Resource);
    step(&mut lane, Input::Tick, 0);
    step(&mut lane, Input::Fed(vec![event(1, Some(1), None), event(2, Some(1), None)]), 0);
    let actions = step(&mut lane, completed(1, 0, Some(Failure::Status(410))), 0);
    assert!(actions.iter().any(|a| matches!(a, Action::Disable(DisableReason::Gone))));
    assert_eq!(sent(&actions), []);
    let flush = flushed(actions).unwrap();
    assert_eq!(flush.blocked.iter().map(|row| row.from.0).collect::<Vec<_>>(), [1]);
    assert_eq!(lane.wake_at(), None);
}

#[test]
fn a_hiccup_days_after_an_event_was_given_up_disables_nothing() {
    let mut lane = lane(Order::Resource);
    step(&mut lane, Input::Tick, 0);
    let refused = event(1, Some(1), None);
    let mut millis = 0;
    let mut actions = step(&mut lane, Input::Fed(vec![refused.clone()]), 0);
    for attempt in 1..=4 {
        assert_eq!(sent(&actions), [(1, attempt)]);
        step(&mut lane, completed(1, millis, Some(Failure::Status(422))), millis);
        step(&mut lane, Input::Tick, millis + 100);
        step(&mut lane, Input::Flushed, millis + 100);
        let Some(due) = lane.wake_at() else { break };
        millis = due.millis();
        let read = line_read(&step(&mut lane, Input::Tick, millis)).unwrap();
        actions = step(&mut lane, Input::LineRead(read, vec![refused.clone()]), millis);
    }
    assert_eq!((lane.blocked_lines(), lane.cursor()), (0, FeedPosition(1)));

    let week = 8 * 24 * 60 * 60 * 1_000;
    let feed: Vec<_> = (2..=64).map(|n| event(n, Some(n.into()), None)).collect();
    let mut notices = Vec::new();
    for (position, _) in sent(&step(&mut lane, Input::Fed(feed), week)) {
        let unavailable = Some(Failure::Status(503));
        let actions = step(&mut lane, completed(position, week, unavailable), week);
        assert!(!actions.iter().any(|action| matches!(action, Action::Disable(_))));
    }
    notices.extend(flushed(step(&mut lane, Input::Tick, week + 100)).unwrap().notices);
    let (since, failure) = (at(week), Failure::Status(503));
    let disables_at = since.after(FAILING_MAX);
    assert_eq!(notices, [(at(week), Notice::Failing { since, failure, disables_at })]);
}

/// Answers the reads of lines that were asked for, and returns what is sent then.
fn serve(lane: &mut Lane, actions: &[Action], feed: &[FeedEvent], millis: i64) -> Vec<(u64, u16)> {
    let reads = actions.iter().filter_map(|action| match action {
        Action::ReadLine(read) => Some(*read),
        Action::ReadFeed { .. } | Action::Flush(_) | Action::Send(_) | Action::Disable(_) => None,
    });
    let mut all = sent(actions);
    for read in reads {
        let stands = |event: &&FeedEvent| lines_of(event, Order::Resource).first() == read.line();
        let page = feed.iter().filter(stands).cloned().collect();
        all.extend(sent(&step(lane, Input::LineRead(read, page), millis)));
    }
    all
}

#[test]
fn an_endpoint_that_answers_again_gets_what_waits_but_for_what_is_at_fault_itself() {
    let feed: Vec<_> = (1..=4).map(|n| event(n, Some(n.into()), None)).collect();
    let hour = 60 * 60 * 1_000;
    let row = |n: u64| crate::ports::Blocked {
        line: Line::User(ScimId::from_bits(n.into())),
        from: FeedPosition(n),
        failures: 3,
        due: Some(at(i64::try_from(n).unwrap() * hour)),
    };
    let state = LaneState {
        cursor: FeedPosition(3),
        blocked: (1..=3).map(row).collect(),
        failing_since: Some(at(0)),
        ..LaneState::default()
    };
    let mut lane = Lane::new(&endpoint(Order::Resource), state, Schedule::default());
    let actions = step(&mut lane, Input::Tick, 1_000);
    assert_eq!(serve(&mut lane, &actions, &feed, 1_000), [(1, 4)], "one is tried at the start");
    let actions = step(&mut lane, completed(1, 1_000, None), 1_000);
    assert_eq!(serve(&mut lane, &actions, &feed, 1_000), [(2, 4), (3, 4)]);
    step(&mut lane, completed(3, 1_000, Some(Failure::Status(500))), 1_000);
    step(&mut lane, completed(2, 1_000, None), 1_000);
    let rows = flushed(step(&mut lane, Input::Tick, 1_100)).unwrap().blocked;
    assert_eq!(rows, [row(3)], "it was before its time and does not count");
    step(&mut lane, Input::Flushed, 1_100);
    assert_eq!(lane.wake_at(), Some(at(3 * hour)));

    // The endpoint is down once more, for a moment.
    step(&mut lane, Input::Fed(feed[3..].to_vec()), 2_000);
    step(&mut lane, completed(4, 2_000, Some(Failure::Timeout)), 2_000);
    assert!(lane.is_open());
    step(&mut lane, Input::Tick, 2_100);
    step(&mut lane, Input::Flushed, 2_100);
    let probe = step(&mut lane, Input::Tick, 7_000);
    assert_eq!(sent(&probe), [(4, 1)]);
    let actions = step(&mut lane, completed(4, 7_000, None), 7_000);
    assert_eq!(serve(&mut lane, &actions, &feed, 7_000), [], "3 has failed though others had not");
}

#[test]
fn blocked_lines_are_bounded() {
    let mut lane = lane(Order::None);
    let mut actions = step(&mut lane, Input::Tick, 0);
    let mut position = 0;
    let mut notices = Vec::new();
    // Every event is refused in a way that speaks against the event, so the circuit stays closed.
    while !actions.is_empty() {
        let mut next = Vec::new();
        for action in actions {
            next.extend(match action {
                Action::ReadFeed { limit, .. } => {
                    let feed = (0..limit as u64).map(|n| event(position + n + 1, Some(1), None));
                    let feed: Vec<_> = feed.collect();
                    position += limit as u64;
                    step(&mut lane, Input::Fed(feed), 0)
                }
                Action::Send(send) => {
                    let failure = Some(Failure::Status(422));
                    step(&mut lane, completed(send.event.position.0, 0, failure), 0)
                }
                Action::Flush(flush) => {
                    notices.extend(flush.notices);
                    step(&mut lane, Input::Flushed, 0)
                }
                Action::ReadLine(_) | Action::Disable(_) => panic!("nothing is due"),
            });
        }
        actions = next;
    }
    assert!(lane.blocked_lines() >= BLOCKED_LINES_MAX);
    assert!(lane.blocked_lines() <= BLOCKED_LINES_MAX + WINDOW_MAX);
    assert!(lane.cursor().0 < 12_000, "the cursor stands still");
    notices.extend(flushed(step(&mut lane, Input::Tick, 100)).into_iter().flat_map(|f| f.notices));
    let [(_, Notice::Stalled { lines })] = notices[..] else { panic!("{notices:?}") };
    assert!(lines >= BLOCKED_LINES_MAX, "the operator is told, once");
}

/// A feed that goes on for ever, with its lines.
#[derive(Default)]
struct Endless {
    events: Vec<FeedEvent>,
    lines: HashMap<Line, Vec<FeedEvent>>,
}

impl Endless {
    fn more(&mut self, limit: usize) -> Vec<FeedEvent> {
        let begin = self.events.len();
        for n in begin..begin + limit {
            let user = n / 3;
            let event = event(n as u64 + 1, Some(user as u128), Some((user % 5_000) as u128));
            for line in lines_of(&event, Order::Resource).iter() {
                self.lines.entry(line).or_default().push(event.clone());
            }
            self.events.push(event);
        }
        self.events[begin..].to_vec()
    }

    fn line(&self, read: LineRead) -> Vec<FeedEvent> {
        let range = |e: &&FeedEvent| e.position > read.after() && e.position <= read.up_to();
        self.lines[&read.line()].iter().filter(range).take(LineRead::LIMIT).cloned().collect()
    }
}

/// Work per event must not grow with the window or with the blocked lines. The bound is far below
/// what a build for speed does, and far above what any scan would.
#[test]
fn the_core_does_ten_thousand_deliveries_a_second() {
    let mut lane = lane(Order::Resource);
    let mut actions = step(&mut lane, Input::Tick, 0);
    let mut feed = Endless::default();
    let begin = tokio::time::Instant::now();
    let (mut done, mut millis) = (0_u32, 0_i64);
    while done < 50_000 {
        let mut next = Vec::new();
        for action in actions {
            next.extend(match action {
                Action::ReadFeed { limit, .. } => {
                    step(&mut lane, Input::Fed(feed.more(limit)), millis)
                }
                Action::Send(send) => {
                    done += 1;
                    let position = send.event.position.0;
                    let is_bad = position.is_multiple_of(500) && send.attempt < 3;
                    let failure = is_bad.then_some(Failure::Status(422));
                    step(&mut lane, completed(position, millis, failure), millis)
                }
                Action::Flush(_) => step(&mut lane, Input::Flushed, millis),
                Action::ReadLine(read) => {
                    step(&mut lane, Input::LineRead(read, feed.line(read)), millis)
                }
                Action::Disable(_) => panic!("nothing failed for long"),
            });
        }
        millis += 10;
        actions = next;
        if actions.is_empty() {
            millis = lane.wake_at().expect("there is always more").millis();
            actions = step(&mut lane, Input::Tick, millis);
        }
    }
    let rate = f64::from(done) / begin.elapsed().as_secs_f64();
    println!("{rate:.0} deliveries a second");
    assert!(rate > 10_000.0, "{rate:.0} deliveries a second");
}

#[test]
fn the_operator_is_told_once_that_an_endpoint_fails_and_once_that_it_is_back() {
    let mut lane = lane(Order::Resource);
    step(&mut lane, Input::Tick, 0);
    let feed: Vec<_> = (1..=20).map(|n| event(n, Some(n.into()), None)).collect();
    let mut notices = Vec::new();
    let mut note = |actions: Vec<Action>| {
        notices.extend(flushed(actions).into_iter().flat_map(|flush| flush.notices));
    };
    for (position, _) in sent(&step(&mut lane, Input::Fed(feed), 0)) {
        note(step(&mut lane, completed(position, 7, Some(Failure::Timeout)), 7));
    }
    note(step(&mut lane, Input::Tick, 200));
    step(&mut lane, Input::Flushed, 200);
    let probe = sent(&step(&mut lane, Input::Tick, 6_000));
    note(step(&mut lane, completed(probe[0].0, 6_000, Some(Failure::Timeout)), 6_000));
    note(step(&mut lane, Input::Tick, 6_200));
    step(&mut lane, Input::Flushed, 6_200);
    let probe = sent(&step(&mut lane, Input::Tick, 60_000));
    note(step(&mut lane, completed(probe[0].0, 60_000, None), 60_000));
    note(step(&mut lane, Input::Tick, 60_200));
    let disables_at = at(7).after(FAILING_MAX);
    let failing = Notice::Failing { since: at(7), failure: Failure::Timeout, disables_at };
    assert_eq!(notices, [(at(7), failing), (at(60_000), Notice::Recovered { since: at(7) })]);
}

#[test]
fn what_waits_for_a_probe_and_what_follows_takes_no_room_from_endpoints_that_are_well() {
    let mut lane = lane(Order::Resource);
    step(&mut lane, Input::Tick, 0);
    let pools = |actions: &[Action]| -> Vec<Pool> {
        let sends = actions.iter().filter_map(|action| match action {
            Action::Send(send) => Some(send.pool),
            Action::ReadFeed { .. }
            | Action::ReadLine(_)
            | Action::Flush(_)
            | Action::Disable(_) => None,
        });
        sends.collect()
    };
    let feed: Vec<_> = (1..=100).map(|n| event(n, Some(n.into()), None)).collect();
    let first = step(&mut lane, Input::Fed(feed), 0);
    assert!(pools(&first).iter().all(|pool| *pool == Pool::Fresh));
    // Four more go out before the fifth failure opens the circuit.
    for position in 1..=68 {
        step(&mut lane, completed(position, 0, Some(Failure::Timeout)), 0);
    }
    let probe = step(&mut lane, Input::Tick, 6_000);
    assert_eq!(pools(&probe), [Pool::Retry]);
    let after = step(&mut lane, completed(sent(&probe)[0].0, 6_000, None), 6_000);
    assert_eq!(pools(&after), [Pool::Retry; 2]);
}

#[test]
fn what_nobody_wants_costs_no_write_of_its_own() {
    let mut lane = lane(Order::Resource);
    step(&mut lane, Input::Tick, 0);
    let unwanted = |position| {
        let mut event = event(position, None, None);
        event.topic = Topic::Directory(EventType::TokenCreated);
        event
    };
    let mut writes = Vec::new();
    let mut position = 0;
    // Ten events a second for a minute.
    for tenth in 0..600 {
        let millis = tenth * 100;
        position += 1;
        let mut actions = step(&mut lane, Input::Fed(vec![unwanted(position)]), millis);
        actions.extend(step(&mut lane, Input::Tick, millis + 99));
        if let Some(flush) = flushed(actions) {
            writes.push((millis, flush.cursor.0));
            step(&mut lane, Input::Flushed, millis + 99);
        }
    }
    assert!((5..=6).contains(&writes.len()), "{writes:?}");
    // Many at once do not wait.
    let many = (position + 1..=position + 10_000).map(unwanted).collect();
    let mut actions = step(&mut lane, Input::Fed(many), 60_000);
    actions.extend(step(&mut lane, Input::Tick, 60_200));
    assert_eq!(flushed(actions).unwrap().cursor.0, position + 10_000);
    step(&mut lane, Input::Flushed, 60_200);
    // Nor does what was delivered.
    step(&mut lane, Input::Fed(vec![event(20_000, Some(1), None)]), 60_200);
    step(&mut lane, completed(20_000, 60_200, None), 60_200);
    assert_eq!(flushed(step(&mut lane, Input::Tick, 60_300)).unwrap().cursor.0, 20_000);
}

#[test]
fn the_probes_of_an_endpoint_take_one_event_after_the_other() {
    let row = |n: u64| crate::ports::Blocked {
        line: Line::User(ScimId::from_bits(n.into())),
        from: FeedPosition(n),
        failures: 8,
        due: Some(at(i64::try_from(n).unwrap() * 10_000_000)),
    };
    let blocked = (1..=3).map(row).collect();
    let state = LaneState { cursor: FeedPosition(3), blocked, ..LaneState::default() };
    let mut lane = Lane::new(&endpoint(Order::Resource), state, Schedule::default());
    let feed: Vec<_> = (1..=3).map(|n| event(n, Some(n.into()), None)).collect();
    let mut tried = Vec::new();
    let mut millis = 0;
    for _ in 0..6 {
        let actions = step(&mut lane, Input::Tick, millis);
        for (position, _) in serve(&mut lane, &actions, &feed, millis) {
            tried.push(position);
            step(&mut lane, completed(position, millis, Some(Failure::Status(500))), millis);
        }
        step(&mut lane, Input::Tick, millis + 100);
        step(&mut lane, Input::Flushed, millis + 100);
        millis += 900_000;
    }
    assert_eq!(tried, [1, 2, 3, 1, 2, 3]);
}
