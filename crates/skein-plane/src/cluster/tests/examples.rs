//! Subscriptions, publishes and connections over several nodes, one at a time.

use skein_cluster::{Key, Value};
use skein_types::{Code, QoS, SubscriptionFilter};

use super::net::{Ask, Net, Node, message};

fn route(filter: &str) -> Key {
    Key::Route(SubscriptionFilter::new(filter).unwrap())
}

#[test]
fn a_message_reaches_subscribers_on_other_nodes_once() {
    let mut net = Net::of(3);
    for (client, node) in [(0, 0), (1, 1), (2, 1), (3, 2)] {
        net.connect(node, client, Ask::default());
    }
    for (client, filter) in [(1, "a/+"), (1, "a/#"), (2, "a/b"), (3, "other")] {
        net.subscribe(client, filter, QoS::ExactlyOnce);
    }
    net.settle();
    for (serial, qos) in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce].into_iter().enumerate() {
        net.publish(0, message("a/b", serial as u32 + 1, qos));
    }
    net.finish(0);
    net.drain();
    assert_eq!((net.serials(1), net.serials(2), net.serials(3)), (vec![1, 2, 3], vec![1, 2, 3], vec![]));
    let figures = net.nodes[0].plane.ledger().figures();
    assert_eq!((figures.accepted, figures.forwarded, figures.unmatched), (3, 3, 0));
    assert_eq!(net.nodes[2].plane.ledger().figures().received, 0);
    net.check_ledgers(false);
}

#[test]
fn a_subscription_is_acknowledged_when_every_node_has_it() {
    let mut net = Net::of(3);
    net.connect(0, 0, Ask::default());
    net.settle();
    net.subscribe(0, "a", QoS::AtLeastOnce);
    assert!(!net.nodes[0].commits[0].is_done());
    net.move_soft(0, 1, 10);
    assert!(!net.nodes[0].commits[0].is_done(), "one node does not know yet");
    net.move_soft(0, 2, 10);
    assert!(net.nodes[0].commits[0].is_done());
    // The second subscriber of the same filter waits for the same.
    net.connect(0, 1, Ask::default());
    net.settle();
    net.subscribe(1, "a", QoS::AtLeastOnce);
    assert!(net.nodes[0].commits.is_empty(), "they know already");
    // A node that is gone is not waited for.
    net.subscribe(1, "b", QoS::AtLeastOnce);
    net.move_soft(0, 1, 10);
    net.crash(2);
    assert!(net.nodes[0].commits[0].is_done());
    // Nor is anybody by a node that is alone.
    net.crash(1);
    net.say(0);
    net.subscribe(1, "c", QoS::AtLeastOnce);
    assert!(net.nodes[0].commits.is_empty());
}

#[test]
fn a_publish_is_acknowledged_when_every_node_has_handled_it() {
    let mut net = Net::of(2);
    net.connect(0, 0, Ask::default());
    net.connect(1, 1, Ask::default());
    net.subscribe(1, "a", QoS::AtLeastOnce);
    net.settle();
    net.publish(0, message("a", 1, QoS::AtLeastOnce));
    assert!(net.nodes[0].batch.may_promise());
    let now = net.now;
    let Node { plane, batch, .. } = &mut net.nodes[0];
    plane.settle(batch, now);
    assert!(net.nodes[0].batch.is_promise());
    net.finish(0);
    net.move_runs(0, 1, 1);
    assert!(!net.nodes[0].commits[0].is_done());
    net.move_handled(0, 1);
    assert!(net.nodes[0].commits[0].is_done());
    // At QoS 0, and to nobody elsewhere, nothing is promised.
    net.say(0);
    net.publish(0, message("a", 2, QoS::AtMostOnce));
    net.publish(0, message("b", 3, QoS::AtLeastOnce));
    net.finish(0);
    assert!(net.nodes[0].commits.is_empty());
}

