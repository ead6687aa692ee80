//! The audit trail of actions.

use api::ports::{AdminEventFilter, Conclusion, FoundActions, NewAdminEvent, PageRequest};
use async_trait::async_trait;
use rusqlite::{Connection, params, params_from_iter};
use schemas::{AdminEventId, OrganizationId};

use super::Config;
use crate::actions::{COLUMNS, Statement, Value, Walk, action, names};
use crate::backend::AdminEventsBackend;
use crate::columns::Columns as _;
use crate::error::DbError;
use crate::sqlite::as_sql;
use crate::state::rows::all;

#[async_trait]
impl AdminEventsBackend for Config {
    async fn begin_action(&self, action: NewAdminEvent) -> Result<(), DbError> {
        self.durable.run(move |connection| insert(connection, &action)).await
    }

    /// What a crash takes of the end of an action is said by its beginning, which stays: so the disk is not waited for.
    async fn conclude_action(
        &self,
        id: AdminEventId,
        conclusion: Conclusion,
    ) -> Result<(), DbError> {
        self.progress
            .run(move |connection| {
                let Conclusion { outcome, organization_id, made, fields } = conclusion;
                connection
                    .prepare_cached(
                        "UPDATE admin_events SET outcome = ?2,
                             organization = coalesce(?3, organization), made = ?4,
                             fields = coalesce(?5, fields)
                         WHERE id = ?1 AND outcome IS NULL",
                    )?
                    .execute(params![
                        id.to_bytes(),
                        outcome.name(),
                        organization_id.map(OrganizationId::to_bytes),
                        made,
                        fields.map(|fields| names(&fields)),
                    ])?;
                Ok(())
            })
            .await
    }

    async fn admin_events(
        &self,
        page: PageRequest<AdminEventId>,
        filter: AdminEventFilter,
    ) -> Result<FoundActions, DbError> {
        self.read(move |connection| {
            let walk = Walk::of(&page, &filter);
            let found = rows(connection, &walk.page(), |row| action(row))?;
            let looked_to = match walk.looked_to(found.len()) {
                Some(statement) => {
                    rows(connection, &statement, |row| Ok(AdminEventId::from_bytes(row.id(0)?)))?
                }
                None => Vec::new(),
            };
            let in_front = match walk.in_front() {
                Some(statement) => !rows(connection, &statement, |_| Ok(()))?.is_empty(),
                None => false,
            };
            Ok(walk.found(found, &looked_to, in_front))
        })
        .await
    }
}

fn insert(connection: &Connection, action: &NewAdminEvent) -> Result<(), DbError> {
    let sql = format!(
        "INSERT INTO admin_events ({COLUMNS})
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, NULL, ?11, ?12, ?13)"
    );
    let actor = &action.actor;
    connection.prepare_cached(&sql)?.execute(params![
        action.id.to_bytes(),
        action.action.name(),
        actor.kind.name(),
        actor.id,
        actor.name,
        actor.ip,
        actor.user_agent,
        actor.request_id,
        action.organization_id.map(OrganizationId::to_bytes),
        names(&action.targets),
        names(&action.fields),
        as_sql(action.unrecorded),
        action.outcome.map(schemas::ActionOutcome::name),
    ])?;
    Ok(())
}

fn rows<T>(
    connection: &Connection,
    statement: &Statement,
    read: impl Fn(&rusqlite::Row<'_>) -> Result<T, DbError>,
) -> Result<Vec<T>, DbError> {
    let parameters = statement.parameters.iter().map(|parameter| match parameter {
        Value::Bytes(bytes) => rusqlite::types::Value::Blob(bytes.clone()),
        Value::Text(text) => rusqlite::types::Value::Text(text.clone()),
    });
    all(connection, &statement.sql.replace('$', "?"), params_from_iter(parameters), read)
}
