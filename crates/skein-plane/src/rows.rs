//! Between the plane's values and the store's rows, field by field in the order of `schema.rs`.

pub(crate) mod schema;

use std::{
    cell::Cell,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytestring::ByteString;
use skein_access::{Door, Identity, UserSource};
use skein_store::{Key, KeyBuilder, Row, RowFault, RowReader, RowWriter, Time};
use skein_types::{
    ClientId, Message, Moment, NodeId, Properties, QoS, SessionKey, Stamp, SubscriptionFilter, Topic,
    UserName,
};

use crate::{
    retained::Stored,
    stored::SharedRow,
    subscription::{GroupKey, SubscribeOptions},
    will::Will,
    wire::{DeliveryOptions, SubscriptionIds},
};

/// What a thread keeps for the message within a queue entry, which is written for every message of a kept session.
const BODY_BYTES_KEPT: usize = 64 * 1024;

thread_local! {
    static BODY: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A row that the plane did not write like this.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// Its bytes are not those of its class.
    #[error(transparent)]
    Row(#[from] RowFault),
    /// A value is none the plane writes.
    #[error("the field {0} holds a value that no session has")]
    Value(&'static str),
}

/// A session as it is kept.
#[derive(Debug)]
pub(crate) struct SessionRow {
    pub(crate) key: SessionKey,
    /// Who the client is and where it last came from, as access rules ask it.
    pub(crate) identity: Identity,
    pub(crate) expiry_secs: u32,
    /// None while the client was connected.
    pub(crate) expires_at: Option<Time>,
    pub(crate) will: Option<Will>,
    pub(crate) will_at: Option<Time>,
    /// The claim of its last connection.
    pub(crate) claimed: Stamp,
    /// The claim by which its user got the client id.
    pub(crate) owned_since: Stamp,
}

/// An entry of a session's queue as it is kept.
#[derive(Debug)]
pub(crate) struct QueueRow {
    pub(crate) session: SessionKey,
    pub(crate) seq: u64,
    pub(crate) options: DeliveryOptions,
    pub(crate) sent: bool,
    pub(crate) released: bool,
    pub(crate) shared_filter: Option<SubscriptionFilter>,
    pub(crate) body: Body,
}

/// Where the message of a queue entry is.
#[derive(Debug)]
pub(crate) enum Body {
    /// The client has it.
    None,
    /// In a row of its own, shared by several sessions.
    Shared(u64),
    /// In the entry.
    Own(Message),
}

/// What a queue entry says beside its message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueEntry<'a> {
    pub(crate) session: SessionKey,
    pub(crate) seq: u64,
    pub(crate) options: &'a DeliveryOptions,
    pub(crate) sent: bool,
    pub(crate) group: Option<&'a GroupKey>,
}

pub(crate) fn session_key(session: SessionKey) -> Key {
    let mut key = KeyBuilder::new();
    key.push_u64(session.0);
    key.finish()
}

pub(crate) fn subscription_key(session: SessionKey, filter: &SubscriptionFilter) -> Key {
    let mut key = KeyBuilder::new();
    key.push_u64(session.0);
    key.push_str(&filter.to_string());
    key.finish()
}

pub(crate) fn queue_key(session: SessionKey, seq: u64) -> Key {
    let mut key = KeyBuilder::new();
    key.push_u64(session.0);
    key.push_u64(seq);
    key.finish()
}

pub(crate) fn message_key(id: u64) -> Key {
    let mut key = KeyBuilder::new();
    key.push_u64(id);
    key.finish()
}

pub(crate) fn inbound_key(session: SessionKey, id: u64) -> Key {
    let mut key = KeyBuilder::new();
    key.push_u64(session.0);
    key.push_u64(id);
    key.finish()
}

pub(crate) fn retained_key(topic: &Topic) -> Key {
    let mut key = KeyBuilder::new();
    key.push_str(topic.as_str());
    key.finish()
}

pub(crate) fn message_row(id: u64, message: &Message, clock: WallClock) -> Row {
    Row::encode(|row| write_message(row, id, message, clock))
}

pub(crate) fn retained_row(Stored { message, version }: &Stored, clock: WallClock) -> Row {
    let body = message_row(0, message, clock);
    Row::encode(|row| {
        row.str(message.topic.as_str());
        row.bytes(&body);
        write_stamp(row, *version);
    })
}

pub(crate) fn inbound_row(session: SessionKey, id: u64) -> Row {
    Row::encode(|row| {
        row.unsigned(session.0);
        row.unsigned(id);
    })
}

pub(crate) fn subscription_row(
    session: SessionKey,
    filter: &SubscriptionFilter,
    options: &SubscribeOptions,
) -> Row {
    Row::encode(|row| {
        row.unsigned(session.0);
        row.str(&filter.to_string());
        row.u8(options.qos as u8);
        row.bool(options.no_local);
        row.bool(options.retain_as_published);
        optional(row, options.id, |row, id| row.unsigned(u64::from(id.get())));
    })
}

pub(crate) fn session_row(session: &SessionRow, clock: WallClock) -> Row {
    let will = session.will.as_ref().map(|will| message_row(0, &will.message, clock));
    Row::encode(|row| {
        let Identity { user, source, roles, client_id, address, door } = &session.identity;
        row.unsigned(session.key.0);
        row.str(client_id);
        optional(row, user.as_deref(), |row, user| row.str(user));
        row.bool(*source == UserSource::List);
        row.count(roles.len());
        roles.iter().for_each(|role| row.str(role));
        row.str(door.name());
        row.str(&address.to_string());
        row.unsigned(u64::from(session.expiry_secs));
        optional(row, session.expires_at, |row, at| row.time(at));
        optional(row, will.as_ref(), |row, will| row.bytes(will));
        let expiry = session.will.as_ref().and_then(|will| will.expiry_secs);
        optional(row, expiry, |row, secs| row.unsigned(u64::from(secs)));
        row.unsigned(session.will.as_ref().map_or(0, |will| u64::from(will.delay_secs)));
        optional(row, session.will_at, |row, at| row.time(at));
        write_stamp(row, session.claimed);
        write_stamp(row, session.owned_since);
    })
}

/// An entry with its message in it.
pub(crate) fn queue_row_with_body(entry: &QueueEntry<'_>, message: &Message, clock: WallClock) -> Row {
    let mut body = BODY.take();
    body.clear();
    write_message(&mut RowWriter::new(&mut body), 0, message, clock);
    let row = Row::encode(|row| {
        write_entry(row, entry, false);
        row.absent();
        row.present();
        row.bytes(&body);
    });
    if body.capacity() <= BODY_BYTES_KEPT {
        BODY.set(body);
    }
    row
}

/// An entry that refers to a message in a row of its own.
pub(crate) fn queue_row_with_reference(entry: &QueueEntry<'_>, message: u64) -> Row {
    Row::encode(|row| {
        write_entry(row, entry, false);
        row.present();
        row.unsigned(message);
        row.absent();
    })
}

/// An entry whose message the client has.
pub(crate) fn queue_row_released(session: SessionKey, seq: u64) -> Row {
    let options = DeliveryOptions { qos: QoS::ExactlyOnce, retain: false, ids: SubscriptionIds::None };
    Row::encode(|row| {
        let entry = QueueEntry { session, seq, options: &options, sent: true, group: None };
        write_entry(row, &entry, true);
        row.absent();
        row.absent();
    })
}

fn write_entry(row: &mut RowWriter<'_>, entry: &QueueEntry<'_>, released: bool) {
    let QueueEntry { session, seq, options, sent, group } = *entry;
    row.unsigned(session.0);
    row.unsigned(seq);
    row.u8(options.qos as u8);
    row.bool(options.retain);
    row.bool(sent);
    row.bool(released);
    row.count(options.ids.iter().count());
    options.ids.iter().for_each(|id| row.unsigned(u64::from(id.get())));
    optional(row, group, |row, group| row.str(&group.to_string()));
}

fn write_message(row: &mut RowWriter<'_>, id: u64, message: &Message, clock: WallClock) {
    row.unsigned(id);
    row.str(message.topic.as_str());
    row.bytes(&message.payload);
    row.u8(message.qos as u8);
    row.bool(message.retain);
    optional(row, message.expires_at, |row, at| row.time(clock.time_of(at)));
    row.unsigned(message.origin.0);
    let none = Properties::default();
    let properties = message.properties.as_deref().unwrap_or(&none);
    optional(row, properties.payload_is_utf8, |row, is| row.bool(is));
    optional(row, properties.content_type.as_ref(), |row, text| row.str(text));
    optional(row, properties.response_topic.as_ref(), |row, topic| row.str(topic.as_str()));
    optional(row, properties.correlation_data.as_ref(), |row, data| row.bytes(data));
    row.count(properties.user.len() * 2);
    for (name, value) in &properties.user {
        row.str(name);
        row.str(value);
    }
}

pub(crate) fn read_session(row: &Row, clock: WallClock) -> Result<SessionRow, RowError> {
    let mut row = RowReader::new(row)?;
    let key = SessionKey(row.unsigned()?);
    let identity = read_identity(&mut row)?;
    let expiry_secs = row.unsigned()?;
    let expires_at = read_optional(&mut row, |row| Ok(row.time()?))?;
    let will = read_optional(&mut row, |row| read_message(&Row::from_bytes(row.bytes()?), clock))?;
    let will_expiry_secs = read_optional(&mut row, |row| Ok(row.unsigned()?))?;
    let delay_secs = row.unsigned()?;
    let will_at = read_optional(&mut row, |row| Ok(row.time()?))?;
    let will = will.map(|(_, message)| Will { message, expiry_secs: will_expiry_secs, delay_secs });
    let (claimed, owned_since) = (read_stamp(&mut row)?, read_stamp(&mut row)?);
    Ok(SessionRow { key, identity, expiry_secs, expires_at, will, will_at, claimed, owned_since })
}

fn write_stamp(row: &mut RowWriter<'_>, Stamp { counter, node }: Stamp) {
    row.unsigned(counter);
    row.unsigned(u64::from(node.0));
}

/// The stamp that comes next. Rows of before end here; what they are about was before all that has one.
fn read_stamp(row: &mut RowReader<'_>) -> Result<Stamp, RowError> {
    match row.is_at_end() {
        true => Ok(Stamp::default()),
        false => Ok(Stamp { counter: row.unsigned()?, node: NodeId(row.unsigned()?) }),
    }
}

fn read_identity(row: &mut RowReader<'_>) -> Result<Identity, RowError> {
    let client_id = ClientId::new(row.str()?);
    let user = read_optional(row, |row| Ok(UserName::new(row.str()?)))?;
    let source = if row.bool()? { UserSource::List } else { UserSource::Outside };
    let mut roles = Vec::new();
    for _ in 0..row.count()? {
        roles.push(row.str()?.to_owned());
    }
    let door = row.str()?;
    let door = Door::ALL.iter().find(|known| known.name() == door).copied().ok_or(RowError::Value("door"))?;
    let address = row.str()?.parse().map_err(|_invalid| RowError::Value("address"))?;
    Ok(Identity { user, source, roles: roles.into(), client_id, address, door })
}

pub(crate) fn read_subscription(
    row: &Row,
) -> Result<(SessionKey, SubscriptionFilter, SubscribeOptions), RowError> {
    let mut row = RowReader::new(row)?;
    let session = SessionKey(row.unsigned()?);
    let filter = read_filter(&mut row)?;
    let qos = read_qos(&mut row)?;
    let (no_local, retain_as_published) = (row.bool()?, row.bool()?);
    let id = read_optional(&mut row, read_id)?;
    let options = SubscribeOptions { qos, no_local, retain_as_published, id, partly_allowed: false };
    Ok((session, filter, options))
}

pub(crate) fn read_queue(row: &Row, clock: WallClock) -> Result<QueueRow, RowError> {
    let mut row = RowReader::new(row)?;
    let (session, seq) = (SessionKey(row.unsigned()?), row.unsigned()?);
    let qos = read_qos(&mut row)?;
    let (retain, sent, released) = (row.bool()?, row.bool()?, row.bool()?);
    let mut ids = SubscriptionIds::None;
    for _ in 0..row.count()? {
        ids = ids.with(read_id(&mut row)?);
    }
    let shared_filter = read_optional(&mut row, read_filter)?;
    let reference = read_optional(&mut row, |row| Ok(row.unsigned()?))?;
    let own = read_optional(&mut row, |row| read_message(&Row::from_bytes(row.bytes()?), clock))?;
    let body = match (reference, own) {
        (Some(id), _) => Body::Shared(id),
        (None, Some((_, message))) => Body::Own(message),
        (None, None) => Body::None,
    };
    let options = DeliveryOptions { qos, retain, ids };
    Ok(QueueRow { session, seq, options, sent, released, shared_filter, body })
}

pub(crate) fn read_inbound(row: &Row) -> Result<(SessionKey, u64), RowError> {
    let mut row = RowReader::new(row)?;
    Ok((SessionKey(row.unsigned()?), row.unsigned()?))
}

pub(crate) fn read_retained(row: &Row, clock: WallClock) -> Result<(Message, Stamp), RowError> {
    let mut row = RowReader::new(row)?;
    row.str()?;
    let (_, message) = read_message(&Row::from_bytes(row.bytes()?), clock)?;
    Ok((message, read_stamp(&mut row)?))
}

/// The id and the message of a row. Payload and texts share the row's bytes.
pub(crate) fn read_message(row: &Row, clock: WallClock) -> Result<(u64, Message), RowError> {
    let mut row = RowReader::new(row)?;
    let id = row.unsigned()?;
    let topic = read_topic(&mut row)?;
    let payload = row.bytes()?;
    let qos = read_qos(&mut row)?;
    let retain = row.bool()?;
    let expires_at = read_optional(&mut row, |row| Ok(clock.moment_of(row.time()?)))?;
    let origin = SessionKey(row.unsigned()?);
    let mut properties = Properties {
        payload_is_utf8: read_optional(&mut row, |row| Ok(row.bool()?))?,
        content_type: read_optional(&mut row, read_text)?,
        response_topic: read_optional(&mut row, read_topic)?,
        correlation_data: read_optional(&mut row, |row| Ok(row.bytes()?))?,
        user: Vec::new(),
    };
    for _ in 0..row.count()? / 2 {
        properties.user.push((read_text(&mut row)?, read_text(&mut row)?));
    }
    let properties = (!properties.is_empty()).then(|| Box::new(properties));
    Ok((id, Message { topic, payload, qos, retain, expires_at, origin, properties, padding: 0 }))
}

fn optional<T>(row: &mut RowWriter<'_>, value: Option<T>, write: impl FnOnce(&mut RowWriter<'_>, T)) {
    match value {
        None => row.absent(),
        Some(value) => {
            row.present();
            write(row, value);
        }
    }
}

fn read_optional<T>(
    row: &mut RowReader<'_>,
    read: impl FnOnce(&mut RowReader<'_>) -> Result<T, RowError>,
) -> Result<Option<T>, RowError> {
    Ok(if row.present()? { Some(read(row)?) } else { None })
}

fn read_text(row: &mut RowReader<'_>) -> Result<ByteString, RowError> {
    ByteString::try_from(row.bytes()?).map_err(|_not_utf8| RowError::Value("text"))
}

fn read_topic(row: &mut RowReader<'_>) -> Result<Topic, RowError> {
    Topic::new(read_text(row)?).map_err(|_invalid| RowError::Value("topic"))
}

fn read_filter(row: &mut RowReader<'_>) -> Result<SubscriptionFilter, RowError> {
    SubscriptionFilter::new(row.str()?).map_err(|_invalid| RowError::Value("filter"))
}

fn read_qos(row: &mut RowReader<'_>) -> Result<QoS, RowError> {
    QoS::from_u8(row.u8()?).ok_or(RowError::Value("qos"))
}

fn read_id(row: &mut RowReader<'_>) -> Result<NonZeroU32, RowError> {
    NonZeroU32::new(row.unsigned()?).ok_or(RowError::Value("subscription id"))
}

/// What rows are written with.
#[derive(Debug)]
pub(crate) struct RowContext {
    pub(crate) clock: WallClock,
    /// Number of the last message with a row of its own.
    pub(crate) last_message: AtomicU64,
}

impl RowContext {
    pub(crate) fn new(clock: WallClock) -> Self {
        Self { clock, last_message: AtomicU64::new(0) }
    }

    /// A new row for a message that so many sessions refer to.
    pub(crate) fn new_shared_row(&self, references: usize) -> Arc<SharedRow> {
        SharedRow::new(self.last_message.fetch_add(1, Relaxed) + 1, references)
    }
}

/// The wall clock at the node's start. Moments of this run are counted from there, so that a clock that is set while
/// the node runs changes no deadline.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    zero: Time,
}

impl WallClock {
    /// A clock for a node whose moment zero was at `zero`.
    #[must_use]
    pub fn new(zero: Time) -> Self {
        Self { zero }
    }
}

impl WallClock {
    pub(crate) fn time_of(self, moment: Moment) -> Time {
        let micros = i64::try_from(moment.as_millis()).unwrap_or(i64::MAX).saturating_mul(1000);
        Time(self.zero.0.saturating_add(micros))
    }

    /// The moment of a time; one before the node started is its start.
    pub(crate) fn moment_of(self, time: Time) -> Moment {
        let micros = time.0.saturating_sub(self.zero.0).max(0);
        if time.0 == i64::MAX { Moment::NEVER } else { Moment::from_millis(micros.unsigned_abs() / 1000) }
    }
}
