//! CONNACK: the server's answer to a CONNECT (MQTT 5.0 section 3.2).

use bytes::Bytes;
use bytestring::ByteString;
use skein_types::QoS;

use super::{
    DecodeError, ReasonCode, Side, Version,
    frame::PacketType,
    property::{self, Detail, PropertyReader, UserProperties, foreign},
    reader::Reader,
    sink::{self, Sink},
};

/// The server's answer to a CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnAck {
    /// Whether an earlier session goes on; never written together with an error (MQTT-3.2.2-6) or in 3.1.
    pub session_present: bool,
    /// Success, or why the connection is refused.
    pub reason: ReasonCode,
    /// What the server grants and demands; version 5 only.
    pub properties: ConnAckProperties,
}

/// Properties of a CONNACK (MQTT 5.0 section 3.2.2.3). The default is what their absence means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnAckProperties {
    /// The session expiry the server uses instead of the one asked for.
    pub session_expiry_secs: Option<u32>,
    /// QoS 1 and 2 messages the server takes at once; absent means 65,535.
    pub receive_maximum: Option<u16>,
    /// Highest quality of service a PUBLISH may have.
    pub qos_max: QoS,
    /// Whether messages can be retained.
    pub retain_available: bool,
    /// Largest packet the server takes.
    pub packet_bytes_max: Option<u32>,
    /// The client id the server found for a client without one (MQTT-3.1.3-7).
    pub assigned_client_id: Option<ByteString>,
    /// Highest topic alias the server takes; 0 for none.
    pub topic_alias_maximum: u16,
    /// What happened, in words.
    pub reason_string: Option<ByteString>,
    /// Pairs of the server's own.
    pub user: UserProperties,
    /// Whether filters may have wildcards.
    pub wildcard_available: bool,
    /// Whether subscriptions may have identifiers.
    pub subscription_ids_available: bool,
    /// Whether subscriptions may be shared.
    pub shared_available: bool,
    /// The keep alive the client has to use instead of its own (MQTT-3.1.2-21).
    pub keep_alive_secs: Option<u16>,
    /// Where response topics may lie.
    pub response_information: Option<ByteString>,
    /// The server to use instead.
    pub server_reference: Option<ByteString>,
    /// The method of extended authentication.
    pub authentication_method: Option<ByteString>,
    /// Its last data.
    pub authentication_data: Option<Bytes>,
}

impl Default for ConnAckProperties {
    fn default() -> Self {
        Self {
            session_expiry_secs: None,
            receive_maximum: None,
            qos_max: QoS::ExactlyOnce,
            retain_available: true,
            packet_bytes_max: None,
            assigned_client_id: None,
            topic_alias_maximum: 0,
            reason_string: None,
            user: Vec::new(),
            wildcard_available: true,
            subscription_ids_available: true,
            shared_available: true,
            keep_alive_secs: None,
            response_information: None,
            server_reference: None,
            authentication_method: None,
            authentication_data: None,
        }
    }
}

impl ConnAck {
    /// A refusal that says why and nothing else.
    #[must_use]
    pub fn refuse(reason: ReasonCode) -> Self {
        Self { session_present: false, reason, properties: ConnAckProperties::default() }
    }

    /// Bytes of the whole packet.
    #[must_use]
    pub fn encoded_len(&self, version: Version) -> usize {
        sink::frame_len(sink::length_of(|sink| write(self, version, Detail::All, sink)))
    }
}

pub(super) fn decode(frame: &Bytes, header_len: usize, version: Version) -> Result<ConnAck, DecodeError> {
    let mut packet = Reader::new(frame, header_len);
    let flags = packet.u8()?;
    // MQTT-3.2.2-1; in 3.1 the whole byte is reserved and not used.
    if flags > 1 && version != Version::V31 {
        return Err(DecodeError::malformed("the reserved flags of a CONNACK must be 0"));
    }
    let session_present = flags & 1 != 0 && version != Version::V31;
    let code = packet.u8()?;
    let reason = if version.is_v5() {
        ReasonCode::from_u8(code).filter(|reason| reason.is_allowed(PacketType::ConnAck, Side::Server))
    } else {
        ReasonCode::from_connect_return_code(code)
    };
    let reason =
        reason.ok_or(DecodeError::protocol("a CONNACK has a reason code that is not one of its own"))?;
    if session_present && reason.is_error() {
        // MQTT-3.2.2-6.
        return Err(DecodeError::protocol("a refusing CONNACK says that a session is present"));
    }
    let properties =
        if version.is_v5() { decode_properties(&mut packet)? } else { ConnAckProperties::default() };
    packet.finish()?;
    Ok(ConnAck { session_present, reason, properties })
}

