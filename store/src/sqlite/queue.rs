//! A bounded queue from tasks to threads. Tasks wait for room, threads for something to do, and a thread that waits for
//! long is told so.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Semaphore;

const UNPOISONED: &str = "nothing panics while it is held";

/// What a thread gets that asks for something to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken<T> {
    Job(T),
    /// Nothing came for as long as it wanted to wait.
    Nothing,
    /// Nothing will come any more.
    Closed,
}

/// The queue was closed before there was room.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Closed;

pub(super) struct Queue<T> {
    /// One permit for each job that still has room.
    room: Semaphore,
    waiting: Mutex<Waiting<T>>,
    came: Condvar,
}

struct Waiting<T> {
    jobs: VecDeque<T>,
    closed: bool,
}

impl<T> std::fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let waiting = self.lock();
        let (jobs, closed) = (waiting.jobs.len(), waiting.closed);
        f.debug_struct("Queue").field("jobs", &jobs).field("closed", &closed).finish()
    }
}

impl<T> Queue<T> {
    pub(super) fn of(room: usize) -> Self {
        let waiting = Waiting { jobs: VecDeque::new(), closed: false };
        Self { room: Semaphore::new(room), waiting: Mutex::new(waiting), came: Condvar::new() }
    }

    /// Waits for room.
    pub(super) async fn put(&self, job: T) -> Result<(), Closed> {
        self.room.acquire().await.map_err(|_| Closed)?.forget();
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(Closed);
        }
        waiting.jobs.push_back(job);
        self.came.notify_one();
        Ok(())
    }

    /// Leaves a job out that would have to wait for another one to be taken.
    pub(super) fn put_alone(&self, job: T) {
        let mut waiting = self.lock();
        if !waiting.jobs.is_empty() || waiting.closed {
            return;
        }
        if let Ok(permit) = self.room.try_acquire() {
            permit.forget();
            waiting.jobs.push_back(job);
            self.came.notify_one();
        }
    }

    /// Blocks until there is a job, the queue is closed and empty, or `patience` is over; without one it waits for ever.
    pub(super) fn take(&self, patience: Option<Duration>) -> Taken<T> {
        let nothing = |waiting: &mut Waiting<T>| waiting.jobs.is_empty() && !waiting.closed;
        let waiting = self.lock();
        let mut waiting = match patience {
            Some(patience) => {
                self.came.wait_timeout_while(waiting, patience, nothing).expect(UNPOISONED).0
            }
            None => self.came.wait_while(waiting, nothing).expect(UNPOISONED),
        };
        match waiting.jobs.pop_front() {
            Some(job) => {
                self.room.add_permits(1);
                Taken::Job(job)
            }
            None if waiting.closed => Taken::Closed,
            None => Taken::Nothing,
        }
    }

    /// Takes nothing more. What is in it is still given out.
    pub(super) fn close(&self) {
        self.room.close();
        self.lock().closed = true;
        self.came.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        self.waiting.lock().expect(UNPOISONED)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const LONG: Option<Duration> = Some(Duration::from_secs(60));

    #[tokio::test]
    async fn jobs_come_out_in_the_order_in_which_they_were_put() {
        let queue = Queue::of(3);
        for job in 1..=3 {
            queue.put(job).await.unwrap();
        }
        assert_eq!([1, 2, 3].map(Taken::Job), [(); 3].map(|()| queue.take(LONG)));
    }

    #[tokio::test]
    async fn who_finds_no_room_waits_until_one_is_taken() {
        let queue = Arc::new(Queue::of(1));
        queue.put(1).await.unwrap();
        let second = queue.put(2);
        tokio::pin!(second);
        assert!(futures_util::poll!(&mut second).is_pending());
        assert_eq!(queue.take(LONG), Taken::Job(1));
        assert_eq!(second.await, Ok(()));
        assert_eq!(queue.take(LONG), Taken::Job(2));
    }

    #[test]
    fn a_thread_that_waits_gets_what_comes_and_is_told_when_nothing_does() {
        let queue = Arc::new(Queue::of(1));
        assert_eq!(queue.take(Some(Duration::ZERO)), Taken::Nothing);
        assert_eq!(queue.take(Some(Duration::from_millis(1))), Taken::Nothing);
        let taker = Arc::clone(&queue);
        let taker = std::thread::spawn(move || (taker.take(LONG), taker.take(None)));
        queue.put_alone(7);
        let closer = Arc::clone(&queue);
        // Whether the thread waits already or not, it is told.
        closer.close();
        assert_eq!(taker.join().unwrap(), (Taken::Job(7), Taken::Closed));
    }

    #[tokio::test]
    async fn what_can_be_left_out_is_left_out_while_others_wait() {
        let queue = Queue::of(2);
        queue.put(1).await.unwrap();
        queue.put_alone(2);
        assert_eq!(queue.take(LONG), Taken::Job(1));
        assert_eq!(queue.take(Some(Duration::ZERO)), Taken::Nothing);
        queue.put_alone(3);
        assert_eq!(queue.take(LONG), Taken::Job(3));
    }

    #[tokio::test]
    async fn a_closed_queue_gives_out_what_is_in_it_and_takes_nothing() {
        let queue = Queue::of(1);
        queue.put(1).await.unwrap();
        let waits = queue.put(2);
        tokio::pin!(waits);
        assert!(futures_util::poll!(&mut waits).is_pending());
        queue.close();
        assert_eq!(waits.await, Err(Closed));
        assert_eq!(queue.put(3).await, Err(Closed));
        queue.put_alone(4);
        assert_eq!(queue.take(None), Taken::Job(1));
        assert_eq!(queue.take(None), Taken::Closed);
    }
}
