//! Membership: which nodes are alive, by SWIM (the crate foca) over datagrams.
//!
//! A core without IO, clock or randomness: the cluster's core calls [`Membership`] with what happened and the moment, does the
//! [`GossipAction`]s in their order, and calls [`Membership::tick`] at [`Membership::next_due`]. Datagrams
//! are sealed around it with [`Seal`]; the two are apart so that a node alone on its machine needs no secret.
//!
//! *Who may gossip.* Whoever knows this node's id **and** incarnation: every message names both, and one for another life is
//! refused. A newcomer learns them from the hello of a link that was accepted ([`Membership::meet`]), and then those of the
//! others from the node it met. So an id is granted on links, in one place, and gossip follows.
//!
//! *Lives.* A life of a node, its id with an incarnation, comes up once and goes down once, and down is final. Each gives at
//! most one [`GossipAction::Alive`] and, after it, one [`GossipAction::Down`]. A node that hears that its own
//! life was ended gives [`GossipAction::GivenUp`] once, and goes on with [`Membership::renew`]. Nodes that hold each
//! other for down do not gossip; links bring them together again, and each hears from the other that it was given up.
//!
//! *Pauses.* A node that was stopped, or got no processor, does not hold its own silence against others: its timers go on
//! from where they stood ([`timers`]).
//!
//! *One-way cuts.* A node that reaches others and hears nobody would hold all of them for dead and make them believe it of
//! each other. So a node with several members that hears none of them doubts itself first: it takes nobody for dead until the
//! others have given it up and believe it no more, tells nobody that he is down, and keeps to itself what its links say.
//!
//! *Flapping.* A node that goes down and comes back within a minute more than once is let in 1, 2, 4, 8, 16, at last 30
//! seconds later ([`damping`]); until then it is alive to foca and [`Standing::HeldBack`] to everyone else.
//!
//! *Time to notice silence* is about `probe_interval` × 1 to 4 (until some member probes the silent one) + `probe_interval`
//! (the probe) + `suspect_timeout`: with the defaults 1.5 to 3 seconds up to a hundred nodes. Shorter settings
//! notice sooner and take a busy node for a dead one more often; see [`pace`] for what grows with the cluster.

mod codec;
mod damping;
mod member;
mod pace;
mod roster;
mod seal;
mod timers;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use foca::{Foca, Member, NoCustomBroadcast, Notification, OwnedNotification, Runtime, State, Timer};
use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};
use skein_types::{Incarnation, Moment};

pub use self::seal::{Seal, SealError};
use self::{
    codec::{Codec, CodecError},
    member::Life,
    roster::Roster,
    timers::Timers,
};
use crate::{Gone, GossipSettings, NodeInfo};

/// The longest datagram, sealed: what IPv6 carries everywhere in one piece (1 280 bytes with its headers).
pub const DATAGRAM_BYTES_MAX: usize = 1232;
/// The longest message before it is sealed.
const PLAIN_BYTES_MAX: usize = DATAGRAM_BYTES_MAX - seal::SEAL_BYTES;

/// Something comes several times in each interval; a node with several members to which nothing came for so many intervals
/// may be cut off itself.
const SILENT_INTERVALS: u32 = 3;
const DOUBT_INTERVAL_MIN: Duration = Duration::from_millis(10);

/// What membership asks of its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GossipAction {
    /// Seal this and send it.
    Send {
        /// Where to.
        to: SocketAddr,
        /// The message.
        bytes: Bytes,
    },
    /// A member is alive.
    Alive(NodeInfo),
    /// A member that was alive is gone.
    Down(NodeInfo, Gone),
    /// Peers have given this node up. It must begin another life: [`Membership::renew`].
    GivenUp,
}

/// Why a message was dropped. None of them changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GossipError {
    /// It is no message.
    #[error("gossip cannot be read: {0}")]
    Unreadable(&'static str),
    /// It is for another node, or for another life of this one.
    #[error("gossip is for another node or another life of this one")]
    NotForThisLife,
    /// It comes from a node with this node's id.
    #[error("gossip comes from a node with this node's id")]
    OwnId,
}

