//! Names with their schema in front, and what stands under the schema of the resource.

use super::*;

const CORE: &str = "urn:ietf:params:scim:schemas:core:2.0:User";

#[test]
fn names_with_their_schema_in_front_are_read_as_without() {
    for (body, meant) in [
        (format!(r#""{CORE}:active":"False""#), r#""active":false"#.to_owned()),
        (
            format!(r#""{CORE}":{{"active":false,"title":"T"}}"#),
            r#""active":false,"title":"T""#.into(),
        ),
        (
            format!(r#""{ENTERPRISE}:department":"HR","{ENTERPRISE}":{{"manager":"m"}}"#),
            format!(r#""{ENTERPRISE}":{{"department":"HR","manager":{{"value":"m"}}}}"#),
        ),
        (
            format!(r#""{ENTERPRISE}":{{"manager":"m"}},"{ENTERPRISE}:department":"HR""#),
            format!(r#""{ENTERPRISE}":{{"manager":{{"value":"m"}},"department":"HR"}}"#),
        ),
        (format!(r#""{CORE}:password":"hunter2""#), String::new()),
        (format!(r#""active":true,"{CORE}:active":null"#), r#""active":true"#.into()),
        (format!(r#""active":null,"{CORE}:active":true"#), r#""active":true"#.into()),
        (format!(r#""active":true,"{CORE}:active":true"#), r#""active":true"#.into()),
        (
            format!(r#""{ENTERPRISE}":null,"{ENTERPRISE}:department":"HR""#),
            format!(r#""{ENTERPRISE}":{{"department":"HR"}}"#),
        ),
    ] {
        let text = format!(r#"{{"userName":"u",{body}}}"#);
        let tolerated = resource(&USER, tree(&text), UnknownSchema::Reject).unwrap();
        assert!(tolerated.rewrites.contains(&Rewrite::QualifiedNames), "{text}");
        assert_eq!(canonicalise(&USER, tolerated.body).unwrap(), user(&meant), "{text}");
    }
    let group = r#"{"displayName":"g","urn:ietf:params:scim:schemas:core:2.0:Group:members":[{"value":"a"}]}"#;
    let mut tolerated = resource(&GROUP, tree(group), UnknownSchema::Ignore).unwrap();
    assert_eq!(take_members(&mut tolerated.body).unwrap(), Some(vec!["a".to_owned()]));
}

#[test]
fn who_says_a_thing_twice_with_its_schema_and_without_is_told() {
    for body in [
        format!(r#"{{"userName":"u","active":true,"{CORE}:Active":false}}"#),
        format!(r#"{{"userName":"u","{CORE}":{{"userName":"v"}}}}"#),
        format!(
            r#"{{"userName":"u","{ENTERPRISE}:department":"A","{ENTERPRISE}":{{"department":"B"}}}}"#
        ),
    ] {
        let error = resource(&USER, tree(&body), UnknownSchema::Ignore).unwrap_err();
        assert_eq!(error.scim_type, Some(ScimType::InvalidSyntax), "{body}");
        assert!(error.detail.contains("is there twice"), "{}", error.detail);
    }
}

#[test]
fn what_stands_under_the_schema_of_a_user_in_a_patch_is_read_as_it_is_meant() {
    check(&[
        (
            "",
            format!(r#"{{"op":"replace","value":{{"{CORE}":{{"active":"False","title":""}}}}}}"#),
            r#""active":false"#,
            &[Rewrite::BooleanAsText, Rewrite::EmptyText],
        ),
        (
            "",
            format!(r#"{{"op":"add","path":"{CORE}","value":{{"active":"False"}}}}"#),
            r#""active":false"#,
            &[Rewrite::BooleanAsText],
        ),
    ]);
    let (done, _) = patched("", &format!(r#"{{"op":"replace","path":"{CORE}","value":""}}"#));
    assert_eq!(done.unwrap_err().scim_type, Some(ScimType::InvalidValue));
}

#[test]
fn what_has_a_schema_in_front_that_nobody_knows_is_part_of_it_as_in_a_patch() {
    let badge = r#""urn:a:acme:2.0:User":{"badge":"123"}"#;
    for (body, meant) in [
        (r#""urn:a:acme:2.0:User:badge":"123""#, badge),
        (r#""urn:a:acme:2.0:User:badge":"123","urn:a:acme:2.0:User":{"badge":"123"}"#, badge),
        (
            r#""urn:a:acme:2.0:User:badge":"123","urn:a:acme:2.0:User":{"floor":3}"#,
            r#""urn:a:acme:2.0:User":{"floor":3,"badge":"123"}"#,
        ),
        (
            r#""urn:a:acme:2.0:User:badge.colour":"red","urn:a:acme:2.0:User:tags":["x"]"#,
            r#""urn:a:acme:2.0:User":{"badge":{"colour":"red"},"tags":["x"]}"#,
        ),
        // May be an extension by this name.
        (r#""urn:a:acme:2.0:User:badge":{"no":1}"#, r#""urn:a:acme:2.0:User:badge":{"no":1}"#),
        (r#""urn:a:acme:2.0:User:password":"hunter2""#, ""),
    ] {
        let text = format!(r#"{{"userName":"u",{body}}}"#);
        let tolerated = resource(&USER, tree(&text), UnknownSchema::Ignore).unwrap();
        assert!(tolerated.rewrites.contains(&Rewrite::UnknownSchema), "{text}");
        assert_eq!(canonicalise(&USER, tolerated.body).unwrap(), user(meant), "{text}");
        let refused = resource(&USER, tree(&text), UnknownSchema::Reject).unwrap_err();
        assert_eq!(refused.scim_type, Some(ScimType::InvalidValue), "{text}");
    }
    let text = r#"{"userName":"u","urn:a:acme:2.0:User:badge":"123"}"#;
    let tolerated = resource(&USER, tree(text), UnknownSchema::Ignore).unwrap();
    let mut posted = canonicalise(&USER, tolerated.body).unwrap();
    assert_eq!(posted.get("schemas").and_then(Value::as_list).map(<[_]>::len), Some(2));
    let change = r#"{"op":"replace","path":"urn:a:acme:2.0:User:badge","value":"124"}"#;
    let operations = parse_operations(&tolerated_patch(change)).unwrap();
    patch::apply(&mut posted, &USER, &operations, NoMatch::Upsert).unwrap();
    assert_eq!(posted, user(r#""urn:a:acme:2.0:User":{"badge":"124"}"#), "there is one copy");
}

fn tolerated_patch(operations: &str) -> Attributes {
    tolerated(&USER, operations).body
}

#[test]
fn a_name_with_a_dot_is_a_part_of_what_stands_before_it() {
    let name = r#""name":{"familyName":"L","givenName":"Ada"}"#;
    for (body, meant) in [
        (r#""name.givenName":"Ada","name.familyName":"L""#.to_owned(), name.to_owned()),
        (r#""name.givenName":"Ada","name":{"familyName":"L"}"#.into(), name.into()),
        (
            r#""name":{"familyName":"L","givenName":"Ada"},"NAME.givenname":"Ada""#.into(),
            name.into(),
        ),
        (
            r#""name":{"familyName":"L","givenName":"Ada"},"name.givenName":null"#.into(),
            name.into(),
        ),
        (format!(r#""{CORE}:name.givenName":"Ada","name.familyName":"L""#), name.into()),
        (
            format!(r#""{ENTERPRISE}:manager.value":"m""#),
            format!(r#""{ENTERPRISE}":{{"manager":{{"value":"m"}}}}"#),
        ),
        (r#""shoe.size":43"#.into(), r#""shoe":{"size":43}"#.into()),
    ] {
        let text = format!(r#"{{"userName":"u",{body}}}"#);
        let tolerated = resource(&USER, tree(&text), UnknownSchema::Reject).unwrap();
        assert!(tolerated.rewrites.contains(&Rewrite::DottedNames), "{text}");
        assert_eq!(canonicalise(&USER, tolerated.body).unwrap(), user(&meant), "{text}");
    }
    for kept in [
        r#""emails.value":"a""#,
        r#""title.x":"a""#,
        r#""com.example.x":"a""#,
        r#""manager.value":"m""#,
    ] {
        let text = format!(r#"{{"userName":"u",{kept}}}"#);
        let tolerated = resource(&USER, tree(&text), UnknownSchema::Reject).unwrap();
        assert_eq!((tolerated.rewrites, tolerated.body), (vec![], tree(&text)), "{kept}");
    }
    for twice in [
        r#"{"userName":"u","name":{"givenName":"Ada"},"name.givenName":"Eve"}"#,
        r#"{"userName":"u","name":"Ada","name.givenName":"Ada"}"#,
        r#"{"userName":"u","urn:a:2.0:User:x":1,"urn:a:2.0:User":{"x":2}}"#,
    ] {
        let error = resource(&USER, tree(twice), UnknownSchema::Ignore).unwrap_err();
        assert_eq!(error.scim_type, Some(ScimType::InvalidSyntax), "{twice}");
    }
}
