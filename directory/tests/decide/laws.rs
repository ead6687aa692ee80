//! Laws that hold whatever an identity provider does.

use directory::{Answer, Command, Facts};
use proptest::prelude::*;
use schemas::ScimId;
use schemas::scim::{GROUP, canonicalise, parse};
use serde_json::json;

use super::{World, create_user, group_body, patch_group, patch_user};

/// What an identity provider may do to a handful of users and groups.
#[derive(Clone, Debug)]
enum Act {
    Create(u8),
    Rename(usize, u8),
    Delete(usize),
    Group(u8, Vec<usize>),
    Join(usize, Vec<usize>),
    Leave(usize, Vec<usize>),
    Only(usize, Vec<usize>),
    DeleteGroup(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let some = || prop::collection::vec(0..6usize, 0..4);
    let act = prop_oneof![
        (0..6u8).prop_map(Act::Create),
        (0..6usize, 0..6u8).prop_map(|(user, name)| Act::Rename(user, name)),
        (0..6usize).prop_map(Act::Delete),
        (0..4u8, some()).prop_map(|(name, users)| Act::Group(name, users)),
        (0..4usize, some()).prop_map(|(group, users)| Act::Join(group, users)),
        (0..4usize, some()).prop_map(|(group, users)| Act::Leave(group, users)),
        (0..4usize, some()).prop_map(|(group, users)| Act::Only(group, users)),
        (0..4usize).prop_map(Act::DeleteGroup),
    ];
    prop::collection::vec(act, 1..40)
}

/// The ids that acts speak of by number.
#[derive(Default)]
struct Known {
    users: Vec<ScimId>,
    groups: Vec<ScimId>,
}

impl Known {
    fn note(&mut self, act: &Act, answer: &Answer) {
        match answer {
            Answer::User(user) if matches!(act, Act::Create(_)) => self.users.push(user.id),
            Answer::Group(group) if matches!(act, Act::Group(..)) => self.groups.push(group.id),
            Answer::User(_) | Answer::Group(_) | Answer::Gone | Answer::Nothing => {}
        }
    }
}

fn command(act: &Act, known: &Known) -> Option<Command> {
    let user = |index: &usize| known.users.get(*index).copied();
    let group = |index: &usize| known.groups.get(*index).copied();
    let members = |users: &[usize]| -> Vec<serde_json::Value> {
        users.iter().filter_map(user).map(|id| json!({ "value": id.to_string() })).collect()
    };
    let on_members = |op: &str, users: &[usize]| json!([{ "op": op, "path": "members", "value": members(users) }]);
    Some(match act {
        Act::Create(name) => create_user(&format!("user{name}@acme.example")),
        Act::Rename(index, name) => patch_user(
            user(index)?,
            json!([{ "op": "replace", "path": "userName", "value": format!("USER{name}@acme.example") }]),
        ),
        Act::Delete(index) => Command::DeleteUser { id: user(index)? },
        Act::Group(name, users) => Command::CreateGroup {
            attributes: canonicalise(&GROUP, parse(&group_body(&format!("Group {name}"))).unwrap())
                .unwrap(),
            members: users.iter().filter_map(user).map(|id| id.to_string()).collect(),
        },
        Act::Join(index, users) => patch_group(group(index)?, on_members("add", users)),
        Act::Leave(index, users) => patch_group(group(index)?, on_members("remove", users)),
        Act::Only(index, users) => patch_group(group(index)?, on_members("replace", users)),
        Act::DeleteGroup(index) => Command::DeleteGroup { id: group(index)? },
    })
}

proptest! {
    #[test]
    fn whatever_is_asked_names_stay_unique_members_exist_and_a_repeat_changes_nothing(acts in acts()) {
        let (mut world, mut known) = (World::empty(), Known::default());
        for act in &acts {
            let Some(command) = command(act, &known) else { continue };
            let before = world.facts.clone();
            match world.ask(&command) {
                Ok(decision) => {
                    prop_assert_eq!(
                        world.facts.tail.0, before.tail.0 + decision.drafts.len() as u64
                    );
                    known.note(act, &decision.answer);
                    if !matches!(act, Act::Create(_) | Act::Group(..) | Act::Delete(_) | Act::DeleteGroup(_)) {
                        prop_assert_eq!(world.kinds(&command), []);
                    }
                }
                Err(_) => prop_assert_eq!(world.facts.tail, before.tail, "a refusal changes nothing"),
            }
            consistent(&world.facts)?;
        }
    }

    #[test]
    fn the_facts_after_deciding_are_those_of_applying_the_changes(acts in acts()) {
        let (mut world, mut known) = (World::empty(), Known::default());
        let mut replica = World::empty().facts;
        for act in &acts {
            let Some(command) = command(act, &known) else { continue };
            let Ok(decision) = world.ask(&command) else { continue };
            for draft in &decision.drafts {
                replica.apply(&draft.change, draft.at);
            }
            known.note(act, &decision.answer);
        }
        let present = |facts: &Facts| -> Vec<_> {
            facts.users.values().flatten().cloned().collect()
        };
        prop_assert_eq!(present(&world.facts), present(&replica));
        prop_assert_eq!(world.facts.tail, replica.tail);
    }
}

fn consistent(facts: &Facts) -> Result<(), TestCaseError> {
    let mut names: Vec<&str> = facts.users.values().flatten().map(|user| &*user.name_key).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    prop_assert_eq!(names.len(), count, "two users of one name");
    for (group, everyone) in &facts.members_of {
        let exists = facts.groups.get(group).is_some_and(Option::is_some);
        prop_assert!(exists || everyone.is_empty(), "members of a group that is gone");
        for user in everyone {
            prop_assert!(facts.users[user].is_some(), "a member who is gone");
        }
    }
    Ok(())
}
