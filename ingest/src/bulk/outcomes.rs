//! What has become of the resources that the operations of a bulk request create.

use std::collections::BTreeMap;

use schemas::ScimId;
use schemas::scim::{Attributes, ScimError};

use super::operation::{Operation, Step};
use super::references;
use crate::resources::{Action, Kind};

/// By `bulkId`.
pub(crate) struct Outcomes(BTreeMap<String, Outcome>);

#[derive(Clone, Copy)]
enum Outcome {
    /// It is to get this id.
    Promised(ScimId),
    /// It is there.
    Made(ScimId),
    Failed,
}

impl Outcomes {
    /// Each gets its id before it exists, so that others can refer to it.
    pub(crate) fn of(operations: &[Operation], mut promise: impl FnMut() -> ScimId) -> Self {
        let mut outcomes = BTreeMap::new();
        for operation in operations {
            let Some(bulk_id) = &operation.label.bulk_id else { continue };
            let outcome = match &operation.asked {
                Ok(asked) if matches!(asked.step, Step::Create { .. }) => {
                    Outcome::Promised(promise())
                }
                // What others refer to is made by a POST.
                Ok(_) => continue,
                Err(_) => Outcome::Failed,
            };
            outcomes.entry(bulk_id.clone()).or_insert(outcome);
        }
        Self(outcomes)
    }

    pub(crate) fn settle(&mut self, bulk_id: &str, made: Option<ScimId>) {
        self.0.insert(bulk_id.to_owned(), made.map_or(Outcome::Failed, Outcome::Made));
    }

    /// The id that the resource has or is to get.
    pub(crate) fn id(&self, bulk_id: &str) -> Result<ScimId, ScimError> {
        let refuse = |what: &str| {
            let detail =
                format!("The operation with bulkId {bulk_id:?}, to which this one refers, {what}.");
            Err(ScimError::with_status(409, detail))
        };
        match self.0.get(bulk_id) {
            Some(Outcome::Promised(id) | Outcome::Made(id)) => Ok(*id),
            Some(Outcome::Failed) => refuse("has failed"),
            None => refuse("is not a POST of this request"),
        }
    }

    /// What to do, with ids in the place of references; and the id of the resource it is done to.
    pub(crate) fn resolved(&self, kind: Kind, step: Step) -> Result<(ScimId, Action), ScimError> {
        let data = |data: Attributes, walk: Walk| {
            let (mut data, mut wrong) = (data, Ok(()));
            walk(kind.schema(), &mut data, &mut |bulk_id| match self.id(bulk_id) {
                Ok(id) => Some(id.to_string()),
                Err(error) => {
                    wrong = Err(error);
                    None
                }
            });
            wrong.map(|()| data)
        };
        Ok(match step {
            Step::Create { bulk_id, data: body } => {
                (self.id(&bulk_id)?, Action::Create(data(body, references::in_resource)?))
            }
            Step::Replace(target, body) => {
                let id = target.id(self)?;
                (id, Action::Replace(id, data(body, references::in_resource)?))
            }
            Step::Patch(target, body) => {
                let id = target.id(self)?;
                (id, Action::Patch(id, data(body, references::in_patch)?))
            }
            Step::Delete(target) => {
                let id = target.id(self)?;
                (id, Action::Delete(id))
            }
        })
    }
}

type Walk = fn(&schemas::scim::ResourceSchema, &mut Attributes, &mut references::See<'_>);
