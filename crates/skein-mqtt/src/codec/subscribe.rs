//! SUBSCRIBE and UNSUBSCRIBE (MQTT 5.0 sections 3.8 and 3.10).

use std::num::{NonZeroU16, NonZeroU32};

use bytes::Bytes;
use skein_types::{QoS, SubscriptionFilter};

use super::{
    DecodeError, Version,
    property::{self, PropertyReader, UserProperties, foreign},
    reader::Reader,
    sink::{self, Sink},
};

const NO_LOCAL: u8 = 0x04;
const RETAIN_AS_PUBLISHED: u8 = 0x08;
const RETAIN_HANDLING_SHIFT: u32 = 4;

/// Asks for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// What the SUBACK repeats.
    pub packet_id: NonZeroU16,
    /// What deliveries for these subscriptions carry, 1 to 268,435,455.
    pub subscription_id: Option<NonZeroU32>,
    /// Pairs of the client's own.
    pub user: UserProperties,
    /// At least one filter with its options.
    pub items: Vec<SubscribeItem>,
}

/// One filter of a SUBSCRIBE and its options (MQTT 5.0 section 3.8.3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribeItem {
    /// What to match, and through which group.
    pub filter: SubscriptionFilter,
    /// Highest quality of service to deliver with.
    pub qos: QoS,
    /// Whether the client's own messages stay away (MQTT-3.8.3-3).
    pub no_local: bool,
    /// Whether deliveries keep the publisher's retain flag (MQTT-3.3.1-13).
    pub retain_as_published: bool,
    /// What happens to retained messages now.
    pub retain_handling: RetainHandling,
}

/// Whether subscribing brings retained messages (MQTT-3.3.1-9 to -11).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RetainHandling {
    /// Always, as before version 5.
    #[default]
    Send = 0,
    /// When the subscription did not exist yet.
    SendIfNew = 1,
    /// Never.
    DoNotSend = 2,
}

/// Gives up subscriptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe {
    /// What the UNSUBACK repeats.
    pub packet_id: NonZeroU16,
    /// Pairs of the client's own.
    pub user: UserProperties,
    /// At least one filter, compared character by character (MQTT-3.10.4-1).
    pub filters: Vec<SubscriptionFilter>,
}

impl SubscribeItem {
    /// A subscription with the options of 3.1.1.
    #[must_use]
    pub const fn new(filter: SubscriptionFilter, qos: QoS) -> Self {
        Self {
            filter,
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Send,
        }
    }
}

pub(super) fn decode(frame: &Bytes, header_len: usize, version: Version) -> Result<Subscribe, DecodeError> {
    let mut packet = Reader::new(frame, header_len);
    let packet_id = packet.packet_id()?;
    let (mut subscription_id, mut user) = (None, Vec::new());
    if version.is_v5() {
        let mut properties = PropertyReader::new(&mut packet)?;
        while let Some(id) = properties.next_id()? {
            match id {
                property::SUBSCRIPTION_ID if subscription_id.is_none() => {
                    subscription_id = NonZeroU32::new(properties.subscription_id()?);
                }
                property::SUBSCRIPTION_ID => return Err(DecodeError::protocol("a property comes twice")),
                property::USER => user.push(properties.value().pair()?),
                _ => return Err(foreign(id)),
            }
        }
    }
    if packet.is_empty() {
        // MQTT-3.8.3-2.
        return Err(DecodeError::protocol("a SUBSCRIBE has no filter"));
    }
    let mut items = Vec::new();
    while !packet.is_empty() {
        let filter = decode_filter(&mut packet)?;
        items.push(decode_item(filter, packet.u8()?, version)?);
    }
    Ok(Subscribe { packet_id, subscription_id, user, items })
}

fn decode_filter(packet: &mut Reader<'_>) -> Result<SubscriptionFilter, DecodeError> {
    let text = packet.string()?;
    // MQTT-4.7.1-1 and -2, MQTT-4.7.3-1, MQTT-4.8.2-1 and -2.
    SubscriptionFilter::new(&text).or(Err(DecodeError::malformed("a topic filter is not valid")))
}

