//! Whatever a client means, it comes to the same whether it says so as the RFC has it or as identity
//! providers do.

use directory::patch::{NoMatch, apply, parse_operations};
use proptest::prelude::*;
use schemas::scim::{ENTERPRISE_USER, PATCH_OP_URN, USER, canonicalise, parse};
use serde_json::{Value as Json, json};

use super::*;

/// What is meant.
#[derive(Clone, Debug)]
enum Meant {
    Active(bool),
    Text(&'static str, String),
    Cleared(&'static str),
    Department(String),
    Manager(String),
    NoManager,
    PrimaryRole(String),
    Role(String),
    NoEmail,
}

/// Attributes that hold a text, some of them within others.
const TEXTS: &[&str] = &["title", "nickName", "displayName", "name.givenName", "name.familyName"];

fn meant() -> impl Strategy<Value = Meant> {
    let (text, name) = (|| "[a-z]{1,4}", || prop::sample::select(TEXTS));
    prop_oneof![
        any::<bool>().prop_map(Meant::Active),
        (name(), text()).prop_map(|(path, value)| Meant::Text(path, value)),
        name().prop_map(Meant::Cleared),
        text().prop_map(Meant::Department),
        text().prop_map(Meant::Manager),
        Just(Meant::NoManager),
        text().prop_map(Meant::PrimaryRole),
        text().prop_map(Meant::Role),
        Just(Meant::NoEmail),
    ]
}

impl Meant {
    fn strictly(&self) -> Json {
        let enterprise = ENTERPRISE_USER.id;
        let replace =
            |path: &str, value: Json| json!({"op": "replace", "path": path, "value": value});
        match self {
            Self::Active(is) => replace("active", json!(is)),
            Self::Text(path, value) => replace(path, json!(value)),
            Self::Cleared(path) => json!({"op": "remove", "path": path}),
            Self::Department(of) => replace(&format!("{enterprise}:department"), json!(of)),
            Self::Manager(id) => replace(&format!("{enterprise}:manager"), json!({"value": id})),
            Self::NoManager => json!({"op": "remove", "path": format!("{enterprise}:manager")}),
            Self::PrimaryRole(role) => replace("roles[primary eq true].value", json!(role)),
            Self::Role(role) => {
                json!({"op": "add", "path": "roles", "value": [{"value": role, "display": role}]})
            }
            Self::NoEmail => replace("emails", json!([])),
        }
    }

    /// In one of the ways that identity providers say it; `way` chooses which.
    fn loosely(&self, way: usize) -> Json {
        let enterprise = ENTERPRISE_USER.id;
        let misspelt = enterprise.replace("2.0:User", "2.0User");
        let replace = |path: &str, value: Json| {
            let op = ["Replace", "REPLACE", "replace"][way % 3];
            json!({"op": op, "path": path, "value": value})
        };
        let bare = |name: &str, value: Json| json!({"op": "Replace", "value": {name: value}});
        let text =
            |is: bool| json!([["False", "True"], ["false", "true"]][way % 2][usize::from(is)]);
        match (self, way % 4) {
            (Self::Active(is), 0 | 1) => replace("active", text(*is)),
            (Self::Active(is), _) => bare("active", text(*is)),
            (Self::Text(path, value), 0 | 1) => replace(path, json!(value)),
            (Self::Text(path, value), _) => bare(path, json!(value)),
            (Self::Cleared(path), 0) => replace(path, json!("")),
            (Self::Cleared(path), 1) => replace(path, Json::Null),
            (Self::Cleared(path), _) => bare(path, json!("")),
            (Self::Department(of), 0) => bare(&format!("{enterprise}:department"), json!(of)),
            (Self::Department(of), 1) => bare(&misspelt, json!({"department": of})),
            (Self::Department(of), _) => replace(&format!("{misspelt}:department"), json!(of)),
            (Self::Manager(id), 0) => replace(&format!("{enterprise}:manager"), json!(id)),
            (Self::Manager(id), 1) => {
                replace(&format!("{enterprise}:manager"), json!([{"$ref": null, "value": id}]))
            }
            (Self::Manager(id), 2) => bare(&format!("{enterprise}:manager"), json!(id)),
            (Self::Manager(id), _) => replace(&format!("{misspelt}:manager"), json!(id)),
            (Self::NoManager, 0 | 1) => replace(&format!("{enterprise}:manager"), json!("")),
            (Self::NoManager, _) => bare(&format!("{enterprise}:manager"), json!("")),
            (Self::PrimaryRole(role), _) => {
                replace("roles[primary eq \"True\"].value", json!(role))
            }
            (Self::Role(role), way) => {
                let role = json!({"value": role, "display": role});
                let value = if way < 2 { json!([role.to_string()]) } else { role };
                json!({"op": "Add", "path": "roles", "value": value})
            }
            (Self::NoEmail, _) => replace("emails", json!("")),
        }
    }
}

/// A user with something of everything, after these operations went through the pass.
fn patched(operations: Vec<Json>) -> (Result<Attributes, ScimError>, Vec<Rewrite>) {
    let body = json!({"schemas": [PATCH_OP_URN], "Operations": operations}).to_string();
    let Tolerated { body, rewrites } =
        patch(&USER, parse(body.as_bytes()).unwrap(), UnknownSchema::Reject).unwrap();
    let mut resource = user();
    let outcome = parse_operations(&body)
        .and_then(|operations| apply(&mut resource, &USER, &operations, NoMatch::Upsert));
    (outcome.map(|_| resource), rewrites)
}

fn user() -> Attributes {
    let body = format!(
        r#"{{"userName":"u","active":true,"title":"T","name":{{"givenName":"G"}},
            "emails":[{{"value":"w","type":"work"}}],"roles":[{{"value":"r","primary":true}}],
            "{}":{{"department":"D","manager":{{"value":"m"}}}}}}"#,
        ENTERPRISE_USER.id
    );
    canonicalise(&USER, parse(body.as_bytes()).unwrap()).unwrap()
}

proptest! {
    #[test]
    fn loosely_said_and_strictly_said_come_to_the_same(said in prop::collection::vec((meant(), any::<usize>()), 1..6)) {
        let (strictly, rewrites) = patched(said.iter().map(|(meant, _)| meant.strictly()).collect());
        prop_assert_eq!(rewrites, vec![], "what is strict passes as it is");
        let (loosely, _) = patched(said.iter().map(|(meant, way)| meant.loosely(*way)).collect());
        prop_assert_eq!(&loosely, &strictly);
        prop_assert!(strictly.is_ok(), "{:?}", strictly);
    }
}
