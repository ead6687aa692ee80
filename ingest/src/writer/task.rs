//! A writer at work.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use directory::{Missing, Needs, Stamp};
use log::{Append, AppendError, EventLog, Offset, Partition};
use schemas::{DirectoryId, Edge, Head};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::batch::{Batch, Decided};
use super::{Mailboxes, Request, WriteError};
use crate::ports::{BoxError, Gathered, Replica, ReplicaError};

/// How many commands one batch takes: enough for one flush to serve everyone who waits, and few
/// enough that the first does not wait long for the last.
const BATCH_MAX: usize = 256;

/// How long a writer without work stays.
const IDLE: Duration = Duration::from_secs(60);

/// How long the verdict may take. The projector is milliseconds behind; if it takes this long it does
/// not work, and the client is better off trying again.
const VERDICT_WITHIN: Duration = Duration::from_secs(10);

/// How often the log is asked again while the outcome of an append is unknown.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// How often a batch that lost a race is decided again.
const ATTEMPTS_MAX: u32 = 8;

/// How many reads one attempt may need for its facts. The first guess is nearly always enough.
const GATHERINGS_MAX: u32 = 8;

/// How many records and bytes go into one append: a large commit comes in several, which the chain
/// puts together again.
const APPEND_RECORDS_MAX: usize = 2_048;
const APPEND_BYTES_MAX: usize = 4 << 20;

/// What every writer works with.
pub(crate) struct Context {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) replica: Arc<dyn Replica>,
    pub(crate) edge: Arc<dyn Edge>,
    pub(crate) shutdown: CancellationToken,
}

/// The writer of one directory.
pub(crate) struct Task {
    pub(crate) context: Arc<Context>,
    pub(crate) directory: DirectoryId,
    pub(crate) partition: Partition,
    pub(crate) mailboxes: Arc<Mailboxes>,
    pub(crate) requests: mpsc::Receiver<Request>,
}

/// After how many records the first of a batch are sent on their way while the rest is decided, so
/// that log and projector work meanwhile. What is sent is one batch all the same: decided on one head,
/// judged together.
const SEND_RECORDS: usize = 16;

/// A request and what was decided about it.
type Ready = (Request, Decided);

impl Task {
    /// Serves requests until none come for a while, or until shutdown; then those that wait.
    pub(crate) async fn run(mut self) {
        let mut waiting = Vec::with_capacity(BATCH_MAX);
        loop {
            let shutdown = self.context.shutdown.clone();
            tokio::select! {
                taken = timeout(IDLE, self.requests.recv_many(&mut waiting, BATCH_MAX)) => match taken {
                    Ok(0) => return,
                    Ok(_) => {}
                    Err(_) if self.retire() => return,
                    Err(_) => continue,
                },
                () = shutdown.cancelled() => break,
            }
            self.serve(std::mem::take(&mut waiting)).await;
        }
        self.requests.close();
        while self.requests.recv_many(&mut waiting, BATCH_MAX).await > 0 {
            self.serve(std::mem::take(&mut waiting)).await;
        }
    }

    /// Takes the mailbox out of the map, unless something has come in meanwhile.
    fn retire(&self) -> bool {
        let mut mailboxes = self.mailboxes.lock().expect("nothing panics while it is held");
        let idle = self.requests.is_empty();
        if idle {
            mailboxes.remove(&self.directory);
        }
        idle
    }

    /// Answers every request, after as many attempts as it takes.
    async fn serve(&self, mut requests: Vec<Request>) {
        metrics::histogram!("ingest_batch_commands").record(requests.len() as f64);
        for _ in 0..ATTEMPTS_MAX {
            requests = self.attempt(requests).await;
            if requests.is_empty() {
                return;
            }
            metrics::counter!("ingest_contended_total").increment(1);
        }
        fail(requests, || WriteError::Contended);
    }

