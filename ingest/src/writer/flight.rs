//! What was decided and is on its way: into the log, past the projector, to the verdict.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use directory::Needs;
use futures_util::future::join_all;
use log::{Append, AppendError, Known, Offset};
use schemas::Head;
use schemas::record::{Said, Sealed};
use tokio::task::unconstrained;
use tokio::time::{Instant, timeout};

use super::copy::Decided;
use super::refusals::{refusal, refuse};
use super::task::Stream;
use super::{Done, Request, WriteError};
use crate::ports::ReplicaError;

/// How long the verdict may take. The projector is milliseconds behind; if it takes this long it does
/// not work, and the client is better off trying again.
const VERDICT_WITHIN: Duration = Duration::from_secs(10);

/// How long it may take to find out whether records have come in whose append had all the time there is.
const FIND_OUT_WITHIN: Duration = Duration::from_secs(3);

/// How often the log is asked again while the outcome of an append is unknown.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// How many records and bytes go into one append: a large commit comes in several, which the chain
/// puts together again.
const APPEND_RECORDS_MAX: usize = 2_048;
const APPEND_BYTES_MAX: usize = 4 << 20;

/// A request and what was decided about it.
pub(super) type Ready = (Request, Decided);

/// A batch that was decided and is not yet settled.
pub(super) struct Flight {
    ready: Vec<Ready>,
    /// What the records say: until it has landed, the projector of this process need not read them.
    _said: Vec<Arc<Said>>,
    landing: Pin<Box<dyn Future<Output = Landing> + Send>>,
}

/// How a flight ends.
enum Landing {
    /// For each of its commits, whether it was accepted.
    Judged(Vec<bool>),
    /// Not all of it came into the log. The same for what did.
    Failed(Vec<bool>, AppendError),
    /// Nobody knows, or not in time.
    Open(WriteError),
}

impl Flight {
    /// Sends what was decided on its way.
    pub(super) async fn take_off(stream: Arc<Stream>, mut ready: Vec<Ready>) -> Self {
        let heads = ready.iter().filter_map(|(_, decided)| decided.head).collect();
        let records =
            ready.iter_mut().flat_map(|(_, decided)| std::mem::take(&mut decided.records));
        let records: Vec<Sealed> = records.collect();
        let said = records.iter().map(|sealed| Arc::clone(&sealed.said)).collect();
        let appends = in_appends(&stream, records);
        let mut landing: Pin<Box<dyn Future<Output = Landing> + Send>> =
            Box::pin(land(stream, appends, heads));
        // Polled once, it is in the log's queue, behind those that took off before.
        if let Poll::Ready(landed) = futures_util::poll!(&mut landing) {
            landing = Box::pin(std::future::ready(landed));
        }
        Self { ready, _said: said, landing }
    }

    /// Waits until it has landed. May be dropped and called again.
    pub(super) async fn landed(&mut self) {
        let landed = (&mut self.landing).await;
        self.landing = Box::pin(std::future::ready(landed));
    }

    /// Answers whom it can: the last head if all was accepted, otherwise what has to be decided again,
    /// as does everything that was decided after it. `shaken`: what it was decided behind did not land, or may not have.
    pub(super) async fn settle(self, shaken: bool) -> Result<Option<Head>, Vec<Request>> {
        let Self { ready, landing, .. } = self;
        let last = ready.iter().rev().find_map(|(_, decided)| decided.head);
        match landing.await {
            Landing::Judged(verdicts) => match answer_up_to_loss(ready, &verdicts, shaken) {
                lost if lost.is_empty() => Ok(last),
                lost => Err(lost),
            },
            Landing::Failed(verdicts, error) => {
                // What was sent before the failure may well be accepted; the rest is not in the log.
                refuse(answer_up_to_loss(ready, &verdicts, shaken), refusal(error));
                Err(Vec::new())
            }
            Landing::Open(error) => {
                refuse(ready.into_iter().map(|(request, _)| request).collect(), error);
                Err(Vec::new())
            }
        }
    }
}

/// A large batch is sent in several appends, which the chain puts together again.
fn in_appends(stream: &Stream, records: Vec<Sealed>) -> Vec<Vec<Append>> {
    let key = Bytes::from(stream.directory.to_string());
    let (mut appends, mut last, mut bytes) = (Vec::new(), Vec::new(), 0);
    for sealed in records {
        if last.len() >= APPEND_RECORDS_MAX || bytes > APPEND_BYTES_MAX {
            appends.push(std::mem::take(&mut last));
            bytes = 0;
        }
        bytes += sealed.value.len();
        let known = Known::by(&sealed.said);
        last.push(Append { key: key.clone(), value: sealed.value, known });
    }
    if !last.is_empty() {
        appends.push(last);
    }
    appends
}

