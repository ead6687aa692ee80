//! `dsync serve`: the roles, wired.
//!
//! Here and nowhere else do the roles meet: each gets its ports as trait objects, its limits from the
//! settings, time and chance from one [`SystemEdge`], and a token that says when to end.

mod console;
mod keys;
mod lock;
mod pipeline;
mod streams;
mod trials;
mod verifier;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use api::ports::KeyPair;
use axum::Router;
use directory::rules::GeneralRules;
use dispatcher::egress::{Identity, certificates};
use ingest::ports::Replica;
use log::{Embedded, EventLog, Offset, Partition};
use schemas::Edge;
use store::Store;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cli::Role;
use crate::edge::SystemEdge;
use crate::http::{self, Readiness};
use crate::print;
use crate::settings::Settings;
use crate::telemetry::Telemetry;

pub use lock::DataDir;

/// The embedded log is one partition: one writer thread gains nothing from several.
pub const PARTITIONS: u16 = 1;

/// How long the projection may take to catch up with the log before the server listens all the same.
/// After a crash it is milliseconds behind.
const CATCH_UP_MAX: Duration = Duration::from_secs(60);

/// How long requests in flight may take to end once the server was told to. With [`ROLES_END`] it
/// stays below the 10 s that a supervisor is promised.
const REQUESTS_END: Duration = Duration::from_secs(3);

/// How long the roles may take to end after that.
const ROLES_END: Duration = Duration::from_secs(6);

/// Runs the named roles until the process is told to end.
///
/// # Errors
/// When a role cannot start.
pub async fn run(settings: Settings, roles: Vec<Role>, telemetry: Telemetry) -> anyhow::Result<()> {
    if Role::ALL.iter().any(|role| !roles.contains(role)) {
        anyhow::bail!(
            "the embedded log and store serve one process: leave out --role, so that all roles run in it"
        );
    }
    let running = Running::start(&settings, telemetry).await?;
    print::line(format_args!("dsync listening on {}", running.base()))?;
    told_to_end().await?;
    running.stop().await;
    Ok(())
}

/// Waits for SIGTERM or SIGINT.
///
/// # Errors
/// When the system does not let us listen for them.
pub async fn told_to_end() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}

/// A server at work.
#[derive(Debug)]
pub struct Running {
    base: String,
    log: Arc<Embedded>,
    store: Arc<Store>,
    requests: TaskTracker,
    roles: TaskTracker,
    end_requests: CancellationToken,
    end_roles: CancellationToken,
    /// Held until the files are closed.
    data_dir: DataDir,
}

impl Running {
    /// Opens log and store, starts every role and listens.
    ///
    /// # Errors
    /// When something of that fails; the message names it.
    pub async fn start(settings: &Settings, telemetry: Telemetry) -> anyhow::Result<Self> {
        let data_dir = DataDir::lock(&settings.data_dir)?;
        let edge: Arc<dyn Edge> = Arc::new(SystemEdge::default());
        let store = Arc::new(open_store(settings, &edge)?);
        store.remember_attempts(store::Retention {
            count: settings.attempts_kept,
            age: settings.attempts_kept_for,
        });
        let log = Arc::new(Embedded::open(&log_path(&settings.data_dir), PARTITIONS)?);
        let listener = TcpListener::bind(settings.listen)
            .await
            .with_context(|| format!("cannot listen on {}", settings.listen))?;
        let base = settings.base_url(listener.local_addr()?);
        let running = Self {
            base,
            log,
            store,
            requests: TaskTracker::new(),
            roles: TaskTracker::new(),
            end_requests: CancellationToken::new(),
            end_roles: CancellationToken::new(),
            data_dir,
        };
        running.wire(settings, telemetry, edge, listener).await?;
        Ok(running)
    }

