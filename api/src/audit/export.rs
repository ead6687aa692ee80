//! All of the history in one answer, however long it is: read and sent page by page.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use schemas::EventId;

use super::{EventBody, behind, csv};
use crate::auth::Caller;
use crate::error::Error;
use crate::ports::{AuditEvent, AuditFilter, Audited, Cursor, EXPORT_PAGE, PageRequest, PortError};
use crate::router::Api;

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// One JSON object a line.
    Ndjson,
    /// RFC 4180, with a line of names.
    Csv,
}

impl Format {
    /// The one that `Accept` asks for before anything else that it can have, if it asks for one.
    pub(super) fn wanted(headers: &HeaderMap) -> Option<Self> {
        let accept = headers.get(header::ACCEPT)?.to_str().ok()?;
        let first = accept.split(',').find_map(|part| {
            let kind = part.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            let page = (kind == "application/json").then_some(None);
            let formats = [Self::Ndjson, Self::Csv].into_iter();
            page.or_else(|| formats.map(Some).find(|format| Self::is_called(*format, &kind)))
        });
        first.flatten()
    }

    fn is_called(format: Option<Self>, kind: &str) -> bool {
        format.is_some_and(|format| format.content_type().split(';').next() == Some(kind))
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
        }
    }

    fn head(self) -> Vec<u8> {
        match self {
            Self::Ndjson => Vec::new(),
            Self::Csv => csv::head(),
        }
    }

    fn write(self, events: &[AuditEvent], out: &mut Vec<u8>) {
        match self {
            Self::Ndjson => events.iter().for_each(|event| {
                serde_json::to_writer(&mut *out, &EventBody::of(event))
                    .expect("an event can always be written to memory");
                out.push(b'\n');
            }),
            Self::Csv => csv::rows(events, out),
        }
    }
}

/// What is left to send.
enum Rest {
    /// A page that was read, with what goes before it.
    Page(Vec<u8>, Audited),
    /// The events behind this one.
    Behind(EventId),
    /// Nothing.
    Nothing,
}

/// Sends everything from the page on, or everything in front of its cursor. What goes wrong at once is an answer of its own; what goes wrong
/// later breaks the answer off, so that nobody takes a part for the whole.
pub(super) async fn stream(
    api: Api,
    caller: Caller,
    request: PageRequest<EventId>,
    mut filter: AuditFilter,
    format: Format,
) -> Result<Response, Error> {
    let mut request = PageRequest { limit: EXPORT_PAGE, ..request };
    if let Some(Cursor::Before(id)) = request.cursor {
        // It is read from the beginning of the list, and ends where the cursor stands.
        request.cursor = None;
        filter.in_front_of = Some(id);
    }
    let first = api.audit.audit(request, filter.clone()).await?;
    let rest = Rest::Page(format.head(), first);
    let pages = stream::try_unfold(rest, move |rest| {
        let (api, filter) = (api.clone(), filter.clone());
        async move { next(&api, caller, request, filter, format, rest).await }
    });
    let content_type = HeaderValue::from_static(format.content_type());
    Ok(([(header::CONTENT_TYPE, content_type)], Body::from_stream(pages)).into_response())
}

async fn next(
    api: &Api,
    caller: Caller,
    request: PageRequest<EventId>,
    filter: AuditFilter,
    format: Format,
    rest: Rest,
) -> Result<Option<(Bytes, Rest)>, PortError> {
    let (mut out, audited) = match rest {
        Rest::Nothing => return Ok(None),
        Rest::Page(head, audited) => (head, audited),
        Rest::Behind(id) => {
            let audited =
                further(api, caller, api.audit.audit(behind(request, id), filter)).await?;
            (Vec::new(), audited)
        }
    };
    format.write(&audited.page.items, &mut out);
    let last = audited.looked_to.or(audited.page.items.last().map(|event| event.id));
    let rest = last.filter(|_| audited.page.has_after).map_or(Rest::Nothing, Rest::Behind);
    Ok(Some((out.into(), rest)))
}

/// A further page of an export, for whoever may still read it. On an error the answer ends where it is.
pub(super) async fn further<T>(
    api: &Api,
    caller: Caller,
    read: impl Future<Output = Result<T, PortError>>,
) -> Result<T, PortError> {
    let failed = |error: &PortError| {
        tracing::warn!(error = error as &dyn std::error::Error, "an export is broken off");
    };
    if caller.is_still_let_in(api).await.inspect_err(failed)? {
        return read.await.inspect_err(failed);
    }
    tracing::warn!(key.id = %caller.key, "an export is broken off: its key was deleted");
    Err(PortError::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_what_accept_asks_for_and_json_otherwise() {
        let wanted = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            Format::wanted(&headers)
        };
        assert_eq!(wanted("application/x-ndjson"), Some(Format::Ndjson));
        assert_eq!(wanted("Text/CSV;q=0.9, */*"), Some(Format::Csv));
        assert_eq!(wanted("application/json, text/plain, */*"), None);
        assert_eq!(wanted("application/json, application/x-ndjson"), None);
        assert_eq!(wanted("text/html, text/csv, application/json"), Some(Format::Csv));
        assert_eq!(Format::wanted(&HeaderMap::new()), None);
    }
}
