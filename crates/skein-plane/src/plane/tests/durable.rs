//! The same with sessions that are kept on disk: restarts at any moment, on a disk that loses what was not synced.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use proptest::prelude::*;
use skein_store::{ClassId, Options, Store, Time};
use skein_types::{Code, Moment, QoS, SessionKey, Topic};
use skein_wal::disk::{FaultyDisk, SyncHold};

use super::{
    Step, any_qos, any_step, check_all_received, check_at_rest,
    client::{client_id, connection},
    take,
    world::{CLIENTS, Kept, LIMITS, OBSERVER, Publish, World, empty_plane},
};
use crate::{
    Batch, Durability, Durable, EXPIRY_NEVER_SECS, Plane, RetainHandling, SubscribeOptions, WallClock,
    matcher::tests::PLAIN, schema, session::Session,
};

/// The wall clock when the first run starts, in seconds.
const START_SECS: i64 = 1_700_000_000;
/// When a run's first client comes.
const FIRST_MOMENT: Moment = Moment::from_millis(1000);

/// What outlives the process.
#[derive(Debug)]
pub(crate) struct Machine {
    disk: FaultyDisk,
    /// Nothing gets certain while it is there.
    hold: Option<(SyncHold, Certain)>,
    /// The wall clock at moment zero of the present run.
    zero: Time,
    /// Numbers of sessions that are on the disk, as a session's or a publisher's, with their clients.
    numbers: BTreeMap<SessionKey, usize>,
}

/// What was certain when syncs began to be held back.
#[derive(Debug)]
struct Certain {
    kept: Vec<Option<Kept>>,
    retained: BTreeMap<&'static str, (u32, Option<Moment>)>,
    wills_due: Vec<u32>,
    images: Vec<Option<Image>>,
}

/// What there is of a session beside what the model has.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Image {
    number: SessionKey,
    ids: Vec<u64>,
    /// Number and payload, none for one whose release is under way.
    messages: Vec<(u64, Option<Vec<u8>>)>,
}

impl Machine {
    fn new() -> Self {
        Self {
            disk: FaultyDisk::new(),
            hold: None,
            zero: Time(START_SECS * 1_000_000),
            numbers: BTreeMap::new(),
        }
    }

    pub(super) fn is_held(&self) -> bool {
        self.hold.is_some()
    }

    fn start(&self) -> Plane {
        let mut options = Options::durable("/store");
        options.disk = Arc::new(self.disk.clone());
        options.segment_bytes = 64 << 10;
        options.snapshot_after_log_bytes = 100_000;
        let store = Store::open(schema(), options).unwrap();
        empty_plane().with_durable(Durable::new(store, WallClock::new(self.zero)))
    }
}

impl Image {
    fn of(session: &Session) -> Self {
        let state = session.lock();
        let mut ids: Vec<u64> = state.inbound.ids().collect();
        ids.sort_unstable();
        let messages = state.delivery.rows().into_iter();
        let payload = |(seq, message): (u64, Option<Arc<skein_types::Message>>)| {
            (seq, message.map(|message| message.payload.to_vec()))
        };
        Self { number: session.key(), ids, messages: messages.map(payload).collect() }
    }
}

impl World {
    fn durable() -> Self {
        let machine = Machine::new();
        Self::of(machine.start(), Some(machine))
    }

    pub(super) fn is_held(&self) -> bool {
        self.disk.as_ref().is_some_and(Machine::is_held)
    }

    /// Ends the batch, and with it everything that waits for the disk, unless syncs are held back.
    pub(super) fn end_batch(&mut self) {
        self.plane.finish_unattended(&mut self.batch, self.now);
        if self.is_held() {
            return;
        }
        while let Some(durable) = self.plane.durable().filter(|_| !self.plane.is_attended()) {
            // Answered after everything that was handed over before.
            durable.store().commit(durable.store().batch()).unwrap();
            self.plane.attend(&mut self.batch, self.now);
            self.plane.finish_unattended(&mut self.batch, self.now);
        }
    }

    /// Everything is on disk and everybody was told.
    fn settle(&mut self) {
        self.finish();
        if let Some(durable) = self.plane.durable() {
            durable.store().commit(durable.store().batch()).unwrap();
        }
    }

    fn images(&self) -> Vec<Option<Image>> {
        let session =
            |number| self.plane.sessions().get(&client_id(number)).filter(|session| session.is_durable());
        (0..=CLIENTS).map(|number| session(number).map(|session| Image::of(&session))).collect()
    }

