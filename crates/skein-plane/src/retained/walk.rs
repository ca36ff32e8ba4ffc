//! Finding the retained messages that a filter matches, a few at a time.
//!
//! Whoever subscribes gets a [`Cursor`] instead of a list: it remembers one topic, whatever the filter matches. Between two
//! steps the messages may change. One that was retained after the subscription is delivered live and may be found besides;
//! one that was there before and still is will be found. A shard is locked for [`HOLD_STEPS`] steps at a time.

use std::{ops::Bound, sync::Arc};

use skein_types::{Filter, Message, Topic};

use super::{
    ByTopic, MULTI, Retained, SHARDS, SINGLE, Shard,
    order::{self, InOrder},
    shard_of, shard_of_level,
};

/// Steps for which a shard stays locked.
const HOLD_STEPS: u32 = 64;
/// A place that is so few topics away is walked to; farther ones are looked up.
const NEAR: u32 = 8;
/// Behind a level and everything below it, and before the next one: no topic contains U+0000.
const BEHIND: &str = "\u{1}";
/// Behind every topic that starts with `$`.
const BEHIND_SYSTEM: &str = "%";

/// How far a walk has come.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    shard: usize,
    /// Where it goes on in the shard; none at its beginning.
    from: Option<Box<str>>,
}

impl Cursor {
    /// Makes `topic` the next one, because it was found too early.
    pub(crate) fn back_to(&mut self, topic: &Topic) {
        *self = Self { shard: shard_of(topic), from: Some(topic.as_str().into()) };
    }
}

/// What one call of [`Retained::walk`] may do.
#[derive(Debug)]
pub(crate) struct Budget<'a> {
    /// Topics it may look at; what is left of it afterwards.
    pub(crate) steps: &'a mut u32,
    /// Messages it may find.
    pub(crate) messages_max: usize,
}

/// What a topic says of where the next match may be.
#[derive(Debug, PartialEq, Eq)]
enum Judged<'a> {
    Match,
    /// It does not match, the one behind it may.
    Next,
    /// None before this place matches.
    Seek(Place<'a>),
    /// None behind it matches.
    End,
}

/// A place behind a topic: the beginning of that topic, and what comes then instead of its own rest.
#[derive(Debug, PartialEq, Eq)]
struct Place<'a> {
    before: &'a str,
    rest: &'a str,
}

impl Place<'_> {
    /// Whether `topic`, which is behind the topic that the place was made of, is at the place or behind it.
    fn is_reached(&self, topic: &str) -> bool {
        let rest = topic.strip_prefix(self.before);
        // All that begin alike stand together.
        rest.is_none_or(|rest| order::compare(rest, self.rest).is_ge())
    }

    fn in_order(&self) -> InOrder {
        InOrder([self.before, self.rest].concat().into())
    }
}

impl Retained {
    /// Adds messages that `filter` matches to `found`, expired or not, from where `cursor` stands; true when it has come to
    /// the end.
    pub(crate) fn walk(
        &self,
        filter: &Filter,
        cursor: &mut Cursor,
        mut budget: Budget<'_>,
        found: &mut Vec<Arc<Message>>,
    ) -> bool {
        if filter.is_literal() {
            let topic = Topic::try_from(filter.as_str()).ok();
            found.extend(topic.and_then(|topic| self.last(&topic)).map(|stored| stored.message));
            return true;
        }
        let levels: Vec<&str> = filter.levels().collect();
        let first = levels.first().filter(|first| !is_wildcard(first)).map(|first| shard_of_level(first));
        if let Some(first) = first.filter(|first| cursor.shard < *first) {
            *cursor = Cursor { shard: first, from: None };
        }
        while let Some(shard) = self.shards.get(cursor.shard) {
            if *budget.steps == 0 || found.len() >= budget.messages_max {
                return false;
            }
            let at_end = shard.read().walk(&levels, cursor, &mut budget, found);
            if at_end {
                // All that begin with the same level are in one shard.
                let next = if first.is_some() { SHARDS } else { cursor.shard + 1 };
                *cursor = Cursor { shard: next, from: None };
            }
        }
        true
    }

