//! The port on the audit trail of actions.

use api::ports::{
    AdminActionFilter, AdminActions, Conclusion, FoundActions, NewAdminAction, PageRequest,
    PortError,
};
use async_trait::async_trait;
use schemas::AdminActionId;

use super::port_error;
use crate::Store;

#[async_trait]
impl AdminActions for Store {
    async fn begin(&self, action: NewAdminAction) -> Result<(), PortError> {
        self.config.begin_action(action).await.map_err(port_error)
    }

    async fn conclude(&self, id: AdminActionId, conclusion: Conclusion) -> Result<(), PortError> {
        self.config.conclude_action(id, conclusion).await.map_err(port_error)
    }

    async fn list(
        &self,
        page: PageRequest<AdminActionId>,
        filter: AdminActionFilter,
    ) -> Result<FoundActions, PortError> {
        self.config.admin_actions(page, filter).await.map_err(port_error)
    }
}
