//! Which role gets what.

use std::sync::Arc;

use ::console::ports::Setting;
use ::log::Offset;
use axum::Router;
use directory::rules::GeneralRules;
use dispatcher::Destination;
use dispatcher::egress::Identity;
use ingest::ports::Replica as _;
use schemas::Edge;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::{
    CATCH_UP_MAX, LogSource, Running, console, keys, outward, partitions, pipeline, provider,
    scratch_folder, streams, trials, verifier,
};
use crate::cli::Role;
use crate::http::{self, Passage, Readiness, Weight};
use crate::settings::Settings;
use crate::telemetry::Telemetry;

/// What every role is wired with.
struct Wiring<'a> {
    running: &'a Running,
    settings: &'a Settings,
    /// The same for people.
    listed: Vec<Setting>,
    edge: Arc<dyn Edge>,
}

impl Running {
    pub(super) async fn wire(
        &self,
        settings: &Settings,
        listed: Vec<Setting>,
        telemetry: Telemetry,
        edge: Arc<dyn Edge>,
        listener: TcpListener,
    ) -> anyhow::Result<()> {
        let rules = GeneralRules {
            inactive_users: settings.inactive_users,
            emptied: settings.emptied_fields,
        };
        self.store.set_general_rules(rules).await?;
        let (log, store) = (self.log.clone(), self.store.clone());
        let (grows, end) = (self.share.grows(), self.end_roles.clone());
        self.roles.spawn(partitions::follow(log, store, grows, end));
        let upkeep = telemetry.clone();
        let end = self.end_roles.clone();
        self.roles.spawn(async move { end.run_until_cancelled(upkeep.upkeep()).await });
        self.roles.spawn(Arc::clone(&self.topics).keep(self.end_roles.clone()));
        let wiring = Wiring { running: self, settings, listed, edge: Arc::clone(&edge) };
        let routes = wiring.start(telemetry).await?;
        let proxies = settings.trusted_proxies.as_slice().into();
        let passage = Passage { edge, proxies, ending: self.ending.clone() };
        self.listen(http::wrap(routes, passage), listener);
        Ok(())
    }

    fn plays(&self, role: Role) -> bool {
        self.part.contains(&role)
    }

    /// A projector for each partition that falls to this process. One that cannot go on is told by `/readyz`.
    fn start_projectors(&self) -> watch::Receiver<projector::Stopped> {
        let (stopped, projecting) = watch::channel(projector::Stopped::new());
        let (store, end) = (self.store.clone(), self.end_roles.clone());
        self.roles.spawn(projector::lag::measure(self.log.port(), store, end));
        self.roles.spawn(projector::share(
            self.log.port(),
            self.store.clone(),
            self.share.assigned(),
            stopped,
            self.end_roles.clone(),
        ));
        projecting
    }

