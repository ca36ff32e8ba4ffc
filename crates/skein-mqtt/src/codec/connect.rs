//! CONNECT and the will in it (MQTT 5.0 section 3.1).
//!
//! Checks what can be told from the packet alone. Whether a client id, its length or a user is accepted is the
//! server's rule. Every error but a wrong protocol name says in which version it can be answered.

use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;
use skein_types::{Properties, QoS, Topic};

use super::{
    DecodeError, ReasonCode, Version,
    frame::PacketType,
    property::{self, PropertyReader, UserProperties, foreign},
    reader::Reader,
    sink::{self, Sink},
};

const CLEAN_START: u8 = 0x02;
const WILL: u8 = 0x04;
const WILL_QOS_SHIFT: u32 = 3;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USER_NAME: u8 = 0x80;
/// Set in the protocol level by bridges of versions 3.1 and 3.1.1, which ask that their own messages do not come back.
const BRIDGE: u8 = 0x80;

/// The first packet of a connection.
#[derive(Clone, PartialEq, Eq)]
pub struct Connect {
    /// The protocol version of everything that follows.
    pub version: Version,
    /// Whether the client calls itself a bridge; 3.1 and 3.1.1 only.
    pub bridge: bool,
    /// The client's name, empty when the server should find one.
    pub client_id: ByteString,
    /// Whether an earlier session is discarded; before version 5 also whether this one ends with the connection.
    pub clean_start: bool,
    /// Longest silence of the client in seconds; 0 for any.
    pub keep_alive_secs: u16,
    /// What to publish when the connection is lost.
    pub will: Option<Box<Will>>,
    /// Who the client says it is.
    pub user_name: Option<ByteString>,
    /// How it proves that.
    pub password: Option<Bytes>,
    /// Version 5 only; all absent before.
    pub properties: ConnectProperties,
}

impl fmt::Debug for Connect {
    /// All but the password, and what a method of authentication sends in its place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("bridge", &self.bridge)
            .field("client_id", &self.client_id)
            .field("clean_start", &self.clean_start)
            .field("keep_alive_secs", &self.keep_alive_secs)
            .field("will", &self.will)
            .field("user_name", &self.user_name)
            .field("has_password", &self.password.is_some())
            .field("properties", &self.properties)
            .finish()
    }
}

/// The message published in a client's name when its connection is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// Where it is published.
    pub topic: Topic,
    /// What is published.
    pub payload: Bytes,
    /// Its quality of service.
    pub qos: QoS,
    /// Whether it is kept for later subscribers.
    pub retain: bool,
    /// Seconds to wait for the client to come back.
    pub delay_secs: u32,
    /// Seconds after which nobody wants it any more.
    pub expiry_secs: Option<u32>,
    /// What it carries beside its payload, if anything.
    pub properties: Option<Box<Properties>>,
}

/// Properties of a CONNECT (MQTT 5.0 section 3.1.2.11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectProperties {
    /// Seconds the session outlives the connection; absent means 0.
    pub session_expiry_secs: Option<u32>,
    /// QoS 1 and 2 messages the client takes at once; absent means 65,535.
    pub receive_maximum: Option<u16>,
    /// Largest packet the client takes; absent means any.
    pub packet_bytes_max: Option<u32>,
    /// Highest topic alias the client takes; 0 for none.
    pub topic_alias_maximum: u16,
    /// Whether the client wants response information.
    pub request_response_information: bool,
    /// Whether reason strings and user properties may come with every packet (MQTT-3.1.2-29).
    pub request_problem_information: bool,
    /// Pairs of the client's own.
    pub user: UserProperties,
    /// The method of extended authentication.
    pub authentication_method: Option<ByteString>,
    /// Its first data; only with a method.
    pub authentication_data: Option<Bytes>,
}

impl Default for ConnectProperties {
    fn default() -> Self {
        Self {
            session_expiry_secs: None,
            receive_maximum: None,
            packet_bytes_max: None,
            topic_alias_maximum: 0,
            request_response_information: false,
            request_problem_information: true,
            user: Vec::new(),
            authentication_method: None,
            authentication_data: None,
        }
    }
}

impl Connect {
    /// A CONNECT without will, user and properties.
    #[must_use]
    pub fn new(version: Version, client_id: ByteString) -> Self {
        Self {
            version,
            bridge: false,
            client_id,
            clean_start: true,
            keep_alive_secs: 0,
            will: None,
            user_name: None,
            password: None,
            properties: ConnectProperties::default(),
        }
    }
}

pub(super) fn decode(frame: &Bytes, header_len: usize) -> Result<Connect, DecodeError> {
    let mut packet = Reader::new(frame, header_len);
    let (version, bridge) = decode_version(&mut packet)?;
    check_fixed_header(frame, version)
        .and_then(|()| decode_rest(&mut packet, version, bridge))
        .map_err(|error| error.answered_in(version))
}

