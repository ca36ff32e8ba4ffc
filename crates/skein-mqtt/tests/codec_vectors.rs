//! Packets and what becomes of each: the reason code a server closes with, and the clause that asks for it.
//!
//! The tables are data: the packet's first byte, its body, and the expected outcome; the remaining length is put in
//! between. What is decoded is also encoded and decoded again, and every packet is fed piece by piece as well.

use bytes::Bytes;
use skein_mqtt::codec::{DecodeContext, DecodeError, Packet, PacketType, ReasonCode, Side, Version, decode};

/// Who reads the packet, and when.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reader {
    /// A server that waits for the CONNECT.
    New,
    /// A server after it.
    Server(Version),
    /// A client.
    Client(Version),
}

use Reader::{Client, New, Server};
use Version::{V5, V31, V311};

const MALFORMED: ReasonCode = ReasonCode::MalformedPacket;
const PROTOCOL: ReasonCode = ReasonCode::ProtocolError;
const VERSION: ReasonCode = ReasonCode::UnsupportedProtocolVersion;
const ALIAS: ReasonCode = ReasonCode::TopicAliasInvalid;

/// Clause, reader, first byte, body.
type Valid = (&'static str, Reader, u8, &'static [u8]);
/// Clause, reader, first byte, body, reason.
type Invalid = (&'static str, Reader, u8, &'static [u8], ReasonCode);

fn context(reader: Reader) -> DecodeContext {
    match reader {
        New => DecodeContext::server(),
        Server(version) => DecodeContext { version: Some(version), ..DecodeContext::server() },
        Client(version) => DecodeContext::client(version),
    }
}

fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let len = u8::try_from(body.len()).ok().filter(|len| *len < 128).expect("table bodies are short");
    [&[first, len], body].concat()
}

fn decode_whole(bytes: &[u8], ctx: &DecodeContext) -> Result<Option<Packet>, DecodeError> {
    let mut buf = Bytes::copy_from_slice(bytes);
    let packet = decode(&mut buf, ctx)?;
    assert!(packet.is_none() || buf.is_empty(), "bytes left over after {bytes:02x?}");
    Ok(packet)
}

/// Until the last byte a packet is incomplete, or refused for what its first bytes show already.
fn check_pieces(bytes: &[u8], ctx: &DecodeContext, expect: Option<ReasonCode>) {
    for end in 0..bytes.len() {
        let early = decode_whole(&bytes[..end], ctx).map_err(|error| error.reason);
        assert!(
            early == Ok(None) || expect.is_some_and(|reason| early == Err(reason)),
            "{:02x?}",
            &bytes[..end]
        );
    }
}

