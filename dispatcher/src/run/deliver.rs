//! Runs the lane of one endpoint: carries out its actions and tells it what came of them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use schemas::{EndpointId, Format, Timestamp};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::flush::Request;
use super::{Progress, Shared, persist};
use crate::client::{self, Caller};
use crate::failure::Failure;
use crate::lane::{Action, Completed, Input, Lane, LineRead, Send};
use crate::ports::{DisableReason, Endpoint, FeedEvent, FeedPosition, Flush, Outcome};
use crate::security_event::{Issuer, Unsayable};
use crate::signature::{Letter, Signer};

/// Something under way. `None`: nothing came of it, because the lane is to stop.
type Job = BoxFuture<'static, Option<Input>>;

/// Where an endpoint's requests go, what they say and how they are signed.
struct Target {
    id: EndpointId,
    url: Url,
    timeout: Option<Duration>,
    caller: Option<Caller>,
    signer: Signer,
    form: Form,
}

/// The format of an endpoint, with what it takes to write it.
enum Form {
    Webhook,
    ScimSet(Issuer),
}

struct Delivering {
    shared: Arc<Shared>,
    target: Arc<Target>,
    lane: Lane,
    stop: CancellationToken,
    sends: FuturesUnordered<Job>,
    reads: FuturesUnordered<Job>,
    writes: FuturesUnordered<Job>,
    actions: Vec<Action>,
    /// Once the lane is to stop: until when requests in flight may go on.
    grace: Option<Instant>,
}

/// Waits for the lane that was there before, then delivers until `stop`.
pub(super) async fn run(
    endpoint: Endpoint,
    before: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
    stop: CancellationToken,
) {
    if let Some(before) = before {
        // It was told to stop. Had it panicked, its last flush is as good a place to start from.
        drop(before.await);
    }
    let (Ok(url), Some(signer)) = (Url::parse(&endpoint.url), Signer::new(&endpoint.secrets))
    else {
        tracing::error!(endpoint.id = %endpoint.id, "endpoint has no usable URL or no secret");
        return;
    };
    let form = Form::of(&endpoint, &shared);
    let (timeout, caller) = (endpoint.timeout, endpoint.identity.clone().map(Caller::new));
    let target = Arc::new(Target { id: endpoint.id, url, timeout, caller, signer, form });
    let asked = persist("cannot read where a lane stands", || shared.store.lane(endpoint.id));
    let Some(Some(state)) = stop.run_until_cancelled(asked).await else { return };
    let lane = Lane::new(&endpoint, state, shared.config.schedule.clone());
    let delivering = Delivering {
        shared: Arc::clone(&shared),
        target,
        lane,
        stop,
        sends: FuturesUnordered::new(),
        reads: FuturesUnordered::new(),
        writes: FuturesUnordered::new(),
        actions: Vec::new(),
        grace: None,
    };
    delivering.run().await;
    shared.note_progress(endpoint.id, None);
}

impl Form {
    fn of(endpoint: &Endpoint, shared: &Shared) -> Self {
        match endpoint.format {
            Format::Webhook => Self::Webhook,
            Format::ScimSet => Self::ScimSet(Issuer {
                url: Arc::clone(&shared.config.issuer),
                audience: endpoint.url.clone(),
            }),
        }
    }

    const fn format(&self) -> Format {
        match self {
            Self::Webhook => Format::Webhook,
            Self::ScimSet(_) => Format::ScimSet,
        }
    }

    /// The key is asked for each time: another may have taken its place.
    async fn body(&self, event: &FeedEvent, shared: &Shared) -> Result<Bytes, Unsayable> {
        match self {
            Self::Webhook => Ok(event.body.clone()),
            Self::ScimSet(issuer) => {
                let ask = || shared.store.signing_key();
                let key = persist("cannot read the signing key", ask).await;
                issuer.token(event, &key)
            }
        }
    }
}

impl Delivering {
    async fn run(mut self) {
        self.step(Input::Tick);
        while !self.is_over() {
            let input = self.next().await;
            self.step(input.unwrap_or(Input::Tick));
            if self.grace.is_some() && self.sends.is_empty() {
                // Some sends may have given up before they began.
                self.step(Input::Abandoned);
            }
        }
    }

    /// After the grace nothing is waited for: what is not written is sent again.
    fn is_over(&self) -> bool {
        let Some(grace) = self.grace else { return false };
        let is_late = grace + FINAL_WRITE <= Instant::now();
        is_late || self.sends.is_empty() && self.lane.is_idle()
    }

    fn step(&mut self, input: Input) {
        let was_open = self.lane.is_open();
        let mut actions = std::mem::take(&mut self.actions);
        let edge = &self.shared.edge;
        self.lane.step(input, edge.now(), edge.dice(), &mut actions);
        for action in actions.drain(..) {
            self.begin(action);
        }
        self.actions = actions;
        self.tell(was_open);
    }

    /// The next thing that happens.
    async fn next(&mut self) -> Option<Input> {
        let pause = self.lane.wake_at().map(|due| due.since(self.shared.edge.now()));
        let end = match self.grace {
            Some(grace) if self.sends.is_empty() => grace + FINAL_WRITE,
            Some(grace) => grace,
            None => Instant::now() + IDLE,
        };
        let wake = pause.map_or(end, |pause| end.min(Instant::now() + pause));
        tokio::select! {
            Some(input) = self.sends.next() => input,
            Some(input) = self.writes.next() => input,
            Some(input) = self.reads.next() => input,
            () = self.stop.cancelled(), if self.grace.is_none() => {
                self.grace = Some(Instant::now() + self.shared.config.grace);
                self.reads.clear();
                Some(Input::Stop)
            }
            () = tokio::time::sleep_until(wake) => {
                if self.grace.is_some_and(|grace| grace <= Instant::now()) {
                    self.sends.clear();
                }
                Some(Input::Tick)
            }
        }
    }

