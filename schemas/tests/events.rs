//! The events on the wire: one golden file and one JSON Schema for each type.
//!
//! Golden files are promises to everyone who has stored an event: they are only ever added, never
//! edited. `GOLDEN=add cargo test -p schemas` writes the missing ones. The JSON Schemas follow the
//! code; `SCHEMAS=write cargo test -p schemas` writes them.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::path::{Path, PathBuf};

use schemas::record::{Draft, Record, seal};
use schemas::scim::{Attributes, SharedAttributes, Value, parse};
use schemas::wire::{
    ActivatedDirectory, DeletedDirectory, DirectoryGroup, DirectoryState, DirectoryTag,
    DirectoryToken, DirectoryType, DirectoryUser, DomainTag, Email, GroupMembership, GroupTag,
    InactiveUser, InactiveUserChange, OrganizationDomain, PendingMember, PendingMembership,
    TokenTag, UpdatedGroup, UpdatedUser, UserState, UserTag,
};
use schemas::{
    Actor, Change, DirectoryId, Event, EventId, EventType, Hash, Head, Id, Seq, Shown, Timestamp,
    TokenId,
};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn id<K: schemas::id::Kind>(text: &str) -> Id<K> {
    text.parse().unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn directory_id() -> DirectoryId {
    id("directory_01K0ZC4M8Q4T6V7W8X9YABCDEF")
}

fn user() -> DirectoryUser {
    let raw = br#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"externalId":"7f1c2a9e-2f55-4a0e-9d4b-6d3b1f0a7c11","userName":"marcelina.davis@acme.example","name":{"givenName":"Marcelina","familyName":"Davis"},"active":true}"#;
    DirectoryUser {
        object: UserTag::Tag,
        id: id::<_>("directory_user_01K0ZC6M8Q4T6V7W8X9YABCDEF"),
        directory_id: directory_id(),
        organization_id: id("org_01K0ZC3M8Q4T6V7W8X9YABCDEF"),
        idp_id: "7f1c2a9e-2f55-4a0e-9d4b-6d3b1f0a7c11".into(),
        email: Some("marcelina.davis@acme.example".into()),
        first_name: Some("Marcelina".into()),
        last_name: Some("Davis".into()),
        name: Some("Marcelina Davis".into()),
        emails: vec![Email {
            primary: Some(true),
            kind: Some("work".into()),
            value: Some("marcelina.davis@acme.example".into()),
        }],
        job_title: None,
        username: Some("marcelina.davis@acme.example".into()),
        state: UserState::Active,
        raw_attributes: parse(raw).unwrap().into(),
        custom_attributes: Attributes::default(),
        role: None,
        roles: None,
        created_at: at("2026-03-02T10:16:01.004Z"),
        updated_at: at("2026-03-02T10:16:01.004Z"),
    }
}

fn group() -> DirectoryGroup {
    DirectoryGroup {
        object: GroupTag::Tag,
        id: id::<_>("directory_group_01K0ZC5M8Q4T6V7W8X9YABCDEF"),
        idp_id: "0b5e7a90-1c1d-4c0b-8d6f-0a1b2c3d4e5f".into(),
        directory_id: directory_id(),
        organization_id: id("org_01K0ZC3M8Q4T6V7W8X9YABCDEF"),
        name: "Engineering".into(),
        raw_attributes: SharedAttributes::default(),
        created_at: at("2026-03-02T10:15:59.900Z"),
        updated_at: at("2026-03-02T10:15:59.900Z"),
    }
}

fn previous(name: &str, old: Value) -> Attributes {
    [(name.to_owned(), old)].into_iter().collect()
}

fn membership() -> GroupMembership {
    GroupMembership { directory_id: directory_id(), user: user(), group: group() }
}

fn pending() -> PendingMembership {
    let member = PendingMember { value: "7f1c2a9e-2f55-4a0e-9d4b-6d3b1f0a7c11".into() };
    PendingMembership { directory_id: directory_id(), group: group(), member }
}

fn token() -> DirectoryToken {
    DirectoryToken {
        object: TokenTag::Tag,
        id: id("directory_token_01K0ZCAM8Q4T6V7W8X9YABCDEF"),
        directory_id: directory_id(),
        organization_id: id("org_01K0ZC3M8Q4T6V7W8X9YABCDEF"),
        token_suffix: "a1b2".into(),
        created_at: at("2026-03-02T10:15:30.500Z"),
    }
}

fn activated() -> ActivatedDirectory {
    ActivatedDirectory {
        object: DirectoryTag::Tag,
        id: directory_id(),
        organization_id: id("org_01K0ZC3M8Q4T6V7W8X9YABCDEF"),
        external_key: "UWuccu6o1E0GqkYs".into(),
        kind: DirectoryType::Azure,
        state: DirectoryState::Active,
        name: "Acme Entra".into(),
        domains: vec![OrganizationDomain {
            object: DomainTag::Tag,
            id: id("org_domain_01K0ZC8M8Q4T6V7W8X9YABCDEF"),
            domain: "acme.example".into(),
            organization_id: id("org_01K0ZC3M8Q4T6V7W8X9YABCDEF"),
        }],
        created_at: at("2026-03-02T10:15:30.123Z"),
        updated_at: at("2026-03-02T10:15:30.123Z"),
    }
}

fn deleted() -> DeletedDirectory {
    DeletedDirectory {
        object: DirectoryTag::Tag,
        id: directory_id(),
        organization_id: id("org_01K0ZC3M8Q4T6V7W8X9YABCDEF"),
        kind: DirectoryType::Azure,
        state: DirectoryState::Active,
        name: "Acme Entra".into(),
        created_at: at("2026-03-02T10:15:30.123Z"),
        updated_at: at("2026-03-09T08:00:00.000Z"),
    }
}

/// One event of a type, as a user of the API could meet it.
fn sample(kind: EventType) -> Event {
    match kind {
        EventType::Activated => Event::Activated(activated()),
        EventType::Deleted => Event::Deleted(deleted()),
        EventType::UserCreated => Event::UserCreated(user()),
        EventType::UserUpdated => Event::UserUpdated(UpdatedUser {
            user: user(),
            previous_attributes: previous("last_name", Value::String("Devis".into())),
        }),
        EventType::UserDeleted => {
            Event::UserDeleted(DirectoryUser { state: UserState::Inactive, ..user() })
        }
        EventType::GroupCreated => Event::GroupCreated(group()),
        EventType::GroupUpdated => Event::GroupUpdated(UpdatedGroup {
            group: group(),
            previous_attributes: previous("name", Value::String("Eng".into())),
        }),
        EventType::GroupDeleted => Event::GroupDeleted(group()),
        EventType::GroupUserAdded => Event::GroupUserAdded(membership()),
        EventType::GroupUserRemoved => Event::GroupUserRemoved(membership()),
        EventType::GroupPendingMemberAdded => Event::GroupPendingMemberAdded(pending()),
        EventType::GroupPendingMemberRemoved => Event::GroupPendingMemberRemoved(pending()),
        EventType::InactiveUserChanged => Event::InactiveUserChanged(InactiveUser {
            directory_id: directory_id(),
            scim_id: "0195a1c2-7f1c-7a9e-8d4b-6d3b1f0a7c11".parse().unwrap(),
            username: Some("marcelina.davis@acme.example".into()),
            change: InactiveUserChange::Joined,
            group: Some(group()),
        }),
        EventType::TokenCreated => Event::TokenCreated(token()),
        EventType::TokenRevoked => Event::TokenRevoked(token()),
    }
}

#[test]
fn every_event_reads_and_writes_its_golden_file() {
    for kind in EventType::ALL {
        let path = folder("golden").join(format!("{kind}.v1.json"));
        if !path.exists() && std::env::var_os("GOLDEN").is_some() {
            std::fs::write(&path, serde_json::to_string(&sample(*kind)).unwrap()).unwrap();
        }
        let golden = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}; GOLDEN=add writes it", path.display()));
        let event: Event = serde_json::from_str(&golden).unwrap();
        assert_eq!(event.kind(), *kind);
        assert_eq!(event, sample(*kind), "the golden file of {kind} says something else");
        assert_eq!(serde_json::to_string(&event).unwrap(), golden, "{kind} is written differently");
    }
}

