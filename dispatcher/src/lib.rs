//! The dispatcher: takes accepted events from the feed to the webhook endpoints of customer apps.
//!
//! The cast:
//! - the *feed* is the accepted events in one global order; it is the only copy, there is no queue;
//! - an *endpoint* is a customer app's webhook URL;
//! - a [`lane::Lane`] is the work for one endpoint: a *cursor* in the feed, a *window* of events
//!   beyond it, and the lines that wait;
//! - a *line* is the events of one user or group, which go out one after the other; a membership
//!   event stands in two;
//! - a line whose first event fails is *blocked*: that event is tried again by the
//!   [`schedule`], the later ones of the line wait behind it, everything else flows on;
//! - a [`circuit::Circuit`] opens when the endpoint as a whole fails: then nothing flows, and a
//!   probe now and then finds out when it is back;
//! - a *hold* keeps what removes much of a directory at once from going out until somebody says that it
//!   may: see [`brake`];
//! - its [`destination`] is a URL, or a topic of Kafka;
//! - an *attempt* is one HTTP request, [signed](signature), sent by a [`client::Client`] that calls
//!   no [address] inside our network and leaves by the [egress] that the operator has set up. To a topic it is one
//!   record, written by whatever stands behind [`client::Sender`] for topics: the dispatcher knows no driver;
//! - the *format* of an endpoint is what it gets: the event itself, or a token that tells of it
//!   ([`security_event`]).
//!
//! ```text
//!  feed ──▶ lane ──Send──▶ client ──▶ app
//!            │ ▲              │
//!            │ └──Completed───┘
//!            └──Flush──▶ store: cursor, blocked lines and attempts in one transaction
//! ```
//!
//! Delivery is at least once: a crash sends again what completed since the last flush, with the same
//! ids. Catching up, recovering and starting are the same code: a lane that begins at its cursor.
//!
//! It is *not* the place that decides what an event means (that comes from the feed), nor does it
//! know how anything is stored: that is the contract in [`ports`].
//!
//! Start with [`lane`]; [`run()`] is what carries out its actions.

pub mod address;
pub mod brake;
pub mod circuit;
pub mod client;
pub mod destination;
pub mod egress;
pub mod failure;
pub mod lane;
pub mod ports;
pub mod resolver;
pub mod run;
pub mod schedule;
pub mod security_event;
pub mod share;
pub mod signature;
mod target;
pub mod trial;

pub use crate::address::{InvalidEndpoint, Policy, check_url};
pub use crate::client::{Client, Sender};
pub use crate::destination::{Broker, Brokers, Destination, KafkaTopic};
pub use crate::egress::Egress;
pub use crate::failure::Failure;
pub use crate::ports::{DeliveryStore, Endpoint, FeedEvent, FeedPosition, Secret};
pub use crate::run::{Config, ENDING, run};
pub use crate::schedule::Schedule;
pub use crate::trial::Tester;
