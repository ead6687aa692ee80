//! The rules: given what is known, when something is asked, then these are the events.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]

mod groups;
mod laws;

use std::sync::Arc;

use directory::decide::{COMMIT_BYTES_MAX, LOOKUP_BYTES_MAX};
use directory::patch::{parse_operations, split_members};
use directory::resource::ScimSettings;
use directory::{Answer, Command, Decision, Facts, Needs, Rejection, Stamp, Undecided, decide};
use directory::{AppRules, AttributeMap, Directory, DirectoryToken};
use schemas::scim::{GROUP, ScimType, SharedAttributes, USER, Value, canonicalise, parse};
use schemas::wire::DirectoryType;
use schemas::{DirectoryId, Event, EventType, OrganizationId, ScimId, Seq, Timestamp, TokenId};
use serde_json::json;

/// A directory of which everything is known, since it began empty.
struct World {
    facts: Facts,
    ids: u128,
    millis: i64,
}

impl World {
    fn empty() -> Self {
        let directory = Directory {
            id: DirectoryId::from_bits(1),
            organization_id: OrganizationId::from_bits(2),
            external_key: "key".into(),
            scim: ScimSettings::default(),
            apps: AppRules::default(),
            kind: DirectoryType::Azure,
            name: "Acme".into(),
            domains: Vec::new(),
            tokens: Vec::new(),
            deleting: false,
            created_at: Timestamp::from_millis(0),
            updated_at: Timestamp::from_millis(0),
        };
        Self { facts: Facts::new(directory, Seq(0)), ids: 100, millis: 1_000 }
    }

    /// Decides, gathering on the way what is missing: in an empty world nothing is there.
    fn ask(&mut self, command: &Command) -> Result<Decision, Rejection> {
        self.gather(Needs::of(command));
        loop {
            self.millis += 1;
            let ids = &mut self.ids;
            let mut fresh = || {
                *ids += 1;
                *ids
            };
            let at = Timestamp::from_millis(self.millis);
            match decide(
                &mut self.facts,
                command,
                &mut Stamp { at, promised: None, ids: &mut fresh },
            ) {
                Ok(decision) => return Ok(decision),
                Err(Undecided::Rejected(rejection)) => return Err(rejection),
                Err(Undecided::Missing(missing)) => self.gather(*missing.0),
            }
        }
    }

    fn gather(&mut self, needs: Needs) {
        let facts = &mut self.facts;
        needs.users.into_iter().for_each(|id| {
            facts.users.entry(id).or_insert(None);
        });
        for name in needs.user_names {
            facts.user_names.entry(name).or_insert(None);
        }
        needs.groups.into_iter().for_each(|id| {
            facts.groups.entry(id).or_insert(None);
        });
        for id in needs.user_external_ids {
            facts.user_external_ids.entry(id).or_default();
        }
        for id in needs.group_external_ids {
            facts.group_external_ids.entry(id).or_insert(None);
        }
        for name in needs.group_names {
            facts.group_names.entry(name).or_insert(None);
        }
        for pair in needs.memberships {
            facts.memberships.entry(pair).or_insert(false);
        }
        for group in needs.members_of {
            facts.members_of.entry(group).or_default();
        }
        for user in needs.groups_of {
            if facts.groups_of.get(user).is_none() {
                facts.groups_of.all_of(user, [].into());
            }
        }
    }

    fn kinds(&mut self, command: &Command) -> Vec<EventType> {
        let decision = self.ask(command).unwrap();
        decision.drafts.iter().map(|draft| draft.event.kind()).collect()
    }

    fn user(&mut self, name: &str) -> ScimId {
        match self.ask(&create_user(name)).unwrap().answer {
            Answer::User(user) => user.id,
            other @ (Answer::Group(_) | Answer::Gone | Answer::Nothing) => panic!("{other:?}"),
        }
    }

    fn group(&mut self, name: &str, members: &[ScimId]) -> ScimId {
        let attributes = canonicalise(&GROUP, parse(&group_body(name)).unwrap()).unwrap();
        let members = members.iter().map(ToString::to_string).collect();
        match self.ask(&Command::CreateGroup { attributes, members }).unwrap().answer {
            Answer::Group(group) => group.id,
            other @ (Answer::User(_) | Answer::Gone | Answer::Nothing) => panic!("{other:?}"),
        }
    }
}

fn user_attributes(name: &str) -> schemas::scim::Attributes {
    let body = json!({ "userName": name, "title": "Engineer",
        "emails": [{ "type": "work", "value": name }] });
    canonicalise(&USER, parse(body.to_string().as_bytes()).unwrap()).unwrap()
}

