//! Which call of the API each command makes.

mod outward;

use http::Method;
use schemas::wire::DirectoryType;
use schemas::{BrakeChoice, EventType};
use serde_json::{Map, Value, json};

use super::request::{Request, Shown};
use crate::cli::{
    ActionFilter, AuditCommand, AuditFilter, Command, DirectoryCommand, EventCommand, GroupCommand,
    HostNameCommand, OauthCommand, OrgCommand, PortalLinkCommand, SecretCommand, StreamFormat,
    TokenCommand, UserCommand,
};

/// The call of a command, for those that make one call.
pub(super) fn plan(command: Command) -> Option<Request> {
    Some(match command {
        Command::Org(command) => organization(command),
        Command::Directory(command) => directory(command),
        Command::HostName(command) => host_name(command),
        Command::PortalLink(command) => portal_link(command),
        Command::Endpoint(command) => outward::endpoint(command),
        Command::Key(command) => outward::key(command),
        Command::SigningKey(command) => outward::signing_key(command),
        Command::User(command) => user(command),
        Command::Group(command) => group(command),
        Command::Event(EventCommand::Get { event }) => {
            Request::get("/events/{id}", Shown::Object).id(event)
        }
        Command::Audit(command) => audit(command),
        Command::Events(_)
        | Command::Serve(_)
        | Command::Demo
        | Command::Verify { .. }
        | Command::Rebuild { .. }
        | Command::Config(_) => return None,
    })
}

fn post(call: &'static str, shown: Shown) -> Request {
    Request::new(Method::POST, call, shown).body(json!({}))
}

fn organization(command: OrgCommand) -> Request {
    match command {
        OrgCommand::Create { name, external_id, domains } => post("/organizations", Shown::Object)
            .body(json!({ "name": name,
                "external_id": external_id, "domain_data": domain_data(domains) })),
        OrgCommand::List { search, domain, page } => {
            let columns = &["id", "name", "external_id", "created_at"];
            let list = Request::get("/organizations", Shown::Table(columns)).page(page);
            list.with("search", search).with("domains", domain)
        }
        OrgCommand::Get { organization: Some(id), external_id: _ } => {
            Request::get("/organizations/{id}", Shown::Object).id(id)
        }
        OrgCommand::Get { organization: None, external_id } => {
            Request::get("/organizations/external_id/{external_id}", Shown::Object)
                .id(external_id.unwrap_or_default())
        }
        OrgCommand::Update { organization, name, external_id, domains } => {
            Request::new(Method::PUT, "/organizations/{id}", Shown::Object)
                .id(organization)
                .body(json!({ "name": name, "external_id": external_id,
                    "domain_data": domain_data(domains) }))
        }
        OrgCommand::Delete { organization } => {
            Request::delete("/organizations/{id}", "is deleted; its directories go a little later")
                .id(organization)
        }
    }
}

/// Without domains, nothing is said about them.
fn domain_data(domains: Vec<String>) -> Value {
    if domains.is_empty() {
        return Value::Null;
    }
    domains.into_iter().map(|domain| json!({ "domain": domain, "state": "verified" })).collect()
}

