//! How PostgreSQL finds what is asked for: by an index, and without reading much more than it returns.
//!
//! The server writes the plan of every statement to its log, with how many rows each of its steps has seen. So what
//! is checked here is what the store really asks, with the parameters of the question.

use api::ports::{Cursor, Directories, EventFilter, NewToken, Order, PageRequest, Reach, Reading};
use directory::Needs;
use ingest::ports::{Admission, Replica};
use schemas::{Change, Edge as _, TokenId};
use tests::Postgres;
use tests::server::eventually;
use tokio_postgres::Client;

use super::world::{Still, Stream, World, event_id, group, joins, scim, user};
use crate::server::Server;

mod lists;

/// How many users and how many events the directory has.
const MANY: i64 = 40_000;

/// How many rows any step may see: a chunk of a list, twice over, and one more.
const STEP_MAX: u64 = 4_001;

/// And of attempts, for how an endpoint does.
const RATED_MAX: u64 = 10_000;

const SETTINGS: &str = "
    ALTER DATABASE postgres SET session_preload_libraries = 'auto_explain';
    ALTER DATABASE postgres SET auto_explain.log_min_duration = 0;
    ALTER DATABASE postgres SET auto_explain.log_analyze = on;
    ALTER DATABASE postgres SET auto_explain.log_timing = off;
    ALTER DATABASE postgres SET log_min_messages = log;";

/// A large directory beside the small one of the same organization.
const FILL: &str = "
    INSERT INTO users (directory, scim_id, user_id, name_key, external_id, email, active, hidden,
        created_at, updated_at, version, attributes)
    SELECT 1, decode(lpad(to_hex(n), 32, '0'), 'hex'), decode(lpad(to_hex(n), 32, '0'), 'hex'), 'user' || n,
        'ext-' || n, 'user' || n || '@x.test', n % 1000 <> 1, n % 999 = 0, n, n, n,
        json_build_object('userName', 'User' || n, 'externalId', 'ext-' || n, 'active', n % 1000 <> 1,
            'emails', json_build_array(json_build_object('value', 'user' || n || '@x.test', 'type', 'work')))
    FROM generate_series(1000, 1000 + $1::bigint) AS n;
    INSERT INTO memberships SELECT (SELECT min(key) FROM groups), key FROM users WHERE key % 2000 = 0
        ON CONFLICT DO NOTHING;
    INSERT INTO memberships SELECT (SELECT max(key) FROM groups), key FROM users;
    INSERT INTO feed SELECT month, n, decode(lpad(to_hex(n * 10), 32, '0'), 'hex'), 1, 'dsync.user.updated', n,
        decode(lpad(to_hex(n), 64, '0'), 'hex'), decode(lpad(to_hex(n), 64, '0'), 'hex'), 10000 + n,
        decode(lpad(to_hex(1000 + n), 32, '0'), 'hex'), NULL, '{}', '{}'
    FROM feed_months, generate_series((SELECT position + 1 FROM feed_end), $1::bigint) AS n;
    UPDATE feed_end SET position = $1::bigint;
    INSERT INTO feed_times SELECT block, earliest, max(latest) OVER (ORDER BY block)
    FROM (SELECT (position - 1) / 1024 AS block, min(created_at) AS earliest, max(created_at) AS latest
          FROM feed GROUP BY 1) AS blocks
    WHERE (block + 1) * 1024 <= (SELECT position FROM feed_end);
    UPDATE directories SET active_users = $1::bigint, seq = $1::bigint WHERE key = 1;";

