//! Links that are cut one way, and networks that part.

use std::time::{Duration, Instant};

use skein_testkit::{
    Cluster, ClusterOptions, Detour, Direction, MemberState, Network, RawClient, free_address, wait_until,
};

use crate::{SKEIN, flow::Flow};

/// A node that came and went is taken back after a delay of up to this, and something more.
const PATIENCE: Duration = Duration::from_secs(45);

fn wait_until_whole(cluster: &Cluster) {
    let all = cluster.ids();
    wait_until("every node knows all others", PATIENCE, || {
        all.iter().all(|id| {
            let members = cluster.node(*id).members().unwrap_or_default();
            let up = members.iter().filter(|node| node.state == MemberState::Up);
            up.count() == all.len()
        })
    });
}

#[test]
fn a_link_that_is_cut_one_way_holds_nobody_up_and_heals() {
    let options = ClusterOptions::default();
    let mut cluster = Cluster::prepare(SKEIN, &options);
    let detour = Detour::start(free_address(), cluster.node(3).cluster, 7);
    cluster.lead_through(3, detour.address());
    cluster.start_all();
    let mut flow = Flow::between(&cluster, 1, 2);
    Flow::between(&cluster, 1, 3).pass(20);

    detour.gate.freeze(Direction::ToServer);
    let cut = Instant::now();
    let is_up = |seen_by: u16, of: u16| {
        let members = cluster.node(seen_by).members().unwrap();
        members.iter().any(|node| node.node_id == of && node.state == MemberState::Up)
    };
    // Whatever the others think of node 3 meanwhile, their clients are answered, and they think nothing of each other.
    let (mut number, mut longest) = (0, Duration::ZERO);
    wait_until("the others have given up the node that hears nobody", PATIENCE, || {
        let begun = Instant::now();
        let mut client = RawClient::open_v4(cluster.node(1).mqtt, &format!("during-{number}"));
        client.send(&format!(r#"82 [ 0001 "during/{number}" 01 ]"#));
        client.expect("90 [ 0001 01 ]");
        flow.pass(5);
        (number, longest) = (number + 1, longest.max(begun.elapsed()));
        assert!(is_up(1, 2) && is_up(2, 1), "the others hold each other for down");
        !is_up(1, 3) && !is_up(2, 3)
    });
    println!("cut one way: down after {:?}; a client was answered within {longest:?}", cut.elapsed());
    detour.gate.resume();
    wait_until_whole(&cluster);
    for (from, to) in [(1, 3), (3, 2)] {
        let mut flow = Flow::between(&cluster, from, to);
        flow.pass(20);
    }
    flow.pass(20);
}

#[test]
fn two_sides_of_a_partition_go_on_and_agree_again() {
    let Some(network) = Network::for_test("two_sides_of_a_partition_go_on_and_agree_again", 3) else {
        return;
    };
    let options =
        ClusterOptions { secret: Some("a secret of the chaos test".to_owned()), ..ClusterOptions::default() };
    let cluster = Cluster::start_on(network, SKEIN, &options);
    let open = |id: u16, client: &str| {
        let node = cluster.node(id);
        node.inside(|| RawClient::open_v5(node.mqtt, client))
    };
    let retain = |id: u16, value: &str| {
        let mut client = open(id, &format!("retains-{value}"));
        client.send(&format!(r#"33 [ "side" 0001 00 '{value}' ]"#));
        client.expect("40 [ 0001 * ]");
    };
    retain(1, "whole");
    let (mut within, mut alone) = (Flow::between(&cluster, 1, 2), Flow::between(&cluster, 3, 3));

    cluster.network().part(&[&[0, 1], &[2]]);
    cluster.wait_for_members(&[1, 2], &[1, 2]);
    cluster.wait_for_members(&[3], &[3]);
    within.pass(50);
    alone.pass(50);
    let (mut twin, mut newer_twin) = (open(1, "twin"), open(3, "twin"));
    twin.expect_nothing();
    newer_twin.expect_nothing();
    retain(1, "first");
    for value in ["second", "third", "fourth"] {
        retain(3, value);
    }

    cluster.network().heal_all();
    let healed = Instant::now();
    // Nodes that were together all the while do not part for the one that comes back.
    let lives = |seen_by: u16| {
        let members = cluster.node(seen_by).members().unwrap();
        let of_both = members.into_iter().filter(|node| node.node_id < 3);
        of_both.map(|node| (node.incarnation, node.state)).collect::<Vec<_>>()
    };
    let before = lives(1);
    wait_until("every node knows all others", PATIENCE, || {
        within.pass(5);
        [1, 2, 3].iter().all(|id| {
            let members = cluster.node(*id).members().unwrap_or_default();
            members.iter().filter(|node| node.state == MemberState::Up).count() == 3
        })
    });
    within.pass(100);
    assert_eq!(lives(1), before);
    println!("parted: whole again {:?} after the network", healed.elapsed());
    let shown = |id: u16| {
        let mut client = open(id, &format!("looks-{id}"));
        client.send(r#"82 [ 0001 00 "side" 00 ]"#);
        client.expect("90 [ 0001 * ]");
        let (_, body) = client.read_packet();
        String::from_utf8(body[7..].to_vec()).unwrap()
    };
    wait_until("all nodes retain the same", PATIENCE, || {
        let all = [1, 2, 3].map(shown);
        all.iter().all(|value| *value == all[0]) && ["first", "fourth"].contains(&all[0].as_str())
    });
    let alive = |client: &mut RawClient| {
        client.try_send_bytes(&[0xc0, 0])
            && client.read_packet_or_close().is_some_and(|(first, _)| first == 0xd0)
    };
    let left = [alive(&mut twin), alive(&mut newer_twin)];
    assert!(left[0] != left[1], "connections of one client id: {left:?}");
    for (from, to) in [(1, 3), (3, 2)] {
        Flow::between(&cluster, from, to).pass(20);
    }
    within.pass(20);
    alone.pass(20);
}