#[test]
fn routes_come_and_go_with_the_first_and_the_last_subscriber() {
    let mut net = Net::of(2);
    let own = |net: &Net, filter: &str| net.nodes[0].cluster.own().get(&route(filter));
    for client in 0..2 {
        net.connect(0, client, Ask::default());
    }
    for filter in ["a/+", "$share/g/a/+", "$SYS/#"] {
        net.subscribe(0, filter, QoS::AtMostOnce);
    }
    assert_eq!(own(&net, "a/+"), Some(Value::Members(1)));
    assert_eq!(own(&net, "$share/g/a/+"), Some(Value::Members(1)));
    assert_eq!(own(&net, "$SYS/#"), None, "it matches only what stays on the node");
    net.subscribe(1, "a/+", QoS::AtMostOnce);
    net.subscribe(1, "$share/g/a/+", QoS::AtMostOnce);
    assert_eq!(own(&net, "a/+"), Some(Value::Members(1)));
    assert_eq!(own(&net, "$share/g/a/+"), Some(Value::Members(2)));
    net.settle();
    assert_eq!(
        net.nodes[1].plane.matcher().route(&super::net::topic("a/x"), skein_types::SessionKey(0)).nodes.len(),
        1
    );
    for client in 0..2 {
        net.unsubscribe(client, "a/+");
    }
    assert_eq!(own(&net, "a/+"), None);
    net.settle();
    let route = net.nodes[1].plane.matcher().route(&super::net::topic("a/x"), skein_types::SessionKey(0));
    assert!(route.nodes.is_empty() && route.goes_further(), "the group is left: {route:?}");
    net.crash(0);
    let route = net.nodes[1].plane.matcher().route(&super::net::topic("a/x"), skein_types::SessionKey(0));
    assert!(route.is_empty(), "{route:?}");
}

#[test]
fn a_client_has_one_connection_in_the_cluster() {
    let mut net = Net::of(3);
    net.connect(0, 7, Ask { expiry_secs: 100, ..Ask::default() });
    assert!(!net.is_greeted(7), "others may have an older connection");
    net.settle();
    assert!(net.is_greeted(7));
    let before = net.clients.remove(&7).unwrap();
    net.connect(1, 7, Ask { expiry_secs: 100, ..Ask::default() });
    net.move_soft(1, 2, 10);
    net.say(1);
    assert!(!net.is_greeted(7));
    net.move_soft(1, 0, 10);
    assert_eq!(before.handle.take_closing().map(|closing| closing.code), Some(Code::SessionTakenOver));
    net.say(1);
    assert!(net.is_greeted(7));
    net.settle();
    assert_eq!(net.nodes[0].plane.sessions().connected(), 0);
    assert_eq!(net.nodes[0].plane.sessions().len(), 1, "the session stays where it is");
    // Beginning anew ends it there too.
    net.connect(2, 7, Ask { clean: true, ..Ask::default() });
    net.settle();
    let left: Vec<usize> = net.nodes.iter().map(|node| node.plane.sessions().len()).collect();
    assert_eq!(left, [0, 0, 1]);
    let own = net.nodes[1].cluster.own().get(&Key::Client(crate::plane::tests::client::client_id(7)));
    assert_eq!(own, None, "who yields takes its claim back");
}

/// Whatever the order in which claims arrive, exactly one connection is left.
#[test]
fn of_two_connections_at_once_one_is_left() {
    for order in [[(0, 1), (1, 0)], [(1, 0), (0, 1)]] {
        let mut net = Net::of(2);
        net.connect(0, 7, Ask::default());
        let first = net.clients.remove(&7).unwrap();
        net.connect(1, 7, Ask::default());
        for (from, to) in order {
            net.move_soft(from, to, 10);
        }
        net.settle();
        let connected: Vec<usize> = net.nodes.iter().map(|node| node.plane.sessions().connected()).collect();
        assert_eq!(connected, [0, 1], "equal counters: the higher node wins");
        assert!(first.handle.take_closing().is_some());
        assert!(net.parted(7).is_none());
        assert!(net.is_greeted(7));
    }
}

#[test]
fn what_a_link_loses_is_sent_again_once() {
    let mut net = Net::of(2);
    net.connect(0, 0, Ask::default());
    net.connect(1, 1, Ask::default());
    net.subscribe(1, "a", QoS::ExactlyOnce);
    net.settle();
    for serial in 1..=6 {
        let qos = if serial % 3 == 0 { QoS::AtMostOnce } else { QoS::ExactlyOnce };
        net.publish(0, message("a", serial, qos));
    }
    net.finish(0);
    net.move_runs(0, 1, 2);
    net.cut(0, 1);
    net.mend(0, 1);
    net.drain();
    assert_eq!(net.serials(1), [1, 2, 3, 4, 5]);
    net.check_ledgers(false);
    assert_eq!(net.nodes[0].plane.ledger().figures().link_dropped, 1);
}