fn directory(command: DirectoryCommand) -> Request {
    match command {
        DirectoryCommand::Create { organization, kind, name } => {
            post("/directories", Shown::Once("bearer token")).body(
                json!({ "organization_id": organization, "type": full_slug(&kind), "name": name }),
            )
        }
        DirectoryCommand::List { organization, search, domain, page } => {
            let columns = &["id", "name", "type", "state", "organization_id"];
            let list = Request::get("/directories", Shown::Table(columns)).page(page);
            list.with("organization_id", organization).with("search", search).with("domain", domain)
        }
        DirectoryCommand::Get { directory } => {
            Request::get("/directories/{id}", Shown::Object).id(directory)
        }
        DirectoryCommand::Update { directory, name, inactive_users, attribute_map, own_brake } => {
            let no_map = attribute_map == Some(Value::Null);
            let body = json!({
                "name": name, "inactive_users": inactive_users, "attribute_map": attribute_map,
                "brake": own_brake.map(braked),
            });
            let update = Request::new(Method::PATCH, "/directories/{id}", Shown::Object);
            let update = update.id(directory).body(body);
            let update = if no_map { update.without("attribute_map") } else { update };
            // That of the settings: none of its own.
            match own_brake {
                Some(BrakeChoice::General) => update.without("brake"),
                Some(BrakeChoice::Of(_) | BrakeChoice::Off) | None => update,
            }
        }
        DirectoryCommand::Release { directory } => {
            post("/directories/{id}/release", Shown::Object).id(directory)
        }
        DirectoryCommand::Preview { directory, attribute_map, users } => {
            let users = if users.is_empty() { Value::Null } else { json!(users) };
            let no_map = attribute_map.is_null();
            let preview = post("/directories/{id}/attribute_map/preview", Shown::Object)
                .id(directory)
                .body(json!({ "attribute_map": attribute_map, "users": users }));
            if no_map { preview.without("attribute_map") } else { preview }
        }
        DirectoryCommand::Roles { directory, mapping } => {
            let call = "/directories/{id}/role_mapping";
            match mapping {
                None => Request::get(call, Shown::Object).id(directory),
                Some(mapping) => {
                    Request::new(Method::PUT, call, Shown::Object).id(directory).body(mapping)
                }
            }
        }
        DirectoryCommand::Delete { directory } => Request::delete(
            "/directories/{id}",
            "is deleted; its users and groups go a little later",
        )
        .id(directory),
        DirectoryCommand::Requests { directory, page } => {
            let columns = &["time", "method", "path", "status", "events", "scimType", "detail"];
            let list = Request::get("/directories/{id}/requests", Shown::Table(columns));
            list.id(directory).page(page)
        }
        DirectoryCommand::Settings { directory, settings } if settings.is_empty() => {
            Request::get("/directories/{id}/scim_settings", Shown::Object).id(directory)
        }
        DirectoryCommand::Settings { directory, settings } => {
            let call = "/directories/{id}/scim_settings";
            let request = Request::new(Method::PATCH, call, Shown::Object).id(directory);
            request.body(Value::Object(settings.into_iter().map(setting).collect::<Map<_, _>>()))
        }
        DirectoryCommand::Token(command) => token(command),
        DirectoryCommand::Oauth(command) => oauth(command),
    }
}

fn braked(brake: BrakeChoice) -> Value {
    match brake {
        BrakeChoice::Of(brake) => json!(brake),
        BrakeChoice::Off => json!("off"),
        BrakeChoice::General => Value::Null,
    }
}

/// `true` and `false` are no texts; everything else that settings take is one.
fn setting((name, value): (String, String)) -> (String, Value) {
    let value = value.parse().map_or_else(|_| Value::String(value), Value::Bool);
    (name, value)
}

fn token(command: TokenCommand) -> Request {
    let call = "/directories/{id}/tokens";
    match command {
        TokenCommand::Create { directory, overlap } => {
            let create = post(call, Shown::Once("token")).id(directory);
            create.body(json!({ "overlap_seconds": overlap }))
        }
        TokenCommand::List { directory } => {
            let columns = &["id", "suffix", "created_at", "last_used_at", "expires_at"];
            Request::get(call, Shown::Table(columns)).id(directory)
        }
        TokenCommand::Revoke { directory, token } => Request::delete(
            "/directories/{id}/tokens/{token_id}",
            "is revoked; it opens nothing any more",
        )
        .id(directory)
        .id(token),
    }
}

fn oauth(command: OauthCommand) -> Request {
    let call = "/directories/{id}/oauth_client";
    match command {
        OauthCommand::Show { directory } => Request::get(call, Shown::Object).id(directory),
        OauthCommand::Update { directory, token_lifetime } => {
            Request::new(Method::PATCH, call, Shown::Object)
                .id(directory)
                .body(json!({ "token_lifetime_seconds": token_lifetime }))
        }
        OauthCommand::Secret(SecretCommand::Create { directory }) => {
            post("/directories/{id}/oauth_client/secrets", Shown::Once("client secret"))
                .id(directory)
        }
        OauthCommand::Secret(SecretCommand::Delete { directory, secret }) => Request::delete(
            "/directories/{id}/oauth_client/secrets/{secret_id}",
            "is deleted; its access tokens open nothing any more",
        )
        .id(directory)
        .id(secret),
    }
}

