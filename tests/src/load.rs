//! Load on one directory over several replicas, as an identity provider brings it: it waits when it is told to,
//! asks again when nobody answered, and remembers what was acknowledged.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::scim::{patch_body, user_body};
use crate::{Directory, Scim};

/// The longest pause that is made because of a `Retry-After`: tests wait for conditions, not for politeness.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// How long a request may take to be answered for good: brokers that start, and leaders that are chosen, on a busy
/// machine.
const ANSWERED_WITHIN: Duration = Duration::from_secs(180);

/// How long to wait before a replica that did not answer is passed over for the next one.
const NEXT_AFTER: Duration = Duration::from_millis(20);

/// What requests met on their way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Met {
    /// Requests that were answered for good.
    pub answered: usize,
    /// Answers that said to come back later, each with a `Retry-After`.
    pub told_to_wait: usize,
    /// Requests that nobody answered.
    pub unanswered: usize,
}

/// One directory, reached through any of several replicas.
#[derive(Clone, Debug)]
pub struct Replicas {
    at: Arc<Mutex<Vec<Directory>>>,
    met: Arc<Mutex<Met>>,
}

impl Replicas {
    /// The directory at each of these addresses.
    #[must_use]
    pub fn new(directory: &Directory, bases: &[&str]) -> Self {
        let at = bases.iter().map(|base| directory.at(base)).collect();
        Self { at: Arc::new(Mutex::new(at)), met: Arc::default() }
    }

    /// Reaches replica `number` at a new address from now on: it was started again.
    pub fn moved(&self, number: usize, base: &str) {
        let mut at = self.at.lock().expect("nothing panics while it is held");
        at[number] = at[number].at(base);
    }

    /// The directory at one of the replicas.
    #[must_use]
    pub fn pick(&self, number: usize) -> Directory {
        let at = self.at.lock().expect("nothing panics while it is held");
        at[number % at.len()].clone()
    }

    /// What requests have met so far.
    #[must_use]
    pub fn met(&self) -> Met {
        self.met.lock().expect("nothing panics while it is held").clone()
    }

    fn note(&self, what: impl FnOnce(&mut Met)) {
        what(&mut self.met.lock().expect("nothing panics while it is held"));
    }