/// How a life of a node stands with this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was not heard of. It may be met.
    Unknown,
    /// It is a member.
    Alive,
    /// It came and went too often: it is let in at this moment.
    HeldBack(Moment),
    /// It is down, or a newer life of the node is known. It must begin another life.
    GivenUp,
}

type Swim = Foca<Life, Codec, Xoshiro256PlusPlus, NoCustomBroadcast>;

/// Who is in the cluster, as far as this node knows.
pub struct Membership {
    foca: Swim,
    settings: GossipSettings,
    /// How many members foca's settings are made for.
    paced_for: usize,
    leaving: Arc<AtomicBool>,
    timers: Timers,
    roster: Roster,
    phase: Phase,
    /// When a datagram came last, and how many members there were then. A link that opens says nothing of datagrams.
    heard: Moment,
    heard_among: usize,
    seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A member, or on its own.
    Living,
    /// Announcement that it was given up.
    GivenUp,
    /// It has said good-bye.
    Left,
}

impl Membership {
    /// A node that knows nobody. `seed` decides whom it probes when.
    #[must_use]
    pub fn new(me: NodeInfo, settings: GossipSettings, seed: u64) -> Self {
        let codec = Codec::default();
        let rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        Self {
            leaving: codec.leaving.clone(),
            foca: Foca::new(Life::new(Arc::new(me)), pace::config(&settings, 1), rng, codec),
            settings,
            paced_for: 1,
            timers: Timers::default(),
            roster: Roster::default(),
            phase: Phase::Living,
            heard: Moment::ZERO,
            heard_among: 0,
            seed,
        }
    }

    /// A node whose hello came over a link. If it may, it is a member from now on, and both tell each other the others. If it
    /// is down to this node ([`Standing::GivenUp`]), it is told so.
    pub fn meet(&mut self, peer: &NodeInfo, now: Moment, out: &mut Vec<GossipAction>) {
        if self.phase == Phase::Left || peer.id == self.me().id {
            return;
        }
        let standing = self.standing(peer);
        let life = Life::new(Arc::new(peer.clone()));
        self.drive(now, out, |foca, runtime| {
            if standing == Standing::Unknown {
                let alive = Member::new(life.clone(), 0, State::Alive);
                foca.apply_many(std::iter::once(alive), true, &mut *runtime)?;
            }
            // A member that knows this node answers with others; one that was given up, or gave this node up, is told or
            // tells in its answer.
            foca.announce(life, runtime)
        });
    }

    /// A datagram came, and was opened.
    ///
    /// # Errors
    /// It was dropped: see [`GossipError`].
    pub fn datagram(
        &mut self,
        bytes: &[u8],
        now: Moment,
        out: &mut Vec<GossipAction>,
    ) -> Result<(), GossipError> {
        let addressee = codec::addressee(bytes).map_err(|CodecError(why)| GossipError::Unreadable(why))?;
        if addressee != (self.me().id, self.me().incarnation) {
            return Err(GossipError::NotForThisLife);
        }
        if self.phase == Phase::Left {
            return Ok(());
        }
        let mut result = Ok(());
        self.drive(now, out, |foca, runtime| {
            result = foca.handle_data(bytes, runtime).map_err(|error| refusal(&error));
            Ok(())
        });
        if result.is_ok() {
            self.note_heard(now);
        }
        result
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Moment, out: &mut Vec<GossipAction>) {
        if self.phase == Phase::Left {
            return;
        }
        self.timers.put_off(now, self.settings.probe_timeout);
        while let Some(timer) = self.timers.take_due(now) {
            if matches!(timer, Timer::ChangeSuspectToDown { .. }) && self.must_doubt_itself(now) {
                self.timers.set(now.after(self.settings.probe_interval.max(DOUBT_INTERVAL_MIN)), timer);
                continue;
            }
            self.drive(now, out, |foca, runtime| foca.handle_timer(timer, runtime));
        }
        self.roster.tick(now, out);
    }

    /// When to call [`Membership::tick`], at the latest.
    #[must_use]
    pub fn next_due(&self) -> Option<Moment> {
        if self.phase == Phase::Left {
            return None;
        }
        [self.timers.first(), self.roster.next_due()].into_iter().flatten().min()
    }

