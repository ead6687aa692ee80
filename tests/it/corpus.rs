//! Plays the conversations in `tests/corpus`; its README says how they are written.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};
use tests::{Directory, Server};

/// How many statements the corpus makes. It only grows.
const STATEMENTS_MIN: usize = 855;

#[tokio::test(flavor = "multi_thread")]
async fn every_conversation_of_the_corpus_goes_as_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut statements = 0;
    let mut wrong = Vec::new();
    let mut files: Vec<_> =
        std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files.iter().filter(|file| file.extension().is_some_and(|is| is == "json")) {
        let text = std::fs::read_to_string(file).unwrap();
        let conversation: Value = serde_json::from_str(&text).unwrap();
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let mut playing = Playing::new(&server, &name, &conversation).await;
        for (at, step) in conversation["steps"].as_array().unwrap().iter().enumerate() {
            playing.step(at, step).await;
        }
        statements += playing.statements;
        wrong.append(&mut playing.wrong);
    }
    assert!(wrong.is_empty(), "{} of {statements}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(statements >= STATEMENTS_MIN, "only {statements} statements");
}

/// A conversation that is being played.
struct Playing<'a> {
    server: &'a Server,
    directory: Directory,
    name: String,
    kept: BTreeMap<String, String>,
    events: usize,
    statements: usize,
    wrong: Vec<String>,
}

impl<'a> Playing<'a> {
    async fn new(server: &'a Server, name: &str, conversation: &Value) -> Self {
        let provider = conversation["provider"].as_str().unwrap();
        let directory = server.api().directory(provider, name).await;
        let (kept, wrong) = (BTreeMap::new(), Vec::new());
        Self { server, directory, name: name.to_owned(), kept, events: 0, statements: 0, wrong }
    }

    async fn step(&mut self, at: usize, step: &Value) {
        let step = self.filled(step);
        let (method, path) = step["send"].as_str().unwrap().split_once(' ').unwrap();
        let body = match (&step["raw"], &step["body"]) {
            (Value::String(raw), _) => Some(raw.clone().into_bytes()),
            (_, Value::Null) => None,
            (_, body) => Some(body.to_string().into_bytes()),
        };
        let headers = self.headers(step["headers"].as_object(), body.is_some());
        let headers: Vec<_> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let answer = self.directory.send_headers(method, path, body, &headers).await.unwrap();
        let place = format!("{}, step {}: {method} {path}", self.name, at + 1);
        let status = Value::from(answer.status);
        self.state(&place, "status", &step["status"], &status, &answer.body);
        if answer.status >= 400 {
            let body = &answer.body;
            let is_error = body["schemas"][0] == "urn:ietf:params:scim:api:messages:2.0:Error"
                && body["status"].as_str() == Some(&*answer.status.to_string())
                && body["detail"].as_str().is_some_and(|detail| detail.len() > 10)
                && answer.content_type.as_deref() == Some("application/scim+json");
            self.state(&place, "error body", &true.into(), &is_error.into(), body);
        }
        self.check_body(&place, &step, &answer.body);
        for (name, pointer) in step["keep"].as_object().unwrap_or(&Map::new()) {
            let value = answer.body.pointer(pointer.as_str().unwrap());
            let value = value.and_then(Value::as_str).unwrap_or_else(|| panic!("{place}: {name}"));
            self.kept.insert(name.clone(), value.to_owned());
        }
        if let Some(expected) = step["events"].as_array() {
            let caused = Value::from(self.new_events().await);
            self.state(&place, "events", &expected.clone().into(), &caused, &Value::Null);
        }
    }

    fn check_body(&mut self, place: &str, step: &Value, body: &Value) {
        let none = Map::new();
        if let Some(scim_type) = step.get("type") {
            self.state(place, "scimType", scim_type, &body["scimType"], body);
        }
        for (pointer, value) in step["has"].as_object().unwrap_or(&none) {
            let found = body.pointer(pointer).cloned().unwrap_or_default();
            self.state(place, pointer, value, &found, body);
        }
        for (pointer, count) in step["counts"].as_object().unwrap_or(&none) {
            let found = body.pointer(pointer).and_then(Value::as_array).map(Vec::len);
            self.state(place, pointer, count, &Value::from(found), body);
        }
        for pointer in step["lacks"].as_array().unwrap_or(&Vec::new()) {
            let pointer = pointer.as_str().unwrap();
            let found = body.pointer(pointer).cloned().unwrap_or_default();
            self.state(place, pointer, &Value::Null, &found, body);
        }
    }

    fn state(&mut self, place: &str, what: &str, expected: &Value, found: &Value, body: &Value) {
        self.statements += 1;
        if expected != found {
            self.wrong.push(format!("{place}: {what} is {found}, not {expected}; {body}"));
        }
    }

    fn headers(&self, more: Option<&Map<String, Value>>, has_body: bool) -> Vec<(String, String)> {
        let mut headers = BTreeMap::from([
            ("authorization", format!("Bearer {}", self.directory.token)),
            ("accept", "application/scim+json".to_owned()),
        ]);
        if has_body {
            headers.insert("content-type", "application/scim+json; charset=utf-8".to_owned());
        }
        for (name, value) in more.into_iter().flatten() {
            match value.as_str() {
                Some(value) => headers.insert(name, value.to_owned()),
                None => headers.remove(name.as_str()),
            };
        }
        headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The events of this directory since the last time. Members of one commit come in any order of ours.
    async fn new_events(&mut self) -> Vec<String> {
        let all = "dsync.activated,dsync.user.created,dsync.user.updated,dsync.user.deleted,\
            dsync.group.created,dsync.group.updated,dsync.group.deleted,dsync.group.user_added,\
            dsync.group.user_removed";
        let own = |event: &Value| {
            let data = &event["data"];
            data["directory_id"] == *self.directory.id || data["id"] == *self.directory.id
        };
        let events = self.server.api().events(all).await;
        let names: Vec<String> = (events.iter().filter(|event| own(event)))
            .map(|event| event["event"].as_str().unwrap().trim_start_matches("dsync.").to_owned())
            .collect();
        let fresh = names[self.events..].to_vec();
        self.events = names.len();
        fresh
    }

    /// The step with what was kept in the place of `${name}`.
    fn filled(&self, step: &Value) -> Value {
        let mut text = step.to_string();
        for (name, value) in &self.kept {
            // Kept values stand inside of JSON texts.
            let value = Value::from(value.as_str()).to_string();
            text = text.replace(&format!("${{{name}}}"), &value[1..value.len() - 1]);
        }
        serde_json::from_str(&text).unwrap()
    }
}
