//! `dsync serve`: the roles, wired.
//!
//! Here and nowhere else do the roles meet: each gets its ports as trait objects, its limits from the
//! settings, time and chance from one [`SystemEdge`], and a token that says when to end.

mod console;
mod keys;
mod lock;
mod log;
mod outward;
pub(crate) mod partitions;
mod pipeline;
mod provider;
mod share;
mod streams;
mod topics;
mod trials;
mod verifier;
mod wiring;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::console::ports::Setting;
use anyhow::Context as _;
use axum::Router;
use schemas::Edge;
use store::{PostgresSettings, Store};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cli::Role;
use crate::data;
use crate::edge::SystemEdge;
use crate::http::{self, Ending, Limits, Serving};
use crate::print;
use crate::settings::{LogSetting, Settings, StoreSetting};
use crate::telemetry::Telemetry;

pub use lock::DataDir;
use log::OpenLog;
pub(crate) use log::{LogSource, Walk};
use share::Share;
use topics::Topics;

/// How long the projection may take to catch up with the log before the server listens all the same.
/// After a crash it is milliseconds behind.
const CATCH_UP_MAX: Duration = Duration::from_secs(60);

/// How long the parts of the end may take. Together they stay below the 10 s that a supervisor is promised.
#[derive(Clone, Copy, Debug)]
struct Grace {
    /// How long new requests are taken while `/readyz` says already that they should go elsewhere: until whoever
    /// spreads them has heard of it.
    drain: Duration,
    /// How long requests in flight may take after that. Then they are told to come back.
    requests: Duration,
    /// How long the roles may take to end after that.
    roles: Duration,
}

/// Nobody else could take the requests.
const ALONE: Grace = Grace {
    drain: Duration::ZERO,
    requests: Duration::from_millis(2_500),
    roles: Duration::from_millis(6_500),
};

/// One of several.
const AMONG_OTHERS: Grace = Grace {
    drain: Duration::from_secs(2),
    requests: Duration::from_secs(3),
    roles: Duration::from_secs(4),
};

impl Grace {
    /// How long webhooks in flight may take, so that the dispatcher has ended with the other roles.
    const fn webhooks(self) -> Duration {
        self.roles.saturating_sub(dispatcher::ENDING)
    }
}

/// How long it may take to tell whoever is told to come back.
const TELL_WITHIN: Duration = Duration::from_millis(500);

/// Runs the named roles until the process is told to end.
///
/// # Errors
/// When a role cannot start.
pub async fn run(
    settings: Settings,
    listed: Vec<Setting>,
    roles: Vec<Role>,
    telemetry: Telemetry,
) -> anyhow::Result<()> {
    let roles: BTreeSet<Role> = roles.into_iter().collect();
    let apart = Role::ALL.iter().any(|role| !roles.contains(role));
    if apart && let Some(alone) = serves_one_process(&settings) {
        anyhow::bail!(
            "{alone} can serve one process only: leave out --role, so that all roles run in it, or set \
             log to kafka://… and store to postgres://…"
        );
    }
    let running = Running::start_roles(&settings, listed, roles, telemetry).await?;
    running.tell_start(&settings);
    let told = told_to_end()?;
    print::line(format_args!("dsync listening on {}", running.listening()))?;
    let signal = told.await;
    running.stop().await;
    tracing::info!(signal, "dsync has ended");
    Ok(())
}

/// What of log and store no second process can share.
fn serves_one_process(settings: &Settings) -> Option<&'static str> {
    match (&settings.log, &settings.store) {
        (LogSetting::Embedded, StoreSetting::Embedded) => Some("the embedded log and store"),
        (LogSetting::Embedded, StoreSetting::Postgres(_)) => Some("the embedded log"),
        (LogSetting::Kafka(_), StoreSetting::Embedded) => Some("the embedded store"),
        (LogSetting::Kafka(_), StoreSetting::Postgres(_)) => None,
    }
}

/// Listens for SIGTERM and SIGINT from now on; then waits for one, and says which it was. Whoever reads that the server
/// listens may end it right away.
///
/// # Errors
/// When the system does not let us listen for them.
pub fn told_to_end() -> std::io::Result<impl Future<Output = &'static str>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}

/// A server at work.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    address: SocketAddr,
    /// What others are told, which a proxy may stand behind.
    base: String,
    part: BTreeSet<Role>,
    log: OpenLog,
    store: Arc<Store>,
    requests: TaskTracker,
    roles: TaskTracker,
    ending: Ending,
    end_requests: CancellationToken,
    end_roles: CancellationToken,
    /// Which partitions fall to this process.
    share: Share,
    /// What writes to endpoints that are topics.
    topics: Arc<Topics>,
    /// Held until the files are closed.
    data_dir: Option<DataDir>,
}

impl Running {
    /// Opens log and store, starts every role and listens. The console lists the settings as they are given here.
    ///
    /// # Errors
    /// When something of that fails; the message names it.
    pub async fn start(
        settings: &Settings,
        listed: Vec<Setting>,
        telemetry: Telemetry,
    ) -> anyhow::Result<Self> {
        Self::start_roles(settings, listed, Role::ALL.into(), telemetry).await
    }

