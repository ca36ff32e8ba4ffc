//! Listeners: binding, accepting, and turning away what is too much.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::net::TcpListener;

use crate::{
    door::Door,
    end_log::log_full,
    shared::Shared,
    state::{ConnectionPermit, ListenerSettings, ListenerState},
    transport::Transport,
    workers::{Accepted, Workers},
};

/// Pause after the operating system refused a connection for want of file handles or memory.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);
/// Pause between two lines in the log about that.
const EXHAUSTED_LOG_PAUSE: Duration = Duration::from_secs(10);
/// Connections the kernel keeps for us while we are busy.
const BACKLOG: i32 = 4096;

/// A listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "{door}: cannot listen on {address} for the listener {name:?}: {why}. Stop the program that uses the port or set \
     {door}.listen, or the key of this listener, to another address."
)]
pub struct ListenError {
    door: &'static str,
    address: SocketAddr,
    name: Arc<str>,
    why: io::Error,
}

/// A bound listener that does not accept yet.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    transport: Transport,
    state: Arc<ListenerState>,
}

impl Listener {
    /// Binds `address` for connections of the door with the name `door`.
    ///
    /// # Errors
    /// When the address is in use or not ours.
    pub fn bind(
        door: &'static str,
        address: SocketAddr,
        transport: Transport,
        settings: ListenerSettings,
    ) -> Result<Self, ListenError> {
        let refused = |why| ListenError { door, address, name: settings.name.clone(), why };
        let listener = bind(address).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let state = ListenerState::new(door, address, transport.name(), settings);
        Ok(Self { listener, transport, state })
    }

    /// Its state, for listings and reload.
    #[must_use]
    pub fn state(&self) -> &Arc<ListenerState> {
        &self.state
    }

    /// Accepts connections for `door` until the server stops.
    pub async fn run(self, door: Arc<dyn Door>, shared: Arc<Shared>, workers: Arc<Workers>) {
        let Self { listener, transport, state } = self;
        let mut pace = Pace::default();
        let mut exhausted = Exhausted::default();
        loop {
            // Accepting is cancel-safe: a connection that was not returned stays with the kernel.
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = shared.stopped() => return,
            };
            match accepted {
                Ok((stream, peer)) => {
                    pace.wait(state.settings.load().connect_rate_per_sec).await;
                    if let Some(accepted) = admit(stream, peer, &state, &transport, &door) {
                        workers.take(accepted).await;
                    }
                }
                Err(error) if is_about_one_connection(&error) => {}
                Err(error) => {
                    exhausted.tell(&state, &error);
                    tokio::time::sleep(EXHAUSTED_PAUSE).await;
                }
            }
        }
    }
}

fn admit(
    stream: tokio::net::TcpStream,
    peer: SocketAddr,
    state: &Arc<ListenerState>,
    transport: &Transport,
    door: &Arc<dyn Door>,
) -> Option<Accepted> {
    let place = ConnectionPermit::take(state).and_then(|mut place| {
        // Behind a balancer the peer says nothing about the client.
        let is_known = !state.settings.load().proxy_protocol;
        (!is_known || place.is_from(peer.ip())).then_some(place)
    });
    let Some(place) = place else {
        log_full(door.name(), peer);
        if matches!(transport, Transport::Tcp) {
            refuse(stream, door.full());
        }
        return None;
    };
    // Without Nagle a small packet is sent at once; batches are written in one piece anyway. Fails when the peer was
    // gone before we looked.
    let stream = stream.set_nodelay(true).and_then(|()| stream.into_std()).ok()?;
    Some(Accepted { stream, peer, place, transport: transport.clone(), door: door.clone() })
}

/// Tells a client why it is closed. The runtime does not know yet that the socket can be written, the system does; it
/// does not wait either. Whoever does not get this sees the connection close; there is nothing more to do for it.
fn refuse(stream: tokio::net::TcpStream, text: &[u8]) {
    if !text.is_empty() {
        let _untold = stream.into_std().and_then(|mut stream| io::Write::write(&mut stream, text));
    }
}

/// Says that nothing can be accepted, and not ten times in a second.
#[derive(Debug, Default)]
struct Exhausted {
    told: Option<tokio::time::Instant>,
    untold: u64,
}

impl Exhausted {
    fn tell(&mut self, state: &ListenerState, error: &io::Error) {
        self.untold = self.untold.saturating_add(1);
        if self.told.is_some_and(|told| told.elapsed() < EXHAUSTED_LOG_PAUSE) {
            return;
        }
        let (door, address, times) = (state.door, state.address, self.untold);
        tracing::error!(%address, %error, times, "{door}: cannot accept; raise the limit of open files");
        (self.told, self.untold) = (Some(tokio::time::Instant::now()), 0);
    }
}

/// Spreads new connections evenly when their rate is limited.
#[derive(Debug, Default)]
struct Pace {
    next: Option<tokio::time::Instant>,
}

impl Pace {
    async fn wait(&mut self, per_sec: u32) {
        if per_sec == 0 {
            return;
        }
        let now = tokio::time::Instant::now();
        let turn = self.next.map_or(now, |next| next.max(now));
        self.next = Some(turn + Duration::from_secs(1) / per_sec);
        tokio::time::sleep_until(turn).await;
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for connections of the last run to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}
