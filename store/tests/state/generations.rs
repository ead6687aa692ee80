//! A generation that a rebuild has made beside the state that was applied, on PostgreSQL.

use ingest::ports::Replica as _;
use projector::ProjectionStore as _;
use schemas::Change;
use tokio_postgres::Client;

use super::world::{
    P, World, group, group_gone, group_with, joins, leaves, scim, user, user_gone, user_with,
    waits_for, waits_no_more,
};

/// All that a state says, without the keys, which only that generation understands.
async fn dump(client: &Client) -> Vec<Vec<String>> {
    let queries = [
        "SELECT * FROM positions ORDER BY 1",
        "SELECT id, partition, activated, gone, stopped, seq, hash, active_users, inactive_users,
             groups, pending_members, hidden_users FROM directories ORDER BY 1",
        "SELECT directories.id, tokens.id AS token, revoked FROM tokens
             JOIN directories ON directories.key = directory ORDER BY 1, 2",
        "SELECT directories.id, scim_id, user_id, name_key, external_id, email, display, active,
             created_at, updated_at, version, attributes, hidden, mapped_email, shown FROM users
             JOIN directories ON directories.key = directory ORDER BY 2",
        "SELECT directories.id, scim_id, group_id, idp_id, name_key, external_id, display,
             created_at, updated_at, modified_at, version, attributes FROM groups
             JOIN directories ON directories.key = directory ORDER BY 2",
        "SELECT value, users.scim_id FROM emails JOIN users ON users.key = user_key ORDER BY 1, 2",
        "SELECT groups.scim_id, users.scim_id AS member FROM memberships
             JOIN groups ON groups.key = group_key JOIN users ON users.key = user_key ORDER BY 1, 2",
        "SELECT count(*) FROM memberships",
        "SELECT directories.id, groups.scim_id, value, pending_members.name_key
             FROM pending_members JOIN groups ON groups.key = group_key
             JOIN directories ON directories.key = pending_members.directory ORDER BY 2, 3",
        "SELECT feed.*, directories.id FROM feed JOIN directories ON directories.key = directory
             ORDER BY position",
        "SELECT * FROM feed_end",
        "SELECT * FROM feed_months ORDER BY 1",
        "SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema() ORDER BY 1",
    ];
    let mut dumped = Vec::new();
    for sql in queries {
        let sql = format!("SELECT (to_jsonb(said) - 'directory')::text FROM ({sql}) AS said");
        let rows = client.query(&sql, &[]).await.unwrap();
        dumped.push(rows.iter().map(|row| row.get(0)).collect());
    }
    dumped
}

#[tokio::test]
async fn a_rebuild_says_what_applying_said() {
    let (world, _) = super::rebuild::eventful().await;
    let client = client!(world);
    while world.store.sweep(P).await.unwrap() {}
    let applied = dump(&client).await;
    let generation = world.rebuild(world.scan()).await.unwrap();
    world.store.swap_in(generation).await.unwrap();
    for (query, (rebuilt, applied)) in dump(&client).await.iter().zip(&applied).enumerate() {
        assert_eq!(rebuilt, applied, "query {query}");
    }
    let left = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE current_schema() || '\\_%'";
    assert_eq!(client.query_one(left, &[]).await.unwrap().get::<_, i64>(0), 0);
}

/// A history that somebody could have lived through, in which everything happens to everyone.
struct Life {
    dice: u64,
    users: Vec<(u128, String)>,
    groups: Vec<u128>,
    next: u128,
}

