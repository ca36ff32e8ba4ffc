//! Shared groups with members on several nodes: each message once, fairly, whatever node goes.

use std::collections::BTreeMap;

use skein_types::QoS;

use super::net::{Ask, Net, message};

const GROUP: &str = "$share/g/s/+";

/// A publisher on node 0 and members 10, 11, … on the nodes given.
fn members_on(nodes: &[usize], qos: QoS) -> Net {
    let mut net = Net::of(3);
    net.connect(0, 0, Ask::default());
    for (member, node) in (10..).zip(nodes) {
        net.connect(*node, member, Ask::default());
        net.subscribe(member, GROUP, qos);
    }
    net.settle();
    net
}

fn publish(net: &mut Net, serials: std::ops::RangeInclusive<u32>, qos: QoS) {
    for serial in serials {
        net.publish(0, message("s/1", serial, qos));
    }
    net.finish(0);
}

fn kept(net: &Net) -> usize {
    net.nodes[0].plane.clustered().unwrap().tickets.len()
}

/// How often each message came, over all members.
fn came(net: &mut Net, members: std::ops::Range<usize>) -> BTreeMap<u32, usize> {
    let mut came = BTreeMap::new();
    for member in members.filter(|member| net.clients.contains_key(member)).collect::<Vec<_>>() {
        for serial in net.serials(member) {
            *came.entry(serial).or_default() += 1;
        }
    }
    came
}

#[test]
fn members_have_their_turns_whatever_their_node() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let mut net = members_on(&[0, 1, 1, 2], qos);
        publish(&mut net, 1..=40, qos);
        net.drain();
        let each: Vec<usize> = (10..14).map(|member| net.serials(member).len()).collect();
        assert_eq!(each, [10, 10, 10, 10], "{qos:?}");
        assert_eq!(came(&mut net, 10..14), (1..=40).map(|serial| (serial, 1)).collect());
        net.check_ledgers(false);
        assert_eq!(kept(&net), 0);
    }
}

#[test]
fn what_a_lost_node_has_not_acknowledged_goes_to_others() {
    let mut net = members_on(&[1, 2], QoS::AtLeastOnce);
    publish(&mut net, 1..=8, QoS::AtLeastOnce);
    net.settle();
    assert_eq!(kept(&net), 8, "nobody has acknowledged anything");
    assert!(net.acknowledge(11));
    net.settle();
    assert_eq!(kept(&net), 4);
    let lost = net.serials(10);
    net.crash(1);
    net.drain();
    let second = net.serials(11);
    assert_eq!(second.len(), 8, "{second:?}");
    assert!(lost.iter().all(|serial| second.contains(serial)));
    assert_eq!(kept(&net), 0);
    net.check_ledgers(true);
}

#[test]
fn a_node_without_members_gives_back_what_it_was_sent() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let mut net = members_on(&[1, 2], qos);
        publish(&mut net, 1..=8, qos);
        // The member goes before its messages come, and before the others know.
        net.unsubscribe(10, GROUP);
        net.drain();
        assert_eq!(net.serials(10), []);
        let mut all = net.serials(11);
        all.sort_unstable();
        assert_eq!(all, (1..=8).collect::<Vec<_>>(), "{qos:?}");
        assert_eq!(kept(&net), 0);
        net.check_ledgers(false);
    }
}

#[test]
fn a_member_that_ends_leaves_its_messages_to_members_elsewhere() {
    let mut net = members_on(&[1, 1, 2], QoS::AtLeastOnce);
    publish(&mut net, 1..=9, QoS::AtLeastOnce);
    net.settle();
    let lost: Vec<u32> = net.serials(10).into_iter().chain(net.serials(11)).collect();
    assert_eq!(lost.len(), 6);
    for member in [10, 11] {
        // Beginning anew elsewhere ends the session.
        net.connect(0, member, Ask { clean: true, ..Ask::default() });
        net.settle();
    }
    net.drain();
    let left = net.serials(12);
    assert!(lost.iter().all(|serial| left.contains(serial)), "{lost:?} {left:?}");
    assert_eq!(left.len(), 9);
    assert_eq!(kept(&net), 0);
    net.check_ledgers(false);
}

#[test]
fn what_was_said_of_tickets_and_lost_is_asked_for() {
    let mut net = members_on(&[1], QoS::AtLeastOnce);
    publish(&mut net, 1..=3, QoS::AtLeastOnce);
    net.settle();
    net.acknowledge(10);
    net.cut(0, 1);
    net.mend(0, 1);
    net.settle();
    assert_eq!(kept(&net), 3, "what was said is lost");
    net.pass(11_000);
    net.settle();
    assert_eq!(kept(&net), 0);
}
