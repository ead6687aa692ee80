//! URLs that strangers would love us to call. None is reached, whatever its spelling.
//!
//! What needs a resolver that lies (names that lead inward, or change between two questions) is tested where
//! the resolver is a port: `dispatcher/tests/egress.rs`.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tests::server::eventually;
use tests::{Receiver, Server};

/// Hosts that are this machine, in every spelling that some parser somewhere takes.
const LOOPBACK: &[&str] = &[
    "127.0.0.1",
    "127.0.0.2",
    "127.255.255.254",
    "127.1",
    "127.0.1",
    "127.0.0.1.",
    "127.1.",
    "2130706433",
    "0x7f000001",
    "0x7F000001",
    "0x7f.0.0.1",
    "0x7f.1",
    "0x7f.0x0.0x0.0x1",
    "0177.0.0.1",
    "0177.1",
    "017700000001",
    "0x7f.0.1",
    "127.0x0.0.01",
    "１２７.0.0.1",
    "127。0。0。1",
    "①②⑦.⓪.⓪.①",
    "%31%32%37.0.0.1",
    "127%2e0%2e0%2e1",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "LocalHost.",
    "app.localhost",
    "a.b.localhost.",
    "loc%61lhost",
    "ⓛocalhost",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[::0001]",
    "[::0.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[::FFFF:7F00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::ffff:7f00:0001]",
];

/// Networks of the operator's.
const PRIVATE: &[&str] = &[
    "10.0.0.1",
    "10.255.255.255",
    "167772161",
    "0xa000001",
    "012.0.0.1",
    "10.1",
    "172.16.0.1",
    "172.31.255.254",
    "0xac100001",
    "192.168.0.1",
    "192.168.1",
    "0xc0a80001",
    "3232235521",
    "0300.0250.0.1",
    "100.64.0.1",
    "100.127.255.254",
    "[fc00::1]",
    "[fd00::1]",
    "[fdff:ffff::1]",
    "[::ffff:10.0.0.1]",
    "[::ffff:c0a8:1]",
    "[::ffff:172.16.0.1]",
    "[::ffff:100.64.0.1]",
];

/// What can be nobody's app: refused even where private networks are open.
const NEVER: &[&str] = &[
    "0",
    "0.0.0.0",
    "0x0",
    "00000",
    "0.0.0.1",
    "[::]",
    "[::ffff:0.0.0.0]",
    "169.254.169.254",
    "169.254.43518",
    "0xa9fea9fe",
    "2852039166",
    "0251.0376.0251.0376",
    "0xa9.0xfe.0xa9.0xfe",
    "169.254.169.254.",
    "１６９.254.169.254",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[fe80::1]",
    "[fe80::a9fe:a9fe]",
    "[febf::1]",
    "[fd00:ec2::254]",
    "[fd20:ce::254]",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.0.170",
    "[::127.0.0.1]",
    "[::7f00:1]",
    "[::10.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2002:7f00:1::1]",
    "[2002:a9fe:a9fe::]",
    "[2002:c0a8:101::1]",
    "[2001:0:7f00:1::]",
    "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
    "[2001:20::1]",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "4294967295",
    "198.18.0.1",
    "198.19.255.255",
    "192.0.2.1",
    "198.51.100.1",
    "203.0.113.1",
    "192.88.99.1",
    "[ff02::1]",
    "[ff0e::1]",
    "[2001:db8::1]",
    "[3fff::1]",
    "[100::1]",
    "[5f00::1]",
    "[fec0::1]",
    "[4000::1]",
];

/// URLs that are not what they seem. `PORT` is that of the listener.
const DISGUISED: &[&str] = &[
    "http://app.example@127.0.0.1:PORT/",
    "http://app.example:80@127.0.0.1:PORT/",
    "http://127.0.0.1:PORT@app.example/",
    "http://user:password@app.example/",
    "http://user@app.example/",
    "http://:password@app.example/",
    "http://app.example%20@127.0.0.1:PORT/",
    "http://app.example%2F@127.0.0.1:PORT/",
    "http://127.0.0.1:PORT\\@app.example/",
    "http:\\\\127.0.0.1:PORT\\",
    "http:///127.0.0.1:PORT/",
    "http:127.0.0.1:PORT/",
    "http:/127.0.0.1:PORT/",
    " http://127.0.0.1:PORT/ ",
    "http://127.0.0.1\t:PORT/",
    "ht\ntp://127.0.0.1:PORT/",
    "http://127.0.0.1:PORT#@app.example/",
    "http://127.0.0.1:PORT?@app.example/",
    "http://127.0.0.1 .app.example/",
    "http://[fe80::1%25eth0]:PORT/",
    "http://[::1%lo]:PORT/",
    "http://[127.0.0.1]:PORT/",
    "http://0x7f.0x/",
    "http://1.2.3.4.5/",
    "http://256.1.1.1/",
    "http://",
    "http://:PORT/",
    "ftp://127.0.0.1:PORT/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:PORT/",
    "ws://127.0.0.1:PORT/",
    "unix:/run/app.sock",
    "javascript:alert(1)",
    "data:text/plain,x",
    "//127.0.0.1:PORT/",
    "/hook",
    "127.0.0.1:PORT",
];

