//! Laws of the codec: what is encoded decodes to the same, whatever arrives does no harm, pieces change nothing,
//! and another codec agrees.

#[path = "codec_properties/differential.rs"]
mod differential;
#[path = "codec_properties/generate.rs"]
mod generate;
#[path = "codec_properties/theirs.rs"]
mod theirs;

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};
use skein_mqtt::codec::{
    DecodeContext, DecodeError, PACKET_BYTES_MAX, Packet, Side, Version, decode, encode_publish_head,
    frame_length, publish_length,
};

/// How the other side of `sender` reads `packet`.
pub(crate) fn reader_of(version: Version, sender: Side, packet: &Packet) -> DecodeContext {
    match (sender, packet) {
        (Side::Client, Packet::Connect(_)) => DecodeContext::server(),
        (Side::Client, _) => DecodeContext { version: Some(version), ..DecodeContext::server() },
        (Side::Server, _) => DecodeContext::client(version),
    }
}

pub(crate) fn encoded(packet: &Packet, version: Version) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(version, &mut out);
    out
}

pub(crate) fn decoded(bytes: &[u8], ctx: &DecodeContext) -> Result<Option<Packet>, DecodeError> {
    decode(&mut Bytes::copy_from_slice(bytes), ctx)
}

/// Some of a packet's bytes replaced, removed or added.
pub(crate) fn mutate(bytes: &mut Vec<u8>, changes: &[(usize, u8, u8)]) {
    for (at, value, how) in changes.iter().copied() {
        let at = at % (bytes.len() + 1);
        match how % 4 {
            0 => bytes.insert(at, value),
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 if at < bytes.len() => bytes[at] ^= 1 << (value % 8),
            _ if at < bytes.len() => bytes[at] = value,
            _ => {}
        }
    }
}

/// What holds for any bytes: nothing panics, an incomplete packet is left alone, a complete one is taken whole and
/// comes back when encoded, and its pieces are incomplete or wrong for the same reason.
fn check_any_bytes(bytes: &[u8], ctx: &DecodeContext) {
    let whole = decoded(bytes, ctx);
    let mut buf = Bytes::copy_from_slice(bytes);
    let taken = match decode(&mut buf, ctx) {
        Ok(None) => {
            assert_eq!(buf.len(), bytes.len());
            bytes.len()
        }
        Ok(Some(packet)) => {
            let taken = bytes.len() - buf.len();
            assert_eq!(frame_length(bytes), Ok(Some(taken)));
            check_comes_back(&packet, ctx);
            taken
        }
        Err(_) => bytes.len(),
    };
    for end in 0..taken {
        match decoded(&bytes[..end], ctx) {
            Ok(None) => {}
            early => assert_eq!(early, whole, "{end} of {bytes:02x?}"),
        }
    }
}

fn check_comes_back(packet: &Packet, ctx: &DecodeContext) {
    let version = match packet {
        Packet::Connect(connect) => connect.version,
        _ => ctx.version.expect("without a version only a CONNECT decodes"),
    };
    let again = encoded(packet, version);
    assert_eq!(again.len(), packet.encoded_len(version));
    assert_eq!(decoded(&again, ctx).as_ref(), Ok(&Some(packet.clone())), "{again:02x?}");
}

fn any_context() -> impl Strategy<Value = DecodeContext> {
    let version = prop_oneof![
        1 => Just(None),
        2 => Just(Some(Version::V31)),
        2 => Just(Some(Version::V311)),
        4 => Just(Some(Version::V5)),
    ];
    (
        version,
        prop_oneof![Just(Side::Server), Just(Side::Client)],
        prop_oneof![Just(PACKET_BYTES_MAX), 0..300_u32],
    )
        .prop_map(|(version, side, packet_bytes_max)| DecodeContext { side, version, packet_bytes_max })
}

