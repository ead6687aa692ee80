//! The world's clock and dice: the one place that asks for the time and rolls.

use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use schemas::{Edge, Timestamp};

/// The machine's clock and the operating system's generator.
#[derive(Debug, Default)]
pub struct SystemEdge {
    ids: Mutex<Ids>,
}

/// How much chance for ids is fetched at once. Secrets and dice always come fresh.
const CHANCE_BYTES: usize = 4_096;

#[derive(Debug, Default)]
struct Ids {
    /// The last id that was given out: ids rise, also within a millisecond and when the clock
    /// steps back.
    last: u128,
    /// Chance that was fetched and not used yet.
    chance: Vec<u8>,
}

impl Ids {
    fn chance(&mut self) -> u128 {
        if self.chance.is_empty() {
            self.chance.extend_from_slice(&random::<CHANCE_BYTES>());
        }
        let rest = self.chance.len() - size_of::<u128>();
        let drawn = self.chance[rest..].try_into().map(u128::from_be_bytes);
        self.chance.truncate(rest);
        drawn.expect("it is as long as a number")
    }
}

/// The bits of a UUIDv7 that are not time and not chance: version 7 and variant 10.
const MARKS: u128 = (0x7 << 76) | (0b10 << 62);

/// The bits of a UUIDv7 that are chance.
const CHANCE: u128 = (0xfff << 64) | ((1 << 62) - 1);

impl Edge for SystemEdge {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the edge")]
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
    }

    fn id(&self) -> u128 {
        let millis = u128::from(self.now().millis().unsigned_abs());
        let mut ids = self.ids.lock().expect("nothing panics while it is held");
        let fresh = (millis << 80) | MARKS | (ids.chance() & CHANCE);
        ids.last = if fresh > ids.last { fresh } else { after(ids.last) };
        ids.last
    }

    fn secret(&self) -> [u8; 32] {
        random()
    }

    fn dice(&self) -> f64 {
        // 53 bits are all that a double can hold between 0 and 1.
        let bits = u64::from_be_bytes(random()) >> 11;
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
        let dice = bits as f64 / (1_u64 << 53) as f64;
        dice
    }
}

/// The next id after `last` that is still a UUIDv7: chance counted up, past its marks.
const fn after(last: u128) -> u128 {
    let low = last & ((1 << 62) - 1);
    if low < (1 << 62) - 1 {
        return last + 1;
    }
    // The low bits are used up; carry over the variant into the 12 bits above it, and over the
    // version into the time if those are used up too.
    let middle = (last >> 64) & 0xfff;
    let (time, middle) =
        if middle < 0xfff { (last >> 80, middle + 1) } else { ((last >> 80) + 1, 0) };
    (time << 80) | MARKS | (middle << 64)
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(clippy::disallowed_methods, reason = "this is the edge")]
    getrandom::fill(&mut bytes).expect("the operating system has a random number generator");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_and_are_uuids_of_version_seven() {
        let edge = SystemEdge::default();
        let ids: Vec<u128> = (0..10_000).map(|_| edge.id()).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        assert!(ids.iter().all(|id| id & !CHANCE & ((1 << 80) - 1) == MARKS));
    }

    #[test]
    fn an_id_after_the_last_of_its_millisecond_belongs_to_the_next() {
        let last = (5 << 80) | MARKS | CHANCE;
        assert_eq!(after(last), (6 << 80) | MARKS);
        assert_eq!(after((5 << 80) | MARKS | ((1 << 62) - 1)), (5 << 80) | MARKS | (1 << 64));
    }

    #[test]
    fn the_dice_stay_between_zero_and_one() {
        let edge = SystemEdge::default();
        assert!((0..1_000).map(|_| edge.dice()).all(|dice| (0.0..1.0).contains(&dice)));
    }
}
