//! What doors say of themselves to the other nodes.

use bytes::Bytes;
use skein_cluster::DoorKind;
use skein_types::NodeId;

use super::net::{Net, Node};

const PRESENCE: DoorKind = DoorKind::new(200).unwrap();
/// Of a door that only one node has.
const NEWER: DoorKind = DoorKind::new(255).unwrap();

fn announce(net: &mut Net, at: usize, kind: DoorKind, name: &str, value: Option<&'static str>) {
    let now = net.now;
    let Node { plane, batch, .. } = &mut net.nodes[at];
    plane.announce_of_door(kind, name, value.map(|text| Bytes::from_static(text.as_bytes())), batch);
    plane.finish_unattended(batch, now);
    net.settle();
}

/// Node, name and value of what `at` knows.
fn known(net: &Net, at: usize, kind: DoorKind) -> Vec<(u16, String, String)> {
    let announced = net.nodes[at].plane.announced_of_door(kind).into_iter();
    let text = |value: Bytes| String::from_utf8(value.to_vec()).unwrap();
    announced.map(|(NodeId(node), name, value)| (node, name.to_string(), text(value))).collect()
}

#[test]
fn what_doors_say_is_known_until_it_is_taken_back_or_the_node_is_gone() {
    let entry = |node: u16, name: &str, value: &str| (node, name.to_owned(), value.to_owned());
    let mut net = Net::of(3);
    announce(&mut net, 0, PRESENCE, "ann", Some("online"));
    announce(&mut net, 0, NEWER, "ann", Some("unheard of"));
    announce(&mut net, 1, PRESENCE, "bob", Some("away"));
    announce(&mut net, 0, PRESENCE, "ann", Some("away"));
    assert_eq!(known(&net, 2, PRESENCE), [entry(1, "ann", "away"), entry(2, "bob", "away")]);
    assert_eq!(known(&net, 2, NEWER), [entry(1, "ann", "unheard of")]);
    assert_eq!(known(&net, 0, PRESENCE), [entry(2, "bob", "away")], "its own it knows by itself");
    announce(&mut net, 0, PRESENCE, "ann", None);
    assert_eq!(known(&net, 2, PRESENCE), [entry(2, "bob", "away")]);
    // A node that comes later is told, and one that goes takes what it said with it.
    net.start(3, None);
    net.settle();
    assert_eq!(known(&net, 3, PRESENCE), [entry(2, "bob", "away")]);
    net.crash(1);
    assert_eq!(known(&net, 3, PRESENCE), []);
    assert_eq!(known(&net, 3, NEWER), [entry(1, "ann", "unheard of")]);
}
