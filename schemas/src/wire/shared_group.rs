//! A group as it stands with each of its members.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::DirectoryGroup;

/// A group that several users of a page are in. It is made once and written once, however many these are.
#[derive(Clone, Debug)]
pub struct SharedGroup(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    group: DirectoryGroup,
    written: OnceLock<Box<RawValue>>,
}

impl SharedGroup {
    /// How long the group is as JSON.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.written().map_or(0, |json| json.get().len())
    }

    /// The group as JSON.
    fn written(&self) -> Result<&RawValue, serde_json::Error> {
        let Shared { group, written } = &*self.0;
        if let Some(written) = written.get() {
            return Ok(written);
        }
        let json = serde_json::value::to_raw_value(group)?;
        Ok(written.get_or_init(|| json))
    }
}

impl From<DirectoryGroup> for SharedGroup {
    fn from(group: DirectoryGroup) -> Self {
        Self(Arc::new(Shared { group, written: OnceLock::new() }))
    }
}

impl Deref for SharedGroup {
    type Target = DirectoryGroup;

    fn deref(&self) -> &DirectoryGroup {
        &self.0.group
    }
}

impl PartialEq for SharedGroup {
    fn eq(&self, other: &Self) -> bool {
        self.0.group == other.0.group
    }
}

impl Serialize for SharedGroup {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.written().map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SharedGroup {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        DirectoryGroup::deserialize(deserializer).map(Self::from)
    }
}

impl JsonSchema for SharedGroup {
    fn schema_name() -> Cow<'static, str> {
        DirectoryGroup::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        DirectoryGroup::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        DirectoryGroup::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> DirectoryGroup {
        serde_json::from_value(serde_json::json!({
            "object": "directory_group", "id": crate::GroupId::from_bits(1), "idp_id": "1",
            "directory_id": crate::DirectoryId::from_bits(2),
            "organization_id": crate::OrganizationId::from_bits(3), "name": "Sales",
            "raw_attributes": { "displayName": "Sales", "a": 1.5 },
            "created_at": "2026-01-01T00:00:00.000Z", "updated_at": "2026-01-01T00:00:00.000Z"
        }))
        .unwrap()
    }

    #[test]
    fn a_group_of_several_users_is_written_once_and_as_it_is_alone() {
        let shared = SharedGroup::from(group());
        let again = shared.clone();
        let alone = serde_json::to_string(&group()).unwrap();
        assert_eq!(
            serde_json::to_string(&[&shared, &again]).unwrap(),
            format!("[{alone},{alone}]")
        );
        assert_eq!(serde_json::to_value(&shared).unwrap(), serde_json::to_value(group()).unwrap());
        assert!(std::ptr::eq(shared.written().unwrap(), again.written().unwrap()));
    }
}
