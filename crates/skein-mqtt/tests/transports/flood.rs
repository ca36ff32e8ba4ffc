//! A client that asks and never reads the answers: they have a bound, and nothing of them is lost.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use skein_access::{AccessList, Anonymous};
use skein_door::Transport;
use skein_mqtt::{Settings, codec::Version};
use skein_plane::SessionLimits;
use skein_testkit::DEADLINE;
use skein_types::ClientId;

use crate::{
    client::connect,
    server::{Server, settings},
};

const OUTBOX_BYTES_MAX: usize = 64 * 1024;
/// Far more than the kernel's buffers of both sides hold.
const PINGS_MAX: usize = 64 << 20;

#[test]
fn answers_nobody_reads_are_bounded_and_kept() {
    let session = SessionLimits { outbox_bytes_max: OUTBOX_BYTES_MAX, ..*settings().session };
    let settings = Settings { session: Arc::new(session), ..settings() };
    let server = Server::start_with(Transport::Tcp, settings, AccessList::open(), Anonymous::Always);
    let mut stream = TcpStream::connect(server.address).unwrap();
    let mut hello = Vec::new();
    connect("flood").encode(Version::V5, &mut hello);
    stream.write_all(&hello).unwrap();

    // PINGREQ and PINGRESP have two bytes each.
    let pings = [0xc0, 0x00].repeat(32 * 1024);
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut sent = 0;
    while sent < PINGS_MAX {
        let start = sent % pings.len();
        match stream.write(&pings[start..]) {
            Ok(bytes) => sent += bytes,
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
                break;
            }
        }
    }
    assert!(sent < PINGS_MAX, "the server went on reading from a client that reads nothing");
    let session = server.shared.plane.sessions().get(&ClientId::new("flood")).unwrap();
    let waiting = session.info().outbox_bytes;
    // One more batch of reads may be answered after the bound is reached.
    assert!(waiting <= OUTBOX_BYTES_MAX + 64 * 1024, "{waiting} bytes wait");

    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut answers = Vec::new();
    let expected = sent / 2 * 2;
    let mut buffer = vec![0; 1 << 16];
    // The CONNACK comes first; its length stands in its second byte.
    while answers.len() < 2 || answers.len() < 2 + usize::from(answers[1]) + expected {
        let read = stream.read(&mut buffer).expect("every ping is answered");
        assert_ne!(read, 0, "the server closed");
        answers.extend_from_slice(&buffer[..read]);
    }
    let pongs = &answers[2 + usize::from(answers[1])..];
    assert!(pongs.chunks(2).all(|pong| pong == [0xd0, 0x00]));
}
