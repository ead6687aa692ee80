//! Apps that receive webhooks with the libraries of others, in the languages of others.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver as Lines, sync_channel};

use serde_json::{Value, json};
use tests::server::{PATIENCE, json_of};
use tests::{Directory, Server};

/// A program that receives webhooks and says what its libraries make of each.
struct App {
    program: Child,
    input: ChildStdin,
    lines: Lines<Value>,
    url: String,
}

impl App {
    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut program = command.spawn().expect("the program that ./test installed starts");
        let input = program.stdin.take().expect("it is piped");
        let output = BufReader::new(program.stdout.take().expect("it is piped"));
        let (found, lines) = sync_channel(1_024);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if found.send(json_of(line.as_bytes())).is_err() {
                    return;
                }
            }
        });
        let mut app = Self { program, input, lines, url: String::new() };
        app.url = format!("http://127.0.0.1:{}/webhooks", app.next()["port"]);
        app
    }

    fn next(&self) -> Value {
        self.lines.recv_timeout(PATIENCE).expect("the program says something")
    }

    fn tell(&mut self, line: &Value) {
        writeln!(self.input, "{line}").expect("the program listens");
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn svix_standardwebhooks_and_workos_verify_in_node() {
    let Some(packages) = std::env::var_os("DSYNC_TEST_NODE") else {
        tests::not_checked(&"receivers in Node are not installed; run ./test, which installs them");
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("node/receive_webhooks.cjs");
    let mut node = Command::new("node");
    node.arg(script).env("DSYNC_TEST_NODE", packages);
    every_library_verifies(node, &["standardwebhooks", "svix", "workos"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn standardwebhooks_and_workos_verify_in_python() {
    let Some(tools) = std::env::var_os("DSYNC_TEST_PYTHON") else {
        tests::not_checked(
            &"receivers in Python are not installed; run ./test, which installs them",
        );
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/receive_webhooks.py");
    let mut python = Command::new(Path::new(&tools).join("python"));
    python.arg(script);
    every_library_verifies(python, &["ed25519", "standardwebhooks", "workos"]).await;
}

/// Sends one event of each kind to the app, before and within a rotation.
async fn every_library_verifies(program: Command, libraries: &[&str]) {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let mut app = App::start(program);
    let api = server.api();
    let body = json!({ "endpoint_url": app.url, "ed25519": true });
    let endpoint = api.create("/webhook_endpoints", &body).await;
    app.tell(&json!({ "secret": endpoint["secret"], "public_key": endpoint["public_key"] }));
    let directory = api.directory("generic scim v2.0", "Ācme & Söhne").await;

    play(&directory, "ada").await;
    let rotate = format!("/webhook_endpoints/{}/rotate_secret", endpoint["id"].as_str().unwrap());
    let (status, answer) = api.send("POST", &rotate, Some(&json!({}))).await;
    assert_eq!(status, 200, "{answer}");
    play(&directory, "bob").await;

    let mut ids = BTreeSet::new();
    // A rotation may send an event twice, as any change of an endpoint may.
    while ids.len() < EVENTS {
        let verdict = app.next();
        let mut verified: Vec<&str> =
            verdict["verified"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        verified.sort_unstable();
        assert_eq!(verified, libraries, "{verdict}");
        ids.insert(verdict["id"].as_str().unwrap().to_owned());
    }
    let shown = api.get(&format!("/webhook_endpoints/{}", endpoint["id"].as_str().unwrap())).await;
    assert_eq!(shown["health"]["last_error"], Value::Null);
}

/// The directory becomes active, and then the events of [`play`], twice.
const EVENTS: usize = 1 + 2 * 8;

/// Eight events, one of each kind, with text that is easily written in more than one way.
async fn play(directory: &Directory, name: &str) {
    let user = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": format!("{name}@acme.example"), "active": true,
        "displayName": "Ada \u{201c}Ä\u{201d} \u{1F469}\u{200D}\u{1F4BB} </script> \\ / \u{2028}\u{7f}",
        "title": "tab\tand\nline", "name": { "givenName": "Zoë", "familyName": "O'Neil" },
    });
    let user = directory.send("POST", "/Users", Some(user)).await.expect(201).body;
    let user = user["id"].as_str().unwrap();
    let title = json!([{ "op": "replace", "path": "title", "value": "1.0 <&> 1e21" }]);
    directory.patch(&format!("/Users/{user}"), title).await.expect(200);
    let group = directory.group(&format!("Gruppe {name} \u{00df}")).await;
    let path = format!("/Groups/{group}");
    let rename =
        json!([{ "op": "replace", "path": "displayName", "value": format!("R&D {name}") }]);
    directory.patch(&path, rename).await;
    let add = json!([{ "op": "add", "path": "members", "value": [{ "value": user }] }]);
    directory.patch(&path, add).await;
    let remove = json!([{ "op": "remove", "path": format!("members[value eq \"{user}\"]") }]);
    directory.patch(&path, remove).await;
    directory.send("DELETE", &path, None).await.expect(204);
    directory.send("DELETE", &format!("/Users/{user}"), None).await.expect(204);
}
