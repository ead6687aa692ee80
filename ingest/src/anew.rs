//! Streams that begin anew: what an operator has appended when records of the log are lost for good.
//!
//! The chain stops a stream that lacks a record, in every reader and for ever. So that it may go on, one record says
//! that it follows nothing ([`schemas::record::seal_anew`]). It stands in the log and in the history like any other,
//! for whoever asks what has happened.

use bytes::Bytes;
use directory::decide::begin_anew;
use directory::{Directory, Stamp};
use log::{Append, AppendError, EventLog, Partition};
use schemas::record::seal_anew;
use schemas::{Actor, Edge, Seq};

/// What the mark says of who made it, where requests say what their client calls itself.
const OPERATOR: &str = "dsync rebuild --accept-loss";

/// A stream that is to begin anew.
#[derive(Clone, Debug)]
pub struct Anew {
    /// Whose.
    pub directory: Directory,
    /// Whether its identity provider has ever connected, as far as that is known.
    pub activated: bool,
    /// Where: behind everything that any reader may have read.
    pub at: Seq,
}

/// Appends the mark of each, and returns when all of them are durable.
///
/// # Errors
///
/// If the log does not take one. Those before it stand, and doing it again does no harm.
pub async fn begin(
    log: &dyn EventLog,
    partition: Partition,
    streams: &[Anew],
    edge: &dyn Edge,
) -> Result<(), AppendError> {
    let actor = Actor { user_agent: Some(OPERATOR.to_owned()), ..Actor::default() };
    for stream in streams {
        let mut ids = || edge.id();
        let mut stamp = Stamp { at: edge.now(), promised: None, ids: &mut ids };
        let draft = begin_anew(&stream.directory, stream.activated, &mut stamp);
        let id = stream.directory.id;
        let sealed = seal_anew(&draft, id, &actor, stream.at);
        let key = Bytes::from(id.to_string());
        log.append(partition, vec![Append::new(key, sealed.value)]).await?;
    }
    Ok(())
}
