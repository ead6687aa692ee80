//! What a step may do while replicas of the version before work with the same tables: read from the files themselves,
//! statement by statement. What is not known to be harmless is refused.

use std::collections::BTreeSet;

use super::{MIGRATIONS, number_of};

/// Why a statement is refused. Each says what it would do to a replica of the version before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// It asks for a table or a column that is gone, or has another name or type.
    TakesAway,
    /// It writes rows that are refused now.
    Forbids,
    /// Its writes wait for as long as the table is read or written as a whole. An index can be built beside them
    /// (`CONCURRENTLY`), outside a transaction and on each month of the feed by itself: the first step that needs one
    /// brings the way to run it.
    HoldsUp,
    /// Its lists walk along that index.
    SlowsDown,
    /// Its rows are changed under it, and those that it writes afterwards are not.
    Rewrites,
    /// Nobody has thought about it.
    Unknown,
}

use Refusal::{Forbids, HoldsUp, Rewrites, SlowsDown, TakesAway, Unknown};

/// How many steps the first release knows. Until there is one, that is all of them.
const FIRST_RELEASE: i32 = 15;

/// Statements that the rules refuse, and why they stand all the same: they were there before anything was released, so
/// the tables that they change were empty or small wherever they ran.
const ALLOWED: &[(i32, &str, Refusal, &str)] = &[
    (6, "CREATE INDEX attempts_failed", HoldsUp, "attempts go after days, and flushes wait 10 s"),
    (
        7,
        "UPDATE users",
        Rewrites,
        "values over 2,048 bytes alone, which no index takes as they are",
    ),
    (7, "UPDATE emails", Rewrites, "the same"),
    (7, "UPDATE groups", Rewrites, "the same"),
    (7, "DROP INDEX users_mapped_idp_id", SlowsDown, "made again, of what an index takes"),
    (7, "CREATE INDEX users_mapped_idp_id", HoldsUp, "few users are mapped"),
    (7, "CREATE INDEX directories_gone", HoldsUp, "directories are thousands"),
    (9, "CREATE INDEX directories_stopped", HoldsUp, "the same"),
    (10, "CREATE INDEX attempts_event", HoldsUp, "attempts go after days, and flushes wait 10 s"),
    (11, "DROP INDEX users_directory", SlowsDown, "made again in the same step, and narrower"),
    (11, "CREATE INDEX users_directory", HoldsUp, "before the first release"),
    (11, "CREATE INDEX users_seen", HoldsUp, "before the first release"),
    (11, "CREATE INDEX feed_event", HoldsUp, "before the first release"),
    (11, "CREATE INDEX feed_directory_event", HoldsUp, "before the first release"),
    (11, "CREATE INDEX feed_stream", HoldsUp, "before the first release"),
    (12, "DROP INDEX attempts_endpoint", SlowsDown, "made again in the same step"),
    (12, "CREATE INDEX attempts_endpoint", HoldsUp, "attempts go after days"),
    (12, "DROP INDEX attempts_failed", SlowsDown, "made again in the same step"),
    (12, "CREATE INDEX attempts_failed", HoldsUp, "attempts go after days"),
    (12, "CREATE INDEX IF NOT EXISTS attempts_event", HoldsUp, "there since step 10"),
    (13, "UPDATE memberships", Rewrites, "triggers do the same for what is written afterwards"),
    (13, "CREATE TRIGGER user_of_membership", Rewrites, "a column that it does not know"),
    (13, "CREATE TRIGGER memberships_of_user", Rewrites, "the same"),
    (13, "CREATE INDEX memberships_user_id", HoldsUp, "before the first release"),
];

/// The statements of a file, each on one line, without what is said about them.
fn statements(sql: &str) -> Vec<String> {
    // What a function does is not looked at: nobody calls it unless a trigger does.
    let outside: String = sql.split("$$").step_by(2).collect();
    let said = outside.lines().map(|line| line.split("--").next().unwrap_or_default());
    let text = said.collect::<Vec<_>>().join(" ");
    let whole = |part: &str| part.split_whitespace().collect::<Vec<_>>().join(" ");
    text.split(';').map(whole).filter(|statement| !statement.is_empty()).collect()
}

