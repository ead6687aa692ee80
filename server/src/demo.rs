//! `dsync demo`: the whole way through, on one machine, in a minute.
//!
//! A server on a temporary directory, a receiver of webhooks that checks signatures with code of its
//! own, and a provisioning cycle of Entra ID over real HTTP. Then the server stays up, to try by hand.

mod cycle;
mod receiver;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::print::line;
use crate::serve::{Running, told_to_end};
use crate::settings::{Secret, Settings};
use crate::telemetry::Telemetry;
use cycle::Step;
use receiver::{Receiver, Verified};

/// The key of the demo's server, which only listens on this machine and is gone with it.
const API_KEY: &str = "sk_demo";

/// How long a webhook may take before the demo says that something is wrong.
const PATIENCE: Duration = Duration::from_secs(15);

/// Runs the server with an organization, a directory and a receiver of webhooks, plays the cycle, and
/// stays up until it is told to end. Only where it listens and what it logs may be said otherwise; a port that was named
/// is taken or the demo does not start.
///
/// # Errors
/// When the server cannot start, or when what comes back is not what it should be.
pub async fn run(
    mut settings: Settings,
    listen_given: bool,
    telemetry: Telemetry,
) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("no temporary directory can be made")?;
    settings.data_dir = folder.path().join("data");
    settings.api_key = Some(Secret::new(API_KEY.to_owned()));
    // The receiver of the demo is on this machine, without TLS.
    settings.allow_private_endpoints = true;
    settings.allow_http = true;
    if !listen_given {
        or_on_a_free_port(&mut settings).await;
    }
    // Its settings are its own, and nowhere to be found.
    let running = Running::start(&settings, Vec::new(), telemetry).await?;

    let (tracker, end) = (TaskTracker::new(), CancellationToken::new());
    let receiver = Receiver::start(&tracker, end.clone()).await?;
    let played = play(&running, receiver).await;
    if played.is_ok() {
        told_to_end()?.await;
    }
    running.stop().await;
    end.cancel();
    tracker.close();
    tracker.wait().await;
    played
}

/// Where nobody said which port, one that is taken is no reason not to show the demo.
async fn or_on_a_free_port(settings: &mut Settings) {
    let wanted = tokio::net::TcpListener::bind(settings.listen).await;
    if wanted.is_err() {
        settings.listen.set_port(0);
    }
}

async fn play(running: &Running, mut receiver: Receiver) -> anyhow::Result<()> {
    let mut demo = Demo::prepare(&running.listening(), &receiver).await?;
    line(format_args!("dsync listening on {}", running.listening()))?;
    line("")?;
    line("A provisioning cycle of Entra ID:")?;
    for step in cycle::steps() {
        demo.send(&step).await?;
        for _ in 0..step.events {
            let verified = tokio::time::timeout(PATIENCE, receiver.arrived.recv()).await;
            let verified = verified.ok().flatten().context("no webhook arrives")?;
            show(&verified)?;
        }
    }
    demo.invite()
}

/// The demo's identity provider.
struct Demo {
    http: reqwest::Client,
    base: String,
    directory_id: String,
    endpoint: String,
    token: String,
    ids: BTreeMap<&'static str, String>,
}

