//! What an ID token has to say before anything else of it is believed (OpenID Connect Core §3.1.3.7). Its signature was
//! checked before.

use std::time::Duration;

use schemas::Timestamp;
use subtle::ConstantTimeEq as _;

use crate::ports::Claims;

/// How far the clocks of two machines may be apart.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(60);

/// What we asked for.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    pub(super) now: Timestamp,
}

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Wrong {
    /// Another provider made it.
    #[error("it is of another issuer")]
    Issuer,
    /// It is for another application, or was asked for by one.
    #[error("it is for another audience")]
    Audience,
    /// It is too old.
    #[error("it has expired")]
    Expired,
    /// It is from the future.
    #[error("it was issued in the future: are the clocks set?")]
    Future,
    /// It belongs to another sign-in.
    #[error("its nonce is that of another sign-in")]
    Nonce,
}

pub(super) fn check(claims: &Claims, expected: &Expected<'_>) -> Result<(), Wrong> {
    let Expected { issuer, client_id, nonce, now } = *expected;
    if claims.issuer != issuer {
        return Err(Wrong::Issuer);
    }
    let is_ours = claims.audience.iter().any(|one| one == client_id);
    let asked_by_us = match &claims.authorized_party {
        Some(party) => party == client_id,
        None => claims.audience.len() == 1,
    };
    if !is_ours || !asked_by_us {
        return Err(Wrong::Audience);
    }
    if claims.expires_at.after(CLOCK_SKEW_MAX) <= now {
        return Err(Wrong::Expired);
    }
    if claims.issued_at > now.after(CLOCK_SKEW_MAX) {
        return Err(Wrong::Future);
    }
    let same =
        claims.nonce.as_ref().is_some_and(|own| own.as_bytes().ct_eq(nonce.as_bytes()).into());
    if same { Ok(()) } else { Err(Wrong::Nonce) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From now on, or backwards.
    fn seconds(offset: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + offset * 1_000)
    }

    fn good() -> Claims {
        Claims {
            issuer: "https://login.example".to_owned(),
            audience: vec!["dsync".to_owned()],
            authorized_party: None,
            expires_at: seconds(300),
            issued_at: seconds(-2),
            nonce: Some("n".to_owned()),
            email: None,
            email_verified: false,
            groups: Vec::new(),
        }
    }

    fn judged(change: impl FnOnce(&mut Claims)) -> Result<(), Wrong> {
        let mut claims = good();
        change(&mut claims);
        let expected = Expected {
            issuer: "https://login.example",
            client_id: "dsync",
            nonce: "n",
            now: seconds(0),
        };
        check(&claims, &expected)
    }

    #[test]
    fn a_token_for_us_is_believed() {
        assert_eq!(judged(|_| {}), Ok(()));
        let both = vec!["dsync".to_owned(), "other".to_owned()];
        let party = |party: &str| Some(party.to_owned());
        assert_eq!(
            judged(|claims| (claims.audience, claims.authorized_party) = (both, party("dsync"))),
            Ok(())
        );
    }

    #[test]
    fn one_of_another_issuer_is_not() {
        assert_eq!(judged(|claims| claims.issuer.push('/')), Err(Wrong::Issuer));
    }

    #[test]
    fn one_for_others_is_not() {
        let both = vec!["dsync".to_owned(), "other".to_owned()];
        assert_eq!(
            judged(|claims| claims.audience = vec!["other".to_owned()]),
            Err(Wrong::Audience)
        );
        assert_eq!(judged(|claims| claims.audience.clear()), Err(Wrong::Audience));
        assert_eq!(judged(|claims| claims.audience = both), Err(Wrong::Audience), "who asked?");
        let party = Some("other".to_owned());
        assert_eq!(judged(|claims| claims.authorized_party = party), Err(Wrong::Audience));
    }

    #[test]
    fn one_out_of_its_time_is_not() {
        assert_eq!(judged(|claims| claims.expires_at = seconds(-59)), Ok(()), "clocks differ");
        assert_eq!(judged(|claims| claims.expires_at = seconds(-60)), Err(Wrong::Expired));
        assert_eq!(judged(|claims| claims.issued_at = seconds(60)), Ok(()), "clocks differ");
        assert_eq!(judged(|claims| claims.issued_at = seconds(61)), Err(Wrong::Future));
    }

    #[test]
    fn one_of_another_sign_in_is_not() {
        assert_eq!(judged(|claims| claims.nonce = Some("m".to_owned())), Err(Wrong::Nonce));
        assert_eq!(judged(|claims| claims.nonce = None), Err(Wrong::Nonce));
    }
}
