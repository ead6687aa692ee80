//! The pure part of a writer: commands and facts in, commits and answers out.

use std::collections::VecDeque;

use directory::patch::Applied;
use directory::{
    Answer, Command, Decision, Facts, Missing, Needs, Rejection, Stamp, Undecided, decide,
};
use schemas::record::{Sealed, seal};
use schemas::{Actor, Head};

use crate::ports::Gathered;

/// What became of one command.
#[derive(Debug)]
pub(crate) struct Decided {
    /// What to answer if everything before it, and its own commit, is accepted.
    pub(crate) outcome: Result<Answer, Rejection>,
    /// Its last record, which is accepted if all of them are; none if it changes nothing or was
    /// rejected.
    pub(crate) head: Option<Head>,
    /// How many events it causes.
    pub(crate) events: usize,
    /// What came of its operations, if it was a PATCH.
    pub(crate) applied: Applied,
    /// Its records, until they are sent.
    pub(crate) records: Vec<Sealed>,
}

/// The facts as they are when everything in flight is accepted, and the heads that lead there.
///
/// Deciding goes on here while earlier commits are still on their way. If one of them loses a race,
/// all that follow it lose with it, and the copy is thrown away.
#[derive(Debug)]
pub(crate) struct WorkingCopy {
    facts: Facts,
    /// The confirmed head; behind it the last head of each commit in flight, in order.
    line: VecDeque<Head>,
    decided: usize,
}

impl WorkingCopy {
    pub(crate) fn new(gathered: Gathered) -> Self {
        Self { facts: gathered.facts, line: VecDeque::from([gathered.head]), decided: 0 }
    }

    /// What of these needs is not known yet.
    pub(crate) fn lacks(&self, needs: Needs) -> Needs {
        needs.beyond(&self.facts)
    }

    /// Takes in facts that were gathered later. Answers whether they could be: the projection must
    /// stand on this line, or another writer was first and nothing of the line will hold.
    pub(crate) fn absorb(&mut self, gathered: Gathered) -> bool {
        let ours = self.line.contains(&gathered.head);
        if ours {
            self.facts.absorb(gathered.facts);
        }
        ours
    }

    /// How many commands were decided on it.
    pub(crate) const fn decided(&self) -> usize {
        self.decided
    }

    /// Takes note that the commit which ends here was accepted.
    pub(crate) fn confirm(&mut self, head: Head) {
        if let Some(at) = self.line.iter().position(|known| *known == head) {
            self.line.drain(..at);
        }
    }

    /// Decides one command and links its events to the line.
    pub(crate) fn decide(
        &mut self,
        command: &Command,
        actor: &Actor,
        stamp: &mut Stamp<'_>,
    ) -> Result<Decided, Missing> {
        let decided = match decide(&mut self.facts, command, stamp) {
            Ok(decision) => {
                let (base, tail) = self.ends();
                let directory = self.facts.directory.id;
                let records = seal(&decision.drafts, directory, actor, base.seq, tail);
                let head = records.last().map(|last| last.head);
                self.line.extend(head);
                let events = records.len();
                let Decision { answer, applied, .. } = decision;
                Decided { outcome: Ok(answer), head, events, records, applied }
            }
            Err(Undecided::Rejected(rejection)) => {
                let (applied, records) = (Applied::default(), Vec::new());
                Decided { outcome: Err(rejection), head: None, events: 0, records, applied }
            }
            Err(Undecided::Missing(missing)) => return Err(missing),
        };
        self.decided += 1;
        Ok(decided)
    }

    /// The confirmed head, and the one that the next commit follows.
    fn ends(&self) -> (Head, Head) {
        let end = |end: Option<&Head>| *end.expect("the confirmed head is always there");
        (end(self.line.front()), end(self.line.back()))
    }
}
