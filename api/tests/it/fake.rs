//! The ports on vectors.

mod configuration;
mod directories;
mod endpoints;
mod host_names;
mod portal_links;
mod reading;

use std::sync::{Mutex, MutexGuard};

use api::ports::{
    ApiKey, Attempt, AttemptFilter, BoxError, Cursor, Delivering, Digest, Directory, Endpoint,
    EventFilter, Host, NewReplay, Order, Organization, Page, PageRequest, PortError, PortalLink,
    Reach, Replay, Rotation, Sample, ScimService, Start, StoredEvent, Token,
};
use schemas::wire::{DirectoryGroup, DirectoryUserWithGroups};
use schemas::{Actor, ApiKeyId, DirectoryId, EventType, OrganizationId};

/// An event with what it is filtered by.
pub(crate) struct FakeEvent {
    pub(crate) stored: StoredEvent,
    pub(crate) kind: EventType,
    pub(crate) organization: OrganizationId,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) keys: Vec<(ApiKey, Digest)>,
    pub(crate) organizations: Vec<Organization>,
    pub(crate) directories: Vec<Directory>,
    pub(crate) tokens: Vec<(DirectoryId, Token, Digest)>,
    pub(crate) scim: Option<ScimService>,
    pub(crate) rotations: Vec<Rotation>,
    pub(crate) secrets: Vec<(DirectoryId, Token, Digest)>,
    /// The last that was set, whichever client it was for.
    pub(crate) token_lifetime_secs: Option<u32>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) links: Vec<(PortalLink, Digest)>,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) delivering: Delivering,
    /// With what the last endpoint was created.
    pub(crate) start: Start,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) attempt_filters: Vec<AttemptFilter>,
    pub(crate) replays: Vec<Replay>,
    pub(crate) new_replays: Vec<NewReplay>,
    pub(crate) samples: Vec<Sample>,
    pub(crate) users: Vec<DirectoryUserWithGroups>,
    pub(crate) groups: Vec<DirectoryGroup>,
    pub(crate) events: Vec<FakeEvent>,
    pub(crate) reconciled: Vec<DirectoryId>,
    /// Who caused each of these.
    pub(crate) actors: Vec<Actor>,
    pub(crate) touched: Vec<ApiKeyId>,
    pub(crate) event_filters: Vec<EventFilter>,
    /// The next list of organizations fails like this.
    pub(crate) failure: Option<PortError>,
}

#[derive(Default)]
pub(crate) struct Fake(Mutex<State>);

impl Fake {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

pub(crate) fn broken(text: &str) -> BoxError {
    text.to_owned().into()
}

fn page<I: Ord + Copy, T>(
    request: PageRequest<I>,
    mut items: Vec<T>,
    id: impl Fn(&T) -> I,
) -> Page<T> {
    items.sort_by_key(&id);
    if request.order == Order::Descending {
        items.reverse();
    }
    let in_front = |item: &T, cursor: I| match request.order {
        Order::Ascending => id(item) < cursor,
        Order::Descending => id(item) > cursor,
    };
    let limit = usize::try_from(request.limit).unwrap();
    let (start, end) = match request.cursor {
        None => (0, limit),
        Some(Cursor::After(cursor)) => {
            let start = items.partition_point(|item| in_front(item, cursor) || id(item) == cursor);
            (start, start + limit)
        }
        Some(Cursor::Before(cursor)) => {
            let end = items.partition_point(|item| in_front(item, cursor));
            (end.saturating_sub(limit), end)
        }
    };
    let end = end.min(items.len());
    let (has_before, has_after) = (start > 0, end < items.len());
    Page { items: items.drain(start..end).collect(), has_before, has_after }
}

fn one<T: Clone>(items: &[T], fits: impl Fn(&T) -> bool) -> Result<T, PortError> {
    items.iter().find(|item| fits(item)).cloned().ok_or(PortError::NotFound)
}

fn is_in_reach(reach: Reach, organization: Option<OrganizationId>) -> bool {
    organization.map_or(reach == Reach::Everything, |id| reach.covers(id))
}
