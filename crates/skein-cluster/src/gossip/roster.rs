//! The members this node has been told of: each life of a node comes and goes once.
//!
//! It turns what foca notices into [`GossipAction`]s and holds back nodes that flap. Only [`super::Membership`] uses it.

use std::{collections::BTreeMap, sync::Arc};

use foca::OwnedNotification as News;
use skein_types::{Moment, NodeId};

use super::{GossipAction, damping::Damping, member::Life};
use crate::{Gone, NodeInfo};

/// Members that are up, and members that will be.
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// Announcement as alive, by id. Ten thousand nodes of a simulation have one each: it is kept small.
    told: Vec<Arc<NodeInfo>>,
    /// Alive, and not told before the moment.
    held: BTreeMap<NodeId, (Moment, Arc<NodeInfo>)>,
    damping: Damping,
}

impl Roster {
    pub(super) fn members(&self) -> impl Iterator<Item = &NodeInfo> {
        self.told.iter().map(|info| &**info)
    }

    /// Until when a member is held back.
    pub(super) fn held_until(&self, id: NodeId) -> Option<Moment> {
        self.held.get(&id).map(|(until, _)| *until)
    }

    /// When the next member is let in.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.held.values().map(|(until, _)| *until).min()
    }

    /// Lets in who has waited long enough.
    pub(super) fn tick(&mut self, now: Moment, out: &mut Vec<GossipAction>) {
        let due = |(until, info): &(Moment, Arc<NodeInfo>)| (*until <= now).then(|| info.clone());
        let due: Vec<_> = self.held.values().filter_map(due).collect();
        for info in due {
            self.held.remove(&info.id);
            self.admit(info, now, out);
        }
    }

    /// Takes in what foca noticed during one call, in its order.
    pub(super) fn take(&mut self, news: Vec<News<Life>>, now: Moment, out: &mut Vec<GossipAction>) {
        let mut news = news.into_iter().peekable();
        while let Some(one) = news.next() {
            match one {
                News::MemberUp(life) => self.up(life.info, now, out),
                News::MemberDown(life) => {
                    let gone = if life.left { Gone::Left } else { Gone::Failed };
                    self.down(life.id(), gone, now, out);
                }
                News::Rename(before, after) => {
                    // Between two lives that are both up, or both down, foca says nothing more.
                    let was_up = self.is_up(before.id());
                    self.down(before.id(), Gone::Restarted, now, out);
                    let ends = news.next_if(|next| matches!(next, News::MemberDown(life) if *life == after));
                    if was_up && ends.is_none() {
                        self.up(after.info, now, out);
                    }
                }
                News::Active | News::Idle | News::Defunct | News::Rejoin(_) => {}
            }
        }
    }

    /// Knows members without telling them: see [`super::Membership::recall`].
    pub(super) fn recall(&mut self, members: impl Iterator<Item = Arc<NodeInfo>>) {
        self.told.extend(members);
        self.told.sort_by_key(|info| info.id);
        self.told.dedup_by_key(|info| info.id);
    }

    fn is_up(&self, id: NodeId) -> bool {
        self.held.contains_key(&id) || self.place(id).is_ok()
    }

    fn place(&self, id: NodeId) -> Result<usize, usize> {
        self.told.binary_search_by_key(&id, |info| info.id)
    }

    fn up(&mut self, info: Arc<NodeInfo>, now: Moment, out: &mut Vec<GossipAction>) {
        let delay = self.damping.delay(info.id, now);
        if delay.is_zero() {
            self.admit(info, now, out);
        } else {
            tracing::info!(node = %info.id, ?delay, "a node that comes and goes is let in later");
            self.held.insert(info.id, (now.after(delay), info));
        }
    }

    fn admit(&mut self, info: Arc<NodeInfo>, now: Moment, out: &mut Vec<GossipAction>) {
        self.damping.admitted(info.id, now);
        match self.place(info.id) {
            Ok(_present) => {}
            Err(place) => {
                out.push(GossipAction::Alive(NodeInfo::clone(&info)));
                self.told.insert(place, info);
            }
        }
    }

    fn down(&mut self, id: NodeId, gone: Gone, now: Moment, out: &mut Vec<GossipAction>) {
        let was_held = self.held.remove(&id).is_some();
        let was_told = self.place(id).map(|place| self.told.remove(place));
        if let Ok(info) = &was_told {
            out.push(GossipAction::Down(NodeInfo::clone(info), gone));
        }
        if (was_held || was_told.is_ok()) && gone != Gone::Left {
            self.damping.went_down(id, now);
        }
    }
}
