//! Pending members, decided on facts that are gathered from a store which trails behind.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]

use std::collections::BTreeSet;

use directory::facts::{Pending, PendingMember};
use directory::patch::{parse_operations, split_members};
use directory::resource::{ScimSettings, UnknownMember, name_key, text};
use directory::{Answer, Command, Decision, Directory, Facts, Needs, Rejection, Stamp, Undecided};
use directory::{User, decide};
use proptest::prelude::*;
use schemas::scim::{GROUP, MEMBERS_MAX, USER, canonicalise, parse};
use schemas::wire::DirectoryType;
use schemas::{Change, DirectoryId, Event, EventType, OrganizationId, ScimId, Seq, Timestamp};
use serde_json::json;

/// How often a command may have to gather before it is decided.
const GATHERINGS_MAX: usize = 4;

/// A directory whose members may be pending: the store, and a working copy that is ahead of it.
struct World {
    /// Everything is known here, since it began empty.
    store: Facts,
    pending: BTreeSet<PendingMember>,
    copy: Facts,
    /// Decided on the copy; the store does not know of it yet.
    in_flight: Vec<(Change, Timestamp)>,
    promised: Option<ScimId>,
    ids: u128,
    millis: i64,
}

impl World {
    fn empty() -> Self {
        let directory = Directory {
            id: DirectoryId::from_bits(1),
            organization_id: OrganizationId::from_bits(2),
            external_key: "key".into(),
            scim: ScimSettings {
                unknown_member: UnknownMember::Pending,
                ..ScimSettings::default()
            },
            kind: DirectoryType::Generic,
            name: "Acme".into(),
            domains: Vec::new(),
            tokens: Vec::new(),
            deleting: false,
            created_at: Timestamp::from_millis(0),
            updated_at: Timestamp::from_millis(0),
        };
        let store = Facts::new(directory, Seq(0));
        let (pending, copy) = (BTreeSet::new(), store.clone());
        Self { store, pending, copy, in_flight: Vec::new(), promised: None, ids: 100, millis: 0 }
    }

    fn ask(&mut self, command: &Command) -> Result<Decision, Rejection> {
        let mut needs = Needs::of(command);
        for _ in 0..GATHERINGS_MAX {
            let found = self.gather(needs.beyond(&self.copy));
            self.copy.absorb(found);
            self.millis += 1;
            let at = Timestamp::from_millis(self.millis);
            let ids = &mut self.ids;
            let mut fresh = || {
                *ids += 1;
                *ids
            };
            let mut stamp = Stamp { at, promised: self.promised, ids: &mut fresh };
            match decide(&mut self.copy, command, &mut stamp) {
                Ok(decision) => {
                    let changes = decision.drafts.iter();
                    self.in_flight.extend(changes.map(|draft| (draft.change.clone(), draft.at)));
                    return Ok(decision);
                }
                Err(Undecided::Rejected(rejection)) => return Err(rejection),
                Err(Undecided::Missing(missing)) => needs = *missing.0,
            }
        }
        panic!("{command:?} has to gather again and again");
    }

    /// Some of what is in flight is accepted.
    fn land(&mut self, count: usize) {
        for (change, at) in self.in_flight.drain(..count) {
            self.store.apply(&change, at);
            match change {
                Change::PendingMemberAdded { group, value, name_key } => {
                    assert!(self.pending.insert(PendingMember { group, value, name_key }));
                }
                Change::PendingMemberRemoved { group, value } => {
                    let before = self.pending.len();
                    self.pending.retain(|one| (one.group, &one.value) != (group, &value));
                    assert_eq!(self.pending.len() + 1, before);
                }
                Change::GroupGone { id } => self.pending.retain(|one| one.group != id),
                _ => {}
            }
        }
        assert_eq!(self.store.pending.total(), self.pending.len());
    }

    /// Everything is accepted, and the next command begins with nothing but the directory's own facts.
    fn settle(&mut self) {
        self.land(self.in_flight.len());
        self.copy = self.gather(Needs::default());
    }

