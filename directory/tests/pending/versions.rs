//! While commits are in flight, the copy has the versions that the store will have.

use super::*;

#[derive(Clone, Copy, Debug)]
enum Act {
    Join(usize, usize),
    Leave(usize, usize),
    Delete(usize),
    Rename(usize, bool),
}

fn act() -> impl Strategy<Value = Act> {
    let (group, user) = (|| 0..2usize, || 0..3usize);
    prop_oneof![
        3 => (group(), user()).prop_map(|(group, user)| Act::Join(group, user)),
        1 => (group(), user()).prop_map(|(group, user)| Act::Leave(group, user)),
        2 => user().prop_map(Act::Delete),
        2 => (group(), any::<bool>()).prop_map(|(group, name)| Act::Rename(group, name)),
    ]
}

/// The groups that the copy knows, as they will be when all in flight has landed.
fn as_in_the_end(world: &World) -> Result<(), TestCaseError> {
    let mut end = world.store.clone();
    for (change, at) in &world.in_flight {
        end.apply(change, *at);
    }
    for (id, group) in &world.copy.groups {
        prop_assert_eq!(group, &end.groups[id]);
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_group_is_known_in_the_version_that_it_will_have(
        acts in prop::collection::vec((act(), 0..6usize), 1..24),
    ) {
        let mut world = World::empty();
        let mut users: Vec<_> =
            (0..3).map(|number| Some(world.user(&format!("user{number}"), None))).collect();
        let groups = [world.group("One", &[]), world.group("Two", &[])];
        for (act, landing) in acts {
            match landing {
                0 | 1 => world.settle(),
                some => world.land((some - 2).min(world.in_flight.len())),
            }
            let member = |user: usize| users[user].map(|id: ScimId| id.to_string());
            let command = match act {
                Act::Join(group, user) => {
                    member(user).map(|id| on_members(groups[group], "add", &[&id]))
                }
                Act::Leave(group, user) => {
                    member(user).map(|id| on_members(groups[group], "remove", &[&id]))
                }
                Act::Delete(user) => users[user].take().map(|id| Command::DeleteUser { id }),
                Act::Rename(group, again) => {
                    let name = if again { "A" } else { "B" };
                    let rename = json!([{ "op": "replace", "path": "displayName", "value": name }]);
                    Some(patch_group(groups[group], &rename))
                }
            };
            if let Some(command) = command {
                let _ = world.ask(&command);
            }
            as_in_the_end(&world)?;
        }
    }
}
