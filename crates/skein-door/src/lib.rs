//! What every door stands on: listeners and their limits, TLS, WebSocket, workers, the clock.
//!
//! Start with [`Door`] in `door.rs`: a protocol is one value behind that trait, and all of this brings it connections.
//! `listener.rs` accepts, `workers.rs` has the threads, `handshake.rs` what happens before a door gets its connection.
//! Nothing here knows a protocol, and no door knows another (docs/adr/0011).
#![warn(missing_docs)]

mod clock;
mod door;
mod end_log;
mod failure;
mod fresh;
mod handshake;
mod listener;
mod origin;
mod password;
mod pending;
pub mod proxy;
mod redirect;
mod shared;
mod state;
mod stream;
mod tls;
mod transport;
mod websocket;
mod workers;

pub use clock::Clock;
pub use door::{Door, Incoming, UpgradeRoute, WebSocketProtocol};
pub use end_log::{log_end, log_full, log_left_out};
pub use fresh::Fresh;
pub use listener::{ListenError, Listener};
pub use origin::{Host, WebRefusal, WebRules};
pub use password::check_password;
pub use pending::Pending;
pub use redirect::Redirect;
pub use shared::Shared;
pub use state::{ConnectionPermit, ListenerSettings, ListenerState, SharedLimit};
pub use stream::{Carrier, DirectSocket, Io, Owned, Stream, StreamFault};
pub use tls::{ClientCertificates, Demand, TlsError, TlsFiles, TlsSource};
pub use transport::Transport;
pub use websocket::{UpgradeRefusal, WebSocketIo, answer_upgrade};
pub use workers::Workers;
