//! Opening, on a real server.

use ::tests::Postgres as Server;

use super::query::Moment;
use super::state::generation::{Generation, Swap};
use super::*;

/// Ends the test, aloud, where there is no PostgreSQL.
macro_rules! server {
    () => {
        match Server::shared().await {
            Ok(server) => server,
            Err(missing) => {
                ::tests::not_checked(&missing);
                return;
            }
        }
    };
}

fn settings(server: &Server) -> PostgresSettings {
    server.config().clone().into()
}

#[tokio::test]
async fn replicas_that_start_at_once_make_one_schema() {
    let server = server!();
    let open = || Postgres::open(settings(&server));
    let (one, two, three) = tokio::join!(open(), open(), open());
    for opened in [one.unwrap(), two.unwrap(), three.unwrap()] {
        opened.ready().await.unwrap();
        let client = opened.client().await.unwrap();
        let row = client.query_one("SELECT count(*) FROM migrations", &[]).await.unwrap();
        assert!(row.get::<_, i64>(0) > 0);
        let row = client.query_one("SHOW statement_timeout", &[]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), "30s");
    }
}

#[tokio::test]
async fn whoever_freezes_in_a_transaction_does_not_keep_its_locks() {
    let server = server!();
    let db = Postgres::open(settings(&server)).await.unwrap();
    let lock = "UPDATE feed_end SET position = position";
    let mut client = db.client().await.unwrap();
    let frozen = Moment::writing(&mut client).await.unwrap();
    frozen.execute(lock, &[]).await.unwrap();

    let begun = tokio::time::Instant::now();
    db.client().await.unwrap().execute(lock, &[]).await.unwrap();
    assert!(begun.elapsed() < LOCK_TIMEOUT, "{:?}", begun.elapsed());
    assert!(frozen.commit().await.is_err(), "it wakes up too late");
}

#[tokio::test]
async fn a_later_schema_is_used_if_it_allows_it_and_refused_otherwise() {
    let server = server!();
    drop(Postgres::open(settings(&server)).await.unwrap());
    let client = server.connect().await;
    client.execute("INSERT INTO migrations VALUES (1000, 1)", &[]).await.unwrap();
    Postgres::open(settings(&server)).await.unwrap().ready().await.unwrap();
    client.execute("INSERT INTO migrations VALUES (1001, 1000)", &[]).await.unwrap();
    let refused = Postgres::open(settings(&server)).await.unwrap_err();
    assert!(matches!(refused, OpenError::Schema { found: 1001, .. }), "{refused}");
}

#[tokio::test]
async fn a_rebuild_by_a_version_that_knows_fewer_steps_is_refused() {
    let server = server!();
    let db = Postgres::open(settings(&server)).await.unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let create = || Generation::create(&db, (1, scratch.path()));
    let begun = create().await.unwrap();
    let client = server.connect().await;
    client.execute("INSERT INTO migrations VALUES (1000, 1)", &[]).await.unwrap();
    assert_eq!(begun.swap_in().await.unwrap(), Swap::SchemaMoved);
    let refused = create().await.unwrap_err();
    assert!(matches!(refused, OpenError::Outgrown { found: 1000, .. }), "{refused}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_of_without_its_password() {
    let nobody = "postgres://dsync:secret@127.0.0.1:1/sync".parse().unwrap();
    let refused = Postgres::open(nobody).await.unwrap_err();
    assert!(refused.to_string().contains("127.0.0.1:1, sync"), "{refused}");
    assert!(!format!("{refused:?}").contains("secret"), "{refused:?}");
}

#[tokio::test]
async fn a_server_is_let_in_only_with_a_certificate_that_somebody_vouches_for() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let Ok((server, port)) = Server::secured(&certificate, &key).await else {
        ::tests::not_checked(&"there is no PostgreSQL here");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, &certificate).unwrap();
    let open = async |host: &str, roots: &str| {
        let url = format!("postgres://postgres@{host}:{port}/postgres?sslmode=verify-full{roots}");
        Postgres::open(url.parse().unwrap()).await
    };
    let believed = format!("&sslrootcert={}", roots.display());

    let opened = open("localhost", &believed).await.unwrap();
    let client = opened.client().await.unwrap();
    let is_secure = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert!(client.query_one(is_secure, &[]).await.unwrap().get::<_, bool>(0));
    assert!(open("127.0.0.1", &believed).await.is_err(), "the name in it is another");
    assert!(open("localhost", "").await.is_err(), "nobody that the system believes has signed it");
    drop(server);
}
