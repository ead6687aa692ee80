//! A writer at work.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use directory::{Missing, Needs, Stamp};
use log::{EventLog, Partition};
use schemas::{DirectoryId, Edge, Head};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::copy::{Decided, WorkingCopy};
use super::flight::{Flight, Ready, answer};
use super::refusals::{fail, refuse};
use super::{Mailboxes, Request, WriteError};
use crate::ports::{BoxError, Gathered, Replica, Turn};

/// How many commands one batch takes: enough for one flush to serve everyone who waits, and few
/// enough that the first does not wait long for the last.
const BATCH_MAX: usize = 256;

/// How many bytes of records one batch takes; a commit that is larger goes alone with what came before it. A command may cause
/// a hundred megabytes of records, which are in memory from when they are decided until they are judged.
const BATCH_BYTES_MAX: usize = 16 << 20;

/// How many batches are on their way at once. What is decided meanwhile boards the next one: with few
/// large flights each costs the least, and none waits for facts or rules.
const IN_FLIGHT_MAX: usize = 2;

/// How many requests have to wait before they are decided while a flight is on its way. Each time costs
/// a read; when the flight has landed, none waits any longer.
const BOARD_MIN: usize = 24;

/// How many commands are decided on one working copy. Then what is in flight lands first, and the
/// copy, which knows everything they touched, is dropped.
const DECIDED_MAX: usize = 2_048;

/// How long a writer without work stays.
const IDLE: Duration = Duration::from_secs(60);

/// How often a command that lost a race is decided again.
const ATTEMPTS_MAX: u32 = 8;

/// How many reads one command may need for its facts. The first guess is nearly always enough.
const GATHERINGS_MAX: u32 = 8;

/// How long replicas that met on a directory take turns at writing to it. Alone, a writer is faster without.
const TURNS_FOR: Duration = Duration::from_secs(10);

/// How long to wait for a turn. Who has it may hang; going on without one costs appends and nothing else.
const TURN_WITHIN: Duration = Duration::from_secs(1);

/// How long a request may wait before it is decided. Behind appends whose outcome is unknown that takes longer than
/// identity providers listen for; they are told to come back while they do.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// What every writer works with.
pub(crate) struct Context {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) replica: Arc<dyn Replica>,
    pub(crate) edge: Arc<dyn Edge>,
    pub(crate) shutdown: CancellationToken,
}

/// The stream that a writer appends to.
pub(crate) struct Stream {
    pub(crate) context: Arc<Context>,
    pub(crate) directory: DirectoryId,
    pub(crate) partition: Partition,
}

impl Stream {
    pub(super) async fn gather(&self, needs: Needs) -> Result<Gathered, WriteError> {
        let gathered = self.context.replica.gather(self.directory, needs).await?;
        let gathered = gathered.ok_or(WriteError::NoSuchDirectory(self.directory))?;
        if gathered.stopped { Err(WriteError::Stopped) } else { Ok(gathered) }
    }
}

/// The writer of one directory.
pub(crate) struct Task {
    stream: Arc<Stream>,
    mailboxes: Arc<Mailboxes>,
    requests: mpsc::Receiver<Request>,
    /// None while nothing is in flight, and after a loss until everything has landed.
    copy: Option<WorkingCopy>,
    /// Taken in and not decided yet.
    waiting: Vec<Request>,
    /// Decided, and to take off next.
    boarding: Boarding,
    in_flight: VecDeque<Flight>,
    /// What is in flight was decided behind something that is lost, or that may be.
    shaken: bool,
    /// What has to be decided again, in order.
    again: Vec<Request>,
    /// The last head that is known to be ours.
    ours: Option<Head>,
    /// Until when to take turns with other replicas.
    takes_turns_until: Option<Instant>,
    /// Held from before the facts are gathered until everything in flight has landed.
    turn: Option<Box<dyn Turn>>,
}

/// The batch that is to take off next.
#[derive(Default)]
struct Boarding {
    ready: Vec<Ready>,
    /// Of all records in it.
    bytes: usize,
}

impl Boarding {
    fn push(&mut self, request: Request, decided: Decided) {
        self.bytes += decided.records.iter().map(|sealed| sealed.value.len()).sum::<usize>();
        self.ready.push((request, decided));
    }

    fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    fn is_full(&self) -> bool {
        self.ready.len() >= BATCH_MAX || self.bytes >= BATCH_BYTES_MAX
    }
}

/// What came of taking in more facts.
enum Gathering {
    Done,
    /// Another writer was first.
    Moved,
}

/// Why a command was not decided.
enum Undone {
    /// Another writer was first.
    Moved,
    /// What it needs cannot be read.
    Failed(WriteError),
}

