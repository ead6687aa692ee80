//! An endpoint that takes Security Event Tokens: what they say, and that a JWT library in another language
//! believes them.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tests::scim::user_body;
use tests::{Delivery, Directory, Receiver, Server};

const PROV: &str = "urn:ietf:params:scim:event:prov";

/// What the identity provider did, and what became of it.
struct Played {
    ada: Value,
    ada_later: Value,
    bob: Value,
    group: Value,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_arrives_as_a_token_that_pyjwt_verifies() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let (apps, receiver) = (Receiver::start().await, Receiver::start().await);
    server.api().endpoint(apps.url()).await;
    let secret = endpoint(&server, &receiver).await;
    let directory = server.api().directory("generic scim v2.0", "Acme").await;

    let played = play(&directory).await;
    let expected = expected(&played);
    let webhooks = by_sequence(apps.wait_for(expected.len() + 1).await);
    let sets = by_sequence(receiver.wait_for(expected.len()).await);

    assert_eq!(webhooks[0].kind(), "dsync.activated");
    for ((set, webhook), expected) in sets.iter().zip(&webhooks[1..]).zip(&expected) {
        assert_eq!(set.header("accept"), "application/json");
        set.verify(&secret);
        assert_eq!(set.id(), webhook.id());
        says_where_from_and_where_to(set, &server, &receiver);
        assert_eq!((&set.event["sub_id"], &set.event["events"]), (&expected.0, &expected.1));
    }
    let transactions: Vec<&Value> = sets.iter().map(|set| &set.event["txn"]).collect();
    assert_eq!(transactions[6], transactions[7], "two members came with one request");
    assert_eq!(transactions.iter().filter(|one| **one == transactions[6]).count(), 2);
    in_order_for_each_resource(&receiver.arrived());
    match std::env::var_os("DSYNC_TEST_PYTHON") {
        Some(tools) => pyjwt_verifies(tools.as_ref(), &server, &receiver, &sets).await,
        None => tests::not_checked(&"PyJWT is not installed; run ./test, which installs it"),
    }

    assert!(server.terminate().success(), "SIGTERM drains and ends with 0");
    assert_eq!(receiver.arrived().len(), expected.len(), "nothing else has a token");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_may_change_its_format_and_the_key_outlives_the_server() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let receiver = Receiver::start().await;
    let secret = endpoint(&server, &receiver).await;
    let listed = server.api().get("/webhook_endpoints").await["data"][0].clone();
    assert_eq!(listed["format"], "scim_set");
    let path = format!("/webhook_endpoints/{}", listed["id"].as_str().unwrap());
    let unknown = json!({ "format": "caep" });
    assert_eq!(server.api().send("PATCH", &path, Some(&unknown)).await.0, 422);
    let directory = server.api().directory("generic scim v2.0", "Acme").await;
    directory.user("ada@acme.example").await;
    receiver.wait_for(1).await;

    let webhook = json!({ "format": "webhook" });
    assert_eq!(server.api().send("PATCH", &path, Some(&webhook)).await.0, 200);
    directory.user("bob@acme.example").await;
    let arrived = receiver.wait_for(2).await;
    assert_eq!(arrived[1].header("content-type"), "application/json");
    assert_eq!(arrived[1].kind(), "dsync.user.created");
    arrived.iter().for_each(|delivery| delivery.verify(&secret));

    let keys = server.api().get("/.well-known/jwks.json").await;
    assert!(server.terminate().success());
    let server = Server::start(data.path());
    assert_eq!(server.api().get("/.well-known/jwks.json").await, keys);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_sent_again_is_the_same_token() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &[("DSYNC_RETRY_SCHEDULE", "50ms,50ms")]);
    let receiver = Receiver::answering(|before, _| if before == 0 { 503 } else { 202 }).await;
    endpoint(&server, &receiver).await;
    let directory = server.api().directory("generic scim v2.0", "Acme").await;
    directory.user("ada@acme.example").await;
    let arrived = receiver.wait_for(2).await;
    assert_eq!(
        (arrived[0].header("dsync-attempt"), arrived[1].header("dsync-attempt")),
        ("1", "2")
    );
    assert_eq!(arrived[0].body, arrived[1].body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_replaced_while_tokens_flow() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let receiver = Receiver::start().await;
    endpoint(&server, &receiver).await;
    let directory = server.api().directory("generic scim v2.0", "Acme").await;
    let shown = async || {
        let jwks = server.api().get("/.well-known/jwks.json").await;
        let keys = jwks["keys"].as_array().expect("a list").clone();
        keys.into_iter().map(|key| key["kid"].clone()).collect::<Vec<_>>()
    };
    let signed_with = async |user: &str, events: usize| {
        directory.user(user).await;
        let arrived = receiver.wait_for(events).await;
        let token = std::str::from_utf8(&arrived[events - 1].body).expect("ASCII").to_owned();
        let header = URL_SAFE_NO_PAD.decode(token.split('.').next().expect("a header"));
        let header: Value = serde_json::from_slice(&header.expect("base64url")).expect("JSON");
        header["kid"].clone()
    };
    let first = signed_with("ada@acme.example", 1).await;

    let next = server.api().create("/signing_keys", &json!({})).await;
    assert_eq!(next["state"], "waiting", "receivers get to know it first: {next}");
    assert_eq!(shown().await, [first.clone(), next["id"].clone()]);
    assert_eq!(signed_with("bob@acme.example", 2).await, first);
    let (status, refused) = server.api().send("POST", "/signing_keys", Some(&json!({}))).await;
    assert_eq!((status, &refused["code"]), (409, &json!("signing_key_waits")));

    let compromised = json!({ "compromised": true });
    let last = server.api().create("/signing_keys", &compromised).await;
    assert_eq!((&last["state"], shown().await), (&json!("signing"), vec![last["id"].clone()]));
    assert_eq!(signed_with("cy@acme.example", 3).await, last["id"]);
    let listed = server.api().get("/signing_keys").await;
    assert_eq!(listed["data"], json!([last]));
}