fn decode_item(
    filter: SubscriptionFilter,
    options: u8,
    version: Version,
) -> Result<SubscribeItem, DecodeError> {
    // MQTT 3.1 section 3.8 does not use the upper six bits, 3.1.1 reserved them.
    let (reserved, options) = match version {
        Version::V31 => (0, options & 0b11),
        Version::V311 => (0xFC, options),
        Version::V5 => (0xC0, options),
    };
    if options & reserved != 0 {
        // MQTT-3.8.3-5; in 3.1.1 MQTT-3-8.3-4.
        return Err(DecodeError::malformed("the reserved subscription options must be 0"));
    }
    let Some(qos) = QoS::from_u8(options & 0b11) else {
        return Err(if version.is_v5() {
            DecodeError::protocol("a subscription asks for QoS 3")
        } else {
            DecodeError::malformed("a subscription asks for QoS 3")
        });
    };
    let retain_handling = match options >> RETAIN_HANDLING_SHIFT & 0b11 {
        0 => RetainHandling::Send,
        1 => RetainHandling::SendIfNew,
        2 => RetainHandling::DoNotSend,
        _ => return Err(DecodeError::protocol("a subscription has retain handling 3")),
    };
    let no_local = options & NO_LOCAL != 0;
    if no_local && filter.group.is_some() {
        // MQTT-3.8.3-4.
        return Err(DecodeError::protocol("a shared subscription must not ask for no local"));
    }
    let retain_as_published = options & RETAIN_AS_PUBLISHED != 0;
    Ok(SubscribeItem { filter, qos, no_local, retain_as_published, retain_handling })
}

pub(super) fn decode_unsubscribe(
    frame: &Bytes,
    header_len: usize,
    version: Version,
) -> Result<Unsubscribe, DecodeError> {
    let mut packet = Reader::new(frame, header_len);
    let packet_id = packet.packet_id()?;
    let mut user = Vec::new();
    if version.is_v5() {
        let mut properties = PropertyReader::new(&mut packet)?;
        while let Some(id) = properties.next_id()? {
            match id {
                property::USER => user.push(properties.value().pair()?),
                _ => return Err(foreign(id)),
            }
        }
    }
    if packet.is_empty() {
        // MQTT-3.10.3-2.
        return Err(DecodeError::protocol("an UNSUBSCRIBE has no filter"));
    }
    let mut filters = Vec::new();
    while !packet.is_empty() {
        filters.push(decode_filter(&mut packet)?);
    }
    Ok(Unsubscribe { packet_id, user, filters })
}

/// Writes everything after the fixed header.
pub(super) fn write(subscribe: &Subscribe, version: Version, sink: &mut dyn Sink) {
    sink.u16(subscribe.packet_id.get());
    if version.is_v5() {
        sink::properties(sink, |sink| {
            if let Some(id) = subscribe.subscription_id {
                sink.u8(property::SUBSCRIPTION_ID);
                sink.varint(id.get() as usize);
            }
            property::write_user(&subscribe.user, sink);
        });
    }
    for item in &subscribe.items {
        write_filter(&item.filter, sink);
        sink.u8(item.options(version));
    }
}

impl SubscribeItem {
    fn options(&self, version: Version) -> u8 {
        let qos = self.qos as u8;
        if !version.is_v5() {
            return qos;
        }
        let set = |flag: u8, is_set: bool| if is_set { flag } else { 0 };
        qos | set(NO_LOCAL, self.no_local)
            | set(RETAIN_AS_PUBLISHED, self.retain_as_published)
            | (self.retain_handling as u8) << RETAIN_HANDLING_SHIFT
    }
}

/// Writes everything after the fixed header.
pub(super) fn write_unsubscribe(unsubscribe: &Unsubscribe, version: Version, sink: &mut dyn Sink) {
    sink.u16(unsubscribe.packet_id.get());
    if version.is_v5() {
        sink::properties(sink, |sink| property::write_user(&unsubscribe.user, sink));
    }
    for filter in &unsubscribe.filters {
        write_filter(filter, sink);
    }
}

fn write_filter(filter: &SubscriptionFilter, sink: &mut dyn Sink) {
    match &filter.group {
        None => sink.string(&filter.filter),
        Some(_) => sink.string(&filter.to_string()),
    }
}
