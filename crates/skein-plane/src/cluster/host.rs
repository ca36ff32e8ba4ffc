//! What the cluster tells the plane: nodes come and go, and what they say of themselves.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use skein_cluster::{Change, DoorKind, Gone, Host, Inbound, Key, Lane, Peer, Value};
use skein_types::{ByteString, ClientId, Moment, SubscriptionFilter};

use super::inbound::FromPeer;
use crate::{
    announcement::{self, Reader},
    batch::Batch,
    clustered::{Clustered, KnownNode},
    plane::Plane,
    ticket::Outstanding,
};

/// The plane as the cluster sees it.
#[derive(Debug)]
pub(super) struct PlaneHost {
    plane: Arc<Plane>,
}

impl PlaneHost {
    pub(super) fn new(plane: Arc<Plane>) -> Self {
        Self { plane }
    }

    /// Does something in a batch of its own.
    fn in_batch(&self, now: Moment, act: impl FnOnce(&Plane, &Clustered, &mut Batch)) {
        let Some(clustered) = self.plane.clustered() else { return };
        let mut batch = Batch::default();
        act(&self.plane, clustered, &mut batch);
        self.plane.finish_unattended(&mut batch, now);
    }
}

impl Host for PlaneHost {
    fn node_up(&self, peer: &Arc<Peer>, now: Moment) {
        self.in_batch(now, |plane, clustered, batch| {
            clustered.meet(peer, plane);
            clustered.strategy.node_up(peer.info());
            // Routes may have to list the node although it subscribes to nothing.
            plane.matcher().invalidate();
            plane.announce_wills_taken(peer, batch);
            plane.announce_digests_to(peer, batch);
        });
    }

    fn node_gone(&self, peer: &Arc<Peer>, gone: Gone, now: Moment) {
        self.in_batch(now, |plane, clustered, batch| {
            let node = {
                let mut nodes = clustered.nodes.lock();
                let is_same = nodes.get(&peer.id()).is_some_and(|node| Arc::ptr_eq(&node.peer, peer));
                if is_same { nodes.remove(&peer.id()) } else { None }
            };
            if let Some(mut node) = node {
                batch.effects.tally.link_dropped += node.newly_lost();
                node.forget_routes(plane);
                clustered.cluster.note_load(peer.id(), None);
                plane.take_wills_over(peer, gone, std::mem::take(&mut node.wills), now);
            }
            plane.matcher().invalidate();
            plane.give_all_to_others(peer, batch, now);
            clustered.strategy.node_down(peer.info());
        });
    }

    fn apply(&self, from: &Arc<Peer>, changes: &[Change], now: Moment) {
        self.in_batch(now, |plane, clustered, batch| {
            clustered.meet(from, plane);
            for Change { key, value } in changes {
                match (key, value) {
                    (Key::Route(filter), value) => {
                        clustered.received_route(plane, from, filter, value.as_ref())
                    }
                    (Key::Client(client), Some(Value::Claim(claim))) => {
                        clustered.cluster.heard(claim.stamp);
                        clustered.with_node(from, |node| node.claims.insert(client.clone(), claim.clone()));
                        clustered.wills.lock().cancel(client, claim.user.as_ref());
                        plane.claimed_elsewhere(from, client, claim, batch, now);
                    }
                    (Key::Client(client), _) => {
                        clustered.with_node(from, |node| node.claims.remove(client));
                    }
                    (Key::Will(client), value) => clustered.received_will(from, client, value.as_ref()),
                    (Key::Load, Some(Value::Load(load))) => {
                        clustered.cluster.note_load(from.id(), Some(*load));
                    }
                    (Key::Load, _) => clustered.cluster.note_load(from.id(), None),
                    (Key::Door(kind, name), value) => {
                        clustered.received_of_door(from, (*kind, name.clone()), value.as_ref());
                    }
                }
            }
        });
    }

    fn received(&self, from: &Arc<Peer>, _lane: Lane, kind: u8, body: Bytes, now: Moment) {
        let body = Reader(body);
        self.in_batch(now, |plane, _, batch| match kind {
            announcement::CLAIM_REFUSED => plane.claim_refused(body, batch, now),
            announcement::GROUP_DONE => plane.tickets_done(body),
            announcement::GROUP_ASK => plane.tickets_asked_for(from, body, batch),
            announcement::WILLS_DONE => plane.wills_done(body),
            announcement::WILLS_TAKEN => plane.wills_taken(body, batch),
            announcement::RETAINED_DIGESTS => plane.received_digests(from, body, batch, now),
            announcement::RETAINED_LIST => plane.listed(from, body, batch, now),
            announcement::RETAINED_ENTRIES => plane.received_entries(from, body, batch, now),
            announcement::RETAINED_CHANGED => plane.retain_entries(body, batch, now),
            // A newer node says more than this one understands.
            _ => tracing::debug!(node = %from.id(), kind, "cluster: a node says something unknown"),
        });
    }

    fn inbound(&self, from: &Arc<Peer>) -> Box<dyn Inbound> {
        let outstanding = self.plane.clustered().map(|clustered| {
            clustered.meet(from, &self.plane);
            clustered.with_node(from, |node| node.outstanding.clone())
        });
        let outstanding = outstanding.flatten().unwrap_or_else(|| Outstanding::new(from, Arc::default()));
        Box::new(FromPeer::new(self.plane.clone(), from.clone(), outstanding))
    }
}

impl Clustered {
    /// Knows a node from now on. Another life of it is over.
    fn meet(&self, peer: &Arc<Peer>, plane: &Plane) {
        let before = {
            let mut nodes = self.nodes.lock();
            if nodes.get(&peer.id()).is_some_and(|node| Arc::ptr_eq(&node.peer, peer)) {
                return;
            }
            nodes.insert(peer.id(), KnownNode::new(peer, &self.tickets))
        };
        if let Some(mut before) = before {
            before.forget_routes(plane);
        }
    }

    fn received_route(
        &self,
        plane: &Plane,
        from: &Arc<Peer>,
        filter: &SubscriptionFilter,
        value: Option<&Value>,
    ) {
        match value {
            Some(Value::Members(members)) if *members > 0 => {
                self.with_node(from, |node| node.routes.insert(filter.clone()));
                plane.matcher().subscribe_node(from, filter, *members);
            }
            _ => {
                self.with_node(from, |node| node.routes.remove(filter));
                plane.matcher().unsubscribe_node(from, filter);
            }
        }
    }

    fn received_of_door(&self, from: &Arc<Peer>, key: (DoorKind, ByteString), value: Option<&Value>) {
        self.with_node(from, |node| match value {
            Some(Value::Door(bytes)) => _ = node.of_doors.insert(key, bytes.clone()),
            _ => _ = node.of_doors.remove(&key),
        });
    }

    fn received_will(&self, from: &Arc<Peer>, client: &ClientId, value: Option<&Value>) {
        self.with_node(from, |node| {
            let wills: &mut BTreeMap<_, _> = &mut node.wills;
            match value {
                Some(Value::Will(will)) => _ = wills.insert(client.clone(), (**will).clone()),
                _ => _ = wills.remove(client),
            }
        });
    }
}

impl KnownNode {
    fn forget_routes(&mut self, plane: &Plane) {
        for filter in self.routes.drain() {
            plane.matcher().unsubscribe_node(&self.peer, &filter);
        }
    }
}
