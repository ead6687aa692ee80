//! Tokens that end by themselves when another has taken their place.

use std::time::Duration;

use api::fixtures;
use api::ports::{Conflict, Directories, NewToken, PortError, Reach, Token};
use directory::Needs;
use ingest::ports::{Admission, Replica};
use schemas::{Edge, Timestamp, TokenId};
use store::Store;

use super::world::{Stream, World};

const ALL: Reach = Reach::Everything;

async fn opens(store: &Store, number: u8) -> bool {
    let admission = store.access("endpoint-1", [number; 32], None).await.unwrap();
    matches!(admission, Admission::Granted(_))
}

impl World {
    fn in_seconds(&self, seconds: u64) -> Timestamp {
        self.edge.now().after(Duration::from_secs(seconds))
    }

    async fn add_token(
        &self,
        stream: &Stream,
        number: u8,
        others_until: Option<Timestamp>,
    ) -> Result<Token, PortError> {
        let new = NewToken {
            id: TokenId::from_bits(number.into()),
            digest: [number; 32],
            suffix: format!("{number:04}"),
            created_at: self.edge.now(),
        };
        self.store.add_token(ALL, stream.id, new, others_until).await
    }

    /// The ids of the live tokens, each with its end.
    async fn ends(&self, stream: &Stream) -> Vec<(u128, Option<Timestamp>)> {
        let tokens = self.store.tokens(ALL, stream.id).await.unwrap();
        tokens.into_iter().map(|token| (token.id.bits(), token.expires_at)).collect()
    }

    async fn revoked(&self, stream: &Stream) -> Vec<bool> {
        let gathered = self.store.gather(stream.id, Needs::default()).await.unwrap().unwrap();
        gathered.facts.directory.tokens.iter().map(|token| token.revoked).collect()
    }
}

#[tokio::test]
async fn a_token_whose_place_is_taken_ends_by_itself_and_its_stream_has_to_say_so() {
    let (world, stream) = World::with_one_directory().await;
    let end = world.in_seconds(60);
    world.add_token(&stream, 2, Some(end)).await.unwrap();
    assert_eq!(world.ends(&stream).await, [(2, None), (1, Some(end))]);
    world.edge.pass(59);
    assert!(opens(&world.store, 1).await && opens(&world.store, 2).await);
    assert_eq!(world.store.revoke_expired_tokens().await.unwrap(), []);

    // It is void at its end, whether or not anybody has written that down.
    world.edge.pass(1);
    assert!(!opens(&world.store, 1).await && opens(&world.store, 2).await);
    assert_eq!(world.ends(&stream).await, [(2, None)]);
    let kept = world.store.keep_token(ALL, stream.id, TokenId::from_bits(1)).await;
    assert!(matches!(kept, Err(PortError::NotFound)), "{kept:?}");
    world.add_token(&stream, 3, None).await.unwrap();
    assert_eq!(world.revoked(&stream).await, [false, false, false]);
    assert_eq!(world.store.revoke_expired_tokens().await.unwrap(), [stream.id]);
    assert_eq!(world.revoked(&stream).await, [true, false, false]);
    assert_eq!(world.store.unreconciled().await.unwrap(), [stream.id]);
    assert_eq!(world.store.revoke_expired_tokens().await.unwrap(), []);
    assert_eq!(world.ends(&stream).await, [(3, None), (2, None)]);
}

#[tokio::test]
async fn an_end_outlives_a_restart() {
    let (world, stream) = World::with_one_directory().await;
    world.add_token(&stream, 2, Some(world.in_seconds(60))).await.unwrap();
    world.store.close();
    let again = world.open(world.edge.clone()).await;
    assert!(opens(&again, 1).await);
    world.edge.pass(60);
    assert!(!opens(&again, 1).await && opens(&again, 2).await);
    assert_eq!(again.revoke_expired_tokens().await.unwrap(), [stream.id]);
}

#[tokio::test]
async fn a_token_is_kept_in_time_and_no_rotation_makes_it_live_longer() {
    let (world, stream) = World::with_one_directory().await;
    let (soon, later) = (world.in_seconds(10), world.in_seconds(90));
    world.add_token(&stream, 2, Some(soon)).await.unwrap();
    let second = TokenId::from_bits(2);
    world.store.revoke_token(ALL, stream.id, second, world.edge.now()).await.unwrap();
    world.add_token(&stream, 3, Some(later)).await.unwrap();
    assert_eq!(world.ends(&stream).await, [(3, None), (1, Some(soon))]);
    let first = TokenId::from_bits(1);
    world.store.keep_token(ALL, stream.id, first).await.unwrap();
    assert_eq!(world.ends(&stream).await, [(3, None), (1, None)]);
    world.edge.pass(100);
    assert!(opens(&world.store, 1).await);
    for void in [second, TokenId::from_bits(99)] {
        let kept = world.store.keep_token(ALL, stream.id, void).await;
        assert!(matches!(kept, Err(PortError::NotFound)), "{kept:?}");
    }
    let foreign = Reach::Organization(schemas::OrganizationId::from_bits(99));
    let kept = world.store.keep_token(foreign, stream.id, first).await;
    assert!(matches!(kept, Err(PortError::NotFound)), "{kept:?}");
}

#[tokio::test]
async fn the_id_of_a_token_that_was_revoked_is_used_up() {
    let (world, stream) = World::with_one_directory().await;
    world.add_token(&stream, 2, None).await.unwrap();
    world
        .store
        .revoke_token(ALL, stream.id, TokenId::from_bits(2), world.edge.now())
        .await
        .unwrap();
    let again = NewToken {
        id: TokenId::from_bits(2),
        digest: [3; 32],
        suffix: "0003".to_owned(),
        created_at: world.edge.now(),
    };
    let end = Some(world.in_seconds(60));
    let refused = world.store.add_token(ALL, stream.id, again, end).await;
    assert!(matches!(refused, Err(PortError::Conflict(Conflict::Changed))), "{refused:?}");
    assert_eq!(world.ends(&stream).await, [(1, None)], "nothing was changed");
    assert!(!opens(&world.store, 3).await);
}

#[tokio::test]
async fn the_id_of_a_directory_is_used_up_also_when_it_is_deleted() {
    let (world, stream) = World::with_one_directory().await;
    for is_deleted in [false, true] {
        if is_deleted {
            Directories::delete(&*world.store, ALL, stream.id, world.edge.now()).await.unwrap();
        }
        let mut again = fixtures::directory(stream.organization, 7);
        again.id = stream.id;
        let refused = Directories::create(&*world.store, ALL, again).await;
        assert!(matches!(refused, Err(PortError::Conflict(Conflict::Changed))), "{refused:?}");
    }
}
