//! The message plane: what every door of a Skein node shares.
//!
//! Start with [`Plane::publish`] in `publish.rs`: the whole path of a message is there. Sessions and their outboxes
//! are in `session.rs`, subscriptions in `matcher.rs`. Users and rules are `skein-access`.
//!
//! Nothing here is asynchronous, does IO or reads a clock; doors drive it with the moment at hand. It never depends
//! on a door: a door's bytes are made through the [`wire::Wire`] it brings.
#![warn(missing_docs)]

mod acknowledge;
mod announce;
mod announcement;
mod batch;
mod cluster;
mod clustered;
mod delivery;
mod durable;
mod enforce;
mod handle;
mod handover;
mod inspect;
mod ledger;
mod lifecycle;
mod matcher;
mod outbox;
mod own_names;
mod patterns;
mod plane;
mod publish;
mod restore;
mod retained;
mod rows;
mod run;
mod schema;
mod session;
mod session_table;
mod stored;
mod subscribe;
mod subscription;
mod task_handle;
mod ticket;
mod turn;
mod users;
mod will;
pub mod wire;

pub use acknowledge::Acknowledgement;
pub use batch::{Batch, Congestion};
pub use delivery::{Acked, NodeQueue, QueueLimits, QueueState, QueuedMessage, WindowLimits};
pub use durable::{Commit, Durable};
pub use handle::{ConnectionHandle, Work};
pub use ledger::{DropReason, Ledger, LedgerFigures, Tally, TrafficTally};
pub use lifecycle::{Durability, Ending, Open};
pub use matcher::Matcher;
pub use outbox::{DeliveredMessage, Memory, Outbox, SHARE_PAYLOAD_BYTES_MIN, Socket, Written};
pub use plane::{Plane, PlaneLimits, Traffic};
pub use publish::{Published, Publisher};
pub use restore::{RestoreError, Restored};
pub use retained::Retained;
pub use rows::{RowError, WallClock};
pub use schema::schema;
pub use session::{
    Connection, ConnectionInfo, EXPIRY_NEVER_SECS, Effects, Flushed, Session, SessionInfo, SessionLimits,
    SessionLoad,
};
pub use session_table::Sessions;
/// Doors depend on the plane only.
pub use skein_cluster::DoorKind;
pub use subscription::{RetainHandling, SubscribeOptions};
pub use task_handle::{Closing, TaskHandle};
pub use users::{AccessChangeError, NewPassword, StoredRule, StoredUser, UserChange};
pub use will::Will;
