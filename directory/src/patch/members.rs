//! The operations of a PATCH on `members`, which are not a part of a group's tree.

use schemas::scim::{
    AttrPath, Attributes, CompareOp, Filter, GROUP, Literal, MEMBERS_MAX, Path, ScimError,
    ScimType, USER, Value, member_ids,
};

use super::target::{REF, named_by};
use super::{Op, Operation};

/// A change of who belongs to a group, by identifiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberOp {
    /// These too.
    Add(Vec<String>),
    /// These no longer, whether they did or not.
    Remove(Vec<String>),
    /// Nobody.
    Clear,
    /// These and no others.
    Replace(Vec<String>),
    /// These and no others of those who are shown: who is pending stays so.
    ReplaceShown(Vec<String>),
}

/// Takes the operations on `members` out of a group's PATCH; the rest is for [`super::apply`].
///
/// Only an operation that names `members` touches them: a rename never does.
///
/// # Errors
/// `invalidPath` for a path into members that cannot be done, `mutability` for what is said of one,
/// `invalidValue` for members that
/// cannot be read, 413 for more than [`MEMBERS_MAX`] of them in the request.
pub fn split_members(
    operations: Vec<Operation>,
) -> Result<(Vec<Operation>, Vec<MemberOp>), ScimError> {
    let (mut others, mut changes) = (Vec::new(), Vec::new());
    for operation in operations {
        let Operation { op, path, value } = operation;
        match (path, value) {
            (path, Some(Value::Complex(mut values)))
                if op != Op::Remove && path.as_ref().is_none_or(is_core) =>
            {
                // Null is absent here (RFC 7643 §2.5), as in the body of a PUT.
                for members in take(&mut values).into_iter().filter(|all| *all != Value::Null) {
                    changes.extend(change(op, members)?);
                }
                if !values.is_empty() {
                    others.push(Operation { op, path, value: Some(values.into()) });
                }
            }
            (Some(path), value) if leads_to_members(&path) => {
                changes.extend(at_path(op, &path, value)?);
            }
            (path, value) => others.push(Operation { op, path, value }),
        }
    }
    let named: usize = changes.iter().map(|op: &MemberOp| op.named().len()).sum();
    if named > MEMBERS_MAX {
        let detail = format!("One request may name at most {MEMBERS_MAX} members; send several.");
        return Err(ScimError::with_status(413, detail));
    }
    Ok((others, changes))
}

/// Takes the members out of the attributes of a group, and out of those under the URN of its schema.
fn take(values: &mut Attributes) -> Vec<Value> {
    let (mut taken, mut kept) = (Vec::new(), Attributes::new());
    for (name, value) in std::mem::take(values) {
        if names_members(&name) {
            taken.push(value);
        } else if name.eq_ignore_ascii_case(GROUP.core.id) {
            let inner = value.map_complex(|mut inner| {
                taken.extend(take(&mut inner));
                inner
            });
            if !inner.is_absent() {
                kept.insert(name, inner);
            }
        } else {
            kept.insert(name, value);
        }
    }
    *values = kept;
    taken
}

/// A serializer that writes `null` for what it was not given must not empty a group, and one that means to must not be
/// passed over: members who stay in silence keep what the group gives them.
fn says_nothing_of_members() -> ScimError {
    ScimError::invalid_value(
        "The value null does not say which members are meant. List them; to remove all of them, leave the value out, or \
         replace members by [].",
    )
}

impl MemberOp {
    /// The identifiers in it.
    #[must_use]
    pub fn named(&self) -> &[String] {
        match self {
            Self::Add(ids) | Self::Remove(ids) | Self::Replace(ids) | Self::ReplaceShown(ids) => {
                ids
            }
            Self::Clear => &[],
        }
    }

    /// Whether it changes others than those that it names.
    #[must_use]
    pub const fn is_about_everyone(&self) -> bool {
        match self {
            Self::Add(_) | Self::Remove(_) => false,
            Self::Clear | Self::Replace(_) | Self::ReplaceShown(_) => true,
        }
    }
}

