use schemas::scim::{USER, canonicalise, parse};
use serde_json::json;

use super::*;

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

fn marcelina() -> Attributes {
    let body = json!({
        "userName": "m.davis@acme.example",
        "externalId": "7f1c",
        "name": { "givenName": "Marcelina", "familyName": "Davis", "honorificPrefix": "Dr." },
        "title": "Engineer",
        "userType": "Employee",
        "addresses": [
            { "type": "home", "locality": "Lodz" },
            { "type": "work", "streetAddress": "1 Main St", "locality": "Gdansk", "region": "PM",
              "postalCode": "80-001", "country": "PL", "formatted": "1 Main St, Gdansk" },
        ],
        "phoneNumbers": [
            { "type": "mobile", "value": "2" }, { "type": "work", "value": "1", "primary": true },
        ],
        ENTERPRISE: { "department": "R&D", "costCenter": "", "employeeNumber": "701984",
            "manager": { "value": "26118915", "email": "zoe@acme.example" } },
        "urn:acme:2.0:User": { "badge": { "colour": "red" }, "floor": 3 },
    });
    canonicalise(&USER, parse(body.to_string().as_bytes()).unwrap()).unwrap()
}

fn map(json: serde_json::Value) -> AttributeMap {
    AttributeMap::parse(&json).unwrap()
}

fn custom(json: serde_json::Value) -> serde_json::Value {
    let map = map(json);
    let custom = map.apply(&marcelina()).map(|mapped| mapped.custom_attributes);
    serde_json::to_value(map.complete(&custom.unwrap_or_default())).unwrap()
}

fn wrong(json: serde_json::Value) -> Vec<(String, String)> {
    let wrong = AttributeMap::parse(&json).unwrap_err();
    wrong.into_iter().map(|error| (error.field, error.message)).collect()
}

#[test]
fn predefined_attributes_have_the_forms_that_apps_know() {
    let all: Vec<_> = Predefined::ALL.map(Predefined::name).into();
    assert_eq!(
        custom(json!({ "predefined": all })),
        json!({
            "addresses": [
                { "type": "home", "locality": "Lodz" },
                { "type": "work", "street_address": "1 Main St", "locality": "Gdansk",
                  "region": "PM", "postal_code": "80-001", "country": "PL",
                  "raw_address": "1 Main St, Gdansk" },
            ],
            "cost_center_name": null,
            "department_name": "R&D",
            "display_name": null,
            "division_name": null,
            "emails": null,
            "employee_number": "701984",
            "employee_type": "Employee",
            "employment_start_date": null,
            "job_title": "Engineer",
            "manager_email": "zoe@acme.example",
            "manager_id": "26118915",
            "manager_name": null,
            "organization": null,
            "username": "m.davis@acme.example",
        })
    );
}

