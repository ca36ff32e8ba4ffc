//! The matcher: which sessions a topic reaches.
//!
//! Literal filters are found by hash, filters with wildcards in a trie whose edges are one hash table. Both
//! tables are read without any lock (`papaya`); writers take turns. A change becomes visible before the
//! generation number moves, so a cached result with the present generation is never missing an acknowledged
//! subscription (guarantee G1).
//!
//! There is no lookup by client here, and nothing about delivery: see `session.rs` for that.

mod group;
mod nodes;
mod route;
mod subscribers;
mod trie;

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use foldhash::fast::RandomState;
use parking_lot::{Mutex, MutexGuard};
use skein_types::{Code, Filter, GroupName, SessionKey, SubscriptionFilter, Topic};

pub(crate) use self::group::{Group, MemberPlace};
pub(crate) use self::route::{Origin, Reach, Route, RouteCache};
use self::{nodes::Nodes, subscribers::Subscribers, trie::Trie};
use crate::{
    patterns::{NODE_LEVELS_MAX, Patterns},
    session::Session,
    subscription::SubscribeOptions,
};

/// One session's subscription, as the matcher keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Subscriber {
    pub(crate) session: Arc<Session>,
    pub(crate) options: SubscribeOptions,
}

impl Subscriber {
    fn key(&self) -> SessionKey {
        self.session.key()
    }
}

/// The subscriptions of all sessions.
#[derive(Debug)]
pub struct Matcher {
    literals: papaya::HashMap<Filter, Arc<Subscribers>, RandomState>,
    trie: Trie,
    generation: AtomicU64,
    subscriptions: AtomicUsize,
    /// Writers take turns; readers never come here. Patterns of the filters in the trie.
    writing: Mutex<Patterns>,
    /// The other nodes, in a cluster.
    nodes: Option<Nodes>,
}

impl Default for Matcher {
    fn default() -> Self {
        Self {
            literals: papaya::HashMap::with_hasher(RandomState::default()),
            trie: Trie::default(),
            generation: AtomicU64::new(1),
            subscriptions: AtomicUsize::new(0),
            writing: Mutex::default(),
            nodes: None,
        }
    }
}

impl Matcher {
    /// Adds a subscription or replaces the session's present one of the same filter and group (MQTT-3.8.4-3).
    /// Returns whether it is new.
    ///
    /// # Errors
    /// [`Code::QuotaExceeded`] when a match would have to follow too many patterns of wildcards.
    pub fn subscribe(
        &self,
        filter: &SubscriptionFilter,
        session: &Arc<Session>,
        options: SubscribeOptions,
    ) -> Result<bool, Code> {
        let turn = self.writing.lock();
        if !turn.has_room_for(&filter.filter, NODE_LEVELS_MAX) {
            return Err(Code::QuotaExceeded);
        }
        Ok(self.insert(turn, filter, session, options))
    }

    /// The same for one that was made before the node was started, whatever the bound is.
    pub(crate) fn restore(
        &self,
        filter: &SubscriptionFilter,
        session: &Arc<Session>,
        options: SubscribeOptions,
    ) {
        self.insert(self.writing.lock(), filter, session, options);
    }

    fn insert(
        &self,
        turn: MutexGuard<'_, Patterns>,
        filter: &SubscriptionFilter,
        session: &Arc<Session>,
        options: SubscribeOptions,
    ) -> bool {
        let subscriber = Subscriber { session: session.clone(), options };
        let mut new = false;
        self.change_own(turn, filter, |subscribers| {
            let (changed, is_new) = subscribers.with(filter, subscriber);
            new = is_new;
            changed
        });
        if new {
            self.subscriptions.fetch_add(1, Ordering::Relaxed);
        }
        new
    }