fn decode_properties(packet: &mut Reader<'_>) -> Result<ConnAckProperties, DecodeError> {
    let mut properties = PropertyReader::new(packet)?;
    let mut ack = ConnAckProperties::default();
    while let Some(id) = properties.next_id()? {
        match id {
            property::SESSION_EXPIRY => ack.session_expiry_secs = Some(properties.value().u32()?),
            property::RECEIVE_MAXIMUM => {
                ack.receive_maximum = Some(properties.positive_u16("the receive maximum is 0")?);
            }
            property::MAXIMUM_QOS => {
                ack.qos_max = if properties.flag()? { QoS::AtLeastOnce } else { QoS::AtMostOnce };
            }
            property::RETAIN_AVAILABLE => ack.retain_available = properties.flag()?,
            property::MAXIMUM_PACKET_SIZE => {
                ack.packet_bytes_max = Some(properties.positive_u32("the maximum packet size is 0")?);
            }
            property::ASSIGNED_CLIENT_ID => ack.assigned_client_id = Some(properties.value().string()?),
            property::TOPIC_ALIAS_MAXIMUM => ack.topic_alias_maximum = properties.value().u16()?,
            property::REASON_STRING => ack.reason_string = Some(properties.value().string()?),
            property::USER => ack.user.push(properties.value().pair()?),
            property::WILDCARD_AVAILABLE => ack.wildcard_available = properties.flag()?,
            property::SUBSCRIPTION_ID_AVAILABLE => ack.subscription_ids_available = properties.flag()?,
            property::SHARED_AVAILABLE => ack.shared_available = properties.flag()?,
            property::SERVER_KEEP_ALIVE => ack.keep_alive_secs = Some(properties.value().u16()?),
            property::RESPONSE_INFORMATION => ack.response_information = Some(properties.value().string()?),
            property::SERVER_REFERENCE => ack.server_reference = Some(properties.value().string()?),
            property::AUTHENTICATION_METHOD => ack.authentication_method = Some(properties.value().string()?),
            property::AUTHENTICATION_DATA => ack.authentication_data = Some(properties.value().data()?),
            _ => return Err(foreign(id)),
        }
    }
    Ok(ack)
}

/// Writes everything after the fixed header.
pub(super) fn write(ack: &ConnAck, version: Version, detail: Detail, sink: &mut dyn Sink) {
    sink.u8(u8::from(ack.session_present && !ack.reason.is_error() && version != Version::V31));
    if version.is_v5() {
        sink.u8(ack.reason.value());
        sink::properties(sink, |sink| write_properties(&ack.properties, detail, sink));
    } else {
        sink.u8(ack.reason.connect_return_code());
    }
}

fn write_properties(ack: &ConnAckProperties, detail: Detail, sink: &mut dyn Sink) {
    property::write_u32(property::SESSION_EXPIRY, ack.session_expiry_secs, sink);
    property::write_u16(property::RECEIVE_MAXIMUM, ack.receive_maximum, sink);
    if ack.qos_max != QoS::ExactlyOnce {
        sink.put(&[property::MAXIMUM_QOS, ack.qos_max as u8]);
    }
    property::write_flag(property::RETAIN_AVAILABLE, ack.retain_available, true, sink);
    property::write_u32(property::MAXIMUM_PACKET_SIZE, ack.packet_bytes_max, sink);
    property::write_string(property::ASSIGNED_CLIENT_ID, ack.assigned_client_id.as_ref(), sink);
    let alias_maximum = Some(ack.topic_alias_maximum).filter(|maximum| *maximum > 0);
    property::write_u16(property::TOPIC_ALIAS_MAXIMUM, alias_maximum, sink);
    property::write_flag(property::WILDCARD_AVAILABLE, ack.wildcard_available, true, sink);
    property::write_flag(property::SUBSCRIPTION_ID_AVAILABLE, ack.subscription_ids_available, true, sink);
    property::write_flag(property::SHARED_AVAILABLE, ack.shared_available, true, sink);
    property::write_u16(property::SERVER_KEEP_ALIVE, ack.keep_alive_secs, sink);
    property::write_string(property::RESPONSE_INFORMATION, ack.response_information.as_ref(), sink);
    property::write_string(property::SERVER_REFERENCE, ack.server_reference.as_ref(), sink);
    property::write_string(property::AUTHENTICATION_METHOD, ack.authentication_method.as_ref(), sink);
    if let Some(data) = &ack.authentication_data {
        sink.u8(property::AUTHENTICATION_DATA);
        sink.data(data);
    }
    property::write_details(detail, ack.reason_string.as_ref(), &ack.user, sink);
}
