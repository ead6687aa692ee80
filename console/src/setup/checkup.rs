//! What is wrong with a connection, and who can mend it where. A function of facts, and of the guide that says what
//! is usual for the provider.

use std::time::Duration;

use schemas::Timestamp;
use schemas::wire::DirectoryType;

use super::facts::{Answered, Facts};
use super::guide::{Guide, hours};

/// How long a refused request is told of.
const REFUSED_FOR: Duration = hours(24);

/// How long before its end the token that is used is something wrong, and not just to be known.
const ENDS_SOON: Duration = hours(48);

/// Something that is wrong, or will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// Nobody can connect.
    NoToken,
    /// The last request came with a token that opens nothing.
    WrongToken { at: Timestamp },
    /// Requests were refused; this was the last of them. What was sent of the same kind may have gone well since.
    Refused { request: Answered, count: usize, goes_well_since: bool },
    /// Users have no address.
    NoEmails { without: u64, looked_at: u64, example: Option<String>, by_user_name: bool },
    /// Users of Entra ID are known by something else than their object id.
    NoObjectId { without: u64, looked_at: u64, example: Option<String> },
    /// Groups have no members.
    EmptyGroups { empty: u64, looked_at: u64, example: Option<String>, waiting: u64 },
    /// Nothing has come for longer than is usual.
    Silence { since: Timestamp },
    /// Too much was removed at once.
    Held,
    /// There is a new token, and the old one is used, which may end by itself.
    OldTokenInUse { old: String, new: String, until: Option<Timestamp>, is_soon: bool },
    /// The only token ends by itself.
    LastTokenEnds { token: String, until: Timestamp, is_soon: bool },
    /// There are two tokens, and one is used. The other may end by itself.
    SpareToken { spare: String, used: String, until: Option<Timestamp> },
}

impl Finding {
    /// Whether something does not work. The others are to be known.
    pub(super) const fn is_wrong(&self) -> bool {
        match self {
            Self::NoToken
            | Self::WrongToken { .. }
            | Self::Refused { goes_well_since: false, .. }
            | Self::NoEmails { .. }
            | Self::OldTokenInUse { is_soon: true, .. }
            | Self::LastTokenEnds { is_soon: true, .. }
            | Self::Held => true,
            Self::NoObjectId { .. }
            | Self::EmptyGroups { .. }
            | Self::Refused { goes_well_since: true, .. }
            | Self::Silence { .. }
            | Self::OldTokenInUse { is_soon: false, .. }
            | Self::LastTokenEnds { is_soon: false, .. }
            | Self::SpareToken { .. } => false,
        }
    }
}

/// All of it, the worst first.
pub(super) fn findings(facts: &Facts, guide: &Guide) -> Vec<Finding> {
    let found = [
        facts.tokens.is_empty().then_some(Finding::NoToken),
        wrong_token(facts),
        refused(facts),
        no_emails(facts),
        facts.is_held.then_some(Finding::Held),
        last_token(facts),
        no_object_id(facts, guide),
        empty_groups(facts, guide),
        silence(facts, guide),
        two_tokens(facts),
    ];
    found.into_iter().flatten().collect()
}

fn wrong_token(facts: &Facts) -> Option<Finding> {
    let last = facts.requests.first().filter(|request| request.status == 401)?;
    (!facts.tokens.is_empty()).then_some(Finding::WrongToken { at: last.at })
}

