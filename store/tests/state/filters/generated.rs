//! A directory of every shape that resources can have, and filters on it with what they find in memory.

use directory::Group;
use directory::matching::matches;
use ingest::ports::{Member, Reference, Replica, UserView};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use schemas::scim::{Attributes, FILTER_DEPTH_MAX, Filter, GROUP, ResourceSchema, USER, Value};
use schemas::{ScimId, Seq, Timestamp};

use super::whole;
use crate::world::{Stream, World, group_with, joins, scim, user_with};

const USERS: u128 = 60;
const GROUPS: u128 = 20;

/// Where the resources are.
pub(super) const BASE: &str = "https://scim.test/scim/v2.0/e";

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// Texts that differ by case, in what folds to several letters, in what wildcards and quotes are made of,
/// and in the orders of a language, of UTF-16 and of code points.
const TEXTS: &[&str] = &[
    "",
    "a",
    "A",
    "ab",
    "aB",
    "b",
    "B",
    "ba",
    "ß",
    "ẞ",
    "SS",
    "ΌΣΟΣ",
    "όσος",
    "ΑΣ ΑΣΑ",
    "İ",
    "i̇",
    "I",
    "ı",
    "é",
    "É",
    "ﬁ",
    "ａ",
    "𐐀",
    "𐐨",
    "𝔘x",
    "%",
    "_",
    "a%b",
    "'",
    "\\\"",
    "\\\\",
    "\\u0001",
    "\\n",
    "$1",
    "true",
    "True",
    "false",
    "10",
    "9",
    "[]",
    "{}",
    "null",
    "W/",
    "work",
    "home",
];

/// A directory, and what of it a filter can see.
pub(super) struct Generated {
    pub(super) world: World,
    pub(super) stream: Stream,
    pub(super) users: Vec<UserView>,
    pub(super) groups: Vec<(Group, Vec<Member>)>,
}

/// A filter, and what it finds in memory, in order of creation.
pub(super) struct Case {
    pub(super) text: String,
    pub(super) filter: Filter,
    pub(super) expected: Vec<ScimId>,
}

/// Users and groups with each other as members.
pub(super) async fn generated(runner: &mut TestRunner) -> Generated {
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

/// What filters are generated for.
pub(super) struct Kind {
    schema: &'static ResourceSchema,
    /// How many filters are compared.
    filters: usize,
    paths: &'static [&'static str],
    /// What brackets stand behind.
    lists: &'static [&'static str],
    /// The list that refers to others, and where those are.
    refers: (&'static str, &'static str),
}

