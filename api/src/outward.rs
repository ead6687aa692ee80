//! What an endpoint says of how requests to it leave, and the rotation of its secret.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use schemas::Timestamp;
use serde::Serialize;

use crate::auth::Writer;
use crate::body::{Fields, OptionalFields, Segments, path_id};
use crate::endpoints::{EndpointBody, WHAT};
use crate::error::Error;
use crate::ports::{ClientCertificate, Outward, OutwardChange};
use crate::router::Api;

/// Seconds that an endpoint may ask for. More would let one that hangs hold its place for too long.
const TIMEOUT_SECONDS: std::ops::RangeInclusive<u32> = 1..=30;

/// How long a chain of certificates or a key may be: some ten of the longest.
const PEM_MAX: usize = 32 * 1024;

/// How long both secrets sign if nobody says otherwise: a day is enough to deploy the new one.
pub(crate) const OVERLAP_SECONDS: u32 = 24 * 60 * 60;

/// The longest overlap. A secret that stays longer is not being rotated.
pub(crate) const OVERLAP_SECONDS_MAX: u32 = 30 * 24 * 60 * 60;

/// `POST /webhook_endpoints/{id}/rotate_secret`
pub(crate) async fn rotate_secret(
    State(api): State<Api>,
    Writer(caller): Writer,
    Segments(id): Segments<String>,
    OptionalFields(fields): OptionalFields,
) -> Result<Json<EndpointBody>, Error> {
    caller.unlimited()?;
    let id = path_id(WHAT, &id)?;
    let rotated = api.rotated_endpoint(id, fields, None).await;
    Ok(Json(rotated.map_err(|refused| refused.of_endpoint(WHAT, id))?.into()))
}

/// What a body says of it. What is wrong is noted.
pub(crate) fn read(api: &Api, fields: &mut Fields) -> OutwardChange {
    let timeout = if fields.is_null("timeout_seconds") {
        fields.take("timeout_seconds");
        Some(None)
    } else {
        let seconds = fields.number("timeout_seconds", TIMEOUT_SECONDS);
        seconds.map(|seconds| Some(Duration::from_secs(seconds.into())))
    };
    let make = |on: bool| on.then(|| (api.make_key_pair)(&api.edge.secret()));
    OutwardChange {
        timeout,
        client_certificate: read_certificate(api, fields),
        key_pair: fields.truth("ed25519").map(make),
    }
}

#[expect(clippy::option_option, reason = "to leave and to take away are different wishes")]
fn read_certificate(api: &Api, fields: &mut Fields) -> Option<Option<ClientCertificate>> {
    let is_taken_away = fields.is_null("client_certificate");
    let chain = fields.text("client_certificate", PEM_MAX);
    let key = fields.text("client_certificate_key", PEM_MAX);
    let (chain, key) = match (chain, key) {
        (None, None) => return is_taken_away.then_some(None),
        (Some(chain), Some(key)) => (chain, key),
        (Some(_), None) | (None, Some(_)) => {
            let message = "client_certificate and client_certificate_key come together.";
            fields.wrong("client_certificate", "invalid", message.to_owned());
            return None;
        }
    };
    if let Err(why) = (api.check_certificate)(&chain, &key) {
        let message = format!("client_certificate cannot be used: {why}.");
        fields.wrong("client_certificate", "invalid", message);
        return None;
    }
    Some(Some(ClientCertificate { chain, key: crate::ports::Secret::new(key) }))
}

/// How the API shows it: never a private key.
#[derive(Serialize, JsonSchema)]
pub(crate) struct OutwardBody {
    timeout_seconds: Option<u64>,
    client_certificate: Option<String>,
    public_key: Option<String>,
    /// Until when the secret before the current one signs too.
    previous_secret_until: Option<Timestamp>,
}

impl OutwardBody {
    pub(crate) fn new(outward: Outward, previous_secret_until: Option<Timestamp>) -> Self {
        Self {
            timeout_seconds: outward.timeout.map(|timeout| timeout.as_secs()),
            client_certificate: outward.client_certificate.map(|ours| ours.chain),
            public_key: outward.key_pair.map(|pair| pair.public),
            previous_secret_until,
        }
    }
}
