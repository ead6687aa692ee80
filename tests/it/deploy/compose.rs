//! The files for Docker Compose and what they mount, held against each other, the images and the program.

use serde_json::Value;
use tests::server;

use super::{read, root, words, yaml};

#[test]
fn the_services_of_the_cluster_find_each_other() {
    let Some(compose) = yaml("deploy/compose.yaml") else { return };
    let services = compose["services"].as_object().expect("it has services");
    for role in ["ingest", "projector", "dispatcher", "api"] {
        let service = &services[role];
        assert_eq!(service["command"][2], role, "each role has a service of its name");
        assert_eq!(service["deploy"]["replicas"], 2, "{role}");
        assert_eq!(service["environment"]["DSYNC_LISTEN"], "0.0.0.0:8080", "{role}");
        let log = service["environment"]["DSYNC_LOG"].as_str().expect("a log");
        assert!(log.starts_with("kafka://kafka:9092/"), "{role}: {log}");
    }
    let scraped = yaml("deploy/prometheus.yml").expect("PyYAML is there");
    let scraped = &scraped["scrape_configs"][0]["dns_sd_configs"][0];
    assert_eq!(scraped["port"], 8080);
    for name in scraped["names"].as_array().expect("names") {
        assert!(services.contains_key(name.as_str().expect("a name")), "{name}");
    }
    let caddy = read("deploy/Caddyfile");
    for upstream in words(&caddy, "dynamic a ") {
        assert!(services.contains_key(upstream), "{upstream}");
        assert!(caddy.contains(&format!("dynamic a {upstream} 8080")), "{upstream}");
    }
    assert_eq!(services["ingest"]["environment"]["DSYNC_KAFKA_COPIES"], 1, "there is one broker");
    for (name, service) in services {
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let source = volume.as_str().and_then(|text| text.split(':').next()).expect("a source");
            let there = match source.strip_prefix("./") {
                Some(file) => root().join("deploy").join(file).exists(),
                None => compose["volumes"].get(source).is_some(),
            };
            assert!(there, "{name}: {source}");
        }
    }
}

/// The settings of a service, with what the environment file says.
fn environment(compose: &Value, service: &str, file: &[(&str, &str)]) -> Vec<(String, String)> {
    let given = |name: &str| file.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    let filled = |text: &str| match text.split_once("${") {
        Some((before, rest)) => {
            let (name, after) = rest.split_once('}').expect("a brace is closed");
            let name = name.split(':').next().expect("a name");
            format!("{before}{}{after}", given(name).expect(name))
        }
        None => text.to_owned(),
    };
    let service = &compose["services"][service];
    let named = file.iter().filter(|_| service["env_file"] == "dsync.env");
    let named = named.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let set = service["environment"].as_object().expect("it has settings").iter();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    named.chain(set.map(|(name, value)| (name.clone(), filled(&text(value))))).collect()
}

/// What the program makes of these settings.
fn configured(environment: Vec<(String, String)>) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = server::command(folder.path());
    let environment = environment.into_iter().filter(|(name, _)| name.starts_with("DSYNC_"));
    let said = command.args(["config", "print", "--json"]).envs(environment).output();
    let said = said.expect("it runs");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    serde_json::from_slice(&said.stdout).expect("JSON")
}

#[test]
fn the_file_of_settings_that_was_filled_in_suits_one_machine_and_the_cluster() {
    let example = read("deploy/dsync.env.example");
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let filled: Vec<(&str, &str)> = example
        .lines()
        .filter_map(|line| line.split_once('=').filter(|_| !line.starts_with('#')))
        .map(|(name, value)| match name {
            "DSYNC_MASTER_KEY" => (name, key),
            "POSTGRES_PASSWORD" => (name, "s3cret"),
            _ => (name, value),
        })
        .collect();
    assert!(filled.len() > 3, "{filled:?}");
    let Some(single) = yaml("deploy/compose.single.yaml") else { return };
    let one = configured(environment(&single, "dsync", &filled));
    assert_eq!(
        (&one["log"]["value"], &one["store"]["value"]),
        (&"embedded".into(), &"embedded".into())
    );
    // Also where somebody has run the cluster before.
    let both = [&filled[..], &[("DSYNC_STORE", "postgres://dsync:s3cret@postgres/dsync")]].concat();
    assert_eq!(configured(environment(&single, "dsync", &both))["store"]["value"], "embedded");

    let cluster = yaml("deploy/compose.yaml").expect("PyYAML is there");
    for role in ["ingest", "projector", "dispatcher", "api"] {
        let settings = environment(&cluster, role, &filled);
        let store = settings.iter().find(|(name, _)| name == "DSYNC_STORE").expect("a store");
        assert_eq!(store.1, "postgres://dsync:s3cret@postgres/dsync");
        let shown = configured(settings);
        assert_eq!(shown["store"]["value"], "postgres://dsync:***@postgres/dsync", "{role}");
        assert_eq!(shown["kafka_partitions"]["value"], "16", "{role}");
    }
    let database = environment(&cluster, "postgres", &filled);
    assert!(database.contains(&("POSTGRES_PASSWORD".to_owned(), "s3cret".to_owned())));
    let told = database.iter().any(|(name, _)| name.starts_with("DSYNC_"));
    assert!(!told, "the database is given no secrets of ours");
}

