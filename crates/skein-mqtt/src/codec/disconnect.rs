//! DISCONNECT and AUTH (MQTT 5.0 sections 3.14 and 3.15).

use bytes::Bytes;
use bytestring::ByteString;

use super::{
    DecodeError, ReasonCode, Side, Version,
    frame::PacketType,
    property::{self, Detail, PropertyReader, UserProperties, foreign},
    reader::Reader,
    sink::{self, Sink},
};

/// Ends a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect {
    /// Why; always the normal disconnection before version 5.
    pub reason: ReasonCode,
    /// The session expiry from now on; from a client only (MQTT-3.14.2-2).
    pub session_expiry_secs: Option<u32>,
    /// What happened, in words.
    pub reason_string: Option<ByteString>,
    /// The server to use instead; from a server only.
    pub server_reference: Option<ByteString>,
    /// Pairs of the sender's own.
    pub user: UserProperties,
}

/// A step of extended authentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// Success, continue or re-authenticate.
    pub reason: ReasonCode,
    /// The method, the same in every step (MQTT-4.12.0-5).
    pub method: ByteString,
    /// The method's own data.
    pub data: Option<Bytes>,
    /// What happened, in words.
    pub reason_string: Option<ByteString>,
    /// Pairs of the sender's own.
    pub user: UserProperties,
}

impl Disconnect {
    /// Says `reason` and no more.
    #[must_use]
    pub const fn with_reason(reason: ReasonCode) -> Self {
        Self {
            reason,
            session_expiry_secs: None,
            reason_string: None,
            server_reference: None,
            user: Vec::new(),
        }
    }
}

pub(super) fn decode(
    frame: &Bytes,
    header_len: usize,
    sender: Side,
    version: Version,
) -> Result<Disconnect, DecodeError> {
    let mut packet = Reader::new(frame, header_len);
    let mut disconnect = Disconnect::with_reason(ReasonCode::NORMAL_DISCONNECTION);
    // MQTT 5.0 section 3.14.2.1: a normal disconnection may be left out.
    if version.is_v5() && !packet.is_empty() {
        disconnect.reason = ReasonCode::from_u8(packet.u8()?)
            .filter(|reason| reason.is_allowed(PacketType::Disconnect, sender))
            .ok_or(DecodeError::protocol("a DISCONNECT has a reason code that is not one of its sender's"))?;
        decode_properties(&mut packet, sender, &mut disconnect)?;
    }
    packet.finish()?;
    Ok(disconnect)
}

fn decode_properties(
    packet: &mut Reader<'_>,
    sender: Side,
    disconnect: &mut Disconnect,
) -> Result<(), DecodeError> {
    let mut properties = PropertyReader::new_optional(packet)?;
    while let Some(id) = properties.next_id()? {
        match id {
            property::SESSION_EXPIRY if sender == Side::Client => {
                disconnect.session_expiry_secs = Some(properties.value().u32()?);
            }
            property::SERVER_REFERENCE if sender == Side::Server => {
                disconnect.server_reference = Some(properties.value().string()?);
            }
            // Both are valid in a DISCONNECT (table 2-4), but only from the other side (MQTT-3.14.2-2, 3.14.2.2.5).
            property::SESSION_EXPIRY | property::SERVER_REFERENCE => {
                return Err(DecodeError::protocol(
                    "a DISCONNECT has a property that only the other side may send",
                ));
            }
            property::REASON_STRING => disconnect.reason_string = Some(properties.value().string()?),
            property::USER => disconnect.user.push(properties.value().pair()?),
            _ => return Err(foreign(id)),
        }
    }
    Ok(())
}

/// Writes everything after the fixed header.
pub(super) fn write(disconnect: &Disconnect, version: Version, detail: Detail, sink: &mut dyn Sink) {
    if !version.is_v5() {
        return;
    }
    let has_properties = sink::length_of(|sink| write_properties(disconnect, detail, sink)) > 0;
    if has_properties || disconnect.reason != ReasonCode::NORMAL_DISCONNECTION {
        sink.u8(disconnect.reason.value());
    }
    if has_properties {
        sink::properties(sink, |sink| write_properties(disconnect, detail, sink));
    }
}

fn write_properties(disconnect: &Disconnect, detail: Detail, sink: &mut dyn Sink) {
    property::write_u32(property::SESSION_EXPIRY, disconnect.session_expiry_secs, sink);
    property::write_string(property::SERVER_REFERENCE, disconnect.server_reference.as_ref(), sink);
    property::write_details(detail, disconnect.reason_string.as_ref(), &disconnect.user, sink);
}

pub(super) fn decode_auth(frame: &Bytes, header_len: usize, sender: Side) -> Result<Auth, DecodeError> {
    let mut packet = Reader::new(frame, header_len);
    // MQTT 5.0 section 3.15.2.1 lets both be left out, section 3.15.2.2.2 asks for a method: the second one holds,
    // for a packet without a method belongs to no exchange (MQTT-4.12.0-6).
    let code = if packet.is_empty() { 0 } else { packet.u8()? };
    let reason = ReasonCode::from_u8(code)
        .filter(|reason| reason.is_allowed(PacketType::Auth, sender))
        .ok_or(DecodeError::protocol("an AUTH has a reason code that is not one of its sender's"))?;
    let mut auth =
        Auth { reason, method: ByteString::new(), data: None, reason_string: None, user: Vec::new() };
    let mut method = None;
    let mut properties = PropertyReader::new_optional(&mut packet)?;
    while let Some(id) = properties.next_id()? {
        match id {
            property::AUTHENTICATION_METHOD => method = Some(properties.value().string()?),
            property::AUTHENTICATION_DATA => auth.data = Some(properties.value().data()?),
            property::REASON_STRING => auth.reason_string = Some(properties.value().string()?),
            property::USER => auth.user.push(properties.value().pair()?),
            _ => return Err(foreign(id)),
        }
    }
    packet.finish()?;
    auth.method = method.ok_or(DecodeError::protocol("an AUTH has no authentication method"))?;
    Ok(auth)
}

/// Writes everything after the fixed header.
pub(super) fn write_auth(auth: &Auth, detail: Detail, sink: &mut dyn Sink) {
    sink.u8(auth.reason.value());
    sink::properties(sink, |sink| {
        sink.u8(property::AUTHENTICATION_METHOD);
        sink.string(&auth.method);
        if let Some(data) = &auth.data {
            sink.u8(property::AUTHENTICATION_DATA);
            sink.data(data);
        }
        property::write_details(detail, auth.reason_string.as_ref(), &auth.user, sink);
    });
}