/// Attempts to send all of it, of which the early ones failed, and more customers.
const FILL_CONFIGURATION: &str = "
    INSERT INTO attempts (endpoint, event_id, position, attempt, at, duration_ms, status, failure, exhausted)
    SELECT (SELECT id FROM endpoints LIMIT 1), decode(lpad(to_hex(n * 10), 32, '0'), 'hex'), n, 1, 10000 + n, 5,
        CASE WHEN n < 100 THEN 500 ELSE 200 END, CASE WHEN n < 100 THEN 'status' END, false
    FROM generate_series(1, $1::bigint) AS n;
    INSERT INTO organizations (id, name, metadata, domains, created_at, updated_at)
    SELECT decode(lpad(to_hex(1000 + n), 32, '0'), 'hex'), 'Customer ' || n, '{}', '[]', n, n
    FROM generate_series(1, $1::bigint) AS n;
    INSERT INTO refreshes (directory, version, finished) SELECT id, 1, true FROM configured_directories;
    INSERT INTO admin_events (id, action, actor_kind, actor, organization, targets, fields, unrecorded, outcome)
    SELECT decode(lpad(to_hex(n), 12, '0') || repeat('0', 20), 'hex'),
        CASE n WHEN 1 THEN 'api_key.deleted' ELSE 'api_key.created' END, 'console',
        CASE n % 2 WHEN 0 THEN 'admin' ELSE 'ada@acme.example' END,
        CASE n % 3 WHEN 0 THEN decode(lpad(to_hex(n % 100), 32, '0'), 'hex') END, '[]', '[]', 0, 'done'
    FROM generate_series(1, $1::bigint) AS n;";

struct Plans {
    world: World,
    client: Client,
    read: usize,
}

impl Plans {
    async fn fill(&mut self) {
        self.run(FILL).await;
    }

    async fn run(&mut self, script: &str) {
        for sql in script.split(';').filter(|sql| !sql.trim().is_empty()) {
            if sql.contains("$1") {
                self.client.execute(sql, &[&MANY]).await.unwrap();
            } else {
                self.client.execute(sql, &[]).await.unwrap();
            }
        }
        self.read().await;
    }

    async fn read(&mut self) -> Vec<String> {
        // What the server has sent, it has written before.
        self.client.simple_query("SELECT 1").await.unwrap();
        let log = self.world.place.log().unwrap();
        let new = log[self.read..].to_owned();
        self.read = log.len();
        new.split("duration: ").filter(|part| part.contains("plan:")).map(str::to_owned).collect()
    }

    /// What was asked since the last time has read little.
    async fn are_frugal(&mut self, what: &str) {
        let plans = self.read().await;
        assert!(!plans.is_empty(), "{what}: nothing was asked");
        for plan in plans {
            for line in plan.lines() {
                let walks = [
                    "users",
                    "groups",
                    "memberships",
                    "emails",
                    "feed_1970_01",
                    "attempts",
                    "organizations",
                    "admin_events",
                ];
                let is_walk = |table: &&str| line.contains(&format!("Seq Scan on {table}"));
                assert!(!walks.iter().any(is_walk), "{what}:\n{plan}");
                assert!(seen(line) <= STEP_MAX, "{what}: {line}\n{plan}");
            }
        }
    }

    /// What was asked since the last time was led by this index.
    async fn are_led_by(&mut self, index: &str, what: &str) {
        let plans = self.read().await;
        let is_led = |plan: &String| plan.contains(&format!("using {index} on "));
        assert!(plans.iter().any(is_led), "{what}:\n{}", plans.join("\n"));
    }
}

/// How many rows the step in this line of a plan has seen.
fn seen(line: &str) -> u64 {
    let number = |before: &str| {
        let (_, behind) = line.rsplit_once(before)?;
        let end = behind.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(behind.len());
        behind[..end].parse::<u64>().ok()
    };
    if line.contains("Rows Removed by") {
        return number(": ").unwrap_or(0);
    }
    let loops = number("loops=").unwrap_or(1);
    let rows = if line.contains("(actual rows=") { number("(actual rows=") } else { None };
    rows.unwrap_or(0) * loops
}

async fn filled() -> Option<(Plans, Stream)> {
    let (mut plans, stream) = small().await?;
    plans.fill().await;
    Some((plans, stream))
}

async fn small() -> Option<(Plans, Stream)> {
    let postgres = Postgres::start().await.ok()?;
    postgres.log()?;
    let client = postgres.connect().await;
    client.batch_execute(SETTINGS).await.unwrap();
    drop(client);
    let mut world = World::at(Server::on(Ok(postgres)).await).await;
    let organization = world.organization(1).await;
    let mut stream = world.directory(organization, 1).await;
    let mut other = world.directory(organization, 2).await;
    let changes = vec![Change::DirectoryActivated, user(1), group(10), group(11), joins(10, 1)];
    world.add(&mut stream, changes).await;
    world.add(&mut other, vec![user(900)]).await;
    let client = world.place.client().await.unwrap();
    Some((Plans { world, client, read: 0 }, stream))
}

