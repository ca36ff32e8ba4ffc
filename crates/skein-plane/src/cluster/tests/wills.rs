//! The wills of clients whose node is gone: once, by one of the others, unless the client is back.

use skein_cluster::Gone;
use skein_types::QoS;

use super::net::{Ask, Net, message};
use crate::Will;

fn will(delay_secs: u32) -> Option<Will> {
    Some(Will { message: message("will/7", 77, QoS::AtLeastOnce), expiry_secs: None, delay_secs })
}

/// A client with a will on the last of four nodes, and a watcher on node 2.
fn with_will(delay_secs: u32) -> Net {
    let mut net = Net::of(4);
    net.connect(2, 1, Ask::default());
    net.subscribe(1, "will/#", QoS::AtLeastOnce);
    net.connect(3, 7, Ask { expiry_secs: 100, will: will(delay_secs), ..Ask::default() });
    net.settle();
    net
}

/// What the watcher got until `millis` later.
fn after(net: &mut Net, millis: u64) -> usize {
    net.pass(millis);
    net.drain();
    net.serials(1).len()
}

#[test]
fn the_will_of_a_client_on_a_lost_node_is_published_once() {
    let mut net = with_will(0);
    net.crash(3);
    assert_eq!(after(&mut net, 0), 1);
    assert_eq!(after(&mut net, 10_000), 1);
}

#[test]
fn it_waits_for_the_client_to_return() {
    let mut net = with_will(5);
    net.crash(3);
    assert_eq!(after(&mut net, 4999), 0);
    assert_eq!(after(&mut net, 1), 1);
    let mut net = with_will(5);
    net.crash(3);
    assert_eq!(after(&mut net, 2000), 0);
    net.connect(1, 7, Ask::default());
    net.settle();
    assert_eq!(after(&mut net, 10_000), 0, "the client is back");
}

#[test]
fn the_next_node_publishes_it_when_the_first_is_lost_too() {
    let mut net = with_will(5);
    net.crash(3);
    assert_eq!(after(&mut net, 2000), 0);
    net.crash(0);
    assert_eq!(after(&mut net, 3000), 1);
    assert_eq!(after(&mut net, 9000), 1);
    // And when the first is lost after it was published and said.
    let mut net = with_will(5);
    net.crash(3);
    assert_eq!(after(&mut net, 5000), 1);
    net.crash(0);
    assert_eq!(after(&mut net, 9000), 1);
    net.crash(1);
    assert_eq!(after(&mut net, 9000), 1);
}

#[test]
fn a_client_that_says_good_bye_has_none() {
    let mut net = with_will(0);
    let client = net.clients.remove(&7).unwrap();
    let now = net.now;
    let super::net::Node { plane, batch, .. } = &mut net.nodes[3];
    plane.close(&client.live.session, client.live.epoch, crate::Ending::Graceful, None, batch, now);
    net.finish(3);
    net.settle();
    net.crash(3);
    assert_eq!(after(&mut net, 10_000), 0);
}

#[test]
fn a_node_that_left_has_published_its_own() {
    let mut net = with_will(0);
    net.end(3, Gone::Left);
    assert_eq!(after(&mut net, 10_000), 0);
}

#[test]
fn a_connection_that_yields_publishes_its_will_unless_that_may_wait() {
    for (delay, due) in [(0, 1), (5, 0)] {
        let mut net = with_will(delay);
        net.connect(0, 7, Ask { expiry_secs: 100, ..Ask::default() });
        net.settle();
        assert_eq!(after(&mut net, 10_000), due, "delay {delay}");
    }
}
