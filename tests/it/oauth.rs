//! Access tokens for client credentials, from the making of a secret to its end.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use serde_json::{Value, json};
use tests::server::{command, http_client, json_of};
use tests::{Directory, Server};

const FORM: &str = "application/x-www-form-urlencoded";
const GRANT: &str = "grant_type=client_credentials";

/// What an administrator enters in the identity provider.
struct Client {
    endpoint: String,
    id: String,
    secret: String,
    secret_id: String,
}

/// An answer of the token endpoint.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Client {
    /// A new secret of the directory's client.
    async fn of(server: &Server, directory: &Directory) -> Self {
        let path = format!("/directories/{}/oauth_client/secrets", directory.id);
        let made = server.api().create(&path, &json!({})).await;
        let text = |name: &str| made[name].as_str().expect("a text").to_owned();
        let (secret, suffix) = (text("client_secret"), text("suffix"));
        assert!(secret.ends_with(&suffix));
        let (endpoint, id) = (text("token_endpoint"), text("client_id"));
        assert_eq!(endpoint, format!("{}/scim/oauth/token", server.base()));
        Self { endpoint, id, secret, secret_id: text("id") }
    }

    fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.id, self.secret)))
    }

    async fn ask_in_header(&self) -> Answer {
        ask(&self.endpoint, &[(AUTHORIZATION.as_str(), &self.basic())], GRANT).await
    }

    async fn ask_in_body(&self) -> Answer {
        let body = format!("{GRANT}&client_id={}&client_secret={}", self.id, self.secret);
        ask(&self.endpoint, &[], &body).await
    }

    /// An access token.
    async fn token(&self) -> String {
        self.ask_in_body().await.token()
    }
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// RFC 6749 §5.1: what every answer has in common.
    fn check(&self) {
        assert_eq!(self.header("content-type"), Some("application/json;charset=UTF-8"));
        assert_eq!(self.header("cache-control"), Some("no-store"));
        assert_eq!(self.header("pragma"), Some("no-cache"));
    }

    fn token(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.body);
        self.check();
        assert_eq!(self.body["token_type"], "Bearer");
        assert_eq!(self.body["expires_in"], 3_600);
        assert_eq!(self.body.as_object().map(serde_json::Map::len), Some(3), "{}", self.body);
        self.body["access_token"].as_str().expect("a token").to_owned()
    }

    /// RFC 6749 §5.2.
    fn is_error(&self, status: u16, code: &str) {
        assert_eq!((self.status, &self.body["error"]), (status, &json!(code)), "{}", self.body);
        self.check();
        let description = self.body["error_description"].as_str().expect("a description");
        let allowed = |byte: u8| matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'\\';
        assert!(description.bytes().all(allowed), "{description}");
    }
}

