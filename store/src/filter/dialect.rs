//! What databases do differently.

/// A parameter of a query.
#[derive(Clone, Debug, PartialEq)]
pub enum Parameter {
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Real(f64),
    /// Bytes, of an id.
    Bytes(Vec<u8>),
}

/// How a database takes JSON apart. Every method returns SQL.
///
/// A `node` or `object` is SQL for JSON, null if there is none; a `value` is what [`Self::items`] calls so: JSON
/// for a list or an object, and for anything else what [`Self::text`] and [`Self::number`] can read.
pub trait Dialect {
    /// The placeholder of the parameter with this number.
    fn placeholder(number: usize, parameter: &Parameter) -> String;

    /// The value under exactly this name, as JSON; null in what is no object.
    fn node(object: &str, name: &str) -> String;

    /// The value under a name that is the parameter in lower case, whatever its ASCII case.
    fn node_in_any_case(object: &str, name: &str) -> String;

    /// A FROM item of this alias with the columns `type` and `value`: the items of a list, or the value itself.
    fn items(node: &str, alias: &str) -> String;

    /// A text of SQL as JSON.
    fn quoted(text: &str) -> String;

    /// A JSON object of names and SQL values.
    fn object(parts: &[(&str, &str)]) -> String;

    /// The type of JSON: `text`, `integer`, `real`, `true`, `false`, `null`, `array`, `object`. A database that does
    /// not tell whole numbers from others calls all of them `real`.
    fn type_of(node: &str) -> String;

    /// The value of JSON.
    fn value_of(node: &str) -> String;

    /// A value of type `text` as a text that compares by code points.
    fn text(value: &str) -> String;

    /// A value of type `integer` or `real` as a number.
    fn number(value: &str) -> String;

    /// Whether a list or an object holds nothing.
    fn is_empty(value: &str) -> String;

    /// The JSON object of a row of [`Self::items`]: itself, or `{"value": itself}`.
    fn as_object(alias: &str) -> String;

    /// What [`Self::text`] has made, without letter case, as `str::to_lowercase` has it.
    fn fold(text: &str) -> String;

    /// Whether a part is anywhere in a text.
    fn contains(text: &str, part: &str) -> String;

    /// Whether a text begins with a part.
    fn starts_with(text: &str, part: &str) -> String;

    /// Whether a text ends with a part.
    fn ends_with(text: &str, part: &str) -> String;

    /// Milliseconds after 1970 as SCIM writes a moment.
    fn moment(millis: &str) -> String;

    /// The text of an id that is stored as 16 bytes.
    fn uuid(bytes: &str) -> String;
}
