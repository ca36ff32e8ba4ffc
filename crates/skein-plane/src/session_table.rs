//! All sessions of the node, by client id, and when those whose clients are away end.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use foldhash::fast::RandomState;
use parking_lot::{Mutex, MutexGuard};
use skein_types::{ClientId, Moment, SessionKey};

use crate::session::{Session, SessionLoad};

const SHARDS: usize = 64;

pub(crate) type Shard = HashMap<ClientId, Arc<Session>, RandomState>;

/// All sessions of the node, by client id.
#[derive(Debug)]
pub struct Sessions {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    pub(crate) last_key: AtomicU64,
    pub(crate) connected: AtomicUsize,
    pub(crate) connected_max: AtomicUsize,
    pub(crate) connects: AtomicU64,
    /// When a session whose client is away expires or its will is due.
    pub(crate) deadlines: Mutex<BTreeMap<(Moment, SessionKey), Weak<Session>>>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::default(),
            last_key: AtomicU64::new(0),
            connected: AtomicUsize::new(0),
            connected_max: AtomicUsize::new(0),
            connects: AtomicU64::new(0),
            deadlines: Mutex::default(),
        }
    }
}

impl Sessions {
    /// Clients connected now.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.connected.load(Relaxed)
    }

    /// Most clients ever connected at once.
    #[must_use]
    pub fn connected_max(&self) -> usize {
        self.connected_max.load(Relaxed)
    }

    /// Connections that opened a session since the start.
    #[must_use]
    pub fn connects(&self) -> u64 {
        self.connects.load(Relaxed)
    }

    /// Sessions, with a client or without.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Whether there is no session.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The session of `client_id`.
    #[must_use]
    pub fn get(&self, client_id: &ClientId) -> Option<Arc<Session>> {
        self.shard(client_id).get(client_id).cloned()
    }

    /// All sessions at the moment, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Session>> {
        self.shards.iter().flat_map(|shard| shard.lock().values().cloned().collect::<Vec<_>>()).collect()
    }

    /// What waits for all clients together. It looks at every session, so it is for metrics and not for the message
    /// path; it holds one shard at a time and only to copy its list.
    #[must_use]
    pub fn load(&self) -> SessionLoad {
        let mut load = SessionLoad::default();
        let mut sessions = Vec::new();
        for shard in &self.shards {
            sessions.extend(shard.lock().values().cloned());
            load = sessions.drain(..).fold(load, |sum, session: Arc<Session>| sum.and(session.load()));
        }
        load
    }

    /// Entries of the list of deadlines, for the test that it does not grow with connections.
    #[cfg(test)]
    pub(crate) fn deadlines_len(&self) -> usize {
        self.deadlines.lock().len()
    }

    pub(crate) fn shard(&self, client_id: &ClientId) -> MutexGuard<'_, Shard> {
        use std::hash::BuildHasher;
        let index = self.hasher.hash_one(client_id) as usize % SHARDS;
        self.shards[index].lock()
    }

    pub(crate) fn forget(&self, session: &Arc<Session>) {
        let mut shard = self.shard(session.client_id());
        if shard.get(session.client_id()).is_some_and(|known| Arc::ptr_eq(known, session)) {
            shard.remove(session.client_id());
        }
    }

    pub(crate) fn counted_in(&self) {
        self.connects.fetch_add(1, Relaxed);
        let now = self.connected.fetch_add(1, Relaxed) + 1;
        self.connected_max.fetch_max(now, Relaxed);
    }
}
