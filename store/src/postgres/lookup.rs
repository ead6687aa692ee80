//! What rows are found by, in a length that an index takes.
//!
//! An entry of a B-tree has room for 2,704 bytes, and a row whose entry is longer is refused. What the rules let in
//! today is shorter by far, but a log keeps what earlier rules let in, and no record may stop a partition. So a longer
//! value stands in its column as its beginning with a digest of all of it, which is as good for finding it:
//!
//! ```text
//!  "Ada…" (4,000 bytes) ──▶ its first 480 letters ++ SHA-256 of the whole, in hex
//! ```
//!
//! The whole value is in the attributes.

use std::borrow::Cow;

use schemas::Hash;

/// How long a value may be that stands in its column as it is.
const WHOLE_BYTES_MAX: usize = 2_048;

// Of what is allowed today nothing is cut, also where it grows without its letter case, and nothing looks like cut.
const _: () = assert!(directory::decide::LOOKUP_BYTES_MAX * 3 / 2 < CUT_BYTES_MAX);
const _: () = assert!(CUT_BYTES_MAX <= WHOLE_BYTES_MAX);

/// How much stands of a longer one: as much as `left` takes in the migrations and in the index of `idp_id`.
pub(super) const BEGINNING_CHARS: usize = 480;

/// The longest cut value: letters of four bytes each, and the digest.
const CUT_BYTES_MAX: usize = BEGINNING_CHARS * 4 + 64;

/// The value as it stands in a column that is looked into.
pub(super) fn key(value: &str) -> Cow<'_, str> {
    if value.len() <= WHOLE_BYTES_MAX {
        return Cow::Borrowed(value);
    }
    Cow::Owned(format!("{}{}", beginning(value), hex::encode(Hash::of(value.as_bytes()).0)))
}

/// The same of a text of one's own, which is not copied if it stands as it is.
pub(super) fn owned_key(value: String) -> String {
    if value.len() <= WHOLE_BYTES_MAX { value } else { key(&value).into_owned() }
}

/// What stands in a column stands for this value.
pub(super) fn whole<'v>(column: &'v str, value: impl FnOnce() -> String) -> Cow<'v, str> {
    // What is cut is no shorter than the letters that are left and the digest.
    if column.len() < BEGINNING_CHARS + 64 {
        return Cow::Borrowed(column);
    }
    let value = value();
    if value.len() > WHOLE_BYTES_MAX && key(&value) == column {
        Cow::Owned(value)
    } else {
        Cow::Borrowed(column)
    }
}

/// The first letters of a value, as `left` has them.
pub(super) fn beginning(value: &str) -> &str {
    value.char_indices().nth(BEGINNING_CHARS).map_or(value, |(end, _)| &value[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_an_index_would_not_take_stands_there_as_its_beginning_and_a_digest() {
        let short = "x".repeat(WHOLE_BYTES_MAX);
        assert_eq!(key(&short), short);
        assert_eq!(whole(&short, || "another".to_owned()), short);
        for letter in ["x", "é", "日", "🦀"] {
            let long = letter.repeat(WHOLE_BYTES_MAX + 1);
            let (one, other) = (key(&long), format!("{long}y"));
            assert!(one.len() <= CUT_BYTES_MAX && one.starts_with(beginning(&long)), "{one}");
            assert_ne!(one, key(&other));
            assert_eq!(whole(&one, || long.clone()), long);
            assert_eq!(whole(&one, || other), one, "it is another's");
        }
    }
}
