//! What is done about webhook endpoints, whoever asks: the API in JSON, the pages of the console by their forms.
//! What was given is judged here, so both hear the same of what is wrong with it.

use std::num::NonZeroU32;
use std::time::Duration;

use schemas::{EndpointId, EndpointKind, ReplayId, Timestamp};
use serde_json::{Map, Value};

use crate::body::Fields;
use crate::endpoints::read::{self, Given};
use crate::error::Error;
use crate::outward::{self, OVERLAP_SECONDS, OVERLAP_SECONDS_MAX};
use crate::ports::{
    Conflict, Endpoint, EndpointChange, NewReplay, Outward, PortError, Replay, SecretRotation,
    Trial,
};
use crate::replays::{self, RATE, RATE_MAX};
use crate::router::Api;
use crate::{secrets, trials};

pub use crate::error::FieldError;

/// Why what was asked for was not done. Nothing was changed.
#[derive(Debug)]
pub enum Refused {
    /// Fields are not as they should be.
    Fields(Vec<FieldError>),
    /// Webhooks must not go to this URL, and why.
    Url(String),
    /// A port said no or failed.
    Port(PortError),
}

impl From<PortError> for Refused {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

impl Refused {
    /// In the form that webhook endpoints have.
    pub(crate) fn of_endpoint(self, what: &'static str, id: impl std::fmt::Display) -> Error {
        match self {
            Self::Fields(errors) => Error::InvalidEndpoint(errors),
            Self::Url(why) => Error::InvalidUrl(why),
            Self::Port(error) => Error::about(what, id)(error),
        }
    }

    /// In the form that everything else has.
    pub(crate) fn of(self, what: &'static str, id: impl std::fmt::Display) -> Error {
        match self {
            Self::Fields(errors) => Error::Invalid(errors),
            Self::Url(why) => Error::InvalidUrl(why),
            Self::Port(error) => Error::about(what, id)(error),
        }
    }
}

/// What a body or a form says, by the names of the API's fields. Those that nobody asks for are ignored.
#[derive(Clone, Debug, Default)]
pub struct Asked(pub Map<String, Value>);

impl Api {
    /// Makes an endpoint; it is on.
    pub async fn create_endpoint(&self, id: EndpointId, asked: Asked) -> Result<Endpoint, Refused> {
        self.endpoint_of(id, Fields::of(asked.0)).await
    }

    /// Changes an endpoint; with `made_from` just if that is when it last changed.
    pub async fn change_endpoint(
        &self,
        id: EndpointId,
        asked: Asked,
        made_from: Option<Timestamp>,
    ) -> Result<Endpoint, Refused> {
        self.changed_endpoint(id, Fields::of(asked.0), made_from).await
    }

    /// Gives an endpoint another secret; with `made_from` just if that is when it last changed.
    pub async fn rotate_endpoint_secret(
        &self,
        id: EndpointId,
        asked: Asked,
        made_from: Option<Timestamp>,
    ) -> Result<Endpoint, Refused> {
        self.rotated_endpoint(id, Fields::of(asked.0), made_from).await
    }

    /// Begins a replay with this id.
    pub async fn begin_replay(
        &self,
        endpoint: EndpointId,
        id: ReplayId,
        asked: Asked,
    ) -> Result<Replay, Refused> {
        self.replay_of(endpoint, id, Fields::of(asked.0)).await
    }

    /// Sends an endpoint a sample.
    pub async fn try_endpoint(&self, id: EndpointId, asked: Asked) -> Result<Trial, Refused> {
        self.trial_of(id, Fields::of(asked.0)).await.map(|(trial, _)| trial)
    }

    pub(crate) async fn endpoint_of(
        &self,
        id: EndpointId,
        mut fields: Fields,
    ) -> Result<Endpoint, Refused> {
        fields.require("endpoint_url");
        let given = Given::read(&mut fields);
        let now = self.edge.now();
        let (kind, start) = read::creation(&mut fields, &given, now);
        given.must_exist(self, &mut fields).await?;
        let outward = outward::read(self, &mut fields);
        fields.refuse_others();
        let (Some(url), []) = (given.url, fields.errors()) else {
            return Err(Refused::Fields(fields.into_errors()));
        };
        (self.check_url)(&url).map_err(Refused::Url)?;
        let endpoint = Endpoint {
            id,
            url,
            secret: secrets::signing_secret(&*self.edge),
            kind,
            enabled: true,
            events: given.events.unwrap_or_else(read::subscribable),
            organizations: given.organizations.unwrap_or_default(),
            directories: given.directories.unwrap_or_default(),
            order: given.order.unwrap_or_default(),
            retry_schedule: given.retry_schedule.flatten(),
            format: given.format.unwrap_or_default(),
            created_at: now,
            updated_at: now,
            outward: outward.on(Outward::default()),
            previous_secret_until: None,
        };
        self.endpoints.create(endpoint.clone(), start).await?;
        Ok(endpoint)
    }

