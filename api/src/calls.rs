//! Every call of the API, in the order in which the description shows them.

mod webhooks;

use axum::http::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use schemas::wire::EventTag;
use schemas::wire::{DirectoryGroup, DirectoryType, DirectoryUserWithGroups};
use schemas::{Action, DeliveryOrder, EndpointKind, Event, EventId, EventType, Format, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::audit::{EventBody, VerificationBody};
use crate::call::{Access, Call, delete, get, patch, post, put};
use crate::directories::DirectoryBody;
use crate::oauth::{ClientBody, CreatedSecretBody};
use crate::{
    api_keys, attribute_map, audit, deliveries, directories, endpoints, events, groups, host_names,
    jwks, oauth, organizations, outward, portal_links, replays, requests, role_mapping,
    scim_settings, signing_keys, tokens, trials, users,
};

/// A subject, and the calls about it.
pub(crate) struct Section {
    pub(crate) name: &'static str,
    pub(crate) calls: Vec<Call>,
}

/// An event as it leaves the house. It goes out as the bytes that are stored; this only describes them.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Event")]
struct PublicEvent {
    object: EventTag,
    id: EventId,
    #[serde(flatten)]
    event: Event,
    created_at: Timestamp,
    context: Map<String, Value>,
}

/// All of them.
pub(crate) fn sections() -> Vec<Section> {
    vec![
        Section { name: "Organizations", calls: organizations() },
        Section { name: "Directories", calls: directories() },
        Section { name: "Host names", calls: host_names() },
        Section { name: "Portal links", calls: portal_links() },
        Section { name: "Credentials of identity providers", calls: credentials() },
        Section { name: "Users and groups", calls: people() },
        Section { name: "Events", calls: events() },
        Section { name: "Audit", calls: audit() },
        Section { name: "Webhook endpoints", calls: webhooks::endpoints() },
        Section { name: "API keys", calls: api_keys() },
    ]
}

const CREATED: StatusCode = StatusCode::CREATED;
const OK: StatusCode = StatusCode::OK;
const ACCEPTED: StatusCode = StatusCode::ACCEPTED;
const NO_CONTENT: StatusCode = StatusCode::NO_CONTENT;

/// An object. What is not required may as well be `null`, which is the same as not there.
fn object(required: &[&str], mut properties: Value) -> Value {
    for (name, property) in properties.as_object_mut().into_iter().flatten() {
        if !required.contains(&name.as_str()) {
            let schema = property.take();
            *property = json!({ "anyOf": [schema, { "type": "null" }] });
        }
    }
    json!({ "type": "object", "required": required, "properties": properties })
}

fn name() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": 255, "pattern": "\\S" })
}

fn organization(required: &[&str]) -> Value {
    let domain = object(
        &["domain"],
        json!({
            "domain": { "type": "string", "format": "hostname" },
            "state": { "enum": ["verified", "pending"] },
        }),
    );
    object(
        required,
        json!({
            "name": name(),
            "external_id": name(),
            "metadata": { "type": "object", "maxProperties": 50,
                "propertyNames": { "minLength": 1, "maxLength": 40 },
                "additionalProperties": { "type": ["string", "null"], "maxLength": 600 } },
            "domain_data": { "type": "array", "maxItems": 100, "items": domain },
            "domains": { "type": "array", "maxItems": 100, "items": { "anyOf": [{ "type": "string" }, domain] },
                "description": "The older name of domain_data, which also takes bare domains." },
        }),
    )
}

fn organizations() -> Vec<Call> {
    vec![
        get("/organizations", organizations::list)
            .says("List organizations.")
            .paged()
            .text("domains", "Those with one of these domains, separated by commas.")
            .text("search", "Those whose name contains this.")
            .lists::<organizations::OrganizationBody>(),
        post("/organizations", organizations::create)
            .does(Action::OrganizationCreated)
            .says("Create an organization.")
            .takes(organization(&["name"]))
            .answers::<organizations::OrganizationBody>(CREATED),
        get("/organizations/external_id/{external_id}", organizations::get_by_external_id)
            .says("Get an organization by the app's own id.")
            .answers::<organizations::OrganizationBody>(OK),
        get("/organizations/{id}", organizations::get)
            .says("Get an organization.")
            .answers::<organizations::OrganizationBody>(OK),
        put("/organizations/{id}", organizations::update)
            .does(Action::OrganizationUpdated)
            .says("Change an organization; what is not mentioned stays.")
            .takes(organization(&[]))
            .answers::<organizations::OrganizationBody>(OK),
        delete("/organizations/{id}", organizations::delete)
            .does(Action::OrganizationDeleted)
            .says("Delete an organization and, a little later, its directories.")
            .done(ACCEPTED),
    ]
}

