//! Collects the text of every setting from flags, environment, file and defaults.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use toml::de::{DeTable, DeValue};

use super::error::{Problem, Source};
use super::table::{Default, ENV_PREFIX, SETTINGS, Setting};
use super::{File, Origin, listing};

/// The table of the file whose keys go to librdkafka as they stand.
const KAFKA_TABLE: &str = "kafka";

/// The winning text of each setting, with its origin.
pub(super) struct Given {
    texts: BTreeMap<&'static str, (String, Source)>,
}

impl Given {
    pub(super) fn gather(
        flags: &BTreeMap<&'static str, String>,
        env: &BTreeMap<OsString, OsString>,
        file: Option<File<'_>>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        // From the weakest to the strongest: a later one replaces an earlier one.
        let mut texts = defaults();
        if let Some(file) = file {
            texts.append(&mut from_file(file, problems));
        }
        texts.append(&mut from_env(env, problems));
        for setting in SETTINGS {
            if let Some(text) = flags.get(setting.key) {
                texts.insert(setting.key, (text.clone(), Source::Flag(setting.flag())));
            }
        }
        Self { texts }
    }

    /// Whether anybody said it, rather than the default.
    pub(super) fn is_given(&self, key: &str) -> bool {
        self.texts.get(key).is_some_and(|(_, source)| *source != Source::Default)
    }

    /// Reads a setting that always has a text. None if a problem was noted.
    pub(super) fn required<T>(
        &self,
        key: &'static str,
        read: fn(&str) -> Result<T, String>,
        problems: &mut Vec<Problem>,
    ) -> Option<T> {
        self.optional(key, read, problems)?
    }

    /// Reads a setting that may be absent. The outer none means that a problem was noted.
    #[expect(clippy::option_option, reason = "not there and not readable are different answers")]
    pub(super) fn optional<T>(
        &self,
        key: &'static str,
        read: fn(&str) -> Result<T, String>,
        problems: &mut Vec<Problem>,
    ) -> Option<Option<T>> {
        let Some((text, at)) = self.texts.get(key) else { return Some(None) };
        let setting = Setting::named(key).expect("every key that is read stands in the table");
        match read(text) {
            Ok(value) => Some(Some(value)),
            Err(why) => {
                let expects = setting.expects;
                problems.push(Problem::WrongValue { setting: key, at: at.clone(), why, expects });
                None
            }
        }
    }

    pub(super) fn origins(&self) -> Vec<Origin> {
        let origin = |setting: &'static Setting| {
            let found = self.texts.get(setting.key);
            Origin {
                setting,
                shown: found.map(|(text, _)| listing::shown(setting, text)),
                source: found.map_or(Source::Default, |(_, source)| source.clone()),
            }
        };
        SETTINGS.iter().map(origin).collect()
    }
}

fn defaults() -> BTreeMap<&'static str, (String, Source)> {
    let text = |setting: &'static Setting| match setting.default {
        Default::Value(text) => Some((setting.key, (text.to_owned(), Source::Default))),
        Default::Absent(_) => None,
    };
    SETTINGS.iter().filter_map(text).collect()
}

fn from_env(
    env: &BTreeMap<OsString, OsString>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<&'static str, (String, Source)> {
    let mut texts = BTreeMap::new();
    let ours = env.iter().filter(|(name, _)| is_ours(name));
    for (name, value) in ours {
        let name = name.to_string_lossy().into_owned();
        let at = Source::Env(name.clone());
        let Some(setting) = SETTINGS.iter().find(|setting| setting.env() == name) else {
            let nearest = nearest(&name, SETTINGS.iter().map(Setting::env));
            problems.push(Problem::Unknown { name, at, nearest });
            continue;
        };
        match value.to_str() {
            Some("") => {}
            Some(text) => {
                texts.insert(setting.key, (text.to_owned(), at));
            }
            None => problems.push(wrong(setting, at, "not UTF-8")),
        }
    }
    texts
}

fn is_ours(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with(ENV_PREFIX)
}

fn from_file(
    file: File<'_>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<&'static str, (String, Source)> {
    let mut texts = BTreeMap::new();
    let line_of =
        |offset: usize| 1 + file.text.get(..offset).map_or(0, |t| t.matches('\n').count());
    let table = match DeTable::parse(file.text) {
        Ok(table) => table.into_inner(),
        Err(error) => {
            let line = line_of(error.span().map_or(0, |span| span.start));
            // The parser's own display quotes the line, which may hold a secret.
            let why = error.message().to_owned();
            problems.push(Problem::NotToml { path: file.path.to_owned(), line, why });
            return texts;
        }
    };
    for (key, value) in table {
        let at = Source::File(file.path.to_owned(), line_of(key.span().start));
        let name = key.into_inner().into_owned();
        if let Some(setting) = Setting::named(&name) {
            match text_of(value.get_ref()) {
                Some(text) => {
                    texts.insert(setting.key, (text, at));
                }
                None => problems.push(wrong(setting, at, "a value of this type says nothing here")),
            }
        } else if name == KAFKA_TABLE {
            problems.push(Problem::NotInThisBuild { setting: "log", wanted: "[kafka]" });
        } else {
            let nearest = nearest(&name, SETTINGS.iter().map(|setting| setting.key.to_owned()));
            problems.push(Problem::Unknown { name, at, nearest });
        }
    }
    texts
}

/// The text form of a value of the file: a list is its items with commas between them.
fn text_of(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.clone().into_owned()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        DeValue::Array(items) => {
            let items: Option<Vec<String>> =
                items.iter().map(|item| text_of(item.get_ref())).collect();
            Some(items?.join(","))
        }
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}

fn wrong(setting: &'static Setting, at: Source, why: &str) -> Problem {
    let expects = setting.expects;
    Problem::WrongValue { setting: setting.key, at, why: why.to_owned(), expects }
}

/// The known name that comes closest to a wrong one.
fn nearest(name: &str, known: impl Iterator<Item = String>) -> String {
    let wanted = name.to_ascii_lowercase().replace('-', "_");
    let distance =
        |known: &String| strsim::damerau_levenshtein(&wanted, &known.to_ascii_lowercase());
    known.min_by_key(distance).expect("the table is not empty")
}
