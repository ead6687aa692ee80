//! A directory, made of the events that count.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;

use crate::stream::Record;

/// Users and groups as the API shows them, by their ids, and who is in which group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Copy {
    /// The users.
    pub users: BTreeMap<String, Value>,
    /// The groups.
    pub groups: BTreeMap<String, Value>,
    /// Group and user.
    pub members: BTreeSet<(String, String)>,
}

impl Copy {
    /// Takes in an event. One of a type that it does not know changes nothing that it holds.
    ///
    /// # Errors
    ///
    /// If the event lacks what its type promises.
    pub fn apply(&mut self, record: &Record) -> anyhow::Result<()> {
        let data = &record.data;
        match record.event.as_str() {
            "dsync.user.created" | "dsync.user.updated" => {
                self.users.insert(id(data)?, as_it_is(data));
            }
            "dsync.user.deleted" => {
                let gone = id(data)?;
                self.users.remove(&gone);
                self.members.retain(|(_, user)| *user != gone);
            }
            "dsync.group.created" | "dsync.group.updated" => {
                self.groups.insert(id(data)?, as_it_is(data));
            }
            "dsync.group.deleted" => {
                let gone = id(data)?;
                self.groups.remove(&gone);
                self.members.retain(|(group, _)| *group != gone);
            }
            "dsync.group.user_added" => {
                self.members.insert((id(&data["group"])?, id(&data["user"])?));
            }
            "dsync.group.user_removed" => {
                self.members.remove(&(id(&data["group"])?, id(&data["user"])?));
            }
            _ => {}
        }
        Ok(())
    }
}

fn id(of: &Value) -> anyhow::Result<String> {
    Ok(of["id"].as_str().context("an event without the id of its subject")?.to_owned())
}

/// Without what an update tells of the state before.
fn as_it_is(of: &Value) -> Value {
    let mut of = of.clone();
    if let Some(fields) = of.as_object_mut() {
        fields.remove("previous_attributes");
    }
    of
}
