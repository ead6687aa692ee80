//! Names become addresses. What comes out is judged by whoever dials it; nothing is judged here.
//!
//! The system's resolver is used, for it alone reads what the operator has set up: the hosts file, search
//! domains, the names of a container network, a `resolv.conf` that changes. It blocks a thread for as
//! long as it likes, half a minute for a name whose servers are dead, so the threads are counted. Names that were
//! quick the last time do not wait behind others: whose name servers are slow holds up nobody who is well. Nor
//! can one name take many threads: whoever asks for it meanwhile gets the same answer, and so does who asks shortly after.
//!
//! ```text
//!   first who asks ──▶ waits for a thread ──▶ getaddrinfo ──▶ noted ──▶ all who ask
//!                            │ all of them have given up
//!                            ▼
//!                      leaves its place in the queue
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;

/// Threads for names that were quick the last time.
const QUICK_LOOKUPS: usize = 48;

/// Threads for all other names. Dead domains can fill these, and then only hold up each other and
/// endpoints that have never been reached.
const OTHER_LOOKUPS: usize = 16;

/// A name that takes longer is not quick. A resolver that works needs a few tens of milliseconds across the world.
const QUICK: Duration = Duration::from_millis(500);

/// For how long an answer is used again: long enough for what is sent at a time, and much shorter than anybody
/// who moves a name lets the old address live.
const USED_FOR: Duration = Duration::from_secs(5);

/// How many names are remembered. When there are more, all are forgotten, and each proves itself again with its next
/// lookup.
const NAMES_MAX: usize = 65_536;

/// Something that knows the addresses of names: the [`SystemResolver`], or a test's stand-in.
#[async_trait]
pub trait Resolve: fmt::Debug + Send + Sync {
    /// The addresses of a name, the best first.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

type Found = Result<Vec<IpAddr>, Unresolved>;

/// An error that several may have.
#[derive(Clone, Debug)]
struct Unresolved(io::ErrorKind, Arc<str>);

impl From<io::Error> for Unresolved {
    fn from(error: io::Error) -> Self {
        Self(error.kind(), error.to_string().into())
    }
}

/// What is known of a name.
#[derive(Clone, Default)]
struct Name {
    is_quick: bool,
    answer: Option<(Instant, Vec<IpAddr>)>,
    /// What those wait for who ask for it now. It is theirs, and the thread's that asks the system.
    lookup: Option<WeakShared<BoxFuture<'static, Found>>>,
}

type Lookup = Shared<BoxFuture<'static, Found>>;

/// `getaddrinfo`, with a bound on the threads that it may hold.
pub struct SystemResolver(Arc<Names>);

struct Names {
    known: Mutex<BTreeMap<Box<str>, Name>>,
    quick_lookups: Arc<Semaphore>,
    other_lookups: Arc<Semaphore>,
    system: fn(&str) -> io::Result<Vec<IpAddr>>,
    quick: Duration,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self::asking(system, QUICK)
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
        if let Some(addresses) = self.0.fresh(name) {
            return Ok(addresses);
        }
        let found = self.0.lookup(name).await;
        found.map_err(|Unresolved(kind, message)| io::Error::new(kind, &*message))
    }
}

impl SystemResolver {
    fn asking(system: fn(&str) -> io::Result<Vec<IpAddr>>, quick: Duration) -> Self {
        Self(Arc::new(Names {
            known: Mutex::default(),
            quick_lookups: Arc::new(Semaphore::new(QUICK_LOOKUPS)),
            other_lookups: Arc::new(Semaphore::new(OTHER_LOOKUPS)),
            system,
            quick,
        }))
    }
}

/// Lookups that wait for a thread end with it.
impl Drop for Names {
    fn drop(&mut self) {
        self.quick_lookups.close();
        self.other_lookups.close();
    }
}

impl Names {
    /// An answer that may be used again.
    fn fresh(&self, name: &str) -> Option<Vec<IpAddr>> {
        let known = self.known.lock().expect("nothing panics while it is held");
        let (at, addresses) = known.get(name)?.answer.as_ref()?;
        (at.elapsed() < USED_FOR).then(|| addresses.clone())
    }

