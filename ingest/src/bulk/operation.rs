//! One operation of a bulk request, as it was asked for.

use schemas::ScimId;
use schemas::scim::{Attributes, ScimError, ScimType, Value};

use super::outcomes::Outcomes;
use super::references::{self, REFERENCE};
use crate::represent;
use crate::resources::Kind;

/// How long a `bulkId` may be.
const BULK_ID_MAX: usize = 256;

/// One operation, whether or not it can be carried out.
pub(crate) struct Operation {
    pub(crate) label: Label,
    pub(crate) asked: Result<Asked, ScimError>,
}

/// What the answer repeats of an operation, as far as it can be read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Label {
    pub(crate) method: Option<String>,
    pub(crate) bulk_id: Option<String>,
    place: Option<Place>,
}

/// What an operation asks for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) kind: Kind,
    pub(crate) step: Step,
    pub(crate) version: Option<String>,
    /// The operations that it refers to, by their `bulkId`.
    pub(crate) refers_to: Vec<String>,
}

/// What an operation does.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Create { bulk_id: String, data: Attributes },
    Replace(Target, Attributes),
    Patch(Target, Attributes),
    Delete(Target),
}

/// The resource that an operation is done to.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Id(ScimId),
    /// What the operation with this `bulkId` makes.
    Made(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Post,
    Put,
    Patch,
    Delete,
}

/// A path: all of a kind, or one resource by the text that names it.
#[derive(Clone, Debug)]
struct Place {
    kind: Kind,
    one: Option<String>,
}

impl Operation {
    pub(crate) fn read(operation: Value) -> Self {
        let Value::Complex(fields) = operation else {
            let error = syntax("Every one of \"Operations\" must be an object.".to_owned());
            return Self { label: Label::default(), asked: Err(error) };
        };
        let label = Label::read(&fields);
        let asked = Asked::read(fields, &label);
        Self { label, asked }
    }

    /// Refuses it, whatever it asks for.
    pub(crate) fn refuse(&mut self, error: ScimError) {
        self.asked = Err(error);
    }
}

impl Label {
    fn read(fields: &Attributes) -> Self {
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        let method = text("method").map(|method| {
            Method::find(method).map_or_else(|| method.to_owned(), |known| known.as_str().into())
        });
        let place = text("path").and_then(Place::read);
        Self { method, bulk_id: text("bulkId").map(str::to_owned), place }
    }

    /// The address of the resource that the operation named. A POST names none (RFC 7644 §3.7.3).
    pub(crate) fn location(&self, base: &str, outcomes: &Outcomes) -> Option<String> {
        let Place { kind, one } = self.place.as_ref()?;
        let one = one.as_ref().filter(|_| self.method.as_deref() != Some(Method::Post.as_str()))?;
        let made = one.strip_prefix(REFERENCE).and_then(|bulk_id| outcomes.id(bulk_id).ok());
        Some(match made {
            Some(id) => represent::location(base, kind.name(), id),
            None => format!("{base}{}/{}", kind.schema().endpoint, escaped(one)),
        })
    }
}

