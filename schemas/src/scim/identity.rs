//! When two values of a multi-valued attribute are the same one.

use std::fmt::Write;

use super::{AttributeDef, Attributes, Value};

/// What tells a value of an attribute from its others: its `value` and `type` (RFC 7643 §2.4), or all of
/// it if it has no `value`. Two values are the same if these texts are.
///
/// Letter case matters where the schema says so (RFC 7643 §2.2), and in what no schema knows: of what is
/// not understood, nothing is lost.
#[must_use]
pub fn identity(def: Option<&AttributeDef>, item: &Value) -> String {
    let mut text = String::new();
    match item.as_complex() {
        Some(parts) if parts.contains("value") => {
            for name in ["value", "type"] {
                let part = parts.get(name).unwrap_or(&Value::Null);
                write(&mut text, def.and_then(|def| def.sub(name)), part);
            }
        }
        Some(_) | None => write(&mut text, def, item),
    }
    text
}

/// All that a value says, letter case included. Two values say the same if these texts are; the order of
/// names and their letter case mean nothing.
#[must_use]
pub fn exact(item: &Value) -> String {
    let mut text = String::new();
    write(&mut text, None, item);
    text
}

/// Every text with its length in front, so that none can pass for another's end.
fn write(out: &mut String, def: Option<&AttributeDef>, value: &Value) {
    let written = match value {
        Value::Null => out.write_str("null;"),
        Value::Bool(truth) => write!(out, "{truth};"),
        Value::Integer(number) => write!(out, "{number};"),
        Value::Decimal(number) => write!(out, "{number:e};"),
        Value::String(text) if def.is_some_and(|def| !def.case_exact) => {
            let text = text.to_lowercase();
            write!(out, "{}:{text}", text.len())
        }
        Value::String(text) => write!(out, "{}:{text}", text.len()),
        Value::List(items) => {
            let written = write!(out, "[{}:", items.len());
            items.iter().for_each(|item| write(out, def, item));
            written
        }
        Value::Complex(parts) => {
            let written = write!(out, "{{{}:", parts.len());
            write_parts(out, def, parts);
            written
        }
    };
    written.expect("a String takes any text");
}

/// The order of names and their letter case mean nothing.
fn write_parts(out: &mut String, def: Option<&AttributeDef>, parts: &Attributes) {
    let mut sorted: Vec<_> =
        parts.iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    sorted.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    for (name, value) in sorted {
        write(out, None, &Value::from(name.as_str()));
        write(out, def.and_then(|def| def.sub(&name)), value);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{USER, parse};
    use super::*;

    fn same(attribute: &str, one: &str, other: &str) -> bool {
        let def = USER.find(None, attribute, None).map(|found| found.attribute);
        let item = |text: &str| {
            let mut body = parse(format!(r#"{{"item":{text}}}"#).as_bytes()).unwrap();
            identity(def, &body.remove("item").unwrap())
        };
        item(one) == item(other)
    }

    #[test]
    fn values_are_the_same_by_value_and_type_in_the_case_that_matters() {
        let work = r#"{"value":"A@x","type":"work"}"#;
        assert!(same("emails", work, r#"{"type":"WORK","value":"a@X","display":"D"}"#));
        assert!(!same("emails", work, r#"{"value":"A@x"}"#));
        assert!(!same("emails", work, r#"{"value":"A@x","type":"home"}"#));
        assert!(!same("photos", r#"{"value":"http://a/B"}"#, r#"{"value":"http://a/b"}"#));
        assert!(!same("x509Certificates", r#"{"value":"QUJD"}"#, r#"{"value":"qujd"}"#));
    }

    #[test]
    fn values_without_a_value_are_the_same_in_all_that_they_say() {
        let home = r#"{"type":"home","locality":"Bonn"}"#;
        assert!(same("addresses", home, r#"{"locality":"bonn","TYPE":"Home"}"#));
        assert!(!same("addresses", home, r#"{"type":"home","locality":"Bonn","region":"NW"}"#));
        assert!(!same(
            "addresses",
            r#"{"locality":"a","region":"b"}"#,
            r#"{"region":"a","locality":"b"}"#
        ));
    }

    #[test]
    fn what_a_value_says_is_all_of_it() {
        let said = |text: &str| {
            let mut body = parse(format!(r#"{{"item":{text}}}"#).as_bytes()).unwrap();
            exact(&body.remove("item").unwrap())
        };
        assert_eq!(said(r#"{"value":"a","type":"t"}"#), said(r#"{"TYPE":"t","value":"a"}"#));
        assert_ne!(said(r#"{"value":"a"}"#), said(r#"{"value":"a","display":"D"}"#));
        assert_ne!(said(r#"{"value":"a"}"#), said(r#"{"value":"A"}"#));
    }

    #[test]
    fn in_what_no_schema_knows_every_difference_counts() {
        assert!(same("tags", r#""a""#, r#""a""#));
        assert!(!same("tags", r#""a""#, r#""A""#));
        assert!(!same("tags", r#"["a","b"]"#, r#"["ab"]"#));
        assert!(!same("tags", r#""1""#, "1"));
        assert!(!same("tags", r#"{"x":"true"}"#, r#"{"x":true}"#));
        assert!(!same("emails", r#"{"value":"a","x":1}"#, r#""a""#));
    }
}
