use proptest::prelude::*;

use super::*;
use crate::scim::Path;

fn filter(text: &str) -> Filter {
    text.parse().unwrap()
}

fn error<T: FromStr<Err = ScimError> + fmt::Debug>(text: &str) -> ScimError {
    text.parse::<T>().unwrap_err()
}

#[test]
fn filters_are_read_and_written_in_one_form() {
    let cases = [
        (r#"userName eq "bjensen""#, r#"userName eq "bjensen""#),
        (r#"USERTYPE EQ "Employee" AND TITLE PR"#, r#"USERTYPE eq "Employee" and TITLE pr"#),
        (r#"a eq 1 or b eq 2 and c eq 3"#, r#"a eq 1 or b eq 2 and c eq 3"#),
        (r#"(a eq 1 or b eq 2) and c eq 3"#, r#"(a eq 1 or b eq 2) and c eq 3"#),
        (r#"a pr and (b pr and c pr)"#, r#"a pr and b pr and c pr"#),
        (r#"not(a pr)"#, r#"not (a pr)"#),
        (r#"not ( a pr or b pr ) and c pr"#, r#"not (a pr or b pr) and c pr"#),
        (r#"not eq 1"#, r#"not eq 1"#),
        (
            r#"emails[type eq "work" and value co "@example.com"] or ims[type eq "xmpp"]"#,
            r#"emails[type eq "work" and value co "@example.com"] or ims[type eq "xmpp"]"#,
        ),
        (r#"emails[not (type eq "work")]"#, r#"emails[not (type eq "work")]"#),
        (
            r#"emails[type eq "work"].value eq "a@b.c""#,
            r#"emails[type eq "work" and value eq "a@b.c"]"#,
        ),
        (
            r#"emails[type eq "a" or type eq "b"].value pr"#,
            r#"emails[(type eq "a" or type eq "b") and value pr]"#,
        ),
        (r#"active eq True"#, r#"active eq true"#),
        (r#"title eq NULL"#, r#"title eq null"#),
        (r#"n gt -1.50e3 and m le 0.5"#, r#"n gt -1500 and m le 0.5"#),
        (
            r#"urn:ietf:params:scim:schemas:core:2.0:User:name.familyName sw "J""#,
            r#"urn:ietf:params:scim:schemas:core:2.0:User:name.familyName sw "J""#,
        ),
        (r#"members.$ref ew "1""#, r#"members.$ref ew "1""#),
        (r#"t eq "a\"b\\\u00e9 ( ] and""#, r#"t eq "a\"b\\é ( ] and""#),
        (r#"  ( ( a   pr ) )  "#, r#"a pr"#),
    ];
    for (given, written) in cases {
        assert_eq!(filter(given).to_string(), written, "{given}");
        assert_eq!(filter(written), filter(given));
    }
}

#[test]
fn and_binds_closer_than_or() {
    let term = |name: &str| Filter::Present(AttrPath::plain(name));
    let expected = Filter::Or(vec![term("a"), Filter::And(vec![term("b"), term("c")])]);
    assert_eq!(filter("a pr or b pr and c pr"), expected);
}

#[test]
fn a_filter_that_cannot_be_read_is_refused_with_the_place() {
    let cases = [
        ("", "character 1: expected an attribute"),
        ("userName eq", "character 12: expected a value"),
        (r#"(userName eq "a""#, "character 17: expected and, or, or ')', found the end"),
        ("userName eq 'a'", "character 13: expected a value"),
        (r#"userName bogus "a""#, "character 10: expected an operator"),
        (r#"eq "a""#, "character 4: expected an operator"),
        (r#"userName eq "a" and"#, "character 20: expected an attribute"),
        (r#"userName eq "a" title pr"#, "character 17: expected the end"),
        (r#"userName eq "a"#, "character 13: expected a value"),
        (r#"userName eq "\q""#, "character 13"),
        (r#"userName eq "\u0000""#, "character 13: a text cannot hold the character U+0000"),
        ("emails[type pr", "or ']'"),
        ("emails[a[b pr]]", "not a sub-attribute"),
        ("name.x[b pr]", "not a sub-attribute"),
        ("a.b.c pr", "character 1: expected an attribute"),
        ("userName eq {}", "expected a value"),
        ("é pr", "found 'é'"),
        (r#"t eq "é" x"#, "character 10"),
        ("a pr)", "expected the end, found ')'"),
        ("not a pr", "what follows \"not\" must stand in parentheses"),
        ("not active eq true", "character 5: what follows \"not\" must stand in parentheses"),
        ("a pr and NOT emails[type eq \"x\"]", "as in not (active eq true)"),
        ("not", "found the end"),
    ];
    for (text, detail) in cases {
        let error = error::<Filter>(text);
        assert_eq!(error.scim_type, Some(ScimType::InvalidFilter));
        assert!(error.detail.contains(detail), "{text}: {}", error.detail);
    }
}

#[test]
fn filters_are_bounded_in_length_and_depth() {
    let nested = |levels: usize| format!("{}a pr{}", "(".repeat(levels), ")".repeat(levels));
    assert!(nested(FILTER_DEPTH_MAX).parse::<Filter>().is_ok());
    assert!(error::<Filter>(&nested(FILTER_DEPTH_MAX + 1)).detail.contains("64 levels"));
    assert!(error::<Filter>(&"not(".repeat(1000)).detail.contains("64 levels"));
    assert!(error::<Filter>(&"(".repeat(FILTER_LENGTH_MAX + 1)).detail.contains("4096 bytes"));
    assert!(error::<Path>(&"a".repeat(FILTER_LENGTH_MAX + 1)).detail.contains("4096 bytes"));
}

#[test]
fn only_conjunctions_of_equalities_say_what_a_value_must_be() {
    let terms = |text| filter(text).equalities().map(|terms| terms.len());
    assert_eq!(terms(r#"type eq "work""#), Some(1));
    assert_eq!(terms(r#"type eq "work" and primary eq true"#), Some(2));
    assert_eq!(terms(r#"type eq "a" or type eq "b""#), None);
    assert_eq!(terms(r#"type eq "a" and value co "b""#), None);
    assert_eq!(terms("type eq null"), None);
}

#[test]
fn paths_are_read_and_written_in_one_form() {
    let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    let same = [
        "userName".to_owned(),
        "name.familyName".to_owned(),
        "members[value eq \"1\" or value eq \"2\"]".to_owned(),
        "emails[type eq \"work\"].value".to_owned(),
        format!("{enterprise}:manager.$ref"),
        format!("{enterprise}:things[a pr].b"),
    ];
    for text in same {
        let path: Path = text.parse().unwrap();
        assert!(!matches!(path, Path::Extension(_)), "{text}");
        assert_eq!(path.to_string(), text);
    }
    for urn in [
        enterprise,
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0User",
        "urn:okta:app:1.0:user",
    ] {
        assert_eq!(urn.parse::<Path>().unwrap(), Path::Extension(urn.to_owned()));
    }
}

#[test]
fn a_path_that_cannot_be_read_is_refused() {
    let cases = [
        "",
        "nosuch[",
        "a.b.c",
        "a b",
        "emails[type eq \"work\"]value",
        "emails[].value",
        "emails[type eq \"work\"].",
        "emails[type eq \"work\"].1",
        ":a",
        "1a",
        "a[b pr].c d",
        "a..b",
    ];
    for text in cases {
        assert_eq!(error::<Path>(text).scim_type, Some(ScimType::InvalidPath), "{text}");
    }
}

fn any_literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        Just(Literal::Null),
        any::<bool>().prop_map(Literal::Bool),
        (-(1_i64 << 53)..=1 << 53).prop_map(Literal::Integer),
        any::<f64>().prop_filter_map("not a decimal", |number| {
            let decimal = number.is_finite() && Value::number(number) == Value::Decimal(number);
            decimal.then_some(Literal::Decimal(number))
        }),
        "[^\\x00\n]{0,12}".prop_map(Literal::String),
    ]
}

fn any_path() -> impl Strategy<Value = AttrPath> {
    let urn = prop::option::of("urn:[a-z]{1,5}:2\\.0:[A-Z][a-z]{0,4}");
    let name = "[a-zA-Z][a-zA-Z0-9_-]{0,8}";
    (urn, name, prop::option::of("\\$?[a-z]{1,5}")).prop_map(|(urn, attribute, sub)| AttrPath {
        urn,
        attribute,
        sub,
    })
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let op = prop::sample::select(CompareOp::ALL.to_vec());
    let leaf = prop_oneof![
        (any_path(), op, any_literal()).prop_map(|(path, op, value)| Filter::Compare {
            path,
            op,
            value
        }),
        any_path().prop_map(Filter::Present),
    ];
    let logic = |leaf: BoxedStrategy<Filter>| {
        leaf.prop_recursive(4, 24, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..4).prop_map(Filter::all),
                prop::collection::vec(inner.clone(), 1..4).prop_map(Filter::any),
                inner.prop_map(|filter| Filter::Not(Box::new(filter))),
            ]
        })
    };
    let inside = logic(leaf.clone().boxed());
    let has = (any_path(), inside).prop_map(|(path, filter)| Filter::Has {
        path: AttrPath { sub: None, ..path },
        filter: Box::new(filter),
    });
    logic(prop_oneof![leaf, has].boxed())
}

proptest! {
    #[test]
    fn a_filter_is_read_back_as_it_was_written(filter in any_filter()) {
        let text = filter.to_string();
        if text.len() <= FILTER_LENGTH_MAX {
            prop_assert_eq!(text.parse::<Filter>().unwrap(), filter);
        }
    }

    #[test]
    fn a_path_is_read_back_as_it_was_written(attribute in any_path(), filter in prop::option::of(any_filter()), sub in prop::option::of("[a-z]{1,5}")) {
        let path = match filter {
            Some(Filter::Has { filter, .. }) => {
                Path::Element { attribute: AttrPath { sub: None, ..attribute }, filter: *filter, sub }
            }
            _ => Path::Attribute(attribute),
        };
        let text = path.to_string();
        if text.len() <= FILTER_LENGTH_MAX {
            prop_assert_eq!(text.parse::<Path>().unwrap(), path);
        }
    }

    #[test]
    fn no_text_makes_the_parsers_panic(text in "[a-z:.\\[\\]()\" \\\\0-9é$]{0,40}|.*") {
        let _ = text.parse::<Filter>();
        let _ = text.parse::<Path>();
    }
}
