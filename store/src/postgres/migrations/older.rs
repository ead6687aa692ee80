//! A replica that knows the first two steps, and works on while a later version does all the others. Its statements
//! stand here as they were then, and stay so: they are those of a batch of the projector, of a page of the feed, of a
//! flush of deliveries and of a change of configuration.

use std::time::Duration;

use ::tests::Postgres as Server;
use tokio::sync::watch;
use tokio_postgres::{Client, Error, Statement};

use super::super::Postgres;
use super::{MIGRATIONS, apply, known};
use crate::error::DbError;

/// The number of steps that it knows.
const KNOWN: usize = 2;

const POSITION: &str = "UPDATE positions
    SET next = $2, applied_offset = $3, applied_hash = $4, passed = greatest(passed, $5)
    WHERE partition = $1 AND next = $6";

const USER: &str =
    "INSERT INTO users (directory, scim_id, user_id, name_key, external_id, email, display, active, hidden,
        created_at, updated_at, version, attributes, mapped_email, shown)
    VALUES ($1, $2, $2, $3, $3, $3, NULL, true, false, $4, $4, $4, '{}', NULL, NULL)
    ON CONFLICT (scim_id) DO UPDATE SET user_id = excluded.user_id, name_key = excluded.name_key,
        external_id = excluded.external_id, email = excluded.email, display = excluded.display,
        active = excluded.active, hidden = excluded.hidden, updated_at = excluded.updated_at,
        version = excluded.version, attributes = excluded.attributes,
        mapped_email = excluded.mapped_email, shown = excluded.shown";

const MEMBER: &str = "INSERT INTO memberships (group_key, user_key)
    SELECT 1, key FROM users WHERE scim_id = $1 ON CONFLICT DO NOTHING";

const DIRECTORY: &str =
    "UPDATE directories SET seq = $2, hash = $3, active_users = active_users + 1
    WHERE key = $1";

const FEED_END: &str = "UPDATE feed_end SET position = position + $1 RETURNING position, month";

const FEED: &str =
    "INSERT INTO feed (month, position, event_id, directory, event, seq, hash, prev, created_at, user_id,
        group_id, actor, data)
    SELECT month, position, event_id, directory, event, seq, hash, prev, created_at, user_id, group_id,
        actor::json, data::json
    FROM unnest($1::integer[], $2::bigint[], $3::bytea[], $4::bigint[], $5::text[], $6::bigint[], $7::bytea[],
        $8::bytea[], $9::bigint[], $10::bytea[], $11::bytea[], $12::text[], $13::text[])
    AS new (month, position, event_id, directory, event, seq, hash, prev, created_at, user_id, group_id,
        actor, data)";

const PAGE: &str =
    "SELECT position, event_id, directories.id, event, feed.seq, feed.hash, prev, created_at, data::text
    FROM feed JOIN directories ON directories.key = feed.directory
    WHERE position > $1 ORDER BY position LIMIT 10";

const VERSION: &str = "UPDATE configuration SET version = version + 1, endpoints = endpoints + $1,
    refreshes = refreshes + $2";

const TOKEN: &str =
    "INSERT INTO configured_tokens (id, directory, digest, suffix, created_at, is_client_secret)
    VALUES ($1, $2, $3, $4, $5, $6)";

const KNOWN_DIRECTORIES: &str =
    "SELECT id, organization, kind, endpoint_id, partition, deleting, scim, token_lifetime_s,
        debug_until, attribute_map, inactive_users, role_mapping FROM configured_directories";

const ATTEMPT: &str =
    "INSERT INTO attempts (endpoint, event_id, position, attempt, at, duration_ms, status, failure, exhausted,
        replay, answer)
    VALUES ($1, $2, $3, 1, $4, 5, 204, NULL, false, NULL, NULL)";

const FLUSH: &str = "UPDATE endpoints SET cursor = $3, attempted = attempted + 1
    WHERE id = $1 AND epoch = $2 AND holder IS NOT NULL";

const ATTEMPTS: &str =
    "SELECT key, event_id, position, attempt, at, duration_ms, status, failure, exhausted,
    replay, answer FROM attempts WHERE endpoint = $1 ORDER BY key DESC LIMIT 10";

/// What people had set up by then.
const SET_UP: &str = "
    INSERT INTO positions (partition, next, passed) VALUES (0, 0, 0);
    INSERT INTO directories (id, partition) VALUES (decode(repeat('01', 16), 'hex'), 0);
    INSERT INTO organizations (id, name, metadata, domains, created_at, updated_at)
        VALUES (decode(repeat('02', 16), 'hex'), 'Acme', '{}', '[]', 1, 1);
    INSERT INTO configured_directories (id, organization, kind, name, external_key, endpoint_id, partition,
            domains, created_at, updated_at)
        VALUES (decode(repeat('01', 16), 'hex'), decode(repeat('02', 16), 'hex'), 'generic scim v2.0', 'Okta',
            'k', 'e', 0, '[]', 1, 1);
    INSERT INTO dispatchers (id, expires_at) VALUES (decode(repeat('04', 16), 'hex'), 'infinity');
    INSERT INTO endpoints (id, url, events, enabled, delivery_order, secret, created_at, updated_at, format,
            kind, organizations, directories, cursor, holder, epoch)
        VALUES (decode(repeat('03', 16), 'hex'), 'https://app.example/', '[]', true, 'subject', '', 1, 1,
            'webhook', 'directory', '[]', '[]', 0, decode(repeat('04', 16), 'hex'), 1)";

