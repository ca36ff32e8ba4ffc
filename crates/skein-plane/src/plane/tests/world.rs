//! A plane with a few clients and the simplest account of what should be there: sessions, subscriptions, wills and
//! retained messages as plain lists.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use skein_access::{Access, AccessList, Anonymous, Door, Identity};
use skein_cluster::{Cluster, Interest, NodeInfo};
use skein_types::{Code, Incarnation, Message, Moment, NodeId, QoS, SubscriptionFilter, Topic};

use super::{
    client::{Live, Memory, TestSocket, client_id, connection, payload},
    durable::Machine,
};
use crate::{
    Acked, Acknowledgement, Batch, Durability, EXPIRY_NEVER_SECS, Ending, Open, Plane, PlaneLimits,
    Published, QueueLimits, RetainHandling, SessionLimits, SubscribeOptions, TaskHandle, Will, WindowLimits,
};

/// Clients the steps are about; one more watches wills.
pub(crate) const CLIENTS: usize = 4;
pub(crate) const OBSERVER: usize = CLIENTS;
/// This client's connections are written to by their own task only.
const WITHOUT_SOCKET: usize = 2;
pub(crate) const LIMITS: SessionLimits = SessionLimits {
    outbox_bytes_max: 8000,
    queue: QueueLimits { messages_max: 12, bytes_max: 20_000 },
    slow_consumer_timeout: Duration::from_secs(10),
    subscriptions_max: 8,
    subscriptions_bytes_max: usize::MAX,
};

/// What the model knows of a session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    pub(crate) subscriptions: Vec<(SubscriptionFilter, SubscribeOptions)>,
    pub(crate) expiry_secs: u32,
    pub(crate) expires_at: Option<Moment>,
    pub(crate) will: Option<(u32, u32)>,
    pub(crate) will_at: Option<Moment>,
    /// It outlives the node.
    pub(crate) on_disk: bool,
    /// It did when the disk was held, and is still there.
    pub(crate) left_on_disk: bool,
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) live: Option<Live>,
    /// Connections that are over.
    pub(crate) past: Vec<Live>,
    /// How many of those another run of the node had.
    pub(crate) past_runs: usize,
    pub(crate) memory: Memory,
    pub(crate) kept: Option<Kept>,
    /// QoS 2 ids it had not released when its session was replaced by a new one, until that is certain.
    pub(crate) replaced: Option<BTreeSet<u64>>,
}

/// What a step publishes.
#[derive(Clone, Debug)]
pub(crate) struct Publish {
    pub(crate) topic: &'static str,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) padding: usize,
    pub(crate) empty: bool,
    pub(crate) life_secs: Option<u32>,
}

#[derive(Debug)]
pub(crate) struct World {
    /// Where a plane that keeps things keeps them; dropped first, because a plane that is dropped waits for its disk.
    pub(crate) disk: Option<Machine>,
    pub(crate) plane: Plane,
    pub(crate) batch: Batch,
    pub(crate) now: Moment,
    pub(crate) clients: Vec<Client>,
    pub(crate) serial: u32,
    /// Wills that must have been published, by serial.
    pub(crate) wills_due: Vec<u32>,
    /// Retained messages: serial, and when it expires.
    pub(crate) retained: BTreeMap<&'static str, (u32, Option<Moment>)>,
    /// Acknowledgements that ended a hand-over without an error.
    pub(crate) acknowledged: u64,
    /// Who finally acknowledged each serial of a shared topic.
    pub(crate) acknowledged_serials: Vec<u32>,
    /// Where the next session is asked to be kept.
    pub(crate) durability: Durability,
}

impl Client {
    /// Connections of the present run that are over.
    pub(crate) fn past_of_run(&self) -> &[Live] {
        &self.past[self.past_runs..]
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::of(empty_plane(), None)
    }

    /// A node of a cluster that has no other.
    pub(crate) fn alone_in_a_cluster() -> Self {
        let cluster = Cluster::new(NodeInfo {
            id: NodeId(1),
            incarnation: Incarnation(1),
            name: "alone".into(),
            advertise: ([127, 0, 0, 1], 1).into(),
            qrank: 1,
            server_reference: None,
        });
        Self::of(empty_plane().with_cluster(cluster, Arc::new(Interest)), None)
    }

