//! A PostgreSQL for a test: a real server, and nothing of it is left behind.

use std::fs::File;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, Error, NoTls};

use crate::server::PATIENCE;

/// Names the server to use, by a connection string, where the tests shall not start one.
const SETTING: &str = "DSYNC_TEST_POSTGRES";

/// The oldest version that is good enough: the first whose databases can have the order of a language by ICU.
const VERSION_MIN: u32 = 15;

/// Part of the name of a socket, and what a connection takes for granted.
const PORT: &str = "5432";

/// What a server that is measured is started with: as durable as PostgreSQL's own choice, which tests do without, and
/// with memory and a log as a database of some size has them.
const MEASURED: &[&str] =
    &["fsync=on", "full_page_writes=on", "shared_buffers=1GB", "max_wal_size=8GB"];

/// Where Debian puts the programs of each version, which are not in `PATH`.
const DEBIAN: &str = "/usr/lib/postgresql";

/// A place in a PostgreSQL that nobody else uses: a server of its own, or a schema of its own on one that is shared.
/// Dropping it removes either.
#[derive(Debug)]
pub struct Postgres {
    config: Config,
    place: Place,
}

/// The server of all tests of this process that share one: it takes a second to start.
static SHARED: OnceCell<Result<Config, Missing>> = OnceCell::const_new();

/// There is no PostgreSQL to test with.
#[derive(Clone, Copy, Debug)]
pub struct Missing;

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "no PostgreSQL here; run ./test, which installs it, or name a server in {SETTING}"
        )
    }
}

impl Postgres {
    /// Makes the place.
    ///
    /// # Errors
    ///
    /// If the machine has no PostgreSQL and the environment names none.
    pub async fn start() -> Result<Self, Missing> {
        if let Ok(server) = std::env::var(SETTING) {
            let server: Config = server.parse().expect("a connection string of PostgreSQL");
            let (config, name) = schema_on(Config::clone(&server)).await;
            let schema = Schema { server, name };
            return Ok(Self { config, place: Place::Schema(Box::new(schema)) });
        }
        let programs = programs().ok_or(Missing)?;
        let mut cluster = Cluster::start(&programs, Asked::Nothing);
        let config = cluster.config();
        cluster.listens(&config).await;
        Ok(Self { config, place: Place::Cluster(cluster) })
    }

    /// A server of its own to be measured: durable, and with memory.
    ///
    /// # Errors
    ///
    /// If the machine has no PostgreSQL.
    pub async fn measured() -> Result<Self, Missing> {
        let programs = programs().ok_or(Missing)?;
        let mut cluster = Cluster::start(&programs, Asked::Measured);
        let config = cluster.config();
        cluster.listens(&config).await;
        Ok(Self { config, place: Place::Cluster(cluster) })
    }

    /// The process that the others of the server are children of, if it is ours alone.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        match &self.place {
            Place::Cluster(cluster) => Some(cluster.server.id()),
            Place::Schema(_) | Place::Process => None,
        }
    }

    /// A server of its own that is reached at a port of this machine as well, where it shows a certificate.
    ///
    /// # Errors
    ///
    /// If the machine has no PostgreSQL.
    pub async fn secured(certificate: &str, key: &str) -> Result<(Self, u16), Missing> {
        let programs = programs().ok_or(Missing)?;
        // PostgreSQL does not choose a port itself.
        let free = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = free.local_addr().expect("it is bound").port();
        drop(free);
        let mut cluster = Cluster::start(&programs, Asked::Secured { port, certificate, key });
        let mut config = cluster.config();
        config.port(port);
        cluster.listens(&config).await;
        Ok((Self { config, place: Place::Cluster(cluster) }, port))
    }

    /// A schema on a server that the tests of this process share: the one that the environment names, or one that is
    /// started for them and ends with the process.
    ///
    /// # Errors
    ///
    /// If the machine has no PostgreSQL and the environment names none.
    pub async fn shared() -> Result<Self, Missing> {
        if std::env::var_os(SETTING).is_some() {
            return Self::start().await;
        }
        let started = async || {
            let mut cluster = Cluster::start(&programs().ok_or(Missing)?, Asked::Nothing);
            let config = cluster.config();
            cluster.listens(&config).await;
            cluster.ends_with_this_process();
            Ok(config)
        };
        let server = SHARED.get_or_init(started).await.clone()?;
        // Its schema goes with the server.
        let (config, _) = schema_on(server).await;
        Ok(Self { config, place: Place::Process })
    }

    /// What the server has written to its log, if it is ours alone.
    #[must_use]
    pub fn log(&self) -> Option<String> {
        match &self.place {
            Place::Cluster(cluster) => std::fs::read_to_string(cluster.log()).ok(),
            Place::Schema(_) | Place::Process => None,
        }
    }

    /// How it is reached.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Ends the server as a crash of the program does, and starts it again. It takes a while until it answers.
    pub fn restart(&mut self) {
        match &mut self.place {
            Place::Cluster(cluster) => cluster.restart(),
            Place::Schema(_) | Place::Process => panic!("only a server of our own is restarted"),
        }
    }

    /// How a program is told to reach it.
    #[must_use]
    pub fn url(&self) -> String {
        let text = |bytes: &[u8]| {
            let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
            let one = |byte: &u8| {
                if plain(byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") }
            };
            bytes.iter().map(one).collect::<String>()
        };
        let host = match self.config.get_hosts().first().expect("it is somewhere") {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => text(path.as_os_str().as_encoded_bytes()),
        };
        let user = text(self.config.get_user().unwrap_or("postgres").as_bytes());
        let password = self.config.get_password().map(|it| format!(":{}", text(it)));
        let port = self.config.get_ports().first().map_or_else(String::new, |it| format!(":{it}"));
        let name = text(self.config.get_dbname().unwrap_or("postgres").as_bytes());
        let options =
            self.config.get_options().map(|it| format!("?options={}", text(it.as_bytes())));
        let (password, options) = (password.unwrap_or_default(), options.unwrap_or_default());
        format!("postgres://{user}{password}@{host}{port}/{name}{options}")
    }

    /// A connection. It lives as long as the test does.
    pub async fn connect(&self) -> Client {
        connect(&self.config).await.expect("the server answers")
    }
}

