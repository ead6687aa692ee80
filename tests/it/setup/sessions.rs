//! Links and sessions: whom they let in, to what, and for how long.

use std::time::Duration;

use serde_json::{Value, json};
use tests::Server;

use super::{Browser, link, new_directory, organization, served};

const ACME: &str = "scim.acme.test";
const RIVAL: &str = "scim.rival.test";

#[tokio::test(flavor = "multi_thread")]
async fn a_session_reaches_nothing_of_another_organization() {
    let (_data, server, acme, directory) = served().await;
    let api = server.api();
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
async fn a_form_counts_that_a_page_of_this_session_made() {
    let (_data, server, acme, directory) = served().await;
    let api = server.api();
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
    let (_data, server, acme, directory) = served().await;
    let api = server.api();
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
    let (data, server, acme, directory) = served().await;
    let api = server.api();
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
