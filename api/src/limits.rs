//! How often an API key may be used.

use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use schemas::{ApiKeyId, Buckets, RateLimit};
use tokio::time::Instant;

/// Of how many keys it is known at once how often they were used: more than anyone hands out.
const KEYS_MAX: usize = 10_000;

/// The limit of requests for each key, and what was used of it here. Replicas count by themselves.
#[derive(Debug)]
pub struct Limits {
    limit: Option<RateLimit>,
    /// Whether this machine's own programs are not limited.
    spares_loopback: bool,
    since: Instant,
    /// A lock of the standard library: it is held for a look-up, never over an await.
    buckets: Mutex<Buckets<ApiKeyId>>,
}

impl Limits {
    /// This limit; none if there is none.
    #[must_use]
    pub fn new(limit: Option<RateLimit>, spares_loopback: bool) -> Self {
        let buckets = Mutex::new(Buckets::new(KEYS_MAX));
        Self { limit, spares_loopback, since: Instant::now(), buckets }
    }

    /// Counts a request, or says how long to wait.
    pub(crate) fn take(&self, key: ApiKeyId, from: Option<IpAddr>) -> Result<(), Duration> {
        let spared = self.spares_loopback && from.is_some_and(|ip| ip.to_canonical().is_loopback());
        let Some(limit) = self.limit.filter(|_| !spared) else { return Ok(()) };
        let now = self.since.elapsed();
        self.buckets.lock().expect("nothing panics while it is held").take(key, limit, now)
    }
}
