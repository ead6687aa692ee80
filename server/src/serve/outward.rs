//! How requests leave, and keys for what they carry.

use std::sync::Arc;

use anyhow::Context as _;
use api::ports::KeyPair;
use async_trait::async_trait;
use dispatcher::client::{Answer, Request, To};
use dispatcher::egress::certificates;
use schemas::Timestamp;

use super::topics::Topics;
use crate::settings::Settings;

/// Sends each request by what its endpoint is.
pub(super) struct Senders {
    pub(super) http: dispatcher::Client,
    pub(super) topics: Arc<Topics>,
}

#[async_trait]
impl dispatcher::Sender for Senders {
    async fn send(&self, request: Request, now: Timestamp) -> Answer {
        match request.to {
            To::Url { .. } => self.http.send(request, now).await,
            To::Topic { .. } => self.topics.send(request, now).await,
        }
    }
}

/// The key pair that follows from a seed.
pub(super) fn key_pair(seed: &[u8; 32]) -> KeyPair {
    let private = dispatcher::signature::private_key(seed);
    let public = dispatcher::signature::public_key(&private).expect("it was just made");
    KeyPair { private: api::ports::Secret::new(private.expose().to_owned()), public }
}

/// What the settings say of requests to endpoints.
pub(super) fn egress(settings: &Settings) -> anyhow::Result<dispatcher::Egress> {
    let extra_ca = match &settings.extra_ca {
        None => Vec::new(),
        Some(path) => {
            let read = || format!("cannot take certificate authorities from {}", path.display());
            certificates(&std::fs::read(path).with_context(read)?).with_context(read)?
        }
    };
    Ok(dispatcher::Egress {
        proxy: settings.egress_proxy.clone(),
        deadline: settings.webhook_timeout,
        extra_ca,
        ..policy(settings).into()
    })
}

/// Where they may go.
pub(super) fn policy(settings: &Settings) -> dispatcher::Policy {
    dispatcher::Policy {
        allow_private: settings.allow_private_endpoints,
        allow_http: settings.allow_http,
        allow_networks: settings.allow_endpoint_networks.clone(),
    }
}
