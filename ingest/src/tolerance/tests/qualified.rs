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
