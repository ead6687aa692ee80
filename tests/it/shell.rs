//! The command line client against a server, as a person at a shell uses it.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::mpsc::sync_channel;

use serde_json::{Value, json};
use tests::server::{PATIENCE, command, json_of};
use tests::{Directory, Receiver, Server};

/// More lines than a tail prints here.
const LINES_MAX: usize = 1_000;

/// What a command said.
struct Said {
    out: String,
    err: String,
    code: Option<i32>,
}

/// Runs a command of the client against this server.
fn run(server: &Server, line: &str) -> Said {
    let mut command = command(server.data());
    let listen = server.base().strip_prefix("http://").unwrap();
    let output =
        command.env("DSYNC_LISTEN", listen).args(line.split_whitespace()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { out: text(output.stdout), err: text(output.stderr), code: output.status.code() }
}

/// The same with `--json`; it has to work.
fn ask(server: &Server, line: &str) -> Value {
    let said = run(server, &format!("{line} --json"));
    assert_eq!(said.code, Some(0), "{line}: {}", said.err);
    if said.out.is_empty() { Value::Null } else { json_of(said.out.as_bytes()) }
}

fn id(of: &Value) -> &str {
    of["id"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_set_up_looked_into_and_deleted_from_a_shell() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let ask = |line: &str| ask(&server, line);
    let org = ask("org create Acme --external-id a/1 --domains acme.example");
    assert_eq!(id(&ask("org get --external-id a/1")), id(&org));
    let changed = ask(&format!("org update {} --name Acme+Inc", id(&org)));
    assert_eq!((&changed["name"], &changed["external_id"]), (&"Acme+Inc".into(), &"a/1".into()));

    let created =
        ask(&format!("directory create --organization {} --type okta --name People", id(&org)));
    let directory = Directory::new(&created, server.base());
    directory.user("adele@acme.example").await;
    directory.group("Engineering").await;
    let of = &directory.id;
    let users = ask(&format!("user list --directory {of} --email adele@acme.example"));
    let user = ask(&format!("user get {}", id(&users["data"][0])));
    assert_eq!(user["username"], "adele@acme.example");
    let table = run(&server, &format!("group list --directory {of}")).out;
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!(rows.len(), 2, "{table}");
    assert!(rows[0].starts_with("ID ") && rows[1].contains("Engineering"), "{table}");
    let settings = ask(&format!("directory settings {of} --set unknown_member=pending"));
    assert_eq!(settings["unknown_member"], "pending");

    let host = ask(&format!("host-name create scim.acme.example --organization {}", id(&org)));
    let shown = ask(&format!("directory get {of}"));
    let endpoint = shown["scim"]["endpoint"].as_str().unwrap();
    assert!(endpoint.starts_with("http://scim.acme.example:"), "{endpoint}");
    let listed = run(&server, &format!("host-name list --directory {of}")).out;
    assert!(!listed.contains("scim.acme.example"), "it is not of the directory alone: {listed}");
    assert_eq!(ask(&format!("host-name get {}", id(&host))), host);
    ask(&format!("host-name delete {}", id(&host)));
    let link = run(&server, &format!("portal-link create {}", id(&org)));
    assert!(link.out.contains("/setup/") && link.err.contains("not shown again"), "{}", link.err);
    let links = ask(&format!("portal-link list --organization {}", id(&org)));
    ask(&format!("portal-link revoke {}", id(&links["data"][0])));
    assert_eq!(ask("portal-link list")["data"][0]["state"], "revoked");

    let second = ask(&format!("directory token create {of}"));
    assert_eq!(ask(&format!("directory token list {of}"))["data"].as_array().unwrap().len(), 2);
    let revoked = run(&server, &format!("directory token revoke {of} {}", id(&second)));
    assert!(revoked.err.contains("is revoked") && revoked.out.is_empty(), "{}", revoked.err);
    assert_eq!(ask(&format!("directory token list {of}"))["data"].as_array().unwrap().len(), 1);

    ask(&format!("directory delete {of}"));
    let nobody = format!("directory_{}", "0".repeat(26));
    for line in [format!("directory get {nobody}"), format!("events export --directory {nobody}")] {
        let refused = run(&server, &line);
        assert_eq!(refused.code, Some(1), "{line}");
        assert!(refused.err.contains("404"), "{line}: {}", refused.err);
    }
    ask(&format!("org delete {}", id(&org)));
    assert_eq!(ask("org list")["data"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exported_event_is_byte_for_byte_the_webhook() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let app = Receiver::start().await;
    server.api().endpoint_with(app.url(), json!({})).await;
    let directory = server.api().directory("okta scim v2.0", "Acme").await;
    directory.user("zoe@acme.example").await;
    directory.group("Engineering").await;
    let told = app.wait_for(3).await;
    let told: BTreeSet<String> =
        told.into_iter().map(|sent| String::from_utf8(sent.body).unwrap()).collect();
    for line in ["events export", "events tail --json"] {
        let said = run(&server, line).out;
        let exported: BTreeSet<String> = said.lines().map(str::to_owned).collect();
        assert!(told.is_subset(&exported), "{line}: {told:#?} and {exported:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_keys_and_the_history_are_at_hand_at_a_shell() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let ask = |line: &str| ask(&server, line);
    let endpoint = ask("endpoint create https://app.example/hooks --events dsync.user.created");
    let changed = ask(&format!("endpoint update {} --status disabled --timeout 5", id(&endpoint)));
    assert_eq!((&changed["status"], &changed["timeout_seconds"]), (&"disabled".into(), &5.into()));
    let (chain, files) = certificate(data.path());
    let shown = ask(&format!("endpoint update {} {files}", id(&endpoint)));
    assert_eq!(shown["client_certificate"], chain.as_str());
    let without = format!("endpoint update {} --no-client-certificate", id(&endpoint));
    assert_eq!(ask(&without)["client_certificate"], serde_json::Value::Null);
    let rotated = ask(&format!("endpoint rotate-secret {} --overlap 60", id(&endpoint)));
    assert_ne!(rotated["secret"], endpoint["secret"]);
    ask(&format!("endpoint delete {}", id(&endpoint)));
    assert_eq!(ask("endpoint list")["data"], serde_json::json!([]));

    let key = ask("key create auditor --scope audit");
    let listed = run(&server, "key list").out;
    assert!(
        listed.contains("auditor") && !listed.contains(key["key"].as_str().unwrap()),
        "{listed}"
    );
    ask(&format!("key delete {}", id(&key)));

    let directory = server.api().directory("okta scim v2.0", "Acme").await;
    directory.user("adele@acme.example").await;
    let event = &server.api().events("dsync.user.created").await[0];
    assert_eq!(ask(&format!("event get {}", id(event))), *event);
    let lines = run(&server, "audit events --text adele").out;
    assert_eq!(lines.lines().count(), 1, "{lines}");
    assert_eq!(json_of(lines.as_bytes())["id"], event["id"]);
    let csv = run(&server, &format!("audit events --directory {} --format csv", directory.id)).out;
    // Its token, its activation, its user, and the names of the columns.
    assert_eq!(csv.lines().count(), 4, "{csv}");
    assert_eq!(ask("audit verify")["verified"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_follows_the_events_follows_them_over_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listen = free.to_string();
    let start = || Server::start_with(data.path(), &[("DSYNC_LISTEN", &listen)]);
    let server = start();
    let directory = server.api().directory("okta scim v2.0", "Acme").await;
    directory.user("adele@acme.example").await;
    let mut tail = command(data.path());
    tail.args(["events", "tail", "--follow", "--json"]).env("DSYNC_LISTEN", &listen);
    let mut tail = tail.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (line, lines) = sync_channel(LINES_MAX);
    let (out, err) = (tail.stdout.take().unwrap(), tail.stderr.take().unwrap());
    let (printed, noted) = (line.clone(), line);
    let tell = |text: Option<Result<String, _>>| text.and_then(Result::ok);
    std::thread::spawn(move || {
        let mut lines = BufReader::new(out).lines();
        while let Some(text) = tell(lines.next()) {
            let _ = printed.send(text);
        }
    });
    std::thread::spawn(move || {
        let mut lines = BufReader::new(err).lines();
        while let Some(text) = tell(lines.next()) {
            let _ = noted.send(text);
        }
    });
    let until = |what: &str| {
        let found = std::iter::from_fn(|| lines.recv_timeout(PATIENCE).ok());
        assert!(found.into_iter().any(|text| text.contains(what)), "{what} is not printed");
    };
    until("adele@acme.example");
    assert!(server.terminate().success());
    until("when the server answers again");
    let server = start();
    directory.user("grady@acme.example").await;
    until("grady@acme.example");
    drop(server);
    tail.kill().unwrap();
    tail.wait().unwrap();
}

/// A certificate, and the flags that name the files of it and its key.
fn certificate(folder: &std::path::Path) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["dsync".to_owned()]).unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let key = file("client-key.pem", &made.signing_key.serialize_pem());
    let chain = made.cert.pem();
    let files = format!("--client-certificate {} --client-key {key}", file("client.pem", &chain));
    (chain, files)
}
