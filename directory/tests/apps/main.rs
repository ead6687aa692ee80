//! What apps are told of users under the rules of their directory: the attribute map, and what becomes of
//! who is inactive.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]

mod app;
#[path = "../pending/world.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod world;

use std::sync::Arc;

use directory::{Answer, AttributeMap, Command, InactiveUsers, Rejection};
use proptest::prelude::*;
use schemas::scim::{SharedAttributes, USER, canonicalise, parse};
use schemas::wire::{InactiveUserChange, UserState};
use schemas::{Event, EventType, ScimId};
use serde_json::json;

use app::App;
use world::{World, create_group, create_user, on_members, patch_group, patch_user};

const CREATED: EventType = EventType::UserCreated;
const UPDATED: EventType = EventType::UserUpdated;
const DELETED: EventType = EventType::UserDeleted;
const ADDED: EventType = EventType::GroupUserAdded;
const UNSEEN: EventType = EventType::InactiveUserChanged;

fn set_map(world: &mut World, map: &serde_json::Value) {
    let map = Arc::new(AttributeMap::parse(map).unwrap());
    world.store.directory.apps.attribute_map = map;
    world.settle();
}

fn set_policy(world: &mut World, policy: InactiveUsers) {
    world.store.directory.apps.inactive_users = policy;
    world.settle();
}

fn set_roles(world: &mut World, mapping: &serde_json::Value) {
    let mapping = serde_json::from_value(mapping.clone()).unwrap();
    world.store.directory.apps.role_mapping = Arc::new(mapping);
    world.settle();
}

fn rename(group: ScimId, name: &str) -> Command {
    patch_group(group, &json!([{ "op": "replace", "path": "displayName", "value": name }]))
}

fn refresh(ids: &[ScimId]) -> Command {
    Command::RefreshUsers { ids: ids.to_vec() }
}

fn active(id: ScimId, active: bool) -> Command {
    patch_user(id, "active", json!(active))
}

#[test]
fn a_new_map_is_told_once_to_whom_it_changes_and_to_nobody_else() {
    let mut world = World::empty();
    let (ada, bob) = (world.user("ada", None), world.user("bob", None));
    world.ask(&patch_user(ada, "title", json!("Countess"))).unwrap();
    set_map(&mut world, &json!({ "custom": { "rank": "title" } }));
    let decision = world.ask(&refresh(&[ada, bob])).unwrap();
    let [draft] = &decision.drafts[..] else { panic!("one event") };
    let Event::UserUpdated(told) = &draft.event else { panic!("an update") };
    assert_eq!(
        serde_json::to_value(&told.user.custom_attributes).unwrap(),
        json!({ "rank": "Countess" })
    );
    let previous = serde_json::to_value(&told.previous_attributes).unwrap();
    assert_eq!(previous, json!({ "custom_attributes": { "rank": null } }));
    assert_eq!(world.kinds(&refresh(&[ada, bob])), []);
}

#[test]
fn who_changes_before_the_job_comes_is_told_with_both_differences_and_the_job_adds_nothing() {
    let mut world = World::empty();
    let ada = world.user("ada", None);
    world.ask(&patch_user(ada, "title", json!("Countess"))).unwrap();
    set_map(&mut world, &json!({ "custom": { "rank": "title" }, "standard": { "name": "title" } }));
    let decision = world.ask(&patch_user(ada, "name.givenName", json!("Ada"))).unwrap();
    let [draft] = &decision.drafts[..] else { panic!("one event") };
    let Event::UserUpdated(told) = &draft.event else { panic!("an update") };
    let previous = serde_json::to_value(&told.previous_attributes).unwrap();
    assert_eq!(
        previous,
        json!({ "first_name": null, "name": null, "raw_attributes": { "name": null },
            "custom_attributes": { "rank": null } })
    );
    assert_eq!(world.kinds(&refresh(&[ada])), []);
    world.settle();
    assert_eq!(world.kinds(&refresh(&[ada])), []);
}

#[test]
fn a_mapped_attribute_without_value_is_null_and_changes_nothing() {
    let mut world = World::empty();
    let ada = world.user("ada", None);
    set_map(&mut world, &json!({ "custom": { "rank": "title" } }));
    assert_eq!(world.kinds(&refresh(&[ada])), []);
    let decision = world.ask(&create_user("bob", None)).unwrap();
    let Event::UserCreated(told) = &decision.drafts[0].event else { panic!("created") };
    assert_eq!(serde_json::to_value(&told.custom_attributes).unwrap(), json!({ "rank": null }));
}

