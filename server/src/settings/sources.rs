//! Collects the text of every setting from flags, environment, file and defaults.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use toml::de::{DeTable, DeValue};

use super::error::{Problem, Source};
use super::table::{Default, ENV_PREFIX, SETTINGS, Setting};
use super::value::Secret;
use super::{File, FromKafka, Origin, listing};

/// A table of the file whose keys go to librdkafka as they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum KafkaTable {
    /// For the log.
    Log,
    /// For the brokers of endpoints.
    Endpoints,
}

impl KafkaTable {
    const ALL: [Self; 2] = [Self::Log, Self::Endpoints];

    const fn name(self) -> &'static str {
        match self {
            Self::Log => "kafka",
            Self::Endpoints => "endpoint_kafka",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }

    #[cfg(feature = "kafka")]
    fn check(self, key: &str, value: &str) -> Result<(), String> {
        match self {
            Self::Log => log::kafka::check_setting(key, value),
            Self::Endpoints => log::kafka::check_setting_for_others(key, value),
        }
    }

    /// Nobody reads them in a build without Kafka, where no setting can name it.
    #[cfg(not(feature = "kafka"))]
    #[expect(clippy::unused_self, reason = "in another build it matters which")]
    fn check(self, _: &str, _: &str) -> Result<(), String> {
        Ok(())
    }
}

/// The winning text of each setting, with its origin.
pub(super) struct Given {
    texts: BTreeMap<&'static str, (String, Source)>,
    kafka: Kafka,
}

/// The settings of librdkafka, by their names there.
type Kafka = BTreeMap<(KafkaTable, String), (String, Source)>;

impl Given {
    pub(super) fn gather(
        flags: &BTreeMap<&'static str, String>,
        env: &BTreeMap<OsString, OsString>,
        file: Option<File<'_>>,
        asked: &dyn Fn(&str) -> bool,
        problems: &mut Vec<Problem>,
    ) -> Self {
        // From the weakest to the strongest: a later one replaces an earlier one.
        let (mut texts, mut kafka) = (defaults(), Kafka::new());
        if let Some(file) = file {
            texts.append(&mut from_file(file, asked, &mut kafka, problems));
        }
        texts.append(&mut from_env(env, asked, problems));
        for setting in SETTINGS {
            if let Some(text) = flags.get(setting.key) {
                texts.insert(setting.key, (text.clone(), Source::Flag(setting.flag())));
            }
        }
        Self { texts, kafka }
    }

    pub(super) fn kafka(&self, of: KafkaTable) -> BTreeMap<String, Secret> {
        let found = self.kafka.iter().filter(|((table, _), _)| *table == of);
        found.map(|((_, key), (text, _))| (key.clone(), Secret::new(text.clone()))).collect()
    }

    pub(super) fn kafka_origins(&self) -> Vec<FromKafka> {
        let origins = self.kafka.iter().map(|((table, key), (text, source))| FromKafka {
            table: table.name(),
            key: key.clone(),
            shown: listing::shown_of_kafka(key, text),
            source: source.clone(),
        });
        origins.collect()
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

    /// What to say of a setting that can be read and is wrong beside others.
    pub(super) fn wrong(&self, key: &'static str, why: &str) -> Problem {
        let setting = Setting::named(key).expect("every key that is read stands in the table");
        let at = self.texts.get(key).map_or(Source::Default, |(_, source)| source.clone());
        wrong(setting, at, why)
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
    asked: &dyn Fn(&str) -> bool,
    problems: &mut Vec<Problem>,
) -> BTreeMap<&'static str, (String, Source)> {
    let mut texts = BTreeMap::new();
    let ours = env.iter().filter(|(name, _)| is_ours(name, asked));
    for (name, value) in ours {
        let name = name.to_string_lossy().into_owned();
        let at = Source::Env(name.clone());
        let Some(setting) = SETTINGS.iter().find(|setting| setting.env() == name) else {
            if is_of_a_service(&name, value) {
                continue;
            }
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

fn is_ours(name: &OsStr, asked: &dyn Fn(&str) -> bool) -> bool {
    let name = name.to_string_lossy();
    name.strip_prefix(ENV_PREFIX).is_some_and(|key| asked(&key.to_ascii_lowercase()))
}

/// Whether Kubernetes puts this variable into every container for a Service whose name begins with `dsync`: where it is
/// reached, in the form that Docker once had for links. A port of people's own, `DSYNC_PORT=8080`, is not of that form.
fn is_of_a_service(name: &str, value: &OsStr) -> bool {
    const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];
    let is_address = value.to_str().is_some_and(|value| {
        PROTOCOLS.iter().any(|protocol| {
            let rest = value.strip_prefix(&protocol.to_ascii_lowercase());
            rest.is_some_and(|rest| rest.starts_with("://"))
        })
    });
    let is_of_a_port = |port: &str| {
        let mut parts = port.split('_');
        let number = parts.next().is_some_and(|number| number.parse::<u16>().is_ok());
        let protocol = parts.next().is_some_and(|protocol| PROTOCOLS.contains(&protocol));
        let part = parts.next().is_none_or(|part| ["PROTO", "PORT", "ADDR"].contains(&part));
        number && protocol && part && parts.next().is_none()
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || (name.ends_with("_PORT") && is_address)
        || name.match_indices("_PORT_").any(|(at, found)| is_of_a_port(&name[at + found.len()..]))
}

fn from_file(
    file: File<'_>,
    asked: &dyn Fn(&str) -> bool,
    kafka: &mut Kafka,
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
        if !asked(&name) {
            continue;
        }
        if let Some(setting) = Setting::named(&name) {
            match text_of(value.get_ref()) {
                Some(text) => {
                    texts.insert(setting.key, (text, at));
                }
                None => problems.push(wrong(setting, at, "a value of this type says nothing here")),
            }
        } else if let Some(table) = KafkaTable::named(&name) {
            for_kafka(value.get_ref(), (table, ""), &at, kafka, problems);
        } else {
            let nearest = nearest(&name, SETTINGS.iter().map(|setting| setting.key.to_owned()));
            problems.push(Problem::Unknown { name, at, nearest });
        }
    }
    texts
}

/// Takes in a setting of librdkafka, whose name may be written with dots, `sasl.username`, which makes tables in tables.
fn for_kafka(
    value: &DeValue<'_>,
    (table, name): (KafkaTable, &str),
    at: &Source,
    kafka: &mut Kafka,
    problems: &mut Vec<Problem>,
) {
    let wrong = |why: String| {
        let (table, key) = (table.name(), name.to_owned());
        Problem::Kafka { table, key, at: at.clone(), why }
    };
    if let DeValue::Table(inner) = value {
        for (key, value) in inner {
            let separator = if name.is_empty() { "" } else { "." };
            let name = format!("{name}{separator}{}", key.get_ref());
            for_kafka(value.get_ref(), (table, &name), at, kafka, problems);
        }
        return;
    }
    match text_of(value) {
        Some(text) => match table.check(name, &text) {
            Ok(()) => drop(kafka.insert((table, name.to_owned()), (text, at.clone()))),
            Err(why) => problems.push(wrong(why)),
        },
        None => problems.push(wrong("a value of this type says nothing here".to_owned())),
    }
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