    /// The link to a member was cut and could not be made again: it is down, and everybody is told; by a node that hears
    /// nobody, only itself.
    pub fn declare_down(&mut self, peer: &NodeInfo, now: Moment, out: &mut Vec<GossipAction>) {
        if self.phase == Phase::Left || matches!(self.standing(peer), Standing::Unknown | Standing::GivenUp) {
            return;
        }
        let down = Member::down(Life::new(Arc::new(peer.clone())));
        let spread = !self.hears_nobody(now);
        self.drive(now, out, |foca, runtime| {
            foca.apply_many(std::iter::once(down), spread, &mut *runtime)?;
            if spread { foca.gossip(runtime) } else { Ok(()) }
        });
    }

    /// This node leaves as planned. Up to 32 members are told at once, and tell the others. Nothing comes after it.
    pub fn leave(&mut self, now: Moment, out: &mut Vec<GossipAction>) {
        if self.phase == Phase::Left {
            return;
        }
        self.phase = Phase::Left;
        self.leaving.store(true, Relaxed);
        let farewell = pace::farewell(&self.settings, self.foca.num_members());
        self.drive(now, out, |foca, runtime| {
            foca.set_config(farewell)?;
            foca.leave_cluster(runtime)
        });
    }

    /// This node begins another life, because its peers had given it up: the same id with a higher incarnation.
    pub fn renew(&mut self, me: NodeInfo, now: Moment, out: &mut Vec<GossipAction>) {
        if self.phase == Phase::Left || me.incarnation <= self.me().incarnation {
            return;
        }
        self.phase = Phase::Living;
        if self.foca.num_members() == 0 {
            return self.begin_anew(me);
        }
        self.drive(now, out, |foca, runtime| {
            foca.change_identity(Life::new(Arc::new(me)), &mut *runtime)?;
            // It goes on probing the members it knows, also when what it has just said does not arrive.
            foca.apply_many(std::iter::empty(), false, runtime)
        });
    }

    /// Forgets which lives were over: whom nobody is left to may be the one who was cut off, and the others well all the time.
    fn begin_anew(&mut self, me: NodeInfo) {
        let seed = self.seed ^ me.incarnation.0;
        let fresh = Self::new(me, self.settings, seed);
        self.leaving = fresh.leaving;
        self.foca = fresh.foca;
        self.paced_for = fresh.paced_for;
        self.timers = fresh.timers;
        self.heard_among = 0;
    }

