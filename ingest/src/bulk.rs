//! Bulk requests, RFC 7644 §3.7: many operations in one request, each for itself.
//!
//! What refers to the resource of another operation (`bulkId:…`) is carried out after that one. Users may
//! refer to each other in a circle: their ids are promised before they exist.

mod plan;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use directory::Answer;
use schemas::ScimId;
use schemas::scim::{Attributes, BULK_RESPONSE_URN, ScimError, Value};

use crate::auth::Call;
use crate::body::Scim;
use crate::error::Failure;
use crate::http::Ingest;
use crate::represent;
use crate::resources::{Action, Kind, submit};
use crate::respond::answer;
use crate::version;
use plan::{Method, Operation, Outcomes, Plan};

pub(crate) use plan::OPERATIONS_MAX;

/// Carries out the operations, each in a commit of its own; the answer has them in the order of the
/// request, without those that an early end left out.
pub(crate) async fn bulk(
    State(ingest): State<Ingest>,
    call: Call,
    Scim(body): Scim,
) -> Result<Response, Failure> {
    let plan = Plan::read(body)?;
    let mut outcomes = Outcomes::of(&plan, || ingest.writers.promise_id());
    let mut answers: Vec<Option<Attributes>> = vec![None; plan.operations.len()];
    let mut errors = 0;
    for at in plan.order() {
        if plan.fail_on_errors.is_some_and(|limit| errors >= limit) {
            break;
        }
        let operation = &plan.operations[at];
        let done = carry_out(&ingest, &call, operation, &mut outcomes).await;
        errors += u64::from(done.is_err());
        answers[at] = Some(report(&call, operation, done));
    }
    let answers: Vec<Value> = answers.into_iter().flatten().map(Value::from).collect();
    let body = Attributes::from([
        ("schemas", Value::List(vec![BULK_RESPONSE_URN.into()])),
        ("Operations", answers.into()),
    ]);
    Ok(answer(StatusCode::OK, &body))
}

/// What an operation came to.
struct Done {
    status: StatusCode,
    kind: Kind,
    id: ScimId,
    /// None if the resource is gone.
    version: Option<schemas::Seq>,
}

async fn carry_out(
    ingest: &Ingest,
    call: &Call,
    operation: &Operation,
    outcomes: &mut Outcomes,
) -> Result<Done, Failure> {
    let done = attempt(ingest, call, operation, outcomes).await;
    if let (Method::Post, Some(bulk_id)) = (operation.method, &operation.bulk_id) {
        outcomes.settle(bulk_id, done.as_ref().ok().map(|done| done.id));
    }
    done
}

async fn attempt(
    ingest: &Ingest,
    call: &Call,
    operation: &Operation,
    outcomes: &Outcomes,
) -> Result<Done, Failure> {
    let (kind, id) = operation.target(outcomes)?;
    let data = || outcomes.resolved(operation.data.clone().unwrap_or_default());
    let needed = || id.ok_or_else(|| operation.wrong_path());
    let (action, status) = match operation.method {
        Method::Post if id.is_some() => return Err(operation.wrong_path().into()),
        Method::Post => (Action::Create(data()?), StatusCode::CREATED),
        Method::Put => (Action::Replace(needed()?, data()?), StatusCode::OK),
        Method::Patch => (Action::Patch(needed()?, data()?), StatusCode::OK),
        Method::Delete => (Action::Delete(needed()?), StatusCode::NO_CONTENT),
    };
    let command = action.command(kind, call.access.scim, &call.notes)?;
    let command = version::conditional_on(operation.version.as_deref(), command);
    let promised = outcomes.promised(operation.bulk_id.as_deref());
    let (id, version) = match submit(ingest, call, command, promised).await? {
        Answer::User(user) => (Some(user.id), Some(user.version)),
        Answer::Group(group) => (Some(group.id), Some(group.version)),
        Answer::Gone | Answer::Nothing => (id, None),
    };
    let id = id.ok_or_else(|| operation.wrong_path())?;
    Ok(Done { status, kind, id, version })
}

/// RFC 7644 §3.7.3: the status is a string, and an error comes with its body.
fn report(call: &Call, operation: &Operation, done: Result<Done, Failure>) -> Attributes {
    let mut report = Attributes::from([("method", Value::from(operation.method.as_str()))]);
    if let Some(bulk_id) = &operation.bulk_id {
        report.insert("bulkId", bulk_id.as_str());
    }
    match done {
        Ok(done) => {
            let location = represent::location(&call.base, done.kind.name(), done.id);
            report.insert("location", location);
            if let Some(version) = done.version {
                report.insert("version", version::tag(version));
            }
            report.insert("status", done.status.as_str());
        }
        Err(failure) => {
            let error: &ScimError = failure.error();
            report.insert("status", error.status.to_string());
            report.insert("response", error.body());
        }
    }
    report
}
