//! `/directories/{id}/oauth_client`: what identity providers get access tokens with.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use schemas::wire::ClientTag;
use schemas::{Timestamp, TokenId};
use serde::Serialize;

use crate::admin_events::Told;
use crate::auth::{Acting, Reader, Writer};
use crate::body::{Fields, Segments, path_id};
use crate::directories::{self, new_token};
use crate::error::Error;
use crate::ports::{OauthClient, TOKEN_LIFETIME_SECS, Token};
use crate::router::Api;
use crate::secrets;

const WHAT: &str = "client secret";

pub(crate) async fn show(
    State(api): State<Api>,
    Reader(caller): Reader,
    Segments(id): Segments<String>,
) -> Result<Json<ClientBody>, Error> {
    let id = path_id(directories::WHAT, &id)?;
    let client = api.oauth_clients.client(caller.reach, id).await;
    let client = client.map_err(Error::about(directories::WHAT, id))?;
    Ok(Json(ClientBody::of(client, &api)))
}

pub(crate) async fn update(
    State(api): State<Api>,
    Writer(caller): Writer,
    Segments(id): Segments<String>,
    mut fields: Fields,
) -> Result<Json<ClientBody>, Error> {
    let id = path_id(directories::WHAT, &id)?;
    let lifetime = fields.number("token_lifetime_seconds", TOKEN_LIFETIME_SECS);
    if !fields.errors().is_empty() {
        return Err(Error::Invalid(fields.into_errors()));
    }
    let client = match lifetime {
        Some(seconds) => {
            let now = api.edge.now();
            api.oauth_clients.set_token_lifetime(caller.reach, id, seconds, now).await
        }
        None => api.oauth_clients.client(caller.reach, id).await,
    };
    let client = client.map_err(Error::about(directories::WHAT, id))?;
    Ok(Json(ClientBody::of(client, &api)))
}

/// Answers with everything that the identity provider's page asks for.
pub(crate) async fn create_secret(
    State(api): State<Api>,
    Acting(caller, actor): Acting,
    Segments(id): Segments<String>,
) -> Result<Response, Error> {
    let id = path_id(directories::WHAT, &id)?;
    let about = || Error::about(directories::WHAT, id);
    let client = api.oauth_clients.client(caller.reach, id).await.map_err(about())?;
    let minted = secrets::client_secret(&*api.edge);
    let new = new_token(&api, &minted, api.edge.now());
    let secret = api.oauth_clients.add_secret(caller.reach, id, new).await.map_err(about())?;
    api.reconcile(id, actor).await;
    let token_endpoint = token_endpoint(&api, &client);
    let told = Extension(Told::made(secret.id));
    let body = CreatedSecretBody {
        secret: secret.into(),
        client_id: client.client_id,
        token_endpoint,
        client_secret: minted.text,
    };
    Ok((StatusCode::CREATED, told, Json(body)).into_response())
}

pub(crate) async fn revoke_secret(
    State(api): State<Api>,
    Acting(caller, actor): Acting,
    Segments((id, secret)): Segments<(String, String)>,
) -> Result<StatusCode, Error> {
    let id = path_id(directories::WHAT, &id)?;
    let secret = path_id(WHAT, &secret)?;
    let revoked = api.oauth_clients.revoke_secret(caller.reach, id, secret).await;
    revoked.map_err(Error::about(WHAT, secret))?;
    api.reconcile(id, actor).await;
    Ok(StatusCode::NO_CONTENT)
}

fn token_endpoint(api: &Api, client: &OauthClient) -> String {
    format!("{}/scim/oauth/token", api.address(client.host_name.as_ref()))
}

/// A client as the API shows it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OauthClient")]
pub(crate) struct ClientBody {
    object: ClientTag,
    client_id: String,
    token_endpoint: String,
    token_lifetime_seconds: u32,
    secrets: Vec<SecretBody>,
}

/// A secret, without what opens doors.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OauthSecret")]
pub(crate) struct SecretBody {
    id: TokenId,
    suffix: String,
    created_at: Timestamp,
    last_used_at: Option<Timestamp>,
}

/// A secret with its text, in the answer to its making and never again.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CreatedOauthSecret")]
pub(crate) struct CreatedSecretBody {
    #[serde(flatten)]
    secret: SecretBody,
    client_id: String,
    token_endpoint: String,
    client_secret: String,
}

impl ClientBody {
    fn of(client: OauthClient, api: &Api) -> Self {
        let token_endpoint = token_endpoint(api, &client);
        Self {
            object: ClientTag::Tag,
            client_id: client.client_id,
            token_endpoint,
            token_lifetime_seconds: client.token_lifetime_secs,
            secrets: client.secrets.into_iter().map(SecretBody::from).collect(),
        }
    }
}

impl From<Token> for SecretBody {
    fn from(secret: Token) -> Self {
        let Token { id, suffix, created_at, last_used_at, expires_at: _ } = secret;
        Self { id, suffix, created_at, last_used_at }
    }
}
