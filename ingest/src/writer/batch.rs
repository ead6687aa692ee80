//! The pure part of a writer: commands and facts in, commits and answers out.

use directory::{Answer, Command, Facts, Missing, Rejection, Stamp, Undecided, decide};
use schemas::record::{Sealed, seal};
use schemas::{Actor, Head, Seq};

/// What became of one command of a batch.
#[derive(Debug)]
pub(crate) struct Decided {
    /// What to answer if everything before it, and its own commit, is accepted.
    pub(crate) outcome: Result<Answer, Rejection>,
    /// Its last record, which is accepted if all of them are; none if it changes nothing or was
    /// rejected.
    pub(crate) head: Option<Head>,
    /// Its records, until they are sent.
    pub(crate) records: Vec<Sealed>,
}

/// A batch in the making: facts that move on with each command, and a tail that moves on with each
/// commit.
#[derive(Debug)]
pub(crate) struct Batch {
    facts: Facts,
    base: Seq,
    tail: Head,
}

impl Batch {
    pub(crate) const fn new(head: Head, facts: Facts) -> Self {
        Self { facts, base: head.seq, tail: head }
    }

    /// Takes in facts that were gathered later, as of the same head.
    pub(crate) fn absorb(&mut self, later: Facts) {
        self.facts.absorb(later);
    }

    /// Decides one command and links its events to what the batch holds so far.
    pub(crate) fn decide(
        &mut self,
        command: &Command,
        actor: &Actor,
        stamp: &mut Stamp<'_>,
    ) -> Result<Decided, Missing> {
        match decide(&mut self.facts, command, stamp) {
            Ok(decision) => {
                let directory = self.facts.directory.id;
                let records = seal(&decision.drafts, directory, actor, self.base, self.tail);
                let head = records.last().map(|last| last.head);
                self.tail = head.unwrap_or(self.tail);
                Ok(Decided { outcome: Ok(decision.answer), head, records })
            }
            Err(Undecided::Rejected(rejection)) => {
                Ok(Decided { outcome: Err(rejection), head: None, records: Vec::new() })
            }
            Err(Undecided::Missing(missing)) => Err(missing),
        }
    }
}
