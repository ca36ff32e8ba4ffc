//! Retained messages that a session is still to be sent: one entry for each filter, however often it is subscribed to.
//!
//! An entry is a place in the retained messages and no list of them, so that a SUBSCRIBE of a few bytes never makes more than
//! that. A message is looked up when its turn comes, so that it is never older than what was delivered live in between
//! (guarantee G7).

use std::collections::{BTreeMap, VecDeque};

use skein_types::{Filter, Topic};

use crate::{retained::Cursor, subscription::SubscribeOptions};

/// What is still to be sent; never empty.
#[derive(Debug, Default)]
pub(crate) struct PendingRetained {
    /// Topics whose message became outdated while it waited for the disk. At most what waits in the queue.
    pub(super) renewed: VecDeque<(Topic, SubscribeOptions)>,
    /// How far each subscription is served.
    pub(super) filters: BTreeMap<Filter, Cursor>,
    /// The batch that looked for them last had no steps left: the connection's own task goes on.
    pub(super) out_of_steps: bool,
}

impl PendingRetained {
    /// The subscription is made (again): all of its messages are to be sent.
    pub(crate) fn begin(&mut self, filter: Filter) {
        self.filters.insert(filter, Cursor::default());
    }

    /// It is served as far as `cursor`.
    pub(super) fn begin_at(&mut self, filter: Filter, cursor: Cursor) {
        self.filters.insert(filter, cursor);
    }

    #[cfg(test)]
    pub(crate) fn filters(&self) -> impl Iterator<Item = &Filter> {
        self.filters.keys()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.renewed.is_empty() && self.filters.is_empty()
    }

    /// The subscription is ended.
    pub(crate) fn end(&mut self, filter: &Filter) {
        self.filters.remove(filter);
    }
}
