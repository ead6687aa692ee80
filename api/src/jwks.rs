//! `/.well-known/jwks.json`: the keys that Security Event Tokens are checked with, for everybody.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::error::Error;
use crate::ports::VerificationKey;
use crate::router::Api;

/// For how long receivers may keep the keys. They ask again when a token names a key that they do not
/// know, so this bounds only how long they trust one that was taken away.
const CACHE_CONTROL: &str = "public, max-age=3600";

pub(crate) async fn show(State(api): State<Api>) -> Result<Response, Error> {
    let keys = api.verification_keys.verification_keys().await?;
    let keys: Vec<Value> = keys.iter().map(jwk).collect();
    let headers = [
        (header::CONTENT_TYPE, "application/jwk-set+json"),
        (header::CACHE_CONTROL, CACHE_CONTROL),
    ];
    Ok((headers, json!({ "keys": keys }).to_string()).into_response())
}

/// RFC 8037 §2.
fn jwk(key: &VerificationKey) -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key.kid, "x": key.x })
}
