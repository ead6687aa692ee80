//! Several replicas on one configuration in PostgreSQL.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use api::fixtures;
use api::ports::{
    Answers, ApiKey, Begun, Digest, Directories, DirectoryChange, Keys, OauthClients, Permission,
    Reach, VerificationKeys,
};
use directory::InactiveUsers;
use dispatcher::ports::DeliveryStore;
use ingest::ports::{Admission, Clients, Issue, Refreshes, Replica, ReplicaError};
use log::Durable;
use projector::{Position, ProjectionStore, StoreError};
use schemas::{ApiKeyId, Change, Edge, Timestamp};
use store::{OpenError, Store};
use tests::server::eventually;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::world::{P, Still, Stream as Records, World, scim, user};
use crate::folder::MASTER_KEY;

const ALL: Reach = Reach::Everything;
const TOKEN: Digest = [1; 32];
const ENDPOINT: &str = "endpoint-1";

/// A replica whose ids and secrets are not those of others.
async fn beside(world: &World) -> Arc<Store> {
    Arc::new(world.open(numbered()).await)
}

fn numbered() -> Arc<Still> {
    let edge = Arc::<Still>::default();
    for _ in 0..100 {
        edge.id();
        edge.secret();
    }
    edge
}

/// Ends the connections of so many stores of this test that follow the configuration, when all of them listen or have
/// looked.
async fn cut(client: &Client, stores: i64) {
    let sql = "WITH found AS MATERIALIZED (SELECT pid FROM pg_stat_activity
            WHERE application_name = current_schema()
                AND (query = 'LISTEN dsync' OR query LIKE 'SELECT version%'))
        SELECT pg_terminate_backend(pid) FROM found WHERE (SELECT count(*) FROM found) = $1";
    eventually("connections to cut", async || {
        (client.execute(sql, &[&stores]).await.unwrap() > 0).then_some(())
    })
    .await;
}

async fn is_let_in(store: &Store) -> bool {
    matches!(store.access(ENDPOINT, TOKEN, None).await.unwrap(), Admission::Granted(_))
}

async fn revoke(world: &World, stream: &Records) {
    let tokens = world.store.tokens(ALL, stream.id).await.unwrap();
    let now = world.edge.now();
    world.store.revoke_token(ALL, stream.id, tokens[0].id, now).await.unwrap();
}