/// MQTT-2.1.3-1. Version 3.1 does not use these flags, so that what they are is known only after the version.
fn check_fixed_header(frame: &Bytes, version: Version) -> Result<(), DecodeError> {
    match frame.first() {
        Some(first) if *first != PacketType::Connect.first_byte() && version != Version::V31 => {
            Err(DecodeError::malformed("the reserved flags of a CONNECT must be 0"))
        }
        _ => Ok(()),
    }
}

/// Protocol name and level. MQTT-3.1.2-2 of 3.1.1 demands an answer to an unknown level, that of 5.0 allows one.
fn decode_version(packet: &mut Reader<'_>) -> Result<(Version, bool), DecodeError> {
    let name = packet.string()?;
    let level = packet.u8()?;
    let unsupported = |what| DecodeError::new(ReasonCode::UnsupportedProtocolVersion, what);
    match (&*name, level & !BRIDGE, level & BRIDGE != 0) {
        ("MQIsdp", 3, bridge) => Ok((Version::V31, bridge)),
        ("MQTT", 4, bridge) => Ok((Version::V311, bridge)),
        ("MQTT", 5, false) => Ok((Version::V5, false)),
        // A client of a later version is more likely to know version 5's answer than 3.1.1's.
        ("MQTT", 6.., _) | ("MQTT", 5, true) => {
            Err(unsupported("an unknown protocol level").answered_in(Version::V5))
        }
        ("MQTT" | "MQIsdp", ..) => Err(unsupported("an unknown protocol level").answered_in(Version::V311)),
        _ => Err(unsupported("an unknown protocol name")),
    }
}

fn decode_rest(packet: &mut Reader<'_>, version: Version, bridge: bool) -> Result<Connect, DecodeError> {
    let flags = packet.u8()?;
    check_flags(flags, version)?;
    let keep_alive_secs = packet.u16()?;
    let properties = if version.is_v5() { decode_properties(packet)? } else { ConnectProperties::default() };
    let client_id = packet.string()?;
    let will = if flags & WILL == 0 { None } else { Some(Box::new(decode_will(packet, flags, version)?)) };
    // MQTT 3.1 section 3.1: the remaining length takes precedence over these two flags.
    let may_be_missing = version == Version::V31;
    let is_there =
        |packet: &Reader<'_>, flag: u8| flags & flag != 0 && !(may_be_missing && packet.is_empty());
    let user_name = if is_there(packet, USER_NAME) { Some(packet.string()?) } else { None };
    let password = if is_there(packet, PASSWORD) { Some(packet.data()?) } else { None };
    packet.finish()?;
    Ok(Connect {
        version,
        bridge,
        client_id,
        clean_start: flags & CLEAN_START != 0,
        keep_alive_secs,
        will,
        user_name,
        password,
        properties,
    })
}

fn check_flags(flags: u8, version: Version) -> Result<(), DecodeError> {
    // MQTT 3.1 section 3.1 does not use this flag, and disregards the will's flags when there is no will.
    let is_v31 = version == Version::V31;
    if flags & 1 != 0 && !is_v31 {
        // MQTT-3.1.2-3.
        return Err(DecodeError::malformed("the reserved flag of a CONNECT is set"));
    }
    let has_will = flags & WILL != 0;
    if will_qos(flags).is_none() && (has_will || !is_v31) {
        // MQTT-3.1.2-12, and MQTT 5.0 section 3.1.2.6 for the reason.
        return Err(DecodeError::malformed("a will has QoS 3"));
    }
    if !has_will && !is_v31 && (will_qos(flags) != Some(QoS::AtMostOnce) || flags & WILL_RETAIN != 0) {
        // MQTT-3.1.2-11 and -13: it can be parsed, and is not allowed.
        return Err(DecodeError::protocol("a CONNECT without a will has a QoS or retain flag for it"));
    }
    if !version.is_v5() && flags & PASSWORD != 0 && flags & USER_NAME == 0 {
        // MQTT 3.1.1: MQTT-3.1.2-22. Version 5 allows it.
        return Err(DecodeError::protocol("a CONNECT has a password but no user name"));
    }
    Ok(())
}

fn will_qos(flags: u8) -> Option<QoS> {
    QoS::from_u8(flags >> WILL_QOS_SHIFT & 0b11)
}