#[rustfmt::skip]
const VALID: &[Valid] = &[
    // CONNECT
    ("3.1.2-1 MQTT 3.1", New, 0x10, b"\0\x06MQIsdp\x03\x02\0\x3c\0\x01c"),
    ("3.1.2-1 MQTT 3.1.1", New, 0x10, b"\0\x04MQTT\x04\x02\0\x3c\0\x01c"),
    ("3.1.2-1 MQTT 5.0", New, 0x10, b"\0\x04MQTT\x05\x02\0\x3c\0\0\x01c"),
    ("bridge of 3.1", New, 0x10, b"\0\x06MQIsdp\x83\x02\0\x3c\0\x01c"),
    ("bridge of 3.1.1", New, 0x10, b"\0\x04MQTT\x84\x02\0\x3c\0\x01c"),
    ("3.1.3-6 empty client id", New, 0x10, b"\0\x04MQTT\x04\x02\0\0\0\0"),
    ("3.1.1: 3.1.3-8 empty client id without clean session is for the server to refuse", New, 0x10, b"\0\x04MQTT\x04\x00\0\0\0\0"),
    ("3.1.2-9 will, user and password in 3.1.1", New, 0x10, b"\0\x04MQTT\x04\xF6\0\0\0\x01c\0\x01w\0\x02\0\xFF\0\x01u\0\x01p"),
    ("3.1.2-9 empty will payload", New, 0x10, b"\0\x04MQTT\x04\x06\0\0\0\x01c\0\x01w\0\0"),
    ("3.1.2.9 user without password", New, 0x10, b"\0\x04MQTT\x04\x82\0\0\0\x01c\0\x01u"),
    ("3.1.2.9 password without user in 5.0", New, 0x10, b"\0\x04MQTT\x05\x42\0\0\0\0\x01c\0\x01p"),
    ("3.1 user flag without a user name", New, 0x10, b"\0\x06MQIsdp\x03\xC2\0\0\0\x01c"),
    ("3.1.2.11 every property", New, 0x10,
        b"\0\x04MQTT\x05\x02\0\0\x2A\x11\0\0\0\x0A\x21\0\x01\x27\0\0\0\x64\x22\0\x05\x19\x01\x17\0\x26\0\x01k\0\x01v\x26\0\x01k\0\x01v\x15\0\x01m\x16\0\x01d\0\x01c"),
    ("3.1.3.2 every will property", New, 0x10,
        b"\0\x04MQTT\x05\x2E\0\0\0\0\x01c\x24\x18\0\0\0\x01\x01\x01\x02\0\0\0\x02\x03\0\x01t\x08\0\x01r\x09\0\x01d\x26\0\x01k\0\x01v\x26\0\0\0\0\0\x01w\0\x01p"),
    ("1.5.4-3 byte order mark in a client id", New, 0x10, b"\0\x04MQTT\x04\x02\0\0\0\x04\xEF\xBB\xBFc"),
    // CONNACK
    ("3.2.2 accepted, session present", Client(V311), 0x20, b"\x01\0"),
    ("3.2.2.3 return code 5", Client(V311), 0x20, b"\0\x05"),
    ("3.2.2 in 5.0", Client(V5), 0x20, b"\0\0\0"),
    ("3.2.2.3 some properties", Client(V5), 0x20, b"\x01\0\x12\x21\0\x0A\x24\x01\x25\0\x27\0\0\x10\0\x22\0\x05\x13\0\x3c"),
    ("3.2.2.3 the other properties", Client(V5), 0x20, b"\0\x9C\x22\x11\0\0\0\x01\x12\0\x01a\x1F\0\x01r\x28\0\x29\0\x2A\0\x1A\0\x01i\x1C\0\x01s\x15\0\x01m\x16\0\0"),
    // PUBLISH
    ("3.3 QoS 0 in 3.1.1", Server(V311), 0x30, b"\0\x03a/bhello"),
    ("3.3 QoS 0 in 3.1", Server(V31), 0x30, b"\0\x03a/bhello"),
    ("3.3 QoS 0 in 5.0", Server(V5), 0x30, b"\0\x03a/b\0hello"),
    ("3.3 QoS 1, retained, empty payload", Server(V311), 0x33, b"\0\x01a\0\x01"),
    ("3.3.1-1 QoS 2 repeated", Server(V5), 0x3C, b"\0\x01a\xFF\xFF\0x"),
    ("3.3.2.3 every property of a client", Server(V5), 0x30, b"\0\x01a\x1B\x01\0\x02\0\0\0\x09\x23\0\x01\x03\0\x01t\x08\0\x01r\x09\0\0\x26\0\x01k\0\0x"),
    ("3.3.2-7 alias for a topic", Server(V5), 0x30, b"\0\0\x03\x23\0\x01x"),
    ("3.3.4-3 two subscription identifiers to a client", Client(V5), 0x30, b"\0\x01a\x06\x0B\x01\x0B\xC8\xBA\x01x"),
    ("4.7.3 topic of empty levels", Server(V311), 0x30, b"\0\x02//"),
    ("1.5.4 four-byte characters", Server(V311), 0x30, b"\0\x04\xF0\x9F\xA6\xA2"),
    ("3.3.2-2 a $ topic decodes, who may write it is the server's rule", Server(V311), 0x30, b"\0\x04$SYS"),
    // Acknowledgements
    ("3.4.2 PUBACK", Server(V311), 0x40, b"\0\x01"),
    ("3.4.2.1 PUBACK without reason", Server(V5), 0x40, b"\0\x01"),
    ("3.4.2.1 PUBACK with reason", Server(V5), 0x40, b"\0\x01\x10"),
    ("3.4.2.2 PUBACK with properties", Server(V5), 0x40, b"\0\x01\x87\x0B\x1F\0\x01r\x26\0\x01k\0\x01v"),
    ("3.5.2 PUBREC", Server(V5), 0x50, b"\0\x01\x97\0"),
    ("3.6.2 PUBREL", Server(V5), 0x62, b"\0\x01\x92"),
    ("3.6.1 repeated PUBREL of 3.1", Server(V31), 0x6A, b"\0\x01"),
    ("3.7.2 PUBCOMP", Client(V5), 0x70, b"\0\x01\x92\0"),
    // SUBSCRIBE, UNSUBSCRIBE and their answers
    ("3.8.3 two filters", Server(V311), 0x82, b"\0\x01\0\x03a/+\x01\0\x01#\x02"),
    ("3.8.3.1 every option", Server(V5), 0x82, b"\0\x01\0\0\x03a/b\x2E"),
    ("3.8.2.1.2 largest subscription identifier", Server(V5), 0x82, b"\0\x01\x05\x0B\xFF\xFF\xFF\x7F\0\x01a\0"),
    ("4.8.2 shared", Server(V5), 0x82, b"\0\x01\0\0\x0A$share/g/a\x01"),
    ("4.8.2 shared in 3.1.1 too", Server(V311), 0x82, b"\0\x01\0\x0A$share/g/#\x01"),
    ("3.9.3 SUBACK of 3.1.1", Client(V311), 0x90, b"\0\x01\0\x01\x02\x80"),
    ("3.9.3 SUBACK of 5.0", Client(V5), 0x90, b"\0\x01\0\0\x01\x02\x80\x83\x87\x8F\x91\x97\x9E\xA1\xA2"),
    ("3.10.3 UNSUBSCRIBE", Server(V311), 0xA2, b"\0\x01\0\x01a\0\x03b/#"),
    ("3.10.2.1 UNSUBSCRIBE with a user property", Server(V5), 0xA2, b"\0\x01\x07\x26\0\x01k\0\x01v\0\x01a"),
    ("3.11 UNSUBACK of 3.1.1", Client(V311), 0xB0, b"\0\x01"),
    ("3.11.3 UNSUBACK of 5.0", Client(V5), 0xB0, b"\0\x01\0\0\x11\x8F"),
    // The rest
    ("3.12 PINGREQ", Server(V311), 0xC0, b""),
    ("3.13 PINGRESP", Client(V5), 0xD0, b""),
    ("3.14 DISCONNECT", Server(V311), 0xE0, b""),
    ("3.14.2.1 DISCONNECT without reason", Server(V5), 0xE0, b""),
    ("3.14.2.1 DISCONNECT with will", Server(V5), 0xE0, b"\x04"),
    ("3.14.2.2.2 session expiry from a client", Server(V5), 0xE0, b"\0\x05\x11\0\0\0\x01"),
    ("3.14.2.2.5 server reference from a server", Client(V5), 0xE0, b"\x9C\x04\x1C\0\x01s"),
    ("3.15 AUTH from a client", Server(V5), 0xF0, b"\x18\x08\x15\0\x01m\x16\0\x01d"),
    ("3.15 AUTH from a server", Client(V5), 0xF0, b"\0\x04\x15\0\x01m"),
];

