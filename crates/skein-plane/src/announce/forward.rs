//! Messages on their way to other nodes. Called while a run is delivered.

use skein_types::Moment;

use crate::{batch::Batch, matcher::Route, plane::Plane};

impl Plane {
    /// Sends the present run to the nodes of its route; a retained one to every node, since each keeps it. Encoded once.
    pub(crate) fn forward(&self, route: &Route, batch: &mut Batch, now: Moment) {
        let Some(cluster) = self.cluster() else { return };
        let run = batch.run().encode(now);
        let acknowledged = batch.run().is_acknowledged();
        if batch.run().version().is_some() {
            let peers = cluster.peers();
            for peer in peers.iter() {
                batch.send(peer, &run, acknowledged);
            }
            for peer in route.nodes.iter().filter(|peer| peers.get(peer.id()).is_none()) {
                batch.send(peer, &run, acknowledged);
            }
        } else {
            for peer in &route.nodes {
                batch.send(peer, &run, acknowledged);
            }
        }
    }
}
