//! Which attributes a client wants to see: `attributes` and `excludedAttributes` (RFC 7644 §3.9).

use schemas::scim::{AttrPath, Attributes, GROUP, ScimError, USER, Value};

/// How many attributes a client may name: more than there are.
const NAMES_MAX: usize = 200;

/// What to show of a resource. `id` and `schemas` are always shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Projection {
    /// Everything.
    #[default]
    All,
    /// These alone.
    Only(Vec<AttrPath>),
    /// All but these.
    Without(Vec<AttrPath>),
}

/// What a list of paths says of one attribute.
enum Named<'a> {
    Not,
    Whole,
    Subs(Vec<&'a str>),
}

impl Projection {
    /// `attributes` wins where both are given; the RFC allows one of them.
    pub(crate) fn parse(only: Option<&str>, without: Option<&str>) -> Result<Self, ScimError> {
        let listed = |list: Option<&str>| -> Result<Vec<AttrPath>, ScimError> {
            let names = list.unwrap_or_default().split(',').map(str::trim);
            names.filter(|name| !name.is_empty()).take(NAMES_MAX).map(path).collect()
        };
        let (only, without) = (listed(only)?, listed(without)?);
        Ok(match (only.is_empty(), without.is_empty()) {
            (false, _) => Self::Only(only),
            (true, false) => Self::Without(without),
            (true, true) => Self::All,
        })
    }

    /// Whether the client said anything of what it wants to see.
    pub(crate) const fn is_asked_for(&self) -> bool {
        match self {
            Self::All => false,
            Self::Only(_) | Self::Without(_) => true,
        }
    }

    /// Whether any of a core attribute will be seen; what will not need not be looked up.
    pub(crate) fn shows(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(paths) => !matches!(named(paths, None, name), Named::Not),
            Self::Without(paths) => !matches!(named(paths, None, name), Named::Whole),
        }
    }

    /// What is left of a resource.
    pub(crate) fn apply(&self, resource: &Attributes) -> Attributes {
        match self {
            Self::All => resource.clone(),
            Self::Only(paths) => filter(resource, paths, true),
            Self::Without(paths) => filter(resource, paths, false),
        }
    }
}

fn path(name: &str) -> Result<AttrPath, ScimError> {
    // The URN of an extension alone means all of it.
    match name.rsplit_once(':') {
        Some((urn, version)) if version.contains("2.0") || is_schema(name) => {
            let _ = urn;
            Ok(AttrPath { urn: Some(name.to_owned()), attribute: String::new(), sub: None })
        }
        Some(_) | None => name.parse(),
    }
}

fn is_schema(name: &str) -> bool {
    [USER.core.id, GROUP.core.id].iter().any(|id| id.eq_ignore_ascii_case(name))
        || USER.extension(name).is_some()
}

fn filter(resource: &Attributes, paths: &[AttrPath], keep: bool) -> Attributes {
    let mut kept = Attributes::new();
    for (name, value) in resource.iter() {
        if name == "id" || name == "schemas" {
            kept.insert(name, value.clone());
        } else if let (true, Value::Complex(extension)) = (name.contains(':'), value) {
            let inner = filter_extension(name, extension, paths, keep);
            if !inner.is_empty() {
                kept.insert(name, inner);
            }
        } else if let Some(value) = filter_value(value, &named(paths, None, name), keep) {
            kept.insert(name, value);
        }
    }
    kept
}

fn filter_extension(
    urn: &str,
    extension: &Attributes,
    paths: &[AttrPath],
    keep: bool,
) -> Attributes {
    let whole = paths.iter().any(|path| is_whole(path, urn));
    if whole {
        return if keep { extension.clone() } else { Attributes::new() };
    }
    let mut kept = Attributes::new();
    for (name, value) in extension.iter() {
        if let Some(value) = filter_value(value, &named(paths, Some(urn), name), keep) {
            kept.insert(name, value);
        }
    }
    kept
}

/// Whether a path is the URN of this extension. One that no schema knows reads like an attribute's.
fn is_whole(path: &AttrPath, urn: &str) -> bool {
    if path.attribute.is_empty() {
        return is(path.urn.as_deref(), urn);
    }
    path.sub.is_none() && path.to_string().eq_ignore_ascii_case(urn)
}

/// What is left of a value; nothing if that counts as absent (RFC 7643 §2.5).
fn filter_value(value: &Value, named: &Named<'_>, keep: bool) -> Option<Value> {
    match named {
        Named::Not => (!keep).then(|| value.clone()),
        Named::Whole => keep.then(|| value.clone()),
        Named::Subs(subs) => {
            let left = if let Some(complex) = value.as_complex() {
                Value::Complex(filter_subs(complex, subs, keep))
            } else if let Some(values) = value.as_list() {
                let each = |value: &Value| match value.as_complex() {
                    Some(complex) => Value::Complex(filter_subs(complex, subs, keep)),
                    None => value.clone(),
                };
                Value::List(values.iter().map(each).filter(|left| !left.is_absent()).collect())
            } else {
                return (!keep).then(|| value.clone());
            };
            (!left.is_absent()).then_some(left)
        }
    }
}

