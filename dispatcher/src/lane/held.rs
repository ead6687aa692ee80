//! What a lane makes of events that are held, one by one and by the million.

use schemas::DirectoryId;

use super::tests::{completed, endpoint, event, flushed, line_read, sent, step};
use super::*;
use crate::ports::FeedEvent;

const DIRECTORY: DirectoryId = DirectoryId::from_bits(9);

fn lane(order: Order, blocked: Vec<crate::ports::Blocked>, cursor: u64) -> Lane {
    let state = LaneState { blocked, cursor: FeedPosition(cursor), ..LaneState::default() };
    Lane::new(&endpoint(order), state, Schedule::default())
}

fn held(position: u64, user: u128) -> FeedEvent {
    FeedEvent { held: Some(FeedPosition(2)), ..event(position, Some(user), None) }
}

fn released() -> Input {
    Input::Released([(DIRECTORY, FeedPosition(2))].into_iter().collect())
}

#[test]
fn a_held_event_waits_in_one_row_without_a_timer_and_the_rest_flows_on() {
    let mut lane = lane(Order::Resource, Vec::new(), 0);
    step(&mut lane, Input::Tick, 0);
    let feed = vec![event(1, Some(1), None), held(2, 2), event(3, Some(3), None)];
    assert_eq!(sent(&step(&mut lane, Input::Fed(feed), 0)), [(1, 1), (3, 1)]);
    step(&mut lane, completed(1, 0, None), 0);
    step(&mut lane, completed(3, 0, None), 0);
    let flush = flushed(step(&mut lane, Input::Tick, 100)).unwrap();
    let rows: Vec<_> = flush.blocked.iter().map(|row| (row.line, row.from.0, row.due)).collect();
    assert_eq!((rows, flush.cursor.0), (vec![(Line::Held(DIRECTORY), 2, None)], 3));
    step(&mut lane, Input::Flushed, 100);
    assert_eq!((lane.wake_at(), lane.blocked_lines(), lane.held_directories()), (None, 0, 1));
    assert_eq!(lane.waits_from(), FeedPosition(2));
}

#[test]
fn after_a_restart_it_is_still_held_and_a_release_sends_it() {
    let row = crate::ports::Blocked {
        line: Line::Held(DIRECTORY),
        from: FeedPosition(2),
        failures: 0,
        due: None,
    };
    let mut lane = lane(Order::Resource, vec![row], 3);
    let read = line_read(&step(&mut lane, Input::Tick, 0)).unwrap();
    assert_eq!((read.line(), read.after().0, read.up_to().0), (Line::Held(DIRECTORY), 1, 3));
    let actions = step(&mut lane, Input::LineRead(read, vec![held(2, 2)]), 0);
    assert_eq!((sent(&actions), line_read(&actions)), (vec![], None));

    let read = line_read(&step(&mut lane, released(), 0)).unwrap();
    let actions = step(&mut lane, Input::LineRead(read, vec![held(2, 2)]), 0);
    let read = line_read(&actions).unwrap();
    assert_eq!(read.line(), Line::User(schemas::ScimId::from_bits(2)));
    let actions = step(&mut lane, Input::LineRead(read, vec![held(2, 2)]), 0);
    assert_eq!(sent(&actions), [(2, 1)]);
    step(&mut lane, completed(2, 0, None), 0);
    let flush = flushed(step(&mut lane, Input::Tick, 100)).unwrap();
    assert_eq!((flush.blocked, flush.unblocked), (vec![], vec![Line::Held(DIRECTORY)]));
    assert_eq!((lane.blocked_lines(), lane.held_directories()), (0, 0));
}

#[test]
fn what_was_released_before_a_lane_came_to_it_is_nothing_special() {
    let mut lane = lane(Order::Resource, Vec::new(), 0);
    step(&mut lane, released(), 0);
    let actions = step(&mut lane, Input::Fed(vec![held(2, 2), held(3, 2)]), 0);
    assert_eq!(sent(&actions), [(2, 1)]);
    assert_eq!(lane.held_directories(), 0);
}

#[test]
fn a_lane_of_one_after_the_other_holds_what_stands_behind() {
    let mut lane = lane(Order::Directory, Vec::new(), 0);
    step(&mut lane, Input::Tick, 0);
    let feed = vec![event(1, Some(1), None), held(2, 2), event(3, Some(3), None)];
    assert_eq!(sent(&step(&mut lane, Input::Fed(feed), 0)), [(1, 1)]);
    assert_eq!(sent(&step(&mut lane, completed(1, 0, None), 0)), []);
    let read = line_read(&step(&mut lane, released(), 0)).unwrap();
    assert_eq!((read.line(), read.up_to().0), (Line::HeldStream(DIRECTORY), 3));
}

#[test]
fn a_million_held_events_cost_one_row_and_a_release_as_many_lines_as_leave_room() {
    const EVENTS: u64 = 1_000_000;
    let mut lane = lane(Order::Resource, Vec::new(), 0);
    let mut actions = step(&mut lane, Input::Tick, 0);
    let mut position = 2;
    while position < EVENTS {
        let page = (position..position + 500).map(|position| held(position, position.into()));
        actions = step(&mut lane, Input::Fed(page.collect()), 0);
        position += 500;
        assert_eq!((lane.blocked_lines(), lane.held_directories()), (0, 1));
    }
    assert_eq!(lane.cursor().0, position - 1);
    drop(actions);
    let flush = flushed(step(&mut lane, Input::Tick, 100)).unwrap();
    assert_eq!((flush.blocked.len(), flush.done.len()), (1, 0));
    step(&mut lane, Input::Flushed, 100);
    assert_eq!(lane.wake_at(), None);

    // An endpoint that never answers: what is handed over stays bounded.
    let mut reads: Vec<LineRead> =
        line_read(&step(&mut lane, released(), 200)).into_iter().collect();
    let mut handed = 0;
    while let Some(read) = reads.pop() {
        let page: Vec<FeedEvent> = match read.line() {
            Line::Held(_) => {
                handed += 1;
                let first = read.after().0 + 1;
                (first..first + LineRead::LIMIT as u64).map(|at| held(at, at.into())).collect()
            }
            Line::User(_)
            | Line::Group(_)
            | Line::Directory(_)
            | Line::Stream(_)
            | Line::Event(_)
            | Line::HeldStream(_) => vec![held(read.up_to().0, read.up_to().0.into())],
        };
        let actions = step(&mut lane, Input::LineRead(read, page), 200);
        reads.extend(actions.iter().filter_map(|action| match action {
            Action::ReadLine(read) => Some(*read),
            Action::ReadFeed { .. } | Action::Send(_) | Action::Flush(_) | Action::Disable(_) => {
                None
            }
        }));
    }
    let pages = (BLOCKED_LINES_MAX / 2).div_ceil(LineRead::LIMIT);
    assert!(handed <= pages, "{handed} pages");
    assert!(lane.blocked_lines() <= BLOCKED_LINES_MAX / 2, "{}", lane.blocked_lines());
}
