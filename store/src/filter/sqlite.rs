//! SQLite's JSON. Names and columns that become SQL here are ours; what clients wrote is bound.

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

use super::{Dialect, Parameter};

/// The dialect of SQLite, for connections that [`register`] has prepared.
pub(crate) struct Sqlite;

/// Gives a connection what filters need beyond SQLite's own functions: its `lower` knows ASCII alone.
pub(crate) fn register(connection: &Connection) -> Result<(), rusqlite::Error> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("scim_fold", 1, flags, |context| {
        let text = context.get_raw(0);
        Ok(text.as_str_or_null().ok().flatten().map(str::to_lowercase))
    })
}

impl Dialect for Sqlite {
    fn placeholder(number: usize, _: &Parameter) -> String {
        format!("?{number}")
    }

    fn node(object: &str, name: &str) -> String {
        format!("(({object}) -> '$.\"{name}\"')")
    }

    fn node_in_any_case(object: &str, name: &str) -> String {
        format!(
            "(SELECT ({object}) -> k.fullkey FROM json_each({object}) AS k WHERE lower(k.key) = {name})"
        )
    }

    fn items(node: &str, alias: &str) -> String {
        format!(
            "json_each(CASE json_type({node}) WHEN 'array' THEN {node} ELSE json_array(json({node})) END) AS {alias}"
        )
    }

    fn quoted(text: &str) -> String {
        format!("json_quote({text})")
    }

    fn object(parts: &[(&str, &str)]) -> String {
        let parts: Vec<_> = parts.iter().map(|(name, sql)| format!("'{name}', {sql}")).collect();
        format!("json_object({})", parts.join(", "))
    }

    fn type_of(node: &str) -> String {
        format!("json_type({node})")
    }

    fn value_of(node: &str) -> String {
        format!("({node} ->> '$')")
    }

    fn text(value: &str) -> String {
        value.to_owned()
    }

    fn number(value: &str) -> String {
        value.to_owned()
    }

    fn is_empty(value: &str) -> String {
        format!("{value} IN ('[]', '{{}}')")
    }

    fn as_object(alias: &str) -> String {
        format!(
            "CASE {alias}.type WHEN 'object' THEN {alias}.value ELSE json_object('value', json(CASE {alias}.type \
             WHEN 'text' THEN json_quote({alias}.value) WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' \
             ELSE {alias}.value END)) END"
        )
    }

    fn fold(text: &str) -> String {
        format!("scim_fold({text})")
    }

    fn contains(text: &str, part: &str) -> String {
        format!("instr({text}, {part}) > 0")
    }

    fn starts_with(text: &str, part: &str) -> String {
        format!("substr({text}, 1, length({part})) = {part}")
    }

    fn ends_with(text: &str, part: &str) -> String {
        format!("(length({part}) = 0 OR substr({text}, -length({part})) = {part})")
    }

    fn moment(millis: &str) -> String {
        format!(
            "(strftime('%Y-%m-%dT%H:%M:%S', {millis} / 1000, 'unixepoch') || printf('.%03dZ', {millis} % 1000))"
        )
    }

    fn uuid(bytes: &str) -> String {
        let part = |from: usize, length: usize| format!("substr(hex({bytes}), {from}, {length})");
        let parts = [part(1, 8), part(9, 4), part(13, 4), part(17, 4), part(21, 12)];
        format!("lower({})", parts.join(" || '-' || "))
    }
}