fn filter_subs(complex: &Attributes, subs: &[&str], keep: bool) -> Attributes {
    let wanted = |name: &str| subs.iter().any(|sub| sub.eq_ignore_ascii_case(name)) == keep;
    complex
        .iter()
        .filter(|(name, _)| wanted(name))
        .map(|(name, value)| (name, value.clone()))
        .collect()
}

fn named<'a>(paths: &'a [AttrPath], urn: Option<&str>, name: &str) -> Named<'a> {
    let core = |of: Option<&str>| of.is_none() || is(of, USER.core.id) || is(of, GROUP.core.id);
    // The URN of the schema itself means all that is not an extension's.
    let is_core = |path: &AttrPath| {
        path.attribute.is_empty() && path.urn.is_some() && core(path.urn.as_deref())
    };
    if urn.is_none() && paths.iter().any(is_core) {
        return Named::Whole;
    }
    let fits = |path: &&AttrPath| {
        path.attribute.eq_ignore_ascii_case(name)
            && match urn {
                Some(urn) => path.urn.is_none() || is(path.urn.as_deref(), urn),
                None => core(path.urn.as_deref()),
            }
    };
    let mut subs = Vec::new();
    for path in paths.iter().filter(fits) {
        match &path.sub {
            None => return Named::Whole,
            Some(sub) => subs.push(sub.as_str()),
        }
    }
    if subs.is_empty() { Named::Not } else { Named::Subs(subs) }
}

fn is(urn: Option<&str>, wanted: &str) -> bool {
    urn.is_some_and(|urn| urn.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::scim::parse;

    const USER_JSON: &str = r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"id":"1","userName":"ada","name":{"givenName":"Ada","familyName":"L"},"emails":[{"value":"a@x","type":"work"}],"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"R","manager":{"value":"2"}}}"#;

    fn shown(only: Option<&str>, without: Option<&str>) -> String {
        let projection = Projection::parse(only, without).unwrap();
        let shown = projection.apply(&parse(USER_JSON.as_bytes()).unwrap());
        let names: Vec<String> = shown
            .iter()
            .skip(1)
            .map(|(name, value)| match value.as_complex() {
                Some(inner) if name.contains(':') || inner.len() == 1 => {
                    let inner: Vec<&str> = inner.iter().map(|(name, _)| name).collect();
                    format!("{}({})", name.rsplit(':').next().unwrap(), inner.join(" "))
                }
                Some(_) | None => name.to_owned(),
            })
            .collect();
        names.join(" ")
    }

    #[test]
    fn only_what_is_named_is_shown_and_the_id_always() {
        assert_eq!(shown(Some("USERNAME"), None), "id userName");
        assert_eq!(shown(Some("name.givenName"), None), "id name(givenName)");
        let department = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department";
        assert_eq!(shown(Some(department), None), "id User(department)");
        let extension = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
        assert_eq!(shown(Some(extension), None), "id User(department manager)");
        assert_eq!(
            shown(Some("urn:ietf:params:scim:schemas:core:2.0:User:userName"), None),
            "id userName"
        );
    }

    #[test]
    fn all_but_what_is_excluded_is_shown_and_the_id_always() {
        assert_eq!(shown(None, Some("id,name,emails")), "id userName User(department manager)");
        assert_eq!(
            shown(None, Some("name.familyName,userName,emails,manager")),
            "id name(givenName) User(department)"
        );
    }

    #[test]
    fn the_urn_of_the_schema_is_all_but_the_extensions() {
        let core = Some("urn:ietf:params:scim:schemas:core:2.0:User");
        assert_eq!(shown(core, None), "id userName name emails");
        assert_eq!(shown(None, core), "id User(department manager)");
    }

    #[test]
    fn an_extension_that_no_schema_knows_is_shown_and_left_out_as_others_are() {
        let user = parse(br#"{"id":"1","urn:acme:scim:2.0:User":{"a":1},"title":"t"}"#).unwrap();
        let shown = |only, without| {
            let shown = Projection::parse(only, without).unwrap().apply(&user);
            shown.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>().join(" ")
        };
        let acme = Some("urn:acme:scim:2.0:User");
        assert_eq!(shown(acme, None), "id urn:acme:scim:2.0:User");
        assert_eq!(shown(None, acme), "id title");
    }

    #[test]
    fn what_has_nothing_to_show_is_left_out() {
        assert_eq!(shown(Some("emails.display,name.middleName,userName"), None), "id userName");
        assert_eq!(shown(None, Some("name.givenName,name.familyName,emails")), {
            "id userName User(department manager)"
        });
    }

    #[test]
    fn members_are_looked_up_only_where_they_are_shown() {
        let shows = |only, without| Projection::parse(only, without).unwrap().shows("members");
        assert!(shows(None, None) && shows(Some("members.value"), None));
        assert!(!shows(Some("id,displayName"), None) && !shows(None, Some("members")));
    }
}
