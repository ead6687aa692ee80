//! Logs that have lost records: what stands still, who says so, and how it goes on, step by step as
//! docs/errors/DSYNC-003.md has it.

use std::time::Duration;

use serde_json::{Value, json};
use tests::scim::user_body;
use tests::server::eventually;
use tests::{Directory, Kafka};
use tokio::time::Instant;

use super::processes::{Cluster, Process};
use crate::kafka::brokers;

/// Less than a verdict is waited for: who is answered in this time was refused, and nothing was appended.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Both processes that a write passes.
fn start(cluster: &Cluster) -> [Process; 2] {
    [cluster.start("ingest"), cluster.start("projector")]
}

/// Waits until a write is refused at once and leaves nothing in the log.
async fn is_refused(kafka: &Kafka, cluster: &Cluster, directory: &Directory) {
    let refused = eventually("a refusal at once", || async {
        let end = kafka.end(&cluster.topic, 0);
        let begun = Instant::now();
        let answer = directory.send("POST", "/Users", Some(user_body("late@acme.example"))).await;
        let is_at_once = begun.elapsed() < AT_ONCE && kafka.end(&cluster.topic, 0) == end;
        (answer.status == 503 && is_at_once).then_some(answer)
    })
    .await;
    assert!(refused.retry_after.is_some(), "it says when to come back");
}

async fn names(directory: &Directory) -> Vec<String> {
    let list = directory.send("GET", "/Users", None).await.expect(200);
    let users = list.body["Resources"].as_array().unwrap().clone();
    users.iter().map(|user| user["userName"].as_str().unwrap().to_owned()).collect()
}

/// What the page says to do where records are gone for good.
fn follow_the_page(cluster: &Cluster, directory: &Directory, anew: usize) {
    let (verified, said) = cluster.run(&["verify", "--directory", &directory.id]);
    assert!(!verified && said.contains(&directory.id), "verify says: {said}");
    let (rebuilt, said) = cluster.run(&["rebuild"]);
    assert!(!rebuilt && said.contains("DSYNC-003"), "rebuild says: {said}");
    assert!(said.contains("Nothing was changed"), "rebuild says: {said}");
    assert!(said.contains("dsync rebuild --accept-loss"), "rebuild says: {said}");
    let (rebuilt, said) = cluster.run(&["rebuild", "--accept-loss"]);
    assert!(rebuilt && said.contains(&format!("begun anew: {anew} streams")), "it says: {said}");
}

