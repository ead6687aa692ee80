//! Users and groups: create, read, replace, patch, delete (RFC 7644 §3.3 to §3.6).

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::IF_NONE_MATCH;
use axum::response::{IntoResponse, Response};
use directory::resource::{PatchGroupResponse, ScimSettings};
use directory::{Answer, Command, patch};
use schemas::ScimId;
use schemas::scim::{
    Attributes, GROUP, ResourceSchema, ScimError, USER, Value, canonicalise, take_members,
};

use crate::auth::Call;
use crate::body::Scim;
use crate::error::Failure;
use crate::http::Ingest;
use crate::ports::UserView;
use crate::represent::{self, Resource};
use crate::request_log::Notes;
use crate::respond::{resource, unchanged};
use crate::tolerance::{self, Rewrite, Tolerated};
use crate::version;
use crate::writer::Done;

/// A kind of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    User,
    Group,
}

impl Kind {
    /// The name of the resource type.
    pub(crate) const fn name(self) -> &'static str {
        self.schema().name
    }

    pub(crate) const fn schema(self) -> &'static ResourceSchema {
        match self {
            Self::User => &USER,
            Self::Group => &GROUP,
        }
    }
}

/// What to do with a resource.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Create(Attributes),
    Replace(ScimId, Attributes),
    Patch(ScimId, Attributes),
    Delete(ScimId),
}

impl Action {
    /// The command that the rules understand. What was tolerated on the way is noted.
    pub(crate) fn command(
        self,
        kind: Kind,
        settings: ScimSettings,
        notes: &Notes,
    ) -> Result<Command, ScimError> {
        let (action, rewrites) = self.tolerated(kind, settings)?;
        for rewrite in rewrites {
            notes.tolerated(rewrite);
        }
        match kind {
            Kind::User => action.on_user(),
            Kind::Group => action.on_group(),
        }
    }

    fn tolerated(
        self,
        kind: Kind,
        settings: ScimSettings,
    ) -> Result<(Self, Vec<Rewrite>), ScimError> {
        let (schema, unknown) = (kind.schema(), settings.unknown_schema);
        Ok(match self {
            Self::Create(body) => {
                let Tolerated { body, rewrites } = tolerance::resource(schema, body, unknown)?;
                (Self::Create(body), rewrites)
            }
            Self::Replace(id, body) => {
                let Tolerated { body, rewrites } = tolerance::resource(schema, body, unknown)?;
                (Self::Replace(id, body), rewrites)
            }
            Self::Patch(id, body) => {
                let Tolerated { body, rewrites } = tolerance::patch(schema, body, unknown)?;
                (Self::Patch(id, body), rewrites)
            }
            Self::Delete(id) => (Self::Delete(id), Vec::new()),
        })
    }

    fn on_user(self) -> Result<Command, ScimError> {
        Ok(match self {
            Self::Create(body) => {
                Command::CreateUser { attributes: canonicalise(&USER, body)?.into() }
            }
            Self::Replace(id, body) => {
                Command::ReplaceUser { id, attributes: canonicalise(&USER, body)?.into() }
            }
            Self::Patch(id, body) => {
                Command::PatchUser { id, operations: patch::parse_operations(&body)? }
            }
            Self::Delete(id) => Command::DeleteUser { id },
        })
    }

    /// Members that a PUT does not mention are cleared, as every attribute is (RFC 7644 §3.5.1). Who is pending is
    /// not shown, so a client that sends back what it has read cannot mention them.
    fn on_group(self) -> Result<Command, ScimError> {
        Ok(match self {
            Self::Create(mut body) => {
                let members = take_members(&mut body)?.unwrap_or_default();
                Command::CreateGroup { attributes: canonicalise(&GROUP, body)?, members }
            }
            Self::Replace(id, mut body) => {
                let members = take_members(&mut body)?.unwrap_or_default();
                let keeps_pending = was_read_here(&body);
                let attributes = canonicalise(&GROUP, body)?;
                Command::ReplaceGroup { id, attributes, members, keeps_pending }
            }
            Self::Patch(id, body) => {
                let (operations, members) = patch::split_members(patch::parse_operations(&body)?)?;
                Command::PatchGroup { id, operations, members }
            }
            Self::Delete(id) => Command::DeleteGroup { id },
        })
    }
}

/// Whether a body comes out of an answer of ours: whoever writes one by themselves knows nothing to say in `meta`
/// but the type.
fn was_read_here(body: &Attributes) -> bool {
    let meta = body.get("meta").and_then(Value::as_complex);
    let ours = ["created", "lastModified", "location", "version"];
    meta.is_some_and(|meta| ours.iter().any(|name| meta.contains(name)))
}

pub(crate) async fn create(
    kind: Kind,
    State(ingest): State<Ingest>,
    call: Box<Call>,
    Scim(body): Scim,
) -> Result<Response, Failure> {
    let command = Action::Create(body).command(kind, call.access.scim, &call.notes)?;
    let done = carry_out(&ingest, &call, command, None).await?;
    let created = match done.answer {
        // A user who was just created is in no group, unless one waited for it.
        Answer::User(user) if done.events == 1 => {
            represent::user(&call.base, UserView { user, groups: Vec::new() })
        }
        Answer::User(user) => show(&ingest, &call, kind, user.id).await?,
        Answer::Group(group) => show(&ingest, &call, kind, group.id).await?,
        Answer::Gone | Answer::Nothing => return Ok(StatusCode::NO_CONTENT.into_response()),
    };
    resource(&ingest, &call, StatusCode::CREATED, created).await
}

