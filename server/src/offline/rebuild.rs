//! `dsync rebuild`: the state made anew from the log, and, where an operator says so, from what is left of it.
//!
//! ```text
//!   what is left ──▶ survey ──▶ a mark for each stream that is not whole ──▶ log     with --accept-loss
//!   log ──▶ new state ──▶ does every stream lead to what the store knew? ──▶ swap in
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::bail;
use directory::Directory;
use ingest::anew::{self, Anew};
use log::{Offset, Partition, ReadError};
use projector::ProjectionStore as _;
use projector::rebuild::{
    Generation as _, Heads, Loss, RebuildError, Seen, Survey, Surveyed, rebuild_from,
};
use schemas::{DirectoryId, Edge};
use serde_json::json;
use store::Store;

use super::{add, bar};
use crate::data;
use crate::edge::SystemEdge;
use crate::print::line;
use crate::serve::partitions::check;
use crate::serve::{DataDir, LogSource, Walk, open_store, scratch_folder};
use crate::settings::{Settings, StoreSetting};

/// Builds the state anew from the log and swaps it in. Where the log has less than the store knows of, or something else,
/// that is refused, unless the loss is accepted: then the streams concerned begin anew.
///
/// # Errors
/// When log or store cannot be read or written, or the log lacks records or has others.
pub async fn rebuild(settings: Settings, accept_loss: bool, as_json: bool) -> anyhow::Result<()> {
    let edge: Arc<dyn Edge> = Arc::new(SystemEdge::default());
    data::must_be_there(&settings, accept_loss)?;
    let held = match &settings.store {
        StoreSetting::Embedded => Some(DataDir::lock(&settings.data_dir)?),
        StoreSetting::Postgres(_) => None,
    };
    let store = open_store(&settings, &edge).await?;
    let log = LogSource::of(&settings);
    let counted = log.clone();
    let partitions = tokio::task::spawn_blocking(move || counted.partitions()).await??;
    let count = u16::try_from(partitions.len())?;
    check(&store, count)?;
    let known = Arc::new(heads(&store, &partitions).await?);
    let told = if store.is_without_events() { store.told_up_to().await? } else { 0 };
    let begun = edge.now();
    let begun_anew =
        if accept_loss { begin_anew(&log, &store, &partitions, &known, &*edge).await? } else { 0 };
    let mut generation = store.new_generation(count, &scratch_folder(&settings)).await?;
    let compared = Arc::clone(&known);
    let (generation, seen, left) = tokio::task::spawn_blocking(move || {
        let made = rebuild_all(&log, &partitions, &compared, &mut generation);
        made.map(|(seen, left)| (generation, seen, left))
    })
    .await??;
    if !accept_loss {
        refuse_loss(&known, &left)?;
        refuse_fewer(seen.events, told)?;
    }
    if told > seen.events {
        // First: with a state whose feed ends before that nothing would tell any more that something is lost.
        store.tell_from_the_end(seen.events).await?;
    }
    store.swap_in(generation).await?;
    let store = Arc::new(store);
    tokio::task::spawn_blocking(move || store.close()).await?;
    drop(held);
    tell(seen, begun_anew, edge.now().since(begun).as_secs_f64(), as_json)
}

async fn heads(store: &Store, partitions: &[Partition]) -> anyhow::Result<Heads> {
    let mut known = Heads::new();
    for partition in partitions {
        let heads = store.heads(*partition).await?;
        known.extend(heads.iter().map(|stored| (stored.directory_id, stored.head)));
    }
    Ok(known)
}

fn tell(seen: Seen, begun_anew: usize, seconds: f64, as_json: bool) -> anyhow::Result<()> {
    let Seen { records, events, .. } = seen;
    let per_second = events as f64 / seconds.max(0.001);
    if as_json {
        return Ok(line(json!({
            "records": records, "events": events, "seconds": seconds, "begun_anew": begun_anew
        }))?);
    }
    line(format_args!(
        "rebuilt from {records} records: {events} events in {seconds:.1} s ({per_second:.0} events/s)"
    ))?;
    if begun_anew > 0 {
        line(format_args!(
            "begun anew: {begun_anew} streams; start a full synchronization of these directories"
        ))?;
    }
    Ok(())
}

fn rebuild_all(
    log: &LogSource,
    partitions: &[Partition],
    known: &Heads,
    generation: &mut store::Generation,
) -> anyhow::Result<(Seen, Survey)> {
    let (mut total, mut left) = (Seen::default(), Survey::new());
    for partition in partitions.iter().copied() {
        let Walk { begin, scan, length } = log.scan(partition)?;
        let bar = bar(length);
        let mut progress = |seen: Seen| bar.set_position(seen.records);
        let rebuilt = rebuild_from(partition, begin, scan, known, generation, &mut progress);
        let (seen, of_partition) = rebuilt.map_err(with_a_way_on)?;
        bar.finish_and_clear();
        total = add(total, seen);
        left.extend(of_partition);
    }
    generation.finish()?;
    Ok((total, left))
}

/// A hole in the log is a loss that may be accepted.
fn with_a_way_on(error: RebuildError) -> anyhow::Error {
    let Some((partition, offset)) = damage(&error) else { return error.into() };
    anyhow::anyhow!(
        "DSYNC-003: the log of partition {} has no record {}. Nothing was changed. If a backup of the log has it, bring that \
         back; if it is gone for good, run dsync rebuild --accept-loss",
        partition.0,
        offset.0
    )
}

/// Where holes are passed over, what is left of damage is a file that gives nothing back.
fn without_a_way_on(error: RebuildError) -> anyhow::Error {
    let Some((partition, offset)) = damage(&error) else { return error.into() };
    anyhow::anyhow!(
        "DSYNC-003: the file of the log is damaged and cannot be read from record {} of partition {} on; bring log.db back \
         from a backup",
        offset.0,
        partition.0
    )
}

