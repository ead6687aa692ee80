//! Pending members, decided on facts that are gathered from a store which trails behind.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]

mod versions;
mod world;

use std::collections::BTreeSet;

use directory::facts::Pending;
use directory::resource::UnknownMember;
use directory::{Answer, Command, Needs, Rejection};
use proptest::prelude::*;
use schemas::scim::MEMBERS_MAX;
use schemas::{Event, EventType, ScimId};
use serde_json::json;

use world::{
    World, create_group, create_user, group_body, on_members, patch_group, patch_user, user_body,
};

const CREATED: EventType = EventType::UserCreated;
const UPDATED: EventType = EventType::UserUpdated;
const ADDED: EventType = EventType::GroupUserAdded;
const REMOVED: EventType = EventType::GroupUserRemoved;
const WAITS: EventType = EventType::GroupPendingMemberAdded;
const WAITS_NO_MORE: EventType = EventType::GroupPendingMemberRemoved;

#[test]
fn a_member_who_does_not_exist_is_pending_and_only_once() {
    let mut world = World::empty();
    let group = world.group("Sales", &[]);
    let version = world.copy.groups[&group].as_ref().unwrap().version;
    let add = on_members(group, "add", &["Ada@Acme.example"]);
    let decision = world.ask(&add).unwrap();
    let [draft] = &decision.drafts[..] else { panic!("one event") };
    let Event::GroupPendingMemberAdded(told) = &draft.event else { panic!("it waits") };
    assert_eq!(told.member.value, "Ada@Acme.example", "as it was sent");
    let Answer::Group(answer) = decision.answer else { panic!("a group") };
    assert_eq!(answer.version, version, "who reads the group sees no difference");
    assert_eq!(world.kinds(&add), []);
    world.settle();
    assert_eq!(world.kinds(&add), []);
    let put = Command::ReplaceGroup {
        id: group,
        attributes: group_body("Sales"),
        members: vec!["Ada@Acme.example".into()],
        keeps_pending: false,
    };
    assert_eq!(world.kinds(&put), []);
    let kinds = world.kinds(&create_group("Support", &["ada@acme.example"]));
    assert_eq!(kinds, [EventType::GroupCreated, WAITS]);
}

#[test]
fn a_user_joins_right_behind_its_own_event_every_group_that_waits_for_one_of_its_names() {
    let mut world = World::empty();
    let sales = world.group("Sales", &["ext-1"]);
    let support = world.group("Support", &["ADA@acme.example", "ext-1"]);
    world.group("Others", &["EXT-1", "bob@acme.example"]);
    world.settle();
    let kinds = world.kinds(&create_user("Ada@acme.example", Some("ext-1")));
    let expected = [CREATED, ADDED, WAITS_NO_MORE, ADDED, WAITS_NO_MORE, WAITS_NO_MORE];
    assert_eq!(kinds, expected, "an externalId is compared exactly, a user name is not");
    assert_eq!((world.everyone_in(sales).len(), world.everyone_in(support).len()), (1, 1));
    assert_eq!(world.waiting(), ["EXT-1", "bob@acme.example"]);
}

#[test]
fn a_user_who_is_there_already_joins_at_once_by_any_of_its_names() {
    let mut world = World::empty();
    let ada = world.user("ada@acme.example", Some("ext-1"));
    world.settle();
    for name in [&*ada.to_string(), "ext-1", "ADA@acme.example"] {
        assert_eq!(world.kinds(&create_group(name, &[name])), [EventType::GroupCreated, ADDED]);
    }
    let group = world.group("Sales", &["ext-1"]);
    let again = on_members(group, "add", &["ada@acme.example", "ext-1"]);
    assert_eq!(world.kinds(&again), [], "one user by two names");
}

