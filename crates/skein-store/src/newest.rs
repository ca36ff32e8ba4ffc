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

    /// Looks at the state with everything that was answered before the call. A short look at the newest maps costs less
    /// than publishing them for it, which makes the writer copy what it changes next; `look` must be short.
    pub(crate) fn read<T>(&self, look: impl Fn(&Root) -> T) -> T {
        let needed = self.answered();
        if let Some(root) = self.published.load().as_ref().filter(|root| root.index() >= needed) {
            return look(root);
        }
        match self.root.try_lock() {
            Some(root) => look(&root),
            None => look(&self.publish_or_wait(needed)),
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
        if writes > SHORT_WRITES_MAX && self.readers_seen.load(Ordering::Relaxed) {
            self.publish(&mut root);
            self.readers_seen.store(false, Ordering::Relaxed);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit::{Commit, Expect, Write};
    use crate::engine::apply;
    use crate::key::Key;
    use crate::schema::{Class, ClassKind, Schema};
    use crate::value::{Type, Value};

    fn newest() -> Newest {
        let class = Class::builder("rows", 1, ClassKind::Local).field("id", Type::U64).primary(&["id"]);
        Newest::new(Root::new(Schema::builder("newest").class(class.build().unwrap()).build().unwrap()))
    }

    fn commit(root: &Root, keys: std::ops::Range<u64>) -> Commit {
        let class = &root.classes[0].class;
        let write = |id| Write {
            class: 0,
            key: Key::from_slice(&u64::to_be_bytes(id)),
            row: Some(class.encode_row(&[Value::U64(id)]).unwrap()),
            expect: Expect::Any,
            fresh: false,
        };
        Commit { writes: keys.map(write).collect(), ..Commit::default() }
    }

    fn write(newest: &Newest, keys: std::ops::Range<u64>) -> u64 {
        let mut root = newest.begin(usize::try_from(keys.end - keys.start).unwrap());
        let (index, commit) = (root.index() + 1, commit(&root, keys));
        let _ = apply(&mut root, index, commit);
        newest.end(root);
        index
    }

    #[test]
    fn a_writer_without_readers_changes_its_maps_in_place() {
        let newest = newest();
        write(&newest, 0..10);
        let place = |newest: &Newest| Arc::as_ptr(&newest.root.lock().classes[0]);
        let before = place(&newest);
        write(&newest, 10..20);
        assert_eq!(place(&newest), before);
        drop(newest.snapshot());
        write(&newest, 20..30);
        assert_eq!(place(&newest), before, "a snapshot that was dropped is taken back");
        let held = newest.snapshot();
        write(&newest, 30..40);
        assert_ne!(place(&newest), before, "one that is held is not touched");
        assert_eq!((held.index(), held.classes[0].rows.len()), (3, 30));
    }

    #[test]
    fn a_short_look_publishes_nothing_and_sees_what_was_answered() {
        let newest = newest();
        write(&newest, 0..10);
        assert_eq!(newest.read(|root| root.classes[0].rows.len()), 10);
        assert!(newest.published.load().is_none());
        let held = newest.snapshot();
        assert_eq!(
            newest.read(std::ptr::from_ref::<Root>),
            Arc::as_ptr(&held),
            "what is published is looked at"
        );
        write(&newest, 10..20);
        assert_eq!(newest.read(|root| root.classes[0].rows.len()), 20);
        // This thread applies and holds the lock: the look is at what was published before.
        let root = newest.begin(1000);
        assert_eq!(newest.read(|root| root.classes[0].rows.len()), 20);
        newest.end(root);
    }

    #[test]
    fn a_reader_is_given_the_state_before_a_long_batch_without_waiting_for_it() {
        let newest = newest();
        write(&newest, 0..10);
        drop(newest.snapshot());
        let mut root = newest.begin(1000);
        let index = root.index() + 1;
        let long = commit(&root, 0..1000);
        let _ = apply(&mut root, index, long);
        // This thread holds the lock, so that waiting for it would never end.
        assert_eq!(newest.snapshot().classes[0].rows.len(), 10);
        newest.end(root);
        assert_eq!(newest.snapshot().classes[0].rows.len(), 1000);
    }

    #[test]
    fn readers_see_what_was_answered_before_they_asked_and_never_less_than_before() {
        let newest = newest();
        let written = AtomicU64::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0..3000 {
                    let keys = if round % 50 == 0 { 0..100 } else { round..round + 3 };
                    written.store(write(&newest, keys), Ordering::Release);
                }
            });
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut last = 0;
                    while last < 3000 {
                        let answered = written.load(Ordering::Acquire);
                        let index = match answered % 2 {
                            0 => newest.snapshot().index(),
                            _ => newest.read(Root::index),
                        };
                        assert!(
                            index >= answered && index >= last,
                            "{index}, {answered} answered, {last} seen"
                        );
                        last = index;
                    }
                });
            }
        });
    }
}