    /// Sends a request until it is answered for good: to the next replica when one does not answer, and later
    /// when one says so. Anything else that is not a success is an answer for the caller to look at.
    ///
    /// The second value says whether an earlier try may have taken effect.
    pub async fn send(
        &self,
        from: usize,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> (Scim, bool) {
        let begun = Instant::now();
        let mut open = false;
        for number in from.. {
            let answer = self.pick(number).try_send(method, path, body.cloned()).await;
            match answer {
                Ok(answer) if matches!(answer.status, 429 | 503) => {
                    self.note(|met| met.told_to_wait += 1);
                    open |= answer.status == 503;
                    tokio::time::sleep(pause(&answer)).await;
                }
                Ok(answer) => {
                    self.note(|met| met.answered += 1);
                    return (answer, open);
                }
                Err(_) => {
                    self.note(|met| met.unanswered += 1);
                    open = true;
                    tokio::time::sleep(NEXT_AFTER).await;
                }
            }
            assert!(
                begun.elapsed() < ANSWERED_WITHIN,
                "{method} {path} is never answered for good"
            );
        }
        unreachable!("the numbers do not end")
    }

    /// Creates a user, by whatever it takes, and answers its id.
    pub async fn create_user(&self, from: usize, name: &str) -> String {
        let (answer, open) = self.send(from, "POST", "/Users", Some(&user_body(name))).await;
        if answer.status == 409 && open {
            // An earlier try took effect, and its answer was lost.
            return self.find(from, name).await.expect("who is in the way can be found");
        }
        answer.expect(201).id()
    }

    /// The id of the one user with this name.
    pub async fn find(&self, from: usize, name: &str) -> Option<String> {
        let path = format!("/Users?filter=userName+eq+%22{name}%22");
        let list = self.send(from, "GET", &path, None).await.0.expect(200);
        let found = list.body["Resources"].as_array().expect("a list");
        assert!(found.len() <= 1, "{name} is there {} times", found.len());
        found.first().map(|user| user["id"].as_str().expect("an id").to_owned())
    }

    /// PATCHes one attribute of a user.
    pub async fn set(&self, from: usize, id: &str, attribute: &str, value: &str) {
        let operation = json!([{ "op": "replace", "path": attribute, "value": value }]);
        let body = patch_body(&operation);
        self.send(from, "PATCH", &format!("/Users/{id}"), Some(&body)).await.0.expect(200);
    }
}

fn pause(answer: &Scim) -> Duration {
    let seconds = answer.retry_after.as_deref().expect("who is sent away is told until when");
    Duration::from_secs(seconds.parse().expect("a number of seconds")).min(PAUSE_MAX)
}

/// Runs `work` for every number below `count`, with this many workers, and gathers what comes of it in order.
///
/// # Panics
/// If one of them does.
pub async fn spread<T, F>(count: usize, workers: usize, work: impl Fn(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let mut running = JoinSet::new();
    let mut done = BTreeMap::new();
    for number in 0..count {
        if running.len() == workers {
            let (number, result) = running.join_next().await.expect("some run").expect("it works");
            done.insert(number, result);
        }
        let work = work(number);
        running.spawn(async move { (number, work.await) });
    }
    while let Some(ended) = running.join_next().await {
        let (number, result) = ended.expect("it works");
        done.insert(number, result);
    }
    done.into_values().collect()
}

/// Creates users over all replicas; their ids in the order of their numbers.
pub async fn create_users(
    replicas: &Replicas,
    prefix: &str,
    count: usize,
    workers: usize,
) -> Vec<String> {
    spread(count, workers, |number| {
        let (replicas, name) = (replicas.clone(), user_name(prefix, number));
        async move { replicas.create_user(number, &name).await }
    })
    .await
}

/// What user number `number` of [`create_users`] is called.
#[must_use]
pub fn user_name(prefix: &str, number: usize) -> String {
    format!("{prefix}.{number}@acme.example")
}

/// Creates each name at several replicas at once, in different letter cases, and checks that one alone was let in.
///
/// # Panics
/// If a name was given twice or not at all.
pub async fn race_for_names(replicas: &Replicas, prefix: &str, names: usize, contenders: usize) {
    spread(names, 8, |number| {
        let (replicas, name) = (replicas.clone(), user_name(prefix, number));
        async move {
            let tries =
                (0..contenders).map(|contender| {
                    let name = if contender % 2 == 0 { name.clone() } else { name.to_uppercase() };
                    let replicas = replicas.clone();
                    async move {
                        replicas.send(contender, "POST", "/Users", Some(&user_body(&name))).await
                    }
                });
            let answers = futures_util::future::join_all(tries).await;
            let created = answers.iter().filter(|(answer, _)| answer.status == 201).count();
            let open = answers.iter().any(|(_, open)| *open);
            assert!(created == 1 || (created == 0 && open), "{name} was created {created} times");
            for (answer, _) in answers.iter().filter(|(answer, _)| answer.status != 201) {
                answer.expect_error(409, Some("uniqueness"));
            }
            assert!(replicas.find(number, &name).await.is_some(), "{name} is gone");
        }
    })
    .await;
}

/// The attributes that [`race_on_users`] changes at once.
const RACED: [&str; 4] = ["title", "nickName", "userType", "displayName"];

/// Changes different attributes of each user at different replicas at once, and checks that all changes hold.
///
/// # Panics
/// If one was lost.
pub async fn race_on_users(replicas: &Replicas, users: &[String], round: &str) {
    let users: Arc<[String]> = users.into();
    spread(users.len(), 8, |number| {
        let (replicas, users, round) = (replicas.clone(), Arc::clone(&users), round.to_owned());
        async move {
            let id = &users[number];
            let sets = RACED.iter().enumerate().map(|(at, attribute)| {
                let value = format!("{attribute} {round}");
                let replicas = &replicas;
                async move { replicas.set(number + at, id, attribute, &value).await }
            });
            futures_util::future::join_all(sets).await;
            let read =
                replicas.send(number, "GET", &format!("/Users/{id}"), None).await.0.expect(200);
            for attribute in RACED {
                assert_eq!(read.body[attribute], format!("{attribute} {round}"), "{id}");
            }
        }
    })
    .await;
}

/// Reads every user at every replica and checks that it is there under its name.
///
/// # Panics
/// If one is missing, or somebody else.
pub async fn read_back(replicas: &Replicas, replica_count: usize, prefix: &str, users: &[String]) {
    let users: Arc<[String]> = users.into();
    spread(users.len() * replica_count, 16, |number| {
        let (replicas, users) = (replicas.clone(), Arc::clone(&users));
        let name = user_name(prefix, number / replica_count);
        async move {
            let id = &users[number / replica_count];
            let read =
                replicas.send(number, "GET", &format!("/Users/{id}"), None).await.0.expect(200);
            assert_eq!(read.body["userName"], name);
        }
    })
    .await;
}