fn directories() -> Vec<Call> {
    let types = DirectoryType::ALL.map(DirectoryType::slug);
    let new = object(
        &["organization_id", "type", "name"],
        json!({ "organization_id": { "type": "string" }, "type": { "enum": types }, "name": name() }),
    );
    vec![
        get("/directories", directories::list)
            .says("List directories.")
            .paged()
            .text("organization_id", "Those of this organization.")
            .text("search", "Those whose name contains this.")
            .text("domain", "Those of an organization with this domain.")
            .lists::<DirectoryBody>(),
        post("/directories", directories::create)
            .does(Action::DirectoryCreated)
            .says("Create a directory; shows its SCIM endpoint and, this once, its bearer token.")
            .takes(new)
            .answers::<DirectoryBody>(CREATED),
        get("/directories/{id}", directories::get)
            .says("Get a directory.")
            .answers::<DirectoryBody>(OK),
        patch("/directories/{id}", directories::update)
            .does(Action::DirectoryUpdated)
            .says("Change the name of a directory, what apps are told of its users, or its brake.")
            .takes(object(
                &[],
                json!({ "name": name(), "attribute_map": { "type": "object" },
                    "inactive_users": { "enum": ["keep", "delete"] }, "brake": brake() }),
            ))
            .answers::<DirectoryBody>(OK),
        post("/directories/{id}/release", directories::release)
            .does(Action::BrakeReleased)
            .says("Let apps be told what is held of a directory because much of it was removed at once.")
            .answers::<DirectoryBody>(OK),
        post("/directories/{id}/attribute_map/preview", attribute_map::preview)
            .says("What another attribute map would change, for up to 20 users.")
            .access(Access::Read)
            .takes(object(
                &["attribute_map"],
                json!({ "attribute_map": { "type": ["object", "null"] },
                    "users": { "type": "array", "maxItems": 20, "items": { "type": "string" } } }),
            ))
            .answers::<attribute_map::AttributeMapPreview>(OK),
        get("/directories/{id}/role_mapping", role_mapping::get)
            .says("Which roles users have by their groups.")
            .answers_as(OK, role_mapping_schema),
        put("/directories/{id}/role_mapping", role_mapping::set)
            .does(Action::DirectoryRoleMappingUpdated)
            .says("Give users roles by their groups; the first in the list that fits comes first.")
            .takes(role_mapping(&[]))
            .answers_as(OK, role_mapping_schema),
        delete("/directories/{id}", directories::delete)
            .does(Action::DirectoryDeleted)
            .says("Delete a directory; its users and groups go a little later.")
            .done(ACCEPTED),
        get("/directories/{id}/scim_settings", scim_settings::get)
            .says("How the SCIM service of a directory behaves.")
            .answers_as(OK, scim_settings_schema),
        patch("/directories/{id}/scim_settings", scim_settings::update)
            .does(Action::DirectoryScimSettingsUpdated)
            .says("Have the SCIM service of a directory behave otherwise.")
            .takes(scim_settings(&[]))
            .answers_as(OK, scim_settings_schema),
        get("/directories/{id}/requests", requests::list)
            .says("The latest SCIM requests of a directory.")
            .paged()
            .lists::<requests::RequestBody>(),
    ]
}

fn host_names() -> Vec<Call> {
    let new = object(
        &["host_name"],
        json!({ "host_name": { "type": "string" }, "organization_id": { "type": "string" },
            "directory_id": { "type": "string" } }),
    );
    vec![
        get("/host_names", host_names::list)
            .says("List the host names of organizations and directories.")
            .paged()
            .text("organization_id", "Those of this organization and its directories.")
            .text("directory", "Those of this directory alone.")
            .lists::<host_names::HostNameBody>(),
        post("/host_names", host_names::create)
            .does(Action::HostNameCreated)
            .says("Have an organization, or one directory, reached under a host name of its own.")
            .takes(new)
            .answers::<host_names::HostNameBody>(CREATED),
        get("/host_names/{id}", host_names::get)
            .says("Get a host name.")
            .answers::<host_names::HostNameBody>(OK),
        delete("/host_names/{id}", host_names::delete)
            .does(Action::HostNameDeleted)
            .says("Remove a host name; its owner is reached under it no more.")
            .done(NO_CONTENT),
    ]
}

fn portal_links() -> Vec<Call> {
    let url = json!({ "type": "string", "format": "uri", "minLength": 1, "maxLength": 2_048 });
    let new = object(
        &["organization"],
        json!({ "organization": { "type": "string" }, "intent": { "enum": portal_links::intents() },
            "return_url": url, "success_url": url }),
    );
    vec![
        post("/portal/generate_link", portal_links::generate)
            .does(Action::PortalLinkCreated)
            .says("Make a link to the setup page of an organization; shown this once.")
            .takes(new)
            .answers::<portal_links::LinkBody>(CREATED),
        get("/portal/links", portal_links::list)
            .says("The latest links to setup pages, without what opens them.")
            .paged()
            .text("organization", "Those of this organization.")
            .lists::<portal_links::PortalLinkBody>(),
        delete("/portal/links/{id}", portal_links::revoke)
            .does(Action::PortalLinkRevoked)
            .says("Revoke a link to a setup page, and end the session of who has opened it.")
            .done(NO_CONTENT),
    ]
}