/// A new endpoint for tokens; its secret.
async fn endpoint(server: &Server, receiver: &Receiver) -> String {
    let body = json!({ "endpoint_url": receiver.url(), "format": "scim_set" });
    let made = server.api().create("/webhook_endpoints", &body).await;
    made["secret"].as_str().expect("a secret").to_owned()
}

async fn play(directory: &Directory) -> Played {
    let create = async |name: &str| {
        directory.send("POST", "/Users", Some(user_body(name))).await.expect(201).body
    };
    let (ada, bob) = (create("ada@acme.example").await, create("bob@acme.example").await);
    let path = format!("/Users/{}", id(&ada));
    let patch = async |value: Value| directory.patch(&path, json!([value])).await.expect(200).body;
    patch(json!({ "op": "replace", "path": "title", "value": "Countess" })).await;
    patch(json!({ "op": "replace", "path": "active", "value": false })).await;
    let ada_later = patch(json!({ "op": "replace", "path": "active", "value": true })).await;

    let body = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "externalId": "ext-eng", "displayName": "Engineering" });
    let group = directory.send("POST", "/Groups", Some(body)).await.expect(201).body;
    let path = format!("/Groups/{}", id(&group));
    let members = json!([{ "value": id(&ada) }, { "value": id(&bob) }]);
    let both = json!([{ "op": "add", "path": "members", "value": members }]);
    directory.patch(&path, both).await;
    let one = json!([{ "op": "remove", "path": format!("members[value eq \"{}\"]", id(&bob)) }]);
    directory.patch(&path, one).await;
    let rename = json!([{ "op": "replace", "path": "displayName", "value": "Research" }]);
    directory.patch(&path, rename).await;
    directory.send("DELETE", &format!("/Users/{}", id(&bob)), None).await.expect(204);
    directory.send("DELETE", &path, None).await.expect(204);
    Played { ada, ada_later, bob, group }
}

/// `sub_id` and `events` of each token.
fn expected(played: &Played) -> Vec<(Value, Value)> {
    let Played { ada, ada_later, bob, group } = played;
    assert_eq!(ada_later["meta"]["version"], "W/\"7\"", "versions are those of the SCIM service");
    let user = |user: &Value| subject("Users", user);
    let of_group = || subject("Groups", group);
    let put = |seq, active: bool| {
        let mut data = resource(ada);
        (data["title"], data["active"]) = (json!("Countess"), json!(active));
        full("put", seq, data)
    };
    let leaves = json!({ "op": "remove", "path": format!("members[value eq \"{}\"]", id(bob)) });
    let renamed = json!({ "op": "replace", "value": { "displayName": "Research" } });
    // 1 and 2 in the stream are of the directory: its token and its activation.
    vec![
        (user(ada), events([full("create", 3, resource(ada))])),
        (user(bob), events([full("create", 4, resource(bob))])),
        (user(ada), events([put(5, true)])),
        (user(ada), events([put(6, false), plain("deactivate")])),
        (user(ada), events([put(7, true), plain("activate")])),
        (of_group(), events([full("create", 8, resource(group))])),
        (of_group(), events([patch(9, joins(ada))])),
        (of_group(), events([patch(10, joins(bob))])),
        (of_group(), events([patch(11, leaves)])),
        (of_group(), events([patch(12, renamed)])),
        (user(bob), events([plain("delete")])),
        (of_group(), events([plain("delete")])),
    ]
}

fn subject(endpoint: &str, resource: &Value) -> Value {
    let uri = format!("/{endpoint}/{}", id(resource));
    json!({ "format": "scim", "uri": uri, "externalId": resource["externalId"] })
}

fn full(name: &str, seq: u64, data: Value) -> (String, Value) {
    let version = format!("W/\"{seq}\"");
    (format!("{PROV}:{name}:full"), json!({ "version": version, "data": data }))
}

fn plain(name: &str) -> (String, Value) {
    (format!("{PROV}:{name}"), json!({}))
}

fn patch(seq: u64, operation: Value) -> (String, Value) {
    let schema = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
    full("patch", seq, json!({ "schemas": [schema], "Operations": [operation] }))
}

