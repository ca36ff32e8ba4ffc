//! How the plane's messages become MQTT packets for one connection.

use std::{collections::HashMap, num::NonZeroU16};

use skein_plane::wire::{DeliveryOptions, Encoded, Form, Frame, Recipient, SubscriptionIds, Wire};
use skein_types::{ByteString, Code, QoS, Topic};

use crate::{
    circle,
    codec::{
        Ack, ConnAck, Disconnect, Packet, PublishHead, ReasonCode, Version, encode_publish_head,
        publish_length,
    },
    reason::reason_of,
};

/// This door's number in [`Form`]s.
const DOOR: u32 = 1 << 24;
/// What a frame can have beside topic, payload and properties.
const HEAD_BYTES_MAX: usize = 64;

/// Encodes for one connection.
#[derive(Debug)]
pub(crate) struct MqttWire {
    version: Version,
    /// Largest packet the client takes (MQTT-3.1.2-24).
    packet_bytes_max: u32,
    /// Whether the client wants reason strings (MQTT-3.1.2-29).
    problem_information: bool,
    aliases: Option<Box<Aliases>>,
    greeting: Option<Box<ConnAck>>,
}

/// Topics the client knows by number (MQTT 5.0 section 3.3.2.3.4): the first ones sent to it, until it takes no more.
#[derive(Debug)]
struct Aliases {
    max: u16,
    known: HashMap<Topic, NonZeroU16>,
}

impl MqttWire {
    pub(crate) fn new(
        version: Version,
        packet_bytes_max: u32,
        problem_information: bool,
        topic_alias_max: u16,
        greeting: ConnAck,
    ) -> Self {
        let aliases = (version.is_v5() && topic_alias_max > 0)
            .then(|| Box::new(Aliases { max: topic_alias_max, known: HashMap::new() }));
        Self { version, packet_bytes_max, problem_information, aliases, greeting: Some(Box::new(greeting)) }
    }
}

impl Wire for MqttWire {
    fn form(&self, options: &DeliveryOptions, size_bytes: usize) -> Option<Form> {
        let fits = size_bytes.saturating_add(HEAD_BYTES_MAX) <= self.packet_bytes_max as usize;
        if !fits || self.aliases.is_some() || (self.version.is_v5() && options.ids != SubscriptionIds::None) {
            return None;
        }
        let version = u32::from(self.version.is_v5());
        Some(Form(DOOR | version << 8 | u32::from(options.retain) << 4 | options.qos as u32))
    }

    fn publish(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) -> Encoded {
        let Frame { message, options, recipient, now } = frame;
        let (packet_id, dup) = match *recipient {
            Recipient::One { seq, again } => (seq.map(circle::id_of), again),
            // A placeholder, to have the right length: it is taken out below.
            Recipient::Each => ((options.qos != QoS::AtMostOnce).then_some(NonZeroU16::MAX), false),
        };
        let ids: Vec<u32> = options.ids.iter().map(std::num::NonZeroU32::get).collect();
        let expiry_secs = message.expires_at.map(|deadline| {
            // MQTT-3.3.2-6: what is left, rounded up so that it is never 0 while it lives.
            let left = deadline.since(*now).as_millis().div_ceil(1000);
            u32::try_from(left).unwrap_or(u32::MAX)
        });
        let mut head = PublishHead {
            topic: &message.topic,
            qos: options.qos,
            dup,
            retain: options.retain,
            packet_id,
            alias: None,
            expiry_secs,
            subscription_ids: &ids,
            properties: message.properties.as_deref(),
        };
        if publish_length(&head, self.version, message.payload.len()) > self.packet_bytes_max as usize {
            return Encoded::TooLarge;
        }
        if let Some(aliases) = &mut self.aliases {
            aliases.apply(
                &message.topic,
                &mut head,
                self.version,
                message.payload.len(),
                self.packet_bytes_max,
            );
        }
        let start = out.len();
        let own_at = encode_publish_head(&head, self.version, message.payload.len(), out);
        if let (Recipient::Each, Some(at)) = (recipient, own_at) {
            let id = start.saturating_add(at);
            out.drain(id..id.saturating_add(2));
        }
        Encoded::Head { own_at }
    }

    fn own(&mut self, seq: Option<u64>, out: &mut Vec<u8>) {
        if let Some(seq) = seq {
            out.extend_from_slice(&circle::id_of(seq).get().to_be_bytes());
        }
    }

    fn release(&mut self, seq: u64, out: &mut Vec<u8>) {
        Packet::PubRel(Ack::success(circle::id_of(seq))).encode(self.version, out);
    }

    fn greet(&mut self, present: bool, out: &mut Vec<u8>) {
        if let Some(mut connack) = self.greeting.take() {
            connack.session_present = present;
            // That it fits was checked before the session was opened.
            Packet::ConnAck(connack).encode(self.version, out);
        }
    }

    fn refuse(&mut self, code: Code, out: &mut Vec<u8>) {
        let packet = Packet::ConnAck(Box::new(ConnAck::refuse(reason_of(code))));
        let _fits = packet.encode_within(self.version, self.packet_bytes_max, out);
    }

    fn farewell(&mut self, code: Code, out: &mut Vec<u8>) {
        let words = Words { text: None, problem_information: self.problem_information, reference: None };
        farewell(self.version, reason_of(code), words, self.packet_bytes_max, out);
    }
}

/// What a DISCONNECT says beside its reason.
#[derive(Debug)]
pub(crate) struct Words {
    pub(crate) text: Option<&'static str>,
    /// Whether the client wants the text (MQTT-3.1.2-29).
    pub(crate) problem_information: bool,
    /// The server to use instead.
    pub(crate) reference: Option<ByteString>,
}

/// Writes a server's DISCONNECT; versions before 5 have none and are just closed.
pub(crate) fn farewell(
    version: Version,
    reason: ReasonCode,
    words: Words,
    packet_bytes_max: u32,
    out: &mut Vec<u8>,
) {
    if !version.is_v5() {
        return;
    }
    let mut disconnect = Disconnect::with_reason(reason);
    disconnect.reason_string = words.text.filter(|_| words.problem_information).map(Into::into);
    disconnect.server_reference = words.reference;
    let _fits = Packet::Disconnect(Box::new(disconnect)).encode_within(version, packet_bytes_max, out);
}

impl Aliases {
    /// Replaces the topic by its number, or introduces the number along with the topic if the frame still fits.
    fn apply<'a>(
        &mut self,
        topic: &'a Topic,
        head: &mut PublishHead<'a>,
        version: Version,
        payload_len: usize,
        packet_bytes_max: u32,
    ) {
        if let Some(alias) = self.known.get(topic) {
            head.alias = Some(*alias);
            head.topic = "";
            return;
        }
        let next = u16::try_from(self.known.len()).ok().and_then(|known| known.checked_add(1));
        let Some(alias) = next.filter(|next| *next <= self.max).and_then(NonZeroU16::new) else { return };
        head.alias = Some(alias);
        if publish_length(head, version, payload_len) > packet_bytes_max as usize {
            head.alias = None;
            return;
        }
        self.known.insert(topic.detached(), alias);
    }
}
