//! What has to be true on other nodes before a client is answered: numbers that peers must reach.

use std::{sync::Arc, task::Waker};

use crate::Peer;

/// Peers and what each must have done. A peer that goes down is waited for no longer.
#[derive(Debug, Default)]
#[must_use]
pub struct Waits {
    waits: Vec<Wait>,
}

#[derive(Debug)]
struct Wait {
    peer: Arc<Peer>,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    /// The run of this number on the messages lane.
    Handled(u64),
    /// Soft state up to this number.
    Confirmed(u64),
}

impl Waits {
    /// Also waits until `peer` has handled the messages of this number.
    pub fn handled(&mut self, peer: &Arc<Peer>, number: u64) {
        self.add(peer, What::Handled(number));
    }

    /// Also waits until `peer` has this node's soft state in effect up to this number.
    pub fn confirmed(&mut self, peer: &Arc<Peer>, number: u64) {
        self.add(peer, What::Confirmed(number));
    }

    /// These and others.
    pub fn extend(&mut self, other: Self) {
        for Wait { peer, what } in other.waits {
            self.add(&peer, what);
        }
    }

    /// One number covers all before it, so that there are never more than two waits for a peer.
    fn add(&mut self, peer: &Arc<Peer>, what: What) {
        for wait in self.waits.iter_mut().filter(|wait| Arc::ptr_eq(&wait.peer, peer)) {
            match (&mut wait.what, what) {
                (What::Handled(present), What::Handled(number))
                | (What::Confirmed(present), What::Confirmed(number)) => {
                    *present = number.max(*present);
                    return;
                }
                _ => {}
            }
        }
        self.waits.push(Wait { peer: peer.clone(), what });
    }

    /// Whether nothing is waited for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waits.is_empty()
    }

    /// Whether all are done; if not, `waker` is called once one more is.
    #[must_use]
    pub fn poll_done(&mut self, waker: &Waker) -> bool {
        while let Some(wait) = self.waits.last() {
            if !wait.is_done() {
                wait.peer.wake_on_progress(waker);
                // It may have been done before the waker was there.
                if !wait.is_done() {
                    return false;
                }
            }
            self.waits.pop();
        }
        true
    }

    /// Whether all are done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.waits.iter().all(Wait::is_done)
    }
}

impl Wait {
    fn is_done(&self) -> bool {
        match self.what {
            What::Handled(number) => self.peer.has_handled(number),
            What::Confirmed(number) => self.peer.has_confirmed(number),
        }
    }
}
