//! The requests of a provisioning cycle as Entra ID sends them.

use serde_json::{Value, json};

pub(super) const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// One request. `{adele}` and the like stand for ids that earlier answers gave.
pub(super) struct Step {
    /// What the admin did, or what Entra ID does by itself.
    pub(super) story: &'static str,
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) body: Option<Value>,
    /// The name under which the id in the answer is remembered.
    pub(super) remember: Option<&'static str>,
    /// How many events it causes.
    pub(super) events: usize,
}

/// The cycle, in order.
pub(super) fn steps() -> Vec<Step> {
    let get = |story, path, events| Step {
        story,
        method: "GET",
        path,
        body: None,
        remember: None,
        events,
    };
    vec![
        get(
            "Test Connection: a filter for a user that does not exist",
            "/Users?filter=userName+eq+%227b2c1d4e-0a5b-4f8e-9a43-2f6f1d1f0001%22",
            1,
        ),
        get("does Adele exist?", "/Users?filter=userName+eq+%22adele%40contoso.example%22", 0),
        create("assign Adele", "adele", user("adele@contoso.example", "Adele", "Vance")),
        create("assign Megan", "megan", user("megan@contoso.example", "Megan", "Bowen")),
        patch(
            "Adele moves to Sales and reports to Megan",
            "/Users/{adele}",
            json!([
                { "op": "Replace", "path": format!("{ENTERPRISE}:department"), "value": "Sales" },
                { "op": "Add", "path": format!("{ENTERPRISE}:manager"), "value": "{megan}" },
                { "op": "Add", "path": "phoneNumbers[type eq \"mobile\"].value",
                  "value": "+1 425 555 0199" },
            ]),
            1,
        ),
        Step { path: "/Groups", ..create("assign the group Sales", "sales", group("Sales")) },
        patch(
            "its members follow",
            "/Groups/{sales}",
            json!([{ "op": "Add", "path": "members",
                "value": [{ "$ref": null, "value": "{adele}" }, { "$ref": null, "value": "{megan}" }] }]),
            2,
        ),
        patch(
            "Entra ID sends them again: nothing changes, no event",
            "/Groups/{sales}",
            json!([{ "op": "Add", "path": "members",
                "value": [{ "$ref": null, "value": "{adele}" }] }]),
            0,
        ),
        patch(
            "Megan leaves the group",
            "/Groups/{sales}",
            json!([{ "op": "Remove", "path": "members",
                "value": [{ "$ref": null, "value": "{megan}" }] }]),
            1,
        ),
        patch(
            "Adele leaves the company: soft delete, with a boolean in a string",
            "/Users/{adele}",
            json!([{ "op": "Replace", "path": "active", "value": "False" }]),
            1,
        ),
        Step {
            story: "thirty days later: hard delete",
            method: "DELETE",
            path: "/Users/{adele}",
            body: None,
            remember: None,
            events: 1,
        },
    ]
}

fn create(story: &'static str, name: &'static str, body: Value) -> Step {
    Step {
        story,
        method: "POST",
        path: "/Users",
        body: Some(body),
        remember: Some(name),
        events: 1,
    }
}

fn patch(story: &'static str, path: &'static str, operations: Value, events: usize) -> Step {
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": operations,
    });
    Step { story, method: "PATCH", path, body: Some(body), remember: None, events }
}

fn group(name: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "externalId": "0b5e7a90-1c1d-4c0b-8d6f-0a1b2c3d4e5f",
        "displayName": name,
    })
}

fn user(name: &str, given: &str, family: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
        "externalId": format!("objectid-of-{}", given.to_lowercase()),
        "userName": name,
        "active": true,
        "displayName": format!("{given} {family}"),
        "name": { "formatted": format!("{given} {family}"), "givenName": given, "familyName": family },
        "emails": [{ "primary": true, "type": "work", "value": name }],
        "title": "Retail Manager",
        ENTERPRISE: { "employeeNumber": "E-1001", "department": "Retail" },
    })
}
