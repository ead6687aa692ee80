//! What lies in `deploy/`, held against the program: images are not built here, but names, ports, settings and
//! metrics have to agree, and the binary has to run with nothing around it.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tests::server;

mod compose;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is around it")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A YAML file as JSON, as PyYAML reads it; none where the machine has no Python tools.
fn yaml(path: &str) -> Option<Value> {
    const SCRIPT: &str = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))";
    let Some(folder) = std::env::var_os("DSYNC_TEST_PYTHON") else {
        eprintln!("SKIPPED: DSYNC_TEST_PYTHON names no folder; ./test sets it up");
        return None;
    };
    let file = std::fs::File::open(root().join(path)).expect(path);
    let mut python = Command::new(PathBuf::from(folder).join("python"));
    let output = python.args(["-c", SCRIPT]).stdin(file).output().expect("python runs");
    assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).expect("it printed JSON"))
}

/// All words of a text that a pattern of one prefix and identifier letters finds.
fn words<'a>(text: &'a str, before: &str) -> BTreeSet<&'a str> {
    let ends = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    text.split(before)
        .skip(1)
        .filter_map(|rest| rest.split(ends).next())
        .filter(|word| !word.is_empty())
        .collect()
}

fn sources() -> String {
    let crates = ["ingest", "projector", "dispatcher", "store", "api", "console", "log", "server"];
    let mut folders: Vec<PathBuf> =
        crates.iter().map(|name| root().join(name).join("src")).collect();
    let mut all = String::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of sources").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                all += &std::fs::read_to_string(&path).expect("a source");
            }
        }
    }
    all
}

/// What the code records: the first argument of the macros of `metrics`, and of the dispatcher's `gauge`.
fn recorded(sources: &str) -> BTreeSet<String> {
    let kinds = ["counter!(", "histogram!(", "gauge!(", "gauge("];
    let found = kinds.iter().flat_map(|kind| {
        sources.split(kind).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'))
    });
    found.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

fn without_parts(name: &str) -> &str {
    let parts = ["_bucket", "_sum", "_count"];
    parts.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name)
}

/// Every metric that an expression of Prometheus asks for.
fn asked(text: &str) -> BTreeSet<String> {
    let areas = ["http_", "ingest_", "log_", "projector_", "dispatcher_"];
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c: char| !is_word(c))
        .filter(|word| areas.iter().any(|area| word.starts_with(area)))
        .map(|word| without_parts(word).to_owned())
        .collect()
}

#[test]
fn the_page_of_metrics_lists_what_the_code_records_and_nothing_else() {
    let recorded = recorded(&sources());
    assert!(recorded.len() > 10, "{recorded:?}");
    let page = read("docs/metrics.md");
    let listed: BTreeSet<String> = words(&page, "\n| `").into_iter().map(str::to_owned).collect();
    assert_eq!(listed, recorded);
}

#[test]
fn dashboard_and_alerts_ask_for_metrics_that_there_are() {
    let recorded = recorded(&sources());
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/dashboards/dsync.json"))
        .expect("the dashboard is JSON");
    let panels = dashboard["panels"].as_array().expect("it has panels");
    let expressions = panels.iter().flat_map(|panel| panel["targets"].as_array()).flatten();
    let drawn: BTreeSet<String> = expressions
        .flat_map(|target| asked(target["expr"].as_str().expect("a target has an expression")))
        .collect();
    assert_eq!(drawn, recorded, "the dashboard draws all there is");
    let Some(alerts) = yaml("deploy/alerts.yml") else { return };
    for rule in alerts["groups"][0]["rules"].as_array().expect("there are rules") {
        let asked = asked(rule["expr"].as_str().expect("a rule has an expression"));
        assert!(asked.is_subset(&recorded), "{rule}");
    }
}

#[test]
fn settings_in_the_files_are_settings_of_the_program() {
    let folder = tempfile::tempdir().expect("a folder");
    let known = server::command(folder.path()).args(["config", "env"]).output().expect("it runs");
    let known = String::from_utf8(known.stdout).expect("text");
    let known: BTreeSet<&str> = known.lines().filter(|line| line.starts_with("DSYNC_")).collect();
    for file in
        ["compose.yaml", "compose.single.yaml", "dsync.env.example", "Dockerfile", "dsync.service"]
    {
        let text = read(&format!("deploy/{file}"));
        for name in words(&text, "DSYNC_") {
            assert!(known.contains(format!("DSYNC_{name}").as_str()), "{file}: DSYNC_{name}");
        }
    }
}

