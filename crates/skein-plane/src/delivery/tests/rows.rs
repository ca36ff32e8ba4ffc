//! The stored rows of a session's messages against what the session holds, through batches that end in any order, and
//! what is left after a restart at any point.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use skein_types::{Moment, QoS};

use super::{Ack, CIRCLE, LIMITS, acknowledge, limits, number_of, waiting};
use crate::{
    delivery::{Acked, Delivery, Freed, Next, Offer, OnDisk, Rest, Restored},
    stored::CommitFlag,
};

/// Batches under way at the same time; the first is that of the session's own connection.
const BATCHES: usize = 3;

/// A message's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    number: u32,
    qos: QoS,
    expires_at: Option<Moment>,
    sent: bool,
    released: bool,
}

#[derive(Clone, Copy, Debug)]
enum Change {
    PutFresh(u64, Row),
    Put(u64, Row),
    Delete(u64),
}

/// What a batch has recorded, and what of it is a message's row.
#[derive(Debug, Default)]
struct Journal {
    changes: Vec<Change>,
    queued: Vec<(u64, QoS)>,
}

/// Changes in the order in which they were handed over.
#[derive(Debug, Default)]
struct Disk {
    changes: Vec<Change>,
    /// How many of them are certain.
    synced: usize,
    flags: Vec<Arc<CommitFlag>>,
}

impl Disk {
    fn rows(&self, count: usize) -> BTreeMap<u64, Row> {
        let mut rows = BTreeMap::new();
        for change in &self.changes[..count] {
            match *change {
                Change::PutFresh(seq, row) => {
                    let before = rows.insert(seq, row);
                    assert!(before.is_none(), "said to be new, and there is a row under {seq}: {before:?}");
                }
                Change::Put(seq, row) => _ = rows.insert(seq, row),
                Change::Delete(seq) => _ = rows.remove(&seq),
            }
        }
        rows
    }

    fn sync(&mut self) {
        self.synced = self.changes.len();
        self.flags.drain(..).for_each(|flag| flag.set());
    }
}

#[derive(Clone, Debug)]
enum Step {
    Offer { batch: usize, qos: QoS, life_millis: Option<u64> },
    Enqueue,
    Next { batch: usize },
    Acknowledge(prop::sample::Index, Ack),
    HandOver { batch: usize },
    Sync,
    Connect { receive_maximum: u16 },
    Disconnect,
    Pass(u64),
    Keep(bool),
    Restart(prop::sample::Index),
}

fn any_step() -> impl Strategy<Value = Step> {
    let qos = prop::sample::select(vec![QoS::AtLeastOnce, QoS::ExactlyOnce]);
    let ack = prop::sample::select(vec![
        Ack::Published,
        Ack::Published,
        Ack::Received,
        Ack::Received,
        Ack::Completed,
        Ack::Completed,
        Ack::Refused,
    ]);
    let life = prop::option::weighted(0.2, 1_u64..40);
    prop_oneof![
        8 => (0..BATCHES, qos, life).prop_map(|(batch, qos, life_millis)| Step::Offer { batch, qos, life_millis }),
        1 => Just(Step::Enqueue),
        6 => (0..BATCHES).prop_map(|batch| Step::Next { batch }),
        8 => (any::<prop::sample::Index>(), ack).prop_map(|(index, ack)| Step::Acknowledge(index, ack)),
        6 => (0..BATCHES).prop_map(|batch| Step::HandOver { batch }),
        4 => Just(Step::Sync),
        2 => (1_u16..6).prop_map(|receive_maximum| Step::Connect { receive_maximum }),
        1 => Just(Step::Disconnect),
        2 => (1_u64..30).prop_map(Step::Pass),
        1 => any::<bool>().prop_map(Step::Keep),
        1 => any::<prop::sample::Index>().prop_map(Step::Restart),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Sent,
    Released,
}

/// A message the session holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    row: Row,
    stage: Stage,
    /// On the present connection.
    sent_now: bool,
}