    /// One attempt. Returns the requests that have to be decided again.
    async fn attempt(&self, requests: Vec<Request>) -> Vec<Request> {
        let needs = needs_of(&requests);
        let gathered = match self.gather(needs).await {
            Ok(gathered) => gathered,
            Err(error) => {
                refuse(requests, error);
                return Vec::new();
            }
        };
        let mut sending =
            Sending::new(Arc::clone(&self.context.log), self.directory, self.partition);
        match self.decide(gathered, requests, &mut sending).await {
            Ok((ready, rest)) => {
                let mut again = self.commit(ready, sending).await;
                again.extend(rest);
                again
            }
            Err(again) => again,
        }
    }

    async fn gather(&self, needs: Needs) -> Result<Gathered, WriteError> {
        let gathered = self.context.replica.gather(self.directory, needs).await?;
        let gathered = gathered.ok_or(WriteError::NoSuchDirectory(self.directory))?;
        if gathered.stopped { Err(WriteError::Stopped) } else { Ok(gathered) }
    }

    /// Decides each request on what the ones before it leave, and begins to send what is decided.
    ///
    /// Returns what was decided, and the requests that are left for another attempt. If the stream has
    /// moved on meanwhile, that is all of them; it is only looked at while nothing was sent.
    async fn decide(
        &self,
        gathered: Gathered,
        requests: Vec<Request>,
        sending: &mut Sending,
    ) -> Result<(Vec<Ready>, Vec<Request>), Vec<Request>> {
        let head = gathered.head;
        let mut batch = Batch::new(head, gathered.facts);
        let mut ready: Vec<Ready> = Vec::with_capacity(requests.len());
        let mut requests = requests.into_iter();
        while let Some(request) = requests.next() {
            match self.decide_one(head, &mut batch, &request, sending.has_begun()).await {
                Ok(mut decided) => {
                    sending.take(&mut decided).await;
                    ready.push((request, decided));
                }
                Err(Undone::Moved) => {
                    let before = ready.into_iter().map(|(request, _)| request);
                    return Err(before.chain([request]).chain(requests).collect());
                }
                Err(Undone::Later) => {
                    return Ok((ready, [request].into_iter().chain(requests).collect()));
                }
                Err(Undone::Failed(error)) => {
                    // What it needs cannot be read; the others may do without.
                    let _ = request.answer.send(Err(error));
                }
            }
        }
        Ok((ready, Vec::new()))
    }

    async fn decide_one(
        &self,
        head: Head,
        batch: &mut Batch,
        request: &Request,
        sending: bool,
    ) -> Result<Decided, Undone> {
        for _ in 0..GATHERINGS_MAX {
            match decide_now(&*self.context.edge, batch, request) {
                Ok(decided) => return Ok(decided),
                // The projection may hold a part of this batch by now.
                Err(_) if sending => return Err(Undone::Later),
                Err(missing) => {
                    let later = self.gather(*missing.0).await.map_err(Undone::Failed)?;
                    if later.head != head {
                        return Err(Undone::Moved);
                    }
                    batch.absorb(later.facts);
                }
            }
        }
        let reason = BoxError::from("the facts of a command are never complete");
        Err(Undone::Failed(WriteError::Unavailable(reason)))
    }

    /// Appends, awaits the verdict, answers. Returns the requests whose commits lost a race, and
    /// those that were decided on them.
    async fn commit(&self, mut ready: Vec<Ready>, sending: Sending) -> Vec<Request> {
        // Whatever was decided before the first commit depends on nothing that is still open.
        let first = ready.iter().position(|(_, decided)| decided.head.is_some());
        let open = ready.split_off(first.unwrap_or(ready.len()));
        ready.into_iter().for_each(answer);
        if open.is_empty() {
            return Vec::new();
        }

        let heads = last_heads(&open);
        let (sent, failed) = sending.finish().await;
        let verdicts = match (sent, &failed) {
            (_, Some(AppendError::Indeterminate(error))) => {
                tracing::warn!(directory.id = %self.directory, error = &**error as &dyn std::error::Error, "the outcome of an append is unknown");
                self.find_out(&heads).await
            }
            (Some(last), _) => self.verdicts(last, &heads).await,
            (None, _) => Ok(vec![false; heads.len()]),
        };
        match (verdicts, failed) {
            (Ok(verdicts), None | Some(AppendError::Indeterminate(_))) => settle(open, &verdicts),
            (Ok(verdicts), Some(error)) => {
                // What was sent before the failure may well be accepted; the rest is not in the log.
                refuse(settle(open, &verdicts), refusal(error));
                Vec::new()
            }
            (Err(error), _) => {
                refuse(open.into_iter().map(|(request, _)| request).collect(), error);
                Vec::new()
            }
        }
    }