    /// The same for some of the roles.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_roles(
        settings: &Settings,
        listed: Vec<Setting>,
        part: BTreeSet<Role>,
        telemetry: Telemetry,
    ) -> anyhow::Result<Self> {
        let alone = serves_one_process(settings).is_some();
        let data_dir = if alone { Some(DataDir::lock(&settings.data_dir)?) } else { None };
        data::must_not_begin_anew(settings)?;
        let edge: Arc<dyn Edge> = Arc::new(SystemEdge::default());
        let store = Arc::new(open_store(settings, &edge).await?);
        store.remember_attempts(store::Retention {
            count: settings.attempts_kept,
            age: settings.attempts_kept_for,
        });
        store.set_general_brake(settings.brake);
        let source = LogSource::of(settings);
        let log = source.open().await?;
        let count = log.port().partitions();
        partitions::check(&store, count)?;
        partitions::check_length(&store, &*log.port()).await?;
        store.set_partitions(count);
        let share = if part.contains(&Role::Projector) {
            source.share(&log, alone)?
        } else {
            Share::Nothing
        };
        let listener = TcpListener::bind(settings.listen)
            .await
            .with_context(|| format!("cannot listen on {}", settings.listen))?;
        let address = listener.local_addr()?;
        let running = Self {
            address,
            base: settings.base_url(address),
            part,
            log,
            store,
            requests: TaskTracker::new(),
            roles: TaskTracker::new(),
            ending: Ending::default(),
            end_requests: CancellationToken::new(),
            end_roles: CancellationToken::new(),
            share,
            topics: Arc::new(Topics::of(settings)?),
            data_dir,
        };
        running.wire(settings, listed, telemetry, edge, listener).await?;
        Ok(running)
    }

    /// Where it listens, which differs from where others reach it if there is a proxy in front.
    #[must_use]
    pub fn listening(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What an operator wants to find in the log of each start.
    fn tell_start(&self, settings: &Settings) {
        let roles: Vec<&str> = self.part.iter().map(|role| role.name()).collect();
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            roles = roles.join(","),
            log = settings.log.to_string(),
            store = settings.store.to_string(),
            data_dir = %settings.data_dir.display(),
            listen = %self.address,
            public_url = self.base,
            "dsync has started"
        );
    }

    fn listen(&self, routes: Router, listener: TcpListener) {
        http::allow_open_files();
        let serving = Serving {
            listener,
            limits: Limits::default(),
            connections: self.requests.clone(),
            end: self.end_requests.clone(),
        };
        self.requests.spawn(serving.serve(routes));
    }

    const fn grace(&self) -> Grace {
        if self.data_dir.is_some() { ALONE } else { AMONG_OTHERS }
    }

    /// Says that it ends, takes no new requests, lets those in flight end, then ends the roles and closes the files.
    pub async fn stop(self) {
        let grace = self.grace();
        self.ending.draining.cancel();
        tokio::time::sleep(grace.drain).await;
        self.end_requests.cancel();
        self.requests.close();
        let answered = tokio::time::timeout(grace.requests, self.requests.wait());
        if answered.await.is_err() {
            tracing::warn!("requests are still in flight, and are told to come back");
            self.ending.cut.cancel();
            if tokio::time::timeout(TELL_WITHIN, self.requests.wait()).await.is_err() {
                tracing::warn!("clients that do not take their answers are cut off");
            }
        }
        self.end_roles.cancel();
        self.roles.close();
        if tokio::time::timeout(grace.roles, self.roles.wait()).await.is_err() {
            tracing::warn!(
                "a role has not ended in time; what it had begun is done again at the next start"
            );
        }
        let Self { log, store, data_dir, share, topics, .. } = self;
        let closed = tokio::task::spawn_blocking(move || {
            topics.close();
            share.give_back();
            log.close();
            store.close();
            drop(data_dir);
        });
        if let Err(error) = closed.await {
            tracing::error!(%error, "closing the files has panicked");
        }
    }
}

/// Opens the store with the master key of the settings, or, if it is embedded, with the one that is kept beside it.
pub(crate) async fn open_store(settings: &Settings, edge: &Arc<dyn Edge>) -> anyhow::Result<Store> {
    let given = settings.master_key.as_ref().map(|key| *key.expose());
    match &settings.store {
        StoreSetting::Embedded => {
            let master_key = match given {
                Some(key) => key,
                None => store::master_key::load_or_create(&settings.data_dir, edge.secret())?,
            };
            Ok(Store::open(&settings.data_dir, master_key, Arc::clone(edge))?)
        }
        StoreSetting::Postgres(server) => {
            let mut server: PostgresSettings = server.expose().parse()?;
            server.connections_max = settings.store_connections;
            Ok(Store::connect(server, given, Arc::clone(edge)).await?)
        }
    }
}

/// Where a walk through the history may keep what it has to remember: in the data directory, if there is one.
pub(crate) fn scratch_folder(settings: &Settings) -> PathBuf {
    match &settings.store {
        StoreSetting::Embedded => settings.data_dir.clone(),
        StoreSetting::Postgres(_) => std::env::temp_dir(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhooks_in_flight_have_time_and_end_before_the_roles_have_to() {
        for grace in [ALONE, AMONG_OTHERS] {
            assert_eq!(grace.webhooks() + dispatcher::ENDING, grace.roles, "{grace:?}");
            let all = grace.drain + grace.requests + TELL_WITHIN + grace.roles;
            assert!(all < Duration::from_secs(10), "{grace:?}");
        }
        // An app that takes five seconds is waited for.
        assert!(ALONE.webhooks() > Duration::from_secs(5));
        assert!(AMONG_OTHERS.webhooks() >= Duration::from_secs(3));
    }
}