#[rustfmt::skip]
const INVALID: &[Invalid] = &[
    // Fixed header, section 2.1
    ("2.1.2 type 0", Server(V311), 0x00, b"", MALFORMED),
    ("2.1.2 type 15 before 5.0", Server(V311), 0xF0, b"", MALFORMED),
    ("2.1.3-1 CONNECT flags", New, 0x11, b"\0\x04MQTT\x04\x02\0\0\0\0", MALFORMED),
    ("2.1.3-1 PUBACK flags", Server(V311), 0x42, b"\0\x01", MALFORMED),
    ("3.6.1-1 PUBREL flags", Server(V311), 0x60, b"\0\x01", MALFORMED),
    ("3.6.1-1 PUBREL flags, repeated", Server(V311), 0x6A, b"\0\x01", MALFORMED),
    ("3.8.1-1 SUBSCRIBE flags", Server(V5), 0x80, b"\0\x01\0\0\x01a\0", MALFORMED),
    ("3.10.1-1 UNSUBSCRIBE flags", Server(V5), 0xA0, b"\0\x01\0\0\x01a", MALFORMED),
    ("2.1.3-1 PINGREQ flags", Server(V5), 0xC1, b"", MALFORMED),
    ("3.14.1-1 DISCONNECT flags", Server(V5), 0xE1, b"", MALFORMED),
    ("3.15.1-1 AUTH flags", Server(V5), 0xF1, b"\x18\x04\x15\0\x01m", MALFORMED),
    ("3.1.0-1 PUBLISH before CONNECT", New, 0x30, b"\0\x01a", PROTOCOL),
    ("3.1.0-1 PINGREQ before CONNECT", New, 0xC0, b"", PROTOCOL),
    ("3.1.0-1 AUTH before CONNECT", New, 0xF0, b"\x18\x04\x15\0\x01m", PROTOCOL),
    ("3.1.0-2 second CONNECT", Server(V311), 0x10, b"\0\x04MQTT\x04\x02\0\0\0\x01c", PROTOCOL),
    ("2.1.2 CONNACK to a server", Server(V5), 0x20, b"\0\0\0", PROTOCOL),
    ("2.1.2 SUBACK to a server", Server(V311), 0x90, b"\0\x01\0", PROTOCOL),
    ("2.1.2 UNSUBACK to a server", Server(V311), 0xB0, b"\0\x01", PROTOCOL),
    ("2.1.2 PINGRESP to a server", Server(V311), 0xD0, b"", PROTOCOL),
    ("2.1.2 SUBSCRIBE to a client", Client(V5), 0x82, b"\0\x01\0\0\x01a\0", PROTOCOL),
    ("2.1.2 CONNECT to a client", Client(V311), 0x10, b"\0\x04MQTT\x04\x02\0\0\0\x01c", PROTOCOL),
    ("3.1.1: 2.2.1 DISCONNECT to a client", Client(V311), 0xE0, b"", PROTOCOL),
    ("3.12 PINGREQ with a body", Server(V311), 0xC0, b"x", MALFORMED),
    ("3.13 PINGRESP with a body", Client(V311), 0xD0, b"x", MALFORMED),
    // CONNECT, section 3.1
    ("3.1.2-1 unknown name", New, 0x10, b"\0\x04MQTX\x04\x02\0\0\0\x01c", VERSION),
    ("3.1.2-1 name in the wrong case", New, 0x10, b"\0\x04mqtt\x04\x02\0\0\0\x01c", VERSION),
    ("3.1.2-2 level 6", New, 0x10, b"\0\x04MQTT\x06\x02\0\0\0\0\x01c", VERSION),
    ("3.1.2-2 level 3 of MQTT", New, 0x10, b"\0\x04MQTT\x03\x02\0\0\0\x01c", VERSION),
    ("3.1.2-2 level 4 of MQIsdp", New, 0x10, b"\0\x06MQIsdp\x04\x02\0\0\0\x01c", VERSION),
    ("3.1.2-2 bridge flag in 5.0", New, 0x10, b"\0\x04MQTT\x85\x02\0\0\0\0\x01c", VERSION),
    ("3.1.2-3 reserved flag", New, 0x10, b"\0\x04MQTT\x04\x03\0\0\0\x01c", MALFORMED),
    ("3.1.2-3 reserved flag in 5.0", New, 0x10, b"\0\x04MQTT\x05\x03\0\0\0\0\x01c", MALFORMED),
    ("3.1.2-11 will QoS without will", New, 0x10, b"\0\x04MQTT\x04\x0A\0\0\0\x01c", MALFORMED),
    ("3.1.2-13 will retain without will", New, 0x10, b"\0\x04MQTT\x04\x22\0\0\0\x01c", MALFORMED),
    ("3.1.2-12 will QoS 3", New, 0x10, b"\0\x04MQTT\x04\x1E\0\0\0\x01c\0\x01w\0\0", MALFORMED),
    ("3.1.1: 3.1.2-22 password without user", New, 0x10, b"\0\x04MQTT\x04\x42\0\0\0\x01c\0\x01p", MALFORMED),
    ("3.1: password without user", New, 0x10, b"\0\x06MQIsdp\x03\x42\0\0\0\x01c\0\x01p", MALFORMED),
    ("3.1.2-17 user name missing", New, 0x10, b"\0\x04MQTT\x04\x82\0\0\0\x01c", MALFORMED),
    ("3.1.2-19 password missing", New, 0x10, b"\0\x04MQTT\x04\xC2\0\0\0\x01c\0\x01u", MALFORMED),
    ("3.1.2-9 will missing", New, 0x10, b"\0\x04MQTT\x04\x06\0\0\0\x01c", MALFORMED),
    ("3.1.2-16 user name without its flag", New, 0x10, b"\0\x04MQTT\x04\x02\0\0\0\x01c\0\x01u", MALFORMED),
    ("3.1.3-3 client id missing", New, 0x10, b"\0\x04MQTT\x04\x02\0\0", MALFORMED),
    ("3.1.3-4 client id not UTF-8", New, 0x10, b"\0\x04MQTT\x04\x02\0\0\0\x01\xFF", MALFORMED),
    ("1.5.4-1 client id with a surrogate", New, 0x10, b"\0\x04MQTT\x04\x02\0\0\0\x03\xED\xA0\x80", MALFORMED),
    ("1.5.4-1 overlong character", New, 0x10, b"\0\x04MQTT\x04\x02\0\0\0\x02\xC1\x81", MALFORMED),
    ("1.5.4-2 client id with U+0000", New, 0x10, b"\0\x04MQTT\x04\x02\0\0\0\x02c\0", MALFORMED),
    ("1.5.4-2 user name with U+0000", New, 0x10, b"\0\x04MQTT\x04\x82\0\0\0\x01c\0\x01\0", MALFORMED),
    ("1.5.4-1 user name not UTF-8", New, 0x10, b"\0\x04MQTT\x04\x82\0\0\0\x01c\0\x02\xC3\x28", MALFORMED),
    ("4.13.1 bytes after the client id", New, 0x10, b"\0\x04MQTT\x04\x02\0\0\0\x01cx", MALFORMED),
    ("4.13.1 bytes after the password", New, 0x10, b"\0\x04MQTT\x04\xC2\0\0\0\x01c\0\x01u\0\x01px", MALFORMED),
    ("4.7.3-1 empty will topic", New, 0x10, b"\0\x04MQTT\x04\x06\0\0\0\x01c\0\0\0\0", MALFORMED),
    ("4.7.1-1 will topic with a wildcard", New, 0x10, b"\0\x04MQTT\x04\x06\0\0\0\x01c\0\x03a/#\0\0", MALFORMED),
    ("1.5.4-2 will topic with U+0000", New, 0x10, b"\0\x04MQTT\x05\x06\0\0\0\0\x01c\0\0\x02a\0\0\0", MALFORMED),
    ("3.1.2.11.1 properties missing", New, 0x10, b"\0\x04MQTT\x05\x02\0\0", MALFORMED),
    ("3.1.2.11.1 properties longer than the packet", New, 0x10, b"\0\x04MQTT\x05\x02\0\0\x7F\0\x01c", MALFORMED),
    ("3.1.2.11.3 receive maximum 0", New, 0x10, b"\0\x04MQTT\x05\x02\0\0\x03\x21\0\0\0\x01c", PROTOCOL),
    ("3.1.2.11.4 maximum packet size 0", New, 0x10, b"\0\x04MQTT\x05\x02\0\0\x05\x27\0\0\0\0\0\x01c", PROTOCOL),
    ("3.1.2.11.2 session expiry twice", New, 0x10, b"\0\x04MQTT\x05\x02\0\0\x0A\x11\0\0\0\x01\x11\0\0\0\x01\0\x01c", PROTOCOL),
    ("3.1.2.11.5 topic alias maximum twice, once 0", New, 0x10, b"\0\x04MQTT\x05\x02\0\0\x06\x22\0\0\x22\0\x01\0\x01c", PROTOCOL),
    ("3.1.2.11.6 request response information 2", New, 0x10, b"\0\x04MQTT\x05\x02\0\0\x02\x19\x02\0\x01c", PROTOCOL),
    ("3.1.2.11.7 request problem information 2", New, 0x10, b"\0\x04MQTT\x05\x02\0\0\x02\x17\x02\0\x01c", PROTOCOL),
    ("3.1.2.11.10 authentication data without method", New, 0x10, b"\0\x04MQTT\x05\x02\0\0\x04\x16\0\x01d\0\x01c", PROTOCOL),
    ("3.1.2.11.9 authentication method twice", New, 0x10, b"\0\x04MQTT\x05\x02\0\0\x08\x15\0\x01m\x15\0\x01m\0\x01c", PROTOCOL),
    ("2.2.2.2 topic alias in CONNECT", New, 0x10, b"\0\x04MQTT\x05\x02\0\0\x03\x23\0\x01\0\x01c", PROTOCOL),
    ("2.2.2.2 unknown property", New, 0x10, b"\0\x04MQTT\x05\x02\0\0\x02\x7E\x01\0\x01c", MALFORMED),
    ("2.2.2.2 property identifier of two bytes", New, 0x10, b"\0\x04MQTT\x05\x02\0\0\x03\x97\0\x01\0\x01c", MALFORMED),
    ("2.2.2.2 property cut by the end of the properties", New, 0x10, b"\0\x04MQTT\x05\x02\0\0\x04\x11\0\0\0\0\x01c", MALFORMED),
    ("1.5.7-1 user property not UTF-8", New, 0x10, b"\0\x04MQTT\x05\x02\0\0\x07\x26\0\x01\xFF\0\x01v\0\x01c", MALFORMED),
    ("3.1.3.2 session expiry among the will properties", New, 0x10, b"\0\x04MQTT\x05\x06\0\0\0\0\x01c\x05\x11\0\0\0\x01\0\x01w\0\0", PROTOCOL),
    ("3.1.3.2.2 will delay twice", New, 0x10, b"\0\x04MQTT\x05\x06\0\0\0\0\x01c\x0A\x18\0\0\0\0\x18\0\0\0\0\0\x01w\0\0", PROTOCOL),
    ("3.1.3.2.3 payload format 2", New, 0x10, b"\0\x04MQTT\x05\x06\0\0\0\0\x01c\x02\x01\x02\0\x01w\0\0", PROTOCOL),
    ("3.3.2-14 response topic of a will with a wildcard", New, 0x10, b"\0\x04MQTT\x05\x06\0\0\0\0\x01c\x04\x08\0\x01+\0\x01w\0\0", MALFORMED),
    // CONNACK, section 3.2
    ("3.2.2-1 reserved flags", Client(V311), 0x20, b"\x02\0", MALFORMED),
    ("3.2.2-6 session present on refusal", Client(V5), 0x20, b"\x01\x87\0", PROTOCOL),
    ("3.1.1: 3.2.2.3 reserved return code", Client(V311), 0x20, b"\0\x06", PROTOCOL),
    ("3.2.2-8 reason code of another packet", Client(V5), 0x20, b"\0\x92\0", PROTOCOL),
    ("3.2.2.3.4 maximum QoS 2", Client(V5), 0x20, b"\0\0\x02\x24\x02", PROTOCOL),
    ("3.2.2.3.3 receive maximum 0", Client(V5), 0x20, b"\0\0\x03\x21\0\0", PROTOCOL),
    ("3.2.2 bytes after a CONNACK of 3.1.1", Client(V311), 0x20, b"\0\0\0", MALFORMED),
    ("3.2.2.3 will delay in CONNACK", Client(V5), 0x20, b"\0\0\x05\x18\0\0\0\0", PROTOCOL),
    // PUBLISH, section 3.3
    ("3.3.1-4 QoS 3", Server(V311), 0x36, b"\0\x01a\0\x01", MALFORMED),
    ("3.3.1-4 QoS 3 in 5.0", Server(V5), 0x3F, b"\0\x01a\0\x01\0", MALFORMED),
    ("3.3.1-2 DUP with QoS 0", Server(V5), 0x38, b"\0\x01a\0", MALFORMED),
    ("3.1.1: 3.3.1-2 DUP with QoS 0", Server(V311), 0x38, b"\0\x01a", MALFORMED),
    ("2.2.1-3 packet id 0", Server(V311), 0x32, b"\0\x01a\0\0", MALFORMED),
    ("2.2.1-3 packet id 0 in 5.0", Server(V5), 0x34, b"\0\x01a\0\0\0", MALFORMED),
    ("2.2.1 packet id missing", Server(V311), 0x32, b"\0\x01a", MALFORMED),
    ("4.7.3-1 empty topic", Server(V311), 0x30, b"\0\0x", MALFORMED),
    ("3.3.2.1 neither topic nor alias", Server(V5), 0x30, b"\0\0\0x", PROTOCOL),
    ("3.3.2-2 topic with #", Server(V311), 0x30, b"\0\x03a/#", MALFORMED),
    ("3.3.2-2 topic with +", Server(V5), 0x30, b"\0\x03a/+\0", MALFORMED),
    ("4.7.3-2 topic with U+0000", Server(V311), 0x30, b"\0\x03a\0b", MALFORMED),
    ("3.3.2-1 topic not UTF-8", Server(V311), 0x30, b"\0\x02a\xFE", MALFORMED),
    ("1.5.4-1 topic cut in a character", Server(V311), 0x30, b"\0\x02a\xC3\xA9", MALFORMED),
    ("3.3.2 topic longer than the packet", Server(V311), 0x30, b"\0\x05a", MALFORMED),
    ("3.3.2 body of one byte", Server(V311), 0x30, b"\0", MALFORMED),
    ("3.3.2 no body", Server(V311), 0x30, b"", MALFORMED),
    ("3.3.2.3.1 properties missing", Server(V5), 0x30, b"\0\x01a", MALFORMED),
    ("3.3.2-8 alias 0", Server(V5), 0x30, b"\0\x01a\x03\x23\0\0", ALIAS),
    ("3.3.2.3.4 alias twice", Server(V5), 0x30, b"\0\x01a\x06\x23\0\x01\x23\0\x01", PROTOCOL),
    ("3.3.4-6 subscription identifier from a client", Server(V5), 0x30, b"\0\x01a\x02\x0B\x01", PROTOCOL),
    ("3.3.2.3.8 subscription identifier 0", Client(V5), 0x30, b"\0\x01a\x02\x0B\0", PROTOCOL),
    ("1.5.5-1 subscription identifier in a long form", Client(V5), 0x30, b"\0\x01a\x03\x0B\x81\0", MALFORMED),
    ("3.3.2-14 response topic with a wildcard", Server(V5), 0x30, b"\0\x01a\x06\x08\0\x03r/#", MALFORMED),
    ("3.3.2-13 response topic not UTF-8", Server(V5), 0x30, b"\0\x01a\x04\x08\0\x01\xFF", MALFORMED),
    ("3.3.2.3.2 payload format 2", Server(V5), 0x30, b"\0\x01a\x02\x01\x02", PROTOCOL),
    ("3.3.2.3.2 payload format twice", Server(V5), 0x30, b"\0\x01a\x04\x01\x01\x01\x01", PROTOCOL),
    ("3.3.2.3.3 message expiry twice", Server(V5), 0x30, b"\0\x01a\x0A\x02\0\0\0\x01\x02\0\0\0\x01", PROTOCOL),
    ("3.3.2.3.6 correlation data twice", Server(V5), 0x30, b"\0\x01a\x06\x09\0\0\x09\0\0", PROTOCOL),
    ("3.3.2-19 content type not UTF-8", Server(V5), 0x30, b"\0\x01a\x04\x03\0\x01\xFF", MALFORMED),
    ("3.3.2-17 user property with U+0000", Server(V5), 0x30, b"\0\x01a\x06\x26\0\x01\0\0\0", MALFORMED),
    ("2.2.2.2 session expiry in PUBLISH", Server(V5), 0x30, b"\0\x01a\x05\x11\0\0\0\x01", PROTOCOL),
    ("2.2.2.2 unknown property in PUBLISH", Server(V5), 0x30, b"\0\x01a\x02\x04\0", MALFORMED),
    ("2.2.2-1 properties longer than the packet", Server(V5), 0x30, b"\0\x01a\x05\x01\0", MALFORMED),
    ("2.2.2.2 property that reaches into the payload", Server(V5), 0x30, b"\0\x01a\x02\x02\0\0\0\x01x", MALFORMED),
    ("1.5.5-1 property length in a long form", Server(V5), 0x30, b"\0\x01a\x80\0x", MALFORMED),
    ("1.5.5 property length of five bytes", Server(V5), 0x30, b"\0\x01a\x80\x80\x80\x80\x01", MALFORMED),
    // Acknowledgements, sections 3.4 to 3.7
    ("2.2.1-3 PUBACK packet id 0", Server(V311), 0x40, b"\0\0", MALFORMED),
    ("3.4.2 PUBACK of one byte", Server(V311), 0x40, b"\0", MALFORMED),
    ("3.1.1: 3.4 PUBACK with a reason", Server(V311), 0x40, b"\0\x01\0", MALFORMED),
    ("3.4.2-1 PUBACK with a reason of another packet", Server(V5), 0x40, b"\0\x01\x92", PROTOCOL),
    ("3.4.2-1 PUBACK with an unknown reason", Server(V5), 0x40, b"\0\x01\x03", PROTOCOL),
    ("3.5.2-1 PUBREC with a reason of another packet", Server(V5), 0x50, b"\0\x01\x01", PROTOCOL),
    ("3.6.2-1 PUBREL with a reason of another packet", Server(V5), 0x62, b"\0\x01\x80", PROTOCOL),
    ("3.7.2-1 PUBCOMP with a reason of another packet", Server(V5), 0x70, b"\0\x01\x10", PROTOCOL),
    ("3.4.2.2.2 reason string twice", Server(V5), 0x40, b"\0\x01\0\x08\x1F\0\x01r\x1F\0\x01r", PROTOCOL),
    ("3.4.2.2 session expiry in PUBACK", Server(V5), 0x40, b"\0\x01\0\x05\x11\0\0\0\x01", PROTOCOL),
    ("3.4.2.2 bytes after the properties", Server(V5), 0x40, b"\0\x01\0\0x", MALFORMED),
    ("3.7.2 bytes after a PUBCOMP", Server(V311), 0x70, b"\0\x01x", MALFORMED),
    // SUBSCRIBE and UNSUBSCRIBE, sections 3.8 and 3.10
    ("2.2.1-3 SUBSCRIBE packet id 0", Server(V311), 0x82, b"\0\0\0\x01a\0", MALFORMED),
    ("3.8.3-2 no filter", Server(V311), 0x82, b"\0\x01", PROTOCOL),
    ("3.8.3-2 no filter in 5.0", Server(V5), 0x82, b"\0\x01\0", PROTOCOL),
    ("3.8.3 options missing", Server(V311), 0x82, b"\0\x01\0\x01a", MALFORMED),
    ("3.8.3-1 filter not UTF-8", Server(V311), 0x82, b"\0\x01\0\x01\xFF\0", MALFORMED),
    ("4.7.3-1 empty filter", Server(V311), 0x82, b"\0\x01\0\0\0", MALFORMED),
    ("4.7.3-2 filter with U+0000", Server(V311), 0x82, b"\0\x01\0\x02a\0\0", MALFORMED),
    ("4.7.1-1 a/#/b", Server(V311), 0x82, b"\0\x01\0\x05a/#/b\0", MALFORMED),
    ("4.7.1-1 a#", Server(V5), 0x82, b"\0\x01\0\0\x02a#\0", MALFORMED),
    ("4.7.1-2 a+", Server(V311), 0x82, b"\0\x01\0\x02a+\0", MALFORMED),
    ("4.7.1-2 +a/b", Server(V5), 0x82, b"\0\x01\0\0\x04+a/b\0", MALFORMED),
    ("3.1.1: 3.8.3-4 QoS 3", Server(V311), 0x82, b"\0\x01\0\x01a\x03", MALFORMED),
    ("3.1.1: 3.8.3-4 reserved bits", Server(V311), 0x82, b"\0\x01\0\x01a\x04", MALFORMED),
    ("3.8.3-5 reserved bits", Server(V5), 0x82, b"\0\x01\0\0\x01a\x40", MALFORMED),
    ("3.8.3.1 QoS 3", Server(V5), 0x82, b"\0\x01\0\0\x01a\x03", PROTOCOL),
    ("3.8.3.1 retain handling 3", Server(V5), 0x82, b"\0\x01\0\0\x01a\x30", PROTOCOL),
    ("3.8.3-4 shared with no local", Server(V5), 0x82, b"\0\x01\0\0\x0A$share/g/a\x04", PROTOCOL),
    ("4.8.2-1 $share/g", Server(V5), 0x82, b"\0\x01\0\0\x08$share/g\0", MALFORMED),
    ("4.8.2-2 $share/g/", Server(V5), 0x82, b"\0\x01\0\0\x09$share/g/\0", MALFORMED),
    ("4.8.2-1 $share//a", Server(V5), 0x82, b"\0\x01\0\0\x09$share//a\0", MALFORMED),
    ("4.8.2-2 $share/+/a", Server(V5), 0x82, b"\0\x01\0\0\x0A$share/+/a\0", MALFORMED),
    ("4.8.2-2 $share/g#/a", Server(V5), 0x82, b"\0\x01\0\0\x0B$share/g#/a\0", MALFORMED),
    ("3.8.2.1.2 subscription identifier 0", Server(V5), 0x82, b"\0\x01\x02\x0B\0\0\x01a\0", PROTOCOL),
    ("3.8.2.1.2 subscription identifier twice", Server(V5), 0x82, b"\0\x01\x04\x0B\x01\x0B\x02\0\x01a\0", PROTOCOL),
    ("3.8.2.1 reason string in SUBSCRIBE", Server(V5), 0x82, b"\0\x01\x04\x1F\0\x01r\0\x01a\0", PROTOCOL),
    ("3.8.3 second filter cut", Server(V311), 0x82, b"\0\x01\0\x01a\0\0\x05b", MALFORMED),
    ("3.10.3-2 no filter", Server(V311), 0xA2, b"\0\x01", PROTOCOL),
    ("2.2.1-3 UNSUBSCRIBE packet id 0", Server(V5), 0xA2, b"\0\0\0\0\x01a", MALFORMED),
    ("3.10.3-1 filter not UTF-8", Server(V311), 0xA2, b"\0\x01\0\x01\xFF", MALFORMED),
    ("4.7.1-1 UNSUBSCRIBE a/#/b", Server(V311), 0xA2, b"\0\x01\0\x05a/#/b", MALFORMED),
    ("3.10.2.1 subscription identifier in UNSUBSCRIBE", Server(V5), 0xA2, b"\0\x01\x02\x0B\x01\0\x01a", PROTOCOL),
    ("3.10.3 filter cut", Server(V311), 0xA2, b"\0\x01\0\x05a", MALFORMED),
    // SUBACK and UNSUBACK, sections 3.9 and 3.11
    ("3.9.3 no reason code", Client(V311), 0x90, b"\0\x01", PROTOCOL),
    ("3.1.1: 3.9.3-2 reserved return code", Client(V311), 0x90, b"\0\x01\x03", PROTOCOL),
    ("3.1.1: 3.9.3-2 a reason of 5.0", Client(V311), 0x90, b"\0\x01\x87", PROTOCOL),
    ("3.9.3-2 reason of another packet", Client(V5), 0x90, b"\0\x01\0\x11", PROTOCOL),
    ("3.9.2.1 properties missing", Client(V5), 0x90, b"\0\x01", MALFORMED),
    ("3.1.1: 3.11 UNSUBACK with a payload", Client(V311), 0xB0, b"\0\x01\0", MALFORMED),
    ("3.11.3-2 reason of another packet", Client(V5), 0xB0, b"\0\x01\0\x01", PROTOCOL),
    // DISCONNECT and AUTH, sections 3.14 and 3.15
    ("3.1.1: 3.14 DISCONNECT with a body", Server(V311), 0xE0, b"\0", MALFORMED),
    ("3.14.2-1 unknown reason", Server(V5), 0xE0, b"\x05", PROTOCOL),
    ("3.14.2-1 reason of a server from a client", Server(V5), 0xE0, b"\x8E", PROTOCOL),
    ("3.14.2-1 reason of a client from a server", Client(V5), 0xE0, b"\x04", PROTOCOL),
    ("3.14.2-2 session expiry from a server", Client(V5), 0xE0, b"\0\x05\x11\0\0\0\x01", PROTOCOL),
    ("3.14.2.2.5 server reference from a client", Server(V5), 0xE0, b"\0\x04\x1C\0\x01s", PROTOCOL),
    ("3.14.2.2.2 session expiry twice", Server(V5), 0xE0, b"\0\x0A\x11\0\0\0\x01\x11\0\0\0\x01", PROTOCOL),
    ("3.14.2 bytes after the properties", Server(V5), 0xE0, b"\0\0x", MALFORMED),
    ("3.15.2.2.2 AUTH without a method", Server(V5), 0xF0, b"\x18\0", PROTOCOL),
    ("3.15.2.2.2 AUTH without anything", Client(V5), 0xF0, b"", PROTOCOL),
    ("3.15.2.2.2 AUTH with data only", Server(V5), 0xF0, b"\x18\x04\x16\0\x01d", PROTOCOL),
    ("3.15.2.2.2 method twice", Server(V5), 0xF0, b"\x18\x08\x15\0\x01m\x15\0\x01m", PROTOCOL),
    ("3.15.2-1 success from a client", Server(V5), 0xF0, b"\0\x04\x15\0\x01m", PROTOCOL),
    ("3.15.2-1 re-authenticate from a server", Client(V5), 0xF0, b"\x19\x04\x15\0\x01m", PROTOCOL),
    ("3.15.2-1 unknown reason", Server(V5), 0xF0, b"\x17\x04\x15\0\x01m", PROTOCOL),
];

