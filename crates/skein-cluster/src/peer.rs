//! One peer that is up, as the plane's threads see it: where its messages go, and what it has handled and confirmed.
//!
//! Runs of messages wait here for the link's task, which takes all that wait at once. Runs that are kept are numbered and stay
//! until the peer has handled them, so that a link that is made anew goes on where the old one ended. A peer lives as long as
//! one incarnation of its node; when that is gone, so is everything kept for it.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    task::Waker,
};

use bytes::Bytes;
use parking_lot::Mutex;
use skein_types::NodeId;

use crate::{EncodedRun, Lane, NodeInfo};

/// Bytes waiting for a link. Above three quarters publishers slow down; above this QoS 0 is dropped.
const OUTBOX_BYTES_MAX: usize = 16 << 20;

/// A peer.
pub struct Peer {
    info: NodeInfo,
    out: Mutex<Outgoing>,
    handled: AtomicU64,
    confirmed: AtomicU64,
    /// The number of the last kept run that came from it.
    received: AtomicU64,
    down: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
    figures: Figures,
}

#[derive(Debug, Default)]
struct Outgoing {
    /// Who writes to the link; none while there is no link.
    link: Option<Waker>,
    /// Not taken by the link yet, oldest first.
    queue: VecDeque<Numbered>,
    queued_bytes: usize,
    /// Taken, and not handled by the peer yet, oldest first; its runs are kept ones.
    taken: VecDeque<Numbered>,
    taken_bytes: usize,
    last_number: u64,
    told: VecDeque<Told>,
    /// Publishers that wait for room.
    waiting: Vec<Waker>,
}

/// A run and, if it is kept, its number.
#[derive(Clone, Debug)]
struct Numbered {
    number: Option<u64>,
    run: EncodedRun,
}

/// What a plane says to another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Over which lane.
    pub lane: Lane,
    /// What it is, in the plane's own numbering.
    pub kind: u8,
    /// What is said.
    pub body: Bytes,
}

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is on its way, and kept under this number until the peer has handled it.
    Kept(u64),
    /// It is on its way.
    Unkept,
    /// There is no link, or no room: it was dropped and counted.
    Dropped,
    /// The peer is gone.
    Down,
}

#[derive(Debug, Default)]
struct Figures {
    sent_messages: AtomicU64,
    dropped_messages: AtomicU64,
}

/// What was sent to a peer and is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerFigures {
    /// Messages handed to its outbox.
    pub sent_messages: u64,
    /// QoS 0 messages dropped, because there was no link or no room.
    pub dropped_messages: u64,
    /// Bytes that wait for the link.
    pub queued_bytes: usize,
    /// Runs that are kept until the peer has handled them, and their bytes.
    pub unhandled_runs: usize,
    /// Their bytes.
    pub unhandled_bytes: usize,
    /// Whether there is a link.
    pub linked: bool,
}

impl Peer {
    /// A peer without a link.
    #[must_use]
    pub fn new(info: NodeInfo) -> Arc<Self> {
        Arc::new(Self {
            info,
            out: Mutex::default(),
            handled: AtomicU64::new(0),
            confirmed: AtomicU64::new(0),
            received: AtomicU64::new(0),
            down: AtomicBool::new(false),
            waiting: Mutex::default(),
            figures: Figures::default(),
        })
    }

    /// Who it is.
    #[must_use]
    pub fn info(&self) -> &NodeInfo {
        &self.info
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.info.id
    }

    /// Sends a run of messages; they are on the link after [`Peer::flush`].
    pub fn send(&self, run: &EncodedRun) -> Sent {
        if self.is_down() {
            return Sent::Down;
        }
        let messages = u64::from(run.messages);
        let mut out = self.out.lock();
        let sent = if run.kept {
            out.last_number += 1;
            Sent::Kept(out.last_number)
        } else if out.link.is_none() || out.queued_bytes > OUTBOX_BYTES_MAX {
            self.figures.dropped_messages.fetch_add(messages, Relaxed);
            return Sent::Dropped;
        } else {
            Sent::Unkept
        };
        self.figures.sent_messages.fetch_add(messages, Relaxed);
        out.queued_bytes += run.bytes.len();
        let number = if let Sent::Kept(number) = sent { Some(number) } else { None };
        out.queue.push_back(Numbered { number, run: run.clone() });
        sent
    }

    /// Says something to the peer's plane, in order per lane. It is lost when the link is cut.
    pub fn tell(&self, lane: Lane, kind: u8, body: Bytes) {
        self.out.lock().told.push_back(Told { lane, kind, body });
    }

    /// Lets the link write what waits.
    pub fn flush(&self) {
        let link = self.out.lock().link.clone();
        if let Some(link) = link {
            link.wake();
        }
    }

    /// Whether publishers should wait before they send more.
    #[must_use]
    pub fn is_congested(&self) -> bool {
        let out = self.out.lock();
        out.queued_bytes + out.taken_bytes > OUTBOX_BYTES_MAX / 4 * 3
    }

    /// Whether publishers may go on; if not, `waker` is called once they may.
    #[must_use]
    pub fn poll_drained(&self, waker: &Waker) -> bool {
        let mut out = self.out.lock();
        if self.is_down() || out.queued_bytes + out.taken_bytes <= OUTBOX_BYTES_MAX / 2 {
            return true;
        }
        if !out.waiting.iter().any(|known| known.will_wake(waker)) {
            out.waiting.push(waker.clone());
        }
        false
    }

    /// Whether the peer has handled the kept run of this number, or is gone.
    #[must_use]
    pub fn has_handled(&self, number: u64) -> bool {
        self.handled.load(Acquire) >= number || self.is_down()
    }

