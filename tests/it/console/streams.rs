//! Lists of events: how far back a page looks, and what its stream says.

use super::*;

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