#[test]
fn the_json_schemas_that_are_checked_in_are_those_of_the_code() {
    let path = folder("json").join("events.schema.json");
    let mut now = serde_json::to_string_pretty(&schemars::schema_for!(Event)).unwrap();
    now.push('\n');
    if std::env::var_os("SCHEMAS").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(checked_in == now, "{} is out of date; SCHEMAS=write writes it", path.display());
}

#[test]
fn a_sealed_commit_reads_back_as_records_that_follow_each_other() {
    let draft = |bits, event| Draft {
        id: EventId::from_bits(bits),
        at: at("2026-03-02T10:16:01.010Z"),
        event,
        change: Change::TokenMade { id: TokenId::from_bits(bits) },
    };
    let drafts =
        [draft(1, sample(EventType::UserUpdated)), draft(2, sample(EventType::GroupCreated))];
    let sealed = seal(&drafts, directory_id(), &Actor::default(), Seq(0), Head::default());

    let first = Record::decode(&sealed[0].value).unwrap();
    let second = Record::decode(&sealed[1].value).unwrap();
    assert_eq!((first.seq, first.prev, first.base), (Seq(1), Hash::default(), Seq(0)));
    assert_eq!(
        (second.seq, second.prev, second.base),
        (Seq(2), Hash::of(&sealed[0].value), Seq(0))
    );
    assert_eq!((second.commit.index, second.commit.len), (1, 2));
    assert_eq!(first.event, EventType::UserUpdated);
    let change: schemas::Change = serde_json::from_str(second.resource.get()).unwrap();
    assert_eq!(change, drafts[1].change);
    assert_eq!(serde_json::to_string(&second.change().unwrap()).unwrap(), second.resource.get());
    let data: serde_json::Value = serde_json::from_str(first.data.get()).unwrap();
    assert_eq!(data["previous_attributes"]["last_name"], "Devis");
    for (record, sealed) in [first, second].iter().zip(&sealed) {
        let said = &sealed.said;
        assert_eq!((said.data(), said.actor()), (record.data.get(), record.actor.get()));
        assert_eq!(
            (said.id(), said.event(), said.created_at()),
            (record.id, record.event, record.created_at)
        );
        assert_eq!(
            (said.link(), said.directory_id()),
            (record.link(sealed.head.hash), record.directory_id)
        );
        assert_eq!(serde_json::to_string(said.change()).unwrap(), record.resource.get());
    }
}

