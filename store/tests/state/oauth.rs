//! The ports on OAuth clients, and ingest's port where access tokens meet it.

use api::ports::{Conflict, Directories, NewToken, OauthClient, OauthClients, PortError, Reach};
use ingest::ports::{
    ACCESS_TOKENS_MAX, Admission, Clients, ISSUE_WINDOW, ISSUES_MAX, Issue, Replica,
};
use schemas::{DirectoryId, Edge, Timestamp, TokenId};

use super::world::{Stream, World};

const ALL: Reach = Reach::Everything;
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// A secret whose digest is this byte over and over.
fn secret(byte: u8) -> NewToken {
    NewToken {
        id: TokenId::from_bits(1_000 + u128::from(byte)),
        digest: [byte; 32],
        suffix: format!("s{byte:03}"),
        created_at: Timestamp::from_millis(1),
    }
}

/// The digest of an access token.
fn token(number: u32) -> [u8; 32] {
    let mut digest = [0xaa; 32];
    digest[..4].copy_from_slice(&number.to_be_bytes());
    digest
}

impl World {
    async fn client(&self, id: DirectoryId) -> OauthClient {
        self.store.client(ALL, id).await.unwrap()
    }

    async fn add_secret(&self, stream: &Stream, byte: u8) {
        self.store.add_secret(ALL, stream.id, secret(byte)).await.unwrap();
    }

    /// A world with one directory whose client has one secret, of byte 100.
    async fn with_a_secret() -> (Self, Stream) {
        let (world, stream) = Self::with_one_directory().await;
        world.add_secret(&stream, 100).await;
        (world, stream)
    }

    /// Asks for an access token with the secret of this byte.
    async fn issue(&self, stream: &Stream, byte: u8, number: u32) -> Issue {
        let client_id = self.client(stream.id).await.client_id;
        self.store.issue(&client_id, [byte; 32], token(number), None).await.unwrap()
    }

    async fn must_issue(&self, stream: &Stream, byte: u8, number: u32) {
        let issue = self.issue(stream, byte, number).await;
        assert!(matches!(issue, Issue::Issued { .. }), "{issue:?}");
    }

    async fn enter(&self, endpoint: &str, number: u32) -> Admission {
        self.store.access(endpoint, token(number), None).await.unwrap()
    }

    async fn is_open(&self, number: u32) -> bool {
        matches!(self.enter("endpoint-1", number).await, Admission::Granted(_))
    }
}

#[tokio::test]
async fn every_directory_has_a_client_of_its_own() {
    let (world, stream) = World::with_one_directory().await;
    let other = world.directory(stream.organization, 2).await;
    let (one, two) = (world.client(stream.id).await, world.client(other.id).await);
    assert_eq!((one.token_lifetime_secs, one.secrets.len()), (3_600, 0));
    assert_eq!(one.client_id.len(), 32);
    assert_ne!(one.client_id, two.client_id);
    assert_eq!(world.client(stream.id).await, one);

    let elsewhere = Reach::Organization(world.organization(9).await);
    let hidden = world.store.client(elsewhere, stream.id).await;
    assert!(matches!(hidden, Err(PortError::NotFound)));
    let hidden = world.store.add_secret(elsewhere, stream.id, secret(100)).await;
    assert!(matches!(hidden, Err(PortError::NotFound)));
}

#[tokio::test]
async fn an_access_token_opens_its_directory_and_is_told_by_its_secret() {
    let (world, stream) = World::with_a_secret().await;
    world.directory(stream.organization, 2).await;
    let issue = world.issue(&stream, 100, 1).await;
    assert_eq!(issue, Issue::Issued { lifetime: std::time::Duration::from_secs(3_600) });

    let Admission::Granted(access) = world.enter("endpoint-1", 1).await else { panic!("closed") };
    assert_eq!(access.directory_id, stream.id);
    assert_eq!((access.token_id, access.token_suffix), (secret(100).id, "s100".to_owned()));
    assert!(matches!(world.enter("endpoint-2", 1).await, Admission::Refused(_)));
    assert_eq!(world.enter("nowhere", 1).await, Admission::Refused(None));
    assert!(matches!(world.enter("endpoint-1", 2).await, Admission::Refused(_)));
    let used = world.client(stream.id).await.secrets[0].last_used_at;
    assert_eq!(used, Some(world.edge.now()));
}

