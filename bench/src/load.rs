//! A closed loop of workers, and what they measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Failure;
use crate::client::{Connection, Target};

/// A request to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
}

/// What a run measured.
pub(crate) struct Run {
    pub(crate) elapsed: Duration,
    /// Sorted.
    latencies: Vec<Duration>,
    /// The answers' bodies, in the order of the calls.
    pub(crate) bodies: Vec<Vec<u8>>,
}

impl Run {
    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// The latency that this share of the requests stayed below, in milliseconds.
    pub(crate) fn quantile_ms(&self, share: f64) -> f64 {
        let index = (self.latencies.len() as f64 * share) as usize;
        let index = index.min(self.latencies.len() - 1);
        round(self.latencies[index].as_secs_f64() * 1_000.0)
    }

    pub(crate) fn figures(&self) -> Value {
        json!({
            "requests": self.latencies.len(),
            "per_second": round(self.per_second()),
            "p50_ms": self.quantile_ms(0.5),
            "p99_ms": self.quantile_ms(0.99),
            "max_ms": self.quantile_ms(1.0),
        })
    }
}

/// Three digits are all that such a figure can carry.
pub(crate) fn round(figure: f64) -> f64 {
    (figure * 1_000.0).round() / 1_000.0
}

/// Sends all calls with so many workers, each of which waits for its answer.
pub(crate) async fn run(target: &Target, calls: Vec<Call>, workers: usize) -> Result<Run, Failure> {
    run_over(std::slice::from_ref(target), calls, workers).await
}

/// The same over several targets: each worker has one of them.
pub(crate) async fn run_over(
    targets: &[Target],
    calls: Vec<Call>,
    workers: usize,
) -> Result<Run, Failure> {
    let total = calls.len();
    let (calls, next) = (Arc::new(calls), Arc::new(AtomicUsize::new(0)));
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for target in targets.iter().cycle().take(workers) {
        tasks.push(tokio::spawn(work(target.clone(), Arc::clone(&calls), Arc::clone(&next))));
    }
    let (mut latencies, mut bodies) = (Vec::with_capacity(total), vec![Vec::new(); total]);
    for task in tasks {
        for (index, latency, body) in task.await?? {
            latencies.push(latency);
            bodies[index] = body;
        }
    }
    let elapsed = begun.elapsed();
    latencies.sort_unstable();
    Ok(Run { elapsed, latencies, bodies })
}

type Measured = Vec<(usize, Duration, Vec<u8>)>;

async fn work(
    target: Target,
    calls: Arc<Vec<Call>>,
    next: Arc<AtomicUsize>,
) -> Result<Measured, Failure> {
    let mut connection = Connection::open(&target).await?;
    let mut measured = Vec::new();
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(call) = calls.get(index) else { return Ok(measured) };
        let begun = Instant::now();
        let answer = connection.send(&target, call.method, &call.path, &call.body).await?;
        if answer.status >= 300 {
            let said = String::from_utf8_lossy(&answer.body).into_owned();
            return Err(format!("{} {}: {}: {said}", call.method, call.path, answer.status).into());
        }
        measured.push((index, begun.elapsed(), answer.body));
    }
}

/// A user of about 900 bytes, as Entra ID sends one.
pub(crate) fn user(name: &str) -> Vec<u8> {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],
        "externalId": format!("ext-{name}"), "userName": name, "active": true,
        "displayName": "Adele Vance", "title": "Retail Manager", "preferredLanguage": "en-US",
        "name": { "formatted": "Adele Vance", "givenName": "Adele", "familyName": "Vance" },
        "emails": [{ "primary": true, "type": "work", "value": name }],
        "phoneNumbers": [{ "type": "work", "value": "+1 425 555 0109" }],
        "addresses": [{ "type": "work", "streetAddress": "18/2111", "locality": "Bellevue",
            "region": "WA", "postalCode": "98004", "country": "US" }],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":
            { "employeeNumber": "E-1001", "department": "Retail" }
    })
    .to_string()
    .into_bytes()
}

/// Calls that create so many users.
pub(crate) fn creates(seed: &str, count: usize) -> Vec<Call> {
    let calls = (0..count).map(|number| Call {
        method: "POST",
        path: "/Users".into(),
        body: user(&format!("{seed}.{number}@bench.example")),
    });
    calls.collect()
}

/// The ids of the resources in these answers.
pub(crate) fn ids(bodies: &[Vec<u8>]) -> Result<Vec<String>, Failure> {
    let id = |body: &Vec<u8>| -> Result<String, Failure> {
        let resource: Value = serde_json::from_slice(body)?;
        Ok(resource["id"].as_str().ok_or("a resource without an id")?.to_owned())
    };
    bodies.iter().map(id).collect()
}