#[test]
fn a_user_who_is_renamed_or_gets_an_external_id_joins_as_well_though_inactive() {
    let mut world = World::empty();
    let ada = world.user("ada@acme.example", None);
    world.group("Sales", &["lovelace@acme.example", "ext-1"]);
    world.settle();
    assert_eq!(world.kinds(&patch_user(ada, "active", json!(false))), [UPDATED]);
    let rename = patch_user(ada, "userName", json!("Lovelace@acme.example"));
    assert_eq!(world.kinds(&rename), [UPDATED, ADDED, WAITS_NO_MORE]);
    let attributes = user_body("lovelace@acme.example", Some("ext-1"));
    let put = Command::ReplaceUser { id: ada, attributes: attributes.into() };
    assert_eq!(world.kinds(&put), [UPDATED, WAITS_NO_MORE], "a member is not added twice");
}

#[test]
fn a_pending_member_is_removed_as_any_member_is() {
    let by_value = json!([{ "op": "remove", "path": "members[value eq \"EXT-1\"]" }]);
    let by_list = json!([{ "op": "remove", "path": "members", "value": [{ "value": "ext-1" }] }]);
    let all = json!([{ "op": "remove", "path": "members" }]);
    let others = json!([{ "op": "replace", "path": "members", "value": [] }]);
    for operations in [by_value, by_list, all, others] {
        for settles in [false, true] {
            let mut world = World::empty();
            let group = world.group("Sales", &["ext-1"]);
            if settles {
                world.settle();
            }
            let remove = patch_group(group, &operations);
            assert_eq!(world.kinds(&remove), [WAITS_NO_MORE], "{operations}");
            assert_eq!(world.kinds(&remove), []);
            assert_eq!(world.kinds(&create_user("ada", Some("ext-1"))), [CREATED]);
        }
    }
    let mut world = World::empty();
    let id = world.group("Sales", &["ext-1", "ext-2"]);
    let (attributes, members) = (group_body("Sales"), vec!["ext-2".into()]);
    let put = Command::ReplaceGroup { id, attributes, members, keeps_pending: false };
    assert_eq!(world.kinds(&put), [WAITS_NO_MORE]);
    assert_eq!(world.waiting(), ["ext-2"]);
}

#[test]
fn who_changes_what_was_shown_leaves_those_waiting_who_are_not_shown() {
    let mut world = World::empty();
    let id = world.group("Sales", &["ext-1", "ext-2"]);
    world.kinds(&create_user("ada", Some("ext-3")));
    let put = |members: &[&str], keeps_pending| Command::ReplaceGroup {
        id,
        attributes: group_body("Sales"),
        members: members.iter().copied().map(str::to_owned).collect(),
        keeps_pending,
    };
    assert_eq!(world.kinds(&put(&["ext-3"], true)), [EventType::GroupUserAdded]);
    assert_eq!(world.waiting(), ["ext-1", "ext-2"]);
    assert_eq!(world.kinds(&put(&["ext-2", "ext-4"], true)), [EventType::GroupUserRemoved, WAITS]);
    assert_eq!(world.waiting(), ["ext-1", "ext-2", "ext-4"], "who is named waits as well");
    assert_eq!(world.kinds(&put(&["ext-2"], false)), [WAITS_NO_MORE, WAITS_NO_MORE]);
    assert_eq!(world.waiting(), ["ext-2"]);
}

#[test]
fn a_member_that_one_request_adds_and_removes_never_waited() {
    let mut world = World::empty();
    let group = world.group("Sales", &[]);
    let both = json!([{ "op": "add", "path": "members", "value": [{ "value": "Ada" }] },
        { "op": "remove", "path": "members[value eq \"ada\"]" }]);
    assert_eq!(world.kinds(&patch_group(group, &both)), []);
}

#[test]
fn who_joined_by_a_name_leaves_by_it() {
    let mut world = World::empty();
    let group = world.group("Sales", &["ext-1"]);
    world.user("ada@acme.example", Some("ext-1"));
    world.settle();
    let same = on_members(group, "replace", &["ext-1"]);
    assert_eq!(world.kinds(&same), []);
    assert_eq!(world.kinds(&on_members(group, "remove", &["ext-1"])), [REMOVED]);
}

