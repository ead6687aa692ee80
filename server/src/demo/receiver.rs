//! A customer app of thirty lines: takes webhooks and checks their signatures.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How many webhooks may wait to be printed. The app answers 503 beyond that and gets them again.
const WAITING_MAX: usize = 256;

/// A webhook whose signature was right.
#[derive(Debug)]
pub(super) struct Verified {
    /// The event.
    pub(super) event: Value,
    /// The start of the signature header, to show.
    pub(super) signature: String,
}

/// The app, listening.
pub(super) struct Receiver {
    pub(super) url: String,
    pub(super) arrived: mpsc::Receiver<Verified>,
    secret: watch::Sender<Option<String>>,
}

#[derive(Clone)]
struct App {
    secret: watch::Receiver<Option<String>>,
    verified: mpsc::Sender<Verified>,
}

impl Receiver {
    pub(super) async fn start(
        tracker: &TaskTracker,
        shutdown: CancellationToken,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/webhooks", listener.local_addr()?);
        let (verified, arrived) = mpsc::channel(WAITING_MAX);
        let (secret, known) = watch::channel(None);
        let app = Router::new().fallback(receive).with_state(App { secret: known, verified });
        let serving = axum::serve(listener, app).with_graceful_shutdown(shutdown.cancelled_owned());
        tracker.spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the receiver of the demo has stopped");
            }
        });
        Ok(Self { url, arrived, secret })
    }

    /// Tells the app the secret that it was given when its endpoint was made.
    pub(super) fn knows(&self, secret: &str) {
        self.secret.send_replace(Some(secret.to_owned()));
    }
}

async fn receive(State(app): State<App>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let secret = app.secret.borrow().clone().unwrap_or_default();
    let header = headers.get("workos-signature").and_then(|value| value.to_str().ok());
    let Some(signature) = header.filter(|header| verify(&secret, header, &body)) else {
        return StatusCode::UNAUTHORIZED;
    };
    let Ok(event) = serde_json::from_slice(&body) else { return StatusCode::BAD_REQUEST };
    match app.verified.try_send(Verified { event, signature: signature.to_owned() }) {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// `t=<ms>, v1=<hex>`: HMAC-SHA256 with the secret over `<ms>.<body>`, compared in constant time.
fn verify(secret: &str, header: &str, body: &[u8]) -> bool {
    let Some((time, signature)) = header.split_once(", ") else { return false };
    let (Some(time), Some(signature)) = (time.strip_prefix("t="), signature.strip_prefix("v1="))
    else {
        return false;
    };
    // A prefix before the digits is none of a signature's.
    let mut expected = [0; 32];
    if signature.len() != 64 || hex::decode_to_slice(signature, &mut expected).is_err() {
        return false;
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length of key");
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac.verify_slice(&expected).is_ok()
}
