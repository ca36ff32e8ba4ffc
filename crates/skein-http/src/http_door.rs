//! The HTTP door as the node has it: made once, run once for each listener.

use std::sync::Arc;

use skein_plane::Plane;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    door::{HttpSettings, Listeners, NodeInfo, ReadinessSwitch, Shared},
    router, serve,
};

/// The HTTP door. Copies are the same door.
#[derive(Clone, Debug)]
pub struct HttpDoor {
    shared: Arc<Shared>,
}

impl HttpDoor {
    /// The door of the node that `node` describes; `listeners` tells about the other doors.
    #[must_use]
    pub fn new(
        plane: Arc<Plane>,
        node: NodeInfo,
        listeners: Listeners,
        readiness: Arc<ReadinessSwitch>,
        settings: HttpSettings,
    ) -> Self {
        Self { shared: Shared::new(plane, node, listeners, readiness, settings) }
    }

    /// Writes how many refused requests are not in the log, once their time is over. Call it now and then.
    pub fn log_left_out(&self) {
        self.shared.log_left_out();
    }

    /// Accepts on `listener` until `shutdown` is cancelled, then lets requests under way end and returns.
    pub async fn run(self, listener: TcpListener, shutdown: CancellationToken) {
        let router = router::router(&self.shared);
        serve::serve(self.shared, router, listener, shutdown).await;
    }
}
