//! Bulk requests, RFC 7644 §3.7: many operations in one request, each for itself.
//!
//! What refers to the resource of another operation (`bulkId:…`) is carried out after that one. Users may
//! refer to each other in a circle: their ids are promised before they exist.

mod operation;
mod outcomes;
mod plan;
mod references;

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
use crate::resources::{Kind, submit};
use crate::respond::answer;
use crate::version;
use operation::{Asked, Label, Operation, Step};
use outcomes::Outcomes;
use plan::Plan;

pub(crate) use plan::OPERATIONS_MAX;

/// Carries out the operations, each in a commit of its own; the answer has them in the order of the
/// request, without those that an early end left out.
pub(crate) async fn bulk(
    State(ingest): State<Ingest>,
    call: Box<Call>,
    Scim(body): Scim,
) -> Result<Response, Failure> {
    let plan = Plan::read(body)?;
    let order = plan.order();
    let mut outcomes = Outcomes::of(&plan.operations, || ingest.writers.promise_id());
    let mut operations: Vec<_> = plan.operations.into_iter().map(Some).collect();
    let mut answers: Vec<Option<Attributes>> = vec![None; operations.len()];
    let mut errors = 0;
    for at in order {
        if plan.fail_on_errors.is_some_and(|limit| errors >= limit) {
            break;
        }
        let Some(Operation { label, asked }) = operations[at].take() else { continue };
        let done = match asked {
            Ok(asked) => carry_out(&ingest, &call, asked, &mut outcomes).await,
            Err(error) => Err(error.into()),
        };
        errors += u64::from(done.is_err());
        answers[at] = Some(report(&call, &label, &outcomes, done));
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
    asked: Asked,
    outcomes: &mut Outcomes,
) -> Result<Done, Failure> {
    let creates = match &asked.step {
        Step::Create { bulk_id, .. } => Some(bulk_id.clone()),
        Step::Replace(..) | Step::Patch(..) | Step::Delete(_) => None,
    };
    let done = attempt(ingest, call, asked, outcomes).await;
    if let Some(bulk_id) = creates {
        outcomes.settle(&bulk_id, done.as_ref().ok().map(|done| done.id));
    }
    done
}

async fn attempt(
    ingest: &Ingest,
    call: &Call,
    asked: Asked,
    outcomes: &Outcomes,
) -> Result<Done, Failure> {
    let Asked { kind, step, version, .. } = asked;
    let (status, creates) = match &step {
        Step::Create { .. } => (StatusCode::CREATED, true),
        Step::Replace(..) | Step::Patch(..) => (StatusCode::OK, false),
        Step::Delete(_) => (StatusCode::NO_CONTENT, false),
    };
    let (id, action) = outcomes.resolved(kind, step)?;
    let command = action.command(kind, call.access.scim, &call.notes)?;
    let command = version::conditional_on(version.as_deref(), command);
    let version = match submit(ingest, call, command, creates.then_some(id)).await? {
        Answer::User(user) => Some(user.version),
        Answer::Group(group) => Some(group.version),
        Answer::Gone | Answer::Nothing => None,
    };
    Ok(Done { status, kind, id, version })
}

/// RFC 7644 §3.7.3: the status is a string, and an error comes with its body. Every operation but a POST
/// that failed has a location.
fn report(
    call: &Call,
    label: &Label,
    outcomes: &Outcomes,
    done: Result<Done, Failure>,
) -> Attributes {
    let mut report = Attributes::new();
    for (name, text) in [("method", &label.method), ("bulkId", &label.bulk_id)] {
        if let Some(text) = text {
            report.insert(name, text.as_str());
        }
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
            if let Some(location) = label.location(&call.base, outcomes) {
                report.insert("location", location);
            }
            let error: &ScimError = failure.error();
            report.insert("status", error.status.to_string());
            report.insert("response", error.body());
        }
    }
    report
}
