//! Bodies for the request log of a directory that is being looked into: as they came and went, without
//! secrets, and no more than their beginning.

use schemas::scim::{Attributes, Value, parse};

/// How much of a body is kept, in bytes. A user is 1 to 2 KB. A thousand requests with two bodies each come to
/// 8 MB for a directory.
pub(crate) const BODY_KEPT_MAX: usize = 4 * 1024;

/// What stands in the place of a secret.
const REDACTED: &str = "***";

/// What the name of an attribute has in it whose value is nobody's business.
const SECRET_NAMES: &[&str] =
    &["password", "passwd", "passphrase", "secret", "token", "credential", "privatekey", "apikey"];

/// What is kept of a body. In one that is no JSON object nothing can be told from a secret, so it is only said
/// how long it was.
pub(crate) fn kept(body: &[u8]) -> String {
    let Ok(mut tree) = parse(body) else {
        return format!("({} bytes that are no JSON object)", body.len());
    };
    redact(&mut tree);
    let whole = serde_json::to_string(&tree).expect("trees are always JSON");
    cut(whole)
}

fn cut(mut text: String) -> String {
    if text.len() > BODY_KEPT_MAX {
        let whole = text.len();
        text.truncate(text.floor_char_boundary(BODY_KEPT_MAX));
        text.push_str(&format!("… ({whole} bytes)"));
    }
    text
}

/// Depth is bounded where bodies are read.
fn redact(tree: &mut Attributes) {
    // An operation of a PATCH names in its path whose value it has.
    let path_is_secret = tree.get("path").and_then(Value::as_str).is_some_and(is_secret);
    for (name, value) in tree.iter_mut() {
        if is_secret(name) || (path_is_secret && name.eq_ignore_ascii_case("value")) {
            *value = REDACTED.into();
        } else {
            redact_in(value);
        }
    }
}

fn redact_in(value: &mut Value) {
    match value {
        Value::Complex(parts) => redact(parts),
        Value::List(items) => items.iter_mut().for_each(redact_in),
        // JSON in a text, as app roles come, or a whole sentence: not worth telling apart.
        Value::String(text) if text.contains('{') && is_secret(text) => *value = REDACTED.into(),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Decimal(_) => {
        }
    }
}

fn is_secret(name: &str) -> bool {
    let name: String =
        name.chars().filter(|c| !matches!(c, '_' | '-')).map(|c| c.to_ascii_lowercase()).collect();
    SECRET_NAMES.iter().any(|secret| name.contains(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_kept_under_no_name_and_in_no_form() {
        for body in [
            r#"{"userName":"ada","PassWord":"hunter2"}"#,
            r#"{"urn:example:X":{"api_token":["hunter2"],"clientSecret":{"value":"hunter2"}}}"#,
            r#"{"Operations":[{"op":"add","path":"password","value":"hunter2"}]}"#,
            r#"{"Operations":[{"op":"add","value":{"urn:ietf:params:scim:schemas:core:2.0:User:password":"hunter2"}}]}"#,
            r#"{"Operations":[{"method":"POST","path":"/Users","data":{"password":"hunter2"}}]}"#,
            r#"{"roles":["{\"password\":\"hunter2\"}"]}"#,
            r#"{"password":"hunter2""#,
        ] {
            let kept = kept(body.as_bytes());
            assert!(!kept.contains("hunter2"), "{kept}");
        }
        let kept = kept(br#"{"userName":"ada","title":"Token ring","password":"x"}"#);
        assert_eq!(kept, r#"{"userName":"ada","title":"Token ring","password":"***"}"#);
    }

    #[test]
    fn no_more_than_the_beginning_is_kept_whatever_letters_it_has() {
        let body = format!(r#"{{"title":"{}"}}"#, "é".repeat(BODY_KEPT_MAX));
        let kept = kept(body.as_bytes());
        assert!(kept.len() <= BODY_KEPT_MAX + 32, "{}", kept.len());
        assert!(kept.ends_with(&format!("… ({} bytes)", body.len())), "{kept}");
    }
}
