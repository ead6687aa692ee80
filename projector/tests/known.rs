//! What a record says is the same, whether it is read or known from whoever sealed it.

use std::sync::Arc;

use log::{Entry, Known, Offset, Partition};
use projector::judge::{Judged, Reader};
use projector::{Accepted, Position};
use schemas::record::{Draft, Sealed, seal};
use schemas::scim::parse;
use schemas::wire::{DirectoryToken, TokenTag};
use schemas::{
    Actor, Change, DirectoryId, Event, EventId, Head, OrganizationId, ScimId, Shown, Timestamp,
    TokenId, UserId,
};

/// The two records of a commit.
fn commit() -> Vec<Sealed> {
    let attributes =
        r#"{"userName":"Ada \"L\"","emails":[{"value":"a@b"}],"displayName":"Ada","10":1.5}"#;
    let user = Change::User {
        id: ScimId::from_bits(7),
        user_id: UserId::from_bits(8),
        name_key: "ada \"l\"".to_owned(),
        created_at: Timestamp::from_millis(5),
        attributes: parse(attributes.as_bytes()).expect("it is JSON").into(),
        shown: Shown { since: Some(Timestamp::from_millis(6)), ..Shown::default() },
    };
    let changes = [user, Change::TokenMade { id: TokenId::from_bits(9) }];
    let drafts: Vec<_> = (1..).zip(changes).map(|(id, change)| draft(id, change)).collect();
    let actor = Actor { ip: Some("127.0.0.1".to_owned()), ..Actor::default() };
    let (directory_id, tail) = (DirectoryId::from_bits(1), Head::default());
    seal(&drafts, directory_id, &actor, tail.seq, tail)
}

fn draft(id: u128, change: Change) -> Draft {
    let at = Timestamp::from_millis(1_000);
    let token = DirectoryToken {
        object: TokenTag::Tag,
        id: TokenId::from_bits(id),
        directory_id: DirectoryId::from_bits(1),
        organization_id: OrganizationId::from_bits(1),
        token_suffix: "abcd".to_owned(),
        created_at: at,
    };
    Draft { id: EventId::from_bits(id), at, event: Event::TokenCreated(token), change }
}

fn judge(entries: &[Entry]) -> Judged {
    let mut reader = Reader::resume(Partition(0), Position::default(), &[]);
    reader.judge(entries).expect("it reads them")
}

fn entries(sealed: &[Sealed], known: impl Fn(usize) -> Known) -> Vec<Entry> {
    let entry = |(at, one): (usize, &Sealed)| {
        let entry = Entry::new(Offset(at as u64), one.value.clone());
        Entry { known: known(at), ..entry }
    };
    sealed.iter().enumerate().map(entry).collect()
}

/// Everything that is written of it.
fn written(accepted: &Accepted) -> String {
    let attributes = accepted.change.attributes().map(|attributes| {
        let columns = attributes.pick(&["displayName", "emails"]).expect("it is JSON");
        let picked = (columns.get("displayName").cloned(), columns.get("emails").cloned());
        (attributes.json().to_owned(), picked)
    });
    let change = serde_json::to_string(&accepted.change).expect("it is JSON");
    let Accepted { offset, directory_id, head, prev, id, event, created_at, data, actor, .. } =
        accepted;
    format!(
        "{offset:?} {directory_id} {head:?} {prev} {id} {event} {created_at} {data} {actor} {change} {attributes:?}"
    )
}

#[test]
fn what_is_known_of_a_record_is_what_reading_it_gives() {
    let sealed = commit();
    let read = judge(&entries(&sealed, |_| Known::default()));
    let known = judge(&entries(&sealed, |at| Known::by(&sealed[at].said)));
    assert_eq!((read.batch.accepted.len(), read.known, known.known), (2, 0, 2));
    let all = |judged: &Judged| judged.batch.accepted.iter().map(written).collect::<Vec<_>>();
    assert_eq!(all(&known), all(&read));
    assert_eq!((known.to, known.stale), (read.to, read.stale));
}

#[test]
fn what_is_known_of_other_bytes_is_not_believed() {
    let sealed = commit();
    let equal = seal_again(&sealed);
    // The first record comes with what is known of the second, the second with what is known of an equal one.
    let known = [Known::by(&sealed[1].said), Known::by(&equal[1].said)];
    let judged = judge(&entries(&sealed, |at| known[at].clone()));
    let read = judge(&entries(&sealed, |_| Known::default()));
    let all = |judged: &Judged| judged.batch.accepted.iter().map(written).collect::<Vec<_>>();
    assert_eq!(all(&judged), all(&read));
    assert_eq!(judged.known, 0);
    assert!(!equal[1].said.is_of(&sealed[1].value));
    assert!(sealed[1].said.is_of(&sealed[1].value.clone()));
}

/// The same bytes elsewhere in memory.
fn seal_again(sealed: &[Sealed]) -> Vec<Sealed> {
    let again = commit();
    for (one, other) in sealed.iter().zip(&again) {
        assert_eq!(one.value, other.value);
    }
    again
}

#[test]
fn what_its_writer_holds_no_longer_is_read() {
    let sealed = commit();
    let known: Vec<_> = sealed.iter().map(|one| Known::by(&one.said)).collect();
    let values: Vec<_> = sealed.iter().map(|one| one.value.clone()).collect();
    let said: Vec<_> = sealed.into_iter().map(|one| Arc::downgrade(&one.said)).collect();
    assert!(said.iter().all(|said| said.upgrade().is_none()));
    let entries = values
        .into_iter()
        .zip(known)
        .enumerate()
        .map(|(at, (value, known))| Entry { known, ..Entry::new(Offset(at as u64), value) });
    let judged = judge(&entries.collect::<Vec<_>>());
    assert_eq!((judged.batch.accepted.len(), judged.known), (2, 0));
}
