//! The dependency table of the architecture, held against what the manifests say.
//!
//! Only normal and build dependencies count: a crate's own tests may borrow from anywhere. Features are read from the
//! manifest of the crate that asks for them, since a build of the whole workspace shows the union of all wishes.

use std::collections::BTreeSet;

use cargo_metadata::{Dependency, DependencyKind, MetadataCommand, Package};

/// Which of our crates a crate may depend on.
enum May {
    /// Those and no others.
    Only(&'static [&'static str]),
    /// Every crate of the product, since it wires them, or looks at them from outside.
    Everything,
}

/// The table: one row for each crate of the workspace.
const CRATES: &[(&str, May)] = &[
    ("schemas", May::Only(&[])),
    ("directory", May::Only(&["schemas"])),
    ("dsync-log", May::Only(&["schemas"])),
    ("ingest", May::Only(&["schemas", "directory", "dsync-log"])),
    ("projector", May::Only(&["schemas", "directory", "dsync-log"])),
    ("dispatcher", May::Only(&["schemas"])),
    ("api", May::Only(&["schemas", "directory"])),
    ("console", May::Only(&["schemas", "directory", "api"])),
    (
        "store",
        May::Only(&[
            "schemas",
            "directory",
            "dsync-log",
            "ingest",
            "projector",
            "dispatcher",
            "api",
            "console",
        ]),
    ),
    ("server", May::Everything),
    ("tests", May::Everything),
    ("fuzz", May::Everything),
    ("bench", May::Everything),
    ("examples", May::Only(&[])),
];

/// Crates that stand outside the product: nothing may depend on them.
const OUTSIDE: &[&str] = &["tests", "fuzz", "bench", "examples"];

/// But for the benches, which start the brokers and databases of the tests, and stand outside as they do.
const BESIDE: (&str, &str) = ("bench", "tests");

/// A crate that touches the world, and who of ours may hold it.
struct Driver {
    name: &'static str,
    why: &'static str,
    holders: &'static [&'static str],
}

const EVERY_ROLE: &[&str] = &[
    "dsync-log",
    "ingest",
    "projector",
    "dispatcher",
    "api",
    "console",
    "store",
    "server",
    "tests",
    "fuzz",
    "bench",
];
const EDGE: &[&str] = &["server", "tests", "fuzz", "bench"];
const CHANCE: &str = "chance comes in from the edge";
const CLOCK: &str = "time comes in from the edge";

const DRIVERS: &[Driver] = &[
    Driver {
        name: "rusqlite",
        why: "SQL lives behind the ports",
        // The tests are somebody with a shell who edits the log.
        holders: &["dsync-log", "store", "bench", "tests"],
    },
    Driver {
        name: "tokio-postgres",
        why: "SQL lives behind the ports",
        holders: &["store", "bench", "tests"],
    },
    Driver { name: "deadpool-postgres", why: "SQL lives behind the ports", holders: &["store"] },
    Driver {
        name: "rdkafka",
        why: "the broker lives behind the log's port",
        holders: &["dsync-log", "bench", "tests", "examples"],
    },
    Driver {
        name: "reqwest",
        why: "the server calls its own provider and, as the command line, itself; webhooks leave by a connector of our own",
        holders: &["server", "bench", "tests"],
    },
    Driver {
        name: "axum",
        why: "only what answers HTTP knows HTTP servers",
        holders: &["ingest", "api", "console", "server", "bench", "tests", "fuzz"],
    },
    Driver {
        name: "ring",
        why: "one role signs, with a key that the edge drew; the server checks what its provider has signed",
        holders: &["dispatcher", "server"],
    },
    Driver { name: "tokio", why: "the vocabulary and the rules are pure", holders: EVERY_ROLE },
    Driver {
        name: "tokio-util",
        why: "the vocabulary and the rules are pure",
        holders: EVERY_ROLE,
    },
    Driver { name: "getrandom", why: CHANCE, holders: EDGE },
    Driver { name: "rand", why: CHANCE, holders: EDGE },
    Driver { name: "rand_core", why: CHANCE, holders: EDGE },
    Driver { name: "fastrand", why: CHANCE, holders: EDGE },
    Driver { name: "chrono", why: CLOCK, holders: &[] },
    Driver { name: "time", why: CLOCK, holders: &[] },
];

/// Features that bring a clock or dice into a crate that is harmless without them. `default` stands for the default
/// features.
const EDGE_FEATURES: &[(&str, &[&str])] = &[
    ("jiff", &["default", "std", "tz-system"]),
    ("ulid", &["default", "std"]),
    ("uuid", &["v1", "v4", "v6", "v7"]),
];

#[test]
fn every_edge_between_crates_is_in_the_table() {
    let manifests = manifests_of_the_workspace();
    let offences = offences(&manifests);
    assert!(offences.is_empty(), "against the architecture:\n  {}", offences.join("\n  "));
}

#[test]
fn the_table_names_exactly_the_crates_there_are() {
    let real: BTreeSet<String> =
        manifests_of_the_workspace().into_iter().map(|manifest| manifest.name).collect();
    let table: BTreeSet<String> = CRATES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(real, table, "a crate came or went: give it a row in CRATES, or take its row away");
}

