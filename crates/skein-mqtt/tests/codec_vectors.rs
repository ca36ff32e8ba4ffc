//! Packets and what becomes of each: the reason code a server closes with, and the clause that asks for it.
//!
//! The tables are data: the packet's first byte, its body, and the expected outcome; the remaining length is put in
//! between. What is decoded is also encoded and decoded again, and every packet is fed piece by piece as well.

#[path = "codec_vectors/invalid.rs"]
mod invalid;
#[path = "codec_vectors/properties.rs"]
mod properties;

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
use invalid::INVALID;

const MALFORMED: ReasonCode = ReasonCode::MalformedPacket;

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
    ("3.1 the unused flag", New, 0x10, b"\0\x06MQIsdp\x03\x03\0\x3c\0\x01c"),
    ("3.1 flags of a will that is not there are disregarded", New, 0x10, b"\0\x06MQIsdp\x03\x3A\0\x3c\0\x01c"),
    ("3.1 flags of the fixed header are not used", New, 0x1F, b"\0\x06MQIsdp\x03\x02\0\x3c\0\x01c"),
    ("3.1 client ids may be longer than 23 characters", New, 0x10, b"\0\x06MQIsdp\x03\x02\0\x3c\0\x18abcdefghijklmnopqrstuvwx"),
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
    ("3.1 flags of a PUBACK are not used", Server(V31), 0x4F, b"\0\x01"),
    ("3.1 retain flag of a PUBREL is not used", Server(V31), 0x63, b"\0\x01"),
    ("3.1 upper bits of a requested QoS are not used", Server(V31), 0x82, b"\0\x01\0\x01a\xFD"),
    ("3.1 flags of a PINGREQ are not used", Server(V31), 0xC1, b""),
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
        // The level stands behind the name.
        let level = body.strip_prefix(b"\0\x04MQTT").or(body.strip_prefix(b"\0\x06MQIsdp")).unwrap_or(b"");
        assert_eq!(error.answer.is_some(), !level.is_empty(), "{clause}");
    }
    assert_eq!(Side::Server, context(New).side);
}

/// MQTT-3.1.2-2: a level above 5 is answered as 5.0 answers, for its client is newer; every other unknown level as 3.1.1
/// does, whose answer all older clients know.
#[test]
fn mqtt_3_1_2_2_an_unknown_level_has_an_answer_its_client_understands() {
    for (name, known) in [(&b"\0\x04MQTT"[..], &[4, 5, 0x84][..]), (b"\0\x06MQIsdp", &[3, 0x83])] {
        for level in (0..=u8::MAX).filter(|level| !known.contains(level)) {
            let body = [name, &[level, 2, 0, 0, 0, 1, b'c']].concat();
            let error = decode_whole(&frame(0x10, &body), &context(New)).unwrap_err();
            assert_eq!(error.reason, ReasonCode::UnsupportedProtocolVersion, "{body:02x?}");
            let newer = name.len() == 6 && (level & 0x7F > 5 || level == 0x85);
            assert_eq!(error.answer, Some(if newer { V5 } else { V311 }), "{body:02x?}");
        }
    }
}
