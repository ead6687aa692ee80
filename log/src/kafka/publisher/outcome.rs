//! Why a record is not in its topic, in terms of what a caller can do.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// What kind of trouble it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The brokers know no such topic.
    UnknownTopic,
    /// They do not let us in, or not write to it.
    NotAuthorized,
    /// The topic takes no record of this size.
    TooLarge,
    /// The name of a broker does not resolve.
    Dns,
    /// No broker is there.
    Unreachable,
    /// No connection with TLS came about.
    Tls,
    /// They did not take it in time. It may be there all the same.
    TimedOut,
    /// They answered with anything else.
    Refused,
}

/// A record is not known to be in its topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Unpublished {
    /// What kind of trouble it is.
    pub trouble: Trouble,
    /// It in words: of librdkafka, or the broker's own. They name no address.
    pub why: String,
}

impl Unpublished {
    pub(super) fn crowded(producers: usize) -> Self {
        let why = format!(
            "records are on their way to {producers} clusters and times already, and to no more at once"
        );
        Self { trouble: Trouble::TimedOut, why }
    }

    pub(super) fn unmade() -> Self {
        let why = "no producer can be made; the log of dsync says why".to_owned();
        Self { trouble: Trouble::Refused, why }
    }
}

/// What to tell of an error. `complaint`: what was last wrong with the cluster as a whole. A record that waits in vain
/// only ever says that its time is over.
pub(super) fn of(error: &KafkaError, complaint: Option<RDKafkaErrorCode>) -> Unpublished {
    let Some(code) = error.rdkafka_error_code() else {
        return Unpublished { trouble: Trouble::Refused, why: error.to_string() };
    };
    let is_late = code == RDKafkaErrorCode::MessageTimedOut;
    match complaint.filter(|_| is_late) {
        Some(complaint) => {
            let why = format!("{code}, after {complaint}");
            Unpublished { trouble: trouble(complaint).unwrap_or(Trouble::TimedOut), why }
        }
        None => Unpublished {
            trouble: trouble(code).unwrap_or(Trouble::Refused),
            why: code.to_string(),
        },
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "librdkafka has a hundred more, and gains others"
)]
const fn trouble(code: RDKafkaErrorCode) -> Option<Trouble> {
    Some(match code {
        RDKafkaErrorCode::UnknownTopic
        | RDKafkaErrorCode::UnknownPartition
        | RDKafkaErrorCode::UnknownTopicOrPartition
        | RDKafkaErrorCode::InvalidTopic => Trouble::UnknownTopic,
        RDKafkaErrorCode::TopicAuthorizationFailed
        | RDKafkaErrorCode::ClusterAuthorizationFailed
        | RDKafkaErrorCode::SaslAuthenticationFailed
        | RDKafkaErrorCode::Authentication => Trouble::NotAuthorized,
        RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize => {
            Trouble::TooLarge
        }
        RDKafkaErrorCode::Resolve => Trouble::Dns,
        RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown => {
            Trouble::Unreachable
        }
        RDKafkaErrorCode::SSL => Trouble::Tls,
        RDKafkaErrorCode::MessageTimedOut
        | RDKafkaErrorCode::OperationTimedOut
        | RDKafkaErrorCode::RequestTimedOut
        | RDKafkaErrorCode::QueueFull
        | RDKafkaErrorCode::PurgeQueue
        | RDKafkaErrorCode::PurgeInflight => Trouble::TimedOut,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(code: RDKafkaErrorCode, complaint: Option<RDKafkaErrorCode>) -> Trouble {
        of(&KafkaError::MessageProduction(code), complaint).trouble
    }

    #[test]
    fn each_kind_of_trouble_is_told_apart() {
        for (code, trouble) in [
            (RDKafkaErrorCode::UnknownTopic, Trouble::UnknownTopic),
            (RDKafkaErrorCode::UnknownTopicOrPartition, Trouble::UnknownTopic),
            (RDKafkaErrorCode::TopicAuthorizationFailed, Trouble::NotAuthorized),
            (RDKafkaErrorCode::MessageSizeTooLarge, Trouble::TooLarge),
            (RDKafkaErrorCode::MessageTimedOut, Trouble::TimedOut),
            (RDKafkaErrorCode::QueueFull, Trouble::TimedOut),
            (RDKafkaErrorCode::PolicyViolation, Trouble::Refused),
        ] {
            assert_eq!(told(code, None), trouble, "{code}");
        }
    }

    #[test]
    fn a_record_that_waited_in_vain_says_for_what() {
        let late = RDKafkaErrorCode::MessageTimedOut;
        for (complaint, trouble) in [
            (RDKafkaErrorCode::BrokerTransportFailure, Trouble::Unreachable),
            (RDKafkaErrorCode::Resolve, Trouble::Dns),
            (RDKafkaErrorCode::SSL, Trouble::Tls),
            (RDKafkaErrorCode::Authentication, Trouble::NotAuthorized),
            (RDKafkaErrorCode::BadMessage, Trouble::TimedOut),
        ] {
            assert_eq!(told(late, Some(complaint)), trouble, "{complaint}");
        }
        let large = RDKafkaErrorCode::MessageSizeTooLarge;
        assert_eq!(told(large, Some(RDKafkaErrorCode::Resolve)), Trouble::TooLarge);
    }
}
