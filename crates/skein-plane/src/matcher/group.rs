//! A shared subscription group: one member per message (MQTT 5.0 section 4.8.2).

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use skein_cluster::Peer;
use skein_types::{GroupName, SessionKey};

use super::{Subscriber, nodes::Elsewhere};
use crate::subscription::GroupKey;

/// The members that share one filter under one name.
#[derive(Debug)]
pub struct Group {
    key: Arc<GroupKey>,
    members: Arc<[Subscriber]>,
    /// Other nodes with members.
    elsewhere: Arc<[Elsewhere]>,
    /// Whose turn it is; kept when members change, so that the order stays fair.
    turn: AtomicUsize,
}

/// Where the next message of a group may go.
#[derive(Clone, Copy, Debug)]
pub(crate) enum MemberPlace<'a> {
    /// To the member of this number on this node, or one after it.
    Here(usize),
    /// To a member on this node, whichever it chooses.
    There(&'a Arc<Peer>),
}

impl Group {
    pub(super) fn new(key: GroupKey, member: Subscriber) -> Self {
        Self { members: Arc::from([member]), ..Self::empty(key) }
    }

    /// A group whose members are still to come.
    pub(super) fn empty(key: GroupKey) -> Self {
        Self {
            key: Arc::new(key),
            members: Arc::default(),
            elsewhere: Arc::default(),
            turn: AtomicUsize::new(0),
        }
    }

    /// Whether nobody is left in it on any node.
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.elsewhere.is_empty()
    }

    /// Other nodes with members.
    pub(crate) fn elsewhere(&self) -> &[Elsewhere] {
        &self.elsewhere
    }

    /// Its filter and name.
    #[must_use]
    pub(crate) fn key(&self) -> &Arc<GroupKey> {
        &self.key
    }

    /// Whether it has this name.
    pub(super) fn is_named(&self, name: &GroupName) -> bool {
        self.key.name == *name
    }

    pub(crate) fn members(&self) -> &[Subscriber] {
        &self.members
    }

    /// The number of the member that is asked first to take the next message: each message starts one further.
    pub(crate) fn next_turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    /// The members in turn, beginning with that of number `first`.
    pub(crate) fn members_from(&self, first: usize) -> impl Iterator<Item = &Subscriber> {
        let first = first % self.members.len().max(1);
        let (tail, head) = self.members.split_at(first.min(self.members.len()));
        head.iter().chain(tail)
    }

    /// The nodes in the order in which they are asked to take the next message: the one whose member's turn it is,
    /// counting over the members of all nodes, then the others.
    pub(crate) fn next_places(&self) -> impl Iterator<Item = MemberPlace<'_>> {
        let here = self.members.len();
        let all = here + self.elsewhere.iter().map(|known| known.members as usize).sum::<usize>();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % all.max(1);
        let (mut chosen, mut rest) = (0, turn.saturating_sub(here));
        while let Some(known) = self.elsewhere.get(chosen)
            && rest >= known.members as usize
        {
            rest -= known.members as usize;
            chosen += 1;
        }
        let count = self.elsewhere.len();
        let there = move |offset: usize| {
            let known = self.elsewhere.get((chosen + offset) % count.max(1));
            known.map(|known| MemberPlace::There(&known.peer))
        };
        // When it is the turn of a member elsewhere, those here come right after it.
        let here_at = usize::from(turn >= here);
        (0..=count).filter_map(move |position| match position.cmp(&here_at) {
            std::cmp::Ordering::Less => there(position),
            std::cmp::Ordering::Equal => (here > 0).then_some(MemberPlace::Here(turn)),
            std::cmp::Ordering::Greater => there(position - 1),
        })
    }

    pub(super) fn with(&self, member: Subscriber) -> (Self, bool) {
        let mut members = self.members.to_vec();
        let new = match members.iter_mut().find(|present| present.key() == member.key()) {
            Some(present) => {
                *present = member;
                false
            }
            None => {
                members.push(member);
                true
            }
        };
        (self.changed(members), new)
    }

    pub(super) fn without(&self, session: SessionKey) -> (Self, bool) {
        let mut members = self.members.to_vec();
        members.retain(|member| member.key() != session);
        let found = members.len() != self.members.len();
        (self.changed(members), found)
    }

    fn changed(&self, members: Vec<Subscriber>) -> Self {
        let turn = AtomicUsize::new(self.turn.load(Ordering::Relaxed));
        let elsewhere = self.elsewhere.clone();
        Self { key: self.key.clone(), members: Arc::from(members), elsewhere, turn }
    }

    pub(super) fn with_node(&self, peer: &Arc<Peer>, members: u32) -> Self {
        let others = self.elsewhere.iter().filter(|known| known.peer.id() != peer.id()).cloned();
        let mut elsewhere: Vec<_> = others.chain([Elsewhere { peer: peer.clone(), members }]).collect();
        elsewhere.sort_by_key(|known| known.peer.id());
        self.changed_elsewhere(elsewhere)
    }

    pub(super) fn without_node(&self, peer: &Arc<Peer>) -> Self {
        let others = self.elsewhere.iter().filter(|known| known.peer.id() != peer.id());
        self.changed_elsewhere(others.cloned().collect())
    }

    fn changed_elsewhere(&self, elsewhere: Vec<Elsewhere>) -> Self {
        Self { elsewhere: Arc::from(elsewhere), ..self.changed(self.members.to_vec()) }
    }
}
