//! A writer thread that makes one transaction of whatever waits: what an application can put before a database that syncs
//! for every transaction.

use super::{Ids, Way};
use parking_lot::{Condvar, Mutex};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, Thread};

/// A record that waits, and who waits for it.
struct Waiting {
    id: u64,
    done: Arc<AtomicBool>,
    client: Option<Thread>,
}

#[derive(Default)]
struct State {
    waiting: Vec<Waiting>,
    closed: bool,
}

/// What waits for the writer thread.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

impl Queue {
    /// Gives everything that waits to `commit` at once, again and again until the queue is closed and empty.
    pub(super) fn serve(&self, mut commit: impl FnMut(&[u64])) {
        loop {
            let mut state = self.state.lock();
            while state.waiting.is_empty() && !state.closed {
                self.changed.wait(&mut state);
            }
            let waiting = std::mem::take(&mut state.waiting);
            drop(state);
            if waiting.is_empty() {
                return;
            }
            let ids: Vec<u64> = waiting.iter().map(|waiting| waiting.id).collect();
            commit(&ids);
            for waiting in waiting {
                waiting.done.store(true, Ordering::Release);
                if let Some(client) = waiting.client {
                    client.unpark();
                }
            }
        }
    }

    fn push(&self, waiting: Waiting) {
        let mut state = self.state.lock();
        state.waiting.push(waiting);
        if state.waiting.len() == 1 {
            self.changed.notify_one();
        }
    }
}

struct Grouped {
    queue: Arc<Queue>,
    writer: JoinHandle<()>,
}

/// Starts a writer thread, which serves the queue it is given.
pub(super) fn start(writer: impl FnOnce(&Queue) + Send + 'static) -> Box<dyn Way> {
    let queue = Arc::new(Queue::default());
    let served = Arc::clone(&queue);
    Box::new(Grouped { queue, writer: std::thread::spawn(move || writer(&served)) })
}

impl Way for Grouped {
    fn fill(&self, ids: Range<u64>) {
        let done = Arc::new(AtomicBool::new(false));
        // All in one transaction; the last of them wakes this thread.
        let mut state = self.queue.state.lock();
        let last = ids.end - 1;
        state.waiting.extend(ids.map(|id| Waiting {
            id,
            done: if id == last { Arc::clone(&done) } else { Arc::default() },
            client: (id == last).then(std::thread::current),
        }));
        drop(state);
        self.queue.changed.notify_one();
        wait_for(&done);
    }

    fn client(&self, ids: &mut Ids<'_>) {
        let done = Arc::new(AtomicBool::new(false));
        let client = std::thread::current();
        ids.each(|id| {
            done.store(false, Ordering::Relaxed);
            self.queue.push(Waiting { id, done: Arc::clone(&done), client: Some(client.clone()) });
            wait_for(&done);
        });
    }

    fn close(self: Box<Self>) {
        self.queue.state.lock().closed = true;
        self.queue.changed.notify_one();
        self.writer.join().expect("the writer does not panic");
    }
}

fn wait_for(done: &AtomicBool) {
    while !done.load(Ordering::Acquire) {
        std::thread::park();
    }
}
