//! The wills of clients whose node is gone.
//!
//! Nodes tell each other the wills of their clients. When a node is gone, each of the others takes them over; the one with
//! the lowest id publishes those that are due and tells the rest, so that the next one goes on if it goes too. A client that
//! comes back anywhere before takes its will with it.

use std::{collections::BTreeMap, sync::Arc};

use skein_access::{Door, Identity, UserSource};
use skein_cluster::{Gone, Key, Lane, Peer, RemoteWill, Value, WillOwner};
use skein_types::{ClientId, Message, Moment};

use crate::{
    announcement::{Reader, WILLS_DONE, WILLS_TAKEN, Writer},
    batch::Batch,
    clustered::{Clustered, Life, Orphan, TAKEN_MAX},
    plane::Plane,
    session::{Epoch, Session, State},
};

impl Plane {
    /// The will of a client is not due any more.
    pub(super) fn forget_will(&self, session: &Arc<Session>, state: &mut State, batch: &mut Batch) {
        if state.connection.is_none() {
            self.unschedule(session, state);
        }
        state.will = None;
        state.will_at = None;
        if state.connection.is_none() {
            self.schedule(session, state);
        }
        self.announce_will(session, state, batch);
        if state.durable {
            batch.effects.journal.session_changed(session);
        }
    }

    /// A node is gone: its clients' wills will be due unless they come back.
    pub(super) fn take_wills_over(
        &self,
        peer: &Arc<Peer>,
        gone: Gone,
        of_node: BTreeMap<ClientId, RemoteWill>,
        now: Moment,
    ) {
        let Some(Clustered { wills, .. }) = self.clustered() else { return };
        if gone == Gone::Left || of_node.is_empty() {
            // Who says good-bye has published them.
            return;
        }
        let mut wills = wills.lock();
        let taken = wills.taken.entry(peer.id()).or_default();
        taken.extend(of_node.keys().take(TAKEN_MAX.saturating_sub(taken.len())).cloned());
        let orphan = |(client, will): (ClientId, RemoteWill)| {
            let due = now.after_secs(will.delay_secs);
            (client, Orphan { will, due })
        };
        let orphans = of_node
            .into_iter()
            .map(orphan)
            .filter(|(client, orphan)| !self.is_back(client, &orphan.will.owner));
        let life = (peer.id(), peer.info().incarnation);
        wills.orphans.entry(life).or_default().extend(orphans);
    }

    /// Publishes what is due of nodes that are gone, if this node is the one to do it.
    pub(super) fn publish_due_wills(&self, batch: &mut Batch, now: Moment) {
        let Some(clustered) = self.clustered() else { return };
        let Clustered { cluster, wills, .. } = clustered;
        let due = {
            let mut wills = wills.lock();
            if wills.orphans.is_empty() {
                return;
            }
            let is_lowest = cluster.peers().iter().next().is_none_or(|peer| cluster.id() < peer.id());
            if !is_lowest {
                wills.forget_overdue(now);
                return;
            }
            wills.take_due(now)
        };
        let mut done: BTreeMap<Life, Writer> = BTreeMap::new();
        for (life, client, will) in due {
            let body = done.entry(life).or_insert_with(|| Writer::default().node(life));
            *body = std::mem::take(body).text(&client);
            if !self.is_back(&client, &will.owner) {
                let expires_at = will.expiry_secs.map(|secs| now.after_secs(secs));
                let message = Message { expires_at, ..will.message };
                let access = identity_of(&client, will.owner).map(|identity| self.access().bind(identity));
                match access {
                    Some(access) => self.publish_will(Some(Arc::new(access)), message, batch, now),
                    None => {
                        batch.effects.tally.wills_forbidden += 1;
                        tracing::warn!(
                            client = client.as_str(),
                            "a will is not published: its client came in by a door this node does not know"
                        );
                    }
                }
            }
        }
        self.settle(batch, now);
        for body in done.into_values() {
            // In the same flush as the messages, and before them on the link.
            clustered.tell_all(WILLS_DONE, &body.finish(), batch);
        }
    }

    /// Another node has published wills.
    pub(super) fn wills_done(&self, mut body: Reader) {
        let Some(Clustered { wills, .. }) = self.clustered() else { return };
        if let Some(life) = body.node() {
            wills.lock().done(life, body.clients());
        }
    }

    /// A node is up: it is told whose wills are not its own any more.
    pub(super) fn announce_wills_taken(&self, peer: &Arc<Peer>, batch: &mut Batch) {
        let Some(Clustered { wills, .. }) = self.clustered() else { return };
        let Some(taken) = wills.lock().taken.remove(&peer.id()) else { return };
        let body = taken.iter().fold(Writer::default(), |body, client| body.text(client));
        peer.announce(Lane::Control, WILLS_TAKEN, body.finish());
        batch.touch_peer(peer);
    }

    /// Another node has published, or will publish, wills that were restored here.
    pub(super) fn wills_taken(&self, body: Reader, batch: &mut Batch) {
        for client in body.clients() {
            let Some(session) = self.sessions().get(&client) else { continue };
            let mut state = session.lock();
            // Not of a client that has connected since.
            if state.epoch == Epoch::default() && state.will.is_some() {
                self.forget_will(&session, &mut state, batch);
            }
        }
    }

    /// Whether the client has a connection anywhere; one of another user with its id is another client.
    fn is_back(&self, client: &ClientId, owner: &WillOwner) -> bool {
        self.clustered().is_some_and(|Clustered { cluster, nodes, .. }| {
            let own = cluster.own().get(&Key::Client(client.clone()));
            matches!(own, Some(Value::Claim(claim)) if claim.user == owner.user)
                || nodes
                    .lock()
                    .values()
                    .any(|node| node.claims.get(client).is_some_and(|claim| claim.user == owner.user))
        })
    }
}

/// The client as this node's rules see it; none when it came in by a door that is not known here.
fn identity_of(client: &ClientId, owner: WillOwner) -> Option<Identity> {
    let WillOwner { user, is_listed, address, door } = owner;
    let door = Door::ALL.iter().copied().find(|known| known.name() == &*door)?;
    let source = if is_listed { UserSource::List } else { UserSource::Outside };
    Some(Identity { user, source, ..Identity::anonymous(client.clone(), address, door) })
}
