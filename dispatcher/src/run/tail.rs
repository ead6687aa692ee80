//! The end of the feed in memory, shared by all lanes that have caught up: a hundred of them read an
//! event once.
//!
//! ```text
//!  feed  … 41 42 43 44 45 46 47 48
//!                 ▲  └──ring───┘ ▲
//!            base ┘              └ end
//!  a lane that stands before base reads a page from the store, one at the end waits
//! ```

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::judge::Gate;
use super::persist;
use crate::ports::{DeliveryStore, FeedEvent, FeedPosition};

/// The most events held: twice the window of a lane, so that one that just fell behind still finds
/// its place.
const EVENTS_MAX: usize = 1_024;

/// The most bytes of bodies held: some thousand of the usual size, whatever size they are.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// How many events are read at a time.
const PAGE: usize = 256;

/// See the module.
pub(super) struct Tail {
    store: Arc<dyn DeliveryStore>,
    gate: Arc<Gate>,
    ring: Mutex<Ring>,
    end: watch::Sender<FeedPosition>,
    /// The last position behind which somebody waits; without anybody nothing is read.
    wanted: watch::Sender<Option<FeedPosition>>,
}

#[derive(Default)]
struct Ring {
    events: VecDeque<FeedEvent>,
    bytes: usize,
    /// All events after this one up to the end are here.
    base: FeedPosition,
}

enum Held {
    Events(Vec<FeedEvent>),
    Older,
    Nothing,
}

impl Tail {
    pub(super) fn new(store: Arc<dyn DeliveryStore>, gate: Arc<Gate>) -> Self {
        Self {
            store,
            gate,
            ring: Mutex::default(),
            end: watch::Sender::new(FeedPosition(0)),
            wanted: watch::Sender::new(None),
        }
    }

    /// Up to `limit` events after `after`; waits until there is one. Safe to drop.
    pub(super) async fn read(&self, after: FeedPosition, limit: usize) -> Vec<FeedEvent> {
        let mut end = self.end.subscribe();
        loop {
            match self.held(after, limit) {
                Held::Events(events) => return events,
                Held::Older => {
                    self.gate.passed(after).await;
                    let page = self.page(after, limit).await;
                    if !page.is_empty() {
                        return page;
                    }
                    persist("cannot wait for the feed", || self.store.wait_feed(after)).await;
                }
                Held::Nothing => {
                    self.want(after);
                    if end.wait_for(|end| *end > after).await.is_err() {
                        return std::future::pending().await;
                    }
                }
            }
        }
    }

    /// Follows the feed while somebody waits, until shutdown.
    pub(super) async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        shutdown.run_until_cancelled(self.follow()).await;
    }

    async fn follow(&self) {
        let mut wanted = self.wanted.subscribe();
        // The end of what is there already: nobody who is behind must wait for the next event to get it.
        let end = persist("cannot read the feed", || self.store.feed_end()).await;
        if end > FeedPosition(0) {
            self.gate.passed(end.before()).await;
            self.skip_to(FeedPosition(end.0.saturating_sub(PAGE as u64)));
            while self.read_page().await == PAGE {}
        }
        loop {
            let is_behind = |wanted: &Option<FeedPosition>| {
                wanted.is_some_and(|wanted| wanted >= *self.end.borrow())
            };
            let Ok(Some(after)) = wanted.wait_for(is_behind).await.map(|wanted| *wanted) else {
                return;
            };
            // What nobody wanted until somebody stood behind it: who comes later and stands before it gets it from the store,
            // and not with the next event.
            self.skip_to(after);
            persist("cannot wait for the feed", || self.store.wait_feed(after)).await;
            self.gate.passed(after).await;
            let feed_end = persist("cannot read the feed", || self.store.feed_end()).await;
            let end = feed_end.min(self.gate.judged());
            self.skip_to(FeedPosition(end.0.saturating_sub(PAGE as u64)));
            while self.read_page().await == PAGE {}
        }
    }

    fn want(&self, after: FeedPosition) {
        self.wanted.send_if_modified(|wanted| {
            let is_further = wanted.is_none_or(|wanted| wanted < after);
            if is_further {
                *wanted = Some(after);
            }
            is_further
        });
    }

    /// What is judged of the events after `after`.
    async fn page(&self, after: FeedPosition, limit: usize) -> Vec<FeedEvent> {
        // Looked up first: what is judged only while the page is read may lack its hold.
        let judged = self.gate.judged();
        let mut page = persist("cannot read the feed", || self.store.feed(after, limit)).await;
        page.retain(|event| event.position <= judged);
        page
    }

    async fn read_page(&self) -> usize {
        let end = *self.end.borrow();
        let page = self.page(end, PAGE).await;
        let count = page.len();
        if let Some(last) = page.last().map(|event| event.position) {
            self.ring.lock().expect("nothing panics while it is held").extend(page);
            self.end.send_replace(last);
        }
        count
    }

    /// What nobody waited for is left to pages of the store.
    fn skip_to(&self, position: FeedPosition) {
        if *self.end.borrow() < position {
            let base = position;
            *self.ring.lock().expect("nothing panics while it is held") =
                Ring { base, ..Ring::default() };
            self.end.send_replace(position);
        }
    }

    fn held(&self, after: FeedPosition, limit: usize) -> Held {
        let ring = self.ring.lock().expect("nothing panics while it is held");
        if after < ring.base {
            return Held::Older;
        }
        let begin = ring.events.partition_point(|event| event.position <= after);
        let events: Vec<FeedEvent> = ring.events.range(begin..).take(limit).cloned().collect();
        if events.is_empty() { Held::Nothing } else { Held::Events(events) }
    }
}

impl Ring {
    fn extend(&mut self, page: Vec<FeedEvent>) {
        self.bytes += page.iter().map(|event| event.body.len()).sum::<usize>();
        self.events.extend(page);
        while self.events.len() > EVENTS_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.events.pop_front() else { return };
            self.bytes -= oldest.body.len();
            self.base = oldest.position;
        }
    }
}