/// Not those that say what was asked for (404), lost a race (412) or came too fast (429): they mend themselves.
fn refused(facts: &Facts) -> Option<Finding> {
    let is_told = |request: &&Answered| {
        request.status >= 400
            && !matches!(request.status, 401 | 404 | 412 | 429)
            && facts.now.since(request.at) < REFUSED_FOR
    };
    // What was answered well at the same place afterwards is mended. Creations all have the same place.
    let is_mended = |request: &Answered| {
        let same = |later: &&Answered| {
            later.at > request.at && later.path == request.path && later.status < 400
        };
        request.method != "POST" && facts.requests.iter().any(|later| same(&later))
    };
    let mut refused = facts.requests.iter().filter(is_told).filter(|request| !is_mended(request));
    let request = refused.next()?.clone();
    let is_alike = |later: &Answered| {
        later.at > request.at && later.method == request.method && later.status < 400
    };
    let goes_well_since =
        facts.requests.iter().any(|later| is_alike(later) && later.path == request.path);
    Some(Finding::Refused { request, count: 1 + refused.count(), goes_well_since })
}

fn no_emails(facts: &Facts) -> Option<Finding> {
    let people = &facts.people;
    (people.without_email > 0).then(|| Finding::NoEmails {
        without: people.without_email,
        looked_at: people.looked_at,
        example: people.example.clone(),
        by_user_name: people.called_by_address > 0,
    })
}

fn no_object_id(facts: &Facts, guide: &Guide) -> Option<Finding> {
    let people = &facts.people;
    let is_entra = guide.kind == DirectoryType::Azure;
    (is_entra && people.without_object_id > 0).then(|| Finding::NoObjectId {
        without: people.without_object_id,
        looked_at: people.looked_at,
        example: people.external_id.clone(),
    })
}

fn empty_groups(facts: &Facts, guide: &Guide) -> Option<Finding> {
    let sets = &facts.sets;
    (guide.has_groups() && sets.empty > 0).then(|| Finding::EmptyGroups {
        empty: sets.empty,
        looked_at: sets.looked_at,
        example: sets.example.clone(),
        waiting: sets.waiting,
    })
}

fn silence(facts: &Facts, guide: &Guide) -> Option<Finding> {
    let since = facts.last_let_in().filter(|_| facts.is_connected)?;
    (facts.now.since(since) > guide.quiet_max).then_some(Finding::Silence { since })
}

/// One that was to be replaced, and what was to take its place is gone.
fn last_token(facts: &Facts) -> Option<Finding> {
    let [last] = facts.tokens.as_slice() else { return None };
    let (token, until) = (last.suffix.clone(), last.expires_at?);
    Some(Finding::LastTokenEnds { token, until, is_soon: ends_soon(facts, until) })
}

fn ends_soon(facts: &Facts, until: Timestamp) -> bool {
    until.since(facts.now) < ENDS_SOON
}

/// A rotation that is not finished.
fn two_tokens(facts: &Facts) -> Option<Finding> {
    let [new, old] = facts.tokens.as_slice() else { return None };
    let (old_suffix, new_suffix) = (old.suffix.clone(), new.suffix.clone());
    let until = old.expires_at;
    if old.last_used_at > new.last_used_at {
        let is_soon = until.is_some_and(|until| ends_soon(facts, until));
        return Some(Finding::OldTokenInUse { old: old_suffix, new: new_suffix, until, is_soon });
    }
    new.last_used_at.map(|_| Finding::SpareToken { spare: old_suffix, used: new_suffix, until })
}

#[cfg(test)]
mod tests {
    use super::super::facts::{Ever, People, Sets, TokenFacts};
    use super::super::guide;
    use super::*;

