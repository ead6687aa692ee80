//! The audit trail on a history in memory: pages, formats, and what is refused.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use api::ports::{
    AdminEvent, AdminEventFilter, AdminEvents, Audit, AuditEvent, AuditFilter, Audited, Conclusion,
    Cursor, FoundActions, NewAdminEvent, Page, PageRequest, Permission, PortError, Reach,
    Verification, Verifier,
};
use async_trait::async_trait;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use schemas::{AdminEventId, DirectoryId, EventId, EventType, Hash, Seq, Timestamp};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::world::{NOW, World, id};

/// How many events there are, and at how many a page looks at most.
const EVENTS: u64 = 1_200;
const LOOKED_AT_MAX: u64 = 700;

/// The directory that they are about.
pub(crate) const DIRECTORY: DirectoryId = DirectoryId::from_bits(7);

/// One whose walk finds something in [`DIRECTORY`].
const CONFUSED: DirectoryId = DirectoryId::from_bits(8);

/// One whose walk is under way.
const BUSY: DirectoryId = DirectoryId::from_bits(9);

/// Events 1 to [`EVENTS`], each with its number as its place; `q` finds numbers that end with it.
pub(crate) struct FakeAudit;

fn number(id: EventId) -> u64 {
    u64::try_from(id.bits() & u128::from(u64::MAX)).unwrap()
}

fn event(number: u64) -> AuditEvent {
    let json = |value: Value| RawValue::from_string(value.to_string()).unwrap();
    AuditEvent {
        id: EventId::from_bits(id(number)),
        event: EventType::UserCreated,
        created_at: Timestamp::from_millis(NOW),
        data: json(json!({ "number": number })),
        directory_id: DIRECTORY,
        seq: Seq(number),
        hash: Hash([1; 32]),
        prev_hash: Hash([0; 32]),
        actor: json(json!({ "ip": "192.0.2.1", "user_agent": "=cmd()" })),
    }
}

/// Actions as they are told, the last one last.
#[derive(Default)]
pub(crate) struct FakeActions {
    pub(crate) kept: Mutex<Vec<AdminEvent>>,
    /// Held while nothing is to be concluded.
    pub(crate) concluding: tokio::sync::Mutex<()>,
    /// Whether there is no room for more.
    pub(crate) is_full: AtomicBool,
}

#[async_trait]
impl AdminEvents for FakeActions {
    async fn begin(&self, new: NewAdminEvent) -> Result<(), PortError> {
        if self.is_full.load(Ordering::Relaxed) {
            return Err(PortError::Full("there is none".into()));
        }
        let NewAdminEvent { id, action, actor, organization_id, targets, fields, .. } = new;
        let (unrecorded, outcome) = (new.unrecorded, new.outcome);
        self.kept.lock().unwrap().push(AdminEvent {
            id,
            action,
            actor,
            organization_id,
            targets,
            fields,
            unrecorded,
            outcome,
        });
        Ok(())
    }

    async fn conclude(&self, id: AdminEventId, conclusion: Conclusion) -> Result<(), PortError> {
        drop(self.concluding.lock().await);
        let mut kept = self.kept.lock().unwrap();
        let action = kept.iter_mut().find(|action| action.id == id).unwrap();
        action.outcome = Some(conclusion.outcome);
        action.targets.extend(conclusion.made);
        action.organization_id = conclusion.organization_id.or(action.organization_id);
        Ok(())
    }

    async fn list(
        &self,
        page: PageRequest<AdminEventId>,
        _: AdminEventFilter,
    ) -> Result<FoundActions, PortError> {
        let mut items = self.kept.lock().unwrap().clone();
        items.reverse();
        if let Some(Cursor::After(id)) = page.cursor {
            let at = items.iter().position(|action| action.id == id).unwrap();
            items.drain(..=at);
        }
        let has_after = items.len() > page.limit as usize;
        items.truncate(page.limit as usize);
        let page = Page { items, has_before: page.cursor.is_some(), has_after };
        Ok(FoundActions { page, looked_to: None })
    }
}