#[tokio::test]
async fn a_replica_reads_again_what_another_has_changed_and_no_more() {
    let Some((mut plans, stream)) = small().await else {
        tests::not_checked(&"there is no PostgreSQL of our own here");
        return;
    };
    let store = plans.world.store.clone();
    let edge = std::sync::Arc::<Still>::default();
    for _ in 0..100 {
        edge.id();
        edge.secret();
    }
    let other = plans.world.open(edge).await;
    plans.read().await;
    let (id, digest) = (TokenId::from_bits(1_000), [100; 32]);
    let created_at = schemas::Timestamp::from_millis(1);
    let token = NewToken { id, digest, suffix: "c3d4".into(), created_at };
    let directory = Directories::get(&*store, Reach::Everything, stream.id).await.unwrap();
    let is_let_in = async |wanted: bool| {
        let admission = other.access(&directory.endpoint_id, digest, None).await.unwrap();
        (matches!(admission, Admission::Granted(_)) == wanted).then_some(())
    };
    // It may have been looking just as it was opened.
    store.add_token(Reach::Everything, stream.id, token, None).await.unwrap();
    eventually("the token at the other", async || is_let_in(true).await).await;
    plans.read().await;
    store.revoke_token(Reach::Everything, stream.id, id, created_at).await.unwrap();
    eventually("that it is void", async || is_let_in(false).await).await;
    let asked = plans.read().await;
    let reads = |plan: &&String| plan.contains("FROM configured_directories");
    let reads: Vec<&String> = asked.iter().filter(reads).collect();
    assert!(reads.len() > 1, "both replicas have read what has changed");
    for plan in reads {
        assert!(plan.contains("WHERE id = $1"), "all of them were read:\n{plan}");
    }
}

#[tokio::test]
async fn a_page_of_events_of_many_directories_takes_a_few_questions() {
    let Some((mut plans, stream)) = small().await else {
        tests::not_checked(&"there is no PostgreSQL of our own here");
        return;
    };
    for number in 3..33 {
        let mut one = plans.world.directory(stream.organization, number).await;
        plans.world.add(&mut one, vec![user(1_000 + u128::from(number))]).await;
    }
    let store = plans.world.store.clone();
    let of = EventFilter { organization: Some(stream.organization), ..EventFilter::default() };
    for cursor in [None, Some(Cursor::After(event_id(20)))] {
        plans.read().await;
        let (reach, order) = (Reach::Everything, Order::Descending);
        let page = PageRequest { reach, limit: 10, order, cursor };
        let found = Reading::events(&*store, page, of.clone()).await;
        assert_eq!(found.unwrap().items.len(), 10);
        let asked = plans.read().await;
        assert!(asked.len() < 12, "{} questions for {cursor:?}", asked.len());
    }
}

/// The first customers are there within a minute, and nobody has counted rows by then.
#[tokio::test]
async fn names_are_found_at_once_where_their_plans_were_made_when_the_directory_was_small() {
    let Some((mut plans, stream)) = small().await else {
        tests::not_checked(&"there is no PostgreSQL of our own here");
        return;
    };
    let store = plans.world.store.clone();
    let needs = || Needs {
        user_names: ["user5000".to_owned(), "nobody".to_owned()].into(),
        ..Needs::default()
    };
    // So often a statement is planned anew before its plan is kept.
    for _ in 0..10 {
        Replica::gather(&*store, stream.id, needs()).await.unwrap();
    }
    plans.fill().await;
    let gathered = Replica::gather(&*store, stream.id, needs()).await.unwrap().unwrap().facts;
    assert_eq!(gathered.user_names["user5000"], Some(scim(5_000)));
    assert_eq!(gathered.user_names["nobody"], None);
    plans.are_frugal("names").await;
}
