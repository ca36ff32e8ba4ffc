//! Messages on their way to another node: a run of one topic, encoded once for all peers it goes to.
//!
//! Layout, integers little-endian, lengths in seven bits a byte (the lowest first, the highest bit says that more follow):
//! flags (u8: QoS in bits 0-1, retain 2, has version 3, has group 4), topic (length, bytes), version (u64 counter, u16 node)
//! if any, group (filter: length, bytes; name: length, bytes; ticket: u64) if any, then for each message: what it has (u8:
//! expiry 0, properties 1), remaining life in milliseconds (u64) if any, properties if any, payload (length, bytes). Bits
//! that mean nothing are refused, so that a run has one form only. Bytes from a peer never panic.

pub(crate) mod fields;

use bytes::{BufMut, Bytes, BytesMut};
use skein_types::{ByteString, Filter, GroupName, Message, Moment, NodeId, QoS, Stamp, Topic};

use self::fields::Reader;

const RETAIN: u8 = 1 << 2;
const HAS_VERSION: u8 = 1 << 3;
const HAS_GROUP: u8 = 1 << 4;
const HAS_EXPIRY: u8 = 1;
const HAS_PROPERTIES: u8 = 1 << 1;

/// A run in the form in which it crosses links.
#[derive(Clone, Debug)]
pub struct EncodedRun {
    /// The bytes.
    pub bytes: Bytes,
    /// How many messages.
    pub messages: u32,
    /// Whether it is numbered and kept until the peer has handled it.
    pub kept: bool,
}

/// The one member a message is for: of this group, chosen by the receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupTarget {
    /// What the group subscribes to.
    pub filter: Filter,
    /// Its name.
    pub name: GroupName,
    /// What the publisher's node keeps the message under until the member has acknowledged it; 0: it does not keep it.
    pub ticket: u64,
}

/// A run as it arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardedRun {
    /// The messages, on one topic, of one quality of service and retain flag.
    pub messages: Vec<Message>,
    /// The version under which the last of them is retained, for retained ones.
    pub version: Option<Stamp>,
    /// The group it is for; none: every session that subscribes by itself.
    pub group: Option<GroupTarget>,
}

/// The bytes are no run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a run of messages cannot be read: {0}")]
pub struct RunError(pub &'static str);

/// Encodes one run.
#[derive(Debug)]
pub struct RunEncoder {
    out: BytesMut,
    messages: u32,
    kept: bool,
    now: Moment,
}

impl RunEncoder {
    /// Begins a run with what its messages have in common, which `first` shows.
    #[must_use]
    pub fn new(first: &Message, version: Option<Stamp>, group: Option<&GroupTarget>, now: Moment) -> Self {
        let mut out = BytesMut::with_capacity(first.topic.len() + first.payload.len() + 64);
        let mut flags = first.qos as u8;
        flags |= if first.retain { RETAIN } else { 0 };
        flags |= if version.is_some() { HAS_VERSION } else { 0 };
        flags |= if group.is_some() { HAS_GROUP } else { 0 };
        out.put_u8(flags);
        fields::put_text(&mut out, first.topic.as_str());
        if let Some(Stamp { counter, node }) = version {
            out.put_u64_le(counter);
            out.put_u16_le(node.0);
        }
        if let Some(GroupTarget { filter, name, ticket }) = group {
            fields::put_text(&mut out, filter.as_str());
            fields::put_text(&mut out, name);
            out.put_u64_le(*ticket);
        }
        let kept = first.qos != QoS::AtMostOnce || first.retain;
        Self { out, messages: 0, kept, now }
    }

    /// Adds a message.
    pub fn push(&mut self, message: &Message) {
        self.messages += 1;
        let expiry = message.expires_at.map(|deadline| deadline.since(self.now).as_millis());
        let mut has = if expiry.is_some() { HAS_EXPIRY } else { 0 };
        has |= if message.properties.is_some() { HAS_PROPERTIES } else { 0 };
        self.out.put_u8(has);
        if let Some(millis) = expiry {
            self.out.put_u64_le(u64::try_from(millis).unwrap_or(u64::MAX));
        }
        if let Some(properties) = &message.properties {
            fields::put_properties(&mut self.out, properties);
        }
        fields::put_bytes(&mut self.out, &message.payload);
    }

    /// The run.
    #[must_use]
    pub fn finish(self) -> EncodedRun {
        EncodedRun { bytes: self.out.freeze(), messages: self.messages, kept: self.kept }
    }
}

impl ForwardedRun {
    /// Reads a run; payloads share its memory.
    ///
    /// # Errors
    /// The bytes are no run.
    pub fn decode(bytes: Bytes, now: Moment) -> Result<Self, RunError> {
        let mut reader = Reader::new(bytes);
        let flags = reader.u8()?;
        if flags >= HAS_GROUP << 1 {
            return Err(RunError("its flags are not known"));
        }
        let qos = QoS::from_u8(flags & 3).ok_or(RunError("its quality of service is 3"))?;
        let topic = Topic::new(reader.text()?).map_err(|_invalid| RunError("its topic is not valid"))?;
        let version = match flags & HAS_VERSION {
            0 => None,
            _ => Some(Stamp { counter: reader.u64()?, node: NodeId(reader.u16()?) }),
        };
        let group = if flags & HAS_GROUP == 0 { None } else { Some(reader.group()?) };
        let mut messages = Vec::new();
        while !reader.is_empty() {
            let has = reader.u8()?;
            if has > HAS_EXPIRY | HAS_PROPERTIES {
                return Err(RunError("a message has what is not known"));
            }
            let life = if has & HAS_EXPIRY == 0 { None } else { Some(reader.u64()?) };
            let properties =
                if has & HAS_PROPERTIES == 0 { None } else { Some(Box::new(reader.properties()?)) };
            let payload = reader.bytes()?;
            let expires_at = life.map(|millis| now.after(std::time::Duration::from_millis(millis)));
            let retain = flags & RETAIN != 0;
            messages.push(Message {
                retain,
                expires_at,
                properties,
                ..Message::new(topic.clone(), payload, qos)
            });
        }
        Ok(Self { messages, version, group })
    }
}

impl Reader {
    fn group(&mut self) -> Result<GroupTarget, RunError> {
        let filter = self.text()?;
        let filter =
            Filter::new(&filter).map_err(|_invalid| RunError("the filter of its group is not valid"))?;
        let name: ByteString = self.text()?;
        Ok(GroupTarget { filter, name: GroupName::new(&name), ticket: self.u64()? })
    }
}
