//! What a stranger may send: filters, paths, PATCH bodies, whole requests.
//!
//! Each function takes any bytes and panics if a promise is broken. `libfuzzer/` feeds them with what a
//! fuzzer makes up, `tests/replay.rs` with what it found worth keeping, which lies in `corpus/`. It stands
//! outside the product: nothing depends on it.
#![expect(
    clippy::missing_panics_doc,
    clippy::expect_used,
    reason = "a broken promise is told by panicking"
)]

mod request;
mod world;

use directory::patch::{self, NoMatch};
use schemas::scim::{Attributes, Filter, Path, USER, canonicalise, parse};

pub use request::request;

/// A filter that is read can be written, and read again as the same; a resource can be asked.
pub fn filter(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(filter) = text.parse::<Filter>() else { return };
    let _ = directory::matching::matches(&filter, &user(), &USER);
    let written = filter.to_string();
    if written.len() <= schemas::scim::FILTER_LENGTH_MAX {
        assert_eq!(written.parse::<Filter>().expect("what was written is read"), filter);
    }
}

/// A path that is read can be written, and read again as the same.
pub fn path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(path) = text.parse::<Path>() else { return };
    let written = path.to_string();
    if written.len() <= schemas::scim::FILTER_LENGTH_MAX {
        assert_eq!(written.parse::<Path>().expect("what was written is read"), path);
    }
}

/// Operations that are read leave a user as the schema has it, or as it was.
pub fn patch(data: &[u8]) {
    let Ok(body) = parse(data) else { return };
    let Ok(operations) = patch::parse_operations(&body) else { return };
    for no_match in [NoMatch::Upsert, NoMatch::NoTarget] {
        let mut resource = user();
        match patch::apply(&mut resource, &USER, &operations, no_match) {
            Ok(_) => {
                let canonical = canonicalise(&USER, resource.clone()).expect("it fits its schema");
                assert_eq!(canonical, resource);
            }
            Err(_) => assert_eq!(resource, user()),
        }
    }
}

fn user() -> Attributes {
    let body =
        br#"{"userName":"ada@x.test","externalId":"e1","active":true,"title":"T","x":{"y":1},
        "name":{"givenName":"Ada","familyName":"L"},
        "emails":[{"value":"a@x","type":"work","primary":true},{"value":"b@x","type":"home"}],
        "roles":[{"value":"r"}],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":
            {"department":"D","manager":{"value":"m"}}}"#;
    canonicalise(&USER, parse(body).expect("JSON")).expect("it fits its schema")
}
