//! A topic with a history, made as the rules make it and appended as ingest appends it, without the way over HTTP.

use std::time::SystemTime;

use bytes::Bytes;
use directory::patch::parse_operations;
use directory::resource::ScimSettings;
use directory::{Answer, AppRules, Command, Directory, Facts, Needs, Stamp, Undecided, decide};
use futures_util::StreamExt as _;
use log::kafka::{Config, Kafka};
use log::{Append, EventLog as _, Partition};
use schemas::record::seal;
use schemas::scim::{USER, canonicalise, parse};
use schemas::wire::DirectoryType;
use schemas::{Actor, DirectoryId, Head, OrganizationId, ScimId, Seq, Timestamp};
use serde_json::json;

use super::world::World;
use crate::Failure;
use crate::load;

/// How many records go into one append, and how many appends are on their way.
const TOGETHER: usize = 1_000;
const ON_THEIR_WAY: usize = 8;

/// A stream in the making.
struct Stream {
    facts: Facts,
    head: Head,
    users: Vec<ScimId>,
}

/// Appends a history: in each of so many directories so many users are created, and then each is changed so often.
pub(super) async fn fill(
    world: &World,
    directories: usize,
    users: usize,
    changes: usize,
) -> Result<(), Failure> {
    let log = Kafka::open(Config {
        brokers: world.kafka.bootstrap().to_owned(),
        topic: world.topic.clone(),
        partitions: 1,
        copies: 1,
        further: Default::default(),
    })
    .await?;
    let (log, chunks) = (&log, chunks(directories, users, changes));
    let mut appends = futures_util::stream::iter(chunks)
        .map(|chunk| async move { log.append(Partition(0), chunk?).await.map_err(Failure::from) })
        .buffered(ON_THEIR_WAY);
    while let Some(appended) = appends.next().await {
        appended?;
    }
    drop(appends);
    log.close();
    Ok(())
}

/// The records in their order: directories take turns.
fn chunks(
    directories: usize,
    users: usize,
    changes: usize,
) -> impl Iterator<Item = Result<Vec<Append>, Failure>> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let begun = i64::try_from(now.as_millis()).unwrap_or_default();
    let mut streams: Vec<_> = (1..=directories as u128).map(Stream::new).collect();
    let mut numbers = 0..directories * users * (1 + changes);
    let mut next_id = u128::from(begun.unsigned_abs()) << 80;
    std::iter::from_fn(move || {
        let together: Vec<usize> = numbers.by_ref().take(TOGETHER).collect();
        let mut chunk = Vec::with_capacity(TOGETHER);
        for number in &together {
            let stream = &mut streams[number % directories];
            let turn = number / directories;
            // A millisecond for ten events, a second for ten thousand.
            let at = Timestamp::from_millis(begun + i64::try_from(number / 10).unwrap_or_default());
            let command = match stream.command(turn, users) {
                Ok(command) => command,
                Err(error) => return Some(Err(error)),
            };
            let mut ids = || {
                next_id += 1 << 16;
                next_id
            };
            match stream.take(&command, at, &mut ids) {
                Ok(records) => chunk.extend(records),
                Err(error) => return Some(Err(error)),
            }
        }
        (!chunk.is_empty()).then_some(Ok(chunk))
    })
}

impl Stream {
    fn new(number: u128) -> Self {
        let made = Timestamp::from_millis(1);
        let directory = Directory {
            id: DirectoryId::from_bits(number),
            organization_id: OrganizationId::from_bits(number),
            external_key: "key".into(),
            scim: ScimSettings::default(),
            apps: AppRules::default(),
            kind: DirectoryType::Azure,
            name: "Projection".into(),
            domains: Vec::new(),
            tokens: Vec::new(),
            deleting: false,
            created_at: made,
            updated_at: made,
        };
        let facts = Facts::new(directory, Seq(0));
        Self { facts, head: Head::default(), users: Vec::new() }
    }

    /// The first so many turns create users, those that follow change one after the other.
    fn command(&self, turn: usize, users: usize) -> Result<Command, Failure> {
        if turn < users {
            let body = load::user(&format!("user.{turn}@bench.example"));
            let attributes = canonicalise(&USER, parse(&body)?)?;
            return Ok(Command::CreateUser { attributes: attributes.into() });
        }
        let body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{ "op": "replace", "path": "title",
                "value": format!("Title {}", turn / users) }] });
        let operations = parse_operations(&parse(body.to_string().as_bytes())?)?;
        Ok(Command::PatchUser { id: self.users[turn % users], operations })
    }

    fn take(
        &mut self,
        command: &Command,
        at: Timestamp,
        ids: &mut dyn FnMut() -> u128,
    ) -> Result<Vec<Append>, Failure> {
        let decision = loop {
            match decide(
                &mut self.facts,
                command,
                &mut Stamp { at, promised: None, ids: &mut *ids },
            ) {
                Ok(decision) => break decision,
                Err(Undecided::Missing(missing)) => self.gather(*missing.0),
                Err(Undecided::Rejected(rejection)) => return Err(rejection.into()),
            }
        };
        if let (Command::CreateUser { .. }, Answer::User(user)) = (command, &decision.answer) {
            self.users.push(user.id);
        }
        let actor = Actor::default();
        let id = self.facts.directory.id;
        let sealed = seal(&decision.drafts, id, &actor, self.head.seq, self.head);
        self.head = sealed.last().map_or(self.head, |last| last.head);
        let key = Bytes::from(id.to_string());
        Ok(sealed.into_iter().map(|sealed| Append::new(key.clone(), sealed.value)).collect())
    }

    /// What was not there before is not there.
    fn gather(&mut self, needs: Needs) {
        for name in needs.user_names {
            self.facts.user_names.entry(name).or_insert(None);
        }
        for id in needs.user_external_ids {
            self.facts.user_external_ids.entry(id).or_default();
        }
        for user in needs.groups_of {
            if self.facts.groups_of.get(user).is_none() {
                self.facts.groups_of.all_of(user, [].into());
            }
        }
        for name in needs.pending {
            self.facts.pending.all_named(name, Vec::new());
        }
    }
}