#[tokio::test]
async fn a_secret_opens_nothing_itself_and_a_bearer_token_gets_no_access_token() {
    let (world, stream) = World::with_a_secret().await;
    let by_secret = world.store.access("endpoint-1", [100; 32], None).await.unwrap();
    assert!(matches!(by_secret, Admission::Refused(_)));
    assert_eq!(world.issue(&stream, 1, 1).await, Issue::Unknown);
    let tokens = world.store.tokens(ALL, stream.id).await.unwrap();
    assert_eq!(tokens.len(), 1, "the secret is none of the bearer tokens");
    let now = world.edge.now();
    let revoked = world.store.revoke_token(ALL, stream.id, secret(100).id, now).await;
    assert!(matches!(revoked, Err(PortError::NotFound)));
    let revoked = world.store.revoke_secret(ALL, stream.id, tokens[0].id).await;
    assert!(matches!(revoked, Err(PortError::NotFound)));
}

#[tokio::test]
async fn a_client_with_the_secret_of_another_gets_nothing() {
    let (world, stream) = World::with_a_secret().await;
    let other = world.directory(stream.organization, 2).await;
    world.add_secret(&other, 101).await;
    assert_eq!(world.issue(&stream, 101, 1).await, Issue::Unknown);
    assert_eq!(world.issue(&other, 100, 1).await, Issue::Unknown);
    let unknown = world.store.issue("nobody", [100; 32], token(1), None).await.unwrap();
    assert_eq!(unknown, Issue::Unknown);
}

#[tokio::test]
async fn an_access_token_expires_and_is_told_apart_for_a_day() {
    let (world, stream) = World::with_a_secret().await;
    world.must_issue(&stream, 100, 1).await;
    world.edge.pass(HOUR - 1);
    assert!(world.is_open(1).await);
    world.edge.pass(1);
    assert!(matches!(world.enter("endpoint-1", 1).await, Admission::Expired(_)));
    assert_eq!(
        world.enter("nowhere", 1).await,
        Admission::Refused(None),
        "a stranger learns nothing"
    );

    world.edge.pass(DAY);
    world.must_issue(&stream, 100, 2).await;
    assert!(matches!(world.enter("endpoint-1", 1).await, Admission::Refused(_)));
    assert!(world.is_open(2).await);
}

#[tokio::test]
async fn a_lifetime_holds_for_the_tokens_that_come_after_it() {
    let (world, stream) = World::with_a_secret().await;
    world.must_issue(&stream, 100, 1).await;
    let client =
        world.store.set_token_lifetime(ALL, stream.id, 21_600, world.edge.now()).await.unwrap();
    assert_eq!(client.token_lifetime_secs, 21_600);
    let directory = Directories::get(&*world.store, ALL, stream.id).await.unwrap();
    assert_eq!(directory.updated_at, world.edge.now());
    world.must_issue(&stream, 100, 2).await;
    world.edge.pass(6 * HOUR - 1);
    assert!(!world.is_open(1).await && world.is_open(2).await);
}

#[tokio::test]
async fn two_secrets_rotate_without_a_gap_and_one_takes_its_tokens_with_it() {
    let (world, stream) = World::with_a_secret().await;
    world.must_issue(&stream, 100, 1).await;
    world.add_secret(&stream, 101).await;
    let third = world.store.add_secret(ALL, stream.id, secret(102)).await;
    assert!(matches!(third, Err(PortError::Conflict(Conflict::LiveSecrets))));
    world.must_issue(&stream, 101, 2).await;
    assert!(world.is_open(1).await && world.is_open(2).await);

    world.store.revoke_secret(ALL, stream.id, secret(100).id).await.unwrap();
    assert!(matches!(world.enter("endpoint-1", 1).await, Admission::Refused(_)));
    assert!(world.is_open(2).await);
    assert_eq!(world.issue(&stream, 100, 3).await, Issue::Unknown);
    let again = world.store.revoke_secret(ALL, stream.id, secret(100).id).await;
    assert!(matches!(again, Err(PortError::NotFound)));
    let shown: Vec<_> = world.client(stream.id).await.secrets;
    assert_eq!(shown.iter().map(|one| one.id).collect::<Vec<_>>(), [secret(101).id]);
    world.add_secret(&stream, 102).await;
}