fn damage(error: &RebuildError) -> Option<(Partition, Offset)> {
    match error {
        RebuildError::Log(cause) => match cause.downcast_ref()? {
            ReadError::Corrupt { partition, offset } => Some((*partition, *offset)),
            ReadError::Lost { .. } | ReadError::Unavailable(_) => None,
        },
        RebuildError::Poison(_) | RebuildError::Store(_) => None,
    }
}

/// What is left of a stream, which may be nothing.
fn left_of(left: &Survey, id: DirectoryId) -> Surveyed {
    left.get(&id).copied().unwrap_or_default()
}

/// A state that knows less than the one before, or something else, is not swapped in unasked.
fn refuse_loss(known: &Heads, left: &Survey) -> anyhow::Result<()> {
    let ids: BTreeSet<DirectoryId> = known.keys().chain(left.keys()).copied().collect();
    let with = |wanted: Loss| -> Vec<DirectoryId> {
        let has =
            |id: &DirectoryId| left_of(left, *id).loss(known.get(id).copied()) == Some(wanted);
        ids.iter().copied().filter(has).collect()
    };
    let (altered, lacking) = (with(Loss::Altered), with(Loss::Missing));
    refuse_altered(&altered, lacking.len(), known)?;
    let Some(first) = lacking.first() else { return Ok(()) };
    let stored = known.get(first).copied().unwrap_or_default();
    let left = left_of(left, *first);
    let stops = if left.stopped { ", where a gap stops it" } else { "" };
    bail!(
        "DSYNC-003: the log lacks records of {} directories; the first is {first}: the store has come to seq {} of its \
         stream, and the log leads to {}{stops}. Nothing was changed. If the records are gone for good, run \
         dsync rebuild --accept-loss",
        lacking.len(),
        stored.seq,
        left.head.seq
    )
}

/// What the store was made from is told by its hashes alone: the state that has them is not replaced unasked.
fn refuse_altered(altered: &[DirectoryId], lacking: usize, known: &Heads) -> anyhow::Result<()> {
    let Some(first) = altered.first() else { return Ok(()) };
    let stored = known.get(first).copied().unwrap_or_default();
    let others = if lacking > 0 {
        format!(" Beside that, it lacks records of {lacking} directories.")
    } else {
        String::new()
    };
    bail!(
        "DSYNC-003: the log is not the one that the store was made from: streams of {} directories were altered; the \
         first is {first}: the record at seq {} of its stream is not the one that was applied, its hash differs.{others} \
         Nothing was changed. Compare the log with a backup of it; dsync verify names the first record that differs. If \
         this log is to be gone on with as it is, run dsync rebuild --accept-loss, with which these streams begin anew",
        altered.len(),
        stored.seq
    )
}

/// Without a state before, what apps have been told says that the log has had more.
fn refuse_fewer(events: u64, told: u64) -> anyhow::Result<()> {
    if told <= events {
        return Ok(());
    }
    bail!(
        "DSYNC-003: the log lacks records: it has {events} events, and apps have been told {told}. Nothing was changed. \
         If the records are gone for good, run dsync rebuild --accept-loss"
    )
}

/// Lets every stream that lacks records or has others begin anew, of the directories that still exist. How many do.
async fn begin_anew(
    log: &LogSource,
    store: &Store,
    partitions: &[Partition],
    known: &Arc<Heads>,
    edge: &dyn Edge,
) -> anyhow::Result<usize> {
    let mut count = 0;
    let open = log.open().await?;
    for partition in partitions.iter().copied() {
        let (walked, compared) = (log.clone(), Arc::clone(known));
        let surveyed = move || {
            accept_holes(&walked, partition)?;
            survey(&walked, partition, &compared)
        };
        let left = tokio::task::spawn_blocking(surveyed).await??;
        let directories = store.directories_in(partition).await?;
        let streams = not_whole(directories, &left, known);
        for stream in &streams {
            tracing::warn!(directory.id = %stream.directory.id, "DSYNC-003: this stream begins anew at seq {}", stream.at);
        }
        anew::begin(&*open.port(), partition, &streams, edge).await?;
        count += streams.len();
    }
    tokio::task::spawn_blocking(move || open.close()).await?;
    Ok(count)
}

/// From here on every reader passes over them. Whether streams are whole without them their chains show.
fn accept_holes(log: &LogSource, partition: Partition) -> anyhow::Result<()> {
    for (from, next) in log.accept_holes(partition)? {
        tracing::warn!(
            partition = partition.0,
            "DSYNC-003: the log has no record from offset {} to {}; it goes on without",
            from.0,
            next.0 - 1
        );
    }
    Ok(())
}

fn survey(log: &LogSource, partition: Partition, known: &Heads) -> anyhow::Result<Survey> {
    let Walk { scan, length, .. } = log.scan(partition)?;
    let bar = bar(length);
    let mut progress = |seen: Seen| bar.set_position(seen.records);
    let left = projector::rebuild::survey(partition, scan, known, &mut progress);
    let left = left.map_err(without_a_way_on)?;
    bar.finish_and_clear();
    Ok(left)
}

/// The streams that lack records or have others, each with the place where it is to begin anew.
fn not_whole(directories: Vec<(Directory, bool)>, left: &Survey, known: &Heads) -> Vec<Anew> {
    let of = |(directory, activated): (Directory, bool)| {
        let (left, stored) = (left_of(left, directory.id), known.get(&directory.id).copied());
        let at = left.beyond(stored);
        left.loss(stored).map(|_| Anew { directory, activated, at })
    };
    directories.into_iter().filter_map(of).collect()
}
