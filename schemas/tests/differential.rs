//! Our parsers of filters and paths against those of `scim_v2`, which are written otherwise: a grammar
//! for a parser generator.
//!
//! Texts are made from the grammar of RFC 7644 §3.4.2.2 and §3.5.2 here, by neither of the two. On the
//! strict subset both have to read the same; where a text was broken, whatever the other one still reads,
//! we read as it does. The other way round does not hold: we read more, for identity providers that send it.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use schemas::scim::{AttrPath, Filter, Literal, Path, ScimError};
use scim_v2::filter as other;

/// How many texts are read by both, of filters and of paths.
const CASES: u32 = 100_000;

/// How often a text is broken, and how many texts that the other one still reads are wanted at least: if
/// hardly any were, the comparison would say nothing.
const BROKEN: u32 = 20_000;
const STILL_READ_MIN: u32 = 5_000;

/// What the grammar lets through and no resource can have: values of a sub-attribute, to be filtered
/// (RFC 7643 §2.3.8 allows no complex attribute within another).
const STRICTER: &str = "can follow an attribute only";

#[test]
fn both_read_filters_the_same_in_what_the_grammar_allows() {
    check(CASES, &filter(), |text| {
        let ours: Filter = text.parse().map_err(|error| fail(&text, &error))?;
        let theirs: other::Filter = text.parse().map_err(|error| fail(&text, &error))?;
        prop_assert_eq!(tree(&ours), their_tree(&theirs), "{}", text);
        Ok(())
    });
}

#[test]
fn both_read_paths_the_same_in_what_the_grammar_allows() {
    check(CASES, &path(), |text| {
        let ours: Path = text.parse().map_err(|error| fail(&text, &error))?;
        let theirs: other::PatchPath = text.parse().map_err(|error| fail(&text, &error))?;
        prop_assert_eq!(path_tree(&ours), their_path_tree(&theirs), "{}", text);
        Ok(())
    });
}

#[test]
fn of_broken_texts_we_read_what_the_other_reads_and_as_it_does() {
    let still_read = std::cell::Cell::new(0);
    check(BROKEN, &broken(filter()), |text| {
        let Ok(theirs) = text.parse::<other::Filter>() else { return Ok(()) };
        still_read.set(still_read.get() + 1);
        let Some(ours) = read::<Filter>(&text)? else { return Ok(()) };
        prop_assert_eq!(tree(&ours), their_tree(&theirs), "{}", text);
        Ok(())
    });
    check(BROKEN, &broken(path()), |text| {
        let Ok(theirs) = text.parse::<other::PatchPath>() else { return Ok(()) };
        still_read.set(still_read.get() + 1);
        let Some(ours) = read::<Path>(&text)? else { return Ok(()) };
        if let Path::Extension(urn) = &ours {
            // The grammar cannot tell a schema from an attribute in it; the version in its URN can.
            prop_assert_eq!(text.trim(), urn);
            return Ok(());
        }
        prop_assert_eq!(path_tree(&ours), their_path_tree(&theirs), "{}", text);
        Ok(())
    });
    assert!(still_read.get() > STILL_READ_MIN, "only {}", still_read.get());
}

fn check(
    cases: u32,
    texts: &impl Strategy<Value = String>,
    test: impl Fn(String) -> Result<(), TestCaseError>,
) {
    // The same texts each time: what fails here fails everywhere.
    let dice = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    if let Err(error) = TestRunner::new_with_rng(config, dice).run(texts, test) {
        panic!("{error}");
    }
}

/// Our reading of a text, unless we are stricter there on purpose.
fn read<T: std::str::FromStr<Err = ScimError>>(text: &str) -> Result<Option<T>, TestCaseError> {
    match text.parse() {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.detail.contains(STRICTER) => Ok(None),
        Err(error) => Err(fail(text, &error)),
    }
}

fn fail(text: &str, error: &dyn std::fmt::Display) -> TestCaseError {
    TestCaseError::fail(format!("{text}: {error}"))
}

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z][a-zA-Z0-9_-]{0,8}".prop_filter("a word of the grammar", |name| {
        let words = ["not", "and", "or", "pr", "true", "false", "null"];
        !words.contains(&&*name.to_ascii_lowercase())
    })
}

