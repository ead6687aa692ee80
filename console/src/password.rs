//! Passwords: argon2id, as slow for who guesses as for who knows.
//!
//! Both functions take tens of milliseconds and 19 MiB; call them where blocking is allowed.

use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Argon2, PasswordHash as Phc};

use crate::ports::PasswordHash;

/// How long a password may be, in bytes: more than anyone types, and less than it costs to hash.
pub const PASSWORD_BYTES_MAX: usize = 1_024;

/// How many bytes of chance keep two hashes of one password apart (RFC 9106 §3.1).
const SALT_BYTES: usize = 16;

/// What a password is checked with from now on. The salt is chance that nobody used before.
///
/// The parameters are those that RFC 9106 and OWASP give for a server that has other things to do:
/// 19 MiB, two passes, one lane.
#[must_use]
pub fn hash(password: &str, salt: &[u8; 32]) -> PasswordHash {
    let salt = SaltString::encode_b64(&salt[..SALT_BYTES]).expect("16 bytes are a salt");
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt);
    PasswordHash::new(hash.expect("the parameters are sound").to_string())
}

/// Whether this is the password. A hash that cannot be read fits none.
#[must_use]
pub fn fits(password: &str, hash: &PasswordHash) -> bool {
    let Ok(hash) = Phc::new(hash.expose()) else { return false };
    Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_fits_its_own_hash_and_no_other() {
        let own = hash("correct horse", &[1; 32]);
        assert!(own.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", own.expose());
        assert!(fits("correct horse", &own));
        assert!(!fits("correct horse ", &own));
        assert!(!fits("", &own));
        assert_ne!(own, hash("correct horse", &[2; 32]), "the salt makes them differ");
    }

    #[test]
    fn a_hash_that_cannot_be_read_fits_nothing() {
        assert!(!fits("", &PasswordHash::new(String::new())));
        assert!(!fits("x", &PasswordHash::new("$argon2id$nonsense".to_owned())));
    }
}