impl Task {
    pub(crate) fn new(
        stream: Stream,
        mailboxes: Arc<Mailboxes>,
        requests: mpsc::Receiver<Request>,
    ) -> Self {
        Self {
            stream: Arc::new(stream),
            mailboxes,
            requests,
            copy: None,
            waiting: Vec::with_capacity(BATCH_MAX),
            boarding: Boarding::default(),
            in_flight: VecDeque::with_capacity(IN_FLIGHT_MAX),
            shaken: false,
            again: Vec::new(),
            ours: None,
            takes_turns_until: None,
            turn: None,
        }
    }

    /// Serves requests until none come for a while, or until shutdown; then those that wait.
    pub(crate) async fn run(mut self) {
        let shutdown = self.stream.context.shutdown.clone();
        loop {
            self.dispatch().await;
            let (flying, takes) = (!self.in_flight.is_empty(), self.takes_more());
            let room = BATCH_MAX.saturating_sub(self.waiting.len());
            tokio::select! {
                biased;
                () = landed(&mut self.in_flight), if flying => self.settle().await,
                taken = timeout(IDLE, self.requests.recv_many(&mut self.waiting, room)), if takes => {
                    match taken {
                        Ok(0) if !flying => return,
                        Ok(0) => self.settle().await,
                        Ok(_) => {}
                        Err(_) if !flying && self.retire() => return,
                        Err(_) => {}
                    }
                }
                () = shutdown.cancelled(), if !self.requests.is_closed() => self.requests.close(),
            }
        }
    }

    /// Decides and sends on its way what can be, until there is nothing to do but wait.
    async fn dispatch(&mut self) {
        loop {
            let idle = self.in_flight.is_empty() && self.boarding.is_empty();
            if idle {
                self.copy = None;
                self.shaken = false;
                self.end_turn().await;
                if !self.again.is_empty() {
                    self.take_turn().await;
                    self.decide_again().await;
                    continue;
                }
            }
            let free = self.in_flight.len() < IN_FLIGHT_MAX;
            if free && !self.boarding.is_empty() {
                self.take_off().await;
            } else if self.boards()
                && self.waiting.len() >= if self.in_flight.is_empty() { 1 } else { BOARD_MIN }
            {
                if idle {
                    self.take_turn().await;
                }
                let waiting = std::mem::take(&mut self.waiting);
                self.decide_all(waiting).await;
            } else {
                return;
            }
        }
    }

    /// Waits for our turn, if replicas take turns. Whoever has come by then goes along.
    async fn take_turn(&mut self) {
        if self.takes_turns_until.is_none_or(|until| until < Instant::now()) {
            return;
        }
        let stream = &self.stream;
        let turn = timeout(TURN_WITHIN, stream.context.replica.turn(stream.directory)).await;
        self.turn = turn.ok().flatten();
        if self.turn.is_none() {
            self.takes_turns_until = None;
        }
        while self.waiting.len() < BATCH_MAX {
            let Ok(request) = self.requests.try_recv() else { return };
            self.waiting.push(request);
        }
    }

    async fn end_turn(&mut self) {
        if let Some(turn) = self.turn.take() {
            turn.end().await;
        }
    }

    /// Another replica writes to this directory.
    fn meet(&mut self) {
        self.takes_turns_until = Some(Instant::now() + TURNS_FOR);
    }

    /// Takes the mailbox out of the map, unless something has come in meanwhile.
    fn retire(&self) -> bool {
        let mut mailboxes = self.mailboxes.lock().expect("nothing panics while it is held");
        let idle = self.requests.is_empty();
        if idle {
            mailboxes.remove(&self.stream.directory);
        }
        idle
    }

    /// Whether more can be decided before something has landed.
    fn boards(&self) -> bool {
        // One flight for each turn: others wait for theirs.
        let goes_on = self.turn.is_none()
            && self.copy.as_ref().is_some_and(|copy| copy.decided() < DECIDED_MAX);
        let idle = self.in_flight.is_empty() && self.boarding.is_empty();
        idle || (goes_on && !self.boarding.is_full())
    }

    /// Whether more can be taken in.
    fn takes_more(&self) -> bool {
        self.waiting.len() < BATCH_MAX
    }

    /// Settles the flight that took off first.
    async fn settle(&mut self) {
        let Some(flight) = self.in_flight.pop_front() else { return };
        match flight.settle(self.shaken).await {
            Ok(None) => {}
            Ok(Some(head)) => {
                self.ours = Some(head);
                if let Some(copy) = &mut self.copy {
                    copy.confirm(head);
                }
            }
            Err(lost) => self.lose(lost),
        }
    }

    /// Another writer was first: nothing that is in flight will hold, nor what was to follow it.
    fn lose(&mut self, requests: Vec<Request>) {
        self.copy = None;
        self.shaken = !self.in_flight.is_empty();
        self.meet();
        self.again.extend(requests);
        let boarded = std::mem::take(&mut self.boarding).ready;
        self.again.extend(boarded.into_iter().map(|(request, _)| request));
    }

