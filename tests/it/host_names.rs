//! Customers who are reached under host names of their own.

use serde_json::{Value, json};
use tests::scim::user_body;
use tests::server::http_client;
use tests::{Api, Directory, Scim, Server};

const ACME: &str = "scim.acme.test";
const PEOPLE: &str = "people.acme.test";
const RIVAL: &str = "scim.rival.test";

/// Two customers. Acme has two directories and a host name for both, and one of them has one of its own as well.
struct World {
    server: Server,
    acme: String,
    people: Directory,
    robots: Directory,
    rival: Directory,
    _data: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let server = Server::start(data.path());
        let api = server.api();
        let acme = api.create("/organizations", &json!({ "name": "Acme" })).await;
        let acme = acme["id"].as_str().unwrap().to_owned();
        let [people, robots] = ["People", "Robots"].map(
            |name| json!({ "organization_id": acme, "type": "azure scim v2.0", "name": name }),
        );
        let people = Directory::new(&api.create("/directories", &people).await, server.base());
        let robots = Directory::new(&api.create("/directories", &robots).await, server.base());
        let rival = api.directory("okta scim v2.0", "Rival").await;
        let world = Self { server, acme, people, robots, rival, _data: data };
        world.add(ACME, json!({ "organization_id": world.acme })).await;
        world.add(PEOPLE, json!({ "directory_id": world.people.id })).await;
        world.add(RIVAL, json!({ "directory_id": world.rival.id })).await;
        world
    }

    fn api(&self) -> Api {
        self.server.api()
    }

    async fn add(&self, name: &str, mut owner: Value) -> String {
        owner["host_name"] = json!(name);
        let added = self.api().create("/host_names", &owner).await;
        added["id"].as_str().unwrap().to_owned()
    }

    /// The SCIM endpoint that is shown for a directory.
    async fn shown(&self, directory: &Directory) -> String {
        let shown = self.api().get(&format!("/directories/{}", directory.id)).await;
        shown["scim"]["endpoint"].as_str().unwrap().to_owned()
    }

    /// Where a directory is under this host name.
    fn at(&self, host: &str, directory: &Directory) -> String {
        let (_, port) = self.server.base().rsplit_once(':').unwrap();
        let path = &directory.endpoint[self.server.base().len()..];
        format!("http://{host}:{port}{path}")
    }
}

