//! What add and replace make of values.

use super::*;

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
fn what_the_value_of_a_part_says_of_its_own_parts_is_not_said_of_the_whole() {
    let kept =
        r#""emails":[{"value":"w","type":"work","primary":true,"custom":{"value":null,"k":1}}]"#;
    check(&[
        (
            WORK,
            r#"{"op":"add","path":"emails[type eq \"work\"].custom","value":{"value":null,"k":1}}"#,
            kept,
        ),
        (WORK, r#"{"op":"replace","path":"emails.custom","value":{"value":null,"k":1}}"#, kept),
        (
            r#""tags":[{"value":"a","x":1}]"#,
            r#"{"op":"add","path":"tags[x eq 1].meta","value":{"value":null,"x":null,"q":2}}"#,
            r#""tags":[{"value":"a","x":1,"meta":{"value":null,"x":null,"q":2}}]"#,
        ),
    ]);
}

#[test]
fn simple_values_have_no_parts_to_set() {
    let tags = r#""tags":["a","b"]"#;
    refused(&[
        (
            tags,
            r#"{"op":"replace","path":"tags[value eq \"a\"].type","value":"t"}"#,
            ScimType::InvalidPath,
        ),
        (tags, r#"{"op":"add","path":"tags.x","value":1}"#, ScimType::InvalidPath),
    ]);
}
