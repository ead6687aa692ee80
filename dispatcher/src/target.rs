//! Where an endpoint's requests go, what they say and how they are signed.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use schemas::{Format, ReplayId, Timestamp};
use url::Url;

use crate::client;
use crate::ports::{Endpoint, FeedEvent, LaneId};
use crate::security_event::{Issuer, SigningKey, Unsayable};
use crate::signature::{Letter, Signer};

/// Says that an event is sent once more, and by which replay.
const REPLAY: HeaderName = HeaderName::from_static("dsync-replay");

/// See the module.
pub(crate) struct Target {
    pub(crate) id: LaneId,
    url: Url,
    signer: Signer,
    form: Form,
}

/// The format of an endpoint, with what it takes to write it.
enum Form {
    Webhook,
    ScimSet(Issuer),
}

impl Target {
    /// `None` if the endpoint has no usable URL or no secret.
    pub(crate) fn new(
        endpoint: &Endpoint,
        replay: Option<ReplayId>,
        key: Arc<SigningKey>,
        issuer: &Arc<str>,
    ) -> Option<Self> {
        let url = Url::parse(&endpoint.url).ok()?;
        let signer = Signer::new(&endpoint.secrets)?;
        let form = match endpoint.format {
            Format::Webhook => Form::Webhook,
            Format::ScimSet => {
                let (url, audience) = (Arc::clone(issuer), endpoint.url.clone());
                Form::ScimSet(Issuer { key, url, audience })
            }
        };
        Some(Self { id: LaneId { endpoint: endpoint.id, replay }, url, signer, form })
    }

    /// The request of an attempt.
    pub(crate) fn request(
        &self,
        event: &FeedEvent,
        attempt: u16,
        at: Timestamp,
    ) -> Result<client::Request, Unsayable> {
        let body = self.form.body(event)?;
        let format = self.form.format();
        let letter = Letter { id: event.id, seq: event.seq, attempt, format, body: &body };
        let mut headers = self.signer.headers(letter, at);
        if let Some(replay) = self.id.replay {
            let value = HeaderValue::try_from(replay.to_string()).expect("an id is plain ASCII");
            headers.insert(REPLAY, value);
        }
        Ok(client::Request { url: self.url.clone(), headers, body })
    }
}

impl Form {
    const fn format(&self) -> Format {
        match self {
            Self::Webhook => Format::Webhook,
            Self::ScimSet(_) => Format::ScimSet,
        }
    }

    fn body(&self, event: &FeedEvent) -> Result<Bytes, Unsayable> {
        match self {
            Self::Webhook => Ok(event.body.clone()),
            Self::ScimSet(issuer) => issuer.token(event),
        }
    }
}
