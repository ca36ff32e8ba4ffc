//! Two ends of a link with bytes between them that the test moves, cuts, changes and repeats.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{sync::Arc, task::Waker, time::Duration};

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use skein_cluster::{
    Announcement, EncodedRun, Lane, LinkSettings, NodeInfo, Peer, Secret,
    link::{Arrived, Features, Link, LinkConfig, LinkFault, Side, Versions},
};
use skein_types::{Incarnation, Moment, NodeId};

fn config(secret: Option<&str>) -> LinkConfig {
    let secret = secret.map(|secret| Secret(secret.to_owned()));
    LinkConfig::new(secret.as_ref(), &LinkSettings::default())
}

fn peer(id: u16) -> Arc<Peer> {
    Peer::new(NodeInfo {
        id: NodeId(id),
        incarnation: Incarnation(1),
        name: "n".into(),
        advertise: ([127, 0, 0, 1], 5777).into(),
        qrank: 1,
        server_reference: None,
    })
}

fn run(text: &str, kept: bool) -> EncodedRun {
    EncodedRun { bytes: Bytes::copy_from_slice(text.as_bytes()), messages: 1, kept }
}

/// Both ends, and what each has received.
struct Pair {
    ends: [Link; 2],
    arrived: [Vec<Arrived>; 2],
}

impl Pair {
    fn new(first: &LinkConfig, second: &LinkConfig) -> Self {
        let ends = [
            Link::new(Side::Dialled, first, [1; 16], Moment::ZERO),
            Link::new(Side::Accepted, second, [2; 16], Moment::ZERO),
        ];
        Self { ends, arrived: [Vec::new(), Vec::new()] }
    }

    fn open(secret: Option<&str>) -> Self {
        let mut pair = Self::new(&config(secret), &config(secret));
        pair.settle([None, None]).unwrap();
        assert!(pair.ends.iter().all(|end| end.open_version() == Some(1)));
        pair
    }

    /// Writes what one end has and hands the first `cut` bytes of it to the other. Returns how many there were.
    fn carry(&mut self, from: usize, peer: Option<&Peer>, cut: usize) -> Result<usize, LinkFault> {
        let mut wire = BytesMut::new();
        self.ends[from].write(peer, &mut wire)?;
        let (length, to) = (wire.len(), 1 - from);
        wire.truncate(cut);
        if !wire.is_empty() {
            self.ends[to].room().extend_from_slice(&wire);
            self.ends[to].received(Moment::ZERO, &mut self.arrived[to])?;
        }
        Ok(length)
    }

    /// Until nothing more is said.
    fn settle(&mut self, peers: [Option<&Peer>; 2]) -> Result<(), LinkFault> {
        loop {
            self.ends.iter_mut().for_each(Link::give_credit);
            let said = self.carry(0, peers[0], usize::MAX)? + self.carry(1, peers[1], usize::MAX)?;
            if said == 0 {
                return Ok(());
            }
        }
    }
}

#[test]
fn everything_crosses_with_and_without_a_secret() {
    for secret in [None, Some("geese")] {
        let mut pair = Pair::open(secret);
        let to = peer(2);
        to.link_opened(0, Waker::noop().clone());
        to.send(&run("unkept", false));
        to.send(&run("kept", true));
        to.announce(Lane::Bulk, 7, Bytes::from(vec![9; 100_000]));
        to.announce(Lane::Consensus, 8, Bytes::from_static(b"vote"));
        pair.ends[0].control(None, Bytes::from_static(b"hello"));
        pair.ends[0].handled(42);
        pair.settle([Some(&to), None]).unwrap();
        let told = |lane, kind, body| Arrived::Announcement(Announcement { lane, kind, body });
        assert_eq!(
            pair.arrived[1],
            [
                Arrived::Handled(42),
                Arrived::Control(Bytes::from_static(b"hello")),
                told(Lane::Consensus, 8, Bytes::from_static(b"vote")),
                Arrived::Run { number: None, bytes: Bytes::from_static(b"unkept") },
                Arrived::Run { number: Some(1), bytes: Bytes::from_static(b"kept") },
                told(Lane::Bulk, 7, Bytes::from(vec![9; 100_000])),
            ]
        );
        let [.., bulk] = pair.ends[0].went();
        assert!(bulk.frames == 1 && bulk.compressed == 1 && bulk.bytes < 2000, "{bulk:?}");
        assert_eq!(pair.ends[0].went(), pair.ends[1].came());
    }
}

