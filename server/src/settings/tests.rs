use super::*;

fn env(pairs: &[(&str, &str)]) -> BTreeMap<OsString, OsString> {
    pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn resolved(
    flags: &[(&'static str, &str)],
    variables: &[(&str, &str)],
    file: &str,
) -> Result<Resolved, SettingsError> {
    let flags = flags.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
    let file = File { path: Path::new("dsync.toml"), text: file };
    resolve(&flags, &env(variables), Some(file))
}

fn message(result: Result<Resolved, SettingsError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn the_defaults_are_right_values() {
    let settings = resolve(&BTreeMap::new(), &BTreeMap::new(), None).unwrap().settings;
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.data_dir, Path::new("./data"));
    assert_eq!(settings.log, LogSetting::Embedded);
    assert_eq!(settings.retry_schedule, Schedule::default());
    let scim = settings.scim_rate_limit.unwrap();
    assert_eq!((scim.per_second.get(), scim.burst.get()), (200, 1_000));
    let api = settings.api_rate_limit.unwrap();
    assert_eq!((api.per_second.get(), api.burst.get()), (100, 6_000));
    assert!(!settings.allow_http && !settings.allow_private_endpoints);
    assert_eq!(settings.client_url(), "http://127.0.0.1:8080");
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let all = ("listen", "127.0.0.1:3");
    let variable = ("DSYNC_LISTEN", "127.0.0.1:2");
    let file = "listen = '127.0.0.1:1'";
    let port = |flags: &[_], variables: &[_], file| {
        let resolved = resolved(flags, variables, file).unwrap();
        (resolved.settings.listen.port(), resolved.origins[0].source.to_string())
    };
    assert_eq!(port(&[all], &[variable], file), (3, "flag --listen".to_owned()));
    assert_eq!(port(&[], &[variable], file), (2, "environment DSYNC_LISTEN".to_owned()));
    assert_eq!(port(&[], &[], file), (1, "dsync.toml line 1".to_owned()));
    assert_eq!(port(&[], &[], ""), (8080, "default".to_owned()));
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let settings = resolved(&[], &[("DSYNC_API_KEY", ""), ("OTHER", "1")], "").unwrap().settings;
    assert_eq!(settings.api_key, None);
}

#[test]
fn a_file_may_use_the_types_of_toml() {
    let file = "allow_http = true\nscim_rate_limit = 0\nretry_schedule = ['1s', '2m']\n";
    let settings = resolved(&[], &[], file).unwrap().settings;
    assert!(settings.allow_http);
    assert_eq!(settings.scim_rate_limit, None);
    assert_eq!(settings.retry_schedule, "1s,2m".parse().unwrap());
}

#[test]
fn an_unknown_name_comes_with_the_nearest_known_one() {
    let file = "listen = '127.0.0.1:1'\n\ndatadir = 'x'";
    assert_eq!(
        message(resolved(&[], &[("DSYNC_LISTN", "x")], file)),
        "DSYNC-002: unknown setting datadir (dsync.toml line 3), did you mean data_dir?\n\
         DSYNC-002: unknown setting DSYNC_LISTN (environment DSYNC_LISTN), did you mean DSYNC_LISTEN?"
    );
}

#[test]
fn a_wrong_value_says_where_it_stands_and_what_would_be_right() {
    let cases = [
        ("listen", "8080", "\"8080\" is not an address with a port"),
        ("data_dir", "", "the path is empty"),
        ("public_url", "dsync.example.com", "\"dsync.example.com\" is not a URL"),
        ("public_url", "ftp://example.com", "the scheme ftp: is neither http: nor https:"),
        ("public_url", "https://example.com/?a=b", "has a query or a fragment"),
        ("trusted_proxies", "proxy.internal", "is neither a network nor an address"),
        ("trusted_proxies", "10.0.0.1,0.0.0.0/0", "0.0.0.0/0 would believe everybody"),
        ("trusted_proxies", "::ffff:10.0.0.1", "is an IPv4 address in the form of IPv6"),
        ("log", "redis", "\"redis\" is none of the choices"),
        ("log", "kafka://host/topic", "a host with its port, or the topic, is missing"),
        ("log", "kafka://host:9092", "a host with its port, or the topic, is missing"),
        ("log", "kafka://host:9092/a topic", "\"a topic\" is no name of a topic"),
        ("log", "kafka://me:hunter2@host:9092/topic", "which belong into [kafka]"),
        ("kafka_partitions", "0", "\"0\" is no such number"),
        ("kafka_copies", "0", "\"0\" is no such number"),
        ("store_connections", "7", "\"7\" is no such number"),
        ("store", "mysql", "\"mysql\" is none of the choices"),
        ("api_key", "sk one", "it is empty, or has spaces or characters beyond ASCII"),
        ("console_password", "", "it is empty"),
        ("allow_http", "maybe", "\"maybe\" is neither of the two"),
        ("retry_schedule", "5 seconds", "\"5 seconds\" is not a list of waits"),
        ("brake", "20", "\"20\" is no brake"),
        ("inactive_users", "hide", "\"hide\" is none of the choices"),
        ("emptied_fields", "emails,name", "\"name\" is no such field"),
        ("attempts_kept", "0", "\"0\" is no such number"),
        ("attempts_kept_for", "30", "\"30\" is not a number of hours or days"),
        ("attempts_kept_for", "0d", "\"0d\" is not a number of hours or days"),
        ("scim_rate_limit", "-1", "\"-1\" is no such number"),
        ("master_key", "c2hvcnQ=", "it has 5 bytes"),
        ("log_format", "xml", "\"xml\" is none of the choices"),
        ("log_level", "verbose", "\"verbose\" is not a level"),
    ];
    for (key, value, why) in cases {
        let setting = Setting::named(key).unwrap();
        let message = message(resolved(&[(key, value)], &[], ""));
        let start = format!("{key} (flag --{}): ", setting.flag());
        assert!(message.starts_with(&start) && message.contains(why), "{message}");
        assert!(message.ends_with(&format!("; expected {}", setting.expects)), "{message}");
    }
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let error = resolved(&[("listen", "x")], &[("DSYNC_LOG", "x")], "store = 1.5").unwrap_err();
    assert_eq!(error.problems.len(), 3, "{error}");
}

#[test]
fn no_message_and_no_debug_form_holds_a_secret() {
    let password = "hunter2 with ümlaut";
    let store = format!("store = \"mysql://me:{password}@host\"\nmaster_key = \"{password}\"");
    let wrong = message(resolved(&[("api_key", password)], &[], &store));
    assert!(wrong.lines().count() == 3 && !wrong.contains("hunter2"), "{wrong}");
    let torn = message(resolved(&[], &[], "console_password = hunter2"));
    assert!(torn.starts_with("dsync.toml line 1: not valid TOML") && !torn.contains("hunter2"));

    let flags =
        [("api_key", "sk_hunter2"), ("store", "postgres://me:hunter2@host/db?options=hunter2")];
    let right = resolved(&flags, &[], "").unwrap();
    let shown = [effective(&right, false), effective(&right, true), format!("{right:?}")].concat();
    assert!(!shown.contains("hunter2") && shown.contains("postgres://me:***@host/db"), "{shown}");
}

#[test]
fn what_this_build_cannot_run_is_a_right_value_that_serving_refuses() {
    let flags = [("log", "kafka://a:9092,b:9092/dsync"), ("store", "postgres://host/db")];
    let settings = resolved(&flags, &[], "").unwrap().settings;
    let (brokers, topic) = ("a:9092,b:9092".to_owned(), "dsync".to_owned());
    assert_eq!(settings.log, LogSetting::Kafka(KafkaTopic { brokers, topic }));
    assert_eq!((settings.kafka_partitions, settings.kafka_copies), (1, 3));
    assert_eq!(settings.store_connections, 16);
    let required = settings.require_built();
    assert_eq!(required.is_ok(), cfg!(feature = "kafka"), "only a build with Kafka runs it");
    let Err(error) = required else { return };
    assert_eq!(error.problems.len(), 1);
    assert!(error.to_string().contains("build dsync with `--features kafka`"), "{error}");
}

#[test]
fn settings_of_librdkafka_come_from_a_table_and_secrets_among_them_are_hidden() {
    let file = "[kafka]\nsecurity.protocol = 'SASL_SSL'\n'sasl.password' = 'hunter2'\n\
        statistics.interval.ms = 0\n";
    let right = resolved(&[], &[], file).unwrap();
    assert_eq!(right.settings.kafka["security.protocol"].expose(), "SASL_SSL");
    assert_eq!(right.settings.kafka["sasl.password"].expose(), "hunter2");
    assert_eq!(right.settings.kafka["statistics.interval.ms"].expose(), "0");
    let shown = [effective(&right, false), effective(&right, true), format!("{right:?}")].concat();
    assert!(shown.contains("kafka.sasl.password") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn brokers_of_endpoints_have_a_list_and_a_table_of_their_own() {
    let file = "kafka_endpoints = ['A.example:9092', '[::1]:9093']\n\
        [endpoint_kafka]\nsecurity.protocol = 'SSL'\n'sasl.password' = 'hunter2'\n";
    let found = resolved(&[], &[], file).unwrap();
    let named: Vec<String> =
        found.settings.kafka_endpoints.iter().map(ToString::to_string).collect();
    assert_eq!(named, ["[::1]:9093", "a.example:9092"]);
    assert_eq!(found.settings.endpoint_kafka["security.protocol"].expose(), "SSL");
    assert!(found.settings.kafka.is_empty(), "the log has its own");
    let shown = effective(&found, false);
    assert!(shown.contains("endpoint_kafka.sasl.password"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
    let required = found.settings.require_built();
    assert_eq!(required.is_ok(), cfg!(feature = "kafka"), "only a build with Kafka writes to one");
    let wrong = message(resolved(&[], &[("DSYNC_KAFKA_ENDPOINTS", "a.example")], ""));
    assert!(wrong.contains("\"a.example\" is not a host with its port"), "{wrong}");
}

#[cfg(feature = "kafka")]
#[test]
fn a_setting_of_endpoints_that_would_make_a_delivery_less_than_one_says_why() {
    let wrong = message(resolved(&[], &[], "[endpoint_kafka]\nacks = 1\n"));
    let expected = "endpoint_kafka.acks (dsync.toml line 1): it is not to be set: what counts";
    assert!(wrong.contains(expected), "{wrong}");
}

#[cfg(feature = "kafka")]
#[test]
fn a_setting_of_librdkafka_that_is_wrong_or_must_stay_says_why() {
    let file =
        "[kafka]\nacks = 1\n'sasl.mechansim' = 'PLAIN'\n'sasl.password' = [[1]]\nlinger.ms = 5\n";
    let wrong = message(resolved(&[], &[], file));
    let lines: Vec<&str> = wrong.lines().collect();
    assert_eq!(lines.len(), 2, "{wrong}");
    assert!(wrong.contains("kafka.acks (dsync.toml line 1): it is not to be set: "), "{wrong}");
    assert!(wrong.contains("kafka.sasl.mechansim (dsync.toml line 1): No such"), "{wrong}");
}

#[test]
fn what_webhooks_may_reach_and_how_is_read() {
    let variables = [
        ("DSYNC_ALLOW_ENDPOINT_NETWORKS", "10.1.0.0/16, 127.0.0.1"),
        ("DSYNC_EGRESS_PROXY", "http://proxy.example:3128"),
        ("DSYNC_WEBHOOK_TIMEOUT", "2s"),
    ];
    let settings = resolved(&[], &variables, "extra_ca = 'ca.pem'").unwrap().settings;
    let networks: Vec<String> =
        settings.allow_endpoint_networks.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.1.0.0/16", "127.0.0.1/32"]);
    assert!(settings.egress_proxy.is_some());
    assert_eq!(settings.extra_ca.as_deref(), Some(Path::new("ca.pem")));
    assert_eq!(settings.webhook_timeout, Duration::from_secs(2));
    for (name, value, why) in [
        ("DSYNC_ALLOW_ENDPOINT_NETWORKS", "127.0.0.0/8", "opens only address by address"),
        ("DSYNC_ALLOW_ENDPOINT_NETWORKS", "10.0.0.0/8,", "neither an address nor a network"),
        ("DSYNC_EGRESS_PROXY", "proxy:3128", "not the URL of an HTTP proxy"),
        ("DSYNC_WEBHOOK_TIMEOUT", "31s", "no such time"),
        ("DSYNC_WEBHOOK_TIMEOUT", "500ms", "no such time"),
    ] {
        let message = message(resolved(&[], &[(name, value)], ""));
        assert!(message.contains(why), "{message}");
    }
}

#[test]
fn a_proxy_is_asked_for_addresses_unless_the_operator_wants_names() {
    let proxy = ("DSYNC_EGRESS_PROXY", "http://proxy.example:3128");
    let file = "egress_proxy_names = true";
    let found =
        |variables: &[_], file| resolved(&[], variables, file).unwrap().settings.egress_proxy;
    let addresses: dispatcher::egress::Proxy = proxy.1.parse().unwrap();
    let names = Some(addresses.clone().asked_for_names());
    assert_ne!(names.as_ref(), Some(&addresses));
    assert_eq!(found(&[proxy], ""), Some(addresses.clone()));
    assert_eq!(found(&[proxy], file), names);
    assert_eq!(found(&[proxy, ("DSYNC_EGRESS_PROXY_NAMES", "false")], file), Some(addresses));
    assert_eq!(found(&[], file), None);
    let wrong = message(resolved(&[], &[("DSYNC_EGRESS_PROXY_NAMES", "perhaps")], ""));
    assert!(wrong.contains("expected true or false"), "{wrong}");
}

#[test]
fn an_identity_provider_is_named_whole_or_not_at_all() {
    let issuer = ("DSYNC_CONSOLE_OIDC_ISSUER", "https://login.example.com/t/");
    let client = ("DSYNC_CONSOLE_OIDC_CLIENT_ID", "dsync");
    let admins = ("DSYNC_CONSOLE_OIDC_ADMINS", "Ada@Example.com, groups:Platform Team,");
    let only = ("DSYNC_CONSOLE_PASSWORD_SIGN_IN", "false");
    let settings = resolved(&[], &[issuer, client, admins, only], "").unwrap().settings;
    let oidc = settings.console.oidc.unwrap();
    assert_eq!(oidc.issuer, "https://login.example.com/t/", "letter for letter");
    assert_eq!(oidc.members.admins.len(), 2);
    assert!(oidc.client_secret.is_none() && !settings.console.password_sign_in);
    let local = ("DSYNC_CONSOLE_OIDC_ISSUER", "http://127.0.0.1:9000");
    assert!(resolved(&[], &[local, client], "").is_ok());
    for (variables, why) in [
        (vec![issuer], "console_oidc_client_id is missing"),
        (vec![client], "console_oidc_issuer is missing"),
        (vec![only], "no admin could sign in"),
        (vec![only, issuer, client], "no admin could sign in"),
        (vec![client, ("DSYNC_CONSOLE_OIDC_ISSUER", "http://login.example.com")], "neither https:"),
        (vec![client, ("DSYNC_CONSOLE_OIDC_ISSUER", "https://login.example.com?a")], "a query"),
        (vec![("DSYNC_CONSOLE_OIDC_AUDITORS", "ada")], "neither an e-mail address nor groups:"),
    ] {
        let message = message(resolved(&[], &variables, ""));
        assert!(message.contains(why), "{message}");
    }
}

#[test]
fn the_console_lists_every_setting_and_no_secret() {
    let variables = [("DSYNC_CONSOLE_PASSWORD", "hush"), ("DSYNC_STORE", "postgres://a:hush@b/c")];
    let listed = listed(&resolved(&[], &variables, "allow_http = true").unwrap());
    assert_eq!(listed.len(), SETTINGS.len());
    assert!(!format!("{listed:?}").contains("hush"), "{listed:?}");
    let of = |key: &str| listed.iter().find(|setting| setting.key == key).unwrap();
    assert_eq!(of("console_password").value, ::console::ports::SettingValue::Secret);
    assert_eq!(of("allow_http").source, "dsync.toml line 1");
    assert!(matches!(of("public_url").value, ::console::ports::SettingValue::Absent(_)));
}

#[test]
fn a_master_key_is_read_with_and_without_padding() {
    let bytes = [7_u8; 32];
    let text = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";
    for text in [text.to_owned(), format!("{text}=")] {
        let settings = resolved(&[("master_key", &text)], &[], "").unwrap().settings;
        assert_eq!(settings.master_key.unwrap().expose(), &bytes);
    }
}

#[test]
fn a_client_never_connects_to_every_address() {
    for (listen, url) in [("0.0.0.0:80", "http://127.0.0.1:80"), ("[::]:80", "http://[::1]:80")] {
        let settings = resolved(&[("listen", listen)], &[], "").unwrap().settings;
        assert_eq!(settings.client_url(), url);
    }
    let settings = resolved(&[("public_url", "https://a.example/x/")], &[], "").unwrap().settings;
    assert_eq!(settings.client_url(), "https://a.example/x");
}

#[test]
fn log_levels_may_differ_by_crate() {
    let settings = resolved(&[("log_level", "warn,ingest=debug")], &[], "").unwrap().settings;
    assert!(settings.log_level.would_enable("ingest", &tracing::Level::DEBUG));
    assert!(!settings.log_level.would_enable("store", &tracing::Level::INFO));
}

#[test]
fn what_kubernetes_says_of_a_service_named_like_it_is_no_setting() {
    let of_services = [
        ("DSYNC_SERVICE_HOST", "10.0.0.1"),
        ("DSYNC_SERVICE_PORT", "8080"),
        ("DSYNC_SERVICE_PORT_HTTP", "8080"),
        ("DSYNC_PORT", "tcp://10.0.0.1:8080"),
        ("DSYNC_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("DSYNC_PORT_8080_TCP_PROTO", "tcp"),
        ("DSYNC_PORT_8080_TCP_PORT", "8080"),
        ("DSYNC_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("DSYNC_API_SERVICE_HOST", "10.0.0.2"),
        ("DSYNC_API_PORT", "udp://10.0.0.2:53"),
        ("DSYNC_API_PORT_53_UDP_ADDR", "10.0.0.2"),
    ];
    assert!(resolved(&[], &of_services, "").is_ok());
    let of_people = [
        ("DSYNC_PORT", "8080"),
        ("DSYNC_HOST", "10.0.0.1"),
        ("DSYNC_PORT_HTTP", "tcp://10.0.0.1:8080"),
        ("DSYNC_PORT_8080_HTTP", "8080"),
        ("DSYNC_SERVICE", "10.0.0.1"),
    ];
    for variable in of_people {
        let told = message(resolved(&[], &[variable], ""));
        assert!(told.starts_with(&format!("DSYNC-002: unknown setting {}", variable.0)), "{told}");
    }
}

#[test]
fn who_asks_for_some_settings_alone_hears_nothing_of_others() {
    let variables =
        env(&[("DSYNC_LISTEN", "127.0.0.1:2"), ("DSYNC_PUBLIC_URL", "?"), ("DSYNC_OTHER", "1")]);
    let text = "log_level = 'debug'\nretry_schedule = 'soon'\nanother = 1\n[kafka]\na = 1\n";
    let file = File { path: Path::new("dsync.toml"), text };
    let only = Some(["listen", "log_level"].as_slice());
    let resolved = resolve_only(&BTreeMap::new(), &variables, Some(file), only).unwrap();
    assert_eq!(resolved.settings.listen.port(), 2);
    assert!(resolved.is_given("log_level") && resolved.settings.public_url.is_none());
    assert_eq!(resolved.settings.retry_schedule, Schedule::default());
}
