//! What waits for a link, by lane, and in which order it is written: a chunk of the most urgent lane that has one, again and
//! again. Messages are taken from the peer only as they are written, so that what waits, waits where it is counted and kept.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    compress,
    fault::LinkFault,
    frame::{CHUNK_BYTES_MAX, CHUNK_HEAD_BYTES, Kind, LaneCount, Tag},
};
use crate::{Announcement, Lane, Peer, Room};

/// What the messages lane may carry before the receiver has given credit for more.
pub(super) const WINDOW_BYTES: usize = 4 << 20;
/// Announcement frames taken from the peer at once, by lane: as much as one buffer.
const ANNOUNCED_BYTES: usize = 128 * 1024;
/// A chunk smaller than this waits for more credit, unless it is all there is.
const CHUNK_BYTES_MIN: usize = CHUNK_BYTES_MAX / 4;

/// A frame, and how much of it is written.
#[derive(Debug)]
struct Frame {
    tag: Tag,
    head: [u8; 8],
    head_bytes: usize,
    body: Bytes,
    written: usize,
    /// Messages that are lost when the frame is.
    unkept: u32,
}

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    queues: [VecDeque<Frame>; 4],
    /// Bytes in `queues`.
    queued_bytes: [usize; 4],
    handled: Option<u64>,
    credit: u32,
    ping: bool,
    pong: bool,
    /// What the messages lane may still carry.
    allowance: usize,
    pub(super) compress_bulk: bool,
    pub(super) went: [LaneCount; 4],
    taken: crate::Taken,
}

impl Lanes {
    pub(super) fn new() -> Self {
        Self { allowance: WINDOW_BYTES, ..Self::default() }
    }

    /// Says something to the other node's core, behind what this node's plane said before: a confirmation must not
    /// overtake what the plane has to say about what is confirmed.
    pub(super) fn control(&mut self, peer: Option<&Peer>, body: Bytes) {
        self.take_announcement(peer);
        self.push(Frame::new(Tag::new(Lane::Control, Kind::Control), &[], body, 0));
    }

    pub(super) fn handled(&mut self, number: u64) {
        self.handled = self.handled.max(Some(number));
    }

    pub(super) fn credit(&mut self, bytes: u32) {
        self.credit = self.credit.saturating_add(bytes);
    }

    /// The other side takes so much more.
    pub(super) fn grant(&mut self, bytes: u32) -> Result<(), LinkFault> {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let allowance = self.allowance.checked_add(bytes).filter(|allowance| *allowance <= WINDOW_BYTES);
        self.allowance = allowance.ok_or(LinkFault::Garbled("more credit came than was used"))?;
        Ok(())
    }

    pub(super) fn ping(&mut self) {
        self.ping = true;
    }

    pub(super) fn pong(&mut self) {
        self.pong = true;
    }

    /// Bytes that wait here. Few of them are messages: these wait at the peer.
    pub(super) fn queued_bytes(&self) -> usize {
        self.queued_bytes.iter().sum()
    }

    /// Messages that were taken, are not kept, and are not written to their end.
    pub(super) fn unwritten_messages(&self) -> u64 {
        let [_, _, messages, _] = &self.queues;
        messages.iter().map(|frame| u64::from(frame.unkept)).sum()
    }

    pub(super) fn announce(&mut self, announcement: Announcement) {
        let Announcement { lane, kind, body } = announcement;
        let small = if lane == Lane::Bulk && self.compress_bulk { compress::shrink(&body) } else { None };
        let tag = Tag { lane, kind: Kind::Announcement, compressed: small.is_some() };
        self.push(Frame::new(tag, &[kind], small.unwrap_or(body), 0));
    }

    fn push(&mut self, frame: Frame) {
        let lane = frame.tag.lane as usize;
        if let (Some(queue), Some(bytes)) = (self.queues.get_mut(lane), self.queued_bytes.get_mut(lane)) {
            *bytes += frame.unwritten();
            queue.push_back(frame);
        }
    }

    /// Appends at most about `budget` bytes to `out`. Returns whether a ping is among them.
    pub(super) fn write(&mut self, peer: Option<&Peer>, out: &mut BytesMut, budget: usize) -> bool {
        let until = out.len() + budget;
        let pinged = std::mem::take(&mut self.ping);
        self.take_from(peer, budget);
        self.write_small(pinged, out);
        while out.len() < until {
            let written = self.write_chunk(Lane::Control, out)
                || self.write_chunk(Lane::Consensus, out)
                || self.write_chunk(Lane::Messages, out)
                || self.write_chunk(Lane::Bulk, out);
            if !written {
                break;
            }
        }
        pinged
    }

