//! Writes the packets of an MQTT client into a byte buffer that already exists.
//!
//! Nothing here allocates per message: a publication is a copy of a prepared template with the sequence
//! number, the time and the packet id put in place. Lengths that the standard cannot carry are a fault of
//! the generator's own settings, which are checked before a packet is written.

use super::{Protocol, Qos};

/// What a CONNECT carries.
#[derive(Debug)]
pub(crate) struct ConnectFields<'a> {
    pub(crate) protocol: Protocol,
    pub(crate) client_id: &'a str,
    pub(crate) keep_alive_seconds: u16,
    pub(crate) user: Option<&'a str>,
    pub(crate) password: Option<&'a str>,
    /// Whether the session outlives the connection; otherwise it is a clean one.
    pub(crate) durable: bool,
}

/// How long a durable session of MQTT 5 outlives its connection; before, the server decides.
const DURABLE_EXPIRY_SECS: u32 = 3600;

/// The four acknowledgements that carry only a packet id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "the names are the standard's")]
pub(crate) enum Ack {
    PubAck,
    PubRec,
    PubRel,
    PubComp,
}

pub(crate) fn write_connect(out: &mut Vec<u8>, fields: &ConnectFields<'_>) {
    let mut body = Vec::with_capacity(64);
    write_text(&mut body, "MQTT");
    body.push(match fields.protocol {
        Protocol::V3 => 4,
        Protocol::V5 => 5,
    });
    let clean = if fields.durable { 0 } else { 0b10 };
    let user = if fields.user.is_some() { 0b1000_0000 } else { 0 };
    let password = if fields.password.is_some() { 0b0100_0000 } else { 0 };
    body.push(clean | user | password);
    body.extend_from_slice(&fields.keep_alive_seconds.to_be_bytes());
    match fields.protocol {
        Protocol::V3 => {}
        Protocol::V5 if fields.durable => {
            body.extend_from_slice(&[5, 0x11]);
            body.extend_from_slice(&DURABLE_EXPIRY_SECS.to_be_bytes());
        }
        Protocol::V5 => body.push(0),
    }
    write_text(&mut body, fields.client_id);
    for text in [fields.user, fields.password].into_iter().flatten() {
        write_text(&mut body, text);
    }
    write_packet(out, 0x10, &body);
}

pub(crate) fn write_subscribe(out: &mut Vec<u8>, protocol: Protocol, packet_id: u16, filter: &str, qos: Qos) {
    let mut body = Vec::with_capacity(64);
    body.extend_from_slice(&packet_id.to_be_bytes());
    if protocol == Protocol::V5 {
        body.push(0);
    }
    write_text(&mut body, filter);
    body.push(qos.bits());
    write_packet(out, 0x82, &body);
}

pub(crate) fn write_unsubscribe(out: &mut Vec<u8>, protocol: Protocol, packet_id: u16, filter: &str) {
    let mut body = Vec::with_capacity(64);
    body.extend_from_slice(&packet_id.to_be_bytes());
    if protocol == Protocol::V5 {
        body.push(0);
    }
    write_text(&mut body, filter);
    write_packet(out, 0xA2, &body);
}

/// Writes an acknowledgement in its shortest form, which both versions read as success.
pub(crate) fn write_ack(out: &mut Vec<u8>, ack: Ack, packet_id: u16) {
    let first = match ack {
        Ack::PubAck => 0x40,
        Ack::PubRec => 0x50,
        Ack::PubRel => 0x62,
        Ack::PubComp => 0x70,
    };
    let [high, low] = packet_id.to_be_bytes();
    out.extend_from_slice(&[first, 2, high, low]);
}

pub(crate) fn write_pingreq(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xC0, 0]);
}

pub(crate) fn write_disconnect(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xE0, 0]);
}

/// The fixed part of a publication.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PublishFields<'a> {
    pub(crate) protocol: Protocol,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    pub(crate) topic: &'a str,
}

/// Writes one publication; the packet id is written only above QoS 0 (MQTT-2.2.1-2).
pub(crate) fn write_publish(out: &mut Vec<u8>, fields: PublishFields<'_>, packet_id: u16, payload: &[u8]) {
    let id_bytes: &[u8] = &packet_id.to_be_bytes();
    let id_bytes = if fields.qos == Qos::AtMostOnce { &[] } else { id_bytes };
    let properties: &[u8] = if fields.protocol == Protocol::V5 { &[0] } else { &[] };
    let text_bytes = fields.topic.len().saturating_add(2);
    let remaining =
        [id_bytes.len(), properties.len(), payload.len()].into_iter().fold(text_bytes, usize::saturating_add);
    out.push(0x30 | (fields.qos.bits() << 1) | u8::from(fields.retain));
    write_varint(out, remaining);
    write_text(out, fields.topic);
    out.extend_from_slice(id_bytes);
    out.extend_from_slice(properties);
    out.extend_from_slice(payload);
}

/// A publication prepared once, of which only the first sixteen payload bytes and the packet id change.
#[derive(Debug)]
pub(crate) struct PublishTemplate {
    bytes: Vec<u8>,
    packet_id_at: Option<usize>,
    payload_at: usize,
}

impl PublishTemplate {
    /// `payload` must hold at least the sixteen bytes that [`Self::write`] replaces.
    pub(crate) fn new(fields: PublishFields<'_>, payload: &[u8]) -> Self {
        assert!(payload.len() >= 16, "a payload holds a sequence number and a time: sixteen bytes");
        let mut bytes = Vec::new();
        write_publish(&mut bytes, fields, 0, payload);
        let payload_at = bytes.len().saturating_sub(payload.len());
        let properties = usize::from(fields.protocol == Protocol::V5);
        let packet_id_at =
            (fields.qos != Qos::AtMostOnce).then(|| payload_at.saturating_sub(properties).saturating_sub(2));
        Self { bytes, packet_id_at, payload_at }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    #[expect(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "the offsets were computed from the template itself, no outside byte is involved"
    )]
    pub(crate) fn write(&self, out: &mut Vec<u8>, packet_id: u16, sequence: u64, time_ns: u64) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let message = &mut out[start..];
        if let Some(at) = self.packet_id_at {
            message[at..at + 2].copy_from_slice(&packet_id.to_be_bytes());
        }
        let at = self.payload_at;
        message[at..at + 8].copy_from_slice(&sequence.to_le_bytes());
        message[at + 8..at + 16].copy_from_slice(&time_ns.to_le_bytes());
    }
}

fn write_packet(out: &mut Vec<u8>, first: u8, body: &[u8]) {
    out.push(first);
    write_varint(out, body.len());
    out.extend_from_slice(body);
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    let length =
        u16::try_from(text.len()).expect("texts come from settings that were checked to fit 65 535 bytes");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn write_varint(out: &mut Vec<u8>, value: usize) {
    assert!(
        value <= super::decode::REMAINING_LENGTH_MAX,
        "settings keep a packet below the limit of MQTT-2.2.3"
    );
    let mut rest = value;
    loop {
        let low = u8::try_from(rest & 0x7F).expect("seven bits fit a byte");
        rest >>= 7;
        if rest == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}