#[tokio::test]
async fn what_one_replica_sets_up_the_others_have_and_what_it_voids_they_refuse() {
    let world = World::new().await;
    let _client = client!(world);
    let other = beside(&world).await;
    let organization = world.organization(1).await;
    let stream = world.directory(organization, 1).await;
    assert!(is_let_in(&world.store).await, "here at once");
    eventually("a directory at the other", async || is_let_in(&other).await.then_some(())).await;
    revoke(&world, &stream).await;
    assert!(!is_let_in(&world.store).await, "here at once");
    let begun = tokio::time::Instant::now();
    eventually("a token that is void", async || (!is_let_in(&other).await).then_some(())).await;
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_token_that_ends_is_refused_by_every_replica_and_revoked_by_the_first() {
    let (world, stream) = World::with_one_directory().await;
    let _client = client!(world);
    let edge = numbered();
    let other = Arc::new(world.open(edge.clone()).await);
    let created_at = world.edge.now();
    let digest: Digest = [2; 32];
    let id = schemas::TokenId::from_bits(2);
    let new = api::ports::NewToken { id, digest, suffix: "c3d4".into(), created_at };
    let end = Some(created_at.after(Duration::from_secs(60)));
    world.store.add_token(ALL, stream.id, new, end).await.unwrap();
    edge.pass(60);
    eventually("the end at the other", async || (!is_let_in(&other).await).then_some(())).await;
    assert!(is_let_in(&world.store).await, "its clock is behind");
    world.edge.pass(60);
    assert!(!is_let_in(&world.store).await);
    // Whoever comes second finds nothing to do.
    let (one, two) =
        tokio::join!(world.store.revoke_expired_tokens(), other.revoke_expired_tokens());
    assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
    assert_eq!(world.store.tokens(ALL, stream.id).await.unwrap().len(), 1);
    eventually("nothing left to revoke", async || {
        other.revoke_expired_tokens().await.unwrap().is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_notification_that_was_lost_is_made_good_by_asking() {
    let (world, _stream) = World::with_one_directory().await;
    let client = client!(world);
    assert!(is_let_in(&world.store).await);
    // As a replica whose notification nobody heard.
    let silently = "UPDATE configured_tokens SET revoked = true;
        UPDATE configuration SET version = version + 1";
    client.batch_execute(silently).await.unwrap();
    eventually("a token that is void", async || (!is_let_in(&world.store).await).then_some(()))
        .await;
}

#[tokio::test]
async fn a_connection_that_was_cut_is_made_again_and_tells_what_it_missed() {
    let (world, stream) = World::with_one_directory().await;
    let client = client!(world);
    let other = beside(&world).await;
    assert!(is_let_in(&other).await);
    cut(&client, 2).await;
    revoke(&world, &stream).await;
    eventually("a token that is void", async || {
        matches!(other.access(ENDPOINT, TOKEN, None).await, Ok(Admission::Refused(_))).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_server_that_lost_its_last_changes_is_learned_anew_though_it_counts_as_many() {
    let (world, _stream) = World::with_one_directory().await;
    let client = client!(world);
    assert!(is_let_in(&world.store).await);
    // As a standby that took over without the last change, and has made another one since.
    client.batch_execute("UPDATE configured_tokens SET revoked = true").await.unwrap();
    cut(&client, 1).await;
    eventually("a token that is void there", async || {
        matches!(world.store.access(ENDPOINT, TOKEN, None).await, Ok(Admission::Refused(_)))
            .then_some(())
    })
    .await;
}

/// The way to a server, until it is cut. While it swallows everything, connections are dead for good and nobody is
/// told.
fn proxy(
    server: &Config,
    folder: &Path,
    cut: &CancellationToken,
    swallows: &watch::Sender<bool>,
) -> Config {
    let listener = UnixListener::bind(folder.join(".s.PGSQL.5432")).unwrap();
    let (host, port) = (server.get_hosts()[0].clone(), server.get_ports().first().copied());
    let (tasks, cut, swallows) = (TaskTracker::new(), cut.clone(), swallows.clone());
    let pipes = tasks.clone();
    let accepts = cut.clone().run_until_cancelled_owned(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let (host, cut) = (host.clone(), cut.clone());
            let mut swallows = swallows.subscribe();
            pipes.spawn(cut.run_until_cancelled_owned(async move {
                let mut far: Box<dyn Stream> = match host {
                    Host::Unix(path) => {
                        let path = path.join(format!(".s.PGSQL.{}", port.unwrap_or(5_432)));
                        Box::new(UnixStream::connect(path).await.unwrap())
                    }
                    Host::Tcp(name) => {
                        let address = (name, port.unwrap_or(5_432));
                        Box::new(TcpStream::connect(address).await.unwrap())
                    }
                };
                tokio::select! {
                    biased;
                    _ = swallows.wait_for(|swallows| *swallows) => {}
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => return,
                }
                // Both ends stay open.
                std::future::pending::<()>().await;
            }));
        }
    });
    tasks.spawn(accepts);
    let mut config = Config::new();
    config.host_path(folder).user(server.get_user().unwrap_or("postgres"));
    server.get_password().map(|password| config.password(password));
    server.get_dbname().map(|name| config.dbname(name));
    server.get_options().map(|options| config.options(options));
    config
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

#[tokio::test]
async fn a_way_that_swallows_everything_is_given_up_and_taken_again_when_it_leads_somewhere() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let _client = client!(world);
    let folder = tempfile::tempdir().unwrap();
    let (cut, swallows) = (CancellationToken::new(), watch::Sender::new(false));
    let way = proxy(&world.place.config().unwrap(), folder.path(), &cut, &swallows);
    let alone = Store::connect(way.into(), Some(MASTER_KEY), numbered()).await.unwrap();
    assert_eq!(alone.position(P).await.unwrap(), world.position);

    let batch = world.batch(&mut stream, vec![user(1)]);
    let to = Position { next: batch.passed, applied: None };
    swallows.send_replace(true);
    let begun = tokio::time::Instant::now();
    let hung = alone.apply(P, world.position, to, batch.clone(), Durable::already()).await;
    assert!(matches!(hung, Err(StoreError::Unavailable(_))), "{hung:?}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    swallows.send_replace(false);
    eventually("an answer", async || {
        alone.apply(P, world.position, to, batch.clone(), Durable::already()).await.ok()
    })
    .await;
    assert!(world.store.user(stream.id, scim(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_replica_that_cannot_ask_lets_nobody_in_after_a_while() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let _client = client!(world);
    world.add(&mut stream, vec![Change::DirectoryActivated]).await;
    let folder = tempfile::tempdir().unwrap();
    let (cut, swallows) = (CancellationToken::new(), watch::Sender::new(false));
    let way = proxy(&world.place.config().unwrap(), folder.path(), &cut, &swallows);
    let alone = Store::connect(way.into(), Some(MASTER_KEY), numbered()).await.unwrap();
    assert!(is_let_in(&alone).await);
    cut.cancel();
    let begun = tokio::time::Instant::now();
    revoke(&world, &stream).await;
    assert!(is_let_in(&alone).await, "for a moment it goes by what it knows");
    eventually("a refusal", async || match alone.access(ENDPOINT, TOKEN, None).await {
        Ok(Admission::Granted(_)) => None,
        Err(ReplicaError::Unavailable(_)) => Some(()),
        other => panic!("{other:?}"),
    })
    .await;
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn an_access_token_of_one_replica_opens_the_others_at_once_and_no_longer() {
    let (world, stream) = World::with_one_directory().await;
    let _client = client!(world);
    let secret = fixtures::directory(stream.organization, 7).token;
    world.store.add_secret(ALL, stream.id, secret.clone()).await.unwrap();
    let other = beside(&world).await;
    let client = world.store.client(ALL, stream.id).await.unwrap().client_id;
    let issued = world.store.issue(&client, secret.digest, [50; 32], None).await.unwrap();
    assert!(matches!(issued, Issue::Issued { .. }));
    let entered = other.access(ENDPOINT, [50; 32], None).await.unwrap();
    assert!(matches!(entered, Admission::Granted(_)), "{entered:?}");
    other.revoke_secret(ALL, stream.id, secret.id).await.unwrap();
    let entered = world.store.access(ENDPOINT, [50; 32], None).await.unwrap();
    assert!(!matches!(entered, Admission::Granted(_)), "its row has gone with the secret");
}

#[tokio::test]
async fn a_store_needs_the_master_key_that_its_secrets_are_sealed_under() {
    let world = World::new().await;
    let _client = client!(world);
    let open = async |key| {
        let server = world.place.config().unwrap().into();
        Store::connect(server, key, Arc::<Still>::default()).await
    };
    let missing = open(None).await.unwrap_err();
    assert!(matches!(missing, OpenError::NoMasterKey { .. }), "{missing}");
    let wrong = open(Some([8; 32])).await.unwrap_err();
    assert!(matches!(wrong, OpenError::MasterKey { .. }), "{wrong}");
    assert!(wrong.to_string().contains("another master key"), "{wrong}");
    open(Some(MASTER_KEY)).await.unwrap();
}

#[tokio::test]
async fn of_replicas_that_start_at_once_one_makes_the_first_key() {
    let world = World::new().await;
    let _client = client!(world);
    let other = beside(&world).await;
    let key = |number| ApiKey {
        id: ApiKeyId::from_bits(number),
        name: "first".to_owned(),
        permission: Permission::Full,
        organization_id: None,
        suffix: "a1b2".to_owned(),
        created_at: Timestamp::from_millis(1),
        last_used_at: None,
    };
    let (first, second) = tokio::join!(
        world.store.create_first(key(1), [1; 32]),
        other.create_first(key(2), [2; 32])
    );
    assert!(first.unwrap() != second.unwrap());
    assert!(world.store.any().await.unwrap() && other.any().await.unwrap());
}

#[tokio::test]
async fn of_two_that_are_asked_the_same_at_once_one_answers() {
    let world = World::new().await;
    let _client = client!(world);
    let other = beside(&world).await;
    for key in 0..10_u8 {
        let now = world.edge.now();
        let (one, two) = tokio::join!(
            world.store.begin([key; 32], [9; 32], now),
            other.begin([key; 32], [9; 32], now)
        );
        let is_first = |begun: &Begun| matches!(begun, Begun::First);
        let (one, two) = (one.unwrap(), two.unwrap());
        assert!(is_first(&one) != is_first(&two), "{one:?} {two:?}");
    }
}

#[tokio::test]
async fn a_job_is_one_replicas_until_nothing_is_heard_of_it() {
    let (world, stream) = World::with_one_directory().await;
    let client = client!(world);
    let other = beside(&world).await;
    let change = DirectoryChange {
        inactive_users: Some(Some(InactiveUsers::Delete)),
        ..DirectoryChange::default()
    };
    let now = Timestamp::from_millis(5);
    Directories::update(&*world.store, ALL, stream.id, change, now).await.unwrap();
    let job = Refreshes::open(&*world.store).await.unwrap();
    assert_eq!(job.len(), 1);
    assert_eq!(Refreshes::open(&*other).await.unwrap().len(), 0);
    world.store.moved(job[0]).await.unwrap();

    let mut changes = other.changes();
    changes.mark_unchanged();
    client.execute("UPDATE refreshes SET held_until = now()", &[]).await.unwrap();
    changes.changed().await.unwrap();
    assert_eq!(Refreshes::open(&*other).await.unwrap().len(), 1, "it takes over");
    world.store.moved(job[0]).await.unwrap();
    assert_eq!(Refreshes::open(&*world.store).await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_signing_key_that_was_replaced_at_one_replica_signs_at_no_other() {
    let world = World::new().await;
    let _client = client!(world);
    let other = beside(&world).await;
    let old = other.signing_key().await.unwrap().public().kid.clone();
    let at = world.edge.now();
    let rotation = api::ports::Rotation { at, signs_from: at, shown_until: at };
    let new = world.store.rotate(rotation).await.unwrap().kid;
    assert_ne!(old, new);
    eventually("the new key at the other", async || {
        let signs = other.signing_key().await.unwrap().public().kid.clone();
        (signs == new).then_some(())
    })
    .await;
}
