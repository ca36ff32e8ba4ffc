//! The whole plane against plain lists, through random steps of a few clients, and what must hold after each step.

mod bounds;
pub(crate) mod client;
mod durable;
mod examples;
mod owners;
pub(crate) mod world;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use skein_types::{Filter, QoS, SubscriptionFilter, Topic};

use self::{
    client::{FRAME_BYTES_MAX, Live, client_id},
    world::{CLIENTS, LIMITS, Publish, World},
};
use crate::{
    Acked, Acknowledgement, EXPIRY_NEVER_SECS, Ending, RetainHandling, SubscribeOptions,
    matcher::tests::PLAIN,
};

/// The largest receive maximum of a client.
const WINDOW_MAX: usize = 5;
/// Ordinary topics start with d, those of retained messages with r, those of shared subscriptions with s.
const TOPICS: [&str; 6] = ["d/1", "d/2", "r/1", "r/2/x", "s/1", "s/2"];
const FILTERS: [&str; 11] = [
    "d/1",
    "d/+",
    "d/#",
    "r/1",
    "r/#",
    "r/+/x",
    "r/2/#",
    "$share/g/s/+",
    "$share/h/s/1",
    "$share/g/s/1",
    "d/2",
];

#[derive(Clone, Debug)]
enum Step {
    Open {
        client: usize,
        clean: bool,
        expiry_secs: u32,
        receive_maximum: u16,
        will: Option<(QoS, u32)>,
    },
    Close {
        client: usize,
        graceful: bool,
        expiry_secs: Option<u32>,
    },
    Disconnect {
        client: usize,
        end: bool,
    },
    Subscribe {
        client: usize,
        filter: &'static str,
        options: SubscribeOptions,
        retain: RetainHandling,
    },
    Unsubscribe {
        client: usize,
        filter: &'static str,
    },
    Publish {
        client: usize,
        publish: Publish,
        times: usize,
    },
    Acknowledge {
        client: usize,
        count: usize,
        reject: bool,
    },
    Room {
        client: usize,
        bytes: usize,
    },
    Pass {
        millis: u64,
        sweep: bool,
    },
    /// Whoever lost the session tries everything.
    Stale {
        client: usize,
    },
    Finish,
}

