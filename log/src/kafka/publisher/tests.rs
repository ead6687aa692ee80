use super::*;

/// Nobody listens there.
fn cluster(number: usize) -> Cluster {
    Cluster { brokers: format!("127.0.0.1:{}", number + 1), within_ms: 1_000 }
}

fn publisher() -> Publisher {
    Publisher::new(BTreeMap::new()).unwrap()
}

fn known(publisher: &Publisher) -> Vec<Cluster> {
    publisher.producers.lock().unwrap().keys().cloned().collect()
}

/// Lets the use of a producer lie back.
fn age(publisher: &Publisher, cluster: &Cluster, by: Duration) {
    publisher.producers.lock().unwrap().get_mut(cluster).unwrap().used_at -= by;
}

#[tokio::test]
async fn a_producer_without_a_use_is_closed_and_one_at_work_is_not() {
    let publisher = publisher();
    for number in 0..3 {
        publisher.producer(&cluster(number)).unwrap();
    }
    let at_work = publisher.producer(&cluster(0)).unwrap();
    age(&publisher, &cluster(0), IDLE);
    age(&publisher, &cluster(1), IDLE);
    publisher.sweep();
    assert_eq!(known(&publisher), [cluster(0), cluster(2)]);
    drop(at_work);
    publisher.sweep();
    assert_eq!(known(&publisher), [cluster(2)]);
    publisher.close();
    assert_eq!(known(&publisher), []);
}

#[tokio::test]
async fn there_are_never_too_many_and_the_longest_unused_makes_room() {
    let publisher = publisher();
    let mut at_work = Vec::new();
    for number in 0..PRODUCERS_MAX {
        at_work.push(publisher.producer(&cluster(number)).unwrap());
    }
    let full = publisher.producer(&cluster(PRODUCERS_MAX)).err().unwrap();
    assert_eq!(full.trouble, Trouble::TimedOut);
    assert!(full.why.contains("32 clusters"), "{full}");
    at_work.truncate(PRODUCERS_MAX - 2);
    age(&publisher, &cluster(PRODUCERS_MAX - 1), Duration::from_secs(1));
    publisher.producer(&cluster(PRODUCERS_MAX)).unwrap();
    let known = known(&publisher);
    assert_eq!(known.len(), PRODUCERS_MAX);
    assert!(!known.contains(&cluster(PRODUCERS_MAX - 1)));
}

#[tokio::test]
async fn a_record_for_nobody_says_that_nobody_is_there() {
    let message = Message {
        brokers: cluster(0).brokers,
        topic: "t".to_owned(),
        key: "k".to_owned(),
        headers: Vec::new(),
        value: Bytes::from_static(b"{}"),
        within: Duration::from_secs(1),
    };
    let lost = publisher().publish(message).await.unwrap_err();
    assert_eq!(lost.trouble, Trouble::Unreachable, "{lost}");
    assert!(!lost.why.contains("127.0.0.1"), "it names no address: {lost}");
}

#[test]
fn settings_that_are_wrong_are_told_without_their_values() {
    let further = [("acks".to_owned(), "1".to_owned())].into();
    assert!(
        matches!(Publisher::new(further), Err(OpenError::Setting { key, .. }) if key == "acks")
    );
    let further = [("sasl.pasword".to_owned(), "hunter2".to_owned())].into();
    let error = Publisher::new(further).unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
}