/// A user was created, and the state keeps these attributes of it.
fn created(attributes: SharedAttributes) -> Draft {
    let user = user();
    let change = Change::User {
        id: "0195a1c2-7f1c-7a9e-8d4b-6d3b1f0a7c11".parse().unwrap(),
        user_id: user.id,
        name_key: "marcelina.davis@acme.example".into(),
        created_at: user.created_at,
        attributes,
        shown: Shown::default(),
    };
    let at = at("2026-03-02T10:16:01.010Z");
    Draft { id: EventId::from_bits(1), at, event: Event::UserCreated(user), change }
}

/// The same user has changed.
fn updated(attributes: SharedAttributes) -> Draft {
    Draft { event: sample(EventType::UserUpdated), ..created(attributes) }
}

/// A group was renamed, and the state keeps these attributes of it.
fn renamed(attributes: SharedAttributes) -> Draft {
    let group = group();
    let change = Change::Group {
        id: "0195a1c2-7f1c-7a9e-8d4b-6d3b1f0a7c12".parse().unwrap(),
        group_id: group.id,
        idp_id: group.idp_id.clone(),
        name_key: "engineering".into(),
        created_at: group.created_at,
        attributes,
    };
    let event = sample(EventType::GroupUpdated);
    Draft { id: EventId::from_bits(2), at: at("2026-03-02T10:16:01.010Z"), event, change }
}

