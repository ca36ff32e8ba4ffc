//! Two and three memberships, message by message.

use skein_types::NodeId;

use super::*;

fn node(id: u16, incarnation: u64) -> NodeInfo {
    NodeInfo {
        id: NodeId(id),
        incarnation: Incarnation(incarnation),
        name: Arc::from(format!("n{id}")),
        advertise: SocketAddr::from(([127, 0, 0, 1], 1000 + id)),
        qrank: 1,
        server_reference: None,
    }
}

fn membership(id: u16) -> Membership {
    Membership::new(node(id, 1), GossipSettings::default(), u64::from(id))
}

fn at(millis: u64) -> Moment {
    Moment::from_millis(millis)
}

/// What is told, without what is sent.
fn told(out: &[GossipAction]) -> Vec<GossipAction> {
    out.iter().filter(|action| !matches!(action, GossipAction::Send { .. })).cloned().collect()
}

/// Hands all that was sent to whom it is for, and what that brings about, until it is quiet.
fn deliver(
    nodes: &mut [&mut Membership],
    mut out: Vec<GossipAction>,
    now: Moment,
) -> Vec<(NodeId, GossipAction)> {
    let mut told = Vec::new();
    while let Some(action) = out.pop() {
        let GossipAction::Send { to, bytes } = action else { continue };
        let Some(node) = nodes.iter_mut().find(|node| node.me().advertise == to) else { continue };
        let mut more = Vec::new();
        let _refused = node.datagram(&bytes, now, &mut more);
        told.extend(self::told(&more).into_iter().map(|action| (node.me().id, action)));
        out.extend(more);
    }
    told
}

/// Nodes that have met.
fn met<const N: usize>(mut nodes: [Membership; N]) -> [Membership; N] {
    for one in 0..N {
        for other in 0..N {
            let (peer, mut out) = (nodes[other].me().clone(), Vec::new());
            nodes[one].meet(&peer, at(0), &mut out);
            deliver(&mut nodes.each_mut(), out, at(0));
        }
    }
    nodes
}

#[test]
fn meeting_is_told_once() {
    let (mut a, mut out) = (membership(1), Vec::new());
    a.meet(&node(2, 1), at(0), &mut out);
    a.meet(&node(2, 1), at(1), &mut out);
    a.meet(&node(1, 1), at(1), &mut out);
    assert_eq!(told(&out), [GossipAction::Alive(node(2, 1))]);
    assert_eq!(a.members().collect::<Vec<_>>(), [&node(2, 1)]);
    assert_eq!(a.standing(&node(2, 1)), Standing::Alive);
    assert_eq!(a.standing(&node(2, 2)), Standing::Unknown, "another life may come");
    assert_eq!(a.standing(&node(3, 1)), Standing::Unknown);
}

#[test]
fn a_met_node_brings_the_others() {
    let [mut a, mut b] = met([membership(1), membership(2)]);
    let (mut c, mut out) = (membership(3), Vec::new());
    b.meet(&node(3, 1), at(10), &mut out);
    c.meet(&node(2, 1), at(10), &mut out);
    let told = deliver(&mut [&mut a, &mut b, &mut c], out, at(10));
    assert!(told.contains(&(NodeId(3), GossipAction::Alive(node(1, 1)))), "{told:?}");
}

#[test]
fn a_restart_is_one_down_and_one_up() {
    let [mut a, _b] = met([membership(1), membership(2)]);
    let mut out = Vec::new();
    a.meet(&node(2, 5), at(10), &mut out);
    assert_eq!(
        told(&out),
        [GossipAction::Down(node(2, 1), Gone::Restarted), GossipAction::Alive(node(2, 5))]
    );
    assert_eq!(a.standing(&node(2, 1)), Standing::GivenUp);
}

#[test]
fn a_leave_is_told_at_once_and_is_the_last_word() {
    let [mut a, mut b, mut c] = met([membership(1), membership(2), membership(3)]);
    let mut out = Vec::new();
    a.leave(at(10), &mut out);
    assert!(told(&out).is_empty(), "it is not given up, it goes");
    let told = deliver(&mut [&mut b, &mut c], out, at(10));
    let left = GossipAction::Down(node(1, 1), Gone::Left);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.contains(&(NodeId(2), left.clone())) && told.contains(&(NodeId(3), left)));
    let mut out = Vec::new();
    a.leave(at(11), &mut out);
    a.tick(at(10_000), &mut out);
    a.meet(&node(2, 1), at(10_000), &mut out);
    assert_eq!((out, a.next_due()), (Vec::new(), None));
}