#[test]
fn urgent_frames_pass_large_ones() {
    let mut pair = Pair::open(Some("geese"));
    // Nothing that can be compressed.
    let mut state = 1_u32;
    let body: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(3_000_000)
    .collect();
    let (body, to) = (Bytes::from(body), peer(2));
    to.link_opened(0, Waker::noop().clone());
    pair.ends[0].announce(Announcement { lane: Lane::Bulk, kind: 1, body: body.clone() });
    pair.carry(0, Some(&to), usize::MAX).unwrap();
    to.send(&run("message", true));
    pair.ends[0].control(None, Bytes::from_static(b"urgent"));
    pair.carry(0, Some(&to), usize::MAX).unwrap();
    assert!(
        pair.arrived[1]
            == [
                Arrived::Control(Bytes::from_static(b"urgent")),
                Arrived::Run { number: Some(1), bytes: Bytes::from_static(b"message") },
            ],
        "both arrive while the large one is under way"
    );
    pair.settle([Some(&to), None]).unwrap();
    assert!(
        pair.arrived[1].last()
            == Some(&Arrived::Announcement(Announcement { lane: Lane::Bulk, kind: 1, body }))
    );
}

/// Between two chunks something more urgent may go, so none is large.
#[test]
fn chunks_are_small() {
    let mut pair = Pair::open(None);
    pair.ends[0].announce(Announcement { lane: Lane::Control, kind: 1, body: Bytes::from(vec![3; 100_000]) });
    let mut wire = BytesMut::new();
    pair.ends[0].write(None, &mut wire).unwrap();
    let (mut rest, mut chunks) = (&wire[..], 0);
    while let [_, low, high, behind @ ..] = rest {
        let length = usize::from(u16::from_le_bytes([*low, *high]));
        assert!(length <= 16 * 1024, "{length}");
        rest = &behind[length..];
        chunks += 1;
    }
    assert_eq!(chunks, 7);
}

#[test]
fn messages_wait_for_credit_and_others_do_not() {
    let mut pair = Pair::open(None);
    let to = peer(2);
    to.link_opened(0, Waker::noop().clone());
    let large = "x".repeat(1_000_000);
    for _ in 0..6 {
        to.send(&run(&large, true));
    }
    // A frame that is larger than all credit.
    to.send(&run(&"y".repeat(9_000_000), true));
    while pair.carry(0, Some(&to), usize::MAX).unwrap() > 0 {}
    assert_eq!(pair.arrived[1].len(), 4, "four of one megabyte fit into the window of four mebibytes");
    pair.ends[0].control(None, Bytes::from_static(b"urgent"));
    pair.carry(0, Some(&to), usize::MAX).unwrap();
    assert_eq!(pair.arrived[1].len(), 5, "control frames need no credit");
    pair.settle([Some(&to), None]).unwrap();
    assert_eq!(pair.arrived[1].len(), 8);
}

/// A sender that does not keep to its credit is cut: it is the receiver that would be overrun.
#[test]
fn credit_is_not_taken_on_trust() {
    let mut pair = Pair::open(None);
    let to = peer(2);
    to.link_opened(0, Waker::noop().clone());
    let mut chunk = vec![0x42, 0, 0x40];
    chunk.resize(3 + 0x4000, 0);
    let mut fault = None;
    for _ in 0..300 {
        pair.ends[1].room().extend_from_slice(&chunk);
        fault = fault.or(pair.ends[1].received(Moment::ZERO, &mut Vec::new()).err());
    }
    assert!(fault.unwrap().to_string().contains("than there was credit for"), "{fault:?}");
}