#[test]
fn nobody_waits_for_a_group_that_is_gone() {
    for settles in [false, true] {
        let mut world = World::empty();
        let group = world.group("Sales", &["ext-1", "ext-2"]);
        world.group("Support", &["ext-2"]);
        if settles {
            world.settle();
        }
        assert_eq!(world.kinds(&Command::DeleteGroup { id: group }), [EventType::GroupDeleted]);
        assert_eq!(world.copy.pending.total(), 1);
        assert_eq!(world.kinds(&create_user("ada", Some("ext-1"))), [CREATED]);
        assert_eq!(world.waiting(), ["ext-2"]);
    }
}

#[test]
fn who_waits_still_joins_when_the_setting_is_switched_back() {
    let mut world = World::empty();
    let group = world.group("Sales", &["ext-1", "ext-2"]);
    world.settle();
    world.store.directory.scim.unknown_member = UnknownMember::Reject;
    world.settle();
    let add = on_members(group, "add", &["ext-1"]);
    assert_eq!(world.ask(&add), Err(Rejection::NoSuchMember("ext-1".into())));
    assert_eq!(world.kinds(&create_user("ada", Some("ext-1"))), [CREATED, ADDED, WAITS_NO_MORE]);
    assert_eq!(world.kinds(&on_members(group, "remove", &["ext-2"])), [WAITS_NO_MORE]);
    assert_eq!(world.ask(&add), Err(Rejection::NoSuchMember("ext-1".into())), "by id only");
}

#[test]
fn a_value_that_fits_several_users_is_not_guessed_at() {
    let mut world = World::empty();
    let group = world.group("Sales", &[]);
    world.user("ada@acme.example", Some("same"));
    world.settle();
    world.user("bob@acme.example", Some("same"));
    for op in ["add", "remove"] {
        let refused = world.ask(&on_members(group, op, &["same"]));
        assert_eq!(refused, Err(Rejection::AmbiguousMember("same".into())));
    }
}

#[test]
fn a_name_that_a_user_has_given_up_is_waited_for() {
    for looks_up_before in [false, true] {
        let mut world = World::empty();
        let ada = world.user("ada@acme.example", Some("ext-1"));
        world.settle();
        if looks_up_before {
            world.group("Sales", &["ext-1"]);
        }
        world.ask(&patch_user(ada, "externalId", json!("ext-2"))).unwrap();
        let kinds = world.kinds(&create_group("Support", &["ext-1", "ext-2"]));
        assert_eq!(kinds, [EventType::GroupCreated, WAITS, ADDED]);
    }
}

#[test]
fn a_look_up_that_trails_behind_changes_no_count() {
    let mut world = World::empty();
    let sales = world.group("Sales", &["ext-1"]);
    world.settle();
    world.ask(&on_members(sales, "add", &["ext-2"])).unwrap();
    world.group("Support", &["ext-1"]);
    assert_eq!((world.copy.pending.total_of(sales), world.copy.pending.total()), (2, 3));
}

#[test]
fn a_user_who_was_promised_an_id_joins_by_it() {
    let mut world = World::empty();
    let promised = ScimId::from_bits(7);
    let group = world.group("Sales", &[&promised.to_string()]);
    assert_eq!(world.waiting(), [promised.to_string()]);
    world.promised = Some(promised);
    assert_eq!(world.kinds(&create_user("ada", None)), [CREATED, ADDED, WAITS_NO_MORE]);
    assert_eq!(world.everyone_in(group), [promised]);
}

#[test]
fn a_directory_without_pending_members_is_asked_for_none() {
    let world = World::empty();
    let needs = Needs::of(&create_user("ada", Some("ext-1"))).beyond(&world.copy);
    assert_eq!(needs, Needs { user_names: ["ada".into()].into(), ..Needs::default() });
}

