//! The message plane: what every door of a Skein node shares.
//!
//! Start with [`Plane::publish`] in `publish.rs`: the whole path of a message is there. Sessions and their outboxes
//! are in `session.rs`, subscriptions in `matcher.rs`. Users and rules are `skein-access`.
//!
//! Nothing here is asynchronous, does IO or reads a clock; doors drive it with the moment at hand. It never depends
//! on a door: a door's bytes are made through the [`wire::Wire`] it brings.
#![warn(missing_docs)]

mod acknowledge;
mod cluster;
mod delivery;
mod durable;
mod enforce;
mod handle;
mod ledger;
mod matcher;
mod outbox;
mod plane;
mod publish;
mod retained;
mod session;
mod sessions;
mod subscribe;
mod task_handle;
pub mod wire;

pub use acknowledge::Acknowledgement;
pub use delivery::{Acked, NodeQueue, QueueLimits, QueueState, QueuedMessage, WindowLimits};
pub use durable::{
    AccessChangeError, Commit, Durable, NewPassword, RestoreError, Restored, RowError, StoredRule,
    StoredUser, UserChange, WallClock, schema,
};
pub use handle::{ConnectionHandle, Work};
pub use ledger::{DropReason, Ledger, LedgerFigures, Tally, TrafficTally};
pub use matcher::{Matcher, SubscribeOptions};
pub use outbox::{DeliveredMessage, Outbox, SHARE_PAYLOAD_BYTES_MIN, Socket, Written};
pub use plane::{Plane, PlaneLimits, Traffic};
pub use publish::{Batch, Congestion, Effects, Published, Publisher};
pub use retained::Retained;
pub use session::{
    Connection, ConnectionInfo, EXPIRY_NEVER_SECS, Flushed, Session, SessionInfo, SessionLimits, SessionLoad,
    Will,
};
pub use sessions::{Durability, Ending, Open, Sessions};
pub use subscribe::RetainHandling;
pub use task_handle::{Parting, TaskHandle};
