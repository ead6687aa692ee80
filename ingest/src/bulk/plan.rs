//! The operations of a bulk request, and in which order they are carried out.

use std::collections::BTreeMap;

use schemas::ScimId;
use schemas::scim::{Attributes, BULK_REQUEST_URN, ScimError, ScimType, Value};

use crate::resources::Kind;

/// How many operations one request may have: they are carried out one after the other, and the client
/// waits for the last.
pub(crate) const OPERATIONS_MAX: usize = 1_000;

/// How long a `bulkId` may be.
const BULK_ID_MAX: usize = 256;

const REFERENCE: &str = "bulkId:";

/// A bulk request.
pub(crate) struct Plan {
    pub(crate) operations: Vec<Operation>,
    /// After how many errors the rest is left out.
    pub(crate) fail_on_errors: Option<u64>,
}

/// One operation.
pub(crate) struct Operation {
    pub(crate) method: Method,
    pub(crate) bulk_id: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) data: Option<Attributes>,
    path: String,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Post,
    Put,
    Patch,
    Delete,
}

/// What became of the resources that operations create.
pub(crate) struct Outcomes(BTreeMap<String, Outcome>);

#[derive(Clone, Copy)]
enum Outcome {
    /// It is to get this id.
    Promised(ScimId),
    /// It is there.
    Made(ScimId),
    Failed,
}

impl Method {
    const ALL: [Self; 4] = [Self::Post, Self::Put, Self::Patch, Self::Delete];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

impl Plan {
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
        let operations: Vec<Operation> =
            operations.into_iter().map(Operation::read).collect::<Result<_, _>>()?;
        distinct(&operations)?;
        Ok(Self { operations, fail_on_errors })
    }

    /// The order of the request, except that what an operation refers to comes before it. Where that
    /// leads in a circle, the order of the request holds.
    pub(crate) fn order(&self) -> Vec<usize> {
        let posts = self.operations.iter().enumerate();
        let posts = posts.filter(|(_, operation)| operation.method == Method::Post);
        let by_id: BTreeMap<&str, usize> =
            posts.filter_map(|(at, operation)| Some((operation.bulk_id.as_deref()?, at))).collect();
        let needs: Vec<Vec<usize>> = (self.operations.iter())
            .map(|operation| {
                let references = operation.references();
                references.iter().filter_map(|id| by_id.get(id.as_str()).copied()).collect()
            })
            .collect();
        let mut order = Vec::with_capacity(needs.len());
        let mut seen = vec![false; needs.len()];
        for at in 0..needs.len() {
            visit(at, &needs, &mut seen, &mut order);
        }
        order
    }
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

impl Operation {
    fn read(operation: Value) -> Result<Self, ScimError> {
        let Value::Complex(mut fields) = operation else {
            return Err(syntax("Every one of \"Operations\" must be an object.".to_owned()));
        };
        let mut text = |name: &str| match fields.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(syntax(format!("The \"{name}\" of a bulk operation must be a string."))),
        };
        let method = text("method")?.unwrap_or_default();
        let known =
            Method::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(&method));
        let method = known.ok_or_else(|| {
            syntax(
                "The \"method\" of a bulk operation must be POST, PUT, PATCH or DELETE.".to_owned(),
            )
        })?;
        let path = text("path")?.unwrap_or_default();
        let (bulk_id, version) = (text("bulkId")?, text("version")?);
        if bulk_id.as_ref().is_some_and(|id| id.is_empty() || id.len() > BULK_ID_MAX) {
            return Err(syntax(format!("A \"bulkId\" must have 1 to {BULK_ID_MAX} bytes.")));
        }
        if method == Method::Post && bulk_id.is_none() {
            return Err(syntax("A POST in a bulk request must have a \"bulkId\".".to_owned()));
        }
        let data = match fields.remove("data") {
            Some(Value::Complex(data)) => Some(data),
            None | Some(Value::Null) if method == Method::Delete => None,
            Some(_) | None => {
                return Err(syntax(format!(
                    "A {} in a bulk request must have an object \"data\".",
                    method.as_str()
                )));
            }
        };
        Ok(Self { method, bulk_id, version, data, path })
    }

    /// The kind of resource, and which if one is named.
    pub(crate) fn target(&self, outcomes: &Outcomes) -> Result<(Kind, Option<ScimId>), ScimError> {
        let path = self.path.trim_end_matches('/');
        let (place, id) = match path.rsplit_once('/') {
            Some((place, id)) if !place.is_empty() => (place, Some(id)),
            Some(_) | None => (path, None),
        };
        let kinds = [Kind::User, Kind::Group];
        let kind =
            kinds.into_iter().find(|kind| place.eq_ignore_ascii_case(kind.schema().endpoint));
        let kind = kind.ok_or_else(|| self.wrong_path())?;
        let Some(id) = id else { return Ok((kind, None)) };
        let id = match id.strip_prefix(REFERENCE) {
            Some(bulk_id) => outcomes.id(bulk_id)?,
            None => {
                let detail = format!("{} {id:?} does not exist.", kind.name());
                id.parse().map_err(|_| ScimError::with_status(404, detail))?
            }
        };
        Ok((kind, Some(id)))
    }

    pub(crate) fn wrong_path(&self) -> ScimError {
        let detail = format!(
            "The path {:?} does not fit {}: right are \"/Users\" and \"/Groups\" to create, and \"/Users/id\" or \
             \"/Groups/id\" for the others.",
            self.path,
            self.method.as_str()
        );
        ScimError::new(ScimType::InvalidPath, detail)
    }

    /// The operations that it refers to, by their `bulkId`.
    fn references(&self) -> Vec<String> {
        let mut found = Vec::new();
        let in_path = self.path.rsplit('/').next().and_then(|last| last.strip_prefix(REFERENCE));
        found.extend(in_path.map(str::to_owned));
        if let Some(data) = &self.data {
            each_text(data, &mut |text| found.extend(references_in(text)));
        }
        found
    }
}

