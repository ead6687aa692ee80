//! The setup pages, as the browser of an administrator meets them.

use std::time::Duration;

use reqwest::redirect::Policy;
use serde_json::{Value, json};
use tests::server::eventually;
use tests::{Api, Directory, Server};

const ACME: &str = "scim.acme.test";
const RIVAL: &str = "scim.rival.test";

/// A browser without scripts: it keeps the cookies of one site, and goes where it is told.
pub(crate) struct Browser {
    http: reqwest::Client,
    base: String,
    host: String,
    cookie: Option<String>,
}

/// A page.
pub(crate) struct Shown {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

/// A form on a page: where it leads, and what it sends by itself.
#[derive(Clone)]
pub(crate) struct Form {
    pub(crate) action: String,
    pub(crate) fields: Vec<(String, String)>,
}

impl Form {
    /// The same with a field filled in.
    fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same, sent elsewhere.
    fn to(mut self, action: &str) -> Self {
        action.clone_into(&mut self.action);
        self
    }
}

impl Browser {
    pub(crate) fn new(server: &Server) -> Self {
        let _ = tests::server::http_client();
        let http = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        let base = server.base().to_owned();
        let host = base.strip_prefix("http://").unwrap().to_owned();
        Self { http, base, host, cookie: None }
    }

    /// The same browser, at the host name of a customer.
    fn at(&self, host: &str) -> Self {
        let (http, base) = (self.http.clone(), self.base.clone());
        Self { http, base, host: host.to_owned(), cookie: self.cookie.clone() }
    }

    async fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) -> Shown {
        self.send_body(method, path, headers, None).await
    }

