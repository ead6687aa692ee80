//! What a token says of an event: RFC 9967, on the claims of RFC 8417.
//!
//! A user goes out whole, as `put`. A group goes out as `patch`, since its members are apart: a receiver
//! that takes a `put` without members for the whole group would empty it (RFC 7644 §3.5.1).

use std::collections::BTreeMap;

use schemas::record::PublicEvent;
use schemas::scim::{Attributes, PATCH_OP_URN, Value};
use schemas::wire::{
    DirectoryGroup, DirectoryUser, GroupMembership, UpdatedGroup, UpdatedUser, UserState,
};
use schemas::{EventId, EventType, ScimId, Seq};
use serde::{Deserialize, Serialize};

use crate::ports::{FeedEvent, Topic};

const CREATE: &str = "urn:ietf:params:scim:event:prov:create:full";
const PUT: &str = "urn:ietf:params:scim:event:prov:put:full";
const PATCH: &str = "urn:ietf:params:scim:event:prov:patch:full";
const DELETE: &str = "urn:ietf:params:scim:event:prov:delete";
const ACTIVATE: &str = "urn:ietf:params:scim:event:prov:activate";
const DEACTIVATE: &str = "urn:ietf:params:scim:event:prov:deactivate";

/// Who says it, and to whom.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Where the world reaches this installation.
    pub issuer: &'a str,
    /// The URL of the endpoint.
    pub audience: &'a str,
}

/// The claims of one token.
#[derive(Debug, Serialize)]
pub struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    jti: EventId,
    /// In seconds. A token is issued when its event is written, and is the same token ever after.
    iat: i64,
    /// What all tokens of one transaction share (RFC 9967 §2.2): the id of the SCIM request, and of an
    /// event that no request caused, its own.
    txn: String,
    sub_id: Subject,
    events: Events,
}

/// The resource that a token is about, RFC 9967 §2.1.
#[derive(Debug, Serialize)]
struct Subject {
    format: &'static str,
    uri: String,
    #[serde(rename = "externalId", skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
}

/// What happened to it, by URN. Several of one token are of one change (RFC 9967 §2.1).
type Events = BTreeMap<&'static str, Payload>;

/// RFC 9967 §2.2.
#[derive(Debug, Default, Serialize)]
struct Payload {
    /// The resource's `ETag` after the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Attributes>,
}

/// Why there is no token for an event.
#[derive(Debug, thiserror::Error)]
pub enum Unsayable {
    /// Its type is none that [`schemas::Format::ScimSet`] carries.
    #[error("{0} is not about a SCIM resource")]
    NotScim(EventType),
    /// The feed does not say which resource it is about.
    #[error("the event names no SCIM resource")]
    NoSubject,
    /// Its bytes are not an event of its type.
    #[error("the event cannot be read")]
    Malformed(#[from] serde_json::Error),
}

/// What a token says of `event`.
///
/// # Errors
/// [`Unsayable`] for an event that is not about a SCIM resource, or cannot be read.
pub fn claims<'a>(event: &FeedEvent, context: Context<'a>) -> Result<Claims<'a>, Unsayable> {
    let public: PublicEvent<'_> = serde_json::from_slice(&event.body)?;
    let (sub_id, events) = told(event, public.data.get())?;
    Ok(Claims {
        iss: context.issuer,
        aud: context.audience,
        jti: event.id,
        iat: public.created_at.millis().div_euclid(1_000),
        txn: event.request.map_or_else(|| event.id.to_string(), |request| request.to_string()),
        sub_id,
        events,
    })
}

fn told(event: &FeedEvent, data: &str) -> Result<(Subject, Events), Unsayable> {
    let Topic::Directory(kind) = event.topic else { return Err(Unsayable::NoSubject) };
    match kind {
        EventType::UserCreated => user_is_there(event, data),
        EventType::UserUpdated => user_is_now(event, data),
        EventType::UserDeleted => {
            let user: DirectoryUser = read(data)?;
            Ok((Subject::user(event.user, &user.raw_attributes)?, gone()))
        }
        EventType::GroupCreated => group_is_there(event, data),
        EventType::GroupUpdated => group_is_now(event, data),
        EventType::GroupDeleted => {
            let group: DirectoryGroup = read(data)?;
            Ok((Subject::group(event.group, &group.raw_attributes)?, gone()))
        }
        EventType::GroupUserAdded => membership(event, data, joins),
        EventType::GroupUserRemoved => membership(event, data, leaves),
        EventType::Activated
        | EventType::Deleted
        | EventType::GroupPendingMemberAdded
        | EventType::GroupPendingMemberRemoved
        | EventType::InactiveUserChanged
        | EventType::TokenCreated
        | EventType::TokenRevoked => Err(Unsayable::NotScim(kind)),
    }
}

fn user_is_there(event: &FeedEvent, data: &str) -> Result<(Subject, Events), Unsayable> {
    let user: DirectoryUser = read(data)?;
    let subject = Subject::user(event.user, &user.raw_attributes)?;
    let whole = resource(event.user, &user.raw_attributes);
    Ok((subject, Events::from([(CREATE, full(event.seq, whole))])))
}