#[async_trait]
impl Audit for FakeAudit {
    async fn audit(
        &self,
        request: PageRequest<EventId>,
        filter: AuditFilter,
    ) -> Result<Audited, PortError> {
        let from = match request.cursor {
            Some(Cursor::After(id)) => number(id) + 1,
            Some(Cursor::Before(_)) | None => 1,
        };
        let events = filter.in_front_of.map_or(EVENTS, |id| number(id) - 1);
        let looked_to = events.min(from + LOOKED_AT_MAX - 1);
        let fits = |number: &u64| {
            filter.text.as_ref().is_none_or(|text| number.to_string().ends_with(text))
        };
        let limit = usize::try_from(request.limit).unwrap();
        let mut found: Vec<u64> = (from..=looked_to).filter(fits).take(limit + 1).collect();
        let is_full = found.len() > limit;
        found.truncate(limit);
        let page = Page {
            items: found.into_iter().map(event).collect(),
            has_before: request.cursor.is_some(),
            has_after: is_full || looked_to < events,
        };
        let looked_to = (!is_full && page.has_after).then(|| EventId::from_bits(id(looked_to)));
        Ok(Audited { page, looked_to })
    }

    async fn has_history(&self, _: Reach, directory: DirectoryId) -> Result<bool, PortError> {
        Ok([DIRECTORY, CONFUSED, BUSY].contains(&directory))
    }
}

#[async_trait]
impl Verifier for FakeAudit {
    async fn verify(
        &self,
        directory: Option<DirectoryId>,
    ) -> Result<Option<Verification>, PortError> {
        Ok(Some(match directory {
            Some(id) if id == BUSY => return Ok(None),
            None => Verification::Whole { events: EVENTS },
            Some(_) => Verification::Broken {
                // One walk tells of another directory than the one that was asked for.
                directory: directory.filter(|id| *id != CONFUSED).or(Some(DIRECTORY)),
                seq: Some(Seq(3)),
                what: "its hash differs".to_owned(),
            },
        }))
    }
}

async fn export(world: &World, accept: &str, query: &str) -> (String, String) {
    let request = Request::builder().uri(format!("/audit/events?{query}"));
    let request = request.header("authorization", "Bearer sk_full").header("accept", accept);
    let answer = world.send_request(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, 200);
    (answer.headers["content-type"].to_str().unwrap().to_owned(), answer.text)
}

#[tokio::test]
async fn an_event_of_the_audit_trail_says_what_proves_it() {
    let listed = World::new().get("/audit/events?limit=1").await.json();
    let (zeros, ones) = ("00".repeat(32), "01".repeat(32));
    let expected = json!({
        "object": "event", "id": EventId::from_bits(id(1)), "event": "dsync.user.created",
        "data": { "number": 1 }, "created_at": "2026-03-02T10:15:30.123Z", "context": {},
        "directory_id": DIRECTORY, "seq": 1, "hash": ones, "prev_hash": zeros,
        "actor": { "ip": "192.0.2.1", "user_agent": "=cmd()" },
    });
    assert_eq!(listed["data"], json!([expected]));
    assert_eq!(listed["list_metadata"]["after"], EventId::from_bits(id(1)).to_string());
}

#[tokio::test]
async fn a_list_goes_on_from_where_it_stopped_looking() {
    let world = World::new();
    let first = world.get("/audit/events?q=1000").await.json();
    assert_eq!(first["data"], json!([]));
    let after = first["list_metadata"]["after"].as_str().unwrap().to_owned();
    let second = world.get(&format!("/audit/events?q=1000&after={after}")).await.json();
    assert_eq!(second["data"][0]["seq"], 1_000);
    assert_eq!(second["list_metadata"]["after"], Value::Null);
}

