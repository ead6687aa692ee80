//! Lists of the audit trail of actions, in words that both databases understand.
//!
//! An index leads through all actions, those of an organization, of an actor or of a name, by rising ids. A list that is
//! narrowed by more than one of these looks for the rest among a bounded number of those that the first leads to, and
//! goes on behind them: a filter that nothing fits costs no more than one that everything does.
//!
//! ```text
//!  organization, else actor, else action ──▶ index ──▶ the next 4,000 ──▶ what else is asked ──▶ a page
//! ```

use api::ports::{
    ACTIONS_LOOKED_AT_MAX, ActionActor, AdminEvent, AdminEventFilter, Cursor, FoundActions,
    PageRequest, Reach,
};
use schemas::{ActionOutcome, ActorKind, AdminEventId, OrganizationId, Timestamp};

use crate::columns::Columns;
use crate::error::{DbError, unreadable};
use crate::state::reading::page::{finished, in_front_of, is_forwards, is_rising};

/// The columns of [`action`], in its order.
pub(crate) const COLUMNS: &str = "id, action, actor_kind, actor, actor_name, ip, user_agent, request_id, organization, targets, \
    made, fields, unrecorded, outcome";

/// What a statement is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Bytes(Vec<u8>),
    Text(String),
}

/// A statement with what `$1` and so on stand for.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    pub(crate) parameters: Vec<Value>,
}

/// A condition on a column.
#[derive(Clone, Debug)]
struct Condition {
    begins: &'static str,
    value: Value,
}

/// How a page is read.
pub(crate) struct Walk<'a> {
    request: &'a PageRequest<AdminEventId>,
    /// What an index leads by.
    led: Vec<Condition>,
    /// What is looked for beside.
    rest: Vec<Condition>,
    rising: bool,
}

/// A side of the cursor, in the direction of reading.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Behind,
    /// With what the cursor itself points at.
    InFront,
}

impl<'a> Walk<'a> {
    pub(crate) fn of(request: &'a PageRequest<AdminEventId>, filter: &AdminEventFilter) -> Self {
        let mut equal = equalities(request.reach, filter);
        let rest = equal.split_off(equal.len().min(1));
        let mut led = equal;
        let edge = |begins, bits: u128| Condition {
            begins,
            value: Value::Bytes(bits.to_be_bytes().to_vec()),
        };
        // The first bits of an id say when it was made.
        led.extend(filter.from.map(|at| edge("id >=", millis(at) << 80)));
        led.extend(filter.to.map(|at| edge("id <", (millis(at) + 1) << 80)));
        Self { request, led, rest, rising: is_rising(request) }
    }

    /// The page and one more.
    pub(crate) fn page(&self) -> Statement {
        self.statement(COLUMNS, Side::Behind, u64::from(self.request.limit) + 1)
    }

    /// What tells the last action that was looked at, and one more if there is one, where not all of them were.
    pub(crate) fn looked_to(&self, found: usize) -> Option<Statement> {
        let is_full = found > self.request.limit as usize;
        if is_full || self.rest.is_empty() {
            return None;
        }
        let mut parameters = Vec::new();
        let conditions = self.led(Side::Behind, &mut parameters);
        let (order, skipped) = (self.order(Side::Behind), ACTIONS_LOOKED_AT_MAX - 1);
        let sql = format!(
            "SELECT id FROM admin_events WHERE {conditions} ORDER BY id {order} LIMIT 2 OFFSET {skipped}"
        );
        Some(Statement { sql, parameters })
    }

    /// What tells whether there is anything where the cursor points or on the far side of it.
    pub(crate) fn in_front(&self) -> Option<Statement> {
        self.request.cursor.map(|_| self.statement("id", Side::InFront, 1))
    }

    /// The page of what was read.
    pub(crate) fn found(
        &self,
        found: Vec<AdminEvent>,
        looked_to: &[AdminEventId],
        in_front: bool,
    ) -> FoundActions {
        let mut page = finished(found, self.request);
        if self.request.cursor.is_some() {
            page = in_front_of(page, self.request, in_front);
        }
        let looked_to = if let [last, _] = looked_to { Some(*last) } else { None };
        if looked_to.is_some() {
            let goes_on =
                if is_forwards(self.request) { &mut page.has_after } else { &mut page.has_before };
            *goes_on = true;
        }
        FoundActions { page, looked_to }
    }