    /// Whether a kept session of the client was replaced, and that is not certain: it waits to be greeted. Or ended by
    /// the server, which is not certain either: a client that comes now and is gone with the node finds it again
    /// (docs/adr/0009).
    fn is_replaced(&mut self, number: usize) -> bool {
        let Some((_, Certain { images, .. })) = self.disk.as_ref().and_then(|machine| machine.hold.as_ref())
        else {
            return false;
        };
        let Some(Image { number: before, .. }) = &images[number] else { return false };
        let session = self.plane.sessions().get(&client_id(number));
        session.is_none_or(|session| session.key() != *before) || self.clients[number].replaced.is_some()
    }

    /// From now on nothing gets certain.
    fn hold(&mut self) {
        if self.is_held() {
            return;
        }
        self.settle();
        self.check_rows();
        let images = self.images();
        let Some(machine) = &mut self.disk else { return };
        let certain = Certain {
            kept: self.clients.iter().map(|client| client.kept.clone()).collect(),
            retained: self.retained.clone(),
            wills_due: self.wills_due.clone(),
            images,
        };
        machine.hold = Some((machine.disk.hold_syncs(), certain));
    }

    fn let_go(&mut self) {
        self.clients.iter_mut().for_each(|client| client.replaced = None);
        if let Some(machine) = &mut self.disk {
            machine.hold = None;
        }
        self.settle();
    }

    /// The process is killed and started again.
    fn restart(&mut self) {
        let Some(before) = self.kill(|| false) else { return };
        assert_eq!(self.images(), before, "sessions after a restart");
        self.check_rows();
        self.open_observer();
    }

    /// Kills the process and starts it again; `keep` says what is left of what was not synced. Returns the sessions that
    /// must be there.
    fn kill(&mut self, mut keep: impl FnMut() -> bool) -> Option<Vec<Option<Image>>> {
        if !self.is_held() {
            self.settle();
        }
        (0..=CLIENTS).for_each(|number| self.part_with_live(number));
        self.clients.iter_mut().for_each(|client| client.past_runs = client.past.len());
        let images = self.images();
        let machine = self.disk.as_mut()?;
        machine.disk.crash(|_| keep());
        let certain = machine.hold.take().map(|(_syncs, certain)| certain);
        self.batch = Batch::default();
        // The wall clock goes on, moments begin anew.
        let passed_millis = self.now.as_millis() - FIRST_MOMENT.as_millis();
        machine.zero = Time(machine.zero.0 + i64::try_from(passed_millis).unwrap() * 1000);
        self.plane = empty_plane();
        self.plane = machine.start();
        let images = match certain {
            None => images,
            Some(Certain { kept, retained, wills_due, images }) => {
                for client in &mut self.clients {
                    // It was not told that its session is gone, and its session is there again.
                    if let Some(before) = client.replaced.take() {
                        assert!(client.past.last().is_some_and(|live| !live.greeted), "told too early");
                        client.memory.unreleased = before;
                    }
                }
                self.clients.iter_mut().zip(kept).for_each(|(client, kept)| client.kept = kept);
                (self.retained, self.wills_due) = (retained, wills_due);
                images
            }
        };
        self.expect_restart(passed_millis);
        self.now = FIRST_MOMENT;
        self.plane.restore(&Arc::new(LIMITS), &mut self.batch, self.now).unwrap();
        self.settle_restored();
        Some(images)
    }

    fn settle_restored(&mut self) {
        self.end_batch();
        let found = self.numbers_found();
        if let Some(machine) = &mut self.disk {
            machine.numbers.retain(|number, _| found.contains(number));
        }
        let durable = self.plane.durable().unwrap();
        durable.store().commit(durable.store().batch()).unwrap();
    }

    /// What the model knows after a restart, with its moments moved to the new run.
    fn expect_restart(&mut self, passed_millis: u64) {
        let moved = |moment: Moment| match moment {
            Moment::NEVER => moment,
            _ => Moment::from_millis(moment.as_millis().saturating_sub(passed_millis)),
        };
        for client in &mut self.clients {
            client.kept = client.kept.take().filter(|kept| kept.on_disk);
            let Some(kept) = &mut client.kept else { continue };
            let Kept { expiry_secs, will, .. } = *kept;
            let never = expiry_secs == EXPIRY_NEVER_SECS;
            let from_now = if never { Moment::NEVER } else { FIRST_MOMENT.after_secs(expiry_secs) };
            kept.expires_at = Some(kept.expires_at.map_or(from_now, moved));
            kept.will_at = kept
                .will_at
                .map(moved)
                .or_else(|| will.map(|(_, delay_secs)| FIRST_MOMENT.after_secs(delay_secs.min(expiry_secs))));
        }
        let retained = self.retained.values_mut();
        retained.for_each(|(_, expires_at)| *expires_at = expires_at.map(moved));
    }