    /// Whether there may be a message that `filter` matches.
    pub(crate) fn may_match(&self, filter: &Filter) -> bool {
        if self.is_empty() || !filter.is_literal() {
            return !self.is_empty();
        }
        Topic::try_from(filter.as_str()).is_ok_and(|topic| self.last(&topic).is_some())
    }

    /// Topics with a message that `filter` matches, for listings.
    #[must_use]
    pub fn matching(&self, filter: &Filter) -> Vec<Topic> {
        let (mut cursor, mut found) = (Cursor::default(), Vec::new());
        loop {
            let budget = Budget { steps: &mut { u32::MAX }, messages_max: usize::MAX };
            if self.walk(filter, &mut cursor, budget, &mut found) {
                return found.iter().map(|message| message.topic.clone()).collect();
            }
        }
    }
}

impl Shard {
    /// True at the end of the shard.
    fn walk(
        &self,
        levels: &[&str],
        cursor: &mut Cursor,
        budget: &mut Budget<'_>,
        found: &mut Vec<Arc<Message>>,
    ) -> bool {
        let mut held = HOLD_STEPS;
        let first = || levels.split(|level| is_wildcard(level)).next().unwrap_or_default().join("/");
        let mut from = InOrder(cursor.from.take().unwrap_or_else(|| first().into()));
        'seek: loop {
            let (mut skipping, mut near) = (None::<Place<'_>>, NEAR);
            for at in self.order.range((Bound::Included(&from), Bound::Unbounded)) {
                if held == 0 || *budget.steps == 0 || found.len() >= budget.messages_max {
                    cursor.from = Some(at.0.clone());
                    return false;
                }
                held -= 1;
                *budget.steps -= 1;
                if let Some(place) = skipping.take_if(|place| !place.is_reached(&at.0)) {
                    near -= 1;
                    if near == 0 {
                        from = place.in_order();
                        continue 'seek;
                    }
                    skipping = Some(place);
                    continue;
                }
                (skipping, near) = (None, NEAR);
                match judge(levels, &at.0) {
                    Judged::Match => {
                        found.extend(self.messages.get(&*at.0).map(|ByTopic(stored)| stored.message.clone()));
                    }
                    Judged::Next => {}
                    Judged::Seek(place) => skipping = Some(place),
                    Judged::End => return true,
                }
            }
            return true;
        }
    }
}

fn is_wildcard(level: &str) -> bool {
    level == SINGLE || level == MULTI
}

/// Compares a topic with the levels of a filter that has wildcards.
fn judge<'a>(levels: &[&'a str], topic: &'a str) -> Judged<'a> {
    // MQTT-4.7.2-1: a wildcard at the start does not match a first level that starts with $.
    if topic.starts_with('$') && levels.first().is_some_and(|first| is_wildcard(first)) {
        return Judged::Seek(Place { before: "", rest: BEHIND_SYSTEM });
    }
    // Behind the last level that a + matched, another one may match.
    let mut other = None;
    let behind = |other: Option<usize>| {
        let before = other.and_then(|end| topic.get(..end));
        before.map_or(Judged::End, |before| Judged::Seek(Place { before, rest: BEHIND }))
    };
    let mut rest = Some(topic);
    for level in levels {
        // MQTT-4.7.1-2: `a/#` matches `a` too.
        if *level == MULTI {
            return Judged::Match;
        }
        let Some(present) = rest else { return Judged::Next };
        let (name, below) =
            present.split_once('/').map_or((present, None), |(name, below)| (name, Some(below)));
        let start = topic.len() - present.len();
        match name.cmp(level) {
            _ if *level == SINGLE => other = Some(start + name.len()),
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Less => {
                let before = topic.get(..start).unwrap_or_default();
                return Judged::Seek(Place { before, rest: level });
            }
            std::cmp::Ordering::Greater => return behind(other),
        }
        rest = below;
    }
    if rest.is_some() { behind(other) } else { Judged::Match }
}
