//! The identity provider of the console: the one that the settings name, and nobody else.
//!
//! ```text
//!  discovery ──▶ metadata, for an hour ──▶ where browsers go
//!  code ──▶ token endpoint ──▶ ID token ──▶ signature, by the keys at jwks_uri ──▶ claims, for the console to judge
//! ```
//!
//! Calls have a time, a size, and no redirects; TLS unless the provider is on this machine. A proxy and certificate
//! authorities of the settings hold for them as for webhooks. Addresses may be private: the operator named the provider.

mod http;
mod signature;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use console::oidc::{Authorization, Oidc};
use console::ports::{Claims, IdentityProvider, ProviderError, Redemption};
use schemas::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use url::Url;

use crate::settings::{OidcSettings, Settings};
use http::Http;
use signature::{Keys, NotSigned};

/// How long what a provider says of itself is believed.
const METADATA_MAX: Duration = Duration::from_secs(60 * 60);

/// How often keys are fetched at most because a token names one that is not there: anybody can make up a name.
const KEYS_EVERY: Duration = Duration::from_secs(60);

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What the console signs people in with, if the settings name a provider.
pub(super) fn sign_in(settings: &Settings) -> anyhow::Result<Option<Oidc>> {
    let Some(oidc) = &settings.console.oidc else { return Ok(None) };
    signature::install();
    let http = Http::new(settings, &oidc.issuer).context("cannot call the identity provider")?;
    let provider = Provider {
        settings: oidc.clone(),
        http,
        known: Mutex::new(None),
        asking: Semaphore::new(1),
    };
    Ok(Some(Oidc {
        issuer: oidc.issuer.clone(),
        client_id: oidc.client_id.clone(),
        members: oidc.members.clone(),
        provider: Arc::new(provider),
    }))
}

struct Provider {
    settings: OidcSettings,
    http: Http,
    known: Mutex<Option<Known>>,
    /// Of many who come at once, one asks.
    asking: Semaphore,
}

/// What a provider has said of itself.
#[derive(Clone)]
struct Known {
    metadata: Metadata,
    keys: Keys,
    at: Instant,
    keys_at: Instant,
}

/// OpenID Connect Discovery §3, as far as it matters here.
#[derive(Clone, Debug, Deserialize)]
struct Metadata {
    issuer: String,
    #[serde(deserialize_with = "url")]
    authorization_endpoint: Url,
    #[serde(deserialize_with = "url")]
    token_endpoint: Url,
    #[serde(deserialize_with = "url")]
    jwks_uri: Url,
    #[serde(default, deserialize_with = "url_if")]
    userinfo_endpoint: Option<Url>,
    #[serde(default)]
    scopes_supported: Vec<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
enum NotAProvider {
    #[error("it calls itself {0:?}, and console_oidc_issuer says {1:?}")]
    OtherIssuer(String, String),
    #[error("its answer has no ID token")]
    NoIdToken,
    #[error("what it says of a user is about another user")]
    OtherSubject,
}

#[async_trait]
impl IdentityProvider for Provider {
    async fn authorization(&self) -> Result<Authorization, ProviderError> {
        let Metadata { authorization_endpoint, scopes_supported, .. } =
            self.known(None).await?.metadata;
        self.http.check(&authorization_endpoint)?;
        Ok(Authorization {
            endpoint: authorization_endpoint,
            knows_groups_scope: scopes_supported.iter().any(|scope| scope == "groups"),
        })
    }

    async fn redeem(&self, redemption: Redemption<'_>) -> Result<Claims, ProviderError> {
        let metadata = self.known(None).await?.metadata;
        let answer = self.http.redeem(&metadata, &self.settings, redemption).await?;
        let token = answer["id_token"].as_str().ok_or(NotAProvider::NoIdToken);
        let token = token.map_err(unavailable)?;
        let mut said = self.verified(token).await?;
        if said.email.is_none() && said.groups.is_empty() {
            self.ask_more(&metadata, &answer, &mut said).await?;
        }
        Ok(said.into())
    }
}

impl Provider {
    /// The metadata and keys; fetched if they are old, or if a token names a key that is not among them.
    async fn known(&self, wanted_key: Option<&str>) -> Result<Known, ProviderError> {
        let _one = self.asking.acquire().await.expect("nobody closes it");
        let (metadata, at) = match self.remembered() {
            Some(known) => {
                let is_there = wanted_key.is_none_or(|id| known.keys.has(id));
                if is_there || known.keys_at.elapsed() < KEYS_EVERY {
                    return Ok(known);
                }
                (known.metadata, known.at)
            }
            None => (self.discover().await?, Instant::now()),
        };
        let keys = Keys::read(&self.http.get(&metadata.jwks_uri, None).await?);
        let known = Known { metadata, keys, at, keys_at: Instant::now() };
        *self.known.lock().expect("nothing panics while it is held") = Some(known.clone());
        Ok(known)
    }