    pub(crate) fn of(plane: Plane, disk: Option<Machine>) -> Self {
        let durability = if disk.is_some() { Durability::Disk } else { Durability::Memory };
        let client = || Client {
            live: None,
            past: Vec::new(),
            past_runs: 0,
            memory: Memory::default(),
            kept: None,
            replaced: None,
        };
        let mut world = Self {
            plane,
            batch: Batch::default(),
            now: Moment::from_millis(1000),
            clients: (0..=CLIENTS).map(|_| client()).collect(),
            serial: 0,
            wills_due: Vec::new(),
            retained: BTreeMap::new(),
            acknowledged: 0,
            acknowledged_serials: Vec::new(),
            disk,
            durability,
        };
        let expiry_secs = if world.disk.is_some() { EXPIRY_NEVER_SECS } else { 0 };
        world.open(OBSERVER, true, expiry_secs, u16::MAX, None);
        world.give_room(OBSERVER, usize::MAX);
        let options = SubscribeOptions { qos: QoS::ExactlyOnce, ..crate::matcher::tests::PLAIN };
        world.subscribe(OBSERVER, "will/#", options, RetainHandling::Never);
        world.finish();
        world
    }

    pub(crate) fn open(
        &mut self,
        number: usize,
        clean_start: bool,
        expiry_secs: u32,
        receive_maximum: u16,
        will: Option<(QoS, u32)>,
    ) {
        self.serial += 1;
        let serial = self.serial;
        let open = self.opens(number, clean_start, expiry_secs, receive_maximum, will);
        let expect_present = self.expect_open(number, clean_start);
        let socket = (number != WITHOUT_SOCKET).then(Arc::<TestSocket>::default);
        self.part_with_live(number);
        let connection = connection(number, socket.clone(), Arc::new(TaskHandle::default()), self.now);
        let opened = self.plane.open(open, connection, &mut self.batch, self.now).unwrap();
        assert_eq!(opened.present, expect_present, "session present");
        let held = self.is_held();
        let client = &mut self.clients[number];
        if !expect_present {
            if held && client.kept.as_ref().is_some_and(|kept| kept.on_disk || kept.left_on_disk) {
                client.replaced = Some(client.memory.unreleased.clone());
            }
            client.kept = None;
            client.memory.forget_ids();
        }
        let was_on_disk = client.kept.as_ref().is_some_and(|kept| kept.on_disk);
        let kept = client.kept.get_or_insert_default();
        kept.expiry_secs = expiry_secs;
        kept.on_disk = opened.session.is_durable();
        kept.left_on_disk = held && !kept.on_disk && (was_on_disk || kept.left_on_disk);
        let asked = self.durability == Durability::Disk && expiry_secs > 0;
        assert!(kept.on_disk || !asked, "it is not kept on disk");
        assert!(asked || !kept.on_disk || was_on_disk, "it is kept on disk, and nobody asked for it");
        (kept.expires_at, kept.will_at) = (None, None);
        kept.will = will.map(|(_, delay_secs)| (serial, delay_secs));
        client.live = Some(Live::new(opened.session, opened.epoch, socket));
    }

    /// What a client asks for.
    pub(crate) fn opens(
        &self,
        number: usize,
        clean_start: bool,
        expiry_secs: u32,
        receive_maximum: u16,
        will: Option<(QoS, u32)>,
    ) -> Open {
        let serial = self.serial;
        let will_of = |(qos, delay_secs)| {
            let topic = Topic::try_from(&*format!("will/{number}")).unwrap();
            let message = Message::new(topic, Bytes::from(payload(200, serial, 0)), qos);
            Will { message, expiry_secs: None, delay_secs }
        };
        Open {
            client_id: client_id(number),
            clean_start,
            expiry_secs,
            window: WindowLimits { unacknowledged_max: receive_maximum.into(), span_max: 65_535 },
            will: will.map(will_of),
            access: self.disk.as_ref().map(|_| Arc::new(self.plane.access().bind(identity(number)))),
            limits: Arc::new(LIMITS),
            durability: self.durability,
        }
    }

