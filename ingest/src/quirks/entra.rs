//! Microsoft Entra ID.

use schemas::scim::{AttributeDef, Attributes, ENTERPRISE_USER, Value, parse};

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
/// provisioning attribute mappings"). The id is Entra's own and names nothing here. What stands beside the text stays, unless
/// the text says otherwise; a text without a `value`, or in another attribute than `roles`, is a value like any other.
pub(crate) fn app_role(def: &AttributeDef, item: &Value) -> Option<Attributes> {
    if def.name != "roles" {
        return None;
    }
    let (text, mut role) = match item.as_complex() {
        Some(parts) => (parts.get("value")?.as_str()?, parts.clone()),
        None => (item.as_str()?, Attributes::new()),
    };
    let mut said =
        object_in(text).filter(|said| said.get("value").is_some_and(|value| !value.is_absent()))?;
    if let Some(name) = said.remove("displayName") {
        said.remove("id");
        said.insert("display", name);
    }
    for (name, part) in said {
        role.insert(name, part);
    }
    Some(role)
}

/// The object that a text is, if it is one.
fn object_in(text: &str) -> Option<Attributes> {
    let text = text.trim();
    text.starts_with('{').then(|| parse(text.as_bytes()).ok()).flatten()
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
