//! The packets of MQTT 3.1.1 and 5 that durable clients exchange with a server, written and read from the standard.
//!
//! It shares nothing with the server's codec, so that a fault there cannot hide here. Properties that the load does
//! not use are skipped. A packet that cannot be read is an error with its bytes: the server wrote it.

use crate::notation::length_prefix;

const CONNACK: u8 = 2;
const PUBLISH: u8 = 3;
const SUBACK: u8 = 9;
const UNSUBACK: u8 = 11;
const PINGRESP: u8 = 13;
const DISCONNECT: u8 = 14;

/// The version of MQTT a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V311,
    V5,
}

/// What a client asks for in CONNECT.
#[derive(Debug, Clone)]
pub(crate) struct Connect<'a> {
    pub(crate) version: Version,
    pub(crate) client_id: &'a str,
    pub(crate) clean: bool,
    /// How long the session is kept without a connection; MQTT 5 alone can say it.
    pub(crate) expiry_secs: u32,
    /// Messages of QoS 1 and 2 the client takes without having answered; MQTT 5 alone can say it.
    pub(crate) receive_maximum: Option<u16>,
    pub(crate) will: Option<Will<'a>>,
}

/// A will; the delay is for MQTT 5 alone.
#[derive(Debug, Clone)]
pub(crate) struct Will<'a> {
    pub(crate) topic: &'a str,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: u8,
    pub(crate) delay_secs: u32,
}

/// A PUBLISH of QoS 1 or 2, on its way in either direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Publish {
    pub(crate) topic: String,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    /// The server or client says that it may have sent it before.
    pub(crate) again: bool,
    pub(crate) id: u16,
    pub(crate) payload: Vec<u8>,
}

/// PUBACK, PUBREC, PUBREL and PUBCOMP, which carry an id and a reason; the number is their packet type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Ack = 4,
    Rec = 5,
    Rel = 6,
    Comp = 7,
}

/// A packet a server sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Packet {
    ConnAck { session_present: bool, code: u8 },
    Publish(Publish),
    Step { step: Step, id: u16, code: u8 },
    SubAck { id: u16, codes: Vec<u8> },
    UnsubAck { id: u16, codes: Vec<u8> },
    PingResp,
    Disconnect { code: u8 },
}

pub(crate) fn connect(connect: &Connect<'_>) -> Vec<u8> {
    let Connect { version, client_id, clean, expiry_secs, receive_maximum, will } = connect;
    let mut body = Vec::new();
    string(&mut body, "MQTT");
    body.push(if *version == Version::V5 { 5 } else { 4 });
    let will_flags = will.as_ref().map_or(0, |will| 0x04 | will.qos << 3);
    body.push(will_flags | if *clean { 0x02 } else { 0 });
    // Keep alive off: a client that is stopped by a debugger is not a client that is gone.
    body.extend([0, 0]);
    let mut properties = vec![0x11];
    properties.extend(expiry_secs.to_be_bytes());
    if let Some(maximum) = receive_maximum {
        properties.push(0x21);
        properties.extend(maximum.to_be_bytes());
    }
    property_block(&mut body, *version, &properties);
    string(&mut body, client_id);
    if let Some(will) = will {
        let mut properties = vec![0x18];
        properties.extend(will.delay_secs.to_be_bytes());
        property_block(&mut body, *version, &properties);
        string(&mut body, will.topic);
        length16(&mut body, will.payload.len());
        body.extend(&will.payload);
    }
    whole(0x10, &body)
}

pub(crate) fn publish(version: Version, publish: &Publish) -> Vec<u8> {
    let Publish { topic, qos, retain, again, id, payload } = publish;
    let mut body = Vec::with_capacity(topic.len() + payload.len() + 5);
    string(&mut body, topic);
    body.extend(id.to_be_bytes());
    property_block(&mut body, version, &[]);
    body.extend(payload);
    whole(PUBLISH << 4 | u8::from(*again) << 3 | qos << 1 | u8::from(*retain), &body)
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP; both versions write success in the same two bytes.
pub(crate) fn step(step: Step, id: u16) -> Vec<u8> {
    let flags = if step == Step::Rel { 0x02 } else { 0 };
    whole((step as u8) << 4 | flags, &id.to_be_bytes())
}

pub(crate) fn subscribe(version: Version, id: u16, filter: &str, qos: u8) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    property_block(&mut body, version, &[]);
    string(&mut body, filter);
    body.push(qos);
    whole(0x82, &body)
}

