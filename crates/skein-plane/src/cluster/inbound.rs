//! Messages from another node, for this node's own sessions: one hop, never further.
//!
//! Called by the link of that node, one run after another. What it must be told is told by the [`Handled`] of a batch.

use std::{sync::Arc, task::Waker};

use skein_cluster::{Completion, ForwardedRun, GroupTarget, Handled, Inbound, Peer};
use skein_types::{Message, Moment, SessionKey, Stamp};

use crate::{
    batch::{Batch, Congestion},
    durable::Commit,
    matcher::{Origin, Reach, RouteCache},
    plane::Plane,
    ticket::Outstanding,
};

/// No session of this node has this number, so that nobody is taken for the publisher (MQTT-3.8.3-3).
const FROM_ELSEWHERE: Origin<'static> = Origin { key: SessionKey(0), client: None, reach: Reach::Here };

/// Takes what one node sends.
#[derive(Debug)]
pub(super) struct FromPeer {
    plane: Arc<Plane>,
    from: Arc<Peer>,
    outstanding: Arc<Outstanding>,
    cache: RouteCache,
    batch: Batch,
}

impl FromPeer {
    pub(super) fn new(plane: Arc<Plane>, from: Arc<Peer>, outstanding: Arc<Outstanding>) -> Self {
        Self { plane, from, outstanding, cache: RouteCache::default(), batch: Batch::default() }
    }

    fn take_shared(&mut self, message: Message, target: &GroupTarget, now: Moment) {
        let Self { plane, from, outstanding, batch, .. } = self;
        plane.take_shared(message, target, (from, outstanding), batch, now);
    }
}

impl Inbound for FromPeer {
    fn run(&mut self, run: ForwardedRun, now: Moment) {
        let ForwardedRun { messages, version, group } = run;
        self.batch.effects.tally.received += messages.len() as u64;
        if let Some(target) = group {
            for message in messages {
                self.take_shared(message, &target, now);
            }
            return;
        }
        if let (Some(version), Some(last)) = (version, messages.last()) {
            // Before anybody gets it, so that nobody is sent an older one afterwards (guarantee G7).
            self.plane.retain_from_elsewhere(last, version, &mut self.batch, now);
        }
        for message in messages {
            let route = self.cache.route(self.plane.matcher(), &message.topic, FROM_ELSEWHERE, || true);
            if !route.is_empty() {
                self.plane.add_to_run(&mut self.batch, route, message, None, now);
            }
        }
    }

    fn finish(&mut self, now: Moment) -> Handled {
        let commit = self.plane.finish(&mut self.batch, now);
        let congestion = self.batch.take_congestion();
        let kept = |commit| -> Box<dyn Completion> {
            Box::new(Keeping { plane: self.plane.clone(), commit: Some(commit) })
        };
        Handled {
            kept: commit.map(kept),
            congestion: (!congestion.is_empty()).then(|| -> Box<dyn Completion> { Box::new(congestion) }),
        }
    }
}

impl Plane {
    /// Keeps a message that another node retains under `version`, unless there is a newer one.
    pub(super) fn retain_from_elsewhere(
        &self,
        message: &Message,
        version: Stamp,
        batch: &mut Batch,
        now: Moment,
    ) -> bool {
        if let Some(cluster) = self.cluster() {
            cluster.heard(version);
        }
        let newer = self.retained().offer(message, version, now);
        if newer {
            self.note_retained(message, batch);
        }
        newer
    }
}

/// Messages that are handed to the store and not on disk yet.
#[derive(Debug)]
struct Keeping {
    plane: Arc<Plane>,
    commit: Option<Commit>,
}

impl Completion for Keeping {
    fn poll_done(&mut self, waker: &Waker, now: Moment) -> bool {
        if self.commit.as_ref().is_some_and(|commit| !commit.poll_done(waker)) {
            return false;
        }
        if let Some(commit) = self.commit.take() {
            let mut batch = Batch::default();
            self.plane.committed(commit, &mut batch, now);
            self.plane.finish_unattended(&mut batch, now);
        }
        true
    }
}

impl Drop for Keeping {
    /// The link is gone; the sessions whose messages wait for the disk still get them.
    fn drop(&mut self) {
        if let Some(commit) = self.commit.take() {
            self.plane.leave(commit);
        }
    }
}

impl Completion for Congestion {
    fn poll_done(&mut self, waker: &Waker, now: Moment) -> bool {
        self.poll_drained(waker, now)
    }
}