fn brake() -> Value {
    json!({ "anyOf": [
        { "enum": ["off"] },
        { "type": "object", "required": ["share"], "additionalProperties": false, "properties": {
            "share": { "type": "number", "minimum": 0.001, "maximum": 1 },
            "window_seconds": { "type": "integer", "minimum": 1, "maximum": 604_800, "default": 3_600 },
            "floor": { "type": "integer", "minimum": 0, "maximum": u32::MAX, "default": 10 } } },
    ] })
}

fn role_mapping(required: &[&str]) -> Value {
    let group = json!({ "type": "object", "required": ["group", "role"],
        "properties": { "group": { "type": "string" }, "role": { "type": "string" } } });
    object(
        required,
        json!({ "default_role": { "type": "string", "minLength": 1 },
            "groups": { "type": "array", "items": group } }),
    )
}

fn role_mapping_schema(_: &mut SchemaGenerator) -> Schema {
    let mut schema = role_mapping(&["groups"]);
    schema["required"] = json!(["default_role", "groups"]);
    schema.try_into().expect("an object is a schema")
}

fn scim_settings(required: &[&str]) -> Value {
    object(
        required,
        json!({
            "patch_group_response": { "enum": ["200", "204"] },
            "value_path_no_match": { "enum": ["upsert", "noTarget"] },
            "unknown_schema": { "enum": ["ignore", "reject"] },
            "unknown_member": { "enum": ["reject", "pending"] },
            "debug_requests": { "type": "boolean",
                "description": "Whether the bodies of requests are kept; ends by itself after four hours." },
        }),
    )
}

fn scim_settings_schema(_: &mut SchemaGenerator) -> Schema {
    let mut schema = scim_settings(scim_settings::NAMES);
    schema["properties"]["debug_requests_until"] =
        json!({ "type": "string", "format": "date-time" });
    schema.try_into().expect("an object is a schema")
}

fn credentials() -> Vec<Call> {
    let lifetime = json!({ "type": "integer", "minimum": 3_600, "maximum": 21_600 });
    vec![
        get("/directories/{id}/tokens", tokens::list)
            .says("The live bearer tokens of a directory, without their text.")
            .lists::<tokens::TokenBody>(),
        post("/directories/{id}/tokens", tokens::create)
            .does(Action::DirectoryTokenCreated)
            .says("Create a bearer token; shown this once. A directory has two at most. With overlap_seconds the others end by themselves.")
            .takes(object(
                &[],
                json!({ "overlap_seconds": { "type": "integer", "minimum": 0, "maximum": 2_592_000 } }),
            ))
            .answers::<tokens::TokenBody>(CREATED),
        delete("/directories/{id}/tokens/{token_id}", tokens::revoke)
            .does(Action::DirectoryTokenRevoked)
            .says("Revoke a bearer token.")
            .done(NO_CONTENT),
        get("/directories/{id}/oauth_client", oauth::show)
            .says("The OAuth client of a directory.")
            .answers::<ClientBody>(OK),
        patch("/directories/{id}/oauth_client", oauth::update)
            .does(Action::DirectoryOauthClientUpdated)
            .says("Change how long access tokens live.")
            .takes(object(
                &[],
                json!({ "token_lifetime_seconds": lifetime }),
            ))
            .answers::<ClientBody>(OK),
        post("/directories/{id}/oauth_client/secrets", oauth::create_secret)
            .does(Action::DirectoryClientSecretCreated)
            .says("Create a client secret; shown this once. A client has two at most.")
            .answers::<CreatedSecretBody>(CREATED),
        delete("/directories/{id}/oauth_client/secrets/{secret_id}", oauth::revoke_secret)
            .does(Action::DirectoryClientSecretDeleted)
            .says("Delete a client secret and the access tokens that were issued with it.")
            .done(NO_CONTENT),
        get("/signing_keys", signing_keys::list)
            .says("The keys that Security Event Tokens are signed with.")
            .lists::<signing_keys::Body>(),
        post("/signing_keys", signing_keys::rotate)
            .does(Action::SigningKeyRotated)
            .says("Replace the key that tokens are signed with: in an hour, or at once if it is compromised.")
            .takes(object(&[], json!({ "compromised": { "type": "boolean" } })))
            .answers::<signing_keys::Body>(CREATED),
        get("/.well-known/jwks.json", jwks::show)
            .says("The keys that Security Event Tokens are checked with.")
            .access(Access::Anyone)
            .answers_as(OK, |_| {
                json_schema!({ "type": "object", "required": ["keys"],
                    "properties": { "keys": { "type": "array", "items": { "type": "object" } } } })
            })
            .of_type("application/jwk-set+json"),
    ]
}

