//! One peer that is up, as the plane's threads see it: where its messages go, and what it has handled and confirmed.
//!
//! Runs of messages wait here for the link's task, which takes all that wait at once. Runs that are kept are numbered and stay
//! until the peer has handled them, so that a link that is made anew goes on where the old one ended. A peer lives as long as
//! one incarnation of its node; when that is gone, so is everything kept for it.

mod outbox;
mod peers;

use std::{
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{AcqRel, Acquire, Relaxed, Release},
        },
    },
    task::Waker,
};

use bytes::Bytes;
use parking_lot::Mutex;
use skein_types::NodeId;

use self::outbox::Outbox;
pub use self::peers::Peers;
use crate::{EncodedRun, Lane, NodeInfo, lane::FRAME_BYTES_MAX};

/// Bytes waiting for a link. Above three quarters publishers slow down; above this QoS 0 is dropped.
const OUTBOX_BYTES_MAX: usize = 16 << 20;
/// Bytes of announcements to the peer that wait. Above this the link is cut, and begins anew.
const ANNOUNCED_BYTES_MAX: usize = 64 << 20;
/// A run beside which its number still fits into a frame.
const RUN_BYTES_MAX: usize = FRAME_BYTES_MAX - 64;

/// A peer.
pub struct Peer {
    info: NodeInfo,
    out: Mutex<Outbox>,
    handled: AtomicU64,
    confirmed: AtomicU64,
    /// The number of the last kept run that came from it, and of the last one that is kept here as promised.
    came: AtomicU64,
    received: AtomicU64,
    down: AtomicBool,
    /// Whether more than [`ANNOUNCED_BYTES_MAX`] waited.
    overrun: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
    figures: Figures,
}

/// What a plane says to another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
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
    /// There is no link, no room, or it is larger than links carry: it was dropped and counted.
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
            came: AtomicU64::new(0),
            received: AtomicU64::new(0),
            down: AtomicBool::new(false),
            overrun: AtomicBool::new(false),
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
        let messages = u64::from(run.messages);
        let mut out = self.out.lock();
        // Looked at under the lock, so that nothing is kept behind the one who clears it.
        if self.is_down() {
            return Sent::Down;
        }
        let unwanted = !run.kept && (!out.is_linked() || out.queued_bytes() > OUTBOX_BYTES_MAX);
        if unwanted || run.bytes.len() > RUN_BYTES_MAX {
            drop(out);
            self.note_lost(messages);
            return Sent::Dropped;
        }
        let number = out.push(run);
        drop(out);
        self.figures.sent_messages.fetch_add(messages, Relaxed);
        number.map_or(Sent::Unkept, Sent::Kept)
    }

    /// Says something to the peer's plane, in order per lane. It is lost when the link is cut.
    pub fn announce(&self, lane: Lane, kind: u8, body: Bytes) {
        let mut out = self.out.lock();
        if self.is_down() {
            return;
        }
        if out.announced_bytes() > ANNOUNCED_BYTES_MAX {
            self.overrun.store(true, Release);
            return;
        }
        out.announce(Announcement { lane, kind, body });
    }

    /// Lets the link write what waits. One that was woken already and has not come yet is not woken again.
    pub fn flush(&self) {
        let link = self.out.lock().whom_to_wake();
        if let Some(link) = link {
            link.wake();
        }
    }

    /// Whether publishers should wait before they send more.
    #[must_use]
    pub fn is_congested(&self) -> bool {
        self.out.lock().bytes() > OUTBOX_BYTES_MAX / 4 * 3
    }

    /// Whether publishers may go on; if not, `waker` is called once they may.
    #[must_use]
    pub fn poll_drained(&self, waker: &Waker) -> bool {
        let mut out = self.out.lock();
        if self.is_down() || out.bytes() <= OUTBOX_BYTES_MAX / 2 {
            return true;
        }
        out.wait_for_room(waker);
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
        let (unhandled_runs, unhandled_bytes) = out.unhandled();
        PeerFigures {
            sent_messages: self.figures.sent_messages.load(Relaxed),
            dropped_messages: self.figures.dropped_messages.load(Relaxed),
            queued_bytes: out.queued_bytes(),
            unhandled_runs,
            unhandled_bytes,
            linked: out.is_linked(),
        }
    }
}

