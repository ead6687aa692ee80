//! Events as rows of a table, for those who read them in a spreadsheet.

use std::borrow::Cow;

use csv::{QuoteStyle, Terminator, WriterBuilder};
use schemas::Actor;

use crate::ports::{AdminEvent, AuditEvent};

const COLUMNS: [&str; 15] = [
    "id",
    "event",
    "created_at",
    "directory_id",
    "seq",
    "hash",
    "prev_hash",
    "actor_token_suffix",
    "actor_ip",
    "actor_user_agent",
    "actor_request_id",
    "data",
    "actor_api_key_id",
    "actor_console_role",
    "actor_portal_link_id",
];

/// The line of names.
pub(super) fn head() -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, |writer| writer.write_record(COLUMNS));
    out
}

/// One line for each event.
pub(super) fn rows(events: &[AuditEvent], out: &mut Vec<u8>) {
    write(out, |writer| events.iter().try_for_each(|event| writer.write_record(row(event))));
}

fn row(event: &AuditEvent) -> [String; COLUMNS.len()] {
    // An actor that cannot be read is shown as nobody: the record itself is in `dsync verify`'s care.
    let actor: Actor = serde_json::from_str(event.actor.get()).unwrap_or_default();
    let text =
        |text: Option<String>| text.map(|text| harmless(&text).into_owned()).unwrap_or_default();
    [
        event.id.to_string(),
        event.event.name().to_owned(),
        event.created_at.to_string(),
        event.directory_id.to_string(),
        event.seq.0.to_string(),
        event.hash.to_string(),
        event.prev_hash.to_string(),
        text(actor.token_suffix),
        text(actor.ip),
        text(actor.user_agent),
        text(actor.request_id),
        harmless(event.data.get()).into_owned(),
        text(actor.api_key_id.map(|id| id.to_string())),
        text(actor.console_role),
        text(actor.portal_link_id.map(|id| id.to_string())),
    ]
}

const ACTION_COLUMNS: [&str; 14] = [
    "id",
    "action",
    "created_at",
    "outcome",
    "organization_id",
    "targets",
    "fields",
    "unrecorded",
    "actor_type",
    "actor_id",
    "actor_name",
    "actor_ip",
    "actor_user_agent",
    "actor_request_id",
];

/// The line of names of actions.
pub(super) fn actions_head() -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, |writer| writer.write_record(ACTION_COLUMNS));
    out
}

/// One line for each action.
pub(super) fn actions(actions: &[AdminEvent], out: &mut Vec<u8>) {
    write(out, |writer| actions.iter().try_for_each(|one| writer.write_record(action_row(one))));
}

fn action_row(action: &AdminEvent) -> [String; ACTION_COLUMNS.len()] {
    let text = |text: &Option<String>| {
        text.as_deref().map(|text| harmless(text).into_owned()).unwrap_or_default()
    };
    let actor = &action.actor;
    [
        action.id.to_string(),
        action.action.name().to_owned(),
        action.created_at().to_string(),
        action.outcome.map(|outcome| outcome.name().to_owned()).unwrap_or_default(),
        action.organization_id.map(|id| id.to_string()).unwrap_or_default(),
        action.targets.join(" "),
        harmless(&action.fields.join(" ")).into_owned(),
        action.unrecorded.to_string(),
        actor.kind.name().to_owned(),
        text(&actor.id),
        text(&actor.name),
        text(&actor.ip),
        text(&actor.user_agent),
        text(&actor.request_id),
    ]
}

/// A spreadsheet takes a cell that begins like this for a formula and runs it; an apostrophe makes it
/// text again (OWASP, CSV injection).
fn harmless(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

fn write(
    out: &mut Vec<u8>,
    rows: impl FnOnce(&mut csv::Writer<&mut Vec<u8>>) -> Result<(), csv::Error>,
) {
    let mut builder = WriterBuilder::new();
    builder.terminator(Terminator::CRLF).quote_style(QuoteStyle::Necessary);
    let mut writer = builder.from_writer(out);
    rows(&mut writer).expect("rows of one length go into memory");
    writer.flush().expect("memory takes them");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_a_spreadsheet_would_run_is_text() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
            assert_eq!(harmless(text), format!("'{text}"));
        }
        for text in ["", "a=b", "10.0.0.1", "{\"a\":\"=1\"}"] {
            assert_eq!(harmless(text), text);
        }
    }
}
