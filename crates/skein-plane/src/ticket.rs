//! What goes with a message of a shared group that another node keeps until a member here has acknowledged it.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Release},
    },
};

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use skein_cluster::Peer;

/// What another node keeps for members on this one.
#[derive(Debug)]
pub(crate) struct Outstanding {
    peer: Arc<Peer>,
    any_done: Arc<AtomicBool>,
    tickets: Mutex<OutstandingTickets>,
}

#[derive(Debug, Default)]
struct OutstandingTickets {
    live: HashSet<u64, RandomState>,
    done: Vec<u64>,
}

/// Goes with a message that another node keeps; dropped with it, it says there that it need not be kept any more.
#[derive(Debug)]
pub(crate) struct Ticket {
    outstanding: Arc<Outstanding>,
    /// 0 once it was given back.
    number: u64,
}

impl Outstanding {
    /// `any_done` is set whenever something is not to be kept any more.
    pub(crate) fn new(peer: &Arc<Peer>, any_done: Arc<AtomicBool>) -> Arc<Self> {
        Arc::new(Self { peer: peer.clone(), any_done, tickets: Mutex::default() })
    }

    /// The node that keeps it.
    pub(crate) fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// A ticket for a message; none for one that is not kept.
    pub(crate) fn ticket(self: &Arc<Self>, number: u64) -> Option<Ticket> {
        if number == 0 {
            return None;
        }
        self.tickets.lock().live.insert(number);
        Some(Ticket { outstanding: self.clone(), number })
    }

    /// Takes the tickets that are done.
    pub(crate) fn take_done(&self) -> Vec<u64> {
        std::mem::take(&mut self.tickets.lock().done)
    }

    /// Notes as done those of `numbers` that are not here any more.
    pub(crate) fn note_gone(&self, numbers: impl Iterator<Item = u64>) {
        let mut tickets = self.tickets.lock();
        let gone: Vec<u64> = numbers.filter(|number| !tickets.live.contains(number)).collect();
        tickets.done.extend(gone);
    }
}

impl Ticket {
    /// The message goes back to where it is kept.
    pub(crate) fn give_back(mut self) -> (Arc<Outstanding>, u64) {
        let number = std::mem::take(&mut self.number);
        self.outstanding.tickets.lock().live.remove(&number);
        (self.outstanding.clone(), number)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.number != 0 {
            let mut tickets = self.outstanding.tickets.lock();
            tickets.live.remove(&self.number);
            tickets.done.push(self.number);
            self.outstanding.any_done.store(true, Release);
        }
    }
}
