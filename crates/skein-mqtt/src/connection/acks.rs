//! PUBACK, PUBREC, PUBREL and PUBCOMP from the client (MQTT 5.0 section 4.3).

use skein_plane::{Acked, Acknowledgement};

use super::{Context, Open};
use crate::{
    circle,
    codec::{Ack, Packet, ReasonCode},
};

impl Open {
    pub(super) fn puback(&self, ack: &Ack, cx: &mut Context<'_>) {
        // An unknown id means nothing to a QoS 1 sender: its message was acknowledged before.
        self.acknowledge(ack, Acknowledgement::Published { rejected: ack.reason.is_error() }, cx);
    }

    pub(super) fn pubrec(&self, ack: &Ack, cx: &mut Context<'_>) {
        let rejected = ack.reason.is_error();
        let acked = self.acknowledge(ack, Acknowledgement::Received { rejected }, cx);
        let reason = match acked {
            Acked::Done => return,
            Acked::Release => ReasonCode::Success,
            Acked::Unknown if rejected => return,
            Acked::Unknown => ReasonCode::PacketIdentifierNotFound,
        };
        Packet::PubRel(Ack::with_reason(ack.packet_id, reason)).encode(self.version, cx.out);
    }

    pub(super) fn pubrel(&self, ack: &Ack, cx: &mut Context<'_>) {
        let known = self.handle.release(ack.packet_id.get().into(), &mut cx.split().0);
        // MQTT 5.0 section 4.3.3: an unknown id is answered too, so that the client can forget it.
        let reason = if known { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound };
        Packet::PubComp(Ack::with_reason(ack.packet_id, reason)).encode(self.version, cx.out);
    }

    pub(super) fn pubcomp(&self, ack: &Ack, cx: &mut Context<'_>) {
        self.acknowledge(ack, Acknowledgement::Completed, cx);
    }

    fn acknowledge(&self, ack: &Ack, what: Acknowledgement, cx: &mut Context<'_>) -> Acked {
        self.handle.acknowledge(|front| circle::seq_of(ack.packet_id, front), what, &mut cx.split().0)
    }
}
