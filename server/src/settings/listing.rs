//! `dsync config print`, `dsync config env` and what the console shows, written from the table.

use console::ports::SettingValue;
use serde_json::{Value, json};
use url::Url;

use super::table::{Default, SETTINGS, Setting};
use super::{FromKafka, Origin, Resolved};
use crate::print::Table;

/// What stands for a secret that is set.
const HIDDEN: &str = "***";

/// The text of a value as it may be shown.
pub(super) fn shown(setting: &Setting, text: &str) -> String {
    if setting.secret {
        return HIDDEN.to_owned();
    }
    // A connection URL may hold a password, in its authority or among its parameters.
    match Url::parse(text) {
        Ok(mut url) if url.password().is_some() || url.query().is_some() => {
            let (query, password) = (url.query().map(|_| HIDDEN), url.password().map(|_| HIDDEN));
            url.set_query(query);
            match url.set_password(password) {
                Ok(()) => url.to_string(),
                Err(()) => HIDDEN.to_owned(),
            }
        }
        Ok(_) | Err(_) => text.to_owned(),
    }
}

/// The text of a setting of librdkafka as it may be shown: what is not known to be harmless is hidden.
pub(super) fn shown_of_kafka(key: &str, text: &str) -> String {
    #[cfg(feature = "kafka")]
    let is_secret = log::kafka::is_secret(key);
    #[cfg(not(feature = "kafka"))]
    let is_secret = !key.is_empty();
    if is_secret { HIDDEN.to_owned() } else { text.to_owned() }
}

/// The effective configuration with the source of each value.
#[must_use]
pub fn effective(resolved: &Resolved, as_json: bool) -> String {
    if as_json {
        let entry = |origin: &Origin| {
            let value = json!({"value": origin.shown, "source": origin.source.to_string()});
            (origin.setting.key.to_owned(), value)
        };
        let of_kafka = |found: &FromKafka| {
            let value = json!({"value": found.shown, "source": found.source.to_string()});
            (format!("{}.{}", found.table, found.key), value)
        };
        let entries = resolved.origins.iter().map(entry);
        let entries: serde_json::Map<String, Value> =
            entries.chain(resolved.kafka.iter().map(of_kafka)).collect();
        return format!("{:#}", Value::Object(entries));
    }
    let mut table = Table::new(&["setting", "value", "source"]);
    for origin in &resolved.origins {
        let value = match (&origin.shown, origin.setting.default) {
            (Some(shown), _) => shown.clone(),
            (None, Default::Absent(then)) => format!("({then})"),
            (None, Default::Value(text)) => text.to_owned(),
        };
        table.row(vec![origin.setting.key.to_owned(), value, origin.source.to_string()]);
    }
    for found in &resolved.kafka {
        let key = format!("{}.{}", found.table, found.key);
        table.row(vec![key, found.shown.clone(), found.source.to_string()]);
    }
    table.to_string()
}

/// The effective configuration for the console.
#[must_use]
pub fn listed(resolved: &Resolved) -> Vec<console::ports::Setting> {
    let of_table = resolved.origins.iter().map(|origin| console::ports::Setting {
        key: origin.setting.key.to_owned(),
        value: match (&origin.shown, origin.setting.default) {
            (Some(_), _) if origin.setting.secret => SettingValue::Secret,
            (Some(shown), _) => SettingValue::Shown(shown.clone()),
            (None, Default::Absent(then)) => SettingValue::Absent(then),
            (None, Default::Value(text)) => SettingValue::Shown(text.to_owned()),
        },
        source: origin.source.to_string(),
        help: origin.setting.help,
    });
    let of_kafka = resolved.kafka.iter().map(|found| console::ports::Setting {
        key: format!("{}.{}", found.table, found.key),
        value: match found.shown.as_str() {
            HIDDEN => SettingValue::Secret,
            shown => SettingValue::Shown(shown.to_owned()),
        },
        source: found.source.to_string(),
        help: "As librdkafka has it",
    });
    of_table.chain(of_kafka).collect()
}

/// Every setting with its variable, its flag, its default and what it does.
#[must_use]
pub fn reference(as_json: bool) -> String {
    if as_json {
        let entry = |setting: &Setting| {
            let (value, absent) = match setting.default {
                Default::Value(text) => (Some(text), None),
                Default::Absent(then) => (None, Some(then)),
            };
            json!({
                "key": setting.key, "env": setting.env(), "flag": format!("--{}", setting.flag()),
                "default": value, "without": absent, "expects": setting.expects,
                "help": setting.help, "secret": setting.secret,
            })
        };
        return format!("{:#}", Value::Array(SETTINGS.iter().map(entry).collect()));
    }
    let mut lines = vec![
        "Flags over environment over the TOML file (--config, default dsync.toml) over defaults.\n\
        Variables that Kubernetes adds for a Service named dsync or dsync-… (DSYNC_SERVICE_HOST, DSYNC_PORT_8080_TCP) \
        are passed over."
            .to_owned(),
    ];
    for setting in SETTINGS {
        let default = match setting.default {
            Default::Value(text) => text.to_owned(),
            Default::Absent(then) => format!("none ({then})"),
        };
        lines.push(format!("\n{}", setting.env()));
        lines.push(format!("    {}.", setting.help));
        lines.push(format!("    Expects: {}.", setting.expects));
        lines.push(format!("    Default: {default}"));
        lines.push(format!("    Key in the file: {}. Flag: --{}.", setting.key, setting.flag()));
    }
    lines.push(
        "\n[kafka]\n    The table of the file whose keys go to librdkafka as they stand, for the log, such as security.protocol."
            .to_owned(),
    );
    lines.push("\n[endpoint_kafka]\n    The same for the brokers of kafka_endpoints.".to_owned());
    lines.join("\n")
}
