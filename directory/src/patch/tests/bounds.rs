//! What one PATCH may cost.

use schemas::scim::VALUES_MAX;

use super::*;

/// `"attribute":[…]` with as many distinct values as there may be.
fn full(attribute: &str) -> String {
    let values: Vec<_> = (0..VALUES_MAX).map(|at| format!(r#"{{"value":"v{at}"}}"#)).collect();
    format!(r#""{attribute}":[{}]"#, values.join(","))
}

fn times(count: usize, operation: &str) -> String {
    vec![operation; count].join(",")
}

/// What a PATCH of a user with a full list of e-mail addresses comes to.
fn outcome(operations: &str) -> Result<Attributes, ScimError> {
    patched(&full("emails"), operations)
}

#[test]
fn a_hundred_operations_on_a_full_attribute_are_no_trouble() {
    let emails = full("emails");
    let add = format!(r#"{{"op":"add","value":{{{emails}}}}}"#);
    assert_eq!(patched("", &times(119, &add)), Ok(user(&emails)));
    let find = r#"{"op":"replace","path":"emails[value eq \"v999\"].type","value":"work"}"#;
    assert!(outcome(&times(119, find)).is_ok());
    let remove = format!(r#"{{"op":"remove","path":"emails","value":[{{"value":"v7"}}]}},{add}"#);
    assert!(outcome(&times(100, &remove)).is_ok());
}

#[test]
fn what_would_take_too_many_steps_is_refused_before_it_is_done() {
    let terms = vec![r#"value co \"nowhere\""#; 40].join(" or ");
    let filter = format!(r#"{{"op":"add","path":"emails[{terms} or value pr].type","value":"w"}}"#);
    assert!(outcome(&times(30, &filter)).is_ok());
    let partial = vec![r#"{"display":"x","type":"work"}"#; 2_000].join(",");
    let remove = format!(r#"{{"op":"remove","path":"emails","value":[{partial}]}}"#);
    let text = "x".repeat(200_000);
    let copies = format!(r#"{{"op":"replace","path":"emails.display","value":"{text}"}}"#);
    let parts: Vec<_> = (0..500).map(|at| format!(r#""x{at}":1"#)).collect();
    let parts =
        format!(r#"{{"op":"add","path":"emails[value pr]","value":{{{}}}}}"#, parts.join(","));
    for operations in [times(50, &filter), remove, copies, times(3, &parts)] {
        let error = outcome(&operations).unwrap_err();
        assert_eq!((error.status, error.scim_type), (400, Some(ScimType::TooMany)));
        assert!(error.detail.contains("several requests"), "{}", error.detail);
    }
}

#[test]
fn to_find_a_name_among_many_takes_steps_too() {
    let names: Vec<_> = (0..500).map(|at| format!(r#""x{at}":1"#)).collect();
    let wide = names.join(",");
    let add = format!(r#"{{"op":"add","value":{{{wide}}}}}"#);
    assert!(patched(&wide, &times(50, &add)).is_ok());
    assert!(patched("", &times(1_000, r#"{"op":"add","value":{"title":"t"}}"#)).is_ok());
    let error = patched(&wide, &times(150, &add)).unwrap_err();
    assert_eq!(error.scim_type, Some(ScimType::TooMany));
}

#[test]
fn what_no_schema_knows_is_compared_in_all_that_it_says_and_costs_as_much() {
    let names: Vec<_> = (0..400).map(|at| format!(r#""{}{at}":1"#, "n".repeat(2_000))).collect();
    let long = format!(r#""x":[{{{}}}]"#, names.join(","));
    let add = r#"{"op":"add","path":"x","value":"b"}"#;
    let listed = vec![r#"{"value":"x","display":"y"}"#; 2_000].join(",");
    let remove = |path: &str| format!(r#"{{"op":"remove","path":"{path}","value":[{listed}]}}"#);
    assert!(patched(&long, &times(10, add)).is_ok());
    assert!(patched(&full("emails"), &remove("emails")).is_ok());
    for (before, operations) in [(long, times(300, add)), (full("x"), remove("x"))] {
        let error = patched(&before, &operations).unwrap_err();
        assert_eq!(error.scim_type, Some(ScimType::TooMany));
    }
}

#[test]
fn a_list_that_no_schema_knows_is_bounded_too() {
    let list = |from: usize, to: usize| {
        let values: Vec<_> = (from..to).map(|at| at.to_string()).collect();
        format!(r#"{{"op":"add","path":"x","value":[{}]}}"#, values.join(","))
    };
    assert!(patched("", &list(0, VALUES_MAX)).is_ok());
    refused(&[
        ("", &list(0, VALUES_MAX + 1), ScimType::InvalidValue),
        (
            "",
            &format!("{},{}", list(0, VALUES_MAX), list(VALUES_MAX, VALUES_MAX + 1)),
            ScimType::InvalidValue,
        ),
    ]);
}

#[test]
fn a_resource_does_not_grow_out_of_bounds() {
    let names = |from: usize| {
        let names: Vec<_> = (from..from + 300).map(|at| format!(r#""x{at}":1"#)).collect();
        format!(r#"{{"op":"add","value":{{{}}}}}"#, names.join(","))
    };
    assert!(patched("", &names(0)).is_ok());
    refused(&[("", &format!("{},{}", names(0), names(300)), ScimType::InvalidValue)]);
}

#[test]
fn a_resource_does_not_come_to_too_many_values_in_many_lists() {
    let list = |name: usize| {
        let values = vec!["1"; VALUES_MAX].join(",");
        format!(r#"{{"op":"replace","path":"x{name}","value":[{values}]}}"#)
    };
    let lists = |count: usize| (0..count).map(list).collect::<Vec<_>>().join(",");
    assert!(patched("", &lists(9)).is_ok());
    refused(&[("", &lists(10), ScimType::InvalidValue)]);
    let swapped = format!(r#"{},{{"op":"remove","path":"x0"}}"#, lists(10));
    assert!(patched("", &swapped).is_ok(), "it is what comes of it that counts");
}
