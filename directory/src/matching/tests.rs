use schemas::scim::{GROUP, USER, parse};

use super::*;

const RESOURCE: &str = r#"{
  "schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],
  "id":"A1","externalId":"Ext","userName":"Bjensen","title":"Boss","active":true,
  "name":{"familyName":"O'Malley","givenName":"Änne"},
  "emails":[{"value":"b@Example.com","type":"work","primary":true},{"value":"h@example.org","type":"home"}],
  "roles":[{"value":"admin","primary":false}],
  "x509Certificates":[{"value":"QUJD"}],
  "custom":{"n":2.5,"s":"Abc","b":true},"tags":["One","two"],"level":7,
  "groups":[{"value":"g1"}],
  "meta":{"resourceType":"User","created":"2026-01-02T03:04:05.678Z"},
  "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"HR","manager":{"value":"m1"}},
  "urn:custom:1.0:User":{"shirt":"XL"}
}"#;

fn verdict(filter: &str) -> Result<bool, ScimError> {
    matches(&filter.parse().unwrap(), &parse(RESOURCE.as_bytes()).unwrap(), &USER)
}

#[test]
fn a_resource_fulfils_these() {
    let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    let cases = [
        r#"userName eq "BJENSEN""#,
        r#"USERNAME EQ "bjensen" AND Title PR"#,
        r#"userName sw "bj" and userName ew "SEN" and userName co "jen""#,
        r#"userName gt "a" and userName lt "c" and userName ge "bjensen" and userName le "bjensen""#,
        r#"id eq "A1" and externalId eq "Ext""#,
        r#"userName ne "x" and nickName ne "x""#,
        r#"name.familyName co "O'MALLEY" and name.givenName eq "änne""#,
        "active eq true and active ne false",
        r#"active eq "True""#,
        r#"roles[primary eq "False"].value eq "admin""#,
        r#"emails co "EXAMPLE.com""#,
        r#"emails eq "h@example.org""#,
        r#"emails.type eq "home""#,
        r#"emails ne "h@example.org""#,
        r#"emails[type eq "work" and value co "@example.com"]"#,
        r#"emails[not (type eq "work")]"#,
        r#"emails[type eq "work"].value eq "b@example.com""#,
        r#"not (emails[type eq "work" and value co "org"])"#,
        "title pr and not (nickName pr) and name pr and emails pr and not (ims pr)",
        "nickName eq null and title ne null",
        "name ne null and emails ne null and ims eq null and addresses eq null",
        r#"meta.created eq "2026-01-02T04:04:05.678+01:00""#,
        r#"meta.created gt "2026-01-02T03:04:05Z" and meta.created lt "2026-01-02T03:04:06Z""#,
        r#"meta.created sw "2026-01-02""#,
        r#"manager eq "m1" and manager.value eq "m1" and department eq "hr""#,
        r#"groups eq "g1" and groups.value eq "g1""#,
        r#"schemas eq "urn:ietf:params:scim:schemas:core:2.0:User""#,
        r#"x509Certificates eq "QUJD""#,
        "custom.n gt 2 and custom.n lt 3 and custom.n eq 2.5 and custom.b eq true and level ge 7",
        r#"custom.s eq "ABC" and custom[s eq "abc" and n eq 2.5]"#,
        r#"tags eq "one" and tags[value sw "t"]"#,
        r#"urn:custom:1.0:User:shirt eq "xl""#,
    ];
    for filter in cases {
        assert_eq!(verdict(filter), Ok(true), "{filter}");
    }
    for (attribute, value) in [("department", "hr"), ("manager", "m1"), ("manager.value", "m1")] {
        assert_eq!(verdict(&format!(r#"{enterprise}:{attribute} eq "{value}""#)), Ok(true));
    }
}

#[test]
fn a_resource_does_not_fulfil_these() {
    let cases = [
        r#"id eq "a1""#,
        r#"externalId eq "ext""#,
        r#"schemas eq "URN:ietf:params:scim:schemas:core:2.0:User""#,
        r#"x509Certificates eq "qujd""#,
        r#"manager eq "M1""#,
        r#"userName ne "bjensen""#,
        r#"emails[type eq "home" and value co "@example.com"]"#,
        r#"roles ne "admin""#,
        "active eq false",
        r#"nickName co """#,
        "title eq null",
        "name eq null",
        "addresses ne null",
        r#"level eq "7""#,
        "custom.s gt 1",
        "custom.b gt false",
        r#"urn:other:1.0:User:userName eq "bjensen""#,
        "urn:other:1.0:User:userName pr",
        r#"custom eq "abc""#,
    ];
    for filter in cases {
        assert_eq!(verdict(filter), Ok(false), "{filter}");
    }
}

#[test]
fn what_cannot_be_compared_is_refused_even_with_nothing_to_compare() {
    let cases = [
        "active gt true",
        r#"active eq "yes""#,
        r#"active co "t""#,
        "userName eq 1",
        "userName eq true",
        "userName gt null",
        r#"meta.created gt "yesterday""#,
        r#"x509Certificates gt "a""#,
        r#"name eq "x""#,
        r#"addresses co "x""#,
        r#"title[value eq "x"]"#,
        r#"password eq "x""#,
        "password pr",
        r#"urn:ietf:params:scim:schemas:core:2.0:User:PASSWORD sw "x""#,
        r#"userName pr or password.x pr"#,
        r#"emails[primary gt true]"#,
        r#"not (userName eq 1)"#,
    ];
    for filter in cases {
        let filter = filter.parse().unwrap();
        let error = matches(&filter, &Attributes::new(), &USER).unwrap_err();
        assert_eq!(
            (error.status, error.scim_type),
            (400, Some(ScimType::InvalidFilter)),
            "{filter}"
        );
    }
}

#[test]
fn a_user_of_whom_no_active_is_said_counts_as_active() {
    let of = |resource: &str, filter: &str| {
        let resource = parse(resource.as_bytes()).unwrap();
        matches(&filter.parse().unwrap(), &resource, &USER).unwrap()
    };
    for (filter, unassigned, active, inactive) in [
        ("active eq true", true, true, false),
        (r#"active eq "True""#, true, true, false),
        ("active ne true", false, false, true),
        ("active eq false", false, false, true),
        ("active ne false", true, true, false),
        ("not (active eq true)", false, false, true),
        ("active pr", false, true, true),
        ("active eq null", true, false, false),
    ] {
        let users = ["{}", r#"{"active":true}"#, r#"{"active":false}"#];
        let found = users.map(|user| of(user, filter));
        assert_eq!(found, [unassigned, active, inactive], "{filter}");
    }
}

#[test]
fn members_are_compared_by_their_identifier() {
    let group = parse(br#"{"displayName":"G","members":[{"value":"u1"},{"value":"u2"}]}"#).unwrap();
    let verdict = |filter: &str| matches(&filter.parse().unwrap(), &group, &GROUP).unwrap();
    assert!(verdict(r#"displayName eq "g" and members eq "u2""#));
    assert!(verdict(r#"members[value eq "u1"]"#));
    assert!(!verdict(r#"members eq "u3""#));
}
