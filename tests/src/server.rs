//! The server under test: a process of its own, on a port and a directory of its own.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use serde_json::{Value, json};

/// The API key every server under test is given.
pub const API_KEY: &str = "sk_test_black_box";

/// How long anything may take before a test gives up on it: far beyond what a busy machine needs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running `dsync serve`. Dropping it kills the process.
#[derive(Debug)]
pub struct Server {
    child: Child,
    base: String,
    data: PathBuf,
}

impl Server {
    /// Starts a server on this data directory and waits until it listens.
    #[must_use]
    pub fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    /// The same with further settings, as environment variables.
    #[must_use]
    pub fn start_with(data: &Path, settings: &[(&str, &str)]) -> Self {
        let mut serve = command(data);
        serve.arg("serve").envs(settings.iter().copied());
        Self::start_by(serve, data)
    }

    /// The same for some of the roles.
    #[must_use]
    pub fn start_roles(data: &Path, roles: &str, settings: &[(&str, &str)]) -> Self {
        let mut serve = command(data);
        serve.args(["serve", "--role", roles]).envs(settings.iter().copied());
        Self::start_by(serve, data)
    }

    /// The server that this command starts.
    #[must_use]
    pub fn start_by(mut command: Command, data: &Path) -> Self {
        let started = command.stdout(Stdio::piped()).stderr(log_file(data)).spawn();
        let mut child = started.expect("the binary starts; build it with `cargo build`");
        let base = listening(&mut child, data);
        Self { child, base, data: data.to_owned() }
    }

    /// Where it listens.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its data directory.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// A client of its API with full rights.
    #[must_use]
    pub fn api(&self) -> Api {
        Api { base: self.base.clone(), key: API_KEY.to_owned(), http: http_client() }
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().expect("the process is ours");
        self.child.wait().expect("the process is ours");
    }

