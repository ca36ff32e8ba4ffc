//! Retained messages that nodes have not told each other of: found by digests, fetched bucket by bucket.
//!
//! A node says its digests when it meets another one, and again from time to time. Whoever finds a bucket that differs lists
//! what it has of it and is sent what is newer. The list goes in pieces, and only few buckets at a time, so that neither side
//! holds more than a few megabytes for it.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use bytes::{Buf, Bytes};
use foldhash::fast::RandomState;
use skein_cluster::{ForwardedRun, Lane, Peer, RunEncoder};
use skein_types::{Message, Moment, QoS, Stamp, Topic};

use crate::{
    announcement::{RETAINED_CHANGED, RETAINED_DIGESTS, RETAINED_ENTRIES, RETAINED_LIST, Reader, Writer},
    batch::Batch,
    clustered::Fetch,
    plane::Plane,
    retained::{BUCKETS, BucketDigest, Known},
};

/// How often digests are said.
const DIGESTS_EVERY_MILLIS: u64 = 10_000;
/// A fetch of which nothing was heard for so long is begun anew.
const FETCH_PATIENCE_MILLIS: u64 = 10_000;
/// Buckets fetched at a time.
const BUCKETS_AT_ONCE: usize = 4;
/// Topics listed at once, and bytes sent in answer.
const LIST_MAX: usize = 1000;
const ENTRIES_BYTES_MAX: usize = 512 * 1024;

impl Plane {
    /// Says the digests to every node, when it is time.
    pub(super) fn announce_digests(&self, batch: &mut Batch, now: Moment) {
        let Some(clustered) = self.clustered() else { return };
        {
            let mut said_at = clustered.digests_said_at.lock();
            if now.as_millis() < said_at.as_millis() + DIGESTS_EVERY_MILLIS {
                return;
            }
            *said_at = now;
        }
        if clustered.cluster.peers().is_empty() {
            return;
        }
        let body = self.digests();
        for peer in clustered.cluster.peers().iter() {
            peer.announce(Lane::Bulk, RETAINED_DIGESTS, body.clone());
            batch.touch_peer(peer);
        }
    }

    /// Says them to one that is new.
    pub(super) fn announce_digests_to(&self, peer: &Arc<Peer>, batch: &mut Batch) {
        peer.announce(Lane::Bulk, RETAINED_DIGESTS, self.digests());
        batch.touch_peer(peer);
    }

    fn digests(&self) -> Bytes {
        let digests = self.retained().digests();
        let write = |body: Writer, bucket: &BucketDigest| body.number(bucket.digest).number(bucket.entries);
        digests.iter().fold(Writer::default(), write).finish()
    }

    /// A node says its digests: what differs is fetched from it.
    pub(super) fn received_digests(
        &self,
        from: &Arc<Peer>,
        mut body: Reader,
        batch: &mut Batch,
        now: Moment,
    ) {
        let Some(clustered) = self.clustered() else { return };
        let mut differing = VecDeque::new();
        for (bucket, own) in (0..=u8::MAX).zip(self.retained().digests()) {
            let (Some(digest), Some(entries)) = (body.number(), body.number()) else { return };
            if digest != own.digest && entries > 0 {
                differing.push_back(bucket);
            }
        }
        debug_assert!(differing.len() <= BUCKETS);
        let begun = clustered.with_node(from, |node| {
            let patient = node.fetch.heard_at.as_millis() + FETCH_PATIENCE_MILLIS > now.as_millis();
            if node.fetch.under_way > 0 && patient {
                return Vec::new();
            }
            let first: Vec<u8> = differing.drain(..differing.len().min(BUCKETS_AT_ONCE)).collect();
            node.fetch = Fetch { rest: differing, under_way: first.len(), heard_at: now };
            first
        });
        for bucket in begun.into_iter().flatten() {
            self.list(from, bucket, None, batch);
        }
    }

    /// Lists what is here of a bucket behind `after`, to be sent what is newer.
    fn list(&self, to: &Arc<Peer>, bucket: u8, after: Option<&Topic>, batch: &mut Batch) {
        let known = self.retained().known(bucket, after, LIST_MAX);
        let up_to = if known.len() == LIST_MAX { known.last().map(|last| &last.topic) } else { None };
        let head = Writer::default().number(u64::from(bucket)).topic(after).topic(up_to);
        let body = known
            .iter()
            .fold(head, |body, Known { topic, version, .. }| body.text(topic.as_str()).stamp(*version));
        to.announce(Lane::Bulk, RETAINED_LIST, body.finish());
        batch.touch_peer(to);
    }

