//! Leases where there is one process: whoever joined last has every lane.

use std::sync::Mutex;

use dispatcher::ports::{DispatcherId, Epoch, Fenced, Flush, LaneId, Lease, Standing};
use tokio::sync::watch;

/// Who runs the lanes. In memory: with the process go all who could have one.
#[derive(Debug)]
pub(crate) struct Leases {
    holder: Mutex<(Option<DispatcherId>, Epoch)>,
    moves: watch::Sender<u64>,
}

impl Default for Leases {
    fn default() -> Self {
        Self { holder: Mutex::default(), moves: watch::Sender::new(0) }
    }
}

impl Leases {
    pub(crate) fn join(&self, dispatcher: DispatcherId) {
        let mut holder = self.holder.lock().expect("nothing panics while it is held");
        *holder = (Some(dispatcher), Epoch(holder.1.0 + 1));
    }

    pub(crate) fn renew(&self, dispatcher: DispatcherId) -> Option<Standing> {
        let holder = self.holder.lock().expect("nothing panics while it is held");
        (holder.0 == Some(dispatcher)).then(Standing::default)
    }

    pub(crate) fn lease(&self, dispatcher: DispatcherId, lanes: Vec<LaneId>) -> Vec<Lease> {
        let holder = *self.holder.lock().expect("nothing panics while it is held");
        let lanes = lanes.into_iter().filter(|_| holder.0 == Some(dispatcher));
        lanes.map(|lane| Lease { lane, epoch: holder.1 }).collect()
    }

    pub(crate) fn leave(&self, dispatcher: DispatcherId) {
        let mut holder = self.holder.lock().expect("nothing panics while it is held");
        holder.0.take_if(|own| *own == dispatcher);
    }

    pub(crate) fn moves(&self) -> watch::Receiver<u64> {
        self.moves.subscribe()
    }

    /// The flushes of who runs the lanes now, and the lanes of the others.
    pub(crate) fn checked(&self, flushes: Vec<Fenced>) -> (Vec<Flush>, Vec<LaneId>) {
        let epoch = self.holder.lock().expect("nothing panics while it is held").1;
        let (own, others): (Vec<_>, Vec<_>) =
            flushes.into_iter().partition(|fenced| fenced.epoch == epoch);
        let refused = others.into_iter().map(|fenced| fenced.flush.lane).collect();
        (own.into_iter().map(|fenced| fenced.flush).collect(), refused)
    }
}