async fn ask(endpoint: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = http_client().post(endpoint).body(body.to_owned());
    if headers.iter().all(|(name, _)| *name != CONTENT_TYPE.as_str()) {
        request = request.header(CONTENT_TYPE, FORM);
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    answer(request).await
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("the server answers");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.bytes().await.expect("the answer arrives whole");
    Answer { status, headers, body: json_of(&bytes) }
}

async fn world() -> (tempfile::TempDir, Server, Directory) {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let directory = server.api().directory("azure scim v2.0", "Acme").await;
    (data, server, directory)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_access_tokens_either_way_and_provisions_with_them() {
    let (_data, server, directory) = world().await;
    let client = Client::of(&server, &directory).await;
    let one = client.ask_in_header().await.token();
    let other = client.ask_in_body().await.token();
    assert_ne!(one, other);
    let user = directory.with_token(&one).user("ada@acme.example").await;
    let path = format!("/Users/{user}");
    directory.with_token(&other).send("GET", &path, None).await.expect(200);
    directory.with_token(&one).send("GET", &path, None).await.expect(200);
    directory.send("GET", &path, None).await.expect(200);

    let rival = server.api().directory("azure scim v2.0", "Rival").await;
    rival.with_token(&one).send("GET", "/Users", None).await.expect_error(401, None);
    let config = directory.send("GET", "/ServiceProviderConfig", None).await.expect(200).body;
    let schemes = config["authenticationSchemes"].as_array().expect("a list");
    assert_eq!(schemes.iter().filter(|scheme| scheme["type"] == "oauth2").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_tells_of_a_secret_as_of_a_token() {
    let (_data, server, directory) = world().await;
    let client = Client::of(&server, &directory).await;
    directory.with_token(&client.token().await).user("ada@acme.example").await;
    let path = format!("/directories/{}/oauth_client", directory.id);
    server.api().send("DELETE", &format!("{path}/secrets/{}", client.secret_id), None).await;

    let told = server.api().events("dsync.token.created,dsync.token.revoked").await;
    let of_secret = |event: &&Value| event["data"]["id"] == client.secret_id;
    let told: Vec<&Value> = told.iter().filter(of_secret).collect();
    let kinds: Vec<&str> = told.iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!(kinds, ["dsync.token.created", "dsync.token.revoked"]);
    let suffix = &client.secret[client.secret.len() - 4..];
    assert_eq!(told[0]["data"]["token_suffix"], suffix);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_secrets_rotate_without_a_gap() {
    let (_data, server, directory) = world().await;
    let api = server.api();
    let old = Client::of(&server, &directory).await;
    let of_old = directory.with_token(&old.token().await);
    let new = Client::of(&server, &directory).await;
    assert_eq!(old.id, new.id);
    let path = format!("/directories/{}/oauth_client", directory.id);
    let (status, third) = api.send("POST", &format!("{path}/secrets"), Some(&json!({}))).await;
    assert_eq!((status, &third["code"]), (409, &json!("too_many_secrets")));

    old.token().await;
    let of_new = directory.with_token(&new.token().await);
    of_old.send("GET", "/Users", None).await.expect(200);
    of_new.send("GET", "/Users", None).await.expect(200);

    let secret = format!("{path}/secrets/{}", old.secret_id);
    assert_eq!(api.send("DELETE", &secret, None).await.0, 204);
    of_old.send("GET", "/Users", None).await.expect_error(401, None);
    old.ask_in_body().await.is_error(401, "invalid_client");
    of_new.send("GET", "/Users", None).await.expect(200);
    new.token().await;
    let shown = api.get(&path).await;
    assert_eq!(shown["secrets"].as_array().map(Vec::len), Some(1), "{shown}");
    assert_eq!(shown["secrets"][0]["id"], new.secret_id.as_str());
    assert!(shown["secrets"][0]["last_used_at"].is_string(), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lifetime_is_chosen_within_its_bounds() {
    let (_data, server, directory) = world().await;
    let client = Client::of(&server, &directory).await;
    let path = format!("/directories/{}/oauth_client", directory.id);
    let set = async |seconds: u32| {
        let body = json!({ "token_lifetime_seconds": seconds });
        server.api().send("PATCH", &path, Some(&body)).await.0
    };
    assert_eq!((set(3_599).await, set(21_601).await), (422, 422));
    assert_eq!(set(21_600).await, 200);
    assert_eq!(client.ask_in_body().await.body["expires_in"], 21_600);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_of_the_token_endpoint_is_that_of_the_rfc() {
    let (_data, server, directory) = world().await;
    let client = Client::of(&server, &directory).await;
    let (endpoint, basic) = (client.endpoint.as_str(), client.basic());
    let signed = [("authorization", basic.as_str())];
    let body = format!("client_id={}&client_secret={}", client.id, client.secret);

    for (headers, body) in [
        (&signed[..], String::new()),
        (&signed[..], format!("{GRANT}&{GRANT}")),
        (&signed[..], format!("{GRANT}&scope=a&scope=b")),
        (&signed[..], format!("{GRANT}&{body}")),
        (&signed[..], format!("{GRANT}&client_id=other")),
        (&[], format!("{GRANT}&client_secret=x")),
        (&[], body.clone()),
        (&[], format!("{GRANT}&client_id=%f")),
    ] {
        ask(endpoint, headers, &body).await.is_error(400, "invalid_request");
    }
    let json = [("content-type", "application/json"), signed[0]];
    ask(endpoint, &json, r#"{"grant_type":"client_credentials"}"#)
        .await
        .is_error(400, "invalid_request");
    let grant = "grant_type=authorization_code&code=x";
    ask(endpoint, &signed, grant).await.is_error(400, "unsupported_grant_type");
    let large = format!("{GRANT}&{body}&scope={}", "x".repeat(100 * 1024));
    ask(endpoint, &[], &large).await.is_error(413, "invalid_request");

    let got = answer(http_client().get(endpoint)).await;
    got.is_error(405, "invalid_request");
    assert_eq!(got.header("allow"), Some("POST"));
    ask(endpoint, &signed, &format!("{GRANT}&scope=x")).await.token();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_client_and_a_wrong_secret_look_the_same() {
    let (_data, server, directory) = world().await;
    let client = Client::of(&server, &directory).await;
    let rival = server.api().directory("azure scim v2.0", "Rival").await;
    let rival = Client::of(&server, &rival).await;
    let doomed = server.api().directory("azure scim v2.0", "Doomed").await;
    let gone = Client::of(&server, &doomed).await;
    let deleted = format!("/directories/{}", doomed.id);
    assert_eq!(server.api().send("DELETE", &deleted, None).await.0, 202);

    let mut bodies = Vec::new();
    for (id, secret) in [
        ("nobody", client.secret.as_str()),
        (&client.id, "wrong"),
        (&client.id, &rival.secret),
        (&client.id, &directory.token),
        (&gone.id, &gone.secret),
    ] {
        let basic = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
        let in_header = ask(&client.endpoint, &[("authorization", &basic)], GRANT).await;
        let body = format!("{GRANT}&client_id={id}&client_secret={secret}");
        let in_body = ask(&client.endpoint, &[], &body).await;
        for answer in [in_header, in_body] {
            answer.is_error(401, "invalid_client");
            assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"dsync\""));
            bodies.push(answer.body);
        }
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    ask(&client.endpoint, &[], GRANT).await.is_error(401, "invalid_client");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_valid_is_challenged_and_a_missing_one_too() {
    let (_data, server, directory) = world().await;
    let client = Client::of(&server, &directory).await;
    let users = format!("{}/Users", directory.endpoint);
    let challenge = async |token: Option<&str>| {
        let mut request = http_client().get(&users);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = answer(request).await;
        assert_eq!(answer.status, 401, "{}", answer.body);
        answer.header("www-authenticate").expect("a challenge").to_owned()
    };
    assert_eq!(challenge(None).await, "Bearer");
    for wrong in ["wrong", &client.secret, &client.id] {
        assert_eq!(challenge(Some(wrong)).await, "Bearer error=\"invalid_token\"");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_keeps_no_token_is_slowed_down() {
    let (_data, server, directory) = world().await;
    let client = Client::of(&server, &directory).await;
    let first = directory.with_token(&client.token().await);
    for _ in 1..60 {
        client.token().await;
    }
    let slowed = client.ask_in_body().await;
    slowed.is_error(429, "temporarily_unavailable");
    let wait: u64 = slowed.header("retry-after").expect("when").parse().expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
    first.send("GET", "/Users", None).await.expect(200);
    let other = server.api().directory("azure scim v2.0", "Other").await;
    Client::of(&server, &other).await.token().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_survive_a_kill_and_no_secret_reaches_the_log() {
    let data = tempfile::tempdir().unwrap();
    let debug = [("DSYNC_LOG_LEVEL", "debug")];
    let server = Server::start_with(data.path(), &debug);
    let directory = server.api().directory("azure scim v2.0", "Acme").await;
    let client = Client::of(&server, &directory).await;
    let token = client.token().await;
    let basic = client.basic();
    let other = client.ask_in_header().await.token();
    directory.with_token(&token).user("ada@acme.example").await;
    let ended = Client::of(&server, &directory).await;
    let dead = ended.token().await;
    let path = format!("/directories/{}/oauth_client/secrets/{}", directory.id, ended.secret_id);
    assert_eq!(server.api().send("DELETE", &path, None).await.0, 204);
    server.kill();

    let server = Server::start_with(data.path(), &debug);
    let again = directory.at(server.base());
    for token in [&token, &other] {
        again.with_token(token).send("GET", "/Users", None).await.expect(200);
    }
    again.with_token(&dead).send("GET", "/Users", None).await.expect_error(401, None);
    let endpoint = format!("{}/scim/oauth/token", server.base());
    let client = Client { endpoint, ..client };
    let fresh = client.token().await;
    again.with_token(&fresh).send("GET", "/Users", None).await.expect(200);
    // Probes are logged at this level, which shows that it is on.
    http_client().get(format!("{}/healthz", server.base())).send().await.unwrap();
    assert!(server.terminate().success());

    let log = std::fs::read_to_string(data.path().join("server.log")).unwrap();
    assert!(log.contains("/scim/oauth/token") && log.contains("DEBUG"), "{log}");
    for secret in [&client.secret, &ended.secret, &token, &other, &dead, &fresh] {
        assert!(!log.contains(secret.as_str()), "a secret is in the log");
    }
    assert!(!log.contains(basic.strip_prefix("Basic ").expect("the scheme")));
}

#[tokio::test(flavor = "multi_thread")]
async fn people_at_a_shell_rotate_secrets_too() {
    let (data, server, directory) = world().await;
    let run = |arguments: &[&str]| {
        let mut command = command(data.path());
        command.args(["directory", "oauth"]).args(arguments).env("DSYNC_PUBLIC_URL", server.base());
        let output = command.output().expect("the binary runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let made = run(&["secret", "create", &directory.id, "--json"]);
    let made = json_of(made.as_bytes());
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    let (endpoint, id, secret) = (text("token_endpoint"), text("client_id"), text("client_secret"));
    let client = Client { endpoint, id, secret, secret_id: text("id") };
    client.token().await;
    let shown = run(&["show", &directory.id]);
    assert!(shown.contains(&client.id) && shown.contains(&client.secret_id), "{shown}");
    assert!(!shown.contains(&client.secret), "{shown}");
    run(&["secret", "delete", &directory.id, &client.secret_id]);
    client.ask_in_body().await.is_error(401, "invalid_client");
}
