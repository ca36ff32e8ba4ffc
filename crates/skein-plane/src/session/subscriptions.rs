//! A session's own list of what it subscribed to: small for the usual client, fast for one with many.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use skein_types::SubscriptionFilter;

use crate::{
    patterns::{Patterns, SESSION_LEVELS_MAX},
    session::SessionLimits,
    subscription::SubscribeOptions,
};

/// Up to this many a plain list is searched; it needs less memory than a table and is as fast.
const FEW: usize = 16;

/// The subscriptions of one session, and what of them is bounded.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    list: List,
    bytes: usize,
    patterns: Patterns,
}

/// What a subscription takes in tables of session and matcher beside its filter, and a level of a filter with wildcards in
/// the trie.
const ENTRY_BYTES: usize = 256;
const LEVEL_BYTES: usize = 192;

/// Bytes of memory that a subscription is accounted with.
fn cost_of(SubscriptionFilter { group, filter }: &SubscriptionFilter) -> usize {
    let levels = if filter.is_literal() { 0 } else { filter.depth() * LEVEL_BYTES + filter.as_str().len() };
    ENTRY_BYTES + filter.as_str().len() + group.as_ref().map_or(0, |group| group.len()) + levels
}

#[derive(Debug)]
enum List {
    Few(Vec<(SubscriptionFilter, SubscribeOptions)>),
    #[expect(clippy::box_collection, reason = "every session has this enum; few have a table")]
    Many(Box<HashMap<SubscriptionFilter, SubscribeOptions, RandomState>>),
}

impl Default for List {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Subscriptions {
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether one that is new is within the session's bounds.
    pub(crate) fn has_room_for(&self, filter: &SubscriptionFilter, limits: &SessionLimits) -> bool {
        self.len() < limits.subscriptions_max
            && self.bytes.saturating_add(cost_of(filter)) <= limits.subscriptions_bytes_max
            && self.patterns.has_room_for(&filter.filter, SESSION_LEVELS_MAX)
    }

    pub(crate) fn get(&self, filter: &SubscriptionFilter) -> Option<&SubscribeOptions> {
        self.list.get(filter)
    }

    /// Adds or replaces one.
    pub(crate) fn insert(&mut self, filter: SubscriptionFilter, options: SubscribeOptions) {
        if self.get(&filter).is_none() {
            self.bytes += cost_of(&filter);
            self.patterns.add(&filter.filter);
        }
        self.list.insert(filter, options);
    }

    pub(crate) fn remove(&mut self, filter: &SubscriptionFilter) {
        if self.get(filter).is_some() {
            self.bytes -= cost_of(filter);
            self.patterns.remove(&filter.filter);
            self.list.remove(filter);
        }
    }

    /// A copy for whoever works on it without the session's lock.
    pub(crate) fn to_vec(&self) -> Vec<(SubscriptionFilter, SubscribeOptions)> {
        self.list.to_vec()
    }
}

impl List {
    fn len(&self) -> usize {
        match self {
            Self::Few(list) => list.len(),
            Self::Many(table) => table.len(),
        }
    }

    fn get(&self, filter: &SubscriptionFilter) -> Option<&SubscribeOptions> {
        match self {
            Self::Few(list) => list.iter().find(|(known, _)| known == filter).map(|(_, options)| options),
            Self::Many(table) => table.get(filter),
        }
    }

    fn insert(&mut self, filter: SubscriptionFilter, options: SubscribeOptions) {
        match self {
            Self::Many(table) => _ = table.insert(filter, options),
            Self::Few(list) => {
                if let Some((_, present)) = list.iter_mut().find(|(known, _)| *known == filter) {
                    *present = options;
                } else if list.len() < FEW {
                    // Most clients have one subscription: room for just one more.
                    list.reserve_exact(1);
                    list.push((filter, options));
                } else {
                    let all = std::mem::take(list).into_iter().chain([(filter, options)]);
                    *self = Self::Many(Box::new(all.collect()));
                }
            }
        }
    }

    fn remove(&mut self, filter: &SubscriptionFilter) {
        match self {
            Self::Few(list) => list.retain(|(known, _)| known != filter),
            Self::Many(table) => _ = table.remove(filter),
        }
    }

    fn to_vec(&self) -> Vec<(SubscriptionFilter, SubscribeOptions)> {
        match self {
            Self::Few(list) => list.clone(),
            Self::Many(table) => table.iter().map(|(filter, options)| (filter.clone(), *options)).collect(),
        }
    }
}