fn decode_properties(packet: &mut Reader<'_>) -> Result<ConnectProperties, DecodeError> {
    let mut properties = PropertyReader::new(packet)?;
    let mut connect = ConnectProperties::default();
    while let Some(id) = properties.next_id()? {
        match id {
            property::SESSION_EXPIRY => connect.session_expiry_secs = Some(properties.value().u32()?),
            property::RECEIVE_MAXIMUM => {
                connect.receive_maximum = Some(properties.positive_u16("the receive maximum is 0")?);
            }
            property::MAXIMUM_PACKET_SIZE => {
                connect.packet_bytes_max = Some(properties.positive_u32("the maximum packet size is 0")?);
            }
            property::TOPIC_ALIAS_MAXIMUM => connect.topic_alias_maximum = properties.value().u16()?,
            property::REQUEST_RESPONSE_INFORMATION => {
                connect.request_response_information = properties.flag()?
            }
            property::REQUEST_PROBLEM_INFORMATION => {
                connect.request_problem_information = properties.flag()?
            }
            property::USER => connect.user.push(properties.value().pair()?),
            property::AUTHENTICATION_METHOD => {
                connect.authentication_method = Some(properties.value().string()?);
            }
            property::AUTHENTICATION_DATA => connect.authentication_data = Some(properties.value().data()?),
            _ => return Err(foreign(id)),
        }
    }
    if connect.authentication_data.is_some() && connect.authentication_method.is_none() {
        // MQTT 5.0 section 3.1.2.11.10.
        return Err(DecodeError::protocol("authentication data without an authentication method"));
    }
    Ok(connect)
}

fn decode_will(packet: &mut Reader<'_>, flags: u8, version: Version) -> Result<Will, DecodeError> {
    let (mut delay_secs, mut expiry_secs, mut message) = (0, None, None);
    if version.is_v5() {
        let mut properties = PropertyReader::new(packet)?;
        while let Some(id) = properties.next_id()? {
            match id {
                property::WILL_DELAY => delay_secs = properties.value().u32()?,
                property::MESSAGE_EXPIRY => expiry_secs = Some(properties.value().u32()?),
                _ => properties.message_property(id, &mut message)?,
            }
        }
    }
    Ok(Will {
        topic: packet.topic()?,
        payload: packet.data()?,
        qos: will_qos(flags).unwrap_or_default(),
        retain: flags & WILL_RETAIN != 0,
        delay_secs,
        expiry_secs,
        properties: message,
    })
}

/// Writes everything after the fixed header.
pub(super) fn write(connect: &Connect, sink: &mut dyn Sink) {
    let version = connect.version;
    sink.string(version.protocol_name());
    let bridge = if connect.bridge && !version.is_v5() { BRIDGE } else { 0 };
    sink.u8(version.level() | bridge);
    sink.u8(flags(connect));
    sink.u16(connect.keep_alive_secs);
    if version.is_v5() {
        sink::properties(sink, |sink| write_properties(&connect.properties, sink));
    }
    sink.string(&connect.client_id);
    if let Some(will) = connect.will.as_deref() {
        if version.is_v5() {
            sink::properties(sink, |sink| write_will_properties(will, sink));
        }
        sink.string(&will.topic);
        sink.data(&will.payload);
    }
    if let Some(user_name) = &connect.user_name {
        sink.string(user_name);
    }
    if let Some(password) = &connect.password {
        sink.data(password);
    }
}

fn flags(connect: &Connect) -> u8 {
    let set = |flag: u8, is_set: bool| if is_set { flag } else { 0 };
    let will = connect
        .will
        .as_deref()
        .map_or(0, |will| WILL | (will.qos as u8) << WILL_QOS_SHIFT | set(WILL_RETAIN, will.retain));
    will | set(CLEAN_START, connect.clean_start)
        | set(USER_NAME, connect.user_name.is_some())
        | set(PASSWORD, connect.password.is_some())
}

fn write_properties(connect: &ConnectProperties, sink: &mut dyn Sink) {
    property::write_u32(property::SESSION_EXPIRY, connect.session_expiry_secs, sink);
    property::write_u16(property::RECEIVE_MAXIMUM, connect.receive_maximum, sink);
    property::write_u32(property::MAXIMUM_PACKET_SIZE, connect.packet_bytes_max, sink);
    let alias_maximum = Some(connect.topic_alias_maximum).filter(|maximum| *maximum > 0);
    property::write_u16(property::TOPIC_ALIAS_MAXIMUM, alias_maximum, sink);
    let response = connect.request_response_information;
    property::write_flag(property::REQUEST_RESPONSE_INFORMATION, response, false, sink);
    let problem = connect.request_problem_information;
    property::write_flag(property::REQUEST_PROBLEM_INFORMATION, problem, true, sink);
    property::write_string(property::AUTHENTICATION_METHOD, connect.authentication_method.as_ref(), sink);
    if let Some(data) = &connect.authentication_data {
        sink.u8(property::AUTHENTICATION_DATA);
        sink.data(data);
    }
    property::write_user(&connect.user, sink);
}

fn write_will_properties(will: &Will, sink: &mut dyn Sink) {
    let delay = Some(will.delay_secs).filter(|delay| *delay > 0);
    property::write_u32(property::WILL_DELAY, delay, sink);
    property::write_u32(property::MESSAGE_EXPIRY, will.expiry_secs, sink);
    if let Some(properties) = will.properties.as_deref() {
        property::write_message_properties(properties, sink);
    }
}
