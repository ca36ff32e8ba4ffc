//! Retained messages: every node has the newest of each topic, whoever published it and whatever got lost.

use skein_types::QoS;

use super::net::{Ask, Net, message, removal, retained, topic};

/// The serials a node keeps for these topics; 0 for none.
fn kept(net: &Net, node: usize, topics: &[&str]) -> Vec<u32> {
    let retained = net.nodes[node].plane.retained();
    let serial = |text: &&str| {
        let message = retained.get(&topic(text), net.now);
        message.map_or(0, |message| u32::from_be_bytes(message.payload[1..5].try_into().unwrap()))
    };
    topics.iter().map(serial).collect()
}

fn publishers(nodes: usize) -> Net {
    let mut net = Net::of(nodes);
    for node in 0..nodes {
        net.connect(node, node, Ask::default());
    }
    net.settle();
    net
}

#[test]
fn every_node_keeps_what_is_retained_anywhere() {
    let mut net = publishers(3);
    for (serial, qos) in [(1, QoS::AtMostOnce), (2, QoS::AtLeastOnce)] {
        net.publish(0, retained("r/1", serial, qos));
        net.publish(1, retained("r/2", serial, qos));
    }
    net.finish(0);
    assert!(!net.nodes[0].commits[0].is_done(), "it is acknowledged when every node has it");
    net.finish(1);
    net.settle();
    for node in 0..3 {
        assert_eq!(kept(&net, node, &["r/1", "r/2"]), [2, 2], "node {node}");
    }
    net.publish(2, removal("r/1"));
    net.finish(2);
    net.settle();
    for node in 0..3 {
        assert_eq!(kept(&net, node, &["r/1", "r/2"]), [0, 2], "node {node}");
    }
    net.subscribe(2, "r/#", QoS::AtLeastOnce);
    net.settle();
    assert_eq!(net.serials(2), [2]);
    net.check_ledgers(false);
}

#[test]
fn of_two_at_once_every_node_keeps_the_same() {
    for order in [[(0, 1), (1, 0), (0, 2), (1, 2)], [(1, 2), (0, 2), (1, 0), (0, 1)]] {
        let mut net = publishers(3);
        net.subscribe(2, "r/#", QoS::AtMostOnce);
        net.settle();
        net.publish(0, retained("r/1", 1, QoS::AtLeastOnce));
        net.finish(0);
        net.publish(1, retained("r/1", 2, QoS::AtLeastOnce));
        net.finish(1);
        for (from, to) in order {
            net.move_runs(from, to, 1);
        }
        net.settle();
        for node in 0..3 {
            assert_eq!(kept(&net, node, &["r/1"]), [2], "node {node}: equal counters, the higher node");
        }
    }
}

#[test]
fn nodes_that_meet_again_tell_each_other_what_is_newer() {
    let topics: Vec<String> = (0..3000).map(|number| format!("r/{number}")).collect();
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    let mut net = publishers(2);
    for text in &topics {
        net.publish(0, retained(text, 1, QoS::AtMostOnce));
    }
    net.finish(0);
    net.settle();
    net.part(0, 1);
    for (number, text) in topics.iter().enumerate() {
        match number % 4 {
            0 => net.publish(0, retained(text, 2, QoS::AtMostOnce)),
            1 => net.publish(1, retained(text, 3, QoS::AtMostOnce)),
            2 => net.publish(1, removal(text)),
            _ => {}
        }
    }
    net.publish(1, retained("r/new", 4, QoS::AtMostOnce));
    net.finish(0);
    net.finish(1);
    net.join(0, 1);
    net.settle();
    let expected: Vec<u32> = (0..topics.len()).map(|number| [2, 3, 0, 1][number % 4]).collect();
    for node in 0..2 {
        assert_eq!(kept(&net, node, &topics), expected, "node {node}");
        assert_eq!(kept(&net, node, &["r/new"]), [4]);
    }
    assert_eq!(net.nodes[0].plane.retained().digests(), net.nodes[1].plane.retained().digests());
    assert_eq!(net.nodes[0].plane.retained().len(), net.nodes[1].plane.retained().len());
}

#[test]
fn a_new_node_gets_all_of_it_and_what_was_lost_is_found_later() {
    let mut net = publishers(2);
    for number in 0..2000 {
        net.publish(0, retained(&format!("r/{number}"), number + 1, QoS::AtMostOnce));
    }
    net.publish(0, retained("$SYS/own", 5, QoS::AtMostOnce));
    net.finish(0);
    net.settle();
    net.start(2, None);
    // What is said about it is lost with a link, and said again later.
    net.move_told(0, 2);
    for other in 0..2 {
        net.cut(other, 2);
        net.mend(other, 2);
    }
    net.settle();
    net.pass(11_000);
    net.settle();
    net.pass(11_000);
    net.settle();
    assert_eq!(net.nodes[2].plane.retained().len(), 2000);
    assert_eq!(kept(&net, 2, &["r/0", "r/1999", "$SYS/own"]), [1, 2000, 0]);
}

#[test]
fn what_an_operator_removes_is_removed_everywhere() {
    let mut net = publishers(2);
    net.publish(0, retained("r/1", 1, QoS::AtMostOnce));
    net.finish(0);
    net.settle();
    let super::net::Node { plane, batch, .. } = &mut net.nodes[1];
    assert!(plane.remove_retained(&topic("r/1"), batch));
    net.finish(1);
    net.settle();
    assert_eq!(kept(&net, 0, &["r/1"]), [0]);
    // An older one that comes late does not bring it back.
    let message = message("r/1", 1, QoS::AtMostOnce);
    let version = skein_types::Stamp { counter: 1, node: skein_types::NodeId(1) };
    assert!(!net.nodes[0].plane.retained().offer(&message, version, net.now));
}
