//! Role mappings: which roles a user has in the app, by its groups.

use std::collections::{BTreeMap, BTreeSet};

use schemas::GroupId;
use schemas::wire::Role;
use serde::{Deserialize, Serialize};

use crate::resource::{Group, name_key};

/// How many groups a mapping may have: an app has a handful of roles, and each of them a few groups.
pub const GROUPS_MAX: usize = 256;

/// How long the slug of a role may be.
pub const SLUG_LENGTH_MAX: usize = 64;

/// How long the name of a group may be in a mapping, in characters.
pub const GROUP_NAME_MAX: usize = 255;

/// Which roles users have by their groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RoleMapping {
    /// The role of who is in none of the groups.
    pub default_role: Option<String>,
    /// The groups that give a role. The role of the first is that of the highest priority.
    pub groups: Vec<MappedGroup>,
}

/// A group that gives a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappedGroup {
    /// Which: by its id for apps, or by its name in any letter case.
    pub group: String,
    /// The slug of the role.
    pub role: String,
}

/// What is wrong about a mapping.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct MappingError {
    /// Where, as a path into the mapping.
    pub field: String,
    /// What, for people.
    pub message: String,
}

impl RoleMapping {
    /// Whether no roles are configured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The roles of a user in these groups, the one of the highest priority first; none where no roles are
    /// configured.
    #[must_use]
    pub fn roles<'g>(&self, groups: impl IntoIterator<Item = &'g Group>) -> Option<Vec<Role>> {
        self.by_group().roles(groups)
    }

    /// The mapping to look groups up in, for who asks about many users or groups.
    pub(crate) fn by_group(&self) -> ByGroup<'_> {
        let mut by_group = ByGroup { mapping: self, ids: BTreeMap::new(), names: BTreeMap::new() };
        for (place, MappedGroup { group, .. }) in self.groups.iter().enumerate() {
            // What reads as an id is one: no identity provider names a group like that.
            let places = match group.parse() {
                Ok(id) => by_group.ids.entry(id).or_default(),
                Err(_) => by_group.names.entry(name_key(group)).or_default(),
            };
            places.push(place);
        }
        by_group
    }

    /// What is wrong about it.
    #[must_use]
    pub fn wrong(&self) -> Vec<MappingError> {
        let mut wrong = Vec::new();
        let mut note = |field: String, message: String| wrong.push(MappingError { field, message });
        if let Some(slug) = self.default_role.as_ref().filter(|slug| !is_slug(slug)) {
            note("default_role".into(), no_slug(slug));
        }
        if self.groups.len() > GROUPS_MAX {
            let message =
                format!("{} groups are mapped, and {GROUPS_MAX} may be", self.groups.len());
            note("groups".into(), message);
        }
        let mut taken = BTreeSet::new();
        for (index, MappedGroup { group, role }) in self.groups.iter().enumerate() {
            if !is_slug(role) {
                note(format!("groups[{index}].role"), no_slug(role));
            }
            let field = format!("groups[{index}].group");
            if !(1..=GROUP_NAME_MAX).contains(&group.trim().chars().count()) {
                note(
                    field,
                    format!(
                        "group must be the id or the name of a group, of at most {GROUP_NAME_MAX} characters"
                    ),
                );
            } else if !taken.insert(name_key(group)) {
                note(field, format!("{group:?} is mapped twice; the first would count"));
            }
        }
        wrong
    }
}

/// A mapping by what is known of a group: a change of many members asks it once for each, and reading the ids and names of the
/// mapping every time would take longer than all the rest.
pub(crate) struct ByGroup<'m> {
    mapping: &'m RoleMapping,
    ids: BTreeMap<GroupId, Vec<usize>>,
    names: BTreeMap<String, Vec<usize>>,
}

