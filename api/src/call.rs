//! A call of the API as data: its route and its description are the same thing, so that neither can
//! tell of what the other does not have.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::handler::Handler;
use axum::http::StatusCode;
use axum::middleware;
use axum::routing::{MethodFilter, MethodRouter, on};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use schemas::Action;
use serde_json::{Value, json};

use crate::admin_events::{Recorded, record};
use crate::idempotency;
use crate::router::Api;

/// What a key must be allowed to do for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anyone may, without a key.
    Anyone,
    /// To read.
    Read,
    /// Everything.
    Write,
    /// To read, or to audit.
    Audit,
}

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Path,
    Query,
    Header,
}

/// A parameter.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    pub(crate) says: &'static str,
    pub(crate) schema: Value,
}

/// Makes the schema of a body.
pub(crate) type MakeSchema = fn(&mut SchemaGenerator) -> Schema;

/// One call.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) says: &'static str,
    pub(crate) access: Access,
    /// What it is in the audit trail. Every call that changes something is something there.
    pub(crate) action: Option<Action>,
    parameters: Vec<Parameter>,
    /// The JSON Schema of the body; bodies are read field by field.
    pub(crate) body: Option<Value>,
    pub(crate) status: StatusCode,
    pub(crate) answer: Option<MakeSchema>,
    /// The content type of the answer.
    pub(crate) kind: &'static str,
    /// Other forms of the answer, by their content type.
    pub(crate) streams: &'static [&'static str],
    handler: MethodRouter<Api>,
}

macro_rules! methods {
    ($($name:ident = $method:literal, $filter:ident, $access:ident;)*) => { $(
        #[doc = concat!("A call with ", $method, ".")]
        pub(crate) fn $name<H, T>(path: &'static str, handler: H) -> Call
        where
            H: Handler<T, Api>,
            T: 'static,
        {
            Call::new($method, path, Access::$access, on(MethodFilter::$filter, handler))
        }
    )* };
}

methods! {
    get = "get", GET, Read;
    post = "post", POST, Write;
    put = "put", PUT, Write;
    patch = "patch", PATCH, Write;
    delete = "delete", DELETE, Write;
}

impl Call {
    fn new(
        method: &'static str,
        path: &'static str,
        access: Access,
        handler: MethodRouter<Api>,
    ) -> Self {
        let names = path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
        let in_path = |name| Parameter {
            name,
            place: Place::Path,
            says: "",
            schema: json!({ "type": "string", "minLength": 1 }),
        };
        let parameters = names.map(in_path).collect();
        Self {
            method,
            path,
            says: "",
            access,
            action: None,
            parameters,
            body: None,
            status: StatusCode::OK,
            answer: None,
            kind: "application/json",
            streams: &[],
            handler,
        }
    }

    /// What it does, in one sentence.
    pub(crate) const fn says(mut self, says: &'static str) -> Self {
        self.says = says;
        self
    }

    /// What it is in the audit trail.
    pub(crate) const fn does(mut self, action: Action) -> Self {
        self.action = Some(action);
        self
    }

    /// Who may.
    pub(crate) const fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// A parameter of the query string.
    pub(crate) fn query(mut self, name: &'static str, schema: Value, says: &'static str) -> Self {
        self.parameters.push(Parameter { name, place: Place::Query, says, schema });
        self
    }

    /// A parameter that is a text.
    pub(crate) fn text(self, name: &'static str, says: &'static str) -> Self {
        self.query(name, json!({ "type": "string" }), says)
    }

    /// A parameter that is a time.
    pub(crate) fn time(self, name: &'static str, says: &'static str) -> Self {
        self.query(name, json!({ "type": "string", "format": "date-time" }), says)
    }

    /// The parameters of a list.
    pub(crate) fn paged(self) -> Self {
        self.query(
            "limit",
            json!({ "type": "integer", "minimum": 1, "maximum": 100, "default": 10 }),
            "How many items at most.",
        )
        .query("order", json!({ "enum": ["asc", "desc", "normal"] }), "By time of creation.")
        .text("after", "The items behind the one with this id.")
        .text("before", "The items in front of the one with this id.")
    }

    /// The body that it takes.
    pub(crate) fn takes(mut self, schema: Value) -> Self {
        self.body = Some(schema);
        self
    }

    /// What it answers when all is well.
    pub(crate) fn answers<T: JsonSchema>(self, status: StatusCode) -> Self {
        self.answers_as(status, |generator| generator.subschema_for::<T>())
    }

    /// The same, with a schema of its own.
    pub(crate) const fn answers_as(mut self, status: StatusCode, answer: MakeSchema) -> Self {
        self.status = status;
        self.answer = Some(answer);
        self
    }

    /// The content type of the answer, where it is not the usual one.
    pub(crate) const fn of_type(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    /// The same for a list of these.
    pub(crate) fn lists<T: JsonSchema>(mut self) -> Self {
        self.answer = Some(|generator| {
            let item = generator.subschema_for::<T>();
            list_of(&item)
        });
        self
    }

    /// Other forms that `Accept` may ask for.
    pub(crate) const fn streams(mut self, kinds: &'static [&'static str]) -> Self {
        self.streams = kinds;
        self
    }

    /// It answers with this status and nothing else.
    pub(crate) const fn done(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// What it may be given beside its body.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = Parameter> {
        let key = || Parameter {
            name: "Idempotency-Key",
            place: Place::Header,
            says: "The same request with the same key is done once in 24 hours and answered alike.",
            schema: json!({ "type": "string", "minLength": 1, "maxLength": 255 }),
        };
        self.parameters.iter().cloned().chain(self.is_done_once().then(key))
    }

    /// Whether it makes something anew each time it is called, so that who repeats it has to say so.
    fn is_done_once(&self) -> bool {
        self.method == "post" && self.access == Access::Write
    }

    /// Adds it to the routes.
    pub(crate) fn route(self, router: axum::Router<Api>, api: &Api) -> axum::Router<Api> {
        let (path, is_done_once, recorded) = (self.path, self.is_done_once(), self.recorded(api));
        let mut handler = self.handler;
        if let Some(recorded) = recorded {
            handler = handler.route_layer(middleware::from_fn_with_state(recorded, record));
        }
        if is_done_once {
            // Around the record: what is answered again is not done again.
            let once = middleware::from_fn_with_state(api.clone(), idempotency::once);
            handler = handler.route_layer(once);
        }
        router.route(path, handler)
    }

    fn recorded(&self, api: &Api) -> Option<Recorded> {
        let properties = self.body.as_ref().and_then(|body| body["properties"].as_object());
        let fields: BTreeSet<String> =
            properties.into_iter().flat_map(|fields| fields.keys().cloned()).collect();
        let action = self.action?;
        Some(Recorded { api: api.clone(), action, fields: Arc::new(fields) })
    }
}

fn list_of(item: &Schema) -> Schema {
    let cursor = json!({ "type": ["string", "null"] });
    schemars::json_schema!({
        "type": "object",
        "required": ["object", "data", "list_metadata"],
        "properties": {
            "object": { "const": "list" },
            "data": { "type": "array", "items": item },
            "list_metadata": {
                "type": "object",
                "required": ["before", "after"],
                "properties": { "before": cursor, "after": cursor },
            },
        },
    })
}
