use schemas::scim::{USER, parse};

use super::*;

mod bounds;
mod extensions;
mod members;
mod refusals;
mod removal;
mod same;
mod values;

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

fn tree(text: &str) -> Attributes {
    parse(text.as_bytes()).unwrap()
}

fn operations(text: &str) -> Result<Vec<Operation>, ScimError> {
    parse_operations(&tree(&format!(r#"{{"schemas":["{PATCH_OP_URN}"],"Operations":[{text}]}}"#)))
}

fn user(text: &str) -> Attributes {
    let comma = if text.is_empty() { "" } else { "," };
    canonicalise(&USER, tree(&format!(r#"{{"userName":"u"{comma}{text}}}"#))).unwrap()
}

/// The user before, with the operations applied.
fn patched(before: &str, text: &str) -> Result<Attributes, ScimError> {
    let mut resource = user(before);
    let outcome =
        operations(text).and_then(|ops| apply(&mut resource, &USER, &ops, NoMatch::Upsert));
    if outcome.is_err() {
        assert_eq!(resource, user(before), "an error changes nothing");
    }
    outcome.map(|_| resource)
}

fn check(cases: &[(&str, &str, &str)]) {
    for (before, operation, after) in cases {
        let done = patched(before, operation);
        assert_eq!(done, Ok(user(after)), "{before} + {operation}");
    }
}

fn refused(cases: &[(&str, &str, ScimType)]) {
    for (before, operation, scim_type) in cases {
        let error = patched(before, operation).unwrap_err();
        assert_eq!(error.scim_type, Some(*scim_type), "{operation}: {}", error.detail);
        assert_eq!(error.status, 400);
    }
}

const WORK: &str = r#""emails":[{"value":"w","type":"work","primary":true}]"#;
