//! Wills that were taken over from nodes that are gone.

use std::collections::{BTreeMap, BTreeSet};

use skein_cluster::RemoteWill;
use skein_types::{ClientId, Incarnation, Moment, NodeId, UserName};

/// Clients remembered for each node that may come back.
pub(crate) const TAKEN_MAX: usize = 100_000;
/// A restored will is held for so long, for peers to say that they have published it.
pub(crate) const RESTORED_WILL_SECS: u32 = 10;
/// Wills that are due for so long are published, only nobody said so.
const OVERDUE_SECS: u32 = 3600;
/// One life of a node.
pub(crate) type Life = (NodeId, Incarnation);

/// Wills taken over from nodes that are gone.
#[derive(Debug, Default)]
pub(crate) struct Wills {
    pub(crate) orphans: BTreeMap<Life, BTreeMap<ClientId, Orphan>>,
    /// Clients whose wills were taken over, by node, to be told when it comes back.
    pub(crate) taken: BTreeMap<NodeId, BTreeSet<ClientId>>,
}

#[derive(Debug)]
pub(crate) struct Orphan {
    pub(crate) will: RemoteWill,
    pub(crate) due: Moment,
}

impl Wills {
    /// The client of this user is back.
    pub(crate) fn cancel(&mut self, client: &ClientId, user: Option<&UserName>) {
        for orphans in self.orphans.values_mut() {
            if orphans.get(client).is_some_and(|orphan| orphan.will.owner.user.as_ref() == user) {
                orphans.remove(client);
            }
        }
    }

    pub(crate) fn done(&mut self, life: Life, clients: impl Iterator<Item = ClientId>) {
        let orphans = self.orphans.entry(life).or_default();
        for client in clients {
            orphans.remove(&client);
        }
        if orphans.is_empty() {
            self.orphans.remove(&life);
        }
    }

    /// Takes out what is due.
    pub(crate) fn take_due(&mut self, now: Moment) -> Vec<(Life, ClientId, RemoteWill)> {
        let mut due = Vec::new();
        self.orphans.retain(|life, orphans| {
            for (client, Orphan { will, .. }) in orphans.extract_if(.., |_, orphan| orphan.due <= now) {
                due.push((*life, client, will));
            }
            !orphans.is_empty()
        });
        due
    }

    pub(crate) fn forget_overdue(&mut self, now: Moment) {
        self.orphans.retain(|_, orphans| {
            orphans.retain(|_, orphan| orphan.due.after_secs(OVERDUE_SECS) > now);
            !orphans.is_empty()
        });
    }
}
