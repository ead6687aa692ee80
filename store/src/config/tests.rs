use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Waker};

use api::ports::{AttemptFilter, NewToken, Reach, ScimServiceChange};
use base64::Engine as _;
use directory::resource::{UnknownMember, UnknownSchema};
use dispatcher::ports::{Filter, LaneId};
use dispatcher::security_event::SigningKey;
use ingest::ports::Issue;
use schemas::DirectoryId;

use super::attempts::Walk;
use super::*;

struct Still;

impl Edge for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_000)
    }

    fn id(&self) -> u128 {
        1
    }

    fn secret(&self) -> [u8; 32] {
        [9; 32]
    }

    fn dice(&self) -> f64 {
        0.5
    }
}

const DIRECTORY: DirectoryId = DirectoryId::from_bits(1);

fn file(folder: &tempfile::TempDir) -> std::path::PathBuf {
    folder.path().join("store.db")
}

pub(super) fn open(folder: &tempfile::TempDir) -> Config {
    Config::open(&file(folder), [7; 32], Arc::new(Still)).unwrap()
}

/// What is known of two directories of one organization, with the ids 1 and 2.
pub(crate) fn two_known_directories() -> Known {
    known_directories(2)
}

/// The same of so many, with the ids from 1 on.
pub(crate) fn known_directories(count: u128) -> Known {
    let mut connection = Connection::open_in_memory().unwrap();
    let nowhere = std::path::Path::new("");
    migrate(&mut connection, nowhere, &MIGRATIONS[..1]).unwrap();
    for id in (1..=count).map(DirectoryId::from_bits) {
        let sql = "INSERT INTO directories VALUES
            (?1, zeroblob(16), 'generic scim v2.0', ?2, ?2, ?2, 0, 0, '[]', 1, 1)";
        connection.execute(sql, rusqlite::params![id.to_bytes(), id.to_string()]).unwrap();
    }
    migrate(&mut connection, nowhere, MIGRATIONS).unwrap();
    known::load(&connection).unwrap()
}

/// A file as the first version left it, with a directory and its token.
pub(super) fn of_the_first_version() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { writable: true, synchronous: "FULL", cache_kib: CACHE_KIB };
    let mut connection = connect(&file(&folder), options).unwrap();
    migrate(&mut connection, &file(&folder), &MIGRATIONS[..1]).unwrap();
    let id = DIRECTORY.to_bytes();
    connection
        .execute(
            "INSERT INTO directories VALUES
                (?1, ?1, 'generic scim v2.0', 'Old', 'key', 'endpoint', 0, 0, '[]', 1, 1)",
            [id],
        )
        .unwrap();
    connection
        .execute("INSERT INTO tokens VALUES (?1, ?1, ?2, 'a1b2', 1, NULL, 0)", (id, [1_u8; 32]))
        .unwrap();
    folder
}

fn secret() -> NewToken {
    let created_at = Timestamp::from_millis(1);
    NewToken { id: TokenId::from_bits(2), digest: [2; 32], suffix: "c3d4".into(), created_at }
}

#[tokio::test]
async fn a_directory_from_before_oauth_keeps_its_token_and_has_a_client() {
    let folder = of_the_first_version();
    let config = open(&folder);
    let now = config.now();
    let known = config.known();
    assert!(matches!(known.entry("endpoint", [1; 32], None, None, now), Entry::Token(..)));
    let client = config.oauth_client(Reach::Everything, DIRECTORY).await.unwrap();
    assert_eq!((client.token_lifetime_secs, client.secrets.len()), (3_600, 0));
    config.add_client_secret(Reach::Everything, DIRECTORY, secret()).await.unwrap();
    let issue = config.issue(&client.client_id, [2; 32], [3; 32], None).await.unwrap();
    assert!(matches!(issue, Issue::Issued { .. }), "{issue:?}");
}