    /// Where it is reached.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    async fn wire(
        &self,
        settings: &Settings,
        telemetry: Telemetry,
        edge: Arc<dyn Edge>,
        listener: TcpListener,
    ) -> anyhow::Result<()> {
        let rules = GeneralRules {
            inactive_users: settings.inactive_users,
            emptied: settings.emptied_fields,
        };
        self.store.set_general_rules(rules).await?;
        let projecting = self.start_projectors();
        self.catch_up().await?;
        let writers = Arc::new(ingest::Writers::new(
            Arc::clone(&self.log) as Arc<dyn EventLog>,
            self.store.clone(),
            Arc::clone(&edge),
            self.roles.clone(),
            self.end_roles.clone(),
        ));
        let tester = self.start_dispatcher(settings, &edge)?;
        let refreshing =
            ingest::refresh::run(self.store.clone(), Arc::clone(&writers), self.end_roles.clone());
        self.roles.spawn(refreshing);
        streams::catch_up(&self.store, &writers, &self.roles, self.end_roles.clone());

        let upkeep = telemetry.clone();
        let end = self.end_roles.clone();
        self.roles.spawn(async move { end.run_until_cancelled(upkeep.upkeep()).await });

        let keys = keys::Configured::new(self.store.clone(), settings.api_key.as_ref(), &*edge);
        keys::first_key(&keys, &edge).await?;
        let (request_log, keeper) = ingest::request_log::RequestLog::new();
        self.roles.spawn(keeper.run(self.store.clone(), self.end_roles.clone()));
        let scim = ingest::router(ingest::Wiring {
            replica: self.store.clone(),
            writers: Arc::clone(&writers),
            public_url: self.base.as_str().into(),
            limits: Arc::new(ingest::Limits::new(
                settings.scim_rate_limit,
                !settings.scim_limits_loopback,
            )),
            request_log,
            edge: Arc::clone(&edge),
        });
        let oauth = ingest::oauth::router(ingest::oauth::Oauth {
            clients: self.store.clone(),
            edge: Arc::clone(&edge),
        });
        let api = self.api(settings, keys, writers, tester, &edge);
        let pages = self.console(settings, &telemetry, &api).await?;
        let readiness = self.readiness(projecting);
        let routes = http::operations(readiness, telemetry)
            .merge(::console::router(pages))
            .merge(scim)
            .merge(oauth)
            .merge(api::router(api));
        self.listen(http::wrap(routes, edge), listener);
        Ok(())
    }

    /// One projector for each partition. A projector that cannot go on is told by `/readyz`.
    fn start_projectors(&self) -> tokio::sync::watch::Receiver<Option<String>> {
        let (stopped, projecting) = tokio::sync::watch::channel(None);
        for partition in (0..PARTITIONS).map(Partition) {
            let log = Arc::clone(&self.log) as Arc<dyn EventLog>;
            let (store, end) = (self.store.clone(), self.end_roles.clone());
            self.roles.spawn(projector::lag::measure(log.clone(), store, partition, end));
            let run = projector::run(log, self.store.clone(), partition, self.end_roles.clone());
            let stopped = stopped.clone();
            self.roles.spawn(async move {
                if let Err(error) = run.await {
                    tracing::error!(error = &error as &dyn std::error::Error, "{error}");
                    stopped.send_replace(Some(error.to_string()));
                }
            });
        }
        projecting
    }

    /// Waits until the projection holds what the log held when the process ended: the first read after a
    /// crash must not miss what a later one shows.
    async fn catch_up(&self) -> anyhow::Result<()> {
        for partition in (0..PARTITIONS).map(Partition) {
            let Some(last) = self.log.tail(partition).await?.0.checked_sub(1) else { continue };
            let passed = self.store.wait_applied(partition, Offset(last));
            match tokio::time::timeout(CATCH_UP_MAX, passed).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the projection is behind the log; reads show what it holds")
                }
                Err(_) => tracing::warn!(
                    "the projection is far behind the log; reads show what it holds so far"
                ),
            }
        }
        Ok(())
    }

    fn start_dispatcher(
        &self,
        settings: &Settings,
        edge: &Arc<dyn Edge>,
    ) -> anyhow::Result<dispatcher::Tester> {
        let client = Arc::new(dispatcher::Client::new(egress(settings)?)?);
        let tester = dispatcher::Tester::new(
            self.store.clone(),
            Arc::clone(&client) as Arc<dyn dispatcher::Sender>,
            Arc::clone(edge),
            &self.base,
        );
        let config = dispatcher::Config {
            schedule: settings.retry_schedule.clone(),
            ..dispatcher::Config::of(&self.base)
        };
        let run = dispatcher::run(
            self.store.clone(),
            client,
            Arc::clone(edge),
            config,
            self.end_roles.clone(),
        );
        self.roles.spawn(run);
        Ok(tester)
    }

    fn api(
        &self,
        settings: &Settings,
        keys: keys::Configured,
        writers: Arc<ingest::Writers>,
        tester: dispatcher::Tester,
        edge: &Arc<dyn Edge>,
    ) -> api::Api {
        let policy = policy(settings);
        api::Api {
            keys: Arc::new(keys),
            organizations: self.store.clone(),
            directories: self.store.clone(),
            oauth_clients: self.store.clone(),
            endpoints: self.store.clone(),
            deliveries: self.store.clone(),
            trials: Arc::new(trials::Testing(tester)),
            reading: self.store.clone(),
            audit: self.store.clone(),
            verifier: Arc::new(verifier::Walker::new(
                settings.data_dir.clone(),
                self.end_roles.clone(),
            )),
            verification_keys: self.store.clone(),
            streams: Arc::new(streams::Reconciling::new(writers)),
            limits: Arc::new(api::Limits::new(
                settings.api_rate_limit,
                !settings.api_limits_loopback,
            )),
            answers: self.store.clone(),
            tasks: self.requests.clone(),
            waiting: api::waiting_room(),
            end: self.end_requests.clone(),
            edge: Arc::clone(edge),
            check_url: Arc::new(move |url| {
                dispatcher::check_url(url, &policy).map(drop).map_err(|error| error.to_string())
            }),
            check_certificate: Arc::new(|chain, key| {
                Identity::from_pem(chain, key).map(drop).map_err(|error| error.to_string())
            }),
            make_key_pair: Arc::new(key_pair),
            public_url: self.base.as_str().into(),
        }
    }

    /// The console reads and changes through the ports that the API has.
    async fn console(
        &self,
        settings: &Settings,
        telemetry: &Telemetry,
        api: &api::Api,
    ) -> anyhow::Result<::console::Ports> {
        console::set_passwords(&*self.store, settings, &*api.edge).await?;
        let log = Arc::clone(&self.log) as Arc<dyn EventLog>;
        let pipeline = Arc::new(pipeline::Sampler::new(telemetry.clone(), log));
        let (sampler, end) = (Arc::clone(&pipeline), self.end_roles.clone());
        self.roles.spawn(async move { end.run_until_cancelled(sampler.run()).await });
        Ok(::console::Ports {
            sessions: self.store.clone(),
            lookups: self.store.clone(),
            pipeline,
            organizations: api.organizations.clone(),
            directories: api.directories.clone(),
            endpoints: api.endpoints.clone(),
            deliveries: api.deliveries.clone(),
            reading: api.reading.clone(),
            audit: api.audit.clone(),
            streams: api.streams.clone(),
            end: self.end_requests.clone(),
            edge: api.edge.clone(),
            public_url: api.public_url.clone(),
        })
    }

    fn readiness(&self, projecting: tokio::sync::watch::Receiver<Option<String>>) -> Readiness {
        let (log, store) = (Arc::clone(&self.log), Arc::clone(&self.store));
        Readiness::default()
            .with("log", move || {
                let log = Arc::clone(&log);
                async move {
                    log.tail(Partition(0)).await.map(drop).map_err(|error| error.to_string())
                }
            })
            .with("store", move || {
                let store = Arc::clone(&store);
                async move { store.ready().await.map_err(|error| error.to_string()) }
            })
            .with("projector", move || {
                let stopped = projecting.borrow().clone();
                async move { stopped.map_or(Ok(()), Err) }
            })
    }

    fn listen(&self, routes: Router, listener: TcpListener) {
        let service = routes.into_make_service_with_connect_info::<SocketAddr>();
        let end = self.end_requests.clone();
        let serving = axum::serve(listener, service).with_graceful_shutdown(end.cancelled_owned());
        self.requests.spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the listener has stopped");
            }
        });
    }

    /// Takes no new requests, lets those in flight end, then ends the roles and closes the files.
    pub async fn stop(self) {
        self.end_requests.cancel();
        self.requests.close();
        if tokio::time::timeout(REQUESTS_END, self.requests.wait()).await.is_err() {
            tracing::warn!("requests are still in flight and are cut off");
        }
        self.end_roles.cancel();
        self.roles.close();
        if tokio::time::timeout(ROLES_END, self.roles.wait()).await.is_err() {
            tracing::warn!(
                "a role has not ended in time; what it had begun is done again at the next start"
            );
        }
        let (log, store, data_dir) = (self.log, self.store, self.data_dir);
        let closed = tokio::task::spawn_blocking(move || {
            log.close();
            store.close();
            drop(data_dir);
        });
        if let Err(error) = closed.await {
            tracing::error!(%error, "closing the files has panicked");
        }
    }
}

