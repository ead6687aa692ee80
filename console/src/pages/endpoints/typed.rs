//! What stands in the form of an endpoint, and what it asks of the API.

use api::actions::{Asked, FieldError};
use api::ports::Endpoint;
use schemas::{DeliveryOrder, EndpointKind, Format};
use serde_json::{Map, Value, json};

use crate::form::Form;

/// A client certificate and its key.
pub(super) const CERTIFICATE: [&str; 2] = ["client_certificate", "client_certificate_key"];

/// That none is shown any more.
pub(super) const NO_CERTIFICATE: &str = "no_client_certificate";

/// What an endpoint is, as if it had been typed.
pub(super) fn typed_from(endpoint: &Endpoint) -> Form {
    let mut pairs = vec![
        ("endpoint_url", endpoint.url.clone()),
        ("order", endpoint.order.name().to_owned()),
        ("format", endpoint.format.name().to_owned()),
        (
            "retry_schedule",
            endpoint.retry_schedule.as_ref().map(ToString::to_string).unwrap_or_default(),
        ),
        (
            "timeout_seconds",
            endpoint.outward.timeout.map(|wait| wait.as_secs().to_string()).unwrap_or_default(),
        ),
    ];
    pairs.extend(endpoint.events.iter().map(|event| ("events", event.name().to_owned())));
    pairs.extend(endpoint.organizations.iter().map(|id| ("organizations", id.to_string())));
    pairs.extend(endpoint.directories.iter().map(|id| ("directories", id.to_string())));
    if endpoint.outward.key_pair.is_some() {
        pairs.push(("ed25519", "true".to_owned()));
    }
    Form::of(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

pub(super) fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(|separator: char| separator.is_whitespace() || matches!(separator, ',' | ';'))
        .filter(|part| !part.is_empty())
}

/// What was typed as the API asks for it: for a new endpoint what was filled in, and for one that is there all that
/// its form has, so that what was emptied is empty.
pub(super) fn asked(form: &Form, of: Option<EndpointKind>) -> Asked {
    let is_new = of.is_none();
    let typed = form.text("kind").and_then(|kind| kind.parse().ok());
    let is_operational = of.or(typed) == Some(EndpointKind::Operational);
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    match form.text("endpoint_url") {
        None if is_new => {}
        url => put("endpoint_url", json!(url.unwrap_or_default())),
    }
    let list = |name: &str, more: &str| -> Vec<String> {
        let more = form.filled(more).flat_map(split);
        form.filled(name).chain(more).map(str::to_owned).collect()
    };
    for (name, more) in [
        ("events", "patterns"),
        ("organizations", "more_organizations"),
        ("directories", "more_directories"),
    ] {
        let list = list(name, more);
        // Of what the kind forbids just what was filled in, so that it is refused and not ignored.
        if !list.is_empty() || !(is_new || is_operational) {
            put(name, json!(list));
        }
    }
    let default = DeliveryOrder::default().name();
    for (name, default) in [("order", default), ("format", Format::default().name())] {
        let given = form.text(name).filter(|given| !is_operational || *given != default);
        if let Some(given) = given {
            put(name, json!(given));
        }
    }
    if is_new {
        put("kind", json!(form.text("kind")));
        let start = form.text("start").filter(|start| *start != "now");
        let at = form.text("start_at").unwrap_or_default();
        put("start", json!(start.map(|start| if start == "at" { at } else { start })));
    }
    put("retry_schedule", json!(form.text("retry_schedule")));
    let timeout = form.text("timeout_seconds");
    let timeout =
        timeout.map(|text| text.parse::<u32>().map_or(json!(text), |number| json!(number)));
    put("timeout_seconds", json!(timeout));
    put("ed25519", json!(form.one("ed25519").is_some()));
    // The key is never part of a form that is shown, so what is left empty stays as it is.
    for name in CERTIFICATE {
        // A form has the line ends of Windows (HTML, 4.10.21.8).
        if let Some(pem) = form.text(name) {
            put(name, json!(pem.replace("\r\n", "\n") + "\n"));
        }
    }
    if form.one(NO_CERTIFICATE).is_some() {
        put("client_certificate", Value::Null);
    }
    Asked(fields)
}

/// What two wishes of a form contradict.
pub(super) fn contradiction(form: &Form) -> Option<FieldError> {
    let is_given = CERTIFICATE.iter().any(|name| form.text(name).is_some());
    (is_given && form.one(NO_CERTIFICATE).is_some()).then(|| FieldError {
        code: "invalid",
        field: "client_certificate".to_owned(),
        message: Some("There is a client certificate to show, and a tick at showing none. Take one of them away.".to_owned()),
    })
}

/// The fields that are asked to be other than they are.
pub(super) fn changed_fields(endpoint: &Endpoint, asked: &Asked) -> Vec<String> {
    let same = self::asked(&typed_from(endpoint), Some(endpoint.kind)).0;
    let is_other = |(name, value): &(&String, &Value)| same.get(*name) != Some(*value);
    asked.0.iter().filter(is_other).map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked_of(pairs: &[(&str, &str)], of: Option<EndpointKind>) -> Value {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Value::Object(asked(&Form::of(pairs.collect()), of).0)
    }

    #[test]
    fn of_a_new_endpoint_what_was_filled_in_is_asked_for() {
        let typed = [
            ("endpoint_url", " https://app.example/ "),
            ("kind", "directory"),
            ("events", "dsync.deleted"),
            ("patterns", "dsync.user.*, dsync.group.*"),
            ("order", "none"),
            ("format", "webhook"),
            ("start", "at"),
            ("start_at", "2026-03-02T10:15:30Z"),
            ("timeout_seconds", "5"),
        ];
        let expected = json!({
            "endpoint_url": "https://app.example/", "kind": "directory", "order": "none", "format": "webhook",
            "events": ["dsync.deleted", "dsync.user.*", "dsync.group.*"], "start": "2026-03-02T10:15:30Z",
            "retry_schedule": null, "timeout_seconds": 5, "ed25519": false,
        });
        assert_eq!(asked_of(&typed, None), expected);
        let empty = asked_of(&[("timeout_seconds", "soon"), ("start", "now")], None);
        let expected = json!({ "kind": null, "start": null, "retry_schedule": null, "timeout_seconds": "soon", "ed25519": false });
        assert_eq!(empty, expected);
    }

    #[test]
    fn of_an_endpoint_that_is_there_all_of_its_form_is_asked_for() {
        let typed = [
            ("endpoint_url", ""),
            ("order", "resource"),
            ("format", "webhook"),
            ("more_directories", "directory_1"),
        ];
        let expected = json!({
            "endpoint_url": "", "order": "resource", "format": "webhook", "events": [], "organizations": [],
            "directories": ["directory_1"], "retry_schedule": null, "timeout_seconds": null, "ed25519": false,
        });
        assert_eq!(asked_of(&typed, Some(EndpointKind::Directory)), expected);
    }

    #[test]
    fn a_certificate_that_is_left_empty_stays_and_one_is_taken_away_by_a_tick_alone() {
        let of = |pairs: &[(&str, &str)]| asked_of(pairs, Some(EndpointKind::Directory));
        let left = of(&[("client_certificate", " "), ("client_certificate_key", "")]);
        assert!(left.get("client_certificate").is_none(), "{left}");
        let given = [("client_certificate", "a\r\nb\r\n"), ("client_certificate_key", "c")];
        let asked = of(&given);
        assert_eq!(asked["client_certificate"], "a\nb\n");
        assert_eq!(asked["client_certificate_key"], "c\n");
        let none = ("no_client_certificate", "true");
        assert_eq!(of(&[none]).get("client_certificate"), Some(&Value::Null));
        let contradicts = |pairs: &[(&str, &str)]| {
            let owned = |text: &str| text.to_owned();
            let pairs = pairs.iter().map(|(name, value)| (owned(name), owned(value)));
            contradiction(&Form::of(pairs.collect())).is_some()
        };
        assert!(contradicts(&[given[0], none]) && contradicts(&[given[1], none]));
        assert!(!contradicts(&given) && !contradicts(&[none]));
    }

    #[test]
    fn an_operational_endpoint_is_asked_for_nothing_that_it_cannot_have() {
        let typed = [
            ("endpoint_url", "https://app.example/"),
            ("kind", "operational"),
            ("order", "resource"),
            ("format", "webhook"),
            ("start", "now"),
        ];
        let expected = json!({
            "endpoint_url": "https://app.example/", "kind": "operational", "start": null, "retry_schedule": null,
            "timeout_seconds": null, "ed25519": false,
        });
        assert_eq!(asked_of(&typed, None), expected);
        let refused = asked_of(
            &[("kind", "operational"), ("events", "dsync.deleted"), ("order", "none")],
            None,
        );
        assert_eq!(
            (&refused["events"], &refused["order"]),
            (&json!(["dsync.deleted"]), &json!("none"))
        );
    }
}
