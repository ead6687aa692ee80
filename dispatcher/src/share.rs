//! Which lanes a dispatcher should hold: its fair share, with as few moves as that takes. Pure.
//!
//! With `n` lanes and `d` dispatchers each holds `n / d` of them, rounded down or up. Free lanes are taken at once, as
//! nobody runs them. Lanes are given back only where another dispatcher has too few and none is free, and a bounded
//! number at a time: each of them stands still for a moment.

use std::collections::{BTreeMap, BTreeSet};

use crate::ports::{DispatcherId, LaneId, Standing};

/// How many lanes are given back at a time, unless a quarter of them is more. What is beyond comes in the next round,
/// so that a dispatcher that joins does not make everything stand still at once.
pub const HANDOVER_MAX: usize = 16;

/// What to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Free lanes to take.
    pub take: Vec<LaneId>,
    /// Own lanes to give back.
    pub give: Vec<LaneId>,
}

/// What `own`, which holds `held`, should do about the lanes there should be. Lanes that are being given back already
/// are not among `held`. Lanes that should not be any more are none of this: they are given back anyway.
#[must_use]
pub fn share(
    own: DispatcherId,
    wanted: &BTreeSet<LaneId>,
    held: &BTreeSet<LaneId>,
    standing: &Standing,
) -> Share {
    let of_others = standing.held.iter().filter(|(lane, _)| wanted.contains(lane));
    let mut counts: BTreeMap<DispatcherId, usize> =
        standing.others.iter().map(|other| (*other, 0)).collect();
    for (_, holder) in of_others {
        *counts.entry(*holder).or_default() += 1;
    }
    let mine: Vec<LaneId> = held.intersection(wanted).copied().collect();
    counts.insert(own, mine.len());

    let few = wanted.len() / counts.len();
    let many = wanted.len().div_ceil(counts.len());
    let is_free = |lane: &&LaneId| !held.contains(lane) && !standing.held.contains_key(lane);
    let free: Vec<LaneId> = wanted.iter().filter(is_free).copied().collect();
    if !free.is_empty() {
        // Who has too few comes first: what it needs is left to it.
        let need = few.saturating_sub(mine.len());
        let others = counts.iter().filter(|(id, _)| **id != own);
        let reserved: usize = others.map(|(_, count)| few.saturating_sub(*count)).sum();
        let spare = free.len().saturating_sub(need + reserved);
        let room = need + spare.min(many.saturating_sub(mine.len().max(few)));
        return Share { take: from_own_place(own, &free, room), give: Vec::new() };
    }
    let lacking: usize = counts.values().map(|count| few.saturating_sub(*count)).sum();
    let beyond: usize = counts.values().map(|count| count.saturating_sub(many)).sum();
    let mut give = mine.len().saturating_sub(many);
    // Where giving what is beyond `many` is not enough, those who hold just that many give one more each, the first of
    // them first.
    let before = counts.iter().filter(|(id, count)| **count >= many && **id < own).count();
    if mine.len() >= many && many > few && before < lacking.saturating_sub(beyond) {
        give += 1;
    }
    let give = give.min(HANDOVER_MAX.max(mine.len() / 4));
    Share { take: Vec::new(), give: mine.into_iter().rev().take(give).collect() }
}

/// Dispatchers that look at the same free lanes begin at different ones, so that few of them want the same.
fn from_own_place(own: DispatcherId, free: &[LaneId], count: usize) -> Vec<LaneId> {
    let place = usize::try_from(own.bits() % free.len() as u128).unwrap_or(0);
    free.iter().cycle().skip(place).take(count.min(free.len())).copied().collect()
}

#[cfg(test)]
mod laws;
