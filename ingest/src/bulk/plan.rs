//! The operations of a bulk request, and in which order they are carried out.

use std::collections::{BTreeMap, BTreeSet};

use schemas::scim::{Attributes, BULK_REQUEST_URN, ScimError, Value};

use super::operation::{Operation, Step, syntax};

/// How many operations one request may have: they are carried out one after the other, and the client
/// waits for the last.
pub(crate) const OPERATIONS_MAX: usize = 1_000;

/// A bulk request.
pub(crate) struct Plan {
    pub(crate) operations: Vec<Operation>,
    /// After how many errors the rest is left out.
    pub(crate) fail_on_errors: Option<u64>,
}

impl Plan {
    /// Refuses what is no bulk request. An operation that cannot be read is refused by itself, when its
    /// turn comes.
    pub(crate) fn read(mut body: Attributes) -> Result<Self, ScimError> {
        let schemas = body.get("schemas").and_then(Value::as_list).unwrap_or_default();
        let named = |urn: &Value| {
            urn.as_str().is_some_and(|urn| urn.eq_ignore_ascii_case(BULK_REQUEST_URN))
        };
        if !schemas.iter().any(named) {
            let detail = format!(
                "The attribute \"schemas\" of a bulk request must be [\"{BULK_REQUEST_URN}\"]."
            );
            return Err(syntax(detail));
        }
        let fail_on_errors = match body.get("failOnErrors") {
            None | Some(Value::Null) => None,
            Some(Value::Integer(limit)) if *limit > 0 => Some(limit.unsigned_abs()),
            Some(_) => {
                return Err(syntax("\"failOnErrors\" must be a whole number from 1.".to_owned()));
            }
        };
        let operations = match body.remove("Operations") {
            Some(Value::List(operations)) if !operations.is_empty() => operations,
            Some(_) | None => {
                return Err(syntax("A bulk request must have a list \"Operations\".".to_owned()));
            }
        };
        if operations.len() > OPERATIONS_MAX {
            let detail = format!(
                "One bulk request may have at most {OPERATIONS_MAX} operations (maxOperations in /ServiceProviderConfig)."
            );
            return Err(ScimError::with_status(413, detail));
        }
        let mut operations: Vec<_> = operations.into_iter().map(Operation::read).collect();
        refuse_repeated(&mut operations);
        Ok(Self { operations, fail_on_errors })
    }

    /// The order of the request, except that what an operation refers to comes before it: it waits until all of that, and what
    /// this refers to in turn, has come, and nothing else is moved. Where references lead in a circle, the circle is carried out
    /// as soon as the last of it has come.
    pub(crate) fn order(&self) -> Vec<usize> {
        let needs = self.needs();
        let mut ready_at = vec![Vec::new(); needs.len()];
        for (at, last) in last_needed(&needs).into_iter().enumerate() {
            ready_at[last].push(at);
        }
        let mut order = Vec::with_capacity(needs.len());
        let mut seen = vec![false; needs.len()];
        for at in ready_at.into_iter().flatten() {
            visit(at, &needs, &mut seen, &mut order);
        }
        order
    }

    /// The operations to which each refers.
    fn needs(&self) -> Vec<Vec<usize>> {
        let asked = || self.operations.iter().map(|operation| operation.asked.as_ref().ok());
        let mut by_id = BTreeMap::new();
        for (at, asked) in asked().enumerate() {
            if let Some(Step::Create { bulk_id, .. }) = asked.map(|asked| &asked.step) {
                by_id.insert(bulk_id.as_str(), at);
            }
        }
        let needs = asked().map(|asked| {
            let references = asked.map(|asked| asked.refers_to.as_slice()).unwrap_or_default();
            references.iter().filter_map(|id| by_id.get(id.as_str()).copied()).collect()
        });
        needs.collect()
    }
}

/// The last operation of all that each refers to, and these in turn; itself if that is later.
fn last_needed(needs: &[Vec<usize>]) -> Vec<usize> {
    let mut needed_by = vec![Vec::new(); needs.len()];
    for (at, needs) in needs.iter().enumerate() {
        needs.iter().for_each(|needed| needed_by[*needed].push(at));
    }
    let mut last = vec![None; needs.len()];
    // From the last on, so that whoever leads to it is settled by the first that finds it.
    for at in (0..needs.len()).rev() {
        let mut open = vec![at];
        while let Some(one) = open.pop() {
            if last[one].is_none() {
                last[one] = Some(at);
                open.extend(&needed_by[one]);
            }
        }
    }
    last.into_iter().map(|last| last.expect("each leads to itself")).collect()
}

/// Depth first, with a stack of its own: a chain may be as long as the request.
fn visit(from: usize, needs: &[Vec<usize>], seen: &mut [bool], order: &mut Vec<usize>) {
    if std::mem::replace(&mut seen[from], true) {
        return;
    }
    let mut path = vec![(from, 0)];
    while let Some((at, next)) = path.last_mut() {
        match needs[*at].get(*next) {
            Some(&needed) => {
                *next += 1;
                if !std::mem::replace(&mut seen[needed], true) {
                    path.push((needed, 0));
                }
            }
            None => {
                order.push(*at);
                path.pop();
            }
        }
    }
}

/// A `bulkId` stands for the first operation that has it.
fn refuse_repeated(operations: &mut [Operation]) {
    let mut seen = BTreeSet::new();
    for operation in operations {
        let Some(id) = operation.label.bulk_id.clone() else { continue };
        if seen.contains(&id) {
            let detail = format!("An operation before this one has the bulkId {id:?} already.");
            operation.refuse(syntax(detail));
        }
        seen.insert(id);
    }
}

#[cfg(test)]
mod tests;
