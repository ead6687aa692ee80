//! Calls of the API, and what goes wrong with them in words for people at a shell.

use std::net::IpAddr;
use std::time::Duration;

use http::header::ACCEPT;
use http::{Method, StatusCode};
use reqwest::{RequestBuilder, Response, redirect};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::{Host, Url};

use super::request::Request;
use crate::print;
use crate::settings::{Secret, Settings};

/// A server that does not accept a connection within this is not there.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// The longest that one call may take; the SDKs wait as long.
const CALL_MAX: Duration = Duration::from_secs(60);

/// The longest that a whole history may take to arrive.
const STREAM_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The most of an answer that is not JSON that a message quotes.
const QUOTE_MAX: usize = 200;

/// Why a command did not work.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is no address.
    #[error("{0} is not an address of a server; check public_url and listen")]
    Address(String),
    /// The HTTP client cannot be built.
    #[error("no HTTP client: {0}")]
    Client(#[source] reqwest::Error),
    /// Nobody listens there.
    #[error(
        "cannot connect to {url}: {why}\nis `dsync serve` running? The address comes from \
         --public-url, else from --listen"
    )]
    Unreachable {
        /// The address.
        url: String,
        /// What the system says.
        why: String,
    },
    /// The connection broke or the answer did not come in time.
    #[error("no answer from {url}: {why}")]
    NoAnswer {
        /// The address.
        url: String,
        /// What went wrong.
        why: String,
    },
    /// The key is missing or not accepted.
    #[error(
        "the server does not accept the API key (401): {}; it is the setting api_key: --api-key, \
         DSYNC_API_KEY or the key api_key of dsync.toml",
        if *sent { "the one that was sent is unknown" } else { "none was sent" }
    )]
    Unauthorized {
        /// Whether a key was sent at all.
        sent: bool,
    },
    /// The server understood and said no.
    #[error("{method} {path}: {status}: {message}{}", id(request_id))]
    Refused {
        /// The method.
        method: Method,
        /// The path.
        path: String,
        /// The status.
        status: StatusCode,
        /// The `message` of the answer with its `errors`.
        message: String,
        /// What to look for in the server's log.
        request_id: Option<String>,
    },
    /// Somebody else answers at this address.
    #[error("{url} did not answer with JSON; is it a dsync server? It said: {start}")]
    NotJson {
        /// The address.
        url: String,
        /// The start of the answer.
        start: String,
    },
    /// A check found a difference.
    #[error("the history and the state are not what they should be")]
    NotVerified,
    /// Standard output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] std::io::Error),
}

impl ClientError {
    /// Whether the same call may well work in a while, without anybody doing something about it here.
    pub(super) fn passes(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::NoAnswer { .. } => true,
            Self::Refused { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::Address(_)
            | Self::Client(_)
            | Self::Unauthorized { .. }
            | Self::NotJson { .. }
            | Self::NotVerified
            | Self::Output(_) => false,
        }
    }
}

fn id(request_id: &Option<String>) -> String {
    request_id.as_ref().map(|id| format!(" (request {id})")).unwrap_or_default()
}

/// A server and the key to it.
#[derive(Debug)]
pub struct Connection {
    client: reqwest::Client,
    base: String,
    key: Option<Secret>,
}

