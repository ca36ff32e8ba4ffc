//! Answers of a script that hold, for the same topic, publisher and peers.
//!
//! Bounded in entries and bytes; when it is full it is emptied, which costs each answer one more run of the script.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use skein_cluster::strategy::{Outgoing, Targets, View};
use skein_types::{ClientId, NodeId};

/// Answers kept at most.
const ENTRIES_MAX: usize = 16_384;
/// Bytes of topics, names and numbers kept at most.
const BYTES_MAX: usize = 4 << 20;
/// What an entry costs beside its texts and numbers.
const ENTRY_BYTES: usize = 128;

/// The text is a copy: a topic may share the memory of a whole read buffer, which must not be kept for it.
type Key = (Box<str>, Option<ClientId>);

/// The answers of one version of a script. The order of the map is never seen from outside.
#[derive(Debug, Default)]
pub(super) struct Cache {
    answers: HashMap<Key, Answer, RandomState>,
    bytes: usize,
    generation: u64,
}

#[derive(Debug)]
struct Answer {
    interested: Box<[NodeId]>,
    live: Box<[NodeId]>,
    targets: Targets,
}

impl Cache {
    /// The answer to the same question.
    pub(super) fn get(&self, generation: u64, message: &Outgoing<'_>, view: &View<'_>) -> Option<Targets> {
        if generation != self.generation {
            return None;
        }
        let answer = self.answers.get(&key(message))?;
        (*answer.interested == *view.interested && *answer.live == *view.live).then(|| answer.targets.clone())
    }

    /// Keeps an answer of version `generation`; one of an earlier version than those kept is not.
    pub(super) fn put(
        &mut self,
        generation: u64,
        message: &Outgoing<'_>,
        view: &View<'_>,
        targets: &Targets,
    ) {
        if generation < self.generation {
            return;
        }
        let ids = view.interested.len() + view.live.len() + only(targets);
        let texts = message.topic.len() + message.publisher.map_or(0, |publisher| publisher.len());
        let bytes = ENTRY_BYTES + texts + ids * size_of::<NodeId>();
        if generation > self.generation || self.answers.len() >= ENTRIES_MAX || self.bytes + bytes > BYTES_MAX
        {
            *self = Self { generation, ..Self::default() };
        }
        let answer =
            Answer { interested: view.interested.into(), live: view.live.into(), targets: targets.clone() };
        // An answer that is replaced counts twice until the next time the cache is emptied: the bound holds all the same.
        self.bytes += bytes;
        self.answers.insert(key(message), answer);
    }
}

fn key(message: &Outgoing<'_>) -> Key {
    (message.topic.as_str().into(), message.publisher.cloned())
}

fn only(targets: &Targets) -> usize {
    match targets {
        Targets::Only(nodes) => nodes.len(),
        Targets::Interested | Targets::All => 0,
    }
}

#[cfg(test)]
mod tests {
    use skein_types::Topic;

    use super::*;

    #[test]
    fn keeps_what_holds_and_stays_within_its_bounds() {
        let mut cache = Cache::default();
        let live = [NodeId(1), NodeId(2)];
        let view = View { interested: &[], live: &live };
        let long = "a".repeat(10_000);
        for number in 0..2_000 {
            let topic = Topic::new(format!("{long}/{number}").into()).unwrap();
            let message = Outgoing { topic: &topic, publisher: None };
            cache.put(1, &message, &view, &Targets::All);
            assert_eq!(cache.get(1, &message, &view), Some(Targets::All));
            assert_eq!(cache.get(2, &message, &view), None, "another version of the script");
            assert_eq!(cache.get(1, &message, &View { interested: &live, live: &live }), None, "other peers");
            assert!(cache.bytes <= BYTES_MAX, "{}", cache.bytes);
        }
        for number in 0..40_000 {
            let topic = Topic::new(format!("{number}").into()).unwrap();
            cache.put(2, &Outgoing { topic: &topic, publisher: None }, &view, &Targets::All);
            assert!(cache.answers.len() <= ENTRIES_MAX);
        }
        let topic = Topic::new("late".into()).unwrap();
        let message = Outgoing { topic: &topic, publisher: None };
        cache.put(1, &message, &view, &Targets::All);
        assert_eq!(cache.get(1, &message, &view), None, "an answer of the old script came late");
    }
}