async fn read(directory: &Directory, host: &str) -> Scim {
    directory.send_with(("host", host), "GET", "/Users", None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_shows_the_name_of_its_own_or_else_that_of_its_organization() {
    let world = World::new().await;
    assert_eq!(world.shown(&world.people).await, world.at(PEOPLE, &world.people));
    assert_eq!(world.shown(&world.robots).await, world.at(ACME, &world.robots));
    let new = json!({ "organization_id": world.acme, "type": "okta scim v2.0", "name": "New" });
    let created = world.api().create("/directories", &new).await;
    let prefix = world.at(ACME, &world.robots).split("/scim/").next().unwrap().to_owned();
    assert!(created["scim"]["endpoint"].as_str().unwrap().starts_with(&prefix), "{created}");
    let list = world.api().get("/directories?search=People").await;
    assert_eq!(list["data"][0]["scim"]["endpoint"], world.at(PEOPLE, &world.people));
    let client = world.api().get(&format!("/directories/{}/oauth_client", world.robots.id)).await;
    assert_eq!(client["token_endpoint"], format!("{prefix}/scim/oauth/token"));

    // The one that was added last is shown, and the one before still leads there.
    let newer = world.add("scim2.acme.test", json!({ "organization_id": world.acme })).await;
    assert_eq!(world.shown(&world.robots).await, world.at("scim2.acme.test", &world.robots));
    read(&world.robots, ACME).await.expect(200);
    let path = format!("/host_names/{newer}");
    assert_eq!(world.api().send("DELETE", &path, None).await.0, 204);
    assert_eq!(world.shown(&world.robots).await, world.at(ACME, &world.robots));
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_in_scim_answers_has_the_address_of_the_directory() {
    let world = World::new().await;
    let (people, home) = (&world.people, world.at(PEOPLE, &world.people));
    let via = ("host", PEOPLE);
    let created = people.send_with(via, "POST", "/Users", Some(user_body("adele@acme.test"))).await;
    let created = created.expect(201);
    let location = format!("{home}/Users/{}", created.id());
    assert_eq!(created.location.as_deref(), Some(location.as_str()));
    assert_eq!(created.body["meta"]["location"], location);
    let group = people.group("Everyone").await;
    let add = json!([{ "op": "add", "path": "members", "value": [{ "value": created.id() }] }]);
    people.patch(&format!("/Groups/{group}"), add).await.expect(204);
    // The same, whatever way leads there.
    for host in [PEOPLE, ACME, "127.0.0.1"] {
        let get = |path: String| async move {
            people.send_with(("host", host), "GET", &path, None).await
        };
        let group = get(format!("/Groups/{group}")).await.expect(200);
        assert_eq!(group.body["members"][0]["$ref"], location, "{host}");
        let filter = format!("/Users?filter=meta.location+eq+%22{location}%22");
        assert_eq!(get(filter).await.expect(200).body["totalResults"], 1, "{host}");
        let types = get("/ResourceTypes".to_owned()).await.expect(200);
        let place = types.body["Resources"][0]["meta"]["location"].as_str().unwrap().to_owned();
        assert!(place.starts_with(&home), "{place}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_not_found_under_the_host_name_of_another() {
    let world = World::new().await;
    // Directory and host name, and whether one leads to the other.
    for (directory, host, leads) in [
        (&world.people, PEOPLE, true),
        (&world.people, ACME, true),
        (&world.people, RIVAL, false),
        (&world.robots, PEOPLE, false),
        (&world.robots, ACME, true),
        (&world.robots, RIVAL, false),
        (&world.rival, ACME, false),
        (&world.rival, PEOPLE, false),
        (&world.rival, RIVAL, true),
        (&world.rival, "SCIM.RIVAL.TEST.:8443", true),
        (&world.people, "Scim.Rival.test:443", false),
        // Whoever has not moved yet, and whoever comes from inside.
        (&world.people, "127.0.0.1", true),
        (&world.people, "localhost:8080", true),
        (&world.people, "nobody.test", true),
        (&world.rival, "nobody.test", true),
    ] {
        let answer = read(directory, host).await;
        if leads {
            answer.expect(200);
            continue;
        }
        answer.expect_error(404, None);
        let body = user_body("mallory@acme.test");
        let written = directory.send_with(("host", host), "POST", "/Users", Some(body)).await;
        written.expect_error(404, None);
        assert!(!written.body.to_string().contains(host), "{}", written.body);
    }
    for directory in [&world.people, &world.robots, &world.rival] {
        let all = read(directory, "127.0.0.1").await.expect(200);
        assert_eq!(all.body["totalResults"], 0, "nothing came in through the wrong door");
    }
    let requests = world.api().get(&format!("/directories/{}/requests", world.rival.id)).await;
    let told = requests["data"].to_string();
    assert!(!told.contains(ACME) && !told.contains(PEOPLE), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wrong_door_does_not_activate_a_directory_and_is_in_its_request_log() {
    let world = World::new().await;
    read(&world.robots, RIVAL).await.expect_error(404, None);
    let path = format!("/directories/{}", world.robots.id);
    assert_eq!(world.api().get(&path).await["state"], "unlinked");
    let noted = tests::server::eventually("the note of the request", || async {
        let noted = world.api().get(&format!("{path}/requests")).await;
        Some(noted["data"][0].clone()).filter(Value::is_object)
    })
    .await;
    assert_eq!(noted["status"], 404);
    assert!(noted["detail"].as_str().unwrap().contains("host name"), "{noted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_right_token_a_host_name_tells_nothing_of_what_is_behind_it() {
    let world = World::new().await;
    let nowhere = world.people.endpoint.rsplit_once('/').unwrap().0.to_owned() + "/nowhere";
    let mut answers = Vec::new();
    for host in [ACME, PEOPLE, RIVAL, "127.0.0.1", "nobody.test"] {
        for directory in [
            world.people.with_token("wrong"),
            world.robots.with_token("wrong"),
            world.rival.with_token(&world.people.token),
            world.people.with_endpoint(nowhere.clone()),
            world.rival.with_endpoint(nowhere.clone()),
        ] {
            let answer = read(&directory, host).await;
            answer.expect_error(401, None);
            answers.push(answer.body);
        }
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_and_its_making_keep_to_the_host_names_too() {
    let world = World::new().await;
    let secrets = format!("/directories/{}/oauth_client/secrets", world.robots.id);
    let secret = world.api().create(&secrets, &json!({})).await;
    let text = |name: &str| secret[name].as_str().unwrap().to_owned();
    let ask = |host: &'static str| {
        let url = format!("{}/scim/oauth/token", world.server.base());
        let request = http_client().post(url).header("host", host);
        let request = request.basic_auth(text("client_id"), Some(text("client_secret")));
        let form = "application/x-www-form-urlencoded";
        request.header("content-type", form).body("grant_type=client_credentials").send()
    };
    let refused = ask(RIVAL).await.unwrap();
    assert_eq!(refused.status(), 401);
    let issued: Value = ask(ACME).await.unwrap().json().await.unwrap();
    let robots = world.robots.with_token(issued["access_token"].as_str().unwrap());
    read(&robots, ACME).await.expect(200);
    read(&robots, RIVAL).await.expect_error(404, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_and_the_pages_do_not_answer_under_the_names_of_customers() {
    let world = World::new().await;
    let ask = async |host: &str, path: &str| {
        let request = http_client().get(format!("{}{path}", world.server.base()));
        let request = request.header("host", host).bearer_auth(tests::server::API_KEY);
        request.send().await.unwrap()
    };
    for path in ["/directories", "/openapi.json", "/docs", "/console", "/metrics", "/healthz", "/x"]
    {
        for host in [ACME, PEOPLE, "Scim.Acme.Test:443"] {
            let answer = ask(host, path).await;
            assert_eq!(answer.status(), 404, "{host}{path}");
            assert!(answer.headers().contains_key("x-request-id"));
            assert_eq!(answer.json::<Value>().await.unwrap()["code"], "not_found");
        }
        let status = ask("nobody.test", path).await.status();
        assert_eq!(status, if path == "/x" { 404 } else { 200 }, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_name_is_read_in_any_spelling_and_belongs_to_one() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let organization = api.create("/organizations", &json!({ "name": "Acme" })).await;
    let organization = &organization["id"];
    let add = async |name: Value| {
        let body = json!({ "host_name": name, "organization_id": organization });
        api.send("POST", "/host_names", Some(&body)).await
    };
    for (given, kept) in [
        ("Scim.Acme.Test.", "scim.acme.test"),
        (" bücher.example ", "xn--bcher-kva.example"),
        ("ＳＣＩＭ。acme.example", "scim.acme.example"),
    ] {
        let (status, added) = add(json!(given)).await;
        assert_eq!((status, &added["host_name"]), (201, &json!(kept)), "{added}");
        assert_eq!(added["directory_id"], Value::Null);
    }
    let (status, taken) = add(json!("SCIM.acme.test")).await;
    assert_eq!((status, &taken["code"]), (409, &json!("duplicate_host_name")));
    for wrong in [
        json!("localhost"),
        json!("10.0.0.1"),
        json!("[::1]"),
        json!("a.test:443"),
        json!("https://a.test"),
        json!("a.test/x"),
        json!("*.acme.test"),
        json!("a_b.test"),
        json!(""),
        json!(7),
        Value::Null,
        json!("0x7f.1"),
        json!(format!("{}.test", "a".repeat(64))),
    ] {
        let (status, answer) = add(wrong.clone()).await;
        assert_eq!(status, 422, "{wrong}: {answer}");
        assert_eq!(answer["errors"][0]["field"], "host_name", "{wrong}: {answer}");
    }
    let neither = json!({ "host_name": "b.test" });
    let directory =
        json!({ "organization_id": organization, "type": "okta scim v2.0", "name": "N" });
    let directory = api.create("/directories", &directory).await;
    let endpoint = directory["scim"]["endpoint"].as_str().unwrap();
    assert!(endpoint.starts_with("http://scim.acme.example:"), "{endpoint}");
    let both = json!({ "host_name": "b.test", "organization_id": organization, "directory_id": directory["id"] });
    for body in [neither, both] {
        let (status, answer) = api.send("POST", "/host_names", Some(&body)).await;
        assert_eq!((status, &answer["errors"][0]["field"]), (422, &json!("organization_id")));
    }
    for number in 3..10 {
        assert_eq!(add(json!(format!("n{number}.test"))).await.0, 201);
    }
    let (status, full) = add(json!("n10.test")).await;
    assert_eq!((status, &full["code"]), (409, &json!("too_many_host_names")));
    let own = json!({ "host_name": "n10.test", "directory_id": directory["id"] });
    assert_eq!(
        api.send("POST", "/host_names", Some(&own)).await.0,
        201,
        "each has room of its own"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_free_again_when_their_owner_is_gone_and_outlive_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let directory = api.directory("okta scim v2.0", "Acme").await;
    let shown = api.get(&format!("/directories/{}", directory.id)).await;
    let (own, organization) = (
        json!({ "host_name": PEOPLE, "directory_id": directory.id }),
        json!({ "host_name": ACME, "organization_id": shown["organization_id"] }),
    );
    api.create("/host_names", &own).await;
    api.create("/host_names", &organization).await;
    server.terminate();
    let server = Server::start(data.path());
    let api = server.api();
    let of = format!("/host_names?directory={}", directory.id);
    assert_eq!(api.get(&of).await["data"][0]["host_name"], PEOPLE);
    assert_eq!(api.send("POST", "/host_names", Some(&own)).await.0, 409);
    assert_eq!(api.send("DELETE", &format!("/directories/{}", directory.id), None).await.0, 202);
    assert_eq!(api.send("POST", "/host_names", Some(&own)).await.0, 404, "its owner is gone");
    let other = api.create("/organizations", &json!({ "name": "Other" })).await;
    api.create("/host_names", &json!({ "host_name": PEOPLE, "organization_id": other["id"] }))
        .await;
    let path = format!("/organizations/{}", shown["organization_id"].as_str().unwrap());
    assert_eq!(api.send("DELETE", &path, None).await.0, 202);
    api.create("/host_names", &json!({ "host_name": ACME, "organization_id": other["id"] })).await;
    assert_eq!(api.get("/host_names").await["data"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limited_key_sees_and_removes_its_own_and_adds_none() {
    let world = World::new().await;
    let key = json!({ "name": "acme", "scope": "full", "organization_id": world.acme });
    let key = world.api().create("/api_keys", &key).await;
    let limited = world.api().with_key(key["key"].as_str().unwrap());
    let seen = limited.get("/host_names").await;
    let names: Vec<&Value> =
        seen["data"].as_array().unwrap().iter().map(|one| &one["host_name"]).collect();
    assert_eq!(names, [PEOPLE, ACME]);
    let all = world.api().get("/host_names").await;
    let foreign = format!("/host_names/{}", all["data"][0]["id"].as_str().unwrap());
    assert_eq!(all["data"][0]["host_name"], RIVAL);
    assert_eq!(limited.send("GET", &foreign, None).await.0, 404);
    assert_eq!(limited.send("DELETE", &foreign, None).await.0, 404);
    let body = json!({ "host_name": "new.acme.test", "organization_id": world.acme });
    assert_eq!(limited.send("POST", "/host_names", Some(&body)).await.0, 403);
    let own = format!("/host_names/{}", seen["data"][0]["id"].as_str().unwrap());
    assert_eq!(limited.send("DELETE", &own, None).await.0, 204);
    assert_eq!(world.shown(&world.people).await, world.at(ACME, &world.people));
}