/// The name of an image and the first number of its version.
fn image(service: &Value) -> (&str, u32) {
    let image = service["image"].as_str().expect("an image");
    let (name, version) = image.split_once(':').expect("a version");
    let number = version.trim_start_matches('v').split(['.', '-']).next().expect("a number");
    (name, number.parse().expect(image))
}

#[test]
fn volumes_lie_where_the_images_keep_what_they_store() {
    let Some(compose) = yaml("deploy/compose.yaml") else { return };
    let services = &compose["services"];
    let is_mounted = |service: &str, volume: &str| {
        let mounted = services[service]["volumes"].as_array().expect("volumes");
        assert!(
            mounted.contains(&Value::from(volume)),
            "{service}: {volume} is not in {mounted:?}"
        );
    };
    let (name, version) = image(&services["postgres"]);
    assert_eq!(name, "postgres");
    // From 18 on the image keeps each version in a folder of its own, and a volume further down is not used.
    let data = if version < 18 {
        "postgres:/var/lib/postgresql/data"
    } else {
        "postgres:/var/lib/postgresql"
    };
    is_mounted("postgres", data);
    let data = services["kafka"]["environment"]["KAFKA_LOG_DIRS"].as_str().expect("a folder");
    is_mounted("kafka", &format!("kafka:{data}"));
    // Its user may write there: the image gives it this folder.
    assert_eq!((image(&services["kafka"]).0, data), ("apache/kafka", "/var/lib/kafka/data"));
    let says = services["prometheus"]["command"].as_array().expect("arguments");
    assert!(says.contains(&"--storage.tsdb.path=/prometheus".into()), "{says:?}");
    is_mounted("prometheus", "prometheus:/prometheus");
    is_mounted("grafana", "grafana:/var/lib/grafana");
}

#[test]
fn whoever_is_waited_for_says_that_it_is_ready_with_a_program_of_its_image() {
    let Some(compose) = yaml("deploy/compose.yaml") else { return };
    let services = compose["services"].as_object().expect("it has services");
    for (name, service) in services {
        let waits = service["depends_on"].as_object().into_iter().flatten();
        for (other, condition) in waits.filter(|(_, waits)| waits["condition"] == "service_healthy")
        {
            let check = &services[other]["healthcheck"]["test"];
            assert_eq!(condition["condition"], "service_healthy");
            let program = check[1].as_str().unwrap_or_else(|| panic!("{name} waits for {other}"));
            let known = match image(&services[other]).0 {
                "apache/kafka" => "bash",
                "postgres" => "pg_isready",
                other => panic!("what is in {other}?"),
            };
            assert_eq!((&check[0], program), (&"CMD".into(), known), "{other}");
        }
    }
    let check = services["postgres"]["healthcheck"]["test"].as_array().expect("a check");
    let by_address = check.windows(2).any(|pair| pair == ["--host", "127.0.0.1"]);
    assert!(by_address, "the server that sets up a volume answers at its socket: {check:?}");
    let check = services["kafka"]["healthcheck"]["test"][3].as_str().expect("a script");
    assert!(check.ends_with("/9092"), "{check}");
    let listens = services["kafka"]["environment"]["KAFKA_LISTENERS"].as_str().expect("it listens");
    assert!(listens.starts_with("PLAINTEXT://:9092,"), "{listens}");
}

