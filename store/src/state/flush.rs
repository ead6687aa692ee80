//! Getting a large new file onto the disk while it is still being written.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

/// A thread that flushes a file whenever it is told that more was written, so that at the end there is
/// little left to wait for.
#[derive(Debug)]
pub(super) struct Flusher {
    file: File,
    written: SyncSender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl Flusher {
    pub(super) fn start(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let flushed = file.try_clone()?;
        let (written, told) = sync_channel(1);
        let thread =
            std::thread::Builder::new().name("state-flush".to_owned()).spawn(move || {
                told.into_iter().try_for_each(|()| flushed.sync_data().map(|()| let_go(&flushed)))
            })?;
        Ok(Self { file, written, thread })
    }

    /// More was written. If it is flushing just now, that is taken in with the next.
    pub(super) fn written(&self) {
        let _ = self.written.try_send(());
    }

    /// Waits until everything is on the disk.
    pub(super) fn finish(self) -> io::Result<()> {
        drop(self.written);
        match self.thread.join() {
            Ok(flushed) => flushed?,
            Err(_) => return Err(io::Error::other("the flushing thread has panicked")),
        }
        self.file.sync_all()
    }
}

/// Gives back the memory in which the system keeps what is on the disk now. Most of it is rows of the feed, which nobody
/// reads soon: what is written next needs room, and so does what others have read. It is no more than advice.
#[cfg(target_os = "linux")]
fn let_go(file: &File) {
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
}

#[cfg(not(target_os = "linux"))]
const fn let_go(_: &File) {}
