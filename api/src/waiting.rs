//! Room for answers that wait: each holds a connection, and looks for what it waits for now and then.
//!
//! There is so much in all, and a share of it for each key, so that one does not take the room of the others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use schemas::ApiKeyId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many answers may wait at once.
pub(crate) const WAITING_MAX: usize = 1_000;

/// How many of one key: an app waits with one for each of its own processes, and ten keys are to find room.
const OF_ONE_KEY_MAX: usize = 100;

/// The room.
#[derive(Debug)]
pub struct WaitingRoom {
    all: Arc<Semaphore>,
    /// A lock of the standard library: it is held for a look-up, never over an await.
    of_keys: Mutex<BTreeMap<ApiKeyId, Arc<Semaphore>>>,
}

/// A place in it, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _of_key: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Default for WaitingRoom {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(WAITING_MAX)), of_keys: Mutex::default() }
    }
}

impl WaitingRoom {
    /// A place for an answer to this key, if one is free.
    pub(crate) fn take(&self, key: ApiKeyId) -> Option<Place> {
        let of_key = self.share(key).try_acquire_owned().ok()?;
        let of_all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(Place { _of_key: of_key, _of_all: of_all })
    }

    /// How many places are taken.
    pub(crate) fn taken(&self) -> usize {
        WAITING_MAX.saturating_sub(self.all.available_permits())
    }

    fn share(&self, key: ApiKeyId) -> Arc<Semaphore> {
        let mut shares = self.of_keys.lock().expect("nothing panics while it is held");
        // Whoever has nobody waiting any more is forgotten, so there are no more of them than places.
        shares.retain(|_, share| share.available_permits() < OF_ONE_KEY_MAX);
        let share = shares.entry(key).or_insert_with(|| Arc::new(Semaphore::new(OF_ONE_KEY_MAX)));
        Arc::clone(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_takes_its_share_of_the_room_and_not_that_of_others() {
        let room = WaitingRoom::default();
        let [one, other] = [1, 2].map(ApiKeyId::from_bits);
        let mut places: Vec<_> = (0..OF_ONE_KEY_MAX).map(|_| room.take(one)).collect();
        assert!(places.iter().all(Option::is_some));
        assert!(room.take(one).is_none());
        assert!(room.take(other).is_some(), "others find room");
        places.pop();
        let again = room.take(one);
        assert!(again.is_some() && room.take(one).is_none());
        assert_eq!(room.taken(), OF_ONE_KEY_MAX);
        drop((places, again));
        drop(room.take(other));
        assert_eq!(room.of_keys.lock().unwrap().len(), 1, "who waits no more is forgotten");
    }

    #[test]
    fn all_keys_together_take_no_more_than_there_is() {
        let room = WaitingRoom::default();
        let keys = (1..=20).map(ApiKeyId::from_bits);
        let places = keys.flat_map(|key| (0..OF_ONE_KEY_MAX).map(move |_| key));
        let places: Vec<_> = places.map(|key| room.take(key)).collect();
        assert_eq!(places.iter().flatten().count(), WAITING_MAX);
        assert_eq!(room.taken(), WAITING_MAX);
    }
}
