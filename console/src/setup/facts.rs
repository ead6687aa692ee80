//! What is known of a connection: found with a few questions that cost the same however large the directory is.

use api::ports::{
    AuditFilter, Directory, HoldState, Order, PageRequest, PortError, Reach, ScimRequest, Token,
};
use directory::User;
use directory::normalise::by_default;
use directory::resource::text;
use schemas::wire::DirectoryState;
use schemas::{EventType, RequestId, Timestamp};

use super::Site;
use crate::ports::{Arrived, Looks};

/// How much is looked at: enough to see what goes wrong for many, and little to read.
pub(super) const LOOKS: Looks = Looks { users: 100, groups: 500, memberships: 10_000 };

/// How many of the latest requests are looked at: what was refused is to be seen for a while when many come.
const REQUESTS: u32 = 400;

/// What is known of a connection.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Facts {
    /// When all this was so.
    pub(super) now: Timestamp,
    /// Whether the identity provider was ever let in.
    pub(super) is_connected: bool,
    /// How many users there are, inactive ones as well.
    pub(super) users: u64,
    /// How many groups.
    pub(super) groups: u64,
    /// How many memberships the latest groups have, counted up to a limit.
    pub(super) memberships: u64,
    /// The latest requests, the last one first.
    pub(super) requests: Vec<Answered>,
    /// What was here once, whether or not it is here now.
    pub(super) ever: Ever,
    /// What was seen of users.
    pub(super) people: People,
    /// What was seen of groups.
    pub(super) sets: Sets,
    /// The live tokens, the last one first.
    pub(super) tokens: Vec<TokenFacts>,
    /// Whether what was removed is kept from apps until somebody lets it go.
    pub(super) is_held: bool,
}

/// What history tells of, where there is none of it now: what was reached once stays reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ever {
    pub(super) users: bool,
    pub(super) groups: bool,
    pub(super) members: bool,
}

/// A request and what was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) at: Timestamp,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) status: u16,
    pub(super) scim_type: Option<String>,
    pub(super) detail: Option<String>,
}

/// What was seen of the users that changed last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct People {
    /// How many of them.
    pub(super) looked_at: u64,
    /// How many have no address that apps would see.
    pub(super) without_email: u64,
    /// How many of these are called by an address.
    pub(super) called_by_address: u64,
    /// The name of one without an address.
    pub(super) example: Option<String>,
    /// How many have an `externalId` that is no object id of Entra ID, or none.
    pub(super) without_object_id: u64,
    /// What one of them has for it.
    pub(super) external_id: Option<String>,
}

/// What was seen of the latest groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sets {
    /// How many of them.
    pub(super) looked_at: u64,
    /// How many have no member.
    pub(super) empty: u64,
    /// The name of one of these.
    pub(super) example: Option<String>,
    /// How many members of groups are no users here.
    pub(super) waiting: u64,
}

/// A live token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TokenFacts {
    pub(super) suffix: String,
    pub(super) made_at: Timestamp,
    pub(super) last_used_at: Option<Timestamp>,
    /// When it ends by itself, if it does.
    pub(super) expires_at: Option<Timestamp>,
}

impl Facts {
    /// Whether those memberships are all that there are.
    pub(super) const fn counts_all_memberships(&self) -> bool {
        self.memberships < LOOKS.memberships as u64 && self.groups <= self.sets.looked_at
    }

    /// When the identity provider was last let in, as far as is remembered.
    pub(super) fn last_let_in(&self) -> Option<Timestamp> {
        let request = self.requests.iter().find(|request| request.status != 401);
        let token = self.tokens.iter().filter_map(|token| token.last_used_at).max();
        request.map(|request| request.at).max(token)
    }
}

/// Asks for all of it.
pub(super) async fn facts(
    site: &Site,
    reach: Reach,
    directory: &Directory,
    tokens: &[Token],
) -> Result<Facts, PortError> {
    let page: PageRequest<RequestId> =
        PageRequest { reach, limit: REQUESTS, order: Order::Descending, cursor: None };
    let requests = site.directories.requests(directory.id, page).await?.items;
    let arrived = site.arrivals.arrived(directory.id, LOOKS).await?;
    let facts = gathered(site.edge.now(), directory, tokens, requests, &arrived);
    let ever = ever(site, reach, directory, &facts).await?;
    Ok(Facts { ever, ..facts })
}

/// Asks history for what is not here now.
async fn ever(
    site: &Site,
    reach: Reach,
    directory: &Directory,
    facts: &Facts,
) -> Result<Ever, PortError> {
    let happened = async |kind: EventType, is_here: bool| -> Result<bool, PortError> {
        if is_here || !facts.is_connected {
            return Ok(false);
        }
        let page = PageRequest { reach, limit: 1, order: Order::Ascending, cursor: None };
        let directory = Some(directory.id);
        let filter = AuditFilter { types: vec![kind], directory, ..AuditFilter::default() };
        // An index leads to the first of a type.
        Ok(!site.audit.audit(page, filter).await?.page.items.is_empty())
    };
    Ok(Ever {
        users: happened(EventType::UserCreated, facts.users > 0).await?,
        groups: happened(EventType::GroupCreated, facts.groups > 0).await?,
        members: happened(EventType::GroupUserAdded, facts.memberships > 0).await?,
    })
}

