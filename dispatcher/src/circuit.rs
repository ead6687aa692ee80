//! Whether an endpoint as a whole is worth calling.
//!
//! ```text
//!             fresh failures in a row             time                 answered
//!   Closed ───────────────────────────▶ Open ──────────▶ Probing ─────────────────▶ Ramping 2, 4, 8… ──▶ Closed
//!                                         ▲                 │                          │
//!                                         └───── failed ────┴────── fresh failure ─────┘
//! ```
//!
//! A failure is *fresh* when it met an event at its first attempt. A single event that always fails
//! is tried again and again without one, so it parks its own lines and never opens the circuit. The whole of the
//! rules for an endpoint that fails is at [`crate::lane`].

use std::time::Duration;

use schemas::Timestamp;

use crate::schedule::Schedule;

/// The most requests in flight to one endpoint. More would let one endpoint hold a large part of the
/// pool that all share, and hardly an app serves more at a time.
pub const IN_FLIGHT_MAX: usize = 64;

/// Fresh failures in a row that open the circuit: enough that a few bad events are not an outage.
const OPENS_AFTER: u16 = 5;

/// The longest wait between probes: an endpoint that is back gets its events within this time.
pub const PROBE_WAIT_MAX: Duration = Duration::from_secs(15 * 60);

/// The state of a circuit. It is not stored: a lane that starts on a failing endpoint begins with
/// [`Circuit::cautious`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circuit {
    /// All is well, apart from so many fresh failures in a row.
    Closed {
        /// Fresh failures since the last answer.
        failures: u16,
    },
    /// Nothing is sent before `due`.
    Open {
        /// When to probe.
        due: Timestamp,
        /// How often it opened without an answer in between.
        opening: u16,
    },
    /// One request may be in flight, and decides.
    Probing {
        /// As in `Open`.
        opening: u16,
    },
    /// It answers again; the load grows step by step.
    Ramping {
        /// How many requests may be in flight.
        limit: usize,
        /// Answers since the limit was last raised.
        answers: usize,
    },
}

/// What a circuit learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The endpoint answered in a way that shows that it works, be it by saying no to one event.
    Answered,
    /// It failed as a whole.
    Failed {
        /// Whether it was the first attempt at the event.
        fresh: bool,
        /// What the endpoint asked for.
        retry_after: Option<Duration>,
    },
    /// Time has passed.
    Tick,
}

impl Circuit {
    /// How a lane starts whose endpoint has been failing: one request, and more if it goes well.
    #[must_use]
    pub const fn cautious() -> Self {
        Self::Ramping { limit: 1, answers: 0 }
    }

    /// How many requests may be in flight.
    #[must_use]
    pub const fn limit(self) -> usize {
        match self {
            Self::Closed { .. } => IN_FLIGHT_MAX,
            Self::Open { .. } => 0,
            Self::Probing { .. } => 1,
            Self::Ramping { limit, .. } => limit,
        }
    }

    /// Whether the cursor stands still: open, or probing.
    #[must_use]
    pub const fn is_open(self) -> bool {
        match self {
            Self::Open { .. } | Self::Probing { .. } => true,
            Self::Closed { .. } | Self::Ramping { .. } => false,
        }
    }

    /// Whether nothing speaks against the endpoint.
    #[must_use]
    pub const fn is_closed(self) -> bool {
        match self {
            Self::Closed { .. } => true,
            Self::Open { .. } | Self::Probing { .. } | Self::Ramping { .. } => false,
        }
    }

    /// Moves on.
    #[must_use]
    pub fn next(self, signal: Signal, schedule: &Schedule, now: Timestamp, dice: f64) -> Self {
        let open = |opening: u16, retry_after| Self::Open {
            due: schedule.probe(opening, PROBE_WAIT_MAX, retry_after, now, dice),
            opening,
        };
        match (self, signal) {
            (Self::Closed { .. }, Signal::Answered) => Self::Closed { failures: 0 },
            (Self::Open { .. } | Self::Probing { .. }, Signal::Answered) => {
                Self::Ramping { limit: 2, answers: 0 }
            }
            (Self::Ramping { limit, answers }, Signal::Answered) => ramped(limit, answers + 1),
            (Self::Closed { failures }, Signal::Failed { fresh: true, retry_after }) => {
                if failures + 1 >= OPENS_AFTER {
                    open(1, retry_after)
                } else {
                    Self::Closed { failures: failures + 1 }
                }
            }
            (Self::Ramping { .. }, Signal::Failed { fresh: true, retry_after }) => {
                open(1, retry_after)
            }
            (Self::Probing { opening }, Signal::Failed { retry_after, .. }) => {
                open(opening.saturating_add(1), retry_after)
            }
            (Self::Open { due, opening }, Signal::Tick) if due <= now => Self::Probing { opening },
            (
                Self::Closed { .. } | Self::Ramping { .. },
                Signal::Failed { fresh: false, .. } | Signal::Tick,
            )
            | (Self::Open { .. }, Signal::Failed { .. } | Signal::Tick)
            | (Self::Probing { .. }, Signal::Tick) => self,
        }
    }
}

const fn ramped(limit: usize, answers: usize) -> Circuit {
    if answers < limit {
        return Circuit::Ramping { limit, answers };
    }
    if limit * 2 >= IN_FLIGHT_MAX {
        return Circuit::Closed { failures: 0 };
    }
    Circuit::Ramping { limit: limit * 2, answers: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: Signal = Signal::Failed { fresh: true, retry_after: None };
    const STALE: Signal = Signal::Failed { fresh: false, retry_after: None };

    fn run(circuit: Circuit, signals: &[Signal]) -> Circuit {
        let schedule = Schedule::default();
        let now = Timestamp::from_millis(1_000);
        signals.iter().fold(circuit, |circuit, signal| circuit.next(*signal, &schedule, now, 0.5))
    }

    const CLOSED: Circuit = Circuit::Closed { failures: 0 };

    #[test]
    fn fresh_failures_in_a_row_open_it() {
        let due = Timestamp::from_millis(6_000);
        assert_eq!(run(CLOSED, &[FRESH; 5]), Circuit::Open { due, opening: 1 });
        let broken = [FRESH, FRESH, FRESH, FRESH, Signal::Answered, FRESH];
        assert_eq!(run(CLOSED, &broken), Circuit::Closed { failures: 1 });
    }

    #[test]
    fn one_event_that_always_fails_never_opens_it() {
        assert_eq!(run(CLOSED, &[STALE; 100]), CLOSED);
    }

    #[test]
    fn a_failed_probe_waits_longer() {
        let due = Timestamp::from_millis(31_000);
        let probing = Circuit::Probing { opening: 1 };
        assert_eq!(run(probing, &[STALE]), Circuit::Open { due, opening: 2 });
    }

    #[test]
    fn a_probe_is_due_only_in_time() {
        let open = |millis| Circuit::Open { due: Timestamp::from_millis(millis), opening: 3 };
        assert_eq!(run(open(1_001), &[Signal::Tick]), open(1_001));
        assert_eq!(run(open(1_000), &[Signal::Tick]), Circuit::Probing { opening: 3 });
    }

    #[test]
    fn the_load_doubles_after_recovery() {
        let mut circuit = run(Circuit::Probing { opening: 7 }, &[Signal::Answered]);
        let mut limits = vec![circuit.limit()];
        while circuit != CLOSED {
            circuit = run(circuit, &[Signal::Answered]);
            if limits.last() != Some(&circuit.limit()) {
                limits.push(circuit.limit());
            }
        }
        assert_eq!(limits, [2, 4, 8, 16, 32, 64]);
    }
}