    fn gather(&self, needs: Needs) -> Facts {
        let mut facts = Facts::new(self.store.directory.clone(), self.store.tail);
        facts.pending = Pending::with_total(self.pending.len());
        let users = || self.store.users.values().flatten();
        for id in &needs.users {
            facts.users.insert(*id, self.store.users.get(id).cloned().flatten());
        }
        let know = |facts: &mut Facts, user: &User| {
            facts.users.insert(user.id, Some(user.clone()));
            user.id
        };
        for name in needs.user_names {
            let holder = users().find(|user| user.name_key == name);
            let holder = holder.map(|user| know(&mut facts, user));
            facts.user_names.insert(name, holder);
        }
        for id in needs.user_external_ids {
            let holders = users().filter(|user| text(&user.attributes, "externalId") == Some(&id));
            let holders = holders.map(|user| know(&mut facts, user)).collect();
            facts.user_external_ids.insert(id, holders);
        }
        for name in needs.group_names {
            facts.group_names.insert(name, None);
        }
        for id in needs.group_external_ids {
            facts.group_external_ids.insert(id, None);
        }
        for (group, user) in needs.memberships {
            let member = self.members(group).contains(&user);
            facts.memberships.insert((group, user), member);
        }
        for group in needs.members_of {
            let members = self.members(group);
            for user in users().filter(|user| members.contains(&user.id)) {
                know(&mut facts, user);
            }
            facts.members_of.insert(group, members);
        }
        let mut groups = needs.groups;
        for name in needs.pending {
            let same = |one: &&PendingMember| one.value == name || one.name_key == name_key(&name);
            let found: Vec<_> = self.pending.iter().filter(same).cloned().collect();
            groups.extend(found.iter().map(|one| one.group));
            facts.pending.all_named(name, found);
        }
        for group in needs.pending_of {
            let found = self.pending.iter().filter(|one| one.group == group).cloned();
            facts.pending.all_of(group, found.collect());
        }
        for id in groups {
            let count = self.pending.iter().filter(|one| one.group == id).count();
            facts.pending.count_of(id, count);
            facts.groups.insert(id, self.store.groups.get(&id).cloned().flatten());
        }
        facts
    }

    fn members(&self, group: ScimId) -> BTreeSet<ScimId> {
        self.store.members_of.get(&group).cloned().unwrap_or_default()
    }

    fn kinds(&mut self, command: &Command) -> Vec<EventType> {
        let decision = self.ask(command).unwrap();
        decision.drafts.iter().map(|draft| draft.event.kind()).collect()
    }

    fn user(&mut self, name: &str, external_id: Option<&str>) -> ScimId {
        match self.ask(&create_user(name, external_id)).unwrap().answer {
            Answer::User(user) => user.id,
            other @ (Answer::Group(_) | Answer::Gone | Answer::Nothing) => panic!("{other:?}"),
        }
    }

    fn group(&mut self, name: &str, members: &[&str]) -> ScimId {
        match self.ask(&create_group(name, members)).unwrap().answer {
            Answer::Group(group) => group.id,
            other @ (Answer::User(_) | Answer::Gone | Answer::Nothing) => panic!("{other:?}"),
        }
    }

    fn waiting(&mut self) -> Vec<String> {
        self.settle();
        self.pending.iter().map(|one| one.value.clone()).collect()
    }

    fn everyone_in(&mut self, group: ScimId) -> Vec<ScimId> {
        self.settle();
        self.members(group).into_iter().collect()
    }
}

fn user_body(name: &str, external_id: Option<&str>) -> schemas::scim::Attributes {
    let body = json!({ "userName": name, "externalId": external_id });
    canonicalise(&USER, parse(body.to_string().as_bytes()).unwrap()).unwrap()
}

fn create_user(name: &str, external_id: Option<&str>) -> Command {
    Command::CreateUser { attributes: user_body(name, external_id).into() }
}

fn group_body(name: &str) -> schemas::scim::Attributes {
    let body = json!({ "displayName": name }).to_string();
    canonicalise(&GROUP, parse(body.as_bytes()).unwrap()).unwrap()
}

fn create_group(name: &str, members: &[&str]) -> Command {
    let members = members.iter().map(|&member| member.to_owned()).collect();
    Command::CreateGroup { attributes: group_body(name), members }
}

fn operations_of(operations: &serde_json::Value) -> Vec<directory::patch::Operation> {
    let body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": operations });
    parse_operations(&parse(body.to_string().as_bytes()).unwrap()).unwrap()
}

fn patch_user(id: ScimId, name: &str, value: serde_json::Value) -> Command {
    let operations = json!([{ "op": "replace", "path": name, "value": value }]);
    Command::PatchUser { id, operations: operations_of(&operations) }
}

fn patch_group(id: ScimId, operations: &serde_json::Value) -> Command {
    let (operations, members) = split_members(operations_of(operations)).unwrap();
    Command::PatchGroup { id, operations, members }
}

fn on_members(id: ScimId, op: &str, values: &[&str]) -> Command {
    let values: Vec<_> = values.iter().map(|value| json!({ "value": value })).collect();
    patch_group(id, &json!([{ "op": op, "path": "members", "value": values }]))
}

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
    };
    assert_eq!(world.kinds(&put), []);
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
    let put = Command::ReplaceGroup { id, attributes, members };
    assert_eq!(world.kinds(&put), [WAITS_NO_MORE]);
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
        for step in 0..17 {
            match landings[step] {
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
