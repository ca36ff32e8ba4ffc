//! What this node tells the others of itself: sessions, claims, wills, subscriptions in effect, and messages on their way.
//!
//! Called while clients are served, and nothing here waits: what must be true on other nodes before a client is answered
//! joins the batch's waits. Without a cluster all of it costs a branch.

mod forward;

use bytes::Bytes;
use skein_access::{Door, Identity, UserSource};
use skein_cluster::{Claim, DoorKind, Key, RemoteWill, Value, WillOwner};
use skein_types::{ByteString, ClientId, Message, NodeId, Stamp, Topic, UserName};

use crate::{
    batch::Batch,
    clustered::Clustered,
    own_names::is_own,
    plane::Plane,
    session::{Session, State},
};

impl Plane {
    /// A client has a session here from now on.
    pub(crate) fn session_began(&self, client: &ClientId) {
        if let Some(Clustered { strategy, .. }) = self.clustered() {
            strategy.session_up(client);
        }
    }

    /// It has none any more.
    pub(crate) fn session_ended(&self, client: &ClientId) {
        if let Some(Clustered { strategy, .. }) = self.clustered() {
            strategy.session_down(client);
        }
    }

    /// The version of a message that is retained now, and whether there are others to be told of it.
    pub(crate) fn retained_version(&self, topic: &Topic) -> (Stamp, bool) {
        match self.clustered() {
            Some(Clustered { cluster, .. }) if !is_own(topic) => {
                (cluster.stamp(), !cluster.peers().is_empty())
            }
            _ => (Stamp::default(), false),
        }
    }

    /// Other nodes must know what this one says of itself before clients are answered.
    pub(crate) fn wait_for_nodes(&self, batch: &mut Batch) {
        if let Some(Clustered { cluster, .. }) = self.clustered() {
            batch.announces = true;
            cluster.wait_for_all(&mut batch.waits);
        }
    }

    /// Claims the id of a client that is let in; true when it may not be greeted before the batch's commit is done. Called
    /// under the locks of its session.
    pub(crate) fn claim(&self, session: &Session, state: &mut State, clean: bool, batch: &mut Batch) -> bool {
        let Some(clustered) = self.clustered() else { return false };
        let Clustered { cluster, wills, .. } = clustered;
        let (client, user, stamp) = (session.client_id().clone(), session.owner().cloned(), cluster.stamp());
        wills.lock().cancel(&client, user.as_ref());
        state.claimed = stamp;
        if state.owned_since == Stamp::default() {
            state.owned_since = stamp;
        }
        let claim = Claim { stamp, since: state.owned_since, user, clean };
        cluster.own().set(Key::Client(client), Some(Value::Claim(claim)));
        batch.announces = true;
        if cluster.peers().is_empty() {
            return false;
        }
        cluster.wait_for_all(&mut batch.waits);
        !batch.waits.is_empty()
    }

    /// Takes the claim of a client back whose connection ends. Called under the lock of its session, so that it is that
    /// connection's claim.
    pub(crate) fn unclaim(&self, client: &ClientId, batch: &mut Batch) {
        if let Some(Clustered { cluster, .. }) = self.clustered() {
            cluster.own().set(Key::Client(client.clone()), None);
            batch.announces = true;
        }
    }

    /// Whether a client of another user has this id on another node, as far as this one has heard.
    pub(crate) fn is_claimed_by_another(&self, client: &ClientId, user: Option<&UserName>) -> bool {
        self.clustered().is_some_and(|Clustered { nodes, .. }| {
            let nodes = nodes.lock();
            let mut claims = nodes.values().filter_map(|node| node.claims.get(client));
            claims.any(|claim| claim.user.as_ref() != user)
        })
    }

    /// Says something of a door's to every node, under a name of the door's own; no value takes it back. It is gone with this
    /// node. Other nodes have it when the batch's commit is done. Alone, a node says nothing.
    pub fn announce_of_door(&self, kind: DoorKind, name: &str, value: Option<Bytes>, batch: &mut Batch) {
        let Some(Clustered { cluster, .. }) = self.clustered() else { return };
        let before = cluster.own().number();
        let key = Key::Door(kind, name.into());
        if cluster.own().set(key, value.map(Value::Door)) != before {
            self.wait_for_nodes(batch);
        }
    }

    /// What the doors of the other nodes that are up say under a kind: who, the name, and what.
    #[must_use]
    pub fn announced_of_door(&self, kind: DoorKind) -> Vec<(NodeId, ByteString, Bytes)> {
        let Some(Clustered { nodes, .. }) = self.clustered() else { return Vec::new() };
        let mut announced = Vec::new();
        for (id, node) in &*nodes.lock() {
            let of_kind = node.of_doors.range((kind, ByteString::new())..);
            let of_kind = of_kind.take_while(|((found, _), _)| *found == kind);
            announced.extend(of_kind.map(|((_, name), value)| (*id, name.clone(), value.clone())));
        }
        announced
    }

    /// Tells other nodes the will of a client as it is now. Called under the lock of its session.
    pub(crate) fn announce_will(&self, session: &Session, state: &State, batch: &mut Batch) {
        let Some(Clustered { cluster, .. }) = self.clustered() else { return };
        let owner = || session.access().map_or_else(nobody, |access| owner_of(access.identity()));
        let will = state.will.as_deref().map(|will| {
            let message = Message { expires_at: None, ..will.message.clone() };
            let delay_secs = will.delay_secs.min(state.expiry_secs);
            let (owner, expiry_secs) = (owner(), will.expiry_secs);
            Value::Will(Box::new(RemoteWill { owner, message, expiry_secs, delay_secs }))
        });
        let before = cluster.own().number();
        batch.announces |= cluster.own().set(Key::Will(session.client_id().clone()), will) != before;
    }
}

/// What other nodes must know to ask their access rules on behalf of a client.
fn owner_of(identity: &Identity) -> WillOwner {
    WillOwner {
        user: identity.user.clone(),
        is_listed: identity.source == UserSource::List,
        address: identity.address,
        door: identity.door.name().into(),
    }
}

/// A client of the node itself, which may do everything rules let an anonymous one do.
fn nobody() -> WillOwner {
    let address = std::net::IpAddr::from([127, 0, 0, 1]);
    WillOwner { user: None, is_listed: false, address, door: Door::Mqtt.name().into() }
}
