//! Every list call at a million users, at the first page, at the last and narrowed by each filter; the lists that have
//! something else to be long by; and the pages of the console.

mod attempts;
mod console;
mod many;

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemas::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Failure;
use crate::client::Target;
use crate::dsync::Dsync;
use crate::load::{self, Call, Run};

const USERS: usize = 1_000_000;

/// So many are created at a time; their answers are held in memory.
const AT_ONCE: usize = 20_000;

/// The members of the group.
const MEMBERS: usize = 10_000;

/// So many of them in one request.
const MEMBERS_AT_ONCE: usize = 1_000;

/// How often each list is read.
const READS: usize = 100;

/// How often one that takes many times as long as it may.
const READS_OF_SLOW: usize = 3;

/// What each has to stay under.
const LIMIT_MS: f64 = 20.0;

/// How often it is asked whether everything has arrived.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// A folder to keep the directory in from one run to the next: making it takes minutes.
const KEEP: &str = "BENCH_LISTS";

pub(crate) async fn run() -> Result<(), Failure> {
    let data = Data::filled().await?;
    let dsync = Dsync::start(data.path())?;
    let api = dsync.api();
    let mut paths = lists(api).await?;
    paths.extend(attempts::lists(api).await?);
    show("list at 1,000,000 users", api, paths).await?;
    console::run(&dsync).await?;
    dsync.stop()?;
    many::run().await
}

/// Reads each of these lists and prints how long that took.
async fn show(what: &str, api: &Target, lists: Vec<(String, String)>) -> Result<(), Failure> {
    for (name, path) in lists {
        let run = read(api, &path).await?;
        let items = items(&run.bodies[0])?.len();
        print(&format!("{what}: {name}"), &json!(items), &run, LIMIT_MS);
    }
    Ok(())
}

fn print(figure: &str, items: &Value, run: &Run, limit_ms: f64) {
    let p99 = run.quantile_ms(0.99);
    println!(
        "{}",
        json!({ "figure": figure, "items": items, "p50_ms": run.quantile_ms(0.5), "p99_ms": p99,
            "wanted": { "p99_ms_below": limit_ms }, "reached": p99 < limit_ms })
    );
}

/// A folder with the directory in it.
pub(crate) struct Data {
    temporary: TempDir,
    kept: Option<PathBuf>,
}

impl Data {
    /// Fills it with a million users, unless that was done before.
    pub(crate) async fn filled() -> Result<Self, Failure> {
        let data = Self::at("")?;
        if data.is_empty() {
            let dsync = Dsync::start(data.path())?;
            fill(&dsync).await?;
            dsync.stop()?;
        }
        attempts::filled(data.path()).await?;
        Ok(data)
    }

    /// One of this name.
    fn at(name: &str) -> Result<Self, Failure> {
        let kept = std::env::var_os(KEEP).map(|kept| PathBuf::from(kept).join(name));
        let data = Self { temporary: tempfile::tempdir()?, kept };
        std::fs::create_dir_all(data.path())?;
        Ok(data)
    }

    fn is_empty(&self) -> bool {
        !self.path().join("data").exists()
    }

    pub(crate) fn path(&self) -> &Path {
        self.kept.as_deref().unwrap_or_else(|| self.temporary.path())
    }
}

/// Reads a list often, or a few times if it is far off.
async fn read(api: &Target, path: &str) -> Result<Run, Failure> {
    let call = Call { method: "GET", path: path.to_owned(), body: Vec::new() };
    let few = load::run(api, vec![call.clone(); READS_OF_SLOW], 1).await?;
    if few.quantile_ms(0.0) > LIMIT_MS * 5.0 {
        return Ok(few);
    }
    load::run(api, vec![call; READS], 1).await
}

/// A directory of a million, a group of some of them, and two other organizations.
async fn fill(dsync: &Dsync) -> Result<(), Failure> {
    let target = dsync.directory("Lists").await?;
    let mut members = Vec::new();
    for round in 0..USERS / AT_ONCE {
        let created = load::creates(&format!("lists.{round}"), AT_ONCE);
        let created = load::run(&target, created, 64).await?;
        if members.len() < MEMBERS {
            members.extend(load::ids(&created.bodies)?);
        }
    }
    members.truncate(MEMBERS);
    group(&target, "Everyone", &members).await?;
    for name in ["Other", "Another"] {
        let other = dsync.directory(name).await?;
        load::run(&other, load::creates(name, 3), 1).await?;
    }
    // The last of everything is seen when all of it is.
    let members = "/events?events=dsync.group.user_added&order=desc&limit=1";
    while first(dsync.api(), members).await?.is_none()
        || all(dsync.api(), "/directories?search=Another").await?[0]["metadata"]["users"]["active"]
            != 3
    {
        tokio::time::sleep(ASK_EVERY).await;
    }
    Ok(())
}

