//! What a log is found to have left of its streams, beside what a store has come to.

use log::{Entry, Offset, Partition};
use projector::rebuild::{Heads, Loss, Scan, Survey, survey};
use schemas::record::{Draft, Sealed, seal, seal_anew};
use schemas::wire::{DirectoryToken, TokenTag};
use schemas::{
    Actor, Change, DirectoryId, Event, EventId, Head, OrganizationId, Seq, Timestamp, TokenId,
};

const ONE: DirectoryId = DirectoryId::from_bits(1);

fn draft(id: u128) -> Draft {
    let at = Timestamp::from_millis(1_000);
    let token = DirectoryToken {
        object: TokenTag::Tag,
        id: TokenId::from_bits(id),
        directory_id: ONE,
        organization_id: OrganizationId::from_bits(1),
        token_suffix: "abcd".to_owned(),
        created_at: at,
    };
    let change = Change::TokenMade { id: TokenId::from_bits(id) };
    Draft { id: EventId::from_bits(id), at, event: Event::TokenCreated(token), change }
}

/// Commits of one record each, which follow this head.
fn following(head: Head, ids: &[u128]) -> Vec<Sealed> {
    let mut head = head;
    let commit = |id: &u128| {
        let one = seal(&[draft(*id)], ONE, &Actor::default(), head.seq, head).remove(0);
        head = one.head;
        one
    };
    ids.iter().map(commit).collect()
}

fn loss(log: &[Sealed], stored: Head) -> Option<Loss> {
    let entries = (0..).map(Offset).zip(log.iter().map(|one| one.value.clone()));
    let scan: Scan<'_> = Box::new(entries.map(|(at, value)| Ok(Entry::new(at, value))));
    let known = Heads::from([(ONE, stored)]);
    let left: Survey = survey(Partition(0), scan, &known, &mut |_| ()).expect("it is read");
    left[&ONE].loss(Some(stored))
}

#[test]
fn a_log_that_ends_as_a_store_knows_it_or_goes_on_from_there_is_whole() {
    let log = following(Head::default(), &[1, 2, 3]);
    for stored in log.iter().map(|one| one.head) {
        assert_eq!(loss(&log, stored), None);
    }
    assert_eq!(loss(&log[..2], log[2].head), Some(Loss::Missing));
}

#[test]
fn another_end_that_is_whole_in_itself_is_not_taken_for_the_one_that_was_applied() {
    let log = following(Head::default(), &[1, 2, 3]);
    let (stored, kept) = (log[2].head, &log[..1]);
    for other in [&[2, 4][..], &[4, 3], &[4, 5, 6, 7]] {
        let end = following(kept[0].head, other);
        let altered = [kept, &end[..]].concat();
        assert_eq!(loss(&altered, stored), Some(Loss::Altered), "{other:?}");
        let mark = seal_anew(&draft(9), ONE, &Actor::default(), Seq(9));
        let accepted = [&altered[..], &[mark]].concat();
        assert_eq!(loss(&accepted, stored), None, "{other:?}: an operator has accepted it");
    }
}