fn gathered(
    now: Timestamp,
    directory: &Directory,
    tokens: &[Token],
    requests: Vec<ScimRequest>,
    arrived: &Arrived,
) -> Facts {
    let counts = directory.counts;
    let token = |token: &Token| TokenFacts {
        suffix: token.suffix.clone(),
        made_at: token.created_at,
        last_used_at: token.last_used_at,
        expires_at: token.expires_at,
    };
    Facts {
        now,
        is_connected: directory.state == DirectoryState::Active,
        users: counts.active_users + counts.inactive_users,
        groups: counts.groups,
        memberships: arrived.memberships,
        requests: requests.into_iter().map(Answered::from).collect(),
        ever: Ever::default(),
        people: people(directory, &arrived.users),
        sets: Sets {
            looked_at: arrived.groups,
            empty: arrived.empty_groups,
            example: arrived.empty_group.clone(),
            waiting: arrived.waiting_members,
        },
        tokens: tokens.iter().map(token).collect(),
        is_held: directory.hold.is_some_and(|hold| hold.state == HoldState::Held),
    }
}

impl From<ScimRequest> for Answered {
    fn from(request: ScimRequest) -> Self {
        let ScimRequest { at, method, path, status, scim_type, detail, .. } = request;
        Self { at, method, path, status, scim_type, detail }
    }
}

/// By the rules as they are now, whether or not apps were told of it yet.
fn people(directory: &Directory, users: &[User]) -> People {
    let mut people = People::default();
    for user in users {
        people.looked_at += 1;
        let name = text(&user.attributes, "userName").unwrap_or_default();
        let email = match directory.apps.attribute_map.apply(&user.attributes) {
            Some(mapped) => mapped.email,
            None => by_default(&user.attributes).email,
        };
        if email.is_none() {
            people.without_email += 1;
            people.called_by_address += u64::from(is_address(name));
            people.example.get_or_insert_with(|| name.to_owned());
        }
        let external_id = text(&user.attributes, "externalId");
        if !external_id.is_some_and(is_object_id) {
            people.without_object_id += 1;
            people.external_id = people.external_id.or(external_id.map(str::to_owned));
        }
    }
    people
}

/// Whether a user name would do as an address: something, an `@`, and a domain.
fn is_address(name: &str) -> bool {
    let Some((before, domain)) = name.rsplit_once('@') else { return false };
    !before.is_empty() && domain.contains('.') && !name.contains(char::is_whitespace)
}

/// Whether this is an id as Entra ID gives: 32 hexadecimal digits in five groups.
fn is_object_id(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    lengths == [8, 4, 4, 4, 12]
        && groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_id_is_told_from_a_mail_nickname() {
        assert!(is_object_id("0d2f4f1e-9B3c-4a7f-8e21-5c6d7e8f9a0b"));
        for other in [
            "adele.vance",
            "",
            "0d2f4f1e9b3c4a7f8e215c6d7e8f9a0b",
            "0d2f4f1e-9b3c-4a7f-8e21-5c6d7e8f9a0g",
        ] {
            assert!(!is_object_id(other), "{other}");
        }
    }

    #[test]
    fn a_user_name_may_be_an_address() {
        assert!(is_address("adele@contoso.example"));
        for other in ["adele", "@contoso.example", "adele@contoso", "a b@contoso.example"] {
            assert!(!is_address(other), "{other}");
        }
    }

    #[test]
    fn memberships_of_the_latest_groups_are_not_all_where_there_are_more_groups() {
        let facts = |groups, looked_at, memberships| Facts {
            groups,
            memberships,
            sets: Sets { looked_at, ..Sets::default() },
            ..Facts::default()
        };
        assert!(facts(3, 3, 40).counts_all_memberships());
        assert!(!facts(3_000, 500, 1_200).counts_all_memberships());
        assert!(!facts(3, 3, 10_000).counts_all_memberships());
    }

    #[test]
    fn who_was_turned_away_was_not_let_in() {
        let answered = |seconds: i64, status| Answered {
            at: Timestamp::from_millis(seconds * 1_000),
            method: "GET".into(),
            path: "/Users".into(),
            status,
            scim_type: None,
            detail: None,
        };
        let facts =
            Facts { requests: vec![answered(50, 401), answered(20, 404)], ..Facts::default() };
        assert_eq!(facts.last_let_in(), Some(Timestamp::from_millis(20_000)));
        assert_eq!(Facts::default().last_let_in(), None);
    }
}
