//! The setup page, as the browser of an administrator meets it.

use reqwest::redirect::Policy;
use serde_json::{Value, json};
use tests::{Api, Directory, Server};

const ACME: &str = "scim.acme.test";
const RIVAL: &str = "scim.rival.test";

/// A browser without scripts: it keeps the cookies of one site, and goes where it is told.
struct Browser {
    http: reqwest::Client,
    base: String,
    host: String,
    cookie: Option<String>,
}

/// A page.
struct Shown {
    status: u16,
    headers: reqwest::header::HeaderMap,
    text: String,
}

impl Browser {
    fn new(server: &Server) -> Self {
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
        let url = format!("{}{path}", self.base);
        let mut request = self.http.request(method.parse().unwrap(), url);
        request = request.header("host", &self.host);
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", format!("other=1; {cookie}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        if let Some(set) = headers.get("set-cookie") {
            let set = set.to_str().unwrap();
            self.cookie = set.split(';').next().map(str::to_owned);
        }
        Shown { status, headers, text: answer.text().await.unwrap() }
    }

    async fn get(&mut self, path: &str) -> Shown {
        self.send("GET", path, &[]).await
    }

    /// Presses a button of one of our pages.
    async fn press(&mut self, path: &str) -> Shown {
        let shown = self.send("POST", path, &[("sec-fetch-site", "same-origin")]).await;
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

    /// Where the form leads that has this button.
    fn form(&self, button: &str) -> String {
        let before = self.text.split(button).next().unwrap();
        let action = before.rsplit("action=\"").next().unwrap();
        action.split('"').next().unwrap().to_owned()
    }

    /// What stands in the last `code` before these words.
    fn code_before(&self, words: &str) -> String {
        let before = self.text.split(words).next().unwrap();
        let code = before.rsplit("<code>").next().unwrap();
        code.split('<').next().unwrap().to_owned()
    }
}

async fn organization(api: &Api, name: &str) -> String {
    let made = api.create("/organizations", &json!({ "name": name })).await;
    made["id"].as_str().unwrap().to_owned()
}

/// Makes a link and answers its path.
async fn link(api: &Api, organization: &str) -> String {
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
    let foreign = api.directory("okta scim v2.0", "Rival").await;
    let path = link(&api, &acme).await;
    let mut browser = Browser::new(&server);

    // Whoever follows links ahead of people, as mail filters do, uses nothing up.
    for method in ["GET", "HEAD", "GET"] {
        assert_eq!(browser.send(method, &path, &[]).await.status, 200);
    }
    browser.get(&path).await.expect(200, "Open the setup page");
    let home = browser.press(&path).await;
    home.expect(200, "Directory sync for Acme &lt;script&gt;");
    home.expect(200, &directory.endpoint);
    home.expect(200, "Waiting for the first request");
    home.expect(200, "https://app.example/settings?a=1&amp;b=2");
    assert!(!home.text.contains(&foreign.endpoint) && !home.text.contains("<script"));

    let made = browser.press(&home.form("Make a bearer token")).await;
    made.expect(201, "It is not shown again");
    let token = made.code_before("It is not shown again");
    directory.with_token(&token).send("GET", "/Users", None).await.expect(200);
    let home = browser.get("/setup").await;
    home.expect(200, "Two tokens are live");
    assert!(!home.text.contains(&token));
    home.expect(200, "Connected");
    let third = format!("/setup/directories/{}/tokens", directory.id);
    browser.press(&third).await.expect(409, "There are two tokens already");
    let suffix = &token[token.len() - 4..];
    let home = browser.press(&home.form(&format!("Revoke {suffix}"))).await;
    home.expect(200, "Make a bearer token");
    directory.with_token(&token).send("GET", "/Users", None).await.expect(401);
    let told = api.events("dsync.token.created,dsync.token.revoked").await;
    let own = told.iter().filter(|event| event["data"]["directory_id"] == *directory.id);
    assert_eq!(own.count(), 3, "the history tells of what an administrator did");

    // What is of others is not there.
    let path = format!("/setup/directories/{}/tokens", foreign.id);
    browser.press(&path).await.expect(404, "There is no such directory");
    let tokens = api.get(&format!("/directories/{}/tokens", foreign.id)).await;
    let path = format!("{path}/{}/revoke", tokens["data"][0]["id"].as_str().unwrap());
    browser.press(&path).await;
    foreign.send("GET", "/Users", None).await.expect(200);
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
    browser.get("/setup/unknown").await.expect(404, "This link is not known");
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
async fn the_page_runs_nothing_loads_nothing_from_elsewhere_and_is_kept_nowhere() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let acme = organization(&api, "Acme").await;
    new_directory(&server, &acme, "Acme").await;
    let path = link(&api, &acme).await;
    let mut browser = Browser::new(&server);
    let opened = browser.send("POST", &path, &[]).await;
    let cookie = opened.headers["set-cookie"].to_str().unwrap().to_owned();
    for attribute in ["; Path=/setup;", "; HttpOnly", "; SameSite=Lax", "; Max-Age=28800"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "it is served over http: {cookie}");
    for path in [path.as_str(), "/setup", "/setup/unknown"] {
        let shown = browser.get(path).await;
        let header = |name: &str| shown.headers[name].to_str().unwrap().to_owned();
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'self'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("referrer-policy"), "same-origin");
        if shown.status == 303 {
            continue;
        }
        for never in ["<script", "<style", " style=", " onclick"] {
            assert!(!shown.text.contains(never), "{never}: {}", shown.text);
        }
        assert!(shown.text.contains("href=\"/setup/style.css\""), "{}", shown.text);
    }
    browser.get("/setup/style.css").await.expect(200, "font");
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
    let home = browser.press(path).await;
    let endpoint = directory.endpoint.replace(server.base(), &format!("http://{ACME}:{port}"));
    home.expect(200, &endpoint);
    browser.at(RIVAL).get("/setup").await.expect(403, "You are not signed in");
    // Of the pages only this one answers there.
    assert_eq!(browser.get("/console").await.status, 404);
}
