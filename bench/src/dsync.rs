//! The server under measurement, in a process of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::Failure;
use crate::client::{Connection, Target};

const API_KEY: &str = "sk_test_bench";

/// What opens the console.
pub(crate) const PASSWORD: &str = "bench";

/// A running `dsync serve`.
pub(crate) struct Dsync {
    child: Child,
    api: Target,
}

/// Builds the binary that is measured, with the profile of this program.
pub(crate) fn build() -> Result<(), Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "-p", "server", "--bin", "dsync"]);
    if cfg!(feature = "kafka") {
        // Together with this program, so that both share their dependencies.
        command.args(["-p", "bench", "--features", "kafka"]);
    }
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    if command.status()?.success() { Ok(()) } else { Err("dsync does not build".into()) }
}

/// The binary, beside this program.
pub(crate) fn binary() -> Result<PathBuf, Failure> {
    Ok(std::env::current_exe()?.with_file_name("dsync"))
}

/// A command of the binary on this data directory.
pub(crate) fn command(data: &Path) -> Result<Command, Failure> {
    let mut command = Command::new(binary()?);
    // What is measured is what is set here, whatever the environment says.
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"DSYNC_") {
            command.env_remove(name);
        }
    }
    command
        .current_dir(data)
        .env("DSYNC_LISTEN", "127.0.0.1:0")
        .env("DSYNC_DATA_DIR", data.join("data"))
        .env("DSYNC_API_KEY", API_KEY)
        .env("DSYNC_CONSOLE_PASSWORD", PASSWORD)
        .env("DSYNC_SCIM_RATE_LIMIT", "0")
        .env("DSYNC_API_RATE_LIMIT", "0")
        .env("DSYNC_ALLOW_HTTP", "true")
        .env("DSYNC_ALLOW_PRIVATE_ENDPOINTS", "true")
        // Every attempt is kept, so that the disk shows what one takes.
        .env("DSYNC_ATTEMPTS_KEPT", "10000000")
        .env("DSYNC_LOG_LEVEL", "warn");
    Ok(command)
}

impl Dsync {
    pub(crate) fn start(data: &Path) -> Result<Self, Failure> {
        Self::start_with(data, &[])
    }

    /// The same with further settings, as environment variables.
    pub(crate) fn start_with(data: &Path, settings: &[(&str, &str)]) -> Result<Self, Failure> {
        let mut serve = command(data)?;
        serve.arg("serve").envs(settings.iter().copied());
        Self::started(serve)
    }

    /// One that this command starts.
    pub(crate) fn started(mut serve: Command) -> Result<Self, Failure> {
        let mut child = serve.stdout(Stdio::piped()).spawn()?;
        let line = first_line(&mut child)?;
        let base = line.strip_prefix("dsync listening on http://").ok_or(line.clone())?;
        let api = Target {
            authority: base.trim().to_owned(),
            prefix: String::new(),
            token: API_KEY.to_owned(),
            cookie: None,
        };
        Ok(Self { child, api })
    }

    /// Its API, with every right.
    pub(crate) const fn api(&self) -> &Target {
        &self.api
    }

    /// A new directory of an organization of its own, and where its identity provider sends requests.
    pub(crate) async fn directory(&self, name: &str) -> Result<Target, Failure> {
        let organization = self.post("/organizations", &json!({ "name": name })).await?;
        let of = organization["id"].as_str().ok_or("no id")?;
        let directory = self.post("/directories", &new_directory(of, name)).await?;
        self.scim(&directory)
    }

    /// Where the identity provider of a directory that was just made sends requests.
    pub(crate) fn scim(&self, directory: &Value) -> Result<Target, Failure> {
        let endpoint = directory["scim"]["endpoint"].as_str().ok_or("no endpoint")?;
        let path = endpoint.find("/scim/").ok_or("no endpoint")?;
        let token = directory["scim"]["bearer_token"].as_str().ok_or("no token")?;
        Ok(Target {
            prefix: endpoint[path..].to_owned(),
            token: token.to_owned(),
            ..self.api.clone()
        })
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let mut connection = Connection::open(&self.api).await?;
        // The API takes plain JSON as SCIM does.
        let answer = connection.send(&self.api, "POST", path, body.to_string().as_bytes()).await?;
        if answer.status != 201 {
            let said = String::from_utf8_lossy(&answer.body).into_owned();
            return Err(format!("POST {path}: {}: {said}", answer.status).into());
        }
        Ok(serde_json::from_slice(&answer.body)?)
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<(), Failure> {
        let mut connection = Connection::open(&self.api).await?;
        let answer = connection.send(&self.api, "DELETE", path, b"").await?;
        if answer.status == 204 { Ok(()) } else { Err(format!("DELETE {path} fails").into()) }
    }

    /// The processor time that it has used.
    pub(crate) fn cpu(&self) -> Result<Duration, Failure> {
        cpu_of(self.child.id())
    }

    /// What it holds in memory, in MiB.
    pub(crate) fn rss_mib(&self) -> Result<f64, Failure> {
        memory_mib(self.child.id(), "VmRSS:")
    }

    /// The most that it has held in memory so far, in MiB.
    pub(crate) fn peak_mib(&self) -> Result<f64, Failure> {
        memory_mib(self.child.id(), "VmHWM:")
    }

    /// Ends it in peace.
    pub(crate) fn stop(mut self) -> Result<(), Failure> {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Dsync {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What makes a directory of an organization.
pub(crate) fn new_directory(organization: &str, name: &str) -> Value {
    json!({ "organization_id": organization, "type": "azure scim v2.0", "name": name })
}

/// The processor time that a process has used.
pub(crate) fn cpu_of(pid: u32) -> Result<Duration, Failure> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name before may hold anything, but for its closing parenthesis at the end.
    let (_, rest) = stat.rsplit_once(')').ok_or("no such line")?;
    let ticks: Vec<u64> =
        rest.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    // USER_HZ is 100 on every Linux.
    Ok(Duration::from_millis(10 * ticks.iter().sum::<u64>()))
}

/// A line of `/proc/<pid>/status`, in MiB.
pub(crate) fn memory_mib(pid: u32, what: &str) -> Result<f64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(what)).ok_or("no such line")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1_024.0)
}

/// The first line a process prints; it says where it listens.
pub(crate) fn first_line(child: &mut Child) -> Result<String, Failure> {
    let stdout = child.stdout.take().ok_or("standard output is not piped")?;
    let mut lines = BufReader::new(stdout);
    let mut line = String::new();
    lines.read_line(&mut line)?;
    // Read on, so that the process never waits for a full pipe.
    std::thread::spawn(move || lines.lines().for_each(drop));
    Ok(line.trim_end().to_owned())
}
