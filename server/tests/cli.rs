//! The binary as a person at a shell meets it.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// Runs `dsync` in an empty directory of its own, with nothing of ours in its environment.
struct Shell {
    directory: TempDir,
}

struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Shell {
    fn new() -> Self {
        Self { directory: TempDir::new().expect("there is room for a directory") }
    }

    fn with_file(text: &str) -> Self {
        let shell = Self::new();
        std::fs::write(shell.path().join("dsync.toml"), text).expect("the directory is ours");
        shell
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn run(&self, arguments: &str) -> Said {
        self.run_with(arguments, &[])
    }

    fn run_with(&self, arguments: &str, variables: &[(&str, &str)]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dsync"));
        command.current_dir(self.path()).args(arguments.split_whitespace());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("DSYNC_") {
                command.env_remove(name);
            }
        }
        command.envs(variables.iter().copied());
        let Output { status, stdout, stderr } = command.output().expect("the binary was built");
        let text = |bytes| String::from_utf8(bytes).expect("it speaks UTF-8");
        Said { code: status.code(), out: text(stdout), err: text(stderr) }
    }
}

/// The line that starts with this word, its columns apart by one space.
fn line(text: &str, word: &str) -> String {
    let found = text.lines().find(|line| line.split_whitespace().next() == Some(word));
    let found = found.unwrap_or_else(|| panic!("no line starts with {word}:\n{text}"));
    found.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn config_print_shows_each_value_with_its_source_and_no_secret() {
    let shell = Shell::with_file("allow_http = true\n\n# the key\napi_key = 'sk_hunter2'\n");
    let variables = [("DSYNC_DATA_DIR", "/srv/dsync"), ("DSYNC_CONSOLE_PASSWORD", "hunter2")];
    let said = shell.run_with("config print --listen 0.0.0.0:0", &variables);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(line(&said.out, "listen"), "listen 0.0.0.0:0 flag --listen");
    assert_eq!(line(&said.out, "data_dir"), "data_dir /srv/dsync environment DSYNC_DATA_DIR");
    assert_eq!(line(&said.out, "allow_http"), "allow_http true dsync.toml line 1");
    assert_eq!(line(&said.out, "api_key"), "api_key *** dsync.toml line 4");
    assert_eq!(line(&said.out, "store"), "store embedded default");
    assert_eq!(line(&said.out, "public_url"), "public_url (http://{listen}) default");
    assert!(!said.out.contains("hunter2"));
}

#[test]
fn config_print_is_json_for_programs() {
    let said = Shell::new().run("config print --json --api-key sk_hunter2");
    let printed: serde_json::Value = serde_json::from_str(&said.out).expect("it is JSON");
    assert_eq!(printed["listen"]["value"], "127.0.0.1:8080");
    assert_eq!(printed["api_key"]["value"], "***");
    assert_eq!(printed["api_key"]["source"], "flag --api-key");
    assert_eq!(printed["master_key"]["value"], serde_json::Value::Null);
}

#[test]
fn config_env_lists_every_setting() {
    let said = Shell::new().run("config env");
    let names = "LISTEN DATA_DIR PUBLIC_URL TRUSTED_PROXIES LOG KAFKA_PARTITIONS KAFKA_COPIES STORE STORE_CONNECTIONS API_KEY CONSOLE_PASSWORD CONSOLE_AUDITOR_PASSWORD \
        CONSOLE_PASSWORD_SIGN_IN CONSOLE_OIDC_ISSUER CONSOLE_OIDC_CLIENT_ID CONSOLE_OIDC_CLIENT_SECRET \
        CONSOLE_OIDC_ADMINS CONSOLE_OIDC_AUDITORS \
        ALLOW_PRIVATE_ENDPOINTS ALLOW_HTTP ALLOW_ENDPOINT_NETWORKS KAFKA_ENDPOINTS EGRESS_PROXY EGRESS_PROXY_NAMES EXTRA_CA \
        WEBHOOK_TIMEOUT RETRY_SCHEDULE INACTIVE_USERS EMPTIED_FIELDS BRAKE ATTEMPTS_KEPT ATTEMPTS_KEPT_FOR SCIM_RATE_LIMIT API_RATE_LIMIT \
        MASTER_KEY LOG_FORMAT LOG_LEVEL";
    let expected: Vec<String> =
        names.split_whitespace().map(|name| format!("DSYNC_{name}")).collect();
    let listed: Vec<&str> = said.out.lines().filter(|line| line.starts_with("DSYNC_")).collect();
    assert_eq!(listed, expected);
    assert!(said.out.contains("Default: 5s,30s,2m,10m,30m,1h,3h,6h,12h,24h,24h"));
    assert!(said.out.contains("Key in the file: data_dir. Flag: --data-dir."));
}

#[test]
fn an_unknown_key_in_the_file_names_the_nearest_known_one() {
    let said = Shell::with_file("listen = '127.0.0.1:0'\nretry_shedule = '1s'\n").run("serve");
    assert_eq!(said.code, Some(2));
    assert_eq!(
        said.err,
        "error: DSYNC-002: unknown setting retry_shedule (dsync.toml line 2), \
         did you mean retry_schedule?\n"
    );
}

#[test]
fn an_unknown_variable_names_the_nearest_known_one() {
    let said = Shell::new().run_with("config print", &[("DSYNC_APIKEY", "sk_1")]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("DSYNC_APIKEY") && said.err.contains("did you mean DSYNC_API_KEY?"));
    assert!(!said.err.contains("sk_1") && said.out.is_empty());
}

#[test]
fn an_unknown_flag_names_the_nearest_known_one() {
    let said = Shell::new().run("serve --data-dri x");
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("--data-dri") && said.err.contains("'--data-dir'"), "{}", said.err);
}