/// Appends, and awaits the verdict on the commits that end with these heads.
async fn land(stream: Arc<Stream>, appends: Vec<Vec<Append>>, heads: Vec<Head>) -> Landing {
    let begun = Instant::now();
    let log = &stream.context.log;
    // All of them are in the log's queue at once, in this order. A task that has done much would be told to let others go first in
    // the middle of them, and ask in another order when it goes on.
    let sent = join_all(appends.into_iter().map(|append| log.append(stream.partition, append)));
    let sent = unconstrained(sent);
    let (mut last, mut failed) = (None, None);
    for result in sent.await {
        match result {
            Ok(offset) if failed.is_none() => last = Some(offset),
            // It builds on what is not there, and is stale for ever.
            Ok(_) => {}
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    metrics::histogram!("log_append_seconds").record(begun.elapsed().as_secs_f64());
    let verdicts = match (last, &failed) {
        (_, Some(AppendError::Indeterminate(error))) => {
            tracing::warn!(directory.id = %stream.directory, error = &**error as &dyn std::error::Error, "the outcome of an append is unknown");
            return find_out(&stream, heads).await;
        }
        (Some(last), _) => verdicts(&stream, last, &heads).await,
        (None, _) => Ok(vec![false; heads.len()]),
    };
    match (verdicts, failed) {
        (Ok(verdicts), None) => Landing::Judged(verdicts),
        (Ok(verdicts), Some(error)) => Landing::Failed(verdicts, error),
        (Err(error), _) => Landing::Open(error),
    }
}

async fn verdicts(stream: &Stream, last: Offset, heads: &[Head]) -> Result<Vec<bool>, WriteError> {
    let begun = Instant::now();
    let replica = &stream.context.replica;
    match timeout(VERDICT_WITHIN, replica.wait_applied(stream.partition, last)).await {
        Ok(Ok(())) => {}
        Ok(Err(ReplicaError::Full(_))) => return Err(WriteError::Delayed),
        Ok(Err(
            ReplicaError::Halted(_) | ReplicaError::Unavailable(_) | ReplicaError::Filter(_),
        ))
        | Err(_) => return Err(WriteError::Unknown),
    }
    metrics::histogram!("ingest_verdict_seconds").record(begun.elapsed().as_secs_f64());
    accepted(stream, heads).await
}

/// Each commit builds on the one before it: if the last was accepted, all were.
async fn accepted(stream: &Stream, heads: &[Head]) -> Result<Vec<bool>, WriteError> {
    let ask = async |heads: &[Head]| {
        let answer = stream.context.replica.accepted(stream.directory, heads.to_vec()).await;
        // They may well be accepted: only the answer is missing.
        answer.map_err(|_| WriteError::Unknown)
    };
    let Some(last) = heads.last() else { return Ok(Vec::new()) };
    match ask(std::slice::from_ref(last)).await?.as_slice() {
        [true] => Ok(vec![true; heads.len()]),
        _ => ask(heads).await,
    }
}

/// A time-out says nothing: only reading tells whether the records are there. They are lost for certain once others stand
/// where they would.
async fn find_out(stream: &Stream, heads: Vec<Head>) -> Landing {
    let deadline = Instant::now() + FIND_OUT_WITHIN;
    while Instant::now() < deadline {
        // The head first: what it has passed and is not accepted then never is.
        let head = match stream.gather(Needs::default()).await {
            Ok(gathered) => gathered.head,
            Err(_) => return Landing::Open(WriteError::Unknown),
        };
        let verdicts = match accepted(stream, &heads).await {
            Ok(verdicts) => verdicts,
            Err(error) => return Landing::Open(error),
        };
        let open = heads.iter().zip(&verdicts).find(|(_, accepted)| !**accepted);
        if open.is_none_or(|(first, _)| head.seq >= first.seq) {
            return Landing::Judged(verdicts);
        }
        tokio::time::sleep(ASK_AGAIN_AFTER).await;
    }
    Landing::Open(WriteError::Unknown)
}

/// Answers up to the first commit that lost its race, and returns it and everything after it. In a flight that is shaken, also
/// what takes no commit was decided on what may not be there: that nothing was to be done holds just if a commit behind
/// it does, which builds on all that was there.
fn answer_up_to_loss(ready: Vec<Ready>, verdicts: &[bool], shaken: bool) -> Vec<Request> {
    if shaken && verdicts.first() != Some(&true) {
        return ready.into_iter().map(|(request, _)| request).collect();
    }
    let mut verdicts = verdicts.iter();
    let mut lost = Vec::new();
    for (request, decided) in ready {
        let holds = decided.head.is_none() || verdicts.next() == Some(&true);
        if lost.is_empty() && holds {
            answer((request, decided));
        } else {
            lost.push(request);
        }
    }
    lost
}

/// Gives a request its answer.
pub(super) fn answer((request, decided): Ready) {
    // Who asked may have gone away; what was done is done.
    let Decided { outcome, events, applied, .. } = decided;
    let done = outcome.map(|answer| Done { answer, events, applied });
    let _ = request.answer.send(done.map_err(WriteError::Rejected));
}
