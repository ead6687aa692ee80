//! Filters as SQL: what [`directory::matching`] says of one resource, said of a table.
//!
//! A filter becomes one boolean expression with parameters; no text of a client ever becomes SQL. The
//! expression is never null, so that `NOT` means what it says. How JSON is taken apart is the business of
//! a [`dialect`](Dialect); what has to hold is written here, once.
//!
//! ```text
//!   path ──▶ source: rows (type, value), lists taken apart, nothing that counts as absent
//!                └──▶ leaf: the row itself, or the "value" of an object ──▶ test: op and literal
//! ```
//!
//! A property test holds memory and both databases to the same answers.

mod compare;
mod dialect;
mod postgres;
mod sqlite;
mod target;

use directory::matching::{Scope, Telling, is_case_exact, leaf, telling, truth};
use schemas::scim::{AttrPath, AttributeDef, CompareOp, Filter, Kind, Literal, instant};

use compare::{compare_moments, compare_numbers, compare_texts};
pub use dialect::{Dialect, Parameter};
pub use postgres::Postgres;
pub(crate) use sqlite::{Sqlite, register};
use target::{Derived, id_in};
pub use target::{GROUPS, Table, USERS};

/// The expression of a filter, and its parameters from the number `first` on. Addresses of resources begin
/// with `base`.
#[must_use]
pub fn compile<D: Dialect>(
    filter: &Filter,
    table: &Table,
    base: &str,
    first: usize,
) -> (String, Vec<Parameter>) {
    let mut compiler = Compiler::<D> {
        table,
        base,
        first,
        parameters: Vec::new(),
        aliases: 0,
        dialect: std::marker::PhantomData,
    };
    let sql = compiler.condition(filter, Scope::Resource(table.schema), &Tree::Row);
    (sql, compiler.parameters)
}

/// What a path starts from.
enum Tree {
    /// The row of the resource.
    Row,
    /// One value: a row of a source with this alias.
    Item(String),
}

/// Rows of values: what to select from, which of them are there, and the alias of the last.
struct Source {
    from: String,
    is_there: String,
    alias: String,
}

struct Compiler<'t, D> {
    table: &'t Table,
    base: &'t str,
    first: usize,
    parameters: Vec<Parameter>,
    aliases: usize,
    dialect: std::marker::PhantomData<D>,
}