fn joins(user: &Value) -> Value {
    let id = id(user);
    let member = json!({ "value": id, "$ref": format!("/Users/{id}"), "type": "User",
        "display": "Adele Vance" });
    json!({ "op": "add", "path": "members", "value": [member] })
}

fn events<const LEN: usize>(events: [(String, Value); LEN]) -> Value {
    Value::Object(events.into_iter().collect())
}

/// What an answer of the SCIM service says of a resource, but for what follows from others.
fn resource(answer: &Value) -> Value {
    let mut resource = answer.clone();
    let fields = resource.as_object_mut().expect("a resource");
    for derived in ["meta", "groups", "members"] {
        fields.remove(derived);
    }
    resource
}

fn id(resource: &Value) -> &str {
    resource["id"].as_str().expect("a resource has an id")
}

/// What every token says, whatever its event.
fn says_where_from_and_where_to(set: &Delivery, server: &Server, receiver: &Receiver) {
    let claims = &set.event;
    assert_eq!(claims["iss"], server.base());
    assert_eq!(claims["aud"], receiver.url());
    let issued = claims["iat"].as_u64().expect("seconds");
    let sent: u64 = set.header("webhook-timestamp").parse().expect("seconds");
    assert!(issued <= sent && sent - issued < 120, "{issued}, {sent}");
    assert!(claims["txn"].as_str().is_some_and(|txn| txn.starts_with("req_")), "{claims}");
    for absent in ["sub", "exp"] {
        assert_eq!(claims[absent], Value::Null, "RFC 8417 §2.2 and RFC 9967 §2.1");
    }
}

fn sequence(delivery: &Delivery) -> u64 {
    delivery.header("dsync-sequence").parse().expect("a number")
}

fn by_sequence(mut arrived: Vec<Delivery>) -> Vec<Delivery> {
    arrived.sort_by_key(sequence);
    arrived
}

fn in_order_for_each_resource(arrived: &[Delivery]) {
    let mut last = std::collections::BTreeMap::new();
    for set in arrived {
        let resource = set.event["sub_id"]["uri"].as_str().expect("a uri");
        let before = last.insert(resource, sequence(set));
        assert!(before.is_none_or(|before| before < sequence(set)), "{resource} is out of order");
    }
}

/// Every token is believed; with another key, another audience or another byte, none is.
async fn pyjwt_verifies(tools: &Path, server: &Server, receiver: &Receiver, sets: &[Delivery]) {
    let python = tools.join("python");
    let jwks = server.api().get("/.well-known/jwks.json").await;
    let tokens: Vec<&str> =
        sets.iter().map(|set| std::str::from_utf8(&set.body).expect("a token is ASCII")).collect();
    let verify = |jwks: &Value, audience: &str, tokens: Vec<String>| {
        let request = json!({ "jwks": jwks, "issuer": server.base(), "audience": audience,
            "tokens": tokens });
        verdicts(&python, &request)
    };
    let all = || tokens.iter().copied().map(str::to_owned).collect::<Vec<String>>();

    let believed = verify(&jwks, receiver.url(), all());
    let said: Vec<Value> = sets.iter().map(|set| json!({ "claims": set.event })).collect();
    assert_eq!(believed, said);

    let mut stranger = jwks.clone();
    // The key of RFC 8037 appendix A, under the name of ours.
    stranger["keys"][0]["x"] = json!("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    let signature = vec![json!({ "refused": "InvalidSignatureError" }); sets.len()];
    assert_eq!(verify(&stranger, receiver.url(), all()), signature);
    let changed = tokens.iter().copied().map(with_another_byte).collect();
    assert_eq!(verify(&jwks, receiver.url(), changed), signature);
    let audience = vec![json!({ "refused": "InvalidAudienceError" }); sets.len()];
    assert_eq!(verify(&jwks, "https://elsewhere.example", all()), audience);
}

/// The same token for a resource whose id differs in its last digit.
fn with_another_byte(token: &str) -> String {
    let parts: Vec<&str> = token.split('.').collect();
    let mut claims = URL_SAFE_NO_PAD.decode(parts[1]).expect("base64url");
    let uri = br#""uri":""#;
    let begin = claims.windows(uri.len()).position(|part| part == uri).expect("a uri");
    let end = claims[begin + uri.len()..].iter().position(|byte| *byte == b'"').expect("its end");
    claims[begin + uri.len() + end - 1] ^= 1;
    [parts[0], &URL_SAFE_NO_PAD.encode(claims), parts[2]].join(".")
}

fn verdicts(python: &Path, request: &Value) -> Vec<Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/verify_sets.py");
    let mut program = Command::new(python);
    program.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut program = program.spawn().expect("python runs");
    let mut input = program.stdin.take().expect("it is piped");
    input.write_all(request.to_string().as_bytes()).expect("python reads");
    drop(input);
    let output = program.wait_with_output().expect("python ends");
    assert!(output.status.success(), "what python says stands above");
    serde_json::from_slice(&output.stdout).expect("a list of verdicts")
}