/// Makes a schema, and says how it is reached. Who comes that way is told apart from the others by the name of it.
async fn schema_on(server: Config) -> (Config, String) {
    let client = connect(&server).await.expect("the server answers");
    let name = "SELECT 'dsync_test_' || replace(gen_random_uuid()::text, '-', '')";
    let name: String = client.query_one(name, &[]).await.expect("a name").get(0);
    client.batch_execute(&format!("CREATE SCHEMA {name}")).await.expect("we may create schemas");
    let mut config = server;
    config.options(format!("-c search_path={name}")).application_name(&name);
    (config, name)
}

#[derive(Debug)]
#[expect(dead_code, reason = "some are held to be dropped")]
enum Place {
    Cluster(Cluster),
    Schema(Box<Schema>),
    /// On the server that ends with the process.
    Process,
}

/// A server with its files, reached by a socket among them, so that it meets no other.
#[derive(Debug)]
struct Cluster {
    server: Child,
    programs: PathBuf,
    /// Whom it runs as, if that is not who we are.
    owner: Option<(u32, u32)>,
    /// What it is started with.
    options: Vec<String>,
    folder: TempDir,
}

/// What a server is to be beside a place for tests.
enum Asked<'a> {
    Nothing,
    /// Reached from outside as well.
    Secured {
        port: u16,
        certificate: &'a str,
        key: &'a str,
    },
    Measured,
}

impl Cluster {
    fn start(programs: &Path, asked: Asked<'_>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let owner = owner_of(folder.path());
        let run = |program: &str| {
            let mut command = Command::new(programs.join(program));
            command.env_clear().current_dir(folder.path()).args(["-D", "data"]);
            if let Some((user, group)) = owner {
                command.uid(user).gid(group);
            }
            command
        };
        initialise(run("initdb"));
        let options = options(asked, owner, &folder.path().join("data"));
        let server = serve(programs, folder.path(), owner, &options);
        Self { server, programs: programs.to_owned(), owner, options, folder }
    }

