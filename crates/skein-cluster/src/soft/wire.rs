//! Entries of soft state as bytes: for links, and for the hash of a digest. Bytes from a peer never panic.
//!
//! Kinds are only ever added. A key is its kind (u8) and its texts; a value its kind and its fields; integers little-endian.
//! From [`DoorKind::FIRST`] on a key is its kind and one text, and a value its kind and bytes with their length, whatever the
//! kind is: doors bring these, and a node reads over those of doors that it does not have.

use bytes::{BufMut, Bytes, BytesMut};
use skein_types::{
    ClientId, Filter, GroupName, Message, NodeId, QoS, Stamp, SubscriptionFilter, Topic, UserName,
};

use super::mixing;
use crate::{
    Change, Claim, DoorKind, Key, Load, RemoteWill, Value, WillOwner,
    forward::{
        RunError,
        fields::{self, Reader},
    },
};

const ROUTE: u8 = 0;
const GROUP_ROUTE: u8 = 1;
const CLIENT: u8 = 2;
const WILL: u8 = 3;
const LOAD: u8 = 4;

const NONE: u8 = 0;
const MEMBERS: u8 = 1;
const CLAIM: u8 = 2;
const WILL_MESSAGE: u8 = 3;
const LOAD_FIGURES: u8 = 4;
const OF_DOOR: u8 = DoorKind::FIRST;

/// Flags of a claim.
const CLEAN: u8 = 1;
const OF_USER: u8 = 1 << 1;

/// Flags of a will, beside its quality of service.
const RETAIN: u8 = 1 << 2;
const HAS_PROPERTIES: u8 = 1 << 3;
const HAS_EXPIRY: u8 = 1 << 4;
const HAS_USER: u8 = 1 << 5;
const IS_LISTED: u8 = 1 << 6;

/// An entry in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    pub(crate) hash: u64,
    /// How long it is on a link.
    pub(crate) bytes: usize,
}

/// The entry's hash, the same on every node, and its size.
pub(crate) fn fingerprint(key: &Key, value: &Value) -> Fingerprint {
    let mut bytes = BytesMut::with_capacity(64);
    put_entry(&mut bytes, key, value);
    Fingerprint { hash: mixing::hash(&bytes), bytes: bytes.len() }
}

pub(crate) fn put_entry(out: &mut BytesMut, key: &Key, value: &Value) {
    put_key(out, key);
    put_value(out, value);
}

pub(crate) fn put_change(out: &mut BytesMut, change: &Change) {
    put_key(out, &change.key);
    match &change.value {
        Some(value) => put_value(out, value),
        None => out.put_u8(NONE),
    }
}

pub(crate) fn get_entry(reader: &mut Reader) -> Result<(Key, Value), RunError> {
    let key = get_key(reader)?;
    let value = get_value(reader)?.ok_or(RunError("an entry has no value"))?;
    Ok((key, value))
}

pub(crate) fn get_change(reader: &mut Reader) -> Result<Change, RunError> {
    Ok(Change { key: get_key(reader)?, value: get_value(reader)? })
}

fn put_key(out: &mut BytesMut, key: &Key) {
    match key {
        Key::Route(SubscriptionFilter { group: None, filter }) => {
            out.put_u8(ROUTE);
            fields::put_text(out, filter.as_str());
        }
        Key::Route(SubscriptionFilter { group: Some(group), filter }) => {
            out.put_u8(GROUP_ROUTE);
            fields::put_text(out, group);
            fields::put_text(out, filter.as_str());
        }
        Key::Client(client) => {
            out.put_u8(CLIENT);
            fields::put_text(out, client);
        }
        Key::Will(client) => {
            out.put_u8(WILL);
            fields::put_text(out, client);
        }
        Key::Load => out.put_u8(LOAD),
        Key::Door(kind, name) => {
            out.put_u8(kind.number());
            fields::put_text(out, name);
        }
    }
}

fn get_key(reader: &mut Reader) -> Result<Key, RunError> {
    match reader.u8()? {
        ROUTE => Ok(Key::Route(SubscriptionFilter { group: None, filter: get_filter(reader)? })),
        GROUP_ROUTE => {
            let group = Some(GroupName::new(&reader.text()?));
            Ok(Key::Route(SubscriptionFilter { group, filter: get_filter(reader)? }))
        }
        CLIENT => Ok(Key::Client(ClientId::new(&reader.text()?))),
        WILL => Ok(Key::Will(ClientId::new(&reader.text()?))),
        LOAD => Ok(Key::Load),
        kind => match DoorKind::new(kind) {
            Some(kind) => Ok(Key::Door(kind, reader.text()?)),
            None => Err(RunError("the kind of a key is not known")),
        },
    }
}

fn get_filter(reader: &mut Reader) -> Result<Filter, RunError> {
    Filter::new(&reader.text()?).map_err(|_invalid| RunError("a filter is not valid"))
}

