//! The audit trail: which action each form is.
//!
//! ```text
//!  POST ──▶ whose form is it ──▶ which action is it ──▶ entry, durably ──▶ handler ──▶ what came of it
//! ```
//!
//! Whatever reads a form of somebody who is signed in asks [`intend`] for its action, and a form of which nobody has
//! said which action it is is refused. So none can be forgotten.

use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::Duration;

use api::{Intended, Underway, action_actor};
use axum::extract::FromRequestParts as _;
use axum::extract::{MatchedPath, RawPathParams, Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use schemas::{Action, Actor, ActorKind, Bucket, OrganizationId, RateLimit};
use tokio::time::Instant;

use crate::form::Form;
use crate::ports::{Role, Session};
use crate::session::CSRF_FIELD;

/// How many failures to sign in are recorded at once, and how many seconds later one more: enough to see who tries what.
/// Each takes a third of a kilobyte or so and stays for ever, and whoever fails has shown nothing: with this limit they
/// make 60 MB in a year at the very most, on each process. The next that is recorded says how many were not.
const FAILURES_AT_ONCE: NonZeroU32 = NonZeroU32::new(100).expect("not zero");
const FAILURE_EVERY_SECS: u32 = 180;

/// What a form does.
struct Act {
    action: Action,
    fields: Fields,
    /// The buttons (`do`) that change nothing: they show what would be, or a larger form.
    looks: &'static [&'static str],
}

/// Which fields a form sets.
enum Fields {
    /// Those that are filled in.
    Filled,
    /// These, whatever it looks like.
    These(&'static [&'static str]),
}

const fn act(action: Action) -> Act {
    Act { action, fields: Fields::Filled, looks: &[] }
}

const fn these(action: Action, fields: &'static [&'static str]) -> Act {
    Act { action, fields: Fields::These(fields), looks: &[] }
}

/// What the form that is sent to a path does.
fn act_of(path: &str) -> Option<Act> {
    if let Some(rest) = path.strip_prefix("/setup") {
        return setup(rest);
    }
    let rest = path.strip_prefix("/console")?;
    if let Some(rest) = rest.strip_prefix("/organizations") {
        return organizations(rest);
    }
    if let Some(rest) = rest.strip_prefix("/directories/{directory}") {
        return directories(rest);
    }
    if let Some(rest) = rest.strip_prefix("/endpoints") {
        return endpoints(rest);
    }
    Some(match rest {
        "/api-keys/new" => act(Action::ApiKeyCreated),
        "/api-keys/{key}/revoke" => act(Action::ApiKeyDeleted),
        "/sign-out" => act(Action::ConsoleSignedOut),
        _ => return None,
    })
}

fn organizations(rest: &str) -> Option<Act> {
    Some(match rest {
        "/new" => act(Action::OrganizationCreated),
        "/{organization}/edit" => act(Action::OrganizationUpdated),
        "/{organization}/delete" => these(Action::OrganizationDeleted, &[]),
        "/{organization}/directories/new" => act(Action::DirectoryCreated),
        "/{organization}/links/new" => act(Action::PortalLinkCreated),
        "/{organization}/links/{link}/revoke" => act(Action::PortalLinkRevoked),
        "/{organization}/host-names/new" => act(Action::HostNameCreated),
        "/{organization}/host-names/{name}/remove" => act(Action::HostNameDeleted),
        _ => return None,
    })
}

const MAP: Act = Act {
    action: Action::DirectoryUpdated,
    fields: Fields::These(&["attribute_map"]),
    looks: &["preview", "rows"],
};

const ROLES: Act = Act {
    action: Action::DirectoryRoleMappingUpdated,
    fields: Fields::These(&["default_role", "groups"]),
    looks: &["rows"],
};

fn directories(rest: &str) -> Option<Act> {
    Some(match rest {
        "/edit" => act(Action::DirectoryUpdated),
        "/delete" => these(Action::DirectoryDeleted, &[]),
        "/tokens/new" => act(Action::DirectoryTokenCreated),
        "/tokens/{token}/revoke" => act(Action::DirectoryTokenRevoked),
        "/tokens/{token}/keep" => act(Action::DirectoryTokenKept),
        "/release" => act(Action::BrakeReleased),
        "/map/edit" => MAP,
        "/roles" => ROLES,
        _ => return None,
    })
}

fn endpoints(rest: &str) -> Option<Act> {
    Some(match rest {
        "/new" => act(Action::WebhookEndpointCreated),
        "/{endpoint}/edit" => act(Action::WebhookEndpointUpdated),
        "/{endpoint}/enable" | "/{endpoint}/disable" => {
            these(Action::WebhookEndpointUpdated, &["status"])
        }
        "/{endpoint}/delete" => act(Action::WebhookEndpointDeleted),
        "/{endpoint}/rotate" => act(Action::WebhookEndpointSecretRotated),
        "/{endpoint}/test" => act(Action::WebhookEndpointTested),
        "/{endpoint}/replay" => act(Action::ReplayCreated),
        "/{endpoint}/replays/{replay}/cancel" => act(Action::ReplayCancelled),
        _ => return None,
    })
}

fn setup(rest: &str) -> Option<Act> {
    Some(match rest {
        "/new" => act(Action::DirectoryCreated),
        "/sign-out" => act(Action::PortalLinkSignedOut),
        "/directories/{directory}/email-from-user-name" => {
            these(Action::DirectoryUpdated, &["attribute_map"])
        }
        "/directories/{directory}/map" => MAP,
        "/directories/{directory}/tokens" => act(Action::DirectoryTokenCreated),
        "/directories/{directory}/tokens/{token}/revoke" => act(Action::DirectoryTokenRevoked),
        "/directories/{directory}/tokens/{token}/keep" => act(Action::DirectoryTokenKept),
        _ => return None,
    })
}