/// Whether a replica of the version before lives on. `new` are the tables that the same step has made, which it does
/// not know.
fn check(statement: &str, new: &mut BTreeSet<String>) -> Result<(), Refusal> {
    let words: Vec<&str> = statement
        .split([' ', '(', ')', ','])
        .filter(|word| !word.is_empty() && !["IF", "NOT", "EXISTS"].contains(word))
        .collect();
    let is_new = |table: &str| new.contains(table);
    match words[..] {
        ["CREATE", "TABLE", table, ..] => {
            new.insert(table.to_owned());
            Ok(())
        }
        ["CREATE", "INDEX", _, "ON", table, ..] if !is_new(table) => Err(HoldsUp),
        ["CREATE", "UNIQUE", "INDEX", _, "ON", table, ..] if !is_new(table) => Err(Forbids),
        ["CREATE", "INDEX", ..] | ["CREATE", "UNIQUE", "INDEX", ..] => Ok(()),
        ["INSERT", "INTO", table, ..] | ["UPDATE", table, ..] if is_new(table) => Ok(()),
        ["INSERT" | "UPDATE" | "DELETE", ..] => Err(Rewrites),
        ["CREATE", "FUNCTION", ..] => Ok(()),
        ["CREATE", "TRIGGER", ..] if is_new(on(&words)) => Ok(()),
        ["CREATE", "TRIGGER", ..] => Err(Rewrites),
        ["ALTER", "TABLE", table, ..] if is_new(table) => Ok(()),
        ["ALTER", "TABLE", _, "ADD", "COLUMN", _, ..] => column(statement),
        ["ALTER", "TABLE", _, "ADD", "CONSTRAINT", ..] => Err(Forbids),
        ["ALTER", "TABLE", _, "DROP" | "RENAME", ..] => Err(TakesAway),
        ["ALTER", "TABLE", _, "ALTER", ..] => Err(TakesAway),
        ["DROP", "INDEX", ..] => Err(SlowsDown),
        ["DROP", ..] | ["TRUNCATE", ..] => Err(TakesAway),
        _ => Err(Unknown),
    }
}

/// The table that a trigger is on.
fn on<'a>(words: &[&'a str]) -> &'a str {
    words.iter().skip_while(|word| **word != "ON").nth(1).copied().unwrap_or_default()
}

/// A column that an older replica does not write: it has to be right without, and to cost no rewriting of the rows.
fn column(statement: &str) -> Result<(), Refusal> {
    if statement.contains(',') {
        return Err(Unknown); // One change to a statement, so that each is looked at.
    }
    if ["UNIQUE", "PRIMARY KEY", "REFERENCES", "CHECK"].iter().any(|word| statement.contains(word))
    {
        return Err(Forbids);
    }
    let default = statement.split_once(" DEFAULT ").map(|(_, default)| default);
    if default.is_none() && statement.contains("NOT NULL") {
        return Err(Forbids);
    }
    let is_constant = default
        .is_none_or(|it| it.starts_with(|it: char| it == '\'' || it.is_ascii_digit()))
        || ["true", "false"].iter().any(|word| default == Some(word));
    if is_constant && !statement.contains("GENERATED") { Ok(()) } else { Err(HoldsUp) }
}

