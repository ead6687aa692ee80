//! Commands that read the log and the store themselves: `verify` with the server running or not,
//! `rebuild` with the server stopped.

mod rebuild;

use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use log::Partition;
use projector::rebuild::Seen;
use projector::verify::{Snapshot as _, VerifyError};
use schemas::{DirectoryId, Edge};
use serde_json::json;

use crate::data;
use crate::edge::SystemEdge;
use crate::print::line;
use crate::serve::{LogSource, Walk, open_store, scratch_folder};
use crate::settings::{Settings, StoreSetting};
pub use rebuild::rebuild;

/// Checks the history and the state against each other.
///
/// # Errors
/// At the first difference, or when log or store cannot be read.
pub async fn verify(
    settings: Settings,
    directory: Option<DirectoryId>,
    as_json: bool,
) -> anyhow::Result<()> {
    data::must_be_there(&settings, false)?;
    let snapshot = snapshot(&settings).await?;
    let walk = tokio::task::spawn_blocking(move || verify_all(&settings, snapshot, directory));
    let walked = walk.await?;
    if let (true, Err(error)) = (as_json, &walked)
        && let Some(VerifyError::Difference(found)) = error.downcast_ref()
    {
        line(
            json!({ "verified": false, "directory": found.directory_id, "seq": found.seq, "what": found.what }),
        )?;
    }
    let seen = walked.map_err(with_what_to_do)?;
    if as_json {
        line(json!({ "verified": true, "records": seen.records, "events": seen.events }))?;
    } else {
        line(format_args!(
            "verified: {} records, {} events; the chain is whole and the state is what it says",
            seen.records, seen.events
        ))?;
    }
    Ok(())
}

/// A difference says where it is, and not what an operator does about it.
fn with_what_to_do(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref() {
        Some(VerifyError::Difference(found)) if !found.what.starts_with("DSYNC-") => {
            anyhow::anyhow!(
                "{found}\nDSYNC-003 says what to do where the log was changed or lacks records; where only the state differs, \
             dsync rebuild makes it anew"
            )
        }
        Some(_) | None => error,
    }
}

/// The state as it is: the files of the embedded store themselves, with a server running or not.
async fn snapshot(settings: &Settings) -> anyhow::Result<store::Snapshot> {
    match &settings.store {
        StoreSetting::Embedded => {
            store::Snapshot::open(&settings.data_dir).map_err(with_a_way_to_a_state)
        }
        StoreSetting::Postgres(_) => {
            let edge: Arc<dyn Edge> = Arc::new(SystemEdge::default());
            Ok(open_store(settings, &edge).await?.snapshot().await?)
        }
    }
}

/// What is missing is the state: that the rest is there was seen before.
fn with_a_way_to_a_state(error: store::OpenError) -> anyhow::Error {
    if let store::OpenError::Sqlite { path, .. } = &error
        && !path.exists()
    {
        let what = "dsync rebuild makes it anew from the log, and so does the next dsync serve";
        return anyhow::anyhow!("{error}\n{what}");
    }
    error.into()
}

fn verify_all(
    settings: &Settings,
    mut snapshot: store::Snapshot,
    directory: Option<DirectoryId>,
) -> anyhow::Result<Seen> {
    let (mut total, log) = (Seen::default(), LogSource::of(settings));
    let partitions = log.partitions()?;
    projector::verify::check_partitions(&partitions, &mut snapshot)?;
    if let Some(id) = directory {
        must_be_known(id, &partitions, &mut snapshot)?;
    }
    for partition in partitions {
        let mut scratch = store::Scratch::create(&scratch_folder(settings))?;
        let Walk { scan, length, .. } = log.scan(partition)?;
        let bar = bar(length);
        let mut progress = |seen: Seen| bar.set_position(seen.records);
        let seen = projector::verify::verify(
            partition,
            scan,
            &mut snapshot,
            &mut scratch,
            directory,
            &mut progress,
        )?;
        bar.finish_and_clear();
        total = add(total, seen);
    }
    // Whoever asks for one directory is told of that one.
    if directory.is_none() {
        projector::verify::check_store(total.events, &mut snapshot)?;
    }
    Ok(total)
}

/// Of a directory that was never there everything is true.
fn must_be_known(
    id: DirectoryId,
    partitions: &[Partition],
    snapshot: &mut store::Snapshot,
) -> anyhow::Result<()> {
    for partition in partitions.iter().copied() {
        let heads = snapshot.heads(partition).map_err(anyhow::Error::from_boxed)?;
        if heads.iter().any(|head| head.directory_id == id) {
            return Ok(());
        }
    }
    anyhow::bail!(
        "there is no history of {id}, so nothing was verified; dsync directory list shows the ids there are, and \
         without --directory all of them are verified"
    )
}

/// On a terminal, a bar with speed and time left; elsewhere nothing.
fn bar(length: u64) -> ProgressBar {
    let style = "{bar:40} {pos}/{len} records, {per_sec}, {eta} left";
    let style = ProgressStyle::with_template(style).expect("the template is ours");
    ProgressBar::new(length).with_style(style)
}

const fn add(total: Seen, seen: Seen) -> Seen {
    Seen {
        records: total.records + seen.records,
        events: total.events + seen.events,
        offset: seen.offset,
    }
}
