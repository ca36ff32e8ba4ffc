//! What stands between a socket and the protocol of its door.

use std::sync::Arc;

use crate::tls::TlsSource;

/// What the connections of a listener speak below their protocol.
#[derive(Clone, Debug)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls(Arc<TlsSource>),
    /// WebSocket over TCP.
    WebSocket,
    /// WebSocket over TLS.
    SecureWebSocket(Arc<TlsSource>),
}

impl Transport {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls(_) => "tls",
            Self::WebSocket => "ws",
            Self::SecureWebSocket(_) => "wss",
        }
    }
}
