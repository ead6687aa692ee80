//! Lists that are long by something else: 10,000 directories of 2,500 organizations, of which one has a quarter; users
//! with many groups; and a long run of users whom apps do not see.

use serde_json::{Value, json};

use super::{ASK_EVERY, AT_ONCE, Data, all, first, group, show};
use crate::Failure;
use crate::client::Target;
use crate::dsync::{Dsync, new_directory};
use crate::load::{self, Call};

const ORGANIZATIONS: usize = 2_500;
const DIRECTORIES: usize = 10_000;

/// So many of them are of one organization, and have users.
const OF_ONE: usize = 2_500;

/// The users of each of those.
const USERS_OF_EACH: usize = 3;

/// Users that are in every group, and how many groups these are.
const GROUPED: usize = 200;
const GROUPS: usize = 50;

/// Users in a row whom apps do not see, and how many they see on each side of these: less than a page.
const HIDDEN: usize = 150_000;
const SEEN: usize = 60;

pub(super) async fn run() -> Result<(), Failure> {
    let data = Data::at("many")?;
    let is_empty = data.is_empty();
    let dsync = Dsync::start(data.path())?;
    if is_empty {
        fill(&dsync).await?;
    }
    let lists = lists(dsync.api()).await?;
    show("list at 10,000 directories", dsync.api(), lists).await?;
    dsync.stop()
}

async fn fill(dsync: &Dsync) -> Result<(), Failure> {
    customers(dsync).await?;
    let grouped = dsync.directory("Grouped").await?;
    let users = load::run(&grouped, load::creates("grouped", GROUPED), 16).await?;
    let members = load::ids(&users.bodies)?;
    for number in 0..GROUPS {
        group(&grouped, &format!("Group {number}"), &members).await?;
    }
    let hidden = dsync.directory("Hidden").await?;
    let id = directory(dsync.api(), "Hidden").await?;
    let policy = json!({ "inactive_users": "delete" }).to_string().into_bytes();
    let change = Call { method: "PATCH", path: format!("/directories/{id}"), body: policy };
    load::run(dsync.api(), vec![change], 1).await?;
    load::run(&hidden, load::creates("before", SEEN), 16).await?;
    for round in 0..HIDDEN.div_ceil(AT_ONCE) {
        let mut calls = load::creates(&format!("hidden.{round}"), AT_ONCE.min(HIDDEN));
        for call in &mut calls {
            let mut user: Value = serde_json::from_slice(&call.body)?;
            user["active"] = json!(false);
            call.body = user.to_string().into_bytes();
        }
        load::run(&hidden, calls, 64).await?;
    }
    load::run(&hidden, load::creates("behind", SEEN), 16).await?;
    let last = format!("/directory_users?directory={id}&email=behind.{}@bench.example", SEEN - 1);
    while first(dsync.api(), &last).await?.is_none() {
        tokio::time::sleep(ASK_EVERY).await;
    }
    Ok(())
}

/// Organizations with their directories; those of the first have users.
async fn customers(dsync: &Dsync) -> Result<(), Failure> {
    let made = (0..ORGANIZATIONS).map(|number| {
        let body = json!({ "name": format!("Customer {number}") }).to_string().into_bytes();
        Call { method: "POST", path: "/organizations".into(), body }
    });
    let organizations = load::ids(&load::run(dsync.api(), made.collect(), 8).await?.bodies)?;
    let made = (0..DIRECTORIES).map(|number| {
        let of = if number < OF_ONE { 0 } else { 1 + number % (ORGANIZATIONS - 1) };
        let body = new_directory(&organizations[of], &format!("Directory {number}"));
        Call { method: "POST", path: "/directories".into(), body: body.to_string().into_bytes() }
    });
    let directories = load::run(dsync.api(), made.collect(), 8).await?.bodies;
    for (number, directory) in directories.iter().take(OF_ONE).enumerate() {
        let target = dsync.scim(&serde_json::from_slice(directory)?)?;
        load::run(&target, load::creates(&format!("of.{number}"), USERS_OF_EACH), 1).await?;
    }
    Ok(())
}

async fn directory(api: &Target, name: &str) -> Result<String, Failure> {
    let found = first(api, &format!("/directories?search={name}")).await?.ok_or("no directory")?;
    Ok(found["id"].as_str().ok_or("no id")?.to_owned())
}

async fn lists(api: &Target) -> Result<Vec<(String, String)>, Failure> {
    let (hidden, grouped) = (directory(api, "Hidden").await?, directory(api, "Grouped").await?);
    let one = first(api, "/organizations?search=customer+0").await?.ok_or("no organization")?;
    let one = one["id"].as_str().ok_or("no id")?;
    let of_one = format!("/events?organization_id={one}");
    let middle = all(api, &format!("{of_one}&order=asc&limit=100")).await?.pop();
    let middle = middle.and_then(|event| event["id"].as_str().map(str::to_owned));
    let middle = middle.ok_or("no event")?;
    let lists = [
        ("organizations", "/organizations?".to_owned()),
        ("organizations by search", "/organizations?search=customer+249".to_owned()),
        ("organizations by a domain of nobody", "/organizations?domains=nobody.example".to_owned()),
        ("directories", "/directories?".to_owned()),
        ("directories by search", "/directories?search=directory+999".to_owned()),
        (
            "directories of an organization with 2,500",
            format!("/directories?organization_id={one}"),
        ),
        ("users across a run whom apps do not see", format!("/directory_users?directory={hidden}")),
        ("users with 50 groups each", format!("/directory_users?directory={grouped}")),
        ("events of 2,500 directories", of_one.clone()),
        ("events of 2,500 directories behind a cursor", format!("{of_one}&after={middle}")),
        ("events of a type in 2,500 directories", format!("{of_one}&events=dsync.user.created")),
        ("events of no type in 2,500 directories", format!("{of_one}&events=dsync.deleted")),
        (
            "events until a time in 2,500 directories",
            format!("{of_one}&range_end=2099-01-01T00:00:00Z"),
        ),
        ("audit of 2,500 directories", format!("/audit/events?organization_id={one}")),
    ];
    let each = |(name, path): (&str, String)| {
        ["asc", "desc"]
            .map(|order| (format!("{name}, {order}"), format!("{path}&order={order}&limit=100")))
    };
    Ok(lists.into_iter().flat_map(each).collect())
}