    /// Whether the session is resumed; notes the will of the connection before.
    fn expect_open(&mut self, number: usize, clean_start: bool) -> bool {
        let client = &mut self.clients[number];
        let Some(kept) = &mut client.kept else { return false };
        let was_live = client.live.is_some();
        let over = match kept.expires_at {
            Some(deadline) => deadline <= self.now,
            None => was_live && kept.expiry_secs == 0,
        };
        if let Some((serial, delay_secs)) = kept.will.take()
            && (clean_start
                || over
                || (was_live && delay_secs == 0)
                || kept.will_at.is_some_and(|deadline| deadline <= self.now))
        {
            self.wills_due.push(serial);
        }
        !clean_start && !over
    }

    /// The client reads what has arrived and turns away from its connection.
    pub(crate) fn part_with_live(&mut self, number: usize) {
        self.read(number);
        let client = &mut self.clients[number];
        client.past.extend(client.live.take());
    }

    pub(crate) fn close(&mut self, number: usize, graceful: bool, expiry_secs: Option<u32>) {
        if self.clients[number].live.is_none() {
            return;
        }
        let ending = if graceful { Ending::Graceful } else { Ending::WithWill(Code::ConnectionLost) };
        self.part_with_live(number);
        let client = &mut self.clients[number];
        let past = client.past.last().unwrap();
        let (session, epoch) = (past.session.clone(), past.epoch);
        let left = self.plane.close(&session, epoch, ending, expiry_secs, &mut self.batch, self.now);
        assert!(left.is_some(), "the connection was the session's own");
        self.expect_close(number, graceful, expiry_secs);
    }

    fn expect_close(&mut self, number: usize, graceful: bool, expiry_secs: Option<u32>) {
        let client = &mut self.clients[number];
        let kept = client.kept.as_mut().unwrap();
        kept.expiry_secs = expiry_secs.unwrap_or(kept.expiry_secs);
        kept.will = kept.will.filter(|_| !graceful);
        if let Some((serial, delay_secs)) = kept.will {
            let delay_secs = delay_secs.min(kept.expiry_secs);
            if delay_secs == 0 {
                kept.will = None;
                self.wills_due.push(serial);
            } else {
                kept.will_at = Some(self.now.after_secs(delay_secs));
            }
        }
        match kept.expiry_secs {
            0 => client.kept = None,
            EXPIRY_NEVER_SECS => kept.expires_at = Some(Moment::NEVER),
            secs => kept.expires_at = Some(self.now.after_secs(secs)),
        }
    }

    /// The server ends a connection, or the session with it.
    pub(crate) fn disconnect(&mut self, number: usize, end: bool) {
        let Some(session) = self.plane.sessions().get(&client_id(number)) else { return };
        let was_live = self.clients[number].live.is_some();
        self.part_with_live(number);
        let code = Code::ServerShuttingDown;
        assert_eq!(self.plane.disconnect(&session, code, end, &mut self.batch, self.now), was_live);
        if was_live {
            self.expect_close(number, false, end.then_some(0));
        } else if end && let Some(kept) = self.clients[number].kept.take() {
            self.wills_due.extend(kept.will.map(|(serial, _)| serial));
        }
    }

    pub(crate) fn subscribe(
        &mut self,
        number: usize,
        text: &str,
        options: SubscribeOptions,
        retain: RetainHandling,
    ) {
        let client = &mut self.clients[number];
        let (Some(live), Some(kept)) = (&client.live, &mut client.kept) else { return };
        let filter = SubscriptionFilter::new(text).unwrap();
        let (session, epoch) = (live.session.clone(), live.epoch);
        let result = self.plane.subscribe(&session, epoch, filter.clone(), options, retain, &mut self.batch);
        let known = kept.subscriptions.iter_mut().find(|(known, _)| *known == filter);
        match (known, kept_room(result)) {
            (Some((_, present)), true) => *present = options,
            (None, true) => kept.subscriptions.push((filter, options)),
            (known, false) => {
                assert!(known.is_none(), "a subscription that exists is replaced");
                assert_eq!(kept.subscriptions.len(), LIMITS.subscriptions_max);
            }
        }
        self.plane.reply(&session, epoch, &[], &mut self.batch);
        self.plane.send_waiting(&session, epoch, self.now, &mut self.batch.effects);
        // As a door's acknowledgement does.
        self.plane.reply(&session, epoch, &[], &mut self.batch);
    }

