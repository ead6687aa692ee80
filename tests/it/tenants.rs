//! Two customers with the same people, under load: nobody ever sees, finds or changes anything of the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tests::scim::{patch_body, user_body};
use tests::{Directory, Scim, Server};
use tokio::task::JoinSet;

const WORKERS: usize = 64;
const ROUNDS: usize = 24;
const USERS: usize = 40;

/// How many resources have to be looked at for the result to say something.
const SEEN_MIN: usize = 20_000;

/// One customer: everything of its own is marked with its name, in the attribute that both share.
#[derive(Clone)]
struct Tenant {
    directory: Directory,
    mark: &'static str,
    users: Vec<String>,
    group: String,
    /// Where a list of this tenant's goes on.
    cursor: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tenants_with_the_same_names_see_no_row_of_each_other_under_load() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let acme = Arc::new(tenant(&server, "acme").await);
    let rival = Arc::new(tenant(&server, "rival").await);
    let seen = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let pair = if worker % 2 == 0 { (&acme, &rival) } else { (&rival, &acme) };
        let (own, other, seen) = (Arc::clone(pair.0), Arc::clone(pair.1), Arc::clone(&seen));
        workers.spawn(async move {
            for round in 0..ROUNDS {
                let rows = own.look_around(worker, round, &other).await;
                seen.fetch_add(rows, Ordering::Relaxed);
                own.reach_across(worker + round, &other).await;
            }
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker.unwrap();
    }
    let seen = seen.load(Ordering::Relaxed);
    assert!(seen >= SEEN_MIN, "only {seen} rows were looked at");
    for (tenant, other) in [(&acme, &rival), (&rival, &acme)] {
        let all = tenant.directory.send("GET", "/Users?count=1000", None).await.expect(200);
        assert_eq!(all.body["totalResults"], USERS, "nothing came and nothing went");
        tenant.check(&all.body);
        let members =
            tenant.directory.send("GET", &format!("/Groups/{}", tenant.group), None).await;
        for member in members.expect(200).body["members"].as_array().unwrap() {
            assert!(!other.users.iter().any(|id| member["value"] == **id));
        }
    }
}

async fn tenant(server: &Server, mark: &'static str) -> Tenant {
    let directory = server.api().directory("azure scim v2.0", mark).await;
    let mut users = Vec::new();
    for number in 0..USERS {
        let mut body = user_body(&format!("person{number}@same.example"));
        body["title"] = mark.into();
        users.push(directory.send("POST", "/Users", Some(body)).await.expect(201).id());
    }
    let group = directory.group("Everyone").await;
    let members: Vec<_> = users.iter().map(|id| json!({ "value": id })).collect();
    let add = json!([{ "op": "add", "path": "members", "value": members }]);
    directory.patch(&format!("/Groups/{group}"), add).await.expect(204);
    let page = directory.send("GET", "/Users?count=3&cursor", None).await.expect(200);
    let cursor = page.body["nextCursor"].as_str().unwrap().to_owned();
    Tenant { directory, mark, users, group, cursor }
}

impl Tenant {
    /// Reads and changes what is its own, in all ways that lists are read, and answers how many rows it saw.
    async fn look_around(&self, worker: usize, round: usize, other: &Self) -> usize {
        let number = (worker * 7 + round) % USERS;
        let (id, stranger) = (&self.users[number], &other.users[number]);
        let path = format!("/Users/{id}");
        let name =
            json!([{ "op": "replace", "path": "nickName", "value": format!("{worker}.{round}") }]);
        self.check(&self.directory.patch(&path, name).await.expect(200).body);
        let mut seen = 1;
        for (query, total) in [
            (format!("filter=userName eq \"person{number}@same.example\""), 1),
            (format!("filter=emails eq \"person{number}@same.example\""), 1),
            (format!("filter=externalId eq \"ext-person{number}@same.example\""), 1),
            (format!("filter=groups eq \"{}\"&count=5", self.group), USERS),
            ("filter=title pr&sortBy=userName&count=7".to_owned(), USERS),
            (format!("filter=title eq \"{}\"", other.mark), 0),
            (format!("filter=id eq \"{stranger}\""), 0),
            (format!("filter=groups eq \"{}\"", other.group), 0),
        ] {
            let path = format!("/Users?{}", query.replace(' ', "+").replace('"', "%22"));
            let list = self.directory.send("GET", &path, None).await.expect(200);
            assert_eq!(list.body["totalResults"], total, "{path}");
            seen += self.check(&list.body);
        }
        seen
    }

    /// Everything of this answer is its own. Answers how many users it shows.
    fn check(&self, body: &Value) -> usize {
        let users: Vec<_> = match body["Resources"].as_array() {
            Some(list) => list.iter().collect(),
            None if body.get("Resources").is_none() && body.get("totalResults").is_none() => {
                vec![body]
            }
            None => Vec::new(),
        };
        for user in &users {
            assert_eq!(user["title"], self.mark, "{user}");
            assert!(self.users.iter().any(|id| user["id"] == **id), "{user}");
            for group in user["groups"].as_array().into_iter().flatten() {
                assert_eq!(group["value"], self.group, "{user}");
            }
        }
        users.len()
    }

    /// Tries to reach what is the other's, in one of all the ways there are.
    async fn reach_across(&self, way: usize, other: &Self) {
        let stranger = &other.users[way % USERS];
        let user = format!("/Users/{stranger}");
        let group = format!("/Groups/{}", other.group);
        let own = format!("/Groups/{}", self.group);
        let title = json!([{ "op": "replace", "path": "title", "value": self.mark }]);
        let member =
            |id: &str| json!([{ "op": "add", "path": "members", "value": [{ "value": id }] }]);
        let gone = |answer: Scim| answer.expect_error(404, None);
        match way % 9 {
            0 => gone(self.directory.send("GET", &user, None).await),
            1 => gone(self.directory.patch(&user, title).await),
            2 => gone(self.directory.send("PUT", &user, Some(user_body("x@same.example"))).await),
            3 => gone(self.directory.send("DELETE", &user, None).await),
            4 => gone(self.directory.send("GET", &group, None).await),
            5 => gone(self.directory.patch(&group, member(&self.users[0])).await),
            6 => {
                let refused = self.directory.patch(&own, member(stranger)).await;
                refused.expect_error(400, Some("invalidValue"));
            }
            7 => {
                let operations = json!([{ "method": "PATCH", "path": user, "data": patch_body(&title) },
                    { "method": "DELETE", "path": group }]);
                let body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
                    "Operations": operations });
                let answer = self.directory.send("POST", "/Bulk", Some(body)).await.expect(200);
                for one in answer.body["Operations"].as_array().unwrap() {
                    assert_eq!(one["status"], "404", "{}", answer.body);
                }
            }
            _ => {
                let path = format!("/Users?count=3&cursor={}", other.cursor);
                let page = self.directory.send("GET", &path, None).await;
                if page.status == 200 {
                    self.check(&page.body);
                } else {
                    page.expect_error(400, Some("invalidCursor"));
                }
            }
        }
    }
}
