//! The words every part of Skein shares: ids, topics, filters, messages, error codes and limits.
//!
//! Nothing here does IO, reads a clock or knows a protocol. Everything above this crate may use it; it uses
//! nothing of the workspace. A value of these types has been validated once, at the edge, and is trusted
//! afterwards: a function that takes a [`Topic`] never checks it again.
#![warn(missing_docs)]

mod code;
mod filter;
mod ids;
mod level;
mod limits;
mod log_limit;
mod message;
mod moment;
mod topic;

pub use code::Code;
pub use filter::{Filter, FilterError, SubscriptionFilter};
pub use ids::{ClientId, GroupName, Incarnation, NodeId, SessionKey, Stamp, UserName};
pub use limits::{MESSAGE_ID_MAX, TOPIC_BYTES_MAX};
pub use log_limit::{LeftOut, LogLimit};
pub use message::{Message, Properties, QoS};
pub use moment::Moment;
pub use topic::{Topic, TopicError};

pub use bytestring::ByteString;
