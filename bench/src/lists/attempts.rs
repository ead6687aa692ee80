//! What was sent to an endpoint: a million attempts that are kept, of which few failed.

use std::path::Path;

use rusqlite::{Connection, params};
use schemas::EndpointId;
use serde_json::json;

use super::{all, first};
use crate::Failure;
use crate::client::Target;
use crate::dsync::Dsync;

/// Writes them, unless they are there.
pub(super) async fn filled(folder: &Path) -> Result<(), Failure> {
    let data = folder.join("data");
    let sql = "SELECT EXISTS (SELECT 1 FROM attempts)";
    if Connection::open(data.join("store.db"))?.query_row(sql, [], |row| row.get(0))? {
        return Ok(());
    }
    let dsync = Dsync::start(folder)?;
    let endpoint = endpoint(&dsync).await?;
    dsync.stop()?;
    fill(&data, endpoint)
}

/// An endpoint that has got nothing yet.
async fn endpoint(dsync: &Dsync) -> Result<EndpointId, Failure> {
    // Nobody takes anything at this port, and nothing is sent.
    let body = json!({ "endpoint_url": "http://127.0.0.1:9/" });
    let endpoint = dsync.post("/webhook_endpoints", &body).await?;
    Ok(endpoint["id"].as_str().ok_or("no id")?.parse()?)
}

/// Writes what a server keeps that has sent a million events, in seconds instead of minutes.
fn fill(data: &Path, endpoint: EndpointId) -> Result<(), Failure> {
    let store = Connection::open(data.join("store.db"))?;
    let state = data.join("state-1.db");
    store.execute("ATTACH ?1 AS state", [state.to_str().ok_or("a path is no text")?])?;
    store.execute(
        "INSERT INTO attempts (endpoint, event_id, position, attempt, at, duration_ms, status, failure,
             exhausted)
         SELECT ?1, event_id, position, 1, created_at + 3, 5,
             CASE WHEN position % 1000 = 0 THEN 500 ELSE 200 END,
             CASE WHEN position % 1000 = 0 THEN 'status' END, 0
         FROM state.feed WHERE position <= 1000000",
        params![endpoint.to_bytes()],
    )?;
    Ok(())
}

pub(super) async fn lists(api: &Target) -> Result<Vec<(String, String)>, Failure> {
    let endpoint = first(api, "/webhook_endpoints?").await?.ok_or("there is no endpoint")?;
    let of = format!("/webhook_endpoints/{}/deliveries", endpoint["id"].as_str().ok_or("no id")?);
    let oldest = all(api, &format!("{of}?order=asc&limit=100")).await?.pop();
    let newest = all(api, &format!("{of}?order=desc&limit=100")).await?.pop();
    let (oldest, newest) = (oldest.ok_or("no attempt")?, newest.ok_or("no attempt")?);
    let text = |of: &serde_json::Value, name: &str| {
        of[name].as_str().map(str::to_owned).ok_or("an attempt lacks something")
    };
    let user = first(api, &format!("/events?limit=1&after={}", text(&oldest, "event_id")?)).await?;
    let user = user.and_then(|event| event["data"]["id"].as_str().map(str::to_owned));
    let user = user.ok_or("no user")?;
    let mut lists = vec![
        (
            "asc, last page".to_owned(),
            format!("{of}?order=asc&limit=100&after={}", text(&newest, "id")?),
        ),
        (
            "desc, last page".to_owned(),
            format!("{of}?order=desc&limit=100&after={}", text(&oldest, "id")?),
        ),
    ];
    for order in ["asc", "desc"] {
        let mut add = |name: &str, filter: String| {
            lists.push((
                format!("{name}, {order}"),
                format!("{of}?order={order}&limit=100{filter}"),
            ));
        };
        add("first page", String::new());
        add("of an event", format!("&event={}", text(&oldest, "event_id")?));
        add("of a frequent type", "&event=dsync.user.created".to_owned());
        add("of a rare type", "&event=dsync.activated".to_owned());
        add("of no type there is", "&event=dsync.deleted".to_owned());
        add("of a user", format!("&resource={user}"));
        add("failed", "&status=failed".to_owned());
        add("since a moment", format!("&since={}", text(&newest, "at")?));
        add("until a moment", format!("&until={}", text(&oldest, "at")?));
    }
    Ok(lists.into_iter().map(|(name, path)| (format!("deliveries, {name}"), path)).collect())
}
