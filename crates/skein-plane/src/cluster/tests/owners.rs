//! A session belongs to a user, on whichever node its client tries.

use skein_types::{Code, QoS};

use super::net::{Ask, Net, message};
use crate::{Ending, Will, plane::tests::client::client_id};

fn of(user: &'static str) -> Ask {
    Ask { expiry_secs: 100, user: Some(user), ..Ask::default() }
}

/// The client of this number, which ann has: on node 0, subscribed, and away.
fn with_session_of_ann(net: &mut Net) {
    net.connect(0, 7, of("ann"));
    net.subscribe(7, "a/#", QoS::AtLeastOnce);
    net.settle();
    let client = net.clients.remove(&7).unwrap();
    let now = net.now;
    let node = &mut net.nodes[0];
    let live = &client.live;
    node.plane.close(&live.session, live.epoch, Ending::Graceful, None, &mut node.batch, now);
    net.finish(0);
    net.settle();
}

fn publish(net: &mut Net, serial: u32) {
    net.connect(2, 1, Ask::default());
    net.publish(1, message("a/b", serial, QoS::AtLeastOnce));
    net.finish(2);
    net.settle();
}

#[test]
fn nobody_takes_the_session_of_a_connected_client_on_another_node() {
    for clean in [false, true] {
        let mut net = Net::of(3);
        net.connect(0, 7, of("ann"));
        net.settle();
        for other in [Ask { clean, ..of("bob") }, Ask { clean, ..Ask::default() }] {
            assert_eq!(net.try_connect(1, 7, other), Err(Code::NotAuthorized));
        }
        assert_eq!(net.try_connect(0, 7, Ask { clean, ..of("bob") }), Err(Code::NotAuthorized));
        net.settle();
        assert!(net.clients[&7].handle.take_closing().is_none(), "ann was disturbed");
        assert!(net.clients[&7].live.session.is_connected());
        // She herself may.
        net.connect(1, 7, Ask { clean, ..of("ann") });
        net.settle();
        assert!(net.clients[&7].live.session.is_connected());
    }
}

#[test]
fn a_session_whose_client_is_away_is_refused_by_the_node_that_has_it() {
    for clean in [false, true] {
        let mut net = Net::of(3);
        with_session_of_ann(&mut net);
        publish(&mut net, 5);
        net.subscribe(1, "will/#", QoS::AtLeastOnce);
        net.settle();
        let will =
            Some(Will { message: message("will/7", 77, QoS::AtLeastOnce), expiry_secs: None, delay_secs: 0 });
        net.connect(1, 7, Ask { clean, will, ..of("bob") });
        assert!(!net.clients[&7].live.greeted, "it is greeted before the others were asked");
        net.settle();
        let bob = net.clients.remove(&7).unwrap();
        assert_eq!(bob.handle.take_closing().map(|closing| closing.code), Some(Code::NotAuthorized));
        assert!(net.nodes[1].plane.sessions().get(&client_id(7)).is_none(), "something is left of it");
        net.drain();
        assert_eq!(net.serials(1), Vec::<u32>::new(), "the will of who was never let in");
        // What was acknowledged is still there for ann.
        net.connect(0, 7, of("ann"));
        net.drain();
        assert_eq!(net.serials(7), [5]);
    }
}

#[test]
fn of_two_users_who_want_a_new_client_id_at_once_the_earlier_gets_it() {
    let mut net = Net::of(2);
    net.connect(0, 7, of("ann"));
    let ann = net.clients.remove(&7).unwrap();
    net.connect(1, 7, of("bob"));
    let bob = net.clients.remove(&7).unwrap();
    net.settle();
    assert!(ann.live.session.is_connected() && ann.handle.take_closing().is_none());
    assert_eq!(bob.handle.take_closing().map(|closing| closing.code), Some(Code::NotAuthorized));
    assert!(net.nodes[1].plane.sessions().get(&client_id(7)).is_none());
}

