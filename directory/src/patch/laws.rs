//! What holds for every operation, whatever it is.

use proptest::prelude::*;
use schemas::scim::{USER, canonicalise, parse};

use super::*;

const WORK: &str = r#""emails":[{"value":"w","type":"work","primary":true}]"#;

fn user(text: &str) -> Attributes {
    let comma = if text.is_empty() { "" } else { "," };
    let body = format!(r#"{{"userName":"u"{comma}{text}}}"#);
    canonicalise(&USER, parse(body.as_bytes()).unwrap()).unwrap()
}

fn any_email() -> impl Strategy<Value = Value> {
    let kind = prop::option::of(prop::sample::select(vec!["work", "home", "Work"]));
    let display = prop::option::of(prop::sample::select(vec!["D", "E", ""]));
    let primary = prop::option::weighted(0.3, any::<bool>());
    (prop::option::weighted(0.9, "[a-cA]"), kind, display, primary).prop_map(
        |(value, kind, display, primary)| {
            let mut email = Attributes::new();
            value.map(|value| email.insert("value", value));
            kind.map(|kind| email.insert("type", kind));
            display.map(|display| email.insert("display", display));
            primary.map(|primary| email.insert("primary", primary));
            // A value that says nothing is there and is not present.
            if email.iter().all(|(_, part)| part.is_absent()) {
                email.insert("value", "a");
            }
            email.into()
        },
    )
}

fn any_operation() -> impl Strategy<Value = Operation> {
    let op = prop::sample::select(vec![Op::Add, Op::Replace, Op::Remove]);
    let paths = [
        "title",
        "name",
        "name.givenName",
        "emails",
        "emails[type eq \"work\"]",
        "emails[type eq \"work\"].value",
        "emails[value eq \"a\"].primary",
        "manager",
        "manager.value",
        "active",
        "addresses",
        // Not the whole value: it would be told from others by what it is being changed to, and chosen by what is
        // no part of that.
        "roles[primary eq true].display",
        "roles",
        "x",
        "x[type eq \"work\"]",
        "x[type eq \"work\"].value",
        "x.y",
        "urn:example:Other:x",
        "id",
        "userName",
    ];
    let value = prop_oneof![
        Just(Value::Null),
        Just(Value::Bool(true)),
        Just(Value::from("")),
        Just(Value::from("a")),
        any_email(),
        prop::collection::vec(any_email(), 0..4).prop_map(Value::List),
        Just(Attributes::from([("givenName", "G")]).into()),
    ];
    (op, prop::sample::select(paths.to_vec()), value).prop_map(|(op, path, value)| Operation {
        op,
        path: Some(path.parse().unwrap()),
        value: Some(value),
    })
}

/// Attributes with one value, that a user may lack.
const SINGLE: &[&str] = &[
    "title",
    "nickName",
    "name.givenName",
    "name.middleName",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
    "x",
    "urn:example:Other:colour",
];

fn operation(op: Op, path: &str, value: Option<Value>) -> Operation {
    Operation { op, path: Some(path.parse().unwrap()), value }
}

fn is_there(path: &str, resource: &Attributes) -> bool {
    let filter: schemas::scim::Filter = format!("{path} pr").parse().unwrap();
    crate::matching::matches(&filter, resource, &USER).unwrap()
}

/// Whether what an operation has done is still what its filter chooses.
fn still_chooses(operation: &Operation, resource: &Attributes) -> bool {
    let Some(Path::Element { attribute, filter, .. }) = &operation.path else { return true };
    let absent = operation.value.as_ref().is_none_or(Value::is_absent);
    let filter: schemas::scim::Filter = format!("{attribute}[{filter}]").parse().unwrap();
    absent || crate::matching::matches(&filter, resource, &USER).unwrap()
}

proptest! {
    #[test]
    fn what_was_added_where_nothing_was_goes_without_a_trace(before in prop::collection::vec(any_operation(), 0..4), path in prop::sample::select(SINGLE), value in "[a-z]{1,4}") {
        let mut resource = user(WORK);
        let _ = apply(&mut resource, &USER, &before, NoMatch::Upsert);
        prop_assume!(!is_there(path, &resource));
        let there_and_back = [operation(Op::Add, path, Some(value.into())), operation(Op::Remove, path, None)];
        let untouched = resource.clone();
        apply(&mut resource, &USER, &there_and_back, NoMatch::Upsert).unwrap();
        prop_assert_eq!(resource, untouched);
    }

    #[test]
    fn a_value_that_was_added_to_others_goes_without_a_trace(before in prop::collection::vec(any_operation(), 0..4), kind in prop::option::of(prop::sample::select(vec!["work", "home"]))) {
        let mut resource = user(WORK);
        let _ = apply(&mut resource, &USER, &before, NoMatch::Upsert);
        let mut email = Attributes::from([("value", "fresh@x")]);
        kind.map(|kind| email.insert("type", kind));
        let there_and_back = [
            operation(Op::Add, "emails", Some(vec![email.into()].into())),
            operation(Op::Remove, "emails[value eq \"fresh@x\"]", None),
        ];
        let untouched = resource.clone();
        apply(&mut resource, &USER, &there_and_back, NoMatch::Upsert).unwrap();
        prop_assert_eq!(resource, untouched);
    }

    #[test]
    fn the_outcome_is_canonical_and_an_error_changes_nothing(operations in prop::collection::vec(any_operation(), 1..6)) {
        let mut resource = user(WORK);
        match apply(&mut resource, &USER, &operations, NoMatch::Upsert) {
            Ok(_) => prop_assert_eq!(&canonicalise(&USER, resource.clone()).unwrap(), &resource),
            Err(_) => prop_assert_eq!(resource, user(WORK)),
        }
    }

    #[test]
    fn what_is_done_twice_is_done_once(before in prop::collection::vec(any_operation(), 0..3), operation in any_operation()) {
        let mut resource = user(WORK);
        let _ = apply(&mut resource, &USER, &before, NoMatch::Upsert);
        let done = apply(&mut resource, &USER, std::slice::from_ref(&operation), NoMatch::Upsert);
        let once = resource.clone();
        if done.is_ok() && (operation.op == Op::Remove || still_chooses(&operation, &resource)) {
            // What is gone cannot be chosen once more.
            if let Err(error) = apply(&mut resource, &USER, std::slice::from_ref(&operation), NoMatch::Upsert) {
                prop_assert_eq!((operation.op, error.scim_type), (Op::Remove, Some(ScimType::NoTarget)));
            }
            prop_assert_eq!(resource, once);
        }
    }

    #[test]
    fn of_two_replaces_the_last_holds(first in prop::collection::vec(any_email(), 1..4), last in prop::collection::vec(any_email(), 1..4)) {
        let replace = |value: Vec<Value>| Operation {
            op: Op::Replace,
            path: Some("emails".parse().unwrap()),
            value: Some(value.into()),
        };
        let mut resource = user("");
        let outcome = apply(&mut resource, &USER, &[replace(first), replace(last.clone())], NoMatch::Upsert);
        // Two that are primary are refused.
        if outcome.is_ok() {
            let mut alone = user("");
            alone.insert("emails", last);
            prop_assert_eq!(resource, canonicalise(&USER, alone).unwrap());
        }
    }
}