fn put_value(out: &mut BytesMut, value: &Value) {
    match value {
        Value::Members(count) => {
            out.put_u8(MEMBERS);
            out.put_u32_le(*count);
        }
        Value::Claim(Claim { stamp, since, user, clean }) => {
            out.put_u8(CLAIM);
            put_stamp(out, *stamp);
            put_stamp(out, *since);
            out.put_u8(bit(*clean, CLEAN) | bit(user.is_some(), OF_USER));
            if let Some(user) = user {
                fields::put_text(out, user);
            }
        }
        Value::Will(will) => {
            out.put_u8(WILL_MESSAGE);
            put_will(out, will);
        }
        Value::Load(Load { clients, sessions, messages_per_sec }) => {
            out.put_u8(LOAD_FIGURES);
            out.put_u32_le(*clients);
            out.put_u32_le(*sessions);
            out.put_u32_le(*messages_per_sec);
        }
        Value::Door(bytes) => {
            out.put_u8(OF_DOOR);
            fields::put_bytes(out, bytes);
        }
    }
}

fn get_value(reader: &mut Reader) -> Result<Option<Value>, RunError> {
    Ok(Some(match reader.u8()? {
        NONE => return Ok(None),
        MEMBERS => Value::Members(reader.u32_le()?),
        CLAIM => Value::Claim(get_claim(reader)?),
        WILL_MESSAGE => Value::Will(Box::new(get_will(reader)?)),
        LOAD_FIGURES => Value::Load(Load {
            clients: reader.u32_le()?,
            sessions: reader.u32_le()?,
            messages_per_sec: reader.u32_le()?,
        }),
        // Kept for long, and must not hold on to all that came with it in one read.
        OF_DOOR => Value::Door(Bytes::copy_from_slice(&reader.bytes()?)),
        _ => return Err(RunError("the kind of a value is not known")),
    }))
}

fn get_claim(reader: &mut Reader) -> Result<Claim, RunError> {
    let (stamp, since) = (get_stamp(reader)?, get_stamp(reader)?);
    let flags = reader.u8()?;
    let user = if flags & OF_USER == 0 { None } else { Some(UserName::new(&reader.text()?)) };
    Ok(Claim { stamp, since, user, clean: flags & CLEAN != 0 })
}

fn put_stamp(out: &mut BytesMut, Stamp { counter, node }: Stamp) {
    out.put_u64_le(counter);
    out.put_u16_le(node.0);
}

fn get_stamp(reader: &mut Reader) -> Result<Stamp, RunError> {
    Ok(Stamp { counter: reader.u64()?, node: NodeId(reader.u16()?) })
}

fn bit(set: bool, bit: u8) -> u8 {
    if set { bit } else { 0 }
}

fn put_will(out: &mut BytesMut, will: &RemoteWill) {
    let RemoteWill { owner, message, expiry_secs, delay_secs } = will;
    let WillOwner { user, is_listed, address, door } = owner;
    out.put_u8(
        message.qos as u8
            | bit(message.retain, RETAIN)
            | bit(message.properties.is_some(), HAS_PROPERTIES)
            | bit(expiry_secs.is_some(), HAS_EXPIRY)
            | bit(user.is_some(), HAS_USER)
            | bit(*is_listed, IS_LISTED),
    );
    if let Some(user) = user {
        fields::put_text(out, user);
    }
    fields::put_text(out, &address.to_string());
    fields::put_text(out, door);
    fields::put_text(out, message.topic.as_str());
    out.put_u32_le(*delay_secs);
    if let Some(expiry) = expiry_secs {
        out.put_u32_le(*expiry);
    }
    if let Some(properties) = &message.properties {
        fields::put_properties(out, properties);
    }
    fields::put_bytes(out, &message.payload);
}

fn get_will(reader: &mut Reader) -> Result<RemoteWill, RunError> {
    let flags = reader.u8()?;
    let qos = QoS::from_u8(flags & 3).ok_or(RunError("the quality of service of a will is 3"))?;
    let user = if flags & HAS_USER == 0 { None } else { Some(UserName::new(&reader.text()?)) };
    let address =
        reader.text()?.parse().map_err(|_invalid| RunError("the address of a will is not valid"))?;
    let door = Box::from(&*reader.text()?);
    let owner = WillOwner { user, is_listed: flags & IS_LISTED != 0, address, door };
    let topic =
        Topic::new(reader.text()?).map_err(|_invalid| RunError("the topic of a will is not valid"))?;
    let delay_secs = reader.u32_le()?;
    let expiry_secs = if flags & HAS_EXPIRY == 0 { None } else { Some(reader.u32_le()?) };
    let properties = if flags & HAS_PROPERTIES == 0 { None } else { Some(Box::new(reader.properties()?)) };
    let payload = reader.bytes()?;
    let retain = flags & RETAIN != 0;
    // A will is kept for long, and must not hold on to all that came with it in one read.
    let message = Message { retain, properties, ..Message::new(topic, payload, qos) }.detached();
    Ok(RemoteWill { owner, message, expiry_secs, delay_secs })
}
