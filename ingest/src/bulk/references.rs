//! References of a bulk request: where the body of an operation may name the resource of another.
//!
//! `bulkId:x` is a reference only where a resource is named: in the `value` or `$ref` of an attribute that
//! refers to resources (`members`, `manager`), in the filter of a PATCH path on one, and in any `$ref`.
//! Everywhere else it is a text like any other. Bodies are looked at as they were sent, so what the
//! tolerance pass reads, such as a bare `manager`, is read here too.

use schemas::scim::{AttrPath, Attributes, Filter, Literal, Path, ResourceSchema, Value};

use crate::quirks::entra;

/// What a reference begins with.
pub(crate) const REFERENCE: &str = "bulkId:";

/// Shows every `bulkId` that the body refers to; what comes back takes the place of the reference.
pub(crate) type See<'a> = dyn FnMut(&str) -> Option<String> + 'a;

/// Goes through the body of a POST or PUT.
pub(crate) fn in_resource(schema: &ResourceSchema, body: &mut Attributes, see: &mut See<'_>) {
    for (name, value) in body.iter_mut() {
        let place = place(schema, name);
        in_place(schema, place, value, see);
    }
}

/// Goes through the body of a PATCH.
pub(crate) fn in_patch(schema: &ResourceSchema, body: &mut Attributes, see: &mut See<'_>) {
    let Some(Value::List(operations)) = body.get_mut("Operations") else { return };
    for operation in operations.iter_mut().filter_map(Value::as_complex_mut) {
        let place = match operation.get_mut("path") {
            Some(Value::String(path)) => {
                in_path(schema, path, see);
                place(schema, path)
            }
            Some(_) | None => Place::Resource,
        };
        if let Some(value) = operation.get_mut("value") {
            in_place(schema, place, value, see);
        }
    }
}

/// Where a name or a path leads to.
#[derive(Clone, Copy)]
enum Place {
    /// The resource or an extension of it: names and values.
    Resource,
    /// An attribute that refers to resources.
    Reference,
    /// The `value` or the `$ref` of one.
    Part,
    Other,
}

fn place(schema: &ResourceSchema, name: &str) -> Place {
    let spelt = entra::path(name);
    let (attribute, sub) = match spelt.as_deref().unwrap_or(name).parse() {
        Ok(Path::Extension(urn))
            if schema.extension(&urn).is_some() || urn.eq_ignore_ascii_case(schema.core.id) =>
        {
            return Place::Resource;
        }
        Ok(Path::Attribute(AttrPath { sub, urn, attribute })) => {
            (AttrPath { urn, attribute, sub: None }, sub)
        }
        Ok(Path::Element { attribute, sub, .. }) => (attribute, sub),
        Ok(Path::Extension(_)) | Err(_) => return Place::Other,
    };
    match (refers(schema, &attribute), sub) {
        (true, None) => Place::Reference,
        (true, Some(sub)) if names_a_resource(&sub) => Place::Part,
        (true, Some(_)) | (false, _) => Place::Other,
    }
}

/// An attribute refers to resources if it has a `$ref`.
fn refers(schema: &ResourceSchema, path: &AttrPath) -> bool {
    let found = schema.find(path.urn.as_deref(), &path.attribute, None);
    found.is_some_and(|found| found.attribute.sub(REF).is_some())
}

const REF: &str = "$ref";

fn names_a_resource(sub: &str) -> bool {
    sub.eq_ignore_ascii_case("value") || sub.eq_ignore_ascii_case(REF)
}

/// Depth is bounded where bodies are read.
fn in_place(schema: &ResourceSchema, place: Place, value: &mut Value, see: &mut See<'_>) {
    match (place, value) {
        (_, Value::List(items)) => {
            items.iter_mut().for_each(|item| in_place(schema, place, item, see));
        }
        (Place::Resource, Value::Complex(parts)) => in_resource(schema, parts, see),
        (Place::Reference | Place::Part, Value::String(text)) => in_text(text, see),
        (Place::Reference | Place::Part | Place::Other, Value::Complex(parts)) => {
            for (name, part) in parts.iter_mut() {
                let refers = match place {
                    Place::Reference => names_a_resource(name),
                    Place::Resource | Place::Part | Place::Other => name.eq_ignore_ascii_case(REF),
                };
                let inner = if refers { Place::Part } else { Place::Other };
                in_place(schema, inner, part, see);
            }
        }
        (Place::Resource | Place::Other, Value::String(_))
        | (_, Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Decimal(_)) => {}
    }
}

/// A reference is the whole text, or the end of an address such as `../Users/bulkId:x`.
fn in_text(text: &mut String, see: &mut See<'_>) {
    let start = text.rfind('/').map_or(0, |slash| slash + 1);
    let Some(bulk_id) = text[start..].strip_prefix(REFERENCE) else { return };
    if let Some(id) = see(bulk_id) {
        text.replace_range(start.., &id);
    }
}

fn in_path(schema: &ResourceSchema, text: &mut String, see: &mut See<'_>) {
    let spelt = entra::path(text);
    let path = spelt.as_deref().unwrap_or(text).parse();
    let Ok(Path::Element { attribute, mut filter, sub }) = path else { return };
    if !refers(schema, &attribute) {
        return;
    }
    let mut changed = false;
    in_filter(&mut filter, &mut |bulk_id| {
        let id = see(bulk_id);
        changed |= id.is_some();
        id
    });
    if changed {
        *text = Path::Element { attribute, filter, sub }.to_string();
    }
}