impl Demo {
    async fn prepare(base: &str, receiver: &Receiver) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let organization =
            create(&http, base, "organizations", &json!({ "name": "Contoso" })).await?;
        let endpoint = json!({ "endpoint_url": receiver.url, "events": ["dsync.activated",
            "dsync.user.created", "dsync.user.updated", "dsync.user.deleted",
            "dsync.group.created", "dsync.group.user_added", "dsync.group.user_removed"] });
        let endpoint = create(&http, base, "webhook_endpoints", &endpoint).await?;
        receiver.knows(text(&endpoint["secret"])?);
        let directory = json!({ "organization_id": organization["id"], "name": "Contoso Entra ID",
            "type": "azure scim v2.0" });
        let directory = create(&http, base, "directories", &directory).await?;
        Ok(Self {
            http,
            base: base.to_owned(),
            directory_id: text(&directory["id"])?.to_owned(),
            endpoint: text(&directory["scim"]["endpoint"])?.to_owned(),
            token: text(&directory["scim"]["bearer_token"])?.to_owned(),
            ids: BTreeMap::new(),
        })
    }

    async fn send(&mut self, step: &Step) -> anyhow::Result<()> {
        let path = self.with_ids(step.path);
        let url = format!("{}{path}", self.endpoint);
        let mut request = self.http.request(step.method.parse()?, url).bearer_auth(&self.token);
        if let Some(body) = &step.body {
            request = request
                .header("content-type", "application/scim+json")
                .body(self.with_ids(&body.to_string()));
        }
        let answer = request.send().await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        line("")?;
        line(format_args!("# {}", step.story))?;
        line(format_args!("  {} {path}  ->  {}", step.method, status.as_u16()))?;
        ensure!(status.is_success(), "{}", String::from_utf8_lossy(&body));
        if step.events == 0 {
            line("  no event")?;
        }
        if let Some(name) = step.remember {
            let resource: Value = serde_json::from_slice(&body)?;
            self.ids.insert(name, text(&resource["id"])?.to_owned());
        }
        Ok(())
    }

    fn with_ids(&self, text: &str) -> String {
        self.ids
            .iter()
            .fold(text.to_owned(), |text, (name, id)| text.replace(&format!("{{{name}}}"), id))
    }

    fn invite(&self) -> anyhow::Result<()> {
        let (endpoint, token, base) = (&self.endpoint, &self.token, &self.base);
        let lines = [
            String::new(),
            "That was the whole way through. The server stays up until Ctrl-C; try it by hand:"
                .into(),
            String::new(),
            format!("  SCIM endpoint (Tenant URL)    {endpoint}"),
            format!("  bearer token (Secret Token)   {token}"),
            String::new(),
            format!("  curl -H 'Authorization: Bearer {token}' {endpoint}/Users"),
            format!(
                "  curl -H 'Authorization: Bearer {API_KEY}' '{base}/directory_users?directory={}'",
                self.directory_id
            ),
            format!(
                "  curl -H 'Authorization: Bearer {API_KEY}' '{base}/events?events=dsync.user.created,dsync.user.updated,dsync.user.deleted'"
            ),
        ];
        lines.iter().try_for_each(|text| Ok(line(text)?))
    }
}

async fn create(
    http: &reqwest::Client,
    base: &str,
    what: &str,
    body: &Value,
) -> anyhow::Result<Value> {
    let answer = http.post(format!("{base}/{what}")).bearer_auth(API_KEY).json(body).send().await?;
    let (status, body) = (answer.status(), answer.text().await?);
    ensure!(status.as_u16() == 201, "POST /{what}: {status}: {body}");
    Ok(serde_json::from_str(&body)?)
}

fn show(Verified { event, signature }: &Verified) -> anyhow::Result<()> {
    let data = &event["data"];
    let subject = match (data["user"]["email"].as_str(), data["group"]["name"].as_str()) {
        (Some(user), Some(group)) => format!("{user} / {group}"),
        _ => {
            let name = ["email", "username", "name"].iter().find_map(|key| data[*key].as_str());
            name.unwrap_or_default().to_owned()
        }
    };
    let kind = event["event"].as_str().unwrap_or_default();
    line(format_args!("  event    {kind}  {subject}"))?;
    if let Some(previous) = data["previous_attributes"].as_object() {
        let changed: Vec<String> = previous
            .iter()
            .filter(|(name, _)| *name != "raw_attributes")
            .map(|(name, old)| format!("{name}: {old} -> {}", data[name]))
            .collect();
        if !changed.is_empty() {
            line(format_args!("           {}", changed.join(", ")))?;
        }
    }
    let start: String = signature.chars().take(12).collect();
    line(format_args!("  webhook  {}  signature {start}… verified", text(&event["id"])?))?;
    Ok(())
}

fn text(value: &Value) -> anyhow::Result<&str> {
    value.as_str().with_context(|| format!("{value} is no text"))
}