    fn begin(&self, action: Action) {
        let shared = Arc::clone(&self.shared);
        match action {
            Action::Send(event) => {
                let (target, stop) = (Arc::clone(&self.target), self.stop.clone());
                self.sends.push(Box::pin(send(shared, target, event, stop)));
            }
            Action::ReadFeed { after, limit } => {
                self.reads.push(Box::pin(read_feed(shared, after, limit)));
            }
            Action::ReadLine(read) => self.reads.push(Box::pin(read_line(shared, read))),
            Action::Flush(batch) => {
                let blocked_lines = self.lane.blocked_lines();
                let progress = Progress { cursor: batch.cursor, blocked_lines };
                shared.note_progress(self.target.id, Some(progress));
                self.writes.push(Box::pin(flush(shared, batch)));
            }
            Action::Disable(reason) => {
                self.writes.push(Box::pin(disable(shared, self.target.id, reason)));
            }
        }
    }

    fn tell(&self, was_open: bool) {
        let is_open = self.lane.is_open();
        if is_open && !was_open {
            tracing::warn!(endpoint.id = %self.target.id, "endpoint fails, sending it a probe now and then");
        } else if was_open && !is_open {
            tracing::info!(endpoint.id = %self.target.id, "endpoint answers again");
        }
    }
}

/// How long a lane waits at most when nothing is due: any while will do, inputs wake it.
const IDLE: std::time::Duration = std::time::Duration::from_secs(60);

/// How long the last flush may take once requests are given up.
const FINAL_WRITE: std::time::Duration = std::time::Duration::from_secs(1);

async fn send(
    shared: Arc<Shared>,
    target: Arc<Target>,
    send: Send,
    stop: CancellationToken,
) -> Option<Input> {
    let permit = shared.pool(send.pool).acquire();
    let _permit = stop.run_until_cancelled(permit).await?.ok()?;
    let at = shared.edge.now();
    let begin = Instant::now();
    let Send { event, attempt, .. } = send;
    let body = stop.run_until_cancelled(target.form.body(&event, &shared)).await?;
    let answer = match body.map(|body| request(&target, &event, attempt, at, body)) {
        Ok(request) => shared.sender.send(request, at).await,
        Err(error) => unreadable(&target, &event, &error),
    };
    let duration = begin.elapsed();
    note_attempt(target.id, event.id, answer.outcome, duration);
    let (outcome, retry_after) = (answer.outcome, answer.retry_after);
    let position = event.position;
    Some(Input::Completed(Completed { position, at, duration, outcome, retry_after }))
}

fn request(
    target: &Target,
    event: &FeedEvent,
    attempt: u16,
    at: Timestamp,
    body: Bytes,
) -> client::Request {
    let format = target.form.format();
    let letter = Letter { id: event.id, seq: event.seq, attempt, format, body: &body };
    let headers = target.signer.headers(letter, at);
    let (url, timeout, caller) = (target.url.clone(), target.timeout, target.caller.clone());
    client::Request { url, headers, body, timeout, caller }
}

fn unreadable(target: &Target, event: &FeedEvent, error: &Unsayable) -> client::Answer {
    tracing::error!(
        error = error as &dyn std::error::Error,
        endpoint.id = %target.id,
        event.id = %event.id,
        "event cannot be put into the format of its endpoint"
    );
    client::Answer::failed(Failure::Unreadable)
}

fn note_attempt(
    endpoint: EndpointId,
    event: schemas::EventId,
    outcome: Outcome,
    duration: std::time::Duration,
) {
    let name = match outcome {
        Outcome::Delivered { .. } => "delivered",
        Outcome::Failed(failure) => {
            if failure == crate::Failure::Refused {
                tracing::warn!(endpoint.id = %endpoint, "DSYNC-006: the address of the endpoint is not one that webhooks may go to");
            }
            tracing::debug!(endpoint.id = %endpoint, event.id = %event, %failure, "attempt failed");
            failure.name()
        }
    };
    metrics::counter!("dispatcher_attempts_total", "outcome" => name).increment(1);
    metrics::histogram!("dispatcher_attempt_seconds").record(duration.as_secs_f64());
}

async fn read_feed(shared: Arc<Shared>, after: FeedPosition, limit: usize) -> Option<Input> {
    loop {
        let read = || shared.store.feed(after, limit);
        let events: Vec<FeedEvent> = persist("cannot read the feed", read).await;
        if !events.is_empty() {
            return Some(Input::Fed(events));
        }
        // The store returns at once if an event has come since; none is missed in between.
        persist("cannot wait for the feed", || shared.store.wait_feed(after)).await;
    }
}

async fn read_line(shared: Arc<Shared>, read: LineRead) -> Option<Input> {
    let (line, after, up_to) = (read.line(), read.after(), read.up_to());
    let page = || shared.store.line(line, after, up_to, LineRead::LIMIT);
    let events = persist("cannot read a line", page).await;
    Some(Input::LineRead(read, events))
}

async fn flush(shared: Arc<Shared>, flush: Flush) -> Option<Input> {
    let (written, is_written) = oneshot::channel();
    shared.flushes.send(Request { flush, written }).await.ok()?;
    is_written.await.ok()?;
    Some(Input::Flushed)
}

async fn disable(
    shared: Arc<Shared>,
    endpoint: EndpointId,
    reason: DisableReason,
) -> Option<Input> {
    tracing::warn!(endpoint.id = %endpoint, reason = reason.name(), "endpoint is disabled");
    persist("cannot disable an endpoint", || shared.store.disable(endpoint, reason)).await;
    None
}
