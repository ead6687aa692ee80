//! Conformance suites of others.

use std::collections::BTreeMap;
use std::process::Command;

use tests::Server;

/// How many checks `scim2-tester` makes of what the service advertises. Fewer would mean that it advertises
/// less.
const SCIM2_CHECKS_MIN: usize = 135;

/// Reads `/Schemas`, and tries add, replace and remove on every attribute that can be written.
#[tokio::test(flavor = "multi_thread")]
async fn scim2_tester_finds_nothing_wrong_and_skips_nothing() {
    let Some(tools) = std::env::var_os("DSYNC_TEST_PYTHON") else {
        tests::not_checked(&"scim2-tester is not installed; run ./test, which installs it");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let directory = server.api().directory("generic scim v2.0", "Conformance").await;
    let program = std::path::Path::new(&tools).join("scim2");
    let mut suite = Command::new(program);
    suite.args(["--url", &directory.endpoint, "test"]);
    suite.env("SCIM_CLI_HEADERS", format!("Authorization: Bearer {}", directory.token));
    let run = tokio::task::spawn_blocking(move || suite.output()).await.unwrap().unwrap();
    let output = String::from_utf8_lossy(&run.stdout);
    let mut verdicts = BTreeMap::<&str, usize>::new();
    for line in output.lines() {
        let verdict = line.split(' ').next().unwrap_or_default();
        if verdict.len() > 3 && verdict.chars().all(|letter| letter.is_ascii_uppercase()) {
            *verdicts.entry(verdict).or_default() += 1;
        }
    }
    let succeeded = verdicts.remove("SUCCESS").unwrap_or_default();
    assert!(run.status.success() && verdicts.is_empty(), "{verdicts:?}\n{output}");
    assert!(succeeded >= SCIM2_CHECKS_MIN, "{succeeded} checks\n{output}");
}
