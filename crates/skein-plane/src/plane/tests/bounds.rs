//! What clients that send little can make the plane hold.

use skein_types::{Code, QoS, SubscriptionFilter, Topic};

use super::{
    client::Live,
    examples::{
        NOW, connect, connect_with, message, open_plane, publisher, received, send_waiting, subscribe,
    },
    world::LIMITS,
};
use crate::{Batch, Plane, RetainHandling, SessionLimits, SubscribeOptions, matcher::tests::PLAIN};

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
    for number in (0..2000_usize).step_by(4) {
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
    let stays = |number: &usize| !number.is_multiple_of(4);
    assert!((0..2000).filter(stays).all(|number| got.binary_search(&format!("r/{number}")).is_ok()));
    assert!(live.session.lock().retained.is_none());
    assert_eq!(plane.ledger().figures().pending, 0);
}

fn try_subscribe(plane: &Plane, live: &Live, filter: &str, batch: &mut Batch) -> Result<(), Code> {
    let filter = SubscriptionFilter::new(filter).unwrap();
    plane.subscribe(&live.session, live.epoch, filter, PLAIN, RetainHandling::Always, batch)
}

/// A filter of `levels` levels, of which those are wildcards whose bits are set in a number made of `number`.
fn filter_of(number: u64, levels: usize) -> String {
    let mut bits = number;
    let level = |_| {
        // SplitMix64.
        bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        if (mixed ^ (mixed >> 27)).is_multiple_of(8) { "+" } else { "a" }
    };
    (0..levels).map(level).collect::<Vec<_>>().join("/")
}

/// Ten thousand of them made a publish to a new topic take a quarter of a second.
#[test]
fn filters_of_very_many_patterns_are_refused() {
    let (plane, mut batch) = (open_plane(), Batch::default());
    let limits = SessionLimits { subscriptions_max: 100_000, ..LIMITS };
    let (mut all, mut clients) = (0, Vec::new());
    for client in 0..40 {
        let live = connect(&plane, client, &limits, &mut batch);
        let tried = (0..1000).map(|number| filter_of(number * 1000 + client as u64, 128));
        let taken: Vec<String> =
            tried.filter(|filter| try_subscribe(&plane, &live, filter, &mut batch).is_ok()).collect();
        assert!(taken.len() <= 8, "{} patterns of 128 levels", taken.len());
        all += taken.len();
        // What is short, names what it means or has the pattern of another one is taken.
        for number in 0..500 {
            for filter in
                [filter_of(number, 8), format!("{number}{}", "/a".repeat(100)), format!("{number}/#")]
            {
                try_subscribe(&plane, &live, &filter, &mut batch).unwrap();
            }
            if let Some(first) = taken.first() {
                let other = first.replace('a', &format!("a{number}"));
                try_subscribe(&plane, &live, &other, &mut batch).unwrap();
            }
        }
        clients.push(live);
    }
    assert_eq!(all, 128, "of all clients");
    // Those who leave make room.
    for live in &clients {
        plane.close(&live.session, live.epoch, crate::Ending::Graceful, Some(0), &mut batch, NOW);
    }
    let live = connect(&plane, 1, &limits, &mut batch);
    try_subscribe(&plane, &live, &filter_of(1, 128), &mut batch).unwrap();
}

#[test]
fn subscriptions_are_bounded_in_bytes() {
    let (plane, mut batch) = (open_plane(), Batch::default());
    let limits = SessionLimits { subscriptions_max: 1000, subscriptions_bytes_max: 200_000, ..LIMITS };
    let live = connect(&plane, 1, &limits, &mut batch);
    let long = "a".repeat(60_000);
    let taken =
        (0..10).filter(|number| try_subscribe(&plane, &live, &format!("{number}{long}"), &mut batch).is_ok());
    assert_eq!(taken.count(), 3);
    // Again it costs nothing more, and who leaves makes room.
    assert!(try_subscribe(&plane, &live, &format!("0{long}"), &mut batch).is_ok());
    let filter = SubscriptionFilter::new(&format!("0{long}")).unwrap();
    assert!(plane.unsubscribe(&live.session, live.epoch, &filter, &mut batch));
    assert!(try_subscribe(&plane, &live, &format!("9{long}"), &mut batch).is_ok());
    let levels = format!("+{}", "/a".repeat(100));
    assert_eq!(try_subscribe(&plane, &live, &levels, &mut batch), Err(Code::QuotaExceeded));
}

/// It used to make every publisher match anew.
#[test]
fn a_subscription_that_changes_nothing_leaves_routes_as_they_are() {
    let (plane, mut batch) = (open_plane(), Batch::default());
    let live = connect(&plane, 1, &LIMITS, &mut batch);
    try_subscribe(&plane, &live, "a/+", &mut batch).unwrap();
    let before = plane.matcher().generation();
    try_subscribe(&plane, &live, "a/+", &mut batch).unwrap();
    assert_eq!(plane.matcher().generation(), before);
    let topic = Topic::try_from("a/b").unwrap();
    assert_eq!(plane.matcher().route(&topic, skein_types::SessionKey(0)).direct.len(), 1);
}
