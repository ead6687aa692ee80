//! `/directories`: identity provider connections.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use directory::{AttributeMap, InactiveUsers};
use schemars::JsonSchema;
use schemas::brake::{WINDOW_MAX, WINDOW_MIN};
use schemas::wire::{DirectoryState, DirectoryTag, DirectoryType};
use schemas::{Brake, BrakeChoice, DirectoryId, OrganizationId, Share, Timestamp, TokenId};
use serde::Serialize;
use serde_json::Value;

use crate::admin_events::Told;
use crate::auth::{Acting, Caller, Reader, Writer};
use crate::body::{Fields, NAME_MAX, Segments, path_id};
use crate::error::Error;
use crate::page::Query;
use crate::ports::{
    Directory, DirectoryChange, DirectoryFilter, Hold, HoldState, NewDirectory, NewToken, Order,
    PortError, Progress,
};
use crate::router::Api;
use crate::{attribute_map, organizations, secrets};

/// What a directory is called in errors.
pub(crate) const WHAT: &str = "directory";

pub(crate) async fn list(
    State(api): State<Api>,
    Reader(caller): Reader,
    query: Query,
) -> Result<Response, Error> {
    let paging = query.paging(caller.reach, Order::Descending)?;
    let filter = DirectoryFilter {
        organization: organizations::filter(&api, caller.reach, &query, "organization_id").await?,
        search: query.text("search"),
        domain: query.text("domain").map(|domain| organizations::domain_key(&domain)),
    };
    let page = api.directories.list(paging.request, filter).await?;
    Ok(paging.answer(
        page,
        |directory| directory.id,
        |directory| DirectoryBody::of(&api, directory),
    ))
}

pub(crate) async fn get(
    State(api): State<Api>,
    Reader(caller): Reader,
    Segments(id): Segments<String>,
) -> Result<Json<DirectoryBody>, Error> {
    let id = path_id(WHAT, &id)?;
    let directory = api.directories.get(caller.reach, id).await;
    Ok(Json(DirectoryBody::of(&api, directory.map_err(Error::about(WHAT, id))?)))
}

pub(crate) async fn create(
    State(api): State<Api>,
    Acting(caller, actor): Acting,
    fields: Fields,
) -> Result<Response, Error> {
    let token = secrets::token(&*api.edge);
    let new = read_new(&api, fields, &token)?;
    let organization = new.organization_id;
    let created = api.directories.create(caller.reach, new).await;
    let directory = created.map_err(Error::about(organizations::WHAT, organization))?;
    api.reconcile(directory.id, actor).await;
    let told = Extension(Told::made(directory.id));
    let mut body = DirectoryBody::of(&api, directory);
    body.scim.bearer_token = Some(token.text);
    Ok((StatusCode::CREATED, told, Json(body)).into_response())
}

/// What is not mentioned stays; `null` goes back to what holds without a word.
pub(crate) async fn update(
    State(api): State<Api>,
    Writer(caller): Writer,
    Segments(id): Segments<String>,
    fields: Fields,
) -> Result<Json<DirectoryBody>, Error> {
    let id = path_id(WHAT, &id)?;
    api.directories.get(caller.reach, id).await.map_err(Error::about(WHAT, id))?;
    let change = read_change(fields)?;
    let updated = api.directories.update(caller.reach, id, change, api.edge.now()).await;
    Ok(Json(DirectoryBody::of(&api, updated.map_err(Error::about(WHAT, id))?)))
}

fn read_change(mut fields: Fields) -> Result<DirectoryChange, Error> {
    let default_policy = fields.is_null("inactive_users");
    let words = InactiveUsers::ALL.map(|(name, _)| name);
    let policy = fields.word("inactive_users", &words, InactiveUsers::named);
    let change = DirectoryChange {
        name: fields.text("name", NAME_MAX),
        attribute_map: attribute_map::read(&mut fields),
        inactive_users: policy.map(Some).or(default_policy.then_some(None)),
        role_mapping: None,
        brake: brake(&mut fields),
        made_from: None,
    };
    fields.refuse_others();
    if fields.errors().is_empty() { Ok(change) } else { Err(Error::Invalid(fields.into_errors())) }
}