impl Connection {
    /// The server that the settings name.
    ///
    /// # Errors
    /// When the address is no address, or TLS has no roots to trust.
    pub fn new(settings: &Settings) -> Result<Self, ClientError> {
        let base = settings.client_url();
        let url = Url::parse(&base).map_err(|_| ClientError::Address(base.clone()))?;
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_MAX)
            .timeout(CALL_MAX)
            .user_agent(concat!("dsync-cli/", env!("CARGO_PKG_VERSION")))
            // Following a redirect would carry the key to where it points.
            .redirect(redirect::Policy::none());
        let client = if is_this_machine(&url) { client.no_proxy() } else { client };
        let client = client.build().map_err(ClientError::Client)?;
        Ok(Self { client, base, key: settings.api_key.clone() })
    }

    /// Reads.
    ///
    /// # Errors
    /// When there is no answer, or one that says no.
    pub async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, ClientError> {
        self.get_as(path, query).await
    }

    /// Reads what a type of our own makes of it.
    ///
    /// # Errors
    /// When there is no answer, one that says no, or one of another shape.
    pub(super) async fn get_as<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, ClientError> {
        let fill = |request: RequestBuilder| request.query(query);
        let response = self.response(&Method::GET, path, fill).await?;
        let text = self.text(Method::GET, path, response).await?;
        self.parsed(&text)
    }

    /// Makes a call.
    ///
    /// # Errors
    /// When there is no answer, or one that says no.
    pub(super) async fn send(&self, request: &Request) -> Result<Value, ClientError> {
        let fill = |sent: RequestBuilder| match &request.body {
            Some(body) => sent.query(&request.query).json(body),
            None => sent.query(&request.query),
        };
        self.call(request.method.clone(), &request.path(), fill).await
    }

    /// Makes a call and prints its answer as it comes, in this form.
    ///
    /// # Errors
    /// When there is no answer, one that says no, or one that breaks off.
    pub(super) async fn stream(&self, request: &Request, form: &str) -> Result<(), ClientError> {
        let fill = |sent: RequestBuilder| {
            sent.query(&request.query).header(ACCEPT, form).timeout(STREAM_MAX)
        };
        let path = request.path();
        let mut response = self.response(&request.method, &path, fill).await?;
        if !response.status().is_success() {
            return self.text(request.method.clone(), &path, response).await.map(drop);
        }
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failed(&error))? {
            print::bytes(&chunk)?;
        }
        Ok(())
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Value, ClientError> {
        let response = self.response(&method, path, fill).await?;
        let text = self.text(method, path, response).await?;
        if text.is_empty() { Ok(Value::Null) } else { self.parsed(&text) }
    }

    async fn response(
        &self,
        method: &Method,
        path: &str,
        fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, ClientError> {
        let mut request = fill(self.client.request(method.clone(), format!("{}{path}", self.base)));
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose());
        }
        request.send().await.map_err(|error| self.failed(&error))
    }

    /// What an answer says, if it does not say no.
    async fn text(
        &self,
        method: Method,
        path: &str,
        response: Response,
    ) -> Result<String, ClientError> {
        let status = response.status();
        let header = response.headers().get("x-request-id");
        let request_id = header.and_then(|id| id.to_str().ok()).map(str::to_owned);
        let text = response.text().await.map_err(|error| self.failed(&error))?;
        if status == StatusCode::UNAUTHORIZED {
            return Err(ClientError::Unauthorized { sent: self.key.is_some() });
        }
        if status.is_success() {
            return Ok(text);
        }
        let message = serde_json::from_str(&text).ok().as_ref().and_then(message);
        let (message, path) = (message.unwrap_or_else(|| start(&text)), path.to_owned());
        Err(ClientError::Refused { method, path, status, message, request_id })
    }

    fn parsed<T: DeserializeOwned>(&self, text: &str) -> Result<T, ClientError> {
        let not_json = |_| ClientError::NotJson { url: self.base.clone(), start: start(text) };
        serde_json::from_str(text).map_err(not_json)
    }

    fn failed(&self, error: &reqwest::Error) -> ClientError {
        let (url, why) = (self.base.clone(), root_cause(error));
        if error.is_connect() {
            ClientError::Unreachable { url, why }
        } else {
            ClientError::NoAnswer { url, why }
        }
    }
}

/// A proxy that the environment names cannot reach a loopback address of ours.
fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

/// The last cause says the most: `Connection refused`, not `error sending request`.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// `message` with what `errors` adds, as the API writes them.
fn message(body: &Value) -> Option<String> {
    let message = body.get("message")?.as_str()?;
    let errors = body.get("errors").and_then(Value::as_array).into_iter().flatten();
    let word = |error: &Value, key| error.get(key).and_then(Value::as_str).map(str::to_owned);
    let details: Vec<String> = errors
        .filter_map(|error| {
            let what = word(error, "message").or_else(|| word(error, "code"))?;
            Some(word(error, "field").map_or(what.clone(), |field| format!("{field}: {what}")))
        })
        .collect();
    Some(if details.is_empty() {
        message.to_owned()
    } else {
        format!("{message} ({})", details.join(", "))
    })
}

fn start(text: &str) -> String {
    let text: String = text.trim().chars().take(QUOTE_MAX).collect();
    if text.is_empty() { "(nothing)".to_owned() } else { text }
}