    /// The lookup of a name that is under way, or a new one. It goes on by itself: a thread that becomes free is not to wait
    /// until somebody asks for the name again.
    fn lookup(self: &Arc<Self>, name: &str) -> Lookup {
        let mut known = self.known.lock().expect("nothing panics while it is held");
        if known.len() >= NAMES_MAX && !known.contains_key(name) {
            known.clear();
        }
        let known = known.entry(name.into()).or_default();
        if let Some(under_way) = known.under_way() {
            return under_way;
        }
        let lookups = if known.is_quick { &self.quick_lookups } else { &self.other_lookups };
        let (answer, answered) = oneshot::channel();
        let lookup = answered.map(|found| found.unwrap_or_else(|_| Err(ended()))).boxed().shared();
        known.lookup = lookup.downgrade();
        let looking = Looking {
            name: name.into(),
            system: self.system,
            lookups: Arc::clone(lookups),
            names: Arc::downgrade(self),
            asked_for: known.lookup.clone(),
            answer,
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "it ends when nobody waits for it any more, and shutdown waits for no name server"
        )]
        tokio::spawn(looking.end());
        lookup
    }

    fn note(&self, name: &str, found: &Found, took: Duration) {
        let mut known = self.known.lock().expect("nothing panics while it is held");
        let Some(name) = known.get_mut(name) else { return };
        name.is_quick = found.is_ok() && took < self.quick;
        name.answer = found.clone().ok().map(|addresses| (Instant::now(), addresses));
    }
}

impl Name {
    fn under_way(&self) -> Option<Lookup> {
        self.lookup.as_ref().and_then(WeakShared::upgrade)
    }
}

/// Nobody looks up names any more.
fn ended() -> Unresolved {
    io::Error::other("the resolver has ended").into()
}

/// A name that is looked up.
struct Looking {
    name: Box<str>,
    system: fn(&str) -> io::Result<Vec<IpAddr>>,
    lookups: Arc<Semaphore>,
    names: Weak<Names>,
    /// What those wait for who asked.
    asked_for: Option<WeakShared<BoxFuture<'static, Found>>>,
    answer: oneshot::Sender<Found>,
}

impl Looking {
    /// Looks the name up and notes what comes out, unless all who asked give up before there is a thread for it.
    async fn end(mut self) {
        let permit = tokio::select! {
            permit = Arc::clone(&self.lookups).acquire_owned() => permit,
            () = self.answer.closed() => return,
        };
        let Ok(permit) = permit else { return };
        // While the system is asked it is kept for those who ask meanwhile.
        let Some(kept) = self.asked_for.as_ref().and_then(WeakShared::upgrade) else { return };
        let (found, took) = ask(self.name.clone(), self.system, permit).await;
        if let Some(names) = self.names.upgrade() {
            names.note(&self.name, &found, took);
        }
        // What comes out is new only once: whoever asks later finds it noted, or asks anew.
        drop(kept);
        // Those who asked may have given up.
        let _ = self.answer.send(found);
    }
}

/// Asks the system on a thread of its own, and says how long it took there.
async fn ask(
    name: Box<str>,
    system: fn(&str) -> io::Result<Vec<IpAddr>>,
    permit: OwnedSemaphorePermit,
) -> (Found, Duration) {
    let asked = tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        let found = system(&name).map_err(Unresolved::from);
        // The permit is the thread's: it is given back when the system answers, not when the
        // caller has had enough.
        drop(permit);
        (found, began.elapsed())
    });
    asked.await.unwrap_or_else(|error| (Err(io::Error::other(error).into()), Duration::ZERO))
}