impl Outcomes {
    /// Each gets its id before it exists, so that others can refer to it.
    pub(crate) fn of(plan: &Plan, mut promise: impl FnMut() -> ScimId) -> Self {
        let posts = plan.operations.iter().filter(|operation| operation.method == Method::Post);
        let ids = posts.filter_map(|operation| operation.bulk_id.clone());
        Self(ids.map(|id| (id, Outcome::Promised(promise()))).collect())
    }

    pub(crate) fn promised(&self, bulk_id: Option<&str>) -> Option<ScimId> {
        match self.0.get(bulk_id?)? {
            Outcome::Promised(id) => Some(*id),
            Outcome::Made(_) | Outcome::Failed => None,
        }
    }

    pub(crate) fn settle(&mut self, bulk_id: &str, made: Option<ScimId>) {
        self.0.insert(bulk_id.to_owned(), made.map_or(Outcome::Failed, Outcome::Made));
    }

    fn id(&self, bulk_id: &str) -> Result<ScimId, ScimError> {
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

    /// The data with ids in the place of references, in values and in the filters of PATCH paths.
    pub(crate) fn resolved(&self, mut data: Attributes) -> Result<Attributes, ScimError> {
        let mut wrong = Ok(());
        each_text_mut(&mut data, &mut |text| {
            for bulk_id in references_in(text) {
                match self.id(&bulk_id) {
                    Ok(id) if text.starts_with(REFERENCE) => *text = id.to_string(),
                    Ok(id) => {
                        let quoted = format!("\"{REFERENCE}{bulk_id}\"");
                        *text = text.replace(&quoted, &format!("\"{id}\""));
                    }
                    Err(error) => wrong = Err(error),
                }
            }
        });
        wrong.map(|()| data)
    }
}

/// A whole text, or what stands in quotation marks in the filter of a path, is a reference if it begins
/// as one.
fn references_in(text: &str) -> Vec<String> {
    if let Some(bulk_id) = text.strip_prefix(REFERENCE) {
        return vec![bulk_id.to_owned()];
    }
    let quoted = text.split('"').skip(1).step_by(2);
    quoted.filter_map(|part| part.strip_prefix(REFERENCE)).map(str::to_owned).collect()
}

fn distinct(operations: &[Operation]) -> Result<(), ScimError> {
    let mut seen = std::collections::BTreeSet::new();
    for id in operations.iter().filter_map(|operation| operation.bulk_id.as_deref()) {
        if !seen.insert(id) {
            return Err(syntax(format!("Two operations have the bulkId {id:?}.")));
        }
    }
    Ok(())
}

fn syntax(detail: String) -> ScimError {
    ScimError::new(ScimType::InvalidSyntax, detail)
}

/// Depth is bounded where bodies are read.
fn each_text(tree: &Attributes, see: &mut impl FnMut(&str)) {
    tree.iter().for_each(|(_, value)| each_text_in(value, see));
}

fn each_text_in(value: &Value, see: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => see(text),
        Value::List(items) => items.iter().for_each(|item| each_text_in(item, see)),
        Value::Complex(parts) => each_text(parts, see),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Decimal(_) => {}
    }
}

