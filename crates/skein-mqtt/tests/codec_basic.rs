//! The codec's everyday cases: whole packets, pieces of packets, and what an encoder leaves out on request.

use std::num::NonZeroU16;

use bytes::Bytes;
use skein_mqtt::codec::{
    Ack, AckProperties, Connect, DecodeContext, Packet, Publish, PublishHead, ReasonCode, Side, SubAck,
    Version, decode, encode_publish_head, publish_length,
};
use skein_types::{QoS, Topic};

fn server(version: Version) -> DecodeContext {
    DecodeContext { version: Some(version), ..DecodeContext::server() }
}

fn encoded(packet: &Packet, version: Version) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(version, &mut out);
    assert_eq!(out.len(), packet.encoded_len(version));
    out
}

fn id(value: u16) -> NonZeroU16 {
    NonZeroU16::new(value).expect("tests use ids above 0")
}

#[test]
fn a_connect_opens_every_version() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let packet = Packet::Connect(Box::new(Connect::new(version, "c".into())));
        let mut buf = Bytes::from(encoded(&packet, version));
        assert_eq!(decode(&mut buf, &DecodeContext::server()), Ok(Some(packet)));
        assert!(buf.is_empty());
    }
}

#[test]
fn packets_are_taken_one_after_the_other_and_share_the_buffer() {
    let publish = Packet::Publish(Publish {
        topic: Some(Topic::try_from("a/b").unwrap()),
        payload: Bytes::from_static(b"hello"),
        ..Publish::default()
    });
    let mut bytes = encoded(&publish, Version::V311);
    let first = bytes.len();
    bytes.extend(encoded(&Packet::PingReq, Version::V311));
    bytes.extend(encoded(&publish, Version::V311));
    bytes.pop();
    let mut buf = Bytes::from(bytes);
    let whole = buf.clone();
    let Ok(Some(Packet::Publish(taken))) = decode(&mut buf, &server(Version::V311)) else {
        panic!("no PUBLISH")
    };
    assert_eq!(Packet::Publish(taken.clone()), publish);
    // The payload is a slice of what was read, not a copy.
    assert_eq!(taken.payload.as_ptr(), whole.slice(first - 5..first).as_ptr());
    assert_eq!(decode(&mut buf, &server(Version::V311)), Ok(Some(Packet::PingReq)));
    let left = buf.len();
    assert_eq!(decode(&mut buf, &server(Version::V311)), Ok(None));
    assert_eq!(buf.len(), left);
}

#[test]
fn a_packet_too_large_is_refused_before_its_body_arrives() {
    let ctx = DecodeContext { packet_bytes_max: 1000, ..server(Version::V5) };
    let mut buf = Bytes::from_static(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F]);
    assert_eq!(decode(&mut buf, &ctx).unwrap_err().reason, ReasonCode::PacketTooLarge);
}

#[test]
fn a_head_tells_where_its_packet_id_lies() {
    for version in [Version::V31, Version::V311, Version::V5] {
        for topic_len in [1, 100, 200, 20_000] {
            let topic = "t".repeat(topic_len);
            let head = PublishHead {
                topic: &topic,
                qos: QoS::AtLeastOnce,
                alias: NonZeroU16::new(3),
                subscription_ids: &[1, 200, 268_435_455],
                ..PublishHead::default()
            };
            let mut out = vec![0xEE; 7];
            let at = encode_publish_head(&head, version, 4, &mut out).unwrap();
            out.extend_from_slice(b"body");
            assert_eq!(out.len() - 7, publish_length(&head, version, 4));
            out[7 + at..7 + at + 2].copy_from_slice(&[0x12, 0x34]);
            let mut frame = Bytes::from(out).slice(7..);
            let Ok(Some(Packet::Publish(publish))) = decode(&mut frame, &DecodeContext::client(version))
            else {
                panic!("no PUBLISH");
            };
            assert_eq!(publish.packet_id, NonZeroU16::new(0x1234));
            assert_eq!(&publish.payload[..], b"body");
            assert_eq!(publish.topic.as_deref(), Some(&*topic));
            assert_eq!(publish.subscription_ids.len(), if version.is_v5() { 3 } else { 0 });
        }
    }
}

#[test]
fn mqtt_3_4_2_details_that_do_not_fit_are_left_out() {
    let properties =
        AckProperties { reason_string: Some("because".into()), user: vec![("k".into(), "v".into())] };
    let mut ack = Ack::with_reason(id(7), ReasonCode::NotAuthorized);
    ack.properties = Some(Box::new(properties));
    let packet = Packet::PubAck(ack);
    let within = |max: u32| {
        let mut out = Vec::new();
        packet.encode_within(Version::V5, max, &mut out).then_some(out)
    };
    // Two bytes of fixed header, four up to the properties, ten of reason string, seven of user property.
    assert_eq!(within(23).unwrap().len(), 23);
    assert_eq!(within(22).unwrap().len(), 16);
    assert_eq!(within(16).unwrap().len(), 16);
    assert_eq!(within(15).unwrap(), [0x40, 3, 0, 7, 0x87]);
    assert_eq!(within(5).unwrap(), [0x40, 3, 0, 7, 0x87]);
    assert_eq!(within(4), None);
}

#[test]
fn mqtt_311_acknowledgements_have_no_reasons() {
    let ack = Packet::PubAck(Ack::with_reason(id(7), ReasonCode::NoMatchingSubscribers));
    assert_eq!(encoded(&ack, Version::V311), [0x40, 2, 0, 7]);
    let suback = Packet::SubAck(Box::new(SubAck {
        packet_id: id(7),
        reasons: vec![ReasonCode::GrantedQos2, ReasonCode::NotAuthorized],
        properties: None,
    }));
    assert_eq!(encoded(&suback, Version::V311), [0x90, 4, 0, 7, 2, 0x80]);
    assert_eq!(encoded(&suback, Version::V5), [0x90, 5, 0, 7, 0, 2, 0x87]);
}

#[test]
fn an_unknown_protocol_level_can_be_answered_and_an_unknown_name_cannot() {
    for (bytes, answer) in [
        (&b"\x10\x0c\x00\x04MQTT\x06\x02\x00\x00\x00\x00"[..], Some(Version::V5)),
        (b"\x10\x0c\x00\x04MQTT\x03\x02\x00\x00\x00\x00", Some(Version::V311)),
        (b"\x10\x0c\x00\x04MQTX\x04\x02\x00\x00\x00\x00", None),
    ] {
        let error = decode(&mut Bytes::from_static(bytes), &DecodeContext::server()).unwrap_err();
        assert_eq!((error.reason, error.answer), (ReasonCode::UnsupportedProtocolVersion, answer));
    }
}

#[test]
fn a_client_reads_what_a_server_must_not_get() {
    let ctx = DecodeContext { side: Side::Client, ..server(Version::V5) };
    assert_eq!(decode(&mut Bytes::from_static(&[0xD0, 0]), &ctx), Ok(Some(Packet::PingResp)));
    assert_eq!(
        decode(&mut Bytes::from_static(&[0xD0, 0]), &server(Version::V5)).unwrap_err().reason,
        ReasonCode::ProtocolError
    );
}