#[test]
fn no_step_harms_a_replica_of_the_version_before() {
    let mut used = BTreeSet::new();
    for (step, number) in MIGRATIONS.iter().zip(1_i32..) {
        let mut new = BTreeSet::new();
        for statement in statements(step.sql) {
            let Err(refusal) = check(&statement, &mut new) else { continue };
            let allowed = ALLOWED.iter().position(|(of, begins, why, _)| {
                let rest = statement.strip_prefix(begins);
                (*of, *why) == (number, refusal)
                    && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
            });
            let allowed = allowed
                .unwrap_or_else(|| panic!("step {number} is refused, {refusal:?}: {statement}"));
            used.insert(allowed);
        }
    }
    assert_eq!(used.len(), ALLOWED.len(), "each exception is one");
    assert!(ALLOWED.iter().all(|(number, ..)| *number <= FIRST_RELEASE), "there are no later ones");
}

#[test]
fn no_step_gives_up_versions_without_saying_since_when() {
    for (step, number) in MIGRATIONS.iter().zip(1_i32..) {
        assert!((1..=number).contains(&step.works_since), "step {number}");
    }
    assert_eq!(number_of(MIGRATIONS.len()), super::known());
}

#[test]
fn what_an_older_replica_would_stumble_over_is_refused() {
    for (statement, refusal) in [
        ("DROP TABLE emails", TakesAway),
        ("ALTER TABLE users DROP COLUMN email", TakesAway),
        ("ALTER TABLE users RENAME COLUMN email TO mail", TakesAway),
        ("ALTER TABLE users RENAME TO people", TakesAway),
        ("ALTER TABLE attempts ALTER COLUMN position TYPE integer", TakesAway),
        ("ALTER TABLE users ALTER COLUMN email SET NOT NULL", TakesAway),
        ("TRUNCATE attempts", TakesAway),
        ("ALTER TABLE users ADD COLUMN kind text NOT NULL", Forbids),
        ("ALTER TABLE users ADD COLUMN badge text UNIQUE", Forbids),
        ("ALTER TABLE users ADD COLUMN age bigint CHECK (age > 0)", Forbids),
        ("ALTER TABLE users ADD CONSTRAINT one_email UNIQUE (email)", Forbids),
        ("CREATE UNIQUE INDEX users_badge ON users (email)", Forbids),
        ("CREATE INDEX users_display ON users (display)", HoldsUp),
        ("ALTER TABLE users ADD COLUMN at timestamptz DEFAULT clock_timestamp()", HoldsUp),
        ("ALTER TABLE users ADD COLUMN low text GENERATED ALWAYS AS (email) STORED", HoldsUp),
        ("DROP INDEX users_email", SlowsDown),
        ("UPDATE users SET email = NULL", Rewrites),
        ("DELETE FROM emails", Rewrites),
        ("INSERT INTO configuration DEFAULT VALUES", Rewrites),
        ("CREATE TRIGGER shout BEFORE INSERT ON users EXECUTE FUNCTION shout()", Rewrites),
        ("ALTER TABLE users ADD COLUMN a text, DROP COLUMN email", Unknown),
        ("LOCK TABLE users", Unknown),
    ] {
        assert_eq!(check(statement, &mut BTreeSet::new()), Err(refusal), "{statement}");
    }
}

#[test]
fn what_adds_is_not() {
    let sql = "-- A table; of its own.
        CREATE TABLE notes (key bigint PRIMARY KEY, text text NOT NULL);
        CREATE UNIQUE INDEX notes_text ON notes (text);
        INSERT INTO notes VALUES (1, 'one');
        ALTER TABLE notes ADD CONSTRAINT short CHECK (length(text) < 10);
        CREATE TRIGGER notes_stay BEFORE DELETE ON notes EXECUTE FUNCTION note();
        ALTER TABLE users ADD COLUMN note bigint;
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN; RETURN NULL; END $$;
        ALTER TABLE users ADD COLUMN noted boolean NOT NULL DEFAULT false;
        ALTER TABLE users ADD COLUMN noted_at bigint NOT NULL DEFAULT 0;";
    let mut new = BTreeSet::new();
    assert_eq!(statements(sql).len(), 9);
    for statement in statements(sql) {
        assert_eq!(check(&statement, &mut new), Ok(()), "{statement}");
    }
}
