//! Versions of retained messages: which of two changes is the newer one, and how nodes find out what differs.
//!
//! Topics fall into buckets by their hash. A bucket's digest is made of the versions in it, so that nodes compare 256 numbers
//! instead of all topics. What was removed leaves a tombstone for an hour, so that an older message from another node does
//! not come back; tombstones have no part in digests, because nodes forget them at different times.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Bound,
    sync::Arc,
};

use skein_types::{Message, Moment, Stamp, Topic};

use super::{Retained, Shard, Stored};
use crate::own_names::is_own;

/// How many buckets there are.
pub(crate) const BUCKETS: usize = 256;
/// How long a tombstone is kept, and how many bytes of them in a shard: some hundred thousand, unless their topics are long.
const TOMBSTONE_SECS: u32 = 3600;
const TOMBSTONE_BYTES_MAX: usize = 16 << 20;
/// What one takes beside its topic.
const TOMBSTONE_BYTES: usize = 128;

/// What nodes compare of a bucket, or of a shard's part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BucketDigest {
    /// Of all messages in it.
    pub(crate) digest: u64,
    /// How many messages and tombstones are in it.
    pub(crate) entries: u64,
}

/// What a node has of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) topic: Topic,
    pub(crate) version: Stamp,
    /// None: it was removed.
    pub(crate) message: Option<Arc<Message>>,
}

/// Everything of a shard there is to compare.
#[derive(Debug)]
pub(super) struct Versions {
    buckets: [BucketDigest; BUCKETS],
    topics: BTreeSet<(u8, Topic)>,
    tombstones: BTreeMap<(u8, Topic), Stamp>,
    /// Tombstones in the order of their age.
    buried: VecDeque<(Moment, u8, Topic, Stamp)>,
    buried_bytes: usize,
    /// The last sweep, which tombstones are dated from.
    swept_at: Moment,
}

impl Default for Versions {
    fn default() -> Self {
        Self {
            buckets: [BucketDigest::default(); BUCKETS],
            topics: BTreeSet::new(),
            tombstones: BTreeMap::new(),
            buried: VecDeque::new(),
            buried_bytes: 0,
            swept_at: Moment::ZERO,
        }
    }
}

