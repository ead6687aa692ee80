//! The audit trail of actions.

use api::ports::{AdminEventFilter, Conclusion, FoundActions, NewAdminEvent, PageRequest};
use async_trait::async_trait;
use deadpool_postgres::Object;
use schemas::{AdminEventId, OrganizationId};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::Config;
use super::query::{Parameters, all, execute, id, int};
use crate::actions::{COLUMNS, Statement, Value, Walk, action, names};
use crate::backend::AdminEventsBackend;
use crate::columns::Columns as _;
use crate::error::DbError;

#[async_trait]
impl AdminEventsBackend for Config {
    async fn begin_action(&self, action: NewAdminEvent) -> Result<(), DbError> {
        let client = self.db.client().await?;
        let sql = format!(
            "INSERT INTO admin_events ({COLUMNS})
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, NULL, $11, $12, $13)"
        );
        let actor = &action.actor;
        let parameters: Parameters<'_> = &[
            &id(action.id.to_bytes()),
            &action.action.name(),
            &actor.kind.name(),
            &actor.id,
            &actor.name,
            &actor.ip,
            &actor.user_agent,
            &actor.request_id,
            &action.organization_id.map(OrganizationId::to_bytes).map(id),
            &names(&action.targets),
            &names(&action.fields),
            &int(action.unrecorded),
            &action.outcome.map(schemas::ActionOutcome::name),
        ];
        execute(&client, &sql, parameters).await.map(drop)
    }

    async fn conclude_action(
        &self,
        action: AdminEventId,
        conclusion: Conclusion,
    ) -> Result<(), DbError> {
        let Conclusion { outcome, organization_id, made, fields } = conclusion;
        let client = self.db.client().await?;
        let sql = "UPDATE admin_events SET outcome = $2,
                organization = coalesce($3, organization), made = $4, fields = coalesce($5, fields)
            WHERE id = $1 AND outcome IS NULL";
        let parameters: Parameters<'_> = &[
            &id(action.to_bytes()),
            &outcome.name(),
            &organization_id.map(OrganizationId::to_bytes).map(id),
            &made,
            &fields.map(|fields| names(&fields)),
        ];
        execute(&client, sql, parameters).await.map(drop)
    }

    async fn admin_events(
        &self,
        page: PageRequest<AdminEventId>,
        filter: AdminEventFilter,
    ) -> Result<FoundActions, DbError> {
        let client = self.db.client().await?;
        let walk = Walk::of(&page, &filter);
        let found = rows(&client, &walk.page()).await?;
        let found = found.iter().map(action).collect::<Result<Vec<_>, _>>()?;
        let looked_to = match walk.looked_to(found.len()) {
            Some(statement) => rows(&client, &statement).await?,
            None => Vec::new(),
        };
        let looked_to = looked_to.iter().map(|row| row.id(0).map(AdminEventId::from_bytes));
        let looked_to = looked_to.collect::<Result<Vec<_>, _>>()?;
        let in_front = match walk.in_front() {
            Some(statement) => !rows(&client, &statement).await?.is_empty(),
            None => false,
        };
        Ok(walk.found(found, &looked_to, in_front))
    }
}

async fn rows(client: &Object, statement: &Statement) -> Result<Vec<Row>, DbError> {
    let parameters: Vec<&(dyn ToSql + Sync)> = statement
        .parameters
        .iter()
        .map(|parameter| match parameter {
            Value::Bytes(bytes) => bytes as &(dyn ToSql + Sync),
            Value::Text(text) => text,
        })
        .collect();
    all(client, &statement.sql, &parameters).await
}
