//! Attributes of extensions, and of what no schema knows.

use super::*;

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
fn what_stands_behind_a_version_is_an_attribute_or_a_schema_as_the_resource_has_it() {
    let has = r#""urn:my:scim:1.0":{"costCenter":"X","site":"S"}"#;
    let without = r#""urn:my:scim:1.0":{"site":"S"}"#;
    let changed = r#""urn:my:scim:1.0":{"costCenter":"Y","site":"S"}"#;
    check(&[
        (has, r#"{"op":"remove","path":"urn:my:scim:1.0:costCenter"}"#, without),
        (has, r#"{"op":"replace","path":"urn:my:scim:1.0:costCenter","value":"Y"}"#, changed),
        (has, r#"{"op":"replace","value":{"urn:my:scim:1.0:costCenter":"Y"}}"#, changed),
        (has, r#"{"op":"remove","path":"urn:my:scim:1.0"}"#, ""),
        (
            "",
            r#"{"op":"add","path":"urn:my:scim:1.0:costCenter","value":"Y"}"#,
            r#""urn:my:scim:1.0":{"costCenter":"Y"}"#,
        ),
        (
            "",
            r#"{"op":"add","path":"urn:my:scim:1.0:User","value":{"costCenter":"Y"}}"#,
            r#""urn:my:scim:1.0:User":{"costCenter":"Y"}"#,
        ),
        (
            r#""urn:my:scim:1.0:User":{"costCenter":"Y"}"#,
            r#"{"op":"remove","path":"urn:my:scim:1.0:User"}"#,
            "",
        ),
    ]);
}

#[test]
fn what_a_change_leaves_empty_in_an_extension_is_not_there() {
    check(&[
        ("", r#"{"op":"remove","path":"urn:a:2.0:User:address.city"}"#, ""),
        (
            r#""urn:a:2.0:User":{"x":1}"#,
            r#"{"op":"replace","path":"urn:a:2.0:User:things[type eq \"a\"]","value":null}"#,
            r#""urn:a:2.0:User":{"x":1}"#,
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
fn the_address_of_another_manager_is_that_manager_and_one_that_names_nobody_changes_nothing() {
    let manager = |inner: &str| format!(r#""{ENTERPRISE}":{{"manager":{inner}}}"#);
    let old = manager(r#"{"value":"old","$ref":"../Users/old","note":"n"}"#);
    let new = manager(r#"{"value":"new","$ref":"../Users/new"}"#);
    let plain = manager(r#"{"value":"old"}"#);
    let replace =
        |path: &str, value: &str| format!(r#"{{"op":"replace","path":"{path}","value":{value}}}"#);
    check(&[
        (&old, &replace("manager", r#"{"$ref":"../Users/new"}"#), &new),
        (&old, &replace("manager.$ref", r#""../Users/new""#), &new),
        (&old, &replace("manager", r#"{"$ref":"../Users/old"}"#), &old),
        (&old, &replace("manager", r#"{"$ref":"elsewhere","note":"m"}"#), &old),
        (&old, &replace("manager.$ref", r#""https://x/Groups/g""#), &old),
        (
            &plain,
            &replace("manager", r#"{"$ref":"../Users/old"}"#),
            &manager(r#"{"value":"old","$ref":"../Users/old"}"#),
        ),
        (&plain, &replace("manager", r#"{"$ref":"../Users/new"}"#), &new),
        (
            &old,
            &replace("manager", r#"{"note":"m"}"#),
            &manager(r#"{"value":"old","$ref":"../Users/old","note":"m"}"#),
        ),
        (
            &old,
            r#"{"op":"remove","path":"manager.$ref"}"#,
            &manager(r#"{"value":"old","note":"n"}"#),
        ),
    ]);
}

#[test]
fn a_name_with_a_urn_that_was_kept_flat_does_not_hide_the_extension() {
    let flat = format!(r#""{ENTERPRISE}:department":"old""#);
    let change = format!(r#"{{"op":"replace","path":"{ENTERPRISE}:department","value":"HR"}}"#);
    check(&[(&flat, &change, &format!(r#"{flat},"{ENTERPRISE}":{{"department":"HR"}}"#))]);
}

#[test]
fn values_of_what_no_schema_knows_are_others_if_they_differ_in_anything() {
    let two = r#""x":[{"value":"b","display":"D"},{"value":"b","display":"E"}]"#;
    let add = |values: &str| format!(r#"{{"op":"add","path":"x","value":{values}}}"#);
    check(&[
        ("", &add(r#"[{"value":"b","display":"D"},{"value":"b","display":"E"}]"#), two),
        (two, &add(r#"[{"value":"b","display":"D"},{"value":"b","display":"E"}]"#), two),
        (r#""x":[{"value":"b","display":"D"}]"#, &add(r#"[{"value":"b","display":"E"}]"#), two),
        (
            r#""x":[{"value":"b","primary":true}]"#,
            &add(r#"[{"value":"c","primary":true}]"#),
            r#""x":[{"value":"b","primary":true},{"value":"c","primary":true}]"#,
        ),
        (r#""tags":["a"]"#, r#"{"op":"add","path":"tags","value":"b"}"#, r#""tags":["a","b"]"#),
        (r#""tags":["a"]"#, r#"{"op":"add","path":"tags","value":"a"}"#, r#""tags":["a"]"#),
        (two, r#"{"op":"remove","path":"x","value":[{"value":"b"}]}"#, ""),
        (
            two,
            r#"{"op":"remove","path":"x","value":[{"value":"b","display":"E"}]}"#,
            r#""x":[{"value":"b","display":"D"}]"#,
        ),
        (two, r#"{"op":"remove","path":"x","value":[{"value":"b","colour":"red"}]}"#, two),
        (
            r#""x":[{"type":"h","primary":true},{"type":"w"}]"#,
            r#"{"op":"replace","path":"x[type eq \"w\"].primary","value":true}"#,
            r#""x":[{"type":"h","primary":true},{"type":"w","primary":true}]"#,
        ),
    ]);
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
fn the_urn_of_an_extension_that_is_not_there_yet_makes_it_where_a_post_would() {
    let okta = "urn:okta:acme:1.0:user:custom";
    let whole = format!(r#""{okta}":{{"badge":"2"}}"#);
    check(&[
        ("", &format!(r#"{{"op":"add","path":"{okta}","value":{{"badge":"2"}}}}"#), &whole),
        ("", &format!(r#"{{"op":"replace","value":{{"{okta}":{{"badge":"2"}}}}}}"#), &whole),
        (
            &whole,
            &format!(r#"{{"op":"replace","path":"{okta}:badge","value":"3"}}"#),
            &format!(r#""{okta}":{{"badge":"3"}}"#),
        ),
        (
            r#""urn:a:2.0:User":{"x":1}"#,
            r#"{"op":"add","path":"urn:a:2.0:User:address","value":{"city":"B"}}"#,
            r#""urn:a:2.0:User":{"x":1,"address":{"city":"B"}}"#,
        ),
    ]);
}
