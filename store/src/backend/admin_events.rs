//! The audit trail of actions.

use api::ports::{AdminEventFilter, Conclusion, FoundActions, NewAdminEvent, PageRequest};
use async_trait::async_trait;
use schemas::AdminEventId;

use crate::error::DbError;

/// What people and keys do outside SCIM.
#[async_trait]
pub(crate) trait AdminEventsBackend: Send + Sync {
    async fn begin_action(&self, action: NewAdminEvent) -> Result<(), DbError>;

    /// See the port. One that has an outcome keeps it.
    async fn conclude_action(
        &self,
        id: AdminEventId,
        conclusion: Conclusion,
    ) -> Result<(), DbError>;

    async fn admin_events(
        &self,
        page: PageRequest<AdminEventId>,
        filter: AdminEventFilter,
    ) -> Result<FoundActions, DbError>;
}