struct World {
    delivery: Delivery,
    kept: bool,
    online: bool,
    journals: [Journal; BATCHES],
    disk: Disk,
    /// By number.
    held: BTreeMap<u64, Held>,
    now: Moment,
    numbers: u32,
}

impl World {
    fn new(first: u64) -> Self {
        Self {
            delivery: Delivery { next_seq: first, ..Delivery::default() },
            kept: true,
            online: false,
            journals: Default::default(),
            disk: Disk::default(),
            held: BTreeMap::new(),
            now: Moment::ZERO,
            numbers: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Offer { batch, qos, life_millis } => self.offer(batch, qos, life_millis),
            Step::Enqueue => {
                self.numbers += 1;
                self.delivery.enqueue(waiting(self.numbers, QoS::AtMostOnce, 0, None));
            }
            Step::Next { batch } if self.online => self.next(batch),
            Step::Acknowledge(index, ack) if self.online => self.acknowledge(index, ack),
            Step::HandOver { batch } => self.hand_over(batch),
            Step::Sync => self.disk.sync(),
            Step::Connect { receive_maximum } => self.connect(receive_maximum),
            Step::Disconnect => self.online = false,
            Step::Pass(millis) => self.now = Moment::from_millis(self.now.as_millis() + millis),
            Step::Keep(kept) => self.keep(kept),
            Step::Restart(index) => {
                let Disk { changes, synced, .. } = &self.disk;
                self.restart(synced + index.index(changes.len() - synced + 1));
            }
            Step::Next { .. } | Step::Acknowledge(..) => {}
        }
        let mut ids: Vec<u64> = self.in_flight().map(|seq| seq % CIRCLE).collect();
        assert_eq!(self.delivery.in_flight(), ids.len());
        assert!(self.delivery.window.len() as u64 <= CIRCLE);
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(self.delivery.in_flight(), ids.len(), "an id is used twice");
    }

    fn in_flight(&self) -> impl Iterator<Item = u64> {
        self.held.iter().filter(|(_, held)| held.stage != Stage::Waiting).map(|(seq, _)| *seq)
    }

    fn connect(&mut self, receive_maximum: u16) {
        self.delivery.connected(limits(receive_maximum));
        self.online = true;
        self.held.values_mut().for_each(|held| held.sent_now = false);
    }

    fn offer(&mut self, batch: usize, qos: QoS, life_millis: Option<u64>) {
        self.numbers += 1;
        let expires_at = life_millis.map(|life| Moment::from_millis(self.now.as_millis() + life));
        let on_disk = if self.kept { OnDisk::Recorded } else { OnDisk::No };
        let new = super::Waiting { on_disk, ..waiting(self.numbers, qos, 0, expires_at) };
        let offered = self.delivery.offer(new, self.online, LIMITS, self.now, &mut 0);
        self.note_freed(batch);
        self.drop_expired();
        let (seq, sent) = match offered {
            Offer::Full => return,
            Offer::Queued { seq } => (seq, false),
            Offer::Send { seq } => {
                assert!(!self.kept || qos == QoS::AtLeastOnce, "QoS 2 is sent before it is on disk");
                (seq, true)
            }
        };
        let row = Row { number: self.numbers, qos, expires_at, sent, released: false };
        let stage = if sent { Stage::Sent } else { Stage::Waiting };
        self.held.insert(seq, Held { row, stage, sent_now: sent });
        if self.kept {
            self.journals[batch].changes.push(Change::PutFresh(seq, row));
            self.journals[batch].queued.push((seq, qos));
        }
    }

    /// The delivery drops what expired when it looks at it; what it dropped is not in its queue any more.
    fn drop_expired(&mut self) {
        let queue = self.delivery.queue.iter().filter(|waiting| waiting.is_numbered());
        let queued: Vec<u64> = queue.map(|waiting| waiting.seq).collect();
        let now = self.now;
        self.held.retain(|seq, held| {
            let there = held.stage != Stage::Waiting || queued.contains(seq);
            assert!(there || held.row.expires_at.is_some_and(|deadline| deadline <= now), "{seq} is lost");
            there
        });
    }