fn system(name: &str) -> io::Result<Vec<IpAddr>> {
    let found = (name, 0).to_socket_addrs()?;
    Ok(found.map(|address| address.ip()).collect())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn quick(_: &str) -> io::Result<Vec<IpAddr>> {
        Ok(vec![HERE])
    }

    impl Names {
        fn is_quick(&self, name: &str) -> bool {
            self.known.lock().unwrap().get(name).is_some_and(|name| name.is_quick)
        }

        /// As if its last answer were old.
        fn outdate(&self, name: &str) {
            self.known.lock().unwrap().get_mut(name).unwrap().answer = None;
        }
    }

    #[tokio::test]
    async fn names_that_were_quick_do_not_wait_behind_others() {
        let resolver = SystemResolver::asking(quick, Duration::MAX);
        assert_eq!(resolver.resolve("app.example").await.unwrap(), [HERE]);
        let hanging = u32::try_from(OTHER_LOOKUPS).unwrap();
        let _dead = resolver.0.other_lookups.acquire_many(hanging).await.unwrap();
        resolver.0.outdate("app.example");
        assert_eq!(resolver.resolve("app.example").await.unwrap(), [HERE]);
        let stranger = resolver.resolve("other.example");
        assert!(tokio::time::timeout(Duration::from_millis(50), stranger).await.is_err());
    }

    #[tokio::test]
    async fn a_name_that_resolves_slowly_is_not_quick() {
        let resolver = SystemResolver::asking(quick, Duration::ZERO);
        assert_eq!(resolver.resolve("app.example").await.unwrap(), [HERE]);
        assert!(!resolver.0.is_quick("app.example"));
    }

    #[tokio::test]
    async fn a_name_that_no_longer_resolves_has_to_prove_itself_again() {
        let resolver = SystemResolver::asking(quick, Duration::MAX);
        resolver.resolve("app.example").await.unwrap();
        assert!(resolver.0.is_quick("app.example"));
        let gone = Err(Unresolved(io::ErrorKind::NotFound, "gone".into()));
        resolver.0.note("app.example", &gone, Duration::ZERO);
        assert!(!resolver.0.is_quick("app.example"));
        assert_eq!(resolver.0.fresh("app.example"), None);
    }

    #[tokio::test]
    async fn a_name_takes_one_thread_however_many_ask_for_it() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let counting = |_: &str| {
            ASKED.fetch_add(1, Ordering::Relaxed);
            Ok(vec![HERE])
        };
        let resolver = SystemResolver::asking(counting, Duration::ZERO);
        let many = join_all((0..64).map(|_| resolver.resolve("app.example"))).await;
        assert!(many.into_iter().all(|found| found.unwrap() == [HERE]));
        assert_eq!(ASKED.load(Ordering::Relaxed), 1);
        // And none for those who ask soon after.
        resolver.resolve("app.example").await.unwrap();
        assert_eq!(ASKED.load(Ordering::Relaxed), 1);
        resolver.0.outdate("app.example");
        resolver.resolve("app.example").await.unwrap();
        assert_eq!(ASKED.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn the_system_knows_its_own_name() {
        let resolver = SystemResolver::default();
        assert!(!resolver.resolve("localhost").await.unwrap().is_empty());
    }

    const SOON: Duration = Duration::from_millis(20);

    const PATIENCE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn who_gives_up_before_there_is_a_thread_leaves_the_threads_to_others() {
        let resolver = SystemResolver::asking(quick, Duration::MAX);
        let hanging = u32::try_from(OTHER_LOOKUPS).unwrap();
        let dead = resolver.0.other_lookups.acquire_many(hanging).await.unwrap();
        let names: Vec<_> = (0..2 * OTHER_LOOKUPS).map(|at| format!("{at}.example")).collect();
        let given_up = names.iter().map(|name| tokio::time::timeout(SOON, resolver.resolve(name)));
        assert!(join_all(given_up).await.iter().all(Result::is_err));
        let gone = async {
            while Arc::weak_count(&resolver.0) > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, gone).await.expect("nothing waits for a thread any more");
        drop(dead);
        let others = ["app.example", &names[0]].map(|name| resolver.resolve(name));
        let resolved = tokio::time::timeout(PATIENCE, join_all(others)).await;
        assert!(resolved.unwrap().into_iter().all(|found| found.unwrap() == [HERE]));
        assert_eq!(resolver.0.other_lookups.available_permits(), OTHER_LOOKUPS);
    }

    #[tokio::test]
    async fn what_the_system_is_being_asked_it_is_not_asked_again() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        static ANSWERS: Barrier = Barrier::new(2);
        let hanging = |_: &str| {
            ASKED.fetch_add(1, Ordering::Relaxed);
            ANSWERS.wait();
            Ok(vec![HERE])
        };
        let resolver = SystemResolver::asking(hanging, Duration::MAX);
        for _ in 0..3 {
            let impatient = resolver.resolve("app.example");
            assert!(tokio::time::timeout(SOON, impatient).await.is_err());
        }
        tokio::task::spawn_blocking(|| ANSWERS.wait()).await.unwrap();
        assert_eq!(resolver.resolve("app.example").await.unwrap(), [HERE]);
        assert_eq!(ASKED.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn who_waits_is_answered_when_names_are_forgotten_meanwhile() {
        let resolver = SystemResolver::asking(quick, Duration::MAX);
        let hanging = u32::try_from(OTHER_LOOKUPS).unwrap();
        let dead = resolver.0.other_lookups.acquire_many(hanging).await.unwrap();
        let first = resolver.0.lookup("app.example");
        resolver.0.known.lock().unwrap().clear();
        let second = resolver.0.lookup("app.example");
        drop(dead);
        for waits in [first, second] {
            let found = tokio::time::timeout(PATIENCE, waits).await.unwrap();
            assert_eq!(found.unwrap(), [HERE]);
        }
    }

    #[tokio::test]
    async fn lookups_that_wait_end_with_the_resolver() {
        let resolver = SystemResolver::asking(quick, Duration::MAX);
        let lookups = Arc::clone(&resolver.0.other_lookups);
        let _dead = lookups.acquire_many(u32::try_from(OTHER_LOOKUPS).unwrap()).await.unwrap();
        let waits = resolver.0.lookup("app.example");
        drop(resolver);
        assert!(waits.await.is_err());
    }
}