impl Asked {
    fn read(mut fields: Attributes, label: &Label) -> Result<Self, ScimError> {
        let mut text = |name: &str| match fields.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(syntax(format!("The \"{name}\" of a bulk operation must be a string."))),
        };
        let method = Method::find(&text("method")?.unwrap_or_default()).ok_or_else(|| {
            let detail = "The \"method\" of a bulk operation must be POST, PUT, PATCH or DELETE.";
            syntax(detail.to_owned())
        })?;
        let Some(path) = text("path")? else {
            return Err(syntax("A bulk operation must have a \"path\".".to_owned()));
        };
        let (bulk_id, version) = (text("bulkId")?, text("version")?);
        if bulk_id.as_ref().is_some_and(|id| id.is_empty() || id.len() > BULK_ID_MAX) {
            return Err(syntax(format!("A \"bulkId\" must have 1 to {BULK_ID_MAX} bytes.")));
        }
        let data = match fields.remove("data") {
            Some(Value::Complex(data)) => data,
            None | Some(Value::Null) if method == Method::Delete => Attributes::new(),
            Some(_) | None => {
                return Err(syntax(format!(
                    "A {} in a bulk request must have an object \"data\".",
                    method.as_str()
                )));
            }
        };
        let Some(Place { kind, one }) = &label.place else { return Err(wrong_path(&path, method)) };
        let kind = *kind;
        let target = || match one {
            Some(one) => Target::read(kind, one),
            None => Err(wrong_path(&path, method)),
        };
        let step = match method {
            Method::Post if one.is_some() => return Err(wrong_path(&path, method)),
            Method::Post => {
                let missing = || "A POST in a bulk request must have a \"bulkId\".".to_owned();
                Step::Create { bulk_id: bulk_id.ok_or_else(|| syntax(missing()))?, data }
            }
            Method::Put => Step::Replace(target()?, data),
            Method::Patch => Step::Patch(target()?, data),
            Method::Delete => Step::Delete(target()?),
        };
        let mut asked = Self { kind, step, version, refers_to: Vec::new() };
        asked.refers_to = asked.references();
        Ok(asked)
    }

    fn references(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        let (schema, target) = (self.kind.schema(), self.step.target());
        if let Some(Target::Made(bulk_id)) = target {
            found.push(bulk_id.clone());
        }
        let see: &mut references::See<'_> = &mut |bulk_id| {
            found.push(bulk_id.to_owned());
            None
        };
        match &mut self.step {
            Step::Create { data, .. } | Step::Replace(_, data) => {
                references::in_resource(schema, data, see);
            }
            Step::Patch(_, data) => references::in_patch(schema, data, see),
            Step::Delete(_) => {}
        }
        found
    }
}

impl Step {
    const fn target(&self) -> Option<&Target> {
        match self {
            Self::Create { .. } => None,
            Self::Replace(target, _) | Self::Patch(target, _) | Self::Delete(target) => {
                Some(target)
            }
        }
    }
}

impl Target {
    fn read(kind: Kind, text: &str) -> Result<Self, ScimError> {
        if let Some(bulk_id) = text.strip_prefix(REFERENCE) {
            return Ok(Self::Made(bulk_id.to_owned()));
        }
        let detail = || format!("{} {text:?} does not exist.", kind.name());
        text.parse().map(Self::Id).map_err(|_| ScimError::with_status(404, detail()))
    }

    pub(crate) fn id(&self, outcomes: &Outcomes) -> Result<ScimId, ScimError> {
        match self {
            Self::Id(id) => Ok(*id),
            Self::Made(bulk_id) => outcomes.id(bulk_id),
        }
    }
}

impl Method {
    const ALL: [Self; 4] = [Self::Post, Self::Put, Self::Patch, Self::Delete];

    fn find(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(text))
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

impl Place {
    fn read(path: &str) -> Option<Self> {
        let path = path.trim_end_matches('/');
        let (place, one) = match path.rsplit_once('/') {
            Some((place, one)) if !place.is_empty() => (place, Some(one.to_owned())),
            Some(_) | None => (path, None),
        };
        let mut kinds = [Kind::User, Kind::Group].into_iter();
        let kind = kinds.find(|kind| place.eq_ignore_ascii_case(kind.schema().endpoint))?;
        Some(Self { kind, one })
    }
}

fn wrong_path(path: &str, method: Method) -> ScimError {
    let detail = format!(
        "The path {path:?} does not fit {}: right are \"/Users\" and \"/Groups\" to create, and \"/Users/id\" or \
         \"/Groups/id\" for the others.",
        method.as_str()
    );
    ScimError::new(ScimType::InvalidPath, detail)
}

pub(super) fn syntax(detail: String) -> ScimError {
    ScimError::new(ScimType::InvalidSyntax, detail)
}

/// What may stand in a segment of a path (RFC 3986 §3.3) as it is, and the rest percent-encoded.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}