fn create_user(name: &str) -> Command {
    Command::CreateUser { attributes: user_attributes(name).into() }
}

fn group_body(name: &str) -> Vec<u8> {
    json!({ "displayName": name }).to_string().into_bytes()
}

fn patch_user(id: ScimId, operations: serde_json::Value) -> Command {
    Command::PatchUser { id, operations: operations_of(&operations) }
}

fn patch_group(id: ScimId, operations: serde_json::Value) -> Command {
    let (operations, members) = split_members(operations_of(&operations)).unwrap();
    Command::PatchGroup { id, operations, members }
}

fn operations_of(operations: &serde_json::Value) -> Vec<directory::patch::Operation> {
    let body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": operations });
    parse_operations(&parse(body.to_string().as_bytes()).unwrap()).unwrap()
}

#[test]
fn a_created_user_is_active_and_carries_the_place_of_its_event_as_version() {
    let mut world = World::empty();
    let decision = world.ask(&create_user("ada@acme.example")).unwrap();
    let Answer::User(user) = decision.answer else { panic!("a user") };
    assert_eq!(user.version, Seq(1));
    assert_eq!(user.attributes.get("active"), Some(&Value::Bool(true)));
    assert!(
        matches!(&decision.drafts[..], [draft] if draft.event.kind() == EventType::UserCreated)
    );
}

#[test]
fn a_user_name_is_taken_in_any_letter_case_until_its_user_is_gone() {
    let mut world = World::empty();
    let ada = world.user("ada@acme.example");
    let again = create_user("ADA@acme.EXAMPLE");
    assert_eq!(world.ask(&again), Err(Rejection::UserNameTaken("ADA@acme.EXAMPLE".into())));
    world.ask(&Command::DeleteUser { id: ada }).unwrap();
    assert_eq!(world.kinds(&again), [EventType::UserCreated]);
}

#[test]
fn a_resend_of_the_same_user_is_no_event() {
    let mut world = World::empty();
    let id = world.user("ada@acme.example");
    let same = Command::ReplaceUser { id, attributes: user_attributes("ada@acme.example").into() };
    assert_eq!(world.kinds(&same), []);
    let title = json!([{ "op": "replace", "path": "title", "value": "Engineer" }]);
    assert_eq!(world.kinds(&patch_user(id, title)), []);
}

