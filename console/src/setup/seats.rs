//! Room for pages that are kept up to date, so that one organization does not take that of the others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use schemas::OrganizationId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many pages of an organization may be kept up to date at once: a few administrators with a few tabs each.
const SEATS_MAX: usize = 20;

/// The seats of each organization.
#[derive(Debug, Default)]
pub(super) struct Seats {
    /// A lock of the standard library: it is held for a look-up, never over an await.
    taken: Mutex<BTreeMap<OrganizationId, Arc<Semaphore>>>,
}

impl Seats {
    /// A seat until it is dropped, if one is free.
    pub(super) fn take(&self, organization: OrganizationId) -> Option<OwnedSemaphorePermit> {
        let mut taken = self.taken.lock().expect("nothing panics while it is held");
        // Whoever has nobody there any more is forgotten, so there are no more of them than pages.
        taken.retain(|_, seats| seats.available_permits() < SEATS_MAX);
        let seats =
            taken.entry(organization).or_insert_with(|| Arc::new(Semaphore::new(SEATS_MAX)));
        Arc::clone(seats).try_acquire_owned().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_organization_takes_its_own_seats_and_not_those_of_others() {
        let seats = Seats::default();
        let [one, other] = [1, 2].map(OrganizationId::from_bits);
        let mut all: Vec<_> = (0..SEATS_MAX).map(|_| seats.take(one)).collect();
        assert!(all.iter().all(Option::is_some));
        assert!(seats.take(one).is_none());
        assert!(seats.take(other).is_some());
        all.pop();
        let again = seats.take(one);
        assert!(again.is_some() && seats.take(one).is_none());
        drop((all, again));
        drop(seats.take(other));
        assert_eq!(seats.taken.lock().unwrap().len(), 1, "who has left is forgotten");
    }
}