fn any_qos() -> impl Strategy<Value = QoS> {
    prop::sample::select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

fn any_publish() -> impl Strategy<Value = Publish> {
    let padding = prop_oneof![6 => 0_usize..60, 1 => 2030_usize..2060, 1 => 5000_usize..6100];
    (
        prop::sample::select(TOPICS.to_vec()),
        any_qos(),
        padding,
        0_u8..8,
        prop::option::weighted(0.2, 1_u32..4),
    )
        .prop_map(|(topic, qos, padding, chance, life_secs)| {
            let retain = topic.starts_with('r');
            Publish { topic, qos, retain, padding, empty: retain && chance == 0, life_secs }
        })
}

fn any_options() -> impl Strategy<Value = SubscribeOptions> {
    (any_qos(), prop::bool::weighted(0.2)).prop_map(|(qos, no_local)| SubscribeOptions {
        qos,
        no_local,
        ..PLAIN
    })
}

fn any_step() -> impl Strategy<Value = Step> {
    let client = || 0..CLIENTS;
    let filter = || prop::sample::select(FILTERS.to_vec());
    let expiry = || prop::sample::select(vec![0, 2, 5, EXPIRY_NEVER_SECS]);
    let retain =
        prop::sample::select(vec![RetainHandling::Always, RetainHandling::IfNew, RetainHandling::Never]);
    let will = prop::option::of((any_qos(), prop::sample::select(vec![0_u32, 1, 3])));
    prop_oneof![
        4 => (client(), prop::bool::weighted(0.3), expiry(), 1_u16..6, will).prop_map(
            |(client, clean, expiry_secs, receive_maximum, will)| Step::Open { client, clean, expiry_secs, receive_maximum, will }),
        2 => (client(), any::<bool>(), prop::option::weighted(0.2, expiry()))
            .prop_map(|(client, graceful, expiry_secs)| Step::Close { client, graceful, expiry_secs }),
        1 => (client(), any::<bool>()).prop_map(|(client, end)| Step::Disconnect { client, end }),
        5 => (client(), filter(), any_options(), retain).prop_map(
            |(client, filter, options, retain)| Step::Subscribe { client, filter, options, retain }),
        1 => (client(), filter()).prop_map(|(client, filter)| Step::Unsubscribe { client, filter }),
        10 => (client(), any_publish(), 1_usize..8)
            .prop_map(|(client, publish, times)| Step::Publish { client, publish, times }),
        6 => (client(), 1_usize..6, prop::bool::weighted(0.1))
            .prop_map(|(client, count, reject)| Step::Acknowledge { client, count, reject }),
        6 => (client(), prop_oneof![1_usize..300, 1000_usize..60_000])
            .prop_map(|(client, bytes)| Step::Room { client, bytes }),
        3 => (200_u64..3000, prop::bool::weighted(0.8)).prop_map(|(millis, sweep)| Step::Pass { millis, sweep }),
        1 => client().prop_map(|client| Step::Stale { client }),
        6 => Just(Step::Finish),
    ]
}

fn take(world: &mut World, step: Step) {
    match step {
        Step::Open { client, clean, expiry_secs, receive_maximum, will } => {
            world.open(client, clean, expiry_secs, receive_maximum, will);
        }
        Step::Close { client, graceful, expiry_secs } => world.close(client, graceful, expiry_secs),
        Step::Disconnect { client, end } => world.disconnect(client, end),
        Step::Subscribe { client, filter, options, retain } => {
            // Before anything that changes who gets what is published, as a door does.
            world.plane.settle(&mut world.batch, world.now);
            let no_local = options.no_local && !filter.starts_with("$share");
            world.subscribe(client, filter, SubscribeOptions { no_local, ..options }, retain);
        }
        Step::Unsubscribe { client, filter } => {
            world.plane.settle(&mut world.batch, world.now);
            world.unsubscribe(client, filter);
        }
        Step::Publish { client, publish, times } => {
            for _ in 0..times {
                world.publish(client, &publish);
            }
        }
        Step::Acknowledge { client, count, reject } => world.acknowledge(client, count, reject),
        Step::Room { client, bytes } => world.give_room(client, bytes),
        Step::Pass { millis, sweep } => world.pass(millis, sweep),
        Step::Stale { client } => try_everything_stale(world, client),
        Step::Finish => {
            world.finish();
            if !world.is_held() {
                check_at_rest(world);
            }
        }
    }
}

/// G4: who lost a session changes nothing of it.
fn try_everything_stale(world: &mut World, client: usize) {
    let World { plane, batch, now, clients, .. } = world;
    let Some(Live { session, epoch, .. }) = clients[client].past_of_run().last() else { return };
    let (epoch, id) = (*epoch, 0);
    let before = session.summary();
    let filter = SubscriptionFilter::new("stale/#").unwrap();
    let subscribed = plane.subscribe(
        session,
        epoch,
        filter.clone(),
        PLAIN,
        RetainHandling::Always,
        &mut crate::Batch::default(),
    );
    assert!(subscribed.is_err());
    assert!(!plane.unsubscribe(
        session,
        epoch,
        &SubscriptionFilter::new("d/1").unwrap(),
        &mut crate::Batch::default()
    ));
    assert!(plane.close(session, epoch, Ending::Graceful, Some(0), batch, *now).is_none());
    for what in [Acknowledgement::Published { rejected: false }, Acknowledgement::Completed] {
        assert_eq!(plane.acknowledge(session, epoch, |_| id, what, batch, *now), Acked::Unknown);
    }
    assert!(!plane.reply(session, epoch, b"stale", batch));
    let batch = &mut crate::Batch::default();
    assert!(plane.receive_once(session, epoch, id, batch).is_none());
    assert!(!plane.release(session, epoch, id, batch));
    let mut out = Vec::new();
    session
        .take_output(epoch, plane.sources(), *now, &mut batch.effects, |outbox| outbox.drain_into(&mut out));
    assert!(out.is_empty());
    let after = session.summary();
    let figures = |info: &crate::SessionInfo| {
        (info.subscriptions_count, info.in_flight, info.queued_bytes, info.outbox_bytes, info.expiry_secs)
    };
    assert_eq!(figures(&before), figures(&after));
    assert!(plane.matcher().route(&Topic::try_from("stale/x").unwrap(), session.key()).is_empty());
}

/// What holds whenever no batch is under way.
fn check_at_rest(world: &World) {
    check_ledger(world);
    check_sessions(world);
    check_retained(world);
    let (mut due, mut published) = (world.wills_due.clone(), world.wills_published());
    due.sort_unstable();
    published.sort_unstable();
    assert_eq!(published, due, "wills published, and wills due");
}

/// G12: the ledger adds up, and pending is what sessions hold.
fn check_ledger(world: &World) {
    let figures = world.plane.ledger().figures();
    let ended = figures.delivered + figures.expired + figures.dropped_total();
    let pending = figures.routed.cast_signed() - ended.cast_signed();
    assert_eq!(pending, figures.pending, "{figures:?}");
    let held: u64 = world
        .plane
        .sessions()
        .all()
        .iter()
        .map(|session| {
            let state = session.lock();
            let unwritten = state.connection.as_ref().map_or(0, |connection| connection.outbox.messages());
            (state.delivery.queued().0 + state.delivery.in_flight()) as u64 + unwritten
        })
        .sum();
    assert_eq!(figures.pending, held.cast_signed(), "pending, and what sessions hold: {figures:?}");
    let load = world.plane.sessions().load();
    assert_eq!(world.plane.queue().depth(), (load.queued_messages, load.queued_bytes), "all queues as one");
}

fn check_sessions(world: &World) {
    let live = world.clients.iter().filter(|client| client.live.is_some()).count();
    assert_eq!(world.plane.sessions().connected(), live);
    assert_eq!(
        world.plane.sessions().len(),
        world.clients.iter().filter(|client| client.kept.is_some()).count()
    );
    let kept = world.clients.iter().filter_map(|client| client.kept.as_ref());
    assert_eq!(
        world.plane.matcher().subscriptions(),
        kept.map(|kept| kept.subscriptions.len()).sum::<usize>()
    );
    for (number, client) in world.clients.iter().enumerate() {
        let session = world.plane.sessions().get(&client_id(number));
        assert_eq!(session.is_some(), client.kept.is_some());
        let Some(session) = session else { continue };
        assert_eq!(session.is_connected(), client.live.is_some(), "client {number}");
        let load = session.load();
        assert!(load.outbox_bytes <= LIMITS.outbox_bytes_max + FRAME_BYTES_MAX, "{load:?}");
        // What was under way when the node was killed waits again.
        let again = if world.disk.is_some() { WINDOW_MAX } else { 0 };
        assert!(load.queued_messages <= LIMITS.queue.messages_max + again, "{load:?}");
        let bytes_max = LIMITS.queue.bytes_max.max(2 * FRAME_BYTES_MAX);
        assert!(load.queued_bytes <= bytes_max + again * FRAME_BYTES_MAX, "{load:?}");
        if let Some(live) = &client.live {
            assert!(std::sync::Arc::ptr_eq(&live.session, &session), "one session per client id");
        }
    }
    let deadlines = world.plane.sessions().deadlines_len();
    assert!(deadlines <= world.clients.len(), "{deadlines} deadlines");
}

fn check_retained(world: &World) {
    let retained = world.plane.retained();
    let expired = |expires_at: Option<_>| expires_at.is_some_and(|deadline| deadline <= world.now);
    for topic in TOPICS {
        let found = retained.get(&Topic::try_from(topic).unwrap(), world.now);
        let found = found.map(|message| u32::from_be_bytes(message.payload[1..5].try_into().unwrap()));
        let expect = world.retained.get(topic).filter(|(_, expires_at)| !expired(*expires_at));
        assert_eq!(found, expect.map(|(serial, _)| *serial), "retained of {topic}");
    }
    assert_eq!(retained.len(), world.retained.len());
    for filter in FILTERS.iter().chain(&["#", "+/+/+"]).filter(|filter| !filter.starts_with('$')) {
        let filter = Filter::new(filter).unwrap();
        let mut found: Vec<Topic> = retained.matching(&filter);
        found.sort_unstable();
        let expect: Vec<Topic> = world
            .retained
            .keys()
            .map(|topic| Topic::try_from(*topic).unwrap())
            .filter(|topic| filter.matches(topic))
            .collect();
        assert_eq!(found, expect, "retained matching {filter}");
    }
}

/// What clients saw on one connection.
fn check_received(live: &Live) {
    let mut last: BTreeMap<(u8, &str, QoS, bool), u32> = BTreeMap::new();
    let mut newest: BTreeMap<&str, u32> = BTreeMap::new();
    let mut fresh = false;
    for received in live.received.iter().filter(|received| received.publisher != u8::MAX) {
        let topic = received.topic.as_str();
        fresh |= received.qos != QoS::AtMostOnce && !received.again;
        assert!(!(received.again && fresh), "sent again after something new: {received:?}");
        if received.retain {
            // G7. One sent before must be sent again, whatever was delivered since (MQTT-4.4.0-1).
            let newest = newest.get(topic).copied().unwrap_or(0);
            let older = received.serial < newest && !received.again;
            assert!(!older, "retained older than live {newest}: {received:?}");
            continue;
        }
        if !received.again {
            newest
                .entry(topic)
                .and_modify(|newest| *newest = received.serial.max(*newest))
                .or_insert(received.serial);
        }
        if topic.starts_with('s') {
            continue;
        }
        // MQTT-4.6.0-6, for messages of one quality of service.
        let order = (received.publisher, topic, received.qos, received.again);
        if let Some(before) = last.insert(order, received.serial) {
            assert!(received.serial > before, "{before} came before {received:?}");
        }
    }
}

/// After everything was read: what all clients saw together.
fn check_all_received(world: &World) {
    let mut unacknowledged: BTreeMap<u32, u32> = BTreeMap::new();
    let mut at_most_once = 0;
    for client in &world.clients {
        for live in client.past.iter().chain(&client.live) {
            check_received(live);
            for received in live.received.iter().filter(|received| received.qos == QoS::AtMostOnce) {
                at_most_once += 1;
                if received.topic.starts_with('s') {
                    *unacknowledged.entry(received.serial).or_default() += 1;
                }
            }
        }
    }
    let groups_of_s1 = 3;
    assert!(unacknowledged.values().all(|count| *count <= groups_of_s1));
    let figures = world.plane.ledger().figures();
    let (seen, lost) =
        (at_most_once + world.acknowledged, figures.dropped[crate::DropReason::ConnectionLost as usize]);
    let one_run = world.disk.is_none();
    assert!(
        !one_run || (figures.delivered <= seen && seen <= figures.delivered + lost),
        "{seen} seen, {figures:?}"
    );
    let mut shared: BTreeMap<u32, u32> = BTreeMap::new();
    for client in &world.clients {
        let mut own = BTreeSet::new();
        for (serial, topic) in client.memory.exactly_once.iter().filter(|(serial, _)| *serial > 0) {
            if topic.starts_with('s') {
                *shared.entry(*serial).or_default() += 1;
            } else {
                assert!(topic.starts_with('r') || own.insert(*serial), "{serial} came twice at QoS 2");
            }
        }
    }
    assert!(shared.values().all(|count| *count <= groups_of_s1));
}

proptest! {
    #[test]
    fn the_plane_does_what_the_lists_do(
        steps in prop::collection::vec(any_step(), 1..120),
        alone_in_a_cluster in any::<bool>(),
    ) {
        let mut world = if alone_in_a_cluster { World::alone_in_a_cluster() } else { World::new() };
        for step in steps {
            take(&mut world, step);
        }
        world.finish();
        check_at_rest(&world);
        // Everybody who is there reads and acknowledges everything.
        for client in 0..CLIENTS {
            world.give_room(client, usize::MAX);
            for _ in 0..200 {
                world.acknowledge(client, usize::MAX, false);
                world.finish();
                world.give_room(client, usize::MAX);
            }
            if let Some(live) = &world.clients[client].live {
                let summary = live.session.summary();
                prop_assert_eq!((summary.in_flight, summary.queued_messages, summary.outbox_bytes), (0, 0, 0));
            }
        }
        world.finish();
        check_at_rest(&world);
        check_all_received(&world);
        for client in 0..=CLIENTS {
            world.disconnect(client, true);
        }
        world.plane.finish(&mut world.batch, world.now);
        let figures = world.plane.ledger().figures();
        prop_assert_eq!((figures.pending, world.plane.matcher().subscriptions(), world.plane.sessions().len()), (0, 0, 0));
    }
}
