//! What holds of shares, whoever comes and goes.

use proptest::prelude::*;
use schemas::EndpointId;

use super::*;

fn lane(number: u8) -> LaneId {
    LaneId { endpoint: EndpointId::from_bits(number.into()), replay: None }
}

fn id(number: usize) -> DispatcherId {
    // Far from one another, as they are drawn.
    DispatcherId::from_bits((number as u128 + 1) * 0x9e37_79b9_7f4a_7c15)
}

/// Who holds what, as the store keeps it.
#[derive(Clone, Debug, Default)]
struct Cluster {
    wanted: BTreeSet<LaneId>,
    live: BTreeSet<DispatcherId>,
    holders: BTreeMap<LaneId, DispatcherId>,
}

impl Cluster {
    fn held(&self, own: DispatcherId) -> BTreeSet<LaneId> {
        self.holders.iter().filter(|(_, holder)| **holder == own).map(|(lane, _)| *lane).collect()
    }

    fn standing(&self, own: DispatcherId) -> Standing {
        let others = self.live.iter().filter(|other| **other != own).copied().collect();
        let held = self.holders.iter().filter(|(_, holder)| **holder != own);
        Standing { others, held: held.map(|(lane, holder)| (*lane, *holder)).collect() }
    }

    /// One dispatcher looks and acts; returns how many lanes it moved.
    fn turn(&mut self, own: DispatcherId) -> usize {
        let held = self.held(own);
        let share = share(own, &self.wanted, &held, &self.standing(own));
        assert!(share.take.is_empty() || share.give.is_empty());
        assert!(share.give.len() <= HANDOVER_MAX.max(held.len() / 4));
        for lane in &share.take {
            assert!(self.wanted.contains(lane) && !self.holders.contains_key(lane), "it is free");
            self.holders.insert(*lane, own);
        }
        for lane in &share.give {
            assert_eq!(self.holders.remove(lane), Some(own), "it was its own");
        }
        share.take.len() + share.give.len()
    }

    fn dies(&mut self, who: DispatcherId) {
        self.live.remove(&who);
        self.holders.retain(|_, holder| *holder != who);
    }

    fn is_fair(&self) -> bool {
        let counts: Vec<usize> = self.live.iter().map(|own| self.held(*own).len()).collect();
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        self.holders.len() == self.wanted.len() && most - least <= 1
    }

    /// Rounds until nothing moves.
    fn settle(&mut self, order: &[usize]) {
        for _ in 0..200 {
            let mut live: Vec<DispatcherId> = self.live.iter().copied().collect();
            for at in order {
                let len = live.len();
                live.swap(at % len, (at / 7) % len);
            }
            let moved: usize = live.into_iter().map(|own| self.turn(own)).sum();
            if moved == 0 {
                return;
            }
        }
        panic!("it never comes to rest: {self:?}");
    }
}

proptest! {
    #[test]
    fn from_any_beginning_every_lane_ends_with_one_and_all_have_as_many(
        lanes in 0_u8..=120,
        dispatchers in 1_usize..=6,
        beginning in proptest::collection::vec(0_usize..=8, 120),
        order in proptest::collection::vec(0_usize..100, 0..12),
    ) {
        let mut cluster = Cluster {
            wanted: (0..lanes).map(lane).collect(),
            live: (0..dispatchers).map(id).collect(),
            ..Cluster::default()
        };
        for (lane, holder) in cluster.wanted.clone().into_iter().zip(beginning) {
            if holder < dispatchers {
                cluster.holders.insert(lane, id(holder));
            }
        }
        cluster.settle(&order);
        prop_assert!(cluster.is_fair(), "{:?}", cluster);
    }

    #[test]
    fn who_dies_and_who_joins_leaves_every_lane_with_one(
        lanes in 1_u8..=120,
        comings in proptest::collection::vec((any::<bool>(), 0_usize..8), 1..12),
        order in proptest::collection::vec(0_usize..100, 0..12),
    ) {
        let mut cluster = Cluster {
            wanted: (0..lanes).map(lane).collect(),
            live: [id(100)].into(),
            ..Cluster::default()
        };
        for (comes, who) in comings {
            if comes { cluster.live.insert(id(who)); } else { cluster.dies(id(who)); }
            cluster.settle(&order);
            prop_assert!(cluster.is_fair(), "{:?}", cluster);
        }
    }
}

#[test]
fn a_dispatcher_that_is_alone_takes_everything_at_once() {
    let wanted: BTreeSet<LaneId> = (0..100).map(lane).collect();
    let share = share(id(1), &wanted, &BTreeSet::new(), &Standing::default());
    assert_eq!(share.take.into_iter().collect::<BTreeSet<_>>(), wanted);
}

#[test]
fn a_lane_of_another_that_lives_is_never_taken() {
    let wanted: BTreeSet<LaneId> = (0..2).map(lane).collect();
    let standing =
        Standing { others: [id(2)].into(), held: wanted.iter().map(|l| (*l, id(2))).collect() };
    assert_eq!(share(id(1), &wanted, &BTreeSet::new(), &standing), Share::default());
}