    /// Ends it as a crash of the program does, and starts it again on what it has stored.
    fn restart(&mut self) {
        let quit = Command::new("kill").args(["-QUIT", &self.server.id().to_string()]).status();
        assert!(quit.expect("kill exists").success(), "SIGQUIT could not be sent");
        self.server.wait().expect("the process is ours");
        self.server = serve(&self.programs, self.folder.path(), self.owner, &self.options);
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    fn config(&self) -> Config {
        let mut config = Config::new();
        config.host_path(self.folder.path()).user("postgres").dbname("postgres");
        config
    }

    /// Leaves it to a watcher, which sees the end of this process by the end of its input, however it comes.
    fn ends_with_this_process(self) {
        let watch =
            r#"cat; kill -QUIT "$0"; while kill -0 "$0" 2>&-; do sleep 0.05; done; rm -r "$1""#;
        let mut watcher = Command::new("sh");
        watcher.args(["-c", watch, &self.server.id().to_string()]).arg(self.folder.path());
        let watcher =
            watcher.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        // Neither is to be dropped: that would end it.
        std::mem::forget((watcher.expect("a shell can be run"), self));
    }

    /// Waits until it takes connections.
    async fn listens(&mut self, config: &Config) {
        let listens = async {
            while connect(config).await.is_err() {
                if self.server.try_wait().expect("the process is ours").is_some() {
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            true
        };
        if !tokio::time::timeout(PATIENCE, listens).await.unwrap_or(false) {
            let log = std::fs::read_to_string(self.log());
            panic!("PostgreSQL does not start; it says:\n{}", log.unwrap_or_default());
        }
    }
}

/// What a server is started with. What comes later wins over what [`serve`] says.
fn options(asked: Asked<'_>, owner: Option<(u32, u32)>, data: &Path) -> Vec<String> {
    let by_socket = ["-p", PORT, "-c", "listen_addresses="].map(str::to_owned);
    match asked {
        Asked::Nothing => by_socket.into(),
        Asked::Measured => {
            let measured = MEASURED.iter().flat_map(|setting| ["-c", setting]).map(str::to_owned);
            by_socket.into_iter().chain(measured).collect()
        }
        Asked::Secured { port, certificate, key } => {
            write_for(owner, &data.join("server.crt"), certificate);
            write_for(owner, &data.join("server.key"), key);
            let port = port.to_string();
            ["-p", &port, "-c", "listen_addresses=127.0.0.1", "-c", "ssl=on"]
                .map(str::to_owned)
                .into()
        }
    }
}

/// A server on what is in this folder.
fn serve(programs: &Path, folder: &Path, owner: Option<(u32, u32)>, options: &[String]) -> Child {
    let log = File::options().create(true).append(true).open(folder.join("server.log"));
    let log = log.expect("the folder is ours");
    let mut server = Command::new(programs.join("postgres"));
    server.env_clear().current_dir(folder).args(["-D", "data"]);
    if let Some((user, group)) = owner {
        server.uid(user).gid(group);
    }
    server.arg("-k").arg(folder).args(["-c", "fsync=off", "-c", "full_page_writes=off"]);
    // Several tests at once have a dozen processes, with up to 18 connections each.
    server.args(["-c", "max_connections=400"]);
    server
        .args(options)
        .stdout(log.try_clone().expect("a file can be shared"))
        .stderr(log)
        .spawn()
        .expect("postgres can be run")
}

/// A file that nobody but the server may read, which insists on it.
fn write_for(owner: Option<(u32, u32)>, path: &Path, text: &str) {
    std::fs::write(path, text).expect("the folder is ours");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(path, private).expect("the file is ours");
    if let Some((user, group)) = owner {
        chown(path, Some(user), Some(group)).expect("root may give a file away");
    }
}

fn initialise(mut initdb: Command) {
    // The order of a language shows where a query forgot to say which order it means.
    let language = ["--locale=C", "--locale-provider=icu", "--icu-locale=en"];
    let settings = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync"];
    let made = initdb.args(settings).args(language).output().expect("initdb can be run");
    assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
}

impl Drop for Cluster {
    /// SIGQUIT ends it at once and lets it give back its shared memory, which SIGKILL would not.
    fn drop(&mut self) {
        if let Ok(None) = self.server.try_wait() {
            let _ = Command::new("kill").args(["-QUIT", &self.server.id().to_string()]).status();
            let _ = self.server.wait();
        }
    }
}

/// A schema on a server of somebody else's.
#[derive(Debug)]
struct Schema {
    server: Config,
    name: String,
}

impl Drop for Schema {
    /// The runtime of the test cannot be waited for from inside, so this takes another.
    fn drop(&mut self) {
        let (server, drop) = (self.server.clone(), format!("DROP SCHEMA {} CASCADE", self.name));
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let client = connect(&server).await.expect("the server answers");
                client.batch_execute(&drop).await.expect("the schema is ours");
            });
        });
        let _ = dropping.join();
    }
}

async fn connect(config: &Config) -> Result<Client, Error> {
    let (client, connection) = config.connect(NoTls).await?;
    #[expect(clippy::disallowed_methods, reason = "a connection ends with its client")]
    tokio::spawn(connection);
    Ok(client)
}

/// The folder of the programs: what `PATH` says, else any that Debian has.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    std::env::split_paths(&path)
        .chain(debian.map(|version| version.path().join("bin")))
        .filter(|folder| folder.join("initdb").is_file())
        .find(|folder| version(folder).is_some_and(|version| version >= VERSION_MIN))
}

/// The number in `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn version(programs: &Path) -> Option<u32> {
    let said = Command::new(programs.join("postgres")).arg("--version").output().ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    let number = said.split(' ').nth(2)?;
    number.trim_end().split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

/// PostgreSQL refuses to run as root: then the folder goes to the user that its package makes, and it runs as that.
fn owner_of(folder: &Path) -> Option<(u32, u32)> {
    let made_by = folder.metadata().expect("it was just made").uid();
    if made_by != 0 {
        return None;
    }
    let id = |which: &str| {
        let found = Command::new("id").args([which, "postgres"]).output().expect("id exists");
        let text = String::from_utf8_lossy(&found.stdout).trim().parse();
        text.expect("root needs a user `postgres` to run PostgreSQL as")
    };
    let (user, group) = (id("-u"), id("-g"));
    chown(folder, Some(user), Some(group)).expect("root may give a folder away");
    Some((user, group))
}
