//! A log in which a record is missing, on one machine: the directory concerned stands still, which is told, and goes on
//! when an operator says so.

use rusqlite::Connection;
use serde_json::{Value, json};
use tests::Server;
use tests::scim::user_body;
use tests::server::command;

/// Appends what claims to follow a record that was never there.
fn forge(data: &std::path::Path) {
    let log = Connection::open(data.join("data/log.db")).unwrap();
    let last = "SELECT key, value FROM records ORDER BY key DESC LIMIT 1";
    let (key, value): (i64, Vec<u8>) =
        log.query_row(last, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let mut forged: Value = serde_json::from_slice(&value).unwrap();
    let seq = forged["seq"].as_u64().unwrap() + 5;
    forged["seq"] = json!(seq);
    forged["base"] = json!(seq - 1);
    forged["prev"] = json!("ab".repeat(32));
    let put = "INSERT INTO records (key, value) VALUES (?1, ?2)";
    log.execute(put, (key + 1, forged.to_string().into_bytes())).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_a_gap_stops_is_told_of_and_goes_on_when_the_loss_is_accepted() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let other = server.api().directory("okta scim v2.0", "Other").await;
    let directory = server.api().directory("azure scim v2.0", "Acme").await;
    other.user("first@other.example").await;
    directory.user("first@acme.example").await;
    assert!(server.terminate().success());
    forge(data.path());

    let server = Server::start(data.path());
    let told = server.api().readiness(200, "degraded").await;
    let named = told["directories"].as_str().unwrap();
    assert!(named.contains("DSYNC-003") && named.contains(&directory.id), "{told}");
    let at = directory.at(server.base());
    let refused = at.send("POST", "/Users", Some(user_body("second@acme.example"))).await;
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert!(refused.retry_after.is_some());
    other.at(server.base()).user("second@other.example").await;
    assert!(server.terminate().success());

    let run = |arguments: &[&str]| {
        let output = command(data.path()).args(arguments).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    };
    let (rebuilt, said) = run(&["rebuild"]);
    assert!(!rebuilt && said.contains(&directory.id), "{said}");
    assert!(said.contains("where a gap stops it. Nothing was changed"), "{said}");
    let (rebuilt, said) = run(&["rebuild", "--accept-loss"]);
    assert!(rebuilt && said.contains("begun anew: 1 streams"), "{said}");

    let server = Server::start(data.path());
    assert_eq!(server.api().readiness(200, "ready").await["directories"], "ok");
    let at = directory.at(server.base());
    at.user("second@acme.example").await;
    let list = at.send("GET", "/Users?count=0", None).await.expect(200);
    assert_eq!(list.body["totalResults"], 2, "nothing of what was accepted is gone");
    assert!(server.terminate().success());
    let (verified, said) = run(&["verify"]);
    assert!(verified, "{said}");
}