impl<D: Dialect> Compiler<'_, D> {
    /// Recursion is bounded by the depth of the filter, which its parser bounds.
    fn condition(&mut self, filter: &Filter, scope: Scope<'_>, tree: &Tree) -> String {
        match filter {
            Filter::And(terms) => self.joined(terms, scope, tree, " AND "),
            Filter::Or(terms) => self.joined(terms, scope, tree, " OR "),
            Filter::Not(inner) => format!("NOT {}", self.condition(inner, scope, tree)),
            Filter::Present(path) => {
                let source = self.source(path, scope, tree);
                format!("EXISTS (SELECT 1 FROM {} WHERE {})", source.from, source.is_there)
            }
            Filter::Compare { path, op, value } => self.compare(path, scope, tree, *op, value),
            Filter::Has { path, filter } => {
                let def = scope.place(path).def;
                let Source { from, is_there, alias } = self.source(path, scope, tree);
                let inner = self.condition(filter, Scope::Element(def), &Tree::Item(alias));
                format!("EXISTS (SELECT 1 FROM {from} WHERE {is_there} AND {inner})")
            }
        }
    }

    fn joined(&mut self, terms: &[Filter], scope: Scope<'_>, tree: &Tree, by: &str) -> String {
        let terms: Vec<_> = terms.iter().map(|term| self.condition(term, scope, tree)).collect();
        format!("({})", terms.join(by))
    }

    fn compare(
        &mut self,
        path: &AttrPath,
        scope: Scope<'_>,
        tree: &Tree,
        op: CompareOp,
        literal: &Literal,
    ) -> String {
        if let Tree::Row = tree
            && let Some(short) = self.short(path, scope, op, literal)
        {
            return short;
        }
        let def = scope.place(path).def;
        let Source { from, is_there, alias } = self.source(path, scope, tree);
        let telling = telling(def, op, literal);
        // What is null is not there, also of what has parts and no value.
        let asks_so = matches!(op, CompareOp::Eq | CompareOp::Ne) && *literal == Literal::Null;
        if asks_so && telling.is_none() {
            let exists = if op == CompareOp::Ne { "EXISTS" } else { "NOT EXISTS" };
            return format!("{exists} (SELECT 1 FROM {from} WHERE {is_there})");
        }
        let (kind, value) = self.leaf(&alias, def);
        let any = format!("SELECT 1 FROM {from} WHERE {is_there} AND {kind} IS NOT NULL");
        if let Some(Telling { value, is_there }) = telling {
            let exists = if is_there { "EXISTS" } else { "NOT EXISTS" };
            return format!("{exists} ({any} AND {kind} = '{value}')");
        }
        match (op, literal) {
            (CompareOp::Ne, _) => {
                let equal = self.test(&kind, &value, leaf(def), CompareOp::Eq, literal);
                format!("(NOT EXISTS ({any}) OR EXISTS ({any} AND NOT coalesce({equal}, FALSE)))")
            }
            (
                CompareOp::Eq
                | CompareOp::Co
                | CompareOp::Sw
                | CompareOp::Ew
                | CompareOp::Gt
                | CompareOp::Ge
                | CompareOp::Lt
                | CompareOp::Le,
                _,
            ) => {
                let test = self.test(&kind, &value, leaf(def), op, literal);
                format!("EXISTS ({any} AND {test})")
            }
        }
    }

    /// The comparisons that a column answers, so that an index can, or without walking a large group.
    fn short(
        &mut self,
        path: &AttrPath,
        scope: Scope<'_>,
        op: CompareOp,
        literal: &Literal,
    ) -> Option<String> {
        let place = scope.place(path);
        if place.extension.is_some() {
            return None;
        }
        let derived = self.table.derived(place.attribute)?;
        match (derived, literal) {
            (Derived::Meta { created, modified, .. }, Literal::String(text)) => {
                let column = match place.sub {
                    Some("created") => created,
                    Some("lastModified") => modified,
                    Some(_) | None => return None,
                };
                compare_moments(column, op, instant(text)?, |millis| {
                    self.bind(Parameter::Integer(millis))
                })
            }
            (Derived::References { among, place: at, .. }, Literal::String(text))
                if op == CompareOp::Eq =>
            {
                let exact = is_case_exact(leaf(place.def));
                let id = match place.sub {
                    None | Some("value") if exact => Some(text.clone()),
                    None | Some("value") => Some(text.to_lowercase()),
                    Some("$ref") => id_in(self.base, at, text).map(str::to_owned),
                    Some(_) => return None,
                };
                let id: Option<schemas::ScimId> = id.and_then(|id| id.parse().ok());
                // What is no id of ours refers to nothing.
                let bytes = id.map(|id| id.to_bytes().to_vec()).unwrap_or_default();
                let bytes = self.bind(Parameter::Bytes(bytes));
                Some(among.replace("{}", &bytes))
            }
            (Derived::Truth(column), _) => {
                let is = truth(literal)? == (op == CompareOp::Eq);
                Some(if is { (*column).to_owned() } else { format!("NOT {column}") })
            }
            // No text that is empty contains another, nor comes behind it.
            (Derived::Text(column), Literal::String(text)) if !text.is_empty() => {
                if matches!(op, CompareOp::Ne | CompareOp::Lt | CompareOp::Le) {
                    return None;
                }
                let test = self.compare_text((*column).to_owned(), place.def, op, text);
                Some(format!("coalesce({test}, FALSE)"))
            }
            (
                Derived::Meta { .. }
                | Derived::References { .. }
                | Derived::Id(_)
                | Derived::Text(_),
                _,
            ) => None,
        }
    }

    /// The values to which a path leads.
    fn source(&mut self, path: &AttrPath, scope: Scope<'_>, tree: &Tree) -> Source {
        let place = scope.place(path);
        let known = place.def.is_some();
        let derived = match (tree, place.extension) {
            (Tree::Row, None) => self.table.derived(place.attribute),
            (Tree::Row, Some(_)) | (Tree::Item(_), _) => None,
        };
        let alias = self.alias();
        let from = match derived {
            Some(Derived::References { rows, id, display, kind, place: at, .. }) => {
                let parts = [
                    ("value", D::uuid(id)),
                    ("display", (*display).to_owned()),
                    ("type", format!("'{kind}'")),
                ];
                let object = self.object(place.sub, parts, ("$ref", at), id);
                format!("(SELECT 'object' AS type, {object} AS value FROM {rows}) AS {alias}")
            }
            Some(Derived::Id(column)) => D::items(&D::quoted(&D::uuid(column)), &alias),
            Some(Derived::Meta { resource_type, id, created, modified, version }) => {
                let parts = [
                    ("resourceType", format!("'{resource_type}'")),
                    ("created", D::moment(created)),
                    ("lastModified", D::moment(modified)),
                    ("version", format!("'W/\"' || {version} || '\"'")),
                ];
                let at = self.table.schema.endpoint;
                let object = self.object(place.sub, parts, ("location", at), id);
                D::items(&object, &alias)
            }
            // A truth that nobody has said is none, whatever its column holds.
            None | Some(Derived::Text(_) | Derived::Truth(_)) => {
                let root = match tree {
                    Tree::Row => self.table.attributes.to_owned(),
                    Tree::Item(item) => D::as_object(item),
                };
                let holder = match place.extension {
                    None => root,
                    Some(urn) => self.node(&root, urn, known),
                };
                let node = self.node(&holder, place.attribute, known);
                D::items(&node, &alias)
            }
        };
        let whole = Source { from, is_there: is_there::<D>(&alias), alias };
        match place.sub {
            None => whole,
            Some(sub) => self.part_of(whole, sub, known),
        }
    }

    /// An object that is made here, with what is asked of it: these parts, and under one more name the
    /// address of the resource with the id of this column.
    fn object<const PARTS: usize>(
        &mut self,
        sub: Option<&str>,
        parts: [(&str, String); PARTS],
        (address, place): (&str, &str),
        id: &str,
    ) -> String {
        let asked_for = |name: &str| sub.is_none_or(|sub| sub == name);
        let mut parts: Vec<_> = parts.into_iter().filter(|(name, _)| asked_for(name)).collect();
        if asked_for(address) {
            let base = self.bind(Parameter::Text(format!("{}{place}/", self.base)));
            parts.push((address, format!("{base} || {}", D::uuid(id))));
        }
        let parts: Vec<_> = parts.iter().map(|(name, sql)| (*name, &**sql)).collect();
        D::object(&parts)
    }

    /// The values of a sub-attribute of every value.
    fn part_of(&mut self, whole: Source, sub: &str, known: bool) -> Source {
        let alias = self.alias();
        let Source { from, is_there: whole_is_there, alias: of } = whole;
        let object = format!("CASE WHEN {of}.type = 'object' THEN {of}.value END");
        let part = self.node(&object, sub, known);
        Source {
            from: format!("{from}, {}", D::items(&part, &alias)),
            is_there: format!("{whole_is_there} AND {}", is_there::<D>(&alias)),
            alias,
        }
    }

    /// A value by its name. What a schema knows is kept in its spelling.
    fn node(&mut self, object: &str, name: &str, known: bool) -> String {
        if known {
            return D::node(object, name);
        }
        let name = self.bind(Parameter::Text(name.to_ascii_lowercase()));
        D::node_in_any_case(object, &name)
    }

    /// Type and value of what is compared: the value itself, or the `value` of a complex one.
    fn leaf(&mut self, alias: &str, def: Option<&'static AttributeDef>) -> (String, String) {
        let (kind, value) = (format!("{alias}.type"), format!("{alias}.value"));
        if def.is_some_and(|def| def.kind != Kind::Complex) {
            return (kind, value);
        }
        let object = format!("CASE WHEN {kind} = 'object' THEN {value} END");
        let inner = self.node(&object, "value", def.is_some_and(AttributeDef::has_value));
        (
            format!("(CASE {kind} WHEN 'object' THEN {} ELSE {kind} END)", D::type_of(&inner)),
            format!("(CASE {kind} WHEN 'object' THEN {} ELSE {value} END)", D::value_of(&inner)),
        )
    }

    /// One value against one literal; null where the value is.
    fn test(
        &mut self,
        kind: &str,
        value: &str,
        def: Option<&'static AttributeDef>,
        op: CompareOp,
        literal: &Literal,
    ) -> String {
        let mut ways = Vec::new();
        let of_parts = matches!(op, CompareOp::Co | CompareOp::Sw | CompareOp::Ew);
        if let (CompareOp::Eq, Some(truth)) = (op, truth(literal)) {
            ways.push(format!("{kind} = '{truth}'"));
        }
        match literal {
            Literal::String(text) => {
                let test = self.compare_text(D::text(value), def, op, text);
                ways.push(format!("({kind} = 'text' AND {test})"));
            }
            Literal::Integer(number) if !of_parts => {
                let literal = self.bind(Parameter::Integer(*number));
                ways.push(compare_numbers::<D>(kind, value, op, &literal));
            }
            Literal::Decimal(number) if !of_parts => {
                let literal = self.bind(Parameter::Real(*number));
                ways.push(compare_numbers::<D>(kind, value, op, &literal));
            }
            Literal::Null | Literal::Bool(_) | Literal::Integer(_) | Literal::Decimal(_) => {}
        }
        if ways.is_empty() { "FALSE".to_owned() } else { format!("({})", ways.join(" OR ")) }
    }

    /// A value that is a text against a literal that is one, without letter case where it does not matter.
    fn compare_text(
        &mut self,
        value: String,
        def: Option<&AttributeDef>,
        op: CompareOp,
        literal: &str,
    ) -> String {
        let exact = is_case_exact(def);
        let literal = if exact { literal.to_owned() } else { literal.to_lowercase() };
        let literal = self.bind(Parameter::Text(literal));
        let value = if exact { value } else { D::fold(&value) };
        compare_texts::<D>(&value, op, &literal)
    }

    fn bind(&mut self, parameter: Parameter) -> String {
        let placeholder = D::placeholder(self.first + self.parameters.len(), &parameter);
        self.parameters.push(parameter);
        placeholder
    }

    fn alias(&mut self) -> String {
        self.aliases += 1;
        format!("v{}", self.aliases)
    }
}

/// Nothing that counts as absent: null, an empty list, an empty object (RFC 7643 §2.5).
fn is_there<D: Dialect>(alias: &str) -> String {
    let is_empty = D::is_empty(&format!("{alias}.value"));
    format!("{alias}.type <> 'null' AND NOT ({alias}.type IN ('array', 'object') AND {is_empty})")
}
