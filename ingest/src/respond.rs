//! Bodies of answers. Most are small and sent whole; the members of a large group are read page by page
//! while they are sent, so that no answer takes more memory than a few pages.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, ETAG, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use schemas::scim::{Attributes, Value};
use schemas::{DirectoryId, ScimId, Seq};
use serde::Serialize;

use crate::auth::Call;
use crate::error::Failure;
use crate::http::Ingest;
use crate::media::SCIM_JSON;
use crate::ports::{MemberPlace, Replica};
use crate::projection::Projection;
use crate::represent::{self, List, Resource};
use crate::version;

/// How many members are read at once.
const MEMBERS_PAGE: u32 = 1_000;

/// Up to this length an answer is sent whole, with its length.
const WHOLE_MAX: usize = 256 * 1024;

/// An answer with a SCIM body that is there already.
pub(crate) fn answer(status: StatusCode, body: &impl Serialize) -> Response {
    (status, [(CONTENT_TYPE, SCIM_JSON)], Body::from(json(body))).into_response()
}

/// An answer with a resource, its version, and, if it was created, its address (RFC 7644 §3.3, §3.14).
pub(crate) async fn resource(
    ingest: &Ingest,
    call: &Call,
    status: StatusCode,
    of: Resource,
) -> Result<Response, Failure> {
    let mut headers = HeaderMap::new();
    headers.insert(ETAG, header(&version::tag(of.version())));
    if status == StatusCode::CREATED {
        headers.insert(LOCATION, header(&of.location()));
    }
    let projection = &call.query.projection;
    if of.group().is_none_or(|_| !projection.shows(MEMBERS)) {
        return Ok(respond(status, headers, Body::from(of.shown(projection).json())));
    }
    let mut pieces = Pieces::new(ingest, call, projection);
    pieces.push_resource(of);
    pieces.send(status, headers).await
}

/// The answer to who has this version already.
pub(crate) fn unchanged(version: Seq) -> Response {
    (StatusCode::NOT_MODIFIED, [(ETAG, header(&version::tag(version)))]).into_response()
}

/// An answer with a list, its resources shown as the projection has it.
pub(crate) async fn list(
    ingest: &Ingest,
    call: &Call,
    projection: &Projection,
    head: List<()>,
    resources: Vec<Resource>,
) -> Result<Response, Failure> {
    const END: &str = "]}";
    let mut pieces = Pieces::new(ingest, call, projection);
    let head = json(&head);
    pieces.push(head.slice(..head.len() - END.len()));
    for (at, resource) in resources.into_iter().enumerate() {
        if at > 0 {
            pieces.push(Bytes::from_static(b","));
        }
        pieces.push_resource(resource);
    }
    pieces.push(Bytes::from_static(END.as_bytes()));
    pieces.send(StatusCode::OK, HeaderMap::new()).await
}

/// What of a body is still to be sent.
struct Pieces {
    replica: Arc<dyn Replica>,
    directory: DirectoryId,
    base: String,
    projection: Projection,
    queue: VecDeque<Piece>,
}

enum Piece {
    Ready(Bytes),
    /// The members of a group behind this place, in an object that is open.
    Members {
        group: ScimId,
        after: Option<MemberPlace>,
        /// Whether their list is open. It is not while there was nothing to show in it.
        is_open: bool,
    },
}

impl Pieces {
    fn new(ingest: &Ingest, call: &Call, projection: &Projection) -> Self {
        Self {
            replica: Arc::clone(&ingest.replica),
            directory: call.access.directory_id,
            base: call.base.clone(),
            projection: projection.clone(),
            queue: VecDeque::new(),
        }
    }

    fn push(&mut self, bytes: Bytes) {
        self.queue.push_back(Piece::Ready(bytes));
    }

    /// Members that are not shown are not looked up.
    fn push_resource(&mut self, resource: Resource) {
        let group = resource.group().filter(|_| self.projection.shows(MEMBERS));
        let whole = Bytes::from(resource.shown(&self.projection).json());
        let Some(group) = group else { return self.push(whole) };
        self.push(whole.slice(..whole.len() - 1));
        self.queue.push_back(Piece::Members { group, after: None, is_open: false });
        self.push(Bytes::from_static(b"}"));
    }

    async fn send(mut self, status: StatusCode, headers: HeaderMap) -> Result<Response, Failure> {
        let mut begun = BytesMut::new();
        while begun.len() <= WHOLE_MAX {
            match self.next().await? {
                Some(bytes) => begun.extend_from_slice(&bytes),
                None => return Ok(respond(status, headers, Body::from(begun.freeze()))),
            }
        }
        self.queue.push_front(Piece::Ready(begun.freeze()));
        // A failure cuts the body off, which no client takes for a whole one.
        let rest = stream::try_unfold(self, async |mut pieces| {
            let next = pieces.next().await.map_err(|failure| failure.error().clone())?;
            Ok::<_, schemas::scim::ScimError>(next.map(|bytes| (bytes, pieces)))
        });
        Ok(respond(status, headers, Body::from_stream(rest)))
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        match self.queue.pop_front() {
            None => Ok(None),
            Some(Piece::Ready(bytes)) => Ok(Some(bytes)),
            Some(Piece::Members { group, after, is_open }) => {
                Ok(Some(self.members(group, after, is_open).await?))
            }
        }
    }

    async fn members(
        &mut self,
        group: ScimId,
        after: Option<MemberPlace>,
        is_open: bool,
    ) -> Result<Bytes, Failure> {
        let page = self.replica.members(self.directory, group, after, MEMBERS_PAGE).await?;
        let is_last = page.len() < MEMBERS_PAGE as usize;
        let next = page.last().map(|member| member.place).filter(|_| !is_last);
        let members = page.into_iter().map(|member| represent::member(&self.base, member.user));
        let shown = self.shown(members.collect());
        let mut text = String::new();
        if !shown.is_empty() {
            text.push_str(if is_open { "," } else { ",\"members\":[" });
            let items = json(&shown);
            let items = std::str::from_utf8(&items[1..items.len() - 1]).expect("JSON is UTF-8");
            text.push_str(items);
        }
        let is_open = is_open || !shown.is_empty();
        match next {
            Some(place) => {
                self.queue.push_front(Piece::Members { group, after: Some(place), is_open });
            }
            None if is_open => text.push(']'),
            None => {}
        }
        Ok(text.into())
    }

    fn shown(&self, members: Vec<Value>) -> Vec<Value> {
        if !self.projection.is_asked_for() {
            return members;
        }
        let mut shown = self.projection.apply(&Attributes::from([(MEMBERS, members)]));
        shown.remove(MEMBERS).map(Value::into_list).unwrap_or_default()
    }
}

const MEMBERS: &str = "members";

fn respond(status: StatusCode, mut headers: HeaderMap, body: Body) -> Response {
    headers.insert(CONTENT_TYPE, SCIM_JSON);
    (status, headers, body).into_response()
}

fn json(value: &impl Serialize) -> Bytes {
    represent::json(value).into()
}

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("URLs and tags of ours are plain ASCII")
}
