//! Which log: the one place that knows more than one.

use std::path::PathBuf;
use std::sync::Arc;

use log::{Embedded, EventLog, Offset, Partition, ReadError};
use projector::rebuild::Scan;

use super::share::Share;
use crate::settings::{LogSetting, Settings};

/// The embedded log is one partition: one writer thread gains nothing from several.
const PARTITIONS: u16 = 1;

/// Where the log is, before anybody has opened it.
#[derive(Clone, Debug)]
pub(crate) enum LogSource {
    Embedded(PathBuf),
    #[cfg(feature = "kafka")]
    Kafka(Arc<log::kafka::Config>),
}

/// A partition to be read from its first record to its last.
pub(crate) struct Walk {
    /// Where it begins: at 0, unless records at the front are gone.
    pub(crate) begin: Offset,
    pub(crate) scan: Scan<'static>,
    /// About how many records there are.
    pub(crate) length: u64,
}

/// A log at work.
#[derive(Clone, Debug)]
pub(crate) enum OpenLog {
    Embedded(Arc<Embedded>),
    #[cfg(feature = "kafka")]
    Kafka(Arc<log::Kafka>),
}

impl LogSource {
    /// What the settings name. They were checked to name what this build has.
    pub(crate) fn of(settings: &Settings) -> Self {
        match &settings.log {
            #[cfg(feature = "kafka")]
            LogSetting::Kafka(topic) => {
                let further = settings.kafka.iter();
                Self::Kafka(Arc::new(log::kafka::Config {
                    brokers: topic.brokers.clone(),
                    topic: topic.topic.clone(),
                    partitions: settings.kafka_partitions,
                    copies: settings.kafka_copies,
                    further: further
                        .map(|(key, value)| (key.clone(), value.expose().to_owned()))
                        .collect(),
                }))
            }
            #[cfg(not(feature = "kafka"))]
            LogSetting::Kafka(_) => unreachable!("the settings were checked"),
            LogSetting::Embedded => Self::Embedded(settings.data_dir.join("log.db")),
        }
    }

    #[cfg_attr(
        not(feature = "kafka"),
        expect(clippy::unused_async, reason = "a log on a cluster is opened over the network")
    )]
    pub(crate) async fn open(&self) -> anyhow::Result<OpenLog> {
        Ok(match self {
            Self::Embedded(path) => OpenLog::Embedded(Arc::new(Embedded::open(path, PARTITIONS)?)),
            #[cfg(feature = "kafka")]
            Self::Kafka(config) => {
                OpenLog::Kafka(Arc::new(log::Kafka::open((**config).clone()).await?))
            }
        })
    }

    /// Which partitions to follow: all of them in the only process there is, otherwise what falls to this one.
    pub(super) fn share(&self, open: &OpenLog, alone: bool) -> anyhow::Result<Share> {
        match self {
            #[cfg(feature = "kafka")]
            Self::Kafka(config) if !alone => Ok(Share::Group(log::kafka::Group::join(config)?)),
            #[cfg(feature = "kafka")]
            Self::Kafka(_) => Ok(Share::all(open.port().partitions())),
            Self::Embedded(_) => {
                debug_assert!(alone, "the embedded log serves one process");
                Ok(Share::all(open.port().partitions()))
            }
        }
    }

    /// Every partition there is. May block.
    pub(crate) fn partitions(&self) -> anyhow::Result<Vec<Partition>> {
        let count = match self {
            Self::Embedded(_) => PARTITIONS,
            #[cfg(feature = "kafka")]
            Self::Kafka(config) => log::Kafka::count_partitions(config)?,
        };
        Ok((0..count).map(Partition).collect())
    }

    /// Lets readers pass over the records that a partition lacks, and says which were found to be missing. Blocks.
    pub(crate) fn accept_holes(
        &self,
        partition: Partition,
    ) -> anyhow::Result<Vec<(Offset, Offset)>> {
        match self {
            Self::Embedded(path) => Ok(Embedded::accept_holes(path, partition)?),
            // Offsets of a topic are no numbers without holes, and what was deleted is passed over anyway.
            #[cfg(feature = "kafka")]
            Self::Kafka(_) => Ok(Vec::new()),
        }
    }

    /// All that is left of a partition. What is missing of a stream shows in its chain. Blocks.
    pub(crate) fn scan(&self, partition: Partition) -> anyhow::Result<Walk> {
        match self {
            Self::Embedded(path) => {
                let scan = Embedded::scan(path, partition, Offset(0))?;
                let length = scan.len_hint().map_err(anyhow::Error::from_boxed)?;
                Ok(Walk { begin: Offset(0), scan: Box::new(scan), length })
            }
            #[cfg(feature = "kafka")]
            Self::Kafka(config) => {
                let scan = log::Kafka::scan_what_is_left(config, partition)?;
                let (begin, length) = (scan.begin(), scan.len_hint());
                Ok(Walk { begin, scan: Box::new(scan), length })
            }
        }
    }
}

impl OpenLog {
    pub(crate) fn port(&self) -> Arc<dyn EventLog> {
        match self {
            Self::Embedded(log) => Arc::clone(log) as Arc<dyn EventLog>,
            #[cfg(feature = "kafka")]
            Self::Kafka(log) => Arc::clone(log) as Arc<dyn EventLog>,
        }
    }

    /// How many partitions there are by now. Of the embedded log there are always as many.
    #[cfg_attr(
        not(feature = "kafka"),
        expect(clippy::unused_async, reason = "a cluster is asked over the network")
    )]
    pub(super) async fn look_for_partitions(&self) -> Result<u16, ReadError> {
        match self {
            Self::Embedded(log) => Ok(log.partitions()),
            #[cfg(feature = "kafka")]
            Self::Kafka(log) => log.look_for_partitions().await,
        }
    }

    /// Lets what is on its way arrive, and ends its threads. Blocks; for shutdown.
    pub(crate) fn close(&self) {
        match self {
            Self::Embedded(log) => log.close(),
            #[cfg(feature = "kafka")]
            Self::Kafka(log) => log.close(),
        }
    }
}
