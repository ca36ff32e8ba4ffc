//! Single cases of the plane that the random ones seldom meet, and bugs that were fixed.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Wake, Waker},
};

use bytes::Bytes;
use skein_access::{Access, AccessList, Anonymous, Door, Identity};
use skein_types::{Filter, Message, Moment, QoS, SessionKey, SubscriptionFilter, Topic};

use super::{
    client::{Live, Memory, TestSocket, client_id, connection},
    world::{LIMITS, Publish, World},
};
use crate::{
    Batch, EXPIRY_NEVER_SECS, Flushed, Open, Plane, PlaneLimits, Publisher, RetainHandling, SessionLimits,
    SubscribeOptions, TaskHandle, WindowLimits, matcher::tests::PLAIN,
};

pub(super) const NOW: Moment = Moment::from_millis(1);

pub(super) fn plane(access: Access) -> Plane {
    Plane::new(Arc::new(access), PlaneLimits { retained_messages_max: 1_000_000, ..PlaneLimits::default() })
}

pub(super) fn open_plane() -> Plane {
    plane(Access::new(AccessList::open(), Anonymous::Always))
}

/// A client whose socket takes everything.
pub(super) fn connect(plane: &Plane, number: usize, limits: &SessionLimits, batch: &mut Batch) -> Live {
    connect_with(plane, number, limits, usize::MAX, batch)
}

/// One whose socket takes `room` bytes.
pub(super) fn connect_with(
    plane: &Plane,
    number: usize,
    limits: &SessionLimits,
    room: usize,
    batch: &mut Batch,
) -> Live {
    let id = client_id(number);
    let identity = Identity::anonymous(id.clone(), IpAddr::from([127, 0, 0, 1]), Door::Mqtt);
    let open = Open {
        client_id: id,
        clean_start: false,
        expiry_secs: EXPIRY_NEVER_SECS,
        window: WindowLimits::unacknowledged(u16::MAX.into()),
        will: None,
        access: Some(Arc::new(plane.access().bind(identity))),
        limits: Arc::new(*limits),
        durability: crate::Durability::Memory,
    };
    let socket = Arc::<TestSocket>::default();
    socket.give_room(room);
    let connection = connection(number, Some(socket.clone()), Arc::new(TaskHandle::default()), NOW);
    let opened = plane.open(open, connection, batch, NOW).unwrap();
    Live::new(opened.session, opened.epoch, Some(socket))
}

pub(super) fn subscribe(
    plane: &Plane,
    live: &Live,
    filter: &str,
    options: SubscribeOptions,
    batch: &mut Batch,
) {
    let filter = SubscriptionFilter::new(filter).unwrap();
    plane.subscribe(&live.session, live.epoch, filter, options, RetainHandling::Always, batch).unwrap();
    plane.send_waiting(&live.session, live.epoch, NOW, &mut batch.effects);
    plane.reply(&live.session, live.epoch, &[], batch);
}

pub(super) fn handle(live: &Live) -> Arc<TaskHandle> {
    live.session.lock().connection.as_ref().unwrap().handle.clone()
}

pub(super) fn send_waiting(plane: &Plane, live: &Live, batch: &mut Batch) {
    plane.send_waiting(&live.session, live.epoch, NOW, &mut batch.effects);
    plane.reply(&live.session, live.epoch, &[], batch);
    plane.finish(batch, NOW);
}

pub(super) fn message(topic: &str, payload: &'static [u8], qos: QoS) -> Message {
    Message::new(Topic::try_from(topic).unwrap(), Bytes::from_static(payload), qos)
}

pub(super) fn received(live: &mut Live) -> Vec<(String, bool)> {
    live.read(&[], &mut Memory::default());
    live.received.iter().map(|received| (received.topic.clone(), received.retain)).collect()
}

pub(super) fn publisher() -> Publisher {
    Publisher::new(SessionKey(0), None)
}

/// Each used to take a frame of the stack.
#[test]
fn a_subscription_to_very_many_retained_messages() {
    const TOPICS: usize = 60_000;
    let (plane, mut batch) = (open_plane(), Batch::default());
    for number in 0..TOPICS {
        plane.retained().set(&message(&format!("r/{number}"), b"12345", QoS::AtLeastOnce), NOW);
    }
    let limits = SessionLimits { outbox_bytes_max: 1 << 30, ..LIMITS };
    let mut live = connect(&plane, 1, &limits, &mut batch);
    subscribe(&plane, &live, "r/#", SubscribeOptions { qos: QoS::AtLeastOnce, ..PLAIN }, &mut batch);
    plane.finish(&mut batch, NOW);
    // A batch looks at some of them; the connection's task goes on.
    while live.session.flushed(live.epoch) == Flushed::Unfinished {
        assert!(handle(&live).register(Waker::noop()), "its task has to be called");
        send_waiting(&plane, &live, &mut batch);
    }
    let received = received(&mut live);
    assert_eq!(received.len(), TOPICS);
    assert!(received.iter().all(|(_, retain)| *retain));
}