#[test]
fn a_custom_attribute_takes_what_its_path_leads_to() {
    for (path, value) in [
        (format!("{ENTERPRISE}:department"), json!("R&D")),
        ("department".into(), json!("R&D")),
        ("TITLE".into(), json!("Engineer")),
        ("name.honorificPrefix".into(), json!("Dr.")),
        (r#"addresses[type eq "work"].locality"#.into(), json!("Gdansk")),
        (r#"addresses[type eq "other"].locality"#.into(), json!(null)),
        (r#"addresses[locality sw "lo"]"#.into(), json!({ "type": "home", "locality": "Lodz" })),
        ("addresses.locality".into(), json!("Gdansk")),
        ("phoneNumbers.value".into(), json!("1")),
        ("urn:acme:2.0:User:badge".into(), json!({ "colour": "red" })),
        ("urn:acme:2.0:User:badge.colour".into(), json!("red")),
        ("urn:acme:2.0:User:floor".into(), json!(3)),
        ("urn:acme:2.0:User:missing".into(), json!(null)),
        (format!("{ENTERPRISE}:costCenter"), json!(null)),
    ] {
        assert_eq!(custom(json!({ "custom": { "x": path } })), json!({ "x": value }), "{path}");
    }
    let whole = custom(json!({ "custom": { "phones": ["phoneNumbers"] } }));
    assert_eq!(whole["phones"].as_array().unwrap().len(), 2, "an attribute by itself is all of it");
}

#[test]
fn the_first_path_that_leads_to_a_value_gives_it() {
    let chain = json!([format!("{ENTERPRISE}:costCenter"), "nickName", "title", "userName"]);
    assert_eq!(custom(json!({ "custom": { "x": chain } })), json!({ "x": "Engineer" }));
}

#[test]
fn standard_attributes_fall_back_too() {
    let mapped = |json| map(json).apply(&marcelina());
    let fallback = mapped(json!({ "standard": { "email": ["emails", "nickName", "userName"] } }));
    assert_eq!(fallback.unwrap().email.as_deref(), Some("m.davis@acme.example"));
    let none = mapped(json!({ "standard": { "email": ["title"] } }));
    assert_eq!(none, None, "what cannot be an address is none, and there was none before");
    let all = mapped(json!({ "standard": {
        "idp_id": format!("{ENTERPRISE}:employeeNumber"), "first_name": "nickName",
        "last_name": "name.familyName", "name": ["displayName", "name"],
        "job_title": ["phoneNumbers"], "username": ["urn:acme:2.0:User:floor"],
    } }))
    .unwrap();
    assert_eq!(
        *all,
        Mapped {
            idp_id: "701984".into(),
            email: None,
            first_name: None,
            last_name: Some("Davis".into()),
            name: Some("Marcelina Davis".into()),
            job_title: Some("1".into()),
            username: Some("3".into()),
            custom_attributes: Attributes::default(),
        }
    );
    let id = mapped(json!({ "standard": { "idp_id": "nickName", "job_title": "nickName" } }));
    assert_eq!(id.unwrap().idp_id, "7f1c", "an id there always is");
}

#[test]
fn a_map_that_changes_nothing_leaves_nothing_behind() {
    for json in [
        json!({}),
        json!({ "standard": { "username": "userName" } }),
        json!({ "custom": { "x": "nickName" } }),
    ] {
        assert_eq!(map(json.clone()).apply(&marcelina()), None, "{json}");
    }
}

#[test]
fn what_is_too_large_is_left_out() {
    let mut attributes = marcelina();
    attributes.insert("nickName", Value::String("x".repeat(VALUE_BYTES_MAX + 1)));
    let map = map(json!({ "custom": { "nick": "nickName", "title": "title" } }));
    let custom = map.apply(&attributes).unwrap().custom_attributes;
    assert_eq!(custom.len(), 1);
}

#[test]
fn what_is_wrong_about_a_map_is_named_with_attribute_and_path() {
    for (path, why) in [
        ("addresses[type eq", "addresses[type eq"),
        ("password", "never told"),
        ("groups.value", "not an attribute that the identity provider sends"),
        ("meta.created", "not an attribute that the identity provider sends"),
        (ENTERPRISE, "name an attribute"),
        ("userName.first", "has no parts"),
        (r#"userName[type eq "work"]"#, "filter"),
        ("", "attribute"),
    ] {
        let wrong = wrong(json!({ "custom": { "office": ["title", path] } }));
        let [(field, message)] = &wrong[..] else { panic!("{wrong:?}") };
        assert_eq!(field, "custom.office", "{path}");
        assert!(message.contains("office") && message.contains(why), "{path}: {message}");
        assert!(!message.ends_with('.'), "{message}");
    }
    let fields = |json| wrong(json).into_iter().map(|(field, _)| field).collect::<Vec<_>>();
    assert_eq!(fields(json!([])), [""]);
    assert_eq!(fields(json!({ "attributes": {} })), ["attributes"]);
    assert_eq!(fields(json!({ "standard": { "state": "active" } })), ["standard.state"]);
    assert_eq!(fields(json!({ "predefined": ["photo"] })), ["predefined"]);
    assert_eq!(fields(json!({ "predefined": "emails" })), ["predefined"]);
    assert_eq!(fields(json!({ "custom": { "1st": "title" } })), ["custom.1st"]);
    assert_eq!(fields(json!({ "custom": { "x": "title", "X": "title" } })), ["custom.x"]);
    assert_eq!(fields(json!({ "custom": { "x": [] } })), ["custom.x"]);
    assert_eq!(fields(json!({ "custom": { "x": vec!["title"; PATHS_MAX + 1] } })), ["custom.x"]);
    let both = json!({ "predefined": ["emails"], "custom": { "emails": "title" } });
    assert_eq!(fields(both), ["custom.emails"]);
    let many: serde_json::Map<_, _> =
        (0..=ATTRIBUTES_MAX).map(|number| (format!("a{number}"), json!("title"))).collect();
    assert_eq!(fields(json!({ "custom": many })), [""]);
}

#[test]
fn a_map_reads_what_it_writes() {
    let json = json!({
        "standard": { "email": ["emails", "userName"] },
        "predefined": ["department_name", "emails"],
        "custom": { "office": [r#"addresses[type eq "work"].locality"#, "urn:acme:2.0:User:floor"] },
    });
    let map = map(json.clone());
    assert_eq!(serde_json::to_value(&map).unwrap(), json);
    assert_eq!(serde_json::from_value::<AttributeMap>(json).unwrap(), map);
}
