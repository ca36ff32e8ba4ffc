//! One publisher: its window, its packet ids and the handshakes above QoS 0.

use std::collections::VecDeque;

use crate::{
    BenchError, Qos,
    codec::{Ack, PublishTemplate, write_ack},
    driver::{Driver, Fault},
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
        let ids = PacketIds::default();
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
        if self.qos != Qos::AtMostOnce {
            let window = u16::try_from(self.window).unwrap_or(u16::MAX);
            self.ids = PacketIds::new(window.min(receive_maximum));
        }
    }

    /// Messages the window and the limit allow now.
    pub(super) fn allowance(&self) -> u64 {
        let window_end = self.window + self.settled / self.fan;
        let allowed = window_end.min(self.limit).saturating_sub(self.sent);
        if self.qos == Qos::AtMostOnce { allowed } else { allowed.min(self.ids.free.len() as u64) }
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
        let packet_id = if self.qos == Qos::AtMostOnce { 0 } else { self.ids.take() };
        self.template.write(out, packet_id, join(self.index, self.sent), time_ns);
        self.sent += 1;
    }

    pub(super) fn puback(&mut self, packet_id: u16, reason: u8) -> Result<(), Fault> {
        refused(reason)?;
        self.ids.release(packet_id, IdState::Published, "PUBACK", self.qos == Qos::AtLeastOnce)
    }

    pub(super) fn pubrec(&mut self, packet_id: u16, reason: u8, out: &mut Vec<u8>) -> Result<(), Fault> {
        refused(reason)?;
        self.ids.receive(packet_id, self.qos == Qos::ExactlyOnce)?;
        write_ack(out, Ack::PubRel, packet_id);
        Ok(())
    }

    pub(super) fn pubcomp(&mut self, packet_id: u16) -> Result<(), Fault> {
        self.ids.release(packet_id, IdState::Received, "PUBCOMP", self.qos == Qos::ExactlyOnce)
    }

    /// Publications whose handshake is not over.
    pub(super) fn unacknowledged(&self) -> u64 {
        (self.ids.states.len().saturating_sub(1) - self.ids.free.len()) as u64
    }
}

fn refused(reason: u8) -> Result<(), Fault> {
    // 0x10 says that nobody subscribes; it is a success (MQTT 5 section 3.4.2.1).
    if reason < 0x80 {
        return Ok(());
    }
    Err(Fault::Refused {
        request: "PUBLISH",
        reason,
        advice: "Raise the server's limits or lower --window".to_owned(),
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IdState {
    Free,
    Published,
    /// PUBREC came and PUBREL went out.
    Received,
}

/// The packet ids of one publisher, used in turn so that an answer to an old one is noticed.
#[derive(Debug, Default)]
struct PacketIds {
    /// State of each id; id 0 is never used.
    states: Vec<IdState>,
    free: VecDeque<u16>,
}

impl PacketIds {
    fn new(count: u16) -> Self {
        Self { states: vec![IdState::Free; usize::from(count) + 1], free: (1..=count).collect() }
    }

    fn take(&mut self) -> u16 {
        let id = self.free.pop_front().expect("the allowance counts the free ids");
        self.states[usize::from(id)] = IdState::Published;
        id
    }

    fn receive(&mut self, id: u16, is_expected: bool) -> Result<(), Fault> {
        match self.states.get_mut(usize::from(id)) {
            Some(state @ IdState::Published) if is_expected => {
                *state = IdState::Received;
                Ok(())
            }
            _ => Err(unexpected("PUBREC", id)),
        }
    }

    fn release(&mut self, id: u16, from: IdState, packet: &str, is_expected: bool) -> Result<(), Fault> {
        match self.states.get_mut(usize::from(id)) {
            Some(state) if *state == from && is_expected => {
                *state = IdState::Free;
                self.free.push_back(id);
                Ok(())
            }
            _ => Err(unexpected(packet, id)),
        }
    }
}

fn unexpected(packet: &str, id: u16) -> Fault {
    Fault::Protocol(format!("{packet} for packet id {id}, for which it is not due"))
}

#[cfg(test)]
mod tests {
    use super::{IdState, PacketIds, join, split};

    #[test]
    fn publisher_and_number_survive_the_payload() {
        assert_eq!(split(join(70_000, (1 << 40) - 1)), (70_000, (1 << 40) - 1));
        assert_eq!(split(join(0, 5)), (0, 5));
    }

    #[test]
    fn an_answer_that_is_not_due_is_refused() {
        let mut ids = PacketIds::new(2);
        let (first, second) = (ids.take(), ids.take());
        assert_eq!((first, second), (1, 2));
        assert!(ids.release(first, IdState::Published, "PUBACK", true).is_ok());
        assert!(ids.release(first, IdState::Published, "PUBACK", true).is_err(), "a second PUBACK");
        assert!(ids.release(second, IdState::Received, "PUBCOMP", true).is_err(), "PUBCOMP before PUBREC");
        assert!(ids.receive(second, true).is_ok());
        assert!(ids.receive(second, true).is_err(), "a second PUBREC");
        assert!(ids.release(second, IdState::Received, "PUBCOMP", true).is_ok());
        assert!(ids.release(0, IdState::Published, "PUBACK", true).is_err());
        assert!(ids.release(9, IdState::Published, "PUBACK", true).is_err());
        assert_eq!(ids.take(), 1, "ids are used in turn");
    }
}
