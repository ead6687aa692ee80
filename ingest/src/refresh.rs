//! Brings users up to date when the rules of their directory change.
//!
//! ```text
//!   rules change ──▶ job ──▶ page of users ──▶ writer: Command::RefreshUsers ──▶ job moves on
//!                     ▲                                                              │
//!                     └──────────────────────────────────────────────────────────────┘
//! ```
//!
//! A job asks the writer of the directory like any request, in bounded commands, so requests of the
//! identity provider go in between. What apps were told last is with each user, in its record; so the
//! writer tells the difference to that and nothing twice, whoever comes first, and a job that repeats a
//! page after a crash repeats no event.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use directory::{Command, Rejection};
use schemas::{Actor, DirectoryId, ScimId};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::ports::{BoxError, Refresh, Refreshes, ToRefresh};
use crate::writer::{WriteError, Writers};

/// How many users are looked at in one command. It is decided as one, while requests wait.
pub const USERS_MAX: u32 = 128;

/// How many events one command may cause, unless a single user causes more: who returns joins all of its
/// groups again.
const EVENTS_MAX: u64 = 1_024;

/// How long to wait after something did not work.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Works on jobs until shutdown.
pub async fn run(jobs: Arc<dyn Refreshes>, writers: Arc<Writers>, shutdown: CancellationToken) {
    let mut changes = jobs.changes();
    let mut waiting = BTreeMap::new();
    while !shutdown.is_cancelled() {
        changes.mark_unchanged();
        let again_at = match turn(&*jobs, &writers, &mut waiting).await {
            Turn::Moved => continue,
            Turn::Idle => None,
            Turn::Waits => Some(Instant::now() + AGAIN_AFTER),
        };
        let pause = async {
            match again_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = pause => {}
            () = shutdown.cancelled() => {}
        }
    }
}

/// What came of a turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Something was done, and there may be more.
    Moved,
    /// There is work that cannot be done yet.
    Waits,
    /// There is nothing to do.
    Idle,
}

/// One step of every job, so that a small directory does not wait for a large one. A job that failed is
/// passed over for a while, so that none waits for a directory that is stopped.
async fn turn(
    jobs: &dyn Refreshes,
    writers: &Writers,
    waiting: &mut BTreeMap<DirectoryId, Instant>,
) -> Turn {
    let open = match jobs.open().await {
        Ok(open) => open,
        Err(error) => {
            tracing::warn!(error = &*error as &dyn std::error::Error, "the jobs cannot be read");
            return Turn::Waits;
        }
    };
    let mut turn = if open.is_empty() { Turn::Idle } else { Turn::Waits };
    let now = Instant::now();
    waiting.retain(|_, until| *until > now);
    for job in open {
        if waiting.contains_key(&job.directory) {
            continue;
        }
        match step(jobs, writers, job).await {
            Ok(()) => turn = Turn::Moved,
            Err(error) => {
                waiting.insert(job.directory, Instant::now() + AGAIN_AFTER);
                tracing::warn!(
                    directory.id = %job.directory,
                    error = &*error as &dyn std::error::Error,
                    "users are not shown yet what changed rules make of them"
                );
            }
        }
    }
    turn
}

/// Brings the next users of a job up to date.
///
/// # Errors
///
/// If that did not work. It can be done again.
pub async fn step(
    jobs: &dyn Refreshes,
    writers: &Writers,
    mut job: Refresh,
) -> Result<(), BoxError> {
    if job.progress.after.is_none() {
        // What was decided under the rules before is settled then, and found by who looks for users.
        if !refresh(writers, &job, Vec::new()).await? {
            return finish(jobs, job).await;
        }
        job.progress.total = jobs.count(job.directory).await?;
    }
    let page = jobs.users(job.directory, job.progress.after, USERS_MAX).await?;
    let mut users = bounded(&page);
    let last = loop {
        let Some(last) = users.last() else { return finish(jobs, job).await };
        match refresh(writers, &job, users.iter().map(|user| user.id).collect()).await {
            Ok(true) => break last,
            Ok(false) => return finish(jobs, job).await,
            // Together their events are too large for one commit.
            Err(error) if is_too_large(&error) && users.len() > 1 => {
                users = &users[..users.len() / 2];
            }
            Err(error) => return Err(error.into()),
        }
    };
    job.progress.after = Some(last.at);
    job.progress.done += users.len() as u64;
    jobs.moved(job).await
}

async fn finish(jobs: &dyn Refreshes, mut job: Refresh) -> Result<(), BoxError> {
    job.progress.finished = true;
    jobs.moved(job).await
}

const fn is_too_large(error: &WriteError) -> bool {
    matches!(error, WriteError::Rejected(Rejection::Invalid(error)) if error.status == 413)
}

/// As many of them as keep to [`EVENTS_MAX`], and one in any case.
fn bounded(page: &[ToRefresh]) -> &[ToRefresh] {
    let mut events = 0;
    let fitting = page.iter().take_while(|user| {
        events += user.events;
        events <= EVENTS_MAX
    });
    let fitting = fitting.count().max(1).min(page.len());
    &page[..fitting]
}

/// False if the directory is gone, and with it everyone.
async fn refresh(writers: &Writers, job: &Refresh, ids: Vec<ScimId>) -> Result<bool, WriteError> {
    let command = Command::RefreshUsers { ids };
    match writers.submit(job.directory, job.partition, command, Actor::default()).await {
        Ok(_) => Ok(true),
        Err(WriteError::Rejected(Rejection::DirectoryGone) | WriteError::NoSuchDirectory(_)) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use schemas::UserId;

    use super::*;

    #[test]
    fn a_command_is_bounded_by_its_events_and_holds_one_user_at_least() {
        let user =
            |events| ToRefresh { id: ScimId::from_bits(1), at: UserId::from_bits(1), events };
        for (events, taken) in [
            (vec![], 0),
            (vec![1, 1, 1], 3),
            (vec![EVENTS_MAX, 1], 1),
            (vec![EVENTS_MAX + 1, 1], 1),
            (vec![1, EVENTS_MAX], 1),
        ] {
            let page: Vec<_> = events.into_iter().map(user).collect();
            assert_eq!(bounded(&page).len(), taken);
        }
    }
}
