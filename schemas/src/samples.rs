//! One event of each type, as the golden files have it: what an app is shown to try itself on.

use crate::EventType;

/// A sample of this type: a JSON object with `event` and `data`.
#[must_use]
pub const fn sample(event: EventType) -> &'static str {
    macro_rules! golden {
        ($name:literal) => {
            include_str!(concat!("../golden/", $name, ".v1.json"))
        };
    }
    match event {
        EventType::Activated => golden!("dsync.activated"),
        EventType::Deleted => golden!("dsync.deleted"),
        EventType::UserCreated => golden!("dsync.user.created"),
        EventType::UserUpdated => golden!("dsync.user.updated"),
        EventType::UserDeleted => golden!("dsync.user.deleted"),
        EventType::GroupCreated => golden!("dsync.group.created"),
        EventType::GroupUpdated => golden!("dsync.group.updated"),
        EventType::GroupDeleted => golden!("dsync.group.deleted"),
        EventType::GroupUserAdded => golden!("dsync.group.user_added"),
        EventType::GroupUserRemoved => golden!("dsync.group.user_removed"),
        EventType::GroupPendingMemberAdded => golden!("dsync.group.pending_member_added"),
        EventType::GroupPendingMemberRemoved => golden!("dsync.group.pending_member_removed"),
        EventType::InactiveUserChanged => golden!("dsync.inactive_user.changed"),
        EventType::TokenCreated => golden!("dsync.token.created"),
        EventType::TokenRevoked => golden!("dsync.token.revoked"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;

    #[test]
    fn a_sample_is_an_event_of_its_type() {
        for kind in EventType::ALL.iter().copied() {
            let event: Event = serde_json::from_str(sample(kind)).unwrap();
            assert_eq!(event.kind(), kind);
        }
    }
}
