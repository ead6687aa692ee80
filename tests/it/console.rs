//! The console without a browser: who gets in, what forms are worth, what streams say.

mod forms;
mod streams;

use std::time::Duration;

use reqwest::header::{CONTENT_SECURITY_POLICY, COOKIE, LOCATION, RETRY_AFTER, SET_COOKIE};
use reqwest::{Client, RequestBuilder, Response};
use tests::server::{API_KEY, PATIENCE, command, eventually, http_client};
use tests::{Directory, Server};

const PASSWORD: &str = "black-box";

/// A browser without a page: it keeps its cookie and follows no redirect.
pub(crate) struct Visitor {
    http: Client,
    base: String,
    cookie: String,
}

impl Visitor {
    pub(crate) fn new(server: &Server) -> Self {
        // The provider of cryptography is installed with the first client.
        drop(http_client());
        let http = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let http = http.build().unwrap();
        Self { http, base: server.base().to_owned(), cookie: String::new() }
    }

    pub(crate) async fn signed_in(server: &Server) -> Self {
        let mut visitor = Self::new(server);
        let answer = visitor.sign_in(PASSWORD).await;
        assert_eq!(answer.status(), 303);
        visitor.keep_cookie(&answer);
        visitor
    }

    pub(crate) fn keep_cookie(&mut self, answer: &Response) {
        set_cookie(answer).split(';').next().unwrap().clone_into(&mut self.cookie);
    }

    /// As a browser does: with the form, its token and its cookie.
    pub(crate) async fn sign_in(&self, password: &str) -> Response {
        let (cookie, token) = self.form_to_sign_in().await;
        let own = Self { http: self.http.clone(), base: self.base.clone(), cookie };
        own.post("/console/sign-in", &[("password", password), ("csrf", &token)]).await
    }

    async fn form_to_sign_in(&self) -> (String, String) {
        let fresh =
            Self { http: self.http.clone(), base: self.base.clone(), cookie: String::new() };
        let page = fresh.get("/console/sign-in").await;
        let cookie = set_cookie(&page).split(';').next().unwrap().to_owned();
        (cookie, field(&page.text().await.unwrap(), "csrf"))
    }

    fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.base));
        if self.cookie.is_empty() { request } else { request.header(COOKIE, &self.cookie) }
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request("GET", path).send().await.unwrap()
    }

    pub(crate) async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), 200, "{path}");
        answer.text().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        let mut body = String::new();
        for (name, value) in fields {
            let value: String = value.bytes().map(|byte| format!("%{byte:02x}")).collect();
            body += &format!("{name}={value}&");
        }
        let form = ("content-type", "application/x-www-form-urlencoded");
        self.request("POST", path).header(form.0, form.1).body(body).send().await.unwrap()
    }

    /// The value of a field of a form on a page.
    pub(crate) async fn field(&self, path: &str, name: &str) -> String {
        field(&self.page(path).await, name)
    }
}

fn set_cookie(answer: &Response) -> &str {
    answer.headers()[SET_COOKIE].to_str().unwrap()
}

fn field(page: &str, name: &str) -> String {
    // The form of the page stands behind the one that signs out.
    let from = page.rfind(&format!("name=\"{name}\" value=\"")).expect("the page has the field");
    page[from..].split('"').nth(3).unwrap().to_owned()
}

fn server(settings: &[(&str, &str)]) -> (tempfile::TempDir, Server) {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), settings);
    (data, server)
}

/// What whoever has not signed in may ask for.
const OPEN: [&str; 5] = [
    "/console/",
    "/console/assets/{name}",
    "/console/sign-in",
    "/console/oidc/start",
    "/console/oidc/callback",
];