impl Life {
    fn roll(&mut self, sides: usize) -> usize {
        self.dice = self
            .dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.dice >> 33) % sides as u64).unwrap()
    }

    fn someone(&mut self) -> Option<usize> {
        if self.users.is_empty() { None } else { Some(self.roll(self.users.len())) }
    }

    fn changed(&mut self, at: usize) -> Change {
        let (number, name) = self.users[at].clone();
        let email = self.roll(5);
        let more = [
            String::new(),
            r#","active":false"#.to_owned(),
            format!(r#","emails":[{{"value":"a{email}@x.test"}},{{"value":"B{email}@x.test"}}]"#),
            format!(r#","externalId":"e{email}","displayName":"D""#),
        ];
        let mut change = user_with(number, &name, &more[self.roll(4)]);
        if let Change::User { shown, .. } = &mut change {
            shown.hidden = self.roll(5) == 0;
        }
        change
    }

    fn next(&mut self) -> Option<Change> {
        self.next += 1;
        let number = self.next;
        let group = if self.groups.is_empty() { 0 } else { self.roll(self.groups.len()) };
        match self.roll(12) {
            0 | 1 => {
                self.users.push((number, format!("User{number}")));
                Some(self.changed(self.users.len() - 1))
            }
            2 => {
                self.groups.push(number);
                Some(group_with(number, &format!("G{number}"), ""))
            }
            3 => self.someone().map(|at| self.changed(at)),
            4 => {
                // The name of somebody who has gone is free, in the same batch too.
                let (at, gone) = (self.someone()?, self.someone()?);
                if at == gone {
                    return None;
                }
                let (who, _) = self.users.swap_remove(gone);
                Some(user_gone(who))
            }
            5 if self.groups.len() > 3 => Some(group_gone(self.groups.swap_remove(group))),
            6 => self.groups.get(group).map(|of| group_with(*of, &format!("R{number}"), "")),
            7 => {
                let value = format!("v{}", self.roll(4));
                self.groups.get(group).map(|of| waits_for(*of, &value))
            }
            8 => {
                let value = format!("v{}", self.roll(4));
                self.groups.get(group).map(|of| waits_no_more(*of, &value))
            }
            9 => {
                let at = self.someone()?;
                self.groups.get(group).map(|of| leaves(*of, self.users[at].0))
            }
            _ => {
                let at = self.someone()?;
                self.groups.get(group).map(|of| joins(*of, self.users[at].0))
            }
        }
    }
}

#[tokio::test]
async fn any_history_leaves_the_same_state_in_whatever_batches_it_is_applied() {
    for seed in 1..=8 {
        let (mut world, mut stream) = World::with_one_directory().await;
        let client = client!(world);
        let mut life = Life { dice: seed, users: Vec::new(), groups: Vec::new(), next: 0 };
        for _ in 0..25 {
            let length = 1 + life.roll(30);
            let changes: Vec<Change> = (0..length).filter_map(|_| life.next()).collect();
            if !changes.is_empty() {
                world.add(&mut stream, changes).await;
            }
        }
        let applied = dump(&client).await;
        let generation = world.rebuild(world.scan()).await.unwrap();
        world.store.swap_in(generation).await.unwrap();
        for (query, (rebuilt, applied)) in dump(&client).await.iter().zip(&applied).enumerate() {
            assert_eq!(rebuilt, applied, "seed {seed}, query {query}");
        }
    }
}

#[tokio::test]
async fn a_store_that_is_open_goes_on_with_the_state_that_was_swapped_in() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let client = client!(world);
    world.add(&mut stream, vec![user(1), group(10), joins(10, 1)]).await;
    assert!(world.store.user(stream.id, scim(1)).await.unwrap().is_some());
    assert_eq!(world.place.damage("DELETE FROM users").await, 1);
    let generation = world.rebuild(world.scan()).await.unwrap();
    world.store.swap_in(generation).await.unwrap();
    assert!(world.store.user(stream.id, scim(1)).await.unwrap().is_some());
    world.add(&mut stream, vec![user(2)]).await;
    assert!(world.store.user(stream.id, scim(2)).await.unwrap().is_some());
    drop(client);
}

#[tokio::test]
async fn a_generation_that_a_projector_has_left_behind_is_not_swapped_in() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let _client = client!(world);
    world.add(&mut stream, vec![user(1)]).await;
    let generation = world.rebuild(world.scan()).await.unwrap();
    world.add(&mut stream, vec![user(2)]).await;
    assert!(world.store.swap_in(generation).await.is_err());
    assert!(world.store.user(stream.id, scim(2)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_generation_is_not_swapped_in_beside_a_projector_that_moved_even_if_it_has_all() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let _client = client!(world);
    world.add(&mut stream, vec![user(1)]).await;
    let scratch = tempfile::tempdir().unwrap();
    let begun = world.store.new_generation(1, scratch.path()).await.unwrap();
    world.add(&mut stream, vec![user(2)]).await;
    let generation = World::fill(begun, vec![world.scan()]).await.unwrap();
    assert!(world.store.swap_in(generation).await.is_err());
    world.add(&mut stream, vec![user(3)]).await;
    assert!(world.store.user(stream.id, scim(3)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_feed_that_reaches_behind_its_end_is_mended_by_a_rebuild() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let _client = client!(world);
    world.add(&mut stream, vec![user(1), user(2)]).await;
    assert_eq!(world.place.damage("UPDATE feed_end SET position = 1").await, 1);
    let generation = world.rebuild(world.scan()).await.unwrap();
    world.store.swap_in(generation).await.unwrap();
    world.add(&mut stream, vec![user(3)]).await;
    assert!(world.store.user(stream.id, scim(3)).await.unwrap().is_some());
}

#[tokio::test]
async fn nobody_rebuilds_beside_somebody_who_does() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let _client = client!(world);
    world.add(&mut stream, vec![user(1)]).await;
    let scratch = tempfile::tempdir().unwrap();
    let first = world.store.new_generation(1, scratch.path()).await.unwrap();
    let second = world.store.new_generation(1, scratch.path()).await;
    assert!(matches!(second, Err(store::OpenError::Rebuilding { .. })), "{second:?}");
    let first = World::fill(first, vec![world.scan()]).await.unwrap();
    world.store.swap_in(first).await.unwrap();
    // Its connection ends behind it.
    let next = tests::server::eventually("room for the next", async || {
        world.store.new_generation(1, scratch.path()).await.ok()
    });
    let next = World::fill(next.await, vec![world.scan()]).await.unwrap();
    world.store.swap_in(next).await.unwrap();
}
