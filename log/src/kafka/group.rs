//! Who follows which partition: the members of a consumer group share them.
//!
//! The group only assigns. No record is read through it and no position is kept in it: positions lie in the store,
//! beside the state, and a member that was replaced without noticing is refused there by its old position.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;
use tokio::sync::watch;

use super::client::Context;
use super::config::Config;
use super::{OpenError, unfit};
use crate::contract::Partition;

/// How often the thread looks whether it is to end. Callbacks come at once.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A membership, which is given up when this is dropped.
#[derive(Debug)]
pub struct Group {
    assigned: watch::Receiver<BTreeSet<Partition>>,
    leaving: Arc<AtomicBool>,
    member: Option<JoinHandle<()>>,
}

impl Group {
    /// Joins the group of everyone who follows this topic.
    ///
    /// # Errors
    ///
    /// If no client can be made with these settings. A cluster that does not answer is no error: the membership
    /// begins when it does.
    pub fn join(config: &Config) -> Result<Self, OpenError> {
        config.check()?;
        let (sender, assigned) = watch::channel(BTreeSet::new());
        let member = Member { context: Context::default(), assigned: sender };
        let client: BaseConsumer<Member> =
            config.member().create_with_context(member).map_err(unfit)?;
        client.subscribe(&[&config.topic]).map_err(unfit)?;
        let leaving = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&leaving);
        let member =
            std::thread::Builder::new().name("log-kafka-group".to_owned()).spawn(move || {
                while !told.load(Ordering::Acquire) {
                    // Nothing is fetched, so what comes is a callback or an error, which the log of librdkafka has too.
                    if let Some(Err(error)) = client.poll(LOOK_EVERY) {
                        tracing::debug!(%error, "the group of the log complains");
                    }
                }
                // Dropping the client leaves the group: the others need not wait for the session to end.
            });
        let member = member.map_err(|error| OpenError::Client { why: error.to_string() })?;
        Ok(Self { assigned, leaving, member: Some(member) })
    }

    /// The partitions that fall to this member, now and whenever that changes. None once it has left.
    #[must_use]
    pub fn assigned(&self) -> watch::Receiver<BTreeSet<Partition>> {
        self.assigned.clone()
    }

    /// Gives the partitions back. Blocks; for shutdown.
    pub fn leave(&mut self) {
        self.leaving.store(true, Ordering::Release);
        if self.member.take().is_some_and(|member| member.join().is_err()) {
            tracing::error!("the membership in the group of the log has panicked");
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.leaving.store(true, Ordering::Release);
    }
}

/// What librdkafka tells of the membership.
struct Member {
    context: Context,
    assigned: watch::Sender<BTreeSet<Partition>>,
}

impl Member {
    fn change(&self, change: impl FnOnce(&mut BTreeSet<Partition>)) {
        self.assigned.send_modify(change);
        let assigned: Vec<u16> = self.assigned.borrow().iter().map(|one| one.0).collect();
        tracing::info!(partitions = ?assigned, "the partitions to follow have changed");
    }
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

impl ConsumerContext for Member {
    fn pre_rebalance(&self, _client: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        // Before another may get them, so that two follow one partition as rarely as can be.
        match rebalance {
            Rebalance::Revoke(given_up) => {
                let given_up = partitions(given_up);
                self.change(|assigned| assigned.retain(|one| !given_up.contains(one)));
            }
            Rebalance::Error(error) => {
                tracing::warn!(%error, "the group of the log cannot share its partitions");
                self.change(BTreeSet::clear);
            }
            Rebalance::Assign(_) => {}
        }
    }

    fn post_rebalance(&self, client: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(given) => {
                // The group assigns and nothing else: records are fetched elsewhere.
                if let Err(error) = client.pause(given) {
                    tracing::debug!(%error, "what is assigned cannot be paused");
                }
                let given = partitions(given);
                self.change(|assigned| assigned.extend(given));
            }
            Rebalance::Revoke(_) | Rebalance::Error(_) => {}
        }
    }
}

fn partitions(list: &TopicPartitionList) -> BTreeSet<Partition> {
    let numbers = list.elements().into_iter().map(|element| element.partition());
    numbers.filter_map(|number| u16::try_from(number).ok()).map(Partition).collect()
}