#[test]
fn who_is_declared_down_hears_of_it_once_and_begins_another_life() {
    let [mut a, mut b] = met([membership(1), membership(2)]);
    let mut out = Vec::new();
    a.declare_down(&node(2, 1), at(10), &mut out);
    a.declare_down(&node(2, 1), at(11), &mut out);
    assert_eq!(told(&out), [GossipAction::Down(node(2, 1), Gone::Failed)]);
    assert_eq!(a.standing(&node(2, 1)), Standing::GivenUp);
    // Its hello is answered with the news, as often as it comes, and it heeds it once.
    let mut given_up = 0;
    for _ in 0..3 {
        let mut out = Vec::new();
        a.meet(&node(2, 1), at(20), &mut out);
        assert!(told(&out).is_empty());
        let told = deliver(&mut [&mut a, &mut b], out, at(20));
        given_up += told.iter().filter(|(_, action)| *action == GossipAction::GivenUp).count();
    }
    assert_eq!(given_up, 1);
    let mut out = Vec::new();
    b.renew(node(2, 2), at(30), &mut out);
    let told = deliver(&mut [&mut a, &mut b], out, at(30));
    assert_eq!(told, [(NodeId(1), GossipAction::Alive(node(2, 2)))]);
}

#[test]
fn what_is_for_another_life_is_refused() {
    let [mut a, mut b] = met([membership(1), membership(2)]);
    let mut out = Vec::new();
    a.meet(&node(2, 1), at(10), &mut out);
    let Some(GossipAction::Send { bytes, .. }) = out.first().cloned() else { panic!("{out:?}") };
    assert_eq!(b.datagram(&bytes, at(10), &mut out), Ok(()));
    assert_eq!(a.datagram(&bytes, at(10), &mut out), Err(GossipError::NotForThisLife));
    b.renew(node(2, 2), at(11), &mut out);
    assert_eq!(b.datagram(&bytes, at(11), &mut out), Err(GossipError::NotForThisLife));
    assert_eq!(b.datagram(b"", at(11), &mut out), Err(GossipError::Unreadable("it ends in the middle")));
}

#[test]
fn a_node_that_flaps_is_held_back() {
    let (mut a, mut out) = (membership(1), Vec::new());
    for life in 1..=3 {
        a.meet(&node(2, life), at(life * 100), &mut out);
        a.declare_down(&node(2, life), at(life * 100 + 50), &mut out);
    }
    assert_eq!(told(&out).len(), 4, "the third life came and went unseen: {:?}", told(&out));
    out.clear();
    a.meet(&node(2, 4), at(1000), &mut out);
    assert_eq!(told(&out), []);
    assert_eq!(a.standing(&node(2, 4)), Standing::HeldBack(at(3000)));
    assert_eq!(a.members().count(), 0);
    let mut now = at(1000);
    while told(&out).is_empty() {
        now = a.next_due().unwrap();
        // The peer's answers keep it alive meanwhile; here it need not answer within this time.
        a.roster.tick(now, &mut out);
        if now < at(3000) {
            while a.timers.take_due(now).is_some() {}
        }
    }
    assert_eq!((now, told(&out)), (at(3000), vec![GossipAction::Alive(node(2, 4))]));
}

/// Found by a simulation: probing stopped for as long as the pause had been, because what a node set up while it read its
/// mail was put off with what was overdue.
#[test]
fn a_pause_does_not_put_off_what_is_set_after_it() {
    let (mut a, mut out) = (membership(1), Vec::new());
    a.meet(&node(2, 1), at(0), &mut out);
    a.declare_down(&node(2, 1), at(60_000), &mut out);
    a.meet(&node(3, 1), at(60_000), &mut out);
    a.tick(at(60_000), &mut out);
    assert!(a.next_due() <= Some(at(60_300)), "{:?}", a.next_due());
    out.clear();
    a.tick(at(60_300), &mut out);
    let probed = |action: &GossipAction| matches!(action, GossipAction::Send { to, .. } if *to == node(3, 1).advertise);
    assert!(out.iter().any(probed), "{out:?}");
}

/// What it says arrives, what is said to it does not: the others give it up, and nobody else.
#[test]
fn a_node_that_hears_nobody_makes_no_strife_among_the_others() {
    let mut nodes = met([membership(1), membership(2), membership(3)]);
    let deaf = nodes[2].me().advertise;
    let mut news = Vec::new();
    for millis in (0..15_000).step_by(10) {
        for number in 0..nodes.len() {
            let mut out = Vec::new();
            nodes[number].tick(at(millis), &mut out);
            news.extend(told(&out).into_iter().map(|action| (nodes[number].me().id, action)));
            let mut sent = out;
            while let Some(action) = sent.pop() {
                let GossipAction::Send { to, bytes } = action else { continue };
                let Some(node) = nodes.iter_mut().find(|node| node.me().advertise == to && to != deaf) else {
                    continue;
                };
                let mut more = Vec::new();
                let _refused = node.datagram(&bytes, at(millis), &mut more);
                news.extend(told(&more).into_iter().map(|action| (node.me().id, action)));
                sent.extend(more);
            }
        }
        if millis == 4000 {
            // Its links are cut too by then.
            let mut out = Vec::new();
            nodes[2].declare_down(&node(1, 1), at(millis), &mut out);
            news.extend(told(&out).into_iter().map(|action| (NodeId(3), action)));
        }
    }
    let down = |of: u16| GossipAction::Down(node(of, 1), Gone::Failed);
    let of_others: Vec<_> = news.iter().filter(|(by, _)| *by != NodeId(3)).cloned().collect();
    assert_eq!(of_others.len(), 2, "{of_others:?}");
    for by in [1, 2] {
        assert!(of_others.contains(&(NodeId(by), down(3))), "{of_others:?}");
    }
}
