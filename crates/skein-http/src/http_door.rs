//! The HTTP door as the node has it: made once for all of its listeners.

use std::sync::Arc;

use axum::Router;
use skein_door::{Door, Incoming, UpgradeRoute, WebSocketProtocol};
use skein_plane::Plane;
use tokio_util::task::TaskTracker;

use crate::{
    door::{self, HttpSettings, Listeners, NodeInfo, ReadinessSwitch, Shared},
    router, serve,
};

/// The HTTP door.
#[derive(Debug)]
pub struct HttpDoor {
    shared: Arc<Shared>,
    router: Router,
}

impl HttpDoor {
    /// The door's word in logs, listings and the configuration.
    pub const NAME: &str = door::NAME;

    /// The door of the node that `node` describes; `listeners` tells about the listeners of all doors, and `upgrades` are
    /// the paths at which others take WebSockets.
    #[must_use]
    pub fn new(
        plane: Arc<Plane>,
        node: NodeInfo,
        listeners: Listeners,
        readiness: Arc<ReadinessSwitch>,
        settings: HttpSettings,
        upgrades: &[UpgradeRoute],
    ) -> Arc<Self> {
        let shared = Shared::new(plane, node, listeners, readiness, settings);
        let router = router::router(&shared, upgrades);
        Arc::new(Self { shared, router })
    }
}

impl Door for HttpDoor {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn alpn(&self) -> &'static [u8] {
        b"http/1.1"
    }

    /// Those of others come in by its routes.
    fn websocket(&self, _listener: &str) -> Option<WebSocketProtocol> {
        None
    }

    fn full(&self) -> &'static [u8] {
        serve::FULL
    }

    /// Whether a node is alive and ready is asked from the beginning.
    fn is_open_early(&self) -> bool {
        true
    }

    /// Writes how many refused requests are not in the log, once their time is over.
    fn tick(&self) {
        self.shared.log_left_out();
    }

    fn serve(&self, incoming: Incoming, tasks: &TaskTracker) {
        let (shared, router) = (self.shared.clone(), self.router.clone());
        tasks.spawn(serve::serve(shared, router, incoming, tasks.clone()));
    }
}
