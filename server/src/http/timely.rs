//! The body of a request, which has to come within a time.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

/// How long a body may take: the largest, of 2 MiB, comes in time over a line of 300 kbit/s.
pub(super) const BODY_WITHIN: Duration = Duration::from_secs(60);

/// Whether a body has not come in time.
#[derive(Clone, Debug, Default)]
pub(super) struct Late(Arc<AtomicBool>);

impl Late {
    pub(super) fn is_late(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Gives the body of a request its time, if it has one.
pub(super) fn within(request: Request, time: Duration) -> (Request, Late) {
    let late = Late::default();
    if request.body().is_end_stream() {
        return (request, late);
    }
    let (deadline, noted) = (Instant::now() + time, late.clone());
    let timely = |body| Body::new(Timely { body, deadline, sleep: None, late: noted });
    (request.map(timely), late)
}

struct Timely {
    body: Body,
    deadline: Instant,
    /// Most bodies are there at once, and need no alarm.
    sleep: Option<Pin<Box<Sleep>>>,
    late: Late,
}

impl HttpBody for Timely {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            return Poll::Ready(frame);
        }
        let sleep = this.sleep.get_or_insert_with(|| Box::pin(sleep_until(this.deadline)));
        ready!(sleep.as_mut().poll(context));
        this.late.0.store(true, Ordering::Relaxed);
        Poll::Ready(Some(Err(axum::Error::new("the body has not come in time"))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
