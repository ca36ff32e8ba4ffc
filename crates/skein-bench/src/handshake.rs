//! The acknowledgements of QoS 1 and 2, on the publishing and on the receiving side.
//!
//! Every answer is checked against what is due; one that is not ends the run as a broken protocol. The
//! connections of a run live as long as the run, so nothing is ever sent again.

use std::collections::VecDeque;

use crate::{
    Qos,
    codec::{Ack, Packet, write_ack},
    driver::Fault,
};

/// What a publisher's packet id waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IdState {
    Free,
    PubAck,
    PubRec,
    PubComp,
}

/// The packet ids of one publisher, used in turn so that an answer to an old one is noticed.
#[derive(Debug)]
pub(crate) struct PacketIds {
    first_state: IdState,
    /// State of each id; id 0 is never used.
    states: Vec<IdState>,
    free: VecDeque<u16>,
}

impl PacketIds {
    /// At QoS 0 there are none to be had, and none is needed.
    pub(crate) fn new(qos: Qos, count: u16) -> Self {
        let (first_state, count) = match qos {
            Qos::AtMostOnce => (IdState::Free, 0),
            Qos::AtLeastOnce => (IdState::PubAck, count),
            Qos::ExactlyOnce => (IdState::PubRec, count),
        };
        Self { first_state, states: vec![IdState::Free; usize::from(count) + 1], free: (1..=count).collect() }
    }

    /// Publications that may be sent before an answer comes.
    pub(crate) fn available(&self) -> u64 {
        if self.first_state == IdState::Free { u64::MAX } else { self.free.len() as u64 }
    }

    /// Publications whose handshake is not over.
    pub(crate) fn waiting(&self) -> u64 {
        (self.states.len() - 1 - self.free.len()) as u64
    }

    /// The id for the next publication; 0 at QoS 0.
    #[inline]
    pub(crate) fn take(&mut self) -> u16 {
        if self.first_state == IdState::Free {
            return 0;
        }
        let id = self.free.pop_front().expect("the caller asks for no more than is available");
        self.states[usize::from(id)] = self.first_state;
        id
    }

    /// Takes an answer of the server; returns whether a handshake is over with it.
    pub(crate) fn answer(&mut self, packet: &Packet<'_>, out: &mut Vec<u8>) -> Result<bool, Fault> {
        let (id, due, reason) = match *packet {
            Packet::PubAck { packet_id, reason } => (packet_id, IdState::PubAck, reason),
            Packet::PubRec { packet_id, reason } => (packet_id, IdState::PubRec, reason),
            Packet::PubComp { packet_id } => (packet_id, IdState::PubComp, 0),
            ref other => return Err(Fault::Protocol(format!("{other:?} was sent to a publisher"))),
        };
        // 0x10 says that nobody subscribes; it is a success (MQTT 5 section 3.4.2.1).
        if reason >= 0x80 {
            let advice = "Raise the server's limits or lower --window".to_owned();
            return Err(Fault::Refused { request: "PUBLISH", reason, advice });
        }
        match self.states.get_mut(usize::from(id)) {
            Some(state) if *state == due && due == IdState::PubRec => {
                *state = IdState::PubComp;
                write_ack(out, Ack::PubRel, id);
                Ok(false)
            }
            Some(state) if *state == due => {
                *state = IdState::Free;
                self.free.push_back(id);
                Ok(true)
            }
            _ => Err(Fault::Protocol(format!("{packet:?} is not due"))),
        }
    }
}

/// The receiving side of one subscriber.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// Packet ids of QoS 2 messages held until PUBREL, one bit each; made with the first such message.
    held: Vec<u64>,
}