pub(crate) async fn get(
    kind: Kind,
    State(ingest): State<Ingest>,
    call: Box<Call>,
) -> Result<Response, Failure> {
    let id = call.id(kind.name())?;
    let found = show(&ingest, &call, kind, id).await?;
    if version::is_known(&call.conditions, found.version()) {
        return Ok(unchanged(found.version()));
    }
    resource(&ingest, &call, StatusCode::OK, found).await
}

pub(crate) async fn replace(
    kind: Kind,
    State(ingest): State<Ingest>,
    call: Box<Call>,
    Scim(body): Scim,
) -> Result<Response, Failure> {
    let id = call.id(kind.name())?;
    must_be_unknown(&ingest, &call, kind, id).await?;
    let command = Action::Replace(id, body).command(kind, call.access.scim, &call.notes)?;
    submit(&ingest, &call, version::conditional(&call.conditions, command), None).await?;
    let replaced = show(&ingest, &call, kind, id).await?;
    resource(&ingest, &call, StatusCode::OK, replaced).await
}

/// Answers with the resource, or for a group as its directory's settings have it. Who asks for attributes
/// gets them (RFC 7644 §3.5.2).
pub(crate) async fn patch(
    kind: Kind,
    State(ingest): State<Ingest>,
    call: Box<Call>,
    Scim(body): Scim,
) -> Result<Response, Failure> {
    let id = call.id(kind.name())?;
    must_be_unknown(&ingest, &call, kind, id).await?;
    let command = Action::Patch(id, body).command(kind, call.access.scim, &call.notes)?;
    submit(&ingest, &call, version::conditional(&call.conditions, command), None).await?;
    let brief = match (kind, call.access.scim.patch_group_response) {
        (Kind::Group, PatchGroupResponse::NoContent) => !call.query.projection.is_asked_for(),
        (Kind::Group, PatchGroupResponse::Ok) | (Kind::User, _) => false,
    };
    if brief {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let patched = show(&ingest, &call, kind, id).await?;
    resource(&ingest, &call, StatusCode::OK, patched).await
}

pub(crate) async fn delete(
    kind: Kind,
    State(ingest): State<Ingest>,
    call: Box<Call>,
) -> Result<Response, Failure> {
    let id = call.id(kind.name())?;
    must_be_unknown(&ingest, &call, kind, id).await?;
    let command = Action::Delete(id).command(kind, call.access.scim, &call.notes)?;
    submit(&ingest, &call, version::conditional(&call.conditions, command), None).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `If-None-Match` of a change (RFC 9110 §13.1.2). No change to come makes a version that a client could name already, so what
/// is not known now will not be when the change is made.
async fn must_be_unknown(
    ingest: &Ingest,
    call: &Call,
    kind: Kind,
    id: ScimId,
) -> Result<(), Failure> {
    if !call.conditions.contains_key(IF_NONE_MATCH) {
        return Ok(());
    }
    let found = show(ingest, call, kind, id).await?;
    if version::is_known(&call.conditions, found.version()) {
        let detail =
            "If-None-Match names the version that the resource has, so nothing was changed.";
        return Err(ScimError::with_status(412, detail).into());
    }
    Ok(())
}

/// The resource as it is now: whoever writes, reads their own writes.
pub(crate) async fn show(
    ingest: &Ingest,
    call: &Call,
    kind: Kind,
    id: ScimId,
) -> Result<Resource, Failure> {
    let directory = call.access.directory_id;
    let found = match kind {
        Kind::User => {
            let view = ingest.replica.user(directory, id).await?;
            view.map(|view| represent::user(&call.base, view))
        }
        Kind::Group => {
            let view = ingest.replica.group(directory, id).await?;
            view.map(|group| represent::group(&call.base, group))
        }
    };
    found.ok_or_else(|| Failure::not_found(kind.name(), &id.to_string()))
}

/// Hands a command to the directory's writer; what it creates gets this id if one was promised.
pub(crate) async fn submit(
    ingest: &Ingest,
    call: &Call,
    command: Command,
    id: Option<ScimId>,
) -> Result<Answer, Failure> {
    Ok(carry_out(ingest, call, command, id).await?.answer)
}

async fn carry_out(
    ingest: &Ingest,
    call: &Call,
    command: Command,
    id: Option<ScimId>,
) -> Result<Done, Failure> {
    let access = &call.access;
    let (directory, partition) = (access.directory_id, access.partition);
    let submitted = ingest.writers.submit_as(directory, partition, command, call.actor.clone(), id);
    let done = submitted.await?;
    call.notes.caused(done.events);
    if done.applied.upserted {
        call.notes.tolerated(Rewrite::ValuePathUpsert);
    }
    Ok(done)
}