fn host_name(command: HostNameCommand) -> Request {
    const HOST_NAME: &str = "/host_names/{id}";
    match command {
        HostNameCommand::Create { host_name, organization, directory } => {
            post("/host_names", Shown::Object).body(json!({ "host_name": host_name,
                "organization_id": organization, "directory_id": directory }))
        }
        HostNameCommand::List { organization, directory, page } => {
            let columns = &["id", "host_name", "organization_id", "directory_id"];
            let list = Request::get("/host_names", Shown::Table(columns)).page(page);
            list.with("organization_id", organization).with("directory", directory)
        }
        HostNameCommand::Get { id } => Request::get(HOST_NAME, Shown::Object).id(id),
        HostNameCommand::Delete { id } => {
            Request::delete(HOST_NAME, "is removed; nothing is reached under it any more").id(id)
        }
    }
}

fn portal_link(command: PortalLinkCommand) -> Request {
    match command {
        PortalLinkCommand::Create { organization, return_url, success_url } => {
            post("/portal/generate_link", Shown::Once("link")).body(json!({
                "organization": organization, "return_url": return_url, "success_url": success_url,
            }))
        }
        PortalLinkCommand::List { organization, page } => {
            let columns = &["id", "organization_id", "state", "created_at", "used_at"];
            let list = Request::get("/portal/links", Shown::Table(columns)).page(page);
            list.with("organization", organization)
        }
        PortalLinkCommand::Revoke { id } => {
            Request::delete("/portal/links/{id}", "is revoked; it opens nothing any more").id(id)
        }
    }
}

fn user(command: UserCommand) -> Request {
    match command {
        UserCommand::List { directory, group, idp_id, email, page } => {
            let columns = &["id", "username", "email", "name", "state", "idp_id"];
            let list = Request::get("/directory_users", Shown::Table(columns)).page(page);
            let list = list.with("directory", directory).with("group", group);
            list.with("idp_id", idp_id).with("email", email)
        }
        UserCommand::Get { user } => Request::get("/directory_users/{id}", Shown::Object).id(user),
    }
}

fn group(command: GroupCommand) -> Request {
    match command {
        GroupCommand::List { directory, user, page } => {
            let columns = &["id", "name", "idp_id", "updated_at"];
            let list = Request::get("/directory_groups", Shown::Table(columns)).page(page);
            list.with("directory", directory).with("user", user)
        }
        GroupCommand::Get { group } => {
            Request::get("/directory_groups/{id}", Shown::Object).id(group)
        }
    }
}

fn audit(command: AuditCommand) -> Request {
    match command {
        AuditCommand::Events { filter, format } => history(filter, format),
        AuditCommand::AdminEvents { filter, format } => actions(filter, format),
        AuditCommand::Verify { directory } => {
            Request::get("/audit/verify", Shown::Verdict).with("directory", directory)
        }
    }
}

fn form(format: StreamFormat) -> Shown {
    Shown::Stream(match format {
        StreamFormat::Ndjson => "application/x-ndjson",
        StreamFormat::Csv => "text/csv",
    })
}

fn actions(filter: ActionFilter, format: StreamFormat) -> Request {
    let ActionFilter { actor, action, organization, since, until } = filter;
    Request::get("/admin_events", form(format))
        .with("order", Some("asc"))
        .with("actor", actor)
        .with("action", action)
        .with("organization_id", organization)
        .with("range_start", since)
        .with("range_end", until)
}

fn history(filter: AuditFilter, format: StreamFormat) -> Request {
    let AuditFilter { directory, user, group, actor, request_id, text, events, since, until } =
        filter;
    let events: Vec<&str> = events.into_iter().map(EventType::name).collect();
    Request::get("/audit/events", form(format))
        .with("directory", directory)
        .with("user", user)
        .with("group", group)
        .with("actor", actor)
        .with("request_id", request_id)
        .with("q", text)
        .with_all("events", &events)
        .with("range_start", since)
        .with("range_end", until)
}

/// `okta` stands for `okta scim v2.0`.
pub(super) fn full_slug(kind: &str) -> String {
    let long = format!("{kind} scim v2.0");
    if DirectoryType::from_slug(&long).is_some() { long } else { kind.to_owned() }
}