    fn next(&mut self, batch: usize) {
        let rows = self.disk.rows(self.disk.synced);
        let sent = match self.delivery.next(self.now, &mut 0) {
            None | Some(Next::Unacknowledged(_)) => None,
            Some(Next::Release(seq)) => Some((seq, None)),
            Some(Next::Publish { seq, waiting, .. }) => Some((seq, Some(number_of(waiting)))),
        };
        if let Some((seq, number)) = sent {
            let held = self.held.get_mut(&seq).expect("only what it holds is sent");
            assert_eq!(number, (held.stage != Stage::Released).then_some(held.row.number));
            if held.stage == Stage::Waiting {
                let on_disk = rows.get(&seq).is_some_and(|row| row.number == held.row.number);
                let must_be = self.kept && held.row.qos == QoS::ExactlyOnce;
                assert!(on_disk || !must_be, "QoS 2 is sent before it is on disk");
                held.stage = Stage::Sent;
            }
            held.sent_now = true;
            self.drop_expired();
            let unsent = self.held.range(..seq).find(|(_, held)| !held.sent_now);
            assert!(unsent.is_none(), "{unsent:?} comes after {seq}");
        }
        self.note_freed(batch);
        self.drop_expired();
    }

    fn acknowledge(&mut self, index: prop::sample::Index, ack: Ack) {
        let sent: Vec<u64> =
            self.held.iter().filter(|(_, held)| held.sent_now).map(|(seq, _)| *seq).collect();
        if sent.is_empty() {
            return;
        }
        let seq = sent[index.index(sent.len())];
        let acked = acknowledge(&mut self.delivery, seq, ack);
        match acked {
            Acked::Done => _ = self.held.remove(&seq),
            Acked::Release => self.held.get_mut(&seq).unwrap().stage = Stage::Released,
            Acked::Unknown | Acked::WrongKind => {}
        }
        self.note_freed(0);
    }

    fn note_freed(&mut self, batch: usize) {
        let freed: Vec<Freed> = self.delivery.take_freed().collect();
        let changes = &mut self.journals[batch].changes;
        changes.extend(freed.into_iter().map(|Freed { seq, rest, .. }| match rest {
            Rest::Nothing => Change::Delete(seq),
            Rest::Released => Change::Put(seq, released()),
        }));
    }

    fn hand_over(&mut self, batch: usize) {
        let Journal { changes, queued } = std::mem::take(&mut self.journals[batch]);
        if changes.is_empty() {
            return;
        }
        self.disk.changes.extend(changes);
        let flag = Arc::<CommitFlag>::default();
        self.disk.flags.push(flag.clone());
        for (seq, qos) in queued {
            let commit = (qos == QoS::ExactlyOnce).then(|| flag.clone());
            if !self.kept || !self.delivery.stored(seq, OnDisk::Stored { commit, shared: None }) {
                self.disk.changes.push(Change::Delete(seq));
            }
        }
        self.note_freed(batch);
        self.disk.changes.append(&mut self.journals[batch].changes);
    }

    /// As a client does that comes back and asks for its session to be kept elsewhere.
    fn keep(&mut self, kept: bool) {
        if self.kept == kept || self.delivery.has_recorded() {
            return;
        }
        self.kept = kept;
        let journal = &mut self.journals[0];
        if kept {
            self.delivery.keep(|seq, waiting, sent| match waiting {
                None => journal.changes.push(Change::Put(seq, released())),
                Some(waiting) => {
                    let Held { row, .. } = self.held[&seq];
                    assert_eq!(row.number, number_of(waiting));
                    journal.changes.push(Change::PutFresh(seq, Row { sent, ..row }));
                    journal.queued.push((seq, row.qos));
                }
            });
        } else {
            self.delivery.unkeep();
        }
        self.note_freed(0);
        // Nothing is said on the new connection before the batch that opened it is on disk.
        self.hand_over(0);
        self.disk.sync();
        self.connect(5);
    }

