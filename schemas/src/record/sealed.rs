//! From drafts to records: linked, written, hashed.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use super::{Actor, Context, Draft, Record, VERSION};
use crate::chain::{Hash, Head, Link, Place, Seq};
use crate::wire::EventTag;
use crate::{
    Change, DirectoryId, EventId, EventType, GroupId, ScimId, Shown, StoredChange, Timestamp,
    UserId,
};

/// Most records have less. A larger one is moved while it is written.
const BYTES_USUAL: usize = 4 * 1024;

/// A record ready to be appended.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// The head that the stream has once it is accepted.
    pub head: Head,
    /// The bytes for the log.
    pub value: Bytes,
    /// What they say.
    pub said: Arc<Said>,
}

/// What a record says, known to the process that has sealed it: its readers need not read it again.
///
/// It is in a box, so that whoever has only heard of it keeps nothing worth speaking of.
#[derive(Debug)]
pub struct Said(Box<Fields>);

#[derive(Debug)]
struct Fields {
    value: Bytes,
    link: Link,
    directory_id: DirectoryId,
    id: EventId,
    event: EventType,
    created_at: Timestamp,
    data: Range<usize>,
    actor: Range<usize>,
    change: StoredChange,
}

impl Said {
    /// Whether this value is what was sealed: not an equal one, but the same bytes in memory, which nobody can
    /// have changed since they were hashed.
    #[must_use]
    pub fn is_of(&self, value: &Bytes) -> bool {
        std::ptr::eq::<[u8]>(&raw const *self.0.value, &raw const **value)
    }

    /// What the verdict needs.
    #[must_use]
    pub const fn link(&self) -> Link {
        self.0.link
    }

    /// Whose stream it belongs to.
    #[must_use]
    pub const fn directory_id(&self) -> DirectoryId {
        self.0.directory_id
    }

    /// The id of the event.
    #[must_use]
    pub const fn id(&self) -> EventId {
        self.0.id
    }

    /// Its type.
    #[must_use]
    pub const fn event(&self) -> EventType {
        self.0.event
    }

    /// When it was decided.
    #[must_use]
    pub const fn created_at(&self) -> Timestamp {
        self.0.created_at
    }

    /// What customer apps are told: the record's `data`, byte for byte.
    #[must_use]
    pub fn data(&self) -> &str {
        self.text(&self.0.data)
    }

    /// Who caused it: the record's `actor`, byte for byte.
    #[must_use]
    pub fn actor(&self) -> &str {
        self.text(&self.0.actor)
    }

    /// What it does to the state.
    #[must_use]
    pub const fn change(&self) -> &StoredChange {
        &self.0.change
    }

    fn text(&self, of: &Range<usize>) -> &str {
        std::str::from_utf8(&self.0.value[of.clone()]).expect("JSON is UTF-8")
    }
}

/// Links the drafts of one commit to `tail` and to one another.
///
/// `base` is the confirmed head that the whole batch was decided on, which is `tail` for the first
/// commit of a batch and lies before it for the later ones.
#[must_use]
pub fn seal(
    drafts: &[Draft],
    directory_id: DirectoryId,
    actor: &Actor,
    base: Seq,
    tail: Head,
) -> Vec<Sealed> {
    let len = u32::try_from(drafts.len()).expect("a commit is bounded far below 2^32 records");
    let mut tail = tail;
    let mut sealed = Vec::with_capacity(drafts.len());
    for (index, draft) in (0..len).zip(drafts) {
        let commit = Place { index, len };
        let one = written(draft, directory_id, actor, Linked { base, tail, commit, anew: false });
        tail = one.head;
        sealed.push(one);
    }
    sealed
}

/// A record with which a stream begins anew, at this place: what an operator appends when records before it are lost
/// for good. It follows nothing. Every reader goes on from it, whatever it has read or missed, as long as it has read
/// nothing that stands there or beyond.
#[must_use]
pub fn seal_anew(draft: &Draft, directory_id: DirectoryId, actor: &Actor, at: Seq) -> Sealed {
    let before = Seq(at.0.saturating_sub(1));
    let (tail, commit) = (Head { seq: before, hash: Hash::default() }, Place { index: 0, len: 1 });
    written(draft, directory_id, actor, Linked { base: before, tail, commit, anew: true })
}

