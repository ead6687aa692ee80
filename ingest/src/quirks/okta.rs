//! Okta.

use schemas::scim::{AttributeDef, Mutability};

/// Whether an attribute is passed over in an operation without a path. With each change of members Okta
/// renames the group by `{"op": "replace", "value": {"id": "…", "displayName": "…"}}` (developer.okta.com,
/// "SCIM 2.0 Protocol Reference", update of group names). RFC 7644 §3.5.2 refuses a change of what is
/// readOnly; where it is said beside others that may change, as in a PUT (§3.5.1), nobody means to change it.
pub(crate) fn is_passed_over(def: &AttributeDef) -> bool {
    match def.mutability {
        Mutability::ReadOnly => true,
        Mutability::ReadWrite | Mutability::Immutable | Mutability::WriteOnly => false,
    }
}