/// Where the log is.
pub(crate) fn log_path(data_dir: &Path) -> std::path::PathBuf {
    data_dir.join("log.db")
}

/// Opens the store with the master key of the settings, or the one that is kept beside it.
pub(crate) fn open_store(settings: &Settings, edge: &Arc<dyn Edge>) -> anyhow::Result<Store> {
    let master_key = match &settings.master_key {
        Some(key) => *key.expose(),
        None => store::master_key::load_or_create(&settings.data_dir, edge.secret())?,
    };
    Ok(Store::open(&settings.data_dir, master_key, Arc::clone(edge))?)
}

fn key_pair(seed: &[u8; 32]) -> KeyPair {
    let private = dispatcher::signature::private_key(seed);
    let public = dispatcher::signature::public_key(&private).expect("it was just made");
    KeyPair { private: api::ports::Secret::new(private.expose().to_owned()), public }
}

fn egress(settings: &Settings) -> anyhow::Result<dispatcher::Egress> {
    let extra_ca = match &settings.extra_ca {
        None => Vec::new(),
        Some(path) => {
            let read = || format!("cannot take certificate authorities from {}", path.display());
            certificates(&std::fs::read(path).with_context(read)?).with_context(read)?
        }
    };
    Ok(dispatcher::Egress {
        proxy: settings.egress_proxy.clone(),
        deadline: settings.webhook_timeout,
        extra_ca,
        ..policy(settings).into()
    })
}

fn policy(settings: &Settings) -> dispatcher::Policy {
    dispatcher::Policy {
        allow_private: settings.allow_private_endpoints,
        allow_http: settings.allow_http,
        allow_networks: settings.allow_endpoint_networks.clone(),
    }
}