    const MINUTE: i64 = 60_000;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_millis(minutes * MINUTE)
    }

    fn token(suffix: &str, last_used_at: Option<i64>) -> TokenFacts {
        let last_used_at = last_used_at.map(at);
        TokenFacts { suffix: suffix.into(), made_at: at(0), last_used_at, expires_at: None }
    }

    fn answered(minute: i64, method: &str, path: &str, status: u16) -> Answered {
        let (method, path) = (method.to_owned(), path.to_owned());
        Answered { at: at(minute), method, path, status, scim_type: None, detail: None }
    }

    /// Everything is well, ten minutes after the last request.
    fn well() -> Facts {
        Facts {
            now: at(1_000),
            is_connected: true,
            users: 3,
            groups: 1,
            memberships: 2,
            ever: Ever::default(),
            requests: vec![answered(990, "PATCH", "/Groups/1", 204)],
            people: People { looked_at: 3, ..People::default() },
            sets: Sets { looked_at: 1, ..Sets::default() },
            tokens: vec![token("aaaa", Some(990))],
            is_held: false,
        }
    }

    fn of(facts: &Facts, slug: &str) -> Vec<Finding> {
        findings(facts, guide::named(slug).unwrap())
    }

    #[test]
    fn given_that_all_is_well_then_nothing_is_found() {
        assert_eq!(of(&well(), "entra"), []);
        let new = Facts { tokens: vec![token("aaaa", None)], ..Facts::default() };
        assert_eq!(of(&new, "entra"), [], "nor before anything was done");
    }

    #[test]
    fn given_users_without_address_then_it_is_said_how_many_and_what_to_do() {
        let people = People {
            looked_at: 3,
            without_email: 2,
            called_by_address: 1,
            example: Some("adele@x.test".into()),
            ..People::default()
        };
        let found = of(&Facts { people: people.clone(), ..well() }, "okta");
        assert_eq!(
            found,
            [Finding::NoEmails {
                without: 2,
                looked_at: 3,
                example: Some("adele@x.test".into()),
                by_user_name: true
            }]
        );
        assert!(found[0].is_wrong());
        let people = People { called_by_address: 0, ..people };
        let found = of(&Facts { people, ..well() }, "okta");
        assert!(matches!(found[..], [Finding::NoEmails { by_user_name: false, .. }]), "{found:?}");
    }

    #[test]
    fn given_other_ids_than_object_ids_then_it_is_said_for_entra_alone() {
        let people = People {
            looked_at: 3,
            without_object_id: 3,
            external_id: Some("adele".into()),
            ..People::default()
        };
        let facts = Facts { people, ..well() };
        let found = of(&facts, "entra");
        assert!(matches!(found[..], [Finding::NoObjectId { without: 3, .. }]), "{found:?}");
        assert_eq!(of(&facts, "okta"), []);
    }

    #[test]
    fn given_groups_without_members_then_it_is_said_unless_none_are_ever_sent() {
        let sets = Sets { looked_at: 4, empty: 1, example: Some("Sales".into()), waiting: 2 };
        let facts = Facts { sets, ..well() };
        let found = of(&facts, "entra");
        assert!(matches!(found[..], [Finding::EmptyGroups { empty: 1, waiting: 2, .. }]));
        assert_eq!(of(&facts, "google"), []);
    }

    #[test]
    fn given_silence_then_it_depends_on_the_provider_how_long_is_too_long() {
        let facts = |minutes: i64| Facts { now: at(990 + minutes), ..well() };
        assert_eq!(of(&facts(3 * 60), "entra"), []);
        assert_eq!(of(&facts(3 * 60 + 1), "entra"), [Finding::Silence { since: at(990) }]);
        assert_eq!(of(&facts(3 * 60 + 1), "okta"), []);
        assert_eq!(of(&facts(15 * 24 * 60), "okta"), [Finding::Silence { since: at(990) }]);
    }

    #[test]
    fn given_a_wrong_token_then_it_is_said_until_a_right_one_comes() {
        let mut facts = well();
        facts.requests.insert(0, answered(995, "GET", "/Users", 401));
        assert_eq!(of(&facts, "entra"), [Finding::WrongToken { at: at(995) }]);
        facts.requests.insert(0, answered(996, "GET", "/Users", 200));
        assert_eq!(of(&facts, "entra"), []);
    }

    #[test]
    fn given_refused_requests_then_the_last_is_told_until_it_is_mended_or_old() {
        let mut facts = well();
        facts.requests.insert(0, answered(991, "PATCH", "/Users/7", 400));
        facts.requests.insert(0, answered(992, "POST", "/Users", 409));
        let found = of(&facts, "entra");
        assert!(
            matches!(&found[..], [Finding::Refused { request, count: 2, .. }] if request.status == 409),
            "{found:?}"
        );
        assert!(found[0].is_wrong());
        facts.requests.insert(0, answered(993, "PATCH", "/Users/7", 200));
        facts.requests.insert(0, answered(994, "POST", "/Users", 201));
        let found = of(&facts, "entra");
        assert!(matches!(&found[..], [Finding::Refused { count: 1, .. }]), "{found:?}");
        assert!(!found[0].is_wrong(), "another creation went well: who of it is not known");
        let later = Facts { now: at(992 + 24 * 60), ..facts };
        assert_eq!(of(&later, "okta"), []);
    }

    #[test]
    fn given_what_is_asked_for_in_vain_or_comes_too_fast_then_nothing_is_refused() {
        for status in [404, 412, 429] {
            let requests = vec![answered(995, "GET", "/Users/7", status)];
            assert_eq!(of(&Facts { requests, ..well() }, "entra"), [], "{status}");
        }
    }

    #[test]
    fn given_two_tokens_then_it_is_said_which_one_is_used() {
        let with = |new, old| {
            let tokens = vec![token("bbbb", new), token("aaaa", old)];
            of(&Facts { tokens, ..well() }, "entra")
        };
        let (old, new) = ("aaaa".to_owned(), "bbbb".to_owned());
        let spare = Finding::SpareToken { spare: old.clone(), used: new.clone(), until: None };
        let old_in_use = Finding::OldTokenInUse { old, new, until: None, is_soon: false };
        assert_eq!(with(None, Some(990)), std::slice::from_ref(&old_in_use));
        assert_eq!(with(Some(980), Some(990)), [old_in_use]);
        assert_eq!(with(Some(990), Some(980)), std::slice::from_ref(&spare));
        assert_eq!(with(Some(990), None), [spare]);
        assert_eq!(with(None, None), []);
    }

    #[test]
    fn given_a_token_that_ends_then_it_is_said_when_and_it_is_wrong_if_that_is_soon() {
        let ending =
            |used, until| TokenFacts { expires_at: Some(at(until)), ..token("aaaa", used) };
        let found = |tokens: Vec<TokenFacts>| {
            let [found] = of(&Facts { tokens, ..well() }, "entra").try_into().unwrap();
            found
        };
        let (old, new) = ("aaaa".to_owned(), "bbbb".to_owned());
        for (until, is_soon) in [(1_000 + 47 * 60, true), (1_000 + 48 * 60, false)] {
            let in_use = found(vec![token("bbbb", None), ending(Some(990), until)]);
            let (old, new, until) = (old.clone(), new.clone(), at(until));
            let expected =
                Finding::OldTokenInUse { old: old.clone(), new, until: Some(until), is_soon };
            assert_eq!((in_use.is_wrong(), &in_use), (is_soon, &expected));
            let last = found(vec![TokenFacts { expires_at: Some(until), ..token("aaaa", None) }]);
            let expected = Finding::LastTokenEnds { token: old, until, is_soon };
            assert_eq!((last.is_wrong(), &last), (is_soon, &expected));
        }
        let spare = found(vec![token("bbbb", Some(990)), ending(Some(980), 1_001)]);
        let expected = Finding::SpareToken { spare: old, used: new, until: Some(at(1_001)) };
        assert_eq!((spare.is_wrong(), &spare), (false, &expected));
    }

    #[test]
    fn given_no_token_then_that_comes_first() {
        let mut facts = Facts { tokens: vec![], is_held: true, ..well() };
        facts.people.without_email = 1;
        let found = of(&facts, "okta");
        assert_eq!(found[0], Finding::NoToken);
        assert_eq!(found[2], Finding::Held);
        assert!(found.iter().all(Finding::is_wrong));
    }
}
