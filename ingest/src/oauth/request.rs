//! A token request as it came: headers and a form become a client and the digest of its secret.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest as _;

use super::refusal::Refusal;
use crate::form;
use crate::ports::Digest;

const FORM: &str = "application/x-www-form-urlencoded";

/// Who asks. The secret itself is forgotten as soon as it is read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) id: String,
    pub(super) secret: Digest,
}

/// Reads a request (RFC 6749 §4.4.2, §2.3.1). A `scope` is ignored: a client has one, its directory.
pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Client, Refusal> {
    if !is_form(headers) {
        let description = "The Content-Type must be application/x-www-form-urlencoded.";
        return Err(Refusal::Malformed(description));
    }
    let mut parameters = parameters(body)?;
    let grant = parameters.remove("grant_type");
    let grant = grant.ok_or(Refusal::Malformed("The parameter grant_type is missing."))?;
    if grant != "client_credentials" {
        return Err(Refusal::UnsupportedGrant);
    }
    let (id, secret) = (parameters.remove("client_id"), parameters.remove("client_secret"));
    let mut authorizations = headers.get_all(AUTHORIZATION).iter();
    match (authorizations.next(), authorizations.next()) {
        (None, _) => in_body(id, secret),
        (Some(_), Some(_)) => {
            Err(Refusal::Malformed("The Authorization header is there more than once."))
        }
        (Some(header), None) => {
            let client = header.to_str().ok().and_then(in_header);
            not_twice(client.ok_or(Refusal::Unauthenticated)?, id, secret)
        }
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = value.unwrap_or_default().split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case(FORM)
}

/// RFC 6749 §3.2: none more than once, and one without a value counts as left out. Only `resource` may
/// be repeated (RFC 8707 §2); it is ignored like every other that is not known.
fn parameters(body: &[u8]) -> Result<BTreeMap<String, String>, Refusal> {
    let broken = Refusal::Malformed("The body is not a form in percent-encoded UTF-8.");
    let Ok(body) = str::from_utf8(body) else { return Err(broken) };
    let mut parameters = BTreeMap::new();
    for pair in form::pairs(body) {
        let Some((name, value)) = pair else { return Err(broken) };
        let repeatable = name == "resource";
        if parameters.insert(name, value).is_some() && !repeatable {
            return Err(Refusal::Malformed("A parameter is there more than once."));
        }
    }
    parameters.retain(|_, value| !value.is_empty());
    Ok(parameters)
}

fn in_body(id: Option<String>, secret: Option<String>) -> Result<Client, Refusal> {
    match (id, secret) {
        (Some(id), Some(secret)) => Ok(Client { id, secret: digest(&secret) }),
        (None, Some(_)) => Err(Refusal::Malformed("The parameter client_id is missing.")),
        (_, None) => Err(Refusal::Unauthenticated),
    }
}

/// `Basic` with id and secret, each form-encoded before they were joined.
fn in_header(header: &str) -> Option<Client> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let joined = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = joined.split_once(':')?;
    Some(Client { id: form::decode(id)?, secret: digest(&form::decode(secret)?) })
}

/// RFC 6749 §2.3: one way of authenticating for each request. Some clients name themselves in the body
/// too, which is no way of authenticating as long as it is the same name.
fn not_twice(
    client: Client,
    id: Option<String>,
    secret: Option<String>,
) -> Result<Client, Refusal> {
    if secret.is_some() || id.is_some_and(|id| id != client.id) {
        let description =
            "The client authenticates both in the Authorization header and in the body.";
        return Err(Refusal::Malformed(description));
    }
    Ok(client)
}

fn digest(secret: &str) -> Digest {
    sha2::Sha256::digest(secret).into()
}

#[cfg(test)]
mod tests;
