//! What goes with what is removed, and what a remove that has a value leaves alone.

use super::*;

#[test]
fn a_remove_with_a_value_takes_away_that_value_only() {
    let manager = format!(r#""{ENTERPRISE}":{{"manager":{{"value":"m","$ref":"r"}}}}"#);
    let name = r#""name":{"familyName":"F","givenName":"G"}"#;
    let title = r#""title":"Boss""#;
    check(&[
        (title, r#"{"op":"remove","path":"title","value":"Clerk"}"#, title),
        (title, r#"{"op":"remove","path":"title","value":"BOSS"}"#, ""),
        (title, r#"{"op":"remove","path":"title","value":["Boss"]}"#, ""),
        (
            r#""active":true"#,
            r#"{"op":"remove","path":"active","value":false}"#,
            r#""active":true"#,
        ),
        (
            r#""externalId":"E""#,
            r#"{"op":"remove","path":"externalId","value":"e"}"#,
            r#""externalId":"E""#,
        ),
        (&manager, r#"{"op":"remove","path":"manager","value":{"value":"n"}}"#, &manager),
        (&manager, r#"{"op":"remove","path":"manager","value":[{"value":"m","$ref":null}]}"#, ""),
        (&manager, r#"{"op":"remove","path":"manager.value","value":"n"}"#, &manager),
        (&manager, r#"{"op":"remove","path":"manager.value","value":"m"}"#, ""),
        (name, r#"{"op":"remove","path":"name.givenName","value":"H"}"#, name),
        (
            name,
            r#"{"op":"remove","path":"name.givenName","value":"g"}"#,
            r#""name":{"familyName":"F"}"#,
        ),
        (name, r#"{"op":"remove","path":"name","value":{"givenName":"H"}}"#, name),
        (r#""x":1"#, r#"{"op":"remove","path":"x","value":2}"#, r#""x":1"#),
        (r#""x":1"#, r#"{"op":"remove","path":"x","value":1}"#, ""),
        (WORK, r#"{"op":"remove","path":"emails[type eq \"work\"].value","value":"old"}"#, WORK),
        (WORK, r#"{"op":"remove","path":"emails[type eq \"work\"].value","value":"W"}"#, ""),
        (
            WORK,
            r#"{"op":"remove","path":"emails[type eq \"work\"]","value":{"value":"old"}}"#,
            WORK,
        ),
        (WORK, r#"{"op":"remove","path":"emails[type eq \"work\"]","value":[{"value":"w"}]}"#, ""),
    ]);
}

#[test]
fn what_is_said_of_a_value_goes_with_it() {
    let two =
        r#""emails":[{"value":"w","type":"work","primary":true},{"value":"h","type":"home"}]"#;
    let home = r#""emails":[{"value":"h","type":"home"}]"#;
    check(&[
        (two, r#"{"op":"remove","path":"emails[type eq \"work\"].value"}"#, home),
        (two, r#"{"op":"replace","path":"emails[type eq \"work\"].value","value":null}"#, home),
        (two, r#"{"op":"replace","path":"emails[type eq \"work\"]","value":{"value":null}}"#, home),
        (two, r#"{"op":"remove","path":"emails.value"}"#, ""),
        (
            two,
            r#"{"op":"replace","path":"emails","value":[{"value":null,"type":"work"},{"value":"h","type":"home"}]}"#,
            home,
        ),
        (
            two,
            r#"{"op":"remove","path":"emails[type eq \"work\"].value"},{"op":"add","path":"emails[type eq \"work\"].value","value":"n"}"#,
            r#""emails":[{"value":"h","type":"home"},{"type":"work","value":"n"}]"#,
        ),
        // An address has no value of which the rest is said.
        (
            r#""addresses":[{"type":"work","locality":"B"}]"#,
            r#"{"op":"remove","path":"addresses[type eq \"work\"].locality"}"#,
            r#""addresses":[{"type":"work"}]"#,
        ),
        // What was never given a value may still get one: attributes can come one by one.
        (
            "",
            r#"{"op":"add","path":"roles[primary eq true].display","value":"D"}"#,
            r#""roles":[{"primary":true,"display":"D"}]"#,
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
