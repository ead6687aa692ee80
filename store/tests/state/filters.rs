//! The filter that runs in the database against the one that runs in memory, and the order of lists.

use directory::matching::matches;
use directory::sorting::{compare, sort_key};
use ingest::ports::{ListQuery, Listed, Place, Replica, Sort, Start, UserView};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use schemas::ScimId;
use schemas::scim::{Attributes, Filter, USER, Value};

use crate::world::{Stream, World, group_with, joins, scim, user_with};

/// How many filters are compared, on [`USERS`] users each.
const FILTERS: u32 = 3_000;
const USERS: u128 = 60;

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// Texts that differ by case, in what folds to several letters, in what wildcards and quotes are made of.
const TEXTS: &[&str] = &[
    "", "a", "A", "ab", "aB", "b", "ba", "ß", "SS", "ΌΣΟΣ", "όσος", "İ", "i̇", "%", "_", "a%b", "'",
    "\\\"", "\\\\", "true", "True", "false", "10", "9", "[]", "{}", "null", "W/", "work", "home",
    "𝔘x",
];

/// What is kept of a user beside the name: every shape that a resource can have.
fn attributes() -> impl Strategy<Value = String> {
    let text = || prop::sample::select(TEXTS).prop_map(|text| format!("\"{text}\""));
    let scalar = || {
        prop_oneof![
            4 => text(),
            1 => prop::sample::select(&["true", "false", "0", "10", "9.5", "-1", "1e300"][..])
                .prop_map(str::to_owned),
        ]
    };
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
    let other = prop_oneof![
        scalar(),
        prop::collection::vec(scalar(), 1..3).prop_map(|items| format!("[{}]", items.join(","))),
        (scalar(), scalar())
            .prop_map(|(value, part)| format!(r#"{{"Value":{value},"Part":{part}}}"#)),
        (scalar(), scalar())
            .prop_map(|(value, part)| format!(r#"[{{"value":{value}}},{part},[1],{{"x":null}}]"#)),
    ];
    let maybe = |name: &'static str, value: BoxedStrategy<String>| {
        prop::option::weighted(0.6, value).prop_map(move |value| {
            value.map(|value| format!(r#","{name}":{value}"#)).unwrap_or_default()
        })
    };
    let extension = (text(), text()).prop_map(|(department, manager)| {
        format!(r#"{{"department":{department},"manager":{{"value":{manager}}}}}"#)
    });
    (
        maybe("title", text().boxed()),
        maybe("externalId", text().boxed()),
        maybe("active", any::<bool>().prop_map(|is| is.to_string()).boxed()),
        maybe("name", text().prop_map(|family| format!(r#"{{"familyName":{family}}}"#)).boxed()),
        maybe("emails", emails.boxed()),
        maybe(ENTERPRISE, extension.boxed()),
        maybe("urn:example:Other", text().prop_map(|of| format!(r#"{{"Colour":{of}}}"#)).boxed()),
        maybe("Unknown", other.boxed()),
    )
        .prop_map(|(a, b, c, d, e, f, g, h)| [a, b, c, d, e, f, g, h].concat())
}

fn literal() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(TEXTS).prop_map(|text| format!("\"{text}\"")),
        2 => prop::sample::select(&["true", "False", "null", "0", "10", "9.5", "-1"][..]).prop_map(str::to_owned),
        1 => (0..70_u128).prop_map(|number| format!("\"{}\"", scim(number))),
        1 => prop::sample::select(&[
            r#""1970-01-01T00:00:00.005Z""#, r#""1970-01-01T01:00:00.005+01:00""#, r#""1970-01-01T00:00:00.0051Z""#,
            r#""1970-01-01""#, r#""2030-01-01T00:00:00Z""#, r#""user1""#, r#""USER12""#, r#""User""#,
        ][..]).prop_map(str::to_owned),
    ]
}

fn filter() -> impl Strategy<Value = String> {
    let paths = [
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
        "groups",
        "groups.value",
        "groups.display",
        "urn:example:Other:colour",
        "nickName",
        "schemas",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
    ];
    let operators = ["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"];
    let compare = move |paths: Vec<&'static str>| {
        (prop::sample::select(paths), prop::sample::select(operators.to_vec()), literal())
            .prop_map(|(path, op, literal)| format!("{path} {op} {literal}"))
    };
    let present = |paths: Vec<&'static str>| {
        prop::sample::select(paths).prop_map(|path| format!("{path} pr"))
    };
    let inner = prop_oneof![
        4 => compare(vec!["value", "type", "primary", "part"]),
        1 => present(vec!["value", "type", "primary", "part"]),
    ];
    let inner = (inner.clone(), inner).prop_flat_map(|(one, other)| {
        prop::sample::select(vec![
            one.clone(),
            format!("{one} and {other}"),
            format!("{one} or {other}"),
            format!("not ({one})"),
        ])
    });
    let has = (prop::sample::select(vec!["emails", "unknown", "groups"]), inner)
        .prop_map(|(path, inner)| format!("{path}[{inner}]"));
    let leaf = prop_oneof![6 => compare(paths.to_vec()), 1 => present(paths.to_vec()), 3 => has];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone())
                .prop_map(|(one, other)| format!("({one}) and ({other})")),
            (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("({one}) or ({other})")),
            inner.prop_map(|one| format!("not ({one})")),
        ]
    })
}

/// A directory of generated users, some of them in one of two groups.
async fn generated(runner: &mut TestRunner) -> (World, Stream) {
    let (mut world, mut stream) = World::with_one_directory().await;
    let mut changes: Vec<_> = (1..=USERS)
        .map(|number| {
            let more = attributes().new_tree(runner).unwrap().current();
            user_with(number, &format!("User{number}"), &more)
        })
        .collect();
    changes.extend([group_with(61, "aB", ""), group_with(62, "Others", "")]);
    changes.extend((1..=USERS).filter(|number| number % 3 == 0).map(|user| joins(61, user)));
    changes.extend((1..=USERS).filter(|number| number % 4 == 0).map(|user| joins(62, user)));
    world.add(&mut stream, changes).await;
    (world, stream)
}

/// All that a filter can see of a user.
fn subject(view: &UserView) -> Attributes {
    let UserView { user, groups } = view;
    let mut subject = Attributes::clone(&user.attributes);
    subject.insert("id", user.id.to_string());
    let meta = [
        ("resourceType", "User".to_owned()),
        ("created", user.created_at.to_string()),
        ("lastModified", user.updated_at.to_string()),
        ("version", format!("W/\"{}\"", user.version)),
    ];
    subject.insert("meta", Attributes::from(meta));
    let groups = groups.iter().map(|group| {
        let display = group.display.clone().unwrap_or_default();
        let parts =
            [("value", group.id.to_string()), ("display", display), ("type", "direct".into())];
        Value::Complex(Attributes::from(parts))
    });
    subject.insert("groups", groups.collect::<Vec<_>>());
    subject
}

async fn list(world: &World, stream: &Stream, query: ListQuery) -> Listed<UserView> {
    world.store.list_users(stream.id, query).await.unwrap()
}

fn ids(listed: &Listed<UserView>) -> Vec<ScimId> {
    listed.items.iter().map(|view| view.user.id).collect()
}

#[tokio::test]
async fn a_filter_finds_in_the_database_what_it_finds_in_memory() {
    let mut runner = TestRunner::deterministic();
    let (world, stream) = generated(&mut runner).await;
    let everyone = ListQuery { filter: None, sort: None, start: Start::Skip(0), count: 1_000 };
    let everyone = list(&world, &stream, everyone).await.items;
    let subjects: Vec<_> = everyone.iter().map(|view| (view.user.id, subject(view))).collect();

    let (mut compared, mut found) = (0, 0);
    for _ in 0..FILTERS {
        let text = filter().new_tree(&mut runner).unwrap().current();
        let filter: Filter = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        let Ok(_) = matches(&filter, &Attributes::new(), &USER) else { continue };
        let expected: Vec<_> = (subjects.iter())
            .filter(|(_, subject)| matches(&filter, subject, &USER).unwrap())
            .map(|(id, _)| *id)
            .collect();
        let query =
            ListQuery { filter: Some(filter), sort: None, start: Start::Skip(0), count: 1_000 };
        let listed = list(&world, &stream, query).await;
        assert_eq!(ids(&listed), expected, "{text}");
        assert_eq!(listed.total, expected.len() as u64, "{text}");
        compared += 1;
        found += usize::from(!expected.is_empty() && expected.len() < subjects.len());
    }
    // Otherwise the generators have nothing to say.
    assert!(compared > FILTERS / 2, "{compared} compared");
    assert!(found > 300, "{found} filters told users apart");
}

#[tokio::test]
async fn a_sorted_list_shows_everyone_once_by_number_and_by_cursor() {
    let mut runner = TestRunner::deterministic();
    let (world, stream) = generated(&mut runner).await;
    let everyone = ListQuery { filter: None, sort: None, start: Start::Skip(0), count: 1_000 };
    let everyone = list(&world, &stream, everyone).await.items;
    for (by, descending) in [
        ("userName", false),
        ("title", false),
        ("title", true),
        ("emails.value", false),
        ("meta.created", true),
    ] {
        let sort = Sort { by: by.parse().unwrap(), descending };
        let mut expected: Vec<_> = everyone.iter().collect();
        expected.sort_by(|one, other| {
            let key = |view: &&UserView| sort_key(&subject(view), &sort.by, &USER);
            let order = compare(key(one).as_ref(), key(other).as_ref());
            if descending { order.reverse() } else { order }
        });
        let expected: Vec<_> = expected.into_iter().map(|view| view.user.id).collect();
        let page = async |start| {
            list(
                &world,
                &stream,
                ListQuery { filter: None, sort: Some(sort.clone()), start, count: 7 },
            )
            .await
        };
        let mut by_number = Vec::new();
        while by_number.len() < expected.len() {
            let listed = page(Start::Skip(by_number.len() as u64)).await;
            assert_eq!(listed.total, expected.len() as u64);
            by_number.extend(ids(&listed));
        }
        assert_eq!(by_number, expected, "{by} {descending}");
        let (mut by_cursor, mut next) = (Vec::new(), Start::Skip(0));
        loop {
            let listed = page(next).await;
            by_cursor.extend(ids(&listed));
            match listed.next {
                Some(place) => next = Start::After(place),
                None => break,
            }
        }
        assert_eq!(by_cursor, expected, "{by} {descending}");
    }
}

#[tokio::test]
async fn a_cursor_shows_who_was_there_once_whoever_comes_or_goes() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, (1..=30).map(crate::world::user).collect()).await;
    let page = async |world: &World, start| {
        let query = ListQuery { filter: None, sort: None, start, count: 10 };
        world.store.list_users(stream.id, query).await.unwrap()
    };
    let first = page(&world, Start::Skip(0)).await;
    let place: Place = first.next.clone().unwrap();
    let mut moved = Stream { id: stream.id, organization: stream.organization, head: stream.head };
    world.add(&mut moved, (1..=5).map(crate::world::user_gone).collect()).await;
    let second = page(&world, Start::After(place)).await;
    assert_eq!(ids(&second), (11..=20).map(scim).collect::<Vec<_>>());
    let third = page(&world, Start::After(second.next.unwrap())).await;
    assert_eq!(ids(&third), (21..=30).map(scim).collect::<Vec<_>>());
    assert_eq!(third.next, None);
}