/// The records with which streams begin anew.
fn marks(kafka: &Kafka, topic: &str) -> Vec<Value> {
    let records = tokio::task::block_in_place(|| kafka.records(topic));
    let values = records.into_iter().map(|record| record.delivery.event);
    values.filter(|value| value["anew"] == true).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_has_lost_its_end_goes_on_as_its_page_says() {
    let Some(mut cluster) = Cluster::new().await else { return };
    let kafka = brokers(Kafka::shared()).expect("there was one");
    let api = cluster.start("api");
    let directory = api.server.api().directory("azure scim v2.0", "Acme").await;
    let [ingest, projector] = start(&cluster);
    let at = directory.at(ingest.server.base());
    let kept = at.user("kept@acme.example").await;
    at.user("lost@acme.example").await;
    drop((api, ingest, projector));
    let count = usize::try_from(kafka.end(&cluster.topic, 0)).unwrap() - 1;
    let left = kafka.copy(&cluster.topic, count).await;
    cluster.moves_to(kafka, left);

    let [ingest, projector] = start(&cluster);
    let checks = projector.server.api().readiness(503, "not ready").await;
    assert!(checks["projector"].as_str().unwrap().contains("DSYNC-003"), "{checks}");
    let at = directory.at(ingest.server.base());
    is_refused(kafka, &cluster, &at).await;
    assert_eq!(ingest.server.api().send("GET", "/readyz", None).await.0, 200, "reads go on");
    assert_eq!(names(&at).await.len(), 2, "nothing is guessed");
    drop((ingest, projector));

    follow_the_page(&cluster, &directory, 1);
    let (ingest, api) = (cluster.start("ingest"), cluster.start("api"));
    let projector = cluster.start("projector");
    projector.server.api().readiness(200, "ready").await;
    let at = directory.at(ingest.server.base());
    assert_eq!(names(&at).await, ["kept@acme.example"], "what the log has left");
    at.user("lost@acme.example").await;
    let title = json!([{ "op": "replace", "path": "title", "value": "Engineer" }]);
    at.patch(&format!("/Users/{kept}"), title).await.expect(200);
    assert_eq!(api.server.api().events("dsync.activated").await.len(), 2, "the history shows it");
    let marks = marks(kafka, &cluster.topic);
    assert_eq!(marks.len(), 1);
    assert_eq!(marks[0]["actor"]["user_agent"], "dsync rebuild --accept-loss");
    cluster.verify();
    assert!(cluster.run(&["rebuild"]).0, "what is left is whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_whose_first_records_were_deleted_goes_on_as_its_page_says() {
    let Some(cluster) = Cluster::new().await else { return };
    let kafka = brokers(Kafka::shared()).expect("there was one");
    let api = cluster.start("api");
    let gone = api.server.api().directory("azure scim v2.0", "Gone").await;
    let cut = api.server.api().directory("azure scim v2.0", "Cut").await;
    let [ingest, projector] = start(&cluster);
    let base = ingest.server.base().to_owned();
    gone.at(&base).user("first@gone.example").await;
    cut.at(&base).user("first@cut.example").await;
    projector.server.kill();
    // In the log, and past no projector: nobody knows yet what comes of it.
    let open = cut.at(&base).send("POST", "/Users", Some(user_body("second@cut.example"))).await;
    assert_eq!(open.status, 503, "{}", open.body);
    // The last one that was applied is gone, and so is everything of one directory; what is left is not all of the other.
    kafka.delete_records(&cluster.topic, 0, kafka.end(&cluster.topic, 0) - 1).await;

    let projector = cluster.start("projector");
    let checks = projector.server.api().readiness(503, "not ready").await;
    assert!(checks["projector"].as_str().unwrap().contains("DSYNC-003"), "{checks}");
    is_refused(kafka, &cluster, &cut.at(&base)).await;
    assert_eq!(names(&cut.at(&base)).await, ["first@cut.example"], "what was accepted is there");
    drop((ingest, projector, api));

    follow_the_page(&cluster, &cut, 2);
    let [ingest, projector] = start(&cluster);
    projector.server.api().readiness(200, "ready").await;
    for (directory, name) in [(&gone, "first@gone.example"), (&cut, "first@cut.example")] {
        let at = directory.at(ingest.server.base());
        assert_eq!(names(&at).await, [""; 0], "nothing of it is left in the log");
        at.user(name).await;
        assert_eq!(names(&at).await, [name]);
    }
    assert_eq!(marks(kafka, &cluster.topic).len(), 2);
    cluster.verify();
    assert!(cluster.run(&["rebuild"]).0, "what is left is whole");
    cluster.verify();
}

/// A record that claims to follow what was never there.
fn beyond(last: &Value) -> Vec<u8> {
    let mut forged = last.clone();
    let seq = last["seq"].as_u64().unwrap() + 5;
    forged["seq"] = json!(seq);
    forged["base"] = json!(seq - 1);
    forged["prev"] = json!("ab".repeat(32));
    forged.to_string().into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_a_gap_stops_is_told_of_and_takes_no_other_with_it() {
    let Some(cluster) = Cluster::new().await else { return };
    let kafka = brokers(Kafka::shared()).expect("there was one");
    let api = cluster.start("api");
    let directory = api.server.api().directory("azure scim v2.0", "Acme").await;
    let other = api.server.api().directory("okta scim v2.0", "Other").await;
    let [ingest, projector] = start(&cluster);
    let at = directory.at(ingest.server.base());
    at.user("first@acme.example").await;
    let told = projector.server.api();
    assert_eq!(told.readiness(200, "ready").await["directories"], "ok");
    let records = tokio::task::block_in_place(|| kafka.records(&cluster.topic));
    let last = records.iter().rfind(|record| record.key == directory.id).unwrap();
    kafka.put(&cluster.topic, &directory.id, &beyond(&last.delivery.event)).await;

    let checks = told.readiness(503, "not ready").await;
    let named = checks["directories"].as_str().unwrap();
    assert!(named.contains("DSYNC-003") && named.contains(&directory.id), "{checks}");
    let is = |count: f64| {
        let told = told.clone();
        eventually("the count of stopped directories", move || {
            let told = told.clone();
            async move { (told.metric("projector_stopped_directories").await == count).then_some(()) }
        })
    };
    is(1.0).await;
    let shown = api.server.api().get(&format!("/directories/{}", directory.id)).await;
    assert_eq!(shown["stopped"], true, "{shown}");
    is_refused(kafka, &cluster, &at).await;
    other.at(ingest.server.base()).user("goes@other.example").await;
    let (status, _) = ingest.server.api().send("GET", "/readyz", None).await;
    assert_eq!(status, 200, "whoever serves the others goes on");
    drop((ingest, projector));

    follow_the_page(&cluster, &directory, 1);
    let [ingest, projector] = start(&cluster);
    let told = projector.server.api();
    assert_eq!(told.readiness(200, "ready").await["directories"], "ok");
    let at = directory.at(ingest.server.base());
    at.user("second@acme.example").await;
    assert_eq!(names(&at).await, ["first@acme.example", "second@acme.example"]);
    cluster.verify();
}