pub(crate) fn unsubscribe(version: Version, id: u16, filter: &str) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    property_block(&mut body, version, &[]);
    string(&mut body, filter);
    whole(0xa2, &body)
}

pub(crate) fn ping() -> Vec<u8> {
    vec![0xc0, 0]
}

/// A goodbye that keeps the session and drops the will.
pub(crate) fn disconnect() -> Vec<u8> {
    vec![0xe0, 0]
}

/// Takes the first packet off `bytes`; none while it is not whole.
pub(crate) fn take(bytes: &mut Vec<u8>, version: Version) -> Result<Option<Packet>, String> {
    let Some((first, start, end)) = frame(bytes)? else { return Ok(None) };
    let packet = read(first, &bytes[start..end], version)
        .ok_or_else(|| format!("a packet that cannot be read: {:02x?}", &bytes[..end.min(64)]))?;
    bytes.drain(..end);
    Ok(Some(packet))
}

/// The first byte of the packet at the front, and where its body begins and ends.
fn frame(bytes: &[u8]) -> Result<Option<(u8, usize, usize)>, String> {
    let Some((first, rest)) = bytes.split_first() else { return Ok(None) };
    let mut length = 0_usize;
    for (place, byte) in rest.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            let (start, end) = (place + 2, place + 2 + length);
            return Ok((bytes.len() >= end).then_some((*first, start, end)));
        }
    }
    if rest.len() < 4 { Ok(None) } else { Err("a length of more than four bytes".to_owned()) }
}

/// The packet with this first byte and body.
pub(crate) fn read(first: u8, body: &[u8], version: Version) -> Option<Packet> {
    let mut body = Reader { rest: body, version };
    let packet = match first >> 4 {
        CONNACK => {
            let session_present = body.byte()? == 1;
            Packet::ConnAck { session_present, code: body.byte()? }
        }
        PUBLISH => read_publish(first, &mut body)?,
        4..=7 => {
            let step = [Step::Ack, Step::Rec, Step::Rel, Step::Comp][usize::from(first >> 4) - 4];
            Packet::Step { step, id: body.number()?, code: body.byte().unwrap_or(0) }
        }
        SUBACK => {
            let id = body.number()?;
            body.skip_properties()?;
            Packet::SubAck { id, codes: body.rest.to_vec() }
        }
        UNSUBACK => {
            let id = body.number()?;
            body.skip_properties()?;
            Packet::UnsubAck { id, codes: body.rest.to_vec() }
        }
        PINGRESP => Packet::PingResp,
        DISCONNECT => Packet::Disconnect { code: body.byte().unwrap_or(0) },
        _ => return None,
    };
    Some(packet)
}

fn read_publish(first: u8, body: &mut Reader<'_>) -> Option<Packet> {
    let qos = first >> 1 & 0x03;
    let topic = body.string()?;
    let id = if qos > 0 { body.number()? } else { 0 };
    body.skip_properties()?;
    let (retain, again) = (first & 0x01 != 0, first & 0x08 != 0);
    Some(Packet::Publish(Publish { topic, qos, retain, again, id, payload: body.rest.to_vec() }))
}

struct Reader<'a> {
    rest: &'a [u8],
    version: Version,
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    fn number(&mut self) -> Option<u16> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u16::from_be_bytes(*bytes))
    }

    fn string(&mut self) -> Option<String> {
        let length = usize::from(self.number()?);
        let (text, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        String::from_utf8(text.to_vec()).ok()
    }

    fn skip_properties(&mut self) -> Option<()> {
        if self.version == Version::V311 {
            return Some(());
        }
        let mut length = 0_usize;
        for place in 0..4 {
            let byte = self.byte()?;
            length |= usize::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                self.rest = self.rest.get(length..)?;
                return Some(());
            }
        }
        None
    }
}

