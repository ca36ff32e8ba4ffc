//! A session's own list of what it subscribed to: small for the usual client, fast for one with many.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use skein_types::SubscriptionFilter;

use crate::subscription::SubscribeOptions;

/// Up to this many a plain list is searched; it needs less memory than a table and is as fast.
const FEW: usize = 16;

#[derive(Debug)]
pub(crate) enum Subscriptions {
    Few(Vec<(SubscriptionFilter, SubscribeOptions)>),
    #[expect(clippy::box_collection, reason = "every session has this enum; few have a table")]
    Many(Box<HashMap<SubscriptionFilter, SubscribeOptions, RandomState>>),
}

impl Default for Subscriptions {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Subscriptions {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Few(list) => list.len(),
            Self::Many(table) => table.len(),
        }
    }

    pub(crate) fn contains(&self, filter: &SubscriptionFilter) -> bool {
        match self {
            Self::Few(list) => list.iter().any(|(known, _)| known == filter),
            Self::Many(table) => table.contains_key(filter),
        }
    }

    pub(crate) fn get(&self, filter: &SubscriptionFilter) -> Option<&SubscribeOptions> {
        match self {
            Self::Few(list) => list.iter().find(|(known, _)| known == filter).map(|(_, options)| options),
            Self::Many(table) => table.get(filter),
        }
    }

    /// Adds or replaces one.
    pub(crate) fn insert(&mut self, filter: SubscriptionFilter, options: SubscribeOptions) {
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

    pub(crate) fn remove(&mut self, filter: &SubscriptionFilter) {
        match self {
            Self::Few(list) => list.retain(|(known, _)| known != filter),
            Self::Many(table) => _ = table.remove(filter),
        }
    }

    /// A copy for whoever works on it without the session's lock.
    pub(crate) fn to_vec(&self) -> Vec<(SubscriptionFilter, SubscribeOptions)> {
        match self {
            Self::Few(list) => list.clone(),
            Self::Many(table) => table.iter().map(|(filter, options)| (filter.clone(), *options)).collect(),
        }
    }
}
