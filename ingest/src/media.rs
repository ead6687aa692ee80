//! The media type of answers (RFC 7644 §3.1, §8.1): SCIM's own, or plain JSON for who asks for that alone.

use axum::extract::Request;
use axum::http::header::{ACCEPT, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

/// The media type of everything SCIM (RFC 7644 §8.1).
pub(crate) const SCIM_JSON: HeaderValue = HeaderValue::from_static("application/scim+json");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Answers as the request accepts it.
pub(crate) async fn negotiate(request: Request, next: Next) -> Response {
    let accepts = Accepts::of(request.headers());
    let mut response = next.run(request).await;
    accepts.negotiate(&mut response);
    response
}

/// Which media type a request accepts.
#[derive(Clone, Copy)]
pub(crate) struct Accepts {
    wants_json: bool,
}

impl Accepts {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self { wants_json: prefers_json(headers) }
    }

    /// Makes it the answer's.
    pub(crate) fn negotiate(self, response: &mut Response) {
        let headers = response.headers_mut();
        if headers.get(CONTENT_TYPE) == Some(&SCIM_JSON) {
            headers.insert(VARY, HeaderValue::from_static("accept"));
            if self.wants_json {
                headers.insert(CONTENT_TYPE, JSON);
            }
        }
    }
}

/// Whether plain JSON is named, and SCIM's own type is not or with less weight. A wildcard names neither.
fn prefers_json(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<_> = values.flat_map(|value| value.split(',')).map(range).collect();
    let weight = |kind: &HeaderValue| {
        let named = ranges
            .iter()
            .filter(|(range, _)| range.as_bytes().eq_ignore_ascii_case(kind.as_bytes()));
        named.map(|(_, weight)| *weight).max().unwrap_or_default()
    };
    weight(&JSON) > weight(&SCIM_JSON)
}

/// A media range and its weight in thousandths (RFC 9110 §12.4.2); one that cannot be read weighs nothing.
fn range(text: &str) -> (&str, u16) {
    let mut parts = text.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    let thousandths = match weight {
        None => 1_000,
        Some(weight) => {
            let weight: f32 = weight.parse().unwrap_or_default();
            // In bounds, and not a number is nothing.
            (weight.clamp(0.0, 1.0) * 1_000.0) as u16
        }
    };
    (kind, thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_json_is_for_those_who_name_it_before_scims_own() {
        let prefers = |accept: &'static str| {
            prefers_json(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]))
        };
        for json in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/json, text/plain, */*",
            "application/scim+json;q=0.5, application/json",
            "application/scim+json;q=0, application/json;q=0.1",
        ] {
            assert!(prefers(json), "{json}");
        }
        for scim in [
            "application/scim+json",
            "application/scim+json, application/json",
            "application/json;q=0.9, application/scim+json",
            "application/json;q=0",
            "application/json;q=nan",
            "application/json;q=much",
            "*/*",
            "text/html",
            "",
        ] {
            assert!(!prefers(scim), "{scim}");
        }
        assert!(!prefers_json(&HeaderMap::new()));
    }
}