#[test]
fn a_request_that_changes_nothing_stays_silent_under_a_new_map() {
    let mut world = World::empty();
    let ada = world.user("ada", None);
    world.ask(&patch_user(ada, "title", json!("Countess"))).unwrap();
    set_map(&mut world, &json!({ "custom": { "rank": "title" } }));
    assert_eq!(world.kinds(&patch_user(ada, "title", json!("Countess"))), []);
    assert_eq!(world.kinds(&refresh(&[ada])), [UPDATED]);
}

#[test]
fn an_inactive_user_is_kept_by_default() {
    let mut world = World::empty();
    let ada = world.user("ada", None);
    let decision = world.ask(&active(ada, false)).unwrap();
    let Event::UserUpdated(told) = &decision.drafts[0].event else { panic!("an update") };
    assert_eq!(told.user.state, UserState::Inactive);
    assert_eq!(serde_json::to_value(&told.previous_attributes).unwrap()["state"], "active");
}

#[test]
fn an_inactive_user_is_deleted_for_apps_and_returns_as_somebody_new_with_its_groups() {
    let mut world = World::empty();
    set_policy(&mut world, InactiveUsers::Delete);
    let ada = world.user("ada", None);
    let sales = world.group("Sales", &[&ada.to_string()]);
    let support = world.group("Support", &[&ada.to_string()]);
    world.settle();
    let gone = world.ask(&active(ada, false)).unwrap();
    let [draft] = &gone.drafts[..] else { panic!("one event") };
    let Event::UserDeleted(deleted) = &draft.event else { panic!("a deletion") };
    assert_eq!(deleted.state, UserState::Inactive);

    let unseen = [
        on_members(sales, "remove", &[&ada.to_string()]),
        patch_user(ada, "title", json!("Countess")),
    ];
    for command in &unseen {
        assert_eq!(world.kinds(command), [UNSEEN]);
    }
    let ops = world.group("Ops", &[]);
    assert_eq!(world.kinds(&on_members(ops, "add", &[&ada.to_string()])), [UNSEEN]);
    world.settle();
    assert_eq!(world.everyone_in(sales), []);
    assert_eq!(world.everyone_in(ops), [ada], "what apps are not told is still kept");

    let back = world.ask(&active(ada, true)).unwrap();
    let kinds: Vec<_> = back.drafts.iter().map(|draft| draft.event.kind()).collect();
    assert_eq!(kinds, [CREATED, ADDED, ADDED]);
    let Event::UserCreated(created) = &back.drafts[0].event else { panic!("created") };
    assert_ne!(created.id, deleted.id);
    assert!(created.created_at > deleted.created_at);
    assert_eq!(created.job_title.as_deref(), Some("Countess"));
    let joined: Vec<_> = back.drafts[1..]
        .iter()
        .map(|draft| {
            let Event::GroupUserAdded(joined) = &draft.event else { panic!("a membership") };
            assert_eq!(joined.user.id, created.id);
            joined.group.name.as_str()
        })
        .collect();
    assert_eq!(joined, ["Support", "Ops"]);
    let user = world.copy.users[&ada].as_ref().unwrap();
    assert!(user.created_at < created.created_at, "the SCIM resource lives on");
    let _ = support;
}

#[test]
fn who_is_created_inactive_is_told_when_it_turns_active() {
    let mut world = World::empty();
    set_policy(&mut world, InactiveUsers::Delete);
    let mut attributes = world::user_body("ada", None);
    attributes.insert("active", false);
    let create = Command::CreateUser { attributes: attributes.into() };
    let decision = world.ask(&create).unwrap();
    let [draft] = &decision.drafts[..] else { panic!("one event") };
    let Event::InactiveUserChanged(told) = &draft.event else { panic!("unseen") };
    assert_eq!((told.change, told.username.as_deref()), (InactiveUserChange::Created, Some("ada")));
    assert_eq!(world.kinds(&active(told.scim_id, true)), [CREATED]);
    assert_eq!(world.kinds(&active(told.scim_id, false)), [DELETED]);
    assert_eq!(world.kinds(&Command::DeleteUser { id: told.scim_id }), [UNSEEN]);
}

