//! Samples for endpoints: the API's port on the dispatcher's tester.

use api::ports::{PortError, Sample, Trial, Trials};
use async_trait::async_trait;
use dispatcher::ports::{Outcome, Topic};
use dispatcher::trial::Impossible;
use schemas::EndpointId;

pub(super) struct Testing(pub(super) dispatcher::Tester);

#[async_trait]
impl Trials for Testing {
    async fn send(&self, endpoint: EndpointId, sample: Sample) -> Result<Option<Trial>, PortError> {
        let topic = match sample {
            Sample::Directory(kind) => Topic::Directory(kind),
            Sample::Operational(event) => Topic::Operational(event),
        };
        match self.0.send(endpoint, topic).await {
            Ok(trial) => Ok(Some(told(trial))),
            Err(Impossible::Unsayable) => Ok(None),
            Err(Impossible::NoEndpoint) => Err(PortError::NotFound),
            Err(Impossible::Store(error)) => Err(PortError::Unavailable(Box::new(error))),
        }
    }
}

fn told(trial: dispatcher::trial::Trial) -> Trial {
    let (status, failure) = match trial.answer.outcome {
        Outcome::Delivered { status } => (status, None),
        Outcome::Failed(failure) => (failure.status(), Some(failure.name())),
    };
    let text = |value: &::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = trial.headers.iter().map(|(name, value)| (name.to_string(), text(value)));
    Trial {
        event_id: trial.event_id,
        duration: trial.duration,
        status,
        failure,
        headers: headers.collect(),
        request: trial.body,
        response: trial.answer.excerpt,
    }
}
