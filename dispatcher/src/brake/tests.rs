use proptest::prelude::*;
use schemas::Share;

use super::*;

fn rule() -> Brake {
    Brake { share: Share::of(0.2).unwrap(), window_seconds: 3_600, floor: 10 }
}

fn seen(position: u64, minutes: i64, kind: EventType) -> Seen {
    let is_deletion = kind == EventType::UserDeleted;
    Seen {
        position: FeedPosition(position),
        at: Timestamp::from_millis(1_000_000_000 + minutes * 60_000),
        kind,
        user: Some(ScimId::from_bits(position.into())),
        group: None,
        was_active: kind != EventType::UserCreated,
        is_active: !is_deletion,
        ended: 0,
    }
}

fn deactivated(position: u64, minutes: i64) -> Seen {
    let was_active = true;
    Seen { was_active, is_active: false, ..seen(position, minutes, EventType::UserUpdated) }
}

fn of_hundred() -> Watch {
    Watch::new(FeedPosition(0), Counts { users: 100, memberships: 100 })
}

fn trips(verdict: Verdict) -> bool {
    verdict_of(verdict).is_some_and(|(_, has_tripped)| has_tripped)
}

fn verdict_of(verdict: Verdict) -> Option<(u64, bool)> {
    match verdict {
        Verdict::Passes => None,
        Verdict::Held { hold, has_tripped } => Some((hold.0, has_tripped)),
    }
}

/// How many deactivations pass, one every so many minutes, until it is held.
fn passing(watch: &mut Watch, every: i64, count: u64) -> u64 {
    let pass = |n: &u64| {
        watch.see(&deactivated(*n, every * i64::try_from(*n).unwrap()), Some(rule()), false)
            == Verdict::Passes
    };
    (1..=count).take_while(pass).count() as u64
}

#[test]
fn a_fifth_may_go_and_the_next_is_held() {
    let mut watch = of_hundred();
    assert_eq!(passing(&mut watch, 0, 50), 20);
    let hold = watch.held().unwrap();
    assert_eq!((hold.from, hold.removed.users, hold.of.users), (FeedPosition(21), 21, 100));
}

#[test]
fn as_many_over_days_are_no_reason() {
    assert_eq!(passing(&mut of_hundred(), 10, 50), 50);
}

#[test]
fn a_small_directory_may_lose_as_many_as_the_floor_says() {
    let mut watch = Watch::new(FeedPosition(0), Counts { users: 12, memberships: 0 });
    assert_eq!(passing(&mut watch, 0, 12), 10);
}

#[test]
fn users_who_were_inactive_before_are_not_counted_when_they_are_deleted() {
    let mut watch = of_hundred();
    for position in 1..=50 {
        let gone = Seen { was_active: false, ..seen(position, 0, EventType::UserDeleted) };
        assert_eq!(watch.see(&gone, Some(rule()), false), Verdict::Passes);
    }
}

#[test]
fn a_deleted_group_counts_with_all_of_its_members() {
    let mut watch = of_hundred();
    let small = Seen { ended: 20, ..seen(1, 0, EventType::GroupDeleted) };
    assert_eq!(watch.see(&small, Some(rule()), false), Verdict::Passes);
    assert!(trips(watch.see(
        &Seen { ended: 1, ..seen(2, 0, EventType::GroupDeleted) },
        Some(rule()),
        false
    )));
}

#[test]
fn without_a_rule_nothing_is_held_and_it_is_counted_all_the_same() {
    let mut watch = of_hundred();
    for position in 1..=90 {
        assert_eq!(watch.see(&deactivated(position, 0), None, false), Verdict::Passes);
    }
    assert_eq!(watch.counts.users, 10);
}