#[tokio::test]
async fn nobody_sees_or_changes_anything_without_signing_in() {
    let (_data, server) = server(&[]);
    let directory = server.api().directory("okta scim v2.0", "Acme").await;
    let (endpoint, _) = server.api().endpoint("http://127.0.0.1:9/").await;
    let organizations = server.api().get("/organizations").await;
    let organization = organizations["data"][0]["id"].as_str().unwrap().to_owned();
    let visitor = Visitor::new(&server);
    let led = |answer: &Response| {
        let place = answer.headers().get(LOCATION).and_then(|place| place.to_str().ok());
        answer.status() == 303
            && place.is_some_and(|place| place.starts_with("/console/sign-in?next="))
    };
    // Every route that there is: a test of the console keeps the list whole.
    let routes = include_str!("console_routes.txt");
    for route in routes.lines().filter(|route| !OPEN.contains(route)) {
        let path = route
            .replace("{organization}", &organization)
            .replace("{directory}", &directory.id)
            .replace("{endpoint}", &endpoint)
            .replace("{*path}", "no/such/page")
            .replace(['{', '}'], "");
        let (seen, sent) = (
            visitor.get(&path).await,
            visitor.post(&path, &[("confirmation", "Acme"), ("csrf", "")]).await,
        );
        for answer in [&seen, &sent] {
            assert!(led(answer) || answer.status() == 405, "{route}: {}", answer.status());
        }
        assert!(led(&seen) || led(&sent), "{route}: nothing leads to the sign-in");
    }
    assert_eq!(server.api().get("/directories").await["data"][0]["state"], "unlinked");
    let endpoint = server.api().get(&format!("/webhook_endpoints/{endpoint}")).await;
    assert_eq!(endpoint["status"], "enabled");
}

#[tokio::test]
async fn the_console_works_below_the_path_of_the_public_url() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let origin = format!("http://{free}");
    let settings =
        [("DSYNC_LISTEN", free.to_string()), ("DSYNC_PUBLIC_URL", format!("{origin}/x"))];
    let (_data, server) = server(&settings.each_ref().map(|(name, value)| (*name, value.as_str())));
    // The proxy in front takes the path away.
    let mut visitor = Visitor { base: origin, ..Visitor::new(&server) };
    let made = async |path: &str, body: serde_json::Value| {
        let request = visitor.request("POST", path).bearer_auth(API_KEY).json(&body);
        let answer = request.send().await.unwrap();
        tests::server::json_of(&answer.bytes().await.unwrap())
    };
    let acme = made("/organizations", serde_json::json!({ "name": "Acme" })).await;
    let directory = serde_json::json!({ "organization_id": acme["id"], "name": "Acme",
        "type": "okta scim v2.0" });
    assert!(made("/directories", directory).await["id"].is_string());
    let unknown = visitor.get("/console/events").await;
    assert_eq!(unknown.headers()[LOCATION], "/x/console/sign-in?next=%2Fconsole%2Fevents");
    let answer = visitor.sign_in(PASSWORD).await;
    assert_eq!(answer.headers()[LOCATION], "/x/console");
    visitor.cookie = set_cookie(&answer).split(';').next().unwrap().to_owned();
    for path in ["/console", "/console/sign-in", "/console/organizations", "/console/events"] {
        let answer = visitor.get(path).await;
        let text = answer.text().await.unwrap();
        for attribute in ["href", "src", "action", "hx-get", "data-stream", "data-session"] {
            assert!(!text.contains(&format!(" {attribute}=\"/console")), "{path}: {attribute}");
        }
        assert!(path == "/console/sign-in" || text.contains("href=\"/x/console/events"), "{path}");
    }
    let mut stream = visitor.get("/console/events/stream?after=").await;
    let mut text = String::new();
    while !text.contains("</li>") {
        let more = tokio::time::timeout(PATIENCE, stream.chunk()).await.expect("it comes");
        text += std::str::from_utf8(&more.unwrap().unwrap()).unwrap();
    }
    assert!(
        text.contains("hx-get=\"/x/console/events/") && !text.contains("\"/console/"),
        "{text}"
    );
}

