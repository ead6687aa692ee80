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
fn a_remove_of_an_extension_with_a_value_takes_away_what_agrees_with_it_only() {
    let remove =
        |urn: &str, value: &str| format!(r#"{{"op":"remove","path":"{urn}","value":{value}}}"#);
    let manager = format!(r#""{ENTERPRISE}":{{"manager":{{"value":"m"}}}}"#);
    let both = format!(r#""{ENTERPRISE}":{{"department":"Sales","manager":{{"value":"m"}}}}"#);
    for (value, after) in [
        (r#"{"department":"Sales"}"#, manager.as_str()),
        (r#"{"Department":"SALES","manager":{"value":"old"}}"#, &manager),
        (r#"{"department":"Sales","manager":{"value":"m"}}"#, ""),
        (r#"{"department":"HR","division":"D"}"#, &both),
        (r#"{"department":null}"#, &both),
        (r#""Sales""#, &both),
        ("{}", ""),
        ("null", ""),
    ] {
        check(&[(&both, &remove(ENTERPRISE, value), after)]);
    }
    let (unknown, left) = (r#""urn:a:2.0:User":{"x":1,"y":"Y"}"#, r#""urn:a:2.0:User":{"y":"Y"}"#);
    for (value, after) in [
        (r#"{"x":1}"#, left),
        (r#"{"x":1,"y":"y"}"#, left),
        (r#"{"x":2}"#, unknown),
        ("1", unknown),
        (r#"{"x":1,"y":"Y"}"#, ""),
    ] {
        check(&[(unknown, &remove("urn:a:2.0:User", value), after)]);
    }
    check(&[("", &remove("urn:a:2.0:User", r#"{"x":1}"#), "")]);
}

#[test]
fn a_remove_of_a_name_with_a_value_takes_away_the_parts_that_agree() {
    let name = r#""name":{"familyName":"F","givenName":"G"}"#;
    let family = r#""name":{"familyName":"F"}"#;
    check(&[
        (name, r#"{"op":"remove","path":"name","value":{"givenName":"g"}}"#, family),
        (
            name,
            r#"{"op":"remove","path":"name","value":{"givenName":"G","familyName":"X"}}"#,
            family,
        ),
        (name, r#"{"op":"remove","path":"name","value":{"givenName":null}}"#, name),
        (name, r#"{"op":"remove","path":"name","value":{"givenName":"G","familyName":"F"}}"#, ""),
        (name, r#"{"op":"remove","path":"name"}"#, ""),
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
