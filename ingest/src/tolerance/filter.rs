//! Filters. They are read as they are meant where they are matched; here it is only named what was meant
//! otherwise than the RFC says.

use directory::matching::truth;
use schemas::scim::{AttrPath, CompareOp, Filter, Found, Kind, Literal, ResourceSchema};

use super::Rewrite;

/// What a filter on resources of these kinds has that the RFC does not, each once.
pub(crate) fn filter(schemas: &[&ResourceSchema], filter: &Filter) -> Vec<Rewrite> {
    let mut rewrites = Vec::new();
    visit(filter, &mut |path, parent, compared| {
        for schema in schemas {
            rewrites.extend(in_path(schema, path, parent, compared));
        }
    });
    rewrites.sort_unstable();
    rewrites.dedup();
    rewrites
}

/// Whether an attribute of an extension stands without its URN.
pub(super) fn is_unqualified(found: &Found, path: &AttrPath) -> bool {
    path.urn.is_none() && found.extension.is_some()
}

type Compared<'f> = Option<(CompareOp, &'f Literal)>;

/// Every path in a filter, with the attribute in whose brackets it stands and what it is compared with.
/// Recursion is bounded where filters are read.
fn visit<'f>(
    filter: &'f Filter,
    see: &mut impl FnMut(&'f AttrPath, Option<&'f AttrPath>, Compared<'f>),
) {
    fn within<'f>(
        filter: &'f Filter,
        parent: Option<&'f AttrPath>,
        see: &mut impl FnMut(&'f AttrPath, Option<&'f AttrPath>, Compared<'f>),
    ) {
        match filter {
            Filter::And(terms) | Filter::Or(terms) => {
                terms.iter().for_each(|term| within(term, parent, see));
            }
            Filter::Not(inner) => within(inner, parent, see),
            Filter::Present(path) => see(path, parent, None),
            Filter::Compare { path, op, value } => see(path, parent, Some((*op, value))),
            Filter::Has { path, filter } => {
                see(path, parent, None);
                within(filter, Some(path), see);
            }
        }
    }
    within(filter, None, see);
}

fn in_path(
    schema: &ResourceSchema,
    path: &AttrPath,
    parent: Option<&AttrPath>,
    compared: Compared<'_>,
) -> Vec<Rewrite> {
    let of = parent.unwrap_or(path);
    let sub = parent.map_or(path.sub.as_deref(), |_| Some(&path.attribute));
    let Some(found) = schema.find(of.urn.as_deref(), &of.attribute, sub) else {
        return Vec::new();
    };
    let mut rewrites = Vec::new();
    if parent.is_none() && is_unqualified(&found, path) {
        rewrites.push(Rewrite::UnqualifiedExtension);
    }
    let Some((_, literal)) = compared else { return rewrites };
    let leaf = found.sub.unwrap_or(found.attribute);
    let is_reference = leaf.kind == Kind::Complex && leaf.sub("$ref").is_some();
    if is_reference && *literal != Literal::Null {
        rewrites.push(Rewrite::ReferenceAsValue);
    }
    let is_text = matches!(literal, Literal::String(_));
    if leaf.kind == Kind::Boolean && is_text && truth(literal).is_some() {
        rewrites.push(Rewrite::BooleanAsText);
    }
    rewrites
}

#[cfg(test)]
mod tests {
    use schemas::scim::{GROUP, USER};

    use super::*;

    fn noted(schemas: &[&ResourceSchema], text: &str) -> Vec<Rewrite> {
        filter(schemas, &text.parse().unwrap())
    }

    #[test]
    fn what_a_filter_has_beyond_the_rfc_is_named() {
        use Rewrite::{BooleanAsText, ReferenceAsValue, UnqualifiedExtension};
        let probe = r#"id eq "X" and manager eq "Y""#;
        assert_eq!(noted(&[&USER], probe), [UnqualifiedExtension, ReferenceAsValue]);
        assert_eq!(noted(&[&GROUP], r#"id eq "G" and members eq "U""#), [ReferenceAsValue]);
        assert_eq!(noted(&[&USER], r#"department eq "HR""#), [UnqualifiedExtension]);
        let qualified =
            r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager eq "Y""#;
        assert_eq!(noted(&[&USER], qualified), [ReferenceAsValue]);
        assert_eq!(noted(&[&USER], r#"not (active eq "True")"#), [BooleanAsText]);
        assert_eq!(noted(&[&USER], r#"roles[primary eq "True"].value eq "r""#), [BooleanAsText]);
        assert_eq!(
            noted(&[&USER, &GROUP], r#"groups eq "g" or members eq "u""#),
            [ReferenceAsValue]
        );
    }

    #[test]
    fn what_the_rfc_has_is_not_named() {
        for text in [
            r#"userName eq "True" and emails co "x" and active eq true"#,
            r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value eq "Y""#,
            r#"members.value eq "U" or members[value eq "U"] or members pr"#,
            r#"emails[type eq "work" and primary eq true] and nosuch eq "x""#,
        ] {
            assert_eq!(noted(&[&USER, &GROUP], text), [], "{text}");
        }
    }
}
