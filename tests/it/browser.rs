//! The console in a browser: the scenes of `tests/browser`, each played on a server of its own.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;
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
fn the_settings_are_shown_with_their_sources_and_without_secrets() {
    play_with("settings", &[("DSYNC_ATTEMPTS_KEPT", "20000")]);
}

/// Plays a scene, or says what it lacks.
fn play(scene: &str) {
    play_with(scene, &[]);
}

/// The same on a server with further settings.
fn play_with(scene: &str, more: &[(&str, &str)]) {
    let Some(packages) = std::env::var_os("DSYNC_TEST_NODE") else {
        eprintln!(
            "NOT CHECKED: DSYNC_TEST_NODE names no Playwright; run ./test, which installs it"
        );
        return;
    };
    let Some(chromium) = chromium() else {
        eprintln!("NOT CHECKED: no Chromium here (on Debian: apt-get install chromium)");
        return;
    };
    let data = tempfile::tempdir().unwrap();
    let mut settings = vec![("DSYNC_CONSOLE_AUDITOR_PASSWORD", AUDITOR_PASSWORD)];
    settings.extend(more);
    let server = Server::start_with(data.path(), &settings);
    let config = json!({
        "base": server.base(), "pid": server.pid(), "api_key": API_KEY, "password": PASSWORD,
        "auditor_password": AUDITOR_PASSWORD,
        "screenshots": std::env::var("DSYNC_TEST_SCREENSHOTS").ok(),
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("browser/{scene}.cjs"));
    let mut node = Command::new("node");
    node.arg(script).env("DSYNC_TEST_NODE", packages).env("DSYNC_TEST_CHROMIUM", chromium);
    node.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut node = node.spawn().expect("node runs");
    node.stdin.take().unwrap().write_all(config.to_string().as_bytes()).unwrap();
    let output = node.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("passed"), "{said}\n{errors}");
    eprint!("{said}");
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
