//! The audit trail of actions.

use api::ports::{AdminActionFilter, Conclusion, FoundActions, NewAdminAction, PageRequest};
use async_trait::async_trait;
use schemas::AdminActionId;

use crate::error::DbError;

/// What people and keys do outside SCIM.
#[async_trait]
pub(crate) trait AdminActionsBackend: Send + Sync {
    async fn begin_action(&self, action: NewAdminAction) -> Result<(), DbError>;

    /// See the port. One that has an outcome keeps it.
    async fn conclude_action(
        &self,
        id: AdminActionId,
        conclusion: Conclusion,
    ) -> Result<(), DbError>;

    async fn admin_actions(
        &self,
        page: PageRequest<AdminActionId>,
        filter: AdminActionFilter,
    ) -> Result<FoundActions, DbError>;
}