/// Depth is bounded where filters are read.
fn in_filter(filter: &mut Filter, see: &mut See<'_>) {
    match filter {
        Filter::And(terms) | Filter::Or(terms) => {
            terms.iter_mut().for_each(|term| in_filter(term, see));
        }
        Filter::Not(inner) => in_filter(inner, see),
        Filter::Compare { path, value: Literal::String(text), .. }
            if names_a_resource(&path.attribute) =>
        {
            in_text(text, see);
        }
        Filter::Compare { .. } | Filter::Present(_) | Filter::Has { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use schemas::scim::{GROUP, USER, parse};

    use super::*;

    type Walk = fn(&ResourceSchema, &mut Attributes, &mut See<'_>);

    /// What the body becomes when every reference is to the resource `7`.
    fn resolved(walk: Walk, schema: &ResourceSchema, body: &str) -> String {
        let mut body = parse(body.as_bytes()).unwrap();
        walk(schema, &mut body, &mut |_| Some("7".to_owned()));
        serde_json::to_string(&body).unwrap()
    }

    #[track_caller]
    fn becomes(walk: Walk, schema: &ResourceSchema, body: &str, expected: &str) {
        assert_eq!(resolved(walk, schema, body), expected);
    }

    const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

    #[test]
    fn members_and_managers_are_references_in_every_form_that_is_read() {
        becomes(
            in_resource,
            &GROUP,
            r#"{"members":[{"value":"bulkId:a","$ref":"../Users/bulkId:a"},"bulkId:b"]}"#,
            r#"{"members":[{"value":"7","$ref":"../Users/7"},"7"]}"#,
        );
        let core = "urn:ietf:params:scim:schemas:core:2.0:Group";
        let body = |id| format!(r#"{{"{core}":{{"members":["{id}"]}}}}"#);
        becomes(in_resource, &GROUP, &body("bulkId:a"), &body("7"));
        let body = |id| {
            format!(r#"{{"Operations":[{{"path":"{core}","value":{{"members":["{id}"]}}}}]}}"#)
        };
        becomes(in_patch, &GROUP, &body("bulkId:a"), &body("7"));
        for manager in [r#"{"value":"ID"}"#, r#""ID""#, r#"[{"value":"ID"}]"#] {
            for urn in [ENTERPRISE, "urn:ietf:params:scim:schemas:extension:enterprise:2.0User"] {
                let body = |id| format!(r#"{{"{urn}":{{"manager":{manager}}}}}"#).replace("ID", id);
                becomes(in_resource, &USER, &body("bulkId:a"), &body("7"));
                let dotted = |id| {
                    format!(r#"{{"Operations":[{{"op":"replace","value":{{"{urn}:manager":{manager}}}}}]}}"#)
                        .replace("ID", id)
                };
                becomes(in_patch, &USER, &dotted("bulkId:a"), &dotted("7"));
            }
        }
    }

    #[test]
    fn paths_lead_to_references_and_their_filters_hold_some() {
        for (path, value, resolved) in [
            (r#"members[value eq \"bulkId:a\"]"#, "null", r#"members[value eq \"7\"]"#),
            (r#"members[$ref eq \"/Users/bulkId:a\"]"#, "null", r#"members[$ref eq \"/Users/7\"]"#),
        ] {
            let body = |path| {
                format!(r#"{{"Operations":[{{"op":"remove","path":"{path}","value":{value}}}]}}"#)
            };
            becomes(in_patch, &GROUP, &body(path), &body(resolved));
        }
        let path = format!("{ENTERPRISE}:manager.value");
        for path in ["members", "Members.value"] {
            let body = |id| format!(r#"{{"operations":[{{"path":"{path}","value":"{id}"}}]}}"#);
            becomes(in_patch, &GROUP, &body("bulkId:a"), &body("7"));
        }
        let body = |id| format!(r#"{{"Operations":[{{"path":"{path}","value":"{id}"}}]}}"#);
        becomes(in_patch, &USER, &body("bulkId:a"), &body("7"));
    }

    #[test]
    fn a_text_that_looks_like_a_reference_stays_what_it_is() {
        let other = r#"{"userName":"bulkId:a","emails":[{"value":"bulkId:a"}],"urn:example:X":{"manager":"bulkId:a"},"title":"see \"bulkId:a\""}"#;
        becomes(in_resource, &USER, other, other);
        for path in [r#"emails[value eq \"bulkId:a\"].value"#, "displayName", "members.display", ""]
        {
            let body = format!(r#"{{"Operations":[{{"path":"{path}","value":"bulkId:a"}}]}}"#);
            becomes(in_patch, &GROUP, &body, &body);
        }
    }

    #[test]
    fn a_ref_is_a_reference_wherever_it_stands() {
        becomes(
            in_resource,
            &USER,
            r#"{"urn:example:X":{"owner":{"$ref":"bulkId:a","value":"bulkId:a"}}}"#,
            r#"{"urn:example:X":{"owner":{"$ref":"7","value":"bulkId:a"}}}"#,
        );
    }
}