#[tokio::test]
async fn nothing_is_lost_when_the_store_is_opened_again() {
    let (world, stream) = World::with_a_secret().await;
    world.add_secret(&stream, 101).await;
    world.must_issue(&stream, 100, 1).await;
    world.must_issue(&stream, 101, 2).await;
    world.store.revoke_secret(ALL, stream.id, secret(100).id).await.unwrap();
    let client = world.client(stream.id).await;
    world.store.close();

    let again = world.open(world.edge.clone()).await;
    assert_eq!(again.client(ALL, stream.id).await.unwrap(), client);
    let entered = again.access("endpoint-1", token(2), None).await.unwrap();
    assert!(matches!(entered, Admission::Granted(_)), "{entered:?}");
    assert!(matches!(
        again.access("endpoint-1", token(1), None).await.unwrap(),
        Admission::Refused(_)
    ));
    world.edge.pass(HOUR);
    assert!(matches!(
        again.access("endpoint-1", token(2), None).await.unwrap(),
        Admission::Expired(_)
    ));
}

#[tokio::test]
async fn a_directory_that_is_deleted_ends_its_client() {
    let (world, stream) = World::with_a_secret().await;
    world.must_issue(&stream, 100, 1).await;
    Directories::delete(&*world.store, ALL, stream.id, world.edge.now()).await.unwrap();
    assert!(matches!(world.enter("endpoint-1", 1).await, Admission::Refused(_)));
    assert_eq!(world.issue(&stream, 100, 2).await, Issue::Unknown);
    let added = world.store.add_secret(ALL, stream.id, secret(101)).await;
    assert!(matches!(added, Err(PortError::Conflict(Conflict::Deleting))));
    let changed = world.store.set_token_lifetime(ALL, stream.id, 7_200, world.edge.now()).await;
    assert!(matches!(changed, Err(PortError::Conflict(Conflict::Deleting))));
}

#[tokio::test]
async fn a_client_that_asks_too_often_waits_and_others_do_not() {
    let (world, stream) = World::with_a_secret().await;
    let other = world.directory(stream.organization, 2).await;
    world.add_secret(&other, 101).await;
    world.must_issue(&stream, 100, 0).await;
    world.edge.pass(10);
    for number in 1..ISSUES_MAX {
        world.must_issue(&stream, 100, number).await;
    }
    let wait = ISSUE_WINDOW - std::time::Duration::from_secs(10);
    assert_eq!(world.issue(&stream, 100, ISSUES_MAX).await, Issue::TooMany { wait });
    assert!(!world.is_open(ISSUES_MAX).await);
    world.must_issue(&other, 101, 1_000).await;
    assert_eq!(world.issue(&stream, 99, 1_000).await, Issue::Unknown, "strangers never count");

    world.edge.pass(50);
    world.must_issue(&stream, 100, ISSUES_MAX).await;
    let wait = std::time::Duration::from_secs(10);
    assert_eq!(world.issue(&stream, 100, 1_001).await, Issue::TooMany { wait });
}

#[tokio::test]
async fn a_clock_that_was_set_back_does_not_shut_a_client_out() {
    let (world, stream) = World::with_a_secret().await;
    world.edge.pass(DAY);
    for number in 0..ISSUES_MAX {
        world.must_issue(&stream, 100, number).await;
    }
    world.edge.pass(-DAY);
    world.must_issue(&stream, 100, 1_000).await;
    assert!(world.is_open(1_000).await);
}

#[tokio::test]
async fn of_too_many_tokens_the_oldest_goes() {
    let (world, stream) = World::with_a_secret().await;
    let last = ACCESS_TOKENS_MAX + 2;
    for number in 1..=last {
        world.must_issue(&stream, 100, number).await;
        world.edge.pass(2);
    }
    for number in 1..=last {
        assert_eq!(world.is_open(number).await, number > 2, "{number}");
    }
    world.store.close();
    let again = world.open(world.edge.clone()).await;
    assert!(matches!(
        again.access("endpoint-1", token(2), None).await.unwrap(),
        Admission::Refused(_)
    ));
    let entered = again.access("endpoint-1", token(3), None).await.unwrap();
    assert!(matches!(entered, Admission::Granted(_)), "{entered:?}");
}

#[tokio::test]
async fn the_stream_has_to_tell_of_a_secret_as_of_a_token() {
    let (world, stream) = World::with_a_secret().await;
    let needs = directory::Needs::default();
    let gathered = world.store.gather(stream.id, needs).await.unwrap().unwrap();
    let configured = gathered.facts.directory.tokens;
    let named: Vec<_> = configured.iter().map(|one| (one.suffix.as_str(), one.revoked)).collect();
    assert_eq!(named, [("a1b2", false), ("s100", false)]);
    assert_eq!(world.store.unreconciled().await.unwrap(), [stream.id]);
}
