//! The SDK for Rust. Its HTTP client is exchangeable, and here it is the one that every test uses.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use serde_json::{Value, json};
use tests::server::http_client;
use workos::helpers::webhook_verification::WebhookVerifier;
use workos::resources::admin_portal::GenerateLinkParams;
use workos::resources::directory_sync::{ListDirectoriesParams, ListGroupsParams, ListUsersParams};
use workos::resources::events::ListEventsParams;
use workos::resources::organizations::{
    CreateOrganizationParams, ListOrganizationsParams, UpdateOrganizationParams,
};
use workos::resources::webhooks::{
    CreateWebhookEndpointParams, ListWebhookEndpointsParams, UpdateWebhookEndpointParams,
};
use workos::transport::{HttpRequest, HttpResponse, HttpTransport, TransportError};
use workos::{
    Client, CreateWebhookEndpoint, CreateWebhookEndpointEvents, DirectoryUserWithGroups, Error,
    GenerateLink, GenerateLinkIntent, Organization, OrganizationDomainData,
    OrganizationDomainDataState, OrganizationInput, UpdateOrganization, UpdateWebhookEndpoint,
    UpdateWebhookEndpointEvents, UpdateWebhookEndpointStatus,
};

use super::Seen;

struct Transport(reqwest::Client);

#[async_trait]
impl HttpTransport for Transport {
    async fn execute(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let mut sent = self.0.request(request.method, request.url).headers(request.headers);
        if let Some(body) = request.body {
            sent = sent.body(body);
        }
        let answer = sent.send().await.map_err(TransportError::other)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = answer.bytes().await.map_err(TransportError::other)?;
        Ok(HttpResponse { status, headers, body })
    }
}

fn client(config: &Value, key: &str) -> Client {
    let transport = Arc::new(Transport(http_client()));
    Client::builder().api_key(key).base_url(text(config, "base")).transport(transport).build()
}

fn text(config: &Value, key: &str) -> String {
    config[key].as_str().expect("a text").to_owned()
}

fn status(refused: Result<impl Sized, Error>) -> u16 {
    match refused {
        Err(Error::Api(error)) => error.status,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was not refused"),
    }
}

/// What it sees.
pub(super) async fn see(config: &Value) -> Seen {
    let client = client(config, &text(config, "key"));
    let mut seen = Seen::new();
    directories(&client, config, &mut seen).await.expect("directories are seen");
    people(&client, config, &mut seen).await.expect("users and groups are seen");
    organizations(&client, config, &mut seen).await.expect("organizations are seen");
    events(&client, config, &mut seen).await.expect("events are seen");
    endpoints(&client, &mut seen).await.expect("webhook endpoints are seen");
    portal(&client, config, &mut seen).await.expect("a portal link is seen");
    refusals(&client, config, &mut seen).await;
    seen
}

/// Whether it takes this webhook.
pub(super) fn verifies(secret: &str, signature: &str, body: &str) -> bool {
    WebhookVerifier::new(secret).construct_event(signature, body).is_ok()
}

async fn directories(client: &Client, config: &Value, seen: &mut Seen) -> Result<(), Error> {
    let api = client.directory_sync();
    let all = api.list_directories_auto_paging(ListDirectoriesParams::default());
    let all: Vec<_> = all.try_collect().await?;
    let shown: Vec<Value> =
        all.iter().map(|one| json!([one.id, one.name, one.type_.as_str()])).collect();
    seen.insert("directories".into(), json!(shown));
    let states: Vec<&str> = all.iter().map(|one| one.state.as_str()).collect();
    seen.insert("directory_states".into(), json!(states));
    let few = ListDirectoriesParams {
        organization_id: Some(text(config, "organization")),
        ..Default::default()
    };
    let few: Vec<_> = api.list_directories_auto_paging(few).try_collect().await?;
    let few: Vec<&str> = few.iter().map(|one| one.id.as_str()).collect();
    seen.insert("directories_of_organization".into(), json!(few));
    let one = api.get_directory(&text(config, "directory")).await?;
    let shown = json!([one.id, one.name, one.type_.as_str(), one.organization_id]);
    seen.insert("directory".into(), shown);
    Ok(())
}

