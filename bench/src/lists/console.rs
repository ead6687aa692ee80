//! The pages of the console and of the setup, with a million users.

use serde_json::{Value, json};

use super::{all, first, print};
use crate::Failure;
use crate::client::{Answer, Connection, Target};
use crate::dsync::{Dsync, PASSWORD};
use crate::load::{self, Call};

/// How often each page is read.
const READS: usize = 50;

/// What each has to stay under.
const LIMIT_MS: f64 = 50.0;

pub(super) async fn run(dsync: &Dsync) -> Result<(), Failure> {
    let api = dsync.api();
    let console = signed_in(api).await?;
    for (name, path) in pages(api).await? {
        show(&format!("page of the console at 1,000,000 users: {name}"), &console, path).await?;
    }
    let directory = directory(api).await?;
    let organization = &directory["organization_id"];
    let made =
        dsync.post("/portal/generate_link", &json!({ "organization": organization })).await?;
    let setup = opened(api, made["link"].as_str().ok_or("no link")?).await?;
    let own = format!("/setup/directories/{}", text(&directory, "id")?);
    show("page of the setup at 1,000,000 users", &setup, own).await
}

async fn show(figure: &str, browser: &Target, path: String) -> Result<(), Failure> {
    let call = Call { method: "GET", path, body: Vec::new() };
    let run = load::run(browser, vec![call; READS], 1).await?;
    print(figure, &Value::Null, &run, LIMIT_MS);
    Ok(())
}

/// A browser with a session.
async fn signed_in(api: &Target) -> Result<Target, Failure> {
    let fresh = api.browser("");
    let form = send(&fresh, "GET", "/console/sign-in", "").await?;
    let token = field(&form, "csrf")?;
    let browser = api.browser(&cookie(&form)?);
    let fields = format!("password={PASSWORD}&csrf={token}");
    let answer = send(&browser, "POST", "/console/sign-in", &fields).await?;
    if answer.status != 303 {
        return Err(format!("signing in: {}", answer.status).into());
    }
    Ok(api.browser(&cookie(&answer)?))
}

/// A browser that has opened a link to the setup page.
async fn opened(api: &Target, link: &str) -> Result<Target, Failure> {
    let path = &link[link.find("/setup/").ok_or("no link")?..];
    let answer = send(&api.browser(""), "POST", path, "").await?;
    Ok(api.browser(&cookie(&answer)?))
}

async fn send(target: &Target, method: &str, path: &str, body: &str) -> Result<Answer, Failure> {
    Connection::open(target).await?.send(target, method, path, body.as_bytes()).await
}

/// What a browser sends back of the cookie that an answer sets.
fn cookie(answer: &Answer) -> Result<String, Failure> {
    let set = answer.head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("set-cookie").then_some(value)
    });
    let set = set.ok_or_else(|| format!("no cookie is set: {}", answer.head))?;
    Ok(set.split(';').next().unwrap_or_default().to_owned())
}

fn field(page: &Answer, name: &str) -> Result<String, Failure> {
    let page = std::str::from_utf8(&page.body)?;
    let from = page.rfind(&format!("name=\"{name}\" value=\"")).ok_or("the page lacks a field")?;
    Ok(page[from..].split('"').nth(3).unwrap_or_default().to_owned())
}

fn text<'a>(of: &'a Value, name: &str) -> Result<&'a str, Failure> {
    of[name].as_str().ok_or_else(|| format!("there is no {name}").into())
}

async fn directory(api: &Target) -> Result<Value, Failure> {
    Ok(all(api, "/directories?search=Lists").await?.remove(0))
}

async fn pages(api: &Target) -> Result<Vec<(String, String)>, Failure> {
    let directory = directory(api).await?;
    let (id, of) = (text(&directory, "id")?, text(&directory, "organization_id")?);
    let users = all(api, &format!("/directory_users?directory={id}&order=asc&limit=100")).await?;
    let last = text(users.last().ok_or("no user")?, "id")?;
    let group =
        first(api, &format!("/directory_groups?directory={id}")).await?.ok_or("no group")?;
    let group = text(&group, "id")?;
    let member =
        first(api, &format!("/directory_users?group={group}")).await?.ok_or("no member")?;
    let event = first(api, "/events?limit=1").await?.ok_or("no event")?;
    let endpoint = first(api, "/webhook_endpoints?").await?.ok_or("no endpoint")?;
    let own = format!("/console/directories/{id}");
    let pages = [
        ("start", "/console".to_owned()),
        ("organizations", "/console/organizations".to_owned()),
        ("organization", format!("/console/organizations/{of}")),
        ("directory", own.clone()),
        ("users", format!("{own}/users")),
        ("users, last page", format!("{own}/users?after={last}")),
        ("users, search by address", format!("{own}/users?search={}", text(&member, "email")?)),
        ("users, search for many", format!("{own}/users?search=lists")),
        ("users, search for nobody", format!("{own}/users?search=nobody-at-all")),
        ("user", format!("/console/users/{}", text(&member, "id")?)),
        ("groups", format!("{own}/groups")),
        ("group with very many members", format!("/console/groups/{group}")),
        ("requests", format!("{own}/requests")),
        ("events", "/console/events".to_owned()),
        ("events of a frequent type", "/console/events?type=dsync.user.created".to_owned()),
        ("events of a rare type", "/console/events?type=dsync.group.created".to_owned()),
        ("events of a directory", format!("/console/events?directory={id}")),
        ("events by text", "/console/events?text=adele".to_owned()),
        ("events by a text that is nowhere", "/console/events?text=nowhere-at-all".to_owned()),
        (
            "events by a text that is nowhere, going on",
            "/console/events/further?text=nowhere-at-all".to_owned(),
        ),
        ("event", format!("/console/events/{}", text(&event, "id")?)),
        ("endpoints", "/console/endpoints".to_owned()),
        ("endpoint", format!("/console/endpoints/{}", text(&endpoint, "id")?)),
    ];
    Ok(pages.map(|(name, path)| (name.to_owned(), path)).to_vec())
}
