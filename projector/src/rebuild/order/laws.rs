//! The laws of the order, tried on made-up partitions of which the feed in use has a beginning of each.

use proptest::prelude::*;

use super::*;

/// An event: its partition, and its place there.
type Event = (u16, usize);

/// A log and the feed in use, which holds the first so many events of each partition in any order that keeps each
/// partition's own.
#[derive(Clone, Debug)]
struct World {
    /// When the events of each partition were decided.
    times: Vec<Vec<i64>>,
    feed: Vec<Event>,
}

fn world() -> impl Strategy<Value = World> {
    let partition = prop::collection::vec(0_i64..20, 0..12);
    let partitions = prop::collection::vec(partition, 1..5);
    (partitions, prop::collection::vec(any::<prop::sample::Index>(), 0..40)).prop_map(
        |(times, picks)| {
            let mut had = vec![0; times.len()];
            let mut feed = Vec::new();
            for pick in picks {
                let partition = pick.index(times.len());
                if had[partition] < times[partition].len() {
                    feed.push((u16::try_from(partition).unwrap(), had[partition]));
                    had[partition] += 1;
                }
            }
            World { times, feed }
        },
    )
}

/// The feed made anew, reading the partitions in this order.
fn made_anew(world: &World, reading: &[usize]) -> Vec<Event> {
    let mut order = Order::of(u16::try_from(world.times.len()).unwrap());
    let (mut kept, mut next, mut later) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
    for partition in reading {
        let number = u16::try_from(*partition).unwrap();
        for (at, time) in world.times[*partition].iter().enumerate() {
            let event = (number, at);
            let found = world.feed.iter().position(|other| *other == event);
            let found = found.map(|at| at as u64 + 1);
            match order.place(Partition(number), found, Timestamp::from_millis(*time)) {
                Place::Kept(position) => assert_eq!(kept.insert(position, event), None),
                Place::Next => next.push(event),
                Place::Later(turn) => assert_eq!(later.insert(turn, event), None),
            }
        }
    }
    kept.into_values().chain(next).chain(later.into_values()).collect()
}

/// What comes behind the feed in use, told in another way: again and again the event that was decided first among the
/// next of each partition.
fn merged(world: &World) -> Vec<Event> {
    let had = |partition: u16| world.feed.iter().filter(|event| event.0 == partition).count();
    let mut left: Vec<(u16, usize)> =
        (0..).zip(&world.times).map(|(number, _)| (number, had(number))).collect();
    let mut merged = Vec::new();
    loop {
        let time = |(partition, at): Event| world.times[usize::from(partition)].get(at).copied();
        let next = left.iter_mut().filter_map(|next| Some((time(*next)?, next)));
        let Some((_, next)) = next.min_by_key(|(time, next)| (*time, next.0)) else {
            return merged;
        };
        merged.push(*next);
        next.1 += 1;
    }
}

proptest! {
    #[test]
    fn what_the_feed_has_keeps_its_position_and_the_rest_is_merged_behind_it(world in world()) {
        let reading: Vec<usize> = (0..world.times.len()).collect();
        let made = made_anew(&world, &reading);
        let (kept, later) = made.split_at(world.feed.len());
        prop_assert_eq!(kept, &world.feed[..]);
        prop_assert_eq!(later, &merged(&world)[..]);
    }

    #[test]
    fn each_partition_keeps_its_order_and_nothing_is_lost(world in world()) {
        let reading: Vec<usize> = (0..world.times.len()).collect();
        let made = made_anew(&world, &reading);
        for (number, times) in (0..).zip(&world.times) {
            let own = made.iter().filter(|event| event.0 == number).map(|event| event.1);
            prop_assert_eq!(own.collect::<Vec<_>>(), (0..times.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn it_does_not_matter_in_which_order_partitions_are_read(
        (world, reading) in world().prop_flat_map(|world| {
            let partitions: Vec<usize> = (0..world.times.len()).collect();
            (Just(world), Just(partitions).prop_shuffle())
        }),
    ) {
        let in_order: Vec<usize> = (0..world.times.len()).collect();
        prop_assert_eq!(made_anew(&world, &reading), made_anew(&world, &in_order));
    }

    #[test]
    fn a_feed_that_was_made_anew_is_made_anew_as_it_is(world in world()) {
        let reading: Vec<usize> = (0..world.times.len()).collect();
        let feed = made_anew(&world, &reading);
        let again = World { feed: feed.clone(), ..world };
        prop_assert_eq!(made_anew(&again, &reading), feed);
    }
}
