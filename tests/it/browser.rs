//! The console in a browser: the scenes of `tests/browser`, each played on a server of its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tests::Server;
use tests::server::API_KEY;

const PASSWORD: &str = "black-box";
const AUDITOR_PASSWORD: &str = "black-box-auditor";

#[test]
fn an_admin_signs_in_and_out_and_an_auditor_changes_nothing() {
    play("sign_in");
}

#[test]
fn a_developer_follows_the_guide_and_watches_users_arrive() {
    play("guide");
}

#[test]
fn a_lost_connection_shows_and_what_was_missed_comes_once() {
    play("live");
}

#[test]
fn every_page_is_accessible_fits_and_weighs_little() {
    play("pages");
}

#[test]
fn an_endpoint_is_added_fails_replays_rotates_and_is_held() {
    play("endpoints");
}

#[test]
fn every_page_about_endpoints_is_accessible_fits_and_weighs_little() {
    play("endpoint_pages");
}

#[test]
fn an_admin_edits_the_attribute_map_and_sees_first_what_it_would_do() {
    play("map");
}

#[test]
fn an_admin_makes_and_revokes_api_keys() {
    play("keys");
}

#[test]
fn an_admin_looks_after_an_organization_until_its_end() {
    play("organization");
}

#[test]
fn a_lost_button_another_text_and_another_page_are_other_pictures() {
    play("pictures_apart");
}

#[test]
fn the_settings_are_shown_with_their_sources_and_without_secrets() {
    play_with("settings", &[("DSYNC_ATTEMPTS_KEPT", "20000")]);
}

#[test]
fn what_people_and_keys_do_stands_in_the_audit_trail() {
    play("audit");
}

#[test]
fn people_sign_in_with_an_identity_provider_and_no_answer_for_others_lets_anybody_in() {
    play_with_provider("oidc", &[]);
}

#[test]
fn an_identity_provider_is_the_one_way_in_where_passwords_are_turned_off() {
    play_with_provider("oidc_only", &[("DSYNC_CONSOLE_PASSWORD_SIGN_IN", "false")]);
}

#[test]
fn an_it_admin_connects_an_identity_provider_and_every_step_ticks_by_itself() {
    play_on("portal", &[], |server| json!({ "expired": expired_link(server) }));
}

/// The path of a link that nobody opened in time.
fn expired_link(server: &Server) -> String {
    let api = server.api();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let made = runtime.block_on(async {
        let organization = api.create("/organizations", &json!({ "name": "Late" })).await;
        api.create("/portal/generate_link", &json!({ "organization": organization["id"] })).await
    });
    let store = rusqlite::Connection::open(server.data().join("data/store.db")).unwrap();
    store.busy_timeout(Duration::from_secs(30)).unwrap();
    store.execute("UPDATE portal_links SET expires_at = 1", []).unwrap();
    let link = made["link"].as_str().unwrap();
    link[link.find("/setup/").unwrap()..].to_owned()
}

/// Plays a scene, or says what it lacks.
fn play(scene: &str) {
    play_on(scene, &[], |_| json!({}));
}

/// The same on a server with further settings.
fn play_with(scene: &str, more: &[(&str, &str)]) {
    play_on(scene, more, |_| json!({}));
}

/// The same on a server that people sign in to with an identity provider.
fn play_with_provider(scene: &str, more: &[(&str, &str)]) {
    let Some(packages) = std::env::var_os("DSYNC_TEST_NODE") else {
        return play(scene);
    };
    let provider = Provider::start(&packages);
    let mut settings = vec![
        ("DSYNC_CONSOLE_OIDC_ISSUER", provider.issuer.as_str()),
        ("DSYNC_CONSOLE_OIDC_CLIENT_ID", "dsync"),
        ("DSYNC_CONSOLE_OIDC_CLIENT_SECRET", "odd: +/ secret"),
        ("DSYNC_CONSOLE_OIDC_ADMINS", "Ada@example.com,groups:platform"),
        ("DSYNC_CONSOLE_OIDC_AUDITORS", "audit@example.com"),
    ];
    settings.extend(more);
    play_on(scene, &settings, |_| json!({ "provider": provider.issuer }));
}

/// The provider of `provider.cjs`, until it is dropped.
struct Provider {
    process: Child,
    issuer: String,
    /// What else it says goes nowhere, but has to go somewhere.
    _said: BufReader<ChildStdout>,
}

impl Provider {
    fn start(packages: &std::ffi::OsStr) -> Self {
        let mut node = Command::new("node");
        node.arg(scene_file("provider")).env("DSYNC_TEST_NODE", packages);
        let mut process = node.stdout(Stdio::piped()).spawn().expect("node runs");
        let mut issuer = String::new();
        let mut said = BufReader::new(process.stdout.take().unwrap());
        said.read_line(&mut issuer).expect("it says where it is");
        Self { process, issuer: issuer.trim().to_owned(), _said: said }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn scene_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("browser/{name}.cjs"))
}

/// The same with more that the scene is told, once the server is there.
fn play_on(scene: &str, more: &[(&str, &str)], told: impl FnOnce(&Server) -> Value) {
    let Some(packages) = std::env::var_os("DSYNC_TEST_NODE") else {
        tests::not_checked(&"DSYNC_TEST_NODE names no Playwright; run ./test, which installs it");
        return;
    };
    let Some(chromium) = chromium() else {
        tests::not_checked(&"no Chromium here (on Debian: apt-get install chromium)");
        return;
    };
    let data = tempfile::tempdir().unwrap();
    let mut settings = vec![("DSYNC_CONSOLE_AUDITOR_PASSWORD", AUDITOR_PASSWORD)];
    settings.extend(more);
    let server = Server::start_with(data.path(), &settings);
    let mut config = json!({
        "base": server.base(), "pid": server.pid(), "api_key": API_KEY, "password": PASSWORD,
        "auditor_password": AUDITOR_PASSWORD,
        "screenshots": std::env::var("DSYNC_TEST_SCREENSHOTS").ok(),
    });
    for (name, value) in told(&server).as_object().into_iter().flatten() {
        config[name] = value.clone();
    }
    let mut node = Command::new("node");
    node.arg(scene_file(scene))
        .env("DSYNC_TEST_NODE", packages)
        .env("DSYNC_TEST_CHROMIUM", chromium);
    node.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut node = node.spawn().expect("node runs");
    node.stdin.take().unwrap().write_all(config.to_string().as_bytes()).unwrap();
    let output = node.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    // Once more at the end: whoever keeps a part of a long output keeps that.
    let why = errors.lines().find(|line| line.contains("Error")).unwrap_or("it said no error");
    assert!(output.status.success() && said.contains("passed"), "{said}\n{errors}\n{scene}: {why}");
    for left_out in said.lines().filter_map(|line| line.strip_prefix("NOT CHECKED: ")) {
        tests::not_checked(&left_out);
    }
}

/// The browser that `DSYNC_TEST_CHROMIUM` names, or that of the machine.
fn chromium() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("DSYNC_TEST_CHROMIUM") {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = std::env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name)));
    found.into_iter().find(|program| program.is_file())
}
