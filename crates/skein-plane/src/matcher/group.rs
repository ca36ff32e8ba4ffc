//! A shared subscription group: one member per message (MQTT 5.0 section 4.8.2).

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use skein_types::{Filter, GroupName, SessionKey};

use super::Subscriber;

/// The members that share one filter under one name.
#[derive(Debug)]
pub struct Group {
    name: GroupName,
    filter: Filter,
    members: Arc<[Subscriber]>,
    /// Whose turn it is; kept when members change, so that the order stays fair.
    turn: AtomicUsize,
}

impl Group {
    pub(super) fn new(name: GroupName, filter: Filter, member: Subscriber) -> Self {
        Self { name, filter, members: Arc::from([member]), turn: AtomicUsize::new(0) }
    }

    /// The group's name.
    #[must_use]
    pub fn name(&self) -> &GroupName {
        &self.name
    }

    /// The filter its members share.
    #[must_use]
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    pub(crate) fn members(&self) -> &[Subscriber] {
        &self.members
    }

    /// The members in the order in which they are asked to take the next message: round robin, each message
    /// starting one further.
    pub(crate) fn next_members(&self) -> impl Iterator<Item = &Subscriber> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % self.members.len().max(1);
        let (tail, head) = self.members.split_at(first.min(self.members.len()));
        head.iter().chain(tail)
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
        Self { name: self.name.clone(), filter: self.filter.clone(), members: Arc::from(members), turn }
    }
}
