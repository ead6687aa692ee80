use bytes::Bytes;
use schemas::{DirectoryId, EndpointId, EndpointKind, EventId, EventType, Format, ScimId, Seq};

use super::*;
use crate::Failure;
use crate::ports::{DisableReason, FeedEvent, Filter, Flush, Outcome};

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

pub(super) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(super) fn lane(order: Order) -> Lane {
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
fn the_first_event_that_waits_is_known_when_the_cursor_has_passed_it() {
    let waits = 1;
    for order in [Order::Resource, Order::Directory, Order::None] {
        let mut lane = lane(order);
        step(&mut lane, Input::Tick, 0);
        assert_eq!(lane.waits_from(), FeedPosition(1), "nothing came yet");
        let feed = (1..=3).map(|n| event(n, Some(n.into()), None)).collect();
        for (position, _) in sent(&step(&mut lane, Input::Fed(feed), 0)).into_iter().rev() {
            assert_eq!(lane.waits_from(), FeedPosition(waits), "{order:?}");
            let failure = (position == 1).then_some(Failure::Status(422));
            step(&mut lane, completed(position, 0, failure), 0);
        }
        assert_eq!((lane.cursor().0, lane.waits_from().0), (3, waits), "{order:?}");
        // After a restart it is known as well.
        let flush = flushed(step(&mut lane, Input::Tick, 100)).unwrap();
        let (cursor, blocked) = (flush.cursor, flush.blocked);
        let state = LaneState { cursor, blocked, ..LaneState::default() };
        let again = Lane::new(&endpoint(order), state, Schedule::default());
        assert_eq!(again.waits_from(), FeedPosition(waits), "{order:?}");
    }
    let mut lane = lane(Order::Resource);
    step(&mut lane, Input::Tick, 0);
    step(&mut lane, Input::Fed(vec![event(1, Some(1), None), event(5, Some(2), None)]), 0);
    step(&mut lane, completed(1, 0, None), 0);
    assert_eq!(lane.waits_from(), FeedPosition(5), "one that is in flight");
    step(&mut lane, completed(5, 0, None), 0);
    assert_eq!(lane.waits_from(), FeedPosition(6));
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

/// Answers the reads of lines that were asked for, and returns what is sent then.
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
