//! PostgreSQL's JSON, of version 15 and later with ICU, in a database of the encoding UTF8. Names and columns that
//! become SQL here are ours; what clients wrote is bound.
//!
//! Nothing depends on the collation of the database: texts are compared in `"C"`, which is the order of their bytes,
//! and lose their case by `"und-x-icu"`, which knows the whole of Unicode as Rust does.

use super::{Dialect, Parameter};

/// The dialect of PostgreSQL, for tables with the columns of those on SQLite: keys, versions and milliseconds are
/// `bigint`, truths `boolean`, ids `bytea`, texts `text`, and attributes `json`, which keeps them as they were written.
#[derive(Debug)]
pub struct Postgres;

impl Postgres {
    /// What a connection sets before it asks filters. Their cost is overestimated, since a list in JSON is taken for a
    /// hundred values: they would be compiled for seconds to run for milliseconds.
    pub const SETTINGS: &str = "SET jit = off";
}

impl Dialect for Postgres {
    /// Every parameter says its type: PostgreSQL would guess otherwise, from what it is compared with.
    fn placeholder(number: usize, parameter: &Parameter) -> String {
        let kind = match parameter {
            Parameter::Text(_) => "text",
            Parameter::Integer(_) => "bigint",
            Parameter::Real(_) => "float8",
            Parameter::Bytes(_) => "bytea",
        };
        format!("${number}::{kind}")
    }

    fn node(object: &str, name: &str) -> String {
        format!("(({object}) -> '{name}')")
    }

    /// `json_each` fails on what is no object, and `lower` in `"C"` knows ASCII alone.
    fn node_in_any_case(object: &str, name: &str) -> String {
        format!(
            "(SELECT k.value FROM json_each(CASE json_typeof({object}) WHEN 'object' THEN {object} END) AS k \
             WHERE lower(k.key COLLATE \"C\") = {name} LIMIT 1)"
        )
    }

    fn items(node: &str, alias: &str) -> String {
        let kind = Self::type_of("item.value");
        format!(
            "LATERAL (SELECT {kind} AS type, item.value FROM json_array_elements(\
             CASE json_typeof({node}) WHEN 'array' THEN {node} ELSE json_build_array({node}) END) AS item) AS {alias}"
        )
    }

    fn quoted(text: &str) -> String {
        format!("to_json({text})")
    }

    fn object(parts: &[(&str, &str)]) -> String {
        let parts: Vec<_> = parts.iter().map(|(name, sql)| format!("'{name}', {sql}")).collect();
        format!("json_build_object({})", parts.join(", "))
    }

    fn type_of(node: &str) -> String {
        format!(
            "(CASE json_typeof({node}) WHEN 'string' THEN 'text' WHEN 'number' THEN 'real' \
             WHEN 'boolean' THEN {node} #>> '{{}}' ELSE json_typeof({node}) END)"
        )
    }

    fn value_of(node: &str) -> String {
        node.to_owned()
    }

    fn text(value: &str) -> String {
        format!("(({value} #>> '{{}}') COLLATE \"C\")")
    }

    fn number(value: &str) -> String {
        format!("({value} #>> '{{}}')::float8")
    }

    fn is_empty(value: &str) -> String {
        format!("{value}::text IN ('[]', '{{}}')")
    }

    fn as_object(alias: &str) -> String {
        format!(
            "CASE {alias}.type WHEN 'object' THEN {alias}.value ELSE json_build_object('value', {alias}.value) END"
        )
    }

    fn fold(text: &str) -> String {
        format!("(lower({text} COLLATE \"und-x-icu\") COLLATE \"C\")")
    }

    fn contains(text: &str, part: &str) -> String {
        format!("strpos({text}, {part}) > 0")
    }

    fn starts_with(text: &str, part: &str) -> String {
        format!("starts_with({text}, {part})")
    }

    fn ends_with(text: &str, part: &str) -> String {
        format!("right({text}, length({part})) = {part}")
    }

    /// Whole seconds alone go through a floating-point number, which holds them exactly.
    fn moment(millis: &str) -> String {
        format!(
            "(to_char(to_timestamp({millis} / 1000) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS') \
             || '.' || lpad(({millis} % 1000)::text, 3, '0') || 'Z')"
        )
    }

    fn uuid(bytes: &str) -> String {
        format!("encode({bytes}, 'hex')::uuid::text")
    }
}