fn user_is_now(event: &FeedEvent, data: &str) -> Result<(Subject, Events), Unsayable> {
    let UpdatedUser { user, previous_attributes } = read(data)?;
    let subject = Subject::user(event.user, &user.raw_attributes)?;
    let whole = resource(event.user, &user.raw_attributes);
    let mut events = Events::from([(PUT, full(event.seq, whole))]);
    if previous_attributes.contains("state") {
        let urn = match user.state {
            UserState::Active => ACTIVATE,
            UserState::Inactive => DEACTIVATE,
        };
        events.insert(urn, Payload::default());
    }
    Ok((subject, events))
}

fn group_is_there(event: &FeedEvent, data: &str) -> Result<(Subject, Events), Unsayable> {
    let group: DirectoryGroup = read(data)?;
    let subject = Subject::group(event.group, &group.raw_attributes)?;
    let whole = resource(event.group, &group.raw_attributes);
    Ok((subject, Events::from([(CREATE, full(event.seq, whole))])))
}

fn group_is_now(event: &FeedEvent, data: &str) -> Result<(Subject, Events), Unsayable> {
    let UpdatedGroup { group, previous_attributes } = read(data)?;
    let subject = Subject::group(event.group, &group.raw_attributes)?;
    let previous = previous_attributes.get("raw_attributes").and_then(Value::as_complex);
    let operations = changes(&group.raw_attributes, previous);
    Ok((subject, Events::from([(PATCH, full(event.seq, patch(operations)))])))
}

/// A membership is a change of the group; of the user it changes nothing that SCIM keeps there.
fn membership(
    event: &FeedEvent,
    data: &str,
    operation: fn(ScimId, &DirectoryUser) -> Attributes,
) -> Result<(Subject, Events), Unsayable> {
    let GroupMembership { user, group, .. } = read(data)?;
    let subject = Subject::group(event.group, &group.raw_attributes)?;
    let member = event.user.ok_or(Unsayable::NoSubject)?;
    let operations = vec![operation(member, &user).into()];
    Ok((subject, Events::from([(PATCH, full(event.seq, patch(operations)))])))
}

fn joins(id: ScimId, user: &DirectoryUser) -> Attributes {
    let mut member = Attributes::from([
        ("value", id.to_string()),
        ("$ref", format!("/Users/{id}")),
        ("type", "User".to_owned()),
    ]);
    if let Some(name) = &user.name {
        member.insert("display", name.as_str());
    }
    let members = Value::List(vec![member.into()]);
    Attributes::from([("op", "add".into()), ("path", "members".into()), ("value", members)])
}

fn leaves(id: ScimId, _: &DirectoryUser) -> Attributes {
    Attributes::from([("op", "remove".to_owned()), ("path", format!("members[value eq \"{id}\"]"))])
}

/// The operations that lead to `now`, as RFC 7644 §3.5.2 has them. Without a word on what was before,
/// everything is said. A complex value is removed first, since its replacement would leave the
/// sub-attributes that it does not name (RFC 7644 §3.5.2.3).
fn changes(now: &Attributes, previous: Option<&Attributes>) -> Vec<Value> {
    let is_removed = |name: &str, old: &Value| {
        !old.is_absent() && now.get(name).is_none_or(|new| new.as_complex().is_some())
    };
    let known = previous.into_iter().flat_map(Attributes::iter);
    let removed = known.filter(|(name, old)| is_removed(name, old));
    let removed = removed.map(|(name, _)| Attributes::from([("op", "remove"), ("path", name)]));
    let changed = previous.unwrap_or(now).iter();
    let values: Attributes =
        changed.filter_map(|(name, _)| Some((name, now.get(name)?.clone()))).collect();
    let replaced = (!values.is_empty())
        .then(|| Attributes::from([("op", Value::from("replace")), ("value", values.into())]));
    removed.chain(replaced).map(Value::from).collect()
}

fn patch(operations: Vec<Value>) -> Attributes {
    let schemas = vec![Value::from(PATCH_OP_URN)];
    Attributes::from([("schemas", schemas), ("Operations", operations)])
}

/// The resource as the SCIM service has it, but for what follows from other resources.
fn resource(id: Option<ScimId>, raw: &Attributes) -> Attributes {
    let id = id.map(|id| ("id", Value::from(id.to_string())));
    let attributes = raw.iter().map(|(name, value)| (name, value.clone()));
    id.into_iter().chain(attributes).collect()
}

fn full(version: Seq, data: Attributes) -> Payload {
    // The tag that the SCIM service gives to this version, RFC 7644 §3.14.
    Payload { version: Some(format!("W/\"{version}\"")), data: Some(data) }
}

fn gone() -> Events {
    Events::from([(DELETE, Payload::default())])
}

fn read<'a, T: Deserialize<'a>>(data: &'a str) -> Result<T, Unsayable> {
    Ok(serde_json::from_str(data)?)
}

impl Subject {
    fn user(id: Option<ScimId>, raw: &Attributes) -> Result<Self, Unsayable> {
        Self::of("Users", id, raw)
    }

    fn group(id: Option<ScimId>, raw: &Attributes) -> Result<Self, Unsayable> {
        Self::of("Groups", id, raw)
    }

    fn of(endpoint: &str, id: Option<ScimId>, raw: &Attributes) -> Result<Self, Unsayable> {
        let id = id.ok_or(Unsayable::NoSubject)?;
        let external_id = raw.get("externalId").and_then(Value::as_str).map(str::to_owned);
        Ok(Self { format: "scim", uri: format!("/{endpoint}/{id}"), external_id })
    }
}

#[cfg(test)]
mod tests;
