//! Compares with an independent codec: what both accept means the same to both, what it refuses we refuse, and what
//! only we refuse we can justify.
//!
//! Packets are compared field by field: comparing their bytes would not show two fields taken for each other in the
//! same way by our decoder and our encoder.

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};
use skein_mqtt::codec::{
    DecodeContext, DecodeError, Packet,
    Side::{self, Client, Server},
    Version::{self, V5, V31, V311},
    decode,
};

use crate::{encoded, generate, mutate, reader_of, theirs};

/// What we accept and the other codec does not, or reads differently, each with why we are right.
fn known_difference(packet: &Packet, version: Version, bytes: &[u8]) -> Option<&'static str> {
    match packet {
        Packet::Connect(connect) => {
            if connect.bridge {
                return Some("the bridge flag is a convention of 3.1 and 3.1.1 it does not know");
            }
            if connect.client_id.is_empty() && !connect.clean_start {
                return Some("3.1.1: 3.1.3-8 answers this with return code 2; 5.0: 3.1.3-6 allows it");
            }
            if version == V31 && encoded(packet, V31) != bytes {
                return Some("3.1 section 3.1: the length outweighs the flags of user name and password");
            }
            let will = connect.will.as_deref()?;
            (will.expiry_secs == Some(0)).then_some("3.1.3.2.4 allows every value of the expiry, also 0")
        }
        Packet::ConnAck(_) if version == V31 => {
            Some("3.1 section 3.2 reserves the first byte and does not use it")
        }
        Packet::Publish(publish) => {
            (publish.expiry_secs == Some(0)).then_some("3.3.2.3.3 allows every value of the expiry, also 0")
        }
        _ => None,
    }
}

fn ours(bytes: &[u8], ctx: &DecodeContext) -> Result<Option<Packet>, DecodeError> {
    decode(&mut Bytes::copy_from_slice(bytes), ctx)
}

/// A packet with what the other codec cannot tell apart made equal.
fn comparable(mut packet: Packet) -> Packet {
    match &mut packet {
        Packet::Connect(connect) => {
            // It reads an absent session expiry as 0, which is what absence means (3.1.2.11.2).
            connect.properties.session_expiry_secs.get_or_insert_default();
            if let Some(will) = connect.will.as_deref_mut() {
                forget_payload_format(&mut will.properties);
            }
        }
        Packet::Publish(publish) => forget_payload_format(&mut publish.properties),
        Packet::ConnAck(connack) => {
            // Absent means 65,535 (3.2.2.3.3).
            connack.properties.receive_maximum.get_or_insert(u16::MAX);
        }
        _ => {}
    }
    packet
}

/// A payload format of 0 means what its absence means (3.3.2.3.2).
fn forget_payload_format(properties: &mut Option<Box<skein_types::Properties>>) {
    if let Some(inner) = properties {
        inner.payload_is_utf8 = inner.payload_is_utf8.filter(|is_utf8| *is_utf8);
        if inner.is_empty() {
            *properties = None;
        }
    }
}

/// What the two codecs disagree about, if that is not known.
fn disagreement(bytes: &[u8], version: Version, ctx: &DecodeContext) -> Option<String> {
    let packet = match ours(bytes, ctx) {
        Ok(packet) => packet?,
        Err(error) => {
            let is_new = theirs::accepts(bytes, version) && !is_justified(&error);
            return is_new.then(|| format!("only we refuse: {error}"));
        }
    };
    if known_difference(&packet, version, bytes).is_some() {
        return None;
    }
    match theirs::decode(bytes, version) {
        Ok(Some(their)) => {
            let (our, their) = (comparable(packet), comparable(their));
            (our != their).then(|| format!("{our:?} is to them {their:?}"))
        }
        Ok(None) => Some("they wait for more".to_owned()),
        Err(error) => Some(format!("only they refuse: {error}")),
    }
}