#[test]
fn extensions_in_another_order_are_no_event() {
    let mut world = World::empty();
    let body = |extensions: &str| {
        let text = format!(r#"{{"userName":"ada",{extensions}}}"#);
        canonicalise(&USER, parse(text.as_bytes()).unwrap()).unwrap().into()
    };
    let (a, b) = (r#""urn:a:2.0:U":{"x":1}"#, r#""urn:b:2.0:U":{"x":1}"#);
    let created = world.ask(&Command::CreateUser { attributes: body(&format!("{a},{b}")) });
    let Answer::User(user) = created.unwrap().answer else { panic!("a user") };
    let swapped = Command::ReplaceUser { id: user.id, attributes: body(&format!("{b},{a}")) };
    assert_eq!(world.kinds(&swapped), []);
    let fewer = Command::ReplaceUser { id: user.id, attributes: body(b) };
    assert_eq!(world.kinds(&fewer), [EventType::UserUpdated]);
}

#[test]
fn a_disabled_user_is_not_enabled_by_a_value_that_says_nothing() {
    let mut world = World::empty();
    let id = world.user("ada@acme.example");
    let set = |value: serde_json::Value| {
        patch_user(id, json!([{ "op": "replace", "path": "active", "value": value }]))
    };
    world.ask(&set(json!(false))).unwrap();
    let bare = patch_user(id, json!([{ "op": "replace", "value": { "active": null } }]));
    for empty in [set(serde_json::Value::Null), bare] {
        assert!(matches!(world.ask(&empty), Err(Rejection::Invalid(_))));
    }
    let silent = user_attributes("ada@acme.example");
    assert!(!silent.contains("active"));
    let replace = Command::ReplaceUser { id, attributes: silent.into() };
    assert_eq!(world.kinds(&replace), [], "who says nothing of it leaves it as it is");
    assert_eq!(world.kinds(&set(json!(true))), [EventType::UserUpdated]);
}

/// How a request is refused that has a value which is too long.
fn refusal(outcome: Result<Decision, Rejection>) -> String {
    let rejection = outcome.unwrap_err();
    let Rejection::Invalid(error) = rejection else { panic!("{rejection:?}") };
    assert_eq!((error.status, error.scim_type), (400, Some(ScimType::InvalidValue)));
    error.detail
}

#[test]
fn what_is_looked_up_by_is_bounded_and_who_has_it_longer_can_still_be_changed() {
    let mut world = World::empty();
    let (most, long) = ("x".repeat(LOOKUP_BYTES_MAX), "x".repeat(LOOKUP_BYTES_MAX + 1));
    let user = |body: &serde_json::Value| {
        let body = parse(body.to_string().as_bytes()).unwrap();
        canonicalise(&USER, body).unwrap()
    };
    let ada = world.user("ada");
    for (name, body) in [
        ("userName", json!({"userName": long})),
        ("externalId", json!({"userName": "ada", "externalId": long})),
        ("emails.value", json!({"userName": "ada", "emails": [{"value": "a@b"}, {"value": long}]})),
    ] {
        let attributes = SharedAttributes::from(user(&body));
        let create = Command::CreateUser { attributes: attributes.clone() };
        let replace = Command::ReplaceUser { id: ada, attributes };
        for refused in [refusal(world.ask(&create)), refusal(world.ask(&replace))] {
            assert!(refused.contains(&format!("\"{name}\" has 1025 bytes")), "{refused}");
            assert!(refused.contains("at most 1024"), "{refused}");
        }
    }
    for (name, body) in [
        ("displayName", json!({"displayName": long})),
        ("externalId", json!({"displayName": "Crew", "externalId": long})),
    ] {
        let body = parse(body.to_string().as_bytes()).unwrap();
        let attributes = canonicalise(&GROUP, body).unwrap();
        let refused = refusal(world.ask(&Command::CreateGroup { attributes, members: vec![] }));
        assert!(refused.contains(&format!("\"{name}\" has 1025 bytes")), "{refused}");
    }
    world.user(&most);

    // As rules before these have let it in.
    let before =
        SharedAttributes::from(user(&json!({"userName": long, "emails": [{"value": long}]})));
    let known = world.facts.users.get_mut(&ada).unwrap().as_mut().unwrap();
    (known.attributes, known.name_key) = (before, long.clone());
    world.facts.user_names.insert(long, Some(ada));
    let disable = json!([{ "op": "replace", "path": "active", "value": false }]);
    assert_eq!(world.kinds(&patch_user(ada, disable)), [EventType::UserUpdated]);
    assert_eq!(world.kinds(&Command::DeleteUser { id: ada }), [EventType::UserDeleted]);
}

#[test]
fn what_the_attribute_map_makes_to_look_up_by_is_bounded_too() {
    let mut world = World::empty();
    let map = json!({"standard": {"idp_id": "title"}});
    world.facts.directory.apps.attribute_map = Arc::new(AttributeMap::parse(&map).unwrap());
    let body = json!({"userName": "ada", "title": "x".repeat(LOOKUP_BYTES_MAX + 1)});
    let body = parse(body.to_string().as_bytes()).unwrap();
    let attributes = SharedAttributes::from(canonicalise(&USER, body).unwrap());
    let refused = refusal(world.ask(&Command::CreateUser { attributes }));
    assert!(refused.contains("\"idp_id\", as the attribute map makes it, has 1025"), "{refused}");
}

#[test]
fn a_commit_has_a_limit_in_bytes_and_says_how_to_keep_it() {
    // Few that are large, and many of which none is.
    for (count, bytes) in [(320, 440_000), (6_300, 22_000)] {
        let mut world = World::empty();
        let members: Vec<ScimId> = (0..count).map(|at| world.user(&format!("user{at}"))).collect();
        let group = world.group("Crew", &[]);
        let photo = json!({"userName": "x", "photos": [{"value": "x".repeat(bytes)}]});
        let body = parse(photo.to_string().as_bytes()).unwrap();
        let large = SharedAttributes::from(canonicalise(&USER, body).unwrap());
        for id in &members {
            let user = world.facts.users.get_mut(id).unwrap().as_mut().unwrap();
            user.attributes = large.clone();
        }
        let tail = world.facts.tail;
        let joining = |some: &[ScimId]| {
            let values: Vec<_> = some.iter().map(|id| json!({"value": id.to_string()})).collect();
            patch_group(group, json!([{ "op": "add", "path": "members", "value": values }]))
        };
        let Rejection::Invalid(error) = world.ask(&joining(&members)).unwrap_err() else {
            panic!("it is no TooManyChanges")
        };
        assert_eq!(error.status, 413);
        assert!(error.detail.contains(&format!("{count} events")), "{}", error.detail);
        assert!(error.detail.contains(&COMMIT_BYTES_MAX.to_string()), "{}", error.detail);
        assert!(error.detail.contains("fewer members"), "{}", error.detail);
        assert_eq!(world.facts.tail, tail, "nothing is decided");
        assert_eq!(world.kinds(&joining(&members[..100])).len(), 100);
    }
}

#[test]
fn an_event_that_the_log_would_not_take_is_refused_with_its_largest_attribute() {
    let mut world = World::empty();
    let refused = |outcome: Result<Decision, Rejection>| {
        let rejection = outcome.unwrap_err();
        let Rejection::Invalid(error) = rejection else { panic!("{rejection:?}") };
        (error.status, error.detail)
    };
    let with = |attribute: &str, value: serde_json::Value| {
        let mut body = json!({"userName": "ada", "title": "T"});
        body[attribute] = value;
        let body = parse(body.to_string().as_bytes()).unwrap();
        Command::CreateUser { attributes: canonicalise(&USER, body).unwrap().into() }
    };
    let photo = |bytes: usize| json!([{"value": "x".repeat(bytes)}]);
    let (status, detail) = refused(world.ask(&with("photos", photo(460_000))));
    assert_eq!(status, 413);
    assert!(detail.contains("\"photos\" of the user is the largest with 460014"), "{detail}");
    let badge = json!({"pin": "\u{1}".repeat(100_000), "x": 1});
    let (_, detail) = refused(world.ask(&with("urn:example:2.0:Badge", badge)));
    assert!(detail.contains("\"urn:example:2.0:Badge:pin\" of the user"), "{detail}");
    assert_eq!(world.facts.tail, Seq(0), "nothing is decided");

    world.ask(&with("photos", photo(440_000))).unwrap();
    let ada = world.facts.user_names["ada"].unwrap();
    let change = json!([{"op": "replace", "path": "photos", "value": photo(440_000)},
        {"op": "add", "path": "photos", "value": [{"value": "y"}]}]);
    let (_, detail) = refused(world.ask(&patch_user(ada, change)));
    assert!(detail.contains("\"photos\""), "{detail}");
    world.ask(&patch_user(ada, json!([{"op": "remove", "path": "photos"}]))).unwrap();
}

#[test]
fn an_update_names_the_old_values_of_what_changed_and_nothing_else() {
    let mut world = World::empty();
    let id = world.user("ada@acme.example");
    let change = json!([{ "op": "replace", "path": "active", "value": false },
        { "op": "add", "path": "nickName", "value": "Ada" }]);
    let decision = world.ask(&patch_user(id, change)).unwrap();
    let [draft] = &decision.drafts[..] else { panic!("one event") };
    let Event::UserUpdated(updated) = &draft.event else { panic!("an update") };
    let previous = serde_json::to_value(&updated.previous_attributes).unwrap();
    let expected =
        json!({ "state": "active", "raw_attributes": { "active": true, "nickName": null } });
    assert_eq!(previous, expected);
}

#[test]
fn a_rename_to_a_taken_name_is_refused_and_to_another_case_of_the_own_name_is_not() {
    let mut world = World::empty();
    world.user("ada@acme.example");
    let bob = world.user("bob@acme.example");
    let rename = |name: &str| json!([{ "op": "replace", "value": { "userName": name } }]);
    let taken = world.ask(&patch_user(bob, rename("Ada@acme.example")));
    assert_eq!(taken, Err(Rejection::UserNameTaken("Ada@acme.example".into())));
    let own = patch_user(bob, rename("Bob@acme.example"));
    assert_eq!(world.kinds(&own), [EventType::UserUpdated]);
}

#[test]
fn the_identity_provider_connects_once() {
    let mut world = World::empty();
    assert_eq!(world.kinds(&Command::Activate), [EventType::Activated]);
    assert_eq!(world.kinds(&Command::Activate), []);
}

#[test]
fn the_stream_is_told_what_the_configuration_says_and_only_once() {
    let mut world = World::empty();
    let token = |bits, revoked| DirectoryToken {
        id: TokenId::from_bits(bits),
        suffix: "a1b2".into(),
        created_at: Timestamp::from_millis(5),
        revoked,
    };
    world.facts.directory.tokens = vec![token(1, false), token(2, true)];
    let (made, revoked) = (EventType::TokenCreated, EventType::TokenRevoked);
    assert_eq!(world.kinds(&Command::Reconcile), [made, made, revoked]);
    assert_eq!(world.kinds(&Command::Reconcile), []);

    world.facts.directory.deleting = true;
    assert_eq!(world.kinds(&Command::Reconcile), [EventType::Deleted]);
    assert_eq!(world.ask(&Command::Reconcile), Err(Rejection::DirectoryGone));
    assert_eq!(world.ask(&create_user("late@acme.example")), Err(Rejection::DirectoryGone));
}