    pub(crate) fn unsubscribe(&mut self, number: usize, text: &str) {
        let client = &mut self.clients[number];
        let (Some(live), Some(kept)) = (&client.live, &mut client.kept) else { return };
        let filter = SubscriptionFilter::new(text).unwrap();
        let before = kept.subscriptions.len();
        kept.subscriptions.retain(|(known, _)| *known != filter);
        let found = self.plane.unsubscribe(&live.session, live.epoch, &filter, &mut self.batch);
        assert_eq!(found, kept.subscriptions.len() < before);
    }

    /// Publishes without ending the batch; returns how many recipients the message has.
    pub(crate) fn publish(&mut self, number: usize, publish: &Publish) -> u64 {
        let recipients = self.recipients(number, publish.topic);
        let Some(live) = &mut self.clients[number].live else { return 0 };
        self.serial += 1;
        let topic = Topic::try_from(publish.topic).unwrap();
        let content = match publish.empty {
            true => Bytes::new(),
            false => Bytes::from(payload(number as u8, self.serial, publish.padding)),
        };
        let expires_at = publish.life_secs.map(|secs| self.now.after_secs(secs));
        if publish.retain {
            match publish.empty {
                true => _ = self.retained.remove(publish.topic),
                false => _ = self.retained.insert(publish.topic, (self.serial, expires_at)),
            }
        }
        let message =
            Message { retain: publish.retain, expires_at, ..Message::new(topic, content, publish.qos) };
        let published = self.plane.publish(&mut live.publisher, &mut self.batch, message, self.now);
        let expect = if recipients > 0 { Published::Matched } else { Published::Unmatched };
        assert_eq!(published, expect, "{} recipients of {publish:?}", recipients);
        recipients
    }

    fn recipients(&self, publisher: usize, topic: &str) -> u64 {
        let topic = Topic::try_from(topic).unwrap();
        let mut groups: Vec<String> = Vec::new();
        let mut direct = 0;
        for (number, client) in self.clients.iter().enumerate() {
            let subscriptions = client.kept.iter().flat_map(|kept| &kept.subscriptions);
            let matching = subscriptions.filter(|(filter, options)| {
                let own = options.no_local && number == publisher && filter.group.is_none();
                filter.filter.matches(&topic) && !own
            });
            let (shared, plain): (Vec<_>, Vec<_>) = matching.partition(|(filter, _)| filter.group.is_some());
            groups.extend(shared.iter().map(|(filter, _)| filter.to_string()));
            direct += u64::from(!plain.is_empty());
        }
        groups.sort();
        groups.dedup();
        direct + groups.len() as u64
    }

    pub(crate) fn acknowledge(&mut self, number: usize, count: usize, reject: bool) {
        self.read(number);
        for _ in 0..count {
            let Some(live) = &mut self.clients[number].live else { return };
            if self.disk.as_ref().is_some_and(Machine::is_held)
                && matches!(live.to_acknowledge.front(), Some((_, Acknowledgement::Received { .. }, _)))
            {
                // Its release would wait for the disk.
                return;
            }
            let Some((id, what, serial)) = live.to_acknowledge.pop_front() else { return };
            let (what, reject) = match what {
                Acknowledgement::Published { .. } => {
                    (Acknowledgement::Published { rejected: reject }, reject)
                }
                other => (other, false),
            };
            let (session, epoch) = (live.session.clone(), live.epoch);
            let acked = self.plane.acknowledge(&session, epoch, |_| id, what, &mut self.batch, self.now);
            match (acked, what) {
                (Acked::Done, Acknowledgement::Published { .. } | Acknowledgement::Completed) => {
                    self.acknowledged += u64::from(!reject);
                    self.acknowledged_serials.extend((serial > 0).then_some(serial));
                }
                (Acked::Release, Acknowledgement::Received { .. }) => {
                    // The door answers with the release.
                    let mut release = vec![2];
                    release.extend_from_slice(&id.to_be_bytes());
                    assert!(self.plane.reply(&session, epoch, &release, &mut self.batch));
                }
                other => panic!("the client acknowledged what it was sent, the plane says {other:?}"),
            }
            // Again: nobody waits for it any more, or the release is asked for again.
            let again = self.plane.acknowledge(&session, epoch, |_| id, what, &mut self.batch, self.now);
            assert!(again != Acked::Done || acked == Acked::Release, "acknowledged twice: {what:?}");
        }
    }

