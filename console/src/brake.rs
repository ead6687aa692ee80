//! What slows down who guesses passwords, and who has us ask an identity provider.
//!
//! Every attempt counts for the address that it comes from, and one that passes there for all together. The address is
//! asked first: what its own limit refuses takes nothing from the others, or one host could keep everybody out.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::Duration;

use schemas::{Bucket, Buckets, RateLimit};
use tokio::time::Instant;

/// Attempts a minute from one address, and how many at once. Who mistypes is not held up; who guesses
/// gets through 14,400 a day.
const PER_ADDRESS: RateLimit = limit(10, 10);

/// The same for all addresses together: more than any team signs in, and too few for a botnet.
const OVERALL: RateLimit = limit(60, 60);

/// The same for codes of an identity provider, which nobody guesses: each is a question to the provider, and a whole
/// office may come from one address.
const CODES_PER_ADDRESS: RateLimit = limit(30, 30);
const CODES_OVERALL: RateLimit = limit(120, 120);

/// How many addresses are remembered. Those that rest are forgotten first; where all of them are busy, it is a botnet,
/// and who is new waits: what is remembered of strangers has an end.
const ADDRESSES_MAX: usize = 10_000;

/// The bits of an IPv6 address that one customer of a provider has: a /64.
const NETWORK: u128 = !(u64::MAX as u128);

/// Limits for attempts.
#[derive(Debug)]
pub(crate) struct Brake {
    since: Instant,
    per_address: RateLimit,
    overall: RateLimit,
    /// A lock of the standard library: it is held for a look-up, never over an await.
    used: Mutex<Used>,
}

#[derive(Debug)]
struct Used {
    overall: Bucket,
    addresses: Buckets<IpAddr>,
}

impl Brake {
    pub(crate) fn of_passwords() -> Self {
        Self::new(PER_ADDRESS, OVERALL)
    }

    pub(crate) fn of_codes() -> Self {
        Self::new(CODES_PER_ADDRESS, CODES_OVERALL)
    }

    fn new(per_address: RateLimit, overall: RateLimit) -> Self {
        let used = Used { overall: Bucket::default(), addresses: Buckets::new(ADDRESSES_MAX) };
        Self { since: Instant::now(), per_address, overall, used: Mutex::new(used) }
    }

    /// Counts an attempt, or says how long to wait.
    pub(crate) fn take(&self, from: IpAddr) -> Result<(), Duration> {
        self.take_at(from, self.since.elapsed())
    }

    fn take_at(&self, from: IpAddr, now: Duration) -> Result<(), Duration> {
        // The limits are by the minute and the buckets by the second: a minute passes as a second.
        let now = now / MINUTE;
        let mut used = self.used.lock().expect("nothing panics while it is held");
        let from = network(from);
        if !used.addresses.has_room_for(&from, now) {
            return Err(Duration::from_secs(60) / self.per_address.per_second.get());
        }
        let taken = used.addresses.take(from, self.per_address, now);
        let taken = taken.and_then(|()| used.overall.take(self.overall, now));
        taken.map_err(|wait| wait * MINUTE)
    }
}

const MINUTE: u32 = 60;

/// What stands for an address: one IPv4 address, or one IPv6 network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & NETWORK).into(),
    }
}

const fn limit(a_minute: u32, at_once: u32) -> RateLimit {
    let per_second = NonZeroU32::new(a_minute).expect("not zero");
    let burst = NonZeroU32::new(at_once).expect("not zero");
    RateLimit { per_second, burst }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn who_guesses_waits_and_others_do_not() {
        let brake = Brake::of_passwords();
        let start = Duration::from_secs(1_000);
        for _ in 0..10 {
            assert_eq!(brake.take_at(address(1), start), Ok(()));
        }
        let wait = brake.take_at(address(1), start).unwrap_err();
        assert_eq!(wait.as_secs_f64().round(), 6.0, "{wait:?}");
        assert_eq!(brake.take_at(address(2), start), Ok(()));
        assert_eq!(brake.take_at(address(1), start + wait + Duration::from_millis(1)), Ok(()));
    }

    #[test]
    fn one_address_cannot_keep_the_others_out() {
        for brake in [Brake::of_passwords(), Brake::of_codes()] {
            let start = Duration::from_secs(1_000);
            for attempt in 0..1_000 {
                let _ = brake.take_at(address(1), start + Duration::from_millis(attempt));
            }
            assert_eq!(brake.take_at(address(2), start + Duration::from_secs(1)), Ok(()));
        }
    }

    #[test]
    fn no_more_addresses_are_remembered_than_were_said() {
        let brake = Brake::of_passwords();
        let of = |host: usize| IpAddr::from(u32::try_from(host).unwrap().to_be_bytes());
        for host in 0..ADDRESSES_MAX {
            let _ = brake.take_at(of(host), Duration::ZERO);
        }
        let wait = brake.take_at(of(ADDRESSES_MAX), Duration::ZERO).unwrap_err();
        assert_eq!(brake.take_at(of(ADDRESSES_MAX), wait), Ok(()), "somebody rests by then");
    }

    #[test]
    fn many_addresses_together_wait_too() {
        let brake = Brake::of_passwords();
        let start = Duration::from_secs(1_000);
        let passed = (0..=255).filter(|last| brake.take_at(address(*last), start).is_ok()).count();
        assert_eq!(passed, 60);
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        let brake = Brake::of_passwords();
        let of = |host: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, host]);
        let passed =
            (0..50).filter(|host| brake.take_at(of(*host), Duration::ZERO).is_ok()).count();
        assert_eq!(passed, 10);
        let mapped = IpAddr::V6(std::net::Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped());
        assert_eq!(network(mapped), address(1));
    }
}
