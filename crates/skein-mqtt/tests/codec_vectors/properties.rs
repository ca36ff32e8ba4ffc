//! Table 2-4 of MQTT 5.0 against every packet: which property may stand in which, how often, and with what value.
//!
//! Section 2.2.2.2: an identifier that is not valid for its packet type makes a malformed packet; the sections of the
//! properties: twice, or a value outside the allowed ones, is a protocol error.

use skein_mqtt::codec::{ReasonCode, Version::V5};

use super::{
    Reader::{self, Client, New, Server},
    context, decode_whole, frame,
};

/// Where properties can stand.
#[derive(Clone, Copy, Debug, PartialEq)]
enum At {
    Connect,
    Will,
    ConnAck,
    Publish,
    PubAck,
    PubRec,
    PubRel,
    PubComp,
    Subscribe,
    SubAck,
    Unsubscribe,
    UnsubAck,
    Disconnect,
    Auth,
}

const EVERYWHERE: &[At] = &[
    At::Connect,
    At::Will,
    At::ConnAck,
    At::Publish,
    At::PubAck,
    At::PubRec,
    At::PubRel,
    At::PubComp,
    At::Subscribe,
    At::SubAck,
    At::Unsubscribe,
    At::UnsubAck,
    At::Disconnect,
    At::Auth,
];
const ACKS: &[At] = &[
    At::ConnAck,
    At::PubAck,
    At::PubRec,
    At::PubRel,
    At::PubComp,
    At::SubAck,
    At::UnsubAck,
    At::Disconnect,
    At::Auth,
];
const MESSAGE: &[At] = &[At::Publish, At::Will];

/// Identifier, a valid value, and where it may stand.
#[rustfmt::skip]
const TABLE_2_4: &[(u8, &[u8], &[At])] = &[
    (0x01, b"\x01", MESSAGE),
    (0x02, b"\0\0\0\x09", MESSAGE),
    (0x03, b"\0\x01t", MESSAGE),
    (0x08, b"\0\x01r", MESSAGE),
    (0x09, b"\0\x01d", MESSAGE),
    (0x0B, b"\x01", &[At::Publish, At::Subscribe]),
    (0x11, b"\0\0\0\x01", &[At::Connect, At::ConnAck, At::Disconnect]),
    (0x12, b"\0\x01i", &[At::ConnAck]),
    (0x13, b"\0\x01", &[At::ConnAck]),
    (0x15, b"\0\x01m", &[At::Connect, At::ConnAck, At::Auth]),
    (0x16, b"\0\x01d", &[At::Connect, At::ConnAck, At::Auth]),
    (0x17, b"\x01", &[At::Connect]),
    (0x18, b"\0\0\0\x01", &[At::Will]),
    (0x19, b"\x01", &[At::Connect]),
    (0x1A, b"\0\x01i", &[At::ConnAck]),
    (0x1C, b"\0\x01s", &[At::ConnAck, At::Disconnect]),
    (0x1F, b"\0\x01r", ACKS),
    (0x21, b"\0\x01", &[At::Connect, At::ConnAck]),
    (0x22, b"\0\x01", &[At::Connect, At::ConnAck]),
    (0x23, b"\0\x01", &[At::Publish]),
    (0x24, b"\x01", &[At::ConnAck]),
    (0x25, b"\x01", &[At::ConnAck]),
    (0x26, b"\0\x01k\0\x01v", EVERYWHERE),
    (0x27, b"\0\0\0\x64", &[At::Connect, At::ConnAck]),
    (0x28, b"\x01", &[At::ConnAck]),
    (0x29, b"\x01", &[At::ConnAck]),
    (0x2A, b"\x01", &[At::ConnAck]),
];

