//! How webhooks leave a real server: by TLS with an authority and a certificate of somebody's own, and through a
//! proxy.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};
use tests::server::{command, eventually};
use tests::{Api, Receiver, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A certificate authority of a company's own.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM form.
type Issued = (String, String);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, name: &str) -> Issued {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    /// Accepts connections by TLS from whoever has a certificate of ours, and hands them on.
    async fn guard(&self, app: String) -> String {
        let (chain, key) = self.issue("127.0.0.1");
        let chain = vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let asks = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(asks.build().unwrap())
            .with_single_cert(chain, key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let address = serve(move |socket| {
            let (acceptor, app) = (acceptor.clone(), app.clone());
            async move {
                let Ok(mut outer) = acceptor.accept(socket).await else { return };
                let mut inner = TcpStream::connect(app).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
            }
        })
        .await;
        format!("https://{address}/webhooks")
    }
}

/// A listener of its own; its address.
async fn serve<F>(handle: impl Fn(TcpStream) -> F + Send + 'static) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            spawn(handle(socket));
        }
    });
    address
}

#[expect(clippy::disallowed_methods, reason = "it ends with the test at the latest")]
fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

/// The address in the URL of a receiver.
fn address(receiver: &Receiver) -> String {
    receiver.url().trim_start_matches("http://").trim_end_matches("/webhooks").to_owned()
}

async fn endpoint(api: &Api, body: &Value) -> String {
    api.create("/webhook_endpoints", body).await["id"].as_str().unwrap().to_owned()
}