/// A connection with everything prepared before the upgrade begins, as a pool has.
struct Older {
    client: Client,
    statements: Vec<(&'static str, Statement)>,
    done: i64,
}

impl Older {
    async fn on(server: &Server) -> Self {
        let client = server.connect().await;
        client
            .batch_execute("SET statement_timeout = '30s'; SET lock_timeout = '10s'")
            .await
            .unwrap();
        let mut statements = Vec::new();
        for sql in [
            POSITION,
            USER,
            MEMBER,
            DIRECTORY,
            FEED_END,
            FEED,
            PAGE,
            VERSION,
            TOKEN,
            KNOWN_DIRECTORIES,
            ATTEMPT,
            FLUSH,
            ATTEMPTS,
        ] {
            statements.push((sql, client.prepare(sql).await.unwrap()));
        }
        Self { client, statements, done: 0 }
    }

    /// Applies a batch, reads it back, changes the configuration and delivers. What is interrupted is done again, as
    /// every role does it.
    async fn work(&mut self) {
        loop {
            match self.round(self.done + 1).await {
                Ok(()) => break self.done += 1,
                Err(error) => {
                    let error = DbError::from(error);
                    assert!(error.is_in_the_way(), "{error:?}");
                }
            }
        }
    }

    async fn round(&mut self, at: i64) -> Result<(), Error> {
        let of = |sql: &str| {
            let found = self.statements.iter().find(|(text, _)| *text == sql);
            found.expect("it is prepared").1.clone()
        };
        let (id, hash) = (vec![1_u8; 16], vec![7_u8; 32]);
        let own = i128::from(at).to_be_bytes().to_vec();
        let tx = self.client.transaction().await?;
        let before = at - 1;
        let moved: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
            [&0_i32, &at, &at, &hash, &at, &before];
        assert_eq!(tx.execute(&of(POSITION), &moved).await?, 1);
        tx.execute(&of(USER), &[&1_i64, &own, &format!("user {at}"), &at]).await?;
        tx.execute(&of(MEMBER), &[&own]).await?;
        tx.execute(&of(DIRECTORY), &[&1_i64, &at, &hash]).await?;
        let end = tx.query_one(&of(FEED_END), &[&1_i64]).await?;
        let (position, mut month): (i64, i32) = (end.get(0), end.get(1));
        if position % 20 == 1 {
            month += 1;
            tx.batch_execute(&format!(
                "CREATE TABLE feed_{month:04} (LIKE feed INCLUDING ALL);
                 ALTER TABLE feed ATTACH PARTITION feed_{month:04} FOR VALUES FROM ({month}) TO ({});
                 INSERT INTO feed_months (month, first) VALUES ({month}, {position});
                 UPDATE feed_end SET month = {month}",
                month + 1
            ))
            .await?;
        }
        let (owner, event) = (vec![Some(own.clone())], vec!["dsync.user.created"]);
        tx.execute(
            &of(FEED),
            &[
                &vec![month],
                &vec![position],
                &vec![own.clone()],
                &vec![1_i64],
                &event,
                &vec![at],
                &vec![hash.clone()],
                &vec![hash.clone()],
                &vec![at],
                &owner,
                &vec![None::<Vec<u8>>],
                &vec!["{}"],
                &vec!["{}"],
            ],
        )
        .await?;
        let page = tx.query(&of(PAGE), &[&(position - 1)]).await?;
        assert_eq!(page.len(), 1, "what was written is read");
        tx.execute(&of(VERSION), &[&0_i64, &0_i64]).await?;
        let token: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
            [&own, &id, &own, &"last", &at, &false];
        tx.execute(&of(TOKEN), &token).await?;
        assert_eq!(tx.query(&of(KNOWN_DIRECTORIES), &[]).await?.len(), 1);
        let endpoint = vec![3_u8; 16];
        assert_eq!(tx.execute(&of(FLUSH), &[&endpoint, &1_i64, &position]).await?, 1);
        tx.execute(&of(ATTEMPT), &[&endpoint, &own, &position, &at]).await?;
        let attempts = tx.query(&of(ATTEMPTS), &[&endpoint]).await?;
        assert_eq!(attempts[0].get::<_, i64>(2), position);
        tx.commit().await
    }
}

/// A server that the older version has set up; none where there is no PostgreSQL.
async fn set_up() -> Option<Server> {
    let server = match Server::shared().await {
        Ok(server) => server,
        Err(missing) => {
            ::tests::not_checked(&missing);
            return None;
        }
    };
    let mut client = server.connect().await;
    let schema = current_schema(&client).await;
    apply(&mut client, &schema, &MIGRATIONS[..KNOWN]).await.unwrap().unwrap();
    client.batch_execute(SET_UP).await.unwrap();
    Some(server)
}

async fn current_schema(client: &Client) -> String {
    client.query_one("SELECT current_schema()::text", &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_replica_of_the_version_before_works_on_while_the_schema_is_brought_up_to_date() {
    let Some(server) = set_up().await else { return };
    let mut older = Older::on(&server).await;
    for _ in 0..25 {
        older.work().await;
    }
    let (upgraded, watched) = watch::channel(false);
    let works = async {
        while !*watched.borrow() {
            older.work().await;
        }
        let meanwhile = older.done;
        for _ in 0..25 {
            older.work().await;
        }
        meanwhile
    };
    let upgrade = async {
        // One step after the other, so that rounds fall between all of them.
        let mut client = server.connect().await;
        let schema = current_schema(&client).await;
        for steps in KNOWN + 1..=MIGRATIONS.len() {
            apply(&mut client, &schema, &MIGRATIONS[..steps]).await.unwrap().unwrap();
            tokio::task::yield_now().await;
        }
        upgraded.send_replace(true);
    };
    let (meanwhile, ()) = tokio::join!(works, upgrade);
    assert!(meanwhile > 25, "it worked during the upgrade");

    let opened = Postgres::open(server.config().clone().into()).await.unwrap();
    let counted = "SELECT (SELECT max(number) FROM migrations)::bigint, (SELECT count(*) FROM users),
        (SELECT count(*) FROM feed), (SELECT count(*) FROM attempts), (SELECT count(*) FROM configured_tokens),
        (SELECT next FROM positions), (SELECT cursor FROM endpoints), (SELECT count(user_id) FROM memberships)";
    let row = opened.client().await.unwrap().query_one(counted, &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), i64::from(known()));
    for column in 1..8 {
        assert_eq!(row.get::<_, i64>(column), older.done, "column {column}");
    }
}

#[tokio::test]
async fn a_step_that_waits_for_a_table_keeps_nothing_from_others() {
    let Some(server) = set_up().await else { return };
    let (mut long, reader) = (server.connect().await, server.connect().await);
    let reads = long.transaction().await.unwrap();
    reads.query("SELECT key FROM users", &[]).await.unwrap();
    let begun = Postgres::open(server.config().clone().into());
    let others = async {
        // The step that wants the table of users is waiting, behind others that are done.
        let waits = "SELECT count(*) FROM migrations WHERE number >= 6";
        let comes = async {
            while reader.query_one(waits, &[]).await.map_or(0, |row| row.get::<_, i64>(0)) == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), comes).await.expect("steps are done by then");
        reader.batch_execute("SET statement_timeout = '5s'").await.unwrap();
        for _ in 0..5 {
            reader.query("SELECT name_key FROM users", &[]).await.unwrap();
            reader.query(KNOWN_DIRECTORIES, &[]).await.unwrap();
            tokio::time::timeout(Duration::from_secs(5), reader.query(PAGE, &[&0_i64]))
                .await
                .unwrap()
                .unwrap();
        }
        reads.commit().await.unwrap();
    };
    let (opened, ()) = tokio::join!(begun, others);
    opened.unwrap().ready().await.unwrap();
}

#[tokio::test]
async fn memberships_that_the_version_before_writes_show_whom_apps_see() {
    let Some(server) = set_up().await else { return };
    let mut client = server.connect().await;
    let schema = current_schema(&client).await;
    apply(&mut client, &schema, MIGRATIONS).await.unwrap().unwrap();
    let seen = async |client: &Client| {
        let sql = "SELECT user_key, user_id FROM memberships ORDER BY user_key";
        let rows = client.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(1)).collect::<Vec<Option<Vec<u8>>>>()
    };
    let user = client.prepare(USER).await.unwrap();
    let put = async |client: &Client, at: i64| {
        let own = i128::from(at).to_be_bytes().to_vec();
        client.execute(&user, &[&1_i64, &own, &format!("user {at}"), &at]).await.unwrap();
        own
    };
    let (ada, bob) = (put(&client, 1).await, put(&client, 2).await);
    client.batch_execute("UPDATE users SET hidden = true WHERE key = 2").await.unwrap();
    let join = "INSERT INTO memberships (group_key, user_key) SELECT 1, key FROM users ON CONFLICT DO NOTHING";
    client.batch_execute(join).await.unwrap();
    assert_eq!(seen(&client).await, [Some(ada.clone()), None]);
    put(&client, 2).await;
    assert_eq!(seen(&client).await, [Some(ada), Some(bob.clone())], "it is seen again");
    client.batch_execute("UPDATE users SET hidden = true WHERE key = 1").await.unwrap();
    assert_eq!(seen(&client).await, [None, Some(bob)]);
}
