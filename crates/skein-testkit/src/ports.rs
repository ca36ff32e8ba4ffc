//! Free ports on loopback for servers that must be told their port.
//!
//! The ports lie below the range from which the kernel takes the local ports of outgoing
//! connections (32768 and up on Linux): a port of that range can be taken by any client of any test
//! between the moment it is found free and the moment the server binds it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

const FIRST: u32 = 10_240;
const COUNT: u32 = 22_000;

/// A port on 127.0.0.1 that nothing listens on, neither for streams nor for datagrams, not handed out before by
/// this process.
#[track_caller]
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Test programs that run side by side start at different places.
    let start = std::process::id().wrapping_mul(331);
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + start.wrapping_add(step) % COUNT;
        let port = u16::try_from(port).expect("the range ends below 65536");
        let place = (Ipv4Addr::LOCALHOST, port);
        if TcpListener::bind(place).is_ok() && UdpSocket::bind(place).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {} on 127.0.0.1", FIRST + COUNT);
}

/// 127.0.0.1 with a [`free_port`].
#[track_caller]
pub fn free_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_is_handed_out_once_and_can_be_bound() {
        let (one, other) = (free_port(), free_port());
        assert_ne!(one, other);
        TcpListener::bind((Ipv4Addr::LOCALHOST, one)).unwrap();
        UdpSocket::bind((Ipv4Addr::LOCALHOST, other)).unwrap();
    }
}