#[test]
fn one_broker_is_asked_for_one_copy_and_the_database_has_a_connection_for_each_process() {
    let Some(compose) = yaml("deploy/compose.yaml") else { return };
    let services = compose["services"].as_object().expect("it has services");
    let broker = services["kafka"]["environment"].as_object().expect("settings");
    let copies = |name: &str| name.ends_with("_REPLICATION_FACTOR") || name.ends_with("_MIN_ISR");
    let copies: Vec<_> = broker.iter().filter(|(name, _)| copies(name)).collect();
    assert_eq!(copies.len(), 3, "offsets, transactions, and how many of these are in sync");
    assert!(copies.iter().all(|(_, count)| **count == 1), "{copies:?}");
    assert!(!broker.contains_key("KAFKA_MIN_INSYNC_REPLICAS"), "the topic says it itself");

    let folder = tempfile::tempdir().expect("a folder");
    let print = server::command(folder.path()).args(["config", "print", "--json"]).output();
    let settings: Value = serde_json::from_slice(&print.expect("it runs").stdout).expect("JSON");
    let each = settings["store_connections"]["value"].as_str().expect("a number");
    // Beside those of the pool two that listen, and one process more of each role while it is replaced.
    let each = each.parse::<u64>().expect("a number") + 2;
    let roles = services.values().filter_map(|service| service["deploy"]["replicas"].as_u64());
    let most = roles.map(|replicas| (replicas + 1) * each).sum::<u64>();
    let says = services["postgres"]["command"].as_array().expect("arguments");
    let allowed = says.iter().find_map(|word| word.as_str()?.strip_prefix("max_connections="));
    let allowed: u64 = allowed.expect("it says how many").parse().expect("a number");
    assert!(most + 10 < allowed, "{most} of {allowed}");
    assert!(services["postgres"]["shm_size"].is_string(), "several workers need room in /dev/shm");
}

#[test]
fn the_dashboard_asks_the_source_that_is_set_up() {
    let Some(sources) = yaml("deploy/grafana/provisioning/datasources/prometheus.yaml") else {
        return;
    };
    let dashboard: Value =
        serde_json::from_str(&read("deploy/grafana/dashboards/dsync.json")).expect("JSON");
    for panel in dashboard["panels"].as_array().expect("it has panels") {
        let asked = &panel["datasource"]["uid"];
        assert!(panel["type"] == "row" || *asked == sources["datasources"][0]["uid"], "{panel}");
    }
    let compose = yaml("deploy/compose.yaml").expect("PyYAML is there");
    let url = sources["datasources"][0]["url"].as_str().expect("an address");
    let host = url.strip_prefix("http://").and_then(|rest| rest.strip_suffix(":9090"));
    assert!(compose["services"].get(host.expect(url)).is_some(), "{url}");
    let grafana = &compose["services"]["grafana"];
    let folder =
        yaml("deploy/grafana/provisioning/dashboards/dsync.yaml").expect("PyYAML is there");
    let folder = folder["providers"][0]["options"]["path"].as_str().expect("a folder");
    let mounted = format!("./grafana/dashboards:{folder}:ro");
    assert!(grafana["volumes"].as_array().expect("volumes").contains(&mounted.into()));
    let home = &grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"];
    assert_eq!(*home, format!("{folder}/dsync.json"));
}

#[test]
fn the_proxy_keeps_a_directory_on_one_replica_by_what_names_it_in_the_path() {
    let caddy = read("deploy/Caddyfile");
    assert!(!caddy.contains("uri_hash"), "a hash of path and query spreads a directory over all");
    let scim = caddy.split("reverse_proxy @scim").nth(1).expect("SCIM has a proxy of its own");
    let (scim, _) = scim.split_once("\n\t}\n").expect("its block ends");
    assert!(scim.contains("\n\t\tlb_policy header X-Dsync-Endpoint\n"), "{scim}");
    assert!(caddy.contains("\t@directory path_regexp directory ^/scim/v2\\.0/([^/]+)\n"));
    assert!(caddy.contains("\trequest_header @directory X-Dsync-Endpoint {re.directory.1}\n"));
}

#[test]
fn one_machine_needs_one_service_and_one_volume() {
    let Some(compose) = yaml("deploy/compose.single.yaml") else { return };
    let services = compose["services"].as_object().expect("it has services");
    assert_eq!(services.keys().collect::<Vec<_>>(), ["dsync"]);
    assert_eq!(services["dsync"]["volumes"], serde_json::json!(["data:/data"]));
    assert_eq!(services["dsync"]["command"][0], "serve");
    assert!(compose["volumes"].get("data").is_some());
}
