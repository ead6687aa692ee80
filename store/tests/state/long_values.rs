//! Values that are longer than an index takes. No rule lets them in any more, and a log may hold them.

use std::fmt::Write as _;

use api::ports::{Order, PageRequest, Reach, Reading, UserFilter};
use directory::Needs;
use ingest::ports::{ListQuery, Replica};
use schemas::{Hash, Mapped, Shown};

use super::world::{Stream, World, group_with, scim, user_shown, user_with};

/// A text of 4,000 bytes that nothing makes shorter.
fn random(seed: &str) -> String {
    let (mut text, mut last) = (String::from("X"), Hash::of(seed.as_bytes()));
    while text.len() < 4_000 {
        last = Hash::of(&last.0);
        for byte in last.0 {
            write!(text, "{byte:02x}").unwrap();
        }
    }
    text.truncate(4_000);
    text
}

/// A user or group for each attribute that is looked up by.
fn changes() -> Vec<schemas::Change> {
    let mapped = Mapped {
        idp_id: random("mapped id"),
        email: Some(random("mapped address")),
        ..Mapped::default()
    };
    vec![
        user_with(1, &random("name"), ""),
        user_with(2, "two", &format!(r#","externalId":"{}""#, random("id"))),
        user_with(
            3,
            "three",
            &format!(
                r#","emails":[{{"value":"{}@x","primary":true}},{{"value":"{}"}}]"#,
                random("address"),
                random("other")
            ),
        ),
        user_shown(4, Shown { mapped: Some(Box::new(mapped)), ..Shown::default() }),
        group_with(10, &random("group"), ""),
        group_with(11, "eleven", &format!(r#","externalId":"{}""#, random("group id"))),
    ]
}

async fn are_found(world: &World, stream: &Stream) {
    let needs = Needs {
        user_names: [random("name").to_lowercase()].into(),
        user_external_ids: [random("id")].into(),
        group_names: [random("group").to_lowercase()].into(),
        group_external_ids: [random("group id")].into(),
        ..Needs::default()
    };
    let facts = world.store.gather(stream.id, needs).await.unwrap().unwrap().facts;
    assert_eq!(facts.user_names[&random("name").to_lowercase()], Some(scim(1)));
    let one = facts.users[&scim(1)].as_ref().unwrap();
    assert_eq!(one.name_key, random("name").to_lowercase(), "all of it");
    assert_eq!(facts.user_external_ids[&random("id")], [scim(2)].into());
    assert_eq!(facts.group_names[&random("group").to_lowercase()], Some(scim(10)));
    assert_eq!(facts.group_external_ids[&random("group id")], Some(scim(11)));
    let group = Replica::group(&*world.store, stream.id, scim(10)).await.unwrap().unwrap();
    assert_eq!(group.name_key, random("group").to_lowercase(), "all of it");

    for (attribute, value, number) in [
        ("userName", random("name"), 1),
        ("externalId", random("id"), 2),
        ("emails", format!("{}@x", random("address")), 3),
        ("emails", random("other"), 3),
    ] {
        for (value, found) in [(value.clone(), vec![scim(number)]), (value + "y", Vec::new())] {
            let filter = format!(r#"{attribute} eq "{value}""#).parse().unwrap();
            let query = ListQuery { filter: Some(filter), ..ListQuery::first(10) };
            let page = world.store.list_users(stream.id, query).await.unwrap();
            let ids: Vec<_> = page.items.iter().map(|view| view.user.id).collect();
            assert_eq!(ids, found, "{attribute}");
        }
    }

    let by_id = |value: String| UserFilter { idp_id: Some(value), ..UserFilter::default() };
    let by_email = |value: String| UserFilter { email: Some(value), ..UserFilter::default() };
    for (filter, number) in [
        (by_id(random("name")), 1),
        (by_id(random("id")), 2),
        (by_id(random("mapped id")), 4),
        (by_email(format!("{}@x", random("address"))), 3),
        (by_email(random("mapped address")), 4),
    ] {
        let request = PageRequest {
            reach: Reach::Everything,
            limit: 10,
            order: Order::Ascending,
            cursor: None,
        };
        let page = world.store.users(request, filter).await.unwrap();
        let ids: Vec<_> = page.items.iter().map(|found| found.user.id).collect();
        assert_eq!(ids, [schemas::UserId::from_bits(number)]);
    }
}

#[tokio::test]
async fn what_is_too_long_for_an_index_is_applied_and_found_all_the_same() {
    let (mut world, mut stream) = World::with_one_directory().await;
    for change in changes() {
        world.add(&mut stream, vec![change]).await;
    }
    are_found(&world, &stream).await;
    world.add(&mut stream, changes()).await;
    are_found(&world, &stream).await;

    let made = world.rebuild(world.scan()).await.unwrap();
    world.store.swap_in(made).await.unwrap();
    are_found(&world, &stream).await;
}
