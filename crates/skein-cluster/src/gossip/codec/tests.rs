//! Every message comes back from its bytes, in parts it is refused, and whatever is read is written the same.

use foca::Codec as _;
use proptest::{option, prelude::*};

use super::*;

fn node() -> impl Strategy<Value = NodeInfo> {
    let ip = prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from),];
    let text = || "[a-zä]{0,40}".prop_map(|text| Arc::from(text.as_str()));
    (1..=u16::MAX, any::<u64>(), text(), (ip, 1..=u16::MAX), any::<u8>(), option::of(text())).prop_map(
        |(id, incarnation, name, address, qrank, server_reference)| NodeInfo {
            id: NodeId(id),
            incarnation: Incarnation(incarnation),
            name,
            advertise: SocketAddr::from(address),
            qrank,
            server_reference,
        },
    )
}

fn life() -> impl Strategy<Value = Life> {
    node().prop_map(|info| Life::new(Arc::new(info)))
}

fn message() -> impl Strategy<Value = Message<Life>> {
    (0..10, any::<u8>(), life()).prop_map(|(kind, probe_number, life)| match kind {
        0 => Message::Ping(probe_number),
        1 => Message::Ack(probe_number),
        2 => Message::PingReq { target: life, probe_number },
        3 => Message::IndirectPing { origin: life, probe_number },
        4 => Message::IndirectAck { target: life, probe_number },
        5 => Message::ForwardedAck { origin: life, probe_number },
        6 => Message::Announce,
        7 => Message::Feed,
        8 => Message::Gossip,
        _ => Message::TurnUndead,
    })
}

proptest! {
    #[test]
    fn a_header_comes_back(src in life(), dst in life(), src_incarnation: u16, message in message()) {
        let header = Header { src, src_incarnation, dst, message };
        let mut bytes = Vec::new();
        Codec::default().encode_header(&header, &mut bytes).unwrap();
        prop_assert_eq!(addressee(&bytes), Ok((header.dst.id(), header.dst.incarnation())));
        let mut rest = &bytes[..];
        let read = Codec::default().decode_header(&mut rest).unwrap();
        prop_assert!(rest.is_empty());
        prop_assert_eq!(&read, &header);
        prop_assert_eq!(&read.src.info, &header.src.info, "the sender in all its parts");
        for end in 0..bytes.len() {
            prop_assert!(Codec::default().decode_header(&bytes[..end]).is_err());
        }
    }

    #[test]
    fn a_member_comes_back(life in life(), number: u16, state in 0..4u8) {
        let mut life = life;
        life.left = state == 3;
        let state = [State::Alive, State::Suspect, State::Down, State::Down][usize::from(state)];
        let member = Member::new(life, number, state);
        let mut bytes = Vec::new();
        Codec::default().encode_member(&member, &mut bytes).unwrap();
        let read = Codec::default().decode_member(&bytes[..]).unwrap();
        prop_assert_eq!(&read, &member);
        prop_assert_eq!(&read.id().info, &member.id().info);
        prop_assert_eq!(read.id().left, member.id().left);
        let mut room = [0; 600];
        let mut small = (&mut room[..]).limit(bytes.len() - 1);
        prop_assert!(Codec::default().encode_member(&member, &mut small).is_err());
        prop_assert_eq!(small.remaining_mut(), bytes.len() - 1, "nothing is written when it does not fit");
    }

    #[test]
    fn what_is_read_is_written_the_same(bytes: Vec<u8>) {
        if let Ok(member) = Codec::default().decode_member(&bytes[..]) {
            let mut again = Vec::new();
            Codec::default().encode_member(&member, &mut again).unwrap();
            // Bits without meaning are not kept.
            prop_assert_eq!(Codec::default().decode_member(&again[..]).unwrap(), member);
        }
    }
}

#[test]
fn a_long_name_is_cut_between_characters() {
    let mut bytes = Vec::new();
    put_text(&mut bytes, &"ä".repeat(200));
    assert_eq!(read_text(&mut &bytes[..]).unwrap().len(), 254);
}

#[test]
fn nonsense_is_refused() {
    let refused = |bytes: &[u8]| addressee(bytes).unwrap_err().0;
    assert_eq!(refused(&[]), "it ends in the middle");
    assert_eq!(refused(&[9; 30]), "its version is not 1");
    assert_eq!(refused(&[1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1]), "a node's id is 0");
    let not_text = [2, 0xff, 0xff];
    assert_eq!(read_text(&mut &not_text[..]), Err(CodecError("a text is not UTF-8")));
    assert_eq!(read_address(&mut &[127, 0, 0, 1, 0, 0][..], 0), Err(CodecError("a port is 0")));
}
