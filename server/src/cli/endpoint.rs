//! The arguments of `dsync endpoint create`.

use clap::Args;
use clap::builder::TypedValueParser as _;
use schemas::{DeliveryOrder, DirectoryId, EndpointKind, Format, OrganizationId, Waits};
use serde_json::{Value, json};

/// A new webhook endpoint. What is left out is as the API has it.
#[derive(Clone, Debug, Args)]
pub struct NewEndpoint {
    /// Where to send events: an https URL, or kafka://host:port,host:port/topic
    url: String,
    /// The types of events to send, separated by commas; dsync.user.* stands for several
    /// [default: all]
    #[arg(long, value_delimiter = ',', value_name = "TYPES")]
    events: Vec<String>,
    /// Only events of these organizations, separated by commas [default: all]
    #[arg(long, value_delimiter = ',', value_name = "IDS")]
    organizations: Vec<OrganizationId>,
    /// Only events of these directories, separated by commas [default: all]
    #[arg(long, value_delimiter = ',', value_name = "IDS")]
    directories: Vec<DirectoryId>,
    /// Send what operators are told instead: endpoints that fail, deliveries that are given up
    #[arg(long, conflicts_with_all = ["events", "organizations", "directories", "order", "start"])]
    operational: bool,
    /// What goes out one after the other: the events of a user or group (resource), those of a
    /// directory (directory), or nothing (none) [default: resource]
    #[arg(long, value_name = "ORDER", value_parser = orders())]
    order: Option<DeliveryOrder>,
    /// Waits between attempts, such as 5s,30s,2m [default: as in the settings]
    #[arg(long, value_name = "WAITS")]
    retry_schedule: Option<Waits>,
    /// Where to begin: now, beginning, or a time [default: now]
    #[arg(long, value_name = "START")]
    start: Option<String>,
    /// What to send: webhooks, or Security Event Tokens with SCIM events (RFC 9967)
    #[arg(long, value_name = "FORMAT", default_value_t, value_parser = formats())]
    pub(crate) format: Format,
}

impl NewEndpoint {
    /// The body of the call that creates it.
    pub(crate) fn body(&self) -> Value {
        let mut body = json!({ "endpoint_url": self.url, "format": self.format.name() });
        let mut set = |name: &str, value: Value| body[name] = value;
        if !self.events.is_empty() {
            set("events", json!(self.events));
        }
        if !self.organizations.is_empty() {
            set("organizations", json!(self.organizations));
        }
        if !self.directories.is_empty() {
            set("directories", json!(self.directories));
        }
        if self.operational {
            set("kind", json!(EndpointKind::Operational.name()));
        }
        if let Some(order) = self.order {
            set("order", json!(order.name()));
        }
        if let Some(waits) = &self.retry_schedule {
            set("retry_schedule", json!(waits.to_string()));
        }
        if let Some(start) = &self.start {
            set("start", json!(start));
        }
        body
    }
}

fn formats() -> impl clap::builder::TypedValueParser<Value = Format> {
    clap::builder::PossibleValuesParser::new(Format::ALL.map(Format::name))
        .map(|name| name.parse().expect("it is one of the names"))
}

fn orders() -> impl clap::builder::TypedValueParser<Value = DeliveryOrder> {
    clap::builder::PossibleValuesParser::new(DeliveryOrder::ALL.map(DeliveryOrder::name))
        .map(|name| name.parse().expect("it is one of the names"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        endpoint: NewEndpoint,
    }

    fn body(line: &str) -> Option<Value> {
        let line = format!("create https://app.example {line}");
        Line::try_parse_from(line.split_whitespace()).ok().map(|line| line.endpoint.body())
    }

    #[test]
    fn what_is_left_out_is_left_to_the_server() {
        let plain = json!({ "endpoint_url": "https://app.example", "format": "webhook" });
        assert_eq!(body(""), Some(plain));
        let body =
            body("--events dsync.user.*,dsync.deleted --order none --start beginning").unwrap();
        assert_eq!(body["events"], json!(["dsync.user.*", "dsync.deleted"]));
        assert_eq!((&body["order"], &body["start"]), (&json!("none"), &json!("beginning")));
    }

    #[test]
    fn an_operational_endpoint_has_no_choice_of_events() {
        assert_eq!(body("--operational").unwrap()["kind"], "operational");
        assert_eq!(body("--operational --events dsync.deleted"), None);
        assert_eq!(body("--retry-schedule soon"), None);
        assert_eq!(body("--order fifo"), None);
    }
}
