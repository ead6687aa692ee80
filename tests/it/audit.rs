//! What auditors see: who did what, in an order that nobody can change without being found out.

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use rusqlite::Connection;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tests::server::{API_KEY, command, eventually, http_client, json_of};
use tests::{Directory, Server};

/// A directory with two users, one of them deleted, and a group with both.
struct History {
    server: Server,
    directory: Directory,
    _data: tempfile::TempDir,
}

async fn history() -> History {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let directory = server.api().directory("okta scim v2.0", "Acme").await;
    let kept = directory.user("kept@acme.example").await;
    let gone = directory.user("gone@acme.example").await;
    let group = directory.group("Engineering").await;
    let both = json!([{ "op": "add", "path": "members", "value": [{ "value": kept }, { "value": gone }] }]);
    directory.patch(&format!("/Groups/{group}"), both).await.expect(204);
    directory.send("DELETE", &format!("/Users/{gone}"), None).await.expect(204);
    History { server, directory, _data: data }
}

impl History {
    async fn audit(&self, query: &str) -> Vec<Value> {
        let answer = self.server.api().get(&format!("/audit/events?limit=100{query}")).await;
        answer["data"].as_array().unwrap().clone()
    }

    /// What `events` tells of a user or group: the id by which the API knows it.
    async fn api_id(&self, types: &str, of: impl Fn(&Value) -> bool) -> String {
        let events = self.server.api().events(types).await;
        let event = events.iter().find(|event| of(&event["data"])).expect("it was told");
        event["data"]["id"].as_str().unwrap().to_owned()
    }

