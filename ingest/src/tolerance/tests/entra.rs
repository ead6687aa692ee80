//! What Microsoft Entra ID alone sends.

use super::*;

#[test]
fn app_roles_are_read_out_of_their_texts() {
    use Rewrite::{JsonInText, OpInCapitals};
    check(&[
        (
            "",
            r#"{"op":"add","path":"roles","value":["{\"id\":\"1\",\"value\":\"r\",\"displayName\":\"R\"}"]}"#.into(),
            r#""roles":[{"value":"r","display":"R"}]"#,
            &[JsonInText],
        ),
        (
            "",
            r#"{"op":"Add","path":"roles","value":[{"value":"{\"id\":\"1\",\"value\":\"r\",\"displayName\":\"R\"}"}]}"#.into(),
            r#""roles":[{"value":"r","display":"R"}]"#,
            &[JsonInText, OpInCapitals],
        ),
        (
            "",
            r#"{"op":"add","path":"roles","value":[{"value":"{\"value\":\"r\",\"displayName\":\"R\"}","display":"old","type":"t","primary":true}]}"#.into(),
            r#""roles":[{"value":"r","display":"R","type":"t","primary":true}]"#,
            &[JsonInText],
        ),
    ]);
}

#[test]
fn a_text_of_json_that_is_no_app_role_is_a_text() {
    for kept in [
        r#""entitlements":[{"value":"{\"app\":\"x\"}","type":"policy","primary":true}]"#,
        r#""entitlements":[{"value":"{\"value\":\"x\"}","type":"policy"}]"#,
        r#""roles":[{"value":"{\"app\":\"x\"}","type":"policy","primary":true}]"#,
        r#""roles":[{"value":"{\"value\":null}","type":"policy"}]"#,
    ] {
        let body = tree(&format!(r#"{{"userName":"u",{kept}}}"#));
        let tolerated = resource(&USER, body, UnknownSchema::Ignore).unwrap();
        assert_eq!(tolerated.rewrites, [], "{kept}");
        assert_eq!(canonicalise(&USER, tolerated.body).unwrap(), user(kept));
        check(&[("", format!(r#"{{"op":"add","value":{{{kept}}}}}"#), kept, &[])]);
    }
}

#[test]
fn the_wrong_and_the_right_spelling_of_a_schema_are_one_extension() {
    let misspelt = ENTERPRISE.replace("2.0:User", "2.0User");
    let both = format!(r#""{ENTERPRISE}":{{"department":"HR","manager":{{"value":"m"}}}}"#);
    for said in [
        format!(r#""{misspelt}":{{"department":"HR"}},"{ENTERPRISE}":{{"manager":"m"}}"#),
        format!(r#""{ENTERPRISE}":{{"manager":"m"}},"{misspelt}":{{"department":"HR"}}"#),
        format!(r#""{misspelt}:department":"HR","{ENTERPRISE}":{{"manager":"m"}}"#),
    ] {
        let body = tree(&format!(r#"{{"userName":"u",{said}}}"#));
        let tolerated = resource(&USER, body, UnknownSchema::Reject).unwrap();
        assert!(tolerated.rewrites.contains(&Rewrite::MisspeltSchema), "{said}");
        assert_eq!(canonicalise(&USER, tolerated.body).unwrap(), user(&both), "{said}");
        let (done, _) = patched("", &format!(r#"{{"op":"add","value":{{{said}}}}}"#));
        assert_eq!(done, Ok(user(&both)), "{said}");
    }
    let said =
        format!(r#""{misspelt}":{{"department":"HR"}},"{ENTERPRISE}":{{"department":"IT"}}"#);
    let body = tree(&format!(r#"{{"userName":"u",{said}}}"#));
    let refused = resource(&USER, body, UnknownSchema::Ignore).unwrap_err();
    assert_eq!(refused.scim_type, Some(ScimType::InvalidSyntax));
    let change = patch_body(&format!(r#"{{"op":"add","value":{{{said}}}}}"#));
    let refused = patch(&USER, change, UnknownSchema::Ignore).unwrap_err();
    assert_eq!(refused.scim_type, Some(ScimType::InvalidSyntax));
}
