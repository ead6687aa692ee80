//! OneLogin, and others whose SCIM 2.0 grew out of 1.1.

use schemas::scim::{AttributeDef, Attributes};

/// A manager as SCIM 1.1 has it, `{"managerId": "…"}` (SCIM Core Schema 1.1 §7), with the name that RFC 7643
/// §4.3 gives its identifier. Whether there was such a thing.
pub(crate) fn rename_manager_id(def: &AttributeDef, parts: &mut Attributes) -> bool {
    if def.name != "manager" || parts.contains("value") {
        return false;
    }
    let id = parts.remove("managerId");
    id.map(|id| parts.insert("value", id)).is_some()
}

#[cfg(test)]
mod tests {
    use schemas::scim::USER;

    use super::*;

    #[test]
    fn a_managers_id_of_scim_1_1_is_its_value() {
        let manager = USER.find(None, "manager", None).unwrap().attribute;
        let mut parts = Attributes::from([("managerId", "m"), ("displayName", "M")]);
        assert!(rename_manager_id(manager, &mut parts));
        assert_eq!(parts, Attributes::from([("value", "m"), ("displayName", "M")]));
        assert!(!rename_manager_id(manager, &mut parts));
        let name = USER.find(None, "name", None).unwrap().attribute;
        assert!(!rename_manager_id(name, &mut Attributes::from([("managerId", "m")])));
    }
}
