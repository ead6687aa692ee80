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
use console::oidc::{Authorization, Members, Oidc};
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

/// How long it is believed while the provider does not say it anew.
const METADATA_STALE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How long nobody asks again after a provider has not answered: those who wait in line would each wait for the same.
const FAILURE_KEPT: Duration = Duration::from_secs(5);

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
        known: Mutex::default(),
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
    known: Mutex<Memory>,
    /// Of many who come at once, one asks.
    asking: Semaphore,
}

/// What came of asking.
#[derive(Default)]
struct Memory {
    known: Option<Known>,
    failed: Option<(Instant, String)>,
}

impl Memory {
    /// Why it is not asked again yet.
    fn failure(&self, now: Instant) -> Option<&str> {
        let (at, why) = self.failed.as_ref()?;
        (now.duration_since(*at) < FAILURE_KEPT).then_some(why)
    }

    /// What it has said, if that is no older than this.
    fn said_within(&self, max: Duration, now: Instant) -> Option<Known> {
        self.known.clone().filter(|known| now.duration_since(known.at) < max)
    }
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
    #[error("it did not answer a moment ago: {0}")]
    AskedJustNow(String),
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
        if said.lacks_for(&self.settings.members) {
            match self.ask_more(&metadata, &answer, &said.sub).await {
                Ok(Some(more)) => said.learn(more),
                Ok(None) => {}
                // What the token says may be enough, and nothing that was not said is believed.
                Err(error) if said.names_somebody() => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the identity provider does not say more of who signs in than its ID token"
                ),
                Err(error) => return Err(error),
            }
        }
        Ok(said.into())
    }
}