    fn open_observer(&mut self) {
        self.durability = Durability::Disk;
        self.open(OBSERVER, false, EXPIRY_NEVER_SECS, u16::MAX, None);
        self.give_room(OBSERVER, usize::MAX);
        self.finish();
    }

    fn numbers_found(&self) -> BTreeSet<SessionKey> {
        let sessions = self.plane.sessions().all();
        let mut found: BTreeSet<SessionKey> = sessions.iter().map(|session| session.key()).collect();
        for session in sessions {
            let rows = session.lock().delivery.rows().into_iter();
            found.extend(rows.filter_map(|(_, message)| Some(message?.origin)));
        }
        let retained = self.retained.keys().map(|topic| Topic::try_from(*topic).unwrap());
        found.extend(retained.filter_map(|topic| Some(self.plane.retained().last(&topic)?.message.origin)));
        found
    }

    /// A number is used for one session only, as long as anything tells of it.
    fn check_numbers(&mut self) {
        let Some(machine) = &mut self.disk else { return };
        for (number, client) in self.clients.iter().enumerate() {
            if let Some(live) = &client.live {
                let known = *machine.numbers.entry(live.session.key()).or_insert(number);
                assert_eq!(known, number, "the number of client {known}'s session is used again");
            }
        }
    }

    fn rows(&self, class: u16) -> usize {
        self.plane.durable().unwrap().store().snapshot().len(ClassId(class))
    }

    /// There is a row for everything that is kept, and none for anything else.
    fn check_rows(&self) {
        let sessions: Vec<Arc<Session>> =
            self.plane.sessions().all().into_iter().filter(|session| session.is_durable()).collect();
        let sum =
            |count: &dyn Fn(&Session) -> usize| sessions.iter().map(|session| count(session)).sum::<usize>();
        assert_eq!(self.rows(1), sessions.len(), "sessions");
        assert_eq!(self.rows(2), sum(&|session| session.lock().subscriptions.len()), "subscriptions");
        assert_eq!(self.rows(3), sum(&|session| session.lock().delivery.rows().len()), "messages of queues");
        assert_eq!(self.rows(5), sum(&|session| session.lock().inbound.len()), "ids received");
        assert_eq!(self.rows(6), self.plane.retained().len(), "retained messages");
        let shared: BTreeSet<_> =
            sessions.iter().flat_map(|session| session.lock().delivery.shared_rows()).collect();
        assert_eq!(self.rows(4), shared.len(), "messages that several sessions refer to");
    }

    /// A QoS 2 message of a client arrives, or its release.
    fn receive(&mut self, number: usize, id: u16, release: bool) {
        let Some(live) = &self.clients[number].live else { return };
        let id = u64::from(id);
        let session = live.session.clone();
        let before = session.lock().inbound.ids().any(|known| known == id);
        if release {
            assert_eq!(self.plane.release(&session, live.epoch, id, &mut self.batch), before);
        } else {
            let unreleased = self.plane.receive_once(&session, live.epoch, id, &mut self.batch);
            assert_eq!(unreleased.is_none(), before);
        }
    }
}

#[derive(Clone, Debug)]
enum DurableStep {
    Plain(Step, Durability),
    Receive {
        client: usize,
        id: u16,
        release: bool,
    },
    /// A client comes for good and subscribes, so that there is something to keep.
    Arrive {
        client: usize,
        qos: QoS,
        receive_maximum: u16,
        take: usize,
    },
    /// It publishes what all of those get.
    Tell {
        client: usize,
        qos: QoS,
        times: usize,
    },
    Hold,
    LetGo,
    Restart,
}

fn any_durable_step() -> impl Strategy<Value = DurableStep> {
    let durability = prop::sample::select(vec![Durability::Disk, Durability::Disk, Durability::Memory]);
    prop_oneof![
        30 => (any_step(), durability).prop_map(|(step, durability)| DurableStep::Plain(step, durability)),
        2 => (0..CLIENTS, 1_u16..5, any::<bool>())
            .prop_map(|(client, id, release)| DurableStep::Receive { client, id, release }),
        6 => (0..CLIENTS, any_qos(), 1_u16..6, 0_usize..400).prop_map(
            |(client, qos, receive_maximum, take)| DurableStep::Arrive { client, qos, receive_maximum, take }),
        6 => (0..CLIENTS, any_qos(), 1_usize..5)
            .prop_map(|(client, qos, times)| DurableStep::Tell { client, qos, times }),
        1 => Just(DurableStep::Hold),
        1 => Just(DurableStep::LetGo),
        2 => Just(DurableStep::Restart),
    ]
}

