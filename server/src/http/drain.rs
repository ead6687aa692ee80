//! The end of a process as its clients see it.
//!
//! ```text
//!  SIGTERM ──▶ draining: /readyz says 503, connections end with their answers
//!          ──▶ the listener closes
//!          ──▶ cut: what is not answered yet is told to come back
//! ```

use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use tokio_util::sync::CancellationToken;

use super::Caller;

/// How many seconds whoever is sent away is to wait: another replica is there already.
const COME_BACK_AFTER: HeaderValue = HeaderValue::from_static("1");

const ENDING: &str = "this server is ending; whether the request was carried out is not known: look before you send \
    it again, or send it with the same Idempotency-Key";

/// A write of SCIM says what is to be, so a second one changes nothing or meets what the first has made.
const SCIM_ENDING: &str =
    "this server is ending; whether the request was carried out is not known: send it again";

/// When a process stops taking work, and when it stops answering.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// It is to end soon.
    pub draining: CancellationToken,
    /// It ends now.
    pub cut: CancellationToken,
}

impl Ending {
    /// Lets no request go without an answer when the process ends.
    pub(super) async fn answer(
        &self,
        answered: impl Future<Output = Response>,
        caller: Caller,
    ) -> Response {
        let mut response = tokio::select! {
            biased;
            response = answered => response,
            () = self.cut.cancelled() => told_to_come_back(caller),
        };
        if self.draining.is_cancelled() {
            // The next request on this connection would meet a closed one.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

fn told_to_come_back(caller: Caller) -> Response {
    let message = match caller {
        Caller::Scim => SCIM_ENDING,
        Caller::Api => ENDING,
    };
    let mut response =
        caller.refuse(StatusCode::SERVICE_UNAVAILABLE, "service_unavailable", message);
    response.headers_mut().insert(header::RETRY_AFTER, COME_BACK_AFTER);
    response
}