#[tokio::test]
async fn an_export_holds_everything_that_fits() {
    let world = World::new();
    let (kind, lines) = export(&world, "application/x-ndjson", "").await;
    assert_eq!(kind, "application/x-ndjson");
    let seqs =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].clone());
    assert!(seqs.eq((1..=EVENTS).map(Value::from)));
    let (_, rare) = export(&world, "application/x-ndjson", "q=1000").await;
    assert_eq!(rare.lines().count(), 1);
    let (kind, table) = export(&world, "text/csv", "q=1000").await;
    assert_eq!(kind, "text/csv; charset=utf-8; header=present");
    let row = table.trim_end().split("\r\n").nth(1).unwrap();
    assert!(row.ends_with(r#",192.0.2.1,'=cmd(),,"{""number"":1000}",,,"#), "{row}");
}

#[tokio::test]
async fn an_export_ends_when_its_key_is_deleted_and_not_as_if_it_were_whole() {
    for path in ["/audit/events", "/admin_events"] {
        let world = World::new().add_key("sk_audit", Permission::Audit, None);
        assert_eq!(world.post("/organizations", json!({ "name": "Acme" })).await.status, 201);
        let first = world.actions.kept.lock().unwrap()[0].clone();
        let more = (2_000..3_200).map(|number| AdminEventId::from_bits(id(number)));
        let more = more.map(|id| AdminEvent { id, ..first.clone() });
        world.actions.kept.lock().unwrap().extend(more);
        for stays in [true, false] {
            let request = Request::builder().uri(path).header("accept", "application/x-ndjson");
            let request = request.header("authorization", "Bearer sk_audit");
            let mut body = world.open(request.body(Body::empty()).unwrap()).await.into_body();
            let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(first.split(|byte| *byte == b'\n').count(), 501, "a page of 500");
            if !stays {
                world.fake.state().keys.retain(|(key, _)| key.name != "sk_audit");
            }
            let rest = body.collect().await;
            assert_eq!(rest.is_ok(), stays, "{path}");
        }
    }
}

#[tokio::test]
async fn an_export_in_front_of_a_cursor_ends_where_it_stands() {
    let world = World::new();
    let cursor = EventId::from_bits(id(900));
    let (_, lines) = export(&world, "application/x-ndjson", &format!("before={cursor}")).await;
    let seqs =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].clone());
    assert!(seqs.eq((1..900).map(Value::from)));
}

#[tokio::test]
async fn whoever_asks_for_one_directory_is_told_of_no_other() {
    let answer = World::new().get(&format!("/audit/verify?directory={CONFUSED}")).await;
    assert_eq!(answer.status, 503);
    assert!(!answer.text.contains(&DIRECTORY.to_string()), "{}", answer.text);
}

#[tokio::test]
async fn a_walk_says_that_the_chain_is_whole_or_where_it_breaks() {
    let world = World::new();
    world.get("/audit/verify").await.is(
        200,
        &json!({ "object": "verification", "directory_id": null, "verified": true,
            "events": EVENTS, "difference": null }),
    );
    world.get(&format!("/audit/verify?directory={DIRECTORY}")).await.is(
        200,
        &json!({ "object": "verification", "directory_id": DIRECTORY, "verified": false,
            "events": null, "difference": { "directory_id": DIRECTORY, "seq": 3,
            "message": "its hash differs" } }),
    );
}

#[tokio::test]
async fn whoever_asks_for_a_walk_that_is_under_way_is_told_to_come_back() {
    let answer = World::new().get(&format!("/audit/verify?directory={BUSY}")).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.headers["retry-after"]),
        (503, &"30".parse().unwrap())
    );
    assert_eq!(answer.json()["code"], "verification_under_way");
}