fn at_path(op: Op, path: &Path, value: Option<Value>) -> Result<Option<MemberOp>, ScimError> {
    match (op, path) {
        (Op::Remove | Op::Replace, Path::Attribute(AttrPath { sub: None, .. }))
            if value == Some(Value::Null) =>
        {
            Err(says_nothing_of_members())
        }
        (_, Path::Attribute(AttrPath { sub: None, .. })) => {
            change(op, value.unwrap_or(Value::Null))
        }
        (Op::Remove, Path::Element { filter, sub: None, .. }) => match chosen(filter) {
            Some(Chosen::These(ids)) => Ok(Some(MemberOp::Remove(ids))),
            Some(Chosen::Everyone) => Ok(Some(MemberOp::Clear)),
            None => {
                let detail = "The members of a group can be selected by members[value eq \"…\"] or by their $ref, \
                              combined with and, or and type eq \"User\".";
                Err(ScimError::new(ScimType::InvalidFilter, detail))
            }
        },
        (_, Path::Element { sub: Some(_), .. }) => {
            let detail =
                "What is said of a member cannot be changed; remove the member and add another.";
            Err(ScimError::new(ScimType::Mutability, detail))
        }
        (_, Path::Attribute(_) | Path::Element { .. } | Path::Extension(_)) => {
            Err(invalid("can be added, removed or replaced, but not changed"))
        }
    }
}

fn change(op: Op, value: Value) -> Result<Option<MemberOp>, ScimError> {
    let named = value != Value::Null;
    let ids = member_ids(value)?;
    Ok(match op {
        Op::Add | Op::Remove if named && ids.is_empty() => None,
        Op::Add if !named => None,
        Op::Add => Some(MemberOp::Add(ids)),
        Op::Remove if named => Some(MemberOp::Remove(ids)),
        Op::Remove => Some(MemberOp::Clear),
        Op::Replace => Some(MemberOp::Replace(ids)),
    })
}

/// Whom a filter selects, without asking who is there.
enum Chosen {
    Everyone,
    These(Vec<String>),
}

impl Chosen {
    const fn all_if(holds: bool) -> Self {
        if holds { Self::Everyone } else { Self::These(Vec::new()) }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Everyone, chosen) | (chosen, Self::Everyone) => chosen,
            (Self::These(mut ids), Self::These(others)) => {
                ids.retain(|id| others.contains(id));
                Self::These(ids)
            }
        }
    }

    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Everyone, _) | (_, Self::Everyone) => Self::Everyone,
            (Self::These(ids), Self::These(others)) => Self::These([ids, others].concat()),
        }
    }
}

/// What can be told of a member by its identifier alone: `value`, the id at the end of `$ref`, and that all are users.
fn chosen(filter: &Filter) -> Option<Chosen> {
    match filter {
        Filter::Compare { path, op: CompareOp::Eq, value: Literal::String(text) } => {
            match part(path)?.as_str() {
                "value" => Some(Chosen::These(vec![text.clone()])),
                REF => Some(Chosen::These(named_by(text).map(str::to_owned).into_iter().collect())),
                "type" => Some(Chosen::all_if(text.eq_ignore_ascii_case(USER.name))),
                _ => None,
            }
        }
        Filter::Present(path) => {
            ["value", REF, "type"].contains(&part(path)?.as_str()).then_some(Chosen::Everyone)
        }
        Filter::Or(terms) => combined(terms, Chosen::These(Vec::new()), Chosen::or),
        Filter::And(terms) => combined(terms, Chosen::Everyone, Chosen::and),
        Filter::Not(_) | Filter::Compare { .. } | Filter::Has { .. } => None,
    }
}

fn combined(
    terms: &[Filter],
    first: Chosen,
    combine: impl Fn(Chosen, Chosen) -> Chosen,
) -> Option<Chosen> {
    terms.iter().try_fold(first, |so_far, term| Some(combine(so_far, chosen(term)?)))
}

/// The name of a part of a member, in lower case.
fn part(path: &AttrPath) -> Option<String> {
    (path.urn.is_none() && path.sub.is_none()).then(|| path.attribute.to_ascii_lowercase())
}

fn is_core(path: &Path) -> bool {
    match path {
        Path::Extension(urn) => urn.eq_ignore_ascii_case(GROUP.core.id),
        Path::Attribute(_) | Path::Element { .. } => false,
    }
}

fn leads_to_members(path: &Path) -> bool {
    match path {
        Path::Attribute(attribute) | Path::Element { attribute, .. } => is_members(attribute),
        Path::Extension(_) => false,
    }
}

fn names_members(name: &str) -> bool {
    name.parse().is_ok_and(|path: AttrPath| path.sub.is_none() && is_members(&path))
}

fn is_members(path: &AttrPath) -> bool {
    let urn = path.urn.as_deref();
    urn.is_none_or(|urn| urn.eq_ignore_ascii_case(GROUP.core.id))
        && path.attribute.eq_ignore_ascii_case("members")
}

fn invalid(what: &str) -> ScimError {
    ScimError::new(ScimType::InvalidPath, format!("The members of a group {what}."))
}
