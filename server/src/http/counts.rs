//! How many requests there were and how long they took, by route.
//!
//! What a metric is called is put together and looked up once for each route, method and status, and not for each request.

use std::collections::BTreeMap;
use std::sync::RwLock;
use std::time::Duration;

use http::StatusCode;
use metrics::{Counter, Histogram};

/// The metrics of every route that was asked for; there are as many as routes, and a handful of methods and statuses of each.
#[derive(Default)]
pub(super) struct Counts(RwLock<BTreeMap<Box<str>, OfRoute>>);

struct OfRoute {
    seconds: Histogram,
    answered: Vec<Answered>,
}

struct Answered {
    method: &'static str,
    status: StatusCode,
    count: Counter,
}

impl Counts {
    /// Counts a request that was answered.
    pub(super) fn count(
        &self,
        method: &'static str,
        route: &str,
        status: StatusCode,
        took: Duration,
    ) {
        if !self.counted(method, route, status, took) {
            self.begin(method, route, status);
            self.counted(method, route, status, took);
        }
    }

    /// Answers whether there is something to count it with.
    fn counted(&self, method: &str, route: &str, status: StatusCode, took: Duration) -> bool {
        let routes = self.0.read().expect("nothing panics while it is held");
        let Some(of_route) = routes.get(route) else { return false };
        let Some(answered) = of_route.answered(method, status) else { return false };
        answered.count.increment(1);
        of_route.seconds.record(took.as_secs_f64());
        true
    }

    fn begin(&self, method: &'static str, route: &str, status: StatusCode) {
        let mut routes = self.0.write().expect("nothing panics while it is held");
        let name = || route.to_owned();
        let of_route = routes.entry(route.into()).or_insert_with(|| OfRoute {
            seconds: metrics::histogram!("http_request_seconds", "route" => name()),
            answered: Vec::new(),
        });
        // Another request may have been first.
        if of_route.answered(method, status).is_none() {
            let code = status.as_str().to_owned();
            let count = metrics::counter!("http_requests_total", "method" => method, "route" => name(), "status" => code);
            of_route.answered.push(Answered { method, status, count });
        }
    }
}

impl OfRoute {
    fn answered(&self, method: &str, status: StatusCode) -> Option<&Answered> {
        self.answered.iter().find(|of| of.method == method && of.status == status)
    }
}