async fn group(target: &Target, name: &str, members: &[String]) -> Result<(), Failure> {
    let body = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "displayName": name });
    let create =
        Call { method: "POST", path: "/Groups".into(), body: body.to_string().into_bytes() };
    let created = load::run(target, vec![create], 1).await?;
    let path = format!("/Groups/{}", load::ids(&created.bodies)?[0]);
    let patches = members.chunks(MEMBERS_AT_ONCE).map(|members| {
        let members: Vec<Value> = members.iter().map(|id| json!({ "value": id })).collect();
        let body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{ "op": "add", "path": "members", "value": members }] });
        Call { method: "PATCH", path: path.clone(), body: body.to_string().into_bytes() }
    });
    load::run(target, patches.collect(), 1).await?;
    Ok(())
}

/// Every list, by name and path.
async fn lists(api: &Target) -> Result<Vec<(String, String)>, Failure> {
    let id = |of: Option<Value>| of.and_then(|of| of["id"].as_str().map(str::to_owned));
    let directory = all(api, "/directories?search=Lists").await?.remove(0);
    let (of, id_of) = (&directory["organization_id"], &directory["id"]);
    let (of, directory) = (of.as_str().ok_or("no id")?, id_of.as_str().ok_or("no id")?);
    let group = id(first(api, &format!("/directory_groups?directory={directory}")).await?);
    let group = group.ok_or("there is no group")?;
    let member = first(api, &format!("/directory_users?group={group}&order=asc")).await?;
    let member = member.ok_or("there is no member")?;
    let (user, email) =
        (member["id"].as_str().ok_or("no id")?, member["email"].as_str().ok_or("no email")?);
    let audit = first(api, &format!("/audit/events?user={user}")).await?.ok_or("no event")?;
    let actor = &audit["actor"];
    let (suffix, request) = (actor["token_suffix"].as_str(), actor["request_id"].as_str());
    let (suffix, request) = (suffix.ok_or("no suffix")?, request.ok_or("no request")?);

    let mut lists = walked(api, of, directory, &group).await?;
    lists.extend(of_times(api, of, directory).await?);
    for (name, path) in plain(of, directory, &group, user, email, suffix, request) {
        for order in ["asc", "desc"] {
            lists.push((format!("{name}, {order}"), format!("{path}&order={order}&limit=100")));
        }
    }
    Ok(lists)
}

/// The long lists, each at its first page and its last.
async fn walked(
    api: &Target,
    of: &str,
    directory: &str,
    group: &str,
) -> Result<Vec<(String, String)>, Failure> {
    let walked = [
        ("users of a directory", format!("/directory_users?directory={directory}")),
        ("users of a group", format!("/directory_users?group={group}")),
        ("events", "/events?".to_owned()),
        ("events of a frequent type", "/events?events=dsync.user.created".to_owned()),
        ("events of an organization", format!("/events?organization_id={of}")),
        ("audit", "/audit/events?".to_owned()),
        ("audit of a directory", format!("/audit/events?directory={directory}")),
    ];
    let mut lists = Vec::new();
    for (name, path) in walked {
        for (page, order) in [("first", "asc"), ("first", "desc")] {
            lists.push((
                format!("{name}, {order}, {page} page"),
                format!("{path}&order={order}&limit=100"),
            ));
        }
        // The hundred and first from the other end is the cursor of the last page.
        for (order, other) in [("asc", "desc"), ("desc", "asc")] {
            let edge = all(api, &format!("{path}&order={other}&limit=100")).await?;
            let last = edge.last().and_then(|last| last["id"].as_str());
            let last = last.ok_or("the list is short")?;
            let path = format!("{path}&order={order}&limit=100&after={last}");
            lists.push((format!("{name}, {order}, last page"), path));
        }
    }
    Ok(lists)
}

