//! A network of connections between numbered places: ordered and delayed like TCP, cut, held up and slowed down at will. It
//! knows nothing of what it carries, and of the cluster only how long an end may be silent.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::random::Dice;

/// An end on which nothing comes for so long is closed: half-open connections end.
pub(crate) const SILENCE_MAX_MS: u64 = 1500;

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EndId {
    pub(crate) connection: u64,
    /// 0: who dialled; 1: who was dialled.
    pub(crate) side: usize,
}

impl EndId {
    pub(crate) fn other(self) -> Self {
        Self { side: 1 - self.side, ..self }
    }
}

#[derive(Debug)]
pub(crate) struct Connection<T> {
    pub(crate) ends: [End<T>; 2],
    /// What is on its way is lost.
    pub(crate) is_cut: bool,
}

#[derive(Debug)]
pub(crate) struct End<T> {
    pub(crate) place: usize,
    pub(crate) is_open: bool,
    pub(crate) heard_at: u64,
    arrives_at: u64,
    /// On the way to this end, and held up.
    held: VecDeque<T>,
}

#[derive(Debug)]
pub(crate) struct Network<T> {
    pub(crate) connections: BTreeMap<u64, Connection<T>>,
    last: u64,
    /// Pairs of places, from and to, between which nothing passes.
    pub(crate) blocked: BTreeSet<(usize, usize)>,
    /// Pairs between which everything takes long.
    pub(crate) slow: BTreeSet<(usize, usize)>,
}

/// What became of something sent.
pub(crate) enum Carried<T> {
    /// It arrives then.
    At(u64, T),
    /// It waits at a block, in order.
    Held,
    /// The connection is gone.
    Lost(T),
}

impl<T> Network<T> {
    pub(crate) fn new() -> Self {
        Self { connections: BTreeMap::new(), last: 0, blocked: BTreeSet::new(), slow: BTreeSet::new() }
    }

    pub(crate) fn passes(&self, from: usize, to: usize) -> bool {
        !self.blocked.contains(&(from, to))
    }

    pub(crate) fn delay(&self, from: usize, to: usize, dice: &mut Dice) -> u64 {
        if self.slow.contains(&(from, to)) { dice.range(50, 600) } else { dice.range(1, 15) }
    }

    /// A connection; its ends are closed until each side has been told.
    pub(crate) fn connect(&mut self, from: usize, to: usize, now: u64) -> u64 {
        self.last += 1;
        let end = |place| End { place, is_open: true, heard_at: now, arrives_at: now, held: VecDeque::new() };
        self.connections.insert(self.last, Connection { ends: [end(from), end(to)], is_cut: false });
        self.last
    }

    pub(crate) fn end(&self, id: EndId) -> Option<&End<T>> {
        self.connections.get(&id.connection).map(|connection| &connection.ends[id.side])
    }

    pub(crate) fn end_mut(&mut self, id: EndId) -> Option<&mut End<T>> {
        self.connections.get_mut(&id.connection).map(|connection| &mut connection.ends[id.side])
    }

    /// Sends from one end to the other one.
    pub(crate) fn send(&mut self, from: EndId, what: T, now: u64, dice: &mut Dice) -> Carried<T> {
        let places = self.end(from).zip(self.end(from.other())).map(|(from, to)| (from.place, to.place));
        let Some((here, there)) = places else { return Carried::Lost(what) };
        let delay = self.delay(here, there, dice);
        let passes = self.passes(here, there);
        let Some(connection) = self.connections.get_mut(&from.connection) else { return Carried::Lost(what) };
        if connection.is_cut || !connection.ends[from.side].is_open {
            return Carried::Lost(what);
        }
        let to = &mut connection.ends[1 - from.side];
        if !passes || !to.held.is_empty() {
            to.held.push_back(what);
            return Carried::Held;
        }
        // Never before what was sent earlier.
        to.arrives_at = to.arrives_at.max(now + delay);
        Carried::At(to.arrives_at, what)
    }

    /// What was held up and passes now, with the moment of its arrival.
    pub(crate) fn release(&mut self, now: u64, dice: &mut Dice) -> Vec<(EndId, u64, T)> {
        let mut released = Vec::new();
        for (id, connection) in &mut self.connections {
            for side in [0, 1] {
                let from = connection.ends[1 - side].place;
                let to = &mut connection.ends[side];
                if self.blocked.contains(&(from, to.place)) {
                    continue;
                }
                while let Some(what) = to.held.pop_front() {
                    to.arrives_at = to.arrives_at.max(now + dice.range(1, 15));
                    released.push((EndId { connection: *id, side }, to.arrives_at, what));
                }
            }
        }
        released
    }

    /// Takes note of keep-alives, and returns the ends on which nothing came for too long. `runs` says of a place whether it
    /// sends any.
    pub(crate) fn pulse(&mut self, now: u64, runs: impl Fn(usize) -> bool) -> Vec<EndId> {
        let mut silent = Vec::new();
        for (id, connection) in &mut self.connections {
            for side in [0, 1] {
                let from = (connection.ends[1 - side].place, connection.ends[1 - side].is_open);
                let to = &mut connection.ends[side];
                let passes = !self.blocked.contains(&(from.0, to.place));
                if from.1 && passes && !connection.is_cut && runs(from.0) {
                    to.heard_at = now;
                }
                if to.is_open && now - to.heard_at > SILENCE_MAX_MS && runs(to.place) {
                    silent.push(EndId { connection: *id, side });
                }
            }
        }
        silent
    }

    /// Forgets connections that are closed at both ends; returns what was held up in them.
    pub(crate) fn forget_closed(&mut self) -> Vec<T> {
        let mut lost = Vec::new();
        self.connections.retain(|_, connection| {
            let keep = connection.ends.iter().any(|end| end.is_open);
            if !keep {
                lost.extend(connection.ends.iter_mut().flat_map(|end| end.held.drain(..)));
            }
            keep
        });
        lost
    }
}