fn each_text_mut(tree: &mut Attributes, change: &mut impl FnMut(&mut String)) {
    tree.iter_mut().for_each(|(_, value)| each_text_in_mut(value, change));
}

fn each_text_in_mut(value: &mut Value, change: &mut impl FnMut(&mut String)) {
    match value {
        Value::String(text) => change(text),
        Value::List(items) => items.iter_mut().for_each(|item| each_text_in_mut(item, change)),
        Value::Complex(parts) => each_text_mut(parts, change),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Decimal(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use schemas::scim::parse;

    use super::*;

    fn plan(operations: &str) -> Result<Plan, ScimError> {
        let body = format!(r#"{{"schemas":["{BULK_REQUEST_URN}"],"Operations":[{operations}]}}"#);
        Plan::read(parse(body.as_bytes()).unwrap())
    }

    fn post(id: &str, refers_to: &str) -> String {
        format!(
            r#"{{"method":"POST","path":"/Users","bulkId":"{id}","data":{{"manager":{{"value":"{refers_to}"}}}}}}"#
        )
    }

    #[test]
    fn what_is_referred_to_comes_first_and_a_circle_ends() {
        let of = |operations: &[String]| plan(&operations.join(",")).unwrap().order();
        let forward = [post("a", "bulkId:b"), post("b", "bulkId:c"), post("c", "x")];
        assert_eq!(of(&forward), [2, 1, 0]);
        let circle = [post("a", "bulkId:b"), post("b", "bulkId:a"), post("c", "")];
        assert_eq!(of(&circle), [1, 0, 2]);
        let itself = [post("a", "bulkId:a")];
        assert_eq!(of(&itself), [0]);
    }

    #[test]
    fn references_become_ids_in_values_and_in_paths() {
        let plan = plan(&post("a", "")).unwrap();
        let outcomes = Outcomes::of(&plan, || ScimId::from_bits(7));
        let data = parse(br#"{"members":[{"value":"bulkId:a"}],"path":"members[value eq \"bulkId:a\"]","note":"see bulkId:a"}"#);
        let resolved = outcomes.resolved(data.unwrap()).unwrap();
        let id = ScimId::from_bits(7).to_string();
        let expected = format!(
            r#"{{"members":[{{"value":"{id}"}}],"path":"members[value eq \"{id}\"]","note":"see bulkId:a"}}"#
        );
        assert_eq!(serde_json::to_string(&resolved).unwrap(), expected);
    }

    #[test]
    fn a_reference_to_what_has_failed_or_never_was_is_a_conflict() {
        let mut outcomes = Outcomes::of(&plan(&post("a", "")).unwrap(), || ScimId::from_bits(7));
        outcomes.settle("a", None);
        for id in ["a", "nobody"] {
            assert_eq!(outcomes.id(id).unwrap_err().status, 409);
        }
    }

    #[test]
    fn what_is_no_bulk_request_is_refused() {
        for wrong in [
            r#"{"method":"GET","path":"/Users"}"#,
            r#"{"method":"POST","path":"/Users","data":{}}"#,
            r#"{"method":"POST","path":"/Users","bulkId":"a"}"#,
            r#"{"method":"DELETE","path":7}"#,
            "7",
        ] {
            assert_eq!(plan(wrong).err().map(|error| error.status), Some(400), "{wrong}");
        }
        let twice = [post("a", ""), post("a", "")].join(",");
        assert_eq!(plan(&twice).err().map(|error| error.status), Some(400));
        let many = vec![post("a", ""); OPERATIONS_MAX + 1].join(",");
        assert_eq!(plan(&many).err().map(|error| error.status), Some(413));
    }
}