fn sealed(draft: &Draft) -> String {
    let draft = std::slice::from_ref(draft);
    let sealed = seal(draft, directory_id(), &Actor::default(), Seq(0), Head::default());
    String::from_utf8(sealed[0].value.to_vec()).unwrap()
}

#[test]
fn attributes_that_apps_are_told_as_they_are_stand_in_a_record_once() {
    // The same text, of another tree.
    let as_told = || parse(user().raw_attributes.json().get().as_bytes()).unwrap().into();
    let others = || Attributes::from([("userName", "ada")]).into();
    let drafts = [
        (created(user().raw_attributes), true),
        (created(as_told()), true),
        (created(others()), false),
        (renamed(group().raw_attributes), true),
        (renamed(others()), false),
    ];
    for (draft, once) in drafts {
        let value = sealed(&draft);
        let record = Record::decode(value.as_bytes()).unwrap();
        assert_eq!(!record.resource.get().contains("\"attributes\""), once, "{value}");
        let read = record.change().unwrap();
        let (read, kept) = (read.attributes().unwrap(), draft.change.attributes().unwrap());
        assert_eq!(read.json(), kept.json().get());
    }
}

#[test]
fn a_record_without_the_attributes_that_its_change_needs_is_refused() {
    let value = sealed(&created(user().raw_attributes)).replace("raw_attributes", "attributes");
    assert!(Record::decode(value.as_bytes()).unwrap().change().is_err());
}

/// What is in a log is read for ever: how records were written at any time is only ever added.
#[test]
fn records_are_read_however_they_were_written_and_written_as_the_last_of_them() {
    let drafts = [
        ("user.created", created(user().raw_attributes)),
        ("user.updated", updated(user().raw_attributes)),
        ("group.updated", renamed(group().raw_attributes)),
    ];
    for (name, draft) in drafts {
        let written = sealed(&draft);
        let kept = serde_json::to_string(&draft.change.stored()).unwrap();
        for form in ["attributes_once", "attributes_twice"] {
            let path = folder("golden").join(format!("records/{name}.{form}.json"));
            let is_last = form == "attributes_once";
            if !path.exists() && is_last && std::env::var_os("GOLDEN").is_some() {
                std::fs::write(&path, &written).unwrap();
            }
            let golden = std::fs::read_to_string(&path).unwrap_or_else(|error| {
                panic!("{}: {error}; GOLDEN=add writes the last form", path.display())
            });
            let change = Record::decode(golden.as_bytes()).unwrap().change().unwrap();
            assert_eq!(serde_json::to_string(&change).unwrap(), kept);
            assert_eq!(golden == written, is_last, "{form} of {name}");
        }
    }
}

#[test]
fn a_record_of_a_later_version_is_refused_by_its_number() {
    let later = br#"{"v":2,"entirely":"different"}"#;
    let error = Record::decode(later).unwrap_err();
    assert_eq!(error.to_string(), "the record has version 2, this program reads 1");
    assert!(Record::decode(b"not json").is_err());
}

#[test]
fn a_record_that_is_no_text_is_refused_wherever_that_shows() {
    let draft = Draft {
        id: EventId::from_bits(1),
        at: at("2026-03-02T10:16:01.010Z"),
        event: sample(EventType::UserUpdated),
        change: Change::TokenMade { id: TokenId::from_bits(1) },
    };
    let sealed = seal(&[draft], directory_id(), &Actor::default(), Seq(0), Head::default());
    let value = &sealed[0].value;
    let known = value.windows(5).position(|part| part == b"Devis").unwrap();
    let mut in_what_is_known = value.to_vec();
    in_what_is_known[known] = 0xff;
    let in_what_is_passed_over = [&b"{\"more\":\"\xff\","[..], &value[1..]].concat();
    for wrong in [in_what_is_known, in_what_is_passed_over] {
        let error = Record::decode(&wrong).unwrap_err();
        assert_eq!(error.to_string(), "the record is not text in UTF-8");
    }
}
