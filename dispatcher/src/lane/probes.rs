//! What an endpoint gets that fails as a whole, and when it is back.

use schemas::ScimId;

use super::tests::{at, completed, endpoint, event, flushed, lane, line_read, sent, step};
use super::*;
use crate::Failure;
use crate::ports::FeedEvent;

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