#[test]
fn valid_packets_decode_and_come_back() {
    for (clause, reader, first, body) in VALID.iter().copied() {
        let ctx = context(reader);
        let bytes = frame(first, body);
        let packet = decode_whole(&bytes, &ctx).unwrap_or_else(|error| panic!("{clause}: {error}"));
        let packet = packet.unwrap_or_else(|| panic!("{clause}: incomplete"));
        assert_eq!(packet.packet_type() as u8, first >> 4, "{clause}");
        check_pieces(&bytes, &ctx, None);
        let version = match &packet {
            Packet::Connect(connect) => connect.version,
            _ => ctx.version.unwrap(),
        };
        let mut again = Vec::new();
        packet.encode(version, &mut again);
        assert_eq!(decode_whole(&again, &ctx), Ok(Some(packet)), "{clause}");
    }
}

#[test]
fn invalid_packets_are_refused_with_their_reason() {
    for (clause, reader, first, body, expect) in INVALID.iter().copied() {
        let ctx = context(reader);
        let bytes = frame(first, body);
        match decode_whole(&bytes, &ctx) {
            Err(error) => assert_eq!(error.reason, expect, "{clause}: {error}"),
            other => panic!("{clause}: {other:?}"),
        }
        check_pieces(&bytes, &ctx, Some(expect));
    }
}

