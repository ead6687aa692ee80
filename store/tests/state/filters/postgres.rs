//! The same filters on PostgreSQL.

use std::collections::BTreeMap;

use proptest::test_runner::TestRunner;
use schemas::scim::Attributes;
use schemas::{ScimId, Timestamp};
use store::filter::{self, Dialect, Parameter, Table, compile};
use tests::Postgres;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::filters::generated::{BASE, Case, Generated, ON_GROUPS, ON_USERS, generated};

/// Ends the test, aloud, where there is no PostgreSQL.
macro_rules! postgres {
    () => {
        match Postgres::start().await {
            Ok(postgres) => postgres,
            Err(missing) => {
                tests::not_checked(&missing);
                return;
            }
        }
    };
}

#[tokio::test]
async fn a_filter_finds_in_postgresql_what_it_finds_in_memory() {
    let postgres = postgres!();
    let client = postgres.connect().await;
    let mut runner = TestRunner::deterministic();
    let generated = generated(&mut runner).await;
    load(&client, &generated).await;
    for (name, table, cases) in [
        ("users", filter::USERS, generated.filters(&ON_USERS, &mut runner)),
        ("groups", filter::GROUPS, generated.filters(&ON_GROUPS, &mut runner)),
    ] {
        for case in cases {
            let found = find(&client, name, &table, &case).await;
            assert_eq!(found, case.expected, "{name}: {}", case.text);
        }
    }
}

#[tokio::test]
async fn a_text_loses_its_case_in_postgresql_as_in_memory() {
    // A sigma ends a word or not by what is around it, and what is between does not count.
    const TEXTS: &[&str] = &[
        "ΑΣ",
        "ΑΣ ΒΣ. Σ",
        "ΑΣ\u{301}",
        "Σ\u{301}Α",
        "ΑΣΑ",
        "Α.Σ.Α",
        "Α.Σ.",
        "ά-Σ",
        "1Σ",
        "ΑΣ\u{ad}Α",
        "ΑΣ'Α",
        "ΑΣ’",
        "İI",
        "STRASSE",
        "ẞ",
        "ǅ",
        "𐐀Σ",
        "ＡΣ",
    ];
    let postgres = postgres!();
    let client = postgres.connect().await;
    let fold = filter::Postgres::fold;
    let sql = format!("SELECT {} FROM unnest($1::text[]) AS text", fold("text"));
    let folded: Vec<String> = column(&client, &sql, &[&TEXTS]).await;
    assert_eq!(folded, TEXTS.iter().map(|text| text.to_lowercase()).collect::<Vec<_>>());

    // Not zero, which no text of PostgreSQL holds, and no surrogates.
    let sql = format!(
        "SELECT chr(code) || {folded} FROM generate_series(1, x'10ffff'::int) AS code
         WHERE code NOT BETWEEN x'd800'::int AND x'dfff'::int AND {folded} <> chr(code)",
        folded = fold("chr(code)")
    );
    let theirs: Vec<String> = column(&client, &sql, &[]).await;
    let theirs = theirs.iter().map(|pair| {
        let letter = pair.chars().next().unwrap();
        (letter, pair[letter.len_utf8()..].to_owned())
    });
    let theirs: BTreeMap<char, String> = theirs.collect();
    let ours = ('\u{1}'..=char::MAX).map(|letter| (letter, String::from(letter).to_lowercase()));
    let ours: BTreeMap<char, String> =
        ours.filter(|(letter, folded)| *folded != letter.to_string()).collect();
    // A letter that is younger than the Unicode of one of the two has no case there.
    for (letter, folded) in &ours {
        assert!(theirs.get(letter).is_none_or(|theirs| theirs == folded), "{letter:?}");
    }
    let known = ours.keys().filter(|letter| theirs.contains_key(letter)).count();
    assert!(known > 1_300, "{known} letters have a case in both");
}