    /// Whether this node's soft state up to this number is in effect there, or the peer is gone.
    #[must_use]
    pub fn has_confirmed(&self, number: u64) -> bool {
        self.confirmed.load(Acquire) >= number || self.is_down()
    }

    /// Whether it is gone.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.down.load(Acquire)
    }

    /// Calls `waker` once when the peer has handled or confirmed more, or is gone.
    pub fn wake_on_progress(&self, waker: &Waker) {
        let mut waiting = self.waiting.lock();
        if !waiting.iter().any(|known| known.will_wake(waker)) {
            waiting.push(waker.clone());
        }
    }

    /// What was sent and is under way.
    #[must_use]
    pub fn figures(&self) -> PeerFigures {
        let out = self.out.lock();
        let kept = |numbered: &&Numbered| numbered.number.is_some();
        PeerFigures {
            sent_messages: self.figures.sent_messages.load(Relaxed),
            dropped_messages: self.figures.dropped_messages.load(Relaxed),
            queued_bytes: out.queued_bytes,
            unhandled_runs: out.taken.len() + out.queue.iter().filter(kept).count(),
            unhandled_bytes: out.taken_bytes,
            linked: out.link.is_some(),
        }
    }
}

/// For the link and the core.
impl Peer {
    /// There is a link, and the peer has handled everything up to `handled`: what is kept behind that is sent again, before
    /// what is new. `writer` is woken when there is something to write.
    pub fn link_opened(&self, handled: u64, writer: Waker) {
        self.note_handled(handled);
        let mut out = self.out.lock();
        while let Some(again) = out.taken.pop_back() {
            out.taken_bytes -= again.run.bytes.len();
            out.queued_bytes += again.run.bytes.len();
            out.queue.push_front(again);
        }
        out.link = Some(writer);
    }

    /// The link is cut. What is not kept and was not taken yet is dropped and counted.
    pub fn link_closed(&self) {
        let mut out = self.out.lock();
        out.link = None;
        out.told.clear();
        let (mut dropped, mut bytes) = (0, 0);
        out.queue.retain(|numbered| {
            let keep = numbered.number.is_some();
            if !keep {
                dropped += u64::from(numbered.run.messages);
                bytes += numbered.run.bytes.len();
            }
            keep
        });
        out.queued_bytes -= bytes;
        self.figures.dropped_messages.fetch_add(dropped, Relaxed);
    }

    /// The next run to write, with its number if it is kept.
    pub fn take_run(&self) -> Option<(Option<u64>, EncodedRun)> {
        let mut out = self.out.lock();
        let next = out.queue.pop_front()?;
        let bytes = next.run.bytes.len();
        out.queued_bytes -= bytes;
        if next.number.is_some() {
            out.taken_bytes += bytes;
            out.taken.push_back(next.clone());
        }
        release_publishers(&mut out);
        Some((next.number, next.run))
    }

    /// The number of the last kept run that came from it: a new link goes on behind it.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.load(Acquire)
    }

    /// A kept run came; false when it had come before, over an earlier link.
    #[must_use]
    pub fn is_new(&self, number: u64) -> bool {
        self.received.fetch_max(number, Release) < number
    }

    /// What the plane says to the peer's, oldest first.
    pub fn take_told(&self) -> Option<Told> {
        self.out.lock().told.pop_front()
    }

    /// The peer has handled every kept run up to this number.
    pub fn note_handled(&self, number: u64) {
        if self.handled.fetch_max(number, Release) >= number {
            return;
        }
        {
            let mut out = self.out.lock();
            while let Some(first) = out.taken.front()
                && first.number.is_some_and(|taken| taken <= number)
            {
                let bytes = first.run.bytes.len();
                out.taken.pop_front();
                out.taken_bytes -= bytes;
            }
            release_publishers(&mut out);
        }
        self.progressed();
    }

    /// The peer has this node's soft state in effect up to this number.
    pub fn note_confirmed(&self, number: u64) {
        if self.confirmed.fetch_max(number, Release) < number {
            self.progressed();
        }
    }

    pub(crate) fn mark_down(&self) {
        self.down.store(true, Release);
        {
            let mut out = self.out.lock();
            out.link = None;
            out.queue.clear();
            out.taken.clear();
            out.told.clear();
            (out.queued_bytes, out.taken_bytes) = (0, 0);
            release_publishers(&mut out);
        }
        self.progressed();
    }

    fn progressed(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        waiting.into_iter().for_each(Waker::wake);
    }
}

fn release_publishers(out: &mut Outgoing) {
    if out.queued_bytes + out.taken_bytes <= OUTBOX_BYTES_MAX / 2 {
        out.waiting.drain(..).for_each(Waker::wake);
    }
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer").field("info", &self.info).finish_non_exhaustive()
    }
}

/// The peers that are up, in the order of their ids.
#[derive(Clone, Debug, Default)]
pub struct Peers(Vec<Arc<Peer>>);

impl Peers {
    /// The peer of this id.
    #[must_use]
    pub fn get(&self, id: NodeId) -> Option<&Arc<Peer>> {
        let found = self.0.binary_search_by_key(&id, |peer| peer.id()).ok()?;
        self.0.get(found)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Peer>> {
        self.0.iter()
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether this node is alone.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn with(&self, peer: &Arc<Peer>) -> Self {
        let mut peers: Vec<_> = self.0.iter().filter(|present| present.id() != peer.id()).cloned().collect();
        peers.push(peer.clone());
        peers.sort_by_key(|peer| peer.id());
        Self(peers)
    }

    pub(crate) fn without(&self, peer: &Arc<Peer>) -> Self {
        Self(self.0.iter().filter(|present| !Arc::ptr_eq(present, peer)).cloned().collect())
    }
}
