//! What resources hold, in every shape.

use proptest::prelude::*;

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// Texts that differ by case, in what folds to several letters, in what wildcards and quotes are made of,
/// and in the orders of a language, of UTF-16 and of code points.
const TEXTS: &[&str] = &[
    "",
    "a",
    "A",
    "ab",
    "aB",
    "b",
    "B",
    "ba",
    "ß",
    "ẞ",
    "SS",
    "ΌΣΟΣ",
    "όσος",
    "ΑΣ ΑΣΑ",
    "İ",
    "i̇",
    "I",
    "ı",
    "é",
    "É",
    "ﬁ",
    "ａ",
    "𐐀",
    "𐐨",
    "𝔘x",
    "%",
    "_",
    "a%b",
    "'",
    "\\\"",
    "\\\\",
    "\\u0001",
    "\\n",
    "$1",
    "true",
    "True",
    "false",
    "10",
    "9",
    "[]",
    "{}",
    "null",
    "W/",
    "work",
    "home",
];

/// What is kept of a user beside the name.
pub(super) fn user_attributes() -> impl Strategy<Value = String> {
    let email = (text(), prop::option::of(text()), prop::option::of(any::<bool>())).prop_map(
        |(value, kind, primary)| {
            let kind = kind.map(|kind| format!(r#","type":{kind}"#)).unwrap_or_default();
            let primary = primary.map(|is| format!(r#","primary":{is}"#)).unwrap_or_default();
            format!(r#"{{"value":{value}{kind}{primary}}}"#)
        },
    );
    let emails = prop::collection::vec(email, 1..4).prop_map(|emails| {
        // At most one is primary, as everywhere.
        let mut seen = false;
        let one = |email: String| {
            let again = seen && email.contains(r#""primary":true"#);
            seen |= email.contains(r#""primary":true"#);
            if again { email.replace(r#""primary":true"#, r#""primary":false"#) } else { email }
        };
        format!("[{}]", emails.into_iter().map(one).collect::<Vec<_>>().join(","))
    });
    let extension = (text(), text()).prop_map(|(department, manager)| {
        format!(r#"{{"department":{department},"manager":{{"value":{manager}}}}}"#)
    });
    (
        maybe("title", text().boxed()),
        maybe("displayName", text().boxed()),
        maybe("externalId", text().boxed()),
        maybe("active", any::<bool>().prop_map(|is| is.to_string()).boxed()),
        maybe("name", text().prop_map(|family| format!(r#"{{"familyName":{family}}}"#)).boxed()),
        maybe("emails", emails.boxed()),
        maybe(ENTERPRISE, extension.boxed()),
        unknown_attributes(),
    )
        .prop_map(|(a, b, c, d, e, f, g, h)| [a, b, c, d, e, f, g, h].concat())
}

/// What is kept of a group beside the name.
pub(super) fn group_attributes() -> impl Strategy<Value = String> {
    (maybe("externalId", text().boxed()), unknown_attributes()).prop_map(|(a, b)| a + &b)
}

/// What no schema knows, in every shape.
fn unknown_attributes() -> impl Strategy<Value = String> {
    let empty = [
        "[]",
        "{}",
        "null",
        "[[],{},null]",
        r#"{"value":[],"part":{}}"#,
        r#"[{"value":null,"part":[]}]"#,
        r#"{"value":{"value":"a"},"part":["a"]}"#,
    ];
    let other = prop_oneof![
        prop::sample::select(empty.to_vec()).prop_map(str::to_owned),
        scalar(),
        prop::collection::vec(scalar(), 1..3).prop_map(|items| format!("[{}]", items.join(","))),
        (scalar(), scalar())
            .prop_map(|(value, part)| format!(r#"{{"Value":{value},"Part":{part}}}"#)),
        (scalar(), scalar())
            .prop_map(|(value, part)| format!(r#"[{{"value":{value}}},{part},[1],{{"x":null}}]"#)),
    ];
    let extension = prop_oneof![
        4 => text().prop_map(|of| format!(r#"{{"Colour":{of}}}"#)),
        1 => scalar(),
        1 => scalar().prop_map(|item| format!("[{item}]")),
    ];
    (maybe("urn:example:Other", extension.boxed()), maybe("Unknown", other.boxed()))
        .prop_map(|(a, b)| a + &b)
}

fn maybe(name: &'static str, value: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    prop::option::weighted(0.6, value).prop_map(move |value| {
        value.map(|value| format!(r#","{name}":{value}"#)).unwrap_or_default()
    })
}

pub(super) fn text() -> impl Strategy<Value = String> {
    prop::sample::select(TEXTS).prop_map(|text| format!("\"{text}\""))
}

fn scalar() -> impl Strategy<Value = String> {
    let others =
        ["true", "false", "0", "10", "10.0", "9.5", "-1", "1e300", "5e-324", "9007199254740993"];
    prop_oneof![4 => text(), 1 => prop::sample::select(others.to_vec()).prop_map(str::to_owned)]
}
