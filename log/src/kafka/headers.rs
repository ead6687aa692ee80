//! The attributes of CloudEvents that a record carries as Kafka headers, so that consumers can route and filter
//! without reading its value.
//!
//! They are read from the value itself and so can never say anything else than it does. Nothing in dsync reads them.

use rdkafka::message::{Header, OwnedHeaders};
use schemas::Record;
use schemas::cloud_event::{Attributes, Source, subject};

/// The headers of a record. A value that is no record, which only tests append, has none.
pub(super) fn of(value: &[u8]) -> OwnedHeaders {
    let Ok(record) = Record::decode(value) else { return OwnedHeaders::new() };
    let attributes = Attributes {
        id: record.id,
        kind: record.event.name(),
        source: Source::Directory(record.directory_id),
        time: Some(record.created_at),
        subject: subject(record.data.get()),
        content_type: "application/json",
    };
    let headers = OwnedHeaders::new_with_capacity(7);
    attributes
        .headers()
        .iter()
        .fold(headers, |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
}
