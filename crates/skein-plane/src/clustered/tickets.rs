//! Messages of shared groups that are kept until a member on another node has acknowledged them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::AcqRel},
    },
};

use parking_lot::Mutex;
use skein_cluster::Peer;
use skein_types::{Message, Moment};

use crate::subscription::GroupKey;

/// Messages kept for members on other nodes, and their bytes.
const KEPT_MESSAGES_MAX: usize = 65_536;
const KEPT_BYTES_MAX: usize = 64 << 20;
/// Messages kept until a member elsewhere has acknowledged them.
#[derive(Debug, Default)]
pub(crate) struct Tickets {
    pub(crate) kept: Mutex<KeptMessages>,
    /// Somebody here is done with what another node keeps.
    done: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
pub(crate) struct KeptMessages {
    pub(crate) messages: BTreeMap<u64, KeptMessage>,
    pub(crate) bytes: usize,
    pub(crate) last: u64,
    pub(crate) asked_at: Moment,
}

#[derive(Debug)]
pub(crate) struct KeptMessage {
    pub(crate) peer: Arc<Peer>,
    /// The run it went with; none until it went.
    pub(crate) run: Option<u64>,
    pub(crate) since: Moment,
    pub(crate) group: Arc<GroupKey>,
    pub(crate) message: Arc<Message>,
}

impl Tickets {
    /// Set whenever somebody here is done with what another node keeps.
    pub(crate) fn any_done(&self) -> Arc<AtomicBool> {
        self.done.clone()
    }

    /// Whether tickets are done since the last call.
    pub(crate) fn take_flag(&self) -> bool {
        self.done.load(std::sync::atomic::Ordering::Relaxed) && self.done.swap(false, AcqRel)
    }

    /// Keeps a message; none above the bound.
    pub(crate) fn keep(
        &self,
        peer: &Arc<Peer>,
        group: &Arc<GroupKey>,
        message: Arc<Message>,
        now: Moment,
    ) -> Option<u64> {
        let mut kept = self.kept.lock();
        let bytes = kept.bytes + message.size_bytes();
        if kept.messages.len() >= KEPT_MESSAGES_MAX || bytes > KEPT_BYTES_MAX {
            return None;
        }
        kept.bytes = bytes;
        kept.last += 1;
        let (group, number) = (group.clone(), kept.last);
        kept.messages
            .insert(number, KeptMessage { peer: peer.clone(), run: None, since: now, group, message });
        Some(number)
    }

    pub(crate) fn went_with(&self, ticket: u64, run: u64) {
        if let Some(kept) = self.kept.lock().messages.get_mut(&ticket) {
            kept.run = Some(run);
        }
    }

    pub(crate) fn take(&self, ticket: u64) -> Option<KeptMessage> {
        let mut kept = self.kept.lock();
        let taken = kept.messages.remove(&ticket)?;
        kept.bytes -= taken.message.size_bytes();
        Some(taken)
    }

    /// Everything kept for members on a node.
    pub(crate) fn take_all(&self, peer: &Arc<Peer>) -> Vec<KeptMessage> {
        let mut kept = self.kept.lock();
        let of_peer = |_: &u64, kept: &mut KeptMessage| Arc::ptr_eq(&kept.peer, peer);
        let taken: Vec<_> = kept.messages.extract_if(.., of_peer).map(|(_, taken)| taken).collect();
        kept.bytes -= taken.iter().map(|taken| taken.message.size_bytes()).sum::<usize>();
        taken
    }

    /// How many messages are kept.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.kept.lock().messages.len()
    }
}