#[test]
fn neighbouring_versions_run_together() {
    let speaking =
        |min, max, features| config(Some("geese")).speaking(Versions { min, max }, Features(features));
    let mut pair = Pair::new(&speaking(1, 1, 1), &speaking(1, 2, 0b1011));
    pair.settle([None, None]).unwrap();
    assert_eq!(pair.ends.each_ref().map(Link::open_version), [Some(1), Some(1)]);
    pair.ends[1].announce(Announcement { lane: Lane::Bulk, kind: 1, body: Bytes::from(vec![1; 5000]) });
    pair.settle([None, None]).unwrap();
    assert_eq!(pair.ends[0].came()[3].compressed, 1, "what both know is used");

    let mut pair = Pair::new(&speaking(1, 1, 0), &speaking(1, 2, 1));
    pair.settle([None, None]).unwrap();
    pair.ends[1].announce(Announcement { lane: Lane::Bulk, kind: 1, body: Bytes::from(vec![1; 5000]) });
    pair.settle([None, None]).unwrap();
    assert_eq!(pair.ends[0].came()[3].compressed, 0, "what only one knows is not");

    let fault = Pair::new(&speaking(1, 1, 0), &speaking(2, 3, 0)).settle([None, None]).unwrap_err();
    assert!(matches!(fault, LinkFault::Version { .. }), "{fault:?}");
}

#[test]
fn strangers_are_refused_with_the_reason() {
    let refused = |first, second| {
        let mut pair = Pair::new(&config(first), &config(second));
        pair.settle([None, None]).unwrap_err()
    };
    assert_eq!(refused(Some("geese"), Some("swans")), LinkFault::NotAuthentic);
    // The fault is the one of the end that reads first, which is the accepting one.
    assert_eq!(refused(Some("geese"), None), LinkFault::SecretMissingHere);
    assert_eq!(refused(None, Some("geese")), LinkFault::SecretMissingThere);
    for garbage in [&b"GET / HTTP/1.1\r\n"[..], b"\x10\x0f\0\x04MQTT", &[0; 600], b"\xf0skeim"] {
        let mut link = Link::new(Side::Accepted, &config(Some("geese")), [3; 16], Moment::ZERO);
        link.room().extend_from_slice(garbage);
        assert_eq!(link.received(Moment::ZERO, &mut Vec::new()), Err(LinkFault::NotSkein));
    }
}

/// Everything the dialling side of a good connection said is said again to the same node, and to its caller.
#[test]
fn what_was_recorded_is_worth_nothing() {
    let mut pair = Pair::new(&config(Some("geese")), &config(Some("geese")));
    let mut recorded = BytesMut::new();
    for _ in 0..3 {
        let mut wire = BytesMut::new();
        pair.ends[0].write(None, &mut wire).unwrap();
        recorded.extend_from_slice(&wire);
        if !wire.is_empty() {
            pair.ends[1].room().extend_from_slice(&wire);
            pair.ends[1].received(Moment::ZERO, &mut Vec::new()).unwrap();
        }
        pair.carry(1, None, usize::MAX).unwrap();
        pair.ends[0].control(None, Bytes::from_static(b"hello"));
    }
    assert!(pair.ends.iter().all(|end| end.open_version().is_some()));
    let mut again = Link::new(Side::Accepted, &config(Some("geese")), [4; 16], Moment::ZERO);
    again.room().extend_from_slice(&recorded);
    let mut arrived = Vec::new();
    assert_eq!(again.received(Moment::ZERO, &mut arrived), Err(LinkFault::NotAuthentic));
    assert!(again.open_version().is_none() && arrived.is_empty());
    // A node that is called by its own bytes.
    let mut mirror = Link::new(Side::Dialled, &config(Some("geese")), [5; 16], Moment::ZERO);
    let mut wire = BytesMut::new();
    for _ in 0..2 {
        mirror.write(None, &mut wire).unwrap();
        mirror.room().extend_from_slice(&wire.split());
        if let Err(fault) = mirror.received(Moment::ZERO, &mut arrived) {
            assert_eq!(fault, LinkFault::NotAuthentic);
        }
    }
    assert!(mirror.open_version().is_none() && arrived.is_empty());
}