async fn people(client: &Client, config: &Value, seen: &mut Seen) -> Result<(), Error> {
    let directory = Some(text(config, "directory"));
    let limit = Some(100);
    let narrowed = [
        ("users", ListUsersParams { directory: directory.clone(), limit, ..Default::default() }),
        (
            "users_of_group",
            ListUsersParams { group: Some(text(config, "group")), ..Default::default() },
        ),
        (
            "user_by_idp_id",
            ListUsersParams {
                directory: directory.clone(),
                idp_id: Some("ext-user.007@acme.example".into()),
                ..Default::default()
            },
        ),
        (
            "user_by_email",
            ListUsersParams {
                directory: directory.clone(),
                email: Some("user.007@acme.example".into()),
                ..Default::default()
            },
        ),
    ];
    let api = client.directory_sync();
    for (check, params) in narrowed {
        let found: Vec<_> = api.list_users_auto_paging(params).try_collect().await?;
        let ids: Vec<&str> = found.iter().map(|one| one.idp_id.as_str()).collect();
        seen.insert(check.into(), json!(ids));
    }
    let narrowed = [
        ("groups", ListGroupsParams { directory, ..Default::default() }),
        (
            "groups_of_user",
            ListGroupsParams { user: Some(text(config, "user")), ..Default::default() },
        ),
    ];
    for (check, params) in narrowed {
        let found: Vec<_> = api.list_groups_auto_paging(params).try_collect().await?;
        let names: Vec<&str> = found.iter().map(|one| one.name.as_str()).collect();
        seen.insert(check.into(), json!(names));
    }
    seen.insert("user".into(), user(&api.get_user(&text(config, "user")).await?));
    let one = api.get_group(&text(config, "group")).await?;
    let group = json!({ "id": one.id, "directory": one.directory_id,
        "organization": one.organization_id, "idp_id": one.idp_id, "name": one.name });
    seen.insert("group".into(), group);
    Ok(())
}

#[expect(deprecated, reason = "apps read these fields")]
fn user(one: &DirectoryUserWithGroups) -> Value {
    let emails = one.emails.iter().flatten();
    let emails: Vec<Value> =
        emails.map(|email| json!([email.value, email.type_, email.primary])).collect();
    let groups: Vec<&str> = one.groups.iter().map(|group| group.name.as_str()).collect();
    json!({ "id": one.id, "directory": one.directory_id, "organization": one.organization_id,
        "idp_id": one.idp_id, "email": one.email, "username": one.username,
        "first_name": one.first_name, "last_name": one.last_name, "job_title": one.job_title,
        "state": one.state.as_str(), "emails": emails,
        "raw_title": one.raw_attributes["title"], "groups": groups })
}

fn domains(of: &Organization) -> Vec<&str> {
    of.domains.iter().map(|one| one.domain.as_str()).collect()
}

async fn organizations(client: &Client, config: &Value, seen: &mut Seen) -> Result<(), Error> {
    let api = client.organizations();
    let of_domain = ListOrganizationsParams {
        domains: Some(vec!["acme.example".into()]),
        ..Default::default()
    };
    let narrowed = [("organizations", Default::default()), ("organizations_of_domain", of_domain)];
    for (check, params) in narrowed {
        let found: Vec<_> = api.list_organizations_auto_paging(params).try_collect().await?;
        let names: Vec<&str> = found.iter().map(|one| one.name.as_str()).collect();
        seen.insert(check.into(), json!(names));
    }
    let one = api.get_organization(&text(config, "organization")).await?;
    let shown = json!([one.id, one.name, one.external_id, domains(&one)]);
    seen.insert("organization".into(), shown);
    let same = api.get_organization_by_external_id(&text(config, "external_id")).await?;
    seen.insert("organization_by_external_id".into(), json!(same.id));
    seen.insert("organization_life".into(), organization_life(client).await?);
    Ok(())
}

#[expect(deprecated, reason = "a field that is left out is named nevertheless")]
async fn organization_life(client: &Client) -> Result<Value, Error> {
    let api = client.organizations();
    let domain = OrganizationDomainData {
        domain: "initech.example".into(),
        state: OrganizationDomainDataState::Verified,
    };
    let input = OrganizationInput {
        name: "Initech".into(),
        allow_profiles_outside_organization: None,
        domains: None,
        domain_data: Some(vec![domain]),
        metadata: None,
        external_id: Some("initech-1".into()),
    };
    let created = api.create_organization(CreateOrganizationParams::new(input)).await?;
    let name = UpdateOrganization {
        name: Some("Initrode".into()),
        allow_profiles_outside_organization: None,
        domains: None,
        domain_data: None,
        stripe_customer_id: None,
        metadata: None,
        external_id: None,
    };
    let name = UpdateOrganizationParams::new(name);
    let updated = api.update_organization(&created.id, name).await?;
    api.delete_organization(&created.id).await?;
    Ok(json!({
        "created": [created.name, created.external_id, domains(&created)],
        "updated": [updated.name, domains(&updated)],
        "after_deletion": status(api.get_organization(&created.id).await),
    }))
}

