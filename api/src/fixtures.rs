//! Configuration to test with, for the tests of whoever stores it or needs some to be there.

use std::collections::BTreeMap;

use schemas::wire::DirectoryType;
use schemas::{DirectoryId, OrganizationId, Timestamp, TokenId};

use crate::ports::{NewDirectory, NewToken, Organization};

/// When all of it was made.
const MADE: i64 = 1;

/// The organization of this number.
#[must_use]
pub fn organization(number: u128) -> Organization {
    let created_at = Timestamp::from_millis(MADE);
    Organization {
        id: OrganizationId::from_bits(number),
        name: format!("organization {number}"),
        external_id: None,
        metadata: BTreeMap::new(),
        domains: Vec::new(),
        created_at,
        updated_at: created_at,
    }
}

/// The directory of this number, at the endpoint `endpoint-{number}`. The digest of its token has the number in
/// every byte.
#[must_use]
pub fn directory(organization_id: OrganizationId, number: u8) -> NewDirectory {
    let created_at = Timestamp::from_millis(MADE);
    let token = NewToken {
        id: TokenId::from_bits(number.into()),
        digest: [number; 32],
        suffix: "a1b2".to_owned(),
        created_at,
    };
    NewDirectory {
        id: DirectoryId::from_bits(number.into()),
        organization_id,
        endpoint_id: format!("endpoint-{number}"),
        external_key: format!("key-{number}"),
        kind: DirectoryType::Generic,
        name: format!("directory {number}"),
        among_max: None,
        token,
        created_at,
    }
}
