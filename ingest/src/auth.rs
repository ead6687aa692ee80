//! Who calls: the endpoint in the path and the bearer token have to belong together.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts, RawPathParams};
use axum::http::header::{AUTHORIZATION, HOST, USER_AGENT};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method};
use directory::Command;
use schemas::host_name::public_url_at;
use schemas::{Actor, HostName, RequestId, ScimId};
use sha2::{Digest, Sha256};

use crate::error::Failure;
use crate::http::{Ingest, behind_endpoint, endpoint_in};
use crate::ports::{Access, Admission};
use crate::query::Query;
use crate::request_log::{Notes, beginning};
use crate::tolerance::Rewrite;
use crate::version;

/// How much of a client's own name is kept for auditors.
const USER_AGENT_MAX: usize = 200;

/// Why nobody was let in, for the request log: who reads it may know more than who was refused.
const MISSING: &str =
    "No bearer token came along: the Authorization header is missing or not \"Bearer …\".";
const UNKNOWN: &str = "The bearer token is none of this directory's tokens, or it was revoked. \
                       Compare its last four characters with those of the live tokens.";
const ELSEWHERE: &str = "The token is right, but the request came through a host name of another directory or \
                         organization. The identity provider has to use the address that is shown with this \
                         directory.";
const EXPIRED: &str = "The access token has expired; the identity provider has to get another.";

/// An authenticated request, apart from its body.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) access: Access,
    pub(crate) actor: Actor,
    pub(crate) query: Query,
    /// What every location of this endpoint begins with.
    pub(crate) base: String,
    /// `If-Match` and `If-None-Match`.
    pub(crate) conditions: HeaderMap,
    pub(crate) notes: Notes,
    id: Option<String>,
}

impl Call {
    /// The resource in the path. What cannot be an id of ours is no resource of ours.
    pub(crate) fn id(&self, what: &str) -> Result<ScimId, Failure> {
        let text = self.name();
        text.parse().map_err(|_| Failure::not_found(what, text))
    }

    /// The last part of the path, as it was written.
    pub(crate) fn name(&self) -> &str {
        self.id.as_deref().unwrap_or_default()
    }
}

/// In a box: handlers pass it on, and a future that it is moved into keeps room for it twice.
impl FromRequestParts<Ingest> for Box<Call> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, ingest: &Ingest) -> Result<Self, Failure> {
        let params = RawPathParams::from_request_parts(parts, ingest).await;
        // What else is in the path is looked at when it is known who asks.
        let endpoint = match &params {
            Ok(params) => named(params, "endpoint_id").unwrap_or_default().to_owned(),
            Err(_) => endpoint_in(parts.uri.path()).to_owned(),
        };
        let notes = parts.extensions.get::<Notes>().cloned().unwrap_or_default();
        let access = admit(parts, ingest, &endpoint, &notes).await?;
        notes.of_directory(access.directory_id);
        if access.keeps_bodies {
            notes.keep_bodies();
        }
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let address = address.map(|ConnectInfo(address)| address.ip());
        ingest.limits.take(access.directory_id, address).map_err(Failure::too_many_requests)?;
        let actor = actor(parts, address, &access);
        if !access.activated {
            let (directory, partition) = (access.directory_id, access.partition);
            let activate =
                ingest.writers.submit(directory, partition, Command::Activate, actor.clone());
            activate.await?;
        }
        let behind = behind_endpoint(parts.uri.path());
        let params = params.map_err(|_| Failure::not_found("The path", behind))?;
        let public_url = public_url_at(&ingest.public_url, access.host_name.as_ref());
        Ok(Self::new(Call {
            query: query(parts, &notes)?,
            base: format!("{public_url}/scim/v2.0/{endpoint}"),
            conditions: version::conditions(&parts.headers),
            id: named(&params, "id").map(str::to_owned),
            access,
            actor,
            notes,
        }))
    }
}

fn named<'p>(params: &'p RawPathParams, name: &str) -> Option<&'p str> {
    params.iter().find(|(is, _)| *is == name).map(|(_, value)| value)
}

/// Lets in whoever has a token of the directory at this endpoint. Why others are not is for its request log.
async fn admit(
    parts: &Parts,
    ingest: &Ingest,
    endpoint: &str,
    notes: &Notes,
) -> Result<Access, Failure> {
    // The token is hashed and looked up even where it is missing or the endpoint unknown, so
    // that the answer takes the same time and tells nothing.
    let token = bearer(parts);
    let digest = Sha256::digest(token.unwrap_or_default()).into();
    let host = host(parts, &ingest.public_url);
    match ingest.replica.access(endpoint, digest, host.as_ref()).await? {
        Admission::Granted(access) => Ok(access),
        Admission::Expired(directory) => {
            notes.unauthorized(Some(directory), EXPIRED);
            Err(Failure::expired())
        }
        Admission::Elsewhere(directory) => {
            notes.elsewhere(directory, ELSEWHERE);
            Err(Failure::elsewhere())
        }
        Admission::Refused(at_endpoint) if token.is_some() => {
            notes.unauthorized(at_endpoint, UNKNOWN);
            Err(Failure::invalid_token())
        }
        Admission::Refused(at_endpoint) => {
            notes.unauthorized(at_endpoint, MISSING);
            Err(Failure::unauthorized())
        }
    }
}

/// What the address asks for, and what was put up with in it.
fn query(parts: &Parts, notes: &Notes) -> Result<Query, Failure> {
    let text = parts.uri.query().unwrap_or_default();
    // Only what reads lists is asked for them in its address.
    let query = if matches!(parts.method, Method::GET | Method::HEAD) {
        Query::parse(text)?
    } else {
        Query::of_write(text)?
    };
    if query.has_unknown {
        notes.tolerated(Rewrite::UnknownParameter);
    }
    if text.contains('+') {
        notes.tolerated(Rewrite::PlusForSpace);
    }
    if parts.uri.path().len() > 1 && parts.uri.path().ends_with('/') {
        notes.tolerated(Rewrite::TrailingSlash);
    }
    Ok(query)
}

/// The customer's host name that a request came through.
pub(crate) fn host(parts: &Parts, public_url: &str) -> Option<HostName> {
    let target = parts.uri.authority().map(Authority::as_str);
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    HostName::of_request(target, host, public_url)
}

/// The token of `Authorization: Bearer …`; the scheme in any case (RFC 9110 §11.1).
fn bearer(parts: &Parts) -> Option<&str> {
    let header = parts.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn actor(parts: &Parts, address: Option<IpAddr>, access: &Access) -> Actor {
    let agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
    Actor {
        token_suffix: Some(access.token_suffix.clone()),
        ip: address.map(|ip| ip.to_string()),
        user_agent: agent.map(|agent| beginning(agent, USER_AGENT_MAX)),
        request_id: parts.extensions.get::<RequestId>().map(ToString::to_string),
        ..Actor::default()
    }
}
