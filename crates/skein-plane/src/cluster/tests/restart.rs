//! A node that keeps things, ends, and comes back: what it remembers, and what the others did meanwhile.

use skein_store::{Options, Store};
use skein_types::{Code, QoS};

use super::net::{Ask, Net, message, removal, retained, topic};
use crate::{Will, plane::tests::client::client_id, schema};

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

/// The first client of its id on node 1, subscribed.
fn net_with_session(store: &Store, user: Option<&'static str>) -> Net {
    let mut net = net_with(store);
    net.connect(1, 7, Ask { on_disk: true, expiry_secs: 1000, user, ..Ask::default() });
    net.subscribe(7, "d/7", QoS::AtLeastOnce);
    net.settle();
    net
}

fn has_session(net: &Net, number: usize) -> bool {
    net.nodes[number].plane.sessions().get(&client_id(7)).is_some()
}

/// A clean start ends the client's sessions on all nodes, those of an earlier run too (MQTT-3.1.2-4).
#[test]
fn a_clean_start_elsewhere_ends_a_session_that_was_restored() {
    for while_it_is_down in [false, true] {
        let store = store();
        let mut net = net_with_session(&store, None);
        net.crash(1);
        let clean = Ask { clean: true, ..Ask::default() };
        if while_it_is_down {
            net.connect(0, 7, clean);
            net.settle();
            net.start(1, Some(store));
        } else {
            net.start(1, Some(store));
            assert!(has_session(&net, 1));
            net.connect(0, 7, clean);
        }
        net.settle();
        assert!(!has_session(&net, 1), "while down: {while_it_is_down}");
        assert!(net.clients[&7].live.session.is_connected());
    }
}

/// A claim with a clean start that is older than the session, heard again when the node is back.
#[test]
fn a_clean_start_of_before_does_not_end_a_session_that_was_restored() {
    let store = store();
    let mut net = net_with(&store);
    net.connect(0, 7, Ask { clean: true, ..Ask::default() });
    net.settle();
    net.part(0, 1);
    net.connect(1, 7, Ask { on_disk: true, expiry_secs: 1000, ..Ask::default() });
    net.settle();
    net.crash(1);
    net.start(1, Some(store));
    net.settle();
    assert!(has_session(&net, 1));
}

#[test]
fn a_session_belongs_to_its_user_after_a_restart() {
    for clean in [false, true] {
        let store = store();
        let mut net = net_with_session(&store, Some("ann"));
        net.crash(1);
        net.start(1, Some(store.clone()));
        net.publish(0, message("d/7", 5, QoS::AtLeastOnce));
        net.finish(0);
        net.settle();
        let ask = |user| Ask { clean, expiry_secs: 1000, on_disk: true, user, ..Ask::default() };
        for other in [Some("bob"), None] {
            assert_eq!(net.try_connect(1, 7, ask(other)), Err(Code::NotAuthorized));
            net.connect(0, 7, ask(other));
            net.settle();
            assert_eq!(net.parted(7), Some(Code::NotAuthorized), "{other:?} on the other node");
        }
        let session = net.nodes[1].plane.sessions().get(&client_id(7)).unwrap();
        assert_eq!(session.owner().map(ToString::to_string).as_deref(), Some("ann"));
        net.connect(1, 7, Ask { clean: false, ..ask(Some("ann")) });
        net.drain();
        assert_eq!(net.serials(7), [5]);
    }
}

/// Who had the id first is known after a restart of both nodes.
#[test]
fn the_first_of_two_owners_is_known_after_restarts() {
    let (first, second) = (store(), store());
    let mut net = Net::of(0);
    net.start(0, Some(first.clone()));
    net.start(1, Some(second.clone()));
    let ask = |user| Ask { expiry_secs: 1000, on_disk: true, user: Some(user), ..Ask::default() };
    net.connect(1, 7, ask("ann"));
    net.settle();
    net.part(0, 1);
    net.connect(0, 7, ask("bob"));
    net.settle();
    net.crash(0);
    net.crash(1);
    net.start(0, Some(first));
    net.start(1, Some(second));
    net.connect(1, 7, ask("ann"));
    net.settle();
    assert!(net.parted(7).is_none() && net.clients[&7].live.session.is_connected());
    assert!(!has_session(&net, 0));
}
