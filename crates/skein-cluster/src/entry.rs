//! What a node says of itself: the entries of its soft state.

use std::net::IpAddr;

use bytes::Bytes;
use skein_types::{ByteString, ClientId, Message, Stamp, SubscriptionFilter, UserName};

/// What an entry is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// It has subscribers of this filter, or members of this group.
    Route(SubscriptionFilter),
    /// It has, or is about to have, the connection of this client.
    Client(ClientId),
    /// The will of its connected client.
    Will(ClientId),
    /// How busy it is.
    Load,
    /// What a door says, under a name of its own.
    Door(DoorKind, ByteString),
}

/// Which door's an entry is, and what it is about. A node that does not know the kind keeps such entries, so that both sides
/// agree on what was said, and makes nothing of them: a door may be newer on one node than on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DoorKind(u8);

impl DoorKind {
    /// The lowest one; those below are the plane's own.
    pub const FIRST: u8 = 128;

    /// The kind of this number, chosen once for all versions; none below [`DoorKind::FIRST`].
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number < Self::FIRST { None } else { Some(Self(number)) }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// How many members a group has there; 1 for a filter without group, however many subscribe.
    Members(u32),
    /// The claim of a client id (docs/adr/0010).
    Claim(Claim),
    /// The will.
    Will(Box<RemoteWill>),
    /// The load.
    Load(Load),
    /// What a door says, in an encoding of its own.
    Door(Bytes),
}

/// The claim of a client id. Of two by one user the higher one wins; of two users the one who has had the id for longer keeps
/// it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// When it was made.
    pub stamp: Stamp,
    /// The claim by which the user got the id, from when on there was a session of it all the time.
    pub since: Stamp,
    /// Whose client it is; nobody's is one user, too.
    pub user: Option<UserName>,
    /// The client began anew: its sessions elsewhere end.
    pub clean: bool,
}

impl Claim {
    /// A claim of nobody's client.
    #[must_use]
    pub fn of(stamp: Stamp) -> Self {
        Self { stamp, since: stamp, user: None, clean: false }
    }
}

/// On whose behalf a will is published, as far as access rules ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WillOwner {
    /// The client's user, if it had one.
    pub user: Option<UserName>,
    /// Whether the user was found in a list of users, and loses every right when removed from it.
    pub is_listed: bool,
    /// Where the client connected from.
    pub address: IpAddr,
    /// The door it came in by.
    pub door: Box<str>,
}

/// A will, for whoever has to publish it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteWill {
    /// On whose behalf it is published; what it may is asked at that moment.
    pub owner: WillOwner,
    /// The message; without expiry, which begins when it is published.
    pub message: Message,
    /// Seconds of its life from then on.
    pub expiry_secs: Option<u32>,
    /// Seconds to wait for the client to return.
    pub delay_secs: u32,
}

/// How busy a node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Connected clients.
    pub clients: u32,
    /// Sessions, with a client or without.
    pub sessions: u32,
    /// Messages taken over in the last second.
    pub messages_per_sec: u32,
}

/// One change of a node's soft state; no value: the entry is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it is about.
    pub key: Key,
    /// What is said from now on.
    pub value: Option<Value>,
}