fn people() -> Vec<Call> {
    vec![
        get("/directory_users", users::list)
            .says("List the users of a directory or a group.")
            .paged()
            .text("directory", "Those of this directory. This or `group` is required.")
            .text("group", "The members of this group.")
            .text("idp_id", "The one with this id at the identity provider.")
            .text("email", "Those with this primary address.")
            .lists::<DirectoryUserWithGroups>(),
        get("/directory_users/{id}", users::get)
            .says("Get a user.")
            .answers::<DirectoryUserWithGroups>(OK),
        get("/directory_groups", groups::list)
            .says("List the groups of a directory or a user.")
            .paged()
            .text("directory", "Those of this directory. This or `user` is required.")
            .text("user", "Those that this user is a member of.")
            .lists::<DirectoryGroup>(),
        get("/directory_groups/{id}", groups::get)
            .says("Get a group.")
            .answers::<DirectoryGroup>(OK),
    ]
}

/// The parameters that narrow both lists of events.
fn narrowed(call: Call) -> Call {
    call.paged()
        .text("events", "Those of these types, separated by commas.")
        .time("range_start", "Those created at this time or later.")
        .time("range_end", "Those created at this time or earlier.")
        .text("organization_id", "Those of this organization.")
}

fn events() -> Vec<Call> {
    let wait = json!({ "type": "integer", "minimum": 0, "maximum": 60 });
    vec![
        narrowed(get("/events", events::list))
            .says("List events in the order in which they were accepted, oldest first.")
            .query("wait", wait, "Seconds to wait for an event if there is none yet.")
            .lists::<PublicEvent>(),
        get("/events/{id}", events::get).says("Get an event.").answers::<PublicEvent>(OK),
    ]
}

fn audit() -> Vec<Call> {
    vec![
        narrowed(get("/audit/events", audit::list))
            .says("Everything that was accepted, with its hash and who caused it.")
            .access(Access::Audit)
            .text("directory", "Those of this directory.")
            .text("user", "Those about this user, also when it is gone.")
            .text("group", "Those about this group, also when it is gone.")
            .text("actor", "Those caused by this token suffix, address, user agent, API key or role in the console.")
            .text("request_id", "Those that this request caused.")
            .text("q", "Those whose data contains this text.")
            .lists::<EventBody<'static>>()
            .streams(&["application/x-ndjson", "text/csv"]),
        get("/admin_events", audit::admin_events::show)
            .says("What people and keys did outside SCIM, newest first.")
            .access(Access::Audit)
            .paged()
            .query("action", json!({ "enum": Action::ALL }), "Those of this name.")
            .text("actor", "Those of this API key, portal link, address, or role in the console.")
            .text("organization_id", "Those about this organization.")
            .time("range_start", "Those begun at this time or later.")
            .time("range_end", "Those begun at this time or earlier.")
            .lists::<audit::admin_events::ActionBody<'static>>()
            .streams(&["application/x-ndjson", "text/csv"]),
        get("/audit/verify", audit::verify)
            .says("Walk the hash chain and compare the state with what it folds to.")
            .access(Access::Audit)
            .text("directory", "Only this directory.")
            .answers::<VerificationBody>(OK),
    ]
}

fn api_keys() -> Vec<Call> {
    let new = object(
        &["name", "scope"],
        json!({ "name": name(), "scope": { "enum": ["full", "read", "audit"] },
            "organization_id": { "type": "string" } }),
    );
    vec![
        get("/api_keys", api_keys::list)
            .says("List API keys, without their text.")
            .paged()
            .lists::<api_keys::KeyBody>(),
        post("/api_keys", api_keys::create)
            .does(Action::ApiKeyCreated)
            .says("Create an API key; shown this once.")
            .takes(new)
            .answers::<api_keys::KeyBody>(CREATED),
        delete("/api_keys/{id}", api_keys::delete)
            .does(Action::ApiKeyDeleted)
            .says("Delete an API key.")
            .done(NO_CONTENT),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_that_changes_something_is_an_action_of_the_audit_trail() {
        let (mut changing, mut looking) = (0, Vec::new());
        for call in sections().into_iter().flat_map(|section| section.calls) {
            let changes = call.access == Access::Write;
            assert_eq!(call.action.is_some(), changes, "{} {}", call.method, call.path);
            changing += usize::from(changes);
            if call.method != "get" && !changes {
                looking.push(call.path);
            }
        }
        assert!(changing > 25, "{changing}");
        assert_eq!(looking, ["/directories/{id}/attribute_map/preview"], "they change nothing");
    }
}