/// Lists of a range of times inside of what is there: of a minute, and from a moment on.
async fn of_times(
    api: &Target,
    of: &str,
    directory: &str,
) -> Result<Vec<(String, String)>, Failure> {
    let members = first(api, "/events?events=dsync.group.user_added&limit=1").await?;
    let last = members.ok_or("nobody joined")?["created_at"].clone();
    let last: Timestamp = last.as_str().ok_or("no time")?.parse()?;
    let before = |minutes: i64| Timestamp::from_millis(last.millis() - minutes * 60_000);
    let (from, to) = (before(5), before(4));
    let mut lists = Vec::new();
    for (name, path) in [
        ("events", "/events?".to_owned()),
        ("events of a frequent type", "/events?events=dsync.user.created".to_owned()),
        ("events of an organization", format!("/events?organization_id={of}")),
        ("audit", "/audit/events?".to_owned()),
        ("audit of a directory", format!("/audit/events?directory={directory}")),
    ] {
        for order in ["asc", "desc"] {
            let path = format!("{path}&order={order}&limit=100");
            let (within, since, until) = (
                format!("{path}&range_start={from}&range_end={to}"),
                format!("{path}&range_start={from}"),
                format!("{path}&range_end={to}"),
            );
            lists.push((format!("{name} of a minute, {order}"), within));
            lists.push((format!("{name} since a moment, {order}"), since));
            lists.push((format!("{name} until a moment, {order}"), until));
        }
    }
    Ok(lists)
}

/// The other lists, and the long ones narrowed by each filter.
fn plain(
    of: &str,
    directory: &str,
    group: &str,
    user: &str,
    email: &str,
    suffix: &str,
    request: &str,
) -> Vec<(&'static str, String)> {
    let rare = "dsync.group.created,dsync.activated";
    vec![
        ("organizations", "/organizations?".to_owned()),
        ("organizations by domain", "/organizations?domains=bench.example".to_owned()),
        ("organizations by search", "/organizations?search=other".to_owned()),
        ("directories", "/directories?".to_owned()),
        ("directories by search", "/directories?search=lists".to_owned()),
        ("directories of an organization", format!("/directories?organization_id={of}")),
        ("directories by domain", "/directories?domain=bench.example".to_owned()),
        ("tokens", format!("/directories/{directory}/tokens?")),
        ("requests", format!("/directories/{directory}/requests?")),
        ("signing keys", "/signing_keys?".to_owned()),
        ("webhook endpoints", "/webhook_endpoints?".to_owned()),
        ("API keys", "/api_keys?".to_owned()),
        ("groups of a directory", format!("/directory_groups?directory={directory}")),
        ("groups of a user", format!("/directory_groups?user={user}")),
        ("users by idp_id", format!("/directory_users?directory={directory}&idp_id=ext-{email}")),
        ("users by an unknown idp_id", format!("/directory_users?directory={directory}&idp_id=no")),
        ("users by email", format!("/directory_users?directory={directory}&email={email}")),
        ("users by an unknown email", format!("/directory_users?directory={directory}&email=no")),
        ("users of a group by email", format!("/directory_users?group={group}&email={email}")),
        ("events of a rare type", format!("/events?events={rare}")),
        ("events of no type there is", "/events?events=dsync.deleted".to_owned()),
        (
            "events of no type in an organization",
            format!("/events?events=dsync.deleted&organization_id={of}"),
        ),
        ("events since a time to come", "/events?range_start=2099-01-01T00:00:00Z".to_owned()),
        ("events until a time long past", "/events?range_end=2001-01-01T00:00:00Z".to_owned()),
        ("audit of a user", format!("/audit/events?user={user}")),
        ("audit of a group", format!("/audit/events?group={group}")),
        ("audit by actor", format!("/audit/events?actor={suffix}")),
        ("audit by an unknown actor", "/audit/events?actor=nobody".to_owned()),
        ("audit by request", format!("/audit/events?request_id={request}")),
        ("audit by text", "/audit/events?q=adele".to_owned()),
        ("audit by a text that is nowhere", "/audit/events?q=nowhere+at+all".to_owned()),
    ]
}

async fn all(api: &Target, path: &str) -> Result<Vec<Value>, Failure> {
    let call = Call { method: "GET", path: path.to_owned(), body: Vec::new() };
    items(&load::run(api, vec![call], 1).await?.bodies[0])
}

async fn first(api: &Target, path: &str) -> Result<Option<Value>, Failure> {
    Ok(all(api, path).await?.into_iter().next())
}

fn items(body: &[u8]) -> Result<Vec<Value>, Failure> {
    let mut list: Value = serde_json::from_slice(body)?;
    match list["data"].take() {
        Value::Array(items) => Ok(items),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            Err("no list".into())
        }
    }
}
