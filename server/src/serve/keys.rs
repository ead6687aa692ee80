//! API keys: those of the store, and the one that the settings name.

use std::sync::Arc;

use api::ports::{
    AdminEvents, ApiKey, Digest, Keys, Page, PageRequest, Permission, PortError, Reach,
};
use api::{Intended, action_actor, record_own};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemas::{Action, Actor, ActorKind, ApiKeyId, Edge, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::print;
use crate::settings::Secret;

/// From how many characters on a key shows its last four.
const LONG_CHARS: usize = 16;

/// The keys of the store, with the key of the settings beside them. That one is not stored: taking it
/// out of the settings is enough to make it void.
pub(super) struct Configured {
    stored: Arc<dyn Keys>,
    from_settings: Option<(Digest, ApiKey)>,
}

impl Configured {
    pub(super) fn new(stored: Arc<dyn Keys>, secret: Option<&Secret>, edge: &dyn Edge) -> Self {
        let from_settings = secret.map(|secret| {
            let mut key = full("settings", secret.expose(), edge);
            key.id = id_of(secret.expose());
            (digest(secret.expose()), key)
        });
        Self { stored, from_settings }
    }
}

/// Where there is no key at all, makes one and shows it, this once.
pub(super) async fn first_key(
    keys: &Configured,
    actions: &dyn AdminEvents,
    edge: &Arc<dyn Edge>,
) -> anyhow::Result<()> {
    if keys.any().await? {
        return Ok(());
    }
    let secret = format!("sk_{}", URL_SAFE_NO_PAD.encode(edge.secret()));
    let key = full("first", &secret, &**edge);
    let intended = own_action(Action::ApiKeyCreated, vec![key.id.to_string()], &[]);
    // Another replica may be faster; then that one shows the key.
    let made = keys.create_first(key, digest(&secret));
    if record_own(actions, &**edge, intended, made).await? {
        print::line(format_args!("API key with full rights, shown this once: {secret}"))?;
    }
    Ok(())
}

/// Something that the server does by itself at its start.
pub(super) fn own_action(action: Action, targets: Vec<String>, fields: &[&str]) -> Intended {
    Intended {
        action,
        actor: action_actor(ActorKind::Settings, Some("settings".into()), None, Actor::default()),
        organization_id: None,
        targets,
        fields: fields.iter().map(|name| (*name).to_owned()).collect(),
    }
}

/// The same in every process and after every start, so that the history can be searched for who used it. Another
/// digest than the one by which keys are found.
fn id_of(secret: &str) -> ApiKeyId {
    let digest = Sha256::new_with_prefix("id of an API key of the settings\0").chain_update(secret);
    let digest: Digest = digest.finalize().into();
    ApiKeyId::from_bytes(*digest.first_chunk().expect("a digest is longer"))
}

fn full(name: &str, secret: &str, edge: &dyn Edge) -> ApiKey {
    // Of one that is short nothing is shown.
    let is_long = secret.chars().count() >= LONG_CHARS;
    let suffix = secret.char_indices().rev().nth(3).filter(|_| is_long);
    let suffix = suffix.map_or(secret.len(), |(index, _)| index);
    ApiKey {
        id: ApiKeyId::from_bits(edge.id()),
        name: name.to_owned(),
        permission: Permission::Full,
        organization_id: None,
        suffix: secret[suffix..].to_owned(),
        created_at: edge.now(),
        last_used_at: None,
    }
}

fn digest(secret: &str) -> Digest {
    Sha256::digest(secret).into()
}

#[async_trait]
impl Keys for Configured {
    async fn by_digest(&self, digest: Digest) -> Result<Option<ApiKey>, PortError> {
        // Digests of secrets may be compared in any time: they tell nothing of the secret.
        match &self.from_settings {
            Some((own, key)) if *own == digest => Ok(Some(key.clone())),
            Some(_) | None => self.stored.by_digest(digest).await,
        }
    }

    async fn touch(&self, id: ApiKeyId, at: Timestamp) -> Result<(), PortError> {
        match &self.from_settings {
            Some((_, key)) if key.id == id => Ok(()),
            Some(_) | None => self.stored.touch(id, at).await,
        }
    }

    async fn any(&self) -> Result<bool, PortError> {
        Ok(self.from_settings.is_some() || self.stored.any().await?)
    }

    async fn list(&self, page: PageRequest<ApiKeyId>) -> Result<Page<ApiKey>, PortError> {
        self.stored.list(page).await
    }

    async fn create(&self, key: ApiKey, digest: Digest) -> Result<(), PortError> {
        self.stored.create(key, digest).await
    }

    async fn create_first(&self, key: ApiKey, digest: Digest) -> Result<bool, PortError> {
        self.stored.create_first(key, digest).await
    }

    async fn delete(&self, reach: Reach, id: ApiKeyId) -> Result<(), PortError> {
        self.stored.delete(reach, id).await
    }
}