    async fn send_body(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Shown {
        let url = format!("{}{path}", self.base);
        let mut request = self.http.request(method.parse().unwrap(), url);
        request = request.header("host", &self.host);
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", format!("other=1; {cookie}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request =
                request.header("content-type", "application/x-www-form-urlencoded").body(body);
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        if let Some(set) = headers.get("set-cookie") {
            let set = set.to_str().unwrap();
            self.cookie = set.split(';').next().map(str::to_owned);
        }
        Shown { status, headers, text: answer.text().await.unwrap() }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Shown {
        self.send("GET", path, &[]).await
    }

    /// Presses the button of a link, which has no session and so no fields.
    pub(crate) async fn press(&mut self, path: &str) -> Shown {
        self.submit(&Form { action: path.to_owned(), fields: Vec::new() }).await
    }

    /// Sends a form and goes where it leads.
    pub(crate) async fn submit(&mut self, form: &Form) -> Shown {
        let mut body = String::new();
        for (name, value) in &form.fields {
            let value: String = value.bytes().map(|byte| format!("%{byte:02x}")).collect();
            body += &format!("{name}={value}&");
        }
        let from_here = [("sec-fetch-site", "same-origin")];
        let shown = self.send_body("POST", &form.action, &from_here, Some(body)).await;
        match shown.headers.get("location") {
            Some(next) if shown.status == 303 => {
                let next = next.to_str().unwrap().to_owned();
                self.get(&next).await
            }
            Some(_) | None => shown,
        }
    }
}

impl Shown {
    fn expect(&self, status: u16, words: &str) {
        assert_eq!(self.status, status, "{}", self.text);
        assert!(self.text.contains(words), "{words} is not in {}", self.text);
    }

    /// The form that has this button.
    pub(crate) fn form(&self, button: &str) -> Form {
        let end = self.text.find(&format!(">{button}<")).unwrap_or_else(|| {
            panic!("{button} is not in {}", self.text);
        });
        let begin = self.text[..end].rfind("<form").expect("a button stands in a form");
        let form = &self.text[begin..end];
        let attribute = |text: &str, name: &str| {
            let from = text.split_once(&format!("{name}=\""))?.1;
            Some(from.split_once('"')?.0.replace("&amp;", "&"))
        };
        let action = attribute(form, "action").unwrap_or_default();
        let hidden = form.split("<input").filter(|input| input.contains("type=\"hidden\""));
        let fields = hidden
            .filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value")?)));
        let action = action.split('#').next().unwrap_or_default().to_owned();
        Form { action, fields: fields.collect() }
    }

    /// The text of the element with this id.
    fn text_of(&self, id: &str) -> String {
        let from = self.text.split_once(&format!("id=\"{id}\"")).expect("it is there").1;
        let from = from.split_once('>').expect("a tag ends").1;
        from.split('<').next().unwrap().to_owned()
    }
}

/// What a browser does that loads a page again until it says something.
async fn until(server: &Server, cookie: &Browser, path: &str, words: &str) -> Shown {
    eventually(words, || async {
        let mut browser = Browser { cookie: cookie.cookie.clone(), ..Browser::new(server) };
        Some(browser.get(path).await).filter(|shown| shown.text.contains(words))
    })
    .await
}

pub(crate) async fn organization(api: &Api, name: &str) -> String {
    let made = api.create("/organizations", &json!({ "name": name })).await;
    made["id"].as_str().unwrap().to_owned()
}

/// Makes a link and answers its path.
pub(crate) async fn link(api: &Api, organization: &str) -> String {
    let body = json!({ "organization": organization, "return_url": "https://app.example/settings?a=1&b=2",
        "success_url": "https://app.example/done" });
    let made = api.create("/portal/generate_link", &body).await;
    let link = made["link"].as_str().unwrap();
    link[link.find("/setup/").unwrap()..].to_owned()
}

async fn new_directory(server: &Server, organization: &str, name: &str) -> Directory {
    let body = json!({ "organization_id": organization, "type": "okta scim v2.0", "name": name });
    Directory::new(&server.api().create("/directories", &body).await, server.base())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_opens_a_link_and_makes_the_token_that_the_identity_provider_needs() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let acme = organization(&api, "Acme <script>alert(1)</script>").await;
    let directory = new_directory(&server, &acme, "Acme \"Okta\"").await;
    let path = link(&api, &acme).await;
    let own = format!("/setup/directories/{}", directory.id);
    let mut browser = Browser::new(&server);

    // Whoever follows links ahead of people, as mail filters do, uses nothing up.
    for method in ["GET", "HEAD", "GET"] {
        assert_eq!(browser.send(method, &path, &[]).await.status, 200);
    }
    browser.get(&path).await.expect(200, "Open the setup page");
    let home = browser.press(&path).await;
    home.expect(200, "Directory sync for Acme &lt;script&gt;");
    home.expect(200, "not connected yet");
    home.expect(200, "https://app.example/settings?a=1&amp;b=2");
    assert!(!home.text.contains("<script>"));
    let page = browser.get(&own).await;
    page.expect(200, &directory.endpoint);
    page.expect(200, "Waiting for a connection test");

    let (form, another) = (page.form("Make a token"), browser.get(&own).await.form("Make a token"));
    let made = browser.submit(&form).await;
    made.expect(201, "It is shown this once");
    let token = made.text_of("bearer-token");
    directory.with_token(&token).send("GET", "/Users", None).await.expect(200);
    let again = browser.submit(&form).await;
    again.expect(200, "Two tokens are live");
    assert!(!again.text.contains(&token), "a form that is sent twice makes one token");
    again.expect(200, "Connection test received");
    let refused = browser.submit(&another).await;
    refused.expect(409, "There are two tokens already");
    refused.expect(409, "href=\"/setup\"");

    let first = &directory.token[directory.token.len() - 4..];
    let tokens = api.get(&format!("/directories/{}/tokens", directory.id)).await;
    let tokens = tokens["data"].as_array().unwrap();
    let id = tokens.iter().find(|one| one["suffix"] == first).unwrap()["id"].as_str().unwrap();
    let confirm = browser.get(&format!("{own}/tokens/{id}/revoke")).await;
    confirm.expect(200, "This cannot be undone");
    browser.submit(&confirm.form("Revoke token")).await.expect(200, "Rotate the token");
    directory.send("GET", "/Users", None).await.expect(401);
    directory.with_token(&token).send("GET", "/Users", None).await.expect(200);
    browser.get(&format!("{own}/tokens/{id}/revoke")).await.expect(404, "There is no such token");
    let told = api.events("dsync.token.created,dsync.token.revoked").await;
    let own = told.iter().filter(|event| event["data"]["directory_id"] == *directory.id);
    assert_eq!(own.count(), 3, "the history tells of what an administrator did");

    let links = api.get(&format!("/portal/links?organization={acme}")).await;
    let link = links["data"][0]["id"].as_str().unwrap();
    let theirs = api.get(&format!("/audit/events?actor={link}")).await;
    let theirs = theirs["data"].as_array().unwrap();
    let kinds: Vec<_> = theirs.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["dsync.token.created", "dsync.token.revoked"], "and who it was");
    for event in theirs {
        let actor = &event["actor"];
        assert_eq!((&actor["portal_link_id"], &actor["ip"]), (&json!(link), &json!("127.0.0.1")));
        assert!(actor["request_id"].is_string(), "{actor}");
    }
    let log = std::fs::read_to_string(data.path().join("server.log")).unwrap();
    assert!(log.contains("a form of a setup page is sent") && log.contains(link), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_reaches_nothing_of_another_organization() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let acme = organization(&api, "Acme").await;
    let directory = new_directory(&server, &acme, "Acme").await;
    let foreign = api.directory("okta scim v2.0", "Rival").await;
    let path = link(&api, &acme).await;
    let mut browser = Browser::new(&server);
    let home = browser.press(&path).await;
    assert!(!home.text.contains(&foreign.id) && !home.text.contains("Rival"));
    let own = format!("/setup/directories/{}", directory.id);
    let theirs = format!("/setup/directories/{}", foreign.id);
    let tokens = api.get(&format!("/directories/{}/tokens", foreign.id)).await;
    let token = tokens["data"][0]["id"].as_str().unwrap();
    let revoke = format!("{theirs}/tokens/{token}/revoke");
    for path in [&theirs, &format!("{theirs}/changes"), &format!("{theirs}/map"), &revoke] {
        browser.get(path).await.expect(404, "There is no such directory");
    }
    let form = browser.get(&own).await.form("Make a token");
    let with_time = form.clone().with("made_from", "2026-01-01T00:00:00.000Z").with("do", "apply");
    for form in [
        form.clone().to(&format!("{theirs}/tokens")),
        form.clone().to(&revoke),
        with_time.clone().to(&format!("{theirs}/email-from-user-name")),
        with_time.to(&format!("{theirs}/map")),
    ] {
        browser.submit(&form).await.expect(404, "There is no such directory");
    }
    // Nor is a token of others one of an own directory.
    let path = format!("{own}/tokens/{token}/revoke");
    browser.get(&path).await.expect(404, "There is no such token");
    browser.submit(&form.to(&path)).await;
    foreign.send("GET", "/Users", None).await.expect(200);
    let after = api.get(&format!("/directories/{}/tokens", foreign.id)).await;
    assert_eq!(after["data"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_adds_the_directory_that_nobody_has_added() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let acme = organization(&api, "Acme").await;
    let path = link(&api, &acme).await;
    let mut browser = Browser::new(&server);
    let home = browser.press(&path).await;
    home.expect(200, "Which identity provider do you have?");
    home.expect(200, "Azure AD SCIM v2.0");
    let form = home.form("Continue").with("name", "Acme Entra");
    browser.submit(&form).await.expect(422, "Choose the identity provider");
    browser
        .submit(&form.clone().with("guide", "no such").with("name", ""))
        .await
        .expect(422, "Choose");
    let form = form.with("guide", "entra");
    let made = browser.submit(&form).await;
    made.expect(201, "Set up Microsoft Entra ID");
    let endpoint = made.text_of("endpoint");
    let token = made.text_of("bearer-token");
    let directories = api.get("/directories").await;
    let made = &directories["data"][0];
    assert_eq!(
        (made["type"].as_str(), made["name"].as_str()),
        (Some("azure scim v2.0"), Some("Acme Entra"))
    );
    let scim = json!({ "id": made["id"], "scim": { "endpoint": endpoint, "bearer_token": token } });
    let directory = Directory::new(&scim, server.base());
    directory.send("GET", "/Users", None).await.expect(200);
    let again = browser.submit(&form).await;
    again.expect(200, "Acme Entra");
    assert!(!again.text.contains(&token), "the token is shown once");
    assert_eq!(api.get("/directories").await["data"].as_array().map(Vec::len), Some(1));

    // A provider without a type of its own has its guide all the same.
    let another = browser.get("/setup/new").await.form("Continue");
    let google = browser.submit(&another.with("guide", "google").with("name", "Google")).await;
    google.expect(201, "Set up Google Workspace");
    google.expect(201, "?guide=google");
    // Whoever follows a guide comes back to it.
    let own = google.text.split("href=\"").find(|part| part.contains("/revoke?guide=google"));
    let own = own.and_then(|part| part.split('"').next()).expect("tokens are revoked from here");
    let confirm = browser.get(own).await;
    confirm.expect(200, "?guide=google");
    browser.submit(&confirm.form("Revoke token")).await.expect(200, "Set up Google Workspace");

    // An id that is somebody else's is refused, and says nothing of them.
    let foreign = api.directory("okta scim v2.0", "Rival").await;
    let form = browser.get("/setup/new").await.form("Continue").with("guide", "okta");
    let form = form.with("name", "Rival").with("id", &foreign.id);
    browser.submit(&form).await.expect(403, "This form is out of date");
    for number in 2..20 {
        new_directory(&server, &acme, &format!("More {number}")).await;
    }
    let form = browser.get("/setup/new").await.form("Continue");
    let form = form.with("guide", "okta").with("name", "One too many");
    browser.submit(&form).await.expect(409, "There are enough connections");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_without_an_address_are_told_of_and_get_one_with_a_press() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let acme = organization(&api, "Acme").await;
    let directory = new_directory(&server, &acme, "Acme").await;
    let path = link(&api, &acme).await;
    let own = format!("/setup/directories/{}", directory.id);
    let mut browser = Browser::new(&server);
    browser.press(&path).await;
    let body = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "adele@acme.example" });
    directory.send("POST", "/Users", Some(body)).await.expect(201);
    let page = until(&server, &browser, &own, "Users have no e-mail address").await;
    let form = page.form("Use the user name as address");
    let mended = browser.submit(&form).await;
    mended.expect(200, "Nothing is wrong");
    eventually("apps are told", || async {
        let users = api.get(&format!("/directory_users?directory={}", directory.id)).await;
        (users["data"][0]["email"] == "adele@acme.example").then_some(())
    })
    .await;
    // The form was made from what is not so any more.
    browser.submit(&form).await.expect(409, "It has changed meanwhile");
    let map = browser.get(&format!("{own}/map")).await;
    map.expect(200, "userName");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_counts_that_a_page_of_this_session_made() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let acme = organization(&api, "Acme").await;
    let directory = new_directory(&server, &acme, "Acme").await;
    let own = format!("/setup/directories/{}", directory.id);
    let mut browsers = [Browser::new(&server), Browser::new(&server)];
    for browser in &mut browsers {
        let path = link(&api, &acme).await;
        browser.press(&path).await;
    }
    let [browser, other] = &mut browsers;
    let form = browser.get(&own).await.form("Make a token");
    let tokens = api.get(&format!("/directories/{}/tokens", directory.id)).await;
    let token = tokens["data"][0]["id"].as_str().unwrap();
    let made_from = form.clone().with("made_from", "2026-01-01T00:00:00.000Z");
    for form in [
        form.clone(),
        form.clone().to("/setup/new"),
        form.clone().to("/setup/sign-out"),
        form.clone().to(&format!("{own}/tokens/{token}/revoke")),
        made_from.clone().to(&format!("{own}/email-from-user-name")),
        made_from.to(&format!("{own}/map")),
    ] {
        other.submit(&form).await.expect(403, "This form is out of date");
        let without = form.clone().with("csrf", "");
        browser.submit(&without).await.expect(403, "This form is out of date");
    }
    let tokens = api.get(&format!("/directories/{}/tokens", directory.id)).await;
    assert_eq!(tokens["data"].as_array().map(Vec::len), Some(1), "nothing was changed");
    browser.submit(&form).await.expect(201, "It is shown this once");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_out_has_left_for_good() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let acme = organization(&api, "Acme").await;
    let path = link(&api, &acme).await;
    let mut browser = Browser::new(&server);
    browser.press(&path).await;
    let form = browser.get("/setup").await.form("Sign out");
    let kept = browser.cookie.clone();
    let left = browser.submit(&form).await;
    left.expect(200, "You are signed out");
    let cookie = left.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("dsync_setup=;") && cookie.contains("Max-Age=0"), "{cookie}");
    for cookie in [browser.cookie.clone(), kept] {
        browser.cookie = cookie;
        browser.get("/setup").await.expect(403, "You are not signed in");
        browser.submit(&form).await.expect(403, "You are not signed in");
    }
    browser.get(&path).await.expect(410, "This link was used already");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_for_one_browser() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let acme = organization(&api, "Acme").await;
    let path = link(&api, &acme).await;
    let mut browsers: Vec<Browser> = (0..8).map(|_| Browser::new(&server)).collect();
    let presses = browsers.iter_mut().map(|browser| browser.press(&path));
    let shown = futures_util::future::join_all(presses).await;
    let first = shown.iter().position(|shown| shown.status == 200).expect("one is let in");
    for (number, shown) in shown.iter().enumerate().filter(|(number, _)| *number != first) {
        shown.expect(410, "This link was used already");
        shown.expect(410, "https://app.example/settings");
        browsers[number].get("/setup").await.expect(403, "You are not signed in");
    }
    // Who was let in may press again, and come again by the link.
    browsers[first].press(&path).await.expect(200, "Directory sync for Acme");
    assert_eq!(browsers[first].get(&path).await.status, 303);
    browsers[first].get("/setup").await.expect(200, "Directory sync for Acme");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_opens_nothing_says_why_and_what_to_do() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let acme = organization(&api, "Acme").await;
    let mut browser = Browser::new(&server);
    for path in ["/setup/unknown", "/setup/%ff"] {
        browser.get(path).await.expect(404, "This link is not known");
    }
    browser.press("/setup/unknown").await.expect(404, "This link is not known");
    browser.get("/setup").await.expect(403, "You are not signed in");
    let path = link(&api, &acme).await;
    let links = api.get("/portal/links").await;
    assert_eq!(links["data"][0]["state"], "live");
    let id = links["data"][0]["id"].as_str().unwrap();
    browser.press(&path).await.expect(200, "Directory sync for Acme");
    assert_eq!(api.get("/portal/links").await["data"][0]["state"], "used");
    // Revoking ends the session as well.
    assert_eq!(api.send("DELETE", &format!("/portal/links/{id}"), None).await.0, 204);
    browser.get("/setup").await.expect(403, "You are not signed in");
    browser.get(&path).await.expect(410, "This link was revoked");
    let path = link(&api, &acme).await;
    // As if more than five minutes had passed.
    let store = rusqlite::Connection::open(data.path().join("data/store.db")).unwrap();
    store.busy_timeout(Duration::from_secs(30)).unwrap();
    store.execute("UPDATE portal_links SET expires_at = 1 WHERE used_at IS NULL", []).unwrap();
    browser.get(&path).await.expect(410, "This link has expired");
    browser.press(&path).await.expect(410, "https://app.example/settings");
    let path = link(&api, &acme).await;
    assert_eq!(api.send("DELETE", &format!("/organizations/{acme}"), None).await.0, 202);
    browser.press(&path).await.expect(404, "This link is not known");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_site_cannot_press_the_buttons() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let acme = organization(&api, "Acme").await;
    let directory = new_directory(&server, &acme, "Acme").await;
    let path = link(&api, &acme).await;
    let mut browser = Browser::new(&server);
    for headers in [
        [("sec-fetch-site", "cross-site")],
        [("origin", "https://evil.test")],
        [("origin", "null")],
    ] {
        browser.send("POST", &path, &headers).await.expect(403, "This did not come from here");
    }
    browser.press(&path).await.expect(200, "Directory sync for Acme");
    let tokens = format!("/setup/directories/{}/tokens", directory.id);
    let from_elsewhere = [("sec-fetch-site", "same-site"), ("origin", "https://evil.test")];
    browser.send("POST", &tokens, &from_elsewhere).await.expect(403, "This did not come from here");
    let tokens = api.get(&format!("/directories/{}/tokens", directory.id)).await;
    assert_eq!(tokens["data"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_load_nothing_from_elsewhere_and_are_kept_nowhere() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let acme = organization(&api, "Acme").await;
    let directory = new_directory(&server, &acme, "Acme").await;
    let own = format!("/setup/directories/{}", directory.id);
    let path = link(&api, &acme).await;
    let mut browser = Browser::new(&server);
    let opened = browser.send("POST", &path, &[]).await;
    let cookie = opened.headers["set-cookie"].to_str().unwrap().to_owned();
    for attribute in ["; Path=/setup;", "; HttpOnly", "; SameSite=Lax", "; Max-Age=28800"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "it is served over http: {cookie}");
    for path in [path.as_str(), "/setup", "/setup/new", own.as_str(), "/setup/unknown"] {
        let shown = browser.get(path).await;
        let header = |name: &str| shown.headers[name].to_str().unwrap().to_owned();
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("referrer-policy"), "same-origin");
        assert!(header("permissions-policy").contains("camera=(), "));
        if shown.status == 303 {
            continue;
        }
        for never in ["<style", " style=", " onclick", "src=\"http", "/console/"] {
            assert!(!shown.text.contains(never), "{never}: {}", shown.text);
        }
        let own = shown.text.matches("<script src=\"/setup/assets/").count();
        assert_eq!(shown.text.matches("<script").count(), own, "{}", shown.text);
    }
    let page = browser.get("/setup").await;
    let style = page.text.split("rel=\"stylesheet\" href=\"").nth(1).unwrap();
    browser.get(style.split('"').next().unwrap()).await.expect(200, "font");
    browser.get("/setup/assets/no-such.css").await.expect(404, "There is no such page");
    browser.get("/setup/no/such/page").await.expect(404, "There is no such page");
    browser.get("/setup/").await.expect(404, "Perhaps a part of the link was left out.");
    let log = std::fs::read_to_string(data.path().join("server.log")).unwrap();
    let token = path.strip_prefix("/setup/").unwrap();
    assert!(log.contains("/setup/***") && !log.contains(token));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_has_the_host_name_of_its_customer_and_is_not_known_at_others() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let (acme, rival) = (organization(&api, "Acme").await, organization(&api, "Rival").await);
    let directory = new_directory(&server, &acme, "Acme").await;
    for (name, owner) in [(ACME, &acme), (RIVAL, &rival)] {
        let host = json!({ "host_name": name, "organization_id": owner });
        api.create("/host_names", &host).await;
    }
    let made: Value = api.create("/portal/generate_link", &json!({ "organization": acme })).await;
    let made = made["link"].as_str().unwrap();
    let port = server.base().rsplit(':').next().unwrap();
    let path = made.strip_prefix(&format!("http://{ACME}:{port}")).unwrap();
    let mut browser = Browser::new(&server).at(RIVAL);
    browser.get(path).await.expect(404, "This link is not known");
    browser.press(path).await.expect(404, "This link is not known");
    let mut browser = browser.at(ACME);
    browser.get(path).await.expect(200, "Open the setup page");
    browser.press(path).await;
    let home = browser.get(&format!("/setup/directories/{}", directory.id)).await;
    let endpoint = directory.endpoint.replace(server.base(), &format!("http://{ACME}:{port}"));
    home.expect(200, &endpoint);
    browser.at(RIVAL).get("/setup").await.expect(403, "You are not signed in");
    let style = home.text.split("rel=\"stylesheet\" href=\"").nth(1).unwrap();
    browser.get(style.split('"').next().unwrap()).await.expect(200, "font");
    // Of the pages only these answer there.
    assert_eq!(browser.get("/console").await.status, 404);
}
