//! A log in which a record is missing, on one machine: the directory concerned stands still, or the log cannot be read any
//! further, which is told; and they go on when an operator says so.

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

/// Whether a command succeeds, and what it says.
fn run(data: &std::path::Path, arguments: &[&str]) -> (bool, String) {
    let output = command(data).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
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

    let run = |arguments: &[&str]| run(data.path(), arguments);
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

/// What somebody takes out of a log, and how many of three users are left of the directory that it is of.
const LOSSES: [(&str, u64); 3] = [
    ("DELETE FROM records WHERE key = 0", 0),
    ("DELETE FROM records WHERE CAST(value AS TEXT) LIKE '%second@acme%'", 1),
    ("DELETE FROM records WHERE CAST(value AS TEXT) LIKE '%third@acme%'", 2),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_log_with_a_hole_is_gone_on_with_when_the_loss_is_accepted() {
    for (loss, left) in LOSSES {
        let data = tempfile::tempdir().unwrap();
        let server = Server::start(data.path());
        let directory = server.api().directory("azure scim v2.0", "Acme").await;
        for name in ["first", "second", "third"] {
            directory.user(&format!("{name}@acme.example")).await;
        }
        let other = server.api().directory("okta scim v2.0", "Other").await;
        other.user("first@other.example").await;
        assert!(server.terminate().success());
        let log = Connection::open(data.path().join("data/log.db")).unwrap();
        assert_eq!(log.execute(loss, []).unwrap(), 1);
        drop(log);

        let (rebuilt, said) = run(data.path(), &["rebuild"]);
        assert!(!rebuilt && said.contains("DSYNC-003"), "{loss}: {said}");
        assert!(said.contains("Nothing was changed") && said.contains("--accept-loss"), "{said}");
        let (rebuilt, said) = run(data.path(), &["rebuild", "--accept-loss"]);
        assert!(rebuilt && said.contains("begun anew: 1 streams"), "{loss}: {said}");

        let server = Server::start(data.path());
        assert_eq!(server.api().readiness(200, "ready").await["directories"], "ok");
        for (directory, left) in [(&directory, left), (&other, 1)] {
            let at = directory.at(server.base());
            let list = at.send("GET", "/Users?count=0", None).await.expect(200);
            assert_eq!(list.body["totalResults"], left, "{loss}");
            at.user("next@acme.example").await;
        }
        assert!(server.terminate().success());
        for command in ["verify", "rebuild", "verify"] {
            let (whole, said) = run(data.path(), &[command]);
            assert!(whole, "{loss}: {command}: {said}");
        }
    }
}
