//! The requests that name what belongs to others, made from the description of the API.

use serde_json::{Map, Value, json};

use super::world::World;

/// A call of the description.
pub(super) struct Call {
    pub(super) method: String,
    path: String,
    operation: Value,
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    /// The call that it is of.
    pub(super) call: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) accept: String,
    pub(super) body: Option<Value>,
    /// What of others it names.
    pub(super) named: String,
}

impl Probe {
    pub(super) fn is_reading(&self) -> bool {
        self.method == "get"
    }
}

/// Every call, those that read first: nothing that they show changes in between.
pub(super) fn calls(description: &Value) -> Vec<Call> {
    let mut calls = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let (method, path) = (method.clone(), path.clone());
            calls.push(Call { method, path, operation: operation.clone() });
        }
    }
    calls.sort_by_key(|call| call.method != "get");
    calls
}

impl Call {
    /// Its path with this for the last of its parameters. Only a directory has something below it that has
    /// an id of its own.
    pub(super) fn at(&self, directory: &str, last: &str) -> String {
        let parts: Vec<&str> = self.path.split_inclusive('}').collect();
        let holes = self.path.matches('{').count();
        let fill = |(index, part): (usize, &&str)| match part.split_once('{') {
            Some((before, _)) => {
                format!("{before}{}", if index + 1 < holes { directory } else { last })
            }
            None => (*part).to_owned(),
        };
        parts.iter().enumerate().map(fill).collect()
    }

    /// Its path with each of what somebody has.
    pub(super) fn at_any_of(&self, world: &World) -> Vec<String> {
        let every = world.ids.iter().chain(&world.external).take(if self.path.contains('{') {
            usize::MAX
        } else {
            1
        });
        every.map(|last| self.at(&world.ids[0], last)).collect()
    }

    fn parameters(&self) -> impl Iterator<Item = &Value> {
        self.operation["parameters"].as_array().into_iter().flatten()
    }

    /// The parameters of the query that take any text.
    fn texts(&self) -> impl Iterator<Item = &str> {
        let texts = self.parameters().filter(|one| one["in"] == "query");
        let texts = texts.filter(|one| one["schema"]["type"] == "string");
        texts.filter_map(|one| one["name"].as_str())
    }

    /// The parameter that a list has to be narrowed by.
    pub(super) fn narrowing(&self) -> Option<&str> {
        self.texts().find(|name| *name == "directory")
    }

    /// Whether it shows what belongs to one organization, and not what belongs to all.
    pub(super) fn is_about_one(&self) -> bool {
        self.path.contains('{') || self.narrowing().is_some()
    }

    /// The forms in which it answers.
    fn forms(&self) -> Vec<String> {
        let good = &self.operation["responses"]["200"]["content"];
        let forms: Vec<String> =
            good.as_object().into_iter().flat_map(Map::keys).cloned().collect();
        if forms.is_empty() { vec!["application/json".to_owned()] } else { forms }
    }

    fn body(&self) -> Option<&Value> {
        let body = &self.operation["requestBody"]["content"]["application/json"]["schema"];
        body.is_object().then_some(body)
    }

    fn probe(&self, path: &str, accept: &str, body: Option<Value>, named: &str) -> Probe {
        let (method, call) = (self.method.clone(), format!("{} {}", self.method, self.path));
        let (path, accept) = (path.to_owned(), accept.to_owned());
        Probe { call, method, path, accept, body, named: named.to_owned() }
    }
}

/// What reads what is its own.
pub(super) fn of_its_own(calls: &[Call], own: &World) -> Vec<Probe> {
    let mut probes = Vec::new();
    for call in calls.iter().filter(|call| call.method == "get") {
        for path in call.at_any_of(own) {
            for form in call.forms() {
                probes.push(call.probe(&path, &form, None, ""));
                if let Some(name) = call.narrowing() {
                    let path = format!("{path}?{name}={}", own.ids[0]);
                    probes.push(call.probe(&path, &form, None, ""));
                }
            }
        }
    }
    probes
}

/// What names something of others, each with the same request for what is not there.
pub(super) fn of_others(calls: &[Call], own: &World, other: &World) -> Vec<(Probe, Probe)> {
    let values = [other.ids.clone(), other.texts()].concat();
    let mut probes = Vec::new();
    for call in calls {
        for named in &values {
            let both = [named.clone(), twin(named)];
            let [there, nowhere] = both.map(|named| naming(call, own, other, &named));
            probes.extend(there.into_iter().zip(nowhere));
        }
    }
    probes
}

/// Every request of this call that names this.
fn naming(call: &Call, own: &World, other: &World, named: &str) -> Vec<Probe> {
    let mut probes = Vec::new();
    let body = call.body().map(|schema| filled(schema, None, named));
    for form in call.forms() {
        if call.path.contains('{') {
            // Below what is its own, and below what is of others.
            for above in [&own.ids[0], &other.ids[0]] {
                let path = call.at(above, named);
                probes.push(call.probe(&path, &form, body.clone(), named));
            }
        }
        let path = call.at(&own.ids[0], &own.ids[0]);
        for name in call.texts() {
            let path = format!("{path}?{name}={named}");
            probes.push(call.probe(&path, &form, body.clone(), named));
            // A list may have to be narrowed before anything else counts.
            if let Some(narrowing) = call.narrowing().filter(|narrowing| *narrowing != name) {
                let path = format!("{path}&{narrowing}={}", own.ids[0]);
                probes.push(call.probe(&path, &form, body.clone(), named));
            }
        }
    }
    probes.extend(naming_in_body(call, own, named));
    probes
}

/// Every request that changes something of its own, with this in the body.
fn naming_in_body(call: &Call, own: &World, named: &str) -> Vec<Probe> {
    let Some(schema) = call.body() else { return Vec::new() };
    let mut probes = Vec::new();
    for property in schema["properties"].as_object().into_iter().flat_map(Map::keys) {
        let body = filled(schema, Some(property), named);
        if body.to_string().contains(named) {
            for path in call.at_any_of(own) {
                probes.push(call.probe(&path, "application/json", Some(body.clone()), named));
            }
        }
    }
    probes
}

/// A body with what is required, and this in one of its properties.
fn filled(schema: &Value, property: Option<&String>, named: &str) -> Value {
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut body: Map<String, Value> = required
        .map(|name| (name.to_owned(), value(&schema["properties"][name], "harmless")))
        .collect();
    if let Some(name) = property {
        body.insert(name.clone(), value(&schema["properties"][name], named));
    }
    Value::Object(body)
}

/// A value that fits, with this wherever any text fits.
fn value(schema: &Value, text: &str) -> Value {
    if let Some(first) = schema["anyOf"].get(0).or_else(|| schema["enum"].get(0)) {
        return if schema["anyOf"].is_array() { value(first, text) } else { first.clone() };
    }
    match schema["type"].as_str() {
        Some("string") => json!(text),
        Some("integer") => schema["minimum"].clone(),
        Some("boolean") => json!(false),
        Some("array") => json!([value(&schema["items"], text)]),
        Some("object") => {
            let properties = schema["properties"].as_object().into_iter().flatten();
            properties.map(|(name, schema)| (name.clone(), value(schema, text))).collect()
        }
        _ => Value::Null,
    }
}

/// The same kind of thing, at the same place in every order, that is not there.
fn twin(named: &str) -> String {
    let (start, last) = named.split_at(named.len() - 1);
    let other = match last {
        "z" => "y",
        "Z" => "Y",
        small if small.chars().all(char::is_lowercase) => "z",
        _ => "Z",
    };
    format!("{start}{other}")
}
