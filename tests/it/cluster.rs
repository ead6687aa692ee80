//! The same roles in one process and in many: nothing is lost, nothing is there twice, the chain holds.

use tests::load::{Replicas, create_users, race_for_names, race_on_users, read_back};
use tests::{Directory, Server};

#[cfg(feature = "kafka")]
mod brake;
#[cfg(feature = "kafka")]
mod faults;
#[cfg(feature = "kafka")]
mod lost;
#[cfg(feature = "kafka")]
mod partitions;
#[cfg(feature = "kafka")]
mod processes;

const USERS: usize = 300;
const NAMES: usize = 40;
const WORKERS: usize = 32;

/// Everything that identity providers do to one directory at once, over all of its replicas.
async fn everything_at_once(directory: &Directory, bases: &[&str]) -> Replicas {
    let replicas = Replicas::new(directory, bases);
    let (users, ()) = tokio::join!(
        create_users(&replicas, "crowd", USERS, WORKERS),
        race_for_names(&replicas, "same", NAMES, 6),
    );
    race_on_users(&replicas, &users[..NAMES], "first").await;
    read_back(&replicas, bases.len(), "crowd", &users).await;
    let list = replicas.pick(0).send("GET", "/Users?count=0", None).await.expect(200);
    assert_eq!(list.body["totalResults"], USERS + NAMES, "nobody is there twice");
    replicas
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_under_everything_at_once_loses_and_doubles_nothing() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let directory = server.api().directory("azure scim v2.0", "Acme").await;
    let replicas = everything_at_once(&directory, &[server.base()]).await;
    assert_eq!(replicas.met().unanswered, 0, "every request was answered");
    let verified = tests::server::command(data.path()).arg("verify").output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}
