//! Groups and who belongs to them.

use super::*;

#[test]
fn a_group_with_members_is_one_commit_of_the_group_and_each_member() {
    let mut world = World::empty();
    let (ada, bob) = (world.user("ada@acme.example"), world.user("bob@acme.example"));
    let attributes = canonicalise(&GROUP, parse(&group_body("Sales")).unwrap()).unwrap();
    let members = vec![ada.to_string(), bob.to_string(), ada.to_string()];
    let kinds = world.kinds(&Command::CreateGroup { attributes, members });
    let added = EventType::GroupUserAdded;
    assert_eq!(kinds, [EventType::GroupCreated, added, added], "a member named twice joins once");
}

#[test]
fn a_member_who_does_not_exist_is_named_and_nobody_joins() {
    let mut world = World::empty();
    let ada = world.user("ada@acme.example");
    let group = world.group("Sales", &[]);
    let before = world.facts.tail;
    let add = json!([{ "op": "add", "path": "members",
        "value": [{ "value": ada.to_string() }, { "value": "nobody" }] }]);
    let refused = world.ask(&patch_group(group, add));
    assert_eq!(refused, Err(Rejection::NoSuchMember("nobody".into())));
    assert_eq!(world.facts.tail, before);
}

#[test]
fn adding_a_member_twice_and_removing_a_stranger_are_no_events() {
    let mut world = World::empty();
    let (ada, bob) = (world.user("ada@acme.example"), world.user("bob@acme.example"));
    let group = world.group("Sales", &[ada]);
    let add = json!([{ "op": "add", "path": "members", "value": [{ "value": ada.to_string() }] }]);
    assert_eq!(world.kinds(&patch_group(group, add)), []);
    let remove = json!([{ "op": "remove", "path": "members",
        "value": [{ "value": bob.to_string() }] }]);
    assert_eq!(world.kinds(&patch_group(group, remove)), []);
}

#[test]
fn replacing_members_says_who_left_and_who_joined() {
    let mut world = World::empty();
    let ada = world.user("ada@acme.example");
    let bob = world.user("bob@acme.example");
    let eve = world.user("eve@acme.example");
    let group = world.group("Sales", &[ada, bob]);
    let replace = json!([{ "op": "replace", "path": "members",
        "value": [{ "value": bob.to_string() }, { "value": eve.to_string() }] }]);
    let kinds = world.kinds(&patch_group(group, replace));
    assert_eq!(kinds, [EventType::GroupUserRemoved, EventType::GroupUserAdded]);
}

#[test]
fn everyone_may_be_told_to_leave_a_thousand_times_and_who_is_named_after_that_stays() {
    let mut world = World::empty();
    let (ada, bob, eve) = (world.user("ada"), world.user("bob"), world.user("eve"));
    let team = world.group("Team", &[ada, bob]);
    let replace = |who: ScimId| json!({"op": "replace", "path": "members", "value": [{"value": who.to_string()}]});
    let mut operations = vec![replace(ada); 998];
    operations.extend([
        replace(eve),
        json!({"op": "add", "path": "members", "value": [{"value": bob.to_string()}]}),
    ]);
    let decision = world.ask(&patch_group(team, json!(operations))).unwrap();
    let kinds: Vec<_> = decision.drafts.iter().map(|draft| draft.event.kind()).collect();
    assert_eq!(kinds, [EventType::GroupUserRemoved, EventType::GroupUserAdded]);
    assert_eq!(world.facts.members_of[&team], [bob, eve].into());
}

#[test]
fn a_rename_of_a_group_keeps_its_members_and_its_identity() {
    let mut world = World::empty();
    let ada = world.user("ada@acme.example");
    let group = world.group("Sales", &[ada]);
    let rename = json!([{ "op": "replace", "value": { "displayName": "Sales EMEA" } }]);
    let decision = world.ask(&patch_group(group, rename)).unwrap();
    let [draft] = &decision.drafts[..] else { panic!("one event") };
    let Event::GroupUpdated(updated) = &draft.event else { panic!("an update") };
    assert_eq!(
        (updated.group.name.as_str(), updated.group.idp_id.as_str()),
        ("Sales EMEA", "Sales")
    );
    assert_eq!(world.facts.members_of[&group].len(), 1);
}

#[test]
fn a_deleted_user_is_in_no_group() {
    let mut world = World::empty();
    let ada = world.user("ada@acme.example");
    let group = world.group("Sales", &[ada]);
    assert_eq!(world.kinds(&Command::DeleteUser { id: ada }), [EventType::UserDeleted]);
    assert!(world.facts.members_of[&group].is_empty());
}

#[test]
fn a_group_has_a_new_version_when_one_of_its_members_is_deleted() {
    let mut world = World::empty();
    let (ada, bob) = (world.user("ada"), world.user("bob"));
    let (team, other) = (world.group("Team", &[ada]), world.group("Other", &[bob]));
    let version = |world: &World, group| world.facts.groups[&group].as_ref().unwrap().version;
    let (seen, untouched) = (version(&world, team), version(&world, other));
    world.ask(&Command::DeleteUser { id: ada }).unwrap();
    assert_eq!((version(&world, team), version(&world, other)), (world.facts.tail, untouched));
    let rename = json!([{"op": "replace", "path": "displayName", "value": "Crew"}]);
    let then = Box::new(patch_group(team, rename));
    let conditional = Command::Conditional { versions: vec![seen], then };
    let refused = world.ask(&conditional).unwrap_err();
    assert_eq!(refused, Rejection::VersionMismatch(world.facts.tail));
}