#[test]
fn the_will_of_a_client_on_a_lost_node_is_asked_of_the_rules_of_then() {
    for (rules, due) in [("filters = [\"#\"]", 1), ("filters = [\"a/#\"]", 0)] {
        let mut net = Net::of(3);
        net.connect(2, 1, Ask::default());
        net.subscribe(1, "will/#", QoS::AtLeastOnce);
        let will =
            Some(Will { message: message("will/7", 77, QoS::AtLeastOnce), expiry_secs: None, delay_secs: 5 });
        net.connect(1, 7, Ask { will, ..of("ann") });
        net.settle();
        net.crash(1);
        let text = format!("[[rules]]\nallow = true\nusers = [\"ann\"]\n{rules}\n");
        net.nodes[0].plane.access().reload(&text).unwrap();
        net.pass(5000);
        net.drain();
        assert_eq!(net.serials(1).len(), due, "{rules}");
        assert_eq!(net.nodes[0].plane.ledger().figures().wills_forbidden, 1 - due as u64);
    }
}

/// Bob's claim of ann's id is on its way and will be refused; it must not keep her from her own session.
#[test]
fn a_claim_that_is_going_to_be_refused_does_not_keep_the_owner_out() {
    let mut net = Net::of(2);
    with_session_of_ann(&mut net);
    net.connect(1, 7, of("bob"));
    net.move_soft(1, 0, usize::MAX);
    assert_eq!(net.try_connect(0, 7, of("ann")), Ok(()));
    net.settle();
    assert!(net.clients[&7].live.session.is_connected());
}

/// While two nodes do not see each other, two users can get one id. When they meet, the user who had it first keeps it, and
/// nobody is left with a session that keeps the other one out.
#[test]
fn of_two_owners_who_got_an_id_in_a_partition_the_first_keeps_it() {
    for first_reconnects in [false, true] {
        for second_is_connected in [false, true] {
            let mut net = Net::of(2);
            with_session_of_ann(&mut net);
            net.part(0, 1);
            net.connect(1, 7, of("bob"));
            net.settle();
            let bob = net.clients.remove(&7).unwrap();
            if !second_is_connected {
                let (now, node) = (net.now, &mut net.nodes[1]);
                node.plane.close(
                    &bob.live.session,
                    bob.live.epoch,
                    Ending::Graceful,
                    None,
                    &mut node.batch,
                    now,
                );
                net.finish(1);
            }
            if first_reconnects {
                net.connect(0, 7, of("ann"));
                net.settle();
            }
            net.join(0, 1);
            net.settle();
            if !first_reconnects {
                net.connect(0, 7, of("ann"));
                net.settle();
            }
            let case = format!("{first_reconnects} {second_is_connected}");
            assert!(net.clients[&7].live.session.is_connected(), "ann: {case}");
            assert!(net.parted(7).is_none(), "ann: {case}");
            assert!(net.nodes[1].plane.sessions().get(&client_id(7)).is_none(), "bob: {case}");
            if second_is_connected {
                let closing = bob.handle.take_closing().map(|closing| closing.code);
                assert_eq!(closing, Some(Code::NotAuthorized), "bob: {case}");
            }
        }
    }
}

#[test]
fn another_user_does_not_keep_back_the_will_of_a_client_on_a_lost_node() {
    for delay_secs in [0, 5] {
        let mut net = Net::of(3);
        net.connect(2, 1, Ask::default());
        net.subscribe(1, "will/#", QoS::AtLeastOnce);
        let message = message("will/7", 77, QoS::AtLeastOnce);
        let will = Some(Will { message, expiry_secs: None, delay_secs });
        net.connect(1, 7, Ask { will, ..of("ann") });
        net.settle();
        net.crash(1);
        net.connect(2, 7, of("bob"));
        net.settle();
        net.pass(5000);
        net.drain();
        assert_eq!(net.serials(1), [77], "delay {delay_secs}");
    }
}
