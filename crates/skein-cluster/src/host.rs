//! What the cluster asks of the node's plane: the only calls upwards.
//!
//! Calls about one peer come one after another, from one thread. They must not wait.

use std::{sync::Arc, task::Waker};

use bytes::Bytes;
use skein_types::Moment;

use crate::{Change, ForwardedRun, Lane, Peer};

/// The plane as the cluster sees it.
pub trait Host: Send + Sync + std::fmt::Debug {
    /// A peer is up: what it said of itself was applied before.
    fn node_up(&self, peer: &Arc<Peer>, now: Moment);

    /// A peer is gone. What it said holds no longer, and what waited for it need not wait.
    fn node_gone(&self, peer: &Arc<Peer>, gone: Gone, now: Moment);

    /// A peer's soft state changed. The changes are in effect when this returns: routes match, an older connection of a
    /// claimed client is closed.
    fn apply(&self, from: &Arc<Peer>, changes: &[Change], now: Moment);

    /// The plane of a peer says something to this one: see [`Peer::announce`].
    fn received(&self, from: &Arc<Peer>, lane: Lane, kind: u8, body: Bytes, now: Moment);

    /// Who takes the messages of a peer; asked for once, when it is new.
    fn inbound(&self, from: &Arc<Peer>) -> Box<dyn Inbound>;
}

/// Takes the messages of one peer.
pub trait Inbound: Send + std::fmt::Debug {
    /// Messages, in the order in which the peer sent them.
    fn run(&mut self, run: ForwardedRun, now: Moment);

    /// The end of what was read at once: everything is written, and what must be waited for is named.
    fn finish(&mut self, now: Moment) -> Handled;
}

/// What is left to wait for after messages were handed over.
#[derive(Debug, Default)]
pub struct Handled {
    /// The messages are kept as promised once this is done; only then the peer is told so.
    pub kept: Option<Box<dyn Completion>>,
    /// Clients do not keep up: the peer gets no more credit before this is done, or for a bounded time.
    pub congestion: Option<Box<dyn Completion>>,
}

/// Something that will be done.
pub trait Completion: Send + std::fmt::Debug {
    /// Whether it is; if not, `waker` is called once it may be.
    fn poll_done(&mut self, waker: &Waker, now: Moment) -> bool;
}

/// How a peer went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gone {
    /// It said good-bye.
    Left,
    /// It was not heard of, or its link was cut and not re-made in time.
    Failed,
    /// It is there again as another incarnation.
    Restarted,
}