fn attribute() -> impl Strategy<Value = String> {
    let urn = prop::option::weighted(0.3, "urn:[a-z]{1,5}:[1-9]\\.[0-9]:[A-Z][a-zA-Z]{0,4}:");
    (urn, name(), prop::option::of(name())).prop_map(|(urn, name, sub)| {
        let sub = sub.map(|sub| format!(".{sub}")).unwrap_or_default();
        format!("{}{name}{sub}", urn.unwrap_or_default())
    })
}

/// A word in any letter case.
fn word(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    (prop::sample::select(words), any::<u8>()).prop_map(|(word, case)| {
        let letters = word.chars().enumerate();
        letters
            .map(|(at, c)| if case >> at & 1 == 1 { c.to_ascii_uppercase() } else { c })
            .collect()
    })
}

fn literal() -> impl Strategy<Value = String> {
    prop_oneof![
        // The grammar has U+0000, and no resource of ours.
        6 => prop_oneof!["[^\\x00\n]{0,10}", "[a-z\"\\\\/\u{8}\n\t é€𝔘]{0,8}"]
            .prop_map(|text: String| serde_json::to_string(&text).expect("a text is JSON")),
        1 => prop::sample::select(&[r#""\u00e9\/""#, r#""\ud835\udd18""#, r#""a\b\f\n\r\t""#][..])
            .prop_map(str::to_owned),
        2 => any::<i32>().prop_map(|number| number.to_string()),
        1 => "-?(0|[1-9][0-9]{0,3})\\.[0-9]{1,3}([eE][+-]?[0-9]{1,2})?",
        2 => prop::sample::select(&["true", "false", "null"][..]).prop_map(str::to_owned),
    ]
}

fn test() -> BoxedStrategy<String> {
    let op = word(&["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"]);
    prop_oneof![
        4 => (attribute(), op, literal()).prop_map(|(path, op, value)| format!("{path} {op} {value}")),
        1 => (attribute(), word(&["pr"])).prop_map(|(path, pr)| format!("{path} {pr}")),
    ]
    .boxed()
}

fn logic(leaf: BoxedStrategy<String>) -> BoxedStrategy<String> {
    leaf.prop_recursive(4, 16, 3, |inner| {
        let joined = |by: &'static [&'static str], inner: &BoxedStrategy<String>| {
            (inner.clone(), prop::collection::vec((word(by), inner.clone()), 1..3)).prop_map(
                |(first, rest)| {
                    rest.into_iter().fold(first, |text, (by, term)| format!("{text} {by} {term}"))
                },
            )
        };
        let inner = inner.boxed();
        prop_oneof![
            3 => joined(&["and"], &inner),
            3 => joined(&["or"], &inner),
            2 => joined(&["and", "or"], &inner),
            2 => inner.clone().prop_map(|inner| format!("({inner})")),
            1 => (word(&["not"]), inner).prop_map(|(not, inner)| format!("{not} ({inner})")),
        ]
    })
    .boxed()
}

fn whole_attribute() -> impl Strategy<Value = String> {
    attribute().prop_map(|path| {
        let (urn, rest) =
            path.rsplit_once(':').map_or((None, &*path), |(urn, rest)| (Some(urn), rest));
        let name = rest.split('.').next().unwrap_or(rest);
        urn.map_or_else(|| name.to_owned(), |urn| format!("{urn}:{name}"))
    })
}

fn value_path() -> impl Strategy<Value = String> {
    (whole_attribute(), logic(test())).prop_map(|(path, filter)| format!("{path}[{filter}]"))
}

fn filter() -> BoxedStrategy<String> {
    logic(prop_oneof![3 => test(), 1 => value_path()].boxed())
}

fn path() -> BoxedStrategy<String> {
    prop_oneof![
        attribute(),
        (value_path(), prop::option::of(name())).prop_map(|(path, sub)| match sub {
            Some(sub) => format!("{path}.{sub}"),
            None => path,
        }),
    ]
    .boxed()
}

/// Whether there are spaces within a path, where the grammar has none and the other one passes over them.
fn has_loose_spaces(text: &str) -> bool {
    let (mut quoted, mut before) = (false, 'x');
    text.chars().any(|c| {
        quoted ^= c == '"' && before != '\\';
        let loose = !quoted
            && ((before == ' ' && ".[]".contains(c)) || (".[".contains(before) && c == ' '));
        // A backslash that is escaped itself escapes nothing.
        before = if before == '\\' && c == '\\' { 'x' } else { c };
        loose
    })
}

/// A text with a character changed, taken out, put in, or exchanged with the next.
fn broken(texts: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    let other = prop::sample::select("aZ9 .:[]()\"\\-_$eqornt".chars().collect::<Vec<_>>());
    (texts, any::<prop::sample::Index>(), 0..4, other)
        .prop_map(|(text, at, how, other)| {
            let mut letters: Vec<char> = text.chars().collect();
            let at = at.index(letters.len());
            match how {
                0 => letters[at] = other,
                1 => drop(letters.remove(at)),
                2 => letters.insert(at, other),
                _ => letters.swap(at, (at + 1) % text.chars().count()),
            }
            letters.into_iter().collect::<String>()
        })
        .prop_filter("loose spaces", |text| !has_loose_spaces(text))
}

fn attr(path: &AttrPath) -> String {
    format!("{:?} {} {:?}", path.urn, path.attribute, path.sub)
}

fn tree(filter: &Filter) -> String {
    let all = |terms: &[Filter]| terms.iter().map(tree).collect::<Vec<_>>().join(" ");
    match filter {
        Filter::And(terms) => format!("(and {})", all(terms)),
        Filter::Or(terms) => format!("(or {})", all(terms)),
        Filter::Not(inner) => format!("(not {})", tree(inner)),
        Filter::Compare { path, op, value } => {
            format!("({} {} {})", attr(path), op.as_str(), said(value))
        }
        Filter::Present(path) => format!("({} pr)", attr(path)),
        Filter::Has { path, filter } => format!("({} has {})", attr(path), tree(filter)),
    }
}

fn path_tree(path: &Path) -> String {
    match path {
        Path::Attribute(path) => attr(path),
        Path::Element { attribute, filter, sub } => {
            format!("{} {} {sub:?}", attr(attribute), tree(filter))
        }
        Path::Extension(urn) => format!("extension {urn}"),
    }
}

fn said(literal: &Literal) -> String {
    match literal {
        Literal::Null => "null".to_owned(),
        Literal::Bool(truth) => truth.to_string(),
        Literal::Integer(number) => number_as(*number as f64),
        Literal::Decimal(number) => number_as(*number),
        Literal::String(text) => format!("{text:?}"),
    }
}

/// `1.0` and `1` are one number.
fn number_as(number: f64) -> String {
    format!("{:?}", number + 0.0)
}

fn their_attr(path: &other::AttrPath) -> String {
    let urn = path.uri.as_ref().map(|uri| uri.to_string());
    format!("{urn:?} {} {:?}", path.name, path.sub_attr)
}

fn their_tree(filter: &other::Filter) -> String {
    let all = |terms: &[other::Filter]| terms.iter().map(their_tree).collect::<Vec<_>>().join(" ");
    match filter {
        other::Filter::And(terms) => format!("(and {})", all(terms)),
        other::Filter::Or(terms) => format!("(or {})", all(terms)),
        other::Filter::Not(inner) => format!("(not {})", their_tree(inner)),
        other::Filter::Attr(test) => their_test(test),
        other::Filter::ValuePath(path) => {
            format!("({} has {})", their_attr(&path.attr), their_value_tree(&path.filter))
        }
    }
}

fn their_value_tree(filter: &other::ValFilter) -> String {
    let all = |terms: &[other::ValFilter]| {
        terms.iter().map(their_value_tree).collect::<Vec<_>>().join(" ")
    };
    match filter {
        other::ValFilter::And(terms) => format!("(and {})", all(terms)),
        other::ValFilter::Or(terms) => format!("(or {})", all(terms)),
        other::ValFilter::Not(inner) => format!("(not {})", their_value_tree(inner)),
        other::ValFilter::Attr(test) => their_test(test),
    }
}

fn their_test(test: &other::AttrExp) -> String {
    match test {
        other::AttrExp::Present(path) => format!("({} pr)", their_attr(path)),
        other::AttrExp::Comparison(path, op, value) => {
            let value = match value {
                other::CompValue::Null => "null".to_owned(),
                other::CompValue::True => "true".to_owned(),
                other::CompValue::False => "false".to_owned(),
                other::CompValue::Number(number) => number_as(number.as_f64().expect("finite")),
                other::CompValue::Str(text) => format!("{text:?}"),
            };
            format!("({} {op} {value})", their_attr(path))
        }
    }
}

fn their_path_tree(path: &other::PatchPath) -> String {
    match path {
        other::PatchPath::Attr(path) => their_attr(path),
        other::PatchPath::Value(path) => {
            format!(
                "{} {} {:?}",
                their_attr(&path.attr),
                their_value_tree(&path.filter),
                path.sub_attr
            )
        }
    }
}