/// Why a form does not get to its handler.
pub(crate) enum NotRecorded {
    /// Nobody has said which action it is.
    NoAction,
    /// The store says no.
    Port(api::ports::PortError),
}

/// Records what a form is about to do. What only looks is not recorded.
pub(crate) async fn intend(
    api: &api::Api,
    parts: &mut Parts,
    actor: api::ports::ActionActor,
    organization_id: Option<OrganizationId>,
    form: &Form,
) -> Result<(), NotRecorded> {
    let matched = parts.extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let act = matched.as_deref().and_then(act_of);
    let underway = parts.extensions.get::<Underway>().cloned();
    let (Some(act), Some(underway)) = (act, underway) else {
        tracing::error!(path = matched, "a form is refused: it is no action of the audit trail");
        return Err(NotRecorded::NoAction);
    };
    if form.text("do").is_some_and(|wish| act.looks.contains(&wish)) {
        return Ok(());
    }
    let path = RawPathParams::from_request_parts(parts, &()).await;
    let path = path.iter().flatten().map(|(_, value)| value.to_owned());
    let named = ["organization", "id"].into_iter().filter_map(|name| form.text(name));
    let targets = path.chain(named.map(str::to_owned)).collect();
    let fields = match act.fields {
        Fields::Filled => filled(form),
        Fields::These(names) => names.iter().map(|name| (*name).to_owned()).collect(),
    };
    let intended = Intended { action: act.action, actor, organization_id, targets, fields };
    api.begin_action(&underway, intended).await.map_err(NotRecorded::Port)
}

/// The names of the fields that are filled in. Those that the page has put there are not somebody's.
fn filled(form: &Form) -> Vec<String> {
    let ours = [CSRF_FIELD, "id", "made_from", "do", "next"];
    let mut names: Vec<String> = Vec::new();
    for name in form.names().filter(|name| !ours.contains(name)) {
        let is_name = name.len() <= FIELD_NAME_MAX
            && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        if is_name && form.text(name).is_some() && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// How long the name of a field is at most: longer than any of ours.
const FIELD_NAME_MAX: usize = 40;

/// Adds what came of the action that a request has begun, if it has begun one.
pub(crate) async fn conclude(
    State(api): State<api::Api>,
    mut request: Request,
    next: Next,
) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let underway = Underway::default();
    request.extensions_mut().insert(underway.clone());
    api.conclude_action(underway, next.run(request)).await
}

/// Somebody who is signed in to the console: by name, where an identity provider has said it.
pub(crate) fn of_session(session: &Session, by: Actor) -> api::ports::ActionActor {
    of_role(session.role, session.person.clone(), by)
}

/// The same of somebody who is about to be.
pub(crate) fn of_role(role: Role, person: Option<String>, by: Actor) -> api::ports::ActionActor {
    let id = person.unwrap_or_else(|| role.name().to_owned());
    action_actor(ActorKind::Console, Some(id), Some(role.name().to_owned()), by)
}

/// Failures to sign in, of which just so many are recorded.
#[derive(Debug)]
pub(crate) struct Failures {
    since: Instant,
    /// A lock of the standard library: it is held for a look-up, never over an await.
    counted: Mutex<(Bucket, u64)>,
}

impl Failures {
    pub(crate) fn new() -> Self {
        Self { since: Instant::now(), counted: Mutex::default() }
    }

    /// Whether this one is to be recorded, and then how many before it were not.
    fn take(&self, elapsed: Duration) -> Option<u64> {
        let limit = RateLimit { per_second: NonZeroU32::MIN, burst: FAILURES_AT_ONCE };
        let mut counted = self.counted.lock().expect("nothing panics while it is held");
        // The bucket counts by the second: three minutes pass as one.
        if counted.0.take(limit, elapsed / FAILURE_EVERY_SECS).is_ok() {
            return Some(std::mem::take(&mut counted.1));
        }
        counted.1 += 1;
        None
    }

    /// Records that somebody was not let in, if there is room. That it cannot be is no reason to let nobody in.
    pub(crate) async fn record(&self, api: &api::Api, person: Option<String>, by: Actor) {
        let Some(unrecorded) = self.take(self.since.elapsed()) else { return };
        let intended = Intended {
            action: Action::ConsoleSignInFailed,
            actor: action_actor(ActorKind::Anonymous, person, None, by),
            organization_id: None,
            targets: Vec::new(),
            fields: Vec::new(),
        };
        if let Err(error) = api.refuse_action(intended, unrecorded).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "could not record that somebody was not let in"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_beyond_the_limit_are_counted_and_told_with_the_next() {
        let failures = Failures::new();
        let start = Duration::from_secs(600);
        for _ in 0..FAILURES_AT_ONCE.get() {
            assert_eq!(failures.take(start), Some(0));
        }
        for _ in 0..7 {
            assert_eq!(failures.take(start), None);
        }
        assert_eq!(failures.take(start + Duration::from_secs(181)), Some(7));
        assert_eq!(failures.take(start + Duration::from_secs(182)), None);
    }

    #[test]
    fn of_a_form_the_names_of_what_was_filled_in_are_kept() {
        let text =
            "csrf=x&id=api_key_1&name=a&scope=&organization=b&name=c&Key%3Dsk_secret=1&do=apply";
        assert_eq!(filled(&Form::parse(text.as_bytes())), ["name", "organization"]);
    }
}