    async fn verdicts(&self, last: Offset, heads: &[Head]) -> Result<Vec<bool>, WriteError> {
        let begun = Instant::now();
        let replica = &self.context.replica;
        let passed = timeout(VERDICT_WITHIN, replica.wait_applied(self.partition, last)).await;
        match passed {
            Ok(Ok(())) => {}
            Ok(Err(ReplicaError::Full(_))) => return Err(WriteError::Delayed),
            Ok(Err(ReplicaError::Unavailable(_) | ReplicaError::Filter(_))) | Err(_) => {
                return Err(WriteError::Unknown);
            }
        }
        metrics::histogram!("ingest_verdict_seconds").record(begun.elapsed().as_secs_f64());
        Ok(replica.accepted(self.directory, heads.to_vec()).await?)
    }

    /// A time-out says nothing: only reading tells whether the records are there.
    async fn find_out(&self, heads: &[Head]) -> Result<Vec<bool>, WriteError> {
        let deadline = Instant::now() + VERDICT_WITHIN;
        while Instant::now() < deadline {
            let verdicts = self.context.replica.accepted(self.directory, heads.to_vec()).await?;
            if verdicts.iter().all(|accepted| *accepted) {
                return Ok(verdicts);
            }
            tokio::time::sleep(ASK_AGAIN_AFTER).await;
        }
        Err(WriteError::Unknown)
    }
}

/// The one place of a writer where time and ids come in.
fn decide_now(edge: &dyn Edge, batch: &mut Batch, request: &Request) -> Result<Decided, Missing> {
    let mut ids = || edge.id();
    let mut stamp = Stamp { at: edge.now(), ids: &mut ids };
    batch.decide(&request.command, &request.actor, &mut stamp)
}

/// Why a command was not decided.
enum Undone {
    /// The stream has moved on while more was gathered.
    Moved,
    /// More has to be gathered, which cannot be done while a part of the batch is on its way.
    Later,
    /// What it needs cannot be read.
    Failed(WriteError),
}

type Appending = std::pin::Pin<Box<dyn Future<Output = Result<Offset, AppendError>> + Send>>;

/// A batch on its way into the log: records not yet sent, and appends under way, in order.
struct Sending {
    log: Arc<dyn EventLog>,
    partition: Partition,
    key: Bytes,
    records: Vec<Append>,
    bytes: usize,
    under_way: Vec<Appending>,
    begun: Instant,
}

impl Sending {
    fn new(log: Arc<dyn EventLog>, directory: DirectoryId, partition: Partition) -> Self {
        Self {
            log,
            partition,
            key: Bytes::from(directory.to_string()),
            records: Vec::new(),
            bytes: 0,
            under_way: Vec::new(),
            begun: Instant::now(),
        }
    }

