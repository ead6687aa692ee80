//! Who calls: an API key in the `Authorization` header, and what it may do.
//!
//! A handler names what it needs by what it extracts: [`Reader`], [`Writer`], [`Acting`] or [`Auditor`]. A
//! handler without one of them would be open to the world, so every route has one.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use schemas::{Actor, ApiKeyId, RequestId};

use crate::error::Error;
use crate::ports::{ApiKey, Digest, Permission, PortError, Reach};
use crate::router::Api;
use crate::secrets::digest;

/// How exact the last use of a key is: noting every single one would make each read a write.
const TOUCH_EVERY: Duration = Duration::from_secs(60);

/// A caller who may read.
pub(crate) struct Reader(pub(crate) Caller);

/// A caller who may write.
pub(crate) struct Writer(pub(crate) Caller);

/// A caller who may write, and as whom the history has what comes of it.
pub(crate) struct Acting(pub(crate) Caller, pub(crate) Actor);

/// A caller who may read the audit trail. Whoever may read may read that too; a key for audits may
/// read nothing else.
pub(crate) struct Auditor(pub(crate) Caller);

/// What a client calls itself is told up to this length.
const USER_AGENT_MAX: usize = 200;

/// Whoever sent a request, as far as the request tells.
#[must_use]
pub fn sender(parts: &Parts) -> Actor {
    let address = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    let agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    Actor {
        ip: address.map(|ConnectInfo(address)| address.ip().to_string()),
        user_agent: agent.map(|agent| agent.chars().take(USER_AGENT_MAX).collect()),
        request_id: parts.extensions.get::<RequestId>().map(ToString::to_string),
        ..Actor::default()
    }
}

/// A caller.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    /// What it may see.
    pub(crate) reach: Reach,
    permission: Permission,
    /// The key that it showed.
    pub(crate) key: ApiKeyId,
    digest: Digest,
}

impl Caller {
    /// Refuses a key that is limited to one organization: what the call is about belongs to none.
    pub(crate) fn unlimited(self) -> Result<(), Error> {
        match self.reach {
            Reach::Everything => Ok(()),
            Reach::Organization(_) => {
                Err(Error::Forbidden("This API key is limited to one organization."))
            }
        }
    }

    /// Whether the key still opens what it opened: an answer may take so long that somebody has deleted it meanwhile.
    pub(crate) async fn is_still_let_in(self, api: &Api) -> Result<bool, PortError> {
        let key = api.keys.by_digest(self.digest).await?;
        Ok(key.is_some_and(|key| {
            (key.id, key.permission, reach(&key)) == (self.key, self.permission, self.reach)
        }))
    }

    fn may_write(self) -> Result<(), Error> {
        match self.permission {
            Permission::Full => Ok(()),
            Permission::Read | Permission::Audit => {
                Err(Error::Forbidden("This API key may only read."))
            }
        }
    }
}

impl FromRequestParts<Api> for Reader {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Error> {
        let (caller, _) = identify(parts, api).await?;
        match caller.permission {
            Permission::Full | Permission::Read => Ok(Self(caller)),
            Permission::Audit => Err(Error::Forbidden(
                "This API key may only read the audit trail, under /audit and /admin_events.",
            )),
        }
    }
}

impl FromRequestParts<Api> for Writer {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Error> {
        let (caller, _) = identify(parts, api).await?;
        caller.may_write()?;
        Ok(Self(caller))
    }
}

impl FromRequestParts<Api> for Acting {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Error> {
        let (caller, ApiKey { id, suffix, .. }) = identify(parts, api).await?;
        caller.may_write()?;
        let actor = Actor { api_key_id: Some(id), token_suffix: Some(suffix), ..sender(parts) };
        Ok(Self(caller, actor))
    }
}

impl FromRequestParts<Api> for Auditor {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Error> {
        identify(parts, api).await.map(|(caller, _)| Self(caller))
    }
}

async fn identify(parts: &mut Parts, api: &Api) -> Result<(Caller, ApiKey), Error> {
    let key = admit(parts, api).await?;
    let digest = digest(bearer(&parts.headers).ok_or(Error::Unauthorized)?);
    Ok((Caller { reach: reach(&key), permission: key.permission, key: key.id, digest }, key))
}

fn reach(key: &ApiKey) -> Reach {
    key.organization_id.map_or(Reach::Everything, Reach::Organization)
}

/// A key that was let in, noted with its request.
#[derive(Clone)]
struct Admitted(ApiKey);

/// Lets in a key that is known and is not used too often. A request counts once, however often this is asked of it.
pub(crate) async fn admit(parts: &mut Parts, api: &Api) -> Result<ApiKey, Error> {
    if let Some(Admitted(key)) = parts.extensions.get() {
        return Ok(key.clone());
    }
    let text = bearer(&parts.headers).ok_or(Error::Unauthorized)?;
    let key = api.keys.by_digest(digest(text)).await?.ok_or(Error::Unauthorized)?;
    let address = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    let address = address.map(|ConnectInfo(address)| address.ip());
    api.limits.take(key.id, address).map_err(Error::TooMany)?;
    note_use(api, &key).await;
    parts.extensions.insert(Admitted(key.clone()));
    Ok(key)
}

/// RFC 9110 §11.1: the name of the scheme is case-insensitive.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, text) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| text.trim())
}

/// A failure is no reason to turn the caller away.
async fn note_use(api: &Api, key: &ApiKey) {
    let now = api.edge.now();
    if key.last_used_at.is_some_and(|last| now.since(last) < TOUCH_EVERY) {
        return;
    }
    if let Err(error) = api.keys.touch(key.id, now).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            key.id = %key.id,
            "could not note the use of an API key"
        );
    }
}
