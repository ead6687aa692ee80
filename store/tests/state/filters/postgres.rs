//! What PostgreSQL makes of texts, moments and ids in a filter.

use std::collections::BTreeMap;

use schemas::{ScimId, Timestamp};
use store::filter::{self, Dialect as _};
use tests::Postgres;
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

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

/// The texts of a query's only column.
async fn column(client: &Client, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Vec<String> {
    let rows = client.query(sql, parameters).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}
