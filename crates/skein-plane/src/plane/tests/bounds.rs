//! What clients that send little can make the plane hold.

use skein_types::{QoS, SubscriptionFilter};

use super::{
    client::Live,
    examples::{
        NOW, connect, connect_with, message, open_plane, publisher, received, send_waiting, subscribe,
    },
    world::LIMITS,
};
use crate::{Batch, Plane, SessionLimits, SubscribeOptions, matcher::tests::PLAIN};

const LARGE: SessionLimits = SessionLimits { outbox_bytes_max: 1 << 20, ..LIMITS };
const PAYLOAD: &[u8] = &[0; 1000];

fn retain(plane: &Plane, topics: usize) {
    for number in 0..topics {
        plane.retained().set(&message(&format!("r/{number}"), PAYLOAD, QoS::AtMostOnce), NOW);
    }
}

/// A client that reads nothing.
fn deaf(plane: &Plane, limits: &SessionLimits, batch: &mut Batch) -> Live {
    let live = connect_with(plane, 1, limits, 0, batch);
    plane.finish(batch, NOW);
    live
}

fn outbox_bytes(live: &Live) -> usize {
    live.session.load().outbox_bytes
}

/// Each subscription used to leave a list of all topics.
#[test]
fn a_filter_that_is_subscribed_to_again_has_one_pending_entry() {
    let (plane, mut batch) = (open_plane(), Batch::default());
    retain(&plane, 2000);
    let live = deaf(&plane, &LARGE, &mut batch);
    for _ in 0..500 {
        subscribe(&plane, &live, "r/#", PLAIN, &mut batch);
        subscribe(&plane, &live, "+/1", PLAIN, &mut batch);
        plane.finish(&mut batch, NOW);
    }
    assert_eq!(live.session.lock().retained.as_ref().unwrap().filters().count(), 2);
    assert!(outbox_bytes(&live) < LARGE.outbox_bytes_max, "{}", outbox_bytes(&live));
    let filter = SubscriptionFilter::new("r/#").unwrap();
    assert!(plane.unsubscribe(&live.session, live.epoch, &filter, &mut batch));
    let left: Vec<_> = live.session.lock().retained.as_ref().unwrap().filters().cloned().collect();
    assert_eq!(left.iter().map(|filter| filter.as_str()).collect::<Vec<_>>(), ["+/1"]);
}

/// It filled half of its outbox and was not called slow for it.
#[test]
fn who_reads_no_retained_messages_is_a_slow_consumer() {
    let (plane, mut batch) = (open_plane(), Batch::default());
    retain(&plane, 2000);
    let live = deaf(&plane, &LARGE, &mut batch);
    subscribe(&plane, &live, "r/#", PLAIN, &mut batch);
    plane.finish(&mut batch, NOW);
    assert!(outbox_bytes(&live) < LARGE.outbox_bytes_high());
    let later = NOW.after(LARGE.slow_consumer_timeout);
    assert!(!live.session.is_slow_consumer(live.epoch, NOW));
    assert!(live.session.is_slow_consumer(live.epoch, later));
    live.socket.as_ref().unwrap().give_room(10_000);
    live.session.unblock(live.epoch, plane.sources(), later, &mut batch.effects);
    assert!(!live.session.is_slow_consumer(live.epoch, later), "it took something");
}

/// The same of what waits in its queue.
#[test]
fn who_reads_nothing_while_messages_wait_is_a_slow_consumer() {
    let (plane, mut batch) = (open_plane(), Batch::default());
    let limits =
        SessionLimits { queue: crate::QueueLimits { messages_max: 5000, bytes_max: 1 << 24 }, ..LARGE };
    let first = connect(&plane, 1, &limits, &mut batch);
    subscribe(&plane, &first, "t", SubscribeOptions { qos: QoS::AtLeastOnce, ..PLAIN }, &mut batch);
    plane.close(&first.session, first.epoch, crate::Ending::Graceful, None, &mut batch, NOW);
    for _ in 0..2000 {
        plane.publish(&mut publisher(), &mut batch, message("t", PAYLOAD, QoS::AtLeastOnce), NOW);
    }
    let live = deaf(&plane, &limits, &mut batch);
    assert!(live.session.load().queued_messages > 0);
    assert!(live.session.is_slow_consumer(live.epoch, NOW.after(limits.slow_consumer_timeout)));
}

/// Messages are looked up when there is room for them, whatever became of the others meanwhile.
#[test]
fn g7_retained_messages_that_change_while_a_client_takes_its_time() {
    let (plane, mut batch) = (open_plane(), Batch::default());
    retain(&plane, 2000);
    let mut live = deaf(&plane, &LARGE, &mut batch);
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        subscribe(&plane, &live, "r/#", SubscribeOptions { qos, ..PLAIN }, &mut batch);
    }
    for number in (0..2000).filter(|number| number % 4 == 0) {
        plane.retained().set(&message(&format!("r/{number}"), b"", QoS::AtMostOnce), NOW);
    }
    let socket = live.socket.clone().unwrap();
    for _ in 0..1000 {
        socket.give_room(10_000);
        live.session.unblock(live.epoch, plane.sources(), NOW, &mut batch.effects);
        send_waiting(&plane, &live, &mut batch);
    }
    let mut got: Vec<String> = received(&mut live).into_iter().map(|(topic, _)| topic).collect();
    got.sort_unstable();
    got.dedup();
    let stays = |number: &usize| number % 4 != 0;
    assert!((0..2000).filter(stays).all(|number| got.binary_search(&format!("r/{number}")).is_ok()));
    assert!(live.session.lock().retained.is_none());
    assert_eq!(plane.ledger().figures().pending, 0);
}