/// `off` is no brake; `null` is the one of the settings.
fn brake(fields: &mut Fields) -> Option<BrakeChoice> {
    if fields.is_null("brake") {
        fields.take("brake");
        return Some(BrakeChoice::General);
    }
    let value = fields.take("brake")?;
    if value == "off" {
        return Some(BrakeChoice::Off);
    }
    let read = brake_of(&value);
    if read.is_none() {
        let message = "brake must be \"off\" or an object with share (more than 0, at most 1), \
            window_seconds (1 to 604800) and floor (a whole number), of which share is required.";
        fields.wrong("brake", "invalid", message.to_owned());
    }
    read.map(BrakeChoice::Of)
}

fn brake_of(value: &Value) -> Option<Brake> {
    let fields = value.as_object()?;
    let known = ["share", "window_seconds", "floor"];
    if fields.keys().any(|name| !known.contains(&name.as_str())) {
        return None;
    }
    let number = |name, default| match fields.get(name) {
        None => Some(default),
        Some(value) => u32::try_from(value.as_u64()?).ok(),
    };
    let window_seconds = number("window_seconds", Brake::WINDOW_SECONDS)?;
    let window = Duration::from_secs(window_seconds.into());
    let share = Share::of(fields.get("share")?.as_f64()?)?;
    let fits = (WINDOW_MIN..=WINDOW_MAX).contains(&window);
    let floor = number("floor", Brake::FLOOR)?;
    fits.then_some(Brake { share, window_seconds, floor })
}

/// Lets go what is held: what apps were not told of yet goes out, in its order.
pub(crate) async fn release(
    State(api): State<Api>,
    Writer(caller): Writer,
    Segments(id): Segments<String>,
) -> Result<Json<DirectoryBody>, Error> {
    let id = path_id(WHAT, &id)?;
    let released = api.directories.release(caller.reach, id, api.edge.now()).await;
    released.map_err(Error::about(WHAT, id))?;
    let directory = api.directories.get(caller.reach, id).await.map_err(PortError::behind_change);
    Ok(Json(DirectoryBody::of(&api, directory.map_err(Error::about(WHAT, id))?)))
}

/// 202: its users and groups go a little later.
pub(crate) async fn delete(
    State(api): State<Api>,
    Acting(caller, actor): Acting,
    Segments(id): Segments<String>,
) -> Result<StatusCode, Error> {
    let id = path_id(WHAT, &id)?;
    let deleted = api.directories.delete(caller.reach, id, api.edge.now()).await;
    deleted.map_err(Error::about(WHAT, id))?;
    api.reconcile(id, actor).await;
    Ok(StatusCode::ACCEPTED)
}

fn read_new(api: &Api, mut fields: Fields, token: &secrets::Minted) -> Result<NewDirectory, Error> {
    fields.require("organization_id");
    fields.require("type");
    let organization_id = fields.id("organization_id");
    let slugs = DirectoryType::ALL.map(DirectoryType::slug);
    let kind = fields.word("type", &slugs, DirectoryType::from_slug);
    let name = fields.required_text("name", NAME_MAX);
    fields.refuse_others();
    let (Some(organization_id), Some(kind), Some(name), []) =
        (organization_id, kind, name, fields.errors())
    else {
        return Err(Error::Invalid(fields.into_errors()));
    };
    let created_at = api.edge.now();
    Ok(NewDirectory {
        id: DirectoryId::from_bits(api.edge.id()),
        organization_id,
        endpoint_id: secrets::endpoint_id(&*api.edge),
        external_key: secrets::external_key(&*api.edge),
        kind,
        name,
        among_max: None,
        token: new_token(api, token, created_at),
        created_at,
    })
}

/// The directory that a list is limited to.
pub(crate) fn filter(query: &Query) -> Result<Option<DirectoryId>, Error> {
    query.id("directory")
}

/// 404 for a directory that a list is limited to and that is not there.
pub(crate) async fn must_exist(
    api: &Api,
    caller: Caller,
    directory: Option<DirectoryId>,
) -> Result<(), Error> {
    if let Some(id) = directory {
        api.directories.get(caller.reach, id).await.map_err(Error::about(WHAT, id))?;
    }
    Ok(())
}