#[test]
fn another_policy_converts_who_is_there() {
    let mut world = World::empty();
    let (ada, bob) = (world.user("ada", None), world.user("bob", None));
    world.group("Sales", &[&ada.to_string(), &bob.to_string()]);
    world.ask(&active(ada, false)).unwrap();
    set_policy(&mut world, InactiveUsers::Delete);
    assert_eq!(world.kinds(&refresh(&[ada, bob])), [DELETED]);
    assert_eq!(world.kinds(&refresh(&[ada, bob])), []);
    set_policy(&mut world, InactiveUsers::Keep);
    assert_eq!(world.kinds(&refresh(&[ada, bob])), [CREATED, ADDED]);
    assert_eq!(world.kinds(&refresh(&[ada, bob])), []);
}

/// The slugs of the roles that an update tells of, and those before.
fn roles(event: &Event) -> (Vec<String>, serde_json::Value) {
    let Event::UserUpdated(told) = event else { panic!("{event:?} is no update") };
    let roles = told.user.roles.as_ref().unwrap();
    assert_eq!(told.user.role.as_ref(), roles.first());
    let slugs = roles.iter().map(|role| role.slug.clone()).collect();
    (slugs, serde_json::to_value(&told.previous_attributes).unwrap())
}

#[test]
fn roles_follow_groups_in_the_commit_that_changes_them() {
    let mut world = World::empty();
    let mapping = json!({ "default_role": "member", "groups": [
        { "group": "Admins", "role": "admin" }, { "group": "Sales", "role": "seller" } ] });
    set_roles(&mut world, &mapping);
    let created = world.ask(&create_user("ada", None)).unwrap();
    let Event::UserCreated(told) = &created.drafts[0].event else { panic!("created") };
    assert_eq!(told.role.as_ref().unwrap().slug, "member");
    let Answer::User(ada) = created.answer else { panic!("a user") };
    let ada = ada.id;
    let joins = |group| on_members(group, "add", &[&ada.to_string()]);
    let (sales, admins, others) =
        (world.group("Sales", &[]), world.group("Admins", &[]), world.group("Others", &[]));
    world.settle();

    let joined = world.ask(&joins(sales)).unwrap();
    let kinds: Vec<_> = joined.drafts.iter().map(|draft| draft.event.kind()).collect();
    assert_eq!(kinds, [ADDED, UPDATED]);
    let (slugs, previous) = roles(&joined.drafts[1].event);
    assert_eq!(slugs, ["seller"]);
    let member = json!({ "slug": "member" });
    assert_eq!(previous, json!({ "role": member, "roles": [member] }));
    assert_eq!(world.kinds(&joins(others)), [ADDED], "a group without a role");
    let joined = world.ask(&joins(admins)).unwrap();
    assert_eq!(roles(&joined.drafts[1].event).0, ["admin", "seller"]);

    // A group that is renamed, or goes, takes its role along.
    let renamed = world.ask(&rename(admins, "Former admins")).unwrap();
    assert_eq!(roles(&renamed.drafts[1].event).0, ["seller"]);
    assert_eq!(world.kinds(&rename(others, "Admins")), [EventType::GroupUpdated, UPDATED]);
    let gone = world.ask(&Command::DeleteGroup { id: others }).unwrap();
    assert_eq!(roles(&gone.drafts[1].event).0, ["seller"]);
    let left = world.ask(&on_members(sales, "remove", &[&ada.to_string()])).unwrap();
    assert_eq!(roles(&left.drafts[1].event).0, ["member"]);
    // Another change of the user keeps them.
    let title = world.ask(&patch_user(ada, "title", json!("Countess"))).unwrap();
    assert_eq!(roles(&title.drafts[0].event).0, ["member"]);
}

#[test]
fn a_new_mapping_is_told_to_whom_it_changes() {
    let mut world = World::empty();
    let (ada, bob) = (world.user("ada", None), world.user("bob", None));
    let sales = world.group("Sales", &[&ada.to_string()]);
    let id = world.copy.groups[&sales].as_ref().unwrap().group_id.to_string();
    set_roles(&mut world, &json!({ "groups": [{ "group": id, "role": "seller" }] }));
    let decision = world.ask(&refresh(&[ada, bob])).unwrap();
    let (slugs, previous) = roles(&decision.drafts[0].event);
    assert_eq!((slugs, previous), (vec!["seller".into()], json!({ "role": null, "roles": null })));
    assert_eq!(roles(&decision.drafts[1].event).0, [""; 0], "configured, and none");
    assert_eq!(world.kinds(&refresh(&[ada, bob])), []);
}

