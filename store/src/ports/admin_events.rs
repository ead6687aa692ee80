//! The port on the audit trail of actions.

use api::ports::{
    AdminEventFilter, AdminEvents, Conclusion, FoundActions, NewAdminEvent, PageRequest, PortError,
};
use async_trait::async_trait;
use schemas::AdminEventId;

use super::port_error;
use crate::Store;

#[async_trait]
impl AdminEvents for Store {
    async fn begin(&self, action: NewAdminEvent) -> Result<(), PortError> {
        self.config.begin_action(action).await.map_err(port_error)
    }

    async fn conclude(&self, id: AdminEventId, conclusion: Conclusion) -> Result<(), PortError> {
        self.config.conclude_action(id, conclusion).await.map_err(port_error)
    }

    async fn list(
        &self,
        page: PageRequest<AdminEventId>,
        filter: AdminEventFilter,
    ) -> Result<FoundActions, PortError> {
        self.config.admin_events(page, filter).await.map_err(port_error)
    }
}
