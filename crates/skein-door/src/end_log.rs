//! The one line in the log about each connection that ended, and how many of them there may be.
//!
//! Clients that never got in are strangers, who can end as many connections as they like; those that got in may be as many
//! when the node is open to all. Of both some are written, and how many more there were. The log is the process's, and so
//! is the count.

use std::{net::SocketAddr, sync::LazyLock, time::Instant};

use parking_lot::Mutex;
use skein_types::{Code, LogLimit, Moment};

/// Lines about strangers in ten seconds.
const STRANGERS_MAX: u32 = 20;
/// Lines about clients that were let in.
const CLIENTS_MAX: u32 = 200;

static ENDS: LazyLock<Ends> = LazyLock::new(|| Ends {
    start: Instant::now(),
    strangers: Mutex::new(LogLimit::new(STRANGERS_MAX)),
    clients: Mutex::new(LogLimit::new(CLIENTS_MAX)),
});

struct Ends {
    start: Instant,
    strangers: Mutex<LogLimit>,
    clients: Mutex<LogLimit>,
}

/// The line in the log about a connection for which there was no place.
pub fn log_full(door: &'static str, peer: SocketAddr) {
    log_end(door, peer, None, Code::TooManyConnections, "the listener has as many connections as it allows");
}

/// Why a connection ended, for the one line in the log.
pub fn log_end(door: &'static str, peer: SocketAddr, client: Option<&str>, code: Code, detail: &str) {
    if matches!(code, Code::Disconnected | Code::ConnectionLost | Code::ServerShuttingDown) {
        tracing::debug!(%peer, client, reason = code.name(), detail, "{door}: connection ended");
        return;
    }
    let now = ENDS.now();
    write_left_out(now);
    let limit = if client.is_some() { &ENDS.clients } else { &ENDS.strangers };
    if limit.lock().admits(peer.ip(), now) {
        tracing::info!(%peer, client, reason = code.name(), detail, "{door}: connection closed");
    }
}

/// Writes how many lines were left out, once their time is over. Call it now and then.
pub fn log_left_out() {
    write_left_out(ENDS.now());
}

fn write_left_out(now: Moment) {
    let (strangers, clients) = (ENDS.strangers.lock().left_out(now), ENDS.clients.lock().left_out(now));
    if let Some(left_out) = strangers {
        tracing::info!("doors: connections closed before a client was let in: {left_out}");
    }
    if let Some(left_out) = clients {
        tracing::info!("doors: connections of clients closed: {left_out}");
    }
}

impl Ends {
    fn now(&self) -> Moment {
        Moment::ZERO.after(self.start.elapsed())
    }
}