/// Values a property must not have, and the reason code for it.
#[rustfmt::skip]
const VALUES: &[(&str, u8, &[u8], ReasonCode)] = &[
    ("3.3.2.3.2 payload format 2", 0x01, b"\x02", ReasonCode::ProtocolError),
    ("1.5.4-1 content type", 0x03, b"\0\x01\xFF", ReasonCode::MalformedPacket),
    ("1.5.4-2 content type", 0x03, b"\0\x01\0", ReasonCode::MalformedPacket),
    ("3.3.2-13 response topic", 0x08, b"\0\x01\xFF", ReasonCode::MalformedPacket),
    ("1.5.4-2 response topic", 0x08, b"\0\x01\0", ReasonCode::MalformedPacket),
    ("3.3.2-14 response topic with +", 0x08, b"\0\x01+", ReasonCode::MalformedPacket),
    ("3.3.2-14 response topic with #", 0x08, b"\0\x03a/#", ReasonCode::MalformedPacket),
    ("4.7.3-1 response topic", 0x08, b"\0\0", ReasonCode::MalformedPacket),
    ("1.5.5-1 subscription identifier", 0x0B, b"\x81\0", ReasonCode::MalformedPacket),
    ("1.5.5 subscription identifier", 0x0B, b"\xFF\xFF\xFF\xFF\x01", ReasonCode::MalformedPacket),
    ("3.8.2.1.2 subscription identifier 0", 0x0B, b"\0", ReasonCode::ProtocolError),
    ("1.5.4-1 assigned client identifier", 0x12, b"\0\x01\xFF", ReasonCode::MalformedPacket),
    ("1.5.4-1 authentication method", 0x15, b"\0\x01\xFF", ReasonCode::MalformedPacket),
    ("1.5.4-2 authentication method", 0x15, b"\0\x01\0", ReasonCode::MalformedPacket),
    ("3.1.2.11.7 request problem information 2", 0x17, b"\x02", ReasonCode::ProtocolError),
    ("3.1.2.11.6 request response information 2", 0x19, b"\x02", ReasonCode::ProtocolError),
    ("1.5.4-1 response information", 0x1A, b"\0\x01\xFF", ReasonCode::MalformedPacket),
    ("1.5.4-1 server reference", 0x1C, b"\0\x01\xFF", ReasonCode::MalformedPacket),
    ("1.5.4-1 reason string", 0x1F, b"\0\x01\xFF", ReasonCode::MalformedPacket),
    ("1.5.4-2 reason string", 0x1F, b"\0\x01\0", ReasonCode::MalformedPacket),
    ("3.1.2.11.3 receive maximum 0", 0x21, b"\0\0", ReasonCode::ProtocolError),
    ("3.3.4 topic alias 0", 0x23, b"\0\0", ReasonCode::TopicAliasInvalid),
    ("3.2.2.3.4 maximum QoS 2", 0x24, b"\x02", ReasonCode::ProtocolError),
    ("3.2.2.3.5 retain available 2", 0x25, b"\x02", ReasonCode::ProtocolError),
    ("1.5.7-1 name of a user property", 0x26, b"\0\x01\xFF\0\0", ReasonCode::MalformedPacket),
    ("1.5.7-1 value of a user property", 0x26, b"\0\0\0\x01\0", ReasonCode::MalformedPacket),
    ("3.1.2.11.4 maximum packet size 0", 0x27, b"\0\0\0\0", ReasonCode::ProtocolError),
    ("3.2.2.3.11 wildcard available 2", 0x28, b"\x02", ReasonCode::ProtocolError),
    ("3.2.2.3.12 subscription identifiers available 2", 0x29, b"\x02", ReasonCode::ProtocolError),
    ("3.2.2.3.13 shared available 2", 0x2A, b"\x02", ReasonCode::ProtocolError),
];