/// What the body of a table row cannot show: the remaining length itself.
#[test]
fn mqtt_2_1_4_remaining_lengths() {
    let ctx = context(Server(V311));
    for (bytes, expect) in [
        (&[0xC0, 0x80, 0x00][..], MALFORMED),
        (&[0x30, 0x85, 0x80, 0x00, 0, 1, b'a', b'b', b'c'], MALFORMED),
        (&[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x01], MALFORMED),
        (&[0x30, 0x80, 0x80, 0x80, 0x80], MALFORMED),
    ] {
        assert_eq!(decode_whole(bytes, &ctx).unwrap_err().reason, expect, "{bytes:02x?}");
    }
    // The largest packet of all is waited for, one byte above the reader's maximum is not.
    assert_eq!(decode_whole(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F], &ctx), Ok(None));
    let small = DecodeContext { packet_bytes_max: 6, ..ctx };
    assert!(decode_whole(b"\x30\x04\0\x01ab", &small).unwrap().is_some());
    assert_eq!(decode_whole(b"\x30\x05\0", &small).unwrap_err().reason, ReasonCode::PacketTooLarge);
    let connect = DecodeContext { packet_bytes_max: 100, ..context(New) };
    assert_eq!(decode_whole(b"\x10\x80\x01", &connect).unwrap_err().reason, ReasonCode::PacketTooLarge);
}