#[test]
fn more_pending_members_than_there_is_room_for_are_refused() {
    let mut world = World::empty();
    let group = world.group("Sales", &["old"]);
    world.settle();
    let refused = |world: &mut World, value: &str| {
        let replace = on_members(group, "replace", &[value]);
        assert!(world.ask(&replace).is_ok(), "it takes no more room than there was");
        world.ask(&on_members(group, "add", &["one more"])).unwrap_err()
    };
    world.ask(&on_members(group, "add", &["old"])).unwrap();
    world.copy.pending.count_of(group, MEMBERS_MAX);
    let too_many = |of, limit| Rejection::TooManyPending { of, limit };
    assert_eq!(refused(&mut world, "new"), too_many("in one group", MEMBERS_MAX));

    world.settle();
    world.copy.pending = Pending::with_total(100_000);
    assert_eq!(refused(&mut world, "newer"), too_many("in one directory", 100_000));

    let mut world = World::empty();
    for number in 0..1_024 {
        world.group(&format!("Group {number}"), &["ada"]);
    }
    let refused = world.ask(&create_group("One more", &["ADA"]));
    assert_eq!(refused, Err(too_many("for one user", 1_024)));
    assert_eq!(world.kinds(&create_user("ada", None)).len(), 1 + 2 * 1_024);

    let long = "x".repeat(1_025);
    let refused = world.ask(&create_group("Long", &[&long]));
    let too_long = Rejection::PendingMemberTooLong { bytes: 1_025, limit: 1_024 };
    assert_eq!(refused, Err(too_long));
}

/// What an identity provider does to the members of two groups, who may not be there yet. Each of them is
/// always named in the same way: two by their `externalId`, two by their user name in any letter case.
#[derive(Clone, Copy, Debug)]
struct Act {
    group: usize,
    user: usize,
    adds: bool,
    in_capitals: bool,
}

impl Act {
    fn value(self) -> String {
        match (self.user, self.in_capitals) {
            (0 | 1, _) => format!("ext-{}", self.user),
            (_, false) => format!("user{}@acme.example", self.user),
            (_, true) => format!("USER{}@ACME.example", self.user),
        }
    }
}

/// The last of them never arrives.
const USERS: usize = 4;

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = (0..2usize, 0..USERS, any::<bool>(), any::<bool>());
    let act =
        act.prop_map(|(group, user, adds, in_capitals)| Act { group, user, adds, in_capitals });
    prop::collection::vec(act, 0..16)
}

proptest! {
    #[test]
    fn whoever_comes_first_the_members_are_the_same_in_the_end(
        acts in acts(),
        arrivals in prop::array::uniform3(0..17usize),
        landings in prop::collection::vec(0..6usize, 17),
    ) {
        let mut world = World::empty();
        let groups = [world.group("One", &[]), world.group("Two", &[])];
        let mut users = [None; USERS];
        let mut expected = BTreeSet::new();
        for (step, landing) in landings.into_iter().enumerate() {
            match landing {
                0 => world.settle(),
                some => world.land(some.min(world.in_flight.len())),
            }
            for user in (0..USERS - 1).filter(|user| arrivals[*user] == step) {
                let (name, id) = (format!("User{user}@acme.example"), format!("ext-{user}"));
                users[user] = Some(world.user(&name, Some(&id)));
            }
            let Some(act) = acts.get(step) else { continue };
            let op = if act.adds { "add" } else { "remove" };
            world.ask(&on_members(groups[act.group], op, &[&act.value()])).unwrap();
            if act.adds {
                expected.insert((act.group, act.user));
            } else {
                expected.remove(&(act.group, act.user));
            }
        }
        world.settle();
        for (number, group) in groups.into_iter().enumerate() {
            let there = expected.iter().filter(|(of, _)| *of == number);
            let there: BTreeSet<_> = there.filter_map(|(_, user)| users[*user]).collect();
            prop_assert_eq!(world.members(group), there);
        }
        let waiting: BTreeSet<_> = world.pending.iter().map(|one| one.group).collect();
        let absent = expected.iter().filter(|(_, user)| users[*user].is_none());
        let absent: BTreeSet<_> = absent.map(|(group, _)| groups[*group]).collect();
        prop_assert_eq!(waiting, absent, "nobody waits for who is there");
    }
}
