//! Filters of every form.

use proptest::prelude::*;
use schemas::scim::{FILTER_DEPTH_MAX, GROUP, ResourceSchema, USER};

use super::super::super::world::scim;
use super::resources::text;
use super::{BASE, GROUPS};

/// What filters are generated for.
pub(crate) struct Kind {
    pub(super) schema: &'static ResourceSchema,
    /// How many filters are compared.
    pub(super) filters: usize,
    pub(super) paths: &'static [&'static str],
    /// What brackets stand behind.
    pub(super) lists: &'static [&'static str],
    /// The list that refers to others, and where those are.
    pub(super) refers: (&'static str, &'static str),
}

/// Filters on the address of every resource, and of those that it refers to.
pub(super) fn addresses(kind: &Kind) -> impl Iterator<Item = String> {
    let (place, (list, others)) = (kind.schema.endpoint, kind.refers);
    (1..61 + GROUPS).flat_map(move |number| {
        let (own, other) =
            (format!("{BASE}{place}/{}", scim(number)), format!("{BASE}{others}/{}", scim(number)));
        [
            format!("meta.location eq \"{own}\""),
            format!("meta.location eq \"{}\"", own.to_uppercase()),
            format!("{list}.$ref eq \"{other}\""),
            format!("{list}[$ref eq \"{other}\" and display pr]"),
            format!("not ({list}.$ref eq \"{other}\")"),
            format!("{list}.$ref eq \"{own}\" or {list}.value eq \"{other}\""),
        ]
    })
}

/// Whether each attribute is there, in the other words for it, and those that have parts and no value.
pub(super) fn absent(kind: &Kind) -> impl Iterator<Item = String> {
    let paths = kind.paths.iter().chain(&["name", "addresses", "meta", "groups", "members"]);
    paths.flat_map(|path| ["eq", "ne"].map(|op| format!("{path} {op} null")))
}

/// The deepest filter and two of the longest.
pub(super) fn largest() -> [String; 3] {
    let (opening, closing) =
        ("not (".repeat(FILTER_DEPTH_MAX - 1), ")".repeat(FILTER_DEPTH_MAX - 1));
    let many = |by: &str| vec!["x.y ne 1"; 250].join(by);
    [format!("{opening}displayName sw \"a\"{closing}"), many(" and "), many(" or ")]
}
fn literal() -> impl Strategy<Value = String> {
    let words = [
        "true",
        "False",
        "null",
        "0",
        "10",
        "1e1",
        "9.5",
        "-1",
        "1e300",
        "5e-324",
        "9007199254740992",
    ];
    let moments_and_names = [
        r#""1970-01-01T00:00:00.005Z""#,
        r#""1970-01-01T01:00:00.005+01:00""#,
        r#""1970-01-01T00:00:00.0051Z""#,
        r#""1970-01-01""#,
        r#""2030-01-01T00:00:00Z""#,
        r#""user1""#,
        r#""USER12""#,
        r#""User""#,
        r#""GROUP6""#,
    ];
    prop_oneof![
        8 => text(),
        2 => prop::sample::select(words.to_vec()).prop_map(str::to_owned),
        1 => (0..85_u128).prop_map(|number| format!("\"{}\"", scim(number))),
        1 => (prop::sample::select(&["Users", "users", "Groups"][..]), 0..85_u128)
            .prop_map(|(place, number)| format!("\"{BASE}/{place}/{}\"", scim(number))),
        1 => prop::sample::select(moments_and_names.to_vec()).prop_map(str::to_owned),
    ]
}

const PATHS_OF_USERS: &[&str] = &[
    "userName",
    "title",
    "externalId",
    "active",
    "name.familyName",
    "name",
    "emails",
    "emails.value",
    "emails.type",
    "emails.primary",
    "department",
    "manager",
    "manager.value",
    "unknown",
    "unknown.value",
    "UNKNOWN.part",
    "id",
    "meta.created",
    "meta.lastModified",
    "meta.resourceType",
    "meta.version",
    "meta.location",
    "groups",
    "groups.value",
    "groups.$ref",
    "groups.display",
    "urn:example:Other:colour",
    "nickName",
    "schemas",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
];

const PATHS_OF_GROUPS: &[&str] = &[
    "displayName",
    "externalId",
    "unknown",
    "unknown.value",
    "UNKNOWN.part",
    "id",
    "meta.created",
    "meta.lastModified",
    "meta.resourceType",
    "meta.version",
    "meta.location",
    "members",
    "members.value",
    "members.$ref",
    "members.display",
    "members.type",
    "urn:example:Other:colour",
    "schemas",
];

pub(crate) const ON_USERS: Kind = Kind {
    schema: &USER,
    filters: 3_000,
    paths: PATHS_OF_USERS,
    lists: &["emails", "unknown", "groups"],
    refers: ("groups", GROUP.endpoint),
};

pub(crate) const ON_GROUPS: Kind = Kind {
    schema: &GROUP,
    filters: 1_000,
    paths: PATHS_OF_GROUPS,
    lists: &["members", "unknown"],
    refers: ("members", USER.endpoint),
};

/// Filters on these paths, and in brackets behind those in `lists`.
pub(super) fn filter(
    paths: &'static [&'static str],
    lists: &'static [&'static str],
) -> impl Strategy<Value = String> {
    const PARTS: &[&str] = &["value", "type", "primary", "part", "display", "$ref"];
    let inner = prop_oneof![4 => compare(PARTS), 1 => present(PARTS)];
    let inner = (inner.clone(), inner).prop_flat_map(|(one, other)| {
        prop::sample::select(vec![
            one.clone(),
            format!("{one} and {other}"),
            format!("{one} or {other}"),
            format!("not ({one})"),
        ])
    });
    let has =
        (prop::sample::select(lists), inner).prop_map(|(path, inner)| format!("{path}[{inner}]"));
    let leaf = prop_oneof![6 => compare(paths), 1 => present(paths), 3 => has];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone())
                .prop_map(|(one, other)| format!("({one}) and ({other})")),
            (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("({one}) or ({other})")),
            inner.prop_map(|one| format!("not ({one})")),
        ]
    })
}

fn compare(paths: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    const OPERATORS: &[&str] = &["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"];
    let literal = literal().boxed();
    (prop::sample::select(paths), prop::sample::select(OPERATORS), literal)
        .prop_map(|(path, op, literal)| format!("{path} {op} {literal}"))
}

fn present(paths: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    prop::sample::select(paths).prop_map(|path| format!("{path} pr"))
}