#[tokio::test]
async fn every_answer_forbids_what_is_not_ours() {
    let (_data, server) = server(&[]);
    let visitor = Visitor::signed_in(&server).await;
    let style = visitor.page("/console").await;
    let style = style.split("href=\"").find(|part| part.contains("console.css")).unwrap();
    let style = style.split('"').next().unwrap();
    for path in ["/console", "/console/sign-in", "/console/nowhere", style] {
        let answer = visitor.get(path).await;
        let policy = answer.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{path}");
        assert!(!policy.contains("unsafe"), "{path}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(answer.headers()["referrer-policy"], "same-origin", "{path}");
        let unused = answer.headers()["permissions-policy"].to_str().unwrap();
        assert!(unused.contains("camera=(), "), "{path}: {unused}");
        let kept = answer.headers()["cache-control"].to_str().unwrap();
        assert_eq!(kept.contains("immutable"), path == style, "{path}: {kept}");
    }
}

#[tokio::test]
async fn who_guesses_passwords_is_told_to_wait() {
    let (_data, server) = server(&[]);
    let visitor = Visitor::new(&server);
    let mut refused = 0;
    let waits = loop {
        let answer = visitor.sign_in("guess").await;
        if answer.status() == 429 {
            break answer.headers()[RETRY_AFTER].to_str().unwrap().parse::<u64>().unwrap();
        }
        assert_eq!(answer.status(), 401);
        refused += 1;
        assert!(refused < 30, "nobody slows it down");
    };
    assert!((1..=60).contains(&waits), "{waits}");
    assert_eq!(visitor.sign_in(PASSWORD).await.status(), 429, "the right one waits as well");
}

#[tokio::test]
async fn a_proxy_that_is_trusted_says_who_calls_and_nobody_else() {
    let (data, behind) = server(&[("DSYNC_TRUSTED_PROXIES", "127.0.0.0/8")]);
    let guess = async |server: &Server, from: &str| {
        let visitor = Visitor::new(server);
        let (cookie, token) = visitor.form_to_sign_in().await;
        let request = visitor.request("POST", "/console/sign-in").header(COOKIE, cookie);
        let body = format!("password=guess&csrf={token}");
        let answer = request.header("x-forwarded-for", from).body(body).send().await.unwrap();
        answer.status().as_u16()
    };
    let mut refused = 0;
    while guess(&behind, "203.0.113.9, 192.0.2.1").await != 429 {
        refused += 1;
        assert!(refused < 30, "nobody slows it down");
    }
    assert_eq!(guess(&behind, "203.0.113.9, 192.0.2.2").await, 401, "others come from elsewhere");
    let log = std::fs::read_to_string(data.path().join("server.log")).unwrap();
    let mut wrong = log.lines().filter(|line| line.contains("a wrong password"));
    assert!(wrong.all(|line| line.contains("192.0.2.") && !line.contains("203.0.113.9")), "{log}");

    let actors = async |server: &Server| {
        let api = server.api();
        let directory = api.directory("okta scim v2.0", "Acme").await;
        let http = http_client();
        let tokens = http.post(format!("{}/directories/{}/tokens", server.base(), directory.id));
        let tokens = tokens.bearer_auth(API_KEY).header("x-forwarded-for", "192.0.2.3");
        assert_eq!(tokens.send().await.unwrap().status(), 201);
        let users =
            http.post(format!("{}/Users", directory.endpoint)).bearer_auth(&directory.token);
        let users = users.header("forwarded", "for=\"192.0.2.4:4711\";proto=https");
        let users = users.json(&serde_json::json!({"userName": "a@acme.example"}));
        let users = users.header("content-type", "application/scim+json");
        assert_eq!(users.send().await.unwrap().status(), 201);
        let told = api.get(&format!("/audit/events?directory={}&order=desc", directory.id)).await;
        let ip = |kind: &str| {
            let events = told["data"].as_array().unwrap();
            let event = events.iter().find(|event| event["event"] == kind).unwrap();
            event["actor"]["ip"].as_str().unwrap().to_owned()
        };
        [ip("dsync.token.created"), ip("dsync.user.created")]
    };
    assert_eq!(actors(&behind).await, ["192.0.2.3", "192.0.2.4"]);
    let (_data, alone) = server(&[]);
    assert_eq!(actors(&alone).await, ["127.0.0.1", "127.0.0.1"], "nobody is believed");
}

#[tokio::test]
async fn the_form_to_sign_in_is_worth_nothing_in_another_browser() {
    let (_data, server) = server(&[]);
    let visitor = Visitor::new(&server);
    let (cookie, token) = visitor.form_to_sign_in().await;
    let (other_cookie, other_token) = visitor.form_to_sign_in().await;
    let with = async |cookie: &str, token: &str| {
        let visitor = Visitor { cookie: cookie.to_owned(), ..Visitor::new(&server) };
        let answer =
            visitor.post("/console/sign-in", &[("password", PASSWORD), ("csrf", token)]).await;
        answer.status().as_u16()
    };
    for (cookie, token) in [
        (cookie.as_str(), ""),
        (&cookie, "guess"),
        (&cookie, &other_token),
        (&other_cookie, &token),
        ("", &token),
        ("dsync-form=", &token),
    ] {
        assert_eq!(with(cookie, token).await, 403, "{cookie} {token}");
    }
    let sent = set_cookie(&visitor.get("/console/sign-in").await).to_owned();
    assert!(sent.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{sent}");
    assert_eq!(with(&cookie, &token).await, 303);
}

#[tokio::test]
async fn who_is_not_signed_in_has_little_read_and_from_another_site_nothing() {
    let (_data, server) = server(&[]);
    let visitor = Visitor::new(&server);
    let sent = async |site: &'static str, bytes: usize| {
        let request = visitor.request("POST", "/console/sign-in").header("sec-fetch-site", site);
        request.body("x".repeat(bytes)).send().await.unwrap().status().as_u16()
    };
    let unread = sent("same-origin", 20_000).await;
    assert_eq!((unread, sent("same-origin", 10_000).await), (400, 403), "another's form");
    assert_eq!(sent("cross-site", 20_000).await, 403, "it is not looked at");
}

#[tokio::test]
async fn a_new_password_ends_every_session_and_the_same_one_none() {
    let (data, server) = server(&[("DSYNC_CONSOLE_AUDITOR_PASSWORD", "auditor")]);
    let visitor = Visitor::signed_in(&server).await;
    assert!(server.terminate().success());
    let server = Server::start_with(data.path(), &[]);
    let again = Visitor { base: server.base().to_owned(), ..visitor };
    again.page("/console").await;
    assert_eq!(again.sign_in("auditor").await.status(), 401, "it is not in the settings any more");
    assert!(server.terminate().success());
    let server = Server::start_with(data.path(), &[("DSYNC_CONSOLE_PASSWORD", "another")]);
    let again = Visitor { base: server.base().to_owned(), ..again };
    assert_eq!(again.get("/console").await.status(), 303);
    assert_eq!(again.sign_in(PASSWORD).await.status(), 401);
    assert_eq!(again.sign_in("another").await.status(), 303);
}

#[tokio::test]
async fn without_a_setting_the_password_is_made_and_printed_once() {
    let data = tempfile::tempdir().unwrap();
    let first = printed(data.path());
    let password = first.iter().find_map(|line| line.strip_prefix("Password of the console, "));
    let password = password.and_then(|rest| rest.rsplit(' ').next()).expect("it is printed");
    assert_eq!(password.len(), 24, "{password}");
    assert!(printed(data.path()).iter().all(|line| !line.contains("Password")), "once");
    let server = Server::start_with(data.path(), &[("DSYNC_CONSOLE_PASSWORD", "")]);
    assert_eq!(Visitor::new(&server).sign_in(password).await.status(), 303);
}

/// What a server without a password in its settings prints until it listens.
fn printed(data: &std::path::Path) -> Vec<String> {
    use std::io::BufRead as _;
    let mut server = command(data);
    server.arg("serve").env_remove("DSYNC_CONSOLE_PASSWORD");
    server.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
    let mut server = server.spawn().unwrap();
    let mut lines = std::io::BufReader::new(server.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    for line in lines.by_ref().map_while(Result::ok) {
        let is_last = line.starts_with("dsync listening");
        said.push(line);
        if is_last {
            break;
        }
    }
    server.kill().unwrap();
    server.wait().unwrap();
    said
}