/// What a link has room for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Room {
    /// Bytes of runs; the last one may be larger.
    pub runs_bytes: usize,
    /// Bytes of announcements, by lane; the last one of each may be larger.
    pub announced_bytes: [usize; 4],
}

/// What a link takes at once, each oldest first.
#[derive(Debug, Default)]
pub struct Taken {
    /// Runs, with their number if they are kept.
    pub runs: Vec<(Option<u64>, EncodedRun)>,
    /// What the plane says.
    pub announcements: Vec<Announcement>,
}

/// For the link and the core.
impl Peer {
    /// There is a link, and the peer has handled everything up to `handled`: what is kept behind that is sent again, before
    /// what is new. `writer` is woken when there is something to write; the first time it need not be.
    pub fn link_opened(&self, handled: u64, writer: Waker) {
        self.note_handled(handled);
        let mut out = self.out.lock();
        if !self.is_down() {
            out.link_opened(writer);
        }
    }

    /// The link is cut. What is not kept and was not taken yet is dropped and counted.
    pub fn link_closed(&self) {
        self.overrun.store(false, Release);
        let dropped = self.out.lock().link_closed();
        self.note_lost(dropped);
    }

    /// Takes what waits, as far as there is room for it. If anything is left the link must come back for it by itself once
    /// it has room: it is not woken for that.
    pub fn take(&self, room: Room, taken: &mut Taken) {
        let publishers = self.out.lock().take(room, taken);
        publishers.into_iter().for_each(Waker::wake);
    }

    /// The next run to write, with its number if it is kept.
    pub fn take_run(&self) -> Option<(Option<u64>, EncodedRun)> {
        let mut taken = Taken::default();
        self.take(Room { runs_bytes: 1, ..Room::default() }, &mut taken);
        taken.runs.pop()
    }

    /// What the plane says to the peer's: the oldest on the most urgent lane.
    pub fn take_announcement(&self) -> Option<Announcement> {
        Lane::ALL.into_iter().find_map(|lane| {
            let mut room = Room::default();
            *room.announced_bytes.get_mut(lane as usize)? = 1;
            let mut taken = Taken::default();
            self.take(room, &mut taken);
            taken.announcements.pop()
        })
    }

    /// Whether so many announcements wait that the link must be cut.
    #[must_use]
    pub fn is_overrun(&self) -> bool {
        self.overrun.load(Acquire)
    }

    /// Messages that are not kept were lost on their way to the link.
    pub fn note_lost(&self, messages: u64) {
        self.figures.dropped_messages.fetch_add(messages, Relaxed);
    }

    /// The number up to which the kept runs that came from it are kept here as promised: a new link goes on behind it. What
    /// came already and is not kept yet comes again, and is told apart by [`Peer::is_new`].
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.load(Acquire)
    }

    /// The kept runs that came from it are kept here as promised up to this number.
    pub fn note_received(&self, number: u64) {
        self.received.fetch_max(number, AcqRel);
    }

    /// A kept run came; false when it had come before, over an earlier link.
    #[must_use]
    pub fn is_new(&self, number: u64) -> bool {
        self.came.fetch_max(number, AcqRel) < number
    }

    /// The peer has handled every kept run up to this number.
    pub fn note_handled(&self, number: u64) {
        let (number, publishers) = self.out.lock().handled(number);
        publishers.into_iter().for_each(Waker::wake);
        if self.handled.fetch_max(number, AcqRel) < number {
            self.progressed();
        }
    }

    /// The peer has this node's soft state in effect up to this number.
    pub fn note_confirmed(&self, number: u64) {
        if self.confirmed.fetch_max(number, AcqRel) < number {
            self.progressed();
        }
    }

    pub(crate) fn mark_down(&self) {
        self.down.store(true, Release);
        let publishers = self.out.lock().clear();
        publishers.into_iter().for_each(Waker::wake);
        self.progressed();
    }

    fn progressed(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer").field("info", &self.info).finish_non_exhaustive()
    }
}
