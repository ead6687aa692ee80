//! A directory of every shape that resources can have, and filters on it with what they find in memory.

mod queries;
mod resources;

use directory::Group;
use directory::matching::matches;
use ingest::ports::{Member, Reference, Replica, UserView};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use schemas::scim::{Attributes, Filter, ResourceSchema, USER, Value};
use schemas::{ScimId, Seq, Timestamp};

pub(crate) use queries::{Kind, ON_GROUPS, ON_USERS};
use queries::{absent, addresses, filter, largest};
use resources::{group_attributes, user_attributes};

use super::super::world::{Stream, World, group_with, joins, user_with};
use super::whole;

const USERS: u128 = 60;
const GROUPS: u128 = 20;

/// Where the resources are.
pub(crate) const BASE: &str = "https://scim.test/scim/v2.0/e";

/// A directory, and what of it a filter can see.
pub(crate) struct Generated {
    pub(crate) world: World,
    pub(crate) stream: Stream,
    pub(crate) users: Vec<UserView>,
    pub(crate) groups: Vec<(Group, Vec<Member>)>,
}

/// A filter, and what it finds in memory, in order of creation.
pub(crate) struct Case {
    pub(crate) text: String,
    pub(crate) filter: Filter,
    pub(crate) expected: Vec<ScimId>,
}

/// Users and groups with each other as members.
pub(crate) async fn generated(runner: &mut TestRunner) -> Generated {
    let (mut world, mut stream) = World::with_one_directory().await;
    let mut changes: Vec<_> = (1..=USERS)
        .map(|number| {
            let more = draw(&user_attributes(), runner);
            user_with(number, &format!("User{number}"), &more)
        })
        .collect();
    changes.extend([group_with(61, "aB", ""), group_with(62, "Others", "")]);
    changes.extend((63..61 + GROUPS).map(|number| {
        let more = draw(&group_attributes(), runner);
        group_with(number, &format!("Group{number}"), &more)
    }));
    changes.extend((1..=USERS).filter(|number| number % 3 == 0).map(|user| joins(61, user)));
    changes.extend((1..=USERS).filter(|number| number % 4 == 0).map(|user| joins(62, user)));
    let pairs = (63..70).flat_map(|group| (1..=USERS).map(move |user| (group, user)));
    changes.extend(
        pairs
            .filter(|(group, user)| (group * user) % 11 == 0)
            .map(|(group, user)| joins(group, user)),
    );
    world.add(&mut stream, changes).await;
    let users = world.store.list_users(stream.id, whole(None)).await.unwrap().items;
    let mut groups = Vec::new();
    for group in world.store.list_groups(stream.id, whole(None)).await.unwrap().items {
        let members = world.store.members(stream.id, group.id, None, 1_000).await.unwrap();
        groups.push((group, members));
    }
    Generated { world, stream, users, groups }
}
impl Generated {
    /// Filters on one kind of resource.
    pub(crate) fn filters(&self, kind: &Kind, runner: &mut TestRunner) -> Vec<Case> {
        let subjects = self.subjects(kind);
        let filters = filter(kind.paths, kind.lists);
        let texts = (0..kind.filters).map(|_| draw(&filters, runner));
        let found = cases(
            texts.chain(largest()).chain(addresses(kind)).chain(absent(kind)),
            &subjects,
            kind.schema,
        );
        assert!(found.len() > kind.filters / 2, "{} filters are valid", found.len());
        found
    }

    fn subjects(&self, kind: &Kind) -> Vec<(ScimId, Attributes)> {
        if kind.schema.name == USER.name {
            self.users.iter().map(|view| (view.user.id, user_subject(view))).collect()
        } else {
            let groups = self.groups.iter();
            groups.map(|(group, members)| (group.id, group_subject(group, members))).collect()
        }
    }
}

fn draw(texts: &impl Strategy<Value = String>, runner: &mut TestRunner) -> String {
    texts.new_tree(runner).unwrap().current()
}

/// The filters that the schema allows, with what they find.
fn cases(
    texts: impl Iterator<Item = String>,
    subjects: &[(ScimId, Attributes)],
    schema: &ResourceSchema,
) -> Vec<Case> {
    let mut cases = Vec::new();
    for text in texts {
        let filter: Filter = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        let Ok(_) = matches(&filter, &Attributes::new(), schema) else { continue };
        let expected =
            subjects.iter().filter(|(_, subject)| matches(&filter, subject, schema).unwrap());
        let expected = expected.map(|(id, _)| *id).collect();
        cases.push(Case { text, filter, expected });
    }
    let telling = cases.iter().filter(|case| !case.expected.is_empty());
    let telling = telling.filter(|case| case.expected.len() < subjects.len()).count();
    // Otherwise the generators have nothing to say.
    assert!(telling > cases.len() / 10, "{telling} of {} filters tell any apart", cases.len());
    cases
}
/// All that a filter can see of a user.
pub(crate) fn user_subject(view: &UserView) -> Attributes {
    let UserView { user, groups } = view;
    let mut subject = Attributes::clone(&user.attributes);
    subject.insert("id", user.id.to_string());
    let times = [user.created_at, user.updated_at];
    subject.insert("meta", meta("User", user.id, times, user.version));
    subject.insert("groups", references(groups, "Groups", "direct"));
    subject
}

/// All that a filter can see of a group.
fn group_subject(group: &Group, members: &[Member]) -> Attributes {
    let mut subject = Attributes::clone(&group.attributes);
    subject.insert("id", group.id.to_string());
    let times = [group.created_at, group.modified_at];
    subject.insert("meta", meta("Group", group.id, times, group.version));
    let members = members.iter().map(|member| &member.user);
    subject.insert("members", references(members, "Users", "User"));
    subject
}

fn meta(kind: &str, id: ScimId, [created, modified]: [Timestamp; 2], version: Seq) -> Attributes {
    Attributes::from([
        ("resourceType", kind.to_owned()),
        ("created", created.to_string()),
        ("lastModified", modified.to_string()),
        ("location", format!("{BASE}/{kind}s/{id}")),
        ("version", format!("W/\"{version}\"")),
    ])
}

fn references<'r>(
    to: impl IntoIterator<Item = &'r Reference>,
    place: &str,
    kind: &str,
) -> Vec<Value> {
    let one = |to: &Reference| {
        let mut parts = Attributes::from([
            ("value", to.id.to_string()),
            ("$ref", format!("{BASE}/{place}/{}", to.id)),
            ("type", kind.to_owned()),
        ]);
        if let Some(display) = &to.display {
            parts.insert("display", display.clone());
        }
        Value::Complex(parts)
    };
    to.into_iter().map(one).collect()
}