/// A failure prints its smallest case, which becomes a row of the tables; it is not kept in a file.
pub(crate) fn config() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { failure_persistence: None, cases: config.cases.max(1000), ..config }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_encoded_decodes_to_the_same((version, sender, packet) in generate::any_packet()) {
        let bytes = encoded(&packet, version);
        prop_assert_eq!(bytes.len(), packet.encoded_len(version));
        prop_assert_eq!(decoded(&bytes, &reader_of(version, sender, &packet)), Ok(Some(packet)));
    }

    #[test]
    fn pieces_change_nothing((version, sender, packet) in generate::any_packet()) {
        let bytes = encoded(&packet, version);
        check_any_bytes(&bytes, &reader_of(version, sender, &packet));
    }

    /// Encoding for an older version leaves out, and never writes what that version would refuse.
    #[test]
    fn packets_of_version_5_can_be_told_to_older_clients(
        packet in generate::packet(Version::V5, Side::Server),
        version in prop_oneof![Just(Version::V31), Just(Version::V311)],
    ) {
        // A server closes instead of sending these, and an alias cannot stand for a topic.
        let has_form = match &packet {
            Packet::Disconnect(_) | Packet::Auth(_) => false,
            Packet::Publish(publish) => publish.topic.is_some(),
            _ => true,
        };
        if !has_form {
            return Ok(());
        }
        let taken = decoded(&encoded(&packet, version), &DecodeContext::client(version));
        prop_assert_eq!(taken.map(|taken| taken.map(|taken| taken.packet_type())), Ok(Some(packet.packet_type())));
    }

    #[test]
    fn a_packet_fits_its_limit_or_is_not_written(
        (version, sender, packet) in generate::any_packet(),
        limit in 0..200_u32,
    ) {
        let mut out = vec![1, 2, 3];
        let is_written = packet.encode_within(version, limit, &mut out);
        let bytes = &out[3..];
        prop_assert!(bytes.len() <= limit as usize);
        if packet.encoded_len(version) <= limit as usize {
            prop_assert!(is_written);
            prop_assert_eq!(bytes, &encoded(&packet, version)[..]);
        } else if is_written {
            let taken = decoded(bytes, &reader_of(version, sender, &packet)).map(|taken| taken.map(|t| t.packet_type()));
            prop_assert_eq!(taken, Ok(Some(packet.packet_type())));
            prop_assert!(!matches!(packet, Packet::Publish(_) | Packet::Connect(_) | Packet::Subscribe(_)));
        } else {
            prop_assert!(bytes.is_empty());
        }
    }

    /// The hot path writes the same bytes as the whole packet does.
    #[test]
    fn a_head_and_its_payload_are_a_publish((version, sender, packet) in generate::any_packet()) {
        let Packet::Publish(publish) = &packet else { return Ok(()) };
        let mut out = Vec::new();
        let head = publish.head();
        let at = encode_publish_head(&head, version, publish.payload.len(), &mut out);
        out.extend_from_slice(&publish.payload);
        prop_assert_eq!(out.len(), publish_length(&head, version, publish.payload.len()));
        prop_assert_eq!(&out, &encoded(&packet, version));
        let id = at.map(|at| u16::from_be_bytes([out[at], out[at + 1]]));
        prop_assert_eq!(id, publish.packet_id.map(|id| id.get()));
        prop_assert_eq!(decoded(&out, &reader_of(version, sender, &packet)), Ok(Some(packet.clone())));
    }

    #[test]
    fn any_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..80), ctx in any_context()) {
        check_any_bytes(&bytes, &ctx);
    }

    /// Bytes that start like a packet get further than random ones.
    #[test]
    fn any_body_does_no_harm(first in any::<u8>(), body in vec(prop_oneof![0..4_u8, any::<u8>()], 0..40), ctx in any_context()) {
        let mut bytes = vec![first, u8::try_from(body.len()).unwrap()];
        bytes.extend(body);
        check_any_bytes(&bytes, &ctx);
    }

    #[test]
    fn a_damaged_packet_does_no_harm(
        (version, sender, packet) in generate::any_packet(),
        changes in vec(any::<(usize, u8, u8)>(), 1..4),
    ) {
        let mut bytes = encoded(&packet, version);
        mutate(&mut bytes, &changes);
        check_any_bytes(&bytes, &reader_of(version, sender, &packet));
    }
}