    /// What it has said, if that is not too long ago.
    fn remembered(&self) -> Option<Known> {
        let known = self.known.lock().expect("nothing panics while it is held").clone();
        known.filter(|known| known.at.elapsed() < METADATA_MAX)
    }

    async fn discover(&self) -> Result<Metadata, ProviderError> {
        let issuer = &self.settings.issuer;
        let place = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let place = Url::parse(&place).map_err(unavailable)?;
        let answer = self.http.get(&place, None).await?;
        let metadata: Metadata = serde_json::from_value(answer).map_err(unavailable)?;
        if metadata.issuer == *issuer {
            Ok(metadata)
        } else {
            Err(unavailable(NotAProvider::OtherIssuer(metadata.issuer, issuer.clone())))
        }
    }

    async fn verified(&self, token: &str) -> Result<Said, ProviderError> {
        let key_id = signature::key_id(token).map_err(untrusted)?;
        let keys = self.known(key_id.as_deref()).await?.keys;
        keys.verified(token, key_id.as_deref()).map_err(untrusted)
    }

    /// Some providers tell who somebody is only there (OpenID Connect Core §5.3).
    async fn ask_more(
        &self,
        metadata: &Metadata,
        answer: &Value,
        said: &mut Said,
    ) -> Result<(), ProviderError> {
        let (Some(place), Some(token)) =
            (&metadata.userinfo_endpoint, answer["access_token"].as_str())
        else {
            return Ok(());
        };
        let more = self.http.get(place, Some(token)).await?;
        if more["sub"].as_str() != Some(&said.sub) {
            return Err(unavailable(NotAProvider::OtherSubject));
        }
        let more: About = serde_json::from_value(more).map_err(unavailable)?;
        (said.email, said.email_verified, said.groups) =
            (more.email, more.email_verified, more.groups);
        Ok(())
    }
}

/// What an ID token says.
#[derive(Debug, Deserialize)]
struct Said {
    iss: String,
    aud: OneOrMany,
    azp: Option<String>,
    sub: String,
    exp: f64,
    iat: f64,
    nonce: Option<String>,
    email: Option<String>,
    #[serde(default, deserialize_with = "yes")]
    email_verified: bool,
    #[serde(default, deserialize_with = "texts")]
    groups: Vec<String>,
}

/// What it may leave to another endpoint.
#[derive(Debug, Deserialize)]
struct About {
    email: Option<String>,
    #[serde(default, deserialize_with = "yes")]
    email_verified: bool,
    #[serde(default, deserialize_with = "texts")]
    groups: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

fn url<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    Url::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

fn url_if<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    url(deserializer).map(Some)
}

/// Some providers write one text where there is one. What is no text is the name of no group.
fn texts<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let one = value.as_str().map(str::to_owned);
    let many = value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    Ok(one.into_iter().chain(many).collect())
}

/// Some providers write the text "true".
fn yes<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(value == Value::Bool(true) || value.as_str() == Some("true"))
}

impl From<Said> for Claims {
    fn from(said: Said) -> Self {
        let audience = match said.aud {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        };
        Self {
            issuer: said.iss,
            audience,
            authorized_party: said.azp,
            expires_at: time(said.exp),
            issued_at: time(said.iat),
            nonce: said.nonce,
            email: said.email,
            email_verified: said.email_verified,
            groups: said.groups,
        }
    }
}

/// A `NumericDate` (RFC 7519 §2). What is beyond all times is one that is never good: the beginning of time for an end,
/// and for a beginning nothing follows from it.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn time(seconds: f64) -> Timestamp {
    const LAST_SECOND: f64 = 253_402_300_799.0;
    let is_sound = seconds.is_finite() && (0.0..=LAST_SECOND).contains(&seconds);
    Timestamp::from_millis(if is_sound { (seconds * 1_000.0) as i64 } else { 0 })
}

fn unavailable(cause: impl Into<Cause>) -> ProviderError {
    ProviderError::Unavailable(cause.into())
}

fn untrusted(cause: NotSigned) -> ProviderError {
    ProviderError::Untrusted(cause.into())
}