    /// Removes a subscription; returns whether there was one (MQTT-3.10.4-1).
    pub fn unsubscribe(&self, filter: &SubscriptionFilter, session: SessionKey) -> bool {
        let mut found = false;
        self.change_own(self.writing.lock(), filter, |subscribers| {
            let (changed, was_there) = subscribers.without(filter.group.as_ref(), session);
            found = was_there;
            changed
        });
        if found {
            self.subscriptions.fetch_sub(1, Ordering::Relaxed);
        }
        found
    }

    /// Moves with every change of a subscription; a route with the present number is current.
    #[must_use]
    pub fn generation(&self) -> u64 {
        let strategy = self.nodes.as_ref().map_or(0, Nodes::generation);
        // Neither ever goes back, so that the sum is the same only if both are.
        self.generation.load(Ordering::Acquire).wrapping_add(strategy)
    }

    /// Marks every cached route as outdated, because access rules changed.
    pub fn invalidate(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Number of subscriptions, shared ones included.
    #[must_use]
    pub fn subscriptions(&self) -> usize {
        self.subscriptions.load(Ordering::Relaxed)
    }

    /// Everybody `topic` reaches when `origin` publishes it.
    #[must_use]
    pub fn route(&self, topic: &Topic, origin: SessionKey) -> Route {
        self.route_of(topic, Origin { key: origin, client: None, reach: Reach::Cluster })
    }

    /// The same for whoever publishes it, and as far as it is to go.
    pub(crate) fn route_of(&self, topic: &Topic, origin: Origin<'_>) -> Route {
        // Read before the tables: a change in between makes this route outdated, never wrong.
        let mut route = route::Builder::new(topic, self.generation(), origin);
        {
            let literals = self.literals.pin();
            if let Some(subscribers) = literals.get(topic.as_str()) {
                route.add(subscribers);
            }
        }
        self.trie.visit(topic, &mut |subscribers| route.add(subscribers));
        route.finish(self.nodes.as_ref())
    }

    /// The group of this filter and name, if it has members.
    #[must_use]
    pub(crate) fn group(&self, filter: &Filter, name: &GroupName) -> Option<Arc<Group>> {
        let subscribers = if filter.is_literal() {
            self.literals.pin().get(filter).cloned()
        } else {
            self.trie.get(filter)
        };
        subscribers?.group(name).cloned()
    }

    /// Changes who subscribes on this node, and tells the other nodes in the same order.
    fn change_own(
        &self,
        mut turn: MutexGuard<'_, Patterns>,
        filter: &SubscriptionFilter,
        change: impl FnOnce(&Subscribers) -> Subscribers,
    ) {
        let Some(nodes) = &self.nodes else { return self.change_in_turn(&mut turn, &filter.filter, change) };
        let (mut before, mut now) = (0, 0);
        let count = |subscribers: &Subscribers| {
            let changed = change(subscribers);
            (before, now) = (subscribers.said_of(filter), changed.said_of(filter));
            changed
        };
        self.change_in_turn(&mut turn, &filter.filter, count);
        // Only what is in effect here may be said, and in the order in which it came into effect.
        nodes.announce(filter, before, now);
        drop(turn);
    }

    fn change(&self, filter: &Filter, change: impl FnOnce(&Subscribers) -> Subscribers) {
        self.change_in_turn(&mut self.writing.lock(), filter, change);
    }

    fn change_in_turn(
        &self,
        patterns: &mut Patterns,
        filter: &Filter,
        change: impl FnOnce(&Subscribers) -> Subscribers,
    ) {
        if filter.is_literal() {
            let literals = self.literals.pin();
            let changed = match literals.get(filter) {
                Some(subscribers) => change(subscribers),
                None => change(&Subscribers::default()),
            };
            if changed.is_empty() {
                literals.remove(filter);
            } else {
                literals.insert(filter.clone(), Arc::new(changed));
            }
        } else {
            match self.trie.change(filter, change) {
                (false, true) => patterns.add(filter),
                (true, false) => patterns.remove(filter),
                (true, true) | (false, false) => {}
            }
        }
        self.generation.fetch_add(1, Ordering::Release);
    }
}

#[cfg(test)]
pub(crate) mod tests;