#[tokio::test]
async fn wrong_parameters_of_the_audit_trail_are_named() {
    let world = World::new();
    for (query, status) in [
        ("directory=directory_01K0ZC4M8Q4T6V7W8X9YABCDEF", 404),
        ("user=somebody", 422),
        ("range_start=yesterday", 422),
        ("request_id=x", 422),
        ("events=dsync.nothing", 422),
        ("range_start=2026-03-02T10:15:30.123Z&range_end=2026-03-01T10:15:30.123Z", 422),
    ] {
        let answer = world.get(&format!("/audit/events?{query}")).await;
        assert_eq!(answer.status, status, "{query}: {}", answer.text);
        let field = query.split('=').next().unwrap();
        let is_named = answer.text.contains(field) || status == 404 || query.contains("&range_end");
        assert!(is_named, "{query}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_call_that_changes_something_is_kept_before_it_is_done() {
    let world = World::new();
    let answer = world.post("/organizations", json!({ "name": "Acme" })).await;
    assert_eq!(answer.status, 201);
    let made = answer.json()["id"].as_str().unwrap().to_owned();
    let refused = world.post("/api_keys", json!({ "name": "a", "secret": "x" })).await;
    assert_eq!(refused.status, 422);
    let listed = world.get("/admin_events").await.json();
    let [refused, done] = listed["data"].as_array().unwrap().as_slice() else { panic!("{listed}") };
    assert_eq!(done["action"], "organization.created");
    assert_eq!(done["targets"], json!([made]));
    assert_eq!((&done["organization_id"], &done["outcome"]), (&json!(made), &json!("done")));
    assert_eq!(done["fields"], json!(["name"]));
    assert_eq!(done["actor"]["type"], "api_key");
    assert_eq!(done["actor"]["name"], "sk_full");
    assert_eq!(
        (&refused["action"], &refused["outcome"]),
        (&json!("api_key.created"), &json!("refused"))
    );
    assert_eq!(refused["fields"], json!(["name"]), "the description knows no other");
    assert_eq!(world.get("/organizations").await.status, 200);
    assert_eq!(world.actions.kept.lock().unwrap().len(), 2, "who reads changes nothing");
}

#[tokio::test]
async fn nothing_is_changed_without_an_entry() {
    let world = World::new();
    world.actions.is_full.store(true, Ordering::Relaxed);
    let answer = world.post("/organizations", json!({ "name": "Acme" })).await;
    assert_eq!(answer.status, 507, "{}", answer.text);
    assert!(world.fake.state().organizations.is_empty());
    assert_eq!(world.get("/organizations").await.status, 200);
}

#[tokio::test]
async fn whoever_has_no_key_leaves_no_entry() {
    let world = World::new();
    let nobody = world.with_key("sk_nobody");
    assert_eq!(nobody.post("/organizations", json!({ "name": "Acme" })).await.status, 401);
    assert!(world.actions.kept.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_answered_again_is_one_action() {
    let world = World::new();
    for _ in 0..2 {
        let request = Request::builder().method("POST").uri("/organizations");
        let request = request.header("authorization", "Bearer sk_full");
        let request = request.header("idempotency-key", "one");
        let body = Body::from(json!({ "name": "Acme" }).to_string());
        assert_eq!(world.send_request(request.body(body).unwrap()).await.status, 201);
    }
    assert_eq!(world.actions.kept.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn actions_are_exported_as_lines_and_as_a_table() {
    let world = World::new();
    world.post("/organizations", json!({ "name": "Acme" })).await;
    let export = async |accept: &str| {
        let request = Request::builder().uri("/admin_events").header("accept", accept);
        let request = request.header("authorization", "Bearer sk_full");
        world.send_request(request.body(Body::empty()).unwrap()).await
    };
    let lines = export("application/x-ndjson").await;
    let line: Value = serde_json::from_str(lines.text.trim_end()).unwrap();
    assert_eq!(line["action"], "organization.created");
    let table = export("text/csv").await;
    let mut rows = table.text.split("\r\n");
    assert!(rows.next().unwrap().starts_with("id,action,created_at,outcome,"));
    let row = rows.next().unwrap();
    assert!(row.contains(",organization.created,") && row.contains(",name,0,api_key,"), "{row}");
}

#[tokio::test]
async fn what_was_done_for_a_client_that_hangs_up_is_told_all_the_same() {
    let world = World::new();
    let held = world.actions.concluding.lock().await;
    let request = world.post("/organizations", json!({ "name": "Acme" }));
    let done = async {
        while world.fake.state().organizations.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = request => panic!("it is answered before its end is kept"),
        () = done => {}
    }
    assert_eq!(world.actions.kept.lock().unwrap()[0].outcome, None);
    drop(held);
    let told = || world.actions.kept.lock().unwrap()[0].outcome;
    while told().is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(told(), Some(schemas::ActionOutcome::Done));
}
