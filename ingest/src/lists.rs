//! Lists: `GET` on a kind of resource or on the endpoint itself, and `POST` to a `.search` (RFC 7644
//! §3.4.2 and §3.4.3).

use axum::extract::State;
use axum::response::Response;
use directory::Group;
use schemas::DirectoryId;
use schemas::scim::{GROUP, ResourceSchema, USER};

use crate::auth::Call;
use crate::body::Scim;
use crate::cursor::{Cursor, ListId};
use crate::error::Failure;
use crate::http::Ingest;
use crate::ports::{ListQuery, Listed, Place, Start, UserView};
use crate::query::{Paging, Query};
use crate::represent::{self, List, Resource};
use crate::respond;
use crate::tolerance;

/// Of what a list is.
#[derive(Clone, Copy)]
enum What {
    Users,
    Groups,
    /// Users, then groups; each sorted by itself.
    Everything,
}

pub(crate) async fn users(
    State(ingest): State<Ingest>,
    call: Box<Call>,
) -> Result<Response, Failure> {
    list(&ingest, &call, &call.query, What::Users).await
}

pub(crate) async fn groups(
    State(ingest): State<Ingest>,
    call: Box<Call>,
) -> Result<Response, Failure> {
    list(&ingest, &call, &call.query, What::Groups).await
}

pub(crate) async fn everything(
    State(ingest): State<Ingest>,
    call: Box<Call>,
) -> Result<Response, Failure> {
    list(&ingest, &call, &call.query, What::Everything).await
}

pub(crate) async fn search_users(
    State(ingest): State<Ingest>,
    call: Box<Call>,
    Scim(body): Scim,
) -> Result<Response, Failure> {
    list(&ingest, &call, &Query::from_body(&body)?, What::Users).await
}

pub(crate) async fn search_groups(
    State(ingest): State<Ingest>,
    call: Box<Call>,
    Scim(body): Scim,
) -> Result<Response, Failure> {
    list(&ingest, &call, &Query::from_body(&body)?, What::Groups).await
}

pub(crate) async fn search_everything(
    State(ingest): State<Ingest>,
    call: Box<Call>,
    Scim(body): Scim,
) -> Result<Response, Failure> {
    list(&ingest, &call, &Query::from_body(&body)?, What::Everything).await
}

/// A page in the making.
struct Pages<'a> {
    ingest: &'a Ingest,
    directory: DirectoryId,
    query: &'a Query,
    base: &'a str,
}

/// Where the page goes on.
enum Next {
    Nowhere,
    AmongUsers(Place),
    /// At the first group if there is no place.
    AmongGroups(Option<Place>),
}

async fn list(
    ingest: &Ingest,
    call: &Call,
    query: &Query,
    what: What,
) -> Result<Response, Failure> {
    for rewrite in query.filter.iter().flat_map(|filter| tolerance::filter(what.schemas(), filter))
    {
        call.notes.tolerated(rewrite);
    }
    let directory = call.access.directory_id;
    let id = ListId::of(directory, what.name(), query.filter.as_ref(), query.sort.as_ref());
    let pages = Pages { ingest, directory, query, base: &call.base };
    let (start_index, cursor) = match query.paging.clone() {
        Paging::Index(from) => (Some(from), None),
        Paging::Cursor(None) => (None, Some(Cursor::new(id, false, None))),
        Paging::Cursor(Some(cursor)) => (None, Some(cursor.of(id)?)),
    };
    let skip = start_index.map_or(0, |from| from - 1);
    let (total, shown, next) = match what {
        What::Users => {
            let listed = pages.users(start(skip, cursor.as_ref()), query.count()).await?;
            let next = listed.next.map_or(Next::Nowhere, Next::AmongUsers);
            (listed.total, users_of(call, listed.items), next)
        }
        What::Groups => {
            let listed = pages.groups(start(skip, cursor.as_ref()), query.count()).await?;
            let next = listed.next.map_or(Next::Nowhere, |place| Next::AmongGroups(Some(place)));
            (listed.total, groups_of(call, listed.items), next)
        }
        What::Everything => pages.both(call, skip, cursor.as_ref()).await?,
    };
    let next = match next {
        Next::Nowhere => None,
        Next::AmongUsers(place) => Some(Cursor::new(id, false, Some(place))),
        Next::AmongGroups(place) => Some(Cursor::new(id, true, place)),
    };
    // Only who pages by cursor is handed one (RFC 9865 §2).
    let next = next.filter(|_| start_index.is_none()).map(|cursor| cursor.to_string());
    let head = List::new(total, shown.len()).at_index(start_index).before(next);
    respond::list(ingest, call, &query.projection, head, shown).await
}

impl What {
    const fn schemas(self) -> &'static [&'static ResourceSchema] {
        match self {
            Self::Users => &[&USER],
            Self::Groups => &[&GROUP],
            Self::Everything => &[&USER, &GROUP],
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Groups => "groups",
            Self::Everything => "everything",
        }
    }
}

fn start(skip: u64, cursor: Option<&Cursor>) -> Start {
    match cursor.and_then(|cursor| cursor.place.clone()) {
        Some(place) => Start::After(place),
        None => Start::Skip(skip),
    }
}

impl Pages<'_> {
    fn query(&self, start: Start, count: u32) -> ListQuery {
        let Query { filter, sort, .. } = self.query;
        let (filter, sort, base) = (filter.clone(), sort.clone(), self.base.to_owned());
        ListQuery { filter, sort, start, count, base }
    }

    async fn users(&self, start: Start, count: u32) -> Result<Listed<UserView>, Failure> {
        let query = self.query(start, count);
        Ok(self.ingest.replica.list_users(self.directory, query).await?)
    }

    async fn groups(&self, start: Start, count: u32) -> Result<Listed<Group>, Failure> {
        let query = self.query(start, count);
        Ok(self.ingest.replica.list_groups(self.directory, query).await?)
    }

    async fn both(
        &self,
        call: &Call,
        skip: u64,
        cursor: Option<&Cursor>,
    ) -> Result<(u64, Vec<Resource>, Next), Failure> {
        let count = self.query.count();
        let among_groups = cursor.is_some_and(|cursor| cursor.among_groups);
        let users = if among_groups {
            self.users(Start::Skip(0), 0).await?
        } else {
            self.users(start(skip, cursor), count).await?
        };
        let room = count.saturating_sub(u32::try_from(users.items.len()).unwrap_or(count));
        let from = if among_groups {
            start(0, cursor)
        } else {
            Start::Skip(skip.saturating_sub(users.total))
        };
        let groups = self.groups(from, room).await?;
        let next = match (users.next, groups.next) {
            (Some(place), _) => Next::AmongUsers(place),
            (None, Some(place)) => Next::AmongGroups(Some(place)),
            (None, None) if room == 0 && count > 0 && groups.total > 0 => Next::AmongGroups(None),
            (None, None) => Next::Nowhere,
        };
        let mut shown = users_of(call, users.items);
        shown.extend(groups_of(call, groups.items));
        Ok((users.total + groups.total, shown, next))
    }
}

fn users_of(call: &Call, views: Vec<UserView>) -> Vec<Resource> {
    views.into_iter().map(|view| represent::user(&call.base, view)).collect()
}

fn groups_of(call: &Call, groups: Vec<Group>) -> Vec<Resource> {
    groups.into_iter().map(|group| represent::group(&call.base, group)).collect()
}
