use directory::patch::{self, NoMatch, parse_operations, split_members};
use schemas::scim::{GROUP, PATCH_OP_URN, ScimType, USER, canonicalise, parse, take_members};

use super::*;

mod entra;
mod qualified;

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

fn tree(text: &str) -> Attributes {
    parse(text.as_bytes()).unwrap()
}

fn user(text: &str) -> Attributes {
    let comma = if text.is_empty() { "" } else { "," };
    canonicalise(&USER, tree(&format!(r#"{{"userName":"u"{comma}{text}}}"#))).unwrap()
}

fn patch_body(operations: &str) -> Attributes {
    tree(&format!(r#"{{"schemas":["{PATCH_OP_URN}"],"Operations":[{operations}]}}"#))
}

fn tolerated(schema: &ResourceSchema, operations: &str) -> Tolerated {
    patch(schema, patch_body(operations), UnknownSchema::Ignore).unwrap()
}

/// The user before with the operations applied, and what was tolerated.
fn patched(before: &str, operations: &str) -> (Result<Attributes, ScimError>, Vec<Rewrite>) {
    let Tolerated { body, rewrites } = tolerated(&USER, operations);
    let mut resource = user(before);
    let applied = parse_operations(&body)
        .and_then(|operations| patch::apply(&mut resource, &USER, &operations, NoMatch::Upsert));
    (applied.map(|_| resource), rewrites)
}

/// A user before, operations, the user after, and what was tolerated.
type Case<'a> = (&'a str, String, &'a str, &'a [Rewrite]);

fn check(cases: &[Case<'_>]) {
    for (before, operations, after, expected) in cases {
        let (done, mut rewrites) = patched(before, operations);
        assert_eq!(done, Ok(user(after)), "{before} + {operations}");
        rewrites.sort_unstable();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(rewrites, expected, "{operations}");
    }
}

const WORK: &str = r#""emails":[{"value":"w","type":"work"}]"#;

#[test]
fn what_lists_nothing_removes_nothing() {
    check(&[
        (WORK, r#"{"op":"remove","path":"emails","value":""}"#.into(), WORK, &[Rewrite::EmptyText]),
        (
            WORK,
            r#"{"op":"remove","path":"emails","value":[]}"#.into(),
            WORK,
            &[Rewrite::RemoveOfListedValues],
        ),
        (
            WORK,
            r#"{"op":"remove","path":"emails","value":[{}]}"#.into(),
            WORK,
            &[Rewrite::RemoveOfListedValues],
        ),
    ]);
    let Tolerated { body, .. } =
        tolerated(&GROUP, r#"{"op":"remove","path":"members","value":""}"#);
    let (_, members) = split_members(parse_operations(&body).unwrap()).unwrap();
    assert_eq!(members, []);
}

#[test]
fn operations_names_and_values_are_read_as_they_are_meant() {
    use Rewrite::{
        BooleanAsText, DottedNames, MisspeltSchema, OneForList, OpInCapitals, ReadOnlyWithoutPath,
        RemoveOfListedValues,
    };
    let department = format!(r#""{ENTERPRISE}":{{"department":"HR"}}"#);
    let two = r#""emails":[{"value":"w","type":"work"},{"value":"h","type":"home"}]"#;
    check(&[
        ("", r#"{"op":"Add","path":"title","value":"T"}"#.into(), r#""title":"T""#, &[OpInCapitals]),
        (r#""title":"T""#, r#"{"op":"REMOVE","path":"title"}"#.into(), "", &[OpInCapitals]),
        (
            "",
            r#"{"op":"Replace","path":"active","value":"False"}"#.into(),
            r#""active":false"#,
            &[OpInCapitals, BooleanAsText],
        ),
        ("", r#"{"op":"replace","value":{"active":"true"}}"#.into(), r#""active":true"#, &[BooleanAsText]),
        (
            "",
            r#"{"op":"replace","path":"roles[primary eq \"True\"].value","value":"r"}"#.into(),
            r#""roles":[{"primary":true,"value":"r"}]"#,
            &[BooleanAsText],
        ),
        (
            "",
            r#"{"op":"add","path":"emails","value":[{"value":"w","primary":"True"}]}"#.into(),
            r#""emails":[{"value":"w","primary":true}]"#,
            &[BooleanAsText],
        ),
        (
            WORK,
            format!(r#"{{"op":"replace","value":{{"displayName":"D","name.givenName":"G","{ENTERPRISE}:department":"HR"}}}}"#),
            &format!(r#"{WORK},"displayName":"D","name":{{"givenName":"G"}},{department}"#),
            &[DottedNames],
        ),
        (
            WORK,
            r#"{"op":"replace","value":{"emails[type eq \"work\"].value":"x","groups.value":"g"}}"#.into(),
            r#""emails":[{"value":"x","type":"work"}]"#,
            &[DottedNames, ReadOnlyWithoutPath],
        ),
        ("", r#"{"op":"add","path":"emails","value":{"value":"w","type":"work"}}"#.into(), WORK, &[OneForList]),
        (
            "",
            r#"{"op":"add","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0User:department","value":"HR"}"#.into(),
            &department,
            &[MisspeltSchema],
        ),
        (
            two,
            r#"{"op":"remove","path":"emails","value":[{"value":"h"}]}"#.into(),
            WORK,
            &[RemoveOfListedValues],
        ),
        (
            r#""active":true"#,
            r#"{"op":"Remove","path":"active","value":"False"}"#.into(),
            r#""active":true"#,
            &[OpInCapitals, BooleanAsText, RemoveOfListedValues],
        ),
        (r#""urn:x:1.0:Y":{"a":1}"#, r#"{"op":"replace","value":{"urn:x:1.0:Y":{"a":2}}}"#.into(),
            r#""urn:x:1.0:Y":{"a":2}"#, &[Rewrite::UnknownSchema]),
    ]);
}

#[test]
fn an_empty_text_clears_what_a_schema_knows() {
    use Rewrite::EmptyText;
    check(&[
        (
            r#""title":"T""#,
            r#"{"op":"replace","path":"title","value":""}"#.into(),
            "",
            &[EmptyText],
        ),
        (r#""title":"T""#, r#"{"op":"replace","value":{"title":""}}"#.into(), "", &[EmptyText]),
        (
            r#""name":{"familyName":"F","givenName":"G"}"#,
            r#"{"op":"replace","value":{"name":{"familyName":"","givenName":"H"}}}"#.into(),
            r#""name":{"givenName":"H"}"#,
            &[EmptyText],
        ),
        (
            WORK,
            r#"{"op":"replace","path":"emails[type eq \"work\"].value","value":""}"#.into(),
            "",
            &[EmptyText],
        ),
        (
            "",
            r#"{"op":"replace","path":"emails[type eq \"home\"].value","value":""}"#.into(),
            "",
            &[EmptyText],
        ),
    ]);
}

#[test]
fn a_reference_is_set_and_cleared_in_every_way_that_clients_use() {
    use Rewrite::{BareReference, EmptyText, ManagerId, NullValue, UnqualifiedExtension};
    let manager = |inner: &str| format!(r#""{ENTERPRISE}":{{"manager":{inner}}}"#);
    let (ann, bob) = (manager(r#"{"value":"a"}"#), manager(r#"{"value":"b"}"#));
    let at = |path: &str, value: &str| {
        format!(r#"{{"op":"replace","path":"{ENTERPRISE}:{path}","value":{value}}}"#)
    };
    check(&[
        (&ann, at("manager", r#""b""#), &bob, &[BareReference]),
        (&ann, at("manager", r#"["b"]"#), &bob, &[BareReference]),
        (&ann, at("manager", r#"[{"value":"b","$ref":null}]"#), &bob, &[BareReference, NullValue]),
        (&ann, at("manager", r#"{"managerId":"b"}"#), &bob, &[ManagerId]),
        (&ann, at("manager", r#""""#), "", &[EmptyText]),
        (&ann, at("manager.value", r#""""#), "", &[EmptyText]),
        (&ann, at("manager", r#"{"value":""}"#), "", &[EmptyText]),
        (&ann, at("manager", "null"), "", &[NullValue]),
        (
            &ann,
            r#"{"op":"replace","path":"manager","value":{"value":"b"}}"#.into(),
            &bob,
            &[UnqualifiedExtension],
        ),
    ]);
}

#[test]
fn what_the_rfc_says_passes_unchanged_and_unnoted() {
    for operations in [
        r#"{"op":"replace","path":"name.givenName","value":"G"}"#,
        r#"{"op":"add","value":{"title":"T","emails":[{"value":"w","primary":true}]}}"#,
        r#"{"op":"remove","path":"emails[type eq \"work\"].value"}"#,
        r#"{"op":"replace","path":"active","value":false}"#,
        r#"{"op":"replace","path":"unknown","value":""}"#,
    ] {
        let body = patch_body(operations);
        let tolerated = tolerated(&USER, operations);
        assert_eq!(tolerated.rewrites, [], "{operations}");
        let (before, after) =
            (serde_json::to_string(&body), serde_json::to_string(&tolerated.body));
        assert_eq!(before.unwrap(), after.unwrap());
    }
}

#[test]
fn what_cannot_be_understood_is_left_to_the_rules() {
    for operations in [
        r#"{"op":"Change","path":"title","value":"T"}"#,
        r#"{"op":"replace","path":"active","value":"maybe"}"#,
        r#"{"op":"replace","path":7,"value":"x"}"#,
        r#"{"op":"replace","path":"emails[type","value":"x"}"#,
        r#"{"op":"add","path":"emails","value":[["x"]]}"#,
        r#"{"op":"add","path":"emails","value":["x"]}"#,
        "7",
        r#"{"op":"replace"}"#,
    ] {
        let (done, _) = patched("", operations);
        assert_eq!(done.map_err(|error| error.status), Err(400), "{operations}");
    }
}

#[test]
fn members_are_read_in_every_way_that_clients_use() {
    use Rewrite::{BareMember, OneForList, OpInCapitals, RemoveOfListedValues};
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    let cases: &[(&str, patch::MemberOp, &[Rewrite])] = &[
        (
            r#"{"op":"Remove","path":"members","value":[{"$ref":null,"value":"u1"}]}"#,
            patch::MemberOp::Remove(ids(&["u1"])),
            &[OpInCapitals, RemoveOfListedValues],
        ),
        (
            r#"{"op":"add","value":{"members":["u1",{"value":"u2"}]}}"#,
            patch::MemberOp::Add(ids(&["u1", "u2"])),
            &[BareMember],
        ),
        (
            r#"{"op":"add","path":"members","value":"u1"}"#,
            patch::MemberOp::Add(ids(&["u1"])),
            &[BareMember, OneForList],
        ),
        (
            r#"{"op":"replace","path":"members","value":{"value":"u1"}}"#,
            patch::MemberOp::Replace(ids(&["u1"])),
            &[OneForList],
        ),
        (
            r#"{"op":"replace","path":"members","value":[{"value":"u1","display":"U"}]}"#,
            patch::MemberOp::Replace(ids(&["u1"])),
            &[],
        ),
    ];
    for (operation, expected, expected_rewrites) in cases {
        let Tolerated { body, mut rewrites } = tolerated(&GROUP, operation);
        let (others, members) = split_members(parse_operations(&body).unwrap()).unwrap();
        assert_eq!((others, members), (vec![], vec![expected.clone()]), "{operation}");
        rewrites.sort_unstable();
        assert_eq!(rewrites, *expected_rewrites, "{operation}");
    }
    let body = tree(r#"{"displayName":"G","members":["u1"]}"#);
    let tolerated = resource(&GROUP, body, UnknownSchema::Ignore).unwrap();
    assert_eq!(tolerated.rewrites, [BareMember]);
    assert_eq!(take_members(&mut { tolerated.body }).unwrap(), Some(ids(&["u1"])));
}

#[test]
fn an_id_beside_the_name_of_a_group_is_passed_over_and_said_so() {
    let rename = r#"{"op":"replace","value":{"id":"g","displayName":"G"}}"#;
    let Tolerated { body, rewrites } = tolerated(&GROUP, rename);
    assert_eq!(rewrites, [Rewrite::ReadOnlyWithoutPath]);
    let [operation] = &parse_operations(&body).unwrap()[..] else { panic!("one operation") };
    assert_eq!(operation.value, Some(Attributes::from([("displayName", "G")]).into()));
    let (done, _) = patched("", r#"{"op":"replace","path":"id","value":"x"}"#);
    assert_eq!(done.unwrap_err().scim_type, Some(ScimType::Mutability));
}

#[test]
fn null_is_no_value_and_said_so() {
    use Rewrite::NullValue;
    check(&[
        (
            r#""title":"T""#,
            r#"{"op":"replace","path":"title","value":null}"#.into(),
            "",
            &[NullValue],
        ),
        (r#""title":"T""#, r#"{"op":"add","value":{"title":null}}"#.into(), "", &[NullValue]),
        (WORK, r#"{"op":"remove","path":"emails","value":null}"#.into(), "", &[]),
    ]);
    let body = tree(r#"{"userName":"u","title":null}"#);
    assert_eq!(resource(&USER, body, UnknownSchema::Ignore).unwrap().rewrites, [NullValue]);
}

#[test]
fn a_resource_is_read_as_it_is_meant() {
    let body = r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:ietf:params:scim:schemas:extension:enterprise:2.0User"],
        "userName":"u","active":"True","title":"","emails":[{"value":"w","primary":"true"}],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0User":{"manager":"m","department":"HR"}}"#;
    let tolerated = resource(&USER, tree(body), UnknownSchema::Reject).unwrap();
    let kept = canonicalise(&USER, tolerated.body).unwrap();
    let expected = format!(
        r#""active":true,"emails":[{{"value":"w","primary":true}}],
        "{ENTERPRISE}":{{"manager":{{"value":"m"}},"department":"HR"}}"#
    );
    assert_eq!(kept, user(&expected));
    for named in [
        Rewrite::BooleanAsText,
        Rewrite::BareReference,
        Rewrite::EmptyText,
        Rewrite::MisspeltSchema,
    ] {
        assert!(tolerated.rewrites.contains(&named), "{named:?}");
    }
}

#[test]
fn an_unknown_schema_is_passed_over_or_refused_as_the_directory_has_it() {
    let body = || {
        tree(
            r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group",
            "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],"displayName":"G"}"#,
        )
    };
    let ignored = resource(&GROUP, body(), UnknownSchema::Ignore).unwrap();
    assert_eq!(ignored.rewrites, [Rewrite::UnknownSchema]);
    let refused = resource(&GROUP, body(), UnknownSchema::Reject).unwrap_err();
    assert!(refused.detail.contains("ADSCIM/2.0/Group"), "{}", refused.detail);
    let used = || tree(r#"{"displayName":"G","urn:example:2.0:Badge":{"number":7}}"#);
    resource(&GROUP, used(), UnknownSchema::Ignore).unwrap();
    let refused = resource(&GROUP, used(), UnknownSchema::Reject).unwrap_err();
    assert!(refused.detail.contains("urn:example:2.0:Badge"), "{}", refused.detail);
    let core = r#"{"urn:ietf:params:scim:schemas:core:2.0:Group:displayName":"G"}"#;
    resource(&GROUP, tree(core), UnknownSchema::Reject).unwrap();
}

#[test]
fn a_change_that_names_an_unknown_schema_is_refused_where_a_resource_is() {
    let change = |operation: &str, unknown| {
        patch(&USER, patch_body(operation), unknown).map(|tolerated| tolerated.rewrites)
    };
    for operation in [
        r#"{"op":"add","path":"urn:example:2.0:Badge","value":{"number":7}}"#,
        r#"{"op":"add","path":"urn:example:2.0:Badge:number","value":7}"#,
        r#"{"op":"add","path":"urn:example:2.0:Badge:keys[type eq \"a:b\"].value","value":7}"#,
        r#"{"op":"remove","path":"urn:example:2.0:Badge:number"}"#,
        r#"{"op":"add","value":{"title":"T","urn:example:2.0:Badge":{"number":7}}}"#,
        r#"{"op":"replace","value":{"urn:example:2.0:Badge:number":7}}"#,
    ] {
        let refused = change(operation, UnknownSchema::Reject).unwrap_err();
        assert_eq!(refused.status, 400);
        assert!(refused.detail.contains("urn:example:2.0:Badge"), "{}", refused.detail);
        let rewrites = change(operation, UnknownSchema::Ignore).unwrap();
        assert!(rewrites.contains(&Rewrite::UnknownSchema), "{operation}");
    }
    for operation in [
        format!(r#"{{"op":"add","path":"{ENTERPRISE}:department","value":"HR"}}"#),
        format!(r#"{{"op":"add","path":"{}:DEPARTMENT","value":"HR"}}"#, ENTERPRISE.to_uppercase()),
        format!(r#"{{"op":"add","value":{{"{ENTERPRISE}":{{"department":"HR"}}}}}}"#),
        r#"{"op":"add","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0User:department","value":"HR"}"#.into(),
        r#"{"op":"add","path":"urn:ietf:params:scim:schemas:core:2.0:User:shoe","value":"43"}"#.into(),
        r#"{"op":"add","path":"emails[value eq \"a:b\"].display","value":"D"}"#.into(),
    ] {
        change(&operation, UnknownSchema::Reject).unwrap();
    }
}
