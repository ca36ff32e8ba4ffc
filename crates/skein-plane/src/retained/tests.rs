//! The tree against a plain list, and topics as deep as topics can be.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use skein_types::QoS;

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
    fn the_tree_does_what_a_list_does(
        steps in prop::collection::vec((topic(), any::<bool>()), 1..60),
        filters in prop::collection::vec(filter(), 1..10),
    ) {
        let retained = Retained::new(1000);
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
        prop_assert!(retained.tree.read().root.children.is_none());
    }
}

/// Recursion over so many levels would end the process.
#[test]
fn topics_may_be_as_deep_as_their_length_allows() {
    let retained = Retained::new(10);
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