const STRICT: [(&str, &str); 2] =
    [("DSYNC_ALLOW_PRIVATE_ENDPOINTS", "false"), ("DSYNC_RETRY_SCHEDULE", "50ms")];

/// Counts who connects, on every address of this machine, and says nothing.
struct Listener {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Listener {
    fn start() -> Self {
        // With IPv6 it hears IPv4 as well; without, that alone.
        let listener = TcpListener::bind("[::]:0").or_else(|_| TcpListener::bind("0.0.0.0:0"));
        let listener = listener.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        std::thread::spawn(move || {
            for _ in listener.incoming() {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { port, connections }
    }

    fn count(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn at(&self, host: &str) -> String {
        format!("http://{host}:{}/hook", self.port)
    }
}

async fn create(server: &Server, url: &str) -> (u16, Value) {
    let body = json!({ "endpoint_url": url, "events": ["dsync.user.created"] });
    server.api().send("POST", "/webhook_endpoints", Some(&body)).await
}

/// What the latest attempt that failed came to, once there is one.
async fn last_failure(server: &Server, id: &str) -> Value {
    let path = format!("/webhook_endpoints/{id}");
    eventually("an attempt", || async {
        let endpoint = server.api().get(&path).await;
        Some(endpoint["health"]["last_error"].clone()).filter(|error| !error.is_null())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_hostile_url_becomes_an_endpoint() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &STRICT);
    let listener = Listener::start();
    let hosts = [LOOPBACK, PRIVATE, NEVER].concat();
    let urls = hosts.iter().map(|host| listener.at(host));
    let disguised = DISGUISED.iter().map(|url| url.replace("PORT", &listener.port.to_string()));
    for url in urls.chain(disguised) {
        let (status, answer) = create(&server, &url).await;
        assert_eq!((status, &answer["code"]), (422, &json!("invalid_url")), "{url}: {answer}");
    }
    assert_eq!(server.api().get("/webhook_endpoints").await["data"], json!([]));
    assert_eq!(listener.count(), 0);
}

/// What is misspelt must not look done: an endpoint without its `organizations` gets the events of everybody.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_call_does_not_know_is_refused_by_its_name_and_nothing_is_done() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let directory = api.directory("okta scim v2.0", "Acme").await;
    let (endpoint, _) = api.endpoint_with("http://127.0.0.1:9/hook", json!({})).await;
    let organization =
        api.get(&format!("/directories/{}", directory.id)).await["organization_id"].clone();
    let before = api.get(&endpoint).await;
    let url = "https://app.example/hook";
    for (method, path, body) in [
        ("POST", "/webhook_endpoints".to_owned(), json!({ "endpoint_url": url })),
        ("PATCH", endpoint.clone(), json!({ "events": ["dsync.user.created"] })),
        ("POST", format!("{endpoint}/rotate_secret"), json!({})),
        ("POST", format!("{endpoint}/test"), json!({ "event": "dsync.user.created" })),
        ("POST", format!("{endpoint}/replay"), json!({ "from": "2020-01-01T00:00:00Z" })),
        (
            "POST",
            "/directories".to_owned(),
            json!({ "organization_id": organization, "name": "N", "type": "okta scim v2.0" }),
        ),
        ("POST", format!("/directories/{}/tokens", directory.id), json!({})),
    ] {
        let mut body = body;
        body["organization_idz"] = json!(["x"]);
        let (status, answer) = api.send(method, &path, Some(&body)).await;
        assert_eq!(status, 422, "{method} {path}: {answer}");
        let wrong = &answer["errors"][0];
        assert_eq!(
            (&wrong["field"], &wrong["code"]),
            (&json!("organization_idz"), &json!("unknown")),
            "{path}: {answer}"
        );
    }
    assert_eq!(api.get(&endpoint).await, before);
    assert_eq!(api.get("/webhook_endpoints").await["data"].as_array().unwrap().len(), 1);
    assert_eq!(api.get("/directories").await["data"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_does_not_begin_in_the_future() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let body =
        json!({ "endpoint_url": "https://app.example/hook", "start": "9999-12-31T23:59:59.999Z" });
    let (status, answer) = server.api().send("POST", "/webhook_endpoints", Some(&body)).await;
    assert_eq!((status, &answer["errors"][0]["field"]), (422, &json!("start")), "{answer}");
}

/// What was allowed when it was created need not be allowed later. The client judges by itself.
#[tokio::test(flavor = "multi_thread")]
async fn no_endpoint_that_has_become_hostile_is_reached_and_each_refusal_is_told() {
    none_is_reached(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_endpoint_that_has_become_hostile_is_reached_through_a_proxy_either() {
    let proxy = Listener::start();
    let through = format!("http://127.0.0.1:{}", proxy.port);
    let names = ("DSYNC_EGRESS_PROXY_NAMES", "true");
    for settings in [
        &[("DSYNC_EGRESS_PROXY", through.as_str())][..],
        &[("DSYNC_EGRESS_PROXY", &through), names],
    ] {
        none_is_reached(settings).await;
    }
    assert_eq!(proxy.count(), 0);
}

/// Creates endpoints while private addresses are open, shuts these, and sends something, with further settings.
async fn none_is_reached(settings: &[(&str, &str)]) {
    let data = tempfile::tempdir().unwrap();
    let open = Server::start(data.path());
    let listener = Listener::start();
    for host in NEVER {
        assert_eq!(create(&open, &listener.at(host)).await.0, 422, "{host}");
    }
    let mut endpoints = Vec::new();
    for (number, host) in [LOOPBACK, PRIVATE].concat().into_iter().enumerate() {
        // Many of them are spellings of one address, and two endpoints have no URL in common.
        let url = format!("{}?{number}", listener.at(host));
        let (status, endpoint) = create(&open, &url).await;
        assert_eq!(status, 201, "{host}: {endpoint}");
        endpoints.push((host, endpoint["id"].as_str().unwrap().to_owned()));
    }
    assert!(endpoints.len() >= 60, "{}", endpoints.len());
    assert!(open.terminate().success());

    let server = Server::start_with(data.path(), &[&STRICT, settings].concat());
    let directory = server.api().directory("generic scim v2.0", "Acme").await;
    directory.user("ada@acme.example").await;
    for (host, id) in &endpoints {
        let error = last_failure(&server, id).await;
        assert_eq!(error["failure"], "refused", "{host}: {error}");
        assert_eq!(error["status"], Value::Null, "{host}");
    }
    assert_eq!(listener.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permitted_host_leads_nowhere_by_redirects() {
    let data = tempfile::tempdir().unwrap();
    let inside = Listener::start();
    let exactly = [STRICT[0], STRICT[1], ("DSYNC_ALLOW_ENDPOINT_NETWORKS", "127.0.0.1")];
    let server = Server::start_with(data.path(), &exactly);
    let mut endpoints = Vec::new();
    for status in [301, 302, 303, 307, 308] {
        let permitted = redirecting(status, &inside.at("127.0.0.2")).await;
        let (created, endpoint) = create(&server, &permitted).await;
        assert_eq!(created, 201, "{endpoint}");
        endpoints.push((status, endpoint["id"].as_str().unwrap().to_owned()));
    }
    let neighbour = create(&server, &inside.at("127.0.0.2")).await;
    assert_eq!(neighbour.0, 422, "one address is open, and no other");
    server.api().directory("generic scim v2.0", "Acme").await.user("ada@acme.example").await;
    for (status, id) in endpoints {
        let error = last_failure(&server, &id).await;
        assert_eq!((&error["failure"], &error["status"]), (&json!("status"), &json!(status)));
    }
    assert_eq!(inside.count(), 0);
}

/// An app that sends everybody elsewhere.
async fn redirecting(status: u16, to: &str) -> String {
    use axum::http::{StatusCode, header};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let answer = (StatusCode::from_u16(status).unwrap(), [(header::LOCATION, to.to_owned())]);
    let app = axum::Router::new().fallback(move || std::future::ready(answer.clone()));
    #[expect(clippy::disallowed_methods, reason = "the app lives as long as its test")]
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_in_the_environment_is_not_used() {
    let data = tempfile::tempdir().unwrap();
    let (proxy, receiver) = (Listener::start(), Receiver::start().await);
    let through = format!("http://127.0.0.1:{}", proxy.port);
    let variables =
        ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];
    let settings: Vec<(&str, &str)> =
        variables.iter().map(|name| (*name, through.as_str())).collect();
    let server = Server::start_with(data.path(), &settings);
    assert_eq!(create(&server, receiver.url()).await.0, 201);
    server.api().directory("generic scim v2.0", "Acme").await.user("ada@acme.example").await;
    receiver.wait_for(1).await;
    assert_eq!(proxy.count(), 0);
}