    /// A node lists what it has: it is sent what is newer here.
    pub(super) fn listed(&self, from: &Arc<Peer>, mut body: Reader, batch: &mut Batch, now: Moment) {
        let Some((bucket, after, up_to)) = body.range() else { return };
        let mut theirs: HashMap<Topic, Stamp, RandomState> = HashMap::default();
        while let (Some(topic), Some(version)) = (body.topic(), body.stamp()) {
            theirs.insert(topic, version);
        }
        let (mut entries, mut last, mut covered) = (Writer::default(), after.clone(), up_to.clone());
        'entries: loop {
            let known = self.retained().known(bucket, last.as_ref(), LIST_MAX);
            let is_last = known.len() < LIST_MAX;
            for known in known {
                if up_to.as_ref().is_some_and(|up_to| known.topic > *up_to) {
                    break 'entries;
                }
                last = Some(known.topic.clone());
                // Of the same version, from a time without versions, the receiver chooses.
                let newer = match theirs.get(&known.topic) {
                    Some(theirs) => known.version > *theirs || known.version == Stamp::default(),
                    None => known.message.is_some(),
                };
                if newer {
                    entries = entries.entry(&known, now);
                }
                if entries.len() > ENTRIES_BYTES_MAX {
                    covered = last;
                    break 'entries;
                }
            }
            if is_last {
                break;
            }
        }
        let head = Writer::default().number(u64::from(bucket)).topic(after.as_ref()).topic(covered.as_ref());
        from.announce(Lane::Bulk, RETAINED_ENTRIES, head.bytes(&entries.finish()).finish());
        batch.touch_peer(from);
    }

    /// What was fetched: it is kept where it is newer, and the fetch goes on.
    pub(super) fn received_entries(
        &self,
        from: &Arc<Peer>,
        mut body: Reader,
        batch: &mut Batch,
        now: Moment,
    ) {
        let Some(clustered) = self.clustered() else { return };
        let Some((bucket, _, covered)) = body.range() else { return };
        self.retain_entries(body, batch, now);
        let next = clustered.with_node(from, |node| {
            node.fetch.heard_at = now;
            if covered.is_some() {
                return Some(bucket);
            }
            let next = node.fetch.rest.pop_front();
            if next.is_none() {
                node.fetch.under_way = node.fetch.under_way.saturating_sub(1);
            }
            next
        });
        if let Some(next) = next.flatten() {
            self.list(from, next, covered.as_ref(), batch);
        }
    }

    /// Keeps what is newer of what another node says.
    pub(super) fn retain_entries(&self, mut body: Reader, batch: &mut Batch, now: Moment) {
        while let Some(run) = body.entry() {
            let Ok(ForwardedRun { messages, version: Some(version), .. }) = ForwardedRun::decode(run, now)
            else {
                return;
            };
            for message in &messages {
                self.retain_from_elsewhere(message, version, batch, now);
            }
        }
    }

    /// Tells every node at once that the retained message of a topic was removed by an operator.
    pub(crate) fn announce_removed(&self, topic: &Topic, version: Stamp, batch: &mut Batch) {
        let Some(clustered) = self.clustered() else { return };
        let known = Known { topic: topic.clone(), version, message: None };
        let body = Writer::default().entry(&known, Moment::ZERO).finish();
        clustered.tell_all(RETAINED_CHANGED, &body, batch);
    }
}

impl Writer {
    /// A topic, or none.
    fn topic(self, topic: Option<&Topic>) -> Self {
        self.text(topic.map_or("", Topic::as_str))
    }

    /// A retained message, or that it was removed, as a run of one message.
    fn entry(self, known: &Known, now: Moment) -> Self {
        let removed = || Arc::new(Message::new(known.topic.clone(), Bytes::new(), QoS::AtMostOnce));
        let message = known.message.clone().unwrap_or_else(removed);
        let mut run = RunEncoder::new(&message, Some(known.version), None, now);
        run.push(&message);
        let run = run.finish().bytes;
        self.number(run.len() as u64).bytes(&run)
    }
}

impl Reader {
    /// None when it cannot be read, and inside when there is no topic.
    fn topic(&mut self) -> Option<Topic> {
        Topic::new(self.text()?).ok()
    }

    /// A bucket and the topics between which it is spoken of.
    fn range(&mut self) -> Option<(u8, Option<Topic>, Option<Topic>)> {
        let bucket = u8::try_from(self.number()?).ok()?;
        let mut bound = || Some(self.text()?).map(|text| Topic::new(text).ok());
        Some((bucket, bound()?, bound()?))
    }

    fn entry(&mut self) -> Option<Bytes> {
        let length = usize::try_from(self.number()?).ok()?;
        (length <= self.0.remaining()).then(|| self.0.split_to(length))
    }
}
