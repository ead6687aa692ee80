use schemas::scim::{GROUP, USER, parse};

use super::*;

mod bounds;
mod removal;
mod same;

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

#[test]
fn add_sets_merges_and_appends() {
    check(&[
        ("", r#"{"op":"add","path":"title","value":"T"}"#, r#""title":"T""#),
        (r#""title":"A""#, r#"{"op":"add","path":"TITLE","value":"B"}"#, r#""title":"B""#),
        (
            r#""name":{"familyName":"F"}"#,
            r#"{"op":"add","path":"name","value":{"givenName":"G"}}"#,
            r#""name":{"familyName":"F","givenName":"G"}"#,
        ),
        ("", r#"{"op":"add","path":"name.givenName","value":"G"}"#, r#""name":{"givenName":"G"}"#),
        (
            "",
            r#"{"op":"add","path":"urn:ietf:params:scim:schemas:core:2.0:User:name.middleName","value":"Q"}"#,
            r#""name":{"middleName":"Q"}"#,
        ),
        (
            WORK,
            r#"{"op":"add","path":"emails","value":[{"value":"h","type":"home"}]}"#,
            r#""emails":[{"value":"w","type":"work","primary":true},{"value":"h","type":"home"}]"#,
        ),
        (
            WORK,
            r#"{"op":"add","path":"emails","value":{"value":"h"}}"#,
            r#""emails":[{"value":"w","type":"work","primary":true},{"value":"h"}]"#,
        ),
        (WORK, r#"{"op":"add","path":"emails","value":[{"value":"w","type":"work"}]}"#, WORK),
        (WORK, r#"{"op":"add","path":"emails","value":[]}"#, WORK),
        (WORK, r#"{"op":"add","path":"emails","value":null}"#, WORK),
        (
            WORK,
            r#"{"op":"add","path":"emails[type eq \"work\"]","value":{"display":"D"}}"#,
            r#""emails":[{"value":"w","type":"work","primary":true,"display":"D"}]"#,
        ),
        ("", r#"{"op":"add","path":"emails.value","value":"x"}"#, r#""emails":[{"value":"x"}]"#),
        (
            WORK,
            r#"{"op":"add","value":{"nickName":"N","emails":[{"value":"h"}]}}"#,
            r#""nickName":"N","emails":[{"value":"w","type":"work","primary":true},{"value":"h"}]"#,
        ),
        (
            r#""addresses":[{"locality":"B"}]"#,
            r#"{"op":"add","path":"addresses","value":[{"locality":"B"},{"locality":"C"},{"locality":"C"}]}"#,
            r#""addresses":[{"locality":"B"},{"locality":"C"}]"#,
        ),
    ]);
}

#[test]
fn a_filter_that_matches_nothing_makes_what_it_describes() {
    check(&[
        (
            "",
            r#"{"op":"add","path":"phoneNumbers[type eq \"mobile\"].value","value":"+1"}"#,
            r#""phoneNumbers":[{"type":"mobile","value":"+1"}]"#,
        ),
        (
            WORK,
            r#"{"op":"replace","path":"emails[type eq \"home\"].value","value":"h"}"#,
            r#""emails":[{"value":"w","type":"work","primary":true},{"type":"home","value":"h"}]"#,
        ),
        (
            "",
            r#"{"op":"replace","path":"roles[primary eq true].value","value":"r"}"#,
            r#""roles":[{"primary":true,"value":"r"}]"#,
        ),
        (
            "",
            r#"{"op":"replace","path":"emails[TYPE eq \"work\" and primary eq true]","value":{"value":"x"}}"#,
            r#""emails":[{"type":"work","primary":true,"value":"x"}]"#,
        ),
        (
            WORK,
            r#"{"op":"add","path":"emails[type eq \"home\" and primary eq true].value","value":"h"}"#,
            r#""emails":[{"value":"w","type":"work","primary":false},{"type":"home","primary":true,"value":"h"}]"#,
        ),
        (
            "",
            r#"{"op":"replace","path":"addresses[type eq \"home\"].streetAddress","value":"E"},{"op":"replace","path":"addresses[type eq \"home\"].locality","value":"K"}"#,
            r#""addresses":[{"type":"home","streetAddress":"E","locality":"K"}]"#,
        ),
        ("", r#"{"op":"replace","path":"emails[type eq \"home\"].value","value":null}"#, ""),
        ("", r#"{"op":"replace","path":"emails[type eq \"home\"].value","value":null}"#, ""),
    ]);
    refused(&[
        (
            WORK,
            r#"{"op":"replace","path":"emails[type co \"home\"].value","value":"h"}"#,
            ScimType::NoTarget,
        ),
        (
            WORK,
            r#"{"op":"add","path":"emails[type eq \"a\" or type eq \"b\"].value","value":"h"}"#,
            ScimType::NoTarget,
        ),
        (WORK, r#"{"op":"remove","path":"emails[type eq \"home\"]"}"#, ScimType::NoTarget),
        ("", r#"{"op":"remove","path":"emails[type eq \"home\"].value"}"#, ScimType::NoTarget),
        ("", r#"{"op":"remove"}"#, ScimType::NoTarget),
    ]);
}

#[test]
fn replace_sets_merges_and_replaces_the_whole_set() {
    check(&[
        ("", r#"{"op":"replace","path":"title","value":"T"}"#, r#""title":"T""#),
        (
            r#""name":{"familyName":"F","givenName":"G"}"#,
            r#"{"op":"replace","path":"name","value":{"givenName":"H"}}"#,
            r#""name":{"familyName":"F","givenName":"H"}"#,
        ),
        (
            WORK,
            r#"{"op":"replace","path":"emails","value":[{"value":"x"}]}"#,
            r#""emails":[{"value":"x"}]"#,
        ),
        (WORK, r#"{"op":"replace","path":"emails","value":[]}"#, ""),
        (
            WORK,
            r#"{"op":"replace","path":"emails[type eq \"work\"]","value":{"value":"x","type":"work"}}"#,
            r#""emails":[{"value":"x","type":"work","primary":true}]"#,
        ),
        (
            WORK,
            r#"{"op":"replace","path":"Emails[Type EQ \"Work\"].Value","value":"x"}"#,
            r#""emails":[{"value":"x","type":"work","primary":true}]"#,
        ),
        (r#""title":"T""#, r#"{"op":"replace","path":"title","value":null}"#, ""),
        (r#""title":"T""#, r#"{"op":"replace","value":{"title":null}}"#, ""),
        (
            r#""name":{"familyName":"F"}"#,
            r#"{"op":"replace","path":"name.familyName","value":null}"#,
            "",
        ),
        ("", r#"{"op":"replace","path":"active","value":false}"#, r#""active":false"#),
        (r#""active":false"#, r#"{"op":"replace","value":{"active":true}}"#, r#""active":true"#),
        (
            "",
            r#"{"op":"add","path":"nickName","value":"one"},{"op":"replace","path":"nickName","value":"two"}"#,
            r#""nickName":"two""#,
        ),
        (
            r#""phoneNumbers":[{"type":"work","value":"1"}]"#,
            r#"{"op":"replace","value":{"phoneNumbers[type eq \"work\"].value":"2"}}"#,
            r#""phoneNumbers":[{"type":"work","value":"2"}]"#,
        ),
    ]);
}

#[test]
fn remove_takes_away_what_it_names_and_what_is_left_empty() {
    let two = r#""emails":[{"value":"w","type":"work"},{"value":"h","type":"home"}]"#;
    check(&[
        (r#""title":"T""#, r#"{"op":"remove","path":"title"}"#, ""),
        ("", r#"{"op":"remove","path":"title"}"#, ""),
        (r#""name":{"familyName":"F"}"#, r#"{"op":"remove","path":"name.familyName"}"#, ""),
        (two, r#"{"op":"remove","path":"emails"}"#, ""),
        (
            two,
            r#"{"op":"remove","path":"emails[type eq \"work\"]"}"#,
            r#""emails":[{"value":"h","type":"home"}]"#,
        ),
        (
            two,
            r#"{"op":"remove","path":"emails[type eq \"work\"].value"}"#,
            r#""emails":[{"value":"h","type":"home"}]"#,
        ),
        (
            two,
            r#"{"op":"remove","path":"emails.type"}"#,
            r#""emails":[{"value":"w"},{"value":"h"}]"#,
        ),
        (
            two,
            r#"{"op":"remove","path":"emails","value":[{"value":"w","display":"W"}]}"#,
            r#""emails":[{"value":"h","type":"home"}]"#,
        ),
        (two, r#"{"op":"remove","path":"emails","value":[{"value":"w","type":"home"}]}"#, two),
        (
            r#""emails":[{"value":"w"}]"#,
            r#"{"op":"remove","path":"emails[value eq \"w\"].value"}"#,
            "",
        ),
        (r#""emails":[{"value":"w"}]"#, r#"{"op":"remove","path":"emails[value eq \"w\"]"}"#, ""),
    ]);
}

#[test]
fn a_new_primary_clears_the_old_one() {
    let moved =
        r#""emails":[{"value":"w","type":"work","primary":false},{"value":"h","primary":true}]"#;
    check(&[
        (WORK, r#"{"op":"add","path":"emails","value":[{"value":"h","primary":true}]}"#, moved),
        (
            WORK,
            r#"{"op":"add","path":"emails","value":[{"value":"h"}]},{"op":"replace","path":"emails[value eq \"h\"].primary","value":true}"#,
            moved,
        ),
        (
            r#""emails":[{"value":"w","type":"work","primary":true},{"value":"h"}]"#,
            r#"{"op":"add","path":"emails","value":[{"value":"h","primary":true}]}"#,
            moved,
        ),
    ]);
    refused(&[
        (
            WORK,
            r#"{"op":"add","path":"emails","value":[{"value":"a","primary":true},{"value":"b","primary":true}]}"#,
            ScimType::InvalidValue,
        ),
        (
            r#""emails":[{"value":"w"},{"value":"h"}]"#,
            r#"{"op":"replace","path":"emails.primary","value":true}"#,
            ScimType::InvalidValue,
        ),
    ]);
}

#[test]
fn extensions_are_reached_by_urn_by_name_and_as_a_whole() {
    let hr = format!(r#""{ENTERPRISE}":{{"department":"HR"}}"#);
    let both = format!(r#""{ENTERPRISE}":{{"department":"HR","division":"D"}}"#);
    check(&[
        ("", &format!(r#"{{"op":"replace","path":"{ENTERPRISE}:DEPARTMENT","value":"HR"}}"#), &hr),
        ("", r#"{"op":"add","path":"department","value":"HR"}"#, &hr),
        (&hr, &format!(r#"{{"op":"add","value":{{"{ENTERPRISE}":{{"division":"D"}}}}}}"#), &both),
        (
            &hr,
            &format!(
                r#"{{"op":"replace","path":"{}","value":{{"division":"D"}}}}"#,
                ENTERPRISE.to_uppercase().replace("URN", "urn")
            ),
            &both,
        ),
        (&hr, &format!(r#"{{"op":"replace","value":{{"{ENTERPRISE}:division":"D"}}}}"#), &both),
        (&both, &format!(r#"{{"op":"remove","path":"{ENTERPRISE}:division"}}"#), &hr),
        (&both, &format!(r#"{{"op":"remove","path":"{ENTERPRISE}"}}"#), ""),
        (&hr, &format!(r#"{{"op":"remove","path":"{ENTERPRISE}:department"}}"#), ""),
        (
            "",
            r#"{"op":"replace","value":{"urn:ietf:params:scim:schemas:core:2.0:User":{"title":"T"}}}"#,
            r#""title":"T""#,
        ),
        (
            "",
            r#"{"op":"replace","value":{"displayName":"F","name.givenName":"K","name.familyName":"U"}}"#,
            r#""displayName":"F","name":{"givenName":"K","familyName":"U"}"#,
        ),
    ]);
}

#[test]
fn a_manager_is_set_and_cleared() {
    let manager = |inner: &str| format!(r#""{ENTERPRISE}":{{"manager":{inner}}}"#);
    let (a, b) = (manager(r#"{"value":"a","$ref":"r"}"#), manager(r#"{"value":"b"}"#));
    for path in ["manager", &format!("{ENTERPRISE}:manager")] {
        let add = format!(r#"{{"op":"add","path":"{path}","value":{{"value":"b"}}}}"#);
        check(&[(&a, &add, &b)]);
    }
    check(&[
        (&a, &format!(r#"{{"op":"replace","path":"{ENTERPRISE}:manager.value","value":"b"}}"#), &b),
        (
            &a,
            &format!(r#"{{"op":"replace","path":"{ENTERPRISE}:manager","value":{{"value":"a"}}}}"#),
            &a,
        ),
        (&a, r#"{"op":"replace","path":"manager.value","value":null}"#, ""),
        (&a, r#"{"op":"replace","path":"manager","value":{"value":""}}"#, ""),
        (&a, r#"{"op":"replace","path":"manager","value":null}"#, ""),
        (&a, r#"{"op":"remove","path":"manager"}"#, ""),
    ]);
    refused(&[(
        &a,
        r#"{"op":"replace","path":"manager.displayName","value":"x"}"#,
        ScimType::Mutability,
    )]);
}

#[test]
fn an_empty_value_adds_and_removes_nothing() {
    let name = r#""name":{"familyName":"F"}"#;
    check(&[
        (name, r#"{"op":"add","path":"name","value":{}}"#, name),
        (name, r#"{"op":"replace","path":"name","value":{}}"#, ""),
        (WORK, r#"{"op":"remove","path":"emails","value":[]}"#, WORK),
        (WORK, r#"{"op":"remove","path":"emails","value":null}"#, ""),
        (r#""title":"T""#, r#"{"op":"remove","path":"title","value":[]}"#, ""),
    ]);
}

#[test]
fn an_empty_part_of_a_value_clears_that_part() {
    let name = r#""name":{"familyName":"F","givenName":"G"}"#;
    check(&[
        (
            name,
            r#"{"op":"replace","path":"name","value":{"familyName":null}}"#,
            r#""name":{"givenName":"G"}"#,
        ),
        (
            name,
            r#"{"op":"replace","value":{"name":{"familyName":null,"givenName":"H"}}}"#,
            r#""name":{"givenName":"H"}"#,
        ),
        (
            name,
            r#"{"op":"replace","path":"name","value":{"familyName":null,"givenName":null}}"#,
            "",
        ),
        (
            r#""emails":[{"value":"w","type":"work"}]"#,
            r#"{"op":"replace","path":"emails[value eq \"w\"]","value":{"type":null,"display":"D"}}"#,
            r#""emails":[{"value":"w","display":"D"}]"#,
        ),
        (
            &format!(r#""{ENTERPRISE}":{{"department":"HR","division":"D"}}"#),
            &format!(r#"{{"op":"replace","value":{{"{ENTERPRISE}":{{"department":null}}}}}}"#),
            &format!(r#""{ENTERPRISE}":{{"division":"D"}}"#),
        ),
        (
            r#""x":{"a":1,"b":2}"#,
            r#"{"op":"replace","path":"x","value":{"a":null}}"#,
            r#""x":{"b":2}"#,
        ),
    ]);
}

#[test]
fn what_is_read_only_in_an_object_is_passed_over_alone() {
    let core = USER.core.id;
    check(&[(
        "",
        &format!(
            r#"{{"op":"add","value":{{"{core}":{{"id":"x","title":"T"}},"groups":[],"nickName":"N"}}}}"#
        ),
        r#""title":"T","nickName":"N""#,
    )]);
}

#[test]
fn a_name_with_a_urn_that_was_kept_flat_does_not_hide_the_extension() {
    let flat = format!(r#""{ENTERPRISE}:department":"old""#);
    let change = format!(r#"{{"op":"replace","path":"{ENTERPRISE}:department","value":"HR"}}"#);
    check(&[(&flat, &change, &format!(r#"{flat},"{ENTERPRISE}":{{"department":"HR"}}"#))]);
}

#[test]
fn unknown_attributes_are_kept_and_changed_as_they_are() {
    check(&[
        (
            "",
            r#"{"op":"add","path":"urn:ietf:params:scim:schemas:core:2.0:User:shoe","value":"43"}"#,
            r#""shoe":"43""#,
        ),
        (
            "",
            r#"{"op":"add","path":"urn:custom:1.0:User:a.b","value":1}"#,
            r#""urn:custom:1.0:User":{"a":{"b":1}}"#,
        ),
        (
            "",
            r#"{"op":"add","value":{"urn:custom:thing":{"a":1}}}"#,
            r#""urn:custom:thing":{"a":1}"#,
        ),
        (
            r#""urn:custom:thing":{"a":1,"b":2}"#,
            r#"{"op":"remove","path":"urn:custom:thing:a"}"#,
            r#""urn:custom:thing":{"b":2}"#,
        ),
        (r#""urn:custom:thing":{"a":1}"#, r#"{"op":"remove","path":"urn:custom:thing"}"#, ""),
        (
            r#""tags":["a"]"#,
            r#"{"op":"add","path":"tags","value":["a","b"]}"#,
            r#""tags":["a","b"]"#,
        ),
        (
            r#""tags":["a","b"]"#,
            r#"{"op":"remove","path":"tags[value eq \"a\"]"}"#,
            r#""tags":["b"]"#,
        ),
        (
            "",
            r#"{"op":"add","path":"x[type eq \"t\"].value","value":1}"#,
            r#""x":[{"type":"t","value":1}]"#,
        ),
        ("", r#"{"op":"add","path":"x","value":""}"#, r#""x":"""#),
        (r#""x":1"#, r#"{"op":"replace","path":"x","value":null}"#, ""),
    ]);
    refused(&[(r#""x":1"#, r#"{"op":"add","path":"x.y","value":1}"#, ScimType::InvalidPath)]);
}

#[test]
fn what_may_not_change_is_refused_and_passed_over_without_a_path() {
    refused(&[
        ("", r#"{"op":"replace","path":"id","value":"x"}"#, ScimType::Mutability),
        ("", r#"{"op":"replace","path":"meta.created","value":"x"}"#, ScimType::Mutability),
        ("", r#"{"op":"add","path":"groups","value":[{"value":"g"}]}"#, ScimType::Mutability),
        ("", r#"{"op":"remove","path":"groups[value eq \"g\"]"}"#, ScimType::Mutability),
        ("", r#"{"op":"remove","path":"userName"}"#, ScimType::Mutability),
        ("", r#"{"op":"replace","path":"userName","value":""}"#, ScimType::InvalidValue),
    ]);
    check(&[
        (
            "",
            r#"{"op":"replace","value":{"id":"x","meta":{},"groups":[],"schemas":[],"title":"T"}}"#,
            r#""title":"T""#,
        ),
        (
            "",
            r#"{"op":"replace","value":{"password":"p"}},{"op":"add","path":"password","value":"p"},{"op":"remove","path":"password"}"#,
            "",
        ),
        ("", r#"{"op":"add","path":"schemas","value":["urn:x"]}"#, ""),
    ]);
}

#[test]
fn what_is_wrong_is_refused_and_changes_nothing() {
    refused(&[
        (
            "",
            r#"{"op":"replace","path":"title","value":"T"},{"op":"replace","path":"nosuch[","value":"x"}"#,
            ScimType::InvalidPath,
        ),
        (
            "",
            r#"{"op":"replace","path":"title","value":"T"},{"op":"replace","path":"active","value":"x"}"#,
            ScimType::InvalidValue,
        ),
        ("", r#"{"op":"frobnicate","path":"title","value":"x"}"#, ScimType::InvalidSyntax),
        ("", r#"{"path":"title","value":"x"}"#, ScimType::InvalidSyntax),
        ("", r#""x""#, ScimType::InvalidSyntax),
        ("", "", ScimType::InvalidSyntax),
        ("", r#"{"op":"add","path":1,"value":"x"}"#, ScimType::InvalidPath),
        ("", r#"{"op":"add","path":"title"}"#, ScimType::InvalidValue),
        ("", r#"{"op":"add","value":"x"}"#, ScimType::InvalidValue),
        ("", r#"{"op":"add","path":"title","value":5}"#, ScimType::InvalidValue),
        ("", r#"{"op":"add","path":"name","value":"x"}"#, ScimType::InvalidValue),
        ("", r#"{"op":"add","path":"emails","value":"x"}"#, ScimType::InvalidValue),
        (
            "",
            r#"{"op":"add","path":"emails[type eq \"work\"]","value":"x"}"#,
            ScimType::InvalidValue,
        ),
        ("", r#"{"op":"add","path":"title.x","value":"x"}"#, ScimType::InvalidPath),
        ("", r#"{"op":"add","path":"title[a eq 1]","value":"x"}"#, ScimType::InvalidPath),
        (
            "",
            r#"{"op":"add","path":"emails[primary gt true].value","value":"x"}"#,
            ScimType::InvalidFilter,
        ),
        (
            "",
            &format!(r#"{{"op":"add","path":"{ENTERPRISE}","value":"x"}}"#),
            ScimType::InvalidValue,
        ),
        (
            "",
            r#"{"op":"remove","path":"urn:ietf:params:scim:schemas:core:2.0:User"}"#,
            ScimType::Mutability,
        ),
    ]);
}

#[test]
fn a_body_must_be_a_patch_of_a_bounded_number_of_operations() {
    let read = |text: &str| parse_operations(&tree(text)).map(|operations| operations.len());
    let one = r#"[{"OP":"add","Path":"title","VALUE":"T"}]"#;
    let body = |schemas: &str| format!(r#"{{"SCHEMAS":{schemas},"operations":{one}}}"#);
    assert_eq!(read(&body(&format!(r#"["{}"]"#, PATCH_OP_URN.to_uppercase()))), Ok(1));
    for schemas in ["[]", "null", r#"["urn:x"]"#, r#""x""#] {
        assert_eq!(read(&body(schemas)).unwrap_err().scim_type, Some(ScimType::InvalidSyntax));
    }
    let many = vec![r#"{"op":"remove","path":"title"}"#; OPERATIONS_MAX + 1].join(",");
    assert_eq!(operations(&many).unwrap_err().status, 413);
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
fn members_are_split_from_the_other_operations() {
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    let cases = [
        (
            r#"{"op":"add","path":"members","value":[{"$ref":null,"value":"a"},{"value":"b"},{"value":"a"}]}"#,
            vec![MemberOp::Add(ids(&["a", "b"]))],
        ),
        (r#"{"op":"add","path":"Members","value":"a"}"#, vec![MemberOp::Add(ids(&["a"]))]),
        (r#"{"op":"add","path":"members","value":[]}"#, vec![]),
        (
            r#"{"op":"remove","path":"members","value":[{"$ref":null,"value":"a"}]}"#,
            vec![MemberOp::Remove(ids(&["a"]))],
        ),
        (r#"{"op":"remove","path":"members","value":[]}"#, vec![]),
        (r#"{"op":"remove","path":"members"}"#, vec![MemberOp::Clear]),
        (r#"{"op":"remove","path":"members","value":null}"#, vec![MemberOp::Clear]),
        (
            r#"{"op":"remove","path":"members[value eq \"a\"]"}"#,
            vec![MemberOp::Remove(ids(&["a"]))],
        ),
        (
            r#"{"op":"remove","path":"members[value eq \"a\" or (value eq \"b\")]"}"#,
            vec![MemberOp::Remove(ids(&["a", "b"]))],
        ),
        (r#"{"op":"replace","path":"members","value":[]}"#, vec![MemberOp::Replace(vec![])]),
        (
            r#"{"op":"replace","value":{"members":[{"value":"a"}]}}"#,
            vec![MemberOp::Replace(ids(&["a"]))],
        ),
        (
            r#"{"op":"add","value":{"urn:ietf:params:scim:schemas:core:2.0:Group:members":["a"]}}"#,
            vec![MemberOp::Add(ids(&["a"]))],
        ),
        (r#"{"op":"replace","value":{"members":null}}"#, vec![]),
    ];
    for (text, expected) in cases {
        let (others, members) = split_members(operations(text).unwrap()).unwrap();
        assert_eq!((others, members), (vec![], expected), "{text}");
    }
    for text in [
        r#"{"op":"remove","path":"members[display eq \"a\"]"}"#,
        r#"{"op":"remove","path":"members[value eq \"a\" and type eq \"User\"]"}"#,
        r#"{"op":"add","path":"members.value","value":"x"}"#,
    ] {
        let error = split_members(operations(text).unwrap()).unwrap_err();
        assert_eq!(error.scim_type, Some(ScimType::InvalidPath), "{text}");
    }
    for sub in ["display", "value", "$ref"] {
        let text =
            format!(r#"{{"op":"replace","path":"members[value eq \"a\"].{sub}","value":"x"}}"#);
        let error = split_members(operations(&text).unwrap()).unwrap_err();
        assert_eq!(error.scim_type, Some(ScimType::Mutability), "{text}");
    }
}

#[test]
fn a_rename_never_touches_members() {
    let text = r#"{"op":"replace","value":{"id":"g","displayName":"New"}},{"op":"replace","path":"externalId","value":"x"},{"op":"replace","value":{"displayName":"Newer","members":["a"]}}"#;
    let (others, members) = split_members(operations(text).unwrap()).unwrap();
    assert_eq!(members, [MemberOp::Replace(vec!["a".to_owned()])]);
    let mut group = canonicalise(&GROUP, tree(r#"{"displayName":"Old"}"#)).unwrap();
    apply(&mut group, &GROUP, &others, NoMatch::Upsert).unwrap();
    let after = canonicalise(&GROUP, tree(r#"{"displayName":"Newer","externalId":"x"}"#)).unwrap();
    assert_eq!(group, after);
}
