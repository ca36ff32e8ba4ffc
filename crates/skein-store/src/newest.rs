//! The newest state and how readers come to it.
//!
//! One applier at a time owns the maps, under a lock. Readers take the published root without a lock; only when commits
//! were answered since it was published does the first reader publish anew. A writer without readers therefore
//! changes its maps in place and copies no path. Before a long batch the applier publishes first if readers are about,
//! so that no reader waits longer than a short batch takes.
//!
//! A reader sees every commit that was answered before it asked. It never waits for IO: this lock is held while
//! a commit is applied and at no other time, except by an exclusive transaction's turn, which holds back commits only.

use crate::engine::Root;
use arc_swap::ArcSwapOption;
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A commit with more writes than this is long: readers are given the state before it.
const SHORT_WRITES_MAX: usize = 64;

/// How often a reader looks for a root about to be published before it waits for the lock.
const READER_SPINS: u32 = 200;

#[derive(Debug)]
pub(crate) struct Newest {
    root: Mutex<Root>,
    published: ArcSwapOption<Root>,
    /// The index up to which commits were answered: what a reader must see.
    answered: AtomicU64,
    /// What the newest state weighs.
    bytes: AtomicU64,
    /// A reader waits for a root to be published.
    wanted: AtomicBool,
    /// A reader had a root published since the last long batch.
    readers_seen: AtomicBool,
}

impl Newest {
    pub(crate) fn new(root: Root) -> Newest {
        let answered = AtomicU64::new(root.index());
        let bytes = AtomicU64::new(root.bytes());
        Newest {
            root: Mutex::new(root),
            published: ArcSwapOption::empty(),
            answered,
            bytes,
            wanted: AtomicBool::new(false),
            readers_seen: AtomicBool::new(false),
        }
    }

    /// The index of the last commit answered.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Acquire)
    }

    /// What rows and index entries weigh.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// A root with everything that was answered before the call.
    pub(crate) fn snapshot(&self) -> Arc<Root> {
        let needed = self.answered();
        match self.published_from(needed) {
            Some(root) => root,
            None => self.publish_or_wait(needed),
        }
    }

    fn published_from(&self, needed: u64) -> Option<Arc<Root>> {
        self.published.load_full().filter(|root| root.index() >= needed)
    }

    #[cold]
    fn publish_or_wait(&self, needed: u64) -> Arc<Root> {
        if let Some(mut root) = self.root.try_lock() {
            return self.publish(&mut root);
        }
        self.wanted.store(true, Ordering::Release);
        for _ in 0..READER_SPINS {
            std::hint::spin_loop();
            if let Some(root) = self.published_from(needed) {
                return root;
            }
        }
        self.publish(&mut self.root.lock())
    }

    fn publish(&self, root: &mut MutexGuard<'_, Root>) -> Arc<Root> {
        self.readers_seen.store(true, Ordering::Relaxed);
        self.wanted.store(false, Ordering::Relaxed);
        // Another reader may have published while this one waited for the lock.
        if let Some(published) = self.published_from(root.index()) {
            return published;
        }
        let published = Arc::new(Root::clone(root));
        self.published.store(Some(Arc::clone(&published)));
        published
    }

    /// Takes the lock to apply commits with `writes` writes in all.
    pub(crate) fn begin(&self, writes: usize) -> MutexGuard<'_, Root> {
        let mut root = self.root.lock();
        if writes > SHORT_WRITES_MAX {
            if self.readers_seen.load(Ordering::Relaxed) {
                self.publish(&mut root);
                self.readers_seen.store(false, Ordering::Relaxed);
            }
        } else {
            self.take_back();
        }
        root
    }

    /// Waits until nobody applies, and keeps others from it.
    pub(crate) fn hold(&self) -> MutexGuard<'_, Root> {
        self.root.lock()
    }

    /// From now on readers must see what was applied, and it may be told to watchers.
    pub(crate) fn answer(&self, root: &Root) {
        self.bytes.store(root.bytes(), Ordering::Relaxed);
        self.answered.store(root.index(), Ordering::Release);
    }

    /// Ends what `begin` began: everything up to the root's index may be answered.
    pub(crate) fn end(&self, mut root: MutexGuard<'_, Root>) {
        self.answer(&root);
        if self.wanted.load(Ordering::Acquire) {
            self.publish(&mut root);
        }
    }

    /// Drops the published root when nobody holds it, so that its maps can be changed in place. Readers that come
    /// meanwhile wait for a short batch at most.
    fn take_back(&self) {
        let unused = self.published.load().as_ref().is_some_and(|root| Arc::strong_count(root) == 1);
        if unused {
            self.published.store(None);
        }
    }
}
