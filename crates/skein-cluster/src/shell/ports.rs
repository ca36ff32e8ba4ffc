//! The cluster's port: TCP for links and UDP for gossip on one number.

use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
};

use socket2::{Domain, Protocol, Socket, Type};

/// How often another free port is tried, when any will do and UDP has not the one that TCP got.
const ATTEMPTS: usize = 16;
const BACKLOG: i32 = 1024;
/// Room for the datagrams of a large cluster that come while the thread is not scheduled.
const DATAGRAMS_BYTES: usize = 1 << 20;

/// Why the cluster cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ClusterStartError {
    /// The port is not to be had.
    #[error("cluster: cannot listen on {address} ({protocol}); stop whatever uses it, or set cluster.listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The protocol.
        protocol: &'static str,
        /// Why.
        source: io::Error,
    },
    /// There is no secret, and the address can be reached from elsewhere.
    #[error(
        "cluster: cluster.listen is {0}, which other machines reach, and there is no cluster.secret; set cluster.secret, or listen on loopback"
    )]
    OpenWithoutSecret(SocketAddr),
    /// The system refuses a thread, or random bytes.
    #[error(
        "cluster: the system does not give what the cluster needs to start; look at the limits of the process"
    )]
    System(#[from] io::Error),
}

/// Opens both sockets.
pub(super) fn open(listen: SocketAddr) -> Result<(TcpListener, UdpSocket), ClusterStartError> {
    let attempts = if listen.port() == 0 { ATTEMPTS } else { 1 };
    let mut attempt = 0;
    loop {
        attempt += 1;
        let tcp = stream(listen).map_err(|source| fault(listen, "TCP", source))?;
        let address = tcp.local_addr()?;
        match datagrams(address) {
            Ok(udp) => return Ok((tcp, udp)),
            Err(error) if attempt == attempts => return Err(fault(address, "UDP", error)),
            Err(_taken) => {}
        }
    }
}

fn fault(address: SocketAddr, protocol: &'static str, source: io::Error) -> ClusterStartError {
    ClusterStartError::Listen { address, protocol, source }
}

fn stream(listen: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(listen), Type::STREAM, Some(Protocol::TCP))?;
    // A node that starts again must not wait for connections of its former life to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&listen.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn datagrams(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    // The system may give less, which is enough for most.
    let _less = socket.set_recv_buffer_size(DATAGRAMS_BYTES);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_have_one_number_and_a_taken_one_is_named() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (tcp, udp) = open(any).unwrap();
        let address = tcp.local_addr().unwrap();
        assert_eq!(address, udp.local_addr().unwrap());
        let text = open(address).unwrap_err().to_string();
        assert!(text.contains(&address.to_string()) && text.contains("TCP"), "{text}");
        drop(tcp);
        let text = open(address).unwrap_err().to_string();
        assert!(text.contains("UDP"), "{text}");
    }
}
