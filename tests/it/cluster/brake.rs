//! Two dispatchers, and a directory of which too much is removed at once: both judge, and one decides.

use serde_json::{Value, json};
use tests::server::eventually;
use tests::{Delivery, Receiver};

use super::processes::{Cluster, Process};
use crate::delivery::world::{deactivate, in_order, title, users};

const USERS: usize = 60;

/// A fifth of them may go.
const PASSING: usize = 12;

const REMOVED: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn of_two_dispatchers_one_holds_and_tells_and_what_was_held_goes_out_in_order() {
    let Some(cluster) = Cluster::new().await else { return };
    let api = cluster.start("api,ingest");
    let _projector = cluster.start("projector");
    let client = api.server.api();
    let directory = client.directory("okta scim v2.0", "Acme").await;
    let (operator, apps) =
        (Receiver::start().await, [Receiver::start().await, Receiver::start().await]);
    client.endpoint_with(operator.url(), json!({ "kind": "operational" })).await;
    // Enough of them that each dispatcher has some.
    for (number, app) in apps.iter().enumerate() {
        let order = ["resource", "directory"][number];
        client.endpoint_with(app.url(), json!({ "order": order })).await;
    }
    let people = users(&directory, "c", USERS).await;
    let path = format!("/directories/{}", directory.id);
    let brake = json!({ "brake": { "share": 0.2, "window_seconds": 3_600, "floor": 10 } });
    assert_eq!(client.send("PATCH", &path, Some(&brake)).await.0, 200);
    // A brake that is on when they start holds from the first event that either of them sees.
    let dispatchers = [cluster.start("dispatcher"), cluster.start("dispatcher")];
    both_judge(&dispatchers).await;

    for user in &people[..REMOVED] {
        deactivate(&directory, user).await;
    }
    let hold = async || -> Value { client.get(&path).await["hold"].clone() };
    eventually("that all of it is held", || async {
        (hold().await["events"] == REMOVED - PASSING).then_some(())
    })
    .await;
    for user in [&people[USERS - 1], &people[REMOVED - 1]] {
        title(&directory, user, "Chief").await;
    }
    apps[0].wait_for_events(1 + USERS + PASSING + 1).await;
    assert_eq!(deactivated(&apps[0]), PASSING);

    let (status, body) = client.send("POST", &format!("{path}/release"), None).await;
    assert_eq!((status, &body["hold"]["state"]), (200, &json!("releasing")));
    for app in &apps {
        in_order(&app.wait_for_events(1 + USERS + REMOVED + 2).await);
        assert_eq!(deactivated(app), REMOVED);
    }
    eventually("the end of the hold", || async { hold().await.is_null().then_some(()) }).await;
    let told: Vec<String> = operator.arrived().iter().map(|one| one.kind().to_owned()).collect();
    assert_eq!(told, ["directory.held", "directory.released"]);
    let said: Vec<usize> = dispatchers.iter().map(|one| count(one, "DSYNC-007")).collect();
    assert_eq!(said.iter().sum::<usize>(), 1, "who decides tells, and nobody else: {said:?}");
    let mut counted = 0.0;
    for dispatcher in &dispatchers {
        counted += metric(dispatcher, "dispatcher_holds_total").await;
    }
    assert!((counted - 1.0).abs() < f64::EPSILON, "counted {counted} times");
}

/// So that neither is late and finds everything decided.
async fn both_judge(dispatchers: &[Process]) {
    for dispatcher in dispatchers {
        eventually("that a dispatcher judges", || async {
            let found = text(dispatcher).await.contains("dispatcher_held_directories");
            found.then_some(())
        })
        .await;
    }
}

fn deactivated(app: &Receiver) -> usize {
    let is_off = |one: &&Delivery| one.event["data"]["state"] == "inactive";
    let arrived = app.arrived();
    let users = arrived.iter().filter(is_off).map(|one| one.event["data"]["id"].to_string());
    users.collect::<std::collections::BTreeSet<_>>().len()
}

fn count(process: &Process, code: &str) -> usize {
    let log = std::fs::read_to_string(process.server.data().join("server.log")).unwrap();
    log.matches(code).count()
}

async fn metric(process: &Process, name: &str) -> f64 {
    let text = text(process).await;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0.0, |value| value.trim().parse().unwrap())
}

async fn text(process: &Process) -> String {
    let url = format!("{}/metrics", process.server.base());
    let answer = tests::server::http_client().get(url).send().await.unwrap();
    answer.text().await.unwrap()
}