#[test]
fn what_is_held_is_removals_and_what_stands_behind_them() {
    let mut watch = of_hundred();
    passing(&mut watch, 0, 21);
    let mut see = |position, kind, is_behind| {
        verdict_of(watch.see(&seen(position, 0, kind), Some(rule()), is_behind))
    };
    assert_eq!(see(30, EventType::UserCreated, false), None);
    assert_eq!(see(31, EventType::UserUpdated, true), Some((21, false)));
    assert_eq!(see(32, EventType::UserDeleted, false), Some((21, false)));
    assert_eq!(see(33, EventType::GroupUserAdded, false), None);
    assert_eq!(watch.held().map(|hold| hold.events), Some(3));
}

#[test]
fn after_a_release_the_window_begins_anew_and_the_rest_waits_behind() {
    let mut watch = of_hundred();
    passing(&mut watch, 0, 21);
    assert_eq!(watch.release().map(|hold| hold.from), Some(FeedPosition(21)));
    assert_eq!(watch.release(), None);
    assert_eq!(watch.released(), FeedPosition(21));
    let behind = watch.see(&seen(40, 0, EventType::UserUpdated), Some(rule()), true);
    assert_eq!(verdict_of(behind), Some((21, false)));
    // 79 are left: 15 may go, and the next is held anew.
    let more = (41..60)
        .take_while(|n| watch.see(&deactivated(*n, 0), Some(rule()), false) == Verdict::Passes);
    assert_eq!(more.count(), 15);
    assert_eq!(watch.held().map(|hold| hold.from), Some(FeedPosition(56)));
    watch.close();
    assert!(watch.held().is_some(), "only what was released can be closed");
}

#[test]
fn who_deletes_a_directory_releases_it() {
    let mut watch = of_hundred();
    passing(&mut watch, 0, 21);
    let gone = Seen { user: None, ..seen(30, 0, EventType::Deleted) };
    assert_eq!(verdict_of(watch.see(&gone, Some(rule()), false)), Some((21, false)));
    assert!(watch.is_releasing());
}

#[test]
fn what_happened_before_it_began_is_not_counted() {
    let mut watch = Watch::new(FeedPosition(60), Counts { users: 100, memberships: 0 });
    assert_eq!(passing(&mut watch, 0, 60), 60);
    assert_eq!(watch.counts.users, 100);
}

proptest! {
    #[test]
    fn who_begins_again_from_what_was_kept_comes_to_the_same(
        steps in prop::collection::vec((0_u8..6, 0_i64..30, any::<bool>()), 1..120),
        cut in any::<prop::sample::Index>(),
    ) {
        let cut = cut.index(steps.len());
        let mut watch = of_hundred();
        let mut kept = None;
        let mut minutes = 0;
        for (number, (kind, wait, is_behind)) in steps.iter().enumerate() {
            if number == cut {
                kept = Some(serde_json::to_string(&watch).unwrap());
            }
            minutes += wait;
            see_one(&mut watch, number, *kind, minutes, *is_behind);
        }
        let mut again: Watch = serde_json::from_str(&kept.unwrap()).unwrap();
        let mut minutes: i64 = steps.iter().take(cut).map(|(_, wait, _)| wait).sum();
        for (number, (kind, wait, is_behind)) in steps.iter().enumerate().skip(cut) {
            minutes += wait;
            see_one(&mut again, number, *kind, minutes, *is_behind);
        }
        prop_assert_eq!(&again, &watch);
        prop_assert!(serde_json::to_string(&watch).unwrap().len() < 20_000);
    }
}

fn see_one(watch: &mut Watch, number: usize, kind: u8, minutes: i64, is_behind: bool) {
    let position = u64::try_from(number).unwrap() + 1;
    let event = match kind {
        0 => seen(position, minutes, EventType::UserCreated),
        1 => seen(position, minutes, EventType::GroupUserRemoved),
        2 => seen(position, minutes, EventType::GroupUserAdded),
        3 => deactivated(position, minutes),
        _ => seen(position, minutes, EventType::UserDeleted),
    };
    watch.see(&event, Some(rule()), is_behind);
    if number % 50 == 49 {
        watch.release();
    }
}