#[test]
fn the_tables_cover_every_packet_type() {
    assert!(VALID.len() >= 21 && INVALID.len() >= 66, "{} valid, {} invalid", VALID.len(), INVALID.len());
    for kind in 1..=15_u8 {
        let name = PacketType::from_first_byte(kind << 4).unwrap().name();
        assert!(VALID.iter().any(|row| row.2 >> 4 == kind), "no valid {name}");
        assert!(INVALID.iter().any(|row| row.2 >> 4 == kind), "no invalid {name}");
    }
    // A name says which packet failed, so each is there once.
    let mut names: Vec<_> = VALID.iter().map(|row| row.0).chain(INVALID.iter().map(|row| row.0)).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}

/// A CONNECT that is refused can be answered in the version it asked for, as far as that was understood.
#[test]
fn a_refused_connect_says_how_to_answer() {
    for (clause, reader, first, body, _) in
        INVALID.iter().copied().filter(|row| row.1 == New && row.2 == 0x10)
    {
        let error = decode_whole(&frame(first, body), &context(reader)).unwrap_err();
        let knows_name = body.starts_with(b"\0\x04MQTT") || body.starts_with(b"\0\x06MQIsdp");
        assert_eq!(error.answer.is_some(), knows_name, "{clause}");
    }
    assert_eq!(Side::Server, context(New).side);
}
