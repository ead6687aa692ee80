//! The console without a browser: who gets in, what forms are worth, what streams say.

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
async fn a_filter_finds_what_happened_long_ago() {
    let (_data, server) = server(&[]);
    let directory = server.api().directory("generic scim v2.0", "Acme").await;
    directory.user("needle@acme.example").await;
    for round in 0..3 {
        let operations: Vec<_> = (0..500)
            .map(|number| {
                serde_json::json!({
                    "method": "POST", "path": "/Users", "bulkId": format!("{number}"),
                    "data": { "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
                        "userName": format!("straw{round}-{number}@acme.example") },
                })
            })
            .collect();
        let body = serde_json::json!({ "Operations": operations,
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"] });
        directory.send("POST", "/Bulk", Some(body)).await.expect(200);
    }
    let visitor = Visitor::signed_in(&server).await;
    // With scripts a page goes on by itself, and without them by its link.
    for way in ["goes-on\" hx-get=\"", "rel=\"next\" href=\""] {
        let (seen, last) = seen_along(&visitor, "/console/events?text=needle", way).await;
        assert_eq!(seen, 1, "{way}");
        assert!(!last.contains("No event"), "{last}");
        let (seen, last) = seen_along(&visitor, "/console/events?text=haystack", way).await;
        assert_eq!(seen, 0, "{way}");
        assert!(last.contains("No event fits") || last.contains("Nothing older"), "{last}");
    }
    // Page by page, everything is there once.
    for (of, expected) in [("type=dsync.user.created", 1_501), ("text=straw1", 500)] {
        let path = format!("/console/events?{of}");
        let (seen, _) = seen_along(&visitor, &path, "rel=\"next\" href=\"").await;
        assert_eq!(seen, expected, "{of}");
    }
    // A rare type is there at once.
    for of in ["", &format!("&directory={}", directory.id)] {
        let path = format!("/console/events?type=dsync.token.created{of}");
        let page = visitor.page(&path).await;
        assert_eq!(entries(&page), 1, "{page}");
        assert!(!page.contains("Look further") && !page.contains("Looked back"), "{page}");
    }
}

#[tokio::test]
async fn a_search_that_goes_on_tells_what_joins_the_page_and_when_it_ends() {
    let (_data, server) = server(&[]);
    let directory = server.api().directory("generic scim v2.0", "Acme").await;
    directory.user("needle@acme.example").await;
    for number in 0..60 {
        directory.user(&format!("straw{number}@acme.example")).await;
    }
    let visitor = Visitor::signed_in(&server).await;
    let further = "/console/events/further";
    let found = visitor.page(&format!("{further}?text=needle&gone_on=3")).await;
    assert!(found.contains("hx-swap-oob=\"beforeend:#entries\""), "{found}");
    assert_eq!(entries(&found), 1, "{found}");
    assert!(found.contains("Looked through all of history. 1 event found."), "{found}");
    assert!(!found.contains("hx-trigger=\"load\"") && !found.contains("<html"), "{found}");

    // A page that is full with what joins it goes on with the next page.
    let filled = visitor.page(&format!("{further}?text=straw&gone_on=1&shown=20")).await;
    assert_eq!(entries(&filled), 30);
    assert!(filled.contains("Older →") && filled.contains("50 events found."), "{filled}");

    // What is behind the place is not there again.
    let first = server.api().get("/events?order=asc&limit=1&events=dsync.user.created").await;
    let after = first["data"][0]["id"].as_str().unwrap();
    let none = visitor.page(&format!("{further}?text=needle&after={after}&older=1")).await;
    assert_eq!(entries(&none), 0, "{none}");
    assert!(none.contains("Nothing older"), "{none}");
}

fn entries(page: &str) -> usize {
    page.matches("class=\"entry\"").count()
}

/// How many events are seen from a page on, and where the way ends: the address behind `way` leads on.
async fn seen_along(visitor: &Visitor, path: &str, way: &str) -> (usize, String) {
    let (mut path, mut seen) = (path.to_owned(), 0);
    loop {
        let page = visitor.page(&path).await;
        seen += entries(&page);
        let Some(next) = page.split(way).nth(1) else { return (seen, page) };
        path = next.split('"').next().unwrap().replace("&amp;", "&");
    }
}

#[tokio::test]
async fn a_form_is_worth_nothing_without_its_token_and_from_elsewhere() {
    let (_data, server) = server(&[]);
    let visitor = Visitor::signed_in(&server).await;
    let new = "/console/organizations/new";
    let page = visitor.page(new).await;
    let (id, csrf) = (field(&page, "id"), field(&page, "csrf"));
    let other = Visitor::signed_in(&server).await.field(new, "csrf").await;
    for token in ["", "guess", &other] {
        let answer = visitor.post(new, &[("csrf", token), ("id", &id), ("name", "Forged")]).await;
        assert_eq!(answer.status(), 403, "{token}");
    }
    let body = format!("csrf={csrf}&id={id}&name=Forged");
    for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")] {
        let form = visitor.request("POST", new).header(name, value).body(body.clone());
        assert_eq!(form.send().await.unwrap().status(), 403, "{name}");
    }
    let elsewhere = visitor.request("POST", "/console/sign-in").header("origin", "null");
    assert_eq!(elsewhere.body("password=black-box").send().await.unwrap().status(), 403);
    assert_eq!(server.api().get("/organizations").await["data"], serde_json::json!([]));

    // Sent twice, it makes one.
    let fields = [("csrf", csrf.as_str()), ("id", &id), ("name", "Acme")];
    for _ in 0..2 {
        let answer = visitor.post(new, &fields).await;
        assert_eq!(answer.status(), 303);
        assert_eq!(answer.headers()[LOCATION], format!("/console/organizations/{id}"));
    }
    let there = server.api().get("/organizations").await["data"].clone();
    assert_eq!(there.as_array().unwrap().len(), 1, "{there}");
}

#[tokio::test]
async fn a_token_that_is_rotated_is_given_an_end_which_shows_and_is_taken_back() {
    let (_data, server) = server(&[]);
    let directory = server.api().directory("generic scim v2.0", "Acme").await;
    let visitor = Visitor::signed_in(&server).await;
    let own = format!("/console/directories/{}", directory.id);
    let new = format!("{own}/tokens/new");
    let page = visitor.page(&new).await;
    let (id, csrf) = (field(&page, "id"), field(&page, "csrf"));
    let suffix = &directory.token[directory.token.len() - 4..];
    assert!(page.contains(&format!("The token that ends in …{suffix} works for")), "{page}");
    let typed = |seconds| [("csrf", &*csrf), ("id", &*id), ("overlap_seconds", seconds)];
    assert_eq!(visitor.post(&new, &typed("1")).await.status(), 400, "no form has that");
    assert_eq!(visitor.post(&new, &typed("86400")).await.status(), 200);
    let tokens = server.api().get(&format!("/directories/{}/tokens", directory.id)).await;
    let old = &tokens["data"][1];
    let end = old["expires_at"].as_str().unwrap();
    let page = visitor.page(&own).await;
    assert_eq!(page.matches("works until").count(), 1, "{page}");
    assert!(page.contains(end), "{end}: {page}");
    directory.send("GET", "/Users", None).await.expect(200);

    let token = format!("{own}/tokens/{}", old["id"].as_str().unwrap());
    assert!(visitor.page(&format!("{token}/revoke")).await.contains("Keep it until it is revoked"));
    let keep = format!("{token}/keep");
    assert_eq!(visitor.post(&keep, &[("csrf", "guess")]).await.status(), 403);
    assert_eq!(visitor.post(&keep, &[("csrf", &*csrf)]).await.status(), 303);
    assert!(!visitor.page(&own).await.contains("works until"));
    assert_eq!(visitor.post(&format!("{token}/revoke"), &[("csrf", &*csrf)]).await.status(), 303);
    assert_eq!(visitor.post(&keep, &[("csrf", &*csrf)]).await.status(), 404, "it stays void");
}

#[tokio::test]
async fn a_client_certificate_goes_in_by_a_form_and_its_key_never_comes_out() {
    let (_data, server) = server(&[]);
    let visitor = Visitor::signed_in(&server).await;
    let (chain, key) = certificate("dsync at Contoso");
    let (_, other_key) = certificate("other");
    let secrets: Vec<&str> = [&key, &other_key].map(|key| key.lines().nth(1).unwrap()).to_vec();
    let shows = async |answer: Response, status: u16, text: &str| {
        assert_eq!(answer.status(), status, "{text}");
        let page = answer.text().await.unwrap();
        assert!(page.contains(text), "{text}: {page}");
        assert!(!secrets.iter().any(|secret| page.contains(secret)), "a key is shown");
    };
    let new = "/console/endpoints/new";
    let page = visitor.page(new).await;
    let (id, csrf) = (field(&page, "id"), field(&page, "csrf"));
    let typed = |chain, key| {
        let to = ("endpoint_url", "https://app.example/");
        [
            ("csrf", &*csrf),
            ("id", &*id),
            to,
            ("client_certificate", chain),
            ("client_certificate_key", key),
        ]
    };
    for (chain, key, wrong) in [
        (&*chain, "", "come together"),
        ("", &*key, "come together"),
        ("none", &key, "client_certificate cannot be used"),
        (&chain, "none", "client_certificate cannot be used"),
        (&chain, &other_key, "client_certificate cannot be used"),
    ] {
        shows(visitor.post(new, &typed(chain, key)).await, 422, wrong).await;
    }
    assert_eq!(server.api().get("/webhook_endpoints").await["data"], serde_json::json!([]));
    shows(visitor.post(new, &typed(&chain, &key)).await, 200, "whsec_").await;
    let path = format!("/webhook_endpoints/{id}");
    assert_eq!(server.api().get(&path).await["client_certificate"], chain.as_str());

    let own = format!("/console/endpoints/{id}");
    let edit = format!("{own}/edit");
    for page in [&own, &edit] {
        shows(visitor.get(page).await, 200, "dsync at Contoso").await;
        shows(visitor.get(page).await, 200, "4096-01-01").await;
    }
    let save = async |more: &[(&str, &str)]| {
        let made_from = visitor.field(&edit, "made_from").await;
        let always = [
            ("csrf", &*csrf),
            ("made_from", &*made_from),
            ("endpoint_url", "https://app.example/"),
        ];
        let all = [("events", "dsync.deleted"), ("order", "resource"), ("format", "webhook")];
        visitor.post(&edit, &[&always[..], &all, more].concat()).await
    };
    // Left empty it stays, another takes its place, and a tick takes it away.
    let shown = async || server.api().get(&path).await["client_certificate"].clone();
    assert_eq!(save(&[]).await.status(), 303);
    assert_eq!(shown().await, chain.as_str());
    let (other, _) = certificate("other");
    let mixed = [("client_certificate", &*other), ("client_certificate_key", &*key)];
    shows(save(&mixed).await, 422, "client_certificate cannot be used").await;
    let none = [("no_client_certificate", "true")];
    shows(save(&[&mixed[..], &none].concat()).await, 422, "Take one of them away").await;
    assert_eq!(shown().await, chain.as_str());
    let (other, other_key) = certificate("other");
    let both = [("client_certificate", &*other), ("client_certificate_key", &*other_key)];
    assert_eq!(save(&both).await.status(), 303);
    assert_eq!(shown().await, other.as_str());
    assert_eq!(save(&none).await.status(), 303);
    assert_eq!(shown().await, serde_json::Value::Null);
    assert!(!visitor.page(&own).await.contains("Client certificate"));
}

/// A certificate with this common name, and its key.
fn certificate(name: &str) -> (String, String) {
    let mut params = rcgen::CertificateParams::new([]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    let key = rcgen::KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[tokio::test]
async fn an_endpoint_changes_by_no_form_without_its_token_and_by_one_that_is_sent_twice_once() {
    let (_data, server) = server(&[]);
    let app = tests::Receiver::start().await;
    let visitor = Visitor::signed_in(&server).await;
    let new = "/console/endpoints/new";
    let page = visitor.page(new).await;
    let (id, csrf) = (field(&page, "id"), field(&page, "csrf"));
    let fields = [("csrf", csrf.as_str()), ("id", &id), ("endpoint_url", app.url())];
    let made = visitor.post(new, &fields).await;
    assert_eq!(made.status(), 200);
    assert!(made.text().await.unwrap().contains("whsec_"));
    let own = format!("/console/endpoints/{id}");
    let again = visitor.post(new, &fields).await;
    assert_eq!(
        (again.status().as_u16(), again.headers()[LOCATION].to_str().unwrap()),
        (303, &*own)
    );
    let path = format!("/webhook_endpoints/{id}");
    let before = server.api().get(&path).await;

    let made_from = before["updated_at"].as_str().unwrap();
    for token in ["", "guess"] {
        for form in ["edit", "disable", "delete", "rotate", "test", "replay"] {
            let typed = [("csrf", token), ("made_from", made_from), ("event", "dsync.deleted")];
            let refused = visitor.post(&format!("{own}/{form}"), &typed).await;
            assert_eq!(refused.status(), 403, "{form}");
        }
    }
    assert_eq!(server.api().get(&path).await["updated_at"], before["updated_at"]);
    assert!(app.arrived().is_empty(), "nothing was sent");

    // A rotation that is sent twice makes one secret: the second is of an older version.
    let rotate = format!("{own}/rotate");
    let typed = [("csrf", csrf.as_str()), ("made_from", made_from), ("overlap_seconds", "60")];
    assert_eq!(visitor.post(&rotate, &typed).await.status(), 200);
    let rotated = server.api().get(&path).await["secret"].clone();
    assert_ne!(rotated, before["secret"]);
    assert_eq!(visitor.post(&rotate, &typed).await.status(), 409);
    assert_eq!(server.api().get(&path).await["secret"], rotated);
    let typed = [("csrf", csrf.as_str()), ("made_from", made_from), ("overlap_seconds", "-1")];
    assert_eq!(visitor.post(&rotate, &typed).await.status(), 422);

    // An event that cannot be sent again does not turn into the whole history.
    let replay = format!("{own}/replay");
    let replay_id = visitor.field(&replay, "id").await;
    let event = "event_00000000000000000000000000";
    let typed = [("csrf", csrf.as_str()), ("id", &replay_id), ("event_id", event)];
    let refused = visitor.post(&replay, &typed).await;
    assert_eq!(refused.status(), 422);
    let page = refused.text().await.unwrap();
    assert!(page.contains("event_id is the id of nothing."), "{page}");
    assert_eq!(field(&page, "event_id"), event);
    assert!(!page.contains("name=\"begin\""), "{page}");
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

#[tokio::test]
async fn whoever_makes_a_token_in_the_console_is_named() {
    let (_data, server) = server(&[]);
    let api = server.api();
    let directory = api.directory("okta scim v2.0", "Acme").await;
    let visitor = Visitor::signed_in(&server).await;
    let path = format!("/console/directories/{}/tokens/new", directory.id);
    let (csrf, id) = (visitor.field(&path, "csrf").await, visitor.field(&path, "id").await);
    let made = visitor.post(&path, &[("csrf", &csrf), ("id", &id)]).await;
    assert!(made.status().is_success(), "{}", made.status());
    let told = api.get("/audit/events?actor=admin").await;
    let event = &told["data"][0];
    assert_eq!(
        (&event["event"], &event["data"]["id"]),
        (&serde_json::json!("dsync.token.created"), &serde_json::json!(id))
    );
    let actor = &event["actor"];
    assert_eq!(
        (&actor["console_role"], &actor["ip"]),
        (&serde_json::json!("admin"), &serde_json::json!("127.0.0.1"))
    );
    assert!(actor["request_id"].is_string() && actor.get("token_suffix").is_none(), "{actor}");
}

#[tokio::test]
async fn a_stream_goes_on_where_the_last_one_ended_without_a_gap_or_a_repeat() {
    let (_data, server) = server(&[]);
    let directory = server.api().directory("generic scim v2.0", "Acme").await;
    let visitor = Visitor::signed_in(&server).await;
    let mut seen = Vec::new();
    let mut last = String::new();
    for round in 0..3 {
        for number in 0..40 {
            directory.user(&format!("user{round}-{number}@acme.example")).await;
        }
        // The first comes in the middle of what the stream has to say, and cuts it off.
        let wanted = if round == 2 { 120 } else { 25 * (round + 1) };
        let stream = "/console/events/stream?type=dsync.user.created&after=";
        let mut request = visitor.request("GET", stream);
        if !last.is_empty() {
            request = request.header("last-event-id", &last);
        }
        let mut answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let mut text = String::new();
        while seen.len() < wanted {
            let more = tokio::time::timeout(PATIENCE, answer.chunk()).await.expect("it goes on");
            text += std::str::from_utf8(&more.unwrap().unwrap()).unwrap();
            while let Some((frame, rest)) = text.split_once("\n\n") {
                let id = frame.lines().find_map(|line| line.strip_prefix("id: "));
                if frame.contains("event: entry") && seen.len() < wanted {
                    last = id.unwrap().to_owned();
                    seen.push(last.clone());
                }
                text = rest.to_owned();
            }
        }
    }
    let events = server.api().events("dsync.user.created").await;
    let expected: Vec<&str> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_page_that_missed_more_than_it_keeps_is_told_of_the_latest() {
    let (_data, server) = server(&[]);
    let directory = server.api().directory("generic scim v2.0", "Acme").await;
    let first = server.api().get("/audit/events?limit=1").await["data"][0]["id"].clone();
    for number in 0..210 {
        directory.user(&format!("user{number}@acme.example")).await;
    }
    let visitor = Visitor::signed_in(&server).await;
    let from = first.as_str().unwrap();
    let stream = format!("/console/events/stream?type=dsync.user.created&after={from}");
    let mut answer = visitor.get(&stream).await;
    let mut text = String::new();
    while text.matches("event: entry").count() < 200 || !text.ends_with("\n\n") {
        let more = tokio::time::timeout(PATIENCE, answer.chunk()).await.expect("it goes on");
        text += std::str::from_utf8(&more.unwrap().unwrap()).unwrap();
    }
    let (skipped, entry) =
        (text.find("event: skipped").unwrap(), text.find("event: entry").unwrap());
    assert!(skipped < entry, "it is said first");
    let events = server.api().events("dsync.user.created").await;
    let sent = |number: usize| text.contains(events[number]["id"].as_str().unwrap());
    assert!(sent(209) && sent(10) && !sent(9), "the latest 200");
}

#[tokio::test]
async fn a_list_that_stops_says_so() {
    let (_data, server) = server(&[]);
    let directory = server.api().directory("generic scim v2.0", "Acme").await;
    let user = directory.user("adele@acme.example").await;
    let visitor = Visitor::signed_in(&server).await;
    let group = async |number: usize| {
        let body = serde_json::json!({ "displayName": format!("Team {number}"),
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
            "members": [{ "value": user }] });
        directory.send("POST", "/Groups", Some(body)).await.expect(201);
    };
    for number in 0..50 {
        group(number).await;
    }
    let found = format!("/console/directories/{}/groups?search=team", directory.id);
    let users = server.api().get(&format!("/directory_users?directory={}", directory.id)).await;
    let own = format!("/console/users/{}", users["data"][0]["id"].as_str().unwrap());
    assert!(!visitor.page(&found).await.contains("These are the first 50"));
    assert!(!visitor.page(&own).await.contains("These are 50 of its groups"));
    group(50).await;
    assert!(visitor.page(&found).await.contains("These are the first 50"));
    let page = visitor.page(&own).await;
    assert!(
        page.contains("These are 50 of its groups") && page.contains("These are the latest 50")
    );
}

#[tokio::test]
async fn a_stream_ends_with_its_session() {
    let (_data, server) = server(&[]);
    let visitor = Visitor::signed_in(&server).await;
    let mut stream = visitor.get("/console/events/stream").await;
    let csrf = visitor.field("/console/organizations/new", "csrf").await;
    let out = visitor.post("/console/sign-out", &[("csrf", &csrf)]).await;
    assert_eq!(out.status(), 303);
    let ended = async { while stream.chunk().await.unwrap().is_some() {} };
    tokio::time::timeout(PATIENCE, ended).await.expect("it ends");
    assert_eq!(visitor.get("/console").await.status(), 303);
}

#[tokio::test]
async fn a_user_of_any_name_is_text_on_every_page_and_in_the_stream() {
    let (_data, server) = server(&[]);
    let directory = server.api().directory("generic scim v2.0", "<b>&\"'").await;
    let name = "<script>alert(1)</script>\r\n\r\ndata: x";
    let body = serde_json::json!({ "userName": name, "displayName": name,
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"] });
    directory.send("POST", "/Users", Some(body)).await.expect(201);
    let users = server.api().get(&format!("/directory_users?directory={}", directory.id)).await;
    let user = users["data"][0]["id"].as_str().unwrap();
    let visitor = Visitor::signed_in(&server).await;
    let of = |rest: &str| format!("/console/directories/{}{rest}", directory.id);
    let search = of("/users?search=%3Cscript");
    let pages =
        [of(""), of("/users"), search, format!("/console/users/{user}"), "/console/events".into()];
    for page in pages {
        let text = visitor.page(&page).await;
        assert!(!text.contains("<script>alert") && !text.contains("<b>&"), "{page}");
        assert!(page == of("") || text.contains("&lt;script&gt;alert(1)"), "{page}");
    }
    let stream = "/console/events/stream?type=dsync.user.created&after=";
    let mut answer = visitor.get(stream).await;
    let mut text = String::new();
    while !text.contains("event: entry") || !text.contains("</li>") {
        let more = tokio::time::timeout(Duration::from_secs(20), answer.chunk()).await;
        text += std::str::from_utf8(&more.expect("it comes").unwrap().unwrap()).unwrap();
    }
    assert!(!text.contains("<script>") && !text.contains("\ndata: x"), "{text}");
    is_noted(&server, &directory).await;
}

/// The request log is written a little later; a page that shows it too early is no failure of the page.
async fn is_noted(server: &Server, directory: &Directory) {
    let visitor = Visitor::signed_in(server).await;
    let page = format!("/console/directories/{}/requests", directory.id);
    eventually("the request is listed", || async {
        visitor.page(&page).await.contains("POST <bdi>/Users</bdi>").then_some(())
    })
    .await;
}