    /// One more attempt for what lost a race.
    async fn decide_again(&mut self) {
        metrics::counter!("ingest_contended_total").increment(1);
        let again = std::mem::take(&mut self.again).into_iter().map(|mut request| {
            request.attempts += 1;
            request
        });
        let (again, hopeless): (Vec<_>, Vec<_>) =
            again.partition(|request| request.attempts < ATTEMPTS_MAX);
        fail(hopeless, || WriteError::Contended);
        let waiting = std::mem::take(&mut self.waiting);
        self.decide_all(again.into_iter().chain(waiting).collect()).await;
    }

    /// Decides each request on what the ones before it leave, until a batch is full; the others go on waiting.
    async fn decide_all(&mut self, requests: Vec<Request>) {
        let waited = |request: &Request| request.arrived.elapsed() > WAIT_MAX;
        let (late, requests): (Vec<_>, Vec<_>) = requests.into_iter().partition(waited);
        fail(late, || WriteError::Busy);
        if requests.is_empty() {
            return;
        }
        match self.gather(needs_of(&requests)).await {
            Ok(Gathering::Done) => {}
            Ok(Gathering::Moved) => {
                self.lose(Vec::new());
                return self.again.extend(requests);
            }
            Err(error) => return refuse(requests, error),
        }
        let mut requests = requests.into_iter();
        while !self.boarding.is_full()
            && let Some(request) = requests.next()
        {
            match self.decide(&request).await {
                Ok(decided) => self.boarding.push(request, decided),
                Err(Undone::Moved) => {
                    self.lose(Vec::new());
                    return self.again.extend([request].into_iter().chain(requests));
                }
                Err(Undone::Failed(error)) => {
                    // What it needs cannot be read; the others may do without.
                    let _ = request.answer.send(Err(error));
                }
            }
        }
        self.waiting.splice(0..0, requests);
    }

    async fn take_off(&mut self) {
        let Boarding { mut ready, .. } = std::mem::take(&mut self.boarding);
        metrics::histogram!("ingest_batch_commands").record(ready.len() as f64);
        if self.in_flight.is_empty() {
            // Whatever was decided before the first commit depends on nothing that is still open.
            let first = ready.iter().position(|(_, decided)| decided.head.is_some());
            let open = ready.split_off(first.unwrap_or(ready.len()));
            ready.into_iter().for_each(answer);
            ready = open;
        }
        if !ready.is_empty() {
            self.in_flight.push_back(Flight::take_off(Arc::clone(&self.stream), ready).await);
        }
    }

    async fn decide(&mut self, request: &Request) -> Result<Decided, Undone> {
        for _ in 0..GATHERINGS_MAX {
            let Some(copy) = &mut self.copy else { return Err(Undone::Moved) };
            match decide_now(&*self.stream.context.edge, copy, request) {
                Ok(decided) => return Ok(decided),
                Err(missing) => match self.gather(*missing.0).await {
                    Ok(Gathering::Done) => {}
                    Ok(Gathering::Moved) => return Err(Undone::Moved),
                    Err(error) => return Err(Undone::Failed(error)),
                },
            }
        }
        let reason = BoxError::from("the facts of a command are never complete");
        Err(Undone::Failed(WriteError::Unavailable(reason)))
    }

    /// Brings what is needed into the working copy.
    async fn gather(&mut self, needs: Needs) -> Result<Gathering, WriteError> {
        let needs = match &self.copy {
            Some(copy) => copy.lacks(needs),
            None => needs,
        };
        let gathered = self.stream.gather(needs).await?;
        let Some(copy) = &mut self.copy else {
            if self.ours.is_some_and(|ours| ours != gathered.head) {
                self.meet();
            }
            self.ours = Some(gathered.head);
            self.copy = Some(WorkingCopy::new(gathered));
            return Ok(Gathering::Done);
        };
        Ok(if copy.absorb(gathered) { Gathering::Done } else { Gathering::Moved })
    }
}

/// Waits for the flight that took off first.
async fn landed(in_flight: &mut VecDeque<Flight>) {
    if let Some(first) = in_flight.front_mut() {
        first.landed().await;
    }
}

/// The one place of a writer where time and ids come in.
fn decide_now(
    edge: &dyn Edge,
    copy: &mut WorkingCopy,
    request: &Request,
) -> Result<Decided, Missing> {
    let mut ids = || edge.id();
    let mut stamp = Stamp { at: edge.now(), promised: request.id, ids: &mut ids };
    copy.decide(&request.command, &request.actor, &mut stamp)
}

fn needs_of(requests: &[Request]) -> Needs {
    let mut needs = Needs::default();
    for request in requests {
        needs.merge(Needs::of(&request.command));
        needs.pending.extend(request.id.map(|id| id.to_string()));
    }
    needs
}
