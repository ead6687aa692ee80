//! The bare limit past one machine: parse the body, produce it with `acks=all` and idempotence, insert it in one
//! transaction together with what else has come, answer.

use std::process::Command;

use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::sync::mpsc;
use tokio_postgres::{Client, NoTls};

use super::world::World;
use crate::Failure;
use crate::limit::{Limit, WAITING_MAX, Waiting, listen};

/// The argument that makes this program this bare limit.
pub(crate) const COMMAND: &str = "bare-limit-of-a-cluster";

/// How many bodies go into one transaction.
const TOGETHER_MAX: usize = 1_024;

/// The bare limit in a process of its own, as `dsync` is, on the same broker and database.
pub(super) fn start(world: &World) -> Result<Limit, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([COMMAND, world.kafka.bootstrap(), &world.kafka.fresh_name()]);
    Limit::started(command.arg(world.postgres.url()))
}

pub(crate) async fn serve(arguments: &[String]) -> Result<(), Failure> {
    let [brokers, topic, database] = arguments else { return Err("three arguments".into()) };
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("acks", "all").set("enable.idempotence", "true");
    config.set("linger.ms", "0").set("compression.codec", "lz4");
    let admin: rdkafka::admin::AdminClient<_> = config.create()?;
    let one = rdkafka::admin::TopicReplication::Fixed(1);
    let topic_made = rdkafka::admin::NewTopic::new(topic, 1, one);
    admin.create_topics([&topic_made], &rdkafka::admin::AdminOptions::new()).await?;
    let (client, connection) = tokio_postgres::connect(database, NoTls).await?;
    tokio::spawn(connection);
    let make =
        "CREATE TABLE bodies (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, value bytea)";
    client.batch_execute(make).await?;
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let committing = tokio::spawn(commit(config.create()?, topic.clone(), client, receiver));
    tokio::select! {
        listening = listen(sender) => listening,
        committed = committing => committed?,
    }
}

async fn commit(
    producer: FutureProducer,
    topic: String,
    client: Client,
    mut receiver: mpsc::Receiver<Waiting>,
) -> Result<(), Failure> {
    let insert = client.prepare("INSERT INTO bodies (value) SELECT unnest($1::bytea[])").await?;
    let mut waiting = Vec::new();
    while receiver.recv_many(&mut waiting, TOGETHER_MAX).await > 0 {
        let mut sent = Vec::with_capacity(waiting.len());
        for (body, _) in &waiting {
            let record = FutureRecord::to(&topic).partition(0).key("key").payload(&body[..]);
            sent.push(producer.send_result(record).map_err(|(error, _)| error)?);
        }
        for delivery in sent {
            delivery.await?.map_err(|(error, _)| error)?;
        }
        let bodies: Vec<&[u8]> = waiting.iter().map(|(body, _)| &body[..]).collect();
        client.execute(&insert, &[&bodies]).await?;
        for (_, done) in waiting.drain(..) {
            // Who asked may have gone away.
            let _ = done.send(());
        }
    }
    Ok(())
}