/// FNV-1a, because all nodes must agree, whatever they were built with.
fn hash(bytes: &[u8], start: u64) -> u64 {
    bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

const START: u64 = 0xcbf2_9ce4_8422_2325;

pub(super) fn hash_of(bytes: &[u8]) -> u8 {
    let hash = hash(bytes, START);
    (hash ^ (hash >> 32)).to_le_bytes()[0]
}

fn bucket_of(topic: &Topic) -> u8 {
    hash_of(topic.as_bytes())
}

fn digest_of(Stored { message, version }: &Stored) -> u64 {
    let mut digest = hash(message.topic.as_bytes(), START);
    digest = hash(&version.counter.to_le_bytes(), digest);
    digest = hash(&version.node.0.to_le_bytes(), digest);
    if *version == Stamp::default() {
        // From a time without a cluster: the same version does not mean the same message.
        digest = hash(&message.payload, digest);
    }
    digest
}

impl Versions {
    fn bucket(&mut self, bucket: u8) -> &mut BucketDigest {
        &mut self.buckets[usize::from(bucket)]
    }

    pub(super) fn insert(&mut self, stored: &Stored) {
        let topic = &stored.message.topic;
        if is_own(topic) {
            return;
        }
        let place = (bucket_of(topic), topic.clone());
        self.forget_tombstone(&place);
        self.bucket(place.0).digest ^= digest_of(stored);
        if self.topics.insert(place.clone()) {
            self.bucket(place.0).entries += 1;
        }
    }

    /// A message is gone or replaced.
    pub(super) fn forget(&mut self, before: &Stored) {
        if !is_own(&before.message.topic) {
            let bucket = bucket_of(&before.message.topic);
            self.bucket(bucket).digest ^= digest_of(before);
        }
    }

    pub(super) fn remove(&mut self, topic: &Topic) {
        let place = (bucket_of(topic), topic.clone());
        if self.topics.remove(&place) {
            self.bucket(place.0).entries -= 1;
        }
    }

    fn bury(&mut self, topic: &Topic, version: Stamp) {
        if is_own(topic) || version == Stamp::default() {
            return;
        }
        let (bucket, topic) = (bucket_of(topic), topic.detached());
        self.buried_bytes += topic.len() + TOMBSTONE_BYTES;
        self.buried.push_back((self.swept_at, bucket, topic.clone(), version));
        if self.tombstones.insert((bucket, topic), version).is_none() {
            self.bucket(bucket).entries += 1;
        }
        while self.buried_bytes > TOMBSTONE_BYTES_MAX {
            self.exhume();
        }
    }

    fn forget_tombstone(&mut self, place: &(u8, Topic)) {
        if self.tombstones.remove(place).is_some() {
            self.bucket(place.0).entries -= 1;
        }
    }

    /// Forgets the oldest tombstone.
    fn exhume(&mut self) {
        let Some((_, bucket, topic, version)) = self.buried.pop_front() else { return };
        self.buried_bytes -= topic.len() + TOMBSTONE_BYTES;
        let place = (bucket, topic);
        if self.tombstones.get(&place) == Some(&version) {
            self.forget_tombstone(&place);
        }
    }
}

impl Shard {
    /// Whether a change is newer than what is known of its topic.
    pub(super) fn is_newer(&self, message: &Message, version: Stamp) -> bool {
        let topic = &message.topic;
        let buried = || {
            let versions = self.versions.as_ref()?;
            versions.tombstones.get(&(bucket_of(topic), topic.clone())).copied()
        };
        match self.get(topic) {
            Some(Stored { message: present, version: same }) if *same == version => {
                version == Stamp::default() && message.payload > present.payload
            }
            Some(present) => version > present.version,
            None => buried().is_none_or(|buried| version > buried),
        }
    }

    pub(super) fn bury(&mut self, topic: &Topic, version: Stamp) {
        if let Some(versions) = &mut self.versions {
            versions.bury(topic, version);
        }
    }

    pub(super) fn sweep_tombstones(&mut self, now: Moment) {
        let Some(versions) = &mut self.versions else { return };
        versions.swept_at = now;
        while versions.buried.front().is_some_and(|(at, ..)| at.after_secs(TOMBSTONE_SECS) <= now) {
            versions.exhume();
        }
    }
}

impl Retained {
    /// The digests of all buckets.
    pub(crate) fn digests(&self) -> Vec<BucketDigest> {
        let mut digests = Vec::new();
        for shard in &self.shards {
            let shard = shard.read();
            let Some(versions) = &shard.versions else { return Vec::new() };
            digests.resize(BUCKETS, BucketDigest::default());
            for (all, part) in digests.iter_mut().zip(&versions.buckets) {
                all.digest ^= part.digest;
                all.entries += part.entries;
            }
        }
        digests
    }

    /// What is known of topics of a bucket behind `after`, in order, at most `count`.
    pub(crate) fn known(&self, bucket: u8, after: Option<&Topic>, count: usize) -> Vec<Known> {
        let mut known = Vec::new();
        for shard in &self.shards {
            shard.read().known(bucket, after, count, &mut known);
        }
        known.sort_by(|one, other| one.topic.cmp(&other.topic));
        known.truncate(count);
        known
    }
}

impl Shard {
    /// Adds at least the first `count` of what is known in this shard, if there are so many.
    fn known(&self, bucket: u8, after: Option<&Topic>, count: usize, known: &mut Vec<Known>) {
        let Some(versions) = &self.versions else { return };
        // No topic is before this one, which is none.
        let from = after.map(|after| (bucket, after.clone()));
        let bounds = |place: &(u8, Topic)| place.0 == bucket;
        let start = || from.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let skip = |place: &&(u8, Topic)| place.0 < bucket;
        let live = versions.topics.range((start(), Bound::Unbounded)).skip_while(skip);
        let live = live.take_while(|place| bounds(place)).take(count);
        known.extend(live.filter_map(|(_, topic)| {
            let Stored { message, version } = self.get(topic)?;
            Some(Known { topic: topic.clone(), version: *version, message: Some(message.clone()) })
        }));
        let buried = versions.tombstones.range((start(), Bound::Unbounded));
        let buried = buried.skip_while(|(place, _)| place.0 < bucket).take_while(|(place, _)| bounds(place));
        known.extend(buried.take(count).map(|((_, topic), version)| Known {
            topic: topic.clone(),
            version: *version,
            message: None,
        }));
    }
}
