//! The heart of the cluster: links come and go, nodes are let in or refused, soft state is exchanged, notifications are given.
//!
//! One `handle` from events to actions, without IO, clock and randomness of its own: the shell feeds it what sockets and gossip
//! say and does what it asks for; the simulation in tests/ runs whole clusters of it. All calls come from one thread.
//!
//! Constraints. A peer is let in (`Cluster::admit`) once both sides have welcomed each other over a link, is up once its soft
//! state is in effect here and gossip has it alive too, and goes in one place (`members::lose`), whatever the cause. Its life is
//! over then: that incarnation is never let in again. Between two nodes there is one link; of two that meet, both sides prefer
//! the same one (`greeting::precedence`).

mod dials;
mod figures;
mod frame;
mod greeting;
mod life;
mod links;
mod members;
mod past;
mod random;
mod refusal;
mod streams;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use skein_types::{Incarnation, Moment, NodeId};

use self::{
    dials::Dials, frame::Hello, life::Life, members::Member, past::Pasts, random::Random, refusal::Refusal,
};
pub use self::{figures::CoreFigures, refusal::JoinRefused};
use crate::{Announcement, Cluster, Gone, Host, LinkSettings, NodeInfo, Notification, Peer};

/// The delay between dials grows to this; while a peer waits for its link, to a quarter of the link's time-out.
const DIAL_DELAY_MAX: Duration = Duration::from_secs(5);

/// A link, as the shell names it. No two links of a node have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// Where other nodes may be; replaces what was said before.
    Candidates(Vec<SocketAddr>),
    /// Gossip hears a node.
    Alive(NodeInfo),
    /// Gossip has given up a node.
    Dead(NodeInfo, Gone),
    /// Others have given up this life of this node.
    GivenUp {
        /// That life.
        incarnation: Incarnation,
    },
    /// A link is open: encrypted, and nothing said yet.
    LinkOpened {
        /// The link.
        link: LinkId,
        /// The address that was dialled, when this node dialled.
        dialled: Option<SocketAddr>,
        /// Where the other one is.
        remote: SocketAddr,
    },
    /// Nobody answered as they should.
    DialFailed {
        /// The address that was dialled.
        to: SocketAddr,
    },
    /// A link is cut, from the other side or because nothing came over it. Not said of links closed by [`Action::Close`].
    LinkClosed {
        /// The link.
        link: LinkId,
    },
    /// A frame of the control lane.
    Control {
        /// The link it came over.
        link: LinkId,
        /// The frame.
        frame: Bytes,
    },
    /// The plane of a peer says something.
    Announcement {
        /// The link it came over.
        link: LinkId,
        /// What it says.
        announcement: Announcement,
    },
    /// This node's soft state changed.
    Flush,
    /// Time has passed.
    Tick,
    /// This node will leave: others are told, and that it takes no new clients.
    Drain,
    /// This node leaves now. Nothing is done after that.
    Leave,
}

/// What the shell has to do, in this order.
#[derive(Clone, Debug)]
pub enum Action {
    /// Open a link, and say [`Event::LinkOpened`] or [`Event::DialFailed`].
    Dial {
        /// Where to.
        to: SocketAddr,
    },
    /// Send a frame on the control lane.
    Control {
        /// Over this link.
        link: LinkId,
        /// The frame.
        frame: Bytes,
    },
    /// Close a link once what was said before is written; no more events of it are expected.
    Close {
        /// The link.
        link: LinkId,
        /// For the log and the figures.
        why: CloseReason,
    },
    /// Messages of this peer flow over this link from now on; runs that came before are taken now.
    Attach {
        /// The link.
        link: LinkId,
        /// The peer.
        peer: Arc<Peer>,
        /// The last of our kept runs that it has: it goes on behind that.
        handled: u64,
    },
    /// They flow no more. Said for each link that was attached, before another one is attached for the same peer, also when
    /// the link was cut from below.
    Detach {
        /// The link.
        link: LinkId,
    },
    /// Gossip should talk to this node.
    Meet(NodeInfo),
    /// Gossip should tell all that this node is down.
    DeclareDown(NodeInfo),
    /// This node begins another life, in gossip too.
    Renew(NodeInfo),
    /// The operator should know.
    Notify(Notification),
    /// Every node of which this one was told is known or gone: the doors may open. Said once; see `Cluster::is_joined`.
    Joined,
    /// This node cannot take part as it is set up. It should stop and say why. Nothing is done after that.
    Refused(JoinRefused),
}

/// Why a link is closed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// What came makes no sense.
    Faulty(&'static str),
    /// The other one was refused, for this reason, and was told so.
    Refused(&'static str),
    /// The other one refused this node, for this reason.
    RefusedElsewhere(&'static str),
    /// Another link to the same peer goes before it.
    Replaced,
    /// They did not greet in time.
    Silent,
    /// The peer is gone.
    PeerGone(Gone),
    /// This node leaves, begins another life, or cannot take part.
    Ending,
}

impl CloseReason {
    /// The reason as the value of a metric's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Faulty(_) => "faulty",
            Self::Refused(label) | Self::RefusedElsewhere(label) => label,
            Self::Replaced => "replaced",
            Self::Silent => "silent",
            Self::PeerGone(_) => "peer_gone",
            Self::Ending => "ending",
        }
    }
}