#[test]
fn the_image_is_built_from_every_crate_with_the_right_compiler() {
    let manifest = read("Cargo.toml");
    let dockerfile = read("deploy/Dockerfile");
    let version =
        manifest.split("rust-version = \"").nth(1).and_then(|rest| rest.split('"').next());
    let version = version.expect("the manifest has a rust-version");
    assert!(dockerfile.contains(&format!("FROM rust:{version}-")), "rust {version}");
    assert!(dockerfile.contains("\nUSER 10001"), "it does not run as root");
    let let_in = read("deploy/Dockerfile.dockerignore");
    let members = manifest.split("members = [").nth(1).and_then(|rest| rest.split(']').next());
    for member in members.expect("members").split('"').skip(1).step_by(2) {
        let top = member.split('/').next().expect("a folder");
        assert!(let_in.lines().any(|line| line == format!("!{top}")), "{member} is kept out");
    }
}

/// The libraries that a program is linked with, and what loads them.
fn libraries(binary: &Path) -> Vec<PathBuf> {
    let listed = Command::new("ldd").arg(binary).output().expect("ldd runs");
    let listed = String::from_utf8(listed.stdout).expect("text");
    let paths = listed.split_whitespace().filter(|word| word.starts_with('/'));
    paths.map(PathBuf::from).collect()
}

/// What a stage of the Dockerfile installs.
fn installed(stage: &str) -> BTreeSet<&str> {
    let words = stage.split("--no-install-recommends ").nth(1).expect("it installs something");
    words.split_whitespace().take_while(|word| *word != "\\").collect()
}

#[test]
fn the_image_has_the_libraries_of_the_binary_and_what_builds_them() {
    let dockerfile = read("deploy/Dockerfile");
    let stages: Vec<&str> = dockerfile.split("\nFROM ").skip(1).collect();
    let [build, run] = stages[..] else { panic!("two stages") };
    // The configuration of librdkafka ends where there is no C++ compiler, and the slim image of Rust has none.
    for package in ["g++", "make", "pkg-config", "libssl-dev"] {
        assert!(installed(build).contains(package), "{package}");
    }
    let run = installed(run);
    for library in libraries(&server::binary("dsync")) {
        let name = library.file_name().expect("a file").to_string_lossy().into_owned();
        let package = match name.split(".so").next().expect("a name") {
            "libssl" | "libcrypto" => "libssl3t64",
            // Every Debian has these: its package manager uses them.
            "libc" | "libm" | "libgcc_s" | "libz" | "ld-linux-x86-64" | "ld-linux-aarch64" => {
                continue;
            }
            _ => panic!("which package has {name}?"),
        };
        assert!(run.contains(package), "{name} is in {package}");
    }
    assert!(run.contains("ca-certificates"), "roots of the system");
}

#[test]
fn the_binary_runs_in_an_empty_root_with_only_its_libraries() {
    let root = tempfile::tempdir().expect("a folder");
    let binary = server::binary("dsync");
    for file in libraries(&binary) {
        let copy = root.path().join(file.strip_prefix("/").expect("it is absolute"));
        std::fs::create_dir_all(copy.parent().expect("it has a folder")).expect("it can be made");
        std::fs::copy(&file, &copy).expect("a library can be copied");
    }
    std::fs::copy(&binary, root.path().join("dsync")).expect("the binary can be copied");
    let ours = std::os::unix::fs::MetadataExt::uid(&root.path().metadata().expect("it is there"));
    let mut command = if ours == 0 {
        Command::new("chroot")
    } else {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "chroot"]);
        command
    };
    let mut child = command
        .arg(root.path())
        .args(["/dsync", "serve", "--listen", "127.0.0.1:0", "--data-dir", "/data"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("chroot is there");
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let base = lines.map_while(Result::ok).find(|line| line.starts_with("dsync listening on http"));
    let _ = child.kill();
    let said = child.wait_with_output().expect("it is ours");
    assert!(base.is_some(), "{}", String::from_utf8_lossy(&said.stderr));
}
