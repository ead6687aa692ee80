//! Runs one lane: carries out its actions and tells it what came of them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use schemas::{EndpointId, EndpointKind};
use tokio::sync::{SemaphorePermit, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::flush::Request;
use super::read::{Source, read_feed, read_line};
use super::{Making, Progress, Shared, persist};
use crate::circuit::IN_FLIGHT_MAX;
use crate::client;
use crate::failure::Failure;
use crate::lane::{Action, Completed, Input, Lane, PerPool, Pool, Released, SLOW_AFTER, Send};
use crate::ports::{DisableReason, Epoch, FeedEvent, FeedPosition, Fenced, LaneId, Outcome};
use crate::schedule::Schedule;
use crate::security_event::Unsayable;
use crate::target::Target;

/// Something under way. `None`: nothing came of it, because the lane is to stop.
type Job = BoxFuture<'static, Option<Input>>;

struct Delivering {
    shared: Arc<Shared>,
    target: Arc<Target>,
    source: Source,
    lane: Lane,
    epoch: Epoch,
    stop: CancellationToken,
    cut: CancellationToken,
    sends: FuturesUnordered<Job>,
    reads: FuturesUnordered<Job>,
    writes: FuturesUnordered<Job>,
    actions: Vec<Action>,
    released: watch::Receiver<Released>,
    measured: watch::Receiver<u64>,
    /// What it follows, if it is no replay.
    follows: Option<EndpointKind>,
    taking: Taking,
    /// Says which request takes long.
    slow: mpsc::Sender<FeedPosition>,
    slowed: mpsc::Receiver<FeedPosition>,
    shutdown: CancellationToken,
    ending: Option<Ending>,
}

/// The lane is to end.
#[derive(Clone, Copy)]
struct Ending {
    /// Until when requests in flight may go on.
    until: Instant,
    /// Whether the process ends too: it does not wait for the last write then.
    is_shutdown: bool,
}

/// Under which lease a lane runs, and until when.
pub(super) struct Under {
    pub(super) epoch: Epoch,
    /// The lane that was there before.
    pub(super) before: Option<JoinHandle<()>>,
    /// To end in good order.
    pub(super) stop: CancellationToken,
    /// The same, because everything ends.
    pub(super) shutdown: CancellationToken,
    /// To end at once: the lane is somebody else's.
    pub(super) cut: CancellationToken,
}

/// Counts a lane among those that take room of a pool, for as long as it does.
struct Taking {
    shared: Arc<Shared>,
    now: PerPool,
}

impl Taking {
    fn note(&mut self, taken: PerPool) {
        for pool in Pool::ALL {
            let takers = self.shared.takers(pool);
            match (self.now.get(pool) > 0, taken.get(pool) > 0) {
                (false, true) => drop(takers.fetch_add(1, Ordering::Relaxed)),
                (true, false) => drop(takers.fetch_sub(1, Ordering::Relaxed)),
                (false, false) | (true, true) => {}
            }
        }
        self.now = taken;
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        self.note(PerPool::default());
    }
}

/// Waits for the lane that was there before, then delivers until it is told to end.
pub(super) async fn run(making: Making, shared: Arc<Shared>, mut under: Under) {
    if let Some(before) = under.before.take() {
        // It was told to stop. Had it panicked, its last flush is as good a place to start from.
        drop(before.await);
    }
    let replay = making.replay.as_ref().map(|replay| replay.id);
    let id = LaneId { endpoint: making.endpoint.id, replay };
    let (stop, cut) = (under.stop.clone(), under.cut.clone());
    let delivers = async {
        let started = stop.run_until_cancelled(start(making, Arc::clone(&shared), under));
        if let Some(Some(delivering)) = started.await {
            delivering.run().await;
        }
    };
    // What is under way is dropped with it, requests in flight too: they are not ours to send any more.
    cut.run_until_cancelled(delivers).await;
    shared.note_progress(id, None);
}

/// `None` if there is nothing to run any more.
async fn start(making: Making, shared: Arc<Shared>, under: Under) -> Option<Delivering> {
    let Making { endpoint, replay } = making;
    let replay_id = replay.as_ref().map(|replay| replay.id);
    let Some(target) = Target::new(&endpoint, replay_id, &shared.config.issuer) else {
        tracing::error!(endpoint.id = %endpoint.id, "endpoint has no usable URL or no secret");
        return None;
    };
    let (id, target) = (target.id, Arc::new(target));
    let state = persist("cannot read where a lane stands", || shared.store.lane(id)).await?;
    let of_endpoint = endpoint.retry_schedule.as_ref().map(Schedule::from);
    let schedule = of_endpoint.unwrap_or_else(|| shared.config.schedule.clone());
    let (slow, slowed) = mpsc::channel(IN_FLIGHT_MAX);
    Some(Delivering {
        taking: Taking { shared: Arc::clone(&shared), now: PerPool::default() },
        slow,
        slowed,
        source: Source::of(&endpoint, replay.as_ref()),
        lane: match &replay {
            None => Lane::new(&endpoint, state, schedule),
            Some(replay) => Lane::replaying(replay, &endpoint, state, schedule),
        },
        released: shared.gate.released(),
        measured: shared.measured.subscribe(),
        follows: replay.is_none().then_some(endpoint.kind),
        shared,
        target,
        epoch: under.epoch,
        stop: under.stop,
        shutdown: under.shutdown,
        cut: under.cut,
        sends: FuturesUnordered::new(),
        reads: FuturesUnordered::new(),
        writes: FuturesUnordered::new(),
        actions: Vec::new(),
        ending: None,
    })
}

impl Delivering {
    async fn run(mut self) {
        let released = self.released.borrow_and_update().clone();
        self.step(Input::Released(released));
        self.note_progress();
        while !self.is_over() {
            let input = self.next().await;
            self.step(input.unwrap_or(Input::Tick));
            if self.ending.is_some() && self.sends.is_empty() {
                // Some sends may have given up before they began.
                self.step(Input::Abandoned);
            }
        }
    }

    /// The next lane begins where this one has written that it stands, so the last write is waited for. At shutdown
    /// there is no time for that: what is not written is sent again.
    fn is_over(&self) -> bool {
        let Some(ending) = self.ending else { return false };
        let is_late = ending.is_shutdown && ending.until + FINAL_WRITE <= Instant::now();
        is_late || self.sends.is_empty() && self.lane.is_idle()
    }

    fn stop_by(&mut self, grace: Duration, is_shutdown: bool) {
        let until = Instant::now() + grace;
        let until = self.ending.map_or(until, |ending| until.min(ending.until));
        self.ending = Some(Ending { until, is_shutdown });
    }

    fn step(&mut self, input: Input) {
        let was_open = self.lane.is_open();
        let mut actions = std::mem::take(&mut self.actions);
        let edge = &self.shared.edge;
        self.lane.share(self.shared.shares());
        self.lane.step(input, edge.now(), edge.dice(), &mut actions);
        self.taking.note(self.lane.taken());
        for action in actions.drain(..) {
            self.begin(action);
        }
        self.actions = actions;
        self.tell(was_open);
    }

    /// The next thing that happens.
    async fn next(&mut self) -> Option<Input> {
        let pause = self.lane.wake_at().map(|due| due.since(self.shared.edge.now()));
        let end = match self.ending {
            Some(ending) if !self.sends.is_empty() => ending.until,
            Some(ending) if ending.is_shutdown => ending.until + FINAL_WRITE,
            Some(_) | None => Instant::now() + IDLE,
        };
        let wake = pause.map_or(end, |pause| end.min(Instant::now() + pause));
        tokio::select! {
            Some(input) = self.sends.next() => input,
            Some(position) = self.slowed.recv() => Some(Input::Slow(position)),
            Some(input) = self.writes.next() => input,
            Some(input) = self.reads.next() => input,
            Ok(()) = self.released.changed() => {
                Some(Input::Released(self.released.borrow_and_update().clone()))
            }
            Ok(()) = self.measured.changed() => {
                self.note_progress();
                None
            }
            () = self.stop.cancelled(), if self.ending.is_none() => {
                self.stop_by(REQUEST_MAX, false);
                self.reads.clear();
                Some(Input::Stop)
            }
            () = self.shutdown.cancelled(), if self.ending.is_some_and(|ending| !ending.is_shutdown) => {
                self.stop_by(self.shared.config.grace, true);
                Some(Input::Tick)
            }
            () = tokio::time::sleep_until(wake) => {
                if self.ending.is_some_and(|ending| ending.until <= Instant::now()) {
                    self.sends.clear();
                }
                Some(Input::Tick)
            }
        }
    }

    /// Says how far the lane is. Not at every step: of many lines that wait it takes a look at each.
    fn note_progress(&self) {
        let follows = self.follows.map(|kind| (kind, self.lane.waits_from()));
        let progress = Progress { follows, blocked_lines: self.lane.blocked_lines() };
        self.shared.note_progress(self.target.id, Some(progress));
    }

    fn begin(&self, action: Action) {
        let shared = Arc::clone(&self.shared);
        match action {
            Action::Send(event) => {
                let (target, stop) = (Arc::clone(&self.target), self.stop.clone());
                self.sends.push(Box::pin(send(shared, target, event, self.slow.clone(), stop)));
            }
            Action::ReadFeed { after, up_to, limit } => {
                self.reads.push(Box::pin(read_feed(shared, self.source, after, up_to, limit)));
            }
            Action::ReadLine(read) => {
                self.reads.push(Box::pin(read_line(shared, self.source, read)));
            }
            Action::Flush(batch) => {
                let fenced = Fenced { epoch: self.epoch, flush: batch };
                self.writes.push(Box::pin(flush(shared, fenced, self.cut.clone())));
            }
            Action::Disable(reason) => {
                self.writes.push(Box::pin(disable(shared, self.target.id.endpoint, reason)));
            }
        }
    }

    fn tell(&self, was_open: bool) {
        let is_open = self.lane.is_open();
        if is_open && !was_open {
            tracing::warn!(endpoint.id = %self.target.id.endpoint, "endpoint fails, sending it a probe now and then");
        } else if was_open && !is_open {
            tracing::info!(endpoint.id = %self.target.id.endpoint, "endpoint answers again");
        }
    }
}

/// How long a lane waits at most when nothing is due: any while will do, inputs wake it.
const IDLE: Duration = Duration::from_secs(60);

/// How long a request may take at most. One that is under way when its endpoint is changed may end: given up, it
/// would be sent again by the next lane.
const REQUEST_MAX: Duration = Duration::from_secs(30);

/// How long the last flush may take at shutdown once requests are given up.
pub(super) const FINAL_WRITE: Duration = Duration::from_millis(500);

async fn send(
    shared: Arc<Shared>,
    target: Arc<Target>,
    send: Send,
    slow: mpsc::Sender<FeedPosition>,
    stop: CancellationToken,
) -> Option<Input> {
    let Send { event, attempt, pool } = send;
    let permit = shared.pool(pool).acquire();
    let permit = stop.run_until_cancelled(permit).await?.ok()?;
    let at = shared.edge.now();
    let begin = Instant::now();
    let body = stop.run_until_cancelled(body(&shared, &target, &event)).await?;
    let answer = match body.map(|body| target.request(&event, attempt, at, body)) {
        Ok(request) => {
            // The lane has few in flight; what it does not learn now it learns from the answer.
            let is_slow = || {
                let _ = slow.try_send(event.position);
            };
            exchange(&shared, permit, pool, shared.sender.send(request, at), is_slow).await
        }
        Err(error) => unreadable(&target, &event, &error),
    };
    let duration = begin.elapsed();
    note_attempt(target.id.endpoint, event.id, answer.outcome, duration);
    let client::Answer { outcome, retry_after, excerpt } = answer;
    let position = event.position;
    Some(Input::Completed(Completed { position, at, duration, outcome, retry_after, excerpt }))
}

/// The event as the endpoint gets it. The key is asked for each time: another may have taken its place.
async fn body(shared: &Shared, target: &Target, event: &FeedEvent) -> Result<Bytes, Unsayable> {
    let Some(issuer) = target.issuer() else { return Ok(event.body.clone()) };
    let key = persist("cannot read the signing key", || shared.store.signing_key()).await;
    issuer.token(event, &key)
}

/// Waits for the answer. A first attempt that is slow gives its room to others, as soon as there is room among the
/// slow ones: an endpoint that went silent must not hold up those that answer. Its lane learns of it, and asks for
/// no more room of that kind.
async fn exchange(
    shared: &Shared,
    permit: SemaphorePermit<'_>,
    pool: Pool,
    mut sent: BoxFuture<'_, client::Answer>,
    is_slow: impl FnOnce(),
) -> client::Answer {
    match pool {
        Pool::Retry | Pool::Slow => return sent.await,
        Pool::Fresh => {}
    }
    if let Ok(answer) = tokio::time::timeout(SLOW_AFTER, &mut sent).await {
        return answer;
    }
    is_slow();
    let _slow = tokio::select! {
        answer = &mut sent => return answer,
        slow = shared.slow.acquire() => slow,
    };
    drop(permit);
    sent.await
}

fn unreadable(target: &Target, event: &FeedEvent, error: &Unsayable) -> client::Answer {
    tracing::error!(
        error = error as &dyn std::error::Error,
        endpoint.id = %target.id.endpoint,
        event.id = %event.id,
        "event cannot be put into the format of its endpoint"
    );
    client::Answer::failed(Failure::Unreadable)
}

fn note_attempt(
    endpoint: EndpointId,
    event: schemas::EventId,
    outcome: Outcome,
    duration: Duration,
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

async fn flush(shared: Arc<Shared>, flush: Fenced, cut: CancellationToken) -> Option<Input> {
    let (written, is_written) = oneshot::channel();
    shared.flushes.send(Request { flush, written }).await.ok()?;
    if is_written.await.ok()? {
        Some(Input::Flushed)
    } else {
        cut.cancel();
        None
    }
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
