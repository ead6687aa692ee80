//! Apps that use the SDKs of WorkOS, as they come from their registries, against this server: with
//! another base URL and another key, and nothing else changed.
//!
//! Every program does the same and says what it saw in the same words, a JSON object a line:
//! `{"check", "value"}`. What it has to say is written once, in [`world`].

mod in_rust;
mod world;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tests::server::json_of;
use tests::{Receiver, Server};

use world::World;

/// What an SDK saw, by the name of the check.
type Seen = BTreeMap<String, Value>;

/// The newest of the SDK for Node 20 and 21. Later ones want Node 22.11.
const NODE_SDK: &str = "8.13.0";

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_for_node_runs_unmodified() {
    let Some(packages) = installed("DSYNC_TEST_NODE") else { return };
    let world = World::new().await;
    let mut node = Command::new("node");
    node.arg(script("node/use_workos.cjs")).env("DSYNC_TEST_NODE", packages);
    let mut seen = run(node, &world.config()).await;
    let runtime = seen.remove("node").expect("the program says which Node runs it");
    assert_eq!(seen.remove("sdk"), Some(json!(NODE_SDK)));
    let (major, minor) = (runtime[0].as_u64().unwrap(), runtime[1].as_u64().unwrap());
    if (major, minor) >= (22, 11) {
        tests::not_checked(&format!(
            "this Node runs a newer SDK than {NODE_SDK}, which is for Node 20"
        ));
    } else {
        println!("{NODE_SDK} is the newest SDK that Node {major}.{minor} runs");
    }
    let mut expected = world.expected();
    // It has calls for webhook endpoints from version 9 on, and these two filters from 10 on.
    for missing in ["endpoint", "user_by_idp_id", "user_by_email"] {
        expected.remove(missing);
    }
    // It leaves these out of what it makes of a user.
    for missing in ["emails", "job_title", "username"] {
        expected.get_mut("user").unwrap().as_object_mut().unwrap().remove(missing);
    }
    // It translates the state of a directory to the word that events use.
    expected.insert("directory_states".into(), json!(["active", "active"]));
    compare(&seen, &expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_for_python_runs_unmodified() {
    let Some(tools) = installed("DSYNC_TEST_PYTHON") else { return };
    let world = World::new().await;
    let mut python = Command::new(Path::new(&tools).join("python"));
    python.arg(script("python/use_workos_10.py"));
    let mut seen = run(python, &world.config()).await;
    assert_eq!(seen.remove("sdk"), Some(json!("10.8.0")));
    compare(&seen, &world.expected());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_previous_sdk_for_python_runs_unmodified() {
    let Some(tools) = installed("DSYNC_TEST_PYTHON") else { return };
    let Some(packages) = installed("DSYNC_TEST_WORKOS_5") else { return };
    let world = World::new().await;
    let mut python = Command::new(Path::new(&tools).join("python"));
    python.arg(script("python/use_workos_5.py")).env("PYTHONPATH", packages);
    let mut seen = run(python, &world.config()).await;
    assert_eq!(seen.remove("sdk"), Some(json!("5.46.0")));
    let mut expected = world.expected();
    // It has no calls for webhook endpoints, nor these two filters.
    for missing in ["endpoint", "user_by_idp_id", "user_by_email"] {
        expected.remove(missing);
    }
    // It translates the state of a directory to the word that events use.
    expected.insert("directory_states".into(), json!(["active", "active"]));
    compare(&seen, &expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_for_rust_runs_unmodified() {
    let world = World::new().await;
    let seen = in_rust::see(&world.config()).await;
    compare(&seen, &world.expected());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_for_rust_verifies_what_the_dispatcher_sent() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let app = Receiver::start().await;
    let (_, secret) = server.api().endpoint(app.url()).await;
    let directory = server.api().directory("okta scim v2.0", "Ācme & Söhne").await;
    directory.user("zoë@acme.example").await;
    for arrived in app.wait_for(2).await {
        let signature = arrived.header("workos-signature").to_owned();
        let body = String::from_utf8(arrived.body).unwrap();
        assert!(in_rust::verifies(&secret, &signature, &body), "{body}");
        assert!(!in_rust::verifies(&secret, &signature, &body.replacen('a', "b", 1)));
        assert!(!in_rust::verifies("whsec_of_somebody_else", &signature, &body));
    }
}

/// Where `./test` has installed something, or `None` and a word about it.
fn installed(variable: &str) -> Option<OsString> {
    let found = std::env::var_os(variable);
    if found.is_none() {
        tests::not_checked(&format!("{variable} names no SDK; run ./test, which installs it"));
    }
    found
}

fn script(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Gives the program its configuration and reads what it says to the end.
async fn run(mut command: Command, config: &Value) -> Seen {
    let config = config.to_string();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = tokio::task::spawn_blocking(move || {
        let mut program = command.spawn().expect("the program that ./test installed starts");
        let mut input = program.stdin.take().expect("it is piped");
        input.write_all(config.as_bytes()).expect("the program listens");
        drop(input);
        program.wait_with_output().expect("the program is ours")
    });
    let output = running.await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let check = |line: &[u8]| {
        let mut line = json_of(line);
        (line["check"].as_str().expect("a name").to_owned(), line["value"].take())
    };
    lines.map(check).collect()
}

/// Check by check, so that a failure names the one that differs.
fn compare(seen: &Seen, expected: &Seen) {
    for (check, value) in expected {
        assert_eq!(seen.get(check), Some(value), "{check}");
    }
    let names = |of: &Seen| of.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(seen), names(expected));
}