async fn last_failure(api: &Api, id: &str) -> Value {
    let path = format!("/webhook_endpoints/{id}");
    eventually("an attempt that fails", || async {
        let error = api.get(&path).await["health"]["last_error"].clone();
        (!error.is_null()).then(|| error["failure"].clone())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_company_with_an_authority_of_its_own_and_dsync_know_each_other() {
    let data = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let file = data.path().join("company.pem");
    std::fs::write(&file, authority.0.pem()).unwrap();
    let app = Receiver::start().await;
    let url = authority.guard(address(&app)).await;
    let server = Server::start_with(data.path(), &[("DSYNC_EXTRA_CA", file.to_str().unwrap())]);
    let api = server.api();
    let (chain, key) = authority.issue("dsync");
    let known = json!({
        "endpoint_url": url, "client_certificate": chain, "client_certificate_key": key,
    });
    let shown = api.create("/webhook_endpoints", &known).await;
    assert_eq!(shown["client_certificate"], chain.as_str());
    assert!(!shown.to_string().contains("PRIVATE KEY"));
    let stranger = endpoint(&api, &json!({ "endpoint_url": format!("{url}?as=stranger") })).await;
    let (_, other_key) = authority.issue("dsync");
    let mixed = json!({
        "endpoint_url": format!("{url}?mixed"),
        "client_certificate": chain, "client_certificate_key": other_key,
    });
    let (status, refused) = api.send("POST", "/webhook_endpoints", Some(&mixed)).await;
    assert_eq!((status, &refused["errors"][0]["field"]), (422, &json!("client_certificate")));

    api.directory("generic scim v2.0", "Acme").await.user("ada@acme.example").await;
    let secret = shown["secret"].as_str().unwrap();
    app.wait_for(2).await.iter().for_each(|delivery| delivery.verify(secret));
    assert_eq!(last_failure(&api, &stranger).await, "tls");
    assert!(server.terminate().success());

    // Without the authority nobody there is believed.
    let server = Server::start(data.path());
    let api = server.api();
    api.directory("generic scim v2.0", "Emca").await.user("bob@emca.example").await;
    assert_eq!(last_failure(&api, shown["id"].as_str().unwrap()).await, "tls");
    assert_eq!(app.arrived().len(), 2);
}

/// A proxy that makes each tunnel to where `leads` says of what it is asked for, and counts them.
async fn proxy(
    leads: impl Fn(&str) -> String + Send + Sync + 'static,
    tunnels: Arc<AtomicUsize>,
) -> String {
    let leads = Arc::new(leads);
    serve(move |mut outer| {
        let (leads, tunnels) = (Arc::clone(&leads), Arc::clone(&tunnels));
        async move {
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                asked.push(outer.read_u8().await.unwrap());
            }
            let asked = String::from_utf8(asked).unwrap();
            let target = asked.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap();
            let mut inner = TcpStream::connect(leads(target)).await.unwrap();
            tunnels.fetch_add(1, Ordering::SeqCst);
            outer.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_go_through_the_proxy_that_the_operator_names() {
    let data = tempfile::tempdir().unwrap();
    let app = Receiver::start().await;
    let tunnels = Arc::new(AtomicUsize::new(0));
    let proxy = proxy(str::to_owned, Arc::clone(&tunnels)).await;
    let through = format!("http://dsync:hunter2@{proxy}");
    let server = Server::start_with(data.path(), &[("DSYNC_EGRESS_PROXY", &through)]);
    let (_, secret) = server.api().endpoint(app.url()).await;
    server.api().directory("generic scim v2.0", "Acme").await.user("ada@acme.example").await;
    app.wait_for(2).await.iter().for_each(|delivery| delivery.verify(&secret));
    assert!(tunnels.load(Ordering::SeqCst) >= 1);
    drop(server);
    let log = std::fs::read_to_string(data.path().join("server.log")).unwrap();
    assert!(!log.contains("hunter2"));
}

/// An app that refuses everything at length: 4,096 letters that are kept, and more that are not. Its address.
async fn refusing() -> String {
    use axum::http::StatusCode;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answer = "k".repeat(4_096) + &"m".repeat(30_000);
    let app = async move |_: axum::body::Bytes| (StatusCode::UNPROCESSABLE_ENTITY, answer.clone());
    let app = axum::Router::new().fallback(app);
    spawn(async move { drop(axum::serve(listener, app).await) });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn how_an_answer_begins_is_kept_if_it_is_from_outside_and_of_no_other() {
    let data = tempfile::tempdir().unwrap();
    let app = refusing().await;
    // What is outside for dsync is the app here.
    let (outside, address) = ("8.8.8.8:8080", app.clone());
    let leads =
        move |asked: &str| if asked == outside { address.clone() } else { asked.to_owned() };
    let through = format!("http://{}", proxy(leads, Arc::default()).await);
    let server = Server::start_with(data.path(), &[("DSYNC_EGRESS_PROXY", &through)]);
    let api = server.api();
    let mut endpoints = Vec::new();
    for host in [outside, &app] {
        endpoints.push(api.endpoint_with(&format!("http://{host}/hook"), json!({})).await.0);
    }
    api.directory("generic scim v2.0", "Acme").await.user("ada@acme.example").await;
    let kept = async |endpoint: &str| {
        let path = format!("{endpoint}/deliveries?status=failed");
        eventually("an attempt that fails", || async {
            api.get(&path).await["data"].as_array().unwrap().last().cloned()
        })
        .await
    };
    let (public, private) = (kept(&endpoints[0]).await, kept(&endpoints[1]).await);
    assert_eq!(
        (&public["response_status"], &private["response_status"]),
        (&json!(422), &json!(422))
    );
    assert_eq!(public["response_body"], "k".repeat(4_096));
    assert_eq!(private["response_body"], Value::Null);
}

#[test]
fn a_file_without_certificates_is_told_at_the_start() {
    let data = tempfile::tempdir().unwrap();
    let empty = data.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    for file in [empty.as_path(), Path::new("/nowhere.pem")] {
        let mut serve = command(data.path());
        serve.arg("serve").env("DSYNC_EXTRA_CA", file).stdin(Stdio::null());
        let said = serve.output().unwrap();
        assert!(!said.status.success());
        let error = String::from_utf8_lossy(&said.stderr);
        let expected = format!("cannot take certificate authorities from {}", file.display());
        assert!(error.contains(&expected), "{error}");
    }
}
