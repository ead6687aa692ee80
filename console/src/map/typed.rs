//! What stands in the fields of the form, as text, and the same as a map.

use std::collections::{BTreeMap, BTreeSet};

use directory::AttributeMap;
use directory::attribute_map::MapError;
use serde_json::{Map, Value, json};

use crate::form::Form;

/// How many empty rows a form has for further attributes.
const SPARE_ROWS: usize = 2;

/// How many more there are with each press on the button for them.
const MORE_ROWS: usize = 4;

/// The fields. Chains are texts with one path a line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Typed {
    /// Chains by the name of the attribute; empty where there is none.
    pub(super) standard: Vec<(&'static str, String)>,
    /// Names.
    pub(super) predefined: BTreeSet<String>,
    /// Attributes of any name.
    pub(super) custom: Vec<Row>,
}

/// A row of the form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) paths: String,
}

impl Row {
    pub(super) fn is_empty(&self) -> bool {
        self.name.trim().is_empty() && self.paths.trim().is_empty()
    }
}

/// What is wrong, by where it stands: `standard.email`, `custom.office`.
#[derive(Debug, Default)]
pub(super) struct Wrongs(BTreeMap<String, Vec<String>>);

impl Wrongs {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is wrong about a field, as one text.
    pub(super) fn of(&self, field: &str) -> Option<String> {
        self.0.get(field).map(|texts| texts.join(" "))
    }

    fn note(&mut self, field: &str, message: &str) {
        self.0.entry(field.to_owned()).or_default().push(format!("{message}."));
    }
}

impl Typed {
    pub(super) fn of(form: &Form) -> Self {
        let chain = |name| form.one(&format!("standard.{name}")).unwrap_or_default().to_owned();
        let rows = form.all("custom_name").zip(form.all("custom_paths"));
        Self {
            standard: AttributeMap::STANDARD.map(|name| (name, chain(name))).into(),
            predefined: form.all("predefined").map(str::to_owned).collect(),
            custom: rows
                .map(|(name, paths)| Row { name: name.to_owned(), paths: paths.to_owned() })
                .collect(),
        }
    }

    pub(super) fn from(map: &AttributeMap) -> Self {
        let json = serde_json::to_value(map).unwrap_or_default();
        let names = json["predefined"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let custom = json["custom"].as_object().into_iter().flatten();
        let custom = custom.map(|(name, paths)| Row { name: name.clone(), paths: lines(paths) });
        let mut typed = Self {
            standard: AttributeMap::STANDARD
                .map(|name| (name, lines(&json["standard"][name])))
                .into(),
            predefined: names.map(str::to_owned).collect(),
            custom: custom.collect(),
        };
        typed.custom.extend(vec![Row::default(); SPARE_ROWS]);
        typed
    }

    pub(super) fn add_rows(&mut self) {
        self.custom.extend(vec![Row::default(); MORE_ROWS]);
    }

    /// The map that this is, or all that is wrong about it.
    pub(super) fn read(&self) -> Result<AttributeMap, Wrongs> {
        let mut wrongs = Wrongs::default();
        let standard: Map<String, Value> = self
            .standard
            .iter()
            .map(|(name, text)| (*name, paths(text)))
            .filter(|(_, paths)| !paths.is_empty())
            .map(|(name, paths)| (name.to_owned(), json!(paths)))
            .collect();
        let mut custom = Map::new();
        for Row { name, paths: text } in self.custom.iter().filter(|row| !row.is_empty()) {
            let name = name.trim();
            if custom.insert(name.to_owned(), json!(paths(text))).is_some() {
                // JSON has no place for the second, so its reader never sees it.
                wrongs.note(&format!("custom.{name}"), &format!("{name} is mapped twice"));
            }
        }
        let json = json!({ "standard": standard, "predefined": self.predefined, "custom": custom });
        let parsed = AttributeMap::parse(&json);
        for MapError { field, message } in parsed.as_ref().err().into_iter().flatten() {
            wrongs.note(field, message);
        }
        parsed.ok().filter(|_| wrongs.is_empty()).ok_or(wrongs)
    }
}

/// The paths of a field: one a line.
fn paths(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

fn lines(chain: &Value) -> String {
    let paths = chain.as_array().into_iter().flatten().filter_map(Value::as_str);
    paths.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(pairs: &[(&str, &str)]) -> Form {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(pairs);
        Form::parse(query.finish().as_bytes())
    }

    #[test]
    fn a_map_survives_its_form() {
        let map = AttributeMap::parse(&json!({
            "standard": { "email": ["emails", "userName"] },
            "predefined": ["department_name", "manager_id"],
            "custom": { "office": "addresses[type eq \"work\"].locality", "badge": ["a", "urn:x:y:b"] },
        }))
        .expect("it is one");
        let typed = Typed::from(&map);
        assert_eq!(typed.custom.len(), 2 + SPARE_ROWS);
        assert_eq!(typed.read().expect("it is the same"), map);
    }

    #[test]
    fn a_field_has_one_path_a_line_and_rows_that_are_empty_are_none() {
        let typed = Typed::of(&form(&[
            ("standard.email", " emails \r\n\r\nuserName\r\n"),
            ("custom_name", "  "),
            ("custom_paths", "\r\n"),
            ("custom_name", " office "),
            ("custom_paths", "title"),
        ]));
        let map = typed.read().expect("nothing is wrong");
        let json = serde_json::to_value(&map).expect("it is JSON");
        assert_eq!(json["standard"], json!({ "email": ["emails", "userName"] }));
        assert_eq!(json["custom"], json!({ "office": ["title"] }));
    }

    #[test]
    fn what_is_wrong_stands_at_its_field() {
        let typed = Typed::of(&form(&[
            ("standard.email", "emails[type eq"),
            ("predefined", "shoe_size"),
            ("custom_name", "office"),
            ("custom_paths", "title"),
            ("custom_name", "office"),
            ("custom_paths", "userType"),
            ("custom_name", "secret"),
            ("custom_paths", "password"),
            ("custom_name", ""),
            ("custom_paths", "title"),
            ("custom_name", "empty"),
            ("custom_paths", ""),
        ]));
        let wrongs = typed.read().expect_err("much is wrong");
        for (field, said) in [
            ("standard.email", "emails[type eq"),
            ("predefined", "shoe_size"),
            ("custom.office", "office is mapped twice."),
            ("custom.secret", "is never told"),
            ("custom.", "cannot be the name"),
            ("custom.empty", "takes a path"),
        ] {
            let found = wrongs.of(field).unwrap_or_default();
            assert!(found.contains(said), "{field}: {found}");
        }
    }
}
