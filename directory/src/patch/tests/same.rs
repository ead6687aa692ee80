//! When a value is there already, and when it is one that is meant (RFC 7643 §2.2, §2.4).

use super::*;

#[test]
fn a_value_that_is_there_in_another_letter_case_is_not_added_again() {
    check(&[
        (WORK, r#"{"op":"add","path":"emails","value":[{"value":"W","type":"Work"}]}"#, WORK),
        (
            WORK,
            r#"{"op":"add","path":"emails","value":[{"value":"W","type":"WORK","display":"D"}]}"#,
            r#""emails":[{"value":"w","type":"work","primary":true,"display":"D"}]"#,
        ),
        (
            r#""addresses":[{"locality":"Bonn"}]"#,
            r#"{"op":"add","path":"addresses","value":[{"LOCALITY":"bonn"}]}"#,
            r#""addresses":[{"locality":"Bonn"}]"#,
        ),
        (
            r#""photos":[{"value":"http://x/a"}]"#,
            r#"{"op":"add","path":"photos","value":[{"value":"http://x/A"}]}"#,
            r#""photos":[{"value":"http://x/a"},{"value":"http://x/A"}]"#,
        ),
        (r#""tags":["a"]"#, r#"{"op":"add","path":"tags","value":["A"]}"#, r#""tags":["a","A"]"#),
    ]);
}

#[test]
fn a_remove_finds_what_it_lists_in_any_letter_case_that_does_not_matter() {
    check(&[
        (WORK, r#"{"op":"remove","path":"emails","value":[{"value":"W"}]}"#, ""),
        (WORK, r#"{"op":"remove","path":"emails","value":["W"]}"#, ""),
        (WORK, r#"{"op":"remove","path":"emails","value":[{"type":"Work"}]}"#, ""),
        (WORK, r#"{"op":"remove","path":"emails","value":[{"value":"W","type":"WORK"}]}"#, ""),
        (WORK, r#"{"op":"remove","path":"emails","value":[{"value":"W","type":"home"}]}"#, WORK),
        (
            r#""photos":[{"value":"http://x/a"}]"#,
            r#"{"op":"remove","path":"photos","value":[{"value":"http://x/A"}]}"#,
            r#""photos":[{"value":"http://x/a"}]"#,
        ),
    ]);
}

#[test]
fn values_that_a_change_makes_the_same_become_one() {
    check(&[(
        r#""emails":[{"value":"a","type":"work"},{"value":"a","type":"home","primary":true}]"#,
        r#"{"op":"replace","path":"emails[type eq \"home\"].type","value":"work"}"#,
        r#""emails":[{"value":"a","type":"work","primary":true}]"#,
    )]);
}

#[test]
fn of_values_that_are_the_same_one_that_is_primary_makes_all_of_them_so() {
    let twice = r#"[{"value":"a","type":"work","primary":false},{"value":"A","type":"work","primary":true}]"#;
    let primary = r#""emails":[{"value":"a","type":"work","primary":true}]"#;
    for op in ["add", "replace"] {
        let change = format!(r#"{{"op":"{op}","path":"emails","value":{twice}}}"#);
        check(&[("", &change, primary)]);
    }
    check(&[(
        r#""emails":[{"value":"a","type":"work"},{"value":"a","type":"home","primary":true}]"#,
        r#"{"op":"replace","path":"emails[type eq \"work\"].primary","value":false},{"op":"replace","path":"emails[type eq \"home\"].type","value":"work"}"#,
        primary,
    )]);
}

#[test]
fn the_same_change_once_more_changes_nothing_whatever_of_it_is_not_kept() {
    for (before, operation) in [
        (r#""tags":[{"a":1}]"#, r#"{"op":"add","path":"tags","value":[{"a":2,"password":"x"}]}"#),
        ("", r#"{"op":"replace","path":"obj","value":{"foo":null,"type":"t"}}"#),
    ] {
        let once = patched(before, operation).unwrap();
        let twice = patched(before, &format!("{operation},{operation}")).unwrap();
        assert_eq!(once, twice, "{operation}");
    }
}