fn whole(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    packet.extend(length_prefix(body.len()));
    packet.extend(body);
    packet
}

fn string(body: &mut Vec<u8>, text: &str) {
    length16(body, text.len());
    body.extend(text.bytes());
}

fn length16(body: &mut Vec<u8>, length: usize) {
    body.extend(u16::try_from(length).expect("the load's own texts are short").to_be_bytes());
}

fn property_block(body: &mut Vec<u8>, version: Version, properties: &[u8]) {
    if version == Version::V5 {
        body.extend(length_prefix(properties.len()));
        body.extend(properties);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes;

    #[test]
    fn writes_what_the_standard_shows() {
        let plain = Connect {
            version: Version::V311,
            client_id: "a",
            clean: false,
            expiry_secs: 3600,
            receive_maximum: None,
            will: None,
        };
        assert_eq!(connect(&plain), bytes(r#"10 [ "MQTT" 04 00 0000 "a" ]"#));
        let will = Will { topic: "w", payload: b"x".to_vec(), qos: 2, delay_secs: 1 };
        let rich = Connect { version: Version::V5, receive_maximum: Some(3), will: Some(will), ..plain };
        let wanted = r#"10 [ "MQTT" 05 14 0000 [ 11 00000e10 21 0003 ] "a" [ 18 00000001 ] "w" "x" ]"#;
        assert_eq!(connect(&rich), bytes(wanted));
        assert_eq!(step(Step::Rel, 5), bytes("62 02 0005"));
        assert_eq!(subscribe(Version::V5, 1, "a/#", 2), bytes(r#"82 [ 0001 00 "a/#" 02 ]"#));
        assert_eq!(unsubscribe(Version::V311, 1, "a/#"), bytes(r#"a2 [ 0001 "a/#" ]"#));
    }

    #[test]
    fn reads_back_a_publish_in_pieces() {
        let wanted = Publish {
            topic: "a/b".to_owned(),
            qos: 2,
            retain: false,
            again: true,
            id: 7,
            payload: vec![1; 300],
        };
        for version in [Version::V311, Version::V5] {
            let packet = publish(version, &wanted);
            let mut bytes = Vec::new();
            for byte in &packet[..packet.len() - 1] {
                bytes.push(*byte);
                assert_eq!(take(&mut bytes, version), Ok(None));
            }
            bytes.extend(&packet[packet.len() - 1..]);
            bytes.push(0xd0);
            assert_eq!(take(&mut bytes, version), Ok(Some(Packet::Publish(wanted.clone()))));
            assert_eq!(bytes, [0xd0]);
        }
    }

    #[test]
    fn reads_answers_of_both_versions() {
        let read = |text: &str, version| take(&mut bytes(text), version).unwrap().unwrap();
        let present = Packet::ConnAck { session_present: true, code: 0 };
        assert_eq!(read("20 02 01 00", Version::V311), present);
        assert_eq!(read("20 [ 01 00 [ 21 0400 ] ]", Version::V5), present);
        let completed = |code| Packet::Step { step: Step::Comp, id: 9, code };
        assert_eq!(read("70 02 0009", Version::V5), completed(0));
        assert_eq!(read("70 04 0009 92 00", Version::V5), completed(0x92));
        assert_eq!(read("90 04 0009 00 02", Version::V5), Packet::SubAck { id: 9, codes: vec![2] });
        assert_eq!(read("b0 02 0009", Version::V311), Packet::UnsubAck { id: 9, codes: vec![] });
    }

    #[test]
    fn refuses_what_no_server_sends() {
        assert!(take(&mut bytes("10 00"), Version::V5).is_err());
        assert!(take(&mut bytes("30 ff ff ff ff 01"), Version::V5).is_err());
        assert!(take(&mut bytes("32 02 00 09"), Version::V5).is_err());
    }
}
