//! A node that keeps things, ends, and comes back: what it remembers, and what the others did meanwhile.

use skein_store::{Options, Store};
use skein_types::QoS;

use super::net::{Ask, Net, message, removal, retained, topic};
use crate::{Will, schema};

fn store() -> Store {
    Store::open(schema(), Options::memory()).unwrap()
}

/// Two nodes, the second of which keeps things in `store`, and a client on each.
fn net_with(store: &Store) -> Net {
    let mut net = Net::of(1);
    net.start(1, Some(store.clone()));
    net.connect(0, 0, Ask::default());
    net.connect(1, 1, Ask { on_disk: true, expiry_secs: 1000, ..Ask::default() });
    net.settle();
    net
}

#[test]
fn versions_of_retained_messages_outlive_the_node() {
    let store = store();
    let mut net = net_with(&store);
    for (serial, text) in ["r/gone", "r/new", "r/old"].into_iter().enumerate() {
        net.publish(1, retained(text, serial as u32 + 1, QoS::AtLeastOnce));
    }
    net.finish(1);
    net.settle();
    let version = net.nodes[1].plane.retained().last(&topic("r/old")).unwrap().version;
    net.crash(1);
    net.publish(0, removal("r/gone"));
    net.publish(0, retained("r/new", 9, QoS::AtMostOnce));
    net.finish(0);
    net.settle();
    net.start(1, Some(store.clone()));
    let plane = &net.nodes[1].plane;
    assert_eq!(plane.retained().last(&topic("r/old")).unwrap().version, version, "read back");
    assert!(net.nodes[1].cluster.stamp() > version, "its clock goes on behind what it remembers");
    net.settle();
    for node in &net.nodes {
        let retained = node.plane.retained();
        assert!(retained.last(&topic("r/gone")).is_none(), "it does not come back");
        assert_eq!(retained.last(&topic("r/new")).unwrap().message.payload[1..5], 9_u32.to_be_bytes());
        assert_eq!(retained.len(), 2);
    }
    // And the store knows it too.
    net.crash(1);
    net.start(1, Some(store));
    assert!(net.nodes[1].plane.retained().last(&topic("r/gone")).is_none());
}

/// The others have the wills of a node that was gone; it must not publish them again.
#[test]
fn a_restored_will_is_published_once() {
    for back_after in [2000, 7000] {
        let store = store();
        let mut net = net_with(&store);
        net.connect(0, 2, Ask::default());
        net.subscribe(2, "will/#", QoS::AtLeastOnce);
        let will =
            Will { message: message("will/7", 77, QoS::AtLeastOnce), expiry_secs: None, delay_secs: 5 };
        net.connect(1, 7, Ask { on_disk: true, expiry_secs: 1000, will: Some(will), ..Ask::default() });
        net.settle();
        net.crash(1);
        net.pass(back_after);
        net.drain();
        net.start(1, Some(store));
        net.drain();
        for _ in 0..10 {
            net.pass(3000);
            net.drain();
        }
        assert_eq!(net.serials(2), [77], "back after {back_after}");
    }
}

/// Nobody has taken it over: the node that was gone publishes it itself.
#[test]
fn a_restored_will_that_nobody_else_knows_of_is_published_by_its_node() {
    let store = store();
    let mut net = net_with(&store);
    let will = Will { message: message("will/7", 77, QoS::AtLeastOnce), expiry_secs: None, delay_secs: 5 };
    net.connect(1, 7, Ask { on_disk: true, expiry_secs: 1000, will: Some(will), ..Ask::default() });
    net.settle();
    net.crash(0);
    net.crash(1);
    net.start(0, None);
    net.start(1, Some(store));
    net.connect(0, 2, Ask::default());
    net.subscribe(2, "will/#", QoS::AtLeastOnce);
    net.settle();
    net.pass(4000);
    net.drain();
    assert_eq!(net.serials(2), []);
    for _ in 0..5 {
        net.pass(4000);
        net.drain();
    }
    assert_eq!(net.serials(2), [77]);
}

/// A message at QoS 1 and 2 is handled when it is on disk where it has to be.
#[test]
fn messages_for_sessions_on_disk_are_kept_before_they_are_acknowledged() {
    let store = store();
    let mut net = net_with(&store);
    net.subscribe(1, "d/1", QoS::ExactlyOnce);
    net.settle();
    net.clients.remove(&1);
    for (serial, qos) in [(1, QoS::AtLeastOnce), (2, QoS::ExactlyOnce)] {
        net.publish(0, message("d/1", serial, qos));
    }
    net.finish(0);
    net.settle();
    assert!(net.nodes[0].commits.is_empty(), "acknowledged");
    net.crash(1);
    net.start(1, Some(store));
    net.connect(1, 1, Ask { on_disk: true, expiry_secs: 1000, ..Ask::default() });
    net.drain();
    assert_eq!(net.serials(1), [1, 2]);
    let message = net.nodes[1].plane.sessions().get(&crate::plane::tests::client::client_id(1));
    assert!(message.is_some());
}
