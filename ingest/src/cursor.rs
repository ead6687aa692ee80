//! Cursors of lists, RFC 9865.
//!
//! A cursor is the place of the last resource that was shown, so that what comes or goes meanwhile moves
//! no page, and nothing is kept for it that could expire. It opens nothing: it only says where a list of
//! the caller's own directory goes on.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemas::DirectoryId;
use schemas::scim::{Filter, ScimError, ScimType};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ports::{Place, Sort};

/// How long a cursor can be. What a list is sorted by has up to [`KEY_LENGTH_MAX`] characters, each up to six bytes in JSON, which
/// base64 makes a third longer; the rest takes a few hundred.
///
/// [`KEY_LENGTH_MAX`]: directory::sorting::KEY_LENGTH_MAX
const LENGTH_MAX: usize = 4_096;

/// Where a list goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// Of which list it is.
    list: ListId,
    /// Whether it stands among the groups, in a list of users and groups.
    pub(crate) among_groups: bool,
    /// Behind which resource; at the first if there is none.
    pub(crate) place: Option<Place>,
}

/// A list by what it shows in which order. A cursor of one is of no use in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ListId([u8; 8]);

impl ListId {
    /// The list of this kind of resource of a directory, with this filter and order.
    pub(crate) fn of(
        directory: DirectoryId,
        kind: &str,
        filter: Option<&Filter>,
        sort: Option<&Sort>,
    ) -> Self {
        let filter = filter.map(ToString::to_string).unwrap_or_default();
        let sort = sort.map(|sort| format!("{} {}", sort.by, sort.descending)).unwrap_or_default();
        let digest = Sha256::digest(format!("{directory}\0{kind}\0{filter}\0{sort}"));
        let mut id = [0; 8];
        id.copy_from_slice(&digest[..8]);
        Self(id)
    }
}

impl Cursor {
    pub(crate) const fn new(list: ListId, among_groups: bool, place: Option<Place>) -> Self {
        Self { list, among_groups, place }
    }

    /// The cursor, if it is of this list.
    pub(crate) fn of(self, list: ListId) -> Result<Self, ScimError> {
        if self.list == list { Ok(self) } else { Err(invalid()) }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_vec(self).map_err(|_| fmt::Error)?;
        f.write_str(&URL_SAFE_NO_PAD.encode(json))
    }
}

impl FromStr for Cursor {
    type Err = ScimError;

    fn from_str(text: &str) -> Result<Self, ScimError> {
        let json = (text.len() <= LENGTH_MAX).then(|| URL_SAFE_NO_PAD.decode(text).ok()).flatten();
        json.and_then(|json| serde_json::from_slice(&json).ok()).ok_or_else(invalid)
    }
}

fn invalid() -> ScimError {
    ScimError::new(
        ScimType::InvalidCursor,
        "The cursor is not one of this list; send the nextCursor of the page before, with the same filter and \
         sortBy, or an empty cursor for the first page.",
    )
}

#[cfg(test)]
mod tests {
    use directory::sorting::sort_key;
    use schemas::scim::{Attributes, USER};

    use super::*;

    const DIRECTORY: DirectoryId = DirectoryId::from_bits(1);

    #[test]
    fn a_cursor_survives_the_way_out_and_back() {
        let list = ListId::of(DIRECTORY, "User", None, None);
        let cursor = Cursor::new(list, true, Some(Place { key: None, order: [7; 16] }));
        let text = cursor.to_string();
        assert_eq!(text.parse::<Cursor>().unwrap().of(list).unwrap(), cursor);
    }

    #[test]
    fn a_cursor_can_be_sent_back_whatever_the_list_is_sorted_by() {
        let list = ListId::of(DIRECTORY, "User", None, None);
        for text in ["\u{1}", "\u{1d11e}", "a"] {
            let title = Attributes::from([("title", text.repeat(13_000))]);
            let key = sort_key(&title, &"title".parse().unwrap(), &USER);
            let cursor = Cursor::new(list, false, Some(Place { key, order: [0xff; 16] }));
            assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        }
    }

    #[test]
    fn a_cursor_of_another_list_and_what_is_none_are_refused_alike() {
        let list = ListId::of(DIRECTORY, "User", None, None);
        let cursor = Cursor::new(list, false, None);
        let filter = "active eq true".parse().unwrap();
        let others = [
            ListId::of(DIRECTORY, "User", Some(&filter), None),
            ListId::of(DirectoryId::from_bits(2), "User", None, None),
        ];
        let expected = Some(ScimType::InvalidCursor);
        for other in others {
            assert_eq!(cursor.clone().of(other).unwrap_err().scim_type, expected);
        }
        for wrong in ["x", "e30", "%"] {
            assert_eq!(wrong.parse::<Cursor>().unwrap_err().scim_type, expected, "{wrong}");
        }
    }
}
