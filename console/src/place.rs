//! Where the console stands, if the world reaches this installation below a path: a proxy takes the path away on the
//! way here, and browsers need it in every address.
//!
//! Pages name their addresses as if they stood at the root, and all of them are completed here. What people have
//! typed is never taken for one: within text and values the quotation mark is written as an entity.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::TryStreamExt as _;

/// The attributes that hold an address of ours.
const ATTRIBUTES: [&str; 9] = [
    "href",
    "src",
    "action",
    "hx-get",
    "hx-post",
    "data-stream",
    "data-changes",
    "data-session",
    "data-now-at",
];

/// What they begin with.
const OURS: [&str; 3] = ["/console", "/docs", "/metrics"];

/// Completes the addresses of an answer.
pub(crate) async fn below(
    State(prefix): State<Arc<str>>,
    request: Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    if prefix.is_empty() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    if let Some(place) = moved(&parts.headers, &prefix) {
        parts.headers.insert(LOCATION, place);
    }
    if !is_markup(&parts.headers) {
        return Response::from_parts(parts, body);
    }
    parts.headers.remove(CONTENT_LENGTH);
    // A page is one piece, and so is each event of a stream: no address is cut in two.
    let body = body.into_data_stream().map_ok(move |piece| completed(&piece, &prefix));
    Response::from_parts(parts, Body::from_stream(body))
}

fn moved(headers: &HeaderMap, prefix: &str) -> Option<HeaderValue> {
    let place = headers.get(LOCATION)?.to_str().ok()?;
    let is_ours = OURS.iter().any(|ours| place.starts_with(ours));
    is_ours.then(|| HeaderValue::from_str(&format!("{prefix}{place}")).ok())?
}

fn is_markup(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.starts_with("text/html") || kind.starts_with("text/event-stream")
}

fn completed(piece: &Bytes, prefix: &str) -> Bytes {
    let Ok(text) = std::str::from_utf8(piece) else { return piece.clone() };
    let mut text = text.to_owned();
    for attribute in ATTRIBUTES {
        for ours in OURS {
            let (from, to) =
                (format!(" {attribute}=\"{ours}"), format!(" {attribute}=\"{prefix}{ours}"));
            if text.contains(&from) {
                text = text.replace(&from, &to);
            }
        }
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use maud::html;

    use super::*;

    #[test]
    fn addresses_are_completed_and_what_people_typed_is_not() {
        let typed = " href=\"/console/x";
        let page = html! {
            a href="/console/events?next=%2Fconsole" title=(typed) { (typed) }
            form action="/console/sign-in" { input name="next" value="/console/events"; }
            a href="https://elsewhere.example/console" { "x" }
        };
        let shown = completed(&page.into_string().into(), "/x");
        let shown = std::str::from_utf8(&shown).unwrap();
        assert!(shown.starts_with("<a href=\"/x/console/events?next=%2Fconsole\""), "{shown}");
        assert!(shown.contains("<form action=\"/x/console/sign-in\">"), "{shown}");
        assert!(shown.contains("value=\"/console/events\""), "the way back is ours to judge");
        assert!(shown.contains("href=\"https://elsewhere.example/console\""));
        assert_eq!(shown.matches("/x/console").count(), 2, "{shown}");
    }
}
