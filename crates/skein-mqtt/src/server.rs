//! MQTT as a door: which settings a connection comes with, and the task that joins its state machine with its bytes.
//!
//! Sockets, TLS, WebSocket and threads are `skein-door`'s. A connection stays with the worker it was given to
//! (docs/adr/0002), so that in the usual case nothing about it is shared. A publisher's worker writes straight to the
//! sockets of subscribers on other workers.

mod task;

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use arc_swap::ArcSwap;
use skein_door::{
    Carrier, ConnectionPermit, Door, Incoming, ListenerState, Shared, Stream, WebSocketProtocol, log_end,
    log_full,
};
use skein_types::Code;
use tokio_util::task::TaskTracker;

use self::task::Connection;
use crate::settings::Settings;

/// The door's word in logs, listings and the configuration.
pub(crate) const NAME: &str = "mqtt";
/// The name of MQTT inside TLS (RFC 7301).
const ALPN: &[u8] = b"mqtt";
/// Subprotocols in the order in which they are chosen: MQTT-6.0.0-4, and the name clients of version 3.1 use.
const SUBPROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

/// The MQTT door.
#[derive(Debug)]
pub struct MqttDoor {
    /// By the name of the listener; replaced as a whole on reload.
    settings: ArcSwap<HashMap<Arc<str>, Arc<Settings>>>,
}

impl MqttDoor {
    /// The door's word in logs, listings and the configuration.
    pub const NAME: &str = NAME;

    /// A door with the settings of its listeners.
    #[must_use]
    pub fn new(settings: impl IntoIterator<Item = Settings>) -> Arc<Self> {
        let door = Self { settings: ArcSwap::default() };
        door.reload(settings);
        Arc::new(door)
    }

    /// Puts settings in force for connections to come. Listeners that are not named keep theirs.
    pub fn reload(&self, settings: impl IntoIterator<Item = Settings>) {
        let mut all = HashMap::clone(&self.settings.load());
        all.extend(settings.into_iter().map(|settings| (settings.listener.name.clone(), Arc::new(settings))));
        self.settings.store(Arc::new(all));
    }

    /// Serves MQTT on a stream that somebody else has accepted and prepared, until it ends; counted with `listener`.
    pub async fn serve_stream(
        &self,
        shared: Arc<Shared>,
        listener: Arc<ListenerState>,
        peer: SocketAddr,
        stream: Box<dyn Stream>,
    ) {
        let Some(place) = ConnectionPermit::take(&listener) else { return log_full(NAME, peer) };
        let incoming = Incoming { shared, place, peer, carrier: Carrier::Layered(stream), user: None };
        if let Some(connection) = self.connection(incoming) {
            task::serve(connection).await;
        }
    }

    fn settings(&self, listener: &str) -> Option<Arc<Settings>> {
        self.settings.load().get(listener).cloned()
    }

    fn connection(&self, incoming: Incoming) -> Option<Connection> {
        let settings = self.settings(&incoming.place.listener().settings.load().name);
        if settings.is_none() {
            log_end(NAME, incoming.peer, None, Code::Internal, "the listener has no settings for MQTT");
        }
        Some(Connection::new(settings?, incoming))
    }
}

impl Door for MqttDoor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn alpn(&self) -> &'static [u8] {
        ALPN
    }

    fn websocket(&self, listener: &str) -> Option<WebSocketProtocol> {
        let packet_bytes_max = self.settings(listener)?.packet_bytes_max;
        Some(WebSocketProtocol { subprotocols: &SUBPROTOCOLS, packet_bytes_max })
    }

    fn serve(&self, incoming: Incoming, tasks: &TaskTracker) {
        if let Some(connection) = self.connection(incoming) {
            tasks.spawn(task::serve(connection));
        }
    }
}
