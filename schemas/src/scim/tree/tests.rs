use proptest::prelude::*;

use super::*;

fn rewritten(text: &str) -> String {
    serde_json::to_string(&parse(text.as_bytes()).unwrap()).unwrap()
}

#[test]
fn numbers_are_printed_as_javascript_prints_them() {
    let cases = [
        ("1.0", "1"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("1e2", "100"),
        ("0.1", "0.1"),
        ("1e21", "1e+21"),
        ("1e-7", "1e-7"),
        ("123456789012345680000", "123456789012345680000"),
        ("9007199254740993", "9007199254740992"),
        ("9007199254740992", "9007199254740992"),
        ("9007199254740994", "9007199254740994"),
        ("-9007199254740993", "-9007199254740992"),
        ("18446744073709551615", "18446744073709552000"),
        ("0.30000000000000004", "0.30000000000000004"),
        ("5e-324", "5e-324"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
    ];
    for (given, printed) in cases {
        assert_eq!(rewritten(&format!(r#"{{"n":{given}}}"#)), format!(r#"{{"n":{printed}}}"#));
    }
    assert_eq!(serde_json::to_string(&Value::Integer(i64::MAX)).unwrap(), "9223372036854776000");
    assert_eq!(serde_json::to_string(&Value::Decimal(-0.0)).unwrap(), "0");
    assert_eq!(serde_json::to_string(&Value::Decimal(f64::NAN)).unwrap(), "null");
}

#[test]
fn integers_are_whole_numbers_up_to_two_to_the_53() {
    assert_eq!(Value::number(1.0), Value::Integer(1));
    assert_eq!(Value::number(9_007_199_254_740_992.0), Value::Integer(1 << 53));
    assert_eq!(Value::number(9_007_199_254_740_994.0), Value::Decimal(9_007_199_254_740_994.0));
}

#[test]
fn names_that_look_like_array_indices_come_first_in_ascending_order() {
    assert_eq!(
        rewritten(r#"{"b":1,"10":2,"9":3,"01":4,"4294967295":5,"4294967294":6,"-1":7,"0":8,"":9}"#),
        r#"{"0":8,"9":3,"10":2,"4294967294":6,"b":1,"01":4,"4294967295":5,"-1":7,"":9}"#
    );
}

#[test]
fn text_is_written_unescaped_but_for_what_json_must_escape() {
    let text = "{\"t\":\"\u{e9}\u{2028}\u{1F600}\u{7f}/\\u0001\\n\\\"\"}";
    assert_eq!(rewritten(text), text);
}

#[test]
fn a_body_that_is_unusable_is_refused_with_what_and_where() {
    let deep = |levels: usize| format!("{}{{}}{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    assert!(parse(deep(DEPTH_MAX - 1).as_bytes()).is_ok());
    let wide = |names: usize| {
        let names: Vec<_> = (0..names).map(|at| format!(r#""n{at}":0"#)).collect();
        format!("{{{}}}", names.join(","))
    };
    assert!(parse(wide(NAMES_MAX).as_bytes()).is_ok());
    let cases = [
        (deep(DEPTH_MAX), "nested deeper than 64 levels"),
        ("[".repeat(1_000_000), "expected a JSON object"),
        (wide(NAMES_MAX + 1), "more than 512 names"),
        (r#"{"a":1,"A":2}"#.into(), "\"A\" is there twice"),
        ("[]".into(), "expected a JSON object"),
        ("{} x".into(), "trailing characters"),
        ("".into(), "EOF"),
        (r#"{"a":"\ud800"}"#.into(), "line 1 column"),
        (r#"{"a":1e999}"#.into(), "out of range"),
        (r#"{"a":[{"b":"x\u0000y"}]}"#.into(), "U+0000"),
        (r#"{"a":{"\u0000":1}}"#.into(), "U+0000"),
    ];
    for (body, what) in cases {
        let error = parse(body.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
    assert!(parse(b"{\"a\":\"\xff\"}").is_err());
}

#[test]
fn names_ignore_case_and_a_replacement_keeps_its_place_and_takes_the_new_spelling() {
    let mut tree = Attributes::from([("userName", "a"), ("title", "b")]);
    assert_eq!(tree.insert("USERNAME", "c"), Some("a".into()));
    assert_eq!(serde_json::to_string(&tree).unwrap(), r#"{"USERNAME":"c","title":"b"}"#);
    assert_eq!(tree.get("username"), Some(&"c".into()));
    assert_eq!(tree.remove("UserName"), Some("c".into()));
    assert_eq!((tree.len(), tree.contains("userName")), (1, false));
}

#[test]
fn order_matters_in_lists_and_not_in_objects() {
    let parse = |text: &str| parse(text.as_bytes()).unwrap();
    assert_eq!(parse(r#"{"a":1,"b":{"c":2,"d":3}}"#), parse(r#"{"B":{"d":3,"c":2},"a":1}"#));
    assert_ne!(parse(r#"{"a":[1,2]}"#), parse(r#"{"a":[2,1]}"#));
    assert_ne!(parse(r#"{"a":1}"#), parse(r#"{"a":1,"b":null}"#));
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|number| Value::number(number as f64)),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::number),
        ".*".prop_map(Value::String),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
            prop::collection::vec(("[a-zA-Z0-9]{0,3}|.*", inner), 0..6)
                .prop_map(|entries| Value::Complex(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_and_written_the_same(value in any_value()) {
        let text = serde_json::to_string(&value).unwrap();
        let again: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&again, &value);
        prop_assert_eq!(serde_json::to_string(&again).unwrap(), text);
    }
}