/// What is forbidden to a client does not reach it through a group; another member gets it.
#[test]
fn a_group_member_gets_only_what_it_may_receive() {
    let rules = "[[rules]]\nallow = false\nclient_ids = ['client-1']\nfilters = ['a/secret']\n\
                 [[rules]]\nallow = true\nfilters = ['#']\n";
    let plane = plane(Access::new(AccessList::parse(rules).unwrap(), Anonymous::Always));
    let mut batch = Batch::default();
    let mut clients = [1, 2].map(|number| connect(&plane, number, &LIMITS, &mut batch));
    for client in &clients {
        subscribe(&plane, client, "$share/g/a/#", PLAIN, &mut batch);
    }
    let mut publisher = publisher();
    for _ in 0..4 {
        plane.publish(&mut publisher, &mut batch, message("a/secret", b"12345", QoS::AtMostOnce), NOW);
    }
    plane.finish(&mut batch, NOW);
    assert_eq!(clients.each_mut().map(|client| received(client).len()), [0, 4]);
    // Alone it cannot take it for the group.
    let filter = SubscriptionFilter::new("$share/g/a/#").unwrap();
    assert!(plane.unsubscribe(&clients[1].session, clients[1].epoch, &filter, &mut batch));
    plane.publish(&mut publisher, &mut batch, message("a/secret", b"12345", QoS::AtLeastOnce), NOW);
    plane.publish(&mut publisher, &mut batch, message("a/open", b"12345", QoS::AtMostOnce), NOW);
    plane.finish(&mut batch, NOW);
    assert_eq!(received(&mut clients[0]), [("a/open".to_owned(), false)]);
    assert_eq!(plane.ledger().figures().pending, 0);
}

#[test]
fn a_retained_message_is_not_sent_to_who_may_not_receive_it() {
    let rules = "[[rules]]\nallow = false\nfilters = ['a/secret']\nactions = ['subscribe']\n\
                 [[rules]]\nallow = true\nfilters = ['#']\n";
    let plane = plane(Access::new(AccessList::parse(rules).unwrap(), Anonymous::Always));
    let mut batch = Batch::default();
    for topic in ["a/secret", "a/open"] {
        plane.retained().set(&message(topic, b"12345", QoS::AtMostOnce), NOW);
    }
    let mut live = connect(&plane, 1, &LIMITS, &mut batch);
    subscribe(&plane, &live, "a/#", PLAIN, &mut batch);
    plane.finish(&mut batch, NOW);
    assert_eq!(received(&mut live), [("a/open".to_owned(), true)]);
}

#[test]
fn mqtt_3_3_1_12_the_retain_flag_is_kept_only_for_who_asked() {
    let (plane, mut batch) = (open_plane(), Batch::default());
    let mut clients = [1, 2, 3].map(|number| connect(&plane, number, &LIMITS, &mut batch));
    subscribe(&plane, &clients[0], "t", PLAIN, &mut batch);
    subscribe(&plane, &clients[1], "t", SubscribeOptions { retain_as_published: true, ..PLAIN }, &mut batch);
    let retained = Message { retain: true, ..message("t", b"12345", QoS::AtMostOnce) };
    plane.publish(&mut publisher(), &mut batch, retained, NOW);
    plane.finish(&mut batch, NOW);
    subscribe(&plane, &clients[2], "t", PLAIN, &mut batch);
    plane.finish(&mut batch, NOW);
    let flags = clients
        .each_mut()
        .map(|client| received(client).into_iter().map(|(_, retain)| retain).collect::<Vec<_>>());
    assert_eq!(flags, [vec![false], vec![true], vec![true]]);
}

/// What client 1 got: serial and whether it was retained.
fn serials(world: &mut World) -> Vec<(u32, bool)> {
    world.finish();
    world.give_room(1, 100_000);
    let live = world.clients[1].live.as_ref().unwrap();
    live.received.iter().map(|received| (received.serial, received.retain)).collect()
}

fn publish(world: &mut World, topic: &'static str, qos: QoS, retain: bool) -> u32 {
    world.publish(1, &Publish { topic, qos, retain, padding: 0, empty: false, life_secs: None });
    world.finish();
    world.serial
}