#[tokio::test]
async fn postgresql_writes_moments_and_ids_as_scim_does() {
    let postgres = postgres!();
    let client = postgres.connect().await;
    let times = [0, 5, 999, 1_772_446_530_120, 253_402_207_199_999].map(Timestamp::from_millis);
    let millis: Vec<_> = times.iter().map(|time| time.millis()).collect();
    let sql = format!("SELECT {} FROM unnest($1::bigint[]) AS at", filter::Postgres::moment("at"));
    let written: Vec<String> = column(&client, &sql, &[&millis]).await;
    assert_eq!(written, times.map(|time| time.to_string()));

    let id = ScimId::from_bits(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
    let sql = format!("SELECT {}", filter::Postgres::uuid("$1::bytea"));
    let written: Vec<String> = column(&client, &sql, &[&&id.to_bytes()[..]]).await;
    assert_eq!(written, [id.to_string()]);
}

async fn load(client: &Client, generated: &Generated) {
    const USER: &str = "INSERT INTO users VALUES ($1, $2, $3, $4, $5, $6, $7::text::json,
        coalesce(($7::text::json ->> 'active')::boolean, TRUE))";
    const GROUP: &str = "INSERT INTO groups VALUES ($1, $2, $3, $4, $5, $6, $7::text::json)";
    client.batch_execute(filter::Postgres::SETTINGS).await.unwrap();
    client.batch_execute(include_str!("postgres.sql")).await.unwrap();
    let mut keys = BTreeMap::new();
    for (view, key) in generated.users.iter().zip(1_i64..) {
        let user = &view.user;
        keys.insert(user.id.to_bytes(), key);
        let times = [user.created_at, user.updated_at].map(Timestamp::millis);
        insert(client, USER, key, user.id, &user.attributes, times, user.version.0).await;
    }
    for ((group, members), key) in generated.groups.iter().zip(1_i64..) {
        let times = [group.created_at, group.modified_at].map(Timestamp::millis);
        insert(client, GROUP, key, group.id, &group.attributes, times, group.version.0).await;
        let members: Vec<_> = members.iter().map(|of| keys[&of.user.id.to_bytes()]).collect();
        let sql = "INSERT INTO memberships SELECT $1, unnest($2::bigint[])";
        client.execute(sql, &[&key, &members]).await.unwrap();
    }
}

async fn insert(
    client: &Client,
    sql: &str,
    key: i64,
    id: ScimId,
    attributes: &Attributes,
    [created, modified]: [i64; 2],
    version: u64,
) {
    let id = &id.to_bytes()[..];
    let display = directory::resource::text(attributes, "displayName");
    let version = i64::try_from(version).unwrap();
    let attributes = serde_json::to_string(attributes).unwrap();
    let row: [&(dyn ToSql + Sync); 7] =
        [&key, &id, &display, &created, &modified, &version, &attributes];
    client.execute(sql, &row).await.unwrap();
}

async fn find(client: &Client, name: &str, table: &Table, case: &Case) -> Vec<ScimId> {
    let (condition, parameters) = compile::<filter::Postgres>(&case.filter, table, BASE, 1);
    let sql = format!("SELECT scim_id FROM {name} WHERE {condition} ORDER BY key");
    let parameters: Vec<_> = parameters.iter().map(typed).collect();
    let rows = client.query_typed(&sql, &parameters).await;
    let rows = rows.unwrap_or_else(|error| panic!("{}: {error:?}: {sql}", case.text));
    let ids = rows.iter().map(|row| row.get::<_, &[u8]>(0));
    ids.map(|bytes| ScimId::from_bytes(bytes.try_into().unwrap())).collect()
}

fn typed(parameter: &Parameter) -> (&(dyn ToSql + Sync), Type) {
    match parameter {
        Parameter::Text(text) => (text, Type::TEXT),
        Parameter::Integer(number) => (number, Type::INT8),
        Parameter::Real(number) => (number, Type::FLOAT8),
        Parameter::Bytes(bytes) => (bytes, Type::BYTEA),
    }
}

/// The texts of a query's only column.
async fn column(client: &Client, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Vec<String> {
    let rows = client.query(sql, parameters).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}
