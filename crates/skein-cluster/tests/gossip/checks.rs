//! What must hold in every run: written down from what nodes were told, beside what really happened.

use std::collections::{BTreeMap, BTreeSet};

use skein_cluster::{Gone, NodeInfo};

/// A life of a node: its id and incarnation.
pub(crate) type Life = (u16, u64);

pub(crate) fn life(info: &NodeInfo) -> Life {
    (info.id.0, info.incarnation.0)
}

/// How a life really ended, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Left(u64),
    Crashed(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Announcement {
    Alive,
    Down,
}

/// Facts and what was told of them. The first fault is kept.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    /// Nothing but crashes and leaves happens.
    pub(crate) calm: bool,
    /// Nothing but pauses happens, to these lives.
    pub(crate) only_pauses: bool,
    pub(crate) paused: BTreeSet<Life>,
    lives: BTreeMap<Life, NodeInfo>,
    ends: BTreeMap<Life, End>,
    /// By process of the observer.
    told: BTreeMap<(usize, Life), Announcement>,
    given_up: BTreeSet<Life>,
    accepted: BTreeSet<u64>,
    pub(crate) fault: Option<String>,
    /// How many of each were seen, so that a run in which nothing happens is noticed.
    pub(crate) alive: u64,
    pub(crate) down: u64,
    pub(crate) renewed: u64,
    pub(crate) replays_refused: u64,
}

impl Checks {
    pub(crate) fn fail(&mut self, fault: String) {
        self.fault.get_or_insert(fault);
    }

    pub(crate) fn begins(&mut self, info: &NodeInfo) {
        self.lives.insert(life(info), info.clone());
    }

    pub(crate) fn ends(&mut self, info: &NodeInfo, end: End) {
        self.ends.insert(life(info), end);
    }

    /// Once for each life, in the order of lives, and true in all parts.
    pub(crate) fn told_alive(&mut self, observer: usize, me: &NodeInfo, peer: &NodeInfo, now: u64) {
        self.alive += 1;
        let (id, incarnation) = life(peer);
        if me.id == peer.id {
            self.fail(format!("at {now} node {id} is told of itself"));
        }
        if self.lives.get(&life(peer)) != Some(peer) {
            self.fail(format!("at {now} node {} is told of {peer:?}, which was never like this", me.id));
        }
        let last = self.told.range((observer, (id, 0))..=(observer, (id, u64::MAX))).next_back();
        if let Some(((_, (_, newest)), told)) = last.map(|(of, told)| (*of, *told))
            && (newest >= incarnation || told == Announcement::Alive)
        {
            self.fail(format!(
                "at {now} node {} is told that {id}.{incarnation} is alive after {id}.{newest} was {told:?}",
                me.id
            ));
        }
        self.told.insert((observer, (id, incarnation)), Announcement::Alive);
    }

    /// Once for each life that was told as alive; a leave only of who left.
    pub(crate) fn told_down(
        &mut self,
        observer: usize,
        me: &NodeInfo,
        (peer, gone): (&NodeInfo, Gone),
        now: u64,
    ) {
        self.down += 1;
        let (id, incarnation) = life(peer);
        if self.told.insert((observer, life(peer)), Announcement::Down) != Some(Announcement::Alive) {
            self.fail(format!("at {now} node {} is told again that {id}.{incarnation} is down", me.id));
        }
        let end = self.ends.get(&life(peer)).copied();
        let fits = match gone {
            Gone::Left => matches!(end, Some(End::Left(_))),
            // Whoever slept may be taken for dead; it may not take others for dead when it wakes.
            Gone::Failed | Gone::Restarted if self.only_pauses => self.paused.contains(&life(peer)),
            // All of a leave may be lost.
            Gone::Failed | Gone::Restarted => !self.calm || matches!(end, Some(End::Crashed(_))),
        };
        if !fits {
            self.fail(format!(
                "at {now} node {} is told that {id}.{incarnation} is down ({gone:?}), in truth: {end:?}",
                me.id
            ));
        }
    }

    /// Once for each life, and never without cause.
    pub(crate) fn told_given_up(&mut self, me: &NodeInfo, now: u64) {
        self.renewed += 1;
        if self.calm {
            self.fail(format!("at {now} node {} is given up without cause", me.id));
        }
        if !self.given_up.insert(life(me)) {
            self.fail(format!("at {now} node {} is given up twice in one life", me.id));
        }
    }

    /// A datagram counts once, whoever sends it again to whom.
    pub(crate) fn accepted(&mut self, datagram: u64, me: &NodeInfo, now: u64) {
        if !self.accepted.insert(datagram) {
            self.fail(format!("at {now} node {} accepts a datagram that was accepted before", me.id));
        }
    }

    /// What a node lists is what it was told.
    pub(crate) fn lists(&mut self, observer: usize, me: &NodeInfo, members: &BTreeSet<Life>, now: u64) {
        let told = self.told.range((observer, (0, 0))..(observer + 1, (0, 0)));
        let alive: BTreeSet<Life> =
            told.filter(|(_, told)| **told == Announcement::Alive).map(|((_, life), _)| *life).collect();
        if alive != *members {
            self.fail(format!("at {now} node {} lists {members:?} and was told {alive:?}", me.id));
        }
    }

    /// Who is gone in truth is gone for everyone soon: for `after` milliseconds at most.
    pub(crate) fn noticed(&mut self, me: &NodeInfo, members: &BTreeSet<Life>, now: u64) {
        for member in members {
            let deadline = match self.ends.get(member) {
                None => continue,
                Some(End::Crashed(at)) => at + 3000,
                Some(End::Left(at)) => at + 300,
            };
            if now > deadline {
                let end = self.ends.get(member);
                self.fail(format!("at {now} node {} still lists {member:?}, {end:?}", me.id));
            }
        }
    }
}
