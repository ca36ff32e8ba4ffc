//! The HTTP door: health, metrics and the REST interface.
//!
//! Start with [`HttpDoor`] in `http_door.rs`; `door.rs` has what every request sees. `router.rs` has the table of routes and who
//! may use each, `guard.rs` decides who asks, `serve.rs` holds a connection and its bounds, `upgrade.rs` hands WebSockets to other
//! doors, `metrics/names.rs` names every metric.
//!
//! The door reads the plane and ends connections when an operator asks; it never meets another door. What it must
//! know of the node it is given by the node when it is made.
#![warn(missing_docs, clippy::indexing_slicing)]

mod body;
mod change;
mod clients;
mod cluster;
mod cluster_view;
mod commit;
mod door;
mod guard;
mod health;
mod http_door;
mod metrics;
mod page;
mod payload;
mod problem;
mod process;
mod query;
mod queue;
mod retained;
mod router;
mod rules;
mod serve;
mod status;
mod timestamp;
mod upgrade;
mod users;

pub use cluster_view::{ClusterFigures, ClusterView, LaneFigures, LinkFigures, NodeRow};
pub use door::{
    Clock, HttpSettings, ListenerFigures, Listeners, NodeInfo, Readiness, ReadinessSwitch, transport_word,
};
pub use guard::{ROLE_ADMIN, ROLE_MONITOR};
pub use http_door::HttpDoor;
pub use metrics::reference;