impl ByGroup<'_> {
    /// See [`RoleMapping::roles`].
    pub(crate) fn roles<'g>(
        &self,
        groups: impl IntoIterator<Item = &'g Group>,
    ) -> Option<Vec<Role>> {
        if self.mapping.is_empty() {
            return None;
        }
        let places: BTreeSet<usize> =
            groups.into_iter().flat_map(|group| self.places(group)).collect();
        let mut taken = BTreeSet::new();
        let slugs = places.into_iter().map(|place| &self.mapping.groups[place].role);
        let mut slugs: Vec<&String> = slugs.filter(|slug| taken.insert(*slug)).collect();
        if slugs.is_empty() {
            slugs.extend(&self.mapping.default_role);
        }
        Some(slugs.into_iter().map(|slug| Role { slug: slug.clone() }).collect())
    }

    /// Where in the mapping this group stands; it gives no role if that is nowhere.
    pub(crate) fn places(&self, group: &Group) -> BTreeSet<usize> {
        let found = [self.ids.get(&group.group_id), self.names.get(&group.name_key)];
        found.into_iter().flatten().flatten().copied().collect()
    }
}

fn is_slug(text: &str) -> bool {
    (1..=SLUG_LENGTH_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_:.".contains(&byte))
}

fn no_slug(text: &str) -> String {
    format!(
        "{text:?} cannot be the slug of a role: 1 to {SLUG_LENGTH_MAX} letters, digits and -_:. can"
    )
}

#[cfg(test)]
mod tests {
    use schemas::scim::SharedAttributes;
    use schemas::{ScimId, Seq, Timestamp};
    use serde_json::json;

    use super::*;

    fn group(number: u128, name: &str) -> Group {
        Group {
            id: ScimId::from_bits(number),
            group_id: GroupId::from_bits(number),
            idp_id: name.to_owned(),
            name_key: name_key(name),
            attributes: SharedAttributes::default(),
            created_at: Timestamp::from_millis(1),
            updated_at: Timestamp::from_millis(1),
            modified_at: Timestamp::from_millis(1),
            version: Seq(1),
        }
    }

    fn mapping(json: serde_json::Value) -> RoleMapping {
        serde_json::from_value(json).unwrap()
    }

    fn slugs(mapping: &RoleMapping, groups: &[Group]) -> Option<Vec<String>> {
        let roles = mapping.roles(groups);
        roles.map(|roles| roles.into_iter().map(|role| role.slug).collect())
    }

    #[test]
    fn the_order_of_the_mapping_is_that_of_the_roles() {
        let admins = GroupId::from_bits(1).to_string();
        let mapping = mapping(json!({ "default_role": "member", "groups": [
            { "group": admins, "role": "admin" }, { "group": "Engineering", "role": "engineer" },
            { "group": "Owners", "role": "admin" },
        ] }));
        let all = [group(3, "owners"), group(2, "ENGINEERING"), group(1, "x"), group(4, "y")];
        let of =
            |slugs: &[&str]| Some(slugs.iter().map(|&slug| slug.to_owned()).collect::<Vec<_>>());
        assert_eq!(slugs(&mapping, &all), of(&["admin", "engineer"]));
        assert_eq!(slugs(&mapping, &all[..2]), of(&["engineer", "admin"]));
        assert_eq!(slugs(&mapping, &all[3..]), of(&["member"]));
        let places = |group| mapping.by_group().places(group).into_iter().collect::<Vec<_>>();
        assert_eq!((places(&all[0]), places(&all[3])), (vec![2], vec![]));
    }

    #[test]
    fn without_roles_nothing_is_said_of_them_and_without_a_default_there_may_be_none() {
        assert_eq!(slugs(&RoleMapping::default(), &[group(1, "a")]), None);
        let mapping = mapping(json!({ "groups": [{ "group": "b", "role": "b" }] }));
        assert_eq!(slugs(&mapping, &[group(1, "a")]), Some(Vec::new()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let fields = |json| {
            let wrong = mapping(json).wrong();
            wrong.into_iter().map(|error| error.field).collect::<Vec<_>>()
        };
        assert_eq!(fields(json!({ "default_role": "no spaces" })), ["default_role"]);
        let group = |group: &str, role: &str| json!({ "group": group, "role": role });
        assert_eq!(fields(json!({ "groups": [group("a", "")] })), ["groups[0].role"]);
        assert_eq!(fields(json!({ "groups": [group(" ", "a")] })), ["groups[0].group"]);
        let twice = json!({ "groups": [group("a", "a"), group("A", "b")] });
        assert_eq!(fields(twice), ["groups[1].group"]);
        let many: Vec<_> = (0..=GROUPS_MAX).map(|number| group(&number.to_string(), "a")).collect();
        assert_eq!(fields(json!({ "groups": many })), ["groups"]);
    }
}
