//! What is said at the start and at the end, and what the demo takes from around it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tests::Server;
use tests::server::{command, json_of};

/// The lines of the log that say this.
fn logged(server_log: &str, message: &str) -> Vec<Value> {
    let lines = server_log.lines().map(|line| json_of(line.as_bytes()));
    lines.filter(|line| line["message"] == message).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_says_where_it_really_listens_and_start_and_end_are_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = "https://sync.example.com";
    let server = Server::start_with(folder.path(), &[("DSYNC_PUBLIC_URL", elsewhere)]);
    let base = server.base().to_owned();
    assert!(base.starts_with("http://127.0.0.1:") && !base.ends_with(":0"), "{base}");
    // It can be reached there, and tells others the address that was set.
    let directory = server.api().directory("okta scim v2.0", "Acme").await;
    let shown = server.api().get(&format!("/directories/{}", directory.id)).await;
    assert!(shown["scim"]["endpoint"].as_str().unwrap().starts_with(elsewhere), "{shown}");
    assert!(server.terminate().success());

    let log = std::fs::read_to_string(folder.path().join("server.log")).unwrap();
    let [started] = &logged(&log, "dsync has started")[..] else { panic!("once: {log}") };
    assert_eq!(started["listen"], base.strip_prefix("http://").unwrap());
    assert_eq!(started["public_url"], elsewhere);
    assert_eq!(started["roles"], "ingest,projector,dispatcher,api");
    assert_eq!((&started["log"], &started["store"]), (&"embedded".into(), &"embedded".into()));
    assert!(started["version"].is_string() && started["data_dir"].is_string(), "{started}");
    let [ended] = &logged(&log, "dsync has ended")[..] else { panic!("once: {log}") };
    assert_eq!(ended["signal"], "SIGTERM");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_connections_than_a_shell_allows_open_files_are_answered() {
    const CONNECTIONS: usize = 200;
    let folder = tempfile::tempdir().unwrap();
    let binary = command(folder.path());
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -S -n 100 && exec \"$0\" serve"]).arg(binary.get_program());
    shell.env_clear().current_dir(folder.path());
    shell.envs(binary.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let server = Server::start_by(shell, folder.path());
    let authority = server.base().strip_prefix("http://").unwrap();
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        open.push(TcpStream::connect(authority).unwrap());
    }
    for stream in &mut open {
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut begun = [0; 12];
        stream.read_exact(&mut begun).unwrap();
        assert_eq!(&begun, b"HTTP/1.1 200");
    }
    // What it stores takes files as well.
    server.api().directory("okta scim v2.0", "Acme").await;
}

#[test]
fn the_demo_runs_whatever_is_set_around_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("dsync.toml"), "emptied_fields = 'emails'\nno_such = 1\n")
        .unwrap();
    let mut child = command(folder.path())
        .arg("demo")
        .env("DSYNC_PUBLIC_URL", "https://nowhere.invalid")
        .env("DSYNC_INACTIVE_USERS", "delete")
        .env("DSYNC_NO_SUCH", "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let told: Vec<String> =
        lines.take_while(|line| !line.contains("the whole way through")).collect();
    let ended = child.try_wait().unwrap();
    let _ = child.kill();
    let said = child.wait_with_output().unwrap();
    assert!(ended.is_none(), "{told:?} {}", String::from_utf8_lossy(&said.stderr));
    assert!(told.iter().any(|line| line.contains("verified")), "{told:?}");
}

#[test]
fn the_demo_takes_the_port_that_was_named_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = command(folder.path()).args(["demo", "--listen", &address]).output().unwrap();
    let err = String::from_utf8(said.stderr).unwrap();
    assert_eq!(said.status.code(), Some(1), "{err}");
    assert!(err.contains(&format!("cannot listen on {address}")), "{err}");
}
