//! What is refused, and what is passed over.

use super::*;

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
