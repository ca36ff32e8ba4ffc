//! One publisher: its window and what it publishes into it.

use crate::{
    BenchError, Qos,
    codec::{Packet, PublishTemplate},
    driver::{Driver, Fault},
    handshake::PacketIds,
};

/// Bytes a publisher leaves unwritten before it waits for its socket.
const PENDING_BYTES_MAX: usize = 64 * 1024;

/// A message number and its publisher share the eight bytes of the payload.
const NUMBER_BITS: u32 = 40;

/// Puts a publisher's index and a message's number into one value of the payload.
pub(super) fn join(publisher: usize, number: u64) -> u64 {
    ((publisher as u64) << NUMBER_BITS) | number
}

/// The publisher's index and the message's number.
#[inline]
pub(super) fn split(value: u64) -> (usize, u64) {
    ((value >> NUMBER_BITS) as usize, value & ((1 << NUMBER_BITS) - 1))
}

#[derive(Debug)]
pub(super) struct Publisher {
    index: usize,
    pub(super) topic: String,
    template: PublishTemplate,
    qos: Qos,
    window: u64,
    /// Subscribers that get each message.
    fan: u64,
    pub(super) sent: u64,
    /// Deliveries seen or given up, over all subscribers.
    pub(super) settled: u64,
    /// Messages that may be sent at all.
    pub(super) limit: u64,
    ids: PacketIds,
    /// Whether it stands in the list of publishers to look at.
    pub(super) is_listed: bool,
}

impl Publisher {
    pub(super) fn new(
        index: usize,
        topic: String,
        template: PublishTemplate,
        qos: Qos,
        window: u64,
        fan: u64,
    ) -> Self {
        let ids = PacketIds::new(qos, 0);
        Self {
            index,
            topic,
            template,
            qos,
            window,
            fan,
            sent: 0,
            settled: 0,
            limit: 0,
            ids,
            is_listed: false,
        }
    }

    /// Makes the packet ids, as many as the server and the window allow.
    pub(super) fn opened(&mut self, receive_maximum: u16) {
        let window = u16::try_from(self.window).unwrap_or(u16::MAX);
        self.ids = PacketIds::new(self.qos, window.min(receive_maximum));
    }

    /// Messages the window and the limit allow now.
    pub(super) fn allowance(&self) -> u64 {
        let window_end = self.window + self.settled / self.fan;
        window_end.min(self.limit).saturating_sub(self.sent).min(self.ids.available())
    }

    /// Publishes all that is allowed; returns how many were written.
    pub(super) fn publish_allowed(&mut self, driver: &mut Driver<'_>) -> Result<u64, BenchError> {
        let mut wanted = self.allowance();
        if wanted == 0 || driver.is_blocked(self.index) {
            return Ok(0);
        }
        let before = self.sent;
        let time_ns = driver.clock.now_ns();
        while wanted > 0 {
            let room = PENDING_BYTES_MAX.saturating_sub(driver.pending(self.index));
            let batch = wanted.min((room / self.template.len()).max(1) as u64);
            let out = driver.out(self.index);
            for _ in 0..batch {
                self.write_one(out, time_ns);
            }
            wanted -= batch;
            driver.flush(self.index)?;
            if driver.is_blocked(self.index) {
                break;
            }
        }
        Ok(self.sent - before)
    }

    /// Publishes one message that was due at `time_ns`.
    pub(super) fn publish_one(&mut self, driver: &mut Driver<'_>, time_ns: u64) -> Result<(), BenchError> {
        self.write_one(driver.out(self.index), time_ns);
        if driver.is_blocked(self.index) { Ok(()) } else { driver.flush(self.index) }
    }

    #[inline]
    fn write_one(&mut self, out: &mut Vec<u8>, time_ns: u64) {
        self.template.write(out, self.ids.take(), join(self.index, self.sent), time_ns);
        self.sent += 1;
    }

    /// Takes an answer of the server; returns whether a handshake is over with it.
    pub(super) fn answer(&mut self, packet: &Packet<'_>, out: &mut Vec<u8>) -> Result<bool, Fault> {
        self.ids.answer(packet, out)
    }

    /// Publications whose handshake is not over.
    pub(super) fn unacknowledged(&self) -> u64 {
        self.ids.waiting()
    }
}

#[cfg(test)]
mod tests {
    use super::{join, split};

    #[test]
    fn publisher_and_number_survive_the_payload() {
        assert_eq!(split(join(70_000, (1 << 40) - 1)), (70_000, (1 << 40) - 1));
        assert_eq!(split(join(0, 5)), (0, 5));
    }
}