    /// The client's socket takes so many bytes more.
    pub(crate) fn give_room(&mut self, number: usize, bytes: usize) {
        let Some(live) = &self.clients[number].live else { return };
        let (session, epoch) = (live.session.clone(), live.epoch);
        let tally = &mut self.batch.effects;
        if let Some(socket) = &live.socket {
            socket.give_room(bytes);
            session.unblock(epoch, self.plane.sources(), self.now, tally);
        } else if bytes > 500 {
            let mut out = Vec::new();
            session.take_output(epoch, self.plane.sources(), self.now, tally, |outbox| {
                outbox.drain_into(&mut out)
            });
            let Client { live, memory, .. } = &mut self.clients[number];
            live.as_mut().unwrap().read(&out, memory);
        }
        self.read(number);
    }

    pub(crate) fn pass(&mut self, millis: u64, sweep: bool) {
        self.now = self.now.after(Duration::from_millis(millis));
        if !sweep {
            return;
        }
        self.plane.expire(&mut self.batch, self.now);
        let now = self.now;
        for client in &mut self.clients {
            let Some(kept) = client.kept.as_mut().filter(|_| client.live.is_none()) else { continue };
            if kept.will_at.is_some_and(|deadline| deadline <= now) {
                kept.will_at = None;
                self.wills_due.extend(kept.will.take().map(|(serial, _)| serial));
            }
            if kept.expires_at.is_some_and(|deadline| deadline <= now) {
                client.kept = None;
            }
        }
        self.retained.retain(|_, (_, expires_at)| expires_at.is_none_or(|deadline| deadline > now));
    }

    pub(crate) fn read(&mut self, number: usize) {
        let Client { live, memory, .. } = &mut self.clients[number];
        if let Some(live) = live {
            live.read(&[], memory);
        }
    }

    /// Ends the batch; the observer keeps up with everything.
    pub(crate) fn finish(&mut self) {
        self.end_batch();
        while !self.is_held()
            && self.clients[OBSERVER]
                .live
                .as_ref()
                .is_some_and(|live| live.session.in_flight() > 0 || !live.to_acknowledge.is_empty())
        {
            self.acknowledge(OBSERVER, usize::MAX, false);
            self.end_batch();
        }
        self.read(OBSERVER);
    }

    /// Serials of the wills that were published, as the observer got them.
    pub(crate) fn wills_published(&self) -> Vec<u32> {
        if self.disk.is_some() {
            let received = self.clients[OBSERVER].memory.exactly_once.iter();
            return received.map(|(serial, _)| *serial).collect();
        }
        let live = self.clients[OBSERVER].live.as_ref().unwrap();
        live.received.iter().map(|received| received.serial).collect()
    }
}

pub(crate) fn empty_plane() -> Plane {
    let access = Arc::new(Access::new(AccessList::open(), Anonymous::Always));
    Plane::new(access, PlaneLimits { retained_messages_max: 100, ..PlaneLimits::default() })
}

pub(crate) fn identity(number: usize) -> Identity {
    Identity::anonymous(client_id(number), IpAddr::from([127, 0, 0, 1]), Door::Mqtt)
}

fn kept_room(result: Result<(), Code>) -> bool {
    match result {
        Ok(()) => true,
        Err(Code::QuotaExceeded) => false,
        Err(other) => panic!("{other:?}"),
    }
}
