//! Tests of the client codec against bytes written out by hand from the standard.

use super::{
    Ack, CodecError, ConnectFields, Decoded, Packet, Protocol, Publish, PublishFields, PublishTemplate, Qos,
    decode, write_ack, write_connect, write_publish, write_subscribe, write_unsubscribe,
};

fn packet(bytes: &[u8], protocol: Protocol) -> Packet<'_> {
    match decode(bytes, protocol).expect("the bytes are a packet") {
        Decoded::Packet(packet, []) => packet,
        other => panic!("expected one whole packet, got {other:?}"),
    }
}

#[test]
fn connect_of_both_versions_matches_the_standard() {
    let mut fields = ConnectFields {
        protocol: Protocol::V3,
        client_id: "ab",
        keep_alive_seconds: 60,
        user: Some("u"),
        password: Some("pw"),
        durable: false,
    };
    let mut out = Vec::new();
    write_connect(&mut out, &fields);
    assert_eq!(out, b"\x10\x15\0\x04MQTT\x04\xC2\0\x3C\0\x02ab\0\x01u\0\x02pw");
    fields = ConnectFields { protocol: Protocol::V5, user: None, password: None, ..fields };
    out.clear();
    write_connect(&mut out, &fields);
    assert_eq!(out, b"\x10\x0F\0\x04MQTT\x05\x02\0\x3C\0\0\x02ab");
    fields = ConnectFields { durable: true, ..fields };
    out.clear();
    write_connect(&mut out, &fields);
    assert_eq!(out, b"\x10\x14\0\x04MQTT\x05\0\0\x3C\x05\x11\0\0\x0E\x10\0\x02ab");
}

#[test]
fn subscribe_and_acks_match_the_standard() {
    let mut out = Vec::new();
    write_subscribe(&mut out, Protocol::V3, 7, "a/#", Qos::AtLeastOnce);
    assert_eq!(out, b"\x82\x08\0\x07\0\x03a/#\x01");
    out.clear();
    write_subscribe(&mut out, Protocol::V5, 7, "a/#", Qos::ExactlyOnce);
    assert_eq!(out, b"\x82\x09\0\x07\0\0\x03a/#\x02");
    out.clear();
    write_unsubscribe(&mut out, Protocol::V3, 7, "a/#");
    assert_eq!(out, b"\xA2\x07\0\x07\0\x03a/#");
    out.clear();
    write_unsubscribe(&mut out, Protocol::V5, 7, "a/#");
    assert_eq!(out, b"\xA2\x08\0\x07\0\0\x03a/#");
    out.clear();
    write_ack(&mut out, Ack::PubRel, 0x0102);
    assert_eq!(out, [0x62, 2, 1, 2]);
}

#[test]
fn template_puts_id_sequence_and_time_in_place() {
    for protocol in [Protocol::V3, Protocol::V5] {
        for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
            let fields = PublishFields { protocol, qos, retain: false, topic: "t/1" };
            let template = PublishTemplate::new(fields, &[b'x'; 20]);
            let mut out = vec![9, 9];
            template.write(&mut out, 513, 77, 99);
            let written = &out[2..];
            assert_eq!(written.len(), template.len());
            let Packet::Publish(Publish { qos: read, packet_id, topic, payload, retain }) =
                packet(written, protocol)
            else {
                panic!("a template writes a PUBLISH")
            };
            assert_eq!((read, topic, retain), (qos, &b"t/1"[..], false));
            assert_eq!(packet_id, if qos == Qos::AtMostOnce { 0 } else { 513 });
            assert_eq!(payload[..8], 77_u64.to_le_bytes());
            assert_eq!(payload[8..16], 99_u64.to_le_bytes());
            assert_eq!(&payload[16..], b"xxxx");
        }
    }
}

#[test]
fn a_packet_split_at_any_byte_is_partial() {
    let mut out = Vec::new();
    let fields =
        PublishFields { protocol: Protocol::V5, qos: Qos::AtLeastOnce, retain: true, topic: "long/topic" };
    write_publish(&mut out, fields, 4, &[1; 300]);
    for cut in 0..out.len() {
        assert_eq!(decode(&out[..cut], Protocol::V5), Ok(Decoded::Partial), "cut at {cut}");
    }
    out.push(0xD0);
    assert!(matches!(decode(&out, Protocol::V5), Ok(Decoded::Packet(Packet::Publish(_), [0xD0]))));
}

#[test]
fn connack_limits_are_read() {
    let bytes = b"\x20\x0D\0\0\x0A\x21\0\x14\x24\x01\x25\0\x13\0\x1E";
    let Packet::ConnAck(connack) = packet(bytes, Protocol::V5) else { panic!("a CONNACK") };
    assert_eq!((connack.receive_maximum, connack.qos_max, connack.retain_available), (20, 1, false));
    assert_eq!(connack.keep_alive_seconds, Some(30));
    let Packet::ConnAck(refused) = packet(&[0x20, 2, 0, 5], Protocol::V3) else { panic!("a CONNACK") };
    assert_eq!(refused.reason, 5);
}

#[test]
fn acks_read_their_reason_in_either_form() {
    assert_eq!(packet(&[0x40, 2, 0, 9], Protocol::V5), Packet::PubAck { packet_id: 9, reason: 0 });
    assert_eq!(packet(&[0x40, 3, 0, 9, 0x97], Protocol::V5), Packet::PubAck { packet_id: 9, reason: 0x97 });
    assert_eq!(packet(&[0x90, 3, 0, 1, 0x80], Protocol::V3), Packet::SubAck { packet_id: 1, reason: 0x80 });
    assert_eq!(packet(&[0x90, 4, 0, 1, 0, 2], Protocol::V5), Packet::SubAck { packet_id: 1, reason: 2 });
    assert_eq!(packet(&[0xB0, 2, 0, 7], Protocol::V3), Packet::UnsubAck { packet_id: 7 });
    assert_eq!(packet(&[0xB0, 4, 0, 7, 0, 0x11], Protocol::V5), Packet::UnsubAck { packet_id: 7 });
    assert_eq!(packet(&[0xE0, 0], Protocol::V5), Packet::Disconnect { reason: 0 });
}

#[test]
fn broken_packets_are_named_errors() {
    let cases: [(&[u8], CodecError); 7] = [
        (&[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 1], CodecError::RemainingLength),
        (&[0x36, 3, 0, 1, b'a'], CodecError::Qos),
        (&[0x30, 3, 0, 9, b'a'], CodecError::Short { packet_type: 3 }),
        (&[0x32, 5, 0, 1, b'a', 0, 0], CodecError::PacketIdZero { packet_type: 3 }),
        (&[0x60, 2, 0, 1], CodecError::Flags { packet_type: 6, flags: 0 }),
        (&[0xC0, 0], CodecError::NotFromServer { packet_type: 12 }),
        (&[0x20, 1, 0], CodecError::Short { packet_type: 2 }),
    ];
    for (bytes, expected) in cases {
        assert_eq!(decode(bytes, Protocol::V3), Err(expected), "{bytes:?}");
    }
    let unknown = b"\x20\x05\0\0\x02\x7E\0";
    assert_eq!(
        decode(unknown, Protocol::V5),
        Err(CodecError::Property { packet: "CONNACK", id: 0x7E }),
        "a property a CONNACK cannot carry"
    );
}
