//! Webhook endpoints and what they were sent.

use std::time::Duration;

use api::ports::{
    Attempt, AttemptFilter, Conflict, Deliveries, Delivering, Endpoint, EndpointChange, Endpoints,
    LIVE_REPLAYS_MAX, NewReplay, Page, PageRequest, Point, PortError, Replay, Rotation, Sample,
    SecretRotation, Start, Trial, Trials, VerificationKey, VerificationKeys,
};
use async_trait::async_trait;
use bytes::Bytes;
use schemas::{AttemptId, EndpointId, EventId, EventType, ReplayId, Timestamp};

use super::{Fake, one, page};

#[async_trait]
impl Endpoints for Fake {
    async fn list(&self, request: PageRequest<EndpointId>) -> Result<Page<Endpoint>, PortError> {
        Ok(page(request, self.state().endpoints.clone(), |found| found.id))
    }

    async fn get(&self, id: EndpointId) -> Result<Endpoint, PortError> {
        one(&self.state().endpoints, |found| found.id == id)
    }

    async fn delivering(&self, _: EndpointId, _: Timestamp) -> Result<Delivering, PortError> {
        Ok(self.state().delivering.clone())
    }

    async fn create(&self, endpoint: Endpoint, start: Start) -> Result<(), PortError> {
        let mut state = self.state();
        state.start = start;
        if state.endpoints.iter().any(|known| known.url == endpoint.url) {
            return Err(PortError::Conflict(Conflict::EndpointUrl));
        }
        state.endpoints.push(endpoint);
        Ok(())
    }

    async fn update(&self, id: EndpointId, change: EndpointChange) -> Result<Endpoint, PortError> {
        let mut state = self.state();
        let is_taken = |known: &Endpoint| known.id != id && Some(&known.url) == change.url.as_ref();
        if state.endpoints.iter().any(is_taken) {
            return Err(PortError::Conflict(Conflict::EndpointUrl));
        }
        let found = state.endpoints.iter_mut().find(|found| found.id == id);
        let found = found.ok_or(PortError::NotFound)?;
        found.url = change.url.unwrap_or_else(|| found.url.clone());
        found.enabled = change.enabled.unwrap_or(found.enabled);
        found.events = change.events.unwrap_or_else(|| found.events.clone());
        found.organizations = change.organizations.unwrap_or_else(|| found.organizations.clone());
        found.directories = change.directories.unwrap_or_else(|| found.directories.clone());
        found.order = change.order.unwrap_or(found.order);
        found.retry_schedule =
            change.retry_schedule.unwrap_or_else(|| found.retry_schedule.clone());
        found.format = change.format.unwrap_or(found.format);
        found.outward = change.outward.on(std::mem::take(&mut found.outward));
        Ok(found.clone())
    }

    async fn rotate_secret(
        &self,
        id: EndpointId,
        rotation: SecretRotation,
    ) -> Result<Endpoint, PortError> {
        let mut state = self.state();
        let found = state.endpoints.iter_mut().find(|found| found.id == id);
        let found = found.ok_or(PortError::NotFound)?;
        found.secret = rotation.secret;
        found.previous_secret_until = Some(rotation.until);
        Ok(found.clone())
    }

    async fn delete(&self, id: EndpointId) -> Result<(), PortError> {
        Endpoints::get(self, id).await?;
        self.state().endpoints.retain(|found| found.id != id);
        Ok(())
    }
}

#[async_trait]
impl Deliveries for Fake {
    async fn attempts(
        &self,
        endpoint: EndpointId,
        request: PageRequest<AttemptId>,
        filter: AttemptFilter,
    ) -> Result<Page<Attempt>, PortError> {
        Endpoints::get(self, endpoint).await?;
        let mut state = self.state();
        state.attempt_filters.push(filter);
        Ok(page(request, state.attempts.clone(), |found| found.id))
    }

    async fn start_replay(&self, new: NewReplay) -> Result<Replay, PortError> {
        let mut state = self.state();
        if state.replays.iter().filter(|found| found.finished_at.is_none()).count()
            >= LIVE_REPLAYS_MAX
        {
            return Err(PortError::Conflict(Conflict::LiveReplays));
        }
        if let (Point::Event(from), Some(Point::Event(to))) = (new.range.from, new.range.to)
            && from > to
        {
            return Err(PortError::Conflict(Conflict::Backwards));
        }
        let replay = Replay {
            id: new.id,
            endpoint: new.endpoint,
            directory: new.directory,
            events: new.events.clone(),
            rate: new.rate.get(),
            total: 7,
            delivered: 0,
            exhausted: 0,
            created_at: new.created_at,
            finished_at: None,
        };
        state.replays.push(replay.clone());
        state.new_replays.push(new);
        Ok(replay)
    }

    async fn replays(
        &self,
        endpoint: EndpointId,
        request: PageRequest<ReplayId>,
    ) -> Result<Page<Replay>, PortError> {
        Endpoints::get(self, endpoint).await?;
        Ok(page(request, self.state().replays.clone(), |found| found.id))
    }

    async fn replay(&self, endpoint: EndpointId, id: ReplayId) -> Result<Replay, PortError> {
        one(&self.state().replays, |found| found.id == id && found.endpoint == endpoint)
    }

    async fn cancel_replay(&self, endpoint: EndpointId, id: ReplayId) -> Result<(), PortError> {
        self.replay(endpoint, id).await?;
        self.state().replays.retain(|found| found.id != id);
        Ok(())
    }
}

#[async_trait]
impl Trials for Fake {
    async fn send(&self, endpoint: EndpointId, sample: Sample) -> Result<Option<Trial>, PortError> {
        Endpoints::get(self, endpoint).await?;
        self.state().samples.push(sample);
        if sample == Sample::Directory(EventType::Deleted) {
            return Ok(None);
        }
        Ok(Some(Trial {
            event_id: EventId::from_bits(9),
            duration: Duration::from_millis(12),
            status: Some(503),
            failure: Some("status"),
            headers: vec![("webhook-id".to_owned(), "event_9".to_owned())],
            request: Bytes::from_static(b"{}"),
            response: Some(Bytes::from_static(b"busy \xff")),
        }))
    }
}

#[async_trait]
impl VerificationKeys for Fake {
    async fn verification_keys(&self) -> Result<Vec<VerificationKey>, PortError> {
        let rotations = self.state().rotations.clone();
        let made = |rotation: &Rotation| VerificationKey {
            kid: "thumbprint".to_owned(),
            x: "key".to_owned(),
            created_at: rotation.at,
            signs_from: rotation.signs_from,
            shown_until: None,
        };
        let at = Timestamp::from_millis(0);
        let first = Rotation { at, signs_from: at, shown_until: at };
        Ok(std::iter::once(&first).chain(&rotations).map(made).collect())
    }

    async fn rotate(&self, rotation: Rotation) -> Result<VerificationKey, PortError> {
        self.state().rotations.push(rotation);
        Ok(self.verification_keys().await?.pop().unwrap())
    }
}
