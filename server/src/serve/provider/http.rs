//! The calls to the provider.

use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use console::ports::{ProviderError, Redemption};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, RequestBuilder, Response, StatusCode, redirect};
use serde_json::Value;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::{Metadata, unavailable};
use crate::settings::{OidcSettings, Settings};

/// How long a call may take in all: somebody waits for a page.
const CALL_MAX: Duration = Duration::from_secs(10);

/// How long it may take to reach the provider.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// How large an answer may be; keys and tokens of real providers have a few kilobytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// How much of what a provider says about a refusal goes into the log.
const REFUSAL_MAX: usize = 200;

pub(super) struct Http {
    client: Client,
    /// Whether only TLS will do.
    only_tls: bool,
}

#[derive(Debug, thiserror::Error)]
enum BadAnswer {
    #[error("{0} answers {1}")]
    Status(Url, StatusCode),
    #[error("the answer of {0} has more than {ANSWER_BYTES_MAX} bytes")]
    TooLarge(Url),
    #[error("{0} has no TLS, and the issuer has")]
    WithoutTls(Url),
}

impl Http {
    pub(super) fn new(settings: &Settings, issuer: &str) -> anyhow::Result<Self> {
        let only_tls = issuer.starts_with("https:");
        let mut client = Client::builder()
            .user_agent(concat!("dsync/", env!("CARGO_PKG_VERSION")))
            .timeout(CALL_MAX)
            .connect_timeout(CONNECT_MAX)
            // A redirect could lead anywhere, with the secret of the client in its luggage.
            .redirect(redirect::Policy::none())
            // The proxy is that of the settings, and none that an environment names.
            .no_proxy();
        if let Some(proxy) = settings.egress_proxy.as_ref().filter(|_| only_tls) {
            let mut through = reqwest::Proxy::all(proxy.url())?;
            if let Some(authorization) = proxy.authorization() {
                through = through.custom_http_auth(authorization.parse()?);
            }
            client = client.proxy(through);
        }
        if let Some(path) = &settings.extra_ca {
            let read = || format!("cannot take certificate authorities from {}", path.display());
            let pem = std::fs::read(path).with_context(read)?;
            let further = reqwest::Certificate::from_pem_bundle(&pem).with_context(read)?;
            client = client.tls_certs_merge(further);
        }
        Ok(Self { client: client.build()?, only_tls })
    }

    /// Reads JSON.
    pub(super) async fn get(
        &self,
        place: &Url,
        access_token: Option<&str>,
    ) -> Result<Value, ProviderError> {
        self.check(place)?;
        let mut request = self.client.get(place.clone());
        if let Some(token) = access_token {
            request = request.bearer_auth(token);
        }
        let (status, body) = self.call(place, request).await?;
        if status != StatusCode::OK {
            return Err(unavailable(BadAnswer::Status(place.clone(), status)));
        }
        serde_json::from_slice(&body).map_err(unavailable)
    }

    /// Redeems a code (RFC 6749 §4.1.3, RFC 7636 §4.5).
    pub(super) async fn redeem(
        &self,
        metadata: &Metadata,
        settings: &OidcSettings,
        redemption: Redemption<'_>,
    ) -> Result<Value, ProviderError> {
        let place = &metadata.token_endpoint;
        self.check(place)?;
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", redemption.code),
            ("redirect_uri", redemption.redirect_uri),
            ("code_verifier", redemption.verifier),
        ];
        let mut request = self.client.post(place.clone());
        match &settings.client_secret {
            Some(secret) if wants_basic(metadata) => {
                let value = basic(&settings.client_id, secret.expose());
                request = request.header(AUTHORIZATION, value);
            }
            Some(secret) => {
                fields.push(("client_id", &settings.client_id));
                fields.push(("client_secret", secret.expose()));
            }
            None => {
                fields.push(("client_id", &settings.client_id));
            }
        }
        let body = Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        let (status, body) = self.call(place, request).await?;
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        if status == StatusCode::OK {
            Ok(answer)
        } else if status.is_client_error() {
            Err(ProviderError::Refused(refusal(&answer)))
        } else {
            Err(unavailable(BadAnswer::Status(place.clone(), status)))
        }
    }

    async fn call(
        &self,
        place: &Url,
        request: RequestBuilder,
    ) -> Result<(StatusCode, Vec<u8>), ProviderError> {
        let answer = request.header(ACCEPT, "application/json").send().await;
        let answer = answer.map_err(unavailable)?;
        let status = answer.status();
        Ok((status, whole(place, answer).await?))
    }

    /// Refuses to leave TLS for what a provider says of itself.
    pub(super) fn check(&self, place: &Url) -> Result<(), ProviderError> {
        if self.only_tls && place.scheme() != "https" {
            return Err(unavailable(BadAnswer::WithoutTls(place.clone())));
        }
        Ok(())
    }
}

async fn whole(place: &Url, mut answer: Response) -> Result<Vec<u8>, ProviderError> {
    let mut body = Vec::new();
    while let Some(more) = answer.chunk().await.map_err(unavailable)? {
        if body.len() + more.len() > ANSWER_BYTES_MAX {
            return Err(unavailable(BadAnswer::TooLarge(place.clone())));
        }
        body.extend_from_slice(&more);
    }
    Ok(body)
}

/// It is what holds where a provider says nothing (OpenID Connect Discovery §3).
fn wants_basic(metadata: &Metadata) -> bool {
    let methods = &metadata.token_endpoint_auth_methods_supported;
    methods.is_empty() || methods.iter().any(|method| method == "client_secret_basic")
}

/// Both parts are form-encoded first (RFC 6749 §2.3.1).
fn basic(id: &str, secret: &str) -> String {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret))))
}

/// What a provider says of why it refuses (RFC 6749 §5.2).
fn refusal(answer: &Value) -> String {
    let said = ["error", "error_description"].map(|field| answer[field].as_str().unwrap_or("–"));
    said.join(": ").chars().take(REFUSAL_MAX).collect()
}
