//! Whatever bytes come over a connection, from a stranger or from a peer gone mad: a link takes them or ends, and keeps to its
//! bounds.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says so when something is not as it should be")]

use std::time::Duration;

use bolero::check;
use bytes::{Bytes, BytesMut};
use skein_cluster::{
    Announcement, Lane, LinkSettings, Secret,
    link::{Arrived, Link, LinkConfig, Side},
};
use skein_types::Moment;

const TEST_TIME: Duration = Duration::from_millis(500);

fn link(secret: bool) -> Link {
    let secret = secret.then(|| Secret("geese".to_owned()));
    Link::new(
        Side::Accepted,
        &LinkConfig::new(secret.as_ref(), &LinkSettings::default()),
        [1; 16],
        Moment::ZERO,
    )
}

fn greeting() -> BytesMut {
    let config = LinkConfig::new(None, &LinkSettings::default());
    let mut wire = BytesMut::new();
    Link::new(Side::Dialled, &config, [2; 16], Moment::ZERO).write(None, &mut wire).unwrap();
    wire
}

fn feed(link: &mut Link, bytes: &[u8], arrived: &mut Vec<Arrived>) {
    for piece in bytes.chunks(64) {
        link.room().extend_from_slice(piece);
        if link.received(Moment::ZERO, arrived).is_err() {
            return;
        }
    }
    let _full = link.write(None, &mut BytesMut::new());
}

#[test]
fn fuzz_strangers() {
    check!().with_test_time(TEST_TIME).for_each(|input: &[u8]| {
        for secret in [true, false] {
            let (mut link, mut arrived) = (link(secret), Vec::new());
            feed(&mut link, input, &mut arrived);
            assert!(!secret || link.open_version().is_none(), "nobody guesses the secret");
            // The same behind a preamble that is right but for the secret.
            let (mut link, mut arrived) = (self::link(secret), Vec::new());
            let bytes = [&greeting(), input].concat();
            feed(&mut link, &bytes, &mut arrived);
            assert!(!secret || link.open_version().is_none() && arrived.is_empty());
        }
    });
}

/// Chunks with random tags and lengths, which get further than random bytes.
#[test]
fn fuzz_frames() {
    check!().with_test_time(TEST_TIME).for_each(|input: &[u8]| {
        let (mut link, mut arrived) = (link(false), Vec::new());
        let mut bytes = greeting();
        for piece in input.chunks(7) {
            let (&tag, body) = piece.split_first().unwrap();
            bytes.extend_from_slice(&[tag, body.len() as u8, 0]);
            bytes.extend_from_slice(body);
        }
        feed(&mut link, &bytes, &mut arrived);
        let room: usize = arrived.iter().map(size).sum();
        assert!(room <= input.len() * 256, "{room} bytes out of {}", input.len());
    });
}

fn size(arrived: &Arrived) -> usize {
    let bytes = |bytes: &Bytes| bytes.len();
    match arrived {
        Arrived::Control(body) | Arrived::Announcement(Announcement { body, .. }) => bytes(body),
        Arrived::Run { bytes: run, .. } => bytes(run),
        Arrived::Ping | Arrived::Pong | Arrived::Handled(_) | Arrived::Credit(_) => 0,
    }
}

/// A compressed frame in many chunks, with others between, is one frame.
#[test]
fn chunks_of_lanes_may_be_mixed() {
    let (mut link, mut arrived) = (link(false), Vec::new());
    let mut bytes = greeting();
    // Announcement, more follows, on bulk; told on consensus; the end of the first.
    bytes.extend_from_slice(&[0x37, 2, 0, 9, b'a', 0x31, 2, 0, 8, b'x', 0x33, 1, 0, b'b']);
    feed(&mut link, &bytes, &mut arrived);
    let told =
        |lane, kind, body| Arrived::Announcement(Announcement { lane, kind, body: Bytes::from_static(body) });
    assert_eq!(arrived, [told(Lane::Consensus, 8, b"x"), told(Lane::Bulk, 9, b"ab")]);
}

/// What breaks a rule of the frames ends the link, and says which.
#[test]
fn broken_frames_are_refused() {
    let refused = |bytes: &[u8]| {
        let (mut link, mut arrived) = (link(false), Vec::new());
        link.room().extend_from_slice(&greeting());
        link.received(Moment::ZERO, &mut arrived).unwrap();
        link.room().extend_from_slice(bytes);
        let fault = link.received(Moment::ZERO, &mut arrived).unwrap_err().to_string();
        assert!(arrived.is_empty(), "{arrived:?}");
        fault
    };
    for (bytes, why) in [
        (&[0xf0, 0, 0][..], "no known kind"),
        (&[0x21, 0, 0], "not for its kind"),
        (&[0x28, 0, 0], "compressed that must not be"),
        (&[0x30, 1, 0x40], "larger than chunks are"),
        // The first part of a control frame, and then the first of another kind on its lane.
        (&[0x24, 1, 0, b'x', 0x30, 1, 0, 9], "before the one on its lane has ended"),
        (&[0x60, 7, 0, 1, 2, 3, 4, 5, 6, 7], "ends in the middle"),
        (&[0x60, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9], "goes on behind its end"),
        (&[0x3b, 2, 0, 9, 1], "cannot be expanded"),
        (&[0x70, 4, 0, 1, 0, 0, 0], "more credit came than was used"),
    ] {
        let fault = refused(bytes);
        assert!(fault.contains(why), "{bytes:x?}: {fault}");
    }
}
