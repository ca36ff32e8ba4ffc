//! PUBACK, PUBREC, PUBREL and PUBCOMP from the client (MQTT 5.0 section 4.3).
//!
//! An id that nothing is under way with is no fault of the client's: the session may have been lost since, or the
//! acknowledgement comes twice. The handshake is then finished with 0x92. An id whose message waits for an
//! acknowledgement of another kind is a protocol error, for the client knows which message it received.

use skein_plane::{Acked, Acknowledgement};

use super::{Context, Open, Refusal};
use crate::{
    circle,
    codec::{Ack, Packet, ReasonCode},
};

impl Open {
    pub(super) fn puback(&self, ack: &Ack, cx: &mut Context<'_>) -> Result<(), Refusal> {
        // An unknown id means nothing to a QoS 1 sender: its message was acknowledged before.
        self.acknowledge(ack, Acknowledgement::Published { rejected: ack.reason.is_error() }, cx).map(drop)
    }

    pub(super) fn pubrec(&self, ack: &Ack, cx: &mut Context<'_>) -> Result<(), Refusal> {
        let rejected = ack.reason.is_error();
        let acked = self.acknowledge(ack, Acknowledgement::Received { rejected }, cx)?;
        let reason = match acked {
            Acked::Done => return Ok(()),
            Acked::Release => ReasonCode::Success,
            Acked::Unknown | Acked::WrongKind if rejected => return Ok(()),
            Acked::Unknown | Acked::WrongKind => ReasonCode::PacketIdentifierNotFound,
        };
        Packet::PubRel(Ack::with_reason(ack.packet_id, reason)).encode(self.version, cx.out);
        Ok(())
    }

    pub(super) fn pubrel(&self, ack: &Ack, cx: &mut Context<'_>) {
        let known = self.handle.release(ack.packet_id.get().into(), &mut cx.split().0);
        // MQTT 5.0 section 4.3.3: an unknown id is answered too, so that the client can forget it.
        let reason = if known { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound };
        Packet::PubComp(Ack::with_reason(ack.packet_id, reason)).encode(self.version, cx.out);
    }

    pub(super) fn pubcomp(&self, ack: &Ack, cx: &mut Context<'_>) -> Result<(), Refusal> {
        self.acknowledge(ack, Acknowledgement::Completed, cx).map(drop)
    }

    /// Never says [`Acked::WrongKind`]: that is the error.
    fn acknowledge(&self, ack: &Ack, what: Acknowledgement, cx: &mut Context<'_>) -> Result<Acked, Refusal> {
        let seq_of = |front| circle::seq_of(ack.packet_id, front);
        match self.handle.acknowledge(seq_of, what, &mut cx.split().0) {
            Acked::WrongKind => Err(Refusal::protocol(
                "the message with this packet identifier waits for another kind of acknowledgement",
            )),
            acked => Ok(acked),
        }
    }
}