    pub(crate) async fn changed_endpoint(
        &self,
        id: EndpointId,
        mut fields: Fields,
        made_from: Option<Timestamp>,
    ) -> Result<Endpoint, Refused> {
        let enabled = fields.word("status", &["enabled", "disabled"], read::enabled);
        let given = Given::read(&mut fields);
        read::refuse_creation_only(&mut fields);
        let before = self.endpoints.get(id).await?;
        given.must_suit(before.kind, &mut fields);
        given.must_exist(self, &mut fields).await?;
        let outward = outward::read(self, &mut fields);
        fields.refuse_others();
        if !fields.errors().is_empty() {
            return Err(Refused::Fields(fields.into_errors()));
        }
        let change = EndpointChange {
            url: given.url,
            enabled,
            events: given.events,
            organizations: given.organizations,
            directories: given.directories,
            order: given.order,
            retry_schedule: given.retry_schedule,
            format: given.format,
            updated_at: self.edge.now(),
            outward,
            made_from,
        };
        change.url.as_deref().map_or(Ok(()), &*self.check_url).map_err(Refused::Url)?;
        Ok(self.endpoints.update(id, change).await?)
    }

    pub(crate) async fn rotated_endpoint(
        &self,
        id: EndpointId,
        mut fields: Fields,
        made_from: Option<Timestamp>,
    ) -> Result<Endpoint, Refused> {
        let overlap = fields.number("overlap_seconds", 0..=OVERLAP_SECONDS_MAX);
        fields.refuse_others();
        if !fields.errors().is_empty() {
            return Err(Refused::Fields(fields.into_errors()));
        }
        let at = self.edge.now();
        let until = at.after(Duration::from_secs(overlap.unwrap_or(OVERLAP_SECONDS).into()));
        let secret = secrets::signing_secret(&*self.edge);
        let rotation = SecretRotation { secret, at, until, made_from };
        Ok(self.endpoints.rotate_secret(id, rotation).await?)
    }

    pub(crate) async fn replay_of(
        &self,
        endpoint: EndpointId,
        id: ReplayId,
        mut fields: Fields,
    ) -> Result<Replay, Refused> {
        let found = self.endpoints.get(endpoint).await?;
        let range = replays::read_range(&mut fields);
        let directory = fields.id("directory");
        let events = read::events(&mut fields).unwrap_or_default();
        let rate = fields.number("rate", 1..=RATE_MAX).and_then(NonZeroU32::new).unwrap_or(RATE);
        fields.refuse_others();
        replays::must_exist(self, &found, range, directory, &mut fields).await?;
        if found.kind == EndpointKind::Operational {
            let message =
                "An operational endpoint cannot replay what the operator was told.".to_owned();
            fields.wrong("id", "invalid", message);
        }
        let (Some(range), []) = (range, fields.errors()) else {
            return Err(Refused::Fields(fields.into_errors()));
        };
        let created_at = self.edge.now();
        let new = NewReplay { id, endpoint, range, directory, events, rate, created_at };
        match self.deliveries.start_replay(new).await {
            Err(PortError::Conflict(Conflict::Backwards)) => {
                replays::backwards(&mut fields);
                Err(Refused::Fields(fields.into_errors()))
            }
            started => Ok(started?),
        }
    }

    /// With the name of what it is a sample of.
    pub(crate) async fn trial_of(
        &self,
        id: EndpointId,
        mut fields: Fields,
    ) -> Result<(Trial, &'static str), Refused> {
        let sample = trials::read_sample(&mut fields);
        fields.refuse_others();
        let (Some((sample, event)), []) = (sample, fields.errors()) else {
            return Err(Refused::Fields(fields.into_errors()));
        };
        let Some(trial) = self.trials.send(id, sample).await? else {
            let message = format!("{event} cannot be said in the format of this endpoint.");
            fields.wrong("event", "invalid", message);
            return Err(Refused::Fields(fields.into_errors()));
        };
        Ok((trial, event))
    }
}