async fn events(client: &Client, config: &Value, seen: &mut Seen) -> Result<(), Error> {
    let api = client.events();
    let types: Vec<String> =
        serde_json::from_value(config["types"].clone()).expect("a list of names");
    let every = || ListEventsParams { limit: Some(100), ..ListEventsParams::new(types.clone()) };
    let mut params = every();
    // Its default is the newest first.
    params.order = Some(workos::PaginationOrder::Asc);
    let all: Vec<_> = api.list_events_auto_paging(params.clone()).try_collect().await?;
    let mut counts = BTreeMap::<&str, usize>::new();
    for event in &all {
        *counts.entry(event.event.as_str()).or_default() += 1;
    }
    seen.insert("events".into(), json!(counts));
    let first = json!([all[0].event, all[0].data["id"], all[0].data["state"]]);
    seen.insert("first_event".into(), first);
    let mut rest = 0;
    // What walks the list starts at its beginning, so the app goes from page to page.
    params.after = Some(all[99].id.clone());
    while params.after.is_some() {
        let page = api.list_events(params.clone()).await?;
        rest += page.data.len();
        params.after = page.list_metadata.after;
    }
    seen.insert("events_after_the_hundredth".into(), json!(rest));
    let own = ListEventsParams { organization_id: Some(text(config, "organization")), ..every() };
    let own: Vec<_> = api.list_events_auto_paging(own).try_collect().await?;
    seen.insert("events_of_organization".into(), json!(own.len()));
    let updated = only(client, "dsync.user.updated").await?;
    let previous = updated["previous_attributes"]["job_title"].clone();
    seen.insert("updated_event".into(), json!([updated["job_title"], previous]));
    let added = only(client, "dsync.group.user_added").await?;
    let shown = json!([added["directory_id"], added["user"]["email"], added["group"]["name"]]);
    seen.insert("added_event".into(), shown);
    Ok(())
}

/// The data of the first event of a type.
async fn only(
    client: &Client,
    kind: &str,
) -> Result<std::collections::HashMap<String, Value>, Error> {
    let mut params = ListEventsParams::new(vec![kind.to_owned()]);
    params.order = Some(workos::PaginationOrder::Asc);
    let mut page = client.events().list_events(params).await?;
    Ok(page.data.remove(0).data)
}

async fn endpoints(client: &Client, seen: &mut Seen) -> Result<(), Error> {
    let api = client.webhooks();
    let new = CreateWebhookEndpoint {
        endpoint_url: "https://app.example/hooks".into(),
        events: vec![CreateWebhookEndpointEvents::DsyncUserCreated],
    };
    let created =
        api.create_webhook_endpoint(CreateWebhookEndpointParams::new(new.clone())).await?;
    let again = api.create_webhook_endpoint(CreateWebhookEndpointParams::new(new)).await;
    let listed = count(client).await?;
    let change = UpdateWebhookEndpoint {
        endpoint_url: None,
        status: Some(UpdateWebhookEndpointStatus::Disabled),
        events: Some(vec![
            UpdateWebhookEndpointEvents::DsyncGroupCreated,
            UpdateWebhookEndpointEvents::DsyncGroupDeleted,
        ]),
    };
    let change = UpdateWebhookEndpointParams::new(change);
    let updated = api.update_webhook_endpoint(&created.id, change).await?;
    api.delete_webhook_endpoint(&created.id).await?;
    let secret = created.secret.expose().get(..6).expect("a prefix");
    let seen_of_it = json!({
        "created": [created.endpoint_url, created.status.as_str(), created.events, secret],
        "again": status(again),
        "listed": listed,
        "updated": [updated.status.as_str(), updated.events],
        "after_deletion": count(client).await?,
    });
    seen.insert("endpoint".into(), seen_of_it);
    Ok(())
}

async fn count(client: &Client) -> Result<usize, Error> {
    let all = ListWebhookEndpointsParams::default();
    let all: Vec<_> =
        client.webhooks().list_webhook_endpoints_auto_paging(all).try_collect().await?;
    Ok(all.len())
}

async fn portal(client: &Client, config: &Value, seen: &mut Seen) -> Result<(), Error> {
    let api = client.admin_portal();
    let wanted = |intent| {
        GenerateLinkParams::new(GenerateLink {
            return_url: Some("https://app.example/settings".into()),
            success_url: Some("https://app.example/done".into()),
            organization: text(config, "organization"),
            intent: Some(intent),
            it_contact_emails: None,
        })
    };
    let made = api.generate_link(wanted(GenerateLinkIntent::Dsync)).await?;
    let other = status(api.generate_link(wanted(GenerateLinkIntent::SSO)).await);
    let base = made.link.rsplit_once('/').map(|(base, _)| base);
    seen.insert("portal".into(), json!({ "link": base, "other": other }));
    Ok(())
}

async fn refusals(client: &Client, config: &Value, seen: &mut Seen) {
    match client.directory_sync().get_user(&text(config, "nobody")).await {
        Err(Error::Api(error)) => seen.insert("nobody".into(), json!(error.code)),
        other => panic!("{other:?}"),
    };
    let other = self::client(config, "sk_of_nobody");
    let refused = other.directory_sync().list_directories(ListDirectoriesParams::default()).await;
    seen.insert("wrong_key".into(), json!(status(refused)));
}