impl Provider {
    /// The metadata and keys; fetched if they are old, or if a token names a key that is not among them. What is old
    /// holds for a while where the provider says nothing new.
    async fn known(&self, wanted_key: Option<&str>) -> Result<Known, ProviderError> {
        let _one = self.asking.acquire().await.expect("nobody closes it");
        let now = Instant::now();
        let (fresh, stale, failure) = self.with_memory(|memory| {
            let fresh = memory.said_within(METADATA_MAX, now);
            let stale = memory.said_within(METADATA_STALE_MAX, now);
            (fresh, stale, memory.failure(now).map(str::to_owned))
        });
        let has_wanted = |known: &Known| wanted_key.is_none_or(|id| known.keys.has(id));
        if let Some(known) = fresh.as_ref()
            && (has_wanted(known) || known.keys_at.elapsed() < KEYS_EVERY)
        {
            return Ok(known.clone());
        }
        let asked = match failure {
            Some(why) => Err(unavailable(NotAProvider::AskedJustNow(why))),
            None => self.fetched(fresh).await,
        };
        match (asked, stale.filter(has_wanted)) {
            (Ok(known), _) => Ok(known),
            (Err(error), Some(known)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the identity provider does not answer; what it said before still holds"
                );
                Ok(known)
            }
            (Err(error), None) => Err(error),
        }
    }

    /// Asks, and remembers what came of it. Metadata that are fresh are not asked for.
    async fn fetched(&self, fresh: Option<Known>) -> Result<Known, ProviderError> {
        let asked = async {
            let (metadata, at) = match fresh {
                Some(known) => (known.metadata, known.at),
                None => (self.discover().await?, Instant::now()),
            };
            let keys = Keys::read(&self.http.get(&metadata.jwks_uri, None).await?);
            Ok(Known { metadata, keys, at, keys_at: Instant::now() })
        };
        let asked: Result<Known, ProviderError> = asked.await;
        self.with_memory(|memory| match &asked {
            Ok(known) => *memory = Memory { known: Some(known.clone()), failed: None },
            Err(error) => memory.failed = Some((Instant::now(), whole(error))),
        });
        asked
    }

    fn with_memory<T>(&self, with: impl FnOnce(&mut Memory) -> T) -> T {
        with(&mut self.known.lock().expect("nothing panics while it is held"))
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
        sub: &str,
    ) -> Result<Option<About>, ProviderError> {
        let (Some(place), Some(token)) =
            (&metadata.userinfo_endpoint, answer["access_token"].as_str())
        else {
            return Ok(None);
        };
        let more = self.http.get(place, Some(token)).await?;
        if more["sub"].as_str() != Some(sub) {
            return Err(unavailable(NotAProvider::OtherSubject));
        }
        serde_json::from_value(more).map(Some).map_err(unavailable)
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

impl Said {
    fn names_somebody(&self) -> bool {
        self.email.is_some() || !self.groups.is_empty()
    }

    /// Whether something is missing by which the settings could know somebody.
    fn lacks_for(&self, members: &Members) -> bool {
        let has_address = self.email.is_some() && self.email_verified;
        !self.names_somebody()
            || members.have_addresses() && !has_address
            || members.have_groups() && self.groups.is_empty()
    }

    /// Adds what another endpoint says of the same user. What the token says stays.
    fn learn(&mut self, more: About) {
        match (&self.email, &more.email) {
            (None, _) => (self.email, self.email_verified) = (more.email, more.email_verified),
            (Some(own), Some(same)) if own == same => self.email_verified |= more.email_verified,
            (Some(_), _) => {}
        }
        let new = more.groups.into_iter().filter(|group| !self.groups.contains(group));
        let new: Vec<String> = new.collect();
        self.groups.extend(new);
    }
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
    // Some write null for what they have not.
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| Url::parse(&text).map_err(serde::de::Error::custom)).transpose()
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

/// An error with its causes.
fn whole(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(more: Value) -> Said {
        let mut token = json!({ "iss": "i", "aud": "a", "sub": "s", "exp": 1, "iat": 1 });
        token.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(token).unwrap()
    }

    fn members(admins: &str) -> Members {
        let admins = admins.split(',').map(|member| member.parse().unwrap()).collect();
        Members { admins, auditors: Vec::new() }
    }

    #[test]
    fn more_is_asked_for_where_anything_is_missing_that_the_settings_name() {
        let by_group = members("groups:platform");
        let by_address = members("ada@example.com");
        let address = said(json!({ "email": "ada@example.com", "email_verified": true }));
        assert!(address.lacks_for(&by_group) && !address.lacks_for(&by_address));
        let unverified = said(json!({ "email": "ada@example.com" }));
        assert!(unverified.lacks_for(&by_address));
        let groups = said(json!({ "groups": ["platform"] }));
        assert!(!groups.lacks_for(&by_group) && groups.lacks_for(&by_address));
        assert!(said(json!({})).lacks_for(&Members::default()));
    }

    #[test]
    fn what_is_learnt_adds_to_the_token_and_changes_nothing_of_it() {
        let about = |more: Value| serde_json::from_value::<About>(more).unwrap();
        let mut one = said(json!({ "email": "ada@example.com", "groups": ["a"] }));
        one.learn(about(json!({ "email": "eve@example.com", "email_verified": true })));
        assert_eq!((one.email.as_deref(), one.email_verified), (Some("ada@example.com"), false));
        one.learn(about(json!({ "email": "ada@example.com", "email_verified": true,
            "groups": ["a", "platform"] })));
        assert!(one.email_verified);
        assert_eq!(one.groups, ["a", "platform"]);
        let mut none = said(json!({}));
        none.learn(about(json!({ "email": "ada@example.com", "email_verified": true })));
        assert_eq!((none.email.as_deref(), none.email_verified), (Some("ada@example.com"), true));
    }

    #[test]
    fn an_endpoint_that_is_null_is_none() {
        let metadata = json!({ "issuer": "https://i.example", "userinfo_endpoint": null,
            "authorization_endpoint": "https://i.example/a", "token_endpoint": "https://i.example/t",
            "jwks_uri": "https://i.example/j" });
        let metadata: Metadata = serde_json::from_value(metadata).unwrap();
        assert!(metadata.userinfo_endpoint.is_none());
    }

    #[test]
    fn a_failure_is_remembered_for_a_moment() {
        let at = Instant::now();
        let memory = Memory { known: None, failed: Some((at, "no answer".to_owned())) };
        assert_eq!(memory.failure(at + FAILURE_KEPT / 2), Some("no answer"));
        assert_eq!(memory.failure(at + FAILURE_KEPT), None);
    }
}
