//! Much of a directory is removed at once: what would tell apps of it is held until somebody says that it
//! may go out.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use tests::server::eventually;
use tests::{Delivery, Directory, Receiver, Server};

use super::world::{QUICK, deactivate, in_order, member, sample_is_like, title, users};

const USERS: usize = 100;

/// A fifth of them.
const PASSING: usize = 20;

/// A directory whose apps are told everything so far.
struct Company {
    server: Server,
    directory: Directory,
    people: Vec<String>,
    app: Receiver,
    operator: Receiver,
}

impl Company {
    async fn new(data: &Path, endpoint: Value) -> Self {
        let server = Server::start_with(data, &[QUICK]);
        let api = server.api();
        let directory = api.directory("okta scim v2.0", "Acme").await;
        let (app, operator) = (Receiver::start().await, Receiver::start().await);
        api.endpoint_with(app.url(), endpoint).await;
        api.endpoint_with(operator.url(), json!({ "kind": "operational" })).await;
        let people = users(&directory, "b", USERS).await;
        let brake = json!({ "brake": { "share": 0.2, "window_seconds": 3_600, "floor": 10 } });
        let path = format!("/directories/{}", directory.id);
        let (status, body) = api.send("PATCH", &path, Some(&brake)).await;
        assert_eq!(
            (status, &body["brake"]["share"], &body["hold"]),
            (200, &json!(0.2), &json!(null))
        );
        Self { server, directory, people, app, operator }
    }

    async fn hold(&self) -> Value {
        let path = format!("/directories/{}", self.directory.id);
        self.server.api().get(&path).await["hold"].clone()
    }

    /// Half of them are deactivated; the first fifth is told.
    async fn half_is_deactivated(&self) {
        for user in &self.people[..USERS / 2] {
            deactivate(&self.directory, user).await;
        }
        let told = self.operator.wait_for(1).await;
        assert_eq!(told[0].kind(), "directory.held");
        let data = &told[0].event["data"];
        assert_eq!(
            (&data["object"], &data["id"]),
            (&json!("directory"), &json!(self.directory.id))
        );
        assert_eq!((&data["users_removed"], &data["users"]), (&json!(21), &json!(100)));
        eventually("that all of them are held", || async {
            (self.hold().await["events"] == 30).then_some(())
        })
        .await;
        let hold = self.hold().await;
        assert_eq!((&hold["state"], &hold["users_removed"]), (&json!("held"), &json!(50)));
    }

    /// Changes of others arrive, and those of these users do not.
    async fn others_flow_on(&self, word: &str) {
        for number in [30, 60, 40, 70, 80] {
            title(&self.directory, &self.people[number], word).await;
        }
        eventually("the titles of others", || async {
            let told = self.titles(word);
            (told >= 3).then_some(())
        })
        .await;
        assert_eq!(self.titles(word), 3, "what stands behind a deactivation waits with it");
        assert_eq!(self.deactivated().len(), PASSING);
    }

    fn titles(&self, word: &str) -> usize {
        let has = |delivery: &&Delivery| delivery.event["data"]["job_title"] == word;
        let arrived = self.app.arrived();
        let ids: BTreeSet<&str> = arrived.iter().filter(has).map(Delivery::id).collect();
        ids.len()
    }

    /// Who is told to be inactive.
    fn deactivated(&self) -> BTreeSet<String> {
        let arrived = self.app.arrived();
        let inactive =
            arrived.iter().filter(|delivery| delivery.event["data"]["state"] == "inactive");
        inactive.map(|delivery| delivery.event["data"]["id"].as_str().unwrap().to_owned()).collect()
    }

    async fn release(&self) {
        let path = format!("/directories/{}/release", self.directory.id);
        let (status, body) = self.server.api().send("POST", &path, None).await;
        assert_eq!((status, &body["hold"]["state"]), (200, &json!("releasing")));
    }

    fn started_again(self, data: &Path, end: impl FnOnce(Server)) -> Self {
        let Self { server, directory, people, app, operator } = self;
        end(server);
        let server = Server::start_with(data, &[QUICK]);
        let directory = directory.at(server.base());
        Self { server, directory, people, app, operator }
    }
}