/// What is kept of a token.
pub(crate) fn new_token(api: &Api, token: &secrets::Minted, created_at: Timestamp) -> NewToken {
    NewToken {
        id: TokenId::from_bits(api.edge.id()),
        digest: token.digest,
        suffix: token.suffix.clone(),
        created_at,
    }
}

/// A directory as the API shows it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Directory")]
pub(crate) struct DirectoryBody {
    object: DirectoryTag,
    id: DirectoryId,
    organization_id: OrganizationId,
    external_key: String,
    #[serde(rename = "type")]
    kind: DirectoryType,
    state: &'static str,
    /// There and true while a gap in its stream stops it: its writes are refused until an operator has looked at it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stopped: bool,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<String>,
    metadata: MetadataBody,
    scim: ScimBody,
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    attribute_map: Arc<AttributeMap>,
    #[schemars(with = "String")]
    inactive_users: InactiveUsers,
    refresh: RefreshBody,
    /// How much of it may be removed at once before what tells apps is held.
    brake: Option<Brake>,
    hold: Option<HoldBody>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// What is held of a directory because too much of it was removed at once.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Hold")]
pub(crate) struct HoldBody {
    /// `held`, or `releasing` as long as not every endpoint has what was.
    state: &'static str,
    since: Timestamp,
    users_removed: u64,
    users: u64,
    memberships_removed: u64,
    memberships: u64,
    events: u64,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DirectoryMetadata")]
pub(crate) struct MetadataBody {
    users: UserCounts,
    groups: u64,
}

/// How far it has come that users follow changed rules.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Refresh")]
pub(crate) struct RefreshBody {
    state: &'static str,
    done: u64,
    total: u64,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct UserCounts {
    active: u64,
    inactive: u64,
}

/// What the identity provider's page asks for.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ScimConnection")]
pub(crate) struct ScimBody {
    endpoint: String,
    /// The text of the first token, in the answer to the making of the directory and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    bearer_token: Option<String>,
}

impl DirectoryBody {
    fn of(api: &Api, directory: Directory) -> Self {
        let counts = directory.counts;
        let address = api.address(directory.host_name.as_ref());
        let endpoint = format!("{address}/scim/v2.0/{}", directory.endpoint_id);
        Self {
            object: DirectoryTag::Tag,
            id: directory.id,
            organization_id: directory.organization_id,
            external_key: directory.external_key,
            kind: directory.kind,
            state: state(directory.state),
            stopped: directory.stopped,
            name: directory.name,
            domain: directory.domain,
            metadata: MetadataBody {
                users: UserCounts { active: counts.active_users, inactive: counts.inactive_users },
                groups: counts.groups,
            },
            scim: ScimBody { endpoint, bearer_token: None },
            attribute_map: directory.apps.attribute_map,
            inactive_users: directory.apps.inactive_users,
            refresh: directory.refresh.into(),
            brake: directory.brake,
            hold: directory.hold.map(HoldBody::from),
            created_at: directory.created_at,
            updated_at: directory.updated_at,
        }
    }
}

impl From<Hold> for HoldBody {
    fn from(hold: Hold) -> Self {
        Self {
            state: match hold.state {
                HoldState::Held => "held",
                HoldState::Releasing => "releasing",
            },
            since: hold.since,
            users_removed: hold.users_removed,
            users: hold.users,
            memberships_removed: hold.memberships_removed,
            memberships: hold.memberships,
            events: hold.events,
        }
    }
}

impl From<Progress> for RefreshBody {
    fn from(progress: Progress) -> Self {
        let Progress { running, done, total } = progress;
        Self { state: if running { "running" } else { "done" }, done, total }
    }
}

/// The REST names of what events call active and inactive; the SDKs expect each in its place.
const fn state(state: DirectoryState) -> &'static str {
    match state {
        DirectoryState::Active => "linked",
        DirectoryState::Inactive => "unlinked",
        DirectoryState::Deleting => "deleting",
    }
}