fn take_durable(world: &mut World, step: DurableStep) {
    match step {
        DurableStep::Plain(mut step, durability) => {
            world.durability = durability;
            if let Step::Open { will: Some((qos, _)), .. } = &mut step {
                // Others may be published twice by a node that is killed in between.
                *qos = QoS::ExactlyOnce;
            }
            if let Step::Open { client, .. } = step
                && world.is_replaced(client)
            {
                return;
            }
            take(world, step);
            world.check_numbers();
        }
        DurableStep::Receive { client, id, release } => world.receive(client, id, release),
        DurableStep::Arrive { client, .. } if world.is_replaced(client) => {}
        DurableStep::Arrive { client, qos, receive_maximum, take } => {
            world.durability = Durability::Disk;
            world.open(client, false, EXPIRY_NEVER_SECS, receive_maximum, None);
            world.plane.settle(&mut world.batch, world.now);
            world.subscribe(client, "d/#", SubscribeOptions { qos, ..PLAIN }, RetainHandling::Never);
            world.give_room(client, take);
        }
        DurableStep::Tell { client, qos, times } => {
            let (topic, retain) = ("d/1", false);
            for _ in 0..times {
                world.publish(
                    client,
                    &Publish { topic, qos, retain, padding: 0, empty: false, life_secs: None },
                );
            }
            if !world.is_held() {
                world.settle();
                world.check_rows();
            }
        }
        DurableStep::Hold => world.hold(),
        DurableStep::LetGo => world.let_go(),
        DurableStep::Restart => world.restart(),
    }
}

/// Everybody comes back and takes everything; then nothing is left of what was sent.
fn take_everything(world: &mut World) {
    for client in 0..CLIENTS {
        if world.clients[client].kept.is_some() && world.clients[client].live.is_none() {
            world.durability = Durability::Disk;
            world.open(client, false, 5, 5, None);
        }
        world.finish();
        world.give_room(client, usize::MAX);
        for _ in 0..200 {
            world.acknowledge(client, usize::MAX, false);
            world.finish();
            world.give_room(client, usize::MAX);
        }
        if let Some(live) = &world.clients[client].live {
            let summary = live.session.summary();
            assert_eq!((summary.in_flight, summary.queued_messages, summary.outbox_bytes), (0, 0, 0));
        }
    }
    world.settle();
}

fn end_all(world: &mut World) {
    for session in world.plane.sessions().all() {
        world.plane.disconnect(&session, Code::ServerShuttingDown, true, &mut world.batch, world.now);
    }
    world.settle_restored();
    world.check_rows();
    for class in 1..6 {
        assert_eq!(world.rows(class), 0, "rows of class {class} are left");
    }
}

proptest! {
    #[test]
    fn a_plane_that_keeps_things_does_what_the_lists_do(
        steps in prop::collection::vec(any_durable_step(), 1..120),
    ) {
        let mut world = World::durable();
        for step in steps {
            take_durable(&mut world, step);
        }
        world.let_go();
        check_at_rest(&world);
        world.check_rows();
        world.restart();
        take_everything(&mut world);
        check_at_rest(&world);
        world.check_rows();
        check_all_received(&world);
        prop_assert_eq!((world.rows(3), world.rows(4)), (0, 0));
        end_all(&mut world);
    }

    /// Whatever part of what was not synced survives, the node starts, and what it finds belongs together.
    #[test]
    fn any_part_of_what_was_not_synced_may_be_there(
        steps in prop::collection::vec(any_durable_step(), 1..40),
        unsynced in prop::collection::vec(any_durable_step(), 1..40),
        fates in prop::collection::vec(any::<bool>(), 1..50),
    ) {
        let mut world = World::durable();
        for step in steps {
            take_durable(&mut world, step);
        }
        world.hold();
        for step in unsynced {
            if !matches!(step, DurableStep::LetGo | DurableStep::Restart) {
                take_durable(&mut world, step);
            }
        }
        world.end_batch();
        let mut fate = fates.iter().cycle();
        world.kill(|| fate.next().is_some_and(|fate| *fate));
        world.check_rows();
        end_all(&mut world);
    }
}

