//! What work on sessions comes to beside the sessions themselves.

use std::sync::Arc;

use skein_types::Message;

use super::journal::Journal;
use crate::ledger::Tally;

/// What work on sessions comes to beside the sessions themselves; of one batch.
#[derive(Debug, Default)]
pub struct Effects {
    /// Counted so far, not yet in the ledger.
    pub tally: Tally,
    /// Nothing more may wait in the queues of the node, as of the beginning of the present run.
    pub(crate) node_queue_full: bool,
    /// What must be remembered and is not in the store yet.
    pub(crate) journal: Journal,
    /// Steps of the batch that went into looking for retained messages.
    pub(crate) walked: u32,
    /// Room for those that were found.
    pub(crate) found: Vec<Arc<Message>>,
}