    async fn export(&self, accept: &str, query: &str) -> (String, String) {
        let url = format!("{}/audit/events?{query}", self.server.base());
        let request = http_client().get(url).bearer_auth(API_KEY).header(ACCEPT, accept);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let kind = answer.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
        (kind, answer.text().await.unwrap())
    }
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_names_who_caused_it_and_the_one_before_it() {
    let history = history().await;
    let directory = &history.directory.id;
    let events = history.audit(&format!("&directory={directory}")).await;
    let mut prev = "0".repeat(64);
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["seq"], number + 1);
        assert_eq!(event["prev_hash"], *prev);
        assert_eq!(event["directory_id"], **directory);
        prev = event["hash"].as_str().unwrap().to_owned();
    }
    // The first also says that the identity provider has connected.
    let created = events.iter().rfind(|event| event["event"] == "dsync.user.created").unwrap();
    let actor = &created["actor"];
    assert_eq!(actor["ip"], "127.0.0.1");
    let request = actor["request_id"].as_str().unwrap();
    let caused = history.audit(&format!("&request_id={request}")).await;
    assert_eq!(caused, std::slice::from_ref(created), "a request leads to what it caused");
    let suffix = actor["token_suffix"].as_str().unwrap();
    let by_token = history.audit(&format!("&actor={suffix}&directory={directory}")).await;
    assert!(by_token.contains(created));
    // What is hashed is the record as the log holds it.
    let log = Connection::open(history.server.data().join("data/log.db")).unwrap();
    let mut select = log.prepare("SELECT value FROM records ORDER BY key").unwrap();
    let records = select.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    let hashes: Vec<String> =
        records.map(|record| hex::encode(Sha256::digest(record.unwrap()))).collect();
    assert!(events.iter().all(|event| hashes.iter().any(|hash| event["hash"] == **hash)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_is_narrowed_by_user_group_type_time_and_text() {
    let history = history().await;
    let kept = history.api_id("dsync.user.created", |data| data["email"] == "kept@acme.example");
    let kept = kept.await;
    let gone = history.api_id("dsync.user.deleted", |_| true).await;
    let group = history.api_id("dsync.group.created", |_| true).await;
    let created_added = ["dsync.user.created", "dsync.group.user_added"];
    assert_eq!(types(&history.audit(&format!("&user={kept}")).await), created_added);
    // The history of a user outlives the user.
    let of_gone = history.audit(&format!("&user={gone}")).await;
    assert_eq!(types(&of_gone)[..2], created_added);
    assert_eq!(types(&of_gone).last(), Some(&"dsync.user.deleted"));
    let of_both = history.audit(&format!("&user={gone}&group={group}")).await;
    assert!(types(&of_both).iter().all(|kind| kind.starts_with("dsync.group.user_")));
    assert_eq!(types(&history.audit("&events=dsync.group.created").await).len(), 1);
    let text = history.audit("&q=KEPT%40acme").await;
    assert_eq!(types(&text)[..2], created_added, "the text is found whatever its case");
    assert_eq!(history.audit("&q=nobody-like-this").await, Vec::<Value>::new());
    let at = of_gone.last().unwrap()["created_at"].as_str().unwrap();
    let since = history.audit(&format!("&range_start={at}&events=dsync.user.deleted")).await;
    assert_eq!(types(&since), ["dsync.user.deleted"]);
    let before = history.audit("&range_end=2020-01-01T00:00:00.000Z").await;
    assert_eq!(before, Vec::<Value>::new());
    let (status, said) = history.server.api().send("GET", "/audit/events?user=nobody", None).await;
    assert_eq!(status, 422);
    assert!(said["message"].as_str().unwrap().starts_with("user is not an id"), "{said}");
    for list in ["directory_users", "directory_groups"] {
        let path = format!("/{list}?directory={}&as_of=2020-01-01T00:00:00Z", history.directory.id);
        let (status, said) = history.server.api().send("GET", &path, None).await;
        assert_eq!(status, 422, "the present is not shown for the past: {said}");
    }
    let never = "directory_user_01K0ZC6M8Q4T6V7W8X9YABCDEF";
    assert!(history.audit(&format!("&user={never}")).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_the_history_comes_in_one_answer_as_lines_or_as_a_table() {
    let history = history().await;
    let directory = &history.directory.id;
    let listed = history.audit(&format!("&directory={directory}")).await;
    let (kind, lines) =
        history.export("application/x-ndjson", &format!("directory={directory}")).await;
    assert_eq!(kind, "application/x-ndjson");
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, listed);
    let (kind, table) = history.export("text/csv", &format!("directory={directory}")).await;
    assert!(kind.starts_with("text/csv"));
    let rows: Vec<&str> = table.trim_end().split("\r\n").collect();
    assert_eq!(rows.len(), listed.len() + 1);
    assert!(rows[0].starts_with("id,event,created_at,directory_id,seq,hash,prev_hash,actor_"));
    for (row, event) in rows[1..].iter().zip(&listed) {
        let begin =
            format!("{},{},", event["id"].as_str().unwrap(), event["event"].as_str().unwrap());
        assert!(row.starts_with(&begin), "{row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_in_front_of_an_event_holds_what_the_list_has_there() {
    let history = history().await;
    let of = format!("directory={}", history.directory.id);
    let listed = history.audit(&format!("&{of}")).await;
    let cursor = listed[5]["id"].as_str().unwrap();
    for order in ["asc", "desc", "normal"] {
        let query = format!("{of}&order={order}&before={cursor}");
        let page = history.audit(&format!("&{query}")).await;
        assert!(!page.is_empty() && page.len() < listed.len());
        let (_, lines) = history.export("application/x-ndjson", &query).await;
        let lines: Vec<Value> =
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines, page, "{order}");
    }
    let (kind, _) = history.export("application/json, application/x-ndjson", &of).await;
    assert_eq!(kind, "application/json");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_for_audits_reaches_the_audit_trail_and_nothing_else() {
    let history = history().await;
    let api = history.server.api();
    let key = api.create("/api_keys", &json!({ "name": "auditor", "scope": "audit" })).await;
    let auditor = api.with_key(key["key"].as_str().unwrap());
    assert!(!auditor.get("/audit/events").await["data"].as_array().unwrap().is_empty());
    let directory = &history.directory.id;
    for path in [
        "/events".to_owned(),
        "/directories".to_owned(),
        format!("/directories/{directory}"),
        format!("/directory_users?directory={directory}"),
        format!("/directory_groups?directory={directory}"),
        "/organizations".to_owned(),
        "/webhook_endpoints".to_owned(),
        "/api_keys".to_owned(),
    ] {
        let (status, said) = auditor.send("GET", &path, None).await;
        assert_eq!(status, 403, "{path}: {said}");
    }
    let other = api.create("/organizations", &json!({ "name": "Other" })).await;
    let body = json!({ "name": "other", "scope": "audit", "organization_id": other["id"] });
    let key = api.create("/api_keys", &body).await;
    let limited = api.with_key(key["key"].as_str().unwrap());
    assert_eq!(limited.get("/audit/events").await["data"], json!([]));
    for path in ["/audit/events", "/audit/verify"] {
        let asked = format!("{path}?directory={directory}");
        let (status, _) = limited.send("GET", &asked, None).await;
        assert_eq!(status, 404, "{asked}");
    }
    assert_eq!(limited.send("GET", "/audit/verify", None).await.0, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_changes_a_directory_through_the_api_is_named() {
    let history = history().await;
    let api = history.server.api();
    let key = api.create("/api_keys", &json!({ "name": "admin", "scope": "full" })).await;
    let text = key["key"].as_str().unwrap();
    let admin = api.with_key(text);
    let path = format!("/directories/{}", history.directory.id);
    let token = admin.create(&format!("{path}/tokens"), &json!({})).await;
    let token = format!("{path}/tokens/{}", token["id"].as_str().unwrap());
    assert_eq!(admin.send("DELETE", &token, None).await.0, 204);
    assert_eq!(admin.send("DELETE", &path, None).await.0, 202);
    let id = key["id"].as_str().unwrap();
    let told = eventually("the deletion", || async {
        let told = history.audit(&format!("&actor={id}")).await;
        types(&told).contains(&"dsync.deleted").then_some(told)
    })
    .await;
    let deed = ["dsync.token.created", "dsync.token.revoked", "dsync.deleted"];
    assert!(types(&told).starts_with(&deed[..2]) && types(&told).last() == Some(&deed[2]));
    for event in &told {
        let actor = &event["actor"];
        assert_eq!((&actor["api_key_id"], &actor["ip"]), (&key["id"], &json!("127.0.0.1")));
        assert!(text.ends_with(actor["token_suffix"].as_str().unwrap()));
        assert!(!actor.to_string().contains(text));
        let request = actor["request_id"].as_str().unwrap();
        let caused = history.audit(&format!("&request_id={request}")).await;
        assert_eq!(caused, std::slice::from_ref(event), "a request leads to what it caused");
    }
}

/// What somebody with a shell does to the log.
struct Tampering {
    name: &'static str,
    sql: &'static str,
    /// The place in the stream that has to be named.
    seq: u64,
}

/// Records 1 to 3 of the log are about the token, the activation and the first user; 4 is the second.
const TAMPERINGS: [Tampering; 4] = [
    Tampering {
        name: "one byte of an old record is changed",
        sql: "UPDATE records SET value = CAST(replace(CAST(value AS TEXT), 'kept@acme', 'kapt@acme') AS BLOB)
              WHERE key = (SELECT key FROM records ORDER BY key LIMIT 1 OFFSET 2)",
        seq: 3,
    },
    Tampering {
        name: "an old record is deleted",
        sql: "DELETE FROM records WHERE key = (SELECT key FROM records ORDER BY key LIMIT 1 OFFSET 2)",
        seq: 3,
    },
    Tampering {
        name: "two records are swapped",
        sql: "CREATE TEMP TABLE pair AS SELECT key, value FROM records ORDER BY key LIMIT 2 OFFSET 2;
              UPDATE records SET value = (SELECT value FROM pair WHERE pair.key <> records.key)
              WHERE key IN (SELECT key FROM pair)",
        seq: 3,
    },
    Tampering {
        name: "the tail is cut off",
        sql: "DELETE FROM records WHERE key = (SELECT max(key) FROM records)",
        seq: 0,
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn whoever_edits_the_log_is_found_out_and_the_place_is_named() {
    for Tampering { name, sql, seq } in TAMPERINGS {
        let history = history().await;
        let api = history.server.api();
        let directory = &history.directory.id;
        let ask = format!("/audit/verify?directory={directory}");
        let whole = api.get(&ask).await;
        assert_eq!((&whole["verified"], &whole["difference"]), (&json!(true), &Value::Null));
        let last = history.audit("").await.last().unwrap()["seq"].as_u64().unwrap();
        let seq = if seq == 0 { last } else { seq };
        let log = Connection::open(history.server.data().join("data/log.db")).unwrap();
        log.execute_batch(sql).unwrap();
        drop(log);
        let broken = api.get(&ask).await;
        let difference = &broken["difference"];
        assert_eq!(broken["verified"], false, "{name}: {broken}");
        assert_eq!(difference["directory_id"], **directory, "{name}: {broken}");
        assert_eq!(difference["seq"], seq, "{name}: {broken}");
        let said = command(history.server.data()).arg("verify").output().unwrap();
        assert_eq!(said.status.code(), Some(1), "{name}");
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        let named = format!("{directory}: seq {seq}: ");
        assert!(said.contains(&named), "{name}: {said} does not name {named}");
        assert!(said.contains("DSYNC-003"), "{name}: {said} does not say what to do");
        let said = command(history.server.data()).args(["--json", "verify"]).output().unwrap();
        assert_eq!(said.status.code(), Some(1), "{name}");
        let said = json_of(&said.stdout);
        assert_eq!((&said["verified"], &said["directory"]), (&json!(false), &json!(directory)));
        assert_eq!(said["seq"], seq, "{name}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_for_one_directory_is_told_nothing_of_others() {
    for Tampering { name, sql, seq } in &TAMPERINGS[..3] {
        let history = history().await;
        let api = history.server.api();
        let other = api.directory("okta scim v2.0", "Other").await;
        other.user("other@other.example").await;
        let of = api.get(&format!("/directories/{}", other.id)).await["organization_id"].clone();
        let key = json!({ "name": "auditor", "scope": "audit", "organization_id": of });
        let key = api.create("/api_keys", &key).await;
        let limited = api.with_key(key["key"].as_str().unwrap());
        let log = Connection::open(history.server.data().join("data/log.db")).unwrap();
        log.execute_batch(sql).unwrap();
        drop(log);
        let own = limited.get(&format!("/audit/verify?directory={}", other.id)).await;
        assert_eq!((&own["verified"], &own["difference"]), (&json!(true), &Value::Null), "{name}");
        let first = &history.directory.id;
        let broken = api.get(&format!("/audit/verify?directory={first}")).await;
        assert_eq!(broken["difference"]["directory_id"], **first, "{name}: {broken}");
        assert_eq!(broken["difference"]["seq"], *seq, "{name}: {broken}");
    }
}