    const fn has_begun(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Takes over the records of a commit. A large one is sent in several appends, which the chain
    /// puts together again.
    async fn take(&mut self, decided: &mut Decided) {
        for sealed in std::mem::take(&mut decided.records) {
            if self.records.len() >= APPEND_RECORDS_MAX || self.bytes > APPEND_BYTES_MAX {
                self.send().await;
            }
            self.bytes += sealed.value.len();
            let value = Bytes::from(sealed.value);
            self.records.push(Append { key: self.key.clone(), value });
        }
        if self.records.len() >= SEND_RECORDS {
            self.send().await;
        }
    }

    /// Begins an append. Polled once, it is in the log's queue, behind those that began before it.
    async fn send(&mut self) {
        if self.records.is_empty() {
            return;
        }
        self.bytes = 0;
        let (log, partition) = (Arc::clone(&self.log), self.partition);
        let records = std::mem::take(&mut self.records);
        let append = async move { log.append(partition, records).await };
        let mut append: Appending = Box::pin(append);
        if let Poll::Ready(done) = futures_util::poll!(&mut append) {
            append = Box::pin(std::future::ready(done));
        }
        self.under_way.push(append);
    }

    /// Waits for all of it: how far it got, and why not farther. What follows a failed append in the
    /// log builds on what is not there, and is stale for ever.
    async fn finish(mut self) -> (Option<Offset>, Option<AppendError>) {
        self.send().await;
        let (mut last, mut failed) = (None, None);
        for append in self.under_way {
            match append.await {
                Ok(offset) if failed.is_none() => last = Some(offset),
                Ok(_) => {}
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        metrics::histogram!("log_append_seconds").record(self.begun.elapsed().as_secs_f64());
        (last, failed)
    }
}

fn needs_of(requests: &[Request]) -> Needs {
    let mut needs = Needs::default();
    for request in requests {
        needs.merge(Needs::of(&request.command));
    }
    needs
}

/// The last record of each commit: if it was accepted, all of it was.
fn last_heads(open: &[Ready]) -> Vec<Head> {
    open.iter().filter_map(|(_, decided)| decided.head).collect()
}

/// Answers up to the first commit that lost its race; it and everything after is decided again.
fn settle(open: Vec<Ready>, verdicts: &[bool]) -> Vec<Request> {
    let mut verdicts = verdicts.iter();
    let mut again = Vec::new();
    for (request, decided) in open {
        let holds = decided.head.is_none() || verdicts.next() == Some(&true);
        if again.is_empty() && holds {
            answer((request, decided));
        } else {
            again.push(request);
        }
    }
    again
}

fn answer((request, decided): Ready) {
    // Who asked may have gone away; what was done is done.
    let _ = request.answer.send(decided.outcome.map_err(WriteError::Rejected));
}

fn fail(requests: Vec<Request>, error: impl Fn() -> WriteError) {
    for request in requests {
        let _ = request.answer.send(Err(error()));
    }
}

/// Tells everyone of an error that came once.
fn refuse(requests: Vec<Request>, error: WriteError) {
    let words = error.to_string();
    let source = || BoxError::from(words.clone());
    match error {
        WriteError::Full(_) => fail(requests, || WriteError::Full(source())),
        WriteError::Unavailable(cause) => {
            tracing::warn!(error = &*cause as &dyn std::error::Error, "a batch cannot be written");
            fail(requests, || WriteError::Unavailable(source()));
        }
        WriteError::NoSuchDirectory(id) => fail(requests, || WriteError::NoSuchDirectory(id)),
        WriteError::Stopped => fail(requests, || WriteError::Stopped),
        WriteError::Busy => fail(requests, || WriteError::Busy),
        WriteError::Contended => fail(requests, || WriteError::Contended),
        WriteError::Delayed => fail(requests, || WriteError::Delayed),
        WriteError::Unknown => fail(requests, || WriteError::Unknown),
        WriteError::Rejected(rejection) => {
            fail(requests, || WriteError::Rejected(rejection.clone()));
        }
    }
}

fn refusal(error: AppendError) -> WriteError {
    match error {
        AppendError::Full(source) => WriteError::Full(source),
        AppendError::Unavailable(source) => WriteError::Unavailable(source),
        AppendError::Indeterminate(_) => WriteError::Unknown,
        AppendError::TooLarge { bytes, limit } => {
            let detail =
                format!("one event would take {bytes} bytes, more than {limit}; send less at once");
            let error = schemas::scim::ScimError::with_status(413, detail);
            WriteError::Rejected(error.into())
        }
    }
}
