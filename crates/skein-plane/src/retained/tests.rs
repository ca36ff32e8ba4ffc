//! The store against a plain list, and topics as deep as topics can be.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use skein_types::{Filter, QoS};

use super::*;

const NOW: Moment = Moment::ZERO;

fn message(topic: &str, payload: &'static [u8]) -> Message {
    Message::new(Topic::try_from(topic).unwrap(), Bytes::from_static(payload), QoS::AtMostOnce)
}

fn topic() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["", "a", "b", "$s"]), 1..5)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("a topic has characters", |topic| !topic.is_empty())
}

fn filter() -> impl Strategy<Value = String> {
    let levels = prop::collection::vec(prop::sample::select(vec!["", "a", "b", "$s", "+"]), 0..5);
    (levels, any::<bool>())
        .prop_map(|(mut levels, multi)| {
            levels.extend(multi.then_some("#"));
            levels.join("/")
        })
        .prop_filter("a filter has characters", |filter| !filter.is_empty())
}

proptest! {
    #[test]
    fn the_store_does_what_a_list_does(
        steps in prop::collection::vec((topic(), any::<bool>()), 1..60),
        filters in prop::collection::vec(filter(), 1..10),
    ) {
        let retained = Retained::new(1000, usize::MAX);
        let mut list = BTreeMap::new();
        for (topic, keep) in steps {
            let sent = message(&topic, if keep { b"x" } else { b"" });
            retained.set(&sent, NOW);
            if keep { list.insert(topic, sent.topic) } else { list.remove(&topic) };
            prop_assert_eq!(retained.len(), list.len());
        }
        for filter in filters {
            let filter = Filter::new(&filter).unwrap();
            let mut found = retained.matching(&filter);
            found.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
            let expected: Vec<Topic> = list.values().filter(|topic| filter.matches(topic)).cloned().collect();
            prop_assert_eq!(found, expected, "{}", filter);
        }
        for (text, topic) in list {
            prop_assert!(retained.remove(&topic), "{}", text);
        }
        // Nothing is left behind of what was removed.
        prop_assert_eq!((retained.len(), retained.bytes()), (0, 0));
        prop_assert!(retained.shards.iter().all(|shard| shard.read().order.is_empty()));
    }

    /// Whatever changes between the steps of a walk, it finds what was there all the time, and once.
    #[test]
    fn a_walk_finds_what_stays(
        stays in prop::collection::btree_set(topic(), 0..30),
        changes in prop::collection::vec((topic(), any::<bool>(), 1..4_u32), 1..80),
        filter in filter(),
        messages_max in 1..5_usize,
    ) {
        let retained = Retained::new(1000, usize::MAX);
        stays.iter().for_each(|topic| retained.set(&message(topic, b"x"), NOW));
        let filter = Filter::new(&filter).unwrap();
        let (mut cursor, mut found, mut at_end) = (Cursor::default(), Vec::new(), false);
        let mut walk = |steps: u32, found: &mut Vec<Arc<Message>>, go_back: bool| {
            let mut batch = Vec::new();
            let budget = Budget { steps: &mut steps.clone(), messages_max };
            at_end = at_end || retained.walk(&filter, &mut cursor, budget, &mut batch);
            // Sometimes the last one has no room.
            if let Some(last) = batch.pop_if(|_| go_back) {
                cursor.back_to(&last.topic);
                at_end = false;
            }
            found.extend(batch);
            at_end
        };
        for (topic, keep, steps) in changes {
            if !stays.contains(&topic) {
                retained.set(&message(&topic, if keep { b"y" } else { b"" }), NOW);
            }
            walk(steps, &mut found, keep && steps == 1);
        }
        for _ in 0..10_000 {
            if walk(10, &mut found, false) {
                break;
            }
        }
        let mut topics: Vec<&str> = found.iter().map(|message| message.topic.as_str()).collect();
        prop_assert!(found.iter().all(|message| filter.matches(&message.topic)));
        topics.retain(|topic| stays.contains(*topic));
        topics.sort_unstable();
        let matches = |topic: &&str| filter.matches(&Topic::try_from(*topic).unwrap());
        let expected: Vec<&str> = stays.iter().map(String::as_str).filter(matches).collect();
        prop_assert_eq!(topics, expected);
    }
}

#[test]
fn bytes_are_bounded_and_nothing_older_than_what_was_refused_is_left() {
    let large = |topic: &str| {
        Message::new(Topic::try_from(topic).unwrap(), Bytes::from(vec![0; 600]), QoS::AtMostOnce)
    };
    let retained = Retained::new(1000, 2 * cost_of(&large("a")));
    for topic in ["a", "b", "c"] {
        retained.set(&large(topic), NOW);
    }
    assert_eq!((retained.len(), retained.refused(), retained.bytes()), (2, 1, 2 * cost_of(&large("a"))));
    // A smaller one makes room, and is replaced by one for which there is none.
    retained.set(&message("a", b"x"), NOW);
    retained.set(&message("c", b"x"), NOW);
    assert_eq!(retained.len(), 3);
    retained.set(&large("a"), NOW);
    assert_eq!((retained.len(), retained.refused()), (2, 2));
    assert!(retained.get(&Topic::try_from("a").unwrap(), NOW).is_none());
    // Nobody waits for room forever.
    retained.set_limits(1000, 0);
    retained.set(&message("b", b"x"), NOW);
    assert_eq!(retained.get(&Topic::try_from("b").unwrap(), NOW).unwrap().payload, "x");
    assert!(
        retained.remove(&Topic::try_from("b").unwrap()) && retained.remove(&Topic::try_from("c").unwrap())
    );
    assert_eq!((retained.len(), retained.bytes()), (0, 0));
}

/// Recursion over so many levels would end the process.
#[test]
fn topics_may_be_as_deep_as_their_length_allows() {
    let retained = Retained::new(10, usize::MAX);
    let deep = "/".repeat(65_535);
    let shorter = "/".repeat(40_000);
    for topic in [&deep, &shorter] {
        retained.set(&message(topic, b"x"), NOW);
    }
    let matching = |filter: &str| retained.matching(&Filter::new(filter).unwrap()).len();
    let wild = format!("{}#", "+/".repeat(30_000));
    assert_eq!((matching("#"), matching(&deep), matching(&wild)), (2, 1, 2));
    retained.set(&message(&deep, b""), NOW);
    assert_eq!((retained.len(), matching("/#")), (1, 1));
    // The other one goes with the whole store.
}

/// Two hundred thousand topics of 64 KiB used to be remembered for an hour after they were removed.
#[test]
fn what_is_remembered_of_removed_topics_is_bounded_in_bytes() {
    let retained = Retained::new(1000, usize::MAX);
    retained.join();
    let version = |counter| Stamp { counter, node: skein_types::NodeId(1) };
    let topic = |number: u64| Topic::try_from(&*format!("a/{number}/{}", "x".repeat(60_000))).unwrap();
    for number in 0..1000 {
        retained.remove_as(&topic(number), version(1 + number));
    }
    let entries: u64 = retained.digests().iter().map(|bucket| bucket.entries).sum();
    assert!((200..300).contains(&entries), "{entries}");
    // The newest are the ones that are remembered.
    let old = |number| Message { topic: topic(number), ..message("a", b"old") };
    assert!(!retained.offer(&old(999), version(1), NOW));
    assert!(retained.offer(&old(0), version(1), NOW));
}
