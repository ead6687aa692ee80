//! What a directory's settings make of users on the way to apps.

use std::sync::Arc;

use schemas::Shown;
use schemas::scim::{Attributes, SharedAttributes};
use schemas::wire::{DirectoryGroup, DirectoryUser, UserState};
use serde::{Deserialize, Serialize};

use crate::attribute_map::AttributeMap;
use crate::diff::previous_user;
use crate::normalise::{Origin, directory_group, directory_user, state};
use crate::resource::{Group, User};
use crate::role_mapping::RoleMapping;

/// The rules in force. A record keeps what they made of a user; whoever reads it does not ask them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppRules {
    /// What becomes of attributes.
    pub attribute_map: Arc<AttributeMap>,
    /// What becomes of users who turn inactive.
    pub inactive_users: InactiveUsers,
    /// Which roles users have by their groups.
    pub role_mapping: Arc<RoleMapping>,
    /// What is sent empty.
    pub emptied: Emptied,
}

/// Fields that are sent empty, as WorkOS sends them since 2026: `{}` for `raw_attributes`, `[]` for `emails`
/// and `groups`, null for `username` and `job_title`. Their keys are always there, as SDKs expect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Emptied {
    /// All that the identity provider sent, of users and groups.
    pub raw_attributes: bool,
    /// All addresses of a user.
    pub emails: bool,
    /// The user name.
    pub username: bool,
    /// The title.
    pub job_title: bool,
    /// The groups of a user in answers of the API.
    pub groups: bool,
}

/// What becomes of users who turn inactive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InactiveUsers {
    /// Apps see them, as inactive.
    #[default]
    Keep,
    /// For apps they are deleted; who returns is created anew.
    Delete,
}

/// The rules that hold where a directory has none of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GeneralRules {
    /// What becomes of users who turn inactive.
    pub inactive_users: InactiveUsers,
    /// What is sent empty, by every directory.
    pub emptied: Emptied,
}

impl Emptied {
    /// Has the field of this name sent empty. False if it is none of them.
    pub fn empty(&mut self, name: &str) -> bool {
        let field = match name {
            "raw_attributes" => &mut self.raw_attributes,
            "emails" => &mut self.emails,
            "username" => &mut self.username,
            "job_title" => &mut self.job_title,
            "groups" => &mut self.groups,
            _ => return false,
        };
        *field = true;
        true
    }
}

impl InactiveUsers {
    /// Every one, by its name.
    pub const ALL: [(&'static str, Self); 2] = [("keep", Self::Keep), ("delete", Self::Delete)];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Delete => "delete",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, policy)| policy)
    }
}

impl AppRules {
    /// What apps are shown of a user with these attributes, but for its roles, which its groups tell.
    #[must_use]
    pub fn shown(&self, attributes: &Attributes) -> Shown {
        let hidden = match self.inactive_users {
            InactiveUsers::Keep => false,
            InactiveUsers::Delete => state(attributes) == UserState::Inactive,
        };
        Shown { hidden, since: None, mapped: self.attribute_map.apply(attributes), roles: None }
    }

    /// The user as these rules would have it, with what apps would be told was different before; none if
    /// they would see no difference.
    #[must_use]
    pub fn preview(&self, origin: Origin, user: &User) -> Option<(DirectoryUser, Attributes)> {
        let mut after = user.clone();
        after.shown.mapped = self.attribute_map.apply(&user.attributes);
        let shown = self.user(origin, &after);
        let previous = previous_user(&self.user(origin, user), &shown);
        (!previous.is_empty()).then_some((shown, previous))
    }

    /// The user as it leaves the house.
    #[must_use]
    pub fn user(&self, origin: Origin, user: &User) -> DirectoryUser {
        let mut shown = directory_user(origin, user);
        shown.custom_attributes = self.attribute_map.complete(&shown.custom_attributes);
        let Emptied { raw_attributes, emails, username, job_title, groups: _ } = self.emptied;
        if raw_attributes {
            shown.raw_attributes = SharedAttributes::default();
        }
        if emails {
            shown.emails.clear();
        }
        shown.username = shown.username.filter(|_| !username);
        shown.job_title = shown.job_title.filter(|_| !job_title);
        shown
    }

    /// The group as it leaves the house.
    #[must_use]
    pub fn group(&self, origin: Origin, group: &Group) -> DirectoryGroup {
        let mut shown = directory_group(origin, group);
        if self.emptied.raw_attributes {
            shown.raw_attributes = SharedAttributes::default();
        }
        shown
    }
}
