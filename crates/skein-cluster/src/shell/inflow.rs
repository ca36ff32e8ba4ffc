//! The messages that come from one peer: into its plane's hands, and back what is kept, in order.
//!
//! It lives as long as the peer and outlives its links: what came over one may be kept only when there is another.

use std::{collections::VecDeque, sync::Arc, task::Waker};

use bytes::Bytes;
use skein_types::Moment;

use crate::{Completion, ForwardedRun, Host, Inbound, Peer, RunError};

#[derive(Debug)]
pub(super) struct Inflow {
    peer: Arc<Peer>,
    inbound: Box<dyn Inbound>,
    /// Numbers of kept runs that were handed over, each with what must be done before it is kept; oldest first.
    pending: VecDeque<(u64, Option<Box<dyn Completion>>)>,
    /// The last number since the last batch ended.
    last: Option<u64>,
    /// Whether anything was handed over since then.
    unfinished: bool,
}

impl Inflow {
    pub(super) fn new(host: &dyn Host, peer: &Arc<Peer>) -> Self {
        Self {
            inbound: host.inbound(peer),
            peer: peer.clone(),
            pending: VecDeque::new(),
            last: None,
            unfinished: false,
        }
    }

    pub(super) fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// A run came. One that cannot be read is skipped, since it would be no better the next time.
    pub(super) fn run(&mut self, number: Option<u64>, bytes: Bytes, now: Moment) -> Result<(), RunError> {
        if let Some(number) = number {
            if !self.peer.is_new(number) {
                return Ok(());
            }
            self.last = Some(number);
        }
        self.unfinished = true;
        self.inbound.run(ForwardedRun::decode(bytes, now)?, now);
        Ok(())
    }

    /// The end of what was read at once. Returns what the peer's next credit waits for.
    pub(super) fn finish(&mut self, now: Moment) -> Option<Box<dyn Completion>> {
        if !std::mem::take(&mut self.unfinished) {
            return None;
        }
        let handled = self.inbound.finish(now);
        if let Some(last) = self.last.take() {
            self.pending.push_back((last, handled.kept));
        }
        handled.congestion
    }

    /// The number up to which everything is kept, if that is news.
    pub(super) fn poll_kept(&mut self, waker: &Waker, now: Moment) -> Option<u64> {
        let mut kept = None;
        while let Some((number, completion)) = self.pending.front_mut()
            && completion.as_mut().is_none_or(|completion| completion.poll_done(waker, now))
        {
            kept = Some(*number);
            self.pending.pop_front();
        }
        if let Some(number) = kept {
            self.peer.note_received(number);
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

    use skein_types::{ByteString, Incarnation, Message, NodeId, QoS, Topic};

    use super::*;
    use crate::{Change, Gone, Handled, Lane, NodeInfo, RunEncoder};

    /// A plane that counts, and keeps batches only when it is told to.
    #[derive(Clone, Debug, Default)]
    struct Counting {
        runs: Arc<AtomicU32>,
        batches: Arc<AtomicU64>,
        kept: Arc<AtomicU64>,
    }

    impl Host for Counting {
        fn node_up(&self, _: &Arc<Peer>, _: Moment) {}
        fn node_gone(&self, _: &Arc<Peer>, _: Gone, _: Moment) {}
        fn apply(&self, _: &Arc<Peer>, _: &[Change], _: Moment) {}
        fn received(&self, _: &Arc<Peer>, _: Lane, _: u8, _: Bytes, _: Moment) {}
        fn inbound(&self, _: &Arc<Peer>) -> Box<dyn Inbound> {
            Box::new(self.clone())
        }
    }

    impl Inbound for Counting {
        fn run(&mut self, _: ForwardedRun, _: Moment) {
            self.runs.fetch_add(1, Relaxed);
        }

        fn finish(&mut self, _: Moment) -> Handled {
            let batch = self.batches.fetch_add(1, Relaxed) + 1;
            Handled { kept: Some(Box::new(Pending { batch, kept: self.kept.clone() })), congestion: None }
        }
    }

    #[derive(Debug)]
    struct Pending {
        batch: u64,
        kept: Arc<AtomicU64>,
    }

    impl Completion for Pending {
        fn poll_done(&mut self, _: &Waker, _: Moment) -> bool {
            self.kept.load(Relaxed) & 1 << self.batch != 0
        }
    }

    fn run() -> Bytes {
        let topic = Topic::new(ByteString::from_static("a")).unwrap();
        let message = Message::new(topic, Bytes::new(), QoS::AtLeastOnce);
        let mut encoder = RunEncoder::new(&message, None, None, Moment::ZERO);
        encoder.push(&message);
        encoder.finish().bytes
    }

    fn inflow(host: &Counting) -> Inflow {
        let peer = Peer::new(NodeInfo {
            id: NodeId(2),
            incarnation: Incarnation(1),
            name: "n".into(),
            advertise: ([127, 0, 0, 1], 5777).into(),
            qrank: 1,
            server_reference: None,
        });
        Inflow::new(host, &peer)
    }

    #[test]
    fn what_is_kept_is_said_in_order_and_repetitions_are_dropped() {
        let (host, now) = (Counting::default(), Moment::ZERO);
        let mut inflow = inflow(&host);
        for numbers in [1..3, 3..6, 6..7] {
            numbers.for_each(|number| inflow.run(Some(number), run(), now).unwrap());
            assert!(inflow.finish(now).is_none());
        }
        assert_eq!(inflow.poll_kept(Waker::noop(), now), None);
        host.kept.store(1 << 2, Relaxed);
        assert_eq!(inflow.poll_kept(Waker::noop(), now), None, "the first batch is not kept yet");
        // A new link, and everything again that was not said to be kept.
        assert_eq!(inflow.peer().received(), 0);
        (1..7).for_each(|number| inflow.run(Some(number), run(), now).unwrap());
        assert!(inflow.finish(now).is_none());
        assert_eq!((host.runs.load(Relaxed), host.batches.load(Relaxed)), (6, 3));
        host.kept.store(1 << 1 | 1 << 2, Relaxed);
        assert_eq!(inflow.poll_kept(Waker::noop(), now), Some(5));
        assert_eq!(inflow.peer().received(), 5);
        host.kept.store(u64::MAX, Relaxed);
        assert_eq!(inflow.poll_kept(Waker::noop(), now), Some(6));
        assert_eq!(inflow.poll_kept(Waker::noop(), now), None);
    }

    /// It would be no better the next time, and everything behind it would wait for ever.
    #[test]
    fn a_run_that_cannot_be_read_is_skipped() {
        let (host, now) = (Counting::default(), Moment::ZERO);
        let mut inflow = inflow(&host);
        inflow.run(Some(1), Bytes::from_static(b"\xff"), now).unwrap_err();
        inflow.finish(now);
        host.kept.store(u64::MAX, Relaxed);
        assert_eq!(inflow.poll_kept(Waker::noop(), now), Some(1));
    }
}
