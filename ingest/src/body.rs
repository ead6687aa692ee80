//! The body of a request: an attribute tree, or a SCIM error that says why not.

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use bytes::BytesMut;
use http_body_util::BodyExt;
use schemas::scim::{Attributes, ScimError, ScimType, parse};

use crate::error::Failure;
use crate::http::Ingest;
use crate::request_log::Notes;

/// The largest body: about 40,000 members, or any user many times over.
pub(crate) const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;

/// How much of a body that is too large is read and dropped, so that a client that sends before it
/// reads still sees the answer.
const DRAINED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A body that is one JSON object.
#[derive(Debug)]
pub(crate) struct Scim(pub(crate) Attributes);

impl FromRequest<Ingest> for Scim {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &Ingest) -> Result<Self, Failure> {
        let is_json = has_json_type(request.headers());
        let encoding = request.headers().get(CONTENT_ENCODING);
        let is_encoded =
            encoding.is_some_and(|by| !by.as_bytes().eq_ignore_ascii_case(b"identity"));
        let notes = request.extensions().get::<Notes>().cloned().unwrap_or_default();
        let bytes = read(request.into_body()).await?;
        notes.body(&bytes);
        if is_encoded {
            let detail = "A body with a Content-Encoding is not read; send it as it is.";
            return Err(ScimError::with_status(415, detail).into());
        }
        if bytes.is_empty() {
            let detail = "The request has no body; it takes a JSON object.";
            return Err(ScimError::new(ScimType::InvalidSyntax, detail).into());
        }
        if !is_json {
            let detail = "The Content-Type must be application/scim+json or application/json.";
            return Err(ScimError::with_status(415, detail).into());
        }
        Ok(Self(parse(&bytes).map_err(ScimError::from)?))
    }
}

/// RFC 7644 §3.1 wants `application/scim+json`; OneLogin sends `application/json`, and some clients
/// nothing at all.
fn has_json_type(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else { return true };
    let kind = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    ["application/scim+json", "application/json", "text/json"]
        .iter()
        .any(|known| kind.eq_ignore_ascii_case(known))
}

async fn read(body: Body) -> Result<BytesMut, Failure> {
    collect(body, BODY_BYTES_MAX).await.map_err(|unread| {
        let error = match unread {
            Unread::Broken => {
                ScimError::with_status(400, "The request ended before its body did.")
            }
            Unread::TooLarge => ScimError::with_status(
                413,
                format!(
                    "The request body must not exceed {BODY_BYTES_MAX} bytes; send fewer members or operations at once."
                ),
            ),
        };
        error.into()
    })
}

/// Why a body could not be read.
#[derive(Debug)]
pub(crate) enum Unread {
    /// The client went away.
    Broken,
    /// It is larger than it may be.
    TooLarge,
}

/// The whole body, of at most `max` bytes.
pub(crate) async fn collect(mut body: Body, max: usize) -> Result<BytesMut, Unread> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut bytes = BytesMut::with_capacity(announced.min(max));
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Unread::Broken)?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        if length <= max {
            bytes.extend_from_slice(&data);
        } else if length > DRAINED_BYTES_MAX {
            break;
        }
    }
    if length > max { Err(Unread::TooLarge) } else { Ok(bytes) }
}
