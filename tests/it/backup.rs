//! What is put back from a backup, or not put back with the rest.

use std::path::Path;
use std::process::Output;

use rusqlite::Connection;
use serde_json::json;
use tests::scim::user_body;
use tests::server::{command, eventually};
use tests::{Receiver, Server};

fn run(data: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    let mut dsync = command(data);
    dsync.args(arguments).envs(settings.iter().copied()).output().unwrap()
}

fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat()
}

fn is_refused(output: &Output, code: &str) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said(output).contains(code), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_older_than_what_apps_were_told_is_noticed_without_the_state() {
    let data = tempfile::tempdir().unwrap();
    let receiver = Receiver::start().await;
    let server = Server::start(data.path());
    server.api().endpoint(receiver.url()).await;
    let directory = server.api().directory("azure scim v2.0", "Acme").await;
    let create = async |base: &str, name: &str| {
        let directory = directory.at(base);
        directory.send("POST", "/Users", Some(user_body(name))).await.expect(201);
        eventually("its event", || async {
            receiver
                .arrived()
                .iter()
                .any(|one| String::from_utf8_lossy(&one.body).contains(name))
                .then_some(())
        })
        .await;
    };
    for number in 0..10 {
        create(server.base(), &format!("user{number}@acme.example")).await;
    }
    assert!(server.terminate().success());

    for file in std::fs::read_dir(data.path().join("data")).unwrap() {
        let file = file.unwrap();
        if file.file_name().to_string_lossy().starts_with("state-") {
            std::fs::remove_file(file.path()).unwrap();
        }
    }
    let log = Connection::open(data.path().join("data/log.db")).unwrap();
    let cut = "DELETE FROM records WHERE key > (SELECT max(key) - 5 FROM records)";
    assert_eq!(log.execute(cut, []).unwrap(), 5);
    drop(log);

    is_refused(&run(data.path(), &["serve"], &[]), "DSYNC-003");
    is_refused(&run(data.path(), &["rebuild"], &[]), "DSYNC-003");
    is_refused(&run(data.path(), &["serve"], &[]), "DSYNC-003");
    let accepted = run(data.path(), &["rebuild", "--accept-loss"], &[]);
    assert!(accepted.status.success(), "{accepted:?}");

    let server = Server::start(data.path());
    create(server.base(), "after@acme.example").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_opened_with_its_own_master_key_alone() {
    const OTHER: &str = "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=";
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    server.api().endpoint("https://app.example/webhooks").await;
    assert!(server.terminate().success());

    let key = data.path().join("data/master.key");
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    for command in ["serve", "rebuild"] {
        is_refused(&run(data.path(), &[command], &[]), "DSYNC-013");
        let other = run(data.path(), &[command], &[("DSYNC_MASTER_KEY", OTHER)]);
        is_refused(&other, "DSYNC-013");
        assert!(!said(&other).contains(OTHER));
        assert!(!key.exists(), "none is made");
    }
    let right = String::from_utf8(kept).unwrap();
    let server = Server::start_with(data.path(), &[("DSYNC_MASTER_KEY", right.trim())]);
    let endpoints = server.api().get("/webhook_endpoints").await;
    assert_eq!(endpoints["data"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_cannot_be_read_is_found_behind_what_the_store_has_read() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let directory = server.api().directory("azure scim v2.0", "Acme").await;
    directory.user("first@acme.example").await;
    assert!(server.terminate().success());
    let whole = run(data.path(), &["verify"], &[]);
    assert!(whole.status.success(), "{whole:?}");
    let log = Connection::open(data.path().join("data/log.db")).unwrap();
    let spoil = "INSERT INTO records SELECT max(key) + 1, x'00ff' FROM records";
    assert_eq!(log.execute(spoil, []).unwrap(), 1);
    drop(log);
    is_refused(&run(data.path(), &["verify"], &[]), "DSYNC-005");

    let server = Server::start(data.path());
    let at = directory.at(server.base());
    eventually("a refusal that says who can mend it", async || {
        let refused = at.send("POST", "/Users", Some(user_body("second@acme.example"))).await;
        assert!(refused.status == 503 && refused.retry_after.is_some(), "{}", refused.body);
        let detail = refused.body["detail"].as_str().unwrap();
        detail.contains("stopped until the operator").then_some(())
    })
    .await;
    let list = at.send("GET", "/Users?count=0", None).await.expect(200);
    assert_eq!(list.body["totalResults"], 1, "reads go on");
    assert!(server.terminate().success());
}

/// A server that has come to rest with one directory and two users.
async fn at_rest(data: &Path) -> tests::Directory {
    let server = Server::start(data);
    let directory = server.api().directory("azure scim v2.0", "Acme").await;
    directory.user("first@acme.example").await;
    directory.user("last@acme.example").await;
    assert!(server.terminate().success());
    directory
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_whose_last_record_was_altered_is_made_no_state_of_until_that_is_accepted() {
    let data = tempfile::tempdir().unwrap();
    let directory = at_rest(data.path()).await;
    let log = Connection::open(data.path().join("data/log.db")).unwrap();
    let alter = "UPDATE records
        SET value = CAST(replace(CAST(value AS TEXT), 'last@acme', 'eve@acme') AS BLOB)
        WHERE key = (SELECT max(key) FROM records)";
    assert_eq!(log.execute(alter, []).unwrap(), 1);
    drop(log);

    let refused = run(data.path(), &["rebuild"], &[]);
    is_refused(&refused, "DSYNC-003");
    for told in [&*directory.id, "its hash differs", "Nothing was changed", "backup"] {
        assert!(said(&refused).contains(told), "{told}: {refused:?}");
    }
    is_refused(&run(data.path(), &["verify"], &[]), "its hash differs");

    let accepted = run(data.path(), &["rebuild", "--accept-loss"], &[]);
    assert!(accepted.status.success(), "{accepted:?}");
    assert!(said(&accepted).contains("begun anew: 1 streams"), "{accepted:?}");
    for command in ["verify", "rebuild"] {
        let whole = run(data.path(), &[command], &[]);
        assert!(whole.status.success(), "{whole:?}");
    }
    let server = Server::start(data.path());
    let history = server.api().get("/audit/events?limit=1&order=desc").await;
    let mark = &history["data"][0]["actor"]["user_agent"];
    assert_eq!(*mark, json!("dsync rebuild --accept-loss"), "{history}");
}
