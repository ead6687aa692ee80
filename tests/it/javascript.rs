//! Older SDKs check a signature over what they make of a body: `JSON.stringify(JSON.parse(body))`. So every
//! body has to come out of that as it went in, whatever an identity provider has put into it.

use std::io::Write as _;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Map, Value, json};
use tests::scim::{Scim, user_body};
use tests::server::{API_KEY, http_client, json_of};
use tests::{Directory, Server};

/// How many users are made up, each with some dozens of values.
const USERS: usize = 300;

/// Where the made-up value lies, which nobody knows.
const SCHEMA: &str = "urn:example:params:scim:schemas:extension:2.0:User";

const SCRIPT: &str = r"
    const lines = require('fs').readFileSync(0, 'utf8').split('\n').filter(Boolean);
    const wrong = lines.filter((line) => JSON.stringify(JSON.parse(line)) !== line);
    console.log(JSON.stringify({ checked: lines.length, wrong: wrong.slice(0, 3) }));
";

/// Texts of JSON as an identity provider may write them: what matters is how numbers are spelt and in
/// which order keys come, so these are texts and not values.
fn any_json() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<u64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("JSON has no such number", |number| number.is_finite())
            .prop_map(|number| format!("{number:e}")),
        any::<f32>()
            .prop_filter("JSON has no such number", |number| number.is_finite())
            .prop_map(|number| number.to_string()),
        "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?",
        prop::sample::select(vec![
            "1.0",
            "-0",
            "-0.0",
            "0.1",
            "1e21",
            "1E+21",
            "123456789012345680000",
            "1e-7",
            "1e-6",
            "9007199254740993",
            "-9007199254740993",
            "18446744073709551615",
            "5e-324",
            "1.7976931348623157e308",
        ])
        .prop_map(str::to_owned),
    ];
    let text = any::<String>().prop_map(|text| Value::String(text).to_string());
    let escaped = prop::sample::select(vec![
        r#""\/""#,
        r#""<script>""#,
        "\"\\u2028\"",
        r#""\u007f\u0000\b\f""#,
        r#""😀""#,
    ]);
    let leaf = prop_oneof![number, text, escaped.prop_map(str::to_owned), Just("true".to_owned()),];
    leaf.prop_recursive(4, 48, 6, |inner| {
        let key = prop_oneof![
            "[0-9]{1,12}",
            "[a-zA-Z]{1,8}",
            any::<String>(),
            Just("4294967294".to_owned()),
            Just("4294967295".to_owned()),
            Just("01".to_owned()),
        ];
        let entry =
            (key, inner.clone()).prop_map(|(key, value)| format!("{}:{value}", Value::String(key)));
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(entry, 1..6).prop_map(|items| format!("{{{}}}", items.join(","))),
        ]
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_body_comes_out_of_javascript_as_it_went_in() {
    if std::env::var_os("DSYNC_TEST_NODE").is_none() {
        tests::not_checked(&"DSYNC_TEST_NODE is not set; run ./test, which installs what it names");
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let directory = api.directory("generic scim v2.0", "Acme").await;
    // What is made up is an attribute that was mapped, too, and the one before when it changes.
    let map = json!({ "attribute_map": { "custom": { "made_up": format!("{SCHEMA}:madeUp") } } });
    let path = format!("/directories/{}", directory.id);
    assert_eq!(api.send("PATCH", &path, Some(&map)).await.0, 200);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut made_up = || any_json().new_tree(&mut runner).unwrap().current();
    let (mut accepted, mut changed) = (0, 0);
    for number in 0..USERS {
        let Some(user) = send(&directory, "POST", "/Users", number, &made_up()).await else {
            continue;
        };
        accepted += 1;
        let path = format!("/Users/{}", user.id());
        let updated = send(&directory, "PUT", &path, number, &made_up()).await;
        changed += usize::from(updated.is_some_and(|updated| updated.etag != user.etag));
    }
    assert!(accepted > USERS / 2, "only {accepted} of {USERS} were accepted");
    assert!(changed > accepted / 2, "only {changed} of {accepted} were changed");
    let bodies = bodies(&server).await;
    let told: Vec<Value> = bodies.lines().map(|body| json_of(body.as_bytes())).collect();
    let holds = |of: &Value| of["custom_attributes"].get("made_up").is_some();
    let mapped = told.iter().filter(|event| holds(&event["data"])).count();
    assert!(mapped > accepted, "{mapped} of {} were mapped", told.len());
    let previous = told.iter().filter(|event| holds(&event["data"]["previous_attributes"])).count();
    assert!(previous > changed / 2, "{previous} of {changed} tell what it was before");
    let mut node = Command::new("node");
    node.args(["-e", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut node = node.spawn().expect("node runs");
    let mut input = node.stdin.take().unwrap();
    let writing = std::thread::spawn(move || input.write_all(bodies.as_bytes()));
    let said = json_of(&node.wait_with_output().unwrap().stdout);
    writing.join().unwrap().unwrap();
    assert_eq!(said["wrong"], json!([]), "{said}");
    assert_eq!(said["checked"], accepted + changed);
}

/// Sends a user with something made up; the answer, unless it was refused.
async fn send(
    directory: &Directory,
    method: &str,
    path: &str,
    number: usize,
    made_up: &str,
) -> Option<Scim> {
    let body = body_with(number, made_up).into_bytes();
    let answer =
        directory.send_raw(method, path, Some(body), "application/scim+json").await.unwrap();
    match answer.status {
        200 | 201 => Some(answer),
        // Duplicate keys, for one, are no JSON that everybody reads alike.
        400 => None,
        other => panic!("{other} for {made_up}"),
    }
}

/// The body of a user with something made up in a schema that nobody knows.
fn body_with(number: usize, made_up: &str) -> String {
    let mut user = user_body(&format!("person{number}@acme.example"));
    user[SCHEMA] = Map::new().into();
    let place = format!("\"{SCHEMA}\":{{");
    user.to_string().replacen(&place, &format!("{place}\"madeUp\":{made_up}"), 1)
}

/// Every event, a line each, byte for byte as a webhook carries it.
async fn bodies(server: &Server) -> String {
    let mut bodies = String::new();
    for event in server.api().events("dsync.user.created,dsync.user.updated").await {
        let url = format!("{}/events/{}", server.base(), event["id"].as_str().unwrap());
        let answer = http_client().get(url).bearer_auth(API_KEY).send().await.unwrap();
        bodies += &answer.text().await.unwrap();
        bodies.push('\n');
    }
    bodies
}
