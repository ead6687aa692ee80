//! What the stream says of the directory itself.

use schemas::record::Draft;
use schemas::wire::{
    ActivatedDirectory, DeletedDirectory, DirectoryState, DirectoryTag,
    DirectoryToken as WireToken, TokenTag,
};
use schemas::{Change, Event, EventId};

use super::{Answer, Commit};
use crate::command::Stamp;
use crate::facts::TokenRecord;
use crate::resource::{Directory, DirectoryToken};

pub(super) fn activate(commit: &mut Commit<'_, '_>) -> Answer {
    if !commit.facts.activated {
        let event = Event::Activated(activated(&commit.facts.directory));
        commit.push(event, Change::DirectoryActivated);
    }
    Answer::Nothing
}

/// Appends what configuration holds and the stream does not say. Running it again after a crash
/// appends just what is missing.
pub(super) fn reconcile(commit: &mut Commit<'_, '_>) -> Answer {
    let facts = commit.facts;
    let directory = &facts.directory;
    for token in &directory.tokens {
        let recorded = facts.tokens.get(&token.id).copied();
        if recorded.is_none() {
            let event = Event::TokenCreated(wire_token(directory, token));
            commit.push(event, Change::TokenMade { id: token.id });
        }
        if token.revoked && recorded != Some(TokenRecord::Revoked) {
            let event = Event::TokenRevoked(wire_token(directory, token));
            commit.push(event, Change::TokenRevoked { id: token.id });
        }
    }
    if directory.deleting {
        let event = Event::Deleted(deleted(directory, facts.activated));
        commit.push(event, Change::DirectoryGone);
        return Answer::Gone;
    }
    Answer::Nothing
}

/// The event with which a stream begins anew where records before it are lost: what the first one said, once more. It
/// takes nothing away: what readers still have of the directory stays.
#[must_use]
pub fn begin_anew(directory: &Directory, activated: bool, stamp: &mut Stamp<'_>) -> Draft {
    let (event, change) = match directory.tokens.first() {
        // Its identity provider has never connected, and nobody shall be told that it has.
        Some(token) if !activated => {
            let event = Event::TokenCreated(wire_token(directory, token));
            (event, Change::TokenMade { id: token.id })
        }
        Some(_) | None => {
            (Event::Activated(self::activated(directory)), Change::DirectoryActivated)
        }
    };
    Draft { id: EventId::from_bits(stamp.id()), at: stamp.at, event, change }
}

fn activated(directory: &Directory) -> ActivatedDirectory {
    ActivatedDirectory {
        object: DirectoryTag::Tag,
        id: directory.id,
        organization_id: directory.organization_id,
        external_key: directory.external_key.clone(),
        kind: directory.kind,
        state: DirectoryState::Active,
        name: directory.name.clone(),
        domains: directory.domains.clone(),
        created_at: directory.created_at,
        updated_at: directory.updated_at,
    }
}

/// `state` is the one before the deletion.
fn deleted(directory: &Directory, activated: bool) -> DeletedDirectory {
    DeletedDirectory {
        object: DirectoryTag::Tag,
        id: directory.id,
        organization_id: directory.organization_id,
        kind: directory.kind,
        state: if activated { DirectoryState::Active } else { DirectoryState::Inactive },
        name: directory.name.clone(),
        created_at: directory.created_at,
        updated_at: directory.updated_at,
    }
}

fn wire_token(directory: &Directory, token: &DirectoryToken) -> WireToken {
    WireToken {
        object: TokenTag::Tag,
        id: token.id,
        directory_id: directory.id,
        organization_id: directory.organization_id,
        token_suffix: token.suffix.clone(),
        created_at: token.created_at,
    }
}