#[tokio::test]
async fn an_endpoint_from_before_formats_gets_webhooks() {
    let folder = of_the_first_version();
    let config = open(&folder);
    config.close();
    let options = Options { writable: true, synchronous: "FULL", cache_kib: CACHE_KIB };
    let connection = connect(&file(&folder), options).unwrap();
    let sealed = config.sealer.seal([5; 16], "whsec_AAAA");
    connection
        .execute(
            "INSERT INTO endpoints (id, url, events, enabled, delivery_order, secret, created_at,
                 updated_at, cursor) VALUES (?1, 'https://a', '[]', 1, 'resource', ?2, 1, 1, 0)",
            ([5_u8; 16], sealed),
        )
        .unwrap();
    let endpoints = open(&folder).lanes().await.unwrap();
    assert_eq!(endpoints.list[0].format, schemas::Format::Webhook);
}

#[tokio::test]
async fn an_endpoint_from_before_replays_goes_on_as_it_was_and_keeps_its_attempts() {
    let folder = of_the_first_version();
    let options = Options { writable: true, synchronous: "FULL", cache_kib: CACHE_KIB };
    let config = open(&folder);
    let sealed = config.sealer.seal([5; 16], "whsec_AAAA");
    config.close();
    let connection = connect(&file(&folder), options).unwrap();
    connection
        .execute(
            "INSERT INTO endpoints (id, url, events, enabled, delivery_order, secret, created_at,
                 updated_at, cursor) VALUES (?1, 'https://a', '[]', 1, 'directory', ?2, 1, 1, 7)",
            ([5_u8; 16], sealed),
        )
        .unwrap();
    connection
        .execute(
            "INSERT INTO attempts (endpoint, event_id, position, attempt, at, duration_ms, status,
                 failure, exhausted) VALUES (?1, ?1, 3, 1, 1000, 5, 503, 'status 503', 0)",
            [[5_u8; 16]],
        )
        .unwrap();
    let config = open(&folder);
    let lanes = config.lanes().await.unwrap();
    let endpoint = &lanes.list[0];
    assert_eq!(endpoint.kind, schemas::EndpointKind::Directory);
    assert_eq!(endpoint.order, schemas::DeliveryOrder::Directory);
    assert_eq!((&endpoint.retry_schedule, &endpoint.filter), (&None, &Filter::default()));
    assert_eq!(lanes.replays, []);
    let lane = LaneId { endpoint: endpoint.id, replay: None };
    assert_eq!(config.lane(lane).await.unwrap().unwrap().cursor.0, 7);
    let walk = Walk { endpoint: endpoint.id, from: None, falling: true, limit: 10, events: None };
    let attempts = config.attempts(walk, AttemptFilter::default()).await.unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!((attempts[0].failure.as_deref(), attempts[0].status), (Some("status"), Some(503)));
}

#[tokio::test]
async fn the_private_key_lies_sealed_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let config = open(&folder);
    let key = config.signing_key().await.unwrap();
    let seed = Still.secret();
    assert_eq!(key.public(), SigningKey::from_seed(&seed).public());
    config.close();
    let (mut files, mut bytes) = (0, Vec::new());
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        bytes.extend(std::fs::read(entry.unwrap().path()).unwrap());
        files += 1;
    }
    let holds = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    assert!(files > 0 && holds(b"signing_keys"));
    let base64 = base64::engine::general_purpose::STANDARD_NO_PAD.encode(seed);
    let forms = [seed.to_vec(), hex::encode(seed).into_bytes(), base64.into_bytes()];
    assert!(forms.iter().all(|form| !holds(form)));

    let refused = Config::open(&file(&folder), [8; 32], Arc::new(Still)).unwrap_err();
    assert!(matches!(refused, OpenError::OtherMasterKey { .. }), "{refused}");
}