impl Inbox {
    /// Acknowledges a message; returns whether it is one to be delivered, not a copy of one still held.
    #[inline]
    pub(crate) fn acknowledge(&mut self, qos: Qos, packet_id: u16, out: &mut Vec<u8>) -> bool {
        match qos {
            Qos::AtMostOnce => true,
            Qos::AtLeastOnce => {
                write_ack(out, Ack::PubAck, packet_id);
                true
            }
            Qos::ExactlyOnce => {
                write_ack(out, Ack::PubRec, packet_id);
                self.held.resize(usize::from(u16::MAX) / 64 + 1, 0);
                let (word, bit) = (&mut self.held[usize::from(packet_id / 64)], 1 << (packet_id % 64));
                let is_new = *word & bit == 0;
                *word |= bit;
                is_new
            }
        }
    }

    /// Takes PUBREL.
    pub(crate) fn release(&mut self, packet_id: u16, out: &mut Vec<u8>) -> Result<(), Fault> {
        write_ack(out, Ack::PubComp, packet_id);
        let bit = 1 << (packet_id % 64);
        match self.held.get_mut(usize::from(packet_id / 64)) {
            Some(word) if *word & bit != 0 => {
                *word &= !bit;
                Ok(())
            }
            _ => Err(Fault::Protocol(format!("PUBREL for packet id {packet_id}, which holds no message"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Inbox, PacketIds};
    use crate::{Qos, codec::Packet};

    #[test]
    fn ids_of_qos_1_are_used_in_turn_and_answered_once() {
        let mut out = Vec::new();
        let mut ids = PacketIds::new(Qos::AtLeastOnce, 2);
        assert_eq!((ids.take(), ids.take(), ids.available()), (1, 2, 0));
        let first = Packet::PubAck { packet_id: 1, reason: 0 };
        assert!(matches!(ids.answer(&first, &mut out), Ok(true)));
        assert!(ids.answer(&first, &mut out).is_err(), "a second PUBACK");
        assert!(
            ids.answer(&Packet::PubRec { packet_id: 2, reason: 0 }, &mut out).is_err(),
            "PUBREC at QoS 1"
        );
        assert!(ids.answer(&Packet::PubAck { packet_id: 2, reason: 0x97 }, &mut out).is_err(), "a refusal");
        assert!(
            ids.answer(&Packet::PubAck { packet_id: 9, reason: 0 }, &mut out).is_err(),
            "an id out of range"
        );
        assert_eq!((ids.take(), ids.waiting()), (1, 2));
        assert!(out.is_empty());
    }

    #[test]
    fn qos_2_has_both_legs() {
        let mut out = Vec::new();
        let mut ids = PacketIds::new(Qos::ExactlyOnce, 1);
        assert_eq!(ids.take(), 1);
        assert!(ids.answer(&Packet::PubComp { packet_id: 1 }, &mut out).is_err(), "PUBCOMP before PUBREC");
        let received = Packet::PubRec { packet_id: 1, reason: 0 };
        assert!(matches!(ids.answer(&received, &mut out), Ok(false)));
        assert_eq!(out, [0x62, 2, 0, 1]);
        assert!(ids.answer(&received, &mut out).is_err(), "a second PUBREC");
        assert!(matches!(ids.answer(&Packet::PubComp { packet_id: 1 }, &mut out), Ok(true)));
        assert_eq!(ids.waiting(), 0);
    }

    #[test]
    fn a_held_message_is_delivered_once_until_released() {
        let mut out = Vec::new();
        let mut inbox = Inbox::default();
        assert!(inbox.release(7, &mut out).is_err(), "nothing is held yet");
        assert!(inbox.acknowledge(Qos::ExactlyOnce, 7, &mut out));
        assert!(!inbox.acknowledge(Qos::ExactlyOnce, 7, &mut out), "the same id again");
        assert!(inbox.acknowledge(Qos::ExactlyOnce, u16::MAX, &mut out));
        assert!(inbox.release(7, &mut out).is_ok());
        assert!(inbox.acknowledge(Qos::ExactlyOnce, 7, &mut out));
        out.clear();
        assert!(inbox.acknowledge(Qos::AtLeastOnce, 3, &mut out));
        assert_eq!(out, [0x40, 2, 0, 3]);
    }
}