/// Reader, first byte and body of a packet with these properties.
fn packet(at: At, properties: &[u8]) -> (Reader, u8, Vec<u8>) {
    let length = u8::try_from(properties.len()).expect("table rows are short");
    let (reader, first, before, after): (_, _, &[u8], &[u8]) = match at {
        At::Connect => (New, 0x10, b"\0\x04MQTT\x05\x02\0\0", b"\0\x01c"),
        At::Will => (New, 0x10, b"\0\x04MQTT\x05\x06\0\0\0\0\x01c", b"\0\x01w\0\0"),
        At::ConnAck => (Client(V5), 0x20, b"\0\0", b""),
        At::Publish => (Server(V5), 0x30, b"\0\x01a", b"x"),
        At::PubAck => (Server(V5), 0x40, b"\0\x01\0", b""),
        At::PubRec => (Server(V5), 0x50, b"\0\x01\0", b""),
        At::PubRel => (Server(V5), 0x62, b"\0\x01\0", b""),
        At::PubComp => (Server(V5), 0x70, b"\0\x01\0", b""),
        At::Subscribe => (Server(V5), 0x82, b"\0\x01", b"\0\x01a\0"),
        At::SubAck => (Client(V5), 0x90, b"\0\x01", b"\0"),
        At::Unsubscribe => (Server(V5), 0xA2, b"\0\x01", b"\0\x01a"),
        At::UnsubAck => (Client(V5), 0xB0, b"\0\x01", b"\0"),
        At::Disconnect => (Server(V5), 0xE0, b"\0", b""),
        At::Auth => (Server(V5), 0xF0, b"\x18", b""),
    };
    (reader, first, [before, &[length], properties, after].concat())
}

/// What a server, or a client for what only servers send, makes of these properties; none when they are taken.
fn verdict(at: At, properties: &[&[u8]]) -> Option<ReasonCode> {
    let mut all = properties.concat();
    // An AUTH needs a method, and so do data in a CONNECT.
    let needs_method = at == At::Auth || (at == At::Connect && all.first() == Some(&0x16));
    if needs_method && all.first() != Some(&0x15) {
        all.extend(b"\x15\0\x01m");
    }
    let (reader, first, body) = packet(at, &all);
    decode_whole(&frame(first, &body), &context(reader)).err().map(|error| error.reason)
}

/// Properties that are valid in the packet, but not from this side: MQTT-3.3.4-6 and section 3.14.2.2.5.
fn is_of_other_side(at: At, id: u8) -> bool {
    matches!((at, id), (At::Publish, 0x0B) | (At::Disconnect, 0x1C))
}

#[test]
fn mqtt_2_2_2_2_a_property_of_another_packet_is_malformed() {
    for (id, value, allowed) in TABLE_2_4 {
        for at in EVERYWHERE {
            let expect = match allowed.contains(at) {
                true if is_of_other_side(*at, *id) => Some(ReasonCode::ProtocolError),
                true => None,
                false => Some(ReasonCode::MalformedPacket),
            };
            assert_eq!(verdict(*at, &[&[*id], value]), expect, "{id:#x} in {at:?}");
        }
    }
}

#[test]
fn mqtt_2_2_2_2_an_unknown_property_is_malformed() {
    for id in (0..=u8::MAX).filter(|id| TABLE_2_4.iter().all(|row| row.0 != *id)) {
        for at in EVERYWHERE {
            assert_eq!(verdict(*at, &[&[id], b"\0"]), Some(ReasonCode::MalformedPacket), "{id:#x} in {at:?}");
        }
    }
}

#[test]
fn a_property_that_comes_twice_is_a_protocol_error() {
    for (id, value, allowed) in TABLE_2_4 {
        for at in *allowed {
            let expect = if *id == 0x26 { None } else { Some(ReasonCode::ProtocolError) };
            assert_eq!(verdict(*at, &[&[*id], value, &[*id], value]), expect, "{id:#x} in {at:?}");
        }
    }
}

#[test]
fn a_property_with_a_value_it_must_not_have() {
    for (clause, id, value, reason) in VALUES {
        let (_, _, allowed) =
            TABLE_2_4.iter().find(|row| row.0 == *id).expect("every property is in the table");
        for at in allowed.iter().filter(|at| !is_of_other_side(**at, *id)) {
            assert_eq!(verdict(*at, &[&[*id], value]), Some(*reason), "{clause} in {at:?}");
        }
    }
}

/// A value that ends before its type does cannot be parsed.
#[test]
fn a_property_cut_short_is_malformed() {
    for (id, value, allowed) in TABLE_2_4 {
        for at in allowed.iter().filter(|at| **at != At::Auth && !is_of_other_side(**at, *id)) {
            let (reader, first, body) = packet(*at, &[&[*id], &value[..value.len() - 1]].concat());
            let error = decode_whole(&frame(first, &body), &context(reader)).unwrap_err();
            assert_eq!(error.reason, ReasonCode::MalformedPacket, "{id:#x} in {at:?}");
        }
    }
}