#[test]
fn g7_a_retained_message_waits_for_what_is_queued() {
    let mut world = World::new();
    world.open(1, true, 0, 1, None);
    world.subscribe(1, "r/1", SubscribeOptions { qos: QoS::AtLeastOnce, ..PLAIN }, RetainHandling::Never);
    let first = publish(&mut world, "r/1", QoS::AtLeastOnce, true);
    let second = publish(&mut world, "r/1", QoS::AtLeastOnce, true);
    world.subscribe(1, "r/1", PLAIN, RetainHandling::Always);
    assert_eq!(serials(&mut world), [(first, false)]);
    world.acknowledge(1, 1, false);
    assert_eq!(serials(&mut world), [(first, false), (second, false)]);
    world.acknowledge(1, 1, false);
    assert_eq!(serials(&mut world), [(first, false), (second, false), (second, true)]);
}

#[test]
fn g7_a_retained_message_that_waits_for_the_window_is_the_newest_when_it_is_sent() {
    let mut world = World::new();
    world.open(1, true, 0, 1, None);
    world.subscribe(1, "d/1", SubscribeOptions { qos: QoS::AtLeastOnce, ..PLAIN }, RetainHandling::Never);
    publish(&mut world, "r/1", QoS::AtLeastOnce, true);
    let unacknowledged = publish(&mut world, "d/1", QoS::AtLeastOnce, false);
    world.subscribe(1, "r/1", SubscribeOptions { qos: QoS::AtLeastOnce, ..PLAIN }, RetainHandling::Always);
    let newest = publish(&mut world, "r/1", QoS::AtMostOnce, true);
    assert_eq!(serials(&mut world), [(unacknowledged, false), (newest, false)]);
    world.acknowledge(1, 1, false);
    assert_eq!(serials(&mut world), [(unacknowledged, false), (newest, false), (newest, true)]);
}

#[test]
fn a_client_that_comes_and_goes_has_one_deadline() {
    let mut world = World::new();
    for _ in 0..50 {
        world.open(1, false, 1000, 5, Some((QoS::AtMostOnce, 100)));
        world.close(1, false, None);
        world.pass(10, true);
        assert_eq!(world.plane.sessions().deadlines_len(), 1);
    }
    world.open(1, false, 1000, 5, None);
    assert_eq!(world.plane.sessions().deadlines_len(), 0);
    world.close(1, false, None);
    world.disconnect(1, true);
    assert_eq!(world.plane.sessions().deadlines_len(), 0);
}

#[test]
fn a_publisher_that_waits_for_a_session_goes_on_when_it_is_taken_over() {
    #[derive(Debug, Default)]
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    let mut world = World::new();
    world.open(1, true, 0, 5, None);
    world.subscribe(1, "d/1", PLAIN, RetainHandling::Never);
    let big = Publish {
        topic: "d/1",
        qos: QoS::AtMostOnce,
        retain: false,
        padding: 3000,
        empty: false,
        life_secs: None,
    };
    for _ in 0..3 {
        world.publish(1, &big);
    }
    world.plane.finish(&mut world.batch, world.now);
    assert_eq!(world.batch.take_congestion().len(), 1);
    let count = Arc::<Count>::default();
    let session = world.clients[1].live.as_ref().unwrap().session.clone();
    assert!(!session.poll_drained(&Waker::from(count.clone()), world.now));
    world.open(1, true, 0, 5, None);
    assert_eq!(count.0.load(SeqCst), 1);
    assert!(session.poll_drained(Waker::noop(), world.now));
}

/// The sweep runs some ten times a second: a client may come back between the end of its will's delay and the sweep.
#[test]
fn a_will_whose_delay_is_over_is_published_although_the_client_is_back_before_the_sweep() {
    let mut world = World::new();
    world.open(1, false, 100, 5, Some((QoS::AtLeastOnce, 2)));
    world.close(1, false, None);
    world.pass(2000, false);
    world.open(1, false, 100, 5, None);
    world.finish();
    assert_eq!((world.wills_published().len(), world.wills_due.len()), (1, 1));
    world.pass(5000, true);
    world.finish();
    assert_eq!(world.wills_published().len(), 1);
}

#[test]
fn retained_messages_above_the_bound_are_refused_and_counted() {
    let access = Arc::new(Access::new(AccessList::open(), Anonymous::Always));
    let plane = Plane::new(access, PlaneLimits { retained_messages_max: 2, ..PlaneLimits::default() });
    for topic in ["a", "b", "c", "a", "c"] {
        plane.retained().set(&message(topic, b"12345", QoS::AtMostOnce), NOW);
    }
    assert_eq!((plane.retained().len(), plane.retained().refused()), (2, 2));
    assert!(plane.retained().remove(&Topic::try_from("b").unwrap()));
    assert!(!plane.retained().remove(&Topic::try_from("b").unwrap()));
    plane.retained().set(&message("c", b"12345", QoS::AtMostOnce), NOW);
    assert_eq!(plane.retained().matching(&Filter::new("#").unwrap()).len(), 2);
}