fn ids(deliveries: &[Delivery]) -> BTreeSet<&str> {
    deliveries.iter().map(Delivery::id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fifth_goes_out_and_the_rest_waits_through_a_crash_for_its_release() {
    let data = tempfile::tempdir().unwrap();
    let company = Company::new(data.path(), json!({})).await;
    let other = company.server.api().directory("okta scim v2.0", "Rival").await;
    company.half_is_deactivated().await;
    company.others_flow_on("Before").await;
    users(&other, "r", 5).await;
    company.app.wait_for_events(1 + USERS + PASSING + 3 + 6).await;

    let company = company.started_again(data.path(), Server::kill);
    company.others_flow_on("After").await;
    assert_eq!(company.hold().await["state"], "held");
    let other = other.at(company.server.base());
    for user in users(&other, "s", 30).await {
        deactivate(&other, &user).await;
    }
    let before = 1 + USERS + PASSING + 3 + 6 + 3 + 60;
    company.app.wait_for_events(before).await;

    company.release().await;
    // 30 deactivations, and two titles of those people twice.
    let taken = company.app.wait_for_events(before + 30 + 4).await;
    in_order(&taken);
    assert_eq!(company.deactivated().len(), USERS / 2 + 30);
    let told = company.operator.wait_for(2).await;
    assert_eq!(told[1].kind(), "directory.released");
    assert_eq!(told[1].event["data"]["events"], 34);
    eventually("that nothing is held any more", || async {
        company.hold().await.is_null().then_some(())
    })
    .await;
    let path = format!("/directories/{}/release", company.directory.id);
    let (status, body) = company.server.api().send("POST", &path, None).await;
    assert_eq!((status, &body["code"]), (409, &json!("directory_not_held")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_held_stays_so_and_nothing_is_sent_twice_when_the_server_ends_in_peace() {
    let data = tempfile::tempdir().unwrap();
    let mut company = Company::new(data.path(), json!({})).await;
    company.half_is_deactivated().await;
    for round in ["One", "Two", "Three"] {
        company.others_flow_on(round).await;
        company =
            company.started_again(data.path(), |server| assert!(server.terminate().success()));
        assert_eq!(company.hold().await["state"], "held");
    }
    // An app that comes later and wants everything is not told either, and what it is told is the same.
    let late = Receiver::start().await;
    let fields = json!({ "start": "beginning" });
    company.server.api().endpoint_with(late.url(), fields).await;
    let expected = 1 + USERS + PASSING + 9;
    late.wait_for_events(expected).await;
    company.others_flow_on("Four").await;
    late.wait_for_events(expected + 3).await;
    company.release().await;
    company.app.wait_for_events(expected + 3 + 30 + 8).await;
    late.wait_for_events(expected + 3 + 30 + 8).await;
    let Company { server, app, .. } = company;
    assert!(server.terminate().success());
    for receiver in [&app, &late] {
        let arrived = receiver.arrived();
        in_order(&arrived);
        assert_eq!((arrived.len(), ids(&arrived).len()), (expected + 41, expected + 41));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_wants_one_after_the_other_waits_as_a_whole_for_that_directory() {
    let data = tempfile::tempdir().unwrap();
    let company = Company::new(data.path(), json!({ "order": "directory" })).await;
    company.half_is_deactivated().await;
    let other = company.server.api().directory("okta scim v2.0", "Rival").await;
    title(&company.directory, &company.people[80], "Waits").await;
    users(&other, "r", 5).await;
    let before = 1 + USERS + PASSING + 6;
    company.app.wait_for_events(before).await;
    assert_eq!(company.titles("Waits"), 0);
    company.release().await;
    let taken = company.app.wait_for_events(before + 30 + 1).await;
    in_order(&taken);
    let last = taken.last().unwrap();
    assert_eq!(last.event["data"]["job_title"], "Waits");
}

#[tokio::test(flavor = "multi_thread")]
async fn memberships_count_with_their_group_and_who_deletes_the_directory_releases_it() {
    let data = tempfile::tempdir().unwrap();
    let company = Company::new(data.path(), json!({})).await;
    let group = company.directory.group("Everybody").await;
    for user in &company.people[..40] {
        member(&company.directory, &group, "add", user).await;
    }
    company.directory.send("DELETE", &format!("/Groups/{group}"), None).await.expect(204);
    let told = company.operator.wait_for(1).await;
    let data = &told[0].event["data"];
    assert_eq!((&data["memberships_removed"], &data["memberships"]), (&json!(40), &json!(40)));
    assert_eq!(data["users_removed"], 0);
    title(&company.directory, &company.people[3], "Flows").await;
    let before = 1 + USERS + 1 + 40 + 1;
    company.app.wait_for_events(before).await;
    let path = format!("/directories/{}", company.directory.id);
    assert_eq!(company.server.api().send("DELETE", &path, None).await.0, 202);
    let taken = company.app.wait_for_events(before + 2).await;
    // Nothing but its own group stands before the end of a group, so they come in any order.
    let last: BTreeSet<&str> = taken[before..].iter().map(Delivery::kind).collect();
    assert_eq!(last, BTreeSet::from(["dsync.group.deleted", "dsync.deleted"]));
    let told = company.operator.wait_for(2).await;
    assert_eq!(told[1].kind(), "directory.released");
    for delivery in &told {
        sample_is_like(&company.server.api(), delivery).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_settings_give_a_brake_and_a_directory_may_have_another_or_none() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &[("DSYNC_BRAKE", "50%,2h,5")]);
    let api = server.api();
    let directory = api.directory("okta scim v2.0", "Acme").await;
    let path = format!("/directories/{}", directory.id);
    let general = json!({ "share": 0.5, "window_seconds": 7_200, "floor": 5 });
    assert_eq!(api.get(&path).await["brake"], general);
    let own = json!({ "share": 0.1, "window_seconds": 3_600, "floor": 10 });
    for (set, shown) in [
        (json!("off"), json!(null)),
        (json!({ "share": 0.1 }), own),
        (json!(null), general.clone()),
    ] {
        let change = json!({ "brake": set });
        let (status, body) = api.send("PATCH", &path, Some(&change)).await;
        assert_eq!((status, &body["brake"]), (200, &shown));
    }
    for wrong in [
        json!("on"),
        json!(0.2),
        json!({}),
        json!({ "share": 0 }),
        json!({ "share": 1.5 }),
        json!({ "share": 0.2, "window_seconds": 0 }),
        json!({ "share": 0.2, "window_seconds": 604_801 }),
        json!({ "share": 0.2, "floor": -1 }),
        json!({ "share": 0.2, "window": 3 }),
    ] {
        let (status, body) = api.send("PATCH", &path, Some(&json!({ "brake": wrong }))).await;
        assert_eq!((status, &body["errors"][0]["field"]), (422, &json!("brake")), "{wrong}");
    }
    assert_eq!(api.get(&path).await["brake"], general);
}
