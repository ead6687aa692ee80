use super::*;
use crate::scim::{GROUP, ScimType, USER, parse};

fn tree(text: &str) -> Attributes {
    parse(text.as_bytes()).unwrap()
}

fn user(text: &str) -> Result<String, ScimError> {
    let body = tree(&format!(r#"{{"userName":"u",{text}}}"#));
    let mut kept = canonicalise(&USER, body)?;
    kept.remove("userName");
    kept.remove("schemas");
    Ok(serde_json::to_string(&kept).unwrap())
}

#[test]
fn a_body_is_brought_to_its_kept_form() {
    let enterprise = r#""urn:ietf:params:scim:schemas:extension:enterprise:2.0:User""#;
    let cases = [
        (
            r#""TITLE":"T","Name":{"FAMILYNAME":"F"}"#.to_owned(),
            r#"{"title":"T","name":{"familyName":"F"}}"#.to_owned(),
        ),
        (
            r#""id":"x","meta":{"created":1},"groups":[{"value":"g"}],"password":"p""#.into(),
            "{}".into(),
        ),
        (
            r#""title":null,"emails":[],"name":{},"addresses":[null,{}],"nickName":"""#.into(),
            r#"{"nickName":""}"#.into(),
        ),
        (
            r#""department":"D","x":{"A":[1.5,null]},"y":null,"z":[]"#.into(),
            r#"{"department":"D","x":{"A":[1.5,null]}}"#.into(),
        ),
        (r#""ACTIVE":false"#.into(), r#"{"active":false}"#.into()),
        (
            r#""emails":[{"Value":"a","PRIMARY":true},{"value":"b","primary":false}]"#.into(),
            r#"{"emails":[{"value":"a","primary":true},{"value":"b","primary":false}]}"#.into(),
        ),
        (
            format!(r#"{enterprise}:{{"MANAGER":{{"VALUE":"m"}}}}"#),
            format!(r#"{{{enterprise}:{{"manager":{{"value":"m"}}}}}}"#),
        ),
        (
            format!(r#"{enterprise}:{{"manager":{{"value":"m","$ref":null}}}}"#),
            format!(r#"{{{enterprise}:{{"manager":{{"value":"m"}}}}}}"#),
        ),
        (
            format!(r#"{enterprise}:{{"manager":{{"value":"m","displayName":"M"}}}}"#),
            format!(r#"{{{enterprise}:{{"manager":{{"value":"m"}}}}}}"#),
        ),
        (format!(r#"{enterprise}:{{"manager":null}}"#), "{}".into()),
        (
            r#""urn:x:2.0:U":{"a":null,"b":{},"c":1},"urn:y:2.0:U":{"a":[]}"#.into(),
            r#"{"urn:x:2.0:U":{"c":1}}"#.into(),
        ),
        (format!(r#"{enterprise}:{{"manager":{{"value":"","$ref":"r"}}}}"#), "{}".into()),
    ];
    for (given, kept) in cases {
        assert_eq!(user(&given).unwrap(), kept, "{given}");
        if kept != "{}" {
            let again = kept.trim_start_matches('{').strip_suffix('}').unwrap();
            assert_eq!(user(again).unwrap(), kept, "canonical twice: {given}");
        }
    }
}

#[test]
fn schemas_name_what_is_present_and_nothing_else() {
    let body = tree(
        r#"{"schemas":["urn:x:y"],"userName":"u","URN:ietf:params:scim:schemas:extension:ENTERPRISE:2.0:User":{"division":"d"},"urn:custom:1.0:User":{"a":1},"urn:custom:1.0:User:flat":"f"}"#,
    );
    let kept = serde_json::to_string(&canonicalise(&USER, body).unwrap()).unwrap();
    assert_eq!(
        kept,
        r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User","urn:custom:1.0:User"],"userName":"u","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"division":"d"},"urn:custom:1.0:User":{"a":1},"urn:custom:1.0:User:flat":"f"}"#
    );
}

#[test]
fn a_value_of_the_wrong_type_is_refused_by_name_and_with_what_is_right() {
    let enterprise = r#""urn:ietf:params:scim:schemas:extension:enterprise:2.0:User""#;
    let cases = [
        (r#""title":1"#.to_owned(), r#""title" must be a string, but the request has a number"#),
        (
            r#""active":"maybe""#.into(),
            r#""active" must be true or false, but the request has "maybe""#,
        ),
        (r#""active":"true""#.into(), r#""active" must be true or false"#),
        (r#""active":1"#.into(), r#""active" must be true or false"#),
        (r#""name":"N""#.into(), r#""name" must be an object"#),
        (r#""name":{"givenName":[]}"#.into(), r#""name.givenName" must be a string"#),
        (r#""emails":{"value":"a"}"#.into(), r#""emails" must be a list"#),
        (
            r#""emails":["a"]"#.into(),
            r#""emails" must be an object such as {"value": "…"}, but the request has "a" (value 1 of 1)."#,
        ),
        (
            r#""emails":[{"value":"a"},{"value":"b"},{"value":1}]"#.into(),
            r#""emails.value" must be a string, but the request has a number (value 3 of 3)."#,
        ),
        (
            r#""emails":[{"value":"a","primary":true},{"value":"b","primary":true}]"#.into(),
            "at most one may be primary",
        ),
        (
            r#""x509Certificates":[{"value":"!"}]"#.into(),
            r#""x509Certificates.value" must be a string in base64"#,
        ),
        (format!(r#"{enterprise}:{{"manager":["a","b"]}}"#), r#""MANAGER" must be an object"#),
        (format!("{enterprise}:1"), "must be an object"),
    ];
    for (body, detail) in cases {
        let error = user(&body).unwrap_err();
        assert_eq!((error.status, error.scim_type), (400, Some(ScimType::InvalidValue)));
        let (found, expected) = (error.detail.to_lowercase(), detail.to_lowercase());
        assert!(found.contains(&expected), "{body}: {}", error.detail);
    }
}

#[test]
fn required_attributes_must_be_there_and_not_empty() {
    for body in ["{}", r#"{"userName":null}"#, r#"{"userName":""}"#] {
        let error = canonicalise(&USER, tree(body)).unwrap_err();
        assert!(error.detail.contains("\"userName\" is required"), "{}", error.detail);
    }
    let error = canonicalise(&GROUP, tree("{}")).unwrap_err();
    assert!(error.detail.contains("\"displayName\" is required"));
}

#[test]
fn neither_members_nor_a_password_are_ever_kept() {
    let body = tree(r#"{"displayName":"G","members":[{"value":"1"}],"Password":"p"}"#);
    assert_eq!(canonicalise(&GROUP, body).unwrap().len(), 2);
}

#[test]
fn members_are_taken_out_of_a_body() {
    let taken = |text: &str| take_members(&mut tree(text));
    let ids = |ids: &[&str]| Some(ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>());
    assert_eq!(taken("{}").unwrap(), None);
    assert_eq!(taken(r#"{"members":null}"#).unwrap(), None);
    assert_eq!(taken(r#"{"members":[]}"#).unwrap(), ids(&[]));
    assert_eq!(
        taken(r#"{"Members":[{"$ref":null,"VALUE":"b"},"a",{"value":"b"}]}"#).unwrap(),
        ids(&["b", "a"])
    );
    for bad in [
        r#"{"members":[{}]}"#,
        r#"{"members":[""]}"#,
        r#"{"members":[{"value":1}]}"#,
        r#"{"members":[[]]}"#,
    ] {
        assert_eq!(taken(bad).unwrap_err().scim_type, Some(ScimType::InvalidValue), "{bad}");
    }
    let many = Value::List((0..=MEMBERS_MAX).map(|at| at.to_string().into()).collect());
    assert_eq!(member_ids(many).unwrap_err().status, 413);
}

#[test]
fn the_same_value_and_type_are_kept_once() {
    let cases = [
        (
            r#""emails":[{"value":"a","type":"work"},{"value":"b"},{"value":"A","type":"Work"}]"#,
            r#"{"emails":[{"value":"a","type":"work"},{"value":"b"}]}"#,
        ),
        (
            r#""emails":[{"value":"a","primary":true},{"value":"a","primary":true}]"#,
            r#"{"emails":[{"value":"a","primary":true}]}"#,
        ),
        (
            r#""emails":[{"value":"a","display":"D"},{"value":"a","primary":true,"display":"E"}]"#,
            r#"{"emails":[{"value":"a","display":"D","primary":true}]}"#,
        ),
        (
            r#""emails":[{"value":"a","primary":false},{"value":"A","primary":true},{"value":"a","primary":false}]"#,
            r#"{"emails":[{"value":"a","primary":true}]}"#,
        ),
        (
            r#""emails":[{"value":"a","type":"work"},{"value":"a","type":"home"},{"value":"a"}]"#,
            r#"{"emails":[{"value":"a","type":"work"},{"value":"a","type":"home"},{"value":"a"}]}"#,
        ),
        (
            r#""photos":[{"value":"http://x/A"},{"value":"http://x/a"}]"#,
            r#"{"photos":[{"value":"http://x/A"},{"value":"http://x/a"}]}"#,
        ),
        (
            r#""addresses":[{"locality":"Bonn"},{"locality":"bonn"},{"locality":"Bonn","type":"work"}]"#,
            r#"{"addresses":[{"locality":"Bonn"},{"locality":"Bonn","type":"work"}]}"#,
        ),
        (r#""tags":["a","a"]"#, r#"{"tags":["a","a"]}"#),
    ];
    for (given, kept) in cases {
        assert_eq!(user(given).unwrap(), kept, "{given}");
    }
}

#[test]
fn the_number_of_values_is_bounded() {
    let email = |at: usize| Value::Complex(Attributes::from([("value", at.to_string())]));
    let body = |count: usize| {
        let emails: Vec<_> = (0..count).map(email).collect();
        Attributes::from([("userName", Value::from("u")), ("emails", emails.into())])
    };
    assert!(canonicalise(&USER, body(VALUES_MAX)).is_ok());
    assert!(canonicalise(&USER, body(VALUES_MAX + 1)).is_err());
}

#[test]
fn the_number_of_values_of_a_whole_resource_is_bounded() {
    // Beside what is in the lists it has a name, `schemas` with one value, and the list `y` itself: four values.
    let lists = |lists: usize, and: usize| {
        let ones = |count: usize| Value::List(vec![Value::Integer(1); count]);
        let mut body: Attributes = (0..lists).map(|at| (format!("x{at}"), ones(999))).collect();
        body.insert("userName", "u");
        body.insert("y", ones(and));
        canonicalise(&USER, body)
    };
    assert!(lists(9, 996).is_ok(), "they are {RESOURCE_VALUES_MAX}");
    let error = lists(9, 997).unwrap_err();
    assert_eq!((error.status, error.scim_type), (400, Some(ScimType::InvalidValue)));
    assert!(error.detail.contains("at most 10000 values in all"), "{}", error.detail);
    let deep = (0..5_000).map(|_| Attributes::from([("a", true)]).into()).collect::<Vec<Value>>();
    let deep: Vec<Value> = deep.chunks(1_000).map(|part| part.to_vec().into()).collect();
    let deep = Attributes::from([("userName", Value::from("u")), ("x", deep.into())]);
    assert!(canonicalise(&USER, deep).is_err(), "what is in objects and lists counts");
}

#[test]
fn instants_are_compared_whatever_their_offset() {
    assert_eq!(instant("2011-05-13T04:42:34Z"), instant("2011-05-13T06:42:34+02:00"));
    assert_eq!(instant("2011-05-13T04:42:34"), instant("2011-05-13T04:42:34.000Z"));
    assert_eq!(instant("yesterday"), None);
    assert_eq!(instant("9999-12-31T23:59:59Z"), instant("9999-12-31T00:00:00"));
    assert!(instant("9999-12-31T23:59:59Z") > instant("9999-12-30T21:59:59Z"));
    assert_eq!(instant("2011-05-13T04:42:34+02:00Z"), None);
}

#[test]
fn what_is_kept_can_always_be_read_again() {
    let names = |count: usize| {
        let mut body: Attributes = (0..count).map(|at| (format!("x{at}"), true)).collect();
        body.insert("userName", "u");
        canonicalise(&USER, body)
    };
    let kept = serde_json::to_vec(&names(NAMES_MAX - 2).unwrap()).unwrap();
    assert!(parse(&kept).is_ok());
    assert!(names(NAMES_MAX - 1).is_err());
    let depth = |levels: usize| {
        let deep = (1..levels).fold(Value::Bool(true), |inner, _| Value::List(vec![inner]));
        canonicalise(&USER, Attributes::from([("userName", Value::from("u")), ("x", deep)]))
    };
    let kept = depth(DEPTH_MAX).unwrap();
    let text = serde_json::to_string(&kept).unwrap();
    assert!(parse(text.as_bytes()).is_ok());
    assert!(serde_json::from_str::<Value>(&format!("[[[[{text}]]]]")).is_ok());
    assert!(depth(DEPTH_MAX + 1).is_err());
}

#[test]
fn a_password_of_whatever_schema_is_never_kept() {
    let secret = r#""hunter2""#;
    for body in [
        format!(r#""PassWord":{secret}"#),
        format!(r#""urn:ietf:params:scim:schemas:core:2.0:User:password":{secret}"#),
        format!(r#""urn:x:2.0:User:password":{secret}"#),
        format!(r#""urn:x:2.0:User":{{"Password":{secret},"a":1}}"#),
        format!(
            r#""urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{{"password":{secret}}}"#
        ),
        format!(r#""name":{{"password":{secret},"x":{{"password":{secret}}}}}"#),
        format!(r#""urn:x:2.0:User":[{{"login":{{"password":{secret}}}}}]"#),
        format!(r#""x":{{"urn:y:password":{secret}}}"#),
    ] {
        assert!(!user(&body).unwrap().contains("hunter2"), "{body}");
    }
    assert_eq!(user(r#""passwordHint":"h""#).unwrap(), r#"{"passwordHint":"h"}"#);
}