#[tokio::test]
async fn settings_from_before_one_was_added_have_its_default() {
    let folder = of_the_first_version();
    open(&folder).close();
    let file = Connection::open(file(&folder)).unwrap();
    let settings = r#"{"patch_group_response":"200","unknown_schema":"reject"}"#;
    file.execute("UPDATE directories SET scim = ?1", [settings]).unwrap();
    let read = open(&folder).known().scim_settings(Reach::Everything, DIRECTORY).unwrap();
    assert_eq!(read.debug_until, None);
    let read = read.settings;
    assert_eq!(read.unknown_member, UnknownMember::Reject);
    assert_eq!(read.unknown_schema, UnknownSchema::Reject);
}

#[tokio::test]
async fn what_is_void_opens_nothing_though_the_caller_did_not_wait() {
    let folder = of_the_first_version();
    let config = open(&folder);
    config.add_client_secret(Reach::Everything, DIRECTORY, secret()).await.unwrap();
    let client = config.oauth_client(Reach::Everything, DIRECTORY).await.unwrap();
    config.issue(&client.client_id, [2; 32], [3; 32], None).await.unwrap();
    {
        let mut revoking =
            pin!(config.revoke_client_secret(Reach::Everything, DIRECTORY, secret().id));
        // Sends the job; whether it is done already does not matter.
        let _ = revoking.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
    // The queue runs in order.
    config.durable.run(|_| Ok(())).await.unwrap();
    assert!(!config.known().has_secret(secret().id));
    assert_eq!(config.access_token([3; 32]), None);
}

#[tokio::test]
async fn a_change_that_reads_first_is_not_refused_for_progress_that_was_written_meanwhile() {
    let folder = of_the_first_version();
    let config = open(&folder);
    let path = file(&folder);
    let changed = config.change(move |connection| {
        connection.query_row("SELECT count(*) FROM tokens", [], |_| Ok(()))?;
        let options = Options { writable: true, synchronous: "NORMAL", cache_kib: CACHE_KIB };
        let other = connect(&path, options)?;
        other.busy_timeout(std::time::Duration::ZERO)?;
        let meanwhile = other.execute("UPDATE tokens SET last_used_at = 5", []);
        connection.execute("UPDATE directories SET name = 'New'", [])?;
        Ok(meanwhile.is_err())
    });
    assert!(changed.await.unwrap(), "the other connection waits its turn");
}

#[tokio::test]
async fn after_each_change_of_a_directory_what_is_known_is_what_is_there() {
    let folder = of_the_first_version();
    let config = open(&folder);
    let there = || async {
        let read = config.read(known::load).await.unwrap();
        format!("{read:?}")
    };
    let all = Reach::Everything;
    let is_known = |what: &str, there: String| {
        assert_eq!(format!("{:?}", config.known()), there, "{what}");
    };
    config.add_client_secret(all, DIRECTORY, secret()).await.unwrap();
    is_known("a secret", there().await);
    let token = NewToken { id: TokenId::from_bits(77), digest: [77; 32], ..secret() };
    config.add_token(all, DIRECTORY, token, None).await.unwrap();
    is_known("a token", there().await);
    let until = Some(Timestamp::from_millis(9));
    let change = ScimServiceChange { debug_until: Some(until), ..ScimServiceChange::default() };
    config.change_scim_settings(all, DIRECTORY, change, Timestamp::from_millis(5)).await.unwrap();
    is_known("settings", there().await);
    config.set_token_lifetime(all, DIRECTORY, 60, Timestamp::from_millis(6)).await.unwrap();
    is_known("a lifetime", there().await);
    config.revoke_client_secret(all, DIRECTORY, secret().id).await.unwrap();
    is_known("a revoked secret", there().await);
    config.revoke_token(all, DIRECTORY, TokenId::from_bits(77)).await.unwrap();
    is_known("a revoked token", there().await);
    config.delete_directory(all, DIRECTORY, Timestamp::from_millis(7)).await.unwrap();
    is_known("a deletion", there().await);
}