impl Generated {
    /// Filters on one kind of resource.
    pub(super) fn filters(&self, kind: &Kind, runner: &mut TestRunner) -> Vec<Case> {
        let subjects = self.subjects(kind);
        let filters = filter(kind.paths, kind.lists);
        let texts = (0..kind.filters).map(|_| draw(&filters, runner));
        let found = cases(texts.chain(largest()).chain(addresses(kind)), &subjects, kind.schema);
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

/// Filters on the address of every resource, and of those that it refers to.
fn addresses(kind: &Kind) -> impl Iterator<Item = String> {
    let (place, (list, others)) = (kind.schema.endpoint, kind.refers);
    (1..61 + GROUPS).flat_map(move |number| {
        let (own, other) =
            (format!("{BASE}{place}/{}", scim(number)), format!("{BASE}{others}/{}", scim(number)));
        [
            format!("meta.location eq \"{own}\""),
            format!("meta.location eq \"{}\"", own.to_uppercase()),
            format!("{list}.$ref eq \"{other}\""),
            format!("{list}[$ref eq \"{other}\" and display pr]"),
            format!("not ({list}.$ref eq \"{other}\")"),
            format!("{list}.$ref eq \"{own}\" or {list}.value eq \"{other}\""),
        ]
    })
}

/// The deepest filter and two of the longest.
fn largest() -> [String; 3] {
    let (opening, closing) =
        ("not (".repeat(FILTER_DEPTH_MAX - 1), ")".repeat(FILTER_DEPTH_MAX - 1));
    let many = |by: &str| vec!["x.y ne 1"; 250].join(by);
    [format!("{opening}displayName sw \"a\"{closing}"), many(" and "), many(" or ")]
}

/// What is kept of a user beside the name.
fn user_attributes() -> impl Strategy<Value = String> {
    let email = (text(), prop::option::of(text()), prop::option::of(any::<bool>())).prop_map(
        |(value, kind, primary)| {
            let kind = kind.map(|kind| format!(r#","type":{kind}"#)).unwrap_or_default();
            let primary = primary.map(|is| format!(r#","primary":{is}"#)).unwrap_or_default();
            format!(r#"{{"value":{value}{kind}{primary}}}"#)
        },
    );
    let emails = prop::collection::vec(email, 1..4).prop_map(|emails| {
        // At most one is primary, as everywhere.
        let mut seen = false;
        let one = |email: String| {
            let again = seen && email.contains(r#""primary":true"#);
            seen |= email.contains(r#""primary":true"#);
            if again { email.replace(r#""primary":true"#, r#""primary":false"#) } else { email }
        };
        format!("[{}]", emails.into_iter().map(one).collect::<Vec<_>>().join(","))
    });
    let extension = (text(), text()).prop_map(|(department, manager)| {
        format!(r#"{{"department":{department},"manager":{{"value":{manager}}}}}"#)
    });
    (
        maybe("title", text().boxed()),
        maybe("displayName", text().boxed()),
        maybe("externalId", text().boxed()),
        maybe("active", any::<bool>().prop_map(|is| is.to_string()).boxed()),
        maybe("name", text().prop_map(|family| format!(r#"{{"familyName":{family}}}"#)).boxed()),
        maybe("emails", emails.boxed()),
        maybe(ENTERPRISE, extension.boxed()),
        unknown_attributes(),
    )
        .prop_map(|(a, b, c, d, e, f, g, h)| [a, b, c, d, e, f, g, h].concat())
}

/// What is kept of a group beside the name.
fn group_attributes() -> impl Strategy<Value = String> {
    (maybe("externalId", text().boxed()), unknown_attributes()).prop_map(|(a, b)| a + &b)
}

/// What no schema knows, in every shape.
fn unknown_attributes() -> impl Strategy<Value = String> {
    let empty = [
        "[]",
        "{}",
        "null",
        "[[],{},null]",
        r#"{"value":[],"part":{}}"#,
        r#"[{"value":null,"part":[]}]"#,
        r#"{"value":{"value":"a"},"part":["a"]}"#,
    ];
    let other = prop_oneof![
        prop::sample::select(empty.to_vec()).prop_map(str::to_owned),
        scalar(),
        prop::collection::vec(scalar(), 1..3).prop_map(|items| format!("[{}]", items.join(","))),
        (scalar(), scalar())
            .prop_map(|(value, part)| format!(r#"{{"Value":{value},"Part":{part}}}"#)),
        (scalar(), scalar())
            .prop_map(|(value, part)| format!(r#"[{{"value":{value}}},{part},[1],{{"x":null}}]"#)),
    ];
    let extension = prop_oneof![
        4 => text().prop_map(|of| format!(r#"{{"Colour":{of}}}"#)),
        1 => scalar(),
        1 => scalar().prop_map(|item| format!("[{item}]")),
    ];
    (maybe("urn:example:Other", extension.boxed()), maybe("Unknown", other.boxed()))
        .prop_map(|(a, b)| a + &b)
}

fn maybe(name: &'static str, value: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    prop::option::weighted(0.6, value).prop_map(move |value| {
        value.map(|value| format!(r#","{name}":{value}"#)).unwrap_or_default()
    })
}

fn text() -> impl Strategy<Value = String> {
    prop::sample::select(TEXTS).prop_map(|text| format!("\"{text}\""))
}

fn scalar() -> impl Strategy<Value = String> {
    let others =
        ["true", "false", "0", "10", "10.0", "9.5", "-1", "1e300", "5e-324", "9007199254740993"];
    prop_oneof![4 => text(), 1 => prop::sample::select(others.to_vec()).prop_map(str::to_owned)]
}

fn literal() -> impl Strategy<Value = String> {
    let words = [
        "true",
        "False",
        "null",
        "0",
        "10",
        "1e1",
        "9.5",
        "-1",
        "1e300",
        "5e-324",
        "9007199254740992",
    ];
    let moments_and_names = [
        r#""1970-01-01T00:00:00.005Z""#,
        r#""1970-01-01T01:00:00.005+01:00""#,
        r#""1970-01-01T00:00:00.0051Z""#,
        r#""1970-01-01""#,
        r#""2030-01-01T00:00:00Z""#,
        r#""user1""#,
        r#""USER12""#,
        r#""User""#,
        r#""GROUP6""#,
    ];
    prop_oneof![
        8 => text(),
        2 => prop::sample::select(words.to_vec()).prop_map(str::to_owned),
        1 => (0..85_u128).prop_map(|number| format!("\"{}\"", scim(number))),
        1 => (prop::sample::select(&["Users", "users", "Groups"][..]), 0..85_u128)
            .prop_map(|(place, number)| format!("\"{BASE}/{place}/{}\"", scim(number))),
        1 => prop::sample::select(moments_and_names.to_vec()).prop_map(str::to_owned),
    ]
}

const PATHS_OF_USERS: &[&str] = &[
    "userName",
    "title",
    "externalId",
    "active",
    "name.familyName",
    "name",
    "emails",
    "emails.value",
    "emails.type",
    "emails.primary",
    "department",
    "manager",
    "manager.value",
    "unknown",
    "unknown.value",
    "UNKNOWN.part",
    "id",
    "meta.created",
    "meta.lastModified",
    "meta.resourceType",
    "meta.version",
    "meta.location",
    "groups",
    "groups.value",
    "groups.$ref",
    "groups.display",
    "urn:example:Other:colour",
    "nickName",
    "schemas",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
];

const PATHS_OF_GROUPS: &[&str] = &[
    "displayName",
    "externalId",
    "unknown",
    "unknown.value",
    "UNKNOWN.part",
    "id",
    "meta.created",
    "meta.lastModified",
    "meta.resourceType",
    "meta.version",
    "meta.location",
    "members",
    "members.value",
    "members.$ref",
    "members.display",
    "members.type",
    "urn:example:Other:colour",
    "schemas",
];

pub(super) const ON_USERS: Kind = Kind {
    schema: &USER,
    filters: 3_000,
    paths: PATHS_OF_USERS,
    lists: &["emails", "unknown", "groups"],
    refers: ("groups", GROUP.endpoint),
};

pub(super) const ON_GROUPS: Kind = Kind {
    schema: &GROUP,
    filters: 1_000,
    paths: PATHS_OF_GROUPS,
    lists: &["members", "unknown"],
    refers: ("members", USER.endpoint),
};

/// Filters on these paths, and in brackets behind those in `lists`.
fn filter(
    paths: &'static [&'static str],
    lists: &'static [&'static str],
) -> impl Strategy<Value = String> {
    const PARTS: &[&str] = &["value", "type", "primary", "part", "display", "$ref"];
    let inner = prop_oneof![4 => compare(PARTS), 1 => present(PARTS)];
    let inner = (inner.clone(), inner).prop_flat_map(|(one, other)| {
        prop::sample::select(vec![
            one.clone(),
            format!("{one} and {other}"),
            format!("{one} or {other}"),
            format!("not ({one})"),
        ])
    });
    let has =
        (prop::sample::select(lists), inner).prop_map(|(path, inner)| format!("{path}[{inner}]"));
    let leaf = prop_oneof![6 => compare(paths), 1 => present(paths), 3 => has];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone())
                .prop_map(|(one, other)| format!("({one}) and ({other})")),
            (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("({one}) or ({other})")),
            inner.prop_map(|one| format!("not ({one})")),
        ]
    })
}

fn compare(paths: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    const OPERATORS: &[&str] = &["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"];
    let literal = literal().boxed();
    (prop::sample::select(paths), prop::sample::select(OPERATORS), literal)
        .prop_map(|(path, op, literal)| format!("{path} {op} {literal}"))
}

fn present(paths: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    prop::sample::select(paths).prop_map(|path| format!("{path} pr"))
}

/// All that a filter can see of a user.
pub(super) fn user_subject(view: &UserView) -> Attributes {
    let UserView { user, groups } = view;
    let mut subject = Attributes::clone(&user.attributes);
    subject.insert("id", user.id.to_string());
    let times = [user.created_at, user.updated_at];
    subject.insert("meta", meta("User", user.id, times, user.version));
    if !subject.contains("active") {
        subject.insert("active", true);
    }
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