    /// The process dies; so many changes are there, those that were synced at least.
    fn restart(&mut self, count: usize) {
        let rows = self.disk.rows(count);
        self.check_restored(&rows);
        self.delivery = restored(&rows);
        self.journals = Default::default();
        self.disk.changes.truncate(count);
        self.disk.flags.clear();
        self.disk.synced = count;
        (self.online, self.kept) = (false, true);
        self.held = rows
            .iter()
            .map(|(seq, row)| {
                let stage = if row.released { Stage::Released } else { Stage::Waiting };
                (*seq, Held { row: *row, stage, sent_now: false })
            })
            .collect();
        // What is known to have been sent is under way again.
        let sent_before = rows.iter().rfind(|(_, row)| row.sent || row.released).map(|(seq, _)| *seq);
        for held in self.held.range_mut(..=sent_before.unwrap_or(0)).map(|(_, held)| held) {
            if sent_before.is_some() && held.stage == Stage::Waiting {
                held.stage = Stage::Sent;
            }
        }
    }

    /// A client with a window for everything gets all of it, in order, under the same ids, and releases as releases.
    fn check_restored(&self, rows: &BTreeMap<u64, Row>) {
        let mut delivery = restored(rows);
        delivery.connected(limits(u16::MAX));
        let mut sent = Vec::new();
        while let Some(next) = delivery.next(Moment::ZERO, &mut 0) {
            sent.push(match next {
                Next::Publish { seq, waiting, again } => {
                    assert!(again, "it may have been sent before");
                    (seq, Some(number_of(waiting)))
                }
                Next::Release(seq) => (seq, None),
                Next::Unacknowledged(waiting) => panic!("{waiting:?} was never stored"),
            });
        }
        let expect: Vec<_> =
            rows.iter().map(|(seq, row)| (*seq, (!row.released).then_some(row.number))).collect();
        assert_eq!(sent, expect);
    }

    /// All batches end: the rows are what the session holds, and nothing else.
    fn finish(&mut self) {
        (0..BATCHES).for_each(|batch| self.hand_over(batch));
        let rows = self.disk.rows(self.disk.changes.len());
        let contents = |row: Row| match row.released {
            true => (None, true),
            false => (Some((row.number, row.qos)), false),
        };
        let found: Vec<_> = rows.into_iter().map(|(seq, row)| (seq, contents(row))).collect();
        let holds = self.held.iter().filter(|_| self.kept);
        let expect: Vec<_> = holds
            .map(|(seq, held)| (*seq, contents(Row { released: held.stage == Stage::Released, ..held.row })))
            .collect();
        assert_eq!(found, expect, "rows, and what the session holds");
    }
}

fn released() -> Row {
    Row { number: 0, qos: QoS::ExactlyOnce, expires_at: None, sent: true, released: true }
}

fn restored(rows: &BTreeMap<u64, Row>) -> Delivery {
    let entry = |(seq, row): (&u64, &Row)| Restored {
        seq: *seq,
        waiting: (!row.released).then(|| waiting(row.number, row.qos, 0, row.expires_at)),
        shared: None,
        sent: row.sent,
    };
    Delivery::restored(rows.iter().map(entry).collect())
}

proptest! {
    #[test]
    fn rows_are_what_the_session_holds(
        steps in prop::collection::vec(any_step(), 1..120),
        near_the_end in any::<bool>(),
    ) {
        let mut world = World::new(if near_the_end { 65_530 } else { 0 });
        for step in &steps {
            world.step(step);
        }
        world.finish();
        world.disk.sync();
        world.restart(world.disk.synced);
        world.finish();
    }
}
