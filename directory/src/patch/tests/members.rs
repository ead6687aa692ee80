//! Operations on members of groups.

use schemas::scim::GROUP;

use super::*;

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
        (
            r#"{"op":"add","path":"urn:ietf:params:scim:schemas:core:2.0:Group","value":{"members":["a"]}}"#,
            vec![MemberOp::Add(ids(&["a"]))],
        ),
        (
            r#"{"op":"replace","value":{"urn:ietf:params:scim:schemas:core:2.0:Group":{"Members":["a"]}}}"#,
            vec![MemberOp::Replace(ids(&["a"]))],
        ),
        (r#"{"op":"replace","value":{"members":null}}"#, vec![]),
    ];
    for (text, expected) in cases {
        let (others, members) = split_members(operations(text).unwrap()).unwrap();
        assert_eq!((others, members), (vec![], expected), "{text}");
    }
    for op in ["remove", "replace"] {
        let text = format!(r#"{{"op":"{op}","path":"members","value":null}}"#);
        let error = split_members(operations(&text).unwrap()).unwrap_err();
        assert_eq!(error.scim_type, Some(ScimType::InvalidValue), "{text}");
    }
    for text in [
        r#"{"op":"remove","path":"members[display eq \"a\"]"}"#,
        r#"{"op":"remove","path":"members[value ne \"a\"]"}"#,
        r#"{"op":"remove","path":"members[not (value eq \"a\")]"}"#,
        r#"{"op":"remove","path":"members[value eq \"a\" and display pr]"}"#,
    ] {
        let error = split_members(operations(text).unwrap()).unwrap_err();
        assert_eq!(error.scim_type, Some(ScimType::InvalidFilter), "{text}");
    }
    let text = r#"{"op":"add","path":"members.value","value":"x"}"#;
    let error = split_members(operations(text).unwrap()).unwrap_err();
    assert_eq!(error.scim_type, Some(ScimType::InvalidPath), "{text}");
    for sub in ["display", "value", "$ref"] {
        let text =
            format!(r#"{{"op":"replace","path":"members[value eq \"a\"].{sub}","value":"x"}}"#);
        let error = split_members(operations(&text).unwrap()).unwrap_err();
        assert_eq!(error.scim_type, Some(ScimType::Mutability), "{text}");
    }
}

#[test]
fn what_stands_beside_members_is_for_the_others() {
    let core = "urn:ietf:params:scim:schemas:core:2.0:Group";
    for text in [
        format!(r#"{{"op":"add","path":"{core}","value":{{"members":["a"],"displayName":"D"}}}}"#),
        format!(r#"{{"op":"add","value":{{"{core}":{{"members":["a"],"displayName":"D"}}}}}}"#),
        format!(r#"{{"op":"add","value":{{"members":["a"],"{core}":{{"displayName":"D"}}}}}}"#),
    ] {
        let (others, members) = split_members(operations(&text).unwrap()).unwrap();
        assert_eq!(members, [MemberOp::Add(vec!["a".to_owned()])], "{text}");
        let mut group = canonicalise(&GROUP, tree(r#"{"displayName":"Old"}"#)).unwrap();
        apply(&mut group, &GROUP, &others, NoMatch::Upsert).unwrap();
        assert_eq!(group.get("displayName").and_then(Value::as_str), Some("D"), "{text}");
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

#[test]
fn members_are_selected_by_what_their_identifier_tells() {
    let remove = |ids: &[&str]| MemberOp::Remove(ids.iter().map(|id| (*id).to_owned()).collect());
    for (filter, expected) in [
        (r#"value eq "a" and type eq "User""#, remove(&["a"])),
        (r#"type eq "user" and (value eq "a" or value eq "b") and value eq "b""#, remove(&["b"])),
        (r#"value eq "a" and type eq "Group""#, remove(&[])),
        (r#"$ref eq "https://d.example/scim/v2.0/x/Users/a" and value pr"#, remove(&["a"])),
        (r#"$ref eq "https://d.example/scim/v2.0/x/Groups/a""#, remove(&[])),
        (r#"type eq "User""#, MemberOp::Clear),
        (r#"value pr or value eq "a""#, MemberOp::Clear),
    ] {
        let path = format!("members[{filter}]").replace('"', "\\\"");
        let text = format!(r#"{{"op":"remove","path":"{path}"}}"#);
        let (_, members) = split_members(operations(&text).unwrap()).unwrap();
        assert_eq!(members, [expected], "{filter}");
    }
}
