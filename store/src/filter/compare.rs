//! The comparison of a value with a literal, each of one kind.

use schemas::scim::CompareOp;

use super::Dialect;

pub(super) fn compare_texts<D: Dialect>(value: &str, op: CompareOp, literal: &str) -> String {
    match op {
        CompareOp::Co => D::contains(value, literal),
        CompareOp::Sw => D::starts_with(value, literal),
        CompareOp::Ew => D::ends_with(value, literal),
        CompareOp::Eq
        | CompareOp::Ne
        | CompareOp::Gt
        | CompareOp::Ge
        | CompareOp::Lt
        | CompareOp::Le => format!("{value} {} {literal}", operator(op)),
    }
}

pub(super) fn compare_numbers<D: Dialect>(
    kind: &str,
    value: &str,
    op: CompareOp,
    literal: &str,
) -> String {
    let (value, op) = (D::number(value), operator(op));
    format!("(CASE WHEN {kind} IN ('integer', 'real') THEN {value} {op} {literal} END)")
}

/// A column of milliseconds against a moment in nanoseconds. None for an operator on texts.
pub(super) fn compare_moments(
    column: &str,
    op: CompareOp,
    nanos: i128,
    bind: impl FnOnce(i64) -> String,
) -> Option<String> {
    const NANOS: i128 = 1_000_000;
    let millis =
        |nanos: i128| i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX });
    let floor = millis(nanos.div_euclid(NANOS));
    let between = nanos.rem_euclid(NANOS) != 0;
    let ceiling = if between { floor.saturating_add(1) } else { floor };
    let bound = match op {
        CompareOp::Eq if between => return Some("FALSE".to_owned()),
        CompareOp::Ne if between => return Some("TRUE".to_owned()),
        CompareOp::Eq | CompareOp::Ne | CompareOp::Gt | CompareOp::Le => floor,
        CompareOp::Ge | CompareOp::Lt => ceiling,
        CompareOp::Co | CompareOp::Sw | CompareOp::Ew => return None,
    };
    Some(format!("{column} {} {}", operator(op), bind(bound)))
}

/// The operator of SQL. Those on parts of texts have none and never get here.
const fn operator(op: CompareOp) -> &'static str {
    match op {
        CompareOp::Eq | CompareOp::Co | CompareOp::Sw | CompareOp::Ew => "=",
        CompareOp::Ne => "<>",
        CompareOp::Gt => ">",
        CompareOp::Ge => ">=",
        CompareOp::Lt => "<",
        CompareOp::Le => "<=",
    }
}
