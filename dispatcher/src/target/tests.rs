use schemas::{DirectoryId, EndpointId, EndpointKind, EventId, EventType, OperationalEvent, Seq};

use super::*;
use crate::ports::{FeedPosition, Filter, Order, Secret, Topic};

fn endpoint(url: &str, format: Format) -> Endpoint {
    Endpoint {
        id: EndpointId::from_bits(1),
        kind: EndpointKind::Directory,
        url: url.to_owned(),
        secrets: vec![Secret::new("whsec_AAAA".to_owned())],
        filter: Filter::default(),
        enabled: true,
        order: Order::Resource,
        retry_schedule: None,
        format,
        timeout: None,
        identity: None,
        created_at: Timestamp::from_millis(0),
    }
}

fn event(topic: Topic, directory_id: DirectoryId) -> FeedEvent {
    let body = r#"{"object":"event","id":"x","event":"x","data":{"user":{"id":"directory_user_1"},
        "group":{"id":"directory_group_1"}},"created_at":"2026-03-02T10:15:30.123Z","context":{}}"#;
    FeedEvent {
        position: FeedPosition(1),
        id: EventId::from_bits(7),
        topic,
        organization_id: None,
        directory_id,
        seq: Seq(42),
        user: None,
        group: None,
        request: None,
        held: None,
        body: Bytes::from_static(body.as_bytes()),
    }
}

fn request(url: &str, format: Format, event: &FeedEvent) -> client::Request {
    let target = Target::new(&endpoint(url, format), None, &"https://dsync.example".into());
    let at = Timestamp::from_millis(1_772_446_530_123);
    target.unwrap().request(event, 2, at, event.body.clone())
}

const TOPIC: &str = "kafka://b:9092,a:9092/dir.events";

#[test]
fn a_record_is_a_cloud_event_with_the_signature_of_every_delivery() {
    let directory = DirectoryId::from_bits(3);
    let event = event(Topic::Directory(EventType::GroupUserAdded), directory);
    let record = request(TOPIC, Format::Webhook, &event);
    let To::Topic { topic, key } = &record.to else { panic!("{:?}", record.to) };
    assert_eq!((topic.name(), key), ("dir.events", &directory.to_string()));
    let posted = request("https://app.example/", Format::Webhook, &event);
    assert_eq!(record.body, posted.body);
    let text = |name: &str| record.headers[name].to_str().unwrap().to_owned();
    assert_eq!(text("ce_specversion"), "1.0");
    assert_eq!(text("ce_id"), event.id.to_string());
    assert_eq!(text("ce_type"), "dsync.group.user_added");
    assert_eq!(text("ce_source"), format!("/directories/{directory}"));
    assert_eq!(text("ce_time"), "2026-03-02T10:15:30.123Z");
    assert_eq!(text("ce_subject"), "directory_user_1");
    assert_eq!(text("content-type"), "application/json");
    let shared = ["webhook-id", "webhook-timestamp", "webhook-signature", "dsync-sequence"];
    for name in shared.into_iter().chain(["dsync-attempt"]) {
        assert_eq!(record.headers[name], posted.headers[name]);
    }
    for name in ["workos-signature", "user-agent", "accept"] {
        assert!(!record.headers.contains_key(name), "{name}");
    }
}

#[test]
fn events_of_the_installation_are_one_stream() {
    let event = event(Topic::Operational(OperationalEvent::EndpointFailing), OPERATIONAL);
    let record = request(TOPIC, Format::Webhook, &event);
    assert!(matches!(&record.to, To::Topic { key, .. } if key == "operational"));
    assert_eq!(record.headers["ce_source"], "/operational");
    assert_eq!(record.headers["ce_type"], "endpoint.failing");
}

#[test]
fn a_token_in_a_record_says_what_it_is() {
    let event = event(Topic::Directory(EventType::UserCreated), DirectoryId::from_bits(3));
    let record = request(TOPIC, Format::ScimSet, &event);
    assert_eq!(record.headers["content-type"], "application/secevent+jwt");
    assert_eq!(record.headers["ce_type"], "dsync.user.created");
}
