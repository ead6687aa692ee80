//! `/.well-known/jwks.json`: the keys that Security Event Tokens are checked with, for everybody.

use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::error::Error;
use crate::ports::VerificationKey;
use crate::router::Api;

/// For how long receivers may keep the keys. A new one is shown that long before it signs, so that all know it
/// by then, and one that was taken away is trusted no longer.
pub(crate) const KEPT_FOR: Duration = Duration::from_secs(3_600);

pub(crate) async fn show(State(api): State<Api>) -> Result<Response, Error> {
    let keys = api.verification_keys.verification_keys().await?;
    let keys: Vec<Value> = keys.iter().map(jwk).collect();
    let headers = [
        (header::CONTENT_TYPE, "application/jwk-set+json".to_owned()),
        (header::CACHE_CONTROL, format!("public, max-age={}", KEPT_FOR.as_secs())),
    ];
    Ok((headers, json!({ "keys": keys }).to_string()).into_response())
}

/// RFC 8037 §2.
fn jwk(key: &VerificationKey) -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key.kid, "x": key.x })
}