    const fn order(&self, side: Side) -> &'static str {
        match (side, self.rising) {
            (Side::Behind, true) | (Side::InFront, false) => "ASC",
            (Side::Behind, false) | (Side::InFront, true) => "DESC",
        }
    }

    fn led(&self, side: Side, parameters: &mut Vec<Value>) -> String {
        let mut led = self.led.clone();
        if let Some(Cursor::After(id) | Cursor::Before(id)) = self.request.cursor {
            let begins = match (side, self.rising) {
                (Side::Behind, true) => "id >",
                (Side::Behind, false) => "id <",
                (Side::InFront, true) => "id <=",
                (Side::InFront, false) => "id >=",
            };
            led.push(Condition { begins, value: Value::Bytes(id.to_bytes().to_vec()) });
        }
        joined(&led, parameters)
    }

    fn statement(&self, columns: &str, side: Side, limit: u64) -> Statement {
        let mut parameters = Vec::new();
        let (led, order) = (self.led(side, &mut parameters), self.order(side));
        if self.rest.is_empty() {
            let sql = format!(
                "SELECT {columns} FROM admin_events WHERE {led} ORDER BY id {order} LIMIT {limit}"
            );
            return Statement { sql, parameters };
        }
        let rest = joined(&self.rest, &mut parameters);
        let sql = format!(
            "SELECT {columns} FROM (SELECT {COLUMNS} FROM admin_events WHERE {led}
                 ORDER BY id {order} LIMIT {ACTIONS_LOOKED_AT_MAX}) AS looked_at
             WHERE {rest} ORDER BY id {order} LIMIT {limit}"
        );
        Statement { sql, parameters }
    }
}

/// What has to be as it is asked for; what leads to the fewest first.
fn equalities(reach: Reach, filter: &AdminEventFilter) -> Vec<Condition> {
    let own = match reach {
        Reach::Everything => None,
        Reach::Organization(own) => Some(own),
    };
    let of = |organization: OrganizationId| Condition {
        begins: "organization =",
        value: Value::Bytes(organization.to_bytes().to_vec()),
    };
    let text = |begins, text: &str| Condition { begins, value: Value::Text(text.to_owned()) };
    let wanted = filter.organization.filter(|wanted| own != Some(*wanted));
    let mut equal: Vec<Condition> = own.into_iter().chain(wanted).map(of).collect();
    equal.extend(filter.actor.as_deref().map(|actor| text("actor =", actor)));
    equal.extend(filter.action.map(|action| text("action =", action.name())));
    equal
}

fn millis(at: Timestamp) -> u128 {
    // An id has 48 bits for it; nothing was made before 1970.
    u128::from(at.millis().clamp(0, (1 << 47) - 1).unsigned_abs())
}

fn joined(conditions: &[Condition], parameters: &mut Vec<Value>) -> String {
    if conditions.is_empty() {
        return "TRUE".to_owned();
    }
    let each = conditions.iter().map(|condition| {
        parameters.push(condition.value.clone());
        format!("{} ${}", condition.begins, parameters.len())
    });
    each.collect::<Vec<_>>().join(" AND ")
}

/// Names as they are kept.
pub(crate) fn names(names: &[String]) -> String {
    serde_json::to_string(names).expect("texts are JSON")
}

/// An action of the [`COLUMNS`].
pub(crate) fn action(row: &impl Columns) -> Result<AdminEvent, DbError> {
    let list = |column| -> Result<Vec<String>, DbError> {
        serde_json::from_str(&row.text(column)?).map_err(unreadable("action"))
    };
    let kind = row.text(2)?;
    let mut targets = list(9)?;
    targets.extend(row.text_if(10)?);
    Ok(AdminEvent {
        id: AdminEventId::from_bytes(row.id(0)?),
        action: row.text(1)?.parse().map_err(unreadable("action"))?,
        actor: ActionActor {
            kind: ActorKind::named(&kind).ok_or_else(|| unreadable("actor")(kind.as_str()))?,
            id: row.text_if(3)?,
            name: row.text_if(4)?,
            ip: row.text_if(5)?,
            user_agent: row.text_if(6)?,
            request_id: row.text_if(7)?,
        },
        organization_id: row.id_if(8)?.map(OrganizationId::from_bytes),
        targets,
        fields: list(11)?,
        unrecorded: row.count(12)?,
        outcome: row.text_if(13)?.map(|outcome| outcome_of(&outcome)).transpose()?,
    })
}

fn outcome_of(outcome: &str) -> Result<ActionOutcome, DbError> {
    ActionOutcome::named(outcome).ok_or_else(|| unreadable("outcome")(outcome))
}
