//! Ingest's port.

use async_trait::async_trait;
use directory::{Group, Needs};
use ingest::ports::{
    Access, Admission, BoxError, Gathered, ListQuery, Listed, Member, MemberPlace, Replica,
    ReplicaError, Turn, UserView,
};
use ingest::request_log::{RequestStore, Requested};
use log::{Offset, Partition};
use schemas::{DirectoryId, Head, HostName, ScimId, Timestamp};

use crate::Store;
use crate::config::{Entry, KnownToken, TOKEN_USE_EVERY};
use crate::error::DbError;
use crate::state::Fault;

#[async_trait]
impl Replica for Store {
    async fn access(
        &self,
        endpoint_id: &str,
        token_digest: [u8; 32],
        host: Option<&HostName>,
    ) -> Result<Admission, ReplicaError> {
        let known = self.config.fresh().await.map_err(unavailable)?;
        let now = self.config.now();
        let issued = self.config.access_token(token_digest).await.map_err(unavailable)?;
        let (directory, token) = match known.entry(endpoint_id, token_digest, issued, host, now) {
            Entry::Token(directory, token) => {
                self.note_use(token, now).await;
                (directory, token)
            }
            Entry::Secret(directory, secret) => (directory, secret),
            Entry::Expired(directory) => {
                return Ok(Admission::Expired(directory.directory.id));
            }
            Entry::Elsewhere(directory) => {
                return Ok(Admission::Elsewhere(directory.directory.id));
            }
            Entry::Nothing(at_endpoint) => {
                return Ok(Admission::Refused(at_endpoint.map(|known| known.directory.id)));
            }
        };
        let id = directory.directory.id;
        let activated = self.state.is_activated(id).await.map_err(unavailable)?;
        Ok(Admission::Granted(Access {
            directory_id: id,
            partition: directory.partition,
            activated,
            host_name: directory.host_name.clone(),
            scim: directory.directory.scim,
            keeps_bodies: directory.debug_until.is_some_and(|until| now < until),
            token_id: token.id,
            token_suffix: token.suffix.clone(),
        }))
    }

    async fn partition(&self, directory: DirectoryId) -> Result<Option<Partition>, ReplicaError> {
        Ok(self.config.known().get(directory).map(|known| known.partition))
    }

    async fn gather(
        &self,
        directory: DirectoryId,
        needs: Needs,
    ) -> Result<Option<Gathered>, ReplicaError> {
        let known = self.config.known();
        let Some(known) = known.get(directory) else { return Ok(None) };
        let fault = self.state.progress().faults().borrow().get(&known.partition).cloned();
        if let Some(fault) = fault {
            return Err(faulty(fault));
        }
        if let Some(why) = self.state.progress().stops().borrow().get(&known.partition).cloned() {
            return Err(stopped(why));
        }
        let configured = known.directory.clone();
        let gathered = self.state.gather(configured, needs).await;
        gathered.map(Some).map_err(unavailable)
    }

    async fn wait_applied(&self, partition: Partition, offset: Offset) -> Result<(), ReplicaError> {
        let mut passed = self.state.progress().passed(partition);
        let mut faults = self.state.progress().faults();
        let mut stops = self.state.progress().stops();
        tokio::select! {
            biased;
            waited = passed.wait_for(|next| *next > offset) => {
                waited.map(drop).map_err(|closed| ReplicaError::Unavailable(closed.into()))
            }
            failed = faults.wait_for(|faults| faults.contains_key(&partition)) => match failed {
                Ok(faults) => Err(faulty(faults.get(&partition).cloned().unwrap_or(Fault::Full))),
                Err(closed) => Err(ReplicaError::Unavailable(closed.into())),
            },
            halted = stops.wait_for(|stops| stops.contains_key(&partition)) => match halted {
                Ok(stops) => Err(stopped(stops.get(&partition).cloned().unwrap_or_default())),
                Err(closed) => Err(ReplicaError::Unavailable(closed.into())),
            }
        }
    }

    async fn accepted(
        &self,
        directory: DirectoryId,
        records: Vec<Head>,
    ) -> Result<Vec<bool>, ReplicaError> {
        if self.state.progress().are_known(&records) {
            return Ok(vec![true; records.len()]);
        }
        self.state.accepted(directory, records).await.map_err(unavailable)
    }

    async fn turn(&self, directory: DirectoryId) -> Option<Box<dyn Turn>> {
        self.state.turn(directory).await
    }

    async fn user(
        &self,
        directory: DirectoryId,
        id: ScimId,
    ) -> Result<Option<UserView>, ReplicaError> {
        self.state.user(directory, id).await.map_err(unavailable)
    }

    async fn group(
        &self,
        directory: DirectoryId,
        id: ScimId,
    ) -> Result<Option<Group>, ReplicaError> {
        self.state.group(directory, id).await.map_err(unavailable)
    }

    async fn members(
        &self,
        directory: DirectoryId,
        group: ScimId,
        after: Option<MemberPlace>,
        limit: u32,
    ) -> Result<Vec<Member>, ReplicaError> {
        self.state.members(directory, group, after, limit).await.map_err(unavailable)
    }

    async fn list_users(
        &self,
        directory: DirectoryId,
        query: ListQuery,
    ) -> Result<Listed<UserView>, ReplicaError> {
        let listed = self.state.list_users(directory, query).await.map_err(unavailable)?;
        listed.map_err(ReplicaError::Filter)
    }

    async fn list_groups(
        &self,
        directory: DirectoryId,
        query: ListQuery,
    ) -> Result<Listed<Group>, ReplicaError> {
        let listed = self.state.list_groups(directory, query).await;
        listed.map_err(unavailable)?.map_err(ReplicaError::Filter)
    }
}

#[async_trait]
impl RequestStore for Store {
    async fn keep(&self, requests: Vec<Requested>) -> Result<(), BoxError> {
        self.config.keep_requests(requests).await.map_err(BoxError::from)
    }
}

impl Store {
    async fn note_use(&self, token: &KnownToken, now: Timestamp) {
        if token.note_use(now, TOKEN_USE_EVERY)
            && let Err(error) = self.config.token_used(token.id, now).await
        {
            tracing::warn!(%error, "the last use of a token cannot be written");
        }
    }
}

/// Its partition stands still.
fn stopped(why: String) -> ReplicaError {
    ReplicaError::Halted(BoxError::from(why))
}

fn faulty(fault: Fault) -> ReplicaError {
    match fault {
        Fault::Full => ReplicaError::Full("the projection cannot be written".into()),
        Fault::Other(reason) => ReplicaError::Unavailable(BoxError::from(reason)),
    }
}

pub(super) fn unavailable(error: DbError) -> ReplicaError {
    if error.is_full() {
        ReplicaError::Full(Box::new(error))
    } else {
        ReplicaError::Unavailable(Box::new(error))
    }
}