#[test]
fn a_user_that_a_group_waits_for_arrives_and_gets_its_role() {
    let mut world = World::empty();
    set_roles(&mut world, &json!({ "groups": [{ "group": "Sales", "role": "seller" }] }));
    world.group("Sales", &["ada"]);
    world.settle();
    let kinds = world.kinds(&create_user("ada", None));
    assert_eq!(kinds, [CREATED, ADDED, EventType::GroupPendingMemberRemoved, UPDATED]);
}

#[derive(Clone, Debug)]
enum Step {
    Create(u8),
    Title(u8, u8),
    Active(u8, bool),
    Delete(u8),
    Group(u8),
    Join(u8, u8),
    Leave(u8, u8),
    Map(u8),
    Policy(bool),
    Roles(u8),
    Rename(u8, u8),
    Drop(u8),
    Refresh(u8),
    Land(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let user = 0_u8..4;
    let step = prop_oneof![
        user.clone().prop_map(Step::Create),
        (user.clone(), 0_u8..3).prop_map(|(user, title)| Step::Title(user, title)),
        (user.clone(), any::<bool>()).prop_map(|(user, active)| Step::Active(user, active)),
        user.clone().prop_map(Step::Delete),
        (0_u8..2).prop_map(Step::Group),
        (user.clone(), 0_u8..2).prop_map(|(user, group)| Step::Join(user, group)),
        (user.clone(), 0_u8..2).prop_map(|(user, group)| Step::Leave(user, group)),
        (0_u8..4).prop_map(Step::Map),
        any::<bool>().prop_map(Step::Policy),
        (0_u8..3).prop_map(Step::Roles),
        (0_u8..2, 0_u8..3).prop_map(|(group, name)| Step::Rename(group, name)),
        (0_u8..2).prop_map(Step::Drop),
        user.prop_map(Step::Refresh),
        (0_u8..4).prop_map(Step::Land),
    ];
    proptest::collection::vec(step, 1..40)
}

/// What a step asks for; none if it changes the rules or lands what is in flight.
fn command(world: &mut World, step: &Step) -> Option<Command> {
    let id = |world: &World, user: u8| {
        let mut users = world.copy.users.values().chain(world.store.users.values()).flatten();
        let name = format!("user{user}");
        users.find(|user| user.name_key == name).map(|user| user.id)
    };
    let group = |world: &World, group: u8| {
        let mut groups = world.copy.groups.values().chain(world.store.groups.values()).flatten();
        groups.find(|found| found.idp_id == format!("group{group}")).map(|group| group.id)
    };
    match step {
        Step::Create(user) => Some(create_user(&format!("user{user}"), None)),
        Step::Title(user, title) => {
            let titles = [json!("Countess"), json!("Engineer"), json!(null)];
            Some(patch_user(id(world, *user)?, "title", titles[usize::from(*title)].clone()))
        }
        Step::Active(user, on) => Some(active(id(world, *user)?, *on)),
        Step::Delete(user) => Some(Command::DeleteUser { id: id(world, *user)? }),
        Step::Group(number) => match group(world, *number) {
            Some(_) => None,
            None => Some(create_group(&format!("group{number}"), &[])),
        },
        Step::Join(user, of) => {
            Some(on_members(group(world, *of)?, "add", &[&id(world, *user)?.to_string()]))
        }
        Step::Leave(user, of) => {
            Some(on_members(group(world, *of)?, "remove", &[&id(world, *user)?.to_string()]))
        }
        Step::Rename(of, name) => Some(rename(group(world, *of)?, &format!("name{of}{name}"))),
        Step::Drop(of) => Some(Command::DeleteGroup { id: group(world, *of)? }),
        Step::Refresh(user) => Some(refresh(&[id(world, *user)?])),
        Step::Map(_) | Step::Policy(_) | Step::Roles(_) | Step::Land(_) => None,
    }
}

/// A change of the rules takes effect with the next gathering, whatever is in flight.
fn turn(world: &mut World, step: &Step) {
    let maps = [
        json!({}),
        json!({ "custom": { "rank": "title" } }),
        json!({ "custom": { "rank": "title", "nick": "nickName" }, "predefined": ["username"] }),
        json!({ "standard": { "name": ["title", "userName"] } }),
    ];
    match step {
        Step::Map(map) => {
            let map = AttributeMap::parse(&maps[usize::from(*map)]).unwrap();
            world.store.directory.apps.attribute_map = Arc::new(map);
        }
        Step::Policy(keep) => {
            let policy = if *keep { InactiveUsers::Keep } else { InactiveUsers::Delete };
            world.store.directory.apps.inactive_users = policy;
        }
        Step::Roles(mapping) => {
            let mappings = [
                json!({}),
                json!({ "groups": [{ "group": "name00", "role": "a" }, { "group": "group1", "role": "b" }] }),
                json!({ "default_role": "c", "groups": [{ "group": "name10", "role": "b" },
                    { "group": "group0", "role": "d" }, { "group": "name00", "role": "a" }] }),
            ];
            let mapping = serde_json::from_value(mappings[usize::from(*mapping)].clone()).unwrap();
            world.store.directory.apps.role_mapping = Arc::new(mapping);
        }
        Step::Land(count) => world.land(usize::from(*count).min(world.in_flight.len())),
        Step::Create(_)
        | Step::Title(..)
        | Step::Active(..)
        | Step::Delete(_)
        | Step::Group(_)
        | Step::Join(..)
        | Step::Leave(..)
        | Step::Rename(..)
        | Step::Drop(_)
        | Step::Refresh(_) => {}
    }
}

#[test]
fn what_roles_add_to_a_commit_counts_towards_its_limit() {
    let mut world = World::empty();
    let users: Vec<ScimId> =
        (0..3_200).map(|number| world.user(&format!("user{number}"), None)).collect();
    let members: Vec<String> = users.iter().map(ToString::to_string).collect();
    let members: Vec<&str> = members.iter().map(String::as_str).collect();
    let crew = world.group("Crew", &members);
    world.settle();
    let photo = json!({"userName": "x", "photos": [{"value": "x".repeat(22_000)}]});
    let body = parse(photo.to_string().as_bytes()).unwrap();
    let large = SharedAttributes::from(canonicalise(&USER, body).unwrap());
    for user in world.store.users.values_mut().flatten() {
        user.attributes = large.clone();
    }
    set_roles(&mut world, &json!({ "groups": [{ "group": "Chiefs", "role": "chief" }] }));
    let before = world.store.tail;
    let Err(Rejection::Invalid(error)) = world.ask(&rename(crew, "Chiefs")) else {
        panic!("it is refused")
    };
    assert_eq!(error.status, 413, "{}", error.detail);
    assert!(error.detail.contains("3201 events"), "{}", error.detail);
    world.settle();
    assert_eq!(world.store.tail, before, "nothing is decided");
    assert_eq!(world.kinds(&rename(crew, "Crews")).len(), 1, "and the next is decided on what was");
}

proptest! {
    /// Whatever happens while rules change and a job brings users up to date, an app that knows nothing
    /// but what it is told ends up with exactly what the rules make of the directory.
    #[test]
    fn an_app_that_follows_has_what_the_rules_make_of_the_directory(steps in steps()) {
        let mut world = World::empty();
        let mut app = App::default();
        for step in &steps {
            turn(&mut world, step);
            if let Some(command) = command(&mut world, step)
                && let Ok(decision) = world.ask(&command)
            {
                app.hear(&decision.drafts);
            }
        }
        world.settle();
        let everyone: Vec<ScimId> =
            world.store.users.iter().filter_map(|(id, user)| user.as_ref().map(|_| *id)).collect();
        let decision = world.ask(&refresh(&everyone)).unwrap();
        app.hear(&decision.drafts);
        world.settle();
        prop_assert_eq!(&app, &App::read(&world.store));
        prop_assert_eq!(world.kinds(&refresh(&everyone)), []);
    }

    /// As long as the rules stay, every request leaves apps with what they make of the directory, and a
    /// job has nothing to do.
    #[test]
    fn under_rules_that_stay_there_is_nothing_to_bring_up_to_date(
        rules in (0_u8..4, any::<bool>(), 0_u8..3),
        steps in steps(),
    ) {
        let mut world = World::empty();
        let mut app = App::default();
        turn(&mut world, &Step::Map(rules.0));
        turn(&mut world, &Step::Policy(rules.1));
        turn(&mut world, &Step::Roles(rules.2));
        world.settle();
        let is_rule = |step: &&Step| matches!(step, Step::Map(_) | Step::Policy(_) | Step::Roles(_));
        for step in steps.iter().filter(|step| !is_rule(step)) {
            turn(&mut world, step);
            if let Some(command) = command(&mut world, step)
                && let Ok(decision) = world.ask(&command)
            {
                app.hear(&decision.drafts);
            }
        }
        world.settle();
        prop_assert_eq!(&app, &App::read(&world.store));
        let everyone: Vec<ScimId> = world.store.users.keys().copied().collect();
        prop_assert_eq!(world.kinds(&refresh(&everyone)), []);
    }
}