#[test]
fn silence_is_noticed_and_a_ping_is_answered() {
    let interval = LinkSettings::default().keepalive_interval;
    let mut link = Link::new(Side::Accepted, &config(Some("geese")), [3; 16], Moment::ZERO);
    assert_eq!(link.tick(link.next_due()), Err(LinkFault::HandshakeSlow));
    assert!(link.next_due() <= Moment::ZERO.after(Duration::from_secs(5)));

    let mut pair = Pair::open(Some("geese"));
    let now = pair.ends[0].next_due();
    assert_eq!(now, Moment::ZERO.after(interval));
    pair.ends[0].tick(now).unwrap();
    let mut wire = BytesMut::new();
    assert!(pair.ends[0].write(None, &mut wire).unwrap(), "a ping is written");
    pair.ends[1].room().extend_from_slice(&wire);
    pair.ends[1].received(now, &mut pair.arrived[1]).unwrap();
    pair.carry(1, None, usize::MAX).unwrap();
    assert_eq!(pair.arrived, [vec![Arrived::Pong], vec![]]);
    // The other end heard the ping later than this one heard the answer.
    assert_eq!(pair.ends[0].tick(Moment::ZERO.after(interval * 3)), Err(LinkFault::Silent));
    assert_eq!(pair.ends[1].tick(Moment::ZERO.after(interval * 3)), Ok(()));
    assert_eq!(pair.ends[1].tick(Moment::ZERO.after(interval * 4)), Err(LinkFault::Silent));
}

/// Sends over a link that is cut after `cut` bytes, and the rest over a new one, as the shell does.
fn resumes(secret: Option<&str>, cut: usize) -> bool {
    let (to, from) = (peer(2), peer(1));
    let texts: Vec<String> = (0..12).map(|at| format!("{at}").repeat(1 + at * 5)).collect();
    let mut came = Vec::new();
    let mut take = |arrived: &mut Vec<Arrived>, from: &Peer| {
        let mut last = 0;
        for arrived in arrived.drain(..) {
            if let Arrived::Run { number, bytes } = arrived
                && number.is_none_or(|number| from.is_new(number))
            {
                last = number.unwrap_or(last);
                came.push(String::from_utf8(bytes.to_vec()).unwrap());
            }
        }
        last
    };
    let mut pair = Pair::open(secret);
    to.link_opened(from.received(), Waker::noop().clone());
    for (at, text) in texts.iter().enumerate() {
        to.send(&run(text, at % 4 != 3));
    }
    let length = pair.carry(0, Some(&to), cut).unwrap();
    let last = take(&mut pair.arrived[1], &from);
    // Some of it is handled, and the other side hears of it or does not.
    if cut.is_multiple_of(3) {
        from.note_received(last.min(2));
    }
    to.link_closed();

    let mut pair = Pair::open(secret);
    to.link_opened(from.received(), Waker::noop().clone());
    pair.settle([Some(&to), None]).unwrap();
    take(&mut pair.arrived[1], &from);
    let kept: Vec<&String> =
        texts.iter().enumerate().filter(|(at, _)| at % 4 != 3).map(|(_, text)| text).collect();
    let came_of_kept: Vec<&String> = came.iter().filter(|text| kept.contains(text)).collect();
    assert_eq!(came_of_kept, kept, "cut after {cut} of {length}");
    let mut in_order = texts.iter();
    assert!(came.iter().all(|text| in_order.any(|sent| sent == text)), "cut after {cut}: {came:?}");
    to.note_handled(9);
    assert_eq!(to.figures().unhandled_runs, 0);
    cut < length
}

#[test]
fn a_cut_at_any_byte_loses_and_repeats_nothing_that_is_kept() {
    for secret in [None, Some("geese")] {
        let cuts = (0..).take_while(|cut| resumes(secret, *cut)).count();
        assert!(cuts > 400, "{cuts}");
    }
}

proptest! {
    /// Whatever the pieces in which bytes arrive, the frames are the same.
    #[test]
    fn pieces_do_not_matter(sizes in proptest::collection::vec(1_usize..5000, 1..40), piece in 1_usize..20_000) {
        let mut pair = Pair::open(Some("geese"));
        let to = peer(2);
        to.link_opened(0, Waker::noop().clone());
        let mut wanted = Vec::new();
        for (at, size) in sizes.iter().enumerate() {
            let text = "z".repeat(size * (1 + at % 7));
            to.send(&run(&text, true));
            wanted.push(Arrived::Run { number: Some(at as u64 + 1), bytes: text.into() });
        }
        loop {
            let mut wire = BytesMut::new();
            pair.ends[0].write(Some(&to), &mut wire).unwrap();
            if wire.is_empty() {
                break;
            }
            for part in wire.chunks(piece) {
                pair.ends[1].room().extend_from_slice(part);
                pair.ends[1].received(Moment::ZERO, &mut pair.arrived[1]).unwrap();
            }
        }
        prop_assert!(pair.arrived[1] == wanted);
    }
}