/// A [`Change`] without its attributes, which the event tells as they are.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Spared<'a> {
    User {
        id: ScimId,
        user_id: UserId,
        name_key: &'a str,
        created_at: Timestamp,
        #[serde(skip_serializing_if = "Shown::is_default")]
        shown: &'a Shown,
    },
    Group {
        id: ScimId,
        group_id: GroupId,
        idp_id: &'a str,
        name_key: &'a str,
        created_at: Timestamp,
    },
}

impl<'a> Spared<'a> {
    /// None of what has no attributes, or others than apps are told.
    fn of(draft: &'a Draft) -> Option<Self> {
        let (told, kept) = (draft.event.raw_attributes()?, draft.change.attributes()?);
        if !kept.is_written_as(told) {
            return None;
        }
        match &draft.change {
            Change::User { id, user_id, name_key, created_at, attributes: _, shown } => {
                let (id, user_id, created_at) = (*id, *user_id, *created_at);
                Some(Self::User { id, user_id, name_key, created_at, shown })
            }
            Change::Group { id, group_id, idp_id, name_key, created_at, attributes: _ } => {
                let (id, group_id, created_at) = (*id, *group_id, *created_at);
                Some(Self::Group { id, group_id, idp_id, name_key, created_at })
            }
            Change::UserGone { .. }
            | Change::GroupGone { .. }
            | Change::MemberAdded { .. }
            | Change::MemberRemoved { .. }
            | Change::PendingMemberAdded { .. }
            | Change::PendingMemberRemoved { .. }
            | Change::DirectoryActivated
            | Change::DirectoryGone
            | Change::TokenMade { .. }
            | Change::TokenRevoked { .. } => None,
        }
    }
}

/// Where a record stands.
#[derive(Clone, Copy)]
struct Linked {
    base: Seq,
    tail: Head,
    commit: Place,
    anew: bool,
}

/// The fields of [`Record`] in the same order. They are written one by one, so that it is known where each of them
/// lies, and no value is written twice.
fn written(draft: &Draft, directory_id: DirectoryId, actor: &Actor, linked: Linked) -> Sealed {
    let Linked { base, tail, commit, anew } = linked;
    let (event, seq) = (draft.event.kind(), tail.seq.next());
    let mut out = Object(Vec::with_capacity(BYTES_USUAL));
    out.field("object", &EventTag::Tag);
    out.field("id", &draft.id);
    out.field("event", &event);
    let data = out.field_by("data", |out| draft.event.write_data(out));
    out.field("created_at", &draft.at);
    out.field("context", &Context {});
    out.field("v", &VERSION);
    out.field("directory_id", &directory_id);
    out.field("seq", &seq);
    out.field("prev", &tail.hash);
    out.field("base", &base);
    out.field("commit", &commit);
    if anew {
        out.field("anew", &anew);
    }
    let actor = out.field("actor", actor);
    match Spared::of(draft) {
        Some(spared) => out.field("resource", &spared),
        None => out.field("resource", &draft.change),
    };
    let value = out.end();
    let hash = Hash::of(&value);
    debug_assert!(is_read_as(&value, &draft.change), "what is sealed can be read");
    let link = Link { seq, prev: tail.hash, hash, base, commit, anew };
    let said = Fields {
        value: value.clone(),
        link,
        directory_id,
        id: draft.id,
        event,
        created_at: draft.at,
        data,
        actor,
        change: draft.change.stored(),
    };
    Sealed { head: link.as_head(), value, said: Arc::new(Said(Box::new(said))) }
}

/// What is known here is not read again by whoever stands beside, and by everybody else.
fn is_read_as(value: &[u8], change: &Change) -> bool {
    let json = |change: &StoredChange| serde_json::to_string(change).ok();
    let read = Record::decode(value).and_then(|record| record.change());
    read.is_ok_and(|read| json(&read) == json(&change.stored()))
}

/// A JSON object that is being written.
struct Object(Vec<u8>);

impl Object {
    /// Answers where the value lies.
    fn field(&mut self, name: &str, value: &impl Serialize) -> Range<usize> {
        self.field_by(name, |out| {
            serde_json::to_writer(out, value).expect("events hold nothing that JSON cannot");
        })
    }

    fn field_by(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
        let Self(out) = self;
        out.extend_from_slice(if out.is_empty() { b"{\"" } else { b",\"" });
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        let begin = out.len();
        write(out);
        begin..out.len()
    }

    fn end(mut self) -> Bytes {
        self.0.push(b'}');
        // What is kept of it should not keep room for more.
        self.0.into_boxed_slice().into()
    }
}