    /// Waits until the projection holds what the log held when the process ended: the first read after a
    /// crash must not miss what a later one shows.
    async fn catch_up(&self) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + CATCH_UP_MAX;
        for (partition, tail) in projector::lag::tails(&*self.log.port()).await {
            let Some(last) = tail?.0.checked_sub(1) else { continue };
            let passed = self.store.wait_applied(partition, Offset(last));
            match tokio::time::timeout_at(deadline, passed).await {
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

    /// What this process needs for its part. Where it serves requests it goes on without the log and with what stands
    /// still: reads are to be had, and writes are told when to come back, which a balancer would not tell them.
    fn readiness(&self, projecting: Option<watch::Receiver<projector::Stopped>>) -> Readiness {
        let serves = self.plays(Role::Ingest) || self.plays(Role::Api);
        let weight = if serves { Weight::Told } else { Weight::Needed };
        let (log, store) = (self.log.port(), Arc::clone(&self.store));
        let mut ready = Readiness::until(self.ending.draining.clone());
        ready = ready.with("store", Weight::Needed, move || {
            let store = Arc::clone(&store);
            async move { store.ready().await.map_err(|error| error.to_string()) }
        });
        if serves || self.plays(Role::Projector) {
            ready = ready.with("log", weight, move || {
                let log = Arc::clone(&log);
                async move { partitions::answer(&*log).await }
            });
        }
        let Some(projecting) = projecting else { return ready };
        let store = Arc::clone(&self.store);
        ready
            .with("projector", weight, move || {
                let stopped: Vec<String> = projecting.borrow().values().cloned().collect();
                async move { if stopped.is_empty() { Ok(()) } else { Err(stopped.join("; ")) } }
            })
            .with("directories", weight, move || {
                let store = Arc::clone(&store);
                async move { partitions::none_is_stopped(&store).await }
            })
    }
}

impl Wiring<'_> {
    /// Starts the roles that fall to this process. What they answer, as routes.
    async fn start(&self, telemetry: Telemetry) -> anyhow::Result<Router> {
        let running = self.running;
        let projecting = running.plays(Role::Projector).then(|| running.start_projectors());
        if running.data_dir.is_some() {
            // Nobody else projects, so nobody else has gone on while this process was away.
            running.catch_up().await?;
        }
        if running.plays(Role::Dispatcher) {
            self.start_dispatcher()?;
        }
        let mut own = http::operations(running.readiness(projecting), telemetry.clone());
        let mut open = Router::new();
        if running.plays(Role::Ingest) || running.plays(Role::Api) {
            let writers = self.writers();
            if running.plays(Role::Ingest) {
                open = open.merge(self.ingest(&writers));
            }
            if running.plays(Role::Api) {
                let api = self.api(writers).await?;
                let pages = self.console(&telemetry, &api).await?;
                let setup = self.setup(&api, pages.clone());
                open = open.merge(::console::setup::router(setup));
                own = own.merge(::console::router(pages)).merge(api::router(api));
            }
        }
        let own = http::not_for_customers(own, running.store.clone(), running.base.as_str().into());
        Ok(own.merge(open))
    }

    fn writers(&self) -> Arc<ingest::Writers> {
        let running = self.running;
        Arc::new(ingest::Writers::new(
            running.log.port(),
            running.store.clone(),
            Arc::clone(&self.edge),
            running.roles.clone(),
            running.end_roles.clone(),
        ))
    }

    fn ingest(&self, writers: &Arc<ingest::Writers>) -> Router {
        let Running { store, roles, end_roles, .. } = self.running;
        roles.spawn(ingest::refresh::run(store.clone(), Arc::clone(writers), end_roles.clone()));
        streams::catch_up(store, writers, roles, end_roles.clone());
        let (request_log, keeper) = ingest::request_log::RequestLog::new();
        roles.spawn(keeper.run(store.clone(), end_roles.clone()));
        let scim = ingest::router(ingest::Wiring {
            replica: store.clone(),
            writers: Arc::clone(writers),
            public_url: self.running.base.as_str().into(),
            limits: Arc::new(ingest::Limits::new(
                self.settings.scim_rate_limit,
                !self.settings.scim_limits_loopback,
            )),
            request_log,
            edge: Arc::clone(&self.edge),
        });
        scim.merge(ingest::oauth::router(ingest::oauth::Oauth {
            clients: store.clone(),
            public_url: self.running.base.as_str().into(),
            edge: Arc::clone(&self.edge),
        }))
    }

    fn sender(&self) -> anyhow::Result<Arc<dyn dispatcher::Sender>> {
        let http = dispatcher::Client::new(outward::egress(self.settings)?)?;
        Ok(Arc::new(outward::Senders { http, topics: Arc::clone(&self.running.topics) }))
    }

    fn start_dispatcher(&self) -> anyhow::Result<()> {
        let running = self.running;
        let config = dispatcher::Config {
            schedule: self.settings.retry_schedule.clone(),
            grace: running.grace().webhooks(),
            ..dispatcher::Config::of(&running.base)
        };
        running.roles.spawn(dispatcher::run(
            running.store.clone(),
            self.sender()?,
            Arc::clone(&self.edge),
            config,
            running.end_roles.clone(),
        ));
        Ok(())
    }

    async fn api(&self, writers: Arc<ingest::Writers>) -> anyhow::Result<api::Api> {
        let (settings, store) = (self.settings, &self.running.store);
        let keys = keys::Configured::new(store.clone(), settings.api_key.as_ref(), &*self.edge);
        keys::first_key(&keys, &**store, &self.edge).await?;
        let tester = dispatcher::Tester::new(
            store.clone(),
            self.sender()?,
            Arc::clone(&self.edge),
            &self.running.base,
        );
        let (policy, topics) = (outward::policy(settings), Arc::clone(&self.running.topics));
        Ok(api::Api {
            keys: Arc::new(keys),
            organizations: store.clone(),
            directories: store.clone(),
            oauth_clients: store.clone(),
            host_names: store.clone(),
            portal_links: store.clone(),
            endpoints: store.clone(),
            deliveries: store.clone(),
            trials: Arc::new(trials::Testing(tester)),
            reading: store.clone(),
            audit: store.clone(),
            admin_events: store.clone(),
            verifier: Arc::new(verifier::Walker::new(
                store.clone(),
                scratch_folder(settings),
                LogSource::of(settings),
                self.running.end_roles.clone(),
            )),
            verification_keys: store.clone(),
            streams: Arc::new(streams::Reconciling::new(writers)),
            limits: Arc::new(api::Limits::new(
                settings.api_rate_limit,
                !settings.api_limits_loopback,
            )),
            answers: store.clone(),
            tasks: self.running.requests.clone(),
            waiting: Arc::default(),
            end: self.running.end_requests.clone(),
            edge: Arc::clone(&self.edge),
            check_url: Arc::new(move |url| {
                let checked = Destination::check(url, &policy, topics.brokers());
                checked.map(drop).map_err(|error| error.to_string())
            }),
            check_certificate: Arc::new(|chain, key| {
                Identity::from_pem(chain, key).map(drop).map_err(|error| error.to_string())
            }),
            make_key_pair: Arc::new(outward::key_pair),
            public_url: self.running.base.as_str().into(),
        })
    }

    /// The console reads and changes through the ports that the API has.
    async fn console(
        &self,
        telemetry: &Telemetry,
        api: &api::Api,
    ) -> anyhow::Result<::console::Ports> {
        let Running { store, roles, end_roles, .. } = self.running;
        console::set_passwords(&**store, &**store, self.settings, &*self.edge).await?;
        let here = pipeline::Here {
            has_ingest: self.running.plays(Role::Ingest),
            has_dispatcher: self.running.plays(Role::Dispatcher),
            has_others: self.running.data_dir.is_none(),
        };
        let log = self.running.log.port();
        let pipeline = pipeline::Sampler::new(telemetry.clone(), log, store.clone(), here);
        let pipeline = Arc::new(pipeline);
        let (sampler, end) = (Arc::clone(&pipeline), end_roles.clone());
        roles.spawn(async move { end.run_until_cancelled(sampler.run()).await });
        Ok(::console::Ports {
            sessions: store.clone(),
            oidc: provider::sign_in(self.settings)?,
            password_sign_in: self.settings.console.password_sign_in,
            lookups: store.clone(),
            pipeline,
            organizations: api.organizations.clone(),
            directories: api.directories.clone(),
            keys: api.keys.clone(),
            portal_links: api.portal_links.clone(),
            host_names: api.host_names.clone(),
            installation: Arc::new(console::installation(
                self.settings,
                &self.listed,
                &self.running.part,
            )),
            endpoints: api.endpoints.clone(),
            deliveries: api.deliveries.clone(),
            api: api.clone(),
            reading: api.reading.clone(),
            audit: api.audit.clone(),
            streams: api.streams.clone(),
            end: self.running.end_requests.clone(),
            edge: api.edge.clone(),
            public_url: api.public_url.clone(),
        })
    }

    /// The setup pages show and change what the console does, of one organization.
    fn setup(&self, api: &api::Api, pages: ::console::Ports) -> ::console::setup::Setup {
        ::console::setup::Setup {
            portal: self.running.store.clone(),
            host_names: Arc::clone(&api.host_names),
            arrivals: self.running.store.clone(),
            pages,
        }
    }
}
