//! What can be mended here with one press.

use api::ports::{Conflict, DirectoryChange, PortError};
use axum::extract::{Path, State};
use axum::response::Response;
use directory::AttributeMap;
use schemas::Timestamp;
use serde_json::{Value, json};

use super::connection::{self, directory_of};
use super::guide;
use super::refusal::Refusal;
use super::visitor::Pressed;
use super::{Site, see_other};
use crate::form::Query;

/// Who has no address is reached by the user name. It is an attribute map like any other, so apps are told.
pub(super) async fn email_from_user_name(
    State(site): State<Site>,
    Path(id): Path<String>,
    Query(query): Query,
    Pressed { admin, form }: Pressed,
) -> Result<Response, Refusal> {
    let directory = directory_of(&site, &admin, &id).await?;
    let guide = query.text("guide").and_then(guide::named);
    let made_from = form.text("made_from").and_then(|text| text.parse().ok());
    let made_from: Timestamp = made_from.ok_or(Refusal::Forged)?;
    let map = falling_back(&directory.apps.attribute_map).ok_or(Refusal::MapIsFull)?;
    let change = DirectoryChange {
        attribute_map: Some(map),
        made_from: Some(made_from),
        ..DirectoryChange::default()
    };
    let now = site.edge.now();
    match site.directories.update(admin.reach(), directory.id, change, now).await {
        Ok(_) => Ok(see_other(connection::path(&site, directory.id, guide))),
        Err(PortError::Conflict(Conflict::Changed)) => Err(Refusal::Changed),
        Err(PortError::Conflict(_) | PortError::NotFound) => Err(Refusal::NoDirectory),
        Err(error @ (PortError::Unavailable(_) | PortError::Unsure(_) | PortError::Full(_))) => {
            Err(error.into())
        }
    }
}

/// The map with `userName` as the last that an address is taken from; nothing if it has no room for that.
fn falling_back(map: &AttributeMap) -> Option<AttributeMap> {
    let mut json = serde_json::to_value(map).ok()?;
    let chain = json.get("standard").and_then(|standard| standard.get("email"));
    let mut paths = match chain {
        Some(Value::Array(paths)) => paths.clone(),
        Some(one) => vec![one.clone()],
        None => vec![json!("emails")],
    };
    if !paths.contains(&json!("userName")) {
        paths.push(json!("userName"));
    }
    json.as_object_mut()?.entry("standard").or_insert_with(|| json!({}))["email"] = json!(paths);
    AttributeMap::parse(&json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mended(map: &Value) -> Option<Value> {
        let map = falling_back(&AttributeMap::parse(map).unwrap())?;
        Some(serde_json::to_value(map).unwrap()["standard"]["email"].clone())
    }

    #[test]
    fn an_address_falls_back_to_the_user_name_after_all_else() {
        assert_eq!(mended(&json!({})), Some(json!(["emails", "userName"])));
        let own = json!({ "standard": { "email": ["title"], "name": "displayName" } });
        assert_eq!(mended(&own), Some(json!(["title", "userName"])));
        let done = json!({ "standard": { "email": ["emails", "userName"] } });
        assert_eq!(mended(&done), Some(json!(["emails", "userName"])));
    }

    #[test]
    fn the_rest_of_a_map_stays() {
        let map = AttributeMap::parse(
            &json!({ "predefined": ["job_title"], "custom": { "office": "title" } }),
        );
        let mended = serde_json::to_value(falling_back(&map.unwrap()).unwrap()).unwrap();
        assert_eq!(mended["predefined"], json!(["job_title"]));
        assert!(mended["custom"]["office"].to_string().contains("title"));
    }

    #[test]
    fn a_chain_without_room_stays_as_it_is() {
        let full = json!({ "standard": { "email": ["a", "b", "c", "d", "e", "f", "g", "h"] } });
        assert_eq!(mended(&full), None);
    }
}