/// A connection that takes a session over in the middle of the batch of the one before is not faster than that batch:
/// what it says rests on it, and what it removes would come back.
#[test]
fn a_batch_that_opens_a_session_follows_the_one_it_interrupts() {
    let mut world = World::durable();
    world.open(0, true, 100, 5, None);
    world.settle();
    let World { plane, clients, now, .. } = &world;
    let live = clients[0].live.as_ref().unwrap();
    let mut interrupted = Batch::default();
    let id = 1;
    assert!(plane.receive_once(&live.session, live.epoch, id, &mut interrupted).is_some());
    let (sender, opened) = std::sync::mpsc::sync_channel(1);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut batch = Batch::default();
            let open = world.opens(0, false, 100, 5, None);
            let opened =
                plane.open(open, connection(0, None, Arc::default(), *now), &mut batch, *now).unwrap();
            // The client sends it again, and its release with it.
            assert!(plane.receive_once(&opened.session, opened.epoch, id, &mut batch).is_none());
            assert!(plane.release(&opened.session, opened.epoch, id, &mut batch));
            plane.leave(plane.finish(&mut batch, *now).unwrap());
            sender.send(()).unwrap();
        });
        assert!(opened.recv_timeout(Duration::from_millis(100)).is_err(), "it overtook the batch before it");
        plane.leave(plane.finish(&mut interrupted, *now).unwrap());
        opened.recv().unwrap();
    });
    world.settle_restored();
    assert_eq!(world.rows(5), 0);
}

/// A retained message at QoS 2 waits for the disk; a newer one that comes meanwhile at QoS 0 does not.
#[test]
fn g7_a_retained_message_that_waits_for_the_disk_is_the_newest_when_it_is_sent() {
    let mut world = World::durable();
    let publish = |world: &mut World, qos| {
        let (topic, retain) = ("r/1", true);
        world.publish(1, &Publish { topic, qos, retain, padding: 0, empty: false, life_secs: None });
        world.serial
    };
    world.open(1, true, 100, 5, None);
    world.settle();
    world.give_room(1, usize::MAX);
    publish(&mut world, QoS::ExactlyOnce);
    world.hold();
    let options = SubscribeOptions { qos: QoS::ExactlyOnce, ..PLAIN };
    world.subscribe(1, "r/1", options, RetainHandling::Always);
    world.finish();
    let newest = publish(&mut world, QoS::AtMostOnce);
    world.finish();
    world.let_go();
    let last = publish(&mut world, QoS::ExactlyOnce);
    world.settle();
    world.give_room(1, usize::MAX);
    world.finish();
    check_at_rest(&world);
    let live = world.clients[1].live.as_ref().unwrap();
    let received: Vec<_> = live.received.iter().map(|received| (received.serial, received.retain)).collect();
    assert_eq!(received, [(newest, false), (newest, true), (last, false)]);
}

/// Neither a clean start nor one more right behind it is confirmed before the old session is gone for certain.
#[test]
fn a_replaced_session_is_gone_before_anybody_is_greeted() {
    let mut world = World::durable();
    world.open(0, true, 100, 5, None);
    world.hold();
    for _ in 0..2 {
        world.open(0, true, 0, 5, None);
        world.finish();
        world.give_room(0, usize::MAX);
        assert!(world.clients[0].live.as_ref().is_some_and(|live| !live.greeted));
    }
    world.let_go();
    world.read(0);
    assert!(world.clients[0].live.as_ref().is_some_and(|live| live.greeted));
}

/// The client remembers the id of a QoS 2 message that it was sent before the node was killed: if the message expired
/// then, the next one under this id would be taken for a resend.
#[test]
fn a_qos_2_message_that_may_have_been_sent_does_not_expire() {
    let mut world = World::durable();
    let arrive = |world: &mut World| {
        world.open(1, false, 100, 5, None);
        world.give_room(1, usize::MAX);
    };
    let publish = |world: &mut World, life_secs| {
        let (topic, qos, retain) = ("d/1", QoS::ExactlyOnce, false);
        world.publish(1, &Publish { topic, qos, retain, padding: 0, empty: false, life_secs });
        world.settle();
        world.read(1);
        world.serial
    };
    arrive(&mut world);
    world.subscribe(1, "d/1", SubscribeOptions { qos: QoS::ExactlyOnce, ..PLAIN }, RetainHandling::Never);
    let first = publish(&mut world, Some(1));
    world.restart();
    world.pass(2000, true);
    arrive(&mut world);
    world.settle();
    world.acknowledge(1, 2, false);
    world.settle();
    world.restart();
    arrive(&mut world);
    let second = publish(&mut world, None);
    let received: Vec<_> = world.clients[1].memory.exactly_once.iter().map(|(serial, _)| *serial).collect();
    assert_eq!(received, [first, second]);
}
