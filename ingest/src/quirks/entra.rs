//! Microsoft Entra ID.

use schemas::scim::{Attributes, ENTERPRISE_USER};

/// The enterprise extension without the colon behind its version, as older samples of Microsoft's spell it
/// (AzureAD/SCIMReferenceCode, `SchemaIdentifiers`; learn.microsoft.com, "Develop and plan provisioning for a
/// SCIM endpoint", sample of 2018).
const MISSPELT: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0User";

/// The right spelling of a URN that is known to be misspelt.
pub(crate) fn schema_urn(urn: &str) -> Option<&'static str> {
    urn.eq_ignore_ascii_case(MISSPELT).then_some(ENTERPRISE_USER.id)
}

/// A path whose schema is misspelt, with the right one.
pub(crate) fn path(path: &str) -> Option<String> {
    let head = path.get(..MISSPELT.len())?;
    let rest = &path[MISSPELT.len()..];
    let spelt = schema_urn(head)?;
    (rest.is_empty() || rest.starts_with(':')).then(|| format!("{spelt}{rest}"))
}

/// An app role as `AppRoleAssignmentsComplex` sends it in a text, `{"id", "value", "displayName"}`, with the
/// names that SCIM has for these and that the same job sends in a POST (learn.microsoft.com, "Customize user
/// provisioning attribute mappings"). The id is Entra's own and names nothing here.
pub(crate) fn app_role(mut role: Attributes) -> Attributes {
    if let Some(name) = role.remove("displayName") {
        role.remove("id");
        role.insert("display", name);
    }
    role
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_schema_is_known_alone_and_in_a_path() {
        let right = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
        assert_eq!(
            schema_urn("urn:ietf:params:scim:schemas:extension:Enterprise:2.0user"),
            Some(right)
        );
        assert_eq!(path(&format!("{MISSPELT}:department")), Some(format!("{right}:department")));
        assert_eq!(path(MISSPELT), Some(right.to_owned()));
        assert_eq!(path(&format!("{MISSPELT}s")), None);
        assert_eq!(path(right), None);
        assert_eq!(path("ß"), None);
    }
}