    /// Sends it a signal, by name.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status();
        assert!(sent.expect("kill exists").success(), "SIG{name} could not be sent");
    }

    /// Waits until it has ended, and lets others work meanwhile.
    pub async fn ends(mut self) -> ExitStatus {
        let ended = async {
            loop {
                if let Some(status) = self.child.try_wait().expect("the process is ours") {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, ended).await.expect("it ends")
    }

    /// Asks it to end, and waits.
    pub fn terminate(mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill exists");
        assert!(sent.success(), "SIGTERM could not be sent");
        self.child.wait().expect("the process is ours")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary with the settings of a test, on this data directory, for any of its commands.
#[must_use]
pub fn command(data: &Path) -> Command {
    let mut command = program("dsync");
    command.env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.current_dir(data);
    command.envs([
        ("DSYNC_LISTEN", "127.0.0.1:0"),
        ("DSYNC_API_KEY", API_KEY),
        ("DSYNC_CONSOLE_PASSWORD", "black-box"),
        ("DSYNC_ALLOW_PRIVATE_ENDPOINTS", "true"),
        ("DSYNC_ALLOW_HTTP", "true"),
        // Most tests with a broker have one.
        ("DSYNC_KAFKA_COPIES", "1"),
    ]);
    command.env("DSYNC_DATA_DIR", data.join("data"));
    command
}

/// A program that the same build made.
#[must_use]
pub fn program(name: &str) -> Command {
    Command::new(binary(name))
}

/// Where it lies: beside the folder of this test.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test is a program");
    let folder = test.parent().and_then(Path::parent).expect("target/<profile>/deps/<test>");
    folder.join(name)
}

/// What the server says beside its one line goes to a file, to read when a test fails.
fn log_file(data: &Path) -> Stdio {
    let file = std::fs::File::options().create(true).append(true).open(data.join("server.log"));
    file.expect("the test's folder can be written").into()
}

/// Waits for the line that says where the server listens.
fn listening(child: &mut Child, data: &Path) -> String {
    let stdout = child.stdout.take().expect("it is piped");
    let (found, line) = sync_channel(1);
    std::thread::spawn(move || {
        let mut lines = BufReader::new(stdout).lines();
        let listening = lines.by_ref().map_while(Result::ok).find_map(|line| {
            line.strip_prefix("dsync listening on ").map(|base| base.trim().to_owned())
        });
        let _ = found.send(listening);
        // Read on, so that the server never waits for a full pipe.
        lines.for_each(drop);
    });
    if let Ok(Some(base)) = line.recv_timeout(PATIENCE) {
        return base;
    }
    let _ = child.kill();
    let mut log = String::new();
    let file = std::fs::File::open(data.join("server.log"));
    let _ = file.and_then(|mut file| file.read_to_string(&mut log));
    panic!("the server does not listen; it says:\n{log}");
}

/// A client of the customer and management API.
#[derive(Clone, Debug)]
pub struct Api {
    base: String,
    key: String,
    http: reqwest::Client,
}

impl Api {
    /// The same API with another key.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self.clone() }
    }

    /// Sends a request and reads the answer: status and JSON, `null` for an empty body.
    pub async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let method = method.parse().expect("a method");
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        request = request.bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.expect("the server answers");
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await.expect("the answer arrives whole");
        (status, if bytes.is_empty() { Value::Null } else { json_of(&bytes) })
    }

    /// What `/metrics` says of a metric without labels; 0 if there is none yet.
    pub async fn metric(&self, name: &str) -> f64 {
        let answer = self.http.get(format!("{}/metrics", self.base)).send().await;
        let text = answer.expect("the server answers").text().await.expect("it arrives whole");
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().expect("a number"))
    }

    /// Waits until `/readyz` says this, and answers with what it says of its checks.
    pub async fn readiness(&self, status: u16, word: &str) -> Value {
        eventually(&format!("{word} in /readyz"), || async {
            let (found, ready) = self.send("GET", "/readyz", None).await;
            (found == status && ready["status"] == word).then(|| ready["checks"].clone())
        })
        .await
    }

    /// GET that has to succeed.
    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.send("GET", path, None).await;
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }

    /// POST that has to create something.
    pub async fn create(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.send("POST", path, Some(body)).await;
        assert_eq!(status, 201, "POST {path}: {answer}");
        answer
    }

    /// A new organization with a directory of this type.
    pub async fn directory(&self, kind: &str, name: &str) -> crate::Directory {
        let organization = self.create("/organizations", &json!({ "name": name })).await;
        let organization_id = organization["id"].as_str().expect("an id").to_owned();
        let body = json!({ "organization_id": organization_id, "type": kind, "name": name });
        let directory = self.create("/directories", &body).await;
        crate::Directory::new(&directory, &self.base)
    }

    /// A new webhook endpoint for all events; its id and secret.
    pub async fn endpoint(&self, url: &str) -> (String, String) {
        let body = json!({ "endpoint_url": url, "events": ["dsync.activated", "dsync.deleted",
            "dsync.user.created", "dsync.user.updated", "dsync.user.deleted",
            "dsync.group.created", "dsync.group.updated", "dsync.group.deleted",
            "dsync.group.user_added", "dsync.group.user_removed"] });
        let endpoint = self.create("/webhook_endpoints", &body).await;
        let text = |key: &str| endpoint[key].as_str().expect("a text").to_owned();
        (text("id"), text("secret"))
    }

    /// A new webhook endpoint with these fields beside its URL; its path and secret.
    pub async fn endpoint_with(&self, url: &str, mut fields: Value) -> (String, String) {
        fields["endpoint_url"] = json!(url);
        let endpoint = self.create("/webhook_endpoints", &fields).await;
        let text = |key: &str| endpoint[key].as_str().expect("a text").to_owned();
        (format!("/webhook_endpoints/{}", text("id")), text("secret"))
    }

    /// Begins a replay to the endpoint with this path; its own path and how many events it has.
    pub async fn replay(&self, endpoint: &str, body: &Value) -> (String, u64) {
        let (status, answer) = self.send("POST", &format!("{endpoint}/replay"), Some(body)).await;
        assert_eq!(status, 202, "{answer}");
        let id = answer["replay_id"].as_str().expect("an id");
        (format!("{endpoint}/replays/{id}"), answer["events"].as_u64().expect("a number"))
    }

    /// Waits until the replay with this path has come to its end.
    pub async fn finished(&self, replay: &str) -> Value {
        eventually("the end of a replay", || async {
            Some(self.get(replay).await).filter(|replay| replay["status"] == "finished")
        })
        .await
    }

    /// Every event of a list of types, in order, page by page.
    pub async fn events(&self, types: &str) -> Vec<Value> {
        let (mut events, mut after) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("/events?events={types}&limit=100{after}")).await;
            let data = page["data"].as_array().expect("a list").clone();
            let Some(last) = data.last() else { return events };
            after = format!("&after={}", last["id"].as_str().expect("an id"));
            events.extend(data);
        }
    }
}

/// The JSON in a body.
#[must_use]
pub fn json_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|error| panic!("not JSON: {error}: {}", String::from_utf8_lossy(bytes)))
}

/// Waits until something holds; fails the test when it never does.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, check: impl Fn() -> F) -> T {
    let found = async {
        loop {
            if let Some(found) = check().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("{what} does not happen"))
}

/// An HTTP client. The provider of its cryptography is installed with the first.
#[must_use]
pub fn http_client() -> reqwest::Client {
    // It fails where one is installed, and then there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().expect("the settings are sound")
}