    /// Which life of this node gossips.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.me().incarnation
    }

    /// The members that are alive and not held back, by id, without this node.
    pub fn members(&self) -> impl Iterator<Item = &NodeInfo> {
        self.roster.members()
    }

    /// How a life of a node stands: what the hello of a link is answered with.
    #[must_use]
    pub fn standing(&self, peer: &NodeInfo) -> Standing {
        let mut known = self.foca.iter_membership_state();
        let Some(known) = known.find(|member| member.id().id() == peer.id) else {
            return Standing::Unknown;
        };
        match known.id().incarnation().cmp(&peer.incarnation) {
            std::cmp::Ordering::Less => Standing::Unknown,
            std::cmp::Ordering::Greater => Standing::GivenUp,
            std::cmp::Ordering::Equal if known.state() == State::Down => Standing::GivenUp,
            std::cmp::Ordering::Equal => {
                self.roster.held_until(peer.id).map_or(Standing::Alive, Standing::HeldBack)
            }
        }
    }

    /// Begins with members that are known already, as if each had been met long ago and told. For clusters that a simulation
    /// makes at once; they share one copy of each node.
    pub fn recall(
        &mut self,
        members: impl Iterator<Item = Arc<NodeInfo>> + Clone,
        now: Moment,
        out: &mut Vec<GossipAction>,
    ) {
        let id = self.me().id;
        let others = members.filter(|info| info.id != id);
        self.roster.recall(others.clone());
        let others = others.map(|info| Member::alive(Life::new(info)));
        self.drive_quietly(now, out, |foca, runtime| foca.apply_many(others, false, runtime));
        self.repace();
    }

    /// Whether it may be this node that is cut off: several members are there, and nothing comes from any of them.
    fn hears_nobody(&self, now: Moment) -> bool {
        let silent_max = self.settings.probe_interval.saturating_mul(SILENT_INTERVALS);
        self.heard_among > 1 && now.since(self.heard) > silent_max
    }

    fn note_heard(&mut self, now: Moment) {
        (self.heard, self.heard_among) = (now, self.foca.num_members());
    }

    /// Whether it hears nobody and the others may not have given it up yet. What it says of them could still be believed.
    fn must_doubt_itself(&self, now: Moment) -> bool {
        let settings = &self.settings;
        let given_up_after = settings.probe_interval.saturating_mul(SILENT_INTERVALS * 2)
            + pace::config(settings, self.paced_for).suspect_to_down_after;
        self.hears_nobody(now) && now.since(self.heard) < given_up_after
    }

    fn me(&self) -> &NodeInfo {
        &self.foca.identity().info
    }

    /// Lets foca do something, and takes in what it noticed.
    fn drive(
        &mut self,
        now: Moment,
        out: &mut Vec<GossipAction>,
        step: impl FnOnce(&mut Swim, &mut Surroundings<'_>) -> Result<(), foca::Error>,
    ) {
        let news = self.drive_quietly(now, out, step);
        if self.phase == Phase::Living && news.contains(&OwnedNotification::Defunct) {
            self.phase = Phase::GivenUp;
            out.push(GossipAction::GivenUp);
        }
        self.roster.take(news, now, out);
        self.repace();
    }

    fn drive_quietly(
        &mut self,
        now: Moment,
        out: &mut Vec<GossipAction>,
        step: impl FnOnce(&mut Swim, &mut Surroundings<'_>) -> Result<(), foca::Error>,
    ) -> Vec<OwnedNotification<Life>> {
        // Before anything is set: what is set now must not be put off with what is late.
        self.timers.put_off(now, self.settings.probe_timeout);
        let judges = !self.hears_nobody(now);
        let mut surroundings = Surroundings { now, judges, timers: &mut self.timers, out, news: Vec::new() };
        let result = step(&mut self.foca, &mut surroundings);
        let news = surroundings.news;
        if let Err(error) = result {
            // None can be brought about from outside; foca goes on after each.
            tracing::warn!(%error, "gossip went on after an error of its own");
        }
        news
    }

    fn repace(&mut self) {
        let members = self.foca.num_members() + 1;
        if members != self.paced_for && self.phase != Phase::Left {
            self.paced_for = members;
            let replaced = self.foca.set_config(pace::config(&self.settings, members));
            debug_assert!(replaced.is_ok(), "the size of the cluster does not change what foca holds fixed");
        }
    }
}

impl std::fmt::Debug for Membership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Membership")
            .field("me", self.foca.identity())
            .field("phase", &self.phase)
            .field("members", &self.foca.num_members())
            .finish_non_exhaustive()
    }
}

fn refusal(error: &foca::Error) -> GossipError {
    match error {
        foca::Error::DataFromOurselves => GossipError::OwnId,
        foca::Error::DataTooBig => GossipError::Unreadable("it is too long"),
        foca::Error::IndirectForOurselves => GossipError::Unreadable("it is about its addressee"),
        foca::Error::Decode(cause) => match cause.downcast_ref() {
            Some(CodecError(why)) => GossipError::Unreadable(why),
            None => GossipError::Unreadable("it is malformed"),
        },
        _ => GossipError::Unreadable("it is malformed"),
    }
}

/// What foca meets while it works.
struct Surroundings<'a> {
    now: Moment,
    /// Whether it may tell others that they are down.
    judges: bool,
    timers: &'a mut Timers,
    out: &'a mut Vec<GossipAction>,
    news: Vec<OwnedNotification<Life>>,
}

impl Runtime<Life> for Surroundings<'_> {
    fn notify(&mut self, notification: Notification<'_, Life>) {
        self.news.push(notification.to_owned());
    }

    fn send_to(&mut self, to: Life, data: &[u8]) {
        if !self.judges && codec::is_verdict(data) {
            return;
        }
        let bytes = Bytes::copy_from_slice(data);
        self.out.push(GossipAction::Send { to: to.info.advertise, bytes });
    }

    fn submit_after(&mut self, event: Timer<Life>, after: Duration) {
        self.timers.set(self.now.after(after), event);
    }
}

#[cfg(test)]
mod tests;