#[test]
fn a_forged_edge_is_named() {
    let forged = [
        (manifest("dispatcher", &["schemas", "store"]), "dispatcher -> store"),
        (manifest("schemas", &["directory"]), "schemas -> directory"),
        (manifest("directory", &["schemas", "tokio"]), "directory -> tokio"),
        (manifest("ingest", &["rusqlite"]), "ingest -> rusqlite"),
        (manifest("api", &["reqwest"]), "api -> reqwest"),
        (manifest("store", &["ring"]), "store -> ring"),
        (manifest("server", &["bench"]), "server -> bench"),
        (manifest("newcomer", &["schemas"]), "newcomer"),
    ];
    for (manifest, expected) in forged {
        let found = offences(std::slice::from_ref(&manifest));
        assert_eq!(found.len(), 1, "{expected}: {found:?}");
        assert!(found[0].contains(expected), "{expected} is not named in: {}", found[0]);
    }
}

#[test]
fn a_clock_that_comes_as_a_feature_is_named() {
    let mut directory = manifest("directory", &["jiff"]);
    assert!(offences(std::slice::from_ref(&directory)).is_empty());

    directory.edges[0].features.insert("std".to_owned());
    let found = offences(&[directory]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("directory -> jiff/std"), "{}", found[0]);
}

#[test]
fn a_stranger_with_the_name_of_one_of_ours_is_no_offence() {
    let mut ingest = manifest("ingest", &["console"]);
    assert_eq!(offences(std::slice::from_ref(&ingest)).len(), 1);

    ingest.edges[0].ours = false;
    assert_eq!(offences(&[ingest]), Vec::<String>::new());
}

#[test]
fn what_the_table_allows_is_no_offence() {
    let allowed = [
        manifest("server", &["store", "console", "getrandom", "reqwest"]),
        manifest("store", &["api", "ingest", "rusqlite", "tokio"]),
        manifest("schemas", &["serde", "uuid"]),
        manifest("bench", &["tests"]),
    ];
    assert_eq!(offences(&allowed), Vec::<String>::new());
}

/// What a crate asks for.
struct Manifest {
    name: String,
    edges: Vec<Edge>,
}

/// One dependency of a crate.
struct Edge {
    to: String,
    /// Taken by path, so of this workspace. Names alone do not tell: crates.io has a `console` too.
    ours: bool,
    features: BTreeSet<String>,
}

/// Everything in `manifests` that the tables above do not allow, one sentence each.
fn offences(manifests: &[Manifest]) -> Vec<String> {
    manifests.iter().flat_map(offences_of).collect()
}

fn offences_of(manifest: &Manifest) -> Vec<String> {
    let from = manifest.name.as_str();
    let Some((_, may)) = CRATES.iter().find(|(name, _)| *name == from) else {
        return vec![format!("{from} has no row in CRATES")];
    };
    manifest
        .edges
        .iter()
        .flat_map(|edge| {
            [own_edge(from, may, edge), driver_edge(from, &edge.to), feature_edge(from, edge)]
        })
        .flatten()
        .collect()
}

fn own_edge(from: &str, may: &May, Edge { to, ours, .. }: &Edge) -> Option<String> {
    let allowed = match may {
        May::Only(list) => list.contains(&to.as_str()),
        May::Everything => !OUTSIDE.contains(&to.as_str()) || (from, to.as_str()) == BESIDE,
    };
    (*ours && !allowed).then(|| format!("{from} -> {to}: the table of crates has no such edge"))
}

fn driver_edge(from: &str, to: &str) -> Option<String> {
    let driver = DRIVERS.iter().find(|driver| driver.name == to)?;
    let held = driver.holders.contains(&from);
    (!held).then(|| format!("{from} -> {to}: {}; allowed in {:?}", driver.why, driver.holders))
}

fn feature_edge(from: &str, Edge { to, features, .. }: &Edge) -> Option<String> {
    let (_, at_the_edge) = EDGE_FEATURES.iter().find(|(name, _)| name == to)?;
    let feature = at_the_edge.iter().find(|feature| features.contains(**feature))?;
    (!EDGE.contains(&from))
        .then(|| format!("{from} -> {to}/{feature}: time and chance come in from the edge"))
}

fn manifests_of_the_workspace() -> Vec<Manifest> {
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo describes the workspace that it is testing");
    metadata.packages.iter().map(read_manifest).collect()
}

fn read_manifest(package: &Package) -> Manifest {
    let counting = package.dependencies.iter().filter(|dependency| counts(dependency));
    Manifest { name: package.name.to_string(), edges: counting.map(read_edge).collect() }
}

fn counts(dependency: &Dependency) -> bool {
    matches!(dependency.kind, DependencyKind::Normal | DependencyKind::Build)
}

fn read_edge(dependency: &Dependency) -> Edge {
    let mut features: BTreeSet<String> = dependency.features.iter().cloned().collect();
    if dependency.uses_default_features {
        features.insert("default".to_owned());
    }
    Edge { to: dependency.name.clone(), ours: dependency.path.is_some(), features }
}

/// A forged manifest that asks for `edges`, taking ours by path, and for no feature of any.
fn manifest(name: &str, edges: &[&str]) -> Manifest {
    let forge = |to: &&str| Edge {
        to: (*to).to_owned(),
        ours: CRATES.iter().any(|(name, _)| name == to),
        features: BTreeSet::new(),
    };
    Manifest { name: name.to_owned(), edges: edges.iter().map(forge).collect() }
}