    fn take_from(&mut self, peer: Option<&Peer>, budget: usize) {
        let Some(peer) = peer else { return };
        let [_, _, messages, _] = &self.queues;
        let runs_bytes = if messages.is_empty() { budget.min(self.allowance) } else { 0 };
        let announced_bytes =
            self.queued_bytes.map(|queued| if queued < ANNOUNCED_BYTES { ANNOUNCED_BYTES } else { 0 });
        let mut taken = std::mem::take(&mut self.taken);
        peer.take(Room { runs_bytes, announced_bytes }, &mut taken);
        for (number, run) in taken.runs.drain(..) {
            let frame = match number {
                Some(number) => {
                    Frame::new(Tag::new(Lane::Messages, Kind::KeptRun), &number.to_le_bytes(), run.bytes, 0)
                }
                None => Frame::new(Tag::new(Lane::Messages, Kind::Run), &[], run.bytes, run.messages),
            };
            self.push(frame);
        }
        for announcement in taken.announcements.drain(..) {
            self.announce(announcement);
        }
        self.taken = taken;
    }

    /// Takes what the plane says on the lane of the core.
    fn take_announcement(&mut self, peer: Option<&Peer>) {
        let Some(peer) = peer else { return };
        let mut room = Room::default();
        if let Some(control) = room.announced_bytes.get_mut(Lane::Control as usize) {
            *control = usize::MAX;
        }
        let mut taken = std::mem::take(&mut self.taken);
        peer.take(room, &mut taken);
        taken.announcements.drain(..).for_each(|announcement| self.announce(announcement));
        self.taken = taken;
    }

    fn write_small(&mut self, pinged: bool, out: &mut BytesMut) {
        if pinged {
            self.put_small(Kind::Ping, &[], out);
        }
        if std::mem::take(&mut self.pong) {
            self.put_small(Kind::Pong, &[], out);
        }
        if let Some(number) = self.handled.take() {
            self.put_small(Kind::Handled, &number.to_le_bytes(), out);
        }
        let credit = std::mem::take(&mut self.credit);
        if credit > 0 {
            self.put_small(Kind::Credit, &credit.to_le_bytes(), out);
        }
    }

    /// A frame whose place among the others of its lane does not matter; but not within one that is begun.
    fn put_small(&mut self, kind: Kind, body: &[u8], out: &mut BytesMut) {
        let frame = Frame::new(Tag::new(Lane::Control, kind), body, Bytes::new(), 0);
        let [control, ..] = &mut self.queues;
        if control.front().is_some_and(|begun| begun.written > 0) {
            let [bytes, ..] = &mut self.queued_bytes;
            *bytes += frame.unwritten();
            control.insert(1, frame);
            return;
        }
        frame.tag.put(body.len(), false, out);
        out.extend_from_slice(body);
        let [count, ..] = &mut self.went;
        count.frames += 1;
        count.bytes += (CHUNK_HEAD_BYTES + body.len()) as u64;
    }

    /// Writes the next chunk of a lane, if it has one that may be written.
    fn write_chunk(&mut self, lane: Lane, out: &mut BytesMut) -> bool {
        let (Some(queue), Some(queued_bytes), Some(count)) = (
            self.queues.get_mut(lane as usize),
            self.queued_bytes.get_mut(lane as usize),
            self.went.get_mut(lane as usize),
        ) else {
            return false;
        };
        let Some(frame) = queue.front_mut() else { return false };
        let unwritten = frame.unwritten();
        let mut length = unwritten.min(CHUNK_BYTES_MAX);
        if lane == Lane::Messages {
            if self.allowance < length.min(CHUNK_BYTES_MIN) {
                return false;
            }
            length = length.min(self.allowance);
            self.allowance -= length;
        }
        *queued_bytes -= length;
        let last = length == unwritten;
        frame.tag.put(length, !last, out);
        frame.put(length, out);
        count.bytes += (CHUNK_HEAD_BYTES + length) as u64;
        if last {
            count.frames += 1;
            count.compressed += u64::from(frame.tag.compressed);
            queue.pop_front();
        }
        true
    }
}

impl Frame {
    fn new(tag: Tag, head: &[u8], body: Bytes, unkept: u32) -> Self {
        let mut bytes = [0; 8];
        bytes.iter_mut().zip(head).for_each(|(to, from)| *to = *from);
        Self { tag, head: bytes, head_bytes: head.len(), body, written: 0, unkept }
    }

    fn unwritten(&self) -> usize {
        self.head_bytes + self.body.len() - self.written
    }

    fn put(&mut self, length: usize, out: &mut BytesMut) {
        let head = self.head.get(self.written.min(self.head_bytes)..self.head_bytes).unwrap_or_default();
        let head = head.get(..length).unwrap_or(head);
        out.put_slice(head);
        let from = self.written.saturating_sub(self.head_bytes);
        let body = self.body.get(from..from + length - head.len()).unwrap_or_default();
        out.put_slice(body);
        self.written += length;
    }
}
