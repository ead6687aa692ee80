//! The description of the API, and whether the API is what it says.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use tests::Server;
use tests::server::{API_KEY, http_client};

/// How many requests are made up for each call.
const EXAMPLES: &str = "25";

/// What must hold for each of them.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_schema_conformance,response_headers_conformance";

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_asked_the_answer_is_one_that_the_description_knows() {
    let Some(tools) = std::env::var_os("DSYNC_TEST_PYTHON") else {
        tests::not_checked(&"schemathesis; ./test installs it");
        return;
    };
    let data = tempfile::tempdir().unwrap();
    // No webhook leaves for the addresses that are made up.
    let server = Server::start_with(data.path(), &[("DSYNC_ALLOW_PRIVATE_ENDPOINTS", "false")]);
    let directory = server.api().directory("okta scim v2.0", "Acme").await;
    let user = directory.user("adele@acme.example").await;
    let group = directory.group("Engineering").await;
    let add = json!([{ "op": "add", "path": "members", "value": [{ "value": user }] }]);
    directory.patch(&format!("/Groups/{group}"), add).await.expect(204);
    // A wait is what it says, and nothing to make up.
    let fixed = data.path().join("schemathesis.toml");
    std::fs::write(&fixed, "[parameters]\n\"query.wait\" = 0\n").unwrap();
    let mut program = Command::new(Path::new(&tools).join("schemathesis"));
    program.arg("--config-file").arg(fixed).args([
        "run",
        "--no-color",
        "--seed",
        "1",
        "--max-examples",
        EXAMPLES,
    ]);
    program.args(["--checks", CHECKS, "--header"]).arg(format!("Authorization: Bearer {API_KEY}"));
    program.arg(format!("{}/openapi.json", server.base())).current_dir(data.path());
    let output = tokio::task::spawn_blocking(move || program.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("Tested: "), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_is_a_page_too_and_loads_nothing_from_elsewhere() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let answer = http_client().get(format!("{}/docs", server.base())).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'"), "{policy}");
    let page = answer.text().await.unwrap();
    for call in ["/directory_users/{id}", "/audit/verify", "/webhook_endpoints"] {
        assert!(page.contains(call), "{call} is not on the page");
    }
    for link in page.split("href=\"").skip(1).chain(page.split("src=\"").skip(1)) {
        assert!(link.starts_with('#') || link.starts_with('/'), "{}", &link[..40]);
    }
}
