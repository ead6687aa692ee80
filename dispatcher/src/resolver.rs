//! Names become addresses. What comes out is judged by whoever dials it; nothing is judged here.
//!
//! The system's resolver is used, for it alone reads what the operator has set up: the hosts file, search
//! domains, the names of a container network, a `resolv.conf` that changes. It blocks a thread for as
//! long as it likes, half a minute for a name whose servers are dead, so the threads are counted,
//! and names that have resolved before do not wait behind names that have not.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::sync::Semaphore;

/// Threads for names that resolved the last time. They wait for the network alone, and not for long.
const PROVEN_LOOKUPS: usize = 48;

/// Threads for all other names. Dead domains can fill these, and then only hold up each other and
/// endpoints that have never been reached.
const OTHER_LOOKUPS: usize = 16;

/// How many names are remembered as resolving. When there are more, all are forgotten, and each proves
/// itself again with its next lookup.
const PROVEN_MAX: usize = 65_536;

/// Something that knows the addresses of names: the [`SystemResolver`], or a test's stand-in.
#[async_trait]
pub trait Resolve: fmt::Debug + Send + Sync {
    /// The addresses of a name, the best first.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// `getaddrinfo`, with a bound on the threads that it may hold.
pub struct SystemResolver {
    proven: Mutex<BTreeSet<Box<str>>>,
    proven_lookups: Arc<Semaphore>,
    other_lookups: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self {
            proven: Mutex::default(),
            proven_lookups: Arc::new(Semaphore::new(PROVEN_LOOKUPS)),
            other_lookups: Arc::new(Semaphore::new(OTHER_LOOKUPS)),
        }
    }
}

impl fmt::Debug for SystemResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SystemResolver(…)")
    }
}

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let lookups = if self.is_proven(name) { &self.proven_lookups } else { &self.other_lookups };
        let permit = Arc::clone(lookups).acquire_owned().await.map_err(io::Error::other)?;
        let asked: Box<str> = name.into();
        let looked_up = tokio::task::spawn_blocking(move || {
            let found = (&*asked, 0).to_socket_addrs();
            // The permit is the thread's: it is given back when the system answers, not when the
            // caller has had enough.
            drop(permit);
            found.map(|addresses| addresses.map(|address| address.ip()).collect::<Vec<_>>())
        });
        let found = looked_up.await.map_err(io::Error::other)?;
        self.note(name, found.is_ok());
        found
    }
}

impl SystemResolver {
    fn is_proven(&self, name: &str) -> bool {
        self.proven.lock().expect("nothing panics while it is held").contains(name)
    }

    fn note(&self, name: &str, has_resolved: bool) {
        let mut proven = self.proven.lock().expect("nothing panics while it is held");
        if !has_resolved {
            proven.remove(name);
        } else if !proven.contains(name) {
            if proven.len() >= PROVEN_MAX {
                proven.clear();
            }
            proven.insert(name.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn names_that_have_resolved_do_not_wait_behind_names_that_have_not() {
        let resolver = SystemResolver::default();
        assert!(!resolver.resolve("localhost").await.unwrap().is_empty());
        let hanging = u32::try_from(OTHER_LOOKUPS).unwrap();
        let _dead = resolver.other_lookups.acquire_many(hanging).await.unwrap();
        assert!(!resolver.resolve("localhost").await.unwrap().is_empty());
        let stranger = resolver.resolve("ip6-localhost");
        assert!(tokio::time::timeout(Duration::from_millis(50), stranger).await.is_err());
    }

    #[tokio::test]
    async fn a_name_that_no_longer_resolves_has_to_prove_itself_again() {
        let resolver = SystemResolver::default();
        resolver.note("app.example", true);
        assert!(resolver.is_proven("app.example"));
        resolver.note("app.example", false);
        assert!(!resolver.is_proven("app.example"));
    }
}