#[test]
fn a_wrong_value_says_which_setting_where_and_what_would_be_right() {
    let said = Shell::new().run_with("serve --listen 8080", &[("DSYNC_ALLOW_HTTP", "perhaps")]);
    assert_eq!(said.code, Some(2));
    assert_eq!(
        said.err,
        "error: listen (flag --listen): \"8080\" is not an address with a port; \
         expected an address and a port such as 127.0.0.1:8080\n\
         allow_http (environment DSYNC_ALLOW_HTTP): \"perhaps\" is neither of the two; \
         expected true or false\n"
    );
}

#[test]
fn a_file_that_was_named_must_exist() {
    let said = Shell::new().run("config print --config elsewhere.toml");
    assert_eq!(said.code, Some(2));
    assert!(said.err.starts_with("error: elsewhere.toml: "), "{}", said.err);
}

#[test]
fn a_file_that_is_no_toml_is_refused_without_quoting_it() {
    let said = Shell::with_file("log_level = 'info'\napi_key = sk_hunter2\n").run("config print");
    assert_eq!(said.code, Some(2));
    assert!(said.err.starts_with("error: dsync.toml line 2: not valid TOML"), "{}", said.err);
    assert!(!said.err.contains("hunter2"));
}

// With Kafka it waits for brokers, which is a test of the log's.
#[cfg(not(feature = "kafka"))]
#[test]
fn a_build_without_kafka_says_how_to_get_it() {
    let said = Shell::new().run("serve --log kafka://127.0.0.1:1/dsync");
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert!(said.err.contains("build dsync with `--features kafka`"), "{}", said.err);
}

#[test]
fn a_store_on_a_server_needs_the_master_key_and_never_shows_a_password() {
    let said = Shell::new().run("serve --store postgres://me:pw@127.0.0.1:1/dsync");
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(said.err.contains("needs a master key"), "{}", said.err);
    assert!(!said.err.contains("pw@"), "{}", said.err);
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let variables = [("DSYNC_MASTER_KEY", key)];
    let said =
        Shell::new().run_with("serve --store postgres://me:pw@127.0.0.1:1/dsync", &variables);
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(said.err.contains("127.0.0.1:1") && !said.err.contains("pw@"), "{}", said.err);
}

#[test]
fn a_command_without_a_server_asks_after_it() {
    // Port 1 needs privileges to listen on, and nothing does.
    let said = Shell::new().run("org create Acme --listen 127.0.0.1:1");
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("cannot connect to http://127.0.0.1:1"), "{}", said.err);
    assert!(said.err.contains("is `dsync serve` running?"), "{}", said.err);
}

#[test]
fn help_shows_what_matters_to_each_command() {
    let shell = Shell::new();
    let top = shell.run("--help");
    assert_eq!(top.code, Some(0));
    assert!(top.out.starts_with("Directory sync: SCIM in"), "{}", top.out);
    let commands = "serve demo verify rebuild config org directory endpoint key user group events event \
        audit signing-key";
    for command in commands.split_whitespace() {
        line(&top.out, command);
    }
    assert!(!top.out.contains("--listen") && top.out.contains("dsync config env"), "{}", top.out);

    let serve = shell.run("serve --help").out;
    assert!(serve.contains("--role <ROLES>") && serve.contains("--data-dir <VALUE>"), "{serve}");
    assert!(serve.contains("[env: DSYNC_MASTER_KEY]"), "{serve}");

    let client = shell.run("directory create --help").out;
    assert!(client.contains("--api-key") && client.contains("azure scim v2.0"), "{client}");
    assert!(!client.contains("--retry-schedule"), "{client}");
}

#[test]
fn the_version_is_the_one_of_the_package() {
    let said = Shell::new().run("--version");
    assert_eq!(said.out, format!("dsync {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn nothing_at_all_is_a_wrong_command_line() {
    assert_eq!(Shell::new().run("").code, Some(2));
    assert_eq!(Shell::new().run("directory create --name N").code, Some(2));
}