/// The core.
#[derive(Debug)]
pub struct Core {
    cluster: Arc<Cluster>,
    host: Arc<dyn Host>,
    settings: LinkSettings,
    random: Random,
    links: BTreeMap<LinkId, Link>,
    /// Nodes that are there as far as is known, with a link or without.
    members: BTreeMap<NodeId, Member>,
    pasts: Pasts,
    dials: Dials,
    life: Life,
    figures: CoreFigures,
}

#[derive(Debug)]
struct Link {
    dialled: Option<SocketAddr>,
    remote: SocketAddr,
    /// Which dial of whoever dialled it is.
    dial: u64,
    stage: Stage,
    /// What the other one said of itself.
    hello: Option<Box<Hello>>,
    /// When they must have greeted.
    deadline: Moment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Who dialled has said hello.
    AwaitsHello,
    /// Both have said hello, and the one who was dialled has welcomed.
    AwaitsWelcome,
    /// The one who was dialled prefers another link; the other one may know that there is none any more.
    AwaitsInsistence,
    /// Both have welcomed.
    Established,
}

impl Core {
    /// A node that knows nobody yet. The same seed and events give the same actions.
    #[must_use]
    pub fn new(cluster: Arc<Cluster>, host: Arc<dyn Host>, settings: LinkSettings, seed: u64) -> Self {
        Self {
            cluster,
            host,
            settings,
            random: Random::new(seed),
            links: BTreeMap::new(),
            members: BTreeMap::new(),
            pasts: Pasts::default(),
            dials: Dials::default(),
            life: Life::default(),
            figures: CoreFigures::default(),
        }
    }

    /// What follows from an event. Also does what has become due, so that any event will do as the passing of time.
    pub fn handle(&mut self, event: Event, now: Moment, out: &mut Vec<Action>) {
        if self.life.is_over() {
            if let Event::LinkOpened { link, .. } = event {
                out.push(Action::Close { link, why: CloseReason::Ending });
            }
            return;
        }
        match event {
            Event::Candidates(addresses) => self.candidates(addresses, now),
            Event::Alive(info) => self.alive(info, now, out),
            Event::Dead(info, gone) => self.dead(&info, gone, now, out),
            Event::GivenUp { incarnation } => self.given_up(incarnation, now, out),
            Event::LinkOpened { link, dialled, remote } => self.link_opened(link, dialled, remote, now, out),
            Event::DialFailed { to } => self.dial_failed(to, now),
            Event::LinkClosed { link } => self.link_closed(link, now, out),
            Event::Control { link, frame } => self.control(link, frame, now, out),
            Event::Announcement { link, announcement } => self.received(link, announcement, now),
            Event::Flush => self.pump_all(now, out),
            Event::Tick => {}
            Event::Drain => self.drain(now, out),
            Event::Leave => self.leave(now, out),
        }
        self.do_what_is_due(now, out);
    }

    /// When [`Event::Tick`] is needed at the latest, if nothing else comes before.
    #[must_use]
    pub fn next_due(&self) -> Option<Moment> {
        if self.life.is_over() {
            return None;
        }
        let greetings = self.links.values().filter(|link| link.stage != Stage::Established);
        let greetings = greetings.map(|link| link.deadline);
        let members = self.members.values().map(Member::next_due);
        let dials = self.dials.next_due().filter(|_| !self.life.is_given_up());
        let all = greetings.chain(members).chain(dials).chain(self.life.next_due());
        all.min().filter(|due| *due != Moment::NEVER)
    }

    /// Whether every node of which this one was told is known or gone.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        self.cluster.is_joined()
    }

    /// What happened since the start.
    #[must_use]
    pub fn figures(&self) -> &CoreFigures {
        &self.figures
    }

    fn do_what_is_due(&mut self, now: Moment, out: &mut Vec<Action>) {
        if self.life.is_over() {
            return;
        }
        self.renew_if_due(now, out);
        self.close_silent_links(now, out);
        self.lose_unlinked_members(now, out);
        self.send_digests(now, out);
        self.dial_what_is_due(now, out);
        self.join_if_complete(now, out);
    }

    /// Refuses a node and closes the link.
    fn refuse(&mut self, link: LinkId, refusal: Refusal, now: Moment, out: &mut Vec<Action>) {
        let label = refusal.label();
        self.figures.refuse(label);
        send(link, &frame::Frame::Refuse(refusal), out);
        self.close(link, CloseReason::Refused(label), now, out);
    }
}

fn send(link: LinkId, frame: &frame::Frame, out: &mut Vec<Action>) {
    out.push(Action::Control { link, frame: frame.encode() });
}

#[cfg(test)]
mod tests;