/// A rule the other codec does not enforce: what we say, the clause, and a packet it takes and we do not.
type OnlyOurs = (&'static str, &'static str, Version, Side, &'static [u8]);

#[rustfmt::skip]
const ONLY_OURS: &[OnlyOurs] = &[
    ("a packet goes on after its last field", "4.13.1: what follows cannot be parsed", V311, Server, b"\xC0\x01x"),
    ("a CONNECT has a password but no user name", "3.1.1: MQTT-3.1.2-22", V311, Server, b"\x10\x10\0\x04MQTT\x04\x42\0\0\0\x01c\0\x01p"),
    ("a CONNECT without a will has a QoS or retain flag for it", "MQTT-3.1.2-11, -13", V5, Server, b"\x10\x0E\0\x04MQTT\x05\x22\0\0\0\0\x01c"),
    ("a will has QoS 3", "MQTT-3.1.2-12", V5, Server, b"\x10\x0E\0\x04MQTT\x05\x1A\0\0\0\0\x01c"),
    ("a topic name contains a wildcard or U+0000", "MQTT-3.3.2-2, MQTT-3.3.2-14, MQTT-4.7.3-2", V311, Server, b"\x30\x05\0\x03a/#"),
    ("a topic name is empty", "MQTT-4.7.3-1, in a will", V311, Server, b"\x10\x11\0\x04MQTT\x04\x06\0\0\0\x01c\0\0\0\0"),
    ("a topic filter is not valid", "MQTT-4.7.1-1, -2, MQTT-4.8.2-1, -2", V311, Server, b"\x82\x07\0\x01\0\x02a+\0"),
    ("a string contains the character U+0000", "MQTT-1.5.4-2", V311, Server, b"\x10\x0E\0\x04MQTT\x04\x02\0\0\0\x02c\0"),
    ("a PUBLISH of QoS 0 is marked as a duplicate", "MQTT-3.3.1-2", V311, Server, b"\x38\x03\0\x01a"),
    ("the reserved subscription options must be 0", "3.1.1: MQTT-3-8.3-4", V311, Server, b"\x82\x06\0\x01\0\x01a\x04"),
    ("a SUBACK or UNSUBACK has no reason code", "MQTT-3.8.4-6", V311, Client, b"\x90\x02\0\x01"),
    ("a shared subscription must not ask for no local", "MQTT-3.8.3-4", V5, Server, b"\x82\x10\0\x01\0\0\x0A$share/g/a\x04"),
    ("authentication data without an authentication method", "3.1.2.11.10", V5, Server, b"\x10\x12\0\x04MQTT\x05\x02\0\0\x04\x16\0\x01d\0\x01c"),
    ("an AUTH has no authentication method", "3.15.2.2.2", V5, Server, b"\xF0\x02\x18\0"),
    ("an AUTH has a reason code that is not one of its sender's", "MQTT-3.15.2-1", V5, Server, b"\xF0\x06\0\x04\x15\0\x01m"),
    ("a DISCONNECT has a reason code that is not one of its sender's", "MQTT-3.14.2-1", V5, Server, b"\xE0\x01\x8E"),
    ("a CONNACK has a reason code that is not one of its own", "3.1.1: 3.2.2.3, 6 is reserved", V311, Client, b"\x20\x02\0\x06"),
    ("a DISCONNECT has a property that only the other side may send", "MQTT-3.14.2-2", V5, Client, b"\xE0\x07\0\x05\x11\0\0\0\x01"),
    ("a PUBLISH has neither a topic nor a topic alias", "3.3.2.1", V5, Server, b"\x30\x03\0\0\0"),
    ("a client must not send a subscription identifier in a PUBLISH", "MQTT-3.3.4-6", V5, Server, b"\x30\x06\0\x01a\x02\x0B\x01"),
    ("a variable byte integer is not in its shortest form", "MQTT-1.5.5-1", V311, Server, b"\xC0\x80\0"),
    ("a refusing CONNACK says that a session is present", "MQTT-3.2.2-6", V311, Client, b"\x20\x02\x01\x05"),
];

fn is_justified(error: &DecodeError) -> bool {
    ONLY_OURS.iter().any(|row| row.0 == error.what)
}

#[test]
fn only_we_refuse_what_the_standard_forbids() {
    for (what, clause, version, side, bytes) in ONLY_OURS.iter().copied() {
        let is_connect = bytes[0] == 0x10;
        let ctx =
            DecodeContext { side, version: Some(version).filter(|_| !is_connect), ..DecodeContext::server() };
        assert_eq!(ours(bytes, &ctx).map_err(|error| error.what), Err(what), "{clause}");
        assert!(theirs::accepts(bytes, version), "no difference any more: {what}");
    }
}

proptest! {
    #![proptest_config(crate::config())]

    #[test]
    fn another_codec_reads_the_same((version, sender, packet) in generate::any_packet()) {
        let bytes = encoded(&packet, version);
        let difference = disagreement(&bytes, version, &reader_of(version, sender, &packet));
        prop_assert_eq!(difference, None, "{:02x?}", bytes);
    }

    #[test]
    fn another_codec_refuses_nothing_we_accept(
        (version, sender, packet) in generate::any_packet(),
        changes in vec(any::<(usize, u8, u8)>(), 1..3),
    ) {
        let mut bytes = encoded(&packet, version);
        let body = bytes.iter().skip(1).position(|byte| byte & 0x80 == 0).expect("a remaining length ends") + 2;
        let mut changed = bytes.split_off(body);
        mutate(&mut changed, &changes);
        // With its remaining length put right, a change reaches the body's own rules.
        prop_assume!(changed.len() < 128);
        let bytes = [&[bytes[0], u8::try_from(changed.len()).unwrap()], &changed[..]].concat();
        // Its second codec is for version 5 only, so a CONNECT that changed its version is none of this test's.
        let ctx = reader_of(version, sender, &packet);
        if let Ok(Some(Packet::Connect(connect))) = ours(&bytes, &ctx) && connect.version != version {
            return Ok(());
        }
        prop_assert_eq!(disagreement(&bytes, version, &ctx), None, "{:02x?}", bytes);
    }
}
