//! What apps are told of users under the rules of their directory: the attribute map, and what becomes of
//! who is inactive.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]

mod app;
#[path = "../pending/world.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod world;

use std::sync::Arc;

use directory::{AttributeMap, Command, InactiveUsers};
use proptest::prelude::*;
use schemas::wire::{InactiveUserChange, UserState};
use schemas::{Event, EventType, ScimId};
use serde_json::json;

use app::App;
use world::{World, create_group, create_user, on_members, patch_user};

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
        let name = format!("group{group}");
        groups.find(|group| group.name_key == name).map(|group| group.id)
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
        Step::Refresh(user) => Some(refresh(&[id(world, *user)?])),
        Step::Map(_) | Step::Policy(_) | Step::Land(_) => None,
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
        Step::Land(count) => world.land(usize::from(*count).min(world.in_flight.len())),
        Step::Create(_)
        | Step::Title(..)
        | Step::Active(..)
        | Step::Delete(_)
        | Step::Group(_)
        | Step::Join(..)
        | Step::Leave(..)
        | Step::Refresh(_) => {}
    }
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
}
